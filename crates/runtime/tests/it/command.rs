//! The command line: exit codes and what is printed.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::script;

fn reelcore(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .args(args)
        .output()
        .expect("the binary starts")
}

/// A file with `source`.
fn module(source: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new()
        .suffix(".js")
        .tempfile()
        .expect("a temporary file");
    file.write_all(source.as_bytes()).expect("it is written");
    file
}

/// Runs `source` as a module; gives the exit code, stdout and stderr.
fn run(source: &str) -> (Option<i32>, String, String) {
    let file = module(source);
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(file.path())
        .output()
        .expect("the binary starts");
    (
        output.status.code(),
        String::from_utf8(output.stdout).expect("UTF-8"),
        String::from_utf8(output.stderr).expect("UTF-8"),
    )
}

#[test]
fn version_and_help_go_to_stdout() {
    let version = reelcore(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(version.stdout.starts_with(b"reelcore 0."), "{version:?}");
    let help = reelcore(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("reelcore run SCRIPT"));
}

#[test]
fn a_wrong_command_line_is_a_message_and_code_2() {
    for (args, message) in [
        (&[][..], "expected a command"),
        (&["run"][..], "expected a script"),
        (&["--nonsense"][..], "--nonsense"),
        (&["run", "--nonsense", "x.js"][..], "--nonsense"),
        (&["walk"][..], "walk"),
    ] {
        let output = reelcore(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_missing_script_is_code_1_and_named() {
    let output = reelcore(&["run", "no/such/script.js"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("Module not found") && stderr.contains("no/such/script.js"),
        "{stderr}"
    );
}

#[test]
fn a_script_that_ends_is_code_0_after_its_timers() {
    let (code, stdout, stderr) =
        run("setTimeout(() => console.log('late'), 5); console.log('%s %d', 'a', 1, {b: [2]});");
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (Some(0), "a 1 { b: [ 2 ] }\nlate\n", "")
    );
}

#[test]
fn an_uncaught_error_prints_its_stack_and_ends_the_run() {
    let (code, stdout, stderr) = run("setTimeout(() => console.log('not reached'), 50);\n\
         function thrower() { throw new RangeError('out', { cause: new Error('inner') }); }\n\
         setTimeout(thrower, 1);");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with("error: Uncaught RangeError: out\n"),
        "{stderr}"
    );
    assert!(stderr.contains("at thrower (file://"), "{stderr}");
    assert!(stderr.contains(".js:2:"), "{stderr}");
    assert!(stderr.contains("Caused by: Error: inner"), "{stderr}");
}

#[test]
fn an_error_of_the_module_itself_prints_its_stack() {
    let (code, _, stderr) = run("console.log(1);\nawait 0;\nnull.x;");
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: Uncaught TypeError: Cannot read properties of null"),
        "{stderr}"
    );
    assert!(stderr.contains(".js:3:6"), "{stderr}");
}

#[test]
fn an_error_shows_the_line_of_the_module_that_made_it() {
    let (_, _, stderr) =
        run("const a = 1;\r\nsetTimeout(function late() {\n\tconst b = a.b.c;\n});");
    let [message, line, caret, at, ..] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{stderr}")
    };
    assert!(
        message.starts_with("error: Uncaught TypeError: "),
        "{stderr}"
    );
    assert_eq!(
        [line, caret],
        ["\tconst b = a.b.c;", "\t              ^"],
        "{stderr}"
    );
    assert!(
        at.starts_with("    at ") && at.contains(".js:3:16"),
        "{stderr}"
    );

    // V8 counts UTF-16: two for each of these, which take one place.
    let (_, _, stderr) = run("const a = '𝒳𝒳', b = null.c;");
    let caret = format!("{}^", " ".repeat("const a = 'xx', b = null.".len()));
    assert_eq!(stderr.lines().nth(2), Some(&*caret), "{stderr}");

    let (_, _, stderr) = run("let x = 1;\nlet = ;");
    assert_eq!(stderr.lines().nth(1), Some("let = ;"), "{stderr}");

    // A long line says nothing.
    let (_, _, stderr) = run(&format!(
        "const long = '{}'; throw new Error(long.at(0));",
        "x".repeat(200)
    ));
    assert!(
        stderr
            .lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("    at ")),
        "{stderr}"
    );
}

#[test]
fn an_error_of_the_module_is_an_error_event_first() {
    let (code, stdout, stderr) = run(
        "addEventListener('error', (e) => { console.log('heard', e.error.message); e.preventDefault(); });\n\
         addEventListener('unhandledrejection', () => console.log('not this one'));\n\
         throw new Error('top');",
    );
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (Some(0), "heard top\n", "")
    );
}

