//! RGB frames for encoders.

use std::borrow::Cow;
use std::ops::Range;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::{Fitter, image_of, plane_ranges, video_colors};
use crate::color::{ColorSpace, Matrix};
use crate::convert::from_rgb::{self, Pixels};
use crate::convert::plane::Sample;
use crate::convert::{ChromaSiting, PredefinedColorSpace, RgbConversion, to_rgb};
use crate::counters::count_copy;
use crate::error::MediaError;
use crate::format::{PixelFormat, PixelLayout};
use crate::frame::CpuImage;
use crate::geometry::{Rect, Size};
use crate::layout::PlaneLayout;

impl Fitter {
    /// RGB, or YUV whose matrix says that it stores RGB, to planar YUV of `format`, cut to `rect` and scaled to `size`.
    pub(super) fn rgb(
        &mut self,
        image: &CpuImage,
        rect: Rect,
        color: ColorSpace,
        format: PixelFormat,
        size: Size,
    ) -> Result<(CpuImage, ColorSpace), MediaError> {
        let video = video_colors(color);
        let mut rgba = rgba_of(image, rect, color)?;
        if rect.size() != size {
            rgba = rgba.scaled(&mut self.resizer, rect.size(), size)?;
        }
        let pixels = Pixels {
            data: &rgba.data,
            stride: rgba.stride,
            size,
            bgr: image.format().layout() == PixelLayout::Bgra,
        };
        let ranges = plane_ranges(format, size)?;
        let mut buffer = self.pool.take(ranges.last().map_or(0, |range| range.end));
        match format.bit_depth() {
            8 => planes::<u8>(pixels, video, format, buffer.as_mut(), &ranges),
            _ => planes::<u16>(pixels, video, format, buffer.as_mut(), &ranges),
        }?;
        let bytes = buffer.len();
        let image = image_of(buffer, format, size, ranges)?;
        count_copy(bytes);
        Ok((image, video))
    }
}

/// Converts `pixels` to the planes of `format` that lie at `ranges` of `buffer`.
fn planes<T: Sample>(
    pixels: Pixels<'_>,
    video: ColorSpace,
    format: PixelFormat,
    mut buffer: &mut [u8],
    ranges: &[Range<usize>],
) -> Result<(), MediaError> {
    let mut planes = Vec::with_capacity(3);
    let mut at = 0;
    for range in ranges {
        let (_, rest) = buffer.split_at_mut(range.start - at);
        let (plane, rest) = rest.split_at_mut(range.len());
        // Pooled memory and plane offsets are aligned to cache lines.
        let plane = bytemuck::try_cast_slice_mut(plane)
            .map_err(|_| MediaError::backend("a plane is not aligned to its samples"))?;
        planes.push(plane);
        (buffer, at) = (rest, range.end);
    }
    let planes = <[&mut [T]; 3]>::try_from(planes)
        .map_err(|_| MediaError::backend("a planar format has three planes"))?;
    let siting = ChromaSiting::of(format, video);
    let matrix = video.matrix.unwrap_or(Matrix::Bt709);
    from_rgb::convert(pixels, matrix, format, siting, planes)
}

/// Four bytes a pixel, in rows that begin every `stride` bytes; the last one may end early.
struct Rgba<'a> {
    data: Cow<'a, [u8]>,
    stride: usize,
}

impl Rgba<'_> {
    /// The picture, of `size`, scaled to another size with the filter of all scaling. Alpha is not looked at: an encoder
    /// gets colours and alpha one beside the other, or colours alone.
    fn scaled(
        self,
        resizer: &mut Resizer,
        size: Size,
        to: Size,
    ) -> Result<Rgba<'static>, MediaError> {
        let failed =
            |error: &dyn std::fmt::Display| MediaError::backend(format!("scaling: {error}"));
        let (width, height) = (size.width as usize, size.height as usize);
        // The library has no strides: an image as wide as the stride, of which the picture is a part.
        let (data, stride) = match self.data.get(..self.stride * height) {
            Some(data) if self.stride.is_multiple_of(4) => (Cow::Borrowed(data), self.stride),
            _ => {
                let rows = self.data.chunks(self.stride).take(height);
                let rows = rows.flat_map(|row| row.get(..width * 4).unwrap_or_default());
                (Cow::Owned(rows.copied().collect()), width * 4)
            }
        };
        let columns = u32::try_from(stride / 4)
            .map_err(|_| MediaError::argument("a picture is too large to be scaled"))?;
        let image = TypedImageRef::<U8x4>::from_buffer(columns, size.height, &data)
            .map_err(|error| failed(&error))?;
        let image = TypedCroppedImage::from_ref(&image, 0, 0, size.width, size.height)
            .map_err(|error| failed(&error))?;
        let mut out = vec![0; to.width as usize * to.height as usize * 4];
        let mut target = TypedImage::<U8x4>::from_buffer(to.width, to.height, &mut out)
            .map_err(|error| failed(&error))?;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .use_alpha(false);
        resizer
            .resize_typed(&image, &mut target, Some(&options))
            .map_err(|error| failed(&error))?;
        Ok(Rgba {
            data: Cow::Owned(out),
            stride: to.width as usize * 4,
        })
    }
}

/// The pixels of `rect`, borrowed where they are stored so.
fn rgba_of(image: &CpuImage, rect: Rect, color: ColorSpace) -> Result<Rgba<'_>, MediaError> {
    if !image.format().is_rgb() {
        // Stored as YUV with the identity matrix: rare, and converted twice rather than with code of its own.
        let stride = rect.width as usize * 4;
        let mut data = vec![0; stride * rect.height as usize];
        let conversion = RgbConversion {
            rect,
            color_space: ColorSpace {
                primaries: None,
                transfer: None,
                ..color
            },
            keep_alpha: false,
            format: PixelFormat::Rgba,
            target: PredefinedColorSpace::Srgb,
        };
        let layout = PlaneLayout {
            offset: 0,
            stride: rect.width.saturating_mul(4),
        };
        to_rgb(image, &conversion, layout, &mut data)?;
        let data = Cow::Owned(data);
        return Ok(Rgba { data, stride });
    }
    let [plane] = image.planes() else {
        return Err(MediaError::backend("RGB has one plane"));
    };
    let start = rect.y as usize * plane.stride + rect.x as usize * 4;
    Ok(Rgba {
        data: Cow::Borrowed(plane.data.get(start..).unwrap_or_default()),
        stride: plane.stride,
    })
}
