//! What comes back from the device: exact where nothing is asked for, within one code value of 64-bit floating point where it is
//! converted or scaled.

mod support;

use reelcore_gpu::{Gpu, GpuError, OpenOptions, wgpu_types as wgt};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::{Fitter, PredefinedColorSpace, effective_color_space};
use reelcore_media::format::PixelLayout;
use reelcore_media::frame::ReadBack;
use reelcore_media::pool::BufferPool;
use reelcore_media::{ColorSpace, CpuImage, ErrorKind, PixelFormat, Plane, Rect, Size, VideoFrame};
use support::reference::{Image, Kernel, at_depth, chroma_position, to_codes};
use support::{code, frame, gpu, on_gpu, open, rect, rows};

const PQ: ColorSpace = ColorSpace {
    primaries: Some(Primaries::Bt2020),
    transfer: Some(Transfer::Pq),
    matrix: Some(Matrix::Bt2020Ncl),
    full_range: Some(false),
};

const JPEG: ColorSpace = ColorSpace {
    primaries: Some(Primaries::Bt709),
    transfer: Some(Transfer::Bt709),
    matrix: Some(Matrix::Smpte170m),
    full_range: Some(true),
};

/// Reads `wanted` of `frame` back and compares every sample.
#[track_caller]
fn check(frame: &VideoFrame, wanted: ReadBack) -> CpuImage {
    let gpu = gpu();
    let stored = frame.resource.cpu().unwrap();
    let found = gpu
        .read_back_as(&gpu.image(frame).unwrap(), &wanted)
        .unwrap();
    assert_eq!((found.format(), found.size()), (wanted.format, wanted.size));
    let (from, to) = (stored.format(), wanted.format);
    let mut image = Image::new(stored, wanted.rect, wanted.color_space, to.has_alpha());
    let size = wanted.size;
    image.covered = size != wanted.rect.size();
    if image.covered {
        image.kernel = Kernel::CatmullRom;
    }
    let same = wanted.target == wanted.color_space && from.is_rgb() == to.is_rgb();
    let target = match same {
        true => image.color,
        false => effective_color_space(wanted.target, to, stored.size()),
    };
    let scale = (
        f64::from(wanted.rect.width) / f64::from(size.width),
        f64::from(wanted.rect.height) / f64::from(size.height),
    );
    let depth = to.bit_depth();
    let top = f64::from((1u32 << depth) - 1);
    let tolerance = if depth > 8 { 4.0 } else { 1.0 };
    for plane in 0..to.num_planes() {
        let (h, v) = to.subsampling(plane);
        let samples = to.plane_size(plane, size);
        let spacing = (scale.0 * f64::from(h), scale.1 * f64::from(v));
        for y in 0..samples.height as usize {
            for x in 0..samples.width as usize {
                let (px, py) = match (h, v) {
                    (1, 1) => (x as f64 + 0.5, y as f64 + 0.5),
                    _ => chroma_position(to, target, x, y),
                };
                let at = (px * scale.0, py * scale.1);
                let (codes, alpha) = if same && !from.is_rgb() {
                    let (codes, alpha) = image.codes(at, spacing);
                    (at_depth(codes, image.color, from.bit_depth(), depth), alpha)
                } else {
                    let managed = image.color.primaries != target.primaries
                        || matches!(image.color.transfer, Some(Transfer::Pq | Transfer::Hlg))
                            && image.color.transfer != target.transfer;
                    let (signal, alpha) = match managed {
                        true => image.shown(at, spacing, target.primaries.unwrap()),
                        false => image.signal(at, spacing),
                    };
                    let codes = match to.is_rgb() {
                        true => signal.map(|value| value * 255.0),
                        false => to_codes(signal, target, depth),
                    };
                    (codes, alpha)
                };
                let [a, b, c] = codes;
                let wanted: &[f64] = match (to.layout(), plane) {
                    (PixelLayout::Rgba, _) => &[a, b, c, alpha * top],
                    (PixelLayout::Bgra, _) => &[c, b, a, alpha * top],
                    (PixelLayout::Nv12, 1) => &[b, c],
                    (_, 0) => &[a],
                    (_, 1) => &[b],
                    (_, 2) => &[c],
                    _ => &[alpha * top],
                };
                for (component, wanted) in wanted.iter().enumerate() {
                    let found = f64::from(code(&found, plane, component, x, y));
                    let wanted = wanted.clamp(0.0, top);
                    assert!(
                        (found - wanted).abs() <= tolerance,
                        "{from:?} {:?} to {to:?} {target:?}, plane {plane} at {x},{y}, component {component}: \
                         {found}, not {wanted}",
                        image.color
                    );
                }
            }
        }
    }
    found
}

