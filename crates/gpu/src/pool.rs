//! Textures, and the pool that they return to.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reelcore_media::Size;
use wgpu_core::global::Global;
use wgpu_core::id::{TextureId, TextureViewId};
use wgpu_core::resource;
use wgpu_types as wgt;

use crate::device::{Gpu, Stats, lock};
use crate::error::GpuError;
use crate::handles::{RawTexture, View};

/// Bytes of idle textures that a device keeps unless told otherwise: two dozen frames of 4K.
const DEFAULT_LIMIT: u64 = 256 << 20;

/// What a texture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Samples that come from the CPU or from another texture.
    Plane,
    /// Pixels that a pass writes.
    Target,
}

impl Purpose {
    fn usage(self) -> wgt::TextureUsages {
        let plane = wgt::TextureUsages::TEXTURE_BINDING
            | wgt::TextureUsages::COPY_SRC
            | wgt::TextureUsages::COPY_DST;
        match self {
            Self::Plane => plane,
            Self::Target => plane | wgt::TextureUsages::RENDER_ATTACHMENT,
        }
    }
}

/// Textures of one kind can stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    format: wgt::TextureFormat,
    size: Size,
    purpose: Purpose,
}

impl Kind {
    fn bytes(self) -> u64 {
        u64::from(self.format.block_copy_size(None).unwrap_or(4)) * self.size.area()
    }
}

/// A texture with its view. The view goes first.
#[derive(Debug)]
struct Pair {
    view: View,
    texture: RawTexture,
}

/// A 2D texture with one level on a [`Gpu`], in use by a frame. When it is dropped, it goes back to the device's pool; the GPU may
/// still be reading it then, as whatever is written to it later comes later in the queue.
pub struct Texture {
    gpu: Arc<Gpu>,
    kind: Kind,
    pair: Option<Pair>,
    /// It came from the pool and may go back.
    pooled: bool,
    destroyed: AtomicBool,
    withheld: AtomicBool,
}

impl Debug for Texture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Texture({:?}, {:?})", self.kind, self.pair)
    }
}

impl Texture {
    /// The texture's id, valid while this value lives.
    pub fn id(&self) -> TextureId {
        match &self.pair {
            Some(pair) => pair.texture.id(),
            None => unreachable!("taken by drop only"),
        }
    }

    /// The id of a view of the whole texture, valid while this value lives.
    pub fn view_id(&self) -> TextureViewId {
        match &self.pair {
            Some(pair) => pair.view.id(),
            None => unreachable!("taken by drop only"),
        }
    }

    /// One more view of the whole texture.
    pub(crate) fn another_view(&self) -> Result<View, GpuError> {
        view_of_id(&self.gpu, self.id())
    }

    /// Columns and rows.
    pub fn size(&self) -> Size {
        self.kind.size
    }

    /// The format of the texture and its view.
    pub fn format(&self) -> wgt::TextureFormat {
        self.kind.format
    }

    /// What the texture can be used for: sampling, copies from and to it; pixels that a pass wrote can be rendered to as well.
    pub fn usage(&self) -> wgt::TextureUsages {
        self.kind.purpose.usage()
    }

    /// Bytes of its texels.
    pub fn byte_size(&self) -> u64 {
        self.kind.bytes()
    }

    /// The device it is on.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Destroys the texture now: it will not return to the pool, and work that uses it and is submitted later is a validation error.
    /// For textures that a script could keep using in bind groups of its own after the frame is closed.
    pub fn destroy(&self) {
        if !self.destroyed.swap(true, Ordering::AcqRel) {
            self.gpu.global.texture_destroy(self.id());
        }
    }

    /// Keeps the texture from going back to the pool: somebody else may hold a view of it, and must not see what another
    /// frame puts there.
    pub fn withhold(&self) {
        self.withheld.store(true, Ordering::Release);
    }

    /// Whether [`Texture::destroy`] was called.
    pub fn is_destroyed(&self) -> bool {
        self.destroyed.load(Ordering::Acquire)
    }

