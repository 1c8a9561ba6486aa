//! Copies of planes and of samples.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use reelcore_media::convert::{AudioCopyError, audio_copy_elements, copy_audio, copy_planes};
use reelcore_media::layout::{CombinedBufferLayout, PlaneLayout};
use reelcore_media::{
    AudioData, CpuImage, ErrorKind, PixelFormat, Plane, Rect, SampleFormat, Size,
};

const UNTOUCHED: u8 = 0xA5;

/// Every byte of the image tells its plane, row and column.
fn image(format: PixelFormat, size: Size, padding: usize) -> CpuImage {
    let planes = (0..format.num_planes())
        .map(|plane| {
            let stride = format.row_bytes(plane, size.width) + padding;
            let rows = format.plane_size(plane, size).height as usize;
            let data: Vec<u8> = (0..stride * rows)
                .map(|at| (plane * 101 + at / stride * 17 + at % stride) as u8)
                .collect();
            Plane {
                data: Bytes::from(data),
                stride,
            }
        })
        .collect();
    CpuImage::new(format, size, planes).unwrap()
}

proptest! {
    #[test]
    fn every_copied_byte_is_the_right_one_and_the_others_stay(
        format in select(PixelFormat::ALL),
        size in (1..40u32, 1..20u32),
        corner in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        paddings in (0..5usize, 0..5u32),
        drop_alpha in any::<bool>(),
        packed in any::<bool>(),
    ) {
        let size = Size::new(size.0, size.1);
        let x = corner.0.index(size.width as usize) as u32 / 2 * 2;
        let y = corner.1.index(size.height as usize) as u32 / 2 * 2;
        let rect = Rect { x, y, width: size.width - x, height: size.height - y };
        let image = image(format, size, paddings.0);
        let wanted = if drop_alpha { format.without_alpha() } else { format };
        let mut end = 3;
        let layout: Vec<_> = (0..wanted.num_planes()).map(|plane| {
            let rows = wanted.plane_size(plane, rect.size()).height;
            let stride = wanted.row_bytes(plane, rect.width) as u32 + paddings.1;
            let offset = end;
            end += rows * stride;
            PlaneLayout { offset, stride }
        }).collect();
        let layout = (!packed).then_some(&layout[..]);
        let layout = CombinedBufferLayout::compute(rect, wanted, layout).unwrap();
        let mut out = vec![UNTOUCHED; layout.allocation_size as usize];
        copy_planes(&image, &layout, &mut out).unwrap();

        let mut expected = vec![UNTOUCHED; out.len()];
        for (plane, to) in layout.computed_layouts.iter().enumerate() {
            let from = &image.planes()[plane];
            let (h, v) = format.subsampling(plane);
            let left = (x / h) as usize * format.sample_bytes(plane);
            for row in 0..format.plane_size(plane, rect.size()).height as usize {
                for byte in 0..format.row_bytes(plane, rect.width) {
                    let at = to.destination_offset as usize
                        + row * to.destination_stride as usize + byte;
                    let source = ((y / v) as usize + row) * from.stride + left + byte;
                    expected[at] = from.data[source];
                }
            }
        }
        prop_assert_eq!(out, expected);
    }
}

#[test]
fn planes_that_do_not_fit_are_refused_and_nothing_is_written() {
    let small = image(PixelFormat::I420, Size::new(4, 4), 0);
    let large = Rect::of_size(Size::new(6, 4));
    let good = Rect::of_size(Size::new(4, 4));
    for (rect, format, len) in [
        (large, PixelFormat::I420, 100),
        (good, PixelFormat::I420, 23),
        (good, PixelFormat::I420A, 100),
        (good, PixelFormat::I444, 100),
    ] {
        let layout = CombinedBufferLayout::compute(rect, format, None).unwrap();
        let mut out = vec![UNTOUCHED; len];
        let error = copy_planes(&small, &layout, &mut out).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert!(out.iter().all(|&byte| byte == UNTOUCHED), "{error}");
    }
    let mut layout = CombinedBufferLayout::compute(good, PixelFormat::I420, None).unwrap();
    layout.computed_layouts[2].destination_stride = 1;
    assert!(copy_planes(&small, &layout, &mut [0; 100]).is_err());
    layout.computed_layouts[2].destination_stride = u32::MAX;
    assert!(copy_planes(&small, &layout, &mut [0; 100]).is_err());
}

