//! What the samples of MP4 are where the file's flags, sizes and sample descriptions are unusual.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, TrackKind};
use support::*;

/// An `mp4a` entry of two channels with that AudioSpecificConfig.
fn mp4a(specific: &[u8]) -> Vec<u8> {
    let mut config = vec![0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    config.extend([5, specific.len() as u8]);
    config.extend(specific);
    let mut stream = vec![0, 1, 0, 4, config.len() as u8];
    stream.extend(config);
    let esds = full(b"esds", 0, 0, &[&[3, stream.len() as u8], &stream]);
    audio_entry(b"mp4a", 2, 16, 48_000, &esds)
}

const LC: &[u8] = &[0x11, 0x90];
const XHE: &[u8] = &[0xf9, 0x46, 0x40];

fn sound(entry: Vec<u8>) -> TrackBuilder {
    TrackBuilder {
        handler: *b"soun",
        entry,
        ..TrackBuilder::video(48_000)
    }
}

/// Five samples of one byte in one chunk, of which `sync` are sync samples and which have the description `description`.
fn tables(sync: &[u32], sizes: &[u32], description: u32) -> Vec<u8> {
    let count = sizes.len() as u32;
    [
        full(b"stts", 0, 0, &[&table(2, &[count, 1024])]),
        full(b"stss", 0, 0, &[&table(1, sync)]),
        full(b"stsc", 0, 0, &[&table(3, &[1, count, description])]),
        full(b"stsz", 0, 0, &[&words(&[0]), &table(1, sizes)]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat()
}

/// A file with one fragment of five samples: `flags` and `description` are those of `trex`, `own` those of the track fragment.
fn fragmented(mut track: TrackBuilder, flags: u32, description: u32, own: Option<u32>) -> Vec<u8> {
    track.tables = no_samples();
    let trex = full(b"trex", 0, 0, &[&words(&[1, description, 1024, 1, flags])]);
    let moof = |offset| {
        let tfhd = match own {
            Some(own) => full(b"tfhd", 0, 0x2_0002, &[&words(&[1, own])]),
            None => full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]),
        };
        let tfdt = full(b"tfdt", 0, 0, &[&words(&[0])]);
        let trun = full(b"trun", 0, 1, &[&words(&[5, offset])]);
        bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
    };
    let moof = moof(moof(0).len() as u32 + 8);
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        moov(&[track.build()], &bx(b"mvex", &[&trex])),
        moof,
        bx(b"mdat", &[b"abcde"]),
    ]
    .concat()
}

fn streamed(bytes: Vec<u8>) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(bytes));
    feed.finish();
    open(Arc::new(source)).expect("valid")
}

fn keys(demuxer: &Arc<dyn Demuxer>) -> Vec<bool> {
    let all = packets(demuxer, 0).expect("valid");
    all.iter().map(|p| p.chunk.kind == ChunkKind::Key).collect()
}

#[test]
fn sound_that_flags_call_dependent_stands_alone_unless_its_codec_has_such() {
    const NON_SYNC: u32 = 0x1_0000;
    let in_tables = |entry| {
        let mut track = sound(entry);
        track.tables = tables(&[1], &[1; 5], 1);
        progressive(b"abcde", &[track.build()])
    };
    let in_fragment = |entry| fragmented(sound(entry), NON_SYNC, 1, None);
    for demuxer in [
        open_bytes(in_tables(mp4a(LC))).expect("valid"),
        open_bytes(in_fragment(mp4a(LC))).expect("valid"),
        streamed(in_fragment(mp4a(LC))),
    ] {
        assert_eq!(keys(&demuxer), [true; 5]);
        let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
        assert_eq!(reader.seek(50_000).expect("valid"), Some(42_667));
    }
    let demuxer = open_bytes(in_tables(mp4a(XHE))).expect("valid");
    let codec = demuxer.tracks()[0].codec.as_deref();
    assert_eq!(codec, Some("mp4a.40.42"), "what this is about");
    assert_eq!(keys(&demuxer), [true, false, false, false, false]);
    let demuxer = open_bytes(in_fragment(mp4a(XHE))).expect("valid");
    assert_eq!(keys(&demuxer), [false; 5]);
}

#[test]
fn samples_without_bytes_are_passed_over_and_not_counted() {
    for (sizes, left) in [
        (&[2, 3, 0, 1, 0][..], &["aa", "bbb", "c"][..]),
        (&[0, 0, 1, 2], &["a", "bb"]),
        (&[0, 0], &[]),
    ] {
        let mut track = TrackBuilder::video(1000);
        track.tables = tables(&[1, 2], sizes, 1);
        let data: &[u8] = if left.len() == 3 { b"aabbbc" } else { b"abb" };
        let demuxer = open_bytes(progressive(data, &[track.build()])).expect("valid");
        let all = packets(&demuxer, 0).expect("valid");
        let found: Vec<_> = all.iter().map(|p| p.chunk.data.to_vec()).collect();
        let want: Vec<_> = left.iter().map(|data| data.as_bytes().to_vec()).collect();
        assert_eq!(found, want);
        let track = &demuxer.tracks()[0];
        assert_eq!(track.samples, Some(left.len() as u64));
        // The time that they take passes all the same.
        let ticks = sizes.len() as u64 * 1024;
        assert_eq!(track.duration, Some(ticks * 1000));
    }
}

