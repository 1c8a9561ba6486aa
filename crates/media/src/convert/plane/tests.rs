use super::*;
use crate::color::ColorSpace;
use crate::convert::Fitter;
use crate::format::{PixelFormat, PixelLayout};
use crate::frame::{CpuImage, Plane, VideoFrame};
use crate::geometry::Rect;
use crate::pool::BufferPool;

const PICTURE: u8 = 100;

/// A frame that is 100 of 255 where `rect` shows it, and all ones in what is cropped away and between the rows, of
/// which the last ends early if `short`.
fn amid_garbage(format: PixelFormat, rect: Rect, short: bool) -> VideoFrame {
    let size = Size::new(48, 40);
    let planes = (0..format.num_planes()).map(|index| {
        let (h, v) = format.subsampling(index);
        let unit = format.sample_bytes(index);
        let row_bytes = format.row_bytes(index, size.width);
        let stride = row_bytes + 6 * unit;
        let rows = format.plane_size(index, size).height as usize;
        let mut data = vec![0xff; rows * stride];
        let sample = match format.bit_depth() {
            8 => vec![PICTURE; unit],
            depth => (u16::from(PICTURE) << (depth - 8)).to_ne_bytes().to_vec(),
        };
        for y in rect.y / v..(rect.y + rect.height).div_ceil(v) {
            for x in rect.x / h..(rect.x + rect.width).div_ceil(h) {
                let at = y as usize * stride + x as usize * unit;
                data[at..at + unit].copy_from_slice(&sample);
            }
        }
        if short {
            data.truncate((rows - 1) * stride + row_bytes);
        }
        Plane {
            data: data.into(),
            stride,
        }
    });
    let image = CpuImage::new(format, size, planes.collect()).unwrap();
    let mut frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709);
    frame.visible_rect = rect;
    frame
}

const RECTS: [(u32, u32, u32, u32); 6] = [
    (16, 16, 16, 16),
    (13, 7, 17, 21),
    (0, 0, 20, 20),
    (0, 3, 42, 37),
    (0, 0, 48, 40),
    (21, 0, 27, 40),
];
const SIZES: [(u32, u32); 4] = [(64, 64), (7, 5), (33, 10), (10, 50)];

fn each(mut check: impl FnMut(Rect, Size, bool, &str)) {
    for (x, y, width, height) in RECTS {
        for (to_width, to_height) in SIZES {
            for short in [false, true] {
                let rect = Rect {
                    x,
                    y,
                    width,
                    height,
                };
                let size = Size::new(to_width, to_height);
                check(rect, size, short, &format!("{rect:?} to {size:?}, {short}"));
            }
        }
    }
}

fn samples_of(frame: &VideoFrame, plane: usize) -> Vec<u32> {
    let image = frame.resource.cpu().unwrap();
    let data = &image.planes()[plane].data;
    match image.format().bit_depth() {
        8 => data.iter().map(|&byte| u32::from(byte)).collect(),
        _ => collect::<u16>(data).into_iter().map(u32::from).collect(),
    }
}

#[test]
fn what_is_cropped_away_or_between_rows_does_not_show_in_a_scaled_picture() {
    let mut fitter = Fitter::new(BufferPool::new(1 << 20));
    let formats = PixelFormat::ALL.iter().filter(|format| !format.is_rgb());
    for &format in formats {
        let to = match (format.layout(), format.bit_depth()) {
            (PixelLayout::Yuv444, 8) => PixelFormat::I444,
            (PixelLayout::Yuv422, 12) => PixelFormat::I422P12,
            (_, 8) => PixelFormat::I420,
            _ => PixelFormat::I420P10,
        };
        each(|rect, size, short, what| {
            let frame = amid_garbage(format, rect, short);
            let scaled = fitter.fit(&frame, to, size).unwrap();
            let want = u32::from(PICTURE) << (to.bit_depth() - 8);
            for plane in 0..3 {
                let samples = samples_of(&scaled, plane);
                let wrong = samples.iter().filter(|&&sample| sample != want).count();
                assert_eq!(wrong, 0, "{format:?}, plane {plane}, {what}: {samples:?}");
            }
        });
    }
}

