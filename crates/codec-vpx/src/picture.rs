//! Picture memory that libvpx and frames share.
//!
//! For each VP9 picture libvpx asks [`allocate`] for a [`PictureMemory`] from the pool, in an `Arc`. libvpx holds one
//! count until it calls [`release`]; a frame holds another. Neither needs the other to live on.
//!
//! VP8 pictures stand in libvpx's own four buffers, the size of which it chooses with the first key frame and which
//! it writes again as soon as no reference needs them, whoever else may. They are copied, once.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, addr_of};
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::pool::{ALIGNMENT, BufferPool, PooledBuffer};
use reelcore_media::vpx::vp9_color_space;
use reelcore_media::{ColorSpace, MediaError, PixelFormat, Plane, Size, counters};
use vpx_sys as sys;

use crate::library::Codec;

/// Which planes of a picture are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planes {
    All,
    /// Luma alone: it is the alpha of another picture.
    Luma,
}

/// A picture to show.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The format of the coded picture.
    pub format: PixelFormat,
    /// Width and height in pixels.
    pub size: Size,
    /// The size that the encoder had in mind for display.
    pub render_size: Size,
    pub color_space: ColorSpace,
    /// Those that were wanted.
    pub planes: Vec<Plane>,
}

/// One picture's memory. libvpx writes it until it hands the picture out, and only reads it after.
struct PictureMemory {
    /// In a cell, as libvpx writes through a pointer into it.
    _buffer: UnsafeCell<PooledBuffer>,
    start: *mut u8,
    len: usize,
}

// SAFETY: the buffer itself is Send. libvpx writes during vpx_codec_decode (on its own threads, which it waits for),
// and nothing else reads then; `Shared`, which reads, is made only for pictures that libvpx has handed out, and
// libvpx does not write those again.
unsafe impl Send for PictureMemory {}
// SAFETY: as above: once there are two holders that read, nobody writes.
unsafe impl Sync for PictureMemory {}

