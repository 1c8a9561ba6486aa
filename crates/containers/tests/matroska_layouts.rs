//! Matroska files that no encoder at hand writes, built element by element.

#[path = "support/ebml.rs"]
mod ebml;
mod support;

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use ebml::*;
use reelcore_containers::{BytesSource, Limits, StreamLimits, open, open_with, stream};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::demux::{
    DemuxError, Packet, PacketReader, Source, Subsample, Track, TrackKind,
};
use reelcore_media::{ChunkKind, Rotation, Size};
use support::{open_bytes, packets};

fn times(packets: &[Packet]) -> Vec<i64> {
    packets.iter().map(|p| p.chunk.timestamp).collect()
}

fn durations(packets: &[Packet]) -> Vec<u64> {
    packets
        .iter()
        .map(|p| p.chunk.duration.unwrap_or(0))
        .collect()
}

fn data(packets: &[Packet]) -> Vec<&[u8]> {
    packets.iter().map(|p| &p.chunk.data[..]).collect()
}

fn keys(packets: &[Packet]) -> Vec<bool> {
    packets
        .iter()
        .map(|p| p.chunk.kind == ChunkKind::Key)
        .collect()
}

/// A video track of VP8 with 40 ms to a frame.
fn vp8() -> Vec<u8> {
    let entry = track(1, 1, "V_VP8", &[&uint(0x23E383, 40_000_000), &video(&[])]);
    tracks(&[&entry])
}

/// A track of PCM: 16 bits, mono, 1000 Hz, so that a frame of it has 2 bytes and lasts 1 ms.
fn pcm(more: &[&[u8]]) -> Vec<u8> {
    let sound = audio(1000.0, 1, 16);
    let more = [&[&sound[..]], more].concat();
    tracks(&[&track(1, 2, "A_PCM/INT/LIT", &more)])
}

fn first_track(entry: Vec<u8>) -> Track {
    let demuxer = open_bytes(file(&[&info(), &tracks(&[&entry])])).expect("valid");
    demuxer.tracks()[0].clone()
}

const XIPH: u8 = 0x02;
const FIXED: u8 = 0x04;
const EBML: u8 = 0x06;

#[test]
fn every_lacing_gives_its_frames_with_their_times() {
    let long = [b'L'; 300];
    let ebml_head = [&[2_u8][..], &size(300), &[0x80 | 7]].concat();
    // 300, then 300 - 56 = 244, then the rest.
    let frames_244 = [b'M'; 244];
    let blocks = [
        simple(
            1,
            0,
            0x80 | XIPH,
            &[&[2, 255, 45, 2][..], &long, b"bb", b"last"].concat(),
        ),
        simple(1, 1000, 0x80 | FIXED, b"\x02aabbcc"),
        simple(
            1,
            2000,
            0x80 | EBML,
            &[&ebml_head[..], &long, &frames_244, b"zz"].concat(),
        ),
        simple(1, 3000, 0x80 | XIPH, b"\0one!"),
    ];
    let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let frames: Vec<&[u8]> = vec![
        &long,
        b"bb",
        b"last",
        b"aa",
        b"bb",
        b"cc",
        &long,
        &frames_244,
        b"zz",
        b"one!",
    ];
    // The codec tells: 2 bytes are a millisecond.
    let counted = open_bytes(file(&[&info(), &pcm(&[]), &cluster(0, &blocks)])).expect("valid");
    let all = packets(&counted, 0).expect("valid");
    assert_eq!(data(&all), frames);
    let ms: Vec<i64> = times(&all).iter().map(|t| t / 1000).collect();
    assert_eq!(ms, [0, 150, 151, 1000, 1001, 1002, 2000, 2150, 2272, 3000]);
    let lasts: Vec<u64> = durations(&all).iter().map(|d| d / 1000).collect();
    assert_eq!(lasts, [150, 1, 2, 1, 1, 1, 150, 122, 1, 2]);
    // DefaultDuration comes before that.
    let fixed = pcm(&[&uint(0x23E383, 10_500_000)]);
    let stepped = open_bytes(file(&[&info(), &fixed, &cluster(0, &blocks)])).expect("valid");
    let all = packets(&stepped, 0).expect("valid");
    assert_eq!(data(&all), frames);
    assert_eq!(times(&all)[..4], [0, 10_500, 21_000, 1_000_000]);
    assert!(durations(&all).iter().all(|&d| d == 10_500));
}

