//! Sound files that ffmpeg makes, and how long they sound.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::demux::{Demuxer, Packet};

use super::made::ffmpeg;

pub struct Clip {
    pub name: &'static str,
    /// Seconds and sample rate of the noise that is coded.
    pub input: (f64, u32),
    pub args: &'static str,
    pub container: &'static str,
    pub codec: &'static str,
    /// Ticks a second of ffprobe's times.
    pub ticks: i64,
    /// Bytes of the description.
    pub description: Option<usize>,
}

pub const fn clip(
    name: &'static str,
    input: (f64, u32),
    args: &'static str,
    container: &'static str,
    codec: &'static str,
    ticks: i64,
    description: Option<usize>,
) -> Clip {
    Clip {
        name,
        input,
        args,
        container,
        codec,
        ticks,
        description,
    }
}

pub const CLIPS: [Clip; 24] = [
    clip(
        "opus.ogg",
        (7.31, 48_000),
        "-ac 2 -c:a libopus",
        "ogg",
        "opus",
        48_000,
        Some(19),
    ),
    clip(
        "long.opus",
        (40.0, 48_000),
        "-ac 2 -c:a libopus -b:a 256k",
        "ogg",
        "opus",
        48_000,
        Some(19),
    ),
    clip(
        "short-frames.opus",
        (3.3, 48_000),
        "-ac 1 -c:a libopus -frame_duration 2.5",
        "ogg",
        "opus",
        48_000,
        Some(19),
    ),
    clip(
        "surround.opus",
        (2.5, 48_000),
        "-ac 6 -c:a libopus -mapping_family 1",
        "ogg",
        "opus",
        48_000,
        Some(27),
    ),
    clip(
        "opus-of-one-page.ogg",
        (0.05, 48_000),
        "-c:a libopus",
        "ogg",
        "opus",
        48_000,
        Some(19),
    ),
    clip(
        "vorbis.ogg",
        (7.31, 44_100),
        "-ac 2 -c:a libvorbis",
        "ogg",
        "vorbis",
        44_100,
        None,
    ),
    clip(
        "long-vorbis.ogg",
        (30.0, 44_100),
        "-ac 2 -c:a libvorbis -q:a 8",
        "ogg",
        "vorbis",
        44_100,
        None,
    ),
    clip(
        "vorbis-mono.ogg",
        (2.2, 22_050),
        "-ac 1 -c:a libvorbis",
        "ogg",
        "vorbis",
        22_050,
        None,
    ),
    clip(
        "flac.oga",
        (10.1, 44_100),
        "-ac 2 -c:a flac",
        "ogg",
        "flac",
        44_100,
        Some(42),
    ),
    clip(
        "flac.flac",
        (7.3, 44_100),
        "-ac 1 -c:a flac",
        "flac",
        "flac",
        44_100,
        Some(42),
    ),
    clip(
        "long.flac",
        (20.0, 48_000),
        "-ac 2 -c:a flac",
        "flac",
        "flac",
        48_000,
        Some(42),
    ),
    clip(
        "24-bit.flac",
        (3.0, 96_000),
        "-ac 2 -c:a flac -sample_fmt s32 -frame_size 1000",
        "flac",
        "flac",
        96_000,
        Some(42),
    ),
    clip(
        "cbr.mp3",
        (7.31, 44_100),
        "-ac 2 -c:a libmp3lame -b:a 128k",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "vbr.mp3",
        (20.0, 48_000),
        "-ac 2 -c:a libmp3lame -q:a 4",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "mpeg-2.mp3",
        (5.0, 22_050),
        "-ac 1 -c:a libmp3lame -b:a 32k",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "mpeg-2.5.mp3",
        (5.0, 8000),
        "-ac 1 -c:a libmp3lame -b:a 16k",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "bare.mp3",
        (5.0, 44_100),
        "-ac 1 -c:a libmp3lame -write_xing 0 -id3v2_version 0",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "version-1.mp3",
        (3.0, 44_100),
        "-ac 1 -c:a libmp3lame -id3v2_version 3 -write_id3v1 1",
        "mp3",
        "mp3",
        14_112_000,
        None,
    ),
    clip(
        "stereo.aac",
        (7.0, 48_000),
        "-ac 2 -c:a aac",
        "adts",
        "mp4a.40.2",
        28_224_000,
        None,
    ),
    clip(
        "mono.adts",
        (3.0, 22_050),
        "-ac 1 -c:a aac -f adts",
        "adts",
        "mp4a.40.2",
        28_224_000,
        None,
    ),
    clip(
        "s16.wav",
        (7.31, 44_100),
        "-ac 2 -c:a pcm_s16le",
        "wav",
        "pcm-s16",
        44_100,
        None,
    ),
    clip(
        "s24.wav",
        (2.0, 48_000),
        "-ac 6 -c:a pcm_s24le",
        "wav",
        "pcm-s24",
        48_000,
        None,
    ),
    clip(
        "f32-rf64.wav",
        (2.0, 48_000),
        "-ac 2 -c:a pcm_f32le -rf64 always",
        "wav",
        "pcm-f32",
        48_000,
        None,
    ),
    clip(
        "alaw.w64",
        (2.0, 8000),
        "-ac 1 -c:a pcm_alaw",
        "wav",
        "alaw",
        8000,
        None,
    ),
];

