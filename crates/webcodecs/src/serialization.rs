//! Structured cloning and transfer of media objects; `js/serialization.js` has the other half.
//!
//! A clone and a transfer both hand a reference to the same memory over, and copy nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use deno_core::{OpState, Resource, ResourceId, TransferredResource, op2, v8};
use deno_error::JsErrorBox;
use reelcore_media::EncodedChunk;

use crate::interfaces::{AudioData, EncodedAudioChunk, EncodedVideoChunk, VideoFrame};
use crate::webidl::{Exception, Handle};

/// What a media object refers to, without the object. It may change threads.
#[derive(Clone)]
enum Content {
    VideoFrame(reelcore_media::VideoFrame),
    AudioData(reelcore_media::AudioData),
    VideoChunk(EncodedChunk),
    AudioChunk(EncodedChunk),
}

impl Content {
    /// What `value` refers to. With `take`, the object is closed.
    fn of<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
        take: bool,
    ) -> Result<Self, Exception> {
        let closed = || Exception::data_clone("The object is closed.");
        if let Some(frame) = Handle::<VideoFrame>::from_value(scope, value) {
            let open = if take {
                frame.take(scope)
            } else {
                frame.open()
            };
            return open
                .map(|open| Self::VideoFrame(open.frame))
                .ok_or_else(closed);
        }
        if let Some(audio) = Handle::<AudioData>::from_value(scope, value) {
            let open = if take { audio.take() } else { audio.open() };
            return open
                .map(|open| Self::AudioData(open.audio))
                .ok_or_else(closed);
        }
        if let Some(chunk) = Handle::<EncodedVideoChunk>::from_value(scope, value) {
            return Ok(Self::VideoChunk(chunk.chunk().clone()));
        }
        if let Some(chunk) = Handle::<EncodedAudioChunk>::from_value(scope, value) {
            return Ok(Self::AudioChunk(chunk.chunk().clone()));
        }
        Err(Exception::data_clone("The object could not be cloned."))
    }

    /// A new object.
    fn into_object<'s>(
        self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Object>, Exception> {
        Ok(match self {
            Self::VideoFrame(frame) => {
                let frame = VideoFrame::new(scope, frame);
                Handle::new(scope, frame)?.object()
            }
            Self::AudioData(audio) => {
                let audio = AudioData::new(scope, audio);
                Handle::new(scope, audio)?.object()
            }
            Self::VideoChunk(chunk) => EncodedVideoChunk::create(scope, chunk)?.object(),
            Self::AudioChunk(chunk) => EncodedAudioChunk::create(scope, chunk)?.object(),
        })
    }
}

/// Serialised objects, by numbers of which the process gives none twice: a message may reach another thread.
type Contents = HashMap<u64, Content>;

/// What a call of `structuredClone` or `postMessage` keeps until it ends, whether it throws or not.
#[derive(Default)]
struct Call {
    clones: Contents,
    /// Those that the call made. A message that left has taken its own out of the table.
    resources: Vec<ResourceId>,
}

/// What is serialised, and not yet deserialised.
#[derive(Default)]
pub(crate) struct Shared {
    /// The calls that are being made: serializing runs getters, which may make another.
    calls: Vec<Call>,
    /// What was serialised outside of them, as hosts do it; kept until the next microtask.
    others: Contents,
    /// What came with the message that is being deserialised; what it leaves is kept until the next microtask.
    arrived: Contents,
}

impl Shared {
    /// A message to several destinations is read once for each.
    fn find(&self, number: u64) -> Option<&Content> {
        let calls = self.calls.iter().rev().map(|call| &call.clones);
        calls
            .chain([&self.others])
            .find_map(|contents| contents.get(&number))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A call begins that may serialise objects.
#[op2(fast)]
pub(crate) fn op_webcodecs_call_begin(state: &mut OpState) {
    state.borrow_mut::<Shared>().calls.push(Call::default());
}

/// It ends: what it serialised and has not sent is dropped.
#[op2(fast)]
pub(crate) fn op_webcodecs_call_end(state: Rc<RefCell<OpState>>) {
    let call = state.borrow_mut().borrow_mut::<Shared>().calls.pop();
    for resource in call.into_iter().flat_map(|call| call.resources) {
        let left = state.borrow_mut().resource_table.take::<Parcel>(resource);
        drop(left);
    }
}

/// Drops what serialization outside of calls and a message that was not read to its end left.
#[op2(fast)]
pub(crate) fn op_webcodecs_settle(state: Rc<RefCell<OpState>>) {
    let mut borrowed = state.borrow_mut();
    let shared = borrowed.borrow_mut::<Shared>();
    let left = (
        mem::take(&mut shared.others),
        mem::take(&mut shared.arrived),
    );
    drop(borrowed);
    drop(left);
}

/// The serialization steps: keeps a reference, and gives its number.
#[op2(reentrant)]
pub(crate) fn op_webcodecs_share<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> v8::Local<'s, v8::Value> {
    match Content::of(scope, value, false) {
        Ok(content) => {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut state = state.borrow_mut();
            let Shared { calls, others, .. } = state.borrow_mut::<Shared>();
            let contents = calls.last_mut().map_or(others, |call| &mut call.clones);
            contents.insert(number, content);
            v8::Number::new(scope, number as f64).into()
        }
        Err(exception) => thrown(scope, exception),
    }
}

/// The deserialization steps: a new object over the reference of that number.
#[op2(reentrant)]
pub(crate) fn op_webcodecs_adopt<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    #[number] number: u64,
) -> v8::Local<'s, v8::Value> {
    let content = {
        let mut state = state.borrow_mut();
        let shared = state.borrow_mut::<Shared>();
        let arrived = shared.arrived.remove(&number);
        arrived.or_else(|| shared.find(number).cloned())
    };
    let object = match content {
        Some(content) => content.into_object(scope),
        None => Err(Exception::data_clone(
            "The serialised object does not exist any more.",
        )),
    };
    object.map_or_else(|exception| thrown(scope, exception), Into::into)
}

