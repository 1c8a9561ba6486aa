//! rusty_aac's encoder encodes all of a sound at once. Its access units depend on their neighbourhood only, so a stream
//! is encoded here window by window, with some blocks of context on both sides.

use reelcore_media::MediaError;
use rusty_aac::{AacEncoder, AacEncoderConfig, Error, WindowShape};

/// Frames of an access unit.
pub const FRAME: usize = 1024;

/// Blocks of a window. With one unit more than blocks this stays below what rusty_aac starts threads for.
const WINDOW: usize = 14;

/// Units at a window's start that lack what came before: the search for attacks looks back over three blocks.
const LEAD: usize = 3;

/// Units at its end that lack what comes after: a unit before an attack is shaped for it, and so is one between two.
const TRAIL: usize = 2;

/// Units that are in two windows, so that there is a choice of where to go over from one to the next.
const OVERLAP: usize = 3;

/// How the filter bank's windows change over a unit: ISO/IEC 14496-3, 4.5.2.1.1 and 4.6.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sequence(u8);

impl Sequence {
    /// LONG_START_SEQUENCE or EIGHT_SHORT_SEQUENCE: the right half is made for short windows.
    fn ends_short(self) -> bool {
        matches!(self.0, 1 | 2)
    }

    /// EIGHT_SHORT_SEQUENCE or LONG_STOP_SEQUENCE.
    fn begins_short(self) -> bool {
        matches!(self.0, 2 | 3)
    }

    /// Of a unit with one element, a single channel (ID_SCE, 0) or a pair (ID_CPE, 1): ISO/IEC 14496-3, 4.4.2.
    fn of(unit: &[u8]) -> Self {
        let bit = |at: usize| unit.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        // id_syn_ele 3, element_instance_tag 4; of a pair common_window 1. Then global_gain 8 where there is no common
        // window, ics_reserved_bit 1, window_sequence 2.
        let pair = bit(2) == 1;
        let at = match (pair, bit(7)) {
            (true, 1) => 9,
            (true, _) => 17,
            (false, _) => 16,
        };
        Self(bit(at) << 1 | bit(at + 1))
    }
}

struct Unit {
    data: Vec<u8>,
    sequence: Sequence,
}

/// Makes access units of blocks of 1024 frames, a bounded number of blocks behind.
pub struct Windowed {
    config: AacEncoderConfig,
    channels: u16,
    sample_rate: u32,
    /// Interleaved samples of at most [`WINDOW`] blocks, the first of which is block `first` of the stream.
    samples: Vec<f32>,
    first: usize,
    /// The last units of the window before, from unit `held_from` on; the next window may have better ones.
    held: Vec<Unit>,
    held_from: usize,
    /// How the last unit that went out ended.
    ended_short: bool,
    /// Bits that went out, and units with them.
    bits: f64,
    units: f64,
}

impl Windowed {
    pub fn new(bitrate: u32, channels: u16, sample_rate: u32) -> Self {
        let config = AacEncoderConfig {
            bitrate_bps: bitrate,
            // Far better for tones, and no worse for attacks.
            window_shape: WindowShape::Kbd,
            ..AacEncoderConfig::default()
        };
        Self {
            config,
            channels,
            sample_rate,
            samples: Vec::with_capacity(WINDOW * FRAME * usize::from(channels)),
            first: 0,
            held: Vec::new(),
            held_from: 0,
            ended_short: false,
            bits: 0.0,
            units: 0.0,
        }
    }

    /// Takes one block, interleaved, and gives the units that are ready.
    ///
    /// # Errors
    /// `Backend` with what the library says.
    pub fn push(&mut self, block: &[f32], out: &mut dyn FnMut(Vec<u8>)) -> Result<(), MediaError> {
        self.samples.extend_from_slice(block);
        let block = FRAME * usize::from(self.channels);
        if self.samples.len() < WINDOW * block {
            return Ok(());
        }
        let end = self.first + WINDOW - TRAIL;
        self.window(end, out)?;
        // The next window begins so that its first good unit is the first that was held back.
        let next = end - OVERLAP - LEAD;
        self.samples.drain(..(next - self.first) * block);
        self.first = next;
        Ok(())
    }

