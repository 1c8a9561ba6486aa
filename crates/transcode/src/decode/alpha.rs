//! Alpha that lies beside the pictures.

use std::collections::VecDeque;

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    CpuImage, EncodedChunk, MediaError, PixelFormat, VideoDecoder, VideoDecoderConfig, VideoFrame,
};

use super::backend::REPLAY;
use crate::stream::Context;

/// The decoder of alpha, of packets that have it beside the picture.
#[derive(Default)]
pub(super) struct AlphaDecoding {
    decoder: Option<Box<dyn VideoDecoder>>,
    waiting: VecDeque<VideoFrame>,
}

impl AlphaDecoding {
    pub(super) fn decode(
        &mut self,
        context: &Context,
        config: &VideoDecoderConfig,
        chunk: &EncodedChunk,
    ) -> Result<(), MediaError> {
        let Some(data) = chunk.side.as_ref().and_then(|side| side.alpha.clone()) else {
            return Ok(());
        };
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                let mut backends = context.registry.video_decoders(config)?.into_iter();
                let backend = backends
                    .next()
                    .ok_or_else(|| MediaError::unsupported("no decoder for alpha"))?;
                let decoder = DecoderContext {
                    pool: context.engine.pool.clone(),
                    threads: 1,
                    limits: context.engine.options.limits,
                };
                self.decoder.insert(backend.start(config, &decoder)?)
            }
        };
        let chunk = EncodedChunk {
            data,
            side: None,
            ..chunk.clone()
        };
        let waiting = &mut self.waiting;
        decoder.decode(&chunk, &mut |frame| waiting.push_back(frame))?;
        if self.waiting.len() > REPLAY {
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Gives `frame` its alpha, if it has one: the planes of both, without a copy.
    pub(super) fn join(&mut self, frame: &mut VideoFrame) -> Result<(), MediaError> {
        let Some(index) = self
            .waiting
            .iter()
            .position(|alpha| alpha.timestamp == frame.timestamp)
        else {
            return Ok(());
        };
        let Some(alpha) = self.waiting.drain(..=index).next_back() else {
            return Ok(());
        };
        let format = match frame.format {
            Some(PixelFormat::I420) => PixelFormat::I420A,
            Some(PixelFormat::I422) => PixelFormat::I422A,
            Some(PixelFormat::I444) => PixelFormat::I444A,
            _ => return Ok(()),
        };
        let (picture, alpha) = (frame.resource.read_back()?, alpha.resource.read_back()?);
        let (size, Some(plane)) = (picture.size(), alpha.planes().first()) else {
            return Ok(());
        };
        if alpha.size() != size || alpha.format().bit_depth() != 8 {
            return Err(MediaError::invalid_data(format!(
                "expected alpha of 8 bits and {}x{} pixels, found {}x{}",
                size.width,
                size.height,
                alpha.size().width,
                alpha.size().height
            )));
        }
        let mut planes = picture.planes().to_vec();
        planes.push(plane.clone());
        let image = CpuImage::new(format, size, planes)?;
        let joined =
            VideoFrame::from_cpu(image, frame.timestamp, frame.duration, frame.color_space);
        *frame = VideoFrame {
            resource: joined.resource,
            format: joined.format,
            ..frame.clone()
        };
        Ok(())
    }
}
