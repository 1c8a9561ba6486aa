//! Writes transport streams: one program, a PID for each track, packets of 188 bytes.
//!
//! - **Codecs**: H.264 and HEVC (as access units in Annex B, with delimiters, key pictures with parameter sets), AAC (as ADTS),
//!   MP3, Opus (private data with its registration). Others have no place.
//! - **Times** are at 90 kHz, modulo 33 bits, 1.4 seconds after those of the packets, so that some may be below 0. The clock
//!   reference is on the first track with pictures, else the first, 0.7 seconds before decode times, at least every 100 ms.
//!   A packet that comes when the clock is past its decode time, of a track that its muxer did not wait for any longer, is refused.
//! - **Tables** are repeated every 100 ms, and before key pictures. They and the clock fill the time between packets, up to ten
//!   minutes of it.
//! - Frames of sound go together into PES packets of up to 2,800 bytes, as long as they follow one another without a gap.

mod packets;
mod stream;
mod tables;

use bytes::{BufMut, Bytes, BytesMut};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{AudioCodec, ChunkKind, VideoCodec};

use self::packets::{Adaptation, Carrier};
use self::stream::Form;
use crate::bitstream::audio::Timing;
use crate::mux::decode_times::{DecodeTimes, Timed};
use crate::mux::hidden::{Hidden, Room};
use crate::mux::interleave::Interleaver;
use crate::mux::invalid;
use crate::mux::priming::Priming;
use crate::mux::reorder;

/// Ticks a second of time stamps.
const RATE: i128 = 90_000;
/// What is added to times: they may be below 0, and the clock is before them.
const OFFSET: i64 = 126_000;
/// How long before its decode time a packet is sent.
const DELAY: i64 = 63_000;
/// At most so long between two tables, and two clock references, in microseconds.
const REPEAT: i64 = 100_000;
/// A gap between packets that is longer than this many microseconds is not filled with them.
const MAX_FILLED: i64 = 600_000_000;

/// PIDs: of the program map, and of the first track.
const MAP_PID: u16 = 0x1000;
const FIRST_PID: u16 = 0x100;

/// Tracks, at most: what stream_ids can tell apart.
const MAX_TRACKS: usize = 32;

/// Frames of sound that go into one PES packet: so many bytes, so many microseconds.
const GROUP_BYTES: usize = 2800;
const GROUP_MICROS: i64 = 250_000;

/// Times beyond this (35 years) are refused.
const MAX_MICROS: u64 = 1 << 50;

/// Writes MPEG-2 transport streams.
#[derive(Debug)]
pub struct TsMuxer {
    tracks: Vec<TsTrack>,
    interleaver: Interleaver<Timed>,
    max_bytes: usize,
    association: Carrier,
    map: Carrier,
    state: State,
    /// What is added to times, in ticks; found with the first packet.
    base: Option<i64>,
    /// Decode times at which tables and clock were last sent, in microseconds.
    last_tables: Option<i64>,
    last_clock: Option<i64>,
}

#[derive(Debug)]
struct TsTrack {
    output: OutputTrack,
    form: Form,
    timing: Timing,
    carrier: Carrier,
    stream_id: u8,
    /// A transport stream cannot say that sound is to be dropped: its packets stand where it is heard.
    priming: Priming,
    times: DecodeTimes,
    /// Of pictures: those that are not shown, for which there is no room.
    hidden: Option<Hidden>,
    group: Group,
    ended: bool,
}

/// Frames of sound for one PES packet.
#[derive(Debug, Default)]
struct Group {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Time of the first, in microseconds.
    start: i64,
    /// When the next one begins if none is missing, in nanoseconds after `start`.
    length: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Tracks,
    Packets,
    Finished,
    Failed,
}

impl TsTrack {
    /// Takes packets of which is known by how much they come before what they count.
    fn settled(
        &mut self,
        ready: Vec<OutputPacket>,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        let earlier = i64::try_from(self.priming.delay_beyond() / 1000).unwrap_or(i64::MAX);
        for mut packet in ready {
            packet.chunk.timestamp = packet.chunk.timestamp.saturating_sub(earlier);
            packet.decode_time = packet.decode_time.map(|time| time.saturating_sub(earlier));
            self.times.push(packet, out)?;
        }
        Ok(())
    }
}

/// The nearest tick.
fn ticks(micros: i64) -> i64 {
    let ticks = (i128::from(micros) * RATE * 2 + 1_000_000).div_euclid(2_000_000);
    i64::try_from(ticks).unwrap_or(0)
}