#[test]
fn lacing_headers_longer_than_the_first_look_and_broken_ones_are_told_apart() {
    // 200 frames of 1000 bytes and one of 3: a header of 801 bytes.
    let mut body = vec![200];
    for _ in 0..200 {
        body.extend([255, 255, 255, 235]);
    }
    body.resize(body.len() + 200_003, 9);
    let block = simple(1, 0, 0x80 | XIPH, &body);
    let demuxer = open_bytes(file(&[&info(), &pcm(&[]), &cluster(0, &[&block])])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!((all.len(), all[200].chunk.data.len()), (201, 3));
    for broken in [&b"\x02aabbc"[..], b""] {
        let block = simple(1, 0, 0x80 | FIXED, broken);
        let demuxer =
            open_bytes(file(&[&info(), &pcm(&[]), &cluster(0, &[&block])])).expect("valid");
        let error = packets(&demuxer, 0).expect_err("broken lacing").to_string();
        assert!(error.contains("laced frames"), "{error}");
    }
}

#[test]
fn block_groups_give_duration_references_padding_and_alpha() {
    let entry = track(1, 1, "V_VP8", &[&video(&[&uint(0x53C0, 1)])]);
    let more = |id: u64, data: &[u8]| el(0xA6, &[&uint(0xEE, id), &el(0xA5, &[data])]);
    let groups = [
        group(
            1,
            0,
            b"key",
            &[
                &uint(0x9B, 70),
                &el(0x75A1, &[&more(4, b"other"), &more(1, b"alpha")]),
            ],
        ),
        group(1, 70, b"delta", &[&int(0xFB, -70), &uint(0x9B, 30)]),
        // The ID of an addition is 1 where it is not written.
        group(
            1,
            100,
            b"again",
            &[
                &int(0xFB, -30),
                &el(0x75A1, &[&el(0xA6, &[&el(0xA5, &[b"a"])])]),
            ],
        ),
    ];
    let groups: Vec<&[u8]> = groups.iter().map(Vec::as_slice).collect();
    let demuxer = open_bytes(file(&[
        &info(),
        &tracks(&[&entry]),
        &cluster(1000, &groups),
    ]))
    .expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(data(&all), [&b"key"[..], b"delta", b"again"]);
    assert_eq!(times(&all), [1_000_000, 1_070_000, 1_100_000]);
    assert_eq!(all[0].chunk.duration, Some(70_000));
    assert_eq!(all[1].chunk.duration, Some(30_000));
    assert_eq!(all[2].chunk.duration, None);
    assert_eq!(keys(&all), [true, false, false]);
    let alpha = |p: &Packet| p.chunk.side.as_ref().and_then(|side| side.alpha.clone());
    assert_eq!(alpha(&all[0]).as_deref(), Some(&b"alpha"[..]));
    assert_eq!(alpha(&all[1]), None);
    assert_eq!(alpha(&all[2]).as_deref(), Some(&b"a"[..]));
}

#[test]
fn discard_padding_drops_from_the_end_or_where_negative_from_the_start() {
    let groups = [
        group(1, 0, &[0; 20], &[&int(0x75A2, -3_000_000)]),
        group(1, 10, &[0; 20], &[&int(0x75A2, 4_000_000)]),
        group(1, 20, &[0; 20], &[]),
    ];
    // Two laced frames of 5 ms, of which 7 ms at the end are padding.
    let laced = el(
        0xA1,
        &[&block_body(1, 30, FIXED, &[&[1][..], &[0; 20]].concat())],
    );
    let laced = el(0xA0, &[&laced, &int(0x75A2, 7_000_000)]);
    let demuxer = open_bytes(file(&[
        &info(),
        &pcm(&[]),
        &cluster(0, &[&groups[0], &groups[1], &groups[2], &laced]),
    ]))
    .expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    let sides: Vec<_> = all
        .iter()
        .map(|p| {
            let side = p.chunk.side.clone().unwrap_or_default();
            (side.discard_start.as_millis(), side.discard_end.as_millis())
        })
        .collect();
    assert_eq!(sides, [(3, 0), (0, 4), (0, 0), (0, 2), (0, 5)]);
    assert_eq!(all[2].chunk.side, None);
}

#[test]
fn a_codec_delay_is_counted_in_samples_though_times_are_rounded() {
    // AAC at 48 kHz: packets of 21.33 ms, 2112 samples of delay.
    let entry = track(
        1,
        2,
        "A_AAC",
        &[
            &uint(0x56AA, 44_000_000),
            &el(0x63A2, &[&[0x11, 0x90]]),
            &audio(48_000.0, 2, 16),
        ],
    );
    let blocks: Vec<Vec<u8>> = [0, 21, 43, 64, 85]
        .into_iter()
        .map(|ms| simple(1, ms, 0x80, b"aac"))
        .collect();
    let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let demuxer =
        open_bytes(file(&[&info(), &tracks(&[&entry]), &cluster(0, &blocks)])).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!(times(&all), [-44_000, -23_000, -1000, 20_000, 41_000]);
    assert_eq!(all[0].chunk.duration, Some(21_333));
    let presented: Vec<bool> = all.iter().map(|p| p.presented).collect();
    assert_eq!(presented, [false, false, true, true, true]);
    let dropped: f64 = all
        .iter()
        .filter_map(|p| p.chunk.side.as_ref())
        .map(|side| {
            (side.discard_start.as_secs_f64() * 48_000.0)
                .round()
                .min(1024.0)
        })
        .sum();
    assert_eq!(dropped, 2112.0);
    // From the start again: the same.
    let mut reader = demuxer.reader(0).expect("a track");
    reader.seek(i64::MIN).expect("valid");
    assert_eq!(reader.next_sample().expect("valid").as_ref(), Some(&all[0]));
}

#[test]
fn opus_without_a_codec_delay_drops_what_its_own_header_says() {
    let header = el(0x63A2, &[b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"]);
    let entry = track(1, 2, "A_OPUS", &[&header, &audio(48_000.0, 1, 0)]);
    let blocks = [simple(1, 0, 0x80, b"\xfc"), simple(1, 20, 0x80, b"\xfc")];
    let bytes = file(&[
        &info(),
        &tracks(&[&entry]),
        &cluster(0, &[&blocks[0], &blocks[1]]),
    ]);
    let all = packets(&open_bytes(bytes).expect("valid"), 0).expect("valid");
    assert_eq!(times(&all), [0, 20_000]);
    let side = all[0].chunk.side.as_ref().expect("a delay");
    assert_eq!(side.discard_start, Duration::from_micros(6500));
    assert_eq!(all[1].chunk.side, None);
}

#[test]
fn invisible_blocks_are_given_and_not_presented() {
    let blocks = [simple(1, 0, 0x80, b"a"), simple(1, 40, 0x08, b"b")];
    let bytes = file(&[&info(), &vp8(), &cluster(0, &[&blocks[0], &blocks[1]])]);
    let all = packets(&open_bytes(bytes).expect("valid"), 0).expect("valid");
    assert_eq!((all[0].presented, all[1].presented), (true, false));
}

#[test]
fn a_seek_starts_earlier_by_the_pre_roll_and_what_comes_before_is_not_heard() {
    let blocks: Vec<Vec<u8>> = (0..50)
        .map(|i| simple(1, i * 20, 0x80, &[i as u8; 40]))
        .collect();
    let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let entry = pcm(&[&uint(0x56BB, 80_000_000)]);
    let bytes = file(&[
        &info(),
        &entry,
        &cluster(0, &blocks[..25]),
        &cluster(0, &blocks[25..]),
    ]);
    let demuxer = open_bytes(bytes).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    let mut reader = demuxer.reader(0).expect("a track");
    for (time, from, target) in [
        (500_000, 21, 25),
        (519_999, 21, 25),
        (70_000, 0, 3),
        (0, 0, 0),
    ] {
        assert_eq!(
            reader.seek(time).expect("valid"),
            Some(target * 20_000),
            "{time}"
        );
        for (index, want) in all.iter().enumerate().skip(from).take(6) {
            let packet = reader.next_sample().expect("valid").expect("a packet");
            assert_eq!(packet.chunk.data, want.chunk.data, "{time}");
            let heard = index as i64 >= target;
            assert_eq!(packet.presented, heard, "{time}");
            let dropped = packet
                .chunk
                .side
                .map_or(Duration::ZERO, |s| s.discard_start);
            assert_eq!(dropped >= Duration::from_millis(20), !heard, "{time}");
        }
    }
}

#[test]
fn segments_and_clusters_of_unknown_size_end_where_they_should() {
    let block = |time, data: &[u8]| simple(1, time, 0x80, data);
    let open = [
        open_cluster(0, &[&block(0, b"a"), &block(40, b"b")]),
        open_cluster(80, &[&block(0, b"c")]),
        // Elements that stand in the Segment end a cluster too.
        cues(&[]),
        open_cluster(120, &[&block(0, b"d")]),
        el(0x1254_C367, &[]),
        cluster(160, &[&block(0, b"e")]),
    ];
    let parts: Vec<&[u8]> = open.iter().map(Vec::as_slice).collect();
    let want = [&b"a"[..], b"b", b"c", b"d", b"e"];
    let front = [info(), vp8()].concat();
    let parts = [&[&front[..]], &parts[..]].concat();
    let live = live(&parts);
    for bytes in [
        live.clone(),
        file(&parts),
        [&live[..], &file(&parts)].concat(),
    ] {
        let demuxer = open_bytes(bytes).expect("valid");
        let all = packets(&demuxer, 0).expect("valid");
        assert_eq!(data(&all), want);
        assert_eq!(times(&all), [0, 40_000, 80_000, 120_000, 160_000]);
        let mut reader = demuxer.reader(0).expect("a track");
        for (time, at) in [
            (79_999, 1),
            (80_000, 2),
            (130_000, 3),
            (i64::MAX, 4),
            (-1, 0),
        ] {
            assert_eq!(
                reader.seek(time).expect("valid"),
                Some(at * 40_000),
                "{time}"
            );
            let next = reader.next_sample().expect("valid").expect("a packet");
            assert_eq!(&next.chunk.data[..], want[at as usize], "{time}");
        }
    }
}

#[test]
fn void_checksums_and_elements_nobody_knows_are_passed_over_everywhere() {
    let void = el(0xEC, &[&[0; 9]]);
    let crc = el(0xBF, &[&[1, 2, 3, 4]]);
    let new = el(0x2F_F00D, &[b"?"]);
    let noise = [&void[..], &crc, &new].concat();
    let entry = track(1, 1, "V_VP8", &[&noise, &video(&[&noise])]);
    let tracks = el(0x1654_AE6B, &[&noise, &entry]);
    let block = el(
        0xA0,
        &[&noise, &el(0xA1, &[&block_body(1, 0, 0, b"x")]), &noise],
    );
    let cluster = el(0x1F43_B675, &[&crc, &uint(0xE7, 5), &noise, &block, &noise]);
    let body = [
        &noise[..],
        &info(),
        &noise,
        &tracks,
        &noise,
        &cluster,
        &noise,
    ]
    .concat();
    let bytes = [head("webm"), noise.clone(), el(0x1853_8067, &[&body])].concat();
    let demuxer = open_bytes(bytes).expect("valid");
    let all = packets(&demuxer, 0).expect("valid");
    assert_eq!((data(&all), times(&all)), (vec![&b"x"[..]], vec![5000]));
    let mut reader = demuxer.reader(0).expect("a track");
    assert_eq!(reader.seek(9000).expect("valid"), Some(5000));
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
    assert_eq!(encryption.pssh, [&kid[..]]);
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

/// Frames of 40 ms, key frames every 10, in clusters of 5.
fn long(frames: u16) -> (Vec<Vec<u8>>, Vec<u8>) {
    let clusters = (0..frames / 5)
        .map(|c| {
            let blocks: Vec<Vec<u8>> = (0..5)
                .map(|i| {
                    let n = c * 5 + i;
                    let key = if n % 10 == 0 { 0x80 } else { 0 };
                    simple(1, (i * 40) as i16, key, &[n as u8; 50])
                })
                .collect();
            let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            cluster(u64::from(c) * 200, &blocks)
        })
        .collect();
    (clusters, [info(), vp8()].concat())
}

#[test]
fn cues_that_are_few_or_lead_astray_do_not_change_what_a_seek_finds() {
    let (clusters, front) = long(200);
    let all_clusters = clusters.concat();
    // Cues stand in front, so that places are known only after their size: it is the same for all.
    let build = |points: &[(u64, u64)]| {
        let points: Vec<Vec<u8>> = points
            .iter()
            .map(|&(time, pos)| {
                let position = el(0xB7, &[&uint(0xF7, 1), &el(0xF1, &[&pos.to_be_bytes()])]);
                el(0xBB, &[&el(0xB3, &[&time.to_be_bytes()]), &position])
            })
            .collect();
        let points: Vec<&[u8]> = points.iter().map(Vec::as_slice).collect();
        cues(&points)
    };
    let offset = |count: usize, index: usize| {
        let cues = build(&vec![(0, 0); count]).len();
        (front.len() + cues + clusters[..index].iter().map(Vec::len).sum::<usize>()) as u64
    };
    let many: Vec<(u64, u64)> = (0..20)
        .map(|i| (i * 400, offset(20, 2 * i as usize)))
        .collect();
    let cases = [
        ("all of them", many.clone()),
        ("one late", vec![(4000, offset(1, 20))]),
        ("out of order", many.iter().rev().copied().collect()),
        (
            "into a block",
            vec![(0, offset(1, 0)), (2000, offset(1, 10) + 9)],
        ),
        ("past the end", vec![(0, offset(2, 0)), (2000, 1 << 40)]),
        (
            "wrong times",
            many.iter().map(|&(time, pos)| (time / 2, pos)).collect(),
        ),
        ("none", vec![]),
    ];
    for (what, points) in cases {
        let bytes = file(&[&front, &build(&points), &all_clusters]);
        let demuxer = open_bytes(bytes).expect(what);
        let mut reader = demuxer.reader(0).expect(what);
        for frame in (0..210).step_by(7) {
            let want = (frame.min(199) / 10) * 10;
            let found = reader.seek(frame * 40_000 + 5).expect(what);
            assert_eq!(found, Some(want * 40_000), "{what}: frame {frame}");
            let next = reader.next_packet().expect(what).expect(what);
            assert_eq!(next.data[0], want as u8, "{what}: frame {frame}");
        }
    }
}

#[test]
fn a_seek_in_a_track_of_few_packets_does_not_read_to_the_end() {
    // A subtitle at the start and one at the end, and an hour of pictures between them.
    let text = track(2, 17, "S_TEXT/UTF8", &[]);
    let picture = track(1, 1, "V_VP8", &[&video(&[])]);
    let mut clusters = Vec::new();
    for second in 0..3600 {
        let frame = simple(1, 0, 0x80, &[7; 5000]);
        let words = simple(2, 0, 0x80, b"words");
        let here = second == 0 || second == 3599;
        let blocks: &[&[u8]] = if here { &[&frame, &words] } else { &[&frame] };
        clusters.extend(cluster(second * 1000, blocks));
    }
    let source = Arc::new(Recording {
        bytes: BytesSource::new(file(&[&info(), &tracks(&[&picture, &text]), &clusters])),
        reads: Mutex::default(),
        seekable: true,
    });
    let demuxer = open(source.clone()).expect("valid");
    let mut reader = demuxer.reader(1).expect("a track");
    assert_eq!(reader.seek(100_000_000).expect("valid"), Some(0));
    let reads = source.reads.lock().expect("lock");
    let furthest = reads.iter().max().expect("reads");
    // 100 s, and the 33 s by which the times of blocks may go back.
    assert!(*furthest < 140 * 5020, "read at byte {furthest}");
}

#[test]
fn what_a_seek_head_leads_to_is_read_unless_the_source_is_a_stream() {
    let entry = vp8();
    let block = simple(1, 0, 0x80, b"x");
    let tag = el(0x67C8, &[&el(0x45A3, &[b"ARTIST"]), &el(0x4487, &[b"Who"])]);
    let tags = el(0x1254_C367, &[&el(0x7373, &[&el(0x63C0, &[]), &tag])]);
    let cluster = cluster(0, &[&block]);
    let seek = |id: u32, pos: u64| {
        let pos = el(0x53AC, &[&pos.to_be_bytes()]);
        el(0x4DBB, &[&el(0x53AB, &[&id.to_be_bytes()]), &pos])
    };
    let seek_head = |a: u64, b: u64, c: u64| {
        el(
            0x114D_9B74,
            &[
                &seek(0x1654_AE6B, a),
                &seek(0x1254_C367, b),
                &seek(0x1C53_BB6B, c),
            ],
        )
    };
    let front = seek_head(0, 0, 0).len() + info().len();
    let tracks_at = (front + cluster.len()) as u64;
    let tags_at = tracks_at + entry.len() as u64;
    let bytes = file(&[
        &seek_head(tracks_at, tags_at, 1 << 50),
        &info(),
        &cluster,
        &entry,
        &tags,
    ]);
    let demuxer = open_bytes(bytes.clone()).expect("valid");
    assert_eq!(data(&packets(&demuxer, 0).expect("valid")), [b"x"]);
    assert_eq!(demuxer.tags(), [("artist".to_owned(), "Who".to_owned())]);
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(bytes));
    feed.finish();
    let error = open(Arc::new(source))
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        error.contains("expected a Tracks element before the first Cluster"),
        "{error}"
    );
}

/// Keeps where it was read.
struct Recording {
    bytes: BytesSource,
    reads: Mutex<Vec<u64>>,
    seekable: bool,
}

impl Source for Recording {
    fn len(&self) -> std::io::Result<Option<u64>> {
        if self.seekable {
            self.bytes.len()
        } else {
            Ok(None)
        }
    }

    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads.lock().expect("lock").push(offset);
        self.bytes.read_at(offset, buffer)
    }
}

#[test]
fn a_stream_is_read_forward_only() {
    let (clusters, front) = long(200);
    let bytes = live(&[&front, &clusters.concat()]);
    let source = Arc::new(Recording {
        bytes: BytesSource::new(bytes),
        reads: Mutex::default(),
        seekable: false,
    });
    let demuxer = open(source.clone()).expect("valid");
    let opened = source.reads.lock().expect("lock").len();
    assert_eq!(packets(&demuxer, 0).expect("valid").len(), 200);
    let reads = source.reads.lock().expect("lock");
    // The first read is the probe's; a reader then begins anew, at the first Cluster.
    for part in [&reads[1..opened], &reads[opened..]] {
        assert!(part.is_sorted(), "{part:?}");
    }
}

#[test]
fn a_packet_comes_as_soon_as_its_bytes_have() {
    let blocks = [
        simple(1, 0, 0x80, b"a"),
        group(1, 40, b"b", &[&int(0xFB, -40)]),
        simple(1, 80, 0, b"c"),
    ];
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(live(&[&info(), &vp8(), &open_cluster(0, &[])])));
    let (sent, received) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let demuxer = open(Arc::new(source)).expect("valid");
        let mut reader = demuxer.reader(0).expect("a track");
        while let Some(packet) = reader.next_sample().expect("valid") {
            sent.send(packet.chunk.data).expect("the test listens");
        }
    });
    for (block, want) in blocks.iter().zip([b"a", b"b", b"c"]) {
        feed.push(Bytes::from(block.clone()));
        let packet = received
            .recv_timeout(Duration::from_secs(20))
            .expect("no wait for more");
        assert_eq!(&packet[..], want);
    }
    feed.finish();
    thread.join().expect("a clean end");
}

