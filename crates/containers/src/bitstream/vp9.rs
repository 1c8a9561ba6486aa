//! Codec strings of VP9.

use reelcore_media::Size;
use reelcore_media::codec_string::Vp9;
use reelcore_media::vpx::{Vp9ColorConfig, Vp9FrameHeader, Vp9FrameKind};

/// Levels: ten times the level, luma samples a second, luma samples of a picture, its longest side.
/// <https://www.webmproject.org/vp9/levels/>
const LEVELS: [(u8, u64, u64, u32); 14] = [
    (10, 829_440, 36_864, 512),
    (11, 2_764_800, 73_728, 768),
    (20, 4_608_000, 122_880, 960),
    (21, 9_216_000, 245_760, 1344),
    (30, 20_736_000, 552_960, 2048),
    (31, 36_864_000, 983_040, 2752),
    (40, 83_558_400, 2_228_224, 4160),
    (41, 160_432_128, 2_228_224, 4160),
    (50, 311_951_360, 8_912_896, 8384),
    (51, 588_251_136, 8_912_896, 8384),
    (52, 1_176_502_272, 8_912_896, 8384),
    (60, 1_176_502_272, 35_651_584, 16_832),
    (61, 2_353_004_544, 35_651_584, 16_832),
    (62, 4_706_009_088, 35_651_584, 16_832),
];

/// The lowest level that holds pictures of `size`, each shown for `frame_nanos` (30 a second where that is not known).
pub(crate) fn level(size: Size, frame_nanos: Option<u64>) -> u8 {
    let nanos = frame_nanos.filter(|&nanos| nanos > 0).unwrap_or(33_333_333);
    let rate = u128::from(size.area()) * 1_000_000_000 / u128::from(nanos);
    LEVELS
        .iter()
        .find(|(_, max_rate, picture, side)| {
            rate <= u128::from(*max_rate)
                && size.area() <= *picture
                && size.width.max(size.height) <= *side
        })
        .map_or(62, |(level, ..)| *level)
}

/// The codec string that a key frame tells, for frames that are each shown for `frame_nanos`. `color` is what the
/// container says: H.273 primaries, transfer characteristics and matrix coefficients, and the range. `None` for what is no
/// key frame.
pub(crate) fn from_key_frame(
    frame: &[u8],
    frame_nanos: Option<u64>,
    color: Option<([u8; 3], Option<bool>)>,
) -> Option<String> {
    let header = Vp9FrameHeader::parse(frame).ok()?;
    let (config, size) = (header.color?, header.size?);
    if header.kind != Vp9FrameKind::Key {
        return None;
    }
    let own = || Some((code_points(&config)?, Some(config.full_range)));
    let color = color.or_else(own);
    Some(codec_string(
        header.profile,
        level(size, frame_nanos),
        config.bit_depth,
        chroma(&config),
        color.map(|(points, _)| points),
        color.and_then(|(_, full_range)| full_range),
    ))
}

/// What `before` becomes with the profile, bit depth and chroma subsampling of a key frame; `None` for what is no key frame.
pub(crate) fn of_key_frame(before: &Vp9, frame: &[u8]) -> Option<Vp9> {
    let header = Vp9FrameHeader::parse(frame).ok()?;
    let config = header.color?;
    if header.kind != Vp9FrameKind::Key {
        return None;
    }
    let chroma = match (before.chroma, chroma(&config)) {
        // Both are 4:2:0; where its samples lie no frame tells.
        (0, 1) => 0,
        (_, chroma) => chroma,
    };
    Some(Vp9 {
        profile: header.profile,
        bit_depth: config.bit_depth,
        chroma,
        ..*before
    })
}

/// What a codec string says of colours: H.273 primaries, transfer characteristics and matrix coefficients, and the range. `None` for
/// one without the optional fields, which stand together or not at all: what they are by default nobody said.
pub(crate) fn told_colors(string: &str, vp9: &Vp9) -> Option<([u8; 3], bool)> {
    (string.matches('.').count() == 8).then_some((vp9.color, vp9.full_range))
}

