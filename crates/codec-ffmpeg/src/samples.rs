//! The samples of libavcodec's frames, as planes of ours.

use std::sync::Arc;

use reelcore_media::{PixelFormat, Size};

use crate::library::Frame;

/// The samples of one plane, which hold the frame.
pub(crate) struct Samples {
    frame: Arc<Frame>,
    index: usize,
    rows: usize,
    row_bytes: usize,
    pub(crate) stride: usize,
}

impl Samples {
    /// `format` and `size` must be the frame's own. `None` where it has no such plane.
    pub(crate) fn new(
        frame: &Arc<Frame>,
        format: PixelFormat,
        size: Size,
        index: usize,
    ) -> Option<Self> {
        let rows = format.plane_size(index, size).height as usize;
        let row_bytes = format.row_bytes(index, size.width);
        // SAFETY: of the frame's own size and format.
        let (_, stride) = unsafe { frame.plane(index, rows, row_bytes) }?;
        Some(Self {
            frame: frame.clone(),
            index,
            rows,
            row_bytes,
            stride,
        })
    }
}

impl AsRef<[u8]> for Samples {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `new` took rows and bytes from the frame's own size and format.
        let plane = unsafe { self.frame.plane(self.index, self.rows, self.row_bytes) };
        plane.map_or(&[], |(samples, _)| samples)
    }
}

/// The pixel format of libavutil's `name`, and whether its chroma is missing.
pub(crate) fn pixel_format(name: &str) -> Option<(PixelFormat, bool)> {
    use PixelFormat as F;
    Some(match name {
        "yuv420p" | "yuvj420p" => (F::I420, false),
        "yuv422p" | "yuvj422p" => (F::I422, false),
        // RGB is coded as G, B, R in the places of Y, Cb, Cr, with the matrix that says so.
        "yuv444p" | "yuvj444p" | "gbrp" => (F::I444, false),
        "yuv420p10le" => (F::I420P10, false),
        "yuv422p10le" => (F::I422P10, false),
        "yuv444p10le" | "gbrp10le" => (F::I444P10, false),
        "yuv420p12le" => (F::I420P12, false),
        "yuv422p12le" => (F::I422P12, false),
        "yuv444p12le" | "gbrp12le" => (F::I444P12, false),
        "yuva420p" => (F::I420A, false),
        "gray" => (F::I420, true),
        "gray10le" => (F::I420P10, true),
        "gray12le" => (F::I420P12, true),
        _ => return None,
    })
}
