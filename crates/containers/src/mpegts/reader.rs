//! The packets of one track.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use reelcore_media::demux::{DemuxError, Packet, PacketReader, TrackConfig, TrackKind};
use reelcore_media::{ChunkKind, EncodedChunk, SideData};

use super::TsDemuxer;
use super::clock::Clock;
use super::follow::Follower;
use super::framer::Setup;
use super::pes::Frame;
use crate::audio::WHOLE;
use crate::bitstream::audio::pre_roll_ms;
use crate::window::AHEAD;

/// How finely seeking bisects, in bytes: what is left is read.
const FINE: u64 = 64 << 10;

/// Bytes that one read takes in while bisecting.
const AHEAD_BISECTING: usize = 16 << 10;

/// How far before the place that bisecting finds a key packet is looked for, in bytes, at first.
const BACK: u64 = 256 << 10;

/// How far before a packet of sound its decoder starts, in bytes, at most: what is further is of another time line.
const MAX_SETTLE: u64 = 16 << 20;
/// The longest packet of sound, in microseconds: so much earlier than asked for a key packet may be.
const SLACK: i64 = 200_000;

/// Reads the packets of one track; see [`PacketReader`].
pub(crate) struct TsReader {
    demuxer: Arc<TsDemuxer>,
    index: usize,
    base: i64,
    follower: Follower,
    failed: bool,
    /// What decoders were told last that they are configured with.
    setup: Setup,
    /// What the track went over to has no key frame before the next one that is given.
    awaits_key: bool,
    /// The next packet is the first after a seek, or of another configuration.
    sought: bool,
    /// The first sound that is heard after a seek; what comes before it lets the decoder settle.
    heard_from: Option<Found>,
    /// Where the key packet begins that was found last in a source that cannot be read anywhere.
    resume: Option<Found>,
}

/// A key packet.
#[derive(Clone, Copy, Debug)]
struct Found {
    micros: i64,
    offset: u64,
    anchor: (u64, i64),
    /// How much its decoder settles on before it, in microseconds.
    pre_roll: i64,
}

impl Found {
    /// Frames of one PES packet begin at the same offset.
    fn place(&self) -> (u64, i64) {
        (self.offset, self.micros)
    }
}

/// What is to be dropped of a packet, in samples of 48 kHz.
fn dropped((start, end): (u32, u32)) -> Option<Arc<SideData>> {
    let time = |samples: u32| Duration::from_nanos(u64::from(samples) * 1_000_000_000 / 48_000);
    (start > 0 || end > 0).then(|| {
        Arc::new(SideData {
            discard_start: time(start),
            discard_end: time(end),
            ..SideData::default()
        })
    })
}

impl TsReader {
    pub(super) fn new(demuxer: Arc<TsDemuxer>, index: usize) -> Result<Self, DemuxError> {
        let Some(track) = demuxer.details.get(index) else {
            return Err(DemuxError::Unsupported(format!(
                "track {index} of {}",
                demuxer.details.len()
            )));
        };
        Ok(Self {
            base: demuxer.base(&track.entry),
            follower: demuxer.follow([track.entry.clone()]),
            index,
            failed: false,
            setup: Setup::Own,
            awaits_key: false,
            sought: false,
            heard_from: None,
            resume: None,
            demuxer,
        })
    }

    /// The next frame with a time. What comes before the first time stamp has none, and is no use to anybody. `strict`:
    /// not beyond where the track would have to go over to what it cannot, which is an error.
    fn frame(&mut self, strict: bool) -> Result<Option<(Frame, i64)>, DemuxError> {
        loop {
            if let Some(frame) = self.follower.pop(0) {
                if let Some(pts) = frame.pts {
                    let micros = pts.micros(self.base);
                    return Ok(Some((frame, micros)));
                }
            } else if let Some(error) = self.follower.replaced(0).filter(|_| strict) {
                return Err(error);
            } else if !self.follower.step()? {
                return Ok(None);
            }
        }
    }

