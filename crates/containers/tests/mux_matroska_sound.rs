//! Sound that encoders put in front and behind, as Matroska says it.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{audio, ffprobe, open_bytes, packet, save, to_memory, tracks};
use reelcore_containers::matroska::MatroskaMuxer;
use reelcore_containers::mux::MemorySink;
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket};
use reelcore_media::{ChunkKind, SideData};

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

/// Packets of Opus of 20 ms, as an encoder gives them.
fn opus(index: i64, side: Option<SideData>) -> OutputPacket {
    let mut out = packet(
        ChunkKind::Key,
        index * 20_000,
        20_000,
        vec![0x78, index as u8, 1],
    );
    out.chunk.side = side.map(Arc::new);
    out
}

fn dropped(start: u64, end: u64) -> SideData {
    SideData {
        discard_start: Duration::from_micros(start),
        discard_end: Duration::from_micros(end),
        counts_kept: start > 0 || end > 0,
        ..SideData::default()
    }
}

const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

#[test]
fn an_encoders_delay_is_the_codec_delay_and_its_padding_is_discarded() {
    // With what the encoder says beside the packets, and without.
    for beside in [true, false] {
        let mut sink = MemorySink::default();
        let mut muxer = MatroskaMuxer::webm(MuxOptions::default());
        let mut track = audio("opus", 48_000, 2);
        track.description = Some(Bytes::from_static(OPUS_HEAD));
        muxer.add_track(track).expect("a track");
        for index in 0..10 {
            let side = match index {
                0 if beside => Some(dropped(6500, 0)),
                9 => Some(dropped(0, 7000)),
                _ => None,
            };
            muxer
                .write(0, opus(index, side), &mut sink)
                .expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        let demuxer = open_bytes(bytes.clone());
        assert_eq!(demuxer.duration(), Some(200_000 - 6500 - 7000));
        let got = tracks(&demuxer);
        assert_eq!(got[0].0.description.as_deref(), Some(OPUS_HEAD));
        for (index, packet) in (0..).zip(&got[0].1) {
            assert_eq!(packet.chunk.timestamp, index * 20_000 - 6500);
            assert_eq!(packet.chunk.duration, Some(20_000));
            let side = packet.chunk.side.as_deref().cloned().unwrap_or_default();
            let want = (
                if index == 0 { 6500 } else { 0 },
                if index == 9 { 7000 } else { 0 },
            );
            assert_eq!((micros(side.discard_start), micros(side.discard_end)), want);
        }
        assert_eq!(ffprobe(&save("padding.webm", &bytes))[0].1, 10);
    }
}

#[test]
fn a_delay_longer_than_packets_is_the_sum_of_what_they_say() {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::matroska(MuxOptions::default());
    let mut track = audio("mp4a.40.2", 48_000, 2);
    track.description = Some(Bytes::from_static(&[0x11, 0x90]));
    muxer.add_track(track).expect("a track");
    let step = |index: i64| index * 1024 * 1_000_000 / 48_000;
    for index in 0..6 {
        let length = (step(index + 1) - step(index)) as u64;
        let mut out = packet(ChunkKind::Key, step(index), length, vec![1; 30]);
        let frames = [1024, 1024, 64, 0, 0, 0][index as usize];
        if frames > 0 {
            out.chunk.side = Some(Arc::new(SideData {
                discard_start: Duration::from_nanos(frames * 1_000_000_000 / 48_000),
                counts_kept: true,
                ..SideData::default()
            }));
        }
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let got = tracks(&open_bytes(bytes.clone()));
    // 2112 frames are 44 ms.
    assert!((got[0].1[0].chunk.timestamp + 44_000).abs() <= 6);
    let presented: Vec<bool> = got[0].1.iter().map(|packet| packet.presented).collect();
    assert_eq!(presented, [false, false, true, true, true, true]);
}

#[test]
fn sound_dropped_in_mid_track_is_negative_padding() {
    let mut sink = MemorySink::default();
    let mut muxer = MatroskaMuxer::webm(MuxOptions::default());
    let mut track = audio("opus", 48_000, 2);
    track.description = Some(Bytes::from_static(OPUS_HEAD));
    muxer.add_track(track).expect("a track");
    for index in 0..6 {
        let side = match index {
            0 | 3 => Some(dropped(6500, 0)),
            _ => None,
        };
        muxer
            .write(0, opus(index, side), &mut sink)
            .expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let got = tracks(&open_bytes(sink.into_bytes()));
    let starts: Vec<u64> = got[0]
        .1
        .iter()
        .map(|p| p.chunk.side.as_ref().map_or(0, |s| micros(s.discard_start)))
        .collect();
    assert_eq!(starts, [6500, 0, 0, 6500, 0, 0]);
}

/// Samples that ffmpeg decodes of a file with one channel.
fn decoded(path: &Path) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-f", "s16le", "-"])
        .output()
        .expect("the ffmpeg command (./x setup installs it)");
    assert!(output.status.success(), "{}", path.display());
    output.stdout.len() / 2
}

#[test]
fn vorbis_from_ogg_is_as_long_in_matroska_as_it_was() {
    // Ends at many places in the last block, also before its half.
    for samples in [96_000, 96_100, 96_500, 96_700, 95_800, 144_001] {
        let sound = format!("anoisesrc=r=48000:a=0.4:seed=7,atrim=end_sample={samples}");
        let args = ["-f", "lavfi", "-i", &sound, "-c:a", "libvorbis"];
        let path = ffmpeg(&format!("length-{samples}.ogg"), &args);
        assert_eq!(decoded(&path), samples);
        let source = tracks(&open_bytes(std::fs::read(&path).expect("it").into()));
        let bytes = to_memory(
            &source,
            MatroskaMuxer::matroska(MuxOptions::default()),
            true,
        );
        let copied = save(&format!("length-{samples}.mkv"), &bytes);
        assert_eq!(decoded(&copied), samples);
        let demuxer = open_bytes(bytes.clone());
        let length = demuxer.duration().expect("a length");
        assert!(
            length.abs_diff(samples as u64 * 1_000_000 / 48_000) <= 1000,
            "{samples}: {length}"
        );
        // From Matroska, where durations count what is dropped, it is copied as it is.
        let read = tracks(&demuxer);
        let dropped = |source: &[(_, Vec<reelcore_media::demux::Packet>)]| -> Vec<u64> {
            let side = |packet: &reelcore_media::demux::Packet| {
                packet
                    .chunk
                    .side
                    .as_ref()
                    .map_or(0, |side| micros(side.discard_end))
            };
            source[0].1.iter().map(side).collect()
        };
        assert_eq!(dropped(&read), dropped(&source), "{samples}");
        let again = to_memory(&read, MatroskaMuxer::matroska(MuxOptions::default()), true);
        assert_eq!(
            decoded(&save(&format!("again-{samples}.mkv"), &again)),
            samples
        );
    }
}
