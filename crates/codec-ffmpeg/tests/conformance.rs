//! Decoded pictures against checksums that other decoders made.

use reelcore_codec_ffmpeg::{Ffmpeg, available};
use reelcore_conformance::{Family, check, streams};

/// Decodes every stream of `family` on one and on two threads.
fn every_stream_of(family: Family) {
    assert!(available(), "install libavcodec-dev: ./x setup does");
    let mut failures = Vec::new();
    for stream in streams(family).unwrap() {
        for threads in [1, 2] {
            if let Err(mismatch) = check(&Ffmpeg::new(), &stream, threads) {
                failures.push(format!("{} on {threads}: {mismatch}", stream.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn h264_streams_decode_to_their_checksums() {
    every_stream_of(Family::H264);
}

#[test]
fn hevc_streams_decode_to_their_checksums() {
    every_stream_of(Family::H265);
}

#[test]
fn vp8_streams_decode_to_their_checksums() {
    every_stream_of(Family::Vp8);
}

#[test]
fn vp9_streams_decode_to_their_checksums() {
    every_stream_of(Family::Vp9);
}
