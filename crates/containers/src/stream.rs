//! A source that is fed while it is read: a network response, a pipe, a ReadableStream.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use reelcore_media::demux::Source;

/// How much of a stream is kept, and how far ahead of its readers it is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Bytes that are kept, at most; the oldest go first. A reader that lags behind by more fails.
    pub max_bytes: usize,
    /// Bytes past the last read that are asked for before anybody needs them.
    pub read_ahead: usize,
}

impl Default for StreamLimits {
    /// 64 MiB are kept, 1 MiB is read ahead.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            read_ahead: 1 << 20,
        }
    }
}

/// A stream and the end that feeds it. A feeder that was told [`Wanted::Later`] is told through `wake`, on any thread, when
/// that has changed; `wake` must not block.
pub fn stream(
    limits: StreamLimits,
    wake: impl Fn() + Send + Sync + 'static,
) -> (StreamFeed, StreamSource) {
    let shared = Arc::new(Shared {
        limits,
        state: Mutex::default(),
        arrived: Condvar::new(),
        wake: Box::new(wake),
    });
    (StreamFeed(shared.clone()), StreamSource(shared))
}

struct Shared {
    limits: StreamLimits,
    state: Mutex<State>,
    arrived: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    /// What is kept, each piece with its offset.
    pieces: VecDeque<(u64, Bytes)>,
    /// Offset of the first byte that is kept.
    start: u64,
    /// Offset after the last byte that has arrived.
    end: u64,
    /// The furthest byte that was read or is waited for.
    reached: u64,
    /// Up to where readers have waited for bytes.
    needed: u64,
    ended: Option<Result<(), String>>,
    /// Nobody reads any more.
    abandoned: bool,
    /// The feeder was told to wait. Waking one that does not wait costs more than most reads do.
    feeder_waits: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the feeder is to do.
    fn wanted(&self, state: &State) -> Wanted {
        let ahead = state.end.saturating_sub(state.reached);
        if state.abandoned || state.ended.is_some() {
            Wanted::Nothing
        } else if state.needed > state.end || ahead < self.limits.read_ahead as u64 {
            Wanted::More
        } else {
            Wanted::Later
        }
    }

    /// Tells a feeder that waits what has changed.
    fn tell_feeder(&self, mut state: MutexGuard<'_, State>) {
        let tell = state.feeder_waits && self.wanted(&state) != Wanted::Later;
        state.feeder_waits &= !tell;
        drop(state);
        if tell {
            (self.wake)();
        }
    }

    fn end(&self, result: Result<(), String>) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.ended = Some(result);
        }
        self.tell_feeder(state);
        self.arrived.notify_all();
    }
}

impl State {
    /// The piece that holds the byte at `offset`, and where in it that is.
    fn find(&self, offset: u64) -> Option<(&Bytes, usize)> {
        let after = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, bytes) = self.pieces.get(after.checked_sub(1)?)?;
        let within = usize::try_from(offset - start).ok()?;
        (within < bytes.len()).then_some((bytes, within))
    }

    fn gone(&self, offset: u64) -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "byte {offset} of the stream is needed and no longer kept: the oldest is byte {}. Read the tracks side by \
                 side, or use a file",
                self.start
            ),
        )
    }
}

/// What a stream wants of its feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// More bytes.
    More,
    /// Nothing for now; it is told when that changes.
    Later,
    /// Nothing any more: nobody reads.
    Nothing,
}

/// The end of a stream that takes bytes in. Dropping it without [`StreamFeed::finish`] makes reads past the last byte
/// fail.
pub struct StreamFeed(Arc<Shared>);

impl std::fmt::Debug for StreamFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamFeed")
    }
}

impl StreamFeed {
    /// Whether to feed now.
    pub fn wants(&self) -> Wanted {
        let mut state = self.0.lock();
        let wanted = self.0.wanted(&state);
        state.feeder_waits = wanted == Wanted::Later;
        wanted
    }

    /// Adds bytes to the end; they are kept as they are, not copied. The oldest are let go to stay under the limit.
    pub fn push(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        let at = state.end;
        state.end = at.saturating_add(bytes.len() as u64);
        state.pieces.push_back((at, bytes));
        let max = self.0.limits.max_bytes as u64;
        let mut old = Vec::new();
        // The newest piece always stays: somebody may wait for it.
        while state.pieces.len() > 1 && state.end - state.start > max {
            old.extend(state.pieces.pop_front());
            state.start = state.pieces.front().map_or(state.end, |(start, _)| *start);
        }
        drop(state);
        self.0.arrived.notify_all();
        drop(old);
    }

    /// Says that no more bytes follow.
    pub fn finish(&self) {
        self.0.end(Ok(()));
    }

    /// Says that the bytes that follow cannot be had; reads of them fail with `reason`.
    pub fn fail(&self, reason: impl Into<String>) {
        self.0.end(Err(reason.into()));
    }
}

impl Drop for StreamFeed {
    fn drop(&mut self) {
        self.0.end(Err("the stream was given up".into()));
    }
}

/// The end of a stream that is read. A read waits until its bytes have arrived.
pub struct StreamSource(Arc<Shared>);

impl std::fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamSource")
    }
}

