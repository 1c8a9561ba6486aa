//! Every pixel format that libaom writes, against FFmpeg's libdav1d.

mod common;

use common::*;
use reelcore_codec_dav1d::Dav1d;
use reelcore_conformance::{Family, Stream as Public, check, ffmpeg_framemd5, ffmpeg_make};
use reelcore_media::PixelFormat as F;

const SOURCE: &str = "testsrc2=size=130x98:rate=25:duration=0.12,noise=alls=12:allf=t:all_seed=3";
const AOM: [&str; 6] = ["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "35"];

fn make(pix_fmt: &str, more: &[&str], name: &str) -> std::path::PathBuf {
    let mut args = vec!["-f", "lavfi", "-i", SOURCE, "-pix_fmt", pix_fmt];
    args.extend(AOM);
    args.extend(more);
    ffmpeg_make(&args, name).expect("the ffmpeg command")
}

/// With and without film grain, which is made for each depth and subsampling in its own way.
#[test]
fn every_depth_and_subsampling_is_that_of_ffmpeg_with_and_without_film_grain() {
    for (pix_fmt, format) in [
        ("yuv420p10le", F::I420P10),
        ("yuv420p12le", F::I420P12),
        ("yuv422p", F::I422),
        ("yuv422p10le", F::I422P10),
        ("yuv422p12le", F::I422P12),
        ("yuv444p", F::I444),
        ("yuv444p10le", F::I444P10),
        ("yuv444p12le", F::I444P12),
    ] {
        for grain in [&[][..], &["-denoise-noise-level", "30"]] {
            let name = format!("aom-{pix_fmt}-{}.ivf", grain.len());
            let path = make(pix_fmt, grain, &name);
            let decoder = ["-c:v", "libdav1d", "-filmgrain", "1"];
            let stream =
                Public::with_ffmpeg_checksums(path, Family::Av1, pix_fmt, &decoder).unwrap();
            for threads in [1, 3] {
                let report = check(&Dav1d, &stream, threads);
                let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((report.frames, report.compared), (3, 3), "{name}");
            }
            let frames = decode_all(&mut *start(&context(1)), &stream.chunks().unwrap());
            assert!(frames.iter().all(|f| f.format == Some(format)), "{name}");
        }
    }
}

#[test]
fn pictures_without_chroma_are_those_of_ffmpeg_with_neutral_chroma() {
    for (pix_fmt, format, neutral) in [
        ("gray", F::I420, &[0x80][..]),
        ("gray10le", F::I420P10, &[0, 2]),
        ("gray12le", F::I420P12, &[0, 8]),
    ] {
        let name = format!("aom-{pix_fmt}.ivf");
        let path = make(pix_fmt, &[], &name);
        let want = ffmpeg_framemd5(&path, pix_fmt).expect("the ffmpeg command");
        let stream = Public {
            name: name.clone(),
            path,
            family: Family::Av1,
            checksums: Vec::new(),
        };
        let frames = decode_all(&mut *start(&context(1)), &stream.chunks().unwrap());
        assert_eq!(frames.len(), 3, "{name}");
        for (frame, want) in frames.iter().zip(&want) {
            assert_eq!(frame.format, Some(format), "{name}");
            let size = frame.visible_rect.size();
            let image = frame.resource.cpu().expect("CPU memory");
            let rows = |index: usize| {
                let plane = &image.planes()[index];
                let height = format.plane_size(index, size).height as usize;
                let row = format.row_bytes(index, size.width);
                (0..height).map(move |y| &plane.data[y * plane.stride..][..row])
            };
            let luma: Vec<u8> = rows(0).flatten().copied().collect();
            assert_eq!(reelcore_conformance::md5(&luma), *want, "{name}");
            for plane in [1, 2] {
                assert!(
                    rows(plane).all(|row| row.chunks(neutral.len()).all(|s| s == neutral)),
                    "{name}"
                );
            }
        }
    }
}
