//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reelcore_codec_openh264::OpenH264;
#[allow(unused_imports)]
pub use reelcore_conformance::random::Random;
use reelcore_conformance::video;
#[allow(unused_imports)]
pub use reelcore_conformance::video::{checksums, decode_all, md5, times};
use reelcore_media::codec::DecoderContext;
use reelcore_media::codec_string::Avc;
use reelcore_media::h264::access_units;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

pub fn config() -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::Avc(Avc {
        in_band: true,
        profile: 100,
        constraints: 0,
        level: 51,
    }))
}

pub fn context() -> DecoderContext {
    video::context(1)
}

pub fn start(config: &VideoDecoderConfig) -> Box<dyn VideoDecoder> {
    OpenH264.start(config, &context()).expect("starts")
}

/// A stream with what the script that made it expects.
pub struct Stream {
    pub bytes: Vec<u8>,
    pub units: Vec<Range<usize>>,
    /// Presentation time and duration of each unit, in decoding order.
    pub times: Vec<(i64, u64)>,
    /// One checksum for each frame, in presentation order.
    pub md5: Vec<String>,
}

impl Stream {
    pub fn read(name: &str) -> Self {
        let bytes = std::fs::read(data(&format!("{name}.264"))).expect("stream");
        let text = std::fs::read_to_string(data(&format!("{name}.txt"))).expect("expectations");
        let mut times = Vec::new();
        let mut md5 = Vec::new();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["packet", pts, duration] => {
                    times.push((pts.parse().unwrap(), duration.parse().unwrap()));
                }
                ["frame", sum] => md5.push(sum.to_string()),
                _ => panic!("unexpected line {line:?}"),
            }
        }
        let units = access_units(&bytes).expect("access units");
        assert_eq!(units.len(), times.len(), "{name}: access units");
        assert_eq!(units.len(), md5.len(), "{name}: frames");
        Self {
            bytes,
            units,
            times,
            md5,
        }
    }

    /// The units as chunks; those with an IDR picture are key chunks.
    pub fn chunks(&self) -> Vec<EncodedChunk> {
        let bytes = Bytes::from(self.bytes.clone());
        self.units
            .iter()
            .zip(&self.times)
            .map(|(range, &(timestamp, duration))| EncodedChunk {
                kind: kind(&bytes[range.clone()]),
                timestamp,
                duration: Some(duration),
                data: bytes.slice(range.clone()),
                side: None,
            })
            .collect()
    }
}

pub fn kind(unit: &[u8]) -> ChunkKind {
    let idr = unit
        .windows(4)
        .any(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5);
    if idr {
        ChunkKind::Key
    } else {
        ChunkKind::Delta
    }
}