/// The sample as a number in units of full scale.
fn read(format: SampleFormat, bytes: &[u8]) -> f64 {
    match format.interleaved() {
        SampleFormat::U8 => (f64::from(bytes[0]) - 128.0) / 128.0,
        SampleFormat::S16 => f64::from(i16::from_ne_bytes([bytes[0], bytes[1]])) / 32_768.0,
        SampleFormat::S32 => {
            f64::from(i32::from_ne_bytes(bytes.try_into().unwrap())) / 2_147_483_648.0
        }
        _ => f64::from(f32::from_ne_bytes(bytes.try_into().unwrap())),
    }
}

/// The bytes of `value`: rounded down from integers, to the nearest from floats.
fn write(format: SampleFormat, value: f64, from_float: bool) -> Vec<u8> {
    let integer = |scale: f64| {
        let scaled = value * scale;
        let rounded = if from_float {
            scaled.round_ties_even()
        } else {
            scaled.floor()
        };
        rounded.clamp(-scale, scale - 1.0)
    };
    match format.interleaved() {
        SampleFormat::U8 => vec![(integer(128.0) + 128.0) as u8],
        SampleFormat::S16 => (integer(32_768.0) as i16).to_ne_bytes().to_vec(),
        SampleFormat::S32 => (integer(2_147_483_648.0) as i32).to_ne_bytes().to_vec(),
        _ => (value as f32).to_ne_bytes().to_vec(),
    }
}

/// Bytes of sample `frame` of `channel`.
fn sample_at(audio: &AudioData, frame: usize, channel: usize) -> &[u8] {
    let bytes = audio.format.sample_bytes();
    if audio.format.is_planar() {
        &audio.planes[channel][frame * bytes..][..bytes]
    } else {
        &audio.planes[0][(frame * audio.channels as usize + channel) * bytes..][..bytes]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_sample_arrives_where_and_as_it_should(
        from in select(SampleFormat::ALL),
        to in select(SampleFormat::ALL),
        frames in 1..200u32,
        channels in 1..7u32,
        window in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        plane in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<u8>(), 64),
        loudness in prop_oneof![Just(1.0f32), Just(3.0), Just(1e-4), Just(f32::MAX)],
    ) {
        let count = (frames * channels) as usize;
        let data: Vec<u8> = if from.interleaved() == SampleFormat::F32 {
            (0..count)
                .flat_map(|i| {
                    let at = u32::from(seed[i % 64]) * 256 + u32::from(seed[(i * 7 + 3) % 64]);
                    ((at as f32 / 32_768.0 - 1.0) * loudness).to_ne_bytes()
                })
                .collect()
        } else {
            (0..count * from.sample_bytes()).map(|i| seed[i % 64] ^ (i / 64) as u8).collect()
        };
        let audio = AudioData::new(from, 48_000.0, frames, channels, 0, data.into()).unwrap();
        let offset = window.0.index(frames as usize) as u32;
        let wanted = window.1.index((frames - offset) as usize) as u32 + 1;
        let plane = if to.is_planar() { plane.index(channels as usize) as u32 } else { 0 };

        let elements = audio_copy_elements(&audio, to, plane, offset, Some(wanted)).unwrap();
        let mut out = vec![UNTOUCHED; elements * to.sample_bytes() + 3];
        copy_audio(&audio, to, plane, offset, wanted, &mut out).unwrap();

        let mut expected = Vec::new();
        for frame in offset..offset + wanted {
            let planes = if to.is_planar() { plane..plane + 1 } else { 0..channels };
            for channel in planes {
                let bytes = sample_at(&audio, frame as usize, channel as usize);
                if from.interleaved() == to.interleaved() {
                    expected.extend_from_slice(bytes);
                } else {
                    let from_float = from.interleaved() == SampleFormat::F32;
                    expected.extend(write(to, read(from, bytes), from_float));
                }
            }
        }
        expected.extend([UNTOUCHED; 3]);
        prop_assert_eq!(out, expected);
    }
}

