//! A naga module as WGSL, with nothing lost.
//!
//! naga's own WGSL writer renames entry points and overrides whose names end in a digit or collide,
//! and leaves out `@size` and `@align`, `@workgroup_size` over overrides, `@early_depth_test`,
//! diagnostic filters, phony assignments of whole globals, and `enable f16` where only literals
//! need it, and spells some `@interpolate` as another; an override expression makes it panic, and a
//! deep one overflows its stack. So it writes a copy of the module in which every name is one that
//! it leaves alone, and what it left out is put where those names appear.

use std::collections::HashMap;
use std::fmt::Write as _;

use naga::back::wgsl::WriterFlags;
use naga::proc::Layouter;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{
    Arena, ArraySize, Binding, ConservativeDepth, EarlyDepthTest, EntryPoint, Expression, Function,
    Handle, Interpolation, Literal, Module, Override, Sampling, Scalar, ScalarKind, ShaderStage,
    TypeInner,
};

use super::names::{Names, is_predeclared, unused_prefix};
use super::{constant, deep, results};

/// `module` as WGSL; `info` is what the validator says of it, `source` what it was parsed from.
///
/// # Errors
/// What of the module cannot be written.
pub(super) fn write(
    module: &Module,
    info: &ModuleInfo,
    source: &str,
    capabilities: Capabilities,
) -> Result<String, String> {
    refuse(module)?;
    let own = results::own(module, info)
        .map(|module| {
            let mut validator = Validator::new(ValidationFlags::all(), capabilities);
            let info = validator
                .validate(&module)
                .map_err(|e| format!("the module is not valid: {}", e.as_inner()))?;
            Ok::<_, String>((module, info))
        })
        .transpose()?;
    let (module, info) = own
        .as_ref()
        .map_or((module, info), |(module, info)| (module, info));
    let prefix = unused_prefix(source);
    let names = Names { prefix: &prefix };
    let mut copy = module.clone();
    let mut edits = Edits::default();
    deep::refuse_deep(&mut copy.global_expressions)?;

    for (handle, ty) in module.types.iter() {
        if let TypeInner::Struct { members, span } = &ty.inner
            && !is_predeclared(module, handle)
        {
            let attributes = layout_attributes(module, members, *span)?;
            let mut ty = ty.clone();
            ty.name = Some(names.of('t', handle.index()));
            if let TypeInner::Struct { members, .. } = &mut ty.inner {
                for (index, (member, attributes)) in members.iter_mut().zip(attributes).enumerate()
                {
                    let name = names.member(handle.index(), index);
                    let own = member.name.replace(name.clone());
                    edits.restore(&name, own.unwrap_or_else(|| format!("member{index}_")));
                    let interpolation = take_interpolation(member.binding.as_mut());
                    if attributes.is_some() || interpolation.is_some() {
                        let (first, second) = (interpolation, attributes.unwrap_or_default());
                        let first = first.unwrap_or_default();
                        edits.replace(format!("{name}: "), format!("{first}{second}{name}: "));
                    }
                }
            }
            copy.types.replace(handle, ty);
        }
    }
    for (handle, constant) in copy.constants.iter_mut() {
        if constant.name.is_some() {
            constant.name = Some(names.of_constant(handle));
        }
    }
    for (handle, over) in copy.overrides.iter_mut() {
        let name = names.of_override(handle);
        if let Some(own) = over.name.replace(name.clone()) {
            edits.restore(&name, own);
        }
        if let Some(init) = over
            .init
            .take_if(|init| !constant::writer_can(module, *init))
        {
            let text = constant::write(module, info, init, &names)
                .ok_or_else(|| "the default of an override".to_owned())?;
            let ty = override_type(module, handle)?;
            edits.replace(
                format!("override {name}: {ty};"),
                format!("override {name}: {ty} = {text};"),
            );
        }
    }
    name_array_sizes(module, &mut copy, &names, &mut edits)?;
    for (handle, global) in copy.global_variables.iter_mut() {
        let name = names.of('g', handle.index());
        global.name = Some(name.clone());
        if let Some(init) = global
            .init
            .take_if(|init| !constant::writer_can(module, *init))
        {
            let text = constant::write(module, info, init, &names)
                .ok_or_else(|| "the initial value of a variable".to_owned())?;
            edits.initial_values.push((format!(" {name}: "), text));
        }
    }
    for (handle, function) in copy.functions.iter_mut() {
        deep::name_deep(function, &info[handle], &module.types)?;
        let name = names.of('f', handle.index());
        rename_function(function, &name, &names, &mut edits);
        function.name = Some(name);
    }
    for (index, entry_point) in copy.entry_points.iter_mut().enumerate() {
        let function_info = info.get_entry_point(index);
        deep::name_deep(&mut entry_point.function, function_info, &module.types)?;
        let name = names.of('e', index);
        rename_function(&mut entry_point.function, &name, &names, &mut edits);
        write_entry_attributes(module, info, entry_point, &name, &names, &mut edits)?;
        write_interpolation(&mut entry_point.function, index, &name, &names, &mut edits);
        edits.restore(&name, entry_point.name.clone());
        entry_point.name = name;
    }

    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&copy)
        .map_err(|e| format!("the module is not valid: {}", e.as_inner()))?;
    let text = naga::back::wgsl::write_string(&copy, &info, WriterFlags::empty())
        .map_err(|e| e.to_string())?;
    let body = edits.apply(text, &prefix)?;

    let mut out = String::with_capacity(body.len() + 64);
    // The user's own filters were applied when the module was validated.
    out.push_str("diagnostic(off, derivative_uniformity);\n");
    if uses_f16(module) {
        out.push_str("enable f16;\n");
    }
    out.push_str(&body);
    Ok(out)
}

