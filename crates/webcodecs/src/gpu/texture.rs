//! `new VideoFrame(gpuTexture, init)`: a frame whose pixels are on the GPU and stay there. An extension: the
//! specification reaches a texture through the canvas that it belongs to.

use deno_core::{cppgc, v8};
use deno_webgpu::texture::GPUTexture;
use reelcore_gpu::wgpu_types::{TextureFormat, TextureSampleType, TextureUsages};
use reelcore_gpu::{FrameInit, GpuError, TextureDescription};
use reelcore_media::{Size, VideoFrame as MediaFrame};

use super::{devices, report};
use crate::webidl::Exception;

/// A frame of what is in the GPUTexture `value` now, with alpha if `keep_alpha`.
///
/// # Errors
/// A TypeError where `value` is no GPUTexture; a NotSupportedError for textures that are not of one 2D layer of floats or
/// cannot be read; an InvalidStateError where the device is lost; an OperationError where the GPU fails. What WebGPU
/// calls a validation error is reported to the device, and thrown as an OperationError too, as there is no frame.
pub(crate) fn frame_from_texture<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    timestamp: i64,
    keep_alpha: bool,
) -> Result<MediaFrame, Exception> {
    let texture = cppgc::try_unwrap_cppgc_object::<GPUTexture>(scope, value)
        .ok_or_else(|| Exception::type_error("is not of type 'GPUTexture'."))?;
    let texture: &GPUTexture = &texture;
    let refused = |what: String| {
        Err(Exception::not_supported(format!(
            "A VideoFrame cannot be made of {what}."
        )))
    };
    if texture.error_handler.is_lost.get().is_some() {
        return Err(Exception::invalid_state(
            "The device of the GPUTexture is lost.",
        ));
    }
    let dimension = texture.dimension.as_str();
    if dimension != "2d" || texture.size.depth_or_array_layers != 1 {
        let layers = texture.size.depth_or_array_layers;
        return refused(format!("a {dimension} texture of {layers} layers"));
    }
    if texture.sample_count != 1 {
        return refused(format!("a texture of {} samples", texture.sample_count));
    }
    let format = TextureFormat::from(texture.format.clone());
    if !matches!(
        format.sample_type(None, None),
        Some(TextureSampleType::Float { .. })
    ) {
        return refused(format!("a texture of format {}", texture.format.as_str()));
    }
    let usage = TextureUsages::from_bits_truncate(texture.usage.bits());
    if !usage.intersects(TextureUsages::COPY_SRC | TextureUsages::TEXTURE_BINDING) {
        return refused("a texture without COPY_SRC or TEXTURE_BINDING".into());
    }
    let description = TextureDescription {
        format,
        size: Size::new(texture.size.width, texture.size.height),
        usage,
        mip_level: 0,
        layer: 0,
    };
    let init = FrameInit {
        keep_alpha,
        ..FrameInit::new(timestamp)
    };
    frame_of(scope, texture, &description, &init)
}

/// A frame of what is in `texture` now.
pub(super) fn frame_of(
    scope: &mut v8::PinScope<'_, '_>,
    texture: &GPUTexture,
    description: &TextureDescription,
    init: &FrameInit,
) -> Result<MediaFrame, Exception> {
    let made = devices::gpu(scope, texture.device_id)
        .and_then(|gpu| gpu.frame_from_texture(texture.id, description, init));
    made.map_err(|error| match error {
        GpuError::Lost => Exception::invalid_state("The device of the GPUTexture is lost."),
        error => {
            report(&texture.error_handler, &error);
            Exception::operation(error.to_string())
        }
    })
}
