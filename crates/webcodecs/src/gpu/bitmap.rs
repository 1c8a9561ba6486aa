//! Images of deno_image: what frames are made of, and what becomes of frames.

use bytes::Bytes;
use deno_core::{cppgc, op2, v8};
use deno_error::JsErrorBox;
use deno_image::bitmap::ImageBitmap;
use deno_image::image::imageops::{self, FilterType};
use deno_image::image::{DynamicImage, GenericImageView, Rgba32FImage, RgbaImage};
use reelcore_engine::Engine;
use reelcore_media::convert::{PredefinedColorSpace, RgbConversion, to_rgb};
use reelcore_media::counters::count_copy;
use reelcore_media::layout::PlaneLayout;
use reelcore_media::{
    ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Rotation, Size, VideoFrame as MediaFrame,
};

use crate::interfaces::VideoFrame;
use crate::webidl::Exception;

/// Pixels of our own in CPU memory: RGBA of eight bits in sRGB, not multiplied by alpha, which those of an ImageBitmap never
/// are (`js/canvas.js`).
pub(super) struct Bitmap {
    pub(super) data: Vec<u8>,
    pub(super) size: Size,
    /// Alpha is 255 everywhere, and not part of the image.
    pub(super) opaque: bool,
}

impl Bitmap {
    /// Transparent black, or black where alpha is not part of the image.
    pub(super) fn blank(size: Size, opaque: bool) -> Self {
        let pixels = usize::try_from(size.area()).unwrap_or(usize::MAX);
        let data = match opaque {
            true => [0, 0, 0, 255].repeat(pixels),
            false => vec![0; pixels.saturating_mul(4)],
        };
        Self { data, size, opaque }
    }

    /// A copy of the pixels of `image`.
    pub(super) fn of(image: &DynamicImage) -> Self {
        let (width, height) = image.dimensions();
        // Most images are RGBA, and copied as they are.
        let data = match image {
            DynamicImage::ImageRgba8(pixels) => pixels.as_raw().clone(),
            other => other.to_rgba8().into_raw(),
        };
        count_copy(data.len());
        Self {
            data,
            size: Size::new(width, height),
            opaque: !image.color().has_alpha(),
        }
    }

    /// The pixels of the ImageBitmap that `value` is, if it is one; `Some(None)` of one that is closed or was transferred.
    pub(super) fn of_value(
        scope: &mut v8::PinScope<'_, '_>,
        value: v8::Local<'_, v8::Value>,
    ) -> Option<Option<Self>> {
        let bitmap = cppgc::try_unwrap_cppgc_object::<ImageBitmap>(scope, value)?;
        let open = bitmap.detached.get().is_none();
        Some(open.then(|| Self::of(&bitmap.data.borrow())))
    }

    /// The pixels of an ImageBitmap that nobody else has: they are taken out of it.
    pub(super) fn take(bitmap: &ImageBitmap) -> Self {
        let image = std::mem::take(&mut *bitmap.data.borrow_mut());
        let (width, height) = image.dimensions();
        let opaque = !image.color().has_alpha();
        Self {
            data: image.into_rgba8().into_raw(),
            size: Size::new(width, height),
            opaque,
        }
    }

    /// A frame of these pixels, which are not copied.
    pub(super) fn into_frame(
        self,
        timestamp: i64,
        keep_alpha: bool,
    ) -> Result<MediaFrame, MediaError> {
        let format = match keep_alpha && !self.opaque {
            true => PixelFormat::Rgba,
            false => PixelFormat::Rgbx,
        };
        let plane = Plane {
            data: Bytes::from(self.data),
            stride: self.size.width as usize * 4,
        };
        let image = CpuImage::new(format, self.size, vec![plane])?;
        Ok(MediaFrame::from_cpu(
            image,
            timestamp,
            None,
            ColorSpace::SRGB,
        ))
    }
}

/// Checks that the ImageBitmap `value` is not closed.
///
/// # Errors
/// An InvalidStateError where it is; a TypeError where `value` is no ImageBitmap.
pub(crate) fn require_open(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
) -> Result<(), Exception> {
    let bitmap = cppgc::try_unwrap_cppgc_object::<ImageBitmap>(scope, value)
        .ok_or_else(|| Exception::type_error("is not of type 'ImageBitmap'."))?;
    match bitmap.detached.get() {
        None => Ok(()),
        Some(()) => Err(Exception::invalid_state(
            "The ImageBitmap to construct from is closed.",
        )),
    }
}

