//! What an algorithm throws.

use std::borrow::Cow;
use std::fmt;

use deno_core::v8;

use super::host::Host;

/// An exception on its way to JavaScript: the error type of every hand-written algorithm.
#[derive(Debug)]
pub enum Exception {
    /// A `TypeError` with this message.
    TypeError(Cow<'static, str>),
    /// A `RangeError` with this message.
    RangeError(Cow<'static, str>),
    /// A `DOMException` with this name and message.
    Dom(DomExceptionName, Cow<'static, str>),
    /// A JavaScript value, to be thrown as it is.
    Value(v8::Global<v8::Value>),
    /// V8 has the exception already: a V8 call that runs scripts answered `None`. Return at once; no script can
    /// run until the exception has reached its handler.
    Pending,
}

macro_rules! dom_exception_names {
    ($($name:ident)*) => {
        /// Names of a DOMException: <https://webidl.spec.whatwg.org/#idl-DOMException-error-names>.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DomExceptionName { $($name,)* }

        impl DomExceptionName {
            /// The name, as scripts see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

dom_exception_names! {
    AbortError
    ConstraintError
    DataCloneError
    DataError
    EncodingError
    InvalidAccessError
    InvalidStateError
    NetworkError
    NotAllowedError
    NotFoundError
    NotReadableError
    NotSupportedError
    OperationError
    QuotaExceededError
    SecurityError
    SyntaxError
    TimeoutError
    UnknownError
}

impl Exception {
    /// A `TypeError`.
    pub fn type_error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::TypeError(message.into())
    }

    /// A `RangeError`.
    pub fn range_error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::RangeError(message.into())
    }

    /// A `DOMException` of any name.
    pub fn dom(name: DomExceptionName, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(name, message.into())
    }

    /// An `InvalidStateError` DOMException.
    pub fn invalid_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::InvalidStateError, message.into())
    }

    /// A `NotSupportedError` DOMException.
    pub fn not_supported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::NotSupportedError, message.into())
    }

    /// A `DataError` DOMException.
    pub fn data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::DataError, message.into())
    }

    /// A `DataCloneError` DOMException.
    pub fn data_clone(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::DataCloneError, message.into())
    }

    /// An `EncodingError` DOMException.
    pub fn encoding(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::EncodingError, message.into())
    }

    /// An `OperationError` DOMException.
    pub fn operation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::OperationError, message.into())
    }

    /// An `AbortError` DOMException.
    pub fn abort(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Dom(DomExceptionName::AbortError, message.into())
    }

    /// An exception that throws `value` itself.
    pub fn value(scope: &v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Self {
        Self::Value(v8::Global::new(scope, value))
    }

    /// The exception as a new JavaScript value; `None` for [`Exception::Pending`], whose value V8 holds.
    pub fn to_value<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<v8::Local<'s, v8::Value>> {
        Some(match self {
            Self::TypeError(message) => {
                let message = text(scope, message);
                v8::Exception::type_error(scope, message)
            }
            Self::RangeError(message) => {
                let message = text(scope, message);
                v8::Exception::range_error(scope, message)
            }
            Self::Dom(name, message) => match Host::get(scope).dom_exception(scope, *name, message)
            {
                Some(exception) => exception,
                // Only when script execution is being terminated.
                None => {
                    let message = text(scope, message);
                    v8::Exception::error(scope, message)
                }
            },
            Self::Value(value) => v8::Local::new(scope, value),
            Self::Pending => return None,
        })
    }

    /// Throws the exception. Return to V8 straight afterwards.
    pub fn throw(self, scope: &mut v8::PinScope<'_, '_>) {
        if let Some(value) = self.to_value(scope) {
            scope.throw_exception(value);
        }
    }
}

fn text<'s>(scope: &mut v8::PinScope<'s, '_>, message: &str) -> v8::Local<'s, v8::String> {
    // `None`: longer than V8's limit for strings.
    v8::String::new(scope, message).unwrap_or_else(|| v8::String::empty(scope))
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TypeError(message) => write!(f, "TypeError: {message}"),
            Self::RangeError(message) => write!(f, "RangeError: {message}"),
            Self::Dom(name, message) => write!(f, "{}: {message}", name.as_str()),
            Self::Value(_) => f.write_str("a JavaScript value"),
            Self::Pending => f.write_str("an exception that V8 holds"),
        }
    }
}

impl std::error::Error for Exception {}
