//! Times that are counted in ticks of a constant rate.

/// A tick's length in seconds, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    num: u64,
    den: u64,
}

/// What FFmpeg takes for raw streams that say nothing of it.
pub(crate) const DEFAULT_FRAME: (u64, u64) = (1, 25);

/// Rates that a stream may say without being taken for damage: from a frame in ten seconds to a thousand a second.
const LONGEST: u64 = 10;
const MOST: u64 = 1000;

impl Tick {
    /// A `parts`-th of a frame that lasts `frame` seconds; 25 frames a second where that is missing or absurd.
    pub(crate) fn of_frame(frame: Option<(u64, u64)>, parts: u64) -> Self {
        let (num, den) = frame
            .filter(|&(num, den)| {
                num > 0 && num <= den.saturating_mul(LONGEST) && den <= num.saturating_mul(MOST)
            })
            .unwrap_or(DEFAULT_FRAME);
        Self {
            num,
            den: den.saturating_mul(parts),
        }
    }

    /// `count` ticks in microseconds, rounded to the nearest.
    pub(crate) fn micros(self, count: i64) -> i64 {
        let den = i128::from(self.den.max(1));
        let scaled = i128::from(count) * i128::from(self.num) * 2_000_000 + den;
        i64::try_from(scaled.div_euclid(2 * den)).unwrap_or(if count < 0 {
            i64::MIN
        } else {
            i64::MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_drift_and_absurd_rates_are_not_taken() {
        let ntsc = Tick::of_frame(Some((1001, 30_000)), 2);
        assert_eq!(ntsc.micros(1), 16_683);
        assert_eq!(ntsc.micros(2 * 30_000), 1_001_000_000);
        assert_eq!(ntsc.micros(-2), -33_367);
        for frame in [
            None,
            Some((0, 1)),
            Some((1, 0)),
            Some((1, 90_000)),
            Some((11, 1)),
        ] {
            assert_eq!(Tick::of_frame(frame, 1).micros(1), 40_000, "{frame:?}");
        }
    }
}
