//! Conversion of pixels and samples, into the caller's memory.
//!
//! - [`copy_planes`] copies planes as they are; [`to_rgb`] converts any image to RGBA, RGBX, BGRA
//!   or BGRX in sRGB or Display P3. Both serve `VideoFrame.copyTo()`.
//! - [`Fitter`] brings frames to the pixel format and the size that an encoder takes.
//! - [`copy_audio`] copies samples in any of the eight formats; it serves `AudioData.copyTo()`.
//!
//! What colours mean is in `docs/decisions/0007-colour-conversion.md`. Nothing here panics on any
//! image, rectangle or layout, and nothing is written outside the rows that were asked for.

mod audio;
mod color;
mod fit;
mod from_rgb;
mod managed;
mod plane;
mod planes;
mod samples;
mod siting;
mod swizzle;
mod target;
mod transfer;
mod yuv;

pub use audio::{AudioCopyError, audio_copy_elements, copy_audio};
pub use color::{Matrix3, YuvMatrix, effective_color_space, gamut_matrix};
pub use fit::{Fitter, video_colors};
pub use planes::copy_planes;
pub use siting::ChromaSiting;
pub use transfer::{Curve, HLG_GAMMA_LESS_ONE, PEAK};

use crate::color::{ColorSpace, Matrix, Primaries, Transfer};
use crate::counters::count_copy;
use crate::error::MediaError;
use crate::format::{PixelFormat, PixelLayout};
use crate::frame::CpuImage;
use crate::geometry::Rect;
use crate::layout::PlaneLayout;

/// The colours that a conversion to RGB can have:
/// <https://html.spec.whatwg.org/multipage/canvas.html#predefinedcolorspace>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PredefinedColorSpace {
    /// `srgb`.
    #[default]
    Srgb,
    /// `display-p3`: the same curve with wider primaries.
    DisplayP3,
}

impl PredefinedColorSpace {
    /// The colour space of the converted frame.
    pub const fn color_space(self) -> ColorSpace {
        match self {
            Self::Srgb => ColorSpace::SRGB,
            Self::DisplayP3 => ColorSpace::DISPLAY_P3,
        }
    }

    /// The specification's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Srgb => "srgb",
            Self::DisplayP3 => "display-p3",
        }
    }

    /// The colour space of that name, case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "srgb" => Some(Self::Srgb),
            "display-p3" => Some(Self::DisplayP3),
            _ => None,
        }
    }
}

/// What to convert to RGB, and to which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RgbConversion {
    /// The part of the image, in pixels. It need not start on whole chroma samples.
    pub rect: Rect,
    /// The image's colours, as far as they are known; see [`effective_color_space`].
    pub color_space: ColorSpace,
    /// Carry the image's transparency over, where both formats have it. Otherwise alpha is 255.
    pub keep_alpha: bool,
    /// RGBA, RGBX, BGRA or BGRX. The fourth byte of RGBX and BGRX is 255.
    pub format: PixelFormat,
    /// The colours to convert to.
    pub target: PredefinedColorSpace,
}

/// Converts a rectangle of `image` to RGB, into `destination` at `layout`'s offset and stride (in
/// bytes): the pixels of Convert to RGB frame.
/// <https://w3c.github.io/webcodecs/#videoframe-convert-to-rgb-frame>
///
/// Each result is within one code value of the exact one. Chroma is taken from the nearest sample.
/// Alpha is not premultiplied, before and after. Bytes of the destination between the rows are
/// left as they are.
///
/// # Errors
/// [`Unsupported`](crate::ErrorKind::Unsupported) when the format is not of the four;
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the rectangle is not within the
/// image, or the layout not within the destination. Nothing is written then.
pub fn to_rgb(
    image: &CpuImage,
    conversion: &RgbConversion,
    layout: PlaneLayout,
    destination: &mut [u8],
) -> Result<(), MediaError> {
    let RgbConversion { rect, format, .. } = *conversion;
    if !format.is_rgb() {
        return Err(MediaError::unsupported(format!(
            "pixels can be converted to RGBA, RGBX, BGRA or BGRX, not to {}",
            format.as_str()
        )));
    }
    let (source, size) = (image.format(), image.size());
    if !rect.fits(size) {
        return Err(MediaError::argument(format!(
            "{}x{} pixels at {},{} are not within an image of {}x{}",
            rect.width, rect.height, rect.x, rect.y, size.width, size.height
        )));
    }
    if rect.size().area() == 0 {
        return Ok(());
    }
    let bgr = format.layout() == PixelLayout::Bgra;
    let mut rows = target::Rows::new(destination, layout, rect.size(), bgr)?;

    let color = effective_color_space(conversion.color_space, source, size);
    let primaries = color.primaries.unwrap_or(Primaries::Bt709);
    let transfer = color.transfer.unwrap_or(Transfer::Bt709);
    let matrix = color.matrix.unwrap_or(Matrix::Bt709);
    let full_range = color.full_range.unwrap_or(false);
    let wanted = conversion.target.color_space().primaries;
    let managed = managed::Managed::new(primaries, transfer, wanted.unwrap_or(primaries));

    let alpha = conversion.keep_alpha && source.has_alpha() && format.has_alpha();
    match (samples::YuvPlanes::new(image), managed) {
        (Some(planes), None) => {
            yuv::convert(&planes, rect, matrix, full_range, alpha, &mut rows);
        }
        (Some(planes), Some(managed)) => {
            managed.convert_yuv(&planes, rect, matrix, full_range, alpha, &mut rows);
        }
        (None, None) => swizzle::convert(image, rect, alpha, &mut rows),
        (None, Some(managed)) => managed.convert_rgb(image, rect, alpha, &mut rows),
    }
    count_copy(rect.width as usize * rect.height as usize * 4);
    Ok(())
}
