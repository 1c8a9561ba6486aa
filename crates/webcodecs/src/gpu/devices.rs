//! The devices of scripts that frames live on.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use deno_core::{JsRuntime, OpState, cppgc, op2, v8};
use deno_error::JsErrorBox;
use deno_webgpu::device::GPUDevice;
use reelcore_engine::{Engine, Progress, Task};
use reelcore_gpu::wgpu_core::id::DeviceId;
use reelcore_gpu::{Gpu, GpuError, Stats, Texture};

/// The GPUDevices of a runtime.
#[derive(Default)]
struct Devices {
    known: HashMap<DeviceId, Known>,
    /// How often one was asked for.
    asked: Cell<u32>,
}

/// How many calls find their device without a look at all of them.
const LOOK_EVERY: u32 = 64;

struct Known {
    /// `js/gpu.js` sees to it that each GPUTexture keeps its GPUDevice.
    object: v8::Weak<v8::Object>,
    /// Made when a frame first needs it.
    gpu: Option<Arc<Gpu>>,
    /// Destroys what has expired, on a worker.
    settle: Option<Arc<Task>>,
    /// Keeps the GPUDevice while frames or workers use it: wgpu-core panics when it is asked for a device that was
    /// dropped.
    held: Option<v8::Global<v8::Object>>,
}

impl Drop for Devices {
    /// The isolate goes, and its GPUDevices with it: no worker may use them from here on.
    fn drop(&mut self) {
        for gpu in self.known.values().filter_map(|known| known.gpu.as_ref()) {
            gpu.retire();
        }
    }
}

impl Devices {
    /// Calls `with` on the table of the runtime that `scope` runs in.
    fn of<T>(
        scope: &mut v8::PinScope<'_, '_>,
        with: impl FnOnce(&mut Self, &mut v8::PinScope<'_, '_>) -> T,
    ) -> T {
        let state = JsRuntime::op_state_from(scope);
        // Taken out of the state meanwhile, as `with` needs the scope.
        let mut devices = state.borrow_mut().try_take::<Self>().unwrap_or_default();
        devices.settle();
        let result = with(&mut devices, scope);
        state.borrow_mut().put(devices);
        result
    }

    /// Ours over a GPUDevice that is held already.
    fn in_use(&self, id: DeviceId) -> Option<Arc<Gpu>> {
        let asked = self.asked.get();
        self.asked.set(asked.wrapping_add(1));
        let known = self.known.get(&id)?;
        known.held.as_ref()?;
        (!asked.is_multiple_of(LOOK_EVERY)).then(|| known.gpu.clone())?
    }

    /// Lets go of devices that nothing of ours uses, and holds those that something does.
    fn settle(&mut self) {
        self.known.retain(|_, known| {
            // A new reference can only come from another one, or from this table on this thread.
            let used = known
                .gpu
                .as_ref()
                .is_some_and(|gpu| Arc::strong_count(gpu) > 1);
            if !used {
                known.held = None;
            }
            used || !known.object.is_empty()
        });
    }
}

/// The GPUDevice that `value` is.
pub(super) fn device(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
) -> Option<cppgc::UnsafePtr<GPUDevice>> {
    cppgc::try_unwrap_cppgc_object::<GPUDevice>(scope, value)
}

/// Has the table know a device, so that the device of a GPUTexture can be found.
#[op2(fast)]
pub fn op_gpu_know_device<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
) -> Result<(), JsErrorBox> {
    let device =
        device(scope, object.into()).ok_or_else(|| JsErrorBox::type_error("Illegal invocation"))?;
    let id = device.id;
    Devices::of(scope, |devices, scope| {
        devices.known.entry(id).or_insert_with(|| Known {
            object: v8::Weak::new(scope, object),
            gpu: None,
            settle: None,
            held: None,
        });
    });
    Ok(())
}

/// The object of the GPUDevice `id`, while it is alive.
pub(super) fn object<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    id: DeviceId,
) -> Option<v8::Local<'s, v8::Object>> {
    let state = JsRuntime::op_state_from(scope);
    let state = state.borrow();
    let known = state.try_borrow::<Devices>()?.known.get(&id)?;
    known.object.to_local(scope)
}

