//! Colours as YUV samples.

use reelcore_media::color::Matrix;
use reelcore_media::convert::effective_color_space;
use reelcore_media::{ColorSpace, PixelFormat, Size};

use crate::job::Color;

/// From R'G'B' of 8 bits to samples of one colour space and depth: the equations of ITU-T H.273, 8.3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToYuv {
    kr: f64,
    kb: f64,
    y_zero: f64,
    y_range: f64,
    c_zero: f64,
    c_range: f64,
    max: f64,
    identity: bool,
}

impl ToYuv {
    /// For pictures of `format` and `size` tagged `color`.
    pub(crate) fn new(color: ColorSpace, format: PixelFormat, size: Size) -> Self {
        let color = effective_color_space(color, format, size);
        let (kr, kb) = match color.matrix {
            Some(Matrix::Bt470bg | Matrix::Smpte170m) => (0.299, 0.114),
            Some(Matrix::Bt2020Ncl) => (0.2627, 0.0593),
            _ => (0.2126, 0.0722),
        };
        let unit = f64::from(1u32 << (format.bit_depth() - 8));
        let max = unit * 256.0 - 1.0;
        let full = color.full_range == Some(true);
        Self {
            kr,
            kb,
            y_zero: if full { 0.0 } else { 16.0 * unit },
            y_range: if full { max } else { 219.0 * unit },
            c_zero: 128.0 * unit,
            c_range: if full { max } else { 224.0 * unit },
            max,
            identity: color.matrix == Some(Matrix::Rgb),
        }
    }

    /// The samples Y, U and V of a colour.
    pub(crate) fn convert(&self, [r, g, b]: [u8; 3]) -> [u16; 3] {
        let [r, g, b] = [r, g, b].map(|value| f64::from(value) / 255.0);
        let sample = |value: f64| value.round().clamp(0.0, self.max) as u16;
        if self.identity {
            return [g, b, r].map(|value| sample(self.y_zero + self.y_range * value));
        }
        let y = self.kr * r + (1.0 - self.kr - self.kb) * g + self.kb * b;
        let u = (b - y) / (2.0 * (1.0 - self.kb));
        let v = (r - y) / (2.0 * (1.0 - self.kr));
        [
            sample(self.y_zero + self.y_range * y),
            sample(self.c_zero + self.c_range * u),
            sample(self.c_zero + self.c_range * v),
        ]
    }

    /// The samples of a colour of a specification.
    pub(crate) fn color(&self, color: Color) -> [u16; 3] {
        self.convert(color.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_the_samples_of_the_standards() {
        let size = Size::new(1920, 1080);
        let to = ToYuv::new(ColorSpace::REC709, PixelFormat::I420, size);
        assert_eq!(to.convert([0; 3]), [16, 128, 128]);
        assert_eq!(to.convert([255; 3]), [235, 128, 128]);
        assert_eq!(to.convert([255, 0, 0]), [63, 102, 240]);
        let to = ToYuv::new(
            ColorSpace::default(),
            PixelFormat::I420,
            Size::new(320, 240),
        );
        assert_eq!(
            to.convert([255, 0, 0]),
            [81, 90, 240],
            "BT.601 for small pictures"
        );
        let full = ColorSpace {
            full_range: Some(true),
            ..ColorSpace::REC709
        };
        let to = ToYuv::new(full, PixelFormat::I420P10, size);
        assert_eq!(to.convert([255; 3]), [1023, 512, 512]);
    }
}
