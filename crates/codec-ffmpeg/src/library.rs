//! libavcodec behind safe types: a decoder and its frames.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;

use bytes::Bytes;
use reelcore_media::color::ColorSpace;
use reelcore_media::vpx::vp9_color_space;
use reelcore_media::{MediaError, Rect, Size};

mod sys {
    use std::ffi::{c_char, c_int};

    #[repr(C)]
    pub(super) struct Decoder {
        _opaque: [u8; 0],
    }

    #[repr(C)]
    pub(super) struct Frame {
        _opaque: [u8; 0],
    }

    /// FrameInfo of shim.c.
    #[repr(C)]
    pub(super) struct FrameInfo {
        pub(super) format: *const c_char,
        pub(super) width: c_int,
        pub(super) height: c_int,
        pub(super) crop_left: i64,
        pub(super) crop_top: i64,
        pub(super) crop_right: i64,
        pub(super) crop_bottom: i64,
        pub(super) data: [*const u8; 4],
        pub(super) linesize: [c_int; 4],
        pub(super) index: i64,
        pub(super) aspect_num: c_int,
        pub(super) aspect_den: c_int,
        pub(super) primaries: c_int,
        pub(super) transfer: c_int,
        pub(super) matrix: c_int,
        pub(super) range: c_int,
        pub(super) corrupt: c_int,
        pub(super) concealed: c_int,
    }

