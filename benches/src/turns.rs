//! How long the turns of the event loop take: while one lasts, nothing else is delivered. That is what a timer's lateness is
//! taken for as well, which has the grain of the clock that wakes the thread in it (of Tokio's, a millisecond or two). What the
//! system takes of a turn to run other threads on the same core is told apart: Linux counts it for each thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reelcore_runtime::{ConsoleLevel, Runtime, create_tokio_runtime};
use serde::Serialize;
use serde_json::{Value, json};

/// The option that makes a process of the benchmarks run a script: its path and arguments follow.
pub const OPTION: &str = "--turns";

/// The time for which a thread had work and no core: the second number of its schedstat file, in nanoseconds
/// (<https://docs.kernel.org/scheduler/sched-stats.html>).
struct Schedstat(Option<File>);

impl Schedstat {
    /// Of the thread that calls; 0 for ever where the system does not count it.
    fn new() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    fn waited(&mut self) -> Duration {
        let mut text = [0; 64];
        let read = self.0.as_mut().and_then(|file| {
            file.rewind().ok()?;
            let len = file.read(&mut text).ok()?;
            let text = str::from_utf8(text.get(..len)?).ok()?;
            text.split(' ').nth(1)?.parse().ok()
        });
        Duration::from_nanos(read.unwrap_or(0))
    }
}

/// What the longest turn of a phase took, in milliseconds.
#[derive(Clone, Copy, Default, Serialize)]
struct Longest {
    /// From beginning to end.
    whole: f64,
    /// Of the turn for which that is longest: without the time in which it had no core.
    own: f64,
}

/// A clock for the turns of each phase that the script names.
struct Clock {
    schedstat: Schedstat,
    /// The phase that runs, and since when a turn lasts that is in it, and how long the thread had waited by then.
    phase: Option<String>,
    turn: Option<(Instant, Duration)>,
    longest: BTreeMap<String, Longest>,
    printed: Vec<String>,
}

impl Clock {
    fn new() -> Self {
        Self {
            schedstat: Schedstat::new(),
            phase: None,
            turn: None,
            longest: BTreeMap::new(),
            printed: Vec::new(),
        }
    }

    fn begin(&mut self) {
        let waited = self.schedstat.waited();
        self.turn = Some((Instant::now(), waited));
    }

    fn end(&mut self) {
        let Some((began, waited)) = self.turn.take() else {
            return;
        };
        let whole = began.elapsed();
        let own = whole.saturating_sub(self.schedstat.waited().saturating_sub(waited));
        if let Some(phase) = &self.phase {
            let longest = self.longest.entry(phase.clone()).or_default();
            longest.whole = longest.whole.max(whole.as_secs_f64() * 1e3);
            longest.own = longest.own.max(own.as_secs_f64() * 1e3);
        }
    }

    /// `console.debug(name)` of the script: from here on it is in the phase of that name.
    fn enter(&mut self, phase: &str) {
        self.end();
        self.phase = Some(phase.trim_end().to_owned());
        self.begin();
    }
}

/// Runs a script in this process, and prints the JSON that it prints with `turns` added: the longest turns of each phase, which the
/// script names with `console.debug()`.
///
/// # Errors
/// When the runtime cannot be started, the script fails, or prints something else than an object.
pub fn run(script: PathBuf, args: Vec<String>) -> Result<()> {
    let tokio = create_tokio_runtime()?;
    let _entered = tokio.enter();
    let clock = Rc::new(RefCell::new(Clock::new()));
    let console = clock.clone();
    let mut runtime = Runtime::builder()
        .args(args)
        .console(Rc::new(move |level, line| match level {
            ConsoleLevel::Debug => console.borrow_mut().enter(line),
            _ => console.borrow_mut().printed.push(line.to_owned()),
        }))
        .build()?;
    let mut running = pin!(runtime.run_module(script));
    let timed = poll_fn(|context| {
        clock.borrow_mut().begin();
        let result = running.as_mut().poll(context);
        clock.borrow_mut().end();
        result
    });
    tokio.block_on(timed)?;
    let clock = clock.borrow();
    let mut result: Value = serde_json::from_str(&clock.printed.concat())?;
    let fields = result.as_object_mut().context("an object")?;
    fields.insert("turns".into(), json!(clock.longest));
    println!("{result}");
    Ok(())
}

/// Runs a script of the benchmarks in a process of its own, as [`run`] does.
///
/// # Errors
/// When it fails.
pub fn spawn(script: &Path, args: &[&str]) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .arg(OPTION)
        .arg(script)
        .args(args)
        .output()?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
