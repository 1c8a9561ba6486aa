//! Samples that go back to the thread that decodes once nobody needs them any more.
//!
//! A decoder allocates some thousands of them a second. Freed on another thread they would have both threads wait for the
//! allocator's lock, and freed all at once they would be joined to be split again: together 4 % of decoding. And
//! what both threads write, be it a count, they take from each other's cache each time: so samples come back in heaps, and a
//! number of them share a reference that nobody else has yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Samples of so many outputs wait at most on either side: more than a turn of a worker gives.
const MAX_RETURNS: usize = 256;

/// After so many outputs it is looked what has come back, and the reference is a new one.
const HEAP: u32 = 16;

/// What has come back; `None` once nobody is there to take it.
#[derive(Debug)]
struct Heap(Mutex<Option<Vec<Vec<f32>>>>);

impl Heap {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Vec<f32>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way back of some outputs.
#[derive(Debug)]
struct Way(Arc<Heap>);

/// Samples as bytes, without a copy.
struct Samples {
    samples: Vec<f32>,
    way: Arc<Way>,
}

impl AsRef<[u8]> for Samples {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.samples)
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        // Where there is enough, or nobody to take it, they are freed here, after the lock.
        let samples = std::mem::take(&mut self.samples);
        let mut heap = self.way.0.lock();
        if let Some(heap) = heap.as_mut().filter(|heap| heap.len() < MAX_RETURNS) {
            heap.push(samples);
        }
    }
}

/// The side of the thread that decodes.
#[derive(Debug)]
pub(crate) struct Returns {
    way: Arc<Way>,
    /// Outputs since the last look.
    outputs: u32,
    /// Taken from the heap, and not yet freed.
    taken: Vec<Vec<f32>>,
}

impl Returns {
    pub(crate) fn new() -> Self {
        let heap = Heap(Mutex::new(Some(Vec::new())));
        Self {
            way: Arc::new(Way(Arc::new(heap))),
            outputs: 0,
            taken: Vec::new(),
        }
    }

    /// The samples as bytes, which come back here.
    pub(crate) fn share(&mut self, samples: Vec<f32>) -> Bytes {
        self.outputs += 1;
        if self.outputs == HEAP {
            self.outputs = 0;
            self.way = Arc::new(Way(self.way.0.clone()));
            self.take();
        }
        Bytes::from_owner(Samples {
            samples,
            way: self.way.clone(),
        })
    }

    /// Frees one that has come back, for the next one to be allocated in its place.
    pub(crate) fn free_one(&mut self) {
        self.taken.pop();
    }

    /// Frees all that have come back.
    pub(crate) fn free(&mut self) {
        self.take();
        self.taken.clear();
    }

    fn take(&mut self) {
        let mut lock = self.way.0.lock();
        let Some(heap) = lock.as_mut() else { return };
        if self.taken.is_empty() {
            // Both keep their memory.
            std::mem::swap(heap, &mut self.taken);
        } else {
            // The rest stays, and with it the cap on what the heap takes in.
            let room = MAX_RETURNS.saturating_sub(self.taken.len());
            let kept = heap.len().saturating_sub(room);
            self.taken.extend(heap.drain(kept..));
        }
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        // Outputs that live on free their own.
        let left = self.way.0.lock().take();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<f32> {
        vec![0.5; 1024]
    }

    #[test]
    fn samples_come_back_to_the_decoder_once_nobody_needs_them() {
        let mut returns = Returns::new();
        let first = returns.share(samples());
        assert_eq!(&first[..4], 0.5f32.to_ne_bytes());
        let copy = first.clone();
        drop(first);
        returns.take();
        assert!(returns.taken.is_empty(), "a copy is alive");
        drop(copy);
        returns.take();
        assert_eq!(returns.taken.len(), 1);
        returns.free_one();
        assert!(returns.taken.is_empty());
    }

    #[test]
    fn no_more_samples_wait_on_either_side_than_the_cap() {
        let mut returns = Returns::new();
        let mut shared: Vec<_> = (0..MAX_RETURNS * 4)
            .map(|_| returns.share(samples()))
            .collect();
        for _ in 0..3 {
            shared.truncate(shared.len() - MAX_RETURNS);
            returns.take();
            assert_eq!(returns.taken.len(), MAX_RETURNS);
        }
        let waiting = returns.way.0.lock().as_ref().map(Vec::len);
        assert_eq!(waiting, Some(MAX_RETURNS));
        drop(shared);
        let waiting = returns.way.0.lock().as_ref().map(Vec::len);
        assert_eq!(waiting, Some(MAX_RETURNS));
        // One goes for each output, and the next look takes as many.
        returns.free_one();
        returns.take();
        assert_eq!(returns.taken.len(), MAX_RETURNS);
    }

    #[test]
    fn samples_that_outlive_their_decoder_are_not_kept() {
        let mut returns = Returns::new();
        let (early, late) = (returns.share(samples()), returns.share(samples()));
        drop(early);
        let way = Arc::downgrade(&returns.way);
        drop(returns);
        assert!(way.upgrade().is_some_and(|way| way.0.lock().is_none()));
        drop(late);
        assert!(way.upgrade().is_none());
    }
}
