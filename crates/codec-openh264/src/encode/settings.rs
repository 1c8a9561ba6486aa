//! What OpenH264 is told before it starts.

use std::ffi::{c_int, c_uint};

use openh264_sys2 as sys;
use reelcore_media::codec_string::Avc;
use reelcore_media::color::Matrix;
use reelcore_media::encode_session::{DEFAULT_FRAMERATE, bitrate, framerate};
use reelcore_media::encoder::{ContentHint, LatencyMode, VideoBitrateMode, VideoEncoderConfig};
use reelcore_media::{ColorSpace, Size};

use super::level;

/// Slices are coded side by side. Pictures of fewer macroblocks are not worth another.
const SLICE_MBS: u64 = 900;
/// More slices cost more bits than they are worth.
const MAX_SLICES: u64 = 4;

/// What H.273 calls unspecified, of primaries, transfer and matrix.
const UNSPECIFIED: u8 = 2;

/// The most threads that OpenH264 can put to use: each codes a slice.
pub(super) fn max_threads(size: Size) -> usize {
    let blocks = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
    (blocks / SLICE_MBS).clamp(1, MAX_SLICES) as usize
}

/// How a stream is encoded.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    size: Size,
    avc: Avc,
    /// Not below that of `avc`.
    level: u8,
    threads: u16,
    bitrate: c_int,
    pub framerate: f32,
    mode: sys::RC_MODES,
    pub screen: bool,
    quality: bool,
    pub layers: c_int,
}

impl Settings {
    pub fn new(config: &VideoEncoderConfig, avc: Avc, threads: usize) -> Self {
        let asked = level::level_idc(&avc);
        let (level, framerate) = match framerate(config) {
            Some(rate) => (level::level_for_framerate(asked, config.size, rate), rate),
            // Rates that are not known must not make for a higher level than was asked for.
            None => {
                let most = level::max_framerate(asked, config.size);
                (asked, DEFAULT_FRAMERATE.min(most))
            }
        };
        let (level, bits) = match config.bitrate {
            // OpenH264 does not start where the level has fewer bits.
            Some(bits) if config.bitrate_mode != VideoBitrateMode::Quantizer => {
                (level::level_for_bitrate(level, bits), bits)
            }
            _ => (level, bitrate(config)),
        };
        Self {
            size: config.size,
            avc,
            level,
            threads: threads as u16,
            bitrate: clamp_bitrate(bits, level),
            framerate: framerate as f32,
            mode: match config.bitrate_mode {
                VideoBitrateMode::Constant => sys::RC_BITRATE_MODE,
                VideoBitrateMode::Variable => sys::RC_QUALITY_MODE,
                VideoBitrateMode::Quantizer => sys::RC_OFF_MODE,
            },
            screen: matches!(config.content_hint, ContentHint::Detail | ContentHint::Text),
            quality: config.latency_mode == LatencyMode::Quality,
            layers: config.scalability.temporal_layers() as c_int,
        }
    }

    /// The target in bits a second.
    pub fn bitrate(&self) -> u64 {
        u64::from(self.bitrate.unsigned_abs())
    }

    /// level_idc of the stream.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Writes the settings into OpenH264's own defaults.
    pub fn apply(&self, color_space: ColorSpace, params: &mut sys::SEncParamExt) {
        params.iUsageType = if self.screen {
            sys::SCREEN_CONTENT_REAL_TIME
        } else {
            sys::CAMERA_VIDEO_REAL_TIME
        };
        params.iPicWidth = self.size.width as c_int;
        params.iPicHeight = self.size.height as c_int;
        params.iTargetBitrate = bitrate_at(self.bitrate(), f64::from(self.framerate), self.level);
        params.iRCMode = self.mode;
        params.fMaxFrameRate = self.framerate;
        params.iTemporalLayerNum = self.layers;
        params.iSpatialLayerNum = 1;
        params.iComplexityMode = if self.quality {
            sys::HIGH_COMPLEXITY
        } else {
            sys::LOW_COMPLEXITY
        };
        // Key pictures that fall due are forced.
        params.uiIntraPeriod = 0;
        // The same sets at every key picture, so that one description holds for the stream.
        params.eSpsPpsIdStrategy = sys::CONSTANT_ID;
        // CABAC, which Baseline lacks.
        params.iEntropyCodingModeFlag = c_int::from(self.avc.profile != 66);
        // A chunk for every frame.
        params.bEnableFrameSkip = false;
        (params.iMinQp, params.iMaxQp) = (1, 51);
        params.iMultipleThreadIdc = self.threads;
        // Slices that follow the load of the machine would make each run another stream.
        params.bUseLoadBalancing = false;
        // It takes a camera that pans for a new scene. On screens OpenH264 does not go without.
        params.bEnableSceneChangeDetect = self.screen;
        params.bEnableBackgroundDetection = !self.screen;
        params.bEnableAdaptiveQuant = false;

        let layer = &mut params.sSpatialLayers[0];
        layer.iVideoWidth = params.iPicWidth;
        layer.iVideoHeight = params.iPicHeight;
        layer.fFrameRate = self.framerate;
        layer.iSpatialBitrate = params.iTargetBitrate;
        layer.uiProfileIdc = sys::EProfileIdc::from(self.avc.profile);
        layer.uiLevelIdc = sys::ELevelIdc::from(self.level);
        layer.sSliceArgument.uiSliceMode = if self.threads > 1 {
            sys::SM_FIXEDSLCNUM_SLICE
        } else {
            sys::SM_SINGLE_SLICE
        };
        layer.sSliceArgument.uiSliceNum = c_uint::from(self.threads);
        describe_color(color_space, layer);
    }
}

/// Frames a second that OpenH264 takes; of others it takes the nearest (MIN_FRAME_RATE and MAX_FRAME_RATE of its
/// wels_const.h).
pub(super) const FRAMERATES: std::ops::RangeInclusive<f64> = 1.0..=60.0;

/// What OpenH264 is told for `bits` a second, at `framerate` frames a second and in a stream of `level`: it divides the bits of
/// a second among as many frames as it takes there to be.
pub(super) fn bitrate_at(bits: u64, framerate: f64, level: u8) -> c_int {
    let taken = framerate.clamp(*FRAMERATES.start(), *FRAMERATES.end());
    clamp_bitrate((bits as f64 * (taken / framerate)) as u64, level)
}

fn clamp_bitrate(bits: u64, level: u8) -> c_int {
    let bits = bits.clamp(1_000, level::max_bitrate(level));
    c_int::try_from(bits).unwrap_or(c_int::MAX)
}

/// video_signal_type of the usability information (E.1.1), where something is known.
fn describe_color(color_space: ColorSpace, layer: &mut sys::SSpatialLayerConfig) {
    layer.bVideoSignalTypePresent = color_space != ColorSpace::default();
    layer.uiVideoFormat = sys::VF_UNDEF as u8;
    layer.bFullRange = color_space.full_range == Some(true);
    let primaries = color_space.primaries.map(|p| p.code_point());
    let transfer = color_space.transfer.map(|t| t.code_point());
    // 4:2:0 has no RGB.
    let matrix = color_space.matrix.filter(|&m| m != Matrix::Rgb);
    let matrix = matrix.map(|m| m.code_point());
    layer.bColorDescriptionPresent = [primaries, transfer, matrix].iter().any(Option::is_some);
    layer.uiColorPrimaries = primaries.unwrap_or(UNSPECIFIED);
    layer.uiTransferCharacteristics = transfer.unwrap_or(UNSPECIFIED);
    layer.uiColorMatrix = matrix.unwrap_or(UNSPECIFIED);
}
