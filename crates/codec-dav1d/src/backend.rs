//! Which configurations dav1d decodes: all of AV1.

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    MediaError, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

use crate::decoder::Decoder;
use crate::library::MAX_THREADS;

/// The AV1 software decoder over dav1d: every profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dav1d;

impl VideoDecoderBackend for Dav1d {
    fn name(&self) -> &'static str {
        "dav1d"
    }

    fn max_threads(&self) -> usize {
        MAX_THREADS
    }

    /// The `description` is ignored, as the registration has it: "not used for this codec".
    /// <https://www.w3.org/TR/webcodecs-av1-codec-registration/#videodecoderconfig-description>
    /// Scripts pass a file's av1C in it; the sequence header is in every key chunk as well.
    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Av1(_))
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        let VideoCodec::Av1(av1) = &config.codec else {
            return Err(MediaError::unsupported(format!(
                "dav1d decodes AV1, not {}",
                config.codec
            )));
        };
        // https://aomediacodec.github.io/av1-spec/#profiles-and-levels
        if av1.profile > 2 || !matches!(av1.bit_depth, 8 | 10 | 12) {
            return Err(MediaError::unsupported(format!(
                "AV1 profile {} with {} bits does not exist",
                av1.profile, av1.bit_depth
            )));
        }
        Ok(())
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        self.check(config)?;
        Ok(Box::new(Decoder::new(config, context)?))
    }
}
