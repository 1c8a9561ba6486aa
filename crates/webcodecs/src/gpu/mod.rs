//! Frames on the GPU: what WebGPU and WebCodecs share, over deno_webgpu's objects.
//!
//! - [`import`] has `GPUDevice.importExternalTexture()`
//! - [`copy`] has `GPUQueue.copyExternalImageToTexture()`
//! - [`texture`] has `new VideoFrame(gpuTexture)`
//! - [`canvas`] has what is on an `OffscreenCanvas`, and [`bitmap`] what is in an `ImageBitmap`
//! - [`devices`] has which of our devices belongs to which GPUDevice, and for how long
//!
//! `js/gpu.js` puts them on the prototypes. Nothing here waits for the GPU: that is done on worker threads.

pub(crate) mod bitmap;
pub(crate) mod canvas;
pub(crate) mod copy;
pub(crate) mod devices;
pub(crate) mod import;
pub(crate) mod texture;

use deno_core::{OpDecl, op2};
use deno_webgpu::device::GPUDevice;
use deno_webgpu::error::{ErrorHandler, GPUError};
use reelcore_gpu::GpuError;
use reelcore_gpu::lower::{Lowered, lower_external_textures};

pub(crate) use import::Imports;

/// Reports what failed on the device's timeline to the device, as WebGPU does: to an error scope, else as
/// `uncapturederror`. A lost device has told so already.
pub(crate) fn report(handler: &ErrorHandler, error: &GpuError) {
    let error = match error {
        GpuError::Lost => return,
        GpuError::OutOfMemory { .. } => GPUError::OutOfMemory,
        other => GPUError::Validation(other.to_string()),
    };
    handler.push_error(Some(error));
}

/// WGSL that asks for external textures, as WGSL that asks for sampled ones; null where there is nothing to change, or
/// where the source does not parse and WebGPU is to say so.
#[op2]
#[string]
pub fn op_gpu_lower_wgsl(#[cppgc] device: &GPUDevice, #[string] source: &str) -> Option<String> {
    let capabilities = wgpu_naga_bridge::features_to_naga_capabilities(
        device.instance.device_features(device.id),
        device.instance.device_downlevel_properties(device.id).flags,
    );
    match lower_external_textures(source, capabilities) {
        Ok(Lowered::Shader(shader)) => Some(shader.source),
        Ok(Lowered::Unchanged) => None,
        // Told here, because of the source as it is wgpu says only that it has external textures.
        Err(error) => {
            let error = GPUError::Validation(error.to_string());
            device.error_handler.push_error(Some(error));
            None
        }
    }
}

/// The ops of this folder; `extension!` cannot leave ops out by a feature.
pub(crate) fn ops() -> [OpDecl; 10] {
    [
        bitmap::op_gpu_copy_bitmap(),
        bitmap::op_gpu_frame_pixels(),
        canvas::op_gpu_canvas_bitmap(),
        copy::op_gpu_copy_external_image(),
        devices::op_gpu_know_device(),
        devices::op_gpu_memory(),
        devices::op_gpu_retire_device(),
        devices::op_gpu_settle(),
        import::op_gpu_import_external_texture(),
        op_gpu_lower_wgsl(),
    ]
}
