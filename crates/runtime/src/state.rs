//! What a run shares between Rust, the ops and other threads: why it should stop, and where uncaught errors go.

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deno_core::futures::task::AtomicWaker;
use deno_core::url::Url;
use deno_core::v8;

use crate::error::{RuntimeError, Uncaught};
use crate::{ConsoleHook, UncaughtHook};

/// Why JavaScript must not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    Exit(i32),
    Uncaught(Uncaught),
}

/// The part of a run's state that other threads touch.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    terminated: AtomicBool,
    heap_limit_reached: AtomicBool,
    /// JavaScript may be running.
    running: AtomicBool,
    /// A thread asks V8 to stop until it has.
    insisting: AtomicBool,
    /// Wakes the event loop when it waits for a timer or an op.
    pub(crate) waker: AtomicWaker,
}

impl Signals {
    pub(crate) fn reach_heap_limit(&self) {
        self.heap_limit_reached.store(true, Ordering::Release);
    }

    /// JavaScript may run from now until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        Running {
            running: &self.running,
            before: self.running.swap(true, Ordering::AcqRel),
        }
    }

    /// Stops the JavaScript that runs now. Where V8's request meets C++ that catches whatever is thrown (the console's), it is
    /// lost, and a script that catches what it gets in its place goes on: so it is made again until nothing runs.
    pub(crate) fn stop(self: &Arc<Self>, isolate: v8::IsolateHandle) {
        isolate.terminate_execution();
        if self.insisting.swap(true, Ordering::AcqRel) {
            return;
        }
        let signals = self.clone();
        let insist = move || {
            loop {
                // A request ends what it meets: the more there are, the sooner one meets the script.
                std::thread::sleep(Duration::from_millis(1));
                // False once the isolate is gone.
                if !signals.running.load(Ordering::Acquire) || !isolate.terminate_execution() {
                    break;
                }
            }
            signals.insisting.store(false, Ordering::Release);
        };
        let thread = std::thread::Builder::new().name("terminator".into());
        // Without a thread it stays with the one request.
        if thread.spawn(insist).is_err() {
            self.insisting.store(false, Ordering::Release);
        }
    }
}

/// While this lives, JavaScript may run.
pub(crate) struct Running<'a> {
    running: &'a AtomicBool,
    before: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.running.store(self.before, Ordering::Release);
    }
}

/// The state of one runtime, in its `OpState` and in [`Runtime`](crate::Runtime).
pub(crate) struct RunState {
    pub(crate) stop: RefCell<Option<Stop>>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) heap_limit: Option<usize>,
    /// The base of relative URLs, and what `location` says.
    pub(crate) location: RefCell<Url>,
    pub(crate) main_module: RefCell<Option<Url>>,
    pub(crate) console: Option<ConsoleHook>,
    /// Where the console writes instead of the process's standard output and standard error.
    pub(crate) redirected: [Option<File>; 2],
    pub(crate) on_uncaught: Option<UncaughtHook>,
}

impl RunState {
    /// Why the run must end, if it must. Taking it clears an uncaught error, so that the next run can go on; the other
    /// reasons stay.
    pub(crate) fn take_stop(&self) -> Option<RuntimeError> {
        if self.signals.terminated.load(Ordering::Acquire) {
            return Some(RuntimeError::Terminated);
        }
        if self.signals.heap_limit_reached.load(Ordering::Acquire) {
            return Some(RuntimeError::HeapLimit {
                limit: self.heap_limit.unwrap_or_default(),
            });
        }
        let mut stop = self.stop.borrow_mut();
        match stop.take()? {
            Stop::Exit(code) => {
                *stop = Some(Stop::Exit(code));
                Some(RuntimeError::Exit(code))
            }
            Stop::Uncaught(uncaught) => Some(RuntimeError::Uncaught(uncaught)),
        }
    }

    /// Whether the run must end.
    pub(crate) fn must_stop(&self) -> bool {
        self.signals.terminated.load(Ordering::Acquire)
            || self.signals.heap_limit_reached.load(Ordering::Acquire)
            || self.stop.borrow().is_some()
    }

    /// Whether JavaScript may run again after the error that [`take_stop`](Self::take_stop) gave.
    pub(crate) fn may_resume(error: &RuntimeError) -> bool {
        matches!(error, RuntimeError::Uncaught(_) | RuntimeError::Module(_))
    }

    /// Records the exit code of `Deno.exit`.
    pub(crate) fn exit(&self, code: i32) {
        *self.stop.borrow_mut() = Some(Stop::Exit(code));
    }

    /// Takes an uncaught error: to the hook where there is one, else it stops the run. Returns whether it stops.
    pub(crate) fn report_uncaught(&self, uncaught: Uncaught) -> bool {
        if let Some(hook) = &self.on_uncaught {
            hook(&uncaught);
            return false;
        }
        let mut stop = self.stop.borrow_mut();
        // The first reason wins: what comes after it is a consequence.
        if stop.is_none() {
            *stop = Some(Stop::Uncaught(uncaught));
        }
        true
    }
}

/// Stops a [`Runtime`](crate::Runtime) from any thread.
#[derive(Clone)]
pub struct Terminator {
    isolate: v8::IsolateHandle,
    signals: Arc<Signals>,
}

impl Terminator {
    pub(crate) fn new(isolate: v8::IsolateHandle, state: &Rc<RunState>) -> Self {
        Self {
            isolate,
            signals: state.signals.clone(),
        }
    }

    /// Stops the JavaScript that runs now, if any, and wakes an idle event loop. The run, and every later one, ends with
    /// [`RuntimeError::Terminated`]. Does nothing once the runtime is gone. JavaScript that is run through
    /// [`Runtime::js_runtime`](crate::Runtime::js_runtime) is asked once only, which the console's C++ may catch.
    pub fn terminate(&self) {
        self.signals.terminated.store(true, Ordering::Release);
        self.signals.stop(self.isolate.clone());
        self.signals.waker.wake();
    }
}
