//! Which configurations are decoded.

use std::ffi::CStr;

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    MediaError, Size, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig, h264, hevc,
};

/// More threads hold back more frames and win little.
pub(crate) const MAX_THREADS: usize = 16;

/// The decoders of the system's libavcodec: H.264 (interlaced and High 10 to 4:4:4 included), HEVC with range
/// extensions, VP8 and VP9.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ffmpeg;

impl VideoDecoderBackend for Ffmpeg {
    fn name(&self) -> &'static str {
        "libavcodec"
    }

    fn max_threads(&self) -> usize {
        MAX_THREADS
    }

    fn check(&self, config: &VideoDecoderConfig) -> Result<(), MediaError> {
        Setup::new(config).map(drop)
    }

    fn start(
        &self,
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Box<dyn VideoDecoder>, MediaError> {
        let setup = Setup::new(config)?;
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

/// How chunks hold what says the picture's size.
#[cfg_attr(not(libavcodec), allow(dead_code))]
enum Form {
    Avc(h264::Packaging),
    Hevc(hevc::Packaging),
    Vp8,
    Vp9,
}

/// What a decoder starts from.
#[cfg_attr(not(libavcodec), allow(dead_code))]
pub(crate) struct Setup {
    /// libavcodec's name of the decoder.
    pub(crate) decoder: &'static CStr,
    /// Baseline profile: frames need no reordering.
    pub(crate) without_b_slices: bool,
    form: Form,
    /// The coded sizes in the description.
    sizes: Vec<Size>,
}

impl Setup {
    fn new(config: &VideoDecoderConfig) -> Result<Self, MediaError> {
        let (decoder, form) = match &config.codec {
            VideoCodec::Avc(_) => (c"h264", Form::Avc(h264::Packaging::AnnexB)),
            VideoCodec::Hevc(_) => (c"hevc", Form::Hevc(hevc::Packaging::AnnexB)),
            VideoCodec::Vp8 => (c"vp8", Form::Vp8),
            VideoCodec::Vp9(_) => (c"vp9", Form::Vp9),
            VideoCodec::Av1(_) => {
                return Err(MediaError::unsupported(format!(
                    "libavcodec decodes H.264, HEVC, VP8 and VP9 here, not {}",
                    config.codec
                )));
            }
        };
        if !crate::available() {
            return Err(without_library());
        }
        if !crate::has_decoder(decoder) {
            return Err(MediaError::unsupported(format!(
                "the installed libavcodec has no decoder {}",
                decoder.to_string_lossy()
            )));
        }
        let mut setup = Self {
            decoder,
            without_b_slices: matches!(&config.codec, VideoCodec::Avc(avc) if avc.profile == 66),
            form,
            sizes: Vec::new(),
        };
        // https://www.w3.org/TR/webcodecs-avc-codec-registration/#videodecoderconfig-description
        // https://www.w3.org/TR/webcodecs-hevc-codec-registration/#videodecoderconfig-description
        // With a description it is an avcC or hvcC and chunks have lengths; without, they are in "annexb" form.
        if let Some(description) = &config.description {
            setup
                .describe(description)
                .map_err(|error| MediaError::unsupported(format!("description: {error}")))?;
        }
        Ok(setup)
    }

    fn describe(&mut self, description: &[u8]) -> Result<(), MediaError> {
        match &mut self.form {
            Form::Avc(packaging) => {
                let avcc = h264::AvcC::parse(description)?;
                for set in &avcc.sps {
                    let sps = h264::Sps::parse(&h264::Nal::new(0, set)?)?;
                    self.sizes.push(sps.coded_size);
                }
                *packaging = h264::Packaging::Avc {
                    length_size: avcc.length_size,
                };
            }
            Form::Hevc(packaging) => {
                let hvcc = hevc::HvcC::parse(description)?;
                for unit in hvcc.arrays.iter().flat_map(|array| &array.units) {
                    let nal = hevc::Nal::new(0, unit)?;
                    if nal.nal_type == hevc::NalType::SPS && nal.layer_id == 0 {
                        self.sizes.push(hevc::Sps::parse(&nal)?.coded_size);
                    }
                }
                *packaging = hevc::Packaging::Hevc {
                    length_size: hvcc.length_size,
                };
            }
            // The registrations of VP8 and VP9 have no use for it.
            Form::Vp8 | Form::Vp9 => {}
        }
        Ok(())
    }
}

#[cfg(libavcodec)]
impl Setup {
    /// What libavcodec gets of the description.
    pub(crate) fn extradata<'a>(&self, config: &'a VideoDecoderConfig) -> &'a [u8] {
        match (&self.form, &config.description) {
            (Form::Avc(_) | Form::Hevc(_), Some(description)) => description,
            _ => &[],
        }
    }

    /// Refuses sizes above the cap in the description.
    pub(crate) fn check_sizes_of_description(&self, max_pixels: u64) -> Result<(), MediaError> {
        let mut sizes = self.sizes.iter();
        sizes.try_for_each(|size| crate::decoder::check_area(*size, max_pixels))
    }

    /// Refuses sizes above the cap in a key chunk. libavcodec has the cap too, but does not tell that it was reached.
    pub(crate) fn check_sizes(&self, data: &[u8], max_pixels: u64) -> Result<(), MediaError> {
        use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader};
        let check = |size: Size| crate::decoder::check_area(size, max_pixels);
        match &self.form {
            Form::Avc(packaging) => {
                for nal in h264::nal_units(data, *packaging) {
                    let nal = nal?;
                    if nal.kind == h264::NalKind::Sps {
                        check(h264::Sps::parse(&nal)?.coded_size)?;
                    }
                }
            }
            Form::Hevc(packaging) => {
                for nal in hevc::nal_units(data, *packaging) {
                    let nal = nal?;
                    if nal.nal_type == hevc::NalType::SPS && nal.layer_id == 0 {
                        check(hevc::Sps::parse(&nal)?.coded_size)?;
                    }
                }
            }
            Form::Vp8 => Vp8FrameHeader::parse(data)?.key.map_or(Ok(()), check)?,
            Form::Vp9 => {
                for range in Superframe::parse(data)?.frames() {
                    let frame = data.get(range.clone()).unwrap_or(&[]);
                    Vp9FrameHeader::parse(frame)?.size.map_or(Ok(()), check)?;
                }
            }
        }
        Ok(())
    }
}

/// Why nothing can be decoded.
fn without_library() -> MediaError {
    MediaError::unsupported(match crate::version() {
        None => "built without libavcodec".to_string(),
        Some((major, ..)) => {
            format!("the installed libavcodec {major} is another one than that of the build")
        }
    })
}