/// A frame of the ImageBitmap `value`, with alpha if `keep_alpha` and it has any.
///
/// # Errors
/// As [`require_open`].
pub(crate) fn frame(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    timestamp: i64,
    keep_alpha: bool,
) -> Result<MediaFrame, Exception> {
    require_open(scope, value)?;
    Bitmap::of_value(scope, value)
        .flatten()
        .ok_or_else(|| Exception::type_error("is not of type 'ImageBitmap'."))?
        .into_frame(timestamp, keep_alpha)
        .map_err(|error| Exception::operation(error.message))
}

/// An ImageBitmap with the same pixels.
#[op2]
#[cppgc]
pub fn op_gpu_copy_bitmap(#[cppgc] bitmap: &ImageBitmap) -> ImageBitmap {
    let data = bitmap.data.borrow().clone();
    count_copy(data.as_bytes().len());
    ImageBitmap {
        detached: Default::default(),
        data: data.into(),
    }
}

/// The frame as it is shown, of its display size: RGBA of eight bits in sRGB.
pub(super) fn shown(frame: &MediaFrame) -> Result<Vec<u8>, MediaError> {
    let format = frame.format.ok_or_else(|| {
        MediaError::unsupported("a frame whose pixel format has no name cannot be converted")
    })?;
    let moved;
    let image = match frame.resource.cpu() {
        Some(image) => image,
        None => {
            moved = frame.resource.read_back()?;
            &*moved
        }
    };
    let rect = frame.visible_rect;
    let stride = rect.width.saturating_mul(4);
    let mut data = vec![0; stride as usize * rect.height as usize];
    let conversion = RgbConversion {
        rect,
        color_space: frame.color_space,
        keep_alpha: format.has_alpha(),
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    to_rgb(
        image,
        &conversion,
        PlaneLayout { offset: 0, stride },
        &mut data,
    )?;
    let pixels = RgbaImage::from_raw(rect.width, rect.height, data)
        .ok_or_else(|| MediaError::argument("the visible part has no pixels"))?;
    let mut pixels = match frame.rotation {
        Rotation::R0 => pixels,
        Rotation::R90 => imageops::rotate90(&pixels),
        Rotation::R180 => imageops::rotate180(&pixels),
        Rotation::R270 => imageops::rotate270(&pixels),
    };
    if frame.flip {
        imageops::flip_horizontal_in_place(&mut pixels);
    }
    let size = frame.display_size;
    if pixels.dimensions() != (size.width, size.height) {
        pixels = scaled(&pixels, format.has_alpha(), size);
    }
    Ok(pixels.into_raw())
}

/// Pixels of another size. Colours count as much as they are seen, so that what is transparent does not show at the edges of
/// what is not.
fn scaled(pixels: &RgbaImage, has_alpha: bool, Size { width, height }: Size) -> RgbaImage {
    let filter = FilterType::CatmullRom;
    if !has_alpha {
        return imageops::resize(pixels, width, height, filter);
    }
    // As floats, so that dividing by a small alpha gives the colour back.
    let mut seen = Rgba32FImage::new(pixels.width(), pixels.height());
    for (to, from) in seen.pixels_mut().zip(pixels.pixels()) {
        let [r, g, b, a] = from.0.map(|code| f32::from(code) / 255.0);
        to.0 = [r * a, g * a, b * a, a];
    }
    let seen = imageops::resize(&seen, width, height, filter);
    let mut out = RgbaImage::new(width, height);
    for (to, from) in out.pixels_mut().zip(seen.pixels()) {
        let [r, g, b, a] = from.0;
        let color = |value: f32| if a > 0.0 { value / a } else { 0.0 };
        // These casts saturate.
        to.0 = [color(r), color(g), color(b), a].map(|value| (value * 255.0).round() as u8);
    }
    out
}

/// The pixels of the ImageData that shows `frame`, made on a blocking thread.
#[op2]
#[buffer]
pub async fn op_gpu_frame_pixels(#[cppgc] frame: &VideoFrame) -> Result<Vec<u8>, JsErrorBox> {
    let closed = || JsErrorBox::new("Reelcore.InvalidStateError", "the VideoFrame is closed");
    let frame = frame.open().ok_or_else(closed)?.frame;
    let failed = |message: String| JsErrorBox::new("Reelcore.OperationError", message);
    let limit = Engine::global().options.limits.max_frame_pixels;
    if frame.display_size.area() > limit {
        let Size { width, height } = frame.display_size;
        return Err(failed(format!(
            "{width}x{height} are more than {limit} pixels"
        )));
    }
    deno_core::unsync::spawn_blocking(move || shown(&frame))
        .await
        .map_err(|_| failed("the conversion was cancelled".into()))?
        .map_err(|error| failed(error.message))
}

/// As many pixels as a frame may have: no bitmap is made larger either.
#[op2(fast)]
pub fn op_gpu_max_frame_pixels() -> f64 {
    Engine::global().options.limits.max_frame_pixels as f64
}
