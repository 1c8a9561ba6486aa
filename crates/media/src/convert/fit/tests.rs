use super::*;
use crate::format::PixelFormat as F;

/// A frame of `format` in which every plane is a slope: x + 2 y, in the samples' own depth.
fn slopes(format: F, size: Size) -> VideoFrame {
    let shift = format.bit_depth() - 8;
    let planes = (0..format.num_planes()).map(|index| {
        let plane = format.plane_size(index, size);
        let (h, v) = format.subsampling(index);
        let units = format.row_bytes(index, size.width) / plane.width as usize;
        let mut data = Vec::new();
        for y in 0..plane.height {
            for x in 0..plane.width {
                let value = 40 + x * h + 2 * y * v;
                match (format.bit_depth(), units) {
                    (8, units) => data.extend(std::iter::repeat_n(value as u8, units)),
                    _ => data.extend(((value as u16) << shift).to_ne_bytes()),
                }
            }
        }
        Plane {
            data: data.into(),
            stride: format.row_bytes(index, size.width),
        }
    });
    let image = CpuImage::new(format, size, planes.collect()).unwrap();
    VideoFrame::from_cpu(image, 7, Some(8), ColorSpace::REC709)
}

fn fitter() -> Fitter {
    Fitter::new(BufferPool::new(1 << 20))
}

fn value(frame: &VideoFrame, plane: usize, x: usize, y: usize) -> u32 {
    let image = frame.resource.cpu().unwrap();
    let plane_data = &image.planes()[plane];
    let bytes = &plane_data.data[y * plane_data.stride..];
    match image.format().bit_depth() {
        8 => u32::from(bytes[x]),
        _ => u32::from(u16::from_ne_bytes([bytes[2 * x], bytes[2 * x + 1]])),
    }
}

#[test]
fn a_frame_that_fits_shares_its_memory_even_when_it_is_cropped() {
    let mut frame = slopes(F::I420A, Size::new(64, 32));
    frame.visible_rect = Rect {
        x: 2,
        y: 4,
        width: 33,
        height: 20,
    };
    let fitted = fitter().fit(&frame, F::I420, Size::new(33, 20)).unwrap();
    let (from, to) = (
        frame.resource.cpu().unwrap(),
        fitted.resource.cpu().unwrap(),
    );
    assert_eq!(to.planes().len(), 3);
    let offset = |plane: usize| {
        to.planes()[plane].data.as_ptr() as usize - from.planes()[plane].data.as_ptr() as usize
    };
    assert_eq!([offset(0), offset(1)], [4 * 64 + 2, 2 * 32 + 1]);
    assert_eq!((fitted.timestamp, fitted.duration), (7, Some(8)));
    assert_eq!(value(&fitted, 0, 0, 0), 40 + 2 + 8);
}

#[test]
fn every_format_reaches_every_planar_format_with_its_values_in_place() {
    let size = Size::new(32, 16);
    let to = [
        F::I420,
        F::I422,
        F::I444,
        F::I420P10,
        F::I422P12,
        F::I444P10,
    ];
    for &from in F::ALL.iter().filter(|format| !format.is_rgb()) {
        for to in to {
            let fitted = fitter().fit(&slopes(from, size), to, size).unwrap();
            let depth = to.bit_depth() - 8;
            for plane in 0..3 {
                let (h, v) = to.subsampling(plane);
                let (fh, fv) = from.subsampling(match from.layout() {
                    PixelLayout::Nv12 => plane.min(1),
                    _ => plane,
                });
                let (x, y) = (8 / h, 8 / v);
                // The middle of the sample's pixels in each format, on the same slope.
                let middle = |s: u32, fs: u32| f64::from(s) / 2.0 - f64::from(fs) / 2.0;
                let want = 40.0 + 8.0 + 16.0 + middle(h, fh) + 2.0 * middle(v, fv);
                let got = value(&fitted, plane, x as usize, y as usize);
                let error = (f64::from(got) / f64::from(1 << depth) - want).abs();
                assert!(
                    error <= 0.75,
                    "{from:?} to {to:?}, plane {plane}: {got}, not {want}"
                );
            }
        }
    }
}

