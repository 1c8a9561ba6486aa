//! The error every codec and conversion returns.

/// What went wrong, in the classes that WebCodecs tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The codec, profile, format or option is not supported: `NotSupportedError`.
    Unsupported,
    /// The data is not what the codec or format prescribes: `EncodingError`.
    InvalidData,
    /// A configured cap on memory or size was reached: `EncodingError`, naming the cap.
    LimitExceeded,
    /// An argument does not fit (a buffer too small, a rectangle outside): `TypeError`.
    InvalidArgument,
    /// The backend failed by itself (a device lost, memory refused): `OperationError`.
    Backend,
}

/// An error of the media layer: a class, and a message that says what was expected, what was found
/// and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MediaError {
    /// The class.
    pub kind: ErrorKind,
    /// The message.
    pub message: String,
}

impl MediaError {
    /// An error of `kind` with `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::InvalidData`].
    pub fn invalid_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidData, message)
    }

    /// [`ErrorKind::LimitExceeded`].
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::LimitExceeded, message)
    }

    /// [`ErrorKind::InvalidArgument`].
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// [`ErrorKind::Backend`].
    pub fn backend(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Backend, message)
    }
}
