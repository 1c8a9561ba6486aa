//! Walks the samples of a track through the fragments of a file.

use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::index::{self, Index};
use super::{Fragment, MoofContext, Run, parse_moof};
use crate::mp4::budget::Budget;
use crate::mp4::decode_shift::DecodeShift;
use crate::mp4::file::{File, TopBox};
use crate::mp4::frames::PcmFrames;
use crate::mp4::movie::FragmentDefaults;
use crate::mp4::protection::{SampleInfo, TrackProtection};
use crate::mp4::sample::Sample;

/// The fragments of a file.
#[derive(Debug)]
pub(crate) struct Fragments {
    file: File,
    defaults: Vec<FragmentDefaults>,
    /// Where to look for the first one: the end of the `moov` box.
    first: u64,
    index: Index,
    /// (end of the presentation, ticks a second) as a `sidx` box says, for the track it names.
    ends: Vec<(u32, u64, u32)>,
    /// By the number of the track.
    protections: Vec<(u32, TrackProtection)>,
    /// By the number of the track: those of pictures.
    shifts: Vec<(u32, DecodeShift)>,
}

/// No source is longer than this, as far as counts of samples are concerned: 1 TiB.
pub(super) const MAX_STREAM: u64 = 1 << 40;

/// Fragments that are looked at for the first one with samples of a track.
pub(super) const LOOK_AHEAD: usize = 8;

impl Fragments {
    /// Looks for the index of the file, whose `moov` box ends at `first`. `tracks` are the numbers and time scales
    /// of all tracks.
    pub(crate) fn open(
        file: &File,
        defaults: Vec<FragmentDefaults>,
        first: u64,
        tracks: &[(u32, u32)],
        protections: Vec<(u32, TrackProtection)>,
        shifts: Vec<(u32, DecodeShift)>,
    ) -> Result<Self, DemuxError> {
        if !file.source.is_seekable() {
            // Nothing is known of what has not arrived.
            return Ok(Self {
                file: file.clone(),
                defaults,
                first,
                index: Index::Offsets(Vec::new()),
                ends: Vec::new(),
                protections,
                shifts,
            });
        }
        let mut segments = Vec::new();
        let mut at = first;
        // A damaged box here is reported by the reader that comes to it.
        while let Ok(Some(top)) = file.top_box(at) {
            match &top.kind.0 {
                b"sidx" => {
                    // An index that cannot be read is as good as none.
                    if let Ok(body) = file.read_body(&top)
                        && let Ok(Some(segment)) = index::parse_sidx(body, top.end)
                    {
                        segments.push(segment);
                    }
                }
                b"moof" | b"mdat" => break,
                _ => {}
            }
            at = top.end;
        }
        let mfra = index::find_mfra(file)?;
        let end = mfra.as_ref().map_or(file.len, |(top, _)| top.start);
        // An index of the first part of the file alone would hide the rest.
        segments.retain(|segment| segment.end == end || segment.end == file.len);
        let mut timed = Vec::with_capacity(tracks.len());
        for &(id, scale) in tracks {
            let access = mfra
                .as_ref()
                .and_then(|(_, access)| access.iter().find(|(track, _)| *track == id))
                .map(|(_, entries)| entries.clone())
                .filter(|entries| !entries.is_empty());
            let segment = segments
                .iter()
                .find(|segment| segment.track == id)
                .or(segments.first());
            let entries = access.or_else(|| {
                segment.map(|segment| {
                    let ticks = |time: u64| {
                        let ticks =
                            u128::from(time) * u128::from(scale) / u128::from(segment.scale);
                        i64::try_from(ticks).unwrap_or(i64::MAX)
                    };
                    segment
                        .entries
                        .iter()
                        .map(|&(time, offset)| (ticks(time), offset))
                        .collect()
                })
            });
            timed.extend(entries);
        }
        let index = if timed.len() == tracks.len() && !tracks.is_empty() {
            Index::Timed(timed)
        } else {
            Index::Offsets(index::scan(file, first)?)
        };
        Ok(Self {
            file: file.clone(),
            defaults,
            first,
            index,
            ends: segments
                .iter()
                .map(|segment| (segment.track, segment.end_time, segment.scale))
                .collect(),
            protections,
            shifts,
        })
    }

    /// The presentation time in microseconds at which a `sidx` box lets a track end. Its times are those of the movie, with
    /// the edit list applied (ISO/IEC 14496-12, 8.16.3).
    pub(crate) fn end_by_index(&self, id: u32) -> Option<u64> {
        let &(_, time, scale) = self.ends.iter().find(|(track, ..)| *track == id)?;
        let scale = u128::from(scale);
        let micros = (u128::from(time) * 1_000_000 + scale / 2) / scale;
        u64::try_from(micros).ok().filter(|&micros| micros > 0)
    }

