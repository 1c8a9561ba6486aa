//! Types of Web IDL as Rust types, and the expressions that convert them.

use std::collections::BTreeSet;

use crate::model::{Default, Idl, Range, Type};
use crate::names;

/// Whether the Rust type holds a V8 handle.
pub(crate) fn has_lifetime(idl: &Idl, ty: &Type) -> bool {
    holds(idl, ty, &mut BTreeSet::new(), &|ty| {
        matches!(
            ty,
            Type::Any
                | Type::Object
                | Type::Buffer(_)
                | Type::Promise(_)
                | Type::Interface(_)
                | Type::External(_)
                | Type::Callback(_)
                | Type::EventHandler
        )
    })
}

/// Whether the Rust type can be cloned.
pub(crate) fn is_clone(idl: &Idl, ty: &Type) -> bool {
    !holds(idl, ty, &mut BTreeSet::new(), &|ty| {
        matches!(ty, Type::Promise(_) | Type::Interface(_))
    })
}

/// Whether `wanted` holds of `ty` or of a part of it.
fn holds(
    idl: &Idl,
    ty: &Type,
    seen: &mut BTreeSet<String>,
    wanted: &dyn Fn(&Type) -> bool,
) -> bool {
    if wanted(ty) {
        return true;
    }
    match ty {
        Type::Sequence(inner) | Type::Nullable(inner) => holds(idl, inner, seen, wanted),
        Type::Dictionary(name) => {
            seen.insert(name.clone())
                && idl.dictionaries.get(name).is_some_and(|dictionary| {
                    idl.all_members(dictionary)
                        .iter()
                        .any(|(_, member)| holds(idl, &member.ty, seen, wanted))
                })
        }
        Type::Union(name) => {
            seen.insert(name.clone())
                && idl
                    .union(name)
                    .iter()
                    .any(|member| holds(idl, member, seen, wanted))
        }
        _ => false,
    }
}

/// `<'s>` where it is needed.
pub(crate) fn generics(idl: &Idl, ty: &Type) -> &'static str {
    if has_lifetime(idl, ty) { "<'s>" } else { "" }
}

/// The Rust type.
pub(crate) fn rust(idl: &Idl, ty: &Type) -> String {
    match ty {
        Type::Undefined => "()".into(),
        Type::Any | Type::External(_) | Type::EventHandler => "v8::Local<'s, v8::Value>".into(),
        Type::Object => "v8::Local<'s, v8::Object>".into(),
        Type::Boolean => "bool".into(),
        Type::Integer(kind, _) => kind.rust().into(),
        Type::Float { double: true, .. } => "f64".into(),
        Type::Float { double: false, .. } => "f32".into(),
        Type::DomString | Type::UsvString => "String".into(),
        Type::Buffer(crate::model::Buffer::ArrayBuffer) => "v8::Local<'s, v8::ArrayBuffer>".into(),
        Type::Buffer(_) => "BufferSource<'s>".into(),
        Type::Sequence(inner) => format!("Vec<{}>", rust(idl, inner)),
        Type::Promise(inner) => format!("Promise<'s, {}>", rust(idl, inner)),
        Type::Nullable(inner) => format!("Option<{}>", rust(idl, inner)),
        Type::Interface(name) => format!("Handle<'s, {name}>"),
        Type::Enum(name) => name.clone(),
        Type::Callback(name) => format!("{name}<'s>"),
        Type::Dictionary(name) | Type::Union(name) | Type::Named(name) => {
            format!("{name}{}", generics(idl, ty))
        }
    }
}

/// An expression for a value of the type, made from the V8 value that `value` names; `context` is a reference.
pub(crate) fn from_js(ty: &Type, value: &str, context: &str) -> String {
    match ty {
        Type::Undefined => "()".into(),
        Type::Any | Type::External(_) | Type::EventHandler => value.into(),
        Type::Object => format!("convert::object({value}, {context})?"),
        Type::Boolean => format!("convert::boolean(scope, {value})"),
        Type::Integer(kind, range) => {
            let range = match range {
                Range::Modulo => "Modulo",
                Range::Enforce => "Enforce",
                Range::Clamp => "Clamp",
            };
            format!(
                "webidl::integer::<{}>(scope, {value}, Range::{range}, {context})?",
                kind.rust()
            )
        }
        Type::Float {
            double,
            unrestricted,
        } => {
            let name = if *double { "double" } else { "float" };
            if *unrestricted {
                format!("convert::unrestricted_{name}(scope, {value})?")
            } else {
                format!("convert::{name}(scope, {value}, {context})?")
            }
        }
        Type::DomString | Type::UsvString => format!("convert::string(scope, {value})?"),
        Type::Buffer(crate::model::Buffer::ArrayBuffer) => {
            format!("webidl::array_buffer({value}, {context})?")
        }
        Type::Buffer(buffer) => format!(
            "BufferSource::from_js({value}, BufferType::{}, {context})?",
            names::module(buffer.name()).to_ascii_uppercase()
        ),
        Type::Sequence(inner) => {
            let inner = from_js(inner, "value", "context");
            format!(
                "convert::sequence(scope, {value}, {context}, |scope, value, context| Ok({inner}))?"
            )
        }
        Type::Nullable(inner) => {
            let inner = from_js(inner, "value", context);
            format!("convert::nullable(scope, {value}, |scope, value| Ok({inner}))?")
        }
        Type::Interface(name) => format!("Handle::<{name}>::from_js(scope, {value}, {context})?"),
        Type::Enum(name) | Type::Dictionary(name) | Type::Callback(name) | Type::Union(name) => {
            format!("<{name} as FromJs>::from_js(scope, {value}, {context})?")
        }
        // Refused by `resolve`.
        Type::Promise(_) | Type::Named(_) => "unreachable!()".into(),
    }
}

/// A default value as Rust, for every type but dictionaries.
pub(crate) fn default(ty: &Type, default: &Default) -> String {
    match (ty, default) {
        (Type::Nullable(_), Default::Null) => "None".into(),
        (Type::Nullable(inner), value) => format!("Some({})", self::default(inner, value)),
        (_, Default::Boolean(value)) => value.to_string(),
        (Type::Float { .. }, Default::Integer(value)) => format!("{value}.0"),
        (_, Default::Integer(value)) => value.clone(),
        (Type::Float { double, .. }, Default::Float(value)) => {
            let ty = if *double { "f64" } else { "f32" };
            match value.as_str() {
                "NaN" => format!("{ty}::NAN"),
                "Infinity" => format!("{ty}::INFINITY"),
                "-Infinity" => format!("{ty}::NEG_INFINITY"),
                value if value.starts_with('.') => format!("0{value}"),
                value => value.replace("-.", "-0."),
            }
        }
        (Type::Enum(name), Default::String(value)) => format!("{name}::{}", names::variant(value)),
        (_, Default::String(value)) => format!("{value:?}.to_owned()"),
        (_, Default::EmptySequence) => "Vec::new()".into(),
        _ => "std::default::Default::default()".into(),
    }
}
