//! `AudioDecoder`: <https://w3c.github.io/webcodecs/#audiodecoder-interface>
//!
//! Here are the checks of its arguments; the rest is in `codec_object`.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use deno_core::{GarbageCollected, v8};
use reelcore_engine::AudioDecode;
use reelcore_media::{AudioCodec, AudioDecoderConfig as MediaConfig, ChunkKind};

use crate::codec_object::{self, CodecObject, CodecSlots};
use crate::generated::{
    AudioDataOutputCallback, AudioDecoderConfig, AudioDecoderInit, AudioDecoderMethods,
    AudioDecoderSupport, CodecState,
};
use crate::interfaces::{AudioData, EncodedAudioChunk};
use crate::webidl::{BufferSource, Exception, Handle, Promise, TracedCallback};

/// A AudioDecoder object.
pub struct AudioDecoder {
    /// `[[output callback]]`
    output: TracedCallback,
    /// `[[error callback]]`
    error: TracedCallback,
    /// `[[key chunk required]]`
    key_chunk_required: Cell<bool>,
    slots: RefCell<CodecSlots<AudioDecode>>,
}

// SAFETY: the callbacks are traced; the slots need no tracing (see `CodecObject`).
unsafe impl GarbageCollected for AudioDecoder {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        self.output.trace(visitor);
        self.error.trace(visitor);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"AudioDecoder"
    }
}

impl CodecObject for AudioDecoder {
    type Codec = AudioDecode;

    const OUTPUTS: &'static str = "AudioData";

    fn slots(&self) -> &RefCell<CodecSlots<AudioDecode>> {
        &self.slots
    }

    fn error_callback(&self) -> &TracedCallback {
        &self.error
    }

    /// Output AudioData: <https://w3c.github.io/webcodecs/#output-audiodata>
    fn output(&self, scope: &mut v8::PinScope<'_, '_>, audio: reelcore_media::AudioData) {
        let data = AudioData::new(scope, audio);
        let Ok(data) = Handle::new(scope, data) else {
            return;
        };
        if let Some(callback) = AudioDataOutputCallback::from_traced(scope, &self.output) {
            // What it throws is reported; converting a platform object does not fail.
            let _ = callback.call_and_report(scope, &data);
        }
    }
}

/// Whether a config is valid: <https://w3c.github.io/webcodecs/#valid-audiodecoderconfig>
fn check_valid<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    config: &AudioDecoderConfig<'s>,
) -> Result<(), Exception> {
    // 1. If codec is empty after stripping leading and trailing ASCII whitespace, return false.
    let whitespace = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    if config.codec.trim_matches(whitespace).is_empty() {
        return Err(Exception::type_error("AudioDecoderConfig.codec is empty."));
    }
    // 2. If description is detached, return false.
    if config
        .description
        .as_ref()
        .is_some_and(|description| description.is_detached(scope))
    {
        return Err(Exception::type_error(
            "AudioDecoderConfig.description is detached.",
        ));
    }
    // No step of the specification; the Web Platform Tests ask for it: there is no sound at either.
    for (value, name) in [
        (config.sample_rate, "sampleRate"),
        (config.number_of_channels, "numberOfChannels"),
    ] {
        if value == 0 {
            return Err(Exception::type_error(format!(
                "AudioDecoderConfig.{name} must not be 0."
            )));
        }
    }
    // 3. Return true.
    Ok(())
}

/// The config for the engine; an error if its codec string is not one of the registry's audio codecs.
fn media_config(config: &AudioDecoderConfig<'_>) -> Result<MediaConfig, String> {
    Ok(MediaConfig {
        codec: AudioCodec::parse(&config.codec).map_err(|error| error.to_string())?,
        sample_rate: config.sample_rate,
        channels: config.number_of_channels,
        // A copy, as the script may change its buffer; it is small.
        description: config
            .description
            .as_ref()
            .map(|description| Bytes::from(description.to_vec())),
    })
}

impl AudioDecoderMethods for AudioDecoder {
    /// <https://w3c.github.io/webcodecs/#dom-audiodecoder-audiodecoder>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        init: AudioDecoderInit<'s>,
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

    /// <https://w3c.github.io/webcodecs/#dom-audiodecoder-configure>
    fn configure<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        config: AudioDecoderConfig<'s>,
    ) -> Result<(), Exception> {
        // 1. If config is not a valid AudioDecoderConfig, throw a TypeError.
        check_valid(scope, &config)?;
        // 2., 3., 5., 6.
        codec_object::configure(self, scope, this, media_config(&config))?;
        // 4. Set [[key chunk required]] to true.
        self.key_chunk_required.set(true);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-audiodecoder-decode>
    fn decode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        chunk: Handle<'s, EncodedAudioChunk>,
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

    /// <https://w3c.github.io/webcodecs/#dom-audiodecoder-flush>
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

    /// <https://w3c.github.io/webcodecs/#dom-audiodecoder-isconfigsupported>
    fn is_config_supported<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        mut config: AudioDecoderConfig<'s>,
    ) -> Result<Promise<'s, AudioDecoderSupport<'s>>, Exception> {
        // 1. If config is not a valid AudioDecoderConfig, return a promise rejected with TypeError.
        check_valid(scope, &config)?;
        // 4.1. Check Configuration Support. Asking the registry takes no time that would call for another thread.
        let registry = codec_object::registry(scope);
        let supported = media_config(&config).is_ok_and(|config| registry.supports_audio(&config));
        // 4.2. Clone Configuration: the dictionary has the known members only, and its description becomes a copy.
        if let Some(description) = &config.description {
            let copy = description.to_vec();
            config.description = Some(BufferSource::from_bytes(scope, &copy));
        }
        let support = AudioDecoderSupport {
            supported: Some(supported),
            config: Some(config),
        };
        // 2., 5. A promise, resolved with decoderSupport.
        Promise::resolved(scope, &support)
    }
}
