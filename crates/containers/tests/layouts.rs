//! Files that no encoder at hand writes, built box by box.

mod support;

use std::sync::Arc;

use reelcore_containers::{BytesSource, Limits, open_with};
use reelcore_media::demux::{DemuxError, Packet, TrackKind};
use reelcore_media::{ChunkKind, ColorSpace, Rotation, Size};
use support::*;

/// Five frames of 40 ms in one chunk: a key frame, two B-frames between references, a second key frame.
fn frames(edits: &[u32]) -> Vec<u8> {
    let mut track = TrackBuilder::video(1000);
    track.edits = edits.to_vec();
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[5, 40])]),
        // Presented at 40, 160, 80, 120, 200.
        full(b"ctts", 0, 0, &[&table(2, &[1, 40, 1, 120, 2, 0, 1, 40])]),
        full(b"stss", 0, 0, &[&table(1, &[1, 5])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 5, 1])]),
        full(b"stsz", 0, 0, &[&words(&[0, 5, 1, 2, 3, 4, 5])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat();
    progressive(b"abbcccddddeeeee", &[track.build()])
}

fn times(packets: &[Packet]) -> Vec<i64> {
    packets.iter().map(|p| p.chunk.timestamp / 1000).collect()
}

fn presented(packets: &[Packet]) -> Vec<bool> {
    packets.iter().map(|p| p.presented).collect()
}

#[test]
fn without_an_edit_list_times_are_composition_times() {
    let demuxer = open_bytes(frames(&[])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(times(&all), [40, 160, 80, 120, 200]);
    assert_eq!(all[3].chunk.data.as_ref(), b"dddd");
    assert_eq!(all[3].decode_time, 120_000);
    assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("avc1.42c00a"));
}

#[test]
fn an_edit_moves_times_and_ends_the_track() {
    // 120 ms from media time 40.
    let demuxer = open_bytes(frames(&[120, 40, 0x1_0000])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    // The reference at 120 is past the end, but those before it need it.
    assert_eq!(times(&all), [0, 120, 40, 80]);
    assert_eq!(presented(&all), [true, false, true, true]);
    let hidden = |p: &Packet| p.chunk.side.as_ref().is_some_and(|side| side.hidden);
    let hidden: Vec<bool> = all.iter().map(hidden).collect();
    assert_eq!(hidden, [false, true, false, false], "chunks know it too");
    assert_eq!(demuxer.tracks()[0].duration, Some(120_000));
}

/// As [`frames`], without the last one, in a fragment.
fn fragment(edits: &[u32], timed: bool, indexed: Option<u32>) -> Vec<u8> {
    let mut track = TrackBuilder::video(1000);
    track.edits = edits.to_vec();
    track.tables = no_samples();
    let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 40, 1, 0])]);
    let moof = |offset| {
        let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]);
        let tfdt = full(b"tfdt", 0, 0, &[&words(&[0])]);
        let tfdt = if timed { tfdt } else { Vec::new() };
        let trun = full(b"trun", 0, 0x801, &[&words(&[4, offset, 40, 120, 0, 0])]);
        bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
    };
    let moof = moof(moof(0).len() as u32 + 8);
    let media = [moof, bx(b"mdat", &[b"abcd"])].concat();
    let sidx = indexed.map(|end| {
        let times = words(&[1, 1000, 0, 0, 1, media.len() as u32, end, 0x9000_0000]);
        full(b"sidx", 0, 0, &[&times])
    });
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        moov(&[track.build()], &bx(b"mvex", &[&trex])),
        sidx.unwrap_or_default(),
        media,
    ]
    .concat()
}

#[test]
fn fragments_last_until_the_picture_that_is_shown_last_ends() {
    const ALL: u32 = 0x1_0000;
    for (edits, want) in [
        (&[][..], 200_000),
        (&[1, 40, ALL], 160_000),
        // Shown 100 ms later.
        (&[100, u32::MAX, ALL, 1, 40, ALL], 260_000),
    ] {
        for index in [None, Some(want / 1000)] {
            for timed in [true, false] {
                let bytes = fragment(edits, timed, index);
                let demuxer = open_bytes(bytes).expect("valid");
                let all = packets(&demuxer, 0).expect("valid");
                let end = |p: &Packet| p.chunk.timestamp as u64 + p.chunk.duration.unwrap_or(0);
                assert_eq!(all.iter().map(end).max(), Some(u64::from(want)));
                // Without times of its own a fragment may begin at any: then it is the index that says it.
                let known = timed || index.is_some();
                let want = known.then_some(u64::from(want));
                let found = demuxer.tracks()[0].duration;
                assert_eq!(found, want, "{edits:?} {timed} {index:?}");
                assert_eq!(demuxer.duration(), want, "{edits:?} {timed} {index:?}");
            }
        }
    }
}

