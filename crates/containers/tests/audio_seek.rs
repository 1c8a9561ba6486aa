//! Seeking, chains and side by side reading of Ogg, WAV, FLAC, MP3 and ADTS: files that ffmpeg makes.

#[path = "support/clips.rs"]
mod made;
#[path = "support/audio_clips.rs"]
mod shared;
mod support;
#[path = "support/survival.rs"]
mod survival;

use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, ffprobe, md5};
use reelcore_containers::{FileSource, open};
use shared::*;
use support::{open_bytes, packets};
use survival::Random;

#[test]
fn a_seek_finds_what_reading_from_the_start_finds() {
    let mut random = Random(0x5eed_0f5e);
    for clip in &CLIPS {
        let path = make(clip);
        let bytes = Bytes::from(std::fs::read(&path).expect(clip.name));
        let demuxer = open_bytes(bytes.to_vec()).expect(clip.name);
        let all = packets(&demuxer, 0).expect(clip.name);
        let end = all[all.len() - 1].chunk.timestamp;
        let mut times = vec![i64::MIN, -1, 0, end, i64::MAX, all[1].chunk.timestamp];
        times.extend((0..40).map(|_| random.below(end as usize + 1) as i64));
        times.extend(
            all.iter()
                .step_by(all.len() / 10 + 1)
                .map(|packet| packet.chunk.timestamp),
        );
        check_seek(&demuxer, 0, &all, &times, clip.name);
        let file = open(Arc::new(FileSource::open(&path).expect(clip.name))).expect(clip.name);
        check_seek(&file, 0, &all, &times, &format!("{} as a file", clip.name));
        // A stream goes forward.
        times.sort_unstable();
        let stream = streamed(&bytes);
        let mut reader = Arc::clone(&stream).reader(0).expect(clip.name);
        for time in times {
            let at = all
                .iter()
                .rposition(|packet| packet.chunk.timestamp <= time)
                .unwrap_or(0);
            let found = reader.seek(time).expect(clip.name);
            assert_eq!(
                found,
                Some(all[at].chunk.timestamp),
                "{} as a stream, {time}",
                clip.name
            );
        }
    }
}

#[test]
fn streams_side_by_side_are_read_and_sought_each_for_itself() {
    let path = ffmpeg(
        "two.ogg",
        &[
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=d=20:r=48000:c=pink:a=0.3:seed=1",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=d=21:r=44100:c=pink:a=0.3:seed=2",
            "-map",
            "0",
            "-map",
            "1",
            "-c:a:0",
            "libopus",
            "-b:a:0",
            "160k",
            "-c:a:1",
            "libvorbis",
            "-q:a:1",
            "8",
        ],
    );
    let demuxer = open(Arc::new(FileSource::open(&path).expect("the clip"))).expect("two streams");
    let codecs: Vec<_> = demuxer
        .tracks()
        .iter()
        .map(|track| track.codec.clone())
        .collect();
    assert_eq!(codecs, [Some("opus".to_owned()), Some("vorbis".to_owned())]);
    assert_eq!(demuxer.tracks()[0].duration, Some(20_000_000));
    assert_eq!(demuxer.tracks()[1].duration, Some(21_000_000));
    let probed = ffprobe(&path, 2);
    for track in 0..2 {
        let all = packets(&demuxer, track).expect("packets");
        let hashes: Vec<_> = all.iter().map(|packet| md5(&packet.chunk.data)).collect();
        let want: Vec<_> = probed[track]
            .iter()
            .map(|probed| probed.data_hash.clone())
            .collect();
        assert_eq!(hashes, want);
        let times: Vec<i64> = (0..40).map(|step| step * 523_456).collect();
        check_seek(&demuxer, track, &all, &times, "two.ogg");
    }
}

#[test]
fn chained_streams_go_on_on_the_time_line() {
    for (name, args) in [
        ("opus", "-c:a libopus -b:a 200k"),
        ("vorbis", "-c:a libvorbis -q:a 7"),
        ("flac", "-c:a flac"),
    ] {
        let part = |seconds: &str, serial: &str| {
            let input = format!("anoisesrc=d={seconds}:r=48000:c=pink:a=0.3:seed=3");
            let mut all = vec!["-f", "lavfi", "-i", &input];
            all.extend(args.split_whitespace());
            all.extend(["-serial_offset", serial, "-f", "ogg"]);
            std::fs::read(ffmpeg(&format!("chain-{name}-{serial}"), &all)).expect("a link")
        };
        let links = [part("3.1", "10"), part("2.7", "20"), part("0.02", "30")];
        let singles: Vec<_> = links
            .iter()
            .map(|link| packets(&open_bytes(link.clone()).expect(name), 0).expect(name))
            .collect();
        let chain = open_bytes(links.concat()).expect(name);
        assert_eq!(chain.duration(), Some(5_820_000), "{name}");
        let all = packets(&chain, 0).expect(name);
        let whole: i64 = all.iter().map(|packet| heard(packet, 48_000)).sum();
        assert_eq!(whole, 5_820 * 48, "{name}");
        let mut shift = 0;
        let mut rest = &all[..];
        for (single, length) in singles.iter().zip([3_100_000, 2_700_000, 20_000]) {
            let (link, after) = rest.split_at(single.len());
            rest = after;
            for (have, want) in link.iter().zip(single) {
                assert_eq!(have.chunk.data, want.chunk.data, "{name}");
                assert!(
                    (have.chunk.timestamp - shift - want.chunk.timestamp).abs() <= 1,
                    "{name}"
                );
                assert_eq!(have.chunk.side, want.chunk.side, "{name}");
            }
            shift += length;
        }
        assert_eq!(rest, [], "{name}");
        let mut reader = Arc::clone(&chain).reader(0).expect(name);
        for time in [4_000_000, 1_000_000, 5_700_000, 3_500_000] {
            let found = reader.seek(time).expect(name).expect(name);
            let want = all
                .iter()
                .filter(|packet| packet.chunk.timestamp <= time)
                .map(|packet| packet.chunk.timestamp);
            assert_eq!(Some(found), want.max(), "{name}");
        }
        // With another rate nothing can go on.
        let other = ffmpeg(
            &format!("other-{name}.ogg"),
            &[
                "-f",
                "lavfi",
                "-i",
                "sine=d=1:r=16000",
                "-c:a",
                if name == "vorbis" {
                    "libopus"
                } else {
                    "libvorbis"
                },
            ],
        );
        let other = [links[0].clone(), std::fs::read(other).expect("a link")].concat();
        let error = packets(&open_bytes(other).expect(name), 0)
            .expect_err(name)
            .to_string();
        let want = format!(
            "not supported: a chained stream without {name} of the same parameters, at byte {}",
            links[0].len()
        );
        assert_eq!(error, want);
    }
}

