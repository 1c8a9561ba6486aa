//! Pictures that stand still, where what is done to them moves.

mod common;

use common::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// An image of one colour.
fn image(folder: &Path, name: &str, color: [u8; 3]) -> PathBuf {
    let path = folder.join(name);
    let file = std::fs::File::create(&path).expect("a file");
    let mut encoder = png::Encoder::new(file, 320, 240);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&color.repeat(320 * 240)))
        .expect("an image");
    path
}

/// The times and the luma in the middle of each picture of `source`.
fn seen(folder: &Path, inputs: Value, filters: Value, source: &str) -> Vec<(f64, f64)> {
    let written = tempfile::tempdir_in(folder).expect("a folder");
    let out = written.path().join("seen.mp4");
    let stream = json!({ "video": { "source": source, "codec": "vp9", "quantizer": 0, "mode": "realtime" } });
    done(json!({
        "version": 1, "inputs": inputs, "filters": filters,
        "outputs": [{ "path": out, "streams": [stream] }],
    }));
    let pictures = pictures(&out, (320, 240), "yuv420p", "");
    let lumas = (0..pictures.frames.len())
        .map(|frame| f64::from(pictures.plane(frame, 0)[120 * 320 + 160]));
    times(&out).into_iter().zip(lumas).collect()
}

fn luma_at(seen: &[(f64, f64)], time: f64) -> f64 {
    let shown = seen.iter().rev().find(|(start, _)| *start <= time + 1e-6);
    shown.expect("a picture").1
}

#[test]
fn a_still_image_fades() {
    let folder = folder();
    let white = image(folder.path(), "white.png", [255; 3]);
    let inputs = json!({ "white": { "path": white, "to": 2 } });
    for (direction, from) in [("in", 0.0), ("out", 1.5), ("in", 0.7)] {
        let filters = json!({ "fade": { "fade": {
            "input": "white:video", "direction": direction, "from": from, "duration": 0.5,
        } } });
        let seen = seen(folder.path(), inputs.clone(), filters, "fade");
        // Half a second in steps of about 40 ms, and what is before and behind.
        assert!((13..=16).contains(&seen.len()), "{direction}: {seen:?}");
        for &(time, luma) in &seen {
            let done = ((time - from) / 0.5).clamp(0.0, 1.0);
            let weight = if direction == "in" { done } else { 1.0 - done };
            let want = 16.0 + 219.0 * weight;
            assert!(
                (luma - want).abs() < 3.0,
                "{direction} at {time}: {luma}, expected {want}"
            );
        }
        let last = luma_at(&seen, 1.999);
        let end = if direction == "in" {
            230.0..240.0
        } else {
            10.0..40.0
        };
        assert!(end.contains(&last), "{direction}: {last} at the end");
    }
}

#[test]
fn still_images_crossfade() {
    let folder = folder();
    let white = image(folder.path(), "white.png", [255; 3]);
    let black = image(folder.path(), "black.png", [0; 3]);
    let inputs = json!({ "a": { "path": white, "to": 2 }, "b": { "path": black, "to": 2 } });
    let filters = json!({ "cross": { "crossfade": { "input": "a:video", "next": "b:video", "duration": 1 } } });
    let seen = seen(folder.path(), inputs, filters, "cross");
    assert_eq!(seen.len(), 27, "25 between the two: {seen:?}");
    for &(time, luma) in &seen[1..26] {
        let want = 16.0 + 219.0 * (1.0 - (time + 0.02 - 1.0));
        assert!((luma - want).abs() < 3.0, "{time}: {luma}, expected {want}");
    }
    assert!((luma_at(&seen, 0.5) - 235.0).abs() < 2.0 && (luma_at(&seen, 2.5) - 16.0).abs() < 2.0);
}

#[test]
fn an_image_that_is_laid_over_fades_in() {
    let folder = folder();
    let white = image(folder.path(), "white.png", [255; 3]);
    let inputs = json!({ "clip": { "path": clip() }, "white": { "path": white, "to": 2 } });
    let filters = json!({
        "logo": { "fade": { "input": "white:video", "direction": "in", "duration": 1 } },
        "marked": { "overlay": { "input": "clip:video", "over": "logo" } },
    });
    let seen = seen(folder.path(), inputs, filters, "marked");
    assert_eq!(seen.len(), 50);
    for (time, want) in [(0.0, 16.0), (0.5, 125.5), (1.0, 235.0), (1.9, 235.0)] {
        let got = luma_at(&seen, time);
        assert!((got - want).abs() < 6.0, "{time}: {got}, expected {want}");
    }
}

#[test]
fn a_video_moves_over_a_still_image() {
    let folder = folder();
    let white = image(folder.path(), "white.png", [255; 3]);
    let inputs = json!({
        "white": { "path": white, "to": 3 }, "clip": { "path": clip(), "from": 0.4, "to": 1.4 },
    });
    let filters = json!({ "both": { "overlay": {
        "input": "white:video", "over": "clip:video", "from": 0.5, "to": 1.1,
    } } });
    let out = folder.path().join("out.mp4");
    done(json!({
        "version": 1, "inputs": inputs, "filters": filters,
        "outputs": [{ "path": out, "streams": [lossless("both")] }],
    }));
    let times = times(&out);
    // The image, 15 pictures of the video, and the image again.
    assert_eq!(times.len(), 17, "{times:?}");
    assert!((times[1] - 0.5).abs() < 1e-3 && (times[16] - 1.1).abs() < 1e-3);
    let got = pictures(&out, (320, 240), "yuv420p", "");
    // The image is of BT.709, and the clip of BT.601 as it is small.
    let want = pictures(
        &clip(),
        (320, 240),
        "yuv420p",
        "scale=in_color_matrix=bt601:out_color_matrix=bt709",
    );
    for frame in 0..15 {
        let value = psnr(&got.plane(1 + frame, 0), &want.plane(10 + frame, 0), 8);
        assert!(value > 40.0, "picture {frame}: {value:.1} dB");
    }
    assert!(
        got.plane(0, 0)
            .iter()
            .chain(&got.plane(16, 0))
            .all(|&luma| luma >= 234)
    );
}
