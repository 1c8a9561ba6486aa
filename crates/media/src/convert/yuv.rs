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

/// The coefficients in fixed point, all positive. Samples are scaled to 16 bits, whatever their
/// depth, and a term is the upper half of sample times coefficient.
#[derive(Clone, Copy)]
struct Fixed {
    /// Times luma.
    y: u16,
    /// Added to luma: the offset of black, and what makes the last shift round.
    y_bias: i16,
    /// Times V, for red.
    r_v: u16,
    /// Times U and V, taken from green.
    g_u: u16,
    g_v: u16,
    /// Times U, for blue.
    b_u: u16,
    /// Times alpha.
    alpha: u16,
}

impl Fixed {
    fn new(matrix: &YuvMatrix, depth: u32) -> Self {
        // One code value of the source in 16-bit samples.
        let step = f64::from(1u32 << (16 - depth));
        let scale = 255.0 * ONE * 65536.0 / step;
        let black = matrix.y_zero * matrix.y_scale * 255.0 * ONE;
        let max = f64::from((1u32 << depth) - 1);
        // These casts saturate; the values of all matrices, ranges and depths fit. Those of chroma
        // are even, so that half of one, which is a grey sample's term, is whole.
        let even = |value: f64| (value / 2.0).round() as u16 * 2;
        Self {
            y: (matrix.y_scale * scale).round() as u16,
            // The upper half of a product is rounded down: half a unit more takes that bias out of
            // luma. Chroma keeps it, so that where there is none, grey comes out as grey.
            y_bias: (ONE / 2.0 + 0.5 - black).round() as i16,
            r_v: even(matrix.r_v * scale),
            g_u: even(-matrix.g_u * scale),
            g_v: even(-matrix.g_v * scale),
            b_u: even(matrix.b_u * scale),
            alpha: (scale / max).round() as u16,
        }
    }
}

#[inline(always)]
fn upper(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

/// The term of a chroma sample, which is zero in the middle of the range.
#[inline(always)]
fn chroma_term(sample: u16, coefficient: u16) -> i16 {
    // The difference is within 16 bits with a sign, though its parts are not.
    upper(sample, coefficient).wrapping_sub(coefficient / 2) as i16
}

/// The nearest code value.
#[inline(always)]
fn code(value: i16) -> u16 {
    (value >> FRACTION).clamp(0, 255) as u16
}

/// One block's worth of samples, and of what is made of them. Kept small, for the first-level cache.
struct Scratch {
    u: [u16; CHROMA],
    v: [u16; CHROMA],
    /// What chroma adds to red, green and blue, at the resolution of chroma.
    terms: [[i16; CHROMA]; 3],
    /// The same for each pixel.
    spread: [[i16; CHROMA]; 3],
    y: [u16; BLOCK],
    a: [u16; BLOCK],
    /// First and second, third and fourth byte of each pixel.
    low: [u16; BLOCK],
    high: [u16; BLOCK],
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
    let job = Job {
        planes,
        rect,
        fixed,
        identity: matrix == Matrix::Rgb,
        alpha,
        rows,
    };
    pulp::Arch::new().dispatch(job);
}

/// The conversion, compiled once for each set of vector instructions that a processor may have.
struct Job<'a, 'b, 'c> {
    planes: &'a YuvPlanes<'b>,
    rect: Rect,
    fixed: Fixed,
    identity: bool,
    alpha: bool,
    rows: &'a mut Rows<'c>,
}

impl pulp::WithSimd for Job<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self {
            planes,
            rect,
            fixed,
            identity,
            alpha,
            rows,
        } = self;
        match (rows.bgr, alpha) {
            (false, false) => run::<false, false>(planes, rect, fixed, identity, rows),
            (false, true) => run::<false, true>(planes, rect, fixed, identity, rows),
            (true, false) => run::<true, false>(planes, rect, fixed, identity, rows),
            (true, true) => run::<true, true>(planes, rect, fixed, identity, rows),
        }
    }
}

