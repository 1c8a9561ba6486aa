//! libvpx by itself: what it makes of pictures with the settings that the backend gives it.

use reelcore_media::encode_session::FramePlan;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{ColorSpace, CpuImage, MediaError};

use super::library::Library;
use super::settings::{self, Settings};

/// Encodes `frames`, `step` microseconds apart, and returns the pictures. The first alone is key; `quantizer` is that of all, in
/// quantizer mode.
///
/// # Errors
/// What the backend refuses and libvpx reports.
pub fn encode(
    config: &VideoEncoderConfig,
    threads: usize,
    frames: &[CpuImage],
    step: u64,
    quantizer: Option<u16>,
) -> Result<Vec<Vec<u8>>, MediaError> {
    let format = super::check(config)?;
    let threads = threads.clamp(1, settings::max_threads(config));
    let mut library = Library::new(&Settings::new(format, config, threads))?;
    let mut pictures = Vec::with_capacity(frames.len());
    for (index, frame) in (0u64..).zip(frames) {
        let plan = FramePlan {
            time: (index * step).cast_signed(),
            duration: step,
            key: index == 0,
            layer: 0,
            quantizer,
            new_color_space: (index == 0).then_some(ColorSpace::REC709),
        };
        library.encode(frame.planes(), &plan, &mut |picture| {
            pictures.push(picture.data.to_vec());
            Ok(())
        })?;
    }
    Ok(pictures)
}
