//! A flash and a click at the same instant: they stay together, at the time where they belong.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use serde_json::{Value, json};

/// A tenth of a second of white at 1 s, and a click of 5 ms; 2 s in all, 25 frames a second, H.264 and AAC in MP4.
fn flash() -> PathBuf {
    made(
        "-f lavfi -i color=black:size=160x120:rate=25:duration=2,drawbox=color=white:t=fill:enable=between(t\\,0.99\\,1.09) \
         -f lavfi -i aevalsrc=exprs=if(between(t\\,1\\,1.005)\\,0.8*sin(2*PI*2000*t)\\,0):s=48000:d=2 \
         -c:v libx264 -profile:v main -bf 2 -pix_fmt yuv420p -c:a aac -b:a 128k",
        "transcode-flash.mp4",
    )
}

/// The times of the first bright pictures of each flash, and of each click, in seconds.
fn events(path: &Path) -> (Vec<f64>, Vec<f64>) {
    let frames = pictures(path, (160, 120), "yuv420p", "");
    let times = times(path);
    assert_eq!(times.len(), frames.frames.len());
    let bright: Vec<bool> = (0..times.len())
        .map(|frame| {
            let luma = frames.plane(frame, 0);
            luma.iter().map(|&y| u64::from(y)).sum::<u64>() / luma.len() as u64 > 128
        })
        .collect();
    let flashes = (0..times.len())
        .filter(|&n| bright[n] && (n == 0 || !bright[n - 1]))
        .map(|n| times[n])
        .collect();
    let sound = samples(
        path,
        "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=mono",
    );
    let mut clicks: Vec<f64> = Vec::new();
    for (at, sample) in sound.iter().enumerate() {
        let time = at as f64 / 48_000.0;
        if sample.abs() > 0.25 && clicks.last().is_none_or(|last| time - last > 0.1) {
            clicks.push(time);
        }
    }
    (flashes, clicks)
}

/// Where our MPEG-TS begins, in seconds.
const START_OF_TS: f64 = 1.4;

/// A job of one input, and where its flashes belong.
fn assert_in_sync(what: &str, input: Value, out: &str, video: &str, audio: &str, expected: &[f64]) {
    let folder = folder();
    let out = folder.path().join(out);
    done(json!({
        "version": 1, "inputs": { "in": input },
        "outputs": [{ "path": out, "streams": [
            { "video": { "codec": video, "mode": "realtime" } }, { "audio": { "codec": audio } },
        ] }],
    }));
    let (flashes, clicks) = events(&out);
    println!("{what}: flashes at {flashes:?}, clicks at {clicks:?}");
    assert_eq!(
        (flashes.len(), clicks.len()),
        (expected.len(), expected.len()),
        "{what}"
    );
    // FFmpeg, and we, let MPEG-TS begin later, as decoding times come before 0.
    let start = if out.extension().is_some_and(|extension| extension == "ts") {
        START_OF_TS
    } else {
        0.0
    };
    for ((flash, click), expected) in flashes
        .iter()
        .zip(&clicks)
        .zip(expected.iter().map(|time| time + start))
    {
        // A picture's time is that of the grid before it; the click rises within a fraction of its 0.5 ms wave.
        assert!(
            (flash - expected).abs() < 0.0201,
            "{what}: flash at {flash}, expected {expected}"
        );
        assert!(
            (click - expected).abs() < 0.0015,
            "{what}: click at {click}, expected {expected}"
        );
    }
}

#[test]
fn the_input_itself_is_in_sync() {
    let (flashes, clicks) = events(&flash());
    assert_eq!((flashes.len(), clicks.len()), (1, 1));
    assert!(
        (flashes[0] - 1.0).abs() < 1e-6 && (clicks[0] - 1.0).abs() < 0.0015,
        "{flashes:?} {clicks:?}"
    );
}

#[test]
fn a_transcode_keeps_pictures_and_sound_together() {
    let input = json!({ "path": flash() });
    for (out, video, audio) in [
        ("out.webm", "vp9", "opus"),
        ("out.mkv", "vp8", "pcm-s16"),
        ("out.mp4", "h264", "aac"),
        ("out.ts", "h264", "aac"),
    ] {
        assert_in_sync(out, input.clone(), out, video, audio, &[1.0]);
    }
}

#[test]
fn a_trim_keeps_pictures_and_sound_together() {
    for from in [0.5, 0.52, 0.333, 0.97] {
        let input = json!({ "path": flash(), "from": from, "to": 1.7 });
        assert_in_sync(
            &format!("from {from}"),
            input.clone(),
            "out.webm",
            "vp9",
            "opus",
            &[1.0 - from],
        );
        assert_in_sync(
            &format!("from {from}"),
            input,
            "out.mp4",
            "h264",
            "aac",
            &[1.0 - from],
        );
    }
}

#[test]
fn a_concatenation_keeps_pictures_and_sound_together() {
    let input = json!({ "concat": [
        { "path": flash(), "from": 0.5, "to": 1.53 }, { "path": flash() }, { "path": flash(), "from": 0.81 },
    ] });
    // 1.03 s of the first, 2 s of the second.
    let expected = [0.5, 1.03 + 1.0, 3.03 + 0.19];
    assert_in_sync(
        "concat",
        input.clone(),
        "out.webm",
        "vp9",
        "opus",
        &expected,
    );
    assert_in_sync("concat", input, "out.mp4", "h264", "aac", &expected);
}
