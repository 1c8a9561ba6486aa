//! Ogg, WAV, FLAC, MP3 and ADTS against what ffprobe and ffmpeg say of files that ffmpeg makes, and of those of the Web
//! Platform Tests.

#[path = "support/clips.rs"]
mod made;
#[path = "support/audio_clips.rs"]
mod shared;
mod support;
#[path = "support/survival.rs"]
mod survival;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, ffprobe, md5};
use reelcore_conformance::web_platform_tests;
use reelcore_containers::{BytesSource, FileSource, open};
use reelcore_media::demux::{Demuxer, TrackKind};
use shared::*;
use support::{open_bytes, packets};

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
