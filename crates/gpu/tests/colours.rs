//! What a frame looks like as a texture: every pixel format, colour space and range, against 64-bit floating point.

mod support;

use reelcore_gpu::wgpu_types::TextureFormat;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Rect, Rotation, Size, VideoFrame};
use support::reference::{Image, stored_position};
use support::{frame, gpu, half, rect, turned};

const TARGETS: [(PredefinedColorSpace, Primaries); 2] = [
    (PredefinedColorSpace::Srgb, Primaries::Bt709),
    (PredefinedColorSpace::DisplayP3, Primaries::Smpte432),
];

/// Shows `frame` and compares every pixel.
#[track_caller]
fn check(frame: &VideoFrame, (space, primaries): (PredefinedColorSpace, Primaries)) {
    let gpu = gpu();
    let texture = gpu.rgba(frame, space).unwrap();
    let texels = gpu.read_texture(&texture).unwrap();
    let cpu: &CpuImage = frame.resource.cpu().unwrap();
    let visible = frame.visible_rect;
    let alpha = frame.format.unwrap().has_alpha();
    let image = Image::new(cpu, visible, frame.color_space, alpha);
    let hdr = matches!(image.color.transfer, Some(Transfer::Pq | Transfer::Hlg));
    let deep = cpu.format().bit_depth() > 8;
    let float = deep || hdr;
    let wanted_format = match float {
        true => TextureFormat::Rgba16Float,
        false => TextureFormat::Rgba8Unorm,
    };
    assert_eq!(texture.format(), wanted_format);
    let tolerance = if deep { 4.0 / 1023.0 } else { 1.0 / 255.0 };
    let size = texture.size();
    assert_eq!(size, frame.display_size);
    for y in 0..size.height {
        for x in 0..size.width {
            let at = (f64::from(x) + 0.5, f64::from(y) + 0.5);
            let (at, spacing) = stored_position(frame, at);
            let (rgb, a) = image.shown(at, spacing, primaries);
            let wanted = [rgb[0] * a, rgb[1] * a, rgb[2] * a, a];
            let pixel = (y * size.width + x) as usize;
            for (component, wanted) in wanted.into_iter().enumerate() {
                let (found, wanted) = if float {
                    let at = pixel * 8 + component * 2;
                    (
                        half(u16::from_le_bytes([texels[at], texels[at + 1]])),
                        wanted,
                    )
                } else {
                    let found = f64::from(texels[pixel * 4 + component]) / 255.0;
                    (found, wanted.clamp(0.0, 1.0))
                };
                // Half precision has eleven bits; beyond white a code value is as much as a part of it.
                let tolerance = tolerance * wanted.abs().max(1.0);
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "{:?} {:?} into {space:?} at {x},{y}, component {component}: {found}, not {wanted}",
                    frame.format,
                    image.color,
                );
            }
        }
    }
}

const SPACES: [(Matrix, Primaries); 6] = [
    (Matrix::Bt709, Primaries::Bt709),
    (Matrix::Bt470bg, Primaries::Bt470bg),
    (Matrix::Smpte170m, Primaries::Smpte170m),
    (Matrix::Bt2020Ncl, Primaries::Bt2020),
    (Matrix::Bt709, Primaries::Smpte432),
    (Matrix::Rgb, Primaries::Bt709),
];

fn every_space(format: PixelFormat) {
    let size = Size::new(10, 6);
    for (matrix, primaries) in SPACES {
        for &transfer in Transfer::ALL {
            for full_range in [false, true] {
                let color = ColorSpace {
                    primaries: Some(primaries),
                    transfer: Some(transfer),
                    matrix: Some(matrix),
                    full_range: Some(full_range),
                };
                let frame = frame(format, size, color, 7);
                for target in TARGETS {
                    check(&frame, target);
                }
                if format.is_rgb() {
                    break;
                }
            }
        }
    }
}

fn formats(wanted: impl Fn(PixelFormat) -> bool) -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL
        .iter()
        .copied()
        .filter(move |format| wanted(*format))
}

#[test]
fn eight_bits_are_within_one_code_value_in_every_colour_space() {
    for format in formats(|format| !format.is_rgb() && format.bit_depth() == 8) {
        every_space(format);
    }
}

#[test]
fn ten_bits_are_within_four_code_values_in_every_colour_space() {
    for format in formats(|format| format.bit_depth() == 10) {
        every_space(format);
    }
}

#[test]
fn twelve_bits_are_as_close_as_ten_in_every_colour_space() {
    for format in formats(|format| format.bit_depth() == 12) {
        every_space(format);
    }
}

