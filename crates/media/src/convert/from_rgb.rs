//! RGB to planar YUV of limited range, in one step: matrix, depth and chroma, which is rounded once.
//!
//! Chroma is filtered as the GPU does it, with the linear kernel around where its samples lie: whole numbers of 16 bits, two
//! in a word. The matrix is in fixed point, of factors that fit 16 bits and sums that fit 32. A result is within one code
//! value of the exact one. As in `yuv.rs` the loops are written for the compiler to make vector instructions of.

use super::color::luma_weights;
use super::plane::Sample;
use super::siting::ChromaSiting;
use crate::color::Matrix;
use crate::error::MediaError;
use crate::format::PixelFormat;
use crate::geometry::Size;

/// Pixels of four bytes.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    /// At least `(height - 1) * stride + width * 4` bytes.
    pub(super) data: &'a [u8],
    pub(super) stride: usize,
    pub(super) size: Size,
    /// Blue is first.
    pub(super) bgr: bool,
}

impl<'a> Pixels<'a> {
    /// The row, or the last one.
    fn row(&self, row: usize) -> &'a [[u8; 4]] {
        let row = row.min((self.size.height as usize).saturating_sub(1));
        let bytes = self.data.get(row * self.stride..).unwrap_or_default();
        let bytes = bytes.get(..self.size.width as usize * 4);
        bytes.unwrap_or_default().as_chunks().0
    }
}

/// The matrix in fixed point, for the first three bytes of a pixel in their order.
#[derive(Clone, Copy)]
struct Fixed {
    y: [i16; 3],
    y_bias: i32,
    y_shift: u32,
    u: [i16; 3],
    v: [i16; 3],
    c_bias: i32,
    c_shift: u32,
}

impl Fixed {
    /// For samples of `depth` bits (8 to 12). Chroma comes as a sum of 2^`sum` pixels.
    ///
    /// The equations of ITU-T H.273, 8.3. Of each sum of factors one is what the others leave over: grey has no chroma.
    fn new(matrix: Matrix, depth: u32, sum: u32, bgr: bool) -> Self {
        let (kr, kb) = luma_weights(matrix);
        let unit = f64::from(1u32 << (depth - 8));
        // The largest factors are a little below 2^15 at each depth.
        let (y_shift, c_shift) = (23 - depth, 24 - depth);
        let fixed = |value: f64, shift: u32| (value * f64::from(1u32 << shift)).round() as i16;
        let y = |weight: f64| fixed(weight * 219.0 * unit / 255.0, y_shift);
        let (red, blue) = (y(kr), y(kb));
        let luma = [red, y(1.0) - red - blue, blue];
        // Half the range is what the component's own signal has.
        let c = |weight: f64| fixed(weight * 112.0 * unit / 255.0, c_shift);
        let half = c(1.0);
        let (red, blue) = (c(kr / (1.0 - kb)), c(kb / (1.0 - kr)));
        let (u, v) = ([-red, red - half, half], [half, blue - half, -blue]);
        let order = |[r, g, b]: [i16; 3]| if bgr { [b, g, r] } else { [r, g, b] };
        let (y_zero, c_zero) = (16 << (depth - 8), 128 << (depth - 8));
        let c_shift = c_shift + sum;
        let bias = |zero: i32, shift: u32| (zero << shift) + (1 << (shift - 1));
        Self {
            y: order(luma),
            y_bias: bias(y_zero, y_shift),
            y_shift,
            u: order(u),
            v: order(v),
            c_bias: bias(c_zero, c_shift),
            c_shift,
        }
    }
}

/// One row's worth of sums of pixels: the first and third byte, the second and fourth.
struct Scratch {
    /// Of the columns; with one more at each side where they are filtered.
    columns: [Vec<u32>; 2],
    /// Of the samples of chroma.
    sums: [Vec<u32>; 2],
}

/// Converts `pixels` to the planes of `format`, which are tightly packed: planar YUV, without alpha.
pub(super) fn convert<T: Sample>(
    pixels: Pixels<'_>,
    matrix: Matrix,
    format: PixelFormat,
    siting: ChromaSiting,
    planes: [&mut [T]; 3],
) -> Result<(), MediaError> {
    let size = pixels.size;
    let (width, height) = (size.width as usize, size.height as usize);
    let chroma = format.plane_size(1, size);
    let samples = |size: Size| size.width as usize * size.height as usize;
    let least = height.saturating_sub(1) * pixels.stride + width * 4;
    let [y, u, v] = &planes;
    if size.area() == 0
        || pixels.data.len() < least
        || y.len() < samples(size)
        || u.len().min(v.len()) < samples(chroma)
    {
        return Err(MediaError::argument(
            "a picture is not as large as it is said to be",
        ));
    }
    let (h, v) = format.subsampling(1);
    let (columns, rows) = siting.taps(h, v);
    let sum = [0, 0, 0, 2, 3];
    let sum = sum[columns as usize] + sum[rows as usize];
    let padding = if columns == 1 { 0 } else { 2 };
    let scratch = || vec![0; width + padding];
    let samples = || vec![0; chroma.width as usize];
    let job = Job {
        pixels,
        fixed: Fixed::new(matrix, format.bit_depth(), sum, pixels.bgr),
        taps: (columns, rows),
        scratch: Scratch {
            columns: [scratch(), scratch()],
            sums: [samples(), samples()],
        },
        planes,
    };
    pulp::Arch::new().dispatch(job);
    Ok(())
}

