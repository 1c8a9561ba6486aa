//! How much noise each band bears unheard.

use super::filterbank::{Layout, Sequence};
use super::quantize::Spectrum;
use super::tables::{long_bands, short_bands};

/// A band hides noise this far below itself.
const OFFSET: f64 = 1.26e-3;

/// And this much of that the next higher and lower one, for each Bark of distance.
const UPWARD: f64 = 15.0;
const DOWNWARD: f64 = 30.0;

/// What is below this at the most sensitive frequencies is not heard: about -90 dB of full scale, for each line.
const QUIET: f64 = 40.0;

/// Sets the thresholds of a channel. `before` are those of its last long frame, which stay behind an attack, and
/// become this one's.
pub fn mask(
    layout: &Layout,
    spectrum: &mut Spectrum,
    sample_rate: u32,
    rate_index: u8,
    before: &mut Vec<f64>,
) {
    let short = layout.sequence == Sequence::EightShort;
    let (table, lines) = match short {
        true => (short_bands(rate_index), 128.0),
        false => (long_bands(rate_index), 1024.0),
    };
    let frequency = |line: u16| f64::from(line) / lines * f64::from(sample_rate) / 2.0;
    let centres: Vec<f64> = table
        .windows(2)
        .map(|band| bark((frequency(band[0]) + frequency(band[1])) / 2.0))
        .collect();
    let count = layout.bands_per_group;
    for (group, &windows) in layout.groups.iter().enumerate() {
        let bands = &mut spectrum.bands[group * count..(group + 1) * count];
        let mut thresholds: Vec<f64> = bands.iter().map(|band| band.energy * OFFSET).collect();
        let step = |band: usize| centres[band] - centres[band - 1];
        for band in 1..count {
            let spread = thresholds[band - 1] * 10f64.powf(-0.1 * UPWARD * step(band));
            thresholds[band] = thresholds[band].max(spread);
        }
        for band in (1..count).rev() {
            let spread = thresholds[band] * 10f64.powf(-0.1 * DOWNWARD * step(band));
            thresholds[band - 1] = thresholds[band - 1].max(spread);
        }
        for (band, threshold) in thresholds.iter_mut().enumerate() {
            let width = usize::from(table[band + 1] - table[band]) * windows;
            let middle = (frequency(table[band]) + frequency(table[band + 1])) / 2.0;
            let quiet = QUIET * width as f64 * 10f64.powf(0.1 * in_quiet(middle));
            *threshold = threshold.max(quiet);
        }
        if !short {
            // What comes is not heard before it is there.
            for (threshold, last) in thresholds.iter_mut().zip(before.iter()) {
                *threshold = threshold.min(2.0 * last).max(0.01 * *threshold);
            }
            before.clone_from(&thresholds);
        }
        for (band, threshold) in bands.iter_mut().zip(thresholds) {
            band.threshold = threshold;
        }
    }
    if short {
        before.clear();
    }
}

/// Zwicker's scale.
fn bark(frequency: f64) -> f64 {
    13.0 * (0.00076 * frequency).atan() + 3.5 * (frequency / 7500.0).powi(2).atan()
}

/// Terhardt's curve of what is heard in quiet, in decibels above the most sensitive place, held within 40.
fn in_quiet(frequency: f64) -> f64 {
    let khz = (frequency / 1000.0).max(0.05);
    let level =
        3.64 * khz.powf(-0.8) - 6.5 * (-0.6 * (khz - 3.3).powi(2)).exp() + 1e-3 * khz.powi(4);
    (level + 5.0).clamp(0.0, 40.0)
}
