//! Matroska and WebM against what ffprobe says of files that ffmpeg makes, and of WPT's.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/clips.rs"]
mod made;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use made::{Probed, assert_same_data, ffmpeg, ffprobe};
use reelcore_conformance::web_platform_tests;
use reelcore_containers::{BytesSource, FileSource, StreamLimits, open, stream};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, Packet, Source, TrackKind};
use support::{open_bytes, packets};

/// A picture that moves, and a tone.
const INPUTS: [&str; 8] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=s=160x120:r=25:d=3",
    "-f",
    "lavfi",
    "-i",
    "sine=440:d=3",
];

/// Name, further arguments, codec strings, and the codec delay of each track in microseconds.
type Clip = (&'static str, &'static str, &'static [(&'static str, i64)]);

const CLIPS: [Clip; 10] = [
    (
        "vp8-opus.webm",
        "-c:v libvpx -deadline realtime -g 20 -c:a libopus -cluster_time_limit 500",
        &[("vp8", 0), ("opus", 6500)],
    ),
    (
        "vp9-vorbis.webm",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libvorbis -cluster_time_limit 700",
        &[("vp09.00.10.08", 0), ("vorbis", 0)],
    ),
    (
        "av1-opus.webm",
        "-c:v libsvtav1 -preset 12 -g 25 -c:a libopus -b:a 32k",
        &[("av01.0.00M.08", 0), ("opus", 6500)],
    ),
    (
        "h264-flac.mkv",
        "-c:v libx264 -preset veryfast -bf 2 -g 20 -c:a flac",
        &[("avc1.64000b", 0), ("flac", 0)],
    ),
    (
        "hevc-aac.mkv",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:keyint=20 -c:a aac",
        &[("hev1.1.6.L30.90", 0), ("mp4a.40.2", 0)],
    ),
    (
        "h264-mp3.mkv",
        "-c:v libx264 -preset ultrafast -c:a libmp3lame -shortest -live 1",
        &[("avc1.42c00b", 0), ("mp3", 0)],
    ),
    (
        "pcm.mkv",
        "-map 1:a -map 1:a -map 1:a -map 1:a -map 1:a -map 1:a -map 1:a -c:a:0 pcm_u8 -c:a:1 pcm_s16le -c:a:2 pcm_s24le \
         -c:a:3 pcm_s32le -c:a:4 pcm_f32le -c:a:5 pcm_alaw -c:a:6 pcm_mulaw",
        &[
            ("pcm-u8", 0),
            ("pcm-s16", 0),
            ("pcm-s24", 0),
            ("pcm-s32", 0),
            ("pcm-f32", 0),
            ("alaw", 0),
            ("ulaw", 0),
        ],
    ),
    // As a pipe is written: nothing is gone back to, so that sizes are unknown and there are no Cues.
    (
        "piped.webm",
        "-c:v libvpx -deadline realtime -g 20 -c:a libvorbis -cluster_time_limit 400 -seekable 0",
        &[("vp8", 0), ("vorbis", 0)],
    ),
    // Times that are no whole milliseconds.
    (
        "h264-film.mkv",
        "-r 24000/1001 -c:v libx264 -preset veryfast -bf 3 -b-pyramid normal -g 24 -c:a aac -ar 44100",
        &[("avc1.64000b", 0), ("mp4a.40.2", 0)],
    ),
    (
        "opus-frames.webm",
        "-map 1:a -map 1:a -c:a libopus -frame_duration:a:0 60 -frame_duration:a:1 2.5",
        &[("opus", 6500), ("opus", 6500)],
    ),
];

fn make(clip: &Clip) -> PathBuf {
    let args: Vec<&str> = INPUTS
        .into_iter()
        .chain(clip.1.split_whitespace())
        .collect();
    ffmpeg(clip.0, &args)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the clip")
}

/// The time of a packet without the rounding that FFmpeg puts on the codec delay.
fn exact(ticks: i64, delay: i64) -> i64 {
    (ticks + (delay + 500) / 1000) * 1000 - delay
}

