//! What libx265 is told before it starts.

use std::ffi::CStr;

use reelcore_media::codec_string::Hevc;
use reelcore_media::encode_session::{DEFAULT_FRAMERATE, framerate};
use reelcore_media::encoder::{ContentHint, LatencyMode, VideoBitrateMode, VideoEncoderConfig};
use reelcore_media::{ColorSpace, MediaError, PixelFormat, VideoCodec};

use super::level;
use super::library::{Options, has_encoder};
use super::sets::Stated;

const NAME: &CStr = c"libx265";

/// The largest quantizer of the registration, which is HEVC's own scale of 8 bits.
pub(super) const MAX_QUANTIZER: u16 = 51;
/// The quantizer that offsets of frames are counted from, and that of frames before the first that names one.
pub(super) const FIRST_QUANTIZER: u16 = 26;

/// From this level_idc on, level 5, coding tree blocks have at least 32x32 samples (A.4.1), and libx265 3.5 takes no
/// picture smaller than such a block: it ends the process with a segmentation fault.
const LARGE_BLOCKS_LEVEL: u8 = 150;

/// The smallest width and height that libx265 encodes in a stream of `config`.
fn min_side(config: &VideoEncoderConfig) -> u32 {
    let level = hevc(config).map_or(0, |hevc| {
        level_for(config, &hevc, first_framerate(config)).unwrap_or(hevc.level)
    });
    if level >= LARGE_BLOCKS_LEVEL { 32 } else { 16 }
}

fn hevc(config: &VideoEncoderConfig) -> Option<Hevc> {
    match config.codec {
        VideoCodec::Hevc(hevc) => Some(hevc),
        _ => None,
    }
}

/// The frames a second to start with. Ones that are not known must not make for a higher level than was asked for.
pub(super) fn first_framerate(config: &VideoEncoderConfig) -> f64 {
    framerate(config).unwrap_or_else(|| {
        let most = hevc(config).map_or(f64::INFINITY, |hevc| {
            level::max_framerate(&hevc, config.size)
        });
        DEFAULT_FRAMERATE.min(most)
    })
}

/// The level of the stream: the first from that of the codec string on that holds its bits and frames. In quantizer
/// mode, in which nobody knows how many bits there will be, they count for nothing.
fn level_for(config: &VideoEncoderConfig, hevc: &Hevc, framerate: f64) -> Option<u8> {
    let bits = match config.bitrate_mode {
        VideoBitrateMode::Quantizer => 0,
        _ => level::bits(hevc, config),
    };
    level::that_holds(hevc, config.size, level::thousandths(framerate), bits)
}

/// Below this width libx265 3.5's cutree writes past the end of its memory: it counts in fours of blocks of 16 samples.
const CUTREE_WIDTH: u32 = 64;

/// libavutil's name of `format`.
fn name_of(format: PixelFormat) -> Option<&'static CStr> {
    use PixelFormat as F;
    Some(match format {
        F::I420 => c"yuv420p",
        F::I420P10 => c"yuv420p10le",
        F::I420P12 => c"yuv420p12le",
        F::I422 => c"yuv422p",
        F::I422P10 => c"yuv422p10le",
        F::I422P12 => c"yuv422p12le",
        F::I444 => c"yuv444p",
        F::I444P10 => c"yuv444p10le",
        F::I444P12 => c"yuv444p12le",
        _ => return None,
    })
}

/// Whether the installed libx265 encodes `config`, of which the codec string is checked.
pub(super) fn check(config: &VideoEncoderConfig, format: PixelFormat) -> Result<(), MediaError> {
    let size = config.size;
    let chroma = format.plane_size(1, size);
    // Of 4:2:0 and 4:2:2, whole pairs of columns and rows.
    let whole = format.plane_size(1, reelcore_media::Size::new(2, 2));
    let even = (
        chroma.width * (2 / whole.width),
        chroma.height * (2 / whole.height),
    );
    let least = min_side(config);
    if size.width < least || size.height < least || even != (size.width, size.height) {
        return Err(MediaError::unsupported(format!(
            "x265 encodes {} of {least}x{least} pixels and more with whole chroma samples at this level, not {}x{}",
            format.as_str(),
            size.width,
            size.height
        )));
    }
    match name_of(format) {
        Some(name) if has_encoder(NAME, name) => Ok(()),
        _ => Err(MediaError::unsupported(format!(
            "the installed libavcodec has no libx265 for {}",
            format.as_str()
        ))),
    }
}

/// Of what the options of each start are made.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    config: VideoEncoderConfig,
    format: PixelFormat,
    threads: usize,
}

