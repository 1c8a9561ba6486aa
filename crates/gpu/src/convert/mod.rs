//! Conversions as passes on the GPU: pipelines, their parameters, and the recording of passes.
//!
//! `source.wgsl` makes colours of an image at any position; `draw.wgsl` writes them to a texture and `pack.wgsl` to rows in a
//! buffer. What decides which code runs is constant in a pipeline, the rest is a number in [`Params`]. The frames of a stream have the
//! same, so pipelines and the buffers that hold numbers are kept.

mod color;
mod params;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use reelcore_media::Rect;
use wgpu_core::binding_model::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindingResource, BufferBinding,
    PipelineLayoutDescriptor,
};
use wgpu_core::command::{
    ComputePassDescriptor, LoadOp, RenderPassColorAttachment, RenderPassDescriptor, StoreOp,
};
use wgpu_core::id::{BufferId, CommandEncoderId, TextureViewId};
use wgpu_core::pipeline::{
    ComputePipelineDescriptor, FragmentState, ProgrammableStageDescriptor,
    RenderPipelineDescriptor, ShaderModuleDescriptor, ShaderModuleSource, VertexState,
};
use wgpu_core::resource::{BufferDescriptor, SamplerDescriptor};
use wgpu_types as wgt;

pub(crate) use color::Curve;
pub(crate) use params::{
    FLAG_DECODE_SRGB, FLAG_OPAQUE, FLAG_PREMULTIPLY, FLAG_UNPREMULTIPLY, From, Map, Params, To,
    code_rows, shown_size,
};

use crate::device::{Gpu, lock};
use crate::error::GpuError;
use crate::handles::{
    BindGroup, BindGroupLayout, Buffer, Commands, ComputePipeline, Encoder, PipelineLayout,
    RenderPipeline, Sampler, Shader,
};

/// How many sets of numbers are kept: several streams with a few conversions each.
const MAX_UNIFORMS: usize = 64;

/// Invocations of a workgroup, as `pack.wgsl` says.
const WORKGROUP: u32 = 64;

/// What the texels of planes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texels {
    /// Normalized or floating-point.
    Float,
    /// Unsigned integers.
    Uint,
}

impl Texels {
    pub(crate) fn of(format: wgt::TextureFormat) -> Self {
        match format {
            wgt::TextureFormat::R16Uint | wgt::TextureFormat::Rg16Uint => Self::Uint,
            _ => Self::Float,
        }
    }

    fn sample_type(self) -> wgt::TextureSampleType {
        match self {
            Self::Float => wgt::TextureSampleType::Float { filterable: false },
            Self::Uint => wgt::TextureSampleType::Uint,
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Float => include_str!("planes_float.wgsl"),
            Self::Uint => include_str!("planes_uint.wgsl"),
        }
    }
}

/// How many pipelines of each kind are kept.
const MAX_PIPELINES: usize = 64;

/// Planes, target, and [`Params::modes`].
type DrawKey = (Texels, wgt::TextureFormat, [u32; 4]);
/// Planes, [`Params::modes`], components of a sample, their bits, and planes.
type PackKey = (Texels, [u32; 4], [u32; 3]);

/// Keeps one more; the one that was made first goes.
fn keep<K, V>(kept: &mut Vec<(K, V)>, key: K, value: V) {
    if kept.len() == MAX_PIPELINES {
        kept.remove(0);
    }
    kept.push((key, value));
}

/// The pipelines of a device.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    draws: Mutex<Vec<(DrawKey, Arc<Draw>)>>,
    packs: Mutex<Vec<(PackKey, Arc<Pack>)>>,
    uniforms: Mutex<Vec<(Params, Arc<Buffer>)>>,
    nearest: Mutex<Option<Arc<Sampler>>>,
}

#[derive(Debug)]
struct Draw {
    bindings: BindGroupLayout,
    pipeline: RenderPipeline,
}

#[derive(Debug)]
struct Pack {
    bindings: BindGroupLayout,
    pipeline: ComputePipeline,
}

impl Converter {
    pub(crate) fn clear(&self) {
        lock(&self.draws).clear();
        lock(&self.packs).clear();
        lock(&self.uniforms).clear();
        lock(&self.nearest).take();
    }
}

/// The views of an image's planes, as many as there are bindings.
pub(crate) type Planes = [TextureViewId; 4];

/// Where a pass draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) view: TextureViewId,
    pub(crate) format: wgt::TextureFormat,
    pub(crate) rect: Rect,
    /// Texels outside `rect` are kept.
    pub(crate) keep: bool,
}

