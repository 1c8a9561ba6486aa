//! The uncompressed header of VP9 frames: VP9 Bitstream & Decoding Process Specification, section 6.2.

use reelcore_media::Size;

use super::Bits;

/// What the header of a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// 0 to 3.
    pub(crate) profile: u8,
    /// Stands alone.
    pub(crate) key: bool,
    /// What only key frames say.
    pub(crate) config: Option<Config>,
}

/// What a key frame says of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// 8, 10 or 12.
    pub(crate) bit_depth: u8,
    /// color_space: 0 unknown, 1 BT.601, 2 BT.709, 3 SMPTE 170, 4 SMPTE 240, 5 BT.2020, 7 RGB.
    pub(crate) color_space: u8,
    pub(crate) full_range: bool,
    /// Chroma is halved (across, down).
    pub(crate) subsampling: (bool, bool),
    pub(crate) size: Size,
}

/// Reads the header at the start of a frame, or of the first frame of a superframe.
pub(crate) fn parse(frame: &[u8]) -> Option<FrameHeader> {
    let mut bits = Bits::new(frame);
    // frame_marker
    if bits.u(2)? != 2 {
        return None;
    }
    let low = bits.u(1)?;
    let high = bits.u(1)?;
    let profile = (high << 1 | low) as u8;
    if profile == 3 && bits.flag()? {
        return None;
    }
    let header = |key, config| {
        Some(FrameHeader {
            profile,
            key,
            config,
        })
    };
    // show_existing_frame
    if bits.flag()? {
        return header(false, None);
    }
    let key = !bits.flag()?;
    // show_frame, error_resilient_mode
    bits.skip(2)?;
    if !key {
        return header(false, None);
    }
    if bits.u(24)? != 0x49_8342 {
        return None;
    }
    // color_config()
    let bit_depth = match profile {
        0 | 1 => 8,
        _ if bits.flag()? => 12,
        _ => 10,
    };
    let color_space = bits.u(3)? as u8;
    let odd = profile & 1 == 1;
    let (full_range, subsampling) = if color_space == 7 {
        if odd {
            bits.skip(1)?;
        }
        (true, (false, false))
    } else {
        let full_range = bits.flag()?;
        let subsampling = if odd {
            let pair = (bits.flag()?, bits.flag()?);
            bits.skip(1)?;
            pair
        } else {
            (true, true)
        };
        (full_range, subsampling)
    };
    // frame_size()
    let size = Size::new(bits.u(16)? + 1, bits.u(16)? + 1);
    header(
        true,
        Some(Config {
            bit_depth,
            color_space,
            full_range,
            subsampling,
            size,
        }),
    )
}

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

impl Config {
    /// The `chromaSubsampling` of codec strings.
    pub(crate) fn chroma(&self) -> u8 {
        match self.subsampling {
            (true, true) => 1,
            (true, false) => 2,
            // 4:4:0 has no number of its own; 3 is the nearest.
            _ => 3,
        }
    }

    /// H.273 primaries, transfer characteristics and matrix coefficients.
    pub(crate) fn code_points(&self) -> [u8; 3] {
        match self.color_space {
            1 => [5, 6, 5],
            2 => [1, 1, 1],
            3 => [6, 6, 6],
            4 => [7, 7, 7],
            5 => [9, 14, 9],
            7 => [1, 13, 0],
            _ => [2, 2, 2],
        }
    }
}

impl FrameHeader {
    /// The codec string of the VP codec ISO media file format binding, for frames that are each shown for `frame_nanos`;
    /// `None` but for key frames.
    pub(crate) fn codec_string(&self, frame_nanos: Option<u64>) -> Option<String> {
        let config = self.config.as_ref()?;
        let color = (config.color_space != 0).then(|| config.code_points());
        Some(codec_string(
            self.profile,
            level(config.size, frame_nanos),
            config.bit_depth,
            config.chroma(),
            color,
            color.map(|_| config.full_range),
        ))
    }
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
    use super::*;

    #[test]
    fn a_key_frame_gives_profile_depth_colour_and_size() {
        // Profile 0, key, 8 bits, BT.709 limited, 352x288.
        let frame = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0];
        let header = parse(&frame).expect("a header");
        assert_eq!((header.profile, header.key), (0, true));
        let string = header.codec_string(None);
        assert_eq!(string.as_deref(), Some("vp09.00.20.08.01.01.01.01.00"));
        let config = header.config.expect("a key frame");
        assert_eq!(config.size, Size::new(352, 288));
        assert_eq!((config.bit_depth, config.chroma()), (8, 1));
        assert_eq!(
            (config.code_points(), config.full_range),
            ([1, 1, 1], false)
        );
        assert_eq!(parse(&frame[..8]), None);
        assert!(!parse(&[0x86, 0]).expect("an inter frame").key);
        assert!(!parse(&[0x88]).expect("a frame shown again").key);
        assert_eq!(parse(&[0x12, 0x34]), None);
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
