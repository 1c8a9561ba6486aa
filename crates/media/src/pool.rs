//! Pools of byte buffers for pictures and samples.
//!
//! A buffer goes back to its pool when the last reference to it is dropped, on whichever thread
//! that is. A pool keeps at most a set number of idle bytes and drops what exceeds it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::counters;

/// Buffers start on a multiple of this many bytes, which suits every SIMD width in use.
pub const ALIGNMENT: usize = 64;

/// A pool of buffers. Cloning shares it.
#[derive(Clone, Debug)]
pub struct BufferPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    idle: Mutex<Idle>,
    max_idle_bytes: usize,
}

#[derive(Debug, Default)]
struct Idle {
    buffers: Vec<Storage>,
    bytes: usize,
}

/// One allocation with room to start at an aligned offset.
#[derive(Debug)]
struct Storage {
    memory: Box<[u8]>,
    offset: usize,
}

impl Storage {
    fn new(capacity: usize) -> Self {
        let memory = vec![0u8; capacity + ALIGNMENT].into_boxed_slice();
        let offset = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        counters::add_pool_bytes(memory.len() as i64);
        Self { memory, offset }
    }

    fn capacity(&self) -> usize {
        self.memory.len() - ALIGNMENT
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        counters::add_pool_bytes(-(self.memory.len() as i64));
    }
}

impl BufferPool {
    /// A pool that keeps at most `max_idle_bytes` bytes of buffers that nobody uses.
    pub fn new(max_idle_bytes: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                idle: Mutex::default(),
                max_idle_bytes,
            }),
        }
    }

    /// A buffer of `len` bytes, aligned to [`ALIGNMENT`]. Its content is unspecified: zeros or
    /// what an earlier user of the same pool left.
    pub fn take(&self, len: usize) -> PooledBuffer {
        let mut idle = self
            .shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A buffer up to twice as large is worth reusing; a larger one would waste memory.
        let fits = |s: &Storage| s.capacity() >= len && s.capacity() <= len.saturating_mul(2);
        let found = idle.buffers.iter().rposition(fits);
        let storage = match found {
            Some(index) => {
                let storage = idle.buffers.swap_remove(index);
                idle.bytes -= storage.memory.len();
                storage
            }
            None => {
                drop(idle);
                Storage::new(len)
            }
        };
        PooledBuffer {
            storage: Some(storage),
            len,
            pool: Arc::downgrade(&self.shared),
        }
    }

    /// Bytes that are idle now.
    pub fn idle_bytes(&self) -> usize {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }
}

/// A buffer lent by a [`BufferPool`]; it goes back when dropped.
#[derive(Debug)]
pub struct PooledBuffer {
    storage: Option<Storage>,
    len: usize,
    pool: Weak<Shared>,
}

impl PooledBuffer {
    /// Ends writing and shares the bytes; the buffer goes back when the last clone is dropped.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.storage
            .as_ref()
            .map_or(&[], |s| &s.memory[s.offset..s.offset + self.len])
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        self.storage
            .as_mut()
            .map_or(&mut [], |s| &mut s.memory[s.offset..s.offset + len])
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let (Some(storage), Some(pool)) = (self.storage.take(), self.pool.upgrade()) else {
            return;
        };
        let mut evicted = Vec::new();
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if storage.memory.len() <= pool.max_idle_bytes {
            idle.bytes += storage.memory.len();
            idle.buffers.push(storage);
            // The oldest go first: after a change of size they are the ones that no longer fit.
            while idle.bytes > pool.max_idle_bytes {
                let oldest = idle.buffers.remove(0);
                idle.bytes -= oldest.memory.len();
                evicted.push(oldest);
            }
        }
        // Memory is given back to the system outside the lock.
        drop(idle);
        drop(evicted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_reused_rather_than_allocated_again() {
        let pool = BufferPool::new(1 << 20);
        let first = pool.take(1000);
        let address = first.as_ptr();
        assert_eq!(address.align_offset(ALIGNMENT), 0);
        let shared = first.freeze();
        let copy = shared.clone();
        drop(shared);
        assert_eq!(pool.idle_bytes(), 0, "still referenced");
        drop(copy);
        assert!(pool.idle_bytes() >= 1000);
        assert_eq!(pool.take(900).as_ptr(), address);
    }

    #[test]
    fn idle_memory_stays_under_the_cap() {
        let pool = BufferPool::new(10_000);
        let lent: Vec<_> = (0..10).map(|_| pool.take(3000)).collect();
        drop(lent);
        assert!(pool.idle_bytes() <= 10_000);
        drop(pool.take(20_000));
        assert!(pool.idle_bytes() <= 10_000);
    }

    #[test]
    fn a_buffer_much_larger_than_asked_for_is_not_lent() {
        let pool = BufferPool::new(1 << 20);
        drop(pool.take(100_000));
        let small = pool.take(10);
        assert_eq!(small.len(), 10);
        assert!(pool.idle_bytes() >= 100_000);
    }
}
