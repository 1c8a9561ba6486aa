//! <https://w3c.github.io/webcodecs/#encodedvideochunk-interface>

use deno_core::{GarbageCollected, v8};
use reelcore_media::{ChunkKind, EncodedChunk};

use crate::generated::{EncodedVideoChunkInit, EncodedVideoChunkMethods, EncodedVideoChunkType};
use crate::webidl::{BufferSource, Exception, ExternalMemory, Handle, Transfer};

/// An `EncodedVideoChunk`: immutable, so the media type holds its internal slots.
pub struct EncodedVideoChunk {
    chunk: EncodedChunk,
    /// Keeps V8 informed of the memory behind `chunk.data`.
    _memory: ExternalMemory,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for EncodedVideoChunk {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"EncodedVideoChunk"
    }
}

impl EncodedVideoChunk {
    /// The object of a chunk that a demuxer or an encoder made; the bytes are shared, not copied.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn create<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        chunk: EncodedChunk,
    ) -> Result<Handle<'s, Self>, Exception> {
        let value = Self::new(scope, chunk);
        Handle::new(scope, value)
    }

    fn new(scope: &mut v8::PinScope<'_, '_>, chunk: EncodedChunk) -> Self {
        let memory = ExternalMemory::new(scope, chunk.data.len());
        Self {
            chunk,
            _memory: memory,
        }
    }

    /// What the chunk holds. A clone of it shares the bytes.
    pub fn chunk(&self) -> &EncodedChunk {
        &self.chunk
    }
}

impl EncodedVideoChunkMethods for EncodedVideoChunk {
    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-encodedvideochunk>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        init: EncodedVideoChunkInit<'s>,
    ) -> Result<Self, Exception> {
        // Step 1. If init.transfer contains more than one reference to the same ArrayBuffer, then throw a
        // DataCloneError DOMException.
        // Step 2. For each transferable in init.transfer: if its [[Detached]] internal slot is true, then throw a
        // DataCloneError DOMException.
        let transfer = Transfer::new(&init.transfer)?;
        // Step 3. Let chunk be a new EncodedVideoChunk object, initialized as follows:
        // 1. Assign init.type to [[type]]. 2. Assign init.timestamp to [[timestamp]].
        // 3. If init.duration exists, assign it to [[duration]], or assign null otherwise.
        // 4. Assign init.data.byteLength to [[byte length]];
        // 5. If init.transfer contains an ArrayBuffer referenced by init.data the User Agent MAY choose to: let
        //    resource be a new media resource referencing the bytes in init.data.
        // 6. Otherwise: let resource be a media resource containing a copy of init.data.
        // Step 4. For each transferable in init.transfer: perform DetachArrayBuffer on transferable.
        let data = transfer.finish(scope, &init.data)?;
        let chunk = EncodedChunk {
            kind: match init.r#type {
                EncodedVideoChunkType::Key => ChunkKind::Key,
                EncodedVideoChunkType::Delta => ChunkKind::Delta,
            },
            timestamp: init.timestamp,
            duration: init.duration,
            data,
            side: None,
        };
        // Step 5. Return chunk.
        Ok(Self::new(scope, chunk))
    }

    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-type>
    fn r#type(&self) -> EncodedVideoChunkType {
        match self.chunk.kind {
            ChunkKind::Key => EncodedVideoChunkType::Key,
            ChunkKind::Delta => EncodedVideoChunkType::Delta,
        }
    }

    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-timestamp>
    fn timestamp(&self) -> i64 {
        self.chunk.timestamp
    }

    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-duration>
    fn duration(&self) -> Option<u64> {
        self.chunk.duration
    }

    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-bytelength>
    fn byte_length(&self) -> u32 {
        // A larger chunk would need a buffer beyond V8's limit on this platform's 32-bit lengths.
        u32::try_from(self.chunk.data.len()).unwrap_or(u32::MAX)
    }

    /// <https://w3c.github.io/webcodecs/#dom-encodedvideochunk-copyto>
    fn copy_to<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        destination: BufferSource<'s>,
    ) -> Result<(), Exception> {
        let data = &self.chunk.data;
        destination.with_bytes_mut(|bytes| {
            let available = bytes.len();
            // Step 1. If the [[byte length]] of this EncodedVideoChunk is greater than that of destination, throw a
            // TypeError.
            let Some(target) = bytes.get_mut(..data.len()) else {
                return Err(Exception::type_error(format!(
                    "Failed to execute 'copyTo' on 'EncodedVideoChunk': the destination has {available} bytes, the chunk \
                     has {}.",
                    data.len()
                )));
            };
            // Step 2. Copy the [[internal data]] into destination.
            target.copy_from_slice(data);
            Ok(())
        })
    }
}
