//! A pool of threads that run tasks; a task is run by one thread at a time.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use reelcore_media::counters;

/// Whether a task has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing until it is notified again.
    Idle,
    /// More at once; other tasks get their turn first.
    Again,
}

/// Something that is run when notified.
pub struct Task {
    state: AtomicU8,
    run: Box<dyn Fn() -> Progress + Send + Sync>,
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_NOTIFIED: u8 = 3;

impl Task {
    /// A task that calls `run` each time it is notified.
    pub fn new(run: impl Fn() -> Progress + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(IDLE),
            run: Box::new(run),
        })
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("state", &self.state).finish()
    }
}

/// The threads. They start when there is work for them, and end with the pool.
#[derive(Debug)]
pub struct Workers {
    queue: Arc<Queue>,
    max_threads: usize,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    tasks: VecDeque<Arc<Task>>,
    threads: usize,
    waiting: usize,
    closed: bool,
}

impl Workers {
    /// A pool of at most `max_threads` threads, at least one.
    pub fn new(max_threads: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::default(),
            max_threads: max_threads.max(1),
        })
    }

    /// Has `task` run soon. Notifying a task that is already due does nothing; one that is running runs
    /// once more.
    pub fn notify(&self, task: &Arc<Task>) {
        // Always a read-modify-write, also where the state stays: the worker's own exchange then
        // synchronises with it, and sees what the notifier did before.
        let before = task
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                Some(match state {
                    IDLE | QUEUED => QUEUED,
                    _ => RUNNING_NOTIFIED,
                })
            });
        if before == Ok(IDLE) {
            self.push(task.clone());
        }
    }

    /// Whether a task that is notified now would be run at once.
    pub(crate) fn has_idle(&self) -> bool {
        let state = self.queue.lock();
        state.tasks.is_empty() && (state.waiting > 0 || state.threads < self.max_threads)
    }

    fn push(&self, task: Arc<Task>) {
        let mut state = self.queue.lock();
        state.tasks.push_back(task);
        let idle = state.waiting;
        if idle == 0 && state.threads < self.max_threads {
            state.threads += 1;
            drop(state);
            self.spawn();
        } else {
            drop(state);
            if idle > 0 {
                counters::count_wakeup();
                self.queue.ready.notify_one();
            }
        }
    }

    fn spawn(&self) {
        let queue = self.queue.clone();
        counters::count_wakeup();
        let spawned = std::thread::Builder::new()
            .name("reelcore-worker".into())
            .spawn(move || queue.work());
        if spawned.is_err() {
            // The system refuses threads: those that run do the work, or the next notification
            // tries again.
            self.queue.lock().threads -= 1;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.ready.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Arc<Task>> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.waiting += 1;
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            task.state.swap(RUNNING, Ordering::AcqRel);
            // A task that panics is left idle; actors catch panics themselves to report them.
            let progress =
                catch_unwind(AssertUnwindSafe(|| (task.run)())).unwrap_or(Progress::Idle);
            let again = progress == Progress::Again
                || task
                    .state
                    .compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire)
                    .is_err();
            if again {
                task.state.swap(QUEUED, Ordering::AcqRel);
                // This thread looks at the queue next: nobody needs to be woken.
                self.lock().tasks.push_back(task);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_task_never_runs_on_two_threads_at_once_and_misses_no_notification() {
        let workers = Workers::new(4);
        let running = Arc::new(AtomicBool::new(false));
        let posted = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicUsize::new(0));
        let (done, wait) = mpsc::channel();
        const TOTAL: usize = 20_000;
        let task = {
            let (running, posted, seen) = (running.clone(), posted.clone(), seen.clone());
            Task::new(move || {
                assert!(!running.swap(true, Ordering::SeqCst), "ran twice at once");
                let now = posted.load(Ordering::SeqCst);
                running.store(false, Ordering::SeqCst);
                if seen.swap(now, Ordering::SeqCst) != now && now == TOTAL {
                    done.send(()).unwrap();
                }
                Progress::Idle
            })
        };
        for _ in 0..TOTAL {
            posted.fetch_add(1, Ordering::SeqCst);
            workers.notify(&task);
        }
        wait.recv_timeout(Duration::from_secs(20))
            .expect("the last notification was lost");
    }

    #[test]
    fn a_thousand_idle_tasks_hold_no_thread() {
        let workers = Workers::new(8);
        let tasks: Vec<_> = (0..1000).map(|_| Task::new(|| Progress::Idle)).collect();
        assert_eq!(workers.queue.lock().threads, 0);
        let (done, wait) = mpsc::channel();
        let last = Task::new(move || {
            let _ = done.send(());
            Progress::Idle
        });
        tasks.iter().for_each(|task| workers.notify(task));
        workers.notify(&last);
        wait.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(workers.queue.lock().threads <= 8);
    }

    #[test]
    fn a_panicking_task_does_not_take_its_thread_along() {
        let workers = Workers::new(1);
        let bad = Task::new(|| panic!("on purpose"));
        let (done, wait) = mpsc::channel();
        let good = Task::new(move || {
            let _ = done.send(());
            Progress::Idle
        });
        workers.notify(&bad);
        workers.notify(&good);
        wait.recv_timeout(Duration::from_secs(20))
            .expect("the worker died");
    }
}
