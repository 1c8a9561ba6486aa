//! MP4 that names far more than it holds: opening, reading and seeking take work by what is there, not by what is named.

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reelcore_containers::{BytesSource, open};
use reelcore_media::demux::{Demuxer, Packet, Source};
use support::*;

/// A file that counts how often it is read.
struct Counted {
    bytes: BytesSource,
    reads: AtomicUsize,
}

impl Source for Counted {
    fn len(&self) -> io::Result<Option<u64>> {
        self.bytes.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_at(offset, buffer)
    }
}

/// A stream whose length nobody has said: it bounds nothing.
struct Endless(BytesSource);

impl Source for Endless {
    fn len(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

fn streamed(bytes: Vec<u8>) -> Arc<dyn Demuxer> {
    open(Arc::new(Endless(BytesSource::new(bytes)))).expect("valid")
}

/// A fragment of track 1: what `tfhd` adds with these flags, and the `trun` boxes.
fn moof(flags: u32, more: &[u32], runs: &[Vec<u8>]) -> Vec<u8> {
    let tfhd = full(b"tfhd", 0, 0x2_0000 | flags, &[&words(&[1]), &words(more)]);
    bx(b"moof", &[&bx(b"traf", &[&tfhd, &runs.concat()])])
}

/// A file of these fragments, whose samples have by default one tick of 1/1000 s, `size` bytes and these flags.
fn fragmented(size: u32, flags: u32, fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut track = TrackBuilder::video(1000);
    track.tables = no_samples();
    let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 1, size, flags])]);
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        moov(&[track.build()], &bx(b"mvex", &[&trex])),
        fragments.concat(),
    ]
    .concat()
}

const NON_SYNC: u32 = 0x1_0000;
const SOON: Duration = Duration::from_secs(10);

#[test]
fn boxes_around_the_fragments_are_not_passed_once_for_each_track() {
    const TRACKS: u32 = 200;
    const BOXES: usize = 50_000;
    let kinds = ["plain", "several descriptions", "mpeg audio"];
    for (kind, behind) in kinds
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let track = |id| {
            let mut track = TrackBuilder::video(1000);
            track.id = id;
            track.tables = no_samples();
            if kind == "several descriptions" {
                track.entry = track.entry.repeat(2);
            } else if kind == "mpeg audio" {
                track.handler = *b"soun";
                track.entry = audio_entry(b".mp3", 2, 16, 44_100, &[]);
            }
            track.build()
        };
        let tracks: Vec<_> = (1..=TRACKS).map(track).collect();
        let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 1, 0, 0])]);
        // Of a track that is not there.
        let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[9999])]);
        let trun = full(b"trun", 0, 0, &[&words(&[0])]);
        let moof = bx(b"moof", &[&bx(b"traf", &[&tfhd, &trun])]);
        let boxes = bx(b"free", &[]).repeat(BOXES);
        let (first, second) = if behind { (moof, boxes) } else { (boxes, moof) };
        let source = Arc::new(Counted {
            bytes: BytesSource::new(
                [
                    bx(b"ftyp", &[b"isom\0\0\0\0"]),
                    moov(&tracks, &bx(b"mvex", &[&trex])),
                    first,
                    second,
                ]
                .concat(),
            ),
            reads: AtomicUsize::new(0),
        });
        let opened: Arc<dyn Source> = source.clone();
        let demuxer = open(opened).expect("valid");
        assert_eq!(demuxer.tracks().len(), TRACKS as usize);
        let reads = source.reads.load(Ordering::Relaxed);
        assert!(reads < 30 * BOXES, "{kind}, behind {behind}: {reads} reads");
    }
}

#[test]
fn a_run_of_samples_without_bytes_takes_no_longer_the_more_it_names() {
    let none = full(b"trun", 0, 0, &[&words(&[u32::MAX])]);
    let two = moof(0x10, &[3], &[full(b"trun", 0, 0, &[&words(&[2])])]);
    let bytes = fragmented(
        0,
        0,
        &[
            moof(0, &[], &[none.clone(), none]),
            two,
            bx(b"mdat", &[b"aaabbb"]),
        ],
    );
    let before = Instant::now();
    let demuxer = streamed(bytes);
    let all = packets(&demuxer, 0).expect("valid");
    // The time that they take passes all the same.
    let times: Vec<_> = all.iter().map(|packet| packet.chunk.timestamp).collect();
    let start = 2 * i64::from(u32::MAX) * 1000;
    assert_eq!(times, [start, start + 1000]);
    let mut reader = demuxer.reader(0).expect("a track");
    assert_eq!(reader.seek(0).expect("valid"), Some(start));
    assert_eq!(reader.seek(start / 2).expect("valid"), Some(start));
    let took = before.elapsed();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_seek_in_a_run_without_fields_takes_no_longer_the_more_it_names() {
    let run = full(b"trun", 0, 0, &[&words(&[u32::MAX])]);
    let before = Instant::now();
    for (flags, found) in [(0, 2_000_000_000), (NON_SYNC, 0)] {
        let demuxer = streamed(fragmented(
            1,
            flags,
            &[moof(0, &[], std::slice::from_ref(&run))],
        ));
        let mut reader = demuxer.reader(0).expect("a track");
        let time = reader.seek(2_000_000_000).expect("valid");
        assert_eq!(time, Some(found), "{flags:x}");
    }
    let took = before.elapsed();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_run_without_fields_is_sought_in_as_one_with_fields() {
    // Defaults and the flags of the first sample, where it has any.
    for (flags, first) in [
        (0, None),
        (0, Some(NON_SYNC)),
        (NON_SYNC, None),
        (NON_SYNC, Some(0)),
    ] {
        let run = |count: u32, size: bool| {
            let mut fields = vec![count];
            fields.extend(first);
            if size {
                fields.extend(vec![1; count as usize]);
            }
            let flags = (u32::from(first.is_some()) * 0x4) | (u32::from(size) * 0x200);
            full(b"trun", 0, flags, &[&words(&fields)])
        };
        let file = |fields| {
            let runs = [1, 2, 3, 50, 1].map(|count| run(count, fields));
            let fragment = [moof(0, &[], &runs), bx(b"mdat", &[&[7; 57]])].concat();
            fragmented(1, flags, &[fragment.clone(), fragment])
        };
        for (even, fields) in [
            (streamed(file(false)), streamed(file(true))),
            (
                open_bytes(file(false)).expect("valid"),
                open_bytes(file(true)).expect("valid"),
            ),
        ] {
            let mut even = even.reader(0).expect("a track");
            let mut fields = fields.reader(0).expect("a track");
            for time in -2..120 {
                let time = time * 1000;
                let want = fields.seek(time).expect("valid");
                assert_eq!(even.seek(time).expect("valid"), want, "{time}");
                for _ in 0..3 {
                    // The bytes are those of the boxes, which are not the same.
                    let told = |packet: Option<Packet>| {
                        let chunk = packet?.chunk;
                        Some((chunk.kind, chunk.timestamp, chunk.data.len()))
                    };
                    let want = told(fields.next_sample().expect("valid"));
                    assert_eq!(told(even.next_sample().expect("valid")), want, "{time}");
                }
            }
        }
    }
}
