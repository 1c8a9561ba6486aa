//! AAC decoding and encoding over rusty_aac.

#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod encoder;
mod windowed;

pub use backend::Aac;
pub use encoder::AacEncoder;
