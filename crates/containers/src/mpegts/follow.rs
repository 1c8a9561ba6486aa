//! Follows tracks through a transport stream: its tables say under which PID each stands.

use std::collections::BTreeSet;
use std::io;

use reelcore_media::demux::DemuxError;

use super::clock::Clock;
use super::framer::Framer;
use super::packet::{Packets, TsPacket};
use super::pes::{Frame, PesStream};
use super::psi::{Elementary, Kind, Pat, Pmt, Sections};

/// PID 0: the program association table.
const PAT_PID: u16 = 0;

/// Changes of the tables that are remembered, at most.
const MAX_CHANGES: usize = 1024;

/// A program, as the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) number: u16,
    pub(super) pmt_pid: u16,
    /// The earliest presentation time of its beginning, in ticks: 0 on the time line that is given out.
    pub(super) base: i64,
}

/// What a track is, as the tables had it when the source was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Index of its program.
    pub(super) program: usize,
    pub(super) pid: u16,
    pub(super) kind: Kind,
    /// How many streams of this kind stand before it in its program.
    pub(super) ordinal: usize,
}

/// Where a track is found from an offset on.
#[derive(Clone, Copy, Debug)]
struct Change {
    offset: u64,
    number: u16,
    pmt_pid: u16,
    /// `None`: in no program.
    pid: Option<u16>,
}

/// A track that is followed.
struct Followed {
    entry: Entry,
    number: u16,
    pmt_pid: u16,
    pid: Option<u16>,
    pmt: Sections,
    /// The last continuity counter of the program's map.
    counter: Option<u8>,
    /// Where its PID went over to another kind of stream, and its name.
    replaced: Option<(u64, String)>,
    stream: PesStream,
    /// Ascending by offset; the first is what the source was opened with.
    changes: Vec<Change>,
}

/// Reads some of the tracks of a stream.
pub(super) struct Follower {
    packets: Packets,
    pat: Sections,
    /// The last continuity counter of the association table.
    counter: Option<u8>,
    tracks: Vec<Followed>,
    single_program: bool,
    ended: bool,
}

impl Follower {
    pub(super) fn new(
        packets: Packets,
        programs: &[Program],
        entries: impl IntoIterator<Item = Entry>,
        max_packet_bytes: u64,
    ) -> Self {
        let tracks = entries.into_iter().filter_map(|entry| {
            let program = programs.get(entry.program)?;
            let stream = PesStream::new(
                Framer::new(&entry.kind),
                Clock::near(program.base),
                max_packet_bytes,
            );
            Some(Followed {
                number: program.number,
                pmt_pid: program.pmt_pid,
                pid: Some(entry.pid),
                pmt: Sections::default(),
                counter: None,
                replaced: None,
                stream,
                changes: vec![Change {
                    offset: 0,
                    number: program.number,
                    pmt_pid: program.pmt_pid,
                    pid: Some(entry.pid),
                }],
                entry,
            })
        });
        Self {
            packets,
            pat: Sections::default(),
            counter: None,
            tracks: tracks.collect(),
            single_program: programs.len() == 1,
            ended: false,
        }
    }

    /// Goes on at `offset`, with the clocks of all tracks as `clock` says, and reads `ahead` bytes at once.
    pub(super) fn goto(&mut self, offset: u64, ahead: usize, clock: &dyn Fn(&Entry) -> Clock) {
        self.packets.goto(offset, ahead);
        self.pat.reset();
        self.counter = None;
        self.ended = false;
        for track in &mut self.tracks {
            let passed = track
                .changes
                .partition_point(|change| change.offset <= offset);
            if let Some(change) = passed.checked_sub(1).and_then(|at| track.changes.get(at)) {
                (track.number, track.pmt_pid, track.pid) =
                    (change.number, change.pmt_pid, change.pid);
            }
            track.pmt.reset();
            (track.counter, track.replaced) = (None, None);
            track.stream.restart(clock(&track.entry));
        }
    }

    /// The stream of the track at `index`.
    pub(super) fn stream(&self, index: usize) -> Option<&PesStream> {
        self.tracks.get(index).map(|track| &track.stream)
    }

