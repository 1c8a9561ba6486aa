//! NAL units, in Annex B ("annexb") and length-prefixed ("avc") packaging.

use crate::error::MediaError;

/// The start code that is written before each NAL unit in Annex B.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// How a chunk holds its NAL units.
/// <https://www.w3.org/TR/webcodecs-avc-codec-registration/#videodecoderconfig-description>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packaging {
    /// Start codes (H.264 Annex B): the configuration has no `description`.
    AnnexB,
    /// A big-endian length of 1, 2 or 4 bytes before each NAL unit: the `description` is an avcC.
    Avc {
        /// Bytes of each length.
        length_size: usize,
    },
}

/// nal_unit_type (Table 7-1), as far as a decoder of base-profile pictures tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// 1: a slice of a picture that is not IDR.
    Slice,
    /// 2 to 4: a data partition (Extended profile).
    Partition,
    /// 5: a slice of an IDR picture.
    IdrSlice,
    /// 6: supplemental enhancement information.
    Sei,
    /// 7: sequence parameter set.
    Sps,
    /// 8: picture parameter set.
    Pps,
    /// 9: access unit delimiter.
    Aud,
    /// Any other: extensions (SVC, MVC, auxiliary pictures), padding, end marks, unspecified.
    Other(u8),
}

/// One NAL unit within a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Nal<'a> {
    /// Byte offset of the header in the chunk, for messages.
    pub offset: usize,
    /// nal_unit_type.
    pub kind: NalKind,
    /// nal_ref_idc: 0 for what no other picture refers to.
    pub ref_idc: u8,
    /// The NAL unit with its header byte, without start code, length and trailing zero bytes.
    pub bytes: &'a [u8],
}

impl<'a> Nal<'a> {
    /// Reads the header of `bytes`, which stand at `offset`.
    ///
    /// # Errors
    /// `InvalidData` when there is no header or its forbidden_zero_bit is set.
    pub fn new(offset: usize, bytes: &'a [u8]) -> Result<Self, MediaError> {
        let Some(&header) = bytes.first() else {
            return Err(MediaError::invalid_data(format!(
                "NAL unit at byte {offset} is empty, expected a header"
            )));
        };
        if header & 0x80 != 0 {
            return Err(MediaError::invalid_data(format!(
                "NAL unit at byte {offset}: forbidden_zero_bit is 1"
            )));
        }
        let kind = match header & 0x1f {
            1 => NalKind::Slice,
            2..=4 => NalKind::Partition,
            5 => NalKind::IdrSlice,
            6 => NalKind::Sei,
            7 => NalKind::Sps,
            8 => NalKind::Pps,
            9 => NalKind::Aud,
            other => NalKind::Other(other),
        };
        Ok(Self {
            offset,
            kind,
            ref_idc: (header >> 5) & 3,
            bytes,
        })
    }

    /// The payload: everything after the header byte, emulation prevention still in place.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(1..).unwrap_or(&[])
    }
}

/// The NAL units of `chunk`, in order. The iterator ends after the first error.
pub fn nal_units(
    chunk: &[u8],
    packaging: Packaging,
) -> impl Iterator<Item = Result<Nal<'_>, MediaError>> {
    let mut units = unit_bytes(chunk, packaging);
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let nal = units
            .next()?
            .and_then(|(offset, bytes)| Nal::new(offset, bytes));
        done = nal.is_err();
        Some(nal)
    })
}

/// A NAL unit whose header was not read, with its byte offset.
type UnitBytes<'a> = Result<(usize, &'a [u8]), MediaError>;

/// The NAL units of `chunk` without a look at their headers, which HEVC has others of; empty ones only in Annex B. The
/// iterator ends after the first error.
pub(crate) fn unit_bytes(
    chunk: &[u8],
    packaging: Packaging,
) -> impl Iterator<Item = UnitBytes<'_>> {
    let mut iter = NalUnits {
        chunk,
        packaging,
        position: 0,
        done: false,
    };
    std::iter::from_fn(move || {
        let item = iter.step();
        if !matches!(item, Some(Ok(_))) {
            iter.done = true;
        }
        item
    })
}

struct NalUnits<'a> {
    chunk: &'a [u8],
    packaging: Packaging,
    position: usize,
    done: bool,
}

