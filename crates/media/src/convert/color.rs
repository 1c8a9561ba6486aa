//! What a colour space means to a conversion: matrix, range, primaries and transfer, none unknown.

use crate::color::{ColorSpace, Matrix, Primaries, Transfer};
use crate::format::PixelFormat;
use crate::geometry::Size;

/// Rows below which video without any colour description is taken for standard definition.
const HD_ROWS: u32 = 720;

/// The colour space that a conversion uses for an image of `format` and `size` tagged `color`.
///
/// Members that are unknown are guessed, as browsers guess them: RGB is sRGB. YUV has limited
/// range; primaries follow from the matrix and the matrix from the primaries; with neither it is
/// BT.709, or BT.601 (525 lines) for fewer than 720 rows. An unknown transfer is BT.709's.
/// The matrix and range of an RGB image are always identity and full range.
pub fn effective_color_space(color: ColorSpace, format: PixelFormat, size: Size) -> ColorSpace {
    if format.is_rgb() {
        return ColorSpace {
            matrix: Some(Matrix::Rgb),
            full_range: Some(true),
            ..color.or(ColorSpace::SRGB)
        };
    }
    let matrix = color.matrix.unwrap_or(match color.primaries {
        Some(Primaries::Bt709 | Primaries::Smpte432) => Matrix::Bt709,
        Some(Primaries::Bt470bg) => Matrix::Bt470bg,
        Some(Primaries::Smpte170m) => Matrix::Smpte170m,
        Some(Primaries::Bt2020) => Matrix::Bt2020Ncl,
        None if size.height < HD_ROWS => Matrix::Smpte170m,
        None => Matrix::Bt709,
    });
    let primaries = color.primaries.unwrap_or(match matrix {
        Matrix::Bt2020Ncl => Primaries::Bt2020,
        // Whoever names nothing but a BT.601 matrix, or nothing at all, was most often watched on
        // a BT.709 display without conversion; browsers leave the primaries alone as well.
        _ => Primaries::Bt709,
    });
    ColorSpace {
        primaries: Some(primaries),
        transfer: Some(color.transfer.unwrap_or(Transfer::Bt709)),
        matrix: Some(matrix),
        full_range: Some(color.full_range.unwrap_or(false)),
    }
}

/// YUV to R'G'B', on code values of one bit depth; the result is 1.0 for nominal white.
///
/// `r = y_scale * (y - y_zero) + r_v * (v - c_zero)`, and so on. For the identity matrix all but
/// `y_scale` and `y_zero` are unused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YuvMatrix {
    /// The code value of black.
    pub y_zero: f64,
    /// The code value of chroma without colour.
    pub c_zero: f64,
    /// What a code value of luma adds to each component.
    pub y_scale: f64,
    /// What a code value of V adds to red.
    pub r_v: f64,
    /// What a code value of U adds to green.
    pub g_u: f64,
    /// What a code value of V adds to green.
    pub g_v: f64,
    /// What a code value of U adds to blue.
    pub b_u: f64,
}

impl YuvMatrix {
    /// The equations of ITU-T H.273, 8.3, for samples of `depth` bits (8 to 16).
    pub fn new(matrix: Matrix, full_range: bool, depth: u32) -> Self {
        let (kr, kb) = luma_weights(matrix);
        let kg = 1.0 - kr - kb;
        let unit = f64::from(1u32 << (depth - 8));
        let (y_zero, y_range, c_range) = if full_range {
            let max = unit * 256.0 - 1.0;
            (0.0, max, max)
        } else {
            (16.0 * unit, 219.0 * unit, 224.0 * unit)
        };
        Self {
            y_zero,
            c_zero: 128.0 * unit,
            y_scale: 1.0 / y_range,
            r_v: 2.0 * (1.0 - kr) / c_range,
            g_u: -2.0 * (1.0 - kb) * kb / kg / c_range,
            g_v: -2.0 * (1.0 - kr) * kr / kg / c_range,
            b_u: 2.0 * (1.0 - kb) / c_range,
        }
    }
}

/// What red and blue count in luma: K_R and K_B of ITU-T H.273, 8.3.
pub(super) const fn luma_weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt709 | Matrix::Rgb => (0.2126, 0.0722),
        Matrix::Bt470bg | Matrix::Smpte170m => (0.299, 0.114),
        Matrix::Bt2020Ncl => (0.2627, 0.0593),
    }
}