    /// The error for a track whose PID holds another kind of stream from here on.
    pub(super) fn replaced(&self, index: usize) -> Option<DemuxError> {
        let track = self.tracks.get(index)?;
        let (offset, name) = track.replaced.as_ref()?;
        Some(DemuxError::Unsupported(format!(
            "another codec in the middle of a track: {name} after {} from byte {offset} on",
            track.entry.kind.name()
        )))
    }

    /// Byte offset of the next transport packet.
    pub(super) fn position(&self) -> u64 {
        self.packets.position()
    }

    /// The next frame of the track at `index` that has been put together.
    pub(super) fn pop(&mut self, index: usize) -> Option<Frame> {
        self.tracks.get_mut(index)?.stream.framer.out.pop_front()
    }

    /// Puts a frame back in front of all others.
    pub(super) fn unpop(&mut self, index: usize, frame: Frame) {
        if let Some(track) = self.tracks.get_mut(index) {
            track.stream.framer.out.push_front(frame);
        }
    }

    /// Takes the next transport packet; `false` at the end.
    pub(super) fn step(&mut self) -> Result<bool, DemuxError> {
        let next = self.packets.next()?;
        let Some((offset, packet)) = next else {
            if self.ended {
                return Ok(false);
            }
            self.ended = true;
            for track in &mut self.tracks {
                track.stream.finish();
            }
            return Ok(true);
        };
        if packet.pid == PAT_PID {
            let mut tables = Vec::new();
            self.pat
                .push(&packet, &mut |section| tables.extend(Pat::parse(section)));
            // Each is looked at, whatever its version: streams that were put together have the same ones.
            for pat in tables {
                for track in &mut self.tracks {
                    track.associate(&pat, self.single_program, offset);
                }
            }
            if restarts(&mut self.counter, &packet) {
                for track in &mut self.tracks {
                    track.stream.joined();
                }
            }
            return Ok(true);
        }
        for track in &mut self.tracks {
            if packet.pid == track.pmt_pid {
                track.map(&packet, offset);
            }
            if Some(packet.pid) == track.pid {
                track.stream.push(&packet, offset)?;
            }
        }
        Ok(true)
    }
}

/// Whether a table is counted from 0 again: another stream may have been put behind.
fn restarts(counter: &mut Option<u8>, packet: &TsPacket<'_>) -> bool {
    let last = counter.replace(packet.continuity);
    packet.continuity == 0 && last.is_some_and(|last| last != 15)
}

impl Followed {
    /// A program association table.
    fn associate(&mut self, pat: &Pat, single_program: bool, offset: u64) {
        let listed = pat
            .programs
            .iter()
            .find(|(number, _)| *number == self.number);
        let only = (single_program && pat.programs.len() == 1).then(|| pat.programs.first());
        // The only program of a stream may be renumbered.
        if let Some(&(number, pmt_pid)) = listed.or(only.flatten())
            && (number, pmt_pid) != (self.number, self.pmt_pid)
        {
            (self.number, self.pmt_pid) = (number, pmt_pid);
            self.pmt.reset();
            self.counter = None;
            self.remember(offset);
        }
    }

    /// A packet of the program map table.
    fn map(&mut self, packet: &TsPacket<'_>, offset: u64) {
        if restarts(&mut self.counter, packet) {
            self.stream.joined();
        }
        let mut tables = Vec::new();
        self.pmt
            .push(packet, &mut |section| tables.extend(Pmt::parse(section)));
        for pmt in tables {
            if pmt.program != self.number {
                continue;
            }
            let pid = self.find(&pmt.streams);
            if pid.is_some() {
                self.replaced = None;
            } else if self.replaced.is_none() {
                let own = [Some(self.entry.pid), self.pid];
                let mut other = pmt.streams.iter();
                let other = other.rfind(|stream| own.contains(&Some(stream.pid)));
                self.replaced = other.map(|other| (offset, other.kind.name().to_owned()));
            }
            if pid != self.pid {
                self.stream.moved();
                self.pid = pid;
                self.remember(offset);
            }
        }
    }

    /// Under which PID the track goes on: its own, where that holds the same kind; else the stream of its kind in its place.
    fn find(&self, streams: &[Elementary]) -> Option<u16> {
        let same = |stream: &&Elementary| stream.kind == self.entry.kind;
        let kept = streams
            .iter()
            .filter(same)
            .find(|stream| Some(stream.pid) == self.pid);
        kept.or_else(|| streams.iter().filter(same).nth(self.entry.ordinal))
            .map(|stream| stream.pid)
    }

