//! The import itself.

use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use ash::{ext, khr, vk};
use reelcore_media::dmabuf::{DmaBufFrame, DmaBufPlane, DmaBufPlaneLayout, DrmFourcc, DrmModifier};
use reelcore_media::geometry::Size;
use rustix::event::{PollFd, PollFlags, Timespec};
use wgpu_core::api::Vulkan;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_types as wgt;

use super::{
    ImportError, ImportWay, ImportedPlane, Support, WRITER_TIMEOUT, instance, texture_format,
};

const DMA_BUF: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;

/// WebGPU copies rows at multiples of this many bytes only.
const ROW_ALIGNMENT: u32 = wgt::COPY_BYTES_PER_ROW_ALIGNMENT;

pub(super) fn support(global: &Global, device: DeviceId) -> Support {
    // SAFETY: the device is only asked what it has.
    let Some(device) = (unsafe { global.device_as_hal::<Vulkan>(device) }) else {
        return Support {
            import: false,
            modifiers: false,
        };
    };
    let raw = Raw::of(&device);
    let import = raw.check().is_ok();
    Support {
        import,
        modifiers: import && raw.modifiers,
    }
}

/// The raw handles of a device, for as long as its guard lives.
struct Raw<'a> {
    device: &'a ash::Device,
    instance: &'a ash::Instance,
    physical: vk::PhysicalDevice,
    family: u32,
    enabled: &'a [&'static std::ffi::CStr],
    /// `VK_EXT_image_drm_format_modifier` is enabled.
    modifiers: bool,
}

impl<'a> Raw<'a> {
    fn of(device: &'a wgpu_hal::vulkan::Device) -> Self {
        let instance = device.shared_instance().raw_instance();
        let raw = device.raw_device();
        // A function of an extension that is not enabled is not there.
        // SAFETY: the device is alive, and the name a C string.
        let function = unsafe {
            (instance.fp_v1_0().get_device_proc_addr)(
                raw.handle(),
                c"vkGetImageDrmFormatModifierPropertiesEXT".as_ptr(),
            )
        };
        Self {
            device: raw,
            instance,
            physical: device.raw_physical_device(),
            family: device.queue_family_index(),
            enabled: device.enabled_device_extensions(),
            modifiers: function.is_some(),
        }
    }

