//! AV1 encoding over libaom (vendored 3.11): Main, High and Professional, 8, 10 and 12 bits.
//!
//! libaom encodes from the frame's own planes; a coded picture is copied once, out of libaom's memory. Every frame
//! gives one chunk, a temporal unit: hidden frames stand in that of the next shown one.
//!
//! The module `library` holds all `unsafe` code.

mod backend;
#[cfg(feature = "bench")]
pub mod bare;
mod encoder;
mod library;
mod settings;

pub use backend::Aom;
