//! The checked-in files are what the generator makes of the .webidl files.

use std::path::Path;

use reelcore_codegen::{Config, generate, read_sources};

fn check(config: &Config, folder: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources = read_sources(&root.join(folder)).expect("the sources are readable");
    assert!(!sources.is_empty(), "no .webidl file in {folder}");
    let files = generate(config, &sources).unwrap_or_else(|error| panic!("{error}"));
    for file in &files {
        let current = std::fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(
            current == file.contents,
            "{} is not up to date: run ./x codegen",
            file.path.display()
        );
    }
    for entry in
        std::fs::read_dir(root.join(&config.rust_dir)).expect("the folder of the Rust files")
    {
        let path = config.rust_dir.join(entry.expect("a file").file_name());
        assert!(
            files.iter().any(|file| file.path == path),
            "{} is no longer generated",
            path.display()
        );
    }
}

#[test]
fn the_bindings_are_up_to_date() {
    check(&Config::webcodecs(), "webidl");
}

#[test]
fn the_fixture_is_up_to_date() {
    check(&Config::fixture(), "crates/webcodecs/tests/bindings");
}

#[test]
fn every_interface_of_the_specification_is_declared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("webidl/webcodecs.webidl")).expect("the file");
    for name in [
        "AudioDecoder",
        "VideoDecoder",
        "AudioEncoder",
        "VideoEncoder",
        "EncodedAudioChunk",
        "EncodedVideoChunk",
        "AudioData",
        "VideoFrame",
        "VideoColorSpace",
        "ImageDecoder",
        "ImageTrackList",
        "ImageTrack",
    ] {
        assert!(
            text.contains(&format!("\ninterface {name} ")),
            "interface {name} is missing"
        );
    }
}
