//! Which samples an edit shows, and when.

use super::super::cursor::Cursor;
use super::super::edits::Segment;
use super::super::sample::Sample;

/// Samples that are looked at for one that takes over at the start of an edit: more than a codec reorders.
const AHEAD: usize = 32;

/// When a sample is shown, in ticks of the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether any of it is.
    pub(super) presented: bool,
}

impl Shown {
    /// As the sample says, whatever of it the edit cuts off.
    pub(super) fn whole(segment: &Segment, sample: &Sample) -> Self {
        let start = sample.composition_time;
        let end = start.saturating_add(i64::try_from(sample.duration).unwrap_or(i64::MAX));
        // A sample of no duration, as some writers end a track with, is shown all the same.
        let begins = end > segment.media_start || start == segment.media_start;
        Self {
            start,
            end,
            presented: begins && segment.media_end.is_none_or(|end| start < end),
        }
    }

    /// A picture: what the edit cuts off of the one that it begins with, and of the one that it ends with, is not shown.
    ///
    /// `ahead` stands behind the sample. `before` is the latest that was decoded before it and is shown at the start of the
    /// edit or earlier. An end that is cut off by up to `grain` ticks is not.
    pub(super) fn picture(
        segment: &Segment,
        sample: &Sample,
        ahead: &Cursor,
        before: Option<i64>,
        grain: i64,
    ) -> Self {
        let mut this = Self::whole(segment, sample);
        if !this.presented {
            return this;
        }
        if this.start < segment.media_start {
            let takes_over = |time| (this.start + 1..=segment.media_start).contains(&time);
            let mut ahead = ahead.clone();
            let mut after = std::iter::from_fn(|| ahead.next_at_hand())
                .take(AHEAD)
                .filter(|other| other.size > 0);
            // Durations are those between decode times: with pictures out of order they may reach over the next one.
            if before.is_some_and(takes_over)
                || after.any(|other| takes_over(other.composition_time))
            {
                this.presented = false;
                return this;
            }
            this.start = segment.media_start;
        }
        // A dwell, of which the media end one tick later, shows its picture for longer than the media do.
        let dwells = |end| end == segment.media_start.saturating_add(1);
        if let Some(end) = segment.media_end.filter(|&end| !dwells(end))
            && this.end.saturating_sub(end) > grain
        {
            this.end = end.max(this.start);
        }
        this
    }
}