    /// The media time in ticks at which the last of a track's samples ends, by composition times, in the last fragments.
    /// `tables`: when those of the sample tables end, which stand before all fragments. `budget` is that of all tracks.
    pub(crate) fn end_time(
        self: &Arc<Self>,
        track_index: usize,
        id: u32,
        tables: i64,
        budget: &mut Budget,
    ) -> Option<i64> {
        // The last places of the index; a track may have ended some fragments before the others.
        const LOOK_BACK: usize = 8;
        let last: Vec<u64> = match &self.index {
            Index::Timed(tracks) => tracks
                .get(track_index)
                .map(|entries| entries.iter().rev().take(LOOK_BACK).map(|e| e.1).collect())
                .unwrap_or_default(),
            Index::Offsets(offsets) => offsets.iter().rev().take(LOOK_BACK).copied().collect(),
        };
        // Of a stream there is no index.
        let whole = self.file.source.is_seekable() && last.len() < LOOK_BACK;
        for start in last {
            if budget.is_spent() {
                return None;
            }
            let mut cursor = FragmentCursor::new(Arc::clone(self), track_index, id, 0);
            cursor.go_to(start);
            let mut end = None;
            loop {
                let before = cursor.parsed;
                let next = cursor.next();
                budget.spend(cursor.parsed - before + 1).ok()?;
                match next {
                    Ok(Some(sample)) if cursor.timed => {
                        let ticks = i64::try_from(sample.duration).unwrap_or(0);
                        end = end.max(Some(sample.composition_time.saturating_add(ticks)));
                    }
                    // What is damaged there is reported when it is read; the duration is unknown.
                    Ok(Some(_)) | Err(_) => return None,
                    Ok(None) => break,
                }
            }
            if end.is_some() {
                return end;
            }
        }
        // No fragment has any of the track.
        Some(tables).filter(|_| whole)
    }

    /// By how much decode times of a track are moved back, in all its fragments.
    fn decode_shift(&self, track_index: usize, track: u32) -> i64 {
        let Some(shift) = self.shift_of(track) else {
            return 0;
        };
        // A stream is not waited for, nor gone back in.
        if !shift.is_open() && self.file.source.is_seekable() {
            let first = self.first_fragment(track_index, track);
            shift.open(&first.unwrap_or_default());
        }
        shift.ticks()
    }

    fn shift_of(&self, track: u32) -> Option<&DecodeShift> {
        let mut shifts = self.shifts.iter();
        shifts.find(|(id, _)| *id == track).map(|(_, shift)| shift)
    }

    /// The first fragment with samples of a track, where it is one of the first.
    fn first_fragment(&self, track_index: usize, track: u32) -> Option<Fragment> {
        let mut at = match &self.index {
            Index::Timed(tracks) => tracks.get(track_index)?.first()?.1,
            Index::Offsets(_) => self.first,
        };
        for _ in 0..LOOK_AHEAD {
            // What is damaged there is reported when it is read.
            let (fragment, moof) = self.parse_at(at, track, 0).ok().flatten()?;
            if let Some(fragment) = fragment.filter(|fragment| !fragment.runs.is_empty()) {
                return Some(fragment);
            }
            at = moof.end;
        }
        None
    }

    /// The first `moof` box from `start` on, and what it has of a track.
    fn parse_at(
        &self,
        start: u64,
        track: u32,
        decode_time: i64,
    ) -> Result<Option<(Option<Fragment>, TopBox)>, DemuxError> {
        let mut at = start;
        while let Some(top) = self.file.top_box(at)? {
            if &top.kind.0 == b"moof" {
                let file = &self.file;
                let context = MoofContext {
                    defaults: &self.defaults,
                    track,
                    source_len: file.len.min(MAX_STREAM),
                    protection: self
                        .protections
                        .iter()
                        .find(|(id, _)| *id == track)
                        .map(|(_, protection)| protection),
                    read: &|offset, len| file.read_auxiliary(offset, len),
                };
                let body = self.file.read_body(&top)?;
                let fragment = parse_moof(body, top.start, decode_time, &context)?;
                return Ok(Some((fragment, top)));
            }
            at = top.end;
        }
        Ok(None)
    }
}

/// A place among the samples of one fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    run: usize,
    index: u32,
    /// Offset and decode time of the sample, valid where `index` is not 0.
    offset: u64,
    decode_time: i64,
}

