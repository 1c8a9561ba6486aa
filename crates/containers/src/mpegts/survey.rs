//! What stands at a transport stream's beginning: its tables, and the first frames of what they list.

use std::collections::BTreeSet;
use std::io;

use reelcore_media::demux::DemuxError;

use super::clock::{Clock, RATE};
use super::framer::Framer;
use super::packet::Packets;
use super::pes::PesStream;
use super::psi::{Elementary, Kind, PAT_PID, Pat, Pmt, Sections};

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
const LONG: i64 = 10 * RATE;

/// How much of the other programs of a stream is looked at for the map of one that is listed, in ticks, and how often the
/// tables may come without it. Maps are repeated several times a second.
const UNMAPPED: i64 = RATE;
const UNMAPPED_TABLES: usize = 10;

/// By how much a frame can be shown before the first, in ticks: what is more is another time line.
const LEAD: i64 = 5 * RATE;

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
