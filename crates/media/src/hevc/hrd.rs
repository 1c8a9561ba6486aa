//! hrd_parameters() (E.2.2), for its length.

use crate::error::MediaError;
use crate::h264::BitReader;

/// Passes over hrd_parameters(1, `sub_layers` - 1).
pub(super) fn skip_hrd(r: &mut BitReader<'_>, sub_layers: u32) -> Result<(), MediaError> {
    let nal = r.flag("nal_hrd_parameters_present_flag")?;
    let vcl = r.flag("vcl_hrd_parameters_present_flag")?;
    let mut sub_pictures = false;
    if nal || vcl {
        sub_pictures = r.flag("sub_pic_hrd_params_present_flag")?;
        if sub_pictures {
            r.u(19, "sub-picture HRD lengths")?;
        }
        r.u(8, "bit_rate_scale and cpb_size_scale")?;
        if sub_pictures {
            r.u(4, "cpb_size_du_scale")?;
        }
        r.u(15, "HRD lengths")?;
    }
    for _ in 0..sub_layers {
        let fixed_general = r.flag("fixed_pic_rate_general_flag")?;
        let fixed_within = fixed_general || r.flag("fixed_pic_rate_within_cvs_flag")?;
        let mut low_delay = false;
        if fixed_within {
            r.ue("elemental_duration_in_tc_minus1")?;
        } else {
            low_delay = r.flag("low_delay_hrd_flag")?;
        }
        let buffers = if low_delay {
            1
        } else {
            1 + r.ue_max(31, "cpb_cnt_minus1")?
        };
        for _ in 0..(u32::from(nal) + u32::from(vcl)) * buffers {
            r.ue("bit_rate_value_minus1")?;
            r.ue("cpb_size_value_minus1")?;
            if sub_pictures {
                r.ue("cpb_size_du_value_minus1")?;
                r.ue("bit_rate_du_value_minus1")?;
            }
            r.flag("cbr_flag")?;
        }
    }
    Ok(())
}
