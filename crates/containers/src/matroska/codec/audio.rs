//! Codecs of sound.

use bytes::{BufMut, Bytes, BytesMut};
use reelcore_media::demux::DemuxError;

use super::Private;
use crate::bitstream::audio::{Frames, Timing, aac_frames};
use crate::matroska::ebml::invalid;
use crate::matroska::lacing::{self, Lacing};
use crate::mp4::codec::{Codec, esds};
use crate::mp4::parse::{FourCc, Reader};
use crate::ogg::vorbis::{self, Ident};

/// What a track's codec is, and what it says of the sound.
#[derive(Clone, Debug)]
pub(crate) struct AudioCodec {
    pub(crate) codec: Option<Codec>,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) timing: Timing,
    /// Nanoseconds of decoded sound to drop at the start, as the codec's own header says.
    pub(crate) pre_skip: u64,
    pub(crate) vorbis: Option<Vorbis>,
}

/// How long the packets of Vorbis are: half of the blocks that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vorbis {
    ident: Ident,
    /// For each mode whether its blocks are long.
    modes: Vec<bool>,
}

impl Vorbis {
    /// From the three headers with Xiph's lacing.
    pub(crate) fn parse(private: &[u8]) -> Option<Self> {
        let mut sizes = Vec::new();
        let size = private.len() as u64;
        // The count of headers stands where the count of frames of a block does.
        let header = lacing::parse(Lacing::Xiph, private, size, &mut sizes).ok()?;
        let &[first, second, _] = &sizes[..] else {
            return None;
        };
        let from = |at: u64| private.get(usize::try_from(at).ok()?..);
        let ident = Ident::parse(from(header)?)?;
        let setup = from(header.checked_add(first)?.checked_add(second)?)?;
        let modes = vorbis::modes(setup, ident.channels)?;
        Some(Self { ident, modes })
    }

    /// The length of a packet that starts with `head`. `before` is the block of the one before it in the lacing; the
    /// first is taken to follow one of its own size.
    pub(crate) fn frames(&self, head: &[u8], before: &mut Option<u32>) -> Option<Frames> {
        let block = vorbis::block(head, self.ident.blocks, &self.modes)?;
        let last = before.replace(block).unwrap_or(block);
        Some(Frames {
            count: u64::from(last / 4 + block / 4),
            rate: self.ident.rate,
        })
    }
}

/// What the container says of the sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sound {
    pub(crate) sample_rate: u32,
    /// After spectral band replication, where given.
    pub(crate) output_rate: Option<u32>,
    pub(crate) channels: u32,
    pub(crate) bit_depth: u32,
}

pub(crate) fn audio(id: &str, private: &Private, sound: &Sound) -> Result<AudioCodec, DemuxError> {
    let mut found = AudioCodec {
        codec: None,
        sample_rate: sound.output_rate.unwrap_or(sound.sample_rate),
        channels: sound.channels,
        timing: Timing::Unknown,
        pre_skip: 0,
        vorbis: None,
    };
    let description = Some(private.data.clone()).filter(|data| !data.is_empty());
    match id {
        "A_OPUS" | "A_OPUS/EXPERIMENTAL" => {
            // The identification header of RFC 7845 as it is.
            let header = description.filter(|data| data.starts_with(b"OpusHead"));
            if let Some(&channels) = header.as_deref().and_then(|header| header.get(9)) {
                found.channels = u32::from(channels.max(1));
            }
            let pre_skip = header
                .as_deref()
                .and_then(|header| header.get(10..)?.first_chunk());
            let frames = u64::from(pre_skip.map_or(0, |skip| u16::from_le_bytes(*skip)));
            found.pre_skip = frames * 1_000_000_000 / 48_000;
            // Opus decodes at 48 kHz, whatever the input was.
            found.sample_rate = 48_000;
            found.timing = Timing::Opus;
            found.codec = Some(Codec::new("opus", header));
        }
        // The three headers with Xiph's lacing are the registration's form already.
        "A_VORBIS" => {
            found.vorbis = Vorbis::parse(&private.data);
            found.codec = Some(Codec::new("vorbis", description));
        }
        "A_FLAC" => {
            if let Some((description, rate, channels)) = flac(private)? {
                found.codec = Some(Codec::new("flac", Some(description)));
                found.sample_rate = rate;
                found.channels = channels;
                found.timing = Timing::Flac { rate };
            }
        }
        "A_MPEG/L3" => {
            found.codec = Some(Codec::new("mp3", None));
            found.timing = Timing::Mp3;
        }
        "A_AC3" => found.codec = Some(Codec::new("ac-3", None)),
        "A_EAC3" => found.codec = Some(Codec::new("ec-3", None)),
        "A_PCM/INT/LIT" => found.pcm(false, sound.bit_depth),
        // One byte has no order.
        "A_PCM/INT/BIG" if sound.bit_depth == 8 => found.pcm(false, 8),
        "A_PCM/FLOAT/IEEE" => found.pcm(true, sound.bit_depth),
        "A_MS/ACM" => found.wave_format(private)?,
        _ if id == "A_AAC" || id.starts_with("A_AAC/") => {
            let config = match description {
                Some(config) => Some(config),
                None => aac_config(id, sound),
            };
            if let Some(config) = config {
                found.aac(config, private.offset, sound)?;
            }
        }
        _ => {}
    }
    Ok(found)
}

