//! Which configurations are decoded.

use std::ffi::CStr;

use reelcore_media::codec::DecoderContext;
use reelcore_media::h264::AvcC;
use reelcore_media::hevc::HvcC;
use reelcore_media::{
    MediaError, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig, h264, hevc,
};

/// More threads hold back more frames and win little.
pub(crate) const MAX_THREADS: usize = 16;

/// A codec that [`Ffmpeg`] decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 of every profile but Extended, the scalable and the multiview ones.
    H264,
    /// HEVC of every profile but those of screen content, and without the tools of high bit depths. libavcodec does not
    /// notice where a slice's data ends too early.
    Hevc,
    /// VP8. libavcodec does not notice where a partition's data ends a few macroblocks too early.
    Vp8,
    /// VP9. libavcodec does not notice where a tile's data ends a few blocks too early.
    Vp9,
}

impl Codec {
    const ALL: &'static [Self] = &[Self::H264, Self::Hevc, Self::Vp8, Self::Vp9];

    fn is_of(self, codec: &VideoCodec) -> bool {
        matches!(
            (self, codec),
            (Self::H264, VideoCodec::Avc(_))
                | (Self::Hevc, VideoCodec::Hevc(_))
                | (Self::Vp8, VideoCodec::Vp8)
                | (Self::Vp9, VideoCodec::Vp9(_))
        )
    }

    /// libavcodec's name of the decoder.
    fn decoder(self) -> &'static CStr {
        match self {
            Self::H264 => c"h264",
            Self::Hevc => c"hevc",
            Self::Vp8 => c"vp8",
            Self::Vp9 => c"vp9",
        }
    }
}

/// The decoders of the system's libavcodec. The registry tries backends in the order of their registration: to have
/// some codecs before another backend and others after it, register it twice, for some codecs each.
#[derive(Clone, Copy, Debug)]
pub struct Ffmpeg {
    codecs: &'static [Codec],
}

impl Ffmpeg {
    /// All codecs.
    pub const fn new() -> Self {
        Self { codecs: Codec::ALL }
    }

    /// Some codecs; others are refused.
    pub const fn for_codecs(codecs: &'static [Codec]) -> Self {
        Self { codecs }
    }
}

impl Default for Ffmpeg {
    fn default() -> Self {
        Self::new()
    }
}

impl VideoDecoderBackend for Ffmpeg {
    fn name(&self) -> &'static str {
        "libavcodec"
    }

    fn max_threads(&self) -> usize {
        MAX_THREADS
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        self.codecs.iter().any(|known| known.is_of(codec))
    }

    fn finds_damage(&self, codec: &VideoCodec) -> bool {
        // Of the others, data that ends before its last block, or after it.
        matches!(codec, VideoCodec::Avc(_))
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        Setup::new(self.codecs, config).map(drop)
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        let setup = Setup::new(self.codecs, config)?;
        start(config, context, setup)
    }
}

#[cfg(libavcodec)]
fn start(
    config: &VideoDecoderConfig,
    context: &DecoderContext,
    setup: Setup,
) -> Result<Box<dyn VideoDecoder>, MediaError> {
    Ok(Box::new(crate::decoder::Decoder::new(
        config, context, setup,
    )?))
}

/// `Setup::new` has refused everything already.
#[cfg(not(libavcodec))]
fn start(
    _: &VideoDecoderConfig,
    _: &DecoderContext,
    _: Setup,
) -> Result<Box<dyn VideoDecoder>, MediaError> {
    Err(without_library())
}

/// What a decoder starts from.
#[cfg_attr(not(libavcodec), allow(dead_code))]
pub(crate) struct Setup {
    /// libavcodec's name of the decoder.
    pub(crate) decoder: &'static CStr,
    pub(crate) form: Form,
}

/// The codec, with its description.
#[cfg_attr(not(libavcodec), allow(dead_code))]
pub(crate) enum Form {
    Avc(Option<AvcC>),
    Hevc(Option<HvcC>),
    Vp8,
    Vp9,
}

