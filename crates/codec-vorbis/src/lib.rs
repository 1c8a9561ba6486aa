//! Vorbis encoding over libvorbis.

#![forbid(unsafe_code)]
