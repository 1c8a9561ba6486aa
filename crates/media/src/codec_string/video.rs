//! Video codecs.

use std::fmt;
use std::str::FromStr;

use super::fields::{Fields, clip, decimal_up_to, fixed_decimal, hex};
use super::{CodecStringError, unknown};

/// A video codec with what its string says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264.
    Avc(Avc),
    /// HEVC.
    Hevc(Hevc),
    /// VP8.
    Vp8,
    /// VP9.
    Vp9(Vp9),
    /// AV1.
    Av1(Av1),
}

/// H.264: `avc1.PPCCLL`, `avc3.PPCCLL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Avc {
    /// Parameter sets may stand in the stream (`avc3`).
    pub in_band: bool,
    /// profile_idc.
    pub profile: u8,
    /// The constraint_set flags.
    pub constraints: u8,
    /// level_idc: ten times the level.
    pub level: u8,
}

/// HEVC: `hvc1.A.B.C.D`, `hev1.A.B.C.D` (ISO/IEC 14496-15, annex E.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hevc {
    /// Parameter sets may stand in the stream (`hev1`).
    pub in_band: bool,
    /// general_profile_space, 0 to 3.
    pub profile_space: u8,
    /// general_profile_idc, 0 to 31.
    pub profile: u8,
    /// general_profile_compatibility_flags, bit 31 for flag 0.
    pub compatibility: u32,
    /// The high tier.
    pub high_tier: bool,
    /// general_level_idc: thirty times the level.
    pub level: u8,
    /// The six bytes of constraint indicator flags.
    pub constraints: [u8; 6],
}

/// VP9: `vp09.PP.LL.DD[.CC.cp.tc.mc.FF]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vp9 {
    /// 0 to 3.
    pub profile: u8,
    /// Ten times the level.
    pub level: u8,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Chroma subsampling: 0 4:2:0 vertical, 1 4:2:0 collocated, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// H.273 colour primaries, transfer characteristics and matrix coefficients.
    pub color: [u8; 3],
    /// Full range.
    pub full_range: bool,
}

/// AV1: `av01.P.LLT.DD[.M.CCC.cp.tc.mc.F]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Av1 {
    /// 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// seq_level_idx.
    pub level: u8,
    /// The high tier.
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// No chroma.
    pub monochrome: bool,
    /// subsampling_x, subsampling_y, chroma_sample_position.
    pub chroma: [u8; 3],
    /// H.273 colour primaries, transfer characteristics and matrix coefficients.
    pub color: [u8; 3],
    /// Full range.
    pub full_range: bool,
}

/// What the bindings of VP9 and AV1 presume where colour is not given: BT.709.
const DEFAULT_COLOR: [u8; 3] = [1, 1, 1];
/// 4:2:0, collocated.
const VP9_DEFAULT_CHROMA: u8 = 1;
/// 4:2:0, unknown position.
const AV1_DEFAULT_CHROMA: [u8; 3] = [1, 1, 0];

/// Whether a codec string for video starts with `name`.
pub(super) fn is_name(name: &str) -> bool {
    matches!(
        name,
        "avc1" | "avc3" | "hvc1" | "hev1" | "vp8" | "vp09" | "av01"
    )
}

impl VideoCodec {
    /// Parses a codec string of the WebCodecs registry.
    ///
    /// # Errors
    /// [`CodecStringError`] for any other string, the codec strings of audio among them.
    pub fn parse(string: &str) -> Result<Self, CodecStringError> {
        let (name, rest) = match string.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (string, None),
        };
        let fields = Fields::new(rest);
        let parsed = match name {
            "vp8" if rest.is_none() => Ok(Self::Vp8),
            "avc1" => Avc::parse(false, fields).map(Self::Avc),
            "avc3" => Avc::parse(true, fields).map(Self::Avc),
            "hvc1" => Hevc::parse(false, fields).map(Self::Hevc),
            "hev1" => Hevc::parse(true, fields).map(Self::Hevc),
            "vp09" => Vp9::parse(fields).map(Self::Vp9),
            "av01" => Av1::parse(fields).map(Self::Av1),
            _ => Err(unknown(string, "video")),
        };
        parsed.map_err(|reason| CodecStringError::new(string, reason))
    }

    /// The codec's name: `H.264`, `HEVC`, `VP8`, `VP9` or `AV1`.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Avc(_) => "H.264",
            Self::Hevc(_) => "HEVC",
            Self::Vp8 => "VP8",
            Self::Vp9(_) => "VP9",
            Self::Av1(_) => "AV1",
        }
    }
}

