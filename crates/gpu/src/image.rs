//! Images on a device, and the frames over them.

use std::any::Any;
use std::sync::{Arc, Mutex, OnceLock};

use reelcore_media::convert::PredefinedColorSpace;
use reelcore_media::counters::FrameAlive;
use reelcore_media::frame::{ReadBack, VideoResource};
use reelcore_media::{
    ColorSpace, CpuImage, MediaError, PixelFormat, Rect, Rotation, Size, VideoFrame,
};
use wgpu_types::TextureFormat;

use crate::device::{Gpu, lock};
use crate::error::GpuError;
use crate::handles::View;
use crate::lead::Lead;
use crate::pool::Texture;

/// How many conversions of an image are kept: the spaces a script imports a frame into, and one more.
const MAX_CONVERSIONS: usize = 3;

/// An image on a device: the planes of a pixel format, a texture each, immutable.
#[derive(Debug)]
pub struct GpuImage {
    gpu: Arc<Gpu>,
    format: PixelFormat,
    size: Size,
    planes: Vec<Arc<Texture>>,
    /// What [`Gpu::rgba`] made of it.
    conversions: Mutex<Vec<Conversion>>,
}

/// What [`Gpu::rgba`] or [`Gpu::prepare_external`] made of an image.
#[derive(Debug)]
pub(crate) struct Conversion {
    shown: Shown,
    pub(crate) texture: Arc<Texture>,
    pub(crate) ahead: Option<Ahead>,
}

/// What more there is of a conversion that was made before a script asked for it.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// For the script to own.
    pub(crate) view: View,
    pub(crate) lead: Arc<Lead>,
    /// Which of the lead's frames it is.
    pub(crate) number: u64,
}

/// What a conversion for display depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) rect: Rect,
    /// At which size.
    pub(crate) size: Size,
    pub(crate) rotation: Rotation,
    pub(crate) flip: bool,
    pub(crate) color_space: ColorSpace,
    pub(crate) alpha: bool,
    pub(crate) target: PredefinedColorSpace,
    pub(crate) premultiplied: bool,
}

/// The format of the texture for `plane` of an image of `format`.
pub const fn plane_texture_format(format: PixelFormat, plane: usize) -> TextureFormat {
    use reelcore_media::format::PixelLayout;
    match format.layout() {
        PixelLayout::Rgba => TextureFormat::Rgba8Unorm,
        PixelLayout::Bgra => TextureFormat::Bgra8Unorm,
        PixelLayout::Nv12 if plane == 1 => TextureFormat::Rg8Unorm,
        // Normalized formats of 16 bits are a feature; integers are not.
        _ if format.bit_depth() > 8 => TextureFormat::R16Uint,
        _ => TextureFormat::R8Unorm,
    }
}

impl GpuImage {
    /// An image of `size` pixels over textures that hold the planes of `format`, all on `gpu`.
    ///
    /// # Errors
    /// [`GpuError::Validation`] when the number of planes, a plane's texture format or its size is not the format's;
    /// [`GpuError::OtherDevice`] when a plane is on another device.
    pub fn from_planes(
        gpu: &Arc<Gpu>,
        format: PixelFormat,
        size: Size,
        planes: Vec<Arc<Texture>>,
    ) -> Result<Arc<Self>, GpuError> {
        if planes.len() != format.num_planes() {
            return Err(GpuError::Validation(format!(
                "{} has {} planes, {} were given",
                format.as_str(),
                format.num_planes(),
                planes.len()
            )));
        }
        for (index, plane) in planes.iter().enumerate() {
            let wanted = (
                plane_texture_format(format, index),
                format.plane_size(index, size),
            );
            let found = (plane.format(), plane.size());
            if found != wanted {
                return Err(GpuError::Validation(format!(
                    "plane {index} of {} {}x{} is a texture of {wanted:?}, not {found:?}",
                    format.as_str(),
                    size.width,
                    size.height
                )));
            }
            if !Arc::ptr_eq(plane.gpu(), gpu) {
                return Err(GpuError::OtherDevice);
            }
        }
        Ok(Arc::new(Self {
            gpu: gpu.clone(),
            format,
            size,
            planes,
            conversions: Mutex::default(),
        }))
    }

