//! An encoder of AAC-LC access units: ISO/IEC 14496-3, subpart 4. Transform, spectral codes and bit writing are
//! rusty_aac's.

mod filterbank;
mod masking;
pub mod quantize;
pub mod tables;

use rusty_aac::encode::BitWriter;

pub use filterbank::BLOCK;
use filterbank::{Attacks, Layout, Sequence, Windows, groups};
use masking::mask;
use quantize::{Coded, Noise, Spectrum, quantize};

/// What the input buffer of a decoder holds, in bits for each channel: 4.5.3.1.
const BUFFER: f64 = 6144.0;

/// A syntactic element: which channels of WebCodecs' order it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// ID_SCE
    Single(usize),
    /// ID_CPE
    Pair(usize, usize),
    /// ID_LFE
    Lfe(usize),
}

/// The elements of `channel_configuration` 1 to 6: table 1.19.
fn elements(channels: usize) -> &'static [Kind] {
    use Kind::{Lfe, Pair, Single};
    match channels {
        1 => &[Single(0)],
        2 => &[Pair(0, 1)],
        3 => &[Single(2), Pair(0, 1)],
        4 => &[Single(2), Pair(0, 1), Single(3)],
        5 => &[Single(2), Pair(0, 1), Pair(3, 4)],
        _ => &[Single(2), Pair(0, 1), Pair(4, 5), Lfe(3)],
    }
}

/// One channel's past.
struct Channel {
    before: Box<[f32; BLOCK]>,
    block: Box<[f32; BLOCK]>,
    attacks: Attacks,
    /// The thresholds of the last frame.
    thresholds: Vec<f64>,
    /// Whether there is an attack in the frame to come.
    attack: bool,
}

impl Channel {
    fn new() -> Self {
        Self {
            before: Box::new([0.0; BLOCK]),
            block: Box::new([0.0; BLOCK]),
            attacks: Attacks::default(),
            thresholds: Vec::new(),
            attack: false,
        }
    }
}

/// Makes an access unit of each block of 1024 frames, one block behind.
pub struct Encoder {
    sample_rate: u32,
    rate_index: u8,
    /// Bits of a unit on average.
    average: f64,
    /// Bits that are saved up, and the most that can be.
    reservoir: f64,
    capacity: f64,
    /// Lines that are coded, of 1024.
    lines: usize,
    /// What a unit needs on average, in bits by the theory.
    need: f64,
    /// How much noise the last unit has.
    noise: f64,
    channels: Vec<Channel>,
    /// Of each element.
    sequences: Vec<Sequence>,
    windows: Windows,
    /// Whether a block waits for the one after it.
    waiting: bool,
}

/// One element, analysed.
struct Element {
    kind: Kind,
    layout: Layout,
    spectra: Vec<Spectrum>,
    /// Of a pair, the bands that are coded as middle and side.
    middle_side: Vec<bool>,
}

impl Encoder {
    /// For 1 to 6 channels.
    pub fn new(bitrate: u32, channels: u16, sample_rate: u32, rate_index: u8) -> Self {
        let count = usize::from(channels);
        let average = f64::from(bitrate) * BLOCK as f64 / f64::from(sample_rate);
        let capacity = (BUFFER * count as f64 - average).max(0.0);
        let kinds = elements(count);
        Self {
            sample_rate,
            rate_index,
            average,
            reservoir: capacity / 2.0,
            capacity,
            lines: bandwidth(f64::from(bitrate) / count as f64, sample_rate),
            need: 0.0,
            noise: 1.0,
            channels: (0..count).map(|_| Channel::new()).collect(),
            sequences: vec![Sequence::OnlyLong; kinds.len()],
            windows: Windows::new(),
            waiting: false,
        }
    }

