//! The packets of one track.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reelcore_media::demux::{DemuxError, Packet, PacketReader, TrackConfig};
use reelcore_media::{ChunkKind, EncodedChunk, SideData};

use super::MatroskaDemuxer;
use super::codec;
use super::ebml::Next;
use super::frames::{Frame, FrameReader, micros};
use super::ids;
use super::segment;
use super::tracks::{Kind, MatroskaTrack};
use super::walk::{Block, Walker};
use crate::window::{AHEAD_SPARSE, Window};

/// Longer than any packet: all of it is dropped.
const WHOLE: Duration = Duration::from_secs(3600);

/// A packet's place: before the walker's next block, and so many frames into it.
#[derive(Clone, Copy, Debug)]
struct Spot {
    walker: Walker,
    /// Byte offset of the block.
    block: u64,
    frame: usize,
    /// In nanoseconds.
    time: i128,
}

impl Spot {
    fn is(&self, other: &Self) -> bool {
        (self.block, self.frame) == (other.block, other.frame)
    }
}

/// Decode times, which Matroska does not store: the presentation times in order, as late as they can be for the number
/// of frames that the codec reorders.
#[derive(Clone, Debug, Default)]
struct DecodeTimes {
    /// The largest presentation times so far, ascending: as many as are reordered.
    ahead: Vec<i64>,
}

impl DecodeTimes {
    fn next(&mut self, track: &MatroskaTrack, time: i64, duration: Option<i128>) -> i64 {
        let Some(reorder) = track.reorder.filter(|&frames| frames > 0) else {
            return time;
        };
        if self.ahead.is_empty() {
            let step = duration.unwrap_or(0);
            let before = |frames: usize| time.saturating_sub(micros(step * frames as i128));
            self.ahead = (1..=reorder).rev().map(before).collect();
        }
        let at = self.ahead.partition_point(|&other| other <= time);
        self.ahead.insert(at, time);
        self.ahead.remove(0)
    }
}

/// Reads the packets of one track; see [`PacketReader`].
pub(crate) struct MatroskaPacketReader {
    demuxer: Arc<MatroskaDemuxer>,
    index: usize,
    window: Window,
    walker: Walker,
    /// The block whose frames are being read, and where it was.
    block: Option<(Block, Walker)>,
    frames: VecDeque<Frame>,
    /// Frames of the block that were read.
    frame: usize,
    /// A packet that was read to know when the one before it ends.
    ahead: Option<Result<Option<Packet>, DemuxError>>,
    /// Nanoseconds of the codec's delay that are still to be dropped, where the track is read from its start.
    delay: Option<i128>,
    /// Byte offset of the track's first block, once it is known.
    first_block: Option<u64>,
    /// The first packet that is heard after a seek; those before it let the decoder settle.
    heard_from: Option<Spot>,
    /// The last key packet, where the source cannot go back far.
    last: Option<Spot>,
    decode_times: DecodeTimes,
    /// Whether a packet since the start or the last seek has told the codec, of a track that was opened without one.
    told: bool,
    failed: bool,
}

impl MatroskaPacketReader {
    pub(crate) fn new(demuxer: Arc<MatroskaDemuxer>, index: usize) -> Result<Self, DemuxError> {
        let Some(track) = demuxer.segment.tracks.get(index) else {
            return Err(DemuxError::Unsupported(format!(
                "track {index} of {}",
                demuxer.segment.tracks.len()
            )));
        };
        if let Some(what) = &track.content.unsupported {
            return Err(DemuxError::Unsupported(format!("track {index}: {what}")));
        }
        Ok(Self {
            window: demuxer.window.another(),
            walker: demuxer.start(),
            delay: Some(i128::from(track.priming)),
            demuxer,
            index,
            block: None,
            frames: VecDeque::new(),
            frame: 0,
            ahead: None,
            first_block: None,
            heard_from: None,
            last: None,
            decode_times: DecodeTimes::default(),
            told: false,
            failed: false,
        })
    }

