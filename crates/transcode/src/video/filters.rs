//! Filters of one picture after another: scale, crop, pad, rotate, format, fade.

use reelcore_engine::Engine;
use reelcore_media::{ErrorKind, MediaError, PixelFormat, Rect, Rotation, Size, VideoFrame};

use super::color::colored_as;
use super::paint::{Painter, planar_of, resized, unnamed};
use super::time::{end_of, split_off, stands_still, step_of};
use crate::error::JobError;
use crate::job::{self, Color, Direction, FitMode};
use crate::stream::{Pictures, Pull};

/// What is done to each picture.
pub(crate) enum Change {
    Scale(job::Scale),
    Crop(Rect),
    Pad(job::Pad),
    Rotate(Rotation, bool),
    Format(PixelFormat),
    /// Direction, start and length in microseconds, and the colour.
    Fade(Direction, i64, i64, Color),
    /// Upright, of square pixels.
    Plain,
}

/// Changes each picture by itself.
pub(crate) struct Each {
    pub(crate) input: Pictures,
    pub(crate) change: Change,
    pub(crate) painter: Painter,
    /// Where the specification asks for it.
    path: String,
    /// What is left of a picture that stands still while it fades.
    rest: Option<VideoFrame>,
}

impl Each {
    /// `path` is where the specification asks for it.
    pub(crate) fn new(engine: &Engine, input: Pictures, change: Change, path: &str) -> Self {
        Self {
            input,
            change,
            painter: Painter::new(engine),
            path: path.to_owned(),
            rest: None,
        }
    }
}

impl Change {
    /// When something else is to be done to a picture that stands still from `time` until `end`.
    fn changes_at(&self, time: i64, end: i64) -> Option<i64> {
        let Self::Fade(_, from, duration, _) = self else {
            return None;
        };
        let until = from.saturating_add(*duration);
        if time < *from {
            return Some(*from);
        }
        (time < until).then(|| step_of(time, end.min(until)))
    }
}

impl Pull<VideoFrame> for Each {
    fn next(&mut self) -> Result<Option<VideoFrame>, JobError> {
        let (mut frame, still) = match self.rest.take() {
            Some(rest) => (rest, true),
            None => {
                let Some(frame) = self.input.next()? else {
                    return Ok(None);
                };
                let still = stands_still(&frame);
                (frame, still)
            }
        };
        if still {
            let change = self.change.changes_at(frame.timestamp, end_of(&frame));
            self.rest = split_off(&mut frame, change);
        }
        let changed = apply(&mut self.painter, &self.change, &frame);
        Ok(Some(changed.map_err(|error| match error.kind {
            // Sizes that do not fit are known once there is a picture.
            ErrorKind::InvalidArgument => JobError::spec(&self.path, error.to_string()),
            _ => error.into(),
        })?))
    }
}

fn apply(
    painter: &mut Painter,
    change: &Change,
    frame: &VideoFrame,
) -> Result<VideoFrame, MediaError> {
    match change {
        Change::Plain => painter.plain(frame),
        Change::Scale(options) => {
            let frame = painter.upright(frame)?;
            scale(painter, options, &frame)
        }
        Change::Crop(rect) => crop(&painter.upright(frame)?, *rect),
        Change::Pad(options) => {
            let frame = painter.upright(frame)?;
            let inner = frame.visible_rect.size();
            let size = Size::new(options.width, options.height);
            // In the middle, on whole chroma samples.
            let middle = |outer: u32, inner: u32| (outer.saturating_sub(inner) / 2) & !1;
            let x = options.x.unwrap_or(middle(size.width, inner.width));
            let y = options.y.unwrap_or(middle(size.height, inner.height));
            painter.pad(&frame, size, x, y, options.color)
        }
        Change::Rotate(by, flip) => painter.rotate(frame, *by, *flip),
        Change::Format(format) => painter.fit(frame, *format, frame.visible_rect.size()),
        Change::Fade(direction, from, duration, color) => {
            let done = (frame.timestamp.saturating_sub(*from) as f64 / (*duration).max(1) as f64)
                .clamp(0.0, 1.0);
            let weight = match direction {
                Direction::In => done,
                Direction::Out => 1.0 - done,
            };
            match weight == 1.0 {
                true => Ok(frame.clone()),
                false => painter.fade(frame, *color, weight),
            }
        }
    }
}

