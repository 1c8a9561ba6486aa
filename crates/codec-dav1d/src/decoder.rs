//! Chunks in, frames out.

use bytes::Bytes;
use reelcore_media::av1;
use reelcore_media::codec::{DecoderContext, Limits};
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    CpuImage, EncodedChunk, MediaError, PixelFormat, Plane, Size, VideoDecoder, VideoDecoderConfig,
    VideoFrame,
};

use crate::library::{Library, Times};
use crate::picture::Picture;

/// An AV1 decoder.
pub(crate) struct Decoder {
    library: Library,
    output: Output,
    limits: Limits,
    /// A key frame was sent since the start, the last flush or the last reset.
    started: bool,
}

/// What turns pictures into frames.
struct Output {
    pool: BufferPool,
    /// The chroma plane that pictures without chroma share, for its format and number of bytes.
    neutral: Option<(PixelFormat, Bytes)>,
}

impl Decoder {
    /// A decoder with threads and memory from `context`.
    pub(crate) fn new(
        config: &VideoDecoderConfig,
        context: &DecoderContext,
    ) -> Result<Self, MediaError> {
        Ok(Self {
            library: Library::new(context, config.optimize_for_latency)?,
            output: Output {
                pool: context.pool.clone(),
                neutral: None,
            },
            limits: context.limits,
            started: false,
        })
    }
}

impl VideoDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let at = |error: MediaError| {
            MediaError::new(
                error.kind,
                format!("AV1 chunk with timestamp {}: {error}", chunk.timestamp),
            )
        };
        // dav1d passes over what this walk finds: forbidden bits and stray bytes.
        let unit = av1::inspect(&chunk.data).map_err(at)?;
        // A frame that is shown again is three bytes.
        self.limits.check_chunk_pictures(unit.frames).map_err(at)?;
        if !self.started {
            // https://www.w3.org/TR/webcodecs-av1-codec-registration/#encodedvideochunk-type
            // A key chunk is expected to contain a key frame.
            if unit.first_frame_is_key != Some(true) {
                return Err(at(MediaError::invalid_data(
                    "the first chunk has no key frame, expected frame_type KEY_FRAME",
                )));
            }
            self.started = true;
        }
        let times = Times {
            timestamp: chunk.timestamp,
            duration: chunk.duration,
        };
        let output = &mut self.output;
        self.library.decode(&chunk.data, times, &mut |picture| {
            sink(output.frame(&picture)?);
            Ok(())
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        let output = &mut self.output;
        self.library.drain(&mut |picture| {
            sink(output.frame(&picture)?);
            Ok(())
        })?;
        self.started = false;
        Ok(())
    }

    fn reset(&mut self) {
        self.library.reset();
        self.started = false;
    }
}

impl Output {
    /// The frame over the memory of `picture`.
    fn frame(&mut self, picture: &Picture) -> Result<VideoFrame, MediaError> {
        let Some(format) = picture.format() else {
            return Err(MediaError::backend(format!(
                "dav1d gave a picture with samples of {} bits",
                picture.bit_depth()
            )));
        };
        let size = picture.size();
        let mut planes = picture.planes();
        if picture.is_monochrome() {
            let chroma = self.neutral_chroma(format, size);
            planes.extend([chroma.clone(), chroma]);
        }
        let image = CpuImage::new(format, size, planes)
            .map_err(|error| MediaError::backend(format!("dav1d gave a picture where {error}")))?;
        let times = picture.times();
        let mut frame = VideoFrame::from_cpu(
            image,
            times.timestamp,
            times.duration,
            picture.color_space(),
        );
        frame.display_size = display_size(size, picture.render_size());
        Ok(frame)
    }

    /// The chroma plane of grey: half of the samples' range, one plane for U, V and all frames.
    fn neutral_chroma(&mut self, format: PixelFormat, size: Size) -> Plane {
        let stride = format.row_bytes(1, size.width);
        let len = stride * format.plane_size(1, size).height as usize;
        let data = match &self.neutral {
            Some((cached, data)) if *cached == format && data.len() == len => data.clone(),
            _ => {
                let mut buffer = self.pool.take(len);
                if format.bit_depth() > 8 {
                    let grey = (1u16 << (format.bit_depth() - 1)).to_le_bytes();
                    for sample in buffer.chunks_exact_mut(2) {
                        sample.copy_from_slice(&grey);
                    }
                } else {
                    buffer.fill(128);
                }
                let data = buffer.freeze();
                self.neutral = Some((format, data.clone()));
                data
            }
        };
        Plane { data, stride }
    }
}

/// The size at which to show a picture of `size` whose frame header says `render`.
///
/// Only the aspect ratio of render_size is used, as sample aspect ratio, which is what AV1 in ISOBMFF
/// makes of it (2.2.4: `pasp` is to agree with it). Its scale is not: where a stream codes a picture
/// smaller for lack of bits (reference scaling), the frame has the size that was decoded, as in the
/// browsers. An aspect that differs by no more than the rounding of one pixel is the same.
fn display_size(size: Size, render: Size) -> Size {
    let aspect = (
        u64::from(render.width) * u64::from(size.height),
        u64::from(render.height) * u64::from(size.width),
    );
    let shown = size.with_sample_aspect(aspect);
    let close = |a: u32, b: u32| a.abs_diff(b) <= 1 + a / 256;
    if close(shown.width, size.width) && close(shown.height, size.height) {
        size
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_size_changes_the_aspect_ratio_and_not_the_scale() {
        let size = Size::new(720, 576);
        assert_eq!(
            display_size(size, Size::new(1024, 576)),
            Size::new(1024, 576)
        );
        assert_eq!(display_size(size, size), size);
        let scaled = Size::new(640, 360);
        assert_eq!(display_size(scaled, Size::new(1280, 720)), scaled);
        let rounded = Size::new(427, 240);
        assert_eq!(display_size(rounded, Size::new(854, 480)), rounded);
        assert_eq!(display_size(size, Size::new(0, 0)), size);
    }
}
