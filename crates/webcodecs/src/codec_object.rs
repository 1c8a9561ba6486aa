//! What the codec interfaces have in common: the callbacks, promises and events that come out of a control message queue.
//!
//! The queue is the engine's (`reelcore_engine::ControlQueue`). An interface holds [`CodecSlots`], implements [`CodecObject`], and
//! calls the functions of this module from its methods.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use deno_core::{JsRuntime, v8};
use reelcore_engine::{Codec, ControlQueue, Delivery, Engine, State};
use reelcore_media::Registry;

use crate::Codecs;
use crate::event_loop::{EventLoop, KeepAlive, Registration, spawn_local};
use crate::generated::{CodecState, WebCodecsErrorCallback};
use crate::webidl::callback::end_script;
use crate::webidl::{Deferred, Exception, Handle, Host, Interface, Promise, TracedCallback};

/// The internal slots of a codec interface.
pub(crate) struct CodecSlots<C: Codec> {
    queue: ControlQueue<C>,
    /// The promises of `[[pending flush promises]]`, by the queue's numbers.
    flushes: Vec<(u64, Deferred<()>)>,
    /// While there is work: the event loop goes on, and the codec is not collected.
    busy: Option<(KeepAlive, v8::Global<v8::Object>)>,
    /// A look at the leak that stalls the codec is due.
    watching: bool,
    event_loop: EventLoop,
    _registration: Registration,
}

/// A codec interface. `flushes` hold promises only while `busy`, a root on purpose, is set: the slots need no tracing.
pub(crate) trait CodecObject: Interface {
    /// What the engine runs.
    type Codec: Codec;

    /// The plural of what comes out, for the warning that too many are not closed.
    const OUTPUTS: &'static str;

    /// The slots.
    fn slots(&self) -> &RefCell<CodecSlots<Self::Codec>>;

    /// `[[error callback]]`
    fn error_callback(&self) -> &TracedCallback;

    /// Invokes `[[output callback]]`, and reports what it throws.
    fn output(&self, scope: &mut v8::PinScope<'_, '_>, output: <Self::Codec as Codec>::Output);
}

/// How long outputs may keep a codec waiting before that is looked into.
const STALL: Duration = Duration::from_secs(2);

/// The slots of a new object: steps 2 to 6 and 9 to 14 of the constructors, such as
/// <https://w3c.github.io/webcodecs/#dom-videodecoder-videodecoder>.
///
/// # Errors
/// As [`EventLoop::get`].
pub(crate) fn new_slots<'s, T: CodecObject>(
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) -> Result<RefCell<CodecSlots<T::Codec>>, Exception> {
    let event_loop = EventLoop::get(scope)?;
    let weak = v8::Weak::new(scope, this);
    let (registration, waker) = event_loop.register(Rc::new(move |scope| {
        // A codec with work to do is held by `busy`; any other has no news.
        let Some(this) = weak.to_local(scope) else {
            return;
        };
        if let Some(codec) = Handle::<T>::from_value(scope, this.into()) {
            turn(&*codec, scope, this);
        }
    }));
    let registry = registry(scope);
    Ok(RefCell::new(CodecSlots {
        queue: ControlQueue::new(Engine::global(), registry, move || waker.wake()),
        flushes: Vec::new(),
        busy: None,
        watching: false,
        event_loop,
        _registration: registration,
    }))
}

/// The codecs that the runtime offers.
pub(crate) fn registry(scope: &mut v8::PinScope<'_, '_>) -> Registry {
    JsRuntime::op_state_from(scope)
        .borrow()
        .borrow::<Codecs>()
        .0
        .clone()
}

fn invalid_state<T: CodecObject>(state: State) -> Exception {
    let state = match state {
        State::Closed => "closed",
        State::Unconfigured => "not configured",
        State::Configured => "configured",
    };
    Exception::invalid_state(format!("The {} is {state}.", T::NAME))
}

/// `[[state]]`
pub(crate) fn state<T: CodecObject>(codec: &T) -> CodecState {
    match codec.slots().borrow().queue.state() {
        State::Unconfigured => CodecState::Unconfigured,
        State::Configured => CodecState::Configured,
        State::Closed => CodecState::Closed,
    }
}

/// `[[decodeQueueSize]]` or `[[encodeQueueSize]]`
pub(crate) fn queue_size<T: CodecObject>(codec: &T) -> u32 {
    codec.slots().borrow().queue.queue_size()
}