    /// Whether dma-bufs can be imported as buffers.
    fn check(&self) -> Result<(), ImportError> {
        for name in [
            khr::external_memory_fd::NAME,
            ext::external_memory_dma_buf::NAME,
        ] {
            if !self.enabled.contains(&name) {
                return Err(ImportError::Driver(format!(
                    "it has no {}",
                    name.to_string_lossy()
                )));
            }
        }
        let info = vk::PhysicalDeviceExternalBufferInfo::default()
            .usage(vk::BufferUsageFlags::TRANSFER_SRC)
            .handle_type(DMA_BUF);
        let mut properties = vk::ExternalBufferProperties::default();
        // SAFETY: the physical device is the device's own; both structures are complete.
        unsafe {
            (self
                .instance
                .fp_v1_1()
                .get_physical_device_external_buffer_properties)(
                self.physical,
                &info,
                &mut properties,
            );
        }
        let features = properties
            .external_memory_properties
            .external_memory_features;
        if !features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE) {
            return Err(ImportError::Driver(
                "buffers over dma-bufs are not importable".to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether an image of `fourcc` can be over memory with `modifier`.
    fn check_modifier(
        &self,
        plane: usize,
        layout: &DmaBufPlaneLayout,
        modifier: DrmModifier,
        format: vk::Format,
    ) -> Result<(), ImportError> {
        let refused = |reason: String| ImportError::Modifier {
            plane,
            fourcc: layout.fourcc,
            modifier,
            reason,
        };
        if !self.modifiers {
            return Err(refused(
                "the device was made without VK_EXT_image_drm_format_modifier".to_owned(),
            ));
        }
        let known = self.modifiers_of(format);
        let Some(known) = known
            .iter()
            .find(|known| known.drm_format_modifier == modifier.0)
        else {
            return Err(refused("the driver does not know it".to_owned()));
        };
        // Further planes hold compression data, which a plane's description here has no place for.
        if known.drm_format_modifier_plane_count != 1 {
            return Err(refused(format!(
                "it needs {} memory planes",
                known.drm_format_modifier_plane_count
            )));
        }
        let mut modifier_info = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(modifier.0)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        let mut external =
            vk::PhysicalDeviceExternalImageFormatInfo::default().handle_type(DMA_BUF);
        let info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(format)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC)
            .push_next(&mut external)
            .push_next(&mut modifier_info);
        let mut external = vk::ExternalImageFormatProperties::default();
        let mut properties = vk::ImageFormatProperties2::default().push_next(&mut external);
        // SAFETY: complete structures that live until the call returns.
        unsafe {
            self.instance.get_physical_device_image_format_properties2(
                self.physical,
                &info,
                &mut properties,
            )
        }
        .map_err(|e| refused(e.to_string()))?;
        let extent = properties.image_format_properties.max_extent;
        if layout.size.width > extent.width || layout.size.height > extent.height {
            return Err(refused(format!(
                "images have at most {}x{} texels",
                extent.width, extent.height
            )));
        }
        let features = external.external_memory_properties.external_memory_features;
        if !features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE) {
            return Err(refused("its images are not importable".to_owned()));
        }
        Ok(())
    }

    fn modifiers_of(&self, format: vk::Format) -> Vec<vk::DrmFormatModifierPropertiesEXT> {
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default();
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: without a place for them, only the number is written.
        unsafe {
            self.instance.get_physical_device_format_properties2(
                self.physical,
                format,
                &mut properties,
            );
        }
        let count = list.drm_format_modifier_count as usize;
        let mut known = vec![vk::DrmFormatModifierPropertiesEXT::default(); count];
        let mut list = vk::DrmFormatModifierPropertiesListEXT::default()
            .drm_format_modifier_properties(&mut known);
        let mut properties = vk::FormatProperties2::default().push_next(&mut list);
        // SAFETY: there is room for as many as the driver said.
        unsafe {
            self.instance.get_physical_device_format_properties2(
                self.physical,
                format,
                &mut properties,
            );
        }
        let count = list.drm_format_modifier_count as usize;
        known.truncate(count);
        known
    }

    /// The queue family that imported memory comes from.
    fn foreign_family(&self) -> u32 {
        // SAFETY: the loader's function with the device's own physical device.
        let available = unsafe {
            instance::device_extensions(
                self.instance
                    .fp_v1_0()
                    .enumerate_device_extension_properties,
                self.physical,
            )
        };
        // Whoever enabled the modifiers enabled this one with them.
        let foreign = self.modifiers
            && available
                .iter()
                .any(|p| p.extension_name_as_c_str() == Ok(ext::queue_family_foreign::NAME));
        if foreign {
            vk::QUEUE_FAMILY_FOREIGN_EXT
        } else {
            vk::QUEUE_FAMILY_EXTERNAL
        }
    }

    /// Imports a dma-buf as device memory. The driver gets a descriptor of its own.
    fn import_memory(
        &self,
        plane: usize,
        fd: &OwnedFd,
        requirements: vk::MemoryRequirements,
        available: u64,
        image: Option<vk::Image>,
    ) -> Result<vk::DeviceMemory, ImportError> {
        let refused = |call: &str, e: vk::Result| match e {
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
                ImportError::OutOfMemory
            }
            e => ImportError::Refused {
                plane,
                reason: format!("{call}: {e}"),
            },
        };
        let functions = khr::external_memory_fd::Device::new(self.instance, self.device);
        let mut properties = vk::MemoryFdPropertiesKHR::default();
        // SAFETY: the descriptor is open, and the driver does not take it over here.
        unsafe { functions.get_memory_fd_properties(DMA_BUF, fd.as_raw_fd(), &mut properties) }
            .map_err(|e| refused("vkGetMemoryFdPropertiesKHR", e))?;
        let types = properties.memory_type_bits & requirements.memory_type_bits;
        if types == 0 {
            return Err(ImportError::Refused {
                plane,
                reason: "the driver has no type of memory for it".to_owned(),
            });
        }
        if requirements.size > available {
            return Err(ImportError::Refused {
                plane,
                reason: format!(
                    "the driver needs {} bytes, and the dma-buf has {available}",
                    requirements.size
                ),
            });
        }
        let own = fd.try_clone().map_err(|e| ImportError::Refused {
            plane,
            reason: format!("duplicating the descriptor: {e}"),
        })?;
        let mut import = vk::ImportMemoryFdInfoKHR::default()
            .handle_type(DMA_BUF)
            .fd(own.as_raw_fd());
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default();
        let mut allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(available)
            .memory_type_index(types.trailing_zeros())
            .push_next(&mut import);
        if let Some(image) = image {
            dedicated = dedicated.image(image);
            allocate = allocate.push_next(&mut dedicated);
        }
        // SAFETY: the descriptor is open, and memory of that size. On success the driver owns it;
        // on failure `own` closes it.
        let memory = unsafe { self.device.allocate_memory(&allocate, None) }
            .map_err(|e| refused("vkAllocateMemory", e))?;
        let _driver_owns = own.into_raw_fd();
        Ok(memory)
    }

