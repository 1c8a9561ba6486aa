//! Frames as encoders' libraries read them.

use crate::error::MediaError;
use crate::format::PixelFormat;
use crate::frame::{CpuImage, Plane, VideoFrame};
use crate::geometry::Size;
use crate::pool::BufferPool;

/// The pixels of `frame`, which must have `format` and `size`.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when they have not, or are not in CPU memory.
pub fn input_image(
    frame: &VideoFrame,
    format: PixelFormat,
    size: Size,
) -> Result<&CpuImage, MediaError> {
    let image = frame.resource.cpu().ok_or_else(|| {
        MediaError::argument("an encoder's frame must be in CPU memory, found one that is not")
    })?;
    if image.format().without_alpha() != format || image.size() != size {
        return Err(MediaError::argument(format!(
            "an encoder's frame must be {} of {}x{}, found {} of {}x{}",
            format.as_str(),
            size.width,
            size.height,
            image.format().as_str(),
            image.size().width,
            image.size().height
        )));
    }
    Ok(image)
}

/// The planes of `image` where a library that reads 16-bit words has to read others than those: words must be aligned,
/// and no sample may pass its bit depth, as libraries look samples up in tables. `None` where the planes are right,
/// as those of every decoder and conversion are.
pub fn repaired_words(image: &CpuImage, pool: &BufferPool) -> Option<Vec<Plane>> {
    let format = image.format();
    let depth = format.bit_depth();
    if depth <= 8 {
        return None;
    }
    let mask = u16::MAX << depth;
    let rows = |index: usize| {
        let size = format.plane_size(index, image.size());
        let row_bytes = format.row_bytes(index, image.size().width);
        let plane = image.planes().get(index);
        (0..size.height as usize).filter_map(move |y| {
            let plane = plane?;
            plane
                .data
                .get(y * plane.stride..y * plane.stride + row_bytes)
        })
    };
    let word = |pair: &[u8; 2]| u16::from_le_bytes(*pair);
    let right = image.planes().iter().enumerate().all(|(index, plane)| {
        plane.data.as_ptr().align_offset(2) == 0
            && plane.stride.is_multiple_of(2)
            && rows(index).all(|row| {
                let (words, _) = row.as_chunks::<2>();
                words.iter().fold(0, |seen, pair| seen | word(pair)) & mask == 0
            })
    });
    if right {
        return None;
    }
    // A copy, because the library cannot read these planes as they are.
    let copy = |index: usize| {
        let size = format.plane_size(index, image.size());
        let row_bytes = format.row_bytes(index, image.size().width);
        let mut buffer = pool.take(row_bytes * size.height as usize);
        for (target, row) in buffer.chunks_exact_mut(row_bytes.max(1)).zip(rows(index)) {
            let (targets, _) = target.as_chunks_mut::<2>();
            let (words, _) = row.as_chunks::<2>();
            for (target, pair) in targets.iter_mut().zip(words) {
                *target = word(pair).min(!mask).to_le_bytes();
            }
        }
        Plane {
            data: buffer.freeze(),
            stride: row_bytes,
        }
    };
    Some((0..image.planes().len()).map(copy).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn words_that_a_library_cannot_take_are_repaired() {
        let pool = BufferPool::new(1 << 20);
        let image = |words: &[u16], shift: usize| {
            let mut bytes = vec![0; shift];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            let data = Bytes::from(bytes).slice(shift..);
            let plane = Plane { data, stride: 4 };
            let size = Size::new(2, 1);
            CpuImage::new(PixelFormat::I444P10, size, vec![plane; 3]).unwrap()
        };
        assert!(repaired_words(&image(&[0, 1023], 0), &pool).is_none());
        for (words, shift) in [([0u16, 1024], 0), ([5, 1023], 1)] {
            let image = image(&words, shift);
            // An allocation may start anywhere: one of the two shifts is odd.
            let Some(planes) = repaired_words(&image, &pool) else {
                assert_eq!(image.planes()[0].data.as_ptr().align_offset(2), 0);
                continue;
            };
            let expected: Vec<u8> = words
                .iter()
                .flat_map(|w| w.min(&1023).to_le_bytes())
                .collect();
            assert_eq!(planes[2].data, expected);
            assert_eq!(planes[0].data.as_ptr().align_offset(2), 0);
        }
    }
}
