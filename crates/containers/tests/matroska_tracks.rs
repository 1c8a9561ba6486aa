//! What Matroska says of tracks: encodings, encryption, colour, codec strings, languages; from files built element by element.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/matroska.rs"]
mod shared;
mod support;
#[path = "support/ts.rs"]
mod ts;

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use ebml::*;
use reelcore_containers::{BytesSource, open};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::demux::{Subsample, Track, TrackKind};
use reelcore_media::{Rotation, Size};
use shared::*;
use support::{open_bytes, packets};

fn first_track(entry: Vec<u8>) -> Track {
    let demuxer = open_bytes(file(&[&info(), &tracks(&[&entry])])).expect("valid");
    demuxer.tracks()[0].clone()
}

fn encoding(order: u64, scope: u64, more: &[u8]) -> Vec<u8> {
    el(0x6240, &[&uint(0x5031, order), &uint(0x5032, scope), more])
}

fn compression(algorithm: u64, settings: &[u8]) -> Vec<u8> {
    let settings = el(0x4255, &[settings]);
    [
        uint(0x5033, 0),
        el(0x5034, &[&uint(0x4254, algorithm), &settings]),
    ]
    .concat()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn stripped_headers_and_zlib_are_undone_in_their_order() {
    let mp3 = |encodings: &[&[u8]]| {
        let encodings = el(0x6D80, encodings);
        track(1, 2, "A_MPEG/L3", &[&audio(44_100.0, 2, 0), &encodings])
    };
    // The sync word is left away; it is needed to tell the length.
    let stripped = mp3(&[&encoding(0, 1, &compression(3, b"\xff\xfb"))]);
    let block = simple(1, 0, 0x80, b"\x90\x64rest");
    let demuxer = open_bytes(file(&[
        &info(),
        &tracks(&[&stripped]),
        &cluster(0, &[&block]),
    ]))
    .expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(data(&all), [b"\xff\xfb\x90\x64rest"]);
    assert_eq!(durations(&all), [26_122]);
    // Stripped first, then compressed: undone the other way round.
    let both = mp3(&[
        &encoding(0, 1, &compression(3, b"\xff\xfb")),
        &encoding(1, 1, &compression(0, b"")),
    ]);
    let block = simple(1, 0, 0x80, &zlib(b"\x90\x64rest"));
    let demuxer =
        open_bytes(file(&[&info(), &tracks(&[&both]), &cluster(0, &[&block])])).expect("valid");
    assert_eq!(
        data(&packets(&demuxer, 0).expect("valid")),
        [b"\xff\xfb\x90\x64rest"]
    );
    // CodecPrivate alone.
    let opus = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let private = track(
        1,
        2,
        "A_OPUS",
        &[
            &el(0x63A2, &[&zlib(opus)]),
            &el(0x6D80, &[&encoding(0, 2, &compression(0, b""))]),
        ],
    );
    assert_eq!(first_track(private).description.as_deref(), Some(&opus[..]));
    // What is not zlib, and what is not supported.
    let zipped = mp3(&[&encoding(0, 1, &compression(0, b""))]);
    let block = simple(1, 0, 0x80, b"no zlib");
    let demuxer = open_bytes(file(&[
        &info(),
        &tracks(&[&zipped]),
        &cluster(0, &[&block]),
    ]))
    .expect("valid");
    let error = packets(&demuxer, 0).expect_err("no zlib").to_string();
    assert!(
        error.contains("zlib") && error.contains("at byte"),
        "{error}"
    );
    let lzo = mp3(&[&encoding(0, 1, &compression(2, b""))]);
    let demuxer = open_bytes(file(&[&info(), &tracks(&[&lzo])])).expect("valid");
    let error = demuxer
        .reader(0)
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(error.contains("LZO"), "{error}");
}

#[test]
fn encrypted_tracks_say_so_and_give_their_vectors_and_partitions() {
    let kid = b"0123456789abcdef";
    let aes = el(0x47E7, &[&uint(0x47E8, 1)]);
    let encryption = el(0x5035, &[&uint(0x47E1, 5), &el(0x47E2, &[kid]), &aes]);
    let encodings = el(
        0x6D80,
        &[&encoding(0, 1, &[uint(0x5033, 1), encryption].concat())],
    );
    let entry = track(1, 1, "V_VP8", &[&video(&[]), &encodings]);
    let blocks = [
        simple(1, 0, 0x80, b"\0in clear"),
        simple(1, 40, 0x80, b"\x0112345678whole"),
        simple(1, 80, 0, b"\x03abcdefgh\x01\0\0\0\x03ccc-protected"),
    ];
    let bytes = file(&[
        &info(),
        &tracks(&[&entry]),
        &cluster(0, &[&blocks[0], &blocks[1], &blocks[2]]),
    ]);
    let memory = Bytes::from(bytes);
    let demuxer = open(Arc::new(BytesSource::new(memory.clone()))).expect("valid");
    let track = &demuxer.tracks()[0];
    assert_eq!(track.codec, None);
    assert!(
        matches!(track.kind, TrackKind::Video { coded_size, .. } if coded_size == Size::new(64, 48))
    );
    let encryption = track.encryption.as_ref().expect("encrypted");
    assert_eq!(encryption.scheme.as_deref(), Some("cenc"));
    assert_eq!(encryption.default_kid.as_ref(), Some(kid));
    assert_eq!(encryption.original_codec.as_deref(), Some("vp8"));
    assert_eq!(*encryption.pssh, [&kid[..]]);
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(data(&all), [&b"in clear"[..], b"whole", b"ccc-protected"]);
    assert_eq!(all[0].encryption, None);
    let whole = all[1].encryption.as_ref().expect("encrypted");
    assert_eq!(
        (&whole.iv[..], whole.subsamples.len()),
        (&b"12345678"[..], 0)
    );
    let parts = all[2].encryption.as_ref().expect("encrypted");
    assert_eq!(&parts.iv[..], b"abcdefgh");
    assert_eq!(
        parts.subsamples,
        [Subsample {
            clear: 3,
            protected: 10
        }]
    );
    assert!(
        all.iter()
            .all(|p| memory.as_ptr_range().contains(&p.chunk.data.as_ptr()))
    );
}

#[test]
fn colour_aspect_and_rotation_are_those_of_the_track() {
    let colour = el(
        0x55B0,
        &[
            &uint(0x55B1, 9),
            &uint(0x55B9, 1),
            &uint(0x55BA, 16),
            &uint(0x55BB, 9),
        ],
    );
    let kind = |more: &[&[u8]]| first_track(track(1, 1, "V_VP8", &[&video(more)])).kind;
    let TrackKind::Video {
        color_space,
        coded_size,
        display_aspect,
        rotation,
        flip,
        ..
    } = kind(&[&colour])
    else {
        panic!("not video")
    };
    assert_eq!(color_space.matrix, Some(Matrix::Bt2020Ncl));
    assert_eq!(color_space.transfer, Some(Transfer::Pq));
    assert_eq!(color_space.primaries, Some(Primaries::Bt2020));
    assert_eq!(color_space.full_range, Some(false));
    assert_eq!(
        (coded_size, display_aspect),
        (Size::new(64, 48), Size::new(64, 48))
    );
    assert_eq!((rotation, flip), (Rotation::R0, false));
    let aspect = |more: &[&[u8]]| match kind(more) {
        TrackKind::Video { display_aspect, .. } => (display_aspect.width, display_aspect.height),
        _ => panic!("not video"),
    };
    // Only what the container says may override what the stream says.
    let left_open = |more: &[&[u8]]| match kind(more) {
        TrackKind::Video {
            aspect_of_stream, ..
        } => aspect_of_stream,
        _ => panic!("not video"),
    };
    assert!(left_open(&[]));
    assert!(!left_open(&[&uint(0x54B0, 64), &uint(0x54BA, 48)]));
    assert!(!left_open(&[&uint(0x54BB, 8)]), "cropped");
    let crop = [uint(0x54CC, 4), uint(0x54DD, 4), uint(0x54BB, 8)].concat();
    assert_eq!(aspect(&[&crop]), (56, 40));
    assert_eq!(aspect(&[&uint(0x54B0, 128)]), (128, 48));
    assert_eq!(
        aspect(&[&uint(0x54B0, 16), &uint(0x54BA, 9), &uint(0x54B2, 3)]),
        (16, 9)
    );
    assert_eq!(
        aspect(&[&uint(0x54B0, 16), &uint(0x54B2, 4)]),
        (64, 48),
        "a unit nobody knows"
    );
    let turned = |yaw: f64, roll: f64| {
        let projection = el(
            0x7670,
            &[&uint(0x7671, 0), &float(0x7673, yaw), &float(0x7675, roll)],
        );
        match kind(&[&projection]) {
            TrackKind::Video { rotation, flip, .. } => (rotation, flip),
            _ => panic!("not video"),
        }
    };
    assert_eq!(turned(0.0, -90.0), (Rotation::R90, false));
    assert_eq!(turned(0.0, 90.0), (Rotation::R270, false));
    assert_eq!(turned(180.0, 0.0), (Rotation::R0, true));
    let spherical = el(0x7670, &[&uint(0x7671, 1), &float(0x7675, 90.0)]);
    assert!(matches!(
        kind(&[&spherical]),
        TrackKind::Video {
            rotation: Rotation::R0,
            ..
        }
    ));
}

#[test]
fn codec_strings_that_only_the_first_frame_tells_are_found_there() {
    let vp9 = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0, 0];
    let entry = track(1, 1, "V_VP9", &[&video(&[])]);
    let open = |blocks: &[&[u8]]| {
        let bytes = live(&[&info(), &tracks(&[&entry]), &open_cluster(0, blocks)]);
        open_bytes(bytes).expect("valid").tracks()[0].codec.clone()
    };
    let found = open(&[&simple(1, 0, 0x80, &vp9)]);
    assert_eq!(found.as_deref(), Some("vp09.00.20.08.01.01.01.01.00"));
    assert_eq!(open(&[&simple(1, 0, 0x80, b"nonsense")]), None);
    assert_eq!(open(&[]), None);
}

