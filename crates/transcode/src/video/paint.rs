//! What is done to the pixels of one picture.

use reelcore_engine::Engine;
use reelcore_media::convert::{
    Fitter, PredefinedColorSpace, RgbConversion, effective_color_space, to_rgb,
};
use reelcore_media::format::PixelLayout;
use reelcore_media::layout::PlaneLayout;
use reelcore_media::{
    ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Rect, Rotation, Size, VideoFrame,
};

use super::color::ToYuv;
use crate::job::Color;

/// What pictures are like that others are brought to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) size: Size,
    pub(crate) format: PixelFormat,
    pub(crate) color: ColorSpace,
    pub(crate) display: Size,
}

impl Shape {
    /// Of an upright picture.
    pub(crate) fn of(frame: &VideoFrame) -> Self {
        let format = planar_of(frame.format.unwrap_or(PixelFormat::I420));
        let size = frame.visible_rect.size();
        let rgb = frame.format.is_some_and(PixelFormat::is_rgb);
        Self {
            size,
            format,
            // RGB becomes YUV of BT.709 (`Fitter::fit`).
            color: if rgb {
                ColorSpace::REC709
            } else {
                frame.color_space
            },
            display: frame.display_size,
        }
    }
}

/// The planar format without alpha that is nearest.
pub(crate) fn planar_of(format: PixelFormat) -> PixelFormat {
    match format.layout() {
        PixelLayout::Rgba | PixelLayout::Bgra => PixelFormat::I444,
        PixelLayout::Nv12 => PixelFormat::I420,
        _ => format.without_alpha(),
    }
}

/// The same with alpha.
fn with_alpha(format: PixelFormat) -> Option<PixelFormat> {
    let fits = |other: &PixelFormat| other.has_alpha() && other.without_alpha() == format;
    PixelFormat::ALL.iter().copied().find(fits)
}

/// Samples of 8 bits, or of more in words of 16.
pub(crate) trait Sample: Copy + Into<u32> + Send {
    /// Bytes.
    const BYTES: usize;
    /// From its bytes.
    fn read(bytes: &[u8]) -> u32;
    /// To its bytes.
    fn write(value: u32, bytes: &mut [u8]);
}

impl Sample for u8 {
    const BYTES: usize = 1;

    fn read(bytes: &[u8]) -> u32 {
        bytes.first().copied().unwrap_or(0).into()
    }

    fn write(value: u32, bytes: &mut [u8]) {
        if let Some(byte) = bytes.first_mut() {
            *byte = value as u8;
        }
    }
}

impl Sample for u16 {
    const BYTES: usize = 2;

    fn read(bytes: &[u8]) -> u32 {
        match bytes {
            [low, high, ..] => u16::from_ne_bytes([*low, *high]).into(),
            _ => 0,
        }
    }

    fn write(value: u32, bytes: &mut [u8]) {
        if let [low, high, ..] = bytes {
            [*low, *high] = (value as u16).to_ne_bytes();
        }
    }
}

/// Changes pixels.
pub(crate) struct Painter {
    fitter: Fitter,
}

/// One plane that is being made: tight rows.
pub(crate) struct Canvas {
    pub(crate) data: Vec<u8>,
    pub(crate) stride: usize,
}

