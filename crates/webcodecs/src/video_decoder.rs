//! `VideoDecoder`: <https://w3c.github.io/webcodecs/#videodecoder-interface>
//!
//! Here are the checks of its arguments; the rest is in `codec_object`.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use deno_core::{GarbageCollected, v8};
use reelcore_engine::VideoDecode;
use reelcore_media::codec::HardwareAcceleration as MediaAcceleration;
use reelcore_media::{ChunkKind, Rotation, Size, VideoCodec, VideoDecoderConfig as MediaConfig};

use crate::codec_object::{self, CodecObject, CodecSlots};
use crate::generated::{
    CodecState, HardwareAcceleration, VideoDecoderConfig, VideoDecoderInit, VideoDecoderMethods,
    VideoDecoderSupport, VideoFrameOutputCallback,
};
use crate::interfaces::{EncodedVideoChunk, VideoFrame};
use crate::webidl::{BufferSource, Exception, Handle, Promise, TracedCallback};

/// A VideoDecoder object.
pub struct VideoDecoder {
    /// `[[output callback]]`
    output: TracedCallback,
    /// `[[error callback]]`
    error: TracedCallback,
    /// `[[key chunk required]]`
    key_chunk_required: Cell<bool>,
    slots: RefCell<CodecSlots<VideoDecode>>,
}

// SAFETY: the callbacks are traced; the slots need no tracing (see `CodecObject`).
unsafe impl GarbageCollected for VideoDecoder {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        self.output.trace(visitor);
        self.error.trace(visitor);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"VideoDecoder"
    }
}

impl CodecObject for VideoDecoder {
    type Codec = VideoDecode;

    const OUTPUTS: &'static str = "VideoFrames";

    fn slots(&self) -> &RefCell<CodecSlots<VideoDecode>> {
        &self.slots
    }

    fn error_callback(&self) -> &TracedCallback {
        &self.error
    }

    /// Steps 6 and 7 of Output VideoFrames: <https://w3c.github.io/webcodecs/#output-videoframes>. The engine has run
    /// those before.
    fn output(&self, scope: &mut v8::PinScope<'_, '_>, frame: reelcore_media::VideoFrame) {
        let frame = VideoFrame::new(scope, frame);
        let Ok(frame) = Handle::new(scope, frame) else {
            return;
        };
        if let Some(callback) = VideoFrameOutputCallback::from_traced(scope, &self.output) {
            // What it throws is reported; converting a platform object does not fail.
            let _ = callback.call_and_report(scope, &frame);
        }
    }
}

/// Whether a config is valid: <https://w3c.github.io/webcodecs/#valid-videodecoderconfig>
fn check_valid<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    config: &VideoDecoderConfig<'s>,
) -> Result<(), Exception> {
    // 1. If codec is empty after stripping leading and trailing ASCII whitespace, return false.
    let whitespace = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    if config.codec.trim_matches(whitespace).is_empty() {
        return Err(Exception::type_error("VideoDecoderConfig.codec is empty."));
    }
    // 2., 3. codedWidth and codedHeight: both or none, and not 0.
    // 4., 5. displayAspectWidth and displayAspectHeight likewise.
    for (width, height, names) in [
        (
            config.coded_width,
            config.coded_height,
            "codedWidth and codedHeight",
        ),
        (
            config.display_aspect_width,
            config.display_aspect_height,
            "displayAspectWidth and displayAspectHeight",
        ),
    ] {
        if width.is_some() != height.is_some() {
            return Err(Exception::type_error(format!(
                "VideoDecoderConfig: {names} must be given together."
            )));
        }
        if width == Some(0) || height == Some(0) {
            return Err(Exception::type_error(format!(
                "VideoDecoderConfig: {names} must not be 0."
            )));
        }
    }
    // 6. If description is detached, return false.
    if config
        .description
        .as_ref()
        .is_some_and(|description| description.is_detached(scope))
    {
        return Err(Exception::type_error(
            "VideoDecoderConfig.description is detached.",
        ));
    }
    // 7. Return true.
    Ok(())
}

