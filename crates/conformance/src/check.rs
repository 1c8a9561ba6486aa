//! Decodes a stream and compares.

use std::collections::HashMap;

use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{ErrorKind, MediaError, VideoDecoderBackend, VideoFrame};

use crate::error::Error;
use crate::md5::frame_md5;
use crate::stream::Stream;

/// Bytes of picture memory that wait for their next use.
const POOL_BYTES: usize = 64 << 20;

/// What a stream that agrees gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Frames that came out.
    pub frames: usize,
    /// Checksums that were compared: 0 for a stream without, one or two for each frame otherwise.
    pub compared: usize,
}

/// How a decoder and the reference differ.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// The stream itself cannot be used.
    #[error(transparent)]
    Stream(#[from] Error),
    /// The backend refused the stream as unsupported before the first frame, so that another can take over.
    #[error("refused: {0}")]
    Refused(MediaError),
    /// The decoder failed.
    #[error("chunk {chunk:?} after {frames} frames: {error}")]
    Failed {
        /// The chunk in decoding order, `None` at the flush.
        chunk: Option<usize>,
        /// Frames that came out before.
        frames: usize,
        /// What it said.
        error: MediaError,
    },
    /// The number of frames differs.
    #[error("{found} frames, expected {want}")]
    Count {
        /// Frames that came out.
        found: usize,
        /// Frames of the reference.
        want: usize,
    },
    /// A frame has times that are no chunk's, those of a chunk that gave a frame already, or comes out of order.
    #[error("frame {frame} with timestamp {timestamp} and duration {duration:?}: {reason}")]
    Times {
        /// The frame in output order.
        frame: usize,
        /// Its timestamp.
        timestamp: i64,
        /// Its duration.
        duration: Option<u64>,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Pictures differ; count, order and times are right.
    #[error("{} of {of} frames differ, the first is frame {:?}", frames.len(), frames.first())]
    Pictures {
        /// The frames that differ, in output order.
        frames: Vec<usize>,
        /// All frames.
        of: usize,
    },
}

/// What is kept of a frame: not its pixels.
struct Seen {
    timestamp: i64,
    duration: Option<u64>,
    agrees: bool,
}

/// Decodes all of `stream` with `backend` on `threads` threads, and compares the MD5 of each frame with those of the
/// stream, in output order. Every timestamp and duration must be a chunk's and come out once, in ascending order where
/// the stream's order of output is known.
///
/// # Errors
/// [`Mismatch`], the first of its variants that applies.
pub fn check(
    backend: &dyn VideoDecoderBackend,
    stream: &Stream,
    threads: usize,
) -> Result<Report, Mismatch> {
    let chunks = stream.chunks()?;
    let config = stream.config()?;
    let context = DecoderContext {
        pool: BufferPool::new(POOL_BYTES),
        threads,
        limits: Limits::default(),
    };
    let mut seen: Vec<Seen> = Vec::new();
    let mut compared = 0;
    let mut sink = |mut frame: VideoFrame| {
        if stream.left_not_cropped() {
            frame.visible_rect.width += frame.visible_rect.x;
            frame.visible_rect.x = 0;
        }
        let mut agrees = true;
        for checksums in &stream.checksums {
            let sum = frame_md5(&frame, checksums.layout);
            agrees &= sum.is_some() && sum.as_ref() == checksums.md5.get(seen.len());
            compared += 1;
        }
        seen.push(Seen {
            timestamp: frame.timestamp,
            duration: frame.duration,
            agrees,
        });
    };
    let mut decoder = backend
        .start(&config, &context)
        .map_err(Mismatch::Refused)?;
    let mut failed = None;
    for (index, chunk) in chunks.iter().enumerate() {
        if let Err(error) = decoder.decode(chunk, &mut sink) {
            failed = Some((Some(index), error));
            break;
        }
    }
    if failed.is_none() {
        failed = decoder.flush(&mut sink).err().map(|error| (None, error));
    }
    match failed {
        Some((_, error)) if error.kind == ErrorKind::Unsupported && seen.is_empty() => {
            return Err(Mismatch::Refused(error));
        }
        Some((chunk, error)) => {
            return Err(Mismatch::Failed {
                chunk,
                frames: seen.len(),
                error,
            });
        }
        None => {}
    }
    // Chunks that show nothing are told by the checksums alone.
    let counts: Vec<usize> = stream.checksums.iter().map(|c| c.md5.len()).collect();
    for want in if counts.is_empty() {
        vec![chunks.len()]
    } else {
        counts
    } {
        if seen.len() != want {
            return Err(Mismatch::Count {
                found: seen.len(),
                want,
            });
        }
    }
    let mut durations: HashMap<i64, Option<u64>> =
        chunks.iter().map(|c| (c.timestamp, c.duration)).collect();
    let mut last = None;
    for (index, frame) in seen.iter().enumerate() {
        let reason = match durations.remove(&frame.timestamp) {
            None => Some("no chunk has this timestamp, or its frame came already"),
            Some(duration) if duration != frame.duration => Some("not the chunk's duration"),
            Some(_) if stream.ascending() && last.is_some_and(|last| frame.timestamp < last) => {
                Some("after a frame that follows it")
            }
            Some(_) => None,
        };
        if let Some(reason) = reason {
            return Err(Mismatch::Times {
                frame: index,
                timestamp: frame.timestamp,
                duration: frame.duration,
                reason,
            });
        }
        last = Some(frame.timestamp);
    }
    let wrong = seen.iter().enumerate().filter(|(_, frame)| !frame.agrees);
    let wrong: Vec<usize> = wrong.map(|(index, _)| index).collect();
    if !wrong.is_empty() {
        return Err(Mismatch::Pictures {
            frames: wrong,
            of: seen.len(),
        });
    }
    Ok(Report {
        frames: seen.len(),
        compared,
    })
}
