//! `VideoFrame`: <https://w3c.github.io/webcodecs/#videoframe-interface>

mod construct;
mod copy;
mod geometry;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use deno_core::GarbageCollected;
use deno_core::serde_v8::V8Slice;
use deno_core::v8;
use deno_core::v8::cppgc::GcCell;
use reelcore_engine::Engine;
use reelcore_media::{ErrorKind, MediaError, Rect, VideoFrame as MediaFrame};

use copy::Copy;

use crate::event_loop::EventLoop;
use crate::generated::{
    CanvasImageSource, PlaneLayout, VideoFrameBufferInit, VideoFrameCopyToOptions, VideoFrameInit,
    VideoFrameMetadata, VideoFrameMethods, VideoPixelFormat,
};
use crate::interfaces::VideoColorSpace;
use crate::webidl::callback::end_script;
use crate::webidl::{BufferSource, Exception, ExternalMemory, Handle, Host, Promise};

/// The slots of a frame that is not closed.
#[derive(Clone)]
pub(crate) struct Open {
    /// `[[resource reference]]`, and the slots that describe it.
    pub(crate) frame: MediaFrame,
    /// Shared by all objects over the resource.
    memory: Rc<ExternalMemory>,
}

/// A VideoFrame object.
pub struct VideoFrame {
    /// `None` when `[[Detached]]` is true.
    open: RefCell<Option<Open>>,
    /// `[[timestamp]]` and `[[duration]]` outlive `close()`.
    timestamp: Cell<i64>,
    duration: Cell<Option<u64>>,
    /// `[[color space]]`, made when first asked for.
    color_space: GcCell<Option<v8::TracedReference<v8::Object>>>,
    /// What importExternalTexture() made of it.
    #[cfg(feature = "gpu")]
    imports: GcCell<crate::gpu::Imports>,
}

// SAFETY: the V8 handles are those of `color_space` and `imports`, and both are traced.
unsafe impl GarbageCollected for VideoFrame {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        visitor.trace(&self.color_space);
        #[cfg(feature = "gpu")]
        visitor.trace(&self.imports);
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"VideoFrame"
    }
}

/// Copies up to this many bytes are made at once: handing them to a worker would take longer.
const COPY_AT_ONCE: usize = 256 << 10;

impl VideoFrame {
    /// A VideoFrame object over a frame whose memory V8 does not know of yet.
    pub(crate) fn new(scope: &mut v8::PinScope<'_, '_>, frame: MediaFrame) -> Self {
        let memory = Rc::new(ExternalMemory::new(scope, frame.resource.byte_size()));
        Self::over(Open { frame, memory })
    }

    /// A VideoFrame object over what other objects may have as well.
    pub(crate) fn over(open: Open) -> Self {
        Self {
            timestamp: Cell::new(open.frame.timestamp),
            duration: Cell::new(open.frame.duration),
            open: RefCell::new(Some(open)),
            color_space: GcCell::new(None),
            #[cfg(feature = "gpu")]
            imports: GcCell::new(crate::gpu::Imports::default()),
        }
    }

    /// The external textures of this object.
    #[cfg(feature = "gpu")]
    pub(crate) fn imports(&self) -> &GcCell<crate::gpu::Imports> {
        &self.imports
    }

    /// The slots, unless the frame is closed.
    pub(crate) fn open(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// Takes the slots and leaves the frame closed, with its external textures expired: the transfer steps, and those of
    /// `close()`.
    pub(crate) fn take(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<Open> {
        #[cfg(feature = "gpu")]
        std::mem::take(self.imports.get_mut(scope)).expire(scope);
        let _ = scope;
        self.open.borrow_mut().take()
    }

    fn with<T>(&self, closed: T, open: impl FnOnce(&MediaFrame) -> T) -> T {
        self.open
            .borrow()
            .as_ref()
            .map_or(closed, |slots| open(&slots.frame))
    }

    /// Step 1 of most methods: if `[[Detached]]` is true, throw an InvalidStateError.
    fn require_open(&self) -> Result<Open, Exception> {
        self.open()
            .ok_or_else(|| Exception::invalid_state("The VideoFrame is closed."))
    }
}

fn rect<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    rect: Option<Rect>,
) -> Result<Option<v8::Local<'s, v8::Value>>, Exception> {
    let Some(rect) = rect else { return Ok(None) };
    let host = Host::get(scope);
    let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(f64::from);
    host.dom_rect_read_only(scope, x, y, width, height)
        .map(Some)
}

