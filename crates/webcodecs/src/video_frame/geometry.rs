//! The rectangles, sizes and orientations of a VideoFrame, without JavaScript.
//!
//! Errors are the messages of the TypeErrors that the algorithms throw.

use reelcore_media::{PixelFormat, Rect, Rotation, Size};

/// A DOMRectInit, as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RectInit {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// The members of a VideoFrameInit that are geometry.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameGeometryInit {
    pub visible_rect: Option<RectInit>,
    pub display_width: Option<u32>,
    pub display_height: Option<u32>,
    pub rotation: f64,
    pub flip: bool,
}

/// What those algorithms decide of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameGeometry {
    pub visible_rect: Rect,
    pub display_size: Size,
    pub rotation: Rotation,
    pub flip: bool,
}

/// The rectangle within an image of `coded` pixels, truncated to whole pixels.
fn within(rect: RectInit, coded: Size) -> Result<Rect, String> {
    let RectInit {
        x,
        y,
        width,
        height,
    } = rect;
    if [x, y, width, height]
        .iter()
        .any(|value| !value.is_finite() || *value < 0.0)
    {
        return Err(format!(
            "rectangle {width}x{height} at ({x}, {y}) is negative or not finite"
        ));
    }
    // Pixels are addressed by whole numbers: what a rectangle says is truncated.
    // https://w3c.github.io/webcodecs/#videoframe-domrect
    let [x, y, width, height] = [x, y, width, height].map(f64::trunc);
    if width == 0.0 || height == 0.0 {
        return Err(format!("rectangle at ({x}, {y}) is empty"));
    }
    if x + width > f64::from(coded.width) || y + height > f64::from(coded.height) {
        return Err(format!(
            "rectangle {width}x{height} at ({x}, {y}) exceeds the coded size {}x{}",
            coded.width, coded.height
        ));
    }
    // Bounded by a u32 each, from here on.
    Ok(Rect {
        x: x as u32,
        y: y as u32,
        width: width as u32,
        height: height as u32,
    })
}

/// Verify Rect Offset Alignment:
/// <https://w3c.github.io/webcodecs/#videoframe-verify-rect-offset-alignment>
fn verify_alignment(format: Option<PixelFormat>, rect: Rect) -> Result<(), String> {
    match format {
        // 1. If format is null, return true.
        Some(format) if !format.rect_is_sample_aligned(rect) => Err(format!(
            "rectangle at ({}, {}) does not start on a whole sample of {}",
            rect.x,
            rect.y,
            format.as_str()
        )),
        _ => Ok(()),
    }
}

/// Parse Visible Rect: <https://w3c.github.io/webcodecs/#videoframe-parse-visible-rect>
pub(crate) fn parse_visible_rect(
    default: Rect,
    given: Option<RectInit>,
    coded: Size,
    format: Option<PixelFormat>,
) -> Result<Rect, String> {
    // 1. Let sourceRect be defaultRect.
    // 2. If overrideRect is not undefined: check it, and assign it to sourceRect.
    let rect = given.map_or(Ok(default), |rect| within(rect, coded))?;
    // 3., 4. Verify Rect Offset Alignment.
    verify_alignment(format, rect)?;
    // 5. Return sourceRect.
    Ok(rect)
}

/// Steps 3 and 4 of Validate VideoFrameInit, and 5 and 6 of the check of VideoFrameBufferInit.
pub(crate) fn check_display_size(
    width: Option<u32>,
    height: Option<u32>,
) -> Result<Option<Size>, String> {
    match (width, height) {
        (None, None) => Ok(None),
        (Some(0), _) | (_, Some(0)) => Err("displayWidth and displayHeight must not be 0".into()),
        (Some(width), Some(height)) => Ok(Some(Size::new(width, height))),
        _ => Err("displayWidth and displayHeight must be given together".into()),
    }
}

/// Validate VideoFrameInit, then Initialize Visible Rect, Orientation, and Display Size, for a frame
/// over another one (`base`) of `coded` pixels.
/// <https://w3c.github.io/webcodecs/#validate-videoframeinit>
/// <https://w3c.github.io/webcodecs/#videoframe-initialize-visible-rect-orientation-and-display-size>
pub(crate) fn over(
    base: FrameGeometry,
    coded: Size,
    format: Option<PixelFormat>,
    init: &FrameGeometryInit,
) -> Result<FrameGeometry, String> {
    let given_display = check_display_size(init.display_width, init.display_height)?;
    // 1. Let visibleRect be defaultVisibleRect. 2. If init.visibleRect exists, assign it.
    // Alignment was checked when the base frame got its rectangle.
    let visible_rect = match init.visible_rect {
        Some(rect) => {
            let rect = within(rect, coded)?;
            verify_alignment(format, rect)?;
            rect
        }
        None => base.visible_rect,
    };
    // 4. Let rotation be the result of running Add Rotations, with baseRotation, baseFlip, and
    //    init.rotation.
    let rotation = add_rotations(base.rotation, base.flip, Rotation::parse(init.rotation));
    // 5. If baseFlip is equal to init.flip, assign false to flip, otherwise true.
    let flip = base.flip != init.flip;
    // 6. If displayWidth and displayHeight exist in init, assign them.
    // 7. Otherwise scale the visible size as the base frame scales its own.
    let display_size = given_display.unwrap_or_else(|| {
        let natural = |size: Size, rotation: Rotation| match rotation.swaps_axes() {
            true => Size::new(size.height, size.width),
            false => size,
        };
        let base_display = natural(base.display_size, base.rotation);
        let scaled = |length: u32, display: u32, visible: u32| {
            let scaled = f64::from(length) * f64::from(display) / f64::from(visible.max(1));
            // A cast saturates, so a huge scale cannot wrap around.
            (scaled.round() as u32).max(1)
        };
        let size = Size::new(
            scaled(
                visible_rect.width,
                base_display.width,
                base.visible_rect.width,
            ),
            scaled(
                visible_rect.height,
                base_display.height,
                base.visible_rect.height,
            ),
        );
        natural(size, rotation)
    });
    Ok(FrameGeometry {
        visible_rect,
        display_size,
        rotation,
        flip,
    })
}