impl Painter {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            fitter: Fitter::new(engine.pool.clone()),
        }
    }

    /// The visible part, planar YUV of `format` or of the nearest one with alpha where the picture has alpha, scaled to
    /// `size`. A picture that fits is handed on.
    pub(crate) fn planar(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        let has_alpha = frame.format.is_some_and(PixelFormat::has_alpha);
        if !has_alpha {
            return self.fitter.fit(frame, format, size);
        }
        // Formats with alpha of more than 8 bits are rare: they lose depth rather than alpha.
        let eight = match format.layout() {
            PixelLayout::Yuv422 => PixelFormat::I422,
            PixelLayout::Yuv444 => PixelFormat::I444,
            _ => PixelFormat::I420,
        };
        let picture = self.fitter.fit(frame, eight, size)?;
        let alpha = self.fitter.alpha(frame, PixelFormat::I420, size)?;
        let (image, coverage) = (picture.resource.read_back()?, alpha.resource.read_back()?);
        let mut planes = image.planes().to_vec();
        planes.extend(coverage.planes().first().cloned());
        let format =
            with_alpha(eight).ok_or_else(|| MediaError::unsupported("no format with alpha"))?;
        Ok(replaced(&picture, CpuImage::new(format, size, planes)?))
    }

    /// As [`Painter::planar`] with the picture's own size and nearest format.
    pub(crate) fn own_planar(&mut self, frame: &VideoFrame) -> Result<VideoFrame, MediaError> {
        let format = planar_of(frame.format.ok_or_else(unnamed)?);
        self.planar(frame, format, frame.visible_rect.size())
    }

    /// Without alpha, of `format` and `size`.
    pub(crate) fn fit(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        self.fitter.fit(frame, format, size)
    }

    /// The alpha of `frame` as rows of `size.width` bytes.
    pub(crate) fn alpha(&mut self, frame: &VideoFrame) -> Result<Option<Vec<u8>>, MediaError> {
        if !frame.format.is_some_and(PixelFormat::has_alpha) {
            return Ok(None);
        }
        let size = frame.visible_rect.size();
        let alpha = self
            .fitter
            .alpha(frame, PixelFormat::I420, size)?
            .resource
            .read_back()?;
        let Some(plane) = alpha.planes().first() else {
            return Ok(None);
        };
        let width = size.width as usize;
        let rows = plane
            .data
            .chunks(plane.stride.max(1))
            .take(size.height as usize);
        Ok(Some(
            rows.flat_map(|row| row.get(..width).unwrap_or_default())
                .copied()
                .collect(),
        ))
    }

    /// Turned and mirrored as its orientation says, which is then upright.
    pub(crate) fn upright(&mut self, frame: &VideoFrame) -> Result<VideoFrame, MediaError> {
        if frame.rotation == Rotation::R0 && !frame.flip {
            return Ok(frame.clone());
        }
        // The display size is that after rotation already.
        self.turn(frame, frame.rotation, frame.flip, frame.display_size)
    }

    /// Upright, and of square pixels: the shorter side is enlarged.
    pub(crate) fn plain(&mut self, frame: &VideoFrame) -> Result<VideoFrame, MediaError> {
        let frame = self.upright(frame)?;
        let size = frame.display_size;
        if size == frame.visible_rect.size() || size.area() == 0 {
            return Ok(frame);
        }
        let format = planar_of(frame.format.ok_or_else(unnamed)?);
        let mut plain = self.planar(&frame, format, size)?;
        plain.display_size = size;
        Ok(plain)
    }

    /// Turned clockwise, then mirrored.
    pub(crate) fn rotate(
        &mut self,
        frame: &VideoFrame,
        by: Rotation,
        flip: bool,
    ) -> Result<VideoFrame, MediaError> {
        let upright = self.upright(frame)?;
        if by == Rotation::R0 && !flip {
            return Ok(upright);
        }
        let display = match by.swaps_axes() {
            true => Size::new(upright.display_size.height, upright.display_size.width),
            false => upright.display_size,
        };
        self.turn(&upright, by, flip, display)
    }

    fn turn(
        &mut self,
        frame: &VideoFrame,
        by: Rotation,
        flip: bool,
        display: Size,
    ) -> Result<VideoFrame, MediaError> {
        let mut format = planar_of(frame.format.ok_or_else(unnamed)?);
        if by.swaps_axes() && format.layout() == PixelLayout::Yuv422 {
            // Chroma of half width would become chroma of half height, for which there is no format.
            format = match format.bit_depth() {
                8 => PixelFormat::I444,
                10 => PixelFormat::I444P10,
                _ => PixelFormat::I444P12,
            };
        }
        let size = frame.visible_rect.size();
        let planar = self.planar(frame, format, size)?;
        let image = planar.resource.read_back()?;
        let format = image.format();
        let turned = match by.swaps_axes() {
            true => Size::new(size.height, size.width),
            false => size,
        };
        let mut planes = Vec::with_capacity(4);
        for (index, plane) in image.planes().iter().enumerate() {
            let from = format.plane_size(index, size);
            let canvas = match format.sample_bytes(index) {
                1 => turn_plane::<u8>(plane, from, by, flip),
                _ => turn_plane::<u16>(plane, from, by, flip),
            };
            planes.push(finished(canvas));
        }
        let mut turned = replaced(&planar, CpuImage::new(format, turned, planes)?);
        turned.rotation = Rotation::R0;
        turned.flip = false;
        turned.display_size = display;
        Ok(turned)
    }

    /// Brought to `shape`: all of it is seen, between black bars where its aspect ratio is another.
    pub(crate) fn reshape(
        &mut self,
        frame: &VideoFrame,
        shape: &Shape,
    ) -> Result<VideoFrame, MediaError> {
        let frame = self.upright(frame)?;
        let frame = self.recolor(&frame, shape)?;
        let display = frame.display_size;
        let (dw, dh) = (
            u64::from(display.width.max(1)),
            u64::from(display.height.max(1)),
        );
        let (sw, sh) = (
            u64::from(shape.display.width.max(1)),
            u64::from(shape.display.height.max(1)),
        );
        // Widths and heights as parts of the shape's display size.
        let inner = match (dw * sh).cmp(&(dh * sw)) {
            std::cmp::Ordering::Equal => shape.size,
            std::cmp::Ordering::Greater => {
                let height = (u128::from(shape.size.height) * u128::from(dh * sw)
                    / u128::from(dw * sh)) as u32;
                Size::new(shape.size.width, even(height, shape.size.height))
            }
            std::cmp::Ordering::Less => {
                let width = (u128::from(shape.size.width) * u128::from(dw * sh)
                    / u128::from(dh * sw)) as u32;
                Size::new(even(width, shape.size.width), shape.size.height)
            }
        };
        let mut fitted = self.fitter.fit(&frame, shape.format, inner)?;
        fitted.color_space = shape.color;
        if inner != shape.size {
            let x = (shape.size.width - inner.width) / 2;
            let y = (shape.size.height - inner.height) / 2;
            fitted = self.pad(&fitted, shape.size, x & !1, y & !1, Color::default())?;
        }
        fitted.display_size = shape.display;
        Ok(fitted)
    }

    /// With the colours of `shape`, as far as they differ.
    fn recolor(&mut self, frame: &VideoFrame, shape: &Shape) -> Result<VideoFrame, MediaError> {
        let format = frame.format.ok_or_else(unnamed)?;
        let size = frame.visible_rect.size();
        let from = effective_color_space(frame.color_space, format, size);
        let to = effective_color_space(shape.color, shape.format, shape.size);
        if !format.is_rgb() && from.matrix == to.matrix && from.full_range == to.full_range {
            return Ok(frame.clone());
        }
        let rgba = rgba_of(frame)?;
        let pixels = size.area() as usize;
        let convert = ToYuv::new(shape.color, PixelFormat::I444, shape.size);
        let mut planes = [vec![0; pixels], vec![0; pixels], vec![0; pixels]];
        let [ys, us, vs] = &mut planes;
        let samples = ys.iter_mut().zip(us).zip(vs);
        for (((y, u), v), pixel) in samples.zip(rgba.chunks_exact(4)) {
            if let [r, g, b, _] = *pixel {
                [*y, *u, *v] = convert.convert([r, g, b]).map(|sample| sample as u8);
            }
        }
        let stride = size.width as usize;
        let planes = planes.map(|data| finished(Canvas { data, stride }));
        let mut image = replaced(
            frame,
            CpuImage::new(PixelFormat::I444, size, planes.into())?,
        );
        image.color_space = shape.color;
        Ok(image)
    }

    /// In a larger picture of one colour, at an even or odd place.
    pub(crate) fn pad(
        &mut self,
        frame: &VideoFrame,
        size: Size,
        x: u32,
        y: u32,
        color: Color,
    ) -> Result<VideoFrame, MediaError> {
        let inner = frame.visible_rect.size();
        if u64::from(x) + u64::from(inner.width) > u64::from(size.width)
            || u64::from(y) + u64::from(inner.height) > u64::from(size.height)
        {
            return Err(MediaError::argument(format!(
                "a picture of {}x{} at {x},{y} is not within one of {}x{}",
                inner.width, inner.height, size.width, size.height
            )));
        }
        let mut format = planar_of(frame.format.ok_or_else(unnamed)?);
        if !format.rect_is_sample_aligned(Rect {
            x,
            y,
            width: inner.width,
            height: inner.height,
        }) {
            // Chroma of full size has a place for it.
            format = match format.bit_depth() {
                8 => PixelFormat::I444,
                10 => PixelFormat::I444P10,
                _ => PixelFormat::I444P12,
            };
        }
        let planar = self.planar(frame, format, inner)?;
        let image = planar.resource.read_back()?;
        let format = image.format();
        let [cy, cu, cv] =
            ToYuv::new(planar.color_space, format.without_alpha(), size).color(color);
        let opaque = ((1u32 << format.bit_depth()) - 1) as u16;
        let mut planes = Vec::with_capacity(4);
        for (index, (plane, fill)) in image.planes().iter().zip([cy, cu, cv, opaque]).enumerate() {
            let outer = format.plane_size(index, size);
            let rows = format.plane_size(index, inner);
            let (h, v) = format.subsampling(index);
            let bytes = format.sample_bytes(index);
            let stride = outer.width as usize * bytes;
            let word = fill.to_ne_bytes();
            let mut data = match bytes {
                1 => vec![fill as u8; stride * outer.height as usize],
                _ => word
                    .iter()
                    .copied()
                    .cycle()
                    .take(stride * outer.height as usize)
                    .collect(),
            };
            let row_bytes = rows.width as usize * bytes;
            let left = (x / h) as usize * bytes;
            let targets = data.chunks_exact_mut(stride.max(1)).skip((y / v) as usize);
            let sources = plane
                .data
                .chunks(plane.stride.max(1))
                .take(rows.height as usize);
            for (target, source) in targets.zip(sources) {
                if let (Some(to), Some(from)) = (
                    target.get_mut(left..left + row_bytes),
                    source.get(..row_bytes),
                ) {
                    to.copy_from_slice(from);
                }
            }
            planes.push(finished(Canvas { data, stride }));
        }
        let mut padded = replaced(&planar, CpuImage::new(format, size, planes)?);
        padded.display_size = size;
        Ok(padded)
    }

    /// `weight` (0 to 1) of `frame`, and the rest of a colour.
    pub(crate) fn fade(
        &mut self,
        frame: &VideoFrame,
        color: Color,
        weight: f64,
    ) -> Result<VideoFrame, MediaError> {
        let planar = self.own_planar(frame)?;
        let image = planar.resource.read_back()?;
        let (format, size) = (image.format(), image.size());
        let fill = ToYuv::new(planar.color_space, format.without_alpha(), size).color(color);
        let mut planes = Vec::with_capacity(4);
        for (index, plane) in image.planes().iter().enumerate() {
            let Some(&fill) = fill.get(index) else {
                // Alpha stays.
                planes.push(plane.clone());
                continue;
            };
            let area = format.plane_size(index, size);
            let canvas = match format.sample_bytes(index) {
                1 => blend_plane::<u8>(plane, None, fill, area, weight),
                _ => blend_plane::<u16>(plane, None, fill, area, weight),
            };
            planes.push(finished(canvas));
        }
        Ok(replaced(&planar, CpuImage::new(format, size, planes)?))
    }

    /// `weight` (0 to 1) of `frame`, and the rest of `other`, which has the same size. Without alpha.
    pub(crate) fn blend(
        &mut self,
        frame: &VideoFrame,
        other: &VideoFrame,
        weight: f64,
    ) -> Result<VideoFrame, MediaError> {
        let format = planar_of(frame.format.ok_or_else(unnamed)?);
        let size = frame.visible_rect.size();
        let planar = self.fitter.fit(frame, format, size)?;
        let other = self.fitter.fit(other, format, size)?;
        let (image, other) = (planar.resource.read_back()?, other.resource.read_back()?);
        let mut planes = Vec::with_capacity(3);
        for (index, (plane, other)) in image.planes().iter().zip(other.planes()).enumerate() {
            let area = format.plane_size(index, size);
            let canvas = match format.sample_bytes(index) {
                1 => blend_plane::<u8>(plane, Some(other), 0, area, weight),
                _ => blend_plane::<u16>(plane, Some(other), 0, area, weight),
            };
            planes.push(finished(canvas));
        }
        Ok(replaced(&planar, CpuImage::new(format, size, planes)?))
    }
}

