//! H.264 over OpenH264 (vendored 2.7.0), both ways.
//!
//! OpenH264 encodes Constrained Baseline, Main and High, from the frame's own planes; a coded picture is copied once,
//! out of OpenH264's memory.
//!
//! OpenH264 decodes progressive 8-bit 4:2:0 pictures of the Baseline, Main and High profiles. This
//! crate puts in front of it what it lacks or does in ways that lose frames or their times:
//!
//! - parameter sets and slice headers are read here first (`reelcore_media::h264`), so that a stream
//!   that OpenH264 would decode wrongly, or a picture above the caps, is refused with a reason before
//!   OpenH264 sees it;
//! - OpenH264 gives each picture out in decoding order, from the very call that got its slices, and
//!   the order of output is made here from picture order counts, so that each frame has the
//!   timestamp and the duration of its own chunk;
//! - error concealment is off: a picture is whole or it is an error.
//!
//! The modules `library` and `encode::library` hold all `unsafe` code.

mod backend;
mod decoder;
mod encode;
mod library;
mod sequence;

#[cfg(feature = "bench")]
pub mod bare;

pub use backend::OpenH264;
pub use encode::OpenH264Encoder;
