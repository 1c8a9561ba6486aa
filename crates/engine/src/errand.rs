//! Work that a worker gives another one that has nothing to do, and takes back where nobody came for it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::workers::{Progress, Task, Workers};

/// Work of kind `J`, of which comes an `R`. One piece at a time.
pub(crate) struct Errand<J, R> {
    slot: Arc<Slot<J, R>>,
    task: Arc<Task>,
}

struct Slot<J, R> {
    state: Mutex<State<J, R>>,
    ended: Condvar,
}

enum State<J, R> {
    Nothing,
    Given(J),
    Running,
    Done(R),
}

/// How a piece of work ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<J, R> {
    /// No worker had begun with it.
    Back(J),
    /// What came of it.
    Done(R),
    /// It panicked.
    Lost,
}

impl<J, R> Slot<J, R> {
    fn lock(&self) -> MutexGuard<'_, State<J, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State<J, R>) {
        let before = std::mem::replace(&mut *self.lock(), state);
        // Freed after the lock.
        drop(before);
    }
}

impl<J: Send + 'static, R: Send + 'static> Errand<J, R> {
    /// Work that is done by `run`.
    pub(crate) fn new(run: fn(J) -> R) -> Self {
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Nothing),
            ended: Condvar::new(),
        });
        let shared = slot.clone();
        let task = Task::new(move || {
            let mut state = shared.lock();
            if let State::Given(_) = &*state
                && let State::Given(job) = std::mem::replace(&mut *state, State::Running)
            {
                drop(state);
                let result = catch_unwind(AssertUnwindSafe(|| run(job)));
                shared.set(result.map_or(State::Nothing, State::Done));
                shared.ended.notify_one();
            }
            Progress::Idle
        });
        Self { slot, task }
    }

    /// Offers `job` to `workers`; to be followed by [`end`](Self::end).
    pub(crate) fn give(&self, workers: &Workers, job: J) {
        self.slot.set(State::Given(job));
        workers.notify(&self.task);
    }

    /// Takes the work back, or waits for the worker that has begun with it: so there is no waiting for a worker that may
    /// itself wait.
    pub(crate) fn end(&self) -> Ended<J, R> {
        let mut state = self.slot.lock();
        loop {
            match std::mem::replace(&mut *state, State::Nothing) {
                State::Nothing => return Ended::Lost,
                State::Given(job) => return Ended::Back(job),
                State::Done(result) => return Ended::Done(result),
                State::Running => {
                    *state = State::Running;
                    state = self
                        .slot
                        .ended
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<J, R> fmt::Debug for Errand<J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A job that says that it has begun, and waits until it may end.
    type Gate = (Sender<()>, Receiver<()>);

    #[test]
    fn work_that_a_worker_has_begun_with_is_waited_for() {
        let workers = Workers::new(1);
        let errand = Errand::new(|(begun, go): Gate| {
            begun.send(()).unwrap();
            go.recv().unwrap();
            7
        });
        let (begun, has_begun) = channel();
        let (go, may_go) = channel();
        errand.give(&workers, (begun, may_go));
        has_begun.recv().unwrap();
        go.send(()).unwrap();
        assert!(matches!(errand.end(), Ended::Done(7)));
        assert!(
            matches!(errand.end(), Ended::Lost),
            "there is nothing any more"
        );
    }

    #[test]
    fn work_that_nobody_came_for_is_taken_back_and_not_done_twice() {
        let workers = Workers::new(1);
        let (begun, has_begun) = channel();
        let (go, may_go) = channel::<()>();
        let gate = Mutex::new((begun, may_go));
        let busy = Task::new(move || {
            let gate = gate.lock().unwrap();
            gate.0.send(()).unwrap();
            let _ = gate.1.recv();
            Progress::Idle
        });
        workers.notify(&busy);
        has_begun.recv().unwrap();
        let errand = Errand::new(|n: u32| n + 1);
        errand.give(&workers, 1);
        assert_eq!(errand.end(), Ended::Back(1));
        errand.give(&workers, 2);
        drop(go);
        // The worker is free; whether it comes in time is up to it, and the result is that of the second job.
        let ended = errand.end();
        assert!(
            matches!(ended, Ended::Back(2) | Ended::Done(3)),
            "{ended:?}"
        );
    }

    #[test]
    fn work_that_panics_is_lost_and_the_next_piece_is_done() {
        let workers = Workers::new(1);
        let errand = Errand::new(|(go, n): (Receiver<()>, u32)| {
            let _ = go.recv();
            assert!(n != 1, "on purpose");
            n
        });
        let run = |n| {
            let (go, may_go) = channel();
            errand.give(&workers, (may_go, n));
            // Not before a worker has begun: it waits for the other end.
            while matches!(&*errand.slot.lock(), State::Given(_)) {
                std::thread::yield_now();
            }
            drop(go);
            errand.end()
        };
        assert!(matches!(run(1), Ended::Lost));
        assert!(matches!(run(2), Ended::Done(2)));
    }
}
