//! The matrix of a track header: rotation and mirroring.

use reelcore_media::Rotation;
use reelcore_media::demux::DemuxError;

use super::parse::Reader;

/// The upper left part of a transformation: (x, y) goes to (a x + c y, b x + d y), y downward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matrix {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl Matrix {
    /// No transformation.
    pub(crate) const IDENTITY: Self = Self {
        a: 1 << 16,
        b: 0,
        c: 0,
        d: 1 << 16,
    };

    /// Parses the nine numbers of a matrix.
    pub(crate) fn parse(reader: &mut Reader) -> Result<Self, DemuxError> {
        let (a, b) = (reader.i32()?, reader.i32()?);
        reader.skip(4)?;
        let (c, d) = (reader.i32()?, reader.i32()?);
        reader.skip(16)?;
        Ok(Self { a, b, c, d })
    }

    /// `self`, then `next`. Some writers leave a matrix of zeros, by which they mean none.
    pub(crate) fn then(self, next: Self) -> Self {
        let next = match (next.a, next.b, next.c, next.d) {
            (0, 0, 0, 0) => Self::IDENTITY,
            _ => next,
        };
        let sum = |x: i32, m: i32, y: i32, n: i32| {
            let value =
                ((i64::from(x) * i64::from(m)) >> 16) + ((i64::from(y) * i64::from(n)) >> 16);
            i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
        };
        Self {
            a: sum(self.a, next.a, self.b, next.c),
            b: sum(self.a, next.b, self.b, next.d),
            c: sum(self.c, next.a, self.d, next.c),
            d: sum(self.c, next.b, self.d, next.d),
        }
    }

    /// The nearest orientation in WebCodecs' form: a clockwise rotation, then a horizontal flip.
    pub(crate) fn orientation(self) -> (Rotation, bool) {
        let determinant =
            i64::from(self.a) * i64::from(self.d) - i64::from(self.b) * i64::from(self.c);
        let flip = determinant < 0;
        // Undo the flip, which negates x; what is left of a rotation by r is a = cos r, b = sin r.
        let a = if flip {
            -i64::from(self.a)
        } else {
            i64::from(self.a)
        };
        let b = i64::from(self.b);
        let rotation = if a.abs() >= b.abs() {
            if a < 0 { Rotation::R180 } else { Rotation::R0 }
        } else if b > 0 {
            Rotation::R90
        } else {
            Rotation::R270
        };
        (rotation, flip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Matrix {
        let one = 1 << 16;
        Matrix {
            a: a * one,
            b: b * one,
            c: c * one,
            d: d * one,
        }
    }

    #[test]
    fn all_eight_orientations_are_told_apart() {
        for (m, want) in [
            (matrix(1, 0, 0, 1), (Rotation::R0, false)),
            (matrix(0, 1, -1, 0), (Rotation::R90, false)),
            (matrix(-1, 0, 0, -1), (Rotation::R180, false)),
            (matrix(0, -1, 1, 0), (Rotation::R270, false)),
            // Mirrored left to right, upside down, and along the two diagonals.
            (matrix(-1, 0, 0, 1), (Rotation::R0, true)),
            (matrix(1, 0, 0, -1), (Rotation::R180, true)),
            (matrix(0, 1, 1, 0), (Rotation::R90, true)),
            (matrix(0, -1, -1, 0), (Rotation::R270, true)),
        ] {
            assert_eq!(m.orientation(), want, "{m:?}");
        }
    }

    #[test]
    fn the_movie_turns_what_the_track_turned() {
        let quarter = matrix(0, 1, -1, 0);
        assert_eq!(quarter.then(quarter).orientation(), (Rotation::R180, false));
        assert_eq!(quarter.then(Matrix::IDENTITY), quarter);
        assert_eq!(quarter.then(matrix(0, 0, 0, 0)), quarter, "zeros mean none");
        let extreme = Matrix {
            a: i32::MIN,
            b: i32::MIN,
            c: i32::MAX,
            d: i32::MIN,
        };
        extreme.then(extreme).orientation();
    }
}
