//! The sequence header of AV1, for streams whose container has no `av1C`.
//! <https://aomediacodec.github.io/av1-spec/#sequence-header-obu-syntax>

use std::fmt::Write;

use reelcore_media::{ColorSpace, Size};

use super::Bits;

/// What a sequence header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceHeader {
    profile: u8,
    level: u8,
    high_tier: bool,
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    position: u8,
    /// H.273 primaries, transfer characteristics and matrix coefficients, where given.
    code_points: [u8; 3],
    color_described: bool,
    full_range: bool,
    /// The largest frame.
    pub(crate) size: Size,
}

/// The first sequence header among the OBUs of `data`, a temporal unit in the low-overhead format.
pub(crate) fn sequence_header(data: &[u8]) -> Option<SequenceHeader> {
    let mut rest = data;
    while let Some((&header, after)) = rest.split_first() {
        let extension = usize::from(header & 4 != 0);
        let after = after.get(extension..)?;
        let (size, body) = if header & 2 == 0 {
            (after.len(), after)
        } else {
            let (size, length) = leb128(after)?;
            (usize::try_from(size).ok()?, after.get(length..)?)
        };
        // A header that the data's first bytes hold in part is read as far as it goes.
        let obu = body.get(..size.min(body.len()))?;
        if header >> 3 & 15 == 1 {
            return parse(obu);
        }
        rest = body.get(size..)?;
    }
    None
}

/// The sequence header in an AV1CodecConfigurationRecord.
pub(crate) fn configured(record: &[u8]) -> Option<SequenceHeader> {
    sequence_header(record.get(4..)?)
}

/// Whether the temporal unit that starts with `head` begins with a key frame that stands alone: with its sequence header.
/// `None` where no frame header is in `head`.
pub(crate) fn is_key(head: &[u8]) -> Option<bool> {
    let (mut has_sequence, mut reduced) = (false, false);
    let mut rest = head;
    loop {
        let (&header, after) = rest.split_first()?;
        let extension = usize::from(header & 4 != 0);
        let after = after.get(extension..)?;
        let (size, body) = if header & 2 == 0 {
            (after.len(), after)
        } else {
            let (size, length) = leb128(after)?;
            (usize::try_from(size).ok()?, after.get(length..)?)
        };
        match (header >> 3 & 15, body.first()) {
            (1, Some(first)) if size > 0 => {
                has_sequence = true;
                // reduced_still_picture_header
                reduced = first & 0x08 != 0;
            }
            // OBU_FRAME_HEADER, OBU_FRAME: show_existing_frame is 0, and frame_type is KEY_FRAME.
            (3 | 6, Some(first)) if size > 0 => {
                return Some(has_sequence && (reduced || first & 0xe0 == 0));
            }
            _ => {}
        }
        rest = body.get(size..)?;
    }
}

