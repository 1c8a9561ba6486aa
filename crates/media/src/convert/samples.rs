//! Reading samples of a plane, whatever their depth.

use crate::format::{PixelFormat, PixelLayout};
use crate::frame::CpuImage;

/// Pixels that are converted at a time: the working set stays in the first-level cache.
pub(super) const BLOCK: usize = 512;
/// Room for a block that starts on an odd column of sub-sampled chroma.
pub(super) const CHROMA: usize = BLOCK + 2;

/// How a source stores one block's worth of samples.
#[derive(Clone, Copy)]
pub(super) enum Depth {
    /// One byte each.
    Eight,
    /// Two bytes each, little-endian, this many significant bits (9 to 16).
    More(u32),
}

impl Depth {
    pub(super) fn of(format: PixelFormat) -> Self {
        match format.bit_depth() {
            8 => Self::Eight,
            bits => Self::More(bits),
        }
    }

    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::More(bits) => bits,
        }
    }
}

/// The planes of a YUV image, and how chroma lies under luma.
#[derive(Clone, Copy)]
pub(super) struct YuvPlanes<'a> {
    image: &'a CpuImage,
    pub(super) depth: Depth,
    /// Chroma columns are shared by two pixels.
    pub(super) halved_columns: bool,
    /// Chroma rows are shared by two rows.
    pub(super) halved_rows: bool,
    interleaved: bool,
}

impl<'a> YuvPlanes<'a> {
    /// `None` for RGB.
    pub(super) fn new(image: &'a CpuImage) -> Option<Self> {
        let format = image.format();
        if format.is_rgb() {
            return None;
        }
        let layout = format.layout();
        let (columns, rows) = format.subsampling(1);
        Some(Self {
            image,
            depth: Depth::of(format),
            halved_columns: columns == 2,
            halved_rows: rows == 2,
            interleaved: layout == PixelLayout::Nv12,
        })
    }

    /// Bytes of `plane` from sample `column` of `row` on; empty outside.
    fn bytes(&self, plane: usize, row: usize, column: usize, sample_bytes: usize) -> &'a [u8] {
        let Some(plane) = self.image.planes().get(plane) else {
            return &[];
        };
        let start = row
            .checked_mul(plane.stride)
            .and_then(|start| start.checked_add(column.checked_mul(sample_bytes)?));
        start
            .and_then(|start| plane.data.get(start..))
            .unwrap_or(&[])
    }

    const fn sample_bytes(&self) -> usize {
        match self.depth {
            Depth::Eight => 1,
            Depth::More(_) => 2,
        }
    }

    /// Luma or alpha (plane 0 or 3) of `row` from `column` on, into all of `out`, scaled so that
    /// the most significant bit of a sample is the most significant of the word. Samples past the
    /// format's maximum count as the maximum.
    #[inline(always)]
    pub(super) fn load(&self, plane: usize, row: usize, column: usize, out: &mut [u16]) {
        widen(
            self.bytes(plane, row, column, self.sample_bytes()),
            self.depth,
            out,
        );
    }

    /// U and V of chroma row `row` from chroma column `column` on, scaled as [`YuvPlanes::load`].
    #[inline(always)]
    pub(super) fn load_chroma(&self, row: usize, column: usize, u: &mut [u16], v: &mut [u16]) {
        if self.interleaved {
            let (pairs, _) = self.bytes(1, row, column, 2).as_chunks::<2>();
            for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
                *u = u16::from(pair[0]) << 8;
                *v = u16::from(pair[1]) << 8;
            }
        } else {
            self.load(1, row, column, u);
            self.load(2, row, column, v);
        }
    }
}

#[inline(always)]
fn widen(bytes: &[u8], depth: Depth, out: &mut [u16]) {
    match depth {
        Depth::Eight => {
            for (out, &sample) in out.iter_mut().zip(bytes) {
                *out = u16::from(sample) << 8;
            }
        }
        Depth::More(bits) => {
            let (max, shift) = (u16::MAX >> (16 - bits), 16 - bits);
            for (out, &sample) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *out = u16::from_le_bytes(sample).min(max) << shift;
            }
        }
    }
}