#[test]
fn a_seek_does_not_lead_to_a_key_sample_without_bytes() {
    let mut track = TrackBuilder::video(1000);
    track.tables = tables(&[1, 3, 4], &[1, 1, 1, 0, 1], 1);
    let file = progressive(b"abcd", &[track.build()]);
    let mut reader = open_bytes(file).expect("valid").reader(0).expect("a track");
    // The fourth sample, from 3.072 s on, is a key sample; its bytes were dropped.
    assert_eq!(reader.seek(3_500_000).expect("valid"), Some(2_048_000));
    let packet = reader.next_sample().expect("valid").expect("a packet");
    assert_eq!(packet.chunk.data.as_ref(), b"c");
    assert_eq!(packet.chunk.kind, ChunkKind::Key);

    let mut track = TrackBuilder::video(1000);
    track.tables = tables(&[1, 2], &[0, 1, 1], 1);
    let file = progressive(b"ab", &[track.build()]);
    let mut reader = open_bytes(file).expect("valid").reader(0).expect("a track");
    for time in [0, 500_000, 1_500_000] {
        assert_eq!(reader.seek(time).expect("valid"), Some(1_024_000), "{time}");
    }
}

/// A track with two descriptions, 64 pixels wide and 32.
fn two_descriptions() -> TrackBuilder {
    let mut track = TrackBuilder::video(1000);
    let config = bx(b"avcC", &[b"\x01\x64\x00\x0a\xff\xe0\0"]);
    track.entry.extend(visual_entry(b"avc1", 32, 16, &config));
    track
}

/// The track's own codec string and width, and how often a packet tells of another.
fn own(demuxer: &Arc<dyn Demuxer>) -> (String, u32, usize) {
    let all = packets(demuxer, 0).expect("valid");
    assert_eq!(all.len(), 5);
    let told = all.iter().filter(|packet| packet.config.is_some());
    let track = &demuxer.tracks()[0];
    let TrackKind::Video { coded_size, .. } = track.kind else {
        panic!("no video: {track:?}");
    };
    let codec = track.codec.clone().expect("H.264");
    (codec, coded_size.width, told.count())
}

#[test]
fn a_track_is_what_its_first_sample_is() {
    let second = ("avc1.64000a".to_owned(), 32, 0);
    let mut track = two_descriptions();
    track.tables = tables(&[1], &[1; 5], 2);
    let demuxer = open_bytes(progressive(b"abcde", &[track.build()])).expect("valid");
    assert_eq!(own(&demuxer), second);
    // After a seek what holds is told, as in every track with several.
    let mut reader = demuxer.reader(0).expect("a track");
    reader.seek(0).expect("valid");
    let packet = reader.next_sample().expect("valid").expect("a packet");
    let config = packet.config.expect("what holds here");
    assert_eq!(config.codec.as_deref(), Some("avc1.64000a"));

    for (default, of_fragment) in [(2, None), (1, Some(2)), (2, Some(2))] {
        let bytes = fragmented(two_descriptions(), 0, default, of_fragment);
        let demuxer = open_bytes(bytes).expect("valid");
        assert_eq!(own(&demuxer), second, "{default} {of_fragment:?}");
    }
    let bytes = fragmented(two_descriptions(), 0, 2, None);
    assert_eq!(own(&streamed(bytes)), second);
    // What a fragment says that has not come, its packets tell.
    let bytes = fragmented(two_descriptions(), 0, 1, Some(2));
    let first = ("avc1.42c00a".to_owned(), 64, 1);
    assert_eq!(own(&streamed(bytes)), first);
}

#[test]
fn a_first_sample_of_a_description_that_is_not_there_is_an_error_where_it_is_read() {
    let mut track = two_descriptions();
    track.tables = tables(&[1], &[1; 5], 3);
    let demuxer = open_bytes(progressive(b"abcde", &[track.build()])).expect("valid");
    let error = packets(&demuxer, 0).expect_err("no such description");
    let error = error.to_string();
    assert!(error.contains("1 to 2, found 3 at byte 24"), "{error}");
}

#[test]
fn the_description_in_between_is_told_when_it_holds() {
    let mut track = two_descriptions();
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[3, 40])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 1, 2, 2, 1, 1, 3, 1, 2])]),
        full(b"stsz", 0, 0, &[&words(&[1, 3])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA, DATA + 1, DATA + 2])]),
    ]
    .concat();
    let demuxer = open_bytes(progressive(b"abc", &[track.build()])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    let told = |at: usize| all[at].config.as_ref()?.codec.clone();
    let told: Vec<_> = (0..3).map(told).collect();
    let name = |codec: &str| Some(codec.to_owned());
    assert_eq!(told, [None, name("avc1.42c00a"), name("avc1.64000a")]);
    let config = all[2].config.as_ref().expect("told");
    assert_eq!(**config, demuxer.tracks()[0].config());
}
