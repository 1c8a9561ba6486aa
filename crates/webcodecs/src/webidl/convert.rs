//! JavaScript values to Rust: <https://webidl.spec.whatwg.org/#js-type-mapping>.
//!
//! Functions for the types that Web IDL builds in; [`FromJs`] for those that a .webidl file declares.

use deno_core::v8;

use super::{Context, Exception};

/// A type that a .webidl file declares, made from a JavaScript value.
pub trait FromJs<'s>: Sized {
    /// Converts `value`, which stands at `context`.
    ///
    /// # Errors
    /// The TypeError that Web IDL prescribes, or what a script's getter threw.
    fn from_js(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
        context: &Context<'_>,
    ) -> Result<Self, Exception>;
}

/// <https://webidl.spec.whatwg.org/#js-boolean>
pub fn boolean<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> bool {
    value.boolean_value(scope)
}

/// <https://webidl.spec.whatwg.org/#js-DOMString>; an unpaired surrogate becomes U+FFFD, as in a USVString.
///
/// # Errors
/// A Symbol, or what a script's `toString` threw.
pub fn string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<String, Exception> {
    // ToString of an object runs scripts; of a Symbol it throws.
    let string = value.to_string(scope).ok_or(Exception::Pending)?;
    Ok(string.to_rust_string_lossy(scope))
}

/// <https://webidl.spec.whatwg.org/#js-double>
///
/// # Errors
/// NaN or an infinity, or what a script's `valueOf` threw.
pub fn double<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
) -> Result<f64, Exception> {
    let number = unrestricted_double(scope, value)?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(context.type_error("is non-finite."))
    }
}

/// <https://webidl.spec.whatwg.org/#js-unrestricted-double>
///
/// # Errors
/// What a script's `valueOf` threw, or the TypeError of a Symbol or a BigInt.
pub fn unrestricted_double<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<f64, Exception> {
    value.number_value(scope).ok_or(Exception::Pending)
}

/// <https://webidl.spec.whatwg.org/#js-float>
///
/// # Errors
/// NaN, an infinity or a number that rounds to one, or what a script's `valueOf` threw.
pub fn float<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
) -> Result<f32, Exception> {
    // The cast rounds to nearest, ties to even; beyond the largest finite float it yields an infinity.
    let number = unrestricted_double(scope, value)? as f32;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(context.type_error("is non-finite."))
    }
}

/// <https://webidl.spec.whatwg.org/#js-unrestricted-float>
///
/// # Errors
/// What a script's `valueOf` threw, or the TypeError of a Symbol or a BigInt.
pub fn unrestricted_float<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<f32, Exception> {
    Ok(unrestricted_double(scope, value)? as f32)
}

/// <https://webidl.spec.whatwg.org/#js-object>
///
/// # Errors
/// A value that is not an Object.
pub fn object<'s>(
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
) -> Result<v8::Local<'s, v8::Object>, Exception> {
    v8::Local::<v8::Object>::try_from(value).map_err(|_| context.type_error("is not an object."))
}

/// <https://webidl.spec.whatwg.org/#js-enumeration>: the string of `value`, for a generated `match`.
///
/// # Errors
/// As [`string`], and an unknown value as `parse` tells.
pub fn enumeration<'s, T>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Exception> {
    // Step 1. Let S be the result of calling ToString(V).
    let string = string(scope, value)?;
    // Step 2. If S is not one of E's enumeration values, then throw a TypeError.
    // Step 3. Return the enumeration value of type E that is equal to S.
    parse(&string).ok_or_else(|| {
        // A value of any length reaches the message: keep its beginning.
        let shown: String = string.chars().take(64).collect();
        context.type_error(format_args!(
            "'{shown}' is not a valid enum value of type {name}."
        ))
    })
}

/// <https://webidl.spec.whatwg.org/#js-nullable-type>
///
/// # Errors
/// As `convert`.
pub fn nullable<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    value: v8::Local<'s, v8::Value>,
    convert: impl FnOnce(&mut v8::PinScope<'s, 'i>, v8::Local<'s, v8::Value>) -> Result<T, Exception>,
) -> Result<Option<T>, Exception> {
    if value.is_null_or_undefined() {
        Ok(None)
    } else {
        convert(scope, value).map(Some)
    }
}

/// <https://webidl.spec.whatwg.org/#js-dictionary>, step 1: the object whose members are read, or `None` where
/// every member is absent.
///
/// # Errors
/// A value that is neither an Object, undefined nor null.
pub fn dictionary<'s>(
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
    name: &'static str,
) -> Result<Option<v8::Local<'s, v8::Object>>, Exception> {
    if value.is_null_or_undefined() {
        return Ok(None);
    }
    v8::Local::<v8::Object>::try_from(value)
        .map(Some)
        .map_err(|_| context.type_error(format_args!("is not of type '{name}'.")))
}

