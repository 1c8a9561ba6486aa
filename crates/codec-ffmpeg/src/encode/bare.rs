//! libx265 by itself over libavcodec: what it makes of pictures with the settings that the backend gives it.

use reelcore_media::encoder::{VideoBitrateMode, VideoEncoderConfig};
use reelcore_media::{ColorSpace, CpuImage, MediaError, VideoEncoderBackend};

use super::encoder::Packing;
use super::library::{Encoder, Input};
use super::{FfmpegEncoder, check_software, x265};

/// Encodes `frames` and returns the pictures, in Annex B. The first alone is key; `quantizer` is that of all, in quantizer mode.
///
/// # Errors
/// What the backend refuses and libavcodec reports.
pub fn encode(
    config: &VideoEncoderConfig,
    threads: usize,
    frames: &[CpuImage],
    _step: u64,
    quantizer: Option<u16>,
) -> Result<Vec<Vec<u8>>, MediaError> {
    let format = check_software(config)?;
    let threads = threads.clamp(1, FfmpegEncoder.max_threads(config));
    let settings = x265::Settings::new(config, format, threads);
    let mut options = settings.options(x265::first_framerate(config))?;
    options.color_space = ColorSpace::REC709;
    let mut library = Encoder::new(&options)?;
    let packing = Packing::hevc_annex_b(settings.stated());
    let quantizer = quantizer.filter(|_| config.bitrate_mode == VideoBitrateMode::Quantizer);
    let mut pictures = Vec::with_capacity(frames.len());
    for (index, frame) in (0i64..).zip(frames) {
        let taken = library.send(&Input {
            planes: frame.planes(),
            index,
            key: index == 0,
            offset: quantizer.map(|quantizer| x265::offset(quantizer, format.bit_depth())),
        })?;
        if !taken {
            return Err(MediaError::backend("libavcodec did not take a picture"));
        }
        while let Some(packet) = library.receive()? {
            pictures.push(packing.pack(&packet)?.data.into());
        }
    }
    library.end()?;
    while let Some(packet) = library.receive()? {
        pictures.push(packing.pack(&packet)?.data.into());
    }
    Ok(pictures)
}