/// Objects between the two ends of a message: they go when it goes, received or not.
struct Parcel(RefCell<Contents>);

impl Resource for Parcel {
    fn name(&self) -> Cow<'_, str> {
        "reelcoreMedia".into()
    }

    fn transfer(self: Rc<Self>) -> Result<Box<dyn TransferredResource>, JsErrorBox> {
        Ok(Box::new(InTransit(self.0.take())))
    }
}

struct InTransit(Contents);

impl TransferredResource for InTransit {
    fn receive(self: Box<Self>) -> Rc<dyn Resource> {
        Rc::new(Parcel(RefCell::new(self.0)))
    }
}

impl Parcel {
    /// Puts one into the table, for the call that is being made.
    fn add(state: &mut OpState, contents: Contents) -> ResourceId {
        let parcel = Self(RefCell::new(contents));
        let resource = state.resource_table.add(parcel);
        if let Some(call) = state.borrow_mut::<Shared>().calls.last_mut() {
            call.resources.push(resource);
        }
        resource
    }

    fn take(state: &RefCell<OpState>, resource: ResourceId) -> Result<Contents, JsErrorBox> {
        let parcel = state.borrow_mut().resource_table.take::<Self>(resource);
        Ok(parcel.map_err(JsErrorBox::from_err)?.0.take())
    }
}

/// The resource that takes along what the call has serialised; null where that is nothing.
#[op2]
pub(crate) fn op_webcodecs_pack<'s>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, '_>,
) -> v8::Local<'s, v8::Value> {
    let call = state.borrow_mut::<Shared>().calls.last_mut();
    match call.map(|call| mem::take(&mut call.clones)) {
        Some(clones) if !clones.is_empty() => {
            let resource = Parcel::add(state, clones);
            v8::Integer::new_from_unsigned(scope, resource).into()
        }
        _ => v8::null(scope).into(),
    }
}

/// Makes what came with a message ready for its deserialization.
#[op2(fast)]
pub(crate) fn op_webcodecs_unpack(
    state: Rc<RefCell<OpState>>,
    #[smi] resource: ResourceId,
) -> Result<(), JsErrorBox> {
    let contents = Parcel::take(&state, resource)?;
    state
        .borrow_mut()
        .borrow_mut::<Shared>()
        .arrived
        .extend(contents);
    Ok(())
}

/// Throws for an object that is closed, before anything is transferred.
#[op2(nofast, reentrant)]
pub(crate) fn op_webcodecs_check_open<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) {
    if let Err(exception) = Content::of(scope, value, false) {
        exception.throw(scope);
    }
}

/// The transfer steps: closes the object, and gives the resource that holds what it referred to.
#[op2(reentrant)]
pub(crate) fn op_webcodecs_detach<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> v8::Local<'s, v8::Value> {
    match Content::of(scope, value, true) {
        Ok(content) => {
            let resource = Parcel::add(&mut state.borrow_mut(), HashMap::from([(0, content)]));
            v8::Integer::new_from_unsigned(scope, resource).into()
        }
        Err(exception) => thrown(scope, exception),
    }
}

/// The transfer-receiving steps: a new object over what the resource holds.
#[op2(reentrant)]
pub(crate) fn op_webcodecs_receive<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    #[smi] resource: ResourceId,
) -> Result<v8::Local<'s, v8::Value>, JsErrorBox> {
    let object = match Parcel::take(&state, resource)?.remove(&0) {
        Some(content) => content.into_object(scope),
        None => Err(Exception::data_clone(
            "The transferred object was received before.",
        )),
    };
    Ok(object.map_or_else(|exception| thrown(scope, exception), Into::into))
}

fn thrown<'s>(scope: &mut v8::PinScope<'s, '_>, exception: Exception) -> v8::Local<'s, v8::Value> {
    exception.throw(scope);
    v8::undefined(scope).into()
}
