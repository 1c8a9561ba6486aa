//! `cargo bench -p reelcore-benches`: the inner loops.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use reelcore_media::convert::{PredefinedColorSpace, RgbConversion, copy_audio, to_rgb};
use reelcore_media::format::SampleFormat;
use reelcore_media::layout::{CombinedBufferLayout, PlaneLayout};
use reelcore_media::pool::BufferPool;
use reelcore_media::{AudioData, ColorSpace, CpuImage, PixelFormat, Plane, Rect, Size, VideoCodec};

fn main() {
    divan::main();
}

const FULL_HD: Size = Size::new(1920, 1080);

fn image(format: PixelFormat) -> CpuImage {
    let planes = (0..format.num_planes()).map(|index| {
        let stride = format.row_bytes(index, FULL_HD.width);
        let rows = format.plane_size(index, FULL_HD).height as usize;
        let samples = (0..stride * rows).map(|i| {
            if format.bit_depth() > 8 && i % 2 == 1 {
                1
            } else {
                i as u8
            }
        });
        Plane {
            data: Bytes::from(samples.collect::<Vec<u8>>()),
            stride,
        }
    });
    CpuImage::new(format, FULL_HD, planes.collect()).expect("planes of the right size")
}

#[divan::bench(args = ["I420", "NV12", "I422", "I444", "I420P10", "RGBA"])]
fn to_rgba_1080p(bencher: Bencher, name: &str) {
    let format = PixelFormat::from_name(name).expect("a format");
    let image = image(format);
    let conversion = RgbConversion {
        rect: Rect::of_size(FULL_HD),
        color_space: if format.is_rgb() {
            ColorSpace::SRGB
        } else {
            ColorSpace::REC709
        },
        keep_alpha: true,
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    let layout = PlaneLayout {
        offset: 0,
        stride: FULL_HD.width * 4,
    };
    let mut target = vec![0; FULL_HD.area() as usize * 4];
    bencher
        .counter(BytesCount::new(target.len()))
        .bench_local(|| to_rgb(&image, &conversion, layout, &mut target).expect("a conversion"));
}

#[divan::bench]
fn audio_s16_to_f32_planar(bencher: Bencher) {
    let data = Bytes::from(vec![7; 48_000 * 4]);
    let audio = AudioData::new(SampleFormat::S16, 48_000.0, 48_000, 2, 0, data).expect("audio");
    let mut target = vec![0; 48_000 * 4];
    bencher
        .counter(BytesCount::new(target.len()))
        .bench_local(|| {
            copy_audio(&audio, SampleFormat::F32Planar, 1, 0, 48_000, &mut target).expect("a copy")
        });
}

#[divan::bench]
fn pool_take_and_give_back(bencher: Bencher) {
    let pool = BufferPool::new(64 << 20);
    bencher.bench_local(|| drop(pool.take(3 << 20).freeze()));
}

#[divan::bench]
fn layout_of_a_copy() -> Option<u32> {
    let layout = CombinedBufferLayout::compute(Rect::of_size(FULL_HD), PixelFormat::I420, None);
    layout.ok().map(|layout| layout.allocation_size)
}

#[divan::bench(args = ["avc1.64001f", "av01.0.08M.10.0.112.09.16.09.0", "hvc1.1.6.L93.B0"])]
fn codec_string(text: &str) -> bool {
    VideoCodec::parse(text).is_ok()
}
