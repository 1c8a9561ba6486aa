//! Picture parameter sets (7.3.2.2).

use super::bits::{BitReader, unescape_into};
use super::nal::Nal;
use crate::error::MediaError;

/// The largest picture parameter set that is read, in bytes. A set with explicit slice groups for
/// the largest picture is within it.
const MAX_BYTES: usize = 64 * 1024;

/// A picture parameter set, as far as slice headers depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pps {
    /// pic_parameter_set_id: 0 to 255.
    pub id: u8,
    /// seq_parameter_set_id: 0 to 31.
    pub sps_id: u8,
    /// entropy_coding_mode_flag: CABAC.
    pub cabac: bool,
    /// bottom_field_pic_order_in_frame_present_flag.
    pub bottom_field_pic_order: bool,
    /// num_slice_groups_minus1 + 1.
    pub slice_groups: u32,
    /// slice_group_map_type: 0 to 6, 0 for a single group.
    pub slice_group_map_type: u32,
    /// num_ref_idx_l0_default_active_minus1 + 1 and the same for list 1.
    pub default_refs: [u32; 2],
    /// weighted_pred_flag.
    pub weighted_pred: bool,
    /// weighted_bipred_idc.
    pub weighted_bipred: u32,
    /// redundant_pic_cnt_present_flag.
    pub redundant_pic_cnt: bool,
}

impl Pps {
    /// Reads the set of `nal`, up to redundant_pic_cnt_present_flag.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "PPS");
        let id = r.ue_max(255, "pic_parameter_set_id")? as u8;
        let sps_id = r.ue_max(31, "seq_parameter_set_id")? as u8;
        let cabac = r.flag("entropy_coding_mode_flag")?;
        let bottom_field_pic_order = r.flag("bottom_field_pic_order_in_frame_present_flag")?;
        let slice_groups = r.ue_max(7, "num_slice_groups_minus1")? + 1;
        let mut slice_group_map_type = 0;
        if slice_groups > 1 {
            slice_group_map_type = r.ue_max(6, "slice_group_map_type")?;
            match slice_group_map_type {
                0 => {
                    for _ in 0..slice_groups {
                        r.ue("run_length_minus1")?;
                    }
                }
                2 => {
                    for _ in 1..slice_groups {
                        r.ue("top_left")?;
                        r.ue("bottom_right")?;
                    }
                }
                3..=5 => {
                    r.flag("slice_group_change_direction_flag")?;
                    r.ue("slice_group_change_rate_minus1")?;
                }
                6 => {
                    let count = r.ue("pic_size_in_map_units_minus1")?;
                    let bits = 32 - (slice_groups - 1).leading_zeros();
                    // The reader ends with the data, so a false count cannot make this long.
                    for _ in 0..=count {
                        r.u(bits, "slice_group_id")?;
                    }
                }
                _ => {}
            }
        }
        let default_refs = [
            r.ue_max(31, "num_ref_idx_l0_default_active_minus1")? + 1,
            r.ue_max(31, "num_ref_idx_l1_default_active_minus1")? + 1,
        ];
        let weighted_pred = r.flag("weighted_pred_flag")?;
        let weighted_bipred = r.u(2, "weighted_bipred_idc")?;
        if weighted_bipred > 2 {
            return Err(r.error("weighted_bipred_idc is 3, expected at most 2"));
        }
        r.se("pic_init_qp_minus26")?;
        r.se("pic_init_qs_minus26")?;
        r.se("chroma_qp_index_offset")?;
        r.flag("deblocking_filter_control_present_flag")?;
        r.flag("constrained_intra_pred_flag")?;
        let redundant_pic_cnt = r.flag("redundant_pic_cnt_present_flag")?;
        Ok(Self {
            id,
            sps_id,
            cabac,
            bottom_field_pic_order,
            slice_groups,
            slice_group_map_type,
            default_refs,
            weighted_pred,
            weighted_bipred,
            redundant_pic_cnt,
        })
    }
}