    fn advance(&mut self) -> Result<Option<Packet>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let Some(reader) = demuxer.frame_reader(self.index) else {
            return Ok(None);
        };
        let packet = match self.ahead.take() {
            Some(result) => result?,
            None => self.read(&reader)?,
        };
        let Some(mut packet) = packet else {
            return Ok(None);
        };
        // Where nothing else says how long it lasts, it lasts until the next one: if frames come in order.
        let in_order = reader.track.kind == Kind::Audio || reader.track.reorder == Some(0);
        if packet.chunk.duration.is_none() && in_order {
            let next = self.read(&reader);
            if let Ok(Some(next)) = &next {
                packet.chunk.duration = next
                    .chunk
                    .timestamp
                    .checked_sub(packet.chunk.timestamp)
                    .and_then(|micros| u64::try_from(micros).ok())
                    .filter(|&micros| micros > 0);
            }
            self.ahead = Some(next);
        }
        Ok(Some(packet))
    }

    fn read(&mut self, reader: &FrameReader) -> Result<Option<Packet>, DemuxError> {
        loop {
            if let (Some((block, walker)), Some(frame)) = (self.block, self.frames.pop_front()) {
                let spot = Spot {
                    walker,
                    block: block.start,
                    frame: self.frame,
                    time: frame.time,
                };
                self.frame += 1;
                return self.packet(reader, &block, &frame, &spot).map(Some);
            }
            let before = self.walker;
            let Some(block) = self.walker.next(&mut self.window, reader.track.number)? else {
                return Ok(None);
            };
            // Only what is read from the start counts the delay.
            if self.delay.is_some() && self.first_block.is_none() {
                self.first_block = Some(block.start);
            }
            let ahead = before.ahead(&self.window);
            self.frames = reader.frames(&mut self.window, &block, ahead, true)?;
            self.frame = 0;
            self.block = Some((block, before));
        }
    }

    fn packet(
        &mut self,
        reader: &FrameReader,
        block: &Block,
        frame: &Frame,
        spot: &Spot,
    ) -> Result<Packet, DemuxError> {
        let ahead = spot.walker.ahead(&self.window);
        let (data, encryption) = reader.data(&mut self.window, frame.offset, frame.size, ahead)?;
        let alpha = match block.addition {
            Some((offset, size)) if reader.track.alpha => {
                Some(reader.stored(&mut self.window, offset, size, ahead)?)
            }
            _ => None,
        };
        let key = reader.is_key(block);
        if key && !self.window.is_seekable() {
            self.last = Some(*spot);
        }
        let config = if key {
            self.told_config(reader, &data)
        } else {
            None
        };
        let timestamp = micros(frame.time);
        let duration = frame
            .duration
            .map(|duration| micros(frame.time + duration).abs_diff(timestamp));
        let mut side = SideData {
            alpha,
            discard_start: duration_of(frame.discard_start),
            discard_end: duration_of(frame.discard_end),
            hidden: block.invisible && !reader.shows_nothing(&data),
            ..SideData::default()
        };
        let mut presented = !block.invisible;
        if reader.track.kind == Kind::Audio {
            let delay = match &mut self.delay {
                Some(left) => {
                    let here = *left;
                    // Counted by what the packets last, as their times are rounded to ticks.
                    *left = match frame.duration {
                        Some(duration) => (here - duration).max(0),
                        None => 0,
                    };
                    here
                }
                // What is before the start is none of the sound.
                None if reader.track.codec_delay > 0 => (-frame.time).max(0),
                None => 0,
            };
            if delay > 0 {
                presented &= frame.duration.is_none_or(|duration| delay < duration);
                side.discard_start = side.discard_start.saturating_add(duration_of(delay));
            }
            match self.heard_from {
                Some(from) if from.is(spot) => self.heard_from = None,
                Some(_) => {
                    presented = false;
                    side.discard_start = WHOLE;
                }
                None => {}
            }
        }
        Ok(Packet {
            chunk: EncodedChunk {
                kind: if key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp,
                duration,
                data,
                side: (side != SideData::default()).then(|| Arc::new(side)),
            },
            decode_time: self
                .decode_times
                .next(reader.track, timestamp, frame.duration),
            offset: frame.offset,
            presented,
            encryption,
            config,
        })
    }

    /// What the decoder is configured with, as the key packet `data` tells it, where the track was opened before its
    /// codec was known: once from the start or a seek on.
    fn told_config(&mut self, reader: &FrameReader, data: &[u8]) -> Option<Arc<TrackConfig>> {
        let public = self.demuxer.tracks.get(self.index)?;
        if self.told || public.codec.is_some() {
            return None;
        }
        let found = codec::from_frame(reader.track.in_frame?, data, &reader.track.picture)?;
        self.told = true;
        let mut config = public.config();
        config.codec = Some(found.codec.string);
        Some(Arc::new(config))
    }

    /// The last key packet at or before `time` among the blocks from `from` up to the byte `stop`. An error is returned
    /// with it: what stands before a broken place can be had.
    fn scan(
        &mut self,
        reader: &FrameReader,
        from: Walker,
        stop: Option<u64>,
        time: i64,
    ) -> (Option<Spot>, Result<(), DemuxError>) {
        let mut best = None;
        let mut walker = from;
        let last = reader.ticks(time);
        let result = loop {
            let before = walker;
            let block = match walker.next_until(&mut self.window, reader.track.number, last) {
                Ok(Some(block)) => block,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if stop.is_some_and(|stop| block.start >= stop) {
                break Ok(());
            }
            let ahead = before.ahead(&self.window);
            let frames = match reader.frames(&mut self.window, &block, ahead, false) {
                Ok(frames) => frames,
                Err(error) => break Err(error),
            };
            let mut past = false;
            for (index, frame) in frames.iter().enumerate() {
                // What is decoded after a packet that is shown later is a key packet only if it is shown later still.
                past = micros(frame.time) > time;
                if past {
                    break;
                }
                if reader.is_key(&block) {
                    best = Some(Spot {
                        walker: before,
                        block: block.start,
                        frame: index,
                        time: frame.time,
                    });
                }
            }
            if past {
                break Ok(());
            }
        };
        (best, result)
    }

    /// The first key packet of the track.
    fn first(&mut self, reader: &FrameReader) -> Result<Option<Spot>, DemuxError> {
        let mut walker = self.demuxer.start();
        loop {
            let before = walker;
            let Some(block) = walker.next(&mut self.window, reader.track.number)? else {
                return Ok(None);
            };
            if !reader.is_key(&block) {
                continue;
            }
            let ahead = before.ahead(&self.window);
            let frames = reader.frames(&mut self.window, &block, ahead, false)?;
            if let Some(frame) = frames.front() {
                return Ok(Some(Spot {
                    walker: before,
                    block: block.start,
                    frame: 0,
                    time: frame.time,
                }));
            }
        }
    }

    /// The last key packet at or before `time`; `None` where there is none.
    fn find(&mut self, reader: &FrameReader, time: i64) -> Result<Option<Spot>, DemuxError> {
        if !self.window.is_seekable() {
            let near = self.last.filter(|last| micros(last.time) <= time);
            let from = near.map_or_else(|| self.demuxer.start(), |last| last.walker);
            let (best, result) = self.scan(reader, from, None, time);
            return match best {
                Some(best) => Ok(Some(best)),
                None => result.map(|()| None),
            };
        }
        // A landmark too late is stepped back from.
        let ticks = reader.ticks(time);
        let demuxer = Arc::clone(&self.demuxer);
        loop {
            let marks =
                demuxer
                    .index()
                    .landmarks(reader.segment, reader.limits, self.index, ticks)?;
            let mut at = marks.partition_point(|mark| i128::from(mark.time) <= ticks);
            let mut stop = None;
            let mut problem = Ok(());
            let distrusted = loop {
                let (from, pos) = match at.checked_sub(1).and_then(|at| marks.get(at)) {
                    Some(mark) => (Walker::new(mark.pos, reader.segment.end), Some(mark.pos)),
                    // Before the first landmark.
                    None => (demuxer.start(), None),
                };
                if let Some(pos) = pos
                    && !self.is_cluster(pos)?
                {
                    break demuxer.index().distrust_cues();
                }
                let (best, result) = self.scan(reader, from, stop, time);
                if best.is_some() {
                    return Ok(best);
                }
                if problem.is_ok() {
                    problem = result;
                }
                let Some(pos) = pos else {
                    break false;
                };
                stop = Some(pos);
                at -= 1;
            };
            if !distrusted {
                return problem.map(|()| None);
            }
        }
    }

    fn is_cluster(&mut self, pos: u64) -> Result<bool, DemuxError> {
        match segment::header(&mut self.window, pos, AHEAD_SPARSE) {
            Ok(Next::Element(header)) => Ok(header.id == ids::CLUSTER),
            Ok(_) | Err(DemuxError::Invalid { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let Some(reader) = demuxer.frame_reader(self.index) else {
            return Ok(None);
        };
        let found = match self.find(&reader, time)? {
            Some(found) => Some(found),
            None => self.first(&reader)?,
        };
        let Some(target) = found else {
            self.stand_at_end();
            return Ok(None);
        };
        let track = reader.track;
        // Few writers say it of codecs other than Opus, and old ones not even of that.
        let settle = i128::from(track.seek_pre_roll).max(demuxer.pre_roll(self.index));
        let mut from = target;
        if track.kind == Kind::Audio && settle > 0 {
            from = match self.find(&reader, micros(target.time - settle)) {
                Ok(Some(earlier)) => earlier,
                Ok(None) => self.first(&reader)?.unwrap_or(target),
                // A stream that has let go of what stood before.
                Err(DemuxError::Io(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                    target
                }
                Err(error) => return Err(error),
            };
        }
        self.delay = None;
        if track.priming > 0 {
            let first = match self.first_block {
                Some(first) => Some(first),
                // A stream may have let go of its start: what is read then is not the first packet.
                None => self.first(&reader).ok().flatten().map(|first| first.block),
            };
            self.first_block = first;
            if first == Some(from.block) && from.frame == 0 {
                self.delay = Some(i128::from(track.priming));
            }
        }
        self.heard_from = (!from.is(&target)).then_some(target);
        self.stand_at(&reader, &from)?;
        Ok(Some(micros(target.time)))
    }

    fn stand_at(&mut self, reader: &FrameReader, spot: &Spot) -> Result<(), DemuxError> {
        self.walker = spot.walker;
        self.block = None;
        self.frames.clear();
        self.frame = 0;
        self.last = None;
        if spot.frame > 0
            && let Some(block) = self.walker.next(&mut self.window, reader.track.number)?
        {
            let ahead = spot.walker.ahead(&self.window);
            self.frames = reader.frames(&mut self.window, &block, ahead, true)?;
            self.frames.drain(..spot.frame.min(self.frames.len()));
            self.frame = spot.frame;
            self.block = Some((block, spot.walker));
        }
        Ok(())
    }

    fn stand_at_end(&mut self) {
        self.block = None;
        self.frames.clear();
        self.failed = true;
    }
}

fn duration_of(nanos: i128) -> Duration {
    u64::try_from(nanos.max(0)).map_or(WHOLE, Duration::from_nanos)
}

impl PacketReader for MatroskaPacketReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.failed = false;
        self.ahead = None;
        self.decode_times = DecodeTimes::default();
        self.told = false;
        let result = self.seek_to(time);
        self.failed |= result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        let result = self.advance();
        self.failed = result.is_err();
        result
    }
}
