//! MPEG-2 transport streams (ISO/IEC 13818-1, ITU-T H.222.0), also with the time stamps of M2TS (192 bytes a packet) and with
//! room for error correction (204).
//!
//! - **Tracks** are the elementary streams of all programs that the first tables list, in their order; `id` is the PID. H.264 and
//!   HEVC come as access units in the "annexb" form and AAC as ADTS frames, which the registrations of both allow without a
//!   `description`: bytes stay as they are, and what changes in mid-stream is told in the stream. MP3 comes frame by frame.
//!   Opus comes without its control headers. Everything else (MPEG video, layer II, AAC in LATM, AC-3, subtitles) is
//!   [`TrackKind::Other`] by name, and MP2 frame by frame, the rest one PES packet at a time. Streams of sections (SCTE 35) are no tracks.
//! - **Changes**: a track goes on under a new PID where a new program map table has its kind of stream there, in its place
//!   among those of that kind. Where the table has none of its kind, the track goes over to what its own PID holds, if that
//!   is decoded to pictures or sound as the track is and no other track goes on with it, until a table has its own kind again.
//!   The first key packet says so ([`Packet::config`](reelcore_media::demux::Packet::config)); what comes before that is not
//!   given. After a seek the first packet says it, too, once the reader has met such a change, or where it holds. Anything else under
//!   its own PID is `Unsupported` where it begins; where its PID is not in the table, the track pauses. Tables count by what
//!   they say, not by their version: streams that were put together number theirs alike. A stream that appears later is no
//!   track: the list is made once. A program whose map does not come is not waited for in a source that comes in order.
//! - **Times** are those of the stream, unrolled over the wrap of 33 bits, less the earliest presentation time among the first
//!   frames of the program, which so begins at 0. Other discontinuities of the time line are left as they are, as FFmpeg
//!   leaves them: times then jump forward or back. Programs have time lines of their own.
//! - **Damage**: access units and frames that a lost, damaged or scrambled packet belongs to, or may belong to, are not given; the gap in the
//!   times shows. A PES packet of unknown length that ended in stuffing was whole, and so was what came before a part that was put
//!   behind and counts its packets from 0. What comes after refers to what is missing until the next key packet.
//! - **Seeking** bisects on time stamps. It finds what reading from the start finds where time stamps ascend and the
//!   stream is shorter than the wrap; after a change of the tables they come into force where they are repeated.
//! - **Duration** is taken from the last packets of a source that can be read anywhere; there is none where the time line ends
//!   before it began.

mod audio;
mod clock;
mod follow;
mod framer;
mod mux;
mod opus;
mod packet;
mod pes;
mod psi;
mod reader;
mod survey;

use std::sync::Arc;

use reelcore_media::demux::{
    DemuxError, Demuxer, Encryption, PacketReader, Source, Track, TrackConfig, TrackKind,
};

use self::clock::{Clock, Moment};
use self::follow::{Entry, Follower, Program};
use self::framer::Framer;
use self::packet::{Layout, Packets};
use self::psi::Kind;
use self::reader::TsReader;
use self::survey::{Survey, SurveyedStream};
use crate::annexb::video_track;
use crate::window::{AHEAD, AHEAD_SPARSE, Window};
use crate::{Limits, PROBE_BYTES};

pub use self::mux::TsMuxer;

/// How far the tables and the first frames of all tracks are looked for, in bytes; ten seconds of them end the search, too.
const MAX_SURVEY: u64 = 32 << 20;

/// How far from the end the last frames are looked for, in bytes, at first and at most.
const TAIL: u64 = 256 << 10;
const MAX_TAIL: u64 = 16 << 20;

/// In how many parts a stream is divided to find out how often its times wrap around.
const PLACES: u64 = 16;

/// Pictures at the end among which is the one that is shown last: one more than any codec holds back.
const LAST_PICTURES: usize = 17;

/// Whether the first bytes of a source can be a transport stream.
pub fn probe(head: &[u8]) -> bool {
    Layout::detect(head).is_some()
}

/// What is kept of a track beside what is public.
#[derive(Debug)]
struct TsTrack {
    entry: Entry,
    /// The first parameter sets.
    sets: Vec<u8>,
    /// How long a picture lasts as they say, in ticks.
    frame: Option<i64>,
}

/// An opened transport stream.
pub struct TsDemuxer {
    window: Window,
    layout: Layout,
    programs: Vec<Program>,
    details: Vec<TsTrack>,
    tracks: Vec<Track>,
    duration: Option<u64>,
    max_packet_bytes: u64,
}

impl std::fmt::Debug for TsDemuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsDemuxer")
            .field("layout", &self.layout)
            .field("programs", &self.programs)
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}

