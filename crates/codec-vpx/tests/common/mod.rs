//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use reelcore_codec_vpx::Vpx;
#[allow(unused_imports)]
pub use reelcore_conformance::random::Random;
#[allow(unused_imports)]
pub use reelcore_conformance::video::{checksums, context, decode_all, md5, times};
use reelcore_media::codec::DecoderContext;
use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};
use reelcore_media::{
    ChunkKind, EncodedChunk, SideData, VideoCodec, VideoDecoder, VideoDecoderBackend,
    VideoDecoderConfig,
};

pub fn config(codec: &str) -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::parse(codec).expect("a codec string"))
}

/// A stream with the checksums that another decoder made.
pub struct Stream {
    pub codec: &'static str,
    pub chunks: Vec<EncodedChunk>,
    pub md5: Vec<String>,
}

/// The chunks of an IVF file: a header of 32 bytes, then before each frame its size and 8 bytes of time.
pub fn ivf(path: &Path) -> (&'static str, Vec<Bytes>) {
    let bytes = Bytes::from(std::fs::read(path).expect("stream"));
    assert_eq!(&bytes[..4], b"DKIF", "{}", path.display());
    let codec = match &bytes[8..12] {
        b"VP80" => "vp8",
        b"VP90" => "vp09.00.10.08",
        other => panic!("{other:?} in {}", path.display()),
    };
    let mut units = Vec::new();
    let mut at = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
    while at < bytes.len() {
        let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        units.push(bytes.slice(at + 12..at + 12 + size));
        at += 12 + size;
    }
    (codec, units)
}

pub fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("checksums");
    text.lines().map(str::to_string).collect()
}

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Whether a chunk starts with a key frame.
pub fn is_key(codec: &str, data: &[u8]) -> bool {
    if codec == "vp8" {
        return Vp8FrameHeader::parse(data).unwrap().key.is_some();
    }
    let frame = Superframe::parse(data).unwrap().frames()[0].clone();
    Vp9FrameHeader::parse(&data[frame]).unwrap().kind == Vp9FrameKind::Key
}

impl Stream {
    /// A stream of `tests/data`, with its alpha where there is one.
    pub fn read(name: &str) -> Self {
        let mut stream = Self::open(
            &data(&format!("{name}.ivf")),
            lines(&data(&format!("{name}.md5"))),
        );
        let alpha = data(&format!("{name}.alpha.ivf"));
        if alpha.exists() {
            let (_, alpha) = ivf(&alpha);
            assert_eq!(alpha.len(), stream.chunks.len());
            for (chunk, alpha) in stream.chunks.iter_mut().zip(alpha) {
                chunk.side = Some(Arc::new(SideData {
                    alpha: Some(alpha),
                    ..SideData::default()
                }));
            }
        }
        stream
    }

    pub fn open(path: &Path, md5: Vec<String>) -> Self {
        let (codec, units) = ivf(path);
        let chunks = units
            .into_iter()
            .enumerate()
            .map(|(index, data)| EncodedChunk {
                kind: if is_key(codec, &data) {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                // Negative times first, as an edit list makes them.
                timestamp: (index as i64 - 2) * 40_000,
                duration: (index % 3 != 2).then_some(40_000 + index as u64),
                data,
                side: None,
            })
            .collect();
        Self { codec, chunks, md5 }
    }

    pub fn start(&self, context: &DecoderContext) -> Box<dyn VideoDecoder> {
        Vpx.start(&config(self.codec), context).expect("starts")
    }

    /// The times of the chunks that show a picture.
    pub fn shown_times(&self) -> Vec<(i64, Option<u64>)> {
        let shown = |chunk: &&EncodedChunk| {
            let data = &chunk.data;
            if self.codec == "vp8" {
                return Vp8FrameHeader::parse(data).unwrap().shown;
            }
            Superframe::parse(data)
                .unwrap()
                .frames()
                .iter()
                .any(|frame| Vp9FrameHeader::parse(&data[frame.clone()]).unwrap().shown)
        };
        let chunks = self.chunks.iter().filter(shown);
        chunks.map(|c| (c.timestamp, c.duration)).collect()
    }
}

/// The chunk with other alpha.
pub fn with_alpha(chunk: &EncodedChunk, alpha: Option<Bytes>) -> EncodedChunk {
    EncodedChunk {
        side: Some(Arc::new(SideData {
            alpha,
            ..SideData::default()
        })),
        ..chunk.clone()
    }
}

pub fn alpha(chunk: &EncodedChunk) -> Bytes {
    let side = chunk.side.as_ref().expect("side data");
    side.alpha.clone().expect("alpha")
}
