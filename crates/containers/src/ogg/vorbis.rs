//! Vorbis headers, as far as they tell how long packets are. <https://xiph.org/vorbis/doc/Vorbis_I_spec.html>

/// Reads bits, least significant first (section 2).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn u(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        self.u(1).map(|bit| bit == 1)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?)?;
        (self.at <= self.bytes.len().checked_mul(8)?).then_some(())
    }
}

/// Section 9.2.1: bits that a number takes.
fn ilog(number: u32) -> usize {
    (32 - number.leading_zeros()) as usize
}

/// The identification header (section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ident {
    pub(crate) channels: u32,
    pub(crate) rate: u32,
    /// Samples of the two sizes of blocks.
    pub(crate) blocks: [u32; 2],
}

impl Ident {
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; 30] = packet.first_chunk()?;
        let version = [packet[7], packet[8], packet[9], packet[10]];
        if !packet.starts_with(b"\x01vorbis") || version != [0; 4] {
            return None;
        }
        let rate = u32::from_le_bytes([packet[12], packet[13], packet[14], packet[15]]);
        let (small, large) = (packet[28] & 15, packet[28] >> 4);
        let valid = packet[11] > 0
            && rate > 0
            && (6..=13).contains(&small)
            && (small..=13).contains(&large);
        valid.then_some(Self {
            channels: u32::from(packet[11]),
            rate,
            blocks: [1 << small, 1 << large],
        })
    }
}

/// For each mode of the setup header (section 4.2.4) whether its blocks are long.
pub(crate) fn modes(packet: &[u8], channels: u32) -> Option<Vec<bool>> {
    let body = packet.strip_prefix(b"\x05vorbis")?;
    let mut bits = Bits { bytes: body, at: 0 };
    for _ in 0..=bits.u(8)? {
        codebook(&mut bits)?;
    }
    let times = u64::from(bits.u(6)?) + 1;
    bits.skip(16 * times)?;
    for _ in 0..=bits.u(6)? {
        floor(&mut bits)?;
    }
    for _ in 0..=bits.u(6)? {
        residue(&mut bits)?;
    }
    for _ in 0..=bits.u(6)? {
        mapping(&mut bits, channels)?;
    }
    let mut modes = Vec::new();
    for _ in 0..=bits.u(6)? {
        modes.push(bits.flag()?);
        bits.skip(16 + 16 + 8)?;
    }
    bits.flag()?.then_some(modes)
}

/// Section 3.2.1.
fn codebook(bits: &mut Bits) -> Option<()> {
    if bits.u(24)? != 0x56_4342 {
        return None;
    }
    let (dimensions, entries) = (bits.u(16)?, bits.u(24)?);
    if bits.flag()? {
        bits.skip(5)?;
        let mut entry = 0;
        let mut lengths = 0;
        while entry < entries {
            entry += bits.u(ilog(entries - entry))?;
            lengths += 1;
            if lengths > 32 || entry > entries {
                return None;
            }
        }
    } else if bits.flag()? {
        for _ in 0..entries {
            if bits.flag()? {
                bits.skip(5)?;
            }
        }
    } else {
        bits.skip(5 * u64::from(entries))?;
    }
    let values = match bits.u(4)? {
        0 => return Some(()),
        1 => lookup1_values(entries, dimensions)?,
        2 => u64::from(entries) * u64::from(dimensions),
        _ => return None,
    };
    bits.skip(32 + 32)?;
    let size = u64::from(bits.u(4)?) + 1;
    bits.skip(1 + values.checked_mul(size)?)
}

