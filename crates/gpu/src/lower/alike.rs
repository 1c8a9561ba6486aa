//! Stages of one pipeline that use an external texture differently.
//!
//! Where a layout is `"auto"`, wgpu takes for each stage by itself whether a texture is filtered: that it is a sampled one, and
//! not whether it was external. A vertex stage that only loads or measures what the fragment stage samples is then refused as
//! inconsistent. Here the one that does not sample is made to, once and for nothing, with the other's sampler. Only where it is
//! needed: a layout that a script made need not show that sampler to both stages.

use std::collections::BTreeMap;

use naga::valid::{Capabilities, ModuleInfo};
use naga::{
    AddressSpace, Block, Expression, GlobalVariable, Handle, Literal, Module, ResourceBinding,
    SampleLevel, ShaderStage, Span, Statement, Type, TypeInner, VectorSize,
};

use super::{LowerError, finish, lower, validate};

/// A stage of a render pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The shader, as its author wrote it.
    pub source: &'a str,
    /// The entry point; `None` for the only one of the stage.
    pub entry_point: Option<&'a str>,
}

/// The stages of a render pipeline with a derived layout that have to be other than
/// [`lower_external_textures`](super::lower_external_textures) made them, as WGSL.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Alike {
    /// The shader of the vertex stage.
    pub vertex: Option<String>,
    /// The shader of the fragment stage.
    pub fragment: Option<String>,
}

/// `@group` and `@binding`.
type Binding = (u32, u32);

fn place(binding: &ResourceBinding) -> Binding {
    (binding.group, binding.binding)
}

/// A shader that was lowered, and what its entry point does with what were external textures.
struct Lowered {
    module: Module,
    info: ModuleInfo,
    entry_point: usize,
    /// Those it uses, and a sampler that it samples each with, if it does.
    samplers: BTreeMap<Binding, Option<Binding>>,
}

impl Lowered {
    /// `None` for a shader without external textures or without that entry point.
    fn new(
        stage: &Stage<'_>,
        kind: ShaderStage,
        capabilities: Capabilities,
    ) -> Result<Option<Self>, LowerError> {
        let Some((module, info, bindings)) = lower(stage.source, capabilities)? else {
            return Ok(None);
        };
        let mut named = module.entry_points.iter().enumerate().filter(|(_, entry)| {
            entry.stage == kind && stage.entry_point.is_none_or(|name| entry.name == name)
        });
        let (Some((entry_point, _)), None) = (named.next(), named.next()) else {
            return Ok(None);
        };
        let function = info.get_entry_point(entry_point);
        let mut samplers: BTreeMap<Binding, Option<Binding>> = BTreeMap::new();
        for (handle, global) in module.global_variables.iter() {
            let Some(binding) = global.binding.as_ref().map(place) else {
                continue;
            };
            let external = bindings.iter().any(|b| (b.group, b.binding) == binding);
            if external && !function[handle].is_empty() {
                let samplers_of = function.sampling_set.iter().filter_map(|pair| {
                    let sampler = &module.global_variables[pair.sampler];
                    (pair.image == handle).then_some(sampler.binding.as_ref().map(place)?)
                });
                samplers.insert(binding, samplers_of.min());
            }
        }
        Ok(Some(Self {
            module,
            info,
            entry_point,
            samplers,
        }))
    }

    /// The textures that `other` samples and this one uses without sampling them, each with `other`'s sampler.
    fn lacking(&self, other: &Self) -> Vec<(Binding, Binding)> {
        let mine = self
            .samplers
            .iter()
            .filter(|(_, sampler)| sampler.is_none());
        mine.filter_map(|(texture, _)| Some((*texture, (*other.samplers.get(texture)?)?)))
            .collect()
    }

    /// The shader with a sample of each pair, or `None` where there are none.
    fn sampling(
        mut self,
        pairs: &[(Binding, Binding)],
        source: &str,
        capabilities: Capabilities,
    ) -> Result<Option<String>, LowerError> {
        if pairs.is_empty() {
            return Ok(None);
        }
        for &(texture, sampler) in pairs {
            let Some(texture) = self.texture(texture) else {
                continue;
            };
            let sampler = self.sampler(sampler);
            sample(&mut self.module, self.entry_point, texture, sampler);
        }
        let lacking = capabilities - Capabilities::TEXTURE_EXTERNAL;
        let info = validate(&self.module, lacking)
            .map_err(|error| LowerError::Unsupported(error.to_string()))?;
        finish(&self.module, &info, source, capabilities).map(Some)
    }

