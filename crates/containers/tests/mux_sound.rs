//! Ogg, WAV and ADTS that are written are read back, by our demuxers and by ffprobe.

#[path = "support/clips.rs"]
mod made;
#[path = "support/mux.rs"]
mod muxed;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use made::ffmpeg;
use muxed::{
    Source, audio, ffprobe, open_bytes, packet, refused, save, streamed, tracks, video, written,
};
use reelcore_containers::mux::{MemorySink, create};
use reelcore_containers::{FileSource, open};
use reelcore_media::demux::Packet;
use reelcore_media::mux::{MuxOptions, OutputPacket, Sink};
use reelcore_media::{ChunkKind, SideData};

fn make(name: &str, args: &str) -> Source {
    let sound = "sine=440:d=2:sample_rate=44100";
    let other = "sine=880:d=1.5:sample_rate=44100";
    let inputs = ["-f", "lavfi", "-i", sound, "-f", "lavfi", "-i", other];
    let args: Vec<&str> = inputs.into_iter().chain(args.split_whitespace()).collect();
    let path: PathBuf = ffmpeg(name, &args);
    let source = Arc::new(FileSource::open(path).expect("a file"));
    tracks(&open(source).expect("a container"))
}

fn ogg_sources() -> Vec<(&'static str, Source)> {
    vec![
        ("opus.ogg", make("opus.ogg", "-map 0:a -c:a libopus")),
        ("vorbis.ogg", make("vorbis.ogg", "-map 0:a -c:a libvorbis")),
        ("flac.ogg", make("flac.ogg", "-map 0:a -c:a flac")),
        (
            "opus-short.webm",
            make(
                "opus-short.webm",
                "-map 0:a -c:a libopus -frame_duration 2.5",
            ),
        ),
        (
            "opus-long.mkv",
            make(
                "opus-long.mkv",
                "-map 0:a -c:a libopus -frame_duration 60 -ac 2",
            ),
        ),
        ("flac.flac", make("flac.flac", "-map 0:a -c:a flac")),
        (
            "vorbis.webm",
            make("vorbis.webm", "-map 0:a -c:a libvorbis"),
        ),
        (
            "three.mkv",
            make(
                "three.mkv",
                "-map 0:a -map 1:a -map 1:a -c:a:0 libvorbis -c:a:1 libopus -c:a:2 flac",
            ),
        ),
    ]
}

#[test]
fn ogg_is_read_back_with_its_times_headers_and_what_is_dropped() {
    for (name, source) in ogg_sources() {
        for live in [false, true] {
            let bytes = written("ogg", &source, &MuxOptions::default(), live);
            let demuxer = match live {
                true => streamed(&bytes),
                false => open_bytes(bytes.clone()),
            };
            assert_eq!(demuxer.container(), "ogg");
            let got = tracks(&demuxer);
            assert_eq!(source.len(), got.len(), "{name}");
            for ((track, want), (got_track, got)) in source.iter().zip(&got) {
                assert_eq!(track.codec, got_track.codec, "{name}");
                assert_eq!(track.kind, got_track.kind, "{name}");
                assert_eq!(track.description, got_track.description, "{name}");
                assert_eq!(want.len(), got.len(), "{name}: packets");
                let ogg = name.ends_with(".ogg");
                // Other containers have rounded the times already.
                let slack = if ogg { 0 } else { 1000 };
                for (index, (want, got)) in want.iter().zip(got).enumerate() {
                    let what = format!(
                        "{name}, live {live}, packet {index}: {:?} {:?}",
                        want.chunk.side, got.chunk.side
                    );
                    assert!(want.chunk.data == got.chunk.data, "{what}");
                    // Of the first packet of Vorbis nothing comes out, whatever its time.
                    let vorbis = track.codec.as_deref() == Some("vorbis");
                    let silent = index == 0 && !ogg && vorbis;
                    let apart = want.chunk.timestamp.abs_diff(got.chunk.timestamp);
                    assert!(
                        silent || apart <= slack,
                        "{what}: {} {}",
                        want.chunk.timestamp,
                        got.chunk.timestamp
                    );
                    if ogg {
                        assert_eq!(want.chunk.duration, got.chunk.duration, "{what}");
                        assert_eq!(want.chunk.side, got.chunk.side, "{what}");
                    } else if index > 0 {
                        let end = |packet: &Packet| {
                            packet
                                .chunk
                                .side
                                .as_ref()
                                .map_or(Duration::ZERO, |s| s.discard_end)
                        };
                        assert!(
                            end(want).abs_diff(end(got)) < Duration::from_micros(21),
                            "{what}"
                        );
                        assert_eq!(want.presented, got.presented, "{what}");
                    }
                }
            }
            let file = save(&format!("{}-{live}.ogg", name.replace('.', "-")), &bytes);
            let streams = ffprobe(&file);
            assert_eq!(streams.len(), source.len(), "{name}");
            for ((fields, _), (track, _)) in streams.iter().zip(&source) {
                assert_eq!(fields.get("codec_name"), track.codec.as_ref(), "{name}");
            }
        }
    }
}

