//! VP8 and VP9 decoding over libvpx.
