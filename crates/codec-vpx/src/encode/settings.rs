//! What libvpx is told before it starts.

use std::ffi::{c_int, c_uint, c_ulong};

use reelcore_media::encode_session;
use reelcore_media::encoder::{
    ContentHint, LatencyMode, ScalabilityMode, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::format::PixelLayout;
use reelcore_media::{PixelFormat, Size, VideoCodec};
use vpx_sys as sys;
use vpx_sys::vp8e_enc_control_id as control;

use super::Format;
use crate::library::Codec;

/// libvpx multiplies kilobits by 1000 in an int.
const MAX_KILOBITS: u64 = 2_000_000;

/// The narrowest tile of VP9 in pixels (MIN_TILE_WIDTH_B64).
const MIN_TILE_WIDTH: u32 = 256;

/// Shares of the bit rate that the layers up to each one have, in percent, as WebRTC divides it.
const SHARES: [&[u64]; 3] = [&[100], &[60, 100], &[40, 60, 100]];

/// The most threads that libvpx can put to use.
///
/// VP9's threads take rows of 64 pixels. VP8 gets one: its threads wait for each other in a loop that never sleeps, and
/// on two processors with other work two threads coded 6 frames of 720p a second where one coded 65.
pub(super) fn max_threads(config: &VideoEncoderConfig) -> usize {
    match config.codec {
        VideoCodec::Vp8 => 1,
        _ => config.size.height.div_ceil(64).clamp(1, 16) as usize,
    }
}

/// How a stream is encoded.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub codec: Codec,
    pub profile: u32,
    pub input: PixelFormat,
    pub size: Size,
    pub threads: c_uint,
    pub kilobits: c_uint,
    pub mode: sys::vpx_rc_mode,
    /// Sizes of the rate control's buffer in milliseconds: whole, at the start, and that it aims at.
    pub buffer: [c_uint; 3],
    /// How far the buffer lets the rate go below and above the target, in percent.
    pub slack: [c_uint; 2],
    /// Of VP8, a key picture where the scene changes.
    pub auto_key: bool,
    pub scalability: ScalabilityMode,
    /// Whether rate control knows of the layers.
    pub by_layers: bool,
    pub deadline: c_ulong,
    pub speed: c_int,
    /// Controls and their values, in order.
    pub controls: Vec<(control, c_int)>,
}

