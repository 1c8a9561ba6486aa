//! The conversions, once more, plainly and in 64-bit floating point: from the formulas of ITU-T H.273, ITU-R BT.2100 and IEC
//! 61966-2-1, and from what `docs/decisions/0007-colour-conversion.md` decides.

use reelcore_gpu::plane_texture_format;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::effective_color_space;
use reelcore_media::format::PixelLayout;
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Rect, Rotation, VideoFrame};

use super::code;

type Rgb = [f64; 3];

/// What scaling weighs samples with.
#[derive(Clone, Copy, PartialEq)]
pub enum Kernel {
    Linear,
    CatmullRom,
}

impl Kernel {
    fn support(self) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::CatmullRom => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let d = distance.abs();
        match self {
            Self::Linear => (1.0 - d).max(0.0),
            // Keys, 1981, with a = -1/2.
            Self::CatmullRom if d < 1.0 => 1.5 * d * d * d - 2.5 * d * d + 1.0,
            Self::CatmullRom if d < 2.0 => -0.5 * d * d * d + 2.5 * d * d - 4.0 * d + 2.0,
            Self::CatmullRom => 0.0,
        }
    }
}

/// An image whose colours can be asked for at any position, with samples of `rect` only.
pub struct Image<'a> {
    pub image: &'a CpuImage,
    pub rect: Rect,
    pub color: ColorSpace,
    pub alpha: bool,
    pub kernel: Kernel,
    /// Between pixels, colours count as much as they are seen.
    pub covered: bool,
}

/// Weighted samples around an index between samples.
fn axis(centre: f64, spacing: f64, first: i64, last: i64, kernel: Kernel) -> Vec<(usize, f64)> {
    let width = spacing.max(1.0);
    let support = width * kernel.support();
    let from = (centre - support).floor() as i64;
    let to = (centre + support).ceil() as i64;
    let taps: Vec<_> = (from..=to)
        .map(|i| (i, kernel.weight((i as f64 - centre) / width)))
        .collect();
    let total: f64 = taps.iter().map(|(_, weight)| weight).sum();
    taps.into_iter()
        .map(|(i, weight)| (i.clamp(first, last) as usize, weight / total))
        .collect()
}

/// Chroma of 4:2:0 and 4:2:2 lies on the left column; between rows, or for HDR on the upper one.
fn chroma_index(position: f64, factor: u32, on_sample: bool) -> f64 {
    match (factor, on_sample) {
        (1, _) => position - 0.5,
        (_, true) => (position - 0.5) / 2.0,
        (_, false) => (position - 1.0) / 2.0,
    }
}

fn top_left(format: PixelFormat, color: ColorSpace) -> bool {
    format.subsampling(1) == (2, 2)
        && color.matrix == Some(Matrix::Bt2020Ncl)
        && matches!(color.transfer, Some(Transfer::Pq | Transfer::Hlg))
}

/// The position in pixels of a chroma sample.
pub fn chroma_position(format: PixelFormat, color: ColorSpace, x: usize, y: usize) -> (f64, f64) {
    let (h, v) = format.subsampling(1);
    let at = |index: usize, factor: u32, on_sample: bool| match (factor, on_sample) {
        (1, _) => index as f64 + 0.5,
        (_, true) => index as f64 * 2.0 + 0.5,
        (_, false) => index as f64 * 2.0 + 1.0,
    };
    (at(x, h, true), at(y, v, top_left(format, color)))
}

impl<'a> Image<'a> {
    /// The frame's part `rect`, with guesses for colours that are not known.
    pub fn new(image: &'a CpuImage, rect: Rect, color: ColorSpace, alpha: bool) -> Self {
        Self {
            image,
            rect,
            color: effective_color_space(color, image.format(), image.size()),
            alpha: alpha && image.format().has_alpha(),
            kernel: Kernel::Linear,
            covered: true,
        }
    }