    unsafe extern "C" {
        pub(super) fn reelcore_avcodec_create(
            name: *const c_char,
            extradata: *const u8,
            extradata_len: usize,
            threads: c_int,
            low_delay: c_int,
            strict: c_int,
            inexact: c_int,
            max_pixels: i64,
            out: *mut *mut Decoder,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_free(decoder: *mut Decoder);
        pub(super) fn reelcore_avcodec_send(
            decoder: *mut Decoder,
            pieces: *const super::Piece,
            count: usize,
            index: i64,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_end(decoder: *mut Decoder) -> c_int;
        pub(super) fn reelcore_avcodec_receive(
            decoder: *mut Decoder,
            out: *mut *mut Frame,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_expect_fields(decoder: *mut Decoder);
        pub(super) fn reelcore_avcodec_reset(decoder: *mut Decoder);
        pub(super) fn reelcore_avcodec_verify(decoder: *mut Decoder, index: i64) -> c_int;
        pub(super) fn reelcore_avcodec_complaint(
            decoder: *mut Decoder,
            text: *mut c_char,
            len: usize,
        ) -> c_int;
        pub(super) fn reelcore_avcodec_frame_info(frame: *const Frame, info: *mut FrameInfo);
        pub(super) fn reelcore_avcodec_frame_free(frame: *mut Frame);
        pub(super) fn reelcore_avcodec_is_not_heard(error: c_int) -> c_int;
        pub(super) fn reelcore_avcodec_is_out_of_memory(error: c_int) -> c_int;
        pub(super) fn reelcore_avcodec_is_unsupported(error: c_int) -> c_int;
        pub(super) fn reelcore_avcodec_error(error: c_int, text: *mut c_char, len: usize);
    }
}

/// Piece of shim.h.
#[repr(C)]
pub(crate) struct Piece {
    data: *const u8,
    len: usize,
}

impl Piece {
    /// Valid as long as `data` is.
    pub(crate) fn new(data: &[u8]) -> Self {
        Self {
            data: data.as_ptr(),
            len: data.len(),
        }
    }
}

/// What a decoder is opened with.
pub(crate) struct Options {
    /// libavcodec's name of the decoder.
    pub(crate) name: &'static CStr,
    /// avcC, hvcC, or nothing.
    pub(crate) extradata: Bytes,
    pub(crate) threads: usize,
    /// No frame threads, each of which would hold back a frame.
    pub(crate) low_delay: bool,
    /// Reorder by what the stream may do, not by what it has done so far.
    pub(crate) strict: bool,
    /// References may be missing: that is no damage, but blocks that no slice has are.
    pub(crate) inexact: bool,
    pub(crate) max_pixels: u64,
}

/// What [`Library::receive`] found.
pub(crate) enum Received {
    Frame(Frame),
    /// None until more is sent.
    Again,
    /// None is left.
    End,
}

/// An open decoder.
pub(crate) struct Library(NonNull<sys::Decoder>);

// SAFETY: a decoder may be used by any thread, by one at a time: it has one owner, and its calls take `&mut self`.
unsafe impl Send for Library {}

impl Library {
    pub(crate) fn new(options: &Options) -> Result<Self, MediaError> {
        let mut decoder = std::ptr::null_mut();
        // SAFETY: the name ends in NUL, the extradata is as long as said, `decoder` can be written; none is kept.
        let error = unsafe {
            sys::reelcore_avcodec_create(
                options.name.as_ptr(),
                options.extradata.as_ptr(),
                options.extradata.len(),
                c_int::try_from(options.threads).unwrap_or(1),
                c_int::from(options.low_delay),
                c_int::from(options.strict),
                c_int::from(options.inexact),
                i64::try_from(options.max_pixels).unwrap_or(i64::MAX),
                &mut decoder,
            )
        };
        match NonNull::new(decoder) {
            Some(decoder) if error >= 0 => Ok(Self(decoder)),
            _ => Err(media_error(error)),
        }
    }

    /// Pictures from the next packet on may consist of fields, for the rest of this decoder's life.
    pub(crate) fn expect_fields(&mut self) {
        // SAFETY: the decoder is open.
        unsafe { sys::reelcore_avcodec_expect_fields(self.0.as_ptr()) };
    }

    /// Sends `pieces` as one packet; `false` if frames must be received first. Indices rise; [`Library::find_damage`] leaves out
    /// the pictures of odd ones.
    pub(crate) fn send<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        index: i64,
    ) -> Result<bool, MediaError> {
        let pieces: Vec<Piece> = pieces.map(Piece::new).collect();
        // SAFETY: the decoder is open; the pieces are as many and as long as said, and copied.
        let code = unsafe {
            sys::reelcore_avcodec_send(self.0.as_ptr(), pieces.as_ptr(), pieces.len(), index)
        };
        match code {
            0 => Ok(true),
            1 => Ok(false),
            error => Err(media_error(error)),
        }
    }

    /// Says that no more is sent, so that every frame can be received.
    pub(crate) fn end(&mut self) -> Result<(), MediaError> {
        // SAFETY: the decoder is open.
        match unsafe { sys::reelcore_avcodec_end(self.0.as_ptr()) } {
            0 => Ok(()),
            error => Err(media_error(error)),
        }
    }

    pub(crate) fn receive(&mut self) -> Result<Received, MediaError> {
        let mut frame = std::ptr::null_mut();
        // SAFETY: the decoder is open, `frame` can be written.
        let code = unsafe { sys::reelcore_avcodec_receive(self.0.as_ptr(), &mut frame) };
        match (code, NonNull::new(frame)) {
            (0, Some(frame)) => Ok(Received::Frame(Frame(frame))),
            (1, _) => Ok(Received::Again),
            (2, _) => Ok(Received::End),
            (error, _) => Err(media_error(error)),
        }
    }

    /// Whether damage was found that libavcodec conceals: blocks missing in a picture of the packets up to and with
    /// `index`, all of which must be decoded, or anything that it told as an error.
    pub(crate) fn find_damage(&mut self, index: i64) -> Result<(), MediaError> {
        let mut text = [0u8; 160];
        // SAFETY: the decoder is open; the text can be written up to the length said, and gets a NUL.
        let code = unsafe {
            sys::reelcore_avcodec_complaint(
                self.0.as_ptr(),
                text.as_mut_ptr().cast::<c_char>(),
                text.len(),
            )
        };
        match code {
            0 => {}
            1 => {
                let text = CStr::from_bytes_until_nul(&text).unwrap_or(c"damage");
                return Err(MediaError::invalid_data(format!(
                    "libavcodec: {}",
                    text.to_string_lossy().trim_end()
                )));
            }
            _ => return Err(MediaError::backend(NOT_HEARD)),
        }
        // SAFETY: the decoder is open.
        match unsafe { sys::reelcore_avcodec_verify(self.0.as_ptr(), index) } {
            0 => Ok(()),
            _ => Err(MediaError::invalid_data(
                "the picture, or one that it can refer to, is incomplete: slices or blocks are missing",
            )),
        }
    }

    /// Forgets what was sent; the decoder can start anew.
    pub(crate) fn reset(&mut self) {
        // SAFETY: the decoder is open.
        unsafe { sys::reelcore_avcodec_reset(self.0.as_ptr()) };
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the decoder is open, and nobody uses it after. Frames hold their own references.
        unsafe { sys::reelcore_avcodec_free(self.0.as_ptr()) };
    }
}

const NOT_HEARD: &str = "another user of libavutil in this process took its log callback, by which libavcodec tells damage";

/// The error that libavcodec's code stands for.
pub(crate) fn media_error(code: c_int) -> MediaError {
    // SAFETY: takes a number and compares it.
    if unsafe { sys::reelcore_avcodec_is_not_heard(code) } != 0 {
        return MediaError::unsupported(NOT_HEARD);
    }
    let mut text = [0u8; 128];
    // SAFETY: the text can be written up to the length said, and gets a NUL.
    unsafe { sys::reelcore_avcodec_error(code, text.as_mut_ptr().cast::<c_char>(), text.len()) };
    let text = CStr::from_bytes_until_nul(&text).unwrap_or(c"unknown error");
    let message = format!("libavcodec: {}", text.to_string_lossy());
    // SAFETY: both take a number and compare it.
    let (memory, unsupported) = unsafe {
        (
            sys::reelcore_avcodec_is_out_of_memory(code) != 0,
            sys::reelcore_avcodec_is_unsupported(code) != 0,
        )
    };
    if memory {
        MediaError::backend(message)
    } else if unsupported {
        MediaError::unsupported(message)
    } else {
        MediaError::invalid_data(message)
    }
}

/// A reference to a decoded frame.
pub(crate) struct Frame(NonNull<sys::Frame>);

// SAFETY: reference counts of libavutil are atomic, so that any thread may drop the last one.
unsafe impl Send for Frame {}
// SAFETY: the shared operations only read. libavcodec may still read the samples too, as a reference picture, but
// writes none after it has handed a frame out.
unsafe impl Sync for Frame {}

/// What a frame says of itself.
pub(crate) struct FrameInfo {
    raw: sys::FrameInfo,
}

impl Frame {
    pub(crate) fn info(&self) -> FrameInfo {
        let mut raw = std::mem::MaybeUninit::uninit();
        // SAFETY: the frame is held; the shim writes every field.
        let raw = unsafe {
            sys::reelcore_avcodec_frame_info(self.0.as_ptr(), raw.as_mut_ptr());
            raw.assume_init()
        };
        FrameInfo { raw }
    }

    /// The samples of plane `index`, `rows` of them with `row_bytes` each, and the stride; `None` where the frame has
    /// no such plane.
    ///
    /// # Safety
    /// `rows` and `row_bytes` must be those of the frame's own size and format.
    pub(crate) unsafe fn plane(
        &self,
        index: usize,
        rows: usize,
        row_bytes: usize,
    ) -> Option<(&[u8], usize)> {
        let info = self.info();
        let data = *info.raw.data.get(index)?;
        let stride = usize::try_from(*info.raw.linesize.get(index)?).ok()?;
        if data.is_null() || stride < row_bytes || rows == 0 {
            return None;
        }
        let len = stride.checked_mul(rows - 1)?.checked_add(row_bytes)?;
        // SAFETY: libavcodec's buffers hold every row of a plane, `stride` bytes apart; they live as long as the
        // reference, and nobody writes them any more.
        Some((unsafe { std::slice::from_raw_parts(data, len) }, stride))
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: the value holds the reference, and gives it back once.
        unsafe { sys::reelcore_avcodec_frame_free(self.0.as_ptr()) };
    }
}

impl FrameInfo {
    /// The pixel format, as libavutil calls it.
    pub(crate) fn format(&self) -> &'static str {
        if self.raw.format.is_null() {
            return "none";
        }
        // SAFETY: names of pixel formats are constants of libavutil.
        let name: &'static CStr = unsafe { CStr::from_ptr(self.raw.format) };
        name.to_str().unwrap_or("none")
    }

    /// The size with what is not shown.
    pub(crate) fn coded_size(&self) -> Size {
        let side = |value: c_int| u32::try_from(value).unwrap_or(0);
        Size::new(side(self.raw.width), side(self.raw.height))
    }

    /// The part that is shown; `None` where nothing is left of the frame.
    pub(crate) fn visible_rect(&self) -> Option<Rect> {
        let edge = |value: i64| u32::try_from(value).ok();
        let size = self.coded_size();
        let (x, y) = (edge(self.raw.crop_left)?, edge(self.raw.crop_top)?);
        let width = size.width.checked_sub(x)?;
        let height = size.height.checked_sub(y)?;
        let rect = Rect {
            x,
            y,
            width: width.checked_sub(edge(self.raw.crop_right)?)?,
            height: height.checked_sub(edge(self.raw.crop_bottom)?)?,
        };
        (rect.width > 0 && rect.height > 0).then_some(rect)
    }

    /// The index of the packet that the frame came from.
    pub(crate) fn index(&self) -> i64 {
        self.raw.index
    }

    /// The sample aspect ratio, where the stream says one.
    pub(crate) fn sample_aspect(&self) -> Option<(u64, u64)> {
        let side = |value: c_int| u64::try_from(value).ok().filter(|value| *value > 0);
        Some((side(self.raw.aspect_num)?, side(self.raw.aspect_den)?))
    }

    /// The colour space; libavutil's numbers are the code points of H.273.
    pub(crate) fn color_space(&self) -> ColorSpace {
        let code = |value: c_int| u8::try_from(value).unwrap_or(2);
        // AVCOL_RANGE_MPEG is 1, AVCOL_RANGE_JPEG is 2, 0 says nothing.
        let full = self.raw.range == 2 || self.format().starts_with("yuvj");
        let known = full || self.raw.range == 1;
        ColorSpace {
            full_range: known.then_some(full),
            ..ColorSpace::from_code_points(
                code(self.raw.primaries),
                code(self.raw.transfer),
                code(self.raw.matrix),
                full,
            )
        }
    }

    /// The colour space of a VP9 picture. libavcodec says a matrix for each color_space (7.2.2) and nothing of primaries
    /// and transfer; the number is found again by it, so that every backend means the same by it.
    pub(crate) fn vp9_color_space(&self) -> ColorSpace {
        let color_space = match self.raw.matrix {
            5 => 1,
            1 => 2,
            6 => 3,
            7 => 4,
            9 => 5,
            0 => 7,
            _ => 0,
        };
        vp9_color_space(color_space, self.raw.range == 2)
    }

    /// Whether libavcodec noticed damage: missing references, slices or blocks.
    pub(crate) fn damaged(&self) -> bool {
        self.raw.corrupt != 0 || self.concealed()
    }

    /// Whether slices or blocks are missing.
    pub(crate) fn concealed(&self) -> bool {
        self.raw.concealed != 0
    }
}
