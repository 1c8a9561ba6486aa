//! The `fmt ` chunk: WAVEFORMAT, WAVEFORMATEX and WAVE_FORMAT_EXTENSIBLE.
//! <https://learn.microsoft.com/windows/win32/api/mmreg/ns-mmreg-waveformatextensible>

use reelcore_media::demux::DemuxError;

use crate::audio::invalid;

/// Bytes of the chunk that say anything here.
pub(crate) const MAX: usize = 40;

/// What every sub-format GUID ends with, after the tag.
const SUB_FORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// How the samples are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// The codec string, for what WebCodecs knows.
    pub(crate) codec: Option<&'static str>,
    /// FFmpeg's name of what it does not know.
    pub(crate) other: Option<String>,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    /// Bytes of one sample of all channels; of other codecs, bytes that belong together.
    pub(crate) block: u16,
    /// Bytes a second, as the file says.
    pub(crate) byte_rate: u32,
    /// Samples of each channel in a block, of codecs whose blocks say so.
    pub(crate) block_samples: Option<u16>,
}

impl Format {
    /// Reads the chunk's content, which begins at byte `offset`.
    pub(crate) fn parse(bytes: &[u8], offset: u64) -> Result<Self, DemuxError> {
        let Some(&[t0, t1, c0, c1, r0, r1, r2, r3, b0, b1, b2, b3, a0, a1]) =
            bytes.first_chunk::<14>()
        else {
            return Err(invalid(
                offset,
                format!(
                    "expected a format of 14 bytes or more, found {}",
                    bytes.len()
                ),
            ));
        };
        let short = |at: usize| {
            let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
            field.map_or(0, |field| u16::from_le_bytes(*field))
        };
        let mut tag = u16::from_le_bytes([t0, t1]);
        let channels = u16::from_le_bytes([c0, c1]);
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        let byte_rate = u32::from_le_bytes([b0, b1, b2, b3]);
        let block = u16::from_le_bytes([a0, a1]);
        let bits = short(14);
        if channels == 0 {
            return Err(invalid(offset + 2, "expected a channel or more, found 0"));
        }
        if rate == 0 {
            return Err(invalid(
                offset + 4,
                "expected a sample rate above 0, found 0",
            ));
        }
        const EXTENSIBLE: u16 = 0xfffe;
        let mut unknown = None;
        if tag == EXTENSIBLE {
            let Some(guid) = bytes.get(24..40) else {
                return Err(invalid(
                    offset,
                    format!(
                        "expected an extensible format of 40 bytes, found {}",
                        bytes.len()
                    ),
                ));
            };
            if guid.get(2..) == Some(&SUB_FORMAT[..]) {
                tag = short(24);
            } else {
                let hex: String = guid.iter().map(|byte| format!("{byte:02x}")).collect();
                unknown = Some(format!("wav-{hex}"));
            }
        }
        let (codec, sample) = match (unknown.is_some(), tag, bits.div_ceil(8)) {
            (true, ..) => (None, 0),
            (_, 1, 1) => (Some("pcm-u8"), 1),
            (_, 1, 2) => (Some("pcm-s16"), 2),
            (_, 1, 3) => (Some("pcm-s24"), 3),
            (_, 1, 4) => (Some("pcm-s32"), 4),
            (_, 3, 4) => (Some("pcm-f32"), 4),
            (_, 6, _) => (Some("alaw"), 1),
            (_, 7, _) => (Some("ulaw"), 1),
            _ => (None, 0),
        };
        if codec.is_none() {
            return Ok(Self {
                codec: None,
                other: Some(unknown.unwrap_or_else(|| other(tag, bits))),
                channels,
                rate,
                block: block.max(1),
                byte_rate,
                // ADPCM of Microsoft and IMA: wSamplesPerBlock.
                block_samples: Some(short(18))
                    .filter(|&count| matches!(tag, 2 | 0x11) && count > 0),
            });
        }
        let whole = sample * u32::from(channels);
        // Some writers leave it 0. Samples of 20 bits in containers of 32 are none of the codecs.
        if block != 0 && u32::from(block) != whole {
            return Err(invalid(
                offset + 12,
                format!(
                    "expected {channels} channels of {bits} bits in {whole} bytes, found {block}"
                ),
            ));
        }
        let Ok(block) = u16::try_from(whole) else {
            return Err(DemuxError::Limit(format!(
                "{channels} channels take {whole} bytes, the cap is 65535"
            )));
        };
        Ok(Self {
            codec,
            other: None,
            channels,
            rate,
            block,
            byte_rate,
            block_samples: None,
        })
    }
}

/// FFmpeg's names for format tags (RFC 2361).
fn other(tag: u16, bits: u16) -> String {
    match (tag, bits) {
        (1, 64) => "pcm_s64le".to_owned(),
        (1, bits) => format!("pcm_{bits}"),
        (3, 64) => "pcm_f64le".to_owned(),
        (3, bits) => format!("pcm_f{bits}"),
        (0x02, _) => "adpcm_ms".to_owned(),
        (0x11, _) => "adpcm_ima_wav".to_owned(),
        (0x31, _) => "gsm_ms".to_owned(),
        (0x45, _) => "adpcm_g726".to_owned(),
        (0x50, _) => "mp2".to_owned(),
        (0x55, _) => "mp3".to_owned(),
        (0x92, _) | (0x2000, _) => "ac3".to_owned(),
        (0xff | 0x1600 | 0x1610, _) => "aac".to_owned(),
        (0x160..=0x163, _) => "wma".to_owned(),
        (0x270, _) => "atrac3".to_owned(),
        (0xf1ac, _) => "flac".to_owned(),
        (tag, _) => format!("wav-{tag:04x}"),
    }
}