impl AudioCodec {
    fn aac(&mut self, config: Bytes, offset: u64, sound: &Sound) -> Result<(), DemuxError> {
        self.timing = aac_frames(&config).map_or(Timing::Unknown, Timing::Constant);
        let parsed = esds::audio_specific_config(Reader::new(FourCc(*b"esds"), config, offset))?;
        self.sample_rate = sound
            .output_rate
            .or(parsed.sample_rate)
            .unwrap_or(sound.sample_rate);
        self.channels = parsed.channels.unwrap_or(sound.channels);
        self.codec = parsed.codec;
        Ok(())
    }

    /// <https://www.w3.org/TR/webcodecs-pcm-codec-registration/>
    fn pcm(&mut self, float: bool, bits: u32) {
        let name = match (float, bits) {
            (false, 8) => Some("pcm-u8"),
            (false, 16) => Some("pcm-s16"),
            (false, 24) => Some("pcm-s24"),
            (false, 32) => Some("pcm-s32"),
            (true, 32) => Some("pcm-f32"),
            _ => None,
        };
        self.codec = name.map(|name| Codec::new(name, None));
        self.frame_of(bits);
    }

    fn frame_of(&mut self, bits: u32) {
        if let Some(bytes_per_frame) = (bits / 8)
            .checked_mul(self.channels)
            .filter(|&bytes| bytes > 0)
        {
            self.timing = Timing::Pcm {
                bytes_per_frame,
                rate: self.sample_rate,
            };
        }
    }

