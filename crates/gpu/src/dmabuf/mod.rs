//! Frames in dma-bufs, imported into Vulkan: the only part of this crate that goes below wgpu.
//!
//! [`import`] makes one texture a plane, as for uploaded frames. The dma-buf is copied once on the
//! device and then let go, so that a decoder gets its surface back at once and the texture is an
//! ordinary one of wgpu.
//!
//! | memory | how it is imported |
//! | --- | --- |
//! | linear, rows of a multiple of 256 bytes | as a `VkBuffer`, one copy a plane |
//! | tiled, or linear with other rows | as a `VkImage` with its DRM modifier, where the device has `VK_EXT_image_drm_format_modifier` |
//! | linear with other rows, elsewhere | as a linear `VkImage` where the driver lays it out just so |
//! | linear with other rows, elsewhere | as a `VkBuffer`, one copy a row |
//!
//! wgpu enables `VK_EXT_external_memory_dma_buf` wherever the driver has it, but not the modifiers:
//! for those the device has to come from an instance made by [`instance`]. Writes that are still
//! under way when [`import`] is called are waited for through the dma-buf's own fences.

mod images;
mod import;
mod instance;
mod raw;

use std::time::Duration;

use reelcore_media::dmabuf::{DmaBufError, DmaBufFrame, DrmFourcc, DrmModifier};
use reelcore_media::geometry::Size;
use wgpu_core::global::Global;
use wgpu_core::id::{DeviceId, QueueId, TextureId};
use wgpu_types::TextureFormat;

use crate::Gpu;
use crate::error::GpuError;

pub use instance::instance;

/// How long [`import`] waits for whoever still writes to the memory.
pub const WRITER_TIMEOUT: Duration = Duration::from_secs(2);

/// A plane on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedPlane {
    /// An ordinary texture, for sampling and copies. It belongs to the caller: `texture_drop` it.
    pub texture: TextureId,
    /// `R8Unorm`, `Rg8Unorm`, `R16Uint`, `Rg16Uint`, `Rgba8Unorm` or `Bgra8Unorm`. Samples of 10
    /// and 12 bits are in the high bits.
    pub format: TextureFormat,
    /// Width and height in texels.
    pub size: Size,
    /// How the memory was imported.
    pub way: ImportWay,
}

/// How the memory of a plane is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportWay {
    /// As a buffer, and one copy.
    Buffer,
    /// As a buffer, and one copy a row.
    Rows,
    /// As an image, and two copies on the device.
    Image,
}

/// Why a dma-buf is not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The description does not fit the memory.
    #[error(transparent)]
    Descriptor(#[from] DmaBufError),
    /// The device is not a Vulkan one, or is lost.
    #[error("dma-bufs are imported on Vulkan devices only")]
    NotVulkan,
    /// The driver lacks something.
    #[error("the Vulkan driver cannot import dma-bufs: {0}")]
    Driver(String),
    /// The device cannot read memory that is tiled so.
    #[error(
        "plane {plane}: the device cannot read {fourcc} with the modifier {modifier}: {reason}"
    )]
    Modifier {
        /// Index of the plane.
        plane: usize,
        /// Its format.
        fourcc: DrmFourcc,
        /// The modifier.
        modifier: DrmModifier,
        /// What is missing.
        reason: String,
    },
    /// The driver does not take this file descriptor.
    #[error("plane {plane}: the Vulkan driver refuses the dma-buf: {reason}")]
    Refused {
        /// Index of the plane.
        plane: usize,
        /// The failed call and its result.
        reason: String,
    },
    /// Whoever writes to the memory does not come to an end.
    #[error("plane {plane}: still written to after {} ms", timeout.as_millis())]
    Timeout {
        /// Index of the plane.
        plane: usize,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The device has no memory left.
    #[error("the GPU has no memory left for a dma-buf")]
    OutOfMemory,
    /// wgpu or Vulkan failed.
    #[error("{0}")]
    Failed(String),
}

impl From<ImportError> for GpuError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::OutOfMemory => Self::OutOfMemory {
                what: "a dma-buf".to_owned(),
            },
            ImportError::Descriptor(_) | ImportError::Refused { .. } => {
                Self::Validation(error.to_string())
            }
            ImportError::NotVulkan | ImportError::Driver(_) | ImportError::Modifier { .. } => {
                Self::Unsupported {
                    what: error.to_string(),
                }
            }
            ImportError::Timeout { .. } | ImportError::Failed(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

/// What a device can do with dma-bufs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// It imports them at all.
    pub import: bool,
    /// It knows format modifiers: tiled memory can be imported.
    pub modifiers: bool,
}

/// What the device can do with dma-bufs.
pub fn support(global: &Global, device: DeviceId) -> Support {
    import::support(global, device)
}

/// Copies the planes of `frame` into textures of their own, on the device.
///
/// Returns once the copy is queued; work that is submitted to `queue` afterwards sees the pixels.
/// The memory may be reused when that copy is done: keep `frame`'s surface until then
/// (`queue_on_submitted_work_done`). May wait for fences, so call it on a worker thread.
///
/// # Errors
/// An [`ImportError`]. Nothing is left behind: no texture, no memory and no descriptor.
pub fn import(
    global: &Global,
    device: DeviceId,
    queue: QueueId,
    frame: &DmaBufFrame,
) -> Result<Vec<ImportedPlane>, ImportError> {
    import::import(global, device, queue, frame)
}

impl Gpu {
    /// [`import`] on this device.
    ///
    /// # Errors
    /// [`GpuError::Lost`], or an [`ImportError`] as a `GpuError`.
    pub fn import_dma_buf(&self, frame: &DmaBufFrame) -> Result<Vec<ImportedPlane>, GpuError> {
        let _entered = self.enter()?;
        Ok(import(
            self.global(),
            self.device_id(),
            self.queue_id(),
            frame,
        )?)
    }
}

/// The format of the texture for a plane.
fn texture_format(fourcc: DrmFourcc) -> Option<TextureFormat> {
    Some(match fourcc {
        DrmFourcc::R8 => TextureFormat::R8Unorm,
        DrmFourcc::GR88 => TextureFormat::Rg8Unorm,
        DrmFourcc::R16 => TextureFormat::R16Uint,
        DrmFourcc::GR1616 => TextureFormat::Rg16Uint,
        DrmFourcc::ABGR8888 | DrmFourcc::XBGR8888 => TextureFormat::Rgba8Unorm,
        DrmFourcc::ARGB8888 | DrmFourcc::XRGB8888 => TextureFormat::Bgra8Unorm,
        _ => return None,
    })
}
