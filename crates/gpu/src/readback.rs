//! From textures to CPU memory, converted and scaled on the way if that is wanted.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reelcore_media::counters::count_download;
use reelcore_media::frame::ReadBack;
use reelcore_media::pool::{BufferPool, PooledBuffer};
use reelcore_media::{CpuImage, PixelFormat, Plane, Rect, Size};
use wgpu_core::device::HostMap;
use wgpu_core::id::{BufferId, CommandEncoderId, TextureId};
use wgpu_core::resource::{BufferDescriptor, BufferMapOperation};
use wgpu_types as wgt;

use crate::device::{Gpu, Stats, lock};
use crate::error::GpuError;
use crate::handles::Buffer;
use crate::image::GpuImage;
use crate::plan::{Plan, plan};
use crate::pool::{Texture, extent};
use crate::strips::{Piece, strips};

/// Bytes of buffers that are kept for reuse.
const MAX_IDLE_BYTES: u64 = 64 << 20;
/// Bytes of CPU memory that are kept for reuse.
const MAX_IDLE_CPU_BYTES: usize = 64 << 20;
/// Sizes of buffers are rounded up to this, so that those of similar frames can stand in for each other.
const GRANULARITY: u64 = 64 << 10;

/// The first wait between two looks at the GPU, and the longest: as long as the work of a small frame takes, and half of what
/// a frame of 1000 per second has.
const FIRST_WAIT: Duration = Duration::from_micros(50);
const LONGEST_WAIT: Duration = Duration::from_micros(500);
/// How long the GPU may take before it counts as hung: longer than any driver lets it.
const HUNG: Duration = Duration::from_secs(60);

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Written by a pass, then copied from.
    Written,
    /// Copied to, then read by the CPU.
    Read,
}

impl Role {
    fn usage(self) -> wgt::BufferUsages {
        match self {
            Self::Written => wgt::BufferUsages::STORAGE | wgt::BufferUsages::COPY_SRC,
            Self::Read => wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
        }
    }
}

/// A buffer that belongs to the pool below.
#[derive(Debug)]
struct Lent {
    role: Role,
    bytes: u64,
    buffer: Buffer,
}

/// The buffers of a device.
#[derive(Debug)]
pub(crate) struct Readback {
    state: Mutex<State>,
    memory: BufferPool,
    /// Readers that wait for the GPU wait here, and are woken when their buffer is mapped or the device retires.
    mapped: Arc<Condvar>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Lent>,
    idle_bytes: u64,
    buffers: usize,
    bytes: u64,
}

impl Default for Readback {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            memory: BufferPool::new(MAX_IDLE_CPU_BYTES),
            mapped: Arc::default(),
        }
    }
}

impl Readback {
    pub(crate) fn wake(&self) {
        self.mapped.notify_all();
    }

    pub(crate) fn clear(&self) {
        self.trim();
    }

    pub(crate) fn trim(&self) {
        let idle = {
            let mut state = lock(&self.state);
            state.forget_idle()
        };
        drop(idle);
    }

    pub(crate) fn add_stats(&self, stats: &mut Stats) {
        let state = lock(&self.state);
        stats.buffers = state.buffers;
        stats.buffer_bytes = state.bytes;
    }

    fn give_back(&self, lent: Lent) {
        let mut state = lock(&self.state);
        let evicted = if state.idle_bytes + lent.bytes > MAX_IDLE_BYTES {
            // After a change of size those that were kept do not fit any more.
            state.forget_idle()
        } else {
            Vec::new()
        };
        state.idle_bytes += lent.bytes;
        state.idle.push(lent);
        drop(state);
        drop(evicted);
    }

    /// Not given back: it goes with the value.
    fn forget(&self, lent: &Lent) {
        let mut state = lock(&self.state);
        state.buffers -= 1;
        state.bytes -= lent.bytes;
    }
}

impl State {
    fn forget_idle(&mut self) -> Vec<Lent> {
        self.buffers -= self.idle.len();
        self.bytes -= self.idle_bytes;
        self.idle_bytes = 0;
        std::mem::take(&mut self.idle)
    }
}

/// A buffer in use. It goes back to the pool, unless it is left in a state that nobody knows.
struct InUse<'a> {
    gpu: &'a Gpu,
    lent: Option<Lent>,
}

