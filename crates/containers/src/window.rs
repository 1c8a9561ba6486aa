//! A part of a source in memory that moves forward as it is read.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reelcore_media::demux::Source;

/// Bytes that one read takes in behind what is at hand, where what follows is likely to be needed. A packet that is kept keeps
/// the bytes that were read with it.
pub(crate) const AHEAD: usize = 256 << 10;

/// Bytes that one read takes in, where most of what follows is passed over.
pub(crate) const AHEAD_SPARSE: usize = 4 << 10;

/// Memory that is set aside at once for bytes of a source whose length is not known.
const PIECE: usize = 1 << 20;

/// How many times as large as what is read into it the memory may be that is taken again: a packet that is kept keeps all of
/// it.
pub(crate) const REUSED: usize = 2;

/// A reader's view of its source. Bytes that follow one another are read once; packets are slices of what was read, or
/// of the source itself where it is in memory.
pub(crate) struct Window {
    source: Arc<dyn Source>,
    /// The length of a source that can be read anywhere.
    len: Option<u64>,
    start: u64,
    bytes: Bytes,
    /// Whether `bytes` is the whole source.
    whole: bool,
    /// Offset after the last byte that was seen.
    reached: u64,
}

impl Window {
    /// Nothing is read yet.
    pub(crate) fn new(source: Arc<dyn Source>) -> io::Result<Self> {
        // A stream may still grow, and its bytes may go.
        let len = if source.is_seekable() {
            source.len()?
        } else {
            None
        };
        let all = len
            .and_then(|len| usize::try_from(len).ok())
            .and_then(|len| source.shared(0, len));
        Ok(Self {
            source,
            len,
            start: 0,
            whole: all.is_some(),
            bytes: all.unwrap_or_default(),
            reached: 0,
        })
    }

