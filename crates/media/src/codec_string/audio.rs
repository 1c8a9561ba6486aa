//! Audio codecs.

use std::fmt;
use std::str::FromStr;

use super::fields::{Fields, clip};
use super::{CodecStringError, unknown};

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

/// The MPEG-4 object type of MPEG-2 AAC LC, decimal for the 67 of `mp4a.67`.
const MPEG2_AAC_LC: u8 = 0x67;

/// Every codec whose string is one fixed name.
const NAMES: [(&str, AudioCodec); 11] = [
    ("mp3", AudioCodec::Mp3),
    ("opus", AudioCodec::Opus),
    ("vorbis", AudioCodec::Vorbis),
    ("flac", AudioCodec::Flac),
    ("alaw", AudioCodec::Alaw),
    ("ulaw", AudioCodec::Ulaw),
    ("pcm-u8", AudioCodec::Pcm(PcmFormat::U8)),
    ("pcm-s16", AudioCodec::Pcm(PcmFormat::S16)),
    ("pcm-s24", AudioCodec::Pcm(PcmFormat::S24)),
    ("pcm-s32", AudioCodec::Pcm(PcmFormat::S32)),
    ("pcm-f32", AudioCodec::Pcm(PcmFormat::F32)),
];

/// Whether a codec string for audio starts with `name`.
pub(super) fn is_name(name: &str) -> bool {
    name == "mp4a" || NAMES.iter().any(|(known, _)| *known == name)
}

impl AudioCodec {
    /// Parses a codec string of the WebCodecs registry.
    ///
    /// # Errors
    /// [`CodecStringError`] for any other string, the codec strings of video among them.
    pub fn parse(string: &str) -> Result<Self, CodecStringError> {
        if let Some((_, codec)) = NAMES.iter().find(|(name, _)| *name == string) {
            return Ok(*codec);
        }
        match string.strip_prefix("mp4a") {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                mp4a(Fields::new(rest.strip_prefix('.')))
                    .map_err(|reason| CodecStringError::new(string, reason))
            }
            _ => Err(CodecStringError::new(string, unknown(string, "audio"))),
        }
    }

    /// The codec's name: `AAC`, `MP3`, `Opus`, `Vorbis`, `FLAC`, `A-law`, `mu-law` or `PCM`.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Aac(_) => "AAC",
            Self::Mp3 => "MP3",
            Self::Opus => "Opus",
            Self::Vorbis => "Vorbis",
            Self::Flac => "FLAC",
            Self::Alaw => "A-law",
            Self::Ulaw => "mu-law",
            Self::Pcm(_) => "PCM",
        }
    }
}

/// `mp4a.OO[.A]` of RFC 6381: an object type indication, and for MPEG-4 an audio object type.
/// <https://www.w3.org/TR/webcodecs-aac-codec-registration/#fully-qualified-codec-strings>
fn mp4a(mut fields: Fields<'_>) -> Result<AudioCodec, String> {
    let indication = fields.next("the object type indication")?;
    let codec = match indication {
        "40" => match fields.next("the audio object type")? {
            "2" | "02" => AudioCodec::Aac(2),
            "5" | "05" => AudioCodec::Aac(5),
            "29" => AudioCodec::Aac(29),
            other => {
                return Err(format!(
                    "the audio object type must be 2, 5 or 29, found `{}`",
                    clip(other)
                ));
            }
        },
        "67" => AudioCodec::Aac(MPEG2_AAC_LC),
        "69" | "6B" | "6b" => AudioCodec::Mp3,
        other => {
            return Err(format!(
                "the object type indication must be 40, 67, 69 or 6B, found `{}`",
                clip(other)
            ));
        }
    };
    fields.end()?;
    Ok(codec)
}

impl FromStr for AudioCodec {
    type Err = CodecStringError;

    fn from_str(string: &str) -> Result<Self, CodecStringError> {
        Self::parse(string)
    }
}

/// The codec string.
impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aac(MPEG2_AAC_LC) => f.write_str("mp4a.67"),
            Self::Aac(object_type) => write!(f, "mp4a.40.{object_type}"),
            fixed => {
                let name = NAMES.iter().find(|(_, codec)| codec == fixed);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    }
}
