//! What the tests of every video codec crate do with a decoder.

use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{EncodedChunk, VideoDecoder, VideoFrame};

use crate::md5::{Layout, frame_md5};

/// Bytes of picture memory that wait for their next use.
const POOL_BYTES: usize = 64 << 20;

/// A context with a pool of its own and the default caps.
pub fn context(threads: usize) -> DecoderContext {
    DecoderContext {
        pool: BufferPool::new(POOL_BYTES),
        threads,
        limits: Limits::default(),
    }
}

/// Decodes all chunks and flushes.
///
/// # Panics
/// On an error of the decoder.
pub fn decode_all(decoder: &mut dyn VideoDecoder, chunks: &[EncodedChunk]) -> Vec<VideoFrame> {
    let mut frames = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        decoder
            .decode(chunk, &mut |frame| frames.push(frame))
            .unwrap_or_else(|error| panic!("chunk {index}: {error}"));
    }
    decoder
        .flush(&mut |frame| frames.push(frame))
        .unwrap_or_else(|error| panic!("flush: {error}"));
    frames
}

/// The MD5 of the visible part in the planes of its own format, tightly packed.
///
/// # Panics
/// Where [`frame_md5`] has none.
pub fn md5(frame: &VideoFrame) -> String {
    frame_md5(frame, Layout::Planar).expect("pixels in CPU memory")
}

/// The [`md5`] of each frame.
///
/// # Panics
/// As [`md5`].
pub fn checksums(frames: &[VideoFrame]) -> Vec<String> {
    frames.iter().map(md5).collect()
}

/// Timestamp and duration of each frame.
pub fn times(frames: &[VideoFrame]) -> Vec<(i64, Option<u64>)> {
    frames.iter().map(|f| (f.timestamp, f.duration)).collect()
}
