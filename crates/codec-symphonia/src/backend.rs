//! Which configurations are supported.

use bytes::Bytes;
use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    AudioCodec, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, MediaError,
};

use crate::{flac, mp3, vorbis};

/// MP3, FLAC and Vorbis over Symphonia's codec crates.
///
/// | codec | `description` | chunk |
/// |---|---|---|
/// | `mp3`, `mp4a.6B`, `mp4a.69` | not used | one or more frames of Layer III, of MPEG-1, 2 or 2.5 |
/// | `flac` | required: `fLaC` and the metadata blocks, STREAMINFO first | one or more frames |
/// | `vorbis` | required: the three headers with Xiph lacing | one packet |
///
/// The registrations: <https://www.w3.org/TR/webcodecs-mp3-codec-registration/>,
/// <https://www.w3.org/TR/webcodecs-flac-codec-registration/>,
/// <https://www.w3.org/TR/webcodecs-vorbis-codec-registration/>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Symphonia;

fn description(config: &AudioDecoderConfig) -> Result<&Bytes, MediaError> {
    config
        .description
        .as_ref()
        .ok_or_else(|| MediaError::unsupported(format!("{} needs a description", config.codec)))
}

impl AudioDecoderBackend for Symphonia {
    fn name(&self) -> &'static str {
        "symphonia"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        matches!(
            codec,
            AudioCodec::Mp3 | AudioCodec::Flac | AudioCodec::Vorbis
        )
    }

    fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError> {
        match config.codec {
            AudioCodec::Mp3 => Ok(()),
            AudioCodec::Flac => flac::StreamInfo::parse(description(config)?).map(drop),
            AudioCodec::Vorbis => vorbis::Headers::parse(description(config)?).map(drop),
            other => Err(MediaError::unsupported(format!(
                "expected mp3, flac or vorbis, found {other}"
            ))),
        }
    }

    fn supports(&self, config: &AudioDecoderConfig) -> bool {
        match (config.codec, &config.description) {
            (AudioCodec::Flac | AudioCodec::Vorbis, None) => true,
            _ => self.check(config).is_ok(),
        }
    }

    fn start(
        &self,
        config: &AudioDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn AudioDecoder>, MediaError> {
        self.check(config)?;
        Ok(match config.codec {
            AudioCodec::Flac => Box::new(flac::Decoder::new(description(config)?, context)?),
            AudioCodec::Vorbis => Box::new(vorbis::Decoder::new(description(config)?, context)?),
            _ => Box::new(mp3::Decoder::new(context)),
        })
    }
}
