//! MP4 from sources whose length is not known: what is read, and where it ends.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{StreamLimits, open, stream};
use reelcore_media::demux::{DemuxError, Demuxer};
use support::*;

fn streamed(bytes: Vec<u8>) -> Result<Arc<dyn Demuxer>, DemuxError> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(Bytes::from(bytes));
    feed.finish();
    open(Arc::new(source))
}

#[test]
fn fragments_that_are_streamed_end_and_seek_as_those_of_a_file() {
    let bytes = clip("h264-fragmented.mp4");
    let file = open_bytes(bytes.clone()).expect("clip");
    // The boxes may be followed by fewer bytes than a box header has.
    for tail in [0, 1, 7] {
        let mut bytes = bytes.clone();
        bytes.resize(bytes.len() + tail, 0);
        let demuxer = streamed(bytes).expect("clip");
        for track in 0..2 {
            let want = packets(&file, track).expect("clip");
            assert_eq!(packets(&demuxer, track).expect("a clean end"), want);
            let mut reader = Arc::clone(&demuxer).reader(track).expect("track");
            let mut other = Arc::clone(&file).reader(track).expect("track");
            for time in (0..80).map(|i| i * 100_000) {
                let found = reader.seek(time).expect("clip");
                assert_eq!(found, other.seek(time).expect("clip"), "{time}");
                let packet = reader.next_sample().expect("clip");
                assert_eq!(packet, other.next_sample().expect("clip"), "{time}");
            }
        }
    }
}

#[test]
fn a_stream_without_a_moov_box_is_told_so_as_a_file_is() {
    let bytes = bx(b"ftyp", &[b"isom\0\0\0\0"]);
    let bytes = [bytes, bx(b"mdat", &[&[0; 100]])].concat();
    let want = open_bytes(bytes.clone()).err().map(|e| e.to_string());
    let found = streamed(bytes).err().map(|e| e.to_string());
    assert_eq!(found, want);
    let found = found.unwrap_or_default();
    assert!(found.contains("expected a moov box, found none"), "{found}");
}

/// Samples of 200 ms in the tables, then a fragment of 80 ms.
fn with_both(overall: Option<u32>) -> Vec<u8> {
    let mut track = TrackBuilder::video(1000);
    track.tables = [
        full(b"stts", 0, 0, &[&table(2, &[5, 40])]),
        full(b"stss", 0, 0, &[&table(1, &[1])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 5, 1])]),
        full(b"stsz", 0, 0, &[&words(&[3, 5])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat();
    let mehd = overall.map(|ticks| full(b"mehd", 0, 0, &[&words(&[ticks])]));
    let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 40, 3, 0])]);
    let mvex = bx(b"mvex", &[&mehd.unwrap_or_default(), &trex]);
    let mut moov = moov(&[track.build()], &mvex);
    let mvhd = moov.windows(4).position(|kind| kind == b"mvhd");
    let duration = mvhd.expect("a movie header") + 20;
    moov[duration..duration + 4].copy_from_slice(&200_u32.to_be_bytes());
    let moof = |offset| {
        let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]);
        let tfdt = full(b"tfdt", 0, 0, &[&words(&[200])]);
        let trun = full(b"trun", 0, 1, &[&words(&[2, offset])]);
        bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
    };
    let moof = moof(moof(0).len() as u32 + 8);
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        bx(b"mdat", &[b"aaabbbcccdddeee"]),
        moov,
        moof,
        bx(b"mdat", &[b"fffggg"]),
    ]
    .concat()
}

#[test]
fn a_movie_header_that_counts_the_tables_alone_is_no_duration_of_a_stream() {
    let file = open_bytes(with_both(None)).expect("valid");
    assert_eq!(file.duration(), Some(280_000));
    let demuxer = streamed(with_both(None)).expect("valid");
    assert_eq!(demuxer.duration(), None);
    assert_eq!(packets(&demuxer, 0).expect("valid").len(), 7);
    // What the movie says of its fragments holds.
    let demuxer = streamed(with_both(Some(280))).expect("valid");
    assert_eq!(demuxer.duration(), Some(280_000));
}
