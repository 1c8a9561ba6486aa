//! Raw streams of H.264 and HEVC: against reference checksums, what ffprobe says, and the times that a container gives.

#[path = "support/clips.rs"]
mod made;
mod support;
#[path = "support/ts.rs"]
mod ts;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use made::{ffmpeg, ffprobe, md5};
use reelcore_conformance::{Family, streams};
use reelcore_containers::{BytesSource, FileSource, StreamLimits, open, stream};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Demuxer, Packet, TrackKind};
use support::{open_bytes, packets};
use ts::h264_units;

/// What holds for any raw stream: no byte is lost, frames last alike, and each has a place of its own.
fn assert_whole(bytes: &[u8], packets: &[Packet], what: &str) {
    let all: Vec<u8> = packets.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
    assert!(all == bytes, "{what}: the packets are the stream");
    let mut times: Vec<i64> = packets.iter().map(|p| p.chunk.timestamp).collect();
    times.sort_unstable();
    assert_eq!(times.first(), Some(&0), "{what}");
    let mut end = 0;
    for time in times {
        assert_eq!(time, end, "{what}: a gap in the times");
        let packet = packets
            .iter()
            .find(|p| p.chunk.timestamp == time)
            .expect("it");
        end = time + packet.chunk.duration.expect("a duration") as i64;
    }
    for pair in packets.windows(2) {
        assert!(pair[0].decode_time < pair[1].decode_time, "{what}");
    }
    for packet in packets {
        assert!(
            packet.decode_time <= packet.chunk.timestamp,
            "{what}: {packet:?}"
        );
    }
    assert_eq!(packets[0].chunk.kind, ChunkKind::Key, "{what}");
}

