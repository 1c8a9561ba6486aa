//! RGB frames as encoders get them, against 64-bit floating point.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use reelcore_media::color::{Primaries, Transfer};
use reelcore_media::convert::Fitter;
use reelcore_media::pool::BufferPool;
use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Plane, Rect, Size, VideoFrame};

const RGB: [PixelFormat; 4] = [
    PixelFormat::Rgba,
    PixelFormat::Rgbx,
    PixelFormat::Bgra,
    PixelFormat::Bgrx,
];

/// What an encoder may take.
fn planar() -> Vec<PixelFormat> {
    let all = PixelFormat::ALL.iter().copied();
    all.filter(|format| format.num_planes() == 3 && !format.has_alpha())
        .collect()
}

/// BT.2020 in PQ, whose chroma lies on the upper rows (ITU-R BT.2100).
const PQ: ColorSpace = ColorSpace {
    primaries: Some(Primaries::Bt2020),
    transfer: Some(Transfer::Pq),
    ..ColorSpace::SRGB
};
const WIDE: ColorSpace = ColorSpace {
    primaries: Some(Primaries::Bt2020),
    ..ColorSpace::SRGB
};

fn frame(format: PixelFormat, size: Size, padding: usize, bytes: &[u8]) -> VideoFrame {
    let stride = size.width as usize * 4 + padding;
    let rows = stride * size.height as usize;
    // The last row ends with its pixels.
    let data: Vec<u8> = bytes.iter().copied().cycle().take(rows - padding).collect();
    let plane = Plane {
        data: Bytes::from(data),
        stride,
    };
    let image = CpuImage::new(format, size, vec![plane]).unwrap();
    VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB)
}

fn fit(frame: &VideoFrame, format: PixelFormat, size: Size) -> VideoFrame {
    let mut fitter = Fitter::new(BufferPool::new(1 << 20));
    fitter.fit(frame, format, size).unwrap()
}

fn sample(image: &CpuImage, plane: usize, x: usize, y: usize) -> f64 {
    let Plane { data, stride } = &image.planes()[plane];
    let row = &data[y * stride..];
    match image.format().bit_depth() {
        8 => f64::from(row[x]),
        _ => f64::from(u16::from_le_bytes([row[2 * x], row[2 * x + 1]])),
    }
}

/// R'G'B' from 0 to 1 of the frame's visible part at a position between pixels, whose centres are at whole numbers: the
/// linear kernel, as wide as the samples are apart.
fn rgb(frame: &VideoFrame, (x, y): (f64, f64), (h, v): (f64, f64)) -> [f64; 3] {
    let image = frame.resource.cpu().unwrap();
    let rect = frame.visible_rect;
    let order = match image.format() {
        PixelFormat::Bgra | PixelFormat::Bgrx => [2, 1, 0],
        _ => [0, 1, 2],
    };
    let taps = |centre: f64, width: f64, length: u32| -> Vec<(usize, f64)> {
        let first = (centre - width).floor() as i64;
        let last = (centre + width).ceil() as i64;
        let weight = |at: i64| (1.0 - (at as f64 - centre).abs() / width).max(0.0);
        let total: f64 = (first..=last).map(weight).sum();
        let inside = |at: i64| at.clamp(0, i64::from(length) - 1) as usize;
        (first..=last)
            .map(|at| (inside(at), weight(at) / total))
            .collect()
    };
    let Plane { data, stride } = &image.planes()[0];
    let mut sum = [0.0; 3];
    for (y, row_weight) in taps(y, v, rect.height) {
        for (x, weight) in taps(x, h, rect.width) {
            let at = (y + rect.y as usize) * stride + (x + rect.x as usize) * 4;
            for (sum, byte) in sum.iter_mut().zip(order) {
                *sum += row_weight * weight * f64::from(data[at + byte]) / 255.0;
            }
        }
    }
    sum
}

