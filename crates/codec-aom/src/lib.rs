//! AV1 encoding over libaom.
