//! Short names of codecs, and what they mean for a size and a rate.

use reelcore_containers::mux::Format;
use reelcore_media::{AudioCodec, Size, VideoCodec};

/// What a specification asks of a track of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VideoChoice {
    /// Packets as they are.
    Copy,
    /// A codec, with profile and level to be found.
    Name(VideoName),
    /// A codec string.
    Exact(VideoCodec),
}

/// A short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VideoName {
    H264,
    Hevc,
    Vp8,
    Vp9,
    Av1,
}

/// What a specification asks of a track of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AudioChoice {
    /// Packets as they are.
    Copy,
    /// A codec.
    Exact(AudioCodec),
}

/// The codec that `text` means.
pub(crate) fn video(text: &str) -> Result<VideoChoice, String> {
    Ok(match text {
        "copy" => VideoChoice::Copy,
        "h264" | "avc" => VideoChoice::Name(VideoName::H264),
        "h265" | "hevc" => VideoChoice::Name(VideoName::Hevc),
        "vp8" => VideoChoice::Name(VideoName::Vp8),
        "vp9" => VideoChoice::Name(VideoName::Vp9),
        "av1" => VideoChoice::Name(VideoName::Av1),
        _ => VideoChoice::Exact(VideoCodec::parse(text).map_err(|error| {
            format!(
                "expected h264, hevc, vp8, vp9, av1, copy, or a codec string of WebCodecs: {error}"
            )
        })?),
    })
}

/// The codec that `text` means.
pub(crate) fn audio(text: &str) -> Result<AudioChoice, String> {
    let text = match text {
        "copy" => return Ok(AudioChoice::Copy),
        "aac" => "mp4a.40.2",
        "pcm" => "pcm-s16",
        other => other,
    };
    AudioCodec::parse(text).map(AudioChoice::Exact).map_err(|error| {
        format!("expected aac, opus, vorbis, flac, mp3, pcm-s16, copy, or a codec string of WebCodecs: {error}")
    })
}

/// What is usual in a container: pictures and sound.
pub(crate) fn usual(container: Format) -> (Option<VideoName>, Option<AudioCodec>) {
    match container {
        Format::Mp4 | Format::FragmentedMp4 | Format::MpegTs => {
            (Some(VideoName::H264), Some(AudioCodec::Aac(2)))
        }
        Format::WebM | Format::Matroska => (Some(VideoName::Vp9), Some(AudioCodec::Opus)),
        Format::Ogg => (None, Some(AudioCodec::Opus)),
        Format::Wav => (None, AudioCodec::parse("pcm-s16").ok()),
        Format::Adts => (None, Some(AudioCodec::Aac(2))),
        Format::Flac => (None, Some(AudioCodec::Flac)),
        Format::Mp3 => (None, Some(AudioCodec::Mp3)),
        Format::Ivf => (Some(VideoName::Vp9), None),
    }
}

/// What the level of a stream follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Coded size in pixels.
    pub(crate) size: Size,
    /// Pictures a second.
    pub(crate) framerate: f64,
    /// Bits a second, where they are not those that are usual.
    pub(crate) bitrate: Option<u64>,
    /// Bits of a sample.
    pub(crate) depth: u32,
}

/// Levels by what they allow: name, samples of a picture, samples a second, width and height of a picture. In the order of the
/// standards' tables.
type Levels = &'static [(u8, u64, u64, u64, u64)];

/// ITU-T H.264, table A-1, in macroblocks; the third row is bits a second of the Baseline and Main profiles.
const AVC: &[(u8, u64, u64, u64)] = &[
    (10, 99, 1485, 64_000),
    (11, 396, 3000, 192_000),
    (12, 396, 6000, 384_000),
    (13, 396, 11_880, 768_000),
    (20, 396, 11_880, 2_000_000),
    (21, 792, 19_800, 4_000_000),
    (22, 1620, 20_250, 4_000_000),
    (30, 1620, 40_500, 10_000_000),
    (31, 3600, 108_000, 14_000_000),
    (32, 5120, 216_000, 20_000_000),
    (40, 8192, 245_760, 20_000_000),
    (41, 8192, 245_760, 50_000_000),
    (42, 8704, 522_240, 50_000_000),
    (50, 22_080, 589_824, 135_000_000),
    (51, 36_864, 983_040, 240_000_000),
    (52, 36_864, 2_073_600, 240_000_000),
];

