//! Sequence parameter sets (7.3.2.1.1) with their video usability information (annex E).

use std::ops::Range;

use super::bits::{BitReader, unescape_into};
use super::nal::Nal;
use crate::color::ColorSpace;
use crate::error::MediaError;
use crate::geometry::{Rect, Size};

/// The largest sequence parameter set that is read, in bytes: a set with every scaling list, the
/// longest order-count cycle and full usability information is within it.
const MAX_BYTES: usize = 8 * 1024;

/// The largest width and height in macroblocks that any level permits, with room (A.3.1).
const MAX_MBS: u32 = 4096;

/// pic_order_cnt_type with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PocType {
    /// 0: the low bits stand in the slice header.
    Lsb {
        /// log2_max_pic_order_cnt_lsb_minus4 + 4.
        log2_max_lsb: u32,
    },
    /// 1: expected differences in a cycle.
    Cycle {
        /// delta_pic_order_always_zero_flag: slice headers hold no differences.
        always_zero: bool,
        /// offset_for_non_ref_pic.
        offset_for_non_ref: i32,
        /// offset_for_top_to_bottom_field.
        offset_top_to_bottom: i32,
        /// offset_for_ref_frame.
        offsets_for_ref: Vec<i32>,
    },
    /// 2: output order is decoding order.
    DecodingOrder,
}

/// Video usability information, as far as a decoder uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vui {
    /// Sample aspect ratio: width and height, where given.
    pub sample_aspect: Option<(u16, u16)>,
    /// Colour, as far as it is given.
    pub color: ColorSpace,
    /// num_units_in_tick and time_scale, where given and not 0: a field lasts units / scale seconds.
    pub timing: Option<(u32, u32)>,
    /// max_num_reorder_frames, where given.
    pub max_reorder_frames: Option<u32>,
    /// max_dec_frame_buffering, where given.
    pub max_dec_frame_buffering: Option<u32>,
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// seq_parameter_set_id: 0 to 31.
    pub id: u8,
    /// profile_idc.
    pub profile: u8,
    /// The byte of constraint_set flags, constraint_set0_flag the highest bit.
    pub constraints: u8,
    /// level_idc.
    pub level: u8,
    /// chroma_format_idc: 0 for 4:0:0 to 3 for 4:4:4.
    pub chroma_format: u32,
    /// separate_colour_plane_flag.
    pub separate_planes: bool,
    /// Bits of luma and of chroma samples.
    pub bit_depth: [u32; 2],
    /// qpprime_y_zero_transform_bypass_flag: lossless macroblocks.
    pub lossless: bool,
    /// log2_max_frame_num_minus4 + 4.
    pub log2_max_frame_num: u32,
    /// How picture order is coded.
    pub poc: PocType,
    /// max_num_ref_frames: 0 to 16.
    pub max_ref_frames: u32,
    /// gaps_in_frame_num_value_allowed_flag.
    pub gaps_in_frame_num: bool,
    /// Width and height in pixels, whole macroblocks.
    pub coded_size: Size,
    /// frame_mbs_only_flag: no interlaced coding.
    pub frames_only: bool,
    /// The part to show, after frame cropping.
    pub visible: Rect,
    /// Usability information; default where there is none.
    pub vui: Vui,
    /// The payload without emulation prevention.
    pub rbsp: Vec<u8>,
    /// The bits of `rbsp` after seq_parameter_set_id, up to and with direct_8x8_inference_flag: what
    /// decoding depends on.
    pub body: Range<usize>,
}