    /// The device.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// The pixel format.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The planes, in the format's order.
    pub fn planes(&self) -> &[Arc<Texture>] {
        &self.planes
    }

    /// Bytes of all planes.
    pub fn byte_size(&self) -> u64 {
        self.planes.iter().map(|plane| plane.byte_size()).sum()
    }

    /// The conversion that `shown` describes, made by `make` unless it is kept already and was not destroyed since.
    pub(crate) fn conversion(
        &self,
        shown: &Shown,
        make: impl FnOnce() -> Result<(Arc<Texture>, Option<Ahead>), GpuError>,
    ) -> Result<Arc<Texture>, GpuError> {
        // Held while the conversion is recorded, so that a second thread does not make another.
        let mut kept = lock(&self.conversions);
        kept.retain(|conversion| !conversion.texture.is_destroyed());
        if let Some(conversion) = kept.iter().find(|conversion| conversion.shown == *shown) {
            return Ok(conversion.texture.clone());
        }
        let (texture, ahead) = make()?;
        if kept.len() == MAX_CONVERSIONS {
            kept.remove(0);
        }
        kept.push(Conversion {
            shown: *shown,
            texture: texture.clone(),
            ahead,
        });
        Ok(texture)
    }

    /// The conversion that `shown` describes, if it is kept: the caller's from here on.
    pub(crate) fn take_conversion(&self, shown: &Shown) -> Option<Conversion> {
        let mut kept = lock(&self.conversions);
        let found = kept.iter().position(|other| other.shown == *shown)?;
        let conversion = kept.remove(found);
        (!conversion.texture.is_destroyed()).then_some(conversion)
    }
}

/// A frame's pixels on a device. They are in CPU memory too once they were read back.
#[derive(Debug)]
pub struct GpuResource {
    image: Arc<GpuImage>,
    cpu: OnceLock<Arc<CpuImage>>,
    /// Held during a read-back, so that two threads do not make two.
    reading: Mutex<()>,
    _alive: FrameAlive,
}

impl GpuResource {
    /// A resource over `image`.
    pub fn new(image: Arc<GpuImage>) -> Self {
        Self {
            image,
            cpu: OnceLock::new(),
            reading: Mutex::new(()),
            _alive: FrameAlive::new(),
        }
    }

    /// The image.
    pub fn image(&self) -> &Arc<GpuImage> {
        &self.image
    }
}

impl VideoResource for GpuResource {
    fn byte_size(&self) -> usize {
        usize::try_from(self.image.byte_size()).unwrap_or(usize::MAX)
    }

    fn cpu(&self) -> Option<&CpuImage> {
        self.cpu.get().map(Arc::as_ref)
    }

    /// Blocks until the GPU is done: for worker threads.
    fn read_back(&self) -> Result<Arc<CpuImage>, MediaError> {
        if let Some(image) = self.cpu.get() {
            return Ok(image.clone());
        }
        let _reading = lock(&self.reading);
        if let Some(image) = self.cpu.get() {
            return Ok(image.clone());
        }
        let image = Arc::new(self.image.gpu.read_back(&self.image)?);
        Ok(self.cpu.get_or_init(|| image).clone())
    }

    /// Blocks until the GPU is done: for worker threads.
    fn read_back_as(&self, wanted: &ReadBack) -> Option<Result<Arc<CpuImage>, MediaError>> {
        match self.image.gpu.read_back_as(&self.image, wanted) {
            Ok(image) => Some(Ok(Arc::new(image))),
            // What the device cannot convert is converted on the CPU.
            Err(GpuError::Unsupported { .. }) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The image that `frame` has on some device, if it has one.
pub fn gpu_image(frame: &VideoFrame) -> Option<&Arc<GpuImage>> {
    let resource = frame.resource.as_any().downcast_ref::<GpuResource>();
    resource.map(GpuResource::image)
}
