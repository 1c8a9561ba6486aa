//! Rust values to JavaScript: <https://webidl.spec.whatwg.org/#js-type-mapping>.

use deno_core::cppgc::GarbageCollected;
use deno_core::v8;

use super::{BufferSource, Exception, Handle, Promise};

/// A value that JavaScript can be given.
pub trait ToJs<'s> {
    /// The JavaScript value.
    ///
    /// # Errors
    /// Only when V8 can make no such value: a string that is too long, or termination.
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception>;
}

impl<'s> ToJs<'s> for () {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(v8::undefined(scope).into())
    }
}

impl<'s> ToJs<'s> for bool {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(v8::Boolean::new(scope, *self).into())
    }
}

macro_rules! numbers {
    ($($type:ty, $method:path, $as:ty;)*) => {$(
        impl<'s> ToJs<'s> for $type {
            fn to_js(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {
                Ok($method(scope, *self as $as).into())
            }
        }
    )*};
}

numbers! {
    i8, v8::Integer::new, i32;
    u8, v8::Integer::new, i32;
    i16, v8::Integer::new, i32;
    u16, v8::Integer::new, i32;
    i32, v8::Integer::new, i32;
    u32, v8::Integer::new_from_unsigned, u32;
    // "the Number value that is closest in value": the cast rounds to nearest.
    i64, v8::Number::new, f64;
    u64, v8::Number::new, f64;
    f32, v8::Number::new, f64;
    f64, v8::Number::new, f64;
}

impl<'s> ToJs<'s> for str {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        v8::String::new(scope, self)
            .map(Into::into)
            .ok_or_else(|| Exception::range_error("The string is too long."))
    }
}

impl<'s> ToJs<'s> for String {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        self.as_str().to_js(scope)
    }
}

impl<'s, T: ToJs<'s>> ToJs<'s> for Option<T> {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        match self {
            Some(value) => value.to_js(scope),
            None => Ok(v8::null(scope).into()),
        }
    }
}

impl<'s, T: ToJs<'s>> ToJs<'s> for Vec<T> {
    fn to_js(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        let mut elements = Vec::with_capacity(self.len());
        for element in self {
            elements.push(element.to_js(scope)?);
        }
        Ok(v8::Array::new_with_elements(scope, &elements).into())
    }
}

macro_rules! locals {
    ($($type:ident)*) => {$(
        impl<'s> ToJs<'s> for v8::Local<'s, v8::$type> {
            fn to_js(&self, _: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {
                Ok((*self).into())
            }
        }
    )*};
}

locals! { Value Object Function Promise ArrayBuffer }

impl<'s, T> ToJs<'s> for Promise<'s, T> {
    fn to_js(&self, _: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(self.local().into())
    }
}

impl<'s, T: GarbageCollected + 'static> ToJs<'s> for Handle<'s, T> {
    fn to_js(&self, _: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(self.object().into())
    }
}

impl<'s> ToJs<'s> for BufferSource<'s> {
    fn to_js(&self, _: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(self.object().into())
    }
}

/// Sets a member of a dictionary that is being converted: <https://webidl.spec.whatwg.org/#dictionary-to-js>.
///
/// # Errors
/// Only when script execution is being terminated.
pub fn set_member<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    key: &'static str,
    value: v8::Local<'s, v8::Value>,
) -> Result<(), Exception> {
    let key = super::convert::key_string(scope, key);
    object
        .create_data_property(scope, key.into(), value)
        .map(drop)
        .ok_or(Exception::Pending)
}
