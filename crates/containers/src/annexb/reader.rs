//! The packets of a raw stream: one access unit each, with times from the frame rate and the order of output.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, Packet, PacketReader};
use reelcore_media::{ChunkKind, EncodedChunk};

use super::AnnexBDemuxer;
use super::ranks::{Ranks, ticks};
use super::splitter::{AccessUnit, Splitter, Step, Syntax};
use crate::window::{AHEAD, Window};

/// Bytes that one step takes at least.
const STEP: usize = 4 << 10;

/// Points that a reader remembers, at most: past that, every other one is forgotten.
const MAX_POINTS: usize = 1024;

/// By how much a picture can be shown earlier than it is decoded, in halves of a frame, with room.
const MAX_DELAY: u64 = 2 * (16 + 2);

/// An access unit whose time may not be known yet.
struct Waiting {
    data: Bytes,
    offset: u64,
    unit: AccessUnit,
    /// When it is decoded, in halves of a frame from the start.
    decode: u64,
    /// When it is shown, likewise.
    shown: Option<u64>,
    /// The last point at or before it.
    point: Arc<Point>,
}

/// Where reading can begin anew: the start of a coded video sequence.
#[derive(Debug)]
pub(super) struct Point {
    offset: u64,
    /// When its first picture is decoded.
    decode: u64,
    ranks: Ranks,
    /// With the parameter sets there were.
    syntax: Syntax,
}

impl Point {
    pub(super) fn start(offset: u64, syntax: Syntax) -> Self {
        Self {
            offset,
            decode: 0,
            ranks: Ranks::default(),
            syntax,
        }
    }
}

/// The points that were passed, in order, thinned out as they grow many.
struct Points {
    kept: Vec<Arc<Point>>,
    /// One of so many is kept.
    stride: usize,
    passed: usize,
}

impl Points {
    fn add(&mut self, point: &Arc<Point>) {
        if self
            .kept
            .last()
            .is_some_and(|last| last.offset >= point.offset)
        {
            return;
        }
        self.passed = self.passed.wrapping_add(1);
        if !self.passed.is_multiple_of(self.stride) {
            return;
        }
        if self.kept.len() >= MAX_POINTS {
            let mut index = 0_usize;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.kept.push(Arc::clone(point));
    }
}

/// Reads the access units of one stream; see [`PacketReader`].
pub(crate) struct RawReader {
    demuxer: Arc<AnnexBDemuxer>,
    window: Window,
    splitter: Splitter,
    ranks: Ranks,
    /// Where the next access unit begins.
    at: u64,
    /// Bytes from there that the next step needs.
    need: usize,
    decode: u64,
    /// Read and not given: as many as a stream reorders, at most.
    queue: VecDeque<Waiting>,
    /// The number of the first in `queue`.
    first: u64,
    ended: bool,
    failed: bool,
    points: Points,
    /// The last point that was passed.
    point: Arc<Point>,
    /// The next packet is the first after a seek.
    sought: bool,
}

impl RawReader {
    pub(super) fn new(demuxer: Arc<AnnexBDemuxer>) -> Self {
        let point = Arc::clone(&demuxer.start);
        Self {
            window: demuxer.window.another(),
            splitter: Splitter::new(point.syntax.clone()),
            ranks: point.ranks.clone(),
            at: point.offset,
            need: STEP,
            decode: point.decode,
            queue: VecDeque::new(),
            first: 0,
            ended: false,
            failed: false,
            points: Points {
                kept: Vec::new(),
                stride: 1,
                passed: 0,
            },
            point,
            sought: false,
            demuxer,
        }
    }

    fn goto(&mut self, point: &Arc<Point>) {
        self.splitter = Splitter::new(point.syntax.clone());
        self.ranks = point.ranks.clone();
        self.at = point.offset;
        self.need = STEP;
        self.decode = point.decode;
        self.first = self.first.saturating_add(self.queue.len() as u64);
        self.queue.clear();
        self.ended = false;
        self.point = Arc::clone(point);
    }

    /// Reads the next access unit into the queue; `false` at the end.
    fn read(&mut self) -> Result<bool, DemuxError> {
        loop {
            let cap = self.demuxer.max_packet_bytes;
            let step = step(
                &mut self.window,
                &mut self.splitter,
                self.at,
                &mut self.need,
                cap,
            )?;
            match step {
                Step::More => return Ok(false),
                Step::Skip(count) => self.at = self.at.saturating_add(count as u64),
                Step::Unit(unit) => {
                    let data = self.window.take(self.at, unit.len, AHEAD)?;
                    self.take(unit, data);
                    self.at = self.at.saturating_add(unit.len as u64);
                    return Ok(true);
                }
            }
        }
    }

    fn take(&mut self, unit: AccessUnit, data: Bytes) {
        let (queue, first) = (&mut self.queue, self.first);
        let id = first.saturating_add(queue.len() as u64);
        let picture = &unit.picture;
        if picture.restart {
            self.ranks
                .drain(&mut |id, time| set_shown(queue, first, id, time));
            if picture.key {
                let mut syntax = self.splitter.syntax.clone();
                syntax.restart();
                self.point = Arc::new(Point {
                    offset: self.at,
                    decode: self.decode,
                    ranks: self.ranks.clone(),
                    syntax,
                });
                self.points.add(&self.point);
            }
        }
        queue.push_back(Waiting {
            data,
            offset: self.at,
            unit,
            decode: self.decode,
            shown: None,
            point: Arc::clone(&self.point),
        });
        self.ranks.push(picture, id, &mut |id, time| {
            set_shown(queue, first, id, time)
        });
        self.decode = self.decode.saturating_add(ticks(picture));
    }