    /// Takes a block of interleaved samples, 1024 of each channel, and gives the unit of the one before.
    pub fn push(&mut self, block: &[f32]) -> Option<Vec<u8>> {
        let count = self.channels.len();
        let mut next = [0.0; BLOCK];
        let mut attacks = vec![false; count];
        let mut blocks = Vec::with_capacity(count);
        for (index, channel) in self.channels.iter_mut().enumerate() {
            for (to, frame) in next.iter_mut().zip(block.chunks_exact(count)) {
                *to = sanitize(frame[index]);
            }
            attacks[index] = channel.attacks.look(&channel.block, &next);
            blocks.push(next);
        }
        let unit = self.waiting.then(|| self.unit(&attacks));
        for ((channel, next), attack) in self.channels.iter_mut().zip(blocks).zip(attacks) {
            std::mem::swap(&mut channel.before, &mut channel.block);
            *channel.block = next;
            channel.attack = attack;
        }
        self.waiting = true;
        unit
    }

    /// The unit of the two last blocks; `attacks` are those in the frame after it.
    fn unit(&mut self, attacks: &[bool]) -> Vec<u8> {
        let kinds = elements(self.channels.len());
        let mut parts = Vec::with_capacity(kinds.len());
        for (index, &kind) in kinds.iter().enumerate() {
            parts.push(self.analyze(index, kind, attacks));
        }
        // What the unit asks for, against what others do: it gets more of the reservoir, or saves up.
        let need: f64 = parts.iter().map(Element::need).sum::<f64>().max(1.0);
        self.need = match self.need {
            0.0 => need,
            before => 0.95 * before + 0.05 * need,
        };
        let share = (need / self.need).clamp(0.5, 2.0);
        let wanted = self.average * share + 0.2 * (self.reservoir - self.capacity / 2.0);
        let most = self.average + self.reservoir;
        let least = (self.average + self.reservoir - self.capacity).max(0.0);
        let budget = wanted.clamp(least.min(most), most) as u32;
        let coded = fit(&parts, budget, &mut self.noise);
        let unit = write(&parts, &coded);
        let used = unit.len() as f64 * 8.0;
        self.reservoir = (self.reservoir + self.average - used).clamp(0.0, self.capacity);
        unit
    }

    fn analyze(&mut self, index: usize, kind: Kind, attacks: &[bool]) -> Element {
        let members: Vec<usize> = match kind {
            Kind::Single(channel) | Kind::Lfe(channel) => vec![channel],
            Kind::Pair(left, right) => vec![left, right],
        };
        let lfe = matches!(kind, Kind::Lfe(_));
        let any = |attack: &dyn Fn(usize) -> bool| !lfe && members.iter().any(|&c| attack(c));
        let sequence = Sequence::next(
            self.sequences[index],
            any(&|channel| self.channels[channel].attack),
            any(&|channel| attacks[channel]),
        );
        self.sequences[index] = sequence;
        let lines: Vec<Vec<f32>> = members
            .iter()
            .map(|&channel| {
                let channel = &self.channels[channel];
                self.windows
                    .analyze(sequence, &channel.before, &channel.block)
            })
            .collect();
        let groups = match sequence {
            Sequence::EightShort => groups(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            _ => vec![1],
        };
        let width = if lfe { 12 } else { self.lines };
        let layout = Layout::new(sequence, self.rate_index, groups, width);
        let spectra: Vec<Spectrum> = members
            .iter()
            .zip(&lines)
            .map(|(&channel, lines)| {
                let arranged = layout.arrange(lines, self.rate_index);
                let mut spectrum = Spectrum::new(&layout, arranged);
                let before = &mut self.channels[channel].thresholds;
                mask(
                    &layout,
                    &mut spectrum,
                    self.sample_rate,
                    self.rate_index,
                    before,
                );
                spectrum
            })
            .collect();
        let mut element = Element {
            kind,
            layout,
            spectra,
            middle_side: Vec::new(),
        };
        element.join();
        element
    }
}

/// Information of a band in bits, by its ratio of energy to noise.
fn information(lines: usize, energy: f64, threshold: f64) -> f64 {
    0.5 * lines as f64 * (1.0 + energy / threshold.max(1e-9)).log2()
}

impl Element {
    fn need(&self) -> f64 {
        let bands = || self.layout.bands.windows(2).map(|band| band[1] - band[0]);
        let channel = |spectrum: &Spectrum| -> f64 {
            let bands = bands().zip(&spectrum.bands);
            bands
                .map(|(lines, band)| information(lines, band.energy, band.threshold))
                .sum()
        };
        self.spectra.iter().map(channel).sum()
    }

