//! Encoding: the bare library with the settings that the backend gives it, and how good what comes out is.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reelcore_conformance::encoding::psnr;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncoderContext, LatencyMode,
    NalFormat, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::format::SampleFormat;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    AudioCodec, AudioData, AudioEncoderBackend, ChunkKind, ColorSpace, CpuImage, EncodedChunk,
    PixelFormat, Plane, Size, VideoCodec, VideoDecoderBackend, VideoDecoderConfig, VideoFrame,
};
use serde_json::{Value, json};

/// Frames a second of all pictures here.
const RATE: u64 = 30;

/// One way to encode pictures, as JavaScript is told it and as the library is.
pub struct VideoJob {
    /// The codec string.
    pub codec: &'static str,
    /// Width and height in pixels.
    pub size: Size,
    /// Bits a second, or the quantizer of every picture.
    pub rate: Rate,
    /// The configuration's latency mode.
    pub realtime: bool,
}

/// What decides how good pictures become.
#[derive(Clone, Copy)]
pub enum Rate {
    /// Bits a second, held constant.
    Bits(u64),
    /// The quantizer of every picture.
    Quantizer(u16),
}

impl VideoJob {
    /// The quantizer, if it is that which decides.
    pub fn quantizer(&self) -> Option<u16> {
        match self.rate {
            Rate::Bits(_) => None,
            Rate::Quantizer(quantizer) => Some(quantizer),
        }
    }

    /// A VideoEncoderConfig.
    pub fn json(&self) -> Value {
        let mut config = json!({
            "codec": self.codec,
            "width": self.size.width,
            "height": self.size.height,
            "framerate": RATE,
            "latencyMode": if self.realtime { "realtime" } else { "quality" },
        });
        match self.rate {
            Rate::Bits(bits) => {
                config["bitrate"] = json!(bits);
                config["bitrateMode"] = json!("constant");
            }
            Rate::Quantizer(_) => config["bitrateMode"] = json!("quantizer"),
        }
        if self.codec.starts_with("avc1") {
            config["avc"] = json!({ "format": "annexb" });
        }
        config
    }

    fn config(&self) -> Result<VideoEncoderConfig> {
        let mut config = VideoEncoderConfig::new(VideoCodec::parse(self.codec)?, self.size);
        config.framerate = Some(RATE as f64);
        (config.bitrate, config.bitrate_mode) = match self.rate {
            Rate::Bits(bits) => (Some(bits), VideoBitrateMode::Constant),
            Rate::Quantizer(_) => (None, VideoBitrateMode::Quantizer),
        };
        config.latency_mode = match self.realtime {
            true => LatencyMode::Realtime,
            false => LatencyMode::Quality,
        };
        config.nal_format = NalFormat::AnnexB;
        Ok(config)
    }

    /// Encodes `frames` with the bare library: its name, the pictures, and the time.
    ///
    /// # Errors
    /// What the library reports.
    pub fn bare(&self, frames: &[CpuImage]) -> Result<(&'static str, Vec<Vec<u8>>, Duration)> {
        let config = self.config()?;
        // As many threads as the engine would grant.
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let (name, encode): (_, fn(_, _, _, _, _) -> _) = match config.codec {
            VideoCodec::Avc(_) => ("OpenH264", reelcore_codec_openh264::bare::encode),
            VideoCodec::Av1(_) => ("libaom", reelcore_codec_aom::bare::encode),
            _ => ("libvpx", reelcore_codec_vpx::bare::encode),
        };
        let began = Instant::now();
        let pictures = encode(&config, threads, frames, 1_000_000 / RATE, self.quantizer())?;
        Ok((name, pictures, began.elapsed()))
    }