    fn remember(&mut self, offset: u64) {
        let known = self
            .changes
            .last()
            .is_some_and(|last| last.offset >= offset);
        if !known && self.changes.len() < MAX_CHANGES {
            self.changes.push(Change {
                offset,
                number: self.number,
                pmt_pid: self.pmt_pid,
                pid: self.pid,
            });
        }
    }
}

/// The tables and streams of a stream's beginning.
pub(super) struct Survey {
    packets: Packets,
    pat: Sections,
    /// Association tables that have come.
    tables: usize,
    pub(super) programs: Vec<Surveyed>,
    max_packet_bytes: u64,
    max_tracks: usize,
    /// The source can be read anywhere: nobody waits for what has not come.
    seekable: bool,
}

/// A program that is looked at.
pub(super) struct Surveyed {
    pub(super) number: u16,
    pub(super) pmt_pid: u16,
    pmt: Sections,
    seen: bool,
    pub(super) streams: Vec<SurveyedStream>,
}

/// A stream that is looked at.
pub(super) struct SurveyedStream {
    pub(super) elementary: Elementary,
    pub(super) stream: PesStream,
    /// Frames that have come.
    frames: usize,
    /// The first, the earliest and the last presentation time, in ticks.
    pub(super) first: Option<i64>,
    pub(super) earliest: Option<i64>,
    last: Option<i64>,
}

/// Frames of a stream that its beginning is told from, at most: leading pictures come after the key picture.
const FRAMES: usize = 20;

/// The same of one that is given as it is.
const WHOLE: usize = 4;

/// How much of a program is looked at for what its map lists, in ticks: longer than pictures are apart that start a
/// decoder. What has not come by then is only named.
const LONG: i64 = 10 * super::clock::RATE;

/// How much of the other programs of a stream is looked at for the map of one that is listed, in ticks, and how often the
/// tables may come without it. Maps are repeated several times a second.
const UNMAPPED: i64 = super::clock::RATE;
const UNMAPPED_TABLES: usize = 10;

/// By how much a frame can be shown before the first, in ticks: what is more is another time line.
const LEAD: i64 = 5 * super::clock::RATE;

impl SurveyedStream {
    fn is_done(&self) -> bool {
        match self.elementary.kind {
            Kind::H264 | Kind::Hevc => {
                let video = self.stream.framer.video();
                let wanted = video.map(|info| usize::from(info.reorder) + 2);
                self.stream.scrambled
                    || wanted.is_some_and(|wanted| self.frames >= wanted.min(FRAMES))
            }
            Kind::Adts | Kind::MpegAudio | Kind::Opus { .. } => {
                self.stream.scrambled || self.frames > 0
            }
            // Only told by name: their times are what there is where a program has nothing else.
            Kind::Other(_) => self.stream.scrambled || self.frames >= WHOLE,
        }
    }

    fn is_longer_than(&self, ticks: i64) -> bool {
        let times = self.first.zip(self.last);
        times.is_some_and(|(first, last)| last.saturating_sub(first) > ticks)
    }

    fn drain(&mut self) {
        while let Some(frame) = self.stream.framer.out.pop_front() {
            self.frames = self.frames.saturating_add(1);
            let Some(pts) = frame.pts.map(|pts| pts.ticks) else {
                continue;
            };
            let first = *self.first.get_or_insert(pts);
            self.last = Some(pts);
            if self.frames <= FRAMES && pts >= first.saturating_sub(LEAD) {
                self.earliest = Some(self.earliest.map_or(pts, |earliest| earliest.min(pts)));
            }
        }
    }
}

impl Survey {
    pub(super) fn new(
        packets: Packets,
        max_packet_bytes: u64,
        max_tracks: usize,
        seekable: bool,
    ) -> Self {
        Self {
            packets,
            pat: Sections::default(),
            tables: 0,
            programs: Vec::new(),
            max_packet_bytes,
            max_tracks,
            seekable,
        }
    }

    /// Whether the association table has come.
    pub(super) fn has_pat(&self) -> bool {
        self.tables > 0
    }