impl Settings {
    pub fn new(format: Format, config: &VideoEncoderConfig, threads: usize) -> Self {
        let realtime = config.latency_mode == LatencyMode::Realtime;
        let layered = config.scalability != ScalabilityMode::L1T1;
        let quantizers = config.bitrate_mode == VideoBitrateMode::Quantizer;
        // VP9's rate control by layers is CBR, and has references of 4:2:0 alone. It rounds odd sizes up (get_layer_resolution)
        // and takes them back with a line on stdout for each frame. Other streams have layers by their references, and
        // a rate control that does not know of them.
        let even = config.size.width.is_multiple_of(2) && config.size.height.is_multiple_of(2);
        let by_layers = layered
            && (format.codec == Codec::Vp8
                || (even && format.input.layout() == PixelLayout::Yuv420));
        let constant = config.bitrate_mode == VideoBitrateMode::Constant
            || (by_layers && format.codec == Codec::Vp9);
        let speed = speed(format, config.size, realtime);
        let screen = matches!(config.content_hint, ContentHint::Detail | ContentHint::Text);
        let mut controls = vec![(control::VP8E_SET_CPUUSED, speed)];
        match format.codec {
            Codec::Vp8 => {
                // Hidden frames would be chunks of their own.
                controls.push((control::VP8E_SET_ENABLEAUTOALTREF, 0));
                controls.push((control::VP8E_SET_SCREEN_CONTENT_MODE, c_int::from(screen)));
            }
            Codec::Vp9 => {
                let columns = (config.size.width / MIN_TILE_WIDTH).max(1);
                let tiles = log2(threads).min(columns.ilog2() as c_int);
                controls.push((control::VP9E_SET_TILE_COLUMNS, tiles));
                controls.push((control::VP9E_SET_ROW_MT, c_int::from(threads > 1)));
                // Probabilities adapt from frame to frame, which costs decoders only frame threads that none has.
                controls.push((control::VP9E_SET_FRAME_PARALLEL_DECODING, 0));
                let cyclic = realtime && !quantizers;
                let aq = if cyclic {
                    sys::AQ_MODE::CYCLIC_REFRESH_AQ
                } else {
                    sys::AQ_MODE::NO_AQ
                };
                controls.push((control::VP9E_SET_AQ_MODE, aq as c_int));
                let content = if screen {
                    sys::vp9e_tune_content::VP9E_CONTENT_SCREEN
                } else {
                    sys::vp9e_tune_content::VP9E_CONTENT_DEFAULT
                };
                controls.push((control::VP9E_SET_TUNE_CONTENT, content as c_int));
            }
        }
        if realtime {
            // A still block is not searched; on screens more blocks are still.
            let threshold = if screen { 100 } else { 1 };
            controls.push((control::VP8E_SET_STATIC_THRESHOLD, threshold));
        }
        if constant && !quantizers {
            // A key picture may take what half of the buffer holds.
            let rate =
                encode_session::framerate(config).unwrap_or(encode_session::DEFAULT_FRAMERATE);
            let percent = (0.5 * 600.0 * rate / 10.0).clamp(300.0, 2_000.0);
            controls.push((control::VP8E_SET_MAX_INTRA_BITRATE_PCT, percent as c_int));
        }
        Self {
            codec: format.codec,
            profile: format.profile,
            input: format.input,
            size: config.size,
            threads: threads as c_uint,
            kilobits: kilobits_of(encode_session::bitrate(config)),
            mode: match (quantizers, constant) {
                (true, false) => sys::vpx_rc_mode::VPX_Q,
                (_, true) => sys::vpx_rc_mode::VPX_CBR,
                (false, false) => sys::vpx_rc_mode::VPX_VBR,
            },
            buffer: if constant {
                [1000, 500, 600]
            } else {
                [6000, 4000, 5000]
            },
            slack: if constant { [50, 50] } else { [100, 100] },
            auto_key: !layered,
            scalability: config.scalability,
            by_layers,
            deadline: c_ulong::from(if realtime {
                sys::VPX_DL_REALTIME
            } else {
                sys::VPX_DL_GOOD_QUALITY
            }),
            speed,
            controls,
        }
    }

    /// Whether the rate varies about the target.
    pub fn is_variable(&self) -> bool {
        self.mode == sys::vpx_rc_mode::VPX_VBR
    }

    /// Writes the settings into libvpx's own defaults.
    pub fn apply(&self, config: &mut sys::vpx_codec_enc_cfg_t) {
        config.g_threads = self.threads;
        config.g_profile = self.profile;
        config.g_w = self.size.width;
        config.g_h = self.size.height;
        config.g_bit_depth = match self.input.bit_depth() {
            10 => sys::vpx_bit_depth_t::VPX_BITS_10,
            12 => sys::vpx_bit_depth_t::VPX_BITS_12,
            _ => sys::vpx_bit_depth_t::VPX_BITS_8,
        };
        config.g_input_bit_depth = self.input.bit_depth();
        config.g_timebase = sys::vpx_rational {
            num: 1,
            den: 1_000_000,
        };
        config.g_pass = sys::vpx_enc_pass::VPX_RC_ONE_PASS;
        config.g_lag_in_frames = 0;
        config.rc_dropframe_thresh = 0;
        config.rc_resize_allowed = 0;
        config.rc_end_usage = self.mode;
        config.rc_target_bitrate = self.kilobits;
        // Below that, VP9 is lossless or close to it, and a first key picture would spend what later ones need.
        config.rc_min_quantizer = 2;
        config.rc_max_quantizer = 63;
        [config.rc_undershoot_pct, config.rc_overshoot_pct] = self.slack;
        [
            config.rc_buf_sz,
            config.rc_buf_initial_sz,
            config.rc_buf_optimal_sz,
        ] = self.buffer;
        // Key pictures that fall due are forced; libvpx adds those of changed scenes.
        config.kf_mode = if self.auto_key {
            sys::vpx_kf_mode::VPX_KF_AUTO
        } else {
            sys::vpx_kf_mode::VPX_KF_DISABLED
        };
        config.kf_min_dist = 0;
        config.kf_max_dist = c_int::MAX as c_uint / 2;
        self.apply_layers(config);
    }

