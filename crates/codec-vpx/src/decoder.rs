//! Chunks in, frames out: the pictures of a stream, with the alpha of a second one.

use reelcore_media::codec::DecoderContext;
use reelcore_media::{
    CpuImage, EncodedChunk, MediaError, PixelFormat, Size, VideoDecoder, VideoFrame,
};

use crate::library::Codec;
use crate::picture::{Picture, Planes};
use crate::stream::Stream;

/// A VP8 or VP9 decoder.
pub(crate) struct Decoder {
    codec: Codec,
    color: Stream,
    alpha: Stream,
}

impl Decoder {
    /// A decoder with threads and memory from `context`. libvpx starts with the first key frame, so an idle decoder
    /// costs next to nothing; the second stream starts with the first alpha.
    pub(crate) fn new(codec: Codec, context: &DecoderContext) -> Self {
        Self {
            codec,
            color: Stream::new(codec, Planes::All, context),
            alpha: Stream::new(codec, Planes::Luma, context),
        }
    }

    /// The picture that `chunk` shows, with its format.
    fn picture(&mut self, chunk: &EncodedChunk) -> Result<Option<Shown>, MediaError> {
        let picture = self.color.decode(&chunk.data)?;
        // A chunk without alpha is opaque, also after others that had it. The alpha stream then stays as it was:
        // its next picture refers to the last one that was there.
        let side = chunk.side.as_deref();
        let alpha = match side.and_then(|side| side.alpha.as_ref()) {
            Some(alpha) if !alpha.is_empty() => self
                .alpha
                .decode(alpha)
                .map_err(|error| MediaError::new(error.kind, format!("alpha: {error}")))?,
            _ => None,
        };
        let Some(picture) = picture else {
            return Ok(None);
        };
        let Some(alpha) = alpha else {
            return Ok(Some(Shown {
                format: picture.format,
                picture,
            }));
        };
        join(picture, alpha).map(Some)
    }
}

/// A picture to show, and the format of all its planes.
struct Shown {
    format: PixelFormat,
    picture: Picture,
}

/// Makes the luma of `alpha` the fourth plane of `picture`.
fn join(mut picture: Picture, alpha: Picture) -> Result<Shown, MediaError> {
    if alpha.size != picture.size {
        return Err(MediaError::invalid_data(format!(
            "the alpha is of {}x{} pixels, the picture of {}x{}",
            alpha.size.width, alpha.size.height, picture.size.width, picture.size.height
        )));
    }
    let depths = (picture.format.bit_depth(), alpha.format.bit_depth());
    if depths.0 != depths.1 {
        return Err(MediaError::invalid_data(format!(
            "the alpha has {} bits, the picture {}",
            depths.1, depths.0
        )));
    }
    let Some(&format) = PixelFormat::ALL
        .iter()
        .find(|f| f.has_alpha() && !f.is_rgb() && f.without_alpha() == picture.format)
    else {
        return Err(MediaError::unsupported(format!(
            "{} has no variant with alpha",
            picture.format.as_str()
        )));
    };
    picture.planes.extend(alpha.planes.into_iter().take(1));
    Ok(Shown { format, picture })
}

impl VideoDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        let result = self.picture(chunk).and_then(|shown| {
            let Some(Shown { format, picture }) = shown else {
                return Ok(());
            };
            let image = CpuImage::new(format, picture.size, picture.planes).map_err(|error| {
                MediaError::backend(format!("libvpx gave a picture where {error}"))
            })?;
            let mut frame =
                VideoFrame::from_cpu(image, chunk.timestamp, chunk.duration, picture.color_space);
            frame.display_size = display_size(picture.size, picture.render_size);
            sink(frame);
            Ok(())
        });
        result.map_err(|error| {
            // Nothing of a broken stream is referred to again.
            self.reset();
            MediaError::new(
                error.kind,
                format!(
                    "{} chunk with timestamp {}: {error}",
                    self.codec.name(),
                    chunk.timestamp
                ),
            )
        })
    }

    /// libvpx holds no picture back.
    fn flush(&mut self, _: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        self.color.expect_key();
        self.alpha.expect_key();
        Ok(())
    }

    fn reset(&mut self) {
        self.color.stop();
        self.alpha.stop();
    }
}

/// The size at which to show a picture of `size` whose frame header says `render`.
///
/// Only the aspect ratio of render_size is used, as sample aspect ratio. Its scale is not: where a stream codes a
/// picture smaller for lack of bits (dynamic resizing), the frame has the size that was decoded, as in the browsers.
/// An aspect that differs by no more than the rounding of one pixel is the same.
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
        assert_eq!(display_size(size, Size::new(0, 0)), size);
    }
}
