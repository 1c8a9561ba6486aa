//! Pixel formats of video frames and sample formats of audio, with the geometry of their planes.

use crate::geometry::{Rect, Size};

macro_rules! pixel_formats {
    ($($variant:ident $name:literal $sub:ident $depth:literal $alpha:literal;)*) => {
        /// How pixels are stored: <https://w3c.github.io/webcodecs/#enumdef-videopixelformat>.
        ///
        /// Samples of 10 and 12 bits stand in the low bits of little-endian 16-bit words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum PixelFormat { $($variant,)* }

        impl PixelFormat {
            /// Every format, in the specification's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The specification's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The format of that name, case-sensitive.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Where the colour samples stand.
            pub const fn layout(self) -> PixelLayout {
                match self { $(Self::$variant => PixelLayout::$sub,)* }
            }

            /// Significant bits of each sample: 8, 10 or 12.
            pub const fn bit_depth(self) -> u32 {
                match self { $(Self::$variant => $depth,)* }
            }

            /// Whether the format carries transparency (RGBX and BGRX do not).
            pub const fn has_alpha(self) -> bool {
                match self { $(Self::$variant => $alpha,)* }
            }
        }
    };
}

pixel_formats! {
    I420 "I420" Yuv420 8 false;
    I420P10 "I420P10" Yuv420 10 false;
    I420P12 "I420P12" Yuv420 12 false;
    I420A "I420A" Yuv420 8 true;
    I420AP10 "I420AP10" Yuv420 10 true;
    I420AP12 "I420AP12" Yuv420 12 true;
    I422 "I422" Yuv422 8 false;
    I422P10 "I422P10" Yuv422 10 false;
    I422P12 "I422P12" Yuv422 12 false;
    I422A "I422A" Yuv422 8 true;
    I422AP10 "I422AP10" Yuv422 10 true;
    I422AP12 "I422AP12" Yuv422 12 true;
    I444 "I444" Yuv444 8 false;
    I444P10 "I444P10" Yuv444 10 false;
    I444P12 "I444P12" Yuv444 12 false;
    I444A "I444A" Yuv444 8 true;
    I444AP10 "I444AP10" Yuv444 10 true;
    I444AP12 "I444AP12" Yuv444 12 true;
    Nv12 "NV12" Nv12 8 false;
    Rgba "RGBA" Rgba 8 true;
    Rgbx "RGBX" Rgba 8 false;
    Bgra "BGRA" Bgra 8 true;
    Bgrx "BGRX" Bgra 8 false;
}

/// The arrangement of colour samples, without depth and transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelLayout {
    /// Planes Y, U, V; U and V at half width and half height.
    Yuv420,
    /// Planes Y, U, V; U and V at half width.
    Yuv422,
    /// Planes Y, U, V at full size.
    Yuv444,
    /// Plane Y, then one plane of U and V in turn at half width and half height.
    Nv12,
    /// One plane of R, G, B and A or X in turn.
    Rgba,
    /// One plane of B, G, R and A or X in turn.
    Bgra,
}

/// The largest number of planes a format has.
pub const MAX_PLANES: usize = 4;

impl PixelFormat {
    /// Whether the format stores red, green and blue.
    pub const fn is_rgb(self) -> bool {
        matches!(self.layout(), PixelLayout::Rgba | PixelLayout::Bgra)
    }

    /// The number of planes: 1 to 4.
    pub const fn num_planes(self) -> usize {
        match self.layout() {
            PixelLayout::Rgba | PixelLayout::Bgra => 1,
            PixelLayout::Nv12 => 2,
            _ => 3 + self.has_alpha() as usize,
        }
    }

    /// Bytes of one sample of `plane`: for NV12's second plane a U and V pair, for RGB a pixel.
    pub const fn sample_bytes(self, plane: usize) -> usize {
        match self.layout() {
            PixelLayout::Rgba | PixelLayout::Bgra => 4,
            PixelLayout::Nv12 => 1 + (plane == 1) as usize,
            _ => 1 + (self.bit_depth() > 8) as usize,
        }
    }

    /// Horizontal and vertical sub-sampling factors of `plane` (1 or 2).
    pub const fn subsampling(self, plane: usize) -> (u32, u32) {
        match (self.layout(), plane) {
            (PixelLayout::Yuv420, 1 | 2) | (PixelLayout::Nv12, 1) => (2, 2),
            (PixelLayout::Yuv422, 1 | 2) => (2, 1),
            _ => (1, 1),
        }
    }

    /// Columns (in samples) and rows of `plane` for an image of `size`; odd sizes round up.
    pub const fn plane_size(self, plane: usize, size: Size) -> Size {
        let (h, v) = self.subsampling(plane);
        Size::new(size.width.div_ceil(h), size.height.div_ceil(v))
    }

