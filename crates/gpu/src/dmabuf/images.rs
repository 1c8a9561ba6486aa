//! Images over imported memory: tiled as a DRM modifier says, or linear.

use ash::{ext, vk};
use reelcore_media::dmabuf::{DmaBufError, DmaBufPlane, DmaBufPlaneLayout, DrmFourcc, DrmModifier};

use super::raw::{DMA_BUF, Raw, vulkan};
use super::{ImportError, instance};

impl Raw<'_> {
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

    /// An image over a plane of a dma-buf.
    pub(super) fn import_image(
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
    pub(super) fn import_linear_image(
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
    pub(super) unsafe fn record_copy(
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

/// An imported image and its memory, destroyed together.
pub(super) struct Image {
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
            return Err(DmaBufError::Format(other).into());
        }
    })
}
