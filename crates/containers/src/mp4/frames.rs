//! Frames of uncompressed sound. Each is a sample of its own in the tables; those that adjoin are read many at a time.

use super::sample::Sample;

/// Frames in one packet, at most.
const MOST: u32 = 1024;

/// How long the frames of a track are, by which it is told which of them adjoin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PcmFrames {
    /// Bytes of a frame.
    pub(crate) size: u32,
    /// Frames a second.
    rate: u32,
    /// Ticks a second.
    scale: u32,
    /// What most frames last, in ticks, where rate and scale leave that open.
    usual: Option<u32>,
}

impl PcmFrames {
    /// Frames of `size` bytes in a track of `scale` ticks a second. A `rate` of 0 is not known.
    pub(crate) fn new(size: u32, rate: u32, scale: u32) -> Self {
        Self {
            size,
            // What a sample entry of 16 bits has no place for, writers say with the scale alone.
            rate: if rate == 0 { scale } else { rate },
            scale,
            usual: None,
        }
    }

    /// With what most frames last as the table says: old rates are no whole numbers, and some entries name a wrong one.
    pub(crate) fn with_usual(self, usual: Option<u32>) -> Self {
        Self {
            usual: usual.filter(|_| self.rate != self.scale),
            ..self
        }
    }

    /// Takes in the samples that `peek` gives as long as they adjoin; `step` goes past the one that was taken.
    pub(crate) fn group<C>(
        self,
        first: Sample,
        cursor: &mut C,
        peek: impl Fn(&C) -> Option<Sample>,
        step: impl Fn(&mut C, &Sample),
    ) -> Sample {
        let mut all = first;
        let mut frames = 1;
        while frames < MOST
            && let Some(next) = peek(cursor)
            && next.size == first.size
            && next.offset == all.offset.saturating_add(all.size)
            && next.description == first.description
            && self.adjoin(frames, next.composition_time, first.composition_time)
        {
            step(cursor, &next);
            all.size = all.size.saturating_add(next.size);
            all.duration = all.duration.saturating_add(next.duration);
            frames += 1;
        }
        // What the table adds to the last one is a gap, in which nothing sounds.
        all.duration = all.duration.min(self.length(frames));
        all
    }

    /// Whether what is at `time` follows `frames` from `start` on without a gap.
    fn adjoin(self, frames: u32, time: i64, start: i64) -> bool {
        let ticks = i128::from(time) - i128::from(start);
        let off = ticks * i128::from(self.rate) - i128::from(frames) * i128::from(self.scale);
        let usual = self
            .usual
            .map(|usual| i128::from(usual) * i128::from(frames));
        // Times that are no ticks are rounded, by less than one from frame to frame.
        off.unsigned_abs() < u128::from(self.rate) || usual == Some(ticks)
    }

    /// How long so many frames are, in ticks, rounded up.
    fn length(self, frames: u32) -> u64 {
        let frames = u64::from(frames);
        let exact = (frames * u64::from(self.scale)).div_ceil(u64::from(self.rate).max(1));
        exact.max(frames * u64::from(self.usual.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many frames each packet has, and how many ticks, when frames of 4 bytes begin at `times`; the last one lasts a tick.
    fn packets(frames: PcmFrames, times: &[i64]) -> Vec<(u64, u64)> {
        let sample = |at: usize| {
            let &time = times.get(at)?;
            let next = times.get(at + 1).copied().unwrap_or(time + 1);
            Some(Sample {
                offset: 4 * at as u64,
                size: 4,
                decode_time: time,
                composition_time: time,
                duration: next.abs_diff(time),
                sync: true,
                description: 1,
                number: at as u64,
            })
        };
        let (mut at, mut all) = (0, Vec::new());
        while let Some(first) = sample(at) {
            at += 1;
            let group = frames.group(first, &mut at, |&at| sample(at), |at, _| *at += 1);
            all.push((group.size / 4, group.duration));
        }
        all
    }

    #[test]
    fn a_gap_ends_a_packet_and_is_not_part_of_it() {
        let frames = PcmFrames::new(4, 48_000, 48_000);
        let times: Vec<i64> = (0..480).chain(481..500).chain([9000]).collect();
        assert_eq!(packets(frames, &times), [(480, 480), (19, 19), (1, 1)]);
        let whole: Vec<i64> = (0..2500).collect();
        assert_eq!(
            packets(frames, &whole),
            [(1024, 1024), (1024, 1024), (452, 452)]
        );
    }

    #[test]
    fn frames_that_are_no_whole_ticks_stay_together() {
        for (rate, scale) in [(48_000, 90_000), (48_000, 1000), (44_100, 48_000)] {
            let frames = PcmFrames::new(4, rate, scale);
            let at = |frame: i64| frame * i64::from(scale) / i64::from(rate);
            let times: Vec<i64> = (0..1024).map(at).collect();
            let all = packets(frames, &times);
            assert_eq!(all.len(), 1, "{rate} in {scale}: {all:?}");
            let late = times
                .iter()
                .map(|time| time + if *time > at(511) { 500 } else { 0 });
            assert!(packets(frames, &late.collect::<Vec<_>>()).len() > 1);
        }
    }

    #[test]
    fn a_rate_that_the_entry_does_not_know_is_that_of_the_table() {
        let times: Vec<i64> = (0..100).collect();
        let unknown = PcmFrames::new(4, 0, 96_000);
        assert_eq!(packets(unknown, &times), [(100, 100)]);
        let wrong = PcmFrames::new(4, 22_254, 48_000).with_usual(Some(1));
        assert_eq!(packets(wrong, &times), [(100, 100)]);
    }
}
