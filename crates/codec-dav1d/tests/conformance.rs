//! Decoded pictures against checksums that libaom made.

mod common;

use common::*;
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