#[inline(always)]
fn run<const BGR: bool, const ALPHA: bool>(
    planes: &YuvPlanes<'_>,
    rect: Rect,
    fixed: Fixed,
    identity: bool,
    rows: &mut Rows<'_>,
) {
    let mut scratch = Scratch {
        u: [0; CHROMA],
        v: [0; CHROMA],
        terms: [[0; CHROMA]; 3],
        spread: [[0; CHROMA]; 3],
        y: [0; BLOCK],
        a: [0; BLOCK],
        low: [0; BLOCK],
        high: [0; BLOCK],
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
            let (first, skip, count) = if planes.halved_columns {
                let skip = column % 2;
                (column / 2, skip, (pixels + skip).div_ceil(2))
            } else {
                (column, 0, pixels)
            };
            let Scratch {
                u,
                v,
                terms,
                spread,
                y,
                a,
                low,
                high,
            } = &mut scratch;
            let (u, v) = (&mut u[..count], &mut v[..count]);
            planes.load_chroma(chroma_row, first, u, v);
            chroma_terms(u, v, fixed, identity, terms);
            let terms = if planes.halved_columns {
                for (spread, terms) in spread.iter_mut().zip(terms) {
                    twice(&terms[..count], spread);
                }
                &*spread
            } else {
                &*terms
            };
            let terms = terms.each_ref().map(|terms| &terms[skip..skip + pixels]);
            let (y, a) = (&mut y[..pixels], &mut a[..pixels]);
            let (low, high) = (&mut low[..pixels], &mut high[..pixels]);
            for row in row..next {
                planes.load(0, row, column, y);
                luma_terms(y, fixed);
                if ALPHA {
                    planes.load(3, row, column, a);
                }
                if identity {
                    pixels_of_identity::<BGR, ALPHA>(y, a, terms, fixed, low, high);
                } else {
                    pixels_of_luma::<BGR, ALPHA>(y, a, terms, fixed, low, high);
                }
                join(low, high, rows.get(row - top, done, pixels));
            }
            done += pixels;
        }
        row = next;
    }
}

/// What each chroma sample adds to red, green and blue; for the identity matrix, V, 0 and U.
///
/// One loop for each component: each is simple enough to be made of vectors.
#[inline(always)]
fn chroma_terms(
    u: &[u16],
    v: &[u16],
    fixed: Fixed,
    identity: bool,
    [r, g, b]: &mut [[i16; CHROMA]; 3],
) {
    if identity {
        for (r, &v) in r.iter_mut().zip(v) {
            *r = v as i16;
        }
        for (b, &u) in b.iter_mut().zip(u) {
            *b = u as i16;
        }
        return;
    }
    for (r, &v) in r.iter_mut().zip(v) {
        *r = chroma_term(v, fixed.r_v);
    }
    for ((g, &u), &v) in g.iter_mut().zip(u).zip(v) {
        *g = -chroma_term(u, fixed.g_u) - chroma_term(v, fixed.g_v);
    }
    for (b, &u) in b.iter_mut().zip(u) {
        *b = chroma_term(u, fixed.b_u);
    }
}

/// The nearest chroma sample for both pixels of a pair.
#[inline(always)]
fn twice(terms: &[i16], spread: &mut [i16; CHROMA]) {
    for (pair, &term) in spread.as_chunks_mut::<2>().0.iter_mut().zip(terms) {
        *pair = [term; 2];
    }
}

/// What luma adds to each component, in place of the samples.
#[inline(always)]
fn luma_terms(y: &mut [u16], fixed: Fixed) {
    for y in y {
        *y = (upper(*y, fixed.y) as i16 + fixed.y_bias) as u16;
    }
}

/// The halves of each pixel from luma's terms, in loops of nothing wider than 16 bits: the compiler
/// takes as many lanes as the widest number in memory leaves room for.
#[inline(always)]
fn pixels_of_luma<const BGR: bool, const ALPHA: bool>(
    y: &[u16],
    a: &[u16],
    [r, g, b]: [&[i16]; 3],
    fixed: Fixed,
    low: &mut [u16],
    high: &mut [u16],
) {
    let (first, third) = if BGR { (b, r) } else { (r, b) };
    // Only what is far above white can saturate.
    let sum = |y: u16, term: i16| code((y as i16).saturating_add(term));
    for (((low, &y), &first), &g) in low.iter_mut().zip(y).zip(first).zip(g) {
        *low = sum(y, first) | sum(y, g) << 8;
    }
    for (((high, &y), &third), &a) in high.iter_mut().zip(y).zip(third).zip(a) {
        *high = sum(y, third) | alpha::<ALPHA>(a, fixed) << 8;
    }
}

