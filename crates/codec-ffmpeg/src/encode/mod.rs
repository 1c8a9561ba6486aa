//! Encoding: HEVC over libx265, and what encoders of hardware the installed libavcodec has.
//!
//! No encoder here reorders: every frame gives one chunk, in the order in which frames come.

#[cfg(all(libavcodec, feature = "bench"))]
pub(crate) mod bare;
#[cfg(libavcodec)]
mod encoder;
mod format;
#[cfg(libavcodec)]
mod hardware;
mod level;
#[cfg(libavcodec)]
mod library;
#[cfg(libavcodec)]
mod rate;
#[cfg(libavcodec)]
mod sets;
#[cfg(libavcodec)]
mod x265;

use reelcore_media::encoder::{
    EncoderContext, ScalabilityMode, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::{MediaError, PixelFormat, VideoCodec, VideoEncoder, VideoEncoderBackend};

use crate::backend::{MAX_THREADS, without_library};

/// The HEVC software encoder over libavcodec's libx265: Main, Main 10 and the range extensions that the registration's
/// codec strings can name, with 8, 10 and 12 bits, 4:2:0, 4:2:2 and 4:4:4.
#[derive(Clone, Copy, Debug, Default)]
pub struct FfmpegEncoder;

/// The encoders of graphics hardware that libavcodec has, of H.264, HEVC and AV1 with 8 bits and 4:2:0: NVENC and
/// VA-API. Whether the hardware is there is found out once, by starting each.
#[derive(Clone, Copy, Debug, Default)]
pub struct FfmpegHardwareEncoder;

/// What no encoder here does.
fn check_common(config: &VideoEncoderConfig) -> Result<(), MediaError> {
    if !crate::available() {
        return Err(without_library());
    }
    if config.scalability != ScalabilityMode::L1T1 {
        return Err(MediaError::unsupported(
            "libavcodec's encoders take no pattern of temporal layers",
        ));
    }
    Ok(())
}

impl VideoEncoderBackend for FfmpegEncoder {
    fn name(&self) -> &'static str {
        "libx265 over libavcodec"
    }

    fn max_threads(&self, config: &VideoEncoderConfig) -> usize {
        // Rows of 64x64 blocks, coded side by side, every other one two blocks behind.
        (config.size.height.div_ceil(64) as usize / 2).clamp(1, MAX_THREADS)
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Hevc(_))
    }

    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError> {
        check_software(config).map(drop)
    }

    fn input_format(&self, config: &VideoEncoderConfig) -> PixelFormat {
        format::of(config).unwrap_or(PixelFormat::I420)
    }

    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError> {
        let format = check_software(config)?;
        start_software(config, format, context)
    }
}

fn check_software(config: &VideoEncoderConfig) -> Result<PixelFormat, MediaError> {
    let format = format::of(config)?;
    check_common(config)?;
    #[cfg(libavcodec)]
    x265::check(config, format)?;
    Ok(format)
}

#[cfg(libavcodec)]
fn start_software(
    config: &VideoEncoderConfig,
    format: PixelFormat,
    context: &EncoderContext,
) -> Result<Box<dyn VideoEncoder>, MediaError> {
    let max = FfmpegEncoder.max_threads(config);
    let threads = context.threads.clamp(1, max);
    let settings = x265::Settings::new(config, format, threads);
    let opened = encoder::Opened::X265(settings);
    let encoder = encoder::Encoder::new(config, format, opened, context)?;
    Ok(Box::new(encoder))
}

impl VideoEncoderBackend for FfmpegHardwareEncoder {
    fn name(&self) -> &'static str {
        "libavcodec with hardware"
    }

    fn is_hardware(&self) -> bool {
        true
    }

    fn max_threads(&self, _: &VideoEncoderConfig) -> usize {
        1
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(
            codec,
            VideoCodec::Avc(_) | VideoCodec::Hevc(_) | VideoCodec::Av1(_)
        )
    }

    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError> {
        check_common(config)?;
        if config.bitrate_mode == VideoBitrateMode::Quantizer {
            return Err(MediaError::unsupported(
                "encoders of hardware take no quantizer of a frame over libavcodec",
            ));
        }
        if format::of(config)? != PixelFormat::I420 {
            return Err(MediaError::unsupported(
                "encoders of hardware are used for 8 bits with 4:2:0",
            ));
        }
        #[cfg(libavcodec)]
        hardware::find(&config.codec)?;
        Ok(())
    }

    fn input_format(&self, config: &VideoEncoderConfig) -> PixelFormat {
        #[cfg(libavcodec)]
        if let Ok(found) = hardware::find(&config.codec) {
            return found.input;
        }
        let _ = config;
        PixelFormat::I420
    }

    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError> {
        self.check(config)?;
        start_hardware(config, context)
    }
}

#[cfg(libavcodec)]
fn start_hardware(
    config: &VideoEncoderConfig,
    context: &EncoderContext,
) -> Result<Box<dyn VideoEncoder>, MediaError> {
    let found = hardware::find(&config.codec)?;
    let opened = encoder::Opened::Hardware(hardware::options(found, config));
    let encoder = encoder::Encoder::new(config, found.input, opened, context)?;
    Ok(Box::new(encoder))
}

/// `check` has refused everything already.
#[cfg(not(libavcodec))]
fn start_software(
    _: &VideoEncoderConfig,
    _: PixelFormat,
    _: &EncoderContext,
) -> Result<Box<dyn VideoEncoder>, MediaError> {
    Err(without_library())
}

/// As [`start_software`].
#[cfg(not(libavcodec))]
fn start_hardware(
    _: &VideoEncoderConfig,
    _: &EncoderContext,
) -> Result<Box<dyn VideoEncoder>, MediaError> {
    Err(without_library())
}