#[test]
fn sixteen_bits_survive_the_way_through_float_and_back() {
    let all: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_ne_bytes).collect();
    let audio = AudioData::new(
        SampleFormat::S16,
        48_000.0,
        65_536,
        1,
        0,
        all.clone().into(),
    );
    let mut float = vec![0; 65_536 * 4];
    copy_audio(&audio.unwrap(), SampleFormat::F32, 0, 0, 65_536, &mut float).unwrap();
    let audio = AudioData::new(SampleFormat::F32, 48_000.0, 65_536, 1, 0, float.into()).unwrap();
    let mut back = vec![0; 65_536 * 2];
    copy_audio(&audio, SampleFormat::S16, 0, 0, 65_536, &mut back).unwrap();
    assert_eq!(back, all);
}

#[test]
fn not_a_number_is_silence_and_infinity_is_the_loudest() {
    let floats = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
    let data: Vec<u8> = floats
        .iter()
        .flat_map(|float| float.to_ne_bytes())
        .collect();
    let audio = AudioData::new(SampleFormat::F32, 8000.0, 4, 1, 0, data.into()).unwrap();
    let mut u8s = [9; 4];
    copy_audio(&audio, SampleFormat::U8, 0, 0, 4, &mut u8s).unwrap();
    assert_eq!(u8s, [128, 255, 0, 255]);
    let mut s16 = [9; 8];
    copy_audio(&audio, SampleFormat::S16Planar, 0, 0, 4, &mut s16).unwrap();
    let expected: Vec<u8> = [0, i16::MAX, i16::MIN, i16::MAX]
        .into_iter()
        .flat_map(i16::to_ne_bytes)
        .collect();
    assert_eq!(s16[..], expected);
    let mut s32 = [9; 16];
    copy_audio(&audio, SampleFormat::S32, 0, 0, 4, &mut s32).unwrap();
    let expected: Vec<u8> = [0, i32::MAX, i32::MIN, i32::MAX]
        .into_iter()
        .flat_map(i32::to_ne_bytes)
        .collect();
    assert_eq!(s32[..], expected);
}

#[test]
fn what_is_out_of_range_is_told_apart() {
    let audio = AudioData::new(
        SampleFormat::S16,
        8000.0,
        10,
        2,
        0,
        Bytes::from(vec![0; 40]),
    )
    .unwrap();
    let count =
        |format, plane, offset, frames| audio_copy_elements(&audio, format, plane, offset, frames);
    assert_eq!(count(SampleFormat::S16, 0, 0, None), Ok(20));
    assert_eq!(count(SampleFormat::F32Planar, 1, 4, None), Ok(6));
    assert_eq!(count(SampleFormat::F32, 0, 9, Some(0)), Ok(0));
    assert_eq!(
        count(SampleFormat::S16, 1, 0, None),
        Err(AudioCopyError::Plane {
            plane: 1,
            format: "s16",
            planes: 1
        })
    );
    assert_eq!(
        count(SampleFormat::U8Planar, 2, 0, None),
        Err(AudioCopyError::Plane {
            plane: 2,
            format: "u8-planar",
            planes: 2
        })
    );
    assert_eq!(
        count(SampleFormat::S16, 0, 10, None),
        Err(AudioCopyError::Offset {
            offset: 10,
            frames: 10
        })
    );
    assert_eq!(
        count(SampleFormat::S16, 0, 4, Some(7)),
        Err(AudioCopyError::Count {
            count: 7,
            available: 6
        })
    );
    let mut short = [UNTOUCHED; 39];
    let error = copy_audio(&audio, SampleFormat::S16, 0, 0, 10, &mut short).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert_eq!(short, [UNTOUCHED; 39]);
    // The fields are public: planes that lack samples must not be trusted.
    let lying = AudioData {
        frames: 1000,
        ..audio
    };
    assert!(copy_audio(&lying, SampleFormat::F32Planar, 1, 0, 1000, &mut [0; 4000]).is_err());
}
