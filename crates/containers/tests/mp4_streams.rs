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

/// Frames of MPEG audio with this header, in a file with its `moov` in front or behind, or in a fragment. And where `moov`
/// ends.
fn mpeg_audio(header: [u8; 4], form: &str) -> (Vec<u8>, usize) {
    let frame = [&header[..], &[0; 96]].concat();
    let mut track = TrackBuilder::video(44_100);
    track.handler = *b"soun";
    track.entry = audio_entry(b".mp3", 2, 16, 44_100, &[]);
    let ftyp = bx(b"ftyp", &[b"isom\0\0\0\0"]);
    let mdat = bx(b"mdat", &[&frame.repeat(3)]);
    if form == "fragmented" {
        track.tables = support::no_samples();
        let trex = full(b"trex", 0, 0, &[&words(&[1, 1, 1152, 100, 0])]);
        let moov = moov(&[track.build()], &bx(b"mvex", &[&trex]));
        let moof = |offset| {
            let tfhd = full(b"tfhd", 0, 0x2_0000, &[&words(&[1])]);
            let tfdt = full(b"tfdt", 0, 0, &[&words(&[0])]);
            let trun = full(b"trun", 0, 1, &[&words(&[3, offset])]);
            bx(b"moof", &[&bx(b"traf", &[&tfhd, &tfdt, &trun])])
        };
        let moof = moof(moof(0).len() as u32 + 8);
        let init = [ftyp, moov].concat();
        let end = init.len();
        return ([init, moof, mdat].concat(), end);
    }
    let mut moov_at = |data: usize| {
        track.tables = [
            full(b"stts", 0, 0, &[&table(2, &[3, 1152])]),
            full(b"stsc", 0, 0, &[&table(3, &[1, 3, 1])]),
            full(b"stsz", 0, 0, &[&words(&[100, 3])]),
            full(b"stco", 0, 0, &[&table(1, &[data as u32])]),
        ]
        .concat();
        moov(&[track.build()], &[])
    };
    if form == "behind" {
        let bytes = [&ftyp[..], &mdat, &moov_at(ftyp.len() + 8)].concat();
        let end = bytes.len();
        return (bytes, end);
    }
    let end = ftyp.len() + moov_at(0).len();
    ([&ftyp[..], &moov_at(end + 8), &mdat].concat(), end)
}

const LAYER_3: [u8; 4] = [0xff, 0xfb, 0x90, 0xc0];
const LAYER_2: [u8; 4] = [0xff, 0xfd, 0x80, 0xc0];

#[test]
fn a_stream_of_mpeg_audio_opens_without_waiting_for_its_first_frame() {
    for form in ["in front", "fragmented"] {
        let (bytes, end) = mpeg_audio(LAYER_3, form);
        let source = Arriving::new(bytes.clone(), end);
        let demuxer = open(source.clone()).expect(form);
        assert_eq!(source.waits(), 0, "{form}");
        assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("mp3"));
        let all = packets(&streamed(bytes.clone()).expect(form), 0).expect(form);
        assert_eq!(
            all,
            packets(&open_bytes(bytes).expect(form), 0).expect(form)
        );
        assert_eq!(all.len(), 3);
    }
}

#[test]
fn mpeg_audio_of_another_layer_is_told_as_soon_as_a_stream_shows_it() {
    // Behind the sound, the boxes come when its first frame is known.
    let (bytes, _) = mpeg_audio(LAYER_2, "behind");
    let demuxer = streamed(bytes).expect("valid");
    assert_eq!(demuxer.tracks()[0].codec, None);
    assert_eq!(demuxer.format(0), Some("mp2"));
    for form in ["in front", "fragmented"] {
        let (bytes, _) = mpeg_audio(LAYER_2, form);
        let file = open_bytes(bytes.clone()).expect(form);
        assert_eq!(file.format(0), Some("mp2"), "a file knows it at once");
        assert_eq!(packets(&file, 0).expect(form).len(), 3);
        // No packet of it is given as MP3, from the start or from elsewhere.
        let demuxer = streamed(bytes).expect(form);
        assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("mp3"));
        let mut reader = demuxer.reader(0).expect(form);
        for time in [None, Some(0), Some(60_000)] {
            if let Some(time) = time {
                reader.seek(time).expect(form);
            }
            let error = reader.next_sample().expect_err(form).to_string();
            assert!(error.contains("mp2 in a track named mp3"), "{error}");
        }
    }
}
