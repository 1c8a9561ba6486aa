//! `reelcore transcode IN OUT.mp3`: a job that encodes MP3.

use std::process::Command;

use reelcore_codec_lame::Mp3;
use reelcore_codec_pcm::Pcm;
use reelcore_codec_symphonia::Symphonia;
use reelcore_conformance::ffmpeg_make;
use reelcore_media::{AudioCodec, Registry};
use reelcore_transcode::{Job, run};

#[test]
fn a_job_writes_an_mp3_file_as_long_as_its_source() {
    let registry = Registry::new()
        .with_audio_decoder(Pcm)
        .with_audio_decoder(Symphonia)
        .with_audio_encoder(Mp3);
    let args = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=1.7 -ac 2 -c:a pcm_s16le";
    let args: Vec<&str> = args.split(' ').collect();
    let source = ffmpeg_make(&args, "lame-job.wav").expect("ffmpeg, which `./x setup` installs");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, codec, bitrate) in [("a.mp3", None, None), ("b.mp3", Some("mp3"), Some(128_000))] {
        let out = folder.path().join(name);
        let mut audio = serde_json::json!({});
        if let (Some(codec), Some(bitrate)) = (codec, bitrate) {
            audio = serde_json::json!({ "codec": codec, "bitrate": bitrate });
        }
        let spec = serde_json::json!({
            "version": 1, "inputs": { "in": { "path": source } },
            "outputs": [{ "path": out, "streams": [{ "audio": audio }] }],
        });
        let job = Job::from_json(spec.to_string().as_bytes()).expect("a job");
        let report = run(&job, &registry, &mut |_| {}).expect("the job is done");
        let stream = &report.outputs[0].streams[0];
        assert_eq!(stream.codec, AudioCodec::Mp3.to_string());
        if let Some(bitrate) = bitrate {
            let held = stream.bytes as f64 * 8.0 / 1.7 / f64::from(bitrate);
            // A lone tone needs less.
            assert!((0.6..1.1).contains(&held), "{held:.2}");
        }
        // The sound alone, without what the encoder put in front and behind.
        let output = Command::new("ffmpeg")
            .args(["-v", "warning", "-i"])
            .arg(&out)
            .args(["-f", "s16le", "-"])
            .output()
            .expect("the ffmpeg command (./x setup installs it)");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        assert_eq!(output.stdout.len() / 4, 74_970, "{name}");
        // At its place: the tone crosses zero where the source's does.
        let sample = |at: usize| {
            f64::from(i16::from_le_bytes([
                output.stdout[4 * at],
                output.stdout[4 * at + 1],
            ]))
        };
        let (mut along, mut across) = (0.0, 0.0);
        for at in 4410..70_000 {
            let phase = std::f64::consts::TAU * 440.0 * at as f64 / 44_100.0;
            along += sample(at) * phase.sin();
            across += sample(at) * phase.cos();
        }
        assert!(
            along > 0.0 && across.abs() < along * 0.02,
            "{along} {across}"
        );
    }
}