    /// What decoders are configured with from `frame` on, where that is to be told.
    fn configure(&mut self, frame: &Frame) -> Result<Option<Arc<TrackConfig>>, DemuxError> {
        let changed = frame.setup != self.setup;
        if !(changed || self.sought && self.follower.goes_over(0)) {
            return Ok(None);
        }
        self.setup = frame.setup.clone();
        let demuxer = &self.demuxer;
        let (tracks, details) = (&demuxer.tracks, &demuxer.details);
        let Some((track, details)) = tracks.get(self.index).zip(details.get(self.index)) else {
            return Ok(None);
        };
        let Setup::Other(Some(config)) = &frame.setup else {
            return Ok(Some(Arc::new(track.config())));
        };
        if config.codec.is_some() == track.codec.is_some() {
            return Ok(Some(Arc::clone(config)));
        }
        let name = match (&config.codec, &config.kind) {
            (None, TrackKind::Other(name)) => name,
            (codec, _) => codec.as_deref().unwrap_or_default(),
        };
        Err(details.entry.replaced(name, frame.offset))
    }

    /// The next packet that a decoder is, or can be, configured for.
    fn next(&mut self) -> Result<Option<Packet>, DemuxError> {
        while let Some((frame, timestamp)) = self.frame(true)? {
            // Before the first key frame of what the track went over to, or back to.
            self.awaits_key |= frame.setup == Setup::Other(None) || frame.setup != self.setup;
            if self.awaits_key && !frame.key {
                continue;
            }
            self.awaits_key = false;
            let config = self.configure(&frame)?;
            // Who is configured anew has not seen the parameter sets.
            self.sought |= config.is_some();
            return Ok(Some(Packet {
                config,
                ..self.packet(frame, timestamp)
            }));
        }
        Ok(None)
    }

    fn packet(&mut self, frame: Frame, timestamp: i64) -> Packet {
        let mut data = frame.data;
        if std::mem::take(&mut self.sought) && frame.lacks_sets {
            // A decoder that starts here has not seen the parameter sets: only for this packet they are put in front.
            let mut sets = self
                .follower
                .stream(0)
                .map(|stream| stream.framer.parameter_sets())
                .unwrap_or_default();
            if sets.is_empty()
                && frame.setup == Setup::Own
                && let Some(track) = self.demuxer.details.get(self.index)
            {
                sets.clone_from(&track.sets);
            }
            data = [&sets[..], &data[..]].concat().into();
        }
        let decode = frame.dts.map(super::clock::Moment::ticks);
        self.heard_from = self.heard_from.filter(|from| {
            frame.offset <= from.offset && (frame.offset, timestamp) != from.place()
        });
        let settles = self.heard_from.is_some();
        Packet {
            chunk: EncodedChunk {
                kind: if frame.key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp,
                duration: frame.end.and_then(|end| {
                    u64::try_from(end.micros(self.base).saturating_sub(timestamp)).ok()
                }),
                data,
                side: match settles {
                    true => Some(Arc::new(SideData {
                        discard_start: WHOLE,
                        ..SideData::default()
                    })),
                    false => dropped(frame.trims),
                },
            },
            decode_time: decode.map_or(timestamp, |decode| decode.micros(self.base)),
            offset: frame.offset,
            presented: !settles,
            encryption: None,
            config: None,
        }
    }

    fn goto(&mut self, offset: u64, clock: Clock) {
        self.follower.goto(offset, AHEAD, &|_| clock);
    }

    /// The decode time, in ticks, of the first frame that begins between two offsets.
    fn time_between(
        &mut self,
        from: u64,
        to: u64,
        clock: Clock,
    ) -> Result<Option<i64>, DemuxError> {
        self.follower.goto(from, AHEAD_BISECTING, &|_| clock);
        loop {
            while let Some(frame) = self.follower.pop(0) {
                let time = frame.dts.or(frame.pts.map(|pts| pts.ticks));
                if let Some(time) = time {
                    return Ok((frame.offset < to).then_some(time));
                }
            }
            // A frame ends behind where it begins: look on until one comes.
            if !self.follower.step()? {
                return Ok(None);
            }
        }
    }

    /// Reads on to the last key frame at or before `time`, or the first one where `first` asks for it.
    fn last_key(&mut self, time: i64, first: bool) -> Result<Option<Found>, DemuxError> {
        let mut found: Option<Found> = None;
        while let Some((frame, micros)) = self.frame(false)? {
            let fits = micros <= time || first && found.is_none();
            if frame.key && fits {
                found = Some(Found {
                    micros,
                    offset: frame.offset,
                    anchor: frame.anchor,
                    pre_roll: self.pre_roll(&frame.setup),
                });
            }
            // What is decoded later is not shown before.
            let decode = frame.dts.map_or(micros, |dts| {
                super::clock::Moment::ticks(dts).micros(self.base)
            });
            if decode > time && (found.is_some() || !first) {
                break;
            }
        }
        Ok(found)
    }

