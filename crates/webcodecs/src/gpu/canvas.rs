//! What is on an `OffscreenCanvas`, which is an object of deno_canvas and may not be there: `js/canvas.js` is asked.

use deno_core::{cppgc, op2, v8};
use deno_error::JsErrorBox;
use deno_image::bitmap::ImageBitmap;
use deno_image::image::{DynamicImage, RgbaImage};
use deno_webgpu::canvas::{GPUCanvasAlphaMode, GPUCanvasContext, PredefinedColorSpace};
use deno_webgpu::texture::GPUTexture;
use reelcore_gpu::wgpu_types::{TextureFormat, TextureUsages};
use reelcore_gpu::{FrameInit, TextureDescription, TextureSource};
use reelcore_media::color::Transfer;
use reelcore_media::{ColorSpace, Size, VideoFrame as MediaFrame};

use super::bitmap::{Bitmap, shown};
use super::{devices, texture};
use crate::webidl::{Exception, Host};

/// Width and height of the OffscreenCanvas that `value` is, if it is one.
pub(crate) fn size<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Option<Size> {
    // Spares the objects of scripts the way through JavaScript.
    let object = v8::Local::<v8::Object>::try_from(value).ok()?;
    if !object.is_api_wrapper() {
        return None;
    }
    let [width, height] = Host::get(scope).canvas_size(scope, value)?;
    Some(Size::new(width, height))
}

/// What a canvas shows now.
pub(super) enum Contents {
    Bitmap(Bitmap),
    Texture(CanvasTexture),
}

/// The texture of a "webgpu" context.
pub(super) struct CanvasTexture {
    pub(super) texture: cppgc::Ref<GPUTexture>,
    color_space: ColorSpace,
    /// Its alpha is not part of the image; otherwise colours have been multiplied by it.
    opaque: bool,
}

impl CanvasTexture {
    pub(super) fn size(&self) -> Size {
        Size::new(self.texture.size.width, self.texture.size.height)
    }

    fn description(&self) -> TextureDescription {
        TextureDescription {
            format: TextureFormat::from(self.texture.format.clone()),
            size: self.size(),
            // deno_webgpu makes the texture of a canvas so that it can be copied, whatever the configuration says.
            usage: TextureUsages::from_bits_truncate(self.texture.usage.bits())
                | TextureUsages::COPY_SRC,
            mip_level: 0,
            layer: 0,
        }
    }

    /// A frame of what is in the texture now.
    fn frame(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        timestamp: i64,
        keep_alpha: bool,
    ) -> Result<MediaFrame, Exception> {
        let init = FrameInit {
            color_space: self.color_space,
            keep_alpha: keep_alpha && !self.opaque,
            premultiplied: !self.opaque,
            ..FrameInit::new(timestamp)
        };
        texture::frame_of(scope, &self.texture, &self.description(), &init)
    }

    pub(super) fn source(&self) -> TextureSource {
        TextureSource {
            texture: self.texture.id,
            description: self.description(),
            color_space: self.color_space,
            premultiplied: !self.opaque,
            opaque: self.opaque,
        }
    }
}

/// The colours of a canvas; `srgb-linear` and `display-p3-linear` are deno_webgpu's.
fn color_space(space: &PredefinedColorSpace) -> ColorSpace {
    let linear = |space: ColorSpace| ColorSpace {
        transfer: Some(Transfer::Linear),
        ..space
    };
    match space {
        PredefinedColorSpace::Srgb => ColorSpace::SRGB,
        PredefinedColorSpace::SrgbLinear => linear(ColorSpace::SRGB),
        PredefinedColorSpace::DisplayP3 => ColorSpace::DISPLAY_P3,
        PredefinedColorSpace::DisplayP3Linear => linear(ColorSpace::DISPLAY_P3),
    }
}

