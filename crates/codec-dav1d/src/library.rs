//! The dav1d decoder behind a safe interface.

use std::ffi::{c_int, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bytes::Bytes;
use libdav1d_sys as sys;
use reelcore_media::MediaError;
use reelcore_media::codec::DecoderContext;
use reelcore_media::pool::BufferPool;

use crate::picture::{Picture, allocate, release};

/// DAV1D_MAX_THREADS.
pub(crate) const MAX_THREADS: usize = 256;

const AGAIN: c_int = sys::DAV1D_ERR(libc::EAGAIN);

/// The times of a chunk, carried through dav1d beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Microseconds.
    pub timestamp: i64,
    /// Microseconds, where known.
    pub duration: Option<u64>,
}

impl Times {
    /// dav1d hands `timestamp`, `duration` and `offset` through unread. The duration goes as the
    /// same 64 bits, and whether there is one as the offset.
    fn write(self, props: &mut sys::Dav1dDataProps) {
        props.timestamp = self.timestamp;
        props.duration = self.duration.unwrap_or(0).cast_signed();
        props.offset = i64::from(self.duration.is_some());
    }

    /// What [`Times::write`] wrote.
    pub(crate) fn read(props: &sys::Dav1dDataProps) -> Self {
        Self {
            timestamp: props.timestamp,
            duration: (props.offset == 1).then(|| props.duration.cast_unsigned()),
        }
    }
}

/// One dav1d decoder.
pub(crate) struct Library {
    context: NonNull<sys::Dav1dContext>,
    /// What the picture allocator is given as its cookie; dropped after the context is closed.
    _pool: Box<BufferPool>,
    frame_delay: c_int,
}

// SAFETY: a Dav1dContext may be used from any thread, one at a time; `Library` owns it alone and
// needs `&mut self` for every call. Its own threads share only what it synchronises. The pool is
// Send and Sync.
unsafe impl Send for Library {}

/// Data on the way into dav1d; released when dropped.
struct Data(sys::Dav1dData);

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: the value is what dav1d_data_wrap made, or what dav1d left of it (zeroed when it
        // took the data over); unref accepts both and leaves it empty.
        unsafe { sys::dav1d_data_unref(&mut self.0) };
    }
}

impl Library {
    /// Starts a decoder with all threads and picture memory from `context`.
    pub fn new(context: &DecoderContext, low_latency: bool) -> Result<Self, MediaError> {
        let pool = Box::new(context.pool.clone());
        let mut settings = MaybeUninit::<sys::Dav1dSettings>::uninit();
        // SAFETY: dav1d_default_settings writes every field.
        let mut settings = unsafe {
            sys::dav1d_default_settings(settings.as_mut_ptr());
            settings.assume_init()
        };
        settings.n_threads = context.threads.clamp(1, MAX_THREADS) as c_int;
        // 1 means that a frame comes out of the call that got its data; 0 lets dav1d decode several
        // frames at a time, as many as the square root of the threads.
        settings.max_frame_delay = if low_latency { 1 } else { 0 };
        settings.apply_grain = 1;
        settings.operating_point = 0;
        // Of a scalable stream the highest layer only: one frame for each chunk.
        settings.all_layers = 0;
        settings.frame_size_limit =
            c_uint::try_from(context.limits.max_frame_pixels).unwrap_or(c_uint::MAX);
        // The default logger writes to stderr.
        settings.logger.callback = None;
        settings.allocator = sys::Dav1dPicAllocator {
            cookie: std::ptr::from_ref::<BufferPool>(&pool)
                .cast_mut()
                .cast::<c_void>(),
            alloc_picture_callback: Some(allocate),
            release_picture_callback: Some(release),
        };
        let mut raw = std::ptr::null_mut();
        // SAFETY: `settings` is initialised and copied by the call; `raw` is valid for a write. The
        // cookie points into the box, which moves with `Library` without its content moving, and
        // which outlives the context; `allocate` only reads it.
        let code = unsafe { sys::dav1d_open(&mut raw, &settings) };
        // SAFETY: `settings` is what dav1d_open accepted or refused; the call only reads it.
        let frame_delay = unsafe { sys::dav1d_get_frame_delay(&settings) };
        match NonNull::new(raw) {
            Some(context) if code == 0 => Ok(Self {
                context,
                _pool: pool,
                frame_delay,
            }),
            _ => Err(MediaError::backend(format!(
                "dav1d cannot start with {} threads: error {code}",
                settings.n_threads
            ))),
        }
    }