    fn apply_layers(&self, config: &mut sys::vpx_codec_enc_cfg_t) {
        let layers = self.scalability.temporal_layers();
        if layers > 1 {
            // Upper layers may be missing when a decoder reads a frame: no state of them may reach it.
            config.g_error_resilient = sys::VPX_ERROR_RESILIENT_DEFAULT;
        }
        config.ss_number_layers = 1;
        config.ts_number_layers = 1;
        if !self.by_layers {
            return;
        }
        config.ts_number_layers = layers as c_uint;
        config.temporal_layering_mode =
            sys::vp9e_temporal_layering_mode::VP9E_TEMPORAL_LAYERING_MODE_BYPASS as c_int;
        let period = 1 << (layers - 1);
        config.ts_periodicity = period;
        for (index, id) in (0..u64::from(period)).zip(&mut config.ts_layer_id) {
            *id = c_uint::from(self.scalability.temporal_layer(index));
        }
        for layer in 0..layers {
            config.ts_rate_decimator[layer] = 1 << (layers - 1 - layer);
        }
        set_rate(config, self.kilobits);
    }
}

/// Sets the target, and that of the layers where there are some: cumulative, and rising even where the rate is next to
/// nothing.
pub(super) fn set_rate(config: &mut sys::vpx_codec_enc_cfg_t, kilobits: c_uint) {
    config.rc_target_bitrate = kilobits;
    let layers = config.ts_number_layers as usize;
    let Some(shares) = SHARES.get(layers.wrapping_sub(1)).filter(|_| layers > 1) else {
        return;
    };
    let mut last = 0;
    for (layer, share) in shares.iter().enumerate() {
        last = ((u64::from(kilobits) * share / 100) as c_uint).max(last + 1);
        config.ts_target_bitrate[layer] = last;
        config.layer_target_bitrate[layer] = last;
    }
    config.ss_target_bitrate[0] = last;
    config.rc_target_bitrate = last;
}

/// Kilobits as libvpx takes them; none at all would end the stream.
pub(super) fn kilobits_of(bits: u64) -> c_uint {
    (bits / 1000).clamp(1, MAX_KILOBITS) as c_uint
}

/// cpu-used: for VP8 in realtime mode the negative of a fixed speed, otherwise higher is faster.
fn speed(format: Format, size: Size, realtime: bool) -> c_int {
    let large = size.area() > 640 * 480;
    match (format.codec, realtime) {
        (Codec::Vp8, true) if large => -8,
        (Codec::Vp8, true) => -6,
        (Codec::Vp8, false) => 3,
        // The estimates of the faster speeds are wrong for 12 bits: at the same quantizer they lose 11 dB.
        (Codec::Vp9, true) if format.input.bit_depth() == 12 => 4,
        (Codec::Vp9, true) if large => 8,
        (Codec::Vp9, true) => 7,
        (Codec::Vp9, false) => 4,
    }
}

/// The logarithm to base 2 of `threads`, rounded up.
fn log2(threads: usize) -> c_int {
    threads.next_power_of_two().ilog2() as c_int
}
