//! Time stamps: 33 bits at 90 kHz that wrap around every 26.5 hours (2.4.3.7).

/// Ticks a second.
pub(super) const RATE: i64 = 90_000;

const WRAP: i64 = 1 << 33;

/// From here on, in ticks, a later time is not to be told from one that went back.
pub(super) const FAR: i64 = WRAP / 2;

/// How far before its reference a later time may be, when it is not known to adjoin: a minute, as FFmpeg takes it.
const SLACK: i64 = 60 * RATE;

/// Unrolls time stamps: each is taken to be the nearest to the one before it that has its low 33 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    reference: i64,
    /// The next time adjoins the reference, else it comes up to 26.5 hours after it.
    adjoins: bool,
}

impl Clock {
    /// The next time is near `reference`.
    pub(super) fn near(reference: i64) -> Self {
        Self {
            reference,
            adjoins: true,
        }
    }

    /// The next time is somewhere after `reference`.
    pub(super) fn after(reference: i64) -> Self {
        Self {
            reference,
            adjoins: false,
        }
    }

    /// The time of `stamp`, on the time line of the reference.
    pub(super) fn unroll(&mut self, stamp: u64) -> i64 {
        let ahead = i64::try_from(stamp)
            .unwrap_or(0)
            .wrapping_sub(self.reference);
        let before = if self.adjoins { WRAP / 2 } else { SLACK };
        let step = ahead.saturating_add(before).rem_euclid(WRAP) - before;
        self.reference = self.reference.saturating_add(step);
        self.adjoins = true;
        self.reference
    }
}

/// A moment: ticks, and samples of sound after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) ticks: i64,
    pub(super) samples: u64,
    /// Samples a second; not 0.
    pub(super) rate: u32,
}

impl Moment {
    pub(super) fn ticks(ticks: i64) -> Self {
        Self {
            ticks,
            samples: 0,
            rate: 1,
        }
    }

    /// Microseconds since `base`, rounded to the nearest in one step.
    pub(super) fn micros(self, base: i64) -> i64 {
        let rate = i128::from(self.rate.max(1));
        let ticks = i128::from(self.ticks) - i128::from(base);
        let scaled = ticks * rate + i128::from(self.samples) * i128::from(RATE);
        let den = i128::from(RATE) * rate;
        let micros = (scaled * 2_000_000 + den).div_euclid(2 * den);
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_over_the_wrap_and_back_over_it() {
        let end = (1_u64 << 33) - 100;
        let mut clock = Clock::near(end as i64);
        assert_eq!(clock.unroll(end), WRAP - 100);
        assert_eq!(clock.unroll(50), WRAP + 50);
        assert_eq!(clock.unroll(end + 10), WRAP - 90);
        assert_eq!(clock.unroll(60), WRAP + 60);
        // Twenty hours on: not to be told from some hours back, unless it is said to come later.
        let far = (20 * 3600 * RATE) as u64;
        assert_eq!(Clock::after(100).unroll(far), far as i64);
        assert!(Clock::near(100).unroll(far) < 0);
        assert_eq!(Clock::after(1000).unroll(10), 10);
    }

    #[test]
    fn samples_are_counted_without_drift() {
        let moment = |samples| Moment {
            ticks: 90_000,
            samples,
            rate: 44_100,
        };
        assert_eq!(moment(0).micros(0), 1_000_000);
        assert_eq!(moment(1024).micros(90_000), 23_220);
        assert_eq!(moment(1024 * 44_100).micros(90_000), 1_024_000_000);
    }
}
