//! Between frames and textures of somebody else: `copyExternalImageToTexture`, and frames from textures.

use std::sync::Arc;

use reelcore_media::color::Transfer;
use reelcore_media::convert::{PredefinedColorSpace, effective_color_space};
use reelcore_media::counters::count_upload;
use reelcore_media::{ColorSpace, PixelFormat, Rect, Rotation, Size, VideoFrame};
use wgpu_core::id::{CommandEncoderId, TextureId, TextureViewId};
use wgpu_core::resource::TextureViewDescriptor;
use wgpu_types as wgt;
use wgt::TextureFormat;

use crate::convert::{
    FLAG_DECODE_SRGB, FLAG_OPAQUE, FLAG_PREMULTIPLY, FLAG_UNPREMULTIPLY, From, Map, Params, Target,
    Texels, To, shown_size,
};
use crate::device::Gpu;
use crate::display::primaries;
use crate::error::{GpuError, place};
use crate::handles::View;
use crate::image::{GpuImage, GpuResource};
use crate::pool::{Purpose, Texture, extent};

/// Where [`Gpu::copy_to_texture`] takes pixels from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A frame, as it is shown: its visible part, rotated and mirrored, at its display size.
    Frame(&'a VideoFrame),
    /// Pixels in CPU memory.
    Pixels(Pixels<'a>),
    /// A texture, as it is now.
    Texture(TextureSource),
}

/// RGBA or BGRA pixels in CPU memory: of ImageData, ImageBitmap or a canvas.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// Rows from top to bottom. The last may end at its last pixel.
    pub data: &'a [u8],
    /// Bytes from the start of a row to the start of the next.
    pub stride: usize,
    /// Columns and rows.
    pub size: Size,
    /// What a pixel is: `rgba8unorm`, `bgra8unorm`, or `rgba16float`, whose values may lie outside 0 to 1.
    pub format: TextureFormat,
    /// Colours have been multiplied by alpha.
    pub premultiplied: bool,
    /// The colours.
    pub color_space: PredefinedColorSpace,
}

/// A texture of the device whose pixels are an image: that of a canvas.
#[derive(Clone, Copy, Debug)]
pub struct TextureSource {
    /// The texture. It may be the destination's: what is read is what was in it before.
    pub texture: TextureId,
    /// What of it is read.
    pub description: TextureDescription,
    /// Its colours, with primaries and curve.
    pub color_space: ColorSpace,
    /// Whether the colours have been multiplied by alpha; those of a format with `-srgb` in linear light, which is what shaders
    /// write to it.
    pub premultiplied: bool,
    /// Whether its alpha counts as 1, whatever it is.
    pub opaque: bool,
}

/// Where [`Gpu::copy_to_texture`] puts pixels.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// A 2D texture of the device with one sample, and the usages `COPY_DST` and `RENDER_ATTACHMENT`.
    pub texture: TextureId,
    /// Its format: one that [`copy_destination_format`] allows.
    pub format: TextureFormat,
    /// The level that is written.
    pub mip_level: u32,
    /// Column, row and layer of the first texel.
    pub origin: [u32; 3],
    /// Columns and rows that are written. Nothing is scaled.
    pub size: Size,
    /// Column and row of the source's first pixel, counted from the top also where `flip_y` is set.
    pub source_origin: [u32; 2],
    /// Whether the last row that is read is written first.
    pub flip_y: bool,
    /// The colours to convert to.
    pub color_space: PredefinedColorSpace,
    /// Whether to multiply colours by alpha.
    pub premultiplied_alpha: bool,
}

/// Whether `copyExternalImageToTexture` allows the format of a destination.
/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-copyexternalimagetotexture>
pub const fn copy_destination_format(format: TextureFormat) -> bool {
    matches!(
        format,
        TextureFormat::R8Unorm
            | TextureFormat::R16Float
            | TextureFormat::R32Float
            | TextureFormat::Rg8Unorm
            | TextureFormat::Rg16Float
            | TextureFormat::Rg32Float
            | TextureFormat::Rgba8Unorm
            | TextureFormat::Rgba8UnormSrgb
            | TextureFormat::Bgra8Unorm
            | TextureFormat::Bgra8UnormSrgb
            | TextureFormat::Rgb10a2Unorm
            | TextureFormat::Rgba16Float
            | TextureFormat::Rgba32Float
    )
}

