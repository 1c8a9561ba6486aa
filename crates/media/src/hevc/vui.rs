//! vui_parameters() (E.2.1).

use super::hrd::skip_hrd;
use crate::color::ColorSpace;
use crate::error::MediaError;
use crate::h264::BitReader;

/// Video usability information, as far as decoders and containers use it. The default display window is not
/// applied: it is a hint that players ignore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vui {
    /// Sample aspect ratio: width and height, where given.
    pub sample_aspect: Option<(u16, u16)>,
    /// Colour, as far as it is given.
    pub color: ColorSpace,
    /// field_seq_flag: each picture is a field.
    pub fields: bool,
    /// The clock of the stream, where given.
    pub timing: Option<Timing>,
    /// min_spatial_segmentation_idc: 0 to 4095.
    pub min_spatial_segmentation: u16,
}

/// vui_num_units_in_tick and vui_time_scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Units of a tick, which is the shortest time between pictures; not 0.
    pub units_in_tick: u32,
    /// Units of a second; not 0.
    pub time_scale: u32,
}

/// Table E.1, from aspect_ratio_idc 1 on.
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

/// EXTENDED_SAR.
const EXTENDED_SAR: u32 = 255;

impl Vui {
    /// Reads vui_parameters() into `self`: what stands before an error is kept.
    pub(super) fn read(
        &mut self,
        r: &mut BitReader<'_>,
        sub_layers: u32,
    ) -> Result<(), MediaError> {
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
            self.sample_aspect = (width != 0 && height != 0).then_some((width, height));
        }
        if r.flag("overscan_info_present_flag")? {
            r.flag("overscan_appropriate_flag")?;
        }
        if r.flag("video_signal_type_present_flag")? {
            r.u(3, "video_format")?;
            let full_range = r.flag("video_full_range_flag")?;
            self.color.full_range = Some(full_range);
            if r.flag("colour_description_present_flag")? {
                self.color = ColorSpace::from_code_points(
                    r.u(8, "colour_primaries")? as u8,
                    r.u(8, "transfer_characteristics")? as u8,
                    r.u(8, "matrix_coeffs")? as u8,
                    full_range,
                );
            }
        }
        if r.flag("chroma_loc_info_present_flag")? {
            r.ue("chroma_sample_loc_type_top_field")?;
            r.ue("chroma_sample_loc_type_bottom_field")?;
        }
        r.flag("neutral_chroma_indication_flag")?;
        self.fields = r.flag("field_seq_flag")?;
        r.flag("frame_field_info_present_flag")?;
        if r.flag("default_display_window_flag")? {
            for _ in 0..4 {
                r.ue("def_disp_win_offset")?;
            }
        }
        if r.flag("vui_timing_info_present_flag")? {
            let units_in_tick = r.u(32, "vui_num_units_in_tick")?;
            let time_scale = r.u(32, "vui_time_scale")?;
            self.timing = (units_in_tick != 0 && time_scale != 0).then_some(Timing {
                units_in_tick,
                time_scale,
            });
            if r.flag("vui_poc_proportional_to_timing_flag")? {
                r.ue("vui_num_ticks_poc_diff_one_minus1")?;
            }
            if r.flag("vui_hrd_parameters_present_flag")? {
                skip_hrd(r, sub_layers)?;
            }
        }
        if r.flag("bitstream_restriction_flag")? {
            r.u(3, "tiles, motion vector and list restrictions")?;
            self.min_spatial_segmentation = r.ue_max(4095, "min_spatial_segmentation_idc")? as u16;
            r.ue("max_bytes_per_pic_denom")?;
            r.ue("max_bits_per_min_cu_denom")?;
            r.ue("log2_max_mv_length_horizontal")?;
            r.ue("log2_max_mv_length_vertical")?;
        }
        Ok(())
    }
}
