//! MP4 from packets that are made by hand: orientation, tags, large files, misuse.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux_mp4.rs"]
mod mp4;
#[path = "support/mux.rs"]
mod muxed;
mod support;

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mp4::{described, fragmented, opus, read, write};
use muxed::{audio, ffprobe, open_bytes, packet, save, video};
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::{FileSink, MemorySink, QueueSink};
use reelcore_containers::open;
use reelcore_media::demux::{Source, TrackKind};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{ChunkKind, ColorSpace, Rotation, Size};

#[test]
fn a_language_that_three_letters_do_not_say_is_read_back() {
    for (language, want) in [
        ("de", Some("de")),
        ("en-US", Some("en-US")),
        ("zh-Hant-TW", Some("zh-Hant-TW")),
        ("ENG", Some("ENG")),
        ("deu", Some("deu")),
        ("und", None),
        ("no language", None),
    ] {
        for options in [MuxOptions::default(), fragmented()] {
            let track = OutputTrack {
                language: Some(language.to_owned()),
                ..video("vp8", 64, 48)
            };
            let frame = packet(ChunkKind::Key, 0, 40_000, vec![0; 9]);
            let demuxer = open_bytes(write(options, track, &[frame]));
            assert_eq!(demuxer.tracks()[0].language.as_deref(), want, "{language}");
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
            track.name = Some("Caméra 2\0".to_owned());
            let key = [packet(ChunkKind::Key, 0, 40_000, vec![0; 9])];
            for options in [MuxOptions::default(), fragmented()] {
                let demuxer = open_bytes(write(options, track.clone(), &key));
                let got = &demuxer.tracks()[0];
                assert_eq!(
                    got.kind,
                    TrackKind::Video {
                        coded_size: Size::new(720, 576),
                        display_aspect: aspect,
                        aspect_of_stream: false,
                        rotation,
                        flip,
                        color_space: ColorSpace::REC709,
                    }
                );
                assert_eq!(got.language.as_deref(), Some("fra"));
                assert_eq!(got.name.as_deref(), Some("Caméra 2"));
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
    // Further than an encoder that is flushed goes back.
    early.chunk.timestamp = -100_000;
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