/// The `chromaSubsampling` of codec strings.
fn chroma(config: &Vp9ColorConfig) -> u8 {
    match (config.subsampling_x, config.subsampling_y) {
        (true, true) => 1,
        (true, false) => 2,
        // 4:4:0 has no number of its own; 3 is the nearest.
        _ => 3,
    }
}

/// H.273 primaries, transfer characteristics and matrix coefficients of a color_space, where it names any:
/// <https://www.webmproject.org/vp9/mp4/#vp-codec-configuration-box>.
fn code_points(config: &Vp9ColorConfig) -> Option<[u8; 3]> {
    Some(match config.color_space {
        1 | 3 => [6, 6, 6],
        2 => [1, 1, 1],
        4 => [7, 7, 7],
        5 => [9, 14, 9],
        7 => [1, 13, 0],
        _ => return None,
    })
}

/// The codec string of the VP codec ISO media file format binding. `color` is the H.273 primaries, transfer
/// characteristics and matrix coefficients.
pub(crate) fn codec_string(
    profile: u8,
    level: u8,
    bit_depth: u8,
    chroma: u8,
    color: Option<[u8; 3]>,
    full_range: Option<bool>,
) -> String {
    let mut string = format!("vp09.{profile:02}.{level:02}.{bit_depth:02}");
    // The optional fields stand together or not at all.
    if chroma > 1 || color.is_some() || full_range.is_some() {
        let [primaries, transfer, matrix] = color.unwrap_or([2; 3]);
        let full = u8::from(full_range == Some(true));
        string.push_str(&format!(
            ".{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{full:02}"
        ));
    }
    string
}

#[cfg(test)]
mod tests {
    use reelcore_media::VideoCodec;

    use super::*;

    #[test]
    fn a_key_frame_tells_profile_depth_and_colour_unless_the_container_does() {
        // Profile 0, key, 8 bits, BT.709 limited, 352x288.
        let frame = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0];
        let string = |frame: &[u8], color| from_key_frame(frame, None, color);
        assert_eq!(
            string(&frame, None).as_deref(),
            Some("vp09.00.20.08.01.01.01.01.00")
        );
        let hdr = Some(([9, 16, 9], Some(true)));
        assert_eq!(
            string(&frame, hdr).as_deref(),
            Some("vp09.00.20.08.01.09.16.09.01")
        );
        assert_eq!(string(&frame[..8], None), None);
        assert_eq!(string(&[0x88], None), None, "a frame shown again");
    }

    #[test]
    fn a_key_frame_changes_profile_and_depth_and_leaves_where_chroma_lies() {
        let frame = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0];
        let changed = |string: &str, frame: &[u8]| {
            let Ok(VideoCodec::Vp9(before)) = VideoCodec::parse(string) else {
                panic!("{string}");
            };
            of_key_frame(&before, frame).map(|after| after.to_string())
        };
        let same = "vp09.00.20.08.00.09.16.09.01";
        assert_eq!(changed(same, &frame).as_deref(), Some(same));
        assert_eq!(
            changed("vp09.02.20.10", &frame).as_deref(),
            Some("vp09.00.20.08")
        );
        assert_eq!(changed(same, &[0x88]), None, "a frame shown again");
    }

    #[test]
    fn the_level_is_the_lowest_that_holds_size_and_rate() {
        assert_eq!(level(Size::new(320, 240), None), 20);
        assert_eq!(level(Size::new(1280, 720), Some(33_333_333)), 31);
        assert_eq!(level(Size::new(1920, 1080), Some(16_666_667)), 41);
        assert_eq!(level(Size::new(3840, 2160), Some(16_666_667)), 51);
        assert_eq!(level(Size::new(65_535, 65_535), Some(1)), 62);
    }
}
