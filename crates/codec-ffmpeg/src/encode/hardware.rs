//! Encoders of graphics hardware: which there are, and what they are told.

use std::ffi::CStr;
use std::sync::OnceLock;

use reelcore_media::encode_session::{DEFAULT_FRAMERATE, bitrate, framerate};
use reelcore_media::encoder::{LatencyMode, VideoBitrateMode, VideoEncoderConfig};
use reelcore_media::{ColorSpace, MediaError, PixelFormat, Size, VideoCodec};

use super::library::{Encoder, Options, has_encoder};

/// An encoder that libavcodec may have.
#[derive(Debug)]
pub(super) struct Hardware {
    codec: &'static str,
    name: &'static CStr,
    device: Option<&'static CStr>,
    /// What goes in, and libavutil's name of it.
    pub(super) input: PixelFormat,
    format: &'static CStr,
}

const COUNT: usize = 6;

/// Tried in this order for each codec.
static ENCODERS: [Hardware; COUNT] = [
    nvenc("H.264", c"h264_nvenc"),
    vaapi("H.264", c"h264_vaapi"),
    nvenc("HEVC", c"hevc_nvenc"),
    vaapi("HEVC", c"hevc_vaapi"),
    nvenc("AV1", c"av1_nvenc"),
    vaapi("AV1", c"av1_vaapi"),
];

const fn nvenc(codec: &'static str, name: &'static CStr) -> Hardware {
    Hardware {
        codec,
        name,
        device: None,
        input: PixelFormat::I420,
        format: c"yuv420p",
    }
}

const fn vaapi(codec: &'static str, name: &'static CStr) -> Hardware {
    Hardware {
        codec,
        name,
        device: Some(c"vaapi"),
        input: PixelFormat::Nv12,
        format: c"nv12",
    }
}

/// Keyframe distances that no stream reaches: key pictures come where they are asked for.
const NEVER: &str = "1000000000";

/// The encoder of `codec` whose hardware is there.
pub(super) fn find(codec: &VideoCodec) -> Result<&'static Hardware, MediaError> {
    static FOUND: [OnceLock<bool>; COUNT] = [const { OnceLock::new() }; COUNT];
    let mut names = Vec::new();
    for (hardware, found) in ENCODERS.iter().zip(&FOUND) {
        if hardware.codec != codec.family() {
            continue;
        }
        if *found.get_or_init(|| hardware.starts()) {
            return Ok(hardware);
        }
        names.push(hardware.name.to_string_lossy());
    }
    Err(MediaError::unsupported(format!(
        "no hardware answers to {} of the installed libavcodec",
        names.join(" or ")
    )))
}

impl Hardware {
    /// Whether it starts, for a picture that no hardware refuses.
    fn starts(&self) -> bool {
        if !has_encoder(self.name, self.format) {
            return false;
        }
        // libavutil complains aloud where there is none.
        if self.device.is_some() && !std::path::Path::new("/dev/dri").exists() {
            return false;
        }
        let codec = match self.codec {
            "H.264" => "avc1.4d001e",
            "HEVC" => "hvc1.1.6.L93.B0",
            _ => "av01.0.04M.08",
        };
        VideoCodec::parse(codec).is_ok_and(|codec| {
            let config = VideoEncoderConfig::new(codec, Size::new(640, 360));
            Encoder::new(&options(self, &config)).is_ok()
        })
    }
}

/// What `hardware` is opened with.
pub(super) fn options(hardware: &Hardware, config: &VideoEncoderConfig) -> Options {
    let bits = bitrate(config);
    let constant = config.bitrate_mode == VideoBitrateMode::Constant;
    let realtime = config.latency_mode == LatencyMode::Realtime;
    let mut own = vec![("g", NEVER.to_string())];
    let set = |own: &mut Vec<(&'static str, String)>, name, value: &str| {
        own.push((name, value.to_string()));
    };
    if hardware.device.is_some() {
        set(&mut own, "rc_mode", if constant { "CBR" } else { "VBR" });
        set(&mut own, "async_depth", "1");
    } else {
        set(&mut own, "rc", if constant { "cbr" } else { "vbr" });
        set(&mut own, "forced-idr", "1");
        set(&mut own, "delay", "0");
        set(&mut own, "preset", if realtime { "p2" } else { "p5" });
        set(&mut own, "tune", if realtime { "ull" } else { "hq" });
        if realtime {
            set(&mut own, "zerolatency", "1");
        }
    }
    if let VideoCodec::Avc(avc) = config.codec {
        let profile = match (avc.profile, hardware.device) {
            (66, Some(_)) => "constrained_baseline",
            (66, None) => "baseline",
            (77, _) => "main",
            _ => "high",
        };
        set(&mut own, "profile", profile);
    }
    Options {
        name: hardware.name,
        device: hardware.device,
        format: hardware.format,
        size: config.size,
        bitrate: bits,
        max_bitrate: if constant {
            bits
        } else {
            bits.saturating_mul(2)
        },
        buffer_bits: bits,
        framerate: framerate(config).unwrap_or(DEFAULT_FRAMERATE),
        threads: 1,
        color_space: ColorSpace::default(),
        own,
    }
}
