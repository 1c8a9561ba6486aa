//! Video frames: cheap handles on shared, immutable pixels.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::color::ColorSpace;
use crate::counters::FrameAlive;
use crate::error::MediaError;
use crate::format::PixelFormat;
use crate::geometry::{Rect, Rotation, Size};

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
    _alive: FrameAlive,
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
            _alive: FrameAlive::new(),
        })
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
}

impl Lease {
    /// A lease that calls `on_drop` once, when it is dropped.
    pub fn new(on_drop: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Return::Call(Some(Box::new(on_drop))))
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