fn whole(frame: &VideoFrame, format: PixelFormat, target: ColorSpace) -> ReadBack {
    ReadBack {
        rect: frame.visible_rect,
        color_space: frame.color_space,
        format,
        size: frame.visible_rect.size(),
        target,
    }
}

#[test]
fn every_format_comes_back_bit_by_bit() {
    for size in [Size::new(13, 7), Size::new(1, 1), Size::new(256, 2)] {
        for &format in PixelFormat::ALL {
            let frame = frame(format, size, ColorSpace::REC709, 2);
            let back = on_gpu(&gpu(), &frame).resource.read_back().unwrap();
            assert_eq!(back.size(), size);
            let stored = frame.resource.cpu().unwrap();
            for plane in 0..format.num_planes() {
                assert!(
                    rows(&back, plane) == rows(stored, plane),
                    "{format:?} plane {plane}"
                );
            }
        }
    }
}

#[test]
fn images_larger_than_any_buffer_come_back_whole() {
    let limits = wgt::Limits {
        // Ten rows of luma, with a rest that no row fits.
        max_buffer_size: 10 * 512 + 300,
        ..gpu().limits().clone()
    };
    let gpu = open(&OpenOptions {
        limits: Some(limits),
        ..OpenOptions::default()
    })
    .unwrap();
    let size = Size::new(301, 47);
    for format in [
        PixelFormat::Rgba,
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::I422AP10,
    ] {
        let frame = frame(format, size, ColorSpace::REC709, 5);
        let stored = frame.resource.cpu().unwrap();
        let back = on_gpu(&gpu, &frame).resource.read_back().unwrap();
        assert_eq!((back.format(), back.size()), (format, size));
        for plane in 0..format.num_planes() {
            let same = rows(&back, plane) == rows(stored, plane);
            assert!(same, "{format:?} plane {plane}");
        }
        let wanted = ReadBack {
            rect: rect(2, 4, 262, 38),
            size: Size::new(262, 38),
            ..whole(&frame, format, frame.color_space)
        };
        let part = gpu.read_back_as(&gpu.image(&frame).unwrap(), &wanted);
        let part = part.unwrap();
        for plane in 0..format.num_planes() {
            let (h, v) = format.subsampling(plane);
            let left = (wanted.rect.x / h) as usize * format.sample_bytes(plane);
            let stored = rows(stored, plane);
            let below = &stored[(wanted.rect.y / v) as usize..];
            for (found, row) in rows(&part, plane).iter().zip(below) {
                let same = found[..] == row[left..][..found.len()];
                assert!(same, "a part of {format:?}, plane {plane}");
            }
        }
    }
    let most = gpu.limits().max_buffer_size;
    let stats = gpu.stats();
    assert!(stats.buffer_bytes <= stats.buffers as u64 * most);
    // What is converted is read whole and converted on the CPU.
    let frame = frame(PixelFormat::Rgba, size, ColorSpace::SRGB, 6);
    let wanted = whole(&frame, PixelFormat::I420, ColorSpace::REC709);
    let image = gpu.image(&frame).unwrap();
    let refused = gpu.read_back_as(&image, &wanted);
    assert!(matches!(refused, Err(GpuError::Unsupported { .. })));
    let texels = |gpu: &std::sync::Arc<Gpu>| {
        let texture = gpu.rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
        gpu.read_texture(&texture).unwrap()
    };
    assert!(texels(&gpu) == texels(&support::gpu()));
    // A row that no buffer holds.
    let wide = on_gpu(
        &gpu,
        &support::frame(PixelFormat::Rgba, Size::new(1500, 2), ColorSpace::SRGB, 7),
    );
    let refused = wide.resource.read_back().unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unsupported, "{refused}");
}