impl<'a> NalUnits<'a> {
    fn step(&mut self) -> Option<UnitBytes<'a>> {
        if self.done {
            return None;
        }
        match self.packaging {
            Packaging::AnnexB => self.step_annex_b(),
            Packaging::Avc { length_size } => self.step_avc(length_size),
        }
    }

    fn step_annex_b(&mut self) -> Option<UnitBytes<'a>> {
        let rest = self.chunk.get(self.position..).unwrap_or(&[]);
        let Some(start) = find_start_code(rest) else {
            // Only the first NAL unit can be without: later ones end where the next code starts.
            return (self.position == 0).then(|| {
                Err(MediaError::invalid_data(format!(
                    "no Annex B start code in {} bytes",
                    self.chunk.len()
                )))
            });
        };
        let lead = rest.get(..start).unwrap_or(&[]);
        if let Some(index) = lead.iter().position(|&byte| byte != 0) {
            return Some(Err(MediaError::invalid_data(format!(
                "byte {} before the first start code is {:#04x}, expected 0",
                self.position + index,
                lead[index]
            ))));
        }
        let begin = start + 3;
        let after = rest.get(begin..).unwrap_or(&[]);
        let end = find_start_code(after).unwrap_or(after.len());
        let bytes = after.get(..end).unwrap_or(&[]);
        let offset = self.position + begin;
        self.position = offset + end;
        // trailing_zero_8bits, and the zero_byte of the next start code.
        let used = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |i| i + 1);
        Some(Ok((offset, bytes.get(..used).unwrap_or(&[]))))
    }

    fn step_avc(&mut self, length_size: usize) -> Option<UnitBytes<'a>> {
        loop {
            let rest = self.chunk.get(self.position..).unwrap_or(&[]);
            if rest.is_empty() {
                return None;
            }
            let Some(prefix) = rest.get(..length_size) else {
                return Some(Err(MediaError::invalid_data(format!(
                    "{} bytes left at byte {}, expected a NAL unit length of {length_size} bytes",
                    rest.len(),
                    self.position
                ))));
            };
            let length = prefix.iter().fold(0usize, |n, &b| n << 8 | usize::from(b));
            let offset = self.position + length_size;
            let Some(bytes) = rest.get(length_size..).and_then(|r| r.get(..length)) else {
                return Some(Err(MediaError::invalid_data(format!(
                    "NAL unit at byte {offset} is {length} bytes long, {} are left",
                    rest.len() - length_size
                ))));
            };
            self.position = offset + length;
            // Some muxers pad with empty NAL units.
            if !bytes.is_empty() {
                return Some(Ok((offset, bytes)));
            }
        }
    }
}

/// The index of the first `00 00 01`.
fn find_start_code(data: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&last) = data.get(at) {
        // A byte above 1 cannot be part of a start code, so three positions can be passed over.
        if last > 1 {
            at += 3;
        } else if last == 1 && data[at - 1] == 0 && data[at - 2] == 0 {
            return Some(at - 2);
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(chunk: &[u8], packaging: Packaging) -> Result<Vec<(usize, Vec<u8>)>, MediaError> {
        nal_units(chunk, packaging)
            .map(|nal| nal.map(|n| (n.offset, n.bytes.to_vec())))
            .collect()
    }

    #[test]
    fn annex_b_units_are_found_with_both_start_codes_and_padding() {
        let chunk = [
            0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0,
        ];
        assert_eq!(
            collect(&chunk, Packaging::AnnexB).unwrap(),
            [
                (4, vec![0x67, 1]),
                (11, vec![0x68, 2]),
                (16, vec![0x65, 0, 0, 3, 1]),
            ]
        );
    }

    #[test]
    fn annex_b_garbage_is_an_error() {
        for chunk in [
            &[][..],
            &[1, 2, 3],
            &[9, 0, 0, 1, 0x65],
            &[0, 0, 1],
            &[0, 0, 1, 0xff],
            &[0, 0, 1, 0x65, 0, 0, 1],
        ] {
            assert!(collect(chunk, Packaging::AnnexB).is_err(), "{chunk:?}");
        }
    }

    #[test]
    fn lengths_of_every_size_are_read_and_checked() {
        for length_size in [1usize, 2, 4] {
            let packaging = Packaging::Avc { length_size };
            let mut chunk = Vec::new();
            for nal in [&[0x65u8, 1, 2][..], &[], &[0x06, 9]] {
                let length = (nal.len() as u32).to_be_bytes();
                chunk.extend_from_slice(&length[4 - length_size..]);
                chunk.extend_from_slice(nal);
            }
            let found = collect(&chunk, packaging).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0], (length_size, vec![0x65, 1, 2]));
            chunk.pop();
            assert!(collect(&chunk, packaging).is_err(), "truncated");
        }
        let huge = [0xff, 0xff, 0xff, 0xff, 0x65];
        assert!(collect(&huge, Packaging::Avc { length_size: 4 }).is_err());
    }
}
