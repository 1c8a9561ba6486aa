//! The traits behind which every demuxer stands, and the byte sources they read.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::EncodedChunk;
use crate::color::ColorSpace;
use crate::geometry::{Rotation, Size};

/// Bytes that can be read at offsets: a file, memory, or a stream that still arrives. Reads block; they happen on
/// workers.
pub trait Source: Send + Sync {
    /// The length in bytes; `None` while it is not known (a stream).
    ///
    /// # Errors
    /// What the system reports.
    fn len(&self) -> io::Result<Option<u64>>;

    /// Whether it is known that there are no bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == Some(0))
    }

    /// Whether any offset can be read at any time. Where not, the bytes come in order: a read waits until they have
    /// arrived, and those far behind the last read may be gone (an error of [`io::ErrorKind::Unsupported`]). A
    /// demuxer then opens from what stands first, and does not look for an index at the end.
    fn is_seekable(&self) -> bool {
        true
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 only at the end.
    ///
    /// # Errors
    /// What the system reports.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// `len` bytes at `offset` without a copy, for sources that are in memory.
    fn shared(&self, offset: u64, len: usize) -> Option<Bytes> {
        let _ = (offset, len);
        None
    }
}

/// What went wrong in a container.
#[derive(Debug, thiserror::Error)]
pub enum DemuxError {
    /// No demuxer knows the content.
    #[error("unknown container: {0}")]
    UnknownContainer(String),
    /// The data is not what the format prescribes.
    #[error("{message} at byte {offset}")]
    Invalid {
        /// Byte offset in the source.
        offset: u64,
        /// What was expected and what was found.
        message: String,
    },
    /// A part that the format allows and this demuxer does not support.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A configured cap was reached.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// Reading failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// What a track holds, with all a decoder needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video {
        /// Coded size in pixels.
        coded_size: Size,
        /// Display aspect ratio as a pair of numbers, before rotation.
        display_aspect: Size,
        /// Whether the container itself says nothing of that ratio: it is what the first pictures say, or that of their size.
        /// Decoders are left to go by the stream, which may change.
        aspect_of_stream: bool,
        /// Rotation for display, clockwise.
        rotation: Rotation,
        /// Mirrored for display.
        flip: bool,
        /// What the container says of colour.
        color_space: ColorSpace,
    },
    /// Sound.
    Audio {
        /// Frames a second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
    /// Anything else (subtitles, metadata), by its handler or codec name.
    Other(String),
}

/// One track of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The container's own number for it.
    pub id: u32,
    /// What it holds.
    pub kind: TrackKind,
    /// The codec string for WebCodecs, such as `avc1.64001f`; `None` for an unknown codec.
    pub codec: Option<String>,
    /// Codec-specific set-up in the form of the codec's WebCodecs registration.
    pub description: Option<Bytes>,
    /// ISO 639-2 language, where given.
    pub language: Option<String>,
    /// A name for people, where given.
    pub name: Option<String>,
    /// How the samples are encrypted. `codec` is `None` then, while `kind` is as it would be in clear.
    pub encryption: Option<Encryption>,
    /// Duration in microseconds, where known.
    pub duration: Option<u64>,
    /// Number of samples, where known without reading the whole file.
    pub samples: Option<u64>,
}

/// What a decoder of a track is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackConfig {
    /// As [`Track::kind`].
    pub kind: TrackKind,
    /// As [`Track::codec`].
    pub codec: Option<String>,
    /// As [`Track::description`].
    pub description: Option<Bytes>,
    /// As [`Track::encryption`].
    pub encryption: Option<Encryption>,
}

impl Track {
    /// What a decoder of the track's first packets is configured with.
    pub fn config(&self) -> TrackConfig {
        TrackConfig {
            kind: self.kind.clone(),
            codec: self.codec.clone(),
            description: self.description.clone(),
            encryption: self.encryption.clone(),
        }
    }

    /// The track as it is where `config` holds.
    #[must_use]
    pub fn with_config(&self, config: &TrackConfig) -> Self {
        Self {
            kind: config.kind.clone(),
            codec: config.codec.clone(),
            description: config.description.clone(),
            encryption: config.encryption.clone(),
            ..self.clone()
        }
    }
}