#[test]
fn what_is_cropped_away_or_between_rows_does_not_show_in_scaled_alpha() {
    let mut fitter = Fitter::new(BufferPool::new(1 << 20));
    let formats = PixelFormat::ALL.iter().filter(|format| format.has_alpha());
    for &format in formats {
        each(|rect, size, short, what| {
            let frame = amid_garbage(format, rect, short);
            let scaled = fitter.alpha(&frame, PixelFormat::I420, size).unwrap();
            let samples = samples_of(&scaled, 0);
            let wrong = samples
                .iter()
                .filter(|&&sample| sample != u32::from(PICTURE));
            assert_eq!(wrong.count(), 0, "{format:?}, {what}: {samples:?}");
        });
    }
}

/// Scales a row of `pixels` between garbage to twice as many samples, from half a sample in on.
fn doubled(pixels: &[u8]) -> Vec<u8> {
    let mut data = vec![255; 5 * 32];
    data[2 * 32 + 8..][..pixels.len()].copy_from_slice(pixels);
    let source = Samples {
        data: Cow::Owned(data),
        stride: 32,
        width: 24,
        height: 5,
    };
    let length = pixels.len() as f64 - 0.5;
    let window = Window {
        x: 8.5,
        y: 2.0,
        width: length,
        height: 1.0,
    };
    let size = Size::new((length * 2.0) as u32, 1);
    let mut out = vec![0; size.width as usize];
    let depths = Depths {
        from: 8,
        to: 8,
        levels: Levels::Limited,
    };
    convert::<u8, u8>(&mut Resizer::new(), &source, window, size, depths, &mut out).unwrap();
    out
}

#[test]
fn a_window_that_begins_between_samples_keeps_its_place() {
    let slope: Vec<u8> = (0..12).map(|x| 40 + 10 * x).collect();
    let out = doubled(&slope);
    assert_eq!(out.len(), 23);
    // Away from the ends Catmull-Rom is exact on a slope: sample i lies at 0.5 + (i + 0.5) / 2 - 0.5.
    for (i, &got) in out.iter().enumerate().take(18).skip(4) {
        let want = 40.0 + 10.0 * (i as f64 + 0.5) / 2.0;
        assert!(
            (f64::from(got) - want).abs() <= 0.75,
            "{i}: {got}, not {want}"
        );
    }
}

/// The nearest code value of the same signal: ITU-T H.273, 8.3, in 64-bit floating point.
fn same_signal(code: u32, from: u32, to: u32, levels: Levels) -> u16 {
    let top = |bits: u32| f64::from((1u32 << bits) - 1);
    let zero = |bits: u32| match levels {
        Levels::FullChroma => f64::from(1u32 << (bits - 1)),
        _ => 0.0,
    };
    let signal = (f64::from(code) - zero(from)) / top(from);
    (signal * top(to) + zero(to)).round().clamp(0.0, top(to)) as u16
}

#[test]
fn no_code_value_of_full_range_becomes_another_signal_at_another_depth() {
    for (from, to) in [
        (8, 10),
        (8, 12),
        (10, 8),
        (10, 12),
        (12, 8),
        (12, 10),
        (9, 11),
    ] {
        for levels in [Levels::Full, Levels::FullChroma] {
            let depths = Depths { from, to, levels };
            let codes: Vec<u16> = (0..1 << from).collect();
            let want = |&code: &u16| same_signal(code.into(), from, to, levels);
            let want: Vec<u16> = codes.iter().map(want).collect();
            let mut found = vec![0u16; codes.len()];
            bring_row(&codes, &mut found, depths);
            assert_eq!(found, want, "{depths:?}");
            if from == 8 {
                let bytes: Vec<u8> = (0..=255).collect();
                bring_row(&bytes, &mut found, depths);
                assert_eq!(found, want, "{depths:?} of bytes");
            }
            if to == 8 {
                let mut bytes = vec![0u8; codes.len()];
                bring_row(&codes, &mut bytes, depths);
                assert!(bytes.iter().copied().map(u16::from).eq(want), "{depths:?}");
            }
            // What a filter overshot, or a script wrote, counts as all ones.
            let mut over = [0u16];
            bring_row(&[u16::MAX], &mut over, depths);
            assert_eq!(over[0], found[found.len() - 1], "{depths:?}");
        }
    }
}
