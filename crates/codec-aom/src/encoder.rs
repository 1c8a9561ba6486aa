//! Frames to chunks: libaom, started anew where it must be, and what goes with each picture.

use bytes::Bytes;
use reelcore_media::encode_session::{
    EncodeSession, RateCorrection, bitrate, input_image, repaired_words,
};
use reelcore_media::encoder::{EncodeOptions, EncodedVideo, EncoderContext, VideoEncoderConfig};
use reelcore_media::pool::BufferPool;
use reelcore_media::{MediaError, PixelFormat, Size, VideoEncoder, VideoFrame};

use crate::backend::Format;
use crate::library::{Library, Picture};
use crate::settings::{Settings, max_threads};

/// The largest quantizer of the registration, which is libaom's own scale.
const MAX_QUANTIZER: u16 = 63;
/// The quantizer of frames before the first that names one.
const FIRST_QUANTIZER: u16 = 28;

pub(crate) struct Encoder {
    input: PixelFormat,
    size: Size,
    settings: Settings,
    /// Started with the first frame, and again where the colour space changes, which libaom fixes with the first
    /// picture. When looking ahead, also after a flush, as it takes no frame once its lookahead was emptied, and for
    /// each key picture that is asked for, of which it would make two.
    library: Option<Library>,
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
            session: EncodeSession::new(config, MAX_QUANTIZER, FIRST_QUANTIZER),
            // The buffer of constant rates corrects itself, and quantizers follow no rate.
            correction: settings
                .needs_correction()
                .then(|| RateCorrection::new(bitrate(config))),
            pool: context.pool.clone(),
            settings,
        }
    }

    /// Ends libaom's stream: its last pictures come out, and the next frame starts another.
    fn end(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
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
        let image = input_image(frame, self.input, self.size)?;
        let mut options = *options;
        options.key_frame |= self.library.is_none();
        let plan = self.session.plan(frame, &options)?;
        if plan.new_color_space.is_some() || (plan.key && self.settings.looks_ahead()) {
            self.end(sink)?;
        }
        let library = match &mut self.library {
            Some(library) => library,
            None => self
                .library
                .insert(Library::new(&self.settings, frame.color_space)?),
        };
        if let Some(bits) = self.correction.as_mut().and_then(|c| c.next(&plan)) {
            library.set_bitrate(bits)?;
        }
        let repaired = repaired_words(image, &self.pool);
        let planes = repaired.as_deref().unwrap_or(image.planes());
        let (session, correction) = (&mut self.session, &mut self.correction);
        library.encode(planes, &plan, &mut |picture| {
            deliver(session, correction.as_mut(), &picture, sink)
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        if self.settings.looks_ahead() {
            self.end(sink)?;
        }
        Ok(())
    }
}
