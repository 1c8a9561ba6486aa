//! HEVCDecoderConfigurationRecord: ISO/IEC 14496-15, 8.3.3.1.

use super::nal::{Nal, NalType};
use super::profile::ProfileTierLevel;
use super::sps::Sps;
use crate::error::MediaError;

/// Bytes before the arrays.
const HEAD: usize = 23;

/// NAL units of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NalArray {
    /// array_completeness: the stream holds no other units of this type.
    pub complete: bool,
    /// NAL_unit_type.
    pub nal_type: NalType,
    /// NAL units with their header.
    pub units: Vec<Vec<u8>>,
}

/// The `description` of an HEVC configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HvcC {
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// min_spatial_segmentation_idc: 0 to 4095.
    pub min_spatial_segmentation: u16,
    /// parallelismType: 0 for unknown, 1 slices, 2 tiles, 3 wavefronts.
    pub parallelism: u8,
    /// chroma_format_idc.
    pub chroma_format: u8,
    /// Bits of luma and of chroma samples: 8 to 15.
    pub bit_depth: [u8; 2],
    /// avgFrameRate: frames in 256 seconds, 0 for unknown.
    pub average_frame_rate: u16,
    /// constantFrameRate: 0 to 3.
    pub constant_frame_rate: u8,
    /// numTemporalLayers: 0 for unknown.
    pub temporal_layers: u8,
    /// temporalIdNested.
    pub temporal_id_nested: bool,
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub length_size: usize,
    /// Parameter sets, and SEI messages that hold for the whole stream.
    pub arrays: Vec<NalArray>,
}

