//! IVF: frames of VP8, VP9 or AV1, each with its size and time.
//! <https://wiki.multimedia.cx/index.php/Duck_IVF>

mod frames;
mod mux;
mod packets;

use std::sync::{Arc, Mutex};

use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Source, Track, TrackKind};
use reelcore_media::{ColorSpace, Rotation, Size};

use self::frames::{Codec, Frames, Index};
use self::packets::IvfPacketReader;
use crate::Limits;
use crate::window::{AHEAD_SPARSE, Window};

pub use self::mux::IvfMuxer;

/// Bytes of the file's header.
const HEADER: usize = 32;

/// Whether the first bytes of a source (64 of them, or all there are) can be IVF.
pub fn probe(head: &[u8]) -> bool {
    head.starts_with(b"DKIF")
}

/// An opened IVF file.
pub struct IvfDemuxer {
    frames: Frames,
    window: Window,
    tracks: [Track; 1],
    duration: Option<u64>,
    index: Mutex<Index>,
}

impl std::fmt::Debug for IvfDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IvfDemuxer")
            .field("frames", &self.frames)
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

impl IvfDemuxer {
    /// Opens an IVF file: reads its header and the start of its first frame, and of a source that can be read anywhere the
    /// headers of its frames, for their end, up to a number of them.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not IVF.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let invalid = |offset, message| DemuxError::Invalid { offset, message };
        let head = window.peek(0, HEADER, AHEAD_SPARSE)?;
        let Some(head) = head.first_chunk::<HEADER>().filter(|head| probe(&head[..])) else {
            return Err(invalid(
                0,
                format!(
                    "expected an IVF header of {HEADER} bytes, found {}",
                    head.len()
                ),
            ));
        };
        let short = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let long =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (version, length) = (short(4), short(6));
        if version != 0 {
            return Err(invalid(4, format!("expected version 0, found {version}")));
        }
        if usize::from(length) < HEADER {
            return Err(invalid(
                6,
                format!("expected a header of {HEADER} bytes or more, found {length}"),
            ));
        }
        let four_cc = [head[8], head[9], head[10], head[11]];
        let mut size = Size::new(u32::from(short(12)), u32::from(short(14)));
        let (rate, scale) = (long(16), long(20));
        if rate == 0 || scale == 0 {
            return Err(invalid(
                16,
                format!("expected a time base above 0, found {scale}/{rate}"),
            ));
        }
        let frames = Frames {
            start: u64::from(length),
            rate,
            scale,
            codec: Codec::from_four_cc(four_cc),
            limits: limits.clone(),
        };
        // 0 and all ones stand for what a writer did not know.
        let ticks = Some(long(24)).filter(|&ticks| !matches!(ticks, 0 | u32::MAX));
        let first = frames.first(&mut window)?;
        if size.area() == 0 {
            size = first.size.unwrap_or_default();
        }
        let end = frames.end(&mut window, ticks);
        let duration = end.and_then(|end| u64::try_from(frames.micros(end)).ok());
        let track = Track {
            id: 1,
            kind: TrackKind::Video {
                coded_size: size,
                display_aspect: size,
                aspect_of_stream: true,
                rotation: Rotation::R0,
                flip: false,
                color_space: ColorSpace::default(),
            },
            codec: first.codec,
            description: None,
            language: None,
            name: None,
            encryption: None,
            duration,
            samples: None,
        };
        Ok(Self {
            index: Mutex::new(Index::new(window.another(), &frames)),
            window,
            frames,
            tracks: [track],
            duration,
        })
    }
}

impl Demuxer for IvfDemuxer {
    fn container(&self) -> &'static str {
        "ivf"
    }

    fn duration(&self) -> Option<u64> {
        self.duration
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        if index != 0 {
            return Err(DemuxError::Unsupported(format!("track {index} of 1")));
        }
        Ok(Box::new(IvfPacketReader::new(self)))
    }
}
