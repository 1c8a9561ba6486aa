//! Temporal units of AV1 in both of the forms that streams come in.
//! <https://aomediacodec.github.io/av1-spec/#obu-syntax>

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use crate::bitstream::Bits;
use crate::window::{AHEAD, Window};

/// OBU_SEQUENCE_HEADER.
pub(super) const SEQUENCE_HEADER: u8 = 1;
/// OBU_TEMPORAL_DELIMITER.
pub(super) const TEMPORAL_DELIMITER: u8 = 2;

/// The bytes that an OBU's header and its size take, at most.
const MAX_HEADER: usize = 2 + 8;

/// How a stream holds its OBUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Section 5: each OBU says its size.
    LowOverhead,
    /// Annex B: lengths before temporal units, frame units and OBUs.
    LengthDelimited,
}

/// The header of an OBU (5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    /// Bytes of header and size field.
    pub(super) len: usize,
    /// obu_size, where it is given.
    pub(super) size: Option<u64>,
}

impl Header {
    /// The header at the front of `data`; an error says what is wrong.
    pub(super) fn parse(data: &[u8]) -> Result<Self, &'static str> {
        let &first = data.first().ok_or("nothing")?;
        if first & 0x80 != 0 {
            return Err("obu_forbidden_bit of 1");
        }
        let extension = usize::from(first & 4 != 0);
        let mut header = Self {
            kind: first >> 3 & 15,
            len: 1 + extension,
            size: None,
        };
        if first & 2 != 0 {
            let rest = data.get(header.len..).unwrap_or_default();
            let (size, len) = leb128(rest).ok_or("an obu_size that is cut short or too long")?;
            header.len += len;
            header.size = Some(size);
        }
        Ok(header)
    }
}

/// leb128(): the value, of at most 32 bits as 4.10.5 demands, and its length.
pub(super) fn leb128(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (value <= u64::from(u32::MAX)).then_some((value, index + 1));
        }
    }
    None
}

fn put_leb128(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The form that the first bytes are of: a temporal delimiter, then a sequence header (7.5).
pub(super) fn detect(head: &[u8]) -> Option<Form> {
    if let Ok(delimiter) = Header::parse(head)
        && delimiter.kind == TEMPORAL_DELIMITER
        && delimiter.size == Some(0)
    {
        let next = head.get(delimiter.len..)?;
        let header = Header::parse(next).ok()?;
        let sequence = next.get(header.len..)?;
        // seq_profile is at most 2.
        let plausible = header.kind == SEQUENCE_HEADER
            && header.size.is_some_and(|size| (4..256).contains(&size))
            && sequence.first().is_some_and(|&byte| byte >> 5 < 3);
        return plausible.then_some(Form::LowOverhead);
    }
    let (unit, unit_len) = leb128(head)?;
    let rest = head.get(unit_len..)?;
    let (frame, frame_len) = leb128(rest)?;
    if frame.saturating_add(frame_len as u64) > unit {
        return None;
    }
    let mut rest = rest.get(frame_len..)?;
    let mut left = frame;
    for kind in [TEMPORAL_DELIMITER, SEQUENCE_HEADER] {
        let (length, len) = leb128(rest)?;
        left = left.checked_sub(length.checked_add(len as u64)?)?;
        let obu = rest.get(len..)?;
        let header = Header::parse(obu).ok()?;
        let payload = length.checked_sub(header.len as u64)?;
        let fits = match kind {
            TEMPORAL_DELIMITER => payload == 0,
            _ => (4..256).contains(&payload),
        };
        if header.kind != kind || !fits {
            return None;
        }
        rest = obu.get(usize::try_from(length).ok()?..)?;
    }
    Some(Form::LengthDelimited)
}

fn invalid(offset: u64, message: String) -> DemuxError {
    DemuxError::Invalid { offset, message }
}

/// The temporal unit at `at` and the bytes it takes in the source; `None` at the end.
pub(super) fn read(
    window: &mut Window,
    form: Form,
    at: u64,
    max_packet_bytes: u64,
) -> Result<Option<(Bytes, u64)>, DemuxError> {
    match form {
        Form::LowOverhead => low_overhead(window, at, max_packet_bytes),
        Form::LengthDelimited => length_delimited(window, at, max_packet_bytes),
    }
}

fn check(at: u64, size: u64, cap: u64) -> Result<usize, DemuxError> {
    let fits = usize::try_from(size).ok().filter(|_| size <= cap);
    fits.ok_or_else(|| {
        DemuxError::Limit(format!(
            "the temporal unit at byte {at} has {size} bytes or more, the cap is {cap}"
        ))
    })
}

fn low_overhead(
    window: &mut Window,
    at: u64,
    cap: u64,
) -> Result<Option<(Bytes, u64)>, DemuxError> {
    let mut end = at;
    loop {
        // From the unit's start, so that what was read of it stays.
        let seen = check(at, end - at, cap)?;
        let head = window.peek(at, seen.saturating_add(MAX_HEADER), AHEAD)?;
        let head = head.get(seen..).unwrap_or_default();
        if head.is_empty() {
            break;
        }
        let header = Header::parse(head).map_err(|found| {
            invalid(end, format!("expected the header of an OBU, found {found}"))
        })?;
        if header.kind == TEMPORAL_DELIMITER && end > at {
            break;
        }
        let size = header.size.ok_or_else(|| {
            invalid(
                end,
                "expected an OBU with a size, found obu_has_size_field of 0".into(),
            )
        })?;
        let next = end.saturating_add(header.len as u64).saturating_add(size);
        let left = window.len().map(|len| len.saturating_sub(end));
        if let Some(left) = left.filter(|&left| next - end > left) {
            return Err(cut_short(end, next - end, left));
        }
        end = next;
    }
    let size = check(at, end - at, cap)?;
    let data = window.take(at, size, AHEAD)?;
    if data.len() < size {
        return Err(cut_short(at, size as u64, data.len() as u64));
    }
    Ok((size > 0).then_some((data, size as u64)))
}

fn cut_short(at: u64, size: u64, left: u64) -> DemuxError {
    invalid(
        at,
        format!("expected {size} bytes, the source has {left} left"),
    )
}

/// A temporal unit of annex B, rewritten in the low-overhead form that the WebCodecs registration of AV1 asks for: each
/// OBU gets its size. This is a copy, because sizes go between the bytes.
/// <https://aomediacodec.github.io/av1-spec/#length-delimited-bitstream-syntax>
fn length_delimited(
    window: &mut Window,
    at: u64,
    cap: u64,
) -> Result<Option<(Bytes, u64)>, DemuxError> {
    let head = window.peek(at, MAX_HEADER, AHEAD)?;
    if head.is_empty() {
        return Ok(None);
    }
    let Some((size, prefix)) = leb128(head) else {
        return Err(invalid(
            at,
            "expected temporal_unit_size, found no leb128() of 32 bits".into(),
        ));
    };
    let start = at.saturating_add(prefix as u64);
    let wanted = check(at, size, cap)?;
    let left = window.len().map(|len| len.saturating_sub(start));
    if let Some(left) = left.filter(|&left| size > left) {
        return Err(cut_short(start, size, left));
    }
    let data = window.take(start, wanted, AHEAD)?;
    if data.len() < wanted {
        return Err(cut_short(start, size, data.len() as u64));
    }
    let mut out = Vec::with_capacity(data.len());
    let mut rest = &data[..];
    while !rest.is_empty() {
        let mut frame = part(&mut rest, "frame_unit_size", start, data.len())?;
        while !frame.is_empty() {
            let inside = data.len() - rest.len() - frame.len();
            let obu = part(&mut frame, "obu_length", start, inside)?;
            let wrong = |found: &str| {
                invalid(
                    start,
                    format!("expected an OBU in the temporal unit, found {found}"),
                )
            };
            let header = Header::parse(obu).map_err(wrong)?;
            if header.size.is_some() {
                out.extend_from_slice(obu);
                continue;
            }
            let (fields, payload) = obu
                .split_at_checked(header.len)
                .ok_or_else(|| wrong("a header that is cut short"))?;
            out.extend(fields.first().map(|first| first | 2));
            out.extend(fields.get(1..).unwrap_or_default());
            put_leb128(payload.len() as u64, &mut out);
            out.extend_from_slice(payload);
        }
    }
    let taken = prefix as u64 + size;
    Ok(Some((out.into(), taken)))
}

/// The bytes that a length at the front of `rest` counts.
fn part<'a>(
    rest: &mut &'a [u8],
    field: &str,
    start: u64,
    end: usize,
) -> Result<&'a [u8], DemuxError> {
    let offset = start.saturating_add(end.saturating_sub(rest.len()) as u64);
    let found = leb128(rest).and_then(|(size, len)| {
        let (part, after) = rest
            .get(len..)?
            .split_at_checked(usize::try_from(size).ok()?)?;
        *rest = after;
        Some(part)
    });
    found.ok_or_else(|| {
        invalid(
            offset,
            format!(
                "expected {field} within the {} bytes that are left",
                rest.len()
            ),
        )
    })
}