impl Sps {
    /// Whether sets of `profile` hold the elements from chroma_format_idc to the scaling lists.
    pub const fn has_chroma_format(profile: u8) -> bool {
        matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        )
    }

    /// Reads the set of `nal`.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "SPS");
        let profile = r.u(8, "profile_idc")? as u8;
        let constraints = r.u(8, "constraint_set flags")? as u8;
        let level = r.u(8, "level_idc")? as u8;
        let id = r.ue_max(31, "seq_parameter_set_id")? as u8;
        let body_start = r.position();
        let mut chroma_format = 1;
        let mut separate_planes = false;
        let mut bit_depth = [8, 8];
        let mut lossless = false;
        if Self::has_chroma_format(profile) {
            chroma_format = r.ue_max(3, "chroma_format_idc")?;
            if chroma_format == 3 {
                separate_planes = r.flag("separate_colour_plane_flag")?;
            }
            bit_depth = [
                8 + r.ue_max(6, "bit_depth_luma_minus8")?,
                8 + r.ue_max(6, "bit_depth_chroma_minus8")?,
            ];
            lossless = r.flag("qpprime_y_zero_transform_bypass_flag")?;
            if r.flag("seq_scaling_matrix_present_flag")? {
                let lists = if chroma_format == 3 { 12 } else { 8 };
                for list in 0..lists {
                    if r.flag("seq_scaling_list_present_flag")? {
                        skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let log2_max_frame_num = 4 + r.ue_max(12, "log2_max_frame_num_minus4")?;
        let poc = match r.ue_max(2, "pic_order_cnt_type")? {
            0 => PocType::Lsb {
                log2_max_lsb: 4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")?,
            },
            1 => {
                let always_zero = r.flag("delta_pic_order_always_zero_flag")?;
                let offset_for_non_ref = r.se("offset_for_non_ref_pic")?;
                let offset_top_to_bottom = r.se("offset_for_top_to_bottom_field")?;
                let count = r.ue_max(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
                let offsets_for_ref = (0..count)
                    .map(|_| r.se("offset_for_ref_frame"))
                    .collect::<Result<_, _>>()?;
                PocType::Cycle {
                    always_zero,
                    offset_for_non_ref,
                    offset_top_to_bottom,
                    offsets_for_ref,
                }
            }
            _ => PocType::DecodingOrder,
        };
        let max_ref_frames = r.ue_max(16, "max_num_ref_frames")?;
        let gaps_in_frame_num = r.flag("gaps_in_frame_num_value_allowed_flag")?;
        let width_mbs = 1 + r.ue_max(MAX_MBS - 1, "pic_width_in_mbs_minus1")?;
        let height_units = 1 + r.ue_max(MAX_MBS - 1, "pic_height_in_map_units_minus1")?;
        let frames_only = r.flag("frame_mbs_only_flag")?;
        if !frames_only {
            r.flag("mb_adaptive_frame_field_flag")?;
        }
        r.flag("direct_8x8_inference_flag")?;
        let body = body_start..r.position();
        let height_mbs = height_units * if frames_only { 1 } else { 2 };
        let coded_size = Size::new(width_mbs * 16, height_mbs * 16);
        let mut visible = Rect::of_size(coded_size);
        if r.flag("frame_cropping_flag")? {
            visible = cropped(r, coded_size, chroma_format, separate_planes, frames_only)?;
        }
        let mut vui = Vui::default();
        if r.flag("vui_parameters_present_flag")? {
            // Encoders in wide use write usability information that is cut short. Pictures do not
            // depend on it, so what could be read is kept and the rest is taken as absent.
            let _ = parse_vui(r, &mut vui);
        }
        Ok(Self {
            id,
            profile,
            constraints,
            level,
            chroma_format,
            separate_planes,
            bit_depth,
            lossless,
            log2_max_frame_num,
            poc,
            max_ref_frames,
            gaps_in_frame_num,
            coded_size,
            frames_only,
            visible,
            vui,
            body,
            rbsp,
        })
    }

    /// MaxDpbFrames: frames that the decoded picture buffer holds (A.3.1, table A-1).
    pub fn max_dpb_frames(&self) -> u32 {
        let constraint_set3 = self.constraints & 0x10 != 0;
        let max_dpb_mbs = match self.level {
            // Level 1b of the profiles that signal it so.
            11 if constraint_set3 && matches!(self.profile, 66 | 77 | 88) => 396,
            9 | 10 => 396,
            11 => 900,
            12 | 13 | 20 => 2376,
            21 => 4752,
            22 | 30 => 8100,
            31 => 18_000,
            32 => 20_480,
            40 | 41 => 32_768,
            42 => 34_816,
            50 => 110_400,
            51 | 52 => 184_320,
            60..=62 => 696_320,
            _ => u32::MAX,
        };
        let frame_mbs = (self.coded_size.width / 16) * (self.coded_size.height / 16);
        // A stream that claims too low a level still uses as many references as it says.
        (max_dpb_mbs / frame_mbs.max(1))
            .min(16)
            .max(self.max_ref_frames)
            .max(1)
    }

    /// max_num_reorder_frames: how many frames can stand before a frame in decoding order and after
    /// it in output order (E.2.1), inferred as the standard has it where it is not given.
    ///
    /// In Baseline streams, which have no B slices, it is taken to be 0 unless given: their encoders
    /// (video calls, cameras) leave it out and never reorder, and a wait of a whole picture buffer
    /// would cost them their latency.
    pub fn reorder_frames(&self) -> u32 {
        let all_intra =
            matches!(self.profile, 44 | 86 | 100 | 110 | 122 | 244) && self.constraints & 0x10 != 0;
        match (self.vui.max_reorder_frames, &self.poc) {
            (_, PocType::DecodingOrder) => 0,
            (Some(frames), _) => frames.min(16),
            (None, _) if all_intra || self.profile == 66 => 0,
            (None, _) => self
                .vui
                .max_dec_frame_buffering
                .unwrap_or(16)
                .min(self.max_dpb_frames()),
        }
    }
}

/// frame_crop offsets (7.4.2.1.1): the part that is shown.
fn cropped(
    r: &mut BitReader<'_>,
    coded: Size,
    chroma_format: u32,
    separate_planes: bool,
    frames_only: bool,
) -> Result<Rect, MediaError> {
    let (sub_width, sub_height) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let (unit_x, unit_y) = if separate_planes || chroma_format == 0 {
        (1, 1)
    } else {
        (sub_width, sub_height)
    };
    let unit_y = unit_y * if frames_only { 1 } else { 2 };
    let mut offset = |unit: u32, name| -> Result<u64, MediaError> {
        Ok(u64::from(r.ue(name)?) * u64::from(unit))
    };
    let left = offset(unit_x, "frame_crop_left_offset")?;
    let right = offset(unit_x, "frame_crop_right_offset")?;
    let top = offset(unit_y, "frame_crop_top_offset")?;
    let bottom = offset(unit_y, "frame_crop_bottom_offset")?;
    let (width, height) = (u64::from(coded.width), u64::from(coded.height));
    if left + right >= width || top + bottom >= height {
        return Err(r.error(format_args!(
            "frame cropping leaves nothing of {width}x{height} (left {left}, right {right}, top {top}, bottom {bottom})"
        )));
    }
    // Each is below the coded size, which fits.
    Ok(Rect {
        x: left as u32,
        y: top as u32,
        width: (width - left - right) as u32,
        height: (height - top - bottom) as u32,
    })
}

/// scaling_list() (7.3.2.1.1.1), for its length.
fn skip_scaling_list(r: &mut BitReader<'_>, size: usize) -> Result<(), MediaError> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let delta = r.se("delta_scale")?;
            next = last.wrapping_add(delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

/// Table E-1, from aspect_ratio_idc 1 on.
const SAMPLE_ASPECTS: [(u16, u16); 16] = [
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

/// Extended_SAR.
const EXTENDED_SAR: u32 = 255;

/// vui_parameters() (E.1.1).
fn parse_vui(r: &mut BitReader<'_>, vui: &mut Vui) -> Result<(), MediaError> {
    if r.flag("aspect_ratio_info_present_flag")? {
        let idc = r.u(8, "aspect_ratio_idc")?;
        let (width, height) = if idc == EXTENDED_SAR {
            (r.u(16, "sar_width")? as u16, r.u(16, "sar_height")? as u16)
        } else {
            (idc as usize)
                .checked_sub(1)
                .and_then(|index| SAMPLE_ASPECTS.get(index).copied())
                .unwrap_or((0, 0))
        };
        // 0 means unspecified.
        vui.sample_aspect = (width != 0 && height != 0).then_some((width, height));
    }
    if r.flag("overscan_info_present_flag")? {
        r.flag("overscan_appropriate_flag")?;
    }
    if r.flag("video_signal_type_present_flag")? {
        r.u(3, "video_format")?;
        let full_range = r.flag("video_full_range_flag")?;
        vui.color.full_range = Some(full_range);
        if r.flag("colour_description_present_flag")? {
            vui.color = ColorSpace::from_code_points(
                r.u(8, "colour_primaries")? as u8,
                r.u(8, "transfer_characteristics")? as u8,
                r.u(8, "matrix_coefficients")? as u8,
                full_range,
            );
        }
    }
    if r.flag("chroma_loc_info_present_flag")? {
        r.ue("chroma_sample_loc_type_top_field")?;
        r.ue("chroma_sample_loc_type_bottom_field")?;
    }
    if r.flag("timing_info_present_flag")? {
        let units = r.u(32, "num_units_in_tick")?;
        let scale = r.u(32, "time_scale")?;
        vui.timing = (units != 0 && scale != 0).then_some((units, scale));
        r.flag("fixed_frame_rate_flag")?;
    }
    let nal_hrd = r.flag("nal_hrd_parameters_present_flag")?;
    if nal_hrd {
        skip_hrd(r)?;
    }
    let vcl_hrd = r.flag("vcl_hrd_parameters_present_flag")?;
    if vcl_hrd {
        skip_hrd(r)?;
    }
    if nal_hrd || vcl_hrd {
        r.flag("low_delay_hrd_flag")?;
    }
    r.flag("pic_struct_present_flag")?;
    if r.flag("bitstream_restriction_flag")? {
        r.flag("motion_vectors_over_pic_boundaries_flag")?;
        r.ue("max_bytes_per_pic_denom")?;
        r.ue("max_bits_per_mb_denom")?;
        r.ue("log2_max_mv_length_horizontal")?;
        r.ue("log2_max_mv_length_vertical")?;
        let reorder = r.ue("max_num_reorder_frames")?;
        let buffering = r.ue("max_dec_frame_buffering")?;
        // E.2.1: at most MaxDpbFrames; what breaks that says nothing.
        if reorder <= buffering && buffering <= 16 {
            vui.max_reorder_frames = Some(reorder);
            vui.max_dec_frame_buffering = Some(buffering);
        }
    }
    Ok(())
}

/// hrd_parameters() (E.1.2), for its length.
fn skip_hrd(r: &mut BitReader<'_>) -> Result<(), MediaError> {
    let count = r.ue_max(31, "cpb_cnt_minus1")?;
    r.u(8, "bit_rate_scale and cpb_size_scale")?;
    for _ in 0..=count {
        r.ue("bit_rate_value_minus1")?;
        r.ue("cpb_size_value_minus1")?;
        r.flag("cbr_flag")?;
    }
    r.u(20, "hrd lengths")?;
    Ok(())
}
