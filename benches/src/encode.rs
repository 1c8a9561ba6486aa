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
    PixelFormat, Plane, Size, VideoCodec, VideoDecoderBackend, VideoDecoderConfig,
    VideoEncoderBackend, VideoFrame,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Frames a second of all pictures here.
const RATE: u64 = 30;

/// One way to encode pictures, as JavaScript is told it and as the library is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VideoJob {
    /// The codec string.
    pub codec: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Bits a second, or the quantizer of every picture.
    pub rate: Rate,
    /// The configuration's latency mode.
    pub realtime: bool,
}

/// What decides how good pictures become.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Rate {
    /// Bits a second, held constant.
    Bits(u64),
    /// The quantizer of every picture.
    Quantizer(u16),
}

impl VideoJob {
    /// The pictures' size.
    pub fn size(&self) -> Size {
        let (width, height) = self.size;
        Size { width, height }
    }

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
            "width": self.size.0,
            "height": self.size.1,
            "framerate": RATE,
            "latencyMode": if self.realtime { "realtime" } else { "quality" },
            // As the bare library is.
            "hardwareAcceleration": "prefer-software",
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
        if self.codec.starts_with("hvc1") {
            config["hevc"] = json!({ "format": "annexb" });
        }
        config
    }

    fn config(&self) -> Result<VideoEncoderConfig> {
        let mut config = VideoEncoderConfig::new(VideoCodec::parse(&self.codec)?, self.size());
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

    /// Why the bare library is not here: libx265 is there only with libavcodec.
    ///
    /// # Errors
    /// When the codec string is not known.
    pub fn missing(&self) -> Result<Option<String>> {
        let config = self.config()?;
        let check = match config.codec {
            VideoCodec::Hevc(_) => reelcore_codec_ffmpeg::FfmpegEncoder.check(&config),
            _ => Ok(()),
        };
        Ok(check.err().map(|error| error.to_string()))
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
            VideoCodec::Hevc(_) => ("libx265", reelcore_codec_ffmpeg::bare::encode),
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
        let codec = VideoCodec::parse(&self.codec)?;
        let backend: &dyn VideoDecoderBackend = match codec {
            VideoCodec::Avc(_) => &reelcore_codec_openh264::OpenH264,
            VideoCodec::Av1(_) => &reelcore_codec_dav1d::Dav1d,
            VideoCodec::Hevc(_) => &reelcore_codec_hevc::Hevc,
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

/// Writes chunks, each behind its length in four bytes.
///
/// # Errors
/// When they cannot be written, or one is of 4 GiB.
pub fn write_chunks(path: &Path, chunks: &[Vec<u8>]) -> Result<()> {
    let mut bytes = Vec::with_capacity(chunks.iter().map(|chunk| 4 + chunk.len()).sum());
    for chunk in chunks {
        bytes.extend_from_slice(&u32::try_from(chunk.len())?.to_be_bytes());
        bytes.extend_from_slice(chunk);
    }
    Ok(std::fs::write(path, bytes)?)
}

/// The chunks that [`write_chunks`] or `encode.js` wrote.
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

/// Raw stereo sound at 48 kHz in memory, and the backend alone that encodes it: what that adds to its library, the crates' own
/// benchmarks compare.
pub struct Sound {
    config: AudioEncoderConfig,
    backend: &'static dyn AudioEncoderBackend,
    inputs: Vec<AudioData>,
}

impl Sound {
    /// Frames of one AudioData.
    const RUN: usize = 1024;

    /// Reads a file of interleaved samples, of the format that the codec's backend takes.
    ///
    /// # Errors
    /// When the file cannot be read, or the codec is not known.
    pub fn read(codec: &str, bitrate: Option<u64>, raw: &Path) -> Result<Self> {
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
        let format = backend.input_format(&config);
        if !matches!(format, SampleFormat::F32 | SampleFormat::S32) {
            bail!("{codec} takes {format:?}, which nobody made here");
        }
        let bytes = Bytes::from(std::fs::read(raw)?);
        let step = Self::RUN * 8;
        let inputs = (0..bytes.len() / step).map(|index| {
            let data = bytes.slice(index * step..(index + 1) * step);
            let timestamp = (index * Self::RUN * 1_000_000 / 48_000) as i64;
            AudioData::new(format, 48_000.0, Self::RUN as u32, 2, timestamp, data)
        });
        Ok(Self {
            config,
            backend,
            inputs: inputs.collect::<Result<_, _>>()?,
        })
    }

    /// The backend's name.
    pub fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// Encodes it all: the frames, and the time.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn encode(&self) -> Result<(usize, Duration)> {
        let context = EncoderContext {
            pool: BufferPool::new(16 << 20),
            threads: 1,
        };
        let began = Instant::now();
        let mut encoder = self.backend.start(&self.config, &context)?;
        let mut packets = 0;
        for input in &self.inputs {
            encoder.encode(input, &mut |_| packets += 1)?;
        }
        encoder.flush(&mut |_| packets += 1)?;
        if packets == 0 {
            bail!("{}: no packets", self.backend.name());
        }
        Ok((self.inputs.len() * Self::RUN, began.elapsed()))
    }
}