    /// WAVEFORMATEX.
    fn wave_format(&mut self, private: &Private) -> Result<(), DemuxError> {
        let field = |at: usize| {
            let pair = private.data.get(at..).and_then(|data| data.first_chunk());
            pair.map(|pair| u16::from_le_bytes(*pair))
        };
        let rate = private.data.get(4..).and_then(|data| data.first_chunk());
        let (Some(mut tag), Some(channels), Some(rate), Some(bits)) =
            (field(0), field(2), rate, field(14))
        else {
            return Err(invalid(
                private.offset,
                format!(
                    "expected a WAVEFORMATEX of at least 16 bytes, found {}",
                    private.data.len()
                ),
            ));
        };
        let bits = u32::from(bits);
        if channels > 0 {
            self.channels = u32::from(channels);
        }
        match u32::from_le_bytes(*rate) {
            0 => {}
            rate => self.sample_rate = rate,
        }
        // WAVE_FORMAT_EXTENSIBLE: the tag is the start of the sub-format's GUID.
        if tag == 0xfffe {
            tag = field(24).unwrap_or(tag);
        }
        match tag {
            1 => self.pcm(false, bits),
            3 => self.pcm(true, bits),
            6 | 7 => {
                let name = if tag == 6 { "alaw" } else { "ulaw" };
                self.codec = Some(Codec::new(name, None));
                self.frame_of(8);
            }
            0x55 => {
                self.codec = Some(Codec::new("mp3", None));
                self.timing = Timing::Mp3;
            }
            // AAC with its AudioSpecificConfig.
            0xff => {
                let config = private.skip(18);
                if !config.data.is_empty() {
                    let sound = Sound {
                        sample_rate: self.sample_rate,
                        output_rate: None,
                        channels: self.channels,
                        bit_depth: bits,
                    };
                    self.aac(config.data, config.offset, &sound)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The description "fLaC" and STREAMINFO alone, the rate and the channels; `None` without STREAMINFO.
fn flac(private: &Private) -> Result<Option<(Bytes, u32, u32)>, DemuxError> {
    if private.data.is_empty() {
        return Ok(None);
    }
    let info = private.data.get(8..42);
    let (Some(b"fLaC"), Some(&[kind, 0, 0, 34]), Some(info)) =
        (private.data.get(..4), private.data.get(4..8), info)
    else {
        return Err(invalid(
            private.offset,
            "expected \"fLaC\" and STREAMINFO of 34 bytes in CodecPrivate",
        ));
    };
    if kind & 0x7f != 0 {
        return Err(invalid(
            private.offset,
            format!("expected STREAMINFO first, found block {}", kind & 0x7f),
        ));
    }
    let packed = info.get(10..).and_then(|info| info.first_chunk());
    let packed = packed.map_or(0, |packed| u32::from_be_bytes(*packed));
    let mut description = BytesMut::with_capacity(42);
    // It is the last block here, whatever followed it in the file.
    description.put_slice(b"fLaC\x80\0\0\x22");
    description.put_slice(info);
    Ok(Some((
        description.freeze(),
        packed >> 12,
        (packed >> 9 & 7) + 1,
    )))
}

/// The AudioSpecificConfig of old files, which have the profile in the CodecID and no CodecPrivate.
fn aac_config(id: &str, sound: &Sound) -> Option<Bytes> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let index = |rate: u32| {
        RATES
            .iter()
            .position(|&known| known == rate)
            .map(|at| at as u32)
    };
    let kind = if id.contains("/MAIN") {
        1
    } else if id.contains("/SSR") {
        3
    } else if id.contains("/LTP") {
        4
    } else {
        2
    };
    let channels = match sound.channels {
        count @ 1..=6 => count,
        8 => 7,
        _ => return None,
    };
    let core = index(sound.sample_rate)?;
    if !id.ends_with("/SBR") {
        let config = (kind << 11 | core << 7 | channels << 3) as u16;
        return Some(Bytes::copy_from_slice(&config.to_be_bytes()));
    }
    // Explicit signalling: object type 5, the rate of the output, then the core's object type.
    let output = index(
        sound
            .output_rate
            .unwrap_or(sound.sample_rate.checked_mul(2)?),
    )?;
    let config = 5 << 27 | core << 23 | channels << 19 | output << 15 | kind << 10;
    Some(Bytes::copy_from_slice(&config.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(data: &'static [u8]) -> Private {
        Private {
            data: Bytes::from_static(data),
            offset: 100,
        }
    }

    const SOUND: Sound = Sound {
        sample_rate: 22_050,
        output_rate: Some(44_100),
        channels: 2,
        bit_depth: 16,
    };

    fn string(codec: Option<Codec>) -> String {
        codec.map(|codec| codec.string).unwrap_or_default()
    }

    #[test]
    fn aac_without_private_data_gets_the_config_that_its_name_says() {
        let aac = |id| audio(id, &Private::default(), &SOUND).expect("valid");
        let sbr = aac("A_AAC/MPEG4/LC/SBR");
        assert_eq!((sbr.sample_rate, sbr.channels), (44_100, 2));
        assert_eq!(
            sbr.codec,
            Some(Codec::new(
                "mp4a.40.5",
                Some(Bytes::from_static(&[0x2b, 0x92, 0x08, 0x00]))
            ))
        );
        let lc = aac("A_AAC/MPEG2/LC").codec.expect("a codec");
        assert_eq!(
            (lc.string.as_str(), lc.description.as_deref()),
            ("mp4a.40.2", Some(&[0x13, 0x90][..]))
        );
        assert_eq!(string(aac("A_AAC/MPEG4/MAIN").codec), "mp4a.40.1");
    }

    #[test]
    fn wave_formats_give_their_codecs() {
        let mut header = vec![0, 0, 2, 0, 0x80, 0x3e, 0, 0, 0, 0, 0, 0, 4, 0, 16, 0, 0, 0];
        let mut found = |tag: u16, bits: u8| {
            header[..2].copy_from_slice(&tag.to_le_bytes());
            header[14] = bits;
            let private = Private {
                data: header.clone().into(),
                offset: 0,
            };
            let found = audio("A_MS/ACM", &private, &SOUND).expect("valid");
            assert_eq!((found.sample_rate, found.channels), (16_000, 2));
            string(found.codec)
        };
        for (tag, bits, want) in [
            (1, 16, "pcm-s16"),
            (1, 8, "pcm-u8"),
            (3, 32, "pcm-f32"),
            (6, 8, "alaw"),
            (7, 8, "ulaw"),
            (0x55, 0, "mp3"),
            (0x161, 16, ""),
        ] {
            assert_eq!(found(tag, bits), want, "{tag:#x}");
        }
        assert!(audio("A_MS/ACM", &private(b"\x01\0\x02\0"), &SOUND).is_err());
        let extensible = b"\xfe\xff\x02\0\x80\x3e\0\0\0\0\0\0\x08\0\x20\0\x16\0\x20\0\x03\0\0\0\x03\0\0\0\0\0\x10\0";
        let found = audio("A_MS/ACM", &private(extensible), &SOUND).expect("valid");
        assert_eq!(string(found.codec), "pcm-f32");
    }

    #[test]
    fn flac_and_opus_private_data_is_the_description() {
        let mut data = b"fLaC\0\0\0\x22".to_vec();
        let mut info = [0_u8; 34];
        info[10..14].copy_from_slice(&(96_000_u32 << 12 | 5 << 9 | 23 << 4).to_be_bytes());
        data.extend(info);
        data.extend(b"\x84\0\0\x01\0");
        let whole = Private {
            data: data.into(),
            offset: 0,
        };
        let found = audio("A_FLAC", &whole, &SOUND).expect("valid");
        assert_eq!((found.sample_rate, found.channels), (96_000, 6));
        let description = found
            .codec
            .and_then(|codec| codec.description)
            .expect("a description");
        assert_eq!(
            (description.len(), &description[..8]),
            (42, &b"fLaC\x80\0\0\x22"[..])
        );
        assert!(audio("A_FLAC", &private(b"fLaC\x84\0\0\x22"), &SOUND).is_err());
        let found = audio(
            "A_OPUS",
            &private(b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"),
            &SOUND,
        )
        .expect("valid");
        assert_eq!((found.sample_rate, found.channels), (48_000, 1));
        assert_eq!(
            found.codec.and_then(|c| c.description).map(|d| d.len()),
            Some(19)
        );
    }
}
