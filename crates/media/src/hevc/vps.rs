//! Video parameter sets (7.3.2.1).

use super::nal::Nal;
use super::profile::ProfileTierLevel;
use crate::error::MediaError;
use crate::h264::{BitReader, unescape_into};

/// Enough for everything that is read.
const MAX_BYTES: usize = 512;

/// A video parameter set, as far as it matters for a stream of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vps {
    /// vps_video_parameter_set_id: 0 to 15.
    pub id: u8,
    /// vps_max_layers_minus1 + 1.
    pub max_layers: u8,
    /// vps_max_sub_layers_minus1 + 1: temporal sub-layers, 1 to 7.
    pub max_sub_layers: u8,
    /// vps_temporal_id_nesting_flag.
    pub temporal_id_nesting: bool,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
}

impl Vps {
    /// Reads the set of `nal`.
    ///
    /// # Errors
    /// `InvalidData` with the bit offset.
    pub fn parse(nal: &Nal<'_>) -> Result<Self, MediaError> {
        let mut rbsp = Vec::new();
        unescape_into(nal.payload(), MAX_BYTES, &mut rbsp);
        let r = &mut BitReader::new(&rbsp, "VPS");
        let id = r.u(4, "vps_video_parameter_set_id")? as u8;
        r.u(2, "vps_base_layer flags")?;
        let max_layers = 1 + r.u(6, "vps_max_layers_minus1")? as u8;
        let max_sub_layers = 1 + r.u(3, "vps_max_sub_layers_minus1")?;
        if max_sub_layers > 7 {
            return Err(r.error("vps_max_sub_layers_minus1 is 7, expected at most 6"));
        }
        let temporal_id_nesting = r.flag("vps_temporal_id_nesting_flag")?;
        r.u(16, "vps_reserved_0xffff_16bits")?;
        let profile = ProfileTierLevel::read(r, max_sub_layers)?;
        Ok(Self {
            id,
            max_layers,
            max_sub_layers: max_sub_layers as u8,
            temporal_id_nesting,
            profile,
        })
    }
}
