//! The frame rate that a library's rate control counts with, against the one at which frames come.
//!
//! A library that knows no times can be told another rate only with a new stream, which costs a key picture. Frames of
//! cameras and screens come at uneven steps, so single ones say little: the mean of some decides.

use std::collections::VecDeque;

/// Frames that are looked at before the rate is said to be another one.
const FRAMES: usize = 8;
/// Where a stream starts anew for another reason, so that another rate costs nothing, so many are enough.
const FREE_FRAMES: usize = 4;
/// The same where their steps are uneven.
const UNEVEN_FRAMES: usize = 32;
/// After so many the mean counts, however uneven they are.
const ALL_FRAMES: usize = 64;
/// How far the mean step is off before the rate is another one.
const TOLERANCE: f64 = 0.1;
/// How far the first frame's duration is off the configured rate before it is believed instead: a rate that was said
/// wrong is mostly half or twice the true one, and steps that are uneven are mostly nearer.
const CONTRADICTION: f64 = 1.8;

/// Watches the steps between frames.
#[derive(Debug)]
pub(super) struct FrameRate {
    /// Frames a second that the library counts with.
    rate: f64,
    /// The rate is a guess.
    guessed: bool,
    /// The last steps, in those that the rate would have: all 1 where it is right.
    recent: VecDeque<f64>,
    /// The steps since the recent ones came to be off, or since the rate was set. A mean over both what was before a
    /// change and what came after it would be neither rate; nor does a pause make a rate.
    doubtful: Option<Steps>,
}

/// Their number, sum, and the sum of their squares.
#[derive(Debug, Default)]
struct Steps {
    count: usize,
    sum: f64,
    squares: f64,
}

impl Steps {
    fn add(&mut self, step: f64) {
        self.count += 1;
        self.sum += step;
        self.squares += step * step;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Three standard errors of the mean.
    fn doubt(&self) -> f64 {
        let count = self.count.max(1) as f64;
        let variance = (self.squares / count - self.mean().powi(2)).max(0.0);
        3.0 * (variance / count).sqrt()
    }
}

impl FrameRate {
    /// For a library that counts with `rate` frames a second, which are `configured` or a guess.
    pub(super) fn new(rate: f64, configured: bool) -> Self {
        Self {
            rate,
            guessed: !configured,
            recent: VecDeque::with_capacity(FRAMES),
            doubtful: Some(Steps::default()),
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Before the first frame, which says that it takes `duration` microseconds. Whether the rate is another one now.
    pub(super) fn first(&mut self, duration: u64) -> bool {
        let step = self.relative(duration);
        let off = (step - 1.0).abs() > TOLERANCE;
        let contradicts = !(1.0 / CONTRADICTION..CONTRADICTION).contains(&step);
        let changed = if self.guessed { off } else { contradicts };
        if changed {
            self.set(step);
        }
        // Of the rate that it said itself it is no proof.
        if !changed && !self.guessed {
            self.see(step);
        }
        self.guessed = false;
        changed
    }

    /// Before each other frame, with the step from the one before it in microseconds. `free` says that the library
    /// starts anew with it in any case. Whether the rate is another one now, for which it must.
    pub(super) fn next(&mut self, step: u64, free: bool) -> bool {
        let step = self.relative(step);
        self.see(step);
        let Some(steps) = &self.doubtful else {
            if self.recent.len() == FRAMES
                && is_off(self.recent.iter().sum::<f64>() / FRAMES as f64, 0.0)
            {
                self.doubtful = Some(Steps::default());
            }
            return false;
        };
        let (mean, doubt) = (steps.mean(), steps.doubt());
        let least = match free {
            true => FREE_FRAMES,
            false if doubt > TOLERANCE => UNEVEN_FRAMES,
            false => FRAMES,
        };
        let known = steps.count >= ALL_FRAMES;
        if steps.count >= least && is_off(mean, if known { 0.0 } else { doubt }) {
            self.set(mean);
            return true;
        }
        if steps.count >= FRAMES && !is_off(mean, 0.0) {
            self.doubtful = None;
        }
        false
    }

    /// `step` in those of the rate.
    fn relative(&self, step: u64) -> f64 {
        let seconds = step as f64 / 1e6;
        // Longer ones are given as a second.
        if seconds >= 1.0 && self.rate <= 1.0 {
            return 1.0;
        }
        seconds * self.rate
    }

    fn see(&mut self, step: f64) {
        if self.recent.len() == FRAMES {
            self.recent.pop_front();
        }
        self.recent.push_back(step);
        if let Some(steps) = &mut self.doubtful {
            steps.add(step);
        }
    }

    /// The rate with which `step` would be 1.
    fn set(&mut self, step: f64) {
        self.rate /= step;
        self.recent.clear();
        self.doubtful = Some(Steps::default());
    }
}

fn is_off(mean: f64, doubt: f64) -> bool {
    (mean - 1.0).abs() > TOLERANCE + doubt
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames before which the rate changed, and the rate after all of them. The first frame says nothing.
    fn changes(rate: f64, steps: impl IntoIterator<Item = u64>) -> (Vec<usize>, f64) {
        let mut watched = FrameRate::new(rate, true);
        let steps = steps.into_iter().enumerate();
        let changed = steps.filter(|(_, step)| watched.next(*step, false));
        let frames = changed.map(|(n, _)| n + 1).collect();
        (frames, watched.rate())
    }

    fn repeated(pattern: &[u64], count: usize) -> Vec<u64> {
        pattern.iter().copied().cycle().take(count).collect()
    }

    #[test]
    fn uneven_steps_of_the_right_mean_are_the_same_rate() {
        for (rate, pattern) in [
            (30.0, &[20_000, 46_667][..]),
            (30.0, &[46_667, 20_000]),
            (40.0, &[16_667, 33_333]),
            (30.0, &[1_000, 65_667]),
            (45.0, &[16_667, 16_667, 33_333]),
            (24.0, &[33_367, 50_050]),
        ] {
            let (frames, found) = changes(rate, repeated(pattern, 500));
            assert_eq!(frames, [0; 0], "{rate}: {pattern:?}");
            assert_eq!(found, rate);
        }
    }

    #[test]
    fn steps_that_scatter_by_half_become_another_rate_less_than_once_a_minute() {
        let mut seed = 1u32;
        let steps = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            16_667 + u64::from(seed >> 16) * 33_333 / 65_536
        });
        let (frames, _) = changes(30.0, steps.take(20_000));
        // Eleven minutes.
        assert!(frames.len() < 12, "{frames:?}");
    }

