//! Memory that stays flat, devices that go away, and frames on the wrong one.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reelcore_gpu::wgpu_types as wgt;
use reelcore_gpu::{FrameInit, Gpu, GpuError, Lead, OpenOptions, Stats, TextureDescription};
use reelcore_media::convert::{Fitter, PredefinedColorSpace};
use reelcore_media::pool::BufferPool;
use reelcore_media::{ColorSpace, ErrorKind, PixelFormat, Size, VideoFrame};
use support::{frame, on_gpu, open, rows};

const SRGB: PredefinedColorSpace = PredefinedColorSpace::Srgb;

fn own() -> Arc<Gpu> {
    open(&OpenOptions::default()).unwrap()
}

fn small(seed: u64) -> VideoFrame {
    frame(
        PixelFormat::Nv12,
        Size::new(64, 48),
        ColorSpace::REC709,
        seed,
    )
}

fn rgba_frame(gpu: &Arc<Gpu>, frame: &VideoFrame) -> VideoFrame {
    let texture = gpu.rgba(frame, SRGB).unwrap();
    let description = TextureDescription {
        format: texture.format(),
        size: texture.size(),
        usage: texture.usage(),
        mip_level: 0,
        layer: 0,
    };
    gpu.frame_from_texture(texture.id(), &description, &FrameInit::new(0))
        .unwrap()
}

/// What must not grow: everything but what counts upwards by design, and the bytes of uploads in flight, which come and go.
fn held(stats: Stats) -> Stats {
    Stats {
        reused: 0,
        allocated_bytes: None,
        ..stats
    }
}

#[track_caller]
fn assert_flat(before: Stats, after: Stats) {
    if let (Some(before), Some(after)) = (before.allocated_bytes, after.allocated_bytes) {
        assert!(after <= before + (1 << 20), "{before} bytes became {after}");
    }
}

#[test]
fn ten_thousand_frames_take_no_more_memory_than_a_hundred() {
    let gpu = own();
    let mut fitter = Fitter::new(BufferPool::new(1 << 20));
    let pictures: Vec<_> = (0..8)
        .map(|seed| support::picture(PixelFormat::Nv12, Size::new(64, 48), seed))
        .collect();
    let mut reading = None;
    for round in 0..10_000usize {
        // The same pixels in a new image, as a decoder's pooled memory would be.
        let picture = &pictures[round % pictures.len()];
        let image = reelcore_media::CpuImage::new(
            picture.format(),
            picture.size(),
            picture.planes().to_vec(),
        );
        let frame = VideoFrame::from_cpu(image.unwrap(), 0, None, ColorSpace::REC709);
        let made = rgba_frame(&gpu, &frame);
        // One in ten is read back.
        if round % 10 == 0 {
            let fitted = fitter
                .fit(&made, PixelFormat::I420, Size::new(64, 48))
                .unwrap();
            assert_eq!(fitted.format, Some(PixelFormat::I420));
        }
        drop((frame, made));
        if round == 100 {
            reading = Some(gpu.stats());
        }
    }
    let (before, after) = (reading.unwrap(), gpu.stats());
    assert_eq!(held(after), held(before));
    assert_flat(before, after);
    assert!(after.reused > 29_000, "{after:?}");
    assert!(after.created <= 4, "{after:?}");
}

#[test]
fn uploads_alone_do_not_pile_up_until_somebody_draws() {
    let gpu = own();
    for seed in 0..50 {
        gpu.image(&small(seed)).unwrap();
    }
    let before = gpu.stats();
    for seed in 0..2000 {
        gpu.image(&small(seed % 4)).unwrap();
    }
    let after = gpu.stats();
    assert_eq!(after.wgpu_textures, before.wgpu_textures);
    assert_flat(before, after);
}

