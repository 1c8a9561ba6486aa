//! Colour spaces: <https://w3c.github.io/webcodecs/#videocolorspace-interface>.
//!
//! The numbers are the code points of ITU-T H.273, which H.264, HEVC, VP9, AV1 and MP4 `colr` share.

macro_rules! code_points {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $text:literal $code:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum $name { $($variant,)* }

        impl $name {
            /// Every value, in the specification's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The specification's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The H.273 code point.
            pub const fn code_point(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The value of an H.273 code point that WebCodecs names.
            pub const fn from_code_point(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

code_points! {
    /// The chromaticities of the primaries.
    Primaries {
        Bt709 "bt709" 1;
        Bt470bg "bt470bg" 5;
        Smpte170m "smpte170m" 6;
        Bt2020 "bt2020" 9;
        Smpte432 "smpte432" 12;
    }
}

code_points! {
    /// The transfer function.
    Transfer {
        Bt709 "bt709" 1;
        Smpte170m "smpte170m" 6;
        Iec61966_2_1 "iec61966-2-1" 13;
        Linear "linear" 8;
        Pq "pq" 16;
        Hlg "hlg" 18;
    }
}

impl Transfer {
    /// As [`Transfer::from_code_point`], with the code points that H.273 defines as the same
    /// function as a named one: 14 and 15 (BT.2020, 10 and 12 bits) are BT.709's curve.
    pub const fn from_code_point_or_alias(code: u8) -> Option<Self> {
        match code {
            14 | 15 => Some(Self::Bt709),
            other => Self::from_code_point(other),
        }
    }
}

code_points! {
    /// The matrix between RGB and the stored components.
    Matrix {
        Rgb "rgb" 0;
        Bt709 "bt709" 1;
        Bt470bg "bt470bg" 5;
        Smpte170m "smpte170m" 6;
        Bt2020Ncl "bt2020-ncl" 9;
    }
}

/// A colour space; `None` where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ColorSpace {
    /// Primaries.
    pub primaries: Option<Primaries>,
    /// Transfer function.
    pub transfer: Option<Transfer>,
    /// Matrix coefficients.
    pub matrix: Option<Matrix>,
    /// Full range (true) or limited "video" range (false).
    pub full_range: Option<bool>,
}

impl ColorSpace {
    /// sRGB: <https://w3c.github.io/webcodecs/#srgb-color-space>.
    pub const SRGB: Self = Self {
        primaries: Some(Primaries::Bt709),
        transfer: Some(Transfer::Iec61966_2_1),
        matrix: Some(Matrix::Rgb),
        full_range: Some(true),
    };

    /// Display P3: <https://w3c.github.io/webcodecs/#display-p3-color-space>.
    pub const DISPLAY_P3: Self = Self {
        primaries: Some(Primaries::Smpte432),
        transfer: Some(Transfer::Iec61966_2_1),
        matrix: Some(Matrix::Rgb),
        full_range: Some(true),
    };

    /// REC 709: <https://w3c.github.io/webcodecs/#rec709-color-space>.
    pub const REC709: Self = Self {
        primaries: Some(Primaries::Bt709),
        transfer: Some(Transfer::Bt709),
        matrix: Some(Matrix::Bt709),
        full_range: Some(false),
    };

    /// The colour space of H.273 code points, as bitstreams and `colr nclx` boxes give them.
    /// Unspecified, reserved and unnamed values become `None`.
    pub const fn from_code_points(
        primaries: u8,
        transfer: u8,
        matrix: u8,
        full_range: bool,
    ) -> Self {
        Self {
            primaries: Primaries::from_code_point(primaries),
            transfer: Transfer::from_code_point_or_alias(transfer),
            matrix: Matrix::from_code_point(matrix),
            full_range: Some(full_range),
        }
    }

    /// Each member of `self`, or where it is unknown that of `fallback`.
    pub fn or(self, fallback: Self) -> Self {
        Self {
            primaries: self.primaries.or(fallback.primaries),
            transfer: self.transfer.or(fallback.transfer),
            matrix: self.matrix.or(fallback.matrix),
            full_range: self.full_range.or(fallback.full_range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_round_trip_and_unspecified_is_unknown() {
        for &value in Primaries::ALL {
            assert_eq!(Primaries::from_code_point(value.code_point()), Some(value));
        }
        for &value in Transfer::ALL {
            assert_eq!(Transfer::from_code_point(value.code_point()), Some(value));
        }
        for &value in Matrix::ALL {
            assert_eq!(Matrix::from_code_point(value.code_point()), Some(value));
        }
        let unknown = ColorSpace::from_code_points(2, 2, 2, false);
        assert_eq!(
            unknown,
            ColorSpace {
                full_range: Some(false),
                ..Default::default()
            }
        );
        assert_eq!(unknown.or(ColorSpace::REC709), ColorSpace::REC709);
    }
}
