//! No demuxer gives a decode time that is after the timestamp: whatever the container, the writer, and how it is read.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, md5};
use muxed::{output_track, save, streamed, to_memory, tracks};
use reelcore_containers::BytesSource;
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::create;
use reelcore_media::demux::{Demuxer, Packet};
use reelcore_media::mux::{MuxOptions, OutputPacket};
use support::*;

const PICTURES: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=2";
const SOUND: &str = "-f lavfi -i sine=440:d=2";
const X264: &str =
    "-c:v libx264 -preset veryfast -bf 3 -g 25 -x264-params b-pyramid=normal:b-adapt=0";
const X265: &str =
    "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=4:keyint=25:open-gop=1";

/// Files of one H.264 stream whose composition offsets go below 0, and how.
const NEGATIVE: [(&str, &str); 7] = [
    ("negative.mp4", "-movflags negative_cts_offsets"),
    ("negative.mov", "-movflags negative_cts_offsets"),
    (
        "negative-gops.mp4",
        "-movflags frag_keyframe+empty_moov+negative_cts_offsets",
    ),
    (
        "negative-both.mp4",
        "-movflags frag_keyframe+negative_cts_offsets",
    ),
    (
        "negative-frames.mp4",
        "-movflags frag_every_frame+empty_moov+negative_cts_offsets",
    ),
    (
        "negative-indexed.mp4",
        "-movflags frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets+global_sidx",
    ),
    ("cmaf.mp4", "-movflags cmaf -frag_duration 120000"),
];

fn made(name: &str, args: &str) -> Vec<u8> {
    let args: Vec<&str> = args.split_whitespace().collect();
    std::fs::read(ffmpeg(name, &args)).expect("the clip")
}

fn h264(name: &str, how: &str) -> Vec<u8> {
    made(name, &format!("{PICTURES} {X264} {how}"))
}

/// Reads all tracks from the start and after seeks, and checks them.
fn check(demuxer: &Arc<dyn Demuxer>, what: &str) {
    for track in 0..demuxer.tracks().len() {
        // Checks that no decode time is after its timestamp.
        let all = packets(demuxer, track).expect(what);
        assert!(!all.is_empty(), "{what}");
        assert_rising(&all, what);
        let mut reader = Arc::clone(demuxer).reader(track).expect(what);
        for time in (-1..5).map(|half| half * 500_000) {
            reader.seek(time).expect(what);
            let mut after = Vec::new();
            while let Some(packet) = reader.next_sample().expect(what) {
                assert_decodes_in_time(&packet);
                after.push(packet);
            }
            // Matroska has no decode times: those after a seek are counted back from the key picture, and know nothing of the
            // pictures that an open group shows before it.
            if !matches!(demuxer.container(), "matroska" | "webm") {
                assert_rising(&after, what);
            }
        }
    }
}

fn assert_rising(packets: &[Packet], what: &str) {
    for pair in packets.windows(2) {
        assert!(
            pair[0].decode_time <= pair[1].decode_time,
            "{what}: decode times go back from {} to {}",
            pair[0].decode_time,
            pair[1].decode_time
        );
    }
}

#[test]
fn no_file_has_a_decode_time_after_its_timestamp() {
    let both = format!("{PICTURES} {SOUND}");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(clips())
        .expect("the sample clips")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "mp4"))
        .map(|path| (path.display().to_string(), std::fs::read(path).expect("it")))
        .collect();
    for (name, how) in NEGATIVE {
        files.push((name.to_owned(), h264(name, how)));
    }
    for (name, args) in [
        ("times.mp4", format!("{both} {X264} -c:a aac")),
        ("times.mov", format!("{both} {X264} -c:a pcm_s16le")),
        ("times.mkv", format!("{both} {X264} -c:a libopus")),
        ("times.ts", format!("{both} {X264} -c:a aac")),
        ("times.h264", format!("{PICTURES} {X264}")),
        (
            "times-hevc.mp4",
            format!("{PICTURES} {X265} -movflags negative_cts_offsets"),
        ),
        (
            "times-hevc-frames.mp4",
            format!("{PICTURES} {X265} -movflags frag_every_frame+empty_moov+negative_cts_offsets"),
        ),
        ("times-hevc.mkv", format!("{PICTURES} {X265}")),
        ("times-hevc.ts", format!("{PICTURES} {X265}")),
        ("times.hevc", format!("{PICTURES} {X265}")),
        (
            "times-fields.ts",
            format!("{PICTURES} {X264} -flags +ildct+ilme"),
        ),
        (
            "times-vfr.mp4",
            format!(
                "{PICTURES} -vf select='mod(n\\,3)' -fps_mode vfr {X264} -movflags negative_cts_offsets"
            ),
        ),
        (
            "times-late.mp4",
            format!(
                "-itsoffset 0.7 {PICTURES} {SOUND} {X264} -c:a aac -movflags negative_cts_offsets"
            ),
        ),
        (
            "times.webm",
            format!(
                "{both} -c:v libvpx-vp9 -cpu-used 8 -deadline realtime -auto-alt-ref 1 -lag-in-frames 16 -c:a libvorbis"
            ),
        ),
        (
            "times.ivf",
            format!("{PICTURES} -c:v libvpx -deadline realtime"),
        ),
        ("times.ogg", format!("{SOUND} -c:a libvorbis")),
        ("times.flac", SOUND.to_owned()),
        ("times.mp3", SOUND.to_owned()),
        ("times.aac", SOUND.to_owned()),
        ("times.wav", SOUND.to_owned()),
    ] {
        files.push((name.to_owned(), made(name, &args)));
    }
    assert!(files.len() >= 30);
    for (name, bytes) in files {
        let bytes = Bytes::from(bytes);
        check(&open_bytes(bytes.to_vec()).expect(&name), &name);
        check(&streamed(&bytes), &format!("{name} as a stream"));
    }
}

