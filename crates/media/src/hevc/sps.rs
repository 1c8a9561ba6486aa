//! Sequence parameter sets (7.3.2.2).

use super::nal::Nal;
use super::profile::ProfileTierLevel;
use super::scaling::skip_scaling_lists;
use super::vui::Vui;
use crate::error::MediaError;
use crate::geometry::{Rect, Size};
use crate::h264::{BitReader, unescape_into};

/// The largest sequence parameter set that is read, in bytes: a set with every scaling list, 64 reference picture
/// sets and the longest usability information is within it.
const MAX_BYTES: usize = 16 * 1024;

/// The largest width and height that any level permits: sqrt(8 * MaxLumaPs) of level 6.2 (A.4.1), with room.
const MAX_SIDE: u32 = 1 << 15;

/// The largest decoded picture buffer (A.4.2).
const MAX_DPB_SIZE: u32 = 16;

/// What a stream says about its decoded picture buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubLayerOrdering {
    /// sps_max_dec_pic_buffering_minus1 + 1: pictures that the buffer holds, 1 to 16.
    pub max_dec_pic_buffering: u32,
    /// sps_max_num_reorder_pics: pictures that can precede a picture in decoding order and follow it in output order.
    pub max_num_reorder: u32,
    /// SpsMaxLatencyPictures: pictures that can follow a picture in decoding order and precede it in output order;
    /// `None` for no limit.
    pub max_latency: Option<u32>,
}

/// sps_range_extension() (7.3.2.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeExtension {
    /// transform_skip_rotation_enabled_flag.
    pub transform_skip_rotation: bool,
    /// transform_skip_context_enabled_flag.
    pub transform_skip_context: bool,
    /// implicit_rdpcm_enabled_flag.
    pub implicit_rdpcm: bool,
    /// explicit_rdpcm_enabled_flag.
    pub explicit_rdpcm: bool,
    /// extended_precision_processing_flag.
    pub extended_precision: bool,
    /// intra_smoothing_disabled_flag.
    pub intra_smoothing_disabled: bool,
    /// high_precision_offsets_enabled_flag.
    pub high_precision_offsets: bool,
    /// persistent_rice_adaptation_enabled_flag.
    pub persistent_rice_adaptation: bool,
    /// cabac_bypass_alignment_enabled_flag.
    pub cabac_bypass_alignment: bool,
}

impl RangeExtension {
    fn read(r: &mut BitReader<'_>) -> Result<Self, MediaError> {
        Ok(Self {
            transform_skip_rotation: r.flag("transform_skip_rotation_enabled_flag")?,
            transform_skip_context: r.flag("transform_skip_context_enabled_flag")?,
            implicit_rdpcm: r.flag("implicit_rdpcm_enabled_flag")?,
            explicit_rdpcm: r.flag("explicit_rdpcm_enabled_flag")?,
            extended_precision: r.flag("extended_precision_processing_flag")?,
            intra_smoothing_disabled: r.flag("intra_smoothing_disabled_flag")?,
            high_precision_offsets: r.flag("high_precision_offsets_enabled_flag")?,
            persistent_rice_adaptation: r.flag("persistent_rice_adaptation_enabled_flag")?,
            cabac_bypass_alignment: r.flag("cabac_bypass_alignment_enabled_flag")?,
        })
    }
}

/// A sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// sps_seq_parameter_set_id: 0 to 15.
    pub id: u8,
    /// sps_video_parameter_set_id: 0 to 15.
    pub vps_id: u8,
    /// sps_max_sub_layers_minus1 + 1: temporal sub-layers, 1 to 7.
    pub max_sub_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub temporal_id_nesting: bool,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// chroma_format_idc: 0 for 4:0:0 to 3 for 4:4:4.
    pub chroma_format: u32,
    /// separate_colour_plane_flag.
    pub separate_planes: bool,
    /// Width and height in pixels, whole coding blocks.
    pub coded_size: Size,
    /// The part to show, after the conformance window.
    pub visible: Rect,
    /// Bits of luma and of chroma samples: 8 to 16.
    pub bit_depth: [u32; 2],
    /// log2_max_pic_order_cnt_lsb_minus4 + 4.
    pub log2_max_poc_lsb: u32,
    /// The decoded picture buffer, of the highest sub-layer.
    pub ordering: SubLayerOrdering,
    /// CtbLog2SizeY: 3 to 6.
    pub log2_ctb_size: u32,
    /// The short-term reference picture sets that slices choose from: at most 64.
    pub reference_sets: Vec<ReferenceSet>,
    /// long_term_ref_pics_present_flag.
    pub long_term_references: bool,
    /// lt_ref_pic_poc_lsb_sps and used_by_curr_pic_lt_sps_flag: long-term pictures that slices choose from.
    pub long_term_pictures: Vec<(u32, bool)>,
    /// Usability information; default where there is none.
    pub vui: Vui,
    /// sps_range_extension_flag, sps_multilayer_extension_flag, sps_3d_extension_flag, sps_scc_extension_flag.
    pub extensions: [bool; 4],
    /// The range extensions; all off where there are none.
    pub range: RangeExtension,
}