impl FromStr for VideoCodec {
    type Err = CodecStringError;

    fn from_str(string: &str) -> Result<Self, CodecStringError> {
        Self::parse(string)
    }
}

/// The codec string.
impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Avc(avc) => avc.fmt(f),
            Self::Hevc(hevc) => hevc.fmt(f),
            Self::Vp8 => f.write_str("vp8"),
            Self::Vp9(vp9) => vp9.fmt(f),
            Self::Av1(av1) => av1.fmt(f),
        }
    }
}

impl Avc {
    /// The profiles of H.264 (annexes A, F, G and I).
    const PROFILES: [u8; 16] = [
        44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244,
    ];
    /// The levels of H.264, table A-1; 9 is level 1b.
    const LEVELS: [u8; 20] = [
        9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62,
    ];

    /// <https://www.w3.org/TR/webcodecs-avc-codec-registration/#fully-qualified-codec-strings>,
    /// RFC 6381, section 3.3.
    fn parse(in_band: bool, mut fields: Fields<'_>) -> Result<Self, String> {
        let value = hex(fields.next("`PPCCLL`")?, "`PPCCLL`", 6, 6)?;
        let [_, profile, constraints, level] = value.to_be_bytes();
        fields.end()?;
        if !Self::PROFILES.contains(&profile) {
            return Err(format!("profile_idc {profile} is not one of H.264"));
        }
        if !Self::LEVELS.contains(&level) {
            return Err(format!("level_idc {level} is not one of H.264"));
        }
        Ok(Self {
            in_band,
            profile,
            constraints,
            level,
        })
    }
}

impl fmt::Display for Avc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.in_band { "avc3" } else { "avc1" };
        let (profile, constraints, level) = (self.profile, self.constraints, self.level);
        write!(f, "{name}.{profile:02X}{constraints:02X}{level:02X}")
    }
}

impl Hevc {
    /// <https://www.w3.org/TR/webcodecs-hevc-codec-registration/#fully-qualified-codec-strings>.
    fn parse(in_band: bool, mut fields: Fields<'_>) -> Result<Self, String> {
        let part = fields.next("the profile")?;
        let (profile_space, number) = match part.as_bytes().first() {
            Some(letter @ b'A'..=b'C') => (letter - b'A' + 1, part.get(1..).unwrap_or_default()),
            _ => (0, part),
        };
        let profile = decimal_up_to(number, "general_profile_idc", 31)?;

        // The string has the 32 flags in reverse order: flag 0 is the lowest bit.
        let flags = "the compatibility flags";
        let compatibility = hex(fields.next(flags)?, flags, 1, 8)?.reverse_bits();

        let part = fields.next("tier and level")?;
        let (high_tier, number) = if let Some(number) = part.strip_prefix('L') {
            (false, number)
        } else if let Some(number) = part.strip_prefix('H') {
            (true, number)
        } else {
            return Err(format!(
                "tier and level must start with L or H, found `{}`",
                clip(part)
            ));
        };
        let level = decimal_up_to(number, "general_level_idc", u8::MAX)?;

        let mut constraints = [0; 6];
        for byte in &mut constraints {
            if fields.is_empty() {
                break;
            }
            let name = "a byte of constraint flags";
            let value = hex(fields.next(name)?, name, 1, 2)?;
            *byte = u8::try_from(value).unwrap_or(u8::MAX);
        }
        fields.end()?;
        Ok(Self {
            in_band,
            profile_space,
            profile,
            compatibility,
            high_tier,
            level,
            constraints,
        })
    }
}

