//! Files of sound that are built byte by byte: what encoders at hand do not write.

#[path = "support/sound.rs"]
mod sound;
mod support;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::demux::{DemuxError, Demuxer, Packet, TrackKind};
use sound::*;
use support::{open_bytes, packets};

fn read(bytes: Vec<u8>) -> Vec<Packet> {
    packets(&open_bytes(bytes).expect("a file"), 0).expect("packets")
}

fn times(packets: &[Packet]) -> Vec<i64> {
    packets
        .iter()
        .map(|packet| packet.chunk.timestamp)
        .collect()
}

/// What is read up to an error, and that.
fn read_to_error(bytes: Vec<u8>) -> (usize, String) {
    let mut reader = open_bytes(bytes)
        .expect("a file")
        .reader(0)
        .expect("a reader");
    let mut count = 0;
    loop {
        match reader.next_sample() {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("no error after {count} packets"),
            Err(error) => return (count, error.to_string()),
        }
    }
}

fn tag<'a>(demuxer: &'a Arc<dyn Demuxer>, name: &str) -> Option<&'a str> {
    let found = demuxer.tags().iter().find(|(have, _)| have == name);
    found.map(|(_, value)| value.as_str())
}

// Ogg

#[test]
fn packets_of_every_size_are_put_together_from_every_cut() {
    let sizes = [
        1,
        2,
        254,
        255,
        256,
        509,
        510,
        511,
        765,
        3000,
        70_000,
        255 * 255,
        5,
    ];
    let sent: Vec<Vec<u8>> = sizes
        .iter()
        .zip(1..)
        .map(|(&size, mark)| opus(size, mark))
        .collect();
    let table: Vec<u8> = sizes.iter().flat_map(|&size| lacing(size)).collect();
    let body = sent.concat();
    for cut in [1, 2, 3, 7, 100, 254, 255] {
        let mut file = opus_start(9, 2, 0);
        let (mut at, mut done, mut goes_on) = (0, 0, 0);
        let parts: Vec<&[u8]> = table.chunks(cut).collect();
        for (number, part) in parts.iter().enumerate() {
            let size: usize = part.iter().map(|&size| usize::from(size)).sum();
            done += part.iter().filter(|&&size| size < 255).count() as i64;
            let ends = part.iter().any(|&size| size < 255);
            let last = if number + 1 == parts.len() { LAST } else { 0 };
            let granule = if ends { done * 960 } else { -1 };
            file.extend(page(
                goes_on | last,
                granule,
                9,
                number as u32 + 2,
                part,
                &body[at..at + size],
            ));
            at += size;
            goes_on = u8::from(part.last() == Some(&255));
        }
        let all = read(file);
        assert_eq!(all.len(), sent.len(), "{cut} segments on a page");
        for (packet, sent) in all.iter().zip(&sent) {
            assert_eq!(packet.chunk.data, *sent, "{cut} segments on a page");
        }
        let want: Vec<i64> = (0..sizes.len() as i64).map(|n| n * 20_000).collect();
        assert_eq!(times(&all), want);
    }
}

#[test]
fn a_stream_that_begins_late_keeps_its_times_and_drops_its_pre_skip() {
    let mut file = opus_start(9, 2, 1000);
    let start = 48_000;
    file.extend(packets_page(
        0,
        start + 2 * 960,
        9,
        2,
        &[&opus(10, 1), &opus(10, 2)],
    ));
    file.extend(packets_page(
        LAST,
        start + 3 * 960 - 100,
        9,
        3,
        &[&opus(10, 3)],
    ));
    let demuxer = open_bytes(file).expect("a file");
    let all = packets(&demuxer, 0).expect("packets");
    let skip = 1000 * 1000 / 48;
    assert_eq!(
        times(&all),
        [1_000_000 - skip, 1_020_000 - skip, 1_040_000 - skip]
    );
    let side = |index: usize| all[index].chunk.side.clone().unwrap_or_default();
    assert!(
        !all[0].presented && all[1].presented,
        "the first is shorter than the pre-skip"
    );
    assert_eq!(side(1).discard_start.as_nanos(), 833_333, "40 samples");
    assert_eq!(side(2).discard_end.as_nanos(), 2_083_333, "100 samples");
    assert_eq!(demuxer.duration(), Some((3 * 960 - 100 - 1000) * 1000 / 48));
    assert_eq!(tag(&demuxer, "title"), Some("Built"));
}

