//! `VideoDecoder`: <https://w3c.github.io/webcodecs/#videodecoder-interface>
//!
//! The control message queue is the engine's (`reelcore_engine::ControlQueue`). Here are the checks before it, and the
//! callbacks, promises and events that come out of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use deno_core::{GarbageCollected, JsRuntime, v8};
use reelcore_engine::{ControlQueue, Delivery, Engine, State, VideoDecode};
use reelcore_media::codec::HardwareAcceleration as MediaAcceleration;
use reelcore_media::{
    ChunkKind, Registry, Rotation, Size, VideoCodec, VideoDecoderConfig as MediaConfig,
};

use crate::Codecs;
use crate::event_loop::{EventLoop, KeepAlive, Registration};
use crate::generated::{
    CodecState, HardwareAcceleration, VideoDecoderConfig, VideoDecoderInit, VideoDecoderMethods,
    VideoDecoderSupport, VideoFrameOutputCallback, WebCodecsErrorCallback,
};
use crate::interfaces::{EncodedVideoChunk, VideoFrame};
use crate::webidl::{BufferSource, Deferred, Exception, Handle, Host, Promise, TracedCallback};

/// A VideoDecoder object.
pub struct VideoDecoder {
    /// `[[output callback]]`
    output: TracedCallback,
    /// `[[error callback]]`
    error: TracedCallback,
    slots: RefCell<Slots>,
}

struct Slots {
    queue: ControlQueue<VideoDecode>,
    /// `[[key chunk required]]`
    key_chunk_required: bool,
    /// The promises of `[[pending flush promises]]`, by the queue's numbers.
    flushes: Vec<(u64, Deferred<()>)>,
    /// While there is work: the event loop goes on, and the decoder is not collected.
    busy: Option<(KeepAlive, v8::Global<v8::Object>)>,
    /// A look at the leak that stalls the decoder is due.
    watching: bool,
    event_loop: EventLoop,
    _registration: Registration,
}

// SAFETY: the callbacks are traced. `busy` is a root on purpose, and `flushes` hold promises only while it is set.
unsafe impl GarbageCollected for VideoDecoder {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        self.output.trace(visitor);
        self.error.trace(visitor);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"VideoDecoder"
    }
}

/// How long outputs may keep a decoder waiting before that is looked into.
const STALL: Duration = Duration::from_secs(2);

