//! Tracks of transport streams that go over to another codec under their PID, or to another PID, and back.

#[path = "support/clips.rs"]
mod made;
mod support;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, ffprobe};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, Packet, PacketReader, Track, TrackConfig, TrackKind};
use support::{open_bytes, packets};

/// Long enough for seeking to bisect.
const SECONDS: i64 = 5;

/// A packet as it is in its part alone, with the time that the command gives it, in ticks.
#[derive(Clone)]
struct Expected {
    data: Bytes,
    key: bool,
    pts: i64,
}

/// A file, and the packets of its tracks.
struct Part {
    bytes: Vec<u8>,
    tracks: Vec<Vec<Expected>>,
}

/// A file of `SECONDS`, whose times begin at the `index`-th multiple of that.
fn file(index: i64, codecs: &str, more: &str) -> PathBuf {
    let name = format!("part-{index}.ts");
    let pictures = format!("testsrc2=size=320x240:rate=25:duration={SECONDS}");
    let sound = format!("sine=440:sample_rate=44100:duration={SECONDS}");
    let offset = (index * SECONDS).to_string();
    let mut args = vec!["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound];
    args.extend(codecs.split(' '));
    args.extend(["-g", "20", "-threads", "1", "-output_ts_offset", &offset]);
    args.extend(more.split(' ').filter(|more| !more.is_empty()));
    ffmpeg(&name, &args)
}

/// As [`file`], with what is in it.
fn part(index: i64, codecs: &str, more: &str) -> Part {
    let path = file(index, codecs, more);
    let bytes = std::fs::read(&path).expect("the part");
    assert!(bytes.len() > 400 << 10, "{} bytes", bytes.len());
    let demuxer = open_bytes(bytes.clone()).expect("the part");
    let probed = ffprobe(&path, demuxer.tracks().len());
    let tracks = probed.iter().enumerate().map(|(track, probed)| {
        let alone = packets(&demuxer, track).expect("the part");
        assert_eq!(alone.len(), probed.len());
        let of_track = alone.iter().zip(probed);
        let expected = of_track.map(|(packet, probed)| Expected {
            data: packet.chunk.data.clone(),
            key: packet.chunk.kind == ChunkKind::Key,
            pts: probed.pts.expect("a time"),
        });
        expected.collect()
    });
    Part {
        bytes,
        tracks: tracks.collect(),
    }
}

const H264_AAC: &str = "-c:v libx264 -b:v 1M -c:a aac";
const HEVC_MP3: &str = "-c:v libx265 -b:v 1M -x265-params log-level=none:keyint=20 -c:a libmp3lame";

/// The joined parts, opened.
fn joined(parts: &[Part]) -> Arc<dyn Demuxer> {
    let bytes = parts.iter().flat_map(|part| part.bytes.clone());
    open_bytes(bytes.collect()).expect("opens")
}

/// The packets of `track`, which are those that it has in each of the parts.
fn packets_of(demuxer: &Arc<dyn Demuxer>, track: usize, parts: &[Part]) -> Vec<Packet> {
    let all = packets(demuxer, track).expect("reads");
    let expected = parts.iter().flat_map(|part| part.tracks[track].clone());
    let expected: Vec<_> = expected.collect();
    assert_all(&all, &expected, base(&parts[0]), &format!("track {track}"));
    all
}

/// That all packets of all parts are there, in order, each with the time of its own part on the first one's time line.
fn assert_all(packets: &[Packet], expected: &[Expected], base: i64, what: &str) {
    assert_eq!(packets.len(), expected.len(), "{what}");
    for (index, (packet, expected)) in packets.iter().zip(expected).enumerate() {
        let what = format!("{what}: packet {index}");
        assert!(packet.chunk.data == expected.data, "{what}");
        let key = packet.chunk.kind == ChunkKind::Key;
        assert_eq!(key, expected.key, "{what}");
        let ticks = expected.pts - base;
        let off = packet.chunk.timestamp.abs_diff(ticks * 100 / 9);
        // The command's times of sound are rounded to ticks.
        assert!(off <= 12, "{what}: {} for {ticks}", packet.chunk.timestamp);
    }
}

/// The earliest time of a part, in ticks.
fn base(part: &Part) -> i64 {
    let times = part.tracks.iter().flatten().map(|packet| packet.pts);
    times.min().expect("packets")
}

/// What decoders of each packet are configured with.
fn in_force(track: &Track, all: &[Packet]) -> Vec<TrackConfig> {
    let mut config = track.config();
    let each = all.iter().map(|packet| {
        if let Some(told) = &packet.config {
            config = TrackConfig::clone(told);
        }
        config.clone()
    });
    each.collect()
}

/// That seeking leads to what reading found, in whatever order places are sought, and that a reader's packets together say what their
/// decoders are configured with.
fn assert_seeks(demuxer: &Arc<dyn Demuxer>, what: &str) {
    for (index, track) in demuxer.tracks().iter().enumerate() {
        let all = packets(demuxer, index).expect("the stream");
        let configs = in_force(track, &all);
        let last = all.iter().map(|p| p.chunk.timestamp).max().unwrap_or(0);
        let times: Vec<i64> = (0..=last / 470_000).map(|step| step * 470_000).collect();
        let backwards = times.iter().rev().copied().collect();
        let count = times.len();
        let jumping = (0..count).map(|step| times[step * 7 % count]).collect();
        assert!(!count.is_multiple_of(7), "all are jumped to");
        for (order, times) in [("on", times), ("back", backwards), ("to and fro", jumping)] {
            let mut reader = Arc::clone(demuxer).reader(index).expect("the track");
            let mut config = track.config();
            let mut several = false;
            for time in times {
                let what = format!("{what}, track {index}, {order}, {time}");
                let key = |p: &Packet| p.chunk.kind == ChunkKind::Key;
                let best = all
                    .iter()
                    .rposition(|p| key(p) && p.chunk.timestamp <= time)
                    .or_else(|| all.iter().position(key))
                    .expect("a key packet");
                let found = reader.seek(time).expect(&what);
                assert_eq!(found, Some(all[best].chunk.timestamp), "{what}");
                // Sound is given from further before, to settle on.
                let mut after = all.iter().zip(&configs).skip(best).take(6);
                let mut before = 0;
                let mut first = true;
                while let Some((want, want_config)) = after.clone().next() {
                    let got = reader.next_sample().expect(&what).expect(&what);
                    assert!(
                        !several || !first || got.config.is_some(),
                        "{what}: not told"
                    );
                    first = false;
                    if let Some(told) = &got.config {
                        config = TrackConfig::clone(told);
                        several = true;
                    }
                    let place = |p: &Packet| (p.offset, p.chunk.timestamp);
                    if !got.presented {
                        before += 1;
                        assert!(before < 40 && place(&got) < place(want), "{what}");
                        continue;
                    }
                    assert_eq!(place(&got), place(want), "{what}");
                    assert_eq!(got.chunk.data, want.chunk.data, "{what}");
                    assert_eq!(config, *want_config, "{what}");
                    after.next();
                }
            }
        }
    }
}

/// The codec strings that packets tell, and at which packet.
fn told(all: &[Packet]) -> Vec<(usize, String)> {
    let told = all.iter().enumerate().filter_map(|(index, packet)| {
        let config = packet.config.as_ref()?;
        Some((index, config.codec.clone().expect("a codec string")))
    });
    told.collect()
}

#[test]
fn a_track_that_goes_over_to_another_codec_and_back_is_told_and_nothing_is_missing() {
    let parts = [
        part(0, H264_AAC, ""),
        part(1, HEVC_MP3, "-s 352x288"),
        part(2, H264_AAC, ""),
    ];
    let demuxer = joined(&parts);
    for (track, other) in [(0, "hev1."), (1, "mp3")] {
        let all = packets_of(&demuxer, track, &parts);
        let told = told(&all);
        let first = parts[0].tracks[track].len();
        let places: Vec<_> = told.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [first, first + parts[1].tracks[track].len()]);
        assert!(told[0].1.starts_with(other), "{told:?}");
        assert_eq!(Some(&told[1].1), demuxer.tracks()[track].codec.as_ref());
        let config = all[first].config.as_deref().expect("told");
        match &config.kind {
            TrackKind::Video { coded_size, .. } => {
                assert_eq!((coded_size.width, coded_size.height), (352, 288));
            }
            TrackKind::Audio {
                sample_rate,
                channels,
            } => assert_eq!((*sample_rate, *channels), (44_100, 1)),
            TrackKind::Other(name) => panic!("{name}"),
        }
    }
    let end = demuxer.duration().expect("a duration");
    let want = 3 * SECONDS.unsigned_abs() * 1_000_000;
    assert!(end.abs_diff(want) < 100_000, "{end}");
    assert_seeks(&demuxer, "codecs");
}

