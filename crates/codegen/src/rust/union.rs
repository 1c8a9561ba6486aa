//! Unions, which have a name by their typedef.

use super::{Lines, dispatch, types};
use crate::model::{Idl, Target, Type, Typedef};
use crate::{Error, names};

fn variant(ty: &Type) -> String {
    match ty {
        Type::Any => "Any".into(),
        Type::Object => "Object".into(),
        Type::Boolean => "Boolean".into(),
        Type::Integer(kind, _) => names::variant(kind.rust()),
        Type::Float { double: true, .. } => "Double".into(),
        Type::Float { double: false, .. } => "Float".into(),
        Type::DomString | Type::UsvString => "String".into(),
        Type::Buffer(buffer) => buffer.name().into(),
        Type::Sequence(_) => "Sequence".into(),
        Type::Interface(name)
        | Type::External(name)
        | Type::Dictionary(name)
        | Type::Enum(name)
        | Type::Callback(name)
        | Type::Union(name)
        | Type::Named(name) => name.clone(),
        Type::Nullable(inner) | Type::Promise(inner) => variant(inner),
        Type::Undefined | Type::EventHandler => "Undefined".into(),
    }
}

pub(crate) fn emit(lines: &mut Lines, idl: &Idl, typedef: &Typedef) -> Result<(), Error> {
    let Target::Union(members) = &typedef.target else {
        return Ok(());
    };
    let name = &typedef.name;
    let ty = Type::Union(name.clone());
    let generics = types::generics(idl, &ty);
    lines.line(format!("/// The union `{name}`."));
    lines.line(if types::is_clone(idl, &ty) {
        "#[derive(Clone, Debug)]"
    } else {
        "#[derive(Debug)]"
    });
    lines.line(format!("pub enum {name}{generics} {{"));
    for member in members {
        lines.line(format!("/// A {}.", variant(member)));
        lines.line(format!(
            "{}({}),",
            variant(member),
            types::rust(idl, member)
        ));
    }
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> FromJs<'s> for {name}{generics} {{"));
    lines.line("/// <https://webidl.spec.whatwg.org/#js-union>");
    lines.line("fn from_js(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, context: &Context<'_>) -> Result<Self, Exception> {");
    let candidates: Vec<(&Type, Vec<String>)> = members
        .iter()
        .map(|member| {
            let converted = types::from_js(member, "value", "context");
            (
                member,
                vec![format!("Ok(Self::{}({converted}))", variant(member))],
            )
        })
        .collect();
    let otherwise = format!("Err(context.type_error(\"is not of type '{name}'.\"))");
    dispatch::emit(lines, idl, &candidates, &typedef.location, &otherwise)?;
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> ToJs<'s> for {name}{generics} {{"));
    lines.line("fn to_js(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {");
    lines.line("match self {");
    for member in members {
        lines.line(format!(
            "Self::{}(value) => ToJs::to_js(value, scope),",
            variant(member)
        ));
    }
    lines.line("}");
    lines.line("}");
    lines.line("}");
    lines.line("");
    Ok(())
}
