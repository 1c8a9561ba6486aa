//! IVF against what ffprobe says of files that ffmpeg makes, built files, and the streams of cros-codecs.

#[path = "support/clips.rs"]
mod made;
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use made::{assert_same_data, ffmpeg, ffprobe};
use reelcore_conformance::{Family, streams};
use reelcore_containers::{BytesSource, FileSource, StreamLimits, open, stream};
use reelcore_media::demux::{DemuxError, Demuxer, Packet, Source, TrackKind};
use reelcore_media::{ChunkKind, Size};
use support::{open_bytes, packets};

const CLIPS: [(&str, &str, &str); 3] = [
    ("vp8.ivf", "-c:v libvpx -deadline realtime -g 20", "vp8"),
    (
        "vp9.ivf",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30",
        "vp09.00.10.08",
    ),
    (
        "av1.ivf",
        "-c:v libsvtav1 -preset 12 -g 25",
        "av01.0.00M.08",
    ),
];

fn make(name: &str, args: &str) -> PathBuf {
    let input = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=3"];
    let args: Vec<&str> = input.into_iter().chain(args.split_whitespace()).collect();
    ffmpeg(name, &args)
}

fn streamed(bytes: &Bytes) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    for at in (0..bytes.len()).step_by(777) {
        feed.push(bytes.slice(at..bytes.len().min(at + 777)));
    }
    feed.finish();
    open(Arc::new(source)).expect("a stream")
}

#[test]
fn every_packet_of_every_clip_is_what_ffprobe_sees() {
    for (name, args, codec) in CLIPS {
        let path = make(name, args);
        let bytes = Bytes::from(std::fs::read(&path).expect(name));
        let demuxer = open_bytes(bytes.to_vec()).expect(name);
        assert_eq!(demuxer.container(), "ivf");
        let track = &demuxer.tracks()[0];
        assert_eq!(track.codec.as_deref(), Some(codec), "{name}");
        assert!(
            matches!(track.kind, TrackKind::Video { coded_size, aspect_of_stream: true, .. } if coded_size == Size::new(160, 120))
        );
        assert!(
            demuxer
                .duration()
                .is_some_and(|d| d.abs_diff(3_000_000) <= 40_000),
            "{:?}",
            demuxer.duration()
        );
        let all = packets(&demuxer, 0).expect(name);
        let probed = &ffprobe(&path, 1)[0];
        assert_eq!(all.len(), probed.len(), "{name}");
        for (i, (packet, want)) in all.iter().zip(probed).enumerate() {
            let what = format!("{name}: packet {i}");
            assert_same_data(packet, want, &what);
            assert_eq!(
                packet.chunk.timestamp,
                want.pts.expect("pts") * 40_000,
                "{what}"
            );
            assert_eq!(packet.decode_time, packet.chunk.timestamp, "{what}");
            assert_eq!(packet.chunk.duration, Some(40_000), "{what}");
        }
        let memory = open(Arc::new(BytesSource::new(bytes.clone()))).expect(name);
        let shared = packets(&memory, 0).expect(name);
        assert!(
            shared
                .iter()
                .all(|p| bytes.as_ptr_range().contains(&p.chunk.data.as_ptr())),
            "copied"
        );
        let file = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        assert_eq!(packets(&file, 0).expect(name), all, "{name}: a file");
        assert_eq!(
            packets(&streamed(&bytes), 0).expect(name),
            all,
            "{name}: a stream"
        );
    }
}

#[test]
fn a_seek_finds_what_a_look_at_every_packet_finds() {
    for (name, args, _) in CLIPS {
        let path = make(name, args);
        let bytes = Bytes::from(std::fs::read(&path).expect(name));
        let file = open(Arc::new(FileSource::open(&path).expect(name))).expect(name);
        for demuxer in [
            open_bytes(bytes.to_vec()).expect(name),
            file,
            streamed(&bytes),
        ] {
            let all = packets(&demuxer, 0).expect(name);
            let mut reader = demuxer.reader(0).expect(name);
            let times = (0..40).map(|i| i * 7_654_321 % 3_100_000);
            for time in times.chain([i64::MIN, -1, 0, 799_999, 800_000, i64::MAX]) {
                let key = |p: &Packet| p.chunk.kind == ChunkKind::Key && p.chunk.timestamp <= time;
                let at = all.iter().rposition(key).unwrap_or(0);
                let found = reader.seek(time).expect(name);
                assert_eq!(found, Some(all[at].chunk.timestamp), "{name}: {time}");
                for want in all[at..].iter().take(3) {
                    assert_eq!(
                        reader.next_sample().expect(name).as_ref(),
                        Some(want),
                        "{name}: {time}"
                    );
                }
            }
        }
    }
}

/// The header of a key frame of VP8, 64 by 48.
const KEY: &[u8] = b"\x10\0\0\x9d\x01\x2a\x40\0\x30\0";

fn header(four_cc: &[u8; 4], rate: u32, scale: u32, length: u32) -> Vec<u8> {
    let mut out = b"DKIF\0\0\x20\0".to_vec();
    out.extend(four_cc);
    out.extend([64, 0, 48, 0]);
    for field in [rate, scale, length, 0] {
        out.extend(field.to_le_bytes());
    }
    out
}

