//! How long a frame is by what is in it (RFC 9639, section 9.2), where nothing behind it tells: what follows is no frame.

use super::header::StreamInfo;
use crate::audio::crc;
use crate::bitstream::Bits;

/// Bytes of the frame of `samples` at the start of `bytes`, whose header is known to be good; `None` where its subframes cannot
/// be followed to a CRC-16 that is right.
pub(crate) fn frame_size(bytes: &[u8], info: &StreamInfo, samples: u32) -> Option<usize> {
    let &[_, _, sizes, kinds, first, ..] = bytes else {
        return None;
    };
    let number = first.leading_ones().max(1) as usize;
    let block = [6, 7].iter().position(|&code| code == sizes >> 4);
    let rate = match sizes & 15 {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    let header = 4 + number + block.map_or(0, |more| more + 1) + rate + 1;
    let mut bits = Bits::new(bytes.get(header..)?);
    // Section 9.1.3: of two channels, one may be a difference, which takes a bit more.
    let difference = match kinds >> 4 {
        8 | 10 => Some(1),
        9 => Some(0),
        _ => None,
    };
    for channel in 0..info.channels {
        let more = u32::from(difference == Some(channel));
        subframe(&mut bits, info.bits + more, samples)?;
    }
    let size = header + bits.bytes() + 2;
    let frame = bytes.get(..size)?;
    (crc::flac16(0, frame) == 0).then_some(size)
}

/// Passes over a subframe of samples of `depth` bits.
fn subframe(bits: &mut Bits<'_>, mut depth: u32, samples: u32) -> Option<()> {
    if bits.flag()? {
        return None;
    }
    let kind = bits.u(6)?;
    if bits.flag()? {
        // Bits that are 0 in all samples, in unary.
        depth = depth.checked_sub(unary(bits)? + 1)?;
    }
    let skip = |bits: &mut Bits<'_>, count: u32, depth: u32| {
        let all = u64::from(count).checked_mul(u64::from(depth))?;
        bits.skip(usize::try_from(all).ok()?)
    };
    let order = match kind {
        0 => return skip(bits, 1, depth),
        1 => return skip(bits, samples, depth),
        8..=12 => kind - 8,
        32.. => kind - 31,
        _ => return None,
    };
    skip(bits, order, depth)?;
    if kind >= 32 {
        let precision = bits.u(4)? + 1;
        bits.skip(5)?;
        skip(bits, order, precision)?;
    }
    // The residual (section 9.2.7).
    let width = match bits.u(2)? {
        0 => 4,
        1 => 5,
        _ => return None,
    };
    let partitions = 1_u32 << bits.u(4)?;
    for partition in 0..partitions {
        let before = if partition == 0 { order } else { 0 };
        let count = (samples / partitions).checked_sub(before)?;
        let parameter = bits.u(width)?;
        if parameter == (1 << width) - 1 {
            let depth = bits.u(5)?;
            skip(bits, count, depth)?;
            continue;
        }
        for _ in 0..count {
            unary(bits)?;
            bits.skip(parameter as usize)?;
        }
    }
    Some(())
}

/// Zeros before a one.
fn unary(bits: &mut Bits<'_>) -> Option<u32> {
    let mut zeros = 0_u32;
    while !bits.flag()? {
        zeros = zeros.checked_add(1)?;
    }
    Some(zeros)
}