    fn plane(&self, plane: usize, component: usize, index: (f64, f64), spacing: (f64, f64)) -> f64 {
        let (h, v) = self.image.format().subsampling(plane);
        let rect = self.rect;
        let (left, right) = (rect.x / h, (rect.x + rect.width - 1) / h);
        let (top, bottom) = (rect.y / v, (rect.y + rect.height - 1) / v);
        let columns = axis(index.0, spacing.0, left.into(), right.into(), self.kernel);
        let rows = axis(index.1, spacing.1, top.into(), bottom.into(), self.kernel);
        let mut sum = 0.0;
        for &(y, wy) in &rows {
            for &(x, wx) in &columns {
                if wx * wy != 0.0 {
                    sum += wx * wy * f64::from(code(self.image, plane, component, x, y));
                }
            }
        }
        sum
    }

    /// Code values of Y, U and V (or R, G and B) and alpha from 0 to 1, at a position within `rect`.
    pub fn codes(&self, at: (f64, f64), spacing: (f64, f64)) -> ([f64; 3], f64) {
        match self.alpha && self.covered && spacing != (1.0, 1.0) {
            true => self.covered(at, spacing),
            false => self.filtered(at, spacing),
        }
    }

    /// Whole pixels that count as much as they are seen.
    fn covered(&self, (x, y): (f64, f64), spacing: (f64, f64)) -> ([f64; 3], f64) {
        let (width, height) = (i64::from(self.rect.width), i64::from(self.rect.height));
        let columns = axis(x - 0.5, spacing.0, 0, width - 1, self.kernel);
        let rows = axis(y - 0.5, spacing.1, 0, height - 1, self.kernel);
        let (mut seen, mut all, mut alpha) = ([0.0; 3], [0.0; 3], 0.0);
        for &(y, wy) in &rows {
            for &(x, wx) in &columns {
                let exact = Image {
                    kernel: Kernel::Linear,
                    ..*self
                };
                let (codes, a) = exact.filtered((x as f64 + 0.5, y as f64 + 0.5), (1.0, 1.0));
                for (component, code) in codes.into_iter().enumerate() {
                    seen[component] += wx * wy * a * code;
                    all[component] += wx * wy * code;
                }
                alpha += wx * wy * a;
            }
        }
        let top = f64::from((1u32 << self.image.format().bit_depth()) - 1);
        match alpha > 0.0 {
            true => (seen.map(|sum| (sum / alpha).clamp(0.0, top)), alpha),
            false => (all, alpha),
        }
    }

    fn filtered(&self, (x, y): (f64, f64), spacing: (f64, f64)) -> ([f64; 3], f64) {
        let format = self.image.format();
        let (x, y) = (x + f64::from(self.rect.x), y + f64::from(self.rect.y));
        let luma = (x - 0.5, y - 0.5);
        let top = f64::from((1u32 << format.bit_depth()) - 1);
        if format.is_rgb() {
            let order = match format.layout() {
                PixelLayout::Bgra => [2, 1, 0, 3],
                _ => [0, 1, 2, 3],
            };
            let [r, g, b, a] = order.map(|component| self.plane(0, component, luma, spacing));
            return ([r, g, b], if self.alpha { a / top } else { 1.0 });
        }
        let (h, v) = format.subsampling(1);
        let index = (
            chroma_index(x, h, true),
            chroma_index(y, v, top_left(format, self.color)),
        );
        let spread = (spacing.0 / f64::from(h), spacing.1 / f64::from(v));
        let (u, v) = match format.layout() {
            PixelLayout::Nv12 => (
                self.plane(1, 0, index, spread),
                self.plane(1, 1, index, spread),
            ),
            _ => (
                self.plane(1, 0, index, spread),
                self.plane(2, 0, index, spread),
            ),
        };
        let alpha = match self.alpha {
            true => self.plane(3, 0, luma, spacing) / top,
            false => 1.0,
        };
        ([self.plane(0, 0, luma, spacing), u, v], alpha)
    }

    /// R'G'B' and alpha.
    pub fn signal(&self, at: (f64, f64), spacing: (f64, f64)) -> (Rgb, f64) {
        let (codes, alpha) = self.codes(at, spacing);
        let format = self.image.format();
        if format.is_rgb() {
            return (codes.map(|code| code / 255.0), alpha);
        }
        (to_signal(codes, self.color, format.bit_depth()), alpha)
    }

    /// R'G'B' in the primaries `to` with sRGB's curve, and alpha.
    pub fn shown(&self, at: (f64, f64), spacing: (f64, f64), to: Primaries) -> (Rgb, f64) {
        let (signal, alpha) = self.signal(at, spacing);
        (managed(signal, self.color, to), alpha)
    }
}

