//! Decoded pictures against checksums of FFmpeg's own decoders, and of the public test vectors.

mod common;

use std::path::{Path, PathBuf};

use common::*;
use reelcore_media::color::{ColorSpace, Matrix, Primaries, Transfer};
use reelcore_media::{PixelFormat as F, Size, VideoFrame};

const STREAMS: [(&str, F); 20] = [
    ("vp8", F::I420),
    ("vp8-odd", F::I420),
    ("vp8-hidden", F::I420),
    ("vp8-partitions", F::I420),
    ("vp8-alpha", F::I420A),
    ("vp9", F::I420),
    ("vp9-odd", F::I420),
    ("vp9-small", F::I420),
    ("vp9-hidden", F::I420),
    ("vp9-tiles", F::I420),
    ("vp9-alpha", F::I420A),
    ("vp9-422", F::I422),
    ("vp9-444", F::I444),
    ("vp9-rgb", F::I444),
    ("vp9-420p10", F::I420P10),
    ("vp9-420p12", F::I420P12),
    ("vp9-422p10", F::I422P10),
    ("vp9-422p12", F::I422P12),
    ("vp9-444p10", F::I444P10),
    ("vp9-444p12", F::I444P12),
];

#[test]
fn every_profile_decodes_to_the_reference_pictures_with_its_times() {
    for (name, format) in STREAMS {
        let stream = Stream::read(name);
        assert!(!stream.md5.is_empty(), "{name}");
        for threads in [1, 2, 5] {
            let frames = decode_all(&mut *stream.start(&context(threads)), &stream.chunks);
            assert_eq!(
                times(&frames),
                stream.shown_times(),
                "{name}, {threads} threads"
            );
            assert_eq!(checksums(&frames), stream.md5, "{name}, {threads} threads");
            for frame in &frames {
                assert_eq!(frame.format, Some(format), "{name}");
                assert_eq!(frame.display_size, frame.visible_rect.size(), "{name}");
                assert_eq!(frame.coded_size, frame.visible_rect.size(), "{name}");
            }
        }
    }
}

#[test]
fn hidden_frames_are_in_the_streams_that_test_them() {
    let vp8 = Stream::read("vp8-hidden");
    assert!(vp8.shown_times().len() < vp8.chunks.len());
    let vp9 = Stream::read("vp9-hidden");
    let frames = |data| reelcore_media::vpx::Superframe::parse(data).unwrap();
    assert!(
        vp9.chunks
            .iter()
            .any(|c| frames(&c.data).frames().len() > 1)
    );
}

#[test]
fn the_colour_space_is_that_of_the_bitstream() {
    let color = |name| {
        let stream = Stream::read(name);
        decode_all(&mut *stream.start(&context(1)), &stream.chunks[..1])[0].color_space
    };
    let bt601 = ColorSpace {
        primaries: Some(Primaries::Smpte170m),
        transfer: Some(Transfer::Smpte170m),
        matrix: Some(Matrix::Smpte170m),
        full_range: Some(false),
    };
    assert_eq!(color("vp8"), bt601);
    assert_eq!(
        color("vp9-420p10"),
        ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Bt709),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(true),
        }
    );
    assert_eq!(color("vp9-rgb").matrix, Some(Matrix::Rgb));
    assert_eq!(color("vp9-rgb").full_range, Some(true));
    // color_space 0: nothing but the range is known.
    assert_eq!(
        color("vp9"),
        ColorSpace {
            full_range: Some(false),
            ..ColorSpace::default()
        }
    );
}

/// Decodes on one and on two threads, and compares what `hash` makes of the frames.
fn compare(path: &Path, want: &[String], hash: impl Fn(&VideoFrame) -> String) {
    let stream = Stream::open(path, Vec::new());
    for threads in [1, 2] {
        let mut decoder = stream.start(&context(threads));
        let mut got = Vec::new();
        for chunk in &stream.chunks {
            decoder
                .decode(chunk, &mut |frame| got.push(hash(&frame)))
                .expect("decodes");
        }
        assert_eq!(got.len(), want.len(), "frames of {}", path.display());
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            assert_eq!(
                got,
                want,
                "frame {index} of {}, {threads} threads",
                path.display()
            );
        }
    }
}

#[test]
fn the_public_vp8_test_vectors_decode_to_their_checksums() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/vp8");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!(
            "no VP8 test vectors in ../shared/vectors (../shared/prepare.sh fetches them): nothing checked"
        );
        return;
    };
    let mut checked = 0;
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_some_and(|e| e == "ivf") {
            compare(&path, &lines(&path.with_extension("ivf.md5")), md5);
            checked += 1;
        }
    }
    assert!(checked > 0, "no IVF files in {}", folder.display());
}

/// The package of cros-codecs 0.0.6 in cargo's registry.
fn cros_codecs() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(PathBuf::from(home).join(".cargo"))
        })?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .filter_map(|entry| Some(entry.ok()?.path().join("cros-codecs-0.0.6/src/codec")))
        .find(|path| path.is_dir())
}

#[test]
fn the_streams_of_cros_codecs_decode_to_their_checksums() {
    let Some(folder) = cros_codecs() else {
        eprintln!("no package cros-codecs 0.0.6 in cargo's registry: nothing checked");
        return;
    };
    // All checksums are of NV12.
    for name in [
        "vp8/test_data/test-25fps.vp8",
        "vp9/test_data/test-25fps.vp9",
        "vp9/test_data/vp90-2-10-show-existing-frame.vp9.ivf",
        "vp9/test_data/vp90-2-10-show-existing-frame2.vp9.ivf",
    ] {
        let path = folder.join(name);
        let want = lines(Path::new(&format!("{}.md5", path.display())));
        compare(&path, &want, md5_nv12);
    }
    // The package has no checksums of its pictures.
    let path = folder.join("vp9/test_data/resolution_change_500frames-vp9.ivf");
    let want = lines(&data("resolution_change_500frames-vp9.md5"));
    assert_eq!(want.len(), 500);
    compare(&path, &want, md5);
    let stream = Stream::open(&path, Vec::new());
    let mut sizes: Vec<Size> = Vec::new();
    let mut decoder = stream.start(&context(2));
    for chunk in &stream.chunks {
        decoder
            .decode(chunk, &mut |frame| sizes.push(frame.coded_size))
            .expect("decodes");
    }
    sizes.dedup();
    assert!(sizes.len() > 3, "{sizes:?}");
}
