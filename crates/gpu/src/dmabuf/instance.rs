//! A Vulkan instance whose devices know DRM format modifiers.

use std::ffi::{CStr, c_char, c_void};
use std::slice;
use std::sync::OnceLock;

use ash::{ext, khr, vk};
use wgpu_core::api::Vulkan;
use wgpu_core::global::Global;
use wgpu_types::{InstanceDescriptor, InstanceFlags};

use super::ImportError;

/// What a device gets on top of what wgpu asks for, where the driver has it.
const EXTENSIONS: [&CStr; 3] = [
    ext::image_drm_format_modifier::NAME,
    // Part of Vulkan 1.2, and needed by the modifiers on 1.1.
    khr::image_format_list::NAME,
    ext::queue_family_foreign::NAME,
];

/// The loader's own functions. They are trampolines: the same for every instance.
struct Loader {
    create_device: vk::PFN_vkCreateDevice,
    extensions: vk::PFN_vkEnumerateDeviceExtensionProperties,
}

static LOADER: OnceLock<Loader> = OnceLock::new();

/// A `Global` with the Vulkan back end alone, whose devices can import tiled dma-bufs where the
/// driver can. An embedder puts it into `OpState` (as an `Arc`) before the first `requestAdapter`.
///
/// # Errors
/// [`ImportError::Driver`] when there is no Vulkan loader, or no instance can be made.
pub fn instance(name: &str, descriptor: &InstanceDescriptor) -> Result<Global, ImportError> {
    let driver = |what: &str, error: &dyn std::fmt::Display| {
        ImportError::Driver(format!("{what} failed: {error}"))
    };
    // SAFETY: the loader is the system's own library, as for wgpu's own instance.
    let entry =
        unsafe { ash::Entry::load() }.map_err(|e| driver("loading the Vulkan loader", &e))?;
    // SAFETY: a call without arguments.
    let version = unsafe { entry.try_enumerate_instance_version() }
        .map_err(|e| driver("vkEnumerateInstanceVersion", &e))?
        .unwrap_or(vk::API_VERSION_1_0);
    if version < vk::API_VERSION_1_1 {
        return Err(ImportError::Driver(
            "it has no Vulkan 1.1, which dma-bufs need".to_owned(),
        ));
    }
    // Validation layers and debug messages are wgpu's to set up: its own instance has them.
    let flags = descriptor.flags - (InstanceFlags::DEBUG | InstanceFlags::VALIDATION);
    let extensions = wgpu_hal::vulkan::Instance::desired_extensions(&entry, version, flags)
        .map_err(|e| driver("listing the instance's extensions", &e))?;
    let pointers: Vec<*const c_char> = extensions.iter().map(|name| name.as_ptr()).collect();
    let application = vk::ApplicationInfo::default()
        .engine_name(c"reelcore")
        // The latest that wgpu knows.
        .api_version(vk::API_VERSION_1_3);
    let create = vk::InstanceCreateInfo::default()
        .application_info(&application)
        .enabled_extension_names(&pointers);
    // SAFETY: the names are C strings that live for ever, and the driver lists them all.
    let plain = unsafe { entry.create_instance(&create, None) }
        .map_err(|e| driver("vkCreateInstance", &e))?;
    let handle = plain.handle();

    LOADER.get_or_init(|| Loader {
        create_device: plain.fp_v1_0().create_device,
        extensions: plain.fp_v1_0().enumerate_device_extension_properties,
    });
    let get = entry.static_fn().get_instance_proc_addr;
    // SAFETY: `handle` is alive, and the functions are asked for by the names that ash gives; ours
    // has the signature of the one that it stands for.
    let instance = unsafe {
        ash::Instance::load_with(
            |name| {
                if name == c"vkCreateDevice" {
                    create_device as vk::PFN_vkCreateDevice as *const c_void
                } else {
                    get(handle, name.as_ptr()).map_or(std::ptr::null(), |f| f as *const c_void)
                }
            },
            handle,
        )
    };
    // SAFETY: the instance is from `entry`, with that version and exactly those extensions; wgpu
    // takes it over (there is no drop callback).
    let instance = unsafe {
        wgpu_hal::vulkan::Instance::from_raw(
            entry,
            instance,
            version,
            0,
            None,
            extensions,
            flags,
            descriptor.memory_budget_thresholds,
            false,
            None,
        )
    }
    .map_err(|e| {
        // SAFETY: on an error wgpu has not taken the instance over, and nothing else knows it.
        unsafe { plain.destroy_instance(None) };
        driver("wgpu's set-up of the instance", &e)
    })?;
    // SAFETY: a Vulkan instance for the Vulkan back end.
    Ok(unsafe { Global::from_hal_instance::<Vulkan>(name, instance) })
}

