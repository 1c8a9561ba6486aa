//! How far what is made ahead of time is ahead of the script that takes it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many frames of a decoder are prepared that nobody imports: more than it has in flight.
const MAX_UNUSED: u64 = 32;

/// Counts what [`Gpu::prepare_external`](crate::Gpu::prepare_external) makes of the frames of one decoder, and how much of it
/// [`Gpu::external_texture`](crate::Gpu::external_texture) takes.
#[derive(Debug, Default)]
pub struct Lead {
    made: AtomicU64,
    /// The number of the last frame of which it was taken.
    taken: AtomicU64,
}

impl Lead {
    /// The number of the frame that is prepared next, from 1 on. `None` when nobody took what was made of the last 32 frames.
    pub(crate) fn next(&self) -> Option<u64> {
        let made = self.made.load(Ordering::Relaxed);
        if made - self.taken.load(Ordering::Relaxed).min(made) >= MAX_UNUSED {
            return None;
        }
        Some(self.made.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// What was made of frame `number` is taken: the frames before it are not asked for any more, or were.
    pub(crate) fn take(&self, number: u64) {
        self.taken.fetch_max(number, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_flight_when_a_script_stops_count_as_made_in_vain() {
        let lead = Lead::default();
        for frame in 1..=100 {
            assert_eq!(lead.next(), Some(frame));
            // The script is 20 frames behind.
            lead.take(frame.saturating_sub(20));
        }
        let after = std::iter::from_fn(|| lead.next()).count();
        assert_eq!(after, 12);
    }

    #[test]
    fn an_older_frame_that_is_taken_late_takes_nothing_back() {
        let lead = Lead::default();
        for _ in 0..30 {
            lead.next();
        }
        lead.take(30);
        lead.take(3);
        assert_eq!(std::iter::from_fn(|| lead.next()).count(), 32);
        assert_eq!(lead.next(), None);
    }
}
