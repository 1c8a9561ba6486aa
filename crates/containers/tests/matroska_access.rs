//! How Matroska is sought, streamed, cut off and broken: files built element by element.

#[path = "support/ebml.rs"]
mod ebml;
#[path = "support/matroska.rs"]
mod shared;
mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use ebml::*;
use reelcore_containers::{BytesSource, Limits, StreamLimits, open, open_with, stream};
use reelcore_media::demux::{DemuxError, PacketReader, Source};
use shared::*;
use support::{open_bytes, packets};

#[test]
fn clusters_that_go_back_hide_no_sound_from_a_seek() {
    // A frame a second of which each fourth one is coded first: it begins a Cluster, and the sound before it stands behind it.
    let sound = track(2, 2, "A_PCM/INT/LIT", &[&audio(1000.0, 1, 16)]);
    let entry = track(1, 1, "V_VP8", &[&video(&[])]);
    let clusters: Vec<Vec<u8>> = (0..10_u64)
        .flat_map(|group| {
            let start = group * 4000;
            let key = simple(1, 0, 0x80, &[7; 20]);
            let ahead = [4000, 2000].map(|ahead| cluster(start + ahead, &[&key]));
            let here = (0..4).map(move |second| {
                let time = start + second * 1000;
                cluster(time, &[&simple(2, 0, 0x80, &[0; 2000])])
            });
            ahead.into_iter().chain(here)
        })
        .collect();
    let bytes = file(&[&info(), &tracks(&[&entry, &sound]), &clusters.concat()]);
    let demuxer = open_bytes(bytes).expect("valid");
    let mut reader = demuxer.reader(1).expect("a reader");
    for target in [0, 999_000, 1_500_000, 4_000_000, 21_300_000, 39_999_000] {
        let found = reader.seek(target).expect("valid");
        assert_eq!(found, Some(target / 1_000_000 * 1_000_000), "{target}");
    }
}

#[test]
fn cues_that_are_few_or_lead_astray_do_not_change_what_a_seek_finds() {
    let (clusters, front) = long(200);
    let all_clusters = clusters.concat();
    // Cues stand in front, so that places are known only after their size: it is the same for all.
    let build = |points: &[(u64, u64)]| {
        let points: Vec<Vec<u8>> = points
            .iter()
            .map(|&(time, pos)| {
                let position = el(0xB7, &[&uint(0xF7, 1), &el(0xF1, &[&pos.to_be_bytes()])]);
                el(0xBB, &[&el(0xB3, &[&time.to_be_bytes()]), &position])
            })
            .collect();
        let points: Vec<&[u8]> = points.iter().map(Vec::as_slice).collect();
        cues(&points)
    };
    let offset = |count: usize, index: usize| {
        let cues = build(&vec![(0, 0); count]).len();
        (front.len() + cues + clusters[..index].iter().map(Vec::len).sum::<usize>()) as u64
    };
    let many: Vec<(u64, u64)> = (0..20)
        .map(|i| (i * 400, offset(20, 2 * i as usize)))
        .collect();
    let cases = [
        ("all of them", many.clone()),
        ("one late", vec![(4000, offset(1, 20))]),
        ("out of order", many.iter().rev().copied().collect()),
        (
            "into a block",
            vec![(0, offset(1, 0)), (2000, offset(1, 10) + 9)],
        ),
        ("past the end", vec![(0, offset(2, 0)), (2000, 1 << 40)]),
        (
            "wrong times",
            many.iter().map(|&(time, pos)| (time / 2, pos)).collect(),
        ),
        ("none", vec![]),
    ];
    for (what, points) in cases {
        let bytes = file(&[&front, &build(&points), &all_clusters]);
        let demuxer = open_bytes(bytes).expect(what);
        let mut reader = demuxer.reader(0).expect(what);
        for frame in (0..210).step_by(7) {
            let want = (frame.min(199) / 10) * 10;
            let found = reader.seek(frame * 40_000 + 5).expect(what);
            assert_eq!(found, Some(want * 40_000), "{what}: frame {frame}");
            let next = reader.next_packet().expect(what).expect(what);
            assert_eq!(next.data[0], want as u8, "{what}: frame {frame}");
        }
    }
}