impl InUse<'_> {
    fn id(&self) -> BufferId {
        match &self.lent {
            Some(lent) => lent.buffer.id(),
            None => unreachable!("taken by drop only"),
        }
    }

    fn give_back(mut self) {
        if let Some(lent) = self.lent.take() {
            self.gpu.readback.give_back(lent);
        }
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let Some(lent) = &self.lent {
            self.gpu.readback.forget(lent);
        }
    }
}

/// Where a plane lies in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) offset: u64,
    /// Bytes from a row to the next.
    pub(crate) stride: u32,
    pub(crate) rows: u32,
    pub(crate) row_bytes: u32,
}

impl Placed {
    /// The bytes from the first row's start to the last row's end.
    fn range(&self) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let rows = self.rows.saturating_sub(1) as usize;
        start..start + rows * self.stride as usize + self.row_bytes as usize
    }
}

/// What of a texture is read.
#[derive(Clone, Copy, Debug)]
struct Region {
    texture: TextureId,
    origin: (u32, u32),
    width: u32,
}

/// `bytes` as a length in memory.
fn address(bytes: u64) -> Result<usize, GpuError> {
    usize::try_from(bytes)
        .map_err(|_| GpuError::unsupported("read back more than the address space"))
}

/// The image whose planes lie in `memory`. Counts one download.
fn image_of(
    memory: Bytes,
    format: PixelFormat,
    size: Size,
    places: &[Placed],
) -> Result<CpuImage, GpuError> {
    count_download(format.packed_size(size).unwrap_or(memory.len()));
    let planes = places.iter().map(|place| {
        let range = place.range();
        Plane {
            data: memory.slice(range.start..range.end.min(memory.len())),
            stride: place.stride as usize,
        }
    });
    Ok(CpuImage::new(format, size, planes.collect())?)
}

impl Gpu {
    /// The bytes of the largest buffer that can be mapped.
    fn largest_buffer(&self) -> u64 {
        let most = self.limits().max_buffer_size;
        most - most % u64::from(wgt::COPY_BYTES_PER_ROW_ALIGNMENT)
    }

