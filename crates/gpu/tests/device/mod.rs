//! A device of its own for tests of what works below `Gpu`: wgpu-core's ids, one call each.
#![allow(
    dead_code,
    reason = "each test file uses a part; test code needs no docs"
)]
#![allow(missing_docs)]

use std::borrow::Cow;
use std::sync::mpsc;

use reelcore_gpu::wgpu_core::binding_model::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindingResource, BufferBinding,
    PipelineLayoutDescriptor,
};
use reelcore_gpu::wgpu_core::command::{
    ComputePassDescriptor, RenderPassColorAttachment, RenderPassDescriptor,
};
use reelcore_gpu::wgpu_core::device::HostMap;
use reelcore_gpu::wgpu_core::global::Global;
use reelcore_gpu::wgpu_core::id::{
    AdapterId, BindGroupId, BindGroupLayoutId, BufferId, CommandEncoderId, DeviceId,
    PipelineLayoutId, QueueId, SamplerId, ShaderModuleId, TextureId,
};
use reelcore_gpu::wgpu_core::pipeline::{
    ComputePipelineDescriptor, FragmentState, ProgrammableStageDescriptor,
    RenderPipelineDescriptor, ShaderModuleDescriptor, ShaderModuleSource, VertexState,
};
use reelcore_gpu::wgpu_core::resource::{
    BufferMapOperation, SamplerDescriptor, TextureViewDescriptor,
};
use reelcore_gpu::wgpu_types as wgt;

pub struct Device {
    pub global: std::sync::Arc<Global>,
    pub adapter: AdapterId,
    pub device: DeviceId,
    pub queue: QueueId,
}

fn ok<T, E: std::fmt::Display>(what: &str, (value, error): (T, Option<E>)) -> T {
    match error {
        None => value,
        Some(error) => panic!("{what}: {error}"),
    }
}

impl Device {
    /// The first Vulkan adapter, with all its features that are not experimental.
    pub fn open() -> Self {
        Self::over(Global::new(
            "tests",
            wgt::InstanceDescriptor {
                backends: wgt::Backends::VULKAN,
                ..wgt::InstanceDescriptor::new_without_display_handle()
            },
            None,
        ))
    }

    pub fn over(global: Global) -> Self {
        let adapter = global
            .request_adapter(
                &wgt::RequestAdapterOptions::default(),
                wgt::Backends::VULKAN,
                None,
            )
            .expect("no Vulkan adapter: install the package mesa-vulkan-drivers");
        let features = global.adapter_features(adapter) & wgt::Features::all_webgpu_mask();
        let (device, queue) = global
            .adapter_request_device(
                adapter,
                &wgt::DeviceDescriptor {
                    required_features: features,
                    ..Default::default()
                },
                None,
                None,
            )
            .expect("device");
        Self {
            global: std::sync::Arc::new(global),
            adapter,
            device,
            queue,
        }
    }

    pub fn shader(&self, source: &str) -> ShaderModuleId {
        let source = ShaderModuleSource::Wgsl(Cow::Borrowed(source));
        ok("shader", self.try_shader(source))
    }

    pub fn try_shader(
        &self,
        source: ShaderModuleSource<'_>,
    ) -> (
        ShaderModuleId,
        Option<reelcore_gpu::wgpu_core::pipeline::CreateShaderModuleError>,
    ) {
        self.global.device_create_shader_module(
            self.device,
            &ShaderModuleDescriptor {
                label: None,
                runtime_checks: Default::default(),
            },
            source,
            None,
        )
    }

    pub fn texture(
        &self,
        width: u32,
        height: u32,
        format: wgt::TextureFormat,
        usage: wgt::TextureUsages,
    ) -> TextureId {
        ok(
            "texture",
            self.global.device_create_texture(
                self.device,
                &wgt::TextureDescriptor {
                    label: None,
                    size: extent(width, height),
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgt::TextureDimension::D2,
                    format,
                    usage,
                    view_formats: vec![],
                },
                None,
            ),
        )
    }

