//! Callback functions.

use super::{Lines, types};
use crate::model::{Callback, Idl, Type};
use crate::{Error, names};

pub(crate) fn emit(lines: &mut Lines, idl: &Idl, callback: &Callback) -> Result<(), Error> {
    let name = &callback.name;
    lines.line(format!("/// The callback function `{name}`."));
    lines.line("#[derive(Clone, Copy, Debug)]");
    lines.line(format!(
        "pub struct {name}<'s>(pub v8::Local<'s, v8::Function>);"
    ));
    lines.line("");
    lines.line(format!("impl<'s> FromJs<'s> for {name}<'s> {{"));
    lines.line("fn from_js(_: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, context: &Context<'_>) -> Result<Self, Exception> {");
    lines.line(format!(
        "callback::function(value, context, {name:?}).map(Self)"
    ));
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> ToJs<'s> for {name}<'s> {{"));
    lines.line("fn to_js(&self, _: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Value>, Exception> {");
    lines.line("Ok(self.0.into())");
    lines.line("}");
    lines.line("}");
    lines.line("");
    lines.line(format!("impl<'s> {name}<'s> {{"));
    lines.line("/// The function, for a garbage-collected object to keep.");
    lines.line("pub fn traced(self, scope: &mut v8::PinScope<'s, '_>) -> TracedCallback {");
    lines.line("TracedCallback::new(scope, self.0)");
    lines.line("}");
    lines.line("");
    lines.line("/// The function that such an object keeps.");
    lines.line("pub fn from_traced(scope: &mut v8::PinScope<'s, '_>, callback: &TracedCallback) -> Option<Self> {");
    lines.line("callback.get(scope).map(Self)");
    lines.line("}");
    lines.line("");
    let mut parameters = String::new();
    let mut converted = Vec::new();
    for argument in &callback.arguments {
        let ty = types::rust(idl, &argument.ty);
        parameters.push_str(&format!(", {}: &{ty}", names::identifier(&argument.name)));
        converted.push(format!(
            "ToJs::to_js({}, scope)?",
            names::identifier(&argument.name)
        ));
    }
    let array = converted.join(", ");
    let result = types::rust(idl, &callback.result);
    lines.line("/// Calls the function from inside of a script; the error is what it threw.");
    lines.line(format!("pub fn call(self, scope: &mut v8::PinScope<'s, '_>{parameters}) -> Result<{result}, Exception> {{"));
    lines.line(format!("let arguments = [{array}];"));
    lines.line("let value = callback::invoke(scope, self.0, &arguments)?;");
    if callback.result == Type::Undefined {
        lines.line("Ok(())");
    } else {
        lines.line(format!("let context = &Context::callback({name:?});"));
        lines.line("let context = &context.value();");
        lines.line(format!(
            "Ok({})",
            types::from_js(&callback.result, "value", "context")
        ));
    }
    lines.line("}");
    lines.line("");
    lines.line("/// Calls the function as a task of the event loop: what it throws is reported, and a microtask checkpoint");
    lines.line("/// follows. The error is that of converting an argument.");
    lines.line(format!("pub fn call_and_report(self, scope: &mut v8::PinScope<'s, '_>{parameters}) -> Result<(), Exception> {{"));
    lines.line(format!("let arguments = [{array}];"));
    lines.line("callback::invoke_and_report(scope, self.0, &arguments);");
    lines.line("Ok(())");
    lines.line("}");
    lines.line("}");
    lines.line("");
    Ok(())
}
