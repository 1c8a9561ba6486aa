//! Encoded media: one coded picture or one packet of audio.

use bytes::Bytes;

/// Whether a chunk can be decoded without the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// Stands alone.
    Key,
    /// Needs earlier chunks.
    Delta,
}

/// One coded picture or audio packet. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// Key or delta.
    pub kind: ChunkKind,
    /// Presentation time in microseconds.
    pub timestamp: i64,
    /// Presentation duration in microseconds, where known.
    pub duration: Option<u64>,
    /// The coded bytes, reference-counted.
    pub data: Bytes,
}
