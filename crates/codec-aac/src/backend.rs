//! Which configurations are supported.

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    AudioCodec, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, MediaError,
};
use rusty_aac::config::{StreamConfig, aot};

use crate::decoder::{AccessUnits, Adts};

/// AAC-LC, HE-AAC and HE-AAC v2 over rusty_aac: mono to 7.1, frames of 1024 and 960 samples, any way to signal SBR and
/// parametric stereo.
///
/// With a `description` (AudioSpecificConfig) a chunk is an access unit; without, one or more ADTS frames:
/// <https://www.w3.org/TR/webcodecs-aac-codec-registration/#audiodecoderconfig-description>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aac;

/// MPEG-2 AAC LC has the object type of `mp4a.67`; its frames are those of MPEG-4.
const MPEG2_AAC_LC: u8 = 0x67;

/// What the description says, if there is one.
fn stream(config: &AudioDecoderConfig) -> Result<Option<StreamConfig>, MediaError> {
    match config.codec {
        AudioCodec::Aac(aot::AAC_LC | aot::SBR | aot::PS | MPEG2_AAC_LC) => {}
        other => {
            return Err(MediaError::unsupported(format!(
                "expected AAC-LC, HE-AAC or HE-AAC v2, found {other}"
            )));
        }
    }
    let Some(description) = &config.description else {
        return Ok(None);
    };
    let bad = |what: &dyn std::fmt::Display| {
        MediaError::unsupported(format!("AudioSpecificConfig: {what}"))
    };
    let stream = rusty_aac::config::parse(description).map_err(|error| bad(&error))?;
    if stream.object_type != aot::AAC_LC {
        return Err(bad(&format_args!(
            "expected object type 2 (LC), found {}",
            stream.object_type
        )));
    }
    if stream.sample_rate == 0 {
        return Err(bad(&"the sampling rate is 0"));
    }
    // ISO/IEC 14496-3, table 1.19: the other ones are reserved.
    if !matches!(stream.channel_config, 0..=7 | 11..=14) {
        return Err(bad(&format_args!(
            "the channel configuration {} is reserved",
            stream.channel_config
        )));
    }
    Ok(Some(stream))
}

impl AudioDecoderBackend for Aac {
    fn name(&self) -> &'static str {
        "rusty_aac"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        matches!(codec, AudioCodec::Aac(_))
    }

    fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError> {
        stream(config).map(drop)
    }

    fn start(
        &self,
        config: &AudioDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn AudioDecoder>, MediaError> {
        let max_bytes = context.limits.max_audio_bytes;
        Ok(match stream(config)? {
            Some(stream) => Box::new(AccessUnits::new(stream, max_bytes)?),
            None => Box::new(Adts::new(max_bytes)),
        })
    }
}
