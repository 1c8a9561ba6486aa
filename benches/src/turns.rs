//! How long the turns of the event loop take: while one lasts, nothing else is delivered. That is what a timer's lateness is
//! taken for as well, which has the grain of the clock that wakes the thread in it (of Tokio's, a millisecond or two).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use reelcore_runtime::{ConsoleLevel, Runtime, create_tokio_runtime};
use serde_json::{Value, json};

/// The option that makes a process of the benchmarks run a script: its path and arguments follow.
pub const OPTION: &str = "--turns";

/// A clock for the turns of each phase that the script names.
#[derive(Default)]
struct Clock {
    /// The phase that runs, and since when a turn lasts that is in it.
    phase: Option<String>,
    turn: Option<Instant>,
    /// Milliseconds of the longest turn of each phase.
    longest: BTreeMap<String, f64>,
    printed: Vec<String>,
}

impl Clock {
    fn begin(&mut self) {
        self.turn = Some(Instant::now());
    }

    fn end(&mut self) {
        let Some(began) = self.turn.take() else {
            return;
        };
        let took = began.elapsed().as_secs_f64() * 1e3;
        if let Some(phase) = &self.phase {
            let longest = self.longest.entry(phase.clone()).or_default();
            *longest = longest.max(took);
        }
    }

    /// `console.debug(name)` of the script: from here on it is in the phase of that name.
    fn enter(&mut self, phase: &str) {
        self.end();
        self.phase = Some(phase.trim_end().to_owned());
        self.begin();
    }
}

/// Runs a script in this process, and prints the JSON that it prints with `turns` added: the milliseconds of the longest turn of
/// each phase, which the script names with `console.debug()`.
///
/// # Errors
/// When the runtime cannot be started, the script fails, or prints something else than an object.
pub fn run(script: PathBuf, args: Vec<String>) -> Result<()> {
    let tokio = create_tokio_runtime()?;
    let _entered = tokio.enter();
    let clock = Rc::new(RefCell::new(Clock::default()));
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
