//! Decoded pictures against checksums that other decoders made.

mod common;

use std::path::Path;

use bytes::Bytes;
use common::*;
use reelcore_media::h264::access_units;
use reelcore_media::{EncodedChunk, ErrorKind, Size, VideoDecoderBackend};

/// The streams of `tests/data` that OpenH264 decodes.
const STREAMS: [&str; 9] = [
    "b-pyramid",
    "main-slices",
    "main-cavlc",
    "baseline",
    "cropped-sar",
    "scaling-lists",
    "small-slices",
    "gray",
    "intra",
];

/// Public streams whose pictures OpenH264 decodes almost, but not bit by bit: its deblocking filter
/// takes the wrong strength at some edges of macroblocks with direct prediction in B slices (see
/// docs/codecs.md). The frames of I and P slices, and the order and the number of all, are right.
const NOT_BIT_EXACT: [&str; 1] = ["VID_1280x720_cabac_temporal_direct.264"];

/// Its checksums are of pictures without the cropping at the left, which FFmpeg rounds to what its
/// buffers are aligned to.
const LEFT_NOT_CROPPED: &str = "CVFC1_Sony_C.jsv";

#[test]
fn every_stream_decodes_to_the_reference_pictures_in_order() {
    for name in STREAMS {
        let stream = Stream::read(name);
        for optimize_for_latency in [false, true] {
            let mut config = config();
            config.optimize_for_latency = optimize_for_latency;
            let frames = decode_all(&mut *start(&config), &stream.chunks());
            assert_eq!(checksums(&frames), stream.md5, "{name}");
            let mut want = stream.times.clone();
            want.sort_unstable();
            let want: Vec<_> = want.iter().map(|&(t, d)| (t, Some(d))).collect();
            assert_eq!(times(&frames), want, "{name}");
        }
    }
}

#[test]
fn streams_beyond_the_library_are_refused_with_the_reason() {
    for (name, reason) in [
        ("refused-temporal-cavlc", "temporal direct"),
        ("refused-interlaced", "interlaced"),
        ("refused-high10", "10 (luma)"),
        ("refused-high422", "4:2:2"),
        ("refused-high444", "4:4:4"),
    ] {
        let bytes = Bytes::from(std::fs::read(data(&format!("{name}.264"))).unwrap());
        let units = access_units(&bytes).unwrap();
        let mut decoder = start(&config());
        let mut frames = 0;
        let error = units.iter().find_map(|range| {
            let chunk = EncodedChunk {
                kind: kind(&bytes[range.clone()]),
                timestamp: 0,
                duration: None,
                data: bytes.slice(range.clone()),
                side: None,
            };
            decoder.decode(&chunk, &mut |_| frames += 1).err()
        });
        let error = error.unwrap_or_else(|| panic!("{name}: {frames} frames"));
        assert_eq!(error.kind, ErrorKind::Unsupported, "{name}: {error}");
        assert!(error.message.contains(reason), "{name}: {error}");
    }
    let mut high10 = config();
    high10.codec = reelcore_media::VideoCodec::Avc(reelcore_media::codec_string::Avc {
        in_band: false,
        profile: 110,
        constraints: 0,
        level: 31,
    });
    let error = reelcore_codec_openh264::OpenH264
        .check(&high10)
        .unwrap_err();
    assert!(error.message.contains("High 10"), "{error}");
}

#[test]
fn the_public_conformance_streams_decode_to_their_checksums() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/h264");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("NOT RUN: no conformance streams at {}", folder.display());
        return;
    };
    let mut failures = Vec::new();
    let mut run = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".md5") {
            continue;
        }
        let want: Vec<String> = std::fs::read_to_string(folder.join(format!("{name}.md5")))
            .expect("checksums")
            .split_whitespace()
            .map(str::to_string)
            .collect();
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let units = access_units(&bytes).unwrap();
        let mut decoder = start(&config());
        let mut frames = 0usize;
        let mut wrong = Vec::new();
        let mut error = None;
        let mut stamps = Vec::new();
        {
            let mut sink = |mut frame: reelcore_media::VideoFrame| {
                if name == LEFT_NOT_CROPPED {
                    assert_eq!(frame.visible_rect.size(), Size::new(300, 168));
                    frame.visible_rect.width += frame.visible_rect.x;
                    frame.visible_rect.x = 0;
                }
                if want.get(frames) != Some(&md5(&frame)) {
                    wrong.push(frames);
                }
                stamps.push(frame.timestamp);
                frames += 1;
            };
            for (index, range) in units.iter().enumerate() {
                let chunk = EncodedChunk {
                    kind: kind(&bytes[range.clone()]),
                    timestamp: index as i64,
                    duration: None,
                    data: bytes.slice(range.clone()),
                    side: None,
                };
                if let Err(found) = decoder.decode(&chunk, &mut sink) {
                    error = Some(found);
                    break;
                }
            }
            decoder.flush(&mut sink).unwrap();
        }
        if let Some(error) = error {
            failures.push(format!("{name}: after {frames} frames: {error}"));
        } else if NOT_BIT_EXACT.contains(&name.as_str()) {
            println!(
                "{name}: {} of {frames} frames differ, as expected",
                wrong.len()
            );
            assert_eq!(frames, want.len(), "{name}");
            assert!(!wrong.contains(&0), "{name}: the IDR picture");
        } else if frames != want.len() || !wrong.is_empty() {
            failures.push(format!(
                "{name}: {frames} frames of {}, {} wrong, first {:?}",
                want.len(),
                wrong.len(),
                wrong.first()
            ));
        }
        stamps.sort_unstable();
        let all: Vec<i64> = (0..units.len() as i64).collect();
        assert_eq!(stamps, all, "{name}: each chunk gives its frame");
        run += 1;
    }
    assert!(run > 0, "no stream in {}", folder.display());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