impl Sps {
    /// Reads the set of `nal`.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "SPS");
        let vps_id = r.u(4, "sps_video_parameter_set_id")? as u8;
        let sub_layers = 1 + r.u(3, "sps_max_sub_layers_minus1")?;
        if sub_layers > 7 {
            return Err(r.error("sps_max_sub_layers_minus1 is 7, expected at most 6"));
        }
        let temporal_id_nesting = r.flag("sps_temporal_id_nesting_flag")?;
        let profile = ProfileTierLevel::read(r, sub_layers)?;
        let id = r.ue_max(15, "sps_seq_parameter_set_id")? as u8;
        let chroma_format = r.ue_max(3, "chroma_format_idc")?;
        let separate_planes = chroma_format == 3 && r.flag("separate_colour_plane_flag")?;
        let width = r.ue_max(MAX_SIDE, "pic_width_in_luma_samples")?;
        let height = r.ue_max(MAX_SIDE, "pic_height_in_luma_samples")?;
        if width == 0 || height == 0 {
            return Err(r.error(format_args!("a picture of {width}x{height} samples")));
        }
        let coded_size = Size::new(width, height);
        let visible = conformance_window(r, coded_size, chroma_format)?;
        let bit_depth = [
            8 + r.ue_max(8, "bit_depth_luma_minus8")?,
            8 + r.ue_max(8, "bit_depth_chroma_minus8")?,
        ];
        let log2_max_poc_lsb = 4 + r.ue_max(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let ordering = read_ordering(r, sub_layers)?;
        let log2_ctb_size = read_block_sizes(r, coded_size)?;
        r.ue("max_transform_hierarchy_depth_inter")?;
        r.ue("max_transform_hierarchy_depth_intra")?;
        if r.flag("scaling_list_enabled_flag")? && r.flag("sps_scaling_list_data_present_flag")? {
            skip_scaling_lists(r)?;
        }
        r.flag("amp_enabled_flag")?;
        r.flag("sample_adaptive_offset_enabled_flag")?;
        if r.flag("pcm_enabled_flag")? {
            r.u(8, "pcm sample bit depths")?;
            r.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
            r.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
            r.flag("pcm_loop_filter_disabled_flag")?;
        }
        let mut reference_sets = Vec::new();
        for _ in 0..r.ue_max(64, "num_short_term_ref_pic_sets")? {
            let set = ReferenceSet::read(r, &reference_sets, false)?;
            reference_sets.push(set);
        }
        let long_term_references = r.flag("long_term_ref_pics_present_flag")?;
        let mut long_term_pictures = Vec::new();
        if long_term_references {
            for _ in 0..r.ue_max(32, "num_long_term_ref_pics_sps")? {
                let lsb = r.u(log2_max_poc_lsb, "lt_ref_pic_poc_lsb_sps")?;
                long_term_pictures.push((lsb, r.flag("used_by_curr_pic_lt_sps_flag")?));
            }
        }
        r.flag("sps_temporal_mvp_enabled_flag")?;
        r.flag("strong_intra_smoothing_enabled_flag")?;
        let mut vui = Vui::default();
        let mut extensions = [false; 4];
        if r.flag("vui_parameters_present_flag")? {
            vui.read(r, sub_layers)?;
        }
        if r.flag("sps_extension_present_flag")? {
            for extension in &mut extensions {
                *extension = r.flag("sps extension flags")?;
            }
            r.u(4, "sps_extension_4bits")?;
        }
        let range = match extensions {
            [true, ..] => RangeExtension::read(r)?,
            _ => RangeExtension::default(),
        };
        Ok(Self {
            id,
            vps_id,
            max_sub_layers: sub_layers as u8,
            temporal_id_nesting,
            profile,
            chroma_format,
            separate_planes,
            coded_size,
            visible,
            bit_depth,
            log2_max_poc_lsb,
            ordering,
            log2_ctb_size,
            reference_sets,
            long_term_references,
            long_term_pictures,
            vui,
            extensions,
            range,
        })
    }
}