#[test]
fn what_is_found_late_does_not_hide_what_stands_before_it() {
    let parts = [
        part(0, H264_AAC, ""),
        part(1, H264_AAC, "-mpegts_start_pid 0x200"),
        part(2, HEVC_MP3, "-mpegts_start_pid 0x200"),
    ];
    let demuxer = joined(&parts);
    for track in [0, 1] {
        let all = packets_of(&demuxer, track, &parts);
        let places: Vec<_> = told(&all).into_iter().map(|(at, _)| at).collect();
        let second = parts[0].tracks[track].len() + parts[1].tracks[track].len();
        assert_eq!(places, [second], "a new PID alone changes nothing");
    }
    assert_seeks(&demuxer, "PIDs");
}

#[test]
fn seeking_finds_what_another_codec_and_another_pid_hide_from_the_first_part() {
    let later = "-mpegts_start_pid 0x200";
    for (second, third) in [
        (part(1, HEVC_MP3, ""), part(2, HEVC_MP3, later)),
        (part(1, H264_AAC, later), part(2, HEVC_MP3, later)),
    ] {
        // More than half of all has the second PID.
        let rest = [3, 4, 5].map(|index| part(index, HEVC_MP3, later));
        let mut parts = vec![part(0, H264_AAC, ""), second, third];
        parts.extend(rest);
        let demuxer = joined(&parts);
        for track in [0, 1] {
            packets_of(&demuxer, track, &parts);
        }
        assert_seeks(&demuxer, "hidden");
    }
}