    /// PSNR in dB of the luma of all pictures together, once they are decoded.
    ///
    /// # Errors
    /// When they cannot be decoded, or are not as many as `frames`.
    pub fn quality(&self, pictures: &[Vec<u8>], frames: &[CpuImage]) -> Result<f64> {
        let codec = VideoCodec::parse(self.codec)?;
        let backend: &dyn VideoDecoderBackend = match codec {
            VideoCodec::Avc(_) => &reelcore_codec_openh264::OpenH264,
            VideoCodec::Av1(_) => &reelcore_codec_dav1d::Dav1d,
            _ => &reelcore_codec_vpx::Vpx,
        };
        let context = DecoderContext {
            pool: BufferPool::new(256 << 20),
            threads: 1,
            limits: Limits::default(),
        };
        let mut decoder = backend.start(&VideoDecoderConfig::new(codec), &context)?;
        let (mut decoded, mut error) = (0, 0.0);
        let mut compare = |frame: VideoFrame| {
            if let Some(original) = frames.get(decoded) {
                let planes = original.planes().to_vec();
                let original = CpuImage::new(original.format(), original.size(), planes)
                    .expect("it is an image already");
                let original = VideoFrame::from_cpu(original, 0, None, ColorSpace::REC709);
                error += 10f64.powf(-psnr(&original, &frame)[0] / 10.0);
            }
            decoded += 1;
        };
        for (index, picture) in (0..).zip(pictures) {
            let kind = match index {
                0 => ChunkKind::Key,
                _ => ChunkKind::Delta,
            };
            let chunk = EncodedChunk::new(kind, index, Bytes::copy_from_slice(picture));
            decoder.decode(&chunk, &mut compare)?;
        }
        decoder.flush(&mut compare)?;
        if decoded != frames.len() {
            bail!("{}: {decoded} frames of {}", self.codec, frames.len());
        }
        Ok(-10.0 * (error / decoded as f64).log10())
    }
}

/// The pictures of a raw file, `times` times in a row.
///
/// # Errors
/// When it cannot be read.
pub fn pictures(path: &Path, size: Size, times: usize) -> Result<Vec<CpuImage>> {
    let bytes = Bytes::from(std::fs::read(path)?);
    let format = PixelFormat::I420;
    let planes: Vec<(usize, usize)> = (0..3)
        .map(|plane| {
            let rows = format.plane_size(plane, size).height as usize;
            (format.row_bytes(plane, size.width), rows)
        })
        .collect();
    let whole: usize = planes.iter().map(|(stride, rows)| stride * rows).sum();
    let count = bytes.len() / whole;
    (0..count * times)
        .map(|index| {
            let index = index % count;
            let mut at = index * whole;
            let planes = planes.iter().map(|&(stride, rows)| {
                let data = bytes.slice(at..at + stride * rows);
                at += stride * rows;
                Plane { data, stride }
            });
            Ok(CpuImage::new(format, size, planes.collect())?)
        })
        .collect()
}

/// The chunks that `encode.js` wrote.
///
/// # Errors
/// When it cannot be read.
pub fn chunks(path: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let mut rest = &bytes[..];
    let mut chunks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        chunks.push(after.get(..length).context("a chunk ends early")?.to_vec());
        rest = after.get(length..).unwrap_or_default();
    }
    Ok(chunks)
}

/// Encodes a file of raw stereo sound at 48 kHz through the backend alone: what that adds to its library, the crates' own
/// benchmarks compare. Gives the backend's name, the frames, and the time.
///
/// # Errors
/// What the backend reports.
pub fn sound(
    codec: &str,
    bitrate: Option<u64>,
    raw: &Path,
) -> Result<(&'static str, usize, Duration)> {
    let config = AudioEncoderConfig {
        codec: AudioCodec::parse(codec)?,
        sample_rate: 48_000,
        channels: 2,
        bitrate,
        bitrate_mode: AudioBitrateMode::Variable,
        options: AudioCodecOptions::None,
    };
    let backend: &dyn AudioEncoderBackend = match codec {
        "opus" => &reelcore_codec_opus::OpusEncoder,
        "flac" => &reelcore_codec_flac::Flac,
        "vorbis" => &reelcore_codec_vorbis::Vorbis,
        _ => &reelcore_codec_aac::AacEncoder,
    };
    let bytes = Bytes::from(std::fs::read(raw)?);
    const RUN: usize = 1024;
    let format = backend.input_format(&config);
    if !matches!(format, SampleFormat::F32 | SampleFormat::S32) {
        bail!("{codec} takes {format:?}, which nobody made here");
    }
    let inputs = (0..bytes.len() / (RUN * 8)).map(|index| {
        let data = bytes.slice(index * RUN * 8..(index + 1) * RUN * 8);
        let timestamp = (index * RUN * 1_000_000 / 48_000) as i64;
        AudioData::new(format, 48_000.0, RUN as u32, 2, timestamp, data)
    });
    let inputs: Vec<AudioData> = inputs.collect::<Result<_, _>>()?;
    let context = EncoderContext {
        pool: BufferPool::new(16 << 20),
        threads: 1,
    };
    let began = Instant::now();
    let mut encoder = backend.start(&config, &context)?;
    let mut packets = 0;
    for input in &inputs {
        encoder.encode(input, &mut |_| packets += 1)?;
    }
    encoder.flush(&mut |_| packets += 1)?;
    if packets == 0 {
        bail!("{codec}: no packets");
    }
    Ok((backend.name(), inputs.len() * RUN, began.elapsed()))
}