#[test]
fn what_the_module_throws_is_what_listeners_and_the_command_line_get() {
    let listener = "addEventListener('error', (e) => { console.log(e.error === thrown, e.message); e.preventDefault(); });";
    // None of them has a stack of V8's own.
    for (error, message) in [
        (
            "Object.defineProperty(new DOMException('m', 'NotSupportedError'), 'stack', { value: 'own' })",
            "NotSupportedError: m",
        ),
        (
            "structuredClone(new DOMException('m', 'DataCloneError'))",
            "DataCloneError: m",
        ),
        (
            "Object.assign(new (class extends RangeError {})('m'), { stack: 'own' })",
            "RangeError: m",
        ),
        (
            "(Error.stackTraceLimit = 0, new TypeError('m'))",
            "TypeError: m",
        ),
    ] {
        for wait in ["", "await 0;"] {
            let thrower = format!("{wait} globalThis.thrown = {error};\nthrow thrown;");
            let (code, stdout, stderr) = run(&format!("{listener}\n{thrower}"));
            assert_eq!(
                (code, stdout, stderr),
                (Some(0), format!("true Uncaught {message}\n"), String::new()),
                "{thrower}"
            );
            let (code, _, stderr) = run(&thrower);
            assert_eq!(code, Some(1), "{thrower}");
            assert!(
                stderr.starts_with(&format!("error: Uncaught {message}")),
                "{thrower}: {stderr}"
            );
            assert!(!stderr.contains("ext:"), "{thrower}: {stderr}");
        }
    }
}

#[test]
fn an_error_of_the_demuxer_in_the_module_itself_keeps_its_name_and_line() {
    let (code, _, stderr) =
        run("const d = new Reelcore.Demuxer(new Uint8Array(0));\nawait d.tracks;");
    assert_eq!(code, Some(1));
    assert!(
        stderr.starts_with("error: Uncaught NotSupportedError: unknown container"),
        "{stderr}"
    );
    assert!(stderr.contains(".js:1:"), "{stderr}");
    assert!(!stderr.contains("ext:"), "{stderr}");
}

#[test]
fn an_unhandled_rejection_prints_its_stack_and_ends_the_run() {
    let (code, stdout, stderr) = run("setTimeout(() => console.log('not reached'), 50);\n\
         Promise.reject(new Error('nobody'));");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.starts_with("error: Uncaught (in promise) Error: nobody\n"),
        "{stderr}"
    );
    assert!(stderr.contains(".js:2:"), "{stderr}");
}

#[test]
fn values_that_are_no_errors_are_printed_too() {
    let (code, _, stderr) = run("throw { a: 1 };");
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: Uncaught "), "{stderr}");
    let (_, _, stderr) = run("Promise.reject(7)");
    assert!(stderr.contains("(in promise) 7"), "{stderr}");
    let (_, _, stderr) =
        run("throw new AggregateError([new Error('first'), new Error('second')], 'all')");
    assert!(
        stderr.contains("first") && stderr.contains("second"),
        "{stderr}"
    );
}

#[test]
fn an_error_that_is_its_own_cause_ends() {
    let (code, _, stderr) = run("const e = new Error('loop'); e.cause = e; throw e;");
    assert_eq!(code, Some(1));
    assert!(stderr.len() < 20_000, "{} bytes", stderr.len());
}

#[test]
fn exit_ends_the_process_with_its_code_and_nothing_runs_after_it() {
    for (source, expected) in [
        ("Deno.exit(7); console.log('after')", 7),
        ("try { Deno.exit(3) } finally { console.log('after') }", 3),
        (
            "setTimeout(() => Deno.exit(), 1); setTimeout(() => console.log('after'), 50)",
            0,
        ),
        ("await 0; Promise.reject(1); Deno.exit(4)", 4),
    ] {
        let (code, stdout, stderr) = run(source);
        assert_eq!(
            (code, stdout.as_str(), stderr.as_str()),
            (Some(expected), "", ""),
            "{source}"
        );
    }
}

#[test]
fn a_top_level_await_that_never_ends_is_an_error() {
    let (code, _, stderr) = run("await new Promise(() => {});");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("Top-level await"), "{stderr}");
}

#[test]
fn a_syntax_error_says_where() {
    let (code, _, stderr) = run("let x = 1;\nlet = ;");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("SyntaxError") && stderr.contains(".js:2:"),
        "{stderr}"
    );
}

