//! Raw streams of H.264 and HEVC: the byte stream format (annex B of ITU-T H.264 and of H.265).
//!
//! One packet is one access unit, in the "annexb" form of the codecs' WebCodecs registrations, without a `description`.
//! Such a stream has no times: they come from the frame rate in its usability information, or 25 frames a second where
//! that says nothing, as FFmpeg takes it; the first picture that is shown is at 0. Pictures are given in decoding order with
//! the times of their places in output order, which picture order counts tell; what is read ahead for it is bounded by
//! what a stream may reorder (16 frames). The duration is not known without reading everything, so none is given.

mod detect;
mod h264;
mod hevc;
mod ranks;
mod reader;
mod splitter;
#[cfg(test)]
mod tests;
mod tick;

use std::sync::Arc;

use reelcore_media::Rotation;
use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Source, Track, TrackKind};

pub(crate) use self::splitter::{AccessUnit, Splitter, Step, Syntax, VideoInfo};
pub(crate) use self::tick::Tick;

use self::detect::{detect, detect_behind};
use self::reader::{Point, RawReader};
use crate::window::{AHEAD, Window};
use crate::{Limits, PROBE_BYTES};

/// How far the first picture with its parameter sets may stand from the start, in bytes.
const MAX_OPEN: u64 = 8 << 20;

/// Whether the first bytes of a source, which hold a parameter set, can be a raw stream of H.264 or HEVC.
pub fn probe(head: &[u8]) -> bool {
    detect(head).is_some()
}

/// As [`probe`], of a source whose first bytes are `head`: the parameter sets may stand further behind.
pub(crate) fn probe_source(source: &Arc<dyn Source>, head: &[u8]) -> Result<bool, DemuxError> {
    if probe(head) {
        return Ok(true);
    }
    let mut window = Window::new(Arc::clone(source))?;
    Ok(detect_behind(head, &mut window)?.is_some())
}

/// The track of a stream, from its parameter sets.
pub(crate) fn video_track(id: u32, info: &VideoInfo) -> Track {
    Track {
        id,
        kind: TrackKind::Video {
            coded_size: info.size,
            display_aspect: info.size.with_sample_aspect(info.sample_aspect),
            aspect_of_stream: true,
            rotation: Rotation::R0,
            flip: false,
            color_space: info.color,
        },
        codec: Some(info.codec.clone()),
        description: None,
        language: None,
        name: None,
        encryption: None,
        duration: None,
        samples: None,
    }
}

/// An opened raw stream.
pub struct AnnexBDemuxer {
    container: &'static str,
    window: Window,
    tracks: [Track; 1],
    start: Arc<Point>,
    /// Half a frame.
    tick: Tick,
    /// By how much pictures are shown later than their turn in decoding order, in halves of a frame.
    delay: u64,
    max_packet_bytes: u64,
}

impl std::fmt::Debug for AnnexBDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnnexBDemuxer")
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

impl AnnexBDemuxer {
    /// Opens a raw stream: reads up to the first picture whose parameter sets have come.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] where there is none, and what reading reports.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let head = window.peek(0, PROBE_BYTES, AHEAD)?;
        let head = head.get(..PROBE_BYTES.min(head.len())).unwrap_or_default();
        let syntax = match detect(head) {
            Some(syntax) => Some(syntax),
            None => {
                let head = head.to_vec();
                detect_behind(&head, &mut window)?
            }
        };
        let syntax = syntax.ok_or_else(|| DemuxError::Invalid {
            offset: 0,
            message: "expected a start code and a parameter set of H.264 or HEVC".into(),
        })?;
        let container = match syntax {
            Syntax::H264(_) => "h264",
            Syntax::Hevc(_) => "hevc",
        };
        let start = Arc::new(Point::start(0, syntax.clone()));
        let mut splitter = Splitter::new(syntax);
        let (mut at, mut need) = (0_u64, 1);
        let info = loop {
            let cap = limits.max_packet_bytes;
            let step = reader::step(&mut window, &mut splitter, at, &mut need, cap)?;
            if let Some(info) = splitter.syntax.info() {
                break info;
            }
            match step {
                Step::Skip(count) | Step::Unit(AccessUnit { len: count, .. }) if at < MAX_OPEN => {
                    at = at.saturating_add(count as u64);
                }
                _ => {
                    return Err(DemuxError::Invalid {
                        offset: at,
                        message: "expected a picture and its parameter sets before this".into(),
                    });
                }
            }
        };
        Ok(Self {
            container,
            tracks: [video_track(0, &info)],
            window: window.another(),
            start,
            tick: Tick::of_frame(info.frame_duration, 2),
            delay: 2 * u64::from(info.reorder),
            max_packet_bytes: limits.max_packet_bytes,
        })
    }
}

impl Demuxer for AnnexBDemuxer {
    fn container(&self) -> &'static str {
        self.container
    }

    fn duration(&self) -> Option<u64> {
        None
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        if index > 0 {
            return Err(DemuxError::Unsupported(format!("track {index} of 1")));
        }
        Ok(Box::new(RawReader::new(self)))
    }
}
