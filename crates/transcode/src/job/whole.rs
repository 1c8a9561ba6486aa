//! Whole numbers, as JSON Schema understands them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A whole number, which JSON may write as `1e6` and `1.0`.
struct Whole<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value<T>(PhantomData<T>);

        impl<T: TryFrom<i64>> Visitor<'_> for Value<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let bits = size_of::<T>() * 8;
                let sign = if T::try_from(-1).is_ok() {
                    ""
                } else {
                    " from 0 on"
                };
                write!(f, "a whole number of {bits} bits{sign}")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Whole<T>, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(value), &self);
                T::try_from(value).map(Whole).map_err(|_| wrong())
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Whole<T>, E> {
                match i64::try_from(value) {
                    Ok(value) => self.visit_i64(value),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
                }
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Whole<T>, E> {
                // Beyond these not every whole number is one of this type.
                match value.fract() == 0.0 && value.abs() <= MAX_EXACT {
                    true => self.visit_i64(value as i64),
                    false => Err(E::invalid_value(Unexpected::Float(value), &self)),
                }
            }
        }

        deserializer.deserialize_any(Value(PhantomData))
    }
}

/// The largest whole number up to which floats of 64 bits have all.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads a whole number.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(value)| value)
}

/// Reads a whole number or null.
pub(super) fn maybe_whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<Whole<T>>::deserialize(deserializer)?;
    Ok(value.map(|Whole(value)| value))
}