fn assert_packets(name: &str, all: &[Packet], probed: &[Probed], delay: i64, reordered: bool) {
    assert_eq!(all.len(), probed.len(), "{name}: packets");
    for (i, (packet, want)) in all.iter().zip(probed).enumerate() {
        let what = format!("{name}: packet {i}");
        assert_same_data(packet, want, &what);
        let pts = exact(want.pts.expect("pts"), delay);
        assert_eq!(packet.chunk.timestamp, pts, "{what}: pts");
        // FFmpeg does not know the decode time of the first ones that it reorders.
        if let Some(dts) = want.dts {
            assert_eq!(packet.decode_time, exact(dts, delay), "{what}: dts");
        }
        if !reordered {
            assert_eq!(packet.decode_time, pts, "{what}: in order");
        }
        assert!(packet.decode_time <= packet.chunk.timestamp, "{what}");
        // The last packet of a track has no next one to end at.
        if let (Some(ours), Some(ticks)) = (packet.chunk.duration, want.duration)
            && i + 1 < all.len()
        {
            let off = (ours as i64 - ticks * 1000).abs();
            assert!(off <= 1000, "{what}: duration {ours}, want {ticks} ms");
        }
    }
}

#[test]
fn every_packet_of_every_clip_is_what_ffprobe_sees() {
    for clip in &CLIPS {
        let (name, _, tracks) = clip;
        let path = make(clip);
        let demuxer = open_bytes(read(&path)).expect(name);
        let container = if name.ends_with("webm") {
            "webm"
        } else {
            "matroska"
        };
        assert_eq!(demuxer.container(), container);
        assert_eq!(demuxer.tracks().len(), tracks.len(), "{name}");
        let probed = ffprobe(&path, tracks.len());
        for (index, &(codec, delay)) in tracks.iter().enumerate() {
            let track = &demuxer.tracks()[index];
            let found = track.codec.as_deref().unwrap_or_default();
            assert!(found.starts_with(codec), "{name}: {found}, want {codec}");
            let reordered = name.starts_with('h') && index == 0;
            let all = packets(&demuxer, index).expect(name);
            assert_packets(name, &all, &probed[index], delay, reordered);
        }
    }
}

/// Memory that does not lend itself, so that it is read as a file is.
struct Unshared(BytesSource);

impl Source for Unshared {
    fn len(&self) -> std::io::Result<Option<u64>> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer)
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
fn files_memory_and_streams_give_the_same_packets_and_memory_is_not_copied() {
    for clip in &CLIPS {
        let name = clip.0;
        let path = make(clip);
        let bytes = Bytes::from(read(&path));
        let range = bytes.as_ptr_range();
        let memory = open(Arc::new(BytesSource::new(bytes.clone()))).expect(name);
        let file = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        let unshared = open(Arc::new(Unshared(BytesSource::new(bytes.clone())))).expect(name);
        let stream = streamed(&bytes);
        for index in 0..clip.2.len() {
            let want = packets(&memory, index).expect(name);
            assert!(
                want.iter().all(|p| range.contains(&p.chunk.data.as_ptr())),
                "{name}: a packet was copied"
            );
            for other in [&file, &unshared, &stream] {
                assert_eq!(
                    packets(other, index).expect(name),
                    want,
                    "{name}, track {index}"
                );
            }
            assert_eq!(stream.tracks()[index].codec, memory.tracks()[index].codec);
        }
    }
}

/// A small generator of numbers (xorshift64*), the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as i64 % bound
    }
}

/// The packet that a seek to `time` should find.
fn linear(all: &[Packet], time: i64) -> usize {
    let key = |p: &&Packet| p.chunk.kind == ChunkKind::Key;
    let last = all
        .iter()
        .rposition(|p| key(&p) && p.chunk.timestamp <= time);
    last.or(all.iter().position(|p| key(&p)))
        .expect("a key packet")
}

fn assert_seeks(name: &str, demuxer: &Arc<dyn Demuxer>, times: impl Iterator<Item = i64>) {
    let times: Vec<i64> = times.chain([i64::MIN, -1, 0, 1, i64::MAX]).collect();
    for index in 0..demuxer.tracks().len() {
        let all = packets(demuxer, index).expect(name);
        let mut reader = Arc::clone(demuxer).reader(index).expect(name);
        let audio = matches!(demuxer.tracks()[index].kind, TrackKind::Audio { .. });
        for &time in &times {
            let what = format!("{name}, track {index}, seek to {time}");
            let want = &all[linear(&all, time)..];
            let found = reader.seek(time).expect(&what);
            assert_eq!(found, Some(want[0].chunk.timestamp), "{what}");
            let mut settled = 0;
            let mut next = reader.next_sample().expect(&what).expect(&what);
            while next.offset != want[0].offset {
                assert!(
                    audio && next.chunk.timestamp < want[0].chunk.timestamp,
                    "{what}"
                );
                assert!(!next.presented, "{what}: lets the decoder settle");
                settled += next.chunk.duration.unwrap_or(0);
                next = reader.next_sample().expect(&what).expect(&what);
            }
            let opus = demuxer.tracks()[index].codec.as_deref() == Some("opus");
            let start = want[0].chunk.timestamp - all[0].chunk.timestamp;
            // 80 ms, or what there is; times are rounded to milliseconds.
            let least = if opus { start.min(80_000) - 1000 } else { 0 };
            assert!(settled as i64 >= least, "{what}: {settled} us to settle");
            for want in want.iter().take(4) {
                assert_eq!(next.chunk.data, want.chunk.data, "{what}");
                assert_eq!(next.chunk.timestamp, want.chunk.timestamp, "{what}");
                assert_eq!(next.chunk.side, want.chunk.side, "{what}");
                match reader.next_sample().expect(&what) {
                    Some(after) => next = after,
                    None => break,
                }
            }
        }
    }
}

