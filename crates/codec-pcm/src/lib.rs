//! Uncompressed audio, and A-law and mu-law after ITU-T G.711.

#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod encoder;
mod g711;

pub use backend::Pcm;
pub use encoder::PcmEncoder;
