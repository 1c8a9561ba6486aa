//! `GPUDevice.importExternalTexture()`: <https://www.w3.org/TR/webgpu/#dom-gpudevice-importexternaltexture>.
//!
//! The frame becomes one RGBA texture of its own, which a script's shaders sample in place of the external texture.
//! Closing the frame destroys the texture, so that a later submission of its bind groups is a validation error: that is
//! how an external texture expires.

use std::sync::Arc;

use deno_core::v8::cppgc::{Traced, Visitor};
use deno_core::{cppgc, op2, v8};
use deno_error::JsErrorBox;
use deno_webgpu::device::GPUDevice;
use deno_webgpu::texture::GPUTextureView;
use reelcore_gpu::wgpu_core::id::DeviceId;
use reelcore_gpu::{Gpu, Lead, Texture};
use reelcore_media::VideoFrame as MediaFrame;
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::preparation::Prepare;

use super::{devices, report};
use crate::interfaces::VideoFrame;
use crate::webidl::{ExternalMemory, Handle};

/// The external textures of one VideoFrame object.
#[derive(Default)]
pub(crate) struct Imports(Vec<Imported>);

struct Imported {
    device: DeviceId,
    space: PredefinedColorSpace,
    texture: Arc<Texture>,
    /// The GPUTextureView that stands for the external texture.
    view: v8::TracedReference<v8::Object>,
    memory: ExternalMemory,
}

impl Traced for Imports {
    fn trace(&self, visitor: &mut Visitor) {
        for imported in &self.0 {
            visitor.trace(&imported.view);
        }
    }
}

impl Imports {
    fn find<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        device: DeviceId,
        space: PredefinedColorSpace,
    ) -> Option<v8::Local<'s, v8::Object>> {
        let found = |imported: &&Imported| imported.device == device && imported.space == space;
        self.0.iter().find(found)?.view.get(scope)
    }

    /// The frame is closed: its external textures expire, which `GPUQueue.submit()` sees to where it has not happened by then.
    pub(crate) fn expire(self, scope: &mut v8::PinScope<'_, '_>) {
        for imported in self.0 {
            imported.memory.release(scope);
            devices::expire(scope, imported.device, imported.texture);
        }
    }
}

/// The external texture of `source` as a GPUTextureView, the same one each time while the frame is open; null where it cannot
/// be made.
#[op2]
pub fn op_gpu_import_external_texture<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    device: v8::Local<'s, v8::Value>,
    source: v8::Local<'s, v8::Value>,
    display_p3: bool,
) -> Result<Option<v8::Local<'s, v8::Object>>, JsErrorBox> {
    let device = devices::device(scope, device)
        .ok_or_else(|| JsErrorBox::type_error("Illegal invocation"))?;
    let device: &GPUDevice = &device;
    // 1. Let source be descriptor.source.
    let handle = Handle::<VideoFrame>::from_value(scope, source).ok_or_else(|| {
        JsErrorBox::type_error(
            "Failed to execute 'importExternalTexture' on 'GPUDevice': source is not of type 'VideoFrame'.",
        )
    })?;
    let space = match display_p3 {
        true => PredefinedColorSpace::DisplayP3,
        false => PredefinedColorSpace::Srgb,
    };
    // 4. Let usability be ? check the usability of the image argument(source).
    // https://html.spec.whatwg.org/#check-the-usability-of-the-image-argument
    let frame = handle
        .open()
        .ok_or_else(|| {
            JsErrorBox::new(
                "Reelcore.InvalidStateError",
                "Failed to execute 'importExternalTexture' on 'GPUDevice': the VideoFrame is closed.",
            )
        })?
        .frame;
    // 2. If the current image contents of source are the same as the most recent import's, the previous external texture
    //    may be returned.
    if let Some(view) = handle.imports().get(scope).find(scope, device.id, space) {
        return Ok(Some(view));
    }
    // 6., 7. Convert the current image contents of source into the colour space, with unpremultiplied alpha. Where the
    // decoder's thread has done so, the texture and its view are only taken.
    let converted = devices::gpu(scope, device.id).and_then(|gpu| {
        ahead(&gpu, &frame, space);
        gpu.external_texture(&frame, space)
    });
    let (texture, id) = match converted {
        Ok(converted) => converted,
        // 5. Where that is not possible: a validation error, and an invalid external texture, which is of this call alone.
        Err(error) => {
            report(&device.error_handler, &error);
            return Ok(None);
        }
    };
    let view = cppgc::make_cppgc_object(
        scope,
        GPUTextureView {
            instance: device.instance.clone(),
            id,
            label: String::new(),
        },
    );
    let bytes = texture.byte_size();
    let imported = Imported {
        device: device.id,
        space,
        texture,
        view: v8::TracedReference::new(scope, view),
        memory: ExternalMemory::new(scope, usize::try_from(bytes).unwrap_or(usize::MAX)),
    };
    // 9. When source is closed, the external texture expires.
    handle.imports().get_mut(scope).0.push(imported);
    Ok(Some(view))
}

/// A script imports the frames of a decoder: those that come later are converted on the decoder's thread, before
/// JavaScript sees them.
#[derive(Debug)]
struct Ahead {
    /// Strong, so that the table of devices sees that the device is in use as long as a decoder's thread may use it.
    gpu: Arc<Gpu>,
    space: PredefinedColorSpace,
    lead: Arc<Lead>,
}

impl Prepare for Ahead {
    fn prepare(&self, frame: &MediaFrame) -> bool {
        self.gpu.prepare_external(frame, self.space, &self.lead)
    }
}

fn ahead(gpu: &Arc<Gpu>, frame: &MediaFrame, space: PredefinedColorSpace) {
    let Some(preparation) = frame.lease.as_ref().and_then(|lease| lease.preparation()) else {
        return;
    };
    // A frame that is shown otherwise than the decoder gives them takes nothing of what would be prepared.
    if !preparation.is_set() && preparation.gives(frame) {
        preparation.set(Arc::new(Ahead {
            gpu: gpu.clone(),
            space,
            lead: Arc::default(),
        }));
    }
}