#[test]
fn json_that_does_not_parse_is_named_and_what_does_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // JSON.parse() takes deep nesting, numbers beyond all bounds and lone surrogates.
    let deep = format!("{}1e999, \"\\ud800\"{}", "[".repeat(5000), "]".repeat(5000));
    for (name, json) in [
        ("good.json", &*deep),
        ("bad.json", "{\n  \"answer\": 42,\n}\n"),
    ] {
        std::fs::write(folder.path().join(name), json).expect("it is written");
        let import =
            format!("import x from './{name}' with {{ type: 'json' }}; console.log(typeof x)");
        std::fs::write(folder.path().join(name).with_extension("js"), import)
            .expect("it is written");
    }
    let path = |name| folder.path().join(name).display().to_string();
    let good = reelcore(&["run", &path("good.js")]);
    assert_eq!(
        String::from_utf8_lossy(&good.stdout),
        "object\n",
        "{good:?}"
    );
    let bad = reelcore(&["run", &path("bad.js")]);
    let stderr = String::from_utf8_lossy(&bad.stderr);
    let named = format!(
        "Can not parse JSON module \"file://{}\" imported from file://",
        path("bad.json")
    );
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        stderr.contains(&named) && stderr.contains("at line 3 column 1"),
        "{stderr}"
    );
}

#[test]
fn console_errors_go_to_stderr_and_piped_output_has_no_colours() {
    let (_, stdout, stderr) = run(
        "console.log('out', 1); console.info('info'); console.warn('warn'); console.error('err', { a: 'x' });\n\
         console.group('g'); console.log('in'); console.groupEnd(); console.table([[1]]); console.assert(false, 'no');",
    );
    assert!(stdout.starts_with("out 1\ninfo\ng\n  in\n"), "{stdout}");
    assert!(stdout.contains('│'), "{stdout}");
    assert_eq!(stderr, "warn\nerr { a: \"x\" }\nAssertion failed: no\n");
}

