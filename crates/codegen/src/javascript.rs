//! The JavaScript side: what `#[op2]` classes lack, and the global's properties.

use std::fmt::Write as _;

use crate::model::{Idl, Interface, Operation, Type};
use crate::{Config, HEADER};

fn length(group: &[Operation]) -> usize {
    group
        .iter()
        .map(|operation| {
            operation
                .arguments
                .iter()
                .filter(|argument| !argument.optional)
                .count()
        })
        .min()
        .unwrap_or(0)
}

fn is_promise(group: &[Operation]) -> bool {
    group
        .first()
        .is_some_and(|operation| matches!(operation.result, Type::Promise(_)))
}

fn is_static(group: &[Operation]) -> bool {
    group.first().is_some_and(|operation| operation.is_static)
}

pub(crate) fn generate(config: &Config, idl: &Idl) -> String {
    let interfaces: Vec<&Interface> = idl.implemented().collect();
    let names: Vec<&str> = interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    let mut out = format!("// {HEADER}\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "import {{ primordials }} from \"ext:core/mod.js\";");
    if !names.is_empty() {
        let _ = writeln!(
            out,
            "import {{\n  {},\n}} from \"ext:core/ops\";",
            names.join(",\n  ")
        );
    }
    let _ = writeln!(
        out,
        "import {{ configureInterface }} from \"{}\";\n",
        config.javascript_support
    );
    out.push_str("const { ObjectDefineProperty } = primordials;\n\n");
    for interface in &interfaces {
        configure(&mut out, interface);
    }
    let _ = writeln!(out, "export {{\n  {},\n}};\n", names.join(",\n  "));
    out.push_str("const interfaces = {\n  __proto__: null,\n");
    for name in &names {
        let _ = writeln!(out, "  {name},");
    }
    out.push_str("};\n\n/** The interfaces that exist in secure contexts only. */\nconst secure = {\n  __proto__: null,\n");
    for interface in interfaces
        .iter()
        .filter(|interface| interface.secure_context)
    {
        let _ = writeln!(out, "  {}: true,", interface.name);
    }
    out.push_str(
        "};\n\n/** Defines the interface objects on a global object: https://webidl.spec.whatwg.org/#define-the-global-property-references */\n\
         export function exposeInterfaces(global, secureContext = true) {\n  for (const name in interfaces) {\n    \
         if (secure[name] && !secureContext) continue;\n    ObjectDefineProperty(global, name, {\n      __proto__: null,\n      \
         value: interfaces[name],\n      writable: true,\n      enumerable: false,\n      configurable: true,\n    });\n  }\n}\n",
    );
    out
}

fn configure(out: &mut String, interface: &Interface) {
    let name = &interface.name;
    let _ = writeln!(
        out,
        "configureInterface({name}, {{\n  __proto__: null,\n  name: \"{name}\","
    );
    let _ = writeln!(out, "  length: {},", length(&interface.constructors));
    let _ = writeln!(out, "  eventTarget: {},", interface.event_target());
    let groups = |promise: bool, wanted_static: bool| {
        interface
            .operations
            .iter()
            .filter(move |group| is_promise(group) == promise && is_static(group) == wanted_static)
            .filter_map(|group| Some(format!("[\"{}\", {}]", group.first()?.name, length(group))))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let _ = writeln!(out, "  operations: [{}],", groups(false, false));
    let _ = writeln!(out, "  promiseOperations: [{}],", groups(true, false));
    let both = [groups(false, true), groups(true, true)];
    let both: Vec<&str> = both
        .iter()
        .map(String::as_str)
        .filter(|list| !list.is_empty())
        .collect();
    let _ = writeln!(out, "  staticOperations: [{}],", both.join(", "));
    let attributes: Vec<String> = interface
        .attributes
        .iter()
        .filter(|attribute| matches!(attribute.ty, Type::Promise(_)))
        .map(|attribute| format!("\"{}\"", attribute.name))
        .collect();
    let _ = writeln!(
        out,
        "  promiseAttributes: [{}],\n}});\n",
        attributes.join(", ")
    );
}
