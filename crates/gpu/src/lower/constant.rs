//! Override expressions as WGSL text: naga's WGSL writer knows none but literals and composites.

use naga::common::wgsl::TryToWgsl;
use naga::valid::ModuleInfo;
use naga::{
    ArraySize, BinaryOperator, Expression, Handle, Literal, Module, RelationalFunction, Scalar,
    ScalarKind, Type, TypeInner, UnaryOperator, VectorSize,
};

use super::names::Names;

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

/// The global expression `handle` as WGSL, with parentheses around every operation. `names` are
/// those of constants, overrides, structures and their members. `None` for what cannot be in a constant or
/// override expression of WGSL.
pub(super) fn write(
    module: &Module,
    info: &ModuleInfo,
    handle: Handle<Expression>,
    names: &Names<'_>,
) -> Option<String> {
    let sub = |handle| write(module, info, handle, names);
    let inner = |handle: Handle<Expression>| info[handle].inner_with(&module.types);
    Some(match &module.global_expressions[handle] {
        Expression::Literal(literal) => write_literal(*literal)?,
        Expression::Constant(constant) => match module.constants[*constant].name {
            Some(_) => names.of_constant(*constant),
            None => sub(module.constants[*constant].init)?,
        },
        Expression::Override(handle) => names.of_override(*handle),
        Expression::ZeroValue(ty) => format!("{}()", type_name(module, *ty, names)?),
        Expression::Compose { ty, components } => {
            // A large one is written once, however many values are made of it.
            let mut constants = module.constants.iter();
            let named = constants.find(|(_, c)| c.init == handle && c.name.is_some());
            if let Some((constant, _)) = named {
                return Some(names.of_constant(constant));
            }
            let parts: Option<Vec<String>> = components.iter().map(|&part| sub(part)).collect();
            format!("{}({})", type_name(module, *ty, names)?, parts?.join(", "))
        }
        Expression::Splat { size, value } => format!("vec{}({})", count(*size), sub(*value)?),
        Expression::Access { base, index } => format!("{}[{}]", sub(*base)?, sub(*index)?),
        Expression::AccessIndex { base, index } => match inner(*base) {
            TypeInner::Struct { .. } => {
                let ty = info[*base].handle()?;
                let member = names.of_member(module, ty, *index)?;
                format!("{}.{member}", sub(*base)?)
            }
            _ => format!("{}[{index}]", sub(*base)?),
        },
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
        // A conversion of each component; without a width it is a bitcast.
        Expression::As {
            expr,
            kind,
            convert,
        } => {
            let to = |width: u8| Scalar { kind: *kind, width };
            let of = inner(*expr);
            let target = match *of {
                TypeInner::Scalar(scalar) => TypeInner::Scalar(to(convert.unwrap_or(scalar.width))),
                TypeInner::Vector { size, scalar } => TypeInner::Vector {
                    size,
                    scalar: to(convert.unwrap_or(scalar.width)),
                },
                TypeInner::Matrix {
                    columns,
                    rows,
                    scalar,
                } => TypeInner::Matrix {
                    columns,
                    rows,
                    scalar: to(convert.unwrap_or(scalar.width)),
                },
                _ => return None,
            };
            let target = value_type(&target)?;
            match convert {
                Some(_) => format!("{target}({})", sub(*expr)?),
                None => format!("bitcast<{target}>({})", sub(*expr)?),
            }
        }
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

/// The name of a type that a value in such an expression can have, or the element of an array.
pub(super) fn type_name(module: &Module, ty: Handle<Type>, names: &Names<'_>) -> Option<String> {
    match module.types[ty].inner {
        TypeInner::Struct { .. } => names.of_struct(module, ty),
        TypeInner::Atomic(scalar) => Some(format!("atomic<{}>", scalar.try_to_wgsl()?)),
        TypeInner::Array {
            base,
            size: ArraySize::Constant(size),
            ..
        } => Some(format!(
            "array<{}, {size}>",
            type_name(module, base, names)?
        )),
        ref inner => value_type(inner),
    }
}

/// The name of a scalar, vector or matrix type.
fn value_type(inner: &TypeInner) -> Option<String> {
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
