//! What can go wrong when a runtime is made or runs.

use std::fmt;

use deno_core::error::{CoreError, CoreErrorKind, JsError};

/// Why a runtime could not be made, or why a run of it ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// A script threw, or a promise was rejected, and neither a handler nor an `error` or `unhandledrejection` listener
    /// took it.
    #[error("{0}")]
    Uncaught(Uncaught),

    /// The script called `Deno.exit(code)`. The library never ends the process: that is for the embedder to do.
    #[error("the script called Deno.exit({0})")]
    Exit(i32),

    /// [`Terminator::terminate`](crate::Terminator::terminate) was called.
    #[error("the run was terminated")]
    Terminated,

    /// The V8 heap reached the limit given to [`RuntimeBuilder::memory_limit`](crate::RuntimeBuilder::memory_limit).
    #[error("JavaScript used more than its heap limit of {limit} bytes")]
    HeapLimit {
        /// The limit, in bytes.
        limit: usize,
    },

    /// A module could not be found, read, parsed or linked.
    #[error("{0}")]
    Module(String),

    /// A path can not be written as a `file:` URL.
    #[error("{path:?} can not be written as a file: URL: expected an absolute path")]
    Path {
        /// The path as it was given.
        path: std::path::PathBuf,
    },

    /// The current directory is needed, and it can not be read.
    #[error("the current directory can not be read: {0}")]
    CurrentDirectory(#[source] std::io::Error),

    /// A runtime was made where no Tokio runtime is entered.
    #[error(
        "a Runtime must be made inside a current-thread Tokio runtime: V8's delayed tasks run on it"
    )]
    NoTokio,

    /// A runtime was made, or is run, where a Tokio runtime of several threads is entered.
    #[error(
        "a Runtime must be made and run inside a current-thread Tokio runtime, not one of several threads: what waits on it \
         stays on the thread of its isolate"
    )]
    TokioThreads,

    /// An extension or the bootstrap failed: a fault of the embedder or of this crate, not of a script.
    #[error("the JavaScript runtime could not be set up: {0}")]
    Setup(String),
}

impl RuntimeError {
    /// The exit code of a process that ends because of this: the script's own for [`RuntimeError::Exit`], else 1.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Exit(code) => *code,
            _ => 1,
        }
    }

    /// An error of deno_core that came up while modules were loaded or the event loop ran.
    pub(crate) fn from_core(error: CoreError) -> Self {
        match *error.0 {
            CoreErrorKind::Js(error) => Self::Uncaught(Uncaught {
                error,
                in_promise: false,
            }),
            other => Self::Module(other.to_string()),
        }
    }
}

/// An error that no script took.
///
/// Its `Display` is what the command line prints: the error with its stack, the line of source where it was made (of a module,
/// unless the line is long, the module very large, or many were loaded after it), its causes and the errors of an `AggregateError`.
#[derive(Debug, Clone)]
pub struct Uncaught {
    /// The error as V8 has it.
    pub error: Box<JsError>,
    /// Whether a rejected promise brought it.
    pub in_promise: bool,
}

/// How many causes and aggregated errors are printed: an error may be its own cause.
const MAX_NESTED_ERRORS: usize = 16;

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_promise {
            "Uncaught (in promise) "
        } else {
            "Uncaught "
        })?;
        let mut left = MAX_NESTED_ERRORS;
        write_error(f, &self.error, "", &mut left)
    }
}

fn write_error(
    f: &mut fmt::Formatter<'_>,
    error: &JsError,
    indent: &str,
    left: &mut usize,
) -> fmt::Result {
    let message = error
        .exception_message
        .trim_start_matches("Uncaught ")
        .trim_start_matches("(in promise) ");
    write_indented(f, message, indent)?;
    if let (Some(line), Some(index)) = (&error.source_line, error.source_line_frame_index)
        && let Some(column) = error
            .frames
            .get(index)
            .and_then(|frame| frame.column_number)
    {
        write_source_line(f, line, column, indent)?;
    }
    // The message has been printed; what is left of the stack are its frames.
    let mut has_frames = false;
    let stack = error.stack.as_deref().unwrap_or_default();
    for line in stack.lines().filter(|line| line.starts_with("    at ")) {
        has_frames = true;
        write!(f, "\n{indent}{line}")?;
    }
    // A syntax error has no stack, only a place. Of an error without either, V8 says where it was reported.
    if !has_frames
        && let Some(frame) = error.frames.first()
        && let Some(file) = &frame.file_name
        && !file.starts_with("ext:")
    {
        write!(f, "\n{indent}    at {file}")?;
        if let (Some(line), Some(column)) = (frame.line_number, frame.column_number) {
            write!(f, ":{line}:{column}")?;
        }
    }
    let deeper = format!("{indent}    ");
    for inner in error.aggregated.iter().flatten() {
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        write!(f, "\n{deeper}")?;
        write_error(f, inner, &deeper, left)?;
    }
    if let Some(cause) = &error.cause
        && *left > 0
    {
        *left -= 1;
        write!(f, "\n{indent}Caused by: ")?;
        write_error(f, cause, indent, left)?;
    }
    Ok(())
}

fn write_indented(f: &mut fmt::Formatter<'_>, text: &str, indent: &str) -> fmt::Result {
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            write!(f, "\n{indent}")?;
        }
        f.write_str(line)?;
    }
    Ok(())
}

/// The line that threw with a caret under its column. Long lines (minified code) say nothing: they are left out.
fn write_source_line(
    f: &mut fmt::Formatter<'_>,
    line: &str,
    column: i64,
    indent: &str,
) -> fmt::Result {
    let Ok(column) = usize::try_from(column) else {
        return Ok(());
    };
    // V8 counts code units of UTF-16.
    if column == 0 || column > line.encode_utf16().count() || line.chars().count() > 150 {
        return Ok(());
    }
    write!(f, "\n{indent}{line}\n{indent}")?;
    let mut before = column - 1;
    for c in line.chars() {
        let Some(rest) = before.checked_sub(c.len_utf16()) else {
            break;
        };
        before = rest;
        f.write_str(if c == '\t' { "\t" } else { " " })?;
    }
    f.write_str("^")
}
