//! Decoded pictures against checksums of FFmpeg's own decoders, and of the public test vectors.

mod common;

use common::*;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::{Checksums, Family, Layout, Stream as Public, check, streams};
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};
use reelcore_media::{PixelFormat as F, Size, VideoDecoderBackend};

const STREAMS: [(&str, F); 20] = [
    ("vp8", F::I420),
    ("vp8-odd", F::I420),
    ("vp8-hidden", F::I420),
    ("vp8-partitions", F::I420),
    ("vp8-alpha", F::I420A),
    ("vp9", F::I420),
    ("vp9-odd", F::I420),
    ("vp9-small", F::I420),
    ("vp9-hidden", F::I420),
    ("vp9-tiles", F::I420),
    ("vp9-alpha", F::I420A),
    ("vp9-422", F::I422),
    ("vp9-444", F::I444),
    ("vp9-rgb", F::I444),
    ("vp9-420p10", F::I420P10),
    ("vp9-420p12", F::I420P12),
    ("vp9-422p10", F::I422P10),
    ("vp9-422p12", F::I422P12),
    ("vp9-444p10", F::I444P10),
    ("vp9-444p12", F::I444P12),
];

#[test]
fn every_profile_decodes_to_the_reference_pictures_with_its_times() {
    for (name, format) in STREAMS {
        let stream = Stream::read(name);
        assert!(!stream.md5.is_empty(), "{name}");
        for threads in [1, 2, 5] {
            let frames = decode_all(&mut *stream.start(&context(threads)), &stream.chunks);
            assert_eq!(
                times(&frames),
                stream.shown_times(),
                "{name}, {threads} threads"
            );
            assert_eq!(checksums(&frames), stream.md5, "{name}, {threads} threads");
            for frame in &frames {
                assert_eq!(frame.format, Some(format), "{name}");
                assert_eq!(frame.display_size, frame.visible_rect.size(), "{name}");
                assert_eq!(frame.coded_size, frame.visible_rect.size(), "{name}");
            }
        }
    }
}

#[test]
fn hidden_frames_are_in_the_streams_that_test_them() {
    let vp8 = Stream::read("vp8-hidden");
    assert!(vp8.shown_times().len() < vp8.chunks.len());
    let vp9 = Stream::read("vp9-hidden");
    let frames = |data| reelcore_media::vpx::Superframe::parse(data).unwrap();
    assert!(
        vp9.chunks
            .iter()
            .any(|c| frames(&c.data).frames().len() > 1)
    );
}

#[test]
fn the_colour_space_is_that_of_the_bitstream() {
    let color = |name| {
        let stream = Stream::read(name);
        decode_all(&mut *stream.start(&context(1)), &stream.chunks[..1])[0].color_space
    };
    let bt601 = ColorSpace {
        primaries: Some(Primaries::Smpte170m),
        transfer: Some(Transfer::Smpte170m),
        matrix: Some(Matrix::Smpte170m),
        full_range: Some(false),
    };
    assert_eq!(color("vp8"), bt601);
    assert_eq!(
        color("vp9-420p10"),
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Bt709),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(true),
        }
    );
    assert_eq!(color("vp9-rgb").matrix, Some(Matrix::Rgb));
    assert_eq!(color("vp9-rgb").full_range, Some(true));
    // color_space 0: nothing but the range is known.
    assert_eq!(
        color("vp9"),
        ColorSpace {
            full_range: Some(false),
            ..ColorSpace::default()
        }
    );
}

/// Decodes on one and on two threads; returns how many checksums were compared.
fn compare(stream: &Public) -> usize {
    let mut compared = 0;
    for threads in [1, 2] {
        let report = check(&Vpx, stream, threads);
        let report = report.unwrap_or_else(|error| panic!("{} on {threads}: {error}", stream.name));
        assert!(report.compared >= report.frames, "{}", stream.name);
        compared += report.compared;
    }
    compared
}

/// Those of cros-codecs, and the VP8 test vectors where `../shared/vectors` is there.
#[test]
fn the_public_conformance_streams_decode_to_their_checksums() {
    let compared: usize = [Family::Vp8, Family::Vp9]
        .into_iter()
        .flat_map(|family| streams(family).unwrap())
        .filter(|stream| stream.name != CHANGING)
        .map(|stream| compare(&stream))
        .sum();
    // Both sums of the two `test-25fps`, and those of `show-existing-frame`, on one and on two threads.
    assert!(compared > 2 * 2 * 2 * 250, "{compared}");
}

/// A stream of cros-codecs that changes its size again and again. The package has no checksums of its pictures.
const CHANGING: &str = "resolution_change_500frames-vp9.ivf";

#[test]
fn changes_of_size_in_mid_stream_decode_to_the_reference_pictures() {
    let all = streams(Family::Vp9).unwrap();
    let mut stream = all.into_iter().find(|s| s.name == CHANGING).unwrap();
    let md5 = lines(&data("resolution_change_500frames-vp9.md5"));
    assert_eq!(md5.len(), 500);
    stream.checksums.push(Checksums {
        layout: Layout::Planar,
        md5,
    });
    assert_eq!(compare(&stream), 1000);
    let mut sizes: Vec<Size> = Vec::new();
    let mut decoder = Vpx
        .start(&stream.config().unwrap(), &context(2))
        .expect("starts");
    for chunk in &stream.chunks().unwrap() {
        decoder
            .decode(chunk, &mut |frame| sizes.push(frame.coded_size))
            .expect("decodes");
    }
    sizes.dedup();
    assert!(sizes.len() > 3, "{sizes:?}");
}
