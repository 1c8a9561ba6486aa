//! MP4 from packets that are made by hand: edit lists, orientation, tags, large files, misuse.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use muxed::{audio, ffprobe, open_bytes, packet, save, tracks, video};
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::{FileSink, MemorySink, QueueSink};
use reelcore_containers::open;
use reelcore_media::demux::{Packet, Source, TrackKind};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{ChunkKind, ColorSpace, Rotation, SideData, Size};

const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

fn described(track: OutputTrack, description: &'static [u8]) -> OutputTrack {
    OutputTrack {
        description: Some(Bytes::from_static(description)),
        ..track
    }
}

fn opus() -> OutputTrack {
    described(audio("opus", 48_000, 2), OPUS_HEAD)
}

fn fragmented() -> MuxOptions {
    MuxOptions {
        fragmented: true,
        ..MuxOptions::default()
    }
}

/// Writes one track to memory.
fn write(options: MuxOptions, track: OutputTrack, packets: &[OutputPacket]) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = Mp4Muxer::new(options);
    muxer.add_track(track).expect("a codec");
    for packet in packets {
        muxer.write(0, packet.clone(), &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

fn read(bytes: Bytes) -> Vec<Packet> {
    tracks(&open_bytes(bytes)).remove(0).1
}

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
    for start in [-500_000, -40_000, 0, 123_456, 100_000_000] {
        for options in [MuxOptions::default(), fragmented()] {
            let packets: Vec<OutputPacket> = (0..50)
                .map(|index| packet(ChunkKind::Key, start + index * 40_000, 40_000, vec![0; 9]))
                .collect();
            let got = read(write(options, video("vp8", 64, 48), &packets));
            assert_eq!(got.len(), 50);
            for (want, got) in packets.iter().zip(&got) {
                assert_eq!(want.chunk.timestamp, got.chunk.timestamp, "{start}");
                assert_eq!(got.presented, want.chunk.timestamp + 40_000 > 0, "{start}");
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
fn orientation_aspect_colour_and_language_are_read_back() {
    for quarters in 0..4 {
        for flip in [false, true] {
            let rotation = Rotation::from_quarters(quarters);
            let aspect = Size::new(16, 9);
            let mut track = video("vp8", 720, 576);
            track.kind = OutputKind::Video {
                coded_size: Size::new(720, 576),
                display_aspect: Some(aspect),
                rotation,
                flip,
                color_space: ColorSpace::REC709,
                framerate: Some(25.0),
                alpha: false,
            };
            track.language = Some("fra".to_owned());
            let key = [packet(ChunkKind::Key, 0, 40_000, vec![0; 9])];
            for options in [MuxOptions::default(), fragmented()] {
                let demuxer = open_bytes(write(options, track.clone(), &key));
                let got = &demuxer.tracks()[0];
                assert_eq!(
                    got.kind,
                    TrackKind::Video {
                        coded_size: Size::new(720, 576),
                        display_aspect: aspect,
                        rotation,
                        flip,
                        color_space: ColorSpace::REC709,
                    }
                );
                assert_eq!(got.language.as_deref(), Some("fra"));
            }
        }
    }
}

#[test]
fn tags_are_read_back_by_name() {
    let tags: Vec<(String, String)> = [
        ("title", "A title"),
        ("artist", "Somebody"),
        ("track", "3/12"),
        ("disc", "1"),
        ("replaygain", "-3 dB"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    for form in [MuxOptions::default(), fragmented()] {
        let options = MuxOptions {
            tags: tags.clone(),
            ..form
        };
        let key = [packet(ChunkKind::Key, 0, 40_000, vec![0; 9])];
        let bytes = write(options, video("vp8", 64, 48), &key);
        ffprobe(&save("tags.mp4", &bytes));
        assert_eq!(open_bytes(bytes).tags(), tags);
    }
}

#[test]
fn constant_frames_take_four_bytes_each() {
    let packets: Vec<OutputPacket> = (0..9000_i64)
        .map(|index| {
            let time = (index * 1001 * 1_000_000 + 15_000).div_euclid(30_000);
            let kind = match index % 30 {
                0 => ChunkKind::Key,
                _ => ChunkKind::Delta,
            };
            packet(kind, time, 33_367, vec![7; 1 + index as usize % 5])
        })
        .collect();
    let media: usize = packets.iter().map(|packet| packet.chunk.data.len()).sum();
    let bytes = write(MuxOptions::default(), video("vp8", 64, 48), &packets);
    let tables = bytes.len() - media;
    // Sizes, keys, and a chunk for each half second.
    assert!(
        tables < 9000 * 4 + 300 * 4 + 600 * 20 + 1000,
        "{tables} bytes"
    );
    assert_eq!(read(bytes).len(), 9000);
}

#[test]
fn a_change_of_the_description_gets_a_second_sample_entry() {
    let clips = ["64x48", "96x64"].map(|size| {
        let input = format!("testsrc2=size={size}:rate=25:duration=0.4,format=yuv420p");
        let path = made::ffmpeg(
            &format!("avc-{size}.mp4"),
            &[
                "-f",
                "lavfi",
                "-i",
                &input,
                "-c:v",
                "libx264",
                "-x264-params",
                "log-level=error",
            ],
        );
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        tracks(&open(Arc::new(source)).expect("a clip")).remove(0)
    });
    for options in [MuxOptions::default(), fragmented()] {
        let mut sink = MemorySink::default();
        let mut muxer = Mp4Muxer::new(options);
        muxer
            .add_track(muxed::output_track(&clips[0].0).expect("H.264"))
            .expect("H.264");
        let mut start = 0;
        for (track, packets) in &clips {
            for (index, packet) in packets.iter().enumerate() {
                let mut out = OutputPacket::new(packet.chunk.clone());
                out.chunk.timestamp += start;
                out.decode_time = Some(packet.decode_time + start);
                if index == 0 && start > 0 {
                    out.description = track.description.clone();
                }
                muxer.write(0, out, &mut sink).expect("written");
            }
            start = 1_000_000;
        }
        muxer.finish(&mut sink).expect("finished");
        let bytes = sink.into_bytes();
        assert_eq!(bytes.windows(4).filter(|w| *w == b"avcC").count(), 2);
        let streams = ffprobe(&save("changed.mp4", &bytes));
        assert_eq!(streams[0].1, 20);
        // Ours reads up to the change, and says where it is.
        let demuxer = open_bytes(bytes);
        let mut reader = demuxer.reader(0).expect("a track");
        for _ in 0..10 {
            assert!(reader.next_packet().expect("a packet").is_some());
        }
        let error = reader.next_packet().expect_err("a change");
        assert!(error.to_string().contains("number 2"), "{error}");
    }
}

#[test]
fn annex_b_becomes_lengths_with_its_parameter_sets_in_front() {
    let input = "testsrc2=size=64x48:rate=25:duration=1,format=yuv420p";
    for (codec, args, name) in [
        ("h264", "libx264", "raw.h264"),
        ("hevc", "libx265", "raw.h265"),
    ] {
        let path = made::ffmpeg(
            name,
            &[
                "-f", "lavfi", "-i", input, "-c:v", args, "-bf", "2", "-f", codec,
            ],
        );
        let source = reelcore_containers::FileSource::open(path).expect("a clip");
        let source = tracks(&open(Arc::new(source)).expect("a clip"));
        assert!(source[0].0.description.is_none());
        for options in [MuxOptions::default(), fragmented()] {
            let bytes = muxed::to_memory(&source, Mp4Muxer::new(options), true);
            let streams = ffprobe(&save(&format!("{name}.mp4"), &bytes));
            assert_eq!(streams[0].0["codec_name"], codec);
            assert_eq!(streams[0].1, source[0].1.len());
            let got = tracks(&open_bytes(bytes));
            assert!(got[0].0.description.is_some());
            for (want, got) in source[0].1.iter().zip(&got[0].1) {
                assert_eq!(want.chunk.timestamp, got.chunk.timestamp);
                assert_eq!(want.chunk.kind, got.chunk.kind);
            }
        }
    }
}

/// A file of which only small writes are kept; the rest is zeros.
#[derive(Clone, Default)]
struct Sparse(Arc<Mutex<(u64, Pieces)>>);

/// Bytes, each with its offset.
type Pieces = Vec<(u64, Vec<u8>)>;

impl Sink for Sparse {
    fn write(&mut self, data: Bytes) -> io::Result<()> {
        let mut file = self.0.lock().expect("no panic");
        let at = file.0;
        if data.len() < 1 << 20 {
            file.1.push((at, data.to_vec()));
        }
        file.0 += data.len() as u64;
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0
            .lock()
            .expect("no panic")
            .1
            .push((offset, data.to_vec()));
        Ok(())
    }

    fn insert(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().expect("no panic");
        let mut moved = Vec::new();
        for (at, bytes) in std::mem::take(&mut file.1) {
            let end = at + bytes.len() as u64;
            if at >= offset {
                moved.push((at + data.len() as u64, bytes));
            } else if end <= offset {
                moved.push((at, bytes));
            } else {
                let (head, tail) = bytes.split_at((offset - at) as usize);
                moved.push((at, head.to_vec()));
                moved.push((offset + data.len() as u64, tail.to_vec()));
            }
        }
        moved.push((offset, data.to_vec()));
        file.1 = moved;
        file.0 += data.len() as u64;
        Ok(())
    }
}

impl Source for Sparse {
    fn len(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.0.lock().expect("no panic").0))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.0.lock().expect("no panic");
        let count = buffer.len().min(file.0.saturating_sub(offset) as usize);
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        for (at, bytes) in &file.1 {
            for (index, byte) in bytes.iter().enumerate() {
                let place = (at + index as u64).wrapping_sub(offset);
                if let Some(target) = buffer.get_mut(place as usize) {
                    *target = *byte;
                }
            }
        }
        Ok(count)
    }
}

#[test]
fn files_beyond_4_gib_have_offsets_of_64_bits() {
    let large = Bytes::from(vec![0; 64 << 20]);
    for (fast_start, fragmented) in [(true, false), (false, false), (false, true)] {
        let file = Sparse::default();
        let mut sink = file.clone();
        let mut muxer = Mp4Muxer::new(MuxOptions {
            fast_start,
            fragmented,
            ..MuxOptions::default()
        });
        muxer.add_track(video("vp8", 64, 48)).expect("VP8");
        for index in 0..70 {
            let mut out = packet(ChunkKind::Key, index * 1_000_000, 1_000_000, Vec::new());
            out.chunk.data = match index {
                69 => Bytes::from_static(b"the last one"),
                _ => large.clone(),
            };
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let demuxer = open(Arc::new(file)).expect("read back");
        let mut reader = demuxer.reader(0).expect("a track");
        reader.seek(69_000_000).expect("the last packet");
        let last = reader.next_sample().expect("read").expect("a packet");
        assert_eq!(
            last.chunk.data,
            b"the last one"[..],
            "{fast_start} {fragmented}"
        );
        assert!(last.offset > 1 << 32);
        assert_eq!(last.chunk.timestamp, 69_000_000);
    }
}

#[test]
fn packets_reach_the_sink_without_a_copy() {
    let mut sink = QueueSink::new(1 << 20);
    let mut muxer = Mp4Muxer::new(fragmented());
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    let key = packet(ChunkKind::Key, 0, 40_000, vec![7; 5000]);
    let data = key.chunk.data.clone();
    muxer.write(0, key, &mut sink).expect("written");
    muxer.finish(&mut sink).expect("finished");
    let mut pieces = std::iter::from_fn(|| sink.take());
    assert!(pieces.any(|piece| piece.as_ptr() == data.as_ptr()));
}

#[test]
fn fragments_leave_as_soon_as_they_are_whole() {
    let mut sink = QueueSink::new(1 << 20);
    let reader = sink.clone();
    let mut muxer = Mp4Muxer::new(fragmented());
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    for index in 0..100_i64 {
        let kind = match index % 25 {
            0 => ChunkKind::Key,
            _ => ChunkKind::Delta,
        };
        let packet = packet(kind, index * 40_000, 40_000, vec![0; 100]);
        muxer.write(0, packet, &mut sink).expect("written");
        // The initialisation segment with the first.
        let whole = index / 25 * 2500;
        let written = reader.written() as i64;
        assert!(
            written >= whole && (index >= 25) == (written > 0),
            "{index}: {written}"
        );
    }
}

#[test]
fn a_stream_without_fragments_is_kept_up_to_the_cap_that_the_error_names() {
    let options = MuxOptions {
        max_buffered_bytes: 100_000,
        ..MuxOptions::default()
    };
    let mut sink = QueueSink::new(1 << 20);
    let mut muxer = Mp4Muxer::new(options);
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    let result = (0..100).try_for_each(|index| {
        let packet = packet(ChunkKind::Key, index * 600_000, 40_000, vec![0; 2000]);
        muxer.write(0, packet, &mut sink)
    });
    let error = result.expect_err("200,000 bytes");
    assert!(matches!(error, MuxError::Limit(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("100000 bytes (max_buffered_bytes)"),
        "{error}"
    );
    assert_eq!(sink.written(), 0);
    assert!(muxer.finish(&mut sink).is_err(), "it failed before");
}

#[test]
fn a_file_on_disk_is_the_same_as_one_in_memory() {
    let packets: Vec<OutputPacket> = (0..100)
        .map(|index| {
            packet(
                ChunkKind::Key,
                index * 40_000,
                40_000,
                vec![index as u8; 30_000],
            )
        })
        .collect();
    let want = write(MuxOptions::default(), video("vp8", 64, 48), &packets);
    let path = save("disk.mp4", b"");
    let mut sink = FileSink::create(&path).expect("a file");
    let mut muxer = Mp4Muxer::new(MuxOptions::default());
    muxer.add_track(video("vp8", 64, 48)).expect("VP8");
    for packet in packets {
        muxer.write(0, packet, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.finish().expect("flushed");
    assert!(std::fs::read(path).expect("the file") == want);
}

#[test]
fn misuse_is_refused_with_what_was_expected() {
    let new = || Mp4Muxer::new(MuxOptions::default());
    for (track, want) in [
        (audio("vorbis", 48_000, 2), "Vorbis"),
        (audio("flac", 48_000, 2), "description"),
        (described(audio("flac", 48_000, 2), b"fLaC"), "STREAMINFO"),
        (described(opus(), b"OpusHead"), "OpusHead"),
        (audio("opus", 48_000, 6), "description"),
        (
            described(audio("mp4a.40.2", 48_000, 2), b"\x12"),
            "AudioSpecificConfig",
        ),
        (described(video("avc1.42c00c", 64, 48), b"x"), ""),
        (video("vp8", 0, 48), "coded size"),
        (video("vp8", 70_000, 48), "coded size"),
        (audio("pcm-s16", 0, 2), "sample rate"),
        (video("mp4a.40.2", 64, 48), ""),
        (audio("vp8", 48_000, 2), ""),
    ] {
        let codec = track.codec.clone();
        let error = new().add_track(track).expect_err(&codec);
        assert!(error.to_string().contains(want), "{codec}: {error}");
    }
    let mut sink = MemorySink::default();
    let good = || packet(ChunkKind::Key, 0, 20_000, vec![0; 4]);
    let mut muxer = new();
    assert!(muxer.write(0, good(), &mut sink).is_err(), "no track");
    muxer.add_track(opus()).expect("Opus");
    assert!(muxer.write(1, good(), &mut sink).is_err(), "another track");
    muxer.write(0, good(), &mut sink).expect("written");
    assert!(muxer.add_track(opus()).is_err(), "too late");
    let mut early = good();
    early.chunk.timestamp = -1;
    let error = muxer.write(0, early, &mut sink).expect_err("goes back");
    assert!(error.to_string().contains("at least 0 us"), "{error}");
    for (data, timestamp, codec) in [
        (vec![], 0, "vp8"),
        (vec![1], i64::MAX, "vp8"),
        (vec![1, 2, 3], 0, "pcm-s16"),
    ] {
        let mut muxer = new();
        let track = match codec {
            "vp8" => video("vp8", 64, 48),
            _ => audio(codec, 48_000, 2),
        };
        muxer.add_track(track).expect("a codec");
        let packet = packet(ChunkKind::Key, timestamp, 1, data);
        assert!(muxer.write(0, packet, &mut sink).is_err());
    }
    // A stream whose parameter sets never come.
    let mut muxer = new();
    muxer
        .add_track(video("avc1.42c00c", 64, 48))
        .expect("H.264");
    let error = muxer.finish(&mut sink).expect_err("no parameter sets");
    assert!(error.to_string().contains("description"), "{error}");
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
