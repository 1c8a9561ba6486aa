//! Frames in dma-bufs: memory of a device that another device can use without a copy (Linux).
//!
//! A backend that decodes on hardware describes its surface as a [`DmaBufFrame`] through
//! [`VideoResource::dma_buf`](crate::frame::VideoResource::dma_buf); the GPU crate imports that.

use std::fmt;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::error::MediaError;
use crate::format::PixelFormat;
use crate::geometry::Size;

/// A DRM pixel format code, as in the kernel's `drm_fourcc.h`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrmFourcc(pub u32);

macro_rules! fourccs {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl DrmFourcc { $($(#[$doc])* pub const $name: Self = Self(u32::from_le_bytes(*$code));)* }
    };
}

fourccs! {
    /// One plane of 8-bit samples.
    R8 = b"R8  ";
    /// One plane of pairs of 8-bit samples.
    GR88 = b"GR88";
    /// One plane of 16-bit samples.
    R16 = b"R16 ";
    /// One plane of pairs of 16-bit samples.
    GR1616 = b"GR32";
    /// 4:2:0, 8 bits: Y, and Cb and Cr interleaved.
    NV12 = b"NV12";
    /// 4:2:0, 10 bits in the high bits of 16: Y, and Cb and Cr interleaved.
    P010 = b"P010";
    /// 4:2:0, 12 bits in the high bits of 16: Y, and Cb and Cr interleaved.
    P012 = b"P012";
    /// 4:2:0, 16 bits: Y, and Cb and Cr interleaved.
    P016 = b"P016";
    /// 4:2:0, 8 bits: Y, Cb, Cr.
    YUV420 = b"YU12";
    /// 4:2:2, 8 bits: Y, Cb, Cr.
    YUV422 = b"YU16";
    /// 4:4:4, 8 bits: Y, Cb, Cr.
    YUV444 = b"YU24";
    /// Bytes B, G, R, A.
    ARGB8888 = b"AR24";
    /// Bytes B, G, R and one without meaning.
    XRGB8888 = b"XR24";
    /// Bytes R, G, B, A.
    ABGR8888 = b"AB24";
    /// Bytes R, G, B and one without meaning.
    XBGR8888 = b"XB24";
}

impl fmt::Display for DrmFourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.to_le_bytes() {
            write!(f, "{}", byte.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for DrmFourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A DRM format modifier: how the samples are tiled or compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrmModifier(pub u64);

impl DrmModifier {
    /// Rows of samples, one after another.
    pub const LINEAR: Self = Self(0);
    /// Unknown: whoever exported the memory did not say.
    pub const INVALID: Self = Self(0x00ff_ffff_ffff_ffff);
}

impl fmt::Display for DrmModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LINEAR => f.write_str("linear"),
            Self::INVALID => f.write_str("invalid"),
            Self(other) => write!(f, "{other:#018x}"),
        }
    }
}

/// One plane in a dma-buf.
#[derive(Clone, Debug)]
pub struct DmaBufPlane {
    /// The dma-buf. Planes in one dma-buf share the handle.
    pub fd: Arc<OwnedFd>,
    /// Bytes from the start of the dma-buf to the plane.
    pub offset: u64,
    /// Bytes from the start of a row to the start of the next, as the exporter reports them; of
    /// tiled memory, whatever the modifier defines.
    pub stride: u32,
}

/// Size and sample format of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaBufPlaneLayout {
    /// [`DrmFourcc::R8`], [`DrmFourcc::GR88`], [`DrmFourcc::R16`], [`DrmFourcc::GR1616`], or the
    /// frame's own code where it has four bytes a pixel.
    pub fourcc: DrmFourcc,
    /// Width and height in samples (pairs, where two are interleaved).
    pub size: Size,
    /// Bytes of each sample or pair.
    pub bytes: u32,
}

