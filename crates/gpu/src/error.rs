//! What can go wrong on a device.

use reelcore_media::{ErrorKind, MediaError, Rect};
use wgpu_types::error::{ErrorType, WebGpuError};

/// An error of a GPU operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The device is lost, or its owner has [retired](crate::Gpu::retire) it.
    #[error("the GPU device is lost")]
    Lost,
    /// The device, or the host, has no memory left.
    #[error("the GPU has no memory left for {what}")]
    OutOfMemory {
        /// What the memory was for.
        what: String,
    },
    /// WebGPU's validation refused the operation.
    #[error("{0}")]
    Validation(String),
    /// The driver failed by itself.
    #[error("the GPU driver failed: {0}")]
    Internal(String),
    /// The frame's pixels are on another device, and not in CPU memory.
    #[error("the frame's pixels are on another GPU device")]
    OtherDevice,
    /// There is no adapter of the kind that was asked for.
    #[error("there is no GPU adapter: {0}")]
    NoAdapter(String),
    /// The device cannot do this.
    #[error("the GPU cannot {what}")]
    Unsupported {
        /// What was asked for, and what there is.
        what: String,
    },
}

impl GpuError {
    /// An error of wgpu-core, in the classes of WebGPU. `what` says what was being done.
    pub(crate) fn of(what: &str, error: &dyn WebGpuError) -> Self {
        match error.webgpu_error_type() {
            ErrorType::DeviceLost => Self::Lost,
            ErrorType::OutOfMemory => Self::OutOfMemory {
                what: what.to_owned(),
            },
            ErrorType::Validation => Self::Validation(format!("{what}: {}", chain(error))),
            ErrorType::Internal => Self::Internal(format!("{what}: {}", chain(error))),
        }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }
}

/// The message of an error and those of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

/// A part of an image, in words.
pub(crate) fn place(part: Rect) -> String {
    let Rect {
        x,
        y,
        width,
        height,
    } = part;
    format!("{width}x{height} at ({x}, {y})")
}

impl From<GpuError> for MediaError {
    fn from(error: GpuError) -> Self {
        let kind = match error {
            GpuError::Unsupported { .. } | GpuError::NoAdapter(_) => ErrorKind::Unsupported,
            GpuError::Validation(_) | GpuError::OtherDevice => ErrorKind::InvalidArgument,
            GpuError::Lost | GpuError::OutOfMemory { .. } | GpuError::Internal(_) => {
                ErrorKind::Backend
            }
        };
        Self::new(kind, error.to_string())
    }
}

/// Errors of the media layer that come up in a GPU operation: only a frame's own read-back does.
impl From<MediaError> for GpuError {
    fn from(error: MediaError) -> Self {
        match error.kind {
            ErrorKind::Unsupported => Self::unsupported(error.message),
            ErrorKind::InvalidArgument | ErrorKind::InvalidData => Self::Validation(error.message),
            ErrorKind::LimitExceeded | ErrorKind::Backend => Self::Internal(error.message),
        }
    }
}
