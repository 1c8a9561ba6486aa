//! The traits behind which every muxer stands, and the byte sinks that they write to.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::chunk::EncodedChunk;
use crate::color::ColorSpace;
use crate::geometry::{Rotation, Size};

/// Where a muxer writes: a file, memory, or a stream. Calls may block; they happen on workers.
pub trait Sink: Send {
    /// Appends `data`.
    ///
    /// # Errors
    /// What the system reports.
    fn write(&mut self, data: Bytes) -> io::Result<()>;

    /// Whether what was written can be changed. Where not, [`Sink::patch`] and [`Sink::insert`] fail with
    /// [`io::ErrorKind::Unsupported`], and a muxer chooses a form of its container that needs neither.
    fn is_seekable(&self) -> bool;

    /// Overwrites bytes that were written before; `offset + data.len()` is at most what was written.
    ///
    /// # Errors
    /// What the system reports.
    fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Inserts `data` at `offset`, and moves what follows.
    ///
    /// # Errors
    /// What the system reports.
    fn insert(&mut self, offset: u64, data: &[u8]) -> io::Result<()>;
}

/// What went wrong while a container was written.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The container cannot hold it, or this muxer cannot write it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A track, a packet or a call that is against the rules.
    #[error("{0}")]
    Invalid(String),
    /// A configured cap was reached.
    #[error("limit exceeded: {0}")]
    Limit(String),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
}

/// What a track to write holds.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputKind {
    /// Pictures.
    Video {
        /// Coded size in pixels.
        coded_size: Size,
        /// Display aspect ratio as a pair of numbers, before rotation; `None` for square pixels.
        display_aspect: Option<Size>,
        /// Rotation for display, clockwise.
        rotation: Rotation,
        /// Mirrored for display, after rotation.
        flip: bool,
        /// The colour space; unknown members are not written.
        color_space: ColorSpace,
        /// Frames a second, where it is constant and known.
        framerate: Option<f64>,
        /// Whether packets carry alpha in their side data.
        alpha: bool,
    },
    /// Sound.
    Audio {
        /// Frames a second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
}

/// A track to write.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTrack {
    /// What it holds.
    pub kind: OutputKind,
    /// The codec string of WebCodecs, such as `avc1.64001f`.
    pub codec: String,
    /// Codec-specific set-up in the form of the codec's WebCodecs registration.
    pub description: Option<Bytes>,
    /// ISO 639-2 language, where known.
    pub language: Option<String>,
    /// A name for people.
    pub name: Option<String>,
}

/// A packet to write.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPacket {
    /// The chunk. Chunks come in decoding order. Its side data (alpha, discarded sound) is written where the container
    /// has a place for it.
    pub chunk: EncodedChunk,
    /// When to decode it, in microseconds on the time line of its timestamp; `None` lets the muxer find out from the
    /// order of timestamps.
    pub decode_time: Option<i64>,
    /// The set-up that holds from this packet on, where it changed in mid-stream.
    pub description: Option<Bytes>,
}

impl OutputPacket {
    /// A packet of which nothing but the chunk is known.
    pub fn new(chunk: EncodedChunk) -> Self {
        Self {
            chunk,
            decode_time: None,
            description: None,
        }
    }
}

/// What all muxers can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct MuxOptions {
    /// What to say of the presentation: names as FFmpeg has them (`title`, `artist`, ...).
    pub tags: Vec<(String, String)>,
    /// The most that packets of one track wait for those of others.
    pub max_interleave: Duration,
    /// The most bytes that may be held in memory: packets that wait, and tables that are written at the end.
    pub max_buffered_bytes: usize,
    /// MP4: a progressive file begins with its index, so that it plays while it loads. What was written is moved once.
    pub fast_start: bool,
    /// MP4: fragments, each with its own index (fMP4, CMAF), rather than one index. Everything is final once written.
    pub fragmented: bool,
    /// MP4: how long a fragment lasts at least, before the next key picture starts another.
    pub fragment_duration: Duration,
    /// Matroska: neither lengths nor an index, so that all is final once written. Sinks that cannot seek get it always.
    pub live: bool,
}

impl Default for MuxOptions {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            max_interleave: Duration::from_secs(10),
            max_buffered_bytes: 512 << 20,
            fast_start: true,
            fragmented: false,
            fragment_duration: Duration::from_secs(1),
            live: false,
        }
    }
}

/// A container that is being written. It does no input or output but through the sink that each call gets, which is
/// the same one every time.
pub trait Muxer: Send {
    /// The container's short name, such as `mp4`.
    fn container(&self) -> &'static str;

    /// Adds a track, and returns its index. Only before the first packet.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] for a codec that the container has no place for; [`MuxError::Invalid`] for a
    /// description that is missing or malformed.
    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError>;

    /// Writes a packet of the track at `index`, or keeps it until its turn comes among the tracks.
    ///
    /// # Errors
    /// When the packet does not fit the container, and what the sink reports. The file is then not complete.
    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError>;

    /// No packet follows on the track at `index`: others need not wait for it.
    ///
    /// # Errors
    /// As [`Muxer::write`].
    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError>;

    /// Writes what is still kept and what ends the file. Nothing may be written after it.
    ///
    /// # Errors
    /// As [`Muxer::write`].
    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError>;
}
