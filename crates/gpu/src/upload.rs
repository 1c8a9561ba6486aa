//! From CPU memory to textures.

use std::sync::Arc;

use reelcore_media::counters::count_upload;
use reelcore_media::{CpuImage, Size, VideoFrame};
use wgpu_types as wgt;

use crate::device::Gpu;
use crate::error::GpuError;
use crate::image::{GpuImage, GpuResource, plane_texture_format};
use crate::pool::{Purpose, Texture, extent};

impl Gpu {
    /// The planes of `frame`'s image as textures on this device. An image in CPU memory is uploaded at the first call for the
    /// device and keeps both sides from then on; its textures go with it. The whole image is uploaded, as frames
    /// share it that show different parts of it.
    ///
    /// The upload copies once, from the image to memory that the GPU reads. It may be called on any thread.
    ///
    /// # Errors
    /// [`GpuError::OtherDevice`] for pixels that are on another device only; [`GpuError::Unsupported`] for an image that is larger than the
    /// device's textures; [`GpuError::OutOfMemory`], [`GpuError::Lost`].
    pub fn image(self: &Arc<Self>, frame: &VideoFrame) -> Result<Arc<GpuImage>, GpuError> {
        let (image, uploaded) = self.image_unflushed(frame)?;
        if uploaded {
            // Without a submission the copies, and the memory they read, would wait for the next one of somebody else.
            let _entered = self.enter()?;
            self.submit(None)?;
        }
        Ok(image)
    }

    /// As [`Gpu::image`], and whether an upload was queued, which the next submission begins with.
    pub(crate) fn image_unflushed(
        self: &Arc<Self>,
        frame: &VideoFrame,
    ) -> Result<(Arc<GpuImage>, bool), GpuError> {
        if let Some(resource) = frame.resource.as_any().downcast_ref::<GpuResource>()
            && Arc::ptr_eq(resource.image().gpu(), self)
        {
            return Ok((resource.image().clone(), false));
        }
        // A frame of another device that was read back is in CPU memory, and can be uploaded as any other.
        let Some(image) = frame.resource.cpu() else {
            return match frame.resource.as_any().is::<GpuResource>() {
                true => Err(GpuError::OtherDevice),
                false => Err(GpuError::unsupported(
                    "import the memory that the frame's pixels are in",
                )),
            };
        };
        let mut uploaded = false;
        let side = image.device_side(self.key(), || {
            uploaded = true;
            self.upload(image)
        })?;
        Ok((side, uploaded))
    }

    fn upload(self: &Arc<Self>, image: &CpuImage) -> Result<Arc<GpuImage>, GpuError> {
        let _entered = self.enter()?;
        let (format, size) = (image.format(), image.size());
        let mut planes = Vec::with_capacity(format.num_planes());
        let mut bytes = 0;
        for (index, plane) in image.planes().iter().enumerate() {
            let texture = self.texture(
                plane_texture_format(format, index),
                format.plane_size(index, size),
                Purpose::Plane,
            )?;
            self.write(&texture, &plane.data, plane.stride)?;
            bytes += format.row_bytes(index, size.width) * texture.size().height as usize;
            planes.push(texture);
        }
        count_upload(bytes);
        GpuImage::from_planes(self, format, size, planes)
    }

    /// Queues a copy of rows, `stride` bytes apart, into the whole of `texture`. `data` has been copied when it returns.
    pub(crate) fn write(
        &self,
        texture: &Texture,
        data: &[u8],
        stride: usize,
    ) -> Result<(), GpuError> {
        let Size { width, height } = texture.size();
        let stride = u32::try_from(stride)
            .map_err(|_| GpuError::unsupported(format!("read rows {stride} bytes apart")))?;
        let destination = wgt::TexelCopyTextureInfo {
            texture: texture.id(),
            mip_level: 0,
            origin: wgt::Origin3d::ZERO,
            aspect: wgt::TextureAspect::All,
        };
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(stride),
            rows_per_image: Some(height),
        };
        let size = extent(Size::new(width, height));
        self.global
            .queue_write_texture(self.queue, &destination, data, &layout, &size)
            .map_err(|error| GpuError::of("an upload", &error))
    }
}