/// A 3x3 matrix, row by row.
pub type Matrix3 = [[f64; 3]; 3];

/// The matrix from linear RGB of `from` to linear RGB of `to`. All have the white point D65.
pub fn gamut_matrix(from: Primaries, to: Primaries) -> Matrix3 {
    multiply(&invert(&rgb_to_xyz(to)), &rgb_to_xyz(from))
}

/// The luminance of linear red, green and blue.
#[cfg(test)]
pub(super) fn luminance(primaries: Primaries) -> [f64; 3] {
    rgb_to_xyz(primaries)[1]
}

/// From chromaticities (ITU-T H.273, table 2) to the matrix for CIE XYZ.
fn rgb_to_xyz(primaries: Primaries) -> Matrix3 {
    let [r, g, b]: [[f64; 2]; 3] = match primaries {
        Primaries::Bt709 => [[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]],
        Primaries::Bt470bg => [[0.64, 0.33], [0.29, 0.60], [0.15, 0.06]],
        Primaries::Smpte170m => [[0.630, 0.340], [0.310, 0.595], [0.155, 0.070]],
        Primaries::Bt2020 => [[0.708, 0.292], [0.170, 0.797], [0.131, 0.046]],
        Primaries::Smpte432 => [[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]],
    };
    let xyz = |[x, y]: [f64; 2]| [x / y, 1.0, (1.0 - x - y) / y];
    let (r, g, b, white) = (xyz(r), xyz(g), xyz(b), xyz([0.3127, 0.3290]));
    let columns = [[r[0], g[0], b[0]], [r[1], g[1], b[1]], [r[2], g[2], b[2]]];
    // Each primary is as strong as it must be for the three together to be white.
    let strength = apply(&invert(&columns), white);
    columns.map(|row| {
        [
            row[0] * strength[0],
            row[1] * strength[1],
            row[2] * strength[2],
        ]
    })
}

fn apply(m: &Matrix3, v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

fn multiply(a: &Matrix3, b: &Matrix3) -> Matrix3 {
    let column = |i: usize| apply(a, b.map(|row| row[i]));
    let (x, y, z) = (column(0), column(1), column(2));
    [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamut_matrices_are_those_that_are_published() {
        // ITU-R BT.2087, table 2, for BT.709 to BT.2020.
        let published = [
            [0.6274, 0.3293, 0.0433],
            [0.0691, 0.9195, 0.0114],
            [0.0164, 0.0880, 0.8956],
        ];
        let computed = gamut_matrix(Primaries::Bt709, Primaries::Bt2020);
        for (row, want) in computed.iter().zip(published) {
            for (value, want) in row.iter().zip(want) {
                assert!((value - want).abs() < 5e-5, "{computed:?}");
            }
        }
        let [r, g, b] = luminance(Primaries::Bt709);
        assert!(
            (r - 0.2126).abs() < 1e-4 && (g - 0.7152).abs() < 1e-4 && (b - 0.0722).abs() < 1e-4
        );
    }

    #[test]
    fn white_stays_white_in_every_gamut() {
        for &from in Primaries::ALL {
            for &to in Primaries::ALL {
                for row in gamut_matrix(from, to) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn what_is_unknown_is_guessed_from_what_is_known() {
        let unknown = ColorSpace::default();
        let hd = Size::new(1280, 720);
        let guess = effective_color_space(unknown, PixelFormat::I420, hd);
        assert_eq!(guess, ColorSpace::REC709);
        let sd = effective_color_space(unknown, PixelFormat::Nv12, Size::new(720, 576));
        assert_eq!(sd.matrix, Some(Matrix::Smpte170m));
        assert_eq!(sd.primaries, Some(Primaries::Bt709));
        let wide = ColorSpace {
            primaries: Some(Primaries::Bt2020),
            ..unknown
        };
        let wide = effective_color_space(wide, PixelFormat::I420P10, hd);
        assert_eq!(wide.matrix, Some(Matrix::Bt2020Ncl));
        let tagged = ColorSpace {
            matrix: Some(Matrix::Smpte170m),
            full_range: Some(false),
            ..unknown
        };
        let rgb = effective_color_space(tagged, PixelFormat::Rgba, hd);
        assert_eq!(rgb, ColorSpace::SRGB);
    }
}
