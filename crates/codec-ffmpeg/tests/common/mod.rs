//! What the tests of this crate share: clips of x264 and x265, and their NAL units.
#![allow(dead_code)] // Each test file uses a part.

use bytes::Bytes;
use reelcore_codec_ffmpeg::Ffmpeg;
use reelcore_conformance::{Family, Stream, ffmpeg_make, video};
use reelcore_media::h264::{Packaging, escape_into, nal_units};
use reelcore_media::{
    EncodedChunk, MediaError, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig, VideoFrame,
};

pub const FFMPEG: Ffmpeg = Ffmpeg::new();

/// A stream, what it is decoded with, and what FFmpeg's command decodes from it.
pub struct Clip {
    pub name: String,
    pub stream: Stream,
    pub config: VideoDecoderConfig,
    pub chunks: Vec<EncodedChunk>,
    /// One checksum for each frame, in presentation order.
    pub md5: Vec<String>,
}

/// `frames` frames of 96x80 of FFmpeg's moving test pattern through `encoder` with `args`.
pub fn clip(
    name: &str,
    family: Family,
    frames: usize,
    pix_fmt: &str,
    decoded: &str,
    args: &[&str],
) -> Clip {
    sized(name, (96, 80), family, frames, pix_fmt, decoded, args)
}

/// As [`clip`], of another size.
pub fn sized(
    name: &str,
    (width, height): (u32, u32),
    family: Family,
    frames: usize,
    pix_fmt: &str,
    decoded: &str,
    args: &[&str],
) -> Clip {
    let source = format!("testsrc2=size={width}x{height}:rate=25,noise=alls=12:all_seed=7");
    let (encoder, form) = match family {
        Family::H264 => ("libx264", "h264"),
        Family::H265 => ("libx265", "hevc"),
        Family::Vp8 => ("libvpx", "ivf"),
        Family::Vp9 => ("libvpx-vp9", "ivf"),
        Family::Av1 => panic!("no clip of AV1"),
    };
    let count = frames.to_string();
    let mut all = vec!["-f", "lavfi", "-i", &source, "-frames:v", &count];
    all.extend(["-pix_fmt", pix_fmt, "-c:v", encoder]);
    all.extend(args);
    all.extend(["-f", form]);
    let path = ffmpeg_make(&all, name).unwrap();
    let stream = Stream::with_ffmpeg_checksums(path, family, decoded, &[]).unwrap();
    let config = stream.config().unwrap();
    let mut chunks = stream.chunks().unwrap();
    if family == Family::H265 {
        // In decoding order by themselves: the tests want presentation order, which the checksums have.
        for chunk in &mut chunks {
            chunk.duration = Some(40_000);
        }
    }
    let md5 = stream.checksums[0].md5.clone();
    Clip {
        name: name.into(),
        stream,
        config,
        chunks,
        md5,
    }
}

/// A clip of x264.
pub fn x264(name: &str, frames: usize, params: &str) -> Clip {
    let params = format!("scenecut=0:{params}");
    clip(
        name,
        Family::H264,
        frames,
        "yuv420p",
        "yuv420p",
        &["-preset", "medium", "-x264-params", &params],
    )
}

/// A clip of x265.
pub fn x265(name: &str, frames: usize, params: &str) -> Clip {
    let params = format!("log-level=error:scenecut=0:pools=1:{params}");
    clip(
        name,
        Family::H265,
        frames,
        "yuv420p",
        "yuv420p",
        &["-preset", "fast", "-x265-params", &params],
    )
}

pub fn start(config: &VideoDecoderConfig, threads: usize) -> Box<dyn VideoDecoder> {
    FFMPEG.start(config, &video::context(threads)).unwrap()
}

/// All frames until the end or the first error.
pub fn decode(
    decoder: &mut dyn VideoDecoder,
    chunks: &[EncodedChunk],
) -> (Vec<VideoFrame>, Option<MediaError>) {
    let mut frames = Vec::new();
    for chunk in chunks {
        if let Err(error) = decoder.decode(chunk, &mut |frame| frames.push(frame)) {
            return (frames, Some(error));
        }
    }
    let error = decoder.flush(&mut |frame| frames.push(frame)).err();
    (frames, error)
}

/// The NAL units of a chunk in Annex B, without start codes.
pub fn nals(data: &[u8]) -> Vec<Vec<u8>> {
    // Start codes are the same in HEVC; a header byte of it can have H.264's forbidden_zero_bit only when it is damaged.
    nal_units(data, Packaging::AnnexB)
        .map(|nal| nal.unwrap().bytes.to_vec())
        .collect()
}

/// NAL units with start codes.
pub fn annexb<N: AsRef<[u8]>>(nals: &[N]) -> Bytes {
    let mut data = Vec::new();
    for nal in nals {
        data.extend_from_slice(&[0, 0, 0, 1]);
        data.extend_from_slice(nal.as_ref());
    }
    data.into()
}

/// NAL units with lengths of `size` bytes.
pub fn with_lengths<N: AsRef<[u8]>>(nals: &[N], size: usize) -> Bytes {
    let mut data = Vec::new();
    for nal in nals.iter().map(AsRef::as_ref) {
        assert!(nal.len() < 1 << (8 * size.min(3)), "{} bytes", nal.len());
        data.extend_from_slice(&(nal.len() as u32).to_be_bytes()[4 - size..]);
        data.extend_from_slice(nal);
    }
    data.into()
}

/// Whether `nal` is a slice.
pub fn is_slice(family: Family, nal: &[u8]) -> bool {
    match family {
        Family::H264 => matches!(nal[0] & 0x1f, 1 | 5),
        _ => nal[0] >> 1 < 32,
    }
}

/// The NAL unit with `header` of `bits` up to the stop bit, with bytes that prevent the emulation of start codes (7.3.1).
pub fn nal_of_bits(header: &[u8], mut bits: String) -> Vec<u8> {
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let byte = |bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap();
    let payload: Vec<u8> = bits.as_bytes().chunks(8).map(byte).collect();
    let mut out = header.to_vec();
    escape_into(&payload, &mut out);
    out
}