#[test]
fn textures_live_as_long_as_their_frame_and_idle_ones_until_trimmed() {
    let gpu = own();
    let frame = small(1);
    let copy = frame.clone();
    gpu.rgba(&frame, SRGB).unwrap();
    assert_eq!(gpu.stats().textures, 3, "luma, chroma and RGBA");
    drop(frame);
    assert_eq!(gpu.stats().idle_textures, 0);
    drop(copy);
    let stats = gpu.stats();
    assert_eq!((stats.textures, stats.idle_textures), (3, 3));
    assert_eq!(stats.idle_bytes, 64 * 48 * 3 / 2 + 64 * 48 * 4);
    gpu.trim();
    let stats = gpu.stats();
    assert_eq!(
        (stats.textures, stats.idle_bytes, stats.wgpu_textures),
        (0, 0, 0)
    );
}

#[test]
fn idle_textures_stay_under_their_limit() {
    let gpu = own();
    gpu.set_idle_limit(100_000);
    let frames: Vec<_> = (0..20).map(small).collect();
    for frame in &frames {
        gpu.image(frame).unwrap();
    }
    assert_eq!(gpu.stats().textures, 40);
    drop(frames);
    let stats = gpu.stats();
    assert!(
        stats.idle_bytes <= 100_000 && stats.idle_bytes > 90_000,
        "{stats:?}"
    );
    assert_eq!(stats.wgpu_textures, stats.textures);
}

#[test]
fn a_destroyed_device_is_lost_for_frames_and_the_cpu_path_goes_on() {
    let gpu = own();
    let frame = small(1);
    let on_device = rgba_frame(&gpu, &frame);
    gpu.global().device_destroy(gpu.device_id());
    assert_eq!(gpu.rgba(&small(2), SRGB).unwrap_err(), GpuError::Lost);
    assert_eq!(gpu.image(&small(3)).unwrap_err(), GpuError::Lost);
    let error = on_device.resource.read_back().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Backend);
    let mut fitter = Fitter::new(BufferPool::new(1 << 20));
    let size = Size::new(64, 48);
    assert!(fitter.fit(&on_device, PixelFormat::I420, size).is_err());
    // The frame that was imported is in CPU memory still.
    fitter.fit(&frame, PixelFormat::I420, size).unwrap();
    drop((frame, on_device));
    gpu.trim();
    assert_eq!(gpu.stats().wgpu_textures, 0);
}

#[test]
fn after_retiring_every_call_says_lost_and_the_textures_are_gone() {
    let gpu = own();
    let frame = small(1);
    let on_device = rgba_frame(&gpu, &frame);
    gpu.retire();
    gpu.retire();
    assert!(gpu.is_retired());
    assert_eq!(gpu.rgba(&frame, SRGB).unwrap_err(), GpuError::Lost);
    assert_eq!(gpu.image(&small(2)).unwrap_err(), GpuError::Lost);
    assert_eq!(
        on_device.resource.read_back().unwrap_err().kind,
        ErrorKind::Backend
    );
    let description = TextureDescription {
        format: wgt::TextureFormat::Rgba8Unorm,
        size: Size::new(64, 48),
        usage: wgt::TextureUsages::COPY_SRC,
        mip_level: 0,
        layer: 0,
    };
    let id = reelcore_gpu::gpu_image(&on_device).unwrap().planes()[0].id();
    let made = gpu.frame_from_texture(id, &description, &FrameInit::new(0));
    assert_eq!(made.unwrap_err(), GpuError::Lost);
    // Ids live as long as their frames, without the memory.
    drop((frame, on_device));
    let stats = gpu.stats();
    assert_eq!(
        (stats.wgpu_textures, stats.wgpu_views, stats.wgpu_buffers),
        (0, 0, 0)
    );
}

