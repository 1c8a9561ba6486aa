//! From worker threads to the JavaScript thread.
//!
//! Workers name what has news; the JavaScript thread is woken once, and runs one V8 task for all of it.
//!
//! deno_core's `V8CrossThreadTaskSpawner` is not used across threads: in deno_core 0.413 its queue is
//! looked at before its waker is registered (`tasks.rs`, `poll_inner`), so a task that is spawned in between
//! wakes nobody. The gap is a few nanoseconds wide; at 100,000 wake-ups a second it is met.
//! `tokio::sync::Notify` has no such gap; the V8 task is then spawned on the thread that polls.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use deno_core::{ExternalOpsTracker, JsRuntime, V8TaskSpawner, v8};
use reelcore_engine::{Progress, Task, Workers};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::webidl::Exception;

/// Called on the JavaScript thread when its number has news.
pub(crate) type Handler = Rc<dyn Fn(&mut v8::PinScope<'_, '_>)>;

/// The worker's end: cheap to clone, and callable from any thread.
#[derive(Clone)]
pub(crate) struct Waker {
    shared: Arc<Shared>,
    id: u64,
}

#[derive(Default)]
struct Shared {
    woken: Mutex<Vec<u64>>,
    notify: Notify,
}

/// The JavaScript thread's end: one a runtime.
#[derive(Clone)]
pub(crate) struct EventLoop(Rc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    handlers: RefCell<HashMap<u64, Handler>>,
    /// Handlers to forget. Their owners end inside of the garbage collector, where no V8 handle may be dropped.
    ended: Rc<RefCell<Vec<u64>>>,
    next: Cell<u64>,
    external_ops: ExternalOpsTracker,
    spawner: V8TaskSpawner,
    jobs: RefCell<HashMap<u64, Done>>,
    finished: Arc<Mutex<Vec<Finished>>>,
    jobs_waker: RefCell<Option<(Registration, Waker)>>,
}

/// A job's number and its result.
type Finished = (u64, Box<dyn Any + Send>);
type Done = Box<dyn FnOnce(&mut v8::PinScope<'_, '_>, Box<dyn Any + Send>)>;

/// Keeps the event loop from ending while it lives.
pub(crate) struct KeepAlive(ExternalOpsTracker);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.unref_op();
    }
}

/// A registered handler; it is forgotten some time after this is dropped.
pub(crate) struct Registration {
    ended: Rc<RefCell<Vec<u64>>>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.ended.borrow_mut().push(self.id);
    }
}

impl Waker {
    /// Has the handler called soon, once for all calls until then.
    pub(crate) fn wake(&self) {
        let mut woken = self
            .shared
            .woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !woken.contains(&self.id) {
            woken.push(self.id);
            drop(woken);
            self.shared.notify.notify_one();
        }
    }
}

/// Runs `future` on this thread, beside the event loop.
///
/// # Errors
/// A TypeError where the host has entered no Tokio runtime, or one that moves tasks to other threads: what is in `future`
/// belongs to this one. deno_core looks at that in builds with debug assertions only.
pub(crate) fn spawn_local(future: impl Future<Output = ()> + 'static) -> Result<(), Exception> {
    check_tokio()?;
    deno_core::unsync::spawn(future);
    Ok(())
}

/// The errors of [`spawn_local`].
fn check_tokio() -> Result<(), Exception> {
    const NEEDED: &str = "codecs need one of the current-thread kind.";
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => Ok(()),
        Ok(_) => Err(Exception::type_error(format!(
            "The host runs scripts in a Tokio runtime of several threads: {NEEDED}"
        ))),
        Err(_) => Err(Exception::type_error(format!(
            "The host runs scripts outside of a Tokio runtime: {NEEDED}"
        ))),
    }
}

impl EventLoop {
    /// The event loop of the runtime that `scope` runs in.
    ///
    /// # Errors
    /// As [`spawn_local`].
    pub(crate) fn get(scope: &mut v8::PinScope<'_, '_>) -> Result<Self, Exception> {
        // Also where it is there already: the host may have gone to another Tokio runtime.
        check_tokio()?;
        let state = JsRuntime::op_state_from(scope);
        if let Some(event_loop) = state.borrow().try_borrow::<Self>() {
            return Ok(event_loop.clone());
        }
        let mut state = state.borrow_mut();
        let event_loop = Self(Rc::new(Inner {
            shared: Arc::default(),
            handlers: RefCell::default(),
            ended: Rc::default(),
            next: Cell::new(0),
            external_ops: state.external_ops_tracker.clone(),
            spawner: state.borrow::<V8TaskSpawner>().clone(),
            jobs: RefCell::default(),
            finished: Arc::default(),
            jobs_waker: RefCell::default(),
        }));
        event_loop.forward()?;
        state.put(event_loop.clone());
        Ok(event_loop)
    }