#[test]
fn lost_and_damaged_pages_leave_a_gap_in_the_times() {
    let pages: Vec<Vec<u8>> = (0..6)
        .map(|n| packets_page(0, (n + 1) * 960, 9, n as u32 + 2, &[&opus(300, n as u8)]))
        .collect();
    let whole = [opus_start(9, 2, 0), pages.concat()].concat();
    let marks =
        |all: &[Packet]| -> Vec<u8> { all.iter().map(|packet| packet.chunk.data[1]).collect() };
    assert_eq!(marks(&read(whole.clone())), [0, 1, 2, 3, 4, 5]);
    let lost = [
        opus_start(9, 2, 0),
        pages[..2].concat(),
        pages[3..].concat(),
    ]
    .concat();
    let all = read(lost);
    assert_eq!(marks(&all), [0, 1, 3, 4, 5]);
    assert_eq!(times(&all), [0, 20_000, 60_000, 80_000, 100_000]);
    // One bit of the third page's body; then other bytes between pages.
    let mut damaged = whole.clone();
    let at = opus_start(9, 2, 0).len() + 2 * pages[0].len() + 200;
    damaged[at] ^= 4;
    assert_eq!(times(&read(damaged)), [0, 20_000, 60_000, 80_000, 100_000]);
    let mut filled = whole.clone();
    filled.splice(at - 200..at - 200, b"something OggS else".iter().copied());
    assert_eq!(times(&read(filled)).len(), 6);
    // A packet that goes on over a lost page is lost, and nothing else.
    let parts = [opus(10, 7), opus(600, 8)].concat();
    let split = [
        opus_start(9, 2, 0),
        page(0, 960, 9, 2, &[10, 255], &parts[..265]),
        page(CONTINUED, -1, 9, 3, &[255], &parts[265..520]),
        page(
            CONTINUED,
            3 * 960,
            9,
            4,
            &[90, 10],
            &[&parts[520..], &opus(10, 9)[..]].concat(),
        ),
    ];
    assert_eq!(marks(&read(split.concat())), [7, 8, 9]);
    let lost = [&split[..2], &split[3..]].concat().concat();
    let all = read(lost);
    assert_eq!((marks(&all), times(&all)), (vec![7, 9], vec![0, 40_000]));
    // The end of the last page is missing.
    let cut = whole[..whole.len() - 5].to_vec();
    let (count, error) = read_to_error(cut);
    let at = whole.len() - pages[5].len();
    assert_eq!(count, 5);
    assert!(
        error.ends_with(&format!("bytes left at byte {at}")),
        "{error}"
    );
}

#[test]
fn links_of_a_chain_are_matched_by_codec_and_rank() {
    let link = |serials: [u32; 2], channels: [u8; 2], pre_skip: u16, marks: [u8; 2]| {
        let first = |n: usize| {
            packets_page(
                FIRST,
                0,
                serials[n],
                0,
                &[&opus_head(channels[n], pre_skip)],
            )
        };
        let tags = |n: usize| packets_page(0, 0, serials[n], 1, &[&opus_tags(&[])]);
        let sound = |n: usize| {
            let packets = [opus(20, marks[n]), opus(20, marks[n])];
            packets_page(LAST, 2 * 960, serials[n], 2, &[&packets[0], &packets[1]])
        };
        [first(0), first(1), tags(0), tags(1), sound(1), sound(0)].concat()
    };
    let file = [
        link([1, 2], [1, 2], 0, [10, 20]),
        link([3, 4], [1, 2], 480, [11, 21]),
    ]
    .concat();
    let demuxer = open_bytes(file.clone()).expect("a file");
    for (track, marks) in [(0, [10, 10, 11, 11]), (1, [20, 20, 21, 21])] {
        let all = packets(&demuxer, track).expect("packets");
        let found: Vec<u8> = all.iter().map(|packet| packet.chunk.data[1]).collect();
        assert_eq!(found, marks);
        // The second link's pre-skip of 10 ms lies before the end of the first.
        assert_eq!(times(&all), [0, 20_000, 30_000, 50_000]);
        let side = all[2].chunk.side.clone().unwrap_or_default();
        assert_eq!(side.discard_start.as_millis(), 10);
        assert_eq!(demuxer.tracks()[track].duration, Some(70_000));
    }
    let other = [
        link([1, 2], [1, 2], 0, [10, 20]),
        link([3, 4], [1, 1], 0, [11, 21]),
    ]
    .concat();
    let demuxer = open_bytes(other).expect("a file");
    assert_eq!(packets(&demuxer, 0).expect("the first goes on").len(), 4);
    assert!(matches!(
        packets(&demuxer, 1),
        Err(DemuxError::Unsupported(_))
    ));
    // A seek to before it does not hide it.
    let mut reader = demuxer.reader(1).expect("a reader");
    assert_eq!(reader.seek(1_000_000).expect("seek"), Some(20_000));
    let rest: Vec<_> = (0..4).map(|_| reader.next_sample()).collect();
    assert!(
        matches!(
            rest[..],
            [
                Ok(Some(_)),
                Ok(Some(_)),
                Err(DemuxError::Unsupported(_)),
                Ok(None)
            ]
        ),
        "{rest:?}"
    );
}

