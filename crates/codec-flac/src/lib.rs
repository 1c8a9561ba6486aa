//! FLAC encoding over flacenc.

#![forbid(unsafe_code)]

mod depth;
mod encoder;
mod library;
mod rate;

pub use encoder::Flac;
