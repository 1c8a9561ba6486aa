//! Times conversions of 1080p pictures and of audio against `memcpy` of the bytes that they write:
//! `cargo run --release -p reelcore-media --example convert_speed`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use reelcore_media::color::{Primaries, Transfer};
use reelcore_media::convert::{
    PredefinedColorSpace, RgbConversion, copy_audio, copy_planes, to_rgb,
};
use reelcore_media::layout::CombinedBufferLayout;
use reelcore_media::{
    AudioData, ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Rect, SampleFormat, Size,
};

/// Prints the best and the median time of `work` on a destination of `bytes` bytes.
fn time(
    name: &str,
    bytes: usize,
    mut work: impl FnMut(&mut [u8]) -> Result<(), MediaError>,
) -> Result<(), MediaError> {
    let mut out = vec![0; bytes];
    let mut times = Vec::new();
    for _ in 0..61 {
        let start = Instant::now();
        work(black_box(&mut out))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (best, median) = (times[0], times[times.len() / 2]);
    let rate = bytes as f64 / median / 1e6;
    println!("{name:34} best {best:7.3} ms, median {median:7.3} ms, {rate:6.1} GB/s written");
    Ok(())
}

fn main() -> Result<(), MediaError> {
    let size = Size::new(1920, 1080);
    let rgba = size.area() as usize * 4;
    let source = vec![1u8; rgba];
    time("memcpy", rgba, |out| {
        out.copy_from_slice(&source);
        Ok(())
    })?;
    let hdr = ColorSpace {
        primaries: Some(Primaries::Bt2020),
        transfer: Some(Transfer::Pq),
        ..ColorSpace::default()
    };
    for (format, color_space, target, name) in [
        (
            PixelFormat::I420,
            ColorSpace::REC709,
            "srgb",
            "I420 -> RGBA",
        ),
        (
            PixelFormat::Nv12,
            ColorSpace::REC709,
            "srgb",
            "NV12 -> RGBA",
        ),
        (
            PixelFormat::I444,
            ColorSpace::REC709,
            "srgb",
            "I444 -> RGBA",
        ),
        (
            PixelFormat::I420A,
            ColorSpace::REC709,
            "srgb",
            "I420A -> RGBA",
        ),
        (
            PixelFormat::I420P10,
            ColorSpace::REC709,
            "srgb",
            "I420P10 -> RGBA",
        ),
        (PixelFormat::Bgra, ColorSpace::SRGB, "srgb", "BGRA -> RGBA"),
        (
            PixelFormat::I420,
            ColorSpace::REC709,
            "display-p3",
            "I420 -> RGBA, Display P3",
        ),
        (PixelFormat::I420P10, hdr, "srgb", "I420P10 PQ -> RGBA"),
    ] {
        let planes = (0..format.num_planes())
            .map(|plane| {
                let stride = format.row_bytes(plane, size.width);
                let rows = format.plane_size(plane, size).height as usize;
                let data: Vec<u8> = (0..stride * rows)
                    .map(|i| (i * 7 / 3) as u8 & 0x7B)
                    .collect();
                Plane {
                    data: Bytes::from(data),
                    stride,
                }
            })
            .collect();
        let image = CpuImage::new(format, size, planes)?;
        let conversion = RgbConversion {
            rect: Rect::of_size(size),
            color_space,
            keep_alpha: true,
            format: PixelFormat::Rgba,
            target: PredefinedColorSpace::from_name(target).unwrap_or_default(),
        };
        let rgb = CombinedBufferLayout::compute(conversion.rect, PixelFormat::Rgba, None)
            .map_err(|error| MediaError::argument(error.to_string()))?;
        time(name, rgba, |out| {
            let layout = rgb.computed_layouts[0].plane_layout();
            to_rgb(&image, &conversion, layout, out)
        })?;
        if format == PixelFormat::I420 && target == "srgb" {
            let layout = CombinedBufferLayout::compute(conversion.rect, format, None)
                .map_err(|error| MediaError::argument(error.to_string()))?;
            time("I420 -> I420", layout.allocation_size as usize, |out| {
                copy_planes(&image, &layout, out)
            })?;
        }
    }
    let frames = 480_000;
    for (from, to) in [
        (SampleFormat::F32Planar, SampleFormat::F32),
        (SampleFormat::S16, SampleFormat::F32Planar),
        (SampleFormat::F32Planar, SampleFormat::S16),
        (SampleFormat::F32, SampleFormat::S16),
    ] {
        let data = vec![0; frames as usize * 2 * from.sample_bytes()];
        let audio = AudioData::new(from, 48_000.0, frames, 2, 0, data.into())?;
        let channels = if to.is_planar() { 1 } else { 2 };
        let bytes = frames as usize * channels * to.sample_bytes();
        let name = format!("10 s stereo {} -> {}", from.as_str(), to.as_str());
        time(&name, bytes, |out| {
            copy_audio(&audio, to, 0, 0, frames, out)
        })?;
    }
    Ok(())
}