    fn buffer(&self, role: Role, bytes: u64) -> Result<InUse<'_>, GpuError> {
        let most = self.largest_buffer();
        if bytes > most {
            return Err(GpuError::unsupported(format!(
                "make a buffer of {bytes} bytes (its largest has {most})"
            )));
        }
        let bytes = bytes.next_multiple_of(GRANULARITY).min(most);
        let found = {
            let mut state = lock(&self.readback.state);
            let fits = |lent: &Lent| {
                lent.role == role && lent.bytes >= bytes && lent.bytes <= bytes.saturating_mul(2)
            };
            let index = state.idle.iter().rposition(fits);
            index.map(|index| {
                let lent = state.idle.swap_remove(index);
                state.idle_bytes -= lent.bytes;
                lent
            })
        };
        let lent = match found {
            Some(lent) => lent,
            None => {
                let descriptor = BufferDescriptor {
                    label: Some("read-back".into()),
                    size: bytes,
                    usage: role.usage(),
                    mapped_at_creation: false,
                };
                let buffer = self
                    .global
                    .device_create_buffer(self.device, &descriptor, None);
                let buffer = Buffer::new(&self.global, "a read-back", buffer)?;
                let mut state = lock(&self.readback.state);
                state.buffers += 1;
                state.bytes += bytes;
                Lent {
                    role,
                    bytes,
                    buffer,
                }
            }
        };
        Ok(InUse {
            gpu: self,
            lent: Some(lent),
        })
    }

    /// All planes of an image in CPU memory. Blocks until the GPU is done, without a lock: for worker threads. Counts one download.
    ///
    /// # Errors
    /// [`GpuError::Lost`], also when the device retires meanwhile; [`GpuError::OutOfMemory`].
    pub fn read_back(&self, image: &GpuImage) -> Result<CpuImage, GpuError> {
        self.copy_out(image, image.format(), Rect::of_size(image.size()))
    }

    /// A part of an image in CPU memory, in the pixel format, size and colours that are wanted: converted and scaled on the GPU, so that
    /// no more is moved than the result. Blocks as [`Gpu::read_back`] does. Counts one download.
    ///
    /// Scaling is Catmull-Rom's, widened when the size shrinks. Chroma lies where [`Gpu::rgba`] takes it to lie.
    ///
    /// # Errors
    /// [`GpuError::Unsupported`] for colours that the GPU does not convert to (curves other than the image's own and SDR's), and for a device
    /// without compute shaders: convert on the CPU then. [`GpuError::Validation`] for a part outside the image or an
    /// empty size; as [`Gpu::read_back`].
    pub fn read_back_as(&self, image: &GpuImage, wanted: &ReadBack) -> Result<CpuImage, GpuError> {
        match plan(image.format(), image.size(), wanted)? {
            Plan::Copy => self.copy_out(image, wanted.format, wanted.rect),
            Plan::Pack {
                params,
                places,
                bytes,
            } => {
                let limit = u64::from(self.limits().max_compute_workgroups_per_dimension);
                let storage = self.limits().max_storage_buffer_binding_size;
                if !self.has_compute() || bytes > storage || u64::from(wanted.size.height) > limit {
                    return Err(GpuError::unsupported(format!(
                        "convert to {}x{} pixels of {} in a compute pass",
                        wanted.size.width,
                        wanted.size.height,
                        wanted.format.as_str()
                    )));
                }
                let entered = self.enter()?;
                let written = self.buffer(Role::Written, bytes)?;
                let read = self.buffer(Role::Read, bytes)?;
                self.record("a read-back", |encoder| {
                    self.pack(
                        encoder,
                        image.texels(),
                        image.views(),
                        &params,
                        written.id(),
                    )?;
                    self.global
                        .command_encoder_copy_buffer_to_buffer(
                            encoder,
                            written.id(),
                            0,
                            read.id(),
                            0,
                            Some(bytes),
                        )
                        .map_err(|error| GpuError::of("a read-back", &error))
                })?;
                // The next user's writes come later in the queue.
                written.give_back();
                drop(entered);
                self.fetch(read, bytes, wanted.format, wanted.size, &places)
            }
        }
    }

    /// The planes of `format`, which are those of the image or some of them, cut to `rect`.
    fn copy_out(
        &self,
        image: &GpuImage,
        format: PixelFormat,
        rect: Rect,
    ) -> Result<CpuImage, GpuError> {
        let size = rect.size();
        let mut places = Vec::with_capacity(format.num_planes());
        let mut bytes = 0u64;
        for plane in 0..format.num_planes() {
            let row_bytes = u32::try_from(format.row_bytes(plane, size.width))
                .map_err(|_| GpuError::unsupported("read rows of more than 4 GiB"))?;
            let place = Placed {
                offset: bytes,
                stride: row_bytes.next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT),
                rows: format.plane_size(plane, size).height,
                row_bytes,
            };
            bytes += u64::from(place.stride) * u64::from(place.rows);
            places.push(place);
        }
        let regions: Vec<Region> = (image.planes().iter().zip(0..format.num_planes()))
            .map(|(plane, index)| {
                let (h, v) = format.subsampling(index);
                Region {
                    texture: plane.id(),
                    origin: (rect.x / h, rect.y / v),
                    width: format.plane_size(index, size).width,
                }
            })
            .collect();
        let memory = self.read_regions(&regions, &places)?;
        image_of(memory, format, size, &places)
    }

    /// The memory that `places` lie in, one behind the other, with what the textures have there. Where that is more than a
    /// buffer can hold, it comes in several.
    fn read_regions(&self, regions: &[Region], places: &[Placed]) -> Result<Bytes, GpuError> {
        let strips = strips(places, self.largest_buffer());
        let length = address(strips.iter().map(|strip| strip.bytes).sum())?;
        let mut memory = None;
        let mut end = 0;
        for strip in strips {
            let entered = self.enter()?;
            let read = self.buffer(Role::Read, strip.bytes)?;
            self.record("a read-back", |encoder| {
                for piece in &strip.pieces {
                    self.copy_to_buffer(encoder, regions, places, piece, read.id())?;
                }
                Ok(())
            })?;
            drop(entered);
            self.map(&read)?;
            // Not before there is something to put into it.
            let memory = memory.get_or_insert_with(|| self.readback.memory.take(length));
            let start = end;
            end += address(strip.bytes)?;
            self.take_mapped(read, &mut memory[start..end])?;
        }
        Ok(memory.map(PooledBuffer::freeze).unwrap_or_default())
    }

    fn copy_to_buffer(
        &self,
        encoder: CommandEncoderId,
        regions: &[Region],
        places: &[Placed],
        piece: &Piece,
        buffer: BufferId,
    ) -> Result<(), GpuError> {
        let (region, place) = (regions[piece.plane], places[piece.plane]);
        let (x, y) = region.origin;
        let rows = piece.rows.end - piece.rows.start;
        let source = wgt::TexelCopyTextureInfo {
            texture: region.texture,
            mip_level: 0,
            origin: wgt::Origin3d {
                x,
                y: y + piece.rows.start,
                z: 0,
            },
            aspect: wgt::TextureAspect::All,
        };
        let destination = wgt::TexelCopyBufferInfo {
            buffer,
            layout: wgt::TexelCopyBufferLayout {
                offset: piece.offset,
                bytes_per_row: Some(place.stride),
                rows_per_image: Some(rows),
            },
        };
        let size = extent(Size::new(region.width, rows));
        self.global
            .command_encoder_copy_texture_to_buffer(encoder, &source, &destination, &size)
            .map_err(|error| GpuError::of("a read-back", &error))
    }

    /// The texels of a texture, rows tightly packed. Blocks as [`Gpu::read_back`] does. Counts one download.
    ///
    /// # Errors
    /// As [`Gpu::read_back`]; [`GpuError::Validation`] for a texture that cannot be copied from.
    pub fn read_texture(&self, texture: &Texture) -> Result<Vec<u8>, GpuError> {
        let size = texture.size();
        let row_bytes = size.width * texture.format().block_copy_size(None).unwrap_or(4);
        let place = Placed {
            offset: 0,
            stride: row_bytes.next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT),
            rows: size.height,
            row_bytes,
        };
        let region = Region {
            texture: texture.id(),
            origin: (0, 0),
            width: size.width,
        };
        let padded = self.read_regions(&[region], &[place])?;
        let rows = padded.chunks(place.stride as usize);
        let rows = rows.flat_map(|row| row.get(..row_bytes as usize).unwrap_or_default());
        let texels: Vec<u8> = rows.copied().collect();
        count_download(texels.len());
        Ok(texels)
    }

    /// Waits for what was submitted to `buffer`, and makes an image of it.
    fn fetch(
        &self,
        buffer: InUse<'_>,
        bytes: u64,
        format: PixelFormat,
        size: Size,
        places: &[Placed],
    ) -> Result<CpuImage, GpuError> {
        let length = address(bytes)?;
        self.map(&buffer)?;
        let mut memory = self.readback.memory.take(length);
        self.take_mapped(buffer, &mut memory)?;
        image_of(memory.freeze(), format, size, places)
    }

    /// Copies the start of a buffer that is mapped, and gives the buffer back.
    fn take_mapped(&self, buffer: InUse<'_>, to: &mut [u8]) -> Result<(), GpuError> {
        let entered = self.enter()?;
        self.copy_mapped(&entered, buffer.id(), to)?;
        self.global
            .buffer_unmap(buffer.id())
            .map_err(|error| GpuError::of("a read-back", &error))?;
        drop(entered);
        buffer.give_back();
        Ok(())
    }

    /// Maps a buffer for reading, and waits until it is.
    ///
    /// The wait is a look now and then, as a wait inside wgpu-core holds a lock that submissions of other threads need. Whoever
    /// polls the device, this thread or another, wakes this one at once.
    fn map(&self, buffer: &InUse<'_>) -> Result<(), GpuError> {
        type Outcome = Arc<Mutex<Option<Result<(), GpuError>>>>;
        let outcome = Outcome::default();
        let (theirs, woken) = (outcome.clone(), self.readback.mapped.clone());
        let operation = BufferMapOperation {
            host: HostMap::Read,
            callback: Some(Box::new(move |result| {
                let result = result.map_err(|error| GpuError::of("a read-back", &error));
                *lock(&theirs) = Some(result);
                woken.notify_all();
            })),
        };
        {
            let _entered = self.enter()?;
            self.global
                .buffer_map_async(buffer.id(), 0, None, operation)
                .map_err(|error| GpuError::of("a read-back", &error))?;
        }
        let (start, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            {
                let _entered = self.enter()?;
                self.global
                    .device_poll(self.device, wgt::PollType::Poll)
                    .map_err(|error| match error {
                        wgpu_core::device::WaitIdleError::Device(error) => {
                            GpuError::of("a read-back", &error)
                        }
                        error => GpuError::Internal(error.to_string()),
                    })?;
            }
            let mut guard = lock(&outcome);
            if let Some(result) = guard.take() {
                return result;
            }
            if start.elapsed() > HUNG {
                return Err(GpuError::Internal(format!(
                    "the GPU did not finish within {} s",
                    HUNG.as_secs()
                )));
            }
            let waited = self.readback.mapped.wait_timeout(guard, wait);
            let (mut guard, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(result) = guard.take() {
                return result;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
