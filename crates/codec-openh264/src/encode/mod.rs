//! H.264 encoding.
//!
//! Every frame gives one chunk at once: OpenH264 makes no B-frames, and is not allowed to skip.

#[cfg(feature = "bench")]
pub(crate) mod bare;
mod level;
mod library;
mod settings;

use std::collections::VecDeque;

use bytes::Bytes;
use reelcore_media::codec_string::Avc;
use reelcore_media::encode_session::{EncodeSession, RateCorrection, framerate, input_image};
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, EncoderContext, NalFormat, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::h264::{AvcC, Nal, NalKind, START_CODE};
use reelcore_media::{
    ColorSpace, MediaError, PixelFormat, Size, VideoCodec, VideoEncoder, VideoEncoderBackend,
    VideoFrame,
};

use library::{Library, Picture};
use settings::Settings;

/// The largest quantizer of the registration, which is H.264's own scale.
const MAX_QUANTIZER: u16 = 51;
/// The quantizer of frames before the first that names one: H.264's own middle.
const FIRST_QUANTIZER: u16 = 26;
/// How much coarser a picture is coded again that OpenH264 has no room for: some 40 % fewer bytes.
const COARSER: u16 = 4;
/// In screen mode OpenH264 makes a key picture of each new scene, for which it takes every picture of a camera that
/// moves. More than so many in this time, in microseconds, and it gets another mode.
const MAX_SCENES: usize = 3;
const SCENE_WINDOW: i64 = 2_000_000;
/// Bytes of the lengths in "avc" chunks.
const LENGTH_SIZE: usize = 4;

/// The H.264 software encoder over OpenH264: Constrained Baseline, Main and High, 8-bit 4:2:0.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenH264Encoder;

fn check(config: &VideoEncoderConfig) -> Result<Avc, MediaError> {
    let VideoCodec::Avc(avc) = config.codec else {
        return Err(MediaError::unsupported(format!(
            "OpenH264 encodes H.264, not {}",
            config.codec
        )));
    };
    if !matches!(avc.profile, 66 | 77 | 100) {
        return Err(MediaError::unsupported(format!(
            "OpenH264 encodes the Constrained Baseline, Main and High profiles (66, 77, 100), not {}",
            avc.profile
        )));
    }
    level::check(&avc, config.size, framerate(config))?;
    Ok(avc)
}

impl VideoEncoderBackend for OpenH264Encoder {
    fn name(&self) -> &'static str {
        "openh264"
    }

    fn max_threads(&self, config: &VideoEncoderConfig) -> usize {
        settings::max_threads(config.size)
    }

    fn knows(&self, codec: &VideoCodec) -> bool {
        matches!(codec, VideoCodec::Avc(_))
    }

    fn check(&self, config: &VideoEncoderConfig) -> Result<(), MediaError> {
        check(config).map(drop)
    }

    fn input_format(&self, _: &VideoEncoderConfig) -> PixelFormat {
        PixelFormat::I420
    }

    fn start(
        &self,
        config: &VideoEncoderConfig,
        context: &EncoderContext,
    ) -> Result<Box<dyn VideoEncoder>, MediaError> {
        let avc = check(config)?;
        let threads = context.threads.clamp(1, self.max_threads(config));
        let settings = Settings::new(config, avc, threads);
        Ok(Box::new(Encoder {
            size: config.size,
            library: None,
            color_space: ColorSpace::default(),
            scenes: VecDeque::new(),
            session: EncodeSession::new(config, MAX_QUANTIZER, FIRST_QUANTIZER),
            // OpenH264 leaves its target where it may not skip frames.
            correction: (config.bitrate_mode != VideoBitrateMode::Quantizer)
                .then(|| RateCorrection::new(settings.bitrate())),
            settings,
            format: config.nal_format,
            in_band: avc.in_band,
            description: None,
        }))
    }
}

struct Encoder {
    size: Size,
    settings: Settings,
    /// Started with the first frame and again where the colour space changes: it is in the parameter sets, which
    /// OpenH264 writes as it was started.
    library: Option<Library>,
    color_space: ColorSpace,
    /// Running times of the last key pictures that OpenH264 made by itself.
    scenes: VecDeque<i64>,
    session: EncodeSession,
    correction: Option<RateCorrection>,
    format: NalFormat,
    /// Parameter sets may stand in the stream of "avc" chunks, too.
    in_band: bool,
    description: Option<Bytes>,
}

