//! The runtime, from the outside: scripts that test the globals, the command line, and the library.

mod chromium;
mod command;
mod conformance;
mod embedding;
mod jobs;
mod library;
mod mediabunny;
mod scripts;
#[cfg(unix)]
mod unix;

use std::path::PathBuf;

/// A file beside these tests.
fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/js")).join(name)
}
