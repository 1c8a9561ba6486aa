//! Which configurations are supported.

use reelcore_media::codec::DecoderContext;
use reelcore_media::codec_string::PcmFormat;
use reelcore_media::{
    AudioCodec, AudioDecoder, AudioDecoderBackend, AudioDecoderConfig, MediaError,
};

use crate::decoder::{Decoder, Samples};

/// Uncompressed audio (`pcm-u8`, `pcm-s16`, `pcm-s24`, `pcm-s32`, `pcm-f32`), `alaw` and `ulaw`.
///
/// Chunks hold whole frames, little-endian and interleaved, with the rate and the number of channels of the
/// configuration. A `description` is not used:
/// <https://www.w3.org/TR/webcodecs-pcm-codec-registration/>,
/// <https://www.w3.org/TR/webcodecs-alaw-codec-registration/>,
/// <https://www.w3.org/TR/webcodecs-ulaw-codec-registration/>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pcm;

pub fn samples(codec: AudioCodec, sample_rate: u32, channels: u32) -> Result<Samples, MediaError> {
    let samples = match codec {
        AudioCodec::Pcm(PcmFormat::U8) => Samples::U8,
        AudioCodec::Pcm(PcmFormat::S16) => Samples::S16,
        AudioCodec::Pcm(PcmFormat::S24) => Samples::S24,
        AudioCodec::Pcm(PcmFormat::S32) => Samples::S32,
        AudioCodec::Pcm(PcmFormat::F32) => Samples::F32,
        AudioCodec::Alaw => Samples::Alaw,
        AudioCodec::Ulaw => Samples::Ulaw,
        other => {
            return Err(MediaError::unsupported(format!(
                "expected PCM, A-law or mu-law, found {other}"
            )));
        }
    };
    if channels == 0 || sample_rate == 0 {
        return Err(MediaError::unsupported(format!(
            "{channels} channels at {sample_rate} Hz make no sound"
        )));
    }
    Ok(samples)
}

impl AudioDecoderBackend for Pcm {
    fn name(&self) -> &'static str {
        "pcm"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        matches!(
            codec,
            AudioCodec::Pcm(_) | AudioCodec::Alaw | AudioCodec::Ulaw
        )
    }

    fn check(&self, config: &AudioDecoderConfig) -> Result<(), MediaError> {
        samples(config.codec, config.sample_rate, config.channels).map(drop)
    }

    fn start(
        &self,
        config: &AudioDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn AudioDecoder>, MediaError> {
        Ok(Box::new(Decoder {
            samples: samples(config.codec, config.sample_rate, config.channels)?,
            sample_rate: config.sample_rate,
            channels: config.channels,
            pool: context.pool.clone(),
            max_bytes: context.limits.max_audio_bytes,
        }))
    }
}
