//! Conversion of pixels and samples.