#[test]
fn offsets_below_0_give_the_decode_times_that_the_same_stream_has_without_them() {
    let what = |packet: &Packet| {
        (
            packet.chunk.timestamp,
            packet.decode_time,
            md5(&packet.chunk.data),
        )
    };
    let plain = open_bytes(h264("plain.mp4", "")).expect("opens");
    let plain = packets(&plain, 0).expect("reads");
    assert_eq!(
        (plain[0].chunk.timestamp, plain[0].decode_time),
        (0, -80_000)
    );
    let want: Vec<_> = plain.iter().map(what).collect();
    for (name, how) in NEGATIVE {
        let bytes = h264(name, how);
        let file = open_bytes(bytes.clone()).expect(name);
        let stream = streamed(&bytes.into());
        for (demuxer, name) in [(&file, name), (&stream, "as a stream")] {
            let found: Vec<_> = packets(demuxer, 0).expect(name).iter().map(what).collect();
            assert_eq!(found, want, "{name}");
            // The same after a seek, in a reader that has read nothing before.
            for half in 0..4 {
                let mut reader = Arc::clone(demuxer).reader(0).expect(name);
                let at = reader
                    .seek(half * 500_000)
                    .expect(name)
                    .expect("a key picture");
                let from = want.iter().position(|packet| packet.0 == at).expect("it");
                for want in &want[from..] {
                    let packet = reader.next_sample().expect(name).expect("a packet");
                    assert_eq!(&what(&packet), want, "{name}");
                }
            }
        }
    }
}

/// The presentation times of pictures as ffprobe sees them, by what the pictures are.
fn shown(path: &Path) -> BTreeMap<String, i64> {
    let packets = made::ffprobe(path, 1).remove(0);
    let shown = packets
        .iter()
        .map(|packet| (packet.data_hash.clone(), packet.pts.expect("a time")));
    shown.collect()
}

