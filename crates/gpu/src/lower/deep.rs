//! Values of values of values: naga's WGSL writer puts an expression that is used once into the one that uses it, in
//! parentheses, and calls itself for that. A sum of thousands of terms, which is a loop to the parser, would overflow the stack
//! there, and the parser's where the text is read again. What is too deep and cannot be helped is refused here.

use std::collections::HashSet;

use naga::valid::FunctionInfo;
use naga::{Arena, Block, Expression, Function, Handle, Statement, Type, TypeInner, UniqueArena};

use super::rewrite::operands;

/// How many expressions are written inside of each other.
const DEPTH: u32 = 64;

/// Gives each value that would be too deep a name, so that the writer makes it a `let` of its own.
///
/// `info` is what the validator says of `function`.
///
/// # Errors
/// Where that is not enough: what is computed before a function begins has no place for a `let`. Blocks that are too deep.
pub(super) fn name_deep(
    function: &mut Function,
    info: &FunctionInfo,
    types: &UniqueArena<Type>,
) -> Result<(), String> {
    refuse_nested(function)?;
    let named = &mut function.named_expressions;
    let mut emitted = None;
    let mut nameable = |handle: Handle<Expression>| {
        let emitted = emitted.get_or_insert_with(|| {
            let mut emitted = HashSet::new();
            collect_emitted(&function.body, &mut emitted);
            emitted
        });
        emitted.contains(&handle) && is_value(info[handle].ty.inner_with(types))
    };
    let depths = depths(&mut function.expressions, |handle, depth| {
        if depth >= DEPTH && nameable(handle) {
            named.entry(handle).or_default();
        }
        named.contains_key(&handle)
    });
    shallow(&depths)
}

/// How many braces naga's parser takes inside of each other.
const BRACES: u32 = 127;

/// Refuses blocks that the parser would not take back. It counts no `else if`, but the writer makes each a block in an `else`.
fn refuse_nested(function: &Function) -> Result<(), String> {
    if fits(&function.body, BRACES - 1) {
        return Ok(());
    }
    Err(format!(
        "more than {BRACES} blocks inside of each other, of which each `else if` is one"
    ))
}

/// Whether the braces inside of `block` are at most `braces` deep.
fn fits(block: &Block, braces: u32) -> bool {
    let inside = |block: &Block, own: u32| {
        let left = braces.checked_sub(own);
        left.is_some_and(|left| fits(block, left))
    };
    block.iter().all(|statement| match statement {
        Statement::Block(block) => inside(block, 1),
        Statement::If { accept, reject, .. } => inside(accept, 1) && inside(reject, 1),
        Statement::Switch { cases, .. } => cases.iter().all(|case| inside(&case.body, 2)),
        Statement::Loop {
            body, continuing, ..
        } => inside(body, 1) && (continuing.is_empty() || inside(continuing, 2)),
        _ => true,
    })
}

/// Refuses global expressions that are too deep: none of them can have a `let`.
pub(super) fn refuse_deep(expressions: &mut Arena<Expression>) -> Result<(), String> {
    shallow(&depths(expressions, |_, _| false))
}

fn shallow(depths: &[u32]) -> Result<(), String> {
    match depths.iter().max() {
        Some(&depth) if depth > 4 * DEPTH => Err(format!(
            "a value outside of functions' statements that is computed in {depth} steps"
        )),
        _ => Ok(()),
    }
}

/// How many expressions each one is written around; `is_apart` is told that, and says whether it is written somewhere else than
/// inside of what uses it.
fn depths(
    expressions: &mut Arena<Expression>,
    mut is_apart: impl FnMut(Handle<Expression>, u32) -> bool,
) -> Vec<u32> {
    let mut depths: Vec<u32> = Vec::with_capacity(expressions.len());
    for (handle, expression) in expressions.iter_mut() {
        let mut depth = 0;
        operands(expression, &mut |operand| {
            depth = depth.max(depths[operand.index()].saturating_add(1));
        });
        depths.push(if is_apart(handle, depth) { 0 } else { depth });
    }
    depths
}

/// Whether there can be a `let` of it.
fn is_value(inner: &TypeInner) -> bool {
    matches!(
        inner,
        TypeInner::Scalar(_)
            | TypeInner::Vector { .. }
            | TypeInner::Matrix { .. }
            | TypeInner::Array { .. }
            | TypeInner::Struct { .. }
    )
}

fn collect_emitted(block: &Block, emitted: &mut HashSet<Handle<Expression>>) {
    for statement in block {
        match statement {
            Statement::Emit(range) => emitted.extend(range.clone()),
            Statement::Block(block) => collect_emitted(block, emitted),
            Statement::If { accept, reject, .. } => {
                collect_emitted(accept, emitted);
                collect_emitted(reject, emitted);
            }
            Statement::Switch { cases, .. } => {
                for case in cases {
                    collect_emitted(&case.body, emitted);
                }
            }
            Statement::Loop {
                body, continuing, ..
            } => {
                collect_emitted(body, emitted);
                collect_emitted(continuing, emitted);
            }
            _ => {}
        }
    }
}