    /// A buffer over `bytes` of a dma-buf, from its start.
    fn import_buffer(
        &self,
        plane: usize,
        fd: &OwnedFd,
        bytes: u64,
        available: u64,
    ) -> Result<Buffer<'_>, ImportError> {
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(DMA_BUF);
        let info = vk::BufferCreateInfo::default()
            .size(bytes)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .push_next(&mut external);
        let mut buffer = self.create_buffer(&info, bytes)?;
        // SAFETY: the buffer is alive.
        let requirements = unsafe { self.device.get_buffer_memory_requirements(buffer.raw) };
        buffer.memory = self.import_memory(plane, fd, requirements, available, None)?;
        buffer.bind()?;
        Ok(buffer)
    }

    /// A buffer of the device's own memory, which an image is copied into on its way to a texture.
    fn staging_buffer(&self, bytes: u64) -> Result<Buffer<'_>, ImportError> {
        let info = vk::BufferCreateInfo::default()
            .size(bytes)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        let mut buffer = self.create_buffer(&info, bytes)?;
        // SAFETY: the buffer and the physical device are alive.
        let (requirements, memory) = unsafe {
            (
                self.device.get_buffer_memory_requirements(buffer.raw),
                self.instance
                    .get_physical_device_memory_properties(self.physical),
            )
        };
        let fits = |(index, _): &(usize, &vk::MemoryType)| {
            requirements.memory_type_bits & (1 << index) != 0
        };
        let types = memory.memory_types_as_slice();
        let local = types.iter().enumerate().filter(fits).find(|(_, ty)| {
            ty.property_flags
                .contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        });
        let (index, _) = local
            .or_else(|| types.iter().enumerate().find(fits))
            .ok_or(ImportError::OutOfMemory)?;
        let allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(index as u32);
        // SAFETY: a type of memory that the buffer can be in.
        buffer.memory = unsafe { self.device.allocate_memory(&allocate, None) }
            .map_err(|e| vulkan("vkAllocateMemory", e))?;
        buffer.bind()?;
        Ok(buffer)
    }

    fn create_buffer(
        &self,
        info: &vk::BufferCreateInfo<'_>,
        bytes: u64,
    ) -> Result<Buffer<'_>, ImportError> {
        // SAFETY: a complete structure with a size that is not zero.
        let raw = unsafe { self.device.create_buffer(info, None) }
            .map_err(|e| vulkan("vkCreateBuffer", e))?;
        Ok(Buffer {
            device: self.device,
            raw,
            memory: vk::DeviceMemory::null(),
            bytes,
        })
    }

    /// An image over a plane of a dma-buf.
    fn import_image(
        &self,
        index: usize,
        plane: &DmaBufPlane,
        layout: &DmaBufPlaneLayout,
        modifier: DrmModifier,
        available: u64,
    ) -> Result<Image, ImportError> {
        let format = image_format(layout.fourcc)?;
        self.check_modifier(index, layout, modifier, format)?;
        let layouts = [vk::SubresourceLayout::default()
            .offset(plane.offset)
            .row_pitch(u64::from(plane.stride))];
        let mut explicit = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(modifier.0)
            .plane_layouts(&layouts);
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(DMA_BUF);
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(format)
            .extent(extent(layout))
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .push_next(&mut external)
            .push_next(&mut explicit);
        // SAFETY: complete structures; the driver has been asked whether it can do this.
        let raw = unsafe { self.device.create_image(&info, None) }.map_err(|e| {
            // The layout of the plane is wrong for the modifier.
            ImportError::Modifier {
                plane: index,
                fourcc: layout.fourcc,
                modifier,
                reason: format!(
                    "vkCreateImage with offset {} and stride {}: {e}",
                    plane.offset, plane.stride
                ),
            }
        })?;
        let mut image = Image {
            device: self.device.clone(),
            raw,
            memory: vk::DeviceMemory::null(),
        };
        // SAFETY: the image is alive.
        let requirements = unsafe { self.device.get_image_memory_requirements(raw) };
        image.memory = self.import_memory(index, &plane.fd, requirements, available, Some(raw))?;
        // SAFETY: the memory is large enough, and bound to nothing else.
        unsafe { self.device.bind_image_memory(raw, image.memory, 0) }
            .map_err(|e| vulkan("vkBindImageMemory", e))?;
        Ok(image)
    }

    /// An image over a linear plane, where the driver lays rows out just as they are there.
    fn import_linear_image(
        &self,
        index: usize,
        plane: &DmaBufPlane,
        layout: &DmaBufPlaneLayout,
        available: u64,
    ) -> Result<Option<Image>, ImportError> {
        let format = image_format(layout.fourcc)?;
        let mut external =
            vk::PhysicalDeviceExternalImageFormatInfo::default().handle_type(DMA_BUF);
        let info = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(format)
            .ty(vk::ImageType::TYPE_2D)
            .tiling(vk::ImageTiling::LINEAR)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC)
            .push_next(&mut external);
        let mut external = vk::ExternalImageFormatProperties::default();
        let mut properties = vk::ImageFormatProperties2::default().push_next(&mut external);
        // SAFETY: complete structures that live until the call returns.
        let supported = unsafe {
            self.instance.get_physical_device_image_format_properties2(
                self.physical,
                &info,
                &mut properties,
            )
        };
        let extent_limit = properties.image_format_properties.max_extent;
        let features = external.external_memory_properties.external_memory_features;
        if supported.is_err()
            || layout.size.width > extent_limit.width
            || layout.size.height > extent_limit.height
            || !features.contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE)
        {
            return Ok(None);
        }
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(DMA_BUF);
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(format)
            .extent(extent(layout))
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::LINEAR)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED)
            .push_next(&mut external);
        // SAFETY: complete structures; the driver has been asked whether it can do this.
        let raw = unsafe { self.device.create_image(&info, None) }
            .map_err(|e| vulkan("vkCreateImage", e))?;
        let mut image = Image {
            device: self.device.clone(),
            raw,
            memory: vk::DeviceMemory::null(),
        };
        let subresource = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: the image is alive, and linear.
        let (own, requirements) = unsafe {
            (
                self.device.get_image_subresource_layout(raw, subresource),
                self.device.get_image_memory_requirements(raw),
            )
        };
        let start = plane.offset.checked_sub(own.offset);
        let Some(start) = start.filter(|start| {
            own.row_pitch == u64::from(plane.stride)
                && start.is_multiple_of(requirements.alignment.max(1))
                && start
                    .checked_add(requirements.size)
                    .is_some_and(|end| end <= available)
        }) else {
            return Ok(None);
        };
        // A dedicated allocation starts where its image does.
        let dedicated = (start == 0).then_some(raw);
        if dedicated.is_none() && features.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY)
        {
            return Ok(None);
        }
        image.memory = self.import_memory(index, &plane.fd, requirements, available, dedicated)?;
        // SAFETY: the memory is large enough, and its start aligned as the driver wants it.
        unsafe { self.device.bind_image_memory(raw, image.memory, start) }
            .map_err(|e| vulkan("vkBindImageMemory", e))?;
        Ok(Some(image))
    }

    /// Records the copy of an imported image into a buffer with rows of `row` bytes.
    ///
    /// # Safety
    /// `commands` is being recorded outside of any pass, and image and buffer live until it has
    /// been executed.
    unsafe fn record_copy(
        &self,
        commands: vk::CommandBuffer,
        image: &Image,
        buffer: vk::Buffer,
        layout: &DmaBufPlaneLayout,
        row: u32,
    ) {
        // What the exporter wrote is acquired as it is: a transition from UNDEFINED may drop it.
        let acquire = vk::ImageMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::empty())
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ)
            .old_layout(vk::ImageLayout::GENERAL)
            .new_layout(vk::ImageLayout::TRANSFER_SRC_OPTIMAL)
            .src_queue_family_index(self.foreign_family())
            .dst_queue_family_index(self.family)
            .image(image.raw)
            .subresource_range(
                vk::ImageSubresourceRange::default()
                    .aspect_mask(vk::ImageAspectFlags::COLOR)
                    .level_count(1)
                    .layer_count(1),
            );
        let region = vk::BufferImageCopy::default()
            .buffer_row_length(row / layout.bytes)
            .image_subresource(
                vk::ImageSubresourceLayers::default()
                    .aspect_mask(vk::ImageAspectFlags::COLOR)
                    .layer_count(1),
            )
            .image_extent(extent(layout));
        let written = vk::BufferMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .buffer(buffer)
            .size(vk::WHOLE_SIZE);
        // SAFETY: as the caller promises; the barriers name these two resources alone.
        unsafe {
            self.device.cmd_pipeline_barrier(
                commands,
                vk::PipelineStageFlags::TOP_OF_PIPE,
                vk::PipelineStageFlags::TRANSFER,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &[acquire],
            );
            self.device.cmd_copy_image_to_buffer(
                commands,
                image.raw,
                vk::ImageLayout::TRANSFER_SRC_OPTIMAL,
                buffer,
                &[region],
            );
            self.device.cmd_pipeline_barrier(
                commands,
                vk::PipelineStageFlags::TRANSFER,
                vk::PipelineStageFlags::TRANSFER,
                vk::DependencyFlags::empty(),
                &[],
                &[written],
                &[],
            );
        }
    }
}

