//! scaling_list_data() (7.3.4), for its length.

use crate::error::MediaError;
use crate::h264::BitReader;

pub(super) fn skip_scaling_lists(r: &mut BitReader<'_>) -> Result<(), MediaError> {
    for size_id in 0..4u32 {
        let step = if size_id == 3 { 3 } else { 1 };
        for _ in (0..6).step_by(step) {
            if !r.flag("scaling_list_pred_mode_flag")? {
                r.ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size_id > 1 {
                r.se("scaling_list_dc_coef_minus8")?;
            }
            let coefficients = 64.min(1u32 << (4 + 2 * size_id));
            for _ in 0..coefficients {
                r.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}