    /// Looks at packets until all is known, or up to `end`.
    pub(super) fn run(&mut self, end: u64) -> Result<(), DemuxError> {
        while !self.is_done() && self.packets.position() < end {
            if !self.step()? {
                break;
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let known = |program: &Surveyed| {
            let named = |stream: &SurveyedStream| matches!(stream.elementary.kind, Kind::Other(_));
            // What is only told by name is waited for where there is nothing else.
            let alone = program.streams.iter().all(named);
            let mut streams = program.streams.iter();
            streams.all(|stream| (!alone && named(stream)) || stream.is_done())
                || (program.streams.iter()).any(|stream| stream.is_longer_than(LONG))
        };
        let unmapped = self.gives_up_maps();
        self.has_pat()
            && self.programs.iter().all(|program| match program.seen {
                true => known(program),
                false => unmapped,
            })
    }

    /// Whether no more maps are waited for: a stream may list programs that it does not hold.
    fn gives_up_maps(&self) -> bool {
        let mut mapped = self.programs.iter().filter(|program| program.seen);
        let mut streams = self.programs.iter().flat_map(|program| &program.streams);
        !self.seekable
            && mapped.next().is_some()
            && (self.tables >= UNMAPPED_TABLES
                || streams.any(|stream| stream.is_longer_than(UNMAPPED)))
    }

    fn step(&mut self) -> Result<bool, DemuxError> {
        let next: io::Result<_> = self.packets.next();
        let Some((offset, packet)) = next? else {
            for stream in self
                .programs
                .iter_mut()
                .flat_map(|program| &mut program.streams)
            {
                stream.stream.finish();
                stream.drain();
            }
            return Ok(false);
        };
        if packet.pid == PAT_PID {
            let mut tables = Vec::new();
            self.pat
                .push(&packet, &mut |section| tables.extend(Pat::parse(section)));
            let listed = tables.iter().any(|pat| !pat.programs.is_empty());
            self.tables = self.tables.saturating_add(usize::from(listed));
            for (number, pmt_pid) in tables.into_iter().flat_map(|pat| pat.programs) {
                // What changes later is for the followers.
                if self.programs.iter().all(|program| program.number != number)
                    && self.programs.len() < self.max_tracks
                {
                    self.programs.push(Surveyed {
                        number,
                        pmt_pid,
                        pmt: Sections::default(),
                        seen: false,
                        streams: Vec::new(),
                    });
                }
            }
            return Ok(true);
        }
        let mut found = Vec::new();
        for program in &mut self.programs {
            if packet.pid == program.pmt_pid && !program.seen {
                let number = program.number;
                let mut map = None;
                program.pmt.push(&packet, &mut |section| {
                    map = map
                        .take()
                        .or(Pmt::parse(section).filter(|pmt| pmt.program == number));
                });
                if let Some(pmt) = map {
                    program.seen = true;
                    found.push((number, pmt.streams));
                }
            }
            for stream in &mut program.streams {
                if stream.elementary.pid == packet.pid {
                    stream.stream.push(&packet, offset)?;
                    stream.drain();
                }
            }
        }
        for (number, streams) in found {
            self.add(number, streams)?;
        }
        Ok(true)
    }

    fn add(&mut self, number: u16, streams: Vec<Elementary>) -> Result<(), DemuxError> {
        let mut known: BTreeSet<u16> = self
            .programs
            .iter()
            .flat_map(|program| &program.streams)
            .map(|stream| stream.elementary.pid)
            .collect();
        let Some(program) = self
            .programs
            .iter_mut()
            .find(|program| program.number == number)
        else {
            return Ok(());
        };
        for elementary in streams {
            // A stream that several programs share is a track of the first.
            if !known.insert(elementary.pid) {
                continue;
            }
            if known.len() > self.max_tracks {
                return Err(DemuxError::Limit(format!(
                    "more than {} elementary streams",
                    self.max_tracks
                )));
            }
            program.streams.push(SurveyedStream {
                stream: PesStream::new(
                    Framer::new(&elementary.kind),
                    Clock::after(0),
                    self.max_packet_bytes,
                ),
                elementary,
                frames: 0,
                first: None,
                earliest: None,
                last: None,
            });
        }
        Ok(())
    }
}
