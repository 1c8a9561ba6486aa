//! Callback functions: <https://webidl.spec.whatwg.org/#js-callback-function>.

use std::fmt;

use deno_core::v8;

use super::host::Host;
use super::{Context, Exception};

/// The function of a callback type named `name`.
///
/// # Errors
/// A TypeError for a value that cannot be called.
pub fn function<'s>(
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
    name: &'static str,
) -> Result<v8::Local<'s, v8::Function>, Exception> {
    v8::Local::<v8::Function>::try_from(value).map_err(|_| {
        context.type_error(format_args!(
            "is not of type '{name}': it is not a function."
        ))
    })
}

/// A callback function for a garbage-collected object to keep: call [`TracedCallback::trace`] from the object's
/// `trace`. Never put one into a `Box`, an `Rc` or another allocation that the garbage collector cannot see.
pub struct TracedCallback {
    function: v8::TracedReference<v8::Function>,
}

impl TracedCallback {
    /// Keeps `function`.
    pub fn new<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        function: v8::Local<'s, v8::Function>,
    ) -> Self {
        Self {
            function: v8::TracedReference::new(scope, function),
        }
    }

    /// The function.
    pub fn get<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Function>> {
        self.function.get(scope)
    }

    /// Tells the garbage collector of the function.
    pub fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        visitor.trace(&self.function);
    }
}

impl fmt::Debug for TracedCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TracedCallback")
    }
}

/// <https://webidl.spec.whatwg.org/#invoke-a-callback-function> with "rethrow".
///
/// # Errors
/// What the function threw.
pub fn invoke<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: v8::Local<'s, v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) -> Result<v8::Local<'s, v8::Value>, Exception> {
    let this = v8::undefined(scope).into();
    function
        .call(scope, this, arguments)
        .ok_or(Exception::Pending)
}

/// <https://webidl.spec.whatwg.org/#invoke-a-callback-function> with "report", from a task of the event loop and
/// never from inside of a script: it ends with a microtask checkpoint, as the end of every script does.
pub fn invoke_and_report<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: v8::Local<'s, v8::Function>,
    arguments: &[v8::Local<'s, v8::Value>],
) {
    let terminated = {
        v8::tc_scope!(let scope, scope);
        let this = v8::undefined(scope).into();
        let called = function.call(scope, this, arguments).is_some();
        let terminated = !called && scope.has_terminated();
        if !called
            && !terminated
            && let Some(exception) = scope.exception()
        {
            scope.reset();
            Host::get(scope).report_exception(scope, exception);
        }
        terminated
    };
    end_script(scope, terminated);
}

/// What follows the end of a script in a task of the event loop: a microtask checkpoint
/// (<https://html.spec.whatwg.org/#clean-up-after-running-script>), unless it was `terminated`. A request to terminate scripts is used
/// up where none is left, and what comes next in the task would run: so it is made again.
pub fn end_script(scope: &mut v8::PinScope<'_, '_>, terminated: bool) {
    let terminated = terminated || {
        v8::tc_scope!(let scope, scope);
        scope.perform_microtask_checkpoint();
        scope.has_terminated()
    };
    if terminated {
        scope.terminate_execution();
    }
}
