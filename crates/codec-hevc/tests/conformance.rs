//! Decoded pictures against checksums that other decoders made.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_hevc::Hevc;
use reelcore_conformance::{Family, check, streams};
use reelcore_media::codec::VideoDecoderBackend;
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};
use reelcore_media::{
    EncodedChunk, ErrorKind, PixelFormat, Rect, Size, VideoCodec, VideoDecoderConfig,
};

const STREAMS: [&str; 22] = [
    "main",
    "main-10",
    "main-10-wpp",
    "b-pyramid",
    "open-gop",
    "radl",
    "low-delay",
    "slices-wpp",
    "lossless",
    "cu-lossless",
    "qp-delta",
    "weighted",
    "scaling-lists",
    "filters",
    "no-filters",
    "sub-layers",
    "intra-refresh",
    "hrd",
    "still",
    "tiny",
    "cropped-sar",
    "hdr",
];

#[test]
fn every_stream_decodes_to_the_reference_pictures_with_its_times() {
    for name in STREAMS {
        let stream = Stream::read(name);
        let frames = decode_all(&mut *start(&config()), &stream.chunks());
        assert_eq!(checksums(&frames), stream.md5, "{name}");
        assert_eq!(times(&frames), stream.output_times(), "{name}");
        let ten = matches!(name, "main-10" | "main-10-wpp" | "hdr");
        let format = if ten {
            PixelFormat::I420P10
        } else {
            PixelFormat::I420
        };
        assert!(frames.iter().all(|f| f.format == Some(format)), "{name}");
    }
}

#[test]
fn lengths_of_every_size_decode_as_start_codes_do() {
    // A NAL unit of more than 255 bytes has no length of one byte: only the tiny stream is without.
    for (name, length_sizes) in [
        ("tiny", &[1, 2, 4][..]),
        ("main-10", &[2, 4]),
        ("slices-wpp", &[2, 4]),
        ("b-pyramid", &[2, 4]),
    ] {
        let stream = Stream::read(name);
        for &length_size in length_sizes {
            let mut config = config();
            let record = hvcc(&stream.bytes, length_size).write().unwrap();
            config.description = Some(record.into());
            let chunks: Vec<_> = stream
                .chunks()
                .iter()
                .map(|chunk| with_lengths(chunk, length_size))
                .collect();
            let frames = decode_all(&mut *start(&config), &chunks);
            assert_eq!(checksums(&frames), stream.md5, "{name}, {length_size}");
        }
    }
}

#[test]
fn the_visible_part_and_its_aspect_and_colour_are_those_of_the_parameter_set() {
    let first = |name| decode_all(&mut *start(&config()), &Stream::read(name).chunks()).remove(0);
    let frame = first("cropped-sar");
    assert_eq!(frame.coded_size, Size::new(96, 72));
    let want = Rect {
        x: 4,
        y: 2,
        width: 86,
        height: 68,
    };
    assert_eq!(frame.visible_rect, want);
    assert_eq!(frame.display_size, Size::new(115, 68));
    assert_eq!(
        frame.color_space,
        ColorSpace {
            primaries: Some(Primaries::Bt709),
            transfer: Some(Transfer::Iec61966_2_1),
            matrix: Some(Matrix::Bt709),
            full_range: Some(true),
        }
    );
    assert_eq!(
        first("hdr").color_space,
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Pq),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(false),
        }
    );
}

#[test]
fn what_rusty_h265_does_not_decode_is_refused_before_a_wrong_picture() {
    let refused = [
        ("refused-gray", "4:0:0"),
        ("refused-422-10", "4:2:2"),
        ("refused-444", "4:4:4"),
        ("refused-12", "12 (luma)"),
    ];
    for (name, reason) in refused {
        let bytes = Bytes::from(std::fs::read(data(&format!("{name}.265"))).unwrap());
        // In band: the first chunk fails.
        let chunk = EncodedChunk::new(kind(true), 0, bytes.clone());
        let mut frames = 0;
        let error = start(&config())
            .decode(&chunk, &mut |_| frames += 1)
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{name}: {error}");
        assert!(error.message.contains(reason), "{name}: {error}");
        assert_eq!(frames, 0);
        // In the description: the configuration is not supported.
        let mut config = config();
        config.description = Some(hvcc(&bytes, 4).write().unwrap().into());
        let error = Hevc.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{name}: {error}");
        assert!(error.message.contains(reason), "{name}: {error}");
    }
    // By the codec string alone.
    for (codec, reason) in [
        ("hev1.4.10.L93.9D.8", "range extensions"),
        ("hvc1.9.200.L93", "screen content"),
        ("hvc1.6.40.L93", "Multiview"),
        ("hvc1.A1.6.L93", "profile"),
    ] {
        let config = VideoDecoderConfig::new(VideoCodec::parse(codec).unwrap());
        let error = Hevc.check(&config).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{codec}: {error}");
        assert!(error.message.contains(reason), "{codec}: {error}");
    }
    let vp8 = VideoDecoderConfig::new(VideoCodec::Vp8);
    assert_eq!(Hevc.check(&vp8).unwrap_err().kind, ErrorKind::Unsupported);
}

#[test]
fn the_public_conformance_streams_decode_to_their_checksums() {
    let streams = streams(Family::H265).unwrap();
    assert!(streams.len() >= 6);
    for stream in streams {
        let report = check(&Hevc, &stream, 1);
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", stream.name));
        assert!(report.compared >= report.frames, "{}", stream.name);
    }
}
