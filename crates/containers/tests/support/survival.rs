//! What must hold for any input: a clear error or a clean end, never a panic, never more memory than a small multiple of
//! the file, never a hang.
#![allow(dead_code)] // Each test file uses a part.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reelcore_containers::{BytesSource, open};
use reelcore_media::demux::{DemuxError, Demuxer, Packet, Source};

/// Counts the bytes that are allocated, and the most there were.
struct Counting;

pub static ALIVE: AtomicUsize = AtomicUsize::new(0);
pub static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests of this file share the counters.
pub static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

// SAFETY: every call is passed on to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let alive = ALIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(alive, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What reading a file did.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub packets: u64,
    pub errors: Vec<String>,
}

impl Outcome {
    fn note(&mut self, packet: &Packet) {
        assert!(
            packet.decode_time <= packet.chunk.timestamp,
            "decoded at {} us, after {} us at which it is shown",
            packet.decode_time,
            packet.chunk.timestamp
        );
        self.packets += 1;
    }
}

/// Reads every packet of every track, and from several seeks.
pub fn read_all(demuxer: &Arc<dyn Demuxer>) -> Outcome {
    let mut outcome = Outcome::default();
    for track in 0..demuxer.tracks().len() {
        let mut reader = match Arc::clone(demuxer).reader(track) {
            Ok(reader) => reader,
            Err(error) => {
                outcome.errors.push(error.to_string());
                continue;
            }
        };
        loop {
            match reader.next_sample() {
                Ok(Some(packet)) => outcome.note(&packet),
                Ok(None) => break,
                Err(error) => {
                    outcome.errors.push(error.to_string());
                    assert!(
                        matches!(reader.next_packet(), Ok(None)),
                        "after an error the reader is at its end"
                    );
                    break;
                }
            }
        }
        for time in [i64::MIN, 0, 1_500_000, 3_700_000, i64::MAX] {
            match reader.seek(time) {
                Ok(_) => {
                    for _ in 0..3 {
                        match reader.next_sample() {
                            Ok(Some(packet)) => outcome.note(&packet),
                            Ok(None) => break,
                            Err(error) => {
                                outcome.errors.push(error.to_string());
                                break;
                            }
                        }
                    }
                }
                Err(error) => outcome.errors.push(error.to_string()),
            }
        }
    }
    outcome
}

/// Memory that does not lend itself, so that it is read as a file is.
pub struct Unshared(pub BytesSource);

impl Source for Unshared {
    fn len(&self) -> std::io::Result<Option<u64>> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// Memory as a stream: it has no length and is read in order.
struct Stream(BytesSource);

impl Source for Stream {
    fn len(&self) -> std::io::Result<Option<u64>> {
        Ok(None)
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// Opens and reads `bytes`, as memory, as a file and as a stream, and checks what must hold for any input.
pub fn survive(bytes: Vec<u8>, what: &str) -> Result<Outcome, DemuxError> {
    let len = bytes.len();
    let measured = |read: &dyn Fn() -> Result<Outcome, DemuxError>| {
        let before = ALIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let result = read();
        let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(
            used <= 4 * len + (64 << 10),
            "{what}: {used} bytes in use for a file of {len}"
        );
        result
    };
    let bytes = BytesSource::new(bytes);
    // A stream may give other packets: it cannot go back. Its length is not known, so that some memory comes first.
    let before = ALIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let stream = open(Arc::new(Stream(bytes.clone()))).map(|demuxer| read_all(&demuxer));
    drop(stream);
    let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(
        used <= 4 * len + (4 << 20),
        "{what}: {used} bytes in use for a stream of {len}"
    );
    let as_file = measured(&|| Ok(read_all(&open(Arc::new(Unshared(bytes.clone())))?)));
    let result = measured(&|| Ok(read_all(&open(Arc::new(bytes.clone()))?)));
    assert_eq!(
        as_file.as_ref().map_err(ToString::to_string),
        result.as_ref().map_err(ToString::to_string),
        "{what}: a file reads as memory does"
    );
    if let Ok(outcome) = &result {
        let bound = 16 * len as u64 + (1 << 20);
        assert!(
            outcome.packets <= 2 * bound,
            "{what}: {} packets",
            outcome.packets
        );
    }
    match &result {
        Err(error) => assert_clear(&error.to_string(), what),
        Ok(outcome) => outcome.errors.iter().for_each(|e| assert_clear(e, what)),
    }
    result
}

/// An error says where, or names what is not supported or the cap that was reached.
pub fn assert_clear(error: &str, what: &str) {
    assert!(
        error.contains("at byte")
            || error.starts_with("not supported: ")
            || error.starts_with("limit exceeded: ")
            || error.starts_with("unknown container: "),
        "{what}: unclear error: {error}"
    );
}

/// A small generator of numbers (xorshift64*), the same on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
