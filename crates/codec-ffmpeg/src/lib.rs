//! Video decoding and encoding over the system's libavcodec, and which version and decoders it has.
//!
//! It is linked dynamically, and only where `pkg-config` finds it (FFmpeg 5.1 to 8) at build time; elsewhere
//! [`Ffmpeg`], [`FfmpegEncoder`] and [`FfmpegHardwareEncoder`] refuse everything as unsupported.

use std::ffi::CStr;

#[cfg(libavcodec)]
mod avc;
mod backend;
#[cfg(libavcodec)]
mod decoder;
mod encode;
#[cfg(libavcodec)]
mod hevc;
#[cfg(libavcodec)]
mod library;
#[cfg(libavcodec)]
mod samples;

#[cfg(all(libavcodec, feature = "bench"))]
pub mod bare;

pub use backend::{Codec, Ffmpeg};
pub use encode::{FfmpegEncoder, FfmpegHardwareEncoder};

/// Stands for the library where there is none.
#[cfg(all(not(libavcodec), feature = "bench"))]
pub mod bare {
    use std::ffi::CStr;

    use reelcore_media::encoder::VideoEncoderConfig;
    use reelcore_media::{CpuImage, MediaError};

    /// Decodes nothing.
    ///
    /// # Panics
    /// Always.
    pub fn decode(_: &CStr, _: &[&[u8]], _: usize) -> usize {
        panic!("built without libavcodec")
    }

    /// Encodes nothing.
    ///
    /// # Errors
    /// Always.
    pub fn encode(
        _: &VideoEncoderConfig,
        _: usize,
        _: &[CpuImage],
        _: u64,
        _: Option<u16>,
    ) -> Result<Vec<Vec<u8>>, MediaError> {
        Err(crate::backend::without_library())
    }
}

#[cfg(libavcodec)]
mod sys {
    use std::ffi::{c_char, c_int, c_uint};

    unsafe extern "C" {
        pub(crate) fn reelcore_avcodec_headers() -> c_uint;
        pub(crate) fn reelcore_avcodec_version() -> c_uint;
        pub(crate) fn reelcore_avcodec_has_decoder(name: *const c_char) -> c_int;
    }
}

/// Major, minor and micro version of the libavcodec that runs; `None` where the build found none.
pub fn version() -> Option<(u32, u32, u32)> {
    #[cfg(libavcodec)]
    {
        // SAFETY: takes nothing, returns a constant of the library.
        let version = unsafe { sys::reelcore_avcodec_version() };
        Some((version >> 16, (version >> 8) & 0xff, version & 0xff))
    }
    #[cfg(not(libavcodec))]
    None
}

/// Whether libavcodec can be used: the build found it, and the one that runs has the major version of the headers
/// (another one has other layouts).
pub fn available() -> bool {
    #[cfg(libavcodec)]
    {
        // SAFETY: takes nothing, returns a constant of the headers.
        let headers = unsafe { sys::reelcore_avcodec_headers() };
        version().is_some_and(|(major, ..)| major == headers >> 16)
    }
    #[cfg(not(libavcodec))]
    false
}

/// Whether libavcodec is [`available`] and has the decoder that it calls `name`, such as `aac` or `libdav1d`.
pub fn has_decoder(name: &CStr) -> bool {
    #[cfg(libavcodec)]
    {
        // SAFETY: `name` ends in NUL and outlives the call, which keeps no pointer to it.
        available() && unsafe { sys::reelcore_avcodec_has_decoder(name.as_ptr()) } != 0
    }
    #[cfg(not(libavcodec))]
    {
        let _ = name;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_in_use_is_of_a_version_that_is_known() {
        if let Some((major, ..)) = version() {
            assert!(available());
            assert!((59..63).contains(&major), "libavcodec {major}");
        } else {
            assert!(!available());
        }
    }

    #[test]
    fn decoders_are_there_only_with_the_library() {
        assert_eq!(has_decoder(c"aac"), available());
        assert!(!has_decoder(c"no such decoder"));
    }
}
