//! Follows tracks through a transport stream: its tables say under which PID each stands.

use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::clock::Clock;
use super::framer::Framer;
use super::packet::{Packets, TsPacket};
use super::pes::{Frame, PesStream};
use super::psi::{Elementary, Kind, PAT_PID, Pat, Pmt, Sections};

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

/// Under which PID a track of `kind` goes on that was under `pid`: there, where that holds the same kind; else as the
/// stream of its kind in its place.
fn place(kind: &Kind, pid: Option<u16>, ordinal: usize, streams: &[Elementary]) -> Option<u16> {
    let mut same = streams
        .iter()
        .filter(|stream| stream.kind == *kind)
        .map(|stream| stream.pid);
    let kept = same.clone().find(|&other| Some(other) == pid);
    kept.or_else(|| same.nth(ordinal))
}

/// Where a track is found from an offset on.
#[derive(Clone, Debug)]
struct Change {
    offset: u64,
    number: u16,
    pmt_pid: u16,
    /// `None`: in no program.
    pid: Option<u16>,
    kind: Kind,
}

/// A track that is followed.
struct Followed {
    entry: Entry,
    /// All tracks of its program.
    program: Arc<[Entry]>,
    number: u16,
    pmt_pid: u16,
    pid: Option<u16>,
    pmt: Sections,
    /// The last continuity counter of the program's map.
    counter: Option<u8>,
    /// Where its PID went over to what the track cannot, and its name.
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
        all: impl Fn(usize) -> Arc<[Entry]>,
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
                    kind: entry.kind.clone(),
                }],
                program: all(entry.program),
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
                if change.kind != *track.stream.framer.kind() {
                    track.stream.framer = track.entry.framer(&change.kind);
                }
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

    /// The error for a track whose PID holds from here on what the track cannot go over to.
    pub(super) fn replaced(&self, index: usize) -> Option<DemuxError> {
        let track = self.tracks.get(index)?;
        let (offset, name) = track.replaced.as_ref()?;
        Some(track.entry.replaced(name, *offset))
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
            let kind = self.stream.framer.kind();
            let pid = place(kind, self.pid, self.entry.ordinal, &pmt.streams);
            if pid.is_some() {
                self.replaced = None;
                if pid != self.pid {
                    self.stream.moved();
                    self.pid = pid;
                    self.remember(offset);
                }
                continue;
            }
            let own = [Some(self.entry.pid), self.pid];
            let mut other = pmt.streams.iter();
            let other = other.rfind(|stream| own.contains(&Some(stream.pid)));
            if let Some(other) = other
                && other.kind.medium().is_some()
                && other.kind.medium() == self.entry.kind.medium()
                && !self.is_taken(other.pid, &pmt.streams)
            {
                self.replaced = None;
                self.stream.go_over(self.entry.framer(&other.kind));
                self.pid = Some(other.pid);
                self.remember(offset);
                continue;
            }
            if self.replaced.is_none() {
                self.replaced = other.map(|other| (offset, other.kind.name().to_owned()));
            }
            if self.pid.is_some() {
                self.stream.moved();
                self.pid = None;
                self.remember(offset);
            }
        }
    }

    /// Whether another track of the program goes on under `pid`, as what it was when the source was opened.
    fn is_taken(&self, pid: u16, streams: &[Elementary]) -> bool {
        let mut others = self.program.iter().filter(|other| **other != self.entry);
        others.any(|other| place(&other.kind, Some(other.pid), other.ordinal, streams) == Some(pid))
    }

    /// Keeps where the track is found from `offset` on. What is known from further behind stays: it holds on from there.
    fn remember(&mut self, offset: u64) {
        if self.changes.len() >= MAX_CHANGES {
            return;
        }
        let at = self.changes.partition_point(|one| one.offset < offset);
        let change = Change {
            offset,
            number: self.number,
            pmt_pid: self.pmt_pid,
            pid: self.pid,
            kind: self.stream.framer.kind().clone(),
        };
        match self.changes.get_mut(at).filter(|one| one.offset == offset) {
            Some(known) => *known = change,
            None => self.changes.insert(at, change),
        }
    }
}

impl Entry {
    /// Cuts what the track goes over to.
    fn framer(&self, kind: &Kind) -> Framer {
        match *kind == self.kind {
            true => Framer::new(kind),
            false => Framer::other(kind),
        }
    }

    /// The error for what the track cannot go over to.
    pub(super) fn replaced(&self, name: &str, offset: u64) -> DemuxError {
        DemuxError::Unsupported(format!(
            "another codec in the middle of a track: {name} after {} from byte {offset} on",
            self.kind.name()
        ))
    }
}
