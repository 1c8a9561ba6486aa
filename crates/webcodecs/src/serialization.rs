//! Structured cloning and transfer of media objects; `js/serialization.js` has the other half.
//!
//! A clone and a transfer both hand a reference to the same memory over, and copy nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::error::ResourceError;
use deno_core::{OpState, Resource, ResourceId, TransferredResource, op2, v8};
use deno_error::JsErrorBox;
use reelcore_media::EncodedChunk;

use crate::interfaces::{AudioData, EncodedAudioChunk, EncodedVideoChunk, VideoFrame};
use crate::webidl::{Exception, Handle};

/// What a media object refers to, without the object. It may change threads.
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

/// Clones on their way: serialised, and not yet deserialised.
#[derive(Default)]
pub(crate) struct Shared {
    next: u32,
    contents: HashMap<u32, Content>,
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
            let mut state = state.borrow_mut();
            let shared = state.borrow_mut::<Shared>();
            let number = shared.next;
            shared.next = shared.next.wrapping_add(1);
            shared.contents.insert(number, content);
            v8::Integer::new_from_unsigned(scope, number).into()
        }
        Err(exception) => thrown(scope, exception),
    }
}

/// The deserialization steps: a new object over the reference of that number.
#[op2(reentrant)]
pub(crate) fn op_webcodecs_adopt<'s>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, '_>,
    #[smi] number: u32,
) -> v8::Local<'s, v8::Value> {
    let content = state
        .borrow_mut()
        .borrow_mut::<Shared>()
        .contents
        .remove(&number);
    let object = match content {
        Some(content) => content.into_object(scope),
        None => Err(Exception::data_clone(
            "The serialised object was read before.",
        )),
    };
    object.map_or_else(|exception| thrown(scope, exception), Into::into)
}

/// A transferred object between its two ends.
struct Transferred(RefCell<Option<Content>>);

impl Resource for Transferred {
    fn name(&self) -> Cow<'_, str> {
        "reelcoreMedia".into()
    }

    fn transfer(self: Rc<Self>) -> Result<Box<dyn TransferredResource>, JsErrorBox> {
        let content = self
            .0
            .borrow_mut()
            .take()
            .ok_or_else(|| JsErrorBox::from_err(ResourceError::BadResourceId))?;
        Ok(Box::new(InTransit(content)))
    }
}

struct InTransit(Content);

impl TransferredResource for InTransit {
    fn receive(self: Box<Self>) -> Rc<dyn Resource> {
        Rc::new(Transferred(RefCell::new(Some(self.0))))
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
            let resource = Transferred(RefCell::new(Some(content)));
            let number = state.borrow_mut().resource_table.add(resource);
            v8::Integer::new_from_unsigned(scope, number).into()
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
    let taken = state
        .borrow_mut()
        .resource_table
        .take::<Transferred>(resource)
        .map_err(JsErrorBox::from_err)?;
    let content = taken.0.borrow_mut().take();
    let object = match content {
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
