//! YUV to RGB in 16-bit fixed point, for colours that need no other change.
//!
//! Every term is a product of two 16-bit numbers of which the upper half is kept, with six bits of
//! fraction; the sum is rounded once. A result differs from the exact one by at most one code
//! value, and only where the exact one lies within a twentieth of the middle between two. The code
//! is written so that the compiler makes vector instructions of it: no branch and no table in the
//! loops, 16-bit lanes throughout.

use super::color::YuvMatrix;
use super::samples::{BLOCK, CHROMA, YuvPlanes};
use super::target::Rows;
use crate::color::Matrix;
use crate::geometry::Rect;

/// Bits of fraction.
const FRACTION: u32 = 6;
const ONE: f64 = (1u32 << FRACTION) as f64;

/// The coefficients in fixed point. Samples are scaled to 16 bits, whatever their depth.
#[derive(Clone, Copy)]
struct Fixed {
    /// Times luma, upper half.
    y: u16,
    /// Added to luma: the offset of black, and what makes the last shift round.
    y_bias: i16,
    /// Times chroma, upper half. Those of red and blue are short by one quarter, which is added by
    /// a shift: with it they would not fit 16 bits.
    r_v: i16,
    g_u: i16,
    g_v: i16,
    b_u: i16,
    /// Times alpha, upper half.
    alpha: u16,
}

impl Fixed {
    fn new(matrix: &YuvMatrix, depth: u32) -> Self {
        // One code value of the source in 16-bit samples.
        let step = f64::from(1u32 << (16 - depth));
        let scale = 255.0 * ONE * 65536.0 / step;
        let quarter = 16384.0;
        let black = matrix.y_zero * matrix.y_scale * 255.0 * ONE;
        let max = f64::from((1u32 << depth) - 1);
        Self {
            // These casts saturate; the values of all matrices, ranges and depths fit.
            y: (matrix.y_scale * scale).round() as u16,
            // The upper half of a product is rounded down: half a unit more takes that bias out of
            // luma. Chroma keeps it, so that where there is none, grey comes out as grey.
            y_bias: (ONE / 2.0 + 0.5 - black).round() as i16,
            r_v: (matrix.r_v * scale - quarter).round() as i16,
            g_u: (matrix.g_u * scale).round() as i16,
            g_v: (matrix.g_v * scale).round() as i16,
            b_u: (matrix.b_u * scale - quarter).round() as i16,
            alpha: (scale / max).round() as u16,
        }
    }
}

