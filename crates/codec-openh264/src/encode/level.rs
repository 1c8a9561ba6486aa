//! Levels: how large pictures may be, and how many macroblocks and bits come in a second (table A-1).

use reelcore_media::codec_string::Avc;
use reelcore_media::{MediaError, Size};

/// level_idc (9 for 1b), MaxMBPS and MaxFS.
const LEVELS: [(u8, u64, u64); 20] = [
    (9, 1_485, 99),
    (10, 1_485, 99),
    (11, 3_000, 396),
    (12, 6_000, 396),
    (13, 11_880, 396),
    (20, 11_880, 396),
    (21, 19_800, 792),
    (22, 20_250, 1_620),
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (41, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
    (60, 4_177_920, 139_264),
    (61, 8_355_840, 139_264),
    (62, 16_711_680, 139_264),
];

/// level_idc and the bits a second that OpenH264 takes at it: MaxBR with the cpbBrNalFactor of Baseline and
/// Main, 1200, whatever the profile.
const BITS: [(u8, u64); 17] = [
    (10, 76_800),
    (9, 153_600),
    (11, 230_400),
    (12, 460_800),
    (13, 921_600),
    (20, 2_400_000),
    (21, 4_800_000),
    (22, 4_800_000),
    (30, 12_000_000),
    (31, 16_800_000),
    (32, 24_000_000),
    (40, 24_000_000),
    (41, 60_000_000),
    (42, 60_000_000),
    (50, 162_000_000),
    (51, 288_000_000),
    (52, 288_000_000),
];

/// The highest level_idc that OpenH264 has.
const HIGHEST: u8 = 52;

/// MaxFS of level 5.2.
const MAX_FRAME_MBS: u64 = 36_864;

/// The level_idc to ask OpenH264 for: 9 for 1b however it is written, and at most 5.2.
pub(super) fn level_idc(avc: &Avc) -> u8 {
    // A.3.1: constraint_set3_flag makes level 1.1 into 1b in Baseline and Main.
    if avc.level == 11 && avc.profile != 100 && avc.constraints & 0x10 != 0 {
        return 9;
    }
    avc.level.min(HIGHEST)
}

fn macroblocks(size: Size) -> u64 {
    u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16))
}

fn limits(level: u8) -> Option<(u64, u64)> {
    let found = LEVELS.iter().find(|(idc, ..)| *idc == level);
    found.map(|&(_, rate, size)| (rate, size))
}

/// The most frames a second that the level has for pictures of `size`.
pub(super) fn max_framerate(level: u8, size: Size) -> f64 {
    let (rate, _) = limits(level).unwrap_or_default();
    rate as f64 / macroblocks(size).max(1) as f64
}

/// The most bits a second that OpenH264 takes at a level of [`level_idc`].
pub(super) fn max_bitrate(level: u8) -> u64 {
    let found = BITS.iter().find(|(idc, _)| *idc == level);
    found.unwrap_or(&BITS[BITS.len() - 1]).1
}

/// The level to write for `bits` a second where `level` was asked for: the first from it on that has so many, or the
/// highest. 1b, which is 1.1 with a flag, stands in for no other level.
pub(super) fn level_for_bitrate(level: u8, bits: u64) -> u8 {
    let from = BITS.iter().position(|(idc, _)| *idc == level);
    let rest = &BITS[from.unwrap_or(BITS.len() - 1)..];
    let found = rest
        .iter()
        .find(|(idc, most)| *most >= bits && (*idc == level || *idc != 9));
    found.unwrap_or(&BITS[BITS.len() - 1]).0
}

/// The level to write for so many frames a second of `size` where `level` was asked for: the first from it on that has them,
/// or the highest of OpenH264.
pub(super) fn level_for_framerate(level: u8, size: Size, framerate: f64) -> u8 {
    let rate = framerate * macroblocks(size) as f64;
    let mut rest = LEVELS.iter().skip_while(|(idc, ..)| *idc != level);
    let found = rest.find(|(_, most, _)| *most as f64 >= rate);
    found.map_or(HIGHEST, |(idc, ..)| *idc).min(HIGHEST)
}