#[test]
fn full_range_keeps_black_white_and_grey_at_every_depth_and_size() {
    let size = Size::new(8, 4);
    let color = ColorSpace {
        full_range: Some(true),
        ..ColorSpace::REC709
    };
    let to = [F::I420, F::I422P10, F::I444P12, F::I420P10, F::I420P12];
    for from in [F::I420, F::Nv12, F::I420AP10, F::I444P12] {
        let depth = from.bit_depth();
        // Luma, and chroma, which is neutral or as far up as its bits go.
        for (luma, chroma) in [
            (0, 1 << (depth - 1)),
            ((1 << depth) - 1, 1 << (depth - 1)),
            (1 << (depth - 2), (1 << depth) - 1),
        ] {
            let planes = (0..from.num_planes()).map(|index| {
                let sample: u16 = if index % 3 == 0 { luma } else { chroma };
                let stride = from.row_bytes(index, size.width);
                let len = stride * from.plane_size(index, size).height as usize;
                let data = match depth {
                    8 => vec![sample as u8; len],
                    _ => sample.to_ne_bytes().repeat(len / 2),
                };
                Plane {
                    data: data.into(),
                    stride,
                }
            });
            let image = CpuImage::new(from, size, planes.collect()).unwrap();
            let frame = VideoFrame::from_cpu(image, 0, None, color);
            for to in to {
                // ITU-T H.273, 8.3.
                let (of, top) = ((1 << depth) - 1, (1 << to.bit_depth()) - 1);
                let scaled = |code: f64| (code * f64::from(top) / f64::from(of)).round();
                let (from_grey, grey) = (1 << (depth - 1), 1 << (to.bit_depth() - 1));
                let want_chroma = scaled(f64::from(i32::from(chroma) - from_grey));
                let want = [scaled(f64::from(luma)), want_chroma + f64::from(grey)];
                for size in [size, Size::new(6, 10)] {
                    let fitted = fitter().fit(&frame, to, size).unwrap();
                    assert_eq!(fitted.color_space, color);
                    for plane in 0..3 {
                        let found = f64::from(value(&fitted, plane, 1, 1));
                        let want = want[plane.min(1)].min(f64::from(top));
                        assert_eq!(found, want, "{from:?} to {to:?} of {size:?}, plane {plane}");
                    }
                }
            }
        }
    }
    // Of limited range, or of one that nobody named, white is 235 of 255, 940 of 1023.
    for full_range in [Some(false), None] {
        let plane = |bytes: usize, stride| Plane {
            data: vec![235; bytes].into(),
            stride,
        };
        let planes = vec![plane(32, 8), plane(8, 4), plane(8, 4)];
        let image = CpuImage::new(F::I420, size, planes).unwrap();
        let color = ColorSpace {
            full_range,
            ..color
        };
        let frame = VideoFrame::from_cpu(image, 0, None, color);
        let fitted = fitter().fit(&frame, F::I420P10, size).unwrap();
        assert_eq!(value(&fitted, 0, 1, 1), 940);
    }
}

#[test]
fn scaling_keeps_the_picture_in_place_and_within_its_depth() {
    for (format, size) in [
        (F::I420, Size::new(64, 48)),
        (F::I444P10, Size::new(40, 20)),
    ] {
        let source = slopes(format, Size::new(80, 40));
        let fitted = fitter().fit(&source, format, size).unwrap();
        assert_eq!(fitted.coded_size, size);
        let unit = f64::from(1 << (format.bit_depth() - 8));
        for (x, y) in [(10, 5), (30, 12), (20, 10)] {
            let sx = (f64::from(x) + 0.5) * 80.0 / f64::from(size.width) - 0.5;
            let sy = (f64::from(y) + 0.5) * 40.0 / f64::from(size.height) - 0.5;
            let got = f64::from(value(&fitted, 0, x as usize, y as usize)) / unit;
            let want = 40.0 + sx + 2.0 * sy;
            assert!(
                (got - want).abs() <= 0.75,
                "{format:?} {x},{y}: {got}, not {want}"
            );
        }
    }
    // A step from black to white: the filter overshoots, the samples do not.
    let size = Size::new(32, 8);
    let row = [0u16; 16]
        .into_iter()
        .chain([1023; 16])
        .flat_map(u16::to_ne_bytes);
    let luma: Vec<u8> = row.collect::<Vec<_>>().repeat(8);
    let chroma = vec![0u8; 16 * 4 * 2];
    let plane = |data: Vec<u8>, stride| Plane {
        data: data.into(),
        stride,
    };
    let planes = vec![
        plane(luma, 64),
        plane(chroma.clone(), 32),
        plane(chroma, 32),
    ];
    let image = CpuImage::new(F::I420P10, size, planes).unwrap();
    let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709);
    let fitted = fitter().fit(&frame, F::I420P10, Size::new(48, 8)).unwrap();
    let largest = (0..48).map(|x| value(&fitted, 0, x, 4)).max();
    assert_eq!(largest, Some(1023));
}

