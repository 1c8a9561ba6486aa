//! Fragments: an initialisation segment, then `moof` and `mdat` by turns. All is final once it is written.

use bytes::Bytes;
use reelcore_media::mux::{MuxError, MuxOptions, OutputKind, Sink};

use super::FragmentIndex;
use super::boxes::{Boxes, mdat_header};
use super::movie::{Edit, TrackView, moov, roll_distance, roll_samples};
use super::time;
use super::track::{MuxTrack, Sample};

/// The most bytes that a reference of `sidx` may have.
const MAX_REFERENCE: u32 = 0x7fff_ffff;

/// The largest fragment, as offsets in it are signed numbers of 32 bits; of uncompressed sound less, as each frame may
/// take a place in a table.
const MAX_BYTES: usize = 1 << 30;
const MAX_PCM_BYTES: usize = 16 << 20;

/// sample_flags: depends on no other sample; depends on others and is no sync sample (ISO/IEC 14496-12, 8.8.3.1).
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

/// What is written of a file of fragments.
#[derive(Debug)]
pub(super) struct Fragmented {
    index: FragmentIndex,
    /// Bytes of `ftyp` and `moov`, once they are written.
    init: Option<u64>,
    written: u64,
    sequence: u32,
    tracks: Vec<Lane>,
    bytes: usize,
    /// For `sidx`: bytes, start and end (of the track that it counts), and whether a key sample comes first.
    segments: Vec<(u64, i64, i64, bool)>,
    /// For `sidx`: bytes of fragments before the first of those.
    unreferenced: u64,
}

#[derive(Debug, Default)]
struct Lane {
    scale: u32,
    /// Ticks by which an encoder's packets come before what it counts.
    kept: i64,
    /// Ticks that are added for decode times to begin at 0.
    shift: i64,
    /// Sample entries that are written.
    entries: usize,
    samples: Vec<Sample>,
    bytes: usize,
    last_delta: i64,
    /// For `tfra`: presentation time, offset of `moof`, number of `traf`, of `trun`'s sample.
    random_access: Vec<(u64, u64, u32, u32)>,
}

/// Equal samples that follow one another in a `trun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    count: u32,
    duration: u32,
    size: u32,
    flags: u32,
    offset: i32,
}

impl Lane {
    fn tick(&self, micros: i64) -> i64 {
        time::ticks(micros, self.scale).saturating_sub(self.kept)
    }

    /// The time scale, or the finest that it may become.
    fn finest(&self, track: Option<&MuxTrack>) -> u32 {
        if self.scale > 0 {
            return self.scale;
        }
        let scales = track.map(|track| time::scales(&track.output.kind));
        scales.into_iter().flatten().max().unwrap_or(1_000_000)
    }
}

impl Fragmented {
    pub(super) fn new(index: FragmentIndex) -> Self {
        Self {
            index,
            init: None,
            written: 0,
            sequence: 0,
            tracks: Vec::new(),
            bytes: 0,
            segments: Vec::new(),
            unreferenced: 0,
        }
    }

    /// The track by which fragments are cut: the first with pictures that goes on, else the first that does.
    fn reference(tracks: &[MuxTrack]) -> usize {
        let live = |track: &&(usize, &MuxTrack)| !track.1.ended;
        let all: Vec<_> = tracks.iter().enumerate().collect();
        let video =
            |track: &&(usize, &MuxTrack)| matches!(track.1.output.kind, OutputKind::Video { .. });
        all.iter()
            .filter(live)
            .find(video)
            .or_else(|| all.iter().find(live))
            .map_or(0, |track| track.0)
    }