pub fn make(clip: &Clip) -> PathBuf {
    let (seconds, rate) = clip.input;
    let input = format!("anoisesrc=d={seconds}:r={rate}:c=pink:a=0.3:seed=7");
    let tags = "-metadata title=One -metadata artist=Two -metadata track=3";
    let mut args = vec!["-f", "lavfi", "-i", &input, "-ar"];
    let rate = rate.to_string();
    args.push(&rate);
    args.extend(clip.args.split_whitespace());
    args.extend(tags.split_whitespace());
    ffmpeg(clip.name, &args)
}

pub fn streamed(bytes: &Bytes) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    for at in (0..bytes.len()).step_by(777) {
        feed.push(bytes.slice(at..bytes.len().min(at + 777)));
    }
    feed.finish();
    open(Arc::new(source)).expect("a stream")
}

/// Samples that last `nanos`.
pub fn samples(nanos: u128, rate: u32) -> i64 {
    ((nanos * u128::from(rate) + 500_000_000) / 1_000_000_000) as i64
}

/// Samples before the packet, in it, and what of them is heard.
pub fn heard(packet: &Packet, rate: u32) -> i64 {
    if !packet.presented {
        return 0;
    }
    let duration = packet.chunk.duration.expect("a duration");
    let side = packet.chunk.side.clone().unwrap_or_default();
    samples(u128::from(duration) * 1000, rate) - samples(side.discard_start.as_nanos(), rate)
}

/// Seeks to `time` and reads what follows: it must be what reading from the start finds.
pub fn check_seek(
    demuxer: &Arc<dyn Demuxer>,
    track: usize,
    all: &[Packet],
    times: &[i64],
    what: &str,
) {
    let mut reader = Arc::clone(demuxer).reader(track).expect(what);
    for &time in times {
        let at = all
            .iter()
            .rposition(|packet| packet.chunk.timestamp <= time)
            .unwrap_or(0);
        let what = format!("{what}, seek to {time}, packet {at}");
        let found = reader.seek(time).expect(&what);
        assert_eq!(found, Some(all[at].chunk.timestamp), "{what}");
        let mut lead = Vec::new();
        let first = loop {
            let packet = reader
                .next_sample()
                .expect(&what)
                .expect("the packet that was found");
            if packet.offset == all[at].offset {
                break packet;
            }
            lead.push(packet);
        };
        assert_eq!(first, all[at], "{what}");
        let before = &all[at - lead.len()..at];
        for (have, want) in lead.iter().zip(before) {
            assert!(!have.presented, "{what}: what comes before is not heard");
            assert_eq!(have.chunk.data, want.chunk.data, "{what}");
            assert_eq!(have.chunk.timestamp, want.chunk.timestamp, "{what}");
            let side = have.chunk.side.clone().unwrap_or_default();
            assert!(side.discard_start.as_secs() > 1, "{what}");
        }
        // What the decoder needs before it can be heard.
        let pre_roll = match demuxer.tracks()[track].codec.as_deref() {
            Some("opus") => 80_000,
            Some("vorbis" | "mp3" | "mp4a.40.2") => 1,
            _ => 0,
        };
        let begin = lead.first().unwrap_or(&first).chunk.timestamp;
        let enough = first.chunk.timestamp - begin >= pre_roll || lead.len() == at;
        assert!(enough, "{what}: {} packets lead in", lead.len());
        for want in all.iter().skip(at + 1).take(5) {
            let packet = reader.next_sample().expect(&what).expect(&what);
            assert_eq!(packet, *want, "{what}");
        }
    }
}
