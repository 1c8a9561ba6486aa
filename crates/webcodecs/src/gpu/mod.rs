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
use reelcore_gpu::lower::{
    Location, LowerError, Lowered, Stage, lower_external_textures, lower_stages_alike,
};
use reelcore_gpu::naga::valid::Capabilities;
use serde::Serialize;

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

/// What becomes of a shader. Neither where there is nothing to change, or where the source does not parse and WebGPU is
/// to say so.
#[derive(Default, Serialize)]
pub struct LoweredSource {
    /// The shader without external textures.
    lowered: Option<String>,
    /// What is wrong with it, which was reported to the device.
    mistake: Option<Mistake>,
}

/// What a GPUCompilationMessage says: <https://www.w3.org/TR/webgpu/#gpucompilationmessage>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mistake {
    message: String,
    line_num: u32,
    line_pos: u32,
    offset: u32,
    length: u32,
}

impl Mistake {
    fn new(error: &LowerError, source: &str) -> Self {
        let location = match error {
            LowerError::Invalid { location, .. } => location.as_ref(),
            LowerError::Unsupported(_) => None,
        };
        // All 0 where the message is of no place.
        let [line_num, line_pos, offset, length] = location
            .and_then(|location| in_code_units(location, source))
            .unwrap_or_default();
        Self {
            message: error.to_string(),
            line_num,
            line_pos,
            offset,
            length,
        }
    }
}

/// Line and column, counted from 1, offset and length; all but the line in UTF-16 code units, as WebGPU counts.
fn in_code_units(location: &Location, source: &str) -> Option<[u32; 4]> {
    let start = location.offset as usize;
    let before = source.get(..start)?;
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    let part = source.get(start..start.checked_add(location.length as usize)?)?;
    let units = |text: &str| u32::try_from(text.encode_utf16().count()).ok();
    Some([
        location.line,
        units(&before[line..])?.checked_add(1)?,
        units(before)?,
        units(part)?,
    ])
}

/// WGSL that asks for external textures, as WGSL that asks for sampled ones.
#[op2]
#[serde]
pub fn op_gpu_lower_wgsl(#[cppgc] device: &GPUDevice, #[string] source: &str) -> LoweredSource {
    match lower_external_textures(source, capabilities(device)) {
        Ok(Lowered::Shader(shader)) => LoweredSource {
            lowered: Some(shader.source),
            mistake: None,
        },
        Ok(Lowered::Unchanged) => LoweredSource::default(),
        // Told here, because of the source as it is wgpu says only that it has external textures.
        Err(error) => {
            let mistake = Mistake::new(&error, source);
            let error = GPUError::Validation(mistake.message.clone());
            device.error_handler.push_error(Some(error));
            LoweredSource {
                lowered: None,
                mistake: Some(mistake),
            }
        }
    }
}

/// The shaders of a render pipeline's stages that have to be others for a derived layout; null for one that need not.
#[derive(Default, Serialize)]
pub struct LoweredStages {
    vertex: Option<String>,
    fragment: Option<String>,
}

/// Two shaders with external textures, for a render pipeline whose layout is derived of both.
#[op2]
#[serde]
pub fn op_gpu_lower_stages(
    #[cppgc] device: &GPUDevice,
    #[string] vertex: &str,
    #[string] vertex_entry_point: Option<String>,
    #[string] fragment: &str,
    #[string] fragment_entry_point: Option<String>,
) -> LoweredStages {
    let stage = |source, entry_point| Stage {
        source,
        entry_point,
    };
    let vertex = stage(vertex, vertex_entry_point.as_deref());
    let fragment = stage(fragment, fragment_entry_point.as_deref());
    // What is wrong with a shader was reported when it was made.
    let alike = lower_stages_alike(&vertex, &fragment, capabilities(device)).unwrap_or_default();
    LoweredStages {
        vertex: alike.vertex,
        fragment: alike.fragment,
    }
}

fn capabilities(device: &GPUDevice) -> Capabilities {
    wgpu_naga_bridge::features_to_naga_capabilities(
        device.instance.device_features(device.id),
        device.instance.device_downlevel_properties(device.id).flags,
    )
}

/// The ops of this folder; `extension!` cannot leave ops out by a feature.
pub(crate) fn ops() -> [OpDecl; 16] {
    [
        bitmap::op_gpu_copy_bitmap(),
        bitmap::op_gpu_frame_pixels(),
        bitmap::op_gpu_hold_bitmap(),
        bitmap::op_gpu_max_frame_pixels(),
        bitmap::op_gpu_release_bitmap(),
        bitmap::op_gpu_srgb_pixels(),
        canvas::op_gpu_canvas_bitmap(),
        canvas::op_gpu_canvas_device(),
        copy::op_gpu_copy_external_image(),
        devices::op_gpu_know_device(),
        devices::op_gpu_memory(),
        devices::op_gpu_retire_device(),
        devices::op_gpu_settle(),
        import::op_gpu_import_external_texture(),
        op_gpu_lower_stages(),
        op_gpu_lower_wgsl(),
    ]
}
