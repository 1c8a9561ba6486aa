//! Every stream with reference checksums, through the whole JavaScript path: demuxer, `VideoDecoder`, `copyTo`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::script;

/// Streams that OpenH264 does not decode by its nature, each with the reason, and whether libavcodec is there, which does.
const NOT_BY_OPENH264: [(&str, &str, bool); 2] = [
    (
        "test-25fps-interlaced.h264",
        "interlaced, which OpenH264 refuses",
        cfg!(feature = "ffmpeg"),
    ),
    (
        "VID_1280x720_cabac_temporal_direct.264",
        "OpenH264's deblocking of B slices with direct prediction is inexact",
        cfg!(feature = "ffmpeg"),
    ),
];

/// Cropped at the left too, which FFmpeg, who made the checksums, does not do: they are of this rectangle.
const LEFT_NOT_CROPPED: &str = "CVFC1_Sony_C.jsv";

/// Every frame of it has the time 0, and the package has no checksums of its frames: those are beside the decoder's tests.
const UNTIMED: &str = "resolution_change_500frames-vp9.ivf";

/// The package that holds the streams: it is in Cargo.lock, though nothing of it is compiled.
fn package() -> PathBuf {
    let find = || -> Option<PathBuf> {
        let home = std::env::var_os("CARGO_HOME").map_or_else(
            || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
            PathBuf::from,
        );
        let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
        registries
            .filter_map(Result::ok)
            .map(|registry| registry.path().join("cros-codecs-0.0.6"))
            .find(|path| path.is_dir())
    };
    find().unwrap_or_else(|| {
        let fetched = Command::new(env!("CARGO"))
            .args(["fetch", "--locked", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
            .status()
            .expect("cargo runs");
        assert!(fetched.success(), "cargo fetch");
        find().expect("the package cros-codecs 0.0.6, which cargo fetch downloads")
    })
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.split_whitespace().map(str::to_owned).collect()
}

fn stream(file: &Path, layout: &str, md5: &[String]) -> Value {
    let name = file.file_name().expect("a file").to_string_lossy();
    let rect =
        (name == LEFT_NOT_CROPPED).then(|| json!({ "x": 0, "y": 60, "width": 326, "height": 168 }));
    json!({ "name": name, "file": file, "layout": layout, "md5": md5, "rect": rect, "untimed": name == UNTIMED })
}

/// The streams of the package: I420 checksums in `.json`, NV12 ones in `.md5`.
fn packaged(codec: &str) -> Vec<Value> {
    let folder = package().join("src/codec").join(codec).join("test_data");
    let mut streams = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of streams") {
        let file = entry.expect("an entry").path();
        let beside = |extension: &str| {
            let mut name = file.clone().into_os_string();
            name.push(extension);
            PathBuf::from(name)
        };
        if beside(".json").is_file() {
            let text = std::fs::read(beside(".json")).expect("it is readable");
            let report: Value = serde_json::from_slice(&text).expect("JSON");
            let sums: Vec<String> = report["md5_checksums"]
                .as_array()
                .expect("checksums")
                .iter()
                .map(|sum| sum.as_str().expect("text").to_owned())
                .collect();
            streams.push(stream(&file, "I420", &sums));
        } else if file.ends_with(UNTIMED) {
            let sums = "../codec-vpx/tests/data/resolution_change_500frames-vp9.md5";
            let sums = Path::new(env!("CARGO_MANIFEST_DIR")).join(sums);
            streams.push(stream(&file, "I420", &lines(&sums)));
        } else if beside(".md5").is_file() {
            streams.push(stream(&file, "NV12", &lines(&beside(".md5"))));
        }
    }
    streams
}

/// The streams beside the checkout, where they are.
fn vectors(codec: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors")
        .join(codec);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("no {codec} streams beside the checkout: the packaged ones alone are compared");
        return Vec::new();
    };
    let mut streams = Vec::new();
    for entry in entries {
        let sums = entry.expect("an entry").path();
        if sums.extension().is_some_and(|extension| extension == "md5") {
            streams.push(stream(&sums.with_extension(""), "I420", &lines(&sums)));
        }
    }
    streams
}

/// Decodes all of `streams`, of which there are at least `least`.
fn compare(streams: Vec<Value>, least: usize) {
    assert!(streams.len() >= least, "{} streams", streams.len());
    let list = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(list.path(), Value::from(streams).to_string()).expect("it is written");
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(script("conformance.js"))
        .arg(list.path())
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let results: BTreeMap<String, Option<String>> =
        serde_json::from_slice(&output.stdout).expect("JSON");
    let mut wrong = Vec::new();
    for (name, problem) in results {
        let known = NOT_BY_OPENH264
            .iter()
            .find(|(known, ..)| *known == name)
            .filter(|(.., taken_over)| !taken_over);
        match (problem, known) {
            (Some(problem), Some((_, reason, _))) => eprintln!("{name}: {problem} ({reason})"),
            (Some(problem), None) => wrong.push(format!("{name}: {problem}")),
            (None, Some(_)) => wrong.push(format!("{name} decodes: take it off the list")),
            (None, None) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn h264_streams_decode_to_the_reference_pictures() {
    compare([packaged("h264"), vectors("h264")].concat(), 6);
}

#[test]
fn h265_streams_decode_to_the_reference_pictures() {
    compare(packaged("h265"), 6);
}

#[test]
fn vp8_streams_decode_to_the_reference_pictures() {
    compare([packaged("vp8"), vectors("vp8")].concat(), 1);
}

#[test]
fn vp9_streams_decode_to_the_reference_pictures() {
    compare(packaged("vp9"), 4);
}

#[test]
fn av1_streams_decode_to_the_reference_pictures() {
    compare(packaged("av1"), 2);
}
