//! Fragments that are announced and never come, and those that a hostile file has far too many of.

#[path = "support/clips.rs"]
mod made;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use made::ffmpeg;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::demux::Packet;
use support::*;

/// A track of AAC at 48 kHz: four packets of 1024 samples, of which the last one holds 640.
fn sound(id: u32, edits: &[u32]) -> Vec<u8> {
    let stream = b"\0\x01\0\x04\x11\x40\x15\0\0\0\0\0\0\0\0\0\0\0\x05\x02\x11\x90";
    let esds = full(b"esds", 0, 0, &[&[3, stream.len() as u8], stream]);
    let mut track = TrackBuilder::video(48_000);
    track.id = id;
    track.handler = *b"soun";
    track.edits = edits.to_vec();
    track.entry = audio_entry(b"mp4a", 2, 16, 48_000, &esds);
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[3, 1024, 1, 640])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 4, 1])]),
        full(b"stsz", 0, 0, &[&words(&[3, 4])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat();
    track.build()
}

/// A file whose `moov` announces fragments of tracks 1 and 2.
fn announced(tracks: &[Vec<u8>], fragments: &[Vec<u8>]) -> Vec<u8> {
    let trex = |id| full(b"trex", 0, 0, &[&words(&[id, 1, 1024, 3, 0])]);
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        bx(b"mdat", &[b"aaabbbcccddd"]),
        moov(tracks, &bx(b"mvex", &[&trex(1), &trex(2)])),
        fragments.concat(),
    ]
    .concat()
}

/// A fragment of the track: two packets from sample 3712 on.
fn fragment(id: u32) -> Vec<u8> {
    let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[id])]);
    let tfdt = full(b"tfdt", 0, 0, &[&words(&[3712])]);
    // Which bytes they are does not matter here.
    let trun = full(b"trun", 0, 1, &[&words(&[2, 0])]);
    bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
}

fn nanos(samples: u64) -> Duration {
    Duration::from_nanos(samples * 1_000_000_000 / 48_000)
}

/// What of the decoded sound is dropped at the end.
fn cut(packet: &Packet) -> Duration {
    let side = packet.chunk.side.as_deref();
    side.map_or(Duration::ZERO, |side| side.discard_end)
}

#[test]
fn fragments_that_never_come_take_neither_the_duration_nor_the_end_of_the_sound() {
    // The edit begins with sample 1024 and lasts 50 ms, 2400 samples.
    for (edits, micros, end) in [
        (&[][..], 77_333, 1024 - 640),
        (&[50, 1024, 0x1_0000], 50_000, 1024 - 640 + 288),
    ] {
        let bytes = announced(&[sound(1, edits)], &[]);
        let demuxer = open_bytes(bytes.clone()).expect("valid");
        assert_eq!(demuxer.tracks()[0].duration, Some(micros));
        assert_eq!(demuxer.duration(), Some(micros));
        assert_eq!(demuxer.tracks()[0].samples, Some(4));
        let all = packets(&demuxer, 0).expect("valid");
        assert_eq!((all.len(), cut(&all[3])), (4, nanos(end)));

        // Of a stream it is not known that none come.
        let (feed, source) = stream(StreamLimits::default(), || {});
        feed.push(Bytes::from(bytes));
        feed.finish();
        let demuxer = open(Arc::new(source)).expect("valid");
        assert_eq!(demuxer.tracks()[0].duration, None);
        assert_eq!(packets(&demuxer, 0).expect("valid").len(), 4);
    }
}

#[test]
fn a_track_that_no_fragment_goes_on_with_ends_with_its_tables() {
    let tracks = [sound(1, &[]), sound(2, &[])];
    let demuxer = open_bytes(announced(&tracks, &[fragment(1)])).expect("valid");
    let ends: Vec<_> = demuxer.tracks().iter().map(|t| t.duration).collect();
    assert_eq!(ends, [Some(120_000), Some(77_333)]);
    assert_eq!(demuxer.duration(), Some(120_000));
}

#[test]
fn a_track_in_tables_alone_ends_with_them_however_many_fragments_others_have() {
    let tracks = [sound(1, &[]), sound(2, &[])];
    let more = vec![fragment(1); 30];
    let ends = |fragments: &[Vec<u8>]| {
        let demuxer = open_bytes(announced(&tracks, fragments)).expect("valid");
        let ends = demuxer.tracks().iter().map(|track| track.duration);
        ends.collect::<Vec<_>>()
    };
    assert_eq!(ends(&more), [Some(120_000), Some(77_333)]);
    // Where the first fragments go on with it, the tables are not all of it.
    let both = [vec![fragment(2)], more].concat();
    assert_eq!(ends(&both), [Some(120_000), None]);
}

#[test]
fn ffmpegs_file_of_one_fragment_is_as_long_as_its_tables_say() {
    for (name, seconds) in [("one.mp4", "1.5"), ("one.m4a", "2")] {
        let source = format!("sine=r=48000:d={seconds}");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-c:a",
            "aac",
            "-movflags",
            "frag_keyframe",
        ];
        let bytes = std::fs::read(ffmpeg(name, &args)).expect("the clip");
        let has = |kind: &[u8; 4]| bytes.windows(4).any(|window| window == kind);
        assert!(has(b"mvex") && !has(b"moof"), "what this is about");
        let demuxer = open_bytes(bytes).expect("valid");
        let all = packets(&demuxer, 0).expect("valid");
        let decoded = all.len() as u64 * 1024;
        let cut: Duration = all.iter().map(cut).sum();
        let heard = Duration::from_secs_f64(decoded as f64 / 48_000.0) - cut;
        let duration = demuxer.duration().expect("known");
        assert!(
            heard.as_micros().abs_diff(u128::from(duration)) < 2,
            "{heard:?} are heard, {duration} us are said"
        );
        assert!(!cut.is_zero(), "the last packet is not whole");
        assert_eq!(demuxer.tracks()[0].samples, Some(all.len() as u64));
    }
}

#[test]
fn a_fragment_of_very_many_parts_takes_no_longer_than_reading_it() {
    // 100,000 track fragments of one sample each, of a source as large as they are; with a thousand tracks all of them are asked for.
    for tracks in [1, 1000_u32] {
        let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]);
        let trun = full(b"trun", 0, 0, &[&words(&[1])]);
        let traf = bx(b"traf", &[&tfhd, &trun]);
        let moof = bx(b"moof", &[&traf.repeat(100_000)]);
        let track = |id| {
            let mut track = TrackBuilder::video(1000);
            track.id = id;
            // One whose first frame is looked into.
            track.handler = *b"soun";
            track.entry = audio_entry(b".mp3", 2, 16, 44_100, &[]);
            track.tables = no_samples();
            track.build()
        };
        let tracks: Vec<_> = (0..tracks).map(|at| track(tracks - at)).collect();
        let bytes = announced(&tracks, &[moof, bx(b"mdat", &[&[0; 1000]])]);
        let before = Instant::now();
        let demuxer = open_bytes(bytes).expect("valid");
        let all = packets(&demuxer, tracks.len() - 1).expect("valid");
        assert_eq!(all.len(), 100_000);
        let took = before.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}
