//! Pictures that an edit list hides do not come back where their packets are written into another container.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::path::Path;
use std::process::Command;

use made::ffmpeg;
use muxed::{Source, open_bytes, output_track, refused, save, tracks};
use reelcore_containers::mux::{MemorySink, create};
use reelcore_media::SideData;
use reelcore_media::demux::Packet;
use reelcore_media::mux::{MuxError, MuxOptions, OutputPacket};
use support::{TrackBuilder, full, progressive};

/// Thirteen pictures of 100 ms, of which an edit shows `length` milliseconds from `skip` on.
fn trimmed(skip: u32, length: u32, args: &str) -> Source {
    let picture = "testsrc2=s=64x48:r=10:d=1.3";
    let inputs = ["-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p"];
    let args: Vec<&str> = inputs.into_iter().chain(args.split(' ')).collect();
    let mut bytes = std::fs::read(ffmpeg("hidden.mp4", &args)).expect("a clip");
    let word = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let find = |kind: &[u8; 4]| bytes.windows(4).position(|w| w == kind).expect("the box");
    let (elst, mdhd) = (find(b"elst"), find(b"mdhd"));
    assert_eq!(word(&bytes, elst + 8), 1, "one edit");
    let scale = word(&bytes, mdhd + 16);
    let start = word(&bytes, elst + 16) + skip * scale / 1000;
    // The movie counts milliseconds.
    bytes[elst + 12..elst + 16].copy_from_slice(&length.to_be_bytes());
    bytes[elst + 16..elst + 20].copy_from_slice(&start.to_be_bytes());
    tracks(&open_bytes(bytes.into()))
}

const X264: &str = "-c:v libx264 -preset veryfast -bf 3 -x264-params log-level=error";

fn is_hidden(packet: &Packet) -> bool {
    packet.chunk.side.as_ref().is_some_and(|side| side.hidden)
}

/// The times at which pictures are shown, from 0.
fn shown(packets: &[Packet]) -> Vec<i64> {
    let shown = packets.iter().filter(|packet| !is_hidden(packet));
    let mut times: Vec<i64> = shown.map(|packet| packet.chunk.timestamp).collect();
    times.sort_unstable();
    let first = times.first().copied().unwrap_or(0);
    times.iter().map(|time| time - first).collect()
}

fn attempt(container: &str, source: &Source, times: bool) -> Result<Vec<u8>, MuxError> {
    let mut muxer = create(container, &MuxOptions::default())?;
    let mut sink = MemorySink::default();
    let (track, packets) = &source[0];
    muxer.add_track(output_track(track).expect("a track"))?;
    for packet in packets {
        let mut out = OutputPacket::new(packet.chunk.clone());
        out.decode_time = times.then_some(packet.decode_time);
        muxer.write(0, out, &mut sink)?;
    }
    muxer.finish(&mut sink)?;
    Ok(sink.into_bytes().to_vec())
}

/// How many pictures ffmpeg shows.
fn decoded(path: &Path) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=nb_read_frames"])
        .arg(path)
        .output()
        .expect("the ffprobe command (./x setup installs it)");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().trim_end_matches(',').parse().expect("a number")
}

/// Writes `source` and reads it back: the same pictures are shown, at times that are as far apart.
fn assert_kept(container: &str, source: &Source) -> Vec<u8> {
    let mut last = Vec::new();
    for times in [false, true] {
        let bytes = attempt(container, source, times).expect(container);
        let read = tracks(&open_bytes(bytes.clone().into()));
        let (want, got) = (shown(&source[0].1), shown(&read[0].1));
        assert_eq!(got, want, "{container} {times}");
        last = bytes;
    }
    last
}

#[test]
fn pictures_behind_an_edit_that_others_refer_to_stay_hidden() {
    let source = trimmed(0, 1000, X264);
    let packets = &source[0].1;
    assert_eq!(shown(packets).len(), 10);
    assert!(packets.len() > 10, "some are decoded only");
    let bytes = assert_kept("mp4", &source);
    assert_eq!(decoded(&save("hidden-behind.mp4", &bytes)), 10);
    assert_kept("matroska", &source);
    for container in ["fmp4", "mpegts"] {
        refused(attempt(container, &source, true), "behind the last one");
    }
}

