//! Matroska and WebM that are written are read back, by our demuxer and by ffprobe.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{ffprobe, open_bytes, packet, save, to_memory, to_stream, tracks, video};
use reelcore_containers::matroska::MatroskaMuxer;
use reelcore_containers::mux::{MemorySink, QueueSink};
use reelcore_containers::{FileSource, StreamLimits, open, stream};
use reelcore_media::codec_string::VideoCodec;
use reelcore_media::demux::{Demuxer, Packet, Track, TrackKind};
use reelcore_media::mux::{MuxOptions, Muxer, OutputKind, OutputPacket};
use reelcore_media::{ChunkKind, SideData};

type Source = Vec<(Track, Vec<Packet>)>;

fn read(path: PathBuf) -> Source {
    let source = Arc::new(FileSource::open(&path).expect("a file"));
    tracks(&open(source).expect("a container"))
}

fn make(name: &str, args: &str) -> Source {
    let picture = "testsrc2=s=128x96:r=25:d=2";
    let sound = "sine=440:d=2:sample_rate=44100";
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    let args: Vec<&str> = inputs.into_iter().chain(args.split_whitespace()).collect();
    read(ffmpeg(name, &args))
}

/// Whether WebM, and what other containers and codecs give.
fn sources() -> Vec<(&'static str, bool, Source)> {
    let x264 = "-c:v libx264 -preset veryfast -bf 3 -g 20 -pix_fmt yuv420p";
    vec![
        (
            "vp8-opus.webm",
            true,
            make(
                "vp8-opus.webm",
                "-c:v libvpx -deadline realtime -g 20 -c:a libopus",
            ),
        ),
        (
            "vp9-vorbis.webm",
            true,
            make(
                "vp9-vorbis.webm",
                "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libvorbis",
            ),
        ),
        (
            "opus-short.webm",
            true,
            make(
                "opus-short.webm",
                "-map 1:a -map 1:a -c:a libopus -frame_duration:a:0 60 -frame_duration:a:1 2.5",
            ),
        ),
        ("opus.ogg", true, make("opus.ogg", "-map 1:a -c:a libopus")),
        (
            "vorbis.ogg",
            true,
            make("vorbis.ogg", "-map 1:a -c:a libvorbis"),
        ),
        (
            "avc-aac.mp4",
            false,
            make("avc-aac.mp4", &format!("{x264} -c:a aac")),
        ),
        (
            "avc-flac.mkv",
            false,
            make("avc-flac.mkv", &format!("{x264} -c:a flac")),
        ),
        (
            "hevc-mp3.mp4",
            false,
            make(
                "hevc-mp3.mp4",
                "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=20:pools=1 -tag:v hvc1 -c:a libmp3lame",
            ),
        ),
        (
            "pcm.mkv",
            false,
            make(
                "pcm.mkv",
                "-map 1:a -map 1:a -map 1:a -map 1:a -map 1:a -c:a:0 pcm_u8 -c:a:1 pcm_s24le -c:a:2 pcm_f32le -c:a:3 pcm_alaw -c:a:4 pcm_mulaw",
            ),
        ),
        ("av1.mp4", false, read(support::clips().join("av1.mp4"))),
        (
            "av1-10bit.mp4",
            false,
            read(support::clips().join("av1-10bit.mp4")),
        ),
        (
            "h264-rotated.mp4",
            false,
            read(support::clips().join("h264-rotated.mp4")),
        ),
        (
            "h264-aac.mp4",
            false,
            read(support::clips().join("h264-aac.mp4")),
        ),
    ]
}

fn muxer(webm: bool, options: MuxOptions) -> MatroskaMuxer {
    match webm {
        true => MatroskaMuxer::webm(options),
        false => MatroskaMuxer::matroska(options),
    }
}

