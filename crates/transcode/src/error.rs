//! What can go wrong with a job.

use std::path::{Path, PathBuf};

use reelcore_media::demux::DemuxError;
use reelcore_media::mux::MuxError;
use reelcore_media::{ErrorKind, MediaError};

/// Why a job was not done. Nothing of its outputs is left then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The specification is wrong.
    #[error("{}{message}", at(.path))]
    Spec {
        /// The field in the JSON, such as `outputs[0].streams[1].video.codec`; empty for the whole.
        path: String,
        /// What was expected and what was found.
        message: String,
    },
    /// An input cannot be read, or holds what is not supported.
    #[error("{}: {message}", .path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An output cannot be written.
    #[error("{}: {message}", .path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The job failed on the way: a filter, an encoder.
    #[error("{0}")]
    Failed(String),
    /// The job was cancelled.
    #[error("the job was cancelled")]
    Cancelled,
}

fn at(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("{path}: "),
    }
}

/// The most characters of a name or a text of a specification that an error repeats, with what it says of it.
const MAX_SHOWN: usize = 1000;

/// Text of the specification, without what could drive a terminal, and not without end.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl JobError {
    pub(crate) fn spec(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Spec {
            path: shown(&path.into()),
            message: shown(&message.into()),
        }
    }

    pub(crate) fn input(path: &Path, message: impl ToString) -> Self {
        Self::Input {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }

    pub(crate) fn output(path: &Path, message: impl ToString) -> Self {
        Self::Output {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }

    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::Failed(message.to_string())
    }

    /// What kind it is, in one word: `specification`, `input`, `output`, `failed` or `cancelled`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Spec { .. } => "specification",
            Self::Input { .. } => "input",
            Self::Output { .. } => "output",
            Self::Cancelled => "cancelled",
        }
    }

    /// The exit code of a program that stops with it: 1 for a job that failed, 2 for a wrong specification, 3 for an input, 4
    /// for an output, 130 for a job that was cancelled.
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Failed(_) => 1,
            Self::Spec { .. } => 2,
            Self::Input { .. } => 3,
            Self::Output { .. } => 4,
            Self::Cancelled => 130,
        }
    }
}

impl From<MediaError> for JobError {
    fn from(error: MediaError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// An error of a demuxer, which knows nothing of paths.
pub(crate) fn demux(path: &Path, error: &DemuxError) -> JobError {
    JobError::input(path, error)
}

/// An error of an encoder: what no encoder can do was asked for at `path`.
pub(crate) fn encoder(path: &str, error: MediaError) -> JobError {
    match error.kind {
        ErrorKind::Unsupported | ErrorKind::InvalidArgument => {
            JobError::spec(path, error.to_string())
        }
        _ => error.into(),
    }
}

/// An error of a muxer, which knows nothing of paths.
pub(crate) fn mux(path: &Path, error: &MuxError) -> JobError {
    JobError::output(path, error)
}
