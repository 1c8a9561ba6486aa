//! Curves and chroma positions, as the shaders tell them apart.

use reelcore_media::color::{Matrix, Transfer};
use reelcore_media::{ColorSpace, PixelFormat};

/// The transfer functions that differ here; see `docs/decisions/0007-colour-conversion.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    /// sRGB; BT.709 and SMPTE 170M video is taken for it, as browsers do.
    Sdr,
    /// Linear light.
    Linear,
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Curve {
    pub(crate) const fn of(transfer: Transfer) -> Self {
        match transfer {
            Transfer::Bt709 | Transfer::Smpte170m | Transfer::Iec61966_2_1 => Self::Sdr,
            Transfer::Linear => Self::Linear,
            Transfer::Pq => Self::Pq,
            Transfer::Hlg => Self::Hlg,
        }
    }

    pub(crate) const fn is_hdr(self) -> bool {
        matches!(self, Self::Pq | Self::Hlg)
    }

    /// The number in `source.wgsl`.
    pub(super) const fn mode(self) -> u32 {
        match self {
            Self::Sdr => 1,
            Self::Linear => 2,
            Self::Pq => 3,
            Self::Hlg => 4,
        }
    }
}

/// Where chroma samples lie among those of luma: `chroma_sample_loc_type` of H.264 and HEVC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Siting {
    /// On the left column, between the rows: what H.264, HEVC, VP9 and AV1 mean where they say nothing.
    Left,
    /// On the left column and the upper row: BT.2020 and BT.2100.
    TopLeft,
}

impl Siting {
    /// No stream's own siting arrives here: HDR has that of BT.2100, all else that of the standards' default.
    pub(crate) fn of(format: PixelFormat, color: ColorSpace) -> Self {
        let hdr = color
            .transfer
            .is_some_and(|transfer| Curve::of(transfer).is_hdr());
        let wide = color.matrix == Some(Matrix::Bt2020Ncl);
        match hdr && wide && format.subsampling(1) == (2, 2) {
            true => Self::TopLeft,
            false => Self::Left,
        }
    }

    /// Factor and shift, for columns and rows, from positions in pixels (centres at halves) to indices of chroma.
    pub(crate) fn index(self, h: u32, v: u32) -> ((f64, f64), (f64, f64)) {
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

    /// How many pixels the linear kernel reads for a sample of chroma, in a row and in a column.
    pub(crate) fn taps(self, h: u32, v: u32) -> (u32, u32) {
        let columns = if h == 2 { 3 } else { 1 };
        let rows = match (v, self) {
            (2, Self::Left) => 4,
            (2, Self::TopLeft) => 3,
            _ => 1,
        };
        (columns, rows)
    }
}
