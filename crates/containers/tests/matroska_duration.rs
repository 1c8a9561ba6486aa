//! How long Matroska files are that do not say it.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/clips.rs"]
mod made;
mod support;

use std::sync::Arc;

use bytes::Bytes;
use ebml::*;
use made::ffmpeg;
use reelcore_containers::{FileSource, StreamLimits, open, stream};
use support::open_bytes;

/// A recording as browsers make it: no Duration, no Cues, Clusters of unknown size.
#[test]
fn a_live_recording_is_as_long_as_the_same_file_that_says_it() {
    let args: Vec<&str> = "-f lavfi -i testsrc2=s=64x48:r=25:d=2.4 -f lavfi -i sine=440:d=3 -c:v libvpx -deadline realtime -c:a libopus"
        .split(' ')
        .collect();
    let stated = ffmpeg("stated.webm", &args);
    let live = ffmpeg("live.webm", &[&args[..], &["-live", "1"]].concat());
    let bytes = std::fs::read(&live).expect("the clip");
    assert!(
        !bytes.windows(2).any(|id| id == [0x44, 0x89]),
        "no Duration"
    );
    let open_file =
        |path| open(Arc::new(FileSource::open(path).expect("the clip"))).expect("opens");
    let (stated, live) = (open_file(&stated), open_file(&live));
    // What ffmpeg states counts Opus' delay of 6.5 ms, of which nothing is heard, and is rounded.
    const DELAY: u64 = 8000;
    let (want, found) = (stated.duration(), live.duration());
    let (want, found) = (want.expect("stated"), found.expect("found"));
    assert!(want.abs_diff(found) <= DELAY, "{want} {found}");
    for (stated, live) in stated.tracks().iter().zip(live.tracks()) {
        let (want, found) = (
            stated.duration.expect("a tag"),
            live.duration.expect("found"),
        );
        assert!(want.abs_diff(found) <= DELAY, "{want} {found}");
    }
    // A stream is not read to its end for it.
    let bytes = Bytes::from(bytes);
    let (feed, source) = stream(StreamLimits::default(), || ());
    feed.push(bytes);
    feed.finish();
    let demuxer = open(Arc::new(source)).expect("opens");
    assert_eq!(demuxer.duration(), None);
}

/// `info` of the other tests, without more than the scale of a millisecond.
fn entry(more: &[&[u8]]) -> Vec<u8> {
    tracks(&[&track(1, 1, "V_VP8", &[&[&video(&[])[..]], more].concat())])
}

#[test]
fn the_last_frame_lasts_as_its_block_says_or_as_the_one_before_it() {
    let duration = |parts: &[&[u8]]| open_bytes(file(parts)).expect("valid").duration();
    let plain = entry(&[]);
    let blocks = cluster(100, &[&simple(1, 0, 0x80, b"a"), &simple(1, 30, 0, b"b")]);
    assert_eq!(duration(&[&info(), &plain, &blocks]), Some(160_000));
    // BlockDuration.
    let last = group(1, 30, b"b", &[&uint(0x9B, 7)]);
    let blocks = cluster(100, &[&simple(1, 0, 0x80, b"a"), &last]);
    assert_eq!(duration(&[&info(), &plain, &blocks]), Some(137_000));
    // DefaultDuration; frames out of order, as with B pictures.
    let steady = entry(&[&uint(0x23E383, 40_000_000)]);
    let blocks = cluster(
        0,
        &[
            &simple(1, 0, 0x80, b"a"),
            &simple(1, 80, 0, b"b"),
            &simple(1, 40, 0, b"c"),
        ],
    );
    assert_eq!(duration(&[&info(), &steady, &blocks]), Some(120_000));
    // What is broken further on does not hide what is whole.
    let broken = el(0x1F43_B675, &[&uint(0xE7, 500), &[0xA3, 0xFF]]);
    assert_eq!(
        duration(&[&info(), &steady, &blocks, &broken]),
        Some(120_000)
    );
    assert_eq!(duration(&[&info(), &steady]), None);
}

#[test]
fn cues_lead_to_the_last_cluster_and_not_past_what_they_do_not_name() {
    let steady = entry(&[&uint(0x23E383, 40_000_000)]);
    let clusters: Vec<Vec<u8>> = (0..50)
        .map(|index| cluster(index * 40, &[&simple(1, 0, 0x80, b"key")]))
        .collect();
    // Cues before the Clusters, as a writer that went back makes them: their size does not depend on what they say.
    let head = [info(), steady.clone()].concat();
    let table = |first: u64| {
        let at = |index: usize| {
            let before: usize = clusters[..index].iter().map(Vec::len).sum();
            first + before as u64
        };
        cues(&[&cue(0, at(0)), &cue(20 * 40, at(20))])
    };
    let first = (head.len() + table(0).len()) as u64;
    let table = table(first);
    let all = clusters.concat();
    let found = open_bytes(file(&[&head, &table, &all])).expect("valid");
    assert_eq!(found.duration(), Some(50 * 40_000));
}
