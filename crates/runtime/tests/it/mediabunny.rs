//! A published package, unchanged, with our codecs: `examples/mediabunny.js` there and back, with sizes that change.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn convert(from: &Path, to: &Path, width: u32) {
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(examples().join("mediabunny.js"))
        .args([from, to])
        .arg(width.to_string())
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", to.display());
    // Nothing that mediabunny warns of, and no track that it leaves out.
    assert_eq!(stderr, "", "{}", to.display());
}

/// What ffprobe says of one kind of stream, with every frame decoded.
struct Stream {
    codec: String,
    size: (u64, u64),
    frames: u64,
    /// Seconds from the first packet to the end of the last.
    duration: f64,
}

/// The stream of pictures and that of sound.
fn probe(path: &Path) -> [Stream; 2] {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-count_frames",
            "-show_streams",
            "-show_packets",
            "-of",
            "json",
        ])
        .arg(path)
        .output()
        .expect("the ffprobe command (./x setup installs it)");
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert_eq!(warnings, "", "{}", path.display());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |value: &Value| -> f64 {
        let text = value.as_str().expect("a number");
        text.parse().expect("a number")
    };
    ["video", "audio"].map(|kind| {
        let streams = report["streams"].as_array().expect("streams");
        let of_kind: Vec<&Value> = streams
            .iter()
            .filter(|stream| stream["codec_type"] == kind)
            .collect();
        let [stream] = of_kind[..] else {
            panic!("{}: {} streams of {kind}", path.display(), of_kind.len());
        };
        let packets = report["packets"].as_array().expect("packets");
        let times = packets
            .iter()
            .filter(|packet| packet["codec_type"] == kind)
            .map(|packet| {
                let duration = packet.get("duration_time").map_or(0.0, number);
                (number(&packet["pts_time"]), duration)
            });
        let (start, end) = times.fold((f64::MAX, f64::MIN), |(start, end), (time, duration)| {
            (start.min(time), end.max(time + duration))
        });
        Stream {
            codec: stream["codec_name"].as_str().expect("a codec").to_owned(),
            size: (
                stream["width"].as_u64().unwrap_or(0),
                stream["height"].as_u64().unwrap_or(0),
            ),
            frames: number(&stream["nb_read_frames"]) as u64,
            duration: end - start,
        }
    })
}

#[test]
fn mediabunny_converts_mp4_to_webm_and_back_with_every_frame() {
    let package = examples().join("vendor/mediabunny/package.json");
    let text = std::fs::read_to_string(&package).unwrap_or_else(|error| {
        panic!(
            "mediabunny is not there, ./x setup fetches it: {}: {error}",
            package.display()
        )
    });
    let package: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        package["version"], "1.61.0",
        "./x setup fetches the version that is tested"
    );

    let folder = tempfile::tempdir().expect("a temporary folder");
    let original = examples().join("media/h264-aac.mp4");
    let webm = folder.path().join("smaller.webm");
    let mp4 = folder.path().join("larger.mp4");
    convert(&original, &webm, 320);
    convert(&webm, &mp4, 480);

    let [video, audio] = probe(&original);
    assert_eq!(
        (video.codec.as_str(), audio.codec.as_str()),
        ("h264", "aac")
    );
    assert_eq!((video.size, video.frames), ((640, 360), 176));
    for (path, codecs, size) in [
        (&webm, ("vp9", "opus"), (320, 180)),
        (&mp4, ("h264", "aac"), (480, 270)),
    ] {
        let [v, a] = probe(path);
        let name = path.display();
        assert_eq!((v.codec.as_str(), a.codec.as_str()), codecs, "{name}");
        assert_eq!(v.size, size, "{name}");
        assert_eq!(v.frames, video.frames, "{name}");
        // Times of WebM are whole milliseconds.
        assert!(
            (v.duration - video.duration).abs() < 0.002,
            "{name}: {} s of pictures, not {}",
            v.duration,
            video.duration
        );
        // Each encoder fills up its last packet, and AAC puts one in front: of 20 ms, and of 21 ms.
        let more = a.duration - audio.duration;
        assert!(
            (-0.001..0.065).contains(&more),
            "{name}: {} s of sound, not {}",
            a.duration,
            audio.duration
        );
    }
}