#[test]
fn a_seek_in_a_track_of_few_packets_does_not_read_to_the_end() {
    // A subtitle at the start and one at the end, and an hour of pictures between them.
    let text = track(2, 17, "S_TEXT/UTF8", &[]);
    let picture = track(1, 1, "V_VP8", &[&video(&[])]);
    let mut clusters = Vec::new();
    for second in 0..3600 {
        let frame = simple(1, 0, 0x80, &[7; 5000]);
        let words = simple(2, 0, 0x80, b"words");
        let here = second == 0 || second == 3599;
        let blocks: &[&[u8]] = if here { &[&frame, &words] } else { &[&frame] };
        clusters.extend(cluster(second * 1000, blocks));
    }
    // It says how long it is: else opening looks for the end.
    let scale = uint(0x2A_D7B1, 1_000_000);
    let info = el(0x1549_A966, &[&scale, &float(0x4489, 3_600_000.0)]);
    let source = Arc::new(Recording {
        bytes: BytesSource::new(file(&[&info, &tracks(&[&picture, &text]), &clusters])),
        reads: Mutex::default(),
        seekable: true,
    });
    let demuxer = open(source.clone()).expect("valid");
    let mut reader = demuxer.reader(1).expect("a track");
    assert_eq!(reader.seek(100_000_000).expect("valid"), Some(0));
    let reads = source.reads.lock().expect("lock");
    let furthest = reads.iter().max().expect("reads");
    // 100 s, and the 33 s by which the times of blocks may go back.
    assert!(*furthest < 140 * 5020, "read at byte {furthest}");
}

#[test]
fn what_a_seek_head_leads_to_is_read_unless_the_source_is_a_stream() {
    let entry = vp8();
    let block = simple(1, 0, 0x80, b"x");
    let tag = el(0x67C8, &[&el(0x45A3, &[b"ARTIST"]), &el(0x4487, &[b"Who"])]);
    let tags = el(0x1254_C367, &[&el(0x7373, &[&el(0x63C0, &[]), &tag])]);
    let cluster = cluster(0, &[&block]);
    let seek = |id: u32, pos: u64| {
        let pos = el(0x53AC, &[&pos.to_be_bytes()]);
        el(0x4DBB, &[&el(0x53AB, &[&id.to_be_bytes()]), &pos])
    };
    let seek_head = |a: u64, b: u64, c: u64| {
        el(
            0x114D_9B74,
            &[
                &seek(0x1654_AE6B, a),
                &seek(0x1254_C367, b),
                &seek(0x1C53_BB6B, c),
            ],
        )
    };
    let front = seek_head(0, 0, 0).len() + info().len();
    let tracks_at = (front + cluster.len()) as u64;
    let tags_at = tracks_at + entry.len() as u64;
    let bytes = file(&[
        &seek_head(tracks_at, tags_at, 1 << 50),
        &info(),
        &cluster,
        &entry,
        &tags,
    ]);
    let demuxer = open_bytes(bytes.clone()).expect("valid");
    assert_eq!(data(&packets(&demuxer, 0).expect("valid")), [b"x"]);
    assert_eq!(demuxer.tags(), [("artist".to_owned(), "Who".to_owned())]);
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(bytes));
    feed.finish();
    let error = open(Arc::new(source))
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        error.contains("expected a Tracks element before the first Cluster"),
        "{error}"
    );
}

/// Keeps where it was read.
struct Recording {
    bytes: BytesSource,
    reads: Mutex<Vec<u64>>,
    seekable: bool,
}

impl Source for Recording {
    fn len(&self) -> std::io::Result<Option<u64>> {
        if self.seekable {
            self.bytes.len()
        } else {
            Ok(None)
        }
    }

    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reads.lock().expect("lock").push(offset);
        self.bytes.read_at(offset, buffer)
    }
}

#[test]
fn a_stream_is_read_forward_only() {
    let (clusters, front) = long(200);
    let bytes = live(&[&front, &clusters.concat()]);
    let source = Arc::new(Recording {
        bytes: BytesSource::new(bytes),
        reads: Mutex::default(),
        seekable: false,
    });
    let demuxer = open(source.clone()).expect("valid");
    let opened = source.reads.lock().expect("lock").len();
    assert_eq!(packets(&demuxer, 0).expect("valid").len(), 200);
    let reads = source.reads.lock().expect("lock");
    // The first read is the probe's; a reader then begins anew, at the first Cluster.
    for part in [&reads[1..opened], &reads[opened..]] {
        assert!(part.is_sorted(), "{part:?}");
    }
}