impl TsMuxer {
    /// A muxer without tracks.
    pub fn new(options: &MuxOptions) -> Self {
        Self {
            tracks: Vec::new(),
            interleaver: Interleaver::new(options),
            max_bytes: options.max_buffered_bytes,
            association: Carrier::new(0),
            map: Carrier::new(MAP_PID),
            state: State::Tracks,
            base: None,
            last_tables: None,
            last_clock: None,
        }
    }

    fn ready(&mut self) -> Result<(), MuxError> {
        match self.state {
            State::Tracks if self.tracks.is_empty() => Err(invalid("expected a track, found none")),
            State::Tracks | State::Packets => {
                self.state = State::Packets;
                Ok(())
            }
            State::Finished => Err(invalid("the file is finished")),
            State::Failed => Err(invalid("writing the file failed before")),
        }
    }

    fn check(&self, index: usize) -> Result<(), MuxError> {
        match self.tracks.get(index) {
            Some(track) if track.ended => Err(invalid(format!("track {index} has ended"))),
            Some(_) => Ok(()),
            None => Err(invalid(format!(
                "expected a track below {}, found {index}",
                self.tracks.len()
            ))),
        }
    }

    /// The track that has the clock.
    fn clock_track(&self) -> usize {
        let video = |track: &TsTrack| track.form.is_video();
        self.tracks.iter().position(video).unwrap_or(0)
    }

    fn end(&mut self, index: usize) -> Result<(), MuxError> {
        let interleaver = &mut self.interleaver;
        if let Some(track) = self.tracks.get_mut(index).filter(|track| !track.ended) {
            track.ended = true;
            if let Some(hidden) = &mut track.hidden {
                hidden.finish();
            }
            let mut ready = Vec::new();
            track.priming.finish(&mut ready);
            track.settled(ready, &mut |timed| queue(interleaver, index, timed))?;
            track
                .times
                .finish(&mut |timed| queue(interleaver, index, timed))?;
            interleaver.end(index);
        }
        Ok(())
    }

    fn pump(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        while let Some((index, timed)) = self.interleaver.pop() {
            self.packet(index, timed, sink)?;
        }
        Ok(())
    }

    fn packet(&mut self, index: usize, timed: Timed, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let Timed {
            packet,
            decode_time,
        } = timed;
        // Groups that are old enough go before what comes after them.
        for other in 0..self.tracks.len() {
            let old = self.tracks.get(other).is_some_and(|track| {
                !track.group.pieces.is_empty()
                    && decode_time.saturating_sub(track.group.start) >= GROUP_MICROS
            });
            if old {
                self.end_group(other, sink)?;
            }
        }
        let Some(track) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        if let Some(description) = &packet.description {
            track.form.change(description)?;
        }
        let pieces = track.form.pieces(&packet)?;
        let timestamp = packet.chunk.timestamp;
        if track.form.is_video() {
            if decode_time > timestamp {
                return Err(invalid(format!(
                    "expected a decode time up to the timestamp of {timestamp} us, found {decode_time} us"
                )));
            }
            let key = packet.chunk.kind == ChunkKind::Key;
            return self.pes(index, &pieces, timestamp, decode_time, key, sink);
        }
        let len: usize = pieces.iter().map(Bytes::len).sum();
        let expected = i64::try_from(track.group.length / 1000).unwrap_or(i64::MAX);
        let expected = track.group.start.saturating_add(expected);
        // A tick, and the rounding of both times.
        let adjoins = expected.abs_diff(timestamp) <= 13;
        let frames = track
            .timing
            .frames(&packet.chunk.data, packet.chunk.data.len() as u64);
        if !track.group.pieces.is_empty()
            && (!adjoins || track.group.bytes.saturating_add(len) > GROUP_BYTES)
        {
            self.end_group(index, sink)?;
        }
        let Some(track) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        let group = &mut track.group;
        if group.pieces.is_empty() {
            group.start = timestamp;
            group.length = 0;
        }
        group.pieces.extend(pieces);
        group.bytes = group.bytes.saturating_add(len);
        let Some(frames) = frames else {
            // Nothing says when the next one begins.
            return self.end_group(index, sink);
        };
        let nanos = u128::from(frames.count) * 1_000_000_000 / u128::from(frames.rate.max(1));
        group.length = group.length.saturating_add(nanos);
        Ok(())
    }

    fn end_group(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let Some(track) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        let group = std::mem::take(&mut track.group);
        if group.pieces.is_empty() {
            return Ok(());
        }
        self.pes(index, &group.pieces, group.start, group.start, true, sink)
    }