#[test]
fn a_codec_that_is_not_read_is_named_beside_those_that_are() {
    let file = [
        packets_page(FIRST, 0, 1, 0, &[b"\x80theora\x03\x02\x01"]),
        packets_page(FIRST, 0, 2, 0, &[&opus_head(2, 0)]),
        packets_page(0, 0, 1, 1, &[b"\x81theora"]),
        packets_page(0, 0, 2, 1, &[&opus_tags(&["x"; 3])]),
        packets_page(LAST, 960, 2, 2, &[&opus(5, 1)]),
    ];
    let demuxer = open_bytes(file.concat()).expect("a file");
    assert_eq!(
        demuxer.tracks()[0].kind,
        TrackKind::Other("theora".to_owned())
    );
    assert_eq!(packets(&demuxer, 1).expect("packets").len(), 1);
    let error = Arc::clone(&demuxer)
        .reader(0)
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("not supported: packets of theora in Ogg")
    );
    assert!(matches!(demuxer.reader(2), Err(DemuxError::Unsupported(_))));
}

// WAV

#[test]
fn every_form_of_wav_is_told_by_its_format() {
    for (format, codec, block) in [
        (extensible(1, 2, 48_000, 24, 20), Some("pcm-s24"), 6),
        (extensible(3, 6, 48_000, 32, 32), Some("pcm-f32"), 24),
        (extensible(1, 1, 48_000, 16, 16), Some("pcm-s16"), 2),
        (wave_format(1, 1, 8000, 8), Some("pcm-u8"), 1),
        (wave_format(1, 2, 8000, 32), Some("pcm-s32"), 8),
        (wave_format(6, 1, 8000, 8), Some("alaw"), 1),
        (wave_format(7, 2, 8000, 8), Some("ulaw"), 2),
        (wave_format(3, 1, 8000, 64), None, 1),
        (wave_format(2, 1, 8000, 4), None, 1),
    ] {
        let data: Vec<u8> = (0..block * 5000 + block - 1).map(|n| n as u8).collect();
        for file in [
            riff(&[chunk(b"fmt ", &format), chunk(b"data", &data)]),
            w64(&[
                w64_chunk(b"fmt ", &format),
                w64_chunk(b"fact", &[0; 5]),
                w64_chunk(b"data", &data),
            ]),
        ] {
            let demuxer = open_bytes(file).expect("a file");
            assert_eq!(demuxer.container(), "wav");
            let track = &demuxer.tracks()[0];
            assert_eq!(track.codec.as_deref(), codec);
            let all = packets(&demuxer, 0).expect("packets");
            let bytes: usize = all.iter().map(|packet| packet.chunk.data.len()).sum();
            if codec.is_some() {
                assert_eq!(
                    bytes,
                    block * 5000,
                    "{codec:?}: whole samples of all channels"
                );
                assert_eq!(track.samples, Some(3));
                assert_eq!(all[0].chunk.data.len(), 2048 * block);
            } else {
                let name = if format[0] == 3 {
                    "pcm_f64le"
                } else {
                    "adpcm_ms"
                };
                assert_eq!(track.kind, TrackKind::Other(name.to_owned()));
            }
        }
    }
    let file = riff(&[
        chunk(b"fmt ", &wave_format(1, 2, 48_000, 16)[..14]),
        chunk(b"data", &[0; 8]),
    ]);
    assert!(open_bytes(file).is_ok_and(|demuxer| demuxer.tracks()[0].codec.is_none()));
}