#[test]
fn rgb_is_within_one_code_value_in_every_colour_space() {
    for format in formats(PixelFormat::is_rgb) {
        every_space(format);
    }
}

#[test]
fn rgb_in_srgb_is_exact() {
    let gpu = gpu();
    let mut frame = frame(PixelFormat::Bgrx, Size::new(33, 5), ColorSpace::SRGB, 3);
    frame.format = Some(PixelFormat::Bgrx);
    let texture = gpu.rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
    let texels = gpu.read_texture(&texture).unwrap();
    for y in 0..5usize {
        for x in 0..33usize {
            let code = |component| support::code(frame.resource.cpu().unwrap(), 0, component, x, y);
            let wanted = [code(2), code(1), code(0), 255];
            let found = &texels[(y * 33 + x) * 4..][..4];
            assert!(found.iter().map(|&code| u32::from(code)).eq(wanted));
        }
    }
}

#[test]
fn what_is_unknown_is_guessed_as_it_is_on_the_cpu() {
    for size in [Size::new(8, 8), Size::new(4, 720)] {
        let frame = frame(PixelFormat::I420, size, ColorSpace::default(), 11);
        check(&frame, TARGETS[0]);
    }
}

#[test]
fn the_visible_part_is_shown_upright_and_nothing_around_it_bleeds_in() {
    let rotations = [Rotation::R0, Rotation::R90, Rotation::R180, Rotation::R270];
    let parts = [
        Rect::of_size(Size::new(13, 9)),
        rect(2, 4, 6, 4),
        rect(3, 1, 7, 5),
        rect(12, 8, 1, 1),
    ];
    for format in [
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::I422AP10,
        PixelFormat::Rgba,
    ] {
        for rotation in rotations {
            for flip in [false, true] {
                for visible_rect in parts {
                    let frame = frame(format, Size::new(13, 9), ColorSpace::REC709, 5);
                    check(&turned(frame, visible_rect, rotation, flip), TARGETS[0]);
                }
            }
        }
    }
}

#[test]
fn pixels_that_are_not_square_are_shown_at_the_display_size() {
    for format in [PixelFormat::I420, PixelFormat::I422AP10, PixelFormat::Rgba] {
        for (rotation, flip) in [(Rotation::R0, false), (Rotation::R90, true)] {
            // Wider, as anamorphic video is; smaller; larger in both.
            for display_size in [Size::new(16, 4), Size::new(4, 2), Size::new(25, 19)] {
                let frame = frame(format, Size::new(13, 9), ColorSpace::REC709, 5);
                let frame = VideoFrame {
                    display_size,
                    ..turned(frame, rect(2, 4, 8, 4), rotation, flip)
                };
                check(&frame, TARGETS[1]);
            }
        }
    }
}

#[test]
fn a_display_size_that_no_texture_has_leaves_a_frame_at_the_size_of_its_pixels() {
    let frame = frame(PixelFormat::I420, Size::new(8, 6), ColorSpace::REC709, 5);
    let frame = VideoFrame {
        display_size: Size::new(1 << 20, 6),
        ..turned(frame, rect(0, 0, 8, 6), Rotation::R90, false)
    };
    let texture = gpu().rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
    assert_eq!(texture.size(), Size::new(6, 8));
}

#[test]
fn a_format_without_alpha_hides_the_alpha_that_its_image_has() {
    for (stored, shown) in [
        (PixelFormat::I420A, PixelFormat::I420),
        (PixelFormat::Rgba, PixelFormat::Rgbx),
    ] {
        let frame = VideoFrame {
            format: Some(shown),
            ..frame(stored, Size::new(6, 6), ColorSpace::REC709, 9)
        };
        check(&frame, TARGETS[0]);
    }
}

#[test]
fn a_conversion_is_made_once_and_kept_with_its_image() {
    let gpu = gpu();
    let frame = frame(PixelFormat::I420, Size::new(16, 16), ColorSpace::REC709, 1);
    let first = gpu.rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
    let again = gpu
        .rgba(&frame.clone(), PredefinedColorSpace::Srgb)
        .unwrap();
    assert_eq!(first.id(), again.id());
    let wide = gpu.rgba(&frame, PredefinedColorSpace::DisplayP3).unwrap();
    assert_ne!(first.id(), wide.id());
    // What was destroyed, as on the expiry of an external texture, is made anew.
    first.destroy();
    let anew = gpu.rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
    assert_ne!(anew.id(), first.id());
    check(&frame, TARGETS[0]);
}
