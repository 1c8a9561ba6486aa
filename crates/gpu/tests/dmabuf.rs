//! dma-buf import on a lavapipe that takes memfds for dma-bufs (Mesa 24.1 and later). The driver is
//! chosen by the environment, so each test runs in a process of its own.
#![cfg(target_os = "linux")]

mod device;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use device::Device;
use reelcore_gpu::dmabuf::{self, ImportError, ImportWay, ImportedPlane, Support};
use reelcore_gpu::wgpu_types as wgt;
use reelcore_media::dmabuf::{DmaBufFrame, DmaBufPlane, DrmFourcc, DrmModifier};
use reelcore_media::geometry::Size;

const CHILD: &str = "REELCORE_DMABUF_TEST";

/// Where `./x setup` puts a newer lavapipe, or the system's own.
fn driver() -> PathBuf {
    if let Some(path) = std::env::var_os("REELCORE_LAVAPIPE") {
        return path.into();
    }
    let cache = std::env::var_os("REELCORE_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .expect("a home directory")
            .join("reelcore")
    });
    let own = cache.join("lavapipe/lvp_icd.json");
    if own.exists() { own } else { system_driver() }
}

fn system_driver() -> PathBuf {
    let folder = "/usr/share/vulkan/icd.d";
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"))
        })
        .unwrap_or_else(|| panic!("no lavapipe in {folder}: install mesa-vulkan-drivers"))
}

