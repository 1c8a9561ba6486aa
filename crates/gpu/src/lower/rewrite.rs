//! The transformation itself: external images of a naga module become sampled 2D float images.
//!
//! What a shader may do with a `texture_external` is little: `textureLoad` without a level,
//! `textureSampleBaseClampToEdge`, `textureDimensions`, and passing it to functions
//! (<https://www.w3.org/TR/WGSL/#external-texture-type>). A load gets level 0. A sample gets its
//! clamping spelled out, because naga's GLSL back end leaves `clamp_to_edge` out.

use std::collections::HashSet;
use std::mem;

use naga::valid::{FunctionInfo, ModuleInfo};
use naga::{
    Arena, BinaryOperator, Block, Expression, Function, GatherMode, Handle, ImageClass, ImageQuery,
    Literal, MathFunction, Module, RayPipelineFunction, RayQueryFunction, SampleLevel, ScalarKind,
    Span, Statement, Type, TypeInner, UniqueArena, VectorSize,
};

/// What a `texture_external` becomes: `texture_2d<f32>`.
const SAMPLED: TypeInner = TypeInner::Image {
    dim: naga::ImageDimension::D2,
    arrayed: false,
    class: ImageClass::Sampled {
        kind: ScalarKind::Float,
        multi: false,
    },
};

/// Whether `inner` is `texture_external`.
pub(super) fn is_external(inner: &TypeInner) -> bool {
    matches!(
        inner,
        TypeInner::Image {
            class: ImageClass::External,
            ..
        }
    )
}

/// Turns every external image of `module` into a sampled 2D float image.
///
/// `info` is what the validator said of `module` as it is now. The result has to be validated
/// again: expressions have moved.
pub(super) fn rewrite(module: &mut Module, info: &ModuleInfo) {
    let Module {
        functions,
        entry_points,
        types,
        special_types,
        ..
    } = module;
    for (handle, function) in functions.iter_mut() {
        rewrite_function(function, &info[handle], types);
    }
    for (index, entry_point) in entry_points.iter_mut().enumerate() {
        rewrite_function(
            &mut entry_point.function,
            info.get_entry_point(index),
            types,
        );
    }

    let external: Vec<Handle<Type>> = types
        .iter()
        .filter(|(_, ty)| is_external(&ty.inner))
        .map(|(handle, _)| handle)
        .collect();
    for handle in external {
        // Types are unique by name and contents, and the shader may have a texture_2d<f32> too:
        // a name of its own keeps the two apart, so that no handle has to change.
        let mut name = types[handle]
            .name
            .clone()
            .unwrap_or_else(|| "external".to_owned());
        let lowered = loop {
            let ty = Type {
                name: Some(name.clone()),
                inner: SAMPLED,
            };
            if types.get(&ty).is_none() {
                break ty;
            }
            name.push_str("_external");
        };
        types.replace(handle, lowered);
    }
    // They described the native form. As ordinary structures they are unused, and valid.
    special_types.external_texture_params = None;
    special_types.external_texture_transfer_function = None;
}

/// Where an expression went: itself, and the first of those that were put beside it.
pub(super) struct Moved {
    pub(super) first: Handle<Expression>,
    /// What those that used it use now; nothing that was put beside it comes after.
    pub(super) own: Handle<Expression>,
}

