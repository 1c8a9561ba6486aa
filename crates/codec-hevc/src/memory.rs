//! Picture memory, and frames over it.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::counters::count_copy;
use reelcore_media::hevc::Sps;
use reelcore_media::pool::BufferPool;
use reelcore_media::{CpuImage, MediaError, PixelFormat, Plane, VideoFrame};
use rusty_h265::{Picture, Plane as Samples};

/// The most pictures that frames show and that are waited for: a decoded picture buffer (A.4.2).
const MAX_PARKED: usize = 16;

/// The most pictures that nobody uses and that are kept.
const MAX_IDLE: usize = 3;

/// Pictures that the decoder no longer refers to. A frame may still show them; once it does not, their memory is
/// used again.
#[derive(Default)]
pub(crate) struct PictureMemory {
    parked: Vec<Arc<Picture>>,
}

/// Samples after the last one of a plane. rusty_h265's vector code loads whole registers, and reads up to 16 bytes past
/// the end of the last row (found by fuzzing).
const SLACK: usize = 64;

impl PictureMemory {
    /// Memory for a picture of `sps`. Its samples are unspecified: every one is written before the picture is shown.
    pub(crate) fn take(&mut self, sps: &Sps) -> Picture {
        let (width, height) = (
            sps.coded_size.width as usize,
            sps.coded_size.height as usize,
        );
        // Checked by `check_sps`: 4:2:0, 8 or 10 bits.
        let [luma, chroma] = sps.bit_depth.map(|bits| bits as u8);
        // Memory of another size will not fit again: the sequence has changed.
        self.parked
            .retain(|picture| (picture.width(), picture.height()) == (width, height));
        let mut idle = 0;
        self.parked.retain_mut(|picture| {
            idle += usize::from(Arc::get_mut(picture).is_some());
            idle <= MAX_IDLE || Arc::strong_count(picture) > 1
        });
        let free = self
            .parked
            .iter_mut()
            .position(|picture| Arc::get_mut(picture).is_some());
        if let Some(picture) = free.map(|index| self.parked.swap_remove(index))
            && let Some(mut picture) = Arc::into_inner(picture)
            && picture.reuse(width, height, 1, luma, chroma)
        {
            return picture;
        }
        let mut picture = Picture::new(width, height, 1, luma, chroma);
        for plane in &mut picture.planes {
            plane.data.resize(plane.data.len() + SLACK, 0);
        }
        picture
    }

    /// Takes back a picture that is not referred to any more.
    pub(crate) fn park(&mut self, picture: Arc<Picture>) {
        if self.parked.len() == MAX_PARKED {
            self.parked.remove(0);
        }
        self.parked.push(picture);
    }

    /// Gives all memory back to the system.
    pub(crate) fn clear(&mut self) {
        self.parked.clear();
    }
}

/// A plane that a frame shares with the decoder, which only reads it from now on.
struct SharedPlane {
    picture: Arc<Picture>,
    plane: usize,
}

impl AsRef<[u8]> for SharedPlane {
    fn as_ref(&self) -> &[u8] {
        let samples = self.picture.planes.get(self.plane);
        samples.map_or(&[], |plane| bytemuck::cast_slice(&plane.data))
    }
}

/// The frame of a decoded picture.
pub(crate) fn frame(
    picture: &Arc<Picture>,
    sps: &Sps,
    format: PixelFormat,
    pool: &BufferPool,
) -> Result<VideoFrame, MediaError> {
    let planes = if format.bit_depth() > 8 && cfg!(target_endian = "little") {
        // The samples are what the format asks for: little-endian words.
        (0..3)
            .map(|plane| Plane {
                stride: picture.planes[plane].stride * 2,
                data: Bytes::from_owner(SharedPlane {
                    picture: picture.clone(),
                    plane,
                }),
            })
            .collect()
    } else {
        repacked(picture, format, pool)
    };
    let image = CpuImage::new(format, sps.coded_size, planes)?;
    let mut frame = VideoFrame::from_cpu(image, 0, None, sps.vui.color);
    frame.visible_rect = sps.visible;
    frame.display_size = sps.visible.size();
    if let Some((width, height)) = sps.vui.sample_aspect {
        let aspect = (u64::from(width), u64::from(height));
        frame.display_size = frame.display_size.with_sample_aspect(aspect);
    }
    Ok(frame)
}

/// The planes in pooled memory, in the form of `format`. One copy: rusty_h265 has 16-bit samples whatever their depth
/// and refers to them later, and an 8-bit frame has bytes.
fn repacked(picture: &Picture, format: PixelFormat, pool: &BufferPool) -> Vec<Plane> {
    let sample_bytes = format.sample_bytes(0);
    let lengths = [0, 1, 2].map(|plane| {
        let samples: &Samples = &picture.planes[plane];
        samples.width * samples.height * sample_bytes
    });
    let mut buffer = pool.take(lengths.iter().sum());
    let mut rest: &mut [u8] = &mut buffer;
    for (samples, length) in picture.planes.iter().zip(lengths) {
        let (target, tail) = rest.split_at_mut(length);
        rest = tail;
        let row_bytes = (samples.width * sample_bytes).max(1);
        let rows = samples.data.chunks(samples.stride.max(1));
        for (target, row) in target.chunks_exact_mut(row_bytes).zip(rows) {
            if sample_bytes == 1 {
                for (target, &sample) in target.iter_mut().zip(row) {
                    *target = sample as u8;
                }
            } else {
                for (target, sample) in target.chunks_exact_mut(2).zip(row) {
                    target.copy_from_slice(&sample.to_le_bytes());
                }
            }
        }
    }
    count_copy(lengths.iter().sum());
    let bytes = buffer.freeze();
    let mut at = 0;
    picture
        .planes
        .iter()
        .zip(lengths)
        .map(|(samples, length)| {
            at += length;
            Plane {
                data: bytes.slice(at - length..at),
                stride: samples.width * sample_bytes,
            }
        })
        .collect()
}