fn invalid_state(state: State) -> Exception {
    Exception::invalid_state(match state {
        State::Closed => "The VideoDecoder is closed.",
        State::Unconfigured => "The VideoDecoder is not configured.",
        State::Configured => "The VideoDecoder is configured.",
    })
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

fn registry(scope: &mut v8::PinScope<'_, '_>) -> Registry {
    JsRuntime::op_state_from(scope)
        .borrow()
        .borrow::<Codecs>()
        .0
        .clone()
}

impl VideoDecoder {
    /// Takes in what the workers have done, and delivers it.
    fn turn<'s>(&self, scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>) {
        self.slots.borrow_mut().queue.poll();
        loop {
            // One thing at a time: the callback may reset the decoder, and nothing may follow then.
            let delivery = self.slots.borrow_mut().queue.next_event();
            let Some(delivery) = delivery else { break };
            v8::scope!(let scope, scope);
            match delivery {
                Delivery::Output(frame) => self.output_frame(scope, frame),
                Delivery::Flushed(number) => self.resolve_flush(scope, number),
                Delivery::Failed { error, configuring } => {
                    let exception = match configuring {
                        true => Exception::not_supported(error.message),
                        false => Exception::encoding(error.message),
                    };
                    self.close_with_error(scope, &exception);
                }
                Delivery::Stalled { .. } => self.watch(scope, this),
            }
        }
        self.settle(scope, this);
    }

    /// Steps 6 and 7 of Output VideoFrames: <https://w3c.github.io/webcodecs/#output-videoframes>. The engine has run
    /// those before.
    fn output_frame(&self, scope: &mut v8::PinScope<'_, '_>, frame: reelcore_media::VideoFrame) {
        let frame = VideoFrame::new(scope, frame);
        let Ok(frame) = Handle::new(scope, frame) else {
            return;
        };
        if let Some(callback) = VideoFrameOutputCallback::from_traced(scope, &self.output) {
            // What it throws is reported; converting a platform object does not fail.
            let _ = callback.call_and_report(scope, &frame);
        }
    }

    fn resolve_flush(&self, scope: &mut v8::PinScope<'_, '_>, number: u64) {
        let deferred = {
            let flushes = &mut self.slots.borrow_mut().flushes;
            flushes
                .iter()
                .position(|(of, _)| *of == number)
                .map(|index| flushes.remove(index).1)
        };
        if let Some(deferred) = deferred {
            // Fails only when script execution is being terminated.
            let _ = deferred.resolve(scope, &());
            scope.perform_microtask_checkpoint();
        }
    }

    /// Rejects the flushes of those numbers.
    fn reject_flushes(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        numbers: &[u64],
        exception: &Exception,
    ) {
        let rejected: Vec<_> = {
            let flushes = &mut self.slots.borrow_mut().flushes;
            let (rejected, kept) = std::mem::take(flushes)
                .into_iter()
                .partition(|(of, _)| numbers.contains(of));
            *flushes = kept;
            rejected
        };
        for (_, deferred) in rejected {
            deferred.reject(scope, exception);
        }
    }

    /// Close VideoDecoder: <https://w3c.github.io/webcodecs/#close-videodecoder>, with an exception that is no
    /// AbortError.
    fn close_with_error<'s>(&self, scope: &mut v8::PinScope<'s, '_>, exception: &Exception) {
        let Some(value) = exception.to_value(scope) else {
            return;
        };
        // The promises and the callback get the same object.
        let exception = Exception::value(scope, value);
        // 1. Run the Reset VideoDecoder algorithm with exception. 2. Set state to "closed". 3. Release the codec.
        let closed = self.slots.borrow_mut().queue.close();
        let Ok(numbers) = closed else { return };
        self.reject_flushes(scope, &numbers, &exception);
        // 4. If exception is not an AbortError, invoke the [[error callback]] with exception.
        if let Some(callback) = WebCodecsErrorCallback::from_traced(scope, &self.error) {
            // What it throws is reported; converting a JavaScript value does not fail.
            let _ = callback.call_and_report(scope, &value);
        }
    }

    /// To be called after everything that moves the queue: fires what is due later, and lets the event loop end when
    /// nothing is left to do.
    fn settle<'s>(&self, scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>) {
        let mut slots = self.slots.borrow_mut();
        if slots.queue.take_dequeue_request() {
            // 3. of Schedule Dequeue Event: queue a task to fire dequeue at this.
            let target = v8::Global::new(scope, this);
            slots.event_loop.clone().queue_task(move |scope| {
                v8::scope!(let scope, scope);
                let target = v8::Local::new(scope, target);
                if let Some(decoder) = Handle::<VideoDecoder>::from_value(scope, target.into()) {
                    // 2. Assign false to [[dequeue event scheduled]]. Before the event rather than after it, so that
                    //    what a listener does is announced by an event of its own.
                    decoder.slots.borrow_mut().queue.dequeue_fired();
                    // 1. Fire a simple event named dequeue at this.
                    Host::get(scope).fire_event(scope, target, "dequeue");
                    decoder.settle(scope, target);
                }
            });
        }
        let has_work = slots.queue.has_work();
        let ended = match (has_work, slots.busy.is_some()) {
            (true, false) => {
                let keep_alive = slots.event_loop.keep_alive();
                slots.busy = Some((keep_alive, v8::Global::new(scope, this)));
                None
            }
            (false, true) => slots.busy.take(),
            _ => None,
        };
        drop(slots);
        drop(ended);
    }

    /// Outputs that nobody closes have stopped the decoder. Most likely the script will close some in a moment; if
    /// not, garbage collection may find some; if not, the author is told.
    fn watch<'s>(&self, scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>) {
        if std::mem::replace(&mut self.slots.borrow_mut().watching, true) {
            return;
        }
        let event_loop = self.slots.borrow().event_loop.clone();
        let target = v8::Global::new(scope, this);
        deno_core::unsync::spawn(async move {
            tokio::time::sleep(STALL).await;
            event_loop.clone().queue_task(move |scope| {
                v8::scope!(let scope, scope);
                let target = v8::Local::new(scope, target);
                let Some(decoder) = Handle::<VideoDecoder>::from_value(scope, target.into()) else { return };
                decoder.slots.borrow_mut().watching = false;
                let stalled = |decoder: &VideoDecoder| {
                    let slots = decoder.slots.borrow();
                    let options = &Engine::global().options;
                    let (outputs, bytes) = slots.queue.outputs();
                    (slots.queue.has_work() && outputs >= options.min_outputs && bytes >= options.max_outputs_bytes)
                        .then_some((outputs, bytes))
                };
                if stalled(&decoder).is_none() {
                    return;
                }
                scope.low_memory_notification();
                if let Some((outputs, bytes)) = stalled(&decoder) {
                    warn(
                        scope,
                        &format!(
                            "VideoDecoder waits: {outputs} VideoFrames ({} MiB) are not closed. Call close() on each \
                             frame when it is no longer needed.",
                            bytes >> 20
                        ),
                    );
                }
            });
        });
    }
}

/// `console.warn(message)`, with the console that the script has.
fn warn(scope: &mut v8::PinScope<'_, '_>, message: &str) {
    v8::tc_scope!(let scope, scope);
    let global = scope.get_current_context().global(scope);
    let mut value: v8::Local<v8::Value> = global.into();
    let mut receiver = value;
    for key in ["console", "warn"] {
        receiver = value;
        let Some(key) = v8::String::new(scope, key) else {
            return;
        };
        let Some(next) = value
            .to_object(scope)
            .and_then(|object| object.get(scope, key.into()))
        else {
            return;
        };
        value = next;
    }
    if let (Ok(function), Some(message)) = (
        v8::Local::<v8::Function>::try_from(value),
        v8::String::new(scope, message),
    ) {
        // A console that throws has nobody to tell.
        let _ = function.call(scope, receiver, &[message.into()]);
    }
}

