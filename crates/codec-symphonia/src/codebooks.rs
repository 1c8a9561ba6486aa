//! What the codebooks of a Vorbis set-up header ask for, before a library makes room for them.
//! <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-510003.2.1>

/// Bits of a header, the least significant of each byte first:
/// <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-360002>.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32; `None` past the end.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u64;
        let first = self.at / 8;
        // 32 bits lie in at most five bytes.
        for index in 0..5 {
            let byte = self.data.get(first + index).copied().unwrap_or(0);
            value |= u64::from(byte) << (8 * index);
        }
        let value = (value >> (self.at % 8)) & ((1 << count) - 1);
        self.skip(u64::from(count))?;
        Some(value as u32)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        let end = (self.at as u64).checked_add(count)?;
        if end > self.data.len() as u64 * 8 {
            return None;
        }
        self.at = usize::try_from(end).ok()?;
        Some(())
    }
}

/// Bytes for each entry: its length, codeword and value, here and in the tree.
const ENTRY_BYTES: u64 = 64;
/// Bytes of one table of a decoding tree, which takes eight bits of a codeword.
const TABLE_BYTES: u64 = 256 * 8 + 128;

/// A codeword of more than 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlong;

/// An upper bound of the bytes that the codebooks of a set-up header take in Symphonia and in lewton; of those up to the
/// first one that is malformed.
///
/// # Errors
/// Where a codeword would have more than 32 bits, for which Symphonia has no room.
pub fn bytes(setup: &[u8]) -> Result<u64, Overlong> {
    let mut total = 0u64;
    let mut overlong = false;
    // After the packet type and "vorbis".
    let mut bits = Bits {
        data: setup,
        at: 7 * 8,
    };
    let Some(count) = bits.read(8) else {
        return Ok(total);
    };
    for _ in 0..=count {
        let whole = codebook(&mut bits, &mut total, &mut overlong);
        if whole.is_none() {
            break;
        }
    }
    if overlong { Err(Overlong) } else { Ok(total) }
}

/// Adds what a codebook takes, as soon as it is known; `None` where it is malformed.
fn codebook(bits: &mut Bits<'_>, total: &mut u64, overlong: &mut bool) -> Option<()> {
    // 1. The sync pattern.
    if bits.read(24)? != 0x56_4342 {
        return None;
    }
    // 2. Dimensions and entries.
    let dimensions = u64::from(bits.read(16)?);
    let entries = bits.read(24)?;
    // 3. The lengths of the codewords.
    *total += u64::from(entries) * ENTRY_BYTES;
    let mut longer = Longer::default();
    if bits.read(1)? == 0 {
        let sparse = bits.read(1)? == 1;
        for _ in 0..entries {
            if !sparse || bits.read(1)? == 1 {
                longer.count(bits.read(5)? + 1, 1);
            }
        }
    } else {
        let mut length = bits.read(5)? + 1;
        let mut left = entries;
        while left > 0 {
            let number = bits.read(32 - left.leading_zeros())?;
            left = left.checked_sub(number)?;
            // Codewords have at most 32 bits.
            if length > 32 && number > 0 {
                *overlong = true;
                return None;
            }
            longer.count(length, number);
            length += 1;
        }
    }
    *total += longer.tables() * TABLE_BYTES;
    // 4. The vectors.
    match bits.read(4)? {
        0 => {}
        kind @ 1..=2 => {
            let values = u64::from(entries) * dimensions;
            // A float for each value, and twice the multiplicands of two bytes as they are gathered.
            *total += values * if kind == 1 { 4 } else { 8 };
            bits.skip(64)?;
            let width = u64::from(bits.read(4)?) + 1;
            bits.skip(1)?;
            bits.skip(
                width
                    * if kind == 1 {
                        lookup1_values(entries, dimensions)
                    } else {
                        values
                    },
            )?;
        }
        _ => return None,
    }
    Some(())
}

/// How many codewords are longer than 8, 16 and 24 bits.
#[derive(Default)]
struct Longer([u64; 3]);

impl Longer {
    fn count(&mut self, length: u32, number: u32) {
        for (longer, least) in self.0.iter_mut().zip([8, 16, 24]) {
            if length > least {
                *longer += u64::from(number);
            }
        }
    }

    /// The most tables that a complete tree of them has: below each of the tables of one level as many as there are
    /// prefixes, and in each at least two codewords.
    fn tables(&self) -> u64 {
        let [second, third, fourth] = self.0.map(|number| number.div_ceil(2));
        1 + second.min(1 << 8) + third.min(1 << 16) + fourth.min(1 << 24)
    }
}

