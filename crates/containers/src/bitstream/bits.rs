//! Bits, most significant first.

/// Reads bits; `None` past the end, and for ever after.
#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A number of `count` bits, at most 32.
    pub(crate) fn u(&mut self, count: usize) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        self.u(1).map(|bit| bit == 1)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len().checked_mul(8)?).then_some(())
    }

    /// Bytes that were read, the last perhaps in part.
    pub(crate) fn bytes(&self) -> usize {
        self.at.div_ceil(8)
    }

    /// An unsigned Exp-Golomb code: ue(v) of H.264 and HEVC, and uvlc() of AV1.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.u(zeros)?;
        ((1_u32 << zeros) - 1).checked_add(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_across_bytes_and_not_past_the_end() {
        // 1, 010, 011, 00100, 0000
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0000]);
        let codes: Vec<_> = (0..4).map(|_| bits.ue()).collect();
        assert_eq!(codes, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!((bits.u(4), bits.u(1)), (Some(0), None));
        assert_eq!(Bits::new(&[0; 5]).ue(), None);
        assert_eq!(Bits::new(&[0]).skip(9), None);
    }
}