/// Why a [`DmaBufFrame`] is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DmaBufError {
    /// A format that is not known here.
    #[error("the DRM format {0} is not supported")]
    Format(DrmFourcc),
    /// No pixels, or more than can be.
    #[error("a dma-buf frame cannot have {0}x{1} pixels")]
    Size(u32, u32),
    /// The number of planes is not the format's.
    #[error("{fourcc} has {expected} planes, {found} were given")]
    PlaneCount {
        /// The format.
        fourcc: DrmFourcc,
        /// Its planes.
        expected: usize,
        /// Those that were given.
        found: usize,
    },
    /// Rows overlap.
    #[error("plane {plane}: a stride of {stride} bytes is less than a row of {row} bytes")]
    Stride {
        /// Index of the plane.
        plane: usize,
        /// The stride that was given.
        stride: u32,
        /// Bytes of a row.
        row: u64,
    },
    /// The plane does not fit the dma-buf.
    #[error("plane {plane}: bytes {offset} to {end} are not in a dma-buf of {available} bytes")]
    Bounds {
        /// Index of the plane.
        plane: usize,
        /// Where it starts.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// Bytes of the dma-buf.
        available: u64,
    },
    /// The exporter did not say how the memory is tiled.
    #[error("the format modifier is invalid: the exporter has to say how the memory is tiled")]
    Modifier,
    /// The file descriptor is not memory.
    #[error("plane {plane}: the file descriptor is no memory: {reason}")]
    NotMemory {
        /// Index of the plane.
        plane: usize,
        /// What the system says.
        reason: String,
    },
}

impl DmaBufError {
    /// The same as an error of the media layer.
    pub fn to_media_error(&self) -> MediaError {
        match self {
            Self::Format(_) | Self::Modifier => MediaError::unsupported(self.to_string()),
            _ => MediaError::argument(self.to_string()),
        }
    }
}

/// A frame in dma-bufs. Cloning shares them; they are closed with the last clone.
///
/// Its memory must not shrink while somebody uses it: true of dma-bufs, and a promise that whoever
/// passes a memfd makes.
#[derive(Clone, Debug)]
pub struct DmaBufFrame {
    fourcc: DrmFourcc,
    size: Size,
    modifier: DrmModifier,
    planes: Vec<DmaBufPlane>,
}

impl DmaBufFrame {
    /// A frame of `size` pixels in `planes`, which are tiled as `modifier` says.
    ///
    /// # Errors
    /// A [`DmaBufError`] when the description is not consistent, or does not fit the memory.
    pub fn new(
        fourcc: DrmFourcc,
        size: Size,
        modifier: DrmModifier,
        planes: Vec<DmaBufPlane>,
    ) -> Result<Self, DmaBufError> {
        let layouts = plane_layouts(fourcc, size)?;
        if planes.len() != layouts.len() {
            return Err(DmaBufError::PlaneCount {
                fourcc,
                expected: layouts.len(),
                found: planes.len(),
            });
        }
        if modifier == DrmModifier::INVALID {
            return Err(DmaBufError::Modifier);
        }
        for (index, (plane, layout)) in planes.iter().zip(layouts).enumerate() {
            let available = memory_size(&plane.fd).map_err(|reason| DmaBufError::NotMemory {
                plane: index,
                reason,
            })?;
            let row = u64::from(layout.size.width) * u64::from(layout.bytes);
            // The rows of tiled memory are the driver's to judge.
            let bytes = if modifier == DrmModifier::LINEAR {
                if u64::from(plane.stride) < row {
                    return Err(DmaBufError::Stride {
                        plane: index,
                        stride: plane.stride,
                        row,
                    });
                }
                u64::from(plane.stride) * u64::from(layout.size.height - 1) + row
            } else {
                1
            };
            let end = plane.offset.saturating_add(bytes);
            if end > available {
                return Err(DmaBufError::Bounds {
                    plane: index,
                    offset: plane.offset,
                    end,
                    available,
                });
            }
        }
        Ok(Self {
            fourcc,
            size,
            modifier,
            planes,
        })
    }

