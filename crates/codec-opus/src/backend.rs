//! Which configurations are supported.

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    AudioCodec, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, MediaError,
};

use crate::decoder::Decoder;
use crate::head::Head;

/// Opus, mono to 7.1 and discrete channels, over libopus. Always at 48 kHz, whatever the configuration says.
///
/// The `description` is the identification header, without which there are one or two channels:
/// <https://www.w3.org/TR/webcodecs-opus-codec-registration/#audiodecoderconfig-description>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opus;

fn head(config: &AudioDecoderConfig) -> Result<Head, MediaError> {
    if config.codec != AudioCodec::Opus {
        return Err(MediaError::unsupported(format!(
            "expected opus, found {}",
            config.codec
        )));
    }
    match &config.description {
        Some(description) => Head::parse(description),
        None => Head::without_description(config.channels),
    }
}

impl AudioDecoderBackend for Opus {
    fn name(&self) -> &'static str {
        "opus"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        *codec == AudioCodec::Opus
    }

    fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError> {
        head(config).map(drop)
    }

    fn start(
        &self,
        config: &AudioDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn AudioDecoder>, MediaError> {
        Ok(Box::new(Decoder::new(&head(config)?, context)?))
    }
}
