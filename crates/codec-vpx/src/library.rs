//! The libvpx decoder behind a safe interface.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

use reelcore_media::MediaError;
use reelcore_media::codec::DecoderContext;
use reelcore_media::pool::BufferPool;
use vpx_sys as sys;

use crate::picture::{Picture, Planes, allocate, read, release};

/// Threads decode tile columns of VP9, of which a picture of 4096 columns has at most 16.
pub(crate) const MAX_THREADS: usize = 16;

/// The two codecs of libvpx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Vp8,
    Vp9,
}

impl Codec {
    /// The name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
        }
    }

    /// libvpx's decoder for it.
    pub fn interface(self) -> *mut sys::vpx_codec_iface_t {
        // SAFETY: both return the address of a static and do nothing else.
        unsafe {
            match self {
                Self::Vp8 => sys::vpx_codec_vp8_dx(),
                Self::Vp9 => sys::vpx_codec_vp9_dx(),
            }
        }
    }
}

/// Whether libvpx was built for more than 8 bits.
pub(crate) fn has_high_bit_depth() -> bool {
    // SAFETY: the interface is that of a codec of libvpx; the call only reads it.
    let caps = unsafe { sys::vpx_codec_get_caps(Codec::Vp9.interface()) };
    caps & sys::VPX_CODEC_CAP_HIGHBITDEPTH as sys::vpx_codec_caps_t != 0
}

/// How many threads libvpx gets of those that the engine grants.
///
/// For VP8 one: its threads wait for each other in a loop that never yields. On two processors shared with other work a
/// 1080p picture took 58 ms of processor time with two threads and 3 ms with one. VP9's threads sleep while they wait.
/// They decode tile columns; row-based threading (VP9D_SET_ROW_MT) stays off: there it took up to 14 percent more
/// processor time and was not faster, with tile columns or without.
pub(crate) fn threads(codec: Codec, granted: usize) -> c_uint {
    match codec {
        Codec::Vp8 => 1,
        Codec::Vp9 => granted.clamp(1, MAX_THREADS) as c_uint,
    }
}

/// One libvpx decoder.
pub(crate) struct Library {
    codec: Codec,
    /// In a box: libvpx keeps no pointer to it that is documented, nor a promise that it does not.
    context: Box<sys::vpx_codec_ctx_t>,
    /// What the frame buffer callbacks get; dropped after the context is destroyed.
    _pool: Box<BufferPool>,
}

// SAFETY: a decoder context may be used from any thread, one at a time; `Library` owns it alone and needs `&mut self`
// for every call. libvpx's own threads work only during those calls. The pool is Send and Sync.
unsafe impl Send for Library {}

impl Library {
    /// Starts a decoder with all threads and, for VP9, picture memory from `context`.
    pub fn new(codec: Codec, context: &DecoderContext) -> Result<Self, MediaError> {
        let pool = Box::new(context.pool.clone());
        let config = sys::vpx_codec_dec_cfg_t {
            threads: threads(codec, context.threads),
            w: 0,
            h: 0,
        };
        let mut raw = Box::new(sys::vpx_codec_ctx_t::default());
        // SAFETY: `raw` is zeroed and stays where it is; `config` is copied by the call (the pointer that is kept
        // until then is replaced by one to the copy). The version is that of the bindings: libvpx refuses another.
        let code = unsafe {
            sys::vpx_codec_dec_init_ver(
                &mut *raw,
                codec.interface(),
                &config,
                0,
                sys::VPX_DECODER_ABI_VERSION as c_int,
            )
        };
        if code != sys::vpx_codec_err_t::VPX_CODEC_OK {
            // The context is not open, and not destroyed: there is no `Library` yet.
            return Err(MediaError::backend(format!(
                "libvpx cannot start {}: {}",
                codec.name(),
                describe(code)
            )));
        }
        let mut library = Self {
            codec,
            context: raw,
            _pool: pool,
        };
        if codec == Codec::Vp9 {
            library.lend_buffers()?;
        }
        Ok(library)
    }

    /// Lets VP9 decode into memory of the pool.
    fn lend_buffers(&mut self) -> Result<(), MediaError> {
        // SAFETY: the context is open and has not decoded yet. The callbacks have the types that are asked for; their
        // data points into the box, which moves with `Library` without its content moving, and which outlives the
        // context; `allocate` only reads it.
        let code = unsafe {
            sys::vpx_codec_set_frame_buffer_functions(
                &mut *self.context,
                Some(allocate),
                Some(release),
                std::ptr::from_ref::<BufferPool>(&self._pool)
                    .cast_mut()
                    .cast::<c_void>(),
            )
        };
        self.checked(code)
    }

