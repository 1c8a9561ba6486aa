//! Whole tests in real isolates, over a checkout made for the purpose. Its `testharness.js` is a few
//! lines that post what the real one posts: no WPT file is part of this repository.

use reelcore_wpt::discover::Discovered;
use reelcore_wpt::execute::execute;
use reelcore_wpt::schedule::{self, Execute, Limits};
use reelcore_wpt::serve::Server;
use reelcore_wpt::status::{Outcome, SubtestStatus, TestStatus};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HARNESS: &str = r#"
const results = [];
let over = false;
const post = (type, test) => self.postMessage({ type, test });
const end = (status, message = null) => {
  if (!over) {
    over = true;
    self.postMessage({ type: "complete", tests: results, status: { status, message } });
  }
};
self.addEventListener("error", (event) => {
  event.preventDefault();
  end(1, event.message);
});
const wanted = [];
function promise_test(run, name) {
  wanted.push(async () => {
    const test = { name, status: 2, message: "Test timed out" };
    results.push(test);
    post("test_state", test);
    try {
      await run();
      Object.assign(test, { status: 0, message: null });
    } catch (error) {
      Object.assign(test, { status: 1, message: String(error) });
    }
    post("result", test);
  });
}
function equal(found, expected) {
  if (found !== expected) throw new Error(`found ${found}, expected ${expected}`);
}
async function done() {
  for (const test of wanted) await test();
  end(0);
}
function timeout() {
  end(2);
}
"#;

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(path, text).expect("file");
}

/// Runs the files, each given as a name below `/t/` and its text.
fn run(files: &[(&str, &str)]) -> BTreeMap<String, Outcome> {
    let dir = tempfile::tempdir().expect("temporary folder");
    put(dir.path(), "resources/testharness.js", HARNESS);
    for (name, text) in files {
        put(&dir.path().join("t"), name, text);
    }
    let found = Discovered::read(&dir.path().join("t"), "/t/").expect("tests");
    let server = Arc::new(Server::new(dir.path(), None).expect("server"));
    let execute: Arc<Execute> =
        Arc::new(move |test, session, time| execute(&server, test, session, time));
    let limits = Limits {
        jobs: 2,
        normal: Duration::from_secs(1),
        long: Duration::from_secs(30),
        grace: Duration::from_secs(2),
    };
    reelcore_runtime::init_platform();
    let mut outcomes = BTreeMap::new();
    schedule::run(&found.tests, &limits, &execute, |index, outcome| {
        let id = found.tests[index].id.clone();
        outcomes.insert(id.trim_start_matches("/t/").to_owned(), outcome);
    });
    outcomes
}

fn assert_all_pass(outcome: &Outcome, subtests: usize) {
    assert_eq!(outcome.status, TestStatus::Ok, "{outcome:?}");
    assert_eq!(outcome.passed(), subtests, "{outcome:?}");
    assert_eq!(outcome.failed(), 0, "{outcome:?}");
}

#[test]
fn the_global_is_that_of_the_worker_that_the_file_asks_for() {
    let outcomes = run(&[
        (
            "plain.any.js",
            r#"// META: title=A title
            promise_test(async () => {
              equal(self instanceof DedicatedWorkerGlobalScope, true);
              equal(GLOBAL.isWorker() && !GLOBAL.isWindow(), true);
              equal(META_TITLE, "A title");
              equal(location.href, "http://web-platform.test:8000/t/plain.any.worker.js");
              equal(isSecureContext, false);
              equal(typeof VideoDecoder + typeof VideoFrame, "undefinedfunction");
              equal(crossOriginIsolated, false);
            }, "a");"#,
        ),
        (
            "isolated.https.any.js",
            r#"// META: variant=?one
// META: variant=?two
            promise_test(async () => {
              equal(location.protocol, "https:");
              equal(["?one", "?two"].includes(location.search), true);
              equal(isSecureContext && crossOriginIsolated, true);
              equal(typeof VideoDecoder + typeof VideoFrame, "functionfunction");
            }, "a");"#,
        ),
        (
            "isolated.https.any.js.headers",
            "Cross-Origin-Opener-Policy: same-origin\nCross-Origin-Embedder-Policy: require-corp\n",
        ),
    ]);
    assert_eq!(outcomes.len(), 3);
    for outcome in outcomes.values() {
        assert_all_pass(outcome, 1);
    }
}

#[test]
fn scripts_and_fetches_are_relative_to_the_test_and_stay_in_the_checkout() {
    let outcomes = run(&[
        ("sub/helper.js", "const helped = 'here';"),
        ("top.js", "let count = 1;"),
        ("data.txt", "data"),
        (
            "sub/x.any.js",
            r#"// META: script=./helper.js
// META: script=/t/top.js
            promise_test(async () => {
              equal(helped, "here");
              equal(++count, 2);
              equal(await (await fetch("../data.txt")).text(), "data");
              equal(await (await fetch("/t/data.txt")).text(), "data");
              equal((await fetch("missing.txt")).status, 404);
              equal((await fetch("/%2e%2e/%2e%2e/etc/hostname")).status, 404);
            }, "a");"#,
        ),
    ]);
    assert_all_pass(&outcomes["sub/x.any.worker.html"], 1);
}