    /// A texture that was not made by the pool and will not go there: `id` is dropped with the value. It must have been made on `gpu`
    /// with one level, one layer and the usages of a plane: sampling, copies from and to it.
    ///
    /// # Errors
    /// [`GpuError::Validation`] when no view can be made of it.
    pub fn adopt(
        gpu: &Arc<Gpu>,
        id: TextureId,
        format: wgt::TextureFormat,
        size: Size,
    ) -> Result<Arc<Self>, GpuError> {
        let _entered = gpu.enter()?;
        let none: Option<resource::CreateTextureError> = None;
        let texture = RawTexture::new(&gpu.global, "a texture", (id, none))?;
        let pair = Pair {
            view: view_of(gpu, &texture)?,
            texture,
        };
        Ok(Arc::new(Self {
            gpu: gpu.clone(),
            kind: Kind {
                format,
                size,
                purpose: Purpose::Plane,
            },
            pair: Some(pair),
            pooled: false,
            destroyed: AtomicBool::new(false),
            withheld: AtomicBool::new(false),
        }))
    }
}

impl Drop for Texture {
    fn drop(&mut self) {
        let Some(pair) = self.pair.take() else {
            return;
        };
        if self.pooled {
            let spent = *self.destroyed.get_mut() || *self.withheld.get_mut();
            self.gpu.pool.give_back(self.kind, pair, spent);
        }
    }
}

fn view_of(gpu: &Gpu, texture: &RawTexture) -> Result<View, GpuError> {
    view_of_id(gpu, texture.id())
}

fn view_of_id(gpu: &Gpu, texture: TextureId) -> Result<View, GpuError> {
    let descriptor = resource::TextureViewDescriptor::default();
    let view = gpu.global.texture_create_view(texture, &descriptor, None);
    View::new(&gpu.global, "a view of a frame's texture", view)
}

/// The textures of a device.
#[derive(Debug)]
pub(crate) struct TexturePool {
    state: Mutex<State>,
    limit: AtomicU64,
    created: AtomicU64,
    reused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The one that came back last is at the end.
    idle: VecDeque<(Kind, Pair)>,
    idle_bytes: u64,
    /// Lent textures, which are destroyed with the device.
    lent: HashSet<TextureId>,
    lent_bytes: u64,
    closed: bool,
}

impl Default for TexturePool {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            limit: AtomicU64::new(DEFAULT_LIMIT),
            created: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }
    }
}

impl TexturePool {
    fn give_back(&self, kind: Kind, pair: Pair, spent: bool) {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut evicted = Vec::new();
        let mut state = lock(&self.state);
        state.lent.remove(&pair.texture.id());
        state.lent_bytes -= kind.bytes();
        if spent || state.closed || kind.bytes() > limit {
            evicted.push((kind, pair));
        } else {
            state.idle_bytes += kind.bytes();
            state.idle.push_back((kind, pair));
            state.evict(limit, &mut evicted);
        }
        // Ids are dropped outside the lock.
        drop(state);
        drop(evicted);
    }

    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
        let mut evicted = Vec::new();
        lock(&self.state).evict(bytes, &mut evicted);
    }

    pub(crate) fn trim(&self) {
        let mut evicted = Vec::new();
        lock(&self.state).evict(0, &mut evicted);
    }

    /// Frees the memory of all textures, also of those that are lent.
    pub(crate) fn destroy(&self, global: &Global) {
        let (lent, idle) = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.idle_bytes = 0;
            // A texture that is lent cannot be dropped before its id is destroyed: that takes the lock.
            for id in &state.lent {
                global.texture_destroy(*id);
            }
            (
                std::mem::take(&mut state.lent),
                std::mem::take(&mut state.idle),
            )
        };
        drop((lent, idle));
    }

    pub(crate) fn add_stats(&self, stats: &mut Stats) {
        let state = lock(&self.state);
        stats.idle_textures = state.idle.len();
        stats.idle_bytes = state.idle_bytes;
        stats.textures = state.idle.len() + state.lent.len();
        stats.texture_bytes = state.idle_bytes + state.lent_bytes;
        stats.created = self.created.load(Ordering::Relaxed);
        stats.reused = self.reused.load(Ordering::Relaxed);
    }
}

impl State {
    /// The oldest go first: after a change of size they are those that nobody asks for.
    fn evict(&mut self, limit: u64, evicted: &mut Vec<(Kind, Pair)>) {
        while self.idle_bytes > limit
            && let Some((kind, pair)) = self.idle.pop_front()
        {
            self.idle_bytes -= kind.bytes();
            evicted.push((kind, pair));
        }
    }
}

