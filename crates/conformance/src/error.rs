//! Why streams are not at hand.

use std::path::{Path, PathBuf};

use reelcore_media::MediaError;

/// Why a stream, its checksums or a tool cannot be used. Each is a failure of the test that asks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package with the streams was never downloaded.
    #[error(
        "the package cros-codecs 0.0.6 is not in cargo's registry folder: run `cargo fetch` ({0})"
    )]
    NoPackage(String),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The `ffmpeg` command is missing or failed.
    #[error("ffmpeg {args}: {reason}")]
    Ffmpeg {
        /// Its arguments.
        args: String,
        /// What it said.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File {
            path: path.to_path_buf(),
            error,
        }
    }

    pub(crate) fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn media(path: &Path) -> impl Fn(MediaError) -> Self + '_ {
        |error| Self::format(path, error)
    }
}
