//! Picture parameter sets (7.3.2.3), as far as the start of a slice segment header depends on them.

use super::nal::Nal;
use crate::error::MediaError;
use crate::h264::{BitReader, unescape_into};

/// Enough for everything that is read.
const MAX_BYTES: usize = 16;

/// The first elements of a picture parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    /// pps_pic_parameter_set_id: 0 to 63.
    pub id: u8,
    /// pps_seq_parameter_set_id: 0 to 15.
    pub sps_id: u8,
    /// dependent_slice_segments_enabled_flag.
    pub dependent_slice_segments: bool,
    /// output_flag_present_flag: slice headers hold pic_output_flag.
    pub output_flag_present: bool,
    /// num_extra_slice_header_bits.
    pub extra_slice_header_bits: u8,
}

impl Pps {
    /// Reads the set of `nal`.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "PPS");
        Ok(Self {
            id: r.ue_max(63, "pps_pic_parameter_set_id")? as u8,
            sps_id: r.ue_max(15, "pps_seq_parameter_set_id")? as u8,
            dependent_slice_segments: r.flag("dependent_slice_segments_enabled_flag")?,
            output_flag_present: r.flag("output_flag_present_flag")?,
            extra_slice_header_bits: r.u(3, "num_extra_slice_header_bits")? as u8,
        })
    }
}
