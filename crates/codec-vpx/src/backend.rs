//! Which configurations libvpx decodes: all of VP8 and VP9 but 4:4:0.

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    MediaError, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

use crate::decoder::Decoder;
use crate::library::{Codec, MAX_THREADS, has_high_bit_depth};

/// The VP8 and VP9 software decoder over libvpx.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vpx;

impl Vpx {
    fn codec(config: &VideoDecoderConfig) -> Result<Codec, MediaError> {
        match &config.codec {
            VideoCodec::Vp8 => Ok(Codec::Vp8),
            VideoCodec::Vp9(vp9) => {
                // 7.2: profiles 0 and 1 have 8 bits, 2 and 3 have 10 and 12.
                let depths: &[u8] = match vp9.profile {
                    0 | 1 => &[8],
                    2 | 3 => &[10, 12],
                    _ => &[],
                };
                if !depths.contains(&vp9.bit_depth) {
                    return Err(MediaError::unsupported(format!(
                        "VP9 profile {} with {} bits does not exist",
                        vp9.profile, vp9.bit_depth
                    )));
                }
                if vp9.bit_depth > 8 && !has_high_bit_depth() {
                    return Err(MediaError::unsupported(format!(
                        "this libvpx was built without VP9 of {} bits",
                        vp9.bit_depth
                    )));
                }
                Ok(Codec::Vp9)
            }
            other => Err(MediaError::unsupported(format!(
                "libvpx decodes VP8 and VP9, not {other}"
            ))),
        }
    }
}

impl VideoDecoderBackend for Vpx {
    fn name(&self) -> &'static str {
        "libvpx"
    }

    fn max_threads(&self) -> usize {
        MAX_THREADS
    }

    /// The `description` is ignored, as the registrations have it: "not used for this codec".
    /// <https://www.w3.org/TR/webcodecs-vp8-codec-registration/#videodecoderconfig-description>,
    /// <https://www.w3.org/TR/webcodecs-vp9-codec-registration/#videodecoderconfig-description>.
    /// Scripts pass a file's vpcC or CodecPrivate in it; all that counts is in every key frame as well.
    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9(_))
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        Self::codec(config).map(drop)
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        Ok(Box::new(Decoder::new(Self::codec(config)?, context)))
    }
}
