//! The OpenH264 C++ decoder behind a safe interface.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use openh264_sys2 as sys;
use reelcore_media::MediaError;

/// The most bytes that OpenH264 takes for one picture (its MAX_ACCESS_UNIT_CAPACITY). It resets
/// itself silently above that.
pub(crate) const MAX_ACCESS_UNIT: usize = 7_077_888;

/// One OpenH264 decoder.
pub(crate) struct Library {
    decoder: NonNull<sys::ISVCDecoder>,
}

// SAFETY: an ISVCDecoder has no tie to the thread that made it; without its threading option it
// starts no threads, and its static data are constant tables. `Library` owns it alone and needs
// `&mut self` for every call, so one thread at a time uses it.
unsafe impl Send for Library {}

/// A decoded picture in OpenH264's memory, valid until the next call.
pub(crate) struct Picture<'a> {
    /// Width and height in pixels, as OpenH264 crops them.
    pub width: usize,
    /// See `width`.
    pub height: usize,
    planes: [(&'a [u8], usize); 3],
}

impl Picture<'_> {
    /// The `index`th plane and its stride. The last row ends at its last sample.
    pub fn plane(&self, index: usize) -> Option<(&[u8], usize)> {
        self.planes.get(index).copied()
    }
}

impl Library {
    /// Starts a decoder: one thread, no concealment of errors, nothing printed.
    pub fn new() -> Result<Self, MediaError> {
        let mut raw: *mut sys::ISVCDecoder = std::ptr::null_mut();
        // SAFETY: `raw` is a valid place for the pointer that the call writes on success.
        let code = unsafe { sys::API::WelsCreateDecoder(&sys::source::APILoader, &mut raw) };
        let decoder = match NonNull::new(raw) {
            Some(decoder) if code == 0 => decoder,
            _ => {
                return Err(MediaError::backend(format!(
                    "OpenH264 cannot create a decoder: code {code}"
                )));
            }
        };
        let mut library = Self { decoder };
        // Before anything else, as initialising already writes to stderr.
        library.set_option(
            sys::DECODER_OPTION_TRACE_LEVEL,
            sys::WELS_LOG_QUIET as c_int,
        )?;
        let mut param = sys::SDecodingParam {
            uiTargetDqLayer: u8::MAX,
            // A concealed picture is a wrong picture passed off as right.
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            ..Default::default()
        };
        param.sVideoProperty.size = std::mem::size_of_val(&param.sVideoProperty) as u32;
        param.sVideoProperty.eVideoBsType = sys::VIDEO_BITSTREAM_AVC;
        let initialize = library.table()?.Initialize;
        let initialize = initialize.ok_or_else(missing)?;
        // SAFETY: the decoder is live, and `param` outlives the call, which copies it.
        let code = unsafe { initialize(library.decoder.as_ptr(), &param) };
        if code != 0 {
            return Err(MediaError::backend(format!(
                "OpenH264 cannot start a decoder: code {code}"
            )));
        }
        Ok(library)
    }

    fn table(&self) -> Result<&sys::ISVCDecoderVtbl, MediaError> {
        // SAFETY: `decoder` came from WelsCreateDecoder and lives until `drop`. It points to the
        // object's first word, the pointer to its table of virtual functions, which is static.
        unsafe { (*self.decoder.as_ptr()).as_ref() }.ok_or_else(missing)
    }

    fn set_option(&mut self, option: sys::DECODER_OPTION, value: c_int) -> Result<(), MediaError> {
        let set = self.table()?.SetOption.ok_or_else(missing)?;
        let mut value = value;
        // SAFETY: the decoder is live; every option set here reads one int through the pointer.
        let code = unsafe {
            set(
                self.decoder.as_ptr(),
                option,
                (&raw mut value).cast::<c_void>(),
            )
        };
        if code != 0 {
            return Err(MediaError::backend(format!(
                "OpenH264 refuses option {option}: code {code}"
            )));
        }
        Ok(())
    }

    /// Gives OpenH264 one parameter set (Annex B).
    ///
    /// # Errors
    /// `InvalidData` when it refuses the set.
    pub fn parameter_set(&mut self, set: &[u8]) -> Result<(), MediaError> {
        let mut planes = [std::ptr::null_mut(); 3];
        let mut info = sys::SBufferInfo::default();
        let state = self.call(Some(set), &mut planes, &mut info)?;
        check(state)
    }

    /// DecodeFrame2 with `data`, or with what tells OpenH264 to finish the picture it has.
    fn call(
        &mut self,
        data: Option<&[u8]>,
        planes: &mut [*mut u8; 3],
        info: &mut sys::SBufferInfo,
    ) -> Result<sys::DECODING_STATE, MediaError> {
        let length = data.map_or(0, <[u8]>::len);
        let length = c_int::try_from(length)
            .ok()
            .filter(|_| length <= MAX_ACCESS_UNIT)
            .ok_or_else(|| {
                MediaError::limit(format!(
                    "a picture of {length} bytes, OpenH264 takes at most {MAX_ACCESS_UNIT}"
                ))
            })?;
        let decode = self.table()?.DecodeFrame2.ok_or_else(missing)?;
        let source = data.map_or(std::ptr::null(), <[u8]>::as_ptr);
        // SAFETY: the decoder is live and initialised. `source` is readable for `length` bytes, only
        // read, and copied before the call returns; null with length 0 is how OpenH264 is told to
        // finish. `planes` (three pointers) and `info` are valid for writes and not kept.
        Ok(unsafe {
            decode(
                self.decoder.as_ptr(),
                source,
                length,
                planes.as_mut_ptr(),
                info,
            )
        })
    }

