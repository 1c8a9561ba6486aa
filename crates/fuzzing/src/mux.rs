//! Arbitrary tracks and packets into each muxer: what it takes is read back.
//!
//! An input is: the container; flags of options and sink; the number of tracks; for each track its codec, flags, and a
//! description after its length; then packets, each its track, flags, a step in time, a length and bytes, and another
//! description where the track's byte says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reelcore_containers::mux::{Format, MemorySink, QueueSink, create_format};
use reelcore_containers::{BytesSource, open_with};
use reelcore_media::demux::{Demuxer, PacketReader};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{ChunkKind, ColorSpace, EncodedChunk, Rotation, SideData, Size};

use crate::demux::{examine, limits};

/// Tracks and packets of one input, at most.
const TRACKS: usize = 4;
const PACKETS: usize = 256;

/// Codec strings with a description that fits, where they have one.
const CODECS: [(&str, &[u8]); 18] = [
    ("vp8", b""),
    ("vp09.00.10.08", b""),
    ("av01.0.04M.08", b""),
    ("avc1.42c00c", AVCC),
    ("avc3.42c00c", AVCC),
    ("hvc1.1.6.L93.B0", b""),
    ("hev1.1.6.L93.B0", b""),
    ("opus", b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"),
    ("mp4a.40.2", &[0x12, 0x10]),
    ("mp4a.40.5", &[0x2b, 0x11, 0x88, 0]),
    ("mp3", b""),
    ("flac", STREAMINFO),
    ("vorbis", b""),
    ("pcm-u8", b""),
    ("pcm-s16", b""),
    ("pcm-s24", b""),
    ("pcm-f32", b""),
    ("ulaw", b""),
];

const AVCC: &[u8] = &[
    1, 66, 0xc0, 12, 0xff, 0xe1, 0, 10, 0x67, 66, 0xc0, 12, 0x8c, 0x8d, 0x40, 0xa0, 0xcb, 0x40, 1,
    0, 4, 0x68, 0xce, 0x3c, 0x80,
];

/// Of another size: 96x64.
const OTHER_AVCC: &[u8] = &[
    1, 66, 0xc0, 12, 0xff, 0xe1, 0, 9, 0x67, 66, 0xc0, 12, 0xda, 0x0d, 0x08, 0x41, 0x10, 1, 0, 4,
    0x68, 0xce, 0x3c, 0x80,
];

const STREAMINFO: &[u8] = &[
    b'f', b'L', b'a', b'C', 0x80, 0, 0, 34, 16, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Reads an input from its start; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn bytes(&mut self, len: usize) -> Bytes {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Bytes::copy_from_slice(head)
    }

    fn word(&mut self) -> i64 {
        i64::from(i16::from_le_bytes([self.byte(), self.byte()]))
    }
}

/// What was taken on a track.
struct Taken {
    codec: &'static str,
    packets: Vec<EncodedChunk>,
    /// Times, or what is dropped, are such that a reader may leave packets out.
    odd: bool,
}

fn track(input: &mut Input<'_>) -> (OutputTrack, &'static str) {
    let (codec, fitting) = CODECS[usize::from(input.byte()) % CODECS.len()];
    let flags = input.byte();
    let is_video = ["vp", "av", "hv", "he"]
        .iter()
        .any(|name| codec.starts_with(name));
    let kind = if is_video {
        OutputKind::Video {
            coded_size: match flags & 0x80 {
                0 => Size::new(64, 48),
                _ => Size::new(u32::from(input.byte()), u32::from(input.byte()) << 9),
            },
            display_aspect: (flags & 1 != 0).then_some(Size::new(u32::from(input.byte()), 3)),
            rotation: Rotation::from_quarters(u32::from(flags >> 1 & 3)),
            flip: flags & 8 != 0,
            color_space: match flags & 0x10 {
                0 => ColorSpace::default(),
                _ => ColorSpace::REC709,
            },
            framerate: (flags & 0x20 != 0).then(|| f64::from(input.byte())),
            alpha: codec.starts_with("vp") && flags & 0x40 != 0,
        }
    } else {
        OutputKind::Audio {
            sample_rate: match flags & 1 {
                0 => 48_000,
                _ => u32::from(input.byte()) << 12,
            },
            channels: u32::from(flags >> 1 & 7) + 1,
        }
    };
    let description = match input.byte() {
        0 if fitting.is_empty() => None,
        0 => Some(Bytes::from_static(fitting)),
        1 => None,
        len => Some(input.bytes(usize::from(len))),
    };
    let track = OutputTrack {
        kind,
        codec: codec.to_owned(),
        description,
        language: (flags & 4 != 0).then(|| "deu".to_owned()),
        name: None,
    };
    (track, codec)
}

fn packet(input: &mut Input<'_>, clock: &mut i64, flags: u8, odd: &mut bool) -> OutputPacket {
    *clock = match flags & 3 {
        0 => clock.saturating_add(20_000),
        1 => clock.saturating_add(input.word() * 1000),
        2 => clock.saturating_add(input.word()),
        _ => input.word() << 40,
    };
    *odd |= flags & 3 != 0;
    let kind = match flags & 4 {
        0 => ChunkKind::Key,
        _ => ChunkKind::Delta,
    };
    let len = usize::from(input.byte());
    let mut chunk = EncodedChunk::new(kind, *clock, input.bytes(len));
    chunk.duration = (flags & 8 != 0).then_some(20_000);
    if flags & 0x10 != 0 {
        *odd = true;
        chunk.side = Some(Arc::new(SideData {
            alpha: (flags & 0x80 != 0).then(|| Bytes::from_static(b"alpha")),
            discard_start: Duration::from_micros(u64::from(input.byte()) * 500),
            discard_end: Duration::from_micros(u64::from(input.byte()) * 500),
            counts_kept: flags & 0x20 != 0,
            hidden: false,
        }));
    }
    let mut packet = OutputPacket::new(chunk);
    if flags & 0x40 != 0 {
        *odd = true;
        packet.decode_time = Some(clock.saturating_sub(i64::from(input.byte()) * 1000));
    }
    packet
}

/// A sink of which the bytes can be had.
enum Target {
    Memory(MemorySink),
    Queue(QueueSink),
}

impl Target {
    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Memory(sink) => sink,
            Self::Queue(sink) => sink,
        }
    }

    fn bytes(self) -> Bytes {
        match self {
            Self::Memory(sink) => sink.into_bytes(),
            Self::Queue(sink) => {
                let mut all = Vec::new();
                while let Some(piece) = sink.take() {
                    all.extend_from_slice(&piece);
                }
                all.into()
            }
        }
    }
}

