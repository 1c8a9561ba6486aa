//! Lines to integers, and what they cost: ISO/IEC 14496-3, 4.6.1 to 4.6.3.

use std::sync::OnceLock;

use rusty_aac::encode::{BitWriter, spectral_bits, spectral_emit};

use super::filterbank::{Layout, Sequence};
use super::tables::SCALE_FACTOR;

/// The largest integer that can be coded.
const MAX: f32 = 8191.0;

/// A scale factor of 100 is a step of 1.
const UNIT: i32 = 100;

/// What rounds best: between the middle and the next lower, as more lines are small.
const ROUND: f32 = 0.4054;

/// Integers of a codebook's tuple, and the largest; whether there are negative ones (else signs follow).
pub const BOOKS: [(usize, i32, bool); 12] = [
    (4, 0, false),
    (4, 1, true),
    (4, 1, true),
    (4, 2, false),
    (4, 2, false),
    (2, 4, true),
    (2, 4, true),
    (2, 7, false),
    (2, 7, false),
    (2, 12, false),
    (2, 12, false),
    (2, 16, false),
];

/// The one with escapes.
pub const ESCAPES: usize = 11;

/// What no tuple costs.
const NEVER: u32 = u32::MAX / 4;

/// All tuples of a codebook, the largest value of which stands for all escapes.
pub fn tuples(book: usize) -> impl Iterator<Item = [i32; 4]> {
    let (dim, largest, signed) = BOOKS[book];
    let (low, count) = match signed {
        true => (-largest, 2 * largest + 1),
        false => (0, largest + 1),
    };
    (0..count.pow(dim as u32)).map(move |index| {
        let mut tuple = [0; 4];
        let mut rest = index;
        for value in tuple[..dim].iter_mut().rev() {
            *value = rest % count + low;
            rest /= count;
        }
        tuple
    })
}

/// For each codebook the bits of all tuples, signs included.
fn costs() -> &'static [Vec<u8>; 12] {
    static COSTS: OnceLock<[Vec<u8>; 12]> = OnceLock::new();
    COSTS.get_or_init(|| {
        std::array::from_fn(|book| {
            if book == 0 {
                return Vec::new();
            }
            let cost = |tuple: [i32; 4]| spectral_bits(book, &tuple[..BOOKS[book].0]);
            tuples(book)
                .map(|tuple| cost(tuple).map_or(u8::MAX, |bits| bits as u8))
                .collect()
        })
    })
}

/// Bits of integers in a codebook that holds them all.
fn cost(book: usize, integers: &[i32]) -> u32 {
    let (dim, largest, signed) = BOOKS[book];
    let (low, count) = match signed {
        true => (-largest, 2 * largest + 1),
        false => (0, largest + 1),
    };
    let table = &costs()[book];
    let mut bits = 0;
    for tuple in integers.chunks_exact(dim) {
        let mut index = 0;
        for &value in tuple {
            let value = if signed { value } else { value.abs() };
            if book == ESCAPES && value > 31 {
                // Each doubling beyond 31 takes a bit more of prefix and one of value.
                bits += 2 * (value.ilog2() - 4);
            }
            index = index * count + (value.min(largest) - low);
        }
        bits += u32::from(table[index as usize]);
    }
    bits
}

/// The first codebook, of two with the same range where there are two, that holds values up to `largest`.
fn first_book(largest: i32) -> usize {
    match largest {
        0 => 0,
        1 => 1,
        2 => 3,
        3..=4 => 5,
        5..=7 => 7,
        8..=12 => 9,
        _ => ESCAPES,
    }
}

