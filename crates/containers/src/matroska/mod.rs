//! Matroska (RFC 9559) and WebM.

mod codec;
mod content;
mod duration;
mod ebml;
mod frames;
mod ids;
mod index;
mod lacing;
mod meta;
mod mux;
mod packets;
mod segment;
mod tracks;
mod walk;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Source, Track, TrackKind};

pub use self::mux::MatroskaMuxer;

use self::frames::FrameReader;
use self::index::Index;
use self::packets::MatroskaPacketReader;
use self::segment::Segment;
use self::tracks::Kind;
use self::walk::{Reach, Walker};
use crate::Limits;
use crate::bitstream::audio::pre_roll_ms;
use crate::window::{AHEAD_SPARSE, Window};

/// Blocks that are looked at for the first frame of a track whose codec string stands there, at most.
const FIRST_FRAME_AMONG: usize = 64;

/// How long and how far that frame is waited for in a source that comes in order, where other tracks go on without it: a
/// picture may come much later, with its codec string in [`Packet::config`](reelcore_media::demux::Packet::config), or never.
const FIRST_FRAME_NANOS: i128 = 2_000_000_000;
const FIRST_FRAME_BYTES: u64 = 16 << 20;

/// Whether the first bytes of a source (64 of them, or all there are) can be Matroska or WebM.
pub fn probe(head: &[u8]) -> bool {
    // Opening says which document type it is.
    head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// An opened Matroska or WebM file.
pub struct MatroskaDemuxer {
    window: Window,
    limits: Limits,
    segment: Segment,
    tracks: Vec<Track>,
    index: Mutex<Index>,
}

impl std::fmt::Debug for MatroskaDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MatroskaDemuxer")
            .field("segment", &self.segment)
            .finish_non_exhaustive()
    }
}

impl MatroskaDemuxer {
    /// Opens a Matroska file: reads what stands before its first Cluster, and where the source can be read anywhere
    /// what its SeekHead leads to. The Cues are read by the first seek, or where the file does not say how long it is.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not Matroska, [`DemuxError::Unsupported`] and
    /// [`DemuxError::Limit`] for what this demuxer does not read.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let mut segment = segment::open(&mut window, limits)?;
        read_first_frames(&mut window, &mut segment, limits);
        for (uid, micros) in &segment.tags.durations {
            if let Some(track) = segment.tracks.iter_mut().find(|track| track.uid == *uid) {
                track.public.duration = Some(*micros);
            }
        }
        let mut index = Index::new(window.another(), &segment);
        duration::find(&mut window, &mut segment, limits, &mut index);
        Ok(Self {
            limits: limits.clone(),
            tracks: segment
                .tracks
                .iter()
                .map(|track| track.public.clone())
                .collect(),
            index: Mutex::new(index),
            window: window.another(),
            segment,
        })
    }

    /// Before the first Cluster.
    fn start(&self) -> Walker {
        Walker::new(self.segment.first_cluster, self.segment.end)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long before a packet of sound its decoder has to start, in nanoseconds.
    fn pre_roll(&self, index: usize) -> i128 {
        let Some(track) = self.tracks.get(index) else {
            return 0;
        };
        let hidden = track.encryption.as_ref();
        let codec = (track.codec.as_deref())
            .or_else(|| hidden.and_then(|encryption| encryption.original_codec.as_deref()));
        match (codec, &track.kind) {
            (Some(codec), TrackKind::Audio { sample_rate, .. }) => {
                i128::from(pre_roll_ms(codec, *sample_rate)) * 1_000_000
            }
            _ => 0,
        }
    }

    fn frame_reader(&self, index: usize) -> Option<FrameReader<'_>> {
        Some(FrameReader {
            track: self.segment.tracks.get(index)?,
            segment: &self.segment,
            limits: &self.limits,
        })
    }
}

/// Finds the codec strings that only the first frames tell. A frame that cannot be had, or that does not come soon, leaves
/// its track without one: reading it will say why, or tells the codec with the first key packet.
fn read_first_frames(window: &mut Window, segment: &mut Segment, limits: &Limits) {
    for index in 0..segment.tracks.len() {
        let found = first_frame_codec(window, segment, limits, index);
        if let (Some(found), Some(track)) = (found, segment.tracks.get_mut(index)) {
            track.public.codec = Some(found.codec.string);
            track.reorder = found.reorder;
        }
    }
}

fn first_frame_codec(
    window: &mut Window,
    segment: &Segment,
    limits: &Limits,
    index: usize,
) -> Option<codec::Told> {
    let track = segment.tracks.get(index)?;
    let kind = track.in_frame?;
    let reader = FrameReader {
        track,
        segment,
        limits,
    };
    let mut walker = Walker::new(segment.first_cluster, segment.end);
    let mut reach = if window.is_seekable() {
        Reach::new(i128::MAX, u64::MAX)
    } else {
        Reach::new(
            FIRST_FRAME_NANOS / i128::from(segment.info.scale.max(1)),
            segment.first_cluster.saturating_add(FIRST_FRAME_BYTES),
        )
    };
    for _ in 0..FIRST_FRAME_AMONG {
        let block = walker
            .next_within(window, track.number, &mut reach)
            .ok()??;
        let frames = reader.frames(window, &block, AHEAD_SPARSE, false).ok()?;
        let frame = frames.front()?;
        let (data, _) = reader
            .data(window, frame.offset, frame.size, AHEAD_SPARSE)
            .ok()?;
        if let Some(found) = codec::from_frame(kind, &data, &track.picture) {
            return Some(found);
        }
    }
    None
}

impl Demuxer for MatroskaDemuxer {
    fn container(&self) -> &'static str {
        if self.segment.webm {
            "webm"
        } else {
            "matroska"
        }
    }

    fn duration(&self) -> Option<u64> {
        let longest = || self.tracks.iter().filter_map(|track| track.duration).max();
        self.segment.info.duration.or_else(longest)
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn tags(&self) -> &[(String, String)] {
        &self.segment.tags.global
    }

    fn format(&self, index: usize) -> Option<&str> {
        let track = self.segment.tracks.get(index)?;
        let named = track.public.codec.is_none()
            && track.public.encryption.is_none()
            && track.kind != Kind::Other;
        named.then_some(&*track.codec_id)
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        Ok(Box::new(MatroskaPacketReader::new(self, index)?))
    }
}