fn rewrite_function(function: &mut Function, info: &FunctionInfo, types: &UniqueArena<Type>) {
    let external = |image: Handle<Expression>| is_external(info[image].ty.inner_with(types));
    let concerned: HashSet<Handle<Expression>> = function
        .expressions
        .iter()
        .filter_map(|(handle, e)| match *e {
            Expression::ImageLoad { image, .. } | Expression::ImageSample { image, .. } => {
                external(image).then_some(handle)
            }
            _ => None,
        })
        .collect();
    if concerned.is_empty() {
        return;
    }

    let mut new = Arena::new();
    // An expression may only use those before it, and a literal must be in no Emit's range: all
    // that are needed come first.
    let mut literal = |value| new.append(Expression::Literal(value), Span::UNDEFINED);
    let literals = Literals {
        level: literal(Literal::I32(0)),
        half: literal(Literal::F32(0.5)),
        one: literal(Literal::F32(1.0)),
    };
    rebuild(function, new, |new, handle, mut expression, span| {
        let mut first = None;
        if concerned.contains(&handle) {
            match &mut expression {
                Expression::ImageLoad { level, .. } => *level = Some(literals.level),
                Expression::ImageSample {
                    image,
                    coordinate,
                    clamp_to_edge,
                    ..
                } => {
                    let clamped = clamp_to_edge_of(new, *image, *coordinate, &literals, span);
                    first = Some(clamped.first);
                    *coordinate = clamped.own;
                    *clamp_to_edge = false;
                }
                _ => {}
            }
        }
        let own = new.append(expression, span);
        Moved {
            first: first.unwrap_or(own),
            own,
        }
    });
}

/// Moves the expressions of `function` into `new`, each by `place`, which is told the handle that it had and may put others beside
/// it: what it uses itself has been moved already.
pub(super) fn rebuild(
    function: &mut Function,
    mut new: Arena<Expression>,
    mut place: impl FnMut(&mut Arena<Expression>, Handle<Expression>, Expression, Span) -> Moved,
) {
    let mut old = mem::take(&mut function.expressions);
    let mut moved: Vec<Moved> = Vec::with_capacity(old.len());
    for (handle, mut expression, span) in old.drain() {
        operands(&mut expression, &mut |handle| {
            *handle = moved[handle.index()].own;
        });
        moved.push(place(&mut new, handle, expression, span));
    }
    function.expressions = new;
    function.named_expressions = mem::take(&mut function.named_expressions)
        .into_iter()
        .map(|(handle, name)| (moved[handle.index()].own, name))
        .collect();
    for (_, local) in function.local_variables.iter_mut() {
        if let Some(init) = &mut local.init {
            *init = moved[init.index()].own;
        }
    }
    rewrite_block(&mut function.body, &moved);
}

/// Handles of the literals at the start of a function's expressions.
struct Literals {
    level: Handle<Expression>,
    half: Handle<Expression>,
    one: Handle<Expression>,
}

/// Appends what `textureSampleBaseClampToEdge` does to its coordinates: they are clamped to half a
/// texel from the edges (<https://www.w3.org/TR/WGSL/#texturesamplebaseclamptoedge>).
fn clamp_to_edge_of(
    arena: &mut Arena<Expression>,
    image: Handle<Expression>,
    coordinate: Handle<Expression>,
    literals: &Literals,
    span: Span,
) -> Moved {
    let mut add = |expression| arena.append(expression, span);
    let dimensions = add(Expression::ImageQuery {
        image,
        query: ImageQuery::Size { level: None },
    });
    let size = add(Expression::As {
        expr: dimensions,
        kind: ScalarKind::Float,
        convert: Some(4),
    });
    let halves = add(Expression::Splat {
        size: VectorSize::Bi,
        value: literals.half,
    });
    let ones = add(Expression::Splat {
        size: VectorSize::Bi,
        value: literals.one,
    });
    let low = add(Expression::Binary {
        op: BinaryOperator::Divide,
        left: halves,
        right: size,
    });
    let high = add(Expression::Binary {
        op: BinaryOperator::Subtract,
        left: ones,
        right: low,
    });
    let clamped = add(Expression::Math {
        fun: MathFunction::Clamp,
        arg: coordinate,
        arg1: Some(low),
        arg2: Some(high),
        arg3: None,
    });
    Moved {
        first: dimensions,
        own: clamped,
    }
}

