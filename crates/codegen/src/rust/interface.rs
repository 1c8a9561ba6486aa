//! Interfaces: the trait to implement by hand, and the `#[op2]` class that calls it.

use std::collections::BTreeMap;

use super::{Lines, dispatch, types};
use crate::model::{Argument, Attribute, Default, Idl, Interface, Operation, Type};
use crate::{Error, names};

const SCOPE: &str = "scope: &mut v8::PinScope<'s, '_>";
const ARGUMENTS: &str = "#[varargs] args: Option<&v8::FunctionCallbackArguments<'s>>";
/// Arguments are counted here and not by `#[op2]`, whose check comes before that of `this`, always throws, and calls
/// every operation 'call'. `configureInterface` sets the length.
const REQUIRED: &str = "#[required(0)]";
const VALUE: &str = "v8::Local<'s, v8::Value>";

pub(crate) fn emit(lines: &mut Lines, idl: &Idl, interface: &Interface) -> Result<(), Error> {
    let name = &interface.name;
    emit_trait(lines, idl, interface);
    lines.line(format!("impl Interface for {name} {{"));
    lines.line(format!("const NAME: &'static str = {name:?};"));
    lines.line(format!(
        "const EVENT_TARGET: bool = {};",
        interface.event_target()
    ));
    lines.line(format!(
        "const SERIALIZABLE: bool = {};",
        interface.serializable
    ));
    lines.line(format!(
        "const TRANSFERABLE: bool = {};",
        interface.transferable
    ));
    lines.line("}");
    lines.line("");
    lines.line("#[op2]");
    lines.line(format!("impl {name} {{"));
    emit_constructor(lines, idl, interface)?;
    for attribute in &interface.attributes {
        emit_attribute(lines, interface, attribute);
    }
    for group in &interface.operations {
        emit_operation(lines, idl, interface, group)?;
    }
    lines.line("}");
    Ok(())
}

/// Whether an attribute's getter is a plain function of the object.
fn is_plain(ty: &Type) -> bool {
    match ty {
        Type::Boolean
        | Type::Integer(..)
        | Type::Float { .. }
        | Type::DomString
        | Type::UsvString
        | Type::Enum(_) => true,
        Type::Nullable(inner) => is_plain(inner),
        _ => false,
    }
}

fn parameters(idl: &Idl, interface: &Interface, arguments: &[Argument]) -> String {
    let mut out = SCOPE.to_owned();
    if interface.this {
        out.push_str(", this: v8::Local<'s, v8::Object>");
    }
    for argument in arguments {
        let mut ty = types::rust(idl, &argument.ty);
        if argument.optional && argument.default.is_none() {
            ty = format!("Option<{ty}>");
        }
        out.push_str(&format!(", {}: {ty}", names::identifier(&argument.name)));
    }
    out
}

fn emit_trait(lines: &mut Lines, idl: &Idl, interface: &Interface) {
    let name = &interface.name;
    lines.line(format!("/// What a `{name}` does, written by hand."));
    lines.line(format!("pub trait {name}Methods: Interface {{"));
    for constructor in &interface.constructors {
        lines.line(format!("/// `new {name}({})`", argument_names(constructor)));
        let parameters = parameters(idl, interface, &constructor.arguments);
        lines.line(format!(
            "fn {}<'s>({parameters}) -> Result<Self, Exception>;",
            constructor.rust_name
        ));
        lines.line("");
    }
    for attribute in &interface.attributes {
        if attribute.ty == Type::EventHandler {
            continue;
        }
        let function = names::identifier(&attribute.name);
        let ty = types::rust(idl, &attribute.ty);
        lines.line(format!("/// The attribute `{}`.", attribute.name));
        if is_plain(&attribute.ty) {
            lines.line(format!("fn {function}(&self) -> {ty};"));
        } else {
            lines.line(format!(
                "fn {function}<'s>(&self, {SCOPE}) -> Result<{ty}, Exception>;"
            ));
        }
        lines.line("");
        if !attribute.readonly {
            let function = format!("set_{}", names::snake(&attribute.name));
            lines.line(format!("/// Writes the attribute `{}`.", attribute.name));
            lines.line(format!(
                "fn {function}<'s>(&self, {SCOPE}, value: {ty}) -> Result<(), Exception>;"
            ));
            lines.line("");
        }
    }
    for operation in interface
        .operations
        .iter()
        .flatten()
        .filter(|operation| !operation.is_default)
    {
        let receiver = if operation.is_static { "" } else { "&self, " };
        let parameters = parameters(idl, interface, &operation.arguments);
        let result = types::rust(idl, &operation.result);
        lines.line(format!(
            "/// `{}({})`",
            operation.name,
            argument_names(operation)
        ));
        let function = &operation.rust_name;
        // A static operation has no `this` object.
        let parameters = if operation.is_static {
            parameters.replace(", this: v8::Local<'s, v8::Object>", "")
        } else {
            parameters
        };
        lines.line(format!(
            "fn {function}<'s>({receiver}{parameters}) -> Result<{result}, Exception>;"
        ));
        lines.line("");
    }
    lines.line("}");
    lines.line("");
}

