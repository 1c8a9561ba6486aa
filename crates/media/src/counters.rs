//! Cheap process-wide counters that prove claims such as "no copy" and "no download".

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $kind:ident => $value:ty;)*) => {
        /// A reading of every counter.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[$doc])* pub $name: $value,)* }

        struct Cells { $($name: $kind,)* }

        static CELLS: Cells = Cells { $($name: $kind::new(0),)* };

        /// Reads every counter. The readings are not of one instant.
        pub fn read() -> Counters {
            Counters { $($name: CELLS.$name.load(Relaxed),)* }
        }

        impl Counters {
            /// Name and value of each counter; names are in the style of JavaScript.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, f64)> {
                [$((stringify!($name), self.$name as f64),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Decoded or constructed video resources that are alive.
    frames_alive: AtomicI64 => i64;
    /// Bytes that buffer pools hold, lent out or idle.
    pool_bytes: AtomicI64 => i64;
    /// Copies of pixels or samples between CPU buffers.
    cpu_copies: AtomicU64 => u64;
    /// Bytes written by those copies.
    cpu_copy_bytes: AtomicU64 => u64;
    /// Transfers from CPU memory to a GPU.
    uploads: AtomicU64 => u64;
    /// Bytes of those transfers.
    upload_bytes: AtomicU64 => u64;
    /// Transfers from a GPU to CPU memory.
    downloads: AtomicU64 => u64;
    /// Bytes of those transfers.
    download_bytes: AtomicU64 => u64;
    /// Times a worker thread was woken for a codec.
    worker_wakeups: AtomicU64 => u64;
    /// Inputs of codecs that a second worker processed while the first one processed those before them.
    parallel_inputs: AtomicU64 => u64;
}

/// Counts one copy of `bytes` between CPU buffers.
pub fn count_copy(bytes: usize) {
    CELLS.cpu_copies.fetch_add(1, Relaxed);
    CELLS.cpu_copy_bytes.fetch_add(bytes as u64, Relaxed);
}

/// Counts one transfer of `bytes` to a GPU.
pub fn count_upload(bytes: usize) {
    CELLS.uploads.fetch_add(1, Relaxed);
    CELLS.upload_bytes.fetch_add(bytes as u64, Relaxed);
}

/// Counts one transfer of `bytes` from a GPU.
pub fn count_download(bytes: usize) {
    CELLS.downloads.fetch_add(1, Relaxed);
    CELLS.download_bytes.fetch_add(bytes as u64, Relaxed);
}

/// Counts one wake-up of a worker thread.
pub fn count_wakeup() {
    CELLS.worker_wakeups.fetch_add(1, Relaxed);
}

/// Counts `inputs` that a second worker processed in parallel with the first one.
pub fn count_parallel_inputs(inputs: usize) {
    CELLS.parallel_inputs.fetch_add(inputs as u64, Relaxed);
}

pub(crate) fn add_pool_bytes(delta: i64) {
    CELLS.pool_bytes.fetch_add(delta, Relaxed);
}

/// Counts one video resource while it lives.
#[derive(Debug)]
pub struct FrameAlive(());

impl FrameAlive {
    /// One more resource is alive, until the value is dropped.
    #[expect(clippy::new_without_default, reason = "making one counts")]
    pub fn new() -> Self {
        CELLS.frames_alive.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for FrameAlive {
    fn drop(&mut self) {
        CELLS.frames_alive.fetch_sub(1, Relaxed);
    }
}
