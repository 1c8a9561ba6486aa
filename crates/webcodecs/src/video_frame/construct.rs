//! The constructors of VideoFrame.

use std::ops::Range;

use bytes::Bytes;
use deno_core::v8;
use reelcore_engine::Engine;
use reelcore_media::counters::count_copy;
use reelcore_media::format::PixelFormat;
use reelcore_media::layout::{
    CombinedBufferLayout, ComputedPlaneLayout, PlaneLayout as MediaLayout,
};
use reelcore_media::{ColorSpace, CpuImage, Plane, Rect, Size, VideoFrame as MediaFrame};

use super::VideoFrame;
use super::geometry::{self, FrameGeometry, FrameGeometryInit, RectInit};
use crate::generated::{
    AlphaOption, DOMRectInit, PlaneLayout, VideoColorSpaceInit, VideoFrameBufferInit,
    VideoFrameInit,
};
use crate::webidl::{BufferSource, Exception, Transfer};

pub(super) fn rect_init(rect: &DOMRectInit) -> RectInit {
    RectInit {
        x: rect.x,
        y: rect.y,
        width: rect.width,
        height: rect.height,
    }
}

pub(super) fn layouts(layout: &[PlaneLayout]) -> Vec<MediaLayout> {
    layout
        .iter()
        .map(|plane| MediaLayout {
            offset: plane.offset,
            stride: plane.stride,
        })
        .collect()
}

/// Pick Color Space: <https://w3c.github.io/webcodecs/#videoframe-pick-color-space>
fn pick_color_space(given: Option<&VideoColorSpaceInit>, format: PixelFormat) -> ColorSpace {
    match given {
        // 1. If overrideColorSpace is provided, return a VideoColorSpace constructed with it.
        Some(init) => init.into(),
        // 2. Otherwise, if [[format]] is an RGB format, return the sRGB Color Space.
        None if format.is_rgb() => ColorSpace::SRGB,
        // 3. Otherwise, return the REC709 Color Space.
        None => ColorSpace::REC709,
    }
}

/// `new VideoFrame(image, init)` over another VideoFrame:
/// <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe>
pub(super) fn from_frame(
    image: &VideoFrame,
    init: &VideoFrameInit,
) -> Result<VideoFrame, Exception> {
    // 1. Check the usability of the image argument. If this throws or returns bad, throw an
    //    InvalidStateError.
    let Some(mut open) = image.open() else {
        return Err(Exception::invalid_state(
            "The VideoFrame to construct from is closed.",
        ));
    };
    let frame = &mut open.frame;
    // Initialize Frame From Other Frame:
    // https://w3c.github.io/webcodecs/#videoframe-initialize-frame-from-other-frame
    // 1., 2. format is the other frame's, or its equivalent opaque format.
    if init.alpha == AlphaOption::Discard {
        frame.format = frame.format.map(PixelFormat::without_alpha);
    }
    // 3., 4. Validate VideoFrameInit, or throw a TypeError. 8. Initialize Visible Rect, Orientation,
    //    and Display Size.
    let geometry_init = FrameGeometryInit {
        visible_rect: init.visible_rect.as_ref().map(rect_init),
        display_width: init.display_width,
        display_height: init.display_height,
        rotation: init.rotation,
        flip: init.flip,
    };
    let base = FrameGeometry {
        visible_rect: frame.visible_rect,
        display_size: frame.display_size,
        rotation: frame.rotation,
        flip: frame.flip,
    };
    let geometry = geometry::over(base, frame.coded_size, frame.format, &geometry_init)
        .map_err(Exception::type_error)?;
    apply(frame, geometry);
    // 5. to 7. The resource, the coded size and the colour space are the other frame's.
    // 9. duration and 10. timestamp: init's, or else the other frame's.
    frame.duration = init.duration.or(frame.duration);
    frame.timestamp = init.timestamp.unwrap_or(frame.timestamp);
    Ok(VideoFrame::over(open))
}

/// Step 4.1 over any image that is no VideoFrame: if init.timestamp does not exist, throw a TypeError.
#[cfg(feature = "gpu")]
fn require_timestamp(init: &VideoFrameInit, what: &str) -> Result<i64, Exception> {
    init.timestamp.ok_or_else(|| {
        Exception::type_error(format!("timestamp is required for a VideoFrame of {what}"))
    })
}

#[cfg(feature = "gpu")]
fn keeps_alpha(init: &VideoFrameInit) -> bool {
    init.alpha != AlphaOption::Discard
}

/// `new VideoFrame(texture, init)` over a GPUTexture, as over any image that is no VideoFrame:
/// <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe>
#[cfg(feature = "gpu")]
pub(super) fn from_texture<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    texture: v8::Local<'s, v8::Value>,
    init: &VideoFrameInit,
) -> Result<MediaFrame, Exception> {
    let timestamp = require_timestamp(init, "a GPUTexture")?;
    let keep_alpha = keeps_alpha(init);
    let frame = crate::gpu::texture::frame_from_texture(scope, texture, timestamp, keep_alpha)?;
    with_resource(frame, init)
}

