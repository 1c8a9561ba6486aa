//! Which configurations libaom encodes.

use reelcore_media::encoder::{EncoderContext, VideoEncoderConfig};
use reelcore_media::{
    MediaError, PixelFormat, Size, VideoCodec, VideoEncoder, VideoEncoderBackend,
};

use crate::encoder::Encoder;
use crate::settings::max_threads;

/// AV1 has 16 bits for a side.
const MAX_SIDE: u32 = 65_536;
/// The largest picture of libaom, in pixels.
const MAX_AREA: u64 = 1 << 30;

/// The AV1 software encoder over libaom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aom;

/// What libaom is told of the stream's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub profile: u32,
    pub input: PixelFormat,
    pub monochrome: bool,
    /// chroma_sample_position.
    pub chroma_position: u8,
}

impl Format {
    fn of(codec: &VideoCodec) -> Result<Self, MediaError> {
        use PixelFormat as P;
        let VideoCodec::Av1(av1) = codec else {
            return Err(MediaError::unsupported(format!(
                "libaom encodes AV1, not {codec}"
            )));
        };
        // 6.4.1: profile 0 has 4:2:0 and no chroma, 1 has 4:4:4, 2 has 4:2:2 and with 12 bits everything.
        let [x, y, position] = av1.chroma;
        let input = match (av1.profile, av1.bit_depth, x, y) {
            (0, 8, 1, 1) => P::I420,
            (0, 10, 1, 1) => P::I420P10,
            (1, 8, 0, 0) => P::I444,
            (1, 10, 0, 0) => P::I444P10,
            (2, 8, 1, 0) => P::I422,
            (2, 10, 1, 0) => P::I422P10,
            (2, 12, 1, 1) => P::I420P12,
            (2, 12, 1, 0) => P::I422P12,
            (2, 12, 0, 0) => P::I444P12,
            (profile, depth, x, y) => {
                return Err(MediaError::unsupported(format!(
                    "AV1 profile {profile} has no {depth}-bit video with chroma subsampling {x}{y}"
                )));
            }
        };
        Ok(Self {
            profile: u32::from(av1.profile),
            input,
            monochrome: av1.monochrome,
            chroma_position: position,
        })
    }
}

pub(crate) fn check(config: &VideoEncoderConfig) -> Result<Format, MediaError> {
    let format = Format::of(&config.codec)?;
    let Size { width, height } = config.size;
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || config.size.area() > MAX_AREA {
        return Err(MediaError::unsupported(format!(
            "libaom encodes pictures of up to {MAX_AREA} pixels and sides of 1 to {MAX_SIDE}, not {width}x{height}"
        )));
    }
    Ok(format)
}

impl VideoEncoderBackend for Aom {
    fn name(&self) -> &'static str {
        "libaom"
    }

    fn max_threads(&self, config: &VideoEncoderConfig) -> usize {
        max_threads(config.size)
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Av1(_))
    }

    /// The level is not held against the size: scripts write 3.0 for whatever size they encode. The sequence header has
    /// the one that libaom computes.
    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError> {
        check(config).map(drop)
    }

    fn input_format(&self, config: &VideoEncoderConfig) -> PixelFormat {
        Format::of(&config.codec).map_or(PixelFormat::I420, |format| format.input)
    }

    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError> {
        let format = check(config)?;
        Ok(Box::new(Encoder::new(config, format, context)))
    }
}
