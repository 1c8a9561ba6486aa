//! Frames per second of an Annex B file: rusty_h265 alone, and through this crate.
//!
//! `cargo run --release -p reelcore-codec-hevc --features bench --example hevc_speed FILE.h265`

use std::time::Instant;

use bytes::Bytes;
use reelcore_codec_hevc::{Hevc, bare};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::hevc::access_units;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

fn main() {
    let path = std::env::args().nth(1).expect("an Annex B file");
    let bytes = Bytes::from(std::fs::read(&path).expect("the file"));
    let units: Vec<_> = access_units(&bytes)
        .expect("an Annex B stream")
        .into_iter()
        .map(|unit| (bytes.slice(unit.range), unit.irap))
        .collect();
    let slices: Vec<&[u8]> = units.iter().map(|(unit, _)| &unit[..]).collect();
    let config = VideoDecoderConfig::new(VideoCodec::parse("hev1.1.6.L123.B0").expect("a codec"));
    let context = DecoderContext {
        pool: BufferPool::new(256 << 20),
        threads: 1,
        limits: Limits::default(),
    };
    for _ in 0..3 {
        let start = Instant::now();
        let alone = bare::decode(&slices).expect("decodes");
        let alone_fps = alone as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut decoder = Hevc.start(&config, &context).expect("starts");
        let mut frames = 0;
        for (index, (unit, irap)) in units.iter().enumerate() {
            let chunk = EncodedChunk {
                kind: if *irap {
                    ChunkKind::Key
                } else {
                    ChunkKind::Delta
                },
                timestamp: index as i64,
                duration: None,
                data: unit.clone(),
                side: None,
            };
            decoder
                .decode(&chunk, &mut |_| frames += 1)
                .expect("decodes");
        }
        decoder.flush(&mut |_| frames += 1).expect("flushes");
        let fps = frames as f64 / start.elapsed().as_secs_f64();
        println!(
            "rusty_h265 alone {alone_fps:.1} frames/s ({alone}), this crate {fps:.1} ({frames})"
        );
    }
}
