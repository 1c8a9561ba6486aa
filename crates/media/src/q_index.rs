//! The quantizer scale of VP9 and AV1, and that of their encoders.
//!
//! The registrations count quantizers as the streams do: `base_q_idx`, 0 to 255, of which 0 is lossless
//! (<https://w3c.github.io/webcodecs/vp9_codec_registration.html>, <https://w3c.github.io/webcodecs/av1_codec_registration.html>).
//! libvpx and libaom are told one of 64 of them.

/// The largest `base_q_idx`.
pub const MAX_Q_INDEX: u16 = 255;

/// The largest quantizer of libvpx and libaom.
const MAX_QUANTIZER: u16 = 63;

/// The `base_q_idx` that libvpx and libaom make of their `quantizer`: `quantizer_to_qindex` in vp9_quantize.c and av1_quantize.c.
const fn q_index(quantizer: u16) -> u16 {
    match quantizer {
        62 => 249,
        MAX_QUANTIZER.. => MAX_Q_INDEX,
        _ => quantizer * 4,
    }
}

/// The quantizer of libvpx and libaom, 0 to 63, that is nearest to `base_q_idx`, the finer of two. Lossless is 0 alone.
pub fn nearest_quantizer(base_q_idx: u16) -> u16 {
    if base_q_idx == 0 {
        return 0;
    }
    (1..=MAX_QUANTIZER)
        .min_by_key(|&quantizer| q_index(quantizer).abs_diff(base_q_idx))
        .unwrap_or(MAX_QUANTIZER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_can_be_told_is_what_it_is_told() {
        for quantizer in 0..=MAX_QUANTIZER {
            assert_eq!(nearest_quantizer(q_index(quantizer)), quantizer);
        }
    }

    #[test]
    fn the_rest_becomes_what_is_nearest_and_never_lossless() {
        let told: Vec<u16> = [1, 2, 3, 5, 6, 7, 246, 247, 252, 253, 255, 256, u16::MAX]
            .map(nearest_quantizer)
            .into();
        assert_eq!(told, [1, 1, 1, 1, 1, 2, 61, 62, 62, 63, 63, 63, 63]);
        assert!(
            (1..=MAX_Q_INDEX).all(|index| q_index(nearest_quantizer(index)).abs_diff(index) <= 3)
        );
    }
}
