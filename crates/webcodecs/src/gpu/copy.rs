//! `GPUQueue.copyExternalImageToTexture()`: <https://www.w3.org/TR/webgpu/#dom-gpuqueue-copyexternalimagetotexture>.

use deno_core::{op2, v8};
use deno_error::JsErrorBox;
use deno_webgpu::device::GPUDevice;
use deno_webgpu::texture::GPUTexture;
use reelcore_gpu::wgpu_core::resource::TextureViewDescriptor;
use reelcore_gpu::wgpu_types::{TextureFormat, TextureUsages};
use reelcore_gpu::{Destination, GpuError, Pixels, Source, copy_destination_format};
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::{Size, VideoFrame as MediaFrame};
use serde::Deserialize;

use super::bitmap::Bitmap;
use super::canvas::{self, CanvasTexture, Contents};
use super::{devices, report};
use crate::interfaces::VideoFrame;
use crate::webidl::Handle;

/// The arguments that are no objects, converted by `js/gpu.js`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyParameters {
    source: [u32; 2],
    flip_y: bool,
    destination: [u32; 3],
    mip_level: u32,
    aspect: String,
    color_space: String,
    premultiplied_alpha: bool,
    size: [u32; 3],
}

/// What ImageData says of its pixels.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDataInfo {
    width: u32,
    height: u32,
    color_space: String,
}

/// The pixels of a source, held for as long as they are copied.
enum Image<'s> {
    Frame(MediaFrame),
    Data {
        data: v8::Local<'s, v8::ArrayBufferView>,
        /// What four numbers of `data` are.
        format: TextureFormat,
        info: ImageDataInfo,
    },
    Bitmap(Bitmap),
    Texture(CanvasTexture),
}

impl Image<'_> {
    /// Columns and rows as it is shown: <https://www.w3.org/TR/webgpu/#external-source-dimensions>.
    fn size(&self) -> Size {
        match self {
            Image::Frame(frame) => frame.display_size,
            Image::Data { info, .. } => Size::new(info.width, info.height),
            Image::Bitmap(bitmap) => bitmap.size,
            Image::Texture(texture) => texture.size(),
        }
    }
}

fn space(name: &str) -> PredefinedColorSpace {
    match name {
        "display-p3" => PredefinedColorSpace::DisplayP3,
        _ => PredefinedColorSpace::Srgb,
    }
}

const PREFIX: &str = "Failed to execute 'copyExternalImageToTexture' on 'GPUQueue'";

/// The image that `value` is, if it can be used:
/// <https://html.spec.whatwg.org/#check-the-usability-of-the-image-argument>.
fn image<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    info: Option<ImageDataInfo>,
) -> Result<Image<'s>, JsErrorBox> {
    let unusable = |what: &str| {
        let message = format!("{PREFIX}: the {what}.");
        JsErrorBox::new("Reelcore.InvalidStateError", message)
    };
    if let Some(info) = info {
        // https://html.spec.whatwg.org/#imagedataarray
        let format = if value.is_uint8_clamped_array() {
            Some(TextureFormat::Rgba8Unorm)
        } else if value.is_float16_array() {
            Some(TextureFormat::Rgba16Float)
        } else {
            None
        };
        let data = v8::Local::<v8::ArrayBufferView>::try_from(value);
        return match (data, format) {
            (Ok(data), Some(format)) => Ok(Image::Data { data, format, info }),
            _ => Err(JsErrorBox::new(
                "Reelcore.NotSupportedError",
                format!("{PREFIX}: the data of ImageData is no Uint8ClampedArray or Float16Array."),
            )),
        };
    }
    if let Some(frame) = Handle::<VideoFrame>::from_value(scope, value) {
        let open = frame
            .open()
            .ok_or_else(|| unusable("VideoFrame is closed"))?;
        return Ok(Image::Frame(open.frame));
    }
    if let Some(bitmap) = Bitmap::of_value(scope, value) {
        let bitmap = bitmap.ok_or_else(|| unusable("ImageBitmap is closed"))?;
        return Ok(Image::Bitmap(bitmap));
    }
    if let Some(size) = canvas::size(scope, value) {
        if size.area() == 0 {
            return Err(unusable("OffscreenCanvas has no pixels"));
        }
        return Ok(match canvas::contents(scope, value, size) {
            Contents::Bitmap(bitmap) => Image::Bitmap(bitmap),
            Contents::Texture(texture) => Image::Texture(texture),
        });
    }
    Err(JsErrorBox::type_error(format!(
        "{PREFIX}: source is not a VideoFrame, an ImageBitmap, an ImageData or an OffscreenCanvas."
    )))
}

