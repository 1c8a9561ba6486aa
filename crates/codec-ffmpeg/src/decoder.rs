//! Chunks in, frames out.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::codec::DecoderContext;
use reelcore_media::pool::BufferPool;
use reelcore_media::{
    ChunkKind, CpuImage, EncodedChunk, MediaError, PixelFormat, Plane, Size, VideoDecoder,
    VideoDecoderConfig, VideoFrame,
};

use crate::backend::{MAX_THREADS, Setup};
use crate::library::{Frame, FrameInfo, Library, Options, Received};

/// Chunks whose frames may still come: more than the deepest reordering (16 frames) and the frame threads hold back.
const MAX_IN_FLIGHT: usize = 256;

/// libavcodec compares sizes rounded up to its alignment of rows: what that adds at most. The exact cap is compared
/// here.
const ALIGNMENT_PIXELS: u64 = 64 * 65_536;

/// A decoder over libavcodec.
pub(crate) struct Decoder {
    library: Library,
    setup: Setup,
    pool: BufferPool,
    max_pixels: u64,
    /// The times of each chunk, by running index.
    times: BTreeMap<i64, (i64, Option<u64>)>,
    next_index: i64,
    /// A key chunk was sent since the start, the last flush or the last reset.
    started: bool,
    /// The chroma plane that frames without chroma share, for its format and number of bytes.
    neutral: Option<(PixelFormat, Bytes)>,
}

impl Decoder {
    pub(crate) fn new(
        config: &VideoDecoderConfig,
        context: &DecoderContext,
        setup: Setup,
    ) -> Result<Self, MediaError> {
        let max_pixels = context.limits.max_frame_pixels;
        setup.check_sizes_of_description(max_pixels)?;
        let low_delay = config.optimize_for_latency;
        let name: &CStr = setup.decoder;
        let library = Library::new(&Options {
            name,
            extradata: setup.extradata(config),
            threads: context.threads.clamp(1, MAX_THREADS),
            low_delay,
            strict: !(low_delay && setup.without_b_slices),
            max_pixels: max_pixels.saturating_add(ALIGNMENT_PIXELS),
        })?;
        Ok(Self {
            library,
            setup,
            pool: context.pool.clone(),
            max_pixels,
            times: BTreeMap::new(),
            next_index: 0,
            started: false,
            neutral: None,
        })
    }

    fn decode_chunk(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        if chunk.data.is_empty() {
            return Err(MediaError::invalid_data(
                "the chunk is empty, expected a coded picture",
            ));
        }
        if chunk.side.as_ref().is_some_and(|side| side.alpha.is_some()) {
            return Err(MediaError::unsupported(
                "libavcodec decodes no alpha that stands beside the chunk",
            ));
        }
        if chunk.kind == ChunkKind::Key {
            self.setup.check_sizes(&chunk.data, self.max_pixels)?;
            self.started = true;
        } else if !self.started {
            return Err(MediaError::invalid_data(
                "the first chunk is a delta chunk, expected a key chunk",
            ));
        }
        let index = self.next_index;
        self.next_index += 1;
        self.times.insert(index, (chunk.timestamp, chunk.duration));
        if self.times.len() > MAX_IN_FLIGHT {
            // Chunks that show nothing: hidden frames, second fields.
            self.times.pop_first();
        }
        while !self.library.send(&chunk.data, index)? {
            if !self.receive(sink)? {
                return Err(MediaError::backend(
                    "libavcodec neither takes a packet nor gives a frame",
                ));
            }
        }
        while self.receive(sink)? {}
        Ok(())
    }

