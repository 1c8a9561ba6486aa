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
        let opaque = is_opaque(frame)?;
        if !opaque && size != frame.visible_rect.size() {
            return self.weighed(frame, eight, format, size);
        }
        let picture = self.fit(frame, eight, size)?;
        let image = picture.resource.read_back()?;
        let mut planes: Vec<Plane> = image.planes().iter().take(3).cloned().collect();
        if opaque {
            planes.push(self.opaque_plane(size));
        } else {
            let alpha = self.fitter.alpha(frame, PixelFormat::I420, size)?;
            planes.extend(alpha.resource.read_back()?.planes().first().cloned());
        }
        Ok(replaced(&picture, CpuImage::new(format, size, planes)?))
    }

    /// Alpha of 8 bits that covers all. Its bytes are the same for all pictures.
    fn opaque_plane(&mut self, size: Size) -> Plane {
        let stride = size.width as usize;
        let bytes = stride * size.height as usize;
        if self.opaque.len() < bytes {
            self.opaque = vec![u8::MAX; bytes].into();
        }
        Plane {
            data: self.opaque.slice(..bytes),
            stride,
        }
    }

    /// `frame`, which has alpha, scaled to `size`: each pixel counts as much as it covers. Where nothing is covered, all pixels count
    /// alike. Of `format`, which is `eight` with alpha.
    fn weighed(
        &mut self,
        frame: &VideoFrame,
        eight: PixelFormat,
        format: PixelFormat,
        size: Size,
    ) -> Result<VideoFrame, MediaError> {
        let own = deep(planar_of(frame.format.ok_or_else(unnamed)?));
        let visible = frame.visible_rect.size();
        let picture = self.fitter.fit(frame, own, visible)?;
        let alpha = self.fitter.alpha(frame, PixelFormat::I420P12, visible)?;
        let (image, alpha) = (picture.resource.read_back()?, alpha.resource.read_back()?);
        let Some(alpha) = alpha.planes().first() else {
            return Err(MediaError::backend("alpha without a plane"));
        };
        // Of luma, and of both planes of chroma.
        let cover = [0, 1].map(|index| shares::<u16>(alpha, visible, own, index));
        let planes = image.planes().iter().zip([&cover[0], &cover[1], &cover[1]]);
        let colors = planes.enumerate().map(|(index, (plane, cover))| {
            let area = own.plane_size(index, visible);
            let stride = area.width as usize * 2;
            let mut data = vec![0; stride * area.height as usize];
            let rows = data.chunks_exact_mut(stride.max(1));
            let from = plane.data.chunks(plane.stride.max(1));
            let covers = cover.chunks((area.width as usize).max(1));
            for ((row, from), cover) in rows.zip(from).zip(covers) {
                let samples = row.chunks_exact_mut(2).zip(from.chunks_exact(2));
                for ((to, from), &cover) in samples.zip(cover) {
                    let color = u16::read(from) * u32::from(cover);
                    u16::write((color + DEEP_OPAQUE / 2) / DEEP_OPAQUE, to);
                }
            }
            finished(Canvas { data, stride })
        });
        let colors = CpuImage::new(own, visible, colors.collect())?;
        // Alpha at each plane's own size goes through the same filter as the samples do.
        let [luma, chroma] =
            [0, 1].map(|index| plane_of::<u16>(&cover[index], own.plane_size(index, visible)));
        let covers = CpuImage::new(own, visible, vec![luma, chroma.clone(), chroma])?;
        let mut scaled = |image| {
            self.fitter
                .fit(&replaced(&picture, image), deep(eight), size)
        };
        let (made, covers) = (scaled(colors)?, scaled(covers)?);
        let (colors, covers) = (made.resource.read_back()?, covers.resource.read_back()?);
        let areas = [0, 1, 2].map(|index| eight.plane_size(index, size));
        let all_seen = covers.planes().iter().zip(areas).all(|(cover, area)| {
            let mut samples = rows_of::<u16>(cover, area).flat_map(|row| row.chunks_exact(2));
            samples.all(|cover| eighth(u16::read(cover)) > 0)
        });
        // Of what covers less the colour is not known, and it is not seen.
        let plain = match all_seen {
            true => None,
            false => Some(self.fit(frame, eight, size)?.resource.read_back()?),
        };
        let full_range = picture.color_space.full_range == Some(true);
        let mut planes = Vec::with_capacity(4);
        let both = colors.planes().iter().zip(covers.planes()).zip(areas);
        for (index, ((color, cover), area)) in both.enumerate() {
            let stride = area.width as usize;
            let mut data = Vec::with_capacity(stride * area.height as usize);
            if let Some(plane) = plain.as_ref().and_then(|plain| plain.planes().get(index)) {
                rows_of::<u8>(plane, area).for_each(|row| data.extend_from_slice(row));
            }
            data.resize(stride * area.height as usize, 0);
            let rows = data.chunks_exact_mut(stride.max(1));
            let from = rows_of::<u16>(color, area).zip(rows_of::<u16>(cover, area));
            for (row, (color, cover)) in rows.zip(from) {
                let samples = color.chunks_exact(2).zip(cover.chunks_exact(2));
                for (to, (color, cover)) in row.iter_mut().zip(samples) {
                    let (color, cover) = (u16::read(color), u16::read(cover));
                    let straight = match cover {
                        DEEP_OPAQUE => color,
                        _ if eighth(cover) == 0 => continue,
                        _ => (color * DEEP_OPAQUE + cover / 2) / cover,
                    };
                    *to = match full_range {
                        true => full_range_eighth(straight, index > 0),
                        false => ((straight + 8) >> (DEEP - 8)).min(255) as u8,
                    };
                }
            }
            planes.push(finished(Canvas { data, stride }));
        }
        if let Some(cover) = covers.planes().first() {
            let rows = rows_of::<u16>(cover, size);
            let alpha = rows.flat_map(|row| row.chunks_exact(2));
            planes.push(finished(Canvas {
                data: alpha.map(|alpha| eighth(u16::read(alpha))).collect(),
                stride: size.width as usize,
            }));
        }
        let image = CpuImage::new(format, size, planes)?;
        Ok(replaced(&colored_as(frame, made), image))
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

    /// The alpha of `frame` as rows of `size.width` bytes, unless it is opaque.
    pub(crate) fn alpha(&mut self, frame: &VideoFrame) -> Result<Option<Vec<u8>>, MediaError> {
        if is_opaque(frame)? {
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
        Ok(Some(
            rows_of::<u8>(plane, size).flatten().copied().collect(),
        ))
    }
}

/// Whether nothing can be seen through `frame`.
pub(crate) fn is_opaque(frame: &VideoFrame) -> Result<bool, MediaError> {
    if !frame.format.is_some_and(PixelFormat::has_alpha) {
        return Ok(true);
    }
    let image = frame.resource.read_back()?;
    let rect = frame.visible_rect;
    let (x, width) = (rect.x as usize, rect.width as usize);
    // A row at a time: within one nothing is decided, which is fast.
    let all = |plane: &Plane, bytes: usize, covered: fn(&[u8], u32) -> bool, max: u32| {
        let rows = plane.data.chunks(plane.stride.max(1));
        let mut rows = rows.skip(rect.y as usize).take(rect.height as usize);
        rows.all(|row| {
            let row = row.get(x * bytes..(x + width) * bytes);
            row.is_some_and(|row| covered(row, max))
        })
    };
    let depth = image.format().bit_depth();
    Ok(match image.planes() {
        [_, _, _, alpha] if depth == 8 => all(
            alpha,
            1,
            |row, _| row.iter().fold(u8::MAX, |all, alpha| all & alpha) == u8::MAX,
            0,
        ),
        [_, _, _, alpha] => all(
            alpha,
            2,
            |row, max| {
                let samples = row.chunks_exact(2).map(u16::read);
                samples.fold(u32::MAX, |all, alpha| all.min(alpha)) >= max
            },
            (1 << depth) - 1,
        ),
        [pixels, ..] => all(
            pixels,
            4,
            |row, _| {
                let alpha = row.chunks_exact(4).map(|pixel| pixel[3]);
                alpha.fold(u8::MAX, |all, alpha| all & alpha) == u8::MAX
            },
            0,
        ),
        [] => false,
    })
}

/// Alpha of 12 bits in 8.
fn eighth(alpha: u32) -> u8 {
    ((alpha.min(DEEP_OPAQUE) * 255 + DEEP_OPAQUE / 2) / DEEP_OPAQUE) as u8
}

/// A sample of full range of 12 bits in 8: chroma about the middle, luma as alpha.
fn full_range_eighth(sample: u32, chroma: bool) -> u8 {
    if !chroma {
        return eighth(sample);
    }
    // What the middles are apart, in steps of 1 / DEEP_OPAQUE: as `Fitter` has it.
    const GREY: u32 = (DEEP_OPAQUE << 7) - (255 << (DEEP - 1));
    ((sample.min(DEEP_OPAQUE) * 255 + GREY + DEEP_OPAQUE / 2) / DEEP_OPAQUE) as u8
}

/// The rows of a plane of that size, without what pads them.
fn rows_of<S: Sample>(plane: &Plane, size: Size) -> impl Iterator<Item = &[u8]> {
    let width = size.width as usize * S::BYTES;
    let rows = plane.data.chunks(plane.stride.max(1));
    rows.take(size.height as usize)
        .map(move |row| row.get(..width).unwrap_or_default())
}

/// The samples of a plane of that size.
pub(crate) fn samples_of<S: Sample>(plane: &Plane, size: Size) -> Vec<u16> {
    rows_of::<S>(plane, size)
        .flat_map(|row| row.chunks_exact(S::BYTES))
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

#[cfg(test)]
mod tests {
    use reelcore_conformance::encoding::scene_frame;
    use reelcore_engine::Engine;
    use reelcore_media::Rect;

    use super::*;

    /// `frame`, which is planar of 8 bits, with `alpha` of each pixel.
    fn covered(frame: &VideoFrame, alpha: impl Fn(usize) -> u16) -> VideoFrame {
        let image = frame.resource.read_back().expect("pixels");
        let size = image.size();
        let alpha: Vec<u16> = (0..size.area() as usize).map(alpha).collect();
        let mut planes = image.planes().to_vec();
        planes.push(plane_of::<u8>(&alpha, size));
        let (_, format) = with_alpha(image.format());
        replaced(
            frame,
            CpuImage::new(format, size, planes).expect("a picture"),
        )
    }

    fn samples(frame: &VideoFrame) -> Vec<Vec<u16>> {
        let image = frame.resource.read_back().expect("pixels");
        let (format, size) = (image.format(), image.size());
        let planes = image.planes().iter().enumerate();
        planes
            .map(|(index, plane)| samples_of::<u8>(plane, format.plane_size(index, size)))
            .collect()
    }

    #[test]
    fn what_is_opaque_everywhere_is_scaled_as_what_has_no_alpha() {
        let mut painter = Painter::new(&Engine::new(Default::default()));
        let (size, small) = (Size::new(64, 48), Size::new(22, 18));
        for format in [PixelFormat::I420, PixelFormat::I422, PixelFormat::I444] {
            let frame = scene_frame(format, size, 3, 0);
            let opaque = covered(&frame, |_| 255);
            assert!(is_opaque(&opaque).expect("pixels"));
            let mut want = samples(&painter.fit(&frame, format, small).expect("a picture"));
            want.push(vec![255; small.area() as usize]);
            // A larger one before, whose alpha is shared.
            painter.with_alpha(&opaque, format, size).expect("one");
            let got = painter.planar(&opaque, format, small).expect("a picture");
            assert!(samples(&got) == want, "{format:?}");
        }
    }

    #[test]
    fn a_colour_of_either_range_stays_what_it_is_where_its_alpha_is_scaled_too() {
        let mut painter = Painter::new(&Engine::new(Default::default()));
        let (size, small) = (Size::new(64, 48), Size::new(22, 18));
        let mut frame = scene_frame(PixelFormat::I444, size, 3, 0);
        for full_range in [false, true] {
            frame.color_space.full_range = Some(full_range);
            for sample in (0..=255).step_by(15).chain([1, 128, 200, 254]) {
                let flat = vec![sample; size.area() as usize];
                let planes = vec![plane_of::<u8>(&flat, size); 3];
                let image = CpuImage::new(PixelFormat::I444, size, planes).expect("a picture");
                let half = covered(&replaced(&frame, image), |_| 128);
                let got = painter.planar(&half, PixelFormat::I444, small);
                for plane in &samples(&got.expect("a picture"))[..3] {
                    let same = plane.iter().all(|&got| got == sample);
                    assert!(same, "{sample}, full range {full_range}: {plane:?}");
                }
            }
        }
    }

    #[test]
    fn one_pixel_that_can_be_seen_through_is_found_where_it_is_shown() {
        let size = Size::new(64, 48);
        let frame = scene_frame(PixelFormat::I420, size, 3, 0);
        for at in [0, 63, 64 * 20 + 30, 64 * 48 - 1] {
            let mut holed = covered(&frame, |pixel| if pixel == at { 254 } else { 255 });
            assert!(!is_opaque(&holed).expect("pixels"), "{at}");
            holed.visible_rect = Rect {
                x: 2,
                y: 2,
                width: 60,
                height: 44,
            };
            let inside = at == 64 * 20 + 30;
            assert_eq!(is_opaque(&holed).expect("pixels"), !inside, "{at}");
        }
    }
}
