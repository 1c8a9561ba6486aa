//! Types.

use weedle::attribute::ExtendedAttributeList;
use weedle::types::{
    AttributedType, FloatingPointType, IntegerType, NonAnyType, ReturnType, SingleType,
    Type as WeedleType,
};

use super::Reader;
use crate::Error;
use crate::model::{Buffer, IntegerKind, Location, Range, Type};

impl Reader<'_> {
    pub(super) fn return_type(
        &self,
        found: &ReturnType<'_>,
        location: &Location,
    ) -> Result<Type, Error> {
        match found {
            ReturnType::Undefined(_) => Ok(Type::Undefined),
            ReturnType::Type(found) => self.ty(found, location),
        }
    }

    /// A type with attributes of its own and of the argument or attribute that it belongs to.
    pub(super) fn attributed_type(
        &self,
        found: &AttributedType<'_>,
        outer: &Option<ExtendedAttributeList<'_>>,
        location: &Location,
    ) -> Result<Type, Error> {
        let inner = self.applied_type(&found.type_, &found.attributes, location)?;
        self.apply(inner, outer, location)
    }

    pub(super) fn applied_type(
        &self,
        found: &WeedleType<'_>,
        attributes: &Option<ExtendedAttributeList<'_>>,
        location: &Location,
    ) -> Result<Type, Error> {
        let ty = self.ty(found, location)?;
        self.apply(ty, attributes, location)
    }

    /// Applies the attributes that belong to types: <https://webidl.spec.whatwg.org/#extended-attributes-applicable-to-types>.
    pub(super) fn apply(
        &self,
        ty: Type,
        attributes: &Option<ExtendedAttributeList<'_>>,
        location: &Location,
    ) -> Result<Type, Error> {
        let mut attributes = self.attributes(attributes, location);
        let enforce = attributes.take("EnforceRange");
        let clamp = attributes.take("Clamp");
        let location = attributes.location.clone();
        attributes.finish()?;
        let range = match (enforce, clamp) {
            (false, false) => return Ok(ty),
            (true, true) => {
                return Err(Error::invalid(
                    &location,
                    "[EnforceRange] and [Clamp] on one type",
                ));
            }
            (true, false) => Range::Enforce,
            (false, true) => Range::Clamp,
        };
        match ty {
            Type::Integer(kind, _) => Ok(Type::Integer(kind, range)),
            Type::Nullable(inner) => match *inner {
                Type::Integer(kind, _) => Ok(Type::Nullable(Box::new(Type::Integer(kind, range)))),
                _ => Err(Error::invalid(
                    &location,
                    "[EnforceRange] and [Clamp] are for integer types",
                )),
            },
            _ => Err(Error::invalid(
                &location,
                "[EnforceRange] and [Clamp] are for integer types",
            )),
        }
    }

    pub(super) fn ty(&self, found: &WeedleType<'_>, location: &Location) -> Result<Type, Error> {
        match found {
            WeedleType::Single(SingleType::Any(_)) => Ok(Type::Any),
            WeedleType::Single(SingleType::NonAny(found)) => self.non_any_type(found, location),
            WeedleType::Union(_) => Err(Error::unsupported(
                location,
                "a union without a name: give it a typedef",
            )),
        }
    }

    pub(super) fn non_any_type(
        &self,
        found: &NonAnyType<'_>,
        location: &Location,
    ) -> Result<Type, Error> {
        let refuse = |what: &str| Err(Error::unsupported(location, format!("the type {what}")));
        let (ty, nullable) = match found {
            NonAnyType::Promise(promise) => {
                let inner = self.return_type(&promise.generics.body, location)?;
                (Type::Promise(Box::new(inner)), false)
            }
            NonAnyType::Integer(found) => (integer(&found.type_), found.q_mark.is_some()),
            NonAnyType::FloatingPoint(found) => (float(&found.type_), found.q_mark.is_some()),
            NonAnyType::Boolean(found) => (Type::Boolean, found.q_mark.is_some()),
            NonAnyType::Byte(found) => (
                Type::Integer(IntegerKind::Byte, Range::Modulo),
                found.q_mark.is_some(),
            ),
            NonAnyType::Octet(found) => (
                Type::Integer(IntegerKind::Octet, Range::Modulo),
                found.q_mark.is_some(),
            ),
            NonAnyType::DOMString(found) => (Type::DomString, found.q_mark.is_some()),
            NonAnyType::USVString(found) => (Type::UsvString, found.q_mark.is_some()),
            NonAnyType::Object(found) => (Type::Object, found.q_mark.is_some()),
            NonAnyType::Sequence(found) => {
                let inner = self.ty(&found.type_.generics.body, location)?;
                (Type::Sequence(Box::new(inner)), found.q_mark.is_some())
            }
            NonAnyType::ArrayBuffer(found) => {
                (Type::Buffer(Buffer::ArrayBuffer), found.q_mark.is_some())
            }
            NonAnyType::ArrayBufferView(found) => (
                Type::Buffer(Buffer::ArrayBufferView),
                found.q_mark.is_some(),
            ),
            NonAnyType::BufferSource(found) => {
                (Type::Buffer(Buffer::BufferSource), found.q_mark.is_some())
            }
            NonAnyType::Identifier(found) => {
                let ty = match found.type_.0 {
                    "SharedArrayBuffer" => Type::Buffer(Buffer::SharedArrayBuffer),
                    "AllowSharedBufferSource" => Type::Buffer(Buffer::AllowSharedBufferSource),
                    "EventHandler" => Type::EventHandler,
                    // The parser takes these types for names.
                    "bigint" | "undefined" | "Float16Array" | "BigInt64Array"
                    | "BigUint64Array" => {
                        return refuse(found.type_.0);
                    }
                    name => Type::Named(name.to_owned()),
                };
                (ty, found.q_mark.is_some())
            }
            NonAnyType::ByteString(_) => return refuse("ByteString"),
            NonAnyType::Symbol(_) => return refuse("symbol"),
            NonAnyType::Error(_) => return refuse("Error"),
            NonAnyType::FrozenArrayType(_) => return refuse("FrozenArray"),
            NonAnyType::ObservableArrayType(_) => return refuse("ObservableArray"),
            NonAnyType::RecordType(_) => return refuse("record"),
            NonAnyType::DataView(_)
            | NonAnyType::Int8Array(_)
            | NonAnyType::Int16Array(_)
            | NonAnyType::Int32Array(_)
            | NonAnyType::Uint8Array(_)
            | NonAnyType::Uint16Array(_)
            | NonAnyType::Uint32Array(_)
            | NonAnyType::Uint8ClampedArray(_)
            | NonAnyType::Float32Array(_)
            | NonAnyType::Float64Array(_) => return refuse("of a single kind of view"),
        };
        if nullable {
            if ty == Type::EventHandler {
                return Err(Error::invalid(location, "EventHandler is nullable already"));
            }
            return Ok(Type::Nullable(Box::new(ty)));
        }
        Ok(ty)
    }
}

fn integer(found: &IntegerType) -> Type {
    let kind = match found {
        IntegerType::LongLong(found) if found.unsigned.is_some() => IntegerKind::UnsignedLongLong,
        IntegerType::LongLong(_) => IntegerKind::LongLong,
        IntegerType::Long(found) if found.unsigned.is_some() => IntegerKind::UnsignedLong,
        IntegerType::Long(_) => IntegerKind::Long,
        IntegerType::Short(found) if found.unsigned.is_some() => IntegerKind::UnsignedShort,
        IntegerType::Short(_) => IntegerKind::Short,
    };
    Type::Integer(kind, Range::Modulo)
}

fn float(found: &FloatingPointType) -> Type {
    match found {
        FloatingPointType::Float(found) => Type::Float {
            double: false,
            unrestricted: found.unrestricted.is_some(),
        },
        FloatingPointType::Double(found) => Type::Float {
            double: true,
            unrestricted: found.unrestricted.is_some(),
        },
    }
}
