//! Jobs that are refused, fail or are stopped: what is said, and what is left of their output.

mod common;

use std::path::Path;

use common::*;
use reelcore_transcode::{Cancel, EXISTS, Job, JobError, Options, run, run_with};

#[test]
fn nothing_is_left_of_a_job_that_fails_or_is_cancelled() {
    let folder = folder();
    let out = folder.path().join("out.webm");
    std::fs::write(&out, b"before").expect("a file");
    let wrong = job(&serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "filters": { "part": { "crop": { "input": "clip:video", "width": 9999, "height": 10 } } },
        "outputs": [{ "path": out, "streams": [{ "video": { "source": "part" } }] }],
    }));
    let error = run(&wrong, &registry(), &mut |_| {}).expect_err("a file is there");
    assert_eq!(
        (error.exit_code(), error.to_string()),
        (4, format!("{}: {EXISTS}", out.display()))
    );
    let replace = Options {
        overwrite: true,
        ..Options::default()
    };
    let error = run_with(&wrong, &registry(), &replace, &mut |_| {});
    let error = error.expect_err("it is larger than the picture");
    assert!(
        matches!(&error, JobError::Spec { path, .. } if path == "filters.part.crop"),
        "{error:?}"
    );
    let right = job(&serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } }, "outputs": [{ "path": out }],
    }));
    let cancel = Cancel::default();
    let options = Options {
        cancel: cancel.clone(),
        overwrite: true,
        ..Options::default()
    };
    let result = run_with(&right, &registry(), &options, &mut |_| cancel.cancel());
    assert_eq!(result, Err(JobError::Cancelled));
    assert_eq!(names(folder.path()), ["out.webm"]);
    assert_eq!(std::fs::read(&out).expect("the file"), b"before");
}

#[test]
fn a_file_that_is_there_is_replaced_where_that_is_asked_for() {
    let folder = folder();
    let (out, link) = (
        folder.path().join("out.png"),
        folder.path().join("link.png"),
    );
    std::fs::write(&out, b"before").expect("a file");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&out, &link).expect("a link");
    let options = Options {
        overwrite: true,
        ..Options::default()
    };
    let spec = serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } }, "outputs": [{ "path": link }],
    });
    run_with(&job(&spec), &registry(), &options, &mut |_| {}).expect("the job is done");
    // A link stays one, and what it leads to is replaced.
    assert!(
        link.is_symlink()
            && std::fs::read(&out)
                .expect("the file")
                .starts_with(b"\x89PNG")
    );
    let device = serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [{ "path": "/dev/null", "container": "png" }],
    });
    let error = run_with(&job(&device), &registry(), &options, &mut |_| {}).expect_err("no file");
    assert_eq!(error.exit_code(), 4, "{error}");
}

