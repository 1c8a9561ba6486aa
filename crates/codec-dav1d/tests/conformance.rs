//! Decoded pictures against checksums that libaom made.

mod common;

use common::*;
use reelcore_codec_dav1d::Dav1d;
use reelcore_conformance::{Family, Stream as Public, check, ffmpeg_make, streams};
use reelcore_media::PixelFormat as F;
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};

const STREAMS: [(&str, F); 14] = [
    ("main-8", F::I420),
    ("main-10", F::I420P10),
    ("high-444-8", F::I444),
    ("high-444-10", F::I444P10),
    ("pro-422-8", F::I422),
    ("pro-422-10", F::I422P10),
    ("pro-420-12", F::I420P12),
    ("pro-444-12", F::I444P12),
    ("gray-8", F::I420),
    ("gray-10", F::I420P10),
    ("identity", F::I444),
    ("film-grain", F::I420),
    ("superres", F::I420),
    ("color", F::I420P10),
];

#[test]
fn every_profile_decodes_to_the_reference_pictures_with_its_times() {
    for (name, format) in STREAMS {
        let stream = Stream::read(name);
        let want: Vec<_> = stream
            .chunks
            .iter()
            .map(|c| (c.timestamp, c.duration))
            .collect();
        for threads in [1, 2, 5] {
            let frames = decode_all(&mut *start(&context(threads)), &stream.chunks);
            assert_eq!(checksums(&frames), stream.md5, "{name}, {threads} threads");
            assert_eq!(times(&frames), want, "{name}, {threads} threads");
            for frame in &frames {
                assert_eq!(frame.format, Some(format), "{name}");
                assert_eq!(frame.display_size, frame.visible_rect.size(), "{name}");
                assert_eq!(frame.coded_size, frame.visible_rect.size(), "{name}");
            }
        }
    }
}

#[test]
fn the_colour_space_is_that_of_the_sequence_header() {
    let color = |name| {
        let stream = Stream::read(name);
        decode_all(&mut *start(&context(1)), &stream.chunks)[0].color_space
    };
    assert_eq!(
        color("color"),
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Pq),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(true),
        }
    );
    assert_eq!(color("identity").matrix, Some(Matrix::Rgb));
    assert_eq!(color("main-8").full_range, Some(false));
}

#[test]
fn the_public_conformance_streams_decode_to_their_checksums() {
    let mut compared = 0;
    for stream in streams(Family::Av1).unwrap() {
        for threads in [1, 4] {
            let report = check(&Dav1d, &stream, threads);
            let report = report.unwrap_or_else(|error| panic!("{}: {error}", stream.name));
            assert!(report.frames > 0, "{}", stream.name);
            compared += report.compared;
        }
    }
    assert_eq!(compared, 2 * 2 * 250);
}

/// Frames, film grain included, as FFmpeg gives them with its own copy of dav1d.
#[test]
fn clips_of_both_encoders_decode_as_ffmpeg_does() {
    let source = "testsrc2=size=130x98:rate=25:duration=0.4,noise=alls=12:allf=t:all_seed=3";
    let aom = ["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "35"];
    let svt = ["-c:v", "libsvtav1", "-preset", "10", "-crf", "35"];
    let grain = ["-denoise-noise-level", "30"];
    let svt_grain = ["-svtav1-params", "film-grain=20"];
    let all: [(&str, &str, &[&str], &[&str]); 6] = [
        ("aom-420p8.ivf", "yuv420p", &aom, &[]),
        ("aom-grain.ivf", "yuv420p", &aom, &grain),
        ("aom-grain-10.ivf", "yuv420p10le", &aom, &grain),
        ("svt-420p8.ivf", "yuv420p", &svt, &[]),
        ("svt-grain.ivf", "yuv420p", &svt, &svt_grain),
        ("svt-420p10.ivf", "yuv420p10le", &svt, &[]),
    ];
    for (name, pix_fmt, encoder, more) in all {
        let mut args = vec!["-f", "lavfi", "-i", source, "-pix_fmt", pix_fmt];
        args.extend(encoder);
        args.extend(more);
        let path = ffmpeg_make(&args, name).unwrap();
        let decoder = ["-c:v", "libdav1d", "-filmgrain", "1"];
        let stream = Public::with_ffmpeg_checksums(path, Family::Av1, pix_fmt, &decoder).unwrap();
        for threads in [1, 3] {
            let report = check(&Dav1d, &stream, threads);
            let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((report.frames, report.compared), (10, 10), "{name}");
        }
    }
}
