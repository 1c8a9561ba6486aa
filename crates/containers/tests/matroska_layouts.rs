//! Matroska files that no encoder at hand writes, built element by element.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/matroska.rs"]
mod shared;
mod support;

use std::time::Duration;

use ebml::*;
use reelcore_media::demux::Packet;
use shared::*;
use support::{open_bytes, packets};

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