impl Source for StreamSource {
    fn len(&self) -> io::Result<Option<u64>> {
        let state = self.0.lock();
        Ok(matches!(state.ended, Some(Ok(()))).then_some(state.end))
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.lock();
        loop {
            if offset < state.start {
                return Err(state.gone(offset));
            }
            if let Some((bytes, within)) = state.find(offset) {
                let rest = bytes.get(within..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                    to.copy_from_slice(from);
                }
                state.reached = state.reached.max(offset.saturating_add(count as u64));
                self.0.tell_feeder(state);
                return Ok(count);
            }
            match &state.ended {
                Some(Ok(())) => return Ok(0),
                Some(Err(reason)) => return Err(io::Error::other(reason.clone())),
                None => {}
            }
            // Not a count of those who wait: one that its bytes have come for, and that has not woken yet, needs no more.
            state.needed = state.needed.max(offset.saturating_add(1));
            self.0.tell_feeder(state);
            state = self.0.lock();
            // Between the two locks the bytes may have come: waiting then would be for the next ones.
            if state.end <= offset && state.ended.is_none() {
                state = self
                    .0
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn shared(&self, offset: u64, len: usize) -> Option<Bytes> {
        let mut state = self.0.lock();
        let (bytes, within) = state.find(offset)?;
        let end = within.checked_add(len)?;
        let found = (end <= bytes.len()).then(|| bytes.slice(within..end))?;
        state.reached = state.reached.max(offset.saturating_add(len as u64));
        self.0.tell_feeder(state);
        Some(found)
    }
}

impl Drop for StreamSource {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.abandoned = true;
        let kept = std::mem::take(&mut state.pieces);
        drop(state);
        (self.0.wake)();
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn small() -> StreamLimits {
        StreamLimits {
            max_bytes: 8,
            read_ahead: 4,
        }
    }

    #[test]
    fn a_read_waits_for_its_bytes_and_sees_the_end() {
        let (feed, source) = stream(small(), || ());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 3];
            loop {
                let count = source.read_at(all.len() as u64, &mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(source.len().unwrap(), Some(10));
            all
        });
        for piece in [&b"ab"[..], b"", b"cdefg", b"hij"] {
            while feed.wants() != Wanted::More {
                std::thread::sleep(Duration::from_millis(1));
            }
            feed.push(Bytes::from_static(piece));
        }
        feed.finish();
        assert_eq!(reader.join().unwrap(), b"abcdefghij");
    }

    #[test]
    fn a_feeder_is_woken_when_it_waits_and_not_for_each_read() {
        let (wake, woken) = std::sync::mpsc::channel();
        let limits = StreamLimits {
            max_bytes: 4096,
            read_ahead: 1024,
        };
        let (feed, source) = stream(limits, move || wake.send(()).unwrap_or(()));
        let reader = std::thread::spawn(move || {
            let (mut at, mut buffer) = (0_u64, [0; 7]);
            while let Ok(count @ 1..) = source.read_at(at, &mut buffer) {
                let want = (at..).map(|at| at as u8).take(count);
                assert!(want.eq(buffer[..count].iter().copied()), "{at}");
                at += count as u64;
            }
            at
        });
        let (mut fed, mut wakes) = (0_u64, 0);
        while fed < 1 << 18 {
            match feed.wants() {
                Wanted::More => {
                    let piece: Vec<u8> = (fed..fed + 64).map(|at| at as u8).collect();
                    feed.push(piece.into());
                    fed += 64;
                }
                Wanted::Later => {
                    let told = woken.recv_timeout(Duration::from_secs(20));
                    told.expect("a feeder that waits is told");
                    wakes += 1;
                }
                Wanted::Nothing => unreachable!("the reader reads to the end"),
            }
        }
        feed.finish();
        assert_eq!(reader.join().unwrap(), fed);
        let more = woken.try_iter().count();
        // At most once a piece, of ten reads; and once for the reader that leaves.
        assert!(
            wakes + more <= (fed / 64) as usize + 1,
            "{wakes} and {more} wakes"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_gone_is_named() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = wakes.clone();
        let (feed, source) = stream(small(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(feed.wants(), Wanted::More);
        feed.push(Bytes::from_static(b"01234"));
        assert_eq!(feed.wants(), Wanted::Later);
        let mut buffer = [0; 4];
        assert_eq!(source.read_at(1, &mut buffer).unwrap(), 4);
        assert_eq!(
            (feed.wants(), wakes.load(Ordering::Relaxed)),
            (Wanted::More, 1)
        );
        feed.push(Bytes::from_static(b"56789"));
        // Ten bytes are more than eight: the first piece is gone.
        let error = source.read_at(4, &mut buffer).unwrap_err();
        assert!(
            error.to_string().contains("the oldest is byte 5"),
            "{error}"
        );
        assert_eq!(source.shared(6, 3).as_deref(), Some(&b"678"[..]));
        assert_eq!(source.shared(6, 5), None);
        assert_eq!(source.len().unwrap(), None);
        drop(source);
        assert_eq!(feed.wants(), Wanted::Nothing);
    }

    #[test]
    fn readers_learn_that_the_feeder_failed_or_left() {
        let (feed, source) = stream(small(), || ());
        feed.push(Bytes::from_static(b"ab"));
        feed.fail("the network is gone");
        let mut buffer = [0; 4];
        assert_eq!(source.read_at(0, &mut buffer).unwrap(), 2);
        let error = source.read_at(2, &mut buffer).unwrap_err();
        assert_eq!(error.to_string(), "the network is gone");
        let (feed, source) = stream(small(), || ());
        let reader = std::thread::spawn(move || source.read_at(0, &mut [0; 4]));
        drop(feed);
        assert!(reader.join().unwrap().is_err());
    }
}