/// `new VideoFrame(image, init)` over an ImageBitmap: <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe>
#[cfg(feature = "gpu")]
pub(super) fn from_bitmap<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bitmap: v8::Local<'s, v8::Value>,
    init: &VideoFrameInit,
) -> Result<MediaFrame, Exception> {
    // 1. Check the usability of the image argument. If this throws or returns bad, throw an InvalidStateError.
    crate::gpu::bitmap::require_open(scope, bitmap)?;
    // 4.1. If init.timestamp does not exist, throw a TypeError.
    let timestamp = require_timestamp(init, "an ImageBitmap")?;
    // 4.2., 4.3. The resource is a copy of the bitmap data, of its size.
    let frame = crate::gpu::bitmap::frame(scope, bitmap, timestamp, keeps_alpha(init))?;
    with_resource(frame, init)
}

/// `new VideoFrame(image, init)` over an OffscreenCanvas: <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe>
#[cfg(feature = "gpu")]
pub(super) fn from_canvas<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    canvas: v8::Local<'s, v8::Value>,
    init: &VideoFrameInit,
) -> Result<MediaFrame, Exception> {
    // 1. Check the usability of the image argument. If this throws or returns bad, throw an InvalidStateError. It throws
    //    for canvases of no width or height: https://html.spec.whatwg.org/#check-the-usability-of-the-image-argument
    let size = crate::gpu::canvas::size(scope, canvas)
        .filter(|size| size.area() > 0)
        .ok_or_else(|| {
            Exception::invalid_state("The OffscreenCanvas to construct from has no pixels.")
        })?;
    // 4.1. If init.timestamp does not exist, throw a TypeError.
    let timestamp = require_timestamp(init, "an OffscreenCanvas")?;
    // 4.2., 4.3. The resource is a copy of the canvas's bitmap, of its size.
    let keep_alpha = keeps_alpha(init);
    let frame = crate::gpu::canvas::frame(scope, canvas, size, timestamp, keep_alpha)?;
    with_resource(frame, init)
}

/// Initialize Frame With Resource: <https://w3c.github.io/webcodecs/#videoframe-initialize-frame-with-resource-and-size>.
/// `frame` shows all of the resource.
#[cfg(feature = "gpu")]
fn with_resource(mut frame: MediaFrame, init: &VideoFrameInit) -> Result<MediaFrame, Exception> {
    let geometry_init = FrameGeometryInit {
        visible_rect: init.visible_rect.as_ref().map(rect_init),
        display_width: init.display_width,
        display_height: init.display_height,
        rotation: init.rotation,
        flip: init.flip,
    };
    let base = FrameGeometry {
        visible_rect: frame.visible_rect,
        display_size: frame.display_size,
        rotation: frame.rotation,
        flip: frame.flip,
    };
    let geometry = geometry::over(base, frame.coded_size, frame.format, &geometry_init)
        .map_err(Exception::type_error)?;
    apply(&mut frame, geometry);
    frame.duration = init.duration;
    Ok(frame)
}

fn apply(frame: &mut MediaFrame, geometry: FrameGeometry) {
    frame.visible_rect = geometry.visible_rect;
    frame.display_size = geometry.display_size;
    frame.rotation = geometry.rotation;
    frame.flip = geometry.flip;
}

