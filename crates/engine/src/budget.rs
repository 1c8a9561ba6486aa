//! The one budget out of which codec libraries take the threads they start.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// A number of threads shared by all codecs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct ThreadBudget(Arc<AtomicUsize>);

/// Threads lent to one codec; they go back when it is dropped, or earlier.
#[derive(Debug)]
pub struct ThreadLease(Arc<Lent>);

/// What a [`ThreadLease`] has lent.
#[derive(Debug)]
pub(crate) struct Lent {
    budget: ThreadBudget,
    threads: usize,
    /// Those that have not gone back.
    extra: AtomicUsize,
}

impl ThreadBudget {
    /// A budget of `threads`.
    pub fn new(threads: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(threads)))
    }

    /// Lends up to `wanted` threads. One is always granted, the worker that calls the codec, and
    /// is not taken from the budget.
    pub fn lease(&self, wanted: usize) -> ThreadLease {
        let extra_wanted = if wanted > 1 { wanted } else { 0 };
        let mut free = self.0.load(Ordering::Relaxed);
        loop {
            let extra = extra_wanted.min(free);
            match self.0.compare_exchange_weak(
                free,
                free - extra,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return ThreadLease(Arc::new(Lent {
                        budget: self.clone(),
                        threads: extra.max(1),
                        extra: AtomicUsize::new(extra),
                    }));
                }
                Err(now) => free = now,
            }
        }
    }
}

impl ThreadLease {
    /// Threads the codec may run: at least 1.
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    pub(crate) fn lent(&self) -> Weak<Lent> {
        Arc::downgrade(&self.0)
    }
}

impl Lent {
    /// Gives the threads back while the codec still has them, because it is about to end: one that its owner has
    /// closed ends on a worker, and the codec that the owner starts next must not go without threads for that.
    pub(crate) fn give_back(&self) {
        let extra = self.extra.swap(0, Ordering::Relaxed);
        self.budget.0.fetch_add(extra, Ordering::Relaxed);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_codecs_together_never_exceed_the_budget() {
        let budget = ThreadBudget::new(4);
        let first = budget.lease(3);
        let second = budget.lease(3);
        let third = budget.lease(8);
        assert_eq!(
            [first.threads(), second.threads(), third.threads()],
            [3, 1, 1]
        );
        drop(first);
        assert_eq!(budget.lease(2).threads(), 2);
        drop((second, third));
        assert_eq!(budget.lease(100).threads(), 4);
        assert_eq!(budget.lease(1).threads(), 1);
    }

    #[test]
    fn threads_that_were_given_back_early_are_not_given_back_twice() {
        let budget = ThreadBudget::new(4);
        let first = budget.lease(3);
        for _ in 0..2 {
            first.lent().upgrade().expect("lent").give_back();
        }
        assert_eq!(first.threads(), 3);
        let second = budget.lease(8);
        assert_eq!(second.threads(), 4);
        drop(first);
        assert_eq!(budget.lease(8).threads(), 1);
    }
}
