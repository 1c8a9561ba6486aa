//! Audio to frames.

use std::sync::Arc;

use bytes::Bytes;
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream, StreamInfo};
use flacenc::config;
use flacenc::source::{Fill, FrameBuf};
use reelcore_media::encode_queue::{EncodeQueue, PacketClock};
use reelcore_media::encoder::{
    AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
};
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat,
};

use crate::depth::Depth;
use crate::library::Library;
use crate::rate::{set_code, set_stream_rate, stand_in};

/// FLAC with 16 or 24 bits, mono to 7.1, over flacenc. Bit rates are what they are: those of a configuration are not
/// looked at.
///
/// Packets are frames, and the description is `fLaC` with a STREAMINFO block that leaves open how much follows:
/// <https://w3c.github.io/webcodecs/flac_codec_registration.html>.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flac;

/// Frames in a block where the configuration says 0: short ones where there is no linear prediction to send along.
fn default_block(level: u32) -> usize {
    if level < 3 { 1152 } else { 4096 }
}

/// Blocks of silence that wait for a sound to tell the depth, before it is taken for the larger one.
const MAX_SILENT_BLOCKS: usize = 256;

/// The level where the configuration says nothing, that of the registration.
const DEFAULT_LEVEL: u32 = 5;

struct Settings {
    block: usize,
    /// As it was asked for.
    depth: Option<Depth>,
    library: Library,
}

fn settings(config: &AudioEncoderConfig) -> Result<Settings, MediaError> {
    let refuse = |message: String| MediaError::unsupported(format!("FLAC: {message}"));
    if config.codec != AudioCodec::Flac {
        return Err(refuse(format!("expected flac, found {}", config.codec)));
    }
    let (block_size, level, depth) = match config.options {
        AudioCodecOptions::None => (0, DEFAULT_LEVEL, None),
        AudioCodecOptions::Flac {
            block_size,
            compress_level,
            depth,
        } => (block_size, compress_level, depth),
        other => {
            return Err(refuse(format!(
                "these are options of another codec: {other:?}"
            )));
        }
    };
    let depth = match depth {
        None => None,
        Some(16) => Some(Depth::Sixteen),
        Some(24) => Some(Depth::TwentyFour),
        Some(other) => {
            return Err(refuse(format!("expected 16 or 24 bits, found {other}")));
        }
    };
    if level > 8 {
        return Err(refuse(format!(
            "expected a compressLevel of 0 to 8, found {level}"
        )));
    }
    let block = match block_size {
        0 => default_block(level),
        size => size as usize,
    };
    // flacenc's own limits.
    if !(32..=32_767).contains(&block) {
        return Err(refuse(format!(
            "expected a blockSize of 32 to 32767, or 0, found {block}"
        )));
    }
    info(config, Depth::TwentyFour, block)?;
    let library = Library::new(library(level, block)).map_err(|error| refuse(error.to_string()))?;
    Ok(Settings {
        block,
        depth,
        library,
    })
}

/// What the library does at a level. The steps are those of the reference encoder.
fn library(level: u32, block: usize) -> config::Encoder {
    let mut library = config::Encoder::default();
    library.block_size = block;
    library.multithread = false;
    let stereo = !matches!(level, 0 | 3);
    library.stereo_coding.use_midside = stereo;
    library.stereo_coding.use_leftside = stereo && level > 1;
    library.stereo_coding.use_rightside = stereo && level > 1;
    let subframes = &mut library.subframe_coding;
    subframes.use_lpc = level >= 3;
    subframes.qlpc.lpc_order = match level {
        0..=3 => 6,
        4 | 5 => 8,
        6 => 10,
        7 => 12,
        _ => 16,
    };
    library
}

fn info(config: &AudioEncoderConfig, depth: Depth, block: usize) -> Result<StreamInfo, MediaError> {
    let rate = config.sample_rate;
    let channels = config.channels as usize;
    if !(1..=8).contains(&channels) {
        return Err(MediaError::unsupported(format!(
            "FLAC: expected 1 to 8 channels, found {channels}"
        )));
    }
    // What frame headers can say, if in tens of Hz.
    if !(1..=655_350).contains(&rate) {
        return Err(MediaError::unsupported(format!(
            "FLAC: expected a rate of 1 to 655350 Hz, found {rate}"
        )));
    }
    let bad =
        |error: flacenc::error::VerifyError| MediaError::unsupported(format!("FLAC: {error}"));
    let mut info =
        StreamInfo::new(stand_in(rate).0 as usize, channels, depth.bits()).map_err(bad)?;
    info.set_block_sizes(block, block).map_err(bad)?;
    // Unknown.
    info.set_frame_sizes(0, 0).map_err(bad)?;
    Ok(info)
}

fn bytes(component: &impl BitRepr) -> Result<Vec<u8>, MediaError> {
    let mut sink = ByteSink::with_capacity(component.count_bits());
    component
        .write(&mut sink)
        .map_err(|error| MediaError::backend(format!("flacenc: {error}")))?;
    Ok(sink.into_inner())
}