/// How the samples of a track are encrypted (ISO/IEC 23001-7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The protection scheme, such as `cenc` or `cbcs`; Matroska's is `cenc` too.
    pub scheme: Option<String>,
    /// The key identifier of samples that name no other.
    pub default_kid: Option<[u8; 16]>,
    /// The codec string as it would be in clear, where the container keeps it.
    pub original_codec: Option<String>,
    /// Protection system specific headers, one list for all tracks: for each its whole `pssh` box (MP4), or the content of Matroska's
    /// ContentEncKeyID and alike.
    pub pssh: Arc<[Bytes]>,
}

/// How one sample is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleEncryption {
    /// The key, where it is not the track's default.
    pub kid: Option<[u8; 16]>,
    /// The initialisation vector: 0, 8 or 16 bytes.
    pub iv: Bytes,
    /// Runs of clear and then of protected bytes. Empty: the whole sample is protected.
    pub subsamples: Vec<Subsample>,
    /// For pattern encryption (`cbcs`, `cens`): protected and clear blocks of 16 bytes in each pattern.
    pub pattern: Option<(u8, u8)>,
}

/// A run of clear bytes, then one of protected bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Bytes in clear.
    pub clear: u32,
    /// Bytes protected.
    pub protected: u32,
}

/// A packet with what the container says of it beyond the chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The chunk to decode.
    pub chunk: EncodedChunk,
    /// Decode time in microseconds, on the same time line as the chunk's timestamp, and never after it: where a container's
    /// own decode times are (offsets below 0 in MP4), all of the track's are moved back. They do not decrease from packet to
    /// packet as long as the container's do not, where the container tells beforehand how far pictures are reordered.
    pub decode_time: i64,
    /// Where the data begins in the source.
    pub offset: u64,
    /// Whether any of it is shown or heard. A packet that is not must still be decoded: others refer to it, or
    /// the decoder settles on it (audio priming, lead-in to an edit).
    pub presented: bool,
    /// How it is encrypted; `None` for a sample in clear.
    pub encryption: Option<Arc<SampleEncryption>>,
    /// What decoders are configured with from this packet on, where it changes in the middle of the track: they are flushed
    /// and configured anew. In a track that has several, the first packet after a [`PacketReader::seek`] has it always. `None`
    /// where what came before holds on, which at a reader's start is the track's own.
    pub config: Option<Arc<TrackConfig>>,
}

/// An opened container.
pub trait Demuxer: Send + Sync {
    /// The container's short name, such as `mp4`.
    fn container(&self) -> &'static str;

    /// Duration of the presentation in microseconds, where known.
    fn duration(&self) -> Option<u64>;

    /// The tracks, in the container's order.
    fn tracks(&self) -> &[Track];

    /// What the container says of the presentation: names in lower case, as FFmpeg names them (`title`, `artist`,
    /// `encoder`, ...), in the container's order.
    fn tags(&self) -> &[(String, String)] {
        &[]
    }

    /// The container's own name for what the track at `index` holds, such as a four-character code, where it has no codec string
    /// and is of pictures or sound.
    fn format(&self, index: usize) -> Option<&str> {
        let _ = index;
        None
    }

    /// A reader of the track at `index` in [`Demuxer::tracks`], at its start. Readers are
    /// independent of one another.
    ///
    /// # Errors
    /// [`DemuxError::Unsupported`] for an index out of range.
    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError>;
}

/// Reads the packets of one track in decode order.
pub trait PacketReader: Send {
    /// Moves to the last key packet whose presentation time is at or before `time` (microseconds), or the
    /// first one where none is. Returns its presentation time, or `None` for an empty track.
    ///
    /// # Errors
    /// As [`PacketReader::next_sample`].
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError>;

    /// The next packet, or `None` at the end. After an error the reader is at its end until the next
    /// [`PacketReader::seek`].
    ///
    /// # Errors
    /// When the container is invalid there or cannot be read.
    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError>;

    /// As [`PacketReader::next_sample`], the chunk alone: enough for who does not decode, as it does not tell of
    /// [`Packet::config`].
    ///
    /// # Errors
    /// As [`PacketReader::next_sample`].
    fn next_packet(&mut self) -> Result<Option<EncodedChunk>, DemuxError> {
        Ok(self.next_sample()?.map(|packet| packet.chunk))
    }
}
