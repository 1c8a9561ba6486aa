//! Which samples a codec string asks for, and what its level allows.

use reelcore_media::codec_string::Hevc;
use reelcore_media::encode_session::framerate;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{MediaError, PixelFormat, Size, VideoCodec};

/// The pixel format of the codec string's profile.
pub(super) fn of(config: &VideoEncoderConfig) -> Result<PixelFormat, MediaError> {
    match &config.codec {
        VideoCodec::Hevc(hevc) => {
            let format = of_hevc(hevc)?;
            check_level(hevc, config.size, framerate(config))?;
            Ok(format)
        }
        VideoCodec::Avc(avc) if matches!(avc.profile, 66 | 77 | 100) => Ok(PixelFormat::I420),
        VideoCodec::Av1(av1) if av1.profile == 0 && av1.bit_depth == 8 && !av1.monochrome => {
            Ok(PixelFormat::I420)
        }
        other => Err(MediaError::unsupported(format!(
            "libavcodec encodes HEVC, and with hardware H.264 and AV1 of 8 bits and 4:2:0, not {other}"
        ))),
    }
}

/// Bits of the first two bytes of constraint flags in the range extensions profile (table A.2).
const MAX_10BIT: u8 = 0x04;
const MAX_8BIT: u8 = 0x02;
const MAX_422CHROMA: u8 = 0x01;
const MAX_420CHROMA: u8 = 0x80;
const MAX_MONOCHROME: u8 = 0x40;

fn of_hevc(hevc: &Hevc) -> Result<PixelFormat, MediaError> {
    use PixelFormat as F;
    let refused = |what: &str| {
        Err(MediaError::unsupported(format!(
            "x265 encodes the profiles 1 (Main), 2 (Main 10) and 4 (range extensions) here, not {what}"
        )))
    };
    if hevc.profile_space != 0 {
        return refused("those of another profile space");
    }
    match hevc.profile {
        1 => Ok(F::I420),
        2 => Ok(F::I420P10),
        4 => {
            let [bits, chroma, ..] = hevc.constraints;
            if chroma & MAX_MONOCHROME != 0 {
                return refused("monochrome");
            }
            let depth = match bits {
                _ if bits & MAX_8BIT != 0 => 8,
                _ if bits & MAX_10BIT != 0 => 10,
                _ => 12,
            };
            let columns = (bits & MAX_422CHROMA != 0, chroma & MAX_420CHROMA != 0);
            Ok(match (columns, depth) {
                ((_, true), 8) => F::I420,
                ((_, true), 10) => F::I420P10,
                ((_, true), _) => F::I420P12,
                ((true, _), 8) => F::I422,
                ((true, _), 10) => F::I422P10,
                ((true, _), _) => F::I422P12,
                (_, 8) => F::I444,
                (_, 10) => F::I444P10,
                (_, _) => F::I444P12,
            })
        }
        other => refused(&format!("{other}")),
    }
}

/// general_level_idc, MaxLumaPs and MaxLumaSr (tables A.8 and A.9).
const LEVELS: [(u8, u64, u64); 13] = [
    (30, 36_864, 552_960),
    (60, 122_880, 3_686_400),
    (63, 245_760, 7_372_800),
    (90, 552_960, 16_588_800),
    (93, 983_040, 33_177_600),
    (120, 2_228_224, 66_846_720),
    (123, 2_228_224, 133_693_440),
    (150, 8_912_896, 267_386_880),
    (153, 8_912_896, 534_773_760),
    (156, 8_912_896, 1_069_547_520),
    (180, 35_651_584, 1_069_547_520),
    (183, 35_651_584, 2_139_095_040),
    (186, 35_651_584, 4_278_190_080),
];

/// Whether pictures of `size`, so many a second, keep within the level (A.4.1).
fn check_level(hevc: &Hevc, size: Size, framerate: Option<f64>) -> Result<(), MediaError> {
    let level = LEVELS.iter().find(|(level, ..)| *level == hevc.level);
    let &(_, max_size, max_rate) = level.ok_or_else(|| {
        MediaError::unsupported(format!("HEVC has no level with level_idc {}", hevc.level))
    })?;
    let side = |side: u32| u64::from(side).pow(2) <= 8 * max_size;
    if size.area() > max_size || !side(size.width) || !side(size.height) {
        return Err(MediaError::unsupported(format!(
            "a picture of {}x{}, level_idc {} allows {max_size} pixels and sides up to {}",
            size.width,
            size.height,
            hevc.level,
            (8 * max_size).isqrt()
        )));
    }
    if let Some(rate) = framerate
        && rate * size.area() as f64 > max_rate as f64
    {
        return Err(MediaError::unsupported(format!(
            "{rate} frames a second of {}x{}, level_idc {} allows {:.2}",
            size.width,
            size.height,
            hevc.level,
            max_rate as f64 / size.area() as f64
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_string(codec: &str) -> Result<PixelFormat, MediaError> {
        let codec = VideoCodec::parse(codec).expect("a codec string");
        of(&VideoEncoderConfig::new(codec, Size::new(64, 64)))
    }

    #[test]
    fn the_codec_string_says_which_samples_go_in() {
        use PixelFormat as F;
        for (codec, want) in [
            ("hvc1.1.6.L93.B0", F::I420),
            ("hev1.2.4.L93.B0", F::I420P10),
            // Main 4:4:4, Main 4:4:4 10, Main 4:2:2 10, Main 12, Main 4:4:4 12 (table A.2).
            ("hev1.4.10.L93.9E.8", F::I444),
            ("hev1.4.10.L93.9C.8", F::I444P10),
            ("hev1.4.10.L93.9D.8", F::I422P10),
            ("hev1.4.10.L93.99.88", F::I420P12),
            ("hev1.4.10.L93.98.8", F::I444P12),
        ] {
            assert_eq!(of_string(codec).expect(codec), want, "{codec}");
        }
        for codec in [
            "hev1.3.E.L93.B0",
            "hev1.4.10.L93.9F.C8",
            "hev1.1.6.L94.B0",
            "vp8",
        ] {
            assert!(of_string(codec).is_err(), "{codec}");
        }
    }

    #[test]
    fn a_level_limits_size_and_rate() {
        let fits = |codec: &str, width, height, framerate| {
            let codec = VideoCodec::parse(codec).expect("a codec string");
            let mut config = VideoEncoderConfig::new(codec, Size::new(width, height));
            config.framerate = framerate;
            of(&config).is_ok()
        };
        assert!(fits("hvc1.1.6.L93.B0", 1280, 720, Some(33.75)));
        assert!(!fits("hvc1.1.6.L93.B0", 1280, 720, Some(60.0)));
        assert!(!fits("hvc1.1.6.L93.B0", 1920, 1080, None));
        assert!(fits("hvc1.1.6.L120.B0", 1920, 1080, Some(30.0)));
        assert!(fits("hvc1.1.6.L30.B0", 542, 16, None));
        assert!(!fits("hvc1.1.6.L30.B0", 544, 16, None));
    }
}
