//! Where demuxers read. Files are read on the runtime's blocking threads. A read of a stream may wait for as long as its feeder
//! likes, so streams have threads of their own: however many of them wait, files are read.

use std::sync::atomic::{AtomicUsize, Ordering};

use deno_error::JsErrorBox;
use tokio::sync::oneshot;

/// Threads of streams in the process, at most. One for each reader that waits.
const MAX_THREADS: usize = 1024;

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// One thread of [`MAX_THREADS`].
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |taken: usize| (taken < MAX_THREADS).then_some(taken + 1);
        let taken = THREADS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts `work` on a thread: one of its own where it `waits` for what a script feeds.
pub(super) fn start(waits: bool, work: impl FnOnce() + Send + 'static) -> Result<(), JsErrorBox> {
    if !waits {
        drop(deno_core::unsync::spawn_blocking(work));
        return Ok(());
    }
    let Some(place) = Place::take() else {
        return Err(JsErrorBox::new(
            "Reelcore.OperationError",
            format!("more than {MAX_THREADS} readers of streams wait for bytes at once"),
        ));
    };
    let thread = std::thread::Builder::new().name("reelcore-stream".into());
    let started = thread.spawn(move || {
        let _place = place;
        work();
    });
    let failed = |error| JsErrorBox::new("Reelcore.OperationError", format!("no thread: {error}"));
    started.map(drop).map_err(failed)
}

/// Runs `work` as [`start`] does, and gives what it returns.
pub(super) async fn run<T: Send + 'static>(
    waits: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JsErrorBox> {
    let (tell, told) = oneshot::channel();
    // Nobody may listen any more.
    start(waits, move || drop(tell.send(work())))?;
    told.await.map_err(|_| super::cancelled())
}
