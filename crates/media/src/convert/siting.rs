//! Where chroma samples lie, for all who make them or interpolate between them.

use crate::color::{ColorSpace, Matrix, Transfer};
use crate::format::PixelFormat;

/// Where chroma samples lie among those of luma: `chroma_sample_loc_type` of H.264 and HEVC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChromaSiting {
    /// On the left column, between the rows: what H.264, HEVC, VP9 and AV1 mean where they say nothing.
    Left,
    /// On the left column and the upper row: BT.2020 and BT.2100.
    TopLeft,
}

impl ChromaSiting {
    /// No stream's own siting arrives here: HDR has that of BT.2100, all else that of the standards' default.
    pub fn of(format: PixelFormat, color: ColorSpace) -> Self {
        let hdr = matches!(color.transfer, Some(Transfer::Pq | Transfer::Hlg));
        let wide = color.matrix == Some(Matrix::Bt2020Ncl);
        match hdr && wide && format.subsampling(1) == (2, 2) {
            true => Self::TopLeft,
            false => Self::Left,
        }
    }

    /// Factor and shift, for columns and rows, from positions in pixels (centres at halves) to indices of chroma that is
    /// sub-sampled by `h` and `v`.
    pub fn index(self, h: u32, v: u32) -> ((f64, f64), (f64, f64)) {
        // Sample i lies on the centre of pixel 2i, or between pixels 2i and 2i + 1.
        let on = (0.5, -0.25);
        let between = (0.5, -0.5);
        let same = (1.0, -0.5);
        let columns = if h == 2 { on } else { same };
        let rows = match (v, self) {
            (2, Self::Left) => between,
            (2, Self::TopLeft) => on,
            _ => same,
        };
        (columns, rows)
    }

    /// How many pixels the linear kernel reads for a sample of chroma, in a row and in a column: one; three, which count 1, 2
    /// and 1; or four, which count 1, 3, 3 and 1.
    pub fn taps(self, h: u32, v: u32) -> (u32, u32) {
        let columns = if h == 2 { 3 } else { 1 };
        let rows = match (v, self) {
            (2, Self::Left) => 4,
            (2, Self::TopLeft) => 3,
            _ => 1,
        };
        (columns, rows)
    }
}