impl AudioEncoderBackend for Flac {
    fn name(&self) -> &'static str {
        "flacenc"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        *codec == AudioCodec::Flac
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        settings(config).map(drop)
    }

    fn input_format(&self, _config: &AudioEncoderConfig) -> SampleFormat {
        // Holds all of 16 and of 24 bits. Which of them it is the samples say.
        SampleFormat::S32
    }

    fn start(
        &self,
        config: &AudioEncoderConfig,
        _context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError> {
        let Settings {
            block,
            depth,
            library,
        } = settings(config)?;
        let channels = config.channels as usize;
        let buffer = FrameBuf::with_size(channels, block)
            .map_err(|error| MediaError::unsupported(format!("FLAC: {error}")))?;
        let decoder_config = AudioDecoderConfig {
            codec: AudioCodec::Flac,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: None,
        };
        Ok(Box::new(Encoder {
            queue: EncodeQueue::new(block, config.channels),
            blocks: Blocks {
                config: config.clone(),
                block,
                depth,
                library,
                buffer,
                info: None,
                silent: 0,
                number: 0,
                clock: PacketClock::new(config.sample_rate, 0, decoder_config.clone()),
                decoder_config,
                samples: Vec::with_capacity(block * channels),
            },
        }))
    }
}

struct Encoder {
    queue: EncodeQueue<i32>,
    blocks: Blocks,
}

/// From full blocks of samples to chunks.
struct Blocks {
    config: AudioEncoderConfig,
    block: usize,
    /// As it was asked for.
    depth: Option<Depth>,
    library: Library,
    buffer: FrameBuf,
    /// The stream as it was last described.
    info: Option<(Depth, StreamInfo)>,
    /// Full blocks of silence that wait for the depth to be known.
    silent: usize,
    /// The next frame's number.
    number: usize,
    clock: PacketClock,
    decoder_config: AudioDecoderConfig,
    samples: Vec<i32>,
}

impl AudioEncoder for Encoder {
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let blocks = &mut self.blocks;
        blocks.clock.input(data.timestamp, u64::from(data.frames));
        self.queue
            .push_run(data, &mut |samples| blocks.push(samples, sink))
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        let rest = self.queue.take_rest();
        if !rest.is_empty() {
            self.blocks.push(rest, sink)?;
        }
        self.blocks.release(sink)?;
        // The last block may be shorter than those before, but no block after a shorter one: numbers start anew.
        self.blocks.number = 0;
        self.blocks.clock.restart();
        Ok(())
    }
}

impl Blocks {
    fn push(
        &mut self,
        samples: &[i32],
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let full = samples.len() == self.block * self.config.channels as usize;
        let needed = match (self.depth.or_else(|| Depth::of(samples)), &self.info) {
            (Some(depth), _) => depth,
            (None, Some((depth, _))) => *depth,
            (None, None) if full && self.silent < MAX_SILENT_BLOCKS => {
                self.silent += 1;
                return Ok(());
            }
            (None, None) => Depth::TwentyFour,
        };
        // More bits than were seen so far: decoders are told. Fewer are no reason to change.
        let known = self.info.as_ref().map(|(depth, _)| *depth);
        if known.is_none() || (known, needed) == (Some(Depth::Sixteen), Depth::TwentyFour) {
            self.describe(needed)?;
        }
        self.release(sink)?;
        self.encode(samples, sink)
    }

    /// Lets the silence out that waits.
    fn release(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        if self.silent == 0 {
            return Ok(());
        }
        if self.info.is_none() {
            self.describe(Depth::TwentyFour)?;
        }
        let silence = vec![0; self.block * self.config.channels as usize];
        for _ in 0..std::mem::take(&mut self.silent) {
            self.encode(&silence, sink)?;
        }
        Ok(())
    }

    fn describe(&mut self, depth: Depth) -> Result<(), MediaError> {
        let info = info(&self.config, depth, self.block)?;
        let mut description = bytes(&Stream::with_stream_info(info.clone()))?;
        set_stream_rate(&mut description, self.config.sample_rate);
        self.clock.announce(Arc::new(AudioDecoderConfig {
            description: Some(description.into()),
            ..self.decoder_config.clone()
        }));
        self.info = Some((depth, info));
        Ok(())
    }

    fn encode(
        &mut self,
        samples: &[i32],
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let backend =
            |error: &dyn std::fmt::Display| MediaError::backend(format!("flacenc: {error}"));
        let Some((depth, info)) = &self.info else {
            return Err(backend(&"a block without a description"));
        };
        self.samples.clear();
        let shrunk = samples.iter().map(|&sample| depth.shrink(sample));
        self.samples.extend(shrunk);
        self.buffer
            .fill_interleaved(&self.samples)
            .map_err(|error| backend(&error))?;
        let frame = self
            .library
            .encode(&self.buffer, self.number, info)
            .map_err(|error| backend(&error))?;
        self.number += 1;
        let frames = samples.len() / self.config.channels as usize;
        let mut data = bytes(&frame)?;
        if let (_, Some(code)) = stand_in(self.config.sample_rate)
            && !set_code(&mut data, code)
        {
            return Err(backend(&"a frame without a header"));
        }
        sink(self.clock.output(Bytes::from(data), frames as u64, false));
        Ok(())
    }
}