impl Gpu {
    /// Records commands and submits them. The caller is in a call that [entered](Gpu::enter).
    pub(crate) fn record(
        &self,
        what: &str,
        record: impl FnOnce(CommandEncoderId) -> Result<(), GpuError>,
    ) -> Result<(), GpuError> {
        let encoder = self.global.device_create_command_encoder(
            self.device,
            &wgt::CommandEncoderDescriptor { label: None },
            None,
        );
        let encoder = Encoder::new(&self.global, what, encoder)?;
        record(encoder.id())?;
        let (commands, error) = self.global.command_encoder_finish(
            encoder.id(),
            &wgt::CommandBufferDescriptor { label: None },
            None,
        );
        let error = error.map(|(_, error)| error);
        let commands = Commands::new(&self.global, what, (commands, error))?;
        self.submit(Some((what, &commands)))
    }

    /// Submits commands, after the uploads that wait.
    pub(crate) fn submit(&self, commands: Option<(&str, &Commands)>) -> Result<(), GpuError> {
        let id = commands.map(|(_, commands)| commands.id());
        match self.global.queue_submit(self.queue, id.as_slice()) {
            Ok(_) => Ok(()),
            Err((_, error)) => Err(GpuError::of(
                commands.map_or("an upload", |(what, _)| what),
                &error,
            )),
        }
    }

    /// Records a pass that draws the image of `planes` into `target`.
    pub(crate) fn draw(
        &self,
        encoder: CommandEncoderId,
        texels: Texels,
        planes: Planes,
        params: &Params,
        target: &Target,
    ) -> Result<(), GpuError> {
        let what = "a conversion";
        let draw = self.draw_pipeline(texels, target.format, params)?;
        let uniform = self.uniform(params)?;
        let group = self.bind(what, &draw.bindings, uniform.id(), planes, None)?;
        let attachment = RenderPassColorAttachment {
            view: target.view,
            depth_slice: None,
            resolve_target: None,
            load_op: match target.keep {
                true => LoadOp::Load,
                false => LoadOp::Clear(wgt::Color::TRANSPARENT),
            },
            store_op: StoreOp::Store,
        };
        let (mut pass, error) = self.global.command_encoder_begin_render_pass(
            encoder,
            &RenderPassDescriptor {
                label: None,
                color_attachments: Cow::Owned(vec![Some(attachment)]),
                depth_stencil_attachment: None,
                timestamp_writes: None,
                occlusion_query_set: None,
                multiview_mask: None,
            },
        );
        if let Some(error) = error {
            return Err(GpuError::of(what, &error));
        }
        let Rect {
            x,
            y,
            width,
            height,
        } = target.rect;
        let [fx, fy, fw, fh] = [x, y, width, height].map(|value| value as f32);
        let global = &self.global;
        let recorded = global
            .render_pass_set_pipeline(&mut pass, draw.pipeline.id())
            .and_then(|()| {
                global.render_pass_set_bind_group(&mut pass, 0, Some(group.id()), &[])?;
                global.render_pass_set_viewport(&mut pass, fx, fy, fw, fh, 0.0, 1.0)?;
                global.render_pass_set_scissor_rect(&mut pass, x, y, width, height)?;
                global.render_pass_draw(&mut pass, 3, 1, 0, 0)
            });
        recorded.map_err(|error| GpuError::of(what, &error))?;
        self.global
            .render_pass_end(&mut pass)
            .map_err(|error| GpuError::of(what, &error))
    }

    /// Records passes that write packed rows of the image of `planes` into `buffer`, one for each of `params`.
    pub(crate) fn pack(
        &self,
        encoder: CommandEncoderId,
        texels: Texels,
        planes: Planes,
        params: &[Params],
        buffer: BufferId,
    ) -> Result<(), GpuError> {
        let what = "a conversion";
        let mut groups = Vec::with_capacity(params.len());
        for params in params {
            let pack = self.pack_pipeline(texels, params)?;
            let uniform = self.uniform(params)?;
            let group = self.bind(what, &pack.bindings, uniform.id(), planes, Some(buffer))?;
            let columns = params.out[2].div_ceil(WORKGROUP);
            groups.push((pack, group, columns, params.out_size[1]));
        }
        let global = &self.global;
        let (mut pass, error) = global.command_encoder_begin_compute_pass(
            encoder,
            &ComputePassDescriptor {
                label: None,
                timestamp_writes: None,
            },
        );
        if let Some(error) = error {
            return Err(GpuError::of(what, &error));
        }
        for (pack, group, columns, rows) in &groups {
            let recorded = global
                .compute_pass_set_pipeline(&mut pass, pack.pipeline.id())
                .and_then(|()| {
                    global.compute_pass_set_bind_group(&mut pass, 0, Some(group.id()), &[])?;
                    global.compute_pass_dispatch_workgroups(&mut pass, *columns, *rows, 1)
                });
            recorded.map_err(|error| GpuError::of(what, &error))?;
        }
        global
            .compute_pass_end(&mut pass)
            .map_err(|error| GpuError::of(what, &error))
    }

