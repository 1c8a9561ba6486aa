//! Video frames: cheap handles on shared, immutable pixels.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::color::ColorSpace;
use crate::counters::FrameAlive;
use crate::error::MediaError;
use crate::format::PixelFormat;
use crate::geometry::{Rect, Rotation, Size};
use crate::preparation::Preparation;

/// One plane of samples in CPU memory.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The samples; row `y` starts at byte `y * stride`. The last row may end at its last sample.
    pub data: Bytes,
    /// Bytes from the start of a row to the start of the next.
    pub stride: usize,
}

/// An image in CPU memory.
#[derive(Debug)]
pub struct CpuImage {
    format: PixelFormat,
    size: Size,
    planes: Vec<Plane>,
    sides: DeviceSides,
    _alive: FrameAlive,
}

/// How many devices an image can be on at once; the one that came first goes first.
const MAX_SIDES: usize = 4;

/// What devices made of an image, each under the key of its device.
#[derive(Default)]
struct DeviceSides(Mutex<Vec<(u64, Arc<dyn Any + Send + Sync>)>>);

impl Debug for DeviceSides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceSides")
    }
}

impl CpuImage {
    /// An image of `size` pixels over `planes`, one for each plane of `format`.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the number of planes is not the
    /// format's, a stride is shorter than a row, or a plane is shorter than its rows.
    pub fn new(format: PixelFormat, size: Size, planes: Vec<Plane>) -> Result<Self, MediaError> {
        if planes.len() != format.num_planes() {
            return Err(MediaError::argument(format!(
                "{} has {} planes, {} were given",
                format.as_str(),
                format.num_planes(),
                planes.len()
            )));
        }
        for (index, plane) in planes.iter().enumerate() {
            let rows = format.plane_size(index, size).height as usize;
            let row_bytes = format.row_bytes(index, size.width);
            let needed = rows.checked_sub(1).map_or(Some(0), |n| {
                n.checked_mul(plane.stride)?.checked_add(row_bytes)
            });
            if plane.stride < row_bytes || needed.is_none_or(|n| n > plane.data.len()) {
                return Err(MediaError::argument(format!(
                    "plane {index} of {} {}x{}: {rows} rows of {row_bytes} bytes do not fit stride {} in {} bytes",
                    format.as_str(),
                    size.width,
                    size.height,
                    plane.stride,
                    plane.data.len()
                )));
            }
        }
        Ok(Self {
            format,
            size,
            planes,
            sides: DeviceSides::default(),
            _alive: FrameAlive::new(),
        })
    }

    /// What the device of the key `device` made of this image: made by `make` at the first call and kept as long as
    /// the image, so that an image is uploaded once. Another thread that asks for it meanwhile waits for it. An error
    /// is not kept. An image keeps what at most four devices made.
    ///
    /// Keys are unique in the process; one device asks for one type `T`.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn device_side<T, E>(
        &self,
        device: u64,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E>
    where
        T: Any + Send + Sync,
    {
        let mut sides = self.sides.0.lock().unwrap_or_else(PoisonError::into_inner);
        let side = sides.iter().find(|(key, _)| *key == device);
        if let Some(side) = side.and_then(|(_, side)| side.clone().downcast().ok()) {
            return Ok(side);
        }
        let side = make()?;
        if sides.len() == MAX_SIDES {
            sides.remove(0);
        }
        sides.push((device, side.clone()));
        Ok(side)
    }

    /// The format of the planes.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The planes, in the format's order.
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }
}

/// Pixels as a reader wants them: see [`VideoResource::read_back_as`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBack {
    /// The part of the image, in pixels of the resource.
    pub rect: Rect,
    /// The colours of the image, as the frame says. Unknown members are guessed as
    /// [`effective_color_space`](crate::convert::effective_color_space) does.
    pub color_space: ColorSpace,
    /// The wanted pixel format.
    pub format: PixelFormat,
    /// The wanted size; `rect` is scaled to it.
    pub size: Size,
    /// The wanted colours. Where they are those of the image, samples are not converted.
    pub target: ColorSpace,
}

