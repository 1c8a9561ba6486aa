//! Frames per second of an Annex B file: OpenH264 alone, and through this crate.
//!
//! `cargo run --release -p reelcore-codec-openh264 --features bench --example openh264_speed FILE.264`

use std::time::Instant;

use bytes::Bytes;
use reelcore_codec_openh264::{OpenH264, bare};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::codec_string::Avc;
use reelcore_media::h264::access_units;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

fn main() {
    let path = std::env::args().nth(1).expect("a file in Annex B");
    let bytes = Bytes::from(std::fs::read(&path).expect("the file"));
    let ranges = access_units(&bytes).expect("access units");
    let units: Vec<&[u8]> = ranges.iter().map(|r| &bytes[r.clone()]).collect();
    let config = VideoDecoderConfig::new(VideoCodec::Avc(Avc {
        in_band: true,
        profile: 100,
        constraints: 0,
        level: 51,
    }));
    let context = DecoderContext {
        pool: BufferPool::new(256 << 20),
        threads: 1,
        limits: Limits::default(),
    };
    for _ in 0..3 {
        let start = Instant::now();
        let alone = bare::decode(&units);
        let alone_fps = alone as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut decoder = OpenH264.start(&config, &context).expect("starts");
        let mut frames = 0;
        for (index, range) in ranges.iter().enumerate() {
            let chunk = EncodedChunk {
                kind: ChunkKind::Key,
                timestamp: index as i64,
                duration: None,
                data: bytes.slice(range.clone()),
                side: None,
            };
            decoder
                .decode(&chunk, &mut |_| frames += 1)
                .expect("decodes");
        }
        decoder.flush(&mut |_| frames += 1).expect("flushes");
        let fps = frames as f64 / start.elapsed().as_secs_f64();
        println!(
            "OpenH264 alone {alone_fps:.1} frames/s ({alone}), this crate {fps:.1} ({frames})"
        );
    }
}