/// The pages: flags, granule position, serial number, packets that end there.
fn pages(bytes: &[u8]) -> Vec<(u8, i64, u32, usize)> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"OggS");
        let segments = usize::from(rest[26]);
        let lacing = &rest[27..27 + segments];
        let size: usize = lacing.iter().map(|&size| usize::from(size)).sum();
        all.push((
            rest[5],
            i64::from_le_bytes(rest[6..14].try_into().expect("8 bytes")),
            u32::from_le_bytes(rest[14..18].try_into().expect("4 bytes")),
            lacing.iter().filter(|&&size| size < 255).count(),
        ));
        rest = &rest[27 + segments + size..];
    }
    all
}

#[test]
fn pages_begin_and_end_streams_and_are_as_small_as_a_stream_asks_for() {
    let source = make("opus.ogg", "-map 0:a -c:a libopus");
    let file = pages(&written("ogg", &source, &MuxOptions::default(), false));
    let live = pages(&written("ogg", &source, &MuxOptions::default(), true));
    for all in [&file, &live] {
        let flags: Vec<u8> = all.iter().map(|page| page.0).collect();
        assert_eq!(flags[0], 2);
        assert_eq!(flags[flags.len() - 1], 4);
        assert!(flags[1..flags.len() - 1].iter().all(|&flags| flags == 0));
        // Two seconds and the pre-skip.
        assert_eq!(all[all.len() - 1].1, 96_000 + 312);
        assert!(all.iter().zip(&all[1..]).all(|(a, b)| a.1 <= b.1));
    }
    assert!(live.iter().all(|page| page.3 == 1));
    assert!(file.len() < 10, "{file:?}");
}

