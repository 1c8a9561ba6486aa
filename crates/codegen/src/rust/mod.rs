//! The Rust side: one file per interface, and one each for dictionaries, enumerations, unions and callbacks.

mod callback;
mod dictionary;
mod dispatch;
mod enumeration;
mod interface;
mod types;
mod union;

use std::collections::BTreeSet;

use crate::model::{Idl, Type};
use crate::{Config, Error, File, HEADER, names};

/// Lines of Rust, indented by their braces.
#[derive(Default)]
pub(crate) struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        let closes = line.starts_with(['}', ')', ']']);
        if closes {
            self.depth = self.depth.saturating_sub(1);
        }
        if !line.is_empty() {
            for _ in 0..self.depth {
                self.text.push_str("    ");
            }
            self.text.push_str(line);
        }
        self.text.push('\n');
        if line.ends_with(['{', '(', '[']) {
            self.depth += 1;
        }
    }

    pub(crate) fn lines<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        for line in lines {
            self.line(line);
        }
    }

    fn finish(mut self) -> String {
        // One blank line between items, none at the end.
        while self.text.ends_with("\n\n") {
            self.text.pop();
        }
        self.text
    }
}

/// The definitions that the implemented interfaces reach.
#[derive(Default)]
pub(crate) struct Reachable {
    names: BTreeSet<String>,
}

impl Reachable {
    pub(crate) fn of(idl: &Idl) -> Self {
        let mut reachable = Self::default();
        for interface in idl.implemented() {
            for attribute in &interface.attributes {
                reachable.add(idl, &attribute.ty);
            }
            for operation in interface
                .operations
                .iter()
                .flatten()
                .chain(&interface.constructors)
            {
                reachable.add(idl, &operation.result);
                for argument in &operation.arguments {
                    reachable.add(idl, &argument.ty);
                }
            }
        }
        reachable
    }

    fn add(&mut self, idl: &Idl, ty: &Type) {
        match ty {
            Type::Sequence(inner) | Type::Promise(inner) | Type::Nullable(inner) => {
                self.add(idl, inner)
            }
            Type::Enum(name) => {
                self.names.insert(name.clone());
            }
            Type::Dictionary(name) | Type::Callback(name) | Type::Union(name) => {
                if !self.names.insert(name.clone()) {
                    return;
                }
                if let Some(dictionary) = idl.dictionaries.get(name) {
                    for (_, member) in idl.all_members(dictionary) {
                        self.add(idl, &member.ty);
                    }
                }
                if let Some(callback) = idl.callbacks.get(name) {
                    self.add(idl, &callback.result);
                    for argument in &callback.arguments {
                        self.add(idl, &argument.ty);
                    }
                }
                for member in idl.union(name) {
                    self.add(idl, member);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

pub(crate) fn generate(config: &Config, idl: &Idl) -> Result<Vec<File>, Error> {
    let reachable = Reachable::of(idl);
    let mut files = Vec::new();
    let mut modules = Vec::new();
    let mut push = |name: &str, lines: Lines, modules: &mut Vec<String>| {
        let contents = format!("// {HEADER}\n\nuse super::*;\n\n{}", lines.finish());
        files.push(File {
            path: config.rust_dir.join(format!("{name}.rs")),
            contents,
        });
        modules.push(name.to_owned());
    };

    let mut callbacks = Lines::default();
    for callback in idl
        .callbacks
        .values()
        .filter(|callback| reachable.contains(&callback.name))
    {
        callback::emit(&mut callbacks, idl, callback)?;
    }
    push("callbacks", callbacks, &mut modules);
    let mut dictionaries = Lines::default();
    for dictionary in idl
        .dictionaries
        .values()
        .filter(|dictionary| reachable.contains(&dictionary.name))
    {
        dictionary::emit(&mut dictionaries, idl, dictionary)?;
    }
    push("dictionaries", dictionaries, &mut modules);
    let mut enums = Lines::default();
    for found in idl
        .enums
        .values()
        .filter(|found| reachable.contains(&found.name))
    {
        enumeration::emit(&mut enums, found);
    }
    push("enums", enums, &mut modules);
    let mut unions = Lines::default();
    for typedef in idl
        .typedefs
        .values()
        .filter(|typedef| reachable.contains(&typedef.name))
    {
        union::emit(&mut unions, idl, typedef)?;
    }
    push("unions", unions, &mut modules);
    for interface in idl.implemented() {
        let mut lines = Lines::default();
        interface::emit(&mut lines, idl, interface)?;
        push(&names::module(&interface.name), lines, &mut modules);
    }
    modules.sort();
    files.push(File {
        path: config.rust_dir.join("mod.rs"),
        contents: root(config, idl, &modules),
    });
    Ok(files)
}

fn root(config: &Config, idl: &Idl, modules: &[String]) -> String {
    let mut lines = Lines::default();
    lines.line(format!("// {HEADER}"));
    lines.line("");
    lines.line("//! The bindings: classes, dictionaries, enumerations, unions and callbacks of the .webidl files.");
    lines.line("");
    // Uniform code, and what #[op2] expands to.
    lines.line(
        "#![allow(unused_imports, unused_variables, unused_mut, dead_code, non_camel_case_types, non_snake_case)]",
    );
    lines.line("#![allow(clippy::all, clippy::undocumented_unsafe_blocks)]");
    lines.line("");
    for module in modules {
        lines.line(format!("mod {module};"));
    }
    lines.line("");
    for module in modules {
        lines.line(format!("pub use {module}::*;"));
    }
    lines.line("");
    lines.line("use deno_core::{op2, v8};");
    lines.line(format!("use {}::{{", config.support));
    lines.line("self as webidl, BufferSource, BufferType, Context, Exception, FromJs, Handle, Host, Interface, Promise,");
    lines.line(
        "Range, ToJs, TracedCallback, argument, argument_count, callback, convert, set_member,",
    );
    lines.line("};");
    let interfaces: Vec<&str> = idl
        .implemented()
        .map(|interface| interface.name.as_str())
        .collect();
    if !interfaces.is_empty() {
        lines.line(format!(
            "use {}::{{{}}};",
            config.interfaces,
            interfaces.join(", ")
        ));
    }
    lines.line("");
    lines.line("/// The classes, for the `objects` of an extension.");
    lines.line("pub fn objects() -> Vec<deno_core::_ops::OpMethodDecl> {");
    lines.line(format!(
        "vec![{}]",
        interfaces
            .iter()
            .map(|name| format!("{name}::DECL"))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    lines.line("}");
    lines.finish()
}
