//! Conformance streams with reference checksums, for the tests of other crates.
