//! Vorbis encoding over libvorbis.

#![deny(unsafe_code)]

mod encoder;
// The bindings that give packets: `vorbis_rs` has them in Ogg pages only.
#[allow(unsafe_code)]
mod library;

pub use encoder::Vorbis;