#[test]
fn an_empty_edit_first_delays_and_repeated_edits_play_again() {
    let edits = [
        100,
        u32::MAX,
        0x1_0000,
        160,
        40,
        0x1_0000,
        40,
        200,
        0x1_0000,
        80,
        40,
        0x1_0000,
    ];
    let demuxer = open_bytes(frames(&edits)).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    // The first two edits follow one another in the media, the third goes back to the start.
    assert_eq!(times(&all), [100, 220, 140, 180, 260, 300, 420, 340]);
    assert_eq!(
        presented(&all),
        [true, true, true, true, true, true, false, true]
    );
    let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
    for (time, want) in [
        (0, 100),
        (259, 100),
        (260, 260),
        (299, 260),
        (300, 300),
        (9999, 300),
    ] {
        assert_eq!(
            reader.seek(time * 1000).expect("valid"),
            Some(want * 1000),
            "{time}"
        );
    }
    reader.seek(260_000).expect("valid");
    let mut rest = Vec::new();
    while let Some(packet) = reader.next_sample().expect("valid") {
        rest.push(packet);
    }
    assert_eq!(times(&rest), [260, 300, 420, 340]);
}

#[test]
fn a_picture_of_which_an_edit_shows_a_part_has_the_times_of_that_part() {
    let mut track = TrackBuilder::video(1000);
    let edits = [(250, 30), (330, 770), (10, 120)];
    let edits = edits.map(|(length, start)| [length, start, 0x1_0000]);
    track.edits = edits.concat();
    track.tables = ten_pictures();
    let demuxer = open_bytes(progressive(&[7; 10], &[track.build()])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    let span = |p: &Packet| (p.chunk.timestamp / 1000, p.chunk.duration.map(|d| d / 1000));
    let shown: Vec<_> = all.iter().filter(|p| p.presented).map(span).collect();
    let want = [
        // From 30 to 280 of the media, from 770 to its end, which comes before that of the edit, and 10 of the second picture.
        (0, 70),
        (70, 100),
        (170, 80),
        (250, 30),
        (280, 100),
        (380, 100),
        (580, 10),
    ];
    assert_eq!(shown, want.map(|(start, length)| (start, Some(length))));
    let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
    assert_eq!(reader.seek(20_000).expect("valid"), Some(0));
}

#[test]
fn an_edit_begins_with_the_picture_that_is_shown_there_alone() {
    // Durations are those of decoding: one of two pictures reaches over the start of the other, whichever is decoded first.
    for (durations, offsets) in [
        ([100, 100, 20], [50, 70, 0]),
        ([100, 20, 100], [50, 100, 50]),
    ] {
        let mut track = TrackBuilder::video(1000);
        track.edits = vec![5, 210, 0x1_0000];
        let rows = |values: [u32; 3]| table(2, &values.map(|value| [1, value]).concat());
        track.tables = [
            full(b"stts", 0, 0, &[&rows(durations)]),
            full(b"ctts", 0, 0, &[&rows(offsets)]),
            full(b"stss", 0, 0, &[&table(1, &[1])]),
            full(b"stsc", 0, 0, &[&table(3, &[1, 3, 1])]),
            full(b"stsz", 0, 0, &[&words(&[1, 3])]),
            full(b"stco", 0, 0, &[&table(1, &[DATA])]),
        ]
        .concat();
        let demuxer = open_bytes(progressive(&[7; 3], &[track.build()])).expect("valid");
        let all = packets(&demuxer, 0).expect("valid");
        let shown: Vec<_> = all.iter().filter(|p| p.presented).collect();
        let durations: Vec<_> = shown.iter().map(|p| p.chunk.duration).collect();
        assert_eq!(times(&all).len(), 3);
        assert_eq!(durations, [Some(5000)], "{durations:?}");
        assert_eq!(shown[0].chunk.timestamp, 0);
    }
}

#[test]
fn an_edit_from_before_the_media_leaves_the_file_readable() {
    let demuxer = open_bytes(frames(&[200, (-5_i32).cast_unsigned(), 0x1_0000])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(times(&all), [45, 165, 85, 125, 205]);
    assert_eq!(presented(&all), [true, true, true, true, false]);
}

#[test]
fn an_edit_that_begins_between_key_frames_starts_at_the_one_before() {
    let mut track = TrackBuilder::video(10);
    track.edits = vec![1000, 55, 0x1_0000];
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[100, 1])]),
        full(b"stss", 0, 0, &[&table(1, &[1, 31, 51, 71])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 100, 1])]),
        full(b"stsz", 0, 0, &[&words(&[1, 100])]),
        full(b"co64", 0, 0, &[&words(&[1, 0, DATA])]),
    ]
    .concat();
    let demuxer = open_bytes(progressive(&[7; 100], &[track.build()])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(
        (all[0].chunk.timestamp, all[0].chunk.kind),
        (-500_000, ChunkKind::Key)
    );
    assert_eq!(all.iter().filter(|p| p.presented).count(), 10);
    assert_eq!(all.len(), 15, "from sample 50 to the end of the edit");
}