/// Where the frames of a FLAC file begin.
fn flac_start(bytes: &[u8]) -> usize {
    let mut at = 4;
    loop {
        let size = u32::from_be_bytes([0, bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let last = bytes[at] & 0x80 != 0;
        at += 4 + size as usize;
        if last {
            return at;
        }
    }
}

#[test]
fn flac_is_found_between_tags_and_sought_whatever_its_seek_table_says() {
    let bytes = std::fs::read(make(&CLIPS[10])).expect("the clip");
    let start = flac_start(&bytes);
    let want = packets(&open_bytes(bytes.clone()).expect("a file"), 0).expect("packets");
    let id3 = b"ID3\x04\0\0\0\0\0\x0cTPE2\0\0\0\x02\0\0\0X".to_vec();
    let mut v1 = b"TAGOld".to_vec();
    v1.resize(128, 0);
    let with_table = |points: &[(u64, u64)]| {
        let mut table = vec![3];
        table.extend(&((points.len() * 18) as u32).to_be_bytes()[1..]);
        for (sample, offset) in points {
            table.extend(sample.to_be_bytes());
            table.extend(offset.to_be_bytes());
            table.extend(4096_u16.to_be_bytes());
        }
        let mut picture = vec![6, 0, 0x80, 0];
        picture.resize(4 + 0x8000, 9);
        [&bytes[..42], &table, &picture, &bytes[42..]].concat()
    };
    let block = u64::from(u16::from_be_bytes([bytes[10], bytes[11]]));
    let right: Vec<(u64, u64)> = (0..want.len())
        .step_by(20)
        .map(|n| (n as u64 * block, want[n].offset - start as u64))
        .collect();
    let changed = |change: &dyn Fn(u64, u64) -> (u64, u64)| -> Vec<(u64, u64)> {
        right
            .iter()
            .map(|(sample, offset)| change(*sample, *offset))
            .collect()
    };
    let lies = changed(&|sample, offset| (sample, offset + 3));
    let late = changed(&|sample, offset| (sample / 7, offset));
    let far = [(0, 0), (5000, u64::MAX - 5)];
    let times: Vec<i64> = (0..40).map(|step| step * 511_111).collect();
    for points in [&right[..], &lies, &late, &far, &[(u64::MAX, 0)], &[]] {
        let file = [id3.clone(), with_table(points), v1.clone()].concat();
        let demuxer = open_bytes(file).expect("a file");
        let tags: Vec<&str> = demuxer
            .tags()
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(
            tags.contains(&"One") && tags.contains(&"X") && !tags.contains(&"Old"),
            "{tags:?}"
        );
        let all = packets(&demuxer, 0).expect("packets");
        let same = all
            .iter()
            .zip(&want)
            .all(|(have, want)| have.chunk == want.chunk);
        assert!(same && all.len() == want.len());
        check_seek(&demuxer, 0, &all, &times, "with tags and a seek table");
    }
}

#[test]
fn flac_of_unknown_length_is_measured_and_a_damaged_frame_is_told() {
    let bytes = std::fs::read(make(&CLIPS[10])).expect("the clip");
    let whole = open_bytes(bytes.clone()).expect("a file");
    let all = packets(&whole, 0).expect("packets");
    let mut unknown = bytes.clone();
    unknown[8 + 13] &= 0xf0;
    unknown[8 + 14..8 + 18].fill(0);
    let demuxer = open_bytes(unknown).expect("a file");
    assert_eq!(demuxer.duration(), whole.duration());
    for (at, what) in [(40, "a damaged frame"), (0, "a damaged header")] {
        let mut damaged = bytes.clone();
        let place = all[50].offset;
        damaged[place as usize + at] ^= 0x10;
        let demuxer = open_bytes(damaged).expect("a file");
        let mut reader = demuxer.reader(0).expect("a reader");
        let mut count = 0;
        let error = loop {
            match reader.next_sample() {
                Ok(packet) => count += usize::from(packet.is_some()),
                Err(error) => break error.to_string(),
            }
        };
        // Where the header is damaged, the frame before it ends nowhere.
        let index = if at == 0 { 49 } else { 50 };
        assert_eq!(count, index, "{what}");
        let end = format!("at byte {}", all[index].offset);
        assert!(error.ends_with(&end), "{what}: {error}");
    }
    let cut = open_bytes(bytes[..bytes.len() - 10].to_vec()).expect("a file");
    let error = packets(&cut, 0)
        .expect_err("the last frame is cut off")
        .to_string();
    assert!(error.contains("cut off or damaged at byte"), "{error}");
}
