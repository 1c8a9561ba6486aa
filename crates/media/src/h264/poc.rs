//! Picture order count of frames (8.2.1).

use super::slice::SliceHeader;
use super::sps::{PocType, Sps};

/// The state that picture order count carries from picture to picture.
#[derive(Clone, Debug, Default)]
pub struct PictureOrder {
    prev_msb: i32,
    prev_lsb: i32,
    prev_frame_num: u32,
    prev_frame_num_offset: i32,
    prev_had_mmco5: bool,
}

impl PictureOrder {
    /// PicOrderCnt of the frame that `slice` belongs to; `ref_idc` is its nal_ref_idc. Called once
    /// for each picture, in decoding order. Sums that only a stream in breach of 8.2.1 can make
    /// wrap instead of failing: such a stream loses its order, nothing more.
    pub fn next(&mut self, sps: &Sps, slice: &SliceHeader, ref_idc: u8) -> i32 {
        let (top, bottom) = match &sps.poc {
            PocType::Lsb { log2_max_lsb } => self.type_0(*log2_max_lsb, slice, ref_idc),
            PocType::Cycle {
                offset_for_non_ref,
                offset_top_to_bottom,
                offsets_for_ref,
                ..
            } => {
                let offset = self.frame_num_offset(sps, slice);
                type_1(
                    slice,
                    ref_idc,
                    offset,
                    *offset_for_non_ref,
                    *offset_top_to_bottom,
                    offsets_for_ref,
                )
            }
            PocType::DecodingOrder => {
                let offset = self.frame_num_offset(sps, slice);
                let count = offset.wrapping_add(slice.frame_num as i32);
                let doubled = count.wrapping_mul(2);
                // 8.2.1.3: a picture that is no reference comes before the next reference.
                let value = if slice.idr_pic_id.is_some() {
                    0
                } else if ref_idc == 0 {
                    doubled.wrapping_sub(1)
                } else {
                    doubled
                };
                (value, value)
            }
        };
        let poc = top.min(bottom);
        self.prev_had_mmco5 = slice.mmco5;
        self.prev_frame_num = if slice.mmco5 { 0 } else { slice.frame_num };
        if slice.mmco5 {
            // 8.2.1: after the picture is decoded, its own counts become relative to it.
            self.prev_msb = 0;
            self.prev_lsb = top.wrapping_sub(poc);
            self.prev_frame_num_offset = 0;
            return 0;
        }
        poc
    }

    /// 8.2.1.1.
    fn type_0(&mut self, log2_max_lsb: u32, slice: &SliceHeader, ref_idc: u8) -> (i32, i32) {
        if slice.idr_pic_id.is_some() {
            self.prev_msb = 0;
            self.prev_lsb = 0;
        }
        let max_lsb = 1i32 << log2_max_lsb.min(16);
        let lsb = slice.poc_lsb as i32;
        let msb = if lsb < self.prev_lsb && self.prev_lsb - lsb >= max_lsb / 2 {
            self.prev_msb.wrapping_add(max_lsb)
        } else if lsb > self.prev_lsb && lsb.wrapping_sub(self.prev_lsb) > max_lsb / 2 {
            self.prev_msb.wrapping_sub(max_lsb)
        } else {
            self.prev_msb
        };
        if ref_idc != 0 {
            self.prev_msb = msb;
            self.prev_lsb = lsb;
        }
        let top = msb.wrapping_add(lsb);
        (top, top.wrapping_add(slice.delta_poc_bottom))
    }

    /// FrameNumOffset of 8.2.1.2 and 8.2.1.3.
    fn frame_num_offset(&mut self, sps: &Sps, slice: &SliceHeader) -> i32 {
        let previous = if self.prev_had_mmco5 {
            0
        } else {
            self.prev_frame_num_offset
        };
        let offset = if slice.idr_pic_id.is_some() {
            0
        } else if self.prev_frame_num > slice.frame_num {
            previous.wrapping_add(1 << sps.log2_max_frame_num)
        } else {
            previous
        };
        self.prev_frame_num_offset = offset;
        offset
    }
}

/// 8.2.1.2.
fn type_1(
    slice: &SliceHeader,
    ref_idc: u8,
    frame_num_offset: i32,
    offset_for_non_ref: i32,
    offset_top_to_bottom: i32,
    offsets_for_ref: &[i32],
) -> (i32, i32) {
    let cycle = offsets_for_ref.len() as i32;
    let mut abs_frame_num = if cycle == 0 {
        0
    } else {
        frame_num_offset.wrapping_add(slice.frame_num as i32)
    };
    if ref_idc == 0 && abs_frame_num > 0 {
        abs_frame_num -= 1;
    }
    let mut expected = 0i32;
    if abs_frame_num > 0 && cycle > 0 {
        let cycles = (abs_frame_num - 1) / cycle;
        let in_cycle = ((abs_frame_num - 1) % cycle) as usize;
        let sum = |offsets: &[i32]| offsets.iter().fold(0i32, |a, &b| a.wrapping_add(b));
        expected = cycles
            .wrapping_mul(sum(offsets_for_ref))
            .wrapping_add(sum(offsets_for_ref.get(..=in_cycle).unwrap_or(&[])));
    }
    if ref_idc == 0 {
        expected = expected.wrapping_add(offset_for_non_ref);
    }
    let top = expected.wrapping_add(slice.delta_poc[0]);
    let bottom = top
        .wrapping_add(offset_top_to_bottom)
        .wrapping_add(slice.delta_poc[1]);
    (top, bottom)
}
