//! Conversion to RGB against a slow reference.

mod reference;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::convert::{PredefinedColorSpace, RgbConversion, effective_color_space, to_rgb};
use reelcore_media::layout::PlaneLayout;
use reelcore_media::{ColorSpace, CpuImage, ErrorKind, PixelFormat, Plane, Rect, Size};

const RGB: [PixelFormat; 4] = [
    PixelFormat::Rgba,
    PixelFormat::Rgbx,
    PixelFormat::Bgra,
    PixelFormat::Bgrx,
];
const UNTOUCHED: u8 = 0xA5;

/// A small generator, so that a case is one number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// An image of random samples: any byte, and any word within or (one in 16) beyond the range.
fn image(format: PixelFormat, size: Size, padding: usize, seed: u64) -> CpuImage {
    let mut random = Random(seed);
    let planes = (0..format.num_planes())
        .map(|plane| {
            let stride = format.row_bytes(plane, size.width) + padding;
            let rows = format.plane_size(plane, size).height as usize;
            let mut data = vec![0; stride * rows];
            if format.bit_depth() == 8 {
                data.fill_with(|| random.next() as u8);
            } else {
                for row in data.chunks_mut(stride) {
                    for word in row.as_chunks_mut::<2>().0 {
                        let value = random.next();
                        let beyond = value >> 28 == 0;
                        let bits = if beyond { 16 } else { format.bit_depth() };
                        *word = ((value & ((1 << bits) - 1)) as u16).to_le_bytes();
                    }
                }
            }
            Plane {
                data: Bytes::from(data),
                stride,
            }
        })
        .collect();
    CpuImage::new(format, size, planes).unwrap()
}

/// Converts, and compares every pixel with the reference and every other byte with what was there.
fn check(image: &CpuImage, conversion: &RgbConversion, offset: usize, padding: usize) {
    let (width, height) = (
        conversion.rect.width as usize,
        conversion.rect.height as usize,
    );
    let stride = width * 4 + padding;
    let mut out = vec![UNTOUCHED; offset + stride * height + 5];
    let layout = PlaneLayout {
        offset: offset as u32,
        stride: stride as u32,
    };
    to_rgb(image, conversion, layout, &mut out).unwrap();
    let (before, rest) = out.split_at(offset);
    assert!(
        before.iter().all(|&byte| byte == UNTOUCHED),
        "before the first row"
    );
    for (y, row) in rest.chunks(stride).take(height).enumerate() {
        let (pixels, between) = row.split_at(width * 4);
        assert!(
            between.iter().all(|&byte| byte == UNTOUCHED),
            "after row {y}"
        );
        for (x, pixel) in pixels.chunks(4).enumerate() {
            let (column, line) = (
                conversion.rect.x as usize + x,
                conversion.rect.y as usize + y,
            );
            let want = reference::convert(image, conversion, column, line);
            for (component, (&got, want)) in pixel.iter().zip(want).enumerate() {
                let error = f64::from(got) - want.round();
                assert!(
                    error.abs() <= 1.0,
                    "component {component} of {column},{line}: {got}, exactly {want}, of {:?} by {conversion:?}",
                    image.format(),
                );
            }
        }
    }
    assert!(
        rest[stride * height..]
            .iter()
            .all(|&byte| byte == UNTOUCHED)
    );
}

fn any_color_space() -> impl Strategy<Value = ColorSpace> {
    (
        prop::option::of(select(Primaries::ALL)),
        prop::option::of(select(Transfer::ALL)),
        prop::option::of(select(Matrix::ALL)),
        any::<Option<bool>>(),
    )
        .prop_map(|(primaries, transfer, matrix, full_range)| ColorSpace {
            primaries,
            transfer,
            matrix,
            full_range,
        })
}

