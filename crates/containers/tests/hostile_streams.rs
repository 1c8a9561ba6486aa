//! Truncated, corrupted and hostile streams without a table of contents: a clear error or a clean end, never a panic,
//! never more memory than a small multiple of the source, never a hang.

mod support;
#[path = "support/ts.rs"]
mod ts;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reelcore_containers::{BytesSource, open};
use reelcore_media::demux::{DemuxError, Demuxer, Source};
use ts::*;

/// Counts the bytes that are allocated, and the most there were.
struct Counting;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests of this file share the counters.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

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

/// What reading a source did.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    packets: usize,
    bytes: usize,
    errors: Vec<String>,
}

/// Reads every packet of every track, and from several seeks.
fn read_all(demuxer: &Arc<dyn Demuxer>) -> Outcome {
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
            match reader.next_packet() {
                Ok(Some(chunk)) => {
                    outcome.packets += 1;
                    outcome.bytes += chunk.data.len();
                }
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
        for time in [i64::MIN, 700_000, i64::MAX] {
            match reader.seek(time) {
                Ok(_) => {
                    for _ in 0..3 {
                        match reader.next_packet() {
                            Ok(Some(_)) => outcome.packets += 1,
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
struct Unshared(BytesSource);

impl Source for Unshared {
    fn len(&self) -> std::io::Result<Option<u64>> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

/// Opens and reads `bytes`, as memory and as a file, and checks what must hold for any input.
fn survive(bytes: Vec<u8>, what: &str) -> Result<Outcome, DemuxError> {
    let len = bytes.len();
    let measured = |read: &dyn Fn() -> Result<Outcome, DemuxError>| {
        let before = ALIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let result = read();
        let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        // As for files with tables, and what a reader's state takes, parameter sets and what waits to be put in order.
        assert!(
            used <= 4 * len + (128 << 10),
            "{what}: {used} bytes in use for a source of {len}"
        );
        result
    };
    let bytes = BytesSource::new(bytes);
    let as_file = measured(&|| Ok(read_all(&open(Arc::new(Unshared(bytes.clone())))?)));
    let result = measured(&|| Ok(read_all(&open(Arc::new(bytes.clone()))?)));
    assert_eq!(
        as_file.as_ref().map_err(ToString::to_string),
        result.as_ref().map_err(ToString::to_string),
        "{what}: a file reads as memory does"
    );
    match &result {
        Err(error) => assert_clear(&error.to_string(), what),
        Ok(outcome) => {
            // A byte is part of one packet of each track that it can belong to; a temporal unit may grow by sizes.
            assert!(outcome.bytes <= 8 * len, "{what}: {} bytes", outcome.bytes);
            outcome.errors.iter().for_each(|e| assert_clear(e, what));
        }
    }
    result
}

/// An error says where, or names what is not supported or the cap that was reached.
fn assert_clear(error: &str, what: &str) {
    assert!(
        error.contains("at byte")
            || error.starts_with("not supported: ")
            || error.starts_with("limit exceeded: ")
            || error.starts_with("unknown container: "),
        "{what}: unclear error: {error}"
    );
}

/// A small stream of each kind.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let mut video = h264_units("h264-fragmented.mp4");
    let mut audio = adts_frames("h264-fragmented.mp4");
    video.truncate(40);
    audio.truncate(70);
    let transport = mux(&video, &audio, Plan::default());
    let mut av1 = av1_units("av1-10bit.mp4");
    av1.truncate(25);
    vec![
        ("m2ts", restride(&transport, 192)),
        ("ts", transport),
        (
            "h264",
            video.iter().flat_map(|unit| unit.data.clone()).collect(),
        ),
        ("obu", av1.concat()),
    ]
}

#[test]
fn every_prefix_ends_in_a_clear_error_or_a_clean_end() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (name, whole) in streams() {
        let mut opened = 0;
        for cut in 0..100 {
            let len = whole.len() * cut / 100;
            let result = survive(whole[..len].to_vec(), &format!("{name} cut at {len}"));
            opened += u32::from(result.is_ok());
        }
        assert!(opened > 80, "{name}: {opened} opened");
        let outcome = survive(whole, name).expect("the whole stream");
        assert_eq!(outcome.errors, Vec::<String>::new(), "{name}");
        assert!(outcome.packets >= 25, "{name}: {outcome:?}");
    }
}

/// A small generator of numbers (xorshift64*), the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// Bytes that say how the rest is read: packet, PES, section and frame headers, parameter sets and slice headers.
fn structure(name: &str, stream: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = match name {
        "ts" => (0..stream.len())
            .step_by(188)
            .flat_map(|at| at..at + 24)
            .collect(),
        "m2ts" => (4..stream.len())
            .step_by(192)
            .flat_map(|at| at..at + 24)
            .collect(),
        _ => (0..stream.len().min(400)).collect(),
    };
    for at in 0..stream.len().saturating_sub(3) {
        if stream[at..at + 3] == [0, 0, 1] || stream[at..at + 2] == [0x12, 0] {
            places.extend(at..at + 16);
        }
    }
    places.retain(|&at| at < stream.len());
    places
}

#[test]
fn random_mutations_never_panic_hang_or_take_much_memory() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let mut random = Random(0x7e57_0005_eed5);
    for (name, whole) in streams() {
        let structure = structure(name, &whole);
        let (mut changed, want) = (0, survive(whole.clone(), name).expect("the whole stream"));
        let rounds = 300;
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(12) {
                let at = match random.below(8) {
                    0 => random.below(bytes.len()),
                    _ => structure[random.below(structure.len())],
                };
                bytes[at] = match random.below(5) {
                    0 => 0,
                    1 => 0xff,
                    2 => 0x47,
                    3 => random.below(256) as u8,
                    _ => bytes[at] ^ 1 << random.below(8),
                };
            }
            match random.below(16) {
                0 => bytes.truncate(random.below(whole.len())),
                1 => {
                    let at = random.below(whole.len());
                    bytes.drain(at..(at + random.below(400)).min(whole.len()));
                }
                2 => {
                    let at = random.below(whole.len());
                    let from = random.below(whole.len());
                    let piece = whole[from..(from + 300).min(whole.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {}
            }
            let result = survive(bytes, &format!("{name}, mutation {round}"));
            changed += u32::from(result.as_ref().ok() != Some(&want));
        }
        assert!(
            changed > rounds / 4,
            "{name}: mutations reach the structure: {changed}"
        );
    }
}

#[test]
fn streams_that_never_end_a_packet_take_no_more_than_they_hold() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let video = h264_units("h264-fragmented.mp4");
    let first = &video[0].data;
    // A slice that goes on and on.
    let mut endless = first.clone();
    endless.extend(vec![0x55; 400_000]);
    survive(endless.clone(), "endless slice").expect("opens");
    // Nothing but start codes.
    let mut codes = first.clone();
    codes.extend([0, 0, 1].repeat(100_000));
    survive(codes, "start codes").expect("opens");
    // Thousands of sets: only as many as there are numbers for are kept.
    let mut sets = first.clone();
    for index in 0..20_000_u32 {
        sets.extend([0, 0, 1, 0x68]);
        sets.extend((index | 0x8000_0000).to_be_bytes());
        sets.push(0x80);
    }
    survive(sets, "sets").expect("opens");
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    ts.pes(VIDEO, 0xe0, Some((0, 0)), false, &endless);
    survive(ts.out, "endless PES packet").expect("opens");
    // A PES packet in each transport packet, without payload.
    let mut ts = TsWriter::default();
    ts.pat(0, &[(1, PMT)]);
    ts.pmt(PMT, 1, 0, &STREAMS);
    for time in 0..3000 {
        ts.pes(VIDEO, 0xe0, Some((time << 30, time)), false, &[]);
        ts.pes(AUDIO, 0xc0, Some((time << 32, time << 32)), false, &[0xff]);
    }
    survive(ts.out, "empty PES packets").expect("opens");
    // Many programs that all say they have many streams.
    let mut ts = TsWriter::default();
    let programs: Vec<(u16, u16)> = (1..40).map(|number| (number, 0x1000)).collect();
    ts.pat(0, &programs);
    let streams: Vec<(u8, u16, &[u8])> = (0..30).map(|pid| (0x1b, 0x100 + pid, &[][..])).collect();
    for number in 1..40 {
        ts.pmt(0x1000, number, 0, &streams);
    }
    survive(ts.out, "programs").expect("opens");
    // Sizes of four gigabytes.
    let unit = &av1_units("av1-10bit.mp4")[0];
    let mut large = unit.clone();
    large.extend([0x12, 0, 0x32, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]);
    let outcome = survive(large, "a large OBU").expect("opens");
    assert!(
        outcome
            .errors
            .iter()
            .any(|e| e.contains("4294967295") || e.contains("429496")),
        "{outcome:?}"
    );
}
