//! Outputs that are alive: those of each codec, and the bytes of all codecs of an engine together.
//!
//! One budget for the process, so that many codecs cannot hold together what none of them may hold alone. Each codec
//! has a small number of outputs beyond it, so that one codec's leak cannot stop the others altogether.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use reelcore_media::frame::{Lease, Lender};
use reelcore_media::preparation::Preparation;

use crate::workers::{Task, Workers};

/// What is lent. A turn of a worker counts its outputs together, so that one that a reset drops on the worker is gone before it
/// is counted.
#[derive(Debug, Default)]
struct Count(AtomicIsize);

impl Count {
    fn get(&self) -> usize {
        usize::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0)
    }

    fn add(&self, number: usize) {
        self.0.fetch_add(number as isize, Ordering::SeqCst);
    }

    fn subtract(&self, number: usize) {
        self.0.fetch_sub(number as isize, Ordering::SeqCst);
    }
}

/// The bytes that outputs of all codecs of an engine hold, against a cap. Cloning shares it.
#[derive(Clone, Debug)]
pub struct OutputBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    max_bytes: usize,
    bytes: Count,
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
            bytes: Count::default(),
            waiting: AtomicBool::new(false),
            waiters: Mutex::default(),
            workers: Arc::downgrade(workers),
        }))
    }

    /// Bytes that outputs hold now.
    pub fn used(&self) -> usize {
        self.0.bytes.get()
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
        self.0.bytes.subtract(bytes);
        // Looked at first: nearly always nobody waits, and reading leaves the line where it is.
        if !self.0.waiting.load(Ordering::SeqCst) || !self.0.waiting.swap(false, Ordering::SeqCst) {
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
    count: Count,
    bytes: Count,
    preparation: Preparation,
}

impl Outputs {
    pub(crate) fn new(budget: &OutputBudget, min_outputs: usize) -> Arc<Self> {
        Arc::new(Self {
            budget: budget.clone(),
            min_outputs,
            count: Count::default(),
            bytes: Count::default(),
            preparation: Preparation::default(),
        })
    }

    /// Outputs alive and the bytes they hold.
    pub(crate) fn alive(&self) -> (usize, usize) {
        (self.count.get(), self.bytes.get())
    }

    /// Whether the codec has to wait for outputs to go away.
    pub(crate) fn over_cap(&self) -> bool {
        self.is_over(self.count.get(), self.budget.used())
    }

    fn is_over(&self, outputs: usize, used: usize) -> bool {
        outputs >= self.min_outputs && used >= self.budget.0.max_bytes
    }

    /// Has `task` run when an output of any codec goes away, as [`OutputBudget::wait`].
    pub(crate) fn wait(&self, task: &Arc<Task>) {
        self.budget.wait(task);
    }
}

/// A worker counts so many bytes by itself, before it tells the budget of them: codecs that work at the same time exceed
/// it by no more each.
const UNTOLD_BYTES: usize = 1 << 20;

/// The outputs of one turn of a worker. Owners drop outputs while the worker makes more: what both count, they take from
/// each other's cache each time. So a turn counts its outputs by itself and tells at its end, and they share a lender that
/// nobody else knows yet.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    lender: Option<Arc<TurnOutputs>>,
    count: usize,
    bytes: usize,
    /// Outputs of the codec, and bytes of all codecs, when they were last looked at.
    seen: Option<(usize, usize)>,
}

impl Turn {
    /// Counts an output of `bytes` until the lease is dropped.
    pub(crate) fn lease(&mut self, outputs: &Arc<Outputs>, bytes: usize) -> Lease {
        self.count += 1;
        self.bytes += bytes;
        if self.bytes >= UNTOLD_BYTES {
            self.tell(outputs);
        }
        let lender = self
            .lender
            .get_or_insert_with(|| Arc::new(TurnOutputs(outputs.clone())));
        Lease::from_lender(lender.clone(), bytes)
    }

    /// Whether the codec has to wait for outputs to go away, as far as is known: others may have made some since the
    /// last look.
    pub(crate) fn over_cap(&mut self, outputs: &Outputs) -> bool {
        let (count, used) = *self
            .seen
            .get_or_insert_with(|| (outputs.count.get(), outputs.budget.used()));
        if !outputs.is_over(count + self.count, used + self.bytes) {
            return false;
        }
        // Some of them may be gone by now.
        self.tell(outputs);
        outputs.over_cap()
    }

    /// Whether there is room for outputs of `bytes` together.
    pub(crate) fn has_room(&mut self, outputs: &Outputs, bytes: usize) -> bool {
        self.tell(outputs);
        let used = outputs.budget.used();
        used.saturating_add(bytes) <= outputs.budget.0.max_bytes
    }

    /// Ends the turn: all its outputs are counted.
    pub(crate) fn end(&mut self, outputs: &Outputs) {
        self.tell(outputs);
        self.lender = None;
        self.seen = None;
    }

    fn tell(&mut self, outputs: &Outputs) {
        self.seen = None;
        if self.count > 0 {
            outputs.count.add(std::mem::take(&mut self.count));
            let bytes = std::mem::take(&mut self.bytes);
            outputs.bytes.add(bytes);
            outputs.budget.0.bytes.add(bytes);
        }
    }
}

/// The lender of a turn's outputs.
#[derive(Debug)]
struct TurnOutputs(Arc<Outputs>);

impl Lender for TurnOutputs {
    fn give_back(&self, bytes: usize) {
        self.0.count.subtract(1);
        self.0.bytes.subtract(bytes);
        self.0.budget.give_back(bytes);
    }

    fn preparation(&self) -> Option<&Preparation> {
        Some(&self.0.preparation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(max_bytes: usize, min_outputs: usize) -> Arc<Outputs> {
        let budget = OutputBudget::new(max_bytes, &Workers::new(1));
        Outputs::new(&budget, min_outputs)
    }

    #[test]
    fn a_turn_sees_its_own_outputs_before_it_tells_of_them() {
        let outputs = outputs(100, 1);
        let mut turn = Turn::default();
        assert!(!turn.over_cap(&outputs));
        let lease = turn.lease(&outputs, 100);
        assert_eq!(outputs.alive(), (0, 0), "not told yet");
        assert!(turn.over_cap(&outputs));
        assert_eq!(outputs.alive(), (1, 100));
        drop(lease);
        assert!(!turn.over_cap(&outputs), "the look is a new one");
        turn.end(&outputs);
        assert_eq!(outputs.alive(), (0, 0));
    }

    #[test]
    fn outputs_that_go_before_the_turn_ends_leave_no_count_behind() {
        let outputs = outputs(100, 1);
        let mut turn = Turn::default();
        drop(turn.lease(&outputs, 60));
        let kept = turn.lease(&outputs, 70);
        assert!(!turn.over_cap(&outputs));
        turn.end(&outputs);
        assert_eq!(outputs.alive(), (1, 70));
        assert_eq!(outputs.budget.used(), 70);
        drop(kept);
        assert_eq!(outputs.budget.used(), 0);
    }

    #[test]
    fn large_outputs_are_told_of_at_once() {
        let outputs = outputs(usize::MAX, 1);
        let mut turn = Turn::default();
        let _lease = turn.lease(&outputs, UNTOLD_BYTES);
        assert_eq!(outputs.alive(), (1, UNTOLD_BYTES));
    }
}
