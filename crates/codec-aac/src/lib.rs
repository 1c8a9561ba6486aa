//! AAC decoding over rusty_aac.

#![forbid(unsafe_code)]

mod backend;
mod decoder;

pub use backend::Aac;