/// What the device's timeline checks: <https://www.w3.org/TR/webgpu/#abstract-opdef-validating-gputexelcopytextureinfo>
/// and the steps of the method that follow it.
fn validate(
    texture: &GPUTexture,
    device: &GPUDevice,
    parameters: &CopyParameters,
) -> Result<(), GpuError> {
    let refuse = |message: String| Err(GpuError::Validation(format!("{PREFIX}: {message}.")));
    if texture.device_id != device.id {
        return refuse("the destination's texture is of another device".into());
    }
    if parameters.mip_level >= texture.mip_level_count {
        let (found, levels) = (parameters.mip_level, texture.mip_level_count);
        return refuse(format!(
            "mipLevel is {found}, the texture has {levels} levels"
        ));
    }
    if parameters.aspect != "all" {
        return refuse(format!("aspect is {}, not all", parameters.aspect));
    }
    let usage = TextureUsages::from_bits_truncate(texture.usage.bits());
    let needed = TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_DST;
    if !usage.contains(needed) {
        return refuse("the texture lacks RENDER_ATTACHMENT or COPY_DST".into());
    }
    if texture.dimension.as_str() != "2d" || texture.sample_count != 1 {
        return refuse("the texture is not a 2d texture of one sample".into());
    }
    if !copy_destination_format(TextureFormat::from(texture.format.clone())) {
        return refuse(format!(
            "the texture's format is {}",
            texture.format.as_str()
        ));
    }
    let level = |length: u32| (length >> parameters.mip_level).max(1);
    let [x, y, z] = parameters.destination;
    let [width, height, layers] = parameters.size;
    let fits = |origin: u32, length: u32, whole: u32| {
        origin.checked_add(length).is_some_and(|end| end <= whole)
    };
    if !fits(x, width, level(texture.size.width))
        || !fits(y, height, level(texture.size.height))
        || !fits(z, layers, texture.size.depth_or_array_layers)
    {
        return refuse(format!(
            "{width}x{height} at ({x}, {y}, {z}) are not within level {} of a texture of {}x{}",
            parameters.mip_level, texture.size.width, texture.size.height
        ));
    }
    Ok(())
}

/// Has a texture that is invalid or destroyed reported to its device. With pixels to copy, the copy does.
fn require_usable(texture: &GPUTexture) {
    let descriptor = TextureViewDescriptor::default();
    // wgpu says so of a view.
    let (view, error) = texture
        .instance
        .texture_create_view(texture.id, &descriptor, None);
    texture.instance.texture_view_drop(view);
    texture.error_handler.push_error(error);
}

/// Copies a part of an image to a texture. `device` is that of the queue.
#[op2(reentrant)]
pub fn op_gpu_copy_external_image<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[cppgc] device: &GPUDevice,
    source: v8::Local<'s, v8::Value>,
    #[cppgc] texture: &GPUTexture,
    #[serde] parameters: CopyParameters,
    #[serde] info: Option<ImageDataInfo>,
) -> Result<(), JsErrorBox> {
    // 1., 2. The shapes of the arguments were checked where they were converted. 5. The usability of the source.
    let image = image(scope, source, info)?;
    // 4. If the part is not within the source, or has several layers, throw an OperationError.
    let whole = image.size();
    let [width, height, layers] = parameters.size;
    let [x, y] = parameters.source;
    let inside = |origin: u32, length: u32, whole: u32| {
        origin.checked_add(length).is_some_and(|end| end <= whole)
    };
    if layers > 1 || !inside(x, width, whole.width) || !inside(y, height, whole.height) {
        return Err(JsErrorBox::new(
            "Reelcore.OperationError",
            format!(
                "{PREFIX}: {width}x{height}x{layers} at ({x}, {y}) is not within the source of {}x{}.",
                whole.width, whole.height
            ),
        ));
    }
    // 6. On the device's timeline: validation errors go to the device.
    let result = validate(texture, device, &parameters).and_then(|()| {
        if width == 0 || height == 0 || layers == 0 {
            require_usable(texture);
            return Ok(());
        }
        let destination = Destination {
            texture: texture.id,
            format: TextureFormat::from(texture.format.clone()),
            mip_level: parameters.mip_level,
            origin: parameters.destination,
            size: Size::new(width, height),
            source_origin: parameters.source,
            flip_y: parameters.flip_y,
            color_space: space(&parameters.color_space),
            premultiplied_alpha: parameters.premultiplied_alpha,
        };
        let gpu = devices::gpu(scope, device.id)?;
        match &image {
            Image::Frame(frame) => gpu.copy_to_texture(Source::Frame(frame), &destination),
            Image::Texture(canvas) => {
                // The image would have to come to the CPU and go back, which nobody should wait for here.
                if canvas.texture.device_id != device.id {
                    return Err(GpuError::Validation(format!(
                        "{PREFIX}: the texture of the OffscreenCanvas is of another device."
                    )));
                }
                gpu.copy_to_texture(Source::Texture(canvas.source()), &destination)
            }
            Image::Bitmap(bitmap) => {
                let pixels = Pixels {
                    data: &bitmap.data,
                    stride: bitmap.size.width as usize * 4,
                    size: bitmap.size,
                    format: TextureFormat::Rgba8Unorm,
                    premultiplied: false,
                    color_space: PredefinedColorSpace::Srgb,
                };
                gpu.copy_to_texture(Source::Pixels(pixels), &destination)
            }
            Image::Data { data, format, info } => {
                // Copied, as a script's memory may be detached or, on another thread, changed.
                let mut bytes = vec![0; data.byte_length()];
                data.copy_contents(&mut bytes);
                let pixel_bytes = match format {
                    TextureFormat::Rgba16Float => 8,
                    _ => 4,
                };
                let pixels = Pixels {
                    data: &bytes,
                    stride: info.width as usize * pixel_bytes,
                    size: Size::new(info.width, info.height),
                    format: *format,
                    premultiplied: false,
                    color_space: space(&info.color_space),
                };
                gpu.copy_to_texture(Source::Pixels(pixels), &destination)
            }
        }
    });
    if let Err(error) = result {
        report(&device.error_handler, &error);
    }
    Ok(())
}
