//! Errors of the generator.

use std::fmt;
use std::path::PathBuf;

/// A place in a .webidl file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file's name.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not Web IDL.
    #[error("{0}: this is not Web IDL that the parser understands")]
    Syntax(Location),
    /// Valid Web IDL that the generator has no support for.
    #[error("{location}: {what} is not supported by the generator")]
    Unsupported {
        /// Where.
        location: Location,
        /// The construct.
        what: String,
    },
    /// Web IDL that breaks its own rules.
    #[error("{location}: {what}")]
    Invalid {
        /// Where.
        location: Location,
        /// What is wrong.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Error {
    pub(crate) fn unsupported(location: &Location, what: impl Into<String>) -> Self {
        Self::Unsupported {
            location: location.clone(),
            what: what.into(),
        }
    }

    pub(crate) fn invalid(location: &Location, what: impl Into<String>) -> Self {
        Self::Invalid {
            location: location.clone(),
            what: what.into(),
        }
    }
}
