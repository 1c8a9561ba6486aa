//! Files of sound that were put together: tags and headers in the middle, and other rates and channels from there on.

#[path = "support/sound.rs"]
mod sound;
mod support;

use bytes::Bytes;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::demux::{Packet, TrackKind};
use sound::*;
use std::sync::Arc;
use std::time::Duration;
use support::{open_bytes, packets};

const RATES: [u32; 5] = [96_000, 88_200, 64_000, 48_000, 44_100];

/// Time stamps, in microseconds, of frames that last so many samples at these rates.
fn times(frames: impl IntoIterator<Item = (u64, u64)>) -> Vec<i64> {
    // In units that are whole at all rates.
    let mut at = 0;
    let starts = frames.into_iter().map(|(samples, rate)| {
        let start = at;
        at += samples * 28_224_000 / rate;
        (start * 2_000_000 + 28_224_000) / (2 * 28_224_000)
    });
    starts.map(|time| time as i64).collect()
}

fn timestamps(packets: &[Packet]) -> Vec<i64> {
    packets.iter().map(|p| p.chunk.timestamp).collect()
}

/// Which packets tell of another configuration, with rate and channels.
fn changes(packets: &[Packet]) -> Vec<(usize, u32, u32)> {
    let told = packets.iter().enumerate();
    told.filter_map(|(index, packet)| match packet.config.as_ref()?.kind {
        TrackKind::Audio {
            sample_rate,
            channels,
        } => Some((index, sample_rate, channels)),
        _ => panic!("sound"),
    })
    .collect()
}

fn dropped(packet: &Packet) -> (Duration, Duration) {
    let side = packet.chunk.side.clone().unwrap_or_default();
    (side.discard_start, side.discard_end)
}

#[test]
fn mp3_files_put_together_are_heard_to_the_end() {
    let part = mp3_file(10, 576, 1152);
    let sound: Vec<u8> = (1..=10).collect();
    for between in [
        Vec::new(),
        id3v1("First"),
        id3(3, 0, &[0; 500]),
        [ape("Artist", "A"), id3v1("First"), id3(4, 0, &[0; 99])].concat(),
        vec![0xaa; 700],
    ] {
        let file = [&part[..], &between, &part, &between, &part].concat();
        let demuxer = open_bytes(file.clone()).expect("a file");
        let all = packets(&demuxer, 0).expect("packets");
        let marks: Vec<u8> = all.iter().map(|packet| packet.chunk.data[6]).collect();
        assert_eq!(marks, sound.repeat(3), "frames of sound alone");
        assert!(all.iter().all(|packet| packet.presented));
        // What no header counts as the last of the whole is not cut.
        let rest = |packet: &Packet| dropped(packet) == (Duration::ZERO, Duration::ZERO);
        assert!(all.iter().skip(1).all(rest));
        assert_eq!(dropped(&all[0]).0, Duration::from_nanos(25_056_689));
        assert_eq!(demuxer.tracks()[0].samples, Some(30));
        let samples = 30 * 1152 - 1105;
        let want = (samples * 2_000_000 + 44_100) / 88_200;
        assert_eq!(demuxer.duration(), Some(want));
        let end = all[29].chunk.timestamp as u64 + all[29].chunk.duration.expect("a duration");
        assert_eq!(Some(end), demuxer.duration());
        // Nothing tells of the rest when a stream comes in order: the first file's end is cut where it is.
        let (feed, source) = stream(StreamLimits::default(), || ());
        feed.push(Bytes::from(file));
        feed.finish();
        let demuxer = open(Arc::new(source)).expect("a stream");
        let all = packets(&demuxer, 0).expect("packets");
        let heard = all.iter().filter(|packet| packet.presented).count();
        assert_eq!((all.len(), heard), (30, 30));
        let cut = Duration::from_nanos(14_126_984);
        assert_eq!(dropped(&all[9]).1, cut, "623 samples");
        assert!(all.iter().skip(10).all(rest));
    }
    // One file alone loses its padding, also where something stands behind that is no sound.
    for rest in [Vec::new(), id3(3, 0, &[0; 50]), vec![0; 20_000]] {
        let alone = [&part[..], &rest].concat();
        let demuxer = open_bytes(alone).expect("a file");
        let all = packets(&demuxer, 0).expect("packets");
        assert_eq!(all.len(), 10);
        assert_eq!(dropped(&all[9]).1, Duration::from_nanos(14_126_984));
        assert_eq!(demuxer.duration(), Some(222_041), "9792 samples");
    }
}

#[test]
fn a_short_mp3_behind_a_long_one_counts_and_the_end_of_one_alone_does_not() {
    let long = mp3_file(200, 576, 1152);
    // As some count: without the frame that says it.
    let mut less = long.clone();
    less[48..52].copy_from_slice(&(200_u32 * 417).to_be_bytes());
    let short = mp3_file(3, 576, 1152);
    let bare: Vec<u8> = (0..3).flat_map(|mark| mp3(0, mark + 1)).collect();
    let tags = [ape("Artist", "A"), id3v1("First"), id3(4, 0, &[0; 99])].concat();
    for first in [&long, &less] {
        for between in [
            Vec::new(),
            id3v1("First"),
            ape("Artist", "A"),
            id3(3, 0, &[0; 500]),
            tags.clone(),
        ] {
            for second in [&short, &bare] {
                let file = [&first[..], &between, second, &id3v1("Second")].concat();
                let demuxer = open_bytes(file).expect("a file");
                let all = packets(&demuxer, 0).expect("packets");
                assert_eq!(all.len(), 203);
                assert_eq!(demuxer.tracks()[0].samples, Some(203));
                assert_eq!(dropped(&all[199]).1, Duration::ZERO);
                let end = all[202].chunk.timestamp as u64 + all[202].chunk.duration.unwrap_or(0);
                assert_eq!(demuxer.duration(), Some(end));
            }
            let alone = [&first[..], &between, &id3v1("First")].concat();
            let demuxer = open_bytes(alone).expect("a file");
            let all = packets(&demuxer, 0).expect("packets");
            assert_eq!(demuxer.tracks()[0].samples, Some(200));
            assert_eq!(dropped(&all[199]).1, Duration::from_nanos(14_126_984));
        }
    }
}

