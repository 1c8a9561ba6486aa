//! TypeScript declarations of what is exposed.

use std::fmt::Write as _;

use crate::HEADER;
use crate::model::{Argument, Buffer, Idl, Interface, Operation, Type};
use crate::rust::Reachable;

fn ty(found: &Type) -> String {
    match found {
        Type::Undefined => "void".into(),
        Type::Any => "any".into(),
        Type::Object => "object".into(),
        Type::Boolean => "boolean".into(),
        Type::Integer(..) | Type::Float { .. } => "number".into(),
        Type::DomString | Type::UsvString => "string".into(),
        Type::Buffer(Buffer::AllowSharedBufferSource) => "AllowSharedBufferSource".into(),
        Type::Buffer(Buffer::BufferSource) => "BufferSource".into(),
        Type::Buffer(buffer) => buffer.name().into(),
        Type::Sequence(inner) => match **inner {
            Type::Nullable(_) => format!("({})[]", ty(inner)),
            _ => format!("{}[]", ty(inner)),
        },
        Type::Promise(inner) => format!("Promise<{}>", ty(inner)),
        Type::Nullable(inner) => format!("{} | null", ty(inner)),
        Type::EventHandler => "((event: Event) => any) | null".into(),
        Type::Named(name)
        | Type::Interface(name)
        | Type::External(name)
        | Type::Dictionary(name)
        | Type::Enum(name)
        | Type::Callback(name)
        | Type::Union(name) => name.clone(),
    }
}

fn arguments(found: &[Argument]) -> String {
    let argument = |argument: &Argument| {
        format!(
            "{}{}: {}",
            argument.name,
            if argument.optional { "?" } else { "" },
            ty(&argument.ty)
        )
    };
    found.iter().map(argument).collect::<Vec<_>>().join(", ")
}

pub(crate) fn generate(idl: &Idl) -> String {
    let reachable = Reachable::of(idl);
    let mut out = format!("// {HEADER}\n\n");
    out.push_str(
        "type AllowSharedBufferSource = ArrayBuffer | SharedArrayBuffer | ArrayBufferView;\n\n",
    );
    // Writing to a String cannot fail.
    for found in idl
        .enums
        .values()
        .filter(|found| reachable.contains(&found.name))
    {
        let values: Vec<String> = found
            .values
            .iter()
            .map(|value| format!("{value:?}"))
            .collect();
        let _ = writeln!(out, "type {} = {};\n", found.name, values.join(" | "));
    }
    for found in idl
        .typedefs
        .values()
        .filter(|found| reachable.contains(&found.name))
    {
        let members: Vec<String> = idl.union(&found.name).iter().map(ty).collect();
        let _ = writeln!(out, "type {} = {};\n", found.name, members.join(" | "));
    }
    for found in idl
        .callbacks
        .values()
        .filter(|found| reachable.contains(&found.name))
    {
        let _ = writeln!(
            out,
            "type {} = ({}) => {};\n",
            found.name,
            arguments(&found.arguments),
            ty(&found.result)
        );
    }
    for found in idl
        .dictionaries
        .values()
        .filter(|found| reachable.contains(&found.name))
    {
        let parent = found
            .parent
            .as_ref()
            .map(|parent| format!(" extends {parent}"))
            .unwrap_or_default();
        let _ = writeln!(out, "interface {}{parent} {{", found.name);
        for member in &found.members {
            let optional = if member.required { "" } else { "?" };
            let _ = writeln!(out, "  {}{optional}: {};", member.name, ty(&member.ty));
        }
        out.push_str("}\n\n");
    }
    for interface in idl.implemented() {
        declare(&mut out, interface);
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

fn declare(out: &mut String, interface: &Interface) {
    let name = &interface.name;
    let parent = interface
        .parent
        .as_ref()
        .map(|parent| format!(" extends {parent}"))
        .unwrap_or_default();
    let _ = writeln!(out, "declare class {name}{parent} {{");
    if interface.constructors.is_empty() {
        out.push_str("  private constructor();\n");
    }
    for constructor in &interface.constructors {
        let _ = writeln!(out, "  constructor({});", arguments(&constructor.arguments));
    }
    for attribute in &interface.attributes {
        let readonly = if attribute.readonly { "readonly " } else { "" };
        let _ = writeln!(
            out,
            "  {readonly}{}: {};",
            attribute.name,
            ty(&attribute.ty)
        );
    }
    let operation = |operation: &Operation| {
        let is_static = if operation.is_static { "static " } else { "" };
        format!(
            "  {is_static}{}({}): {};\n",
            operation.name,
            arguments(&operation.arguments),
            ty(&operation.result)
        )
    };
    for found in interface.operations.iter().flatten() {
        out.push_str(&operation(found));
    }
    out.push_str("}\n\n");
}