/// Refuses what the writer does not know: some of it would make it panic.
fn refuse(module: &Module) -> Result<(), String> {
    for (_, ty) in module.types.iter() {
        if matches!(
            ty.inner,
            TypeInner::RayQuery { .. } | TypeInner::AccelerationStructure { .. }
        ) {
            return Err("ray queries".to_owned());
        }
    }
    for entry_point in &module.entry_points {
        if !matches!(
            entry_point.stage,
            ShaderStage::Vertex | ShaderStage::Fragment | ShaderStage::Compute
        ) {
            return Err(format!("a {:?} entry point", entry_point.stage));
        }
    }
    for (_, constant) in module.constants.iter() {
        if constant.name.is_some() && !constant::writer_can(module, constant.init) {
            return Err("a constant whose value is not known".to_owned());
        }
    }
    Ok(())
}

/// The `@size` or `@align` that each member needs, computed from where the members are.
fn layout_attributes(
    module: &Module,
    members: &[naga::StructMember],
    span: u32,
) -> Result<Vec<Option<String>>, String> {
    let mut layouter = Layouter::default();
    layouter
        .update(module.to_ctx())
        .map_err(|e| e.to_string())?;
    let mut attributes = vec![None; members.len()];
    let mut alignment = 1;
    for (index, member) in members.iter().enumerate() {
        let layout = layouter[member.ty];
        alignment = alignment.max(layout.alignment.round_up(1));
        let end = member.offset.saturating_add(layout.size);
        match members.get(index + 1) {
            Some(next) if layouter[next.ty].alignment.round_up(end) != next.offset => {
                attributes[index] = Some(next.offset.saturating_sub(member.offset));
            }
            None if end.next_multiple_of(alignment) != span => {
                let dynamic = matches!(
                    module.types[member.ty].inner,
                    TypeInner::Array {
                        size: ArraySize::Dynamic,
                        ..
                    }
                );
                if dynamic {
                    // No @size may be there: the structure has a larger alignment than its
                    // members, and the first member is where any alignment leaves it.
                    let aligned = (0..31)
                        .map(|bit| 1u32 << bit)
                        .find(|align| *align > alignment && end.next_multiple_of(*align) == span)
                        .ok_or_else(|| "the size of a structure".to_owned())?;
                    let mut texts = texts(&attributes);
                    let first = texts.first_mut().and_then(Option::take);
                    if let Some(place) = texts.first_mut() {
                        *place = Some(format!("@align({aligned}) {}", first.unwrap_or_default()));
                    }
                    return Ok(texts);
                }
                attributes[index] = Some(span.saturating_sub(member.offset));
            }
            _ => {}
        }
    }
    Ok(texts(&attributes))
}

