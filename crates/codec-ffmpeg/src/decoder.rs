//! Chunks in, frames out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::codec::DecoderContext;
use reelcore_media::h264::Sps;
use reelcore_media::pool::BufferPool;
use reelcore_media::vpx::{
    Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind, vp9_color_space,
};
use reelcore_media::{
    ChunkKind, CpuImage, EncodedChunk, MediaError, PixelFormat, Plane, Size, VideoDecoder,
    VideoDecoderConfig, VideoFrame,
};

use crate::avc::{Avc, Picture};
use crate::backend::{Form, MAX_THREADS, Setup};
use crate::hevc::{Hevc, Step};
use crate::library::{Frame, FrameInfo, Library, Options, Received};
use crate::samples::{Samples, pixel_format};

/// Chunks whose frames may still come: more than the deepest reordering (16 frames) and the frame threads hold back.
const MAX_IN_FLIGHT: usize = 256;

/// The most bytes of H.264 chunks without a picture, which are parameter sets and the like, in a row.
const MAX_HELD: usize = 1 << 20;

/// libavcodec compares sizes rounded up to its alignment of rows: what that adds at most. The exact cap is compared
/// here.
const ALIGNMENT_PIXELS: u64 = 64 * 65_536;

/// What reads a stream before libavcodec does.
enum Guard {
    Avc(Avc),
    Hevc(Hevc),
    Vp8,
    Vp9,
}

/// What comes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// A frame with its times.
    Frame,
    /// A picture that is not shown, or the second field of the frame before.
    NoFrame,
    /// A frame that is not shown.
    Hidden,
    /// A frame that comes after all before it, of a library that starts anew.
    FirstFrame,
    /// It has no picture.
    Nothing,
    /// Its picture is left out.
    LeftOut,
}

impl Gives {
    fn of_shown(shown: bool) -> Self {
        if shown { Self::Frame } else { Self::NoFrame }
    }
}

