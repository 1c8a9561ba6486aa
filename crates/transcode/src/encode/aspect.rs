//! At which aspect ratio containers show what is encoded. Pictures are of whole pixels, and so is the size that they are shown at:
//! 720 pixels of 32:27 are shown on 853.33 others, of which their frames keep 853.

use reelcore_media::Size;

/// How a container says at which aspect ratio its pictures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// By a size in whole pixels.
    Pixels,
    /// By a ratio of any numbers. Width and height of a pixel are those of the source, where it says them.
    Ratio(Option<Size>),
}

impl Shown {
    /// The display aspect ratio of pictures of `visible` pixels, which are shown at about `display`, where `coded` of them are
    /// encoded; `None` where they are square. Nothing is turned yet.
    pub(crate) fn aspect(self, visible: Size, display: Size, coded: Size) -> Option<Size> {
        if display.area() == 0 || visible.area() == 0 || coded.area() == 0 {
            return None;
        }
        let pixel = match self {
            Self::Pixels => None,
            Self::Ratio(pixel) => pixel
                .and_then(|pixel| of_source(visible, display, pixel))
                .or_else(|| simplest_pixel(visible, display)),
        };
        let square = match pixel {
            Some((width, height)) => width == height,
            None => {
                u64::from(display.width) * u64::from(visible.height)
                    == u64::from(display.height) * u64::from(visible.width)
            }
        };
        if square {
            return None;
        }
        let exact = pixel.and_then(|pixel| stretched(coded, pixel));
        exact.or(Some(display))
    }
}

/// The pixels of the source, upright or turned by a quarter, if they are still those of the pictures. What is cut or padded is
/// rounded once more, but for square pixels.
fn of_source(visible: Size, display: Size, pixel: Size) -> Option<(u64, u64)> {
    let (width, height) = (u64::from(pixel.width), u64::from(pixel.height));
    let off = |pixel: &(u64, u64)| {
        let shown = visible.with_sample_aspect(*pixel);
        let width = shown.width.abs_diff(display.width);
        width.max(shown.height.abs_diff(display.height))
    };
    let most = u32::from(display != visible);
    [(width, height), (height, width)]
        .into_iter()
        .filter(|pixel| width > 0 && height > 0 && off(pixel) <= most)
        .min_by_key(off)
}

/// The pixels of the smallest numbers with which `visible` is shown at `display`: those that standards name are, where pictures are
/// not small.
fn simplest_pixel(visible: Size, display: Size) -> Option<(u64, u64)> {
    let pixel = if display.height == visible.height {
        simplest(display.width, visible.width)
    } else if display.width == visible.width {
        let (height, width) = simplest(display.height, visible.height);
        (width, height)
    } else {
        return None;
    };
    (visible.with_sample_aspect(pixel) == display).then_some(pixel)
}

/// The fraction of the smallest numbers between half a pixel less and half a pixel more than `shown`, of `of` pixels.
fn simplest(shown: u32, of: u32) -> (u64, u64) {
    let (shown, of) = (2 * u64::from(shown), 2 * u64::from(of));
    between((shown.saturating_sub(1), of), (shown + 1, of))
}

/// The fraction of the smallest numbers from `low` to `high`: whole parts that both have in common, and then, of what is left, the
/// same of the reciprocals. As Euclid's algorithm, it is short.
fn between(low: (u64, u64), high: (u64, u64)) -> (u64, u64) {
    let (whole, rest) = (low.0 / low.1, low.0 % low.1);
    if rest == 0 {
        return (whole, 1);
    }
    if (whole + 1) * high.1 <= high.0 {
        return (whole + 1, 1);
    }
    let (width, height) = between((high.1, high.0 - whole * high.1), (low.1, rest));
    (whole * width + height, width)
}

/// The display aspect ratio of `visible` with such pixels, in its lowest terms.
fn stretched(visible: Size, (width, height): (u64, u64)) -> Option<Size> {
    let width = u128::from(visible.width) * u128::from(width);
    let height = u128::from(visible.height) * u128::from(height);
    let (mut a, mut b) = (width, height);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let side = |side: u128| u32::try_from(side.checked_div(a)?).ok();
    side(width).zip(side(height)).map(|(w, h)| Size::new(w, h))
}

/// Width and height of a pixel of pictures of `size` that are shown at the ratio `aspect`, in lowest terms.
pub(super) fn pixel_of(size: Size, aspect: Size) -> Option<Size> {
    stretched(aspect, (u64::from(size.height), u64::from(size.width)))
        .filter(|size| size.area() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pixels of what comes out for pictures of `visible` that are shown at `display`.
    fn pixel(shown: Shown, visible: Size, display: Size) -> Option<(u32, u32)> {
        let aspect = shown.aspect(visible, display, visible)?;
        pixel_of(visible, aspect).map(|pixel| (pixel.width, pixel.height))
    }

    #[test]
    fn the_pixels_that_standards_name_outlast_the_rounding_of_frames() {
        for (width, height, of, ratios) in [
            (
                720,
                480,
                1,
                [(8, 9), (10, 11), (32, 27), (40, 33)].as_slice(),
            ),
            (704, 480, 1, &[(10, 11), (40, 33), (4, 3)]),
            (720, 576, 1, &[(12, 11), (16, 15), (16, 11), (64, 45)]),
            (1440, 1080, 1, &[(4, 3)]),
            (320, 180, 1, &[(16, 11)]),
            (480, 720, 1, &[(27, 32), (9, 8)]),
            // Too small to tell alone: but the source says it.
            (176, 144, 0, &[(160, 99)]),
        ] {
            let visible = Size::new(width, height);
            for &(w, h) in ratios {
                let display = visible.with_sample_aspect((w.into(), h.into()));
                let said = Shown::Ratio(Some(Size::new(w, h)));
                assert_eq!(pixel(said, visible, display), Some((w, h)), "{visible:?}");
                let turned = Shown::Ratio(Some(Size::new(h, w)));
                assert_eq!(pixel(turned, visible, display), Some((w, h)), "turned");
                if of == 1 {
                    let unsaid = Shown::Ratio(None);
                    assert_eq!(pixel(unsaid, visible, display), Some((w, h)), "unsaid");
                }
                let pixels = Shown::Pixels.aspect(visible, display, visible);
                assert_eq!(pixels, Some(display), "in whole pixels");
            }
        }
    }

    #[test]
    fn what_was_scaled_is_not_stretched_by_what_its_source_says() {
        let source = Shown::Ratio(Some(Size::new(32, 27)));
        let size = Size::new(640, 360);
        assert_eq!(source.aspect(size, size, size), None);
        // Of another ratio than the source's: within half a pixel of what is shown.
        let display = Size::new(1000, 360);
        let aspect = source.aspect(size, display, size).expect("not square");
        let pixel = pixel_of(size, aspect).expect("a ratio");
        let shown = size.with_sample_aspect((pixel.width.into(), pixel.height.into()));
        assert_eq!(shown, display);
    }

    #[test]
    fn ratios_of_any_size_are_found() {
        for size in [
            Size::new(1, 1),
            Size::new(u32::MAX, 1),
            Size::new(3, u32::MAX),
        ] {
            for display in [
                size,
                Size::new(u32::MAX, u32::MAX),
                Size::new(1, 1),
                Size::new(0, 1),
            ] {
                for pixel in [None, Some(Size::new(u32::MAX, 7)), Some(Size::new(0, 1))] {
                    if let Some(aspect) = Shown::Ratio(pixel).aspect(size, display, size) {
                        assert!(aspect.area() > 0, "{size:?} {display:?}");
                    }
                }
            }
        }
    }
}