#[test]
fn the_output_that_fails_takes_the_others_with_it() {
    let folder = folder();
    let error = refused(serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [
            { "path": folder.path().join("a.png") },
            { "path": folder.path().join("no/such/folder/b.mp4") },
        ],
    }));
    assert!(
        matches!(&error, JobError::Output { path, .. } if path.ends_with("b.mp4")),
        "{error}"
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_no_encoder_and_no_container_takes_is_said_with_its_path() {
    let folder = folder();
    for (name, stream, want) in [
        (
            "a.mp4",
            serde_json::json!({ "video": { "codec": "hevc" } }),
            "outputs[0].streams[0].video.codec",
        ),
        (
            "a.webm",
            serde_json::json!({ "video": { "codec": "h264" } }),
            "outputs[0].streams[0].video.codec",
        ),
        (
            "a.webm",
            serde_json::json!({ "audio": { "codec": "flac" } }),
            "outputs[0].streams[0].audio.codec",
        ),
        (
            "a.wav",
            serde_json::json!({ "audio": { "codec": "opus" } }),
            "outputs[0].streams[0].audio.codec",
        ),
    ] {
        let error = refused(serde_json::json!({
            "version": 1, "inputs": { "clip": { "path": clip() } },
            "outputs": [{ "path": folder.path().join(name), "streams": [stream] }],
        }));
        assert!(
            matches!(&error, JobError::Spec { path, .. } if path == want),
            "{name}: {error:?}"
        );
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn inputs_that_are_no_media_are_named() {
    let folder = folder();
    let (text, out) = (
        folder.path().join("text.mp4"),
        folder.path().join("out.webm"),
    );
    std::fs::write(&text, b"no media at all").expect("a file");
    for path in [
        &text,
        &folder.path().join("missing.mp4"),
        folder.path(),
        Path::new("/dev/null"),
    ] {
        let error = refused(serde_json::json!({
            "version": 1, "inputs": { "a": { "path": path } }, "outputs": [{ "path": out }],
        }));
        assert!(
            matches!(&error, JobError::Input { path: named, .. } if named == path),
            "{error:?}"
        );
        assert_eq!(error.exit_code(), 3);
    }
    assert_eq!(names(folder.path()), ["text.mp4"]);
}

#[test]
fn a_job_that_is_abandoned_returns_before_its_encoder_is_done() {
    let folder = folder();
    let out = folder.path().join("out.webm");
    let slow = job(&serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "filters": { "large": { "scale": { "input": "clip:video", "width": 1920, "height": 1440 } } },
        "outputs": [{ "path": out, "streams": [{ "video": { "source": "large", "codec": "vp9" } }] }],
    }));
    let cancel = Cancel::default();
    let options = Options {
        cancel: cancel.clone(),
        abandon: true,
        ..Options::default()
    };
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        cancel.cancel();
    });
    let result = run_with(&slow, &registry(), &options, &mut |_| {});
    assert_eq!(result, Err(JobError::Cancelled));
    assert_eq!(names(folder.path()), [""; 0]);
    canceller.join().expect("the canceller ends");
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let base = serde_json::json!({
        "version": 1, "inputs": { "a": { "path": "a.mp4" } },
        "filters": { "s": { "scale": { "input": "a:video", "width": 64 } } },
        "outputs": [{ "path": "o.mp4", "streams": [{ "video": { "source": "s" } }] }],
    });
    for (pointer, value, want) in [
        ("/version", serde_json::json!(2), "version"),
        (
            "/inputs/a",
            serde_json::json!({ "path": "a.mp4", "form": 1 }),
            "inputs.a.form",
        ),
        (
            "/inputs/a",
            serde_json::json!({ "path": "-" }),
            "inputs.a.path",
        ),
        (
            "/inputs/a",
            serde_json::json!({ "path": "a.mp4", "from": 2, "to": 1 }),
            "inputs.a.to",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "a:audio", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "s", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "x", "width": 64 }),
            "filters.s.scale.input",
        ),
        (
            "/filters/s/scale",
            serde_json::json!({ "input": "a:video", "width": 0 }),
            "filters.s.scale.width",
        ),
        (
            "/outputs/0/path",
            serde_json::json!("o.xyz"),
            "outputs[0].path",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "a:video" }),
            "filters.s",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "s", "codec": "h266" }),
            "outputs[0].streams[0].video.codec",
        ),
        (
            "/outputs/0/streams/0/video",
            serde_json::json!({ "source": "s", "codec": "copy" }),
            "outputs[0].streams[0].video.codec",
        ),
    ] {
        let mut json = base.clone();
        *json.pointer_mut(pointer).expect("a field") = value;
        match Job::from_json(json.to_string().as_bytes()) {
            Err(JobError::Spec { path, .. }) => assert_eq!(path, want, "{pointer}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    assert!(Job::from_json(base.to_string().as_bytes()).is_ok());
}

#[test]
fn one_file_is_not_written_by_two_outputs_however_it_is_spelled() {
    let folder = folder();
    let out = folder.path().join("a.webm");
    for other in [
        folder.path().join("./a.webm"),
        folder
            .path()
            .join("../")
            .join(folder.path().file_name().expect("a name"))
            .join("a.webm"),
    ] {
        let json = serde_json::json!({
            "version": 1, "inputs": { "clip": { "path": clip() } },
            "outputs": [{ "path": out }, { "path": other }],
        });
        let error = Job::from_json(json.to_string().as_bytes()).expect_err("the same file");
        assert!(
            matches!(&error, JobError::Spec { path, .. } if path == "outputs[1].path"),
            "{error:?}"
        );
    }
}

#[test]
fn outputs_that_have_their_names_lose_them_where_another_cannot_have_its() {
    let folder = folder();
    let (first, second) = (folder.path().join("a.png"), folder.path().join("b.png"));
    let both = job(&serde_json::json!({
        "version": 1, "inputs": { "clip": { "path": clip() } },
        "outputs": [{ "path": first }, { "path": second }],
    }));
    // Somebody else writes it while the job runs.
    let error = run(&both, &registry(), &mut |_| {
        std::fs::write(&second, b"another").expect("a file");
    });
    let error = error.expect_err("a file is there");
    assert!(
        matches!(&error, JobError::Output { path, .. } if *path == second),
        "{error:?}"
    );
    assert_eq!(names(folder.path()), ["b.png"]);
}

#[test]
fn an_image_without_an_end_makes_no_output_without_one() {
    let logo = made(
        "-f lavfi -i color=red:size=64x64:duration=0.04 -pix_fmt rgba",
        "transcode-logo.png",
    );
    let folder = folder();
    for (name, filters, source) in [
        ("a.webm", serde_json::json!({}), "logo:video"),
        ("a.ivf", serde_json::json!({}), "logo:video"),
        (
            "a.mp4",
            serde_json::json!({ "f": { "fps": { "input": "logo:video", "rate": 25 } } }),
            "f",
        ),
        (
            "b.mp4",
            serde_json::json!({ "c": { "crossfade": { "input": "clip:video", "next": "logo:video", "duration": 1 } } }),
            "c",
        ),
    ] {
        let error = refused(serde_json::json!({
            "version": 1, "inputs": { "clip": { "path": clip() }, "logo": { "path": logo } }, "filters": filters,
            "outputs": [{ "path": folder.path().join(name), "streams": [{ "video": { "source": source } }] }],
        }));
        assert!(
            matches!(&error, JobError::Spec { path, message }
                if path == "outputs[0].streams[0].video.source" && message.contains("a `to`")),
            "{name}: {error:?}"
        );
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn shapes_that_are_no_specification_are_named() {
    let stream = r#"{ "video": { "source": "s" } }"#;
    let filter = r#"{ "scale": { "input": "a:video", "width": 64 } }"#;
    let whole = |stream: &str, filter: &str| {
        format!(
            r#"{{ "version": 1.0, "inputs": {{ "a": {{ "path": "a.mp4" }} }}, "filters": {{ "s": {filter} }},
                "outputs": [{{ "path": "o.mp4", "streams": [{stream}] }}] }}"#
        )
    };
    let said = |json: &str| match Job::from_json(json.as_bytes()) {
        Err(JobError::Spec { path, message }) => (path, message),
        other => panic!("{json}: {other:?}"),
    };
    assert_eq!(
        said("[1]"),
        (String::new(), "expected an object, found an array".into())
    );
    let (path, message) = said(&whole(r#"{ "video": {}, "audio": {} }"#, filter));
    assert_eq!(path, "outputs[0].streams[0]");
    assert!(
        message.contains("audio, video") || message.contains("video, audio"),
        "{message}"
    );
    let (path, message) = said(&whole(stream, r#"{ "scale": {}, "crop": {} }"#));
    assert_eq!(path, "filters.s");
    assert!(
        message.contains("crop") && message.contains("scale"),
        "{message}"
    );
    assert_eq!(
        said(&whole(r#"{ "video": ["s"] }"#, filter)).0,
        "outputs[0].streams[0].video"
    );
    let (path, message) = said(&whole(
        r#"{ "video": { "source": "s", "quantizer": 60 } }"#,
        filter,
    ));
    assert_eq!(path, "outputs[0].streams[0].video.quantizer");
    assert!(message.contains("51"), "H.264 ends there: {message}");
    // Numbers of JSON have no types: these are whole.
    let number = |number: &str| {
        whole(
            &format!(r#"{{ "video": {{ "source": "s", "bitrate": {number} }} }}"#),
            filter,
        )
    };
    assert!(Job::from_json(number("1e6").as_bytes()).is_ok());
    for wrong in ["1000.5", "-1e6", "1e30", "\"1000\""] {
        assert_eq!(
            said(&number(wrong)).0,
            "outputs[0].streams[0].video.bitrate",
            "{wrong}"
        );
    }
}

#[test]
fn the_checked_in_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, Job::schema()).expect("the schema is written");
    }
    let checked_in = std::fs::read_to_string(&path).expect("docs/job.schema.json");
    // As values: whether the keys of an object keep their order depends on what else is built with serde_json.
    let value =
        |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("a JSON Schema") };
    assert!(
        value(&checked_in) == value(&Job::schema()),
        "docs/job.schema.json is not that of the types: run the test with UPDATE_SCHEMA=1"
    );
}
