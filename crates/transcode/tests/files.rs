//! Files: what is no file, names that are long or no Unicode, who may read what is written, and what is in an image.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::*;
use reelcore_transcode::probe::{FileReport, probe};
use reelcore_transcode::{JobError, Options, run_with};
use serde_json::{Value, json};

#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let inputs = json!({ "version": 1, "operation": "probe", "inputs": { "a": { "path": pipe } } });
    let (sender, receiver) = channel();
    let path = pipe.clone();
    // It is left behind where it waits after all.
    std::thread::spawn(move || {
        let alone = probe(&path, false, &registry()).expect_err("no file");
        let _ = sender.send([alone, refused(inputs)]);
    });
    let errors = receiver.recv_timeout(Duration::from_secs(20));
    for error in errors.expect("an answer") {
        assert!(
            matches!(&error, JobError::Input { path, message }
                if *path == pipe && message == "expected a file, which can be sought in"),
            "{error:?}"
        );
    }
}

/// A job that writes the first picture of the clip.
fn picture_to(path: &Path) -> Value {
    json!({ "version": 1, "inputs": { "clip": { "path": clip() } }, "outputs": [{ "path": path }] })
}

#[test]
fn an_output_has_as_long_a_name_as_the_file_system_takes() {
    // 255 bytes: of letters, and of those that take two, so that the cut falls into one.
    for stem in ["x".repeat(251), format!("x{}", "é".repeat(125))] {
        let folder = folder();
        let name = format!("{stem}.png");
        assert_eq!(name.len(), 255);
        done(picture_to(&folder.path().join(&name)));
        assert_eq!(names(folder.path()), [name]);
    }
}

// Other systems' file systems take no such names.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_unicode_is_written_and_reported() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let name = |end: &str| {
        let name = [b"caf\xe9.", end.as_bytes()].concat();
        folder.path().join(std::ffi::OsStr::from_bytes(&name))
    };
    let (from, to) = (name("mp4"), name("png"));
    std::fs::copy(clip(), &from).expect("a copy");
    let mut job = job(&picture_to(Path::new("out.png")));
    job.inputs
        .0
        .values_mut()
        .for_each(|input| input.path = Some(from.clone()));
    job.outputs[0].path.clone_from(&to);
    let report = run_with(&job, &registry(), &Options::default(), &mut |_| {});
    let report = report.expect("the job is done");
    assert!(report.outputs[0].path == to && to.is_file());
    let json = serde_json::to_value(&report).expect("JSON");
    let shown = json["outputs"][0]["path"].as_str().expect("a text");
    assert!(shown.ends_with("caf\u{fffd}.png"), "{shown}");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_is_for_those_whom_it_was_for() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = |path: &Path| path.metadata().expect("a file").mode() & 0o7777;
    let folder = folder();
    let out = folder.path().join("out.png");
    done(picture_to(&out));
    // What the umask leaves.
    let plain = folder.path().join("plain");
    std::fs::write(&plain, b"").expect("a file");
    assert_eq!(mode(&out), mode(&plain));
    let options = Options {
        overwrite: true,
        ..Options::default()
    };
    for bits in [0o600, 0o640, 0o666, 0o444] {
        std::fs::set_permissions(&out, PermissionsExt::from_mode(bits)).expect("a mode");
        let before = out.metadata().expect("a file");
        let job = job(&picture_to(&out));
        run_with(&job, &registry(), &options, &mut |_| {}).expect("the job is done");
        let after = out.metadata().expect("a file");
        assert_ne!(after.ino(), before.ino(), "it is another file");
        assert_eq!(mode(&out), bits, "{:o}", mode(&out));
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    }
}

/// What a probe by itself and a job's probe say, which is the same.
fn probed(path: &Path, count: bool) -> FileReport {
    let report = probe(path, count, &registry()).expect("a report");
    if !count {
        let inputs = done(json!({
            "version": 1, "operation": "probe", "inputs": { "a": { "path": path } },
        }))
        .inputs;
        assert_eq!(inputs["a"], report);
    }
    report
}

/// A PNG image of 64x48 pixels of `format`, as FFmpeg calls it.
fn image(format: &str) -> PathBuf {
    made(
        &format!("-f lavfi -i testsrc2=size=64x48:duration=0.04 -frames:v 1 -pix_fmt {format}"),
        &format!("transcode-{format}.png"),
    )
}

#[test]
fn an_image_is_a_track_of_one_picture() {
    for (format, want) in [
        ("rgb24", "truecolour, 8 bits"),
        ("rgba", "truecolour with alpha, 8 bits"),
        ("rgb48be", "truecolour, 16 bits"),
        ("gray", "greyscale, 8 bits"),
        ("ya8", "greyscale with alpha, 8 bits"),
        ("pal8", "indexed-colour, 8 bits"),
        ("monob", "greyscale, 1 bit"),
    ] {
        let path = image(format);
        let len = std::fs::metadata(&path).expect("a file").len();
        let report = probed(&path, false);
        assert_eq!(
            (report.container, report.size, report.duration),
            ("png", Some(len), None)
        );
        let [track] = report.tracks.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((track.kind, track.codec.as_deref()), ("video", None));
        assert_eq!(track.format.as_deref(), Some(want));
        assert_eq!((track.packets, track.bytes), (Some(1), None));
        assert_eq!((track.decoder, &track.unsupported), (Some("png"), &None));
        let video = track.video.as_ref().expect("pictures");
        assert_eq!((video.coded_width, video.coded_height), (64, 48));
        assert_eq!(video.transfer, Some("iec61966-2-1"));
        let counted = &probed(&path, true).tracks[0];
        assert_eq!(
            (counted.bytes, counted.key_packets, &counted.error),
            (Some(len), Some(1), &None)
        );
    }
}

#[test]
fn what_is_wrong_with_the_pixels_of_an_image_is_said_where_they_are_read() {
    let folder = folder();
    let bytes = std::fs::read(image("rgba")).expect("a file");
    let path = folder.path().join("short.png");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    assert_eq!(probed(&path, false).tracks[0].error, None);
    assert!(probed(&path, true).tracks[0].error.is_some());
    // Without a header there is no image.
    std::fs::write(&path, &bytes[..20]).expect("a file");
    let error = probe(&path, false, &registry()).expect_err("no image");
    assert!(
        matches!(&error, JobError::Input { path: named, .. } if *named == path),
        "{error:?}"
    );
}
