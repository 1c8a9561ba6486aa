//! Opus decoding over libopus.

#![forbid(unsafe_code)]

mod backend;
mod decoder;
mod head;

pub use backend::Opus;