/// A texture that [`Gpu::frame_from_texture`] and [`Source::Texture`] read.
#[derive(Clone, Copy, Debug)]
pub struct TextureDescription {
    /// Its format.
    pub format: TextureFormat,
    /// Columns and rows of the level.
    pub size: Size,
    /// Its usages: `COPY_SRC` or `TEXTURE_BINDING` is needed.
    pub usage: wgt::TextureUsages,
    /// The level that is read.
    pub mip_level: u32,
    /// The layer that is read.
    pub layer: u32,
}

/// What a frame from a texture says of itself.
#[derive(Clone, Copy, Debug)]
pub struct FrameInit {
    /// Presentation time in microseconds.
    pub timestamp: i64,
    /// Presentation duration in microseconds.
    pub duration: Option<u64>,
    /// The texture's colours, of which primaries and curve count: sRGB unless the texture holds something else.
    pub color_space: ColorSpace,
    /// Whether the frame keeps the texture's alpha. Otherwise it is opaque.
    pub keep_alpha: bool,
    /// Whether the texture's colours have been multiplied by its alpha, which is undone for a frame that keeps alpha.
    pub premultiplied: bool,
    /// The part that is shown; all unless set.
    pub visible_rect: Option<Rect>,
    /// Clockwise rotation for display.
    pub rotation: Rotation,
    /// Whether the frame is mirrored for display.
    pub flip: bool,
    /// Size to show it at; that of the visible part, rotated, unless set.
    pub display_size: Option<Size>,
}

impl FrameInit {
    /// A frame with alpha in sRGB that shows all of its texture upright.
    pub const fn new(timestamp: i64) -> Self {
        Self {
            timestamp,
            duration: None,
            color_space: ColorSpace::SRGB,
            keep_alpha: true,
            premultiplied: false,
            visible_rect: None,
            rotation: Rotation::R0,
            flip: false,
            display_size: None,
        }
    }
}

/// What a pass reads, held while it is recorded.
enum Read {
    Image(Arc<GpuImage>),
    Pixels(Arc<Texture>),
    Texture(Sampled),
}

/// Somebody's texture as a pass reads it: through a view, or through a copy where it cannot be sampled.
enum Sampled {
    View(View),
    Copy {
        from: TextureId,
        description: TextureDescription,
        to: Arc<Texture>,
    },
}

impl Sampled {
    /// Records what comes before the pass, and gives the view that the pass reads.
    fn record(&self, gpu: &Gpu, encoder: CommandEncoderId) -> Result<TextureViewId, GpuError> {
        match self {
            Self::View(view) => Ok(view.id()),
            Self::Copy {
                from,
                description,
                to,
            } => {
                gpu.copy_level(encoder, *from, description, to)?;
                Ok(to.view_id())
            }
        }
    }
}