    /// Writes a PES packet (2.4.3.6), with tables and clock where they are due.
    fn pes(
        &mut self,
        index: usize,
        pieces: &[Bytes],
        timestamp: i64,
        decode_time: i64,
        key: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        // The clock has told the time at which to decode it: no decoder would.
        if let Some(last) = self.last_clock
            && ticks(last).saturating_sub(ticks(decode_time)) > DELAY
        {
            return Err(invalid(format!(
                "expected tracks that are written side by side, found a decode time of {decode_time} us on track {index} after the clock was sent for {last} us"
            )));
        }
        let base = *self
            .base
            .get_or_insert_with(|| OFFSET.saturating_sub(ticks(decode_time).min(0)));
        let stamp = |micros: i64| {
            let ticks = ticks(micros).saturating_add(base);
            u64::try_from(ticks.rem_euclid(1 << 33)).unwrap_or(0)
        };
        let clock = self.clock_track();
        let mut out = BytesMut::new();
        let is_video = self.tracks.get(index).is_some_and(|t| t.form.is_video());
        let pcr = |micros: i64| (stamp(micros).wrapping_sub(DELAY as u64) & 0x1_ffff_ffff) * 300;
        // Between packets that lie further apart, clock and tables go on alone (2.7.2: at most 100 ms).
        while let Some(last) = self.last_clock
            && (REPEAT + 1..=MAX_FILLED).contains(&decode_time.saturating_sub(last))
        {
            let at = last.saturating_add(REPEAT);
            self.last_clock = Some(at);
            if self.last_tables.is_none_or(|last| at - last >= REPEAT) {
                self.last_tables = Some(at);
                self.tables(clock, &mut out)?;
            }
            if let Some(track) = self.tracks.get(clock) {
                track.carrier.clock(pcr(at), &mut out);
            }
        }
        let due =
            |last: Option<i64>| last.is_none_or(|last| decode_time.saturating_sub(last) >= REPEAT);
        if due(self.last_tables) || (key && is_video) {
            self.last_tables = Some(decode_time);
            self.tables(clock, &mut out)?;
        }
        let pcr = pcr(decode_time);
        let mut adaptation = Adaptation {
            random_access: key,
            pcr: None,
        };
        // A clock does not go back: a late packet of its track has none.
        if index == clock && self.last_clock.is_none_or(|last| last <= decode_time) {
            adaptation.pcr = Some(pcr);
            self.last_clock = Some(decode_time);
        } else if due(self.last_clock) {
            self.last_clock = Some(decode_time);
            if let Some(track) = self.tracks.get(clock) {
                track.carrier.clock(pcr, &mut out);
            }
        }
        let Some(track) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        let mut header = BytesMut::with_capacity(19);
        let (pts, dts) = (stamp(timestamp), stamp(decode_time));
        let len: usize = pieces.iter().map(Bytes::len).sum();
        let fields = if pts == dts { 5 } else { 10 };
        header.put_slice(&[0, 0, 1, track.stream_id]);
        // Longer ones than that are told by the start of the next; only pictures may be.
        match u16::try_from(3 + fields + len) {
            Ok(length) => header.put_u16(length),
            Err(_) if is_video => header.put_u16(0),
            Err(_) => {
                return Err(MuxError::Limit(format!(
                    "a frame of sound of {len} bytes: a PES packet has up to 65535"
                )));
            }
        }
        // data_alignment_indicator; which time stamps follow.
        header.put_u8(0x84);
        header.put_u8(if pts == dts { 0x80 } else { 0xc0 });
        header.put_u8(fields as u8);
        if pts == dts {
            put_stamp(&mut header, 2, pts);
        } else {
            put_stamp(&mut header, 3, pts);
            put_stamp(&mut header, 1, dts);
        }
        let mut all = Vec::with_capacity(pieces.len() + 1);
        all.push(header.freeze());
        all.extend_from_slice(pieces);
        track.carrier.write(&all, adaptation, &mut out);
        Ok(sink.write(out.freeze())?)
    }

    fn tables(&mut self, clock: usize, out: &mut BytesMut) -> Result<(), MuxError> {
        self.association
            .section(&tables::association(MAP_PID)?, out);
        let clock_pid = self.tracks.get(clock).map_or(FIRST_PID, |t| t.carrier.pid);
        let streams = self
            .tracks
            .iter()
            .map(|track| (track.carrier.pid, &track.form, &track.output));
        self.map.section(&tables::map(clock_pid, streams)?, out);
        Ok(())
    }