fn texts(sizes: &[Option<u32>]) -> Vec<Option<String>> {
    sizes
        .iter()
        .map(|size| size.map(|size| format!("@size({size}) ")))
        .collect()
}

/// The writer leaves out the element type of an array whose size is an override. Each such type
/// gets an override of its own, so that the place where it is written tells which type it is.
fn name_array_sizes(
    module: &Module,
    copy: &mut Module,
    names: &Names<'_>,
    edits: &mut Edits,
) -> Result<(), String> {
    for (handle, ty) in module.types.iter() {
        let TypeInner::Array {
            base,
            size: ArraySize::Pending(size),
            stride,
        } = ty.inner
        else {
            continue;
        };
        let name = names.of('s', handle.index());
        // Its value is put into the text. An expression for it would be the last one, and a type
        // that refers to that must come after the types of all expressions.
        let own = copy.overrides.append(
            Override {
                name: Some(name.clone()),
                id: None,
                ty: module.overrides[size].ty,
                init: None,
            },
            naga::Span::UNDEFINED,
        );
        let scalar = override_type(module, size)?;
        edits.replace(
            format!("override {name}: {scalar};"),
            format!("override {name}: {scalar} = {};", names.of_override(size)),
        );
        let inner = TypeInner::Array {
            base,
            size: ArraySize::Pending(own),
            stride,
        };
        copy.types.replace(
            handle,
            naga::Type {
                name: ty.name.clone(),
                inner,
            },
        );
        let element = constant::type_name(module, base, names).ok_or_else(|| {
            "an array of such elements, of a size that an override gives".to_owned()
        })?;
        edits.everywhere.push((
            format!("array<{name}>"),
            format!("array<{element}, {name}>"),
        ));
    }
    Ok(())
}

/// Gives arguments, variables and `let`s names that can shadow nothing, and remembers the phony
/// assignments of globals.
fn rename_function(function: &mut Function, name: &str, names: &Names<'_>, edits: &mut Edits) {
    for (index, argument) in function.arguments.iter_mut().enumerate() {
        argument.name = Some(names.of('a', index));
    }
    for (handle, local) in function.local_variables.iter_mut() {
        local.name = Some(names.of('v', handle.index()));
    }
    let mut phony = Vec::new();
    for (index, (&handle, own)) in function.named_expressions.iter_mut().enumerate() {
        if let Expression::GlobalVariable(global) = function.expressions[handle] {
            phony.push(global);
        }
        *own = names.of('l', index);
    }
    if !phony.is_empty() {
        edits.phony.push((name.to_owned(), phony));
    }
}

/// The `@interpolate` of a binding that the writer would spell as another, where `binding` gets one that it leaves out.
///
/// To a pipeline they are the same, but wgpu compares those of two stages word by word.
fn take_interpolation(binding: Option<&mut Binding>) -> Option<&'static str> {
    let Some(Binding::Location {
        interpolation,
        sampling,
        ..
    }) = binding
    else {
        return None;
    };
    let attribute = match (*interpolation, *sampling) {
        (Some(Interpolation::Perspective), None) => "@interpolate(perspective) ",
        (Some(Interpolation::Linear), Some(Sampling::Center)) => "@interpolate(linear, center) ",
        _ => return None,
    };
    *interpolation = Some(Interpolation::Perspective);
    *sampling = Some(Sampling::Center);
    Some(attribute)
}

