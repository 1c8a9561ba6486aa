//! Decoding over the system's libavcodec.