impl TsDemuxer {
    /// Opens a transport stream: reads its tables and the first frames of each track, and of a source that can be read
    /// anywhere its end.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] where no tables are found, [`DemuxError::Limit`] for more tracks than the cap.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let mut window = Window::new(source)?;
        let head = window.peek(0, PROBE_BYTES, AHEAD)?;
        let head = head.get(..PROBE_BYTES.min(head.len())).unwrap_or_default();
        let layout = Layout::detect(head).ok_or_else(|| DemuxError::Invalid {
            offset: 0,
            message: "expected transport packets, which begin with 0x47 at equal distances".into(),
        })?;
        let packets = Packets::new(window.another(), layout);
        let seekable = window.is_seekable();
        let mut survey = Survey::new(
            packets,
            limits.max_packet_bytes,
            limits.max_tracks,
            seekable,
        );
        survey.run(layout.first.saturating_add(MAX_SURVEY))?;
        if !survey.has_pat() {
            return Err(DemuxError::Invalid {
                offset: layout.first,
                message: format!(
                    "expected a program association table within {MAX_SURVEY} bytes, found none whose CRC is right"
                ),
            });
        }
        let mut demuxer = Self {
            window,
            layout,
            programs: Vec::new(),
            details: Vec::new(),
            tracks: Vec::new(),
            duration: None,
            max_packet_bytes: limits.max_packet_bytes,
        };
        for (index, program) in survey.programs.iter().enumerate() {
            let base = base(&program.streams);
            demuxer.programs.push(Program {
                number: program.number,
                pmt_pid: program.pmt_pid,
                base,
            });
            for (place, stream) in program.streams.iter().enumerate() {
                let kind = &stream.elementary.kind;
                let before = program.streams.iter().take(place);
                demuxer.details.push(TsTrack {
                    entry: Entry {
                        program: index,
                        pid: stream.elementary.pid,
                        kind: kind.clone(),
                        ordinal: before
                            .filter(|other| other.elementary.kind == *kind)
                            .count(),
                    },
                    sets: stream.stream.framer.parameter_sets(),
                    frame: stream.stream.framer.frame_ticks(),
                });
                demuxer.tracks.push(track(stream));
            }
        }
        drop(survey);
        demuxer.measure()?;
        Ok(demuxer)
    }

    /// A follower of the tracks in `entries`, at the start.
    fn follow(&self, entries: impl IntoIterator<Item = Entry>) -> Follower {
        let packets = Packets::new(self.window.another(), self.layout);
        let mut all = vec![Vec::new(); self.programs.len()];
        for track in &self.details {
            if let Some(program) = all.get_mut(track.entry.program) {
                program.push(track.entry.clone());
            }
        }
        let all: Vec<Arc<[Entry]>> = all.into_iter().map(Arc::from).collect();
        Follower::new(
            packets,
            &self.programs,
            entries,
            &all,
            self.max_packet_bytes,
        )
    }

    fn base(&self, entry: &Entry) -> i64 {
        self.programs
            .get(entry.program)
            .map_or(0, |program| program.base)
    }

    /// Finds the durations, from the last frames.
    fn measure(&mut self) -> Result<(), DemuxError> {
        let Some(len) = self.window.len() else {
            return Ok(());
        };
        let bases = self.programs.iter().map(|program| program.base);
        let mut ends = self.ends(len, bases.map(Clock::after).collect())?;
        let far = Moment::ticks(clock::FAR).micros(0);
        if ends.iter().flatten().any(|&end| end >= far) {
            // That long, or the time line goes back: what stands between tells.
            let clocks = self.last_times(len)?.into_iter().map(Clock::near);
            ends = self.ends(len, clocks.collect())?;
        }
        for (track, end) in self.tracks.iter_mut().zip(ends) {
            track.duration = end
                .and_then(|end| u64::try_from(end).ok())
                .filter(|&end| end > 0);
        }
        self.duration = self.tracks.iter().filter_map(|track| track.duration).max();
        Ok(())
    }

    /// A time near the end of each program, in ticks: unrolled from place to place as reading unrolls from packet to packet.
    fn last_times(&self, len: u64) -> Result<Vec<i64>, DemuxError> {
        let entries: Vec<Entry> =
            (self.details.iter().map(|track| &track.entry).cloned()).collect();
        let mut follower = self.follow(entries.iter().cloned());
        let mut times: Vec<i64> = self.programs.iter().map(|program| program.base).collect();
        let first = self.layout.first;
        let step = len.saturating_sub(first) / PLACES;
        for place in 1..PLACES {
            let from = first + place * step;
            let near =
                |times: &[i64], entry: &Entry| times.get(entry.program).copied().unwrap_or(0);
            follower.goto(from, AHEAD_SPARSE, &|entry| {
                Clock::near(near(&times, entry))
            });
            let mut found = vec![None; times.len()];
            while found.contains(&None) && follower.position() < from.saturating_add(TAIL) {
                let more = follower.step()?;
                for (index, entry) in entries.iter().enumerate() {
                    while let Some(frame) = follower.pop(index) {
                        if let Some(found) = found.get_mut(entry.program) {
                            *found = found.or(frame.pts.map(|pts| pts.ticks));
                        }
                    }
                }
                if !more {
                    break;
                }
            }
            for (time, found) in times.iter_mut().zip(found) {
                *time = found.unwrap_or(*time);
            }
        }
        Ok(times)
    }

    /// Where the tracks end, in microseconds, with a clock for each program.
    fn ends(&self, len: u64, clocks: Vec<Clock>) -> Result<Vec<Option<i64>>, DemuxError> {
        let entries: Vec<Entry> = self
            .details
            .iter()
            .map(|track| track.entry.clone())
            .collect();
        let mut follower = self.follow(entries.iter().cloned());
        let mut ends: Vec<Option<i64>> = vec![None; entries.len()];
        let mut tail = TAIL;
        loop {
            let from = len.saturating_sub(tail).max(self.layout.first);
            // Pictures in the tail, and whether it has one before which none is shown later than those behind it.
            let mut seen = vec![(0, false); entries.len()];
            let clock = |entry: &Entry| clocks.get(entry.program).copied();
            follower.goto(from, AHEAD, &|entry| {
                clock(entry).unwrap_or(Clock::after(self.base(entry)))
            });
            loop {
                let more = follower.step()?;
                let each = ends.iter_mut().zip(&mut seen).zip(&entries);
                for (index, ((end, (pictures, key)), entry)) in each.enumerate() {
                    while let Some(frame) = follower.pop(index) {
                        *pictures += 1;
                        *key |= frame.key;
                        // Between key pictures no parameter sets tell how long the last one is.
                        let lasts = self.details.get(index).and_then(|track| track.frame);
                        let until = |pts: Moment| Moment {
                            ticks: pts.ticks.saturating_add(lasts.unwrap_or(0)),
                            ..pts
                        };
                        let last = frame.end.or(frame.pts.map(until));
                        let last = last.map(|at| at.micros(self.base(entry)));
                        *end = (*end).max(last);
                    }
                }
                if !more {
                    break;
                }
            }
            // Sound and pictures go on to the end; subtitles may not.
            let known = self.tracks.iter().zip(ends.iter().zip(&seen)).all(
                |(track, (end, &(pictures, key)))| {
                    let enough = match track.kind {
                        TrackKind::Video { .. } => key || pictures >= LAST_PICTURES,
                        _ => true,
                    };
                    track.codec.is_none() || (end.is_some() && enough)
                },
            );
            if known || from == self.layout.first || tail >= MAX_TAIL {
                return Ok(ends);
            }
            tail = tail.saturating_mul(4);
        }
    }
}