#[test]
fn rgb_becomes_bt709_whatever_its_order_of_bytes_and_its_crop() {
    let size = Size::new(6, 4);
    for (format, pixel) in [
        (F::Rgba, [255, 0, 0, 9]),
        (F::Rgbx, [255, 0, 0, 9]),
        (F::Bgra, [0, 0, 255, 9]),
        (F::Bgrx, [0, 0, 255, 9]),
    ] {
        let plane = Plane {
            data: pixel.repeat(24).into(),
            stride: 24,
        };
        let image = CpuImage::new(format, size, vec![plane]).unwrap();
        let mut frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB);
        frame.visible_rect.x = 1;
        frame.visible_rect.width = 5;
        for to in [F::I420, F::I422, F::I444, F::I420P10] {
            let fitted = fitter().fit(&frame, to, Size::new(5, 4)).unwrap();
            assert_eq!(fitted.color_space, ColorSpace::REC709);
            let unit = 1 << (to.bit_depth() - 8);
            // BT.709 red in limited range (ITU-R BT.709-6, table 3).
            for (plane, want) in [(0, 63), (1, 102), (2, 240)] {
                let got = value(&fitted, plane, 0, 0);
                assert!(
                    got.abs_diff(want * unit) <= unit,
                    "{format:?} {to:?} {plane}: {got}"
                );
            }
        }
    }
}

#[test]
fn alpha_becomes_luma_and_what_has_none_is_opaque() {
    let size = Size::new(16, 8);
    let frame = slopes(F::I420A, size);
    let alpha = fitter().alpha(&frame, F::I420, size).unwrap();
    assert_eq!(value(&alpha, 0, 3, 2), 47);
    assert_eq!(value(&alpha, 1, 3, 2), 128);
    let ten = slopes(F::I444AP10, size);
    assert_eq!(
        value(&fitter().alpha(&ten, F::I420, size).unwrap(), 0, 3, 2),
        47
    );
    let rgba = slopes(F::Rgba, size);
    assert_eq!(
        value(&fitter().alpha(&rgba, F::I420, size).unwrap(), 0, 3, 2),
        47
    );
    let opaque = slopes(F::Rgbx, size);
    assert_eq!(
        value(&fitter().alpha(&opaque, F::I420, size).unwrap(), 0, 3, 2),
        255
    );
    let halved = fitter().alpha(&frame, F::I420, Size::new(8, 4)).unwrap();
    assert!(value(&halved, 0, 2, 2).abs_diff(40 + 4 + 9 + 1) <= 1);
}

#[test]
fn alpha_has_the_depth_and_the_layout_that_the_pictures_encoder_takes() {
    let size = Size::new(16, 8);
    let sources = [F::I420A, F::I444AP10, F::I422AP12, F::Rgba];
    for to in [F::I420P10, F::I420P12, F::I422, F::I444, F::I444P10] {
        let depth = to.bit_depth();
        for from in sources {
            let alpha = fitter().alpha(&slopes(from, size), to, size).unwrap();
            assert_eq!(alpha.format, Some(to), "{from:?}");
            // The share of the source's greatest value, in as many parts as the depth has.
            let of = (1 << from.bit_depth()) - 1;
            let sample = 47 << (from.bit_depth() - 8);
            let want = (sample * ((1 << depth) - 1) + of / 2) / of;
            assert_eq!(value(&alpha, 0, 3, 2), want, "{from:?} {to:?}");
            assert_eq!(value(&alpha, 1, 1, 1), 1 << (depth - 1), "{from:?} {to:?}");
            assert_eq!(value(&alpha, 2, 1, 1), 1 << (depth - 1), "{from:?} {to:?}");
        }
        let opaque = fitter().alpha(&slopes(F::Rgbx, size), to, size).unwrap();
        assert_eq!(value(&opaque, 0, 15, 7), (1 << depth) - 1, "{to:?}");
    }
}

#[test]
fn what_is_opaque_stays_so_at_every_depth_and_size_and_what_is_clear_too() {
    let size = Size::new(16, 8);
    for from in [F::I420A, F::I420AP10, F::I444AP12, F::Rgba] {
        for sample in [0u8, 0xff] {
            let depth = from.bit_depth();
            let planes = (0..from.num_planes()).map(|index| {
                let stride = from.row_bytes(index, size.width);
                let len = stride * from.plane_size(index, size).height as usize;
                let data = match depth {
                    8 => vec![sample; len],
                    _ => (u16::from(sample & 1) * ((1 << depth) - 1))
                        .to_ne_bytes()
                        .repeat(len / 2),
                };
                Plane {
                    data: data.into(),
                    stride,
                }
            });
            let image = CpuImage::new(from, size, planes.collect()).unwrap();
            let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709);
            for to in [F::I420, F::I420P10, F::I444P12] {
                for size in [size, Size::new(6, 10)] {
                    let alpha = fitter().alpha(&frame, to, size).unwrap();
                    let want = u32::from(sample & 1) * ((1 << to.bit_depth()) - 1);
                    for (x, y) in [(0, 0), (5, 7)] {
                        let found = value(&alpha, 0, x, y);
                        assert_eq!(found, want, "{from:?} to {to:?} of {size:?}");
                    }
                }
            }
        }
    }
}
