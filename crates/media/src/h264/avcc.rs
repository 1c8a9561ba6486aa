//! AVCDecoderConfigurationRecord: ISO/IEC 14496-15, 5.3.3.1.

use crate::error::MediaError;

/// The `description` of an H.264 configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcC {
    /// AVCProfileIndication: profile_idc.
    pub profile: u8,
    /// profile_compatibility: the constraint_set flags.
    pub compatibility: u8,
    /// AVCLevelIndication: level_idc.
    pub level: u8,
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub length_size: usize,
    /// Sequence parameter sets: NAL units with their header byte.
    pub sps: Vec<Vec<u8>>,
    /// Picture parameter sets: NAL units with their header byte.
    pub pps: Vec<Vec<u8>>,
}

impl AvcC {
    /// Reads a record. What follows the parameter sets (chroma format, SPS extensions) repeats what
    /// the parameter sets say and is passed over.
    ///
    /// # Errors
    /// `InvalidData` with the byte offset.
    pub fn parse(data: &[u8]) -> Result<Self, MediaError> {
        let byte = |at: usize| {
            data.get(at).copied().ok_or_else(|| {
                MediaError::invalid_data(format!(
                    "avcC ends at byte {}, expected a byte at {at}",
                    data.len()
                ))
            })
        };
        let version = byte(0)?;
        if version != 1 {
            return Err(MediaError::invalid_data(format!(
                "avcC at byte 0: configurationVersion is {version}, expected 1"
            )));
        }
        let length_size = usize::from(byte(4)? & 3) + 1;
        if length_size == 3 {
            return Err(MediaError::invalid_data(
                "avcC at byte 4: NAL unit lengths of 3 bytes, expected 1, 2 or 4",
            ));
        }
        let mut at = 5;
        let sets = |count: usize, at: &mut usize| {
            let mut found = Vec::with_capacity(count);
            for _ in 0..count {
                let length = usize::from(byte(*at)?) << 8 | usize::from(byte(*at + 1)?);
                let set = data.get(*at + 2..).and_then(|rest| rest.get(..length));
                let Some(set) = set else {
                    return Err(MediaError::invalid_data(format!(
                        "avcC at byte {at}: a parameter set of {length} bytes, {} are left",
                        data.len().saturating_sub(*at + 2)
                    )));
                };
                found.push(set.to_vec());
                *at += 2 + length;
            }
            Ok(found)
        };
        let sps_count = usize::from(byte(at)? & 0x1f);
        at += 1;
        let sps = sets(sps_count, &mut at)?;
        let pps_count = usize::from(byte(at)?);
        at += 1;
        let pps = sets(pps_count, &mut at)?;
        Ok(Self {
            profile: byte(1)?,
            compatibility: byte(2)?,
            level: byte(3)?,
            length_size,
            sps,
            pps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [u8; 19] = [
        1, 100, 0, 11, 0xff, 0xe1, 0, 4, 0x67, 100, 0, 11, 2, 0, 1, 0x68, 0, 1, 0x68,
    ];

    #[test]
    fn parameter_sets_and_length_size_are_read() {
        let avcc = AvcC::parse(&RECORD).unwrap();
        assert_eq!(avcc.length_size, 4);
        assert_eq!((avcc.profile, avcc.level), (100, 11));
        assert_eq!(avcc.sps, [vec![0x67, 100, 0, 11]]);
        assert_eq!(avcc.pps, [vec![0x68], vec![0x68]]);
    }

    #[test]
    fn every_truncation_and_a_length_of_three_are_errors() {
        for end in 0..RECORD.len() {
            assert!(AvcC::parse(&RECORD[..end]).is_err(), "{end} bytes");
        }
        let mut record = RECORD;
        record[4] = 0xfe;
        assert!(AvcC::parse(&record).is_err());
        record[4] = 0xff;
        record[0] = 0;
        assert!(AvcC::parse(&record).is_err());
    }
}
