//! Slice headers (7.3.3), up to and with the marking of reference pictures.

use super::bits::{BitReader, unescape_into};
use super::nal::{Nal, NalKind};
use super::pps::Pps;
use super::sps::{PocType, Sps};
use crate::error::MediaError;

/// Slice headers are read within this many bytes: two lists of 33 reorderings, 32 weights for each
/// of two lists and 35 marking operations fit, at their longest codes.
const MAX_BYTES: usize = 4 * 1024;

/// At most this many memory management control operations are read. The standard permits no more
/// than there are references to mark and fields to assign.
const MAX_OPERATIONS: usize = 67;

/// slice_type modulo 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// P.
    P,
    /// B.
    B,
    /// I.
    I,
    /// SP.
    Sp,
    /// SI.
    Si,
}

/// A slice header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceHeader {
    /// first_mb_in_slice.
    pub first_mb: u32,
    /// slice_type.
    pub kind: SliceKind,
    /// pic_parameter_set_id.
    pub pps_id: u8,
    /// frame_num.
    pub frame_num: u32,
    /// field_pic_flag with bottom_field_flag: `None` for a frame, `Some(true)` for a bottom field.
    pub field: Option<bool>,
    /// idr_pic_id, of an IDR picture only.
    pub idr_pic_id: Option<u32>,
    /// pic_order_cnt_lsb.
    pub poc_lsb: u32,
    /// delta_pic_order_cnt_bottom.
    pub delta_poc_bottom: i32,
    /// delta_pic_order_cnt.
    pub delta_poc: [i32; 2],
    /// direct_spatial_mv_pred_flag; true where there is none.
    pub direct_spatial: bool,
    /// redundant_pic_cnt: 0 for the primary coded picture.
    pub redundant_pic_cnt: u32,
    /// Whether memory_management_control_operation 5 is among the marking: the picture restarts
    /// picture order and forgets every reference.
    pub mmco5: bool,
    /// Whether every entry of its reference lists is named by a modification, so that the lists do not depend on
    /// which other pictures there are. True of slices without lists.
    pub explicit_refs: bool,
}

impl SliceHeader {
    /// The pic_parameter_set_id of `nal`, for looking up the sets that [`SliceHeader::parse`] needs.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn pps_id(nal: &Nal<'_>, scratch: &mut Vec<u8>) -> Result<u8, MediaError> {
        // Three Exp-Golomb codes.
        unescape_into(nal.payload(), 32, scratch);
        let r = &mut BitReader::new(scratch, "slice header");
        r.ue("first_mb_in_slice")?;
        r.ue("slice_type")?;
        Ok(r.ue_max(255, "pic_parameter_set_id")? as u8)
    }

    /// Reads the header of `nal`, a slice that refers to `pps` and `sps`. `scratch` is overwritten;
    /// it is there to be reused.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(
        nal: &Nal<'_>,
        sps: &Sps,
        pps: &Pps,
        scratch: &mut Vec<u8>,
    ) -> Result<Self, MediaError> {
        let idr = nal.kind == NalKind::IdrSlice;
        unescape_into(nal.payload(), MAX_BYTES, scratch);
        let r = &mut BitReader::new(scratch, "slice header");
        let first_mb = r.ue("first_mb_in_slice")?;
        let kind = match r.ue_max(9, "slice_type")? % 5 {
            0 => SliceKind::P,
            1 => SliceKind::B,
            2 => SliceKind::I,
            3 => SliceKind::Sp,
            _ => SliceKind::Si,
        };
        let pps_id = r.ue_max(255, "pic_parameter_set_id")? as u8;
        if sps.separate_planes {
            r.u(2, "colour_plane_id")?;
        }
        let frame_num = r.u(sps.log2_max_frame_num, "frame_num")?;
        let mut field = None;
        if !sps.frames_only && r.flag("field_pic_flag")? {
            field = Some(r.flag("bottom_field_flag")?);
        }
        let idr_pic_id = if idr {
            Some(r.ue_max(65_535, "idr_pic_id")?)
        } else {
            None
        };
        let mut header = Self {
            first_mb,
            kind,
            pps_id,
            frame_num,
            field,
            idr_pic_id,
            poc_lsb: 0,
            delta_poc_bottom: 0,
            delta_poc: [0; 2],
            direct_spatial: true,
            redundant_pic_cnt: 0,
            mmco5: false,
            explicit_refs: true,
        };
        let both = pps.bottom_field_pic_order && field.is_none();
        match &sps.poc {
            PocType::Lsb { log2_max_lsb } => {
                header.poc_lsb = r.u(*log2_max_lsb, "pic_order_cnt_lsb")?;
                if both {
                    header.delta_poc_bottom = r.se("delta_pic_order_cnt_bottom")?;
                }
            }
            PocType::Cycle {
                always_zero: false, ..
            } => {
                header.delta_poc[0] = r.se("delta_pic_order_cnt[0]")?;
                if both {
                    header.delta_poc[1] = r.se("delta_pic_order_cnt[1]")?;
                }
            }
            _ => {}
        }
        if pps.redundant_pic_cnt {
            header.redundant_pic_cnt = r.ue_max(127, "redundant_pic_cnt")?;
        }
        if kind == SliceKind::B {
            header.direct_spatial = r.flag("direct_spatial_mv_pred_flag")?;
        }
        let lists = match kind {
            SliceKind::P | SliceKind::Sp => 1,
            SliceKind::B => 2,
            SliceKind::I | SliceKind::Si => 0,
        };
        let mut refs = pps.default_refs;
        if lists > 0 && r.flag("num_ref_idx_active_override_flag")? {
            for count in refs.iter_mut().take(lists) {
                *count = r.ue_max(31, "num_ref_idx_active_minus1")? + 1;
            }
        }
        for &count in refs.iter().take(lists) {
            header.explicit_refs &= count_ref_list_modifications(r)? >= count;
        }
        let weighted = match kind {
            SliceKind::P | SliceKind::Sp => pps.weighted_pred,
            SliceKind::B => pps.weighted_bipred == 1,
            _ => false,
        };
        if weighted {
            let chroma = sps.chroma_format != 0 && !sps.separate_planes;
            let refs = refs.get(..lists).unwrap_or(&[]);
            skip_pred_weight_table(r, refs, chroma)?;
        }
        if nal.ref_idc != 0 {
            header.mmco5 = read_marking(r, idr)?;
        }
        Ok(header)
    }

    /// Whether this slice is the first of a new primary coded picture, after a slice with `previous`
    /// (7.4.1.2.4). `ref_idcs` are the nal_ref_idc of the previous slice and of this one.
    ///
    /// A change of pic_parameter_set_id alone is not taken for a new picture: encoders use several
    /// sets within one.
    pub fn starts_picture(&self, previous: &Self, ref_idcs: (u8, u8)) -> bool {
        self.frame_num != previous.frame_num
            || self.field != previous.field
            || (ref_idcs.0 == 0) != (ref_idcs.1 == 0)
            || self.idr_pic_id != previous.idr_pic_id
            || self.poc_lsb != previous.poc_lsb
            || self.delta_poc_bottom != previous.delta_poc_bottom
            || self.delta_poc != previous.delta_poc
    }
}