#[test]
fn a_seek_finds_what_a_look_at_every_packet_finds() {
    let mut random = Random(0x5eed);
    for clip in &CLIPS {
        let bytes = read(&make(clip));
        let hidden = hide(&bytes, &[0x1c, 0x53, 0xbb, 0x6b]);
        for (what, bytes) in [("with Cues", bytes), ("without Cues", hidden)] {
            let name = format!("{} {what}", clip.0);
            let times: Vec<i64> = (0..60).map(|_| random.below(3_200_000)).collect();
            let bytes = Bytes::from(bytes);
            let memory = open(Arc::new(BytesSource::new(bytes.clone()))).expect(&name);
            assert_seeks(&name, &memory, times.iter().copied());
            let file = open(Arc::new(Unshared(BytesSource::new(bytes.clone())))).expect(&name);
            assert_seeks(&name, &file, times.iter().copied());
            let name = format!("{name}, a stream");
            assert_seeks(&name, &streamed(&bytes), times.iter().copied());
        }
    }
}

/// The bytes with every element of a four-byte ID made one that nobody knows.
fn hide(bytes: &[u8], id: &[u8; 4]) -> Vec<u8> {
    let mut hidden = bytes.to_vec();
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == id[..] {
            hidden[at + 3] ^= 0x0f;
        }
    }
    hidden
}

#[test]
fn opus_is_trimmed_at_both_ends_to_the_length_of_the_input() {
    for (name, args, tracks) in [CLIPS[0], CLIPS[2], CLIPS[9]] {
        let demuxer = open_bytes(read(&make(&(name, args, tracks)))).expect(name);
        for index in 0..tracks.len() {
            if demuxer.tracks()[index].codec.as_deref() != Some("opus") {
                continue;
            }
            let all = packets(&demuxer, index).expect(name);
            let (mut frames, mut dropped) = (0, Duration::ZERO);
            for packet in &all {
                let toc = packet.chunk.data[0] >> 3;
                let frame = match toc {
                    0..=11 => [480, 960, 1920, 2880][usize::from(toc & 3)],
                    12..=15 => [480, 960][usize::from(toc & 1)],
                    _ => 120 << (toc & 3),
                };
                frames += frame
                    * match packet.chunk.data[0] & 3 {
                        0 => 1,
                        3 => u64::from(packet.chunk.data[1] & 63),
                        _ => 2,
                    };
                if let Some(side) = &packet.chunk.side {
                    dropped += side.discard_start + side.discard_end;
                }
            }
            let dropped = (dropped.as_secs_f64() * 48_000.0).round() as u64;
            // The sine's 3 s of 44.1 kHz at 48 kHz, as the resampler gives them.
            let kept = frames - dropped;
            assert!(kept.abs_diff(144_000) <= 48, "{name}: {kept} frames");
            let first = all[0].chunk.side.as_ref().expect("a delay").discard_start;
            assert!(first >= Duration::from_micros(2500), "{first:?}");
        }
    }
}