    /// The format of the whole.
    pub fn fourcc(&self) -> DrmFourcc {
        self.fourcc
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How the planes are tiled.
    pub fn modifier(&self) -> DrmModifier {
        self.modifier
    }

    /// The planes, in the format's order.
    pub fn planes(&self) -> &[DmaBufPlane] {
        &self.planes
    }

    /// Size and format of each plane.
    pub fn layouts(&self) -> Vec<DmaBufPlaneLayout> {
        plane_layouts(self.fourcc, self.size).unwrap_or_default()
    }

    /// Bytes of the dma-buf of each plane.
    ///
    /// # Errors
    /// [`DmaBufError::NotMemory`] when the system does not say.
    pub fn memory_sizes(&self) -> Result<Vec<u64>, DmaBufError> {
        self.planes
            .iter()
            .enumerate()
            .map(|(plane, p)| {
                memory_size(&p.fd).map_err(|reason| DmaBufError::NotMemory { plane, reason })
            })
            .collect()
    }

    /// The WebCodecs format of the pixels, where it has one. P010 and its kin have none: their
    /// samples are in the high bits, those of WebCodecs in the low ones.
    pub fn pixel_format(&self) -> Option<PixelFormat> {
        Some(match self.fourcc {
            DrmFourcc::NV12 => PixelFormat::Nv12,
            DrmFourcc::YUV420 => PixelFormat::I420,
            DrmFourcc::YUV422 => PixelFormat::I422,
            DrmFourcc::YUV444 => PixelFormat::I444,
            DrmFourcc::ABGR8888 => PixelFormat::Rgba,
            DrmFourcc::XBGR8888 => PixelFormat::Rgbx,
            DrmFourcc::ARGB8888 => PixelFormat::Bgra,
            DrmFourcc::XRGB8888 => PixelFormat::Bgrx,
            _ => return None,
        })
    }

    /// Significant bits of each sample. Of more than 8, they are the high ones of 16.
    pub fn bit_depth(&self) -> u32 {
        match self.fourcc {
            DrmFourcc::P010 => 10,
            DrmFourcc::P012 => 12,
            DrmFourcc::P016 => 16,
            _ => 8,
        }
    }
}

/// No frame of a codec is larger on a side.
const MAX_SIDE: u32 = 1 << 16;

fn plane_layouts(fourcc: DrmFourcc, size: Size) -> Result<Vec<DmaBufPlaneLayout>, DmaBufError> {
    let Size { width, height } = size;
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(DmaBufError::Size(width, height));
    }
    let plane = |fourcc, bytes, x: u32, y: u32| DmaBufPlaneLayout {
        fourcc,
        size: Size::new(width.div_ceil(x), height.div_ceil(y)),
        bytes,
    };
    use DrmFourcc as F;
    let planar = |x, y| {
        let chroma = plane(F::R8, 1, x, y);
        vec![plane(F::R8, 1, 1, 1), chroma, chroma]
    };
    Ok(match fourcc {
        F::NV12 => vec![plane(F::R8, 1, 1, 1), plane(F::GR88, 2, 2, 2)],
        F::P010 | F::P012 | F::P016 => {
            vec![plane(F::R16, 2, 1, 1), plane(F::GR1616, 4, 2, 2)]
        }
        F::YUV420 => planar(2, 2),
        F::YUV422 => planar(2, 1),
        F::YUV444 => planar(1, 1),
        F::ARGB8888 | F::XRGB8888 | F::ABGR8888 | F::XBGR8888 => vec![plane(fourcc, 4, 1, 1)],
        _ => return Err(DmaBufError::Format(fourcc)),
    })
}

