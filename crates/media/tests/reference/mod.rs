//! A slow conversion to RGB in 64-bit floating point, written from the standards' equations, one
//! pixel at a time.

use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::{RgbConversion, effective_color_space};
use reelcore_media::format::PixelLayout;
use reelcore_media::{CpuImage, PixelFormat};

/// One sample, as a code value within the format's range.
fn sample(image: &CpuImage, plane: usize, x: usize, y: usize) -> f64 {
    let (format, plane) = (image.format(), &image.planes()[plane]);
    if format.bit_depth() == 8 {
        return f64::from(plane.data[y * plane.stride + x]);
    }
    let at = y * plane.stride + 2 * x;
    let value = u16::from_le_bytes([plane.data[at], plane.data[at + 1]]);
    f64::from(value.min((1 << format.bit_depth()) - 1))
}

/// Y, U and V of the pixel, with the nearest chroma sample.
fn yuv(image: &CpuImage, x: usize, y: usize) -> [f64; 3] {
    let luma = sample(image, 0, x, y);
    match image.format().layout() {
        PixelLayout::Nv12 => {
            let (x, y) = (x / 2 * 2, y / 2);
            [luma, sample(image, 1, x, y), sample(image, 1, x + 1, y)]
        }
        _ => {
            let (h, v) = image.format().subsampling(1);
            let (x, y) = (x / h as usize, y / v as usize);
            [luma, sample(image, 1, x, y), sample(image, 2, x, y)]
        }
    }
}

/// Non-linear R, G and B, 1 for white.
fn signal(image: &CpuImage, x: usize, y: usize, matrix: Matrix, full: bool) -> [f64; 3] {
    let format = image.format();
    if format.is_rgb() {
        let rgb = [0, 1, 2].map(|c| sample(image, 0, 4 * x + c, y) / 255.0);
        return if format.layout() == PixelLayout::Bgra {
            [rgb[2], rgb[1], rgb[0]]
        } else {
            rgb
        };
    }
    let bits = format.bit_depth();
    let unit = f64::from(1u32 << (bits - 8));
    let max = f64::from((1u32 << bits) - 1);
    let luma = |v: f64| {
        if full {
            v / max
        } else {
            (v / unit - 16.0) / 219.0
        }
    };
    let chroma = |v: f64| {
        if full {
            (v - 128.0 * unit) / max
        } else {
            (v / unit - 128.0) / 224.0
        }
    };
    let [y, u, v] = yuv(image, x, y);
    let (kr, kb) = match matrix {
        Matrix::Rgb => return [luma(v), luma(y), luma(u)],
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt470bg | Matrix::Smpte170m => (0.299, 0.114),
        Matrix::Bt2020Ncl => (0.2627, 0.0593),
    };
    // Y = kr R + kg G + kb B, U = (B - Y) / (2 - 2 kb), V = (R - Y) / (2 - 2 kr), solved for RGB.
    let (y, u, v) = (luma(y), chroma(u), chroma(v));
    let (r, b) = (y + v * (2.0 - 2.0 * kr), y + u * (2.0 - 2.0 * kb));
    [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
}

fn to_light(signal: f64, transfer: Transfer) -> f64 {
    match transfer {
        Transfer::Bt709 | Transfer::Smpte170m | Transfer::Iec61966_2_1 => {
            if signal > 0.04045 {
                ((signal + 0.055) / 1.055).powf(2.4)
            } else {
                signal / 12.92
            }
        }
        Transfer::Linear => signal,
        Transfer::Pq => {
            let root = signal.powf(32.0 / 2523.0);
            let light = (root - 0.8359375).max(0.0) / (18.8515625 - 18.6875 * root);
            light.powf(8192.0 / 1305.0) * 10_000.0 / 203.0
        }
        Transfer::Hlg => {
            if signal > 0.5 {
                (((signal - 0.55991073) / 0.17883277).exp() + 0.28466892) / 12.0
            } else {
                signal.powi(2) / 3.0
            }
        }
    }
}

fn from_light(light: f64) -> f64 {
    let light = light.clamp(0.0, 1.0);
    if light > 0.0031308 {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    } else {
        12.92 * light
    }
}

/// Solves `columns * x = want` by Cramer's rule; `columns` are vectors.
fn solve(columns: [[f64; 3]; 3], want: [f64; 3]) -> [f64; 3] {
    let det = |[a, b, c]: [[f64; 3]; 3]| {
        a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1])
            + c[0] * (a[1] * b[2] - a[2] * b[1])
    };
    let [a, b, c] = columns;
    let all = det(columns);
    [
        det([want, b, c]) / all,
        det([a, want, c]) / all,
        det([a, b, want]) / all,
    ]
}

/// The XYZ vectors of red, green and blue at full strength.
fn primaries_in_xyz(primaries: Primaries) -> [[f64; 3]; 3] {
    let xy = match primaries {
        Primaries::Bt709 => [(0.64, 0.33), (0.3, 0.6), (0.15, 0.06)],
        Primaries::Bt470bg => [(0.64, 0.33), (0.29, 0.6), (0.15, 0.06)],
        Primaries::Smpte170m => [(0.63, 0.34), (0.31, 0.595), (0.155, 0.07)],
        Primaries::Bt2020 => [(0.708, 0.292), (0.17, 0.797), (0.131, 0.046)],
        Primaries::Smpte432 => [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)],
    };
    let xyz = |(x, y): (f64, f64)| [x / y, 1.0, (1.0 - x - y) / y];
    let columns = xy.map(xyz);
    let strength = solve(columns, xyz((0.3127, 0.329)));
    [0, 1, 2].map(|i| columns[i].map(|value| value * strength[i]))
}

/// The pixel at `x`, `y` of the image, in the destination's order, before rounding.
pub fn convert(image: &CpuImage, conversion: &RgbConversion, x: usize, y: usize) -> [f64; 4] {
    let color = effective_color_space(conversion.color_space, image.format(), image.size());
    let (primaries, transfer) = (color.primaries.unwrap(), color.transfer.unwrap());
    let rgb = signal(
        image,
        x,
        y,
        color.matrix.unwrap(),
        color.full_range.unwrap(),
    );
    let rgb = rgb.map(|value| value.clamp(0.0, 1.0));

    let mut light = rgb.map(|value| to_light(value, transfer));
    let peak = 1000.0 / 203.0;
    if transfer == Transfer::Hlg {
        let luma = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2];
        light = light.map(|value| value * luma.powf(0.2) * peak);
    }
    if matches!(transfer, Transfer::Hlg | Transfer::Pq) {
        let largest = light.into_iter().fold(0.0, f64::max);
        light = light.map(|value| value * (1.0 + largest / (peak * peak)) / (1.0 + largest));
    }
    let target = conversion.target.color_space().primaries.unwrap();
    let source_xyz = primaries_in_xyz(primaries);
    let xyz = [0, 1, 2].map(|i| (0..3).map(|c| source_xyz[c][i] * light[c]).sum::<f64>());
    let light = solve(primaries_in_xyz(target), xyz);
    let [r, g, b] = light.map(|value| from_light(value) * 255.0);

    let (source, format): (PixelFormat, PixelFormat) = (image.format(), conversion.format);
    let a = if !(conversion.keep_alpha && source.has_alpha() && format.has_alpha()) {
        255.0
    } else if source.is_rgb() {
        sample(image, 0, 4 * x + 3, y)
    } else {
        sample(image, 3, x, y) * 255.0 / f64::from((1u32 << source.bit_depth()) - 1)
    };
    match format.layout() {
        PixelLayout::Bgra => [b, g, r, a],
        _ => [r, g, b, a],
    }
}