    /// A buffer that holds `params`.
    fn uniform(&self, params: &Params) -> Result<Arc<Buffer>, GpuError> {
        let mut kept = lock(&self.converter.uniforms);
        if let Some(index) = kept.iter().rposition(|(other, _)| other == params) {
            // The one that was used last is at the end.
            let entry = kept.remove(index);
            let buffer = entry.1.clone();
            kept.push(entry);
            return Ok(buffer);
        }
        let what = "the numbers of a conversion";
        let buffer = self.global.device_create_buffer(
            self.device,
            &BufferDescriptor {
                label: Some(Cow::Borrowed("conversion")),
                size: size_of::<Params>() as u64,
                usage: wgt::BufferUsages::UNIFORM | wgt::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            },
            None,
        );
        let buffer = Arc::new(Buffer::new(&self.global, what, buffer)?);
        self.global
            .queue_write_buffer(self.queue, buffer.id(), 0, bytemuck::bytes_of(params))
            .map_err(|error| GpuError::of(what, &error))?;
        if kept.len() == MAX_UNIFORMS {
            kept.remove(0);
        }
        kept.push((*params, buffer.clone()));
        Ok(buffer)
    }

    /// Whether shaders can look at four samples at once: GLES has it since 3.1, with compute shaders.
    fn gathers(&self) -> bool {
        self.has_compute()
    }

    fn nearest(&self) -> Result<Arc<Sampler>, GpuError> {
        let mut kept = lock(&self.converter.nearest);
        if let Some(sampler) = &*kept {
            return Ok(sampler.clone());
        }
        let descriptor = SamplerDescriptor {
            label: None,
            address_modes: [wgt::AddressMode::ClampToEdge; 3],
            mag_filter: wgt::FilterMode::Nearest,
            min_filter: wgt::FilterMode::Nearest,
            mipmap_filter: wgt::MipmapFilterMode::Nearest,
            lod_min_clamp: 0.0,
            lod_max_clamp: 0.0,
            compare: None,
            anisotropy_clamp: 1,
            border_color: None,
        };
        let sampler = self
            .global
            .device_create_sampler(self.device, &descriptor, None);
        let sampler = Arc::new(Sampler::new(
            &self.global,
            "a conversion's sampler",
            sampler,
        )?);
        Ok(kept.insert(sampler).clone())
    }

    fn bind(
        &self,
        what: &str,
        layout: &BindGroupLayout,
        uniform: BufferId,
        planes: Planes,
        words: Option<BufferId>,
    ) -> Result<BindGroup, GpuError> {
        let whole = |buffer| {
            BindingResource::Buffer(BufferBinding {
                buffer,
                offset: 0,
                size: None,
            })
        };
        let mut entries = vec![BindGroupEntry {
            binding: 0,
            resource: whole(uniform),
        }];
        entries.extend((1..).zip(planes).map(|(binding, view)| BindGroupEntry {
            binding,
            resource: BindingResource::TextureView(view),
        }));
        entries.extend(words.map(|buffer| BindGroupEntry {
            binding: 5,
            resource: whole(buffer),
        }));
        let nearest = match self.gathers() {
            true => Some(self.nearest()?),
            false => None,
        };
        entries.extend(nearest.iter().map(|sampler| BindGroupEntry {
            binding: 6,
            resource: BindingResource::Sampler(sampler.id()),
        }));
        let group = self.global.device_create_bind_group(
            self.device,
            &BindGroupDescriptor {
                label: None,
                layout: layout.id(),
                entries: Cow::Owned(entries),
            },
            None,
        );
        BindGroup::new(&self.global, what, group)
    }