/// A decoder over libavcodec.
pub(crate) struct Decoder {
    guard: Guard,
    options: Options,
    /// [`Options::strict`] for the next picture.
    strict: bool,
    /// Opened with the first chunk, which says whether frames are reordered.
    library: Option<Library>,
    pool: BufferPool,
    max_pixels: u64,
    /// The times of each chunk whose frame has not come yet, by index.
    times: BTreeMap<i64, (i64, Option<u64>)>,
    next_index: i64,
    /// The indices of chunks whose frames come before the recovery point that decoding started at.
    hidden: BTreeSet<i64>,
    /// A key chunk was sent since the start, the last flush or the last reset.
    started: bool,
    /// H.264 chunks without a picture, for the next one.
    held: Vec<u8>,
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
        let guard = match &setup.form {
            Form::Avc(avcc) => Guard::Avc(Avc::new(avcc.as_ref(), max_pixels)?),
            Form::Hevc(hvcc) => Guard::Hevc(Hevc::new(hvcc.as_ref(), max_pixels)?),
            Form::Vp8 => Guard::Vp8,
            Form::Vp9 => Guard::Vp9,
        };
        let extradata = match (&guard, &config.description) {
            (Guard::Avc(_) | Guard::Hevc(_), Some(description)) => description.clone(),
            _ => Bytes::new(),
        };
        Ok(Self {
            guard,
            options: Options {
                name: setup.decoder,
                extradata,
                threads: context.threads.clamp(1, MAX_THREADS),
                low_delay: config.optimize_for_latency,
                strict: true,
                inexact: false,
                max_pixels: max_pixels.saturating_add(ALIGNMENT_PIXELS),
            },
            strict: true,
            library: None,
            pool: context.pool.clone(),
            max_pixels,
            times: BTreeMap::new(),
            next_index: 0,
            hidden: BTreeSet::new(),
            started: false,
            held: Vec::new(),
            neutral: None,
        })
    }

    /// Checks a chunk.
    fn check(&mut self, data: &[u8], key: bool) -> Result<Gives, MediaError> {
        let max_pixels = self.max_pixels;
        match &mut self.guard {
            Guard::Avc(avc) => {
                let picture = avc.check(data, key, max_pixels)?;
                if picture == Picture::None {
                    return Ok(Gives::Nothing);
                }
                if let Some(sps) = avc.active() {
                    self.strict = is_strict(sps, self.options.low_delay)?;
                }
                Ok(match picture {
                    Picture::Completes => Gives::NoFrame,
                    Picture::Hidden => Gives::Hidden,
                    _ => Gives::Frame,
                })
            }
            Guard::Hevc(hevc) => Ok(match hevc.check(data, max_pixels)? {
                Step::Decode => Gives::Frame,
                Step::StartAnew => Gives::FirstFrame,
                Step::Skip => Gives::LeftOut,
            }),
            Guard::Vp8 => {
                let header = Vp8FrameHeader::parse(data)?;
                if let Some(size) = header.key {
                    check_area(size, max_pixels)?;
                }
                Ok(Gives::of_shown(header.shown))
            }
            Guard::Vp9 => {
                let mut shown = 0;
                for range in Superframe::parse(data)?.frames() {
                    let frame = data.get(range.clone()).unwrap_or(&[]);
                    let header = Vp9FrameHeader::parse(frame)?;
                    if let Some(size) = header.size {
                        check_area(size, max_pixels)?;
                    }
                    shown += u32::from(header.shown || header.kind == Vp9FrameKind::ShowExisting);
                }
                if shown > 1 {
                    return Err(MediaError::unsupported(
                        "a chunk of several shown frames, of which the last one is the picture",
                    ));
                }
                Ok(Gives::of_shown(shown == 1))
            }
        }
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
        check_alpha(chunk)?;
        if chunk.kind == ChunkKind::Key {
            self.started = true;
        } else if !self.started {
            return Err(MediaError::invalid_data(
                "the first chunk is a delta chunk, expected a key chunk",
            ));
        }
        let gives = self.check(&chunk.data, chunk.kind == ChunkKind::Key)?;
        if matches!(gives, Gives::Nothing | Gives::LeftOut) {
            return self.hold(&chunk.data, gives);
        }
        if gives == Gives::FirstFrame {
            self.drain(sink)?;
            if let Some(library) = &mut self.library {
                library.reset();
            }
        }
        if let Guard::Avc(avc) = &self.guard
            && (avc.jumped()
                || avc.inexact() != self.options.inexact
                || self.strict && !self.options.strict)
        {
            let inexact = avc.inexact();
            self.change_library(inexact, sink)?;
        }
        let library = match &mut self.library {
            Some(library) => library,
            none => {
                self.options.strict = self.strict;
                if let Guard::Avc(avc) = &self.guard {
                    avc.write_sets_before(&mut self.held);
                }
                none.insert(Library::new(&self.options)?)
            }
        };
        if let Guard::Avc(avc) = &self.guard
            && avc.active().is_some_and(|sps| !sps.frames_only)
        {
            library.expect_fields();
        }
        // Odd ones are not watched for damage.
        let index = self.next_index | i64::from(gives == Gives::Hidden);
        self.next_index += 2;
        match gives {
            Gives::Frame | Gives::FirstFrame => {
                self.times.insert(index, (chunk.timestamp, chunk.duration));
            }
            Gives::Hidden => {
                self.hidden.insert(index);
            }
            Gives::NoFrame | Gives::Nothing | Gives::LeftOut => {}
        }
        if self.times.len() > MAX_IN_FLIGHT {
            // Of HEVC, pictures that are not shown.
            self.times.pop_first();
        }
        if self.hidden.len() > MAX_IN_FLIGHT {
            self.hidden.pop_first();
        }
        loop {
            let whole = 0..chunk.data.len();
            let ranges = match &self.guard {
                Guard::Avc(avc) => avc.pieces(),
                _ => std::slice::from_ref(&whole),
            };
            let pieces = ranges
                .iter()
                .filter_map(|range| chunk.data.get(range.clone()));
            let pieces = std::iter::once(&self.held[..]).chain(pieces);
            let Some(library) = &mut self.library else {
                break;
            };
            match library.send(pieces, index) {
                Ok(true) => break,
                Ok(false) => {}
                // The error of a packet, of this one or one before, comes when it is taken.
                Err(error) => {
                    self.forgive(error)?;
                    break;
                }
            }
            if !self.receive(sink)? {
                return Err(MediaError::backend(
                    "libavcodec neither takes a packet nor gives a frame",
                ));
            }
        }
        self.held.clear();
        while self.receive(sink)? {}
        Ok(())
    }

    /// Keeps a chunk without a picture, or what one has beside its picture, for the next packet: libavcodec takes none
    /// without a picture.
    fn hold(&mut self, data: &[u8], gives: Gives) -> Result<(), MediaError> {
        let whole = 0..data.len();
        let ranges = match &self.guard {
            Guard::Hevc(hevc) if gives == Gives::LeftOut => hevc.pieces(),
            Guard::Avc(avc) => avc.pieces(),
            _ => std::slice::from_ref(&whole),
        };
        for piece in ranges.iter().filter_map(|range| data.get(range.clone())) {
            if self.held.len() + piece.len() > MAX_HELD {
                return Err(MediaError::limit(format!(
                    "chunks without a picture hold more than {MAX_HELD} bytes"
                )));
            }
            self.held.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Outputs the next frame, if there is one.
    fn receive(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<bool, MediaError> {
        let Some(library) = &mut self.library else {
            return Ok(false);
        };
        let received = match library.receive() {
            Ok(received) => received,
            Err(error) => {
                self.forgive(error)?;
                return Ok(true);
            }
        };
        match received {
            Received::Frame(frame) => {
                // Frame threads hand packets back in order: all of those up to this frame's are decoded.
                let index = frame.info().index();
                library.find_damage(index)?;
                if self.hidden.remove(&index) {
                    return Ok(true);
                }
                sink(self.frame(frame)?);
                Ok(true)
            }
            Received::Again | Received::End => {
                library.find_damage(i64::MIN)?;
                Ok(false)
            }
        }
    }

    /// Lets an error go, once for each picture before the recovery point: those refer to pictures that are not there.
    fn forgive(&mut self, error: MediaError) -> Result<(), MediaError> {
        match self.hidden.pop_first() {
            Some(_) => Ok(()),
            None => Err(error),
        }
    }

    /// Goes over to a library that expects missing references, or at an IDR picture to one that does not; or at a jump to another
    /// one that does; or to one that reorders by what the stream may do.
    fn change_library(
        &mut self,
        inexact: bool,
        sink: &mut dyn FnMut(VideoFrame),
    ) -> Result<(), MediaError> {
        // All before it is shown before it.
        if let Some(library) = &mut self.library {
            library.end()?;
            while self.receive(sink)? {}
        }
        self.library = None;
        self.hidden.clear();
        self.options.inexact = inexact;
        Ok(())
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
        // libavcodec counts as damaged what comes after a start without an IDR picture, until it knows better.
        let damaged = if self.options.inexact {
            info.concealed()
        } else {
            info.damaged()
        };
        if damaged {
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
        let color_space = match &self.guard {
            Guard::Avc(_) | Guard::Hevc(_) => info.color_space(),
            // https://www.rfc-editor.org/rfc/rfc6386#section-9.2
            // color_space 0 is "similar to ITU-R BT.601", 1 reserved; clamping_type, which libavcodec takes for the
            // range, says whether values must be clamped.
            Guard::Vp8 => vp9_color_space(1, false),
            Guard::Vp9 => info.vp9_color_space(),
        };
        let mut frame = VideoFrame::from_cpu(image, timestamp, duration, color_space);
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
        if self.options.inexact {
            self.library = None;
            self.options.inexact = false;
        }
        if let Some(library) = &mut self.library {
            library.reset();
        }
        self.hidden.clear();
        match &mut self.guard {
            Guard::Avc(avc) => avc.restart(),
            Guard::Hevc(hevc) => hevc.restart(),
            Guard::Vp8 | Guard::Vp9 => {}
        }
        // Parameter sets among it stay.
        self.times.clear();
        self.started = false;
    }

    /// Outputs every frame that is left.
    fn drain(&mut self, sink: &mut dyn FnMut(VideoFrame)) -> Result<(), MediaError> {
        let Some(library) = &mut self.library else {
            return Ok(());
        };
        library.end()?;
        while self.receive(sink)? {}
        if let Guard::Avc(avc) = &self.guard
            && avc.lacks_second_field()
        {
            return Err(MediaError::invalid_data(
                "the last frame lacks its second field: libavcodec gives no picture for one field",
            ));
        }
        if let Some(library) = &mut self.library {
            library.find_damage(i64::MAX)?;
        }
        // libavcodec drops H.264 frames that come later than the stream's own bound of reordering permits.
        match (&self.guard, self.times.first_key_value()) {
            (Guard::Avc(_), Some((_, (timestamp, _)))) => Err(MediaError::invalid_data(format!(
                "the frame with timestamp {timestamp} was lost: the stream reorders frames more than it says"
            ))),
            _ => Ok(()),
        }
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
        self.drain(sink)?;
        self.restart();
        Ok(())
    }

    fn reset(&mut self) {
        self.restart();
    }

    fn accepts(&self, chunk: &EncodedChunk) -> Result<(), MediaError> {
        check_alpha(chunk)?;
        if let Guard::Avc(avc) = &self.guard
            && let Some(sps) = avc.next_sps(&chunk.data)?
        {
            is_strict(&sps, self.options.low_delay)?;
        }
        Ok(())
    }

    fn write_parameter_sets(&self, out: &mut Vec<u8>) {
        if let Guard::Avc(avc) = &self.guard {
            avc.write_in_band_sets(out);
        }
    }
}

/// Refuses alpha.
fn check_alpha(chunk: &EncodedChunk) -> Result<(), MediaError> {
    if chunk.side.as_ref().is_some_and(|side| side.alpha.is_some()) {
        return Err(MediaError::unsupported(
            "libavcodec decodes no alpha that stands beside the chunk",
        ));
    }
    Ok(())
}

/// Whether libavcodec is to reorder by what the stream may do, not by what it has done so far, in which it loses
/// frames.
///
/// # Errors
/// `Unsupported` where that would cost a low delay, and OpenH264 can do better.
fn is_strict(sps: &Sps, low_delay: bool) -> Result<bool, MediaError> {
    let stated = sps.vui.max_reorder_frames.is_some();
    if !low_delay || stated {
        return Ok(true);
    }
    if sps.reorder_frames() == 0 {
        return Ok(false);
    }
    let by_openh264 = matches!(sps.profile, 77 | 100)
        && sps.frames_only
        && sps.bit_depth == [8, 8]
        && sps.chroma_format == 1;
    if by_openh264 {
        return Err(MediaError::unsupported(
            "libavcodec would hold back a whole picture buffer, as the stream does not say how much it reorders",
        ));
    }
    Ok(true)
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