#[inline(always)]
fn upper(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

#[inline(always)]
fn upper_signed(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// The nearest code value.
#[inline(always)]
fn code(value: i16) -> u16 {
    (value >> FRACTION).clamp(0, 255) as u16
}

/// What chroma adds to red, green and blue, for each pixel of a block.
struct Chroma {
    u: [u16; CHROMA],
    v: [u16; CHROMA],
    r: [i16; CHROMA],
    g: [i16; CHROMA],
    b: [i16; CHROMA],
}

/// Converts `rect` of `planes` into `rows`.
pub(super) fn convert(
    planes: &YuvPlanes<'_>,
    rect: Rect,
    matrix: Matrix,
    full_range: bool,
    alpha: bool,
    rows: &mut Rows<'_>,
) {
    let depth = planes.depth.bits();
    let fixed = Fixed::new(&YuvMatrix::new(matrix, full_range, depth), depth);
    let identity = matrix == Matrix::Rgb;
    match (rows.bgr, alpha) {
        (false, false) => run::<false, false>(planes, rect, &fixed, identity, rows),
        (false, true) => run::<false, true>(planes, rect, &fixed, identity, rows),
        (true, false) => run::<true, false>(planes, rect, &fixed, identity, rows),
        (true, true) => run::<true, true>(planes, rect, &fixed, identity, rows),
    }
}

#[inline(always)]
fn run<const BGR: bool, const ALPHA: bool>(
    planes: &YuvPlanes<'_>,
    rect: Rect,
    fixed: &Fixed,
    identity: bool,
    rows: &mut Rows<'_>,
) {
    let mut chroma = Chroma {
        u: [0; CHROMA],
        v: [0; CHROMA],
        r: [0; CHROMA],
        g: [0; CHROMA],
        b: [0; CHROMA],
    };
    let (left, top) = (rect.x as usize, rect.y as usize);
    let (width, bottom) = (rect.width as usize, top + rect.height as usize);
    let mut row = top;
    while row < bottom {
        // The rows that share their chroma.
        let (chroma_row, next) = if planes.halved_rows {
            (row / 2, (row / 2 * 2 + 2).min(bottom))
        } else {
            (row, row + 1)
        };
        let mut done = 0;
        while done < width {
            let pixels = BLOCK.min(width - done);
            let column = left + done;
            let skip = chroma_terms(
                planes,
                chroma_row,
                column,
                pixels,
                fixed,
                identity,
                &mut chroma,
            );
            for row in row..next {
                let out = rows.get(row - top, done, pixels);
                let mut y = [0u16; BLOCK];
                planes.load(0, row, column, &mut y[..pixels]);
                let mut a = [0u16; BLOCK];
                if ALPHA {
                    planes.load(3, row, column, &mut a[..pixels]);
                }
                let terms = (&chroma.r[skip..], &chroma.g[skip..], &chroma.b[skip..]);
                if identity {
                    pixels_of_identity::<BGR, ALPHA>(&y, &a, terms, fixed, out);
                } else {
                    pixels_of_luma::<BGR, ALPHA>(&y, &a, terms, fixed, out);
                }
            }
            done += pixels;
        }
        row = next;
    }
}

/// Fills in `r`, `g` and `b` of `chroma` for `pixels` pixels from `column` on; their first entry is
/// the one at the returned index, 0 or 1.
#[inline(always)]
fn chroma_terms(
    planes: &YuvPlanes<'_>,
    row: usize,
    column: usize,
    pixels: usize,
    fixed: &Fixed,
    identity: bool,
    chroma: &mut Chroma,
) -> usize {
    let (first, skip, count) = if planes.halved_columns {
        let skip = column % 2;
        (column / 2, skip, (pixels + skip).div_ceil(2))
    } else {
        (column, 0, pixels)
    };
    let Chroma { u, v, r, g, b } = chroma;
    let (u, v) = (&mut u[..count], &mut v[..count]);
    planes.load_chroma(row, first, u, v);
    let (u, v) = (&*u, &*v);
    if planes.halved_columns {
        // The nearest chroma sample for both pixels of a pair.
        let r = r.as_chunks_mut::<2>().0.iter_mut();
        let g = g.as_chunks_mut::<2>().0.iter_mut();
        let b = b.as_chunks_mut::<2>().0.iter_mut();
        for ((((u, v), r), g), b) in u.iter().zip(v).zip(r).zip(g).zip(b) {
            let terms = if identity {
                [*v as i16, 0, *u as i16]
            } else {
                term(*u, *v, fixed)
            };
            *r = [terms[0]; 2];
            *g = [terms[1]; 2];
            *b = [terms[2]; 2];
        }
    } else {
        for ((((u, v), r), g), b) in u.iter().zip(v).zip(r).zip(g).zip(b) {
            let terms = if identity {
                [*v as i16, 0, *u as i16]
            } else {
                term(*u, *v, fixed)
            };
            [*r, *g, *b] = terms;
        }
    }
    skip
}

#[inline(always)]
fn term(u: u16, v: u16, fixed: &Fixed) -> [i16; 3] {
    // The middle of the range is zero.
    let (u, v) = ((u ^ 0x8000) as i16, (v ^ 0x8000) as i16);
    [
        (v >> 2) + upper_signed(v, fixed.r_v),
        upper_signed(u, fixed.g_u) + upper_signed(v, fixed.g_v),
        (u >> 2) + upper_signed(u, fixed.b_u),
    ]
}

#[inline(always)]
fn pixels_of_luma<const BGR: bool, const ALPHA: bool>(
    y: &[u16; BLOCK],
    a: &[u16; BLOCK],
    (r, g, b): (&[i16], &[i16], &[i16]),
    fixed: &Fixed,
    out: &mut [[u8; 4]],
) {
    let terms = r.iter().zip(g).zip(b);
    for (((out, &y), &a), ((&r, &g), &b)) in out.iter_mut().zip(y).zip(a).zip(terms) {
        let y = upper(y, fixed.y) as i16 + fixed.y_bias;
        // Only what is far above white can saturate.
        let (r, g, b) = (
            y.saturating_add(r),
            y.saturating_add(g),
            y.saturating_add(b),
        );
        *out = pixel::<BGR, ALPHA>(code(r), code(g), code(b), a, fixed);
    }
}

/// Green is luma, blue is U and red is V.
#[inline(always)]
fn pixels_of_identity<const BGR: bool, const ALPHA: bool>(
    y: &[u16; BLOCK],
    a: &[u16; BLOCK],
    (r, _, b): (&[i16], &[i16], &[i16]),
    fixed: &Fixed,
    out: &mut [[u8; 4]],
) {
    for ((((out, &y), &a), &r), &b) in out.iter_mut().zip(y).zip(a).zip(r).zip(b) {
        let [r, g, b] =
            [r as u16, y, b as u16].map(|x| code(upper(x, fixed.y) as i16 + fixed.y_bias));
        *out = pixel::<BGR, ALPHA>(r, g, b, a, fixed);
    }
}

#[inline(always)]
fn pixel<const BGR: bool, const ALPHA: bool>(
    r: u16,
    g: u16,
    b: u16,
    a: u16,
    fixed: &Fixed,
) -> [u8; 4] {
    let a = if ALPHA {
        (upper(a, fixed.alpha) + (1 << (FRACTION - 1))) >> FRACTION
    } else {
        255
    };
    let (first, third) = if BGR { (b, r) } else { (r, b) };
    // Two 16-bit halves, so that the lanes stay 16 bits wide until the store.
    let (low, high) = (first | (g << 8), third | (a << 8));
    (u32::from(low) | (u32::from(high) << 16)).to_le_bytes()
}
