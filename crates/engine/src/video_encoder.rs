//! Video encoding as a [`Codec`] of the engine: frames are converted and scaled to what the encoder takes, on the
//! worker; alpha is encoded beside the picture.

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::codec::{Limits, VideoDecoderConfig};
use reelcore_media::convert::Fitter;
use reelcore_media::encoder::{EncodeOptions, EncodedVideo, EncoderContext, LatencyMode};
use reelcore_media::frame::Lease;
use reelcore_media::{
    ChunkKind, MediaError, Registry, Rotation, SideData, VideoEncoder, VideoEncoderBackend,
    VideoEncoderConfig, VideoFrame,
};

use crate::Engine;
use crate::actor::Codec;

/// Encodes [`VideoFrame`]s to [`EncodedVideo`].
#[derive(Debug)]
pub enum VideoEncode {}

/// A frame with what is said of it.
#[derive(Clone, Debug)]
pub struct VideoInput {
    /// The frame, of any format and size.
    pub frame: VideoFrame,
    /// What is said of it.
    pub options: EncodeOptions,
}

/// An encoder, and what goes before and after it.
pub struct Running {
    encoder: Box<dyn VideoEncoder>,
    config: VideoEncoderConfig,
    format: reelcore_media::PixelFormat,
    fitter: Fitter,
    /// The orientation of the last frame. All frames between two configurations have the same.
    orientation: (Rotation, bool),
    alpha: Option<Alpha>,
    /// What one call of the encoder gave.
    outputs: Vec<EncodedVideo>,
}

/// The encoder of alpha. It runs after the encoder of the picture, when it is known which pictures are key pictures:
/// who seeks to one must find alpha there as well.
struct Alpha {
    encoder: Box<dyn VideoEncoder>,
    /// The alpha of frames whose pictures are not out yet.
    waiting: VecDeque<VideoFrame>,
}

/// Frames that an encoder holds back at most: the largest look-ahead of libaom and libvpx (48 and 25), with room. What
/// holds more has lost frames.
const MAX_WAITING: usize = 128;

/// Pictures up to this many pixels are encoded fastest on one thread.
const ONE_THREAD_PIXELS: u64 = 320 * 240;

impl VideoEncode {
    /// Whether a codec of `engine` can be configured with `config`: what `VideoEncoder.isConfigSupported` says.
    pub fn supports(registry: &Registry, config: &VideoEncoderConfig, engine: &Engine) -> bool {
        Self::check_limits(config, &engine.options.limits).is_ok()
            && registry.video_encoders(config).is_ok()
    }
}

impl Codec for VideoEncode {
    type Config = VideoEncoderConfig;
    type Input = VideoInput;
    type Output = EncodedVideo;
    type Backend = Arc<dyn VideoEncoderBackend>;
    type Instance = Running;

    fn check_limits(config: &VideoEncoderConfig, limits: &Limits) -> Result<(), MediaError> {
        let limit = limits.max_frame_pixels;
        if config.size.area() > limit {
            return Err(MediaError::limit(format!(
                "pictures of {}x{} pixels exceed max_frame_pixels, which is {limit}",
                config.size.width, config.size.height
            )));
        }
        Ok(())
    }

    fn backends(
        registry: &Registry,
        config: &VideoEncoderConfig,
    ) -> Result<Vec<Self::Backend>, MediaError> {
        registry.video_encoders(config)
    }

    fn threads(backend: &Self::Backend, config: &VideoEncoderConfig) -> usize {
        match config.size.area() <= ONE_THREAD_PIXELS {
            true => 1,
            false => backend.max_threads(config),
        }
    }

