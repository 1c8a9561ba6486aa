//! The numbers that a conversion runs on: from what the frame says to what the shaders read.

use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::{ChromaSiting, Matrix3, YuvMatrix, gamut_matrix};
use reelcore_media::format::PixelLayout;
use reelcore_media::{ColorSpace, PixelFormat, Rect, Rotation, Size};

use super::color::Curve;

/// What `source.wgsl` reads; the members are described there.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub(crate) to_x: [f32; 4],
    pub(crate) to_y: [f32; 4],
    luma_bounds: [i32; 4],
    chroma_bounds: [i32; 4],
    chroma: [f32; 4],
    yuv: [[f32; 4]; 3],
    gamut: [[f32; 4]; 3],
    pub(crate) pack: [[f32; 4]; 4],
    pub(crate) pack_offset: [f32; 4],
    pub(crate) scale: [f32; 4],
    pub(crate) modes: [u32; 4],
    pub(crate) out: [u32; 4],
    pub(crate) out_size: [u32; 4],
}

pub(crate) const FLAG_PREMULTIPLY: u32 = 1;
pub(crate) const FLAG_UNPREMULTIPLY: u32 = 2;
pub(crate) const FLAG_OPAQUE: u32 = 4;
pub(crate) const FLAG_DECODE_SRGB: u32 = 8;
const FLAG_ALPHA_PLANE: u32 = 16;
const FLAG_COVERED: u32 = 32;

const KERNEL_EXACT: u32 = 0;
const KERNEL_LINEAR: u32 = 1;
const KERNEL_CATMULL_ROM: u32 = 2;
const KERNEL_HALVED: u32 = 3;
const KERNEL_BITS: u32 = 4;

/// An affine map of positions: `x' = x[0] * x + x[1] * y + x[2]`, and so for `y'`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Map {
    pub(crate) x: [f64; 3],
    pub(crate) y: [f64; 3],
}

impl Map {
    pub(crate) const IDENTITY: Self = Self {
        x: [1.0, 0.0, 0.0],
        y: [0.0, 1.0, 0.0],
    };

    /// First `self`, then a scale and a shift.
    pub(crate) fn then(self, scale: (f64, f64), shift: (f64, f64)) -> Self {
        let apply = |row: [f64; 3], scale: f64, shift: f64| {
            [row[0] * scale, row[1] * scale, row[2] * scale + shift]
        };
        Self {
            x: apply(self.x, scale.0, shift.0),
            y: apply(self.y, scale.1, shift.1),
        }
    }

    /// First a scale and a shift of the destination's positions, then `self`.
    pub(crate) fn after(self, scale: (f64, f64), shift: (f64, f64)) -> Self {
        let apply = |row: [f64; 3]| {
            [
                row[0] * scale.0,
                row[1] * scale.1,
                row[2] + row[0] * shift.0 + row[1] * shift.1,
            ]
        };
        Self {
            x: apply(self.x),
            y: apply(self.y),
        }
    }

    /// From positions in the picture as it is shown to positions in the stored one, of `size`: the picture was rotated clockwise, then
    /// mirrored.
    fn of_orientation(size: Size, rotation: Rotation, flip: bool) -> Self {
        let (w, h) = (f64::from(size.width), f64::from(size.height));
        let unrotate = match rotation {
            Rotation::R0 => Self::IDENTITY,
            // What was at (x, y) is shown at (h - y, x).
            Rotation::R90 => Self {
                x: [0.0, 1.0, 0.0],
                y: [-1.0, 0.0, h],
            },
            Rotation::R180 => Self {
                x: [-1.0, 0.0, w],
                y: [0.0, -1.0, h],
            },
            Rotation::R270 => Self {
                x: [0.0, -1.0, w],
                y: [1.0, 0.0, 0.0],
            },
        };
        if !flip {
            return unrotate;
        }
        let shown = shown_size(size, rotation);
        unrotate.after((-1.0, 1.0), (f64::from(shown.width), 0.0))
    }

