//! Picture memory that dav1d and frames share.
//!
//! dav1d's allocator hands each picture a [`PictureMemory`] from the pool, in an `Arc`. dav1d holds
//! one count until its release callback; a frame holds another. Neither needs the other to live on.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr::{addr_of, addr_of_mut};
use std::sync::Arc;

use bytes::Bytes;
use libdav1d_sys as sys;
use reelcore_media::color::ColorSpace;
use reelcore_media::pool::{ALIGNMENT, BufferPool, PooledBuffer};
use reelcore_media::{PixelFormat, Plane, Size};

use crate::library::Times;

/// DAV1D_PICTURE_ALIGNMENT: of planes and strides, and the bytes that must follow a picture.
const PICTURE_ALIGNMENT: usize = 64;
const _: () = assert!(ALIGNMENT.is_multiple_of(PICTURE_ALIGNMENT));

/// dav1d writes whole blocks: sizes round up to this many pixels.
const BLOCK: usize = 128;

/// One picture's memory. dav1d writes it until it hands the picture out, and only reads it after.
struct PictureMemory {
    /// In a cell, as dav1d writes through a pointer into it.
    _buffer: UnsafeCell<PooledBuffer>,
    start: *const u8,
    len: usize,
}

// SAFETY: the buffer itself is Send. While dav1d writes (on its own threads, under its own locks)
// nothing else reads; `Shared`, which reads, is made only for pictures that dav1d has handed out,
// and dav1d does not write those again.
unsafe impl Send for PictureMemory {}
// SAFETY: as above: once there are two holders that read, nobody writes.
unsafe impl Sync for PictureMemory {}