#[test]
fn the_public_streams_have_as_many_access_units_as_checksums() {
    for family in [Family::H264, Family::H265] {
        let streams = streams(family).expect("the streams of cros-codecs");
        assert!(streams.len() >= 6, "{family:?}");
        for public in streams {
            let what = public.path.display().to_string();
            let bytes = std::fs::read(&public.path).expect("the stream");
            let demuxer = open_bytes(bytes.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = packets(&demuxer, 0).expect(&what);
            assert!(!public.checksums.is_empty(), "{what}");
            for checksums in &public.checksums {
                assert_eq!(found.len(), checksums.md5.len(), "{what}");
            }
            assert_whole(&bytes, &found, &what);
        }
    }
}

/// Name and arguments of streams that ffmpeg makes, with the size, and what a frame lasts in microseconds.
const CLIPS: [(&str, &str, i64); 4] = [
    (
        "pyramid.h264",
        "-f lavfi -i testsrc2=s=160x120:r=30000/1001:d=3 -c:v libx264 -preset veryfast -bf 4 -b_strategy 0 -g 30",
        33_367,
    ),
    (
        "open-gop.h264",
        "-f lavfi -i testsrc2=s=160x120:r=50:d=3 -c:v libx264 -preset veryfast -x264-params open-gop=1:bframes=3:keyint=30",
        20_000,
    ),
    (
        "interlaced.h264",
        "-f lavfi -i testsrc2=s=160x128:r=25:d=2 -c:v libx264 -preset veryfast -flags +ildct+ilme -x264-params tff=1 -g 15",
        40_000,
    ),
    (
        "pyramid.hevc",
        "-f lavfi -i testsrc2=s=160x120:r=24:d=3 -c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=4:keyint=24:open-gop=1",
        41_667,
    ),
];

fn make(clip: &(&str, &str, i64)) -> PathBuf {
    ffmpeg(clip.0, &clip.1.split(' ').collect::<Vec<_>>())
}

#[test]
fn packets_and_their_order_are_those_that_ffmpeg_finds() {
    for clip in &CLIPS {
        let path = make(clip);
        let bytes = std::fs::read(&path).expect("the clip");
        let demuxer = open(Arc::new(FileSource::open(&path).expect("the clip"))).expect("the clip");
        let found = packets(&demuxer, 0).expect("the clip");
        assert_whole(&bytes, &found, clip.0);
        let TrackKind::Video {
            coded_size,
            aspect_of_stream,
            ..
        } = demuxer.tracks()[0].kind
        else {
            panic!("{}: a video track", clip.0);
        };
        assert!(aspect_of_stream, "{}: nothing else says it", clip.0);
        assert_eq!(coded_size.width, 160, "{}", clip.0);
        let duration = found[0].chunk.duration.expect("a duration");
        assert_eq!(duration as i64, clip.2, "{}", clip.0);
        let probed = &ffprobe(&path, 1)[0];
        assert_eq!(found.len(), probed.len(), "{}", clip.0);
        let hevc = demuxer.container() == "hevc";
        for (at, (packet, probed)) in found.iter().zip(probed).enumerate() {
            let mut data = packet.chunk.data.to_vec();
            if hevc {
                // FFmpeg leaves the zero_byte of the next unit's start code with the unit in front of it.
                if at > 0 {
                    assert_eq!(data.remove(0), 0);
                }
                data.extend(found.get(at + 1).map(|_| 0));
            }
            assert_eq!(md5(&data), probed.data_hash, "{} {at}", clip.0);
            let key = packet.chunk.kind == ChunkKind::Key;
            assert_eq!(key, probed.flags.starts_with('K'), "{} {at}", clip.0);
        }
        // The order of output is what the encoder told a container.
        let mut muxed: Vec<&str> = clip.1.split(' ').collect();
        muxed.extend(["-f", "mp4"]);
        let name = format!("{}.mp4", clip.0);
        let probed = &ffprobe(&ffmpeg(&name, &muxed), 1)[0];
        let places = |times: Vec<i64>| {
            let mut order: Vec<usize> = (0..times.len()).collect();
            order.sort_by_key(|&index| times[index]);
            order
        };
        let ours = places(found.iter().map(|p| p.chunk.timestamp).collect());
        let theirs = places(probed.iter().map(|p| p.pts.expect("a time")).collect());
        assert_eq!(ours, theirs, "{}", clip.0);
    }
}

fn assert_seeks(demuxer: &Arc<dyn Demuxer>, what: &str) {
    let all = packets(demuxer, 0).expect("the stream");
    let key = |p: &Packet| p.chunk.kind == ChunkKind::Key;
    let last = all
        .iter()
        .map(|p| p.chunk.timestamp)
        .max()
        .expect("packets");
    let mut reader = Arc::clone(demuxer).reader(0).expect("the track");
    // Forward, backward, and beyond both ends.
    let forward = (-1..=last / 90_000 + 1).map(|step| step * 90_000);
    let backward = (0..last / 130_000).rev().map(|step| step * 130_000);
    for time in forward.chain(backward).chain([i64::MAX, i64::MIN]) {
        let best = all
            .iter()
            .rposition(|p| key(p) && p.chunk.timestamp <= time)
            .or_else(|| all.iter().position(key))
            .expect("a key packet");
        let found = reader.seek(time).expect("seek");
        assert_eq!(found, Some(all[best].chunk.timestamp), "{what} at {time}");
        for (nth, want) in all.iter().skip(best).take(6).enumerate() {
            let got = reader.next_sample().expect("read").expect("a packet");
            if nth == 0 && got.chunk.data != want.chunk.data {
                // Parameter sets were put in front.
                assert!(
                    got.chunk.data.ends_with(&want.chunk.data),
                    "{what} at {time}"
                );
                assert_eq!(got.chunk.timestamp, want.chunk.timestamp);
                continue;
            }
            assert_eq!(&got, want, "{what} at {time}");
        }
    }
}

#[test]
fn seeking_finds_what_reading_from_the_start_finds() {
    for clip in &CLIPS {
        let path = make(clip);
        let demuxer = open(Arc::new(FileSource::open(&path).expect("the clip"))).expect("the clip");
        assert_seeks(&demuxer, clip.0);
        let bytes = std::fs::read(&path).expect("the clip");
        assert_seeks(&open_bytes(bytes).expect("opens"), clip.0);
    }
}

#[test]
fn a_stream_that_arrives_in_order_is_read_as_it_comes() {
    let units = h264_units("h264-fragmented.mp4");
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.data.clone()).collect();
    let want = packets(&open_bytes(bytes.clone()).expect("opens"), 0).expect("reads");
    assert_eq!(want.len(), units.len());
    let (feed, source) = stream(StreamLimits::default(), || ());
    let feeder = std::thread::spawn(move || {
        for piece in bytes.chunks(3000) {
            feed.push(Bytes::copy_from_slice(piece));
        }
        feed.finish();
    });
    let demuxer = open(Arc::new(source)).expect("opens");
    assert_eq!(packets(&demuxer, 0).expect("reads"), want);
    assert_seeks(&demuxer, "stream");
    feeder.join().expect("the feeder");
}

