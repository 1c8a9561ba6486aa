//! One plane at a time: cut out, scaled, and brought to another bit depth.

use std::borrow::Cow;

use bytemuck::Pod;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U16};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::error::MediaError;
use crate::geometry::Size;

/// A sample of a plane.
pub(super) trait Sample: Pod + Ord + Into<u32> {
    /// The library's name for it.
    type Pixel: InnerPixel<Component = Self> + PixelTrait;

    fn from_u32(value: u32) -> Self;
}

impl Sample for u8 {
    type Pixel = U8;

    fn from_u32(value: u32) -> Self {
        value.min(0xff) as Self
    }
}

impl Sample for u16 {
    type Pixel = U16;

    fn from_u32(value: u32) -> Self {
        value.min(0xffff) as Self
    }
}

/// Samples in rows.
#[derive(Clone, Debug)]
pub(super) struct Samples<'a, S: Sample> {
    /// At least `(height - 1) * stride + width` samples.
    pub(super) data: Cow<'a, [S]>,
    /// Samples from a row to the next, at least `width`.
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The part of a plane that counts, in samples. Chroma may begin and end between samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Window {
    /// Where it starts, if nothing between samples is asked for and `size` samples follow.
    fn whole(&self, size: Size) -> Option<(usize, usize)> {
        let fits = |from: f64, length: f64, samples: u32| {
            from.fract() == 0.0 && length.ceil() as u64 == u64::from(samples)
        };
        (fits(self.x, self.width, size.width) && fits(self.y, self.height, size.height))
            .then_some((self.x as usize, self.y as usize))
    }
}

/// The bits of samples before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Depths {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) levels: Levels,
}

/// What code values stay the same signal at another depth: <https://www.itu.int/rec/T-REC-H.273>, 8.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Levels {
    /// Those of limited range, multiplied by a power of two.
    Limited,
    /// Luma of full range, and alpha: 0 and all ones stay what they are.
    Full,
    /// Chroma of full range: the middle stays the middle, and the steps are those of luma.
    FullChroma,
}

/// What bytes of `S` samples are, borrowed where they are aligned.
pub(super) fn samples<S: Sample>(bytes: &[u8]) -> Cow<'_, [S]> {
    let whole = bytes.len() - bytes.len() % size_of::<S>();
    let bytes = bytes.get(..whole).unwrap_or_default();
    match bytemuck::try_cast_slice(bytes) {
        Ok(samples) => Cow::Borrowed(samples),
        // Planes of memory that a script gave may begin anywhere.
        Err(_) => Cow::Owned(collect(bytes)),
    }
}

/// The samples that `bytes` hold; those of a last incomplete one are left out.
pub(super) fn collect<S: Sample>(bytes: &[u8]) -> Vec<S> {
    let mut samples = vec![S::zeroed(); bytes.len() / size_of::<S>()];
    let whole = samples.len() * size_of::<S>();
    bytemuck::cast_slice_mut(&mut samples).copy_from_slice(bytes.get(..whole).unwrap_or_default());
    samples
}

/// Brings `window` of `source` to `size`, and to another depth, into `destination`, tightly packed.
///
/// The filter is Catmull-Rom, widened when the size shrinks, so that nothing aliases.
pub(super) fn convert<S: Sample, T: Sample>(
    resizer: &mut Resizer,
    source: &Samples<'_, S>,
    window: Window,
    size: Size,
    depths: Depths,
    destination: &mut [T],
) -> Result<(), MediaError> {
    let width = size.width as usize;
    if size.area() == 0 {
        return Ok(());
    }
    if let Some((x, y)) = window.whole(size) {
        let rows = source.data.chunks(source.stride).skip(y);
        for (row, to) in rows.zip(destination.chunks_exact_mut(width)) {
            let Some(row) = row.get(x..x + width) else {
                return Err(MediaError::argument("a plane is shorter than its size"));
            };
            bring_row(row, to, depths);
        }
        return Ok(());
    }
    let scaled = resize(resizer, source, window, size)?;
    let rows = scaled.chunks_exact(width);
    for (row, to) in rows.zip(destination.chunks_exact_mut(width)) {
        bring_row(row, to, depths);
    }
    Ok(())
}