    fn push(&mut self, index: usize, packet: OutputPacket) -> Result<(), MuxError> {
        let chunk = &packet.chunk;
        let time = packet.decode_time.unwrap_or(chunk.timestamp);
        if chunk.timestamp.unsigned_abs() > MAX_MICROS || time.unsigned_abs() > MAX_MICROS {
            return Err(invalid(format!(
                "expected times within {MAX_MICROS} us of 0, found {} us and {time} us",
                chunk.timestamp
            )));
        }
        let interleaver = &mut self.interleaver;
        let Some(track) = self.tracks.get_mut(index) else {
            return Ok(());
        };
        let mut ready = Vec::new();
        if let Some(hidden) = &mut track.hidden {
            hidden.push(packet, &mut |packet| {
                ready.push(packet);
                Ok(())
            })?;
            return track.settled(ready, &mut |timed| queue(interleaver, index, timed));
        }
        let data = &packet.chunk.data;
        let lasts = track.timing.frames(data, data.len() as u64).map(|frames| {
            i128::from(frames.count) * 1_000_000_000 / i128::from(frames.rate.max(1))
        });
        track.priming.push(packet, lasts, &mut ready);
        track.settled(ready, &mut |timed| queue(interleaver, index, timed))
    }

    fn finish_file(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        for index in 0..self.tracks.len() {
            self.end(index)?;
        }
        self.pump(sink)?;
        // In the order of their times.
        let mut groups: Vec<(i64, usize)> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(index, track)| (track.group.start, index))
            .collect();
        groups.sort_unstable();
        for (_, index) in groups {
            self.end_group(index, sink)?;
        }
        if self.base.is_none() {
            // Without a packet there are the tables at least.
            let mut out = BytesMut::new();
            self.tables(self.clock_track(), &mut out)?;
            sink.write(out.freeze())?;
        }
        Ok(())
    }

    fn kept<T>(&mut self, result: Result<T, MuxError>) -> Result<T, MuxError> {
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }
}

/// A time stamp of 33 bits among marker bits, after four bits that say which it is.
fn put_stamp(out: &mut BytesMut, prefix: u8, stamp: u64) {
    out.put_u8(prefix << 4 | (stamp >> 29) as u8 & 0x0e | 1);
    out.put_u16((stamp >> 14) as u16 & 0xfffe | 1);
    out.put_u16((stamp << 1) as u16 & 0xfffe | 1);
}

fn queue(interleaver: &mut Interleaver<Timed>, index: usize, timed: Timed) -> Result<(), MuxError> {
    let bytes = timed.packet.chunk.data.len();
    interleaver.push(index, timed.decode_time, bytes, timed)
}

impl Muxer for TsMuxer {
    fn container(&self) -> &'static str {
        "mpegts"
    }

    fn add_track(&mut self, track: OutputTrack) -> Result<usize, MuxError> {
        if self.state != State::Tracks {
            return Err(invalid("a track after the first packet"));
        }
        let index = self.tracks.len();
        if index >= MAX_TRACKS {
            return Err(MuxError::Limit(format!("more than {MAX_TRACKS} tracks")));
        }
        let form = Form::new(&track)?;
        let same = |other: &&TsTrack| other.form.is_video() == form.is_video();
        let number = self.tracks.iter().filter(same).count();
        if form.is_video() && number >= 16 {
            return Err(MuxError::Limit("more than 16 tracks of pictures".into()));
        }
        let mut hidden = None;
        let times = match (&track.kind, VideoCodec::parse(&track.codec)) {
            (OutputKind::Video { .. }, Ok(codec)) => {
                let room = Room {
                    container: "MPEG-TS",
                    before: false,
                    behind: false,
                };
                let description = track.description.as_ref();
                hidden = Some(Hidden::new(codec, description, room, self.max_bytes));
                reorder::decode_times(&codec, description)
            }
            _ => match AudioCodec::parse(&track.codec) {
                Ok(codec) => DecodeTimes::sound(&codec),
                Err(_) => DecodeTimes::in_order(),
            },
        };
        self.tracks.push(TsTrack {
            timing: form.timing(&track),
            priming: Priming::new(
                match track.kind {
                    OutputKind::Audio { .. } => AudioCodec::parse(&track.codec).ok(),
                    OutputKind::Video { .. } => None,
                },
                track.description.as_deref(),
            ),
            carrier: Carrier::new(FIRST_PID + index as u16),
            stream_id: form.stream_id(number as u8),
            output: track,
            form,
            times,
            hidden,
            group: Group::default(),
            ended: false,
        });
        self.interleaver.add_track();
        Ok(index)
    }

    fn write(
        &mut self,
        index: usize,
        packet: OutputPacket,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.ready()?;
        self.check(index)?;
        let result = self.push(index, packet).and_then(|()| self.pump(sink));
        self.kept(result)
    }

    fn end_track(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.ready()?;
        self.check(index)?;
        let result = self.end(index).and_then(|()| self.pump(sink));
        self.kept(result)
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.ready()?;
        let result = self.finish_file(sink);
        self.kept(result)?;
        self.state = State::Finished;
        Ok(())
    }
}
