//! RGB to RGB of the same colours.

use super::target::Rows;
use crate::format::PixelLayout;
use crate::frame::CpuImage;
use crate::geometry::Rect;

/// Copies `rect` of an RGB image, in the destination's order of components.
pub(super) fn convert(image: &CpuImage, rect: Rect, alpha: bool, rows: &mut Rows<'_>) {
    pulp::Arch::new().dispatch(Job {
        image,
        rect,
        alpha,
        rows,
    });
}

/// The copy, compiled once for each set of vector instructions that a processor may have.
struct Job<'a, 'b> {
    image: &'a CpuImage,
    rect: Rect,
    alpha: bool,
    rows: &'a mut Rows<'b>,
}

impl pulp::WithSimd for Job<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self {
            image,
            rect,
            alpha,
            rows,
        } = self;
        let Some(plane) = image.planes().first() else {
            return;
        };
        let swap = (image.format().layout() == PixelLayout::Bgra) != rows.bgr;
        let (left, top, width) = (rect.x as usize, rect.y as usize, rect.width as usize);
        let opaque = if alpha { 0 } else { 0xFF00_0000 };
        for row in 0..rect.height as usize {
            let start = (top + row) * plane.stride + left * 4;
            let source = plane.data.get(start..).unwrap_or(&[]).as_chunks::<4>().0;
            let out = rows.get(row, 0, width);
            if swap {
                for (out, &pixel) in out.iter_mut().zip(source) {
                    let pixel = u32::from_le_bytes(pixel);
                    // The middle two components stay; first and third change places.
                    let swapped = pixel & 0xFF00_FF00 | (pixel & 0xFF) << 16 | (pixel >> 16) & 0xFF;
                    *out = (swapped | opaque).to_le_bytes();
                }
            } else if alpha {
                if let Some(source) = source.get(..width) {
                    out.copy_from_slice(source);
                }
            } else {
                for (out, &pixel) in out.iter_mut().zip(source) {
                    *out = (u32::from_le_bytes(pixel) | opaque).to_le_bytes();
                }
            }
        }
    }
}