fn luma_weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt709 | Matrix::Rgb => (0.2126, 0.0722),
        Matrix::Bt470bg | Matrix::Smpte170m => (0.299, 0.114),
        Matrix::Bt2020Ncl => (0.2627, 0.0593),
    }
}

/// ITU-T H.273, equations 20 to 31: code values to the range of E'.
fn ranges(full: bool, depth: u32) -> (f64, f64, f64, f64) {
    let unit = f64::from(1u32 << (depth - 8));
    match full {
        true => (0.0, 256.0 * unit - 1.0, 128.0 * unit, 256.0 * unit - 1.0),
        false => (16.0 * unit, 219.0 * unit, 128.0 * unit, 224.0 * unit),
    }
}

fn to_signal([y, u, v]: [f64; 3], color: ColorSpace, depth: u32) -> Rgb {
    let (black, y_range, grey, c_range) = ranges(color.full_range.unwrap(), depth);
    let matrix = color.matrix.unwrap();
    let y = (y - black) / y_range;
    if matrix == Matrix::Rgb {
        return [(v - black) / y_range, y, (u - black) / y_range];
    }
    let (pb, pr) = ((u - grey) / c_range, (v - grey) / c_range);
    let (kr, kb) = luma_weights(matrix);
    // H.273, equations 38 to 40, solved for R, G and B.
    let r = y + 2.0 * (1.0 - kr) * pr;
    let b = y + 2.0 * (1.0 - kb) * pb;
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    [r, g, b]
}