#[test]
fn nothing_a_test_does_can_hang_the_run() {
    let outcomes = run(&[
        (
            "spin.any.js",
            r#"promise_test(async () => {}, "before");
            promise_test(async () => { for (;;); }, "spins");
            promise_test(async () => {}, "after");"#,
        ),
        (
            "spin-at-load.any.js",
            r#"promise_test(async () => {}, "a"); for (;;);"#,
        ),
        (
            "late.any.js",
            r#"promise_test(() => new Promise((done) => setTimeout(done, 60_000)), "waits");"#,
        ),
        (
            "dry.any.js",
            r#"promise_test(() => new Promise(() => {}), "never");"#,
        ),
        (
            "microtasks.any.js",
            r#"promise_test(() => new Promise(() => {
              const again = () => queueMicrotask(again);
              again();
            }), "again");"#,
        ),
        ("good.any.js", r#"promise_test(async () => {}, "a");"#),
    ]);
    assert_eq!(outcomes.len(), 6);
    assert_all_pass(&outcomes["good.any.worker.html"], 1);
    for (id, message) in [
        ("spin.any.worker.html", "terminated after"),
        ("spin-at-load.any.worker.html", "terminated after"),
        ("microtasks.any.worker.html", "terminated after"),
        ("late.any.worker.html", "not complete after 1 s"),
        ("dry.any.worker.html", "the event loop ran dry"),
    ] {
        let outcome = &outcomes[id];
        assert_eq!(outcome.status, TestStatus::Timeout, "{id} {outcome:?}");
        let found = outcome.message.as_deref().unwrap_or_default();
        assert!(found.starts_with(message), "{id}: {found}");
    }
    let statuses: Vec<_> = outcomes["spin.any.worker.html"]
        .subtests
        .iter()
        .map(|subtest| (subtest.name.as_str(), subtest.status))
        .collect();
    assert_eq!(
        statuses,
        [
            ("before", SubtestStatus::Pass),
            ("spins", SubtestStatus::Timeout)
        ]
    );
    // Nothing was left to happen, so there was nothing to wait for.
    assert!(outcomes["dry.any.worker.html"].duration < Duration::from_secs(1));
}

#[test]
fn a_script_that_throws_ends_the_test_and_what_follows_is_not_loaded() {
    let outcomes = run(&[
        ("bad.js", "throw new Error('from the helper');"),
        (
            "x.any.js",
            "// META: script=bad.js\npromise_test(async () => {}, 'a');",
        ),
        ("missing.any.js", "// META: script=nowhere.js\n"),
        ("syntax.any.js", "promise_test(async () => {}, 'a'); ]"),
    ]);
    let outcome = &outcomes["x.any.worker.html"];
    assert_eq!(outcome.status, TestStatus::Error);
    assert!(
        outcome
            .message
            .as_deref()
            .is_some_and(|m| m.contains("from the helper")),
        "{outcome:?}"
    );
    assert_eq!(outcome.subtests, []);
    let outcome = &outcomes["missing.any.worker.html"];
    assert_eq!(outcome.status, TestStatus::Error);
    assert!(
        outcome
            .message
            .as_deref()
            .is_some_and(|m| m.contains("/t/nowhere.js")),
        "{outcome:?}"
    );
    assert_eq!(outcomes["syntax.any.worker.html"].status, TestStatus::Error);
}

#[test]
fn a_test_that_takes_all_memory_crashes_alone() {
    let outcomes = run(&[
        (
            "eats.any.js",
            r#"// META: timeout=long
            promise_test(async () => {
              const kept = [];
              for (;;) kept.push(new Array(100_000).fill({}));
            }, "eats");"#,
        ),
        ("good.any.js", r#"promise_test(async () => {}, "a");"#),
    ]);
    assert_eq!(
        outcomes["eats.any.worker.html"].status,
        TestStatus::Crash,
        "{outcomes:?}"
    );
    assert_all_pass(&outcomes["good.any.worker.html"], 1);
}

#[test]
fn uncaught_errors_and_console_lines_are_in_the_log() {
    let outcomes = run(&[(
        "x.any.js",
        r#"promise_test(async () => {
          console.log("a line", 1);
          Promise.reject(new Error("nobody listens"));
          await new Promise((done) => setTimeout(done, 1));
        }, "a");"#,
    )]);
    let outcome = &outcomes["x.any.worker.html"];
    assert_all_pass(outcome, 1);
    assert!(outcome.log.iter().any(|l| l == "a line 1"), "{outcome:?}");
    assert!(
        outcome.log.iter().any(|l| l.contains("nobody listens")),
        "{outcome:?}"
    );
}

#[test]
fn a_filter_that_no_test_matches_is_bad_usage() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for name in [
        "resources/testharness.js",
        "resources/idlharness.js",
        "webcodecs/idlharness.https.any.js",
        "interfaces/webcodecs.idl",
        "common/media.js",
    ] {
        put(dir.path(), name, "");
    }
    let report = dir.path().join("report.json");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_reelcore-wpt"))
        .current_dir(dir.path())
        .args(["--wpt-dir", "."])
        .arg("--report")
        .arg(&report)
        .args(["idlharness", "typo"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "reelcore-wpt: no test matches typo\n"
    );
    assert!(!report.exists(), "nothing ran");
}
