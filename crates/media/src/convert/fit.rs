//! Frames as an encoder wants them: of one pixel format, one size, and without cropping.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use fast_image_resize::Resizer;

use super::plane::{self, Depths, Levels, Sample, Samples, Window};
use crate::color::{ColorSpace, Matrix, Primaries, Transfer};
use crate::counters::count_copy;
use crate::error::MediaError;
use crate::format::{PixelFormat, PixelLayout};
use crate::frame::{CpuImage, CpuResource, Plane, ReadBack, VideoFrame};
use crate::geometry::{Rect, Size};
use crate::pool::{BufferPool, PooledBuffer};

mod rgb;

/// Brings frames to what an encoder takes. One that fits already is handed on as it is: the cropped part of its planes is
/// a part of the same memory.
pub struct Fitter {
    pool: BufferPool,
    resizer: Resizer,
}

impl std::fmt::Debug for Fitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fitter")
    }
}

/// Where each plane of a packed image begins and ends: planes start on cache lines, rows are tight.
fn plane_ranges(format: PixelFormat, size: Size) -> Result<Vec<Range<usize>>, MediaError> {
    let mut ranges = Vec::with_capacity(format.num_planes());
    let mut at = 0usize;
    for index in 0..format.num_planes() {
        let rows = format.plane_size(index, size).height as usize;
        let end = rows
            .checked_mul(format.row_bytes(index, size.width))
            .and_then(|bytes| at.checked_add(bytes))
            .filter(|end| *end <= isize::MAX as usize / 2)
            .ok_or_else(|| {
                MediaError::limit(format!(
                    "a picture of {}x{} exceeds the address space",
                    size.width, size.height
                ))
            })?;
        ranges.push(at..end);
        at = end.next_multiple_of(64);
    }
    Ok(ranges)
}

/// An image over one pooled buffer.
fn image_of(
    buffer: PooledBuffer,
    format: PixelFormat,
    size: Size,
    ranges: Vec<Range<usize>>,
) -> Result<CpuImage, MediaError> {
    let data = buffer.freeze();
    let planes = ranges.into_iter().enumerate().map(|(index, range)| Plane {
        data: data.slice(range),
        stride: format.row_bytes(index, size.width),
    });
    CpuImage::new(format, size, planes.collect())
}

impl Fitter {
    /// Takes memory for converted pictures from `pool`.
    pub fn new(pool: BufferPool) -> Self {
        Self {
            pool,
            resizer: Resizer::new(),
        }
    }

    /// `frame`'s visible part, of `format` (planar YUV without alpha) and `size` in pixels. Rotation, flip and times
    /// are kept.
    ///
    /// RGB becomes limited range with the matrix of BT.2020 for its primaries, of BT.709 for all others; a curve of sRGB is called
    /// that of BT.709, as video has it (`docs/decisions/0007-colour-conversion.md`). Its chroma is made as on a GPU, of
    /// the pixels around where [`ChromaSiting`](super::ChromaSiting) says; what has another size is scaled first. YUV keeps its
    /// colours, and white stays white at another depth; chroma that is scaled is taken to lie in the middle of its pixels.
    ///
    /// A frame whose pixels are not in CPU memory is converted and scaled where they are, if the device can
    /// ([`read_back_as`](crate::frame::VideoResource::read_back_as)), and is moved as it is wanted.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a frame whose format has no name, and for a `format` that is not planar YUV
    /// without alpha; what [`read_back`](crate::frame::VideoResource::read_back) says.
    pub fn fit(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        let yuv = matches!(
            format.layout(),
            PixelLayout::Yuv420 | PixelLayout::Yuv422 | PixelLayout::Yuv444
        );
        if !yuv || format.has_alpha() {
            return Err(MediaError::unsupported(format!(
                "frames can be made planar YUV without alpha, not {}",
                format.as_str()
            )));
        }
        if let Some(fitted) = fit_on_device(frame, format, size) {
            return fitted;
        }
        let held;
        let image = match frame.resource.cpu() {
            Some(image) => image,
            None => {
                held = frame.resource.read_back()?;
                &held
            }
        };
        let rect = frame.visible_rect;
        if frame.format.is_none() || !rect.fits(image.size()) || rect.size().area() == 0 {
            return Err(MediaError::unsupported(
                "a frame whose pixel format has no name cannot be converted",
            ));
        }
        let rgb = image.format().is_rgb() || frame.color_space.matrix == Some(Matrix::Rgb);
        let (image, color_space) = if rgb {
            self.rgb(image, rect, frame.color_space, format, size)?
        } else {
            match crop(image, rect, format).filter(|image| image.size() == size) {
                Some(image) => (image, frame.color_space),
                None => {
                    let full_range = frame.color_space.full_range == Some(true);
                    let image = self.planar(image, rect, full_range, format, size)?;
                    (image, frame.color_space)
                }
            }
        };
        Ok(with_image(frame, image, color_space))
    }

