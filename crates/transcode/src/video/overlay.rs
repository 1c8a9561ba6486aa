//! Pictures over others.

use std::sync::Arc;

use reelcore_engine::Engine;
use reelcore_media::{ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use super::alpha::{is_opaque, samples_of};
use super::color::colors_of;
use super::paint::{Canvas, Painter, Sample, finished, replaced, unnamed, whole_chroma};
use super::time::{Shown, end_of, split_off, stands_still};
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
    /// `frame` upright, for a base like `base`, which is planar.
    pub(crate) fn new(
        painter: &mut Painter,
        frame: &VideoFrame,
        base: &VideoFrame,
        opacity: f64,
    ) -> Result<Self, MediaError> {
        let frame = painter.upright(frame)?;
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
        let depth = base.format.ok_or_else(unnamed)?.bit_depth();
        let full = whole_chroma(depth);
        let image = match painter.recolored(&frame, colors_of(base), depth)? {
            Some(image) => Arc::new(image),
            None => painter.fit(&frame, full, size)?.resource.read_back()?,
        };
        let samples = [0, 1, 2].map(|index| match image.planes().get(index) {
            Some(plane) if full.sample_bytes(index) == 1 => samples_of::<u8>(plane, size),
            Some(plane) => samples_of::<u16>(plane, size),
            None => Vec::new(),
        });
        Ok(Self {
            size,
            samples,
            weights,
        })
    }

    /// Laid over `base`, which is upright and planar, with its left top corner at `x` and `y`.
    pub(crate) fn over(&self, base: &VideoFrame, x: i32, y: i32) -> Result<VideoFrame, MediaError> {
        let image = base.resource.read_back()?;
        let format = base.format.ok_or_else(unnamed)?;
        let size = image.size();
        let alpha = match is_opaque(base)? {
            true => None,
            false => image
                .planes()
                .get(3)
                .map(|plane| samples_of::<u8>(plane, size)),
        };
        let under = Under {
            format,
            size,
            alpha,
        };
        let mut planes = Vec::with_capacity(4);
        let own = image.planes().iter().take(format.num_planes());
        for (index, plane) in own.enumerate() {
            planes.push(
                match (self.samples.get(index), format.sample_bytes(index)) {
                    // The base's own alpha: what is opaque in either is.
                    (None, _) if under.alpha.is_none() => plane.clone(),
                    (None, _) => self.cover(plane, size, (x, y)),
                    (Some(samples), 1) => self.lay::<u8>(plane, samples, &under, index, (x, y)),
                    (Some(samples), _) => self.lay::<u16>(plane, samples, &under, index, (x, y)),
                },
            );
        }
        Ok(replaced(base, CpuImage::new(format, size, planes)?))
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
        under: &Under,
        index: usize,
        at: (i32, i32),
    ) -> Plane {
        let size = under.size;
        let area = under.format.plane_size(index, size);
        let (h, v) = under.format.subsampling(index);
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
                // What the layer and the base have of the sample, in parts of 255 times `OPAQUE` for each pixel.
                let (mut over, mut rest, mut sum) = (0u64, 0u64, 0u64);
                for y in row * v..(row * v + v).min(i64::from(size.height)) {
                    for x in column * h..(column * h + h).min(i64::from(size.width)) {
                        let place = self.place(x - left, y - top);
                        let weight = place.and_then(|place| self.weights.get(place));
                        let own = u64::from(weight.copied().unwrap_or(0));
                        let sample = place.and_then(|place| samples.get(place));
                        over += own * 255;
                        sum += own * 255 * u64::from(sample.copied().unwrap_or(0));
                        rest += (u64::from(OPAQUE) - own) * under.alpha(x, y);
                    }
                }
                let offset = row as usize * stride + column as usize * S::BYTES;
                let Some(bytes) = data.get_mut(offset..offset + S::BYTES) else {
                    continue;
                };
                if over == 0 {
                    continue;
                }
                let whole = over + rest;
                let mixed = (u64::from(S::read(bytes)) * rest + sum + whole / 2) / whole;
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

/// What a layer is laid over.
struct Under {
    format: PixelFormat,
    size: Size,
    /// Of each pixel, where there is any.
    alpha: Option<Vec<u16>>,
}

impl Under {
    /// The alpha of a pixel, up to 255.
    fn alpha(&self, x: i64, y: i64) -> u64 {
        let Some(alpha) = &self.alpha else {
            return 255;
        };
        let place = y as usize * self.size.width as usize + x as usize;
        alpha.get(place).copied().unwrap_or(0).into()
    }
}

/// The filter.
pub(crate) struct Overlay {
    input: Pictures,
    /// Until nothing of it is wanted any more.
    over: Option<Shown>,
    options: Options,
    painter: Painter,
    /// The layer that was made last, with what it was made of and for.
    layer: Option<(Made, Layer)>,
    /// What is left of a picture that stands still.
    rest: Option<VideoFrame>,
}

/// What a layer is made of and for.
struct Made {
    of: VideoFrame,
    format: Option<PixelFormat>,
    colors: ColorSpace,
}

impl Made {
    fn is(&self, of: &VideoFrame, base: &VideoFrame) -> bool {
        Arc::ptr_eq(&self.of.resource, &of.resource)
            && self.of.visible_rect == of.visible_rect
            && self.format == base.format
            && self.colors == colors_of(base)
    }
}

impl Overlay {
    pub(crate) fn new(engine: &Engine, input: Pictures, over: Pictures, options: Options) -> Self {
        Self {
            input,
            over: Some(Shown::new(over)),
            options,
            painter: Painter::new(engine),
            layer: None,
            rest: None,
        }
    }
}

impl Pull<VideoFrame> for Overlay {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        let (mut base, still) = match self.rest.take() {
            Some(rest) => (rest, true),
            None => {
                let Some(base) = self.input.next()? else {
                    return Ok(None);
                };
                let still = stands_still(&base);
                (self.painter.upright(&base)?, still)
            }
        };
        let from = self.options.from.unwrap_or_default().0;
        let to = self.options.to.map_or(i64::MAX, |to| to.0);
        let (mut over, mut change) = (None, Some(from));
        if base.timestamp >= to {
            // Times only grow: what lies over it is neither decoded nor kept for nothing.
            (self.over, self.layer, change) = (None, None, None);
        } else if base.timestamp >= from
            && let Some(shown) = &mut self.over
        {
            let time = base.timestamp - from;
            let (shown, next) = shown.at(time)?;
            over = shown.filter(|over| time < end_of(over)).cloned();
            // Where what lies over changes, ends, or is no longer wanted.
            let end = over.as_ref().map(end_of);
            change = [next, end].into_iter().flatten().min();
            change = change.map(|change| change.saturating_add(from).min(to));
        }
        if still {
            self.rest = split_off(&mut base, change);
        }
        let Some(over) = over else {
            return Ok(Some(base));
        };
        let base = self.painter.own_planar(&base)?;
        let layer = match self
            .layer
            .as_mut()
            .filter(|(made, _)| made.is(&over, &base))
        {
            Some((_, layer)) => layer,
            None => {
                let layer = Layer::new(&mut self.painter, &over, &base, self.options.opacity)?;
                let made = Made {
                    format: base.format,
                    colors: colors_of(&base),
                    of: over,
                };
                &mut self.layer.insert((made, layer)).1
            }
        };
        let (x, y) = (self.options.x, self.options.y);
        Ok(Some(layer.over(&base, x, y)?))
    }
}
