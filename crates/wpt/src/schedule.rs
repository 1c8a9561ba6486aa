//! Runs tests on threads of their own, several at a time, so that none can hang the run.

use crate::discover::TestCase;
use crate::session::{Ended, Session};
use crate::status::Outcome;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Stack of a test's thread, in bytes. V8 assumes about 1 MiB for itself; native frames come on top.
const STACK: usize = 8 << 20;

/// How many tests run at once, and how long they may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Tests at a time, at least 1.
    pub jobs: usize,
    /// Time for a test, before its harness is told to time out.
    pub normal: Duration,
    /// The same for tests with `timeout=long`.
    pub long: Duration,
    /// Time after that until its isolate is terminated, and again until its thread is left behind.
    pub grace: Duration,
}

impl Limits {
    /// testharness.js's own limits (10 s and 60 s) times `multiplier`.
    pub fn new(jobs: usize, multiplier: f32) -> Self {
        Self {
            jobs,
            normal: Duration::from_secs(10).mul_f32(multiplier),
            long: Duration::from_secs(60).mul_f32(multiplier),
            grace: Duration::from_secs(10),
        }
    }

    /// Time for this test.
    pub fn of(&self, test: &TestCase) -> Duration {
        if test.meta.long_timeout {
            self.long
        } else {
            self.normal
        }
    }
}

/// Runs one test on the thread it is called on; the duration is its time.
pub type Execute = dyn Fn(&TestCase, &Arc<Session>, Duration) -> Ended + Send + Sync;

struct Running {
    session: Arc<Session>,
    started: Instant,
    /// When to terminate the isolate, then when to give the thread up.
    deadline: Instant,
    killed: bool,
}

/// Runs the tests and hands each outcome to `done`, in the order in which they end.
pub fn run(
    tests: &[TestCase],
    limits: &Limits,
    execute: &Arc<Execute>,
    mut done: impl FnMut(usize, Outcome),
) {
    let (sender, receiver) = mpsc::channel::<(usize, Ended)>();
    let mut queue = tests.iter().enumerate();
    let mut running = BTreeMap::<usize, Running>::new();
    loop {
        while running.len() < limits.jobs.max(1) {
            let Some((index, test)) = queue.next() else {
                break;
            };
            let session = Arc::new(Session::default());
            let time = limits.of(test);
            match spawn(test, &session, time, execute, index, &sender) {
                Ok(()) => {
                    let started = Instant::now();
                    let run = Running {
                        session,
                        started,
                        deadline: started + time + limits.grace,
                        killed: false,
                    };
                    running.insert(index, run);
                }
                Err(error) => {
                    let why = format!("cannot start a thread: {error}");
                    done(
                        index,
                        session.outcome(Ended::LoadFailed(why), Duration::ZERO),
                    );
                }
            }
        }
        let Some(next) = running.values().map(|r| r.deadline).min() else {
            return;
        };
        match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok((index, ended)) => {
                // A thread that was left behind may still end one day.
                if let Some(run) = running.remove(&index) {
                    let duration = run.started.elapsed();
                    let ended = match ended {
                        Ended::Normally | Ended::RanDry | Ended::TimedOut(_) if run.killed => {
                            Ended::Killed(duration)
                        }
                        other => other,
                    };
                    done(index, run.session.outcome(ended, duration));
                }
            }
            // Never disconnected: a sender lives here.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = Instant::now();
        let late: Vec<usize> = running
            .iter()
            .filter(|(_, run)| run.deadline <= now)
            .map(|(index, _)| *index)
            .collect();
        for index in late {
            let Some(run) = running.get_mut(&index) else {
                continue;
            };
            if run.killed {
                let duration = run.started.elapsed();
                let outcome = run.session.outcome(Ended::Abandoned, duration);
                running.remove(&index);
                done(index, outcome);
            } else {
                run.killed = true;
                run.deadline = now + limits.grace;
                run.session.kill();
            }
        }
    }
}

