//! Sizes, rectangles and orientation, in pixels.

/// A width and a height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// The number of pixels; cannot overflow.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The size at which to show an image of this size whose samples are `aspect.0` wide and
    /// `aspect.1` high. The side that is too short is enlarged, so that no detail is lost; a side of
    /// `aspect` that is 0 means square samples. Sides stay at most `u32::MAX`.
    pub fn with_sample_aspect(self, aspect: (u64, u64)) -> Self {
        let (width, height) = aspect;
        if width == 0 || height == 0 {
            return self;
        }
        let scaled = |side: u32, by: u64, of: u64| {
            let (by, of) = (u128::from(by), u128::from(of));
            let rounded = (u128::from(side) * by + of / 2) / of;
            u32::try_from(rounded).unwrap_or(u32::MAX)
        };
        if width >= height {
            Self::new(scaled(self.width, width, height), self.height)
        } else {
            Self::new(self.width, scaled(self.height, height, width))
        }
    }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Rect {
    /// The rectangle at the origin that covers `size`.
    pub const fn of_size(size: Size) -> Self {
        Self {
            x: 0,
            y: 0,
            width: size.width,
            height: size.height,
        }
    }

    /// Width and height.
    pub const fn size(self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Whether the rectangle lies within an image of `size`.
    pub fn fits(self, size: Size) -> bool {
        u64::from(self.x) + u64::from(self.width) <= u64::from(size.width)
            && u64::from(self.y) + u64::from(self.height) <= u64::from(size.height)
    }
}

/// A clockwise rotation in steps of 90 degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rotation {
    /// Upright.
    #[default]
    R0,
    /// 90 degrees clockwise.
    R90,
    /// 180 degrees.
    R180,
    /// 270 degrees clockwise.
    R270,
}

impl Rotation {
    /// The rotation in degrees: 0, 90, 180 or 270.
    pub const fn degrees(self) -> u16 {
        match self {
            Self::R0 => 0,
            Self::R90 => 90,
            Self::R180 => 180,
            Self::R270 => 270,
        }
    }

    /// The rotation of `quarters` times 90 degrees, taken modulo a full turn.
    pub const fn from_quarters(quarters: u32) -> Self {
        match quarters % 4 {
            0 => Self::R0,
            1 => Self::R90,
            2 => Self::R180,
            _ => Self::R270,
        }
    }

    /// The number of quarter turns, 0 to 3.
    pub const fn quarters(self) -> u32 {
        self.degrees() as u32 / 90
    }

    /// Parse Rotation: the nearest multiple of 90 degrees, ties upward, within a full turn.
    /// <https://w3c.github.io/webcodecs/#videoframe-parse-rotation>
    ///
    /// `degrees` that is not finite gives no rotation.
    pub fn parse(degrees: f64) -> Self {
        if !degrees.is_finite() {
            return Self::R0;
        }
        // 1. Let alignedRotation be the nearest multiple of 90 to rotation, rounding ties towards
        //    positive infinity.
        // 2. Let fullTurns be the greatest multiple of 360 less than or equal to alignedRotation.
        // 3. Return |alignedRotation - fullTurns|.
        // Reduced modulo a turn first, so that the rounding is exact for large values as well.
        let turn = degrees.rem_euclid(360.0);
        let quarters = (turn / 90.0 + 0.5).floor();
        Self::from_quarters(quarters as u32)
    }

    /// The sum of two rotations, within a full turn.
    pub const fn plus(self, other: Self) -> Self {
        Self::from_quarters(self.quarters() + other.quarters())
    }

    /// Whether width and height change places.
    pub const fn swaps_axes(self) -> bool {
        matches!(self, Self::R90 | Self::R270)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_not_square_enlarge_the_short_side() {
        let size = Size::new(720, 576);
        assert_eq!(size.with_sample_aspect((64, 45)), Size::new(1024, 576));
        assert_eq!(size.with_sample_aspect((1, 2)), Size::new(720, 1152));
        assert_eq!(size.with_sample_aspect((1, 1)), size);
        assert_eq!(size.with_sample_aspect((0, 7)), size);
        let huge = Size::new(u32::MAX, 1).with_sample_aspect((u64::MAX, 1));
        assert_eq!(huge, Size::new(u32::MAX, 1));
    }

    #[test]
    fn rotation_rounds_to_the_nearest_quarter_with_ties_upward() {
        for (degrees, want) in [
            (0.0, 0),
            (44.9, 0),
            (45.0, 90),
            (-45.0, 0),
            (-46.0, 270),
            (359.0, 0),
            (450.0, 90),
            (-90.0, 270),
            (1e300, Rotation::parse(1e300).degrees()),
            (f64::NAN, 0),
        ] {
            assert_eq!(Rotation::parse(degrees).degrees(), want, "{degrees}");
        }
    }

    #[test]
    fn a_rectangle_past_the_edge_does_not_fit_even_at_the_integer_limit() {
        let size = Size::new(16, 16);
        assert!(
            Rect {
                x: 8,
                y: 8,
                width: 8,
                height: 8
            }
            .fits(size)
        );
        assert!(
            !Rect {
                x: 9,
                y: 8,
                width: 8,
                height: 8
            }
            .fits(size)
        );
        assert!(
            !Rect {
                x: u32::MAX,
                y: 0,
                width: 2,
                height: 1
            }
            .fits(size)
        );
    }
}
