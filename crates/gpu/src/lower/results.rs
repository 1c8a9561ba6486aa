//! Results of `modf`, `frexp` and `atomicCompareExchangeWeak` in variables and arrays.
//!
//! Their structures have no name in WGSL, so that a `let` can be of one, and a variable that begins with one, but naga's writer
//! spells the type of each variable. Such a structure becomes one of the shader's own, of the same members, and each result is
//! taken apart and put together as that.

use std::collections::{HashMap, HashSet};
use std::mem;

use naga::proc::{Alignment, Layouter};
use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    Arena, Block, Expression, Function, Handle, MathFunction, Module, PredeclaredType, Span,
    Statement, StructMember, Type, TypeInner,
};

use super::rewrite::{Moved, rebuild};

/// `module` with structures of its own for those that the writer would have to spell; `None` where there are none. `info` is what
/// the validator says of `module`; the result has to be validated again.
pub(super) fn own(module: &Module, info: &ModuleInfo) -> Option<Module> {
    let spelled = spelled(module);
    let concerned: Vec<(PredeclaredType, Handle<Type>)> = module
        .special_types
        .predeclared_types
        .iter()
        .filter(|(_, handle)| spelled.contains(*handle))
        .map(|(key, &handle)| (key.clone(), handle))
        .collect();
    if concerned.is_empty() {
        return None;
    }

    let mut module = module.clone();
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).ok()?;
    let mut results = HashMap::new();
    for (key, own) in concerned {
        let ty = module.types[own].clone();
        let TypeInner::Struct { mut members, .. } = ty.inner.clone() else {
            continue;
        };
        let span = lay_out(&mut members, &layouter);
        // What has the structure in it comes after it, so that ours takes its place, and the
        // predeclared one goes to the end. No structure of a shader's can have this name.
        let own_type = Type {
            name: ty.name.as_ref().map(|name| format!("{name}_own")),
            inner: TypeInner::Struct { members, span },
        };
        module.types.replace(own, own_type);
        let result = module.types.insert(ty, Span::UNDEFINED);
        module.special_types.predeclared_types.insert(key, result);
        results.insert(own, result);
    }

    for (handle, function) in module.functions.iter_mut() {
        put_together(function, &info[handle], &results);
    }
    for (index, entry_point) in module.entry_points.iter_mut().enumerate() {
        put_together(
            &mut entry_point.function,
            info.get_entry_point(index),
            &results,
        );
    }
    Some(module)
}

/// Gives the members the offsets that WGSL has them at, and the structure's size.
fn lay_out(members: &mut [StructMember], layouter: &Layouter) -> u32 {
    let mut end = 0;
    let mut alignment = Alignment::ONE;
    for member in members {
        let layout = layouter[member.ty];
        member.offset = layout.alignment.round_up(end);
        end = member.offset.saturating_add(layout.size);
        alignment = alignment.max(layout.alignment);
    }
    alignment.round_up(end)
}

/// Types that are a variable's, or a part of another type.
fn spelled(module: &Module) -> HashSet<Handle<Type>> {
    let mut spelled = HashSet::new();
    for (_, ty) in module.types.iter() {
        match &ty.inner {
            TypeInner::Array { base, .. } => spelled.extend([*base]),
            TypeInner::Struct { members, .. } => spelled.extend(members.iter().map(|m| m.ty)),
            _ => {}
        }
    }
    spelled.extend(module.global_variables.iter().map(|(_, global)| global.ty));
    let entry_points = module.entry_points.iter().map(|e| &e.function);
    let functions = module.functions.iter().map(|(_, function)| function);
    for function in functions.chain(entry_points) {
        spelled.extend(function.local_variables.iter().map(|(_, local)| local.ty));
    }
    spelled
}

/// Makes our structures of the results: `results` has the predeclared one for each of ours.
fn put_together(
    function: &mut Function,
    info: &FunctionInfo,
    results: &HashMap<Handle<Type>, Handle<Type>>,
) {
    let made: HashMap<Handle<Expression>, Handle<Type>> = function
        .expressions
        .iter()
        .filter(|(_, expression)| {
            matches!(
                expression,
                Expression::AtomicResult {
                    comparison: true,
                    ..
                } | Expression::Math {
                    fun: MathFunction::Modf | MathFunction::Frexp,
                    ..
                }
            )
        })
        .filter_map(|(handle, _)| {
            let ty = info[handle].ty.handle()?;
            results.contains_key(&ty).then_some((handle, ty))
        })
        .collect();
    if made.is_empty() {
        return;
    }
    let mut atomics = HashMap::new();
    rebuild(
        function,
        Arena::new(),
        |new, handle, mut expression, span| {
            let own_type = made.get(&handle);
            let mut is_atomic = false;
            if let (Expression::AtomicResult { ty, .. }, Some(own)) = (&mut expression, own_type) {
                *ty = results[own];
                is_atomic = true;
            }
            let result = new.append(expression, span);
            let Some(&ty) = own_type else {
                return Moved {
                    first: result,
                    own: result,
                };
            };
            let mut part = |index| {
                let base = result;
                new.append(Expression::AccessIndex { base, index }, span)
            };
            let components = vec![part(0), part(1)];
            let taken = components[0];
            let own = new.append(Expression::Compose { ty, components }, span);
            if is_atomic {
                atomics.insert(own, Atomic { result, taken });
            }
            Moved { first: result, own }
        },
    );
    emit_after(&mut function.body, &atomics);
}

/// The result of an atomic operation, which is in no Emit, and the first expression of those that are made of it.
struct Atomic {
    result: Handle<Expression>,
    taken: Handle<Expression>,
}

/// Puts an Emit of what is made of a result after the statement that has it.
fn emit_after(block: &mut Block, atomics: &HashMap<Handle<Expression>, Atomic>) {
    if atomics.is_empty() {
        return;
    }
    let old = mem::take(block);
    for (mut statement, span) in old.span_into_iter() {
        let mut emit = None;
        match &mut statement {
            Statement::Atomic {
                result: Some(result),
                ..
            } => {
                if let Some(atomic) = atomics.get(result) {
                    let made = naga::Range::new_from_bounds(atomic.taken, *result);
                    emit = Some(Statement::Emit(made));
                    *result = atomic.result;
                }
            }
            Statement::Block(block) => emit_after(block, atomics),
            Statement::If { accept, reject, .. } => {
                emit_after(accept, atomics);
                emit_after(reject, atomics);
            }
            Statement::Switch { cases, .. } => {
                for case in cases {
                    emit_after(&mut case.body, atomics);
                }
            }
            Statement::Loop {
                body, continuing, ..
            } => {
                emit_after(body, atomics);
                emit_after(continuing, atomics);
            }
            _ => {}
        }
        block.push(statement, span);
        if let Some(emit) = emit {
            block.push(emit, span);
        }
    }
}
