//! Access units of an Annex B stream (7.4.2.4.4), for sources that come without packets.

use std::ops::Range;

use super::nal::{Nal, NalType, Packaging, nal_units};
use crate::error::MediaError;

/// Finds where access units begin, NAL unit by NAL unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessUnitStarts {
    /// A slice segment of the current access unit was seen.
    has_picture: bool,
}

impl AccessUnitStarts {
    /// Whether `nal`, the next one of the stream, is the first of an access unit. The first of the stream always is.
    pub fn starts(&mut self, nal: &Nal<'_>) -> bool {
        // 7.4.2.4.4: only the base layer delimits.
        if nal.layer_id != 0 {
            return false;
        }
        // first_slice_segment_in_pic_flag is the first bit of the payload.
        let first_slice = nal.payload().first().is_some_and(|byte| byte & 0x80 != 0);
        let begins = match nal.nal_type {
            NalType::VPS
            | NalType::SPS
            | NalType::PPS
            | NalType::AUD
            | NalType::PREFIX_SEI
            | NalType(41..=44 | 48..=55) => true,
            other => other.is_vcl() && first_slice,
        };
        let starts = self.has_picture && begins;
        if starts {
            self.has_picture = false;
        }
        self.has_picture |= nal.nal_type.is_vcl();
        starts
    }
}

/// One access unit: a chunk of WebCodecs' "annexb" form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Its bytes in the stream, start codes included.
    pub range: Range<usize>,
    /// Its picture is an IRAP picture: a key chunk.
    pub irap: bool,
}

/// The access units of `stream`.
///
/// # Errors
/// `InvalidData` for what is no Annex B stream.
pub fn access_units(stream: &[u8]) -> Result<Vec<AccessUnit>, MediaError> {
    let mut units: Vec<AccessUnit> = Vec::new();
    let mut starts = AccessUnitStarts::default();
    let mut begin = 0;
    let mut irap = None;
    for nal in nal_units(stream, Packaging::AnnexB) {
        let nal = nal?;
        if starts.starts(&nal) {
            let end = start_of(stream, &nal);
            units.push(AccessUnit {
                range: begin..end,
                irap: irap.take().unwrap_or(false),
            });
            begin = end;
        }
        if nal.nal_type.is_vcl() && nal.layer_id == 0 {
            irap.get_or_insert(nal.nal_type.is_irap());
        }
    }
    units.push(AccessUnit {
        range: begin..stream.len(),
        irap: irap.unwrap_or(false),
    });
    Ok(units)
}

/// Whether the picture of `chunk` is an IRAP picture (IDR, CRA, BLA), where decoding can start; `None` without a
/// picture.
///
/// # Errors
/// `InvalidData` for what `packaging` does not permit, as far as it is read.
pub fn starts_with_irap(chunk: &[u8], packaging: Packaging) -> Result<Option<bool>, MediaError> {
    for nal in nal_units(chunk, packaging) {
        let nal = nal?;
        if nal.nal_type.is_vcl() && nal.layer_id == 0 {
            return Ok(Some(nal.nal_type.is_irap()));
        }
    }
    Ok(None)
}

/// Where the start code of `nal` begins, its zero_byte included.
fn start_of(stream: &[u8], nal: &Nal<'_>) -> usize {
    let code = nal.offset.saturating_sub(3);
    if code > 0 && stream.get(code - 1) == Some(&0) {
        code - 1
    } else {
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        for unit in units {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(unit);
        }
        stream
    }

    #[test]
    fn parameter_sets_sei_and_first_slices_begin_access_units_and_nothing_else_does() {
        let stream = stream(&[
            &[0x40, 1, 1],    // VPS
            &[0x42, 1, 1],    // SPS
            &[0x44, 1, 1],    // PPS
            &[0x28, 1, 0x80], // IDR_N_LP, first slice
            &[0x28, 1, 0x40], // second slice
            &[0x50, 1, 1],    // suffix SEI
            &[0x02, 1, 0x80], // TRAIL_R
            &[0x02, 9, 0x80], // the same of layer 1
            &[0x4e, 1, 1],    // prefix SEI
            &[0x46, 1, 1],    // AUD
            &[0x2a, 1, 0x80], // CRA
            &[0x48, 1],       // EOS
        ]);
        let units = access_units(&stream).unwrap();
        let begins: Vec<_> = units.iter().map(|u| (u.range.start, u.irap)).collect();
        assert_eq!(begins, [(0, true), (42, false), (56, true)]);
        assert_eq!(units[2].range.end, stream.len());
        assert_eq!(
            starts_with_irap(&stream[56..], Packaging::AnnexB).unwrap(),
            Some(true)
        );
        assert_eq!(
            starts_with_irap(&stream[..21], Packaging::AnnexB).unwrap(),
            None
        );
    }

    #[test]
    fn what_is_no_stream_is_an_error() {
        assert!(access_units(&[1, 2, 3]).is_err());
        assert!(access_units(&[]).is_err());
    }
}