fn rewrite_block(block: &mut Block, moved: &[Moved]) {
    for statement in block.iter_mut() {
        if let Statement::Emit(range) = statement {
            let old = range.index_range();
            if let (Some(first), Some(last)) = (
                moved.get(old.start as usize),
                (old.end as usize)
                    .checked_sub(1)
                    .and_then(|last| moved.get(last)),
            ) && !old.is_empty()
            {
                *range = naga::Range::new_from_bounds(first.first, last.own);
            }
            continue;
        }
        statement_operands(statement, &mut |handle| *handle = moved[handle.index()].own);
        match statement {
            Statement::Block(block) => rewrite_block(block, moved),
            Statement::If { accept, reject, .. } => {
                rewrite_block(accept, moved);
                rewrite_block(reject, moved);
            }
            Statement::Switch { cases, .. } => {
                for case in cases {
                    rewrite_block(&mut case.body, moved);
                }
            }
            Statement::Loop {
                body, continuing, ..
            } => {
                rewrite_block(body, moved);
                rewrite_block(continuing, moved);
            }
            _ => {}
        }
    }
}

/// Calls `f` on each expression that `expression` uses.
pub(super) fn operands(expression: &mut Expression, f: &mut impl FnMut(&mut Handle<Expression>)) {
    use Expression as E;
    match expression {
        E::Literal(_)
        | E::Constant(_)
        | E::Override(_)
        | E::ZeroValue(_)
        | E::FunctionArgument(_)
        | E::GlobalVariable(_)
        | E::LocalVariable(_)
        | E::CallResult(_)
        | E::AtomicResult { .. }
        | E::WorkGroupUniformLoadResult { .. }
        | E::RayQueryProceedResult
        | E::SubgroupBallotResult
        | E::SubgroupOperationResult { .. } => {}
        E::Compose { components, .. } => components.iter_mut().for_each(f),
        E::Access { base, index } => {
            f(base);
            f(index);
        }
        E::AccessIndex { base, .. } => f(base),
        E::Splat { value, .. } => f(value),
        E::Swizzle { vector, .. } => f(vector),
        E::Load { pointer } => f(pointer),
        E::ImageSample {
            image,
            sampler,
            gather: _,
            coordinate,
            array_index,
            offset,
            level,
            depth_ref,
            clamp_to_edge: _,
        } => {
            f(image);
            f(sampler);
            f(coordinate);
            array_index.iter_mut().for_each(&mut *f);
            offset.iter_mut().for_each(&mut *f);
            match level {
                SampleLevel::Auto | SampleLevel::Zero => {}
                SampleLevel::Exact(h) | SampleLevel::Bias(h) => f(h),
                SampleLevel::Gradient { x, y } => {
                    f(x);
                    f(y);
                }
            }
            depth_ref.iter_mut().for_each(f);
        }
        E::ImageLoad {
            image,
            coordinate,
            array_index,
            sample,
            level,
        } => {
            f(image);
            f(coordinate);
            array_index.iter_mut().for_each(&mut *f);
            sample.iter_mut().for_each(&mut *f);
            level.iter_mut().for_each(f);
        }
        E::ImageQuery { image, query } => {
            f(image);
            if let ImageQuery::Size { level } = query {
                level.iter_mut().for_each(f);
            }
        }
        E::Unary { expr, .. } | E::Derivative { expr, .. } | E::As { expr, .. } => f(expr),
        E::Binary { left, right, .. } => {
            f(left);
            f(right);
        }
        E::Select {
            condition,
            accept,
            reject,
        } => {
            f(condition);
            f(accept);
            f(reject);
        }
        E::Relational { argument, .. } => f(argument),
        E::Math {
            arg,
            arg1,
            arg2,
            arg3,
            ..
        } => {
            f(arg);
            for arg in [arg1, arg2, arg3] {
                arg.iter_mut().for_each(&mut *f);
            }
        }
        E::ArrayLength(pointer) => f(pointer),
        E::RayQueryVertexPositions { query, .. } | E::RayQueryGetIntersection { query, .. } => {
            f(query);
        }
        E::CooperativeLoad { data, .. } => {
            f(&mut data.pointer);
            f(&mut data.stride);
        }
        E::CooperativeMultiplyAdd { a, b, c } => {
            f(a);
            f(b);
            f(c);
        }
    }
}

