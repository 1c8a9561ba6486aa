//! Images as they are shown: RGBA, cropped, upright.

use std::sync::Arc;

use reelcore_media::color::{Primaries, Transfer};
use reelcore_media::convert::{PredefinedColorSpace, effective_color_space};
use reelcore_media::{Rect, VideoFrame};
use wgpu_core::id::TextureViewId;
use wgpu_types::TextureFormat;

use crate::convert::{
    Curve, FLAG_PREMULTIPLY, From, Map, Params, Planes, Target, Texels, To, shown_size,
};
use crate::device::Gpu;
use crate::error::{GpuError, place};
use crate::image::{Ahead, GpuImage, Shown};
use crate::lead::Lead;
use crate::pool::{Purpose, Texture};

/// The primaries of a colour space for display.
pub(crate) fn primaries(space: PredefinedColorSpace) -> Primaries {
    match space {
        PredefinedColorSpace::Srgb => Primaries::Bt709,
        PredefinedColorSpace::DisplayP3 => Primaries::Smpte432,
    }
}

impl GpuImage {
    /// A view for each binding of a conversion: the first plane stands in for those that there are not.
    pub(crate) fn views(&self) -> Planes {
        let first = self.planes()[0].view_id();
        std::array::from_fn(|index| {
            self.planes()
                .get(index)
                .map_or(first, |plane| plane.view_id())
        })
    }

    pub(crate) fn texels(&self) -> Texels {
        Texels::of(self.planes()[0].format())
    }
}

impl Gpu {
    /// `frame` as a texture of RGBA for display, as `importExternalTexture` shows it: the visible part, rotated and
    /// mirrored, at the frame's display size (where no texture is as large, at that of its pixels), in the colours of
    /// `target`, alpha premultiplied. The texture is of `rgba8unorm`, or of `rgba16float` for a frame of
    /// more than 8 bits or in HDR, whose values may then lie outside 0 to 1 where its colours are outside the gamut.
    /// HDR is tone mapped as `copyTo` does it.
    ///
    /// The texture is kept with the frame's image: the next call returns it again, unless it was [destroyed](Texture::destroy). An
    /// image in CPU memory is uploaded first, once. May be called on any thread.
    ///
    /// # Errors
    /// As [`Gpu::image`]; [`GpuError::Validation`] for a visible part outside the image, and a frame without a format.
    pub fn rgba(
        self: &Arc<Self>,
        frame: &VideoFrame,
        target: PredefinedColorSpace,
    ) -> Result<Arc<Texture>, GpuError> {
        let (image, shown) = self.shown(frame, target, true)?;
        let _entered = self.enter()?;
        image.conversion(&shown, || {
            Ok((self.convert_for_display(&image, &shown)?, None))
        })
    }

    /// The image of `frame`, uploaded, and how it is shown.
    fn shown(
        self: &Arc<Self>,
        frame: &VideoFrame,
        target: PredefinedColorSpace,
        premultiplied: bool,
    ) -> Result<(Arc<GpuImage>, Shown), GpuError> {
        let rect = frame.visible_rect;
        let (image, _) = self.image_unflushed(frame)?;
        if frame.format.is_none() || !rect.fits(image.size()) || rect.size().area() == 0 {
            return Err(GpuError::Validation(format!(
                "the visible part of a frame, {}, is not within its image of {}x{}",
                place(rect),
                image.size().width,
                image.size().height
            )));
        }
        // A frame may be displayed larger than any texture is: then it is at the size of its pixels.
        let limit = self.limits().max_texture_dimension_2d;
        let display = frame.display_size;
        let size = match display.width.max(display.height) <= limit {
            true => display,
            false => shown_size(rect.size(), frame.rotation),
        };
        let shown = Shown {
            rect,
            size,
            rotation: frame.rotation,
            flip: frame.flip,
            color_space: effective_color_space(frame.color_space, image.format(), image.size()),
            alpha: frame.format.is_some_and(|format| format.has_alpha()),
            target,
            premultiplied,
        };
        Ok((image, shown))
    }

    /// `frame` as a texture of RGBA for display, like [`Gpu::rgba`] but with unpremultiplied alpha, as
    /// `importExternalTexture` wants it, and for the caller alone, who destroys it when the frame is closed: views of it may be
    /// in a script's hands, so that it does not go back to the pool. What [`Gpu::prepare_external`] made is taken.
    ///
    /// The second result is a view of it, whose id the caller drops.
    ///
    /// # Errors
    /// As [`Gpu::rgba`].
    pub fn external_texture(
        self: &Arc<Self>,
        frame: &VideoFrame,
        target: PredefinedColorSpace,
    ) -> Result<(Arc<Texture>, TextureViewId), GpuError> {
        let (image, shown) = self.shown(frame, target, false)?;
        let _entered = self.enter()?;
        let (texture, ahead) = match image.take_conversion(&shown) {
            Some(prepared) => (prepared.texture, prepared.ahead),
            None => (self.convert_for_display(&image, &shown)?, None),
        };
        let view = match ahead {
            Some(ahead) => {
                ahead.lead.take(ahead.number);
                ahead.view
            }
            None => texture.another_view()?,
        };
        texture.withhold();
        Ok((texture, view.release()))
    }

    /// Makes what [`Gpu::external_texture`] will give, on a decoder's thread before a script asks for it; `lead` is the
    /// decoder's. `false` when that is not worth it any more: the last 32 frames of it that were prepared were not asked for, or the
    /// device is lost.
    pub fn prepare_external(
        self: &Arc<Self>,
        frame: &VideoFrame,
        target: PredefinedColorSpace,
        lead: &Arc<Lead>,
    ) -> bool {
        let Some(number) = lead.next() else {
            return false;
        };
        // An error comes up again when the script asks.
        let prepared = self.shown(frame, target, false).and_then(|(image, shown)| {
            let _entered = self.enter()?;
            image.conversion(&shown, || {
                let texture = self.convert_for_display(&image, &shown)?;
                // Making one takes longer than all else that the import does.
                let view = texture.another_view()?;
                let lead = lead.clone();
                Ok((texture, Some(Ahead { view, lead, number })))
            })
        });
        prepared.is_ok()
    }

    fn convert_for_display(
        self: &Arc<Self>,
        image: &GpuImage,
        shown: &Shown,
    ) -> Result<Arc<Texture>, GpuError> {
        let size = shown.size;
        let curve = Curve::of(shown.color_space.transfer.unwrap_or(Transfer::Bt709));
        let format = match image.format().bit_depth() > 8 || curve.is_hdr() {
            true => TextureFormat::Rgba16Float,
            false => TextureFormat::Rgba8Unorm,
        };
        let texture = self.texture(format, size, Purpose::Target)?;
        let from = From {
            format: image.format(),
            rect: shown.rect,
            color: shown.color_space,
            alpha: shown.alpha,
        };
        let map = Map::of_display(shown.rect.size(), shown.rotation, shown.flip, size);
        let mut params = Params::new(&from, map, To::Srgb(primaries(shown.target)));
        params.modes[2] |= if shown.premultiplied {
            FLAG_PREMULTIPLY
        } else {
            0
        };
        let target = Target {
            view: texture.view_id(),
            format,
            rect: Rect::of_size(size),
            keep: false,
        };
        self.record("a conversion for display", |encoder| {
            self.draw(encoder, image.texels(), image.views(), &params, &target)
        })?;
        Ok(texture)
    }
}