/// Spells the `@interpolate` of an entry point's arguments and result.
fn write_interpolation(
    function: &mut Function,
    index: usize,
    name: &str,
    names: &Names<'_>,
    edits: &mut Edits,
) {
    for (place, argument) in function.arguments.iter_mut().enumerate() {
        if let Some(attribute) = take_interpolation(argument.binding.as_mut()) {
            let name = names.argument(index, place);
            edits.replace(format!("{name}: "), format!("{attribute}{name}: "));
            argument.name = Some(name);
        }
    }
    let result = function.result.as_mut().and_then(|r| r.binding.as_mut());
    if let Some(attribute) = take_interpolation(result) {
        edits.results.push((name.to_owned(), attribute));
    }
}

fn write_entry_attributes(
    module: &Module,
    info: &ModuleInfo,
    entry_point: &EntryPoint,
    name: &str,
    names: &Names<'_>,
    edits: &mut Edits,
) -> Result<(), String> {
    if let Some(overrides) = entry_point.workgroup_size_overrides {
        let mut sizes = Vec::with_capacity(3);
        for (size, over) in entry_point.workgroup_size.iter().zip(overrides) {
            sizes.push(match over {
                Some(expression) => constant::write(module, info, expression, names)
                    .ok_or_else(|| "a workgroup size".to_owned())?,
                None => size.to_string(),
            });
        }
        let [x, y, z] = entry_point.workgroup_size;
        edits.replace(
            format!("@workgroup_size({x}, {y}, {z}) \nfn {name}("),
            format!("@workgroup_size({}) \nfn {name}(", sizes.join(", ")),
        );
    }
    if let Some(test) = entry_point.early_depth_test {
        let test = match test {
            EarlyDepthTest::Force => "force",
            EarlyDepthTest::Allow { conservative } => match conservative {
                ConservativeDepth::GreaterEqual => "greater_equal",
                ConservativeDepth::LessEqual => "less_equal",
                ConservativeDepth::Unchanged => "unchanged",
            },
        };
        edits.replace(
            format!("\nfn {name}("),
            format!("@early_depth_test({test})\nfn {name}("),
        );
    }
    Ok(())
}

fn override_type(module: &Module, over: Handle<Override>) -> Result<&'static str, String> {
    match module.types[module.overrides[over].ty].inner {
        TypeInner::Scalar(scalar) => scalar_name(scalar),
        _ => Err("an override that is no scalar".to_owned()),
    }
}

fn scalar_name(scalar: Scalar) -> Result<&'static str, String> {
    use naga::common::wgsl::TryToWgsl;
    scalar
        .try_to_wgsl()
        .ok_or_else(|| format!("the type {scalar:?}"))
}

/// What to do with the writer's text.
#[derive(Default)]
struct Edits {
    /// Texts that appear once, and what stands there instead.
    replacements: Vec<(String, String)>,
    /// Texts that appear wherever they do, and what stands there instead.
    everywhere: Vec<(String, String)>,
    /// Functions, and an attribute of their result.
    results: Vec<(String, &'static str)>,
    /// What a variable's declaration ends its name with, and its initial value.
    initial_values: Vec<(String, String)>,
    /// Functions, and the globals that are assigned to nothing in them.
    phony: Vec<(String, Vec<Handle<naga::GlobalVariable>>)>,
    /// Our names for those of the shader's interface.
    restored: HashMap<String, String>,
}

impl Edits {
    fn replace(&mut self, from: String, to: String) {
        self.replacements.push((from, to));
    }

    fn restore(&mut self, name: &str, own: String) {
        self.restored.insert(name.to_owned(), own);
    }

