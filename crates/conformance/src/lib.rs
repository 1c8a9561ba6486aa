//! Conformance streams with reference checksums, for the tests of other crates.
//!
//! [`streams`] finds the streams of the package cros-codecs 0.0.6 and, where they are there, those of
//! `../shared/vectors`. [`check`] decodes one with a backend and compares every frame. [`ffmpeg_make`] and
//! [`ffmpeg_framemd5`] make more clips and their checksums with the `ffmpeg` command; [`sound`] does so for audio.

#![forbid(unsafe_code)]

mod av1;
mod check;
pub mod encoding;
mod error;
mod ffmpeg;
mod h264;
mod ivf;
mod locate;
mod md5;
pub mod random;
pub mod sound;
pub mod sound_encoding;
pub mod speed;
mod stream;
pub mod stretches;
pub mod video;

pub use av1::annexb_to_low_overhead;
pub use check::{Mismatch, Report, check};
pub use error::Error;
pub use ffmpeg::{ffmpeg_framemd5, ffmpeg_make};
pub use ivf::ivf_frames;
pub use locate::{package, vectors, web_platform_tests};
pub use md5::{Layout, frame_md5, md5};
pub use stream::{Checksums, Family, Stream, streams};