    /// Decodes one temporal unit, and hands the pictures that are ready to `sink`.
    ///
    /// # Errors
    /// What dav1d finds wrong with this unit, or with an earlier one that was still in work.
    pub fn decode(
        &mut self,
        unit: &Bytes,
        times: Times,
        sink: &mut dyn FnMut(Picture) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let mut data = wrap(unit, times)?;
        loop {
            // SAFETY: the context is open and `data` holds a reference to data. On success dav1d
            // takes the reference over and empties `data`; otherwise it stays ours.
            let code = unsafe { sys::dav1d_send_data(self.context.as_ptr(), &mut data.0) };
            if code != 0 && code != AGAIN {
                return Err(self.error(code));
            }
            // With frame threads a second call without new data would mean "drain", and would wait
            // for what is in work; without them it gives what is left of the unit.
            while let Some(picture) = self.picture()? {
                sink(picture)?;
                if self.frame_delay > 1 {
                    break;
                }
            }
            if code == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for every picture in work and hands it to `sink`.
    ///
    /// # Errors
    /// As [`Library::decode`].
    pub fn drain(
        &mut self,
        sink: &mut dyn FnMut(Picture) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        while let Some(picture) = self.picture()? {
            sink(picture)?;
        }
        Ok(())
    }

    /// Forgets all pictures and references.
    pub fn reset(&mut self) {
        // SAFETY: the context is open.
        unsafe { sys::dav1d_flush(self.context.as_ptr()) };
    }

    fn picture(&mut self) -> Result<Option<Picture>, MediaError> {
        // SAFETY: all fields are numbers, pointers, or an enumeration that has the value 0.
        let mut raw = unsafe { MaybeUninit::<sys::Dav1dPicture>::zeroed().assume_init() };
        // SAFETY: the context is open, and `raw` is an empty picture to write to.
        let code = unsafe { sys::dav1d_get_picture(self.context.as_ptr(), &mut raw) };
        match code {
            0 => Ok(Some(Picture::new(raw))),
            AGAIN => Ok(None),
            _ => Err(self.error(code)),
        }
    }

    /// The error for a code of dav1d, with the timestamp of the chunk where it was found.
    fn error(&mut self, code: c_int) -> MediaError {
        // SAFETY: all fields are numbers or pointers.
        let mut props = unsafe { MaybeUninit::<sys::Dav1dDataProps>::zeroed().assume_init() };
        // SAFETY: the context is open, and `props` is valid for a write; on success the reference
        // that it may hold is ours, and is given back at once.
        let place = unsafe {
            let found = sys::dav1d_get_decode_error_data_props(self.context.as_ptr(), &mut props);
            let place = if found == 0 {
                format!("AV1 chunk with timestamp {}: ", props.timestamp)
            } else {
                String::new()
            };
            sys::dav1d_data_props_unref(&mut props);
            place
        };
        const INVAL: c_int = sys::DAV1D_ERR(libc::EINVAL);
        const RANGE: c_int = sys::DAV1D_ERR(libc::ERANGE);
        const NOMEM: c_int = sys::DAV1D_ERR(libc::ENOMEM);
        const NOPROTOOPT: c_int = sys::DAV1D_ERR(libc::ENOPROTOOPT);
        match code {
            INVAL => MediaError::invalid_data(format!("{place}dav1d found a corrupt bitstream")),
            RANGE => MediaError::limit(format!(
                "{place}the picture is larger than the cap max_frame_pixels"
            )),
            NOMEM => MediaError::backend(format!("{place}dav1d has no memory for the picture")),
            NOPROTOOPT => MediaError::unsupported(format!(
                "{place}dav1d was built without what this stream needs"
            )),
            other => MediaError::invalid_data(format!("{place}dav1d reports error {other}")),
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: the context is open and nothing uses it after this. The call joins dav1d's
        // threads, so the allocator is not called afterwards; memory that frames still hold has an
        // owner of its own (see `picture`).
        unsafe { sys::dav1d_close(&mut raw) };
    }
}

/// Lends `unit` to dav1d without a copy.
fn wrap(unit: &Bytes, times: Times) -> Result<Data, MediaError> {
    // The clone shares the bytes; the callback drops it when dav1d is done.
    let owner = Box::into_raw(Box::new(unit.clone()));
    // SAFETY: all fields are numbers or pointers.
    let mut data = unsafe { MaybeUninit::<sys::Dav1dData>::zeroed().assume_init() };
    // SAFETY: the bytes stay readable and unchanged until the callback drops their owner. dav1d
    // calls it exactly once when the wrap succeeded, on any thread; `Bytes` is Send.
    let code = unsafe {
        sys::dav1d_data_wrap(
            &mut data,
            unit.as_ptr(),
            unit.len(),
            Some(drop_bytes),
            owner.cast::<c_void>(),
        )
    };
    if code != 0 {
        // SAFETY: the wrap failed, so dav1d keeps nothing and the box is still ours.
        drop(unsafe { Box::from_raw(owner) });
        return Err(MediaError::backend(format!(
            "dav1d cannot take a chunk of {} bytes: error {code}",
            unit.len()
        )));
    }
    times.write(&mut data.m);
    Ok(Data(data))
}

/// Releases what [`wrap`] lent.
unsafe extern "C" fn drop_bytes(_: *const u8, cookie: *mut c_void) {
    // SAFETY: `cookie` is the box that `wrap` leaked for this one call.
    drop(unsafe { Box::from_raw(cookie.cast::<Bytes>()) });
}