impl Setup {
    fn new(codecs: &[Codec], config: &VideoDecoderConfig) -> Result<Self, MediaError> {
        let mut codecs_of = codecs.iter().filter(|codec| codec.is_of(&config.codec));
        let Some(&codec) = codecs_of.next() else {
            return Err(MediaError::unsupported(format!(
                "libavcodec decodes {codecs:?} here, not {}",
                config.codec
            )));
        };
        if !crate::available() {
            return Err(without_library());
        }
        let decoder = codec.decoder();
        if !crate::has_decoder(decoder) {
            return Err(MediaError::unsupported(format!(
                "the installed libavcodec has no decoder {}",
                decoder.to_string_lossy()
            )));
        }
        match &config.codec {
            VideoCodec::Avc(avc) => check_profile(avc.profile)?,
            VideoCodec::Hevc(hevc) => {
                check_hevc_profile(hevc.profile_space, hevc.profile, hevc.compatibility)?;
            }
            _ => {}
        }
        // https://www.w3.org/TR/webcodecs-avc-codec-registration/#videodecoderconfig-description
        // https://www.w3.org/TR/webcodecs-hevc-codec-registration/#videodecoderconfig-description
        // With a description it is an avcC or hvcC and chunks have lengths; without, they are in "annexb" form. The
        // registrations of VP8 and VP9 have no use for it.
        let description = config.description.as_deref();
        let unsupported =
            |error: MediaError| MediaError::unsupported(format!("description: {error}"));
        let form = match codec {
            Codec::H264 => Form::Avc(description.map(avcc).transpose().map_err(unsupported)?),
            Codec::Hevc => Form::Hevc(description.map(hvcc).transpose().map_err(unsupported)?),
            Codec::Vp8 => Form::Vp8,
            Codec::Vp9 => Form::Vp9,
        };
        Ok(Self { decoder, form })
    }
}

/// An avcC whose sets can be read.
fn avcc(description: &[u8]) -> Result<AvcC, MediaError> {
    let avcc = AvcC::parse(description)?;
    for set in &avcc.sps {
        h264::Sps::parse(&h264::Nal::new(0, set)?)?;
    }
    for set in &avcc.pps {
        h264::Pps::parse(&h264::Nal::new(0, set)?)?;
    }
    Ok(avcc)
}

/// An hvcC whose sets can be read, and whose pictures libavcodec decodes.
fn hvcc(description: &[u8]) -> Result<HvcC, MediaError> {
    let hvcc = HvcC::parse(description)?;
    for unit in hvcc.arrays.iter().flat_map(|array| &array.units) {
        let nal = hevc::Nal::new(0, unit)?;
        match nal.nal_type {
            hevc::NalType::SPS if nal.layer_id == 0 => check_hevc_sps(&hevc::Sps::parse(&nal)?)?,
            hevc::NalType::PPS if nal.layer_id == 0 => drop(hevc::Pps::parse(&nal)?),
            _ => {}
        }
    }
    Ok(hvcc)
}

/// Profiles of table A-1 and their names.
fn check_profile(profile: u8) -> Result<(), MediaError> {
    let name = match profile {
        44 | 66 | 77 | 100 | 110 | 122 | 244 => return Ok(()),
        83 | 86 => "Scalable",
        88 => "Extended",
        118 | 128 => "Multiview or Stereo High",
        _ => "an unknown one",
    };
    Err(MediaError::unsupported(format!(
        "libavcodec decodes the H.264 profiles 44, 66, 77, 100, 110, 122 and 244, not {profile} ({name})"
    )))
}

/// Refuses the HEVC profiles that libavcodec does not have (annex A), unless the stream also conforms to one that it has:
/// `compatibility` is general_profile_compatibility_flags, bit 31 for flag 0.
fn check_hevc_profile(space: u8, profile: u8, compatibility: u32) -> Result<(), MediaError> {
    // Flags 1 to 5: Main, Main 10, Main Still Picture, range extensions, High Throughput.
    let compatible = compatibility & (0b1_1111 << 26) != 0;
    let name = match profile {
        _ if space != 0 => "of an unknown profile space",
        _ if compatible => return Ok(()),
        0..=8 | 10 => return Ok(()),
        9 => "screen content coding",
        11 => "screen content coding with high throughput",
        _ => "an unknown one",
    };
    Err(MediaError::unsupported(format!(
        "libavcodec decodes the HEVC profiles 1 to 8 and 10, not {profile} ({name})"
    )))
}

/// Refuses sets whose pictures libavcodec decodes as something else: what it does not have it reads and leaves out, at
/// most with a warning.
pub(crate) fn check_hevc_sps(sps: &hevc::Sps) -> Result<(), MediaError> {
    let profile = &sps.profile;
    check_hevc_profile(
        profile.profile_space,
        profile.profile,
        profile.compatibility,
    )?;
    let [_, _, _, screen_content] = sps.extensions;
    let reason = if screen_content {
        "screen content coding (sps_scc_extension)"
    } else if sps.separate_planes {
        "separate colour planes"
    } else if sps.range.extended_precision {
        "extended_precision_processing_flag"
    } else if sps.range.high_precision_offsets {
        "high_precision_offsets_enabled_flag"
    } else if sps.range.cabac_bypass_alignment {
        "cabac_bypass_alignment_enabled_flag"
    } else {
        return Ok(());
    };
    Err(MediaError::unsupported(format!(
        "libavcodec does not decode HEVC with {reason}"
    )))
}

/// Why nothing can be decoded.
pub(crate) fn without_library() -> MediaError {
    MediaError::unsupported(match crate::version() {
        None => "built without libavcodec".to_string(),
        Some((major, ..)) => {
            format!("the installed libavcodec {major} is another one than that of the build")
        }
    })
}