/// Walks the samples of one track in decode order. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct FragmentCursor {
    fragments: Arc<Fragments>,
    track_index: usize,
    track: u32,
    /// Decode time at which the first fragment begins, if it does not say.
    start_time: i64,
    /// Where to look for the next `moof` box.
    next_box: u64,
    current: Arc<Fragment>,
    place: Place,
    /// Whether the time is known from the file, not by counting from the start.
    timed: bool,
    /// Whether no sample of the track has been passed: it stands before the first.
    first: bool,
    /// For PCM, whose samples are single frames that one packet holds many of.
    frames: Option<PcmFrames>,
    /// Whether every sample stands alone, whatever its flags say.
    all_sync: bool,
    /// Bytes of the `moof` boxes that were parsed.
    parsed: u64,
}

impl FragmentCursor {
    /// At the first sample of the track with the number `track`, the `track_index`th of the file.
    pub(crate) fn new(
        fragments: Arc<Fragments>,
        track_index: usize,
        track: u32,
        start_time: i64,
    ) -> Self {
        let mut this = Self {
            next_box: 0,
            fragments,
            track_index,
            track,
            start_time,
            current: Arc::default(),
            place: Place::default(),
            timed: false,
            first: true,
            frames: None,
            all_sync: false,
            parsed: 0,
        };
        this.rewind();
        this
    }

    /// With samples that are frames of uncompressed sound, which are given many at a time.
    pub(crate) fn with_frames(self, frames: Option<PcmFrames>) -> Self {
        Self { frames, ..self }
    }

    /// With samples that all stand alone, where `all_sync`.
    pub(crate) fn with_sync(self, all_sync: bool) -> Self {
        Self { all_sync, ..self }
    }

    /// To the first sample.
    pub(crate) fn rewind(&mut self) {
        self.next_box = self.fragments.first;
        self.current = Arc::new(Fragment {
            end_time: self.start_time,
            ..Fragment::default()
        });
        self.place = Place::default();
        self.timed = false;
        self.first = true;
    }

    /// To the first fragment from `offset` on.
    fn go_to(&mut self, offset: u64) {
        self.next_box = offset;
        self.first = false;
    }

    /// By how much decode times are moved back here: as in all fragments, or further where the one that is loaded asks for it.
    pub(crate) fn decode_shift(&self) -> i64 {
        let whole = self.fragments.decode_shift(self.track_index, self.track);
        whole.max(self.current.shift)
    }

    /// Bytes of the `moof` boxes that were parsed.
    pub(crate) fn parsed(&self) -> u64 {
        self.parsed
    }

    /// How the samples of the fragment that is loaded are encrypted.
    pub(crate) fn info(&self) -> Option<&SampleInfo> {
        self.current.info.as_ref()
    }

    /// The next sample of the fragment that is loaded, or a group of samples where they are frames of PCM.
    pub(crate) fn next_loaded(&mut self) -> Option<Sample> {
        let first = self.next_one()?;
        // Larger samples are packets already.
        match self.frames {
            Some(frames) if first.size == u64::from(frames.size) => {
                Some(frames.group(first, self, Self::peek, Self::step))
            }
            _ => Some(first),
        }
    }

    fn next_one(&mut self) -> Option<Sample> {
        let sample = self.peek()?;
        self.step(&sample);
        Some(sample)
    }

    /// The sample at hand of the fragment that is loaded.
    fn peek(&self) -> Option<Sample> {
        let runs = self.current.runs.get(self.place.run..)?;
        let (first, rest) = runs.split_first()?;
        let Place {
            index,
            offset,
            decode_time,
            ..
        } = self.place;
        let mut sample = if index > 0 && index < first.count() {
            first.sample(index, offset, decode_time)
        } else {
            // No run is empty.
            let next = if index == 0 { first } else { rest.first()? };
            next.sample(0, next.offset, next.decode_time)
        };
        // Nothing is decoded of a sample without bytes.
        sample.sync = (sample.sync || self.all_sync) && sample.size > 0;
        Some(sample)
    }

    /// Goes past the sample at hand.
    fn step(&mut self, sample: &Sample) {
        let count = self.current.runs.get(self.place.run).map_or(0, Run::count);
        if self.place.index >= count {
            self.place.run += 1;
            self.place.index = 0;
        }
        self.place.index += 1;
        self.place.offset = sample.offset.saturating_add(sample.size);
        let duration = i64::try_from(sample.duration).unwrap_or(i64::MAX);
        self.place.decode_time = sample.decode_time.saturating_add(duration);
    }

    /// The next sample.
    pub(crate) fn next(&mut self) -> Result<Option<Sample>, DemuxError> {
        loop {
            if let Some(sample) = self.next_loaded() {
                return Ok(Some(sample));
            }
            if !self.load_next()? {
                return Ok(None);
            }
        }
    }

