//! Streams of AV1 without a container: the low-overhead format (section 5 of the specification, `.obu`) and the
//! length-delimited one (its annex B).
//!
//! One packet is one temporal unit, with its temporal delimiter, in the low-overhead format that the codec's WebCodecs
//! registration asks for. The stream has no times: each unit is shown for the interval of the sequence header's timing
//! information where pictures come at equal intervals, else for a 25th of a second, as FFmpeg takes it. The duration is not
//! known without reading everything, so none is given.

mod unit;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, Demuxer, Packet, PacketReader, Source, Track, TrackKind};
use reelcore_media::{ChunkKind, EncodedChunk, Rotation};

use self::unit::Form;
use crate::annexb::Tick;
use crate::bitstream::av1;
use crate::window::{AHEAD, Window};
use crate::{Limits, PROBE_BYTES};

/// Key units that a reader remembers, at most: past that, every other one is forgotten.
const MAX_POINTS: usize = 4096;

/// Whether the first bytes of a source can be a stream of OBUs.
pub fn probe(head: &[u8]) -> bool {
    unit::detect(head).is_some()
}

/// An opened stream of OBUs.
pub struct ObuDemuxer {
    window: Window,
    form: Form,
    tracks: [Track; 1],
    tick: Tick,
    max_packet_bytes: u64,
}

impl std::fmt::Debug for ObuDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObuDemuxer")
            .field("form", &self.form)
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

impl ObuDemuxer {
    /// Opens a stream of OBUs: reads its first temporal unit.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not such a stream.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let invalid = |message: &str| DemuxError::Invalid {
            offset: 0,
            message: message.into(),
        };
        let head = window.peek(0, PROBE_BYTES, AHEAD)?;
        let form = unit::detect(head)
            .ok_or_else(|| invalid("expected a temporal delimiter and a sequence header of AV1"))?;
        let first = unit::read(&mut window, form, 0, limits.max_packet_bytes)?;
        let (first, _) = first.ok_or_else(|| invalid("expected a temporal unit"))?;
        let header = av1::sequence_header(&first)
            .ok_or_else(|| invalid("expected a sequence header in the first temporal unit"))?;
        let track = Track {
            id: 0,
            kind: TrackKind::Video {
                coded_size: header.size,
                display_aspect: header.size,
                aspect_of_stream: true,
                rotation: Rotation::R0,
                flip: false,
                color_space: header.color(),
            },
            codec: Some(header.codec_string()),
            description: None,
            language: None,
            name: None,
            encryption: None,
            duration: None,
            samples: None,
        };
        Ok(Self {
            window: window.another(),
            form,
            tracks: [track],
            tick: Tick::of_frame(unit::frame_duration(&first), 1),
            max_packet_bytes: limits.max_packet_bytes,
        })
    }
}

impl Demuxer for ObuDemuxer {
    fn container(&self) -> &'static str {
        "obu"
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
        Ok(Box::new(ObuReader {
            window: self.window.another(),
            at: 0,
            count: 0,
            points: Vec::new(),
            stride: 1,
            keys: 0,
            failed: false,
            demuxer: self,
        }))
    }
}

/// A temporal unit.
struct Unit {
    data: Bytes,
    offset: u64,
    /// Its number.
    index: u64,
    key: bool,
}

/// Reads the temporal units of a stream; see [`PacketReader`].
struct ObuReader {
    demuxer: Arc<ObuDemuxer>,
    window: Window,
    at: u64,
    count: u64,
    /// Key units that were passed: offset and number.
    points: Vec<(u64, u64)>,
    /// One of so many is kept.
    stride: u64,
    keys: u64,
    failed: bool,
}

impl ObuReader {
    fn next_unit(&mut self) -> Result<Option<Unit>, DemuxError> {
        let (form, cap) = (self.demuxer.form, self.demuxer.max_packet_bytes);
        let Some((data, taken)) = unit::read(&mut self.window, form, self.at, cap)? else {
            return Ok(None);
        };
        // What decoding can start with: a key frame, and the sequence header that it needs.
        let key = reelcore_media::av1::inspect(&data)
            .is_ok_and(|unit| unit.has_sequence_header && unit.first_frame_is_key == Some(true));
        let (offset, index) = (self.at, self.count);
        if key {
            self.remember(offset, index);
        }
        self.at = offset.saturating_add(taken);
        self.count = index.saturating_add(1);
        Ok(Some(Unit {
            data,
            offset,
            index,
            key,
        }))
    }

    fn remember(&mut self, offset: u64, index: u64) {
        if self.points.last().is_some_and(|last| last.0 >= offset) {
            return;
        }
        self.keys = self.keys.wrapping_add(1);
        if !self.keys.is_multiple_of(self.stride) {
            return;
        }
        if self.points.len() >= MAX_POINTS {
            let mut place = 0_u64;
            self.points.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.points.push((offset, index));
    }

    fn micros(&self, index: u64) -> i64 {
        self.demuxer
            .tick
            .micros(i64::try_from(index).unwrap_or(i64::MAX))
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let after = self
            .points
            .partition_point(|&(_, index)| self.micros(index) <= time);
        let near = after.checked_sub(1).and_then(|at| self.points.get(at));
        (self.at, self.count) = near.copied().unwrap_or((0, 0));
        let mut found = None;
        while found.is_none() || self.micros(self.count) <= time {
            let Some(unit) = self.next_unit()? else {
                break;
            };
            if unit.key {
                found = Some((unit.offset, unit.index));
            }
        }
        let Some(found) = found else {
            return Ok(None);
        };
        (self.at, self.count) = found;
        Ok(Some(self.micros(found.1)))
    }
}

impl PacketReader for ObuReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let result = self.seek_to(time);
        self.failed = result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        let unit = self.next_unit().inspect_err(|_| self.failed = true)?;
        Ok(unit.map(|unit| {
            let timestamp = self.micros(unit.index);
            let end = self.micros(unit.index.saturating_add(1));
            Packet {
                chunk: EncodedChunk {
                    kind: if unit.key {
                        ChunkKind::Key
                    } else {
                        ChunkKind::Delta
                    },
                    timestamp,
                    duration: Some(end.abs_diff(timestamp)),
                    data: unit.data,
                    side: None,
                },
                decode_time: timestamp,
                offset: unit.offset,
                presented: true,
                encryption: None,
                config: None,
            }
        }))
    }
}