#[test]
fn seeking_between_parts_of_one_codec_tells_the_configuration_of_each() {
    // So long that bisecting goes from within the first part of MP3 into the second, and meets no AAC between them.
    let mut parts = vec![part(0, H264_AAC, "")];
    parts.extend([1, 2, 3, 4].map(|index| part(index, HEVC_MP3, "")));
    parts.push(part(5, H264_AAC, ""));
    parts.extend([6, 7, 8].map(|index| part(index, HEVC_MP3, "-s 352x288 -ar 48000 -ac 2")));
    let demuxer = joined(&parts);
    let all = packets_of(&demuxer, 1, &parts);
    let configs = in_force(&demuxer.tracks()[1], &all);
    let rates = |config: &TrackConfig| match config.kind {
        TrackKind::Audio {
            sample_rate,
            channels,
        } => (sample_rate, channels),
        _ => panic!("sound"),
    };
    assert_eq!(rates(&configs[parts[0].tracks[1].len()]), (44_100, 1));
    assert_eq!(rates(&configs[all.len() - 1]), (48_000, 2));
    assert_seeks(&demuxer, "configurations");
}

/// Reads `track` up to an error, which says that it cannot go over to `name`, and what comes before once more.
fn assert_ends(demuxer: &Arc<dyn Demuxer>, track: usize, first: &Part, name: &str) {
    let mut reader: Box<dyn PacketReader> = Arc::clone(demuxer).reader(track).expect("the track");
    let mut all = Vec::new();
    let error = loop {
        match reader.next_sample() {
            Ok(packet) => all.push(packet.expect("an error before the end")),
            Err(error) => break error.to_string(),
        }
    };
    assert_all(&all, &first.tracks[track], base(first), name);
    let want = format!("not supported: another codec in the middle of a track: {name} after ");
    assert!(error.starts_with(&want), "{error}");
    assert!(reader.next_sample().expect("the end").is_none());
    assert_eq!(
        reader.seek(0).expect("seek"),
        Some(all[0].chunk.timestamp),
        "{name}"
    );
    let again = reader.next_sample().expect("read").expect("a packet");
    assert_eq!(again.chunk, all[0].chunk, "{name}");
}

#[test]
fn a_track_does_not_go_over_to_what_has_no_codec_string() {
    let first = part(0, H264_AAC, "");
    for (codecs, names) in [
        ("-c:v mpeg2video -b:v 1M -c:a mp2", ["mpeg2video", "mp2"]),
        ("-c:v mpeg2video -b:v 1M -c:a ac3", ["mpeg2video", "ac-3"]),
    ] {
        let second = std::fs::read(file(1, codecs, "")).expect("the part");
        let demuxer = open_bytes([&first.bytes[..], &second].concat()).expect("opens");
        for (track, name) in names.into_iter().enumerate() {
            assert_ends(&demuxer, track, &first, name);
        }
    }
}

#[test]
fn a_track_does_not_go_over_to_what_another_track_goes_on_with() {
    const TWO: &str = "-map 0 -map 0 -b:v 1M -x265-params log-level=none:keyint=20";
    let first = part(0, &format!("{TWO} -c:v:0 libx264 -c:v:1 libx265"), "");
    // One is left, under the PID of the other.
    let one = "-map 0 -b:v 1M -x265-params log-level=none:keyint=20 -c:v libx265";
    let second = part(1, one, "");
    let parts = [first, second];
    let demuxer = joined(&parts);
    assert_eq!(demuxer.tracks().len(), 2);
    let [first, second] = &parts;
    assert_ends(&demuxer, 0, first, "hevc");
    let all = packets(&demuxer, 1).expect("reads");
    let expected = [&first.tracks[1][..], &second.tracks[0]].concat();
    assert_all(&all, &expected, base(first), "one is left");
    // Each has one, and then its own again.
    let [first, _] = parts;
    let second = part(1, &format!("{TWO} -c:v libx265"), "");
    let third = part(2, &format!("{TWO} -c:v:0 libx264 -c:v:1 libx265"), "");
    let parts = [first, second, third];
    for (count, changes) in [(2, [1, 0]), (3, [2, 0])] {
        let demuxer = joined(&parts[..count]);
        for (track, changes) in changes.into_iter().enumerate() {
            let all = packets_of(&demuxer, track, &parts[..count]);
            assert_eq!(told(&all).len(), changes, "{count} parts, track {track}");
        }
    }
}