    pub fn write_texture(&self, texture: TextureId, width: u32, height: u32, rgba: &[u8]) {
        self.global
            .queue_write_texture(
                self.queue,
                &whole(texture),
                rgba,
                &wgt::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(width * 4),
                    rows_per_image: None,
                },
                &extent(width, height),
            )
            .expect("write_texture");
    }

    pub fn buffer(&self, size: u64, usage: wgt::BufferUsages) -> BufferId {
        ok(
            "buffer",
            self.global.device_create_buffer(
                self.device,
                &wgt::BufferDescriptor {
                    label: None,
                    size,
                    usage,
                    mapped_at_creation: false,
                },
                None,
            ),
        )
    }

    pub fn sampler(&self, filter: wgt::FilterMode, address: wgt::AddressMode) -> SamplerId {
        ok(
            "sampler",
            self.global.device_create_sampler(
                self.device,
                &SamplerDescriptor {
                    label: None,
                    address_modes: [address; 3],
                    mag_filter: filter,
                    min_filter: filter,
                    mipmap_filter: wgt::MipmapFilterMode::Nearest,
                    lod_min_clamp: 0.0,
                    lod_max_clamp: 32.0,
                    compare: None,
                    anisotropy_clamp: 1,
                    border_color: None,
                },
                None,
            ),
        )
    }

    pub fn layout(&self, entries: &[wgt::BindGroupLayoutEntry]) -> BindGroupLayoutId {
        ok(
            "bind group layout",
            self.global.device_create_bind_group_layout(
                self.device,
                &BindGroupLayoutDescriptor {
                    label: None,
                    entries: Cow::Borrowed(entries),
                },
                None,
            ),
        )
    }

    fn pipeline_layout(&self, layout: BindGroupLayoutId) -> PipelineLayoutId {
        ok(
            "pipeline layout",
            self.global.device_create_pipeline_layout(
                self.device,
                &PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: Cow::Owned(vec![Some(layout)]),
                    immediate_size: 0,
                },
                None,
            ),
        )
    }

    pub fn bind_group(&self, layout: BindGroupLayoutId, bindings: &[(u32, Bound)]) -> BindGroupId {
        let entries: Vec<BindGroupEntry<'_>> = bindings
            .iter()
            .map(|&(binding, bound)| BindGroupEntry {
                binding,
                resource: match bound {
                    Bound::Texture(texture) => BindingResource::TextureView(ok(
                        "view",
                        self.global.texture_create_view(
                            texture,
                            &TextureViewDescriptor::default(),
                            None,
                        ),
                    )),
                    Bound::Sampler(sampler) => BindingResource::Sampler(sampler),
                    Bound::Buffer(buffer) => BindingResource::Buffer(BufferBinding {
                        buffer,
                        offset: 0,
                        size: None,
                    }),
                },
            })
            .collect();
        ok(
            "bind group",
            self.global.device_create_bind_group(
                self.device,
                &BindGroupDescriptor {
                    label: None,
                    layout,
                    entries: Cow::Owned(entries),
                },
                None,
            ),
        )
    }

    pub fn encoder(&self) -> CommandEncoderId {
        ok(
            "encoder",
            self.global.device_create_command_encoder(
                self.device,
                &wgt::CommandEncoderDescriptor { label: None },
                None,
            ),
        )
    }

    pub fn submit(&self, encoder: CommandEncoderId) {
        let (buffer, error) = self.global.command_encoder_finish(
            encoder,
            &wgt::CommandBufferDescriptor { label: None },
            None,
        );
        assert!(error.is_none(), "finish: {error:?}");
        self.global
            .queue_submit(self.queue, &[buffer])
            .expect("submit");
        self.global.command_buffer_drop(buffer);
        self.global.command_encoder_drop(encoder);
    }

    /// Runs one workgroup of `entry`, and gives `words` words of what it wrote into binding 9.
    pub fn compute(
        &self,
        module: ShaderModuleId,
        entry: &str,
        explicit: Option<&[wgt::BindGroupLayoutEntry]>,
        bindings: &[(u32, Bound)],
        constants: &[(&str, f64)],
        words: u64,
    ) -> Vec<u32> {
        let layout = explicit.map(|entries| self.layout(entries));
        let pipeline = ok(
            "compute pipeline",
            self.global.device_create_compute_pipeline(
                self.device,
                &ComputePipelineDescriptor {
                    label: None,
                    layout: layout.map(|layout| self.pipeline_layout(layout)),
                    stage: stage(module, entry, constants),
                    cache: None,
                },
                None,
            ),
        );
        let layout = layout.unwrap_or_else(|| {
            ok(
                "auto layout",
                self.global
                    .compute_pipeline_get_bind_group_layout(pipeline, 0, None),
            )
        });
        let out = self.buffer(
            words * 4,
            wgt::BufferUsages::STORAGE | wgt::BufferUsages::COPY_SRC,
        );
        let mut bindings = bindings.to_vec();
        bindings.push((9, Bound::Buffer(out)));
        let group = self.bind_group(layout, &bindings);

        let encoder = self.encoder();
        let (mut pass, error) = self.global.command_encoder_begin_compute_pass(
            encoder,
            &ComputePassDescriptor {
                label: None,
                timestamp_writes: None,
            },
        );
        assert!(error.is_none(), "pass: {error:?}");
        self.global
            .compute_pass_set_pipeline(&mut pass, pipeline)
            .expect("pipeline");
        self.global
            .compute_pass_set_bind_group(&mut pass, 0, Some(group), &[])
            .expect("group");
        self.global
            .compute_pass_dispatch_workgroups(&mut pass, 1, 1, 1)
            .expect("dispatch");
        self.global.compute_pass_end(&mut pass).expect("end");
        let read = self.buffer(
            words * 4,
            wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
        );
        self.global
            .command_encoder_copy_buffer_to_buffer(encoder, out, 0, read, 0, Some(words * 4))
            .expect("copy");
        self.submit(encoder);
        self.read(read, words * 4)
            .chunks_exact(4)
            .map(|b| u32::from_ne_bytes(b.try_into().unwrap()))
            .collect()
    }

    /// Draws a triangle with `vs` and `fs` over a 64x16 RGBA texture, and gives its pixels.
    pub fn render(
        &self,
        (vertex, vs): (ShaderModuleId, &str),
        (fragment, fs): (ShaderModuleId, &str),
        explicit: Option<&[wgt::BindGroupLayoutEntry]>,
        bindings: &[(u32, Bound)],
    ) -> Vec<u8> {
        let target = self.texture(
            64,
            16,
            wgt::TextureFormat::Rgba8Unorm,
            wgt::TextureUsages::RENDER_ATTACHMENT | wgt::TextureUsages::COPY_SRC,
        );
        let layout = explicit.map(|entries| self.layout(entries));
        let pipeline = ok(
            "render pipeline",
            self.global.device_create_render_pipeline(
                self.device,
                &RenderPipelineDescriptor {
                    label: None,
                    layout: layout.map(|layout| self.pipeline_layout(layout)),
                    vertex: VertexState {
                        stage: stage(vertex, vs, &[]),
                        buffers: Cow::Borrowed(&[]),
                    },
                    primitive: Default::default(),
                    depth_stencil: None,
                    multisample: Default::default(),
                    fragment: Some(FragmentState {
                        stage: stage(fragment, fs, &[]),
                        targets: Cow::Owned(vec![Some(wgt::ColorTargetState::from(
                            wgt::TextureFormat::Rgba8Unorm,
                        ))]),
                    }),
                    multiview_mask: None,
                    cache: None,
                },
                None,
            ),
        );
        let layout = layout.unwrap_or_else(|| {
            ok(
                "auto layout",
                self.global
                    .render_pipeline_get_bind_group_layout(pipeline, 0, None),
            )
        });
        let group = self.bind_group(layout, bindings);
        let view = ok(
            "view",
            self.global
                .texture_create_view(target, &TextureViewDescriptor::default(), None),
        );
        let encoder = self.encoder();
        let (mut pass, error) = self.global.command_encoder_begin_render_pass(
            encoder,
            &RenderPassDescriptor {
                label: None,
                color_attachments: Cow::Owned(vec![Some(RenderPassColorAttachment {
                    view,
                    depth_slice: None,
                    resolve_target: None,
                    load_op: wgt::LoadOp::Clear(wgt::Color::TRANSPARENT),
                    store_op: wgt::StoreOp::Store,
                })]),
                depth_stencil_attachment: None,
                timestamp_writes: None,
                occlusion_query_set: None,
                multiview_mask: None,
            },
        );
        assert!(error.is_none(), "pass: {error:?}");
        self.global
            .render_pass_set_pipeline(&mut pass, pipeline)
            .expect("pipeline");
        self.global
            .render_pass_set_bind_group(&mut pass, 0, Some(group), &[])
            .expect("group");
        self.global
            .render_pass_draw(&mut pass, 3, 1, 0, 0)
            .expect("draw");
        self.global.render_pass_end(&mut pass).expect("end");
        self.copy_out(encoder, target, 64, 16)
    }

    /// The pixels of a texture of 4 bytes a pixel whose rows are multiples of 256 bytes.
    pub fn pixels(&self, texture: TextureId, width: u32, height: u32) -> Vec<u8> {
        self.copy_out(self.encoder(), texture, width, height)
    }

    fn copy_out(
        &self,
        encoder: CommandEncoderId,
        texture: TextureId,
        width: u32,
        height: u32,
    ) -> Vec<u8> {
        let size = u64::from(width * height * 4);
        let read = self.buffer(
            size,
            wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
        );
        self.global
            .command_encoder_copy_texture_to_buffer(
                encoder,
                &whole(texture),
                &wgt::TexelCopyBufferInfo {
                    buffer: read,
                    layout: wgt::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(width * 4),
                        rows_per_image: None,
                    },
                },
                &extent(width, height),
            )
            .expect("copy");
        self.submit(encoder);
        self.read(read, size)
    }

    /// The texels of a texture of `bytes` bytes a texel, without padding.
    pub fn texels(&self, texture: TextureId, width: u32, height: u32, bytes: u32) -> Vec<u8> {
        let row = width * bytes;
        let padded = row.next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT);
        let size = u64::from(padded * height);
        let read = self.buffer(
            size,
            wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
        );
        let encoder = self.encoder();
        self.global
            .command_encoder_copy_texture_to_buffer(
                encoder,
                &whole(texture),
                &wgt::TexelCopyBufferInfo {
                    buffer: read,
                    layout: wgt::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(padded),
                        rows_per_image: None,
                    },
                },
                &extent(width, height),
            )
            .expect("copy");
        self.submit(encoder);
        self.read(read, size)
            .chunks_exact(padded as usize)
            .flat_map(|padded| &padded[..row as usize])
            .copied()
            .collect()
    }

    pub fn wait(&self) {
        self.global
            .device_poll(
                self.device,
                wgt::PollType::Wait {
                    submission_index: None,
                    timeout: None,
                },
            )
            .expect("poll");
    }

    pub fn read(&self, buffer: BufferId, size: u64) -> Vec<u8> {
        let (send, receive) = mpsc::channel();
        self.global
            .buffer_map_async(
                buffer,
                0,
                Some(size),
                BufferMapOperation {
                    host: HostMap::Read,
                    callback: Some(Box::new(move |result| {
                        let _ = send.send(result);
                    })),
                },
            )
            .expect("map");
        self.wait();
        receive.recv().expect("mapped").expect("mapped");
        let (pointer, len) = self
            .global
            .buffer_get_mapped_range(buffer, 0, Some(size))
            .expect("range");
        // SAFETY: the range is mapped for reading until the buffer is dropped below, and `len`
        // bytes long.
        let bytes = unsafe { std::slice::from_raw_parts(pointer.as_ptr(), len as usize) }.to_vec();
        self.global.buffer_drop(buffer);
        bytes
    }
}

#[derive(Clone, Copy)]
pub enum Bound {
    Texture(TextureId),
    Sampler(SamplerId),
    Buffer(BufferId),
}

fn stage<'a>(
    module: ShaderModuleId,
    entry: &'a str,
    constants: &[(&str, f64)],
) -> ProgrammableStageDescriptor<'a> {
    ProgrammableStageDescriptor {
        module,
        entry_point: Some(Cow::Borrowed(entry)),
        constants: constants
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect(),
        zero_initialize_workgroup_memory: true,
    }
}

pub fn extent(width: u32, height: u32) -> wgt::Extent3d {
    wgt::Extent3d {
        width,
        height,
        depth_or_array_layers: 1,
    }
}

pub fn whole(texture: TextureId) -> wgt::TexelCopyTextureInfo<TextureId> {
    wgt::TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: wgt::Origin3d::ZERO,
        aspect: wgt::TextureAspect::All,
    }
}