    /// Loads the next fragment that has samples of the track.
    fn load_next(&mut self) -> Result<bool, DemuxError> {
        loop {
            let found =
                self.fragments
                    .parse_at(self.next_box, self.track, self.current.end_time)?;
            let Some((fragment, moof)) = found else {
                return Ok(false);
            };
            self.next_box = moof.end;
            let size = moof.end.saturating_sub(moof.start);
            self.parsed = self.parsed.saturating_add(size);
            if let Some(fragment) = fragment {
                self.timed |= fragment.timed;
                if self.first && !fragment.runs.is_empty() {
                    self.first = false;
                    if let Some(shift) = self.fragments.shift_of(self.track) {
                        shift.open(&fragment);
                    }
                }
                self.current = Arc::new(fragment);
                self.place = Place::default();
                return Ok(true);
            }
        }
    }

    /// Moves to the last sync sample whose composition time is at or before `time`. False, and no particular
    /// place, where there is none.
    pub(crate) fn seek(&mut self, time: i64, budget: &mut Budget) -> Result<bool, DemuxError> {
        let fragments = Arc::clone(&self.fragments);
        match &fragments.index {
            Index::Timed(tracks) => {
                let entries = tracks.get(self.track_index).map_or(&[][..], Vec::as_slice);
                let after = entries.partition_point(|&(at, _)| at <= time);
                let starts = entries.iter().take(after).rev().map(|&(_, offset)| offset);
                self.seek_from(starts, time, budget)
            }
            Index::Offsets(offsets) => {
                let after = self.partition(offsets, time, budget)?;
                let starts = offsets.iter().take(after).rev().copied();
                self.seek_from(starts, time, budget)
            }
        }
    }

    /// The number of fragments, by offset, that begin at or before `time`; 1 where they do not say when they begin.
    fn partition(
        &mut self,
        offsets: &[u64],
        time: i64,
        budget: &mut Budget,
    ) -> Result<usize, DemuxError> {
        let (mut low, mut high) = (0, offsets.len());
        while low < high {
            let middle = low + (high - low) / 2;
            // The next fragment of the track from the middle on stands for it.
            let mut probe = None;
            let mut at = middle;
            while at < high {
                budget.spend(1)?;
                let Some(&offset) = offsets.get(at) else {
                    break;
                };
                let found = self.fragments.parse_at(offset, self.track, 0)?;
                probe = found
                    .and_then(|(fragment, _)| fragment)
                    .filter(|f| !f.runs.is_empty());
                if probe.is_some() {
                    break;
                }
                at += 1;
            }
            match probe {
                Some(fragment) if !fragment.timed => return Ok(0),
                Some(fragment) => {
                    let first = fragment
                        .runs
                        .first()
                        .map_or(i64::MAX, |run| run.decode_time);
                    if first <= time {
                        low = at + 1;
                    } else {
                        high = middle;
                    }
                }
                None => high = middle,
            }
        }
        Ok(low)
    }

    /// Walks on from each start, the latest first, to the start that was tried before it.
    fn seek_from(
        &mut self,
        starts: impl Iterator<Item = u64>,
        time: i64,
        budget: &mut Budget,
    ) -> Result<bool, DemuxError> {
        let mut limit = u64::MAX;
        for start in starts {
            self.rewind();
            self.go_to(start);
            match self.walk(limit, time, false, budget)? {
                Walk::Found => return Ok(true),
                Walk::NotFound => limit = start,
                // The time is only known by counting from the start.
                Walk::Untimed => {
                    limit = u64::MAX;
                    break;
                }
            }
        }
        self.rewind();
        Ok(matches!(self.walk(limit, time, true, budget)?, Walk::Found))
    }

    /// Finds the last sync sample at or before `time` in the fragments from here to `limit`.
    fn walk(
        &mut self,
        limit: u64,
        time: i64,
        from_start: bool,
        budget: &mut Budget,
    ) -> Result<Walk, DemuxError> {
        let mut found: Option<Self> = None;
        while self.next_box < limit && self.load_next()? {
            budget.spend(1)?;
            if !self.timed && !from_start {
                return Ok(Walk::Untimed);
            }
            let past = self
                .current
                .runs
                .first()
                .is_some_and(|run| run.decode_time > time);
            let mut best = None;
            loop {
                let place = self.place;
                let Some(sample) = self.next_one() else {
                    break;
                };
                budget.spend(1)?;
                if sample.sync && sample.composition_time <= time {
                    best = Some(place);
                }
            }
            if let Some(place) = best {
                let mut at = self.clone();
                at.place = place;
                found = Some(at);
            }
            if past {
                break;
            }
        }
        Ok(match found {
            Some(at) => {
                *self = at;
                Walk::Found
            }
            None => Walk::NotFound,
        })
    }
}

/// How a walk through fragments ended.
enum Walk {
    Found,
    NotFound,
    /// The fragments do not say at which time they begin.
    Untimed,
}
