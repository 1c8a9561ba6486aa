//! Codec strings: <https://www.w3.org/TR/webcodecs-codec-registry/>.

use std::fmt;

/// A codec string that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("codec string {string:?}: {reason}")]
pub struct CodecStringError {
    /// The string as given.
    pub string: String,
    /// What was expected and what was found.
    pub reason: String,
}

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

/// An audio codec with what its string says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC: the MPEG-4 audio object type (2 LC, 5 HE-AAC, 29 HE-AAC v2; 103 for MPEG-2 LC, `mp4a.67`).
    Aac(u8),
    /// MP3: `mp3`, `mp4a.69`, `mp4a.6B`.
    Mp3,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// FLAC.
    Flac,
    /// A-law.
    Alaw,
    /// mu-law.
    Ulaw,
    /// Uncompressed: `pcm-u8`, `pcm-s16`, `pcm-s24`, `pcm-s32`, `pcm-f32`.
    Pcm(PcmFormat),
}

/// The sample type of uncompressed audio chunks, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PcmFormat {
    /// Unsigned 8-bit.
    U8,
    /// Signed 16-bit.
    S16,
    /// Signed 24-bit.
    S24,
    /// Signed 32-bit.
    S32,
    /// 32-bit float.
    F32,
}

impl VideoCodec {
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

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())
    }
}