    /// Outputs the next frame, if there is one.
    fn receive(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<bool, MediaError> {
        match self.library.receive()? {
            Received::Frame(frame) => {
                sink(self.frame(frame)?);
                Ok(true)
            }
            Received::Again | Received::End => Ok(false),
        }
    }

    /// The frame over the memory of `decoded`.
    fn frame(&mut self, decoded: Frame) -> Result<VideoFrame, MediaError> {
        let info = decoded.info();
        let Some((timestamp, duration)) = self.times.remove(&info.index()) else {
            return Err(MediaError::unsupported(
                "a chunk with more than one shown frame",
            ));
        };
        let at = |error: MediaError| {
            MediaError::new(
                error.kind,
                format!("frame with timestamp {timestamp}: {error}"),
            )
        };
        if info.damaged() {
            return Err(at(MediaError::invalid_data(
                "damaged: slices, blocks or references are missing",
            )));
        }
        let image = self.image(decoded, &info).map_err(at)?;
        let rect = info.visible_rect().ok_or_else(|| {
            at(MediaError::invalid_data(
                "the cropping leaves nothing of the frame",
            ))
        })?;
        let mut frame = VideoFrame::from_cpu(image, timestamp, duration, info.color_space());
        frame.visible_rect = rect;
        frame.display_size = match info.sample_aspect() {
            Some(aspect) => rect.size().with_sample_aspect(aspect),
            None => rect.size(),
        };
        Ok(frame)
    }

    fn image(&mut self, decoded: Frame, info: &FrameInfo) -> Result<CpuImage, MediaError> {
        let size = info.coded_size();
        check_area(size, self.max_pixels)?;
        let (format, grey) = pixel_format(info.format()).ok_or_else(|| {
            MediaError::unsupported(format!(
                "the samples are {}, which has no pixel format here",
                info.format()
            ))
        })?;
        let decoded = Arc::new(decoded);
        let coded_planes = if grey { 1 } else { format.num_planes() };
        let mut planes = Vec::with_capacity(format.num_planes());
        for index in 0..coded_planes {
            let samples = Samples::new(&decoded, format, size, index).ok_or_else(|| {
                MediaError::backend(format!("libavcodec gave a frame without plane {index}"))
            })?;
            let stride = samples.stride;
            planes.push(Plane {
                data: Bytes::from_owner(samples),
                stride,
            });
        }
        if grey {
            let chroma = self.neutral_chroma(format, size);
            planes.extend([chroma.clone(), chroma]);
        }
        CpuImage::new(format, size, planes)
            .map_err(|error| MediaError::backend(format!("libavcodec gave a frame where {error}")))
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

    fn restart(&mut self) {
        self.library.reset();
        self.times.clear();
        self.started = false;
    }
}

impl VideoDecoder for Decoder {
    fn decode(
        &mut self,
        chunk: &EncodedChunk,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        self.decode_chunk(chunk, sink).map_err(|error| {
            MediaError::new(
                error.kind,
                format!("at the chunk with timestamp {}: {error}", chunk.timestamp),
            )
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        self.library.end()?;
        while self.receive(sink)? {}
        self.restart();
        Ok(())
    }

    fn reset(&mut self) {
        self.restart();
    }
}

/// Refuses a picture above the cap.
pub(crate) fn check_area(size: Size, max_pixels: u64) -> Result<(), MediaError> {
    if size.area() > max_pixels {
        return Err(MediaError::limit(format!(
            "a picture of {}x{} pixels, the cap max_frame_pixels is {max_pixels}",
            size.width, size.height
        )));
    }
    Ok(())
}

/// The samples of one plane, which hold the frame.
struct Samples {
    frame: Arc<Frame>,
    index: usize,
    rows: usize,
    row_bytes: usize,
    stride: usize,
}

impl Samples {
    /// `format` and `size` must be the frame's own. `None` where it has no such plane.
    fn new(frame: &Arc<Frame>, format: PixelFormat, size: Size, index: usize) -> Option<Self> {
        let rows = format.plane_size(index, size).height as usize;
        let row_bytes = format.row_bytes(index, size.width);
        // SAFETY: of the frame's own size and format.
        let (_, stride) = unsafe { frame.plane(index, rows, row_bytes) }?;
        Some(Self {
            frame: frame.clone(),
            index,
            rows,
            row_bytes,
            stride,
        })
    }
}

impl AsRef<[u8]> for Samples {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `new` took rows and bytes from the frame's own size and format.
        let plane = unsafe { self.frame.plane(self.index, self.rows, self.row_bytes) };
        plane.map_or(&[], |(samples, _)| samples)
    }
}

/// The pixel format of libavutil's `name`, and whether its chroma is missing.
fn pixel_format(name: &str) -> Option<(PixelFormat, bool)> {
    use PixelFormat as F;
    Some(match name {
        "yuv420p" | "yuvj420p" => (F::I420, false),
        "yuv422p" | "yuvj422p" => (F::I422, false),
        // RGB is coded as G, B, R in the places of Y, Cb, Cr, with the matrix that says so.
        "yuv444p" | "yuvj444p" | "gbrp" => (F::I444, false),
        "yuv420p10le" => (F::I420P10, false),
        "yuv422p10le" => (F::I422P10, false),
        "yuv444p10le" | "gbrp10le" => (F::I444P10, false),
        "yuv420p12le" => (F::I420P12, false),
        "yuv422p12le" => (F::I422P12, false),
        "yuv444p12le" | "gbrp12le" => (F::I444P12, false),
        "yuva420p" => (F::I420A, false),
        "gray" => (F::I420, true),
        "gray10le" => (F::I420P10, true),
        "gray12le" => (F::I420P12, true),
        _ => return None,
    })
}
