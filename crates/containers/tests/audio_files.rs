//! Ogg, WAV, FLAC, MP3 and ADTS against what ffprobe and ffmpeg say of files that ffmpeg makes, and of those of the Web
//! Platform Tests.

#[path = "support/clips.rs"]
mod made;
mod support;
#[path = "support/survival.rs"]
mod survival;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, ffprobe, md5};
use reelcore_conformance::web_platform_tests;
use reelcore_containers::{BytesSource, FileSource, StreamLimits, open, stream};
use reelcore_media::demux::{Demuxer, Packet, TrackKind};
use support::{open_bytes, packets};
use survival::Random;

struct Clip {
    name: &'static str,
    /// Seconds and sample rate of the noise that is coded.
    input: (f64, u32),
    args: &'static str,
    container: &'static str,
    codec: &'static str,
    /// Ticks a second of ffprobe's times.
    ticks: i64,
    /// Bytes of the description.
    description: Option<usize>,
}

const fn clip(
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

const CLIPS: [Clip; 24] = [
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

fn make(clip: &Clip) -> PathBuf {
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

fn streamed(bytes: &Bytes) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    for at in (0..bytes.len()).step_by(777) {
        feed.push(bytes.slice(at..bytes.len().min(at + 777)));
    }
    feed.finish();
    open(Arc::new(source)).expect("a stream")
}

/// Samples that last `nanos`.
fn samples(nanos: u128, rate: u32) -> i64 {
    ((nanos * u128::from(rate) + 500_000_000) / 1_000_000_000) as i64
}

/// Samples before the packet, in it, and what of them is heard.
fn heard(packet: &Packet, rate: u32) -> i64 {
    if !packet.presented {
        return 0;
    }
    let duration = packet.chunk.duration.expect("a duration");
    let side = packet.chunk.side.clone().unwrap_or_default();
    samples(u128::from(duration) * 1000, rate) - samples(side.discard_start.as_nanos(), rate)
}

/// The samples of each channel that ffmpeg decodes.
fn decoded(path: &Path, channels: u32) -> i64 {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-f", "f32le", "-c:a", "pcm_f32le", "-"])
        .output()
        .expect("the ffmpeg command (./x setup installs it)");
    assert!(output.status.success(), "{}", path.display());
    output.stdout.len() as i64 / 4 / i64::from(channels)
}

fn sound(demuxer: &Arc<dyn Demuxer>, track: usize) -> (u32, u32) {
    match demuxer.tracks()[track].kind {
        TrackKind::Audio {
            sample_rate,
            channels,
        } => (sample_rate, channels),
        ref other => panic!("{other:?} is no sound"),
    }
}

fn micros(samples: i64, rate: i64) -> i64 {
    (samples * 2_000_000 + rate).div_euclid(2 * rate)
}

#[test]
fn every_packet_of_every_clip_is_what_ffprobe_sees() {
    for clip in &CLIPS {
        let name = clip.name;
        let path = make(clip);
        let bytes = Bytes::from(std::fs::read(&path).expect(name));
        let demuxer = open_bytes(bytes.to_vec()).expect(name);
        assert_eq!(demuxer.container(), clip.container, "{name}");
        assert_eq!(
            demuxer.tracks()[0].codec.as_deref(),
            Some(clip.codec),
            "{name}"
        );
        let (rate, channels) = sound(&demuxer, 0);
        let all = packets(&demuxer, 0).expect(name);
        if clip.container == "wav" {
            // WAV has no packets of its own: what ffprobe's hold must be the same bytes.
            let whole: Vec<u8> = all.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
            let first = all[0].offset as usize;
            assert_eq!(whole[..], bytes[first..first + whole.len()], "{name}");
        } else {
            let probed = &ffprobe(&path, 1)[0];
            assert_eq!(all.len(), probed.len(), "{name}");
            // MP3's times begin with what is heard; ffprobe's with the first packet.
            let skip = match clip.container {
                "mp3" => samples(
                    u128::from(all[0].chunk.timestamp.unsigned_abs()) * 1000,
                    rate,
                ),
                _ => 0,
            };
            for (index, (packet, probed)) in all.iter().zip(probed).enumerate() {
                let what = format!("{name}, packet {index}");
                assert_eq!(packet.chunk.data.len().to_string(), probed.size, "{what}");
                assert_eq!(md5(&packet.chunk.data), probed.data_hash, "{what}");
                // Of Vorbis the first packet gives nothing; ffprobe says otherwise.
                if clip.codec == "vorbis" && index == 0 {
                    assert!(
                        !packet.presented && packet.chunk.duration == Some(0),
                        "{what}"
                    );
                    continue;
                }
                let pts = probed.pts.expect("a time") * i64::from(rate) / clip.ticks - skip;
                assert_eq!(
                    packet.chunk.timestamp,
                    micros(pts, i64::from(rate)),
                    "{what}"
                );
                assert_eq!(packet.decode_time, packet.chunk.timestamp, "{what}");
                let mut duration =
                    probed.duration.expect("a duration") * i64::from(rate) / clip.ticks;
                if clip.container == "mp3" && packet.presented {
                    let side = packet.chunk.side.clone().unwrap_or_default();
                    duration -= samples(side.discard_end.as_nanos(), rate);
                }
                let end = micros(pts + duration, i64::from(rate));
                let have =
                    packet.chunk.timestamp + packet.chunk.duration.expect("a duration") as i64;
                assert_eq!(have, end, "{what}");
            }
        }
        let total: i64 = all.iter().map(|packet| heard(packet, rate)).sum();
        assert_eq!(total, decoded(&path, channels), "{name}: samples");
        let duration = micros(total, i64::from(rate));
        assert_eq!(demuxer.duration(), Some(duration as u64), "{name}");
        assert_eq!(
            demuxer.tracks()[0].duration,
            Some(duration as u64),
            "{name}"
        );
        // The same as a stream and as a file.
        let stream = streamed(&bytes);
        assert_eq!(packets(&stream, 0).expect(name), all, "{name} as a stream");
        let file = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        assert_eq!(packets(&file, 0).expect(name), all, "{name} as a file");
        // Memory is not copied.
        let demuxer = open(Arc::new(BytesSource::new(bytes.clone()))).expect(name);
        let shared = packets(&demuxer, 0)
            .expect(name)
            .into_iter()
            .filter(|packet| {
                let start = bytes.as_ptr() as usize + packet.offset as usize;
                packet.chunk.data.as_ptr() as usize == start
            });
        let copied = all.len() - shared.count();
        let most = if clip.container == "ogg" {
            all.len() / 4
        } else {
            0
        };
        assert!(copied <= most, "{name}: {copied} of {} copied", all.len());
    }
}

#[test]
fn tags_and_descriptions_are_found() {
    for clip in &CLIPS {
        let demuxer =
            open(Arc::new(FileSource::open(make(clip)).expect(clip.name))).expect(clip.name);
        let description = demuxer.tracks()[0].description.clone();
        match clip.codec {
            "vorbis" => {
                let description = description.expect("a description");
                assert_eq!(description.first(), Some(&2));
                let at = usize::from(description[1]) + 3;
                assert_eq!(
                    (&description[1..2], &description[3..10]),
                    (&[30][..], &b"\x01vorbis"[..])
                );
                assert_eq!(&description[at..at + 7], b"\x03vorbis", "{}", clip.name);
                let at = at + usize::from(description[2]);
                assert_eq!(&description[at..at + 7], b"\x05vorbis", "{}", clip.name);
            }
            _ => assert_eq!(
                description.map(|d| d.len()),
                clip.description,
                "{}",
                clip.name
            ),
        }
        let tag = |name: &str| {
            let found = demuxer.tags().iter().find(|(have, _)| have == name);
            found.map(|(_, value)| value.as_str())
        };
        // ADTS, W64 and bare MP3 have no tags.
        if matches!(
            clip.name,
            "stereo.aac" | "mono.adts" | "alaw.w64" | "bare.mp3"
        ) {
            assert_eq!(demuxer.tags(), [], "{}", clip.name);
            continue;
        }
        assert_eq!(
            tag("title"),
            Some("One"),
            "{}: {:?}",
            clip.name,
            demuxer.tags()
        );
        assert_eq!(tag("artist"), Some("Two"), "{}", clip.name);
        assert_eq!(tag("track"), Some("3"), "{}", clip.name);
    }
}

/// Seeks to `time` and reads what follows: it must be what reading from the start finds.
fn check_seek(demuxer: &Arc<dyn Demuxer>, track: usize, all: &[Packet], times: &[i64], what: &str) {
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

#[test]
fn layer_2_is_named_and_mp3_in_wav_is_read() {
    let input = ["-f", "lavfi", "-i", "anoisesrc=d=3:r=44100:seed=5"];
    let make = |name: &str, args: &[&str]| {
        let args: Vec<&str> = input.iter().chain(args).copied().collect();
        let path = ffmpeg(name, &args);
        (
            open(Arc::new(FileSource::open(&path).expect(name))).expect(name),
            path,
        )
    };
    let (layer, _) = make("layer.mp2", &["-c:a", "mp2"]);
    assert_eq!(layer.tracks()[0].kind, TrackKind::Other("mp2".to_owned()));
    assert_eq!(layer.tracks()[0].codec, None);
    assert!(packets(&layer, 0).is_ok_and(|all| all.len() > 100));
    let (wav, path) = make("mp3.wav", &["-c:a", "libmp3lame"]);
    assert_eq!(
        (wav.container(), wav.tracks()[0].codec.as_deref()),
        ("wav", Some("mp3"))
    );
    let all = packets(&wav, 0).expect("packets");
    let total: i64 = all.iter().map(|packet| heard(packet, 44_100)).sum();
    assert_eq!(total, decoded(&path, 1));
}

#[test]
fn the_media_of_the_web_platform_tests_have_as_many_samples_as_ffmpeg_decodes() {
    let Some(folder) = web_platform_tests() else {
        return;
    };
    for (name, codec) in [
        ("sfx-alaw.wav", "alaw"),
        ("sfx-ulaw.wav", "ulaw"),
        ("sfx-pcm-u8.wav", "pcm-u8"),
        ("sfx-pcm-s16.wav", "pcm-s16"),
        ("sfx-pcm-s24.wav", "pcm-s24"),
        ("sfx-pcm-s32.wav", "pcm-s32"),
        ("sfx-pcm-f32.wav", "pcm-f32"),
        ("sfx-opus.ogg", "opus"),
        ("sfx-vorbis.ogg", "vorbis"),
        ("sfx.flac", "flac"),
        ("sfx.mp3", "mp3"),
        ("sfx.adts", "mp4a.40.2"),
    ] {
        let path = folder.join(name);
        let demuxer = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some(codec), "{name}");
        let (rate, channels) = sound(&demuxer, 0);
        let all = packets(&demuxer, 0).expect(name);
        let total: i64 = all.iter().map(|packet| heard(packet, rate)).sum();
        // Its only page is the last one too. ffmpeg counts 128 samples for the first packet, which gives none, and cuts
        // them off at the end; the granule position says 4096 (Vorbis I, A.2).
        let want = match name {
            "sfx-vorbis.ogg" => 4096,
            _ => decoded(&path, channels),
        };
        assert_eq!(total, want, "{name}");
        let times: Vec<i64> = all.iter().map(|packet| packet.chunk.timestamp).collect();
        check_seek(&demuxer, 0, &all, &times, name);
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
