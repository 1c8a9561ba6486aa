//! Parameter sets of HEVC (ITU-T H.265, 7.3.2), as far as a container needs them.

use std::fmt::Write;

use reelcore_media::{ColorSpace, Size};

use crate::bitstream::Bits;

/// The largest side of a picture that any level permits, with room (A.4.1).
const MAX_SIDE: u32 = 1 << 16;

/// A video parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vps {
    pub(super) id: u8,
    /// vps_num_units_in_tick and vps_time_scale.
    pub(super) timing: Option<(u32, u32)>,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sps {
    pub(super) id: u8,
    pub(super) vps_id: u8,
    profile: Profile,
    pub(super) separate_planes: bool,
    /// The part to show.
    pub(super) visible: Size,
    pub(super) log2_max_poc_lsb: u8,
    /// sps_max_num_reorder_pics of the highest sub-layer.
    pub(super) reorder: u8,
    pub(super) sample_aspect: (u64, u64),
    pub(super) color: ColorSpace,
    /// vui_num_units_in_tick and vui_time_scale.
    pub(super) timing: Option<(u32, u32)>,
}

/// A picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    pub(super) id: u8,
    pub(super) sps_id: u8,
    pub(super) output_flag_present: bool,
    pub(super) extra_slice_header_bits: u8,
}

/// profile_tier_level() (7.3.3), the general part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Profile {
    space: u8,
    high_tier: bool,
    profile: u8,
    compatibility: u32,
    constraints: [u8; 6],
    level: u8,
}

impl Profile {
    fn parse(bits: &mut Bits<'_>, max_sub_layers: u32) -> Option<Self> {
        let space = bits.u(2)? as u8;
        let high_tier = bits.flag()?;
        let profile = bits.u(5)? as u8;
        let compatibility = bits.u(32)?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = bits.u(8)? as u8;
        }
        let level = bits.u(8)? as u8;
        let present = (1..max_sub_layers)
            .map(|_| Some((bits.flag()?, bits.flag()?)))
            .collect::<Option<Vec<_>>>()?;
        if !present.is_empty() {
            bits.skip(2 * (8 - present.len()))?;
        }
        for (has_profile, has_level) in present {
            bits.skip(usize::from(has_profile) * 88 + usize::from(has_level) * 8)?;
        }
        Some(Self {
            space,
            high_tier,
            profile,
            compatibility,
            constraints,
            level,
        })
    }
}

/// The reordering of the highest sub-layer, of those that are given one by one or once for all.
fn sub_layer_reorder(bits: &mut Bits<'_>, max_sub_layers: u32) -> Option<u8> {
    let each = bits.flag()?;
    let mut reorder = 0;
    for _ in if each { 0 } else { max_sub_layers - 1 }..max_sub_layers {
        // max_dec_pic_buffering_minus1, max_num_reorder_pics, max_latency_increase_plus1
        bits.ue()?;
        reorder = bits.ue()?;
        bits.ue()?;
    }
    Some(reorder.min(16) as u8)
}

fn timing(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let (units, scale) = (bits.u(32)?, bits.u(32)?);
    (units != 0 && scale != 0).then_some((units, scale))
}

impl Vps {
    /// Reads a payload without emulation prevention.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(payload);
        let id = bits.u(4)? as u8;
        // Beyond the number, only the timing is of use: a set that is cut short has none.
        Some(Self {
            id,
            timing: vps_timing(bits),
        })
    }
}

fn vps_timing(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    // vps_base_layer_internal_flag and available_flag, vps_max_layers_minus1
    bits.skip(2 + 6)?;
    let max_sub_layers = bits.u(3)? + 1;
    // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    bits.skip(1 + 16)?;
    Profile::parse(bits, max_sub_layers)?;
    sub_layer_reorder(bits, max_sub_layers)?;
    let max_layer_id = bits.u(6)?;
    let layer_sets = bits.ue()?;
    for _ in 0..layer_sets {
        bits.skip(max_layer_id as usize + 1)?;
    }
    // vps_timing_info_present_flag
    bits.flag()?.then(|| timing(bits))?
}

impl Pps {
    /// Reads a payload without emulation prevention.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(payload);
        let id = bits.ue().filter(|&id| id < 64)? as u8;
        let sps_id = bits.ue().filter(|&id| id < 16)? as u8;
        // dependent_slice_segments_enabled_flag
        bits.skip(1)?;
        Some(Self {
            id,
            sps_id,
            output_flag_present: bits.flag()?,
            extra_slice_header_bits: bits.u(3)? as u8,
        })
    }
}