#[test]
fn the_order_of_output_is_that_of_the_clip_it_came_from() {
    let units = h264_units("h264-aac.mp4");
    let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.data.clone()).collect();
    let found = packets(&open_bytes(bytes).expect("opens"), 0).expect("reads");
    assert_eq!(found.len(), units.len());
    let mut sorted: Vec<i64> = units.iter().map(|unit| unit.pts).collect();
    sorted.sort_unstable();
    let mut times: Vec<i64> = found.iter().map(|p| p.chunk.timestamp).collect();
    times.sort_unstable();
    for (packet, unit) in found.iter().zip(&units) {
        let place = times.binary_search(&packet.chunk.timestamp).expect("it");
        assert_eq!(sorted[place], unit.pts);
        assert_eq!(packet.chunk.data, unit.data);
        assert_eq!(packet.chunk.kind == ChunkKind::Key, unit.key);
    }
}

#[test]
fn a_stream_that_begins_in_the_middle_of_a_picture_begins_with_the_next_whole_one() {
    let units = h264_units("h264-fragmented.mp4");
    let key = units
        .iter()
        .rposition(|unit| unit.key)
        .expect("a key picture");
    let sets = units[0].data[6..60].to_vec();
    let end = (0..sets.len() - 3)
        .rfind(|&at| sets[at..at + 3] == [0, 0, 1] && matches!(sets[at + 3] & 31, 5 | 6))
        .expect("the first slice");
    // Sets, then a slice that is not the first of its picture, then whole pictures.
    let mut bytes = sets[..end].to_vec();
    bytes.extend([0, 0, 1, 0x41, 0x24, 0x55, 0x55]);
    bytes.extend(units[key..].iter().flat_map(|unit| unit.data.clone()));
    let found = packets(&open_bytes(bytes).expect("opens"), 0).expect("reads");
    let last = found.len() - (units.len() - key);
    for (packet, unit) in found[last..].iter().zip(&units[key..]) {
        assert_eq!(packet.chunk.data, unit.data);
    }
}

#[test]
fn a_stream_that_begins_long_before_its_first_parameter_set_is_known_and_read() {
    for clip in [&CLIPS[0], &CLIPS[3]] {
        let bytes = std::fs::read(make(clip)).expect("the clip");
        let whole = packets(&open_bytes(bytes.clone()).expect(clip.0), 0).expect(clip.0);
        let key = |packet: &Packet| packet.chunk.kind == ChunkKind::Key;
        let first = whole.iter().skip(1).position(key).expect("a key packet") + 1;
        let (from, to) = (whole[1].offset as usize, whole[first].offset as usize);
        // As it was recorded, and with so much before the sets that no look at the start holds it.
        for times in [1, 40] {
            let before = bytes[from..to].repeat(times);
            assert!(before.len() > 4096, "{}", clip.0);
            let late = [&before[..], &bytes[to..]].concat();
            let what = format!("{}, {} bytes before", clip.0, before.len());
            let demuxer = open_bytes(late.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
            let is = clip.0.rsplit('.').next().expect("an ending");
            assert_eq!(demuxer.container(), is, "{what}");
            let found = packets(&demuxer, 0).expect(&what);
            let all: Vec<u8> = found.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
            assert!(late.ends_with(&all), "{what}");
            let at = found.iter().position(key).expect("a key packet");
            assert_eq!(found[at].offset as usize, before.len(), "{what}");
            assert_eq!(found.len() - at, whole.len() - first, "{what}");
            for (found, whole) in found[at..].iter().zip(&whole[first..]) {
                assert_eq!(found.chunk.data, whole.chunk.data, "{what}");
            }
            let arrived = late.len().min(before.len() + 30_000);
            let source = support::Arriving::new(late, arrived);
            assert!(open(source.clone()).is_ok(), "{what}: a stream");
            assert_eq!(source.waits(), 0, "{what}");
        }
    }
}

#[test]
fn other_start_codes_are_not_taken_for_h264() {
    for content in [
        // MPEG program stream, MPEG-2 video, a start code alone, and one with nothing readable.
        &[0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1][..],
        &[0, 0, 1, 0xb3, 0x16, 0, 0xf0, 0x15],
        &[0, 0, 1],
        &[0, 0, 0, 1, 0x67],
        &[0, 0, 1, 9, 0xf0],
        // An icon, which begins as a unit of HEVC would.
        &[0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0],
        // Pictures alone.
        &[0, 0, 1, 0x41, 0x9a, 0x24, 0, 0, 1, 0x41, 0x9a, 0x24],
    ] {
        let error = open(Arc::new(BytesSource::new(content))).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.starts_with("unknown container"),
            "{content:?}: {error}"
        );
    }
}
