//! Which of several types a value is for: unions and overloads.
//! <https://webidl.spec.whatwg.org/#js-overloads> step 12 and <https://webidl.spec.whatwg.org/#js-union>.

use super::Lines;
use crate::Error;
use crate::model::{Idl, Location, Type};
use crate::names;

/// What a type takes, in the order in which the algorithms ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Nullish,
    Interface,
    Buffer,
    Callback,
    Sequence,
    Object,
    Boolean,
    Number,
    String,
    AnyNumber,
    AnyBoolean,
    Any,
}

/// Emits an `if … else if …` chain over `value`; each candidate's code ends with a value or `return`.
pub(crate) fn emit(
    lines: &mut Lines,
    idl: &Idl,
    candidates: &[(&Type, Vec<String>)],
    location: &Location,
    otherwise: &str,
) -> Result<(), Error> {
    let mut arms: Vec<(Kind, String, usize)> = Vec::new();
    for (index, (ty, _)) in candidates.iter().enumerate() {
        collect(idl, ty, index, location, &mut arms)?;
    }
    arms.sort_by_key(|(kind, ..)| *kind);
    check(&arms, location)?;
    let mut first = true;
    let mut ended = false;
    for (kind, condition, index) in &arms {
        let keyword = if first { "if" } else { "} else if" };
        let always = matches!(
            kind,
            Kind::String | Kind::AnyNumber | Kind::AnyBoolean | Kind::Any
        );
        match (always, first) {
            (true, true) => lines.line("{"),
            (true, false) => lines.line("} else {"),
            (false, _) => lines.line(format!("{keyword} {condition} {{")),
        }
        lines.lines(&candidates[*index].1);
        first = false;
        if always {
            // Everything can be converted: no later arm is reached.
            ended = true;
            break;
        }
    }
    if !ended {
        lines.line("} else {");
        lines.line(otherwise);
    }
    lines.line("}");
    Ok(())
}

/// Two candidates that take the same values cannot be told apart.
fn check(arms: &[(Kind, String, usize)], location: &Location) -> Result<(), Error> {
    for (position, (kind, condition, index)) in arms.iter().enumerate() {
        for (other_kind, other_condition, other) in arms.iter().skip(position + 1) {
            let exclusive = match kind {
                Kind::Interface => condition != other_condition,
                Kind::Buffer => condition != other_condition,
                _ => false,
            };
            if index != other && kind == other_kind && !exclusive {
                return Err(Error::invalid(location, "these types cannot be told apart"));
            }
        }
    }
    Ok(())
}

fn collect(
    idl: &Idl,
    ty: &Type,
    index: usize,
    location: &Location,
    arms: &mut Vec<(Kind, String, usize)>,
) -> Result<(), Error> {
    let mut push = |kind: Kind, condition: &str| arms.push((kind, condition.to_owned(), index));
    match ty {
        Type::Nullable(inner) => {
            push(Kind::Nullish, "value.is_null_or_undefined()");
            collect(idl, inner, index, location, arms)?;
        }
        Type::Union(name) => {
            for member in idl.union(name) {
                collect(idl, member, index, location, arms)?;
            }
        }
        Type::Interface(name) => {
            push(
                Kind::Interface,
                &format!("Handle::<{name}>::from_value(scope, value).is_some()"),
            );
        }
        Type::Buffer(buffer) => {
            let name = names::module(buffer.name()).to_ascii_uppercase();
            push(Kind::Buffer, &format!("BufferType::{name}.accepts(value)"));
        }
        Type::Callback(_) => push(Kind::Callback, "value.is_function()"),
        Type::Sequence(_) => push(Kind::Sequence, "convert::is_iterable(scope, value)?"),
        Type::Object => push(Kind::Object, "value.is_object()"),
        Type::Dictionary(_) => {
            push(Kind::Nullish, "value.is_null_or_undefined()");
            push(Kind::Object, "value.is_object()");
        }
        Type::Boolean => {
            push(Kind::Boolean, "value.is_boolean()");
            push(Kind::AnyBoolean, "");
        }
        Type::Integer(..) | Type::Float { .. } => {
            push(Kind::Number, "value.is_number()");
            push(Kind::AnyNumber, "");
        }
        Type::DomString | Type::UsvString | Type::Enum(_) => push(Kind::String, ""),
        Type::Any => push(Kind::Any, ""),
        Type::External(name) => {
            let condition = format!("webidl::is_external(scope, value, {name:?})");
            push(Kind::Interface, &condition);
        }
        Type::Undefined | Type::Promise(_) | Type::EventHandler | Type::Named(_) => {
            return Err(Error::unsupported(
                location,
                "this type in a union or an overload",
            ));
        }
    }
    Ok(())
}
