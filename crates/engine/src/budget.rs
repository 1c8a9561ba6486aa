//! The one budget out of which codec libraries take the threads they start.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of threads shared by all codecs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct ThreadBudget(Arc<AtomicUsize>);

/// Threads lent to one codec; they go back when it is dropped.
#[derive(Debug)]
pub struct ThreadLease {
    budget: ThreadBudget,
    extra: usize,
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
                    return ThreadLease {
                        budget: self.clone(),
                        extra,
                    };
                }
                Err(now) => free = now,
            }
        }
    }
}

impl ThreadLease {
    /// Threads the codec may run: at least 1.
    pub fn threads(&self) -> usize {
        self.extra.max(1)
    }
}

impl Drop for ThreadLease {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.extra, Ordering::Relaxed);
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
}