    #[test]
    fn another_rate_is_found_with_the_mean_of_its_frames_alone() {
        let (frames, rate) = changes(60.0, repeated(&[40_000], 100));
        assert_eq!(frames, [FRAMES]);
        assert!((rate - 25.0).abs() < 0.01, "{rate}");
        // Uneven, and said twice too high.
        let (frames, rate) = changes(60.0, repeated(&[20_000, 46_667], 100));
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert!((rate - 30.0).abs() < 3.0, "{rate}");
        for (from, to) in [(33_333, 20_000), (20_000, 40_000), (33_333, 38_000)] {
            let steps = [repeated(&[from], 50), repeated(&[to], 100)].concat();
            let (frames, rate) = changes(1e6 / from as f64, steps);
            assert_eq!(frames.len(), 1, "{from} to {to}: {frames:?}");
            assert!((51..51 + 3 * FRAMES).contains(&frames[0]), "{frames:?}");
            assert!((rate * to as f64 / 1e6 - 1.0).abs() < 0.01, "{rate}");
        }
    }

    #[test]
    fn a_pause_is_no_rate() {
        let even = |count| repeated(&[33_333], count);
        let (frames, _) = changes(30.0, [even(20), vec![1_000_000], even(40)].concat());
        assert_eq!(frames, [0; 0]);
        let (frames, _) = changes(0.5, repeated(&[1_000_000], 40));
        assert_eq!(frames, [0; 0], "steps of two seconds come as one");
    }

    #[test]
    fn the_first_duration_outweighs_a_guess_and_a_rate_of_half_or_twice_as_much() {
        for (rate, configured, duration, want) in [
            (30.0, false, 20_000, Some(50.0)),
            (30.0, false, 33_333, None),
            (30.0, true, 20_000, None),
            (30.0, true, 46_667, None),
            (60.0, true, 40_000, Some(25.0)),
            (30.0, true, 16_667, Some(60.0)),
        ] {
            let mut watched = FrameRate::new(rate, configured);
            assert_eq!(watched.first(duration), want.is_some(), "{duration}");
            assert!((watched.rate() - want.unwrap_or(rate)).abs() < 0.01);
        }
    }

    #[test]
    fn a_new_stream_takes_the_rate_that_few_frames_have_shown() {
        let mut watched = FrameRate::new(30.0, true);
        for _ in 0..3 {
            assert!(!watched.next(20_000, false));
        }
        assert!(watched.next(20_000, true));
        assert!((watched.rate() - 50.0).abs() < 0.01);
        // Not after a pause, which is the only step that is off.
        for _ in 0..20 {
            assert!(!watched.next(20_000, false));
        }
        assert!(!watched.next(1_000_000, true));
    }
}
