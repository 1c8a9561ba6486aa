//! Images of deno_image: what frames are made of, and what becomes of frames.

use bytes::Bytes;
use deno_core::{GarbageCollected, cppgc, op2, v8};
use deno_error::JsErrorBox;
use deno_image::bitmap::ImageBitmap;
use deno_image::image::imageops::{self, FilterType};
use deno_image::image::{DynamicImage, GenericImageView, Rgba32FImage, RgbaImage};
use reelcore_engine::Engine;
use reelcore_media::color::Primaries;
use reelcore_media::convert::{Curve, PredefinedColorSpace, RgbConversion, gamut_matrix, to_rgb};
use reelcore_media::counters::count_copy;
use reelcore_media::layout::PlaneLayout;
use reelcore_media::{
    ColorSpace, CpuImage, MediaError, PixelFormat, Plane, Rect, Rotation, Size,
    VideoFrame as MediaFrame,
};

use crate::interfaces::VideoFrame;
use crate::webidl::{Exception, ExternalMemory};

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

/// What V8 knows of the memory of an ImageBitmap, which is deno_image's and tells it nothing. `js/canvas.js` has one live as long
/// as the bitmap.
pub struct BitmapMemory(ExternalMemory);

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for BitmapMemory {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"BitmapMemory"
    }
}

/// Tells V8 of the memory of an ImageBitmap.
#[op2]
#[cppgc]
pub fn op_gpu_hold_bitmap(
    scope: &mut v8::PinScope<'_, '_>,
    #[cppgc] bitmap: &ImageBitmap,
) -> BitmapMemory {
    let bytes = bitmap.data.borrow().as_bytes().len();
    BitmapMemory(ExternalMemory::new(scope, bytes))
}

/// Tells V8 that the memory is gone, or a canvas's.
#[op2(fast)]
pub fn op_gpu_release_bitmap(scope: &mut v8::PinScope<'_, '_>, #[cppgc] memory: &BitmapMemory) {
    memory.0.release(scope);
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

/// Composites pixels with source-over onto solid black.
fn blend_over_black(pixels: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks_mut::<4>();
    for [r, g, b, a] in pixels {
        let alpha = u16::from(*a);
        // At most 255. The nearest, as 255 is odd.
        let seen = |value: u8| ((u16::from(value) * alpha + 127) / 255) as u8;
        [*r, *g, *b, *a] = [seen(*r), seen(*g), seen(*b), 255];
    }
}

/// Pixels of Display P3 as `ImageData` has them, in sRGB of eight bits.
fn srgb_of_bytes(data: Vec<u8>, size: Size) -> Result<Vec<u8>, MediaError> {
    let stride = size.width.saturating_mul(4);
    let plane = Plane {
        data: Bytes::from(data),
        stride: stride as usize,
    };
    let image = CpuImage::new(PixelFormat::Rgba, size, vec![plane])?;
    let mut out = vec![0; stride as usize * size.height as usize];
    let conversion = RgbConversion {
        rect: Rect::of_size(size),
        color_space: ColorSpace::DISPLAY_P3,
        keep_alpha: true,
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    to_rgb(
        &image,
        &conversion,
        PlaneLayout { offset: 0, stride },
        &mut out,
    )?;
    Ok(out)
}

/// The same of floats of 32 bits, in the order of the machine. Only the result is held within 0 to 1: what is outside of Display P3
/// may say more than its border does.
fn srgb_of_floats(data: &[u8]) -> Vec<u8> {
    let gamut = gamut_matrix(Primaries::Smpte432, Primaries::Bt709);
    // The curve goes on below 0 as above it: https://www.w3.org/TR/css-color-4/#predefined-display-p3
    let linear = |value: f32| {
        let value = f64::from(value);
        Curve::Sdr.linearize(value.abs()).copysign(value)
    };
    // These casts saturate, and take what is no number for 0.
    let code = |value: f64| (value * 255.0).round() as u8;
    let (numbers, _) = data.as_chunks::<4>();
    let (pixels, _) = numbers.as_chunks::<4>();
    let mut out = Vec::with_capacity(numbers.len());
    for pixel in pixels {
        let [r, g, b, a] = pixel.map(f32::from_ne_bytes);
        let light = [r, g, b].map(linear);
        let seen = gamut.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2]);
        out.extend(seen.map(|light| code(Curve::Sdr.encode(light))));
        out.push(code(f64::from(a)));
    }
    count_copy(out.len());
    out
}

/// The pixels of ImageData in Display P3, in sRGB of eight bits, made on a blocking thread. They are taken at the call.
#[op2]
#[buffer]
pub async fn op_gpu_srgb_pixels(
    #[anybuffer(copy)] data: Vec<u8>,
    floats: bool,
    width: u32,
    height: u32,
) -> Result<Vec<u8>, JsErrorBox> {
    let convert = move || match floats {
        true => Ok(srgb_of_floats(&data)),
        false => srgb_of_bytes(data, Size::new(width, height)),
    };
    deno_core::unsync::spawn_blocking(convert)
        .await
        .map_err(|_| failed("the conversion was cancelled".into()))?
        .map_err(|error| failed(error.message))
}

fn failed(message: String) -> JsErrorBox {
    JsErrorBox::new("Reelcore.OperationError", message)
}

/// The pixels of the ImageData that shows `frame`, on black if `over_black`, made on a blocking thread.
#[op2]
#[buffer]
pub async fn op_gpu_frame_pixels(
    #[cppgc] frame: &VideoFrame,
    over_black: bool,
) -> Result<Vec<u8>, JsErrorBox> {
    let closed = || JsErrorBox::new("Reelcore.InvalidStateError", "the VideoFrame is closed");
    let frame = frame.open().ok_or_else(closed)?.frame;
    let limit = Engine::global().options.limits.max_frame_pixels;
    if frame.display_size.area() > limit {
        let Size { width, height } = frame.display_size;
        return Err(failed(format!(
            "{width}x{height} are more than {limit} pixels"
        )));
    }
    let show = move || {
        let mut pixels = shown(&frame)?;
        if over_black {
            blend_over_black(&mut pixels);
        }
        Ok::<_, MediaError>(pixels)
    };
    deno_core::unsync::spawn_blocking(show)
        .await
        .map_err(|_| failed("the conversion was cancelled".into()))?
        .map_err(|error| failed(error.message))
}

/// As many pixels as a frame may have: no bitmap is made larger either.
#[op2(fast)]
pub fn op_gpu_max_frame_pixels() -> f64 {
    Engine::global().options.limits.max_frame_pixels as f64
}
