//! Finds the sample of a time in the fragments.

use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::super::index::Index;
use super::FragmentCursor;
use crate::mp4::budget::Budget;

impl FragmentCursor {
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
                let Some(&offset) = offsets.get(at) else {
                    break;
                };
                let mut work = 1;
                let found = self.fragments.parse_at(offset, self.track, 0, &mut work);
                budget.spend(work)?;
                let found = found?;
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
        while self.next_box < limit {
            let before = self.parsed;
            let loaded = self.load_next();
            budget.spend(self.parsed.saturating_sub(before).saturating_add(1))?;
            if !loaded? {
                break;
            }
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
                    // Of those that are alike, the last one that is not past the time.
                    let left = time.saturating_sub(sample.composition_time).unsigned_abs();
                    let reach = left.checked_div(sample.duration).unwrap_or(u64::MAX);
                    let reach = u32::try_from(reach).unwrap_or(u32::MAX).min(self.alike());
                    if let Some(before) = reach.checked_sub(1) {
                        self.pass(before);
                        best = Some(self.place);
                    }
                }
                self.pass_alike();
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
