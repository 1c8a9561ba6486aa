//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use reelcore_codec_hevc::Hevc;
#[allow(unused_imports)]
pub use reelcore_conformance::random::Random;
use reelcore_conformance::video;
#[allow(unused_imports)]
pub use reelcore_conformance::video::{checksums, decode_all, md5, times};
use reelcore_media::codec::DecoderContext;
use reelcore_media::hevc::{AccessUnit, HvcC, NalType, Packaging, access_units, nal_units};
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
};

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

pub fn config() -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::parse("hev1.2.6.L153.B0").expect("a codec"))
}

pub fn context() -> DecoderContext {
    video::context(1)
}

pub fn start(config: &VideoDecoderConfig) -> Box<dyn VideoDecoder> {
    Hevc.start(config, &context()).expect("starts")
}

/// A stream with what the script that made it expects.
pub struct Stream {
    pub bytes: Bytes,
    pub units: Vec<AccessUnit>,
    /// Presentation time and duration of each unit, in decoding order.
    pub times: Vec<(i64, u64)>,
    /// One checksum for each frame, in presentation order.
    pub md5: Vec<String>,
}

impl Stream {
    pub fn read(name: &str) -> Self {
        let bytes = Bytes::from(std::fs::read(data(&format!("{name}.265"))).expect("stream"));
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

    /// The units as chunks; those with an IRAP picture are key chunks.
    pub fn chunks(&self) -> Vec<EncodedChunk> {
        let units = self.units.iter().zip(&self.times);
        units
            .map(|(unit, &(timestamp, duration))| EncodedChunk {
                kind: kind(unit.irap),
                timestamp,
                duration: Some(duration),
                data: self.bytes.slice(unit.range.clone()),
                side: None,
            })
            .collect()
    }

    /// Presentation times and durations in the order of output.
    pub fn output_times(&self) -> Vec<(i64, Option<u64>)> {
        let mut times: Vec<_> = self.times.iter().map(|&(t, d)| (t, Some(d))).collect();
        times.sort_unstable();
        times
    }
}

pub fn kind(irap: bool) -> ChunkKind {
    if irap {
        ChunkKind::Key
    } else {
        ChunkKind::Delta
    }
}

/// The hvcC of the first parameter sets of an Annex B stream.
pub fn hvcc(stream: &[u8], length_size: usize) -> HvcC {
    let units = |nal_type: NalType| -> Vec<&[u8]> {
        let units = nal_units(stream, Packaging::AnnexB).map(|nal| nal.expect("a NAL unit"));
        let mut sets: Vec<&[u8]> = units
            .filter(|nal| nal.nal_type == nal_type)
            .map(|nal| nal.bytes)
            .collect();
        sets.dedup();
        sets
    };
    let (vps, sps, pps) = (
        units(NalType::VPS),
        units(NalType::SPS),
        units(NalType::PPS),
    );
    HvcC::of_parameter_sets(&vps, &sps, &pps, length_size, true).expect("an hvcC")
}

/// An Annex B chunk with lengths in place of start codes, without its parameter sets.
pub fn with_lengths(chunk: &EncodedChunk, length_size: usize) -> EncodedChunk {
    let mut data = Vec::new();
    for nal in nal_units(&chunk.data, Packaging::AnnexB) {
        let nal = nal.expect("a NAL unit");
        if matches!(nal.nal_type, NalType::VPS | NalType::SPS | NalType::PPS) {
            continue;
        }
        let length = (nal.bytes.len() as u32).to_be_bytes();
        let (high, low) = length.split_at(4 - length_size);
        assert!(high.iter().all(|b| *b == 0), "{} bytes", nal.bytes.len());
        data.extend_from_slice(low);
        data.extend_from_slice(nal.bytes);
    }
    EncodedChunk {
        data: data.into(),
        ..chunk.clone()
    }
}
