//! Curves, as the shaders tell them apart.

use reelcore_media::color::Transfer;

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
