//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::Path;

use bytes::Bytes;
use reelcore_codec_dav1d::Dav1d;
#[allow(unused_imports)]
pub use reelcore_conformance::random::Random;
#[allow(unused_imports)]
pub use reelcore_conformance::video::{checksums, context, decode_all, md5, times};
use reelcore_media::codec::DecoderContext;
use reelcore_media::codec_string::Av1;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig, av1,
};

pub fn config() -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::Av1(Av1 {
        profile: 0,
        level: 4,
        high_tier: false,
        bit_depth: 8,
        monochrome: false,
        chroma: [1, 1, 0],
        color: [1, 1, 1],
        full_range: false,
    }))
}

pub fn start(context: &DecoderContext) -> Box<dyn VideoDecoder> {
    Dav1d.start(&config(), context).expect("starts")
}

/// A stream with the checksums that another decoder made.
pub struct Stream {
    pub chunks: Vec<EncodedChunk>,
    pub md5: Vec<String>,
}

impl Stream {
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let bytes = Bytes::from(std::fs::read(folder.join(format!("{name}.ivf"))).expect("stream"));
        let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).expect("checksums");
        let md5 = text
            .lines()
            .map(|line| line.strip_prefix("frame ").expect("a frame").to_string())
            .collect();
        // IVF: a header of 32 bytes, then before each frame its size and 8 bytes of time.
        let mut chunks = Vec::new();
        let mut at = 32;
        while at < bytes.len() {
            let size = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            let data = bytes.slice(at + 12..at + 12 + size);
            at += 12 + size;
            let index = chunks.len() as i64;
            let key = av1::inspect(&data).unwrap().first_frame_is_key == Some(true);
            chunks.push(EncodedChunk {
                kind: if key {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                // Negative times first, as an edit list makes them.
                timestamp: (index - 2) * 40_000,
                duration: (index % 3 != 2).then_some(40_000 + index as u64),
                data,
                side: None,
            });
        }
        Self { chunks, md5 }
    }
}