impl HvcC {
    /// Reads a record.
    ///
    /// # Errors
    /// `InvalidData` with the byte offset.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let byte = |at: usize| {
            data.get(at).copied().ok_or_else(|| {
                MediaError::invalid_data(format!(
                    "hvcC ends at byte {}, expected a byte at {at}",
                    data.len()
                ))
            })
        };
        let u16_at =
            |at: usize| Ok::<_, MediaError>(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
        let version = byte(0)?;
        if version != 1 {
            return Err(MediaError::invalid_data(format!(
                "hvcC at byte 0: configurationVersion is {version}, expected 1"
            )));
        }
        let general = byte(1)?;
        let mut constraints = [0; 6];
        for (index, constraint) in constraints.iter_mut().enumerate() {
            *constraint = byte(6 + index)?;
        }
        let profile = ProfileTierLevel {
            profile_space: general >> 6,
            high_tier: general & 0x20 != 0,
            profile: general & 0x1f,
            compatibility: u32::from_be_bytes([byte(2)?, byte(3)?, byte(4)?, byte(5)?]),
            constraints,
            level: byte(12)?,
        };
        let layers = byte(21)?;
        let length_size = usize::from(layers & 3) + 1;
        if length_size == 3 {
            return Err(MediaError::invalid_data(
                "hvcC at byte 21: NAL unit lengths of 3 bytes, expected 1, 2 or 4",
            ));
        }
        let count = byte(22)?;
        let mut arrays = Vec::new();
        let mut at = HEAD;
        for _ in 0..count {
            let kind = byte(at)?;
            let units = u16_at(at + 1)?;
            at += 3;
            let mut array = NalArray {
                complete: kind & 0x80 != 0,
                nal_type: NalType(kind & 0x3f),
                units: Vec::new(),
            };
            for _ in 0..units {
                let length = usize::from(u16_at(at)?);
                let unit = data.get(at + 2..).and_then(|rest| rest.get(..length));
                let Some(unit) = unit else {
                    return Err(MediaError::invalid_data(format!(
                        "hvcC at byte {at}: a NAL unit of {length} bytes, {} are left",
                        data.len().saturating_sub(at + 2)
                    )));
                };
                array.units.push(unit.to_vec());
                at += 2 + length;
            }
            arrays.push(array);
        }
        Ok(Self {
            profile,
            min_spatial_segmentation: u16_at(13)? & 0xfff,
            parallelism: byte(15)? & 3,
            chroma_format: byte(16)? & 3,
            bit_depth: [8 + (byte(17)? & 7), 8 + (byte(18)? & 7)],
            average_frame_rate: u16_at(19)?,
            constant_frame_rate: layers >> 6,
            temporal_layers: (layers >> 3) & 7,
            temporal_id_nested: layers & 4 != 0,
            length_size,
            arrays,
        })
    }

    /// The record of a stream with these parameter sets, NAL units with their header; `complete` says that the stream
    /// itself holds no others (`hvc1`).
    ///
    /// # Errors
    /// `InvalidData` when a unit is not what it stands for, or there is no SPS.
    pub fn of_parameter_sets(
        vps: &[&[u8]],
        sps: &[&[u8]],
        pps: &[&[u8]],
        length_size: usize,
        complete: bool,
    ) -> Result<Self, MediaError> {
        let mut arrays = Vec::new();
        let sets = [
            (NalType::VPS, vps),
            (NalType::SPS, sps),
            (NalType::PPS, pps),
        ];
        for (nal_type, units) in sets {
            for unit in units {
                let found = Nal::new(0, unit)?.nal_type;
                if found != nal_type {
                    return Err(MediaError::invalid_data(format!(
                        "a NAL unit of type {} among those of type {}",
                        found.0, nal_type.0
                    )));
                }
            }
            if !units.is_empty() {
                arrays.push(NalArray {
                    complete,
                    nal_type,
                    units: units.iter().map(|unit| unit.to_vec()).collect(),
                });
            }
        }
        let Some(first) = sps.first() else {
            return Err(MediaError::invalid_data("no SPS, expected at least one"));
        };
        let sps = Sps::parse(&Nal::new(0, first)?)?;
        Ok(Self {
            profile: sps.profile,
            min_spatial_segmentation: sps.vui.min_spatial_segmentation,
            parallelism: 0,
            chroma_format: sps.chroma_format as u8,
            // Three bits: 8 to 15.
            bit_depth: sps.bit_depth.map(|bits| bits.min(15) as u8),
            average_frame_rate: 0,
            constant_frame_rate: 0,
            temporal_layers: sps.max_sub_layers,
            temporal_id_nested: sps.temporal_id_nesting,
            length_size,
            arrays,
        })
    }

    /// The bytes of the record.
    ///
    /// # Errors
    /// `InvalidArgument` for what the record has no room for: more than 255 arrays, 65,535 units in one or bytes in
    /// a unit, a length size other than 1, 2 and 4, a bit depth outside 8 to 15.
    pub fn write(&self) -> Result<Vec<u8>, MediaError> {
        let too_large = |what: &str, found: usize| {
            MediaError::argument(format!("hvcC has no room for {what} of {found}"))
        };
        let profile = &self.profile;
        let mut out = vec![1];
        out.push(
            profile.profile_space << 6 | u8::from(profile.high_tier) << 5 | profile.profile & 0x1f,
        );
        out.extend_from_slice(&profile.compatibility.to_be_bytes());
        out.extend_from_slice(&profile.constraints);
        out.push(profile.level);
        // Reserved bits are 1.
        out.extend_from_slice(&(0xf000 | self.min_spatial_segmentation & 0xfff).to_be_bytes());
        out.push(0xfc | self.parallelism & 3);
        out.push(0xfc | self.chroma_format & 3);
        for bits in self.bit_depth {
            if !(8..=15).contains(&bits) {
                return Err(too_large("a bit depth", usize::from(bits)));
            }
            out.push(0xf8 | (bits - 8));
        }
        out.extend_from_slice(&self.average_frame_rate.to_be_bytes());
        if !matches!(self.length_size, 1 | 2 | 4) {
            return Err(too_large("a length size", self.length_size));
        }
        out.push(
            self.constant_frame_rate << 6
                | (self.temporal_layers & 7) << 3
                | u8::from(self.temporal_id_nested) << 2
                | (self.length_size as u8 - 1),
        );
        let count = self.arrays.len();
        out.push(u8::try_from(count).map_err(|_| too_large("a number of arrays", count))?);
        for array in &self.arrays {
            out.push(u8::from(array.complete) << 7 | array.nal_type.0 & 0x3f);
            let count = array.units.len();
            let count16 = u16::try_from(count).map_err(|_| too_large("an array", count))?;
            out.extend_from_slice(&count16.to_be_bytes());
            for unit in &array.units {
                let length =
                    u16::try_from(unit.len()).map_err(|_| too_large("a NAL unit", unit.len()))?;
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(unit);
            }
        }
        Ok(out)
    }

    /// The NAL units of `nal_type`, with their header.
    pub fn units(&self, nal_type: NalType) -> impl Iterator<Item = &[u8]> {
        self.arrays
            .iter()
            .filter(move |array| array.nal_type == nal_type)
            .flat_map(|array| array.units.iter().map(Vec::as_slice))
    }
}