fn frame(time: u64, data: &[u8]) -> Vec<u8> {
    [
        &(data.len() as u32).to_le_bytes()[..],
        &time.to_le_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn times_are_exact_in_any_time_base_and_the_last_frame_lasts_as_the_one_before() {
    let frames: Vec<Vec<u8>> = [0_u64, 1001, 2002, 4004]
        .iter()
        .map(|&time| frame(time, KEY))
        .collect();
    let bytes = [header(b"VP80", 30_000, 1, 5005), frames.concat()].concat();
    let demuxer = open_bytes(bytes).expect("valid");
    // As long as the frames are, whatever the header counts.
    assert_eq!(demuxer.duration(), Some(200_200));
    let all = packets(&demuxer, 0).expect("valid");
    let times: Vec<_> = all
        .iter()
        .map(|p| (p.chunk.timestamp, p.chunk.duration))
        .collect();
    assert_eq!(
        times,
        [
            (0, Some(33_367)),
            (33_367, Some(33_366)),
            (66_733, Some(66_734)),
            (133_467, Some(66_734))
        ]
    );
    // The largest times do not overflow.
    let bytes = [header(b"VP80", 1, u32::MAX, u32::MAX), frame(u64::MAX, KEY)].concat();
    let demuxer = open_bytes(bytes).expect("valid");
    assert_eq!(demuxer.duration(), None);
    assert_eq!(
        packets(&demuxer, 0).expect("valid")[0].chunk.timestamp,
        i64::MAX
    );
}

#[test]
fn a_count_of_frames_in_the_header_is_not_taken_for_ticks() {
    let file = |rate: u32, count: u32, times: &[u64]| {
        let frames = times.iter().flat_map(|&time| frame(time, KEY));
        let mut bytes = header(b"VP80", rate, 1, count);
        bytes.extend(frames);
        Bytes::from(bytes)
    };
    // As a file, whose frames can all be looked at, and as a stream, of which the first two are.
    let fine = file(90_000, 4, &[0, 3000, 6000, 9000]);
    let coarse = file(25, 4, &[0, 1, 2, 3]);
    let one = file(25, 1, &[0]);
    let one_fine = file(90_000, 1, &[0]);
    let unsaid = file(90_000, 0, &[0, 3000]);
    let back = file(1000, 9, &[0, 40, 120, 80]);
    for (bytes, as_file, as_stream) in [
        (fine, Some(133_333), None),
        (coarse, Some(160_000), Some(160_000)),
        (one, Some(40_000), Some(40_000)),
        (one_fine, None, None),
        (unsaid, Some(66_667), None),
        (back, Some(200_000), None),
    ] {
        let demuxer = open_bytes(bytes.to_vec()).expect("valid");
        assert_eq!(demuxer.duration(), as_file, "{bytes:?}");
        assert_eq!(demuxer.tracks()[0].duration, as_file, "{bytes:?}");
        assert_eq!(streamed(&bytes).duration(), as_stream, "{bytes:?}");
    }
    // Where some frames were dropped, those that are there are no measure.
    let dropped = file(25, 4, &[0, 1, 2, 1500]);
    let dropped = open_bytes(dropped.to_vec()).expect("valid").duration();
    assert_eq!(dropped, Some(1500 * 40_000 + 1498 * 40_000));
    // What is cut off is not counted.
    let cut = file(1000, 0, &[0, 40, 80]);
    let cut = cut.slice(..cut.len() - 1);
    assert_eq!(
        open_bytes(cut.to_vec()).expect("valid").duration(),
        Some(80_000)
    );
}

#[test]
fn one_damaged_time_is_not_taken_for_the_end_of_the_file() {
    let duration = |times: &[u64]| {
        let frames = times.iter().flat_map(|&time| frame(time, KEY));
        let bytes: Vec<u8> = header(b"VP80", 1000, 1, 0)
            .into_iter()
            .chain(frames)
            .collect();
        open_bytes(bytes).expect("valid").duration()
    };
    let good: Vec<u64> = (0..50).map(|n| 40 * n).collect();
    assert_eq!(duration(&good), Some(2_000_000));
    for bit in [13, 20, 40, 63] {
        for at in 0..49 {
            let mut times = good.clone();
            times[at] |= 1 << bit;
            // The last frame ends where it did, which lasts as the one before.
            let end = duration(&times).expect("an end");
            let at_the_end = if at == 48 { 2_040_000 } else { 2_000_000 };
            assert!(
                end == 2_000_000 || end == at_the_end,
                "bit {bit} of {at}: {end}"
            );
        }
    }
    let last = |time: u64| duration(&[&good[..49], &[time]].concat());
    assert_eq!(last(1 << 40), Some(1_960_000));
    assert_eq!(last(u64::MAX), Some(1_960_000));
    assert_eq!(last(0), Some(1_960_000));
    // A picture that stands for long is none of these, nor are times that go on from another place.
    assert_eq!(last(1920 + 600_000), Some(1_201_920_000));
    assert_eq!(duration(&[0, 5000, 10_000]), Some(15_000_000));
    let moved: Vec<u64> = (good.iter().copied())
        .chain(good.iter().map(|time| time + 9_000_000))
        .collect();
    assert_eq!(duration(&moved), Some(9_002_000_000));
    let cut: Vec<u64> = good.iter().map(|time| time + 9_000_000).collect();
    assert_eq!(duration(&cut), Some(9_002_000_000));
}

/// A file that tells how far it is read.
struct Followed {
    bytes: Vec<u8>,
    reached: AtomicUsize,
}

impl Source for Followed {
    fn len(&self) -> std::io::Result<Option<u64>> {
        Ok(Some(self.bytes.len() as u64))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.reached.fetch_max(offset as usize, Ordering::Relaxed);
        let from = self.bytes.len().min(offset as usize);
        let bytes = &self.bytes[from..];
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }
}

#[test]
fn opening_does_not_read_every_frame_of_a_long_file() {
    let opened = |rate: u32, step: u64, count: u32| {
        let frames = (0..70_000).flat_map(|n| frame(step * n, KEY));
        let bytes: Vec<u8> = header(b"VP80", rate, 1, count)
            .into_iter()
            .chain(frames)
            .collect();
        let source = Arc::new(Followed {
            bytes,
            reached: AtomicUsize::new(0),
        });
        let demuxer = open(source.clone()).expect("valid");
        (demuxer.duration(), source.reached.load(Ordering::Relaxed))
    };
    let (duration, reached) = opened(25, 1, 70_000);
    assert_eq!(duration, Some(2_800_000_000));
    assert!(reached < 5000 * frame(0, KEY).len(), "{reached}");
    // Frames that are not a tick apart are looked at, up to a number of them.
    assert_eq!(opened(1000, 40, 70_000).0, None);
    // A file has no room for so many frames: the count is none.
    assert_eq!(opened(25, 1, u32::MAX - 1).0, None);
}

#[test]
fn other_codecs_have_no_string_and_broken_headers_say_where() {
    let bytes = [header(b"H264", 25, 1, 0), frame(0, b"\0\0\0\x01")].concat();
    let demuxer = open_bytes(bytes).expect("valid");
    assert_eq!(
        (demuxer.tracks()[0].codec.clone(), demuxer.duration()),
        (None, None)
    );
    assert_eq!(packets(&demuxer, 0).expect("valid").len(), 1);
    let error = |bytes: &[u8]| {
        open_bytes(bytes.to_vec())
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let good = header(b"VP80", 25, 1, 0);
    assert!(error(&good[..31]).contains("IVF header of 32 bytes, found 31"));
    assert!(error(&header(b"VP80", 0, 1, 0)).contains("time base"));
    let mut version = good.clone();
    version[4] = 9;
    assert!(error(&version).contains("expected version 0, found 9 at byte 4"));
    assert_eq!(
        packets(&open_bytes(good).expect("valid"), 0).expect("no frames"),
        []
    );
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_whole_and_then_says_where_it_ends() {
    let whole = [
        header(b"VP80", 25, 1, 0),
        frame(0, KEY),
        frame(1, b"\x11defgh"),
    ]
    .concat();
    for cut in 32..whole.len() {
        let demuxer = open_bytes(whole[..cut].to_vec()).expect("the header is whole");
        let mut reader = demuxer.reader(0).expect("a track");
        let mut count = 0;
        let error = loop {
            match reader.next_sample() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert_eq!(count, usize::from(cut >= 54), "cut at {cut}");
        match error {
            None => assert!(cut == 32 || cut == 54, "cut at {cut}"),
            Some(error) => assert!(matches!(error, DemuxError::Invalid { .. }), "{error:?}"),
        }
        assert!(
            matches!(reader.next_sample(), Ok(None)),
            "at its end after an error"
        );
        assert_eq!(
            reader.seek(9).ok().flatten().is_some(),
            cut >= 54,
            "cut at {cut}"
        );
    }
}

#[test]
fn the_public_streams_have_as_many_frames_as_checksums() {
    for (family, string) in [
        (Family::Vp8, "vp8"),
        (Family::Vp9, "vp09."),
        (Family::Av1, "av01."),
    ] {
        for public in streams(family).expect("the streams of cros-codecs") {
            let name = &public.name;
            let source = FileSource::open(&public.path).expect(name);
            let demuxer = open(Arc::new(source)).expect(name);
            let track = &demuxer.tracks()[0];
            let codec = track.codec.as_deref();
            if name == "av1-annexb.ivf.av1" {
                // IVF has temporal units in low-overhead form; this one's are in the length-delimited form.
                assert_eq!(codec, None, "{name}");
                continue;
            }
            assert!(
                codec.is_some_and(|codec| codec.starts_with(string)),
                "{name}: {track:?}"
            );
            let all = packets(&demuxer, 0).expect(name);
            assert_eq!(all[0].chunk.kind, ChunkKind::Key, "{name}");
            // Hidden frames have no checksum.
            for checksums in &public.checksums {
                assert!(
                    all.len() >= checksums.md5.len(),
                    "{name}: {} packets",
                    all.len()
                );
            }
        }
    }
}