fn any_target() -> impl Strategy<Value = PredefinedColorSpace> {
    select(vec![
        PredefinedColorSpace::Srgb,
        PredefinedColorSpace::DisplayP3,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_conversion_is_within_one_code_value_and_touches_nothing_else(
        source in select(PixelFormat::ALL),
        size in (1..40u32, 1..8u32),
        corner in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        extent in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        color_space in any_color_space(),
        keep_alpha in any::<bool>(),
        format in select(RGB.to_vec()),
        target in any_target(),
        paddings in (0..9usize, 0..9usize, 0..9usize),
        seed in any::<u64>(),
    ) {
        let size = Size::new(size.0, size.1);
        let (x, y) = (corner.0.index(size.width as usize), corner.1.index(size.height as usize));
        let rect = Rect {
            x: x as u32,
            y: y as u32,
            width: extent.0.index(size.width as usize - x) as u32 + 1,
            height: extent.1.index(size.height as usize - y) as u32 + 1,
        };
        let image = image(source, size, paddings.0, seed);
        let conversion = RgbConversion { rect, color_space, keep_alpha, format, target };
        check(&image, &conversion, paddings.1, paddings.2);
    }
}

/// Formats x matrices x ranges x targets, wide enough for several blocks and an odd start.
#[test]
fn no_matrix_range_or_depth_is_off_by_more_than_one() {
    let size = Size::new(1201, 5);
    let rect = Rect {
        x: 3,
        y: 1,
        width: 1198,
        height: 4,
    };
    for (seed, &source) in PixelFormat::ALL.iter().enumerate() {
        let image = image(source, size, 6, seed as u64);
        for &matrix in Matrix::ALL {
            for full_range in [false, true] {
                for (primaries, transfer) in [
                    (Primaries::Bt709, Transfer::Bt709),
                    (Primaries::Bt2020, Transfer::Bt709),
                    (Primaries::Smpte432, Transfer::Linear),
                    (Primaries::Bt2020, Transfer::Pq),
                    (Primaries::Bt2020, Transfer::Hlg),
                ] {
                    let conversion = RgbConversion {
                        rect,
                        color_space: ColorSpace {
                            primaries: Some(primaries),
                            transfer: Some(transfer),
                            matrix: Some(matrix),
                            full_range: Some(full_range),
                        },
                        keep_alpha: true,
                        format: RGB[seed % 4],
                        target: PredefinedColorSpace::Srgb,
                    };
                    check(&image, &conversion, 1, 3);
                }
            }
        }
    }
}

/// Every luma with every pair of U and V on a grid that has the ends and the middle.
#[test]
fn eight_bit_extremes_beyond_the_nominal_range_are_converted_exactly_enough() {
    let grid: Vec<u8> = (0..=255)
        .step_by(15)
        .chain([1, 127, 128, 129, 254])
        .collect();
    for matrix in [Matrix::Bt709, Matrix::Smpte170m, Matrix::Bt2020Ncl] {
        for full_range in [false, true] {
            let color_space = ColorSpace {
                primaries: Some(Primaries::Bt709),
                transfer: Some(Transfer::Bt709),
                matrix: Some(matrix),
                full_range: Some(full_range),
            };
            for &u in &grid {
                let size = Size::new(256, grid.len() as u32);
                let y: Vec<u8> = grid.iter().flat_map(|_| 0..=255u8).collect();
                let v: Vec<u8> = grid.iter().flat_map(|&v| [v; 256]).collect();
                let plane = |data: Vec<u8>| Plane {
                    data: Bytes::from(data),
                    stride: 256,
                };
                let planes = vec![plane(y), plane(vec![u; v.len()]), plane(v)];
                let image = CpuImage::new(PixelFormat::I444, size, planes).unwrap();
                let conversion = RgbConversion {
                    rect: Rect::of_size(size),
                    color_space,
                    keep_alpha: false,
                    format: PixelFormat::Rgba,
                    target: PredefinedColorSpace::Srgb,
                };
                check(&image, &conversion, 0, 0);
            }
        }
    }
}

#[test]
fn grey_stays_grey_and_black_and_white_are_reached() {
    for (full_range, black, white) in [(false, 16, 235), (true, 0, 255)] {
        for y in black..=white {
            let plane = |value| Plane {
                data: Bytes::from(vec![value; 4]),
                stride: 2,
            };
            let planes = vec![plane(y), plane(128), plane(128)];
            let image = CpuImage::new(PixelFormat::I420, Size::new(2, 2), planes).unwrap();
            let conversion = RgbConversion {
                rect: Rect::of_size(Size::new(2, 2)),
                color_space: ColorSpace {
                    full_range: Some(full_range),
                    ..ColorSpace::REC709
                },
                keep_alpha: true,
                format: PixelFormat::Rgba,
                target: PredefinedColorSpace::Srgb,
            };
            let mut out = [0; 16];
            let layout = PlaneLayout {
                offset: 0,
                stride: 8,
            };
            to_rgb(&image, &conversion, layout, &mut out).unwrap();
            let grey = f64::from(y - black) * 255.0 / f64::from(white - black);
            let grey = grey.round() as u8;
            assert_eq!(
                out[..4],
                [grey, grey, grey, 255],
                "{y}, full range {full_range}"
            );
        }
    }
}

#[test]
fn display_p3_has_the_published_coordinates_of_srgb_colours() {
    // CSS Color 4: color(srgb 1 0 0) is color(display-p3 0.9175 0.2003 0.1386).
    let plane = Plane {
        data: Bytes::from_static(&[255, 0, 0, 7]),
        stride: 4,
    };
    let size = Size::new(1, 1);
    let image = CpuImage::new(PixelFormat::Rgba, size, vec![plane]).unwrap();
    let mut out = [0; 4];
    let conversion = RgbConversion {
        rect: Rect::of_size(size),
        color_space: ColorSpace::SRGB,
        keep_alpha: true,
        format: PixelFormat::Bgra,
        target: PredefinedColorSpace::DisplayP3,
    };
    let layout = PlaneLayout {
        offset: 0,
        stride: 4,
    };
    to_rgb(&image, &conversion, layout, &mut out).unwrap();
    assert_eq!(out, [35, 51, 234, 7]);
    assert_eq!(
        effective_color_space(ColorSpace::default(), PixelFormat::Rgba, size),
        ColorSpace::SRGB
    );
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let image = image(PixelFormat::I420, Size::new(4, 4), 0, 1);
    let good = RgbConversion {
        rect: Rect::of_size(Size::new(4, 4)),
        color_space: ColorSpace::REC709,
        keep_alpha: true,
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    let outside = RgbConversion {
        rect: Rect {
            x: u32::MAX,
            ..good.rect
        },
        ..good
    };
    let to_yuv = RgbConversion {
        format: PixelFormat::I420,
        ..good
    };
    let at = |offset, stride| PlaneLayout { offset, stride };
    for (conversion, layout, kind) in [
        (&good, at(0, 15), ErrorKind::InvalidArgument),
        (&good, at(1, 16), ErrorKind::InvalidArgument),
        (&good, at(0, 17), ErrorKind::InvalidArgument),
        (&good, at(u32::MAX, u32::MAX), ErrorKind::InvalidArgument),
        (&outside, at(0, 16), ErrorKind::InvalidArgument),
        (&to_yuv, at(0, 16), ErrorKind::Unsupported),
    ] {
        let mut out = [UNTOUCHED; 64];
        let error = to_rgb(&image, conversion, layout, &mut out).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(out, [UNTOUCHED; 64]);
    }
}