    fn find(&mut self, time: i64) -> Result<Option<Found>, DemuxError> {
        let start = self.demuxer.layout.first;
        let Some(len) = self.demuxer.window.len() else {
            return self.find_forward(time);
        };
        let (mut low, mut high, mut reference) = (start, len, self.base);
        while high.saturating_sub(low) > FINE {
            let middle = low + (high - low) / 2;
            let clock = if low == start {
                Clock::after(reference)
            } else {
                Clock::near(reference)
            };
            let at = self.time_between(middle, high, clock)?;
            let ticks = |ticks| super::clock::Moment::ticks(ticks).micros(self.base);
            match at {
                Some(at) if ticks(at) <= time => (low, reference) = (middle, at),
                _ => high = middle,
            }
        }
        let mut back = BACK;
        loop {
            let from = low.saturating_sub(back).max(start);
            let first = from == start;
            let clock = if first { self.base } else { reference };
            self.goto(from, Clock::near(clock));
            let found = self.last_key(time, first)?;
            if found.is_some() || first {
                return Ok(found);
            }
            back = back.saturating_mul(4);
        }
    }

    /// In a source that comes in order: reads on from the last place that is known to be before `time`.
    fn find_forward(&mut self, time: i64) -> Result<Option<Found>, DemuxError> {
        match self.resume.filter(|resume| resume.micros <= time) {
            Some(resume) => self.goto(resume.anchor.0, Clock::near(resume.anchor.1)),
            None => self.goto(self.demuxer.layout.first, Clock::near(self.base)),
        }
        let found = self.last_key(time, true)?;
        self.resume = found;
        Ok(found)
    }

    /// How much a decoder of what `setup` says settles on, in microseconds.
    fn pre_roll(&self, setup: &Setup) -> i64 {
        let own = self.demuxer.tracks.get(self.index);
        let (codec, kind) = match (setup, own) {
            (Setup::Other(Some(config)), _) => (&config.codec, &config.kind),
            (_, Some(track)) => (&track.codec, &track.kind),
            (_, None) => return 0,
        };
        match (codec.as_deref(), kind) {
            (Some(codec), TrackKind::Audio { sample_rate, .. }) => {
                pre_roll_ms(codec, *sample_rate).saturating_mul(1000)
            }
            _ => 0,
        }
    }

    /// Where reading begins for the decoder to have settled at `target`.
    fn settle(&mut self, target: &Found) -> Result<Found, DemuxError> {
        let pre_roll = target.pre_roll;
        if pre_roll == 0 {
            return Ok(*target);
        }
        match self.find(target.micros.saturating_sub(pre_roll)) {
            Ok(Some(found))
                if found.micros < target.micros
                    // What is much earlier is of another time line, as where streams were put together.
                    && target.micros.saturating_sub(found.micros) <= 2 * pre_roll + SLACK
                    && found.offset <= target.offset
                    && target.offset - found.offset <= MAX_SETTLE =>
            {
                Ok(found)
            }
            Ok(_) => Ok(*target),
            // A stream that has let go of what stood before.
            Err(DemuxError::Io(error)) if error.kind() == ErrorKind::Unsupported => Ok(*target),
            Err(error) => Err(error),
        }
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        self.heard_from = None;
        self.awaits_key = false;
        let Some(target) = self.find(time)? else {
            return Ok(None);
        };
        let found = self.settle(&target)?;
        if found.place() != target.place() {
            self.heard_from = Some(target);
            if self.stand_at(&found)? {
                return Ok(Some(target.micros));
            }
            // Settling is worth no error.
            self.heard_from = None;
        }
        if self.stand_at(&target)? {
            return Ok(Some(target.micros));
        }
        Err(DemuxError::Invalid {
            offset: target.offset,
            message:
                "expected the key packet that was found here; the source changed, or is damaged"
                    .into(),
        })
    }

    /// Goes to where `found` is next; whether it is there.
    fn stand_at(&mut self, found: &Found) -> Result<bool, DemuxError> {
        self.goto(found.anchor.0, Clock::near(found.anchor.1));
        while let Some((frame, micros)) = self.frame(false)? {
            if frame.key && micros == found.micros && frame.offset == found.offset {
                self.follower.unpop(0, frame);
                self.sought = true;
                return Ok(true);
            }
            if frame.offset > found.offset {
                break;
            }
        }
        Ok(false)
    }
}

impl PacketReader for TsReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let result = self.seek_to(time);
        self.failed = result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        let next = self.next();
        self.failed = next.is_err();
        next
    }
}
