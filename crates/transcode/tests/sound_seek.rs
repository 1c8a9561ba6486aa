//! Sound after a seek: what is heard first is as it is when all of the file is decoded.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use common::*;
use reelcore_containers::{FileSource, open};
use reelcore_engine::{AudioDecode, Codec, Engine};
use reelcore_media::convert::copy_audio;
use reelcore_media::demux::TrackKind;
use reelcore_media::{AudioCodec, AudioData, AudioDecoderConfig, SampleFormat};

/// Decodes all of a file, or some packets from a time on: the first channel by the time of each run, and the time that the seek
/// gave.
fn decoded(path: &Path, seek: Option<i64>) -> (HashMap<i64, Vec<f32>>, i64) {
    let source = FileSource::open(path).expect("a file");
    let demuxer = open(Arc::new(source)).expect("a container");
    let sound = |kind: &TrackKind| matches!(kind, TrackKind::Audio { .. });
    let index = demuxer.tracks().iter().position(|track| sound(&track.kind));
    let index = index.expect("a track of sound");
    let track = demuxer.tracks()[index].clone();
    let TrackKind::Audio {
        sample_rate,
        channels,
    } = track.kind
    else {
        panic!("no sound");
    };
    let config = AudioDecoderConfig {
        codec: AudioCodec::parse(track.codec.as_deref().expect("a codec")).expect("known"),
        sample_rate,
        channels,
        description: track.description,
    };
    let registry = registry();
    let backends = AudioDecode::backends(&registry, &config).expect("a decoder");
    let engine = Engine::global();
    let mut decoder = AudioDecode::start(&backends[0], &config, engine, 1).expect("a decoder");
    let mut reader = demuxer.reader(index).expect("a reader");
    let mut start = i64::MIN;
    if let Some(time) = seek {
        start = reader.seek(time).expect("a seek").expect("a packet");
    }
    let mut runs = HashMap::new();
    let mut heard = |run: AudioData| {
        let mut bytes = vec![0; run.frames as usize * 4];
        let format = SampleFormat::F32Planar;
        copy_audio(&run, format, 0, 0, run.frames, &mut bytes).expect("a copy");
        let samples = bytes
            .chunks_exact(4)
            .map(|four| f32::from_ne_bytes(four.try_into().expect("four bytes")));
        runs.insert(run.timestamp, samples.collect());
    };
    while let Some(packet) = reader.next_sample().expect("a packet") {
        if seek.is_some() && packet.chunk.timestamp > start + 200_000 {
            break;
        }
        AudioDecode::process(&mut decoder, &packet.chunk, &mut heard).expect("decodes");
    }
    AudioDecode::flush(&mut decoder, &mut heard).expect("decodes");
    (runs, start)
}

#[test]
fn what_is_heard_first_after_a_seek_is_as_it_is_without_one() {
    let sweep =
        "-f lavfi -i aevalsrc=exprs=0.3*sin(2*PI*t*(300+100*t))+0.1*sin(2*PI*t*3000):s=48000:d=4";
    // Opus predicts from as far back as there is: after 80 ms what is left is small.
    for (codec, most, containers) in [
        ("-c:a aac -b:a 96k", 1e-4, &["mp4", "mkv", "ts", "aac"][..]),
        (
            "-c:a libmp3lame -b:a 64k",
            1e-4,
            &["mp4", "mkv", "ts", "mp3"],
        ),
        ("-c:a libopus -b:a 64k", 4e-2, &["mp4", "mkv", "ts", "ogg"]),
    ] {
        for container in containers {
            let name = format!("seek-{}.{container}", codec.split(' ').nth(1).unwrap_or(""));
            let path = made(&format!("{sweep} {codec} -strict -2"), &name);
            let (whole, _) = decoded(&path, None);
            let (part, start) = decoded(&path, Some(2_345_678));
            assert!((2_200_000..=2_345_678).contains(&start), "{name}: {start}");
            let mut times: Vec<i64> = part.keys().copied().collect();
            times.sort_unstable();
            assert_eq!(
                times.first(),
                Some(&start),
                "{name}: nothing is heard before"
            );
            assert!(times.len() >= 5, "{name}: {times:?}");
            for time in times {
                let (got, want) = (&part[&time], whole.get(&time).expect(&name));
                assert_eq!(got.len(), want.len(), "{name}: {time}");
                let error: f32 = got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum();
                let error = (error / got.len() as f32).sqrt();
                assert!(error < most, "{name}: {time}: {error}");
            }
        }
    }
}