    fn start(
        backend: &Self::Backend,
        config: &VideoEncoderConfig,
        engine: &Engine,
        threads: usize,
    ) -> Result<Running, MediaError> {
        Self::check_limits(config, &engine.options.limits)?;
        let context = EncoderContext {
            pool: engine.pool.clone(),
            threads,
        };
        let alpha = match config.keep_alpha {
            false => None,
            true => {
                let mut config = config.clone();
                // A picture of alpha comes out in the call that its frame goes in. Alpha is seldom the larger part:
                // half of the rate is what Chromium's players are used to at most.
                config.latency_mode = LatencyMode::Realtime;
                config.bitrate = config.bitrate.map(|rate| (rate / 2).max(1));
                Some(Alpha {
                    encoder: backend.start(&config, &context)?,
                    waiting: VecDeque::new(),
                })
            }
        };
        Ok(Running {
            encoder: backend.start(config, &context)?,
            config: config.clone(),
            format: backend.input_format(config),
            fitter: Fitter::new(engine.pool.clone()),
            orientation: (Rotation::R0, false),
            alpha,
            outputs: Vec::new(),
        })
    }

    fn process(
        instance: &mut Running,
        input: &VideoInput,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let size = instance.config.size;
        let frame = instance.fitter.fit(&input.frame, instance.format, size)?;
        instance.orientation = (frame.rotation, frame.flip);
        if let Some(alpha) = &mut instance.alpha {
            if alpha.waiting.len() >= MAX_WAITING {
                return Err(MediaError::backend(format!(
                    "the encoder holds back more than {MAX_WAITING} frames"
                )));
            }
            let frame = instance.fitter.alpha(&input.frame, instance.format, size)?;
            alpha.waiting.push_back(frame);
        }
        let outputs = &mut instance.outputs;
        instance
            .encoder
            .encode(&frame, &input.options, &mut |output| outputs.push(output))?;
        instance.deliver(input.options.quantizer, sink)
    }

    fn flush(instance: &mut Running, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        let outputs = &mut instance.outputs;
        instance.encoder.flush(&mut |output| outputs.push(output))?;
        instance.deliver(None, sink)?;
        if let Some(alpha) = &mut instance.alpha {
            // Frames that the encoder dropped have no picture to go with.
            alpha.waiting.clear();
        }
        Ok(())
    }

    fn finish(_: &VideoEncoderConfig, _: &mut EncodedVideo, lease: Lease) {
        // Chunks cannot be closed: they do not count among the outputs that stall a codec.
        drop(lease);
    }

    fn output_bytes(output: &EncodedVideo) -> usize {
        output.chunk.data.len()
    }
}

impl Running {
    /// Completes what the encoder gave.
    fn deliver(
        &mut self,
        quantizer: Option<u16>,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        for mut output in self.outputs.drain(..) {
            if let Some(decoder) = &mut output.decoder_config {
                let config = VideoDecoderConfig {
                    display_aspect: self.config.display_size,
                    rotation: self.orientation.0,
                    flip: self.orientation.1,
                    ..(**decoder).clone()
                };
                *decoder = Arc::new(config);
            }
            if let Some(alpha) = &mut self.alpha {
                let data = alpha.encode(&output, quantizer)?;
                let side = output.chunk.side.take();
                let side = SideData {
                    alpha: Some(data),
                    ..side.as_deref().cloned().unwrap_or_default()
                };
                output.chunk.side = Some(Arc::new(side));
            }
            sink(output);
        }
        Ok(())
    }
}

impl Alpha {
    /// The coded alpha of the frame that `picture` shows.
    fn encode(
        &mut self,
        picture: &EncodedVideo,
        quantizer: Option<u16>,
    ) -> Result<bytes::Bytes, MediaError> {
        let timestamp = picture.chunk.timestamp;
        let lost = || {
            MediaError::backend(format!(
                "no alpha waits for the picture at {timestamp} microseconds"
            ))
        };
        // Pictures without reordering: those in front were dropped by the encoder.
        let index = self.waiting.iter().position(|f| f.timestamp == timestamp);
        let frame = self.waiting.drain(..=index.ok_or_else(lost)?).next_back();
        let options = EncodeOptions {
            key_frame: picture.chunk.kind == ChunkKind::Key,
            quantizer,
        };
        let mut data = None;
        self.encoder
            .encode(&frame.ok_or_else(lost)?, &options, &mut |output| {
                data = Some(output.chunk.data);
            })?;
        data.ok_or_else(|| {
            MediaError::backend(format!(
                "the encoder of alpha gave nothing for the frame at {timestamp} microseconds"
            ))
        })
    }
}
