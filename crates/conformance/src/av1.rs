//! The length-delimited form of AV1 (Annex B of its specification), made into the low-overhead form that the chunks
//! of WebCodecs have.
//! <https://www.w3.org/TR/webcodecs-av1-codec-registration/#encodedvideochunk-data>

/// One temporal unit of the length-delimited form, `temporal_unit(sz)` with its size before it, as OBUs that each
/// state their own size. `None` for what is not of this form.
/// <https://aomediacodec.github.io/av1-spec/#length-delimited-bitstream-format>
pub fn annexb_to_low_overhead(unit: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len() + 8);
    let (mut frames, rest) = sized(unit)?;
    if !rest.is_empty() {
        return None;
    }
    while !frames.is_empty() {
        let (mut obus, rest) = sized(frames)?;
        frames = rest;
        while !obus.is_empty() {
            let (obu, rest) = sized(obus)?;
            obus = rest;
            let (&header, mut payload) = obu.split_first()?;
            if header & 0x80 != 0 {
                return None;
            }
            // obu_has_size_field becomes 1.
            out.push(header | 2);
            if header & 4 != 0 {
                let (&extension, after) = payload.split_first()?;
                out.push(extension);
                payload = after;
            }
            if header & 2 != 0 {
                let (inner, after) = sized(payload)?;
                if !after.is_empty() {
                    return None;
                }
                payload = inner;
            }
            write_leb128(payload.len(), &mut out);
            out.extend_from_slice(payload);
        }
    }
    Some(out)
}

/// Splits off the bytes whose number stands before them as leb128().
fn sized(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut value = 0u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = data.get(index + 1..)?;
            return rest.split_at_checked(usize::try_from(value).ok()?);
        }
    }
    None
}

fn write_leb128(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obu_gets_its_size_and_keeps_its_extension() {
        // A unit of two frame units: a delimiter and an OBU with an extension; an OBU that has its size already.
        let unit = [10, 5, 1, 0x10, 2, 0x34, 0x20, 3, 2, 0x32, 0];
        let unit = [&unit[..5], &unit[5..]].concat();
        assert_eq!(
            annexb_to_low_overhead(&unit).unwrap(),
            [0x12, 0, 0x36, 0x20, 0, 0x32, 0]
        );
        let mut long = vec![0xcb, 0x01, 0xc9, 0x01, 0xc7, 0x01, 0x30];
        long.extend([7; 198]);
        let out = annexb_to_low_overhead(&long).unwrap();
        assert_eq!(out[..3], [0x32, 0xc6, 0x01]);
        assert_eq!(out.len(), 3 + 198);
    }

    #[test]
    fn what_is_of_another_form_is_refused() {
        for unit in [&[0x12, 0, 0x0a, 1, 0][..], &[5, 1], &[2, 1, 1], &[0x80]] {
            assert_eq!(annexb_to_low_overhead(unit), None, "{unit:?}");
        }
    }
}