/// As much as half a tick, and a microsecond for what is rounded on both sides.
fn slack(webm: bool, source: &Source) -> u64 {
    let pictures = source
        .iter()
        .any(|(track, _)| matches!(track.kind, TrackKind::Video { .. }));
    if webm && pictures { 501 } else { 6 }
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn compare(name: &str, source: &Source, got: &Source, slack: u64) {
    assert_eq!(source.len(), got.len(), "{name}: tracks");
    for (number, ((track, want), (got_track, got))) in source.iter().zip(got).enumerate() {
        let what = format!("{name}, track {number}");
        assert_eq!(track.codec, got_track.codec, "{what}");
        assert_eq!(track.description, got_track.description, "{what}");
        match (&track.kind, &got_track.kind) {
            (
                TrackKind::Video {
                    display_aspect: a,
                    rotation,
                    flip,
                    color_space,
                    coded_size,
                    ..
                },
                TrackKind::Video {
                    display_aspect: b,
                    rotation: r,
                    flip: f,
                    color_space: c,
                    coded_size: s,
                    ..
                },
            ) => {
                assert_eq!((rotation, flip, coded_size), (r, f, s), "{what}");
                assert_eq!(color_space, c, "{what}");
                let (x, y) = (
                    u64::from(a.width) * u64::from(b.height),
                    u64::from(a.height) * u64::from(b.width),
                );
                assert_eq!(x, y, "{what}: aspect");
            }
            (a, b) => assert_eq!(a, b, "{what}"),
        }
        assert_eq!(track.language, got_track.language, "{what}");
        assert_eq!(want.len(), got.len(), "{what}: packets");
        for (index, (want, got)) in want.iter().zip(got).enumerate() {
            let what = format!("{what}, packet {index}");
            assert_eq!(want.chunk.kind, got.chunk.kind, "{what}");
            let data = match track.codec.as_deref() {
                // Without the temporal delimiter.
                Some(codec) if codec.starts_with("av01") => want
                    .chunk
                    .data
                    .strip_prefix(&[0x12, 0])
                    .unwrap_or(&want.chunk.data),
                _ => &want.chunk.data,
            };
            assert!(data == got.chunk.data, "{what}: the bytes");
            let apart = want.chunk.timestamp.abs_diff(got.chunk.timestamp);
            assert!(
                apart <= slack,
                "{what}: {} {}",
                want.chunk.timestamp,
                got.chunk.timestamp
            );
            if let (Some(length), Some(got)) = (want.chunk.duration, got.chunk.duration) {
                // With what is dropped of the last one, or without.
                let side = want.chunk.side.as_ref();
                let more = side.map_or(0, |side| micros(side.discard_end));
                let apart = length.abs_diff(got).min((length + more).abs_diff(got));
                assert!(apart <= 2 * slack, "{what}: {length} {got}");
            } else {
                // The last packet of Vorbis, and the first, which gives no sound.
                assert_eq!(want.chunk.duration.unwrap_or(0), 0, "{what}");
            }
            // Of the first packet of Vorbis nothing comes out.
            if want.chunk.duration == Some(0) {
                continue;
            }
            assert_eq!(want.presented, got.presented, "{what}");
            let none = SideData::default();
            let a = want.chunk.side.as_deref().unwrap_or(&none);
            let b = got.chunk.side.as_deref().unwrap_or(&none);
            assert_eq!(a.alpha, b.alpha, "{what}");
            assert!(
                a.discard_end.abs_diff(b.discard_end) <= Duration::from_micros(1),
                "{what}: {a:?} {b:?}"
            );
            // All of a packet is no less than more.
            let most = got.chunk.duration.unwrap_or(u64::MAX);
            let start = micros(a.discard_start).min(most);
            let got_start = micros(b.discard_start).min(most);
            assert!(start.abs_diff(got_start) <= 2, "{what}: {a:?} {b:?}");
        }
    }
}

fn check_with_ffprobe(name: &str, source: &Source, bytes: &[u8]) {
    let file = save(name, bytes);
    let streams = ffprobe(&file);
    assert_eq!(streams.len(), source.len(), "{name}");
    for ((fields, count), (track, want)) in streams.iter().zip(source) {
        assert_eq!(*count, want.len(), "{name}: {fields:?}");
        let codec = fields.get("codec_name").map_or("", String::as_str);
        let string = track.codec.as_deref().unwrap_or_default();
        let known = match codec {
            "h264" => "avc",
            "hevc" => "h",
            "vp9" => "vp09",
            "av1" => "av01",
            "aac" => "mp4a",
            "pcm_u8" => "pcm-u8",
            "pcm_s24le" => "pcm-s24",
            "pcm_f32le" => "pcm-f32",
            "pcm_alaw" => "alaw",
            "pcm_mulaw" => "ulaw",
            same => same,
        };
        assert!(string.starts_with(known), "{name}: {codec} {string}");
    }
}

/// Microseconds at which the sound and the pictures end.
fn end(source: &Source) -> i64 {
    let ends = source
        .iter()
        .flat_map(|(_, packets)| packets)
        .map(|packet| {
            let dropped = packet
                .chunk
                .side
                .as_ref()
                .map_or(0, |s| micros(s.discard_end));
            packet.chunk.timestamp + packet.chunk.duration.unwrap_or(0) as i64 - dropped as i64
        });
    ends.max().unwrap_or(0)
}

#[test]
fn files_are_read_back_with_every_codec_and_ffprobe_does_not_warn() {
    for (name, webm, source) in sources() {
        for decode_times in [false, true] {
            let bytes = to_memory(&source, muxer(webm, MuxOptions::default()), decode_times);
            let demuxer = open_bytes(bytes.clone());
            assert_eq!(demuxer.container(), if webm { "webm" } else { "matroska" });
            compare(name, &source, &tracks(&demuxer), slack(webm, &source));
            let duration = demuxer.duration().expect("a duration");
            assert!(
                duration.abs_diff(end(&source).unsigned_abs()) <= 30_000,
                "{name}: {duration} {}",
                end(&source)
            );
            let file = format!(
                "{}.{}",
                name.replace('.', "-"),
                if webm { "webm" } else { "mkv" }
            );
            if !decode_times {
                check_with_ffprobe(&file, &source, &bytes);
            }
        }
    }
}

/// A stream in which all of `bytes` has arrived, in pieces.
fn streamed(bytes: &Bytes) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    for at in (0..bytes.len()).step_by(1000) {
        feed.push(bytes.slice(at..bytes.len().min(at + 1000)));
    }
    feed.finish();
    open(Arc::new(source)).expect("a stream")
}