/// Where a frame's pixels live. CPU memory here; GPU and VA-API crates add theirs.
pub trait VideoResource: Debug + Send + Sync {
    /// Bytes of memory that the resource holds.
    fn byte_size(&self) -> usize;

    /// The pixels, if they are in CPU memory already.
    fn cpu(&self) -> Option<&CpuImage>;

    /// The pixels in CPU memory, moved there if they live elsewhere. Counts a download.
    ///
    /// # Errors
    /// [`Backend`](crate::ErrorKind::Backend) when the device fails.
    fn read_back(&self) -> Result<Arc<CpuImage>, MediaError>;

    /// A part of the pixels in CPU memory, converted and scaled before they are moved, so that no more is moved than
    /// is wanted. Counts a download. `None` where the resource cannot do that: read it back whole then.
    fn read_back_as(&self, wanted: &ReadBack) -> Option<Result<Arc<CpuImage>, MediaError>> {
        let _ = wanted;
        None
    }

    /// The pixels as dma-bufs, if they are in a device's memory that can be shared so. `None` for
    /// every other resource. The memory stays as it is while the resource lives.
    ///
    /// # Errors
    /// [`Backend`](crate::ErrorKind::Backend) when the device does not export them.
    #[cfg(unix)]
    fn dma_buf(&self) -> Option<Result<Arc<crate::dmabuf::DmaBufFrame>, MediaError>> {
        None
    }

    /// For the crate that made the resource to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// A [`VideoResource`] in CPU memory.
#[derive(Debug)]
pub struct CpuResource(pub Arc<CpuImage>);

impl VideoResource for CpuResource {
    fn byte_size(&self) -> usize {
        self.0.planes.iter().map(|plane| plane.data.len()).sum()
    }

    fn cpu(&self) -> Option<&CpuImage> {
        Some(&self.0)
    }

    fn read_back(&self) -> Result<Arc<CpuImage>, MediaError> {
        Ok(self.0.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Something that is given back when the last frame over a decoded picture goes away: the engine's
/// count of frames in flight.
pub struct Lease(Return);

enum Return {
    Call(Option<Box<dyn FnOnce() + Send + Sync>>),
    To(Arc<dyn Lender>, usize),
}

/// Who counts what is lent.
pub trait Lender: Send + Sync {
    /// An output of `bytes` is gone. Called on any thread.
    fn give_back(&self, bytes: usize);

    /// What is done ahead of time to the frames of the codec that lends.
    fn preparation(&self) -> Option<&Preparation> {
        None
    }
}

impl Lease {
    /// A lease that calls `on_drop` once, when it is dropped.
    pub fn new(on_drop: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Return::Call(Some(Box::new(on_drop))))
    }

    /// What the lender does to its frames ahead of time.
    pub fn preparation(&self) -> Option<&Preparation> {
        match &self.0 {
            Return::Call(_) => None,
            Return::To(lender, _) => lender.preparation(),
        }
    }

    /// A lease of `bytes` that is given back once, when it is dropped; without an allocation of its own.
    pub fn from_lender(lender: Arc<dyn Lender>, bytes: usize) -> Self {
        Self(Return::To(lender, bytes))
    }
}

impl Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lease")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match &mut self.0 {
            Return::Call(on_drop) => {
                if let Some(on_drop) = on_drop.take() {
                    on_drop();
                }
            }
            Return::To(lender, bytes) => lender.give_back(*bytes),
        }
    }
}

/// A video frame: a shared resource and how to show it. Cloning shares the pixels.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// The pixels.
    pub resource: Arc<dyn VideoResource>,
    /// The pixel format, or `None` for one that WebCodecs does not name (opaque). It may lack the
    /// alpha plane that the resource has.
    pub format: Option<PixelFormat>,
    /// Size of the whole image, with padding that is not shown.
    pub coded_size: Size,
    /// The part that is shown.
    pub visible_rect: Rect,
    /// Clockwise rotation for display, applied before `flip`'s mirroring as WebCodecs prescribes.
    pub rotation: Rotation,
    /// Whether the image is mirrored horizontally for display.
    pub flip: bool,
    /// Size to show it at, after aspect ratio and rotation.
    pub display_size: Size,
    /// Presentation time in microseconds.
    pub timestamp: i64,
    /// Presentation duration in microseconds.
    pub duration: Option<u64>,
    /// The colour space.
    pub color_space: ColorSpace,
    /// Given back when the last clone is dropped.
    pub lease: Option<Arc<Lease>>,
}

