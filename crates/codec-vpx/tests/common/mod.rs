//! What the tests of this crate share: streams, chunks, checksums.
#![allow(dead_code)] // Each test file uses a part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use reelcore_codec_vpx::Vpx;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};
use reelcore_media::{
    ChunkKind, EncodedChunk, PixelFormat, SideData, VideoCodec, VideoDecoder, VideoDecoderBackend,
    VideoDecoderConfig, VideoFrame,
};

pub fn config(codec: &str) -> VideoDecoderConfig {
    VideoDecoderConfig::new(VideoCodec::parse(codec).expect("a codec string"))
}

pub fn context(threads: usize) -> DecoderContext {
    DecoderContext {
        pool: BufferPool::new(64 << 20),
        threads,
        limits: Limits::default(),
    }
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

/// The MD5 of the visible part, tightly packed.
pub fn md5(frame: &VideoFrame) -> String {
    hash(frame, false)
}

/// The MD5 of the visible part, U and V of I420 in turn, as NV12 has it.
pub fn md5_nv12(frame: &VideoFrame) -> String {
    hash(frame, true)
}

fn hash(frame: &VideoFrame, nv12: bool) -> String {
    let image = frame.resource.cpu().expect("CPU memory");
    let format = image.format();
    let mut hash = Md5::new();
    let rows = |index: usize| {
        let size = format.plane_size(index, frame.visible_rect.size());
        let row = size.width as usize * format.sample_bytes(index);
        let plane = &image.planes()[index];
        (0..size.height as usize)
            .map(move |y| &plane.data[y * plane.stride..y * plane.stride + row])
    };
    if nv12 {
        assert_eq!(format, PixelFormat::I420);
        rows(0).for_each(|row| hash.update(row));
        for (u, v) in rows(1).zip(rows(2)) {
            let both: Vec<u8> = u.iter().zip(v).flat_map(|(&u, &v)| [u, v]).collect();
            hash.update(&both);
        }
    } else {
        for index in 0..format.num_planes() {
            rows(index).for_each(|row| hash.update(row));
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
