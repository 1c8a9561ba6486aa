//! From signals of one transfer function and one set of primaries to those of another, by way of linear light.
//!
//! The rules are those of `docs/decisions/0007-colour-conversion.md`: BT.709, SMPTE 170M and sRGB have one curve; diffuse white of HDR is
//! 203 nits, and SDR white becomes just that (ITU-R BT.2408); what becomes SDR is tone mapped.

use std::sync::OnceLock;

use reelcore_media::ColorSpace;
use reelcore_media::color::Primaries;
use reelcore_media::convert::{Curve, HLG_GAMMA_LESS_ONE, Matrix3, PEAK, gamut_matrix};

/// BT.2020's luminance, by which HLG's OOTF is defined.
const HLG_LUMA: [f64; 3] = [0.2627, 0.6780, 0.0593];

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
        let curve = |color: ColorSpace| color.transfer.map_or(Curve::Sdr, Curve::of);
        let curves = (curve(from), curve(to));
        let primaries = |color: ColorSpace| color.primaries.unwrap_or(Primaries::Bt709);
        if curves.0 == curves.1 && primaries(from) == primaries(to) {
            return None;
        }
        let (from_curve, to_curve) = curves;
        Some(Self {
            from: from_curve,
            to: to_curve,
            gamut: gamut_matrix(primaries(from), primaries(to)),
            lights: table(&LIGHTS, from_curve, |signal| from_curve.linearize(signal)),
            signals: table(&SIGNALS, to_curve, |root| {
                to_curve.encode(root.powi(4) * to_curve.brightest())
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
    use reelcore_media::color::Transfer;

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
