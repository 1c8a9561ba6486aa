//! wgpu-core's ids with an owner: what is created is dropped, also when it came out invalid.

use std::sync::Arc;

use wgpu_core::global::Global;
use wgpu_core::id;
use wgpu_types::error::WebGpuError;

use crate::error::GpuError;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident: $id:ty, $drop:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name {
            global: Arc<Global>,
            id: $id,
            owned: bool,
        }

        impl $name {
            /// Takes what a `create` of wgpu-core returned.
            pub(crate) fn new<E: WebGpuError>(
                global: &Arc<Global>,
                what: &str,
                (id, error): ($id, Option<E>),
            ) -> Result<Self, GpuError> {
                let handle = Self { global: global.clone(), id, owned: true };
                match error {
                    None => Ok(handle),
                    Some(error) => Err(GpuError::of(what, &error)),
                }
            }

            pub(crate) fn id(&self) -> $id {
                self.id
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", self.id)
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if self.owned {
                    self.global.$drop(self.id);
                }
            }
        }
    )*};
}

impl View {
    /// The id, which is the caller's to drop.
    pub(crate) fn release(mut self) -> id::TextureViewId {
        self.owned = false;
        self.id
    }
}

handles! {
    /// A texture.
    RawTexture: id::TextureId, texture_drop;
    /// A view of a texture.
    View: id::TextureViewId, texture_view_drop;
    /// A sampler.
    Sampler: id::SamplerId, sampler_drop;
    /// A buffer.
    Buffer: id::BufferId, buffer_drop;
    /// A shader.
    Shader: id::ShaderModuleId, shader_module_drop;
    /// The layout of a bind group.
    BindGroupLayout: id::BindGroupLayoutId, bind_group_layout_drop;
    /// The layout of a pipeline.
    PipelineLayout: id::PipelineLayoutId, pipeline_layout_drop;
    /// A render pipeline.
    RenderPipeline: id::RenderPipelineId, render_pipeline_drop;
    /// A compute pipeline.
    ComputePipeline: id::ComputePipelineId, compute_pipeline_drop;
    /// A bind group.
    BindGroup: id::BindGroupId, bind_group_drop;
    /// A command encoder.
    Encoder: id::CommandEncoderId, command_encoder_drop;
    /// A command buffer.
    Commands: id::CommandBufferId, command_buffer_drop;
}
