//! Frames and pixels to textures of somebody else: `copyExternalImageToTexture`.

mod support;

use reelcore_gpu::wgpu_types as wgt;
use reelcore_gpu::{Destination, GpuError, Pixels, Source, Texture, copy_destination_format};
use reelcore_media::color::Primaries;
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Plane, Rotation, Size, VideoFrame};
use support::reference::{Image, stored_position};
use support::textures::{bytes_of, destination, texture, texture_for};
use support::{frame, gpu, half, rect, turned};
use wgt::{TextureFormat, TextureUsages};

const FORMATS: [TextureFormat; 13] = [
    TextureFormat::R8Unorm,
    TextureFormat::R16Float,
    TextureFormat::R32Float,
    TextureFormat::Rg8Unorm,
    TextureFormat::Rg16Float,
    TextureFormat::Rg32Float,
    TextureFormat::Rgba8Unorm,
    TextureFormat::Rgba8UnormSrgb,
    TextureFormat::Bgra8Unorm,
    TextureFormat::Bgra8UnormSrgb,
    TextureFormat::Rgb10a2Unorm,
    TextureFormat::Rgba16Float,
    TextureFormat::Rgba32Float,
];

/// The components of a texel, code values as they are stored.
fn texel(format: TextureFormat, bytes: &[u8]) -> Vec<f64> {
    let halves = |bytes: &[u8]| -> Vec<f64> {
        let pairs = bytes.chunks(2);
        pairs
            .map(|b| half(u16::from_le_bytes([b[0], b[1]])))
            .collect()
    };
    let floats = |bytes: &[u8]| -> Vec<f64> {
        let words = bytes.chunks(4);
        words
            .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            .collect()
    };
    let codes = || -> Vec<f64> { bytes.iter().map(|&b| f64::from(b) / 255.0).collect() };
    match format {
        TextureFormat::R16Float | TextureFormat::Rg16Float | TextureFormat::Rgba16Float => {
            halves(bytes)
        }
        TextureFormat::R32Float | TextureFormat::Rg32Float | TextureFormat::Rgba32Float => {
            floats(bytes)
        }
        TextureFormat::Rgb10a2Unorm => {
            let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let ten = |shift: u32| f64::from(word >> shift & 1023) / 1023.0;
            vec![ten(0), ten(10), ten(20), f64::from(word >> 30) / 3.0]
        }
        TextureFormat::Bgra8Unorm | TextureFormat::Bgra8UnormSrgb => {
            let c = codes();
            vec![c[2], c[1], c[0], c[3]]
        }
        _ => codes(),
    }
}

fn is_float(format: TextureFormat) -> bool {
    format!("{format:?}").ends_with("Float")
}

/// Copies a part of a frame, and compares every texel.
#[track_caller]
fn check(frame: &VideoFrame, to: &Texture, destination: &Destination) {
    let gpu = gpu();
    gpu.copy_to_texture(Source::Frame(frame), destination)
        .unwrap();
    let bytes = gpu.read_texture(to).unwrap();
    let format = destination.format;
    let texel_bytes = format.block_copy_size(None).unwrap() as usize;
    let visible = frame.visible_rect;
    let alpha = frame.format.unwrap().has_alpha();
    let stored = frame.resource.cpu().unwrap();
    let image = Image::new(stored, visible, frame.color_space, alpha);
    let primaries = match destination.color_space {
        PredefinedColorSpace::Srgb => Primaries::Bt709,
        PredefinedColorSpace::DisplayP3 => Primaries::Smpte432,
    };
    let tolerance = match format {
        TextureFormat::Rgb10a2Unorm => 1.0 / 1023.0,
        _ if is_float(format) => 1.0 / 1023.0,
        _ => 1.0 / 255.0,
    };
    let [left, top, _] = destination.origin;
    for y in 0..to.size().height {
        for x in 0..to.size().width {
            let pixel = (y * to.size().width + x) as usize;
            let found = texel(format, &bytes[pixel * texel_bytes..][..texel_bytes]);
            let part = rect(left, top, destination.size.width, destination.size.height);
            let inside =
                x >= part.x && y >= part.y && x < part.x + part.width && y < part.y + part.height;
            let wanted = if inside {
                let row = match destination.flip_y {
                    true => part.height - 1 - (y - top),
                    false => y - top,
                };
                let at = (
                    f64::from(destination.source_origin[0] + x - left) + 0.5,
                    f64::from(destination.source_origin[1] + row) + 0.5,
                );
                let (at, spacing) = stored_position(frame, at);
                let (rgb, a) = image.shown(at, spacing, primaries);
                let factor = if destination.premultiplied_alpha {
                    a
                } else {
                    1.0
                };
                [rgb[0] * factor, rgb[1] * factor, rgb[2] * factor, a]
            } else {
                [0.0; 4]
            };
            for (component, (found, wanted)) in found.into_iter().zip(wanted).enumerate() {
                let float = is_float(format);
                let wanted = if float {
                    wanted
                } else {
                    wanted.clamp(0.0, 1.0)
                };
                // Alpha of two bits.
                let coarse = format == TextureFormat::Rgb10a2Unorm && component == 3;
                let tolerance = if coarse { 1.0 / 6.0 + 0.001 } else { tolerance };
                assert!(
                    (found - wanted).abs() <= tolerance * wanted.abs().max(1.0),
                    "{format:?} at {x},{y}, component {component}: {found}, not {wanted}"
                );
            }
        }
    }
}