/// Everything, up to the end of the file.
fn write(
    input: &mut Input<'_>,
    muxer: &mut dyn Muxer,
    tracks: &mut Vec<Taken>,
    sink: &mut dyn Sink,
) -> Result<(), MuxError> {
    for _ in 0..=usize::from(input.byte()) % TRACKS {
        let (track, codec) = track(input);
        // One that is refused leaves the others.
        if let Ok(index) = muxer.add_track(track) {
            assert_eq!(index, tracks.len());
            tracks.push(Taken {
                codec,
                packets: Vec::new(),
                odd: false,
            });
        }
    }
    let mut clocks = vec![0; tracks.len()];
    for _ in 0..PACKETS {
        if input.0.is_empty() || tracks.is_empty() {
            break;
        }
        let (which, flags) = (input.byte(), input.byte());
        let index = usize::from(which) % tracks.len();
        if which >= 0xf0 {
            muxer.end_track(index, sink)?;
            continue;
        }
        let taken = &mut tracks[index];
        let mut packet = packet(input, &mut clocks[index], flags, &mut taken.odd);
        if which & 0x40 != 0 {
            // Another set-up from here on: one that fits H.264, or any.
            packet.description = Some(match input.byte() {
                0 => Bytes::from_static(AVCC),
                1 => Bytes::from_static(OTHER_AVCC),
                len => input.bytes(usize::from(len)),
            });
        }
        let chunk = packet.chunk.clone();
        muxer.write(index, packet, sink)?;
        taken.packets.push(chunk);
    }
    muxer.finish(sink)
}

