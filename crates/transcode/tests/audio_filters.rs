//! Each filter of sound against what `ffmpeg` makes of the same.

mod common;

use common::*;
use serde_json::{Value, json};

/// The sound that `filters` make of two files of tones; the last one's name is `result`.
fn filtered(filters: Value) -> Vec<f32> {
    let folder = folder();
    let out = folder.path().join("out.wav");
    done(json!({
        "version": 1,
        "inputs": { "a": { "path": low() }, "b": { "path": high() } },
        "filters": filters,
        "outputs": [{ "path": out, "streams": [{ "audio": { "source": "result", "codec": "pcm-f32" } }] }],
    }));
    samples(&out, "")
}

fn low() -> std::path::PathBuf {
    tones("transcode-low.wav", 220)
}

fn high() -> std::path::PathBuf {
    tones("transcode-high.wav", 700)
}

#[test]
fn sound_without_a_filter_is_that_of_the_file() {
    let got = filtered(json!({ "result": { "volume": { "input": "a:audio", "gain": 1 } } }));
    assert_eq!(got.len(), 2 * 72_000);
    assert_eq!(got, samples(&low(), ""));
    assert!(
        snr(&got, &samples(&high(), "")) < 1.0,
        "the two files differ"
    );
}

#[test]
fn volume_is_a_factor_or_decibels() {
    let got = filtered(json!({ "result": { "volume": { "input": "a:audio", "gain": 0.5 } } }));
    let want = samples(&low(), "volume=0.5:precision=float");
    assert_sounds_like("gain", &got, &want, 120.0);
    let got = filtered(json!({ "result": { "volume": { "input": "a:audio", "decibels": -6 } } }));
    let want = samples(&low(), "volume=-6dB:precision=float");
    assert_sounds_like("decibels", &got, &want, 100.0);
}

#[test]
fn a_mix_is_the_sum() {
    let got = filtered(json!({
        "result": { "mix": { "inputs": ["a:audio", "b:audio"], "gains": [0.5, 0.25] } },
    }));
    let want = samples_of(
        &[&low(), &high()],
        "[0]volume=0.5:precision=float[a];[1]volume=0.25:precision=float[b];[a][b]amix=normalize=0",
    );
    assert_sounds_like("mix", &got, &want, 100.0);
}

#[test]
fn a_mix_of_other_lengths_is_as_long_as_the_longest() {
    let got = filtered(json!({
        "part": { "atrim": { "input": "b:audio", "from": 0.25, "to": 0.75 } },
        "result": { "mix": { "inputs": ["a:audio", "part"] } },
    }));
    let want = samples_of(
        &[&low(), &high()],
        "[1]atrim=0.25:0.75,asetpts=PTS-STARTPTS[b];[0][b]amix=normalize=0:duration=longest",
    );
    assert_sounds_like("mix", &got, &want, 100.0);
}

#[test]
fn resampling_keeps_the_signal_in_its_place() {
    for (rate, frames) in [(44_100, 66_150), (16_000, 24_000), (96_000, 144_000)] {
        let got = filtered(
            json!({ "result": { "resample": { "input": "a:audio", "sampleRate": rate } } }),
        );
        let want = samples(&low(), &format!("aresample={rate}:filter_size=64"));
        assert_eq!(got.len(), 2 * frames, "{rate}: frames");
        // The ends are a matter of taste.
        let middle = |samples: &[f32]| samples[2000..2 * frames - 2000].to_vec();
        assert_sounds_like(&rate.to_string(), &middle(&got), &middle(&want), 50.0);
    }
}

#[test]
fn channels_are_mixed_as_web_audio_does() {
    let got = filtered(json!({ "result": { "resample": { "input": "a:audio", "channels": 1 } } }));
    let want = samples(&low(), "pan=mono|c0=0.5*c0+0.5*c1");
    assert_sounds_like("one channel", &got, &want, 80.0);
}

#[test]
fn a_fade_is_a_straight_line() {
    for (fade, theirs) in [
        (
            json!({ "input": "a:audio", "direction": "in", "duration": 0.5 }),
            "afade=in:st=0:d=0.5",
        ),
        (
            json!({ "input": "a:audio", "direction": "out", "from": 0.25, "duration": 0.5 }),
            "afade=out:st=0.25:d=0.5",
        ),
        (
            json!({ "input": "a:audio", "direction": "out", "duration": 1 }),
            "afade=out:st=0.5:d=1",
        ),
    ] {
        let got = filtered(json!({ "result": { "fade": fade } }));
        let want = samples(&low(), &format!("aformat=flt,{theirs}:curve=tri"));
        assert_sounds_like(theirs, &got, &want, 70.0);
    }
}

#[test]
fn a_trim_is_exact_to_the_sample() {
    let got = filtered(
        json!({ "result": { "atrim": { "input": "a:audio", "from": 0.3, "to": 0.9001 } } }),
    );
    let whole = samples(&low(), "");
    assert_eq!(got, whole[2 * 14_400..2 * 43_205]);
}

#[test]
fn a_crossfade_overlaps_both() {
    let got = filtered(json!({
        "result": { "crossfade": { "input": "a:audio", "next": "b:audio", "duration": 0.5 } },
    }));
    let want = samples_of(
        &[&low(), &high()],
        "[0]aformat=flt[a];[1]aformat=flt[b];[a][b]acrossfade=d=0.5:c1=tri:c2=tri",
    );
    assert_sounds_like("crossfade", &got, &want, 70.0);
}