#[test]
fn a_packet_comes_as_soon_as_its_bytes_have() {
    let blocks = [
        simple(1, 0, 0x80, b"a"),
        group(1, 40, b"b", &[&int(0xFB, -40)]),
        simple(1, 80, 0, b"c"),
    ];
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(live(&[&info(), &vp8(), &open_cluster(0, &[])])));
    let (sent, received) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let demuxer = open(Arc::new(source)).expect("valid");
        let mut reader = demuxer.reader(0).expect("a track");
        while let Some(packet) = reader.next_sample().expect("valid") {
            sent.send(packet.chunk.data).expect("the test listens");
        }
    });
    for (block, want) in blocks.iter().zip([b"a", b"b", b"c"]) {
        feed.push(Bytes::from(block.clone()));
        let packet = received
            .recv_timeout(Duration::from_secs(20))
            .expect("no wait for more");
        assert_eq!(&packet[..], want);
    }
    feed.finish();
    thread.join().expect("a clean end");
}

#[test]
fn a_stream_whose_pictures_come_late_or_never_opens_without_them() {
    let entries = tracks(&[
        &track(1, 1, "V_VP9", &[&video(&[])]),
        &track(2, 2, "A_PCM/INT/LIT", &[&audio(1000.0, 1, 16)]),
    ]);
    let vp9 = [0x82, 0x49, 0x83, 0x42, 0x40, 0x15, 0xf0, 0x11, 0xf0, 0];
    let sound = |grouped: bool, time: i16| match grouped {
        true => group(2, time, &[0; 200], &[]),
        false => simple(2, time, 0x80, &[0; 200]),
    };
    // A hundred milliseconds to a block, in one cluster or in many; a picture after so many of them.
    for (grouped, apart) in [(false, false), (true, false), (false, true)] {
        for (picture, found) in [(0, true), (18, true), (60, false)] {
            let mut bytes = live(&[&info(), &entries]);
            if !apart {
                bytes.extend(open_cluster(0, &[]));
            }
            let mut soon = 0;
            for n in 0..100_i16 {
                let time = if apart { 0 } else { n * 100 };
                let mut blocks = sound(grouped, time);
                if n == picture {
                    blocks = [simple(1, time, 0x80, &vp9), blocks].concat();
                }
                bytes.extend(match apart {
                    true => cluster(n as u64 * 100, &[&blocks]),
                    false => blocks,
                });
                if n == 25 {
                    soon = bytes.len();
                }
            }
            let what = format!("grouped {grouped}, apart {apart}, picture {picture}");
            let source = support::Arriving::new(bytes.clone(), soon);
            let demuxer = open(source.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(source.waits(), 0, "{what}");
            assert_eq!(demuxer.tracks()[0].codec.is_some(), found, "{what}");
            assert!(demuxer.tracks()[1].codec.is_some(), "{what}");
            source.arrive(bytes.len());
            let file = open_bytes(bytes).expect(&what);
            assert!(file.tracks()[0].codec.is_some(), "{what}: a file");
            // What opening did not wait for, the first key packet tells, and again after a seek.
            let mut reader = Arc::clone(&demuxer).reader(0).expect(&what);
            for _ in 0..2 {
                let packet = reader.next_sample().expect(&what).expect(&what);
                let told = packet.config.and_then(|config| config.codec.clone());
                let codec = told.as_deref().or(demuxer.tracks()[0].codec.as_deref());
                assert_eq!(codec, file.tracks()[0].codec.as_deref(), "{what}");
                assert_eq!(told.is_none(), found, "{what}");
                let time = packet.chunk.timestamp;
                assert_eq!(reader.seek(time).expect(&what), Some(time), "{what}");
            }
        }
    }
}

/// The packets before the error, and the error.
fn until_error(reader: &mut dyn PacketReader) -> (usize, Option<DemuxError>) {
    let mut count = 0;
    loop {
        match reader.next_sample() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, None),
            Err(error) => {
                assert!(matches!(reader.next_sample(), Ok(None)), "fused");
                return (count, Some(error));
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_whole_and_then_says_where_it_ends() {
    let (clusters, front) = long(20);
    let known = file(&[&front, &clusters.concat()]);
    let open_ended = live(&[&front, &clusters.concat()]);
    for (bytes, ends_anywhere) in [(known, false), (open_ended, true)] {
        let start = bytes.len() - clusters.concat().len();
        for cut in start..bytes.len() {
            let demuxer = open_bytes(bytes[..cut].to_vec()).expect("the tracks are whole");
            let mut reader = demuxer.reader(0).expect("a track");
            let (count, error) = until_error(&mut *reader);
            let at_cluster = clusters.iter().scan(start, |at, cluster| {
                let here = *at;
                *at += cluster.len();
                Some(here)
            });
            // A block of 50 bytes has 56.
            let whole: usize = clusters
                .iter()
                .zip(at_cluster.clone())
                .map(|(cluster, at)| {
                    cut.saturating_sub(at + cluster.len() - 5 * 56).min(5 * 56) / 56
                })
                .sum();
            let clean = ends_anywhere && at_cluster.clone().any(|at| at == cut);
            assert_eq!(error.is_none(), clean, "cut at {cut}: {error:?}");
            assert_eq!(count, whole, "cut at {cut}");
            match error {
                Some(DemuxError::Invalid { offset, .. }) => assert!(offset <= bytes.len() as u64),
                other => assert!(other.is_none(), "{other:?}"),
            }
            // What is there can still be sought.
            if count > 0 {
                assert_eq!(reader.seek(0).expect("the first packet"), Some(0));
            }
        }
    }
}

#[test]
fn broken_structure_is_an_error_that_says_where() {
    let blocks = |cluster: Vec<u8>| {
        let demuxer = open_bytes(file(&[&info(), &vp8(), &cluster])).expect("valid");
        let error = packets(&demuxer, 0).expect_err("broken");
        error.to_string()
    };
    let early = el(0x1F43_B675, &[&simple(1, 0, 0x80, b"x")]);
    assert!(blocks(early).contains("Timestamp of the Cluster"));
    let long = el(0x1F43_B675, &[&uint(0xE7, 0), &[0xA3, 0x90, 0x81, 0, 0, 0]]);
    assert!(blocks(long).contains("past the end of its Cluster"));
    let short = el(0x1F43_B675, &[&uint(0xE7, 0), &el(0xA3, &[&[0x81, 0]])]);
    assert!(blocks(short).contains("expected a track number"));
    let open = |bytes: Vec<u8>| {
        open_bytes(bytes)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let scale = el(0x1549_A966, &[&uint(0x2A_D7B1, 0)]);
    assert!(open(file(&[&scale, &vp8()])).contains("scale of 1 or more"));
    assert!(open(file(&[&info()])).contains("expected a Tracks element"));
    let entry = track(1, 1, "V_VP8", &[&video(&[])]);
    let twice = tracks(&[&entry, &entry]);
    assert!(open(file(&[&info(), &twice])).contains("a second track has the number 1"));
    let zero = tracks(&[&track(0, 1, "V_VP8", &[])]);
    assert!(open(file(&[&info(), &zero])).contains("expected a TrackNumber"));
    assert!(open([head("other"), file(&[])].concat()).contains("document type `other`"));
    assert!(open(head("webm")).contains("expected a Segment"));
}

#[test]
fn caps_are_kept() {
    let (clusters, front) = long(20);
    let bytes = Bytes::from(file(&[&front, &clusters.concat()]));
    let small = |limits: Limits| open_with(Arc::new(BytesSource::new(bytes.clone())), &limits);
    let error = small(Limits {
        max_header_bytes: 20,
        ..Limits::default()
    })
    .err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let error = small(Limits {
        max_tracks: 0,
        ..Limits::default()
    })
    .err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let demuxer = small(Limits {
        max_packet_bytes: 49,
        ..Limits::default()
    })
    .expect("opens");
    let error = packets(&demuxer, 0).err();
    assert!(matches!(error, Some(DemuxError::Limit(_))), "{error:?}");
    let demuxer = open_bytes(bytes.to_vec()).expect("opens");
    assert!(matches!(
        Arc::clone(&demuxer).reader(1),
        Err(DemuxError::Unsupported(_))
    ));
}
