//! Frames to textures of somebody else, and back: `copyExternalImageToTexture` and frames from textures.

mod support;

use std::sync::Arc;

use reelcore_gpu::wgpu_core::resource::TextureDescriptor;
use reelcore_gpu::wgpu_types as wgt;
use reelcore_gpu::{
    Destination, FrameInit, Gpu, GpuError, Pixels, Source, Texture, TextureDescription,
    TextureSource, copy_destination_format, gpu_image,
};
use reelcore_media::color::Primaries;
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::{ColorSpace, PixelFormat, Rotation, Size, VideoFrame};
use support::reference::{Image, stored_position};
use support::{Noise, code, frame, gpu, half, rect, rows, turned};
use wgt::{TextureFormat, TextureUsages};

const ALL_USAGES: TextureUsages = TextureUsages::RENDER_ATTACHMENT
    .union(TextureUsages::COPY_DST)
    .union(TextureUsages::COPY_SRC)
    .union(TextureUsages::TEXTURE_BINDING);

/// A texture as a script makes one.
fn texture(gpu: &Arc<Gpu>, format: TextureFormat, size: Size) -> Arc<Texture> {
    texture_for(gpu, format, size, ALL_USAGES)
}

fn texture_for(
    gpu: &Arc<Gpu>,
    format: TextureFormat,
    size: Size,
    usage: TextureUsages,
) -> Arc<Texture> {
    let descriptor = TextureDescriptor {
        label: None,
        size: wgt::Extent3d {
            width: size.width,
            height: size.height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format,
        usage,
        view_formats: Vec::new(),
    };
    let (id, error) = gpu
        .global()
        .device_create_texture(gpu.device_id(), &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    Texture::adopt(gpu, id, format, size).unwrap()
}

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

fn destination(texture: &Texture, size: Size) -> Destination {
    Destination {
        texture: texture.id(),
        format: texture.format(),
        mip_level: 0,
        origin: [0, 0, 0],
        size,
        source_origin: [0, 0],
        flip_y: false,
        color_space: PredefinedColorSpace::Srgb,
        premultiplied_alpha: false,
    }
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

fn bytes_of(size: Size, seed: u64) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    (0..size.area() * 4).map(|_| noise.next() as u8).collect()
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
                bgra,
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
            bgra: false,
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
        bgra: false,
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

fn describe(texture: &Texture) -> TextureDescription {
    TextureDescription {
        format: texture.format(),
        size: texture.size(),
        usage: ALL_USAGES,
        mip_level: 0,
        layer: 0,
    }
}

fn write(gpu: &Gpu, texture: &Texture, data: &[u8]) {
    let size = texture.size();
    let destination = wgt::TexelCopyTextureInfo {
        texture: texture.id(),
        mip_level: 0,
        origin: wgt::Origin3d::ZERO,
        aspect: wgt::TextureAspect::All,
    };
    let layout = wgt::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(data.len() as u32 / size.height),
        rows_per_image: None,
    };
    let extent = wgt::Extent3d {
        width: size.width,
        height: size.height,
        depth_or_array_layers: 1,
    };
    gpu.global()
        .queue_write_texture(gpu.queue_id(), &destination, data, &layout, &extent)
        .unwrap();
}

fn source_of(texture: &Texture) -> TextureSource {
    TextureSource {
        texture: texture.id(),
        description: describe(texture),
        color_space: ColorSpace::SRGB,
        premultiplied: false,
        opaque: false,
    }
}

#[test]
fn a_texture_is_copied_as_pixels_in_memory_are() {
    let gpu = gpu();
    let size = Size::new(16, 9);
    let mut data = bytes_of(size, 11);
    for pixel in data.chunks_mut(4) {
        // Premultiplied colours do not exceed alpha.
        for component in 0..3 {
            pixel[component] = pixel[component].min(pixel[3]);
        }
    }
    let mut solid = data.clone();
    solid.chunks_mut(4).for_each(|pixel| pixel[3] = 255);
    for format in [TextureFormat::Rgba8Unorm, TextureFormat::Rgba8UnormSrgb] {
        // Sampled, and copied first where that cannot be.
        for usage in [
            ALL_USAGES,
            TextureUsages::COPY_SRC | TextureUsages::COPY_DST,
        ] {
            let from = texture_for(&gpu, format, size, usage);
            write(&gpu, &from, &data);
            for (premultiplied, premultiplied_alpha, opaque) in [
                (false, false, false),
                (false, true, false),
                (true, false, false),
                (true, true, false),
                (false, false, true),
                (false, true, true),
            ] {
                if premultiplied && format.is_srgb() {
                    // There alpha is multiplied with light, not with code values.
                    continue;
                }
                for color_space in [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3] {
                    let results = [false, true].map(|pixels| {
                        let to = texture(&gpu, TextureFormat::Rgba8Unorm, Size::new(20, 12));
                        let destination = Destination {
                            premultiplied_alpha,
                            color_space,
                            origin: [3, 1, 0],
                            source_origin: [2, 4],
                            flip_y: true,
                            ..destination(&to, Size::new(13, 5))
                        };
                        let source = match pixels {
                            true => Source::Pixels(Pixels {
                                data: if opaque { &solid } else { &data },
                                stride: 64,
                                size,
                                bgra: false,
                                premultiplied,
                                color_space: PredefinedColorSpace::Srgb,
                            }),
                            false => Source::Texture(TextureSource {
                                description: TextureDescription {
                                    usage,
                                    ..describe(&from)
                                },
                                premultiplied,
                                opaque,
                                ..source_of(&from)
                            }),
                        };
                        gpu.copy_to_texture(source, &destination).unwrap();
                        gpu.read_texture(&to).unwrap()
                    });
                    let [found, wanted] = &results;
                    assert!(found.iter().any(|&byte| byte != 0));
                    let close = found.iter().zip(wanted).all(|(a, b)| a.abs_diff(*b) <= 1);
                    assert!(
                        close,
                        "{format:?} {usage:?} {premultiplied} {premultiplied_alpha} {opaque} {color_space:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_texture_is_copied_to_itself_as_it_was_before() {
    let gpu = gpu();
    let size = Size::new(16, 8);
    let data = bytes_of(size, 12);
    let both = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    write(&gpu, &both, &data);
    let destination = Destination {
        flip_y: true,
        ..destination(&both, size)
    };
    gpu.copy_to_texture(Source::Texture(source_of(&both)), &destination)
        .unwrap();
    let found = gpu.read_texture(&both).unwrap();
    let turned: Vec<u8> = data.chunks(64).rev().flatten().copied().collect();
    assert_eq!(found, turned);
}

#[test]
fn textures_that_are_no_images_are_not_copied() {
    let gpu = gpu();
    let size = Size::new(4, 4);
    let to = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    let good = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    let integers = texture(&gpu, TextureFormat::Rgba8Uint, size);
    let hidden = texture_for(
        &gpu,
        TextureFormat::Rgba8Unorm,
        size,
        TextureUsages::RENDER_ATTACHMENT,
    );
    let unread = TextureSource {
        description: TextureDescription {
            usage: TextureUsages::RENDER_ATTACHMENT,
            ..describe(&hidden)
        },
        ..source_of(&hidden)
    };
    let beyond = TextureSource {
        description: TextureDescription {
            layer: 1,
            ..describe(&good)
        },
        ..source_of(&good)
    };
    for source in [source_of(&integers), unread, beyond] {
        let result = gpu.copy_to_texture(Source::Texture(source), &destination(&to, size));
        assert!(
            matches!(result, Err(GpuError::Validation(_))),
            "{source:?}: {result:?}"
        );
    }
    let outside = Destination {
        source_origin: [1, 0],
        ..destination(&to, size)
    };
    let result = gpu.copy_to_texture(Source::Texture(source_of(&good)), &outside);
    assert!(matches!(result, Err(GpuError::Validation(_))), "{result:?}");
}

#[test]
fn a_frame_from_a_texture_is_what_the_texture_was_then() {
    let gpu = gpu();
    let size = Size::new(15, 6);
    let data = bytes_of(size, 9);
    for format in [
        TextureFormat::Rgba8Unorm,
        TextureFormat::Rgba8UnormSrgb,
        TextureFormat::Bgra8Unorm,
        TextureFormat::Bgra8UnormSrgb,
    ] {
        // Copied where the texture can be copied from, drawn where it can be sampled only.
        for usage in [
            ALL_USAGES,
            TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST,
        ] {
            for keep_alpha in [true, false] {
                let from = texture_for(&gpu, format, size, usage);
                write(&gpu, &from, &data);
                let description = TextureDescription {
                    usage,
                    ..describe(&from)
                };
                let init = FrameInit {
                    keep_alpha,
                    duration: Some(7),
                    ..FrameInit::new(42)
                };
                let frame = gpu
                    .frame_from_texture(from.id(), &description, &init)
                    .unwrap();
                write(&gpu, &from, &vec![0; data.len()]);
                let bgra = format.remove_srgb_suffix() == TextureFormat::Bgra8Unorm;
                let wanted = match (bgra, keep_alpha) {
                    (false, true) => PixelFormat::Rgba,
                    (false, false) => PixelFormat::Rgbx,
                    (true, true) => PixelFormat::Bgra,
                    (true, false) => PixelFormat::Bgrx,
                };
                assert_eq!(frame.format, Some(wanted));
                assert_eq!((frame.timestamp, frame.duration), (42, Some(7)));
                assert_eq!(frame.color_space, ColorSpace::SRGB);
                assert!(gpu_image(&frame).is_some() && frame.resource.cpu().is_none());
                let back = frame.resource.read_back().unwrap();
                for (y, row) in rows(&back, 0).into_iter().enumerate() {
                    let stored = &data[y * 60..][..60];
                    let close = row.iter().zip(stored).all(|(a, b)| a.abs_diff(*b) <= 1);
                    assert!(close, "{format:?} {usage:?} row {y}");
                }
            }
        }
    }
}

#[test]
fn textures_of_floats_and_ten_bits_become_eight_bits() {
    let gpu = gpu();
    let size = Size::new(8, 8);
    let source = frame(PixelFormat::Rgba, size, ColorSpace::SRGB, 3);
    for format in [
        TextureFormat::Rgba16Float,
        TextureFormat::Rgba32Float,
        TextureFormat::Rgb10a2Unorm,
        TextureFormat::R8Unorm,
    ] {
        let from = texture(&gpu, format, size);
        gpu.copy_to_texture(Source::Frame(&source), &destination(&from, size))
            .unwrap();
        let frame = gpu
            .frame_from_texture(from.id(), &describe(&from), &FrameInit::new(0))
            .unwrap();
        let back = frame.resource.read_back().unwrap();
        let stored = source.resource.cpu().unwrap();
        for (x, y) in (0..8).flat_map(|y| (0..8).map(move |x| (x, y))) {
            let components = if format == TextureFormat::R8Unorm {
                1
            } else {
                3
            };
            for component in 0..components {
                let found = code(&back, 0, component, x, y);
                let wanted = code(stored, 0, component, x, y);
                assert!(found.abs_diff(wanted) <= 1, "{format:?}");
            }
            if components == 1 {
                let rest = [1, 2, 3].map(|component| code(&back, 0, component, x, y));
                assert_eq!(rest, [0, 0, 255]);
            }
        }
    }
}

#[test]
fn premultiplied_textures_become_frames_without() {
    let gpu = gpu();
    let from = texture(&gpu, TextureFormat::Rgba8Unorm, Size::new(1, 1));
    write(&gpu, &from, &[64, 32, 16, 128]);
    let init = FrameInit {
        premultiplied: true,
        ..FrameInit::new(0)
    };
    let frame = gpu
        .frame_from_texture(from.id(), &describe(&from), &init)
        .unwrap();
    let back = frame.resource.read_back().unwrap();
    let pixel = [0, 1, 2, 3].map(|component| code(&back, 0, component, 0, 0));
    assert_eq!(pixel, [128, 64, 32, 128]);
}

#[test]
fn textures_that_no_frame_can_be_made_of_are_validation_errors() {
    let gpu = gpu();
    let size = Size::new(4, 4);
    let integers = texture(&gpu, TextureFormat::Rgba8Uint, size);
    let colours = texture(&gpu, TextureFormat::Rgba8Unorm, size);
    let hidden = texture_for(
        &gpu,
        TextureFormat::Rgba8Unorm,
        size,
        TextureUsages::RENDER_ATTACHMENT,
    );
    let outside = FrameInit {
        visible_rect: Some(rect(2, 0, 3, 4)),
        ..FrameInit::new(0)
    };
    let usage = TextureUsages::RENDER_ATTACHMENT;
    let hidden_description = TextureDescription {
        usage,
        ..describe(&hidden)
    };
    for (id, description, init) in [
        (integers.id(), describe(&integers), FrameInit::new(0)),
        (colours.id(), describe(&colours), outside),
        (hidden.id(), hidden_description, FrameInit::new(0)),
        (
            colours.id(),
            TextureDescription {
                layer: 1,
                ..describe(&colours)
            },
            FrameInit::new(0),
        ),
        (
            colours.id(),
            TextureDescription {
                size: Size::new(5, 4),
                ..describe(&colours)
            },
            FrameInit::new(0),
        ),
    ] {
        let result = gpu.frame_from_texture(id, &description, &init);
        assert!(matches!(result, Err(GpuError::Validation(_))), "{result:?}");
    }
}
