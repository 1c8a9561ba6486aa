//! NAL units (7.3.1), in Annex B ("annexb") and length-prefixed ("hevc") packaging.

use crate::error::MediaError;
use crate::h264;

pub use crate::h264::START_CODE;

/// How a chunk holds its NAL units.
/// <https://www.w3.org/TR/webcodecs-hevc-codec-registration/#videodecoderconfig-description>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packaging {
    /// Start codes (Annex B): the configuration has no `description`.
    AnnexB,
    /// A big-endian length of 1, 2 or 4 bytes before each NAL unit: the `description` is an hvcC.
    Hevc {
        /// Bytes of each length.
        length_size: usize,
    },
}

/// nal_unit_type (Table 7-1): 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NalType(pub u8);

impl NalType {
    /// RADL_N, the first of the leading pictures.
    const RADL_N: Self = Self(6);
    /// RASL_N.
    const RASL_N: Self = Self(8);
    /// RASL_R, the last of the leading pictures.
    const RASL_R: Self = Self(9);
    /// RSV_VCL_R15, the last picture that is no IRAP picture.
    const RSV_VCL_R15: Self = Self(15);
    /// BLA_W_LP, the first of the IRAP pictures.
    pub const BLA_W_LP: Self = Self(16);
    /// BLA_N_LP, the last of the BLA pictures.
    pub const BLA_N_LP: Self = Self(18);
    /// IDR_W_RADL.
    pub const IDR_W_RADL: Self = Self(19);
    /// IDR_N_LP.
    pub const IDR_N_LP: Self = Self(20);
    /// CRA_NUT.
    pub const CRA: Self = Self(21);
    /// RSV_IRAP_VCL23, the last of the IRAP pictures.
    const RSV_IRAP_VCL23: Self = Self(23);
    /// Video parameter set.
    pub const VPS: Self = Self(32);
    /// Sequence parameter set.
    pub const SPS: Self = Self(33);
    /// Picture parameter set.
    pub const PPS: Self = Self(34);
    /// Access unit delimiter.
    pub const AUD: Self = Self(35);
    /// End of sequence.
    pub const EOS: Self = Self(36);
    /// End of bitstream.
    pub const EOB: Self = Self(37);
    /// Supplemental enhancement information that stands before a picture.
    pub const PREFIX_SEI: Self = Self(39);
    /// Supplemental enhancement information that stands after a picture.
    pub const SUFFIX_SEI: Self = Self(40);

    /// Whether it is a slice segment of a picture, reserved types included.
    pub const fn is_vcl(self) -> bool {
        self.0 < 32
    }

    /// Whether it is a slice segment of a type that the standard defines.
    pub const fn is_slice(self) -> bool {
        matches!(self.0, 0..=9 | 16..=21)
    }

    /// Whether it is of an intra random access point picture (IDR, CRA, BLA): decoding can start there.
    pub const fn is_irap(self) -> bool {
        self.0 >= Self::BLA_W_LP.0 && self.0 <= Self::RSV_IRAP_VCL23.0
    }

    /// Whether it is of an instantaneous decoding refresh picture.
    pub const fn is_idr(self) -> bool {
        self.0 == Self::IDR_W_RADL.0 || self.0 == Self::IDR_N_LP.0
    }

    /// Whether it is of a broken link access picture.
    pub const fn is_bla(self) -> bool {
        self.0 >= Self::BLA_W_LP.0 && self.0 <= Self::BLA_N_LP.0
    }

    /// Whether it is of a random access skipped leading picture: not decodable when decoding starts at its IRAP picture.
    pub const fn is_rasl(self) -> bool {
        self.0 == Self::RASL_N.0 || self.0 == Self::RASL_R.0
    }

    /// Whether it is of a leading picture (RADL, RASL): before its IRAP picture in output order.
    pub const fn is_leading(self) -> bool {
        self.0 >= Self::RADL_N.0 && self.0 <= Self::RASL_R.0
    }

    /// Whether it is of an IRAP picture that no leading picture follows.
    pub const fn has_no_leading(self) -> bool {
        self.0 == Self::IDR_N_LP.0 || self.0 == Self::BLA_N_LP.0
    }

    /// Whether it is of a sub-layer non-reference picture: an even type below 16.
    pub const fn is_sub_layer_non_reference(self) -> bool {
        self.0 < Self::RSV_VCL_R15.0 && self.0.is_multiple_of(2)
    }
}

/// One NAL unit within a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Nal<'a> {
    /// Byte offset of the header in the chunk, for messages.
    pub offset: usize,
    /// nal_unit_type.
    pub nal_type: NalType,
    /// nuh_layer_id: 0 in streams of one layer.
    pub layer_id: u8,
    /// TemporalId: nuh_temporal_id_plus1 - 1.
    pub temporal_id: u8,
    /// The NAL unit with its two header bytes, without start code, length and trailing zero bytes.
    pub bytes: &'a [u8],
}

