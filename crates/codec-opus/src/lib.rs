//! Opus decoding over libopus.
