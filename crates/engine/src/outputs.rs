//! Outputs that are alive: those of each codec, and the bytes of all codecs of an engine together.
//!
//! One budget for the process, so that many codecs cannot hold together what none of them may hold alone. Each codec
//! has a small number of outputs beyond it, so that one codec's leak cannot stop the others altogether.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use reelcore_media::frame::{Lease, Lender};
use reelcore_media::preparation::Preparation;

use crate::workers::{Task, Workers};

/// The bytes that outputs of all codecs of an engine hold, against a cap. Cloning shares it.
#[derive(Clone, Debug)]
pub struct OutputBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    bytes: AtomicUsize,
    /// Whether `waiters` holds any; looked at when an output goes away, without the lock.
    waiting: AtomicBool,
    waiters: Mutex<Vec<Weak<Task>>>,
    workers: Weak<Workers>,
}

impl OutputBudget {
    /// A budget of `max_bytes`; tasks that wait for it run on `workers`.
    pub(crate) fn new(max_bytes: usize, workers: &Arc<Workers>) -> Self {
        Self(Arc::new(Budget {
            max_bytes,
            bytes: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            waiters: Mutex::default(),
            workers: Arc::downgrade(workers),
        }))
    }

    /// Bytes that outputs hold now.
    pub fn used(&self) -> usize {
        self.0.bytes.load(Ordering::SeqCst)
    }

    /// Has `task` run when the next output goes away. The caller looks at the budget once more
    /// afterwards: one that went away in between resumes nobody.
    pub(crate) fn wait(&self, task: &Arc<Task>) {
        let mut waiters = self.waiters();
        waiters.retain(|waiter| waiter.strong_count() > 0);
        if !waiters
            .iter()
            .any(|waiter| std::ptr::eq(waiter.as_ptr(), Arc::as_ptr(task)))
        {
            waiters.push(Arc::downgrade(task));
        }
        self.0.waiting.store(true, Ordering::SeqCst);
    }

    fn waiters(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Task>>> {
        self.0
            .waiters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::SeqCst);
        if !self.0.waiting.swap(false, Ordering::SeqCst) {
            return;
        }
        let waiters = std::mem::take(&mut *self.waiters());
        if let Some(workers) = self.0.workers.upgrade() {
            // All of them: those for whom there is no room yet wait again.
            for task in waiters.iter().filter_map(Weak::upgrade) {
                workers.notify(&task);
            }
        }
    }
}

/// The outputs of one codec that are alive.
#[derive(Debug)]
pub(crate) struct Outputs {
    budget: OutputBudget,
    min_outputs: usize,
    count: AtomicUsize,
    bytes: AtomicUsize,
    preparation: Preparation,
}

impl Outputs {
    pub(crate) fn new(budget: &OutputBudget, min_outputs: usize) -> Arc<Self> {
        Arc::new(Self {
            budget: budget.clone(),
            min_outputs,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            preparation: Preparation::default(),
        })
    }

    /// Outputs alive and the bytes they hold.
    pub(crate) fn alive(&self) -> (usize, usize) {
        (
            self.count.load(Ordering::SeqCst),
            self.bytes.load(Ordering::SeqCst),
        )
    }

    /// Whether the codec has to wait for outputs to go away.
    pub(crate) fn over_cap(&self) -> bool {
        self.alive().0 >= self.min_outputs && self.budget.used() >= self.budget.0.max_bytes
    }

    /// Has `task` run when an output of any codec goes away, as [`OutputBudget::wait`].
    pub(crate) fn wait(&self, task: &Arc<Task>) {
        self.budget.wait(task);
    }

    /// Counts an output of `bytes` until the lease is dropped.
    pub(crate) fn lease(self: &Arc<Self>, bytes: usize) -> Lease {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.budget.0.bytes.fetch_add(bytes, Ordering::SeqCst);
        Lease::from_lender(self.clone(), bytes)
    }
}

impl Lender for Outputs {
    fn give_back(&self, bytes: usize) {
        self.count.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.budget.give_back(bytes);
    }

    fn preparation(&self) -> Option<&Preparation> {
        Some(&self.preparation)
    }
}
