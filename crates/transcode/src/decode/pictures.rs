//! Pictures of an input.

use reelcore_engine::VideoDecode;
use reelcore_media::demux::{Track, TrackKind};
use reelcore_media::{
    ChunkKind, ErrorKind, MediaError, Rotation, Size, VideoCodec, VideoDecoderConfig, VideoFrame,
};

use super::alpha::AlphaDecoding;
use super::backend::Decoding;
use super::{before, codec_of, missing, reader};
use crate::error::{self, JobError};
use crate::job::SourceKind;
use crate::source::{Content, FOREVER, OpenInput, Part};
use crate::stream::{Context, Outlet, Pictures};
use crate::video::paint::Painter;
use crate::video::shape::Shape;

/// Pictures that wait for who takes them.
const PICTURES_AHEAD: usize = 4;

/// How long a picture is shown of which nothing says it.
const PICTURE: i64 = 40_000;

fn video_config(track: &Track) -> Result<VideoDecoderConfig, MediaError> {
    let TrackKind::Video {
        coded_size,
        display_aspect,
        aspect_of_stream,
        rotation,
        flip,
        color_space,
    } = track.kind
    else {
        return Err(MediaError::argument("not a track of pictures"));
    };
    let codec = VideoCodec::parse(&codec_of(track)?)
        .map_err(|error| MediaError::unsupported(error.to_string()))?;
    Ok(VideoDecoderConfig {
        description: track.description.clone(),
        coded_size: Some(coded_size).filter(|size| size.area() > 0),
        display_aspect: Some(display_aspect)
            .filter(|aspect| aspect.area() > 0 && !aspect_of_stream),
        rotation,
        flip,
        color_space,
        ..VideoDecoderConfig::new(codec)
    })
}

/// The pictures of an input, decoded on a thread of their own.
pub(crate) fn pictures(
    context: &Context,
    input: &OpenInput,
    number: usize,
) -> Result<Pictures, JobError> {
    for part in &input.parts {
        if !part.media.has(SourceKind::Video, number) {
            return Err(missing(part, SourceKind::Video, number));
        }
    }
    let parts = input.parts.clone();
    let of_thread = context.clone();
    let inlet = context.stage("decode video", PICTURES_AHEAD, move |outlet| {
        let mut line = PictureLine {
            outlet,
            painter: Painter::new(&of_thread.engine),
            shape: None,
            several: parts.len() > 1,
            changed: false,
            pending: None,
        };
        for part in &parts {
            pictures_of(&of_thread, part, number, &mut line)?;
        }
        line.finish()
    })?;
    Ok(Box::new(inlet))
}

/// Pictures of all parts on one line. Each is kept until the next one says how long it is shown.
struct PictureLine<'a> {
    outlet: &'a mut Outlet<VideoFrame>,
    painter: Painter,
    /// What the first picture is like, where others are brought to it.
    shape: Option<Shape>,
    several: bool,
    /// Whether the pictures are of another configuration than the first.
    changed: bool,
    pending: Option<VideoFrame>,
}

/// A picture as it is coded: neither turned nor mirrored for display.
fn as_coded(frame: &VideoFrame) -> VideoFrame {
    VideoFrame {
        rotation: Rotation::R0,
        flip: false,
        display_size: turned(frame.display_size, frame.rotation),
        ..frame.clone()
    }
}

fn turned(size: Size, rotation: Rotation) -> Size {
    match rotation.swaps_axes() {
        true => Size::new(size.height, size.width),
        false => size,
    }
}

impl PictureLine<'_> {
    fn push(&mut self, mut frame: VideoFrame) -> Result<(), JobError> {
        if self.several {
            frame = match &self.shape {
                None => {
                    let frame = self.painter.upright(&frame)?;
                    self.shape = Some(Shape::of(&frame));
                    frame
                }
                Some(shape) => self.painter.reshape(&frame, shape)?,
            };
        } else if let Some(shape) = &self.shape {
            // One file is turned as a whole, so its pictures stay as they lie.
            if self.changed {
                let coded = as_coded(&frame);
                if Shape::of(&coded) != *shape {
                    let shaped = self.painter.reshape(&coded, shape)?;
                    frame = VideoFrame {
                        rotation: frame.rotation,
                        flip: frame.flip,
                        display_size: turned(shaped.display_size, frame.rotation),
                        ..shaped
                    };
                }
            }
        } else {
            self.shape = Some(Shape::of(&as_coded(&frame)));
        }
        if let Some(mut before) = self.pending.take() {
            before.duration = u64::try_from(frame.timestamp.saturating_sub(before.timestamp)).ok();
            self.outlet.push(before)?;
        }
        self.pending = Some(frame);
        Ok(())
    }

    fn finish(mut self) -> Result<(), JobError> {
        match self.pending.take() {
            Some(frame) => self.outlet.push(frame),
            None => Ok(()),
        }
    }
}