#[test]
fn what_had_offsets_below_0_is_copied_with_the_times_of_all_pictures() {
    for (name, how) in NEGATIVE {
        let source = tracks(&open_bytes(h264(name, how)).expect(name));
        let want: Vec<_> = source[0]
            .1
            .iter()
            .map(|p| (p.chunk.timestamp, p.decode_time))
            .collect();
        for fragmented in [false, true] {
            let options = MuxOptions {
                fragmented,
                ..MuxOptions::default()
            };
            let bytes = to_memory(&source, Mp4Muxer::new(options), true);
            let path = save(&format!("copied-{fragmented}-{name}.mp4"), &bytes);
            let copied = tracks(&open_bytes(bytes.to_vec()).expect(name)).remove(0).1;
            let times: Vec<_> = copied
                .iter()
                .map(|p| (p.chunk.timestamp, p.decode_time))
                .collect();
            assert_eq!(times, want, "{name}");
            assert_eq!(copied.len(), 50);
            // ffprobe moves the times of fragments, where tables come before them from there on only.
            if !fragmented && name != "negative-both.mp4" {
                let from = shown(&ffmpeg(
                    name,
                    &format!("{PICTURES} {X264} {how}")
                        .split_whitespace()
                        .collect::<Vec<_>>(),
                ));
                let to = shown(&path);
                assert_eq!(from.len(), to.len(), "{name}");
                let first = |times: &BTreeMap<String, i64>| *times.values().min().expect("times");
                let scale = |path: &Path| -> i64 {
                    let (stream, _) = muxed::ffprobe(path).remove(0);
                    stream["time_base"]
                        .strip_prefix("1/")
                        .and_then(|s| s.parse().ok())
                        .expect("a scale")
                };
                let (a, b) = (12_800, scale(&path));
                for (hash, time) in &from {
                    assert_eq!(
                        (time - first(&from)) * b,
                        (to[hash] - first(&to)) * a,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_had_offsets_below_0_is_copied_to_a_transport_stream() {
    for (name, how) in NEGATIVE {
        let source = tracks(&open_bytes(h264(name, how)).expect(name));
        let mut sink = reelcore_containers::mux::MemorySink::default();
        let mut muxer = create("mpegts", &MuxOptions::default()).expect("a muxer");
        let track = output_track(&source[0].0).expect("a track");
        muxer.add_track(track).expect("a codec");
        for packet in &source[0].1 {
            let mut out = OutputPacket::new(packet.chunk.clone());
            out.decode_time = Some(packet.decode_time);
            muxer.write(0, out, &mut sink).expect(name);
        }
        muxer.finish(&mut sink).expect(name);
        let path = save(&format!("{name}.ts"), &sink.into_bytes());
        let probed = made::ffprobe(&path, 1).remove(0);
        assert_eq!(probed.len(), 50, "{name}");
        let stamps: Vec<_> = probed
            .iter()
            .map(|p| (p.pts.expect("PTS"), p.dts.expect("DTS")))
            .collect();
        assert!(
            stamps.iter().all(|(pts, dts)| dts <= pts),
            "{name}: {stamps:?}"
        );
        assert!(
            stamps.windows(2).all(|pair| pair[1].1 - pair[0].1 == 3600),
            "{name}: {stamps:?}"
        );
        // As the source has them.
        for (stamp, packet) in stamps.iter().zip(&source[0].1) {
            let wait = packet.chunk.timestamp - packet.decode_time;
            assert_eq!((stamp.0 - stamp.1) * 100, wait * 9, "{name}");
        }
    }
}

/// A box with the shift from composition to decode times, for offsets of -80 to 80.
fn cslg(version: u8, shift: i64) -> Vec<u8> {
    let word = |value: i64| match version {
        0 => (value as i32).to_be_bytes().to_vec(),
        _ => value.to_be_bytes().to_vec(),
    };
    full(
        b"cslg",
        version,
        0,
        &[&[shift, -80, 80, 0, 400].map(word).concat()],
    )
}

/// Pictures of 40 ticks in fragments, each with the composition offsets of its samples. The codec says nothing of reordering.
fn fragments(offsets: &[&[i32]], stbl: &[u8], mvex: &[u8]) -> Vec<u8> {
    let mut track = TrackBuilder::video(1000);
    track.tables = [&no_samples()[..], stbl].concat();
    let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 40, 1, 0])]);
    let mut out = [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        moov(&[track.build()], &bx(b"mvex", &[&trex, mvex])),
    ]
    .concat();
    let mut time = 0;
    for fragment in offsets {
        let count = fragment.len() as u32;
        let fields: Vec<u32> = fragment
            .iter()
            .map(|offset| offset.cast_unsigned())
            .collect();
        let moof = |offset| {
            let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]);
            let tfdt = full(b"tfdt", 0, 0, &[&words(&[time])]);
            let trun = full(
                b"trun",
                1,
                0x801,
                &[&words(&[count, offset]), &words(&fields)],
            );
            bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
        };
        out.extend(moof(moof(0).len() as u32 + 8));
        out.extend(bx(b"mdat", &[&vec![0; fragment.len()]]));
        time += 40 * count;
    }
    out
}

/// Decode times in milliseconds, read as a file and as a stream.
fn decode_times(bytes: Vec<u8>) -> Vec<i64> {
    let times = |demuxer: &Arc<dyn Demuxer>| -> Vec<i64> {
        let all = packets(demuxer, 0).expect("reads");
        all.iter().map(|packet| packet.decode_time / 1000).collect()
    };
    let stream = times(&streamed(&Bytes::from(bytes.clone())));
    let file = times(&open_bytes(bytes).expect("opens"));
    assert_eq!(stream, file);
    file
}

