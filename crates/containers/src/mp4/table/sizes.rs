//! Sample sizes: `stsz` and `stz2`.

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use crate::mp4::parse::{Reader, u32_at};

/// One prefix sum for this many samples.
const EVERY: u64 = 256;

/// The size of each sample, as the file holds them, with sparse prefix sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// Bits of an entry: 4, 8, 16, 32; 0 where all are of `constant` bytes.
    bits: u8,
    constant: u32,
    count: u32,
    entries: Bytes,
    prefix: Vec<u64>,
    /// Whether any sample has no bytes.
    has_empty: bool,
}

impl Sizes {
    /// All samples of one size.
    pub(crate) fn constant(size: u32, count: u32) -> Self {
        Self {
            constant: size,
            count,
            ..Self::default()
        }
    }

    /// Parses a `stsz` box after its version and flags.
    pub(crate) fn parse_stsz(reader: &mut Reader) -> Result<Self, DemuxError> {
        let constant = reader.u32()?;
        let count = reader.u32()?;
        if constant != 0 {
            return Ok(Self::constant(constant, count));
        }
        let entries = reader.table(count, 4)?;
        Ok(Self::with_entries(32, count, entries))
    }

    /// Parses a `stz2` box after its version and flags.
    pub(crate) fn parse_stz2(reader: &mut Reader) -> Result<Self, DemuxError> {
        reader.skip(3)?;
        let bits = reader.u8()?;
        let count = reader.u32()?;
        let entries = match bits {
            4 => reader.table(count.div_ceil(2), 1)?,
            8 => reader.table(count, 1)?,
            16 => reader.table(count, 2)?,
            _ => {
                return Err(reader.error(format_args!(
                    "expected sizes of 4, 8 or 16 bits, found {bits}"
                )));
            }
        };
        Ok(Self::with_entries(bits, count, entries))
    }

    fn with_entries(bits: u8, count: u32, entries: Bytes) -> Self {
        let mut this = Self {
            bits,
            count,
            entries,
            ..Self::default()
        };
        let mut sum = 0_u64;
        for sample in 0..u64::from(count) {
            if sample % EVERY == 0 {
                this.prefix.push(sum);
            }
            let size = this.size(sample);
            this.has_empty |= size == 0;
            // At most 2^32 entries of 32 bits: cannot overflow.
            sum += u64::from(size);
        }
        this
    }

    /// The number of samples.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The size of all samples, where they are all of one size.
    pub(crate) fn all(&self) -> Option<u32> {
        (self.bits == 0).then_some(self.constant)
    }

    /// How many of the first `samples` have any bytes.
    pub(crate) fn filled(&self, samples: u64) -> u64 {
        if !self.has_empty {
            return samples;
        }
        let filled = (0..samples).filter(|&sample| self.size(sample) > 0);
        filled.count() as u64
    }

    /// How many of the first `samples` there are up to the last one that has any bytes.
    pub(crate) fn filled_end(&self, samples: u64) -> u64 {
        let mut from_end = (0..samples).rev();
        let last = from_end.find(|&sample| self.size(sample) > 0);
        last.map_or(0, |last| last + 1)
    }

    /// The size of a sample in bytes; 0 past the end.
    pub(crate) fn size(&self, sample: u64) -> u32 {
        let at = usize::try_from(sample).unwrap_or(usize::MAX);
        let byte = |at: usize| self.entries.get(at).copied().unwrap_or(0);
        match self.bits {
            0 => self.constant,
            4 if at % 2 == 0 => u32::from(byte(at / 2) >> 4),
            4 => u32::from(byte(at / 2) & 15),
            8 => u32::from(byte(at)),
            16 => {
                let at = at.saturating_mul(2);
                u32::from(byte(at)) << 8 | u32::from(byte(at.saturating_add(1)))
            }
            _ => u32_at(&self.entries, at.saturating_mul(4)),
        }
    }

    /// The sum of the sizes of the samples before `sample`.
    fn before(&self, sample: u64) -> u64 {
        if self.bits == 0 {
            return sample.saturating_mul(u64::from(self.constant));
        }
        let sample = sample.min(u64::from(self.count));
        let block = sample / EVERY;
        let start = usize::try_from(block)
            .ok()
            .and_then(|block| self.prefix.get(block))
            .copied()
            .unwrap_or(0);
        (block * EVERY..sample).fold(start, |sum, i| sum + u64::from(self.size(i)))
    }

    /// The sum of the sizes of the samples from `first` up to but not including `end`.
    pub(crate) fn sum(&self, first: u64, end: u64) -> u64 {
        // Near ones, the usual case inside a chunk, are added up directly.
        if self.bits != 0 && end.saturating_sub(first) <= EVERY {
            return (first..end).fold(0, |sum, i| sum + u64::from(self.size(i)));
        }
        self.before(end).saturating_sub(self.before(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::parse::FourCc;

    fn parse(kind: &[u8; 4], bytes: Vec<u8>) -> Result<Sizes, DemuxError> {
        let mut reader = Reader::new(FourCc(*kind), bytes.into(), 0);
        match kind {
            b"stsz" => Sizes::parse_stsz(&mut reader),
            _ => Sizes::parse_stz2(&mut reader),
        }
    }

    #[test]
    fn sums_over_any_range_are_those_of_adding_up() {
        let all: Vec<u32> = (0..1500_u32).map(|i| i * 7919 % 5000).collect();
        let mut bytes = vec![0; 4];
        bytes.extend(1500_u32.to_be_bytes());
        bytes.extend(all.iter().flat_map(|size| size.to_be_bytes()));
        let sizes = parse(b"stsz", bytes).expect("valid");
        for (first, end) in [
            (0, 0),
            (0, 1500),
            (3, 255),
            (3, 300),
            (255, 1024),
            (700, 1499),
        ] {
            let want: u64 = all[first..end].iter().map(|&s| u64::from(s)).sum();
            assert_eq!(sizes.sum(first as u64, end as u64), want, "{first}..{end}");
        }
    }

    #[test]
    fn compact_sizes_of_4_8_and_16_bits_read_as_written() {
        for (bits, body, want) in [
            (4_u8, vec![0x12, 0x30], [1, 2, 3]),
            (8, vec![9, 8, 7], [9, 8, 7]),
            (16, vec![1, 0, 2, 1, 0, 3], [256, 513, 3]),
        ] {
            let mut bytes = vec![0, 0, 0, bits, 0, 0, 0, 3];
            bytes.extend(body);
            let sizes = parse(b"stz2", bytes).expect("valid");
            assert_eq!([0, 1, 2].map(|i| sizes.size(i)), want);
        }
        assert!(parse(b"stz2", vec![0, 0, 0, 5, 0, 0, 0, 1, 0]).is_err());
    }

    #[test]
    fn a_count_that_the_box_cannot_hold_is_refused() {
        assert!(parse(b"stsz", vec![0, 0, 0, 0, 255, 255, 255, 255, 0]).is_err());
        assert!(parse(b"stz2", vec![0, 0, 0, 4, 0, 0, 0, 3, 0]).is_err());
    }
}
