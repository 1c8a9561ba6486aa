//! Run-length tables: `stts` (sample durations) and `ctts` (composition offsets).

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use crate::mp4::parse::{Reader, u32_at};

/// One checkpoint for this many entries: a look-up walks at most so many.
const EVERY: usize = 128;

/// Entries of (sample count, value), left as they are in the file, with sparse prefix sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    entries: Bytes,
    /// For each `EVERY`th entry, the first sample and the tick at which it begins.
    checkpoints: Vec<(u64, i64)>,
    /// Smallest value of the samples there are, read as signed.
    min: i32,
    /// Sum of count times value over the samples there are.
    total: i64,
}

/// A place in a table of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunPosition {
    entry: usize,
    /// Samples of the entry that are behind.
    used: u32,
}

impl Runs {
    /// Parses a `stts` or `ctts` box after its version and flags. `samples` is the number of samples of the
    /// track: runs beyond it are not counted. With `timed`, values are durations and their sum must fit.
    pub(crate) fn parse(
        reader: &mut Reader,
        samples: u64,
        timed: bool,
    ) -> Result<Self, DemuxError> {
        let count = reader.u32()?;
        let start = reader.offset();
        let entries = reader.table(count, 8)?;
        let mut this = Self {
            checkpoints: Vec::with_capacity(entries.len() / 8 / EVERY + 1),
            entries,
            ..Self::default()
        };
        let mut first = 0_u64;
        let mut tick = 0_i64;
        let mut last = 0_u32;
        for entry in 0..this.len() {
            if entry % EVERY == 0 {
                this.checkpoints.push((first, tick));
            }
            let (count, value) = this.entry(entry);
            let counted = u64::from(count).min(samples.saturating_sub(first));
            if counted > 0 {
                this.min = this.min.min(value.cast_signed());
            }
            if timed {
                tick = advance(tick, counted, value).ok_or_else(|| {
                    crate::mp4::parse::invalid(
                        start.saturating_add(entry as u64 * 8),
                        "stts box: the durations add up to more than 64 bits",
                    )
                })?;
                last = value;
            }
            first = first.saturating_add(u64::from(count));
        }
        // Some writers list fewer samples than there are: the last duration goes on.
        this.total = advance(tick, samples.saturating_sub(first), last)
            .ok_or_else(|| reader.error("the durations add up to more than 64 bits"))?;
        Ok(this)
    }

    fn len(&self) -> usize {
        self.entries.len() / 8
    }

    /// The value that more than half of the first `samples` have.
    pub(crate) fn usual(&self, samples: u64) -> Option<u32> {
        // The one that is left when pairs of different ones go (Boyer and Moore), then its count.
        let (mut usual, mut left) = (0, 0_u64);
        for (count, value) in self.counted(samples) {
            if value == usual {
                left += count;
            } else if count > left {
                (usual, left) = (value, count - left);
            } else {
                left -= count;
            }
        }
        let same = self.counted(samples).filter(|&(_, value)| value == usual);
        let count: u64 = same.map(|(count, _)| count).sum();
        (count > samples / 2).then_some(usual)
    }

    /// Counts and values of the first `samples`; the last value goes on.
    fn counted(&self, samples: u64) -> impl Iterator<Item = (u64, u32)> {
        let mut left = samples;
        (0..self.len()).map_while(move |entry| {
            let (count, value) = self.entry(entry);
            let count = match entry + 1 == self.len() {
                true => left,
                false => left.min(u64::from(count)),
            };
            left -= count;
            (left > 0 || count > 0).then_some((count, value))
        })
    }

    /// The (count, value) of an entry. `stts` past its end repeats the last value; see [`Runs::value`].
    fn entry(&self, entry: usize) -> (u32, u32) {
        let at = entry.saturating_mul(8);
        (
            u32_at(&self.entries, at),
            u32_at(&self.entries, at.saturating_add(4)),
        )
    }

    /// Sum of all durations.
    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    /// The smallest value, at most 0.
    pub(crate) fn min(&self) -> i32 {
        self.min
    }