#[test]
fn live_files_go_through_a_stream_into_a_stream() {
    for (name, webm, source) in sources() {
        let bytes = to_stream(&source, muxer(webm, MuxOptions::default()), false);
        let demuxer = streamed(&bytes);
        compare(name, &source, &tracks(&demuxer), slack(webm, &source));
        assert_eq!(demuxer.duration(), None, "{name}");
        // ffprobe warns that uncompressed sound alone has no duration: a live file has none.
        if name != "pcm.mkv" {
            check_with_ffprobe(&format!("live-{}", name.replace('.', "-")), &source, &bytes);
        }
        // A sink that can seek is not gone back in when the options say so.
        let options = MuxOptions {
            live: true,
            ..MuxOptions::default()
        };
        assert!(
            to_memory(&source, muxer(webm, options), false) == bytes,
            "{name}"
        );
    }
}

#[test]
fn each_packet_of_a_live_file_can_be_read_once_it_is_written() {
    let mut muxer = MatroskaMuxer::webm(MuxOptions::default());
    muxer.add_track(video("vp8", 64, 48)).expect("a track");
    let mut sink = QueueSink::new(1 << 20);
    let (feed, source) = stream(StreamLimits::default(), || {});
    let mut source = Some(source);
    let mut reader = None;
    for index in 0..5 {
        let kind = if index == 0 {
            ChunkKind::Key
        } else {
            ChunkKind::Delta
        };
        let out = packet(kind, index * 40_000, 40_000, vec![index as u8; 3000]);
        muxer.write(0, out, &mut sink).expect("written");
        while let Some(piece) = sink.take() {
            feed.push(piece);
        }
        let reader = reader.get_or_insert_with(|| {
            let source = source.take().expect("once");
            let demuxer = open(Arc::new(source)).expect("opens");
            demuxer.reader(0).expect("a reader")
        });
        let got = reader.next_sample().expect("valid").expect("a packet");
        assert_eq!(
            (got.chunk.timestamp, got.chunk.duration),
            (index * 40_000, Some(40_000))
        );
    }
}