/// Add Rotations: <https://w3c.github.io/webcodecs/#videoframe-add-rotations>
fn add_rotations(base: Rotation, base_flip: bool, rotation: Rotation) -> Rotation {
    // 1. If baseFlip is false, let combinedRotation be baseRotation plus rotation; otherwise
    //    baseRotation minus rotation. 2., 3. Reduce it to a turn.
    let turns = if base_flip {
        4 - rotation.quarters()
    } else {
        rotation.quarters()
    };
    Rotation::from_quarters(base.quarters() + turns)
}

/// The geometry of a frame over a buffer of `coded` pixels, whose rectangle is `visible_rect`: step
/// 21 of <https://w3c.github.io/webcodecs/#dom-videoframe-videoframe-data-init>.
pub(crate) fn of_buffer(
    visible_rect: Rect,
    display: Option<Size>,
    rotation: f64,
    flip: bool,
) -> FrameGeometry {
    let rotation = Rotation::parse(rotation);
    let display_size = display.unwrap_or(match rotation.swaps_axes() {
        true => Size::new(visible_rect.height, visible_rect.width),
        false => visible_rect.size(),
    });
    FrameGeometry {
        visible_rect,
        display_size,
        rotation,
        flip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODED: Size = Size::new(8, 4);

    fn rect(x: f64, y: f64, width: f64, height: f64) -> Option<RectInit> {
        Some(RectInit {
            x,
            y,
            width,
            height,
        })
    }

    #[test]
    fn rectangles_that_do_not_fit_are_refused() {
        let parse =
            |given| parse_visible_rect(Rect::of_size(CODED), given, CODED, Some(PixelFormat::I420));
        assert_eq!(parse(None), Ok(Rect::of_size(CODED)));
        assert_eq!(
            parse(rect(2.0, 2.0, 6.0, 2.0)),
            Ok(Rect {
                x: 2,
                y: 2,
                width: 6,
                height: 2
            })
        );
        assert_eq!(
            parse(rect(2.9, 0.0, 5.9, 1.9)),
            Ok(Rect {
                x: 2,
                y: 0,
                width: 5,
                height: 1
            })
        );
        for bad in [
            rect(-1.0, 0.0, 2.0, 2.0),
            rect(0.0, f64::INFINITY, 2.0, 2.0),
            rect(0.0, 0.0, f64::NAN, 2.0),
            rect(0.0, 0.0, 0.0, 2.0),
            rect(0.0, 0.0, 0.5, 2.0),
            rect(2.0, 0.0, 7.0, 2.0),
            rect(0.0, 1e300, 1.0, 1e300),
            rect(1.0, 0.0, 2.0, 2.0),
            rect(0.0, 1.0, 2.0, 2.0),
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_crop_keeps_the_pixel_aspect_ratio_through_any_rotation() {
        for quarters in 0..4 {
            let rotation = Rotation::from_quarters(quarters);
            let display = if rotation.swaps_axes() {
                Size::new(4, 16)
            } else {
                Size::new(16, 4)
            };
            let base = FrameGeometry {
                visible_rect: Rect::of_size(CODED),
                display_size: display,
                rotation,
                flip: false,
            };
            let init = FrameGeometryInit {
                visible_rect: rect(2.0, 0.0, 2.0, 2.0),
                ..Default::default()
            };
            let got = over(base, CODED, Some(PixelFormat::I420), &init).unwrap();
            let want = if rotation.swaps_axes() {
                Size::new(2, 4)
            } else {
                Size::new(4, 2)
            };
            assert_eq!(got.display_size, want, "{rotation:?}");
        }
    }

    #[test]
    fn mirroring_turns_later_rotations_around() {
        let base = |rotation, flip| FrameGeometry {
            visible_rect: Rect::of_size(CODED),
            display_size: CODED,
            rotation,
            flip,
        };
        let init = FrameGeometryInit {
            rotation: 90.0,
            flip: true,
            ..Default::default()
        };
        let got = over(base(Rotation::R90, true), CODED, None, &init).unwrap();
        assert_eq!((got.rotation, got.flip), (Rotation::R0, false));
        let got = over(base(Rotation::R90, false), CODED, None, &init).unwrap();
        assert_eq!((got.rotation, got.flip), (Rotation::R180, true));
    }

    #[test]
    fn a_display_size_comes_whole_or_not_at_all() {
        assert!(check_display_size(Some(1), None).is_err());
        assert!(check_display_size(Some(0), Some(1)).is_err());
        assert_eq!(
            check_display_size(Some(1), Some(2)),
            Ok(Some(Size::new(1, 2)))
        );
        assert_eq!(check_display_size(None, None), Ok(None));
    }
}