impl VideoEncoder for Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let image = input_image(frame, PixelFormat::I420, self.size)?;
        let mut options = *options;
        if self.scenes.len() > MAX_SCENES {
            // This is no screen: a new encoder, for a camera, begins with a key picture.
            self.settings.screen = false;
            self.scenes.clear();
            self.library = None;
            options.key_frame = true;
        }
        let mut plan = self.session.plan(frame, &options)?;
        if let Some(color_space) = plan.new_color_space {
            self.color_space = color_space;
            self.library = None;
        }
        if self.library.is_none() {
            self.library = Some(Library::new(&self.settings, self.color_space)?);
        }
        let Some(library) = &mut self.library else {
            return Err(MediaError::backend("an encoder without a first frame"));
        };
        if let Some(bits) = self.correction.as_mut().and_then(|c| c.next(&plan)) {
            library.set_bitrate(bits)?;
        }
        while !library.encode(image.planes(), &plan)? {
            // What it has coded before is lost with it, so that a key picture comes next; that would break the order of layers.
            plan.key = true;
            plan.quantizer = match plan.quantizer {
                Some(quantizer) if quantizer < MAX_QUANTIZER && self.settings.layers == 1 => {
                    Some((quantizer + COARSER).min(MAX_QUANTIZER))
                }
                _ => {
                    return Err(MediaError::backend(
                        "the coded picture takes more bytes than OpenH264 has room for, about those of a raw one",
                    ));
                }
            };
            *library = Library::new(&self.settings, self.color_space)?;
        }
        let picture = library.picture()?;
        if picture.key && !plan.key {
            self.scenes.push_back(plan.time);
            self.scenes.retain(|time| plan.time - time < SCENE_WINDOW);
        }
        let annex_b = self.format == NalFormat::AnnexB;
        if picture.key && !annex_b {
            describe(&picture, &mut self.description)?;
        }
        let data = pack(&picture, annex_b, annex_b || self.in_band)?;
        if let Some(correction) = &mut self.correction {
            correction.spent(data.len());
        }
        let description = self.description.as_ref();
        let output = self
            .session
            .output(plan.time, picture.key, data, description)?;
        sink(output);
        Ok(())
    }

    /// OpenH264 holds no frame back.
    fn flush(&mut self, _: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        Ok(())
    }
}

/// A NAL unit of OpenH264's, without its start code.
fn bare(unit: &[u8]) -> Result<Nal<'_>, MediaError> {
    let unit = unit.strip_prefix(&START_CODE[..]).ok_or_else(|| {
        MediaError::backend("OpenH264 gave a NAL unit without a start code of four bytes")
    })?;
    Nal::new(START_CODE.len(), unit)
}

fn is_parameter_set(nal: &Nal<'_>) -> bool {
    matches!(nal.kind, NalKind::Sps | NalKind::Pps)
}

/// Makes the parameter sets of a key picture into `description`, an avcC, where they are others than it has.
fn describe(picture: &Picture<'_>, description: &mut Option<Bytes>) -> Result<(), MediaError> {
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    for unit in &picture.units {
        let nal = bare(unit)?;
        match nal.kind {
            NalKind::Sps => sps.push(nal.bytes),
            NalKind::Pps => pps.push(nal.bytes),
            _ => {}
        }
    }
    let record = AvcC::of_parameter_sets(&sps, &pps, LENGTH_SIZE)?.write()?;
    if description.as_deref() != Some(&record[..]) {
        *description = Some(record.into());
    }
    Ok(())
}

/// The chunk of a picture: one copy out of OpenH264's memory, which it writes again with the next picture.
fn pack(picture: &Picture<'_>, annex_b: bool, with_sets: bool) -> Result<Bytes, MediaError> {
    // A start code and a length have the same size.
    let size = picture.units.iter().map(|unit| unit.len()).sum();
    let mut data = Vec::with_capacity(size);
    for unit in &picture.units {
        let nal = bare(unit)?;
        if !with_sets && is_parameter_set(&nal) {
            continue;
        }
        if annex_b {
            data.extend_from_slice(&START_CODE);
        } else {
            let length = u32::try_from(nal.bytes.len())
                .map_err(|_| MediaError::backend("a NAL unit of 4 GiB"))?;
            data.extend_from_slice(&length.to_be_bytes());
        }
        data.extend_from_slice(nal.bytes);
    }
    Ok(data.into())
}