impl Gpu {
    /// Copies a part of `source` to a texture, converted: the pixels of `copyExternalImageToTexture`. What is opaque gets alpha 1. A format
    /// with `-srgb` gets the code values that it would get without, as the specification has it. Values
    /// outside 0 to 1 are kept by formats of floats.
    ///
    /// # Errors
    /// [`GpuError::Validation`] for a part outside the source or the destination, a format that is not allowed, and what wgpu refuses
    /// (usage, dimension, another device's texture); as [`Gpu::image`] otherwise.
    pub fn copy_to_texture(
        self: &Arc<Self>,
        source: Source<'_>,
        destination: &Destination,
    ) -> Result<(), GpuError> {
        if !copy_destination_format(destination.format) {
            return Err(GpuError::Validation(format!(
                "images cannot be copied to a texture of {:?}",
                destination.format
            )));
        }
        let size = destination.size;
        let (read, mut from, orientation, shown, premultiplied) = match source {
            Source::Frame(frame) => {
                let (image, _) = self.image_unflushed(frame)?;
                let rect = frame.visible_rect;
                if frame.format.is_none() || !rect.fits(image.size()) {
                    return Err(GpuError::Validation(
                        "the visible part of the frame is not within its image".into(),
                    ));
                }
                let from = From {
                    format: image.format(),
                    rect,
                    color: effective_color_space(frame.color_space, image.format(), image.size()),
                    alpha: frame.format.is_some_and(|format| format.has_alpha()),
                };
                let display = frame.display_size;
                let map = Map::of_display(rect.size(), frame.rotation, frame.flip, display);
                (Read::Image(image), from, map, display, false)
            }
            Source::Pixels(pixels) => {
                let texture = self.upload_pixels(&pixels)?;
                let from = From {
                    // Texels are read in this order whatever the texture's.
                    format: PixelFormat::Rgba,
                    rect: Rect::of_size(pixels.size),
                    color: pixels.color_space.color_space(),
                    alpha: true,
                };
                (
                    Read::Pixels(texture),
                    from,
                    Map::IDENTITY,
                    pixels.size,
                    pixels.premultiplied,
                )
            }
            Source::Texture(source) => {
                let TextureSource {
                    texture,
                    description,
                    ..
                } = source;
                let from = From {
                    format: PixelFormat::Rgba,
                    rect: Rect::of_size(description.size),
                    color: ColorSpace {
                        // A texture with -srgb decodes what is read.
                        transfer: match description.format.is_srgb() {
                            true => Some(Transfer::Linear),
                            false => source.color_space.transfer,
                        },
                        ..source.color_space
                    },
                    alpha: !source.opaque && description.format.components() == 4,
                };
                // A pass cannot read what it writes.
                let itself = texture == destination.texture;
                (
                    Read::Texture(self.sampled(texture, &description, itself)?),
                    from,
                    Map::IDENTITY,
                    description.size,
                    source.premultiplied,
                )
            }
        };
        let [left, top] = destination.source_origin;
        let part = Rect {
            x: left,
            y: top,
            width: size.width,
            height: size.height,
        };
        if !part.fits(shown) {
            return Err(GpuError::Validation(format!(
                "{} is not within a source of {}x{}",
                place(part),
                shown.width,
                shown.height
            )));
        }
        if size.area() == 0 {
            return Ok(());
        }
        // From positions in the destination to those in the source as it is shown.
        let [x, y, layer] = destination.origin;
        let (x0, y0) = (
            f64::from(left) - f64::from(x),
            f64::from(top) - f64::from(y),
        );
        let map = if destination.flip_y {
            let bottom = f64::from(top) + f64::from(size.height) + f64::from(y);
            orientation.after((1.0, -1.0), (x0, bottom))
        } else {
            orientation.after((1.0, 1.0), (x0, y0))
        };
        from.alpha &= from.format.has_alpha();
        let mut params = Params::new(&from, map, To::Srgb(primaries(destination.color_space)));
        params.modes[2] |= match (premultiplied, destination.premultiplied_alpha) {
            // Colours are converted without alpha; what is neither converted nor changed is not divided.
            (true, true) if params.modes[1] == 0 => 0,
            (true, true) => FLAG_UNPREMULTIPLY | FLAG_PREMULTIPLY,
            (true, false) => FLAG_UNPREMULTIPLY,
            (false, true) => FLAG_PREMULTIPLY,
            (false, false) => 0,
        };
        if destination.format.is_srgb() {
            params.modes[2] |= FLAG_DECODE_SRGB;
        }
        let _entered = self.enter()?;
        let view = self.view_of_level(destination.texture, destination.mip_level, layer)?;
        let target = Target {
            view: view.id(),
            format: destination.format,
            rect: Rect {
                x,
                y,
                width: size.width,
                height: size.height,
            },
            keep: true,
        };
        self.record("a copy to a texture", |encoder| {
            let (texels, planes) = match &read {
                Read::Image(image) => (image.texels(), image.views()),
                Read::Pixels(texture) => (Texels::Float, [texture.view_id(); 4]),
                Read::Texture(sampled) => (Texels::Float, [sampled.record(self, encoder)?; 4]),
            };
            self.draw(encoder, texels, planes, &params, &target)
        })
    }