    /// The same for a picture that is then scaled to the size `display`.
    pub(crate) fn of_display(size: Size, rotation: Rotation, flip: bool, display: Size) -> Self {
        let shown = shown_size(size, rotation);
        let factor = |from: u32, to: u32| f64::from(from) / f64::from(to.max(1));
        let scale = (
            factor(shown.width, display.width),
            factor(shown.height, display.height),
        );
        Self::of_orientation(size, rotation, flip).after(scale, (0.0, 0.0))
    }
}

/// The size at which a picture of `size` is shown after the rotation.
pub(crate) fn shown_size(size: Size, rotation: Rotation) -> Size {
    match rotation {
        Rotation::R0 | Rotation::R180 => size,
        Rotation::R90 | Rotation::R270 => Size::new(size.height, size.width),
    }
}

/// Where colours come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    pub(crate) format: PixelFormat,
    /// The part that may be read, in pixels.
    pub(crate) rect: Rect,
    /// With every member.
    pub(crate) color: ColorSpace,
    /// Whether alpha is read.
    pub(crate) alpha: bool,
}

/// What becomes of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Code values as they are stored.
    Codes,
    /// R'G'B' as they are stored.
    Signal,
    /// R'G'B' of these primaries with sRGB's curve.
    Srgb(Primaries),
}

impl Params {
    /// The part that concerns the source. `map` leads from the destination's positions to those of the image, whose
    /// origin is the corner of `from.rect`.
    pub(crate) fn new(from: &From, map: Map, to: To) -> Self {
        let From {
            format,
            rect,
            color,
            alpha,
        } = *from;
        let map = map.then((1.0, 1.0), (f64::from(rect.x), f64::from(rect.y)));
        let row = |row: [f64; 3]| {
            let spacing = row[0].abs() + row[1].abs();
            [row[0], row[1], row[2], spacing].map(|value| value as f32)
        };
        let (to_x, to_y) = (row(map.x), row(map.y));
        let (h, v) = format.subsampling(1);
        let siting = ChromaSiting::of(format, color);
        let ((x_scale, x_shift), (y_scale, y_shift)) = siting.index(h, v);
        let depth = format.bit_depth();
        let max = f64::from((1u32 << depth) - 1);
        let yuv = match to {
            To::Codes => [
                [1.0, 0.0, 0.0, 0.0],
                [0.0, 1.0, 0.0, 0.0],
                [0.0, 0.0, 1.0, 0.0],
            ],
            _ => signal_rows(format, color),
        };
        let curve = Curve::of(color.transfer.unwrap_or(Transfer::Bt709));
        let primaries = color.primaries.unwrap_or(Primaries::Bt709);
        let (transfer, gamut) = match to {
            To::Srgb(wanted) if wanted != primaries || curve != Curve::Sdr => {
                (curve.mode(), gamut_matrix(primaries, wanted))
            }
            _ => (0, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        };
        let layout = match format.layout() {
            PixelLayout::Rgba | PixelLayout::Bgra => 2,
            PixelLayout::Nv12 => 1,
            PixelLayout::Yuv420 | PixelLayout::Yuv422 | PixelLayout::Yuv444 => 0,
        };
        let flags = match (alpha && format.has_alpha(), format.is_rgb()) {
            (false, _) => FLAG_OPAQUE,
            (true, false) => FLAG_ALPHA_PLANE,
            (true, true) => 0,
        };
        // Every position is the middle of a pixel.
        let kernel = match (to_x[3], to_y[3]) == (1.0, 1.0) {
            true => KERNEL_EXACT,
            false => KERNEL_LINEAR,
        };
        let flags = match kernel == KERNEL_EXACT || flags & FLAG_OPAQUE != 0 {
            true => flags,
            false => flags | FLAG_COVERED,
        };
        let last = |first: u32, length: u32| (first + length.max(1) - 1) as i32;
        let (right, bottom) = (last(rect.x, rect.width), last(rect.y, rect.height));
        Self {
            to_x,
            to_y,
            luma_bounds: [rect.x as i32, rect.y as i32, right, bottom],
            chroma_bounds: [
                (rect.x / h) as i32,
                (rect.y / v) as i32,
                right / h as i32,
                bottom / v as i32,
            ],
            chroma: [x_scale, y_scale, x_shift, y_shift].map(|value| value as f32),
            yuv: yuv.map(|row| row.map(|value| value as f32)),
            gamut: gamut.map(|[a, b, c]| [a as f32, b as f32, c as f32, 0.0]),
            pack: [[0.0; 4]; 4],
            pack_offset: [0.0; 4],
            // Texels of eight bits are normalized, larger ones are integers.
            scale: [
                if depth == 8 { 255.0 } else { 1.0 },
                (1.0 / max) as f32,
                0.0,
                0.0,
            ],
            modes: [layout, transfer, flags, kernel],
            out: [0; 4],
            out_size: [0; 4],
        }
    }
}

impl Params {
    /// Filters as scaling does.
    pub(crate) fn set_scaled(&mut self) {
        self.modes[3] = KERNEL_CATMULL_ROM;
    }

