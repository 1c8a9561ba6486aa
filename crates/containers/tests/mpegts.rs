//! Transport streams: against what ffprobe says of files that ffmpeg makes, and built by hand.

#[path = "support/clips.rs"]
mod made;
#[path = "support/settle.rs"]
mod settle;
#[path = "support/ts_clips.rs"]
mod shared;
mod support;
#[path = "support/ts.rs"]
mod ts;

use std::sync::Arc;

use made::{Probed, assert_same_data, ffmpeg, ffprobe};
use reelcore_containers::{BytesSource, FileSource, open};
use reelcore_media::ChunkKind;
use reelcore_media::demux::{Packet, TrackKind};
use shared::*;
use support::packets;
use ts::*;

/// A picture that moves, and a tone.
const INPUTS: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -f lavfi -i sine=440:d=3";

/// Name, further arguments, and the codec string or the name of each track.
type Clip = (&'static str, &'static str, &'static [&'static str]);

const CLIPS: [Clip; 6] = [
    (
        "h264-aac.ts",
        "-c:v libx264 -preset veryfast -bf 3 -g 25 -c:a aac",
        &["avc1.64000b", "mp4a.40.2"],
    ),
    (
        "hevc-mp3.ts",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=3:keyint=25 -c:a libmp3lame",
        &["hev1.1.6.L30.90", "mp3"],
    ),
    (
        "h264-ac3.m2ts",
        "-c:v libx264 -preset veryfast -g 30 -mpegts_m2ts_mode 1 -c:a ac3",
        &["avc1.64000b", "ac-3"],
    ),
    (
        "interlaced-mp2.ts",
        "-c:v libx264 -preset veryfast -flags +ildct+ilme -g 20 -c:a mp2 -pes_payload_size 0",
        &["avc1.640015", "mp2"],
    ),
    (
        "open-gop.ts",
        "-c:v libx264 -preset veryfast -x264-params open-gop=1:bframes=3:keyint=20:scenecut=0 -c:a aac -ar 32000",
        &["avc1.64000b", "mp4a.40.2"],
    ),
    (
        "intra-refresh.ts",
        "-c:v libx264 -preset veryfast -tune zerolatency -x264-params intra-refresh=1:keyint=25 -c:a aac -ac 2",
        &["avc1.64000b", "mp4a.40.2"],
    ),
];

fn make(clip: &Clip) -> std::path::PathBuf {
    let args = format!("{INPUTS} {}", clip.1);
    ffmpeg(clip.0, &args.split(' ').collect::<Vec<_>>())
}

/// FFmpeg cuts HEVC before the three bytes of a start code: the zero_byte before them stays with the unit in front.
fn as_ffmpeg_cuts(packets: &[Packet]) -> Vec<Packet> {
    let mut cut = packets.to_vec();
    for index in 0..cut.len() {
        let mut data = packets[index].chunk.data.to_vec();
        if index > 0 && data.starts_with(&[0, 0, 0, 1]) {
            data.remove(0);
        }
        let next = packets.get(index + 1);
        if next.is_some_and(|next| next.chunk.data.starts_with(&[0, 0, 0, 1])) {
            data.push(0);
        }
        cut[index].chunk.data = data.into();
    }
    cut
}

#[test]
fn every_packet_is_what_ffprobe_says_it_is() {
    for clip in &CLIPS {
        let path = make(clip);
        let source = FileSource::open(&path).expect("the clip");
        let demuxer = open(Arc::new(source)).expect("the clip");
        assert_eq!(demuxer.container(), "mpegts");
        let names: Vec<&str> = demuxer
            .tracks()
            .iter()
            .map(|track| match (&track.codec, &track.kind) {
                (Some(codec), _) => codec.as_str(),
                (None, TrackKind::Other(name)) => name.as_str(),
                (None, _) => "?",
            })
            .collect();
        assert_eq!(names, clip.2, "{}", clip.0);
        let probed = ffprobe(&path, names.len());
        // Where FFmpeg's times have their zero is ours, less what it starts at.
        let base = |track: &Vec<Probed>| track.iter().filter_map(|p| p.pts).min();
        let known = probed
            .iter()
            .zip(names.iter())
            .filter(|(_, name)| **name != "ac-3");
        let base = known
            .filter_map(|(track, _)| base(track))
            .min()
            .expect("a time");
        let mut end = 0;
        for (index, probed) in probed.iter().enumerate() {
            let what = format!("{} track {index}", clip.0);
            let found = packets(&demuxer, index).expect("the clip");
            if names[index] == "ac-3" {
                // FFmpeg cuts AC-3 into frames; its PES packets have all of their bytes.
                let total: usize = probed.iter().map(|p| p.size.parse().unwrap_or(0)).sum();
                let ours: usize = found.iter().map(|p| p.chunk.data.len()).sum();
                assert_eq!(ours, total, "{what}");
                continue;
            }
            assert_eq!(found.len(), probed.len(), "{what}");
            let cut = match names[index].starts_with("hev1") {
                true => as_ffmpeg_cuts(&found),
                false => found.clone(),
            };
            // FFmpeg rounds the times of sound to ticks.
            let slack = if index == 0 { 0 } else { 12 };
            for (at, (packet, probed)) in cut.iter().zip(probed).enumerate() {
                let what = format!("{what} packet {at}");
                assert_same_data(packet, probed, &what);
                let pts = micros(probed.pts.expect("a time") - base);
                let dts = micros(probed.dts.expect("a time") - base);
                assert!(
                    packet.chunk.timestamp.abs_diff(pts) <= slack,
                    "{what}: {packet:?} {pts}"
                );
                assert!(
                    packet.decode_time.abs_diff(dts) <= slack,
                    "{what}: {packet:?} {dts}"
                );
                let duration = micros(probed.duration.expect("a duration")) as u64;
                let ours = packet.chunk.duration.expect("a duration");
                assert!(
                    ours.abs_diff(duration) <= slack,
                    "{what}: {ours} {duration}"
                );
                // FFmpeg's offset is that of the time stamp before the packet.
                let lead = if clip.0.ends_with("m2ts") { 4 } else { 0 };
                if let Some(pos) = &probed.pos {
                    assert_eq!((packet.offset - lead).to_string(), *pos, "{what}");
                }
                end = end.max(packet.chunk.timestamp + ours as i64);
            }
        }
        let duration = demuxer.duration().expect("a duration");
        assert_eq!(duration as i64, end, "{}", clip.0);
    }
}

