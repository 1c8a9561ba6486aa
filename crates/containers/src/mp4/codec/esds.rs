//! `esds`: the elementary stream descriptor of MPEG-4 systems, and AAC's AudioSpecificConfig.

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use super::Codec;
use crate::mp4::parse::Reader;

/// What an `esds` box says of the sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Esds {
    pub(crate) codec: Option<Codec>,
    pub(crate) sample_rate: Option<u32>,
    pub(crate) channels: Option<u32>,
}

/// Reads the header of a descriptor: its tag and a reader of its body. Sizes are 1 to 4 bytes of 7 bits.
fn descriptor(reader: &mut Reader) -> Result<Option<(u8, Reader)>, DemuxError> {
    if reader.left() == 0 {
        return Ok(None);
    }
    let tag = reader.u8()?;
    let mut size = 0_usize;
    for _ in 0..4 {
        let byte = reader.u8()?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    // Some writers count the padding of the last descriptor: what there is counts.
    let body = reader.sub(size.min(reader.left()))?;
    Ok(Some((tag, body)))
}

fn find(reader: &mut Reader, tag: u8) -> Result<Option<Reader>, DemuxError> {
    while let Some((found, body)) = descriptor(reader)? {
        if found == tag {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC_INFO: u8 = 5;

/// Parses an `esds` box. An object type that WebCodecs has no codec for gives no codec.
pub(crate) fn parse(mut reader: Reader) -> Result<Esds, DemuxError> {
    reader.full_box()?;
    let Some(mut es) = find(&mut reader, ES_DESCRIPTOR)? else {
        return Err(reader.error("expected an ES descriptor (tag 3), found none"));
    };
    es.skip(2)?;
    let flags = es.u8()?;
    if flags & 0x80 != 0 {
        es.skip(2)?;
    }
    if flags & 0x40 != 0 {
        let url = es.u8()?;
        es.skip(usize::from(url))?;
    }
    if flags & 0x20 != 0 {
        es.skip(2)?;
    }
    let Some(mut config) = find(&mut es, DECODER_CONFIG)? else {
        return Err(es.error("expected a decoder configuration (tag 4), found none"));
    };
    let object_type = config.u8()?;
    config.skip(12)?;
    let specific = find(&mut config, DECODER_SPECIFIC_INFO)?;
    match object_type {
        // MPEG-4 audio: <https://www.w3.org/TR/webcodecs-aac-codec-registration/>; the description is the
        // AudioSpecificConfig.
        0x40 => match specific {
            Some(specific) => audio_specific_config(specific),
            None => Ok(Esds::default()),
        },
        // MPEG-2 AAC: Main, LC, SSR.
        0x66..=0x68 => {
            let mut parsed = match &specific {
                Some(specific) => audio_specific_config(specific.clone())?,
                None => Esds::default(),
            };
            let description = specific.map(|mut specific| specific.rest());
            parsed.codec = Some(Codec::new(format!("mp4a.{object_type:x}"), description));
            Ok(parsed)
        }
        // MPEG-2 and MPEG-1 layer 3.
        0x69 | 0x6b => Ok(Esds {
            codec: Some(Codec::new("mp3", None)),
            ..Esds::default()
        }),
        _ => Ok(Esds::default()),
    }
}

/// Reads bits, most significant first; past the end it reads zeros and says so.
struct Bits {
    bytes: Bytes,
    at: usize,
}

impl Bits {
    fn read(&mut self, count: usize) -> u32 {
        (0..count).fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn overrun(&self) -> bool {
        self.at > self.bytes.len() * 8
    }
}

/// ISO/IEC 14496-3, table 1.18.
const SAMPLE_RATES: [u32; 13] = [
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];

fn object_type(bits: &mut Bits) -> u32 {
    match bits.read(5) {
        31 => 32 + bits.read(6),
        kind => kind,
    }
}

fn sample_rate(bits: &mut Bits) -> Option<u32> {
    match bits.read(4) {
        15 => Some(bits.read(24)),
        index => SAMPLE_RATES.get(index as usize).copied(),
    }
}

/// AudioSpecificConfig, ISO/IEC 14496-3, 1.6.2.1: the object type as written, and the rate and the channels that
/// come out of the decoder.
pub(crate) fn audio_specific_config(mut reader: Reader) -> Result<Esds, DemuxError> {
    let at = reader.clone();
    let description = reader.rest();
    let mut bits = Bits {
        bytes: description.clone(),
        at: 0,
    };
    let kind = object_type(&mut bits);
    let mut rate = sample_rate(&mut bits);
    let channels = bits.read(4);
    // Explicit signalling of SBR (5) and parametric stereo (29): the output's rate follows.
    if matches!(kind, 5 | 29) {
        rate = sample_rate(&mut bits);
    }
    if kind == 0 || bits.overrun() {
        return Err(at.error(format_args!(
            "expected an AudioSpecificConfig, found {} bytes of object type {kind}",
            description.len()
        )));
    }
    let channels = match channels {
        1 if kind == 29 => Some(2),
        count @ 1..=6 => Some(count),
        7 => Some(8),
        11 => Some(7),
        12 | 14 => Some(8),
        13 => Some(24),
        // Where that does not tell it either, the sample entry stands for it.
        0 if matches!(kind, 5 | 29) => {
            let core = object_type(&mut bits);
            program_channels(&mut bits, core)
        }
        0 => program_channels(&mut bits, kind),
        _ => None,
    };
    Ok(Esds {
        codec: Some(Codec::new(format!("mp4a.40.{kind}"), Some(description))),
        sample_rate: rate.filter(|&rate| rate > 0),
        channels,
    })
}

/// The channels of the program configuration element in a GASpecificConfig (ISO/IEC 14496-3, 4.4.1 and 4.5.1.2); `None` for object types
/// without one, and where it is cut off.
fn program_channels(bits: &mut Bits, kind: u32) -> Option<u32> {
    if !matches!(kind, 1..=4 | 6 | 7 | 17 | 19..=23) {
        return None;
    }
    // frameLengthFlag, dependsOnCoreCoder with its delay, extensionFlag.
    bits.read(1);
    if bits.read(1) == 1 {
        bits.read(14);
    }
    bits.read(1);
    // element_instance_tag, object_type, sampling_frequency_index.
    bits.read(4 + 2 + 4);
    let elements = bits.read(4) + bits.read(4) + bits.read(4);
    let effects = bits.read(2);
    // num_assoc_data_elements, num_valid_cc_elements.
    bits.read(3 + 4);
    // Numbers of the elements that are mixed down to mono and to stereo, and how a matrix does it.
    for count in [4, 4, 3] {
        if bits.read(1) == 1 {
            bits.read(count);
        }
    }
    // Each is a single channel or a pair, with its tag.
    let channels = (0..elements).fold(effects, |channels, _| {
        let pair = bits.read(1);
        bits.read(4);
        channels + 1 + pair
    });
    (channels > 0 && !bits.overrun()).then_some(channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn esds(object_type: u8, specific: &[u8]) -> Result<Esds, DemuxError> {
        let mut config = vec![object_type, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        config.extend([5, 0x80, 0x80, 0x80, specific.len() as u8]);
        config.extend(specific);
        let mut es = vec![0, 1, 0, 4, config.len() as u8];
        es.extend(config);
        es.extend([6, 1, 2]);
        let mut bytes = vec![0, 0, 0, 0, 3, 0x80, es.len() as u8];
        bytes.extend(es);
        parse(Reader::new(FourCc(*b"esds"), bytes.into(), 0))
    }

    #[test]
    fn aac_kinds_give_their_string_rate_and_channels() {
        for (specific, string, rate, channels) in [
            (&[0x12, 0x10][..], "mp4a.40.2", 44100, Some(2)),
            (&[0x2b, 0x11, 0x88, 0x00], "mp4a.40.5", 48000, Some(2)),
            (&[0xeb, 0x09, 0x88, 0x00], "mp4a.40.29", 48000, Some(2)),
            (&[0x11, 0x80], "mp4a.40.2", 48000, None),
            (&[0xf9, 0x46, 0x40], "mp4a.40.42", 48000, Some(2)),
        ] {
            let esds = esds(0x40, specific).expect("valid");
            let codec = esds.codec.expect("a codec");
            assert_eq!(codec.string, string);
            assert_eq!(codec.description.as_deref(), Some(specific));
            if string != "mp4a.40.42" && specific[0] != 0x11 {
                assert_eq!(
                    (esds.sample_rate, esds.channels),
                    (Some(rate), channels),
                    "{string}"
                );
            }
        }
    }

    #[test]
    fn other_object_types_are_mp3_or_unknown() {
        let mp3 = esds(0x6b, &[]).expect("valid").codec.expect("a codec");
        assert_eq!((mp3.string.as_str(), mp3.description), ("mp3", None));
        assert_eq!(esds(0xdd, &[]).expect("valid").codec, None);
    }

    #[test]
    fn a_descriptor_that_is_cut_off_is_an_error() {
        assert!(esds(0x40, &[0x12]).is_err());
        let bytes = Bytes::from_static(&[0, 0, 0, 0, 3, 2, 0, 1]);
        assert!(parse(Reader::new(FourCc(*b"esds"), bytes, 0)).is_err());
    }
}
