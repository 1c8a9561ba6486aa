//! Times and edit lists of MP4 that is written.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::sync::Arc;
use std::time::Duration;

use mp4::{described, fragmented, opus, read, write};
use muxed::{audio, ffprobe, packet, save, video};
use reelcore_media::demux::{Packet, TrackKind};
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket};
use reelcore_media::{ChunkKind, SideData};

/// A packet of Opus that lasts 20 ms.
fn sound(timestamp: i64, start: u64, end: u64, counts_kept: bool) -> OutputPacket {
    let mut packet = packet(ChunkKind::Key, timestamp, 20_000, vec![0xfc, 1, 2]);
    if start + end > 0 {
        packet.chunk.side = Some(Arc::new(SideData {
            discard_start: Duration::from_micros(start),
            discard_end: Duration::from_micros(end),
            counts_kept,
            ..SideData::default()
        }));
    }
    packet
}

fn micros(packet: &Packet) -> (i64, u128, u128) {
    let side = packet.chunk.side.as_deref().cloned().unwrap_or_default();
    // Nearest, as a frame of 48 kHz is no whole number of microseconds.
    let round = |duration: Duration| (duration.as_nanos() + 500) / 1000;
    (
        packet.chunk.timestamp,
        round(side.discard_start),
        round(side.discard_end),
    )
}

#[test]
fn what_an_encoder_puts_before_and_after_the_sound_is_not_heard() {
    for (first, counts_kept, want) in [
        // As containers count: the first sample that is decoded has the time.
        (-6500, false, -6500),
        (0, false, 0),
        (500_000, false, 500_000),
        // As encoders count: the first sample that is heard has it.
        (0, true, -6500),
        (1_000_000, true, 993_500),
    ] {
        let packets: Vec<OutputPacket> = (0..50)
            .map(|index| {
                let at = first + index * 20_000;
                match index {
                    0 => sound(at, 6500, 0, counts_kept),
                    49 => sound(at, 0, 7000, false),
                    _ => sound(at, 0, 0, false),
                }
            })
            .collect();
        let bytes = write(MuxOptions::default(), opus(), &packets);
        save(&format!("opus-{first}-{counts_kept}.mp4"), &bytes);
        let got = read(bytes);
        assert_eq!(got.len(), 50);
        assert_eq!(micros(&got[0]), (want, 6500, 0), "{first} {counts_kept}");
        assert_eq!(micros(&got[1]), (want + 20_000, 0, 0));
        assert_eq!(micros(&got[49]), (want + 49 * 20_000, 0, 7000));
        // In fragments the end is not known when the edit list is written.
        let got = read(write(fragmented(), opus(), &packets));
        assert_eq!(micros(&got[0]), (want, 6500, 0), "{first} {counts_kept}");
        assert_eq!(micros(&got[49]), (want + 49 * 20_000, 0, 0));
    }
}

#[test]
fn a_delay_longer_than_packets_is_the_sum_of_what_they_say() {
    // As AudioEncoder gives them: 2112 frames of delay over packets of 1024, and times that count what was put in.
    let step = |index: i64| index * 1024 * 1_000_000 / 48_000;
    let packets: Vec<OutputPacket> = (0..12)
        .map(|index| {
            let length = (step(index + 1) - step(index)) as u64;
            let mut out = packet(ChunkKind::Key, step(index), length, vec![1; 30]);
            let frames = [1024, 1024, 64].get(index as usize).copied().unwrap_or(0);
            if frames > 0 {
                out.chunk.side = Some(Arc::new(SideData {
                    discard_start: Duration::from_nanos(frames * 1_000_000_000 / 48_000),
                    counts_kept: true,
                    ..SideData::default()
                }));
            }
            out
        })
        .collect();
    let track = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    for options in [MuxOptions::default(), fragmented()] {
        let got = read(write(options, track.clone(), &packets));
        assert_eq!(got.len(), 12);
        for (index, got) in (0..).zip(&got) {
            let want = (index * 1024 - 2112) * 1_000_000_i64;
            assert!(
                (got.chunk.timestamp * 48_000 - want).abs() <= 48_000,
                "{index}: {}",
                got.chunk.timestamp
            );
            assert_eq!(got.presented, index >= 2, "{index}");
        }
        // The first sound that is heard is at 0.
        let (at, start, _) = micros(&got[2]);
        assert!((at + start as i64).abs() <= 1, "{at} {start}");
    }
}