impl fmt::Display for Hevc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_band { "hev1." } else { "hvc1." })?;
        match self.profile_space {
            1 => f.write_str("A")?,
            2 => f.write_str("B")?,
            3 => f.write_str("C")?,
            _ => {}
        }
        let flags = self.compatibility.reverse_bits();
        let tier = if self.high_tier { 'H' } else { 'L' };
        write!(f, "{}.{flags:X}.{tier}{}", self.profile, self.level)?;
        let used = self.constraints.iter().rposition(|&byte| byte != 0);
        for byte in self
            .constraints
            .iter()
            .take(used.map_or(0, |last| last + 1))
        {
            write!(f, ".{byte:02X}")?;
        }
        Ok(())
    }
}

impl Vp9 {
    /// The levels of VP9, ten times each.
    const LEVELS: [u8; 14] = [10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62];

    /// <https://www.w3.org/TR/webcodecs-vp9-codec-registration/#fully-qualified-codec-strings>,
    /// <https://www.webmproject.org/vp9/mp4/#codecs-parameter-string>.
    fn parse(mut fields: Fields<'_>) -> Result<Self, String> {
        let profile = fields.decimal("the profile", 2)?;
        if profile > 3 {
            return Err(format!("the profile must be 00 to 03, found {profile:02}"));
        }
        let level = fields.decimal("the level", 2)?;
        if !Self::LEVELS.contains(&level) {
            return Err(format!("level {level} is not one of VP9"));
        }
        let bit_depth = bit_depth(&mut fields)?;
        if (bit_depth == 8) != (profile < 2) {
            return Err(format!("profile {profile} has no {bit_depth}-bit video"));
        }
        let chroma = fields.decimal_or(VP9_DEFAULT_CHROMA, "the chroma subsampling", 2)?;
        if chroma > 3 {
            return Err(format!(
                "the chroma subsampling must be 00 to 03, found {chroma:02}"
            ));
        }
        let color = color(&mut fields)?;
        if color[2] == 0 && chroma != 3 {
            return Err(format!(
                "the identity matrix (00) needs 4:4:4 (03), found {chroma:02}"
            ));
        }
        let full_range = flag(
            fields.decimal_or(0, "the full range flag", 2)?,
            "the full range flag",
        )?;
        fields.end()?;
        Ok(Self {
            profile,
            level,
            bit_depth,
            chroma,
            color,
            full_range,
        })
    }
}

impl fmt::Display for Vp9 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, level, depth) = (self.profile, self.level, self.bit_depth);
        write!(f, "vp09.{profile:02}.{level:02}.{depth:02}")?;
        let tail = (self.chroma, self.color, self.full_range);
        if tail == (VP9_DEFAULT_CHROMA, DEFAULT_COLOR, false) {
            return Ok(());
        }
        // All of the tail or none of it, which is what the binding asks of a writer.
        let [primaries, transfer, matrix] = self.color;
        write!(
            f,
            ".{:02}.{primaries:02}.{transfer:02}.{matrix:02}.{:02}",
            self.chroma,
            u8::from(self.full_range)
        )
    }
}

