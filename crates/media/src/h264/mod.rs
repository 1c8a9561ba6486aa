//! H.264 bitstream syntax that decoders need before, or beside, a codec library: NAL units in both
//! packagings, parameter sets, slice headers, picture order count, and the order of output.
//!
//! Section and table numbers are those of ITU-T H.264 (08/2021); "avc" packaging and `avcC` are of
//! ISO/IEC 14496-15. Every parser is bounded by its input's length.

mod access_unit;
mod avcc;
mod bits;
mod in_band;
mod nal;
mod order;
mod poc;
mod pps;
mod sei;
mod slice;
mod sps;

pub use access_unit::access_units;
pub use avcc::AvcC;
pub use bits::{BitReader, escape_into, unescape_into};
pub use in_band::{InBandSets, PpsUse, first_sets};
pub(crate) use nal::unit_bytes;
pub use nal::{Nal, NalKind, Packaging, START_CODE, nal_units};
pub use order::OutputOrder;
pub use poc::PictureOrder;
pub use pps::Pps;
pub use sei::RecoveryPoint;
pub use slice::{SliceHeader, SliceKind};
pub use sps::{PocType, Sps, Vui};