/// R'G'B' to code values of Y, U and V, not rounded.
pub fn to_codes([r, g, b]: Rgb, color: ColorSpace, depth: u32) -> [f64; 3] {
    let (black, y_range, grey, c_range) = ranges(color.full_range.unwrap(), depth);
    let matrix = color.matrix.unwrap();
    if matrix == Matrix::Rgb {
        return [g, b, r].map(|value| value * y_range + black);
    }
    let (kr, kb) = luma_weights(matrix);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (pb, pr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    [
        y * y_range + black,
        pb * c_range + grey,
        pr * c_range + grey,
    ]
}

/// Code values of the same colours at another depth, not rounded.
pub fn at_depth([y, u, v]: [f64; 3], color: ColorSpace, from: u32, to: u32) -> [f64; 3] {
    let [from, to] = [from, to].map(|depth| ranges(color.full_range.unwrap(), depth));
    let luma = |code: f64| (code - from.0) / from.1 * to.1 + to.0;
    if color.matrix == Some(Matrix::Rgb) {
        return [y, u, v].map(luma);
    }
    let chroma = |code: f64| (code - from.2) / from.3 * to.3 + to.2;
    [luma(y), chroma(u), chroma(v)]
}

fn srgb_decode(signal: f64) -> f64 {
    let s = signal.abs();
    signal.signum()
        * if s <= 0.04045 {
            s / 12.92
        } else {
            ((s + 0.055) / 1.055).powf(2.4)
        }
}

fn srgb_encode(light: f64) -> f64 {
    let l = light.abs();
    light.signum()
        * if l <= 0.0031308 {
            l * 12.92
        } else {
            1.055 * l.powf(1.0 / 2.4) - 0.055
        }
}

fn pq(signal: f64) -> f64 {
    let (m1, m2) = (2610.0 / 16384.0, 2523.0 / 4096.0 * 128.0);
    let (c1, c2, c3) = (
        3424.0 / 4096.0,
        2413.0 / 4096.0 * 32.0,
        2392.0 / 4096.0 * 32.0,
    );
    let power = signal.clamp(0.0, 1.0).powf(1.0 / m2);
    10_000.0 * ((power - c1).max(0.0) / (c2 - c3 * power)).powf(1.0 / m1)
}

fn hlg(signal: f64) -> f64 {
    let (a, b) = (0.17883277, 1.0 - 4.0 * 0.17883277);
    let c = 0.5 - a * (4.0f64 * a).ln();
    match signal.clamp(0.0, 1.0) {
        low if low <= 0.5 => low * low / 3.0,
        high => (((high - c) / a).exp() + b) / 12.0,
    }
}

fn managed(signal: Rgb, color: ColorSpace, to: Primaries) -> Rgb {
    let from = color.primaries.unwrap();
    let transfer = color.transfer.unwrap();
    let hdr = matches!(transfer, Transfer::Pq | Transfer::Hlg);
    if from == to && !hdr && transfer != Transfer::Linear {
        return signal;
    }
    let light = match transfer {
        Transfer::Linear => signal,
        Transfer::Pq => tone_map(signal.map(pq)),
        Transfer::Hlg => {
            let [r, g, b] = signal.map(hlg);
            let luma = 0.2627 * r + 0.6780 * g + 0.0593 * b;
            tone_map([r, g, b].map(|scene| 1000.0 * scene * luma.powf(0.2)))
        }
        _ => signal.map(srgb_decode),
    };
    let xyz = apply(rgb_to_xyz(from), light);
    solve(rgb_to_xyz(to), xyz).map(srgb_encode)
}

/// From nits: the extended curve of Reinhard on the largest component, 1000 nits to 1, in units of diffuse white.
fn tone_map(nits: Rgb) -> Rgb {
    let light = nits.map(|nits| nits / 203.0);
    let largest = light[0].max(light[1]).max(light[2]);
    let peak = 1000.0 / 203.0;
    let scale = (1.0 + largest / (peak * peak)) / (1.0 + largest);
    light.map(|light| light * scale)
}

type Matrix3 = [[f64; 3]; 3];

fn apply(m: Matrix3, v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// `x` with `m * x = v`, by Cramer's rule.
fn solve(m: Matrix3, v: [f64; 3]) -> [f64; 3] {
    let det = |m: Matrix3| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    std::array::from_fn(|column| {
        let mut replaced = m;
        for (row, value) in replaced.iter_mut().zip(v) {
            row[column] = value;
        }
        det(replaced) / det(m)
    })
}

fn rgb_to_xyz(primaries: Primaries) -> Matrix3 {
    let xy: [[f64; 2]; 3] = match primaries {
        Primaries::Bt709 => [[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]],
        Primaries::Bt470bg => [[0.64, 0.33], [0.29, 0.60], [0.15, 0.06]],
        Primaries::Smpte170m => [[0.630, 0.340], [0.310, 0.595], [0.155, 0.070]],
        Primaries::Bt2020 => [[0.708, 0.292], [0.170, 0.797], [0.131, 0.046]],
        Primaries::Smpte432 => [[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]],
    };
    let xyz = |[x, y]: [f64; 2]| [x / y, 1.0, (1.0 - x - y) / y];
    let columns = xy.map(xyz);
    let matrix: Matrix3 = std::array::from_fn(|row| columns.map(|column| column[row]));
    let strength = solve(matrix, xyz([0.3127, 0.3290]));
    matrix.map(|row| std::array::from_fn(|i| row[i] * strength[i]))
}

/// The position in the stored picture of what is displayed at `(x, y)`, and how many of its columns and rows lie between two
/// pixels there: the picture was rotated clockwise, then mirrored, then scaled to the display size.
pub fn stored_position(frame: &VideoFrame, (x, y): (f64, f64)) -> ((f64, f64), (f64, f64)) {
    let size = frame.visible_rect.size();
    let (w, h) = (f64::from(size.width), f64::from(size.height));
    let lies = matches!(frame.rotation, Rotation::R90 | Rotation::R270);
    let (shown_width, shown_height) = if lies { (h, w) } else { (w, h) };
    let columns = shown_width / f64::from(frame.display_size.width);
    let rows = shown_height / f64::from(frame.display_size.height);
    let (x, y) = (x * columns, y * rows);
    let x = if frame.flip { shown_width - x } else { x };
    let at = match frame.rotation {
        Rotation::R0 => (x, y),
        Rotation::R90 => (y, h - x),
        Rotation::R180 => (w - x, h - y),
        Rotation::R270 => (w - y, x),
    };
    (
        at,
        if lies {
            (rows, columns)
        } else {
            (columns, rows)
        },
    )
}

/// Whether samples of the format are uploaded as integers.
pub fn is_integer(format: PixelFormat) -> bool {
    plane_texture_format(format, 0) == reelcore_gpu::wgpu_types::TextureFormat::R16Uint
}