/// Code values of limited range (ITU-T H.273, 8.3), not rounded.
fn codes([r, g, b]: [f64; 3], color: ColorSpace, depth: u32) -> [f64; 3] {
    let (kr, kb) = match color.primaries {
        Some(Primaries::Bt2020) => (0.2627, 0.0593),
        _ => (0.2126, 0.0722),
    };
    let unit = f64::from(1u32 << (depth - 8));
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (pb, pr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    let chroma = |value: f64| (128.0 + 224.0 * value) * unit;
    [(16.0 + 219.0 * y) * unit, chroma(pb), chroma(pr)]
}

/// The largest difference from what is exact.
fn worst(frame: &VideoFrame, format: PixelFormat) -> f64 {
    let size = frame.visible_rect.size();
    let fitted = fit(frame, format, size);
    let image = fitted.resource.cpu().unwrap();
    assert_eq!((image.format(), image.size()), (format, size));
    let color = frame.color_space;
    let mut worst: f64 = 0.0;
    for plane in 0..3 {
        let (h, v) = format.subsampling(plane);
        let area = format.plane_size(plane, size);
        for y in 0..area.height {
            for x in 0..area.width {
                // On the left column, and between the rows but for HDR.
                let between = v == 2 && color.transfer != Some(Transfer::Pq);
                let at = (
                    f64::from(x * h),
                    f64::from(y * v) + if between { 0.5 } else { 0.0 },
                );
                let exact = rgb(frame, at, (f64::from(h), f64::from(v)));
                let exact = codes(exact, color, format.bit_depth())[plane];
                worst = worst.max((sample(image, plane, x as usize, y as usize) - exact).abs());
            }
        }
    }
    worst
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_sample_is_the_nearest_code_value_with_chroma_on_the_left(
        source in select(&RGB[..]),
        target in select(planar()),
        color in select(vec![ColorSpace::SRGB, WIDE, PQ]),
        (width, height) in (1u32..70, 1u32..9),
        (left, top) in (0u32..4, 0u32..3),
        padding in 0usize..7,
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(255)], 997),
    ) {
        let size = Size::new(width + left, height + top);
        let mut frame = frame(source, size, padding, &bytes);
        frame.color_space = color;
        frame.visible_rect = Rect { x: left, y: top, width, height };
        // Rounding, and what fixed point is off before it.
        let allowed = match target.bit_depth() {
            8 => 0.52,
            10 => 0.57,
            _ => 0.8,
        };
        let worst = worst(&frame, target);
        prop_assert!(worst <= allowed, "{source:?} to {target:?}: {worst}");
    }
}

#[test]
fn grey_has_no_colour_and_white_and_black_are_the_ends_of_the_range() {
    for target in planar() {
        let unit = f64::from(1u32 << (target.bit_depth() - 8));
        for grey in 0..=255u8 {
            let frame = frame(PixelFormat::Rgbx, Size::new(3, 3), 0, &[grey; 4]);
            let fitted = fit(&frame, target, Size::new(3, 3));
            let image = fitted.resource.cpu().unwrap();
            for plane in 1..3 {
                assert_eq!(
                    sample(image, plane, 1, 1),
                    128.0 * unit,
                    "{target:?} {grey}"
                );
            }
            match grey {
                0 => assert_eq!(sample(image, 0, 2, 2), 16.0 * unit, "{target:?}"),
                255 => assert_eq!(sample(image, 0, 2, 2), 235.0 * unit, "{target:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn scaled_rgb_keeps_its_chroma_on_the_left_column() {
    // A slope from black to blue, at twice its size: the colour of pixel 2i of the result is that of chroma's sample i.
    let (from, to) = (Size::new(64, 4), Size::new(128, 8));
    let row: Vec<u8> = (0..64u8).flat_map(|x| [0, 0, 3 * x, 255]).collect();
    let frame = frame(PixelFormat::Rgba, from, 0, &row);
    for target in [PixelFormat::I420, PixelFormat::I422P10] {
        let fitted = fit(&frame, target, to);
        let image = fitted.resource.cpu().unwrap();
        let unit = f64::from(1u32 << (target.bit_depth() - 8));
        for x in 8..56 {
            // The centre of pixel 2x of 128 is here in 64 pixels.
            let at = (f64::from(x) * 2.0 + 0.5) / 2.0 - 0.5;
            let blue = 3.0 * at / 255.0;
            let want = codes([0.0, 0.0, blue], ColorSpace::SRGB, target.bit_depth());
            let got = sample(image, 1, x as usize, 1);
            assert!(
                (got - want[1]).abs() <= 0.6 * unit,
                "{target:?} {x}: {got}, not {}",
                want[1]
            );
        }
    }
}