impl<'a> Nal<'a> {
    /// Reads the header of `bytes`, which stand at `offset`.
    ///
    /// # Errors
    /// `InvalidData` when there is no whole header, its forbidden_zero_bit is set, or its temporal id is 0.
    pub fn new(offset: usize, bytes: &'a [u8]) -> Result<Self, MediaError> {
        let [first, second, ..] = *bytes else {
            return Err(MediaError::invalid_data(format!(
                "NAL unit at byte {offset} has {} bytes, expected a header of 2",
                bytes.len()
            )));
        };
        if first & 0x80 != 0 {
            return Err(MediaError::invalid_data(format!(
                "NAL unit at byte {offset}: forbidden_zero_bit is 1"
            )));
        }
        let Some(temporal_id) = (second & 7).checked_sub(1) else {
            return Err(MediaError::invalid_data(format!(
                "NAL unit at byte {offset}: nuh_temporal_id_plus1 is 0"
            )));
        };
        Ok(Self {
            offset,
            nal_type: NalType((first >> 1) & 0x3f),
            layer_id: (first & 1) << 5 | second >> 3,
            temporal_id,
            bytes,
        })
    }

    /// The payload: everything after the header, emulation prevention still in place.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(2..).unwrap_or(&[])
    }
}

/// The NAL units of `chunk`, in order. The iterator ends after the first error.
pub fn nal_units(
    chunk: &[u8],
    packaging: Packaging,
) -> impl Iterator<Item = Result<Nal<'_>, MediaError>> {
    let packaging = match packaging {
        Packaging::AnnexB => h264::Packaging::AnnexB,
        Packaging::Hevc { length_size } => h264::Packaging::Avc { length_size },
    };
    let mut done = false;
    let mut units = h264::unit_bytes(chunk, packaging);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bytes_of_the_header_are_read() {
        let nal = Nal::new(7, &[0x43, 0x0b, 1]).unwrap();
        assert_eq!(nal.nal_type, NalType::SPS);
        assert_eq!((nal.layer_id, nal.temporal_id), (33, 2));
        assert_eq!(nal.payload(), [1]);
        assert!(Nal::new(0, &[0x42]).is_err(), "half a header");
        assert!(Nal::new(0, &[0xc2, 1]).is_err(), "forbidden_zero_bit");
        assert!(Nal::new(0, &[0x42, 0]).is_err(), "no temporal id");
    }

    #[test]
    fn types_are_classed_as_table_7_1_has_them() {
        let of = |test: fn(NalType) -> bool| -> Vec<u8> {
            (0..64).filter(|&t| test(NalType(t))).collect()
        };
        assert_eq!(of(NalType::is_irap), (16..=23).collect::<Vec<_>>());
        assert_eq!(of(NalType::is_idr), [19, 20]);
        assert_eq!(of(NalType::is_bla), [16, 17, 18]);
        assert_eq!(of(NalType::is_rasl), [8, 9]);
        assert_eq!(of(NalType::is_leading), [6, 7, 8, 9]);
        assert_eq!(of(NalType::has_no_leading), [18, 20]);
        assert_eq!(
            of(NalType::is_sub_layer_non_reference),
            [0, 2, 4, 6, 8, 10, 12, 14]
        );
        assert_eq!(of(NalType::is_vcl).len(), 32);
    }

    #[test]
    fn both_packagings_give_the_same_units() {
        let units: [&[u8]; 3] = [&[0x40, 1, 12], &[0x42, 1, 1, 0, 0, 3, 1], &[0x26, 1, 0xaf]];
        let mut annex_b = vec![0];
        for unit in units {
            annex_b.extend_from_slice(&[0, 0, 1]);
            annex_b.extend_from_slice(unit);
        }
        let collect = |chunk: &[u8], packaging| -> Vec<Vec<u8>> {
            nal_units(chunk, packaging)
                .map(|nal| nal.unwrap().bytes.to_vec())
                .collect()
        };
        assert_eq!(collect(&annex_b, Packaging::AnnexB), units);
        for length_size in [1usize, 2, 4] {
            let mut chunk = Vec::new();
            for unit in units {
                let length = (unit.len() as u32).to_be_bytes();
                chunk.extend_from_slice(&length[4 - length_size..]);
                chunk.extend_from_slice(unit);
            }
            assert_eq!(collect(&chunk, Packaging::Hevc { length_size }), units);
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let chunk = [0, 0, 1, 0xc2, 1, 0, 0, 1, 0x40, 1];
        let found: Vec<_> = nal_units(&chunk, Packaging::AnnexB).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].is_err());
    }
}
