//! Promises: <https://webidl.spec.whatwg.org/#js-promise>.

use std::fmt;
use std::marker::PhantomData;

use deno_core::v8;

use super::{Exception, ToJs};

/// `Promise<T>`: what an operation that returns a promise hands to JavaScript.
pub struct Promise<'s, T> {
    promise: v8::Local<'s, v8::Promise>,
    value: PhantomData<fn(T)>,
}

/// The other end of a pending [`Promise`]. It may be kept anywhere on the JavaScript thread. Dropped unsettled, the
/// promise stays pending.
pub struct Deferred<T> {
    resolver: v8::Global<v8::PromiseResolver>,
    value: PhantomData<fn(T)>,
}

impl<'s, T> Promise<'s, T> {
    /// <https://webidl.spec.whatwg.org/#a-new-promise>
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn pending(scope: &mut v8::PinScope<'s, '_>) -> Result<(Self, Deferred<T>), Exception> {
        let resolver = v8::PromiseResolver::new(scope).ok_or(Exception::Pending)?;
        let promise = Self::from_local(resolver.get_promise(scope));
        Ok((
            promise,
            Deferred {
                resolver: v8::Global::new(scope, resolver),
                value: PhantomData,
            },
        ))
    }

    /// <https://webidl.spec.whatwg.org/#a-promise-resolved-with>
    ///
    /// # Errors
    /// As the value's [`ToJs`], or when script execution is being terminated.
    pub fn resolved(scope: &mut v8::PinScope<'s, '_>, value: &T) -> Result<Self, Exception>
    where
        T: ToJs<'s>,
    {
        let resolver = v8::PromiseResolver::new(scope).ok_or(Exception::Pending)?;
        let value = value.to_js(scope)?;
        resolver.resolve(scope, value).ok_or(Exception::Pending)?;
        Ok(Self::from_local(resolver.get_promise(scope)))
    }

    /// <https://webidl.spec.whatwg.org/#a-promise-rejected-with>. An operation may as well return the exception as its
    /// error: the generated code rejects with it.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn rejected(
        scope: &mut v8::PinScope<'s, '_>,
        exception: &Exception,
    ) -> Result<Self, Exception> {
        let resolver = v8::PromiseResolver::new(scope).ok_or(Exception::Pending)?;
        let reason = exception.to_value(scope).ok_or(Exception::Pending)?;
        resolver.reject(scope, reason).ok_or(Exception::Pending)?;
        Ok(Self::from_local(resolver.get_promise(scope)))
    }

    /// A promise that V8 made.
    pub fn from_local(promise: v8::Local<'s, v8::Promise>) -> Self {
        Self {
            promise,
            value: PhantomData,
        }
    }

    /// The promise for V8.
    pub fn local(&self) -> v8::Local<'s, v8::Promise> {
        self.promise
    }
}

impl<T> Deferred<T> {
    /// <https://webidl.spec.whatwg.org/#resolve>. The reactions run at the next microtask checkpoint.
    ///
    /// # Errors
    /// As the value's [`ToJs`], or when script execution is being terminated.
    pub fn resolve<'s>(self, scope: &mut v8::PinScope<'s, '_>, value: &T) -> Result<(), Exception>
    where
        T: ToJs<'s>,
    {
        let value = value.to_js(scope)?;
        let resolver = v8::Local::new(scope, &self.resolver);
        resolver
            .resolve(scope, value)
            .map(drop)
            .ok_or(Exception::Pending)
    }

    /// <https://webidl.spec.whatwg.org/#reject>. The reactions run at the next microtask checkpoint.
    pub fn reject(self, scope: &mut v8::PinScope<'_, '_>, exception: &Exception) {
        let resolver = v8::Local::new(scope, &self.resolver);
        if let Some(reason) = exception.to_value(scope) {
            // `None` only when script execution is being terminated: nobody is left to tell.
            let _ = resolver.reject(scope, reason);
        }
    }

    /// The promise once more.
    pub fn promise<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Promise<'s, T> {
        let resolver = v8::Local::new(scope, &self.resolver);
        Promise::from_local(resolver.get_promise(scope))
    }
}

impl<T> fmt::Debug for Promise<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}