/// A pyramid of four frames of which each is a fragment: shown at 0, 160, 80, 40, 120.
const FRAMES: [&[i32]; 5] = [&[0], &[120], &[0], &[-80], &[-40]];

#[test]
fn fragments_have_the_shift_that_their_movie_says() {
    let want = [-80, -40, 0, 40, 80];
    for version in [0, 1] {
        let cslg = cslg(version, 80);
        let trep = full(b"trep", 0, 0, &[&words(&[1]), &cslg]);
        assert_eq!(decode_times(fragments(&FRAMES, &[], &trep)), want);
        // Beside the empty tables.
        assert_eq!(decode_times(fragments(&FRAMES, &cslg, &[])), want);
    }
    // That of another track, one that is cut off, and such as no offsets can be.
    let other = full(b"trep", 0, 0, &[&words(&[2]), &cslg(0, 80)]);
    let without = decode_times(fragments(&FRAMES, &[], &[]));
    assert_eq!(decode_times(fragments(&FRAMES, &[], &other)), without);
    for bad in [full(b"cslg", 0, 0, &[]), cslg(0, -5), cslg(1, i64::MAX)] {
        assert_eq!(decode_times(fragments(&FRAMES, &bad, &[])), without);
    }
}

#[test]
fn without_a_word_of_it_decode_times_still_are_not_after_timestamps() {
    // Nothing tells of the last two before the others were given.
    assert_eq!(
        decode_times(fragments(&FRAMES, &[], &[])),
        [0, 40, 80, 40, 120]
    );
    // Fragments that each reorder their own pictures: the second further than the first, the third not at all.
    let gops: [&[i32]; 3] = [&[0, 40, -40, 0], &[0, 120, 0, -80, -40], &[0, 0]];
    let found = decode_times(fragments(&gops, &[], &[]));
    assert_eq!(found, [-40, 0, 40, 80, 80, 120, 160, 200, 240, 320, 360]);
}

#[test]
fn tables_and_fragments_have_one_shift() {
    let mut track = TrackBuilder::video(1000);
    let offsets: [i32; 4] = [0, 80, -40, 0];
    let entries: Vec<u32> = offsets
        .iter()
        .flat_map(|offset| [1, offset.cast_unsigned()])
        .collect();
    // What is said of samples that are not there does not count.
    let entries = [entries, vec![7, (-500_i32).cast_unsigned()]].concat();
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[4, 40])]),
        full(b"ctts", 1, 0, &[&table(2, &entries)]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 4, 1])]),
        full(b"stsz", 0, 0, &[&words(&[1, 4])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
        // QuickTime's version of the table has the same box.
        cslg(0, 40),
    ]
    .concat();
    let bytes = progressive(b"abcd", &[track.build()]);
    assert_eq!(decode_times(bytes), [-40, 0, 40, 80]);
}

#[test]
fn a_transport_stream_that_is_decoded_after_it_is_shown_is_not_read_so() {
    let bytes = made("swapped.ts", &format!("{PICTURES} {X264}"));
    // Every DTS half a second later than it is.
    let mut changed = 0;
    let mut late = bytes.clone();
    for at in 0..late.len() - 19 {
        if late[at..at + 4] == [0, 0, 1, 0xe0] && late[at + 7] & 0xc0 == 0xc0 {
            let field = &mut late[at + 14..at + 19];
            let ticks = u64::from(field[0] >> 1 & 7) << 30
                | u64::from(field[1]) << 22
                | u64::from(field[2] >> 1) << 15
                | u64::from(field[3]) << 7
                | u64::from(field[4] >> 1);
            let ticks = ticks + 45_000;
            field[0] = field[0] & 0xf1 | ((ticks >> 30 & 7) as u8) << 1;
            field[1] = (ticks >> 22) as u8;
            field[2] = ((ticks >> 15) as u8) << 1 | 1;
            field[3] = (ticks >> 7) as u8;
            field[4] = (ticks as u8) << 1 | 1;
            changed += 1;
        }
    }
    assert!(changed > 20, "{changed}");
    let timestamps = |bytes: Vec<u8>| -> Vec<i64> {
        let demuxer = reelcore_containers::open(Arc::new(BytesSource::new(bytes))).expect("opens");
        let all = packets(&demuxer, 0).expect("reads");
        all.iter().map(|packet| packet.chunk.timestamp).collect()
    };
    let times =
        |times: Vec<i64>| -> Vec<i64> { times.iter().map(|time| time - times[0]).collect() };
    assert_eq!(times(timestamps(late)), times(timestamps(bytes)));
}