#[test]
fn sound_of_44100_hz_is_cut_to_the_sample() {
    let track = described(audio("mp4a.40.2", 44_100, 2), &[0x12, 0x10]);
    let frame = |index: i64| (index * 1024 * 1_000_000 * 2 + 44_100).div_euclid(2 * 44_100);
    let packets: Vec<OutputPacket> = (0..100)
        .map(|index| {
            let at = frame(index - 1);
            let length = (frame(index) - at) as u64;
            // A frame of silence.
            let silence = vec![0x21, 0, 0x49, 0x90, 2, 0x19, 0, 0x23, 0x80];
            let mut packet = packet(ChunkKind::Key, at, length, silence);
            // 1024 samples of priming; 500 of padding.
            let (start, end) = match index {
                0 => (1024_u64, 0_u64),
                99 => (0, 500),
                _ => (0, 0),
            };
            if start + end > 0 {
                let samples = |count: u64| Duration::from_nanos(count * 1_000_000_000 / 44_100);
                packet.chunk.side = Some(Arc::new(SideData {
                    discard_start: samples(start),
                    discard_end: samples(end),
                    ..SideData::default()
                }));
            }
            packet
        })
        .collect();
    let bytes = write(MuxOptions::default(), track, &packets);
    let file = save("aac-cut.mp4", &bytes);
    let got = read(bytes);
    for (index, (want, got)) in packets.iter().zip(&got).enumerate() {
        assert_eq!(want.chunk.timestamp, got.chunk.timestamp, "{index}");
        assert_eq!(want.chunk.duration, got.chunk.duration, "{index}");
    }
    let end = got[99].chunk.side.as_ref().expect("padding").discard_end;
    assert!(
        end.as_nanos().abs_diff(500 * 1_000_000_000 / 44_100) <= 2,
        "{end:?}"
    );
    let streams = ffprobe(&file);
    // 98 frames of 1024 and 524 samples.
    let duration: f64 = streams[0].0["duration"].parse().expect("a number");
    assert!(
        (duration - (98.0 * 1024.0 + 524.0) / 44_100.0).abs() < 1e-5,
        "{duration}"
    );
}

#[test]
fn tracks_that_begin_late_or_before_0_keep_their_times() {
    for start in [-500_000, -410_000, -40_000, 0, 123_456, 100_000_000] {
        for options in [MuxOptions::default(), fragmented()] {
            let packets: Vec<OutputPacket> = (0..50)
                .map(|index| packet(ChunkKind::Key, start + index * 40_000, 40_000, vec![0; 9]))
                .collect();
            let got = read(write(options, video("vp8", 64, 48), &packets));
            assert_eq!(got.len(), 50);
            for (want, got) in packets.iter().zip(&got) {
                let time = want.chunk.timestamp;
                let presented = time + 40_000 > 0;
                // What of a picture lies before 0 is not shown.
                let shown = if presented { time.max(0) } else { time };
                assert_eq!(got.chunk.timestamp, shown, "{start}");
                let end = got.chunk.duration.map(|d| shown + d.cast_signed());
                assert_eq!(end, Some(time + 40_000), "{start}");
                assert_eq!(got.presented, presented, "{start}");
            }
        }
    }
}

#[test]
fn times_on_no_common_grid_come_back_to_the_microsecond() {
    let mut at = 0;
    let packets: Vec<OutputPacket> = (0..200_i64)
        .map(|index| {
            at += 10_000 + (index * 7919) % 33_333;
            packet(ChunkKind::Key, at, 1, vec![0; 9])
        })
        .collect();
    for options in [MuxOptions::default(), fragmented()] {
        let got = read(write(options, video("vp8", 64, 48), &packets));
        for (want, got) in packets.iter().zip(&got) {
            assert_eq!(want.chunk.timestamp, got.chunk.timestamp);
        }
    }
}

#[test]
fn a_last_packet_of_unknown_or_no_duration_is_shown() {
    for duration in [None, Some(0), Some(1)] {
        for count in 1..4 {
            let packets: Vec<OutputPacket> = (1..=count)
                .map(|index| {
                    let mut packet = packet(ChunkKind::Key, index * 20_000, 0, vec![0; 9]);
                    packet.chunk.duration = duration;
                    packet
                })
                .collect();
            for options in [MuxOptions::default(), fragmented()] {
                let got = read(write(options, video("vp8", 64, 48), &packets));
                assert_eq!(got.len(), packets.len(), "{duration:?}");
                assert!(got.iter().all(|packet| packet.presented), "{duration:?}");
            }
        }
    }
}

