//! AAC between its two forms: raw frames with an AudioSpecificConfig, and ADTS.

use reelcore_media::EncodedChunk;
use reelcore_media::mux::MuxError;

use crate::adts::header::{HEADER, Header};
use crate::bitstream::Bits;

/// ISO/IEC 14496-3, table 1.18.
pub(crate) const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// The AudioSpecificConfig of frames with that header.
pub(crate) fn specific_config(header: &Header) -> [u8; 2] {
    let index = RATES.iter().position(|&rate| rate == header.rate);
    let (kind, index) = (header.object_type & 31, index.unwrap_or(4) as u32);
    let packed = kind << 11 | index << 7 | (header.channels & 15) << 3;
    [(packed >> 8) as u8, packed as u8]
}

/// The header of a packet that is one ADTS frame.
///
/// # Errors
/// [`MuxError::Invalid`] for any other packet.
pub(crate) fn frame(chunk: &EncodedChunk) -> Result<Header, MuxError> {
    frame_of(&chunk.data, chunk.timestamp)
}

/// As [`frame`], of a packet at `time` microseconds.
pub(crate) fn frame_of(data: &[u8], time: i64) -> Result<Header, MuxError> {
    Header::parse(data)
        .filter(|header| header.size == data.len() && header.blocks == 1)
        .ok_or_else(|| {
            MuxError::Invalid(format!(
                "expected an AudioSpecificConfig as description, or packets of one ADTS frame each, found {} bytes that are none at {} us",
                data.len(),
                time
            ))
        })
}

/// What the ADTS headers of a stream say: made from its AudioSpecificConfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdtsFrames {
    /// `profile_ObjectType`: the object type less 1.
    profile: u8,
    rate_index: u8,
    channels: u8,
}

/// The longest frame, with its header, that 13 bits can say.
const MAX_FRAME: usize = 0x1fff;

impl AdtsFrames {
    /// Reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). Of HE-AAC the core is told, as ADTS has it.
    ///
    /// # Errors
    /// [`MuxError::Unsupported`] for what ADTS cannot say: other object types, odd rates, channels that only a
    /// program_config_element tells; [`MuxError::Invalid`] for what is cut short.
    pub(crate) fn new(config: &[u8]) -> Result<Self, MuxError> {
        let mut bits = Bits::new(config);
        let cut = || {
            MuxError::Invalid(format!(
                "expected an AudioSpecificConfig, found {} bytes",
                config.len()
            ))
        };
        let object_type = |bits: &mut Bits<'_>| match bits.u(5)? {
            31 => Some(32 + bits.u(6)?),
            kind => Some(kind),
        };
        let rate = |bits: &mut Bits<'_>| match bits.u(4)? {
            15 => {
                let rate = bits.u(24)?;
                // 15 stays for a rate that has no index.
                Some(
                    RATES
                        .iter()
                        .position(|&r| r == rate)
                        .map_or(15, |i| i as u32),
                )
            }
            index => Some(index),
        };
        let mut kind = object_type(&mut bits).ok_or_else(cut)?;
        let index = rate(&mut bits).ok_or_else(cut)?;
        let channels = bits.u(4).ok_or_else(cut)?;
        // HE-AAC, signalled explicitly: the rate of the extension, then the core's object type.
        if matches!(kind, 5 | 29) {
            rate(&mut bits).ok_or_else(cut)?;
            kind = object_type(&mut bits).ok_or_else(cut)?;
        }
        if !(1..=4).contains(&kind) || index > 12 || !(1..=7).contains(&channels) {
            return Err(MuxError::Unsupported(format!(
                "AAC of object type {kind}, rate index {index} and channel configuration {channels} in ADTS"
            )));
        }
        Ok(Self {
            profile: (kind - 1) as u8,
            rate_index: index as u8,
            channels: channels as u8,
        })
    }

    /// The header of a frame of `len` bytes.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a frame that is too long.
    pub(crate) fn header(&self, len: usize) -> Result<[u8; HEADER], MuxError> {
        let size = len.saturating_add(HEADER);
        if size > MAX_FRAME {
            return Err(MuxError::Invalid(format!(
                "expected a frame of AAC up to {} bytes, found {len}",
                MAX_FRAME - HEADER
            )));
        }
        Ok([
            0xff,
            // MPEG-4, no checksum.
            0xf1,
            self.profile << 6 | self.rate_index << 2 | self.channels >> 2,
            self.channels << 6 | (size >> 11) as u8,
            (size >> 3) as u8,
            // The buffer's fullness is not told: all ones.
            (size << 5) as u8 | 0x1f,
            0xfc,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_written_is_read_and_gives_its_configuration_back() {
        for config in [[0x12, 0x10], [0x11, 0x88], [0x0b, 0x08]] {
            let frames = AdtsFrames::new(&config).expect("ADTS can say it");
            let header = frames.header(100).expect("short");
            let read = Header::parse(&header).expect("a header");
            assert_eq!((read.size, read.blocks, read.crc), (107, 1, false));
            assert_eq!(specific_config(&read), config);
        }
        // HE-AAC: the core at half the rate.
        let he = AdtsFrames::new(&[0x2b, 0x11, 0x88, 0x00]).expect("its core");
        let read = Header::parse(&he.header(1).expect("short")).expect("a header");
        assert_eq!((read.object_type, read.rate), (2, 24_000));
    }

    #[test]
    fn what_adts_cannot_say_is_refused() {
        for config in [&[0x12][..], &[], &[0x12, 0x00], &[0xf9, 0x46, 0x40]] {
            assert!(AdtsFrames::new(config).is_err(), "{config:?}");
        }
        let frames = AdtsFrames::new(&[0x12, 0x10]).expect("ADTS can say it");
        assert!(frames.header(MAX_FRAME - HEADER).is_ok());
        assert!(frames.header(MAX_FRAME - HEADER + 1).is_err());
    }
}