#[test]
fn negative_composition_offsets_are_signed_in_both_versions() {
    for version in [0, 1] {
        let mut track = TrackBuilder::video(1000);
        track.tables = [
            full(b"stts", 0, 0, &[&table(2, &[3, 10])]),
            full(
                b"ctts",
                version,
                0,
                &[&table(2, &[1, 0, 1, 10, 1, (-10_i32).cast_unsigned()])],
            ),
            full(b"stsc", 0, 0, &[&table(3, &[1, 3, 1])]),
            full(b"stz2", 0, 0, &[&words(&[4, 3]), &[0x12, 0x30]]),
            full(b"stco", 0, 0, &[&table(1, &[DATA])]),
        ]
        .concat();
        let demuxer = open_bytes(progressive(b"abbccc", &[track.build()])).expect("valid");
        let all = packets(&demuxer, 0).expect("valid");
        assert_eq!(times(&all), [0, 20, 10]);
        assert_eq!(all[2].chunk.data.as_ref(), b"ccc");
    }
}

#[test]
fn display_properties_come_from_the_sample_entry_and_the_matrix() {
    let boxes = [
        bx(b"avcC", &[b"\x01\x42\xc0\x0a\xff\xe1\0"]),
        bx(b"pasp", &[&words(&[4, 3])]),
        bx(b"colr", &[b"nclx\0\x09\0\x10\0\x09\x80"]),
    ]
    .concat();
    let mut track = TrackBuilder::video(1000);
    track.entry = visual_entry(b"avc1", 64, 48, &boxes);
    let one = 0x1_0000_u32;
    // A quarter turn to the left.
    track.matrix = [0, one.wrapping_neg(), 0, one, 0, 0, 0, 0, 0x4000_0000];
    let demuxer = open_bytes(progressive(&[], &[track.build()])).expect("valid");
    assert_eq!(
        demuxer.tracks()[0].kind,
        TrackKind::Video {
            coded_size: Size::new(64, 48),
            display_aspect: Size::new(16, 9),
            aspect_of_stream: false,
            rotation: Rotation::R270,
            flip: false,
            color_space: ColorSpace::from_code_points(9, 16, 9, true),
        }
    );
    assert!(packets(&demuxer, 0).expect("no samples").is_empty());
    let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
    assert_eq!(reader.seek(0).expect("no samples"), None);
}

#[test]
fn colours_without_the_range_do_not_refuse_the_file() {
    for (colr, full_range) in [
        (&b"nclx\0\x09\0\x10\0\x09"[..], None),
        (b"nclc\0\x09\0\x10\0\x09", None),
        (b"nclx\0\x09\0\x10\0\x09\0", Some(false)),
    ] {
        let config = bx(b"avcC", &[b"\x01\x42\xc0\x0a\xff\xe1\0"]);
        let boxes = [config, bx(b"colr", &[colr])].concat();
        let mut track = TrackBuilder::video(1000);
        track.entry = visual_entry(b"avc1", 64, 48, &boxes);
        let demuxer = open_bytes(progressive(&[], &[track.build()])).expect("valid");
        let TrackKind::Video { color_space, .. } = demuxer.tracks()[0].kind else {
            panic!("no video");
        };
        let points = ColorSpace::from_code_points(9, 16, 9, false);
        let want = ColorSpace {
            full_range,
            ..points
        };
        assert_eq!(color_space, want);
    }
}

