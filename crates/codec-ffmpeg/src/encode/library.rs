//! libavcodec's encoders behind safe types.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;

use bytes::Bytes;
use reelcore_media::{ColorSpace, MediaError, Plane, Size};

use crate::library::media_error;

mod sys {
    use std::ffi::{c_char, c_int, c_void};

    #[repr(C)]
    pub(super) struct Encoder {
        _opaque: [u8; 0],
    }

    /// EncoderOptions of encode.c.
    #[repr(C)]
    pub(super) struct EncoderOptions {
        pub(super) name: *const c_char,
        pub(super) device: *const c_char,
        pub(super) format: *const c_char,
        pub(super) width: c_int,
        pub(super) height: c_int,
        pub(super) bitrate: i64,
        pub(super) max_bitrate: i64,
        pub(super) buffer_bits: i64,
        pub(super) rate_num: c_int,
        pub(super) rate_den: c_int,
        pub(super) threads: c_int,
        pub(super) primaries: c_int,
        pub(super) transfer: c_int,
        pub(super) matrix: c_int,
        pub(super) range: c_int,
        pub(super) options: *const *const c_char,
        pub(super) option_count: usize,
    }

    /// EncoderPlane of encode.c.
    #[repr(C)]
    pub(super) struct EncoderPlane {
        pub(super) data: *const u8,
        pub(super) len: usize,
        pub(super) stride: c_int,
        pub(super) owner: *mut c_void,
    }

    unsafe extern "C" {
        pub(super) fn reelcore_avcodec_has_encoder(
            name: *const c_char,
            format: *const c_char,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_encoder_create(
            options: *const EncoderOptions,
            out: *mut *mut Encoder,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_encoder_free(encoder: *mut Encoder);
        pub(super) fn reelcore_avcodec_encoder_send(
            encoder: *mut Encoder,
            format: *const c_char,
            planes: *const EncoderPlane,
            count: usize,
            release: unsafe extern "C" fn(*mut c_void, *mut u8),
            index: i64,
            key: c_int,
            offset_num: c_int,
            offset_den: c_int,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_encoder_end(encoder: *mut Encoder) -> c_int;
        pub(super) fn reelcore_avcodec_encoder_receive(
            encoder: *mut Encoder,
            data: *mut *const u8,
            len: *mut usize,
            index: *mut i64,
            key: *mut c_int,
        ) -> c_int;
    }
}

/// Whether libavcodec has the encoder `name`, for pictures in its pixel format `format`. Of hardware this says nothing
/// about whether it is there.
pub(crate) fn has_encoder(name: &CStr, format: &CStr) -> bool {
    // SAFETY: both end in NUL and outlive the call, which keeps no pointer to them.
    crate::available()
        && unsafe { sys::reelcore_avcodec_has_encoder(name.as_ptr(), format.as_ptr()) } != 0
}

/// What an encoder is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// libavcodec's name of the encoder.
    pub(crate) name: &'static CStr,
    /// libavutil's name of the device that frames go to, where the encoder does not take memory.
    pub(crate) device: Option<&'static CStr>,
    /// libavutil's name of the pixel format.
    pub(crate) format: &'static CStr,
    pub(crate) size: Size,
    /// Bits a second; 0: as the encoder's own options say.
    pub(crate) bitrate: u64,
    /// Bits a second that are not passed, averaged over the buffer; 0: none.
    pub(crate) max_bitrate: u64,
    pub(crate) buffer_bits: u64,
    /// Frames a second.
    pub(crate) framerate: f64,
    pub(crate) threads: usize,
    pub(crate) color_space: ColorSpace,
    /// The encoder's own options: names and values.
    pub(crate) own: Vec<(&'static str, String)>,
}

/// A frame on its way in.
pub(crate) struct Input<'a> {
    pub(crate) planes: &'a [Plane],
    /// Comes out with the packet.
    pub(crate) index: i64,
    pub(crate) key: bool,
    /// What is added to the quantizer: a part of its scale.
    pub(crate) offset: Option<(i32, i32)>,
}

/// A packet, in libavcodec's memory.
pub(crate) struct Packet<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) index: i64,
    /// Whether libavcodec says that it is a key picture.
    pub(crate) key: bool,
}

/// An open encoder.
pub(crate) struct Encoder {
    encoder: NonNull<sys::Encoder>,
    format: &'static CStr,
}

// SAFETY: an encoder may be used by any thread, by one at a time: it has one owner, and its calls take `&mut self`.
unsafe impl Send for Encoder {}

