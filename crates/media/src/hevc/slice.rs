//! The start of slice_segment_header() (7.3.6.1), which stands before everything that needs parameter sets.

use super::nal::Nal;
use crate::error::MediaError;
use crate::h264::{BitReader, unescape_into};

/// Enough for everything that is read.
const MAX_BYTES: usize = 8;

/// The first elements of a slice segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceStart {
    /// first_slice_segment_in_pic_flag.
    pub first_in_picture: bool,
    /// no_output_of_prior_pics_flag; false where it is absent.
    pub no_output_of_prior_pics: bool,
    /// slice_pic_parameter_set_id: 0 to 63.
    pub pps_id: u8,
}

impl SliceStart {
    /// Reads the start of the slice segment of `nal`.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "slice segment header");
        let first_in_picture = r.flag("first_slice_segment_in_pic_flag")?;
        let no_output_of_prior_pics =
            nal.nal_type.is_irap() && r.flag("no_output_of_prior_pics_flag")?;
        let pps_id = r.ue_max(63, "slice_pic_parameter_set_id")? as u8;
        Ok(Self {
            first_in_picture,
            no_output_of_prior_pics,
            pps_id,
        })
    }
}
