//! HEVC bitstream syntax that decoders and containers need before, or beside, a codec library: NAL units in both
//! packagings, parameter sets, `hvcC`, access units, picture order count, and the order of output.
//!
//! Section and table numbers are those of ITU-T H.265 (08/2021); `hvcC` is of ISO/IEC 14496-15. Every parser is
//! bounded by its input's length.

mod access_unit;
mod hrd;
mod hvcc;
mod nal;
mod order;
mod poc;
mod pps;
mod profile;
mod scaling;
mod slice;
mod sps;
mod vps;
mod vui;

pub use access_unit::{AccessUnit, AccessUnitStarts, access_units, starts_with_irap};
pub use hvcc::{HvcC, NalArray};
pub use nal::{Nal, NalType, Packaging, START_CODE, nal_units};
pub use order::OutputOrder;
pub use poc::PictureOrder;
pub use pps::Pps;
pub use profile::ProfileTierLevel;
pub use slice::SliceStart;
pub use sps::{RangeExtension, ReferenceSet, Sps, SubLayerOrdering};
pub use vps::Vps;
pub use vui::{Timing, Vui};
