//! libavcodec by itself, for benchmarks: what the library does with a stream when nothing of Reelcore stands around it.
//! Frames are decoded into libavcodec's own memory and dropped.

pub use crate::encode::bare::encode;

use std::ffi::{CStr, c_char, c_int};

use crate::library::Piece;

unsafe extern "C" {
    fn reelcore_avcodec_bare(
        name: *const c_char,
        packets: *const Piece,
        count: usize,
        threads: c_int,
    ) -> i64;
}

/// Decodes `chunks` (of H.264 and HEVC in Annex B, in decoding order) with the decoder that libavcodec calls `name`, and
/// returns the number of frames.
///
/// # Panics
/// When libavcodec reports an error: a benchmark's stream is known to be good.
pub fn decode(name: &CStr, chunks: &[&[u8]], threads: usize) -> usize {
    let pieces: Vec<Piece> = chunks.iter().map(|chunk| Piece::new(chunk)).collect();
    let threads = c_int::try_from(threads).unwrap_or(1);
    // SAFETY: the name ends in NUL; the packets are as many and as long as said, and copied.
    let frames =
        unsafe { reelcore_avcodec_bare(name.as_ptr(), pieces.as_ptr(), pieces.len(), threads) };
    usize::try_from(frames).expect("libavcodec decodes the stream")
}
