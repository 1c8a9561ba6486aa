#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod embedded;
mod error;
mod extensions;
mod fetch;
mod modules;
mod ops;
mod ready;
mod runtime;
mod state;
mod url_mapper;

pub use builder::{ConsoleHook, ConsoleLevel, RuntimeBuilder, UncaughtHook};
pub use error::{RuntimeError, Uncaught};
pub use runtime::{Runtime, create_tokio_runtime, init_platform};
pub use state::Terminator;
pub use url_mapper::{MappedUrl, UrlMapper};

pub use bytes;
pub use deno_core;
pub use webcodecs;

/// Writes to standard error, all of it: where that does not block and is full, it waits. What the `reelcore` command reports with.
///
/// # Errors
/// What the file reports: nobody reads it any more, for one.
#[doc(hidden)]
pub fn write_stderr(text: &str) -> std::io::Result<()> {
    ops::write_all(std::io::stderr(), text.as_bytes(), &|| false)
}

/// The embedding guide: its examples compile and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
pub struct EmbeddingGuide;

/// The project's front page: its embedding example compiles and runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