#[test]
fn the_formats_are_those_that_the_specification_lists() {
    for format in FORMATS {
        assert!(copy_destination_format(format), "{format:?}");
    }
    for format in [
        TextureFormat::R8Uint,
        TextureFormat::Rgba8Snorm,
        TextureFormat::Rg11b10Ufloat,
        TextureFormat::Depth32Float,
    ] {
        assert!(!copy_destination_format(format), "{format:?}");
    }
}

#[test]
fn a_frame_is_copied_to_every_format_premultiplied_or_not() {
    let gpu = gpu();
    let size = Size::new(9, 7);
    for format in FORMATS {
        for source in [PixelFormat::I420A, PixelFormat::Nv12] {
            for premultiplied_alpha in [false, true] {
                let frame = frame(source, size, ColorSpace::REC709, 3);
                let to = texture(&gpu, format, size);
                let destination = Destination {
                    premultiplied_alpha,
                    ..destination(&to, size)
                };
                check(&frame, &to, &destination);
            }
        }
    }
}

#[test]
fn origins_sizes_and_flip_y_move_the_part_that_was_asked_for_and_nothing_else() {
    let gpu = gpu();
    for rotation in [Rotation::R0, Rotation::R90, Rotation::R270] {
        for flip in [false, true] {
            for flip_y in [false, true] {
                let frame = frame(PixelFormat::I420, Size::new(12, 12), ColorSpace::REC709, 3);
                let frame = turned(frame, rect(1, 2, 10, 8), rotation, flip);
                let to = texture(&gpu, TextureFormat::Rgba8Unorm, Size::new(14, 11));
                let destination = Destination {
                    origin: [3, 4, 0],
                    size: Size::new(5, 6),
                    source_origin: [2, 1],
                    flip_y,
                    color_space: PredefinedColorSpace::DisplayP3,
                    ..destination(&to, Size::default())
                };
                check(&frame, &to, &destination);
            }
        }
    }
}

#[test]
fn a_part_of_a_frame_is_a_part_of_what_is_displayed() {
    let gpu = gpu();
    for flip_y in [false, true] {
        let frame = frame(PixelFormat::I420, Size::new(12, 12), ColorSpace::REC709, 3);
        let frame = VideoFrame {
            display_size: Size::new(16, 7),
            ..turned(frame, rect(2, 2, 8, 8), Rotation::R270, false)
        };
        let to = texture(&gpu, TextureFormat::Rgba8Unorm, Size::new(14, 11));
        let destination = Destination {
            origin: [1, 2, 0],
            source_origin: [5, 1],
            flip_y,
            ..destination(&to, Size::new(11, 6))
        };
        check(&frame, &to, &destination);
        let beyond = Destination {
            size: Size::new(12, 6),
            ..destination
        };
        let error = gpu.copy_to_texture(Source::Frame(&frame), &beyond);
        assert!(matches!(error, Err(GpuError::Validation(_))), "{error:?}");
    }
}