/// Writes, and reads what was written.
pub fn any(input: &[u8]) {
    let mut input = Input(input);
    let format = Format::ALL[usize::from(input.byte()) % Format::ALL.len()];
    let flags = input.byte();
    let options = MuxOptions {
        tags: match flags & 1 {
            0 => Vec::new(),
            _ => vec![
                ("title".to_owned(), "A title".to_owned()),
                ("mood".to_owned(), "calm".to_owned()),
                ("track".to_owned(), "3/12".to_owned()),
            ],
        },
        max_interleave: Duration::from_millis(if flags & 2 == 0 { 10_000 } else { 30 }),
        max_buffered_bytes: if flags & 4 == 0 { 64 << 20 } else { 2000 },
        fast_start: flags & 8 == 0,
        fragmented: flags & 0x10 != 0,
        fragment_duration: Duration::from_millis(if flags & 0x20 == 0 { 100 } else { 0 }),
        live: flags & 0x40 != 0,
    };
    let Ok(mut muxer) = create_format(format, &options) else {
        return;
    };
    let mut target = match flags & 0x80 {
        0 => Target::Memory(MemorySink::new(64 << 20)),
        _ => Target::Queue(QueueSink::new(64 << 20)),
    };
    let mut tracks = Vec::new();
    let result = write(&mut input, &mut *muxer, &mut tracks, target.sink());
    match result {
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // What failed stays so; nothing panics.
            let _ = muxer.finish(target.sink());
            let no_storage = |error: &io::Error| error.kind() == io::ErrorKind::Unsupported;
            assert!(
                !matches!(&error, MuxError::Io(error) if no_storage(error)),
                "{format:?} changes what a stream has passed on"
            );
        }
        Ok(()) => {
            assert!(muxer.finish(target.sink()).is_err(), "it is finished");
            read_back(format, target.bytes(), &tracks);
        }
    }
}

/// Codecs whose bytes every container leaves as they are, whatever they are.
fn is_opaque(codec: &str) -> bool {
    ["vp8", "vp09", "opus"]
        .iter()
        .any(|name| codec.starts_with(name))
}

fn read_back(format: Format, bytes: Bytes, tracks: &[Taken]) {
    let len = bytes.len() as u64;
    let demuxer = open_with(Arc::new(BytesSource::new(bytes)), &limits());
    let strict = matches!(format, Format::Mp4 | Format::FragmentedMp4);
    let demuxer: Arc<dyn Demuxer> = match demuxer {
        Ok(demuxer) => demuxer,
        // Those without tables are told by what is in the packets, which is arbitrary here.
        Err(error) => {
            assert!(!strict, "{format:?} is not read back: {error}");
            return;
        }
    };
    examine(&demuxer, len, false);
    if !strict {
        return;
    }
    assert_eq!(demuxer.tracks().len(), tracks.len());
    for (index, taken) in tracks.iter().enumerate() {
        if !is_opaque(taken.codec) || taken.odd {
            continue;
        }
        let mut reader = demuxer.clone().reader(index).expect("a track");
        let got = all(&mut *reader);
        // Samples without bytes are dropped pictures.
        let wanted = taken.packets.iter().filter(|chunk| !chunk.data.is_empty());
        let wanted: Vec<_> = wanted.collect();
        assert_eq!(got.len(), wanted.len(), "{format:?}, {}", taken.codec);
        for (want, got) in wanted.into_iter().zip(got) {
            assert_eq!(want.data, got.data);
            assert_eq!(want.timestamp, got.timestamp);
            // Sound does not depend on what is before it, whatever flags say.
            let kind = match taken.codec {
                "opus" => ChunkKind::Key,
                _ => want.kind,
            };
            assert_eq!(kind, got.kind);
        }
    }
}

fn all(reader: &mut dyn PacketReader) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_packet().expect("a packet that was written") {
        chunks.push(chunk);
    }
    chunks
}
