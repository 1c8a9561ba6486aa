//! HEVC decoding in software.