/// ref_pic_list_modification() for one list (7.3.3.1): how many entries it names.
fn count_ref_list_modifications(r: &mut BitReader<'_>) -> Result<u32, MediaError> {
    if !r.flag("ref_pic_list_modification_flag")? {
        return Ok(0);
    }
    // At most one operation for each of 32 entries, then the end.
    for count in 0..=32 {
        if r.ue_max(3, "modification_of_pic_nums_idc")? == 3 {
            return Ok(count);
        }
        r.ue("abs_diff_pic_num_minus1 or long_term_pic_num")?;
    }
    Err(r.error("more than 32 modifications of a reference list"))
}

/// pred_weight_table() (7.3.3.2), for its length.
fn skip_pred_weight_table(
    r: &mut BitReader<'_>,
    refs: &[u32],
    chroma: bool,
) -> Result<(), MediaError> {
    r.ue_max(7, "luma_log2_weight_denom")?;
    if chroma {
        r.ue_max(7, "chroma_log2_weight_denom")?;
    }
    for &count in refs {
        for _ in 0..count {
            if r.flag("luma_weight_flag")? {
                r.se("luma_weight")?;
                r.se("luma_offset")?;
            }
            if chroma && r.flag("chroma_weight_flag")? {
                for _ in 0..2 {
                    r.se("chroma_weight")?;
                    r.se("chroma_offset")?;
                }
            }
        }
    }
    Ok(())
}

/// dec_ref_pic_marking() (7.3.3.3): whether operation 5 is among it.
fn read_marking(r: &mut BitReader<'_>, idr: bool) -> Result<bool, MediaError> {
    if idr {
        r.flag("no_output_of_prior_pics_flag")?;
        r.flag("long_term_reference_flag")?;
        return Ok(false);
    }
    let mut mmco5 = false;
    if r.flag("adaptive_ref_pic_marking_mode_flag")? {
        for operation in 0.. {
            if operation == MAX_OPERATIONS {
                return Err(r.error("endless memory management control operations"));
            }
            match r.ue_max(6, "memory_management_control_operation")? {
                0 => break,
                3 => {
                    r.ue("difference_of_pic_nums_minus1")?;
                    r.ue("long_term_frame_idx")?;
                }
                5 => mmco5 = true,
                _ => {
                    r.ue("operand of a memory management control operation")?;
                }
            }
        }
    }
    Ok(mmco5)
}