    fn apply(self, mut text: String, prefix: &str) -> Result<String, String> {
        let missing = |what: &str| format!("{what:?} is not where the writer puts it");
        for (from, to) in &self.replacements {
            let at = text.find(from.as_str()).ok_or_else(|| missing(from))?;
            text.replace_range(at..at + from.len(), to);
        }
        for (from, to) in &self.everywhere {
            text = text.replace(from.as_str(), to);
        }
        for (name, value) in &self.initial_values {
            let at = text.find(name.as_str()).ok_or_else(|| missing(name))?;
            let end = text[at..].find(';').ok_or_else(|| missing(name))? + at;
            text.insert_str(end, &format!(" = {value}"));
        }
        let head = |text: &str, function: &str| {
            let head = format!("fn {function}(");
            let at = text.find(&head).ok_or_else(|| missing(&head))?;
            let end = text[at..].find(" {\n").ok_or_else(|| missing(&head))? + at;
            Ok::<_, String>(at..end)
        };
        for (function, attribute) in &self.results {
            let head = head(&text, function)?;
            let arrow = text[head.clone()].find(" -> ");
            let at = head.start + arrow.ok_or_else(|| missing(function))? + " -> ".len();
            text.insert_str(at, attribute);
        }
        let names = Names { prefix };
        for (function, globals) in &self.phony {
            let body = head(&text, function)?.end + " {\n".len();
            let mut statements = String::new();
            for global in globals {
                let name = names.of('g', global.index());
                // A handle is a value; everything else is in memory, and only its address is
                // wanted here.
                let reference = match text.find(&format!("var {name}: ")) {
                    Some(_) => "",
                    None => "&",
                };
                let _ = writeln!(statements, "    _ = {reference}{name};");
            }
            text.insert_str(body, &statements);
        }
        self.restore_names(&text, prefix)
    }

    /// Puts the interface's names in, unless the text uses such a name for something else, a
    /// built-in function for instance.
    fn restore_names(&self, text: &str, prefix: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        let top_level: Vec<&str> = self
            .restored
            .iter()
            .filter(|(name, _)| !name[prefix.len()..].starts_with("_m_"))
            .map(|(_, own)| own.as_str())
            .collect();
        while let Some(start) = rest.find(is_word) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            out.push_str(before);
            if let Some(own) = self.restored.get(word) {
                out.push_str(own);
            } else if top_level.contains(&word)
                && !before.ends_with(['.', '@'])
                && !is_context_dependent(&out)
            {
                return Err(format!(
                    "the name {word:?}, which the lowered shader needs for something else"
                ));
            } else {
                out.push_str(word);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Whether the word that comes after `text` means something by its place alone, so that a declaration of that name does not
/// change it: <https://www.w3.org/TR/WGSL/#context-dependent-names>.
fn is_context_dependent(text: &str) -> bool {
    let attribute = text.rfind('@').map_or("", |at| &text[at..]);
    let in_attribute = ["@builtin(", "@interpolate(", "@early_depth_test("]
        .iter()
        .any(|start| attribute.starts_with(start) && !attribute.contains(')'));
    in_attribute || text.ends_with("enable ")
}

/// Whether the module has 16-bit floats anywhere.
fn uses_f16(module: &Module) -> bool {
    fn in_arena(arena: &Arena<Expression>) -> bool {
        arena.iter().any(|(_, e)| {
            matches!(
                e,
                Expression::Literal(Literal::F16(_))
                    | Expression::As {
                        kind: ScalarKind::Float,
                        convert: Some(2),
                        ..
                    }
            )
        })
    }
    module.types.iter().any(|(_, ty)| match ty.inner {
        TypeInner::Scalar(scalar)
        | TypeInner::Vector { scalar, .. }
        | TypeInner::Matrix { scalar, .. } => scalar == Scalar::F16,
        _ => false,
    }) || in_arena(&module.global_expressions)
        || module
            .functions
            .iter()
            .any(|(_, f)| in_arena(&f.expressions))
        || module
            .entry_points
            .iter()
            .any(|e| in_arena(&e.function.expressions))
}
