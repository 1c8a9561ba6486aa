//! Matroska from packets that are made by hand: tracks, times, Clusters, misuse.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use bytes::Bytes;
use muxed::{audio, ffprobe, open_bytes, packet, save, tracks, video};
use reelcore_containers::matroska::MatroskaMuxer;
use reelcore_containers::mux::{MemorySink, create};
use reelcore_media::demux::TrackKind;
use reelcore_media::mux::{MuxError, MuxOptions, Muxer, OutputKind, OutputPacket};
use reelcore_media::{ChunkKind, ColorSpace, EncodedChunk, Rotation, Size};

#[test]
fn what_tracks_say_of_pictures_and_the_presentation_is_read_back() {
    let options = MuxOptions {
        tags: vec![
            ("title".into(), "A Title".into()),
            ("artist".into(), "Somebody".into()),
            ("track".into(), "3".into()),
        ],
        ..MuxOptions::default()
    };
    for rotation in [Rotation::R0, Rotation::R90, Rotation::R180, Rotation::R270] {
        for flip in [false, true] {
            let mut sink = MemorySink::default();
            let mut muxer = MatroskaMuxer::matroska(options.clone());
            let mut track = video("vp09.02.10.10.01.09.16.09.00", 720, 576);
            track.language = Some("deu".into());
            track.name = Some("Main".into());
            track.kind = OutputKind::Video {
                coded_size: Size::new(720, 576),
                display_aspect: Some(Size::new(16, 9)),
                rotation,
                flip,
                color_space: ColorSpace::from_code_points(9, 16, 9, false),
                framerate: Some(25.0),
                alpha: false,
            };
            muxer.add_track(track).expect("a track");
            let mut other = audio("pcm-s16", 8000, 1);
            other.language = Some("pt-BR".into());
            muxer.add_track(other).expect("a track");
            let key = packet(ChunkKind::Key, 0, 40_000, vec![1; 10]);
            muxer.write(0, key, &mut sink).expect("written");
            let sound = packet(ChunkKind::Key, 0, 40_000, vec![1; 640]);
            muxer.write(1, sound, &mut sink).expect("written");
            muxer.finish(&mut sink).expect("finished");
            let bytes = sink.into_bytes();
            let demuxer = open_bytes(bytes.clone());
            let tracks = demuxer.tracks();
            assert_eq!(
                tracks[0].kind,
                TrackKind::Video {
                    coded_size: Size::new(720, 576),
                    display_aspect: Size::new(1024, 576),
                    aspect_of_stream: false,
                    rotation,
                    flip,
                    color_space: ColorSpace::from_code_points(9, 16, 9, false),
                }
            );
            assert_eq!(
                tracks[0].codec.as_deref(),
                Some("vp09.02.10.10.01.09.16.09.00")
            );
            assert_eq!(tracks[0].language.as_deref(), Some("deu"));
            assert_eq!(tracks[1].language.as_deref(), Some("pt-BR"));
            for (name, value) in &options.tags {
                let found = demuxer.tags().iter().find(|(known, _)| known == name);
                assert_eq!(found.map(|(_, value)| value), Some(value));
            }
        }
    }
}