    /// Another view, at the same place; memory is shared.
    pub(crate) fn another(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            len: self.len,
            start: self.start,
            bytes: if self.whole {
                self.bytes.clone()
            } else {
                Bytes::new()
            },
            whole: self.whole,
            reached: 0,
        }
    }

    /// The source's length, where it can be read anywhere and is not about to grow.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Whether any offset can be read at any time.
    pub(crate) fn is_seekable(&self) -> bool {
        self.source.is_seekable()
    }

    /// Whether the source ends before `offset`, at which nothing was found.
    pub(crate) fn ends_before(&mut self, offset: u64) -> io::Result<bool> {
        if let Some(len) = self.len {
            return Ok(offset > len);
        }
        Ok(offset > self.reached && self.peek(offset - 1, 1, AHEAD_SPARSE)?.is_empty())
    }

    fn held(&self, offset: u64) -> &[u8] {
        offset
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| self.bytes.get(at..))
            .unwrap_or_default()
    }

    /// What is at hand at `offset`: `need` bytes or more, fewer only at the source's end. A read takes in up to `ahead`
    /// bytes.
    pub(crate) fn peek(&mut self, offset: u64, need: usize, ahead: usize) -> io::Result<&[u8]> {
        if self.held(offset).len() < need && !self.whole {
            self.fill(offset, need, ahead)?;
        }
        Ok(self.held(offset))
    }

    /// `size` bytes at `offset`, shared; fewer only at the source's end. The caller has checked `size` against its cap.
    pub(crate) fn take(&mut self, offset: u64, size: usize, ahead: usize) -> io::Result<Bytes> {
        if self.held(offset).len() < size && !self.whole {
            if let Some(bytes) = self.source.shared(offset, size) {
                self.reached = self.reached.max(offset.saturating_add(size as u64));
                return Ok(bytes);
            }
            self.fill(offset, size, ahead)?;
        }
        let from = offset
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|&at| at <= self.bytes.len());
        Ok(match from {
            Some(from) => {
                let to = from.saturating_add(size).min(self.bytes.len());
                self.bytes.slice(from..to)
            }
            None => Bytes::new(),
        })
    }

    /// Makes the window begin at `offset` and hold `need` bytes or more.
    fn fill(&mut self, offset: u64, need: usize, ahead: usize) -> io::Result<()> {
        let limit = self.len.map_or(u64::MAX, |len| len.saturating_sub(offset));
        let fits = |size: usize| usize::try_from(limit).map_or(size, |limit| size.min(limit));
        let kept = self.held(offset).len();
        // Behind what is kept: who asks for one byte more each time would read one byte each time.
        let (need, want) = (fits(need), fits(need.max(kept.saturating_add(ahead))));
        let old = std::mem::take(&mut self.bytes);
        let most = want.saturating_mul(REUSED);
        // The last window's memory, where no packet of it is alive any more and it is not out of proportion.
        let mut buffer = match old.try_into_mut() {
            Ok(mut buffer) if buffer.capacity() <= most => {
                let from = buffer.len() - kept;
                buffer.copy_within(from.., 0);
                buffer.truncate(kept);
                buffer
            }
            Ok(buffer) => BytesMut::from(buffer.get(buffer.len() - kept..).unwrap_or_default()),
            Err(old) => {
                let mut buffer = BytesMut::with_capacity(want.min(PIECE));
                buffer.extend_from_slice(old.get(old.len() - kept..).unwrap_or_default());
                buffer
            }
        };
        let mut done = kept;
        let mut result = Ok(());
        while done < need {
            // `need` may be a lie where the length is not known: memory grows with what arrives.
            let end = match self.len {
                Some(_) => want,
                None => want.min(done.saturating_add(PIECE)),
            };
            if buffer.len() < end {
                buffer.resize(end, 0);
            }
            let at = offset.saturating_add(done as u64);
            match self
                .source
                .read_at(at, buffer.get_mut(done..end).unwrap_or_default())
            {
                Ok(0) => break,
                // A source that claims more than it was asked for is taken at the buffer's length.
                Ok(count) => done = done.saturating_add(count).min(end),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        buffer.truncate(done);
        self.start = offset;
        self.bytes = buffer.freeze();
        if done > 0 {
            self.reached = self.reached.max(offset.saturating_add(done as u64));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Keeps what was read, and gives at most 7 bytes at once.
    struct Counting {
        bytes: Vec<u8>,
        len: Option<u64>,
        reads: Mutex<Vec<(u64, usize)>>,
    }

    impl Source for Counting {
        fn len(&self) -> io::Result<Option<u64>> {
            Ok(self.len)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let rest = self.bytes.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len()).min(7);
            buffer[..count].copy_from_slice(&rest[..count]);
            self.reads.lock().expect("lock").push((offset, count));
            Ok(count)
        }
    }

    #[test]
    fn bytes_that_follow_one_another_are_read_once_and_kept_slices_stay() {
        for len in [None, Some(100)] {
            let source = Arc::new(Counting {
                bytes: (0..100).collect(),
                len,
                reads: Mutex::default(),
            });
            let mut window = Window::new(source.clone()).expect("open");
            assert_eq!(
                window.peek(0, 3, 20).expect("read").get(..3),
                Some(&[0, 1, 2][..])
            );
            let kept = window.take(5, 10, 20).expect("read");
            assert_eq!(
                window.take(15, 30, 20).expect("read"),
                (15..45).collect::<Vec<u8>>()
            );
            drop(window.take(45, 1, 20));
            assert_eq!(kept, (5..15).collect::<Vec<u8>>());
            // The end, and past it.
            assert_eq!(window.take(95, 30, 20).expect("read").len(), 5);
            assert_eq!(window.take(200, 3, 20).expect("read").len(), 0);
            assert_eq!(window.peek(98, 3, 20).expect("read"), [98, 99]);
            let reads = source.reads.lock().expect("lock");
            let mut at = 0;
            for &(offset, count) in reads.iter().take_while(|(offset, _)| *offset < 46) {
                assert_eq!(offset, at, "read twice or passed over");
                at += count as u64;
            }
        }
    }

    /// Gives all that is asked for, and counts how often.
    struct Generous(Mutex<usize>);

    impl Source for Generous {
        fn len(&self) -> io::Result<Option<u64>> {
            Ok(None)
        }

        fn is_seekable(&self) -> bool {
            false
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            *self.0.lock().expect("lock") += 1;
            let left = usize::try_from(10_000_u64.saturating_sub(offset)).unwrap_or(usize::MAX);
            Ok(buffer.len().min(left))
        }
    }

    #[test]
    fn asking_for_one_byte_more_each_time_does_not_read_each_byte_by_itself() {
        let source = Arc::new(Generous(Mutex::default()));
        let mut window = Window::new(source.clone()).expect("open");
        let mut seen = 0;
        while seen < 10_000 {
            let held = window.peek(0, seen + 1, 100).expect("read").len();
            assert!(held > seen, "{seen}");
            seen = held;
        }
        assert_eq!(*source.0.lock().expect("lock"), 100);
    }

    #[test]
    fn small_packets_do_not_keep_the_memory_of_a_large_one_that_is_gone() {
        let mut window = Window::new(Arc::new(Generous(Mutex::default()))).expect("open");
        // Each a little less than what came before: what is taken again must not stay as large as the first was.
        let mut size = 2000;
        let mut at = 0;
        while size > 10 {
            drop(window.take(at, size, 10).expect("read"));
            (at, size) = (at + size as u64, size * 2 / 3);
        }
        let kept = window.take(at, size, 10).expect("read");
        drop(window);
        let memory = kept.try_into_mut().expect("the last to hold it").capacity();
        assert!(memory <= REUSED * (size + 10 + 10), "{memory}");
    }
}
