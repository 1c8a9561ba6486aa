//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use md5::{Digest, Md5};
use reelcore_codec_hevc::Hevc;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::hevc::{AccessUnit, HvcC, NalType, Packaging, access_units, nal_units};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, EncodedChunk, VideoCodec, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
    VideoFrame,
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
    DecoderContext {
        pool: BufferPool::new(64 << 20),
        threads: 1,
        limits: Limits::default(),
    }
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

/// The MD5 of the visible part, tightly packed: planes one after the other, or with `nv12` the chroma samples in turn.
fn checksum(frame: &VideoFrame, nv12: bool) -> String {
    let image = frame.resource.cpu().expect("CPU memory");
    let format = image.format();
    let rect = frame.visible_rect;
    let mut planes: Vec<Vec<u8>> = Vec::new();
    for (index, plane) in image.planes().iter().enumerate() {
        let (h, v) = format.subsampling(index);
        let size = format.plane_size(index, rect.size());
        let sample = format.sample_bytes(index);
        let row = size.width as usize * sample;
        let left = (rect.x / h) as usize * sample;
        let mut packed = Vec::with_capacity(row * size.height as usize);
        for y in 0..size.height as usize {
            let start = (y + (rect.y / v) as usize) * plane.stride + left;
            packed.extend_from_slice(&plane.data[start..start + row]);
        }
        planes.push(packed);
    }
    let mut hash = Md5::new();
    if nv12 {
        hash.update(&planes[0]);
        let pairs = planes[1].iter().zip(&planes[2]);
        hash.update(pairs.flat_map(|(&u, &v)| [u, v]).collect::<Vec<_>>());
    } else {
        planes.iter().for_each(|plane| hash.update(plane));
    }
    format!("{:x}", hash.finalize())
}

/// The MD5 of the visible part as tightly packed I420 (or I420P10).
pub fn md5(frame: &VideoFrame) -> String {
    checksum(frame, false)
}

/// The MD5 of the visible part as tightly packed NV12.
pub fn md5_nv12(frame: &VideoFrame) -> String {
    checksum(frame, true)
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