/// What the OffscreenCanvas `canvas` of `size` shows. Of a "webgpu" context it is a texture and stays on the device:
/// <https://www.w3.org/TR/webgpu/#abstract-opdef-get-a-copy-of-the-image-contents-of-a-context>, whose copy is left to the
/// caller.
pub(super) fn contents<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    canvas: v8::Local<'s, v8::Value>,
    size: Size,
) -> Contents {
    // 1. Let snapshot be a transparent black image of the same size as the canvas. So is a canvas without a context.
    let blank = |opaque| Contents::Bitmap(Bitmap::blank(size, opaque));
    let host = Host::get(scope);
    let Some(context) = host.canvas_context(scope, canvas) else {
        return blank(false);
    };
    let Some(context) = cppgc::try_unwrap_cppgc_object::<GPUCanvasContext>(scope, context) else {
        return host
            .canvas_bitmap(scope, canvas)
            .and_then(|copy| cppgc::try_unwrap_cppgc_object::<ImageBitmap>(scope, copy))
            .map_or_else(
                || blank(false),
                |copy| Contents::Bitmap(Bitmap::take(&copy)),
            );
    };
    // 2. Let configuration be context.[[configuration]]. 3. If it is null, return snapshot.
    let configuration = context.configuration.borrow();
    let Some(configuration) = &*configuration else {
        return blank(false);
    };
    // 6., 7. Where alphaMode is "opaque", alpha is 1.
    let opaque = matches!(configuration.alpha_mode, GPUCanvasAlphaMode::Opaque);
    // 4., 5. If the device is valid, set snapshot to a copy of the drawing buffer. It is blank until a texture was asked
    //        for. What was submitted before comes first in the queue.
    let current = context.current_texture.borrow().clone();
    let Some(current) = current else {
        return blank(opaque);
    };
    let current = v8::Local::new(scope, current).into();
    let texture = cppgc::try_unwrap_cppgc_persistent_object::<GPUTexture>(scope, current);
    match texture.filter(|texture| texture.error_handler.is_lost.get().is_none()) {
        // 8. Tag snapshot with the colorSpace. Frames have no toneMapping.
        Some(texture) => Contents::Texture(CanvasTexture {
            texture,
            color_space: color_space(&configuration.color_space),
            opaque,
        }),
        None => blank(opaque),
    }
}

/// A frame of what the OffscreenCanvas `canvas` of `size` shows, with alpha if `keep_alpha` and the canvas has it. What is
/// on a device stays there.
///
/// # Errors
/// As [`texture::frame_of`].
pub(crate) fn frame<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    canvas: v8::Local<'s, v8::Value>,
    size: Size,
    timestamp: i64,
    keep_alpha: bool,
) -> Result<MediaFrame, Exception> {
    match contents(scope, canvas, size) {
        Contents::Bitmap(bitmap) => bitmap
            .into_frame(timestamp, keep_alpha)
            .map_err(|error| Exception::operation(error.message)),
        Contents::Texture(canvas) => canvas.frame(scope, timestamp, keep_alpha),
    }
}

/// The GPUDevice object that the context of a canvas is configured with.
#[op2]
pub fn op_gpu_canvas_device<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[cppgc] context: &GPUCanvasContext,
) -> Option<v8::Local<'s, v8::Object>> {
    let id = context.configuration.borrow().as_ref()?.device.id;
    devices::object(scope, id)
}

/// `transferToImageBitmap()` of a canvas with a "webgpu" context and pixels:
/// <https://html.spec.whatwg.org/#dom-offscreencanvas-transfertoimagebitmap>. It waits for the GPU, as the result is there when it
/// returns.
#[op2(reentrant)]
#[cppgc]
pub fn op_gpu_canvas_bitmap<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    canvas: v8::Local<'s, v8::Value>,
) -> Result<ImageBitmap, JsErrorBox> {
    let size = size(scope, canvas).ok_or_else(|| JsErrorBox::type_error("Illegal invocation"))?;
    let failed = |message: String| JsErrorBox::new("Reelcore.OperationError", message);
    // 3. Let image be a newly created ImageBitmap with the canvas's bitmap.
    let (pixels, size) = match contents(scope, canvas, size) {
        Contents::Bitmap(bitmap) => (bitmap.data, bitmap.size),
        Contents::Texture(texture) => {
            let size = texture.size();
            let frame = texture
                .frame(scope, 0, true)
                .map_err(|_| failed("the texture of the canvas cannot be read".into()))?;
            let pixels = shown(&frame).map_err(|error| failed(error.message))?;
            (pixels, size)
        }
    };
    let pixels = RgbaImage::from_raw(size.width, size.height, pixels)
        .ok_or_else(|| failed("the texture of the canvas is not of its size".into()))?;
    // 4. Run the steps of the context: replace the drawing buffer.
    // https://www.w3.org/TR/webgpu/#abstract-opdef-transfertoimagebitmap-from-webgpu
    let context = Host::get(scope).canvas_context(scope, canvas);
    if let Some(context) = context
        && let Some(context) = cppgc::try_unwrap_cppgc_object::<GPUCanvasContext>(scope, context)
    {
        context.post_transfer_to_image_bitmap_hook(scope);
    }
    // 5. Return image.
    Ok(ImageBitmap {
        detached: Default::default(),
        data: DynamicImage::ImageRgba8(pixels).into(),
    })
}
