//! FLAC and MP3 that are written are read back, by our demuxers and by FFmpeg.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{
    Source, audio, ffprobe, open_bytes, packet, refused, save, streamed, tracks, video, written,
};
use reelcore_codec_flac::Flac;
use reelcore_conformance::sound_encoding::{encoder_config, music, run, start_encoder};
use reelcore_containers::mux::{MemorySink, QueueSink, create};
use reelcore_containers::{FileSource, open};
use reelcore_media::demux::{Packet, TrackKind};
use reelcore_media::encoder::{AudioCodecOptions, AudioEncoderConfig};
use reelcore_media::mux::{MuxOptions, OutputPacket, OutputTrack, Sink};
use reelcore_media::{ChunkKind, SampleFormat};

fn make(name: &str, args: &str) -> Source {
    let inputs = ["-f", "lavfi", "-i", "sine=440:d=2:sample_rate=44100"];
    let args: Vec<&str> = inputs.into_iter().chain(args.split_whitespace()).collect();
    let path: PathBuf = ffmpeg(name, &args);
    let source = Arc::new(FileSource::open(path).expect("a file"));
    tracks(&open(source).expect("a container"))
}

fn flac_and_mp3() -> [(&'static str, Source); 4] {
    [
        ("flac", make("s.flac", "-map 0:a -c:a flac")),
        (
            "flac",
            make("flac.mp4", "-map 0:a -c:a flac -ac 2 -strict -2"),
        ),
        ("mp3", make("s.mp3", "-map 0:a -c:a libmp3lame -b:a 96k")),
        (
            "mp3",
            make("vbr.mp3", "-map 0:a -c:a libmp3lame -q:a 4 -ac 2 -ar 24000"),
        ),
    ]
}

/// Samples that are heard.
fn heard(packets: &[Packet], rate: f64) -> u64 {
    let heard = |packet: &Packet| {
        let side = packet.chunk.side.as_deref();
        let drop = side.map_or(0.0, |side| side.discard_start.as_secs_f64());
        let whole = packet.chunk.duration.expect("a duration") as f64 / 1e6;
        // Times of packets count what is dropped at the end already.
        if packet.presented { whole - drop } else { 0.0 }
    };
    (packets.iter().map(heard).sum::<f64>() * rate).round() as u64
}

#[test]
fn flac_and_mp3_have_the_same_frames_with_the_same_times_and_length() {
    let options = MuxOptions {
        tags: vec![
            ("title".to_owned(), "Ein Lied – für alle".to_owned()),
            ("track".to_owned(), "3/12".to_owned()),
            ("mood".to_owned(), "calm".to_owned()),
        ],
        ..MuxOptions::default()
    };
    for (at, (name, source)) in flac_and_mp3().into_iter().enumerate() {
        for options in [&options, &MuxOptions::default()] {
            let bytes = written(name, &source, options, false);
            for demuxer in [open_bytes(bytes.clone()), streamed(&bytes)] {
                assert_eq!(demuxer.container(), name);
                let (track, got) = tracks(&demuxer).remove(0);
                let want = &source[0];
                assert_eq!(track.kind, want.0.kind, "{at}");
                assert_eq!(got.len(), want.1.len(), "{at}");
                for (want, got) in want.1.iter().zip(&got) {
                    assert_eq!(want.chunk.data, got.chunk.data, "{at}");
                    assert!(
                        want.chunk.timestamp.abs_diff(got.chunk.timestamp) <= 1,
                        "{at}"
                    );
                }
                let side = |packet: &Packet| packet.chunk.side.as_deref().cloned();
                if name == "mp3" {
                    assert_eq!(side(&got[0]), side(&want.1[0]), "what is dropped first");
                    let last = (side(got.last().unwrap()), side(want.1.last().unwrap()));
                    assert_eq!(last.0, last.1, "what is dropped last");
                    assert!(last.0.is_some(), "LAME pads");
                }
                let whole = demuxer.duration().expect("a duration");
                assert!(whole.abs_diff(2_000_000) < 30, "{at}: {whole}");
                for (name, value) in &options.tags {
                    let has = |tag: &(String, String)| tag.0 == *name && tag.1 == *value;
                    assert!(demuxer.tags().iter().any(has), "{:?}", demuxer.tags());
                }
            }
            let streams = ffprobe(&save(
                &format!("{at}-{}.{name}", options.tags.len()),
                &bytes,
            ));
            assert_eq!(streams[0].0["codec_name"], name);
            assert_eq!(streams[0].1, source[0].1.len(), "{at}");
            let duration: f64 = streams[0].0["duration"].parse().expect("seconds");
            // FFmpeg counts whole frames here.
            assert!((2.0..2.08).contains(&duration), "{duration}");
        }
    }
}

#[test]
fn a_decoder_gives_as_many_samples_of_what_was_written_as_of_the_source() {
    // FFmpeg decodes what was written to the same samples, priming and padding left out.
    let decode = |path: &std::path::Path| {
        let output = std::process::Command::new("ffmpeg")
            .args(["-v", "warning", "-i"])
            .arg(path)
            .args(["-f", "s16le", "-"])
            .output()
            .expect("the ffmpeg command (./x setup installs it)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.trim().is_empty(), "{}: {said}", path.display());
        output.stdout
    };
    for (at, (name, source)) in flac_and_mp3().into_iter().enumerate() {
        let bytes = written(name, &source, &MuxOptions::default(), false);
        let rate = match source[0].0.kind {
            TrackKind::Audio {
                sample_rate,
                channels,
            } => {
                let samples = decode(&save(&format!("decoded-{at}.{name}"), &bytes)).len() / 2;
                assert_eq!(
                    samples / channels as usize,
                    2 * sample_rate as usize,
                    "{at}"
                );
                f64::from(sample_rate)
            }
            _ => panic!("sound"),
        };
        let got = tracks(&open_bytes(bytes)).remove(0).1;
        assert_eq!(heard(&got, rate), 2 * rate as u64, "{at}");
    }
}

#[test]
fn streams_of_flac_and_mp3_leave_open_what_only_the_end_tells() {
    for (at, (name, source)) in flac_and_mp3().into_iter().enumerate() {
        let bytes = written(name, &source, &MuxOptions::default(), true);
        let got = tracks(&open_bytes(bytes.clone())).remove(0).1;
        assert_eq!(got.len(), source[0].1.len(), "{at}");
        match name {
            // Samples, sizes of frames and the checksum of all samples are 0.
            "flac" => {
                assert_eq!(bytes[8 + 4..8 + 10], [0; 6]);
                assert_eq!(bytes[8 + 13] & 15, 0);
                assert_eq!(bytes[8 + 14..8 + 34], [0; 20]);
            }
            _ => assert!(bytes.starts_with(&source[0].1[0].chunk.data)),
        }
    }
}

#[test]
fn flac_keeps_the_checksum_of_all_samples_only_where_all_are_there() {
    let source = make("s.flac", "-map 0:a -c:a flac");
    let sum = |bytes: &[u8]| bytes[8 + 18..8 + 34].to_vec();
    let own = source[0].0.description.clone().expect("STREAMINFO");
    let bytes = written("flac", &source, &MuxOptions::default(), false);
    assert_eq!(sum(&bytes), sum(&own));
    assert_ne!(sum(&bytes), [0; 16]);
    let mut short = source.clone();
    short[0].1.pop();
    let bytes = written("flac", &short, &MuxOptions::default(), false);
    assert_eq!(sum(&bytes), [0; 16]);
    // From the middle on: the frames keep their numbers, which readers count from.
    let mut late = source.clone();
    late[0].1.drain(..3);
    let bytes = written("flac", &late, &MuxOptions::default(), false);
    let got = tracks(&open_bytes(bytes)).remove(0).1;
    assert_eq!(got.len(), late[0].1.len());
    // A frame that lacks in the middle.
    let mut gap = source.clone();
    gap[0].1.remove(2);
    let mut muxer = create("flac", &MuxOptions::default()).expect("a muxer");
    muxer
        .add_track(muxed::output_track(&gap[0].0).expect("a track"))
        .expect("FLAC");
    let mut sink = MemorySink::default();
    let mut write =
        |packet: &Packet| muxer.write(0, OutputPacket::new(packet.chunk.clone()), &mut sink);
    write(&gap[0].1[0]).expect("the first");
    write(&gap[0].1[1]).expect("the second");
    refused(write(&gap[0].1[2]), "do not follow");
    refused(write(&gap[0].1[3]), "finished");
}

#[test]
fn flac_of_an_encoder_that_was_flushed_has_every_sample() {
    // With and without a short block at the end, and past a number of two bytes.
    flushed(&[10_500, 3000, 77, 150_040, 20], 40);
    // Blocks of less than 16 samples are counted as such.
    flushed(&[3001, 5000, 5], 16);
}

/// Encodes so many samples, a flush behind each, and looks at what was written. `smallest` is what STREAMINFO is to say.
fn flushed(lengths: &[usize], smallest: u8) {
    let config = AudioEncoderConfig {
        options: AudioCodecOptions::Flac {
            block_size: 1000,
            compress_level: 5,
            depth: None,
        },
        ..encoder_config("flac", 48_000, 2)
    };
    let mut encoder = start_encoder(&Flac, &config);
    let all: Vec<f32> = music(48_000, 2, lengths.iter().sum())
        .iter()
        .map(|sample| (sample * 32_768.0).round() / 32_768.0)
        .collect();
    let mut outputs = Vec::new();
    let (mut rest, mut frames) = (&all[..], 0);
    for &length in lengths {
        let (now, later) = rest.split_at(2 * length);
        let time = frames as i64 * 1_000_000 / 48_000;
        let data = run(SampleFormat::S32, 48_000, 2, time, now);
        let mut keep = |output| outputs.push(output);
        encoder.encode(&data, &mut keep).expect("encoded");
        encoder.flush(&mut keep).expect("flushed");
        (rest, frames) = (later, frames + length);
    }
    let described = outputs[0].decoder_config.as_ref().expect("a configuration");
    let track = OutputTrack {
        description: described.description.clone(),
        ..audio("flac", 48_000, 2)
    };
    let want: Vec<u8> = all
        .iter()
        .flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes())
        .collect();
    let write = |sink: &mut dyn Sink| {
        let mut muxer = create("flac", &MuxOptions::default()).expect("a muxer");
        muxer.add_track(track.clone()).expect("FLAC");
        for output in &outputs {
            let packet = OutputPacket::new(output.chunk.clone());
            muxer.write(0, packet, sink).expect("a frame");
        }
        muxer.finish(sink).expect("finished");
    };
    let (mut whole, mut live) = (MemorySink::default(), QueueSink::new(1 << 30));
    write(&mut whole);
    write(&mut live);
    let live: Vec<Bytes> = std::iter::from_fn(|| live.take()).collect();
    let files = [whole.into_bytes(), live.concat().into()];
    // The smallest block but for the last, and the largest; 16 where it is not known.
    assert_eq!(files[0][8..12], [0, smallest, 0x03, 0xe8]);
    assert_eq!(files[1][8..12], [0, 16, 0x03, 0xe8]);
    for (at, bytes) in files.into_iter().enumerate() {
        let path = save(&format!("flushed-{smallest}-{at}.flac"), &bytes);
        assert_eq!(ffprobe(&path)[0].1, outputs.len());
        let output = std::process::Command::new("ffmpeg")
            .args(["-v", "warning", "-i"])
            .arg(&path)
            .args(["-f", "s16le", "-"])
            .output()
            .expect("the ffmpeg command (./x setup installs it)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.trim().is_empty(), "{said}");
        assert!(output.stdout == want, "{at}: other samples");
        let demuxer = open_bytes(bytes);
        let got = tracks(&demuxer).remove(0).1;
        assert_eq!(got.len(), outputs.len());
        let length = |packet: &Packet| packet.chunk.duration.expect("a duration") as i64;
        for (next, packet) in got[1..].iter().zip(&got) {
            let end = packet.chunk.timestamp + length(packet);
            assert!(next.chunk.timestamp.abs_diff(end) <= 1, "{at}: at {end} us");
        }
        assert_eq!(heard(&got, 48_000.0), frames as u64);
    }
}

#[test]
fn what_is_no_flac_and_no_mp3_is_refused() {
    let key = |data: &[u8]| packet(ChunkKind::Key, 0, 20_000, data.to_vec());
    let mut sink = MemorySink::default();
    for (name, source) in flac_and_mp3() {
        let new = || create(name, &MuxOptions::default()).expect("a muxer");
        refused(new().add_track(video("vp8", 64, 48)), "vp8");
        refused(new().add_track(audio("opus", 48_000, 2)), "opus");
        refused(new().finish(&mut MemorySink::default()), "expected a track");
        let track = || muxed::output_track(&source[0].0).expect("a track");
        let good = &source[0].1[0].chunk.data;
        let mut muxer = new();
        muxer.add_track(track()).expect("a codec");
        refused(muxer.add_track(track()), "more than 1");
        refused(muxer.write(1, key(good), &mut sink), "below 1");
        muxer.write(0, key(good), &mut sink).expect(name);
        refused(muxer.add_track(track()), "after the first packet");
        refused(
            muxer.write(0, key(&good[..good.len() - 1]), &mut sink),
            "expected a",
        );
        refused(muxer.finish(&mut sink), "finished");
        let mut muxer = new();
        muxer.add_track(track()).expect("a codec");
        muxer.end_track(0, &mut sink).expect("ended");
        refused(muxer.write(0, key(good), &mut sink), "has ended");
        muxer.finish(&mut sink).expect("finished");
        refused(muxer.finish(&mut sink), "finished");
    }
    refused(
        create("flac", &MuxOptions::default())
            .expect("a muxer")
            .add_track(audio("flac", 48_000, 2)),
        "STREAMINFO",
    );
}
