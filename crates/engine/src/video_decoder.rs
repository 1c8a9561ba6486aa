//! Video decoding as a [`Codec`] of the engine.

use std::collections::VecDeque;
use std::sync::Arc;

use reelcore_media::codec::DecoderContext;
use reelcore_media::frame::Lease;
use reelcore_media::{
    ChunkKind, EncodedChunk, MediaError, Registry, VideoDecoder, VideoDecoderBackend,
    VideoDecoderConfig, VideoFrame,
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

/// Chunks whose pictures may still come, at most: more than any decoder holds back.
const MAX_PENDING: usize = 256;

/// A decoder, and which of the pictures it holds back are not shown.
pub struct RunningVideo {
    decoder: Box<dyn VideoDecoder>,
    pending: Pending,
}

/// The chunks whose pictures have not come yet: their timestamps, and whether they are hidden.
#[derive(Default)]
struct Pending(VecDeque<(i64, bool)>);

impl Pending {
    fn sent(&mut self, chunk: &EncodedChunk) {
        // Those of no picture go in time.
        if self.0.len() >= MAX_PENDING {
            self.0.pop_front();
        }
        let hidden = chunk.side.as_ref().is_some_and(|side| side.hidden);
        self.0.push_back((chunk.timestamp, hidden));
    }

    /// Whether a picture that comes out is shown. Of two chunks with one timestamp, the picture of the first comes first: a list
    /// of edits may show a stretch, and then lead in to another one over the same times.
    fn is_shown(&mut self, frame: &VideoFrame) -> bool {
        let place = self.0.iter().position(|(time, _)| *time == frame.timestamp);
        let sent = place.and_then(|place| self.0.remove(place));
        !sent.is_some_and(|(_, hidden)| hidden)
    }
}

impl Codec for VideoDecode {
    type Config = VideoDecoderConfig;
    type Input = EncodedChunk;
    type Output = VideoFrame;
    type Backend = Arc<dyn VideoDecoderBackend>;
    type Instance = RunningVideo;

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
        Ok(RunningVideo {
            decoder: backend.start(config, &context)?,
            pending: Pending::default(),
        })
    }

    fn process(
        instance: &mut Self::Instance,
        input: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let RunningVideo { decoder, pending } = instance;
        pending.sent(input);
        decoder.decode(input, &mut |frame| {
            if pending.is_shown(&frame) {
                sink(frame);
            }
        })
    }

    fn flush(
        instance: &mut Self::Instance,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let RunningVideo { decoder, pending } = instance;
        let result = decoder.flush(&mut |frame| {
            if pending.is_shown(&frame) {
                sink(frame);
            }
        });
        pending.0.clear();
        result
    }

    fn accepts(instance: &Self::Instance, input: &EncodedChunk) -> Result<(), MediaError> {
        match input.kind {
            ChunkKind::Key => instance.decoder.accepts(input),
            // No other decoder can start at it.
            ChunkKind::Delta => Ok(()),
        }
    }

    fn hand_over(instance: &Self::Instance, input: &EncodedChunk) -> EncodedChunk {
        let mut data = Vec::new();
        instance.decoder.write_parameter_sets(&mut data);
        if data.is_empty() {
            return input.clone();
        }
        data.extend_from_slice(&input.data);
        EncodedChunk {
            data: data.into(),
            ..input.clone()
        }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reelcore_media::{ColorSpace, CpuImage, PixelFormat, Plane, SideData, Size};

    use super::*;

    #[test]
    fn a_hidden_picture_does_not_come_out_and_one_of_the_same_time_does() {
        let plane = |len, stride| Plane {
            data: Bytes::from(vec![0; len]),
            stride,
        };
        let frame = |time| {
            let planes = vec![plane(4, 2), plane(1, 1), plane(1, 1)];
            let image = CpuImage::new(PixelFormat::I420, Size::new(2, 2), planes);
            VideoFrame::from_cpu(image.expect("a picture"), time, None, ColorSpace::default())
        };
        let chunk = |time, hidden| EncodedChunk {
            side: Some(Arc::new(SideData {
                hidden,
                ..SideData::default()
            })),
            ..EncodedChunk::new(ChunkKind::Key, time, Bytes::new())
        };
        let mut pending = Pending::default();
        // An edit shows 0 to 20, then leads in to another one over the same times; the decoder holds two back.
        for (time, hidden) in [(0, false), (20, false), (0, true), (20, true), (40, false)] {
            pending.sent(&chunk(time, hidden));
        }
        let shown: Vec<bool> = [0, 20, 0, 20, 40, 60]
            .map(|time| pending.is_shown(&frame(time)))
            .into();
        assert_eq!(shown, [true, true, false, false, true, true]);
        for time in 0..1000 {
            pending.sent(&chunk(time, true));
        }
        assert_eq!(pending.0.len(), MAX_PENDING, "chunks of no picture");
    }
}