impl Gpu {
    /// A texture of the pool, or a new one. Its content is unspecified: zeros or what an earlier frame left. The caller is in a call
    /// that [entered](Gpu::enter).
    pub(crate) fn texture(
        self: &Arc<Self>,
        format: wgt::TextureFormat,
        size: Size,
        purpose: Purpose,
    ) -> Result<Arc<Texture>, GpuError> {
        let kind = Kind {
            format,
            size,
            purpose,
        };
        let largest = self.limits().max_texture_dimension_2d;
        if size.area() == 0 || size.width.max(size.height) > largest {
            return Err(GpuError::unsupported(format!(
                "hold an image of {}x{}: its textures have at least one and at most {largest} pixels a side",
                size.width, size.height
            )));
        }
        let found = {
            let mut state = lock(&self.pool.state);
            // The one that came back last is the likeliest to be in caches.
            let found = state.idle.iter().rposition(|(other, _)| *other == kind);
            let found = found.and_then(|index| state.idle.remove(index));
            found.map(|(_, pair)| {
                state.idle_bytes -= kind.bytes();
                state.lend(kind, &pair);
                pair
            })
        };
        let pair = match found {
            Some(pair) => {
                self.pool.reused.fetch_add(1, Ordering::Relaxed);
                pair
            }
            None => {
                let pair = match self.create(kind) {
                    Err(GpuError::OutOfMemory { .. }) => {
                        self.trim();
                        self.create(kind)?
                    }
                    other => other?,
                };
                self.pool.created.fetch_add(1, Ordering::Relaxed);
                lock(&self.pool.state).lend(kind, &pair);
                pair
            }
        };
        Ok(Arc::new(Texture {
            gpu: self.clone(),
            kind,
            pair: Some(pair),
            pooled: true,
            destroyed: AtomicBool::new(false),
            withheld: AtomicBool::new(false),
        }))
    }

    fn create(&self, kind: Kind) -> Result<Pair, GpuError> {
        let descriptor = resource::TextureDescriptor {
            label: Some("frame".into()),
            size: extent(kind.size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format: kind.format,
            usage: kind.purpose.usage(),
            view_formats: Vec::new(),
        };
        let texture = self
            .global
            .device_create_texture(self.device, &descriptor, None);
        let texture = RawTexture::new(&self.global, "a frame's texture", texture)?;
        Ok(Pair {
            view: view_of(self, &texture)?,
            texture,
        })
    }
}

impl State {
    fn lend(&mut self, kind: Kind, pair: &Pair) {
        self.lent.insert(pair.texture.id());
        self.lent_bytes += kind.bytes();
    }
}

pub(crate) fn extent(size: Size) -> wgt::Extent3d {
    wgt::Extent3d {
        width: size.width,
        height: size.height,
        depth_or_array_layers: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::OpenOptions;

    /// Four GiB: more than lavapipe puts into a texture, and sixty-four of them more than a GPU has.
    const HUGE: Size = Size::new(16_384, 16_384);

    #[test]
    fn memory_that_is_used_up_is_an_error_and_not_the_end() {
        let gpu = match Gpu::open(&OpenOptions::default()) {
            Ok(gpu) => gpu,
            Err(error) => {
                panic!("{error}. Install a Vulkan driver: mesa-vulkan-drivers has one in software")
            }
        };
        let take = |size| gpu.texture(wgt::TextureFormat::Rgba32Float, size, Purpose::Plane);
        let small = Size::new(16, 16);
        drop(take(small));
        assert_eq!(gpu.stats().idle_textures, 1);
        let mut taken = Vec::new();
        let error = (0..64).find_map(|_| take(HUGE).map(|texture| taken.push(texture)).err());
        assert!(
            matches!(error, Some(GpuError::OutOfMemory { .. })),
            "{error:?}"
        );
        let stats = gpu.stats();
        assert_eq!(
            stats.idle_textures, 0,
            "idle textures went before the error did"
        );
        assert_eq!(stats.textures, taken.len(), "what failed is not counted");
        assert_eq!(stats.wgpu_textures, taken.len(), "nor kept");
        drop(taken);
        gpu.trim();
        assert!(take(small).is_ok(), "the device goes on");
    }
}
