//! IVF and transport streams that are written are read back, by our demuxers and by ffprobe.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
#[path = "support/settle.rs"]
mod settle;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{audio, ffprobe, open_bytes, packet, save, to_memory, to_stream, tracks, video};
use reelcore_containers::ivf::IvfMuxer;
use reelcore_containers::mpegts::TsMuxer;
use reelcore_containers::mux::{MemorySink, create};
use reelcore_containers::{FileSource, open};
use reelcore_media::demux::{Packet, Track, TrackKind};
use reelcore_media::mux::{MuxError, MuxOptions, Muxer, OutputKind, Sink};
use reelcore_media::{ChunkKind, SideData};

type Source = Vec<(Track, Vec<Packet>)>;

const VIDEO: [&str; 4] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=128x96:rate=25:duration=1.4,format=yuv420p",
];
const SOUND: [&str; 4] = [
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=500:sample_rate=48000:duration=1.4",
];

fn read(path: PathBuf) -> Source {
    let source = Arc::new(FileSource::open(&path).expect("a file"));
    tracks(&open(source).expect("a container"))
}

fn clip(name: &str, args: &str) -> Source {
    let args: Vec<&str> = args.split(' ').collect();
    let inputs = [&VIDEO[..], &SOUND[..]].concat();
    read(ffmpeg(name, &[inputs, args].concat()))
}

const X264: &str = "-c:v libx264 -bf 3 -x264-params log-level=error:keyint=12";
const X265: &str = "-c:v libx265 -x265-params log-level=error:keyint=12:bframes=3:pools=1";

#[test]
fn every_codec_of_ivf_is_read_back() {
    for (name, args, codec) in [
        ("vp8.webm", "-map 0 -c:v libvpx -b:v 100k -g 10", "vp8"),
        ("vp9.webm", "-map 0 -c:v libvpx-vp9 -b:v 100k -g 10", "vp9"),
        (
            "av1.mp4",
            "-map 0 -c:v libaom-av1 -cpu-used 8 -b:v 100k -g 10",
            "av1",
        ),
    ] {
        let source = clip(name, args);
        let bytes = to_memory(&source, IvfMuxer::new(), false);
        let got = tracks(&open_bytes(bytes.clone()));
        let (want, got) = (&source[0].1, &got[0].1);
        assert_eq!(want.len(), got.len(), "{name}");
        for (want, got) in want.iter().zip(got) {
            assert_eq!(want.chunk.timestamp, got.chunk.timestamp, "{name}");
            assert_eq!(want.chunk.kind, got.chunk.kind, "{name}");
            // AV1 gets the delimiters back that MP4 leaves out.
            let data = got
                .chunk
                .data
                .strip_prefix(&[0x12, 0])
                .unwrap_or(&got.chunk.data);
            assert!(want.chunk.data == data, "{name}");
        }
        let streams = ffprobe(&save(&format!("{codec}.ivf"), &bytes));
        assert_eq!(streams[0].0["codec_name"], codec);
        assert_eq!(streams[0].1, want.len());
        // The stream is the same but for the duration in the header.
        let streamed = to_stream(&source, IvfMuxer::new(), false);
        assert_eq!(streamed[32..], bytes[32..]);
        assert!(tracks(&open_bytes(streamed))[0].1.len() == want.len());
    }
}