/// `new VideoFrame(data, init)`:
/// <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe-data-init>
pub(super) fn from_buffer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    data: &BufferSource<'s>,
    init: &VideoFrameBufferInit<'s>,
) -> Result<MediaFrame, Exception> {
    let format = PixelFormat::from_name(init.format.as_str()).ok_or_else(|| {
        Exception::type_error(format!("unknown pixel format {}", init.format.as_str()))
    })?;
    let coded = Size::new(init.coded_width, init.coded_height);
    // 1. If init is not a valid VideoFrameBufferInit, throw a TypeError.
    if coded.width == 0 || coded.height == 0 {
        return Err(Exception::type_error(
            "codedWidth and codedHeight must not be 0",
        ));
    }
    let display = geometry::check_display_size(init.display_width, init.display_height)
        .map_err(Exception::type_error)?;
    // 2. to 6. Parse Visible Rect, over the coded size.
    let given = init.visible_rect.as_ref().map(rect_init);
    let visible = geometry::parse_visible_rect(Rect::of_size(coded), given, coded, Some(format))
        .map_err(Exception::type_error)?;
    // 7. to 10. Compute Layout and Allocation Size. Of the coded size, as browsers do: `data` holds the whole
    //    picture. https://github.com/w3c/webcodecs/issues/702
    let layout = init.layout.as_ref().map(|layout| layouts(layout));
    let combined = CombinedBufferLayout::compute(Rect::of_size(coded), format, layout.as_deref())
        .map_err(|error| Exception::type_error(error.to_string()))?;
    // 11. If data.byteLength is less than allocationSize, throw a TypeError.
    let needed = combined.allocation_size as usize;
    let found = data.byte_length();
    if found < needed {
        return Err(Exception::type_error(format!(
            "{} of {}x{} needs {needed} bytes, data has {found}",
            format.as_str(),
            coded.width,
            coded.height
        )));
    }
    // 12. to 16. The checks of the transfer list; then reference data if it is in the list, else copy it; then
    //    detach every buffer of the list. Either way only the visible rectangle becomes the resource, as the
    //    specification permits: the frame's coded size is that of the rectangle, which then starts at (0, 0).
    let layout: Vec<_> = combined
        .computed_layouts
        .iter()
        .map(|plane| plane.plane_layout())
        .collect();
    let source = CombinedBufferLayout::compute(visible, format, Some(&layout))
        .map_err(|error| Exception::type_error(error.to_string()))?;
    let planes = Transfer::new(&init.transfer)?
        .finish_with(
            scope,
            data,
            |bytes| take_planes(&bytes, &source),
            |bytes| copy_planes(bytes, &source),
        )?
        .ok_or_else(|| Exception::type_error("data is shorter than its layout"))?;
    let image = CpuImage::new(format, visible.size(), planes)
        .map_err(|error| Exception::type_error(error.message))?;
    // 17. to 21. The slots.
    let mut frame = MediaFrame::from_cpu(
        image,
        init.timestamp,
        init.duration,
        pick_color_space(init.color_space.as_ref(), format),
    );
    let visible = Rect::of_size(visible.size());
    apply(
        &mut frame,
        geometry::of_buffer(visible, display, init.rotation, init.flip),
    );
    Ok(frame)
}

/// Where a plane's rectangle lies in a buffer: its first byte, and its bytes up to the last of its last row.
fn extent(plane: &ComputedPlaneLayout) -> Option<Range<usize>> {
    let stride = plane.destination_stride as usize;
    let above = (plane.source_top as usize).checked_mul(stride)?;
    let left = usize::try_from(plane.source_left_bytes).ok()?;
    let start = (plane.destination_offset as usize)
        .checked_add(above)?
        .checked_add(left)?;
    let rows = (plane.source_height as usize)
        .saturating_sub(1)
        .checked_mul(stride)?;
    Some(
        start
            ..start
                .checked_add(rows)?
                .checked_add(plane.source_width_bytes as usize)?,
    )
}

/// The planes as parts of `bytes`. `layout` says where they lie there.
fn take_planes(bytes: &Bytes, layout: &CombinedBufferLayout) -> Option<Vec<Plane>> {
    let plane = |plane: &ComputedPlaneLayout| {
        let extent = extent(plane)?;
        (extent.end <= bytes.len()).then(|| Plane {
            data: bytes.slice(extent),
            stride: plane.destination_stride as usize,
        })
    };
    layout.computed_layouts.iter().map(plane).collect()
}

/// The planes as packed copies in one buffer of the pool: the script keeps its own buffer, and may write to it.
fn copy_planes(bytes: &[u8], layout: &CombinedBufferLayout) -> Option<Vec<Plane>> {
    let row_bytes = |plane: &ComputedPlaneLayout| plane.source_width_bytes as usize;
    let size =
        |plane: &ComputedPlaneLayout| row_bytes(plane).checked_mul(plane.source_height as usize);
    let total = layout
        .computed_layouts
        .iter()
        .try_fold(0usize, |total, plane| total.checked_add(size(plane)?))?;
    let mut buffer = Engine::global().pool.take(total);
    let mut rest: &mut [u8] = &mut buffer;
    let mut ends = Vec::with_capacity(layout.computed_layouts.len());
    let mut end = 0;
    for plane in &layout.computed_layouts {
        let from = bytes.get(extent(plane)?)?;
        let (to, after) = std::mem::take(&mut rest).split_at_mut_checked(size(plane)?)?;
        let stride = (plane.destination_stride as usize).max(1);
        for (row, target) in from
            .chunks(stride)
            .zip(to.chunks_exact_mut(row_bytes(plane).max(1)))
        {
            target.copy_from_slice(row.get(..target.len())?);
        }
        rest = after;
        end += size(plane)?;
        ends.push((end, row_bytes(plane)));
    }
    count_copy(total);
    let shared = buffer.freeze();
    let mut start = 0;
    Some(
        ends.into_iter()
            .map(|(end, stride)| Plane {
                data: shared.slice(std::mem::replace(&mut start, end)..end),
                stride,
            })
            .collect(),
    )
}
