//! STREAMINFO and the headers of frames (RFC 9639, sections 8.2 and 9.1).

use crate::audio::crc;
use crate::bitstream::Bits;

/// Bytes of STREAMINFO.
pub(crate) const STREAM_INFO: usize = 34;

/// Bytes of a frame's header, at most.
pub(crate) const MAX_HEADER: usize = 16;

/// What STREAMINFO says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    pub(crate) max_block: u16,
    pub(crate) rate: u32,
    pub(crate) channels: u32,
    pub(crate) bits: u32,
    /// `None` where the writer did not know it.
    pub(crate) samples: Option<u64>,
}

impl StreamInfo {
    /// Reads 34 bytes; `None` for sizes, rates or counts that cannot be.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < STREAM_INFO {
            return None;
        }
        let mut bits = Bits::new(bytes);
        bits.skip(16)?;
        let max_block = bits.u(16)?;
        bits.skip(48)?;
        let rate = bits.u(20)?;
        let channels = bits.u(3)? + 1;
        let depth = bits.u(5)? + 1;
        let samples = u64::from(bits.u(4)?) << 32 | u64::from(bits.u(32)?);
        (max_block >= 16 && rate > 0 && depth >= 4).then_some(Self {
            max_block: u16::try_from(max_block).ok()?,
            rate,
            channels,
            bits: depth,
            samples: (samples > 0).then_some(samples),
        })
    }

    /// Bytes of a frame, at most: twice of what its samples take as they are, which no encoder comes near.
    pub(crate) fn max_frame(&self) -> usize {
        let block = usize::from(self.max_block);
        let sample = (self.bits as usize + 1).div_ceil(8);
        2 * block * self.channels as usize * sample + 1024
    }

    /// The description for WebCodecs: <https://www.w3.org/TR/webcodecs-flac-codec-registration/>, "fLaC" and STREAMINFO
    /// alone, which is thereby the last metadata block.
    pub(crate) fn description(bytes: &[u8]) -> Vec<u8> {
        let mut description = b"fLaC\x80\0\0\x22".to_vec();
        description.extend(bytes.get(..STREAM_INFO).unwrap_or_default());
        description
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The first sample.
    pub(crate) sample: u64,
    /// Samples in the frame.
    pub(crate) samples: u32,
}

/// Reads a frame's header at the start of `head`, whose checksum must be right and which must be of the stream that
/// `info` describes.
pub(crate) fn parse(head: &[u8], info: &StreamInfo) -> Option<Header> {
    let &[0xff, sync, sizes, kinds, first, ..] = head else {
        return None;
    };
    if sync & 0xfe != 0xf8 || kinds & 1 != 0 {
        return None;
    }
    let mut at = 4;
    let mut byte = || {
        let byte = head.get(at).copied();
        at += 1;
        byte
    };
    // The coded number (section 9.1.5).
    let more = first.leading_ones();
    byte()?;
    let mut number = match more {
        0 => u64::from(first),
        2..=7 => u64::from(first) & (0x7f >> more),
        _ => return None,
    };
    for _ in 1..more.max(1) {
        let next = byte()?;
        if next >> 6 != 2 {
            return None;
        }
        number = number << 6 | u64::from(next & 0x3f);
    }
    let samples = match sizes >> 4 {
        0 => return None,
        1 => 192,
        code @ 2..=5 => 576 << (code - 2),
        6 => u32::from(byte()?) + 1,
        7 => u32::from(u16::from_be_bytes([byte()?, byte()?])) + 1,
        code => 256 << (code - 8),
    };
    const RATES: [u32; 12] = [
        0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
    ];
    let rate = match sizes & 15 {
        0 => info.rate,
        12 => u32::from(byte()?) * 1000,
        13 => u32::from(u16::from_be_bytes([byte()?, byte()?])),
        14 => u32::from(u16::from_be_bytes([byte()?, byte()?])) * 10,
        code => *RATES.get(usize::from(code))?,
    };
    let channels = match kinds >> 4 {
        code @ 0..=7 => u32::from(code) + 1,
        8..=10 => 2,
        _ => return None,
    };
    let bits = match kinds >> 1 & 7 {
        0 => info.bits,
        3 => return None,
        code => [8, 12, 0, 16, 20, 24, 32][usize::from(code) - 1],
    };
    byte()?;
    let whole = head.get(..at)?;
    let same = rate == info.rate && channels == info.channels && bits == info.bits;
    if !same || samples > u32::from(info.max_block).max(16) || crc::flac8(whole) != 0 {
        return None;
    }
    // Section 9.1.5: the number is one of samples where block sizes vary, else one of frames.
    let sample = match sync & 1 {
        1 => number,
        _ => number.checked_mul(u64::from(info.max_block))?,
    };
    Some(Header { sample, samples })
}

