//! Pictures that become others.

use reelcore_media::{CpuImage, MediaError, PixelFormat, Plane, Size, VideoFrame};

use super::alpha::{is_opaque, shares};
use super::color::ToYuv;
use super::paint::{Canvas, Painter, Sample, finished, planar_of, replaced, unnamed};
use crate::job::Color;

/// A whole weight.
const WHOLE: u32 = 65_536;

/// `weight` (0 to 1) in parts of [`WHOLE`], and what is left.
fn weights(weight: f64) -> (u32, u32) {
    let first = (weight.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32;
    (first, WHOLE - first)
}

impl Painter {
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

    /// `weight` (0 to 1) of `frame`, and the rest of `other`, which has the same size and colours. With alpha where both have it.
    pub(crate) fn blend(
        &mut self,
        frame: &VideoFrame,
        other: &VideoFrame,
        weight: f64,
    ) -> Result<VideoFrame, MediaError> {
        let format = planar_of(frame.format.ok_or_else(unnamed)?);
        let size = frame.visible_rect.size();
        let has_alpha = |frame: &VideoFrame| frame.format.is_some_and(PixelFormat::has_alpha);
        let (planar, other) = match has_alpha(frame) && has_alpha(other) {
            true => (
                self.with_alpha(frame, format, size)?,
                self.with_alpha(other, format, size)?,
            ),
            false => (
                self.fit(frame, format, size)?,
                self.fit(other, format, size)?,
            ),
        };
        // What each sample weighs matters where not all of both is seen.
        let opaque = is_opaque(&planar)? && is_opaque(&other)?;
        let (image, other) = (planar.resource.read_back()?, other.resource.read_back()?);
        let format = image.format();
        let alpha = image.planes().get(3).zip(other.planes().get(3));
        let alpha = alpha.filter(|_| !opaque).map(|(first, second)| {
            [first, second].map(|alpha| {
                // Both planes of chroma have the same.
                [0, 1].map(|plane| shares::<u8>(alpha, size, format, plane))
            })
        });
        let mut planes = Vec::with_capacity(4);
        for (index, (plane, other)) in image.planes().iter().zip(other.planes()).enumerate() {
            let area = format.plane_size(index, size);
            let canvas = match (format.sample_bytes(index), &alpha) {
                (1, Some([first, second])) if index < 3 => {
                    let (first, second) = (&first[index.min(1)], &second[index.min(1)]);
                    blend_shares((plane, first), (other, second), area, weight)
                }
                (1, _) => blend_plane::<u8>(plane, Some(other), 0, area, weight),
                _ => blend_plane::<u16>(plane, Some(other), 0, area, weight),
            };
            planes.push(finished(canvas));
        }
        Ok(replaced(&planar, CpuImage::new(format, size, planes)?))
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
    let (first, second) = weights(weight);
    let mix = |a: u32, b: u32| (a * first + b * second + WHOLE / 2) / WHOLE;
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

/// `weight` of a plane of 8 bits, and the rest of another, each sample by its alpha too: what is not seen has no colour.
fn blend_shares(
    (plane, alpha): (&Plane, &[u16]),
    (other, other_alpha): (&Plane, &[u16]),
    size: Size,
    weight: f64,
) -> Canvas {
    let stride = size.width as usize;
    let mut data = vec![0; stride * size.height as usize];
    let (first, second) = weights(weight);
    let row_of =
        |plane: &Plane, y: usize| plane.data.slice((y * plane.stride).min(plane.data.len())..);
    let alphas = alpha
        .chunks(stride.max(1))
        .zip(other_alpha.chunks(stride.max(1)));
    for (y, (row, alphas)) in data.chunks_exact_mut(stride.max(1)).zip(alphas).enumerate() {
        let (a, b) = (row_of(plane, y), row_of(other, y));
        let samples = a.iter().zip(&b).zip(alphas.0.iter().zip(alphas.1));
        for (to, ((&a, &b), (&alpha, &other_alpha))) in row.iter_mut().zip(samples) {
            let (a, b) = (u32::from(a), u32::from(b));
            if alpha == other_alpha {
                // The same as below, as it can be shortened by the alpha.
                *to = ((a * first + b * second + WHOLE / 2) / WHOLE) as u8;
                continue;
            }
            let mut shares = (u32::from(alpha) * first, u32::from(other_alpha) * second);
            if shares == (0, 0) {
                shares = (first, second);
            }
            // Below 2^24, and the sum below 2^32: the weights together are `WHOLE`, samples and alpha at most 255.
            let whole = shares.0 + shares.1;
            *to = ((a * shares.0 + b * shares.1 + whole / 2) / whole.max(1)) as u8;
        }
    }
    Canvas { data, stride }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_weigh_exactly_as_much_as_their_alpha_says() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let size = Size::new(256, 1);
        let plane = |data: Vec<u8>| Plane {
            data: data.into(),
            stride: 256,
        };
        let forward = plane(all.clone());
        for alpha in [0, 1, 2, 127, 128, 254, 255] {
            for other in [0, 1, 77, 128, 254, 255] {
                for weight in [0.0, 0.000_02, 0.3, 0.5, 0.999, 1.0] {
                    for sample in [0, 1, 100, 254, 255] {
                        let got = blend_shares(
                            (&forward, &[alpha; 256]),
                            (&plane(vec![sample; 256]), &[other; 256]),
                            size,
                            weight,
                        );
                        let (first, second) = weights(weight);
                        let shares = match (
                            u64::from(alpha) * u64::from(first),
                            u64::from(other) * u64::from(second),
                        ) {
                            (0, 0) => (u64::from(first), u64::from(second)),
                            shares => shares,
                        };
                        let whole = shares.0 + shares.1;
                        let want: Vec<u8> = all
                            .iter()
                            .map(|&a| {
                                let sum = u64::from(a) * shares.0 + u64::from(sample) * shares.1;
                                ((sum + whole / 2) / whole) as u8
                            })
                            .collect();
                        assert!(
                            got.data == want,
                            "{alpha} and {other}, {weight} of it, on {sample}"
                        );
                    }
                }
            }
        }
    }
}