#[test]
fn what_is_transparent_does_not_darken_the_edges_of_what_is_scaled() {
    let gpu = gpu();
    let plane = |data: &'static [u8]| Plane {
        stride: data.len(),
        data: data.into(),
    };
    // White that is seen, and black that is not.
    let rgba = vec![plane(&[255, 255, 255, 255, 0, 0, 0, 0])];
    let yuva = vec![
        plane(&[235, 16]),
        plane(&[128]),
        plane(&[128]),
        plane(&[255, 0]),
    ];
    for (format, planes) in [(PixelFormat::Rgba, rgba), (PixelFormat::I420A, yuva)] {
        let size = Size::new(2, 1);
        let image = CpuImage::new(format, size, planes).unwrap();
        let frame = VideoFrame {
            display_size: Size::new(8, 1),
            ..VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709)
        };
        let to = texture(&gpu, TextureFormat::Rgba8Unorm, frame.display_size);
        for premultiplied_alpha in [false, true] {
            let destination = Destination {
                premultiplied_alpha,
                ..destination(&to, frame.display_size)
            };
            check(&frame, &to, &destination);
            let found = gpu.read_texture(&to).unwrap();
            let seen: Vec<&[u8]> = found.chunks(4).filter(|texel| texel[3] > 0).collect();
            assert!(seen.len() > 4 && seen.iter().any(|texel| texel[3] < 64));
            for texel in seen {
                let white = if premultiplied_alpha { texel[3] } else { 255 };
                assert!(texel[0].abs_diff(white) <= 1, "{format:?}: {found:?}");
            }
        }
    }
}

#[test]
fn pixels_arrive_as_they_are_where_nothing_changes() {
    let gpu = gpu();
    let size = Size::new(17, 5);
    let data = bytes_of(size, 5);
    for premultiplied in [false, true] {
        for bgra in [false, true] {
            let to = texture(&gpu, TextureFormat::Rgba8Unorm, size);
            let pixels = Pixels {
                data: &data,
                stride: 17 * 4,
                size,
                format: match bgra {
                    true => TextureFormat::Bgra8Unorm,
                    false => TextureFormat::Rgba8Unorm,
                },
                premultiplied,
                color_space: PredefinedColorSpace::DisplayP3,
            };
            let destination = Destination {
                premultiplied_alpha: premultiplied,
                color_space: PredefinedColorSpace::DisplayP3,
                ..destination(&to, size)
            };
            gpu.copy_to_texture(Source::Pixels(pixels), &destination)
                .unwrap();
            let found = gpu.read_texture(&to).unwrap();
            for (found, stored) in found.chunks(4).zip(data.chunks(4)) {
                let wanted = match bgra {
                    true => [stored[2], stored[1], stored[0], stored[3]],
                    false => [stored[0], stored[1], stored[2], stored[3]],
                };
                assert_eq!(found, wanted);
            }
        }
    }
}

#[test]
fn pixels_of_floats_keep_what_eight_bits_would_lose() {
    let gpu = gpu();
    let size = Size::new(3, 2);
    // 0.5, 1, -1, 0.25; 2, 1/1024, 0, 1; and so on in each row.
    let halves: [u16; 12] = [
        0x3800, 0x3c00, 0xbc00, 0x3400, 0x4000, 0x1400, 0x0000, 0x3c00, 0x3801, 0x3802, 0x3803,
        0x3bff,
    ];
    let row: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    let mut data = row.clone();
    // Rows are as far apart as the caller says.
    data.extend([0xee; 8]);
    data.extend(&row);
    let pixels = Pixels {
        data: &data,
        stride: row.len() + 8,
        size,
        format: TextureFormat::Rgba16Float,
        premultiplied: false,
        color_space: PredefinedColorSpace::Srgb,
    };
    let to = texture(&gpu, TextureFormat::Rgba16Float, size);
    let exact = destination(&to, size);
    gpu.copy_to_texture(Source::Pixels(pixels), &exact).unwrap();
    let found = gpu.read_texture(&to).unwrap();
    assert_eq!(found, [row.clone(), row].concat());

    let to = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    let premultiplied = Destination {
        premultiplied_alpha: true,
        ..destination(&to, size)
    };
    gpu.copy_to_texture(Source::Pixels(pixels), &premultiplied)
        .unwrap();
    let found = gpu.read_texture(&to).unwrap();
    for (found, wanted) in found.iter().zip([32, 64, 0, 64, 255, 0, 0, 255]) {
        assert!(found.abs_diff(wanted) <= 1, "{found}, not {wanted}");
    }

    let integers = Pixels {
        format: TextureFormat::Rgba8Uint,
        ..pixels
    };
    let refused = gpu.copy_to_texture(Source::Pixels(integers), &premultiplied);
    assert!(matches!(refused, Err(GpuError::Unsupported { .. })));
}

