//! What libaom is told before it starts.

use std::ffi::{c_int, c_uint};

use libaom_sys as sys;
use reelcore_media::encode_session;
use reelcore_media::encoder::{
    ContentHint, LatencyMode, ScalabilityMode, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::{PixelFormat, Size};

use crate::backend::Format;

/// libaom's own limit.
const MAX_KILOBITS: u64 = 2_000_000;

/// Frames that are looked ahead in quality mode: two groups of pictures.
const LOOKAHEAD: c_uint = 25;

/// libaom takes more frames a second than these for a mistake, and 30 for the truth.
const MAX_FRAMERATE: f64 = 180.0;

/// The frames for which libaom plans the bits of a key picture, when it looks ahead. With its default, ten thousand,
/// the first five seconds take up to a third more than the target, with those of ten seconds a fifth less.
const KEY_DISTANCE: c_uint = 1_000;

/// Microseconds of frames for which it plans at least: before them a key picture falls due.
const KEY_PERIOD: u64 = 11_000_000;

/// Shares of the bit rate that the layers up to each one have, in percent, as WebRTC divides it.
const SHARES: [&[u64]; 3] = [&[100], &[60, 100], &[40, 60, 100]];

/// The most threads that libaom can put to use: each takes a row of 64 pixels.
pub(crate) fn max_threads(size: Size) -> usize {
    size.height.div_ceil(64).clamp(1, 16) as usize
}

/// How a stream is encoded.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub format: Format,
    pub size: Size,
    threads: c_uint,
    kilobits: c_uint,
    mode: sys::aom_rc_mode,
    pub usage: c_uint,
    lookahead: c_uint,
    pub scalability: ScalabilityMode,
    pub quantizers: bool,
    /// Controls and their values, in order.
    pub controls: Vec<(c_uint, c_int)>,
}

impl Settings {
    pub fn new(format: Format, config: &VideoEncoderConfig, threads: usize) -> Self {
        let layered = config.scalability != ScalabilityMode::L1T1;
        let quantizers = config.bitrate_mode == VideoBitrateMode::Quantizer;
        let constant = config.bitrate_mode == VideoBitrateMode::Constant || layered;
        let quality = config.latency_mode == LatencyMode::Quality;
        // Looking ahead is for files: a constant rate has little delay, a quantizer is that of the frame which comes
        // with it, and layers are of libaom's realtime mode alone. So is all that does not look ahead.
        let looks_ahead = quality && !constant && !quantizers;
        let screen = matches!(config.content_hint, ContentHint::Detail | ContentHint::Text);
        let mut settings = Self {
            format,
            size: config.size,
            threads: threads as c_uint,
            kilobits: kilobits_of(encode_session::bitrate(config)),
            mode: match (quantizers, constant) {
                (true, false) => sys::AOM_Q,
                (_, true) => sys::AOM_CBR,
                (false, false) => sys::AOM_VBR,
            },
            usage: if looks_ahead {
                sys::AOM_USAGE_GOOD_QUALITY
            } else {
                sys::AOM_USAGE_REALTIME
            },
            lookahead: if looks_ahead { LOOKAHEAD } else { 0 },
            scalability: config.scalability,
            quantizers,
            controls: Vec::new(),
        };
        settings.set_controls(config, quality, screen);
        settings
    }

    fn set_controls(&mut self, config: &VideoEncoderConfig, quality: bool, screen: bool) {
        use sys as s;
        let looks_ahead = self.looks_ahead();
        let mut set = |control, value| self.controls.push((control, value));
        set(s::AOME_SET_CPUUSED, speed(config.size, quality));
        let threads = self.threads as usize;
        set(s::AV1E_SET_ROW_MT, c_int::from(threads > 1));
        // Tiles of at least 256 columns.
        let columns = (config.size.width / 256).max(1).ilog2();
        let tiles = threads.next_power_of_two().ilog2().min(columns);
        set(s::AV1E_SET_TILE_COLUMNS, tiles as c_int);
        set(
            s::AV1E_SET_CHROMA_SAMPLE_POSITION,
            c_int::from(self.format.chroma_position),
        );
        let content = if screen {
            s::AOM_CONTENT_SCREEN
        } else {
            s::AOM_CONTENT_DEFAULT
        };
        set(s::AV1E_SET_TUNE_CONTENT, content as c_int);
        set(
            s::AV1E_SET_ENABLE_PALETTE,
            c_int::from(screen || looks_ahead),
        );
        if looks_ahead {
            return;
        }
        // Cyclic refresh, which would change the quantizers that are asked for.
        let cyclic = if self.quantizers { 0 } else { 3 };
        set(s::AV1E_SET_AQ_MODE, cyclic);
        // Tools that cost more time than they save bits at these speeds.
        for control in [
            s::AV1E_SET_ENABLE_TPL_MODEL,
            s::AV1E_SET_DELTAQ_MODE,
            s::AV1E_SET_ENABLE_ORDER_HINT,
            s::AV1E_SET_ENABLE_OBMC,
            s::AV1E_SET_ENABLE_GLOBAL_MOTION,
            s::AV1E_SET_ENABLE_WARPED_MOTION,
            s::AV1E_SET_ENABLE_REF_FRAME_MVS,
            s::AV1E_SET_ENABLE_CFL_INTRA,
            s::AV1E_SET_ENABLE_SMOOTH_INTRA,
            s::AV1E_SET_ENABLE_ANGLE_DELTA,
            s::AV1E_SET_ENABLE_FILTER_INTRA,
        ] {
            set(control, 0);
        }
        set(s::AV1E_SET_INTRA_DEFAULT_TX_ONLY, 1);
        for control in [
            s::AV1E_SET_COEFF_COST_UPD_FREQ,
            s::AV1E_SET_MODE_COST_UPD_FREQ,
            s::AV1E_SET_MV_COST_UPD_FREQ,
        ] {
            // Never within a frame.
            set(control, 3);
        }
    }

