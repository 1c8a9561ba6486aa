//! `Reelcore.scale`: another size for a frame in CPU memory. Not part of the WebCodecs specification, which scales only what an
//! encoder is given.

use std::cell::RefCell;

use deno_core::{GarbageCollected, op2, v8};
use deno_error::JsErrorBox;
use reelcore_engine::Engine;
use reelcore_media::convert::Fitter;
use reelcore_media::{PixelFormat, Size, VideoFrame as MediaFrame};

use crate::interfaces::VideoFrame;
use crate::webidl::Handle;

/// A frame that is ready, for JavaScript to take.
pub struct ScaledHandle(RefCell<Option<MediaFrame>>);

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for ScaledHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcoreScaled"
    }
}

/// The planar format without alpha that comes next to `format`: RGB becomes I420, and so does NV12.
fn planar(format: PixelFormat) -> PixelFormat {
    let same = |other: &&PixelFormat| {
        other.layout() == format.layout()
            && other.bit_depth() == format.bit_depth()
            && other.num_planes() == 3
    };
    let found = PixelFormat::ALL.iter().find(same);
    found.copied().unwrap_or(PixelFormat::I420)
}

/// Scales the visible part of `frame` to `width` by `height` pixels, on a blocking thread.
#[op2]
#[cppgc]
pub async fn op_reelcore_scale(
    #[cppgc] frame: &VideoFrame,
    width: u32,
    height: u32,
) -> Result<ScaledHandle, JsErrorBox> {
    let closed = || JsErrorBox::new("Reelcore.InvalidStateError", "the VideoFrame is closed");
    let frame = frame.open().ok_or_else(closed)?.frame;
    let engine = Engine::global();
    let limit = engine.options.limits.max_frame_pixels;
    let size = Size::new(width, height);
    if size.area() == 0 || size.area() > limit {
        return Err(JsErrorBox::range_error(format!(
            "{width}x{height} is not a size of 1 to {limit} pixels"
        )));
    }
    let scaled = deno_core::unsync::spawn_blocking(move || {
        let format = frame.format.map_or(PixelFormat::I420, planar);
        let mut scaled = Fitter::new(engine.pool.clone()).fit(&frame, format, size)?;
        scaled.display_size = match scaled.rotation.swaps_axes() {
            true => Size::new(size.height, size.width),
            false => size,
        };
        scaled.lease = None;
        Ok(scaled)
    });
    let failed = |message: String| JsErrorBox::new("Reelcore.OperationError", message);
    let scaled = scaled
        .await
        .map_err(|_| failed("scaling was cancelled".into()))?
        .map_err(|error: reelcore_media::MediaError| failed(error.message))?;
    Ok(ScaledHandle(RefCell::new(Some(scaled))))
}

/// The frame, once.
#[op2]
pub fn op_reelcore_scale_take<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[cppgc] scaled: &ScaledHandle,
) -> v8::Local<'s, v8::Value> {
    let frame = scaled.0.borrow_mut().take();
    let object = frame.and_then(|frame| {
        let frame = VideoFrame::new(scope, frame);
        Handle::new(scope, frame).ok()
    });
    object.map_or_else(|| v8::null(scope).into(), |handle| handle.object().into())
}
