//! Filters that change when pictures are shown: fps, trim, crossfade.

use reelcore_engine::Engine;
use reelcore_media::VideoFrame;

use super::paint::Painter;
use super::shape::Shape;
use crate::decode::Cut;
use crate::error::JobError;
use crate::job::Rate;
use crate::stream::{Pictures, Pull};

/// When a picture is no longer shown.
pub(crate) fn end_of(frame: &VideoFrame) -> i64 {
    let duration = i64::try_from(frame.duration.unwrap_or(0)).unwrap_or(i64::MAX);
    frame.timestamp.saturating_add(duration)
}

/// A picture that is shown for longer, in microseconds, stands still: what changes while it is seen needs several of it.
const STILL: i64 = 100_000;

/// About how long each of those is shown.
const STEP: i64 = 40_000;

/// Whether a picture is shown so long that what is done to it cannot wait for the next one.
pub(crate) fn stands_still(frame: &VideoFrame) -> bool {
    end_of(frame).saturating_sub(frame.timestamp) > STILL
}

/// Where the first of even steps ends, by which `until` is reached.
pub(crate) fn step_of(from: i64, until: i64) -> i64 {
    let length = until.saturating_sub(from).max(0);
    let steps = length.saturating_add(STEP - 1) / STEP;
    from + length / steps.max(1)
}

/// Ends `frame` at `at`, if that is while it is shown, and gives what is left of it.
pub(crate) fn split_off(frame: &mut VideoFrame, at: Option<i64>) -> Option<VideoFrame> {
    let end = end_of(frame);
    let at = at.filter(|at| (frame.timestamp.saturating_add(1)..end).contains(at))?;
    let rest = VideoFrame {
        timestamp: at,
        duration: u64::try_from(end - at).ok(),
        ..frame.clone()
    };
    frame.duration = u64::try_from(at - frame.timestamp).ok();
    Some(rest)
}

/// A constant frame rate: at each time the last picture that begins before half a frame later.
pub(crate) struct Fps {
    input: Option<Pictures>,
    rate: Rate,
    current: Option<VideoFrame>,
    next: Option<VideoFrame>,
    /// The number of the next picture.
    index: Option<u64>,
    /// Where the input ends.
    end: i64,
    /// Whether there was a picture yet.
    given: bool,
}

impl Fps {
    pub(crate) fn new(input: Pictures, rate: Rate) -> Self {
        Self {
            input: Some(input),
            rate,
            current: None,
            next: None,
            index: None,
            end: 0,
            given: false,
        }
    }
}

impl Pull<VideoFrame> for Fps {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        loop {
            if self.next.is_none()
                && let Some(input) = &mut self.input
            {
                self.next = input.next()?;
                match &self.next {
                    Some(frame) => self.end = end_of(frame),
                    None => self.input = None,
                }
            }
            let half = self.rate.time_of(1) / 2;
            let index = match (self.index, &self.next) {
                (Some(index), _) => index,
                // The first picture that is shown starts the count where it begins.
                (None, Some(first)) => {
                    let mut index = (first.timestamp as f64 * self.rate.per_second() / 1e6)
                        .round()
                        .max(0.0) as u64;
                    while self.rate.time_of(index).saturating_add(half) <= first.timestamp {
                        index += 1;
                    }
                    self.index = Some(index);
                    index
                }
                (None, None) => return Ok(None),
            };
            let time = self.rate.time_of(index);
            if let Some(next) = self
                .next
                .take_if(|next| next.timestamp < time.saturating_add(half))
            {
                self.current = Some(next);
                continue;
            }
            // A picture of which less than half a frame is left gives none of its own, unless there is no other.
            let over = self.given
                && self.input.is_none()
                && self.next.is_none()
                && time.saturating_add(half) > self.end;
            let Some(frame) = self.current.as_ref().filter(|_| !over) else {
                return Ok(None);
            };
            self.given = true;
            self.index = Some(index + 1);
            let end = self.rate.time_of(index + 1);
            return Ok(Some(VideoFrame {
                timestamp: time,
                duration: u64::try_from(end - time).ok(),
                ..frame.clone()
            }));
        }
    }
}

/// A part of the time, which then begins at 0.
pub(crate) struct Trim {
    input: Option<Pictures>,
    cut: Cut,
}

impl Trim {
    /// What is shown from `from` until `to`, in microseconds.
    pub(crate) fn new(input: Pictures, from: i64, to: i64) -> Self {
        Self {
            input: Some(input),
            cut: Cut::new(from, to),
        }
    }
}

impl Pull<VideoFrame> for Trim {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        while let Some(input) = &mut self.input {
            match input.next()? {
                Some(frame) => {
                    if let Some(kept) = self.cut.push(frame) {
                        return Ok(Some(kept));
                    }
                }
                None => {
                    self.input = None;
                    return Ok(self.cut.finish());
                }
            }
            if self.cut.is_over() {
                self.input = None;
            }
        }
        Ok(None)
    }
}