/// The script is about to destroy a device: no worker may be in the middle of a read-back from then on.
#[op2(fast)]
pub fn op_gpu_retire_device(state: &mut OpState, #[cppgc] device: &GPUDevice) {
    let devices = state.try_borrow::<Devices>();
    let known = devices.and_then(|devices| devices.known.get(&device.id));
    if let Some(gpu) = known.and_then(|known| known.gpu.as_ref()) {
        gpu.retire();
    }
}

/// Has `texture` of the GPUDevice `id` destroyed, at the latest before the script submits to its queue again.
pub(super) fn expire(scope: &mut v8::PinScope<'_, '_>, id: DeviceId, texture: Arc<Texture>) {
    let state = JsRuntime::op_state_from(scope);
    let state = state.borrow();
    let devices = state.try_borrow::<Devices>();
    let settle = devices
        .and_then(|devices| devices.known.get(&id))
        .and_then(|known| known.settle.as_ref());
    match settle {
        Some(settle) => {
            texture.gpu().clone().expire(texture);
            Engine::global().workers.notify(settle);
        }
        None => texture.destroy(),
    }
}

/// The script is about to submit to the device's queue: what has expired until now is not to be used any more.
#[op2(fast)]
pub fn op_gpu_settle(state: &mut OpState, #[cppgc] device: &GPUDevice) {
    let devices = state.try_borrow::<Devices>();
    let known = devices.and_then(|devices| devices.known.get(&device.id));
    if let Some(gpu) = known.and_then(|known| known.gpu.as_ref()) {
        gpu.settle();
    }
}

/// Ours over the GPUDevice `id`, the same one each time.
///
/// # Errors
/// [`GpuError::Lost`] where no GPUDevice of that id is alive; [`GpuError::Unsupported`] where it lacks what frames need.
pub(super) fn gpu(scope: &mut v8::PinScope<'_, '_>, id: DeviceId) -> Result<Arc<Gpu>, GpuError> {
    if let Some(gpu) = JsRuntime::op_state_from(scope)
        .borrow()
        .try_borrow::<Devices>()
        .and_then(|devices| devices.in_use(id))
    {
        return Ok(gpu);
    }
    Devices::of(scope, |devices, scope| {
        let known = devices.known.get_mut(&id).ok_or(GpuError::Lost)?;
        let object = known.object.to_local(scope).ok_or(GpuError::Lost)?;
        let gpu = match &known.gpu {
            Some(gpu) => gpu.clone(),
            None => {
                let device = device(scope, object.into()).ok_or(GpuError::Lost)?;
                let gpu = Gpu::over(
                    device.instance.clone(),
                    Some(device.adapter),
                    device.id,
                    device.queue,
                )?;
                // Weak, as the task does not use the device by itself.
                let weak = Arc::downgrade(&gpu);
                known.settle = Some(Task::new(move || {
                    if let Some(gpu) = weak.upgrade() {
                        gpu.settle();
                    }
                    Progress::Idle
                }));
                known.gpu.insert(gpu).clone()
            }
        };
        if known.held.is_none() {
            known.held = Some(v8::Global::new(scope, object));
        }
        Ok(gpu)
    })
}

/// What frames hold on a device: pairs of a name and a number.
#[op2]
#[serde]
pub fn op_gpu_memory<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[cppgc] device: &GPUDevice,
) -> Vec<(&'static str, f64)> {
    // A device whose object is gone holds nothing.
    let stats = gpu(scope, device.id).map_or_else(|_| Stats::default(), |gpu| gpu.stats());
    let mut pairs = vec![
        ("textures", stats.textures as f64),
        ("texture_bytes", stats.texture_bytes as f64),
        ("idle_textures", stats.idle_textures as f64),
        ("idle_bytes", stats.idle_bytes as f64),
        ("created", stats.created as f64),
        ("reused", stats.reused as f64),
        ("buffers", stats.buffers as f64),
        ("buffer_bytes", stats.buffer_bytes as f64),
        ("wgpu_textures", stats.wgpu_textures as f64),
        ("wgpu_views", stats.wgpu_views as f64),
        ("wgpu_buffers", stats.wgpu_buffers as f64),
        ("wgpu_bind_groups", stats.wgpu_bind_groups as f64),
        ("wgpu_command_buffers", stats.wgpu_command_buffers as f64),
    ];
    pairs.extend(
        stats
            .allocated_bytes
            .map(|bytes| ("allocated_bytes", bytes as f64)),
    );
    pairs
}
