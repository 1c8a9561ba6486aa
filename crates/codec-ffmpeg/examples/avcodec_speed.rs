//! Frames per second of an H.264 stream in Annex B: libavcodec alone, and through this crate.
//!
//! `cargo run --release -p reelcore-codec-ffmpeg --features bench --example avcodec_speed FILE.264 [THREADS]`

use std::time::Instant;

use bytes::Bytes;
use reelcore_codec_ffmpeg::{Ffmpeg, bare};
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::h264::access_units;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
};

fn main() {
    let path = std::env::args().nth(1).expect("a stream in Annex B");
    let threads = std::env::args()
        .nth(2)
        .map_or(1, |n| n.parse().expect("threads"));
    let bytes = Bytes::from(std::fs::read(&path).expect("the file"));
    let units = access_units(&bytes).expect("access units");
    let slices: Vec<&[u8]> = units.iter().map(|unit| &bytes[unit.clone()]).collect();
    let codec = VideoCodec::parse("avc1.640033").expect("a codec string");
    let config = VideoDecoderConfig::new(codec);
    let context = DecoderContext {
        pool: BufferPool::new(256 << 20),
        threads,
        limits: Limits::default(),
    };
    for _ in 0..5 {
        let start = Instant::now();
        let alone = bare::decode(c"h264", &slices, threads);
        let alone_fps = alone as f64 / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut decoder = Ffmpeg::new().start(&config, &context).expect("starts");
        let mut frames = 0;
        for (index, unit) in units.iter().enumerate() {
            let chunk = EncodedChunk::new(ChunkKind::Key, index as i64, bytes.slice(unit.clone()));
            decoder
                .decode(&chunk, &mut |_| frames += 1)
                .expect("decodes");
        }
        decoder.flush(&mut |_| frames += 1).expect("flushes");
        let fps = frames as f64 / start.elapsed().as_secs_f64();
        println!(
            "libavcodec alone {alone_fps:.1} frames/s ({alone}), this crate {fps:.1} ({frames})"
        );
    }
}
