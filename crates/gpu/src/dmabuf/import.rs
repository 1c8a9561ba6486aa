//! The import itself: what is imported how, and the copies into textures.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ash::vk;
use reelcore_media::dmabuf::{DmaBufError, DmaBufFrame, DmaBufPlaneLayout, DrmModifier};
use reelcore_media::geometry::Size;
use rustix::event::{PollFd, PollFlags, Timespec};
use wgpu_core::api::Vulkan;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_types as wgt;

use super::images::Image;
use super::raw::Raw;
use super::{ImportError, ImportWay, ImportedPlane, Support, WRITER_TIMEOUT, texture_format};

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
    let format = texture_format(layout.fourcc).ok_or(DmaBufError::Format(layout.fourcc))?;
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
