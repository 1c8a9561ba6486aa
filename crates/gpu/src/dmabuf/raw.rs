//! Handles of a Vulkan device, and buffers over imported memory.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use ash::{ext, khr, vk};
use wgpu_core::api::Vulkan;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId};
use wgpu_types as wgt;

use super::ImportError;

pub(super) const DMA_BUF: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;

/// The raw handles of a device, for as long as its guard lives.
pub(super) struct Raw<'a> {
    pub(super) device: &'a ash::Device,
    pub(super) instance: &'a ash::Instance,
    pub(super) physical: vk::PhysicalDevice,
    pub(super) family: u32,
    enabled: &'a [&'static std::ffi::CStr],
    /// `VK_EXT_image_drm_format_modifier` is enabled.
    pub(super) modifiers: bool,
}

impl<'a> Raw<'a> {
    pub(super) fn of(device: &'a wgpu_hal::vulkan::Device) -> Self {
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
    pub(super) fn check(&self) -> Result<(), ImportError> {
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

    /// Imports a dma-buf as device memory. The driver gets a descriptor of its own.
    pub(super) fn import_memory(
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
    pub(super) fn import_buffer(
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
    pub(super) fn staging_buffer(&self, bytes: u64) -> Result<Buffer<'_>, ImportError> {
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
}

/// A buffer and its memory, destroyed together unless they are given to wgpu.
pub(super) struct Buffer<'a> {
    pub(super) device: &'a ash::Device,
    pub(super) raw: vk::Buffer,
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
    pub(super) fn into_wgpu(
        self,
        global: &Global,
        device: DeviceId,
    ) -> Result<BufferId, ImportError> {
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

pub(super) fn vulkan(call: &str, result: vk::Result) -> ImportError {
    match result {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
            ImportError::OutOfMemory
        }
        result => ImportError::Failed(format!("{call}: {result}")),
    }
}