    /// The next access unit, with its time.
    fn next_unit(&mut self) -> Result<Option<(Waiting, u64)>, DemuxError> {
        loop {
            if let Some(shown) = self.queue.front().and_then(|front| front.shown) {
                self.first = self.first.saturating_add(1);
                return Ok(self.queue.pop_front().map(|unit| (unit, shown)));
            }
            if self.ended {
                return Ok(None);
            }
            if !self.read()? {
                self.ended = true;
                let (queue, first) = (&mut self.queue, self.first);
                self.ranks
                    .drain(&mut |id, time| set_shown(queue, first, id, time));
            }
        }
    }

    fn micros(&self, halves: u64) -> i64 {
        self.demuxer
            .tick
            .micros(i64::try_from(halves).unwrap_or(i64::MAX))
    }

    fn packet(&mut self, unit: Waiting, shown: u64) -> Packet {
        let end = shown.saturating_add(ticks(&unit.unit.picture));
        let timestamp = self.micros(shown);
        let mut data = unit.data;
        if std::mem::take(&mut self.sought) && !unit.unit.has_sets {
            // A decoder that starts here has not seen the parameter sets: only for this packet they are put in front,
            // which is the one copy that is made.
            let sets = self.splitter.syntax.parameter_sets();
            data = [&sets[..], &data[..]].concat().into();
        }
        let delay = i64::try_from(self.demuxer.delay).unwrap_or(0);
        let decode = i64::try_from(unit.decode).unwrap_or(i64::MAX);
        // A stream may reorder more than it says. What is decoded later and shown earlier is in the queue, with its time:
        // nothing is decoded after it is shown, and decode times do not go back for that.
        let waiting = self.queue.iter().filter_map(|unit| unit.shown);
        let earliest = waiting.fold(shown, u64::min);
        let decode = decode
            .saturating_sub(delay)
            .min(i64::try_from(earliest).unwrap_or(i64::MAX));
        Packet {
            chunk: EncodedChunk {
                kind: if unit.unit.picture.key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp,
                duration: Some(self.micros(end).abs_diff(timestamp)),
                data,
                side: None,
            },
            decode_time: self.demuxer.tick.micros(decode),
            offset: unit.offset,
            presented: true,
            encryption: None,
            config: None,
        }
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let after = self
            .points
            .kept
            .partition_point(|point| self.micros(point.ranks.next()) <= time);
        let near = after.checked_sub(1).and_then(|at| self.points.kept.get(at));
        let start = Arc::clone(near.unwrap_or(&self.demuxer.start));
        self.goto(&start);
        let mut found: Option<(Arc<Point>, u64, i64)> = None;
        while let Some((unit, shown)) = self.next_unit()? {
            let shown = self.micros(shown);
            let is_first = found.is_none();
            if unit.unit.picture.key && (is_first || shown <= time) {
                found = Some((Arc::clone(&unit.point), unit.decode, shown));
            }
            if found.is_some() && self.micros(unit.decode.saturating_sub(MAX_DELAY)) > time {
                break;
            }
        }
        let Some((point, decode, shown)) = found else {
            return Ok(None);
        };
        self.goto(&point);
        while let Some((unit, at)) = self.next_unit()? {
            if unit.decode == decode {
                self.first = self.first.saturating_sub(1);
                self.queue.push_front(Waiting {
                    shown: Some(at),
                    ..unit
                });
                self.sought = true;
                return Ok(Some(shown));
            }
        }
        Ok(None)
    }
}

/// One step of `splitter` at `at`, with as many bytes as that takes; `More` is the end of the source. `need` is kept from
/// step to step.
pub(super) fn step(
    window: &mut Window,
    splitter: &mut Splitter,
    at: u64,
    need: &mut usize,
    max_packet_bytes: u64,
) -> Result<Step, DemuxError> {
    loop {
        let data = window.peek(at, *need, AHEAD)?;
        let last = data.len() < *need;
        match splitter.step(data, last) {
            Step::More if !last => {
                if data.len() as u64 > max_packet_bytes {
                    return Err(DemuxError::Limit(format!(
                        "the access unit at byte {at} has more than {max_packet_bytes} bytes"
                    )));
                }
                *need = data.len().saturating_add(STEP.max(data.len() / 2));
            }
            step => {
                *need = STEP;
                return Ok(step);
            }
        }
    }
}

fn set_shown(queue: &mut VecDeque<Waiting>, first: u64, id: u64, time: u64) {
    let place = id
        .checked_sub(first)
        .and_then(|at| usize::try_from(at).ok());
    if let Some(waiting) = place.and_then(|at| queue.get_mut(at)) {
        waiting.shown = Some(time);
    }
}

impl PacketReader for RawReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let result = self.seek_to(time);
        self.failed = result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        match self.next_unit() {
            Ok(next) => Ok(next.map(|(unit, shown)| self.packet(unit, shown))),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }
}