#[test]
fn seeks_land_where_the_cues_say_in_front_and_behind() {
    let packets: Vec<(i64, bool)> = (0..500).map(|i| (i * 40_000, i % 50 == 0)).collect();
    for room in [0, 16, 40, 300, 1000] {
        let mut sink = MemorySink::default();
        let mut muxer = MatroskaMuxer::webm(MuxOptions::default()).with_room_for_cues(room);
        muxer.add_track(video("vp8", 64, 48)).expect("a track");
        for &(time, key) in &packets {
            let kind = if key {
                ChunkKind::Key
            } else {
                ChunkKind::Delta
            };
            let out = packet(kind, time, 40_000, vec![7; 400]);
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        let at = |id: &[u8]| bytes.windows(4).position(|four| four == id);
        // The SeekHead has their IDs first.
        let cluster = at(&[0x1f, 0x43, 0xb6, 0x75]).expect("a cluster");
        let cues = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, four)| *four == [0x1c, 0x53, 0xbb, 0x6b])
            .map(|(at, _)| at)
            .next_back()
            .expect("cues");
        assert_eq!(cues < cluster, room >= 300, "room of {room}");
        let demuxer = open_bytes(bytes.clone());
        assert_eq!(demuxer.duration(), Some(20_000_000));
        let mut reader = Arc::clone(&demuxer).reader(0).expect("a reader");
        for (target, want) in [
            (0, 0),
            (3_999_999, 2_000_000),
            (4_000_000, 4_000_000),
            (99_000_000, 18_000_000),
        ] {
            assert_eq!(
                reader.seek(target).expect("a seek"),
                Some(want),
                "room of {room}"
            );
            let got = reader.next_sample().expect("valid").expect("a packet");
            assert_eq!(got.chunk.timestamp, want);
        }
        let file = save(&format!("cues-{room}.webm"), &bytes);
        assert_eq!(ffprobe(&file)[0].1, 500);
    }
}