    /// Keeps the event loop running until the result is dropped.
    pub(crate) fn keep_alive(&self) -> KeepAlive {
        self.0.external_ops.ref_op();
        KeepAlive(self.0.external_ops.clone())
    }

    /// Queues a task: <https://html.spec.whatwg.org/#queue-a-task>
    pub(crate) fn queue_task(&self, task: impl FnOnce(&mut v8::PinScope<'_, '_>) + 'static) {
        self.0.spawner.spawn(task);
    }

    /// Registers a handler. Its [`Waker`] may be used on any thread.
    pub(crate) fn register(&self, handler: Handler) -> (Registration, Waker) {
        let ended = std::mem::take(&mut *self.0.ended.borrow_mut());
        let mut handlers = self.0.handlers.borrow_mut();
        let forgotten: Vec<_> = ended.iter().filter_map(|id| handlers.remove(id)).collect();
        let id = self.0.next.get();
        self.0.next.set(id + 1);
        handlers.insert(id, handler);
        drop(handlers);
        drop(forgotten);
        let registration = Registration {
            ended: self.0.ended.clone(),
            id,
        };
        (
            registration,
            Waker {
                shared: self.0.shared.clone(),
                id,
            },
        )
    }

    /// Runs `work` on a worker thread, then `done` with its result as a task of the event loop, which goes on until
    /// then.
    pub(crate) fn run_on_worker<T: Send + 'static>(
        &self,
        workers: &Workers,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(&mut v8::PinScope<'_, '_>, T) + 'static,
    ) {
        let id = self.0.next.get();
        self.0.next.set(id + 1);
        let alive = self.keep_alive();
        let done: Done = Box::new(move |scope, result| {
            drop(alive);
            if let Ok(result) = result.downcast::<T>() {
                done(scope, *result);
            }
        });
        self.0.jobs.borrow_mut().insert(id, done);
        let waker = self.jobs_waker();
        let finished = self.0.finished.clone();
        let work = Mutex::new(Some(work));
        workers.notify(&Task::new(move || {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(work) = work {
                let result: Box<dyn Any + Send> = Box::new(work());
                finished
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((id, result));
                waker.wake();
            }
            Progress::Idle
        }));
    }

    fn jobs_waker(&self) -> Waker {
        let known = self
            .0
            .jobs_waker
            .borrow()
            .as_ref()
            .map(|(_, waker)| waker.clone());
        known.unwrap_or_else(|| {
            let weak = Rc::downgrade(&self.0);
            let (registration, waker) = self.register(Rc::new(move |scope| {
                let Some(inner) = weak.upgrade() else { return };
                let finished = std::mem::take(
                    &mut *inner
                        .finished
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner),
                );
                for (id, result) in finished {
                    let done = inner.jobs.borrow_mut().remove(&id);
                    if let Some(done) = done {
                        v8::scope!(let scope, scope);
                        done(scope, result);
                    }
                }
            }));
            *self.0.jobs_waker.borrow_mut() = Some((registration, waker.clone()));
            waker
        })
    }

    /// Forwards wake-ups to V8 tasks, until the runtime is gone.
    fn forward(&self) -> Result<(), Exception> {
        let shared = self.0.shared.clone();
        let weak = Rc::downgrade(&self.0);
        let spawner = self.0.spawner.clone();
        spawn_local(async move {
            loop {
                shared.notify.notified().await;
                let woken = {
                    let mut woken = shared.woken.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::take(&mut *woken)
                };
                if weak.strong_count() == 0 {
                    return;
                }
                let weak = weak.clone();
                spawner.spawn(move |scope| {
                    for id in woken {
                        let Some(inner) = weak.upgrade() else { return };
                        let handler = inner.handlers.borrow().get(&id).cloned();
                        if let Some(handler) = handler {
                            v8::scope!(let scope, scope);
                            handler(scope);
                        }
                    }
                });
            }
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Ends the forwarding task.
        self.shared.notify.notify_one();
    }
}