/// The config for the engine; `None` if its codec string is not one of the registry's video codecs.
fn media_config(config: &VideoDecoderConfig<'_>) -> Result<MediaConfig, String> {
    let pair =
        |width: Option<u32>, height: Option<u32>| width.zip(height).map(|(w, h)| Size::new(w, h));
    Ok(MediaConfig {
        codec: VideoCodec::parse(&config.codec).map_err(|error| error.to_string())?,
        // A copy, as the script may change its buffer; it is small.
        description: config
            .description
            .as_ref()
            .map(|description| Bytes::from(description.to_vec())),
        coded_size: pair(config.coded_width, config.coded_height),
        display_aspect: pair(config.display_aspect_width, config.display_aspect_height),
        color_space: config
            .color_space
            .as_ref()
            .map(Into::into)
            .unwrap_or_default(),
        hardware_acceleration: match config.hardware_acceleration {
            HardwareAcceleration::NoPreference => MediaAcceleration::NoPreference,
            HardwareAcceleration::PreferHardware => MediaAcceleration::PreferHardware,
            HardwareAcceleration::PreferSoftware => MediaAcceleration::PreferSoftware,
        },
        optimize_for_latency: config.optimize_for_latency.unwrap_or(false),
        rotation: Rotation::parse(config.rotation),
        flip: config.flip,
    })
}

impl VideoDecoderMethods for VideoDecoder {
    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-videodecoder>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        init: VideoDecoderInit<'s>,
    ) -> Result<Self, Exception> {
        Ok(Self {
            // 7. Assign init.output to [[output callback]]. 8. Assign init.error to [[error callback]].
            output: init.output.traced(scope),
            error: init.error.traced(scope),
            // 9. Assign true to [[key chunk required]].
            key_chunk_required: Cell::new(true),
            slots: codec_object::new_slots::<Self>(scope, this)?,
        })
    }

    fn state(&self) -> CodecState {
        codec_object::state(self)
    }

    fn decode_queue_size(&self) -> u32 {
        codec_object::queue_size(self)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-configure>
    fn configure<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        config: VideoDecoderConfig<'s>,
    ) -> Result<(), Exception> {
        // 1. If config is not a valid VideoDecoderConfig, throw a TypeError.
        check_valid(scope, &config)?;
        // 2., 3., 5., 6.
        codec_object::configure(self, scope, this, media_config(&config))?;
        // 4. Set [[key chunk required]] to true.
        self.key_chunk_required.set(true);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-decode>
    fn decode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        chunk: Handle<'s, EncodedVideoChunk>,
    ) -> Result<(), Exception> {
        // 1. If [[state]] is not "configured", throw an InvalidStateError.
        codec_object::require_configured(self)?;
        // 2. If [[key chunk required]] is true: if chunk.type is not "key", throw a DataError; otherwise assign false to
        //    it.
        if self.key_chunk_required.get() && chunk.chunk().kind != ChunkKind::Key {
            return Err(Exception::data(
                "A key chunk is required after configure() and flush().",
            ));
        }
        self.key_chunk_required.set(false);
        // 3. to 5. The bytes are shared, not copied.
        codec_object::enqueue(self, scope, this, chunk.chunk().clone())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-flush>
    fn flush<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<Promise<'s, ()>, Exception> {
        let promise = codec_object::flush(self, scope, this)?;
        // 2. Set [[key chunk required]] to true.
        self.key_chunk_required.set(true);
        Ok(promise)
    }

    fn reset<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        codec_object::reset(self, scope, this)
    }

    fn close<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        codec_object::close(self, scope, this)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-isconfigsupported>
    fn is_config_supported<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        mut config: VideoDecoderConfig<'s>,
    ) -> Result<Promise<'s, VideoDecoderSupport<'s>>, Exception> {
        // 1. If config is not a valid VideoDecoderConfig, return a promise rejected with TypeError.
        check_valid(scope, &config)?;
        // 4.1. Check Configuration Support. Asking the registry takes no time that would call for another thread.
        let registry = codec_object::registry(scope);
        let supported =
            media_config(&config).is_ok_and(|config| registry.video_decoders(&config).is_ok());
        // 4.2. Clone Configuration: the dictionary has the known members only, and its description becomes a copy.
        if let Some(description) = &config.description {
            let copy = description.to_vec();
            config.description = Some(BufferSource::from_bytes(scope, &copy));
        }
        let support = VideoDecoderSupport {
            supported: Some(supported),
            config: Some(config),
        };
        // 2., 5. A promise, resolved with decoderSupport.
        Promise::resolved(scope, &support)
    }
}
