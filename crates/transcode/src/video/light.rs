//! From signals of one transfer function and one set of primaries to those of another, by way of linear light.
//!
//! The rules are those of `docs/decisions/0007-colour-conversion.md`: BT.709, SMPTE 170M and sRGB have one curve; diffuse white of HDR is
//! 203 nits, and SDR white becomes just that (ITU-R BT.2408); what becomes SDR is tone mapped.

use std::sync::OnceLock;

use reelcore_media::ColorSpace;
use reelcore_media::color::{Primaries, Transfer};
use reelcore_media::convert::{Matrix3, gamut_matrix};

/// Nits of diffuse white in HDR video (ITU-R BT.2408).
const WHITE_NITS: f64 = 203.0;
/// Nits that tone mapping brings down to SDR white, also the nominal peak of an HLG display, with diffuse white as 1.
const PEAK: f64 = 1000.0 / WHITE_NITS;
/// BT.2100's system gamma for HLG at that peak, less one.
const HLG_GAMMA_LESS_ONE: f64 = 0.2;
/// BT.2020's luminance, by which HLG's OOTF is defined.
const HLG_LUMA: [f64; 3] = [0.2627, 0.6780, 0.0593];

/// The curves that differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    /// sRGB, which BT.709 and SMPTE 170M are taken for.
    Sdr,
    /// Linear light.
    Linear,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Curve {
    const fn of(transfer: Option<Transfer>) -> Self {
        match transfer {
            None | Some(Transfer::Bt709 | Transfer::Smpte170m | Transfer::Iec61966_2_1) => {
                Self::Sdr
            }
            Some(Transfer::Linear) => Self::Linear,
            Some(Transfer::Pq) => Self::Pq,
            Some(Transfer::Hlg) => Self::Hlg,
        }
    }

    const fn is_hdr(self) -> bool {
        matches!(self, Self::Pq | Self::Hlg)
    }

    /// The light of the largest signal.
    const fn brightest(self) -> f64 {
        match self {
            Self::Pq => 10_000.0 / WHITE_NITS,
            _ => 1.0,
        }
    }

    /// Linear light of a signal from 0 to 1. 1 is SDR white, or HDR's diffuse white; for HLG it is the light of the scene, which
    /// the OOTF must still be applied to.
    fn light(self, signal: f64) -> f64 {
        match self {
            // IEC 61966-2-1.
            Self::Sdr if signal <= 0.04045 => signal / 12.92,
            Self::Sdr => ((signal + 0.055) / 1.055).powf(2.4),
            Self::Linear => signal,
            // ITU-R BT.2100, table 4.
            Self::Pq => {
                let power = signal.powf(1.0 / PQ_M2);
                let light = ((power - PQ_C1).max(0.0) / (PQ_C2 - PQ_C3 * power)).powf(1.0 / PQ_M1);
                self.brightest() * light
            }
            // ITU-R BT.2100, table 5.
            Self::Hlg if signal <= 0.5 => signal * signal / 3.0,
            Self::Hlg => {
                let (b, c) = hlg_constants();
                (((signal - c) / HLG_A).exp() + b) / 12.0
            }
        }
    }

    /// The signal of linear light: the inverse of [`Curve::light`].
    fn signal(self, light: f64) -> f64 {
        match self {
            Self::Sdr if light <= 0.003_130_8 => light * 12.92,
            Self::Sdr => 1.055 * light.powf(1.0 / 2.4) - 0.055,
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

const PQ_M1: f64 = 1305.0 / 8192.0;
const PQ_M2: f64 = 2523.0 / 32.0;
const PQ_C1: f64 = 107.0 / 128.0;
const PQ_C2: f64 = 2413.0 / 128.0;
const PQ_C3: f64 = 2392.0 / 128.0;
const HLG_A: f64 = 0.178_832_77;

fn hlg_constants() -> (f64, f64) {
    (1.0 - 4.0 * HLG_A, 0.5 - HLG_A * (4.0 * HLG_A).ln())
}

/// Steps of the tables, between which is interpolated.
const STEPS: usize = 1 << 12;

type Table = [f64; STEPS + 1];

/// A table over 0 to 1, made at first use.
fn table(
    tables: &'static [OnceLock<Box<Table>>; 4],
    curve: Curve,
    value: impl Fn(f64) -> f64,
) -> &'static Table {
    // The curves are numbered as they stand.
    let index = curve as usize % tables.len();
    tables[index].get_or_init(|| {
        let mut table = Box::new([0.0; STEPS + 1]);
        for (step, entry) in table.iter_mut().enumerate() {
            *entry = value(step as f64 / STEPS as f64);
        }
        table
    })
}

fn look_up(table: &Table, at: f64) -> f64 {
    let at = at.clamp(0.0, 1.0) * STEPS as f64;
    // What is no number is 0.
    let index = (at as usize).min(STEPS - 1);
    table[index] + (table[index + 1] - table[index]) * (at - index as f64)
}

/// A change of primaries and transfer function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    from: Curve,
    to: Curve,
    gamut: Matrix3,
    /// Light of signals.
    lights: &'static Table,
    /// Signals of the fourth root of light: even steps of that are about as large to the eye.
    signals: &'static Table,
}

impl Light {
    /// From colours of `from` to those of `to`, of which nothing is unknown; `None` where they differ in nothing that shows.
    pub(crate) fn between(from: ColorSpace, to: ColorSpace) -> Option<Self> {
        static LIGHTS: [OnceLock<Box<Table>>; 4] = [const { OnceLock::new() }; 4];
        static SIGNALS: [OnceLock<Box<Table>>; 4] = [const { OnceLock::new() }; 4];
        let curves = (Curve::of(from.transfer), Curve::of(to.transfer));
        let primaries = |color: ColorSpace| color.primaries.unwrap_or(Primaries::Bt709);
        if curves.0 == curves.1 && primaries(from) == primaries(to) {
            return None;
        }
        let (from_curve, to_curve) = curves;
        Some(Self {
            from: from_curve,
            to: to_curve,
            gamut: gamut_matrix(primaries(from), primaries(to)),
            lights: table(&LIGHTS, from_curve, |signal| from_curve.light(signal)),
            signals: table(&SIGNALS, to_curve, |root| {
                to_curve.signal(root.powi(4) * to_curve.brightest())
            }),
        })
    }

    /// The signals of a colour. What lies outside of 0 to 1 is cut off.
    pub(crate) fn convert(&self, signal: [f64; 3]) -> [f64; 3] {
        let mut light = signal.map(|signal| look_up(self.lights, signal));
        if self.from == Curve::Hlg {
            // ITU-R BT.2100, table 5: from the light of the scene to that of a display.
            let gain = PEAK * luma(light).powf(HLG_GAMMA_LESS_ONE);
            light = light.map(|light| light * gain);
        }
        if self.from.is_hdr() && !self.to.is_hdr() {
            // The extended curve of Reinhard on the largest component, so that hue is kept.
            let largest = light[0].max(light[1]).max(light[2]);
            let scale = (1.0 + largest / (PEAK * PEAK)) / (1.0 + largest);
            light = light.map(|light| light * scale);
        }
        light = self
            .gamut
            .map(|row| (row[0] * light[0] + row[1] * light[1] + row[2] * light[2]).max(0.0));
        if self.to == Curve::Hlg {
            // The inverse: the display's luminance is a power of the scene's.
            let scene = (luma(light) / PEAK).powf(1.0 / (1.0 + HLG_GAMMA_LESS_ONE));
            let gain = PEAK * scene.powf(HLG_GAMMA_LESS_ONE);
            light = light.map(|light| if gain > 0.0 { light / gain } else { 0.0 });
        }
        let brightest = self.to.brightest();
        light.map(|light| look_up(self.signals, (light / brightest).sqrt().sqrt()))
    }
}

fn luma(light: [f64; 3]) -> f64 {
    HLG_LUMA[0] * light[0] + HLG_LUMA[1] * light[1] + HLG_LUMA[2] * light[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colors(primaries: Primaries, transfer: Transfer) -> ColorSpace {
        ColorSpace {
            primaries: Some(primaries),
            transfer: Some(transfer),
            ..ColorSpace::REC709
        }
    }

    fn near(got: [f64; 3], want: [f64; 3], within: f64) {
        for (a, b) in got.iter().zip(want) {
            assert!((a - b).abs() < within, "{got:?}, expected {want:?}");
        }
    }

    const PQ: ColorSpace = ColorSpace {
        primaries: Some(Primaries::Bt2020),
        transfer: Some(Transfer::Pq),
        ..ColorSpace::REC709
    };

    #[test]
    fn white_has_the_signals_of_bt_2408() {
        let to_pq = Light::between(ColorSpace::SRGB, PQ).expect("another curve");
        near(to_pq.convert([1.0; 3]), [0.5807; 3], 5e-4);
        near(to_pq.convert([0.0; 3]), [0.0; 3], 1e-5);
        let hlg = colors(Primaries::Bt2020, Transfer::Hlg);
        let to_hlg = Light::between(ColorSpace::SRGB, hlg).expect("another curve");
        near(to_hlg.convert([1.0; 3]), [0.75; 3], 2e-3);
        // A thousand nits are the peak of HLG, and 75.18 % of PQ.
        let between = Light::between(PQ, hlg).expect("another curve");
        near(between.convert([0.7518; 3]), [1.0; 3], 1e-3);
    }

    #[test]
    fn there_and_back_is_where_it_began() {
        let hlg = colors(Primaries::Bt2020, Transfer::Hlg);
        let linear = colors(Primaries::Bt709, Transfer::Linear);
        let wide = colors(Primaries::Smpte432, Transfer::Bt709);
        for (a, b) in [
            (ColorSpace::SRGB, linear),
            (ColorSpace::SRGB, wide),
            (hlg, PQ),
        ] {
            let there = Light::between(a, b).expect("they differ");
            let back = Light::between(b, a).expect("they differ");
            for color in [
                [0.1, 0.5, 0.9],
                [0.8, 0.2, 0.3],
                [0.02, 0.01, 0.6],
                [1.0; 3],
            ] {
                near(back.convert(there.convert(color)), color, 2e-3);
            }
        }
    }

    #[test]
    fn what_browsers_take_for_one_curve_is_not_changed() {
        assert!(Light::between(ColorSpace::SRGB, ColorSpace::REC709).is_none());
        assert!(Light::between(PQ, PQ).is_none());
    }
}