/// What is shown at times that only grow.
pub(crate) struct Shown {
    input: Option<Pictures>,
    current: Option<VideoFrame>,
    next: Option<VideoFrame>,
}

impl Shown {
    pub(crate) fn new(input: Pictures) -> Self {
        Self {
            input: Some(input),
            current: None,
            next: None,
        }
    }

    /// The last picture that began at `time` or before, and when the next one begins.
    pub(crate) fn at(&mut self, time: i64) -> Result<(Option<&VideoFrame>, Option<i64>), JobError> {
        loop {
            if self.next.is_none()
                && let Some(input) = &mut self.input
            {
                self.next = input.next()?;
                if self.next.is_none() {
                    self.input = None;
                }
            }
            match self.next.take_if(|next| next.timestamp <= time) {
                Some(next) => self.current = Some(next),
                None => break,
            }
        }
        Ok((
            self.current.as_ref(),
            self.next.as_ref().map(|next| next.timestamp),
        ))
    }
}

/// One stream, then another: both between `start` and `start + duration`, at the times of either.
pub(crate) struct Crossfade {
    first: Shown,
    second: Shown,
    painter: Painter,
    shape: Option<Shape>,
    start: i64,
    duration: i64,
    /// Where the next picture begins.
    cursor: Option<i64>,
    /// Until when both stand still.
    still: Option<i64>,
}

impl Crossfade {
    /// Times in microseconds; the second stream's 0 lies at `start`.
    pub(crate) fn new(
        engine: &Engine,
        first: Pictures,
        second: Pictures,
        start: i64,
        duration: i64,
    ) -> Self {
        Self {
            first: Shown::new(first),
            second: Shown::new(second),
            painter: Painter::new(engine),
            shape: None,
            start,
            duration: duration.max(1),
            cursor: None,
            still: None,
        }
    }
}

impl Pull<VideoFrame> for Crossfade {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        let end = self.start.saturating_add(self.duration);
        let mut time = match self.cursor {
            Some(time) => time,
            None => self
                .first
                .at(0)?
                .1
                .filter(|_| self.first.current.is_none())
                .unwrap_or(0),
        };
        loop {
            let (a, a_next) = match time < end {
                true => self.first.at(time)?,
                false => (None, None),
            };
            let (b, b_next) = match time >= self.start {
                true => self.second.at(time - self.start)?,
                false => (None, None),
            };
            let b_next = match time < self.start {
                // The second stream comes in.
                true => Some(self.start),
                false => b_next.map(|next| next.saturating_add(self.start)),
            };
            let a_next = a_next.filter(|&next| next < end);
            let both = time >= self.start && time < end;
            let edge = both.then_some(end);
            let mut next = [a_next, b_next, edge]
                .into_iter()
                .flatten()
                .filter(|&next| next > time)
                .min();
            if let (Some(_), Some(_), Some(change)) = (a, b, next)
                && (change - time > STILL || self.still == Some(change))
            {
                self.still = Some(change);
                next = Some(step_of(time, change));
            }
            let frame = match (a, b) {
                (None, None) => match next {
                    Some(next) => {
                        time = next;
                        continue;
                    }
                    None => return Ok(None),
                },
                (Some(a), None) => {
                    let upright = self.painter.upright(a)?;
                    self.shape.get_or_insert_with(|| Shape::of(&upright));
                    upright
                }
                (None, Some(b)) => match &self.shape {
                    Some(shape) => self.painter.reshape(b, shape)?,
                    None => self.painter.upright(b)?,
                },
                (Some(a), Some(b)) => {
                    let a = self.painter.upright(a)?;
                    let shape = *self.shape.get_or_insert_with(|| Shape::of(&a));
                    let a = self.painter.reshape(&a, &shape)?;
                    let b = self.painter.reshape(b, &shape)?;
                    // As far as the fade is in the middle of the picture's time, so that it is as long before as after.
                    let until = next.unwrap_or(time);
                    let middle = (time - self.start) as f64 + (until - time) as f64 / 2.0;
                    self.painter
                        .blend(&a, &b, 1.0 - middle / self.duration as f64)?
                }
            };
            let until = match next {
                Some(next) => next,
                // The last picture keeps its own end.
                None => match b {
                    Some(b) => end_of(b).saturating_add(self.start),
                    None => time,
                },
            };
            if next.is_none() && (until <= time || self.cursor == Some(i64::MAX)) {
                return Ok(None);
            }
            self.cursor = Some(next.unwrap_or(i64::MAX));
            return Ok(Some(VideoFrame {
                timestamp: time,
                duration: u64::try_from(until - time).ok(),
                ..frame
            }));
        }
    }
}