/// The lines of one channel, and how much noise each band bears.
#[derive(Clone, Debug)]
pub struct Spectrum {
    pub lines: Vec<f32>,
    /// For each band: energy, noise that nobody hears, sum of the square roots of lines, largest line.
    pub bands: Vec<Band>,
    /// Lines to the power of 3/4.
    powers: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
pub struct Band {
    pub energy: f64,
    pub threshold: f64,
    roots: f64,
    largest: f32,
}

impl Spectrum {
    /// With thresholds that are still to be found.
    pub fn new(layout: &Layout, lines: Vec<f32>) -> Self {
        let bands = layout
            .bands
            .windows(2)
            .map(|band| {
                let lines = &lines[band[0]..band[1]];
                Band {
                    energy: lines.iter().map(|&line| f64::from(line).powi(2)).sum(),
                    threshold: 0.0,
                    roots: lines.iter().map(|&line| f64::from(line).abs().sqrt()).sum(),
                    largest: lines
                        .iter()
                        .fold(0.0, |largest, line| line.abs().max(largest)),
                }
            })
            .collect();
        let powers = lines
            .iter()
            .map(|line| line.abs().sqrt() * line.abs().sqrt().sqrt());
        Self {
            powers: powers.collect(),
            bands,
            lines,
        }
    }
}

/// A channel's integers.
#[derive(Clone, Debug)]
pub struct Coded {
    integers: Vec<i32>,
    /// For each band that is not 0.
    scale_factors: Vec<Option<i32>>,
    /// The codebook of each band.
    books: Vec<usize>,
    pub bits: u32,
}

/// How much more noise than the thresholds allow.
#[derive(Clone, Copy, Debug)]
pub enum Noise {
    /// Less: this part of it.
    Part(f64),
    /// More, by an amount that soft bands bear sooner than loud ones: added to the fourth roots, which go with loudness.
    More(f64),
}

impl Noise {
    fn of(self, threshold: f64) -> f64 {
        match self {
            Self::Part(part) => threshold * part,
            Self::More(more) => (threshold.sqrt().sqrt() + more).powi(4),
        }
    }
}

/// Quantizes a channel so that its bands have that much noise, and finds the codebooks; `exact` ones, or nearly.
pub fn quantize(layout: &Layout, spectrum: &Spectrum, noise: Noise, exact: bool) -> Coded {
    let mut scale_factors: Vec<Option<i32>> = spectrum
        .bands
        .iter()
        .map(|band| {
            let allowed = noise.of(band.threshold);
            if allowed >= band.energy || band.largest < 1e-3 {
                return None;
            }
            // The error of a line is evenly spread over a step, which for integers to the power of 4/3 grows with the
            // line: 4/27 of the scale to the power of 3/2 times the root of the line.
            let scale = (allowed / (4.0 / 27.0 * band.roots)).powf(2.0 / 3.0);
            let wanted = UNIT + (4.0 * scale.log2()).floor().clamp(-200.0, 200.0) as i32;
            // No integer may be larger than can be coded.
            let least = (4.0 * (f64::from(band.largest) / f64::from(MAX).powf(4.0 / 3.0)).log2())
                .ceil() as i32;
            Some(wanted.max(UNIT + least + 1).clamp(0, 255))
        })
        .collect();
    // Differences of more than 60 have no code.
    let highest = scale_factors.iter().flatten().max().copied().unwrap_or(0);
    for factor in scale_factors.iter_mut().flatten() {
        *factor = (*factor).max(highest - 60);
    }
    let mut integers = vec![0; spectrum.lines.len()];
    let mut largest = vec![0; scale_factors.len()];
    for (band, factor) in scale_factors.iter_mut().enumerate() {
        let Some(value) = *factor else { continue };
        let range = layout.bands[band]..layout.bands[band + 1];
        let scale = (f64::from(value - UNIT) * -0.1875).exp2() as f32;
        let lines = &spectrum.lines[range.clone()];
        let powers = &spectrum.powers[range.clone()];
        for ((integer, line), power) in integers[range].iter_mut().zip(lines).zip(powers) {
            let magnitude = (power * scale + ROUND).min(MAX) as i32;
            largest[band] = magnitude.max(largest[band]);
            *integer = if *line < 0.0 { -magnitude } else { magnitude };
        }
        if largest[band] == 0 {
            *factor = None;
        }
    }
    let mut coded = Coded {
        integers,
        scale_factors,
        books: Vec::new(),
        bits: 0,
    };
    coded.bits = choose_books(layout, &coded.integers, &largest, exact, &mut coded.books);
    // global_gain, and the three flags behind the scale factors.
    coded.bits += 8 + 3 + coded.scale_factor_bits();
    coded
}

/// The codebooks of all bands, and the bits of lines and sections.
fn choose_books(
    layout: &Layout,
    integers: &[i32],
    largest: &[i32],
    exact: bool,
    books: &mut Vec<usize>,
) -> u32 {
    let side = 4 + length_code(layout).0;
    let mut total = 0;
    for group in 0..layout.groups.len() {
        let first = group * layout.bands_per_group;
        // The least cost up to a band that ends in each book, and the book before it.
        let mut least = [NEVER; 12];
        let mut from: Vec<[u8; 12]> = Vec::with_capacity(layout.bands_per_group);
        let bands = largest.iter().enumerate().skip(first);
        for (band, &largest) in bands.take(layout.bands_per_group) {
            let range = layout.bands[band]..layout.bands[band + 1];
            let lowest = first_book(largest);
            // A larger book may save a section; two steps up are enough to know about how much.
            let highest = if exact {
                ESCAPES
            } else {
                (lowest + 3).min(ESCAPES)
            };
            let (best, cheapest) = match band == first {
                true => (0, 0),
                false => least
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, cost)| **cost)
                    .map_or((0, 0), |(book, cost)| (book, *cost)),
            };
            let mut next = [NEVER; 12];
            let mut origin = [0u8; 12];
            for book in lowest..=highest {
                let stay = if band == first { NEVER } else { least[book] };
                let change = cheapest + side;
                let (before, cost_before) = match stay <= change {
                    true => (book, stay),
                    false => (best, change),
                };
                let lines = if book == 0 {
                    0
                } else {
                    cost(book, &integers[range.clone()])
                };
                next[book] = cost_before + lines;
                origin[book] = before as u8;
            }
            least = next;
            from.push(origin);
        }
        let end = least.iter().enumerate().min_by_key(|(_, cost)| **cost);
        let (mut book, cost) = end.map_or((0, 0), |(book, cost)| (book, *cost));
        total += cost;
        let mut chosen = vec![0; layout.bands_per_group];
        for (band, origin) in from.iter().enumerate().rev() {
            chosen[band] = book;
            book = usize::from(origin[book]);
        }
        // Long sections have more than one length.
        let (bits, escape) = length_code(layout);
        let sections = chosen.chunk_by(|a, b| a == b);
        total += sections
            .map(|section| section.len() as u32 / escape * bits)
            .sum::<u32>();
        books.extend(chosen);
    }
    total
}

