//! Picture order count (8.3.1).

use super::nal::NalType;

/// Derives PicOrderCntVal, picture by picture in decoding order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureOrder {
    /// PicOrderCntVal of prevTid0Pic.
    previous: i32,
}

impl PictureOrder {
    /// The count of a picture. `restarts` says that it is an IRAP picture with NoRaslOutputFlag equal to 1; `lsb` is
    /// slice_pic_order_cnt_lsb, 0 for IDR pictures; `log2_max_lsb` is the sequence's, 4 to 16.
    pub fn next(
        &mut self,
        nal_type: NalType,
        temporal_id: u8,
        restarts: bool,
        lsb: u32,
        log2_max_lsb: u32,
    ) -> i32 {
        let max_lsb = 1i32 << log2_max_lsb.clamp(4, 16);
        let lsb = (lsb as i32) & (max_lsb - 1);
        let msb = if restarts {
            0
        } else {
            // Equation 8-1.
            let previous_lsb = self.previous & (max_lsb - 1);
            let previous_msb = self.previous.wrapping_sub(previous_lsb);
            if lsb < previous_lsb && previous_lsb - lsb >= max_lsb / 2 {
                previous_msb.wrapping_add(max_lsb)
            } else if lsb > previous_lsb && lsb - previous_lsb > max_lsb / 2 {
                previous_msb.wrapping_sub(max_lsb)
            } else {
                previous_msb
            }
        };
        // Equation 8-2.
        let count = msb.wrapping_add(lsb);
        if temporal_id == 0 && !nal_type.is_leading() && !nal_type.is_sub_layer_non_reference() {
            self.previous = count;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIL_N: NalType = NalType(0);
    const TRAIL_R: NalType = NalType(1);
    const RASL_R: NalType = NalType(9);

    #[test]
    fn low_bits_wrap_in_both_directions() {
        let mut order = PictureOrder::default();
        assert_eq!(order.next(NalType::IDR_N_LP, 0, true, 0, 4), 0);
        assert_eq!(order.next(TRAIL_R, 0, false, 7, 4), 7);
        assert_eq!(order.next(TRAIL_R, 0, false, 14, 4), 14);
        assert_eq!(order.next(TRAIL_R, 0, false, 3, 4), 19);
        assert_eq!(order.next(TRAIL_N, 0, false, 15, 4), 15);
        assert_eq!(order.next(TRAIL_R, 0, false, 5, 4), 21);
    }

    #[test]
    fn leading_non_reference_and_higher_layers_do_not_move_the_anchor() {
        let mut order = PictureOrder::default();
        assert_eq!(order.next(NalType::CRA, 0, true, 8, 4), 8);
        for (nal_type, temporal_id) in [(RASL_R, 0), (TRAIL_N, 0), (TRAIL_R, 1)] {
            assert_eq!(order.next(nal_type, temporal_id, false, 15, 4), 15);
            assert_eq!(order.previous, 8);
        }
        // A CRA picture in mid-stream keeps the high bits, at the start it has none.
        assert_eq!(order.next(TRAIL_R, 0, false, 15, 4), 15);
        assert_eq!(order.next(NalType::CRA, 0, false, 2, 4), 18);
        assert_eq!(order.next(NalType::CRA, 0, true, 2, 4), 2);
    }
}
