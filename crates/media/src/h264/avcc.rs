//! AVCDecoderConfigurationRecord: ISO/IEC 14496-15, 5.3.3.1.

use super::{Nal, Sps};
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

    /// The record of a stream with these parameter sets, NAL units with their header byte. What the first SPS says of
    /// profile and level holds for all.
    ///
    /// # Errors
    /// `InvalidData` when there is no SPS, or the first has no profile and level.
    pub fn of_parameter_sets(
        sps: &[&[u8]],
        pps: &[&[u8]],
        length_size: usize,
    ) -> Result<Self, MediaError> {
        let Some(&[_, profile, compatibility, level, ..]) = sps.first() else {
            return Err(MediaError::invalid_data(
                "no SPS with a profile and a level, expected at least one",
            ));
        };
        let owned = |sets: &[&[u8]]| sets.iter().map(|set| set.to_vec()).collect();
        Ok(Self {
            profile: *profile,
            compatibility: *compatibility,
            level: *level,
            length_size,
            sps: owned(sps),
            pps: owned(pps),
        })
    }

    /// The bytes of the record.
    ///
    /// # Errors
    /// `InvalidArgument` for what the record has no room for: more than 31 SPS or 255 PPS, 65,535 bytes in one, a length
    /// size other than 1, 2 and 4; `InvalidData` for a first SPS of a high profile that cannot be read.
    pub fn write(&self) -> Result<Vec<u8>, MediaError> {
        let no_room = |what: &str, found: usize| {
            MediaError::argument(format!("avcC has no room for {what} of {found}"))
        };
        if !matches!(self.length_size, 1 | 2 | 4) {
            return Err(no_room("a length size", self.length_size));
        }
        if self.sps.len() > 31 {
            return Err(no_room("a number of SPS", self.sps.len()));
        }
        let pps =
            u8::try_from(self.pps.len()).map_err(|_| no_room("a number of PPS", self.pps.len()))?;
        let mut out = vec![1, self.profile, self.compatibility, self.level];
        out.push(0xfc | (self.length_size - 1) as u8);
        out.push(0xe0 | self.sps.len() as u8);
        let put = |out: &mut Vec<u8>, set: &[u8]| {
            let length = u16::try_from(set.len()).map_err(|_| no_room("a set", set.len()))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(set);
            Ok::<(), MediaError>(())
        };
        self.sps.iter().try_for_each(|set| put(&mut out, set))?;
        out.push(pps);
        self.pps.iter().try_for_each(|set| put(&mut out, set))?;
        // ISO/IEC 14496-15, 5.3.3.1.2: the high profiles repeat what the SPS says of samples.
        if matches!(self.profile, 100 | 110 | 122 | 144 | 244)
            && let Some(first) = self.sps.first()
        {
            let sps = Sps::parse(&Nal::new(0, first)?)?;
            out.push(0xfc | (sps.chroma_format & 3) as u8);
            out.extend(
                sps.bit_depth
                    .map(|bits| 0xf8 | (bits.saturating_sub(8) & 7) as u8),
            );
            // No SPS extensions.
            out.push(0);
        }
        Ok(out)
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

    #[test]
    fn a_record_that_is_written_is_read_back() {
        // Baseline, 320x180, from OpenH264; the same with profile_idc of High lacks what High has.
        let sps: &[u8] = &[0x67, 66, 0xc0, 12, 0x8c, 0x8d, 0x40, 0xa0, 0xcb, 0x40];
        let pps: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
        let record = AvcC::of_parameter_sets(&[sps], &[pps, pps], 4).unwrap();
        assert_eq!(AvcC::parse(&record.write().unwrap()).unwrap(), record);
        assert_eq!(
            (record.profile, record.compatibility, record.level),
            (66, 0xc0, 12)
        );
        assert!(AvcC::of_parameter_sets(&[], &[pps], 4).is_err());
        let long = vec![0x68; 70_000];
        let record = AvcC::of_parameter_sets(&[sps], &[&long], 4).unwrap();
        assert!(record.write().is_err());
        let record = AvcC::of_parameter_sets(&[sps], &[pps], 3).unwrap();
        assert!(record.write().is_err());
    }
}