    /// Gives OpenH264 all NAL units of one picture (Annex B) and has it
    /// decode them now.
    ///
    /// OpenH264 decodes a picture when it sees the next, or when told that the stream ends. So a
    /// second call without data follows each picture; decoding goes on after it as if nothing were.
    ///
    /// # Errors
    /// `InvalidData` with what OpenH264 found. `None` when it took the data and gave no picture.
    pub fn decode(&mut self, access_unit: &[u8]) -> Result<Option<Picture<'_>>, MediaError> {
        let mut planes: [*mut u8; 3] = [std::ptr::null_mut(); 3];
        let mut info = sys::SBufferInfo::default();
        let first = self.call(Some(access_unit), &mut planes, &mut info)?;
        check(first)?;
        if info.iBufferStatus == 1 {
            return Err(MediaError::invalid_data(
                "slices of more than one picture where one is expected",
            ));
        }
        let second = self.call(None, &mut planes, &mut info)?;
        check(second)?;
        if info.iBufferStatus != 1 {
            return Ok(None);
        }
        // SAFETY: iBufferStatus is 1, so the union holds the system memory's description, its only
        // member.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let positive = |value: c_int| usize::try_from(value).ok().filter(|&v| v > 0);
        let sizes = (
            positive(buffer.iWidth),
            positive(buffer.iHeight),
            positive(buffer.iStride[0]),
            positive(buffer.iStride[1]),
        );
        let (Some(width), Some(height), Some(luma), Some(chroma)) = sizes else {
            return Err(MediaError::backend(
                "OpenH264 gave a picture without a size",
            ));
        };
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        if planes.iter().any(|plane| plane.is_null()) || luma < width || chroma < half_width {
            return Err(MediaError::backend(
                "OpenH264 gave a picture without pixels",
            ));
        }
        let slice = |plane: *mut u8, stride: usize, width: usize, height: usize| {
            let length = stride * (height - 1) + width;
            // SAFETY: OpenH264 says the plane has `height` rows `stride` bytes apart, each of at
            // least `width` bytes; the slice ends with the last row's last sample. The memory is
            // neither moved nor written until the next call, which the borrow of `self` prevents.
            (unsafe { std::slice::from_raw_parts(plane, length) }, stride)
        };
        Ok(Some(Picture {
            width,
            height,
            planes: [
                slice(planes[0], luma, width, height),
                slice(planes[1], chroma, half_width, half_height),
                slice(planes[2], chroma, half_width, half_height),
            ],
        }))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Ok(table) = self.table()
            && let Some(uninitialize) = table.Uninitialize
        {
            // SAFETY: the decoder is live; it may be uninitialised before it was initialised.
            unsafe { uninitialize(self.decoder.as_ptr()) };
        }
        // SAFETY: the decoder is live, and nothing uses it after this.
        unsafe { sys::API::WelsDestroyDecoder(&sys::source::APILoader, self.decoder.as_ptr()) };
    }
}

fn missing() -> MediaError {
    MediaError::backend("OpenH264's table of functions lacks an entry")
}

/// DECODING_STATE: a set of bits, none for success.
fn check(state: sys::DECODING_STATE) -> Result<(), MediaError> {
    const REASONS: [(sys::DECODING_STATE, &str); 8] = [
        (sys::dsFramePending, "an incomplete picture"),
        (sys::dsRefLost, "a reference picture that is missing"),
        (sys::dsBitstreamError, "a corrupt or incomplete picture"),
        (sys::dsDepLayerLost, "a missing layer"),
        (sys::dsNoParamSets, "missing or broken parameter sets"),
        (sys::dsDataErrorConcealed, "data that had to be concealed"),
        (sys::dsRefListNullPtrs, "an incomplete reference list"),
        (sys::dsInvalidArgument, "an argument it does not take"),
    ];
    if state == sys::dsErrorFree {
        return Ok(());
    }
    if state & sys::dsOutOfMemory != 0 {
        return Err(MediaError::backend(
            "OpenH264 has no picture memory left for this stream",
        ));
    }
    let found: Vec<&str> = REASONS
        .iter()
        .filter(|(bit, _)| state & bit != 0)
        .map(|&(_, reason)| reason)
        .collect();
    Err(MediaError::invalid_data(format!(
        "OpenH264 found {} (state {state:#x})",
        if found.is_empty() {
            "an error".into()
        } else {
            found.join(", ")
        }
    )))
}