    /// Bytes of a tightly packed row of `plane` for an image `width` pixels wide.
    pub const fn row_bytes(self, plane: usize, width: u32) -> usize {
        self.plane_size(plane, Size::new(width, 1)).width as usize * self.sample_bytes(plane)
    }

    /// Bytes of all planes, tightly packed; `None` past `usize`.
    pub fn packed_size(self, size: Size) -> Option<usize> {
        let mut total = 0usize;
        for plane in 0..self.num_planes() {
            let rows = self.plane_size(plane, size).height as usize;
            total = total.checked_add(self.row_bytes(plane, size.width).checked_mul(rows)?)?;
        }
        Some(total)
    }

    /// Whether `rect` starts on whole samples of every plane.
    pub const fn rect_is_sample_aligned(self, rect: Rect) -> bool {
        let mut plane = 0;
        while plane < self.num_planes() {
            let (h, v) = self.subsampling(plane);
            if !rect.x.is_multiple_of(h) || !rect.y.is_multiple_of(v) {
                return false;
            }
            plane += 1;
        }
        true
    }

    /// The format without transparency: I420 for I420A, RGBX for RGBA, itself otherwise.
    pub const fn without_alpha(self) -> Self {
        match self {
            Self::I420A => Self::I420,
            Self::I420AP10 => Self::I420P10,
            Self::I420AP12 => Self::I420P12,
            Self::I422A => Self::I422,
            Self::I422AP10 => Self::I422P10,
            Self::I422AP12 => Self::I422P12,
            Self::I444A => Self::I444,
            Self::I444AP10 => Self::I444P10,
            Self::I444AP12 => Self::I444P12,
            Self::Rgba => Self::Rgbx,
            Self::Bgra => Self::Bgrx,
            other => other,
        }
    }
}

/// How audio samples are stored: <https://w3c.github.io/webcodecs/#enumdef-audiosampleformat>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned 8-bit, interleaved.
    U8,
    /// Signed 16-bit, interleaved.
    S16,
    /// Signed 32-bit, interleaved.
    S32,
    /// 32-bit float, interleaved.
    F32,
    /// Unsigned 8-bit, planar.
    U8Planar,
    /// Signed 16-bit, planar.
    S16Planar,
    /// Signed 32-bit, planar.
    S32Planar,
    /// 32-bit float, planar.
    F32Planar,
}

impl SampleFormat {
    /// Every format, in the specification's order.
    pub const ALL: &'static [Self] = &[
        Self::U8,
        Self::S16,
        Self::S32,
        Self::F32,
        Self::U8Planar,
        Self::S16Planar,
        Self::S32Planar,
        Self::F32Planar,
    ];

    /// Whether each channel has a plane of its own.
    pub const fn is_planar(self) -> bool {
        matches!(
            self,
            Self::U8Planar | Self::S16Planar | Self::S32Planar | Self::F32Planar
        )
    }

    /// The interleaved format of the same sample type.
    pub const fn interleaved(self) -> Self {
        match self {
            Self::U8 | Self::U8Planar => Self::U8,
            Self::S16 | Self::S16Planar => Self::S16,
            Self::S32 | Self::S32Planar => Self::S32,
            Self::F32 | Self::F32Planar => Self::F32,
        }
    }

    /// Bytes of one sample: 1, 2 or 4.
    pub const fn sample_bytes(self) -> usize {
        match self.interleaved() {
            Self::U8 => 1,
            Self::S16 => 2,
            _ => 4,
        }
    }

    /// The specification's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::F32 => "f32",
            Self::U8Planar => "u8-planar",
            Self::S16Planar => "s16-planar",
            Self::S32Planar => "s32-planar",
            Self::F32Planar => "f32-planar",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up_as_the_specification_does() {
        let size = Size::new(5, 3);
        assert_eq!(PixelFormat::I420.plane_size(1, size), Size::new(3, 2));
        assert_eq!(PixelFormat::I422.plane_size(1, size), Size::new(3, 3));
        assert_eq!(PixelFormat::Nv12.row_bytes(1, 5), 6);
        assert_eq!(PixelFormat::I420A.packed_size(size), Some(15 + 6 + 6 + 15));
        assert_eq!(PixelFormat::I444P10.packed_size(size), Some(90));
    }

    #[test]
    fn names_round_trip() {
        for &format in PixelFormat::ALL {
            assert_eq!(PixelFormat::from_name(format.as_str()), Some(format));
        }
        assert_eq!(PixelFormat::from_name("i420"), None);
    }

    #[test]
    fn a_size_past_the_address_space_has_no_packed_size_or_a_true_one() {
        let size = PixelFormat::I444AP12.packed_size(Size::new(u32::MAX, u32::MAX));
        assert!(size.is_none_or(|bytes| bytes as u128 >= (u32::MAX as u128).pow(2)));
    }
}
