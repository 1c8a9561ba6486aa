//! The sample clips against what ffprobe says of them (expectations/make.py).

#[path = "support/settle.rs"]
mod settle;
mod support;

use std::sync::Arc;

use reelcore_containers::{FileSource, open};
use reelcore_media::demux::{Demuxer, Packet, TrackKind};
use reelcore_media::{ChunkKind, ColorSpace, Rotation, Size};
use serde::Deserialize;
use support::{clip, clips, open_bytes, packets};

const CLIPS: [&str; 7] = [
    "av1-10bit",
    "av1-16x16",
    "av1",
    "h264-16x16",
    "h264-aac",
    "h264-fragmented",
    "h264-rotated",
];

#[derive(Deserialize)]
struct ExpectedTrack {
    codec: String,
    scale: i64,
    width: Option<u32>,
    height: Option<u32>,
    sample_rate: Option<u32>,
    channels: Option<u32>,
    packets: Vec<(i64, i64, usize, u8, u64, u32)>,
}

fn expected(name: &str) -> Vec<ExpectedTrack> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/expectations")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).expect("the expectations are checked in");
    serde_json::from_str(&text).expect("valid expectations")
}

fn adler32(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

fn micros(ticks: i64, scale: i64) -> i64 {
    (ticks * 2_000_000 + scale).div_euclid(2 * scale)
}

fn assert_packets(name: &str, packets: &[Packet], want: &ExpectedTrack) {
    assert_eq!(packets.len(), want.packets.len(), "{name}: packets");
    for (i, (packet, want_packet)) in packets.iter().zip(&want.packets).enumerate() {
        let chunk = &packet.chunk;
        let key = u8::from(chunk.kind == ChunkKind::Key);
        let &(pts, dts, size, want_key, offset, adler) = want_packet;
        assert_eq!(
            (
                chunk.timestamp,
                packet.decode_time,
                chunk.data.len(),
                key,
                packet.offset,
                adler32(&chunk.data),
            ),
            (
                micros(pts, want.scale),
                micros(dts, want.scale),
                size,
                want_key,
                offset,
                adler
            ),
            "{name}: packet {i}"
        );
    }
}

#[test]
fn every_packet_of_every_clip_is_what_ffprobe_sees() {
    for name in CLIPS {
        let demuxer = open_bytes(clip(&format!("{name}.mp4"))).expect(name);
        let want = expected(name);
        assert_eq!(demuxer.tracks().len(), want.len(), "{name}");
        for (index, want) in want.iter().enumerate() {
            let all = packets(&demuxer, index).expect(name);
            assert_packets(name, &all, want);
            let track = &demuxer.tracks()[index];
            match &track.kind {
                TrackKind::Video { coded_size, .. } => {
                    assert_eq!(Some(coded_size.width), want.width);
                    assert_eq!(Some(coded_size.height), want.height);
                }
                TrackKind::Audio {
                    sample_rate,
                    channels,
                } => {
                    assert_eq!(Some(*sample_rate), want.sample_rate);
                    assert_eq!(Some(*channels), want.channels);
                }
                TrackKind::Other(kind) => panic!("{name}: {kind} for {}", want.codec),
            }
        }
    }
}

#[test]
fn a_file_gives_the_same_packets_as_memory_and_memory_is_not_copied() {
    for name in CLIPS {
        let path = clips().join(format!("{name}.mp4"));
        let from_file = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        let bytes = bytes::Bytes::from(std::fs::read(&path).expect(name));
        let range = bytes.as_ptr_range();
        let source = reelcore_containers::BytesSource::new(bytes.clone());
        let from_memory = open(Arc::new(source)).expect(name);
        for index in 0..from_file.tracks().len() {
            let shared = packets(&from_memory, index).expect(name);
            assert!(
                shared
                    .iter()
                    .all(|p| range.contains(&p.chunk.data.as_ptr())),
                "{name}: a packet was copied"
            );
            assert_eq!(packets(&from_file, index).expect(name), shared, "{name}");
        }
    }
}

#[test]
fn packets_that_are_kept_stay_as_they_were_when_reading_goes_on() {
    let path = clips().join("h264-aac.mp4");
    let demuxer = open(Arc::new(FileSource::open(path).expect("clip"))).expect("clip");
    let mut reader = Arc::clone(&demuxer).reader(0).expect("video");
    let mut kept = Vec::new();
    let mut count = 0;
    while let Some(packet) = reader.next_sample().expect("valid") {
        // Every other one is dropped, so that buffers are reused where they can be.
        if count % 2 == 0 {
            kept.push((packet.chunk.data.clone(), adler32(&packet.chunk.data)));
        }
        count += 1;
    }
    assert!(kept.iter().all(|(data, sum)| adler32(data) == *sum));
}

#[test]
fn a_seek_finds_the_last_key_packet_at_or_before_every_time() {
    for name in CLIPS {
        let demuxer = open_bytes(clip(&format!("{name}.mp4"))).expect(name);
        for index in 0..demuxer.tracks().len() {
            let all = packets(&demuxer, index).expect(name);
            let keys: Vec<usize> = (0..all.len())
                .filter(|&i| all[i].chunk.kind == ChunkKind::Key)
                .collect();
            let mut reader = Arc::clone(&demuxer).reader(index).expect(name);
            let mut times: Vec<i64> = keys
                .iter()
                .flat_map(|&i| [-1, 0, 1].map(|d| all[i].chunk.timestamp + d))
                .collect();
            times.extend((-4..80).map(|i| i * 100_003));
            times.extend([i64::MIN, i64::MAX]);
            for time in times {
                let want = keys
                    .iter()
                    .rev()
                    .find(|&&i| all[i].chunk.timestamp <= time)
                    .or(keys.first())
                    .copied()
                    .expect("a key packet");
                let found = reader.seek(time).expect(name);
                assert_eq!(found, Some(all[want].chunk.timestamp), "{name}: {time}");
                // The packets from there on are those of reading from the start.
                let track = &demuxer.tracks()[index];
                let what = format!("{name}: at {time}");
                let first = settle::settled(&mut *reader, track, &all, want, &what);
                assert_eq!(first, all[want], "{what}");
                for packet in all.iter().skip(want + 1).take(2) {
                    let next = reader.next_sample().expect(name);
                    assert_eq!(next.as_ref(), Some(packet), "{name}: after {time}");
                }
            }
        }
    }
}

#[test]
fn durations_join_packets_without_gaps() {
    for (name, track) in [
        ("h264-aac", 1),
        ("av1", 1),
        ("h264-fragmented", 1),
        ("av1", 0),
    ] {
        let demuxer = open_bytes(clip(&format!("{name}.mp4"))).expect(name);
        let mut all = packets(&demuxer, track).expect(name);
        all.sort_by_key(|p| p.chunk.timestamp);
        for pair in all.windows(2) {
            let end = pair[0].chunk.timestamp + pair[0].chunk.duration.expect("known") as i64;
            assert_eq!(end, pair[1].chunk.timestamp, "{name}");
        }
    }
}

#[test]
fn audio_priming_is_given_and_marked_as_not_presented() {
    let demuxer = open_bytes(clip("h264-aac.mp4")).expect("clip");
    let all = packets(&demuxer, 1).expect("audio");
    assert_eq!(all[0].chunk.timestamp, -23220);
    assert!(!all[0].presented);
    assert_eq!((all[1].chunk.timestamp, all[1].presented), (0, true));
}

#[test]
fn tracks_are_described_as_a_decoder_needs_it() {
    let track =
        |name: &str, index: usize| open_bytes(clip(name)).expect(name).tracks()[index].clone();
    let video = track("h264-aac.mp4", 0);
    assert_eq!(video.codec.as_deref(), Some("avc1.64001e"));
    let avcc = video.description.expect("avcC");
    assert_eq!(avcc.get(..4), Some(&[1, 0x64, 0, 0x1e][..]));
    assert_eq!(video.samples, Some(176));
    assert_eq!(video.duration, Some(7_334_000), "the edit list's, in ms");
    let TrackKind::Video {
        coded_size,
        display_aspect,
        rotation,
        flip,
        color_space,
        ..
    } = video.kind
    else {
        panic!("not video")
    };
    assert_eq!(
        (coded_size, display_aspect),
        (Size::new(640, 360), Size::new(640, 360))
    );
    assert_eq!((rotation, flip), (Rotation::R0, false));
    assert_eq!(color_space, ColorSpace::REC709);

    let audio = track("h264-aac.mp4", 1);
    assert_eq!(audio.codec.as_deref(), Some("mp4a.40.2"));
    assert_eq!(
        audio.description.as_deref().and_then(|d| d.get(..2)),
        Some(&[0x12, 0x10][..])
    );
    assert_eq!(audio.language.as_deref(), Some("eng"));

    let av1 = track("av1.mp4", 0);
    assert_eq!(av1.codec.as_deref(), Some("av01.0.01M.08.0.110.01.01.01.0"));
    assert_eq!(av1.description, None);
    let ten = track("av1-10bit.mp4", 0);
    assert_eq!(ten.codec.as_deref(), Some("av01.0.00M.10.0.110.01.01.01.0"));
    let opus = track("av1.mp4", 1);
    assert_eq!(opus.codec.as_deref(), Some("opus"));
    assert_eq!(
        opus.description.as_deref().and_then(|d| d.get(..12)),
        Some(&b"OpusHead\x01\x02\x38\x01"[..])
    );
    let rotated = track("h264-rotated.mp4", 0);
    assert!(matches!(
        rotated.kind,
        TrackKind::Video {
            rotation: Rotation::R90,
            flip: false,
            ..
        }
    ));
    let fragmented = track("h264-fragmented.mp4", 0);
    assert_eq!(fragmented.samples, None);
    // It has no edit list: its first picture is shown at 83 ms, and the end is that of the last one.
    assert_eq!(fragmented.duration, Some(7_416_667));
}

#[test]
fn a_fragmented_file_reads_the_same_without_its_indexes() {
    let whole = clip("h264-fragmented.mp4");
    let reference = open_bytes(whole.clone()).expect("clip");
    // Hide sidx and mfra: their boxes become free space of the same size.
    let hidden = |kinds: &[&[u8; 4]]| {
        let mut bytes = whole.clone();
        for kind in kinds {
            for at in 0..bytes.len() - 4 {
                if bytes[at..at + 4] == kind[..] {
                    bytes[at..at + 4].copy_from_slice(b"free");
                }
            }
        }
        open_bytes(bytes).expect("clip")
    };
    for kinds in [
        &[b"sidx"][..],
        &[b"mfra", b"mfro"],
        &[b"sidx", b"mfra", b"mfro"],
        // Nothing says at which time a fragment begins.
        &[b"sidx", b"mfra", b"mfro", b"tfdt"],
        &[b"tfdt"],
    ] {
        let demuxer: Arc<dyn Demuxer> = hidden(kinds);
        let duration = demuxer.tracks()[0].duration;
        // Without times in the fragments, it is what the index says, in which ffmpeg counts from the first picture.
        let want = match (kinds.contains(&b"tfdt"), kinds.contains(&b"sidx")) {
            (false, _) => Some(7_416_667),
            (true, false) => Some(7_333_333),
            (true, true) => None,
        };
        assert_eq!(duration, want, "{kinds:?}");
        for track in 0..2 {
            let want = packets(&reference, track).expect("clip");
            assert_eq!(packets(&demuxer, track).expect("clip"), want, "{kinds:?}");
            let mut reader = Arc::clone(&demuxer).reader(track).expect("track");
            for time in (0..75).map(|i| i * 100_000) {
                let found = reader.seek(time).expect("clip");
                let key = want
                    .iter()
                    .rposition(|p| p.chunk.kind == ChunkKind::Key && p.chunk.timestamp <= time)
                    .unwrap_or(0);
                assert_eq!(found, Some(want[key].chunk.timestamp), "{kinds:?} {time}");
                let public = &demuxer.tracks()[track];
                let what = format!("{kinds:?} {time}");
                let found = settle::settled(&mut *reader, public, &want, key, &what);
                assert_eq!(found, want[key], "{what}");
            }
        }
    }
}