/// Runs the rest of the test `name` in a process that has `driver` alone.
fn in_child(name: &str, driver: PathBuf, test: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().expect("own path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("VK_DRIVER_FILES", &driver)
        .env("VK_ICD_FILENAMES", &driver)
        .output()
        .expect("own program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "with {}: {}\n{text}\n{}",
        driver.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A device as any embedder has it.
fn plain() -> Device {
    let device = Device::open();
    assert!(
        dmabuf::support(&device.global, device.device).import,
        "this lavapipe cannot import dma-bufs: ./x setup gets one that can"
    );
    device
}

/// A device from our instance, which knows format modifiers where the driver does. Mesa's lavapipe
/// came to know them after 25.0.
fn from_instance() -> Device {
    let descriptor = wgt::InstanceDescriptor::new_without_display_handle();
    let device = Device::over(dmabuf::instance("tests", &descriptor).expect("instance"));
    let Support { import, .. } = dmabuf::support(&device.global, device.device);
    assert!(import, "./x setup gets a lavapipe that can");
    device
}

fn memfd(bytes: &[u8]) -> Arc<OwnedFd> {
    let fd = rustix::fs::memfd_create("frame", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
    let file = File::from(fd);
    file.write_all_at(bytes, 0).expect("write");
    Arc::new(file.into())
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

/// One memfd with every plane of a frame at odd places, and what the textures must hold.
fn frame(
    fourcc: DrmFourcc,
    size: Size,
    planes: &[(u32, u32, u32)],
    start: usize,
    stride_of: impl Fn(u32) -> u32,
) -> (DmaBufFrame, Vec<Vec<u8>>) {
    let mut memory = noise(start, 99);
    let mut layout = Vec::new();
    let mut wanted = Vec::new();
    for (index, &(width, height, bytes)) in planes.iter().enumerate() {
        let row = (width * bytes) as usize;
        let stride = stride_of(width * bytes);
        layout.push((memory.len() as u64, stride));
        let samples = noise(row * height as usize, index as u32 + 1);
        for line in samples.chunks_exact(row) {
            memory.extend_from_slice(line);
            memory.extend(noise(stride as usize - row, 7));
        }
        wanted.push(samples);
    }
    memory.resize(memory.len().next_multiple_of(4096), 0);
    let fd = memfd(&memory);
    let planes = layout
        .into_iter()
        .map(|(offset, stride)| DmaBufPlane {
            fd: fd.clone(),
            offset,
            stride,
        })
        .collect();
    let frame = DmaBufFrame::new(fourcc, size, DrmModifier::LINEAR, planes).expect("frame");
    (frame, wanted)
}

fn import(device: &Device, frame: &DmaBufFrame) -> Result<Vec<ImportedPlane>, ImportError> {
    dmabuf::import(&device.global, device.device, device.queue, frame)
}

#[track_caller]
fn assert_imported(device: &Device, frame: &DmaBufFrame, wanted: &[Vec<u8>]) -> Vec<ImportWay> {
    let planes = import(device, frame).expect("import");
    assert_eq!(planes.len(), wanted.len());
    for ((plane, layout), wanted) in planes.iter().zip(frame.layouts()).zip(wanted) {
        assert_eq!(plane.size, layout.size);
        let Size { width, height } = plane.size;
        let found = device.texels(plane.texture, width, height, layout.bytes);
        assert_eq!(&found, wanted, "{} {:?}", frame.fourcc(), plane.format);
        device.global.texture_drop(plane.texture);
    }
    planes.iter().map(|plane| plane.way).collect()
}

/// Width, height and bytes a texel of each plane.
type Planes = Vec<(u32, u32, u32)>;

/// Every format, odd sizes included.
fn formats() -> Vec<(DrmFourcc, Size, Planes)> {
    let size = Size::new(53, 19);
    let whole = |bytes| (53, 19, bytes);
    vec![
        (DrmFourcc::NV12, size, vec![whole(1), (27, 10, 2)]),
        (DrmFourcc::P010, size, vec![whole(2), (27, 10, 4)]),
        (
            DrmFourcc::YUV420,
            size,
            vec![whole(1), (27, 10, 1), (27, 10, 1)],
        ),
        (
            DrmFourcc::YUV422,
            size,
            vec![whole(1), (27, 19, 1), (27, 19, 1)],
        ),
        (DrmFourcc::YUV444, size, vec![whole(1), whole(1), whole(1)]),
        (DrmFourcc::ARGB8888, size, vec![whole(4)]),
        (DrmFourcc::XBGR8888, size, vec![whole(4)]),
    ]
}

#[test]
fn linear_planes_with_aligned_rows_arrive_whole() {
    in_child(
        "linear_planes_with_aligned_rows_arrive_whole",
        driver(),
        || {
            let device = plain();
            for (fourcc, size, planes) in formats() {
                let (frame, wanted) = frame(fourcc, size, &planes, 512, |row| {
                    row.next_multiple_of(256) + 256
                });
                let ways = assert_imported(&device, &frame, &wanted);
                assert!(ways.iter().all(|way| *way == ImportWay::Buffer), "{ways:?}");
            }
        },
    );
}

#[test]
fn rows_of_any_stride_arrive_whole() {
    in_child("rows_of_any_stride_arrive_whole", driver(), || {
        let device = plain();
        assert!(!dmabuf::support(&device.global, device.device).modifiers);
        let mut ways = Vec::new();
        for (fourcc, size, planes) in formats() {
            // Row by row: no driver pads so. Then as an image: many drivers do this.
            for (start, padding) in [(64, 16), (0, 64), (4096, 128)] {
                let (frame, wanted) = frame(fourcc, size, &planes, start, |row| {
                    row.next_multiple_of(padding) + padding % 64
                });
                ways.extend(assert_imported(&device, &frame, &wanted));
            }
        }
        // All ways were taken, or the test proves less than it says.
        for way in [ImportWay::Buffer, ImportWay::Rows, ImportWay::Image] {
            assert!(ways.contains(&way), "{way:?} is not among {ways:?}");
        }
    });
}

#[test]
fn rows_of_any_stride_arrive_whole_on_a_device_of_our_instance() {
    in_child(
        "rows_of_any_stride_arrive_whole_on_a_device_of_our_instance",
        driver(),
        || {
            let device = from_instance();
            for (fourcc, size, planes) in formats() {
                let (frame, wanted) = frame(fourcc, size, &planes, 64, |row| {
                    row.next_multiple_of(64) + 64
                });
                assert_imported(&device, &frame, &wanted);
                // Aligned rows take the way through a buffer, on the same device.
                let (frame, wanted) =
                    self::frame(fourcc, size, &planes, 0, |row| row.next_multiple_of(256));
                assert_imported(&device, &frame, &wanted);
            }
        },
    );
}

#[test]
fn each_plane_may_have_its_own_memory() {
    in_child("each_plane_may_have_its_own_memory", driver(), || {
        for device in [plain(), from_instance()] {
            let luma = noise(512 * 4, 1);
            let chroma = noise(512 * 2, 2);
            let plane = |bytes: &[u8]| DmaBufPlane {
                fd: memfd(bytes),
                offset: 0,
                stride: 512,
            };
            let planes = vec![plane(&luma), plane(&chroma)];
            let frame = DmaBufFrame::new(
                DrmFourcc::NV12,
                Size::new(512, 4),
                DrmModifier::LINEAR,
                planes,
            )
            .unwrap();
            assert_imported(&device, &frame, &[luma, chroma]);
        }
    });
}

#[test]
fn a_texture_keeps_what_was_in_the_memory_when_it_was_imported() {
    in_child(
        "a_texture_keeps_what_was_in_the_memory_when_it_was_imported",
        driver(),
        || {
            let device = plain();
            let before = noise(256 * 8, 5);
            let fd = memfd(&before);
            let plane = DmaBufPlane {
                fd: fd.clone(),
                offset: 0,
                stride: 256,
            };
            let frame = DmaBufFrame::new(
                DrmFourcc::ABGR8888,
                Size::new(64, 8),
                DrmModifier::LINEAR,
                vec![plane],
            )
            .unwrap();
            let planes = import(&device, &frame).unwrap();
            device.wait();
            let file = File::from(fd.try_clone().unwrap());
            file.write_all_at(&noise(256 * 8, 6), 0).unwrap();
            assert_eq!(device.texels(planes[0].texture, 64, 8, 4), before);
            // The memory itself was shared, not copied on the CPU: the next import sees it.
            assert_imported(&device, &frame, &[noise(256 * 8, 6)]);
        },
    );
}

#[test]
fn modifiers_that_the_device_does_not_know_are_refused_by_name() {
    in_child(
        "modifiers_that_the_device_does_not_know_are_refused_by_name",
        driver(),
        || {
            // Intel's Y tiling.
            let tiled = DrmModifier(0x0100_0000_0000_0002);
            let frame = |modifier| {
                let plane = DmaBufPlane {
                    fd: memfd(&[0; 4096]),
                    offset: 0,
                    stride: 128,
                };
                DmaBufFrame::new(DrmFourcc::XRGB8888, Size::new(8, 8), modifier, vec![plane])
                    .unwrap()
            };
            for device in [plain(), from_instance()] {
                let reason = match dmabuf::support(&device.global, device.device).modifiers {
                    true => "does not know",
                    false => "VK_EXT_image_drm_format_modifier",
                };
                let error = import(&device, &frame(tiled)).unwrap_err();
                let ImportError::Modifier { plane: 0, .. } = error else {
                    panic!("{error:?}");
                };
                let text = error.to_string();
                assert!(
                    text.contains("XR24")
                        && text.contains("0x0100000000000002")
                        && text.contains(reason),
                    "{text}"
                );
                // The device is as good as before.
                assert_imported(&device, &frame(DrmModifier::LINEAR), &[vec![0; 8 * 8 * 4]]);
            }
        },
    );
}

#[test]
fn memory_that_the_driver_does_not_take_is_refused() {
    in_child(
        "memory_that_the_driver_does_not_take_is_refused",
        driver(),
        || {
            let device = plain();
            // A size and a position it has, but it is neither a dma-buf nor a memfd, and cannot be
            // mapped.
            let fd: OwnedFd = File::open("/proc/self/mem").unwrap().into();
            let plane = DmaBufPlane {
                fd: Arc::new(fd),
                offset: 0,
                stride: 256,
            };
            let frame = DmaBufFrame::new(
                DrmFourcc::ABGR8888,
                Size::new(64, 8),
                DrmModifier::LINEAR,
                vec![plane],
            );
            match frame {
                Err(error) => assert!(error.to_string().contains("no memory"), "{error}"),
                Ok(frame) => {
                    let error = import(&device, &frame).unwrap_err();
                    assert!(
                        matches!(error, ImportError::Refused { plane: 0, .. }),
                        "{error:?}"
                    );
                }
            }
            // Made smaller after it was described.
            let fd = memfd(&[0; 8192]);
            let plane = DmaBufPlane {
                fd: fd.clone(),
                offset: 4096,
                stride: 256,
            };
            let frame = DmaBufFrame::new(
                DrmFourcc::ABGR8888,
                Size::new(64, 8),
                DrmModifier::LINEAR,
                vec![plane],
            )
            .unwrap();
            File::from(fd.try_clone().unwrap()).set_len(4096).unwrap();
            let error = import(&device, &frame).unwrap_err();
            assert!(
                matches!(error, ImportError::Refused { plane: 0, .. }),
                "{error:?}"
            );
        },
    );
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn no_descriptor_and_no_texture_is_left_behind() {
    in_child(
        "no_descriptor_and_no_texture_is_left_behind",
        driver(),
        || {
            for device in [plain(), from_instance()] {
                let round = |stride: u32| {
                    let (good, wanted) = frame(
                        DrmFourcc::NV12,
                        Size::new(64, 32),
                        &[(64, 32, 1), (32, 16, 2)],
                        256,
                        |_| stride,
                    );
                    assert_imported(&device, &good, &wanted);
                    let planes = good.planes().to_vec();
                    let bad = DmaBufFrame::new(
                        DrmFourcc::NV12,
                        Size::new(64, 32),
                        DrmModifier(0x0200_0000_0000_0001),
                        planes,
                    )
                    .unwrap();
                    import(&device, &bad).unwrap_err();
                    device.wait();
                };
                round(256);
                round(320);
                let descriptors = open_descriptors();
                let report = || {
                    let hub = device.global.generate_report();
                    let hub = hub.hub_report();
                    (
                        hub.textures.num_kept_from_user,
                        hub.buffers.num_kept_from_user,
                        hub.command_encoders.num_kept_from_user,
                        hub.command_buffers.num_kept_from_user,
                    )
                };
                let kept = report();
                for _ in 0..200 {
                    round(256);
                    round(320);
                }
                assert_eq!(open_descriptors(), descriptors);
                assert_eq!(report(), kept);
            }
        },
    );
}

#[test]
fn a_device_may_go_while_an_import_is_under_way() {
    in_child(
        "a_device_may_go_while_an_import_is_under_way",
        driver(),
        || {
            for _ in 0..20 {
                let device = from_instance();
                let (good, _) = frame(
                    DrmFourcc::ARGB8888,
                    Size::new(640, 480),
                    &[(640, 480, 4)],
                    0,
                    |row| row + 64,
                );
                import(&device, &good).unwrap();
                let Device {
                    global,
                    adapter,
                    device,
                    queue,
                } = device;
                global.queue_drop(queue);
                global.device_drop(device);
                global.adapter_drop(adapter);
                drop(global);
            }
        },
    );
}

#[test]
fn a_driver_without_dma_bufs_is_named_as_the_reason() {
    in_child(
        "a_driver_without_dma_bufs_is_named_as_the_reason",
        system_driver(),
        || {
            let device = Device::open();
            let (frame, wanted) = frame(
                DrmFourcc::ABGR8888,
                Size::new(8, 8),
                &[(8, 8, 4)],
                0,
                |_| 256,
            );
            if dmabuf::support(&device.global, device.device).import {
                assert_imported(&device, &frame, &wanted);
            } else {
                let error = import(&device, &frame).unwrap_err();
                assert!(matches!(error, ImportError::Driver(_)), "{error:?}");
                let text = error.to_string();
                assert!(text.contains("VK_EXT_external_memory_dma_buf"), "{text}");
            }
        },
    );
}