/// Cuts the pictures of one part: what is shown at any time between `from` and `to` is kept.
pub(crate) struct Cut {
    from: i64,
    to: i64,
    pending: Option<VideoFrame>,
    step: i64,
}

impl Cut {
    /// Keeps what is shown from `from` until `to`, in microseconds of the pictures' own time.
    pub(crate) fn new(from: i64, to: i64) -> Self {
        Self {
            from,
            to,
            pending: None,
            step: PICTURE,
        }
    }

    /// Takes the next picture, and gives the one before if it is kept. Pictures that do not come in order are dropped.
    pub(crate) fn push(&mut self, frame: VideoFrame) -> Option<VideoFrame> {
        if let Some(before) = &self.pending {
            if frame.timestamp <= before.timestamp {
                return None;
            }
            self.step = frame.timestamp.saturating_sub(before.timestamp);
        }
        let next = frame.timestamp;
        let before = self.pending.replace(frame)?;
        self.cut(before, next)
    }

    /// The last picture, if it is kept.
    pub(crate) fn finish(&mut self) -> Option<VideoFrame> {
        let last = self.pending.take()?;
        let said = last
            .duration
            .and_then(|duration| i64::try_from(duration).ok());
        let duration = said.filter(|&duration| duration > 0).unwrap_or(self.step);
        let end = last.timestamp.saturating_add(duration);
        self.cut(last, end)
    }

    /// Whether nothing of what follows is kept.
    pub(crate) fn is_over(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|frame| frame.timestamp >= self.to)
    }

    fn cut(&self, mut frame: VideoFrame, end: i64) -> Option<VideoFrame> {
        let start = frame.timestamp.max(self.from);
        let end = end.min(self.to);
        frame.timestamp = start.saturating_sub(self.from);
        frame.duration = Some(
            u64::try_from(end.saturating_sub(start))
                .ok()
                .filter(|&duration| duration > 0)?,
        );
        Some(frame)
    }
}

fn pictures_of(
    context: &Context,
    part: &Part,
    number: usize,
    line: &mut PictureLine<'_>,
) -> Result<(), JobError> {
    let media = &part.media;
    let end = part.to.unwrap_or(i64::MAX).min(match part.length {
        Some(length) => part.from.saturating_add(length),
        None => i64::MAX,
    });
    let (demuxed, origin) = match &media.content {
        Content::Image(frame) => {
            let mut frame = frame.clone();
            frame.timestamp = part.offset;
            frame.duration = u64::try_from(end.min(FOREVER).saturating_sub(part.from)).ok();
            return line.push(frame);
        }
        Content::Tracks(_, origin) => (
            reader(media, SourceKind::Video, number, part.from)?,
            *origin,
        ),
    };
    let (track, mut reader, mut place) = demuxed;
    let failed = |error: MediaError| JobError::input(&media.path, error);
    let start = |track: &Track| {
        Decoding::<VideoDecode>::start(context, video_config(track).map_err(failed)?)
            .map_err(failed)
    };
    let mut config = track.config();
    let mut decoding = start(track)?;
    let mut alpha = AlphaDecoding::default();
    let mut shown = Shown {
        line,
        part,
        origin,
        cut: Cut::new(part.from, end),
    };
    let mut frames = Vec::new();
    // Whether a packet was decoded, and whether some before it were left out.
    let (mut begun, mut skipped) = (false, false);
    // The time of the packet that decoding began at, until a frame has come.
    let mut entry = None;
    loop {
        context.cancel.check()?;
        let packet = reader
            .next_sample()
            .map_err(|error| error::demux(&media.path, &error))?
            // No picture is shown before it is decoded.
            .filter(|packet| {
                packet.decode_time.saturating_sub(origin) < end
                    || packet.chunk.timestamp.saturating_sub(origin) < end
            });
        let next = packet.as_ref().and_then(|packet| packet.config.as_deref());
        if let Some(next) = next.filter(|&next| *next != config) {
            decoding
                .decode(None, &mut |frame| frames.push(frame))
                .map_err(failed)?;
            shown.push(&mut frames, &mut alpha)?;
            decoding = start(&track.with_config(next))?;
            alpha = AlphaDecoding::default();
            shown.line.changed = true;
            config = next.clone();
        }
        let chunk = packet.as_ref().map(|packet| &packet.chunk);
        // A recording of a broadcast begins anywhere: what is before its first key picture cannot be decoded.
        match chunk {
            Some(chunk) if !begun && chunk.kind == ChunkKind::Delta => {
                skipped = true;
                continue;
            }
            None if !begun && skipped => {
                return Err(failed(MediaError::invalid_data(
                    "expected a key picture to begin at, found none",
                )));
            }
            _ => {}
        }
        let decoded = decoding.decode(chunk, &mut |frame| frames.push(frame));
        let unfit = match &decoded {
            // Containers mark pictures as key pictures that OpenH264 does not begin at: those of open groups of pictures.
            Err(error) => !begun && error.kind == ErrorKind::InvalidData,
            Ok(()) => {
                if !begun {
                    entry = chunk.map(|chunk| chunk.timestamp);
                }
                let first = match frames.first() {
                    Some(frame) => Some(frame.timestamp),
                    None => chunk.is_none().then_some(i64::MAX),
                };
                // Where pictures are refreshed by and by, the first ones are whole only a while after the key picture.
                first.is_some_and(|first| {
                    let wanted = part.from.saturating_add(origin);
                    entry.take().is_some_and(|entry| first > entry.max(wanted))
                })
            }
        };
        if let Some(at) = place.filter(|_| unfit) {
            // One before is what these need.
            let found = |error| error::demux(&media.path, &error);
            place = before(&mut *reader, at).map_err(found)?;
            if place.is_none() {
                // There is none: it is this one, or nothing.
                decoded.map_err(failed)?;
                reader.seek(at).map_err(found)?;
            }
            config = track.config();
            decoding = start(track)?;
            alpha = AlphaDecoding::default();
            frames.clear();
            (begun, skipped) = (false, false);
            continue;
        }
        decoded.map_err(failed)?;
        begun = true;
        if let Some(chunk) = chunk {
            alpha
                .decode(context, &decoding.config, chunk)
                .map_err(failed)?;
        }
        shown.push(&mut frames, &mut alpha)?;
        if chunk.is_none() || shown.cut.is_over() {
            break;
        }
    }
    shown.finish()
}

