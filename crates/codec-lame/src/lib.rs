//! MP3 encoding over LAME, with the cargo feature `lame`. LAME is under the LGPL: without the feature there is nothing
//! here, and nothing of it in the build.

#![deny(unsafe_code)]

#[cfg(feature = "lame")]
mod encoder;
#[cfg(feature = "lame")]
mod frames;
// The wrapper of LAME, `mp3lame-encoder`, cannot set an average bit rate.
#[cfg(feature = "lame")]
#[allow(unsafe_code)]
mod library;

#[cfg(feature = "lame")]
pub use encoder::Mp3;
