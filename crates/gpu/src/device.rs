//! A device, whoever owns it, and what is kept for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, DeviceId, QueueId};
use wgpu_types as wgt;

use crate::convert::Converter;
use crate::error::{GpuError, chain};
use crate::pool::{Texture, TexturePool};
use crate::readback::Readback;

/// Locks a mutex; what it guards is valid at every moment, so a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`Gpu::open`] asks for.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The backends to look for an adapter in.
    pub backends: wgt::Backends,
    /// Take a software adapter only.
    pub force_software: bool,
    /// Which adapter, if there are several.
    pub power_preference: wgt::PowerPreference,
    /// Features that the device must have.
    pub features: wgt::Features,
    /// Features that the device gets if the adapter has them.
    pub optional_features: wgt::Features,
    /// The limits of the device; `None` for those of the adapter.
    pub limits: Option<wgt::Limits>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            backends: wgt::Backends::PRIMARY,
            force_software: false,
            power_preference: wgt::PowerPreference::HighPerformance,
            features: wgt::Features::empty(),
            optional_features: wgt::Features::empty(),
            limits: None,
        }
    }
}

/// A wgpu device and its queue, with the pools and pipelines that frames need on it.
///
/// It is made [over](Gpu::over) a device that somebody else owns, or [opens](Gpu::open) one of its own. All methods may be called
/// on any thread; none holds a lock while it waits for the GPU. Work is submitted to the device's queue in the order of the
/// calls, so whatever the owner submits later sees its results.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) global: Arc<Global>,
    pub(crate) device: DeviceId,
    pub(crate) queue: QueueId,
    key: u64,
    info: wgt::AdapterInfo,
    limits: wgt::Limits,
    features: wgt::Features,
    downlevel: wgt::DownlevelFlags,
    flight: Flight,
    pub(crate) pool: TexturePool,
    pub(crate) converter: Converter,
    pub(crate) readback: Readback,
    /// Textures to destroy, and held while they are.
    expired: Mutex<Vec<Arc<Texture>>>,
    destroying: Mutex<()>,
    /// Set where the device is this value's own.
    owned: Option<AdapterId>,
}

/// The calls that use the device's id now.
#[derive(Debug, Default)]
struct Flight {
    state: Mutex<FlightState>,
    landed: Condvar,
}

#[derive(Debug, Default)]
struct FlightState {
    calls: usize,
    retired: bool,
}

/// While it lives, the owner of the device waits in [`Gpu::retire`].
pub(crate) struct Entered<'a>(&'a Flight);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.calls -= 1;
        if state.calls == 0 && state.retired {
            self.0.landed.notify_all();
        }
    }
}

impl Gpu {
    /// Works with a device that somebody else owns, such as a `GPUDevice` of deno_webgpu. `adapter` is the one that the device
    /// came from, if it is known still.
    ///
    /// The owner calls [`Gpu::retire`] before it drops the device's id, and should before it destroys the device. Make
    /// one value for each device: images are uploaded once for each value.
    ///
    /// # Errors
    /// None today; a device on which nothing could work would be [`GpuError::Unsupported`].
    pub fn over(
        global: Arc<Global>,
        adapter: Option<AdapterId>,
        device: DeviceId,
        queue: QueueId,
    ) -> Result<Arc<Self>, GpuError> {
        // The device knows all that is needed of its adapter.
        let _ = adapter;
        Ok(Arc::new(Self::new(global, device, queue, None)))
    }

    /// Opens a device of its own, for tests and for programs without JavaScript.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`], [`GpuError::Unsupported`] for features or limits that the adapter has not got.
    pub fn open(options: &OpenOptions) -> Result<Arc<Self>, GpuError> {
        let global = Arc::new(Global::new(
            "reelcore",
            wgt::InstanceDescriptor {
                backends: options.backends,
                ..wgt::InstanceDescriptor::new_without_display_handle()
            },
            None,
        ));
        let wanted = wgt::RequestAdapterOptions {
            power_preference: options.power_preference,
            force_fallback_adapter: options.force_software,
            compatible_surface: None,
        };
        let adapter = global
            .request_adapter(&wanted, options.backends, None)
            .map_err(|error| GpuError::NoAdapter(chain(&error)))?;
        let optional = global.adapter_features(adapter) & options.optional_features;
        let descriptor = wgt::DeviceDescriptor {
            label: Some("reelcore".into()),
            required_features: options.features | optional,
            required_limits: match &options.limits {
                Some(limits) => limits.clone(),
                None => global.adapter_limits(adapter),
            },
            ..Default::default()
        };
        match global.adapter_request_device(adapter, &descriptor, None, None) {
            Ok((device, queue)) => Ok(Arc::new(Self::new(global, device, queue, Some(adapter)))),
            Err(error) => {
                global.adapter_drop(adapter);
                Err(GpuError::unsupported(format!(
                    "open a device: {}",
                    chain(&error)
                )))
            }
        }
    }

    fn new(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        owned: Option<AdapterId>,
    ) -> Self {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        Self {
            key: KEYS.fetch_add(1, Ordering::Relaxed),
            info: global.device_adapter_info(device),
            limits: global.device_limits(device),
            features: global.device_features(device),
            downlevel: global.device_downlevel_properties(device).flags,
            flight: Flight::default(),
            pool: TexturePool::default(),
            converter: Converter::default(),
            readback: Readback::default(),
            expired: Mutex::default(),
            destroying: Mutex::default(),
            global,
            device,
            queue,
            owned,
        }
    }

