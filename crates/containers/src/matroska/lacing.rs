//! Several frames in one block: RFC 9559, section 10.3.

use super::ebml::vint;

/// How frames are laced: bits 0x06 of a block's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacing {
    None,
    Xiph,
    Fixed,
    Ebml,
}

impl Lacing {
    pub(crate) fn from_flags(flags: u8) -> Self {
        match flags >> 1 & 3 {
            0 => Self::None,
            1 => Self::Xiph,
            2 => Self::Fixed,
            _ => Self::Ebml,
        }
    }
}

/// Why a lacing header gives no sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The header goes on past the bytes at hand.
    Short,
    /// The sizes do not add up to the block's.
    Sizes,
}

/// Reads the lacing header in `head`, the first bytes of a block's data of `size` bytes. Puts the sizes of the frames
/// into `sizes`, and returns the length of the header.
pub(crate) fn parse(
    lacing: Lacing,
    head: &[u8],
    size: u64,
    sizes: &mut Vec<u64>,
) -> Result<u64, Problem> {
    sizes.clear();
    if lacing == Lacing::None {
        sizes.push(size);
        return Ok(0);
    }
    let mut rest = head;
    let mut next = || {
        let (&byte, after) = rest.split_first().ok_or(Problem::Short)?;
        rest = after;
        Ok(byte)
    };
    let frames = usize::from(next()?) + 1;
    let mut sum = 0_u64;
    match lacing {
        Lacing::None => {}
        Lacing::Fixed => {
            let data = size.checked_sub(1).ok_or(Problem::Sizes)?;
            if data % frames as u64 != 0 {
                return Err(Problem::Sizes);
            }
            sizes.resize(frames, data / frames as u64);
            return Ok(1);
        }
        Lacing::Xiph => {
            for _ in 1..frames {
                let mut frame = 0_u64;
                loop {
                    let byte = next()?;
                    frame += u64::from(byte);
                    if byte < 255 {
                        break;
                    }
                }
                sum = sum.saturating_add(frame);
                sizes.push(frame);
            }
        }
        Lacing::Ebml => {
            let mut last: Option<u64> = None;
            for _ in 1..frames {
                if rest.first() == Some(&0) {
                    return Err(Problem::Sizes);
                }
                let (value, length, _) = vint(rest).ok_or(Problem::Short)?;
                rest = rest.get(length..).ok_or(Problem::Short)?;
                let frame = match last {
                    None => Some(value),
                    // A difference, with half the range added to it.
                    Some(last) => {
                        let bias = (1_i64 << (7 * length - 1)) - 1;
                        last.checked_add_signed(value.cast_signed() - bias)
                    }
                };
                let frame = frame.ok_or(Problem::Sizes)?;
                last = Some(frame);
                sum = sum.saturating_add(frame);
                sizes.push(frame);
            }
        }
    }
    let header = (head.len() - rest.len()) as u64;
    let left = size
        .checked_sub(header)
        .and_then(|data| data.checked_sub(sum))
        .ok_or(Problem::Sizes)?;
    sizes.push(left);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laced(lacing: Lacing, head: &[u8], size: u64) -> Result<(u64, Vec<u64>), Problem> {
        let mut sizes = Vec::new();
        parse(lacing, head, size, &mut sizes).map(|header| (header, sizes))
    }

    #[test]
    fn xiph_sizes_are_sums_of_bytes_and_the_last_is_the_rest() {
        assert_eq!(
            laced(Lacing::Xiph, &[3, 255, 45, 255, 0, 7, 9, 9], 1000),
            Ok((6, vec![300, 255, 7, 432]))
        );
        assert_eq!(laced(Lacing::Xiph, &[1, 255], 1000), Err(Problem::Short));
        assert_eq!(laced(Lacing::Xiph, &[1, 10, 0], 11), Err(Problem::Sizes));
        assert_eq!(laced(Lacing::Xiph, &[0, 5], 6), Ok((1, vec![5])));
    }

    #[test]
    fn ebml_sizes_are_differences() {
        // The example of RFC 9559, section 10.3.3: 800, 500, 1000.
        assert_eq!(
            laced(Lacing::Ebml, &[2, 0x43, 0x20, 0x5e, 0xd3, 9], 2305),
            Ok((5, vec![800, 500, 1000]))
        );
        assert_eq!(
            laced(Lacing::Ebml, &[2, 0x81, 0x80], 100),
            Err(Problem::Sizes),
            "below zero"
        );
        assert_eq!(laced(Lacing::Ebml, &[2, 0x81], 100), Err(Problem::Short));
        assert_eq!(laced(Lacing::Ebml, &[1, 0, 0], 100), Err(Problem::Sizes));
        assert_eq!(laced(Lacing::Ebml, &[1, 0x8a], 11), Err(Problem::Sizes));
    }

    #[test]
    fn fixed_sizes_must_divide_the_block() {
        assert_eq!(laced(Lacing::Fixed, &[2], 31), Ok((1, vec![10; 3])));
        assert_eq!(laced(Lacing::Fixed, &[2], 30), Err(Problem::Sizes));
        assert_eq!(laced(Lacing::Fixed, &[], 0), Err(Problem::Short));
        assert_eq!(laced(Lacing::None, &[], 30), Ok((0, vec![30])));
    }
}