#[test]
fn colours_that_are_cut_short_are_none_and_do_not_refuse_the_file() {
    let whole = bx(b"colr", &[b"nclx\0\x09\0\x10\0\x09\x80"]);
    for colr in [
        &b""[..],
        b"ncl",
        b"nclx",
        b"nclx\0\x09\0\x10",
        b"nclc\0\x09",
    ] {
        for before in [&whole[..], &[]] {
            let config = bx(b"avcC", &[b"\x01\x42\xc0\x0a\xff\xe1\0"]);
            let boxes = [&config, before, &bx(b"colr", &[colr])].concat();
            let mut track = TrackBuilder::video(1000);
            track.entry = visual_entry(b"avc1", 64, 48, &boxes);
            let demuxer = open_bytes(progressive(&[], &[track.build()])).expect("valid");
            let TrackKind::Video { color_space, .. } = demuxer.tracks()[0].kind else {
                panic!("no video");
            };
            let said = (!before.is_empty()).then(|| ColorSpace::from_code_points(9, 16, 9, true));
            assert_eq!(color_space, said.unwrap_or_default(), "{colr:?}");
        }
    }
}

#[test]
fn encrypted_tracks_keep_their_kind_and_have_no_codec() {
    let config = bx(b"avcC", &[b"\x01\x42\xc0\x0a\xff\xe1\0"]);
    let sinf = bx(b"sinf", &[&bx(b"frma", &[b"avc1"])]);
    let mut track = TrackBuilder::video(1000);
    track.entry = visual_entry(b"encv", 64, 48, &[config, sinf].concat());
    let demuxer = open_bytes(progressive(&[], &[track.build()])).expect("valid");
    let track = &demuxer.tracks()[0];
    assert!(track.encryption.is_some() && track.codec.is_none() && track.description.is_none());
    assert!(matches!(track.kind, TrackKind::Video { .. }));
}

#[test]
fn a_sample_description_that_cannot_be_read_is_an_error_where_it_begins() {
    let video = || TrackBuilder::video(1000);
    let sound = |entry: Vec<u8>| TrackBuilder {
        handler: *b"soun",
        entry,
        ..video()
    };
    let pcm = |channels| audio_entry(b"sowt", channels, 16, 44100, &[]);
    let mut broken = visual_entry(b"avc1", 64, 48, &bx(b"avcC", &[b"\x01\x42"]));
    broken.splice(0..0, visual_entry(b"vp08", 64, 48, &[]));
    for (track, want) in [
        (video(), "1 to 1, found 2 at byte 26"),
        (sound([pcm(1), pcm(2)].concat()), "another size"),
        (
            TrackBuilder {
                entry: broken,
                ..video()
            },
            "avcC",
        ),
    ] {
        let mut track = track;
        track.tables = [
            full(b"stts", 0, 0, &[&table(2, &[2, 40])]),
            full(b"stsc", 0, 0, &[&table(3, &[1, 1, 1, 2, 1, 2])]),
            full(b"stsz", 0, 0, &[&words(&[2, 2])]),
            full(b"stco", 0, 0, &[&table(1, &[DATA, DATA + 2])]),
        ]
        .concat();
        let demuxer = open_bytes(progressive(b"abcd", &[track.build()])).expect("valid");
        let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
        assert!(reader.next_packet().expect("the first is fine").is_some());
        let error = reader.next_packet().expect_err("another description");
        assert!(error.to_string().contains(want), "{error}");
        assert_eq!(reader.next_packet().expect("the end after an error"), None);
    }
}

#[test]
fn uncompressed_sound_comes_in_packets_of_many_frames_with_exact_times() {
    let mut track = TrackBuilder::video(44100);
    track.handler = *b"soun";
    track.entry = audio_entry(b"sowt", 2, 16, 44100, &[]);
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[2500, 1])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 1500, 1, 2, 1000, 1])]),
        // QuickTime's size of 1 for a frame of four bytes.
        full(b"stsz", 0, 0, &[&words(&[1, 2500])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA, DATA + 6010])]),
    ]
    .concat();
    let data: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
    // Ten bytes of something else between the two chunks.
    let file = [&data[..6000], &[0xee; 10], &data[6000..]].concat();
    let demuxer = open_bytes(progressive(&file, &[track.build()])).expect("valid");
    assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("pcm-s16"));
    let all = packets(&demuxer, 0).expect("valid");
    let sizes: Vec<usize> = all.iter().map(|p| p.chunk.data.len()).collect();
    assert_eq!(
        sizes,
        [4096, 1904, 4000],
        "1,024 frames at most, never across a gap"
    );
    let joined: Vec<u8> = all.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
    assert_eq!(joined, data);
    assert_eq!(all[1].chunk.timestamp, 23220);
    assert_eq!(all[2].chunk.timestamp, 34014);
    let mut reader = Arc::clone(&demuxer).reader(0).expect("a track");
    // The frame itself, not the packet that sequential reading puts it in.
    assert_eq!(
        reader.seek(1_000_000 * 2000 / 44100 + 1).expect("valid"),
        Some(45351)
    );
    let rest = reader.next_packet().expect("valid").expect("a packet");
    assert_eq!(rest.data.len(), 2000);
}