/// Pictures of one part on their way from the decoder to the line.
struct Shown<'a, 'b> {
    line: &'a mut PictureLine<'b>,
    part: &'a Part,
    /// What counts as time 0 of the file.
    origin: i64,
    cut: Cut,
}

impl Shown<'_, '_> {
    fn push(
        &mut self,
        frames: &mut Vec<VideoFrame>,
        alpha: &mut AlphaDecoding,
    ) -> Result<(), JobError> {
        for mut frame in frames.drain(..) {
            alpha
                .join(&mut frame)
                .map_err(|error| JobError::input(&self.part.media.path, error))?;
            frame.timestamp = frame.timestamp.saturating_sub(self.origin);
            if let Some(kept) = self.cut.push(frame) {
                self.keep(kept)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), JobError> {
        match self.cut.finish() {
            Some(kept) => self.keep(kept),
            None => Ok(()),
        }
    }

    fn keep(&mut self, mut frame: VideoFrame) -> Result<(), JobError> {
        frame.timestamp = frame.timestamp.saturating_add(self.part.offset);
        self.line.push(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelcore_conformance::encoding::scene_frame;
    use reelcore_media::{PixelFormat, Size};

    /// What is shown at `time`, by the timestamp that the picture had at first.
    fn shown(frames: &[(i64, i64, i64)], time: i64) -> Option<i64> {
        frames
            .iter()
            .find(|(start, end, _)| (*start..*end).contains(&time))
            .map(|frame| frame.2)
    }

    proptest::proptest! {
        #[test]
        fn a_cut_shows_at_every_time_what_was_shown_there(
            steps in proptest::collection::vec(1i64..50, 1..12), from in 0i64..400, length in 1i64..300, start in 0i64..30
        ) {
            let frame = scene_frame(PixelFormat::I420, Size::new(2, 2), 0, 0);
            let mut at = start;
            let mut source = Vec::new();
            let mut cut = Cut::new(from, from + length);
            let mut kept = Vec::new();
            for step in steps {
                source.push((at, at + step, at));
                let mut next = frame.clone();
                next.timestamp = at;
                next.duration = Some(step as u64);
                // Told apart by a field that a cut leaves alone.
                next.display_size = Size::new(at as u32, 1);
                kept.extend(cut.push(next));
                at += step;
            }
            kept.extend(cut.finish());
            let kept: Vec<_> = kept.iter().map(|frame| {
                let end = frame.timestamp + frame.duration.unwrap() as i64;
                (frame.timestamp, end, i64::from(frame.display_size.width))
            }).collect();
            for time in 0..length + 20 {
                let want = if time < length { shown(&source, from + time) } else { None };
                proptest::prop_assert_eq!(shown(&kept, time), want, "at {}", time);
            }
            proptest::prop_assert!(kept.iter().all(|frame| frame.0 < frame.1));
        }
    }
}