/// Bits of a section's length, and the length that says that there is more to come.
fn length_code(layout: &Layout) -> (u32, u32) {
    match layout.sequence {
        Sequence::EightShort => (3, 7),
        _ => (5, 31),
    }
}

impl Coded {
    /// The scale factors of all bands with a codebook. A band of zeros may have one, for the section's sake: its factor is
    /// that of its neighbour.
    fn factors(&self) -> impl Iterator<Item = i32> {
        let first = self.scale_factors.iter().flatten().next().copied();
        let coded = self.books.iter().zip(&self.scale_factors);
        let coded = coded.filter(|(book, _)| **book != 0);
        coded.scan(first.unwrap_or(UNIT), |last, (_, factor)| {
            *last = factor.unwrap_or(*last);
            Some(*last)
        })
    }

    fn scale_factor_bits(&self) -> u32 {
        let mut before = None;
        let mut bits = 0;
        for factor in self.factors() {
            bits += u32::from(SCALE_FACTOR[difference(before, factor)].1);
            before = Some(factor);
        }
        bits
    }

    /// `individual_channel_stream` without `ics_info`, which `info` writes where it belongs: 4.4.2.7.
    pub fn write(
        &self,
        layout: &Layout,
        writer: &mut BitWriter,
        info: impl FnOnce(&mut BitWriter),
    ) {
        let gain = self.factors().next().unwrap_or(UNIT);
        writer.write(gain as u32, 8);
        info(writer);
        // section_data
        let (length_bits, escape) = length_code(layout);
        for books in self.books.chunks_exact(layout.bands_per_group) {
            for section in books.chunk_by(|a, b| a == b) {
                writer.write(section[0] as u32, 4);
                let mut length = section.len() as u32;
                while length >= escape {
                    writer.write(escape, length_bits);
                    length -= escape;
                }
                writer.write(length, length_bits);
            }
        }
        // scale_factor_data
        let mut before = Some(gain);
        for factor in self.factors() {
            let (code, bits) = SCALE_FACTOR[difference(before, factor)];
            writer.write(code, u32::from(bits));
            before = Some(factor);
        }
        // pulse_data_present, tns_data_present, gain_control_data_present
        writer.write(0, 3);
        // spectral_data
        for (band, &book) in self
            .books
            .iter()
            .enumerate()
            .filter(|(_, book)| **book != 0)
        {
            let integers = &self.integers[layout.bands[band]..layout.bands[band + 1]];
            for tuple in integers.chunks_exact(BOOKS[book].0) {
                spectral_emit(book, tuple, writer);
            }
        }
    }
}

/// Where the code of a scale factor after `before` is; the first one is global_gain itself.
fn difference(before: Option<i32>, factor: i32) -> usize {
    let difference = before.map_or(0, |before| factor - before);
    (difference + 60).clamp(0, 120) as usize
}