/// The part of `frame` in `rect`, without a copy.
pub(crate) fn crop(frame: &VideoFrame, rect: Rect) -> Result<VideoFrame, MediaError> {
    let visible = frame.visible_rect;
    if !rect.fits(visible.size()) {
        return Err(MediaError::argument(format!(
            "crop: {}x{} at {},{} is not within pictures of {}x{}",
            rect.width, rect.height, rect.x, rect.y, visible.width, visible.height
        )));
    }
    let cropped = VideoFrame {
        visible_rect: Rect {
            x: visible.x.saturating_add(rect.x),
            y: visible.y.saturating_add(rect.y),
            ..rect
        },
        display_size: resized(frame.display_size, visible.size(), rect.size()),
        ..frame.clone()
    };
    Ok(colored_as(frame, cropped))
}

/// The size that a scale leads to, of pictures that are shown at `display`.
fn target(options: &job::Scale, display: Size) -> Size {
    let follow = |side: u32, own: u32, other: u32| {
        let exact = u64::from(side) * u64::from(other) / u64::from(own.max(1));
        u32::try_from((exact + 1) & !1)
            .unwrap_or(16_384)
            .clamp(2, 16_384)
    };
    match (options.width, options.height) {
        (Some(width), Some(height)) => Size::new(width, height),
        (Some(width), None) => Size::new(width, follow(width, display.width, display.height)),
        (None, Some(height)) => Size::new(follow(height, display.height, display.width), height),
        (None, None) => display,
    }
}

fn scale(
    painter: &mut Painter,
    options: &job::Scale,
    frame: &VideoFrame,
) -> Result<VideoFrame, MediaError> {
    let display = frame.display_size;
    let size = target(options, display);
    let format = planar_of(frame.format.ok_or_else(unnamed)?);
    let visible = frame.visible_rect.size();
    // Both aspect ratios as products of whole numbers.
    let wide = u64::from(display.width) * u64::from(size.height);
    let high = u64::from(display.height) * u64::from(size.width);
    let part = |side: u32, of: u64, by: u64| {
        let exact = u128::from(side) * u128::from(of) / u128::from(by.max(1));
        u32::try_from(exact).unwrap_or(side).clamp(1, side)
    };
    let mut scaled = match options.fit {
        FitMode::Contain if wide != high => {
            let inner = match wide > high {
                true => Size::new(
                    size.width,
                    part(size.height, high, wide)
                        .next_multiple_of(2)
                        .min(size.height),
                ),
                false => Size::new(
                    part(size.width, wide, high)
                        .next_multiple_of(2)
                        .min(size.width),
                    size.height,
                ),
            };
            let inner_frame = painter.planar(frame, format, inner)?;
            let middle = |outer: u32, inner: u32| (outer.saturating_sub(inner) / 2) & !1;
            let (x, y) = (
                middle(size.width, inner.width),
                middle(size.height, inner.height),
            );
            painter.pad(&inner_frame, size, x, y, Color::default())?
        }
        FitMode::Cover if wide != high => {
            let kept = match wide > high {
                true => Size::new(part(visible.width, high, wide), visible.height),
                false => Size::new(visible.width, part(visible.height, wide, high)),
            };
            let rect = Rect {
                x: (visible.width - kept.width) / 2,
                y: (visible.height - kept.height) / 2,
                width: kept.width,
                height: kept.height,
            };
            painter.planar(&crop(frame, rect)?, format, size)?
        }
        _ => painter.planar(frame, format, size)?,
    };
    scaled.display_size = size;
    Ok(scaled)
}