#[test]
fn alpha_is_written_beside_the_picture() {
    let args = "-f lavfi -i testsrc2=s=64x48:r=10:d=1,format=yuva420p -c:v libvpx -auto-alt-ref 0 -pix_fmt yuva420p";
    let args: Vec<&str> = args.split_whitespace().collect();
    let source = read(ffmpeg("alpha.webm", &args));
    for live in [false, true] {
        let mut sink = MemorySink::default();
        let options = MuxOptions {
            live,
            ..MuxOptions::default()
        };
        let mut muxer = MatroskaMuxer::webm(options);
        let mut track = muxed::output_track(&source[0].0).expect("a track");
        if let OutputKind::Video { alpha, .. } = &mut track.kind {
            *alpha = true;
        }
        muxer.add_track(track).expect("a codec");
        for packet in &source[0].1 {
            let out = OutputPacket::new(packet.chunk.clone());
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        compare("alpha", &source, &tracks(&open_bytes(bytes.clone())), 0);
        let file = save("alpha.webm", &bytes);
        let streams = ffprobe(&file);
        assert_eq!(streams[0].1, 10);
        assert!(
            format!("{:?}", streams[0].0)
                .to_lowercase()
                .contains("alpha_mode")
        );
    }
}

#[test]
fn alpha_of_a_track_that_was_said_to_have_none_is_left_out() {
    for webm in [true, false] {
        let mut muxer = match webm {
            true => MatroskaMuxer::webm(MuxOptions::default()),
            false => MatroskaMuxer::matroska(MuxOptions::default()),
        };
        let mut sink = MemorySink::default();
        let track = muxed::video("vp8", 64, 48);
        muxer.add_track(track).expect("a codec");
        for index in 0..5 {
            let mut out = muxed::packet(ChunkKind::Key, index * 40_000, 40_000, vec![7; 9]);
            out.chunk.side = Some(std::sync::Arc::new(reelcore_media::SideData {
                alpha: Some(bytes::Bytes::from_static(b"alpha")),
                ..Default::default()
            }));
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        // Additions to blocks that no track says there are.
        assert!(!bytes.windows(5).any(|w| w == b"alpha"), "webm: {webm}");
        let read = tracks(&open_bytes(bytes)).remove(0).1;
        assert_eq!(read.len(), 5);
        assert!(read.iter().all(|packet| packet.chunk.data[..] == [7; 9]));
    }
}

#[test]
fn start_codes_become_lengths_and_adts_raw_frames() {
    let x264 = "-c:v libx264 -preset veryfast -bf 3 -g 20 -pix_fmt yuv420p -c:a aac";
    let bytes = make("avc-adts.ts", x264);
    assert!(bytes.iter().all(|(track, _)| track.description.is_none()));
    let written = to_memory(
        &bytes,
        MatroskaMuxer::matroska(MuxOptions::default()),
        false,
    );
    let got = tracks(&open_bytes(written.clone()));
    check_with_ffprobe("avc-adts.mkv", &bytes, &written);
    for ((track, want), (got_track, got)) in bytes.iter().zip(&got) {
        assert!(got_track.description.is_some(), "{got_track:?}");
        assert_eq!(want.len(), got.len());
        if let Some(Ok(VideoCodec::Avc(_))) = track.codec.as_deref().map(VideoCodec::parse) {
            let shown = |packets: &[Packet]| -> Vec<i64> {
                packets
                    .iter()
                    .map(|packet| packet.chunk.timestamp - packets[0].chunk.timestamp)
                    .collect()
            };
            for (want, got) in shown(want).iter().zip(shown(got)) {
                assert!(want.abs_diff(got) <= 6, "{want} {got}");
            }
        }
    }
}

#[test]
fn another_avcc_puts_its_parameter_sets_before_the_picture() {
    let source = make(
        "avc-aac.mp4",
        "-c:v libx264 -preset veryfast -bf 3 -g 20 -pix_fmt yuv420p -c:a aac",
    );
    let (track, packets) = &source[0];
    let old = track.description.clone().expect("an avcC");
    let mut new = old.to_vec();
    // Another level.
    new[3] = new[3].wrapping_add(1);
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::matroska(MuxOptions::default());
    muxer
        .add_track(muxed::output_track(track).expect("a track"))
        .expect("a codec");
    for (index, packet) in packets.iter().enumerate() {
        let mut out = OutputPacket::new(packet.chunk.clone());
        out.description = match index {
            0 => Some(old.clone()),
            20 => Some(new.clone().into()),
            _ => None,
        };
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let got = tracks(&open_bytes(sink.into_bytes()));
    for (index, (want, got)) in packets.iter().zip(&got[0].1).enumerate() {
        if index == 20 {
            assert!(got.chunk.data.ends_with(&want.chunk.data));
            assert_eq!(got.chunk.data[4] & 31, 7, "a sequence parameter set first");
        } else {
            assert!(got.chunk.data == want.chunk.data);
        }
    }
}