    /// For a picture of the same size, whose chroma may be further apart than its pixels: alpha does not weigh colours.
    pub(crate) fn set_unscaled(&mut self) {
        self.modes[2] &= !FLAG_COVERED;
    }

    /// For a destination whose samples are one or two pixels apart: filters with so many taps in a row and in a column, as the
    /// linear kernel does. One where samples are one apart; where they are two apart three, or four if they lie between two.
    pub(crate) fn set_halved(&mut self, (columns, rows): (u32, u32)) {
        self.modes[3] = KERNEL_HALVED | columns << KERNEL_BITS | rows << (2 * KERNEL_BITS);
    }

    /// The names and values of the pipeline's constants.
    pub(crate) fn constants(&self) -> impl Iterator<Item = (&'static str, u32)> {
        ["LAYOUT", "TRANSFER", "FLAGS", "KERNEL"]
            .into_iter()
            .zip(self.modes)
    }
}

/// Rows from code values (Y, U, V or R, G, B, and 1) to R'G'B'.
fn signal_rows(format: PixelFormat, color: ColorSpace) -> [[f64; 4]; 3] {
    if format.is_rgb() {
        let unit = 1.0 / 255.0;
        return [
            [unit, 0.0, 0.0, 0.0],
            [0.0, unit, 0.0, 0.0],
            [0.0, 0.0, unit, 0.0],
        ];
    }
    yuv_rows(color, format.bit_depth())
}

/// Rows from code values of YUV and 1 to R'G'B'.
fn yuv_rows(color: ColorSpace, depth: u32) -> [[f64; 4]; 3] {
    let matrix = color.matrix.unwrap_or(Matrix::Bt709);
    let m = YuvMatrix::new(matrix, color.full_range.unwrap_or(false), depth);
    let (s, zero) = (m.y_scale, -m.y_zero * m.y_scale);
    if matrix == Matrix::Rgb {
        // H.273: G, B and R are stored as Y, U and V.
        return [
            [0.0, 0.0, s, zero],
            [s, 0.0, 0.0, zero],
            [0.0, s, 0.0, zero],
        ];
    }
    let row = |u: f64, v: f64| [s, u, v, zero - (u + v) * m.c_zero];
    [row(0.0, m.r_v), row(m.g_u, m.g_v), row(m.b_u, 0.0)]
}

/// Rows from R'G'B' to code values of YUV, and what is added.
pub(crate) fn code_rows(color: ColorSpace, depth: u32) -> ([[f64; 3]; 3], [f64; 3]) {
    let rows = yuv_rows(color, depth);
    let inverse = invert(&rows.map(|[a, b, c, _]| [a, b, c]));
    let offset = inverse.map(|row| -(0..3).map(|i| row[i] * rows[i][3]).sum::<f64>());
    (inverse, offset)
}

/// The inverse by cofactors; the matrices here are far from singular.
fn invert(m: &Matrix3) -> Matrix3 {
    let [[a, b, c], [d, e, f], [g, h, i]] = *m;
    let (p, q, r) = (e * i - f * h, f * g - d * i, d * h - e * g);
    let scale = 1.0 / (a * p + b * q + c * r);
    [
        [p * scale, (c * h - b * i) * scale, (b * f - c * e) * scale],
        [q * scale, (a * i - c * g) * scale, (c * d - a * f) * scale],
        [r * scale, (b * g - a * h) * scale, (a * e - b * d) * scale],
    ]
}