#[test]
fn h264_with_start_codes_needs_no_private_data() {
    let unit = ts::h264_units("h264-aac.mp4").swap_remove(0);
    let entry = track(1, 1, "V_MPEG4/ISO/AVC", &[&video(&[])]);
    let open = |data: &[u8]| {
        let blocks = open_cluster(0, &[&simple(1, 0, 0x80, data)]);
        let bytes = live(&[&info(), &tracks(&[&entry]), &blocks]);
        open_bytes(bytes).expect("valid").tracks()[0].clone()
    };
    let found = open(&unit.data);
    assert_eq!(found.codec.as_deref(), Some("avc1.64001e"));
    assert_eq!(found.description, None, "the packets have start codes");
    assert_eq!(open(&[0, 0, 0, 2, 0x67, 0x64]).codec, None, "lengths");
}

#[test]
fn a_track_without_a_codec_is_named_by_its_codec_id() {
    let open = |id| {
        let entry = track(1, 1, id, &[&video(&[])]);
        let bytes = live(&[&info(), &tracks(&[&entry]), &open_cluster(0, &[])]);
        open_bytes(bytes).expect("valid")
    };
    assert_eq!(open("V_PRORES").format(0), Some("V_PRORES"));
    assert_eq!(open("V_VP8").format(0), None, "the codec says it");
}

#[test]
fn languages_are_given_where_the_file_gives_one() {
    let language = |more: &[u8]| first_track(track(1, 17, "S_TEXT/UTF8", &[more])).language;
    assert_eq!(language(&el(0x22B59C, &[b"fre"])).as_deref(), Some("fre"));
    assert_eq!(language(&el(0x22B59C, &[b"und"])), None);
    assert_eq!(language(&[]), None);
    let both = [el(0x22B59D, &[b"fr-CA"]), el(0x22B59C, &[b"fre"])].concat();
    assert_eq!(language(&both).as_deref(), Some("fr-CA"));
    let kind = first_track(track(3, 17, "S_TEXT/UTF8", &[])).kind;
    assert_eq!(kind, TrackKind::Other("S_TEXT/UTF8".into()));
}
