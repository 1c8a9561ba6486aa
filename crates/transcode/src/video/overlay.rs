//! Pictures over others.

use std::sync::Arc;

use reelcore_engine::Engine;
use reelcore_media::convert::effective_color_space;
use reelcore_media::{CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use super::color::ToYuv;
use super::paint::{Canvas, Painter, Sample, finished, replaced, rgba_of};
use super::time::{Shown, end_of};
use crate::error::JobError;
use crate::job::Overlay as Options;
use crate::stream::{Pictures, Pull};

/// What a pixel weighs that covers all.
const OPAQUE: u32 = 255 * 256;

/// A picture that is laid over: samples at full size in the base's colours, and weights of 0 to [`OPAQUE`].
pub(crate) struct Layer {
    size: Size,
    samples: [Vec<u16>; 3],
    weights: Vec<u32>,
}

impl Layer {
    /// `frame` upright, for a base like `base`.
    pub(crate) fn new(
        painter: &mut Painter,
        frame: &VideoFrame,
        base: &VideoFrame,
        opacity: f64,
    ) -> Result<Self, MediaError> {
        let frame = painter.upright(frame)?;
        let base_format = base.format.unwrap_or(PixelFormat::I420);
        let base_size = base.visible_rect.size();
        let format = frame.format.ok_or_else(super::paint::unnamed)?;
        let size = frame.visible_rect.size();
        let pixels = size.area() as usize;
        let opacity = (opacity.clamp(0.0, 1.0) * 256.0).round() as u32;
        let alpha = painter.alpha(&frame)?;
        let weights = match alpha {
            Some(alpha) => alpha
                .iter()
                .map(|&alpha| u32::from(alpha) * opacity)
                .collect(),
            None => vec![255 * opacity; pixels],
        };
        let full = match base_format.bit_depth() {
            8 => PixelFormat::I444,
            10 => PixelFormat::I444P10,
            _ => PixelFormat::I444P12,
        };
        let own = effective_color_space(frame.color_space, format, size);
        let wanted = effective_color_space(base.color_space, base_format, base_size);
        let mut samples = [Vec::new(), Vec::new(), Vec::new()];
        if !format.is_rgb() && own.matrix == wanted.matrix && own.full_range == wanted.full_range {
            let image = painter.fit(&frame, full, size)?.resource.read_back()?;
            for (samples, plane) in samples.iter_mut().zip(image.planes()) {
                *samples = match full.sample_bytes(0) {
                    1 => read_plane::<u8>(plane, size),
                    _ => read_plane::<u16>(plane, size),
                };
            }
        } else {
            // By way of sRGB of 8 bits: what is laid over is as a rule a drawing.
            let to = ToYuv::new(base.color_space, base_format, base_size);
            let mut last = ([0; 3], to.convert([0; 3]));
            for pixel in rgba_of(&frame)?.chunks_exact(4) {
                if let [r, g, b, _] = *pixel {
                    if last.0 != [r, g, b] {
                        last = ([r, g, b], to.convert([r, g, b]));
                    }
                    samples
                        .iter_mut()
                        .zip(last.1)
                        .for_each(|(plane, sample)| plane.push(sample));
                }
            }
        }
        Ok(Self {
            size,
            samples,
            weights,
        })
    }

    /// Laid over `base`, which is upright, with its left top corner at `x` and `y`.
    pub(crate) fn over(
        &self,
        painter: &mut Painter,
        base: &VideoFrame,
        x: i32,
        y: i32,
    ) -> Result<VideoFrame, MediaError> {
        let planar = painter.own_planar(base)?;
        let image = planar.resource.read_back()?;
        let (format, size) = (image.format(), image.size());
        let mut planes = Vec::with_capacity(4);
        for (index, plane) in image.planes().iter().enumerate() {
            planes.push(
                match (self.samples.get(index), format.sample_bytes(index)) {
                    // The base's own alpha: what is opaque in either is.
                    (None, _) => self.cover(plane, size, (x, y)),
                    (Some(samples), 1) => {
                        self.lay::<u8>(plane, samples, format, index, size, (x, y))
                    }
                    (Some(samples), _) => {
                        self.lay::<u16>(plane, samples, format, index, size, (x, y))
                    }
                },
            );
        }
        Ok(replaced(&planar, CpuImage::new(format, size, planes)?))
    }

    /// The place in the layer of a pixel of the base.
    fn place(&self, x: i64, y: i64) -> Option<usize> {
        let inside = (0..i64::from(self.size.width)).contains(&x)
            && (0..i64::from(self.size.height)).contains(&y);
        inside.then(|| y as usize * self.size.width as usize + x as usize)
    }

    fn lay<S: Sample>(
        &self,
        plane: &Plane,
        samples: &[u16],
        format: PixelFormat,
        index: usize,
        size: Size,
        at: (i32, i32),
    ) -> Plane {
        let area = format.plane_size(index, size);
        let (h, v) = format.subsampling(index);
        let (h, v) = (i64::from(h), i64::from(v));
        let stride = area.width as usize * S::BYTES;
        let mut data = Vec::with_capacity(stride * area.height as usize);
        for row in plane
            .data
            .chunks(plane.stride.max(1))
            .take(area.height as usize)
        {
            data.extend_from_slice(row.get(..stride).unwrap_or_default());
        }
        let (left, top) = (i64::from(at.0), i64::from(at.1));
        // Only what the layer touches.
        let span = |start: i64, length: u32, step: i64, max: u32| {
            let from = start.max(0) / step;
            let to = (start + i64::from(length) + step - 1).max(0) / step;
            from.min(i64::from(max))..to.min(i64::from(max))
        };
        let columns = span(left, self.size.width, h, area.width);
        for row in span(top, self.size.height, v, area.height) {
            for column in columns.clone() {
                let (mut count, mut weight, mut sum) = (0u64, 0u64, 0u64);
                for y in row * v..(row * v + v).min(i64::from(size.height)) {
                    for x in column * h..(column * h + h).min(i64::from(size.width)) {
                        count += 1;
                        let Some(place) = self.place(x - left, y - top) else {
                            continue;
                        };
                        let own = u64::from(self.weights.get(place).copied().unwrap_or(0));
                        weight += own;
                        sum += own * u64::from(samples.get(place).copied().unwrap_or(0));
                    }
                }
                let offset = row as usize * stride + column as usize * S::BYTES;
                let Some(bytes) = data.get_mut(offset..offset + S::BYTES) else {
                    continue;
                };
                let whole = count * u64::from(OPAQUE);
                if weight == 0 || whole == 0 {
                    continue;
                }
                let under = u64::from(S::read(bytes));
                let mixed = (under * (whole - weight) + sum + whole / 2) / whole;
                S::write(mixed as u32, bytes);
            }
        }
        finished(Canvas { data, stride })
    }

    /// The base's alpha under the layer's.
    fn cover(&self, plane: &Plane, size: Size, at: (i32, i32)) -> Plane {
        let (width, left, top) = (size.width as usize, i64::from(at.0), i64::from(at.1));
        let mut data = Vec::with_capacity(width * size.height as usize);
        for row in plane
            .data
            .chunks(plane.stride.max(1))
            .take(size.height as usize)
        {
            data.extend_from_slice(row.get(..width).unwrap_or_default());
        }
        for (index, alpha) in data.iter_mut().enumerate() {
            let (x, y) = ((index % width.max(1)) as i64, (index / width.max(1)) as i64);
            if let Some(place) = self.place(x - left, y - top) {
                let own = u64::from(self.weights.get(place).copied().unwrap_or(0));
                let whole = u64::from(OPAQUE);
                *alpha =
                    ((u64::from(*alpha) * (whole - own) + 255 * own + whole / 2) / whole) as u8;
            }
        }
        finished(Canvas {
            data,
            stride: width,
        })
    }
}

fn read_plane<S: Sample>(plane: &Plane, size: Size) -> Vec<u16> {
    let width = size.width as usize * S::BYTES;
    let rows = plane
        .data
        .chunks(plane.stride.max(1))
        .take(size.height as usize);
    rows.flat_map(|row| row.get(..width).unwrap_or_default().chunks_exact(S::BYTES))
        .map(|sample| S::read(sample) as u16)
        .collect()
}

/// The filter.
pub(crate) struct Overlay {
    input: Pictures,
    over: Shown,
    options: Options,
    painter: Painter,
    /// The layer that was made last, with the picture that it was made of.
    layer: Option<(VideoFrame, Layer)>,
}

impl Overlay {
    pub(crate) fn new(engine: &Engine, input: Pictures, over: Pictures, options: Options) -> Self {
        Self {
            input,
            over: Shown::new(over),
            options,
            painter: Painter::new(engine),
            layer: None,
        }
    }
}

impl Pull<VideoFrame> for Overlay {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        let Some(base) = self.input.next()? else {
            return Ok(None);
        };
        let base = self.painter.upright(&base)?;
        let from = self.options.from.unwrap_or_default().0;
        let to = self.options.to.map_or(i64::MAX, |to| to.0);
        if base.timestamp < from || base.timestamp >= to {
            return Ok(Some(base));
        }
        let time = base.timestamp - from;
        let (Some(over), _) = self.over.at(time)? else {
            return Ok(Some(base));
        };
        if time >= end_of(over) {
            return Ok(Some(base));
        }
        let same = |(of, _): &&mut (VideoFrame, Layer)| Arc::ptr_eq(&of.resource, &over.resource);
        let layer = match self.layer.as_mut().filter(same) {
            Some((_, layer)) => layer,
            None => {
                let layer = Layer::new(&mut self.painter, over, &base, self.options.opacity)?;
                &mut self.layer.insert((over.clone(), layer)).1
            }
        };
        let (x, y) = (self.options.x, self.options.y);
        Ok(Some(layer.over(&mut self.painter, &base, x, y)?))
    }
}
