//! Supplemental enhancement information (7.3.2.3, annex D).

use super::bits::{BitReader, unescape_into};
use super::nal::Nal;

/// Bytes of a NAL unit that are looked through. Messages may be as long as they like; those that matter here are short, and
/// encoders write them in units of their own.
const MAX_SEI: usize = 16 << 10;

/// recovery_point() (D.1.8): decoding can start at the picture of the access unit that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// recovery_frame_cnt: pictures are right in output order from the one on whose frame_num is by so much greater than that
    /// of the picture that decoding starts at.
    pub frame_count: u32,
}

impl RecoveryPoint {
    /// The recovery point among the messages of `nal`, if one is there. `scratch` is overwritten; it is there to be reused.
    pub fn find(nal: &Nal<'_>, scratch: &mut Vec<u8>) -> Option<Self> {
        unescape_into(nal.payload(), MAX_SEI, scratch);
        let mut rest = &scratch[..];
        // At least the trailing bits follow the last message.
        while rest.len() > 2 {
            let kind = number(&mut rest)?;
            let size = number(&mut rest)?;
            if kind == 6 {
                let payload = rest.get(..size)?;
                let frame_count =
                    BitReader::new(payload, "recovery point").ue_max(65_535, "recovery_frame_cnt");
                return Some(Self {
                    frame_count: frame_count.ok()?,
                });
            }
            rest = rest.get(size..)?;
        }
        None
    }
}

/// payloadType or payloadSize: each byte of 255 adds to it and goes on.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value = value.checked_add(usize::from(byte))?;
        if byte < 255 {
            return Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(messages: &[u8]) -> Option<u32> {
        let unit = [&[6], messages].concat();
        let nal = Nal::new(0, &unit).unwrap();
        RecoveryPoint::find(&nal, &mut Vec::new()).map(|point| point.frame_count)
    }

    #[test]
    fn a_recovery_point_is_found_behind_other_messages() {
        let mut sei = vec![5, 255, 3];
        sei.extend([7; 258]);
        assert_eq!(find(&[&sei[..], &[0x80]].concat()), None);
        sei.extend([6, 1, 0xc0, 0x80]);
        assert_eq!(find(&sei), Some(0));
        assert_eq!(find(&[5, 255, 255, 255, 1, 6, 1]), None);
    }

    #[test]
    fn the_count_of_frames_until_recovery_is_read() {
        // ue(v) of 23: 000011000, then exact_match_flag, broken_link_flag, changing_slice_group_idc.
        assert_eq!(find(&[6, 2, 0b0000_1100, 0b0100_0000, 0x80]), Some(23));
        // Beyond the largest frame_num, and cut off.
        assert_eq!(find(&[6, 4, 0, 0, 0, 1, 0x80]), None);
        assert_eq!(find(&[6, 9, 0xc0, 0x80]), None);
    }
}
