//! Frames to chunks: libaom, started anew where it must be, and what goes with each picture.

use bytes::Bytes;
use reelcore_media::encode_session::{
    EncodeSession, FramePlan, RateCorrection, bitrate, input_image, repaired_words,
};
use reelcore_media::encoder::{EncodeOptions, EncodedVideo, EncoderContext, VideoEncoderConfig};
use reelcore_media::pool::BufferPool;
use reelcore_media::q_index::MAX_Q_INDEX;
use reelcore_media::{ColorSpace, MediaError, PixelFormat, Size, VideoEncoder, VideoFrame};

use crate::backend::Format;
use crate::library::{Library, Picture};
use crate::settings::{Settings, max_threads};

/// The quantizer of frames before the first that names one: 28 of libaom's own scale.
const FIRST_QUANTIZER: u16 = 112;

/// Frames between which steps are measured before libaom, where it looks ahead, plans by them. It holds back more than
/// these anyway.
pub(crate) const MEASURED: usize = 9;

pub(crate) struct Encoder {
    input: PixelFormat,
    size: Size,
    settings: Settings,
    /// Started with the first frame, and again where the colour space changes, which libaom fixes with the first
    /// picture, and where its times would be too large. When looking ahead, also after a flush, as it takes no frame once its lookahead was emptied, and for
    /// each key picture that is asked for, of which it would make two.
    library: Option<Library>,
    /// When looking ahead, the first frames, for which the library is not started yet.
    held: Vec<(VideoFrame, FramePlan)>,
    session: EncodeSession,
    correction: Option<RateCorrection>,
    pool: BufferPool,
}

impl Encoder {
    pub fn new(config: &VideoEncoderConfig, format: Format, context: &EncoderContext) -> Self {
        let threads = context.threads.clamp(1, max_threads(config.size));
        let settings = Settings::new(format, config, threads);
        Self {
            input: format.input,
            size: config.size,
            library: None,
            held: Vec::new(),
            session: EncodeSession::new(config, MAX_Q_INDEX, FIRST_QUANTIZER),
            // The buffer of constant rates corrects itself, and quantizers follow no rate.
            correction: settings
                .needs_correction()
                .then(|| RateCorrection::new(bitrate(config))),
            pool: context.pool.clone(),
            settings,
        }
    }

    /// Starts the library, and gives it the frames that are held.
    fn start(
        &mut self,
        color_space: ColorSpace,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let step = typical_step(&self.held);
        self.library = Some(Library::new(&self.settings, color_space, step)?);
        for (frame, plan) in std::mem::take(&mut self.held) {
            self.send(&frame, &plan, sink)?;
        }
        Ok(())
    }

    /// Gives the library, which is started, a frame.
    fn send(
        &mut self,
        frame: &VideoFrame,
        plan: &FramePlan,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let Some(library) = &mut self.library else {
            return Err(MediaError::backend("a frame for libaom before its start"));
        };
        let image = input_image(frame, self.input, self.size)?;
        if let Some(bits) = self.correction.as_mut().and_then(|c| c.next(plan)) {
            library.set_bitrate(bits)?;
        }
        let repaired = repaired_words(image, &self.pool);
        let planes = repaired.as_deref().unwrap_or(image.planes());
        let (session, correction) = (&mut self.session, &mut self.correction);
        library.encode(planes, plan, &mut |picture| {
            deliver(session, correction.as_mut(), &picture, sink)
        })
    }

    /// Ends libaom's stream: its last pictures come out, and the next frame starts another.
    fn end(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        if let Some((frame, _)) = self.held.first() {
            self.start(frame.color_space, sink)?;
        }
        let Some(mut library) = self.library.take() else {
            return Ok(());
        };
        if !self.settings.looks_ahead() {
            return Ok(());
        }
        let (session, correction) = (&mut self.session, &mut self.correction);
        library.drain(&mut |picture| deliver(session, correction.as_mut(), &picture, sink))
    }
}

/// How far apart frames are, in microseconds: the average of the steps between the first ones. The shortest and the
/// longest do not count, which may be the gap before a stream gets going. What the first frame has is a guess.
pub(crate) fn typical_step(frames: &[(VideoFrame, FramePlan)]) -> u64 {
    let mut steps: Vec<u64> = frames.iter().map(|(_, plan)| plan.duration).collect();
    if steps.len() > 1 {
        steps.remove(0);
    }
    steps.sort_unstable();
    let steps = match steps.as_slice() {
        [_, middle @ .., _] if middle.len() > 1 => middle,
        all => all,
    };
    steps.iter().sum::<u64>() / steps.len().max(1) as u64
}

/// Hands on one picture of the library.
fn deliver(
    session: &mut EncodeSession,
    correction: Option<&mut RateCorrection>,
    picture: &Picture<'_>,
    sink: &mut dyn FnMut(EncodedVideo),
) -> Result<(), MediaError> {
    if let Some(correction) = correction {
        correction.spent(picture.data.len());
    }
    // A copy, as libaom writes its next picture to the same memory.
    let data = Bytes::copy_from_slice(picture.data);
    sink(session.output(picture.time, picture.key, data, None)?);
    Ok(())
}

impl VideoEncoder for Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        // Before anything is planned for a frame that cannot be encoded.
        input_image(frame, self.input, self.size)?;
        let mut options = *options;
        options.key_frame |= self.library.is_none() && self.held.is_empty();
        let plan = self.session.plan(frame, &options)?;
        let ends_soon = |library: &Library| library.ends_soon(&plan);
        let ends_at_keys =
            self.settings.looks_ahead() || self.library.as_ref().is_some_and(ends_soon);
        if plan.new_color_space.is_some() || (plan.key && ends_at_keys) {
            self.end(sink)?;
        }
        if self.library.is_some() {
            return self.send(frame, &plan, sink);
        }
        self.held.push((frame.clone(), plan));
        if self.settings.looks_ahead() && self.held.len() < MEASURED {
            return Ok(());
        }
        self.start(frame.color_space, sink)
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        if self.settings.looks_ahead() {
            self.end(sink)?;
        }
        Ok(())
    }
}