#[test]
fn mp3_of_another_rate_is_told_and_its_times_go_on() {
    let file = [
        (0..5).flat_map(|mark| mp3(0, mark)).collect::<Vec<_>>(),
        id3(3, 0, &[0; 40]),
        (0..6).flat_map(mp3_24).collect(),
        (0..2).flat_map(|mark| mp3(0, mark)).collect(),
    ]
    .concat();
    let demuxer = open_bytes(file).expect("a file");
    let all = packets(&demuxer, 0).expect("packets");
    assert_eq!(changes(&all), [(5, 24_000, 1), (11, 44_100, 2)]);
    let frames = [
        vec![(1152, 44_100); 5],
        vec![(576, 24_000); 6],
        vec![(1152, 44_100); 2],
    ];
    assert_eq!(timestamps(&all), times(frames.concat()));
    assert_eq!(
        demuxer.duration(),
        Some(7 * 1152 * 1_000_000 / 44_100 + 144_000)
    );
}

#[test]
fn adts_of_other_channels_and_rates_is_told_and_its_times_go_on() {
    let part = |rate: u8, channels: u8, count: u8| -> Vec<u8> {
        (0..count)
            .flat_map(|mark| adts_of(rate, channels, &[mark; 30]))
            .collect()
    };
    // Rates by index; a part of one frame in the middle, and one at the end.
    let parts = [
        (3, 1, 20),
        (3, 2, 25),
        (4, 2, 1),
        (3, 2, 10),
        (0, 1, 9),
        (4, 6, 1),
    ];
    let file: Vec<u8> = parts.iter().flat_map(|&(r, c, n)| part(r, c, n)).collect();
    let demuxer = open_bytes(file).expect("a file");
    let all = packets(&demuxer, 0).expect("packets");
    let frames = parts.iter().flat_map(|&(rate, _, count)| {
        vec![(1024, u64::from(RATES[usize::from(rate)])); usize::from(count)]
    });
    assert_eq!(timestamps(&all), times(frames));
    let want = [
        (20, 48_000, 2),
        (45, 44_100, 2),
        (46, 48_000, 2),
        (56, 96_000, 1),
        (65, 44_100, 6),
    ];
    assert_eq!(changes(&all), want);
    let end = all[65].chunk.timestamp as u64 + all[65].chunk.duration.expect("a duration");
    assert_eq!(Some(end), demuxer.duration());
    // Decoders that start anywhere are told what holds there, and get no lead-in that is not theirs.
    let mut reader = demuxer.reader(0).expect("a reader");
    for target in [50, 0, 20, 19, 65, 45, 46, 56] {
        let time = all[target].chunk.timestamp;
        assert_eq!(reader.seek(time).expect("seek"), Some(time));
        let first = reader.next_sample().expect("read").expect("a packet");
        let own = [0, 20, 45, 46, 56, 65].contains(&target);
        let back = usize::from(!own);
        assert_eq!(first.offset, all[target - back].offset, "{target}");
        assert_eq!(first.presented, own, "{target}");
        let told = first.config.expect("what holds here");
        let rate = match told.kind {
            TrackKind::Audio { sample_rate, .. } => sample_rate,
            _ => panic!("sound"),
        };
        let place = want.iter().rfind(|(from, ..)| *from <= target);
        assert_eq!(rate, place.map_or(48_000, |place| place.1), "{target}");
        let next = reader.next_sample().expect("read");
        let config = next.and_then(|next| next.config);
        let second = target + 1 - back;
        let changes = want.iter().any(|(from, ..)| *from == second);
        assert_eq!(config.is_some(), changes, "{target}");
    }
}

#[test]
fn bytes_that_look_like_one_other_frame_are_passed_over() {
    let sound: Vec<u8> = (0..8)
        .flat_map(|mark| adts(&[mark; 50], 1, false))
        .collect();
    // Headers of another rate whose length leads nowhere, and to one more frame only.
    let lone = adts_of(6, 1, &[9; 44]);
    for junk in [
        [&lone[..20], &[0x55; 90]].concat(),
        [&lone[..], &lone, &[0x55; 90]].concat(),
    ] {
        let file = [&sound[..], &junk, &sound, &junk].concat();
        let all = packets(&open_bytes(file).expect("a file"), 0).expect("packets");
        assert_eq!(all.len(), 16);
        assert_eq!(changes(&all), []);
    }
}

#[test]
fn another_layer_in_the_middle_is_said_and_not_passed_over() {
    let mut second = vec![0xff, 0xfd, 0xa4, 0];
    second.resize(576, 1);
    let file = [
        (0..4).flat_map(|mark| mp3(0, mark)).collect(),
        second.repeat(5),
    ]
    .concat();
    let mut reader = open_bytes(file)
        .expect("a file")
        .reader(0)
        .expect("a reader");
    for _ in 0..4 {
        assert!(reader.next_sample().expect("read").is_some());
    }
    let error = reader
        .next_sample()
        .expect_err("a codec that is not the track's");
    let want = "not supported: another codec in the middle of the sound, at byte 1668";
    assert_eq!(error.to_string(), want);
}
