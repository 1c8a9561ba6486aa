//! Checksums of frames.

use md5::{Digest, Md5};
use reelcore_media::{PixelFormat, VideoFrame};

/// In which layout samples are summed, tightly packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The planes of the frame's own format one after another: I420, I422P10, and so on.
    Planar,
    /// Luma, then U and V interleaved: of frames in I420 only.
    Nv12,
}

/// The MD5 of the visible part of `frame`, in lower-case hexadecimal; samples of more than 8 bits are little-endian.
///
/// `None` when the pixels are not in CPU memory, the visible part leaves the image, or the format has no such layout.
pub fn frame_md5(frame: &VideoFrame, layout: Layout) -> Option<String> {
    let image = frame.resource.cpu()?;
    let format = image.format();
    let rect = frame.visible_rect;
    let mut hash = Md5::new();
    // Row `y` of the visible part of a plane.
    let row = |index: usize, y: usize| {
        let (h, v) = format.subsampling(index);
        let plane = image.planes().get(index)?;
        let start = (rect.y / v) as usize + y;
        let start = start * plane.stride + (rect.x / h) as usize * format.sample_bytes(index);
        plane
            .data
            .get(start..)?
            .get(..format.row_bytes(index, rect.width))
    };
    let rows = |index| format.plane_size(index, rect.size()).height as usize;
    match layout {
        Layout::Planar => {
            for index in 0..format.num_planes() {
                for y in 0..rows(index) {
                    hash.update(row(index, y)?);
                }
            }
        }
        Layout::Nv12 if format == PixelFormat::I420 => {
            for y in 0..rows(0) {
                hash.update(row(0, y)?);
            }
            let mut both = Vec::new();
            for y in 0..rows(1) {
                both.clear();
                both.extend(
                    row(1, y)?
                        .iter()
                        .zip(row(2, y)?)
                        .flat_map(|(u, v)| [*u, *v]),
                );
                hash.update(&both);
            }
        }
        Layout::Nv12 => return None,
    }
    Some(format!("{:x}", hash.finalize()))
}

/// The MD5 of bytes, in lower-case hexadecimal.
pub fn md5(bytes: &[u8]) -> String {
    format!("{:x}", Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reelcore_media::{ColorSpace, CpuImage, Plane, Rect, Size};

    use super::*;

    fn sum(bytes: &[u8]) -> Option<String> {
        Some(format!("{:x}", Md5::digest(bytes)))
    }

    #[test]
    fn the_visible_part_is_summed_without_padding_in_either_layout() {
        // 4x4 with a stride of 6, of which the right lower 2x2 is shown.
        let luma: Vec<u8> = (0..24).collect();
        let planes = [
            (luma, 6),
            (vec![1, 2, 9, 3, 4, 9], 3),
            (vec![5, 6, 9, 7, 8, 9], 3),
        ];
        let planes = planes.map(|(data, stride)| Plane {
            data: Bytes::from(data),
            stride,
        });
        let image = CpuImage::new(PixelFormat::I420, Size::new(4, 4), planes.to_vec()).unwrap();
        let mut frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::default());
        frame.visible_rect = Rect {
            x: 2,
            y: 2,
            width: 2,
            height: 2,
        };
        let want = sum(&[14, 15, 20, 21, 4, 8]);
        assert_eq!(frame_md5(&frame, Layout::Planar), want);
        frame.visible_rect = Rect::of_size(Size::new(4, 2));
        let want = sum(&[0, 1, 2, 3, 6, 7, 8, 9, 1, 5, 2, 6]);
        assert_eq!(frame_md5(&frame, Layout::Nv12), want);
        frame.visible_rect.height = 6;
        assert_eq!(frame_md5(&frame, Layout::Planar), None);
    }
}
