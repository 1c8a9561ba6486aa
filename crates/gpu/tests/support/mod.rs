//! A device, pictures, and conversions in 64-bit floating point to measure the GPU's against.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod reference;
pub mod textures;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use reelcore_gpu::{Gpu, GpuError, OpenOptions};
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Plane, Rect, Rotation, Size, VideoFrame};

/// A device of its own for a test that destroys it.
pub fn open(options: &OpenOptions) -> Result<Arc<Gpu>, GpuError> {
    Gpu::open(options)
}

/// The device that tests share: that of any GPU, or Mesa's lavapipe. It goes with the last test that uses it, which waits for what
/// it still works on: lavapipe's threads crash in a process that ends meanwhile.
pub fn gpu() -> Arc<Gpu> {
    static GPU: Mutex<Weak<Gpu>> = Mutex::new(Weak::new());
    let mut shared = GPU.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gpu) = shared.upgrade() {
        return gpu;
    }
    match open(&OpenOptions::default()) {
        Ok(gpu) => {
            *shared = Arc::downgrade(&gpu);
            gpu
        }
        Err(error) => {
            panic!("{error}. Install a Vulkan driver: mesa-vulkan-drivers has one in software")
        }
    }
}

/// Numbers that look random and are the same every time (xorshift).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// An image of noise. Rows have padding, and the last row has none.
pub fn picture(format: PixelFormat, size: Size, seed: u64) -> CpuImage {
    let mut noise = Noise::new(seed);
    let planes = (0..format.num_planes()).map(|plane| {
        let row = format.row_bytes(plane, size.width);
        let rows = format.plane_size(plane, size).height as usize;
        let stride = row + 6;
        let mut data = Vec::with_capacity(stride * rows);
        for y in 0..rows {
            if format.bit_depth() > 8 {
                for _ in 0..row / 2 {
                    let code = noise.next() % (1 << format.bit_depth());
                    data.extend((code as u16).to_le_bytes());
                }
            } else {
                data.extend((0..row).map(|_| noise.next() as u8));
            }
            if y + 1 < rows {
                data.extend([0xa5; 6]);
            }
        }
        Plane {
            data: Bytes::from(data),
            stride,
        }
    });
    CpuImage::new(format, size, planes.collect()).unwrap()
}

/// A frame of noise.
pub fn frame(format: PixelFormat, size: Size, color: ColorSpace, seed: u64) -> VideoFrame {
    VideoFrame::from_cpu(picture(format, size, seed), 0, None, color)
}

/// The visible part of such a frame, displayed at its own size.
pub fn turned(frame: VideoFrame, part: Rect, rotation: Rotation, flip: bool) -> VideoFrame {
    let display_size = match rotation {
        Rotation::R0 | Rotation::R180 => part.size(),
        Rotation::R90 | Rotation::R270 => Size::new(part.height, part.width),
    };
    VideoFrame {
        visible_rect: part,
        rotation,
        flip,
        display_size,
        ..frame
    }
}

/// The sample of `plane` at a column and row: `component` of those that share it.
pub fn code(image: &CpuImage, plane: usize, component: usize, x: usize, y: usize) -> u32 {
    let format = image.format();
    let data = &image.planes()[plane];
    let at = y * data.stride + x * format.sample_bytes(plane);
    if format.bit_depth() > 8 {
        u32::from(u16::from_le_bytes([data.data[at], data.data[at + 1]]))
    } else {
        u32::from(data.data[at + component])
    }
}

/// The rows of a plane without padding.
pub fn rows(image: &CpuImage, plane: usize) -> Vec<Vec<u8>> {
    let format = image.format();
    let row = format.row_bytes(plane, image.size().width);
    let count = format.plane_size(plane, image.size()).height as usize;
    let data = &image.planes()[plane];
    (0..count)
        .map(|y| data.data[y * data.stride..][..row].to_vec())
        .collect()
}

/// A frame on the device with `image`'s pixels.
pub fn on_gpu(gpu: &Arc<Gpu>, frame: &VideoFrame) -> VideoFrame {
    let image = gpu.image(frame).unwrap();
    VideoFrame {
        resource: Arc::new(reelcore_gpu::GpuResource::new(image)),
        ..frame.clone()
    }
}

/// A half-precision number.
pub fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let value = match exponent {
        0 => fraction / 1024.0 * 2f64.powi(-14),
        31 => f64::INFINITY,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    sign * value
}

pub fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        width,
        height,
    }
}