#[test]
fn a_finer_scale_keeps_every_microsecond() {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::matroska(MuxOptions::default()).with_timestamp_scale(1000);
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    let time = |index: i64| (index * 1_001_000 + 15_000) / 30_000 * 1000 / 1000 + index * 33_333;
    for index in 0..60 {
        let kind = if index % 30 == 0 {
            ChunkKind::Key
        } else {
            ChunkKind::Delta
        };
        let length = (time(index + 1) - time(index)) as u64;
        let out = packet(kind, time(index), length, vec![1; 20]);
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let got = tracks(&open_bytes(bytes.clone()));
    for (index, packet) in (0..).zip(&got[0].1) {
        assert_eq!(packet.chunk.timestamp, time(index));
        let length = (time(index + 1) - time(index)) as u64;
        assert_eq!(packet.chunk.duration, Some(length), "{index}");
    }
    ffprobe(&save("fine.mkv", &bytes));
}

#[test]
fn times_below_zero_move_the_whole_file() {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::webm(MuxOptions::default());
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    for index in 0..4 {
        for (track, first) in [(0, 0), (1, -80_000)] {
            let kind = if index == 0 {
                ChunkKind::Key
            } else {
                ChunkKind::Delta
            };
            let out = packet(kind, first + index * 40_000, 40_000, vec![1; 20]);
            muxer.write(track, out, &mut sink).expect("written");
        }
    }
    muxer.finish(&mut sink).expect("finished");
    let got = tracks(&open_bytes(sink.into_bytes()));
    assert_eq!(got[0].1[0].chunk.timestamp, 80_000);
    assert_eq!(got[1].1[0].chunk.timestamp, 0);
}

/// The Timestamps of all Clusters: what no data of these tests looks like.
fn cluster_times(file: &[u8]) -> Vec<u64> {
    let at = |at: usize| {
        let rest = file.get(at..)?.strip_prefix(&[0x1f, 0x43, 0xb6, 0x75])?;
        let size = rest.first()?.leading_zeros() as usize + 1;
        let rest = rest.get(size..)?.strip_prefix(&[0xe7])?;
        let size = usize::from(*rest.first()? & 0x7f);
        let time = rest.get(1..)?.get(..size)?;
        Some(
            time.iter()
                .fold(0, |time, &byte| time << 8 | u64::from(byte)),
        )
    };
    (0..file.len()).filter_map(at).collect()
}

/// Pictures in groups of four in decode order (the last, the middle one, the others), with their decode times in frames.
fn reordered(frame: impl Fn(i64) -> i64, frames: i64) -> Vec<(i64, i64)> {
    let shown = std::iter::once(0).chain((0..frames / 4).flat_map(|group| {
        let first = group * 4;
        [first + 4, first + 2, first + 1, first + 3]
    }));
    let decoded = |index: i64| frame(index) - 2 * (frame(1) - frame(0));
    shown
        .zip(0..)
        .map(|(shown, index)| (frame(shown), decoded(index).min(frame(shown))))
        .collect()
}

#[test]
fn pictures_far_out_of_order_do_not_make_clusters_go_back() {
    let even = |micros: i64| move |frame: i64| frame * micros;
    // Every twentieth frame lasts a second.
    let uneven = |frame: i64| frame * 40_000 + frame / 20 * 960_000;
    let cases = [
        ("25", false, reordered(even(40_000), 100)),
        ("5", false, reordered(even(200_000), 100)),
        ("1", false, reordered(even(1_000_000), 40)),
        ("uneven", false, reordered(uneven, 100)),
        ("webm", true, reordered(even(20_000_000), 20)),
    ];
    for (name, webm, pictures) in cases {
        for (live, given) in [(false, true), (false, false), (true, true)] {
            let options = MuxOptions {
                live,
                ..MuxOptions::default()
            };
            let codec = if given { "vp8" } else { "avc1.640028" };
            // Decode times are found for these codecs alone, from 33 pictures: no other track waits so long for slower ones.
            if (webm || name == "1") && !given {
                continue;
            }
            let mut sink = MemorySink::default();
            let mut muxer = match webm {
                true => MatroskaMuxer::webm(options),
                false => MatroskaMuxer::matroska(options),
            };
            let mut output = video(codec, 64, 48);
            if !given {
                let avcc = b"\x01\x64\0\x28\xff\xe1\0\x04\x67\x64\0\x28\x01\0\x02\x68\xee";
                output.description = Some(Bytes::from_static(avcc));
            }
            muxer.add_track(output).expect("a track");
            // WebM has no uncompressed sound; pictures that all stand alone do as well.
            let (other, other_size) = match webm {
                true => (video("vp8", 64, 48), 30),
                false => (audio("pcm-s16", 48_000, 1), 1920),
            };
            muxer.add_track(other).expect("a track");
            let end = pictures.iter().map(|picture| picture.0).max().unwrap_or(0);
            let sounds = (0..end / 20_000).map(|index| index * 20_000);
            let mut all: Vec<(i64, Option<i64>)> = sounds.map(|time| (time, None)).collect();
            all.extend(
                pictures
                    .iter()
                    .map(|&(time, decoded)| (time, Some(decoded))),
            );
            all.sort_by_key(|&(time, decoded)| decoded.unwrap_or(time));
            for (time, decoded) in all {
                let (track, size) = match decoded {
                    Some(_) => (0, 30),
                    None => (1, other_size),
                };
                let kind = match time {
                    0 => ChunkKind::Key,
                    _ if track == 0 => ChunkKind::Delta,
                    _ => ChunkKind::Key,
                };
                let mut data = vec![1; size];
                data[..4].copy_from_slice(&[0, 0, 0, 26]);
                let mut out = packet(kind, time, 20_000, data);
                out.decode_time = if given { decoded } else { None };
                muxer.write(track, out, &mut sink).expect("written");
            }
            muxer.finish(&mut sink).expect("finished");
            let bytes = sink.into_bytes();
            let clusters = cluster_times(&bytes);
            let what = format!("{name} live {live} given {given}");
            assert!(clusters.len() > 1, "{what}: {clusters:?}");
            // With decode times given, only the first pictures are looked at: what comes later may lie further apart. It is
            // read and sought all the same.
            let foreseen = name != "uneven" || !given;
            assert!(clusters.is_sorted() || !foreseen, "{what}: {clusters:?}");
            let demuxer = open_bytes(bytes);
            let got = tracks(&demuxer);
            let mut reader = demuxer.reader(1).expect("a reader");
            for (packet, (want, _)) in got[0].1.iter().zip(&pictures) {
                let off = packet.chunk.timestamp - want;
                assert!(off.abs() <= 500, "{what}: {want} {off}");
            }
            for target in [end / 3, end / 2 + 10_000, end - 40_000] {
                let found = reader.seek(target).expect("valid").expect("sound");
                let late = target - found;
                assert!((-500..20_500).contains(&late), "{what}: {target} {found}");
            }
        }
    }
}

/// The blocks of each Cluster: their track, and whether they say how long they last.
fn blocks(file: &[u8]) -> Vec<Vec<(u8, bool)>> {
    /// The ID of an element, and its data; the rest.
    fn element(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
        let id = bytes.first()?.leading_zeros() as usize + 1;
        let size = bytes.get(id)?.leading_zeros() as usize + 1;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let length = number(&bytes[id..id + size]) & ((1 << (7 * size)) - 1);
        let (data, rest) = bytes[id + size..].split_at(length as usize);
        Some((number(&bytes[..id]) as u32, data, rest))
    }
    fn children(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        let mut all = Vec::new();
        while let Some((id, data, rest)) = element(bytes) {
            all.push((id, data));
            bytes = rest;
        }
        all
    }
    let segment = children(file)[1].1;
    let clusters = children(segment)
        .into_iter()
        .filter(|(id, _)| *id == 0x1f43_b675);
    clusters
        .map(|(_, cluster)| {
            let blocks = children(cluster)
                .into_iter()
                .filter_map(|(id, data)| match id {
                    0xa3 => Some((data[0] & 0x7f, false)),
                    0xa0 => {
                        let parts = children(data);
                        let said = parts.iter().any(|(id, _)| *id == 0x9b);
                        Some((parts[0].1[0] & 0x7f, said))
                    }
                    _ => None,
                });
            blocks.collect()
        })
        .collect()
}

#[test]
fn the_last_picture_of_each_cluster_says_how_long_it_lasts() {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::webm(MuxOptions::default());
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    for index in 0..400_i64 {
        for track in [0, 1] {
            // Clusters begin at key pictures of the first track, and after five seconds.
            let kind = match index {
                0 | 60 => ChunkKind::Key,
                _ => ChunkKind::Delta,
            };
            let out = packet(kind, index * 40_000, 40_000, vec![1; 20]);
            muxer.write(track, out, &mut sink).expect("written");
        }
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let clusters = blocks(&bytes);
    assert_eq!(clusters.len(), 4, "2.4 s, 5 s, 5 s and what is left");
    for cluster in &clusters {
        for track in [1, 2] {
            let said: Vec<bool> = cluster
                .iter()
                .filter(|(of, _)| *of == track)
                .map(|(_, said)| *said)
                .collect();
            let (last, others) = said.split_last().expect("blocks");
            assert!(last, "of track {track}");
            assert!(
                !others.contains(&true),
                "the next block tells the others of track {track}"
            );
        }
    }
    for (_, packets) in tracks(&open_bytes(bytes.clone())) {
        assert_eq!(packets.len(), 400);
        assert!(
            packets
                .iter()
                .all(|packet| packet.chunk.duration == Some(40_000))
        );
    }
    ffprobe(&save("durations.webm", &bytes));
}

fn refused(result: Result<impl Sized, MuxError>, want: &str) {
    match result {
        Ok(_) => panic!("expected an error with {want:?}"),
        Err(error) => assert!(error.to_string().contains(want), "{error}"),
    }
}

#[test]
fn misuse_is_refused_with_the_reason() {
    let webm = || create("webm", &MuxOptions::default()).expect("a muxer");
    let mkv = || create("matroska", &MuxOptions::default()).expect("a muxer");
    refused(
        webm().add_track(video("avc1.42c00c", 64, 48)),
        "avc1.42c00c",
    );
    refused(webm().add_track(audio("mp4a.40.2", 48_000, 2)), "WebM");
    refused(mkv().add_track(video("nothing", 64, 48)), "nothing");
    refused(mkv().add_track(video("vp8", 0, 48)), "0x48");
    refused(
        mkv().add_track(audio("vorbis", 48_000, 2)),
        "headers of Vorbis",
    );
    refused(mkv().add_track(audio("flac", 48_000, 2)), "STREAMINFO");
    refused(mkv().add_track(audio("opus", 48_000, 6)), "6 channels");
    let mut sink = MemorySink::default();
    refused(mkv().finish(&mut sink), "expected a track");
    let key = |time| packet(ChunkKind::Key, time, 40_000, vec![1; 20]);
    let mut muxer = mkv();
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    refused(muxer.write(1, key(0), &mut sink), "below 1");
    muxer.write(0, key(0), &mut sink).expect("written");
    refused(
        muxer.add_track(video("vp8", 64, 48)),
        "after the first packet",
    );
    refused(muxer.write(0, key(-1_000_000), &mut sink), "decode time");
    refused(muxer.write(0, key(80_000), &mut sink), "failed before");
    let mut muxer = mkv();
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    let mut sink = MemorySink::default();
    muxer.write(0, key(0), &mut sink).expect("written");
    muxer.end_track(0, &mut sink).expect("ended");
    refused(muxer.write(0, key(40_000), &mut sink), "has ended");
    muxer.finish(&mut sink).expect("finished");
    refused(muxer.finish(&mut sink), "finished");
    let mut muxer = mkv();
    muxer
        .add_track(video("avc1.42c00c", 64, 48))
        .expect("a track");
    refused(muxer.write(0, key(0), &mut MemorySink::default()), "");
    let mut muxer = mkv();
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    refused(
        muxer.write(
            0,
            OutputPacket::new(EncodedChunk::new(ChunkKind::Key, 0, Bytes::new())),
            &mut sink,
        ),
        "empty",
    );
    refused(
        {
            let mut muxer = mkv();
            muxer.add_track(video("vp8", 64, 48)).expect("a track");
            muxer.write(0, key(i64::MAX), &mut sink)
        },
        "times up to",
    );
    refused(create("mkv", &MuxOptions::default()), "mkv");
}
