//! Textures of somebody else as sources: frames made of them, and copies to other textures.

mod support;

use reelcore_gpu::wgpu_types as wgt;
use reelcore_gpu::{
    Destination, FrameInit, Gpu, GpuError, Pixels, Source, Texture, TextureDescription,
    TextureSource, gpu_image,
};
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::{ColorSpace, PixelFormat, Size};
use support::textures::{ALL_USAGES, bytes_of, destination, texture, texture_for};
use support::{code, frame, gpu, rect, rows};
use wgt::{TextureFormat, TextureUsages};

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
                                format: TextureFormat::Rgba8Unorm,
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
