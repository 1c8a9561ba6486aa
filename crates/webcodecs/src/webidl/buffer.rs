//! Buffer sources: <https://webidl.spec.whatwg.org/#js-buffer-source-types>.

use std::ops::Range;
use std::ptr::NonNull;

use bytes::Bytes;
use deno_core::serde_v8::V8Slice;
use deno_core::v8;

use super::{Context, Exception};

/// Which objects a buffer type of Web IDL takes.
#[derive(Clone, Copy, Debug)]
pub struct BufferType {
    /// Web IDL's name, for errors.
    pub name: &'static str,
    /// An ArrayBuffer.
    pub array_buffer: bool,
    /// A SharedArrayBuffer.
    pub shared_array_buffer: bool,
    /// A typed array or a DataView.
    pub view: bool,
    /// `[AllowShared]`: the view may be of a SharedArrayBuffer.
    pub allow_shared: bool,
}

impl BufferType {
    /// `ArrayBuffer`.
    pub const ARRAY_BUFFER: Self = Self {
        name: "ArrayBuffer",
        array_buffer: true,
        shared_array_buffer: false,
        view: false,
        allow_shared: false,
    };
    /// `SharedArrayBuffer`.
    pub const SHARED_ARRAY_BUFFER: Self = Self {
        name: "SharedArrayBuffer",
        array_buffer: false,
        shared_array_buffer: true,
        ..Self::ARRAY_BUFFER
    };
    /// `ArrayBufferView`.
    pub const ARRAY_BUFFER_VIEW: Self = Self {
        name: "ArrayBufferView",
        array_buffer: false,
        view: true,
        ..Self::ARRAY_BUFFER
    };
    /// `BufferSource`.
    pub const BUFFER_SOURCE: Self = Self {
        name: "BufferSource",
        view: true,
        ..Self::ARRAY_BUFFER
    };
    /// `AllowSharedBufferSource`.
    pub const ALLOW_SHARED_BUFFER_SOURCE: Self = Self {
        name: "AllowSharedBufferSource",
        array_buffer: true,
        shared_array_buffer: true,
        view: true,
        allow_shared: true,
    };

    /// Whether a union or an overload of this type takes `value`.
    pub fn accepts(&self, value: v8::Local<'_, v8::Value>) -> bool {
        (self.array_buffer && value.is_array_buffer())
            || (self.shared_array_buffer && value.is_shared_array_buffer())
            || (self.view && value.is_array_buffer_view())
    }
}