impl Settings {
    pub(super) fn new(config: &VideoEncoderConfig, format: PixelFormat, threads: usize) -> Self {
        Self {
            config: config.clone(),
            format,
            threads,
        }
    }

    /// What libx265 is opened with for so many frames a second.
    pub(super) fn options(&self, framerate: f64) -> Result<Options, MediaError> {
        options(&self.config, self.format, self.threads, framerate)
    }

    /// What is to be written over the level that libx265 states, where it must not be told one: it would hold the
    /// stream to the level's bits, whatever the quantizers.
    pub(super) fn stated(&self) -> Option<Stated> {
        let hevc = hevc(&self.config)?;
        let framerate = first_framerate(&self.config);
        let level = level_for(&self.config, &hevc, framerate).unwrap_or(hevc.level);
        (self.config.bitrate_mode == VideoBitrateMode::Quantizer).then(|| Stated {
            level,
            high_tier: level::high_tier(&hevc, level),
        })
    }
}

fn options(
    config: &VideoEncoderConfig,
    format: PixelFormat,
    threads: usize,
    framerate: f64,
) -> Result<Options, MediaError> {
    let hevc = hevc(config).ok_or_else(|| MediaError::unsupported("x265 encodes HEVC alone"))?;
    let realtime = config.latency_mode == LatencyMode::Realtime;
    let bits = level::bits(&hevc, config);
    let mut params: Vec<(&str, String)> = vec![
        ("log-level", "none".into()),
        // Neither its name and settings nor delimiters in the stream.
        ("info", "0".into()),
        ("aud", "0".into()),
        ("hrd", "0".into()),
        // Key pictures come where the caller asks for them, and are IDR pictures.
        ("keyint", "-1".into()),
        ("scenecut", "0".into()),
        ("open-gop", "0".into()),
        ("bframes", "0".into()),
        // Rows of blocks side by side; several pictures at once would hold frames back.
        ("frame-threads", "1".into()),
        (
            "pools",
            if threads > 1 {
                threads.to_string()
            } else {
                "none".into()
            },
        ),
    ];
    params.push(("high-tier", u8::from(hevc.high_tier).to_string()));
    // Past every level, which frames that come too fast can be, x265 states one of its own.
    if config.bitrate_mode != VideoBitrateMode::Quantizer
        && let Some(level) = level_for(config, &hevc, framerate)
    {
        params.push(("level-idc", format!("{:.1}", f64::from(level) / 30.0)));
    }
    if config.size.width < CUTREE_WIDTH {
        params.push(("cutree", "0".into()));
    }
    if matches!(config.content_hint, ContentHint::Detail | ContentHint::Text) {
        // Sharp edges cost least where blocks are not transformed.
        params.push(("tskip", "1".into()));
    }
    let mut own = vec![
        (
            "preset",
            if realtime { "superfast" } else { "medium" }.to_string(),
        ),
        ("forced-idr", "1".to_string()),
    ];
    if realtime {
        own.push(("tune", "zerolatency".to_string()));
    }
    let (mut rate, mut max_rate, mut buffer) = (bits, 0, 0);
    match config.bitrate_mode {
        VideoBitrateMode::Constant => {
            max_rate = bits;
            buffer = bits;
        }
        VideoBitrateMode::Variable => {}
        VideoBitrateMode::Quantizer => {
            rate = 0;
            own.push(("crf", FIRST_QUANTIZER.to_string()));
            // By these the quantizer is the constant for every picture, and what a frame's offset adds to it is added
            // as it is.
            for (name, value) in [
                ("aq-mode", "1"),
                ("aq-strength", "0.001"),
                ("cutree", "0"),
                ("qcomp", "1.0"),
                ("ipratio", "1.0"),
                ("rc-lookahead", "0"),
                ("qg-size", "16"),
            ] {
                params.push((name, value.into()));
            }
        }
    }
    let params: Vec<String> = params
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    own.push(("x265-params", params.join(":")));
    Ok(Options {
        name: NAME,
        device: None,
        format: name_of(format).ok_or_else(|| MediaError::unsupported("no such samples"))?,
        size: config.size,
        bitrate: rate,
        max_bitrate: max_rate,
        buffer_bits: buffer,
        framerate,
        threads: 1,
        color_space: ColorSpace::default(),
        own,
    })
}

/// The part of the scale that makes `quantizer` out of [`FIRST_QUANTIZER`], for samples of `bits` bits: libavcodec
/// counts 51 steps, and six more for each bit above eight.
pub(super) fn offset(quantizer: u16, bits: u32) -> (i32, i32) {
    let steps = 51 + 6 * i32::try_from(bits.saturating_sub(8)).unwrap_or(0);
    (i32::from(quantizer) - i32::from(FIRST_QUANTIZER), steps)
}
