//! rusty_h265 alone, for benchmarks to compare with.

use rusty_h265::{Decoder, Error};

/// Decodes Annex B access units one after the other and returns the number of pictures.
///
/// # Errors
/// What rusty_h265 reports.
pub fn decode(units: &[&[u8]]) -> Result<usize, Error> {
    let mut decoder = Decoder::new();
    let mut pictures = 0;
    for unit in units {
        decoder.push_annexb(unit, None)?;
        while decoder.next_frame().is_ok() {
            pictures += 1;
        }
    }
    decoder.flush();
    while decoder.next_frame().is_ok() {
        pictures += 1;
    }
    Ok(pictures)
}
