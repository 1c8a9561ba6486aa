//! AAC between its two forms: raw frames with an AudioSpecificConfig, and ADTS.

use crate::adts::header::Header;

/// ISO/IEC 14496-3, table 1.18.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// The AudioSpecificConfig of frames with that header.
pub(crate) fn specific_config(header: &Header) -> [u8; 2] {
    let index = RATES.iter().position(|&rate| rate == header.rate);
    let (kind, index) = (header.object_type & 31, index.unwrap_or(4) as u32);
    let packed = kind << 11 | index << 7 | (header.channels & 15) << 3;
    [(packed >> 8) as u8, packed as u8]
}
