//! OpenH264 by itself: what it makes of pictures with the settings that the backend gives it.

use reelcore_media::encode_session::FramePlan;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{ColorSpace, CpuImage, MediaError};

use super::library::Library;
use super::settings::{self, Settings};

/// Encodes `frames`, `step` microseconds apart, and returns the pictures, in Annex B. The first alone is key; `quantizer` is that of all, in
/// quantizer mode.
///
/// # Errors
/// What the backend refuses and OpenH264 reports.
pub fn encode(
    config: &VideoEncoderConfig,
    threads: usize,
    frames: &[CpuImage],
    step: u64,
    quantizer: Option<u16>,
) -> Result<Vec<Vec<u8>>, MediaError> {
    let avc = super::check(config)?;
    let threads = threads.clamp(1, settings::max_threads(config.size));
    let settings = Settings::new(config, avc, threads);
    let mut library = Library::new(&settings, ColorSpace::REC709)?;
    let mut pictures = Vec::with_capacity(frames.len());
    for (index, frame) in (0u64..).zip(frames) {
        let plan = FramePlan {
            time: (index * step).cast_signed(),
            duration: step,
            key: index == 0,
            layer: 0,
            quantizer,
            new_color_space: None,
        };
        if !library.encode(frame.planes(), &plan)? {
            return Err(MediaError::backend("no room for the coded picture"));
        }
        pictures.push(library.picture()?.units.concat());
    }
    Ok(pictures)
}
