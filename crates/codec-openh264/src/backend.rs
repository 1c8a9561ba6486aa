//! Which configurations OpenH264 decodes.

use reelcore_media::codec::DecoderContext;
use reelcore_media::h264::{AvcC, Packaging};
use reelcore_media::{
    MediaError, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

use crate::decoder::Decoder;
use crate::sequence::{check_size, check_sps, parse_sps};

/// The H.264 software decoder over OpenH264: progressive 8-bit 4:2:0, Baseline, Main and High.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenH264;

impl VideoDecoderBackend for OpenH264 {
    fn name(&self) -> &'static str {
        "openh264"
    }

    /// OpenH264's frame threads hand pictures out late and in an order of their own; with them off
    /// each picture comes from the call that got its slices.
    fn max_threads(&self) -> usize {
        1
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Avc(_))
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        setup(config).map(drop)
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        let avcc = setup(config)?;
        Ok(Box::new(Decoder::new(config, context, avcc.as_ref())?))
    }
}

/// What a decoder starts from: the avcC, where there is one.
fn setup(config: &VideoDecoderConfig) -> Result<Option<AvcC>, MediaError> {
    let VideoCodec::Avc(avc) = &config.codec else {
        return Err(MediaError::unsupported(format!(
            "OpenH264 decodes H.264, not {}",
            config.codec
        )));
    };
    check_profile(avc.profile)?;
    check_level(avc.level)?;
    if let Some(size) = config.coded_size {
        check_size(size)?;
    }
    // https://www.w3.org/TR/webcodecs-avc-codec-registration/#videodecoderconfig-description
    // With a description it is an avcC and chunks are in "avc" form; without, in "annexb" form.
    let Some(description) = &config.description else {
        return Ok(None);
    };
    let unsupported = |error: MediaError| MediaError::unsupported(format!("description: {error}"));
    let avcc = AvcC::parse(description).map_err(unsupported)?;
    for sps in &avcc.sps {
        let sps = parse_sps(sps).map_err(unsupported)?;
        check_sps(&sps).map_err(unsupported)?;
    }
    Ok(Some(avcc))
}

/// Profiles of table A-1 and their names, whether OpenH264 has them or not.
fn check_profile(profile: u8) -> Result<(), MediaError> {
    let name = match profile {
        66 | 77 | 100 => return Ok(()),
        44 => "CAVLC 4:4:4 Intra",
        83 | 86 => "Scalable",
        88 => "Extended",
        110 => "High 10",
        118 | 128 => "Multiview or Stereo High",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        _ => "an unknown one",
    };
    Err(MediaError::unsupported(format!(
        "OpenH264 decodes the Baseline, Main and High profiles (66, 77, 100), not {profile} ({name})"
    )))
}

/// Levels of table A-1: ten times the level, and 9 for 1b.
fn check_level(level: u8) -> Result<(), MediaError> {
    let known = matches!(level,
        9..=13 | 20..=22 | 30..=32 | 40..=42 | 50..=52 | 60..=62);
    if known {
        return Ok(());
    }
    Err(MediaError::unsupported(format!(
        "H.264 has no level with level_idc {level}"
    )))
}

/// How the chunks of a stream with `avcc` hold NAL units.
pub(crate) fn packaging(avcc: Option<&AvcC>) -> Packaging {
    match avcc {
        Some(avcc) => Packaging::Avc {
            length_size: avcc.length_size,
        },
        None => Packaging::AnnexB,
    }
}
