//! Bits of a raw byte sequence payload: fixed-length and Exp-Golomb codes (H.264, 7.2 and 9.1).

use crate::error::MediaError;

/// Removes the emulation prevention bytes of `nal` (without its header byte) into `out`, at most
/// `limit` bytes of it (7.3.1).
pub fn unescape_into(nal: &[u8], limit: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut zeros = 0u8;
    for &byte in nal {
        if out.len() >= limit {
            break;
        }
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 {
            zeros.saturating_add(1)
        } else {
            0
        };
        out.push(byte);
    }
}

/// Appends `rbsp`, a payload without its header byte, with emulation prevention: a 3 before each byte of 0 to 3 behind two zeros
/// (7.4.1, and the same in HEVC).
pub fn escape_into(rbsp: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
}

/// Reads bits from the most significant one on. Each read names the syntax element, for the error.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    data: &'a [u8],
    bit: usize,
    structure: &'static str,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `data`, the payload of a `structure` ("SPS").
    pub fn new(data: &'a [u8], structure: &'static str) -> Self {
        Self {
            data,
            bit: 0,
            structure,
        }
    }

    /// The number of bits read so far.
    pub fn position(&self) -> usize {
        self.bit
    }

    /// An [`InvalidData`](crate::ErrorKind::InvalidData) error at the current position.
    pub fn error(&self, what: impl std::fmt::Display) -> MediaError {
        MediaError::invalid_data(format!("{} at bit {}: {what}", self.structure, self.bit))
    }

    fn next_bit(&mut self, element: &str) -> Result<u32, MediaError> {
        let Some(byte) = self.data.get(self.bit / 8) else {
            return Err(self.error(format_args!("ends within {element}")));
        };
        let value = (byte >> (7 - self.bit % 8)) & 1;
        self.bit += 1;
        Ok(u32::from(value))
    }

    /// u(1).
    pub fn flag(&mut self, element: &str) -> Result<bool, MediaError> {
        Ok(self.next_bit(element)? == 1)
    }

    /// u(n), for `n` up to 32.
    pub fn u(&mut self, n: u32, element: &str) -> Result<u32, MediaError> {
        let mut value = 0u32;
        for _ in 0..n {
            value = (value << 1) | self.next_bit(element)?;
        }
        Ok(value)
    }

    /// ue(v): 0 to 2^32 - 2.
    pub fn ue(&mut self, element: &str) -> Result<u32, MediaError> {
        let mut zeros = 0;
        while self.next_bit(element)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return Err(self.error(format_args!("{element} is longer than an Exp-Golomb code")));
            }
        }
        let suffix = self.u(zeros, element)?;
        Ok(((1u32 << zeros) - 1).wrapping_add(suffix))
    }

    /// ue(v) of at most `max`.
    pub fn ue_max(&mut self, max: u32, element: &str) -> Result<u32, MediaError> {
        let value = self.ue(element)?;
        if value > max {
            return Err(self.error(format_args!("{element} is {value}, expected at most {max}")));
        }
        Ok(value)
    }

    /// se(v): -(2^31 - 1) to 2^31 - 1.
    pub fn se(&mut self, element: &str) -> Result<i32, MediaError> {
        let code = self.ue(element)?;
        let magnitude = (code / 2 + code % 2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_have_the_values_of_table_9_2() {
        // 1 010 011 00100 00101 00110
        let data = [0b1010_0110, 0b0100_0010, 0b1001_1000];
        let mut reader = BitReader::new(&data, "test");
        for want in 0..6 {
            assert_eq!(reader.ue("x").unwrap(), want);
        }
        let mut reader = BitReader::new(&data, "test");
        for want in [0, 1, -1, 2, -2, 3] {
            assert_eq!(reader.se("x").unwrap(), want);
        }
    }

    #[test]
    fn reading_past_the_end_and_endless_codes_are_errors_not_panics() {
        let mut reader = BitReader::new(&[0x80], "test");
        assert!(reader.u(9, "x").is_err());
        let zeros = [0u8; 64];
        assert!(BitReader::new(&zeros, "test").ue("x").is_err());
        let largest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(BitReader::new(&largest, "t").ue("x").unwrap(), u32::MAX - 1);
        assert_eq!(BitReader::new(&largest, "t").se("x").unwrap(), -i32::MAX);
    }

    #[test]
    fn zeros_are_kept_apart_from_what_would_look_like_a_start_code() {
        let mut out = Vec::new();
        escape_into(&[0, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 3], &mut out);
        assert_eq!(out, [0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 4, 0, 0, 3, 3]);
        let mut back = Vec::new();
        unescape_into(&out, usize::MAX, &mut back);
        assert_eq!(back, [0, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 3]);
    }

    #[test]
    fn emulation_prevention_is_removed_only_after_two_zeros() {
        let mut out = Vec::new();
        unescape_into(&[1, 0, 0, 3, 1, 0, 3, 0, 0, 3], 100, &mut out);
        assert_eq!(out, [1, 0, 0, 1, 0, 3, 0, 0]);
        unescape_into(&[0, 0, 3, 0, 0, 3, 1], 100, &mut out);
        assert_eq!(out, [0, 0, 0, 0, 1]);
        unescape_into(&[9; 50], 7, &mut out);
        assert_eq!(out.len(), 7);
    }
}