/// Section 9.2.3: the greatest number whose power by `dimensions` is no more than `entries`.
fn lookup1_values(entries: u32, dimensions: u32) -> Option<u64> {
    if dimensions == 0 {
        return None;
    }
    let fits = |value: u64| {
        let power = value.checked_pow(dimensions);
        power.is_some_and(|power| power <= u64::from(entries))
    };
    let (mut low, mut high) = (0, u64::from(entries) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
}

/// Sections 6.2.1 and 7.2.2.
fn floor(bits: &mut Bits) -> Option<()> {
    match bits.u(16)? {
        0 => {
            bits.skip(8 + 16 + 16 + 6 + 8)?;
            let books = u64::from(bits.u(4)?) + 1;
            bits.skip(8 * books)
        }
        1 => {
            let partitions = bits.u(5)?;
            let mut classes = Vec::new();
            for _ in 0..partitions {
                classes.push(bits.u(4)? as usize);
            }
            let mut dimensions = [0; 16];
            let count = classes.iter().max().map_or(0, |&last| last + 1);
            for dimension in dimensions.iter_mut().take(count) {
                *dimension = u64::from(bits.u(3)?) + 1;
                let subclasses = bits.u(2)?;
                if subclasses > 0 {
                    bits.skip(8)?;
                }
                bits.skip(8 << subclasses)?;
            }
            bits.skip(2)?;
            let range = u64::from(bits.u(4)?);
            let points: u64 = classes
                .iter()
                .filter_map(|&class| dimensions.get(class))
                .sum();
            bits.skip(range * points)
        }
        _ => None,
    }
}

/// Section 8.6.1.
fn residue(bits: &mut Bits) -> Option<()> {
    if bits.u(16)? > 2 {
        return None;
    }
    bits.skip(24 + 24 + 24)?;
    let classes = bits.u(6)? + 1;
    bits.skip(8)?;
    let mut books = 0;
    for _ in 0..classes {
        books += bits.u(3)?.count_ones();
        if bits.flag()? {
            books += bits.u(5)?.count_ones();
        }
    }
    bits.skip(8 * u64::from(books))
}

/// Section 4.2.4, mappings.
fn mapping(bits: &mut Bits, channels: u32) -> Option<()> {
    if bits.u(16)? != 0 {
        return None;
    }
    let submaps = if bits.flag()? { bits.u(4)? + 1 } else { 1 };
    if bits.flag()? {
        let steps = u64::from(bits.u(8)?) + 1;
        bits.skip(steps * 2 * ilog(channels.saturating_sub(1)) as u64)?;
    }
    if bits.u(2)? != 0 {
        return None;
    }
    if submaps > 1 {
        bits.skip(4 * u64::from(channels))?;
    }
    bits.skip(24 * u64::from(submaps))
}

/// The samples of the block that an audio packet codes; `None` for another packet.
pub(crate) fn block(packet: &[u8], blocks: [u32; 2], modes: &[bool]) -> Option<u32> {
    let mut bits = Bits {
        bytes: packet,
        at: 0,
    };
    if bits.flag()? {
        return None;
    }
    let last = u32::try_from(modes.len()).ok()?.checked_sub(1)?;
    let mode = bits.u(ilog(last))?;
    let long = *modes.get(mode as usize)?;
    Some(blocks[usize::from(long)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_lattice_are_the_greatest_root() {
        assert_eq!(lookup1_values(81, 4), Some(3));
        assert_eq!(lookup1_values(80, 4), Some(2));
        assert_eq!(lookup1_values(1 << 24, 1), Some(1 << 24));
        assert_eq!(lookup1_values((1 << 24) - 1, 65_535), Some(1));
        assert_eq!(lookup1_values(0, 3), Some(0));
        assert_eq!(lookup1_values(5, 0), None);
    }

    #[test]
    fn a_packets_first_bits_give_its_block() {
        let modes = [false, true, true];
        let of = |first: u8| block(&[first], [256, 2048], &modes);
        assert_eq!(of(0b000), Some(256));
        assert_eq!(of(0b010), Some(2048));
        assert_eq!(of(0b100), Some(2048));
        assert_eq!(of(0b110), None);
        assert_eq!(of(0b001), None);
        // One mode takes no bits.
        assert_eq!(block(&[0], [256, 2048], &[true]), Some(2048));
        assert_eq!(block(&[], [256, 2048], &[true]), None);
    }
}
