//! Walks the samples of a track through the fragments of a file.

mod seek;

use std::ops::Range;
use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::index::{self, Index};
use super::{Fragment, MoofContext, Run, parse_moof};
use crate::mp4::budget::{Budget, PASSED_BOX};
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
    /// Where the first one stands, or in a stream where to look for it.
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
    /// Looks for the index of the file, from the end of its `moov` box on. `places` go from there to the first fragment;
    /// `tracks` are the numbers and time scales of all tracks.
    pub(crate) fn open(
        file: &File,
        defaults: Vec<FragmentDefaults>,
        places: Range<u64>,
        tracks: &[(u32, u32)],
        protections: Vec<(u32, TrackProtection)>,
        shifts: Vec<(u32, DecodeShift)>,
    ) -> Result<Self, DemuxError> {
        let first = places.end;
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
        let mut at = places.start;
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
    /// `tables`: when those of the sample tables end, which stand before all fragments; it holds where neither the last fragments
    /// nor the first ones have any of the track. `budget` is that of all tracks.
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
        let whole = last.len() < LOOK_BACK;
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
        // Of a stream there is no index.
        if tables <= 0 || !self.file.source.is_seekable() || budget.is_spent() {
            return None;
        }
        if whole {
            return Some(tables);
        }
        // A track that has ended some fragments before may have begun with the first ones.
        let mut work = 0;
        let first = self.first_fragment(track_index, id, &mut work);
        budget.spend(work).ok()?;
        Some(tables).filter(|_| first.is_none())
    }

    /// By how much decode times of a track are moved back, in all its fragments.
    fn decode_shift(&self, track_index: usize, track: u32) -> i64 {
        let Some(shift) = self.shift_of(track) else {
            return 0;
        };
        // A stream is not waited for, nor gone back in.
        if !shift.is_open() && self.file.source.is_seekable() {
            let first = self.first_fragment(track_index, track, &mut 0);
            shift.open(&first.unwrap_or_default());
        }
        shift.ticks()
    }

    fn shift_of(&self, track: u32) -> Option<&DecodeShift> {
        let mut shifts = self.shifts.iter();
        shifts.find(|(id, _)| *id == track).map(|(_, shift)| shift)
    }

    /// The first fragment with samples of a track, where it is one of the first. `work` is as in [`Self::parse_at`].
    fn first_fragment(&self, track_index: usize, track: u32, work: &mut u64) -> Option<Fragment> {
        let mut at = match &self.index {
            Index::Timed(tracks) => tracks.get(track_index)?.first()?.1,
            Index::Offsets(_) => self.first,
        };
        for _ in 0..LOOK_AHEAD {
            // What is damaged there is reported when it is read.
            let (fragment, moof) = self.parse_at(at, track, 0, work).ok().flatten()?;
            if let Some(fragment) = fragment.filter(|fragment| !fragment.runs.is_empty()) {
                return Some(fragment);
            }
            at = moof.end;
        }
        None
    }

    /// The first `moof` box from `start` on, and what it has of a track. `work` rises by its bytes, and by what the boxes on the way
    /// there cost.
    fn parse_at(
        &self,
        start: u64,
        track: u32,
        decode_time: i64,
        work: &mut u64,
    ) -> Result<Option<(Option<Fragment>, TopBox)>, DemuxError> {
        let mut at = start;
        while let Some(top) = self.file.top_box(at)? {
            if &top.kind.0 == b"moof" {
                let file = &self.file;
                *work = work.saturating_add(top.end.saturating_sub(top.start));
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
            *work = work.saturating_add(PASSED_BOX);
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
    /// Bytes of the `moof` boxes that were parsed, and what the boxes on the way to them cost.
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

    /// Bytes of the `moof` boxes that were parsed, and what the boxes on the way to them cost.
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

    /// How many samples are left of a run that are the same as the one that came last but for place and time: nothing bounds those
    /// of one without fields.
    fn alike(&self) -> u32 {
        let run = self.current.runs.get(self.place.run);
        match (run, self.place.index.checked_sub(1)) {
            (Some(run), Some(last)) if run.is_even_from(last) => {
                run.count().saturating_sub(self.place.index)
            }
            _ => 0,
        }
    }

    /// Goes past `count` samples, of those that are [alike](Self::alike).
    fn pass(&mut self, count: u32) {
        let Some(run) = self.current.runs.get(self.place.run) else {
            return;
        };
        let (bytes, ticks) = run.of_defaults(count);
        self.place.index = self.place.index.saturating_add(count);
        self.place.offset = self.place.offset.saturating_add(bytes);
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        self.place.decode_time = self.place.decode_time.saturating_add(ticks);
    }

    /// Goes past those that are the same as the one that came last but for place and time.
    pub(crate) fn pass_alike(&mut self) {
        self.pass(self.alike());
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
            let end_time = self.current.end_time;
            let found =
                self.fragments
                    .parse_at(self.next_box, self.track, end_time, &mut self.parsed)?;
            let Some((fragment, moof)) = found else {
                return Ok(false);
            };
            self.next_box = moof.end;
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
}
