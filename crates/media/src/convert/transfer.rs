//! Transfer functions, and tables of them.

use std::sync::OnceLock;

use crate::color::Transfer;

/// Nits of diffuse white in HDR video (ITU-R BT.2408).
const WHITE_NITS: f64 = 203.0;
/// Nits that tone mapping brings down to SDR white; also the nominal peak of an HLG display.
const PEAK_NITS: f64 = 1000.0;
/// What tone mapping brings down to SDR white, with HDR's diffuse white (203 nits, ITU-R BT.2408) as 1: 1000 nits, also the nominal
/// peak of an HLG display.
pub const PEAK: f64 = PEAK_NITS / WHITE_NITS;
/// BT.2100's system gamma for HLG at that peak, less one.
pub const HLG_GAMMA_LESS_ONE: f64 = 0.2;

// ITU-R BT.2100, table 4.
const PQ_M1: f64 = 1305.0 / 8192.0;
const PQ_M2: f64 = 2523.0 / 32.0;
const PQ_C1: f64 = 107.0 / 128.0;
const PQ_C2: f64 = 2413.0 / 128.0;
const PQ_C3: f64 = 2392.0 / 128.0;
// ITU-R BT.2100, table 5.
const HLG_A: f64 = 0.178_832_77;

/// The b and c of that table.
fn hlg_constants() -> (f64, f64) {
    (1.0 - 4.0 * HLG_A, 0.5 - HLG_A * (4.0 * HLG_A).ln())
}

/// The transfer functions that differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// sRGB; BT.709 and SMPTE 170M video is taken for it, as browsers do.
    Sdr,
    /// Linear light.
    Linear,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Curve {
    /// The curve of a transfer function.
    pub const fn of(transfer: Transfer) -> Self {
        match transfer {
            Transfer::Bt709 | Transfer::Smpte170m | Transfer::Iec61966_2_1 => Self::Sdr,
            Transfer::Linear => Self::Linear,
            Transfer::Pq => Self::Pq,
            Transfer::Hlg => Self::Hlg,
        }
    }

    /// Whether light may be brighter than diffuse white.
    pub const fn is_hdr(self) -> bool {
        matches!(self, Self::Pq | Self::Hlg)
    }

    /// The light of a signal of 1, in the unit of [`linearize`](Self::linearize).
    pub const fn brightest(self) -> f64 {
        match self {
            Self::Pq => 10_000.0 / WHITE_NITS,
            _ => 1.0,
        }
    }

    /// Linear light of a signal from 0 to 1. 1 is SDR white, or HDR's diffuse white; for HLG it is
    /// scene light, which the OOTF must still be applied to.
    pub fn linearize(self, signal: f64) -> f64 {
        match self {
            // IEC 61966-2-1.
            Self::Sdr if signal <= 0.04045 => signal / 12.92,
            Self::Sdr => ((signal + 0.055) / 1.055).powf(2.4),
            Self::Linear => signal,
            Self::Pq => {
                let power = signal.powf(1.0 / PQ_M2);
                let light = ((power - PQ_C1).max(0.0) / (PQ_C2 - PQ_C3 * power)).powf(1.0 / PQ_M1);
                self.brightest() * light
            }
            Self::Hlg if signal <= 0.5 => signal * signal / 3.0,
            Self::Hlg => {
                let (b, c) = hlg_constants();
                (((signal - c) / HLG_A).exp() + b) / 12.0
            }
        }
    }

    /// The signal of linear light from 0 to [`brightest`](Self::brightest): the inverse of [`linearize`](Self::linearize).
    pub fn encode(self, light: f64) -> f64 {
        match self {
            Self::Sdr => encode_srgb(light),
            Self::Linear => light,
            Self::Pq => {
                let power = (light / self.brightest()).powf(PQ_M1);
                ((PQ_C1 + PQ_C2 * power) / (1.0 + PQ_C3 * power)).powf(PQ_M2)
            }
            Self::Hlg if light <= 1.0 / 12.0 => (3.0 * light).sqrt(),
            Self::Hlg => {
                let (b, c) = hlg_constants();
                HLG_A * (12.0 * light - b).ln() + c
            }
        }
    }
}

