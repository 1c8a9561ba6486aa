//! FLAC encoding over flacenc.

#![forbid(unsafe_code)]
