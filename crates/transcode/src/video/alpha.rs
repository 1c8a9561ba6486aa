//! Pictures with alpha, which is straight: colours are not weighed by it.

use reelcore_media::format::PixelLayout;
use reelcore_media::{CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use super::color::colored_as;
use super::paint::{Canvas, Painter, Sample, finished, planar_of, replaced, unnamed};

/// The bits of samples while they are scaled.
const DEEP: u32 = 12;
/// The alpha of those that covers all.
const DEEP_OPAQUE: u32 = (1 << DEEP) - 1;

/// The format with alpha of 8 bits. Formats with alpha of more bits are rare: they lose depth rather than alpha.
fn with_alpha(format: PixelFormat) -> (PixelFormat, PixelFormat) {
    match format.layout() {
        PixelLayout::Yuv422 => (PixelFormat::I422, PixelFormat::I422A),
        PixelLayout::Yuv444 | PixelLayout::Rgba | PixelLayout::Bgra => {
            (PixelFormat::I444, PixelFormat::I444A)
        }
        PixelLayout::Yuv420 | PixelLayout::Nv12 => (PixelFormat::I420, PixelFormat::I420A),
    }
}

/// The same subsampling in 12 bits, without alpha.
fn deep(format: PixelFormat) -> PixelFormat {
    match format.layout() {
        PixelLayout::Yuv422 => PixelFormat::I422P12,
        PixelLayout::Yuv444 | PixelLayout::Rgba | PixelLayout::Bgra => PixelFormat::I444P12,
        PixelLayout::Yuv420 | PixelLayout::Nv12 => PixelFormat::I420P12,
    }
}

impl Painter {
    /// The visible part, planar YUV of `format` or of the nearest one with alpha where the picture has alpha, scaled to
    /// `size`. A picture that fits is handed on.
    pub(crate) fn planar(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        match frame.format.is_some_and(PixelFormat::has_alpha) {
            true => self.with_alpha(frame, format, size),
            false => self.fit(frame, format, size),
        }
    }

    /// As [`Painter::planar`] with the picture's own size and nearest format.
    pub(crate) fn own_planar(&mut self, frame: &VideoFrame) -> Result<VideoFrame, MediaError> {
        let format = planar_of(frame.format.ok_or_else(unnamed)?);
        self.planar(frame, format, frame.visible_rect.size())
    }

    /// As [`Painter::planar`], with alpha in any case: a picture without it is opaque.
    pub(crate) fn with_alpha(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        let (eight, format) = with_alpha(format);
        let picture = self.fit(frame, eight, size)?;
        let image = picture.resource.read_back()?;
        let has_alpha = frame.format.is_some_and(PixelFormat::has_alpha);
        let planes = match has_alpha && size != frame.visible_rect.size() {
            true => self.weighed(frame, &image, size)?,
            false => {
                let alpha = self.fitter.alpha(frame, PixelFormat::I420, size)?;
                let alpha = alpha.resource.read_back()?;
                let colors = image.planes().iter().take(3);
                colors.chain(alpha.planes().first()).cloned().collect()
            }
        };
        let made = replaced(&picture, CpuImage::new(format, size, planes)?);
        Ok(made)
    }

    /// The planes of `frame` scaled to `size`, and its alpha: each pixel counts as much as it covers. `plain` is what comes of
    /// pixels that count alike, which stays where nothing is covered.
    fn weighed(
        &mut self,
        frame: &VideoFrame,
        plain: &CpuImage,
        size: Size,
    ) -> Result<Vec<Plane>, MediaError> {
        let own = deep(planar_of(frame.format.ok_or_else(unnamed)?));
        let wanted = plain.format();
        let visible = frame.visible_rect.size();
        let picture = self.fitter.fit(frame, own, visible)?;
        let alpha = self.fitter.alpha(frame, PixelFormat::I420P12, visible)?;
        let (image, alpha) = (picture.resource.read_back()?, alpha.resource.read_back()?);
        let Some(alpha) = alpha.planes().first() else {
            return Err(MediaError::backend("alpha without a plane"));
        };
        let (mut colors, mut covers) = (Vec::with_capacity(3), Vec::with_capacity(3));
        for (index, plane) in image.planes().iter().take(3).enumerate() {
            let cover = shares::<u16>(alpha, visible, own, index);
            let area = own.plane_size(index, visible);
            let mut samples = samples_of::<u16>(plane, area);
            for (sample, &cover) in samples.iter_mut().zip(&cover) {
                *sample = ((u32::from(*sample) * u32::from(cover) + DEEP_OPAQUE / 2) / DEEP_OPAQUE)
                    as u16;
            }
            colors.push(plane_of::<u16>(&samples, area));
            covers.push(plane_of::<u16>(&cover, area));
        }
        // Alpha at each plane's own size goes through the same filter as the samples do.
        let mut scaled = |planes: Vec<Plane>| {
            let image = CpuImage::new(own, visible, planes)?;
            let scaled = self
                .fitter
                .fit(&replaced(&picture, image), deep(wanted), size)?;
            scaled.resource.read_back()
        };
        let (colors, covers) = (scaled(colors)?, scaled(covers)?);
        let mut planes = Vec::with_capacity(4);
        let both = colors.planes().iter().zip(covers.planes());
        for (index, ((color, cover), plain)) in both.zip(plain.planes()).take(3).enumerate() {
            let area = wanted.plane_size(index, size);
            let mut samples = samples_of::<u8>(plain, area);
            let (color, cover) = (
                samples_of::<u16>(color, area),
                samples_of::<u16>(cover, area),
            );
            for ((sample, color), cover) in samples.iter_mut().zip(color).zip(cover) {
                // Of less the colour is not known, and it is not seen.
                if eighth(cover) > 0 {
                    let (color, cover) = (u32::from(color), u32::from(cover));
                    let straight = (color * DEEP_OPAQUE + cover / 2) / cover;
                    *sample = ((straight + 8) >> (DEEP - 8)).min(255) as u16;
                }
            }
            planes.push(plane_of::<u8>(&samples, area));
        }
        if let Some(cover) = covers.planes().first() {
            let alpha: Vec<u16> = samples_of::<u16>(cover, size)
                .into_iter()
                .map(eighth)
                .collect();
            planes.push(plane_of::<u8>(&alpha, size));
        }
        Ok(planes)
    }

    /// Without alpha, of `format` and `size`.
    pub(crate) fn fit(
        &mut self,
        frame: &VideoFrame,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        Ok(colored_as(frame, self.fitter.fit(frame, format, size)?))
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
}

/// Alpha of 12 bits in 8.
fn eighth(alpha: u16) -> u16 {
    ((u32::from(alpha).min(DEEP_OPAQUE) * 255 + DEEP_OPAQUE / 2) / DEEP_OPAQUE) as u16
}

/// The samples of a plane of that size.
pub(crate) fn samples_of<S: Sample>(plane: &Plane, size: Size) -> Vec<u16> {
    let width = size.width as usize * S::BYTES;
    let rows = plane
        .data
        .chunks(plane.stride.max(1))
        .take(size.height as usize);
    rows.flat_map(|row| row.get(..width).unwrap_or_default().chunks_exact(S::BYTES))
        .map(|sample| S::read(sample) as u16)
        .collect()
}

fn plane_of<S: Sample>(samples: &[u16], size: Size) -> Plane {
    let stride = size.width as usize * S::BYTES;
    let mut data = vec![0; stride * size.height as usize];
    for (to, &sample) in data.chunks_exact_mut(S::BYTES).zip(samples) {
        S::write(sample.into(), to);
    }
    finished(Canvas { data, stride })
}

/// The alpha of each sample of a plane of `format`: the mean of the pixels that share it. `alpha` is that of a picture of `size`.
pub(crate) fn shares<S: Sample>(
    alpha: &Plane,
    size: Size,
    format: PixelFormat,
    plane: usize,
) -> Vec<u16> {
    let alpha = samples_of::<S>(alpha, size);
    let (h, v) = format.subsampling(plane);
    if (h, v) == (1, 1) {
        return alpha;
    }
    let width = (size.width as usize).max(1);
    let (h, v) = (h as usize, v as usize);
    let columns = width.div_ceil(h);
    let mut means = Vec::with_capacity(columns * (size.height as usize).div_ceil(v));
    for rows in alpha.chunks(width * v) {
        for column in 0..columns {
            let (mut sum, mut count) = (0u32, 0u32);
            for row in rows.chunks_exact(width) {
                let end = (column * h + h).min(width);
                for &alpha in row.get(column * h..end).unwrap_or_default() {
                    sum += u32::from(alpha);
                    count += 1;
                }
            }
            means.push(((sum + count / 2) / count.max(1)) as u16);
        }
    }
    means
}