fn argument_names(operation: &Operation) -> String {
    operation
        .arguments
        .iter()
        .map(|argument| argument.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn required(operation: &Operation) -> usize {
    operation
        .arguments
        .iter()
        .filter(|argument| !argument.optional)
        .count()
}

fn least_required(group: &[Operation]) -> usize {
    group.iter().map(required).min().unwrap_or(0)
}

fn emit_constructor(lines: &mut Lines, idl: &Idl, interface: &Interface) -> Result<(), Error> {
    let name = &interface.name;
    lines.line("#[constructor]");
    lines.line("#[reentrant]");
    if interface.constructors.is_empty() {
        lines.line(format!(
            "fn constructor<'s>({SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
        ));
        lines.line("webidl::run(scope, |_| Err(webidl::illegal_constructor()))");
        lines.line("}");
        return Ok(());
    }
    lines.line(REQUIRED);
    lines.line("#[validate(webidl::require_new)]");
    lines.line(format!(
        "fn constructor<'s>({SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
    ));
    lines.line(format!("let call = &Context::constructor({name:?});"));
    lines.line(format!(
        "webidl::construct::<{name}>(scope, args, |scope| {{"
    ));
    if interface.this {
        lines.line("let this = webidl::this(scope, args);");
    }
    emit_call(
        lines,
        idl,
        interface,
        &interface.constructors,
        &|operation, arguments| {
            vec![format!(
                "<{name} as {name}Methods>::{}({arguments})",
                operation.rust_name
            )]
        },
    )?;
    lines.line("})");
    lines.line("}");
    Ok(())
}

/// Converts the arguments of the overload that the call is for, then runs the code of `finish`.
fn emit_call(
    lines: &mut Lines,
    idl: &Idl,
    interface: &Interface,
    group: &[Operation],
    finish: &dyn Fn(&Operation, &str) -> Vec<String>,
) -> Result<(), Error> {
    let least = least_required(group);
    if least > 0 {
        lines.line("let count = argument_count(args);");
        lines.line(format!("if count < {least} {{"));
        lines.line(format!(
            "return Err(call.too_few_arguments({least}, count));"
        ));
        lines.line("}");
    }
    if let [operation] = group {
        lines.lines(overload(interface, operation, finish));
        return Ok(());
    }
    // https://webidl.spec.whatwg.org/#dfn-overload-resolution-algorithm
    let most = group
        .iter()
        .map(|operation| operation.arguments.len())
        .max()
        .unwrap_or(0);
    // Step 3 to 5: the entries with as many types as there are arguments.
    let mut by_count: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
    for count in least..=most {
        let entries = group
            .iter()
            .filter(|operation| required(operation) <= count && count <= operation.arguments.len());
        by_count.insert(count, entries.collect());
    }
    lines.line(format!("match argument_count(args).min({most}) {{"));
    for (count, entries) in &by_count {
        if let [first, _, ..] = entries.as_slice()
            && *count == 0
        {
            return Err(Error::invalid(
                &first.location,
                "two overloads without arguments",
            ));
        }
        lines.line(format!("{count} => {{"));
        match entries.as_slice() {
            [] => lines.line(format!(
                "Err(call.error(\"Overload resolution failed: no variant takes {count} arguments.\"))"
            )),
            [only] => lines.lines(overload(interface, only, finish)),
            [first, ..] => {
                // Steps 7 and 8 for a distinguishing argument index of 0, the only one that is supported: `dispatch`
                // refuses types that cannot be told apart.
                lines.line("let value = argument(scope, args, 0);");
                let candidates: Vec<(&Type, Vec<String>)> = entries
                    .iter()
                    .filter_map(|operation| {
                        let ty = &operation.arguments.first()?.ty;
                        Some((ty, overload(interface, operation, finish)))
                    })
                    .collect();
                let otherwise = "Err(call.error(\"Overload resolution failed.\"))";
                dispatch::emit(lines, idl, &candidates, &first.location, otherwise)?;
            }
        }
        lines.line("}");
    }
    lines.line(format!(
        "count => Err(call.too_few_arguments({least}, count)),"
    ));
    lines.line("}");
    Ok(())
}

fn overload(
    interface: &Interface,
    operation: &Operation,
    finish: &dyn Fn(&Operation, &str) -> Vec<String>,
) -> Vec<String> {
    let mut out = Vec::new();
    let mut arguments = vec!["scope".to_owned()];
    let constructor = operation.name == "constructor" && operation.is_static;
    if interface.this && (constructor || !operation.is_static) {
        arguments.push("this".into());
    }
    for (index, argument) in operation.arguments.iter().enumerate() {
        out.push(format!("let argument_{index} = {{"));
        out.push(format!("let context = &call.argument({index});"));
        out.push(format!("let value = argument(scope, args, {index});"));
        let converted = types::from_js(&argument.ty, "value", "context");
        match (&argument.default, argument.optional) {
            (Some(Default::EmptyDictionary), _) | (None, false) => out.push(converted),
            (None, true) => {
                out.push(format!(
                    "if value.is_undefined() {{ None }} else {{ Some({converted}) }}"
                ));
            }
            (Some(value), _) => {
                let default = types::default(&argument.ty, value);
                out.push(format!(
                    "if value.is_undefined() {{ {default} }} else {{ {converted} }}"
                ));
            }
        }
        out.push("};".into());
        arguments.push(format!("argument_{index}"));
    }
    out.extend(finish(operation, &arguments.join(", ")));
    out
}

fn emit_attribute(lines: &mut Lines, interface: &Interface, attribute: &Attribute) {
    let name = &interface.name;
    let function = names::identifier(&attribute.name);
    let snake = names::snake(&attribute.name);
    if let Type::Promise(_) = attribute.ty {
        // Moved to the prototype by `configureInterface`: a getter of `#[op2]` would throw for a bad `this`.
        lines.line("");
        lines.line("#[reentrant]");
        lines.line(format!("#[rename({:?})]", attribute.name));
        lines.line(REQUIRED);
        lines.line("#[static_method]");
        lines.line(format!(
            "fn promise_{snake}<'s>({SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
        ));
        lines.line(format!(
            "let call = &Context::getter({name:?}, {:?});",
            attribute.name
        ));
        lines.line("webidl::run_promise(scope, |scope| {");
        emit_this(lines, name);
        lines.line(format!(
            "let result = <{name} as {name}Methods>::{function}(&object, scope)?;"
        ));
        lines.line("ToJs::to_js(&result, scope)");
        lines.line("})");
        lines.line("}");
        return;
    }
    lines.line("");
    lines.line("#[getter]");
    lines.line("#[reentrant]");
    lines.line(format!("#[rename({:?})]", attribute.name));
    if attribute.ty == Type::EventHandler {
        let event = attribute.name.trim_start_matches("on");
        lines.line(format!(
            "fn member_{snake}<'s>(&self, {SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
        ));
        lines.line("webidl::run(scope, |scope| {");
        lines.line("let this = webidl::this(scope, args);");
        lines.line(format!(
            "Host::get(scope).event_handler(scope, this, {event:?})"
        ));
        lines.line("})");
        lines.line("}");
    } else {
        lines.line(format!(
            "fn member_{snake}<'s>(&self, {SCOPE}) -> {VALUE} {{"
        ));
        lines.line("webidl::run(scope, |scope| {");
        let method = format!("<{name} as {name}Methods>::{function}");
        if is_plain(&attribute.ty) {
            lines.line(format!("let result = {method}(self);"));
        } else {
            lines.line(format!("let result = {method}(self, scope)?;"));
        }
        lines.line("ToJs::to_js(&result, scope)");
        lines.line("})");
        lines.line("}");
    }
    if attribute.readonly {
        return;
    }
    lines.line("");
    lines.line("#[reentrant]");
    lines.line(format!("#[rename({:?})]", attribute.name));
    lines.line("#[setter]");
    lines.line(format!(
        "fn member_set_{snake}<'s>(&self, {SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
    ));
    lines.line(format!(
        "let call = &Context::setter({name:?}, {:?});",
        attribute.name
    ));
    lines.line("webidl::run(scope, |scope| {");
    lines.line("if argument_count(args) < 1 {");
    lines.line("return Err(call.too_few_arguments(1, 0));");
    lines.line("}");
    lines.line("let value = argument(scope, args, 0);");
    if attribute.ty == Type::EventHandler {
        let event = attribute.name.trim_start_matches("on");
        lines.line("let this = webidl::this(scope, args);");
        lines.line(format!(
            "Host::get(scope).set_event_handler(scope, this, {event:?}, value)"
        ));
    } else {
        lines.line("let context = &call.value();");
        if let Type::Enum(enumeration) = &attribute.ty {
            // https://webidl.spec.whatwg.org/#dfn-attribute-setter step 4.6.2: an unknown value is ignored.
            lines.line("let text = convert::string(scope, value)?;");
            lines.line(format!(
                "let Some(value) = {enumeration}::parse(&text) else {{"
            ));
            lines.line("return Ok(v8::undefined(scope).into());");
            lines.line("};");
        } else {
            lines.line(format!(
                "let value = {};",
                types::from_js(&attribute.ty, "value", "context")
            ));
        }
        lines.line(format!(
            "<{name} as {name}Methods>::set_{snake}(self, scope, value)?;"
        ));
        lines.line("Ok(v8::undefined(scope).into())");
    }
    lines.line("})");
    lines.line("}");
}

/// Checks `this` by hand.
fn emit_this(lines: &mut Lines, name: &str) {
    lines.line("let this = webidl::this(scope, args);");
    lines.line(format!(
        "let Some(object) = Handle::<{name}>::from_value(scope, this.into()) else {{"
    ));
    lines.line("return Err(webidl::illegal_invocation(call));");
    lines.line("};");
}

fn emit_operation(
    lines: &mut Lines,
    idl: &Idl,
    interface: &Interface,
    group: &[Operation],
) -> Result<(), Error> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let name = &interface.name;
    let snake = names::snake(&first.name);
    let promise = matches!(first.result, Type::Promise(_));
    // An operation that returns a promise rejects for a bad `this`, which a method of `#[op2]` cannot: it is made static
    // here, and `configureInterface` moves it to the prototype.
    let as_static = first.is_static || promise;
    lines.line("");
    lines.line("#[reentrant]");
    lines.line(format!("#[rename({:?})]", first.name));
    lines.line(REQUIRED);
    if as_static {
        lines.line("#[static_method]");
    }
    let receiver = if as_static { "" } else { "&self, " };
    let prefix = if as_static { "static" } else { "member" };
    lines.line(format!(
        "fn {prefix}_{snake}<'s>({receiver}{SCOPE}, {ARGUMENTS}) -> {VALUE} {{"
    ));
    let context = if first.is_static {
        "static_operation"
    } else {
        "operation"
    };
    lines.line(format!(
        "let call = &Context::{context}({name:?}, {:?});",
        first.name
    ));
    lines.line(format!(
        "webidl::{}(scope, |scope| {{",
        if promise { "run_promise" } else { "run" }
    ));
    let object = if first.is_static {
        None
    } else if promise {
        emit_this(lines, name);
        Some("&object")
    } else {
        if interface.this {
            lines.line("let this = webidl::this(scope, args);");
        }
        Some("self")
    };
    if first.is_default {
        emit_to_json(lines, interface)?;
    } else {
        emit_call(lines, idl, interface, group, &|operation, arguments| {
            let receiver = object
                .map(|object| format!("{object}, "))
                .unwrap_or_default();
            vec![
                format!(
                    "let result = <{name} as {name}Methods>::{}({receiver}{arguments})?;",
                    operation.rust_name
                ),
                "ToJs::to_js(&result, scope)".into(),
            ]
        })?;
    }
    lines.line("})");
    lines.line("}");
    Ok(())
}

/// <https://webidl.spec.whatwg.org/#default-tojson-steps>
fn emit_to_json(lines: &mut Lines, interface: &Interface) -> Result<(), Error> {
    let name = &interface.name;
    lines.line("let object = v8::Object::new(scope);");
    for attribute in &interface.attributes {
        match &attribute.ty {
            ty if is_plain(ty) => {}
            // No JSON types: left out.
            Type::Any
            | Type::Promise(_)
            | Type::EventHandler
            | Type::Buffer(_)
            | Type::Callback(_) => continue,
            _ => {
                return Err(Error::unsupported(
                    &attribute.location,
                    "this type of attribute with [Default] toJSON()",
                ));
            }
        }
        let function = names::identifier(&attribute.name);
        lines.line(format!(
            "let value = ToJs::to_js(&<{name} as {name}Methods>::{function}(self), scope)?;"
        ));
        lines.line(format!(
            "set_member(scope, object, {:?}, value)?;",
            attribute.name
        ));
    }
    lines.line("Ok(object.into())");
    Ok(())
}