    /// What a pass reads of a texture: the texture itself if it can be sampled, and need not be `copied` all the same.
    fn sampled(
        self: &Arc<Self>,
        texture: TextureId,
        description: &TextureDescription,
        copied: bool,
    ) -> Result<Sampled, GpuError> {
        let format = description.format;
        if !matches!(
            format.sample_type(None, None),
            Some(wgt::TextureSampleType::Float { .. })
        ) {
            return Err(GpuError::Validation(format!(
                "a texture of {format:?} is no image"
            )));
        }
        let _entered = self.enter()?;
        let usage = description.usage;
        let bound = usage.contains(wgt::TextureUsages::TEXTURE_BINDING);
        if bound && !(copied && usage.contains(wgt::TextureUsages::COPY_SRC)) {
            let view = self.view_of_level(texture, description.mip_level, description.layer)?;
            return Ok(Sampled::View(view));
        }
        Ok(Sampled::Copy {
            from: texture,
            description: *description,
            to: self.texture(format, description.size, Purpose::Plane)?,
        })
    }

    fn upload_pixels(self: &Arc<Self>, pixels: &Pixels<'_>) -> Result<Arc<Texture>, GpuError> {
        if !matches!(
            pixels.format,
            TextureFormat::Rgba8Unorm | TextureFormat::Bgra8Unorm | TextureFormat::Rgba16Float
        ) {
            return Err(GpuError::unsupported(format!(
                "upload pixels of {:?}",
                pixels.format
            )));
        }
        let _entered = self.enter()?;
        let texture = self.texture(pixels.format, pixels.size, Purpose::Plane)?;
        self.write(&texture, pixels.data, pixels.stride)?;
        count_upload(usize::try_from(texture.byte_size()).unwrap_or(usize::MAX));
        Ok(texture)
    }

    /// A view of one level and layer of somebody's texture.
    fn view_of_level(
        &self,
        texture: TextureId,
        mip_level: u32,
        layer: u32,
    ) -> Result<View, GpuError> {
        let descriptor = TextureViewDescriptor {
            dimension: Some(wgt::TextureViewDimension::D2),
            range: wgt::ImageSubresourceRange {
                base_mip_level: mip_level,
                mip_level_count: Some(1),
                base_array_layer: layer,
                array_layer_count: Some(1),
                ..Default::default()
            },
            ..Default::default()
        };
        let view = self.global.texture_create_view(texture, &descriptor, None);
        View::new(&self.global, "a view of a texture", view)
    }

