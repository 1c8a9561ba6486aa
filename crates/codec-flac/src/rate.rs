//! Rates that flacenc does not write: above 96 kHz, and odd ones above 65,535 Hz. Frames are encoded as if they had
//! another, as samples do not depend on it, and their headers say the right one.
//! <https://www.rfc-editor.org/rfc/rfc9639#section-9.1>

/// The rate that stands in for others. Its code in frame headers has no bytes of its own.
const STAND_IN: u32 = 96_000;

/// The rate to tell flacenc, and the code to put into frame headers where that is not the same.
pub fn stand_in(sample_rate: u32) -> (u32, Option<u8>) {
    match sample_rate {
        176_400 => (STAND_IN, Some(2)),
        192_000 => (STAND_IN, Some(3)),
        0..=65_535 => (sample_rate, None),
        65_536..=96_000 if sample_rate.is_multiple_of(10) => (sample_rate, None),
        // What STREAMINFO says.
        _ => (STAND_IN, Some(0)),
    }
}

/// Puts `code` into a frame's header, and makes both checksums right. `false` where it is no frame.
pub fn set_code(frame: &mut [u8], code: u8) -> bool {
    let Some(header) = header_len(frame) else {
        return false;
    };
    let (Some(body), Some(spec)) = (frame.len().checked_sub(2), frame.get(2)) else {
        return false;
    };
    frame[2] = spec & 0xf0 | code;
    frame[header - 1] = crc8(&frame[..header - 1]);
    let checksum = crc16(&frame[..body]);
    frame[body..].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// Bytes of a header, its checksum included, with a rate that has no bytes of its own.
fn header_len(frame: &[u8]) -> Option<usize> {
    let (&size, &number) = (frame.get(2)?, frame.get(4)?);
    // The frame's number, coded as in UTF-8.
    let coded = match number.leading_ones() {
        0 => 1,
        ones => ones as usize,
    };
    let block = match size >> 4 {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let len = 4 + coded + block + 1;
    (len + 2 <= frame.len()).then_some(len)
}

/// x^8 + x^2 + x + 1
fn crc8(data: &[u8]) -> u8 {
    data.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| {
            crc << 1 ^ if crc >> 7 == 1 { 0x07 } else { 0 }
        })
    })
}

/// x^16 + x^15 + x^2 + 1
fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, byte| {
        let crc = crc ^ u16::from(*byte) << 8;
        (0..8).fold(crc, |crc, _| {
            crc << 1 ^ if crc >> 15 == 1 { 0x8005 } else { 0 }
        })
    })
}

/// Puts `sample_rate` into `fLaC` and a STREAMINFO block: 20 bits behind the sizes of blocks and frames.
/// <https://www.rfc-editor.org/rfc/rfc9639#section-8.2>
pub fn set_stream_rate(description: &mut [u8], sample_rate: u32) {
    if let Some([high, middle, low]) = description.get_mut(18..21) {
        *high = (sample_rate >> 12) as u8;
        *middle = (sample_rate >> 4) as u8;
        *low = (sample_rate << 4) as u8 | *low & 15;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check values of both, over "123456789".
        assert_eq!((crc8(b"123456789"), crc16(b"123456789")), (0xf4, 0xfee8));
    }

    #[test]
    fn what_is_no_frame_is_left_alone() {
        for data in [&mut [][..], &mut [0; 5], &mut [0xff; 12]] {
            let before = data.to_vec();
            assert!(!set_code(data, 0));
            assert_eq!(data, before);
        }
    }

    #[test]
    fn only_rates_without_a_code_have_a_stand_in() {
        assert_eq!(stand_in(44_100), (44_100, None));
        assert_eq!(stand_in(11_025), (11_025, None));
        assert_eq!(stand_in(65_537), (96_000, Some(0)));
        assert_eq!(stand_in(192_000), (96_000, Some(3)));
        assert_eq!(stand_in(384_000), (96_000, Some(0)));
    }
}