/// The packets before the error, and the error.
fn until_error(reader: &mut dyn PacketReader) -> (usize, Option<DemuxError>) {
    let mut count = 0;
    loop {
        match reader.next_sample() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => {
                assert!(matches!(reader.next_sample(), Ok(None)), "fused");
                return (count, Some(error));
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_whole_and_then_says_where_it_ends() {
    let (clusters, front) = long(20);
    let known = file(&[&front, &clusters.concat()]);
    let open_ended = live(&[&front, &clusters.concat()]);
    for (bytes, ends_anywhere) in [(known, false), (open_ended, true)] {
        let start = bytes.len() - clusters.concat().len();
        for cut in start..bytes.len() {
            let demuxer = open_bytes(bytes[..cut].to_vec()).expect("the tracks are whole");
            let mut reader = demuxer.reader(0).expect("a track");
            let (count, error) = until_error(&mut *reader);
            let at_cluster = clusters.iter().scan(start, |at, cluster| {
                let here = *at;
                *at += cluster.len();
                Some(here)
            });
            // A block of 50 bytes has 56.
            let whole: usize = clusters
                .iter()
                .zip(at_cluster.clone())
                .map(|(cluster, at)| {
                    cut.saturating_sub(at + cluster.len() - 5 * 56).min(5 * 56) / 56
                })
                .sum();
            let clean = ends_anywhere && at_cluster.clone().any(|at| at == cut);
            assert_eq!(error.is_none(), clean, "cut at {cut}: {error:?}");
            assert_eq!(count, whole, "cut at {cut}");
            match error {
                Some(DemuxError::Invalid { offset, .. }) => assert!(offset <= bytes.len() as u64),
                other => assert!(other.is_none(), "{other:?}"),
            }
            // What is there can still be sought.
            if count > 0 {
                assert_eq!(reader.seek(0).expect("the first packet"), Some(0));
            }
        }
    }
}

#[test]
fn broken_structure_is_an_error_that_says_where() {
    let blocks = |cluster: Vec<u8>| {
        let demuxer = open_bytes(file(&[&info(), &vp8(), &cluster])).expect("valid");
        let error = packets(&demuxer, 0).expect_err("broken");
        error.to_string()
    };
    let early = el(0x1F43_B675, &[&simple(1, 0, 0x80, b"x")]);
    assert!(blocks(early).contains("Timestamp of the Cluster"));
    let long = el(0x1F43_B675, &[&uint(0xE7, 0), &[0xA3, 0x90, 0x81, 0, 0, 0]]);
    assert!(blocks(long).contains("past the end of its Cluster"));
    let short = el(0x1F43_B675, &[&uint(0xE7, 0), &el(0xA3, &[&[0x81, 0]])]);
    assert!(blocks(short).contains("expected a track number"));
    let open = |bytes: Vec<u8>| {
        open_bytes(bytes)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let scale = el(0x1549_A966, &[&uint(0x2A_D7B1, 0)]);
    assert!(open(file(&[&scale, &vp8()])).contains("scale of 1 or more"));
    assert!(open(file(&[&info()])).contains("expected a Tracks element"));
    let entry = track(1, 1, "V_VP8", &[&video(&[])]);
    let twice = tracks(&[&entry, &entry]);
    assert!(open(file(&[&info(), &twice])).contains("a second track has the number 1"));
    let zero = tracks(&[&track(0, 1, "V_VP8", &[])]);
    assert!(open(file(&[&info(), &zero])).contains("expected a TrackNumber"));
    assert!(open([head("other"), file(&[])].concat()).contains("document type `other`"));
    assert!(open(head("webm")).contains("expected a Segment"));
}

#[test]
fn caps_are_kept() {
    let (clusters, front) = long(20);
    let bytes = Bytes::from(file(&[&front, &clusters.concat()]));
    let small = |limits: Limits| open_with(Arc::new(BytesSource::new(bytes.clone())), &limits);
    let error = small(Limits {
        max_header_bytes: 20,
        ..Limits::default()
    })
    .err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let error = small(Limits {
        max_tracks: 0,
        ..Limits::default()
    })
    .err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let demuxer = small(Limits {
        max_packet_bytes: 49,
        ..Limits::default()
    })
    .expect("opens");
    let error = packets(&demuxer, 0).err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let demuxer = open_bytes(bytes.to_vec()).expect("opens");
    assert!(matches!(
        Arc::clone(&demuxer).reader(1),
        Err(DemuxError::Unsupported(_))
    ));
}