    /// A frame of RGBA or BGRA (RGBX or BGRX without alpha) with what is in `texture` now. It is copied on the GPU, as a frame does not
    /// change and a texture may. Textures of other formats than `rgba8unorm` and `bgra8unorm` (with or without `-srgb`) are converted to
    /// RGBA of eight bits; they must be of floats.
    ///
    /// # Errors
    /// [`GpuError::Validation`] for a texture without a fitting usage, of integers or depth, multisampled, or of another device;
    /// [`GpuError::OutOfMemory`], [`GpuError::Lost`].
    pub fn frame_from_texture(
        self: &Arc<Self>,
        texture: TextureId,
        description: &TextureDescription,
        init: &FrameInit,
    ) -> Result<VideoFrame, GpuError> {
        let size = description.size;
        let visible = init.visible_rect.unwrap_or(Rect::of_size(size));
        if !visible.fits(size) || visible.size().area() == 0 {
            return Err(GpuError::Validation(format!(
                "a frame cannot show {} of a texture of {}x{}",
                place(visible),
                size.width,
                size.height
            )));
        }
        let bgra = matches!(
            description.format,
            TextureFormat::Bgra8Unorm | TextureFormat::Bgra8UnormSrgb
        );
        let rgba = matches!(
            description.format,
            TextureFormat::Rgba8Unorm | TextureFormat::Rgba8UnormSrgb
        );
        let format = match (bgra, init.keep_alpha) {
            (true, true) => PixelFormat::Bgra,
            (true, false) => PixelFormat::Bgrx,
            (false, true) => PixelFormat::Rgba,
            (false, false) => PixelFormat::Rgbx,
        };
        let divide = init.premultiplied && init.keep_alpha;
        let copied =
            (bgra || rgba) && !divide && description.usage.contains(wgt::TextureUsages::COPY_SRC);
        let _entered = self.enter()?;
        let pixels = if copied {
            let to = if bgra {
                TextureFormat::Bgra8Unorm
            } else {
                TextureFormat::Rgba8Unorm
            };
            let pixels = self.texture(to, size, Purpose::Plane)?;
            self.record("a copy of a texture", |encoder| {
                self.copy_level(encoder, texture, description, &pixels)
            })?;
            pixels
        } else {
            self.draw_texture(texture, description, divide, bgra)?
        };
        let image = GpuImage::from_planes(self, format, size, vec![pixels])?;
        Ok(VideoFrame {
            resource: Arc::new(GpuResource::new(image)),
            format: Some(format),
            coded_size: size,
            visible_rect: visible,
            rotation: init.rotation,
            flip: init.flip,
            display_size: init
                .display_size
                .unwrap_or(shown_size(visible.size(), init.rotation)),
            timestamp: init.timestamp,
            duration: init.duration,
            color_space: init.color_space,
            lease: None,
        })
    }

    fn copy_level(
        &self,
        encoder: CommandEncoderId,
        texture: TextureId,
        description: &TextureDescription,
        to: &Texture,
    ) -> Result<(), GpuError> {
        let place = |texture, mip_level, z| wgt::TexelCopyTextureInfo {
            texture,
            mip_level,
            origin: wgt::Origin3d { x: 0, y: 0, z },
            aspect: wgt::TextureAspect::All,
        };
        self.global
            .command_encoder_copy_texture_to_texture(
                encoder,
                &place(texture, description.mip_level, description.layer),
                &place(to.id(), 0, 0),
                &extent(description.size),
            )
            .map_err(|error| GpuError::of("a copy of a texture", &error))
    }

    /// The texture as RGBA or BGRA of eight bits, made by sampling it.
    fn draw_texture(
        self: &Arc<Self>,
        texture: TextureId,
        description: &TextureDescription,
        unpremultiply: bool,
        bgra: bool,
    ) -> Result<Arc<Texture>, GpuError> {
        let format = description.format;
        let size = description.size;
        let sampled = self.sampled(texture, description, false)?;
        let to = if bgra {
            TextureFormat::Bgra8Unorm
        } else {
            TextureFormat::Rgba8Unorm
        };
        let pixels = self.texture(to, size, Purpose::Target)?;
        let from = From {
            format: PixelFormat::Rgba,
            rect: Rect::of_size(size),
            color: ColorSpace {
                // A texture with -srgb decodes what is read.
                transfer: Some(match format.is_srgb() {
                    true => Transfer::Linear,
                    false => Transfer::Iec61966_2_1,
                }),
                ..ColorSpace::SRGB
            },
            alpha: format.components() == 4,
        };
        let mut params = Params::new(
            &from,
            Map::IDENTITY,
            To::Srgb(primaries(PredefinedColorSpace::Srgb)),
        );
        params.modes[2] |= if unpremultiply { FLAG_UNPREMULTIPLY } else { 0 };
        debug_assert!(from.alpha || params.modes[2] & FLAG_OPAQUE != 0);
        let target = Target {
            view: pixels.view_id(),
            format: to,
            rect: Rect::of_size(size),
            keep: false,
        };
        self.record("a copy of a texture", |encoder| {
            let view = sampled.record(self, encoder)?;
            self.draw(encoder, Texels::Float, [view; 4], &params, &target)
        })?;
        Ok(pixels)
    }
}
