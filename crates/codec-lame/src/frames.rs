//! Bytes as MP3 frames: ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3, ISO/IEC 13818-3, 2.4.2.3.

/// Bit rates of Layer III in kbit/s, of MPEG-1.
pub const RATES_1: [u32; 14] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];

/// Those of MPEG-2 and 2.5.
pub const RATES_2: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// Sample rates of MPEG-1. Those of MPEG-2 are half, of 2.5 a quarter.
pub const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// Frames of audio in a frame of `sample_rate`: two granules of 576, or one.
pub const fn samples(sample_rate: u32) -> u32 {
    if sample_rate >= 32_000 { 1152 } else { 576 }
}

/// Bytes of the frame whose header is at the start of `data`. `None` where there is none.
pub fn frame_len(data: &[u8]) -> Option<usize> {
    let header = u32::from_be_bytes(*data.first_chunk()?);
    let field = |shift: u32, bits: u32| (header >> shift & ((1 << bits) - 1)) as usize;
    // Syncword, then Layer III.
    if field(21, 11) != 0x7ff || field(17, 2) != 1 {
        return None;
    }
    let (shift, rates) = match field(19, 2) {
        3 => (0, RATES_1),
        2 => (1, RATES_2),
        0 => (2, RATES_2),
        _ => return None,
    };
    let rate = rates.get(field(12, 4).checked_sub(1)?)?;
    let sample_rate = SAMPLE_RATES.get(field(10, 2))? >> shift;
    // A slot of Layer III is a byte.
    Some((samples(sample_rate) / 8 * rate * 1000 / sample_rate) as usize + field(9, 1))
}

#[cfg(test)]
mod tests {
    use super::frame_len;

    #[test]
    fn lengths_are_those_of_the_standard() {
        for (header, length) in [
            // MPEG-1, 128 kbit/s, 44.1 kHz, without and with padding.
            ([0xff, 0xfb, 0x90, 0x00], Some(417)),
            ([0xff, 0xfb, 0x92, 0x00], Some(418)),
            // MPEG-2, 64 kbit/s, 24 kHz; MPEG-2.5, 8 kbit/s, 8 kHz.
            ([0xff, 0xf3, 0x84, 0x00], Some(192)),
            ([0xff, 0xe3, 0x18, 0x00], Some(72)),
            // Free format, a reserved rate, a reserved sample rate, Layer II, no sync.
            ([0xff, 0xfb, 0x00, 0x00], None),
            ([0xff, 0xfb, 0xf0, 0x00], None),
            ([0xff, 0xfb, 0x9c, 0x00], None),
            ([0xff, 0xfd, 0x90, 0x00], None),
            ([0x7f, 0xfb, 0x90, 0x00], None),
        ] {
            assert_eq!(frame_len(&header), length, "{header:x?}");
        }
        assert_eq!(frame_len(&[0xff, 0xfb, 0x90]), None);
    }
}
