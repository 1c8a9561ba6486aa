//! Decoded pictures against checksums that other decoders made.

mod common;

use bytes::Bytes;
use common::*;
use reelcore_codec_openh264::OpenH264;
use reelcore_conformance::{Family, Mismatch, check, streams};
use reelcore_media::h264::access_units;
use reelcore_media::{EncodedChunk, ErrorKind, VideoDecoderBackend};

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

/// Public streams that OpenH264 does not decode by its nature, with the reason that it gives before the first frame.
const REFUSED: [(&str, &str); 1] = [("test-25fps-interlaced.h264", "interlaced")];

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
    let error = OpenH264.check(&high10).unwrap_err();
    assert!(error.message.contains("High 10"), "{error}");
}

#[test]
fn the_public_conformance_streams_decode_to_their_checksums() {
    let mut failures = Vec::new();
    let mut listed = Vec::new();
    for stream in streams(Family::H264).unwrap() {
        let name = &*stream.name;
        let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
        match (check(&OpenH264, &stream, 1), refused) {
            (Err(Mismatch::Refused(error)), Some((_, reason))) => {
                listed.push(name.to_string());
                assert_eq!(error.kind, ErrorKind::Unsupported, "{name}: {error}");
                assert!(error.message.contains(reason), "{name}: {error}");
            }
            (_, Some((_, reason))) => failures.push(format!("{name}: not refused for {reason}")),
            (Err(Mismatch::Pictures { frames, of }), None) if NOT_BIT_EXACT.contains(&name) => {
                println!(
                    "{name}: {} of {of} frames differ, as expected",
                    frames.len()
                );
                assert!(!frames.contains(&0), "{name}: the IDR picture");
            }
            (Ok(_), None) if NOT_BIT_EXACT.contains(&name) => {
                failures.push(format!("{name}: bit exact, take it off the list"));
            }
            (Ok(report), None) => assert!(report.compared >= report.frames, "{name}"),
            (Err(mismatch), None) => failures.push(format!("{name}: {mismatch}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(listed.len(), REFUSED.len(), "{listed:?}");
}
