//! Copying planes as they are.

use crate::counters::count_copy;
use crate::error::MediaError;
use crate::format::MAX_PLANES;
use crate::frame::CpuImage;
use crate::layout::CombinedBufferLayout;

/// The copy of one plane, all of it checked; in bytes.
#[derive(Clone, Copy)]
struct PlaneCopy {
    index: usize,
    /// Where the first row starts in the source.
    first: usize,
    row_bytes: usize,
    rows: usize,
    /// The destination: rows, start and length.
    stride: usize,
    start: usize,
    len: usize,
}

/// Copies planes of `image` to where `layout` wants them in `destination`, without conversion: the
/// way of `copyTo()` that keeps the format.
///
/// The layout may be that of a format with fewer planes, which is how transparency is left out.
/// Bytes of the destination between the rows are left as they are.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the layout asks for more than the
/// image has, or for more than the destination holds. Nothing is copied then.
pub fn copy_planes(
    image: &CpuImage,
    layout: &CombinedBufferLayout,
    destination: &mut [u8],
) -> Result<(), MediaError> {
    let (format, size) = (image.format(), image.size());
    let planes = image.planes();
    if layout.computed_layouts.len() > planes.len() {
        return Err(MediaError::argument(format!(
            "{} has {} planes, {} were asked for",
            format.as_str(),
            planes.len(),
            layout.computed_layouts.len()
        )));
    }
    let mut copies = [None; MAX_PLANES];
    for (index, (want, copy)) in layout.computed_layouts.iter().zip(&mut copies).enumerate() {
        let Some(plane) = planes.get(index) else {
            continue;
        };
        let row_bytes = want.source_width_bytes as usize;
        let rows = want.source_height as usize;
        if rows == 0 || row_bytes == 0 {
            continue;
        }
        let right = want
            .source_left_bytes
            .checked_add(u64::from(want.source_width_bytes));
        let bottom = u64::from(want.source_top) + u64::from(want.source_height);
        let plane_size = format.plane_size(index, size);
        if right.is_none_or(|right| right > format.row_bytes(index, size.width) as u64)
            || bottom > u64::from(plane_size.height)
        {
            return Err(MediaError::argument(format!(
                "plane {index} of {} {}x{} has no {row_bytes} bytes at {} in rows {} to {bottom}",
                format.as_str(),
                size.width,
                size.height,
                want.source_left_bytes,
                want.source_top
            )));
        }
        let stride = want.destination_stride as usize;
        let start = want.destination_offset as usize;
        let end = (rows - 1)
            .checked_mul(stride)
            .and_then(|bytes| bytes.checked_add(row_bytes)?.checked_add(start));
        let Some(target) = end.and_then(|end| destination.get(start..end)) else {
            return Err(MediaError::argument(format!(
                "plane {index}: {rows} rows of {row_bytes} bytes at offset {start}, stride {stride}, \
                 do not fit a buffer of {} bytes",
                destination.len()
            )));
        };
        if stride < row_bytes {
            return Err(MediaError::argument(format!(
                "plane {index}: stride {stride} is shorter than a row of {row_bytes} bytes"
            )));
        }
        // The image's own constructor made sure that rows and strides lie within the plane.
        let first = want.source_top as usize * plane.stride + want.source_left_bytes as usize;
        *copy = Some(PlaneCopy {
            index,
            first,
            row_bytes,
            rows,
            stride,
            start,
            len: target.len(),
        });
    }
    for copy in copies.into_iter().flatten() {
        let PlaneCopy {
            index,
            first,
            row_bytes,
            rows,
            stride,
            start,
            len,
        } = copy;
        let (Some(plane), Some(target)) =
            (planes.get(index), destination.get_mut(start..start + len))
        else {
            continue;
        };
        let Some(source) = plane.data.get(first..) else {
            continue;
        };
        if stride == row_bytes && plane.stride == row_bytes {
            // Rows without gaps on both sides are one run of bytes.
            if let Some(source) = source.get(..len) {
                target.copy_from_slice(source);
            }
        } else {
            let source_rows = source.chunks(plane.stride);
            for (to, from) in target.chunks_mut(stride).zip(source_rows).take(rows) {
                if let (Some(to), Some(from)) = (to.get_mut(..row_bytes), from.get(..row_bytes)) {
                    to.copy_from_slice(from);
                }
            }
        }
        count_copy(row_bytes * rows);
    }
    Ok(())
}