#[test]
fn alpha_is_multiplied_in_and_divided_out() {
    let gpu = gpu();
    let size = Size::new(16, 16);
    let mut data = bytes_of(size, 6);
    for pixel in data.chunks_mut(4) {
        // Premultiplied colours do not exceed alpha.
        for component in 0..3 {
            pixel[component] = pixel[component].min(pixel[3]);
        }
    }
    for (premultiplied, premultiplied_alpha) in [(true, false), (false, true)] {
        let to = texture(&gpu, TextureFormat::Rgba8Unorm, size);
        let pixels = Pixels {
            data: &data,
            stride: 64,
            size,
            format: TextureFormat::Rgba8Unorm,
            premultiplied,
            color_space: PredefinedColorSpace::Srgb,
        };
        let destination = Destination {
            premultiplied_alpha,
            ..destination(&to, size)
        };
        gpu.copy_to_texture(Source::Pixels(pixels), &destination)
            .unwrap();
        let found = gpu.read_texture(&to).unwrap();
        for (found, stored) in found.chunks(4).zip(data.chunks(4)) {
            let alpha = f64::from(stored[3]) / 255.0;
            assert_eq!(found[3], stored[3]);
            for component in 0..3 {
                let wanted = match (premultiplied, alpha > 0.0) {
                    (true, true) => f64::from(stored[component]) / alpha,
                    (true, false) => 0.0,
                    (false, _) => f64::from(stored[component]) * alpha,
                };
                assert!((f64::from(found[component]) - wanted).abs() <= 1.0);
            }
        }
    }
}

#[test]
fn srgb_formats_get_the_code_values_of_those_without() {
    let gpu = gpu();
    let size = Size::new(64, 4);
    let data = bytes_of(size, 7);
    let pixels = Pixels {
        data: &data,
        stride: 256,
        size,
        format: TextureFormat::Rgba8Unorm,
        premultiplied: false,
        color_space: PredefinedColorSpace::Srgb,
    };
    let to = texture(&gpu, TextureFormat::Rgba8UnormSrgb, size);
    gpu.copy_to_texture(Source::Pixels(pixels), &destination(&to, size))
        .unwrap();
    let found = gpu.read_texture(&to).unwrap();
    assert!(found.iter().zip(&data).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn copies_that_the_specification_refuses_are_validation_errors() {
    let gpu = gpu();
    let size = Size::new(8, 8);
    let frame = frame(PixelFormat::I420, size, ColorSpace::REC709, 3);
    let to = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    let good = destination(&to, size);
    let unrendered = texture_for(
        &gpu,
        TextureFormat::Rgba8Unorm,
        size,
        TextureUsages::COPY_DST | TextureUsages::TEXTURE_BINDING,
    );
    let integers = texture(&gpu, TextureFormat::Rgba8Uint, size);
    for bad in [
        Destination {
            source_origin: [1, 0],
            ..good
        },
        Destination {
            origin: [0, 1, 0],
            ..good
        },
        Destination {
            origin: [0, 0, 1],
            ..good
        },
        Destination {
            mip_level: 1,
            ..good
        },
        Destination {
            source_origin: [u32::MAX, 0],
            ..good
        },
        Destination {
            texture: unrendered.id(),
            ..good
        },
        Destination {
            texture: integers.id(),
            format: TextureFormat::Rgba8Uint,
            ..good
        },
        // A format that the texture has not got.
        Destination {
            format: TextureFormat::R8Unorm,
            ..good
        },
    ] {
        let result = gpu.copy_to_texture(Source::Frame(&frame), &bad);
        assert!(
            matches!(result, Err(GpuError::Validation(_))),
            "{bad:?}: {result:?}"
        );
    }
    let nothing = Destination {
        size: Size::new(0, 8),
        ..good
    };
    gpu.copy_to_texture(Source::Frame(&frame), &nothing)
        .unwrap();
}