/// leb128(), at most 8 bytes: the value and its length.
fn leb128(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// sequence_header_obu()
fn parse(obu: &[u8]) -> Option<SequenceHeader> {
    let mut bits = Bits::new(obu);
    let profile = bits.u(3)? as u8;
    // still_picture
    bits.skip(1)?;
    let reduced = bits.flag()?;
    let (mut level, mut high_tier) = (0, false);
    if reduced {
        level = bits.u(5)? as u8;
    } else {
        let mut decoder_model = None;
        // timing_info_present_flag
        if bits.flag()? {
            bits.skip(64)?;
            // equal_picture_interval
            if bits.flag()? {
                bits.ue()?;
            }
            if bits.flag()? {
                let length = bits.u(5)? as usize + 1;
                bits.skip(32 + 5 + 5)?;
                decoder_model = Some(length);
            }
        }
        let initial_display_delay = bits.flag()?;
        let points = bits.u(5)? + 1;
        for point in 0..points {
            bits.skip(12)?;
            let index = bits.u(5)? as u8;
            let tier = index > 7 && bits.flag()?;
            if point == 0 {
                (level, high_tier) = (index, tier);
            }
            if let Some(length) = decoder_model
                && bits.flag()?
            {
                bits.skip(2 * length + 1)?;
            }
            if initial_display_delay && bits.flag()? {
                bits.skip(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.u(4)? as usize + 1, bits.u(4)? as usize + 1);
    let size = Size::new(bits.u(width_bits)? + 1, bits.u(height_bits)? + 1);
    if !reduced && bits.flag()? {
        // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
        bits.skip(7)?;
    }
    // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    bits.skip(3)?;
    if !reduced {
        // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
        bits.skip(4)?;
        let order_hint = bits.flag()?;
        if order_hint {
            bits.skip(2)?;
        }
        // seq_choose_screen_content_tools, else seq_force_screen_content_tools
        let screen = bits.flag()? || bits.flag()?;
        if screen && !bits.flag()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    // enable_superres, enable_cdef, enable_restoration
    bits.skip(3)?;
    // color_config()
    let high_bitdepth = bits.flag()?;
    let bit_depth = match (profile, high_bitdepth) {
        (2, true) if bits.flag()? => 12,
        (_, true) => 10,
        (_, false) => 8,
    };
    let monochrome = profile != 1 && bits.flag()?;
    let color_described = bits.flag()?;
    let code_points = if color_described {
        [bits.u(8)? as u8, bits.u(8)? as u8, bits.u(8)? as u8]
    } else {
        [2, 2, 2]
    };
    let mut header = SequenceHeader {
        profile,
        level,
        high_tier,
        bit_depth,
        monochrome,
        subsampling: (true, true),
        position: 0,
        code_points,
        color_described,
        full_range: true,
        size,
    };
    if monochrome {
        header.full_range = bits.flag()?;
    } else if code_points == [1, 13, 0] {
        header.subsampling = (false, false);
    } else {
        header.full_range = bits.flag()?;
        header.subsampling = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if bit_depth == 12 => {
                let x = bits.flag()?;
                (x, x && bits.flag()?)
            }
            _ => (true, false),
        };
        if header.subsampling == (true, true) {
            header.position = bits.u(2)? as u8;
        }
    }
    Some(header)
}

impl SequenceHeader {
    /// The codec string of the AV1 ISO media file format binding, section 5.
    pub(crate) fn codec_string(&self) -> String {
        let mut string = format!(
            "av01.{}.{:02}{}.{:02}",
            self.profile,
            self.level,
            if self.high_tier { 'H' } else { 'M' },
            self.bit_depth
        );
        let plain = !self.monochrome && self.subsampling == (true, true);
        if self.color_described || self.full_range || !plain {
            let [primaries, transfer, matrix] = self.code_points;
            // Writing to a String cannot fail.
            let _ = write!(
                string,
                ".{}.{}{}{}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
                u8::from(self.monochrome),
                u8::from(self.subsampling.0),
                u8::from(self.subsampling.1),
                self.position,
                u8::from(self.full_range)
            );
        }
        string
    }

    pub(crate) fn color(&self) -> ColorSpace {
        let [primaries, transfer, matrix] = self.code_points;
        ColorSpace::from_code_points(primaries, transfer, matrix, self.full_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_header_of_the_sample_clip_gives_its_string() {
        // From examples/media/av1-16x16.mp4: 16x16, 8 bits.
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/media/");
        for (name, string, side) in [
            ("av1-16x16.mp4", "av01.0.00M.08", 16),
            ("av1-10bit.mp4", "av01.0.00M.10", 0),
        ] {
            let bytes = std::fs::read(format!("{path}{name}")).expect("the clip is checked in");
            let at = bytes
                .windows(4)
                .position(|window| window == b"av1C")
                .expect("av1C");
            let header = sequence_header(&bytes[at + 8..at + 64]).expect("a sequence header");
            assert!(header.codec_string().starts_with(string), "{header:?}");
            if side > 0 {
                assert_eq!(header.size, Size::new(side, side));
            }
        }
    }

    #[test]
    fn a_key_frame_has_its_sequence_header_with_it() {
        let (delimiter, sequence) = ([0x12, 0], [0x0a, 2, 0, 0]);
        let unit = |parts: &[&[u8]]| is_key(&parts.concat());
        assert_eq!(
            unit(&[&delimiter, &sequence, &[0x32, 99, 0x10]]),
            Some(true)
        );
        assert_eq!(unit(&[&delimiter, &[0x32, 99, 0x10]]), Some(false));
        assert_eq!(
            unit(&[&delimiter, &sequence, &[0x32, 99, 0x30]]),
            Some(false)
        );
        assert_eq!(unit(&[&[0x0a, 1, 0x18], &[0x32, 1, 0x30]]), Some(true));
        assert_eq!(unit(&[&delimiter, &sequence]), None);
        assert_eq!(unit(&[&delimiter, &[0x2a, 0x80, 0x04, 0]]), None);
    }

    #[test]
    fn broken_headers_are_none() {
        for data in [
            &[][..],
            &[0x0a],
            &[0x0a, 0x80],
            &[0x0a, 3, 0, 0, 0],
            &[0x0a, 0xff, 0xff],
        ] {
            assert_eq!(sequence_header(data), None, "{data:?}");
        }
    }
}