    /// `frame`'s visible alpha as the luma of an image of `format`, which is planar YUV, and `size`, with neutral chroma:
    /// what the encoder of alpha takes. A frame without alpha is opaque.
    ///
    /// # Errors
    /// As [`Fitter::fit`].
    pub fn alpha(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        let held;
        let image = match frame.resource.cpu() {
            Some(image) => image,
            None => {
                held = frame.resource.read_back()?;
                &held
            }
        };
        let rect = frame.visible_rect;
        if !rect.fits(image.size()) || rect.size().area() == 0 {
            return Err(MediaError::argument("the frame shows nothing"));
        }
        let ranges = plane_ranges(format, size)?;
        let mut buffer = self.pool.take(ranges.last().map_or(0, |range| range.end));
        let (luma, chroma) = buffer.split_at_mut(ranges[0].end);
        let target_depth = format.bit_depth();
        let has_alpha = frame.format.is_some_and(PixelFormat::has_alpha);
        let depth = image.format().bit_depth();
        let depths = |from| Depths {
            from,
            to: target_depth,
            levels: Levels::Full,
        };
        fill(chroma, target_depth, 1 << (target_depth - 1))?;
        match image.planes() {
            [_, _, _, _] if has_alpha && depth == 8 => {
                let source = source_plane::<u8>(image, 3)?;
                self.alpha_plane(&source, rect, size, depths(8), luma)?;
            }
            [_, _, _, _] if has_alpha => {
                let source = source_plane::<u16>(image, 3)?;
                self.alpha_plane(&source, rect, size, depths(depth), luma)?;
            }
            [pixels, ..] if has_alpha => {
                // One byte of four: a plane of its own, which scaling needs.
                let Size { width, height } = image.size();
                let (width, height) = (width as usize, height as usize);
                let mut alpha = Vec::with_capacity(width * height);
                for row in pixels.data.chunks(pixels.stride).take(height) {
                    let row = row.get(..width * 4).unwrap_or_default();
                    alpha.extend(row.chunks_exact(4).map(|pixel| pixel[3]));
                }
                let source = Samples::<u8> {
                    data: Cow::Owned(alpha),
                    stride: width,
                    width,
                    height,
                };
                self.alpha_plane(&source, rect, size, depths(8), luma)?;
            }
            _ => fill(luma, target_depth, u16::MAX >> (16 - target_depth))?,
        }
        let bytes = buffer.len();
        let image = image_of(buffer, format, size, ranges)?;
        count_copy(bytes);
        // Alpha has no colours; its range is full, as browsers write it.
        let color_space = ColorSpace {
            full_range: Some(true),
            ..ColorSpace::default()
        };
        Ok(with_image(frame, image, color_space))
    }

    /// A plane of alpha, cut to `rect` and scaled to `size`.
    fn alpha_plane<S: Sample>(
        &mut self,
        source: &Samples<'_, S>,
        rect: Rect,
        size: Size,
        depths: Depths,
        to: &mut [u8],
    ) -> Result<(), MediaError> {
        let window = Window {
            x: f64::from(rect.x),
            y: f64::from(rect.y),
            width: f64::from(rect.width),
            height: f64::from(rect.height),
        };
        match depths.to > 8 {
            false => plane::convert(&mut self.resizer, source, window, size, depths, to),
            true => {
                let to = samples_mut::<u16>(to)?;
                plane::convert(&mut self.resizer, source, window, size, depths, to)
            }
        }
    }