#[test]
fn pictures_behind_an_edit_that_none_refers_to_are_left_out() {
    // In the order in which they are shown: none that is shown comes after them.
    let source = trimmed(0, 1000, &X264.replace("-bf 3", "-bf 0"));
    let mut longer = source.clone();
    let mut after = longer[0].1[9].clone();
    let side = SideData {
        hidden: true,
        ..SideData::default()
    };
    after.chunk.side = Some(side.into());
    after.chunk.timestamp += 100_000;
    after.decode_time += 100_000;
    longer[0].1.push(after);
    for container in ["mp4", "fmp4", "matroska", "mpegts"] {
        let bytes = assert_kept(container, &longer);
        let read = tracks(&open_bytes(bytes.into()));
        assert_eq!(read[0].1.len(), 10, "{container}");
        assert!(!read[0].1.iter().any(is_hidden), "{container}");
    }
}

#[test]
fn pictures_before_an_edit_stay_hidden() {
    for x264 in [X264.to_owned(), X264.replace("-bf 3", "-bf 0")] {
        let source = trimmed(500, 800, &x264);
        let packets = &source[0].1;
        assert_eq!(shown(packets).len(), 8, "{x264}");
        assert!(packets.len() > 8, "{x264}: some are decoded only");
        let bytes = assert_kept("mp4", &source);
        assert_eq!(decoded(&save("hidden-before.mp4", &bytes)), 8, "{x264}");
        for container in ["fmp4", "matroska"] {
            let bytes = assert_kept(container, &source);
            save(&format!("hidden-before.{container}"), &bytes);
        }
        refused(attempt("mpegts", &source, true), "before the first one");
    }
}

#[test]
fn pictures_before_a_key_picture_that_is_shown_first_are_left_out() {
    let source = trimmed(600, 700, &format!("{X264}:keyint=6:scenecut=0"));
    assert!(is_hidden(&source[0].1[0]), "the demuxer gives some before");
    for container in ["mp4", "fmp4", "matroska", "mpegts"] {
        let bytes = assert_kept(container, &source);
        let read = tracks(&open_bytes(bytes.into()));
        assert_eq!(read[0].1.len(), 7, "{container}");
    }
}

/// Ten pictures of 100 ms, of which every fifth is key, in these edits: pairs of length and start in milliseconds.
fn edited(edits: &[(u32, u32)]) -> Source {
    let mut track = TrackBuilder::video(1000);
    let edits = edits
        .iter()
        .map(|&(length, start)| [length, start, 0x1_0000]);
    track.edits = edits.flatten().collect();
    track.entry = support::visual_entry(b"vp08", 64, 48, &full(b"vpcC", 1, 0, &[&[0; 8]]));
    track.tables = support::ten_pictures();
    // Frames of VP8 that are shown (RFC 6386, section 9.1).
    let file = progressive(&[0x10; 10], &[track.build()]);
    tracks(&open_bytes(file.into()))
}

#[test]
fn a_cut_between_key_pictures_is_refused_and_one_at_a_key_picture_is_written() {
    // The second edit begins in the middle of a group, whose first pictures are decoded again.
    let source = edited(&[(300, 0), (200, 200)]);
    for container in ["mp4", "fmp4", "matroska", "webm"] {
        refused(attempt(container, &source, false), "times that go back");
        assert!(attempt(container, &source, true).is_err(), "{container}");
    }
    let error = attempt("ivf", &source, false).expect_err("no room");
    assert!(matches!(error, MuxError::Unsupported(_)), "{error}");
    let source = edited(&[(300, 0), (400, 500)]);
    assert_eq!(shown(&source[0].1).len(), 7);
    for container in ["mp4", "fmp4", "matroska", "webm", "ivf"] {
        assert_kept(container, &source);
    }
}

#[test]
fn pictures_that_are_not_shown_are_no_part_of_a_matroska_files_length() {
    let source = trimmed(0, 1000, X264);
    let bytes = attempt("matroska", &source, false).expect("written");
    let duration = open_bytes(bytes.into()).duration();
    assert_eq!(duration, Some(1_000_000));
}

#[test]
fn more_pictures_that_are_not_shown_than_may_wait_are_an_error() {
    let source = edited(&[(100, 900)]);
    assert!(source[0].1.iter().filter(|p| is_hidden(p)).count() >= 4);
    let options = MuxOptions {
        max_buffered_bytes: 300,
        ..MuxOptions::default()
    };
    let mut muxer = create("mp4", &options).expect("a muxer");
    let mut sink = MemorySink::default();
    let (track, packets) = &source[0];
    let track = output_track(track).expect("a track");
    muxer.add_track(track).expect("a track");
    let result = packets
        .iter()
        .try_for_each(|p| muxer.write(0, OutputPacket::new(p.chunk.clone()), &mut sink));
    assert!(matches!(result, Err(MuxError::Limit(_))), "{result:?}");
}