    /// Ends the use of the device, whose owner is about to destroy or drop it: waits for the calls that other threads are in,
    /// and destroys every texture of frames on the device. All later calls return [`GpuError::Lost`]; frames that are
    /// also in CPU memory go on from there. A second call does nothing.
    pub fn retire(&self) {
        let mut state = lock(&self.flight.state);
        if state.retired {
            return;
        }
        state.retired = true;
        self.readback.wake();
        while state.calls > 0 {
            state = self
                .flight
                .landed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.readback.clear();
        self.converter.clear();
        self.pool.destroy(&self.global);
    }

    /// Whether [`Gpu::retire`] was called.
    pub fn is_retired(&self) -> bool {
        lock(&self.flight.state).retired
    }

    /// Begins a call that uses the device's id.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, GpuError> {
        let mut state = lock(&self.flight.state);
        if state.retired {
            return Err(GpuError::Lost);
        }
        state.calls += 1;
        Ok(Entered(&self.flight))
    }

    /// A number for this device that no other has in this process.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// wgpu-core's state, which the device is a part of.
    pub fn global(&self) -> &Arc<Global> {
        &self.global
    }

    /// The device. It must not be used after [`Gpu::retire`].
    pub fn device_id(&self) -> DeviceId {
        self.device
    }

    /// The device's queue. It must not be used after [`Gpu::retire`].
    pub fn queue_id(&self) -> QueueId {
        self.queue
    }

    /// The adapter that the device came from.
    pub fn adapter_info(&self) -> &wgt::AdapterInfo {
        &self.info
    }

    /// The device's limits.
    pub fn limits(&self) -> &wgt::Limits {
        &self.limits
    }

    /// The device's features.
    pub fn features(&self) -> wgt::Features {
        self.features
    }

    pub(crate) fn has_compute(&self) -> bool {
        self.downlevel
            .contains(wgt::DownlevelFlags::COMPUTE_SHADERS)
    }

    /// Has `texture` destroyed at the next [`Gpu::settle`]. wgpu destroys no texture while another thread submits, which a
    /// driver may take its time for; this does not wait.
    pub fn expire(&self, texture: Arc<Texture>) {
        lock(&self.expired).push(texture);
    }

    /// Destroys the textures that have expired, and returns when all have been, also those that another thread is at.
    pub fn settle(&self) {
        let _destroying = lock(&self.destroying);
        let expired = std::mem::take(&mut *lock(&self.expired));
        for texture in expired {
            texture.destroy();
        }
    }

    /// Gives the memory back that nothing uses now: idle textures, buffers.
    pub fn trim(&self) {
        self.pool.trim();
        self.readback.trim();
    }

    /// How many bytes of textures that nothing uses are kept for reuse: 256 MiB unless set.
    pub fn set_idle_limit(&self, bytes: u64) {
        self.pool.set_limit(bytes);
    }

    /// What the pools hold, and what wgpu counts.
    pub fn stats(&self) -> Stats {
        let report = self.global.generate_report();
        let hub = report.hub_report();
        let mut stats = Stats {
            wgpu_textures: hub.textures.num_kept_from_user,
            wgpu_views: hub.texture_views.num_kept_from_user,
            wgpu_buffers: hub.buffers.num_kept_from_user,
            wgpu_bind_groups: hub.bind_groups.num_kept_from_user,
            wgpu_command_buffers: hub.command_buffers.num_kept_from_user
                + hub.command_encoders.num_kept_from_user,
            ..Stats::default()
        };
        if let Ok(_entered) = self.enter() {
            stats.allocated_bytes = self
                .global
                .device_generate_allocator_report(self.device)
                .map(|report| report.total_allocated_bytes);
        }
        self.pool.add_stats(&mut stats);
        self.readback.add_stats(&mut stats);
        stats
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        self.retire();
        if let Some(adapter) = self.owned {
            self.global.queue_drop(self.queue);
            self.global.device_drop(self.device);
            self.global.adapter_drop(adapter);
        }
    }
}

/// A reading of a device's pools, and of wgpu's own counts (of its whole instance).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Textures of frames, in use or idle.
    pub textures: usize,
    /// Their bytes.
    pub texture_bytes: u64,
    /// Textures that wait for reuse.
    pub idle_textures: usize,
    /// Their bytes.
    pub idle_bytes: u64,
    /// Textures made so far.
    pub created: u64,
    /// Textures taken from the pool so far.
    pub reused: u64,
    /// Buffers for read-back, in use or idle.
    pub buffers: usize,
    /// Their bytes.
    pub buffer_bytes: u64,
    /// Texture ids that wgpu knows.
    pub wgpu_textures: usize,
    /// Texture view ids that wgpu knows.
    pub wgpu_views: usize,
    /// Buffer ids that wgpu knows.
    pub wgpu_buffers: usize,
    /// Bind group ids that wgpu knows.
    pub wgpu_bind_groups: usize,
    /// Ids of command encoders and buffers that wgpu knows.
    pub wgpu_command_buffers: usize,
    /// Bytes that the device's allocator has handed out; `None` where the backend does not count.
    pub allocated_bytes: Option<u64>,
}
