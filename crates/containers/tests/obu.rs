//! Streams of AV1 in both of their forms.

#[path = "support/clips.rs"]
mod made;
mod support;
#[path = "support/ts.rs"]
mod ts;

use std::sync::Arc;

use bytes::Bytes;
use made::{assert_same_data, ffmpeg, ffprobe};
use reelcore_containers::{FileSource, StreamLimits, open, stream};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, Packet};
use support::{open_bytes, packets};
use ts::av1_units;

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The OBUs of a unit in the low-overhead format: header without the size, payload.
fn obus(unit: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rest = unit;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let extension = usize::from(rest[0] & 4 != 0);
        let (mut size, mut at) = (0, 1 + extension);
        for shift in (0..).step_by(7) {
            let byte = rest[at];
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut header = rest[..1 + extension].to_vec();
        header[0] &= !2;
        found.push((header, rest[at..at + size].to_vec()));
        rest = &rest[at + size..];
    }
    found
}

/// The length-delimited format: each OBU without its size, or with it where `sized` says so.
fn length_delimited(units: &[Vec<u8>], sized: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        let mut frame = Vec::new();
        for (mut header, payload) in obus(unit) {
            if sized {
                header[0] |= 2;
                header.extend(leb128(payload.len()));
            }
            frame.extend(leb128(header.len() + payload.len()));
            frame.extend(header);
            frame.extend(payload);
        }
        let frame = [leb128(frame.len()), frame].concat();
        out.extend(leb128(frame.len()));
        out.extend(frame);
    }
    out
}

fn assert_seeks(demuxer: &Arc<dyn Demuxer>, all: &[Packet]) {
    let key = |p: &Packet| p.chunk.kind == ChunkKind::Key;
    let mut reader = Arc::clone(demuxer).reader(0).expect("the track");
    let last = all.last().expect("packets").chunk.timestamp;
    let times = (-1..=last / 90_000 + 1).map(|step| step * 90_000);
    for time in times.clone().chain(times.rev()).chain([i64::MAX, i64::MIN]) {
        let best = all
            .iter()
            .rposition(|p| key(p) && p.chunk.timestamp <= time)
            .unwrap_or(0);
        let found = reader.seek(time).expect("seek");
        assert_eq!(found, Some(all[best].chunk.timestamp), "{time}");
        for want in all.iter().skip(best).take(4) {
            assert_eq!(reader.next_sample().expect("read").as_ref(), Some(want));
        }
    }
}

#[test]
fn every_temporal_unit_is_what_ffprobe_says_it_is() {
    let args = "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -c:v libsvtav1 -preset 12 -g 25 -f obu";
    let path = ffmpeg("clip.obu", &args.split(' ').collect::<Vec<_>>());
    let demuxer = open(Arc::new(FileSource::open(&path).expect("the clip"))).expect("the clip");
    assert_eq!(demuxer.container(), "obu");
    assert_eq!(demuxer.tracks()[0].codec.as_deref(), Some("av01.0.00M.08"));
    let found = packets(&demuxer, 0).expect("the clip");
    let probed = &ffprobe(&path, 1)[0];
    assert_eq!(found.len(), probed.len());
    for (at, (packet, probed)) in found.iter().zip(probed).enumerate() {
        assert_same_data(packet, probed, &at.to_string());
        assert_eq!(packet.chunk.timestamp, at as i64 * 40_000);
        assert_eq!(packet.chunk.duration, Some(40_000));
    }
    assert_seeks(&demuxer, &found);
}

#[test]
fn both_forms_give_the_same_units() {
    for name in ["av1-16x16.mp4", "av1-10bit.mp4", "av1.mp4"] {
        let units = av1_units(name);
        let low: Vec<u8> = units.concat();
        let demuxer = open_bytes(low).expect("opens");
        let found = packets(&demuxer, 0).expect("reads");
        let data: Vec<Vec<u8>> = found.iter().map(|p| p.chunk.data.to_vec()).collect();
        assert!(
            data == units,
            "{name}: {} units of {}",
            data.len(),
            units.len()
        );
        assert_eq!(found[0].chunk.kind, ChunkKind::Key);
        assert_seeks(&demuxer, &found);
        for sized in [false, true] {
            let long = open_bytes(length_delimited(&units, sized)).expect("opens");
            assert_eq!(long.tracks(), demuxer.tracks(), "{name}");
            let same = packets(&long, 0).expect("reads");
            assert_eq!(same.len(), found.len(), "{name}");
            for (a, b) in same.iter().zip(&found) {
                assert_eq!(a.chunk, b.chunk, "{name}");
            }
            assert_seeks(&long, &same);
        }
    }
}

#[test]
fn a_stream_that_arrives_in_order_is_read_as_it_comes() {
    let units = av1_units("av1-10bit.mp4");
    for bytes in [units.concat(), length_delimited(&units, false)] {
        let (feed, source) = stream(StreamLimits::default(), || ());
        let feeder = std::thread::spawn(move || {
            for piece in bytes.chunks(100) {
                feed.push(Bytes::copy_from_slice(piece));
            }
            feed.finish();
        });
        let demuxer = open(Arc::new(source)).expect("opens");
        let found = packets(&demuxer, 0).expect("reads");
        assert_eq!(found.len(), units.len());
        feeder.join().expect("the feeder");
    }
}

#[test]
fn what_is_cut_short_is_an_error_with_its_place() {
    let units = av1_units("av1-10bit.mp4");
    for bytes in [units.concat(), length_delimited(&units, false)] {
        let cut = bytes[..bytes.len() - 3].to_vec();
        let demuxer = open_bytes(cut).expect("opens");
        let mut reader = demuxer.reader(0).expect("the track");
        let mut count = 0;
        let error = loop {
            match reader.next_packet() {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("a clean end after {count} units"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(count, units.len() - 1);
        assert!(error.contains("at byte"), "{error}");
        assert!(matches!(reader.next_packet(), Ok(None)));
    }
}