/// If `[[state]]` is not "configured", an InvalidStateError.
pub(crate) fn require_configured<T: CodecObject>(codec: &T) -> Result<(), Exception> {
    match codec.slots().borrow().queue.state() {
        State::Configured => Ok(()),
        other => Err(invalid_state::<T>(other)),
    }
}

/// The steps of `configure()` after the config was found valid. A codec string that nobody knows (`Err`) fails like one
/// that no backend serves: later, with a NotSupportedError.
pub(crate) fn configure<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
    config: Result<<T::Codec as Codec>::Config, String>,
) -> Result<(), Exception> {
    {
        let queue = &mut codec.slots().borrow_mut().queue;
        match config {
            Ok(config) => queue.configure(config),
            Err(reason) => queue.configure_unsupported(reason),
        }
        .map_err(|error| invalid_state::<T>(error.0))?;
    }
    settle(codec, scope, this);
    Ok(())
}

/// The steps of `decode()` or `encode()` after the input was found fit.
pub(crate) fn enqueue<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
    input: <T::Codec as Codec>::Input,
) -> Result<(), Exception> {
    codec
        .slots()
        .borrow_mut()
        .queue
        .enqueue(input)
        .map_err(|error| invalid_state::<T>(error.0))?;
    settle(codec, scope, this);
    Ok(())
}

/// `flush()`, such as <https://w3c.github.io/webcodecs/#dom-videodecoder-flush>
pub(crate) fn flush<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) -> Result<Promise<'s, ()>, Exception> {
    // 1. If [[state]] is not "configured", return a promise rejected with InvalidStateError.
    require_configured(codec)?;
    // 3. Let promise be a new Promise.
    let (promise, deferred) = Promise::pending(scope)?;
    {
        let mut slots = codec.slots().borrow_mut();
        // 4. to 6.
        let number = slots
            .queue
            .flush()
            .map_err(|error| invalid_state::<T>(error.0))?;
        slots.flushes.push((number, deferred));
    }
    settle(codec, scope, this);
    // 7. Return promise.
    Ok(promise)
}

/// `reset()`: Reset with an AbortError, such as <https://w3c.github.io/webcodecs/#dom-videodecoder-reset>
pub(crate) fn reset<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) -> Result<(), Exception> {
    let numbers = codec
        .slots()
        .borrow_mut()
        .queue
        .reset()
        .map_err(|error| invalid_state::<T>(error.0))?;
    let exception = Exception::abort(format!("The {} was reset.", T::NAME));
    reject_flushes(codec, scope, &numbers, &exception);
    settle(codec, scope, this);
    Ok(())
}

/// `close()`: Close with an AbortError, which invokes no callback; such as
/// <https://w3c.github.io/webcodecs/#dom-videodecoder-close>
pub(crate) fn close<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) -> Result<(), Exception> {
    let numbers = codec
        .slots()
        .borrow_mut()
        .queue
        .close()
        .map_err(|error| invalid_state::<T>(error.0))?;
    let exception = Exception::abort(format!("The {} was closed.", T::NAME));
    reject_flushes(codec, scope, &numbers, &exception);
    settle(codec, scope, this);
    Ok(())
}

/// Takes in what the workers have done, and delivers it.
fn turn<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) {
    {
        let queue = &mut codec.slots().borrow_mut().queue;
        // The task that fires dequeue comes first, and does the same.
        if queue.is_dequeue_due() {
            return;
        }
        queue.poll();
    }
    deliver(codec, scope, this);
}

/// Delivers what was taken in.
fn deliver<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) {
    loop {
        // One thing at a time: the callback may reset the codec, and nothing may follow then.
        let delivery = codec.slots().borrow_mut().queue.next_event();
        let Some(delivery) = delivery else { break };
        v8::scope!(let scope, scope);
        match delivery {
            Delivery::Output(output) => codec.output(scope, output),
            Delivery::Flushed(number) => resolve_flush(codec, scope, number),
            Delivery::Failed { error, configuring } => {
                let exception = match configuring {
                    true => Exception::not_supported(error.message),
                    false => Exception::encoding(error.message),
                };
                close_with_error(codec, scope, &exception);
            }
            Delivery::Stalled { .. } => watch(codec, scope, this),
            // The rest is the task's that fires dequeue.
            Delivery::Dequeued => break,
        }
    }
    settle(codec, scope, this);
}

