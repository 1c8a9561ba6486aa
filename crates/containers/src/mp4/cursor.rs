//! The samples of a track in decode order: those of the tables, then those of the fragments.

use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::budget::Budget;
use super::fragment::{FragmentCursor, Fragments};
use super::protection::SampleInfo;
use super::sample::Sample;
use super::table::TableCursor;
use super::track::Mp4Track;

/// Walks the samples of one track. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    table: TableCursor,
    table_done: bool,
    fragments: Option<FragmentCursor>,
}

impl Cursor {
    /// At the first sample of `track`, the `index`th of the file.
    pub(crate) fn new(track: &Mp4Track, index: usize, fragments: Option<Arc<Fragments>>) -> Self {
        let table = TableCursor::new(Arc::clone(&track.table));
        Self {
            fragments: fragments.map(|fragments| {
                FragmentCursor::new(fragments, index, track.public.id, track.table.duration())
                    .with_frames(track.frames)
                    .with_sync(track.all_sync)
            }),
            table,
            table_done: false,
        }
    }

    /// To the first sample.
    pub(crate) fn rewind(&mut self) {
        self.table.move_to(0);
        self.table_done = false;
        if let Some(fragments) = &mut self.fragments {
            fragments.rewind();
        }
    }

    /// By how much decode times are moved back here; see [`DecodeShift`](super::decode_shift::DecodeShift). No sample of the
    /// tables, and none of the fragment that is loaded, is presented further before its decode time.
    pub(crate) fn decode_shift(&self) -> i64 {
        let table = self.table.table().decode_shift();
        let fragments = self.fragments.as_ref().map(FragmentCursor::decode_shift);
        table.max(fragments.unwrap_or(0))
    }

    /// The next sample.
    pub(crate) fn next(&mut self) -> Result<Option<Sample>, DemuxError> {
        if let Some(sample) = self.next_at_hand() {
            return Ok(Some(sample));
        }
        match &mut self.fragments {
            Some(fragments) => fragments.next(),
            None => Ok(None),
        }
    }

    /// The next sample, if finding it takes no reading.
    pub(crate) fn next_at_hand(&mut self) -> Option<Sample> {
        if !self.table_done {
            match self.table.next() {
                Some(sample) => return Some(sample),
                None => self.table_done = true,
            }
        }
        self.fragments
            .as_mut()
            .and_then(FragmentCursor::next_loaded)
    }

    /// The next sample that has any bytes: one without is a picture that was dropped, or no sound.
    pub(crate) fn next_filled(
        &mut self,
        budget: &mut Budget,
    ) -> Result<Option<Sample>, DemuxError> {
        while let Some(sample) = self.next()? {
            if sample.size > 0 {
                return Ok(Some(sample));
            }
            budget.spend(1)?;
            self.pass_alike();
        }
        Ok(None)
    }

    /// Goes past those samples that are the same as the one that came last but for place and time, as far as that takes no look at
    /// each.
    pub(crate) fn pass_alike(&mut self) {
        if let Some(fragments) = self.fragments.as_mut().filter(|_| self.table_done) {
            fragments.pass_alike();
        }
    }

    /// Bytes of fragments' headers that were parsed on the way here.
    pub(crate) fn parsed(&self) -> u64 {
        self.fragments.as_ref().map_or(0, FragmentCursor::parsed)
    }

    /// How the samples around the one that came last are encrypted, where that is a fragment's business.
    pub(crate) fn fragment_info(&self) -> Option<&SampleInfo> {
        let fragments = self.fragments.as_ref().filter(|_| self.table_done)?;
        fragments.info()
    }

    /// Whether the last sample of the tables that has any bytes came last.
    pub(crate) fn at_end_of_table(&self, sample: &Sample) -> bool {
        !self.table_done && sample.number.saturating_add(1) == self.table.table().filled_end()
    }

    /// Moves to the last sync sample whose composition time is at or before `time`. False, and no particular
    /// place, where there is none.
    pub(crate) fn seek(&mut self, time: i64, budget: &mut Budget) -> Result<bool, DemuxError> {
        if let Some(fragments) = &mut self.fragments
            && fragments.seek(time, budget)?
        {
            self.table_done = true;
            return Ok(true);
        }
        let Some(sample) = self.table.table().sync_at_or_before(time, budget)? else {
            return Ok(false);
        };
        self.rewind();
        self.table.move_to(sample);
        Ok(true)
    }

    /// Moves to the first sync sample; to the first sample where there is none.
    pub(crate) fn seek_first_sync(&mut self, budget: &mut Budget) -> Result<(), DemuxError> {
        self.rewind();
        if let Some(sample) = self.table.table().first_sync(budget)? {
            self.table.move_to(sample);
            return Ok(());
        }
        if self.fragments.is_none() {
            return Ok(());
        }
        self.table_done = true;
        let mut before = self.clone();
        while let Some(sample) = self.next()? {
            budget.spend(1)?;
            if sample.sync {
                *self = before;
                return Ok(());
            }
            self.pass_alike();
            before = self.clone();
        }
        self.rewind();
        Ok(())
    }
}
