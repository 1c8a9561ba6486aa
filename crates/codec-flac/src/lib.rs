//! FLAC encoding over flacenc.

#![forbid(unsafe_code)]

mod depth;
mod encoder;
mod rate;

pub use encoder::Flac;
