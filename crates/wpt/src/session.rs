//! What one running test has told so far, shared by its thread and the scheduler: when the thread
//! hangs, what it had reported is still there.

use crate::status::{Outcome, Subtest, SubtestStatus, TestStatus};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Longest message that is kept of a subtest or a harness, in bytes.
const MAX_MESSAGE: usize = 4096;
/// Longest name of a subtest, in bytes.
const MAX_NAME: usize = 4096;
/// Most subtests of one test.
const MAX_SUBTESTS: usize = 20_000;
/// Longest message of the harness that is read, in bytes.
const MAX_JSON: usize = 64 << 20;
/// Most bytes of console lines that are kept; later ones are dropped.
const MAX_LOG: usize = 64 << 10;

/// How a test's thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The thread did its work; whether the harness completed is for its messages to say.
    Normally,
    /// The harness did not complete in time; its own `timeout()` was called.
    TimedOut(Duration),
    /// The event loop had nothing left to do, yet the harness had not completed.
    RanDry,
    /// The scheduler terminated the isolate.
    Killed(Duration),
    /// The thread did not end after the isolate was terminated, and was left behind.
    Abandoned,
    /// The runtime could not be built or a script not loaded.
    LoadFailed(String),
    /// The isolate ran out of memory or the thread panicked.
    Crashed(String),
}

/// The shared state of one running test.
#[derive(Default)]
pub struct Session {
    state: Mutex<State>,
    completed: Notify,
}

#[derive(Default)]
struct State {
    subtests: Vec<Subtest>,
    by_name: HashMap<String, usize>,
    complete: Option<(TestStatus, Option<String>)>,
    /// Why the messages cannot be trusted to be whole.
    broken: Option<String>,
    log: Vec<String>,
    log_bytes: usize,
    log_dropped: usize,
    kill: Option<Box<dyn FnOnce() + Send>>,
    killed: bool,
}