/// timing_info() of the first sequence header in `unit`, where pictures come at a constant rate: how long each lasts, in
/// seconds as a fraction.
pub(super) fn frame_duration(unit: &[u8]) -> Option<(u64, u64)> {
    let mut rest = unit;
    loop {
        let header = Header::parse(rest).ok()?;
        let size = usize::try_from(header.size?).ok()?;
        let payload = rest.get(header.len..)?.get(..size)?;
        if header.kind == SEQUENCE_HEADER {
            let bits = &mut Bits::new(payload);
            // seq_profile, still_picture
            bits.skip(4)?;
            // reduced_still_picture_header, timing_info_present_flag
            if bits.flag()? || !bits.flag()? {
                return None;
            }
            let (units, scale) = (bits.u(32)?, bits.u(32)?);
            // equal_picture_interval
            if !bits.flag()? {
                return None;
            }
            let ticks = u64::from(bits.ue()?) + 1;
            return Some((u64::from(units) * ticks, u64::from(scale)));
        }
        rest = rest.get(header.len + size..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_told_by_their_first_obus() {
        let sequence = [0x00, 0x00, 0x00, 0x04, 0x3c, 0xff];
        let low: Vec<u8> = [&[0x12, 0, 0x0a, 6][..], &sequence, &[0x32, 1, 0x10]].concat();
        assert_eq!(detect(&low), Some(Form::LowOverhead));
        // temporal_unit 12: frame_unit 11: delimiter 1, sequence header 7, frame 2
        let long: Vec<u8> = [&[14, 13, 1, 0x10, 7, 0x08][..], &sequence, &[2, 0x30, 0x10]].concat();
        assert_eq!(detect(&long), Some(Form::LengthDelimited));
        for cut in 0..low.len().min(4) {
            assert_eq!(detect(&low[..cut]), None);
        }
        for cut in 0..12 {
            assert_eq!(detect(&long[..cut]), None, "{cut}");
        }
        assert_eq!(detect(b"\x00\x00\x00\x18ftypisom"), None);
    }
}
