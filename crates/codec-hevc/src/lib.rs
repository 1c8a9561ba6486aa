//! HEVC decoding over rusty_h265, in Rust.
//!
//! rusty_h265 decodes the Main, Main 10 and Main Still Picture profiles. Its modules for slices, reconstruction and
//! in-loop filters are used as they are; the process around them (chapter 8.1 to 8.3 and annex C of ITU-T H.265) is
//! here, so that
//!
//! - parameter sets are read first (`reelcore_media::hevc`), and a stream that rusty_h265 does not decode, or a
//!   picture above the caps, is refused with a reason before memory is allocated for it;
//! - a picture is whole, with all its references, or it is an error;
//! - each frame has the timestamp and the duration of its own chunk, and leaves as soon as the stream permits;
//! - picture memory is shared with the frames where its samples have the frame's form.

#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod memory;
mod picture;
mod references;
mod sets;

#[cfg(feature = "bench")]
pub mod bare;

pub use backend::Hevc;