/// A message that testharness.js posts to the worker's owner
/// (`WorkerTestEnvironment` in `/resources/testharness.js`).
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message {
    TestState {
        test: TestMessage,
    },
    Result {
        test: TestMessage,
    },
    Complete {
        tests: Vec<TestMessage>,
        status: StatusMessage,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct TestMessage {
    name: String,
    status: Option<i64>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct StatusMessage {
    status: Option<i64>,
    message: Option<String>,
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half changed in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message that the harness posted, as JSON. Messages of other kinds are ignored.
    pub fn receive(&self, json: &str) {
        let mut state = self.state();
        if state.complete.is_some() {
            return;
        }
        if json.len() > MAX_JSON {
            state.broken = Some(format!("a message of {} bytes was dropped", json.len()));
            return;
        }
        match serde_json::from_str(json) {
            Ok(Message::TestState { test } | Message::Result { test }) => state.record(test),
            Ok(Message::Complete { tests, status }) => {
                for test in tests {
                    state.record(test);
                }
                let known = status.status.and_then(TestStatus::from_harness);
                let message = status.message.map(|m| cut(&m, MAX_MESSAGE));
                state.complete = Some((known.unwrap_or(TestStatus::Error), message));
                drop(state);
                self.completed.notify_one();
            }
            // Tests may post what they like; only an object with a harness's type is a message.
            Ok(Message::Other) | Err(_) => {}
        }
    }

    /// Keeps a line of the console, up to a bound.
    pub fn log(&self, line: &str) {
        let mut state = self.state();
        let line = cut(line.trim_end(), MAX_MESSAGE);
        if state.log_bytes + line.len() > MAX_LOG {
            state.log_dropped += 1;
        } else {
            state.log_bytes += line.len() + 1;
            state.log.push(line);
        }
    }

    /// Whether the harness has completed.
    pub fn is_complete(&self) -> bool {
        self.state().complete.is_some()
    }

    /// Waits until the harness completes.
    pub async fn completed(&self) {
        if !self.is_complete() {
            self.completed.notified().await;
        }
    }

    /// Says how to stop the test from another thread. Called at once if it was to stop already.
    pub fn on_kill(&self, kill: Box<dyn FnOnce() + Send>) {
        let mut state = self.state();
        if state.killed {
            drop(state);
            kill();
        } else {
            state.kill = Some(kill);
        }
    }

    /// Stops the test.
    pub fn kill(&self) {
        let mut state = self.state();
        state.killed = true;
        let kill = state.kill.take();
        drop(state);
        if let Some(kill) = kill {
            kill();
        }
    }

    /// What the test came to.
    pub fn outcome(&self, ended: Ended, duration: Duration) -> Outcome {
        let mut state = self.state();
        let seconds = |d: Duration| d.as_secs_f32();
        let (status, message) = match (state.complete.clone(), ended) {
            (Some(_), Ended::Abandoned) => (
                TestStatus::Crash,
                Some("the harness completed, but its isolate never ended".to_owned()),
            ),
            (Some(_), Ended::Killed(after)) => (
                TestStatus::Crash,
                Some(format!(
                    "the harness completed, but its isolate had not ended after {} s",
                    seconds(after)
                )),
            ),
            (_, Ended::Crashed(why)) => (TestStatus::Crash, Some(cut(&why, MAX_MESSAGE))),
            (Some((TestStatus::Timeout, None)), Ended::TimedOut(after)) => (
                TestStatus::Timeout,
                Some(format!("not complete after {} s", seconds(after))),
            ),
            (Some((TestStatus::Timeout, None)), Ended::RanDry) => (
                TestStatus::Timeout,
                Some("the event loop ran dry before the harness completed".to_owned()),
            ),
            (Some(complete), _) => complete,
            (None, Ended::LoadFailed(why)) => (TestStatus::Error, Some(cut(&why, MAX_MESSAGE))),
            (None, Ended::Normally) => (
                TestStatus::Error,
                Some("the harness never completed".to_owned()),
            ),
            (None, Ended::RanDry) => (
                TestStatus::Timeout,
                Some("the event loop ran dry before the harness completed".to_owned()),
            ),
            (None, Ended::TimedOut(after)) => (
                TestStatus::Timeout,
                Some(format!("not complete after {} s", seconds(after))),
            ),
            (None, Ended::Killed(after)) => (
                TestStatus::Timeout,
                Some(format!("terminated after {} s", seconds(after))),
            ),
            (None, Ended::Abandoned) => (
                TestStatus::Timeout,
                Some("hung, and did not end when terminated".to_owned()),
            ),
        };
        let (status, message) = match (&state.broken, status) {
            (Some(broken), TestStatus::Ok) => (TestStatus::Error, Some(broken.clone())),
            _ => (status, message),
        };
        let mut log = std::mem::take(&mut state.log);
        if state.log_dropped > 0 {
            log.push(format!("({} more lines dropped)", state.log_dropped));
        }
        Outcome {
            status,
            message,
            subtests: std::mem::take(&mut state.subtests),
            log,
            duration,
        }
    }
}

impl State {
    fn record(&mut self, test: TestMessage) {
        let name = cut(&test.name, MAX_NAME);
        let status = test.status.and_then(SubtestStatus::from_harness);
        let status = status.unwrap_or(SubtestStatus::NotRun);
        let message = match status {
            SubtestStatus::Pass => None,
            _ => test.message.map(|m| cut(&m, MAX_MESSAGE)),
        };
        if let Some(subtest) = self.by_name.get(&name).copied() {
            if let Some(subtest) = self.subtests.get_mut(subtest) {
                subtest.status = status;
                subtest.message = message;
            }
        } else if self.subtests.len() < MAX_SUBTESTS {
            self.by_name.insert(name.clone(), self.subtests.len());
            self.subtests.push(Subtest {
                name,
                status,
                message,
            });
        } else {
            self.broken = Some(format!("more than {MAX_SUBTESTS} subtests"));
        }
    }
}

/// At most `max` bytes of `text`, cut between characters.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut cut = text[..text.floor_char_boundary(max)].to_owned();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    fn started(session: &Session, name: &str) {
        session.receive(&format!(
            r#"{{"type":"test_state","test":{{"name":"{name}","status":2,"message":"Test timed out"}}}}"#
        ));
    }

    #[test]
    fn the_last_word_about_a_subtest_counts() {
        let session = Session::default();
        session.receive(r#"{"type":"start","properties":{}}"#);
        started(&session, "a");
        session.receive(
            r#"{"type":"result","test":{"name":"a","status":0,"message":null,"stack":"s"}}"#,
        );
        session.receive(
            r#"{"type":"complete","tests":[{"name":"a","status":0},{"name":"b","status":1,"message":"m"}],"status":{"status":0,"message":null},"asserts":[]}"#,
        );
        assert!(session.is_complete());
        let outcome = session.outcome(Ended::Normally, NO_TIME);
        assert_eq!(outcome.status, TestStatus::Ok);
        assert_eq!(outcome.subtests.len(), 2);
        assert_eq!(outcome.subtests[0].status, SubtestStatus::Pass);
        assert_eq!(outcome.subtests[0].message, None);
        assert_eq!(outcome.subtests[1].message.as_deref(), Some("m"));
    }

    #[test]
    fn a_killed_test_keeps_what_it_had_reported() {
        let session = Session::default();
        started(&session, "hangs");
        let outcome = session.outcome(Ended::Killed(Duration::from_secs(3)), NO_TIME);
        assert_eq!(outcome.status, TestStatus::Timeout);
        assert_eq!(outcome.message.as_deref(), Some("terminated after 3 s"));
        assert_eq!(outcome.subtests[0].status, SubtestStatus::Timeout);
    }

    #[test]
    fn a_crash_after_completion_is_not_hidden() {
        for ended in [
            Ended::Crashed("out of memory".into()),
            Ended::Abandoned,
            Ended::Killed(NO_TIME),
        ] {
            let session = Session::default();
            session.receive(r#"{"type":"complete","tests":[],"status":{"status":0}}"#);
            let outcome = session.outcome(ended, NO_TIME);
            assert_eq!(outcome.status, TestStatus::Crash);
        }
    }

    #[test]
    fn a_harness_that_never_completed_is_an_error() {
        let outcome = Session::default().outcome(Ended::Normally, NO_TIME);
        assert_eq!(outcome.status, TestStatus::Error);
    }

    #[test]
    fn messages_of_the_test_itself_are_ignored() {
        let session = Session::default();
        for other in [
            "1",
            "null",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"other"}"#,
            "{",
        ] {
            session.receive(other);
        }
        let outcome = session.outcome(Ended::LoadFailed("x".into()), NO_TIME);
        assert_eq!(outcome.subtests, []);
        assert_eq!(outcome.message.as_deref(), Some("x"));
    }

    #[test]
    fn text_is_bounded() {
        let session = Session::default();
        let long = "é".repeat(MAX_LOG);
        for _ in 0..100 {
            session.log(&long);
        }
        session.receive(&format!(
            r#"{{"type":"result","test":{{"name":"a","status":1,"message":"{long}"}}}}"#
        ));
        let outcome = session.outcome(Ended::Normally, NO_TIME);
        assert!(outcome.log.iter().map(String::len).sum::<usize>() < MAX_LOG + 100);
        let message = outcome.subtests[0].message.as_ref().expect("message");
        assert!(message.len() <= MAX_MESSAGE + '…'.len_utf8());
    }

    #[test]
    fn too_many_subtests_are_an_error_and_not_a_pass() {
        let session = Session::default();
        for n in 0..=MAX_SUBTESTS {
            started(&session, &format!("{n}"));
        }
        session.receive(r#"{"type":"complete","tests":[],"status":{"status":0}}"#);
        let outcome = session.outcome(Ended::Normally, NO_TIME);
        assert_eq!(outcome.status, TestStatus::Error);
        assert_eq!(outcome.subtests.len(), MAX_SUBTESTS);
    }

    #[test]
    fn a_kill_before_the_isolate_exists_reaches_it_later() {
        let session = Session::default();
        session.kill();
        let (sender, receiver) = std::sync::mpsc::channel();
        session.on_kill(Box::new(move || sender.send(()).expect("receiver")));
        assert_eq!(receiver.try_recv(), Ok(()));
    }
}
