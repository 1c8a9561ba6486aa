//! `iTunSMPB`: how much of the sound is priming and padding, as iTunes writes it beside the tags. It says what an edit list would,
//! and counts where there is none.

use super::edits::Timeline;

/// The name of the tag.
pub(crate) const NAME: &str = "iTunSMPB";

/// Samples of priming, at most: no encoder has as many.
const MOST_PRIMING: i64 = 16_384;

/// What the tag says, in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gapless {
    priming: i64,
    padding: i64,
    /// Of what is heard.
    length: i64,
}

impl Gapless {
    /// Parses the text of the tag: numbers in hexadecimal, of which the second to the fourth are these.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_ascii_whitespace().skip(1);
        let mut number = || i64::from_str_radix(numbers.next()?, 16).ok();
        Some(Self {
            priming: number().filter(|priming| (0..MOST_PRIMING).contains(priming))?,
            padding: number().filter(|&padding| padding >= 0)?,
            length: number().filter(|&length| length > 0)?,
        })
    }

    /// The time line of sound of `total` samples with a tick for each. None where they are fewer than the tag says: it counts
    /// something else. Where they are more, the end of the sound is not what it says.
    pub(crate) fn timeline(self, total: i64, scale: u32) -> Option<Timeline> {
        let end = self.priming.checked_add(self.length)?;
        let all = end.checked_add(self.padding)?;
        (all <= total).then(|| {
            let end = (all == total).then_some(end);
            Timeline::part(scale, self.priming, end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_add_up_to_the_sound_cut_nothing_off_its_end() {
        let text = " 00000000 00000840 000001C0 0000000000003A00 00000000 00000000";
        let gapless = Gapless::parse(text).expect("valid");
        let total = 0x840 + 0x1c0 + 0x3a00;
        let ends = |total| {
            let timeline = gapless.timeline(total, 44_100)?;
            Some((
                timeline.segments[0].media_start,
                timeline.segments[0].media_end,
            ))
        };
        assert_eq!(ends(total), Some((0x840, Some(0x840 + 0x3a00))));
        assert_eq!(ends(total + 1024), Some((0x840, None)));
        assert_eq!(ends(total - 1), None, "these count something else");
        for bad in [
            "",
            "0 840 1c0",
            "0 840 1c0 x",
            "0 -1 1c0 3a00",
            "0 4000 1c0 3a00",
            "0 840 1c0 0",
            "0 840 1c0 ffffffffffffffff",
        ] {
            assert_eq!(Gapless::parse(bad), None, "{bad}");
        }
        let most = Gapless::parse("0 1 7fffffffffffffff 7fffffffffffffff").expect("valid");
        assert_eq!(most.timeline(i64::MAX, 1), None);
    }
}
