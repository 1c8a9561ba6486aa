//! Encoded media: one coded picture or one packet of audio.

use std::sync::Arc;
use std::time::Duration;

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
    /// What a container says beside the bytes; rarely there.
    pub side: Option<Arc<SideData>>,
}

impl EncodedChunk {
    /// A chunk without a duration and without side data.
    pub fn new(kind: ChunkKind, timestamp: i64, data: Bytes) -> Self {
        Self {
            kind,
            timestamp,
            duration: None,
            data,
            side: None,
        }
    }
}

/// What a container says of a packet beside its bytes. WebCodecs has no name for it: a chunk that a script makes
/// has none, one that `Reelcore.Demuxer` makes keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideData {
    /// The coded alpha plane (Matroska's BlockAdditional with BlockAddID 1): a picture of the same codec whose luma
    /// is the alpha of this one.
    pub alpha: Option<Bytes>,
    /// The picture is decoded, as others may refer to it, and not shown: an edit list leaves it out. The engine drops it.
    pub hidden: bool,
    /// Decoded audio to drop at the packet's start (codec delay, edit lists, encoder delay). The nearest whole frame at
    /// the decoded rate counts. May be longer than the packet: then nothing of it is heard.
    pub discard_start: Duration,
    /// Decoded audio to drop at the packet's end (DiscardPadding, end trimming), as `discard_start`.
    pub discard_end: Duration,
    /// The timestamp is the time of the first frame that is kept, as encoders count, and not of the first that is
    /// decoded, as containers count. A decoder that a script feeds with chunks of an encoder drops nothing, as in
    /// browsers; a muxer moves the track back by the first packet's `discard_start`.
    pub counts_kept: bool,
}