/// Calls `f` on each expression that `statement` itself uses: not those of the blocks inside it,
/// and not on the range of an Emit.
fn statement_operands(statement: &mut Statement, f: &mut impl FnMut(&mut Handle<Expression>)) {
    use Statement as S;
    match statement {
        S::Emit(_)
        | S::Block(_)
        | S::Break
        | S::Continue
        | S::Kill
        | S::ControlBarrier(_)
        | S::MemoryBarrier(_) => {}
        S::If { condition, .. } => f(condition),
        S::Switch { selector, .. } => f(selector),
        S::Loop { break_if, .. } => break_if.iter_mut().for_each(f),
        S::Return { value } => value.iter_mut().for_each(f),
        S::Store { pointer, value } => {
            f(pointer);
            f(value);
        }
        S::ImageStore {
            image,
            coordinate,
            array_index,
            value,
        } => {
            f(image);
            f(coordinate);
            array_index.iter_mut().for_each(&mut *f);
            f(value);
        }
        S::Atomic {
            pointer,
            fun,
            value,
            result,
        } => {
            f(pointer);
            compared(fun).into_iter().for_each(&mut *f);
            f(value);
            result.iter_mut().for_each(f);
        }
        S::ImageAtomic {
            image,
            coordinate,
            array_index,
            fun,
            value,
        } => {
            f(image);
            f(coordinate);
            array_index.iter_mut().for_each(&mut *f);
            compared(fun).into_iter().for_each(&mut *f);
            f(value);
        }
        S::WorkGroupUniformLoad { pointer, result } => {
            f(pointer);
            f(result);
        }
        S::Call {
            arguments, result, ..
        } => {
            arguments.iter_mut().for_each(&mut *f);
            result.iter_mut().for_each(f);
        }
        S::RayQuery { query, fun } => {
            f(query);
            match fun {
                RayQueryFunction::Initialize {
                    acceleration_structure,
                    descriptor,
                } => {
                    f(acceleration_structure);
                    f(descriptor);
                }
                RayQueryFunction::Proceed { result } => f(result),
                RayQueryFunction::GenerateIntersection { hit_t } => f(hit_t),
                RayQueryFunction::ConfirmIntersection | RayQueryFunction::Terminate => {}
            }
        }
        S::RayPipelineFunction(RayPipelineFunction::TraceRay {
            acceleration_structure,
            descriptor,
            payload,
        }) => {
            f(acceleration_structure);
            f(descriptor);
            f(payload);
        }
        S::SubgroupBallot { result, predicate } => {
            f(result);
            predicate.iter_mut().for_each(f);
        }
        S::SubgroupGather {
            mode,
            argument,
            result,
        } => {
            match mode {
                GatherMode::BroadcastFirst | GatherMode::QuadSwap(_) => {}
                GatherMode::Broadcast(h)
                | GatherMode::Shuffle(h)
                | GatherMode::ShuffleDown(h)
                | GatherMode::ShuffleUp(h)
                | GatherMode::ShuffleXor(h)
                | GatherMode::QuadBroadcast(h) => f(h),
            }
            f(argument);
            f(result);
        }
        S::SubgroupCollectiveOperation {
            argument, result, ..
        } => {
            f(argument);
            f(result);
        }
        S::CooperativeStore { target, data } => {
            f(target);
            f(&mut data.pointer);
            f(&mut data.stride);
        }
    }
}

/// The value that an atomic compare-exchange compares with.
fn compared(fun: &mut naga::AtomicFunction) -> Option<&mut Handle<Expression>> {
    match fun {
        naga::AtomicFunction::Exchange { compare } => compare.as_mut(),
        _ => None,
    }
}
