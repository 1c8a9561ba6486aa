//! Images that are read in parts, as no buffer is as large as they are.

use std::ops::Range;

use crate::readback::Placed;

/// Rows of a plane in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) plane: usize,
    /// The first row, and how many there are.
    pub(crate) rows: Range<u32>,
    /// Where they begin in the buffer.
    pub(crate) offset: u64,
}

/// What is copied at once: as much as one buffer holds of planes that lie behind each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strip {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) bytes: u64,
}

/// `places`, which follow one another, in strips of at most `limit` bytes; of one row where that has more.
pub(crate) fn strips(places: &[Placed], limit: u64) -> Vec<Strip> {
    let mut strips = Vec::new();
    let mut strip = Strip::default();
    for (plane, place) in places.iter().enumerate() {
        let stride = u64::from(place.stride).max(1);
        let mut row = 0;
        while row < place.rows {
            let room = limit.saturating_sub(strip.bytes) / stride;
            if room == 0 && strip.bytes > 0 {
                strips.push(std::mem::take(&mut strip));
                continue;
            }
            let left = place.rows - row;
            let rows = u32::try_from(room.max(1)).map_or(left, |room| room.min(left));
            strip.pieces.push(Piece {
                plane,
                rows: row..row + rows,
                offset: strip.bytes,
            });
            strip.bytes += stride * u64::from(rows);
            row += rows;
        }
    }
    if strip.bytes > 0 {
        strips.push(strip);
    }
    strips
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The planes of an I420 image of 300x5.
    fn places() -> Vec<Placed> {
        let mut offset = 0;
        let mut place = |row_bytes: u32, rows: u32| {
            let stride = row_bytes.next_multiple_of(256);
            let place = Placed {
                offset,
                stride,
                rows,
                row_bytes,
            };
            offset += u64::from(stride * rows);
            place
        };
        vec![place(300, 5), place(150, 3), place(150, 3)]
    }

    #[test]
    fn strips_have_every_row_once_in_the_order_of_memory_and_no_more_than_the_limit() {
        let places = places();
        for limit in 0..5000 {
            let (mut next, mut start) = (vec![0; places.len()], 0);
            for strip in strips(&places, limit) {
                assert!(strip.bytes <= limit.max(512), "{} of {limit}", strip.bytes);
                let mut end = 0;
                for piece in &strip.pieces {
                    let place = places[piece.plane];
                    assert_eq!(piece.rows.start, next[piece.plane]);
                    assert_eq!(piece.offset, end);
                    let row = u64::from(place.stride) * u64::from(piece.rows.start);
                    assert_eq!(start + piece.offset, place.offset + row);
                    next[piece.plane] = piece.rows.end;
                    end += u64::from(place.stride) * u64::from(piece.rows.end - piece.rows.start);
                }
                assert_eq!(strip.bytes, end);
                start += strip.bytes;
            }
            assert_eq!(next, [5, 3, 3], "{limit}");
        }
    }

    #[test]
    fn what_fits_is_one_strip_and_nothing_is_none() {
        assert_eq!(strips(&places(), 4096).len(), 1);
        assert_eq!(strips(&places(), 4095).len(), 2);
        assert_eq!(strips(&[], 4096), []);
    }
}