#[test]
fn retiring_waits_for_calls_of_other_threads_and_ends_their_waits() {
    for _ in 0..5 {
        let gpu = own();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|seed| {
                    let (gpu, stop) = (&gpu, &stop);
                    scope.spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            let frame = small(seed);
                            let Ok(image) = gpu.image(&frame) else {
                                return true;
                            };
                            match gpu.read_back(&image) {
                                Ok(back) => assert!(
                                    rows(&back, 0) == rows(frame.resource.cpu().unwrap(), 0)
                                ),
                                Err(error) => {
                                    assert_eq!(error, GpuError::Lost);
                                    return true;
                                }
                            }
                        }
                        false
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(20));
            gpu.retire();
            // As its owner does right after.
            gpu.global().device_destroy(gpu.device_id());
            for worker in workers {
                assert!(worker.join().unwrap(), "a call went on");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_frame_of_another_device_is_refused_until_it_is_in_cpu_memory() {
    let (one, other) = (own(), own());
    let frame = small(5);
    let on_one = on_gpu(&one, &frame);
    assert_eq!(other.image(&on_one).unwrap_err(), GpuError::OtherDevice);
    assert_eq!(
        other.rgba(&on_one, SRGB).unwrap_err(),
        GpuError::OtherDevice
    );
    on_one.resource.read_back().unwrap();
    let image = other.image(&on_one).unwrap();
    let back = other.read_back(&image).unwrap();
    assert!(rows(&back, 1) == rows(frame.resource.cpu().unwrap(), 1));
    // A frame in CPU memory has a side on each.
    let (first, second) = (one.image(&frame).unwrap(), other.image(&frame).unwrap());
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &one.image(&frame).unwrap()));
}

#[test]
fn threads_that_want_the_same_image_upload_it_once() {
    let gpu = own();
    let frame = small(9);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| gpu.rgba(&frame, SRGB).unwrap());
        }
    });
    assert_eq!(gpu.stats().created, 3);
}

#[test]
fn what_was_prepared_is_taken_once_with_its_view_and_is_not_reused() {
    let gpu = own();
    let frame = small(1);
    assert!(gpu.prepare_external(&frame, SRGB, &Arc::default()));
    let prepared = gpu.stats();
    let (texture, view) = gpu.external_texture(&frame, SRGB).unwrap();
    let taken = gpu.stats();
    assert_eq!(
        (taken.created, taken.reused, taken.wgpu_views),
        (prepared.created, prepared.reused, prepared.wgpu_views),
        "nothing is made when it is asked for"
    );
    let (other, other_view) = gpu.external_texture(&frame, SRGB).unwrap();
    assert_ne!(texture.id(), other.id(), "each expires by itself");
    for view in [view, other_view] {
        gpu.global().texture_view_drop(view);
    }
    drop((frame, texture, other));
    let last = gpu.stats();
    assert_eq!(last.textures, last.idle_textures);
    assert_eq!(last.idle_textures, 2, "the planes; who knows the others");
    gpu.trim();
    let empty = gpu.stats();
    assert_eq!((empty.wgpu_textures, empty.wgpu_views), (0, 0));
}

#[test]
fn a_decoder_whose_frames_nobody_imports_is_not_kept_busy_by_another_one() {
    let gpu = own();
    let (seen, unseen) = (Arc::<Lead>::default(), Arc::<Lead>::default());
    let mut in_vain = 0;
    for timestamp in 0..100 {
        let frame = small(timestamp);
        assert!(
            gpu.prepare_external(&frame, SRGB, &seen),
            "frame {timestamp}"
        );
        let (texture, view) = gpu.external_texture(&frame, SRGB).unwrap();
        gpu.global().texture_view_drop(view);
        drop(texture);
        in_vain += u32::from(gpu.prepare_external(&small(timestamp), SRGB, &unseen));
    }
    assert_eq!(in_vain, 32);
}

#[test]
fn an_expired_texture_is_destroyed_when_settle_returns() {
    let gpu = own();
    let frame = small(2);
    let (texture, view) = gpu.external_texture(&frame, SRGB).unwrap();
    gpu.expire(texture.clone());
    assert!(!texture.is_destroyed());
    gpu.settle();
    assert!(texture.is_destroyed());
    let error = gpu.read_texture(&texture);
    assert!(matches!(error, Err(GpuError::Validation(_))), "{error:?}");
    gpu.global().texture_view_drop(view);
}