#[test]
fn ivf_counts_frames_where_their_rate_is_known() {
    let mut track = video("vp8", 64, 48);
    if let OutputKind::Video { framerate, .. } = &mut track.kind {
        *framerate = Some(29.97);
    }
    let mut sink = MemorySink::default();
    let mut muxer = IvfMuxer::new();
    muxer.add_track(track).expect("VP8");
    for time in [0, 33_367, 100_100] {
        let key = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0];
        let packet = packet(ChunkKind::Key, time, 33_367, key);
        muxer.write(0, packet, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.bytes();
    assert_eq!(bytes[16..28], [0x30, 0x75, 0, 0, 0xe9, 3, 0, 0, 4, 0, 0, 0]);
    assert_eq!(bytes[32 + 22 + 22 + 4], 3);
}

#[test]
fn ivf_refuses_what_it_has_no_place_for() {
    let mut sink = MemorySink::default();
    let mut muxer = IvfMuxer::new();
    assert!(muxer.finish(&mut sink).is_err(), "no track");
    for track in [video("avc1.42c00c", 64, 48), audio("opus", 48_000, 2)] {
        assert!(matches!(
            muxer.add_track(track),
            Err(MuxError::Unsupported(_))
        ));
    }
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    assert!(muxer.add_track(video("vp8", 64, 48)).is_err(), "one track");
    let at = |time| packet(ChunkKind::Key, time, 1, vec![0; 10]);
    assert!(muxer.write(0, at(-1), &mut sink).is_err());
    assert!(muxer.write(1, at(0), &mut sink).is_err());
    muxer.write(0, at(5), &mut sink).expect("written");
    assert!(muxer.write(0, at(5), &mut sink).is_err(), "the same time");
    muxer.finish(&mut sink).expect("finished");
    assert!(muxer.write(0, at(9), &mut sink).is_err());
}

/// What a transport stream gives back of `source`.
fn check_ts(name: &str, source: &Source, bytes: Bytes, same_form: bool) {
    let file = save(&format!("{}.ts", name.replace('.', "-")), &bytes);
    let got = tracks(&open_bytes(bytes));
    assert_eq!(source.len(), got.len(), "{name}: tracks");
    let first = source
        .iter()
        .filter_map(|(_, packets)| packets.iter().map(|packet| packet.chunk.timestamp).min());
    let first = first.min().expect("a packet");
    for (number, ((track, want), (got_track, got))) in source.iter().zip(&got).enumerate() {
        let what = format!("{name}, track {number}");
        assert_eq!(want.len(), got.len(), "{what}: packets");
        assert_eq!(track.language, got_track.language, "{what}");
        for (index, (want, got)) in want.iter().zip(got).enumerate() {
            let what = format!("{what}, packet {index}");
            assert_eq!(want.chunk.kind, got.chunk.kind, "{what}");
            let apart = (want.chunk.timestamp - first).abs_diff(got.chunk.timestamp);
            assert!(
                apart <= 12,
                "{what}: {} {}",
                want.chunk.timestamp,
                got.chunk.timestamp
            );
            let apart = (want.decode_time - first).abs_diff(got.decode_time);
            assert!(
                apart <= 12,
                "{what}: {} {}",
                want.decode_time,
                got.decode_time
            );
            if same_form {
                assert!(want.chunk.data == got.chunk.data, "{what}: the bytes");
            } else {
                assert!(
                    got.chunk
                        .data
                        .ends_with(&want.chunk.data[want.chunk.data.len() - 4..]),
                    "{what}: the bytes"
                );
            }
        }
    }
    let streams = ffprobe(&file);
    assert_eq!(streams.len(), source.len(), "{name}");
    for ((fields, packets), (_, want)) in streams.iter().zip(source) {
        assert_eq!(*packets, want.len(), "{name}: {fields:?}");
    }
}

#[test]
fn transport_streams_are_read_back() {
    for (name, args) in [
        (
            "avc-aac.mp4",
            format!("{X264} -c:a aac -metadata:s:a language=deu"),
        ),
        ("avc-mp3.mkv", format!("{X264} -c:a libmp3lame")),
        ("hevc-aac.mp4", format!("{X265} -c:a aac")),
        ("avc-aac.ts", format!("{X264} -c:a aac")),
        ("hevc-mp3.ts", format!("{X265} -c:a libmp3lame")),
    ] {
        let source = clip(name, &args);
        let same_form = name.ends_with(".ts");
        let bytes = to_memory(&source, TsMuxer::new(&MuxOptions::default()), true);
        check_ts(name, &source, bytes.clone(), same_form);
        let streamed = to_stream(&source, TsMuxer::new(&MuxOptions::default()), true);
        assert!(streamed == bytes, "{name}: nothing is changed afterwards");
        let found = to_memory(&source, TsMuxer::new(&MuxOptions::default()), false);
        check_ts(&format!("times {name}"), &source, found, same_form);
    }
}

#[test]
fn opus_in_a_transport_stream_is_opus_to_ffprobe() {
    let source = clip("opus.ogg", "-map 1 -c:a libopus");
    let bytes = to_memory(&source, TsMuxer::new(&MuxOptions::default()), false);
    let streams = ffprobe(&save("opus.ts", &bytes));
    assert_eq!(streams[0].0["codec_name"], "opus");
    assert_eq!(streams[0].0["channels"], "1");
    assert_eq!(streams[0].1, source[0].1.len());
}

#[test]
fn opus_in_a_transport_stream_is_read_back() {
    for (name, args, channels) in [
        ("opus.ogg", "-map 1 -c:a libopus", 1),
        (
            "opus-51.mkv",
            "-map 1 -ac 6 -c:a libopus -mapping_family 1",
            6,
        ),
        (
            "opus-low.mkv",
            "-map 1 -ac 2 -c:a libopus -b:a 6k -frame_duration 2.5",
            2,
        ),
        (
            "opus-long.mkv",
            "-map 1 -ac 2 -c:a libopus -b:a 500k -vbr off -frame_duration 60",
            2,
        ),
    ] {
        let source = clip(name, args);
        let bytes = to_memory(&source, TsMuxer::new(&MuxOptions::default()), false);
        let demuxer = open_bytes(bytes.clone());
        let got = tracks(&demuxer);
        assert_eq!(got.len(), 1, "{name}");
        let (track, packets) = &got[0];
        assert_eq!(track.codec.as_deref(), Some("opus"), "{name}");
        let kind = TrackKind::Audio {
            sample_rate: 48_000,
            channels,
        };
        assert_eq!(track.kind, kind, "{name}");
        // Pre-skip aside, which the packets tell.
        let layout = |head: &Option<Bytes>| head.as_ref().map(|head| head.slice(18..));
        let wanted = layout(&source[0].0.description).filter(|_| channels > 2);
        assert_eq!(layout(&track.description), wanted, "{name}");
        let wanted = &source[0].1;
        assert_eq!(packets.len(), wanted.len(), "{name}");
        let none = SideData::default();
        for (index, (want, got)) in wanted.iter().zip(packets).enumerate() {
            let what = format!("{name}, packet {index}");
            assert_eq!(want.chunk.data, got.chunk.data, "{what}");
            // The first is at 0.
            let apart = want.chunk.timestamp - wanted[0].chunk.timestamp - got.chunk.timestamp;
            assert!(apart.abs() <= 12, "{what}: {apart} us");
            let (want, got) = (&want.chunk.side, &got.chunk.side);
            let want = want.as_deref().unwrap_or(&none);
            let got = got.as_deref().unwrap_or(&none);
            let near = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_micros(21);
            assert!(
                near(want.discard_start, got.discard_start),
                "{what}: {want:?} {got:?}"
            );
            assert!(
                near(want.discard_end, got.discard_end),
                "{what}: {want:?} {got:?}"
            );
        }
        // From the middle, the same packets.
        let at = packets[packets.len() / 2].chunk.timestamp;
        let mut reader = Arc::clone(&demuxer).reader(0).expect("a reader");
        assert_eq!(reader.seek(at).expect("it seeks"), Some(at), "{name}");
        let (track, middle) = (&demuxer.tracks()[0], packets.len() / 2);
        let next = settle::settled(&mut *reader, track, packets, middle, name);
        assert_eq!(next.chunk.data, packets[middle].chunk.data, "{name}");
    }
}

/// The clock references, with the place of each, and the highest distance of two tables in bytes.
fn clocks(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(188)
        .filter(|packet| packet[3] & 0x20 != 0 && packet[4] > 6 && packet[5] & 0x10 != 0)
        .map(|packet| {
            let base = packet[6..11]
                .iter()
                .fold(0_u64, |v, byte| v << 8 | u64::from(*byte))
                >> 7;
            let extension = u64::from(packet[10] & 1) << 8 | u64::from(packet[11]);
            base * 300 + extension
        })
        .collect()
}

#[test]
fn the_clock_goes_on_every_tenth_of_a_second_and_counters_never_break() {
    let source = clip("avc-aac.mp4", &format!("{X264} -c:a aac"));
    let bytes = to_memory(&source, TsMuxer::new(&MuxOptions::default()), true);
    let clocks = clocks(&bytes);
    assert!(clocks.len() > 10);
    for pair in clocks.windows(2) {
        assert!(
            pair[0] < pair[1] && pair[1] - pair[0] <= 2_700_000,
            "{pair:?}"
        );
    }
    let mut counters = std::collections::HashMap::new();
    for packet in bytes.chunks(188) {
        let pid = u16::from(packet[1] & 31) << 8 | u16::from(packet[2]);
        if packet[3] & 0x10 != 0 {
            let counter = packet[3] & 15;
            if let Some(last) = counters.insert(pid, counter) {
                assert_eq!((last + 1) & 15, counter, "PID {pid}");
            }
        }
    }
    assert_eq!(counters.len(), 4, "two tables, two tracks");
}

#[test]
fn slow_pictures_leave_no_gap_in_the_clock_and_the_tables() {
    let mut sink = MemorySink::default();
    let mut muxer = TsMuxer::new(&MuxOptions::default());
    muxer
        .add_track(video("avc1.42001e", 64, 48))
        .expect("a track");
    let times = [0, 1_000_000, 2_000_000, 9_030_000, 4_000_000_000];
    for at in times {
        // Parameter sets and a picture, as far as a muxer looks.
        let data = b"\0\0\0\x01\x67\x42\0\x1e\0\0\0\x01\x68\xce\0\0\0\x01\x65\x88\x80";
        let out = packet(ChunkKind::Key, at, 40_000, data.to_vec());
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let clocks = clocks(&bytes);
    // 9.03 seconds; what lies further apart is not filled.
    assert_eq!(clocks.len(), 91 + 1 + 1);
    let (filled, last) = clocks.split_at(clocks.len() - 1);
    for pair in filled.windows(2) {
        assert!(
            pair[0] < pair[1] && pair[1] - pair[0] <= 2_700_000,
            "{pair:?}"
        );
    }
    assert_eq!(last[0] - clocks[0], 4_000_000_000 * 27);
    // The table of programs stands before each.
    let tables = bytes
        .chunks(188)
        .filter(|packet| packet[1] & 31 == 0 && packet[2] == 0);
    assert_eq!(tables.count(), clocks.len());
}

/// Two tracks of MP3 of which one is written in advance by so many frames of 24 ms, and how that went.
fn in_advance(ahead: usize, frames: i64, frame_by: usize) -> Result<Bytes, MuxError> {
    let options = MuxOptions {
        max_interleave: Duration::from_millis(200),
        ..MuxOptions::default()
    };
    let mut muxer = TsMuxer::new(&options);
    let mut sink = MemorySink::default();
    for _ in 0..2 {
        muxer.add_track(audio("mp3", 48_000, 2)).expect("MP3");
    }
    let frame = [&[0xff, 0xfb, 0x14, 0xc0][..], &[0; 92]].concat();
    let all: Vec<i64> = (0..frames).map(|index| index * 24_000).collect();
    for times in all.chunks(frame_by) {
        for track in [ahead, 1 - ahead] {
            for &at in times {
                let packet = packet(ChunkKind::Key, at, 24_000, frame.clone());
                muxer.write(track, packet, &mut sink)?;
            }
        }
    }
    muxer.finish(&mut sink)?;
    Ok(sink.into_bytes())
}

#[test]
fn a_track_that_comes_behind_the_clock_is_refused_and_no_clock_goes_back() {
    for ahead in [0, 1] {
        // Up to half a second: a packet is sent longer than that before it is decoded.
        let bytes = in_advance(ahead, 400, 20).expect("written");
        let clocks = clocks(&bytes);
        assert!(clocks.len() > 90, "{}", clocks.len());
        for pair in clocks.windows(2) {
            assert!(pair[0] < pair[1], "{ahead}: {pair:?}");
        }
        let got = tracks(&open_bytes(bytes));
        assert!(got.iter().all(|(_, packets)| packets.len() == 400));
        // All of one, then all of the other.
        let error = in_advance(ahead, 400, 400).expect_err("too late");
        assert!(matches!(error, MuxError::Invalid(_)), "{error}");
        assert!(error.to_string().contains("side by side"), "{error}");
    }
}

#[test]
fn times_wrap_around_and_may_begin_below_0() {
    // 33 bits at 90 kHz: 26.5 hours.
    let wrap = (1_i64 << 33) * 100 / 9;
    for start in [-5_000_000, wrap - 2_000_000] {
        let mut muxer = TsMuxer::new(&MuxOptions::default());
        let mut sink = MemorySink::default();
        muxer.add_track(audio("mp3", 48_000, 2)).expect("MP3");
        let frame = [&[0xff, 0xfb, 0x14, 0xc0][..], &[0; 92]].concat();
        for index in 0..200 {
            let packet = packet(
                ChunkKind::Key,
                start + index * 24_000,
                24_000,
                frame.clone(),
            );
            muxer.write(0, packet, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let got = tracks(&open_bytes(sink.into_bytes()));
        let times: Vec<i64> = got[0]
            .1
            .iter()
            .map(|packet| packet.chunk.timestamp)
            .collect();
        assert_eq!(times.len(), 200);
        for (index, time) in times.into_iter().enumerate() {
            assert!(
                time.abs_diff(index as i64 * 24_000) <= 12,
                "{index}: {time}"
            );
        }
    }
}

#[test]
fn dropped_sound_of_opus_stands_in_its_control_header() {
    let mut muxer = TsMuxer::new(&MuxOptions::default());
    let mut sink = MemorySink::default();
    muxer.add_track(audio("opus", 48_000, 2)).expect("Opus");
    let mut first = packet(ChunkKind::Key, 0, 20_000, vec![0xfc; 300]);
    first.chunk.side = Some(Arc::new(SideData {
        discard_start: Duration::from_micros(6500),
        ..SideData::default()
    }));
    muxer.write(0, first, &mut sink).expect("written");
    muxer.finish(&mut sink).expect("finished");
    let header = [0x7f, 0xf0, 255, 45, 1, 56, 0xfc];
    assert!(
        sink.bytes()
            .windows(header.len())
            .any(|window| window == header)
    );
}

#[test]
fn sound_with_an_encoders_delay_is_heard_when_its_pictures_are_seen() {
    // One track counts from what is heard; the other, which nothing is dropped of, stands for the pictures.
    for (counts_kept, late) in [(true, 6500), (false, 0)] {
        let mut muxer = TsMuxer::new(&MuxOptions::default());
        let mut sink = MemorySink::default();
        muxer.add_track(audio("opus", 48_000, 2)).expect("Opus");
        muxer.add_track(audio("mp3", 48_000, 2)).expect("MP3");
        let frame = [&[0xff, 0xfb, 0x14, 0xc0][..], &[0; 92]].concat();
        for index in 0..40 {
            let mut sound = packet(ChunkKind::Key, index * 20_000, 20_000, vec![0xfc, 1, 2]);
            if index == 0 {
                sound.chunk.side = Some(Arc::new(SideData {
                    discard_start: Duration::from_micros(6500),
                    counts_kept,
                    ..SideData::default()
                }));
            }
            muxer.write(0, sound, &mut sink).expect("written");
            let other = packet(ChunkKind::Key, index * 24_000, 24_000, frame.clone());
            muxer.write(1, other, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let got = tracks(&open_bytes(sink.into_bytes()));
        let first = |track: usize| got[track].1[0].chunk.timestamp;
        let found = first(1) - first(0);
        assert!(found.abs_diff(late) <= 12, "{counts_kept}: {found} us");
        assert_eq!(got[0].1.len(), 40);
    }
}

#[test]
fn transport_streams_refuse_what_they_have_no_place_for() {
    let new = || TsMuxer::new(&MuxOptions::default());
    for track in [
        video("vp8", 64, 48),
        video("vp09.00.10.08", 64, 48),
        audio("flac", 48_000, 2),
        audio("pcm-s16", 48_000, 2),
    ] {
        let codec = track.codec.clone();
        let error = new().add_track(track).expect_err("no place");
        assert!(
            matches!(error, MuxError::Unsupported(_)),
            "{codec}: {error}"
        );
    }
    let mut sink = MemorySink::default();
    let mut muxer = new();
    assert!(muxer.finish(&mut sink).is_err(), "no track");
    muxer.add_track(audio("mp4a.40.2", 48_000, 2)).expect("AAC");
    let raw = packet(ChunkKind::Key, 0, 21_333, vec![0x21; 50]);
    let error = muxer.write(0, raw.clone(), &mut sink).expect_err("no ADTS");
    assert!(error.to_string().contains("ADTS"), "{error}");
    assert!(muxer.write(0, raw, &mut sink).is_err(), "it failed before");
    let mut muxer = new();
    muxer.add_track(audio("mp3", 48_000, 2)).expect("MP3");
    assert!(
        muxer
            .write(1, packet(ChunkKind::Key, 0, 1, vec![1]), &mut sink)
            .is_err()
    );
    muxer.end_track(0, &mut sink).expect("ended");
    assert!(
        muxer
            .write(0, packet(ChunkKind::Key, 0, 1, vec![1]), &mut sink)
            .is_err()
    );
    assert!(muxer.add_track(audio("mp3", 48_000, 2)).is_err());
    muxer.finish(&mut sink).expect("finished");
    assert!(muxer.finish(&mut sink).is_err());
}

#[test]
fn a_name_that_no_container_has_is_refused() {
    let error = create("avi", &MuxOptions::default()).err().expect("none");
    assert!(error.to_string().contains("mpegts"), "{error}");
    let muxer = create("mpegts", &MuxOptions::default()).expect("a muxer");
    assert_eq!(muxer.container(), "mpegts");
}

/// Fails after a number of writes.
struct Broken(usize);

impl Sink for Broken {
    fn write(&mut self, _data: Bytes) -> std::io::Result<()> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn patch(&mut self, _offset: u64, _data: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn insert(&mut self, _offset: u64, _data: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_sink_that_fails_is_told_whenever_it_does() {
    for name in ["mpegts", "fmp4", "mp4", "ivf"] {
        for writes in 0..4 {
            let mut muxer = create(name, &MuxOptions::default()).expect("a muxer");
            let track = match name {
                "ivf" => video("vp8", 64, 48),
                _ => audio("mp3", 48_000, 2),
            };
            muxer.add_track(track).expect("a codec");
            let frame = [&[0xff, 0xfb, 0x14, 0xc0][..], &[0; 92]].concat();
            let mut sink = Broken(writes);
            let mut result = Ok(());
            for index in 0..2000_i64 {
                let packet = packet(ChunkKind::Key, index * 24_000, 24_000, frame.clone());
                result = result.and_then(|()| muxer.write(0, packet, &mut sink));
            }
            let result = result.and_then(|()| muxer.finish(&mut sink));
            assert!(matches!(result, Err(MuxError::Io(_))), "{name}: {result:?}");
        }
    }
}
