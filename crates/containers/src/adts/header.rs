//! ADTS frame headers (ISO/IEC 14496-3, 1.A.3.2).

use crate::bitstream::Bits;

/// Bytes of a header without its checksum.
pub(crate) const HEADER: usize = 7;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `audioObjectType`, 1 to 4.
    pub(crate) object_type: u32,
    pub(crate) rate: u32,
    /// `channel_configuration`; 0: a program_config_element in the frame tells.
    pub(crate) channels: u32,
    /// Bytes of the frame with its header.
    pub(crate) size: usize,
    /// Raw data blocks in it.
    pub(crate) blocks: u32,
    /// Whether checksums are there.
    pub(crate) crc: bool,
}

impl Header {
    /// Reads the header that `head` begins with.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        const RATES: [u32; 13] = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
            8000, 7350,
        ];
        let mut bits = Bits::new(head);
        if bits.u(12)? != 0xfff {
            return None;
        }
        bits.skip(1)?;
        if bits.u(2)? != 0 {
            return None;
        }
        let crc = !bits.flag()?;
        let object_type = bits.u(2)? + 1;
        let rate = *RATES.get(bits.u(4)? as usize)?;
        bits.skip(1)?;
        let channels = bits.u(3)?;
        bits.skip(4)?;
        let size = bits.u(13)? as usize;
        bits.skip(11)?;
        let blocks = bits.u(2)? + 1;
        let header = Self {
            object_type,
            rate,
            channels,
            size,
            blocks,
            crc,
        };
        (size > header.size()).then_some(header)
    }

    /// Bytes before the first raw data block: several have their places before the checksum.
    pub(crate) fn size(&self) -> usize {
        match self.crc {
            true => HEADER + 2 * self.blocks as usize,
            false => HEADER,
        }
    }

    /// Whether frames with this and with `other` can be of one stream.
    pub(crate) fn same_stream(&self, other: &Self) -> bool {
        (self.object_type, self.rate, self.channels)
            == (other.object_type, other.rate, other.channels)
    }

    /// What a decoder is configured with, as a number that is not 0.
    pub(crate) fn setup(&self) -> u32 {
        self.rate << 5 | (self.object_type - 1) << 3 | self.channels
    }

    /// The number of channels, with the start of the frame at hand.
    pub(crate) fn channel_count(&self, frame: &[u8]) -> Option<u32> {
        match self.channels {
            0 => program_config(frame.get(self.size()..)?),
            7 => Some(8),
            count => Some(count),
        }
    }
}

/// The channels of a `program_config_element` (4.4.1.1) at the start of a raw data block.
fn program_config(block: &[u8]) -> Option<u32> {
    const ID_PCE: u32 = 5;
    let mut bits = Bits::new(block);
    if bits.u(3)? != ID_PCE {
        return None;
    }
    bits.skip(4 + 2 + 4)?;
    let pairs = bits.u(4)? + bits.u(4)? + bits.u(4)?;
    let low = bits.u(2)?;
    bits.skip(3 + 4)?;
    for mixdown in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown)?;
        }
    }
    let mut channels = low;
    for _ in 0..pairs {
        channels += 1 + bits.u(1)?;
        bits.skip(4)?;
    }
    (channels > 0).then_some(channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_size_blocks_and_channels() {
        let plain = [0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc];
        let want = Header {
            object_type: 2,
            rate: 44_100,
            channels: 2,
            size: 16,
            blocks: 1,
            crc: false,
        };
        assert_eq!(Header::parse(&plain), Some(want));
        let three = Header::parse(&[0xff, 0xf8, 0x4c, 0x40, 0x02, 0x1f, 0xfe]);
        let three = three.expect("a header");
        assert_eq!((three.rate, three.channels, three.blocks), (48_000, 1, 3));
        assert_eq!((three.size(), three.crc), (13, true));
        for cut in 0..HEADER {
            assert_eq!(Header::parse(&plain[..cut]), None);
        }
        // A layer, a rate that is reserved, a size below the header's.
        for (at, value) in [(1, 0xf3), (2, 0x74), (4, 0)] {
            let mut broken = plain;
            broken[at] = value;
            assert_eq!(Header::parse(&broken), None, "byte {at}");
        }
    }

    #[test]
    fn channels_of_a_program_config_are_counted() {
        // PCE, tag 0, LC, 44.1 kHz; front: a single and a pair; side none; back: a pair; one LFE.
        let bits = "101 0000 01 0100 0010 0000 0001 01 000 0000 0 0 0 0 0000 1 0000 1 0001 0000";
        let bits: Vec<u8> = bits
            .bytes()
            .filter(|b| *b != b' ')
            .map(|b| b - b'0')
            .collect();
        let bytes: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit) << (8 - byte.len()))
            .collect();
        assert_eq!(program_config(&bytes), Some(6));
        assert_eq!(program_config(&bytes[..5]), None);
        assert_eq!(program_config(&[0]), None);
    }
}