/// A frame as it was, but of a stream whose block sizes vary, with `sample` as its first. `None` for what is cut off, and for
/// samples beyond 36 bits.
pub(crate) fn renumbered(frame: &[u8], sample: u64) -> Option<Vec<u8>> {
    let &[sync, strategy, sizes, kinds, first, ..] = frame else {
        return None;
    };
    let number = first.leading_ones().max(1) as usize;
    // Sections 9.1.6 and 9.1.7: uncommon block sizes and rates stand behind the number.
    let block = match sizes >> 4 {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let rate = match sizes & 15 {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    let (uncommon, rest) = frame.get(4 + number..)?.split_at_checked(block + rate)?;
    // Between the CRC-8 and the CRC-16.
    let subframes = rest.get(1..rest.len().checked_sub(2)?)?;
    let mut out = Vec::with_capacity(MAX_HEADER + subframes.len() + 2);
    out.extend([sync, strategy | 1, sizes, kinds]);
    push_number(sample, &mut out)?;
    out.extend(uncommon);
    out.push(crc::flac8(&out));
    out.extend(subframes);
    out.extend(crc::flac16(0, &out).to_be_bytes());
    Some(out)
}

/// Writes a coded number of up to 36 bits (section 9.1.5).
fn push_number(number: u64, out: &mut Vec<u8>) -> Option<()> {
    if number < 0x80 {
        out.push(number as u8);
        return Some(());
    }
    // Two bytes have 11 bits, and each byte more has five more.
    let more = (1..=6).find(|more| number >> (5 * more + 6) == 0)?;
    let prefix = !(0x7f_u8 >> more);
    out.push(prefix | (number >> (6 * more)) as u8);
    let rest = (0..more).rev();
    out.extend(rest.map(|at| 0x80 | (number >> (6 * at) & 0x3f) as u8));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: StreamInfo = StreamInfo {
        max_block: 4096,
        rate: 44_100,
        channels: 2,
        bits: 16,
        samples: None,
    };

    fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.push(crc::flac8(&bytes));
        bytes
    }

    #[test]
    fn headers_give_their_first_sample_and_no_other_bytes_pass() {
        let fixed = with_crc(vec![0xff, 0xf8, 0xc9, 0x18, 0xc2, 0x80]);
        let header = |sample, samples| Some(Header { sample, samples });
        assert_eq!(parse(&fixed, &INFO), header(128 * 4096, 4096));
        let varying = with_crc(vec![0xff, 0xf9, 0x79, 0x18, 0x05, 0x01, 0x00]);
        assert_eq!(parse(&varying, &INFO), header(5, 257));
        let rate = with_crc(vec![0xff, 0xf8, 0x1d, 0xa8, 0x00, 0xac, 0x44]);
        assert_eq!(parse(&rate, &INFO), header(0, 192));
        for at in 0..fixed.len() {
            for bit in 0..8 {
                let mut broken = fixed.clone();
                broken[at] ^= 1 << bit;
                assert_eq!(parse(&broken, &INFO), None, "bit {bit} of byte {at}");
            }
            assert_eq!(parse(&fixed[..at], &INFO), None);
        }
        let other = StreamInfo {
            rate: 48_000,
            ..INFO
        };
        assert_eq!(parse(&fixed, &other), None);
    }

    #[test]
    fn a_frame_gets_any_number_of_36_bits_and_keeps_all_else() {
        // Frame 128 with a block of 257 samples and a rate in Hz.
        let mut frame = with_crc(vec![
            0xff, 0xf8, 0x7d, 0x18, 0xc2, 0x80, 0x01, 0x00, 0xac, 0x44,
        ]);
        frame.extend([1, 2, 3, 4, 5]);
        frame.extend(crc::flac16(0, &frame).to_be_bytes());
        let edges = (7..=36).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits]);
        for sample in edges.chain([0, 1]) {
            let Some(out) = renumbered(&frame, sample) else {
                assert_eq!(sample, 1 << 36);
                continue;
            };
            let header = Header {
                sample,
                samples: 257,
            };
            assert_eq!(parse(&out, &INFO), Some(header));
            assert_eq!(crc::flac16(0, &out), 0, "{sample}");
            assert!(out[..out.len() - 2].ends_with(&[1, 2, 3, 4, 5]));
            // And once more, from a number of that length.
            assert_eq!(renumbered(&out, 5), renumbered(&frame, 5), "{sample}");
        }
        for cut in 0..frame.len() {
            let _ = renumbered(&frame[..cut], 0);
        }
    }
}