/// ITU-T H.265, tables A.8 and A.9: `general_level_idc`, samples of a picture, samples a second.
const HEVC: &[(u8, u64, u64)] = &[
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

/// <https://www.webmproject.org/vp9/levels/>
const VP9: Levels = &[
    (10, 36_864, 829_440, 512, 512),
    (11, 73_728, 2_764_800, 768, 768),
    (20, 122_880, 4_608_000, 960, 960),
    (21, 245_760, 9_216_000, 1344, 1344),
    (30, 552_960, 20_736_000, 2048, 2048),
    (31, 983_040, 36_864_000, 2752, 2752),
    (40, 2_228_224, 83_558_400, 4160, 4160),
    (41, 2_228_224, 160_432_128, 4160, 4160),
    (50, 8_912_896, 311_951_360, 8384, 8384),
    (51, 8_912_896, 588_251_136, 8384, 8384),
    (52, 8_912_896, 1_176_502_272, 8384, 8384),
    (60, 35_651_584, 1_176_502_272, 16_832, 16_832),
    (61, 35_651_584, 2_353_004_544, 16_832, 16_832),
    (62, 35_651_584, 4_706_009_088, 16_832, 16_832),
];

/// <https://aomediacodec.github.io/av1-spec/#levels>: `seq_level_idx`.
const AV1: Levels = &[
    (0, 147_456, 4_423_680, 2048, 1152),
    (1, 278_784, 8_363_520, 2816, 1584),
    (4, 665_856, 19_975_680, 4352, 2448),
    (5, 1_065_024, 31_950_720, 5504, 3096),
    (8, 2_359_296, 70_778_880, 6144, 3456),
    (9, 2_359_296, 141_557_760, 6144, 3456),
    (12, 8_912_896, 267_386_880, 8192, 4352),
    (13, 8_912_896, 534_773_760, 8192, 4352),
    (14, 8_912_896, 1_069_547_520, 8192, 4352),
    (16, 35_651_584, 1_069_547_520, 16_384, 8704),
    (17, 35_651_584, 2_139_095_040, 16_384, 8704),
    (18, 35_651_584, 4_278_190_080, 16_384, 8704),
];

fn level(levels: Levels, demand: &Demand) -> u8 {
    let size = demand.size;
    let (samples, width, height) = (size.area(), u64::from(size.width), u64::from(size.height));
    let rate = (samples as f64 * demand.framerate).ceil() as u64;
    let fitting = levels.iter().find(|level| {
        samples <= level.1 && rate <= level.2 && width <= level.3 && height <= level.4
    });
    fitting.or(levels.last()).map_or(0, |level| level.0)
}

/// Whether sides are within what H.264 (A.3.1) and H.265 (A.4.1) allow in a level: none passes sqrt(8 * `most`), where `most` is
/// how large pictures may be, in the unit of the sides squared.
fn sides_within(sides: [u32; 2], most: u64) -> bool {
    sides
        .into_iter()
        .all(|side| u64::from(side).pow(2) <= 8 * most)
}

fn avc_level(demand: &Demand) -> u8 {
    let sides = [demand.size.width, demand.size.height].map(|side| side.div_ceil(16));
    let blocks: u64 = sides.into_iter().map(u64::from).product();
    let rate = (blocks as f64 * demand.framerate).ceil() as u64;
    let bits = demand
        .bitrate
        .unwrap_or_else(|| usual_bits(AVC_BITS, demand.size, demand.framerate));
    let fitting = AVC.iter().find(|level| {
        blocks <= level.1 && rate <= level.2 && bits <= level.3 && sides_within(sides, level.1)
    });
    fitting.or(AVC.last()).map_or(0, |level| level.0)
}

fn hevc_level(demand: &Demand) -> u8 {
    let size = demand.size;
    let samples = size.area();
    let rate = (samples as f64 * demand.framerate).ceil() as u64;
    let fitting = HEVC.iter().find(|level| {
        samples <= level.1 && rate <= level.2 && sides_within([size.width, size.height], level.1)
    });
    fitting.or(HEVC.last()).map_or(0, |level| level.0)
}

/// The codec strings that `name` may mean, best first.
pub(crate) fn candidates(name: VideoName, demand: &Demand) -> Vec<String> {
    let eight = [8];
    let depths: &[u32] = match demand.depth {
        0..=8 => &eight,
        9 | 10 => &[10, 8],
        _ => &[12, 10, 8],
    };
    match name {
        VideoName::Vp8 => vec!["vp8".to_owned()],
        VideoName::H264 => {
            let level = avc_level(demand);
            ["6400", "4D00", "42E0"]
                .map(|profile| format!("avc1.{profile}{level:02X}"))
                .into()
        }
        VideoName::Hevc => {
            let level = hevc_level(demand);
            let main = format!("hvc1.1.6.L{level}.B0");
            match demand.depth {
                0..=8 => vec![main],
                _ => vec![format!("hvc1.2.4.L{level}.B0"), main],
            }
        }
        VideoName::Vp9 => {
            let level = level(VP9, demand);
            let codec = |&depth: &u32| {
                format!(
                    "vp09.{:02}.{level}.{depth:02}",
                    if depth > 8 { 2 } else { 0 }
                )
            };
            depths.iter().map(codec).collect()
        }
        VideoName::Av1 => {
            let level = level(AV1, demand);
            let codec = |&depth: &u32| {
                format!(
                    "av01.{}.{level:02}M.{depth:02}",
                    if depth > 10 { 2 } else { 0 }
                )
            };
            depths.iter().map(codec).collect()
        }
    }
}

/// Bits a second that are usual for a picture of that size and rate.
pub(crate) fn usual_bitrate(codec: &VideoCodec, size: Size, framerate: f64) -> u64 {
    // Each for about the same quality.
    let bits_a_pixel = match codec {
        VideoCodec::Avc(_) | VideoCodec::Vp8 => AVC_BITS,
        VideoCodec::Hevc(_) | VideoCodec::Vp9(_) => 0.065,
        VideoCodec::Av1(_) => 0.05,
    };
    usual_bits(bits_a_pixel, size, framerate)
}

/// Bits of a pixel of H.264 for a camera's pictures.
const AVC_BITS: f64 = 0.1;

fn usual_bits(bits_a_pixel: f64, size: Size, framerate: f64) -> u64 {
    // Neighbours resemble each other more where pictures are larger.
    let pixels = (size.area().max(1) as f64).powf(0.9) * 4.0;
    ((pixels * framerate.clamp(1.0, 240.0) * bits_a_pixel) as u64).max(100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(width: u32, height: u32, framerate: f64, depth: u32) -> Demand {
        Demand {
            size: Size::new(width, height),
            framerate,
            bitrate: Some(2_000_000),
            depth,
        }
    }

    #[test]
    fn levels_are_the_lowest_that_suffice() {
        for (name, demand, want) in [
            (VideoName::H264, demand(1920, 1080, 30.0, 8), "avc1.640028"),
            (VideoName::H264, demand(1280, 720, 30.0, 8), "avc1.64001F"),
            (VideoName::H264, demand(320, 240, 25.0, 8), "avc1.640014"),
            (VideoName::Vp9, demand(1920, 1080, 30.0, 8), "vp09.00.40.08"),
            (VideoName::Vp9, demand(1280, 720, 60.0, 10), "vp09.02.40.10"),
            (VideoName::Av1, demand(1920, 1080, 60.0, 8), "av01.0.09M.08"),
            (
                VideoName::Hevc,
                demand(3840, 2160, 60.0, 8),
                "hvc1.1.6.L153.B0",
            ),
            (VideoName::Vp8, demand(16, 16, 1.0, 8), "vp8"),
        ] {
            assert_eq!(
                candidates(name, &demand).first().map(String::as_str),
                Some(want)
            );
        }
    }

    #[test]
    fn levels_allow_the_sides_of_wide_and_of_tall_pictures() {
        for (name, width, height, want) in [
            // 79 macroblocks a side are the most of level 2.1, 169 of level 3.1, 256 of level 4.
            (VideoName::H264, 1920, 64, "avc1.64001F"),
            (VideoName::H264, 64, 1920, "avc1.64001F"),
            (VideoName::H264, 4096, 16, "avc1.640028"),
            (VideoName::H264, 3840, 160, "avc1.640028"),
            (VideoName::Hevc, 1920, 64, "hvc1.1.6.L90.B0"),
            (VideoName::Hevc, 64, 1920, "hvc1.1.6.L90.B0"),
            (VideoName::Hevc, 3840, 160, "hvc1.1.6.L120.B0"),
            (VideoName::Vp9, 1920, 64, "vp09.00.30.08"),
            (VideoName::Vp9, 64, 1920, "vp09.00.30.08"),
            (VideoName::Vp9, 3840, 160, "vp09.00.40.08"),
            (VideoName::Av1, 1920, 64, "av01.0.00M.08"),
            // AV1 allows less of a height than of a width.
            (VideoName::Av1, 64, 1920, "av01.0.04M.08"),
            (VideoName::Av1, 3840, 160, "av01.0.04M.08"),
        ] {
            assert_eq!(
                candidates(name, &demand(width, height, 25.0, 8))
                    .first()
                    .map(String::as_str),
                Some(want),
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn a_level_allows_the_bit_rate_that_is_usual() {
        for (width, height, framerate) in [(16, 16, 1.0), (64, 48, 25.0), (176, 144, 15.0)] {
            let demand = Demand {
                bitrate: None,
                ..demand(width, height, framerate, 8)
            };
            let level = AVC.iter().find(|level| level.0 == avc_level(&demand));
            let most = level.map_or(0, |level| level.3);
            let codec = VideoCodec::parse("avc1.42E00A").expect("a codec");
            let usual = usual_bitrate(&codec, demand.size, framerate);
            assert!(usual <= most, "{width}x{height}: {usual} of {most}");
        }
    }

    #[test]
    fn every_candidate_is_a_codec_string() {
        for name in [
            VideoName::H264,
            VideoName::Hevc,
            VideoName::Vp8,
            VideoName::Vp9,
            VideoName::Av1,
        ] {
            for depth in [8, 10, 12] {
                for (width, height) in [(16, 16), (16_384, 16_384)] {
                    for codec in candidates(name, &demand(width, height, 1000.0, depth)) {
                        assert!(VideoCodec::parse(&codec).is_ok(), "{codec}");
                    }
                }
            }
        }
        assert!(video("h266").is_err() && audio("vp9").is_err() && video("opus").is_err());
    }
}