impl Av1 {
    /// <https://www.w3.org/TR/webcodecs-av1-codec-registration/#fully-qualified-codec-strings>,
    /// <https://aomediacodec.github.io/av1-isobmff/#codecsparam>.
    fn parse(mut fields: Fields<'_>) -> Result<Self, String> {
        let profile = fields.decimal("the profile", 1)?;
        if profile > 2 {
            return Err(format!("the profile must be 0 to 2, found {profile}"));
        }
        let part = fields.next("level and tier")?;
        let (number, high_tier) = if let Some(number) = part.strip_suffix('M') {
            (number, false)
        } else if let Some(number) = part.strip_suffix('H') {
            (number, true)
        } else {
            return Err(format!(
                "level and tier must end with M or H, found `{}`",
                clip(part)
            ));
        };
        let level = fixed_decimal(number, "the level", 2)?;
        if level > 23 && level != 31 {
            return Err(format!("seq_level_idx {level} is not one of AV1"));
        }
        if high_tier && level < 8 {
            return Err(format!(
                "seq_level_idx {level} has no high tier, which starts at 08 (level 4.0)"
            ));
        }
        let bit_depth = bit_depth(&mut fields)?;
        if bit_depth == 12 && profile != 2 {
            return Err(format!("profile {profile} has no 12-bit video"));
        }
        let monochrome = flag(
            fields.decimal_or(0, "the monochrome flag", 1)?,
            "the monochrome flag",
        )?;
        if monochrome && profile == 1 {
            return Err("profile 1 has no monochrome video".into());
        }
        let chroma = if fields.is_empty() {
            AV1_DEFAULT_CHROMA
        } else {
            let part = fields.next("the chroma subsampling")?;
            let chroma = match part {
                "000" => Some([0, 0, 0]),
                "100" => Some([1, 0, 0]),
                "110" => Some([1, 1, 0]),
                "111" => Some([1, 1, 1]),
                "112" => Some([1, 1, 2]),
                _ => None,
            };
            chroma.ok_or_else(|| {
                format!(
                    "the chroma subsampling must be 000, 100, 110, 111 or 112, found `{}`",
                    clip(part)
                )
            })?
        };
        if monochrome && chroma != AV1_DEFAULT_CHROMA {
            return Err("monochrome video has the chroma subsampling 110".into());
        }
        let color = color(&mut fields)?;
        let full_range = flag(
            fields.decimal_or(0, "the full range flag", 1)?,
            "the full range flag",
        )?;
        fields.end()?;
        Ok(Self {
            profile,
            level,
            high_tier,
            bit_depth,
            monochrome,
            chroma,
            color,
            full_range,
        })
    }
}

impl fmt::Display for Av1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, level, depth) = (self.profile, self.level, self.bit_depth);
        let tier = if self.high_tier { 'H' } else { 'M' };
        write!(f, "av01.{profile}.{level:02}{tier}.{depth:02}")?;
        let tail = (self.monochrome, self.chroma, self.color, self.full_range);
        if tail == (false, AV1_DEFAULT_CHROMA, DEFAULT_COLOR, false) {
            return Ok(());
        }
        // All of the tail or none of it, which is what the binding asks of a writer.
        let [x, y, position] = self.chroma;
        let [primaries, transfer, matrix] = self.color;
        write!(
            f,
            ".{}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
            u8::from(self.monochrome),
            u8::from(self.full_range)
        )
    }
}

/// `08`, `10` or `12`.
fn bit_depth(fields: &mut Fields<'_>) -> Result<u8, String> {
    match fields.decimal("the bit depth", 2)? {
        depth @ (8 | 10 | 12) => Ok(depth),
        depth => Err(format!(
            "the bit depth must be 08, 10 or 12, found {depth:02}"
        )),
    }
}

/// `0` or `1`.
fn flag(value: u8, name: &str) -> Result<bool, String> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{name} must be 0 or 1, found {other}")),
    }
}

/// Colour primaries, transfer characteristics and matrix coefficients, each of two digits, and
/// none of those that ITU-T H.273 reserves.
fn color(fields: &mut Fields<'_>) -> Result<[u8; 3], String> {
    let [primaries, transfer, matrix] = DEFAULT_COLOR;
    let primaries = fields.decimal_or(primaries, "the colour primaries", 2)?;
    if !matches!(primaries, 1 | 2 | 4..=12 | 22) {
        return Err(format!(
            "the colour primaries {primaries:02} are reserved by H.273"
        ));
    }
    let transfer = fields.decimal_or(transfer, "the transfer characteristics", 2)?;
    if !matches!(transfer, 1 | 2 | 4..=18) {
        return Err(format!(
            "the transfer characteristics {transfer:02} are reserved by H.273"
        ));
    }
    let matrix = fields.decimal_or(matrix, "the matrix coefficients", 2)?;
    if !matches!(matrix, 0..=2 | 4..=17) {
        return Err(format!(
            "the matrix coefficients {matrix:02} are reserved by H.273"
        ));
    }
    Ok([primaries, transfer, matrix])
}
