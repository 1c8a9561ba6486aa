//! What a container must know of coded frames: their headers, for codec strings, key frames and durations that the
//! container itself does not give.

pub(crate) mod audio;
pub(crate) mod av1;
mod bits;
pub(crate) mod vp9;

pub(crate) use bits::Bits;
