//! What frames cost on a device: `cargo bench -p reelcore-gpu`. Pictures are 1080p in NV12 unless a name says otherwise; bytes are
//! those of the picture that moves.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use reelcore_gpu::wgpu_types::PollType;
use reelcore_gpu::{FrameInit, Gpu, GpuResource, OpenOptions, TextureDescription};
use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::frame::ReadBack;
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Plane, Size, VideoFrame};

const SIZE: Size = Size::new(1920, 1080);
const SRGB: PredefinedColorSpace = PredefinedColorSpace::Srgb;

fn main() {
    divan::main();
}

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| {
        let gpu = Gpu::open(&OpenOptions::default());
        let gpu = gpu.unwrap_or_else(|error| panic!("{error}. Install mesa-vulkan-drivers"));
        eprintln!("on {}", gpu.adapter_info().name);
        gpu
    })
    .clone()
}

/// A new image over the same memory, as from a decoder's pool.
fn frame(format: PixelFormat) -> VideoFrame {
    static MEMORY: OnceLock<Bytes> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| {
        let codes = (0..SIZE.area() as usize * 4).map(|i| (i * 7 + i / 1920) as u8 & 0x3);
        Bytes::from(codes.collect::<Vec<_>>())
    });
    let planes = (0..format.num_planes()).map(|plane| Plane {
        data: memory.clone(),
        stride: format.row_bytes(plane, SIZE.width),
    });
    let image = CpuImage::new(format, SIZE, planes.collect());
    VideoFrame::from_cpu(image.expect("fits"), 0, None, ColorSpace::REC709)
}

fn bytes(format: PixelFormat) -> BytesCount {
    BytesCount::new(format.packed_size(SIZE).expect("fits"))
}

/// Waits until the GPU has nothing to do.
fn idle(gpu: &Gpu) {
    let waited = gpu
        .global()
        .device_poll(gpu.device_id(), PollType::wait_indefinitely());
    waited.expect("the GPU works");
}

/// The limit of an upload's part on the CPU.
#[divan::bench]
fn memcpy(bencher: Bencher<'_, '_>) {
    let from = frame(PixelFormat::Nv12);
    let from = &from.resource.cpu().expect("in memory").planes()[0].data;
    let len = PixelFormat::Nv12.packed_size(SIZE).expect("fits");
    let mut to = vec![0u8; len];
    bencher
        .counter(BytesCount::new(len))
        .bench_local(|| divan::black_box(&mut to).copy_from_slice(&from[..len]));
}

/// The call that uploads, which is what a decoder's thread is held up for.
#[divan::bench(args = [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::I420P10, PixelFormat::Rgba])]
fn upload(bencher: Bencher<'_, '_>, format: PixelFormat) {
    let gpu = gpu();
    bencher
        .counter(bytes(format))
        .with_inputs(|| {
            idle(&gpu);
            frame(format)
        })
        .bench_local_refs(|frame| gpu.image(frame).expect("uploads"));
}

/// An upload until the GPU is done.
#[divan::bench]
fn upload_and_wait(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    bencher
        .counter(bytes(PixelFormat::Nv12))
        .with_inputs(|| frame(PixelFormat::Nv12))
        .bench_local_refs(|frame| {
            gpu.image(frame).expect("uploads");
            idle(&gpu);
        });
}

/// The call that makes RGBA of a frame that is on the device, without the GPU's work.
#[divan::bench]
fn rgba_call(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| {
            let frame = frame(PixelFormat::Nv12);
            gpu.image(&frame).expect("uploads");
            idle(&gpu);
            frame
        })
        .bench_local_refs(|frame| gpu.rgba(frame, SRGB).expect("converts"));
}

/// The call for a frame that was converted already, as by the decoder's thread.
#[divan::bench]
fn rgba_again(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    let frame = frame(PixelFormat::Nv12);
    gpu.rgba(&frame, SRGB).expect("converts");
    bencher
        .counter(ItemsCount::new(1u32))
        .bench_local(|| gpu.rgba(&frame, SRGB).expect("is kept"));
}

/// RGBA of a frame that is on the device, until the GPU is done.
#[divan::bench(args = [PixelFormat::Nv12, PixelFormat::I420, PixelFormat::I420P10, PixelFormat::Rgba])]
fn rgba_and_wait(bencher: Bencher<'_, '_>, format: PixelFormat) {
    let gpu = gpu();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| {
            let frame = frame(format);
            gpu.image(&frame).expect("uploads");
            idle(&gpu);
            frame
        })
        .bench_local_refs(|frame| {
            gpu.rgba(frame, SRGB).expect("converts");
            idle(&gpu);
        });
}

/// A texture that the script drew, as a frame.
fn drawn(gpu: &Arc<Gpu>) -> VideoFrame {
    let texture = gpu.rgba(&frame(PixelFormat::Nv12), SRGB).expect("converts");
    let description = TextureDescription {
        format: texture.format(),
        size: SIZE,
        usage: texture.usage(),
        mip_level: 0,
        layer: 0,
    };
    gpu.frame_from_texture(texture.id(), &description, &FrameInit::new(0))
        .expect("copies")
}

/// From a drawn frame to what an encoder takes, in CPU memory: the latency that a worker sees.
#[divan::bench]
fn read_back_as_i420(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    let wanted = ReadBack {
        rect: reelcore_media::Rect::of_size(SIZE),
        color_space: ColorSpace::SRGB,
        format: PixelFormat::I420,
        size: SIZE,
        target: ColorSpace::REC709,
    };
    bencher
        .counter(bytes(PixelFormat::I420))
        .with_inputs(|| {
            let frame = drawn(&gpu);
            idle(&gpu);
            frame
        })
        .bench_local_refs(|frame| {
            let image = reelcore_gpu::gpu_image(frame).expect("on the device");
            gpu.read_back_as(image, &wanted).expect("reads")
        });
}

/// The same without conversion: all four bytes of every pixel.
#[divan::bench]
fn read_back_rgba(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    bencher
        .counter(bytes(PixelFormat::Rgba))
        .with_inputs(|| {
            let frame = drawn(&gpu);
            idle(&gpu);
            frame
        })
        .bench_local_refs(|frame| {
            let image = reelcore_gpu::gpu_image(frame).expect("on the device");
            gpu.read_back(image).expect("reads")
        });
}

/// A frame of 64x64 pixels: latency alone.
#[divan::bench]
fn read_back_small(bencher: Bencher<'_, '_>) {
    let gpu = gpu();
    let size = Size::new(64, 64);
    let plane = Plane {
        data: Bytes::from(vec![1; 64 * 64 * 4]),
        stride: 256,
    };
    let image = CpuImage::new(PixelFormat::Rgba, size, vec![plane]).expect("fits");
    let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB);
    let image = gpu.image(&frame).expect("uploads");
    bencher.bench_local(|| {
        let resource = GpuResource::new(image.clone());
        gpu.read_back(resource.image()).expect("reads")
    });
}
