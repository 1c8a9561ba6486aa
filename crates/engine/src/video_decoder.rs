//! Video decoding as a [`Codec`] of the engine.

use std::sync::Arc;

use reelcore_media::codec::DecoderContext;
use reelcore_media::frame::Lease;
use reelcore_media::{
    EncodedChunk, MediaError, Registry, VideoDecoder, VideoDecoderBackend, VideoDecoderConfig,
    VideoFrame,
};

use crate::Engine;
use crate::actor::Codec;
use crate::output::apply_config;

/// Decodes [`EncodedChunk`]s to [`VideoFrame`]s.
#[derive(Debug)]
pub enum VideoDecode {}

/// Pictures up to this many pixels are decoded fastest on one thread.
const ONE_THREAD_PIXELS: u64 = 480 * 270;
/// Pictures up to this many pixels gain nothing past two threads.
const TWO_THREAD_PIXELS: u64 = 1280 * 720;

impl Codec for VideoDecode {
    type Config = VideoDecoderConfig;
    type Input = EncodedChunk;
    type Output = VideoFrame;
    type Backend = Arc<dyn VideoDecoderBackend>;
    type Instance = Box<dyn VideoDecoder>;

    fn backends(
        registry: &Registry,
        config: &VideoDecoderConfig,
    ) -> Result<Vec<Self::Backend>, MediaError> {
        registry.video_decoders(config)
    }

    fn threads(backend: &Self::Backend, config: &VideoDecoderConfig) -> usize {
        let by_size = match config.coded_size.map(|size| size.area()) {
            Some(pixels) if pixels <= ONE_THREAD_PIXELS => 1,
            Some(pixels) if pixels <= TWO_THREAD_PIXELS => 2,
            _ => usize::MAX,
        };
        by_size.min(backend.max_threads())
    }

    fn start(
        backend: &Self::Backend,
        config: &VideoDecoderConfig,
        engine: &Engine,
        threads: usize,
    ) -> Result<Self::Instance, MediaError> {
        let context = DecoderContext {
            pool: engine.pool.clone(),
            threads,
            limits: engine.options.limits,
        };
        backend.start(config, &context)
    }

    fn process(
        instance: &mut Self::Instance,
        input: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        instance.decode(input, sink)
    }

    fn flush(
        instance: &mut Self::Instance,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        instance.flush(sink)
    }

    fn finish(config: &VideoDecoderConfig, frame: &mut VideoFrame, lease: Lease) {
        apply_config(frame, config);
        let lease = Arc::new(lease);
        frame.lease = Some(lease.clone());
        if let Some(preparation) = lease.preparation() {
            preparation.run(frame);
        }
    }

    fn output_bytes(frame: &VideoFrame) -> usize {
        frame.resource.byte_size()
    }
}