/// Copies a row, and brings its samples to another depth, rounded. What a filter overshot is cut off.
fn bring_row<S: Sample, T: Sample>(row: &[S], to: &mut [T], depths: Depths) {
    let Depths {
        from: from_bits,
        to: to_bits,
        levels,
    } = depths;
    if levels != Levels::Limited && from_bits != to_bits {
        // The depths that there are, as constants: dividing by one is a multiplication, of several samples at once.
        return match (from_bits, to_bits) {
            (8, 10) => rescale_row(row, to, 8, 10, levels),
            (8, 12) => rescale_row(row, to, 8, 12, levels),
            (10, 8) => rescale_row(row, to, 10, 8, levels),
            (10, 12) => rescale_row(row, to, 10, 12, levels),
            (12, 8) => rescale_row(row, to, 12, 8, levels),
            (12, 10) => rescale_row(row, to, 12, 10, levels),
            _ => rescale_row(row, to, from_bits, to_bits, levels),
        };
    }
    let top = (1u32 << to_bits) - 1;
    let both = row.iter().zip(to);
    if to_bits >= from_bits {
        let up = to_bits - from_bits;
        both.for_each(|(&from, to)| *to = T::from_u32((from.into() << up).min(top)));
    } else {
        let down = from_bits - to_bits;
        let half = 1 << (down - 1);
        both.for_each(|(&from, to)| *to = T::from_u32(((from.into() + half) >> down).min(top)));
    }
}

/// The row of full range: all ones become all ones, and of chroma the middle the middle. For depths below 16.
#[inline(always)]
fn rescale_row<S: Sample, T: Sample>(
    row: &[S],
    to: &mut [T],
    from_bits: u32,
    to_bits: u32,
    levels: Levels,
) {
    let (from_top, top) = ((1i32 << from_bits) - 1, (1i32 << to_bits) - 1);
    // In steps of 1 / from_top: what the middles are apart, and a half, so that the quotient is rounded.
    let offset = match levels {
        Levels::FullChroma => (from_top << (to_bits - 1)) - (top << (from_bits - 1)),
        Levels::Limited | Levels::Full => 0,
    } + from_top / 2;
    for (&from, to) in row.iter().zip(to) {
        let from = from.into().min(from_top as u32) as i32;
        // Chroma of 0 lies below 0 in more bits.
        let scaled = (from * top + offset).max(0) as u32 / from_top as u32;
        *to = T::from_u32(scaled.min(top as u32));
    }
}

/// Where whole samples from `from` on cover `length`, and how many they are: one that is half inside counts, none of
/// those after `samples` does.
fn covered(from: f64, length: f64, samples: usize) -> (usize, usize) {
    let start = from.floor() as usize;
    let end = ((from + length).ceil() as usize).min(samples);
    (start, end.saturating_sub(start))
}

/// The filter sees the window's samples alone: what is around them is not the picture, and between the rows is
/// memory that nobody wrote.
fn resize<S: Sample>(
    resizer: &mut Resizer,
    source: &Samples<'_, S>,
    window: Window,
    size: Size,
) -> Result<Vec<S>, MediaError> {
    let failed = |error: &dyn std::fmt::Display| MediaError::backend(format!("scaling: {error}"));
    let (x, width) = covered(window.x, window.width, source.width);
    let (y, height) = covered(window.y, window.height, source.height);
    let (mut stride, mut left) = (source.stride, x);
    let rows = source.data.get(y * stride..).unwrap_or_default();
    let mut pixels = Cow::Borrowed(rows);
    if rows.len() < stride * height {
        // The last row ends early, and the library wants images of whole rows.
        let rows = rows.chunks(stride).take(height);
        let rows = rows.flat_map(|row| row.get(x..x + width).unwrap_or_default());
        pixels = Cow::Owned(rows.copied().collect());
        (stride, left) = (width, 0);
    }
    let sizes = [stride, left, width, height].map(u32::try_from);
    let [Ok(stride), Ok(left), Ok(width), Ok(height)] = sizes else {
        return Err(MediaError::argument("a plane is too large to be scaled"));
    };
    let bytes = bytemuck::cast_slice(&pixels);
    let image = TypedImageRef::<S::Pixel>::from_buffer(stride, height, bytes)
        .map_err(|error| failed(&error))?;
    let image = TypedCroppedImage::from_ref(&image, left, 0, width, height)
        .map_err(|error| failed(&error))?;
    let mut out = vec![S::from_u32(0); size.width as usize * size.height as usize];
    let out_bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut out);
    let mut target = TypedImage::<S::Pixel>::from_buffer(size.width, size.height, out_bytes)
        .map_err(|error| failed(&error))?;
    // Chroma may begin between samples, and of an odd size has a sample that is half outside.
    let (left, top) = (window.x.fract(), window.y.fract());
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(
            left,
            top,
            window.width.min(f64::from(width) - left),
            window.height.min(f64::from(height) - top),
        );
    resizer
        .resize_typed(&image, &mut target, Some(&options))
        .map_err(|error| failed(&error))?;
    Ok(out)
}

#[cfg(test)]
mod tests;