fn resolve_flush<T: CodecObject>(codec: &T, scope: &mut v8::PinScope<'_, '_>, number: u64) {
    let deferred = {
        let flushes = &mut codec.slots().borrow_mut().flushes;
        flushes
            .iter()
            .position(|(of, _)| *of == number)
            .map(|index| flushes.remove(index).1)
    };
    if let Some(deferred) = deferred {
        // Fails only when script execution is being terminated.
        let _ = deferred.resolve(scope, &());
        end_script(scope, false);
    }
}

/// Rejects the flushes of those numbers.
fn reject_flushes<T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'_, '_>,
    numbers: &[u64],
    exception: &Exception,
) {
    let rejected: Vec<_> = {
        let flushes = &mut codec.slots().borrow_mut().flushes;
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

/// The Close algorithms, such as <https://w3c.github.io/webcodecs/#close-videodecoder>, with an exception that is no
/// AbortError.
fn close_with_error<T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'_, '_>,
    exception: &Exception,
) {
    let Some(value) = exception.to_value(scope) else {
        return;
    };
    // The promises and the callback get the same object.
    let exception = Exception::value(scope, value);
    // 1. Run the Reset algorithm with exception. 2. Set state to "closed". 3. Release the codec.
    let closed = codec.slots().borrow_mut().queue.close();
    let Ok(numbers) = closed else { return };
    reject_flushes(codec, scope, &numbers, &exception);
    // 4. If exception is not an AbortError, invoke the [[error callback]] with exception.
    if let Some(callback) = WebCodecsErrorCallback::from_traced(scope, codec.error_callback()) {
        // What it throws is reported; converting a JavaScript value does not fail.
        let _ = callback.call_and_report(scope, &value);
    }
}

/// To be called after everything that moves the queue: fires what is due later, and lets the event loop end when
/// nothing is left to do.
fn settle<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) {
    let mut slots = codec.slots().borrow_mut();
    if slots.queue.take_dequeue_request() {
        // 3. of Schedule Dequeue Event: queue a task to fire dequeue at this.
        let target = v8::Global::new(scope, this);
        slots.event_loop.clone().queue_task(move |scope| {
            v8::scope!(let scope, scope);
            let target = v8::Local::new(scope, target);
            if let Some(codec) = Handle::<T>::from_value(scope, target.into()) {
                {
                    let queue = &mut codec.slots().borrow_mut().queue;
                    // What came of inputs that left the queue is delivered after the event: it is taken in here, before a
                    // listener gives the codec more.
                    queue.poll();
                    // 2. Assign false to [[dequeue event scheduled]]. Before the event rather than after it, so that what
                    //    a listener does is announced by an event of its own.
                    queue.dequeue_fired();
                }
                // 1. Fire a simple event named dequeue at this.
                Host::get(scope).fire_event(scope, target, "dequeue");
                deliver(&*codec, scope, target);
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

/// Outputs that nobody closes have stopped the codec. Most likely the script will close some in a moment; if not,
/// garbage collection may find some; if not, the author is told.
fn watch<'s, T: CodecObject>(
    codec: &T,
    scope: &mut v8::PinScope<'s, '_>,
    this: v8::Local<'s, v8::Object>,
) {
    if std::mem::replace(&mut codec.slots().borrow_mut().watching, true) {
        return;
    }
    let event_loop = codec.slots().borrow().event_loop.clone();
    let target = v8::Global::new(scope, this);
    let spawned = spawn_local(async move {
        tokio::time::sleep(STALL).await;
        event_loop.clone().queue_task(move |scope| {
            v8::scope!(let scope, scope);
            let target = v8::Local::new(scope, target);
            let Some(codec) = Handle::<T>::from_value(scope, target.into()) else {
                return;
            };
            codec.slots().borrow_mut().watching = false;
            if !codec.slots().borrow().queue.is_stalled() {
                return;
            }
            scope.low_memory_notification();
            let slots = codec.slots().borrow();
            if slots.queue.is_stalled() {
                let (outputs, bytes) = slots.queue.outputs();
                drop(slots);
                warn(
                    scope,
                    &format!(
                        "{} waits: {outputs} of its {} ({} MiB; all codecs together hold {} MiB) are not closed. Call \
                         close() on each when it is no longer needed.",
                        T::NAME,
                        T::OUTPUTS,
                        bytes >> 20,
                        Engine::global().outputs.used() >> 20
                    ),
                );
            }
        });
    });
    if spawned.is_err() {
        // The host has gone to another Tokio runtime since the codec was made: nobody looks.
        codec.slots().borrow_mut().watching = false;
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
