//! From packets to pictures and sound on the job's time line, cut where the parts of an input say.

use std::collections::{BTreeSet, VecDeque};

use reelcore_engine::{AudioDecode, Codec, ThreadLease, VideoDecode};
use reelcore_media::codec::DecoderContext;
use reelcore_media::demux::{PacketReader, Track, TrackKind};
use reelcore_media::frame::Lease;
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, CpuImage, EncodedChunk, ErrorKind, MediaError,
    PixelFormat, VideoCodec, VideoDecoder, VideoDecoderConfig, VideoFrame,
};

use crate::audio::conform::Conform;
use crate::error::{self, JobError};
use crate::job::SourceKind;
use crate::source::{Content, FOREVER, Media, OpenInput, Part};
use crate::stream::{Context, Outlet, Pictures, Sound, Sounds, frames_of};
use crate::video::paint::{Painter, Shape};

/// Pictures that wait for who takes them.
const PICTURES_AHEAD: usize = 4;

/// Runs of sound that wait for who takes them.
const SOUNDS_AHEAD: usize = 16;

/// Decoders settle on the sound before the place that was asked for, in microseconds: Opus takes 80 ms, MP3 up to ten
/// packets.
const PREROLL: i64 = 300_000;

/// Sound follows the one before if it is off by no more, in microseconds: containers round.
const JITTER: i64 = 20_000;

/// How long a picture is shown of which nothing says it.
const PICTURE: i64 = 40_000;

/// Chunks that are kept until a decoder gave something, so that another can take over.
const REPLAY: usize = 64;

/// Times of pictures that are decoded and not shown.
const MAX_HIDDEN: usize = 4096;

/// A decoder, and those that take over if it refuses the stream before it gave anything.
struct Decoding<C: Codec> {
    config: C::Config,
    instance: C::Instance,
    others: VecDeque<C::Backend>,
    replay: Vec<C::Input>,
    settled: bool,
    _threads: ThreadLease,
    context: Context,
}

impl<C: Codec> Decoding<C> {
    fn start(context: &Context, config: C::Config) -> Result<Self, MediaError> {
        let mut others: VecDeque<_> = C::backends(&context.registry, &config)?.into();
        let (instance, threads) = Self::next(context, &config, &mut others)?;
        Ok(Self {
            config,
            instance,
            others,
            replay: Vec::new(),
            settled: false,
            _threads: threads,
            context: context.clone(),
        })
    }

