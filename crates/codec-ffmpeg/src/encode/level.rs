//! Levels of HEVC: how large pictures may be, and how many samples and bits come in a second (tables A.8 and A.9).

use reelcore_media::codec_string::Hevc;
use reelcore_media::encode_session::{bitrate, framerate};
use reelcore_media::encoder::{VideoBitrateMode, VideoEncoderConfig};
use reelcore_media::{MediaError, Size};

/// A row of the tables.
struct Level {
    /// general_level_idc, thirty times the level.
    idc: u8,
    /// MaxLumaPs.
    max_size: u64,
    /// MaxLumaSr.
    max_rate: u64,
    /// MaxBR of the main tier, and of the high tier where there is one, in bits a second with the CpbVclFactor of Main.
    /// x265 takes no more of the profiles that have a larger one.
    main: u64,
    high: Option<u64>,
}

const fn level(idc: u8, max_size: u64, max_rate: u64, main: u64, high: u64) -> Level {
    Level {
        idc,
        max_size,
        max_rate,
        main: main * 1000,
        high: if high == 0 { None } else { Some(high * 1000) },
    }
}

const LEVELS: [Level; 13] = [
    level(30, 36_864, 552_960, 128, 0),
    level(60, 122_880, 3_686_400, 1_500, 0),
    level(63, 245_760, 7_372_800, 3_000, 0),
    level(90, 552_960, 16_588_800, 6_000, 0),
    level(93, 983_040, 33_177_600, 10_000, 0),
    level(120, 2_228_224, 66_846_720, 12_000, 30_000),
    level(123, 2_228_224, 133_693_440, 20_000, 50_000),
    level(150, 8_912_896, 267_386_880, 25_000, 100_000),
    level(153, 8_912_896, 534_773_760, 40_000, 160_000),
    level(156, 8_912_896, 1_069_547_520, 60_000, 240_000),
    level(180, 35_651_584, 1_069_547_520, 60_000, 240_000),
    level(183, 35_651_584, 2_139_095_040, 120_000, 480_000),
    level(186, 35_651_584, 4_278_190_080, 240_000, 800_000),
];

impl Level {
    fn max_bits(&self, high_tier: bool) -> u64 {
        self.high.filter(|_| high_tier).unwrap_or(self.main)
    }

    fn max_framerate(&self, size: Size) -> f64 {
        self.max_rate as f64 / size.area().max(1) as f64
    }
}

fn find(idc: u8) -> Option<&'static Level> {
    LEVELS.iter().find(|level| level.idc == idc)
}

/// Whether the tier of a stream of `level`, which `hevc` is told of, is the high one: lower levels than 4 have none.
#[cfg(any(libavcodec, test))]
pub(super) fn high_tier(hevc: &Hevc, level: u8) -> bool {
    hevc.high_tier && find(level).is_some_and(|level| level.high.is_some())
}

/// Frames a second as libavcodec counts them, in thousandths.
pub(super) fn thousandths(framerate: f64) -> f64 {
    (framerate * 1000.0).round() / 1000.0
}

/// The most frames a second that the level has for pictures of `size`.
#[cfg(libavcodec)]
pub(super) fn max_framerate(hevc: &Hevc, size: Size) -> f64 {
    find(hevc.level).map_or(f64::INFINITY, |level| level.max_framerate(size))
}

/// The bits a second to ask x265 for: those of `config`, or a default that keeps within the level that holds the frames.
pub(super) fn bits(hevc: &Hevc, config: &VideoEncoderConfig) -> u64 {
    let bits = bitrate(config);
    let rate = framerate(config).map_or(0.0, thousandths);
    match that_holds(hevc, config.size, rate, 0).and_then(find) {
        Some(level) if config.bitrate.is_none() => bits.min(level.max_bits(hevc.high_tier)),
        _ => bits,
    }
}

/// The first level from that of `hevc` on that has so many bits and pictures of `size` a second.
pub(super) fn that_holds(hevc: &Hevc, size: Size, framerate: f64, bits: u64) -> Option<u8> {
    let holds = |level: &&Level| {
        level.idc >= hevc.level
            && level.max_bits(hevc.high_tier) >= bits
            && level.max_framerate(size) >= framerate
    };
    LEVELS.iter().find(holds).map(|level| level.idc)
}