    /// Whether the rate varies about the target without a plan: looking ahead, libaom has one, which another target
    /// would throw over.
    pub fn needs_correction(&self) -> bool {
        self.mode == sys::AOM_VBR && !self.looks_ahead()
    }

    /// Whether pictures come later than their frames.
    pub fn looks_ahead(&self) -> bool {
        self.lookahead > 0
    }

    /// Writes the settings into libaom's own defaults. `step` is how far apart frames are, in microseconds.
    ///
    /// Looking ahead, libaom plans the bits up to the next key picture when it gets the first, for as many frames a second as
    /// its time base has ticks, and stays with that. One tick is then a frame. Otherwise it follows the times.
    pub fn apply(&self, config: &mut sys::aom_codec_enc_cfg_t, step: u64) {
        config.g_threads = self.threads;
        config.g_profile = self.format.profile;
        config.g_w = self.size.width;
        config.g_h = self.size.height;
        let depth = self.format.input.bit_depth();
        config.g_bit_depth = depth as sys::aom_bit_depth_t;
        config.g_input_bit_depth = depth;
        config.monochrome = c_uint::from(self.format.monochrome);
        let (tick, kilobits) = self.plan_of(step);
        config.g_timebase = sys::aom_rational {
            num: tick,
            den: 1_000_000,
        };
        config.g_pass = sys::AOM_RC_ONE_PASS;
        config.g_lag_in_frames = self.lookahead;
        config.g_error_resilient = 0;
        config.rc_dropframe_thresh = 0;
        config.rc_end_usage = self.mode;
        config.rc_target_bitrate = kilobits;
        // Below that, a first key picture would spend what later ones need.
        config.rc_min_quantizer = if self.quantizers { 0 } else { 2 };
        config.rc_max_quantizer = 63;
        if self.mode == sys::AOM_CBR {
            [config.rc_undershoot_pct, config.rc_overshoot_pct] = [50, 50];
            config.rc_buf_sz = 1000;
            config.rc_buf_initial_sz = 500;
            config.rc_buf_optimal_sz = 600;
        }
        // Key pictures that fall due are forced; in quality mode libaom adds those of changed scenes.
        config.kf_mode = if self.looks_ahead() {
            sys::AOM_KF_AUTO
        } else {
            sys::AOM_KF_DISABLED
        };
        config.kf_min_dist = 0;
        config.kf_max_dist = KEY_DISTANCE.max((KEY_PERIOD / step.max(1)) as c_uint);
        if self.looks_ahead() {
            // How far pictures may be from what libaom's plan has for them.
            [config.rc_undershoot_pct, config.rc_overshoot_pct] = [50, 50];
        }
    }

    /// A tick of the time base in microseconds, and the kilobits of as many frames as it makes of a second.
    fn plan_of(&self, step: u64) -> (c_int, c_uint) {
        if !self.looks_ahead() {
            return (1, self.kilobits);
        }
        let least = 1e6 / MAX_FRAMERATE;
        let tick = (step as f64).max(least).ceil();
        let kilobits = f64::from(self.kilobits) * step as f64 / tick;
        (tick as c_int, kilobits.max(1.0) as c_uint)
    }

    /// The layers of the rate control, where there is more than one.
    pub fn layers(&self) -> Option<sys::aom_svc_params_t> {
        let layers = self.scalability.temporal_layers();
        if layers == 1 {
            return None;
        }
        let mut params = sys::aom_svc_params_t {
            number_spatial_layers: 1,
            number_temporal_layers: layers as c_int,
            max_quantizers: [63; 32],
            min_quantizers: [if self.quantizers { 0 } else { 2 }; 32],
            scaling_factor_num: [1; 4],
            scaling_factor_den: [1; 4],
            layer_target_bitrate: [0; 32],
            framerate_factor: [1; 8],
        };
        for (layer, share) in SHARES[layers - 1].iter().enumerate() {
            let kilobits = u64::from(self.kilobits) * share / 100;
            params.layer_target_bitrate[layer] = kilobits.max(1) as c_int;
            params.framerate_factor[layer] = 1 << (layers - 1 - layer);
        }
        Some(params)
    }
}

/// Kilobits as libaom takes them.
pub(crate) fn kilobits_of(bits: u64) -> c_uint {
    (bits / 1000).clamp(1, MAX_KILOBITS) as c_uint
}

/// cpu-used.
fn speed(size: Size, quality: bool) -> c_int {
    match (quality, size.area()) {
        (true, _) => 6,
        (false, 0..=57_600) => 8,
        (false, 57_601..=307_200) => 9,
        (false, _) => 10,
    }
}

/// Whether the format keeps a matrix that says the planes are green, blue and red.
pub(crate) fn can_be_rgb(format: PixelFormat) -> bool {
    format.subsampling(1) == (1, 1)
}
