//! Platform objects and the calls that scripts make on them.

use std::fmt;
use std::ops::Deref;

use deno_core::cppgc::{self, GarbageCollected};
use deno_core::v8;
use deno_error::JsErrorBox;

use super::host::Host;
use super::{Context, Exception, Promise};

/// What the generator knows of an interface.
pub trait Interface: GarbageCollected + Sized + 'static {
    /// The interface's name.
    const NAME: &'static str;
    /// Whether its objects are event targets.
    const EVENT_TARGET: bool;
    /// Whether `structuredClone` copies its objects.
    const SERIALIZABLE: bool;
    /// Whether its objects can be transferred.
    const TRANSFERABLE: bool;
}

/// A platform object: the JavaScript object, and the Rust value behind it.
pub struct Handle<'s, T: GarbageCollected> {
    object: v8::Local<'s, v8::Object>,
    // Valid while `object` is, which the handle scope 's keeps alive.
    value: cppgc::UnsafePtr<T>,
}

impl<'s, T: Interface> Handle<'s, T> {
    /// A new object of the interface, with the prototype of the current realm.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn new(scope: &mut v8::PinScope<'s, '_>, value: T) -> Result<Self, Exception> {
        let object = cppgc::make_cppgc_object(scope, value);
        if T::EVENT_TARGET {
            Host::get(scope).init_event_target(scope, object)?;
        }
        Self::from_value(scope, object.into()).ok_or(Exception::Pending)
    }

    /// The platform object that `value` is, if it implements the interface.
    pub fn from_value(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Option<Self> {
        let pointer = cppgc::try_unwrap_cppgc_object::<T>(scope, value)?;
        let object = v8::Local::<v8::Object>::try_from(value).ok()?;
        Some(Self {
            object,
            value: pointer,
        })
    }

    /// <https://webidl.spec.whatwg.org/#js-interface>
    ///
    /// # Errors
    /// A TypeError for anything that does not implement the interface.
    pub fn from_js(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
        context: &Context<'_>,
    ) -> Result<Self, Exception> {
        Self::from_value(scope, value)
            .ok_or_else(|| context.type_error(format_args!("is not of type '{}'.", T::NAME)))
    }
}

impl<'s, T: GarbageCollected> Handle<'s, T> {
    /// The JavaScript object.
    pub fn object(&self) -> v8::Local<'s, v8::Object> {
        self.object
    }
}

impl<T: GarbageCollected> Deref for Handle<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: GarbageCollected> fmt::Debug for Handle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// The arguments of a call.
pub type Arguments<'a, 's> = Option<&'a v8::FunctionCallbackArguments<'s>>;

/// How many arguments a call has.
pub fn argument_count(arguments: Arguments<'_, '_>) -> usize {
    arguments.map_or(0, |arguments| {
        usize::try_from(arguments.length()).unwrap_or(0)
    })
}

/// The argument at `index`; undefined past the last.
pub fn argument<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: Arguments<'_, 's>,
    index: i32,
) -> v8::Local<'s, v8::Value> {
    match arguments {
        // V8 answers undefined past the last, too.
        Some(arguments) => arguments.get(index),
        None => v8::undefined(scope).into(),
    }
}

/// The `this` value of a call.
pub fn this<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: Arguments<'_, 's>,
) -> v8::Local<'s, v8::Object> {
    match arguments {
        Some(arguments) => arguments.this(),
        None => v8::Object::new(scope),
    }
}

/// <https://webidl.spec.whatwg.org/#internally-create-a-new-object-implementing-the-interface>: refuses a call without
/// `new`.
///
/// # Errors
/// A TypeError if NewTarget is undefined.
pub fn require_new(
    _scope: &mut v8::PinScope<'_, '_>,
    arguments: &v8::FunctionCallbackArguments<'_>,
) -> Result<(), JsErrorBox> {
    if arguments.new_target().is_undefined() {
        return Err(JsErrorBox::type_error(
            "Constructor requires 'new' operator.",
        ));
    }
    Ok(())
}

/// Runs a constructor: `construct` makes the value behind `this`, whose prototype V8 has taken from NewTarget.
pub fn construct<'s, T: Interface>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: Arguments<'_, 's>,
    construct: impl FnOnce(&mut v8::PinScope<'s, '_>) -> Result<T, Exception>,
) -> v8::Local<'s, v8::Value> {
    let this = this(scope, arguments);
    let result = construct(scope).and_then(|value| {
        cppgc::wrap_object(scope, this, value);
        if T::EVENT_TARGET {
            Host::get(scope).init_event_target(scope, this)?;
        }
        Ok(())
    });
    match result {
        Ok(()) => this.into(),
        Err(exception) => throw(scope, exception),
    }
}

/// Runs an operation or an attribute's getter or setter, and throws what it fails with.
pub fn run<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    operation: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, Exception>,
) -> v8::Local<'s, v8::Value> {
    match operation(scope) {
        Ok(value) => value,
        Err(exception) => throw(scope, exception),
    }
}

/// Runs an operation or a getter whose type is a promise: it never throws but rejects.
/// <https://webidl.spec.whatwg.org/#dfn-create-operation-function>
pub fn run_promise<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    operation: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, Exception>,
) -> v8::Local<'s, v8::Value> {
    let reason = {
        v8::tc_scope!(let scope, scope);
        match operation(scope) {
            Ok(promise) => return promise,
            // Termination is no exception: it ends every script.
            Err(_) if scope.has_terminated() => {
                scope.rethrow();
                None
            }
            Err(exception) => {
                let reason = exception.to_value(scope).or_else(|| scope.exception());
                scope.reset();
                reason
            }
        }
    };
    let Some(reason) = reason else {
        return v8::undefined(scope).into();
    };
    let exception = Exception::value(scope, reason);
    match Promise::<()>::rejected(scope, &exception) {
        Ok(promise) => promise.local().into(),
        Err(exception) => throw(scope, exception),
    }
}

#[cold]
fn throw<'s>(scope: &mut v8::PinScope<'s, '_>, exception: Exception) -> v8::Local<'s, v8::Value> {
    exception.throw(scope);
    v8::undefined(scope).into()
}

/// The error of a `this` value that does not implement the interface.
#[cold]
pub fn illegal_invocation(context: &Context<'_>) -> Exception {
    context.error("Illegal invocation.")
}

/// The error of `new` for an interface without a constructor.
#[cold]
pub fn illegal_constructor() -> Exception {
    Exception::type_error("Illegal constructor.")
}