/// A share of a picture that was handed out.
struct Shared(Arc<PictureMemory>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` and `len` are the buffer that the memory owns; the pool initialised it, and nobody writes a
        // picture that was handed out.
        unsafe { std::slice::from_raw_parts(self.0.start, self.0.len) }
    }
}

/// libvpx's callback for a frame buffer; `data` is a `BufferPool`.
///
/// The header asks for zeros in new memory, which the pool's is. What an earlier picture left in a buffer is not
/// wiped, nor does libvpx wipe the buffers of its own pool: every sample of a picture is written before it is read.
pub(crate) unsafe extern "C" fn allocate(
    data: *mut c_void,
    min_size: sys::size_t,
    buffer: *mut sys::vpx_codec_frame_buffer_t,
) -> c_int {
    // SAFETY: libvpx passes the data that `Library` set, which it keeps for as long as the context is open.
    let pool = unsafe { &*data.cast::<BufferPool>() };
    let Ok(len) = usize::try_from(min_size) else {
        return -1;
    };
    let mut memory = Arc::new(PictureMemory {
        _buffer: UnsafeCell::new(pool.take(len)),
        start: std::ptr::null_mut(),
        len,
    });
    // The address is taken where the buffer stays: moving it afterwards would end the pointer's validity.
    let Some(unique) = Arc::get_mut(&mut memory) else {
        return -1;
    };
    let start = unique._buffer.get_mut().as_mut_ptr();
    unique.start = start;
    // SAFETY: libvpx passes a structure to write to, and expects exactly these fields.
    unsafe {
        (*buffer).data = start;
        (*buffer).size = min_size;
        (*buffer).priv_ = Arc::into_raw(memory).cast_mut().cast();
    }
    0
}

/// libvpx's callback for a frame buffer that it needs no longer.
pub(crate) unsafe extern "C" fn release(
    _: *mut c_void,
    buffer: *mut sys::vpx_codec_frame_buffer_t,
) -> c_int {
    // SAFETY: libvpx passes a structure that `allocate` filled. It may pass the same one again without another
    // `allocate`, so the pointer is taken out of it.
    let memory = unsafe {
        (*buffer).data = std::ptr::null_mut();
        (*buffer).size = 0;
        std::mem::replace(&mut (*buffer).priv_, std::ptr::null_mut())
    };
    if !memory.is_null() {
        // SAFETY: the pointer is the count that `allocate` leaked, which is given back.
        drop(unsafe { Arc::from_raw(memory.cast::<PictureMemory>().cast_const()) });
    }
    0
}

/// Reads what libvpx hands out.
///
/// # Safety
/// `image` is valid, and nothing writes its samples during the call. Its samples stand where its planes and strides
/// say. If it is of VP9, its `fb_priv` is from [`allocate`] and not released.
pub(crate) unsafe fn read(
    image: NonNull<sys::vpx_image_t>,
    codec: Codec,
    planes: Planes,
    pool: &BufferPool,
) -> Result<Picture, MediaError> {
    let raw = image.as_ptr();
    // SAFETY: the image is valid. The colour space and range are read as numbers, so that a value which the
    // enumerations of the bindings lack is none to them.
    let (color_space, range, image) = unsafe {
        (
            addr_of!((*raw).cs).cast::<u32>().read(),
            addr_of!((*raw).range).cast::<u32>().read(),
            Image {
                size: Size::new((*raw).d_w, (*raw).d_h),
                render_size: Size::new((*raw).r_w, (*raw).r_h),
                shifts: ((*raw).x_chroma_shift, (*raw).y_chroma_shift),
                bit_depth: (*raw).bit_depth,
                starts: (*raw).planes,
                strides: (*raw).stride,
                memory: (*raw).fb_priv,
            },
        )
    };
    let format = image.format()?;
    let count = match planes {
        Planes::All => format.num_planes(),
        Planes::Luma => 1,
    };
    let (render_size, color_space, planes) = match codec {
        // https://www.rfc-editor.org/rfc/rfc6386#section-9.2
        // color_space 0 is "similar to ITU-R BT.601", 1 reserved. There is no size for display.
        Codec::Vp8 => (
            image.size,
            vp9_color_space(1, false),
            // SAFETY: as this function asks.
            unsafe { image.copy(format, count, pool) }?,
        ),
        Codec::Vp9 => (
            image.render_size,
            vp9_color_space(u8::try_from(color_space).unwrap_or(0), range != 0),
            // SAFETY: as this function asks.
            unsafe { image.share(format, count) }?,
        ),
    };
    Ok(Picture {
        format,
        size: image.size,
        render_size,
        color_space,
        planes,
    })
}

/// What a `vpx_image_t` says.
struct Image {
    size: Size,
    render_size: Size,
    shifts: (u32, u32),
    bit_depth: u32,
    starts: [*mut u8; 4],
    strides: [c_int; 4],
    memory: *mut c_void,
}

/// Where the samples of a plane stand.
struct Rows {
    start: *const u8,
    /// Bytes from row to row.
    stride: usize,
    /// Bytes of samples in a row.
    row_bytes: usize,
    count: usize,
}

impl Rows {
    /// Bytes from the first sample to the last; `None` past the address space.
    fn len(&self) -> Option<usize> {
        let Some(before_last) = self.count.checked_sub(1) else {
            return Some(0);
        };
        before_last
            .checked_mul(self.stride)?
            .checked_add(self.row_bytes)
    }
}

impl Image {
    fn format(&self) -> Result<PixelFormat, MediaError> {
        use PixelFormat as F;
        Ok(match (self.shifts, self.bit_depth) {
            ((1, 1), 8) => F::I420,
            ((1, 1), 10) => F::I420P10,
            ((1, 1), 12) => F::I420P12,
            ((1, 0), 8) => F::I422,
            ((1, 0), 10) => F::I422P10,
            ((1, 0), 12) => F::I422P12,
            ((0, 0), 8) => F::I444,
            ((0, 0), 10) => F::I444P10,
            ((0, 0), 12) => F::I444P12,
            ((x, y), depth) => {
                return Err(MediaError::unsupported(format!(
                    "a picture of {depth} bits with chroma of 1/{} of the columns and 1/{} of the rows, for which \
                     WebCodecs has no pixel format",
                    1u64 << x.min(63),
                    1u64 << y.min(63)
                )));
            }
        })
    }

    fn rows(&self, format: PixelFormat, plane: usize) -> Result<Rows, MediaError> {
        let found = self.starts.get(plane).zip(self.strides.get(plane));
        let row_bytes = format.row_bytes(plane, self.size.width);
        match found.map(|(&start, &stride)| (start, usize::try_from(stride))) {
            Some((start, Ok(stride))) if !start.is_null() && stride >= row_bytes => Ok(Rows {
                start,
                stride,
                row_bytes,
                count: format.plane_size(plane, self.size).height as usize,
            }),
            _ => Err(MediaError::backend(format!(
                "libvpx gave no samples for plane {plane} of {}",
                format.as_str()
            ))),
        }
    }

    /// The first `count` planes, over the memory that libvpx wrote.
    ///
    /// # Safety
    /// `memory` is null or from [`allocate`] and not released.
    unsafe fn share(&self, format: PixelFormat, count: usize) -> Result<Vec<Plane>, MediaError> {
        let memory = self.memory.cast::<PictureMemory>().cast_const();
        if memory.is_null() {
            return Err(MediaError::backend(
                "libvpx gave a VP9 picture that is not in the buffers it was lent",
            ));
        }
        // SAFETY: `allocate` stored the pointer of an Arc, of which libvpx holds a count; one more is counted for the
        // frame.
        let shared = unsafe {
            Arc::increment_strong_count(memory);
            Shared(Arc::from_raw(memory))
        };
        let base = shared.0.start.addr();
        let bytes = Bytes::from_owner(shared);
        let plane = |index| {
            let rows = self.rows(format, index)?;
            let start = rows.start.addr().checked_sub(base);
            let end = start
                .zip(rows.len())
                .and_then(|(s, len)| s.checked_add(len));
            match start.zip(end) {
                Some((start, end)) if end <= bytes.len() => Ok(Plane {
                    data: bytes.slice(start..end),
                    stride: rows.stride,
                }),
                _ => Err(MediaError::backend(format!(
                    "libvpx gave plane {index} of {} outside of the buffer it was lent",
                    format.as_str()
                ))),
            }
        };
        (0..count).map(plane).collect()
    }

    /// A copy of the first `count` planes in one buffer of `pool`.
    ///
    /// # Safety
    /// The samples stand where `starts` and `strides` say, and nothing writes them during the call.
    unsafe fn copy(
        &self,
        format: PixelFormat,
        count: usize,
        pool: &BufferPool,
    ) -> Result<Vec<Plane>, MediaError> {
        // Rows start aligned, as SIMD code likes it.
        let planes = (0..count)
            .map(|index| {
                let rows = self.rows(format, index)?;
                let stride = rows.row_bytes.next_multiple_of(ALIGNMENT);
                Ok((rows, stride))
            })
            .collect::<Result<Vec<_>, MediaError>>()?;
        // At most 16383 by 16383 pixels: no sum of this overflows 64 bits, and where they are fewer libvpx could not
        // have allocated the picture either.
        let len = planes
            .iter()
            .map(|(rows, stride)| stride * rows.count)
            .sum::<usize>();
        let mut buffer = pool.take(len);
        let mut rest: &mut [u8] = &mut buffer;
        let mut copied = 0;
        for (rows, stride) in &planes {
            let (plane, after) = rest.split_at_mut(stride * rows.count);
            rest = after;
            for (y, target) in plane.chunks_exact_mut(*stride).enumerate() {
                // SAFETY: as this function asks: row `y` of the plane has `row_bytes` bytes of samples.
                let source = unsafe {
                    std::slice::from_raw_parts(rows.start.add(y * rows.stride), rows.row_bytes)
                };
                if let Some(target) = target.get_mut(..rows.row_bytes) {
                    target.copy_from_slice(source);
                }
            }
            copied += rows.row_bytes * rows.count;
        }
        counters::count_copy(copied);
        let bytes = buffer.freeze();
        let mut at = 0;
        Ok(planes
            .into_iter()
            .map(|(rows, stride)| {
                let start = at;
                at += stride * rows.count;
                Plane {
                    data: bytes.slice(start..at),
                    stride,
                }
            })
            .collect())
    }
}
