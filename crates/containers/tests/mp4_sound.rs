//! What MP4 says of sound, and what its first packet knows better.

mod support;

use reelcore_media::demux::TrackKind;
use support::*;

/// A track of sound with `frames` in one chunk, each of `durations` (pairs of a count and ticks).
fn file(entry: Vec<u8>, frames: &[&[u8]], durations: &[u32]) -> Vec<u8> {
    let mut track = TrackBuilder::video(44_100);
    track.handler = *b"soun";
    track.entry = entry;
    let count = frames.len() as u32;
    let sizes: Vec<u32> = frames.iter().map(|frame| frame.len() as u32).collect();
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, durations)]),
        full(b"stsc", 0, 0, &[&table(3, &[1, count, 1])]),
        full(b"stsz", 0, 0, &[&words(&[0]), &table(1, &sizes)]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat();
    progressive(&frames.concat(), &[track.build()])
}

/// An `mp4a` entry of two channels with an elementary stream descriptor.
fn mp4a(object_type: u8, specific: &[u8]) -> Vec<u8> {
    let mut config = vec![object_type, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if !specific.is_empty() {
        config.extend([5, specific.len() as u8]);
        config.extend(specific);
    }
    let mut stream = vec![0, 1, 0, 4, config.len() as u8];
    stream.extend(config);
    let esds = full(b"esds", 0, 0, &[&[3, stream.len() as u8], &stream]);
    audio_entry(b"mp4a", 2, 16, 44_100, &esds)
}

const LC: &[u8] = &[0x12, 0x10];

#[test]
fn the_last_packet_loses_nothing_when_the_first_one_lasts_unusually_long() {
    let frames = vec![&[1_u8, 2, 3][..]; 53];
    let bytes = file(mp4a(0x40, LC), &frames, &[1, 3528, 51, 1024, 1, 696]);
    let all = packets(&open_bytes(bytes).expect("valid"), 0).expect("valid");
    let side = all[52].chunk.side.as_ref().expect("padding");
    let padding = (side.discard_end.as_secs_f64() * 44_100.0).round();
    assert_eq!(padding, f64::from(1024 - 696));
    assert!(all[..52].iter().all(|packet| packet.chunk.side.is_none()));
}

#[test]
fn sound_that_ends_with_samples_without_bytes_is_cut_in_the_last_one_with_any() {
    for (empty, durations) in [
        (0, &[3, 1024, 1, 640][..]),
        (1, &[3, 1024, 1, 640, 1, 0]),
        (9, &[3, 1024, 1, 640, 9, 0]),
    ] {
        let frames = [vec![&[1_u8, 2, 3][..]; 4], vec![&[][..]; empty]].concat();
        let bytes = file(mp4a(0x40, LC), &frames, durations);
        let all = packets(&open_bytes(bytes).expect("valid"), 0).expect("valid");
        assert_eq!(all.len(), 4);
        let side = all[3].chunk.side.as_ref().expect("padding");
        let padding = (side.discard_end.as_secs_f64() * 44_100.0).round();
        assert_eq!(padding, f64::from(1024 - 640), "{empty} without bytes");
        assert!(all[..3].iter().all(|packet| packet.chunk.side.is_none()));
    }
}

/// Four packets of AAC, 4096 samples, with an edit list where `edits`, and the tag that iTunes writes beside the others.
fn with_gapless(numbers: &str, edits: &[u32], tracks: u32) -> Vec<u8> {
    let track = |id| {
        let mut track = TrackBuilder::video(44_100);
        track.id = id;
        track.handler = *b"soun";
        track.edits = edits.to_vec();
        track.entry = mp4a(0x40, LC);
        track.tables = [
            full(b"stts", 0, 0, &[&table(2, &[4, 1024])]),
            full(b"stsc", 0, 0, &[&table(3, &[1, 4, 1])]),
            full(b"stsz", 0, 0, &[&words(&[1, 4])]),
            full(b"stco", 0, 0, &[&table(1, &[DATA])]),
        ]
        .concat();
        track.build()
    };
    let tracks: Vec<_> = (1..=tracks).map(track).collect();
    let text = format!(" 00000000 {numbers} 00000000 00000000");
    let data = bx(b"data", &[&words(&[1, 0]), text.as_bytes()]);
    let mean = full(b"mean", 0, 0, &[b"com.apple.iTunes"]);
    let name = full(b"name", 0, 0, &[b"iTunSMPB"]);
    let list = bx(b"ilst", &[&bx(b"----", &[&mean, &name, &data])]);
    let hdlr = full(b"hdlr", 0, 0, &[&words(&[0]), b"mdirappl", &[0; 9]]);
    let meta = bx(b"udta", &[&full(b"meta", 0, 0, &[&hdlr, &list])]);
    [
        bx(b"ftyp", &[b"M4A \0\0\0\0"]),
        bx(b"mdat", &[b"abcd"]),
        moov(&tracks, &meta),
    ]
    .concat()
}

#[test]
fn gapless_numbers_say_what_is_heard_where_no_edit_list_does() {
    const EDIT: &[u32] = &[50, 1024, 0x1_0000];
    // Priming, padding and length; what is dropped at both ends, and microseconds of what is heard.
    for (numbers, edits, tracks, start, end, duration) in [
        (
            "00000840 000001A0 0000000000000620",
            &[][..],
            1,
            2112,
            416,
            35_556,
        ),
        // The numbers do not reach to the end.
        (
            "00000400 00000000 0000000000000400",
            &[],
            1,
            1024,
            0,
            69_660,
        ),
        // They count something else.
        ("00000840 000001A0 0000000000000C40", &[], 1, 0, 0, 92_880),
        // An edit list says it.
        (
            "00000840 000001A0 0000000000000620",
            EDIT,
            1,
            1024,
            867,
            50_000,
        ),
        // Of which track it is, nobody knows.
        ("00000840 000001A0 0000000000000620", &[], 2, 0, 0, 92_880),
    ] {
        let demuxer = open_bytes(with_gapless(numbers, edits, tracks)).expect("valid");
        assert_eq!(demuxer.tracks()[0].duration, Some(duration), "{numbers}");
        let all = packets(&demuxer, 0).expect("valid");
        let side = all.iter().filter_map(|packet| packet.chunk.side.as_deref());
        let mut dropped = (0.0, 0.0);
        for side in side {
            dropped.0 += side.discard_start.as_secs_f64() * 44_100.0;
            dropped.1 += side.discard_end.as_secs_f64() * 44_100.0;
        }
        let dropped = (dropped.0.round() as u32, dropped.1.round() as u32);
        assert_eq!(dropped, (start, end), "{numbers} {edits:?}");
        let first = all[0].chunk.timestamp;
        let want = (f64::from(start) * -1e6 / 44_100.0).round() as i64;
        assert_eq!(first, want, "what is heard begins at 0");
    }
}

/// Codec, own name and channels of the first track.
fn described(bytes: Vec<u8>) -> (Option<String>, Option<String>, u32) {
    let demuxer = open_bytes(bytes).expect("valid");
    let track = &demuxer.tracks()[0];
    let TrackKind::Audio { channels, .. } = track.kind else {
        panic!("not sound: {track:?}");
    };
    let name = demuxer.format(0).map(str::to_owned);
    (track.codec.clone(), name, channels)
}

#[test]
fn mpeg_audio_is_named_as_what_its_first_frame_is() {
    // Layer III at 44.1 kHz: stereo, then mono; Layer II, mono.
    for (header, codec, name, channels) in [
        ([0xff, 0xfb, 0x90, 0x00], Some("mp3"), None, 2),
        ([0xff, 0xfb, 0x90, 0xc0], Some("mp3"), None, 1),
        ([0xff, 0xfd, 0x80, 0xc0], None, Some("mp2"), 1),
        // No frame: what the container says stands.
        ([0, 0, 0, 0], Some("mp3"), None, 2),
    ] {
        for object_type in [0x6b, 0x69] {
            let bytes = file(mp4a(object_type, &[]), &[&header], &[1, 1152]);
            let want = (codec.map(str::to_owned), name.map(str::to_owned), channels);
            assert_eq!(described(bytes), want, "{header:x?}");
        }
    }
}

#[test]
fn channels_are_those_of_the_codecs_own_boxes() {
    // AC-3: fscod 2 bits, bsid 5, bsmod 3, acmod 3, lfeon 1, ...
    let dac3 = |acmod: u32, lfe: u32| {
        let word = 8 << 17 | acmod << 11 | lfe << 10;
        audio_entry(
            b"ac-3",
            2,
            16,
            48_000,
            &bx(b"dac3", &[&word.to_be_bytes()[1..]]),
        )
    };
    for (acmod, lfe, channels) in [(1, 0, 1), (2, 0, 2), (7, 1, 6), (6, 0, 4)] {
        let found = described(file(dac3(acmod, lfe), &[b"x"], &[1, 1536]));
        assert_eq!((found.0.as_deref(), found.2), (Some("ac-3"), channels));
    }
    // E-AC-3: one independent substream of 5.1, then with a dependent one of two more channels (Lrs/Rrs).
    for (body, channels) in [
        (&[0x06, 0, 0x20, 0x0f, 0x00][..], 6),
        (&[0x06, 0, 0x20, 0x0f, 0x02, 0x02], 8),
        (&[0x06, 0, 0x20, 0x02, 0x00], 1),
    ] {
        let entry = audio_entry(b"ec-3", 2, 16, 48_000, &bx(b"dec3", &[body]));
        let found = described(file(entry, &[b"x"], &[1, 1536]));
        assert_eq!((found.0.as_deref(), found.2), (Some("ec-3"), channels));
    }
    // AAC-LC at 44.1 kHz whose program configuration element has 1 + 2 front channels, 1 at the back.
    let pce = [0x12, 0x00, 0x05, 0x08, 0x04, 0x00, 0x01, 0x00, 0x80];
    assert_eq!(described(file(mp4a(0x40, &pce), &[b"x"], &[1, 1024])).2, 4);
}

#[test]
fn a_track_without_a_codec_is_named_by_its_four_characters() {
    for format in [b"alac", b"twos", b"in24"] {
        let entry = audio_entry(format, 2, 16, 44_100, &[]);
        let (codec, name, _) = described(file(entry, &[b"xxxxxxxxxxxx"], &[1, 1]));
        let text = String::from_utf8_lossy(format).into_owned();
        assert_eq!((codec, name), (None, Some(text)));
    }
    let known = described(file(mp4a(0x40, LC), &[b"x"], &[1, 1024]));
    assert_eq!(known.1, None, "the codec says it");
}
