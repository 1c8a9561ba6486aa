//! Video frames that live on a wgpu device.
//!
//! [`Gpu`] stands for a device: that of a script's `GPUDevice`, or one of its own. Over it,
//!
//! - [`Gpu::image`] gives the planes of a frame as textures, uploaded at most once;
//! - [`Gpu::rgba`] shows a frame as one RGBA texture, for `importExternalTexture`;
//! - [`Gpu::copy_to_texture`] is `copyExternalImageToTexture`, [`Gpu::frame_from_texture`] its opposite;
//! - frames on the device are read back through [`VideoResource`](reelcore_media::frame::VideoResource), converted and scaled before that
//!   where the reader says what it wants.
//!
//! Ids of wgpu-core are used throughout, as they are what deno_webgpu's objects hold. `docs/gpu.md` has a map.

#![deny(unsafe_code)]

mod convert;
mod device;
mod display;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "Vulkan below wgpu")]
pub mod dmabuf;
mod error;
mod external;
mod handles;
mod image;
mod lead;
pub mod lower;
mod mapped;
mod plan;
mod pool;
mod readback;
mod strips;
mod upload;

pub use naga;
pub use wgpu_core;
pub use wgpu_types;

pub use device::{Gpu, OpenOptions, Stats};
pub use error::GpuError;
pub use external::{
    Destination, FrameInit, Pixels, Source, TextureDescription, TextureSource,
    copy_destination_format,
};
pub use image::{GpuImage, GpuResource, gpu_image, plane_texture_format};
pub use lead::Lead;
pub use pool::Texture;