    /// The layout of bindings, that of a pipeline with them, and the shader with `stage`'s source.
    fn module(
        &self,
        texels: Texels,
        visibility: wgt::ShaderStages,
        stage: &str,
    ) -> Result<(BindGroupLayout, PipelineLayout, Shader), GpuError> {
        let entry = |binding, ty| wgt::BindGroupLayoutEntry {
            binding,
            visibility,
            ty,
            count: None,
        };
        let buffer = |ty| wgt::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let mut entries = vec![entry(0, buffer(wgt::BufferBindingType::Uniform))];
        entries.extend((1..=4).map(|binding| {
            entry(
                binding,
                wgt::BindingType::Texture {
                    sample_type: texels.sample_type(),
                    view_dimension: wgt::TextureViewDimension::D2,
                    multisampled: false,
                },
            )
        }));
        if visibility == wgt::ShaderStages::COMPUTE {
            let ty = wgt::BufferBindingType::Storage { read_only: false };
            entries.push(entry(5, buffer(ty)));
        }
        if self.gathers() {
            let ty = wgt::BindingType::Sampler(wgt::SamplerBindingType::NonFiltering);
            entries.push(entry(6, ty));
        }
        let what = "a conversion's pipeline";
        let bindings = self.global.device_create_bind_group_layout(
            self.device,
            &BindGroupLayoutDescriptor {
                label: None,
                entries: Cow::Owned(entries),
            },
            None,
        );
        let bindings = BindGroupLayout::new(&self.global, what, bindings)?;
        let layout = self.global.device_create_pipeline_layout(
            self.device,
            &PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: Cow::Owned(vec![Some(bindings.id())]),
                immediate_size: 0,
            },
            None,
        );
        let layout = PipelineLayout::new(&self.global, what, layout)?;
        let between = match self.gathers() {
            true => include_str!("between_gather.wgsl"),
            false => include_str!("between_load.wgsl"),
        };
        let source = [texels.source(), include_str!("source.wgsl"), between, stage].concat();
        let shader = self.global.device_create_shader_module(
            self.device,
            &ShaderModuleDescriptor {
                label: Some(Cow::Borrowed("conversion")),
                runtime_checks: wgt::ShaderRuntimeChecks::checked(),
            },
            ShaderModuleSource::Wgsl(Cow::Owned(source)),
            None,
        );
        let shader = Shader::new(&self.global, what, shader)?;
        Ok((bindings, layout, shader))
    }

    fn draw_pipeline(
        &self,
        texels: Texels,
        format: wgt::TextureFormat,
        params: &Params,
    ) -> Result<Arc<Draw>, GpuError> {
        let key = (texels, format, params.modes);
        let mut kept = lock(&self.converter.draws);
        if let Some((_, draw)) = kept.iter().find(|(other, _)| *other == key) {
            return Ok(draw.clone());
        }
        let (bindings, layout, shader) = self.module(
            texels,
            wgt::ShaderStages::FRAGMENT,
            include_str!("draw.wgsl"),
        )?;
        let constants = params.constants();
        let constants: naga::back::PipelineConstants = constants
            .map(|(name, value)| (name.to_owned(), f64::from(value)))
            .collect();
        let stage = |entry_point| ProgrammableStageDescriptor {
            module: shader.id(),
            entry_point: Some(Cow::Borrowed(entry_point)),
            constants: constants.clone(),
            zero_initialize_workgroup_memory: false,
        };
        let target = wgt::ColorTargetState {
            format,
            blend: None,
            write_mask: wgt::ColorWrites::ALL,
        };
        let pipeline = self.global.device_create_render_pipeline(
            self.device,
            &RenderPipelineDescriptor {
                label: Some(Cow::Borrowed("conversion")),
                layout: Some(layout.id()),
                vertex: VertexState {
                    stage: stage("vertex"),
                    buffers: Cow::Borrowed(&[]),
                },
                primitive: wgt::PrimitiveState::default(),
                depth_stencil: None,
                multisample: wgt::MultisampleState::default(),
                fragment: Some(FragmentState {
                    stage: stage("fragment"),
                    targets: Cow::Owned(vec![Some(target)]),
                }),
                multiview_mask: None,
                cache: None,
            },
            None,
        );
        let pipeline = RenderPipeline::new(&self.global, "a conversion's pipeline", pipeline)?;
        let draw = Arc::new(Draw { bindings, pipeline });
        keep(&mut kept, key, draw.clone());
        Ok(draw)
    }

    fn pack_pipeline(&self, texels: Texels, params: &Params) -> Result<Arc<Pack>, GpuError> {
        let ([components, bits, ..], planes) = (params.out, params.out_size[3]);
        let key = (texels, params.modes, [components, bits, planes]);
        let mut kept = lock(&self.converter.packs);
        if let Some((_, pack)) = kept.iter().find(|(other, _)| *other == key) {
            return Ok(pack.clone());
        }
        let (bindings, layout, shader) = self.module(
            texels,
            wgt::ShaderStages::COMPUTE,
            include_str!("pack.wgsl"),
        )?;
        let pipeline = self.global.device_create_compute_pipeline(
            self.device,
            &ComputePipelineDescriptor {
                label: Some(Cow::Borrowed("conversion")),
                layout: Some(layout.id()),
                stage: ProgrammableStageDescriptor {
                    module: shader.id(),
                    entry_point: Some(Cow::Borrowed("pack")),
                    constants: params
                        .constants()
                        .chain([
                            ("COMPONENTS", components),
                            ("BITS", bits),
                            ("PLANES", planes),
                        ])
                        .map(|(name, value)| (name.to_owned(), f64::from(value)))
                        .collect(),
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            },
            None,
        );
        let pipeline = ComputePipeline::new(&self.global, "a conversion's pipeline", pipeline)?;
        let pack = Arc::new(Pack { bindings, pipeline });
        keep(&mut kept, key, pack.clone());
        Ok(pack)
    }
}