#[test]
fn odd_chunks_are_padded_and_tags_behind_the_data_are_found() {
    let info = [
        b"INFO".to_vec(),
        chunk(b"INAM", b"Na\0"),
        chunk(b"IART", b"Me\0"),
    ]
    .concat();
    let file = riff(&[
        chunk(b"JUNK", &[1; 7]),
        chunk(b"fmt ", &wave_format(1, 1, 8000, 8)),
        chunk(b"bext", &[2; 601]),
        chunk(b"data", &[128; 8001]),
        chunk(b"LIST", &info),
        chunk(b"id3 ", &id3(3, 0, &id3_frame(b"TALB", b"\0Al"))),
    ]);
    let demuxer = open_bytes(file.clone()).expect("a file");
    let tags =
        ["title", "artist", "album"].map(|name| tag(&demuxer, name).unwrap_or_default().to_owned());
    assert_eq!(tags, ["Na", "Me", "Al"]);
    assert_eq!(demuxer.duration(), Some(1_000_125));
    // A stream does not wait for what stands behind.
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(file));
    feed.finish();
    let streamed = open(Arc::new(source)).expect("a stream");
    assert_eq!(
        (streamed.tags().len(), streamed.duration()),
        (0, Some(1_000_125))
    );
    assert_eq!(packets(&streamed, 0).expect("packets").len(), 4);
}

#[test]
fn data_of_unknown_size_go_to_the_end_and_cut_off_data_as_far_as_they_are() {
    let format = chunk(b"fmt ", &wave_format(1, 1, 8000, 16));
    let data = |size: u32, bytes: usize| {
        let mut file = riff(std::slice::from_ref(&format));
        file.extend(b"data");
        file.extend(size.to_le_bytes());
        file.resize(file.len() + bytes, 7);
        file
    };
    for (size, bytes) in [(0, 9001), (u32::MAX, 9001), (20_000, 9001), (9000, 9000)] {
        let demuxer = open_bytes(data(size, bytes)).expect("a file");
        assert_eq!(demuxer.duration(), Some(562_500), "size {size}");
        let all = packets(&demuxer, 0).expect("packets");
        assert_eq!(
            all.iter().map(|p| p.chunk.data.len()).sum::<usize>(),
            9000,
            "size {size}"
        );
    }
    // RF64: the size stands in ds64.
    let mut ds64 = vec![0; 28];
    ds64[8..16].copy_from_slice(&4000_u64.to_le_bytes());
    let mut file = b"RF64\xff\xff\xff\xffWAVE".to_vec();
    file.extend(chunk(b"ds64", &ds64));
    file.extend(&format);
    file.extend(b"data\xff\xff\xff\xff");
    file.extend([1; 4000]);
    file.extend(chunk(
        b"LIST",
        &[b"INFO".to_vec(), chunk(b"ICMT", b"behind")].concat(),
    ));
    let demuxer = open_bytes(file).expect("a file");
    assert_eq!(
        (demuxer.duration(), tag(&demuxer, "comment")),
        (Some(250_000), Some("behind"))
    );
}

#[test]
fn a_wav_of_another_codec_lasts_as_long_as_its_count_of_samples_says() {
    // ADPCM: 256 bytes a block with 505 samples, and a byte rate that is wrong.
    let mut adpcm = wave_format(0x11, 1, 48_000, 4);
    adpcm[12..14].copy_from_slice(&256_u16.to_le_bytes());
    adpcm.extend([2, 0, 0xf9, 1]);
    let (format, data) = (chunk(b"fmt ", &adpcm), chunk(b"data", &[7; 256 * 96]));
    let fact = |count: u32| chunk(b"fact", &count.to_le_bytes());
    let duration = |file: Vec<u8>| open_bytes(file).expect("a file").duration();
    let counted = riff(&[format.clone(), fact(48_000), data.clone()]);
    assert_eq!(duration(counted.clone()), Some(1_000_000));
    // Without a count that is one: by blocks.
    for rest in [Vec::new(), fact(0), fact(u32::MAX), chunk(b"fact", b"no")] {
        let file = riff(&[format.clone(), rest, data.clone()]);
        assert_eq!(duration(file), Some(1_010_000));
    }
    // Cut off in the middle, there is as much less.
    assert_eq!(
        duration(counted[..counted.len() - 128 * 96].to_vec()),
        Some(500_000)
    );
    // Packets are as far apart as that.
    let all = read(counted);
    let end = all.last().map_or(0, |last| {
        last.chunk.timestamp as u64 + last.chunk.duration.expect("a duration")
    });
    assert!(end.abs_diff(1_000_000) < 100, "{end}");
    // FLAC, whose frames are not alike.
    let flac = chunk(b"fmt ", &wave_format(0xf1ac, 1, 48_000, 16));
    let file = riff(&[flac, fact(57_600), chunk(b"data", &[1; 15_795])]);
    assert_eq!(duration(file), Some(1_200_000));
    // What samples of one size count is told by their bytes alone.
    let pcm = chunk(b"fmt ", &wave_format(3, 1, 48_000, 64));
    let file = riff(&[pcm, fact(7), chunk(b"data", &[0; 8 * 4800])]);
    assert_eq!(duration(file), Some(100_000));
}

