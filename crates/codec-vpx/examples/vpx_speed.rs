//! Frames per second of an IVF file: libvpx alone, and through this crate.
//!
//! `cargo run --release -p reelcore-codec-vpx --features bench --example vpx_speed FILE.ivf [THREADS]`

use std::time::Instant;

use bytes::Bytes;
use reelcore_codec_vpx::{Vpx, bare};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

fn main() {
    let path = std::env::args().nth(1).expect("an IVF file");
    let threads = std::env::args()
        .nth(2)
        .map_or(1, |n| n.parse().expect("threads"));
    let bytes = Bytes::from(std::fs::read(&path).expect("the file"));
    let is_vp9 = &bytes[8..12] == b"VP90";
    // IVF: a header of 32 bytes, then before each frame its size and 8 bytes of time.
    let mut units = Vec::new();
    let mut at = 32;
    while at + 12 <= bytes.len() {
        let size: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
        let end = at + 12 + u32::from_le_bytes(size) as usize;
        units.push(bytes.slice(at + 12..end));
        at = end;
    }
    let slices: Vec<&[u8]> = units.iter().map(|unit| &unit[..]).collect();
    let codec = if is_vp9 { "vp09.00.40.08" } else { "vp8" };
    let config = VideoDecoderConfig::new(VideoCodec::parse(codec).expect("a codec string"));
    let context = DecoderContext {
        pool: BufferPool::new(256 << 20),
        threads,
        limits: Limits::default(),
    };
    for _ in 0..3 {
        let start = Instant::now();
        let alone = bare::decode(&slices, is_vp9, threads);
        let alone_fps = alone as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut decoder = Vpx.start(&config, &context).expect("starts");
        let mut frames = 0;
        for (index, unit) in units.iter().enumerate() {
            let chunk = EncodedChunk::new(ChunkKind::Key, index as i64, unit.clone());
            decoder
                .decode(&chunk, &mut |_| frames += 1)
                .expect("decodes");
        }
        decoder.flush(&mut |_| frames += 1).expect("flushes");
        let fps = frames as f64 / start.elapsed().as_secs_f64();
        println!("libvpx alone {alone_fps:.1} frames/s ({alone}), this crate {fps:.1} ({frames})");
    }
}