    fn next(
        context: &Context,
        config: &C::Config,
        others: &mut VecDeque<C::Backend>,
    ) -> Result<(C::Instance, ThreadLease), MediaError> {
        let mut result = Err(MediaError::unsupported("no backend is left"));
        while let Some(backend) = others.pop_front() {
            // Encoders need threads more than decoders do.
            let half = context.engine.options.codec_threads.div_ceil(2);
            let lease = context
                .engine
                .budget
                .lease(C::threads(&backend, config).min(half));
            match C::start(&backend, config, &context.engine, lease.threads()) {
                Ok(instance) => return Ok((instance, lease)),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Decodes `input`, or all that is held back where there is none.
    fn decode(
        &mut self,
        input: Option<&C::Input>,
        sink: &mut dyn FnMut(C::Output),
    ) -> Result<(), MediaError> {
        let mut result = self.feed(input, sink);
        while let Err(error) = &result
            && !self.settled
            && error.kind == ErrorKind::Unsupported
            && !self.others.is_empty()
        {
            let (instance, threads) = Self::next(&self.context, &self.config, &mut self.others)?;
            self.instance = instance;
            self._threads = threads;
            result = Ok(());
            for chunk in std::mem::take(&mut self.replay) {
                if result.is_ok() {
                    result = self.feed(Some(&chunk), sink);
                } else {
                    self.replay.push(chunk);
                }
            }
            if result.is_ok() && input.is_none() {
                result = self.feed(None, sink);
            }
        }
        result
    }

    fn feed(
        &mut self,
        input: Option<&C::Input>,
        sink: &mut dyn FnMut(C::Output),
    ) -> Result<(), MediaError> {
        if let Some(input) = input.filter(|_| !self.settled) {
            self.replay.push(input.clone());
        }
        let (settled, config) = (&mut self.settled, &self.config);
        let mut sink = |mut output| {
            *settled = true;
            C::finish(config, &mut output, Lease::new(|| {}));
            sink(output);
        };
        let result = match input {
            Some(input) => C::process(&mut self.instance, input, &mut sink),
            None => C::flush(&mut self.instance, &mut sink),
        };
        if self.settled || self.replay.len() >= REPLAY {
            self.settled = true;
            self.replay = Vec::new();
        }
        result
    }
}

fn video_config(track: &Track) -> Result<VideoDecoderConfig, MediaError> {
    let TrackKind::Video {
        coded_size,
        display_aspect,
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
        display_aspect: Some(display_aspect).filter(|aspect| aspect.area() > 0),
        rotation,
        flip,
        color_space,
        ..VideoDecoderConfig::new(codec)
    })
}

fn audio_config(track: &Track) -> Result<AudioDecoderConfig, MediaError> {
    let TrackKind::Audio {
        sample_rate,
        channels,
    } = track.kind
    else {
        return Err(MediaError::argument("not a track of sound"));
    };
    let codec = AudioCodec::parse(&codec_of(track)?)
        .map_err(|error| MediaError::unsupported(error.to_string()))?;
    Ok(AudioDecoderConfig {
        codec,
        sample_rate,
        channels,
        description: track.description.clone(),
    })
}

/// The codec string of a track in clear.
pub(crate) fn codec_of(track: &Track) -> Result<String, MediaError> {
    match (&track.codec, &track.encryption) {
        (_, Some(_)) => Err(MediaError::unsupported("the track is encrypted")),
        (Some(codec), None) => Ok(codec.clone()),
        (None, None) => Err(MediaError::unsupported("the track's codec is unknown")),
    }
}

/// The track, and a reader of it that stands where decoding begins for `from`.
fn reader(
    media: &Media,
    kind: SourceKind,
    number: usize,
    from: i64,
) -> Result<(&Track, Box<dyn PacketReader>), JobError> {
    let missing = || {
        let what = kind.as_str();
        JobError::input(
            &media.path,
            format!("it has no {what} track of number {number}"),
        )
    };
    let Content::Tracks(demuxer, origin) = &media.content else {
        return Err(missing());
    };
    let (index, track) = media.track(kind, number).ok_or_else(missing)?;
    let failed = |error| error::demux(&media.path, &error);
    let mut reader = demuxer.clone().reader(index).map_err(failed)?;
    if from > 0 {
        let early = if kind == SourceKind::Audio {
            PREROLL
        } else {
            0
        };
        let time = from.saturating_sub(early);
        if time > 0 {
            reader.seek(time.saturating_add(*origin)).map_err(failed)?;
        }
    }
    Ok((track, reader))
}

/// The pictures of an input, decoded on a thread of their own.
pub(crate) fn pictures(
    context: &Context,
    input: &OpenInput,
    number: usize,
) -> Result<Pictures, JobError> {
    for part in &input.parts {
        exists(part, SourceKind::Video, number)?;
    }
    let parts = input.parts.clone();
    let of_thread = context.clone();
    let inlet = context.stage("decode video", PICTURES_AHEAD, move |outlet| {
        let mut line = PictureLine {
            outlet,
            painter: Painter::new(&of_thread.engine),
            shape: None,
            several: parts.len() > 1,
            pending: None,
        };
        for part in &parts {
            pictures_of(&of_thread, part, number, &mut line)?;
        }
        line.finish()
    })?;
    Ok(Box::new(inlet))
}

fn exists(part: &Part, kind: SourceKind, number: usize) -> Result<(), JobError> {
    match part.media.has(kind, number) {
        true => Ok(()),
        false => Err(JobError::input(
            &part.media.path,
            format!("it has no {} track of number {number}", kind.as_str()),
        )),
    }
}

/// Pictures of all parts on one line. Each is kept until the next one says how long it is shown.
struct PictureLine<'a> {
    outlet: &'a mut Outlet<VideoFrame>,
    painter: Painter,
    /// What the first picture is like, where others are brought to it.
    shape: Option<Shape>,
    several: bool,
    pending: Option<VideoFrame>,
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
    let (track, mut reader) = demuxed;
    let failed = |error: MediaError| JobError::input(&media.path, error);
    let mut decoding =
        Decoding::<VideoDecode>::start(context, video_config(track).map_err(failed)?)
            .map_err(failed)?;
    let mut alpha = AlphaDecoding::default();
    let mut cut = Cut::new(part.from, end);
    let mut hidden = BTreeSet::new();
    let mut frames = Vec::new();
    loop {
        context.cancel.check()?;
        let packet = reader
            .next_sample()
            .map_err(|error| error::demux(&media.path, &error))?;
        let over = match &packet {
            // No picture is shown before it is decoded.
            Some(packet) => {
                packet.decode_time.saturating_sub(origin) >= end
                    && packet.chunk.timestamp.saturating_sub(origin) >= end
            }
            None => true,
        };
        let chunk = packet
            .as_ref()
            .filter(|_| !over)
            .map(|packet| &packet.chunk);
        if let Some(packet) = packet.as_ref().filter(|packet| !over && !packet.presented)
            && hidden.len() < MAX_HIDDEN
        {
            hidden.insert(packet.chunk.timestamp);
        }
        decoding
            .decode(chunk, &mut |frame| frames.push(frame))
            .map_err(failed)?;
        if let Some(chunk) = chunk {
            alpha
                .decode(context, &decoding.config, chunk)
                .map_err(failed)?;
        }
        for mut frame in frames.drain(..) {
            if hidden.remove(&frame.timestamp) {
                continue;
            }
            alpha.join(&mut frame).map_err(failed)?;
            frame.timestamp = frame.timestamp.saturating_sub(origin);
            if let Some(mut kept) = cut.push(frame) {
                kept.timestamp = kept.timestamp.saturating_add(part.offset);
                line.push(kept)?;
            }
        }
        if over || cut.is_over() {
            break;
        }
    }
    if let Some(mut kept) = cut.finish() {
        kept.timestamp = kept.timestamp.saturating_add(part.offset);
        line.push(kept)?;
    }
    Ok(())
}

/// The decoder of alpha, of packets that have it beside the picture.
#[derive(Default)]
struct AlphaDecoding {
    decoder: Option<Box<dyn VideoDecoder>>,
    waiting: VecDeque<VideoFrame>,
}

impl AlphaDecoding {
    fn decode(
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
    fn join(&mut self, frame: &mut VideoFrame) -> Result<(), MediaError> {
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

/// The sound of an input, decoded on a thread of its own.
pub(crate) fn sounds(
    context: &Context,
    input: &OpenInput,
    number: usize,
) -> Result<Sounds, JobError> {
    for part in &input.parts {
        exists(part, SourceKind::Audio, number)?;
    }
    let parts = input.parts.clone();
    let of_thread = context.clone();
    let inlet = context.stage("decode audio", SOUNDS_AHEAD, move |outlet| {
        let mut line = SoundLine {
            outlet,
            conform: None,
            end: None,
        };
        for (index, part) in parts.iter().enumerate() {
            sounds_of(&of_thread, part, number, &mut line)?;
            if index + 1 < parts.len() {
                line.pad_to(part.offset.saturating_add(part.length.unwrap_or(0)))?;
            }
        }
        Ok(())
    })?;
    Ok(Box::new(inlet))
}

/// Sound of all parts on one line, at the rate and with the channels of the first.
struct SoundLine<'a> {
    outlet: &'a mut Outlet<Sound>,
    /// What the first run is like.
    conform: Option<(f32, u32)>,
    /// Where the last run ended, in frames.
    end: Option<i64>,
}

impl SoundLine<'_> {
    /// Takes a run at an exact place on the line; what is there already is dropped, what lacks before it is silence.
    fn push(&mut self, sound: Sound) -> Result<(), JobError> {
        let from = match self.end {
            Some(end) => {
                self.silence(end, sound.position, &sound.data)?;
                end
            }
            None => 0,
        };
        if let Some(sound) = sound.within(from, i64::MAX) {
            self.end = Some(sound.end());
            self.outlet.push(sound)?;
        }
        Ok(())
    }

    /// Silence from `from` to `to`, like `like`.
    fn silence(&mut self, mut from: i64, to: i64, like: &AudioData) -> Result<(), JobError> {
        while from < to {
            let count = (to - from).min(4096);
            let data = crate::audio::silence(like.sample_rate, like.channels, count)?;
            self.outlet.push(Sound::new(from, data))?;
            from += count;
            self.end = Some(from);
        }
        Ok(())
    }

    /// Silence to a time in microseconds, where a part ends before it.
    fn pad_to(&mut self, time: i64) -> Result<(), JobError> {
        let Some((rate, channels)) = self.conform else {
            return Ok(());
        };
        let to = frames_of(time, rate);
        let like = crate::audio::silence(rate, channels, 1)?;
        self.silence(self.end.unwrap_or(to), to, &like)
    }
}

/// Gives decoded runs their places: each follows the one before, unless it is off by more than [`JITTER`].
struct Places {
    /// What counts as time 0, in microseconds.
    zero: i64,
    next: Option<(i64, f32)>,
}

impl Places {
    fn place(&mut self, data: &AudioData) -> i64 {
        let said = frames_of(data.timestamp.saturating_sub(self.zero), data.sample_rate);
        let jitter = frames_of(JITTER, data.sample_rate);
        let position = match self.next {
            Some((next, rate)) if rate == data.sample_rate && (next - said).abs() <= jitter => next,
            _ => said,
        };
        self.next = Some((
            position.saturating_add(i64::from(data.frames)),
            data.sample_rate,
        ));
        position
    }
}

fn sounds_of(
    context: &Context,
    part: &Part,
    number: usize,
    line: &mut SoundLine<'_>,
) -> Result<(), JobError> {
    let media = &part.media;
    let Content::Tracks(_, origin) = &media.content else {
        return exists(part, SourceKind::Audio, number);
    };
    let (track, mut reader) = reader(media, SourceKind::Audio, number, part.from)?;
    let failed = |error: MediaError| JobError::input(&media.path, error);
    let mut decoding =
        Decoding::<AudioDecode>::start(context, audio_config(track).map_err(failed)?)
            .map_err(failed)?;
    let length = match (part.length, part.to) {
        (Some(length), _) => length,
        (None, Some(to)) => to.saturating_sub(part.from),
        (None, None) => i64::MAX,
    };
    let mut places = Places {
        zero: part.from.saturating_add(*origin),
        next: None,
    };
    let mut conform: Option<Conform> = None;
    let mut last = None;
    let mut runs = Vec::new();
    let mut over = false;
    while !over {
        context.cancel.check()?;
        let packet = reader
            .next_sample()
            .map_err(|error| error::demux(&media.path, &error))?;
        let chunk = packet.map(|packet| packet.chunk);
        over = chunk
            .as_ref()
            .is_none_or(|chunk| chunk.timestamp.saturating_sub(places.zero) >= length);
        let chunk = chunk.filter(|_| !over);
        decoding
            .decode(chunk.as_ref(), &mut |run| runs.push(run))
            .map_err(failed)?;
        for run in runs.drain(..) {
            let position = places.place(&run);
            let until = match length {
                i64::MAX => i64::MAX,
                length => frames_of(length, run.sample_rate),
            };
            // What lies before the part was only decoded for the decoder to settle.
            let Some(kept) = Sound::new(position, run).within(0, until) else {
                continue;
            };
            let (rate, channels) = *line
                .conform
                .get_or_insert((kept.data.sample_rate, kept.data.channels));
            let offset = frames_of(part.offset, rate);
            let moved =
                |sound: Sound| Sound::new(sound.position.saturating_add(offset), sound.data);
            if conform.is_none() && kept.data.sample_rate == rate && kept.data.channels == channels
            {
                last = Some(kept.end());
                line.push(moved(kept))?;
                continue;
            }
            let start = last.unwrap_or(0);
            let conform = conform.get_or_insert_with(|| Conform::new(rate, channels, start));
            conform.push(&kept, &mut |sound| line.push(moved(sound)))?;
        }
    }
    if let Some(mut conform) = conform {
        let offset = frames_of(part.offset, line.conform.map_or(1.0, |(rate, _)| rate));
        conform.finish(&mut |sound| {
            line.push(Sound::new(
                sound.position.saturating_add(offset),
                sound.data,
            ))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reelcore_conformance::encoding::scene_frame;
    use reelcore_media::Size;

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