    /// Adds a sample of the track at `index`.
    pub(super) fn sample(
        &mut self,
        index: usize,
        tracks: &[MuxTrack],
        mut sample: Sample,
        options: &MuxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        if self.tracks.is_empty() {
            if self.index == FragmentIndex::Sidx && !sink.is_seekable() {
                return Err(MuxError::Unsupported(
                    "an index before the fragments, in a sink that cannot seek".into(),
                ));
            }
            self.tracks = tracks.iter().map(|_| Lane::default()).collect();
        }
        let reference = Self::reference(tracks);
        let Some(lane) = self.tracks.get(index) else {
            return Ok(());
        };
        if self.init.is_some() && sample.entry >= lane.entries {
            // The entries are written and final.
            if !tracks
                .get(index)
                .is_some_and(|track| track.reads_as_first(sample.entry))
            {
                return Err(MuxError::Unsupported(format!(
                    "another description on track {index} after the first fragment"
                )));
            }
            sample.entry = 0;
        }
        let least = i64::try_from(options.fragment_duration.as_micros()).unwrap_or(i64::MAX);
        let age = lane
            .samples
            .first()
            .map(|first| sample.time.decode.saturating_sub(first.time.decode));
        let due = index == reference && sample.key && age.is_some_and(|age| age >= least);
        let other_entry = lane
            .samples
            .last()
            .is_some_and(|last| last.entry != sample.entry);
        // What a duration of 32 bits does not reach over, the next fragment's own time does.
        let wide = lane.samples.last().is_some_and(|last| {
            let gap = sample.time.decode.saturating_sub(last.time.decode);
            time::ticks(gap, lane.finest(tracks.get(index))) > i64::from(u32::MAX)
        });
        let size = sample.data.len();
        let pcm = tracks
            .get(index)
            .is_some_and(|track| track.pcm_frame.is_some());
        let max = options.max_buffered_bytes.min(MAX_BYTES);
        let full = self.bytes.saturating_add(size) > max
            || (pcm && lane.bytes.saturating_add(size) > MAX_PCM_BYTES);
        if due || other_entry || full || wide {
            let next = Some((index, sample.time.decode)).filter(|_| !wide);
            self.flush(tracks, options, next, sink)?;
        }
        self.bytes = self
            .bytes
            .saturating_add(size)
            .saturating_add(size_of::<Sample>());
        if let Some(lane) = self.tracks.get_mut(index) {
            lane.bytes = lane.bytes.saturating_add(size);
            lane.samples.push(sample);
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes, sink: &mut dyn Sink) -> Result<(), MuxError> {
        self.written = self.written.saturating_add(data.len() as u64);
        Ok(sink.write(data)?)
    }

    /// Writes `ftyp` and `moov`, with what the samples of the first fragment tell.
    fn start(
        &mut self,
        tracks: &[MuxTrack],
        options: &MuxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        if self.init.is_some() {
            return Ok(());
        }
        if let Some(index) = tracks.iter().position(|track| track.entries.is_empty()) {
            return Err(MuxError::Invalid(format!(
                "track {index} has no description, and no packet among those of the first fragment"
            )));
        }
        self.tracks.resize_with(tracks.len(), Lane::default);
        let mut views = Vec::new();
        for (track, lane) in tracks.iter().zip(&mut self.tracks) {
            let scales = time::scales(&track.output.kind);
            let times = || lane.samples.iter().map(|sample| sample.time);
            let exact = |scale: &&u32| times().all(|time| time::on_grid(time.present, **scale));
            let longest = times().map(|time| time.duration).max().unwrap_or(0);
            let fits = |scale: &&u32| time::ticks(longest, **scale) <= i64::from(u32::MAX);
            let coarser = scales.iter().rev().chain(&time::COARSER);
            let scale = scales
                .iter()
                .filter(fits)
                .find(exact)
                .or_else(|| coarser.clone().find(fits));
            lane.scale = scale.copied().unwrap_or(1_000_000);
            lane.entries = track.entries.len();
            lane.kept = time::ticks_of_nanos(track.counts_kept(), lane.scale);
            let first = lane.samples.first().map_or(0, |s| lane.tick(s.time.decode));
            lane.shift = first.min(0).saturating_neg();
            let duration = lane.samples.first().map_or(0, |s| s.time.duration);
            views.push(TrackView {
                track,
                scale: lane.scale,
                edit: edit(track, lane),
                media_duration: 0,
                table: None,
                first_duration: time::ticks(duration, lane.scale),
            });
        }
        let mut boxes = Boxes::default();
        boxes.bx(b"ftyp", |b| {
            b.bytes(b"iso6");
            b.u32(0);
            b.bytes(b"iso6mp41");
            // A CMAF track has a file of its own.
            if tracks.len() == 1 {
                b.bytes(b"cmfc");
            }
        });
        let init = [boxes.finish()?, moov(&views, options, true, 0)?].concat();
        self.init = Some(init.len() as u64);
        self.put(init.into(), sink)
    }

    /// Writes what waits as one fragment. `next` is the sample that follows, by track and decode time.
    fn flush(
        &mut self,
        tracks: &[MuxTrack],
        options: &MuxOptions,
        next: Option<(usize, i64)>,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.start(tracks, options, sink)?;
        if self.tracks.iter().all(|lane| lane.samples.is_empty()) {
            return Ok(());
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut parts = Vec::new();
        for (index, lane) in self.tracks.iter_mut().enumerate() {
            if lane.samples.is_empty() {
                continue;
            }
            let after = next.filter(|next| next.0 == index).map(|next| next.1);
            let pcm = tracks.get(index).and_then(|track| track.pcm_frame);
            parts.push((index, runs(lane, after, pcm)?));
        }
        let at = self.written;
        let build = |data_start: u64| self.moof(&parts, tracks, data_start);
        let size = build(0)?.len() as u64;
        let media: u64 = parts
            .iter()
            .filter_map(|(index, _)| self.tracks.get(*index))
            .map(|lane| lane.bytes as u64)
            .sum();
        let header = mdat_header(media);
        let head = [&build(size + header.len() as u64)?[..], &header].concat();
        self.note(&parts, tracks, at, head.len() as u64 + media);
        self.put(head.into(), sink)?;
        for (index, _) in &parts {
            let lane = self.tracks.get_mut(*index).map(|lane| {
                lane.bytes = 0;
                std::mem::take(&mut lane.samples)
            });
            for sample in lane.into_iter().flatten() {
                self.put(sample.data, sink)?;
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// Remembers for the index where the fragment is.
    fn note(&mut self, parts: &[(usize, Vec<Run>)], tracks: &[MuxTrack], at: u64, size: u64) {
        let counted = sidx_track(tracks);
        for (number, (index, _)) in parts.iter().enumerate() {
            let Some(lane) = self.tracks.get_mut(*index) else {
                continue;
            };
            let shown = |lane: &Lane, sample: &Sample| {
                lane.tick(sample.time.present).saturating_add(lane.shift)
            };
            let key = lane.samples.iter().position(|sample| sample.key);
            if let (FragmentIndex::Mfra, Some(position)) = (self.index, key)
                && let Some(sample) = lane.samples.get(position)
            {
                let time = u64::try_from(shown(lane, sample)).unwrap_or(0);
                let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
                // In uncompressed sound the first frame.
                let sample = u32::try_from(position + 1).unwrap_or(1);
                lane.random_access.push((time, at, number, sample));
            }
            if *index == counted && self.index == FragmentIndex::Sidx {
                // Times of the movie, to which the edit list has moved the samples back (ISO/IEC 14496-12, 8.16.3).
                let time = |time: i64| lane.tick(time).max(0);
                let first = lane.samples.iter().map(|s| time(s.time.present)).min();
                let end = lane
                    .samples
                    .iter()
                    .map(|s| time(s.time.present.saturating_add(s.time.duration)));
                let (first, end) = (first.unwrap_or(0), end.max().unwrap_or(0));
                self.segments.push((size, first, end, key == Some(0)));
            }
        }
        // Each reference begins where the last one's bytes end: a fragment of other tracks alone is part of what is before it.
        if self.index == FragmentIndex::Sidx && parts.iter().all(|(index, _)| *index != counted) {
            match self.segments.last_mut() {
                Some((before, ..)) => *before = before.saturating_add(size),
                None => self.unreferenced = self.unreferenced.saturating_add(size),
            }
        }
    }

    fn moof(
        &self,
        parts: &[(usize, Vec<Run>)],
        tracks: &[MuxTrack],
        data_start: u64,
    ) -> Result<Vec<u8>, MuxError> {
        let mut boxes = Boxes::default();
        let mut at = data_start;
        let mut too_far = false;
        boxes.bx(b"moof", |b| {
            b.full(b"mfhd", 0, 0, |b| b.u32(self.sequence));
            for (index, runs) in parts {
                let (Some(lane), Some(track)) = (self.tracks.get(*index), tracks.get(*index))
                else {
                    continue;
                };
                let offset = i32::try_from(at).unwrap_or_else(|_| {
                    too_far = true;
                    0
                });
                at = at.saturating_add(lane.bytes as u64);
                b.bx(b"traf", |b| traf(b, *index, lane, track, runs, offset));
            }
        });
        if too_far {
            return Err(MuxError::Limit("a fragment of 2 GiB or more".into()));
        }
        boxes.finish()
    }

    /// Writes what waits, and the index.
    pub(super) fn finish(
        &mut self,
        tracks: &[MuxTrack],
        options: &MuxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), MuxError> {
        self.flush(tracks, options, None, sink)?;
        match self.index {
            FragmentIndex::None => Ok(()),
            FragmentIndex::Mfra => {
                let mfra = self.mfra()?;
                self.put(mfra.into(), sink)
            }
            FragmentIndex::Sidx => {
                let Some(sidx) = self.sidx(tracks)? else {
                    return Ok(());
                };
                Ok(sink.insert(self.init.unwrap_or(0), &sidx)?)
            }
        }
    }

    fn mfra(&self) -> Result<Vec<u8>, MuxError> {
        let mut boxes = Boxes::default();
        boxes.bx(b"mfra", |b| {
            for (index, lane) in self.tracks.iter().enumerate() {
                b.full(b"tfra", 1, 0, |b| {
                    b.count(index + 1);
                    // Numbers of traf, trun and sample have four bytes each.
                    b.u32(0x3f);
                    b.count(lane.random_access.len());
                    for &(time, offset, traf, sample) in &lane.random_access {
                        b.u64(time);
                        b.u64(offset);
                        b.u32(traf);
                        b.u32(1);
                        b.u32(sample);
                    }
                });
            }
            let size = b.len() + 16;
            b.full(b"mfro", 0, 0, |b| b.count(size));
        });
        boxes.finish()
    }

    /// `sidx` over all fragments; `None` where there are none or more than it can count.
    fn sidx(&self, tracks: &[MuxTrack]) -> Result<Option<Vec<u8>>, MuxError> {
        let counted = sidx_track(tracks);
        let count = u16::try_from(self.segments.len()).ok().filter(|&c| c > 0);
        // Without an index rather than with one that is wrong.
        if self
            .segments
            .iter()
            .any(|segment| segment.0 > u64::from(MAX_REFERENCE))
        {
            return Ok(None);
        }
        let (Some(count), Some(lane)) = (count, self.tracks.get(counted)) else {
            return Ok(None);
        };
        let first = self.segments.first().map_or(0, |segment| segment.1);
        let mut boxes = Boxes::default();
        boxes.full(b"sidx", 1, 0, |b| {
            b.count(counted + 1);
            b.u32(lane.scale);
            b.u64(u64::try_from(first).unwrap_or(0));
            b.u64(self.unreferenced);
            b.u16(0);
            b.u16(count);
            for (index, &(size, start, end, key)) in self.segments.iter().enumerate() {
                let end = self.segments.get(index + 1).map_or(end, |next| next.1);
                // The upper bit would say that it refers to another index.
                b.u32(u32::try_from(size).unwrap_or(MAX_REFERENCE));
                b.u32(u32::try_from(end.saturating_sub(start)).unwrap_or(0));
                // starts_with_SAP, SAP_type 1.
                b.u32(if key { 0x9000_0000 } else { 0 });
            }
        });
        boxes.finish().map(Some)
    }
}

/// The track whose times `sidx` has.
fn sidx_track(tracks: &[MuxTrack]) -> usize {
    tracks
        .iter()
        .position(|track| matches!(track.output.kind, OutputKind::Video { .. }))
        .unwrap_or(0)
}

/// What is shown of a track: `tfdt` says when it begins, so an edit is needed only where its start is moved or dropped.
fn edit(track: &MuxTrack, lane: &Lane) -> Edit {
    let heard = track.heard.begins(lane.scale, |micros| lane.tick(micros));
    let dropped = heard
        .or_else(|| track.starts().map(|start| lane.tick(start)))
        .map_or(0, |start| start.max(0));
    Edit {
        empty: dropped,
        media_start: dropped.saturating_add(lane.shift),
        length: None,
        needed: dropped > 0 || lane.shift > 0,
    }
}

/// The samples of a track as equal ones that follow one another. `next` is the decode time of the one after them.
fn runs(lane: &mut Lane, next: Option<i64>, pcm: Option<usize>) -> Result<Vec<Run>, MuxError> {
    let mut out: Vec<Run> = Vec::new();
    let mut push = |run: Run| match out.last_mut() {
        Some(last)
            if (Run {
                count: run.count,
                ..*last
            }) == run =>
        {
            last.count = last.count.saturating_add(run.count);
        }
        _ => out.push(run),
    };
    let mut last_delta = lane.last_delta;
    for (index, sample) in lane.samples.iter().enumerate() {
        let decode = lane.tick(sample.time.decode);
        let present = lane.tick(sample.time.present);
        let follows = lane.samples.get(index + 1).map(|next| next.time.decode);
        let delta = match follows.or(next) {
            Some(next) => lane.tick(next).saturating_sub(decode),
            None if sample.time.duration > 0 => lane
                .tick(sample.time.present.saturating_add(sample.time.duration))
                .saturating_sub(present),
            None => last_delta,
        };
        last_delta = delta;
        let fits = |value: i64| {
            MuxError::Invalid(format!(
                "expected times of a packet that fit in 32 bits, found {value} ticks of 1/{} s",
                lane.scale
            ))
        };
        let duration = u32::try_from(delta).map_err(|_| fits(delta))?;
        let offset = present.saturating_sub(decode);
        let run = Run {
            count: 1,
            duration,
            size: u32::try_from(pcm.unwrap_or(sample.data.len())).unwrap_or(u32::MAX),
            flags: if sample.key { SYNC } else { NOT_SYNC },
            offset: i32::try_from(offset).map_err(|_| fits(offset))?,
        };
        if pcm.is_some() {
            // Frames of one tick each; the last one fills a gap, if there is any.
            let rest = sample.time.frames.saturating_sub(1);
            if rest > 0 {
                push(Run {
                    count: rest,
                    duration: 1,
                    ..run
                });
            }
            let gap = match follows.or(next) {
                Some(_) => duration.saturating_sub(rest).max(1),
                None => 1,
            };
            push(Run {
                duration: gap,
                ..run
            });
        } else {
            push(run);
        }
    }
    lane.last_delta = last_delta;
    Ok(out)
}

/// `value` where all samples have the same.
fn uniform<T: PartialEq>(runs: &[Run], value: impl Fn(&Run) -> T) -> Option<T> {
    let first = runs.first().map(&value)?;
    runs.iter().all(|run| value(run) == first).then_some(first)
}

fn traf(b: &mut Boxes, index: usize, lane: &Lane, track: &MuxTrack, runs: &[Run], at: i32) {
    let duration = uniform(runs, |run| run.duration);
    let size = uniform(runs, |run| run.size);
    let mut flags = uniform(runs, |run| run.flags);
    let mut first_flags = None;
    // A key picture and what depends on it.
    if flags.is_none()
        && let Some((first, rest)) = runs.split_first()
        && first.count == 1
        && let Some(others) = uniform(rest, |run| run.flags)
    {
        (flags, first_flags) = (Some(others), Some(first.flags));
    }
    let offsets = uniform(runs, |run| run.offset) != Some(0);
    let entry = lane.samples.first().map_or(0, |sample| sample.entry);
    const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
    let present = |set: bool, flag: u32| if set { flag } else { 0 };
    let tfhd = DEFAULT_BASE_IS_MOOF
        | present(entry > 0, 2)
        | present(duration.is_some(), 8)
        | present(size.is_some(), 0x10)
        | present(flags.is_some(), 0x20);
    b.full(b"tfhd", 0, tfhd, |b| {
        b.count(index + 1);
        if entry > 0 {
            b.count(entry + 1);
        }
        for value in [duration, size, flags].into_iter().flatten() {
            b.u32(value);
        }
    });
    let start = lane.samples.first().map_or(0, |sample| {
        lane.tick(sample.time.decode).saturating_add(lane.shift)
    });
    b.full(b"tfdt", 1, 0, |b| b.u64(u64::try_from(start).unwrap_or(0)));
    let trun = 1
        | present(first_flags.is_some(), 4)
        | present(duration.is_none(), 0x100)
        | present(size.is_none(), 0x200)
        | present(flags.is_none(), 0x400)
        | present(offsets, 0x800);
    let count: u32 = runs
        .iter()
        .fold(0, |sum, run| sum.saturating_add(run.count));
    b.full(b"trun", 1, trun, |b| {
        b.u32(count);
        b.i32(at);
        if let Some(first) = first_flags {
            b.u32(first);
        }
        if trun & 0xf00 == 0 {
            return;
        }
        for run in runs {
            for _ in 0..run.count {
                if duration.is_none() {
                    b.u32(run.duration);
                }
                if size.is_none() {
                    b.u32(run.size);
                }
                if flags.is_none() {
                    b.u32(run.flags);
                }
                if offsets {
                    b.i32(run.offset);
                }
            }
        }
    });
    let view = TrackView {
        track,
        scale: lane.scale,
        edit: Edit::default(),
        media_duration: 0,
        table: None,
        first_duration: 1,
    };
    if roll_distance(&view).is_some() {
        roll_samples(b, u64::from(count));
    }
}