fn copy_failed(error: MediaError) -> Exception {
    match error.kind {
        ErrorKind::InvalidArgument => Exception::type_error(error.message),
        ErrorKind::Unsupported => Exception::not_supported(error.message),
        _ => Exception::operation(error.message),
    }
}

impl VideoFrameMethods for VideoFrame {
    fn from_image<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        image: CanvasImageSource<'s>,
        init: VideoFrameInit,
    ) -> Result<Self, Exception> {
        match image {
            CanvasImageSource::VideoFrame(image) => construct::from_frame(&image, &init),
            #[cfg(feature = "gpu")]
            CanvasImageSource::GPUTexture(texture) => {
                let frame = construct::from_texture(scope, texture, &init)?;
                Ok(Self::new(scope, frame))
            }
            #[cfg(feature = "gpu")]
            CanvasImageSource::ImageBitmap(bitmap) => {
                let frame = construct::from_bitmap(scope, bitmap, &init)?;
                Ok(Self::new(scope, frame))
            }
            #[cfg(feature = "gpu")]
            CanvasImageSource::OffscreenCanvas(canvas) => {
                let frame = construct::from_canvas(scope, canvas, &init)?;
                Ok(Self::new(scope, frame))
            }
            // Without the feature no value is one of these.
            #[cfg(not(feature = "gpu"))]
            CanvasImageSource::GPUTexture(_)
            | CanvasImageSource::ImageBitmap(_)
            | CanvasImageSource::OffscreenCanvas(_) => {
                let _ = scope;
                Err(Exception::type_error("is not of type 'CanvasImageSource'."))
            }
        }
    }

    fn from_buffer<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        data: BufferSource<'s>,
        init: VideoFrameBufferInit<'s>,
    ) -> Result<Self, Exception> {
        let frame = construct::from_buffer(scope, &data, &init)?;
        Ok(Self::new(scope, frame))
    }

    fn format(&self) -> Option<VideoPixelFormat> {
        self.with(None, |frame| {
            frame
                .format
                .and_then(|format| VideoPixelFormat::parse(format.as_str()))
        })
    }

    fn coded_width(&self) -> u32 {
        self.with(0, |frame| frame.coded_size.width)
    }

    fn coded_height(&self) -> u32 {
        self.with(0, |frame| frame.coded_size.height)
    }

    fn coded_rect<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Option<v8::Local<'s, v8::Value>>, Exception> {
        // 1. If [[Detached]] is true, return null. 2., 3. A new DOMRectReadOnly.
        rect(
            scope,
            self.with(None, |frame| Some(Rect::of_size(frame.coded_size))),
        )
    }

    fn visible_rect<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Option<v8::Local<'s, v8::Value>>, Exception> {
        // 1. If [[Detached]] is true, return null. 2., 3. A new DOMRectReadOnly.
        rect(scope, self.with(None, |frame| Some(frame.visible_rect)))
    }

    fn rotation(&self) -> f64 {
        self.with(0.0, |frame| f64::from(frame.rotation.degrees()))
    }

    fn flip(&self) -> bool {
        self.with(false, |frame| frame.flip)
    }

    fn display_width(&self) -> u32 {
        self.with(0, |frame| frame.display_size.width)
    }

    fn display_height(&self) -> u32 {
        self.with(0, |frame| frame.display_size.height)
    }

    fn duration(&self) -> Option<u64> {
        self.duration.get()
    }

    fn timestamp(&self) -> i64 {
        self.timestamp.get()
    }

    fn color_space<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Handle<'s, VideoColorSpace>, Exception> {
        let known = self
            .color_space
            .get(scope)
            .as_ref()
            .and_then(|reference| reference.get(scope));
        if let Some(handle) = known.and_then(|object| Handle::from_value(scope, object.into())) {
            return Ok(handle);
        }
        let color_space = self.with(Default::default(), |frame| frame.color_space);
        let handle = Handle::new(scope, VideoColorSpace(color_space))?;
        let reference = v8::TracedReference::new(scope, handle.object());
        self.color_space.set(scope, Some(reference));
        Ok(handle)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoframe-metadata>
    fn metadata(&self, _scope: &mut v8::PinScope<'_, '_>) -> Result<VideoFrameMetadata, Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError.
        self.require_open()?;
        // 2. Return a copy of [[metadata]]. No specification that is implemented here adds a member to it.
        Ok(VideoFrameMetadata {})
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoframe-allocationsize>
    fn allocation_size(
        &self,
        _scope: &mut v8::PinScope<'_, '_>,
        options: VideoFrameCopyToOptions,
    ) -> Result<u32, Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError. 2. to 4. are Copy::plan's.
        let copy = Copy::plan(self.require_open()?.frame, &options)?;
        // 5. Return combinedLayout's allocationSize.
        Ok(copy.allocation_size())
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoframe-copyto>
    fn copy_to<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        destination: BufferSource<'s>,
        options: VideoFrameCopyToOptions,
    ) -> Result<Promise<'s, Vec<PlaneLayout>>, Exception> {
        // 1. to 4., and the parameters of 8.
        let copy = Copy::plan(self.require_open()?.frame, &options)?;
        // 5. If destination.byteLength is less than allocationSize, reject with a TypeError.
        let (needed, found) = (copy.allocation_size() as usize, destination.byte_length());
        if found < needed {
            return Err(Exception::type_error(format!(
                "The copy needs {needed} bytes, the destination has {found}."
            )));
        }
        let layouts: Vec<_> = copy
            .plane_layouts()
            .into_iter()
            .map(|layout| PlaneLayout {
                offset: layout.offset,
                stride: layout.stride,
            })
            .collect();
        // 7., 8. Copy in parallel. A small copy of what is in CPU memory is made right here: no script can tell.
        if needed <= COPY_AT_ONCE && copy.is_immediate() {
            destination
                .with_bytes_mut(|bytes| copy.run(bytes))
                .map_err(copy_failed)?;
            return Promise::resolved(scope, &layouts);
        }
        let event_loop = EventLoop::get(scope)?;
        // 6. Let p be a new Promise.
        let (promise, deferred) = Promise::pending(scope)?;
        let mut target: V8Slice<u8> = destination.shared_memory();
        event_loop.run_on_worker(
            &Engine::global().workers,
            move || copy.run(&mut target),
            // 8.5. Queue a task to resolve p.
            move |scope, result| {
                match result {
                    Ok(()) => {
                        // Fails only when script execution is being terminated.
                        let _ = deferred.resolve(scope, &layouts);
                    }
                    Err(error) => deferred.reject(scope, &copy_failed(error)),
                }
                end_script(scope, false);
            },
        );
        // 9. Return p.
        Ok(promise)
    }

    /// <https://w3c.github.io/webcodecs/#dom-videoframe-clone>
    fn clone<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Handle<'s, VideoFrame>, Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError. 2. Clone VideoFrame: a new reference to the
        //    resource, and the same values in all other slots.
        let open = self.require_open()?;
        Handle::new(scope, Self::over(open))
    }

    /// Close VideoFrame: <https://w3c.github.io/webcodecs/#close-videoframe>
    fn close(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<(), Exception> {
        // 1. Assign null to [[resource reference]]. 2. Assign true to [[Detached]].
        // 3., 4. The slots that describe the resource read as null and 0 from now on.
        let open = self.take(scope);
        self.color_space.set(scope, None);
        if let Some(open) = open
            && Rc::strong_count(&open.memory) == 1
        {
            open.memory.release(scope);
        }
        Ok(())
    }
}
