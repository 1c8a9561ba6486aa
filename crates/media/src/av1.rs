//! AV1 bitstream syntax that decoders need beside a codec library: the open bitstream units (OBUs)
//! of a temporal unit in the low-overhead format.
//! <https://aomediacodec.github.io/av1-spec/#obu-syntax>

use crate::error::MediaError;

/// OBU_SEQUENCE_HEADER.
const SEQUENCE_HEADER: u8 = 1;
/// OBU_FRAME_HEADER.
const FRAME_HEADER: u8 = 3;
/// OBU_FRAME.
const FRAME: u8 = 6;

/// What a temporal unit holds, as far as its headers tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemporalUnit {
    /// It has a sequence header.
    pub has_sequence_header: bool,
    /// frame_type of the first frame that is coded in it is KEY_FRAME. `None` without a frame: what
    /// it shows, if anything, was coded earlier.
    pub first_frame_is_key: Option<bool>,
    /// Frame headers that are no copies of others: frames that are coded in it, shown or not, and those that are shown
    /// again.
    pub frames: usize,
}

/// Walks the OBUs of `data`. The last may be without a size, as in files (AV1 in ISOBMFF, 2.4).
///
/// # Errors
/// `InvalidData` with the byte offset: no OBU, a forbidden bit that is set, or a size past the end.
pub fn inspect(data: &[u8]) -> Result<TemporalUnit, MediaError> {
    let mut unit = TemporalUnit::default();
    // The reduced_still_picture_header of the sequence in force, where this unit has it.
    let mut reduced = false;
    let mut at = 0;
    let fail = |at: usize, what: String| {
        Err(MediaError::invalid_data(format!(
            "AV1 temporal unit at byte {at}: {what}"
        )))
    };
    if data.is_empty() {
        return fail(0, "empty, expected an OBU".into());
    }
    while let Some(&header) = data.get(at) {
        let start = at;
        if header & 0x80 != 0 {
            return fail(at, "obu_forbidden_bit is 1".into());
        }
        let kind = (header >> 3) & 15;
        let has_extension = header & 4 != 0;
        let has_size = header & 2 != 0;
        at += 1 + usize::from(has_extension);
        let size = if has_size {
            let Some((value, bytes)) = leb128(data.get(at..).unwrap_or(&[])) else {
                return fail(at, "obu_size is cut short or too long".into());
            };
            at += bytes;
            value
        } else {
            data.len().saturating_sub(at) as u64
        };
        let payload = usize::try_from(size)
            .ok()
            .and_then(|size| data.get(at..)?.get(..size));
        let Some(payload) = payload else {
            return fail(
                start,
                format!(
                    "an OBU of {size} bytes, {} are left",
                    data.len().saturating_sub(at)
                ),
            );
        };
        at += payload.len();
        let first = payload.first().copied();
        match (kind, first) {
            (SEQUENCE_HEADER, Some(first)) => {
                // seq_profile (3 bits), still_picture, reduced_still_picture_header.
                reduced = first & 0x08 != 0;
                unit.has_sequence_header = true;
            }
            (FRAME | FRAME_HEADER, Some(first)) => {
                unit.frames += 1;
                // show_existing_frame is 0, then frame_type (2 bits): 0 is KEY_FRAME.
                let is_coded = reduced || first & 0x80 == 0;
                if is_coded && unit.first_frame_is_key.is_none() {
                    unit.first_frame_is_key = Some(reduced || first & 0x60 == 0);
                }
            }
            _ => {}
        }
    }
    Ok(unit)
}

/// leb128(): the value and its length, at most 8 bytes.
/// <https://aomediacodec.github.io/av1-spec/#leb128>
fn leb128(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_from_others() {
        let delimiter = [0x12, 0];
        let sequence = [0x0a, 2, 0x00, 0x00];
        let key = [0x32, 1, 0x10];
        let inter = [0x32, 1, 0x30];
        let shown = [0x1a, 1, 0x90];
        let unit = |parts: &[&[u8]]| inspect(&parts.concat()).unwrap();
        assert_eq!(
            unit(&[&delimiter, &sequence, &key]),
            TemporalUnit {
                has_sequence_header: true,
                first_frame_is_key: Some(true),
                frames: 1,
            }
        );
        assert_eq!(unit(&[&delimiter, &inter]).first_frame_is_key, Some(false));
        assert_eq!(unit(&[&shown]).first_frame_is_key, None);
        // One coded, two shown again, and a header that repeats the one before it (OBU_REDUNDANT_FRAME_HEADER).
        let parts = [&delimiter[..], &key, &shown, &shown, &[0x3a, 1, 0x90]];
        assert_eq!(unit(&parts).frames, 3);
        // A still picture's frames have no frame_type.
        assert_eq!(
            unit(&[&[0x0a, 1, 0x18], &inter]).first_frame_is_key,
            Some(true)
        );
        // A last OBU without a size.
        assert_eq!(
            unit(&[&delimiter, &[0x30, 0x10]]).first_frame_is_key,
            Some(true)
        );
    }

    #[test]
    fn broken_units_are_errors_with_their_place() {
        for data in [
            &[][..],
            &[0xff, 1],
            &[0x0a],
            &[0x0a, 5, 0],
            &[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
        ] {
            assert!(inspect(data).is_err(), "{data:?}");
        }
        let error = inspect(&[0x12, 0, 0x32, 9, 0]).unwrap_err();
        assert!(error.message.contains("byte 2"), "{error}");
    }
}
