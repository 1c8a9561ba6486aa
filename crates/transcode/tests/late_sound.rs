//! Sound that begins after the pictures, and sound that ends before them.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use serde_json::{Value, json};

/// Frames a second.
const RATE: usize = 48_000;

/// Two seconds of pictures, with two channels of PCM from 0.5 s to 1.5 s.
fn late() -> PathBuf {
    made(
        "-f lavfi -i testsrc2=size=64x48:rate=25:duration=2 -itsoffset 0.5 \
         -f lavfi -i aevalsrc=exprs=0.3*sin(2*PI*330*t)|0.2*sin(2*PI*700*t):s=48000:d=1 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a pcm_s16le",
        "transcode-late.mov",
    )
}

/// What is heard of it from 0 s to 1.5 s.
fn heard() -> Vec<f32> {
    let sound = samples(&late(), "");
    assert_eq!(sound.len(), 2 * RATE);
    [vec![0.0; RATE], sound].concat()
}

/// The sound of `input` in the file `name`.
fn sound_of(folder: &Path, name: &str, input: &Value, stream: &Value) -> PathBuf {
    let out = folder.join(name);
    done(json!({
        "version": 1, "inputs": { "in": input }, "outputs": [{ "path": out, "streams": [{ "audio": stream }] }],
    }));
    out
}

#[test]
fn sound_that_begins_late_stays_at_its_time_where_there_are_no_times() {
    let folder = folder();
    let part = json!({ "path": late(), "from": 0.2, "to": 1 });
    let want = &heard()[2 * RATE / 5..2 * RATE];
    for (name, codec) in [
        ("a.wav", "pcm-s16"),
        ("b.wav", "pcm-f32"),
        ("c.flac", "flac"),
    ] {
        let out = sound_of(folder.path(), name, &part, &json!({ "codec": codec }));
        assert!(samples(&out, "") == want, "{name}");
    }
    // Silence of the decoder's own format leaves it its depth.
    assert_eq!(
        ffprobe(&folder.path().join("c.flac"), "stream=bits_per_raw_sample"),
        "16"
    );
    // What AAC puts in front has no place in ADTS.
    let out = sound_of(folder.path(), "d.aac", &part, &json!({}));
    let got = samples(&out, "");
    let loud = got.iter().position(|sample| sample.abs() > 0.1);
    let begin = loud.expect("a tone") as f64 / 2.0 / RATE as f64;
    assert!((0.3..0.36).contains(&begin), "{begin}");
    assert!(got.len() >= want.len(), "{}", got.len());
    // Where there are times the sound begins late itself.
    let out = sound_of(
        folder.path(),
        "e.mkv",
        &part,
        &json!({ "codec": "pcm-s16" }),
    );
    let start = ffprobe(&out, "packet=pts_time");
    let start = start
        .lines()
        .next()
        .expect("a packet")
        .trim_end_matches(',');
    assert_eq!(start.parse(), Ok(0.3));
}

#[test]
fn late_sound_of_the_first_part_does_not_move_that_of_the_second() {
    let folder = folder();
    let both = json!({ "concat": [{ "path": late() }, { "path": late() }] });
    let out = sound_of(
        folder.path(),
        "a.wav",
        &both,
        &json!({ "codec": "pcm-s16" }),
    );
    let mut want = heard();
    want.resize(2 * 2 * RATE, 0.0);
    want.extend(heard());
    assert!(samples(&out, "") == want);
}

#[test]
fn a_fade_ends_with_the_sound_and_not_with_the_file() {
    let folder = folder();
    let fade =
        |input: &str| json!({ "fade": { "input": input, "direction": "out", "duration": 0.5 } });
    let faded = |at: usize, sample: f32| {
        let done = (at as f32 / 2.0 - RATE as f32) / (RATE as f32 / 2.0);
        sample * (1.0 - done.clamp(0.0, 1.0))
    };
    let whole: Vec<f32> = (0..)
        .zip(heard())
        .map(|(at, s)| faded(at & !1, s))
        .collect();
    // Of a part the same, at its own time.
    let part = whole[2 * RATE / 2..].to_vec();
    let twice = [heard(), vec![0.0; RATE], whole.clone()].concat();
    let path = late();
    for (input, source, filters, want) in [
        (
            json!({ "path": path }),
            "f",
            json!({ "f": fade("in:audio") }),
            whole,
        ),
        (
            json!({ "path": path, "from": 0.5 }),
            "f",
            json!({ "f": fade("in:audio") }),
            part.clone(),
        ),
        (
            json!({ "path": path }),
            "f",
            json!({ "t": { "atrim": { "input": "in:audio", "from": 0.5 } }, "f": fade("t") }),
            part,
        ),
        (
            json!({ "concat": [{ "path": path }, { "path": path }] }),
            "f",
            json!({ "f": fade("in:audio") }),
            twice,
        ),
    ] {
        let out = folder.path().join("out.wav");
        let _ = std::fs::remove_file(&out);
        done(json!({
            "version": 1, "inputs": { "in": input }, "filters": filters,
            "outputs": [{ "path": out, "streams": [{ "audio": { "source": source, "codec": "pcm-f32" } }] }],
        }));
        assert_sounds_like(&filters.to_string(), &samples(&out, ""), &want, 90.0);
    }
}

#[test]
fn a_fade_ends_with_the_pictures_and_not_with_the_file() {
    let short = made(
        "-f lavfi -i color=white:size=64x48:rate=25:duration=1 -f lavfi -i sine=frequency=440:duration=2 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a pcm_s16le",
        "transcode-short-pictures.mkv",
    );
    let folder = folder();
    let out = folder.path().join("out.mkv");
    done(json!({
        "version": 1, "inputs": { "in": { "path": short } },
        "filters": { "f": { "fade": { "input": "in:video", "direction": "out", "duration": 0.4 } } },
        "outputs": [{ "path": out, "streams": [lossless("f")] }],
    }));
    let got = pictures(&out, (64, 48), "yuv420p", "");
    assert_eq!(got.frames.len(), 25);
    let luma = |frame: usize| got.plane(frame, 0)[0];
    assert!(luma(14) > 230 && luma(24) < 60, "{} {}", luma(14), luma(24));
}
