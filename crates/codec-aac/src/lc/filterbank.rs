//! From blocks of samples to lines of a spectrum: ISO/IEC 14496-3, 4.6.11. rusty_aac has the transform.

use std::f64::consts::PI;

use rusty_aac::encode::{analyze_long, analyze_short};

use super::tables::{long_bands, short_bands};

/// Samples of a block.
pub const BLOCK: usize = 1024;

/// Short windows in a block, and the lines of each.
const SHORT_WINDOWS: usize = 8;
const SHORT: usize = BLOCK / SHORT_WINDOWS;

/// Where the first short window begins to rise, in two blocks.
const SHORT_START: usize = 448;

/// `window_sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    OnlyLong,
    LongStart,
    EightShort,
    LongStop,
}

impl Sequence {
    /// What follows `before`, for attacks in this frame and in the next one. Short windows need a neighbour that is
    /// made for them.
    pub fn next(before: Self, attack: bool, attack_next: bool) -> Self {
        match (before, attack, attack_next) {
            (Self::LongStart, ..) | (Self::EightShort, true, _) => Self::EightShort,
            (Self::EightShort, _, true) => Self::EightShort,
            (Self::EightShort, ..) => Self::LongStop,
            (_, _, true) => Self::LongStart,
            _ => Self::OnlyLong,
        }
    }
}

/// The lines of a frame in the order in which they are coded: for short windows by group, band and window.
#[derive(Clone, Debug)]
pub struct Layout {
    pub sequence: Sequence,
    /// Where bands begin, and the last one's end.
    pub bands: Vec<usize>,
    /// Windows in each group; one group with one window for long ones.
    pub groups: Vec<usize>,
    /// Bands of a group.
    pub bands_per_group: usize,
}

impl Layout {
    /// For lines below `lines` of 1024.
    pub fn new(sequence: Sequence, rate_index: u8, groups: Vec<usize>, lines: usize) -> Self {
        let short = sequence == Sequence::EightShort;
        let (table, width) = match short {
            true => (short_bands(rate_index), SHORT_WINDOWS),
            false => (long_bands(rate_index), 1),
        };
        let wanted = lines / width;
        let count = table
            .iter()
            .filter(|&&start| usize::from(start) < wanted)
            .count();
        let count = count.clamp(1, table.len() - 1);
        let mut bands = vec![0];
        for &windows in &groups {
            let start = bands.last().copied().unwrap_or(0);
            let ends = table[1..=count].iter();
            bands.extend(ends.map(|&end| start + usize::from(end) * windows));
        }
        Self {
            sequence,
            bands,
            groups,
            bands_per_group: count,
        }
    }

    /// Brings lines, window after window, into this order. What is above the bands is dropped.
    pub fn arrange(&self, lines: &[f32], rate_index: u8) -> Vec<f32> {
        let total = self.bands.last().copied().unwrap_or(0);
        if self.sequence != Sequence::EightShort {
            return lines[..total].to_vec();
        }
        let table = short_bands(rate_index);
        let mut arranged = Vec::with_capacity(total);
        let mut window = 0;
        for &windows in &self.groups {
            for band in table[..=self.bands_per_group].windows(2) {
                for window in window..window + windows {
                    let start = window * SHORT;
                    let range = start + usize::from(band[0])..start + usize::from(band[1]);
                    arranged.extend_from_slice(&lines[range]);
                }
            }
            window += windows;
        }
        arranged
    }
}

/// Windows that rise and fall.
#[derive(Debug)]
pub struct Windows {
    long: Vec<f32>,
    short: Vec<f32>,
}

impl Windows {
    /// Kaiser-Bessel-derived: parameters 4 and 6.
    pub fn new() -> Self {
        Self {
            long: kaiser_bessel_derived(2 * BLOCK, 4.0),
            short: kaiser_bessel_derived(2 * SHORT, 6.0),
        }
    }

    /// The lines of two blocks, window after window.
    pub fn analyze(
        &self,
        sequence: Sequence,
        before: &[f32; BLOCK],
        block: &[f32; BLOCK],
    ) -> Vec<f32> {
        let mut window = self.long.clone();
        match sequence {
            Sequence::OnlyLong => {}
            Sequence::EightShort => return analyze_short(before, block, &self.short),
            Sequence::LongStart => {
                let fall = BLOCK + SHORT_START;
                window[BLOCK..fall].fill(1.0);
                window[fall..fall + SHORT].copy_from_slice(&self.short[SHORT..]);
                window[fall + SHORT..].fill(0.0);
            }
            Sequence::LongStop => {
                window[..SHORT_START].fill(0.0);
                window[SHORT_START..SHORT_START + SHORT].copy_from_slice(&self.short[..SHORT]);
                window[SHORT_START + SHORT..BLOCK].fill(1.0);
            }
        }
        analyze_long(before, block, &window)
    }
}

