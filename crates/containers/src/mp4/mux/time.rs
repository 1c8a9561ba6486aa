//! Time scales: from microseconds to ticks and back, as the demuxer does it.

use reelcore_media::mux::{MuxError, OutputKind};

const MICROS: i128 = 1_000_000;

/// Times beyond this (35 years) are refused, so that ticks of every scale fit in 64 bits.
const MAX_MICROS: i64 = 1 << 50;

/// Scales for times that are too far apart for 32 bits of a finer one: in the last, all that are not refused fit.
pub(super) const COARSER: [u32; 6] = [90_000, 10_000, 1000, 100, 10, 1];

/// `numerator / denominator` rounded to the nearest, halves upward; `denominator` is positive.
fn round_div(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// The nearest tick.
pub(super) fn ticks(micros: i64, scale: u32) -> i64 {
    narrow(round_div(i128::from(micros) * i128::from(scale), MICROS))
}

/// The nearest tick of nanoseconds.
pub(super) fn ticks_of_nanos(nanos: u128, scale: u32) -> i64 {
    let nanos = i128::try_from(nanos).unwrap_or(i128::MAX).min(1 << 80);
    narrow(round_div(nanos * i128::from(scale), 1_000_000_000))
}

/// The time of a tick, as readers round it.
pub(super) fn micros(ticks: i64, scale: u32) -> i64 {
    narrow(round_div(
        i128::from(ticks) * MICROS,
        i128::from(scale.max(1)),
    ))
}

/// Whether a reader gets the very time back.
pub(super) fn on_grid(time: i64, scale: u32) -> bool {
    micros(ticks(time, scale), scale) == time
}

/// `ticks` of `from` in ticks of `to`, rounded up; and whether that is exact.
pub(super) fn convert(ticks: i64, from: u32, to: u32) -> (u64, bool) {
    let product = i128::from(ticks.max(0)) * i128::from(to);
    let from = i128::from(from.max(1));
    let (whole, rest) = (product.div_euclid(from), product.rem_euclid(from));
    let up = whole + i128::from(rest != 0);
    (u64::try_from(up).unwrap_or(u64::MAX), rest == 0)
}

/// Refuses a time that is out of every reader's range.
pub(super) fn check(time: i64, what: &str) -> Result<(), MuxError> {
    if (-MAX_MICROS..=MAX_MICROS).contains(&time) {
        return Ok(());
    }
    Err(MuxError::Invalid(format!(
        "expected a {what} within {MAX_MICROS} us of 0, found {time} us"
    )))
}

/// The time scales that a track may have, the preferred one first. Sound counts samples. Pictures count what fits their
/// frame rate, as long as every time of the track is a tick; else microseconds, in which every time is.
pub(super) fn scales(kind: &OutputKind) -> Vec<u32> {
    match kind {
        OutputKind::Audio { sample_rate, .. } => vec![(*sample_rate).max(1)],
        OutputKind::Video { framerate, .. } => {
            let mut scales = Vec::new();
            if let Some(scale) = framerate.and_then(frame_scale) {
                scales.push(scale);
            }
            // 90 kHz has the times of transport streams, milliseconds and 24, 25, 29.97, 30, 50, 60 frames a second;
            // 120 kHz those of 23.976 and 59.94.
            scales.extend([90_000, 120_000, 1_000_000]);
            scales
        }
    }
}

/// The time scale of a constant frame rate.
fn frame_scale(rate: f64) -> Option<u32> {
    if !(1.0..=1000.0).contains(&rate) {
        return None;
    }
    let whole = rate.round();
    let near = |other: f64| (rate - other).abs() < rate * 1e-4;
    // The NTSC rates are whole ones times 1000/1001: a frame is 1001 ticks. Else it is 1000.
    (near(whole) || near((rate * 1.001).round() / 1.001))
        .then(|| {
            if near(whole) {
                whole
            } else {
                (rate * 1.001).round()
            }
        })
        .map(|whole| whole as u32 * 1000)
}

/// The least common multiple, where it fits.
pub(super) fn lcm(a: u32, b: u32) -> Option<u32> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a.checked_div(x)?.checked_mul(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_common_rates_are_ticks_and_come_back() {
        for (scale, tick) in [
            (90_000, 3003),
            (120_000, 5005),
            (44_100, 1024),
            (48_000, 960),
        ] {
            for index in -100..2000_i64 {
                let time = micros(index * tick, scale);
                assert!(on_grid(time, scale));
                assert_eq!(ticks(time, scale), index * tick);
            }
        }
        assert!(!on_grid(41_708, 90_000), "a frame of 23.976 is no tick");
        assert!((-1000..1000).all(|time| on_grid(time, 1_000_000)));
    }

    #[test]
    fn frame_rates_give_whole_frames() {
        for (rate, scale) in [
            (25.0, 25_000),
            (30_000.0 / 1001.0, 30_000),
            (23.976, 24_000),
            (59.94, 60_000),
            (24.0, 24_000),
        ] {
            assert_eq!(frame_scale(rate), Some(scale), "{rate}");
        }
        assert_eq!(frame_scale(12.34), None);
        assert_eq!(frame_scale(f64::NAN), None);
        assert_eq!(lcm(90_000, 48_000), Some(720_000));
        assert_eq!(lcm(u32::MAX, u32::MAX - 1), None);
    }

    #[test]
    fn what_is_not_exact_is_rounded_up_and_said() {
        assert_eq!(convert(44_100, 44_100, 1000), (1000, true));
        assert_eq!(convert(1024, 44_100, 1000), (24, false));
        assert!(check(i64::MIN, "timestamp").is_err());
        assert!(check(-5, "timestamp").is_ok());
    }
}