/// sRGB's signal for linear light, both from 0 to 1.
pub(super) fn encode_srgb(light: f64) -> f64 {
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

/// Steps of the table for [`Curve::linearize`], between which is interpolated: PQ is so steep that
/// the nearest entry would not do, where bright components all but cancel each other.
const LINEAR_STEPS: usize = 1 << 12;
/// Its entries: a power of two, so that a masked index needs no check.
const LINEAR_ENTRIES: usize = LINEAR_STEPS * 2;
/// Steps of the table for [`encode_srgb`]: near black a step is a twentieth of a code value.
const ENCODE_STEPS: usize = ENCODE_ENTRIES - 1;
const ENCODE_ENTRIES: usize = 1 << 16;

/// Added to an `f32` from -1 to 2^22, leaves the nearest integer in the low bits of the sum, ties
/// to even: 1.5 * 2^23.
const TO_INTEGER: f32 = 12_582_912.0;

/// `value` held within 0 to 1; NaN is 0.
#[inline(always)]
fn unit(value: f32) -> f32 {
    // Written so that each comparison is one instruction.
    let value = if value > 0.0 { value } else { 0.0 };
    if value < 1.0 { value } else { 1.0 }
}

/// A table of [`Curve::linearize`], made at first use.
#[derive(Clone, Copy)]
pub(super) struct Linearize(&'static [f32; LINEAR_ENTRIES]);

impl Linearize {
    pub(super) fn new(curve: Curve) -> Self {
        static TABLES: [OnceLock<Box<[f32; LINEAR_ENTRIES]>>; 4] = [const { OnceLock::new() }; 4];
        Self(TABLES[curve as usize].get_or_init(|| {
            let mut table = Box::new([0.0; LINEAR_ENTRIES]);
            for (step, light) in table.iter_mut().enumerate() {
                // Past the last step, which ends the last interval, the value does not matter.
                let signal = step.min(LINEAR_STEPS) as f64 / LINEAR_STEPS as f64;
                *light = curve.linearize(signal) as f32;
            }
            table
        }))
    }

    /// The light of each signal, in its place. Signals are held within 0 to 1.
    #[inline(always)]
    pub(super) fn apply(self, signals: &mut [f32]) {
        for signal in signals {
            let at = unit(*signal) * LINEAR_STEPS as f32;
            // The entry below: the nearest to what is half a step less.
            let sum = (at - 0.5) + TO_INTEGER;
            let index = sum.to_bits() as usize;
            let (low, high) = (
                self.0[index % LINEAR_ENTRIES],
                self.0[(index + 1) % LINEAR_ENTRIES],
            );
            *signal = low + (high - low) * (at - (sum - TO_INTEGER));
        }
    }
}

/// A table of [`encode_srgb`] in 8-bit code values, made at first use.
#[derive(Clone, Copy)]
pub(super) struct Encode(&'static [u8; ENCODE_ENTRIES]);

impl Encode {
    pub(super) fn new() -> Self {
        static TABLE: OnceLock<Box<[u8; ENCODE_ENTRIES]>> = OnceLock::new();
        Self(TABLE.get_or_init(|| {
            let mut table = Box::new([0; ENCODE_ENTRIES]);
            for (step, code) in table.iter_mut().enumerate() {
                let light = step as f64 / ENCODE_STEPS as f64;
                *code = (encode_srgb(light) * 255.0).round() as u8;
            }
            table
        }))
    }

    /// The code value of `light`, which is held within 0 to 1.
    #[inline(always)]
    pub(super) fn get(self, light: f32) -> u8 {
        let sum = unit(light) * ENCODE_STEPS as f32 + TO_INTEGER;
        self.0[sum.to_bits() as usize % ENCODE_ENTRIES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_becomes_the_signal_that_it_came_of() {
        for curve in [Curve::Sdr, Curve::Linear, Curve::Pq, Curve::Hlg] {
            for step in 0..=100 {
                let signal = f64::from(step) / 100.0;
                let back = curve.encode(curve.linearize(signal));
                assert!((back - signal).abs() < 1e-6, "{curve:?}: {signal} {back}");
            }
            assert!((curve.encode(curve.brightest()) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn curves_pass_through_their_published_points() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-4 * b.max(1.0), "{a} {b}");
        near(Curve::Sdr.linearize(0.5), 0.214_04);
        near(Curve::Sdr.linearize(1.0), 1.0);
        // BT.2408: 58 % PQ and 75 % HLG are 203 nits.
        assert!((Curve::Pq.linearize(0.5806) - 1.0).abs() < 0.002);
        near(Curve::Pq.linearize(1.0), 10_000.0 / 203.0);
        near(Curve::Pq.linearize(0.0), 0.0);
        near(Curve::Hlg.linearize(0.5), 1.0 / 12.0);
        near(Curve::Hlg.linearize(1.0), 1.0);
        let display = PEAK * Curve::Hlg.linearize(0.75).powf(1.0 + HLG_GAMMA_LESS_ONE);
        assert!((display - 1.0).abs() < 0.01, "{display}");
        for step in 0..=1000 {
            let signal = f64::from(step) / 1000.0;
            assert!((encode_srgb(Curve::Sdr.linearize(signal)) - signal).abs() < 1e-6);
        }
    }
}