    /// Of a pair, codes middle and side where that takes less.
    fn join(&mut self) {
        let [left, right] = &mut self.spectra[..] else {
            return;
        };
        let middle: Vec<f32> = left
            .lines
            .iter()
            .zip(&right.lines)
            .map(|(l, r)| (l + r) / 2.0)
            .collect();
        let side: Vec<f32> = left
            .lines
            .iter()
            .zip(&right.lines)
            .map(|(l, r)| (l - r) / 2.0)
            .collect();
        let middle = Spectrum::new(&self.layout, middle);
        let side = Spectrum::new(&self.layout, side);
        let (mut lines_left, mut lines_right) = (left.lines.clone(), right.lines.clone());
        let mut thresholds = Vec::with_capacity(left.bands.len());
        for (band, range) in self.layout.bands.windows(2).enumerate() {
            let count = range[1] - range[0];
            let (l, r) = (left.bands[band], right.bands[band]);
            let (m, s) = (middle.bands[band], side.bands[band]);
            // The noise of both comes together in each channel.
            let threshold = l.threshold.min(r.threshold) / 2.0;
            let apart = information(count, l.energy, l.threshold)
                + information(count, r.energy, r.threshold);
            let joined =
                information(count, m.energy, threshold) + information(count, s.energy, threshold);
            let join = joined < apart;
            self.middle_side.push(join);
            if join {
                let range = range[0]..range[1];
                lines_left[range.clone()].copy_from_slice(&middle.lines[range.clone()]);
                lines_right[range.clone()].copy_from_slice(&side.lines[range]);
                thresholds.push((threshold, threshold));
            } else {
                thresholds.push((l.threshold, r.threshold));
            }
        }
        *left = Spectrum::new(&self.layout, lines_left);
        *right = Spectrum::new(&self.layout, lines_right);
        for (band, (l, r)) in thresholds.into_iter().enumerate() {
            left.bands[band].threshold = l;
            right.bands[band].threshold = r;
        }
    }
}

/// How much noise, as one number that rises with it: tens of decibels below the thresholds, or what is added to their
/// fourth roots.
fn noise(level: f64) -> Noise {
    match level < 0.0 {
        true => Noise::Part(10f64.powf(level)),
        false => Noise::More(level),
    }
}

/// The least noise, 40 dB below the thresholds; and what drowns everything.
const LEAST_NOISE: f64 = -4.0;
const MOST_NOISE: f64 = 1e6;

/// Finds the noise with which all elements take `budget` bits at most, and about as many. `level` is where to look first,
/// and then what was found.
fn fit(parts: &[Element], budget: u32, level: &mut f64) -> Vec<Vec<Coded>> {
    let code = |level: f64, exact: bool| -> (Vec<Vec<Coded>>, u32) {
        let coded: Vec<Vec<Coded>> = parts
            .iter()
            .map(|part| {
                let channels = part.spectra.iter();
                channels
                    .map(|spectrum| quantize(&part.layout, spectrum, noise(level), exact))
                    .collect()
            })
            .collect();
        let side: u32 = parts.iter().map(side_bits).sum();
        let bits: u32 = coded.iter().flatten().map(|coded| coded.bits).sum();
        (coded, bits + side + 3 + 7)
    };
    let enough = |level: f64| code(level, false).1 <= budget;
    // A step that is small beside the level, on either side of 0.
    let step = |level: f64, part: f64| part * level.abs().max(1.0);
    let (mut good, mut bad) = (*level, *level);
    let mut width = step(*level, 0.1);
    if enough(good) {
        while good > LEAST_NOISE {
            bad = (good - width).max(LEAST_NOISE);
            if !enough(bad) {
                break;
            }
            good = bad;
            width *= 2.0;
        }
    } else {
        while good < MOST_NOISE {
            good = (bad + width).min(MOST_NOISE);
            if enough(good) {
                break;
            }
            bad = good;
            width *= 2.0;
        }
    }
    while good - bad > step(good, 0.02) {
        let middle = (good + bad) / 2.0;
        match enough(middle) {
            true => good = middle,
            false => bad = middle,
        }
    }
    *level = good;
    code(good, true).0
}

/// Bits of an element beside its channels.
fn side_bits(part: &Element) -> u32 {
    let info = match part.layout.sequence {
        Sequence::EightShort => 4 + 4 + 7,
        _ => 4 + 6 + 1,
    };
    match part.kind {
        Kind::Pair(..) => 7 + 1 + info + 2 + part.middle_side.len() as u32,
        _ => 7 + info,
    }
}

/// The access unit: `raw_data_block`, 4.4.2.1.
fn write(parts: &[Element], coded: &[Vec<Coded>]) -> Vec<u8> {
    let mut writer = BitWriter::new();
    let mut tags = [0; 4];
    for (part, channels) in parts.iter().zip(coded) {
        let id = match part.kind {
            Kind::Single(_) => 0,
            Kind::Pair(..) => 1,
            Kind::Lfe(_) => 3,
        };
        writer.write(id, 3);
        writer.write(tags[id as usize], 4);
        tags[id as usize] += 1;
        match (&part.middle_side[..], channels.as_slice()) {
            ([], [channel]) => {
                channel.write(&part.layout, &mut writer, |writer| {
                    ics_info(&part.layout, writer)
                });
            }
            (joined, channels) => {
                // common_window
                writer.write(1, 1);
                ics_info(&part.layout, &mut writer);
                // ms_mask_present, ms_used
                let mask = match joined.iter().filter(|joined| **joined).count() {
                    0 => 0,
                    count if count == joined.len() => 2,
                    _ => 1,
                };
                writer.write(mask, 2);
                if mask == 1 {
                    joined
                        .iter()
                        .for_each(|&joined| writer.write(u32::from(joined), 1));
                }
                for channel in channels {
                    channel.write(&part.layout, &mut writer, |_| {});
                }
            }
        }
    }
    // ID_END
    writer.write(7, 3);
    writer.into_bytes()
}

/// 4.4.2.7, table 4.6.
fn ics_info(layout: &Layout, writer: &mut BitWriter) {
    writer.write(0, 1);
    writer.write(layout.sequence as u32, 2);
    // KBD
    writer.write(1, 1);
    if layout.sequence == Sequence::EightShort {
        writer.write(layout.bands_per_group as u32, 4);
        // A bit for each window but the first: whether it goes on with the group.
        let mut bits = Vec::with_capacity(8);
        for &windows in &layout.groups {
            bits.push(0);
            bits.extend(std::iter::repeat_n(1, windows - 1));
        }
        bits[1..].iter().for_each(|&bit| writer.write(bit, 1));
    } else {
        writer.write(layout.bands_per_group as u32, 6);
        // predictor_data_present
        writer.write(0, 1);
    }
}

/// Lines of 1024 that are worth coding, at so many bits a second for each channel.
fn bandwidth(bitrate: f64, sample_rate: u32) -> usize {
    let highest = (3000.0 + bitrate / 4.0)
        .min(12_000.0 + bitrate / 16.0)
        .min(20_000.0);
    let lines = highest / (f64::from(sample_rate) / 2.0) * BLOCK as f64;
    (lines as usize).clamp(16, BLOCK)
}

/// Full scale is 1; what is far beyond is no sound, and what is no number is silence.
fn sanitize(sample: f32) -> f32 {
    if sample.is_nan() {
        0.0
    } else {
        sample.clamp(-4.0, 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tones with attacks after near silence, at all distances from each other; another one on each channel.
    fn attacks(blocks: usize, channels: usize) -> Vec<f32> {
        let mut next = 3000;
        let mut since = 0u32;
        let mut samples = Vec::new();
        for at in 0..blocks * BLOCK {
            if at == next {
                since = 0;
                next += 300 + at % 5000;
            }
            since += 1;
            let decay = (-f64::from(since) / 900.0).exp();
            for channel in 0..channels {
                let tone = (at as f64 * (0.19 + 0.07 * channel as f64)).sin();
                samples.push((tone * (0.6 * decay + 0.001)) as f32);
            }
        }
        samples
    }

    fn first_sequence(unit: &[u8]) -> u8 {
        let bit = |at: usize| unit[at / 8] >> (7 - at % 8) & 1;
        // Behind the element, its tag, and global_gain or common_window; and a reserved bit.
        let at = if bit(2) == 1 { 9 } else { 16 };
        bit(at) << 1 | bit(at + 1)
    }

    #[test]
    fn windows_of_neighbours_always_fit_together() {
        for channels in 1..=2 {
            let mut encoder = Encoder::new(96_000, channels, 44_100, 4);
            let samples = attacks(200, usize::from(channels));
            let blocks = samples.chunks(BLOCK * usize::from(channels));
            let units: Vec<_> = blocks.filter_map(|block| encoder.push(block)).collect();
            assert_eq!(units.len(), 199);
            let sequences: Vec<u8> = units.iter().map(|unit| first_sequence(unit)).collect();
            for pair in sequences.windows(2) {
                // LONG_START is 1, EIGHT_SHORT 2, LONG_STOP 3.
                assert_eq!(
                    matches!(pair[0], 1 | 2),
                    matches!(pair[1], 2 | 3),
                    "{pair:?}"
                );
            }
            let short = sequences.iter().filter(|sequence| **sequence == 2).count();
            assert!((20..150).contains(&short), "{short} units with attacks");
        }
    }

    #[test]
    fn units_have_the_bits_that_were_counted_and_decoders_have_room_for_them() {
        for (channels, bitrate) in [
            (1u16, 64_000),
            (2, 128_000),
            (2, 500_000),
            (6, 384_000),
            (1, 16_000),
        ] {
            let count = usize::from(channels);
            let mut encoder = Encoder::new(bitrate, channels, 44_100, 4);
            let average = f64::from(bitrate) * BLOCK as f64 / 44_100.0;
            let capacity = 6144.0 * f64::from(channels) - average;
            // What a decoder's buffer has when a unit is due, filled at the constant rate.
            let mut buffer = average + capacity / 2.0;
            for block in attacks(80, count).chunks(BLOCK * count) {
                let Some(unit) = encoder.push(block) else {
                    continue;
                };
                let bits = unit.len() as f64 * 8.0;
                assert!(
                    bits <= buffer,
                    "{channels} channels, {bitrate}: {bits} of {buffer}"
                );
                buffer = (buffer - bits).min(capacity) + average;
            }
        }
    }

    #[test]
    fn counted_bits_are_those_that_are_written() {
        let mut encoder = Encoder::new(128_000, 2, 44_100, 4);
        for block in attacks(30, 2).chunks(BLOCK * 2) {
            encoder.push(block);
            let part = encoder.analyze(0, Kind::Pair(0, 1), &[false, false]);
            for noise in [Noise::Part(0.01), Noise::More(0.0), Noise::More(100.0)] {
                for exact in [false, true] {
                    let channels = part.spectra.iter();
                    let coded: Vec<_> = channels
                        .map(|spectrum| quantize(&part.layout, spectrum, noise, exact))
                        .collect();
                    let bits: u32 = coded.iter().map(|coded| coded.bits).sum();
                    // ms_used goes out only where bands differ in it.
                    let most = bits + side_bits(&part) + 3;
                    let parts = std::slice::from_ref(&part);
                    let written = write(parts, std::slice::from_ref(&coded)).len() as u32 * 8;
                    let least = most - part.middle_side.len() as u32;
                    assert!(
                        (least..=most + 7).contains(&written),
                        "{written}: {least} to {most}"
                    );
                }
            }
        }
    }
}