    /// Gives all units that are left, the one with the last block's second half included, and starts anew.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self, out: &mut dyn FnMut(Vec<u8>)) -> Result<(), MediaError> {
        let blocks = self.samples.len() / (FRAME * usize::from(self.channels));
        let end = self.first + blocks + 1;
        self.window(end, out)?;
        let held = std::mem::take(&mut self.held);
        held.into_iter().for_each(|unit| out(unit.data));
        self.samples.clear();
        self.first = 0;
        self.held_from = 0;
        self.ended_short = false;
        self.bits = 0.0;
        self.units = 0.0;
        Ok(())
    }

    /// Encodes what is there up to unit `end`, and gives all units but the last [`OVERLAP`].
    fn window(&mut self, end: usize, out: &mut dyn FnMut(Vec<u8>)) -> Result<(), MediaError> {
        let units = self.encode()?;
        let from = self.held_from;
        let mut units: Vec<Unit> = units
            .into_iter()
            .skip(from - self.first)
            .take(end - from)
            .collect();
        // The two windows may see attacks differently, as the threshold follows the loudness of all of a window. Where
        // their sequences fit together, one goes on with the other's.
        let mut ends_short = self.ended_short;
        let mut fits = units.len().min(self.held.len());
        for index in 0..=fits {
            if units
                .get(index)
                .is_some_and(|unit| unit.sequence.begins_short() == ends_short)
            {
                fits = index;
                break;
            }
            if let Some(held) = self.held.get(index) {
                ends_short = held.sequence.ends_short();
            }
        }
        for (unit, held) in units.iter_mut().zip(self.held.drain(..)).take(fits) {
            *unit = held;
        }
        self.held = units.split_off(units.len().saturating_sub(OVERLAP));
        self.held_from = from + units.len();
        for unit in units {
            self.ended_short = unit.sequence.ends_short();
            self.bits += unit.data.len() as f64 * 8.0;
            self.units += 1.0;
            out(unit.data);
        }
        Ok(())
    }

    fn encode(&self) -> Result<Vec<Unit>, MediaError> {
        let backend = |error: Error| MediaError::backend(format!("rusty_aac: {error}"));
        // The library stays below its budget: it gets what earlier units left, up to a quarter more.
        let mut config = self.config;
        if self.units > 0.0 {
            let seconds = self.units * FRAME as f64 / f64::from(self.sample_rate);
            let share = f64::from(config.bitrate_bps) * seconds / self.bits.max(1.0);
            config.bitrate_bps = (f64::from(config.bitrate_bps) * share.clamp(0.8, 1.25)) as u32;
        }
        let mut encoder = AacEncoder::new(config);
        encoder
            .push_pcm(&self.samples, self.channels, self.sample_rate)
            .map_err(backend)?;
        encoder.finish();
        let mut units = Vec::with_capacity(WINDOW + 1);
        loop {
            match encoder.next_packet() {
                Ok(packet) => units.push(Unit {
                    sequence: Sequence::of(&packet.data),
                    data: packet.data,
                }),
                Err(Error::Eof) => return Ok(units),
                Err(error) => return Err(backend(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tones with attacks after near silence, at all distances from each other.
    fn attacks(blocks: usize) -> Vec<f32> {
        let mut next = 3000;
        let mut since = 0u32;
        (0..blocks * FRAME)
            .map(|at| {
                if at == next {
                    since = 0;
                    next += 700 + at % 5000;
                }
                since += 1;
                let decay = (-f64::from(since) / 900.0).exp();
                ((at as f64 * 0.19).sin() * (0.6 * decay + 0.001)) as f32
            })
            .collect()
    }

    fn units(windowed: &mut Windowed, samples: &[f32]) -> Vec<Vec<u8>> {
        let mut units = Vec::new();
        for block in samples.chunks_exact(FRAME * usize::from(windowed.channels)) {
            windowed.push(block, &mut |unit| units.push(unit)).unwrap();
            assert!(windowed.samples.len() < WINDOW * FRAME * 2, "bounded");
        }
        windowed.finish(&mut |unit| units.push(unit)).unwrap();
        units
    }

    #[test]
    fn windows_of_neighbours_always_fit_together() {
        let mono = attacks(200);
        let stereo: Vec<f32> = mono
            .iter()
            .flat_map(|&sample| [sample, sample * 0.5])
            .collect();
        for (channels, samples) in [(1, &mono), (2, &stereo)] {
            let mut windowed = Windowed::new(96_000, channels, 44_100);
            let units = units(&mut windowed, samples);
            assert_eq!(units.len(), 201);
            let mut short = 0;
            for (index, pair) in units.windows(2).enumerate() {
                let (one, next) = (Sequence::of(&pair[0]), Sequence::of(&pair[1]));
                assert_eq!(
                    one.ends_short(),
                    next.begins_short(),
                    "{index}: {one:?} {next:?}"
                );
                short += usize::from(one == Sequence(2));
            }
            assert!(short > 20, "{short} attacks were seen");
        }
    }

    #[test]
    fn what_needs_one_window_is_what_the_library_makes_of_it() {
        for blocks in [1, 5, 13] {
            let samples = attacks(blocks);
            let mut encoder = AacEncoder::new(AacEncoderConfig {
                bitrate_bps: 64_000,
                window_shape: WindowShape::Kbd,
                ..AacEncoderConfig::default()
            });
            encoder.push_pcm(&samples, 1, 44_100).unwrap();
            encoder.finish();
            let want: Vec<_> = std::iter::from_fn(|| encoder.next_packet().ok())
                .map(|packet| packet.data)
                .collect();
            let mut windowed = Windowed::new(64_000, 1, 44_100);
            assert_eq!(units(&mut windowed, &samples), want);
            assert_eq!(units(&mut windowed, &samples), want, "and once more");
        }
    }
}