    /// Planar YUV or NV12 to planar YUV.
    fn planar(
        &mut self,
        image: &CpuImage,
        rect: Rect,
        full_range: bool,
        format: PixelFormat,
        size: Size,
    ) -> Result<CpuImage, MediaError> {
        let depth = image.format().bit_depth();
        let target_depth = format.bit_depth();
        let ranges = plane_ranges(format, size)?;
        let mut buffer = self.pool.take(ranges.last().map_or(0, |range| range.end));
        for (index, range) in ranges.iter().enumerate() {
            let to = &mut buffer[range.clone()];
            let to_size = format.plane_size(index, size);
            let depths = Depths {
                from: depth,
                to: target_depth,
                levels: match (full_range, index) {
                    (false, _) => Levels::Limited,
                    (true, 0) => Levels::Full,
                    (true, _) => Levels::FullChroma,
                },
            };
            match (depth > 8, target_depth > 8) {
                (false, false) => self.plane::<u8, u8>(image, rect, index, to_size, depths, to),
                (false, true) => self.plane::<u8, u16>(image, rect, index, to_size, depths, to),
                (true, false) => self.plane::<u16, u8>(image, rect, index, to_size, depths, to),
                (true, true) => self.plane::<u16, u16>(image, rect, index, to_size, depths, to),
            }?;
        }
        let bytes = buffer.len();
        let image = image_of(buffer, format, size, ranges)?;
        count_copy(bytes);
        Ok(image)
    }

    fn plane<S: Sample, T: Sample>(
        &mut self,
        image: &CpuImage,
        rect: Rect,
        index: usize,
        size: Size,
        depths: Depths,
        to: &mut [u8],
    ) -> Result<(), MediaError> {
        let source = source_plane::<S>(image, index)?;
        // U and V are subsampled alike, also where they share a plane.
        let (h, v) = image.format().subsampling(index.min(1));
        let (h, v) = (f64::from(h), f64::from(v));
        let window = Window {
            x: f64::from(rect.x) / h,
            y: f64::from(rect.y) / v,
            width: f64::from(rect.width) / h,
            height: f64::from(rect.height) / v,
        };
        let to = samples_mut::<T>(to)?;
        plane::convert(&mut self.resizer, &source, window, size, depths, to)
    }
}

/// The colours of the YUV that [`Fitter`] makes of RGB of `color`; nothing of them is unknown.
pub fn video_colors(color: ColorSpace) -> ColorSpace {
    let primaries = color.primaries.unwrap_or(Primaries::Bt709);
    ColorSpace {
        primaries: Some(primaries),
        transfer: Some(match color.transfer {
            None | Some(Transfer::Iec61966_2_1) => Transfer::Bt709,
            Some(other) => other,
        }),
        matrix: Some(match primaries {
            Primaries::Bt2020 => Matrix::Bt2020Ncl,
            _ => Matrix::Bt709,
        }),
        full_range: Some(false),
    }
}

/// A frame of a device that converts and scales before anything is moved; `None` for all others.
fn fit_on_device(
    frame: &VideoFrame,
    format: PixelFormat,
    size: Size,
) -> Option<Result<VideoFrame, MediaError>> {
    if frame.resource.cpu().is_some() {
        return None;
    }
    let rgb = frame.format?.is_rgb() || frame.color_space.matrix == Some(Matrix::Rgb);
    let target = match rgb {
        true => video_colors(frame.color_space),
        false => frame.color_space,
    };
    let wanted = ReadBack {
        rect: frame.visible_rect,
        color_space: frame.color_space,
        format,
        size,
        target,
    };
    let image = frame.resource.read_back_as(&wanted)?;
    Some(image.map(|image| with_image(frame, image, target)))
}

