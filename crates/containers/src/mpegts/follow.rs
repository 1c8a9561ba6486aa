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

/// With what a track of `kind` goes on that was under `pid`: what is there, where that is of the same kind; else the stream of
/// its kind in its place.
fn place<'a>(
    kind: &Kind,
    pid: Option<u16>,
    ordinal: usize,
    streams: &'a [Elementary],
) -> Option<&'a Elementary> {
    let mut same = streams.iter().filter(|stream| stream.kind == *kind);
    let kept = same.clone().find(|stream| Some(stream.pid) == pid);
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
    /// What cut the kinds that the track went over from, with their parameter sets: for reading them again.
    spares: Vec<Framer>,
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
        all: &[Arc<[Entry]>],
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
                program: all.get(entry.program).map(Arc::clone).unwrap_or_default(),
                spares: Vec::new(),
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
                let kind = change.kind.clone();
                if kind != *track.stream.framer.kind() {
                    let known = track.spares.iter().position(|spare| *spare.kind() == kind);
                    let framer = match known {
                        Some(at) => track.spares.swap_remove(at),
                        None => track.entry.framer(&kind),
                    };
                    track.spare(|stream| std::mem::replace(&mut stream.framer, framer));
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

    /// Whether the track at `index` is known to go over to another kind somewhere.
    pub(super) fn goes_over(&self, index: usize) -> bool {
        self.tracks.get(index).is_some_and(|track| {
            let mut changes = track.changes.iter();
            changes.any(|change| change.kind != track.entry.kind)
        })
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
        }
        self.remember(offset);
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
            match self.find(&pmt.streams) {
                Some(stream) => {
                    self.replaced = None;
                    if stream.kind != *self.stream.framer.kind() {
                        let framer = self.entry.framer(&stream.kind);
                        self.spare(|stream| stream.go_over(framer));
                    } else if Some(stream.pid) != self.pid {
                        self.stream.moved();
                    }
                    self.pid = Some(stream.pid);
                }
                None => {
                    if self.replaced.is_none() {
                        let other = self.under_own_pid(&pmt.streams).next();
                        self.replaced = other.map(|other| (offset, other.kind.name().to_owned()));
                    }
                    if self.pid.take().is_some() {
                        self.stream.moved();
                    }
                }
            }
            self.remember(offset);
        }
    }

    /// The streams under the PIDs that the track has or had at first.
    fn under_own_pid<'a>(
        &self,
        streams: &'a [Elementary],
    ) -> impl Iterator<Item = &'a Elementary> + use<'a> {
        let first = Some(self.entry.pid).filter(|first| Some(*first) != self.pid);
        let pids = [self.pid, first];
        let at = move |pid| streams.iter().find(move |stream| stream.pid == pid);
        pids.into_iter().flatten().filter_map(at)
    }

    /// With what the track goes on: its own kind under its PID or in its place; else what can be gone over to under its own PID;
    /// else what it went over to before, wherever it is.
    fn find<'a>(&self, streams: &'a [Elementary]) -> Option<&'a Elementary> {
        let (own, now) = (&self.entry.kind, self.stream.framer.kind());
        let free = |stream: &&Elementary| !self.is_taken(stream, streams);
        place(own, self.pid, self.entry.ordinal, streams)
            .or_else(|| {
                let medium = own.medium();
                let fits =
                    |stream: &&Elementary| medium.is_some() && stream.kind.medium() == medium;
                self.under_own_pid(streams).filter(fits).find(free)
            })
            .or_else(|| {
                let before = place(now, self.pid, self.entry.ordinal, streams);
                before.filter(|_| now != own).filter(free)
            })
    }

    /// Whether another track of the program goes on with `stream`, as what it was when the source was opened.
    fn is_taken(&self, stream: &Elementary, streams: &[Elementary]) -> bool {
        let same = |other: &&Elementary| other.kind == stream.kind;
        let before = streams.iter().take_while(|other| other.pid != stream.pid);
        let rank = before.filter(same).count();
        let mut others = self.program.iter().filter(|other| **other != self.entry);
        others.any(|other| {
            let in_place = || {
                let mut streams = streams.iter().filter(same);
                other.ordinal == rank && streams.all(|stream| stream.pid != other.pid)
            };
            other.kind == stream.kind && (other.pid == stream.pid || in_place())
        })
    }

    /// Puts another framer in the place of the one that `replace` takes out, whose parameter sets are kept.
    fn spare(&mut self, replace: impl FnOnce(&mut PesStream) -> Framer) {
        let mut framer = replace(&mut self.stream);
        framer.restart();
        // One of a kind, of which there are few.
        self.spares.retain(|spare| spare.kind() != framer.kind());
        self.spares.push(framer);
    }

    /// Keeps where the track is found from `offset` on, where that is not what is known. What is known from further behind
    /// stays: it holds on from there.
    fn remember(&mut self, offset: u64) {
        let kind = self.stream.framer.kind();
        let full = self.changes.len() >= MAX_CHANGES;
        let at = self.changes.partition_point(|one| one.offset <= offset);
        let last = at.checked_sub(1).and_then(|at| self.changes.get_mut(at));
        if last.as_ref().is_some_and(|last| {
            (last.number, last.pmt_pid, last.pid) == (self.number, self.pmt_pid, self.pid)
                && last.kind == *kind
        }) {
            return;
        }
        let change = Change {
            offset,
            number: self.number,
            pmt_pid: self.pmt_pid,
            pid: self.pid,
            kind: kind.clone(),
        };
        match last.filter(|last| last.offset == offset) {
            // Who comes from elsewhere may not see with what the track goes on.
            Some(last) if last.pid.is_some() && change.pid.is_none() => {}
            Some(last) => *last = change,
            None if full => {}
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
