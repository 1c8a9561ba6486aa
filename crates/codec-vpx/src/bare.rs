//! libvpx by itself, for benchmarks: what the library does with a stream when nothing of Reelcore stands around it.
//! Pictures are decoded into libvpx's own memory and dropped.

pub use crate::encode::bare::encode;

use std::ffi::{c_int, c_uint};

use vpx_sys as sys;

use crate::library::{self, Codec};

/// Decodes `chunks` of VP9 or else VP8 and returns the number of pictures. VP9 gets `threads` threads, VP8 one, as in
/// the backend.
///
/// # Panics
/// When libvpx cannot be started or reports an error: a benchmark's stream is known to be good.
pub fn decode(chunks: &[&[u8]], is_vp9: bool, threads: usize) -> usize {
    let mut pictures = 0;
    let codec = if is_vp9 { Codec::Vp9 } else { Codec::Vp8 };
    // SAFETY: the calls follow libvpx's documented order (init, decode and get in turn, destroy) on one thread. Zero is
    // a valid context before init; pointers are to locals that outlive their calls.
    unsafe {
        let config = sys::vpx_codec_dec_cfg_t {
            threads: library::threads(codec, threads),
            w: 0,
            h: 0,
        };
        let mut context = sys::vpx_codec_ctx_t::default();
        let check = |code| assert_eq!(code, sys::vpx_codec_err_t::VPX_CODEC_OK);
        check(sys::vpx_codec_dec_init_ver(
            &mut context,
            codec.interface(),
            &config,
            0,
            sys::VPX_DECODER_ABI_VERSION as c_int,
        ));
        for chunk in chunks {
            check(sys::vpx_codec_decode(
                &mut context,
                chunk.as_ptr(),
                c_uint::try_from(chunk.len()).expect("a chunk of less than 4 GiB"),
                std::ptr::null_mut(),
                0,
            ));
            let mut iter = std::ptr::null();
            while !sys::vpx_codec_get_frame(&mut context, &mut iter).is_null() {
                pictures += 1;
            }
        }
        check(sys::vpx_codec_destroy(&mut context));
    }
    pictures
}
