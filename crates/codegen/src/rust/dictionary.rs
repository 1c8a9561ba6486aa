//! Dictionaries.

use super::{Lines, types};
use crate::Error;
use crate::model::{Default, Dictionary, Idl, Member, Type};
use crate::names;

fn field_type(idl: &Idl, member: &Member) -> String {
    let ty = types::rust(idl, &member.ty);
    if member.required || member.default.is_some() {
        ty
    } else {
        format!("Option<{ty}>")
    }
}

pub(crate) fn emit(lines: &mut Lines, idl: &Idl, dictionary: &Dictionary) -> Result<(), Error> {
    let name = &dictionary.name;
    let ty = Type::Dictionary(name.clone());
    let generics = types::generics(idl, &ty);
    let members = idl.all_members(dictionary);
    let mut derives = vec!["Debug"];
    if types::is_clone(idl, &ty) {
        derives.push("Clone");
    }
    if generics.is_empty() {
        derives.push("PartialEq");
    }
    lines.line(format!("/// The dictionary `{name}`."));
    lines.line(format!("#[derive({})]", derives.join(", ")));
    lines.line(format!("pub struct {name}{generics} {{"));
    for (_, member) in &members {
        let absent = if member.required || member.default.is_some() {
            ""
        } else {
            "; `None` where absent"
        };
        lines.line(format!("/// `{}`{absent}.", member.name));
        lines.line(format!(
            "pub {}: {},",
            names::identifier(&member.name),
            field_type(idl, member)
        ));
    }
    lines.line("}");
    lines.line("");
    if members.iter().all(|(_, member)| has_default(idl, member)) {
        lines.line(format!(
            "impl{generics} std::default::Default for {name}{generics} {{"
        ));
        lines.line("fn default() -> Self {");
        lines.line("Self {");
        for (_, member) in &members {
            let value = match &member.default {
                Some(value) => types::default(&member.ty, value),
                None => "None".into(),
            };
            lines.line(format!("{}: {value},", names::identifier(&member.name)));
        }
        lines.line("}");
        lines.line("}");
        lines.line("}");
        lines.line("");
    }
    lines.line(format!("impl<'s> FromJs<'s> for {name}{generics} {{"));
    lines.line("/// <https://webidl.spec.whatwg.org/#js-dictionary>");
    lines.line("fn from_js(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, context: &Context<'_>) -> Result<Self, Exception> {");
    lines.line(format!(
        "let object = convert::dictionary(value, context, {name:?})?;"
    ));
    // Least-derived dictionary first, the members of each in lexicographical order.
    for (owner, member) in &members {
        let field = local(&member.name);
        lines.line(format!("let {field} = {{"));
        lines.line(format!(
            "let context = &context.member({:?}, {:?});",
            owner.name, member.name
        ));
        lines.line(format!(
            "match convert::member(scope, object, {:?})? {{",
            member.name
        ));
        let converted = types::from_js(&member.ty, "value", "context");
        let optional = !member.required && member.default.is_none();
        let some = if optional {
            format!("Some({converted})")
        } else {
            converted
        };
        lines.line(format!("Some(value) => {some},"));
        let none = match (&member.default, &member.ty) {
            _ if member.required => "return Err(convert::missing_member(context))".into(),
            (None, _) => "None".into(),
            (Some(Default::EmptyDictionary), ty) => {
                lines.line("None => {");
                lines.line("let value = v8::undefined(scope).into();");
                lines.line(types::from_js(ty, "value", "context"));
                lines.line("}");
                String::new()
            }
            (Some(value), ty) => types::default(ty, value),
        };
        if !none.is_empty() {
            lines.line(format!("None => {none},"));
        }
        lines.line("}");
        lines.line("};");
    }
    let fields: Vec<String> = members
        .iter()
        .map(|(_, member)| {
            format!(
                "{}: {}",
                names::identifier(&member.name),
                local(&member.name)
            )
        })
        .collect();
    lines.line(format!("Ok(Self {{ {} }})", fields.join(", ")));
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> ToJs<'s> for {name}{generics} {{"));
    lines.line("/// <https://webidl.spec.whatwg.org/#dictionary-to-js>");
    lines.line("fn to_js(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {");
    lines.line("let object = v8::Object::new(scope);");
    for (_, member) in &members {
        let field = names::identifier(&member.name);
        if member.required || member.default.is_some() {
            lines.line(format!("let value = ToJs::to_js(&self.{field}, scope)?;"));
            lines.line(format!(
                "set_member(scope, object, {:?}, value)?;",
                member.name
            ));
        } else {
            lines.line(format!("if let Some(value) = &self.{field} {{"));
            lines.line("let value = ToJs::to_js(value, scope)?;");
            lines.line(format!(
                "set_member(scope, object, {:?}, value)?;",
                member.name
            ));
            lines.line("}");
        }
    }
    lines.line("Ok(object.into())");
    lines.line("}");
    lines.line("}");
    lines.line("");
    Ok(())
}

/// A variable for a member that clashes with nothing.
fn local(name: &str) -> String {
    format!("member_{}", names::snake(name))
}

fn has_default(idl: &Idl, member: &Member) -> bool {
    if member.required {
        return false;
    }
    match (&member.default, &member.ty) {
        (Some(Default::EmptyDictionary), Type::Dictionary(name)) => {
            idl.dictionaries.get(name).is_some_and(|dictionary| {
                idl.all_members(dictionary)
                    .iter()
                    .all(|(_, member)| has_default(idl, member))
            })
        }
        _ => true,
    }
}