/// Fills a plane with a sample of `depth` bits.
fn fill(plane: &mut [u8], depth: u32, sample: u16) -> Result<(), MediaError> {
    match depth > 8 {
        false => plane.fill(sample as u8),
        true => samples_mut::<u16>(plane)?.fill(sample),
    }
    Ok(())
}

/// A plane's samples. Pooled memory and plane offsets are aligned to cache lines.
fn samples_mut<T: Sample>(plane: &mut [u8]) -> Result<&mut [T], MediaError> {
    bytemuck::try_cast_slice_mut(plane)
        .map_err(|_| MediaError::backend("a plane is not aligned to its samples"))
}

/// A plane of planar YUV or NV12, whose chroma is taken apart.
fn source_plane<S: Sample>(image: &CpuImage, index: usize) -> Result<Samples<'_, S>, MediaError> {
    let format = image.format();
    // Alpha is as large as luma, and V as U, also where they share a plane.
    let like = if index == 3 { 0 } else { index.min(1) };
    let size = format.plane_size(like, image.size());
    let (width, height) = (size.width as usize, size.height as usize);
    let missing = || MediaError::argument(format!("{} has no plane {index}", format.as_str()));
    if format.layout() == PixelLayout::Nv12 && index > 0 {
        let plane = image.planes().get(1).ok_or_else(missing)?;
        let data = plane::samples::<S>(&plane.data);
        let mut out = Vec::with_capacity(width * height);
        for row in data.chunks(plane.stride).take(height) {
            let pairs = row.get(..width * 2).unwrap_or_default().chunks_exact(2);
            out.extend(pairs.map(|pair| pair[index - 1]));
        }
        return Ok(Samples {
            data: Cow::Owned(out),
            stride: width,
            width,
            height,
        });
    }
    let plane = image.planes().get(index).ok_or_else(missing)?;
    let stride = plane.stride / size_of::<S>();
    if plane.stride % size_of::<S>() == 0 {
        return Ok(Samples {
            data: plane::samples(&plane.data),
            stride,
            width,
            height,
        });
    }
    // Rows of 16-bit samples that begin at odd bytes, as a script may lay them out.
    let row_bytes = width * size_of::<S>();
    let rows = plane.data.chunks(plane.stride).take(height);
    let data = rows.flat_map(|row| plane::collect::<S>(row.get(..row_bytes).unwrap_or_default()));
    Ok(Samples {
        data: Cow::Owned(data.collect()),
        stride: width,
        width,
        height,
    })
}

/// `rect` of `image` as a part of the same memory, if it has `format`'s planes already.
fn crop(image: &CpuImage, rect: Rect, format: PixelFormat) -> Option<CpuImage> {
    let from = image.format();
    if from.layout() != format.layout() || from.bit_depth() != format.bit_depth() {
        return None;
    }
    let planes = image.planes().get(..format.num_planes())?;
    let planes = planes.iter().enumerate().map(|(index, plane)| {
        let (h, v) = format.subsampling(index);
        if !rect.x.is_multiple_of(h) || !rect.y.is_multiple_of(v) {
            return None;
        }
        let row = (rect.y / v) as usize * plane.stride;
        let start = row + (rect.x / h) as usize * format.sample_bytes(index);
        Some(Plane {
            data: plane.data.slice(start.min(plane.data.len())..),
            stride: plane.stride,
        })
    });
    CpuImage::new(format, rect.size(), planes.collect::<Option<_>>()?).ok()
}

/// `frame` over other pixels, all of which are shown.
fn with_image(
    frame: &VideoFrame,
    image: impl Into<Arc<CpuImage>>,
    color_space: ColorSpace,
) -> VideoFrame {
    let image = image.into();
    let (format, size) = (image.format(), image.size());
    VideoFrame {
        resource: Arc::new(CpuResource(image)),
        format: Some(format),
        coded_size: size,
        visible_rect: Rect::of_size(size),
        color_space,
        ..frame.clone()
    }
}

#[cfg(test)]
mod tests;