    /// Decodes one frame.
    ///
    /// # Errors
    /// What libvpx finds wrong with it.
    pub fn decode(&mut self, frame: &[u8]) -> Result<(), MediaError> {
        let Ok(size) = c_uint::try_from(frame.len()) else {
            return Err(MediaError::limit(format!(
                "a frame of {} bytes, libvpx takes at most {}",
                frame.len(),
                c_uint::MAX
            )));
        };
        // SAFETY: the context is open; libvpx reads `size` bytes during the call and keeps no pointer to them.
        let code = unsafe {
            sys::vpx_codec_decode(
                &mut *self.context,
                frame.as_ptr(),
                size,
                std::ptr::null_mut(),
                0,
            )
        };
        self.checked(code)
    }

    /// The picture to show of the frame that was decoded last, if it is for display.
    ///
    /// # Errors
    /// `InvalidData` where libvpx marked the frame as damaged; `Backend` for a picture that makes no sense.
    pub fn picture(
        &mut self,
        planes: Planes,
        pool: &BufferPool,
    ) -> Result<Option<Picture>, MediaError> {
        let mut iter: sys::vpx_codec_iter_t = std::ptr::null();
        // SAFETY: the context is open; a null iterator asks for the first picture.
        let image = unsafe { sys::vpx_codec_get_frame(&mut *self.context, &mut iter) };
        self.refuse_damaged()?;
        let Some(image) = NonNull::new(image) else {
            return Ok(None);
        };
        // SAFETY: the image is that of the last decoded frame, and stays valid until the next call into the context,
        // which needs `&mut self`. For VP9 its memory is from `allocate`.
        unsafe { read(image, self.codec, planes, pool) }.map(Some)
    }

    /// libvpx goes on with VP8 frames whose data ends too early, and only marks them.
    fn refuse_damaged(&mut self) -> Result<(), MediaError> {
        let mut damaged: c_int = 0;
        // SAFETY: the context is open, and the control takes a pointer to an int, which it writes. It reports an error
        // before there is a picture to tell about; the value is then left as it is.
        let _ = unsafe {
            sys::vpx_codec_control_(
                &mut *self.context,
                sys::vp8_dec_control_id::VP8D_GET_FRAME_CORRUPTED as c_int,
                std::ptr::from_mut(&mut damaged),
            )
        };
        if damaged == 0 {
            return Ok(());
        }
        Err(MediaError::invalid_data(
            "libvpx found the frame damaged: its coded data ends too early, or a reference is damaged",
        ))
    }

    fn checked(&mut self, code: sys::vpx_codec_err_t) -> Result<(), MediaError> {
        use sys::vpx_codec_err_t as E;
        if code == E::VPX_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is open; the text is null or lives until the next call into the context.
        let detail = unsafe { text(sys::vpx_codec_error_detail(&mut *self.context)) };
        let message = match detail {
            Some(detail) => format!("libvpx: {}: {detail}", describe(code)),
            None => format!("libvpx: {}", describe(code)),
        };
        Err(match code {
            E::VPX_CODEC_MEM_ERROR
            | E::VPX_CODEC_ABI_MISMATCH
            | E::VPX_CODEC_INCAPABLE
            | E::VPX_CODEC_INVALID_PARAM => MediaError::backend(message),
            _ => MediaError::invalid_data(message),
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the context is open and nothing uses it after this. The call joins libvpx's threads and gives every
        // frame buffer back; memory that frames still hold has an owner of its own (see `picture`).
        unsafe { sys::vpx_codec_destroy(&mut *self.context) };
    }
}

/// libvpx's words for an error.
pub(crate) fn describe(code: sys::vpx_codec_err_t) -> String {
    // SAFETY: the call maps a number to a static text.
    unsafe { text(sys::vpx_codec_err_to_string(code)) }.unwrap_or_else(|| format!("{code:?}"))
}

/// A copy of a C string, `None` for a null pointer.
///
/// # Safety
/// `raw` is null or points to a string that ends with a zero and is valid during the call.
pub(crate) unsafe fn text(raw: *const c_char) -> Option<String> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: as this function asks.
    Some(
        unsafe { CStr::from_ptr(raw) }
            .to_string_lossy()
            .into_owned(),
    )
}
