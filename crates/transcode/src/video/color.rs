//! Colours as YUV samples.

use reelcore_media::color::Matrix;
use reelcore_media::convert::{YuvMatrix, effective_color_space};
use reelcore_media::{ColorSpace, PixelFormat, Size, VideoFrame};

use super::light::Light;
use crate::job::Color;

/// From signals R'G'B' to samples of one colour space and depth: the equations of ITU-T H.273, 8.3.
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
    /// From sRGB.
    light: Option<Light>,
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
            light: Light::between(ColorSpace::SRGB, color),
        }
    }

    /// The samples Y, U and V of signals of the same primaries and transfer function, 1 for white.
    pub(crate) fn samples(&self, [r, g, b]: [f64; 3]) -> [u16; 3] {
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

    /// The samples Y, U and V of a colour of sRGB.
    pub(crate) fn convert(&self, color: [u8; 3]) -> [u16; 3] {
        let signal = color.map(|value| f64::from(value) / 255.0);
        self.samples(match &self.light {
            Some(light) => light.convert(signal),
            None => signal,
        })
    }

    /// The samples of a colour of a specification.
    pub(crate) fn color(&self, color: Color) -> [u16; 3] {
        self.convert(color.0)
    }
}

/// From samples of one colour space and depth to signals R'G'B': the same equations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromYuv(YuvMatrix);

impl FromYuv {
    /// Of samples of so many bits; the matrix of `color`, of which nothing is unknown, is not that of RGB.
    pub(crate) fn new(color: ColorSpace, depth: u32) -> Self {
        let matrix = color.matrix.unwrap_or(Matrix::Bt709);
        Self(YuvMatrix::new(
            matrix,
            color.full_range == Some(true),
            depth,
        ))
    }

    /// The signals of samples Y, U and V; they may be below 0 or above 1.
    pub(crate) fn signals(&self, samples: [u32; 3]) -> [f64; 3] {
        let matrix = &self.0;
        let [y, u, v] = samples.map(f64::from);
        let y = matrix.y_scale * (y - matrix.y_zero);
        let (u, v) = (u - matrix.c_zero, v - matrix.c_zero);
        [
            y + matrix.r_v * v,
            y + matrix.g_u * u + matrix.g_v * v,
            y + matrix.b_u * u,
        ]
    }
}

/// The colours of a picture, nothing unknown.
pub(crate) fn colors_of(frame: &VideoFrame) -> ColorSpace {
    let format = frame.format.unwrap_or(PixelFormat::I420);
    effective_color_space(frame.color_space, format, frame.visible_rect.size())
}

/// Whether samples of both mean the same; of neither anything is unknown.
pub(crate) fn alike(a: ColorSpace, b: ColorSpace) -> bool {
    a.matrix == b.matrix && a.full_range == b.full_range && Light::between(a, b).is_none()
}

/// Whether `frame` stores red, green and blue, be it as planes.
pub(crate) fn is_rgb(frame: &VideoFrame) -> bool {
    frame.format.is_some_and(PixelFormat::is_rgb) || frame.color_space.matrix == Some(Matrix::Rgb)
}

/// `made` of `frame`'s samples, with the matrix that those were taken to have: where none is said, the number of rows decides,
/// which may be another now.
pub(crate) fn colored_as(frame: &VideoFrame, mut made: VideoFrame) -> VideoFrame {
    if !is_rgb(frame) && made.color_space == frame.color_space {
        let matrix = colors_of(frame).matrix;
        if colors_of(&made).matrix != matrix {
            made.color_space.matrix = matrix;
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use reelcore_media::color::{Primaries, Transfer};

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

    #[test]
    fn a_colour_of_srgb_is_as_bright_in_hdr() {
        let size = Size::new(1920, 1080);
        let pq = ColorSpace {
            primaries: Some(Primaries::Bt2020),
            transfer: Some(Transfer::Pq),
            matrix: Some(Matrix::Bt2020Ncl),
            full_range: Some(false),
        };
        let to = ToYuv::new(pq, PixelFormat::I420P10, size);
        // 203 nits are 58.07 % of PQ, and 0.2159 of that 42.8 %.
        assert_eq!(to.convert([255; 3]), [64 + 509, 512, 512]);
        let [grey, u, v] = to.convert([128; 3]);
        assert!(grey.abs_diff(64 + 375) <= 1, "{grey}");
        assert_eq!((u, v), (512, 512));
    }

    #[test]
    fn signals_of_samples_have_those_samples() {
        let size = Size::new(1920, 1080);
        for format in [PixelFormat::I444, PixelFormat::I444P10] {
            for full in [false, true] {
                let color = ColorSpace {
                    full_range: Some(full),
                    ..ColorSpace::REC709
                };
                let from = FromYuv::new(color, format.bit_depth());
                let to = ToYuv::new(color, format, size);
                for samples in [[90, 100, 140], [40, 128, 128], [200, 60, 90]] {
                    let same = to.samples(from.signals(samples)).map(u32::from);
                    assert_eq!(same, samples);
                }
            }
        }
    }
}