/// A buffer and its memory, destroyed together unless they are given to wgpu.
struct Buffer<'a> {
    device: &'a ash::Device,
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
    bytes: u64,
}

impl Buffer<'_> {
    fn bind(&self) -> Result<(), ImportError> {
        // SAFETY: the memory was made for this buffer, and is bound to nothing else.
        unsafe { self.device.bind_buffer_memory(self.raw, self.memory, 0) }
            .map_err(|e| vulkan("vkBindBufferMemory", e))
    }

    /// Gives the buffer to wgpu, which destroys it when the id is dropped and the GPU is done.
    fn into_wgpu(self, global: &Global, device: DeviceId) -> Result<BufferId, ImportError> {
        // SAFETY: wgpu becomes the only owner of the buffer and its memory.
        let buffer = unsafe {
            wgpu_hal::vulkan::Buffer::from_raw_managed(self.raw, self.memory, 0, self.bytes)
        };
        let descriptor = wgt::BufferDescriptor {
            label: Some("dma-buf".into()),
            size: self.bytes,
            usage: wgt::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        std::mem::forget(self);
        // SAFETY: a buffer of this device, with the size and the usage that it was made with.
        let (id, error) =
            unsafe { global.create_buffer_from_hal::<Vulkan>(buffer, device, &descriptor, None) };
        match error {
            None => Ok(id),
            Some(error) => {
                global.buffer_drop(id);
                Err(ImportError::Failed(format!(
                    "a buffer over a dma-buf: {error}"
                )))
            }
        }
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing else knows the buffer, and no command uses it yet.
        unsafe {
            self.device.destroy_buffer(self.raw, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

/// An imported image and its memory, destroyed together.
struct Image {
    device: ash::Device,
    raw: vk::Image,
    memory: vk::DeviceMemory,
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: whoever holds the image drops it before the device, and after the commands that
        // use it.
        unsafe {
            self.device.destroy_image(self.raw, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

fn vulkan(call: &str, result: vk::Result) -> ImportError {
    match result {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
            ImportError::OutOfMemory
        }
        result => ImportError::Failed(format!("{call}: {result}")),
    }
}

fn extent(layout: &DmaBufPlaneLayout) -> vk::Extent3D {
    vk::Extent3D {
        width: layout.size.width,
        height: layout.size.height,
        depth: 1,
    }
}

fn image_format(fourcc: DrmFourcc) -> Result<vk::Format, ImportError> {
    Ok(match fourcc {
        DrmFourcc::R8 => vk::Format::R8_UNORM,
        DrmFourcc::GR88 => vk::Format::R8G8_UNORM,
        DrmFourcc::R16 => vk::Format::R16_UNORM,
        DrmFourcc::GR1616 => vk::Format::R16G16_UNORM,
        DrmFourcc::ABGR8888 | DrmFourcc::XBGR8888 => vk::Format::R8G8B8A8_UNORM,
        DrmFourcc::ARGB8888 | DrmFourcc::XRGB8888 => vk::Format::B8G8R8A8_UNORM,
        other => {
            return Err(reelcore_media::dmabuf::DmaBufError::Format(other).into());
        }
    })
}

/// Waits until nobody writes to the memory any more: a dma-buf is readable when the fences of its
/// writers are signalled, anything else at once.
fn wait_for_writers(plane: usize, fd: &OwnedFd) -> Result<(), ImportError> {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    let timeout = Timespec::try_from(WRITER_TIMEOUT).ok();
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout.as_ref())) {
        Ok(0) => Err(ImportError::Timeout {
            plane,
            timeout: WRITER_TIMEOUT,
        }),
        Ok(_) => Ok(()),
        Err(error) => Err(ImportError::Failed(format!(
            "waiting for plane {plane}'s fences: {error}"
        ))),
    }
}

/// Where a plane's rows are, for the copy into its texture.
struct Rows {
    buffer: BufferId,
    offset: u64,
    stride: u32,
    way: ImportWay,
}

/// Ids that are dropped on the way out, with the images that commands still use.
struct Cleanup<'a> {
    global: &'a Global,
    buffers: Vec<BufferId>,
    encoders: Vec<CommandEncoderId>,
    commands: Vec<CommandBufferId>,
    textures: Vec<TextureId>,
}

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        for &id in &self.commands {
            self.global.command_buffer_drop(id);
        }
        for &id in &self.encoders {
            self.global.command_encoder_drop(id);
        }
        for &id in &self.buffers {
            self.global.buffer_drop(id);
        }
        for &id in &self.textures {
            self.global.texture_drop(id);
        }
    }
}

pub(super) fn import(
    global: &Global,
    device: DeviceId,
    queue: QueueId,
    frame: &DmaBufFrame,
) -> Result<Vec<ImportedPlane>, ImportError> {
    // SAFETY: the device is not destroyed here.
    let guard = unsafe { global.device_as_hal::<Vulkan>(device) }.ok_or(ImportError::NotVulkan)?;
    let raw = Raw::of(&guard);
    raw.check()?;
    let layouts = frame.layouts();
    let sizes = frame.memory_sizes()?;

    let mut cleanup = Cleanup {
        global,
        buffers: Vec::new(),
        encoders: Vec::new(),
        commands: Vec::new(),
        textures: Vec::new(),
    };
    let mut rows: Vec<Rows> = Vec::with_capacity(layouts.len());
    let mut images: Vec<(Image, vk::Buffer, usize, u32)> = Vec::new();
    let mut shared: Vec<(&Arc<OwnedFd>, BufferId)> = Vec::new();
    for (index, (plane, layout)) in frame.planes().iter().zip(&layouts).enumerate() {
        wait_for_writers(index, &plane.fd)?;
        let linear = frame.modifier() == DrmModifier::LINEAR;
        let image = if linear && plane.stride.is_multiple_of(ROW_ALIGNMENT) {
            None
        } else if linear && !raw.modifiers {
            raw.import_linear_image(index, plane, layout, sizes[index])?
        } else {
            Some(raw.import_image(index, plane, layout, frame.modifier(), sizes[index])?)
        };
        if let Some(image) = image {
            let stride = (layout.size.width * layout.bytes).next_multiple_of(ROW_ALIGNMENT);
            let staging = raw.staging_buffer(u64::from(stride) * u64::from(layout.size.height))?;
            let handle = staging.raw;
            let buffer = staging.into_wgpu(global, device)?;
            cleanup.buffers.push(buffer);
            images.push((image, handle, index, stride));
            rows.push(Rows {
                buffer,
                offset: 0,
                stride,
                way: ImportWay::Image,
            });
            continue;
        }
        let known = shared.iter().find(|(fd, _)| Arc::ptr_eq(fd, &plane.fd));
        let buffer = match known {
            Some(&(_, buffer)) => buffer,
            None => {
                let bytes = linear_end(frame, &layouts, &plane.fd);
                let buffer = raw
                    .import_buffer(index, &plane.fd, bytes, sizes[index])?
                    .into_wgpu(global, device)?;
                cleanup.buffers.push(buffer);
                shared.push((&plane.fd, buffer));
                buffer
            }
        };
        rows.push(Rows {
            buffer,
            offset: plane.offset,
            stride: plane.stride,
            way: if plane.stride.is_multiple_of(ROW_ALIGNMENT) {
                ImportWay::Buffer
            } else {
                ImportWay::Rows
            },
        });
    }

    let mut planes = Vec::with_capacity(layouts.len());
    for (layout, rows) in layouts.iter().zip(&rows) {
        let plane = create_texture(global, device, layout, rows.way)?;
        cleanup.textures.push(plane.texture);
        planes.push(plane);
    }
    if !images.is_empty() {
        let encoder = create_encoder(global, device, &mut cleanup)?;
        // SAFETY: the commands are recorded outside of any pass; the staging buffers belong to
        // ids in `cleanup`, and the images are dropped when the queue is done.
        let recorded = unsafe {
            global.command_encoder_as_hal_mut::<Vulkan, _, _>(encoder, |commands| {
                let Some(commands) = commands else {
                    return false;
                };
                for (image, buffer, index, stride) in &images {
                    raw.record_copy(
                        commands.raw_handle(),
                        image,
                        *buffer,
                        &layouts[*index],
                        *stride,
                    );
                }
                true
            })
        };
        if !recorded {
            return Err(ImportError::Failed(
                "the command encoder cannot be opened".to_owned(),
            ));
        }
        finish(global, encoder, &mut cleanup)?;
    }
    let encoder = create_encoder(global, device, &mut cleanup)?;
    for ((plane, rows), layout) in planes.iter().zip(&rows).zip(&layouts) {
        copy_rows(global, encoder, rows, plane, layout.bytes)?;
    }
    finish(global, encoder, &mut cleanup)?;

    let submitted = global.queue_submit(queue, &cleanup.commands);
    // The images must outlive the commands, whatever became of the submission. The queue's drop
    // waits for its work and calls what is left, before the device goes.
    let images: Vec<Image> = images.into_iter().map(|(image, ..)| image).collect();
    if !images.is_empty() {
        global.queue_on_submitted_work_done(queue, Box::new(move || drop(images)));
    }
    submitted.map_err(|(_, e)| ImportError::Failed(format!("the copy of a dma-buf: {e}")))?;
    cleanup.textures.clear();
    Ok(planes)
}

/// Where the last of the planes in `fd` ends.
fn linear_end(frame: &DmaBufFrame, layouts: &[DmaBufPlaneLayout], fd: &Arc<OwnedFd>) -> u64 {
    frame
        .planes()
        .iter()
        .zip(layouts)
        .filter(|(plane, _)| Arc::ptr_eq(&plane.fd, fd))
        .map(|(plane, layout)| {
            plane.offset
                + u64::from(plane.stride) * u64::from(layout.size.height - 1)
                + u64::from(layout.size.width) * u64::from(layout.bytes)
        })
        .max()
        .unwrap_or(1)
}

fn create_texture(
    global: &Global,
    device: DeviceId,
    layout: &DmaBufPlaneLayout,
    way: ImportWay,
) -> Result<ImportedPlane, ImportError> {
    let format = texture_format(layout.fourcc)
        .ok_or(reelcore_media::dmabuf::DmaBufError::Format(layout.fourcc))?;
    let (texture, error) = global.device_create_texture(
        device,
        &wgt::TextureDescriptor {
            label: Some("dma-buf plane".into()),
            size: texture_extent(layout.size.width, layout.size.height),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format,
            usage: wgt::TextureUsages::COPY_DST
                | wgt::TextureUsages::COPY_SRC
                | wgt::TextureUsages::TEXTURE_BINDING,
            view_formats: Vec::new(),
        },
        None,
    );
    if let Some(error) = error {
        global.texture_drop(texture);
        return Err(ImportError::Failed(format!(
            "a texture for a plane: {error}"
        )));
    }
    Ok(ImportedPlane {
        texture,
        format,
        size: layout.size,
        way,
    })
}

fn texture_extent(width: u32, height: u32) -> wgt::Extent3d {
    wgt::Extent3d {
        width,
        height,
        depth_or_array_layers: 1,
    }
}

fn create_encoder(
    global: &Global,
    device: DeviceId,
    cleanup: &mut Cleanup<'_>,
) -> Result<CommandEncoderId, ImportError> {
    let descriptor = wgt::CommandEncoderDescriptor {
        label: Some("dma-buf".into()),
    };
    let (encoder, error) = global.device_create_command_encoder(device, &descriptor, None);
    cleanup.encoders.push(encoder);
    match error {
        None => Ok(encoder),
        Some(error) => Err(ImportError::Failed(format!("a command encoder: {error}"))),
    }
}

fn finish(
    global: &Global,
    encoder: CommandEncoderId,
    cleanup: &mut Cleanup<'_>,
) -> Result<(), ImportError> {
    let descriptor = wgt::CommandBufferDescriptor { label: None };
    let (commands, error) = global.command_encoder_finish(encoder, &descriptor, None);
    cleanup.commands.push(commands);
    match error {
        None => Ok(()),
        Some((_, error)) => Err(ImportError::Failed(format!(
            "the copy of a dma-buf: {error}"
        ))),
    }
}

/// Copies the rows of a plane into its texture: all at once, or one by one where their stride is
/// none that WebGPU copies.
fn copy_rows(
    global: &Global,
    encoder: CommandEncoderId,
    rows: &Rows,
    plane: &ImportedPlane,
    bytes: u32,
) -> Result<(), ImportError> {
    let Size { width, height } = plane.size;
    let (step, bytes_per_row) = match rows.way {
        ImportWay::Buffer | ImportWay::Image => (height, Some(rows.stride)),
        ImportWay::Rows => (1, None),
    };
    if !rows.offset.is_multiple_of(u64::from(bytes))
        || (rows.way == ImportWay::Rows && !rows.stride.is_multiple_of(bytes))
    {
        return Err(ImportError::Driver(format!(
            "rows at odd places (offset {}, stride {}) have no copy in WebGPU",
            rows.offset, rows.stride
        )));
    }
    for y in (0..height).step_by(step as usize) {
        global
            .command_encoder_copy_buffer_to_texture(
                encoder,
                &wgt::TexelCopyBufferInfo {
                    buffer: rows.buffer,
                    layout: wgt::TexelCopyBufferLayout {
                        offset: rows.offset + u64::from(y) * u64::from(rows.stride),
                        bytes_per_row,
                        rows_per_image: None,
                    },
                },
                &wgt::TexelCopyTextureInfo {
                    texture: plane.texture,
                    mip_level: 0,
                    origin: wgt::Origin3d { x: 0, y, z: 0 },
                    aspect: wgt::TextureAspect::All,
                },
                &texture_extent(width, step),
            )
            .map_err(|e| ImportError::Failed(format!("the copy of a dma-buf: {e}")))?;
    }
    Ok(())
}
