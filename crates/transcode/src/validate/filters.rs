//! What each filter can be told.

use super::{Checked, longer_than_nothing, range, within};
use crate::error::JobError;
use crate::job::Filter;

/// The largest side of a picture.
const MAX_SIDE: u32 = 16_384;

pub(super) fn check_filter(path: &str, filter: &Filter) -> Checked {
    let side = |field: &str, value: Option<u32>| within(path, field, value, 1, MAX_SIDE);
    let edge = |field: &str, value: Option<u32>| within(path, field, value, 0, MAX_SIDE);
    match filter {
        Filter::Scale(filter) => {
            side("width", filter.width)?;
            side("height", filter.height)?;
            match (filter.width, filter.height) {
                (None, None) => Err(JobError::spec(path, "expected `width`, `height` or both")),
                _ => Ok(()),
            }
        }
        Filter::Crop(filter) => {
            side("width", Some(filter.width))?;
            side("height", Some(filter.height))?;
            edge("x", Some(filter.x))?;
            edge("y", Some(filter.y))
        }
        Filter::Pad(filter) => {
            side("width", Some(filter.width))?;
            side("height", Some(filter.height))?;
            edge("x", filter.x)?;
            edge("y", filter.y)
        }
        Filter::Overlay(filter) => {
            let side = MAX_SIDE as i32;
            within(path, "x", Some(filter.x), -side, side)?;
            within(path, "y", Some(filter.y), -side, side)?;
            within(path, "opacity", Some(filter.opacity), 0.0, 1.0)?;
            range(path, filter.from, filter.to)
        }
        Filter::Rotate(filter) => match filter.degrees {
            0 | 90 | 180 | 270 => Ok(()),
            other => Err(JobError::spec(
                format!("{path}.degrees"),
                format!("expected 0, 90, 180 or 270, found {other}"),
            )),
        },
        Filter::Fade(filter) => longer_than_nothing(path, "duration", filter.duration),
        Filter::Crossfade(filter) => longer_than_nothing(path, "duration", filter.duration),
        Filter::Trim(filter) | Filter::Atrim(filter) => range(path, Some(filter.from), filter.to),
        Filter::Volume(filter) => {
            within(path, "gain", filter.gain, 0.0, 100.0)?;
            within(path, "decibels", filter.decibels, -200.0, 40.0)?;
            match (filter.gain, filter.decibels) {
                (Some(_), None) | (None, Some(_)) => Ok(()),
                _ => Err(JobError::spec(path, "expected either `gain` or `decibels`")),
            }
        }
        Filter::Mix(filter) => {
            let inputs = filter.inputs.len();
            if !(1..=32).contains(&inputs) {
                return Err(JobError::spec(
                    format!("{path}.inputs"),
                    format!("expected 1 to 32, found {inputs}"),
                ));
            }
            if !filter.gains.is_empty() && filter.gains.len() != inputs {
                return Err(JobError::spec(
                    format!("{path}.gains"),
                    format!(
                        "expected one for each of {inputs} inputs, found {}",
                        filter.gains.len()
                    ),
                ));
            }
            for (index, gain) in filter.gains.iter().enumerate() {
                within(path, &format!("gains[{index}]"), Some(*gain), 0.0, 100.0)?;
            }
            Ok(())
        }
        Filter::Resample(filter) => {
            within(path, "sampleRate", filter.sample_rate, 1000, 768_000)?;
            within(path, "channels", filter.channels, 1, 8)?;
            match (filter.sample_rate, filter.channels) {
                (None, None) => Err(JobError::spec(
                    path,
                    "expected `sampleRate`, `channels` or both",
                )),
                _ => Ok(()),
            }
        }
        Filter::Fps(_) | Filter::Format(_) => Ok(()),
    }
}