#[test]
fn what_is_wrong_in_a_wav_is_said_with_its_place() {
    let format = wave_format(1, 2, 8000, 16);
    let data = chunk(b"data", &[0; 8]);
    let mut block = format.clone();
    block[12] = 3;
    let mut rate = format.clone();
    rate[4..8].fill(0);
    for (file, want) in [
        (
            riff(std::slice::from_ref(&data)),
            "before the data, found \"data\" at byte 12",
        ),
        (
            riff(&[chunk(b"fmt ", &format)]),
            "expected a chunk \"data\", found none at byte 12",
        ),
        (
            riff(&[chunk(b"fmt ", &format[..9]), data.clone()]),
            "found 9 at byte 20",
        ),
        (
            riff(&[chunk(b"fmt ", &block), data.clone()]),
            "in 4 bytes, found 3 at byte 32",
        ),
        (
            riff(&[chunk(b"fmt ", &rate), data.clone()]),
            "above 0, found 0 at byte 24",
        ),
    ] {
        let error = open_bytes(file)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.ends_with(want), "{error}");
    }
}

// MP3

#[test]
fn lame_delay_and_padding_are_dropped_and_its_frame_is_not_delivered() {
    let frames: Vec<u8> = (0..10).flat_map(|mark| mp3(0, mark)).collect();
    let file = [xing(10, Some((576, 1829))), frames.clone()].concat();
    let demuxer = open_bytes(file).expect("a file");
    let all = packets(&demuxer, 0).expect("packets");
    assert_eq!((all.len(), all[0].offset), (10, 417));
    assert_eq!(all[0].chunk.timestamp, -25_057, "576 + 529 samples");
    let side = |index: usize| all[index].chunk.side.clone().unwrap_or_default();
    assert_eq!(side(0).discard_start.as_nanos(), 25_056_689);
    // 1829 - 529 = 1300 samples: the last frame, and 148 of the one before.
    assert!(!all[9].presented);
    assert_eq!(side(8).discard_end.as_nanos(), 3_356_009);
    assert_eq!(
        demuxer.duration(),
        Some((11_520 - 1105 - 1300) * 1_000_000 / 44_100)
    );
    assert_eq!(demuxer.tracks()[0].samples, Some(10));
    // Xing without LAME tells the length alone.
    let demuxer = open_bytes([xing(10, None), frames.clone()].concat()).expect("a file");
    let all = packets(&demuxer, 0).expect("packets");
    assert_eq!(
        (all.len(), all[0].chunk.timestamp, &all[0].chunk.side),
        (10, 0, &None)
    );
    // Fraunhofer's header.
    let mut vbri = mp3(0, 0);
    vbri[36..46].copy_from_slice(b"VBRI\0\x01\0\0\0\0");
    vbri[50..54].copy_from_slice(&25_u32.to_be_bytes());
    let demuxer = open_bytes([vbri, frames].concat()).expect("a file");
    assert_eq!(demuxer.duration(), Some(653_061), "25 frames");
    assert_eq!(packets(&demuxer, 0).expect("packets").len(), 10);
}