/// The conversion, compiled once for each set of vector instructions that a processor may have.
struct Job<'a, 'b, T> {
    pixels: Pixels<'a>,
    fixed: Fixed,
    taps: (u32, u32),
    scratch: Scratch,
    planes: [&'b mut [T]; 3],
}

impl<T: Sample> pulp::WithSimd for Job<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self {
            pixels,
            fixed,
            taps: (columns, rows),
            mut scratch,
            planes: [y, u, v],
        } = self;
        let width = pixels.size.width as usize;
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            luma(pixels.row(row), &fixed, y);
        }
        let samples = scratch.sums[0].len();
        let chroma = u.chunks_exact_mut(samples).zip(v.chunks_exact_mut(samples));
        for (row, (u, v)) in chroma.enumerate() {
            let of = |offset: usize| pixels.row((row * 2 + offset).saturating_sub(1));
            let both = [of(0), of(1), of(2), of(3)];
            let into = &mut scratch.columns;
            match rows {
                4 => add_rows::<1, 3, 3, 1>(both, into),
                3 => add_rows::<1, 2, 1, 0>(both, into),
                _ => add_rows::<1, 0, 0, 0>([pixels.row(row); 4], into),
            }
            let [first, second] = match columns {
                1 => &scratch.columns,
                _ => {
                    for (from, to) in scratch.columns.iter_mut().zip(&mut scratch.sums) {
                        add_columns(from, to);
                    }
                    &scratch.sums
                }
            };
            matrix_row(first, second, fixed.u, &fixed, u);
            matrix_row(first, second, fixed.v, &fixed, v);
        }
    }
}

#[inline(always)]
fn luma<T: Sample>(row: &[[u8; 4]], fixed: &Fixed, to: &mut [T]) {
    let [first, second, third] = fixed.y.map(i32::from);
    for (to, &pixel) in to.iter_mut().zip(row) {
        let pixel = u32::from_le_bytes(pixel);
        let byte = |index: u32| (pixel >> (8 * index) & 0xff) as i32;
        let sum = byte(0) * first + byte(1) * second + byte(2) * third;
        *to = T::from_u32(((sum + fixed.y_bias) >> fixed.y_shift) as u32);
    }
}

/// Adds pixels of four rows that count as often as is said. What is filtered along the row gets a column more at each side,
/// the same as the one beside it.
#[inline(always)]
fn add_rows<const A: u32, const B: u32, const C: u32, const D: u32>(
    [a, b, c, d]: [&[[u8; 4]]; 4],
    [first, second]: &mut [Vec<u32>; 2],
) {
    let width = a.len();
    let padding = (first.len() - width) / 2;
    let rows = a.iter().zip(b).zip(c.iter().zip(d));
    let to = first[padding..].iter_mut().zip(&mut second[padding..]);
    for ((first, second), ((&a, &b), (&c, &d))) in to.zip(rows) {
        let [a, b, c, d] = [a, b, c, d].map(u32::from_le_bytes);
        // Every other byte, each with room for the sum.
        let sum = |shift: u32| {
            let [a, b, c, d] = [a, b, c, d].map(|pixel| pixel >> shift & 0x00ff_00ff);
            A * a + B * b + C * c + D * d
        };
        *first = sum(0);
        *second = sum(8);
    }
    if padding > 0 {
        for sums in [first, second] {
            sums[0] = sums[1];
            sums[width + 1] = sums[width];
        }
    }
}

/// Every other column with those beside it, which count half as much.
#[inline(always)]
fn add_columns(from: &[u32], to: &mut [u32]) {
    let left = from.as_chunks::<2>().0;
    let right = from[1..].as_chunks::<2>().0;
    for ((to, left), right) in to.iter_mut().zip(left).zip(right) {
        *to = left[0] + 2 * left[1] + right[1];
    }
}

#[inline(always)]
fn matrix_row<T: Sample>(
    first: &[u32],
    second: &[u32],
    factors: [i16; 3],
    fixed: &Fixed,
    to: &mut [T],
) {
    let [a, b, c] = factors.map(i32::from);
    for ((to, &first), &second) in to.iter_mut().zip(first).zip(second) {
        let sum = (first & 0xffff) as i32 * a + (second & 0xffff) as i32 * b;
        let sum = sum + (first >> 16) as i32 * c;
        *to = T::from_u32(((sum + fixed.c_bias) >> fixed.c_shift) as u32);
    }
}