#[test]
fn seeking_finds_what_reading_from_the_start_finds() {
    for clip in &CLIPS {
        let path = make(clip);
        let demuxer = open(Arc::new(FileSource::open(&path).expect("the clip"))).expect("the clip");
        assert_seeks_as_it_reads(&demuxer, clip.0);
    }
}

#[test]
fn the_duration_counts_a_last_picture_that_stands_before_those_that_are_shown_earlier() {
    // With so much stuffing, the last 256 KiB hold a frame or two: B-frames, which are coded after what they are shown before.
    for rate in ["30M", "100M"] {
        let args = format!(
            "{INPUTS} -c:v libx264 -preset veryfast -bf 3 -g 250 -c:a aac -t 2.12 -muxrate {rate}"
        );
        let args: Vec<&str> = args.split(' ').collect();
        let path = ffmpeg("stuffed.ts", &args);
        let demuxer = open(Arc::new(FileSource::open(&path).expect("a file"))).expect("opens");
        let ends = packets(&demuxer, 0).expect("reads").into_iter();
        let ends = ends.map(|p| p.chunk.timestamp + p.chunk.duration.unwrap_or(0).cast_signed());
        let end = ends.max().expect("pictures");
        let said = demuxer.tracks()[0].duration.expect("a duration");
        assert!(said.abs_diff(end as u64) <= 20, "{rate}: {said} of {end}");
    }
}

#[test]
fn a_long_stream_is_sought_by_bisection_and_measured_by_its_end() {
    let mut video = h264_units("h264-aac.mp4");
    let mut audio = adts_frames("h264-aac.mp4");
    let (frames, sounds) = (video.len(), audio.len());
    let period = 7_400 * 90;
    for round in 1..12 {
        let later = |unit: &Unit| Unit {
            pts: unit.pts + round * period,
            dts: unit.dts + round * period,
            ..unit.clone()
        };
        let more: Vec<Unit> = video[..frames].iter().map(later).collect();
        video.extend(more);
        let more: Vec<Unit> = audio[..sounds].iter().map(later).collect();
        audio.extend(more);
    }
    // The wrap comes after a third.
    let plan = Plan {
        start: (1 << 33) - 4 * period,
        frames: 1,
        ..Plan::default()
    };
    let bytes = mux(&video, &audio, plan);
    let len = bytes.len() as u64;
    assert!(len > 4_000_000, "{len}");
    let counting = Arc::new(Counting(BytesSource::new(bytes), 0.into()));
    let read = || counting.1.swap(0, std::sync::atomic::Ordering::Relaxed);
    let demuxer = open(counting.clone()).expect("opens");
    assert!(
        read() < 2_000_000,
        "opening reads the beginning and the end"
    );
    let last = video.iter().map(|unit| unit.pts).max().expect("units");
    let duration = demuxer.duration().expect("a duration");
    assert!(
        duration.abs_diff(micros(last) as u64) < 100_000,
        "{duration}"
    );
    for (track, units) in [(0, &video), (1, &audio)] {
        let all = packets(&demuxer, track).expect("reads");
        assert_units(&all, units, "linear");
        let mut reader = Arc::clone(&demuxer).reader(track).expect("the track");
        // In no order.
        for time in (0..60).map(|step| step * 37 % 60 * 1_500_000 + step * 1000) {
            let best = all
                .iter()
                .rposition(|p| p.chunk.kind == ChunkKind::Key && p.chunk.timestamp <= time)
                .expect("the first is at 0");
            read();
            let found = reader.seek(time).expect("seek");
            assert_eq!(
                found,
                Some(all[best].chunk.timestamp),
                "track {track} at {time}"
            );
            let cost = read();
            assert!(
                cost < len / 2,
                "track {track} at {time}: {cost} of {len} bytes read"
            );
            let what = format!("track {track} at {time}");
            let public = &demuxer.tracks()[track];
            let first = settle::settled(&mut *reader, public, &all, best, &what);
            assert_eq!(first, all[best], "{what}");
            for want in all.iter().skip(best + 1).take(2) {
                assert_eq!(reader.next_sample().expect("reads").as_ref(), Some(want));
            }
        }
    }
}
