//! Runs the tests that are written in JavaScript.

use std::process::Command;

use crate::script;

fn run(name: &str, tests: usize) {
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(script(name))
        .args(["--flag", "two words"])
        .env("REELCORE_TEST", "1")
        .output()
        .expect("the binary starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    // A script that ends early, or skips a test, does not print this.
    assert!(
        stdout.ends_with(&format!("passed {tests}\n")),
        "{stdout}\n{stderr}"
    );
    assert_eq!(stderr, "");
}

#[test]
fn globals_are_a_workers() {
    run("globals.js", 14);
}

#[test]
fn timers_events_streams_and_messages_behave() {
    run("tasks.js", 13);
}

#[test]
fn fetch_headers_and_responses_behave() {
    run("fetch.js", 15);
}

#[test]
fn deno_files_and_process_behave() {
    run("files.js", 6);
}

#[test]
fn modules_load_and_their_errors_are_clear() {
    run("modules.js", 5);
}