/// The conformance window (7.4.3.2.1): the part that is shown.
fn conformance_window(
    r: &mut BitReader<'_>,
    coded: Size,
    chroma_format: u32,
) -> Result<Rect, MediaError> {
    if !r.flag("conformance_window_flag")? {
        return Ok(Rect::of_size(coded));
    }
    // SubWidthC and SubHeightC (table 6-1).
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let mut offset = |unit: u64, name| Ok::<_, MediaError>(u64::from(r.ue(name)?) * unit);
    let left = offset(unit_x, "conf_win_left_offset")?;
    let right = offset(unit_x, "conf_win_right_offset")?;
    let top = offset(unit_y, "conf_win_top_offset")?;
    let bottom = offset(unit_y, "conf_win_bottom_offset")?;
    let (width, height) = (u64::from(coded.width), u64::from(coded.height));
    if left + right >= width || top + bottom >= height {
        return Err(r.error(format_args!(
            "the conformance window leaves nothing of {width}x{height} (left {left}, right {right}, top {top}, bottom {bottom})"
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

/// The buffer sizes of each sub-layer; those of the highest one are returned.
fn read_ordering(r: &mut BitReader<'_>, sub_layers: u32) -> Result<SubLayerOrdering, MediaError> {
    let each = r.flag("sps_sub_layer_ordering_info_present_flag")?;
    let mut ordering = SubLayerOrdering {
        max_dec_pic_buffering: 1,
        max_num_reorder: 0,
        max_latency: None,
    };
    for _ in 0..if each { sub_layers } else { 1 } {
        let buffering = r.ue_max(MAX_DPB_SIZE - 1, "sps_max_dec_pic_buffering_minus1")?;
        let reorder = r.ue_max(buffering, "sps_max_num_reorder_pics")?;
        let latency = r.ue("sps_max_latency_increase_plus1")?;
        ordering = SubLayerOrdering {
            max_dec_pic_buffering: buffering + 1,
            max_num_reorder: reorder,
            // Equation 7-9.
            max_latency: latency
                .checked_sub(1)
                .map(|increase| reorder.saturating_add(increase)),
        };
    }
    Ok(ordering)
}

/// The sizes of coding and transform blocks; CtbLog2SizeY is returned.
fn read_block_sizes(r: &mut BitReader<'_>, size: Size) -> Result<u32, MediaError> {
    let log2_min = 3 + r.ue_max(3, "log2_min_luma_coding_block_size_minus3")?;
    let log2_ctb = log2_min + r.ue_max(3, "log2_diff_max_min_luma_coding_block_size")?;
    if log2_ctb > 6 {
        return Err(r.error(format_args!(
            "CtbLog2SizeY is {log2_ctb}, expected at most 6"
        )));
    }
    let min = 1u32 << log2_min;
    if !size.width.is_multiple_of(min) || !size.height.is_multiple_of(min) {
        return Err(r.error(format_args!(
            "a picture of {}x{} samples is not made of whole coding blocks of {min}",
            size.width, size.height
        )));
    }
    r.ue_max(3, "log2_min_luma_transform_block_size_minus2")?;
    r.ue_max(3, "log2_diff_max_min_luma_transform_block_size")?;
    Ok(log2_ctb)
}

/// A short-term reference picture set: the distances of pictures in picture order count, and whether the picture at
/// hand refers to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceSet {
    /// DeltaPocS0 with UsedByCurrPicS0: negative, the nearest first.
    pub negative: Vec<(i32, bool)>,
    /// DeltaPocS1 with UsedByCurrPicS1: positive, the nearest first.
    pub positive: Vec<(i32, bool)>,
}

impl ReferenceSet {
    /// Reads st_ref_pic_set() (7.3.7). `sets` are those of the sequence parameter set so far; `in_slice` says that it
    /// stands in a slice segment header.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn read(r: &mut BitReader<'_>, sets: &[Self], in_slice: bool) -> Result<Self, MediaError> {
        if !sets.is_empty() && r.flag("inter_ref_pic_set_prediction_flag")? {
            let back = if in_slice {
                1 + r.ue("delta_idx_minus1")? as usize
            } else {
                1
            };
            let from = sets
                .len()
                .checked_sub(back)
                .and_then(|index| sets.get(index));
            let from = from.ok_or_else(|| r.error("a set predicted from one that is not there"))?;
            return predicted_set(r, from);
        }
        let negative = r.ue_max(MAX_DPB_SIZE, "num_negative_pics")?;
        let positive = r.ue_max(MAX_DPB_SIZE, "num_positive_pics")?;
        let mut side = |count: u32, sign: i32| {
            let mut distance = 0;
            let mut side = Vec::new();
            for _ in 0..count {
                distance += 1 + r.ue_max(1 << 15, "delta_poc_minus1")? as i32;
                side.push((sign * distance, r.flag("used_by_curr_pic_flag")?));
            }
            Ok::<_, MediaError>(side)
        };
        Ok(Self {
            negative: side(negative, -1)?,
            positive: side(positive, 1)?,
        })
    }
}

/// A set that is predicted from another: equations 7-61 and 7-62.
fn predicted_set(r: &mut BitReader<'_>, from: &ReferenceSet) -> Result<ReferenceSet, MediaError> {
    let sign = r.flag("delta_rps_sign")?;
    let distance = 1 + r.ue_max(1 << 15, "abs_delta_rps_minus1")? as i32;
    let delta = if sign { -distance } else { distance };
    // The pictures of `from` in the order of their flags, and last `from` itself, at distance 0.
    let mut pictures = Vec::new();
    let all = from.negative.iter().chain(&from.positive);
    for picture in all.map(|(picture, _)| *picture).chain([0]) {
        let used = r.flag("used_by_curr_pic_flag")?;
        if used || r.flag("use_delta_flag")? {
            // Each prediction adds at most 2^15 + 1, and there are at most 65 in a row.
            pictures.push((picture + delta, used));
        }
    }
    // The equations order each side by distance.
    let mut set = ReferenceSet::default();
    set.negative.extend(pictures.iter().filter(|(d, _)| *d < 0));
    set.negative.sort_unstable_by(|a, b| b.cmp(a));
    set.positive.extend(pictures.iter().filter(|(d, _)| *d > 0));
    set.positive.sort_unstable();
    if set.negative.len() + set.positive.len() > 2 * MAX_DPB_SIZE as usize {
        return Err(r.error("a reference picture set of too many pictures"));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader over a string of bits.
    fn bits(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
        bits.chunks(8)
            .map(|byte| {
                let value = byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0'));
                value << (8 - byte.len())
            })
            .collect()
    }

    #[test]
    fn a_predicted_set_has_the_pictures_of_equations_7_61_and_7_62() {
        let from = ReferenceSet {
            negative: vec![(-1, true), (-3, true)],
            positive: vec![(1, true)],
        };
        // delta_rps_sign 1, abs_delta_rps_minus1 0; all four used.
        let data = bits("1 1 1111");
        let set = predicted_set(&mut BitReader::new(&data, "test"), &from).unwrap();
        assert_eq!(set.negative, [(-1, true), (-2, true), (-4, true)]);
        assert!(set.positive.is_empty(), "1 - 1 is the picture itself");
        // delta 2: -1 is not used, and not kept; -3 is kept only.
        let data = bits("0 010 00 01 1 1");
        let set = predicted_set(&mut BitReader::new(&data, "test"), &from).unwrap();
        assert_eq!(set.negative, [(-1, false)]);
        assert_eq!(set.positive, [(2, true), (3, true)]);
    }

    #[test]
    fn sets_are_read_to_the_bit() {
        // Three sets: -1, -3 and +1; predicted from it; none. Then a mark.
        let data = bits("011 010 1 1 010 1 1 1  1 1 1 1111  0 1 1  1011");
        let mut reader = BitReader::new(&data, "test");
        let mut sets = Vec::new();
        for _ in 0..3 {
            let set = ReferenceSet::read(&mut reader, &sets, false).unwrap();
            sets.push(set);
        }
        assert_eq!(sets[0].negative, [(-1, true), (-3, true)]);
        assert_eq!(sets[2], ReferenceSet::default());
        assert_eq!(reader.u(4, "mark").unwrap(), 0b1011);
        // In a slice: predicted from the first of three, two before the last.
        let data = bits("1 011 1 1 1111");
        let set = ReferenceSet::read(&mut BitReader::new(&data, "test"), &sets, true).unwrap();
        assert_eq!(set.negative, [(-1, true), (-2, true), (-4, true)]);
        let data = bits("1 00100 1 1 1111");
        assert!(ReferenceSet::read(&mut BitReader::new(&data, "test"), &sets, true).is_err());
    }

    #[test]
    fn a_window_that_leaves_nothing_is_an_error() {
        let window = |text| {
            let data = bits(text);
            conformance_window(&mut BitReader::new(&data, "test"), Size::new(16, 16), 1)
        };
        // Left 2, right 2, top 0, bottom 1 units of two samples.
        let rect = window("1 011 011 1 010").unwrap();
        assert_eq!((rect.x, rect.width, rect.y, rect.height), (4, 8, 0, 14));
        // 4 + 4 units are the whole width.
        assert!(window("1 00101 00101 1 1").is_err());
    }
}