/// A finished plane.
pub(crate) fn finished(canvas: Canvas) -> Plane {
    Plane {
        data: canvas.data.into(),
        stride: canvas.stride,
    }
}

/// Even, as chroma is of half size, and at least 2 where there is room.
fn even(value: u32, max: u32) -> u32 {
    (value.saturating_add(1) & !1).clamp(2.min(max), max)
}

pub(crate) fn unnamed() -> MediaError {
    MediaError::unsupported("a picture whose format has no name")
}

/// The visible part as RGBA of sRGB, with alpha where there is any.
pub(crate) fn rgba_of(frame: &VideoFrame) -> Result<Vec<u8>, MediaError> {
    let image = frame.resource.read_back()?;
    let rect = frame.visible_rect;
    let len = usize::try_from(rect.size().area().saturating_mul(4))
        .map_err(|_| MediaError::limit("picture"))?;
    let mut pixels = vec![0; len];
    let conversion = RgbConversion {
        rect,
        color_space: frame.color_space,
        keep_alpha: frame.format.is_some_and(PixelFormat::has_alpha),
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    let layout = PlaneLayout {
        offset: 0,
        stride: rect.width.saturating_mul(4),
    };
    to_rgb(&image, &conversion, layout, &mut pixels)?;
    Ok(pixels)
}

/// `frame` with other pixels, all of which are shown.
pub(crate) fn replaced(frame: &VideoFrame, image: CpuImage) -> VideoFrame {
    let made = VideoFrame::from_cpu(image, frame.timestamp, frame.duration, frame.color_space);
    VideoFrame {
        rotation: frame.rotation,
        flip: frame.flip,
        display_size: frame.display_size,
        ..made
    }
}

fn turn_plane<S: Sample>(plane: &Plane, size: Size, by: Rotation, flip: bool) -> Canvas {
    let (width, height) = (size.width as usize, size.height as usize);
    let (to_width, to_height) = if by.swaps_axes() {
        (height, width)
    } else {
        (width, height)
    };
    let mut data = vec![0; to_width * to_height * S::BYTES];
    for (y, row) in data
        .chunks_exact_mut((to_width * S::BYTES).max(1))
        .enumerate()
    {
        for (x, sample) in row.chunks_exact_mut(S::BYTES).enumerate() {
            // Mirrored last: so its place is looked up first.
            let x = if flip { to_width - 1 - x } else { x };
            let (from_x, from_y) = match by {
                Rotation::R0 => (x, y),
                Rotation::R90 => (y, height - 1 - x),
                Rotation::R180 => (width - 1 - x, height - 1 - y),
                Rotation::R270 => (width - 1 - y, x),
            };
            let at = from_y * plane.stride + from_x * S::BYTES;
            if let Some(from) = plane.data.get(at..at + S::BYTES) {
                sample.copy_from_slice(from);
            }
        }
    }
    Canvas {
        data,
        stride: to_width * S::BYTES,
    }
}

/// `weight` of `plane`, and the rest of `other`, or else of `fill`.
fn blend_plane<S: Sample>(
    plane: &Plane,
    other: Option<&Plane>,
    fill: u16,
    size: Size,
    weight: f64,
) -> Canvas {
    let stride = size.width as usize * S::BYTES;
    let mut data = vec![0; stride * size.height as usize];
    let first = (weight.clamp(0.0, 1.0) * 65_536.0).round() as u32;
    let second = 65_536 - first;
    let mix = |a: u32, b: u32| (a * first + b * second + 32_768) >> 16;
    for (y, row) in data.chunks_exact_mut(stride.max(1)).enumerate() {
        let from = plane
            .data
            .get(y * plane.stride..)
            .unwrap_or_default()
            .chunks_exact(S::BYTES);
        match other {
            None => {
                for (to, a) in row.chunks_exact_mut(S::BYTES).zip(from) {
                    S::write(mix(S::read(a), u32::from(fill)), to);
                }
            }
            Some(other) => {
                let others = other
                    .data
                    .get(y * other.stride..)
                    .unwrap_or_default()
                    .chunks_exact(S::BYTES);
                for ((to, a), b) in row.chunks_exact_mut(S::BYTES).zip(from).zip(others) {
                    S::write(mix(S::read(a), S::read(b)), to);
                }
            }
        }
    }
    Canvas { data, stride }
}