#[test]
fn a_frame_is_downloaded_once_however_often_it_is_read() {
    let frame = frame(PixelFormat::Nv12, Size::new(8, 8), ColorSpace::REC709, 2);
    let resource = on_gpu(&gpu(), &frame).resource;
    assert!(resource.cpu().is_none());
    let first = resource.read_back().unwrap();
    assert!(std::sync::Arc::ptr_eq(
        &first,
        &resource.read_back().unwrap()
    ));
    assert!(std::ptr::eq(resource.cpu().unwrap(), &*first));
}

#[test]
fn a_part_on_whole_samples_is_copied_bit_by_bit() {
    let frame = frame(
        PixelFormat::I422AP10,
        Size::new(40, 20),
        ColorSpace::REC709,
        4,
    );
    for format in [PixelFormat::I422AP10, PixelFormat::I422P10] {
        let part = rect(4, 3, 31, 11);
        let wanted = ReadBack {
            rect: part,
            size: part.size(),
            ..whole(&frame, format, frame.color_space)
        };
        let found = check(&frame, wanted);
        let stored = frame.resource.cpu().unwrap();
        for plane in 0..format.num_planes() {
            let (h, _) = format.subsampling(plane);
            for (y, row) in rows(&found, plane).into_iter().enumerate() {
                let left = (part.x / h) as usize * 2;
                assert_eq!(row, rows(stored, plane)[y + 3][left..][..row.len()]);
            }
        }
    }
}

#[test]
fn rgb_becomes_what_encoders_take() {
    let wide = ColorSpace {
        primaries: Some(Primaries::Bt2020),
        transfer: Some(Transfer::Bt709),
        matrix: Some(Matrix::Bt2020Ncl),
        full_range: Some(false),
    };
    for source in [PixelFormat::Rgba, PixelFormat::Bgrx] {
        let frame = frame(source, Size::new(19, 9), ColorSpace::SRGB, 8);
        for format in PixelFormat::ALL.iter().copied() {
            for target in [ColorSpace::REC709, JPEG, wide] {
                if !format.is_rgb() {
                    check(&frame, whole(&frame, format, target));
                }
            }
        }
    }
}