    /// The texture at `binding` that the entry point uses.
    fn texture(&self, binding: Binding) -> Option<Handle<GlobalVariable>> {
        let function = self.info.get_entry_point(self.entry_point);
        let mut globals = self.module.global_variables.iter();
        let found = globals.find(|&(handle, global)| {
            global.binding.as_ref().map(place) == Some(binding) && !function[handle].is_empty()
        });
        found.map(|(handle, _)| handle)
    }

    /// The sampler at `binding`, which is declared where it is not there.
    fn sampler(&mut self, binding: Binding) -> Handle<GlobalVariable> {
        let Module {
            types,
            global_variables,
            ..
        } = &mut self.module;
        let ty = Type {
            name: None,
            inner: TypeInner::Sampler { comparison: false },
        };
        let ty = types.insert(ty, Span::UNDEFINED);
        let found = global_variables.iter().find(|(_, global)| {
            global.binding.as_ref().map(place) == Some(binding)
                && matches!(
                    types[global.ty].inner,
                    TypeInner::Sampler { comparison: false }
                )
        });
        if let Some((handle, _)) = found {
            return handle;
        }
        let (group, binding) = binding;
        let sampler = GlobalVariable {
            name: None,
            space: AddressSpace::Handle,
            binding: Some(ResourceBinding { group, binding }),
            ty,
            init: None,
            memory_decorations: Default::default(),
        };
        global_variables.append(sampler, Span::UNDEFINED)
    }
}

/// Has an entry point begin with a sample of `texture` that nobody reads.
fn sample(
    module: &mut Module,
    entry_point: usize,
    texture: Handle<GlobalVariable>,
    sampler: Handle<GlobalVariable>,
) {
    let Some(entry_point) = module.entry_points.get_mut(entry_point) else {
        return;
    };
    let function = &mut entry_point.function;
    let expressions = &mut function.expressions;
    let mut add = |expression| expressions.append(expression, Span::UNDEFINED);
    let image = add(Expression::GlobalVariable(texture));
    let sampler = add(Expression::GlobalVariable(sampler));
    let value = add(Expression::Literal(Literal::F32(0.5)));
    let coordinate = add(Expression::Splat {
        size: VectorSize::Bi,
        value,
    });
    let sample = add(Expression::ImageSample {
        image,
        sampler,
        gather: None,
        coordinate,
        array_index: None,
        offset: None,
        level: SampleLevel::Zero,
        depth_ref: None,
        clamp_to_edge: false,
    });
    let emitted = Statement::Emit(naga::Range::new_from_bounds(coordinate, sample));
    let mut block = Block::new();
    block.push(emitted, Span::UNDEFINED);
    function.body.splice(0..0, block);
    // What has no name and is not used is left out.
    function
        .named_expressions
        .insert(sample, "sampled".to_owned());
}

/// The shaders of a render pipeline whose layout is `"auto"`, where the two stages do not use the same external texture alike.
/// Both are shaders that [`lower_external_textures`](super::lower_external_textures) takes; that is done again here.
///
/// # Errors
/// As [`lower_external_textures`](super::lower_external_textures).
pub fn lower_stages_alike(
    vertex: &Stage<'_>,
    fragment: &Stage<'_>,
    capabilities: Capabilities,
) -> Result<Alike, LowerError> {
    let lowered = (
        Lowered::new(vertex, ShaderStage::Vertex, capabilities)?,
        Lowered::new(fragment, ShaderStage::Fragment, capabilities)?,
    );
    let (Some(first), Some(second)) = lowered else {
        return Ok(Alike::default());
    };
    let (of_vertex, of_fragment) = (first.lacking(&second), second.lacking(&first));
    Ok(Alike {
        vertex: first.sampling(&of_vertex, vertex.source, capabilities)?,
        fragment: second.sampling(&of_fragment, fragment.source, capabilities)?,
    })
}
