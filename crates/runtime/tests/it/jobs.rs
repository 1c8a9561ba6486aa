//! `reelcore transcode` and `reelcore job`: what is written, what is said, and exit codes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn clip() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/media/h264-aac.mp4"
    ))
}

/// Runs the command in `folder`.
fn reelcore(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .current_dir(folder)
        .args(args)
        .output()
        .expect("the binary starts")
}

/// The same with a specification on standard input.
fn job(folder: &Path, args: &[&str], spec: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .current_dir(folder)
        .arg("job")
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(spec.as_bytes())
        .expect("the specification is taken");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// A folder with the clip as `clip.mp4` in it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(clip(), folder.path().join("clip.mp4")).expect("a copy");
    folder
}

/// The names of the files in it, but for the clip.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "clip.mp4")
        .collect();
    names.sort();
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The events of `--progress json`.
fn events(output: &Output) -> Vec<Value> {
    let text = text(&output.stderr);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

fn probe(path: &Path) -> Value {
    let output = reelcore(
        Path::new("."),
        &["probe", "--json", "--count", &path.to_string_lossy()],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_transcode_writes_one_file_and_says_one_line() {
    let folder = folder();
    let args = "transcode clip.mp4 out.webm --video vp9:500k --audio opus:48k --size 160x --from 0.2 --to 1 --realtime";
    let output = reelcore(folder.path(), &args.split(' ').collect::<Vec<_>>());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        (output.stdout.len(), stderr.lines().count()),
        (0, 1),
        "{stderr}"
    );
    assert!(stderr.starts_with("out.webm: "), "{stderr}");
    assert_eq!(names(folder.path()), ["out.webm"]);
    let report = probe(&folder.path().join("out.webm"));
    assert_eq!(report["container"], "webm");
    assert_eq!(report["tracks"][0]["video"]["codedWidth"], 160);
    assert_eq!(report["tracks"][1]["codec"], "opus");
    let duration = report["duration"].as_u64().expect("a duration");
    assert!((790_000..=830_000).contains(&duration), "{duration}");
}

#[test]
fn a_file_that_is_there_is_kept_unless_asked() {
    let folder = folder();
    std::fs::write(folder.path().join("out.png"), b"before").expect("a file");
    let output = reelcore(folder.path(), &["transcode", "clip.mp4", "out.png"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("out.png: the file exists") && stderr.contains("--overwrite"),
        "{stderr}"
    );
    let read = || std::fs::read(folder.path().join("out.png")).expect("the file");
    assert_eq!(read(), b"before");
    let output = reelcore(folder.path(), &["transcode", "-y", "clip.mp4", "out.png"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(read().starts_with(b"\x89PNG"));
    assert_eq!(names(folder.path()), ["out.png"]);
}

#[test]
fn exit_codes_tell_what_was_wrong_and_nothing_is_left() {
    let folder = folder();
    std::fs::write(folder.path().join("text.mp4"), b"no media").expect("a file");
    for (args, code, message) in [
        (&["transcode"][..], 2, "expected two files"),
        (&["transcode", "clip.mp4"][..], 2, "expected two files"),
        (&["transcode", "a", "b", "c"][..], 2, "\"c\""),
        (
            &["transcode", "clip.mp4", "out.mp4", "--walk"][..],
            2,
            "--walk",
        ),
        (
            &["transcode", "clip.mp4", "out.mp4", "--size", "big"][..],
            2,
            "\"big\"",
        ),
        (
            &["transcode", "clip.mp4", "out.mp4", "--video", "h266"][..],
            2,
            "--video: expected h264",
        ),
        (
            &["transcode", "clip.mp4", "out.xyz"][..],
            2,
            "OUT: the extension \"xyz\"",
        ),
        (
            &[
                "transcode",
                "clip.mp4",
                "out.mp4",
                "--from",
                "2",
                "--to",
                "1",
            ][..],
            2,
            "inputs.in.to: ",
        ),
        (
            &["transcode", "clip.mp4", "out.webm", "--video", "h264"][..],
            2,
            "outputs[0].streams[0].video.codec: ",
        ),
        (
            &["transcode", "missing.mp4", "out.mp4"][..],
            3,
            "missing.mp4: ",
        ),
        (&["transcode", "text.mp4", "out.mp4"][..], 3, "text.mp4: "),
        (
            &["transcode", "clip.mp4", "no/such/folder/out.mp4"][..],
            4,
            "no/such/folder/out.mp4: ",
        ),
        (&["job"][..], 2, "expected a specification"),
        (&["job", "missing.json"][..], 2, "missing.json: "),
        (&["job", "--schema", "x"][..], 2, "--schema"),
        (&["job", "--progress", "loud", "x"][..], 2, "\"loud\""),
    ] {
        let output = reelcore(folder.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(message),
            "{args:?}: {stderr}"
        );
        assert_eq!(names(folder.path()), ["text.mp4"], "{args:?}");
    }
    // What shows once the input is open: the crop is larger than the picture.
    let spec = json!({
        "version": 1, "inputs": { "clip": { "path": "clip.mp4" } },
        "filters": { "part": { "crop": { "input": "clip:video", "width": 9999, "height": 10 } } },
        "outputs": [{ "path": "out.webm", "streams": [{ "video": { "source": "part" } }] }],
    });
    let output = job(folder.path(), &[], &spec.to_string());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("filters.part.crop: "), "{stderr}");
    assert_eq!(names(folder.path()), ["text.mp4"]);
}

#[test]
fn progress_as_json_is_one_object_a_line() {
    let folder = folder();
    let args = [
        "transcode",
        "clip.mp4",
        "out.mkv",
        "--to",
        "1",
        "--realtime",
        "--progress",
        "json",
    ];
    let output = reelcore(folder.path(), &args);
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(0), 0),
        "{output:?}"
    );
    let events = events(&output);
    let (last, before) = events.split_last().expect("events");
    assert!(!before.is_empty());
    let mut time = 0;
    for event in before {
        assert_eq!(event["event"], "progress");
        assert_eq!(event["total"], 1_000_000);
        for field in [
            "percent",
            "speed",
            "remaining",
            "pictures",
            "bytes",
            "elapsed",
        ] {
            assert!(
                event[field].is_number() || (field == "remaining" && event[field].is_null()),
                "{event}"
            );
        }
        let now = event["time"].as_i64().expect("a time");
        assert!(now >= time, "time goes on: {event}");
        time = now;
    }
    assert_eq!(before.last().expect("one")["percent"], 100.0);
    assert_eq!(
        (&last["event"], &last["outputs"][0]["path"]),
        (&json!("done"), &json!("out.mkv"))
    );
    let size = std::fs::metadata(folder.path().join("out.mkv"))
        .expect("the file")
        .len();
    assert_eq!(last["outputs"][0]["bytes"], size);

    let args = ["transcode", "missing.mp4", "out.mp4", "--progress", "json"];
    let output = reelcore(folder.path(), &args);
    let found = self::events(&output);
    let error = found.last().expect("an event");
    assert_eq!(
        (
            &error["event"],
            &error["kind"],
            &error["code"],
            &error["path"]
        ),
        (
            &json!("error"),
            &json!("input"),
            &json!(3),
            &json!("missing.mp4")
        )
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn progress_of_style_none_says_nothing_and_a_bar_is_drawn_where_asked() {
    let folder = folder();
    let run = |out: &str, style: &str| {
        let args = [
            "transcode",
            "clip.mp4",
            out,
            "--to",
            "0.5",
            "--realtime",
            "--progress",
            style,
        ];
        let output = reelcore(folder.path(), &args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    assert_eq!(run("a.webm", "none"), "");
    let bar = run("b.webm", "bar");
    assert!(
        bar.contains("100 % [####") && bar.contains("\r\x1b[Kb.webm: "),
        "{bar:?}"
    );
}

#[test]
fn a_specification_is_checked_and_wrong_fields_are_named() {
    let folder = folder();
    let good = json!({
        "version": 1, "inputs": { "clip": { "path": "clip.mp4" } }, "outputs": [{ "path": "out.webm" }],
    });
    let output = job(folder.path(), &["--check"], &good.to_string());
    assert_eq!(
        (
            output.status.code(),
            output.stdout.len(),
            output.stderr.len()
        ),
        (Some(0), 0, 0)
    );
    for (pointer, value, message) in [
        (
            "/outputs/0",
            json!({ "path": "o.mp4", "speed": 1 }),
            "-: outputs[0].speed: unknown field",
        ),
        ("/version", json!(2), "-: version: "),
        (
            "/inputs/clip",
            json!({ "path": "a", "from": -1 }),
            "-: inputs.clip.from: ",
        ),
    ] {
        let mut spec = good.clone();
        *spec.pointer_mut(pointer).expect("a field") = value;
        let output = job(folder.path(), &[], &spec.to_string());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
    let output = job(folder.path(), &[], "{ \"version\": 1,");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("line 1"), "{output:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn the_schema_is_printed() {
    let output = reelcore(Path::new("."), &["job", "--schema"]);
    assert_eq!(output.status.code(), Some(0));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checked_in = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/job.schema.json");
    let checked_in = std::fs::read(checked_in).expect("the schema");
    assert!(printed == serde_json::from_slice::<Value>(&checked_in).expect("JSON"));
}

#[test]
fn a_probe_says_the_same_as_the_command() {
    let folder = folder();
    let spec =
        json!({ "version": 1, "operation": "probe", "inputs": { "clip": { "path": "clip.mp4" } } });
    let output = job(folder.path(), &[], &spec.to_string());
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{output:?}"
    );
    let job: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let output = reelcore(folder.path(), &["probe", "--json", "clip.mp4"]);
    let command: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(job, json!({ "inputs": { "clip": command } }));
}

#[test]
fn a_probe_of_an_image_says_what_is_in_it() {
    let folder = folder();
    let output = reelcore(folder.path(), &["transcode", "clip.mp4", "out.png"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = reelcore(folder.path(), &["probe", "out.png"]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for row in [
        "container  png",
        "track 0: video",
        "truecolour, 8 bits",
        "packets  1",
        "decoder  png",
    ] {
        assert!(table.contains(row), "no {row:?} in:\n{table}");
    }
}

// Other systems' file systems take no such names.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_unicode_are_names_of_files() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let [from, to] = [&b"caf\xe9.mp4"[..], b"caf\xe9.wav"].map(std::ffi::OsStr::from_bytes);
    std::fs::rename(folder.path().join("clip.mp4"), folder.path().join(from)).expect("a file");
    let transcode = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_reelcore"))
            .current_dir(folder.path())
            .arg("transcode")
            .args([from, to])
            .args(more)
            .output()
            .expect("the binary starts")
    };
    let output = transcode(&["--progress", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(folder.path().join(to).is_file());
    let done = events(&output).pop().expect("an event");
    assert_eq!(done["outputs"][0]["path"], "caf\u{fffd}.wav");
    // JSON has no place for such a name.
    let output = transcode(&["--print-job"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
}

#[test]
fn the_short_form_prints_the_job_that_it_is_short_for() {
    let folder = folder();
    let args = [
        "transcode",
        "clip.mp4",
        "out.webm",
        "--size",
        "x120",
        "--no-audio",
        "--print-job",
    ];
    let printed = reelcore(folder.path(), &args);
    assert_eq!(printed.status.code(), Some(0), "{printed:?}");
    assert_eq!(names(folder.path()), [""; 0]);
    let spec = text(&printed.stdout);
    let json: Value = serde_json::from_str(&spec).expect("JSON");
    assert_eq!(json["filters"]["size"]["scale"]["height"], 120);
    assert_eq!(
        json["outputs"][0]["streams"].as_array().map(Vec::len),
        Some(1)
    );
    let output = job(folder.path(), &["--check"], &spec);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_commands_in_the_documentation_are_understood() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/transcode.md"
    ));
    let page = page.expect("docs/transcode.md");
    let commands: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("reelcore transcode "))
        .collect();
    assert!(commands.len() >= 6);
    let folder = folder();
    for command in commands {
        let args: Vec<&str> = command.split(' ').skip(1).chain(["--print-job"]).collect();
        let output = reelcore(folder.path(), &args);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    }
}

/// Starts what takes minutes, sends it a signal as soon as its output is begun, and gives its exit code.
#[cfg(unix)]
fn stopped_by(signal: &str, folder: &Path) -> Option<i32> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .current_dir(folder)
        .args([
            "transcode",
            "clip.mp4",
            "out.mkv",
            "--video",
            "av1",
            "--size",
            "3840x2160",
            "--fps",
            "60",
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    while names(folder).is_empty() {
        assert_eq!(child.try_wait().expect("it runs"), None, "it takes minutes");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The shell's own `kill`, which is everywhere.
    let kill = format!("kill -{signal} {}", child.id());
    let sent = Command::new("sh")
        .args(["-c", &kill])
        .status()
        .expect("a shell");
    assert!(sent.success());
    child.wait().expect("it ends").code()
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_at_once_and_leaves_nothing() {
    let folder = folder();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        assert_eq!(stopped_by(signal, folder.path()), Some(code));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