/// 4.6.11.3.2.
fn kaiser_bessel_derived(len: usize, alpha: f64) -> Vec<f32> {
    let half = len / 2;
    let kaiser = |n: usize| {
        let x = 2.0 * n as f64 / half as f64 - 1.0;
        bessel(PI * alpha * (1.0 - x * x).max(0.0).sqrt())
    };
    let total: f64 = (0..=half).map(kaiser).sum();
    let mut sum = 0.0;
    let rise: Vec<f32> = (0..half)
        .map(|n| {
            sum += kaiser(n);
            (sum / total).sqrt() as f32
        })
        .collect();
    rise.iter().chain(rise.iter().rev()).copied().collect()
}

/// The modified Bessel function of order 0.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..60 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Finds attacks: the moments from which on a sound is much louder.
#[derive(Clone, Debug, Default)]
pub struct Attacks {
    average: f64,
    last: f32,
}

/// How much louder than before, as a ratio of energies.
const ATTACK: f64 = 10.0;

/// Energy of 128 samples below which nothing is an attack: -66 dB of full scale, high-passed.
const QUIET: f64 = 128.0 * 2.5e-7;

impl Attacks {
    /// Looks at the samples that the short windows of a frame are made for, given both blocks.
    pub fn look(&mut self, before: &[f32; BLOCK], block: &[f32; BLOCK]) -> bool {
        let mut found = false;
        let (mut energy, mut count) = (0.0, 0);
        for &sample in before[SHORT_START..].iter().chain(&block[..SHORT_START]) {
            // The slope: low tones are loud, and have no attacks that blocks smear.
            energy += f64::from(sample - self.last).powi(2);
            self.last = sample;
            count += 1;
            if count == SHORT {
                found |= energy > ATTACK * self.average.max(QUIET);
                self.average = 0.7 * self.average + 0.3 * energy;
                (energy, count) = (0.0, 0);
            }
        }
        found
    }
}

/// Which short windows share their scale factors: neighbours that are about as loud.
pub fn groups(channels: &[&[f32]]) -> Vec<usize> {
    let energy = |window: usize| -> f64 {
        let lines = channels
            .iter()
            .flat_map(|lines| &lines[window * SHORT..(window + 1) * SHORT]);
        lines.map(|&line| f64::from(line).powi(2)).sum::<f64>() + 1.0
    };
    let mut groups = vec![1usize];
    let mut level = energy(0);
    for window in 1..SHORT_WINDOWS {
        let now = energy(window);
        match groups.last_mut() {
            Some(last) if now < level * 4.0 && level < now * 4.0 => {
                level += (now - level) / (*last as f64 + 1.0);
                *last += 1;
            }
            _ => {
                groups.push(1);
                level = now;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_windows_add_up_to_one() {
        let windows = Windows::new();
        for window in [&windows.long, &windows.short] {
            let half = window.len() / 2;
            for (rise, fall) in window[..half].iter().zip(&window[half..]) {
                assert!((rise * rise + fall * fall - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn short_windows_have_neighbours_that_are_made_for_them() {
        use Sequence::{EightShort, LongStart, LongStop, OnlyLong};
        for before in [OnlyLong, LongStart, EightShort, LongStop] {
            for (attack, attack_next) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                // An attack was seen in the frame before, so that is no long one.
                if attack && matches!(before, OnlyLong | LongStop) {
                    continue;
                }
                let next = Sequence::next(before, attack, attack_next);
                let ends_short = matches!(before, LongStart | EightShort);
                assert_eq!(ends_short, matches!(next, EightShort | LongStop));
                if attack_next {
                    assert!(matches!(next, LongStart | EightShort));
                }
            }
        }
    }

    #[test]
    fn windows_that_are_as_loud_share_a_group() {
        let mut lines = vec![1.0; BLOCK];
        lines[3 * SHORT..4 * SHORT].fill(100.0);
        assert_eq!(groups(&[&lines]), [3, 1, 4]);
        assert_eq!(groups(&[&[0.0; BLOCK]]), [8]);
    }
}
