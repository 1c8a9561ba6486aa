//! MP3, FLAC and Vorbis decoding over Symphonia.

#![forbid(unsafe_code)]

mod backend;
mod codebooks;
mod flac;
mod library;
mod mp3;
mod vorbis;

pub use backend::Symphonia;