/// Whether pictures of `config`'s size keep within the level (A.4.1), and any level has so many of them and their bits a second.
pub(super) fn check(hevc: &Hevc, config: &VideoEncoderConfig) -> Result<(), MediaError> {
    let size = config.size;
    let level = find(hevc.level).ok_or_else(|| {
        MediaError::unsupported(format!("HEVC has no level with level_idc {}", hevc.level))
    })?;
    let side = |side: u32| u64::from(side).pow(2) <= 8 * level.max_size;
    if size.area() > level.max_size || !side(size.width) || !side(size.height) {
        return Err(MediaError::unsupported(format!(
            "a picture of {}x{}, level_idc {} allows {} pixels and sides up to {}",
            size.width,
            size.height,
            hevc.level,
            level.max_size,
            (8 * level.max_size).isqrt()
        )));
    }
    let highest = &LEVELS[LEVELS.len() - 1];
    if let Some(rate) = framerate(config).map(thousandths)
        && rate > highest.max_framerate(size)
    {
        return Err(MediaError::unsupported(format!(
            "{rate} frames a second of {}x{}, the highest level_idc {} allows {:.2}",
            size.width,
            size.height,
            highest.idc,
            highest.max_framerate(size)
        )));
    }
    let bits = bits(hevc, config);
    if config.bitrate_mode != VideoBitrateMode::Quantizer
        && that_holds(hevc, size, 0.0, bits).is_none()
    {
        return Err(MediaError::unsupported(format!(
            "{bits} bits a second, the highest level of HEVC's {} tier has {}",
            if hevc.high_tier { "high" } else { "main" },
            highest.max_bits(hevc.high_tier)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelcore_media::VideoCodec;

    fn config(codec: &str, width: u32, height: u32) -> (Hevc, VideoEncoderConfig) {
        let codec = VideoCodec::parse(codec).expect("a codec string");
        let VideoCodec::Hevc(hevc) = codec else {
            panic!("of HEVC");
        };
        let config = VideoEncoderConfig::new(codec, Size::new(width, height));
        (hevc, config)
    }

    #[test]
    fn a_level_limits_size_and_the_highest_one_the_rate() {
        let fits = |codec: &str, width, height, framerate| {
            let (hevc, mut config) = config(codec, width, height);
            config.framerate = framerate;
            check(&hevc, &config).is_ok()
        };
        assert!(fits("hvc1.1.6.L93.B0", 1280, 720, Some(33.75)));
        assert!(fits("hvc1.1.6.L93.B0", 1280, 720, Some(36.0)));
        assert!(fits("hvc1.1.6.L93.B0", 1280, 720, Some(60.0)));
        assert!(fits("hvc1.1.6.L150.B0", 4096, 2160, Some(483.5)));
        assert!(!fits("hvc1.1.6.L150.B0", 4096, 2160, Some(483.6)));
        assert!(!fits("hvc1.1.6.L93.B0", 1920, 1080, None));
        assert!(fits("hvc1.1.6.L120.B0", 1920, 1080, Some(30.0)));
        assert!(fits("hvc1.1.6.L30.B0", 542, 16, None));
        assert!(!fits("hvc1.1.6.L30.B0", 544, 16, None));
        assert!(!fits("hvc1.1.6.L94.B0", 64, 64, None));
    }

    #[test]
    fn more_bits_or_frames_raise_the_level_and_past_the_highest_they_are_refused() {
        let holds = |codec: &str, framerate, bits| {
            let (hevc, config) = config(codec, 640, 480);
            that_holds(&hevc, config.size, framerate, bits)
        };
        assert_eq!(holds("hvc1.1.6.L93.B0", 30.0, 10_000_000), Some(93));
        assert_eq!(holds("hvc1.1.6.L93.B0", 30.0, 10_000_001), Some(120));
        assert_eq!(holds("hvc1.1.6.H93.B0", 30.0, 30_000_000), Some(120));
        assert_eq!(holds("hvc1.1.6.L93.B0", 30.0, 30_000_000), Some(153));
        assert_eq!(holds("hvc1.1.6.L93.B0", 120.0, 1), Some(120));
        assert_eq!(holds("hvc1.1.6.L186.B0", 120.0, 1), Some(186));
        assert_eq!(holds("hvc1.1.6.L93.B0", 30.0, 240_000_001), None);
        assert_eq!(holds("hvc1.1.6.H93.B0", 30.0, 240_000_001), Some(183));
        let fits = |codec: &str, bits| {
            let (hevc, mut config) = config(codec, 640, 480);
            config.bitrate = Some(bits);
            let fits = check(&hevc, &config).is_ok();
            config.bitrate_mode = VideoBitrateMode::Quantizer;
            assert!(check(&hevc, &config).is_ok(), "a quantizer has no bits");
            fits
        };
        assert!(fits("hvc1.1.6.L93.B0", 240_000_000));
        assert!(!fits("hvc1.1.6.L93.B0", 240_000_001));
        assert!(fits("hvc1.1.6.H93.B0", 800_000_000));
        assert!(!fits("hvc1.1.6.H93.B0", u64::MAX));
    }

    #[test]
    fn a_bit_rate_that_nobody_asked_for_raises_no_level() {
        let (hevc, mut asked) = config("hvc1.1.6.L30.B0", 192, 192);
        assert!(bitrate(&asked) > 128_000);
        assert_eq!(bits(&hevc, &asked), 128_000);
        // Level 2 has the frames, and 1.5 Mbit/s.
        asked.framerate = Some(60.0);
        assert!(bitrate(&asked) < 1_500_000);
        assert_eq!(bits(&hevc, &asked), bitrate(&asked));
        asked.bitrate = Some(200_000);
        assert_eq!(bits(&hevc, &asked), 200_000);
    }

    #[test]
    fn only_levels_from_4_on_have_a_high_tier() {
        let tier = |codec: &str| {
            let hevc = config(codec, 64, 64).0;
            high_tier(&hevc, hevc.level)
        };
        assert!(tier("hvc1.1.6.H120.B0") && !tier("hvc1.1.6.L120.B0"));
        assert!(!tier("hvc1.1.6.H93.B0"));
        assert!(high_tier(&config("hvc1.1.6.H93.B0", 64, 64).0, 120));
    }
}
