//! Opus decoding and encoding over libopus.

#![deny(unsafe_code)]

mod backend;
mod decoder;
mod encoder;
mod head;
// Its encoder for surround sound is not in `opus`.
#[allow(unsafe_code)]
mod library;

pub use backend::Opus;
pub use encoder::OpusEncoder;