/// A share of a picture that was handed out.
struct Shared(Arc<PictureMemory>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` and `len` are the buffer that the memory owns; the pool initialised it,
        // and nobody writes a picture that was handed out.
        unsafe { std::slice::from_raw_parts(self.0.start, self.0.len) }
    }
}

/// Where the planes of a picture stand in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    /// Bytes from row to row: of luma, and of each chroma plane (0 without chroma).
    strides: [usize; 2],
    /// Rows in memory.
    rows: [usize; 2],
    /// Bytes of everything, with what must follow the last plane.
    len: usize,
}

impl Geometry {
    /// The planes of a picture of `width` by `height` pixels; `chroma` is the subsampling shift of
    /// width and height. `None` past the address space.
    fn new(width: usize, height: usize, bpc: usize, chroma: Option<(u32, u32)>) -> Option<Self> {
        let sample = if bpc > 8 { 2 } else { 1 };
        let aligned_width = width.checked_next_multiple_of(BLOCK)?;
        let aligned_height = height.checked_next_multiple_of(BLOCK)?;
        // Rows a multiple of 1024 bytes apart fall into the same cache sets.
        let stride = |width: usize| {
            let bytes = width.checked_mul(sample)?;
            if bytes.is_multiple_of(1024) {
                bytes.checked_add(PICTURE_ALIGNMENT)
            } else {
                Some(bytes)
            }
        };
        let luma = stride(aligned_width)?;
        let (chroma_stride, chroma_rows) = match chroma {
            Some((x, y)) => (stride(aligned_width >> x)?, aligned_height >> y),
            None => (0, 0),
        };
        let len = luma
            .checked_mul(aligned_height)?
            .checked_add(chroma_stride.checked_mul(chroma_rows)?.checked_mul(2)?)?
            .checked_add(PICTURE_ALIGNMENT)?;
        Some(Self {
            strides: [luma, chroma_stride],
            rows: [aligned_height, chroma_rows],
            len,
        })
    }

    /// The byte where plane `index` starts.
    fn offset(&self, index: usize) -> usize {
        match index {
            0 => 0,
            _ => self.strides[0] * self.rows[0] + (index - 1) * self.strides[1] * self.rows[1],
        }
    }
}

/// The subsampling shifts of a Dav1dPixelLayout's value; `None` for 4:0:0.
fn chroma_shifts(layout: u32) -> Option<(u32, u32)> {
    match layout {
        1 => Some((1, 1)),
        2 => Some((1, 0)),
        3 => Some((0, 0)),
        _ => None,
    }
}

/// dav1d's alloc_picture_callback; `cookie` is a `BufferPool`.
pub(crate) unsafe extern "C" fn allocate(
    picture: *mut sys::Dav1dPicture,
    cookie: *mut c_void,
) -> c_int {
    const NOMEM: c_int = sys::DAV1D_ERR(libc::ENOMEM);
    // SAFETY: dav1d passes the cookie of its settings, which `Library` keeps for as long as the
    // context is open.
    let pool = unsafe { &*cookie.cast::<BufferPool>() };
    // SAFETY: dav1d passes a picture whose parameters are set. The layout is read as a number.
    let (width, height, bpc, layout) = unsafe {
        let p = addr_of!((*picture).p);
        (
            (*p).w,
            (*p).h,
            (*p).bpc,
            addr_of!((*p).layout).cast::<u32>().read(),
        )
    };
    let sizes = (
        usize::try_from(width),
        usize::try_from(height),
        usize::try_from(bpc),
    );
    let (Ok(width), Ok(height), Ok(bpc)) = sizes else {
        return NOMEM;
    };
    let chroma = chroma_shifts(layout);
    let Some(geometry) = Geometry::new(width, height, bpc, chroma) else {
        return NOMEM;
    };
    let mut memory = Arc::new(PictureMemory {
        _buffer: UnsafeCell::new(pool.take(geometry.len)),
        start: std::ptr::null(),
        len: geometry.len,
    });
    // The address is taken where the buffer stays: moving it afterwards would end the pointer's
    // validity.
    let Some(unique) = Arc::get_mut(&mut memory) else {
        return NOMEM;
    };
    let start = unique._buffer.get_mut().as_mut_ptr();
    unique.start = start;
    let plane = |index: usize| -> *mut c_void {
        if index > 0 && chroma.is_none() {
            return std::ptr::null_mut();
        }
        // SAFETY: the offset of each plane is below the buffer's length.
        unsafe { start.add(geometry.offset(index)) }.cast()
    };
    // SAFETY: dav1d expects exactly these fields to be written.
    unsafe {
        addr_of_mut!((*picture).data).write([plane(0), plane(1), plane(2)]);
        addr_of_mut!((*picture).stride).write([
            geometry.strides[0].cast_signed(),
            geometry.strides[1].cast_signed(),
        ]);
        addr_of_mut!((*picture).allocator_data).write(Arc::into_raw(memory).cast_mut().cast());
    }
    0
}

/// dav1d's release_picture_callback, on any thread.
pub(crate) unsafe extern "C" fn release(picture: *mut sys::Dav1dPicture, _: *mut c_void) {
    // SAFETY: dav1d passes a picture that `allocate` filled, once; the count that it leaked is
    // given back.
    drop(unsafe {
        Arc::from_raw(
            addr_of!((*picture).allocator_data)
                .read()
                .cast::<PictureMemory>()
                .cast_const(),
        )
    });
}

/// A picture that dav1d handed out, with its reference.
pub(crate) struct Picture(sys::Dav1dPicture);

impl Picture {
    /// Takes over the reference that dav1d_get_picture gave.
    pub(crate) fn new(raw: sys::Dav1dPicture) -> Self {
        Self(raw)
    }

    /// The times of the chunk that the picture came from.
    pub(crate) fn times(&self) -> Times {
        Times::read(&self.0.m)
    }

    /// Width and height in pixels, after super-resolution.
    pub(crate) fn size(&self) -> Size {
        let side = |value: c_int| u32::try_from(value).unwrap_or(0);
        Size::new(side(self.0.p.w), side(self.0.p.h))
    }

    fn layout(&self) -> u32 {
        self.0.p.layout as u32
    }

    /// Whether the picture has no chroma.
    pub(crate) fn is_monochrome(&self) -> bool {
        chroma_shifts(self.layout()).is_none()
    }

    /// Bits of each sample.
    pub(crate) fn bit_depth(&self) -> u32 {
        self.0.p.bpc.unsigned_abs()
    }

    /// The format of the frame. Pictures without chroma become 4:2:0, as WebCodecs has no format
    /// without.
    pub(crate) fn format(&self) -> Option<PixelFormat> {
        use PixelFormat as F;
        Some(match (self.layout(), self.bit_depth()) {
            (0 | 1, 8) => F::I420,
            (0 | 1, 10) => F::I420P10,
            (0 | 1, 12) => F::I420P12,
            (2, 8) => F::I422,
            (2, 10) => F::I422P10,
            (2, 12) => F::I422P12,
            (3, 8) => F::I444,
            (3, 10) => F::I444P10,
            (3, 12) => F::I444P12,
            _ => return None,
        })
    }

    /// render_size of the frame header: the size that the encoder had in mind for display.
    pub(crate) fn render_size(&self) -> Size {
        if self.0.frame_hdr.is_null() {
            return self.size();
        }
        // SAFETY: the picture holds a reference to the header, which dav1d no longer changes.
        let (width, height) = unsafe {
            (
                addr_of!((*self.0.frame_hdr).render_width).read(),
                addr_of!((*self.0.frame_hdr).render_height).read(),
            )
        };
        let side = |value: c_int| u32::try_from(value).unwrap_or(0);
        Size::new(side(width), side(height))
    }

    /// The colour space of the sequence header.
    pub(crate) fn color_space(&self) -> ColorSpace {
        let header = self.0.seq_hdr;
        if header.is_null() {
            return ColorSpace::default();
        }
        // SAFETY: the picture holds a reference to the header, which dav1d no longer changes. The
        // code points are whatever the stream says, values that the enumerations of the bindings
        // lack included, so they are read as numbers.
        let (primaries, transfer, matrix, range) = unsafe {
            (
                addr_of!((*header).pri).cast::<u32>().read(),
                addr_of!((*header).trc).cast::<u32>().read(),
                addr_of!((*header).mtrx).cast::<u32>().read(),
                addr_of!((*header).color_range).read(),
            )
        };
        let code = |value: u32| u8::try_from(value).unwrap_or(2);
        ColorSpace::from_code_points(code(primaries), code(transfer), code(matrix), range != 0)
    }

    /// The planes that the picture has: one or three, over the memory that dav1d wrote.
    pub(crate) fn planes(&self) -> Vec<Plane> {
        let chroma = chroma_shifts(self.layout());
        let size = self.size();
        let geometry = Geometry::new(
            size.width as usize,
            size.height as usize,
            self.bit_depth() as usize,
            chroma,
        );
        let memory = self.0.allocator_data.cast::<PictureMemory>().cast_const();
        let (Some(geometry), false) = (geometry, memory.is_null()) else {
            return Vec::new();
        };
        // SAFETY: `allocate` stored the pointer of an Arc, of which dav1d holds a count for as long
        // as this reference to the picture; one more is counted for the frame.
        let shared = unsafe {
            Arc::increment_strong_count(memory);
            Shared(Arc::from_raw(memory))
        };
        let bytes = Bytes::from_owner(shared);
        let planes = if chroma.is_some() { 3 } else { 1 };
        (0..planes)
            .map(|index| {
                let kind = usize::from(index > 0);
                let stride = geometry.strides[kind];
                let start = geometry.offset(index);
                let end = start + stride * geometry.rows[kind];
                Plane {
                    // Both are below the memory's length, which `allocate` took from the same
                    // geometry.
                    data: bytes.slice(start.min(bytes.len())..end.min(bytes.len())),
                    stride,
                }
            })
            .collect()
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the value holds the reference that dav1d_get_picture gave, or is empty.
        unsafe { sys::dav1d_picture_unref(&mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_aligned_and_do_not_overlap() {
        for (width, height) in [
            (1, 1),
            (16, 16),
            (127, 129),
            (512, 2),
            (1920, 1080),
            (4096, 64),
        ] {
            for bpc in [8, 10] {
                for chroma in [None, Some((1, 1)), Some((1, 0)), Some((0, 0))] {
                    let g = Geometry::new(width, height, bpc, chroma).unwrap();
                    assert!(g.strides[0] >= width * if bpc > 8 { 2 } else { 1 });
                    assert!(!g.strides[0].is_multiple_of(1024));
                    for index in 0..3 {
                        assert!(g.offset(index).is_multiple_of(PICTURE_ALIGNMENT));
                    }
                    assert!(
                        g.strides
                            .iter()
                            .all(|s| s.is_multiple_of(PICTURE_ALIGNMENT))
                    );
                    assert!(g.offset(1) >= g.strides[0] * height);
                    let end = g.offset(2) + g.strides[1] * g.rows[1];
                    assert!(end + PICTURE_ALIGNMENT <= g.len);
                }
            }
        }
    }

    #[test]
    fn a_picture_past_the_address_space_has_no_geometry() {
        assert_eq!(Geometry::new(usize::MAX, 1, 8, None), None);
        assert_eq!(Geometry::new(1 << 40, 1 << 40, 10, Some((0, 0))), None);
    }
}
