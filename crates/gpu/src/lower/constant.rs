//! Override expressions as WGSL text: naga's WGSL writer knows none but literals and composites.

use naga::common::wgsl::TryToWgsl;
use naga::{
    BinaryOperator, Expression, Handle, Literal, Module, Override, RelationalFunction, Scalar,
    ScalarKind, TypeInner, UnaryOperator, VectorSize,
};

/// Whether naga's WGSL writer can write this global expression.
pub(super) fn writer_can(module: &Module, handle: Handle<Expression>) -> bool {
    match &module.global_expressions[handle] {
        Expression::Literal(_)
        | Expression::Constant(_)
        | Expression::ZeroValue(_)
        | Expression::Override(_) => true,
        Expression::Compose { components, .. } => {
            components.iter().all(|&part| writer_can(module, part))
        }
        Expression::Splat { value, .. } => writer_can(module, *value),
        _ => false,
    }
}

/// The global expression `handle` as WGSL, with parentheses around every operation. `name` gives
/// the names of overrides. `None` for what cannot be in a constant or override expression of WGSL.
pub(super) fn write(
    module: &Module,
    handle: Handle<Expression>,
    name: &impl Fn(Handle<Override>) -> String,
) -> Option<String> {
    let sub = |handle| write(module, handle, name);
    Some(match &module.global_expressions[handle] {
        Expression::Literal(literal) => write_literal(*literal)?,
        Expression::Constant(constant) => sub(module.constants[*constant].init)?,
        Expression::Override(handle) => name(*handle),
        Expression::ZeroValue(ty) => format!("{}()", value_type(&module.types[*ty].inner)?),
        Expression::Compose { ty, components } => {
            let parts: Option<Vec<String>> = components.iter().map(|&part| sub(part)).collect();
            format!(
                "{}({})",
                value_type(&module.types[*ty].inner)?,
                parts?.join(", ")
            )
        }
        Expression::Splat { size, value } => format!("vec{}({})", count(*size), sub(*value)?),
        Expression::Access { base, index } => format!("{}[{}]", sub(*base)?, sub(*index)?),
        Expression::AccessIndex { base, index } => format!("{}[{index}]", sub(*base)?),
        Expression::Swizzle {
            size,
            vector,
            pattern,
        } => {
            let components: String = pattern[..usize::from(count(*size))]
                .iter()
                .map(|&component| ['x', 'y', 'z', 'w'][component as usize])
                .collect();
            format!("{}.{components}", sub(*vector)?)
        }
        Expression::Unary { op, expr } => {
            let op = match op {
                UnaryOperator::Negate => '-',
                UnaryOperator::LogicalNot => '!',
                UnaryOperator::BitwiseNot => '~',
            };
            format!("({op}({}))", sub(*expr)?)
        }
        Expression::Binary { op, left, right } => {
            format!("({} {} {})", sub(*left)?, operator(*op), sub(*right)?)
        }
        Expression::Select {
            condition,
            accept,
            reject,
        } => format!(
            "select({}, {}, {})",
            sub(*reject)?,
            sub(*accept)?,
            sub(*condition)?
        ),
        Expression::Relational { fun, argument } => {
            let fun = match fun {
                RelationalFunction::All => "all",
                RelationalFunction::Any => "any",
                RelationalFunction::IsNan | RelationalFunction::IsInf => return None,
            };
            format!("{fun}({})", sub(*argument)?)
        }
        Expression::Math {
            fun,
            arg,
            arg1,
            arg2,
            arg3,
        } => {
            let mut parts = vec![sub(*arg)?];
            for arg in [arg1, arg2, arg3].into_iter().flatten() {
                parts.push(sub(*arg)?);
            }
            format!("{}({})", fun.try_to_wgsl()?, parts.join(", "))
        }
        // A conversion of a scalar; without a width it is a bitcast.
        Expression::As {
            expr,
            kind,
            convert,
        } => match convert {
            Some(width) => format!(
                "{}({})",
                Scalar {
                    kind: *kind,
                    width: *width
                }
                .try_to_wgsl()?,
                sub(*expr)?
            ),
            None => format!(
                "bitcast<{}>({})",
                Scalar {
                    kind: *kind,
                    width: 4
                }
                .try_to_wgsl()?,
                sub(*expr)?
            ),
        },
        _ => return None,
    })
}

fn write_literal(literal: Literal) -> Option<String> {
    Some(match literal {
        Literal::F16(value) => format!("{value}h"),
        Literal::F32(value) => format!("{value}f"),
        Literal::F64(value) => format!("{value:?}lf"),
        Literal::U32(value) => format!("{value}u"),
        // The most negative one has no literal of its own.
        Literal::I32(value) => format!("i32({value})"),
        Literal::U64(value) => format!("{value}lu"),
        Literal::I64(value) if value != i64::MIN => format!("{value}li"),
        Literal::Bool(value) => value.to_string(),
        Literal::I64(_) | Literal::AbstractInt(_) | Literal::AbstractFloat(_) => return None,
    })
}

/// The name of a scalar, vector or matrix type.
pub(super) fn value_type(inner: &TypeInner) -> Option<String> {
    match *inner {
        TypeInner::Scalar(scalar) => scalar.try_to_wgsl().map(str::to_owned),
        TypeInner::Vector { size, scalar } => {
            Some(format!("vec{}<{}>", count(size), scalar.try_to_wgsl()?))
        }
        TypeInner::Matrix {
            columns,
            rows,
            scalar,
        } if scalar.kind == ScalarKind::Float => Some(format!(
            "mat{}x{}<{}>",
            count(columns),
            count(rows),
            scalar.try_to_wgsl()?
        )),
        _ => None,
    }
}

fn count(size: VectorSize) -> u8 {
    size as u8
}

fn operator(op: BinaryOperator) -> &'static str {
    use BinaryOperator as B;
    match op {
        B::Add => "+",
        B::Subtract => "-",
        B::Multiply => "*",
        B::Divide => "/",
        B::Modulo => "%",
        B::Equal => "==",
        B::NotEqual => "!=",
        B::Less => "<",
        B::LessEqual => "<=",
        B::Greater => ">",
        B::GreaterEqual => ">=",
        B::And => "&",
        B::ExclusiveOr => "^",
        B::InclusiveOr => "|",
        B::LogicalAnd => "&&",
        B::LogicalOr => "||",
        B::ShiftLeft => "<<",
        B::ShiftRight => ">>",
    }
}