/// The greatest integer whose power of `dimensions` is at most `entries`:
/// <https://xiph.org/vorbis/doc/Vorbis_I_spec.html#x1-1190009.2.3>.
fn lookup1_values(entries: u32, dimensions: u64) -> u64 {
    let entries = u64::from(entries);
    let fits = |value: u64| {
        let mut power = 1u64;
        // A power of 2 or more is past all entries after 24 steps.
        for _ in 0..dimensions.min(25) {
            power = power.saturating_mul(value);
        }
        power <= entries
    };
    let (mut low, mut high) = (0, entries + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use reelcore_conformance::sound;

    use super::*;

    /// Writes bits, the least significant first.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn put(&mut self, value: u64, count: u32) -> &mut Self {
            self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
            self
        }

        fn header(&self) -> Vec<u8> {
            let bytes = self.0.chunks(8).map(|bits| {
                let bits = bits.iter().enumerate();
                bits.fold(0, |byte, (at, &bit)| byte | u8::from(bit) << at)
            });
            b"\x05vorbis".iter().copied().chain(bytes).collect()
        }
    }

    #[test]
    fn bits_are_read_from_the_least_significant_on_and_not_past_the_end() {
        let mut bits = Bits {
            data: &[0b1010_0110, 0xff, 0, 0x80, 1],
            at: 0,
        };
        assert_eq!(bits.read(3), Some(0b110));
        assert_eq!(bits.read(7), Some(0b111_0100));
        assert_eq!(bits.read(0), Some(0));
        assert_eq!(bits.read(29), Some(1 << 28 >> 6 << 6 >> 6 | 0x0060_003f));
        assert_eq!(bits.read(2), None);
        assert_eq!(bits.read(1), Some(0));
        assert_eq!(bits.read(1), None);
    }

    #[test]
    fn the_number_of_lookup_values_is_the_root_rounded_down() {
        for (entries, dimensions, want) in [
            (0, 1, 0),
            (1, 40_000, 1),
            (360, 2, 18),
            (361, 2, 19),
            (6561, 8, 3),
            (6560, 8, 2),
            ((1 << 24) - 1, 1, (1 << 24) - 1),
            ((1 << 24) - 1, 24, 1),
        ] {
            assert_eq!(lookup1_values(entries, dimensions), want, "{entries}");
        }
    }

    #[test]
    fn a_few_bytes_that_ask_for_gigabytes_are_counted_before_anything_is_made() {
        let mut setup = Writer::default();
        setup.put(255, 8);
        for _ in 0..256 {
            // 2^17 entries of 32 dimensions, ordered, all codewords of 17 bits; one multiplicand of one bit.
            setup.put(0x56_4342, 24).put(32, 16).put(1 << 17, 24);
            setup.put(1, 1).put(16, 5).put(1 << 17, 18);
            setup.put(1, 4).put(0, 64).put(0, 4).put(0, 1).put(0, 1);
        }
        let header = setup.header();
        assert!(header.len() < 6000);
        // Floats, entries, and the tables of a tree of 2^17 leaves at the same depth.
        let each = (16 << 20) + (1 << 17) * ENTRY_BYTES + (1 + 256 + 65_536) * TABLE_BYTES;
        assert_eq!(bytes(&header), Ok(256 * each));
        // Half of the header: half of the codebooks.
        let half = bytes(&header[..header.len() / 2]).unwrap();
        assert!(half >= 127 * each && half <= 129 * each, "{half}");
    }

    #[test]
    fn what_an_encoder_writes_is_far_below_the_cap() {
        for (rate, layout, quality) in [
            (8000, "mono", "-1"),
            (44_100, "stereo", "-1"),
            (44_100, "stereo", "4"),
            (48_000, "stereo", "10"),
            (48_000, "5.1", "10"),
            (96_000, "7.1", "10"),
        ] {
            let name = format!("setup-{rate}-{layout}-{quality}.mka");
            let path = sound::clip(&name, rate, layout, &["-c:a", "libvorbis", "-q:a", quality]);
            let description = sound::track(&path).description;
            let setup = description.windows(7).position(|at| at == b"\x05vorbis");
            let bytes = bytes(&description[setup.expect("a set-up header")..]).unwrap();
            assert!(bytes > 100_000 && bytes < 16 << 20, "{name}: {bytes}");
        }
    }

    #[test]
    fn lengths_are_counted_in_each_way_to_write_them() {
        let head = |entries: u64| {
            let mut setup = Writer::default();
            setup
                .put(0, 8)
                .put(0x56_4342, 24)
                .put(1, 16)
                .put(entries, 24);
            setup
        };
        // Dense: one of 8 bits, two of 9, one of 25.
        let mut dense = head(4);
        dense
            .put(0, 2)
            .put(7, 5)
            .put(8, 5)
            .put(8, 5)
            .put(24, 5)
            .put(0, 4);
        let want = 4 * ENTRY_BYTES + (1 + 2 + 1 + 1) * TABLE_BYTES;
        assert_eq!(bytes(&dense.header()), Ok(want));
        // Sparse: the third entry is not used.
        let mut sparse = head(3);
        sparse
            .put(0, 1)
            .put(1, 1)
            .put(1, 1)
            .put(0, 5)
            .put(1, 1)
            .put(16, 5)
            .put(0, 1);
        sparse.put(2, 4).put(0, 64).put(15, 4).put(0, 1).put(0, 48);
        let want = 3 * ENTRY_BYTES + (1 + 1 + 1) * TABLE_BYTES + 3 * 8;
        assert_eq!(bytes(&sparse.header()), Ok(want));
        // Ordered: two of 3 bits, two of 4 bits.
        let mut ordered = head(4);
        ordered.put(1, 1).put(2, 5).put(2, 3).put(2, 2).put(0, 4);
        assert_eq!(bytes(&ordered.header()), Ok(4 * ENTRY_BYTES + TABLE_BYTES));
    }

    #[test]
    fn codewords_of_33_bits_are_refused_before_symphonia_sees_them() {
        // Of two codewords in order, the first has 32 bits; there is none of 33, then one of 34.
        let mut setup = Writer::default();
        setup.put(0, 8).put(0x56_4342, 24).put(1, 16).put(2, 24);
        setup.put(1, 1).put(31, 5).put(1, 2).put(0, 1);
        assert!(bytes(&setup.header()).is_ok());
        setup.put(1, 1);
        assert_eq!(bytes(&setup.header()), Err(Overlong));
    }
}