fn spawn(
    test: &TestCase,
    session: &Arc<Session>,
    time: Duration,
    execute: &Arc<Execute>,
    index: usize,
    sender: &mpsc::Sender<(usize, Ended)>,
) -> std::io::Result<()> {
    let (test, session) = (test.clone(), Arc::clone(session));
    let (execute, sender) = (Arc::clone(execute), sender.clone());
    thread::Builder::new()
        // The name is what a panic message or a debugger shows.
        .name(test.id.clone())
        .stack_size(STACK)
        .spawn(move || {
            let run = AssertUnwindSafe(|| execute(&test, &session, time));
            let ended = catch_unwind(run)
                .unwrap_or_else(|panic| Ended::Crashed(panic_message(panic.as_ref())));
            // The receiver is gone only when the run is over.
            let _ = sender.send((index, ended));
        })
        .map(drop)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("(no message)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Meta;
    use crate::status::TestStatus;
    use deno_core::url::Url;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    fn case(id: &str) -> TestCase {
        TestCase {
            id: id.to_owned(),
            script: id.to_owned(),
            file: PathBuf::new(),
            meta: Meta::default(),
            location: Url::parse("https://web-platform.test/").expect("url"),
        }
    }

    fn limits(jobs: usize) -> Limits {
        Limits {
            jobs,
            normal: Duration::from_millis(1500),
            long: Duration::from_millis(1500),
            grace: Duration::from_millis(1500),
        }
    }

    fn complete(session: &Session) {
        session.receive(r#"{"type":"complete","tests":[],"status":{"status":0}}"#);
    }

    fn statuses(names: &[&str], execute: Arc<Execute>) -> BTreeMap<String, Outcome> {
        let tests: Vec<_> = names.iter().map(|name| case(name)).collect();
        let mut outcomes = BTreeMap::new();
        run(&tests, &limits(2), &execute, |index, outcome| {
            outcomes.insert(tests[index].id.clone(), outcome);
        });
        outcomes
    }

    #[test]
    fn hung_and_panicking_tests_do_not_keep_the_others_from_running() {
        let release = Arc::new(AtomicBool::new(false));
        let released = Arc::clone(&release);
        let outcomes = statuses(
            &["hangs", "ok1", "panics", "stops when told", "ok2"],
            Arc::new(move |test, session, _| {
                match test.id.as_str() {
                    "hangs" => {
                        while !released.load(Ordering::Relaxed) {
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                    "panics" => panic!("on purpose"),
                    "stops when told" => {
                        let (sender, receiver) = mpsc::channel();
                        session.on_kill(Box::new(move || sender.send(()).expect("receiver")));
                        receiver.recv().expect("kill");
                    }
                    _ => complete(session),
                }
                Ended::Normally
            }),
        );
        release.store(true, Ordering::Relaxed);
        assert_eq!(outcomes.len(), 5);
        assert_eq!(outcomes["ok1"].status, TestStatus::Ok);
        assert_eq!(outcomes["ok2"].status, TestStatus::Ok);
        assert_eq!(outcomes["hangs"].status, TestStatus::Timeout);
        assert_eq!(
            outcomes["hangs"].message.as_deref(),
            Some("hung, and did not end when terminated")
        );
        assert_eq!(outcomes["panics"].status, TestStatus::Crash);
        assert_eq!(
            outcomes["panics"].message.as_deref(),
            Some("panicked: on purpose")
        );
        assert_eq!(outcomes["stops when told"].status, TestStatus::Timeout);
    }

    #[test]
    fn no_more_tests_run_at_once_than_jobs() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let peak = Arc::clone(&most);
        let names = ["1", "2", "3", "4", "5", "6"];
        statuses(
            &names,
            Arc::new(move |_, session, _| {
                let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                peak.fetch_max(running, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
                now.fetch_sub(1, Ordering::SeqCst);
                complete(session);
                Ended::Normally
            }),
        );
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn long_tests_get_the_long_time() {
        let mut test = case("x");
        let limits = Limits::new(1, 2.0);
        assert_eq!(limits.of(&test), Duration::from_secs(20));
        test.meta.long_timeout = true;
        assert_eq!(limits.of(&test), Duration::from_secs(120));
    }
}
