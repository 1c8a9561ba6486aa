//! Pointers that a function may not be called with.

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{Block, Expression, Function, Module, Statement, WithSpan};

/// A pointer to a part of a variable as a function's argument.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a function's argument points to a part of a variable")]
pub(super) struct PartPointer;

/// Refuses calls with pointers to elements and members: WGSL has them with the language extension
/// `unrestricted_pointer_parameters` only (<https://www.w3.org/TR/WGSL/#function-restriction>), which naga lacks. Its validator
/// lets them pass all the same, and its SPIR-V writer panics at them.
pub(super) fn check(module: &Module, info: &ModuleInfo) -> Result<(), Box<WithSpan<PartPointer>>> {
    for (handle, function) in module.functions.iter() {
        check_block(module, function, &info[handle], &function.body)?;
    }
    for (index, entry_point) in module.entry_points.iter().enumerate() {
        let function = &entry_point.function;
        check_block(
            module,
            function,
            info.get_entry_point(index),
            &function.body,
        )?;
    }
    Ok(())
}

fn check_block(
    module: &Module,
    function: &Function,
    info: &FunctionInfo,
    block: &Block,
) -> Result<(), Box<WithSpan<PartPointer>>> {
    let check = |block| check_block(module, function, info, block);
    for (statement, &span) in block.span_iter() {
        match statement {
            Statement::Call { arguments, .. } => {
                let part = arguments.iter().find(|&&argument| {
                    let ty = info[argument].ty.inner_with(&module.types);
                    let whole = matches!(
                        function.expressions[argument],
                        Expression::LocalVariable(_)
                            | Expression::GlobalVariable(_)
                            | Expression::FunctionArgument(_)
                    );
                    ty.pointer_space().is_some() && !whole
                });
                if let Some(&argument) = part {
                    let own = function.expressions.get_span(argument);
                    let span = if own.is_defined() { own } else { span };
                    let label = "needs unrestricted_pointer_parameters, which is not supported: pass the whole variable";
                    return Err(Box::new(WithSpan::new(PartPointer).with_span(span, label)));
                }
            }
            Statement::Block(block) => check(block)?,
            Statement::If { accept, reject, .. } => {
                check(accept)?;
                check(reject)?;
            }
            Statement::Switch { cases, .. } => {
                for case in cases {
                    check(&case.body)?;
                }
            }
            Statement::Loop {
                body, continuing, ..
            } => {
                check(body)?;
                check(continuing)?;
            }
            _ => {}
        }
    }
    Ok(())
}
