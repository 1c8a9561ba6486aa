//! AAC decoding over rusty_aac, and AAC-LC encoding.

#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod encoder;
mod lc;
mod returns;
mod scan;

pub use backend::Aac;
pub use encoder::AacEncoder;
