//! Where converted pixels go.

use crate::error::MediaError;
use crate::geometry::Size;
use crate::layout::PlaneLayout;

/// The rows of a destination of four bytes a pixel. Checked once: every row of the size it was made
/// for is there.
pub(super) struct Rows<'a> {
    bytes: &'a mut [u8],
    stride: usize,
    /// Blue comes first.
    pub(super) bgr: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        destination: &'a mut [u8],
        layout: PlaneLayout,
        size: Size,
        bgr: bool,
    ) -> Result<Self, MediaError> {
        let (start, stride) = (layout.offset as usize, layout.stride as usize);
        let row_bytes = (size.width as usize).checked_mul(4);
        let end = row_bytes.and_then(|row_bytes| {
            let last = (size.height as usize)
                .saturating_sub(1)
                .checked_mul(stride)?;
            last.checked_add(row_bytes)?.checked_add(start)
        });
        let len = destination.len();
        match (end, row_bytes) {
            (Some(end), Some(row_bytes)) if stride >= row_bytes && end <= len => Ok(Self {
                bytes: &mut destination[start..end],
                stride,
                bgr,
            }),
            _ => Err(MediaError::argument(format!(
                "{}x{} pixels of 4 bytes at offset {start}, stride {stride}, do not fit a buffer of \
                 {len} bytes",
                size.width, size.height
            ))),
        }
    }

    /// `count` pixels of `row` from `column` on.
    #[inline(always)]
    pub(super) fn get(&mut self, row: usize, column: usize, count: usize) -> &mut [[u8; 4]] {
        let start = row * self.stride + column * 4;
        self.bytes
            .get_mut(start..start + count * 4)
            .unwrap_or_default()
            .as_chunks_mut::<4>()
            .0
    }
}