/// As [`pixels_of_luma`]: green is luma, blue is U and red is V.
#[inline(always)]
fn pixels_of_identity<const BGR: bool, const ALPHA: bool>(
    y: &[u16],
    a: &[u16],
    [r, _, b]: [&[i16]; 3],
    fixed: Fixed,
    low: &mut [u16],
    high: &mut [u16],
) {
    let (first, third) = if BGR { (b, r) } else { (r, b) };
    let luma = |sample: i16| code(upper(sample as u16, fixed.y) as i16 + fixed.y_bias);
    for ((low, &y), &first) in low.iter_mut().zip(y).zip(first) {
        *low = luma(first) | code(y as i16) << 8;
    }
    for ((high, &third), &a) in high.iter_mut().zip(third).zip(a) {
        *high = luma(third) | alpha::<ALPHA>(a, fixed) << 8;
    }
}

#[inline(always)]
fn alpha<const ALPHA: bool>(a: u16, fixed: Fixed) -> u16 {
    if ALPHA {
        (upper(a, fixed.alpha) + (1 << (FRACTION - 1))) >> FRACTION
    } else {
        255
    }
}

/// Writes the halves of each pixel one after the other.
#[inline(always)]
fn join(low: &[u16], high: &[u16], out: &mut [[u8; 4]]) {
    for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
        *out = (u32::from(low) | u32::from(high) << 16).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pulp::WithSimd;

    use super::*;
    use crate::format::PixelFormat;
    use crate::frame::{CpuImage, Plane};
    use crate::geometry::Size;
    use crate::layout::PlaneLayout;

    /// Pixels of an image of every byte value, by `run`.
    fn pixels(format: PixelFormat, identity: bool, run: impl FnOnce(Job<'_, '_, '_>)) -> Vec<u8> {
        let size = Size::new(701, 6);
        let planes = (0..format.num_planes()).map(|plane| {
            let stride = format.row_bytes(plane, size.width);
            let rows = format.plane_size(plane, size).height as usize;
            let data: Vec<u8> = (0..stride * rows)
                .map(|i| (i * 37 + i / 251) as u8)
                .collect();
            Plane {
                data: Bytes::from(data),
                stride,
            }
        });
        let image = CpuImage::new(format, size, planes.collect()).unwrap();
        let planes = YuvPlanes::new(&image).unwrap();
        let depth = planes.depth.bits();
        let mut out = vec![0; size.area() as usize * 4];
        let layout = PlaneLayout {
            offset: 0,
            stride: size.width * 4,
        };
        run(Job {
            planes: &planes,
            rect: Rect::of_size(size),
            fixed: Fixed::new(&YuvMatrix::new(Matrix::Bt2020Ncl, false, depth), depth),
            identity,
            alpha: format.has_alpha(),
            rows: &mut Rows::new(&mut out, layout, size, identity).unwrap(),
        });
        out
    }

    #[test]
    fn every_instruction_set_makes_the_same_pixels() {
        for &format in PixelFormat::ALL.iter().filter(|format| !format.is_rgb()) {
            for identity in [false, true] {
                let scalar = pixels(format, identity, |job| job.with_simd(pulp::Scalar));
                let best = pixels(format, identity, |job| pulp::Arch::new().dispatch(job));
                assert!(scalar == best, "{format:?}, the best there is");
                #[cfg(target_arch = "x86_64")]
                if let Some(avx2) = pulp::x86::V3::try_new() {
                    let avx2 = pixels(format, identity, |job| pulp::Simd::vectorize(avx2, job));
                    assert!(scalar == avx2, "{format:?}, AVX2");
                }
            }
        }
    }
}
