//! The description of FLAC: `fLaC` and STREAMINFO, which says of all samples of a file how many they are, and their checksum.
//! <https://www.rfc-editor.org/rfc/rfc9639#name-streaminfo>

use bytes::Bytes;

/// Bytes before STREAMINFO: "fLaC" and the header of the block.
const BEFORE: usize = 8;

/// `description`, where only packets that begin in the next `left` microseconds are kept. Where those are not all, nothing is known
/// of their number, their checksum, nor of their smallest and largest frame: what is not known is 0.
pub(super) fn cut(description: &Bytes, left: i64) -> Bytes {
    if holds(description, left) != Some(false) {
        return description.clone();
    }
    let mut cut = description.to_vec();
    if let Some(info) = cut.get_mut(BEFORE..BEFORE + 34) {
        info[4..10].fill(0);
        // 36 bits behind four of the sample size; the checksum follows.
        info[13] &= 0xf0;
        info[14..].fill(0);
    }
    cut.into()
}

/// Whether the samples that it speaks of end within `left` microseconds; `None` for what is no STREAMINFO. How long those are whose
/// number is unknown nobody knows: they may end later.
fn holds(description: &[u8], left: i64) -> Option<bool> {
    let info = description.get(BEFORE..BEFORE + 34)?;
    let field = |at: usize| {
        info.get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    };
    // 20 bits of the rate, 3 of channels, 5 of the sample size, 36 of the number.
    let packed = field(10)?;
    let (rate, samples) = (packed >> 44, packed & ((1 << 36) - 1));
    let left = u64::try_from(left).unwrap_or(0);
    let end = u128::from(samples) * 1_000_000;
    Some(samples > 0 && end <= u128::from(left) * u128::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 48,000 Hz, two channels and 16 bits.
    fn description(samples: u64) -> Bytes {
        let mut bytes = b"fLaC\x80\0\0\x22".to_vec();
        bytes.extend([0x10, 0, 0x10, 0, 0, 0, 9, 0, 0, 99]);
        bytes.extend((48_000 << 44 | 1 << 41 | 15 << 36 | samples).to_be_bytes());
        bytes.extend([7; 16]);
        bytes.into()
    }

    #[test]
    fn only_a_part_loses_what_is_said_of_the_whole() {
        let whole = description(48_000);
        for left in [1_000_000, 1_000_001, i64::MAX] {
            assert_eq!(cut(&whole, left), whole, "{left}");
        }
        let mut open = description(0).to_vec();
        open[12..18].fill(0);
        open[26..].fill(0);
        for left in [i64::MIN, 0, 999_999] {
            assert_eq!(cut(&whole, left), open, "{left}");
        }
        // A checksum of samples whose number is unknown.
        assert_eq!(cut(&description(0), i64::MAX), open);
        // Nothing that could be told of what is cut short.
        let short = whole.slice(..41);
        assert_eq!(cut(&short, 0), short);
    }
}