/// <https://webidl.spec.whatwg.org/#js-dictionary>, step 4.1.2 and 4.1.3: the value of a member, `None` where it is
/// absent (undefined).
///
/// # Errors
/// What a script's getter threw.
pub fn member<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: Option<v8::Local<'s, v8::Object>>,
    key: &'static str,
) -> Result<Option<v8::Local<'s, v8::Value>>, Exception> {
    let Some(object) = object else {
        return Ok(None);
    };
    let key = key_string(scope, key);
    let value = object.get(scope, key.into()).ok_or(Exception::Pending)?;
    Ok((!value.is_undefined()).then_some(value))
}

/// The error of an absent required member, where `context` is the member's.
#[cold]
pub fn missing_member(context: &Context<'_>) -> Exception {
    context.error("Required member is undefined.")
}

/// A property key, looked up in V8's table of strings.
pub fn key_string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    key: &'static str,
) -> v8::Local<'s, v8::String> {
    v8::String::new_from_utf8(scope, key.as_bytes(), v8::NewStringType::Internalized)
        .unwrap_or_else(|| v8::String::empty(scope))
}

/// Whether a union or an overload takes `value` for a sequence: it has a method `Symbol.iterator`.
///
/// # Errors
/// What a script's getter threw.
pub fn is_iterable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<bool, Exception> {
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else {
        return Ok(false);
    };
    let symbol = v8::Symbol::get_iterator(scope);
    let method = object.get(scope, symbol.into()).ok_or(Exception::Pending)?;
    Ok(!method.is_null_or_undefined())
}

/// <https://webidl.spec.whatwg.org/#js-sequence>
///
/// # Errors
/// A value that is not iterable, what its iterator threw, or as `convert` for an element.
pub fn sequence<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
    mut convert: impl FnMut(
        &mut v8::PinScope<'s, 'i>,
        v8::Local<'s, v8::Value>,
        &Context<'_>,
    ) -> Result<T, Exception>,
) -> Result<Vec<T>, Exception> {
    const NOT_ITERABLE: &str = "cannot be converted to a sequence.";
    // Step 1. If V is not an Object, throw a TypeError.
    let Ok(object) = v8::Local::<v8::Object>::try_from(value) else {
        return Err(context.type_error(NOT_ITERABLE));
    };
    // Step 2. Let method be ? GetMethod(V, %Symbol.iterator%).
    // Step 3. If method is undefined, throw a TypeError.
    let symbol = v8::Symbol::get_iterator(scope);
    let method = object.get(scope, symbol.into()).ok_or(Exception::Pending)?;
    let Ok(method) = v8::Local::<v8::Function>::try_from(method) else {
        return Err(context.type_error(NOT_ITERABLE));
    };
    // Step 4. Return the result of creating a sequence from V and method.
    // https://webidl.spec.whatwg.org/#create-sequence-from-iterable
    // Step 1. Let iteratorRecord be ? GetIteratorFromMethod(iterable, method).
    let iterator = method
        .call(scope, object.into(), &[])
        .ok_or(Exception::Pending)?;
    let Ok(iterator) = v8::Local::<v8::Object>::try_from(iterator) else {
        return Err(context.type_error(NOT_ITERABLE));
    };
    let next_key = key_string(scope, "next");
    let done_key = key_string(scope, "done");
    let value_key = key_string(scope, "value");
    let next = iterator
        .get(scope, next_key.into())
        .ok_or(Exception::Pending)?;
    let Ok(next) = v8::Local::<v8::Function>::try_from(next) else {
        return Err(context.type_error(NOT_ITERABLE));
    };
    // Step 2. Initialize i to be 0. Step 3. Repeat
    let mut elements = Vec::new();
    loop {
        // Step 3.1. Let next be ? IteratorStepValue(iteratorRecord).
        let result = next
            .call(scope, iterator.into(), &[])
            .ok_or(Exception::Pending)?;
        let Ok(result) = v8::Local::<v8::Object>::try_from(result) else {
            return Err(context.type_error("has an iterator whose result is not an object."));
        };
        let done = result
            .get(scope, done_key.into())
            .ok_or(Exception::Pending)?;
        // Step 3.2. If next is done, then return the sequence.
        if done.boolean_value(scope) {
            return Ok(elements);
        }
        let value = result
            .get(scope, value_key.into())
            .ok_or(Exception::Pending)?;
        // Step 3.3. Initialize S_i to the result of converting next to an IDL value of type T.
        let element = convert(scope, value, &context.element(elements.len()))?;
        elements.push(element);
    }
}
