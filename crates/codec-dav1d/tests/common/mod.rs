//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::Path;

use bytes::Bytes;
use md5::{Digest, Md5};
use reelcore_codec_dav1d::Dav1d;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::codec_string::Av1;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
    VideoFrame, av1,
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

pub fn context(threads: usize) -> DecoderContext {
    DecoderContext {
        pool: BufferPool::new(64 << 20),
        threads,
        limits: Limits::default(),
    }
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

/// The MD5 of the visible part, tightly packed.
pub fn md5(frame: &VideoFrame) -> String {
    let image = frame.resource.cpu().expect("CPU memory");
    let format = image.format();
    let mut hash = Md5::new();
    for (index, plane) in image.planes().iter().enumerate() {
        let size = format.plane_size(index, frame.visible_rect.size());
        let row = size.width as usize * format.sample_bytes(index);
        for y in 0..size.height as usize {
            hash.update(&plane.data[y * plane.stride..y * plane.stride + row]);
        }
    }
    format!("{:x}", hash.finalize())
}

/// Decodes all chunks and flushes.
pub fn decode_all(decoder: &mut dyn VideoDecoder, chunks: &[EncodedChunk]) -> Vec<VideoFrame> {
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder
            .decode(chunk, &mut |frame| frames.push(frame))
            .expect("decodes");
    }
    decoder
        .flush(&mut |frame| frames.push(frame))
        .expect("flushes");
    frames
}

pub fn checksums(frames: &[VideoFrame]) -> Vec<String> {
    frames.iter().map(md5).collect()
}

pub fn times(frames: &[VideoFrame]) -> Vec<(i64, Option<u64>)> {
    frames.iter().map(|f| (f.timestamp, f.duration)).collect()
}