/// The earliest presentation time of a program: of its pictures and its sound, else of what it has.
fn base(streams: &[SurveyedStream]) -> i64 {
    let known = |stream: &&SurveyedStream| !matches!(stream.elementary.kind, Kind::Other(_));
    let times = |stream: &SurveyedStream| stream.first.zip(stream.earliest);
    let mut chosen: Vec<(i64, i64)> = streams.iter().filter(known).filter_map(times).collect();
    if chosen.is_empty() {
        chosen = streams.iter().filter_map(times).collect();
    }
    let Some(&(reference, _)) = chosen.first() else {
        return 0;
    };
    // One time line for all, should the wrap come between their beginnings.
    let low = |time: i64| u64::try_from(time.rem_euclid(1 << 33)).unwrap_or(0);
    chosen
        .iter()
        .map(|&(_, earliest)| Clock::near(reference).unroll(low(earliest)))
        .min()
        .unwrap_or(reference)
}

/// What decoders of the frames that `framer` cuts are configured with; `None` where they have not told.
fn config(framer: &Framer) -> Option<TrackConfig> {
    let told = framer.video().is_some() || framer.audio().is_some();
    told.then(|| track_of(0, framer).config())
}

/// A track of what `framer` cuts.
fn track_of(id: u32, framer: &Framer) -> Track {
    match (framer.video(), framer.audio()) {
        (Some(info), _) => video_track(id, &info),
        (None, audio) => Track {
            id,
            kind: match audio {
                Some(info) if info.codec.is_some() => TrackKind::Audio {
                    sample_rate: info.sample_rate,
                    channels: info.channels,
                },
                Some(info) => TrackKind::Other(info.name.to_owned()),
                None => TrackKind::Other(framer.kind().name().to_owned()),
            },
            codec: audio.and_then(|info| info.codec).map(str::to_owned),
            description: match *framer.kind() {
                Kind::Opus { channels } => opus::head(channels),
                _ => None,
            },
            language: None,
            name: None,
            encryption: None,
            duration: None,
            samples: None,
        },
    }
}

fn track(surveyed: &SurveyedStream) -> Track {
    let elementary = &surveyed.elementary;
    let stream = &surveyed.stream;
    let mut track = track_of(u32::from(elementary.pid), &stream.framer);
    track.language.clone_from(&elementary.language);
    if stream.scrambled {
        // Conditional access: how is known to its provider alone.
        track.encryption = Some(Encryption {
            scheme: None,
            default_kid: None,
            original_codec: track.codec.take(),
            pssh: Arc::default(),
        });
    }
    track
}

impl Demuxer for TsDemuxer {
    fn container(&self) -> &'static str {
        "mpegts"
    }

    fn duration(&self) -> Option<u64> {
        self.duration
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        Ok(Box::new(TsReader::new(self, index)?))
    }
}