/// <https://webidl.spec.whatwg.org/#js-ArrayBuffer>
///
/// # Errors
/// A TypeError for any other object, and for a buffer that can be resized.
pub fn array_buffer<'s>(
    value: v8::Local<'s, v8::Value>,
    context: &Context<'_>,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Exception> {
    match BufferSource::from_js(value, BufferType::ARRAY_BUFFER, context)?.object {
        Object::Buffer(buffer) => Ok(buffer),
        Object::Shared(_) | Object::View(_) => {
            Err(context.type_error("is not of type 'ArrayBuffer'."))
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Object<'s> {
    Buffer(v8::Local<'s, v8::ArrayBuffer>),
    Shared(v8::Local<'s, v8::SharedArrayBuffer>),
    View(v8::Local<'s, v8::ArrayBufferView>),
}

/// Bytes that belong to JavaScript: an ArrayBuffer, a SharedArrayBuffer, a typed array or a DataView.
///
/// The bytes are looked up at each call, as a script may detach the buffer between two of them; a detached buffer has
/// no bytes. A buffer that can be resized never becomes a `BufferSource`.
#[derive(Clone, Copy, Debug)]
pub struct BufferSource<'s> {
    object: Object<'s>,
}

impl<'s> BufferSource<'s> {
    /// Converts `value`, which stands at `context`, to the buffer type `kind`.
    ///
    /// # Errors
    /// A TypeError for any other object, for shared memory where `kind` does not allow it, and for a buffer that can
    /// be resized or grown.
    pub fn from_js(
        value: v8::Local<'s, v8::Value>,
        kind: BufferType,
        context: &Context<'_>,
    ) -> Result<Self, Exception> {
        let object = match value {
            _ if !kind.accepts(value) => None,
            _ if value.is_array_buffer() => v8::Local::try_from(value).ok().map(Object::Buffer),
            _ if value.is_shared_array_buffer() => {
                v8::Local::try_from(value).ok().map(Object::Shared)
            }
            _ => v8::Local::try_from(value).ok().map(Object::View),
        };
        let Some(object) = object else {
            return Err(context.type_error(format_args!("is not of type '{}'.", kind.name)));
        };
        let source = Self { object };
        if let Some(store) = source.store() {
            if matches!(object, Object::View(_)) && store.is_shared() && !kind.allow_shared {
                return Err(context.type_error("must not be shared."));
            }
            if store.is_resizable_by_user_javascript() {
                return Err(context.type_error("must not be resizable."));
            }
        }
        Ok(source)
    }

    /// A new ArrayBuffer that holds a copy of `bytes`.
    pub fn from_bytes(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Self {
        let buffer = v8::ArrayBuffer::new(scope, bytes.len());
        let source = Self {
            object: Object::Buffer(buffer),
        };
        source.with_bytes_mut(|target| target.copy_from_slice(bytes));
        source
    }

    /// The JavaScript object.
    pub fn object(&self) -> v8::Local<'s, v8::Object> {
        match self.object {
            Object::Buffer(buffer) => buffer.into(),
            Object::Shared(buffer) => buffer.into(),
            Object::View(view) => view.into(),
        }
    }

    /// The ArrayBuffer that holds the bytes; `None` for a SharedArrayBuffer.
    pub fn array_buffer(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<v8::Local<'s, v8::ArrayBuffer>> {
        match self.object {
            Object::Buffer(buffer) => Some(buffer),
            Object::Shared(_) => None,
            // V8 hands out a SharedArrayBuffer under this type, too.
            Object::View(view) => view
                .buffer(scope)
                .filter(|buffer| !v8::Local::<v8::Value>::from(*buffer).is_shared_array_buffer()),
        }
    }

    /// Whether other threads may see the bytes.
    pub fn is_shared(&self) -> bool {
        self.store().is_some_and(|store| store.is_shared())
    }

    /// <https://webidl.spec.whatwg.org/#buffersource-detached>
    pub fn is_detached(&self, scope: &mut v8::PinScope<'s, '_>) -> bool {
        self.array_buffer(scope)
            .is_some_and(|buffer| buffer.was_detached())
    }

    /// <https://webidl.spec.whatwg.org/#buffersource-byte-length>: 0 once detached.
    pub fn byte_length(&self) -> usize {
        match self.object {
            Object::Buffer(buffer) => buffer.byte_length(),
            Object::Shared(buffer) => buffer.byte_length(),
            Object::View(view) => view.byte_length(),
        }
    }

    fn store(&self) -> Option<v8::SharedRef<v8::BackingStore>> {
        match self.object {
            Object::Buffer(buffer) => Some(buffer.get_backing_store()),
            Object::Shared(buffer) => Some(buffer.get_backing_store()),
            Object::View(view) => view.get_backing_store(),
        }
    }

    /// The memory and the part of it that belongs to this object.
    fn parts(&self) -> Option<(v8::SharedRef<v8::BackingStore>, Range<usize>)> {
        let store = self.store()?;
        let length = self.byte_length();
        let start = match self.object {
            Object::View(view) => view.byte_offset(),
            _ => 0,
        };
        let end = start.checked_add(length)?;
        (length > 0 && end <= store.byte_length()).then_some((store, start..end))
    }

    /// Runs `read` on the bytes. It must not run scripts. Bytes of a SharedArrayBuffer may change under its hands, so
    /// it must not rely on reading the same value twice.
    pub fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.with_bytes_mut(|bytes| read(bytes))
    }

    /// Runs `write` on the bytes, as [`BufferSource::with_bytes`].
    pub fn with_bytes_mut<R>(&self, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let Some((store, range)) = self.parts() else {
            return write(&mut []);
        };
        let Some(data) = store.data() else {
            return write(&mut []);
        };
        let data: NonNull<u8> = data.cast();
        // SAFETY: `parts` has checked that the range lies inside of the store, which `store` keeps alive, and V8 never
        // moves or shrinks the memory of a store that cannot be resized (`from_js` takes no other). V8 allocates
        // stores zeroed, so every byte is initialised. On this thread nobody else reaches the memory while `write`
        // runs, as no script does. Other threads may race on shared memory: the memory model of JavaScript permits
        // any value then, and byte accesses of this kind are what every embedder of V8 does.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(data.as_ptr().add(range.start), range.len()) };
        write(bytes)
    }

    /// The memory itself, for another thread to write to while scripts go on: what "in parallel" means in a
    /// specification. It stays alive when the buffer is detached; scripts that look at it meanwhile see any mixture.
    pub fn shared_memory(&self) -> V8Slice<u8> {
        let (store, range) = match self.parts() {
            Some(parts) => parts,
            None => (
                v8::ArrayBuffer::new_backing_store_from_vec(Vec::new()).make_shared(),
                0..0,
            ),
        };
        // SAFETY: `parts` has checked that the range lies inside of the store; no store here can shrink.
        unsafe { V8Slice::from_parts(store, range) }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The bytes themselves, for whom no script can reach them any longer: their buffer is detached right after.
    fn owned_bytes(&self) -> Bytes {
        let Some((store, range)) = self.parts() else {
            return Bytes::new();
        };
        // SAFETY: `parts` has checked that the range lies inside of the store.
        Bytes::from_owner(unsafe { V8Slice::<u8>::from_parts(store, range) })
    }
}

/// A list of ArrayBuffers to transfer, as the `transfer` member of several dictionaries has it.
///
/// Make it with [`Transfer::new`] where an algorithm checks the list, and end it with [`Transfer::finish`] where it
/// detaches the buffers.
#[derive(Debug)]
pub struct Transfer<'a, 's> {
    buffers: &'a [v8::Local<'s, v8::ArrayBuffer>],
}

impl<'a, 's> Transfer<'a, 's> {
    /// Checks the list.
    ///
    /// # Errors
    /// A DataCloneError for a buffer that stands in it twice or is detached.
    pub fn new(buffers: &'a [v8::Local<'s, v8::ArrayBuffer>]) -> Result<Self, Exception> {
        // If transfer contains more than one reference to the same ArrayBuffer, then throw a DataCloneError.
        // V8's identity hashes are not unique, so they only narrow down what is compared.
        let mut order: Vec<_> = (0..buffers.len()).collect();
        let hash = |index: &usize| buffers.get(*index).map(|buffer| buffer.get_identity_hash());
        if buffers.len() > 1 {
            order.sort_by_cached_key(hash);
        }
        for (position, first) in order.iter().enumerate() {
            let same_hash = order
                .iter()
                .skip(position + 1)
                .take_while(|second| hash(second) == hash(first));
            for second in same_hash {
                if buffers.get(*first) == buffers.get(*second) {
                    return Err(Exception::data_clone(
                        "An ArrayBuffer is in the transfer list twice.",
                    ));
                }
            }
        }
        // If the [[Detached]] internal slot of any of them is true, then throw a DataCloneError.
        if buffers.iter().any(|buffer| buffer.was_detached()) {
            return Err(Exception::data_clone(
                "An ArrayBuffer in the transfer list is detached.",
            ));
        }
        Ok(Self { buffers })
    }

    /// Whether `source` lies in a buffer of the list, so that its bytes need no copy.
    pub fn contains(&self, scope: &mut v8::PinScope<'s, '_>, source: &BufferSource<'s>) -> bool {
        !self.buffers.is_empty()
            && source
                .array_buffer(scope)
                .is_some_and(|buffer| self.buffers.contains(&buffer))
    }

    /// The bytes of `source`: themselves if their buffer is in the list, else a copy. Detaches every buffer of the
    /// list.
    ///
    /// # Errors
    /// A TypeError for a buffer that cannot be detached, such as WebAssembly's memory; then none is.
    pub fn finish(
        self,
        scope: &mut v8::PinScope<'s, '_>,
        source: &BufferSource<'s>,
    ) -> Result<Bytes, Exception> {
        self.finish_with(scope, source, |bytes| bytes, Bytes::copy_from_slice)
    }

    /// As [`Transfer::finish`], for what needs only a part of the bytes: `take` gets the bytes themselves if their buffer
    /// is in the list, else `copy` gets a look at them, and copies what it needs, as the script keeps its buffer and may
    /// write to it. Neither may run scripts.
    ///
    /// # Errors
    /// As [`Transfer::finish`].
    pub fn finish_with<R>(
        self,
        scope: &mut v8::PinScope<'s, '_>,
        source: &BufferSource<'s>,
        take: impl FnOnce(Bytes) -> R,
        copy: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Exception> {
        if !self.buffers.iter().all(|buffer| buffer.is_detachable()) {
            return Err(Exception::type_error(
                "An ArrayBuffer in the transfer list cannot be detached.",
            ));
        }
        let taken = if self.contains(scope, source) {
            take(source.owned_bytes())
        } else {
            source.with_bytes(copy)
        };
        for buffer in self.buffers {
            // `None`: a detach key that we do not have. No buffer of a script has one, except for WebAssembly's, which
            // is not detachable.
            if buffer.detach(None).is_none() {
                return Err(Exception::Pending);
            }
        }
        Ok(taken)
    }
}
