//! VP8 and VP9 encoding.
//!
//! Every frame gives one chunk: libvpx packs hidden frames of VP9 into the superframe of the next shown one, VP8 is
//! coded without them, and frames are never dropped.

#[cfg(feature = "bench")]
pub(crate) mod bare;
mod library;
mod settings;

use bytes::Bytes;
use reelcore_media::encode_session::{
    EncodeSession, RateCorrection, bitrate, input_image, repaired_words,
};
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, EncoderContext, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::pool::BufferPool;
use reelcore_media::q_index::MAX_Q_INDEX;
use reelcore_media::{
    MediaError, PixelFormat, Size, VideoCodec, VideoEncoder, VideoEncoderBackend, VideoFrame,
};

use crate::library::{Codec, has_high_bit_depth};
use library::Library;
use settings::Settings;

/// VP8 has 14 bits for a side, of which libvpx takes all but the last value.
const MAX_VP8_SIDE: u32 = 16_383;
/// What distributions build libvpx with for VP9 (`--size-limit=16384x16384`).
const MAX_VP9_SIDE: u32 = 16_384;
/// The quantizer of frames before the first that names one: 28 of libvpx's own scale.
const FIRST_QUANTIZER: u16 = 112;

/// The VP8 and VP9 software encoder over libvpx.
#[derive(Clone, Copy, Debug, Default)]
pub struct VpxEncoder;

/// What libvpx is told of the stream's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    codec: Codec,
    profile: u32,
    input: PixelFormat,
}

impl Format {
    fn of(codec: &VideoCodec) -> Result<Self, MediaError> {
        use PixelFormat as P;
        let VideoCodec::Vp9(vp9) = codec else {
            if *codec == VideoCodec::Vp8 {
                return Ok(Self {
                    codec: Codec::Vp8,
                    profile: 0,
                    input: P::I420,
                });
            }
            return Err(MediaError::unsupported(format!(
                "libvpx encodes VP8 and VP9, not {codec}"
            )));
        };
        // 7.2: profiles 0 and 1 have 8 bits, 2 and 3 have 10 and 12; 0 and 2 are 4:2:0, 1 and 3 anything else.
        let input = match (vp9.profile, vp9.bit_depth, vp9.chroma) {
            (0, 8, 0 | 1) => P::I420,
            (1, 8, 2) => P::I422,
            (1, 8, 3) => P::I444,
            (2, 10, 0 | 1) => P::I420P10,
            (2, 12, 0 | 1) => P::I420P12,
            (3, 10, 2) => P::I422P10,
            (3, 10, 3) => P::I444P10,
            (3, 12, 2) => P::I422P12,
            (3, 12, 3) => P::I444P12,
            (profile, depth, chroma) => {
                return Err(MediaError::unsupported(format!(
                    "VP9 profile {profile} has no {depth}-bit video with chroma subsampling {chroma:02}"
                )));
            }
        };
        if vp9.bit_depth > 8 && !has_high_bit_depth() {
            return Err(MediaError::unsupported(format!(
                "this libvpx was built without VP9 of {} bits",
                vp9.bit_depth
            )));
        }
        Ok(Self {
            codec: Codec::Vp9,
            profile: u32::from(vp9.profile),
            input,
        })
    }
}

fn check(config: &VideoEncoderConfig) -> Result<Format, MediaError> {
    let format = Format::of(&config.codec)?;
    let Size { width, height } = config.size;
    let max = match format.codec {
        Codec::Vp8 => MAX_VP8_SIDE,
        Codec::Vp9 => MAX_VP9_SIDE,
    };
    if width == 0 || height == 0 || width > max || height > max {
        return Err(MediaError::unsupported(format!(
            "libvpx encodes {} of 1x1 to {max}x{max} pixels, not {width}x{height}",
            format.codec.name()
        )));
    }
    if format.codec == Codec::Vp8 && config.bitrate_mode == VideoBitrateMode::Quantizer {
        return Err(MediaError::unsupported(
            "VP8 has no quantizer in its registration, so there is no quantizer mode",
        ));
    }
    Ok(format)
}

impl VideoEncoderBackend for VpxEncoder {
    fn name(&self) -> &'static str {
        "libvpx"
    }

    fn max_threads(&self, config: &VideoEncoderConfig) -> usize {
        settings::max_threads(config)
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9(_))
    }

    /// VP9's level is not held against the size: scripts write 1.0 for whatever size they encode, the Web Platform
    /// Tests among them.
    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError> {
        check(config).map(drop)
    }

    fn input_format(&self, config: &VideoEncoderConfig) -> PixelFormat {
        Format::of(&config.codec).map_or(PixelFormat::I420, |format| format.input)
    }

    fn supports_alpha(&self, config: &VideoEncoderConfig) -> bool {
        self.knows(&config.codec)
    }

    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError> {
        let format = check(config)?;
        let threads = context.threads.clamp(1, self.max_threads(config));
        let settings = Settings::new(format, config, threads);
        Ok(Box::new(Encoder {
            input: format.input,
            size: config.size,
            library: Library::new(&settings)?,
            session: EncodeSession::new(config, MAX_Q_INDEX, FIRST_QUANTIZER),
            // VP8's variable rate and the buffer of constant rates hold the average by themselves.
            correction: (format.codec == Codec::Vp9 && settings.is_variable())
                .then(|| RateCorrection::new(bitrate(config))),
            pool: context.pool.clone(),
        }))
    }
}

struct Encoder {
    input: PixelFormat,
    size: Size,
    library: Library,
    session: EncodeSession,
    correction: Option<RateCorrection>,
    pool: BufferPool,
}

impl VideoEncoder for Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let image = input_image(frame, self.input, self.size)?;
        let plan = self.session.plan(frame, options)?;
        let repaired = repaired_words(image, &self.pool);
        let planes = repaired.as_deref().unwrap_or(image.planes());
        if let Some(bits) = self.correction.as_mut().and_then(|c| c.next(&plan)) {
            self.library.set_bitrate(bits)?;
        }
        let (session, correction) = (&mut self.session, &mut self.correction);
        self.library.encode(planes, &plan, &mut |picture| {
            // A copy, as libvpx writes its next picture to the same memory.
            if let Some(correction) = correction {
                correction.spent(picture.data.len());
            }
            let data = Bytes::copy_from_slice(picture.data);
            sink(session.output(picture.time, picture.key, data, None)?);
            Ok(())
        })
    }

    /// libvpx holds no frame back: there is no lookahead, from which one-pass coding gains nothing.
    fn flush(&mut self, _: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        Ok(())
    }
}