#[test]
fn alpha_comes_with_each_packet_as_a_picture_of_its_own() {
    let args = "-f lavfi -i testsrc2=s=64x48:r=10:d=1,format=yuva420p -c:v libvpx -auto-alt-ref 0 -pix_fmt yuva420p";
    let args: Vec<&str> = args.split_whitespace().collect();
    let path = ffmpeg("alpha.webm", &args);
    let bytes = Bytes::from(read(&path));
    let demuxer = open(Arc::new(BytesSource::new(bytes.clone()))).expect("opens");
    let all = packets(&demuxer, 0).expect("packets");
    let probed = ffprobe(&path, 1);
    assert_packets("alpha.webm", &all, &probed[0], 0, false);
    assert_eq!(all.len(), 10);
    for packet in &all {
        let side = packet.chunk.side.as_ref().expect("alpha");
        let alpha = side.alpha.as_ref().expect("alpha");
        // The alpha picture is a key frame where the picture is one.
        let key = packet.chunk.kind == ChunkKind::Key;
        assert_eq!(alpha[0] & 1 == 0, key);
        assert!(
            bytes.as_ptr_range().contains(&alpha.as_ptr()),
            "alpha was copied"
        );
    }
    let stream = streamed(&bytes);
    assert_eq!(packets(&stream, 0).expect("packets"), all);
}

#[test]
fn laced_packets_of_vorbis_have_the_times_that_they_have_on_their_own() {
    let path = make(&CLIPS[1]);
    let demuxer = open_bytes(read(&path)).expect("opens");
    let all = packets(&demuxer, 1).expect("packets");
    let private = demuxer.tracks()[1]
        .description
        .clone()
        .expect("three headers");
    // Eight packets to a block, as mkvmerge laces them.
    let blocks: Vec<Vec<u8>> = all
        .chunks(8)
        .map(|laced| {
            let mut body = vec![laced.len() as u8 - 1];
            for packet in &laced[..laced.len() - 1] {
                let size = packet.chunk.data.len();
                body.extend(vec![255; size / 255]);
                body.push((size % 255) as u8);
            }
            for packet in laced {
                body.extend(&packet.chunk.data);
            }
            ebml::simple(1, (laced[0].chunk.timestamp / 1000) as i16, 0x82, &body)
        })
        .collect();
    let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let headers = ebml::el(0x63A2, &[&private]);
    let entry = ebml::track(1, 2, "A_VORBIS", &[&headers, &ebml::audio(44_100.0, 1, 0)]);
    let bytes = ebml::file(&[
        &ebml::info(),
        &ebml::tracks(&[&entry]),
        &ebml::cluster(0, &blocks),
    ]);
    let laced = packets(&open_bytes(bytes).expect("valid"), 0).expect("valid");
    assert_eq!(laced.len(), all.len());
    for (i, (ours, want)) in laced.iter().zip(&all).enumerate() {
        assert_eq!(ours.chunk.data, want.chunk.data, "packet {i}");
        let off = (ours.chunk.timestamp - want.chunk.timestamp).abs();
        // The first packet gives nothing, and the two sizes of blocks alternate there.
        let tolerance = if i < 8 { 20_000 } else { 1000 };
        assert!(off <= tolerance, "packet {i}: {off} us");
        assert!(i % 8 == 7 || ours.chunk.duration.is_some(), "packet {i}");
    }
}

#[test]
fn tags_and_durations_are_those_of_the_file() {
    let mut args: Vec<&str> = INPUTS.to_vec();
    args.extend(
        "-c:v libvpx -deadline realtime -c:a libopus -metadata title=Film -metadata ARTIST=Who"
            .split(' '),
    );
    args.extend([
        "-metadata:s:a:0",
        "language=fre",
        "-metadata",
        "comment=a b",
    ]);
    let demuxer = open_bytes(read(&ffmpeg("tags.webm", &args))).expect("opens");
    let tag = |name: &str| {
        let found = demuxer.tags().iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(tag("title"), Some("Film"));
    assert_eq!(tag("artist"), Some("Who"));
    assert_eq!(tag("comment"), Some("a b"));
    assert!(tag("encoder").is_some(), "{:?}", demuxer.tags());
    assert_eq!(demuxer.tracks()[1].language.as_deref(), Some("fre"));
    assert_eq!(demuxer.tracks()[0].language, None);
    let duration = demuxer.duration().expect("a duration");
    assert!(duration.abs_diff(3_000_000) < 40_000, "{duration}");
    let video = demuxer.tracks()[0].duration.expect("a duration");
    assert!(video.abs_diff(3_007_000) < 40_000, "{video}");
}

#[test]
fn the_media_of_wpt_read_as_ffprobe_reads_them() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    let path = folder.join("vp8.webm");
    let demuxer = open(Arc::new(FileSource::open(&path).expect("file"))).expect("opens");
    let probed = ffprobe(&path, demuxer.tracks().len());
    for (index, probed) in probed.iter().enumerate() {
        let all = packets(&demuxer, index).expect("packets");
        assert_packets("vp8.webm", &all, probed, 0, false);
    }
}