#[test]
fn uncompressed_sound_is_read_in_packets_that_end_at_gaps() {
    // 10 ms at 0, 10, 1020 and 1030 ms.
    let (frames, starts) = (480, [0, 10_000, 1_020_000, 1_030_000]);
    for (codec, frame) in [("pcm-s16", 4), ("ulaw", 2)] {
        let packets = starts.map(|at| packet(ChunkKind::Key, at, 10_000, vec![5; frames * frame]));
        for options in [MuxOptions::default(), fragmented()] {
            let got = read(write(options, audio(codec, 48_000, 2), &packets));
            let got: Vec<(i64, Option<u64>, usize)> = got
                .iter()
                .map(|got| &got.chunk)
                .map(|chunk| (chunk.timestamp, chunk.duration, chunk.data.len() / frame))
                .collect();
            let want = [0, 1_020_000].map(|at| (at, Some(20_000), 2 * frames));
            assert_eq!(got, want, "{codec}");
        }
    }
}

#[test]
fn uncompressed_sound_of_fragments_is_not_read_frame_by_frame() {
    let packets: Vec<OutputPacket> = (0..100)
        .map(|index| {
            packet(
                ChunkKind::Key,
                index * 20_000,
                20_000,
                vec![index as u8; 3840],
            )
        })
        .collect();
    let bytes = write(fragmented(), audio("pcm-s16", 48_000, 2), &packets);
    let demuxer = muxed::open_bytes(bytes);
    let got = muxed::tracks(&demuxer).remove(0).1;
    assert!(got.len() < 150, "{}", got.len());
    let data: Vec<u8> = got.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
    let want: Vec<u8> = packets.iter().flat_map(|p| p.chunk.data.to_vec()).collect();
    assert!(data == want);
    // A seek lands on the very frame.
    let mut reader = demuxer.reader(0).expect("a reader");
    assert_eq!(reader.seek(1_234_000).expect("valid"), Some(1_234_000));
    let here = reader.next_sample().expect("valid").expect("sound");
    assert_eq!((here.chunk.timestamp, here.chunk.data[0]), (1_234_000, 61));
}

#[test]
fn a_gap_of_hours_between_times_on_no_common_grid_is_written() {
    for gap in [7_200_000_000, 50_000_000_000] {
        let times = (0..10).map(|index: i64| index * 40_000 + 1 + if index > 4 { gap } else { 0 });
        let packets: Vec<OutputPacket> = times
            .enumerate()
            .map(|(index, at)| {
                let kind = match index {
                    0 => ChunkKind::Key,
                    _ => ChunkKind::Delta,
                };
                packet(kind, at, 40_000, vec![0; 9])
            })
            .collect();
        // In one table all times become coarser; each fragment has a time of its own.
        for (options, off) in [(MuxOptions::default(), 51), (fragmented(), 0)] {
            let bytes = write(options, video("vp8", 64, 48), &packets);
            if off > 0 {
                assert_eq!(ffprobe(&save("gap.mp4", &bytes))[0].1, 10);
            }
            let got = read(bytes);
            assert_eq!(got.len(), 10);
            for (want, got) in packets.iter().zip(&got) {
                let moved = want.chunk.timestamp - got.chunk.timestamp;
                assert!(moved.abs() <= off, "{gap}: {moved}");
            }
        }
    }
}

#[test]
fn sound_of_an_encoder_that_was_flushed_goes_on_where_it_was_put_in() {
    // 400 ms in two goes, from an encoder with a delay of 1024 frames.
    let step = |index: i64| index * 1024 * 1_000_000 / 48_000;
    let go = |start: i64| {
        (0..20).map(move |index| {
            let length = (step(index + 1) - step(index)) as u64;
            let mut out = packet(ChunkKind::Key, start + step(index), length, vec![1; 30]);
            let frames = |count: u64| Duration::from_nanos(count * 1_000_000_000 / 48_000);
            out.chunk.side = Some(Arc::new(SideData {
                discard_start: frames(if index == 0 { 1024 } else { 0 }),
                discard_end: frames(if index == 19 { 256 } else { 0 }),
                counts_kept: index == 0,
                ..SideData::default()
            }));
            out
        })
    };
    let packets: Vec<OutputPacket> = go(0).chain(go(400_000)).collect();
    let track = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    for container in ["mp4", "fmp4", "matroska", "mpegts"] {
        let mut muxer = reelcore_containers::mux::create(container, &MuxOptions::default())
            .expect("a container");
        let mut sink = reelcore_containers::mux::MemorySink::default();
        muxer.add_track(track.clone()).expect("a codec");
        for packet in &packets {
            muxer
                .write(0, packet.clone(), &mut sink)
                .unwrap_or_else(|error| panic!("{container}: {error}"));
        }
        muxer.finish(&mut sink).expect(container);
        let got = read(sink.into_bytes());
        assert_eq!(got.len(), packets.len(), "{container}");
        // All are earlier by the delay: what is heard of each keeps its time.
        let first = got[0].chunk.timestamp;
        for (want, got) in packets.iter().zip(&got) {
            let moved = got.chunk.timestamp - first - want.chunk.timestamp;
            assert!(moved.abs() <= 23, "{container}: {moved}");
        }
    }
}