/// Whether pictures of `size` keep within the level and OpenH264's own limits, and any level that it has, or the one asked for,
/// has so many a second.
///
/// More of them than the level has make for a higher one, as more bits do: scripts choose a level by the size alone.
pub(super) fn check(avc: &Avc, size: Size, framerate: Option<f64>) -> Result<(), MediaError> {
    let Size { width, height } = size;
    if width < 16 || height < 16 || !width.is_multiple_of(2) || !height.is_multiple_of(2) {
        return Err(MediaError::unsupported(format!(
            "OpenH264 encodes even sizes from 16x16 pixels on, not {width}x{height}"
        )));
    }
    let level = match level_idc(avc) {
        9 => 9,
        _ => avc.level,
    };
    let Some((_, max_size)) = limits(level) else {
        return Err(MediaError::unsupported(format!(
            "H.264 has no level with level_idc {level}"
        )));
    };
    let max_size = max_size.min(MAX_FRAME_MBS);
    // A.3.1: neither side may pass sqrt(8 * MaxFS).
    let side = |pixels: u32| u64::from(pixels.div_ceil(16)).pow(2) <= 8 * max_size;
    if macroblocks(size) > max_size || !side(width) || !side(height) {
        return Err(MediaError::unsupported(format!(
            "{width}x{height} pixels are {} macroblocks, level_idc {level} allows {max_size} and sides up to {} pixels",
            macroblocks(size),
            (8 * max_size).isqrt() * 16
        )));
    }
    let highest = level.max(HIGHEST);
    let (max_rate, _) = limits(highest).unwrap_or_default();
    if let Some(framerate) = framerate
        && framerate * macroblocks(size) as f64 > max_rate as f64
    {
        return Err(MediaError::unsupported(format!(
            "{width}x{height} pixels at {framerate} frames a second are {:.0} macroblocks a second, level_idc {highest} allows {max_rate}",
            framerate * macroblocks(size) as f64
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn avc(level: u8) -> Avc {
        Avc {
            in_band: false,
            profile: 66,
            constraints: 0,
            level,
        }
    }

    #[test]
    fn a_level_limits_size_and_the_highest_one_the_rate() {
        let fits =
            |level, width, height, rate| check(&avc(level), Size::new(width, height), rate).is_ok();
        assert!(fits(30, 720, 480, Some(30.0)));
        assert!(fits(30, 720, 480, Some(31.0)));
        assert!(fits(51, 4096, 2304, Some(56.2)) && !fits(51, 4096, 2304, Some(56.3)));
        assert!(!fits(30, 1280, 720, None));
        assert!(fits(31, 1280, 720, Some(30.0)));
        assert!(fits(31, 1280, 720, None));
        assert!(fits(52, 4096, 2304, Some(56.0)));
        // Past what OpenH264 has, whatever the level.
        assert!(!fits(62, 7680, 4320, None));
        assert!(fits(62, 640, 480, Some(300.0)));
        // sqrt(8 * 99) macroblocks.
        assert!(fits(10, 448, 16, None) && !fits(10, 464, 16, None));
        assert!(!fits(40, 641, 480, None) && !fits(40, 14, 16, None));
        assert!(!fits(33, 16, 16, None));
    }

    #[test]
    fn more_bits_raise_the_level_up_to_the_highest() {
        assert_eq!(level_for_bitrate(40, 24_000_000), 40);
        assert_eq!(level_for_bitrate(40, 24_000_001), 41);
        assert_eq!(level_for_bitrate(31, 20_000_000), 32);
        assert_eq!(level_for_bitrate(10, 100_000), 11);
        assert_eq!(level_for_bitrate(9, 100_000), 9);
        assert_eq!(level_for_bitrate(9, 160_000), 11);
        assert_eq!(level_for_bitrate(10, u64::MAX), 52);
        assert_eq!((max_bitrate(10), max_bitrate(52)), (76_800, 288_000_000));
        // Levels of size and of bits are the same ones.
        for (idc, ..) in LEVELS.iter().filter(|(idc, ..)| *idc <= 52) {
            assert!(BITS.iter().any(|(level, _)| level == idc), "{idc}");
        }
    }

    #[test]
    fn more_frames_raise_the_level_up_to_the_highest() {
        let level =
            |level, width, height, rate| level_for_framerate(level, Size::new(width, height), rate);
        assert_eq!(level(22, 640, 360, 22.0), 22);
        assert_eq!(level(22, 640, 360, 30.0), 30);
        assert_eq!(level(31, 1280, 720, 30.0), 31);
        assert_eq!(level(31, 1280, 720, 60.0), 32);
        assert_eq!(level(9, 176, 144, 15.0), 9);
        assert_eq!(level(9, 176, 144, 15.1), 11);
        assert_eq!(level(10, 176, 144, 1e9), 52);
        assert_eq!(level(52, 4096, 2304, 56.0), 52);
        assert_eq!(level(62, 640, 480, 30.0), 52);
    }

    #[test]
    fn level_1b_is_known_in_both_writings() {
        assert_eq!(level_idc(&avc(9)), 9);
        let mut constrained = avc(11);
        assert_eq!(level_idc(&constrained), 11);
        constrained.constraints = 0xd0;
        assert_eq!(level_idc(&constrained), 9);
        assert!(check(&constrained, Size::new(352, 288), None).is_err());
        assert_eq!(level_idc(&avc(62)), 52);
    }
}
