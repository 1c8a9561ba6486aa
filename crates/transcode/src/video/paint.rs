//! What is done to the pixels of one picture.

use bytes::Bytes;
use reelcore_engine::Engine;
use reelcore_media::convert::Fitter;
use reelcore_media::format::PixelLayout;
use reelcore_media::{CpuImage, MediaError, PixelFormat, Plane, Rect, Rotation, Size, VideoFrame};

use super::color::{ToYuv, colored_as};
use crate::job::Color;

/// The planar format without alpha that is nearest.
pub(crate) fn planar_of(format: PixelFormat) -> PixelFormat {
    match format.layout() {
        PixelLayout::Rgba | PixelLayout::Bgra => PixelFormat::I444,
        PixelLayout::Nv12 => PixelFormat::I420,
        _ => format.without_alpha(),
    }
}

/// Planar YUV of so many bits with chroma of full size.
pub(crate) fn whole_chroma(depth: u32) -> PixelFormat {
    match depth {
        8 => PixelFormat::I444,
        10 => PixelFormat::I444P10,
        _ => PixelFormat::I444P12,
    }
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
    pub(super) fitter: Fitter,
    /// Bytes of alpha that covers all, as many as were needed.
    pub(super) opaque: Bytes,
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
            opaque: Bytes::new(),
        }
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
        let size = frame.visible_rect.size();
        let (h, v) = format.subsampling(1);
        let (columns, rows) = mirrored(by, flip);
        // The last sample of an odd side belongs to one pixel, and would to two where it comes first.
        let halved =
            (columns && !size.width.is_multiple_of(h)) || (rows && !size.height.is_multiple_of(v));
        if halved || (by.swaps_axes() && h != v) {
            // Nor is there a format for chroma of half height.
            format = whole_chroma(format.bit_depth());
        }
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
            format = whole_chroma(format.bit_depth());
        }
        let planar = self.planar(frame, format, inner)?;
        let image = planar.resource.read_back()?;
        let format = image.format();
        let [cy, cu, cv] =
            ToYuv::new(planar.color_space, format.without_alpha(), inner).color(color);
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
        padded.display_size = resized(frame.display_size, inner, size);
        Ok(padded)
    }
}

/// The size at which pictures of `size` are shown, whose pixels have the shape of those of pictures of `before` that are shown at
/// `display`.
pub(crate) fn resized(display: Size, before: Size, size: Size) -> Size {
    let side = |display: u32, before: u32, now: u32| {
        let exact = u64::from(display) * u64::from(now) + u64::from(before) / 2;
        u32::try_from(exact / u64::from(before.max(1)))
            .unwrap_or(u32::MAX)
            .max(1)
    };
    Size::new(
        side(display.width, before.width, size.width),
        side(display.height, before.height, size.height),
    )
}

/// A finished plane.
pub(crate) fn finished(canvas: Canvas) -> Plane {
    Plane {
        data: canvas.data.into(),
        stride: canvas.stride,
    }
}

pub(crate) fn unnamed() -> MediaError {
    MediaError::unsupported("a picture whose format has no name")
}

/// `frame` with other pixels of the same colours, all of which are shown.
pub(crate) fn replaced(frame: &VideoFrame, image: CpuImage) -> VideoFrame {
    let made = VideoFrame::from_cpu(image, frame.timestamp, frame.duration, frame.color_space);
    let made = VideoFrame {
        rotation: frame.rotation,
        flip: frame.flip,
        display_size: frame.display_size,
        ..made
    };
    colored_as(frame, made)
}

/// Whether columns and rows of what is turned come in the opposite order.
fn mirrored(by: Rotation, flip: bool) -> (bool, bool) {
    match by {
        Rotation::R0 => (flip, false),
        Rotation::R90 => (false, !flip),
        Rotation::R180 => (!flip, true),
        Rotation::R270 => (true, flip),
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

#[cfg(test)]
mod tests {
    use super::super::alpha::samples_of;
    use super::*;
    use reelcore_conformance::encoding::scene_frame;

    fn planes(frame: &VideoFrame) -> Vec<Vec<u16>> {
        let image = frame.resource.read_back().expect("pixels");
        let size = image.size();
        let planes = image.planes().iter().enumerate();
        planes
            .map(|(index, plane)| samples_of::<u8>(plane, image.format().plane_size(index, size)))
            .collect()
    }

    #[test]
    fn chroma_of_odd_sides_stays_beside_its_pixels_when_they_change_places() {
        let mut painter = Painter::new(&Engine::new(Default::default()));
        let (odd, even) = (Size::new(33, 17), Size::new(34, 18));
        for (size, by, flip, kept) in [
            (odd, Rotation::R0, true, false),
            (odd, Rotation::R90, false, false),
            (odd, Rotation::R180, false, false),
            (odd, Rotation::R270, false, false),
            // Nothing is mirrored here, only rows and columns change places.
            (odd, Rotation::R90, true, true),
            (even, Rotation::R180, false, true),
            (even, Rotation::R270, true, true),
        ] {
            let frame = scene_frame(PixelFormat::I420, size, 3, 0);
            let turned = painter.rotate(&frame, by, flip).expect("a picture");
            assert_eq!(
                turned.format == Some(PixelFormat::I420),
                kept,
                "{by:?} {flip}"
            );
            if kept {
                // Every plane is turned alike.
                for (index, (found, plane)) in
                    planes(&turned).iter().zip(planes(&frame)).enumerate()
                {
                    let of = PixelFormat::I420.plane_size(index, size);
                    let (width, height) = (of.width as usize, of.height as usize);
                    let rows = match by {
                        Rotation::R180 => height,
                        _ => width,
                    };
                    for (at, sample) in found.iter().enumerate() {
                        let (y, x) = (at / (plane.len() / rows), at % (plane.len() / rows));
                        let (from_x, from_y) = match by {
                            Rotation::R180 => (width - 1 - x, height - 1 - y),
                            Rotation::R90 => (y, x),
                            _ => (width - 1 - y, height - 1 - x),
                        };
                        assert_eq!(*sample, plane[from_y * width + from_x], "{by:?} {index}");
                    }
                }
                continue;
            }
            // The same with each pixel's own chroma.
            let whole = painter
                .fit(&frame, PixelFormat::I444, size)
                .expect("a picture");
            let want = painter.rotate(&whole, by, flip).expect("a picture");
            assert_eq!(planes(&turned), planes(&want), "{by:?} {flip}");
        }
    }
}