impl Sps {
    /// Reads a payload without emulation prevention.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(payload);
        let vps_id = bits.u(4)? as u8;
        let max_sub_layers = bits.u(3)? + 1;
        // sps_temporal_id_nesting_flag
        bits.skip(1)?;
        let profile = Profile::parse(bits, max_sub_layers)?;
        let id = bits.ue().filter(|&id| id < 16)? as u8;
        let chroma_format = bits.ue().filter(|&format| format < 4)?;
        let separate_planes = chroma_format == 3 && bits.flag()?;
        let side = |bits: &mut Bits<'_>| bits.ue().filter(|&side| side > 0 && side <= MAX_SIDE);
        let (width, height) = (side(bits)?, side(bits)?);
        let mut visible = Size::new(width, height);
        // conformance_window_flag
        if bits.flag()? {
            let (x, y) = match chroma_format {
                1 => (2, 2),
                2 => (2, 1),
                _ => (1, 1),
            };
            let mut crop = |unit: u32, whole: u32| {
                let both = bits.ue()?.checked_add(bits.ue()?)?;
                whole.checked_sub(both.checked_mul(unit)?).filter(|&left| left > 0)
            };
            visible = Size::new(crop(x, width)?, crop(y, height)?);
        }
        // bit_depth_luma_minus8, bit_depth_chroma_minus8
        bits.ue()?;
        bits.ue()?;
        let log2_max_poc_lsb = bits.ue().filter(|&log2| log2 <= 12)? as u8 + 4;
        let reorder = sub_layer_reorder(bits, max_sub_layers)?;
        let mut sps = Self {
            id,
            vps_id,
            profile,
            separate_planes,
            visible,
            log2_max_poc_lsb,
            reorder,
            sample_aspect: (1, 1),
            color: ColorSpace::default(),
            timing: None,
        };
        // What could be read of usability information is kept; pictures do not depend on it.
        let _ = sps.usability(bits, log2_max_poc_lsb);
        Some(sps)
    }

    /// From log2_min_luma_coding_block_size_minus3 to vui_timing_info.
    fn usability(&mut self, bits: &mut Bits<'_>, log2_lsb: u8) -> Option<()> {
        // Block and transform sizes, depths of the transform hierarchy.
        for _ in 0..6 {
            bits.ue()?;
        }
        // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
        if bits.flag()? && bits.flag()? {
            skip_scaling_lists(bits)?;
        }
        // amp_enabled_flag, sample_adaptive_offset_enabled_flag
        bits.skip(2)?;
        // pcm_enabled_flag
        if bits.flag()? {
            bits.skip(8)?;
            bits.ue()?;
            bits.ue()?;
            bits.skip(1)?;
        }
        skip_reference_sets(bits)?;
        // long_term_ref_pics_present_flag
        if bits.flag()? {
            for _ in 0..bits.ue().filter(|&count| count <= 32)? {
                bits.skip(usize::from(log2_lsb) + 1)?;
            }
        }
        // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
        bits.skip(2)?;
        if !bits.flag()? {
            return None;
        }
        self.vui(bits)
    }

    /// vui_parameters() (E.2.1), up to the timing.
    fn vui(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        /// Table E-1, from 1 on.
        const ASPECTS: [(u64, u64); 16] = [
            (1, 1),
            (12, 11),
            (10, 11),
            (16, 11),
            (40, 33),
            (24, 11),
            (20, 11),
            (32, 11),
            (80, 33),
            (18, 11),
            (15, 11),
            (64, 33),
            (160, 99),
            (4, 3),
            (3, 2),
            (2, 1),
        ];
        if bits.flag()? {
            let aspect = match bits.u(8)? {
                255 => (u64::from(bits.u(16)?), u64::from(bits.u(16)?)),
                code => (code as usize)
                    .checked_sub(1)
                    .and_then(|index| ASPECTS.get(index).copied())
                    .unwrap_or((1, 1)),
            };
            if aspect.0 > 0 && aspect.1 > 0 {
                self.sample_aspect = aspect;
            }
        }
        // overscan_info_present_flag
        if bits.flag()? {
            bits.skip(1)?;
        }
        // video_signal_type_present_flag
        if bits.flag()? {
            bits.skip(3)?;
            let full_range = bits.flag()?;
            self.color.full_range = Some(full_range);
            if bits.flag()? {
                let [primaries, transfer, matrix] = [bits.u(8)?, bits.u(8)?, bits.u(8)?];
                self.color = ColorSpace::from_code_points(
                    primaries as u8,
                    transfer as u8,
                    matrix as u8,
                    full_range,
                );
            }
        }
        // chroma_loc_info_present_flag
        if bits.flag()? {
            bits.ue()?;
            bits.ue()?;
        }
        // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
        bits.skip(3)?;
        // default_display_window_flag
        if bits.flag()? {
            for _ in 0..4 {
                bits.ue()?;
            }
        }
        if bits.flag()? {
            self.timing = timing(bits);
        }
        Some(())
    }

    /// ISO/IEC 14496-15, annex E.3. `hev1`: the parameter sets stand in the stream.
    pub(super) fn codec_string(&self) -> String {
        let profile = &self.profile;
        let mut string = "hev1.".to_owned();
        if let Some(space) = profile.space.checked_sub(1) {
            string.push(char::from(b'A' + space));
        }
        // Writing to a String cannot fail.
        let _ = write!(
            string,
            "{}.{:X}.{}{}",
            profile.profile,
            profile.compatibility.reverse_bits(),
            if profile.high_tier { 'H' } else { 'L' },
            profile.level
        );
        let used = profile
            .constraints
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        for byte in profile.constraints.iter().take(used) {
            let _ = write!(string, ".{byte:X}");
        }
        string
    }
}

/// scaling_list_data() (7.3.4), for its length.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            // scaling_list_pred_mode_flag
            if bits.flag()? {
                if size > 1 {
                    bits.ue()?;
                }
                for _ in 0..64.min(1 << (4 + (size << 1))) {
                    bits.ue()?;
                }
            } else {
                bits.ue()?;
            }
        }
    }
    Some(())
}

/// The st_ref_pic_set()s of a sequence parameter set (7.3.7), for their length.
fn skip_reference_sets(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.ue().filter(|&count| count <= 64)?;
    // NumDeltaPocs of the set before.
    let mut deltas = 0;
    for index in 0..count {
        if index > 0 && bits.flag()? {
            // delta_rps_sign, abs_delta_rps_minus1
            bits.skip(1)?;
            bits.ue()?;
            let mut next = 0;
            for _ in 0..=deltas {
                // used_by_curr_pic_flag, else use_delta_flag
                if bits.flag()? || bits.flag()? {
                    next += 1;
                }
            }
            deltas = next;
        } else {
            let negative = bits.ue().filter(|&count| count <= 16)?;
            let positive = bits.ue().filter(|&count| count <= 16)?;
            deltas = negative + positive;
            for _ in 0..deltas {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
    }
    Some(())
}
