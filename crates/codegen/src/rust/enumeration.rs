//! Enumerations.

use super::Lines;
use crate::model::Enum;
use crate::names;

pub(crate) fn emit(lines: &mut Lines, found: &Enum) {
    let name = &found.name;
    lines.line(format!("/// The enumeration `{name}`."));
    lines.line("#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]");
    lines.line(format!("pub enum {name} {{"));
    for value in &found.values {
        lines.line(format!("/// `{value:?}`"));
        lines.line(format!("{},", names::variant(value)));
    }
    lines.line("}");
    lines.line("");
    lines.line(format!("impl {name} {{"));
    lines.line("/// Every value, in the order of the declaration.");
    let all: Vec<String> = found
        .values
        .iter()
        .map(|value| format!("Self::{}", names::variant(value)))
        .collect();
    lines.line(format!(
        "pub const ALL: &'static [Self] = &[{}];",
        all.join(", ")
    ));
    lines.line("");
    lines.line("/// The value as scripts see it.");
    lines.line("pub const fn as_str(self) -> &'static str {");
    lines.line("match self {");
    for value in &found.values {
        lines.line(format!("Self::{} => {value:?},", names::variant(value)));
    }
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line("/// The value that scripts write so.");
    lines.line("pub fn parse(text: &str) -> Option<Self> {");
    lines.line("Some(match text {");
    for value in &found.values {
        lines.line(format!("{value:?} => Self::{},", names::variant(value)));
    }
    lines.line("_ => return None,");
    lines.line("})");
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> FromJs<'s> for {name} {{"));
    lines.line("fn from_js(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, context: &Context<'_>) -> Result<Self, Exception> {");
    lines.line(format!(
        "convert::enumeration(scope, value, context, {name:?}, Self::parse)"
    ));
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> ToJs<'s> for {name} {{"));
    lines.line("fn to_js(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {");
    lines.line("Ok(convert::key_string(scope, self.as_str()).into())");
    lines.line("}");
    lines.line("}");
    lines.line("");
}
