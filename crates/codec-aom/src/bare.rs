//! libaom by itself: what it makes of pictures with the settings that the backend gives it.

use reelcore_media::encode_session::FramePlan;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{ColorSpace, CpuImage, MediaError};

use crate::backend::check;
use crate::library::{Library, Picture};
use crate::settings::{Settings, max_threads};

/// Encodes `frames`, `step` microseconds apart, and returns the pictures. The first alone is key; `quantizer` is that of all, in
/// quantizer mode.
///
/// # Errors
/// What the backend refuses and libaom reports.
pub fn encode(
    config: &VideoEncoderConfig,
    threads: usize,
    frames: &[CpuImage],
    step: u64,
    quantizer: Option<u16>,
) -> Result<Vec<Vec<u8>>, MediaError> {
    let settings = Settings::new(
        check(config)?,
        config,
        threads.clamp(1, max_threads(config.size)),
    );
    let mut library = Library::new(&settings, ColorSpace::REC709, step)?;
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
        let mut keep = |picture: Picture<'_>| {
            pictures.push(picture.data.to_vec());
            Ok(())
        };
        library.encode(frame.planes(), &plan, &mut keep)?;
    }
    if settings.looks_ahead() {
        library.drain(&mut |picture| {
            pictures.push(picture.data.to_vec());
            Ok(())
        })?;
    }
    Ok(pictures)
}