#[test]
fn a_packet_longer_than_a_page_goes_on_on_the_next() {
    let flac = make("flac.flac", "-map 0:a -c:a flac");
    let (track, packets) = &flac[0];
    for size in [65_024, 65_025, 65_026, 130_050, 200_000] {
        let mut sink = MemorySink::default();
        let mut muxer = create("ogg", &MuxOptions::default()).expect("a muxer");
        let output = muxed::output_track(track).expect("a track");
        muxer.add_track(output).expect("a codec");
        let mut want = Vec::new();
        for (index, packet) in packets.iter().take(5).enumerate() {
            let mut data = packet.chunk.data.to_vec();
            if index == 2 {
                data.resize(size, 7);
            }
            let mut out = OutputPacket::new(packet.chunk.clone());
            out.chunk.data = data.clone().into();
            want.push(data);
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        let got = tracks(&open_bytes(sink.into_bytes()));
        let got: Vec<_> = got[0].1.iter().map(|p| p.chunk.data.to_vec()).collect();
        assert!(got == want, "{size}");
    }
}

#[test]
fn tags_are_written_as_comments() {
    let options = MuxOptions {
        tags: vec![
            ("title".into(), "One = 1".into()),
            ("album_artist".into(), "Änne".into()),
            ("track".into(), "7".into()),
        ],
        ..MuxOptions::default()
    };
    for (name, source) in ogg_sources() {
        let demuxer = open_bytes(written("ogg", &source, &options, false));
        for (key, value) in &options.tags {
            let found = demuxer.tags().iter().find(|(known, _)| known == key);
            // Each of several streams has them.
            let found = found.map(|(_, found)| found.starts_with(value.as_str()));
            assert_eq!(found, Some(true), "{name}: {key}");
        }
    }
}

#[test]
fn an_encoders_delay_is_the_pre_skip_of_ogg_and_its_padding_the_end() {
    let mut sink = MemorySink::default();
    let mut muxer = create("ogg", &MuxOptions::default()).expect("a muxer");
    let mut track = audio("opus", 48_000, 2);
    track.description = Some(Bytes::from_static(
        b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0",
    ));
    muxer.add_track(track).expect("a track");
    for index in 0..6_i64 {
        let mut out = packet(ChunkKind::Key, index * 2500, 2500, vec![0xe0, index as u8]);
        let start = [2500, 2500, 1500, 0, 0, 0][index as usize];
        let end = if index == 5 { 1000 } else { 0 };
        if start + end > 0 {
            out.chunk.side = Some(Arc::new(SideData {
                discard_start: Duration::from_micros(start),
                discard_end: Duration::from_micros(end),
                counts_kept: true,
                ..SideData::default()
            }));
        }
        muxer.write(0, out, &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    let bytes = sink.into_bytes();
    let got = tracks(&open_bytes(bytes.clone()));
    for (index, packet) in (0..).zip(&got[0].1) {
        assert_eq!(packet.chunk.timestamp, index * 2500 - 6500);
        assert_eq!(packet.presented, index > 1, "{index}");
    }
    let last = got[0].1[5].chunk.side.as_ref().expect("what is dropped");
    assert_eq!(last.discard_end, Duration::from_millis(1));
    ffprobe(&save("pre-skip.ogg", &bytes));
}

#[test]
fn wav_is_read_back_byte_for_byte_in_every_format() {
    let formats = [
        ("pcm_u8", 1),
        ("pcm_s16le", 2),
        ("pcm_s24le", 2),
        ("pcm_s32le", 1),
        ("pcm_f32le", 2),
        ("pcm_alaw", 1),
        ("pcm_mulaw", 2),
        ("pcm_s16le", 6),
        ("pcm_f32le", 8),
    ];
    let options = MuxOptions {
        tags: vec![
            ("title".into(), "Odd".into()),
            ("artist".into(), "Even".into()),
        ],
        ..MuxOptions::default()
    };
    for (codec, channels) in formats {
        let name = format!("{codec}-{channels}.wav");
        let source = make(&name, &format!("-map 0:a -c:a {codec} -ac {channels}"));
        for live in [false, true] {
            let bytes = written("wav", &source, &options, live);
            let demuxer = match live {
                true => streamed(&bytes),
                false => open_bytes(bytes.clone()),
            };
            let got = tracks(&demuxer);
            assert_eq!(source[0].0.kind, got[0].0.kind, "{name}");
            assert_eq!(source[0].0.codec, got[0].0.codec, "{name}");
            assert_eq!(source[0].1.len(), got[0].1.len(), "{name}, live {live}");
            for (want, got) in source[0].1.iter().zip(&got[0].1) {
                assert_eq!(want.chunk, got.chunk, "{name}, live {live}");
            }
            for (key, value) in &options.tags {
                assert!(
                    demuxer.tags().contains(&(key.clone(), value.clone())),
                    "{name}"
                );
            }
            if !live {
                let streams = ffprobe(&save(&name, &bytes));
                assert_eq!(streams[0].0["codec_name"], codec);
                assert_eq!(streams[0].0["channels"], channels.to_string());
                assert_eq!(streams[0].0["duration"], "2.000000", "{name}");
            }
        }
    }
}

/// Keeps the first bytes, and counts the others.
#[derive(Default)]
struct Long {
    head: Vec<u8>,
    len: u64,
}

impl Sink for Long {
    fn write(&mut self, data: Bytes) -> io::Result<()> {
        if self.len < 4096 {
            self.head.extend_from_slice(&data[..data.len().min(4096)]);
        }
        self.len += data.len() as u64;
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = offset as usize;
        self.head[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn insert(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn wav_beyond_4_gib_is_rf64() {
    let data = Bytes::from(vec![0; 1 << 26]);
    for (packets, id) in [(63_u64, b"RIFF"), (64, b"RF64"), (80, b"RF64")] {
        let mut sink = Long::default();
        let mut muxer = create("wav", &MuxOptions::default()).expect("a muxer");
        muxer
            .add_track(audio("pcm-s16", 48_000, 2))
            .expect("a track");
        for index in 0..packets {
            let mut out = packet(ChunkKind::Key, index as i64, 1, Vec::new());
            out.chunk.data = data.clone();
            muxer.write(0, out, &mut sink).expect("written");
        }
        muxer.finish(&mut sink).expect("finished");
        assert_eq!(&sink.head[..4], id);
        let field = |at: usize| u64::from_le_bytes(sink.head[at..at + 8].try_into().expect("8"));
        if id == b"RF64" {
            assert_eq!(&sink.head[12..16], b"ds64");
            assert_eq!(field(20), sink.len - 8);
            assert_eq!(field(28), packets << 26);
            assert_eq!(field(36), (packets << 26) / 4);
            assert_eq!(sink.head[4..8], [0xff; 4]);
        } else {
            assert_eq!(field(4) as u32, (sink.len - 8) as u32);
        }
    }
}

#[test]
fn adts_has_the_frames_with_headers_whatever_they_came_with() {
    let raw = make("aac.mp4", "-map 0:a -c:a aac");
    let framed = make("aac.aac", "-map 0:a -c:a aac");
    for (name, source) in [("aac.mp4", &raw), ("aac.aac", &framed)] {
        for live in [false, true] {
            let bytes = written("adts", source, &MuxOptions::default(), live);
            let got = tracks(&open_bytes(bytes.clone()));
            assert_eq!(got[0].1.len(), source[0].1.len(), "{name}");
            for (want, got) in source[0].1.iter().zip(&got[0].1) {
                assert!(got.chunk.data.ends_with(&want.chunk.data), "{name}");
            }
            assert_eq!(got[0].0.kind, source[0].0.kind, "{name}");
            // Not for its warnings: it has one for every ADTS file, that the duration is estimated.
            let probed = made::ffprobe(&save(&format!("{name}-{live}.aac"), &bytes), 1);
            assert_eq!(probed[0].len(), source[0].1.len());
        }
    }
}

#[test]
fn misuse_is_refused_with_the_reason() {
    let new = |name: &str| create(name, &MuxOptions::default()).expect("a muxer");
    for name in ["ogg", "wav", "adts"] {
        refused(new(name).add_track(video("vp8", 64, 48)), "vp8");
        refused(new(name).add_track(audio("mp3", 48_000, 2)), "mp3");
        refused(
            new(name).finish(&mut MemorySink::default()),
            "expected a track",
        );
    }
    refused(
        new("ogg").add_track(audio("vorbis", 48_000, 2)),
        "headers of Vorbis",
    );
    refused(new("ogg").add_track(audio("flac", 48_000, 2)), "STREAMINFO");
    refused(new("wav").add_track(audio("pcm-s16", 0, 2)), "sample rate");
    let mut track = audio("mp4a.40.2", 48_000, 2);
    track.description = Some(Bytes::from_static(&[0x11]));
    refused(new("adts").add_track(track), "AudioSpecificConfig");
    let mut sink = MemorySink::default();
    let key = |data: &[u8]| packet(ChunkKind::Key, 0, 20_000, data.to_vec());
    for (name, codec, good, bad, want) in [
        ("ogg", "opus", &[0x78, 1][..], &[][..], "empty"),
        ("wav", "pcm-s16", &[1, 2, 3, 4], &[1, 2, 3], "frames of 4"),
        (
            "adts",
            "mp4a.40.2",
            &[0xff, 0xf1, 0x50, 0x80, 0x01, 0x1f, 0xfc, 0],
            &[1, 2],
            "ADTS",
        ),
    ] {
        let mut muxer = new(name);
        muxer.add_track(audio(codec, 48_000, 2)).expect("a track");
        refused(muxer.write(1, key(good), &mut sink), "below 1");
        muxer.write(0, key(good), &mut sink).expect(name);
        refused(
            muxer.add_track(audio(codec, 48_000, 2)),
            "after the first packet",
        );
        refused(muxer.write(0, key(bad), &mut sink), want);
        let mut muxer = new(name);
        muxer.add_track(audio(codec, 48_000, 2)).expect("a track");
        muxer.write(0, key(good), &mut sink).expect(name);
        muxer.end_track(0, &mut sink).expect("ended");
        refused(muxer.write(0, key(good), &mut sink), "has ended");
        muxer.finish(&mut sink).expect("finished");
        refused(muxer.finish(&mut sink), "finished");
    }
    // Only a new link of a chain could say it.
    let mut muxer = new("ogg");
    muxer.add_track(audio("opus", 48_000, 2)).expect("a track");
    let mut cut = key(&[0x78, 1]);
    cut.chunk.side = Some(Arc::new(SideData {
        discard_end: Duration::from_millis(5),
        ..SideData::default()
    }));
    muxer.write(0, cut, &mut sink).expect("written");
    refused(
        muxer.write(
            0,
            packet(ChunkKind::Key, 20_000, 20_000, vec![0x78, 2]),
            &mut sink,
        ),
        "middle",
    );
}