#[test]
fn tags_before_and_behind_the_sound_are_no_sound() {
    let frames: Vec<u8> = (0..8).flat_map(|mark| mp3(0, mark)).collect();
    // Unsynchronised, with 0xff 0x00 in a picture that is longer than what a probe sees; then another one.
    let mut picture = vec![0xff, 0x00, 0xff, 0xfb];
    picture.resize(40_000, 0x11);
    let body = [
        id3_frame(b"APIC", &picture),
        id3_frame(b"TIT2", b"\x01\xff\xfeT\0"),
    ];
    let mut stuffed = Vec::new();
    for byte in body.concat() {
        if stuffed.last() == Some(&0xff) && (byte == 0 || byte >= 0xe0) {
            stuffed.push(0);
        }
        stuffed.push(byte);
    }
    let first = id3(3, 0x80, &stuffed);
    let second = id3(
        4,
        0,
        &[id3_frame(b"APIC", &[0; 100]), vec![0; 9000]].concat(),
    );
    let file = [
        first,
        second,
        frames.clone(),
        ape("Artist", "Ape"),
        id3v1("Old"),
    ]
    .concat();
    let demuxer = open_bytes(file).expect("a file");
    assert_eq!(demuxer.container(), "mp3");
    assert_eq!(tag(&demuxer, "artist"), Some("Ape"));
    assert_eq!(
        (tag(&demuxer, "title"), tag(&demuxer, "genre")),
        (Some("T"), Some("Rock"))
    );
    let all = packets(&demuxer, 0).expect("packets");
    assert_eq!(all.len(), 8);
    assert_eq!(demuxer.duration(), Some(208_980));
    // What stands between frames is passed over: other bytes, another song's tag, a cut-off frame at the end.
    let between = [
        frames.clone(),
        vec![0xaa; 700],
        frames.clone(),
        id3(3, 0, &[0; 500]),
        frames.clone(),
        mp3(0, 9)[..300].to_vec(),
    ];
    assert_eq!(read(between.concat()).len(), 24);
}

#[test]
fn free_format_is_refused_and_few_frames_suffice() {
    let mut free = mp3(0, 0);
    free[2] = 0x04;
    let error = open_bytes([id3(3, 0, &[0; 20]), free.repeat(6)].concat())
        .err()
        .map(|e| e.to_string());
    assert!(
        error
            .as_deref()
            .is_some_and(|e| e.starts_with("not supported: MPEG audio in free format, at byte 30")),
        "{error:?}"
    );
    assert_eq!(read(mp3(0, 1)).len(), 1, "a file of one frame");
    assert_eq!(read([mp3(0, 1), mp3(0, 2)].concat()).len(), 2);
}

#[test]
fn a_seek_in_mp3_leads_in_with_the_bit_reservoir() {
    // Frames carry 381 bytes of main data: 511 bytes back is in the second frame before.
    let file: Vec<u8> = (0..100).flat_map(|mark| mp3(511, mark)).collect();
    let demuxer = open_bytes(file).expect("a file");
    let mut reader = demuxer.reader(0).expect("a reader");
    assert_eq!(reader.seek(1_000_000).expect("seek"), Some(992_653));
    let lead: Vec<_> = std::iter::from_fn(|| reader.next_sample().expect("a packet"))
        .take(5)
        .collect();
    let found: Vec<_> = lead
        .iter()
        .map(|packet| (packet.chunk.data[6], packet.presented))
        .collect();
    assert_eq!(
        found,
        [
            (35, false),
            (36, false),
            (37, false),
            (38, true),
            (39, true)
        ]
    );
}

// ADTS

#[test]
fn adts_frames_of_several_blocks_last_longer() {
    let frames = [
        adts(&[1; 100], 1, false),
        adts(&[2; 200], 3, true),
        adts(&[3; 50], 1, true),
    ];
    let file = [
        id3(4, 0, &id3_frame(b"TIT2", b"\x03T")),
        frames.concat(),
        adts(&[4; 90], 1, false)[..60].to_vec(),
    ];
    let demuxer = open_bytes(file.concat()).expect("a file");
    assert_eq!(
        (demuxer.container(), tag(&demuxer, "title")),
        ("adts", Some("T"))
    );
    let track = &demuxer.tracks()[0];
    assert_eq!(
        (track.codec.as_deref(), &track.description),
        (Some("mp4a.40.2"), &None)
    );
    let all = packets(&demuxer, 0).expect("packets");
    assert_eq!(times(&all), [0, 23_220, 92_880], "the last one is cut off");
    assert_eq!(all[1].chunk.data, frames[1]);
    assert_eq!(demuxer.duration(), Some(116_100));
}

#[test]
fn frames_shorter_than_a_tag_are_given_before_the_next_one_comes() {
    // 11 bytes each, as encoders write silence.
    let frame = adts(&[7; 4], 1, false);
    assert_eq!(frame.len(), 11);
    let source = support::Arriving::new(frame.repeat(500), 4400);
    let demuxer = reelcore_containers::open(source.clone()).expect("a stream");
    let mut reader = demuxer.reader(0).expect("a reader");
    for count in 1..=500 {
        source.arrive((11 * count).max(4400));
        assert!(reader.next_sample().expect("a frame").is_some(), "{count}");
    }
    assert_eq!(source.waits(), 0);
}