#[test]
fn arguments_after_the_script_are_the_scripts() {
    let path = script("args.js");
    let output = reelcore(&[
        "run",
        path.to_str().expect("UTF-8"),
        "--version",
        "-x",
        "--",
        "y",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "[\"--version\",\"-x\",\"--\",\"y\"]\n",
        "{output:?}"
    );
}

#[test]
fn exit_does_not_wait_for_input_that_does_not_come() {
    let file = module("Deno.stdin.read(new Uint8Array(1)); setTimeout(() => Deno.exit(3), 1);");
    let mut child = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(file.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let input = child.stdin.take();
    // Long enough for any machine: a process that waits does so for good.
    let mut status = None;
    for _ in 0..600 {
        status = child.try_wait().expect("its status");
        if status.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // Ends one that waits.
    drop(input);
    let status = status.expect("it still waits for its input");
    assert_eq!(status.code(), Some(3));
}

#[cfg(feature = "gpu")]
#[test]
fn the_end_of_a_script_takes_nothing_from_a_gpu_that_still_works() {
    let file = module(
        "const device = await (await navigator.gpu.requestAdapter()).requestDevice();
        const init = { format: 'I420', codedWidth: 640, codedHeight: 480, timestamp: 0 };
        device.importExternalTexture({ source: new VideoFrame(new Uint8Array(460800), init) });",
    );
    // It is a matter of time what the driver is at: many, that are in each other's way.
    let children: Vec<_> = (0..16)
        .map(|_| {
            Command::new(env!("CARGO_BIN_EXE_reelcore"))
                .arg("run")
                .arg(file.path())
                .env("XDG_RUNTIME_DIR", std::env::temp_dir())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_script_whose_output_nobody_reads_is_stopped_quietly() {
    let written = |source: &str| {
        let file = tempfile::NamedTempFile::with_suffix(".js").expect("a temporary file");
        std::fs::write(file.path(), source).expect("it is written");
        file
    };
    // Even where it takes what the console throws for an exception, and nearly all its time is the console's.
    let stubborn = written("for (;;) try { console.log('more') } catch {}");
    let slow = written(
        "const many = Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => ({ a: { b: 1 } })));
        setTimeout(() => { for (;;) try { console.log(many) } catch {} })",
    );
    for script in [
        script("chatty.js"),
        stubborn.path().to_owned(),
        slow.path().to_owned(),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reelcore"))
            .arg("run")
            .arg(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(141), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn no_output_of_a_codec_comes_after_exit() {
    let source = r#"
const demuxer = new Reelcore.Demuxer("FILE");
const track = (await demuxer.tracks).find((track) => track.type === "video");
let count = 0;
const decoder = new VideoDecoder({
  output(frame) {
    frame.close();
    console.log(`output ${++count}`);
    Deno.exit(5);
  },
  error(error) {
    console.log(`error ${error}`);
  },
});
decoder.configure(track.decoderConfig);
for await (const chunk of demuxer.chunks(track)) decoder.decode(chunk);
await decoder.flush();
console.log("flushed");
"#;
    let (code, stdout, stderr) = run(&source.replace("FILE", &clip("h264-aac.mp4")));
    assert_eq!((code, stdout.as_str()), (Some(5), "output 1\n"), "{stderr}");
    // Wherever a script ends in a task that has more to deliver. All chunks are decoded while it spins.
    let source = r#"
const decoder = new AudioDecoder({
  output(output) {
    output.close();
    console.log("output");
    OUTPUT
  },
  error(error) {
    console.log(`error ${error}`);
  },
});
decoder.configure({ codec: "pcm-s16", sampleRate: 8000, numberOfChannels: 1 });
await decoder.flush();
DEQUEUE
const data = new Uint8Array(64);
const decode = (timestamp) => decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
[0, 1, 2].forEach(decode);
FLUSH
[3, 4, 5].forEach(decode);
for (const end = performance.now() + 20; performance.now() < end;);
await decoder.flush();
console.log("flushed");
"#;
    let exit = r#"console.log("exit"); Deno.exit(5);"#;
    for (place, before, then) in [
        ("DEQUEUE", "decoder.ondequeue = () => {", "};"),
        (
            "DEQUEUE",
            "decoder.ondequeue = () => void Promise.resolve().then(() => {",
            "});",
        ),
        ("OUTPUT", "Promise.resolve().then(() => {", "});"),
        ("FLUSH", "decoder.flush().then(() => {", "});"),
    ] {
        let mut source = source.replace(place, &format!("{before} {exit} {then}"));
        for place in ["DEQUEUE", "OUTPUT", "FLUSH"] {
            source = source.replace(place, "");
        }
        let (code, stdout, stderr) = run(&source);
        assert_eq!(code, Some(5), "{before}: {stderr}");
        assert!(stdout.ends_with("exit\n"), "{before}: {stdout}");
    }
}

#[test]
fn an_error_of_the_demuxer_says_its_name_and_the_line_of_the_script() {
    let (code, _, stderr) = run(
        "async function main() {\n  const d = new Reelcore.Demuxer('/no/such.mp4');\n  await d.tracks;\n}\nmain();",
    );
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("NotFoundError: cannot read: /no/such.mp4"),
        "{stderr}"
    );
    assert!(stderr.contains(".js:2:13"), "{stderr}");
    assert!(!stderr.contains("ext:"), "{stderr}");
}

fn clip(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/media");
    root.join(name).display().to_string()
}

#[test]
fn probe_tells_what_is_in_a_file_as_a_table() {
    let output = reelcore(&["probe", &clip("h264-rotated.mp4")]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for row in [
        "container  mp4",
        "duration   0:01.000",
        "track 0: video",
        "codec       avc1.64000b",
        "size        160 x 96",
        "frame rate  25 frames/s",
        "rotation    90 degrees",
        "colour      bt709 / bt709 / bt709, limited range",
    ] {
        assert!(stdout.contains(row), "no {row:?} in:\n{stdout}");
    }
}

#[test]
fn probe_counts_packets_and_writes_json() {
    let output = reelcore(&["probe", "--json", "--count", &clip("av1.mp4")]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let tracks = report["tracks"].as_array().expect("tracks");
    assert_eq!(report["container"], "mp4");
    assert_eq!(
        (&tracks[0]["type"], &tracks[1]["type"]),
        (&"video".into(), &"audio".into())
    );
    assert_eq!(tracks[0]["packets"], 176);
    assert_eq!(tracks[0]["video"]["frameRate"], 24.0);
    assert!(tracks[0]["keyPackets"].as_u64() < tracks[0]["packets"].as_u64());
    assert_eq!(tracks[1]["audio"]["sampleRate"], 48000);
    assert_eq!(tracks[1]["codec"], "opus");
}

#[test]
fn probe_names_the_file_that_it_cannot_read_and_why() {
    for (args, code, message) in [
        (
            &["probe", "/no/such/file"][..],
            1,
            "/no/such/file: cannot read: ",
        ),
        (&["probe", file!()][..], 1, file!()),
        (&["probe"][..], 2, "expected a file"),
        (&["probe", "--nonsense", "x"][..], 2, "--nonsense"),
        (&["probe", "x", "y"][..], 2, "y"),
    ] {
        let output = reelcore(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