#[test]
fn rates_that_a_sample_entry_has_no_room_for_are_read_back() {
    for rate in [88_200, 96_000, 192_000] {
        for options in [MuxOptions::default(), fragmented()] {
            let sound = packet(ChunkKind::Key, 0, 10_000, vec![7; rate as usize / 100 * 4]);
            let bytes = write(options, audio("pcm-s16", rate, 2), &[sound]);
            let demuxer = muxed::open_bytes(bytes);
            let kind = &demuxer.tracks()[0].kind;
            let TrackKind::Audio { sample_rate, .. } = kind else {
                panic!("{kind:?}");
            };
            assert_eq!(*sample_rate, rate);
        }
    }
}

/// AAC of 48 kHz, the first packet of which is all priming, with so many frames of padding at its end.
fn aac_from(start: i64, counts_kept: bool, padding: u64) -> Vec<OutputPacket> {
    let step = |index: i64| (index * 1024 * 1_000_000 + 24_000).div_euclid(48_000);
    let before = i64::from(!counts_kept);
    (0..47)
        .map(|index| {
            let at = step(index - before);
            let length = (step(index + 1 - before) - at) as u64;
            let mut out = packet(ChunkKind::Key, start + at, length, vec![1; 30]);
            let frames = |count: u64| Duration::from_nanos(count * 1_000_000_000 / 48_000);
            out.chunk.side = Some(Arc::new(SideData {
                discard_start: frames(if index == 0 { 1024 } else { 0 }),
                discard_end: frames(if index == 46 { padding } else { 0 }),
                counts_kept: counts_kept && index == 0,
                ..SideData::default()
            }));
            out
        })
        .collect()
}

#[test]
fn priming_of_a_whole_packet_is_dropped_wherever_the_sound_starts() {
    let sound = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    let pictures: Vec<OutputPacket> = (0..60)
        .map(|index| packet(ChunkKind::Key, index * 100_000, 100_000, vec![0; 9]))
        .collect();
    for start in [0, 400_000, 3_500_000] {
        for counts_kept in [true, false] {
            let packets = aac_from(start, counts_kept, 0);
            for with_pictures in [false, true] {
                for options in [MuxOptions::default(), fragmented()] {
                    let what = format!(
                        "{start} {counts_kept} {with_pictures} {}",
                        options.fragmented
                    );
                    let mut sink = reelcore_containers::mux::MemorySink::default();
                    let mut muxer = reelcore_containers::mp4::Mp4Muxer::new(options);
                    let index = usize::from(with_pictures);
                    if with_pictures {
                        muxer.add_track(video("vp8", 64, 48)).expect("a codec");
                    }
                    muxer.add_track(sound.clone()).expect("a codec");
                    let shown = pictures.iter().filter(|_| with_pictures);
                    let mut all: Vec<_> = shown.map(|packet| (0, packet)).collect();
                    all.extend(packets.iter().map(|packet| (index, packet)));
                    all.sort_by_key(|(_, packet)| packet.chunk.timestamp);
                    for (track, packet) in all {
                        muxer
                            .write(track, packet.clone(), &mut sink)
                            .expect("written");
                    }
                    muxer.finish(&mut sink).expect("finished");
                    let demuxer = muxed::open_bytes(sink.into_bytes());
                    let got = muxed::tracks(&demuxer).remove(index).1;
                    assert_eq!(got.len(), packets.len(), "{what}");
                    assert!(!got[0].presented, "{what}");
                    assert_eq!(micros(&got[0]), (start - 21_333, 21_333, 0), "{what}");
                    assert_eq!(micros(&got[1]), (start, 0, 0), "{what}");
                    assert!(got[1].presented, "{what}");
                }
            }
        }
    }
}

#[test]
fn padding_is_dropped_to_the_very_sample() {
    let track = described(audio("mp4a.40.2", 48_000, 2), &[0x11, 0x90]);
    for padding in [0, 1, 2, 3, 1023] {
        let packets = aac_from(0, true, padding);
        let bytes = write(MuxOptions::default(), track.clone(), &packets);
        let got = read(bytes);
        let side = got[46].chunk.side.as_deref().cloned().unwrap_or_default();
        let frames = (side.discard_end.as_nanos() * 48_000 + 500_000_000) / 1_000_000_000;
        assert_eq!(frames, u128::from(padding));
    }
}