    /// The place of `sample`, and the sum of the values before it.
    pub(crate) fn locate(&self, sample: u64) -> (RunPosition, i64) {
        let checkpoint = self
            .checkpoints
            .partition_point(|&(first, _)| first <= sample)
            .saturating_sub(1);
        let (mut first, mut tick) = self
            .checkpoints
            .get(checkpoint)
            .copied()
            .unwrap_or_default();
        let mut entry = checkpoint.saturating_mul(EVERY);
        let mut last = 0;
        while entry < self.len() {
            let (count, value) = self.entry(entry);
            let behind = sample.saturating_sub(first);
            if behind < u64::from(count) {
                let used = u32::try_from(behind).unwrap_or(u32::MAX);
                let tick = advance(tick, behind, value).unwrap_or(i64::MAX);
                return (RunPosition { entry, used }, tick);
            }
            tick = advance(tick, u64::from(count), value).unwrap_or(i64::MAX);
            first = first.saturating_add(u64::from(count));
            last = value;
            entry += 1;
        }
        let tick = advance(tick, sample.saturating_sub(first), last).unwrap_or(i64::MAX);
        (RunPosition { entry, used: 0 }, tick)
    }

    /// The value at a place; past the end, that of the last entry when `repeat`, else 0.
    pub(crate) fn value(&self, position: RunPosition, repeat: bool) -> u32 {
        match (position.entry < self.len(), repeat) {
            (true, _) => self.entry(position.entry).1,
            (false, true) => self.entry(self.len().saturating_sub(1)).1,
            (false, false) => 0,
        }
    }

    /// Moves one sample on.
    pub(crate) fn step(&self, position: &mut RunPosition) {
        position.used = position.used.saturating_add(1);
        while position.entry < self.len() && position.used >= self.entry(position.entry).0 {
            position.entry += 1;
            position.used = 0;
        }
    }
}

fn advance(tick: i64, samples: u64, value: u32) -> Option<i64> {
    let ticks = i64::try_from(samples.checked_mul(u64::from(value))?).ok()?;
    tick.checked_add(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn runs(entries: &[(u32, u32)], samples: u64) -> Result<Runs, DemuxError> {
        let mut bytes = (entries.len() as u32).to_be_bytes().to_vec();
        for (count, value) in entries {
            bytes.extend(count.to_be_bytes());
            bytes.extend(value.to_be_bytes());
        }
        Runs::parse(
            &mut Reader::new(FourCc(*b"stts"), bytes.into(), 0),
            samples,
            true,
        )
    }

    #[test]
    fn every_sample_has_the_tick_that_adding_up_gives() {
        let entries: Vec<(u32, u32)> = (0..1000).map(|i| (i % 4, 10 + i)).collect();
        let samples: u64 = entries.iter().map(|e| u64::from(e.0)).sum::<u64>() + 5;
        let table = runs(&entries, samples).expect("valid");
        let mut walked = table.locate(0).0;
        let mut tick = 0;
        let mut sample = 0;
        let values = entries
            .iter()
            .flat_map(|&(count, value)| (0..count).map(move |_| value))
            .chain([1009; 5]);
        for value in values {
            let (place, at) = table.locate(sample);
            assert_eq!((at, table.value(place, true)), (tick, value), "{sample}");
            assert_eq!(table.value(walked, true), value, "walked to {sample}");
            table.step(&mut walked);
            tick += i64::from(value);
            sample += 1;
        }
        assert_eq!((sample, table.total()), (samples, tick));
    }

    #[test]
    fn what_most_samples_last_is_found_whatever_the_first_and_the_last_do() {
        let usual = |entries: &[(u32, u32)]| {
            let samples = entries.iter().map(|e| u64::from(e.0)).sum();
            runs(entries, samples).expect("valid").usual(samples)
        };
        assert_eq!(usual(&[(1, 3528), (51, 1024), (1, 696)]), Some(1024));
        assert_eq!(usual(&[(3, 21), (1, 22), (3, 21), (2, 22)]), Some(21));
        assert_eq!(usual(&[(2, 1024)]), Some(1024));
        assert_eq!(usual(&[(2, 1), (2, 2)]), None, "none has more than half");
        assert_eq!(usual(&[]), None);
        let short = runs(&[(1, 5), (1, 7)], 9).expect("valid");
        assert_eq!(short.usual(9), Some(7), "the last one goes on");
    }

    #[test]
    fn a_sum_of_durations_past_64_bits_is_an_error_at_its_entry() {
        let error = runs(&[(1, 1), (u32::MAX, u32::MAX)], u64::MAX).expect_err("too long");
        assert!(error.to_string().contains("at byte 12"), "{error}");
        assert!(
            runs(&[(u32::MAX, u32::MAX)], 1).is_ok(),
            "only real samples count"
        );
    }
}