#[test]
fn encoders_get_the_same_of_rgb_whether_it_was_read_before_or_not() {
    let hdr = ColorSpace {
        primaries: Some(Primaries::Bt2020),
        transfer: Some(Transfer::Pq),
        ..ColorSpace::SRGB
    };
    let size = Size::new(37, 11);
    for source in [PixelFormat::Rgba, PixelFormat::Bgrx] {
        for color in [ColorSpace::SRGB, hdr] {
            let frame = frame(source, size, color, 9);
            let takes = |format: &PixelFormat| format.num_planes() == 3 && !format.has_alpha();
            for format in PixelFormat::ALL.iter().copied().filter(takes) {
                let mut fitter = Fitter::new(BufferPool::new(1 << 20));
                let unread = on_gpu(&gpu(), &frame);
                let of_gpu = fitter.fit(&unread, format, size).unwrap();
                assert!(unread.resource.cpu().is_none(), "it was not moved whole");
                unread.resource.read_back().unwrap();
                let of_cpu = fitter.fit(&unread, format, size).unwrap();
                assert_eq!(of_gpu.color_space, of_cpu.color_space);
                let [gpu, cpu] = [&of_gpu, &of_cpu].map(|frame| frame.resource.cpu().unwrap());
                for plane in 0..3 {
                    let samples = format.plane_size(plane, size);
                    for y in 0..samples.height as usize {
                        for x in 0..samples.width as usize {
                            let [gpu, cpu] = [gpu, cpu].map(|image| code(image, plane, 0, x, y));
                            assert!(
                                gpu.abs_diff(cpu) <= 1,
                                "{source:?} to {format:?}, plane {plane} at {x},{y}: {gpu}, {cpu}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn yuv_becomes_yuv_of_other_depth_subsampling_range_and_matrix() {
    for source in [
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::I444AP12,
        PixelFormat::I420P10,
    ] {
        for color in [ColorSpace::REC709, JPEG] {
            let frame = frame(source, Size::new(18, 10), color, 8);
            for format in [
                PixelFormat::I420,
                PixelFormat::Nv12,
                PixelFormat::I422P10,
                PixelFormat::I444,
                PixelFormat::I420AP12,
            ] {
                for target in [ColorSpace::REC709, JPEG] {
                    check(&frame, whole(&frame, format, target));
                }
            }
        }
    }
}

#[test]
fn encoders_of_another_depth_get_the_same_of_yuv_whether_it_was_read_before_or_not() {
    let size = Size::new(37, 11);
    for color in [ColorSpace::REC709, JPEG] {
        for source in [
            PixelFormat::I420,
            PixelFormat::I420P10,
            PixelFormat::I420P12,
        ] {
            let frame = frame(source, size, color, 10);
            for format in [
                PixelFormat::I420,
                PixelFormat::I420P10,
                PixelFormat::I420P12,
            ] {
                let mut fitter = Fitter::new(BufferPool::new(1 << 20));
                let of_gpu = fitter.fit(&on_gpu(&gpu(), &frame), format, size).unwrap();
                let of_cpu = fitter.fit(&frame, format, size).unwrap();
                let [gpu, cpu] = [&of_gpu, &of_cpu].map(|frame| frame.resource.cpu().unwrap());
                for plane in 0..3 {
                    let samples = format.plane_size(plane, size);
                    for y in 0..samples.height as usize {
                        for x in 0..samples.width as usize {
                            let [gpu, cpu] = [gpu, cpu].map(|image| code(image, plane, 0, x, y));
                            assert!(
                                gpu.abs_diff(cpu) <= 1,
                                "{source:?} to {format:?}, plane {plane} at {x},{y}: {gpu}, {cpu}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_part_between_chroma_samples_is_moved_exactly() {
    let frame = frame(PixelFormat::Nv12, Size::new(24, 16), ColorSpace::REC709, 6);
    for part in [rect(1, 1, 14, 8), rect(3, 2, 21, 13), rect(23, 15, 1, 1)] {
        let wanted = ReadBack {
            rect: part,
            size: part.size(),
            ..whole(&frame, PixelFormat::I420, frame.color_space)
        };
        check(&frame, wanted);
    }
}

#[test]
fn yuv_becomes_rgb_as_it_is_shown() {
    for (source, color) in [
        (PixelFormat::I420A, ColorSpace::REC709),
        (PixelFormat::Nv12, JPEG),
        (PixelFormat::I420P10, PQ),
        (PixelFormat::I444P12, ColorSpace::REC709),
    ] {
        let frame = frame(source, Size::new(14, 6), color, 12);
        for format in [PixelFormat::Rgba, PixelFormat::Bgrx] {
            for target in [ColorSpace::SRGB, ColorSpace::DISPLAY_P3] {
                check(&frame, whole(&frame, format, target));
            }
        }
    }
}

#[test]
fn scaling_weighs_as_catmull_and_rom_say_in_both_directions() {
    for (source, format) in [
        (PixelFormat::I420, PixelFormat::I420),
        (PixelFormat::Nv12, PixelFormat::I420),
        (PixelFormat::Rgba, PixelFormat::I420),
        (PixelFormat::I420P10, PixelFormat::I420P10),
        (PixelFormat::Bgra, PixelFormat::Rgba),
        (PixelFormat::I422A, PixelFormat::I420A),
    ] {
        let frame = frame(source, Size::new(46, 30), ColorSpace::REC709, 20);
        for size in [
            Size::new(20, 13),
            Size::new(61, 47),
            Size::new(46, 10),
            Size::new(3, 2),
        ] {
            for rect in [Rect::of_size(Size::new(46, 30)), rect(4, 2, 37, 20)] {
                let target = match source.is_rgb() && !format.is_rgb() {
                    true => JPEG,
                    false => frame.color_space,
                };
                check(
                    &frame,
                    ReadBack {
                        rect,
                        size,
                        ..whole(&frame, format, target)
                    },
                );
            }
        }
    }
}

#[test]
fn a_huge_reduction_does_not_read_every_sample_for_each() {
    // 4096 columns to one: beyond 64 samples to a side the kernel skips some, so that no thread runs for long. Those that are left
    // lie evenly, so a slope has its middle; and 128 apart, so of stripes of 64 columns they see every other one.
    let size = Size::new(4096, 2);
    let plane = |code: fn(usize) -> usize| Plane {
        data: (0..2 * 4096).map(|at| code(at % 4096) as u8).collect(),
        stride: 4096,
    };
    let planes = vec![
        plane(|x| x / 16),
        plane(|x| 255 - x / 16),
        plane(|x| x / 64 % 2 * 255),
    ];
    let image = CpuImage::new(PixelFormat::I444, size, planes).unwrap();
    let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709);
    let wanted = ReadBack {
        size: Size::new(1, 2),
        ..whole(&frame, PixelFormat::I444, frame.color_space)
    };
    let gpu = gpu();
    let found = gpu
        .read_back_as(&gpu.image(&frame).unwrap(), &wanted)
        .unwrap();
    let codes: Vec<u32> = (0..3).map(|plane| code(&found, plane, 0, 0, 1)).collect();
    assert!(codes[0].abs_diff(128) <= 2, "{codes:?}");
    assert!(codes[1].abs_diff(128) <= 2, "{codes:?}");
    // But for what lies beyond the sides, which is the outermost columns again.
    assert!(codes[2].abs_diff(128) > 96, "{codes:?}: all were read");
}

#[test]
fn what_the_gpu_does_not_convert_is_left_to_the_cpu() {
    let frame = frame(PixelFormat::I420, Size::new(8, 8), ColorSpace::REC709, 1);
    let resource = on_gpu(&gpu(), &frame).resource;
    assert!(
        resource
            .read_back_as(&whole(&frame, PixelFormat::I420P10, PQ))
            .is_none()
    );
}

#[test]
fn a_part_outside_the_image_is_an_error() {
    let frame = frame(PixelFormat::I420, Size::new(8, 8), ColorSpace::REC709, 1);
    let resource = on_gpu(&gpu(), &frame).resource;
    for (rect, size) in [
        (rect(4, 0, 5, 1), Size::new(5, 1)),
        (rect(0, 0, 0, 0), Size::new(1, 1)),
        (rect(0, 0, 8, 8), Size::new(0, 8)),
        (rect(u32::MAX, 0, 2, 2), Size::new(2, 2)),
    ] {
        let wanted = ReadBack {
            rect,
            size,
            ..whole(&frame, PixelFormat::I420, frame.color_space)
        };
        let error = resource.read_back_as(&wanted).unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
}

#[test]
fn readers_of_several_threads_do_not_wait_for_each_other() {
    let gpu = gpu();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                for round in 0..20 {
                    let size = Size::new(16 + round, 9);
                    let frame = frame(PixelFormat::I420, size, ColorSpace::REC709, seed);
                    let back = on_gpu(gpu, &frame).resource.read_back().unwrap();
                    assert!(rows(&back, 0) == rows(frame.resource.cpu().unwrap(), 0));
                }
            });
        }
    });
}

#[test]
fn an_image_that_no_texture_can_hold_is_refused() {
    let gpu = gpu();
    let width = gpu.limits().max_texture_dimension_2d + 1;
    let frame = frame(
        PixelFormat::I420,
        Size::new(width, 1),
        ColorSpace::REC709,
        1,
    );
    assert!(matches!(
        gpu.image(&frame),
        Err(GpuError::Unsupported { .. })
    ));
}
