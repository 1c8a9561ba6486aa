//! Textures as scripts have them, and copies into them.

use std::sync::Arc;

use reelcore_gpu::wgpu_core::resource::TextureDescriptor;
use reelcore_gpu::wgpu_types as wgt;
use reelcore_gpu::{Destination, Gpu, Texture};
use reelcore_media::Size;
use reelcore_media::convert::PredefinedColorSpace;
use wgt::{TextureFormat, TextureUsages};

use super::Noise;

/// What textures of scripts are for in these tests.
pub const ALL_USAGES: TextureUsages = TextureUsages::RENDER_ATTACHMENT
    .union(TextureUsages::COPY_DST)
    .union(TextureUsages::COPY_SRC)
    .union(TextureUsages::TEXTURE_BINDING);

/// A texture as a script makes one.
pub fn texture(gpu: &Arc<Gpu>, format: TextureFormat, size: Size) -> Arc<Texture> {
    texture_for(gpu, format, size, ALL_USAGES)
}

/// As [`texture`], for `usage`.
pub fn texture_for(
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

/// The upper left `size` of a texture, in sRGB and not premultiplied.
pub fn destination(texture: &Texture, size: Size) -> Destination {
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

/// Pixels of noise.
pub fn bytes_of(size: Size, seed: u64) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    (0..size.area() * 4).map(|_| noise.next() as u8).collect()
}