#[test]
fn sizes_of_64_bits_and_of_0_at_the_top_are_read() {
    let mut file = frames(&[]);
    // mdat with a 64-bit size: header of 16 bytes, data shifted by 8.
    let mdat = 16;
    let body = file[mdat + 8..mdat + 8 + 15].to_vec();
    let large = [&b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x1f"[..], &body].concat();
    file.splice(mdat..mdat + 23, large);
    // moov goes to the end of the file.
    let moov = mdat + 31;
    assert_eq!(&file[moov + 4..moov + 8], b"moov");
    file[moov..moov + 4].fill(0);
    let stco = file.windows(4).position(|w| w == b"stco").expect("the box");
    file[stco + 12..stco + 16].copy_from_slice(&(DATA + 8).to_be_bytes());
    let demuxer = open_bytes(file).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(all[4].chunk.data.as_ref(), b"eeeee");
}

#[test]
fn samples_in_another_file_are_refused_when_they_are_asked_for() {
    let mut file = frames(&[]);
    let url = file.windows(4).position(|w| w == b"url ").expect("the box");
    file[url + 7] = 0;
    let demuxer = open_bytes(file).expect("the header is fine");
    let error = Arc::clone(&demuxer).reader(0).err().expect("external data");
    assert!(error.to_string().contains("another file"), "{error}");
    assert!(demuxer.reader(1).is_err(), "there is no track 1");
}

#[test]
fn caps_are_kept_and_named() {
    let open = |file: Vec<u8>, limits: Limits| {
        open_with(Arc::new(BytesSource::new(file)), &limits)
            .err()
            .map(|e| e.to_string())
    };
    let limits = Limits {
        max_header_bytes: 100,
        ..Limits::default()
    };
    let error = open(frames(&[]), limits).expect("the moov box is larger");
    assert!(
        error.contains("moov") && error.contains("the cap is 100"),
        "{error}"
    );
    let track = TrackBuilder::video(1000).build();
    let limits = Limits {
        max_tracks: 2,
        ..Limits::default()
    };
    let file = progressive(&[], &[track.clone(), track.clone(), track]);
    assert_eq!(
        open(file, limits).as_deref(),
        Some("limit exceeded: more than 2 tracks")
    );
}

#[test]
fn a_file_that_names_its_bytes_over_and_over_hits_the_limit() {
    let mut track = TrackBuilder::video(1000);
    // 4,000 chunks of 4,000 samples, all at the same 4,000 bytes.
    let chunks = vec![DATA; 4000];
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[16_000_000, 1])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 4000, 1])]),
        full(b"stsz", 0, 0, &[&words(&[1, 16_000_000])]),
        full(b"stco", 0, 0, &[&table(1, &chunks)]),
    ]
    .concat();
    let demuxer = open_bytes(progressive(&[0; 4000], &[track.build()])).expect("valid");
    let error = packets(&demuxer, 0).expect_err("too much");
    assert!(matches!(error, DemuxError::Limit(_)), "{error}");
}

#[test]
fn every_file_of_the_web_platform_tests_reads_to_its_end() {
    // These files are not part of the repository: where the checkout is, they must all read. The sample clips stand
    // for them elsewhere (clips.rs).
    let Some(folder) = reelcore_conformance::web_platform_tests() else {
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|e| e == "mp4") {
            let bytes = std::fs::read(&path).expect("a readable file");
            let demuxer = open_bytes(bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for (index, track) in demuxer.tracks().iter().enumerate() {
                let all = packets(&demuxer, index);
                let all = all.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(
                    !all.is_empty() && track.codec.is_some(),
                    "{}: {track:?}",
                    path.display()
                );
                println!(
                    "{}: {:?}, {} packets",
                    path.display(),
                    track.codec,
                    all.len()
                );
            }
            seen += 1;
        }
    }
    println!("{seen} files of the web platform tests");
    assert!(seen >= 5);
}