impl VideoFrame {
    /// A frame that shows all of `image`, at its own size.
    pub fn from_cpu(
        image: CpuImage,
        timestamp: i64,
        duration: Option<u64>,
        color_space: ColorSpace,
    ) -> Self {
        let (format, size) = (image.format, image.size);
        Self {
            resource: Arc::new(CpuResource(Arc::new(image))),
            format: Some(format),
            coded_size: size,
            visible_rect: Rect::of_size(size),
            rotation: Rotation::R0,
            flip: false,
            display_size: size,
            timestamp,
            duration,
            color_space,
            lease: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(len: usize, stride: usize) -> Plane {
        Plane {
            data: Bytes::from(vec![0; len]),
            stride,
        }
    }

    #[test]
    fn planes_that_are_too_short_are_refused() {
        let size = Size::new(4, 4);
        let image = |planes| CpuImage::new(PixelFormat::I420, size, planes);
        assert!(image(vec![plane(16, 4), plane(4, 2), plane(4, 2)]).is_ok());
        assert!(
            image(vec![plane(28, 8), plane(4, 2), plane(4, 2)]).is_ok(),
            "short last row"
        );
        assert!(image(vec![plane(15, 4), plane(4, 2), plane(4, 2)]).is_err());
        assert!(image(vec![plane(16, 3), plane(4, 2), plane(4, 2)]).is_err());
        assert!(image(vec![plane(16, 4), plane(4, 2)]).is_err());
        assert!(image(vec![plane(16, usize::MAX), plane(4, 2), plane(4, 2)]).is_err());
    }

    #[test]
    fn each_device_makes_its_side_of_an_image_once() {
        let image = CpuImage::new(PixelFormat::Rgba, Size::new(1, 1), vec![plane(4, 4)]).unwrap();
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Ok::<_, ()>(Arc::new(made.get()))
        };
        assert_eq!(*image.device_side(7, make).unwrap(), 1);
        assert_eq!(*image.device_side(7, make).unwrap(), 1);
        assert_eq!(*image.device_side(8, make).unwrap(), 2);
        assert!(image.device_side::<u8, _>(9, || Err(())).is_err());
        assert_eq!(
            *image.device_side(9, make).unwrap(),
            3,
            "errors are not kept"
        );
        let side = image.device_side(10, make).unwrap();
        assert_eq!(Arc::strong_count(&side), 2);
        assert_eq!(*image.device_side(11, make).unwrap(), 5);
        assert_eq!(*image.device_side(8, make).unwrap(), 2);
        assert_eq!(*image.device_side(7, make).unwrap(), 6, "the oldest went");
        drop(image);
        assert_eq!(Arc::strong_count(&side), 1, "sides go with the image");
    }

    #[test]
    fn a_lease_is_given_back_with_the_last_clone_only() {
        use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
        static BACK: AtomicU32 = AtomicU32::new(0);
        let image = CpuImage::new(PixelFormat::Rgba, Size::new(1, 1), vec![plane(4, 4)]).unwrap();
        let mut frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB);
        frame.lease = Some(Arc::new(Lease::new(|| {
            BACK.fetch_add(1, SeqCst);
        })));
        let copy = frame.clone();
        drop(frame);
        assert_eq!(BACK.load(SeqCst), 0);
        drop(copy);
        assert_eq!(BACK.load(SeqCst), 1);
        struct Count;
        impl Lender for Count {
            fn give_back(&self, bytes: usize) {
                BACK.fetch_add(bytes as u32, SeqCst);
            }
        }
        drop(Lease::from_lender(Arc::new(Count), 41));
        assert_eq!(BACK.load(SeqCst), 42);
    }
}
