//! Integer types: <https://webidl.spec.whatwg.org/#abstract-opdef-converttoint>.

use deno_core::v8;

use super::{Context, Exception};

/// What becomes of a number outside of the type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Taken modulo 2 to the power of the type's bits.
    Modulo,
    /// `[EnforceRange]`: a TypeError.
    Enforce,
    /// `[Clamp]`: the nearest value of the type.
    Clamp,
}

/// An integer type of Web IDL.
pub trait Integer: Sized {
    /// Web IDL's name.
    const NAME: &'static str;
    /// The smallest value that a Number can be converted to exactly.
    const LOWER: f64;
    /// The largest such value.
    const UPPER: f64;

    /// The value of an integral number modulo 2 to the power of the type's bits.
    fn wrap(integer: i128) -> Self;

    /// A number that lies between `LOWER` and `UPPER`.
    fn from_number(number: f64) -> Self;
}

/// 2^53 - 1: 64-bit types end where a Number stops being exact.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

macro_rules! integers {
    ($($type:ident $name:literal $lower:expr, $upper:expr;)*) => {$(
        impl Integer for $type {
            const NAME: &'static str = $name;
            const LOWER: f64 = $lower;
            const UPPER: f64 = $upper;

            fn wrap(integer: i128) -> Self {
                integer as $type
            }

            fn from_number(number: f64) -> Self {
                number as $type
            }
        }
    )*};
}

integers! {
    i8 "byte" -128.0, 127.0;
    u8 "octet" 0.0, 255.0;
    i16 "short" -32_768.0, 32_767.0;
    u16 "unsigned short" 0.0, 65_535.0;
    i32 "long" -2_147_483_648.0, 2_147_483_647.0;
    u32 "unsigned long" 0.0, 4_294_967_295.0;
    i64 "long long" -MAX_SAFE, MAX_SAFE;
    u64 "unsigned long long" 0.0, MAX_SAFE;
}

/// Converts `value` to an integer type.
///
/// # Errors
/// With [`Range::Enforce`] a number that is not finite or out of range; else what a script's `valueOf` threw.
pub fn integer<'s, T: Integer>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    range: Range,
    context: &Context<'_>,
) -> Result<T, Exception> {
    // Step 4. Let x be ? ToNumber(V).
    let number = value.number_value(scope).ok_or(Exception::Pending)?;
    convert(number, range, context)
}

fn convert<T: Integer>(number: f64, range: Range, context: &Context<'_>) -> Result<T, Exception> {
    match range {
        // Step 6. If the conversion is to an IDL type associated with the [EnforceRange] extended attribute, then:
        Range::Enforce => {
            // 6.1. If x is NaN, +∞, or -∞, then throw a TypeError.
            if !number.is_finite() {
                return Err(context.type_error(format_args!(
                    "is not a finite number of type '{}'.",
                    T::NAME
                )));
            }
            // 6.2. Set x to IntegerPart(x).
            let number = number.trunc();
            // 6.3. If x < lowerBound or x > upperBound, then throw a TypeError.
            if number < T::LOWER || number > T::UPPER {
                return Err(
                    context.type_error(format_args!("is outside the '{}' value range.", T::NAME))
                );
            }
            // 6.4. Return x.
            Ok(T::from_number(number))
        }
        // Step 7. If x is not NaN and the conversion is to an IDL type associated with [Clamp], then:
        // 7.1. Set x to min(max(x, lowerBound), upperBound).
        // 7.2. Round x to the nearest integer, choosing the even integer if it lies halfway between two.
        Range::Clamp if !number.is_nan() => Ok(T::from_number(
            number.clamp(T::LOWER, T::UPPER).round_ties_even(),
        )),
        // Step 8. If x is NaN, +0, +∞, or -∞, then return +0.
        _ if !number.is_finite() => Ok(T::from_number(0.0)),
        // Step 9. Set x to IntegerPart(x). Step 10. Set x to x modulo 2^bitLength.
        // Step 11. If signedness is "signed" and x >= 2^(bitLength-1), then return x - 2^bitLength.
        // The remainder by 2^64 is exact and fits; the cast drops the bits above the type's.
        _ => Ok(T::wrap(
            (number.trunc() % 18_446_744_073_709_551_616.0) as i128,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'static> = Context::operation("Foo", "bar");

    fn modulo<T: Integer>(number: f64) -> T {
        convert(number, Range::Modulo, &CONTEXT).expect("modulo conversion of a number never fails")
    }

    fn clamp<T: Integer>(number: f64) -> T {
        convert(number, Range::Clamp, &CONTEXT).expect("clamping never fails")
    }

    fn enforce<T: Integer>(number: f64) -> Option<T> {
        convert(number, Range::Enforce, &CONTEXT).ok()
    }

    #[test]
    fn numbers_out_of_range_wrap() {
        assert_eq!(modulo::<u8>(256.0), 0);
        assert_eq!(modulo::<u8>(-1.0), 255);
        assert_eq!(modulo::<u8>(-1.9), 255);
        assert_eq!(modulo::<i8>(128.0), -128);
        assert_eq!(modulo::<i16>(-32_769.0), 32_767);
        assert_eq!(modulo::<u32>(4_294_967_296.0 + 5.0), 5);
        assert_eq!(modulo::<i32>(2_147_483_648.0), i32::MIN);
        assert_eq!(modulo::<u64>(-1.0), u64::MAX);
        assert_eq!(modulo::<i64>(9_223_372_036_854_775_808.0), i64::MIN);
        assert_eq!(modulo::<u64>(18_446_744_073_709_551_616.0), 0);
        assert_eq!(modulo::<u64>(1e300), 0);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -0.9] {
            assert_eq!(modulo::<u32>(number), 0);
            assert_eq!(modulo::<i64>(number), 0);
        }
    }

    #[test]
    fn clamping_rounds_half_to_even() {
        assert_eq!(clamp::<u8>(300.0), 255);
        assert_eq!(clamp::<u8>(f64::INFINITY), 255);
        assert_eq!(clamp::<u8>(-5.0), 0);
        assert_eq!(clamp::<u8>(0.5), 0);
        assert_eq!(clamp::<u8>(1.5), 2);
        assert_eq!(clamp::<i8>(-2.5), -2);
        assert_eq!(clamp::<u8>(f64::NAN), 0);
        assert_eq!(clamp::<u64>(1e300), (1 << 53) - 1);
    }

    #[test]
    fn enforced_ranges_reject_what_does_not_fit() {
        assert_eq!(enforce::<u32>(4_294_967_295.9), Some(u32::MAX));
        assert_eq!(enforce::<u32>(4_294_967_296.0), None);
        assert_eq!(enforce::<u32>(-0.9), Some(0));
        assert_eq!(enforce::<u32>(-1.0), None);
        assert_eq!(enforce::<u32>(f64::NAN), None);
        assert_eq!(enforce::<i64>(f64::INFINITY), None);
        assert_eq!(
            enforce::<i64>(-9_007_199_254_740_991.0),
            Some(-9_007_199_254_740_991)
        );
        assert_eq!(enforce::<i64>(-9_007_199_254_740_992.0), None);
        assert_eq!(enforce::<u64>(9_007_199_254_740_992.0), None);
    }
}