impl Encoder {
    pub(crate) fn new(options: &Options) -> Result<Self, MediaError> {
        let nul = |_| MediaError::argument("an option of an encoder with a NUL");
        let mut words = Vec::with_capacity(options.own.len() * 2);
        for (name, value) in &options.own {
            words.push(CString::new(*name).map_err(nul)?);
            words.push(CString::new(value.as_str()).map_err(nul)?);
        }
        let own: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
        let int = |value: usize| c_int::try_from(value).unwrap_or(c_int::MAX);
        let bits = |value: u64| i64::from(c_int::try_from(value).unwrap_or(c_int::MAX));
        // H.273's 2 says nothing.
        let code = |value: Option<u8>| c_int::from(value.unwrap_or(2));
        let color = options.color_space;
        let raw = sys::EncoderOptions {
            name: options.name.as_ptr(),
            device: options.device.map_or(std::ptr::null(), CStr::as_ptr),
            format: options.format.as_ptr(),
            width: int(options.size.width as usize),
            height: int(options.size.height as usize),
            bitrate: bits(options.bitrate),
            max_bitrate: bits(options.max_bitrate),
            buffer_bits: bits(options.buffer_bits),
            rate_num: (options.framerate * 1000.0).round().clamp(1.0, 1e6) as c_int,
            rate_den: 1000,
            threads: int(options.threads),
            primaries: code(color.primaries.map(|value| value.code_point())),
            transfer: code(color.transfer.map(|value| value.code_point())),
            matrix: code(color.matrix.map(|value| value.code_point())),
            // AVCOL_RANGE_MPEG is 1, AVCOL_RANGE_JPEG is 2, 0 says nothing.
            range: color.full_range.map_or(0, |full| 1 + c_int::from(full)),
            options: own.as_ptr(),
            option_count: own.len(),
        };
        let mut encoder = std::ptr::null_mut();
        // SAFETY: every pointer of `raw` is to a string with a NUL, or to as many of them as it says, or null where
        // the shim allows it; all outlive the call, which keeps none. `encoder` can be written.
        let error = unsafe { sys::reelcore_avcodec_encoder_create(&raw, &mut encoder) };
        match NonNull::new(encoder) {
            Some(encoder) if error >= 0 => Ok(Self {
                encoder,
                format: options.format,
            }),
            _ => Err(media_error(error)),
        }
    }

    /// Sends a frame; `false` where packets must be received first, and it was not taken.
    pub(crate) fn send(&mut self, input: &Input<'_>) -> Result<bool, MediaError> {
        let mut planes = Vec::with_capacity(input.planes.len());
        for plane in input.planes {
            let stride = c_int::try_from(plane.stride)
                .map_err(|_| MediaError::argument(format!("rows {} bytes apart", plane.stride)))?;
            planes.push((plane, stride));
        }
        let planes: Vec<_> = planes
            .into_iter()
            .map(|(plane, stride)| sys::EncoderPlane {
                data: plane.data.as_ptr(),
                len: plane.data.len(),
                stride,
                // Holds the samples until the encoder has read them: some read them later.
                owner: Box::into_raw(Box::new(plane.data.clone())).cast::<c_void>(),
            })
            .collect();
        let (num, den) = input.offset.unwrap_or_default();
        // SAFETY: the encoder is open; the format ends in NUL; the planes are as many and as long as said, and hold
        // the rows of a picture of the encoder's size and format, as the caller has checked (`CpuImage`, which
        // `input_image` compared with the configuration). The shim calls `release` once for each owner.
        let code = unsafe {
            sys::reelcore_avcodec_encoder_send(
                self.encoder.as_ptr(),
                self.format.as_ptr(),
                planes.as_ptr(),
                planes.len(),
                release,
                input.index,
                c_int::from(input.key),
                num,
                den,
            )
        };
        match code {
            0 => Ok(true),
            1 => Ok(false),
            error => Err(media_error(error)),
        }
    }

    /// Says that no more is sent, so that every packet can be received.
    pub(crate) fn end(&mut self) -> Result<(), MediaError> {
        // SAFETY: the encoder is open.
        match unsafe { sys::reelcore_avcodec_encoder_end(self.encoder.as_ptr()) } {
            0 => Ok(()),
            error => Err(media_error(error)),
        }
    }

    /// The next packet; `None` where there is none for now, or none is left.
    pub(crate) fn receive(&mut self) -> Result<Option<Packet<'_>>, MediaError> {
        let (mut data, mut len, mut index, mut key) = (std::ptr::null(), 0, 0, 0);
        // SAFETY: the encoder is open, and all four can be written.
        let code = unsafe {
            sys::reelcore_avcodec_encoder_receive(
                self.encoder.as_ptr(),
                &mut data,
                &mut len,
                &mut index,
                &mut key,
            )
        };
        match code {
            0 if !data.is_null() => Ok(Some(Packet {
                // SAFETY: so many bytes stand there until the next call, for which the borrow of `self` leaves no
                // room.
                data: unsafe { std::slice::from_raw_parts(data, len) },
                index,
                key: key != 0,
            })),
            0 => Err(MediaError::backend("libavcodec gave a packet without data")),
            1 | 2 => Ok(None),
            error => Err(media_error(error)),
        }
    }
}

/// Drops the samples of a plane.
unsafe extern "C" fn release(owner: *mut c_void, _: *mut u8) {
    // SAFETY: `owner` comes from `Box::into_raw` of a `Box<Bytes>` in `send`, and the shim gives each back once.
    drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the encoder is open, and nobody uses it after. Frames that it still holds are released in the call.
        unsafe { sys::reelcore_avcodec_encoder_free(self.encoder.as_ptr()) };
    }
}
