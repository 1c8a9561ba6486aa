//! Writes containers, and reads back what was written.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::mux::{MemorySink, QueueSink, create};
use reelcore_containers::{BytesSource, StreamLimits, open, stream};
use reelcore_media::demux::{Demuxer, Packet, Track, TrackKind};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{ChunkKind, ColorSpace, EncodedChunk, Rotation, Size};

/// A track of pictures.
pub fn video(codec: &str, width: u32, height: u32) -> OutputTrack {
    OutputTrack {
        kind: OutputKind::Video {
            coded_size: Size::new(width, height),
            display_aspect: None,
            rotation: Rotation::R0,
            flip: false,
            color_space: ColorSpace::default(),
            framerate: None,
            alpha: false,
        },
        codec: codec.to_owned(),
        description: None,
        language: None,
        name: None,
    }
}

/// A track of sound.
pub fn audio(codec: &str, sample_rate: u32, channels: u32) -> OutputTrack {
    OutputTrack {
        kind: OutputKind::Audio {
            sample_rate,
            channels,
        },
        ..video(codec, 0, 0)
    }
}

/// A packet.
pub fn packet(kind: ChunkKind, timestamp: i64, duration: u64, data: Vec<u8>) -> OutputPacket {
    let mut chunk = EncodedChunk::new(kind, timestamp, data.into());
    chunk.duration = Some(duration);
    OutputPacket::new(chunk)
}

/// What a muxer is told to write what a demuxer read.
pub fn output_track(track: &Track) -> Option<OutputTrack> {
    let kind = match track.kind {
        TrackKind::Video {
            coded_size,
            display_aspect,
            rotation,
            flip,
            color_space,
            ..
        } => OutputKind::Video {
            coded_size,
            display_aspect: Some(display_aspect),
            rotation,
            flip,
            color_space,
            framerate: None,
            alpha: false,
        },
        TrackKind::Audio {
            sample_rate,
            channels,
        } => OutputKind::Audio {
            sample_rate,
            channels,
        },
        TrackKind::Other(_) => return None,
    };
    Some(OutputTrack {
        kind,
        codec: track.codec.clone()?,
        description: track.description.clone(),
        language: track.language.clone(),
        name: track.name.clone(),
    })
}

/// Opens a file in memory.
pub fn open_bytes(bytes: Bytes) -> Arc<dyn Demuxer> {
    open(Arc::new(BytesSource::new(bytes))).expect("our demuxer reads it")
}

/// All packets of each track that has a codec, with the track.
pub fn tracks(demuxer: &Arc<dyn Demuxer>) -> Vec<(Track, Vec<Packet>)> {
    let mut all = Vec::new();
    for (index, track) in demuxer.tracks().iter().enumerate() {
        if track.codec.is_none() {
            continue;
        }
        let mut reader = Arc::clone(demuxer).reader(index).expect("a reader");
        let mut packets = Vec::new();
        while let Some(packet) = reader.next_sample().expect("a packet") {
            packets.push(packet);
        }
        all.push((track.clone(), packets));
    }
    all
}

/// Writes all tracks; `decode_times` says whether the muxer is told them.
pub fn write(
    source: &[(Track, Vec<Packet>)],
    muxer: &mut dyn Muxer,
    sink: &mut dyn Sink,
    decode_times: bool,
) {
    let mut packets: Vec<(usize, &Packet)> = Vec::new();
    for (index, (track, all)) in source.iter().enumerate() {
        let track = output_track(track).expect("a track");
        assert_eq!(muxer.add_track(track).expect("a codec"), index);
        packets.extend(all.iter().map(|packet| (index, packet)));
    }
    // As a demuxer gives them: track by track would be kept until the end.
    packets.sort_by_key(|(_, packet)| packet.decode_time);
    for (index, packet) in packets {
        let mut out = OutputPacket::new(packet.chunk.clone());
        if decode_times {
            out.decode_time = Some(packet.decode_time);
        }
        muxer.write(index, out, sink).expect("written");
    }
    muxer.finish(sink).expect("finished");
}

/// Writes to memory.
pub fn to_memory(source: &[(Track, Vec<Packet>)], mut muxer: impl Muxer, times: bool) -> Bytes {
    let mut sink = MemorySink::default();
    write(source, &mut muxer, &mut sink, times);
    sink.into_bytes()
}

/// Writes to a stream, which is taken as it comes.
pub fn to_stream(source: &[(Track, Vec<Packet>)], mut muxer: impl Muxer, times: bool) -> Bytes {
    let mut sink = QueueSink::new(1 << 30);
    let reader = sink.clone();
    write(source, &mut muxer, &mut sink, times);
    let mut all = Vec::new();
    while let Some(piece) = reader.take() {
        all.extend_from_slice(&piece);
    }
    all.into()
}

/// Keeps a file for other programs to read.
pub fn save(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("muxed");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// Runs ffprobe over all packets; it may not warn. The streams, each with its values by name, and the number of packets.
pub fn ffprobe(path: &std::path::Path) -> Vec<(HashMap<String, String>, usize)> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "warning",
            "-show_packets",
            "-show_streams",
            "-of",
            "json",
        ])
        .arg(path)
        .output()
        .expect("the ffprobe command (./x setup installs it)");
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && warnings.trim().is_empty(),
        "{}: {warnings}",
        path.display()
    );
    let probe: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packets = probe["packets"].as_array().expect("packets");
    let streams = probe["streams"].as_array().expect("streams");
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    streams
        .iter()
        .enumerate()
        .map(|(index, stream)| {
            let fields = stream.as_object().expect("an object");
            let fields = fields.iter().map(|(name, v)| (name.clone(), value(v)));
            let count = packets
                .iter()
                .filter(|packet| packet["stream_index"] == index)
                .count();
            (fields.collect(), count)
        })
        .collect()
}

/// Tracks and their packets.
pub type Source = Vec<(Track, Vec<Packet>)>;

/// `source` in `container`; with `live`, in a sink that cannot seek.
pub fn written(container: &str, source: &Source, options: &MuxOptions, live: bool) -> Bytes {
    let mut muxer = create(container, options).expect("a muxer");
    if !live {
        let mut sink = MemorySink::default();
        write(source, &mut *muxer, &mut sink, false);
        return sink.into_bytes();
    }
    let mut sink = QueueSink::new(1 << 30);
    write(source, &mut *muxer, &mut sink, false);
    let mut all = Vec::new();
    while let Some(piece) = sink.take() {
        all.extend_from_slice(&piece);
    }
    all.into()
}

/// A demuxer that is fed `bytes`, rather than reading them where it likes.
pub fn streamed(bytes: &Bytes) -> Arc<dyn Demuxer> {
    let (feed, source) = stream(StreamLimits::default(), || {});
    feed.push(bytes.clone());
    feed.finish();
    open(Arc::new(source)).expect("a stream")
}

/// Asserts that `result` is an error whose text has `want`.
pub fn refused(result: Result<impl Sized, MuxError>, want: &str) {
    match result {
        Ok(_) => panic!("expected an error with {want:?}"),
        Err(error) => assert!(error.to_string().contains(want), "{error}"),
    }
}