/// Bytes of the memory behind `fd`: dma-bufs and memfds answer a seek to their end.
fn memory_size(fd: &OwnedFd) -> Result<u64, String> {
    let file = fd.try_clone().map_err(|e| e.to_string())?;
    let mut file = std::fs::File::from(file);
    let kind = file.metadata().map_err(|e| e.to_string())?.file_type();
    if kind.is_dir() {
        return Err("a directory".to_owned());
    }
    let size = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
    // The position is shared with whoever else holds the descriptor.
    file.rewind().map_err(|e| e.to_string())?;
    if size == 0 {
        return Err("it has no bytes".to_owned());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_drm_fourcc_h() {
        assert_eq!(DrmFourcc::NV12.0, 0x3231_564e);
        assert_eq!(DrmFourcc::R8.0, 0x2020_3852);
        assert_eq!(DrmFourcc::GR1616.0, 0x3233_5247);
        assert_eq!(DrmFourcc::P010.to_string(), "P010");
        assert_eq!(DrmFourcc(7).to_string(), "\\x07\\x00\\x00\\x00");
    }

    fn memory(bytes: u64) -> Arc<OwnedFd> {
        let file = tempfile();
        file.set_len(bytes).unwrap();
        Arc::new(file.into())
    }

    /// A file without a name: it has a size and can be sought, which is all that is looked at here.
    fn tempfile() -> std::fs::File {
        let path = std::env::temp_dir().join(format!(
            "reelcore-dmabuf-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn descriptions_that_do_not_fit_their_memory_are_refused() {
        // 5x3: luma 5x3, chroma 3x2 pairs.
        let fd = memory(64 + 3 * 8 + 14);
        let plane = |offset, stride| DmaBufPlane {
            fd: fd.clone(),
            offset,
            stride,
        };
        let frame =
            |fourcc, size, modifier, planes| DmaBufFrame::new(fourcc, size, modifier, planes);
        let size = Size::new(5, 3);
        let linear = DrmModifier::LINEAR;
        let good = vec![plane(64, 8), plane(64 + 24, 8)];
        assert!(frame(DrmFourcc::NV12, size, linear, good.clone()).is_ok());
        let wrong = |planes| frame(DrmFourcc::NV12, size, linear, planes).unwrap_err();
        assert!(matches!(
            wrong(vec![plane(64, 8), plane(64 + 25, 8)]),
            DmaBufError::Bounds {
                plane: 1,
                offset: 89,
                end: 103,
                available: 102
            }
        ));
        assert!(matches!(
            wrong(vec![plane(64, 4), plane(88, 8)]),
            DmaBufError::Stride {
                plane: 0,
                stride: 4,
                row: 5
            }
        ));
        assert!(matches!(
            wrong(vec![plane(u64::MAX, 8), plane(88, 8)]),
            DmaBufError::Bounds { .. }
        ));
        assert!(matches!(
            wrong(vec![plane(0, u32::MAX), plane(88, 8)]),
            DmaBufError::Bounds { .. }
        ));
        assert!(matches!(
            wrong(vec![plane(64, 8)]),
            DmaBufError::PlaneCount {
                expected: 2,
                found: 1,
                ..
            }
        ));
        assert_eq!(
            frame(DrmFourcc::NV12, size, DrmModifier::INVALID, good.clone()).unwrap_err(),
            DmaBufError::Modifier
        );
        assert_eq!(
            frame(DrmFourcc::NV12, Size::new(0, 3), linear, good.clone()).unwrap_err(),
            DmaBufError::Size(0, 3)
        );
        assert_eq!(
            frame(DrmFourcc(1), size, linear, good).unwrap_err(),
            DmaBufError::Format(DrmFourcc(1))
        );
    }

    #[test]
    fn descriptors_that_are_no_memory_are_refused() {
        let (pipe, _write) = std::io::pipe().unwrap();
        let directory = std::fs::File::open(std::env::temp_dir()).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds: [OwnedFd; 4] = [
            pipe.into(),
            directory.into(),
            null.into(),
            tempfile().into(),
        ];
        for fd in fds {
            let plane = DmaBufPlane {
                fd: Arc::new(fd),
                offset: 0,
                stride: 4,
            };
            let frame = DmaBufFrame::new(
                DrmFourcc::ABGR8888,
                Size::new(1, 1),
                DrmModifier::LINEAR,
                vec![plane],
            );
            assert!(
                matches!(frame, Err(DmaBufError::NotMemory { plane: 0, .. })),
                "{frame:?}"
            );
        }
    }
}