impl VideoDecoderMethods for VideoDecoder {
    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-videodecoder>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        init: VideoDecoderInit<'s>,
    ) -> Result<Self, Exception> {
        let event_loop = EventLoop::get(scope);
        let weak = v8::Weak::new(scope, this);
        let (registration, waker) = event_loop.register(Rc::new(move |scope| {
            // A decoder with work to do is held by `busy`; any other has no news.
            let Some(this) = weak.to_local(scope) else {
                return;
            };
            if let Some(decoder) = Handle::<VideoDecoder>::from_value(scope, this.into()) {
                decoder.turn(scope, this);
            }
        }));
        let registry = registry(scope);
        // 2. to 6. The queues. 9. to 14. The other slots.
        let queue = ControlQueue::new(Engine::global(), registry, move || waker.wake());
        Ok(Self {
            // 7. Assign init.output to [[output callback]]. 8. Assign init.error to [[error callback]].
            output: init.output.traced(scope),
            error: init.error.traced(scope),
            slots: RefCell::new(Slots {
                queue,
                key_chunk_required: true,
                flushes: Vec::new(),
                busy: None,
                watching: false,
                event_loop,
                _registration: registration,
            }),
        })
    }

    fn state(&self) -> CodecState {
        match self.slots.borrow().queue.state() {
            State::Unconfigured => CodecState::Unconfigured,
            State::Configured => CodecState::Configured,
            State::Closed => CodecState::Closed,
        }
    }

    fn decode_queue_size(&self) -> u32 {
        self.slots.borrow().queue.queue_size()
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
        // A codec string that nobody knows fails like one that no backend serves: later, with a NotSupportedError.
        let config = media_config(&config);
        // 2. to 6.
        let configured = {
            let mut slots = self.slots.borrow_mut();
            let configured = match config {
                Ok(config) => slots.queue.configure(config),
                Err(reason) => slots.queue.configure_unsupported(reason),
            };
            // 4. Set [[key chunk required]] to true.
            slots.key_chunk_required |= configured.is_ok();
            configured
        };
        configured.map_err(|error| invalid_state(error.0))?;
        self.settle(scope, this);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-decode>
    fn decode<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
        chunk: Handle<'s, EncodedVideoChunk>,
    ) -> Result<(), Exception> {
        {
            let mut slots = self.slots.borrow_mut();
            // 1. If [[state]] is not "configured", throw an InvalidStateError.
            if slots.queue.state() != State::Configured {
                return Err(invalid_state(slots.queue.state()));
            }
            let chunk = chunk.chunk();
            // 2. If [[key chunk required]] is true: if chunk.type is not "key", throw a DataError; otherwise assign
            //    false to it.
            if slots.key_chunk_required {
                if chunk.kind != ChunkKind::Key {
                    return Err(Exception::data(
                        "A key chunk is required after configure() and flush().",
                    ));
                }
                slots.key_chunk_required = false;
            }
            // 3. to 5. The bytes are shared, not copied.
            slots
                .queue
                .enqueue(chunk.clone())
                .map_err(|error| invalid_state(error.0))?;
        }
        self.settle(scope, this);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-flush>
    fn flush<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<Promise<'s, ()>, Exception> {
        let promise = {
            let mut slots = self.slots.borrow_mut();
            // 1. If [[state]] is not "configured", return a promise rejected with InvalidStateError.
            if slots.queue.state() != State::Configured {
                return Err(invalid_state(slots.queue.state()));
            }
            // 3. Let promise be a new Promise.
            let (promise, deferred) = Promise::pending(scope)?;
            // 2. Set [[key chunk required]] to true.
            slots.key_chunk_required = true;
            // 4. to 6.
            let number = slots
                .queue
                .flush()
                .map_err(|error| invalid_state(error.0))?;
            slots.flushes.push((number, deferred));
            promise
        };
        self.settle(scope, this);
        // 7. Return promise.
        Ok(promise)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-reset>
    fn reset<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        // Reset VideoDecoder with an AbortError.
        let numbers = self
            .slots
            .borrow_mut()
            .queue
            .reset()
            .map_err(|error| invalid_state(error.0))?;
        self.reject_flushes(
            scope,
            &numbers,
            &Exception::abort("The VideoDecoder was reset."),
        );
        self.settle(scope, this);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-close>
    fn close<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        // Close VideoDecoder with an AbortError: no callback is invoked.
        let numbers = self
            .slots
            .borrow_mut()
            .queue
            .close()
            .map_err(|error| invalid_state(error.0))?;
        self.reject_flushes(
            scope,
            &numbers,
            &Exception::abort("The VideoDecoder was closed."),
        );
        self.settle(scope, this);
        Ok(())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videodecoder-isconfigsupported>
    fn is_config_supported<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        mut config: VideoDecoderConfig<'s>,
    ) -> Result<Promise<'s, VideoDecoderSupport<'s>>, Exception> {
        // 1. If config is not a valid VideoDecoderConfig, return a promise rejected with TypeError.
        check_valid(scope, &config)?;
        // 4.1. Check Configuration Support. Asking the registry takes no time that would call for another thread.
        let registry = registry(scope);
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
