//! Pictures that are brought to the size, format and colours of others.

use reelcore_media::convert::{effective_color_space, video_colors};
use reelcore_media::{ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use super::color::{FromYuv, ToYuv, alike, colors_of, is_rgb};
use super::light::Light;
use super::paint::{Canvas, Painter, Sample, finished, planar_of, replaced, unnamed, whole_chroma};
use crate::job::Color;

/// What pictures are like that others are brought to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) size: Size,
    /// Planar YUV without alpha.
    pub(crate) format: PixelFormat,
    pub(crate) alpha: bool,
    pub(crate) color: ColorSpace,
    pub(crate) display: Size,
}

impl Shape {
    /// Of an upright picture.
    pub(crate) fn of(frame: &VideoFrame) -> Self {
        Self {
            size: frame.visible_rect.size(),
            format: planar_of(frame.format.unwrap_or(PixelFormat::I420)),
            alpha: frame.format.is_some_and(PixelFormat::has_alpha),
            color: match is_rgb(frame) {
                true => video_colors(frame.color_space),
                false => frame.color_space,
            },
            display: frame.display_size,
        }
    }
}

impl Painter {
    /// Brought to `shape`: all of it is seen, between black bars where its aspect ratio is another.
    pub(crate) fn reshape(
        &mut self,
        frame: &VideoFrame,
        shape: &Shape,
    ) -> Result<VideoFrame, MediaError> {
        let frame = self.upright(frame)?;
        let wanted = effective_color_space(shape.color, shape.format, shape.size);
        let mut frame = self.recolor(&frame, wanted, shape)?;
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
        frame = match shape.alpha {
            true => self.with_alpha(&frame, shape.format, inner)?,
            false => self.fit(&frame, shape.format, inner)?,
        };
        // Of the same meaning, and said in the same words.
        frame.color_space = wanted;
        if inner != shape.size {
            let x = (shape.size.width - inner.width) / 2;
            let y = (shape.size.height - inner.height) / 2;
            frame = self.pad(&frame, shape.size, x & !1, y & !1, Color::default())?;
        }
        frame.color_space = shape.color;
        frame.display_size = shape.display;
        Ok(frame)
    }

    /// In the colours of `wanted`, of which nothing is unknown, as far as they differ.
    fn recolor(
        &mut self,
        frame: &VideoFrame,
        wanted: ColorSpace,
        shape: &Shape,
    ) -> Result<VideoFrame, MediaError> {
        // Pictures with alpha have 8 bits.
        let depth = match shape.alpha {
            true => 8,
            false => shape.format.bit_depth(),
        };
        let Some(mut image) = self.recolored(frame, wanted, depth)? else {
            return Ok(frame.clone());
        };
        let alpha = match shape.alpha {
            true => self.alpha(frame)?,
            false => None,
        };
        if let Some(data) = alpha {
            let size = image.size();
            let mut planes = image.planes().to_vec();
            let stride = size.width as usize;
            planes.push(finished(Canvas { data, stride }));
            image = CpuImage::new(PixelFormat::I444A, size, planes)?;
        }
        let mut made = replaced(frame, image);
        made.color_space = wanted;
        Ok(made)
    }

    /// The visible part in the colours of `wanted`, of which nothing is unknown, with chroma of full size and so many bits, without
    /// alpha; `None` where it has those colours.
    pub(crate) fn recolored(
        &mut self,
        frame: &VideoFrame,
        wanted: ColorSpace,
        depth: u32,
    ) -> Result<Option<CpuImage>, MediaError> {
        let format = frame.format.ok_or_else(unnamed)?;
        if !is_rgb(frame) && alike(colors_of(frame), wanted) {
            return Ok(None);
        }
        let size = frame.visible_rect.size();
        // Of RGB nothing is lost in 12 bits.
        let own = match is_rgb(frame) {
            true => PixelFormat::I444P12,
            false => whole_chroma(format.bit_depth()),
        };
        let picture = self.fit(frame, own, size)?;
        let from = colors_of(&picture);
        let format = whole_chroma(depth);
        let change = Change {
            from: FromYuv::new(from, own.bit_depth()),
            light: Light::between(from, wanted),
            to: ToYuv::new(wanted, format, size),
        };
        let image = picture.resource.read_back()?;
        let [y, u, v] = image.planes() else {
            return Err(MediaError::backend("a planar format has three planes"));
        };
        let planes = match (own.sample_bytes(0), format.sample_bytes(0)) {
            (1, 1) => change.planes::<u8, u8>([y, u, v], size),
            (1, _) => change.planes::<u8, u16>([y, u, v], size),
            (_, 1) => change.planes::<u16, u8>([y, u, v], size),
            _ => change.planes::<u16, u16>([y, u, v], size),
        };
        Ok(Some(CpuImage::new(
            format,
            size,
            planes.map(finished).into(),
        )?))
    }
}

/// From samples of one meaning to those of another.
struct Change {
    from: FromYuv,
    light: Option<Light>,
    to: ToYuv,
}

impl Change {
    /// Of planes that are all of `size`.
    fn planes<S: Sample, T: Sample>(&self, planes: [&Plane; 3], size: Size) -> [Canvas; 3] {
        let (width, height) = (size.width as usize, size.height as usize);
        let stride = width * T::BYTES;
        let mut out = [(); 3].map(|()| vec![0; stride * height]);
        let [ys, us, vs] = &mut out;
        let rows = ys
            .chunks_exact_mut(stride.max(1))
            .zip(us.chunks_exact_mut(stride.max(1)))
            .zip(vs.chunks_exact_mut(stride.max(1)));
        let mut last = ([0; 3], self.sample([0; 3]));
        for (row, ((ys, us), vs)) in rows.enumerate() {
            let [y, u, v] = planes.map(|plane| {
                let row = plane.data.get(row * plane.stride..).unwrap_or_default();
                row.chunks_exact(S::BYTES)
            });
            let to = ys
                .chunks_exact_mut(T::BYTES)
                .zip(us.chunks_exact_mut(T::BYTES))
                .zip(vs.chunks_exact_mut(T::BYTES));
            for (((y_to, u_to), v_to), ((y, u), v)) in to.zip(y.zip(u).zip(v)) {
                let samples = [y, u, v].map(S::read);
                // What is drawn is of one colour over wide areas.
                if last.0 != samples {
                    last = (samples, self.sample(samples));
                }
                let [y, u, v] = last.1.map(u32::from);
                T::write(y, y_to);
                T::write(u, u_to);
                T::write(v, v_to);
            }
        }
        out.map(|data| Canvas { data, stride })
    }

    fn sample(&self, samples: [u32; 3]) -> [u16; 3] {
        let signals = self.from.signals(samples);
        self.to.samples(match &self.light {
            Some(light) => light.convert(signals),
            None => signals,
        })
    }
}

/// Even, as chroma is of half size, and at least 2 where there is room.
fn even(value: u32, max: u32) -> u32 {
    (value.saturating_add(1) & !1).clamp(2.min(max), max)
}