/// `vkCreateDevice` with [`EXTENSIONS`] added.
///
/// # Safety
/// As for `vkCreateDevice`: valid pointers to what they say.
unsafe extern "system" fn create_device(
    physical: vk::PhysicalDevice,
    info: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    device: *mut vk::Device,
) -> vk::Result {
    let Some(loader) = LOADER.get() else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    // SAFETY: the caller passes a valid structure.
    let mut info = unsafe { *info };
    let mut names: Vec<*const c_char> = if info.enabled_extension_count == 0 {
        Vec::new()
    } else {
        // SAFETY: the structure says how many names there are.
        unsafe {
            slice::from_raw_parts(
                info.pp_enabled_extension_names,
                info.enabled_extension_count as usize,
            )
        }
        .to_vec()
    };
    // SAFETY: `physical` is a physical device, as the caller promises.
    let available = unsafe { device_extensions(loader.extensions, physical) };
    // SAFETY: extension names are C strings that live until this call returns.
    let enabled: Vec<&CStr> = names
        .iter()
        .map(|n| unsafe { CStr::from_ptr(*n) })
        .collect();
    let added = missing(&enabled, &available);
    names.extend(added.iter().map(|name| name.as_ptr()));
    info.enabled_extension_count = names.len() as u32;
    info.pp_enabled_extension_names = names.as_ptr();
    // SAFETY: the caller's structure, with names that live until the call returns.
    unsafe { (loader.create_device)(physical, &info, allocator, device) }
}

/// Those of [`EXTENSIONS`] that the driver has, and that are not `enabled` yet.
fn missing(enabled: &[&CStr], available: &[vk::ExtensionProperties]) -> Vec<&'static CStr> {
    EXTENSIONS
        .into_iter()
        .filter(|wanted| !enabled.contains(wanted))
        .filter(|wanted| {
            available
                .iter()
                .any(|p| p.extension_name_as_c_str() == Ok(wanted))
        })
        .collect()
}

/// The extensions of a physical device. None when the driver cannot say.
///
/// # Safety
/// `enumerate` is the loader's function, `physical` a physical device of it.
pub(super) unsafe fn device_extensions(
    enumerate: vk::PFN_vkEnumerateDeviceExtensionProperties,
    physical: vk::PhysicalDevice,
) -> Vec<vk::ExtensionProperties> {
    let mut count = 0;
    // SAFETY: with a null pointer, only the count is written.
    let result = unsafe { enumerate(physical, std::ptr::null(), &mut count, std::ptr::null_mut()) };
    if result != vk::Result::SUCCESS {
        return Vec::new();
    }
    let mut properties = vec![vk::ExtensionProperties::default(); count as usize];
    // SAFETY: there is room for `count`.
    let result = unsafe {
        enumerate(
            physical,
            std::ptr::null(),
            &mut count,
            properties.as_mut_ptr(),
        )
    };
    if result != vk::Result::SUCCESS && result != vk::Result::INCOMPLETE {
        return Vec::new();
    }
    properties.truncate(count as usize);
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &CStr) -> vk::ExtensionProperties {
        vk::ExtensionProperties::default()
            .extension_name(name)
            .expect("a short name")
    }

    #[test]
    fn only_what_the_driver_has_is_added_and_nothing_twice() {
        let driver = [
            named(c"VK_KHR_swapchain"),
            named(ext::queue_family_foreign::NAME),
            named(ext::image_drm_format_modifier::NAME),
        ];
        assert_eq!(
            missing(&[c"VK_KHR_swapchain"], &driver),
            [
                ext::image_drm_format_modifier::NAME,
                ext::queue_family_foreign::NAME
            ]
        );
        let enabled = [ext::image_drm_format_modifier::NAME];
        assert_eq!(
            missing(&enabled, &driver),
            [ext::queue_family_foreign::NAME]
        );
        assert!(missing(&[], &driver[..1]).is_empty());
    }
}
