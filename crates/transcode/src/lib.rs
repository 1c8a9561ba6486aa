//! Jobs: decode, filter, encode and write files.

#![forbid(unsafe_code)]
