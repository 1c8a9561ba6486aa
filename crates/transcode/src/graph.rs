//! From a specification to streams that can be pulled. Every output has streams of its own, down to the decoders: none waits
//! for another, whatever the graph looks like, and nothing piles up between them.

use reelcore_media::demux::Track;
use reelcore_media::{Rect, Rotation};

use crate::audio::filters as audio;
use crate::decode;
use crate::encode::Said;
use crate::error::JobError;
use crate::job::{Filter, Job, Source, SourceKind};
use crate::source::{Content, FOREVER, Inputs};
use crate::stream::{Context, Pictures, Sounds};
use crate::video::filters::{Change, Each};
use crate::video::overlay::Overlay;
use crate::video::time;

fn endless(path: &str, source: &Source) -> JobError {
    JobError::spec(
        path,
        format!("{source} has no end of its own: give its input a `to`"),
    )
}

/// Bits of a sample less one, of STREAMINFO in the description of FLAC: 5 bits behind those of the channels.
/// <https://www.rfc-editor.org/rfc/rfc9639#name-streaminfo>
fn flac_depth(track: &Track) -> Option<u8> {
    match track.description.as_ref()?.get(20..22)? {
        [high, low] if track.codec.as_deref() == Some("flac") => Some((high & 1) << 4 | low >> 4),
        _ => None,
    }
}

/// What of a stream's length is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// That of its whole input, as far as it is known without reading everything.
    Said,
    /// That of its whole input, so that pictures and sound agree.
    Input,
    /// Where its own last picture or sound ends, which may be before the input does.
    Own,
}

/// Builds streams.
pub(crate) struct Graph<'a> {
    pub(crate) context: &'a Context,
    pub(crate) job: &'a Job,
    pub(crate) inputs: &'a Inputs,
}

impl Graph<'_> {
    fn filter(&self, name: &str) -> Result<&Filter, JobError> {
        self.job
            .filters
            .get(name)
            .ok_or_else(|| JobError::spec("filters", format!("no filter has the name {name:?}")))
    }

    /// Whether there is such a track, or all that the filter takes.
    pub(crate) fn has(&self, source: &Source) -> Result<bool, JobError> {
        match source {
            Source::Filter(name) => {
                for (_, input) in self.filter(name)?.inputs() {
                    if !self.has(input)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Source::Track { input, kind, index } => {
                let parts = &self.inputs.get(input)?.parts;
                Ok(parts.iter().any(|part| part.media.has(*kind, *index)))
            }
        }
    }

    /// The length of a stream in microseconds.
    pub(crate) fn length(&self, source: &Source, which: Length) -> Result<Option<i64>, JobError> {
        let name = match source {
            Source::Filter(name) => name,
            Source::Track { input, kind, index } => {
                let (input, cancel) = (self.inputs.get(input)?, &self.context.cancel);
                return match which {
                    Length::Said => Ok(input.said_length()),
                    Length::Input => input.length(cancel).map(Some),
                    Length::Own => input.track_length(*kind, *index, cancel).map(Some),
                };
            }
        };
        Ok(match self.filter(name)? {
            Filter::Trim(filter) | Filter::Atrim(filter) => {
                let length = self.length(&filter.input, which)?.unwrap_or(i64::MAX);
                let end = length.min(filter.to.map_or(i64::MAX, |to| to.0));
                (end < i64::MAX).then(|| (end - filter.from.0).max(0))
            }
            Filter::Crossfade(filter) => {
                // Where the other begins depends on the whole input in any case.
                let whole = match which {
                    Length::Own => Length::Input,
                    which => which,
                };
                let first = self.length(&filter.input, whole)?;
                let next = self.length(&filter.next, which)?;
                first.zip(next).map(|(first, next)| {
                    first
                        .saturating_sub(filter.duration.0)
                        .max(0)
                        .saturating_add(next)
                })
            }
            Filter::Mix(filter) => {
                let mut longest = Some(0);
                for input in &filter.inputs {
                    let length = self.length(input, which)?;
                    longest = longest.zip(length).map(|(a, b): (i64, i64)| a.max(b));
                }
                longest
            }
            other => match other.inputs().first() {
                Some((_, input)) => self.length(input, which)?,
                None => None,
            },
        })
    }

    /// The exact length, for what needs one.
    fn end(&self, path: &str, source: &Source, which: Length) -> Result<i64, JobError> {
        match self.length(source, which)? {
            Some(length) if length < FOREVER / 2 => Ok(length),
            _ => Err(endless(path, source)),
        }
    }

    /// Whether a stream goes on for ever: images do where nothing says until when.
    fn is_endless(&self, source: &Source) -> Result<bool, JobError> {
        let name = match source {
            Source::Filter(name) => name,
            Source::Track { input, .. } => {
                let last = self.inputs.get(input)?.parts.last();
                return Ok(last.is_some_and(|part| {
                    matches!(part.media.content, Content::Image(_)) && part.to.is_none()
                }));
            }
        };
        match self.filter(name)? {
            Filter::Trim(filter) | Filter::Atrim(filter) => {
                Ok(filter.to.is_none() && self.is_endless(&filter.input)?)
            }
            Filter::Crossfade(filter) => self.is_endless(&filter.next),
            Filter::Mix(filter) => {
                for input in &filter.inputs {
                    if self.is_endless(input)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            other => match other.inputs().first() {
                Some((_, input)) => self.is_endless(input),
                None => Ok(false),
            },
        }
    }

    /// Refuses a stream that goes on for ever.
    pub(crate) fn ends(&self, path: &str, source: &Source) -> Result<(), JobError> {
        match self.is_endless(source)? {
            true => Err(endless(path, source)),
            false => Ok(()),
        }
    }

    /// What containers say of a stream: language and name of the track that it comes from, or that all of them have.
    pub(crate) fn said(&self, source: &Source) -> Result<Said, JobError> {
        let mut all = match source {
            Source::Filter(name) => {
                let filter = self.filter(name)?;
                let mut inputs = filter.inputs();
                // What is laid over pictures changes neither what language they are in nor what they are called.
                if matches!(filter, Filter::Overlay(_)) {
                    inputs.truncate(1);
                }
                let of = |(_, input): &(String, &Source)| self.said(input);
                inputs.iter().map(of).collect::<Result<Vec<_>, _>>()?
            }
            Source::Track { input, kind, index } => {
                let parts = self.inputs.get(input)?.parts.iter();
                let tracks = parts.filter_map(|part| part.media.track(*kind, *index));
                tracks.map(|(_, track)| Said::of(track)).collect()
            }
        };
        let last = all.pop().unwrap_or_default();
        let said = all.into_iter().fold(last, Said::shared);
        Ok(match source {
            Source::Filter(name) if matches!(self.filter(name)?, Filter::Scale(_)) => {
                said.of_square_pixels()
            }
            _ => said,
        })
    }

    /// Whether all samples are as the first ones were decoded: of one kind of track, and through no filter that computes.
    pub(crate) fn is_as_decoded(&self, source: &Source) -> Result<bool, JobError> {
        match source {
            Source::Filter(name) => match self.filter(name)? {
                Filter::Atrim(filter) => self.is_as_decoded(&filter.input),
                _ => Ok(false),
            },
            Source::Track { input, kind, index } => {
                let parts = self.inputs.get(input)?.parts.iter();
                let mut tracks = parts.filter_map(|part| part.media.track(*kind, *index));
                let alike = |(_, track): (usize, &Track)| {
                    let depth = flac_depth(track);
                    (track.codec.clone(), track.kind.clone(), depth)
                };
                let first = tracks.next().map(alike);
                Ok(tracks.all(|other| Some(alike(other)) == first))
            }
        }
    }

    /// Where a crossfade begins, in microseconds.
    fn crossfade_start(&self, name: &str, filter: &crate::job::Crossfade) -> Result<i64, JobError> {
        let path = format!("filters.{name}.crossfade");
        let end = self.end(&format!("{path}.input"), &filter.input, Length::Input)?;
        if filter.duration.0 > end {
            return Err(JobError::spec(
                format!("{path}.duration"),
                format!(
                    "expected at most the length of the first stream, {} s, found {} s",
                    end as f64 / 1e6,
                    filter.duration.seconds()
                ),
            ));
        }
        Ok(end - filter.duration.0)
    }

    /// Where a fade begins, in microseconds.
    fn fade_start(&self, name: &str, filter: &crate::job::Fade) -> Result<i64, JobError> {
        match (filter.from, filter.direction) {
            (Some(from), _) => Ok(from.0),
            (None, crate::job::Direction::In) => Ok(0),
            (None, crate::job::Direction::Out) => {
                let path = format!("filters.{name}.fade.input");
                let end = self.end(&path, &filter.input, Length::Own)?;
                Ok((end - filter.duration.0).max(0))
            }
        }
    }

    /// The pictures of a source.
    pub(crate) fn pictures(&self, source: &Source) -> Result<Pictures, JobError> {
        let name = match source {
            Source::Filter(name) => name,
            Source::Track { input, index, .. } => {
                return decode::pictures(self.context, self.inputs.get(input)?, *index);
            }
        };
        let engine = &self.context.engine;
        let each = |input: &Source, change: Change| -> Result<Pictures, JobError> {
            let path = format!("filters.{name}.{}", self.filter(name)?.name());
            Ok(Box::new(Each::new(
                engine,
                self.pictures(input)?,
                change,
                &path,
            )))
        };
        match self.filter(name)? {
            Filter::Scale(filter) => each(&filter.input, Change::Scale(filter.clone())),
            Filter::Crop(filter) => {
                let rect = Rect {
                    x: filter.x,
                    y: filter.y,
                    width: filter.width,
                    height: filter.height,
                };
                each(&filter.input, Change::Crop(rect))
            }
            Filter::Pad(filter) => each(&filter.input, Change::Pad(filter.clone())),
            Filter::Rotate(filter) => {
                let by = Rotation::from_quarters(u32::from(filter.degrees) / 90);
                each(&filter.input, Change::Rotate(by, filter.flip))
            }
            Filter::Format(filter) => each(&filter.input, Change::Format(filter.format.0)),
            Filter::Fade(filter) => {
                let from = self.fade_start(name, filter)?;
                let color = filter.color.unwrap_or_default();
                let change = Change::Fade(filter.direction, from, filter.duration.0, color);
                each(&filter.input, change)
            }
            Filter::Fps(filter) => Ok(Box::new(time::Fps::new(
                self.pictures(&filter.input)?,
                filter.rate,
            ))),
            Filter::Trim(filter) => {
                let to = filter.to.map_or(i64::MAX, |to| to.0);
                Ok(Box::new(time::Trim::new(
                    self.pictures(&filter.input)?,
                    filter.from.0,
                    to,
                )))
            }
            Filter::Overlay(filter) => {
                let (input, over) = (self.pictures(&filter.input)?, self.pictures(&filter.over)?);
                Ok(Box::new(Overlay::new(engine, input, over, filter.clone())))
            }
            Filter::Crossfade(filter) => {
                let start = self.crossfade_start(name, filter)?;
                let (first, next) = (self.pictures(&filter.input)?, self.pictures(&filter.next)?);
                Ok(Box::new(time::Crossfade::new(
                    engine,
                    first,
                    next,
                    start,
                    filter.duration.0,
                )))
            }
            other => Err(JobError::spec(
                format!("filters.{name}"),
                format!("{} gives no pictures", other.name()),
            )),
        }
    }

    /// The sound of a source.
    pub(crate) fn sounds(&self, source: &Source) -> Result<Sounds, JobError> {
        let name = match source {
            Source::Filter(name) => name,
            Source::Track { input, index, .. } => {
                return decode::sounds(self.context, self.inputs.get(input)?, *index);
            }
        };
        match self.filter(name)? {
            Filter::Volume(filter) => {
                let gain = match (filter.gain, filter.decibels) {
                    (Some(gain), _) => gain,
                    (None, Some(decibels)) => 10f64.powf(decibels / 20.0),
                    (None, None) => 1.0,
                };
                let input = self.sounds(&filter.input)?;
                Ok(Box::new(audio::Volume {
                    input,
                    gain: gain as f32,
                }))
            }
            Filter::Fade(filter) => Ok(Box::new(audio::Fade {
                from: self.fade_start(name, filter)?,
                input: self.sounds(&filter.input)?,
                direction: filter.direction,
                duration: filter.duration.0,
            })),
            Filter::Atrim(filter) => Ok(Box::new(audio::Trim {
                input: self.sounds(&filter.input)?,
                from: filter.from.0,
                to: filter.to.map_or(i64::MAX, |to| to.0),
            })),
            Filter::Resample(filter) => {
                let input = self.sounds(&filter.input)?;
                Ok(Box::new(audio::Resample::new(
                    input,
                    filter.sample_rate,
                    filter.channels,
                )))
            }
            Filter::Mix(filter) => {
                let mut inputs = Vec::with_capacity(filter.inputs.len());
                for (index, input) in filter.inputs.iter().enumerate() {
                    let gain = filter.gains.get(index).copied().unwrap_or(1.0);
                    inputs.push((self.sounds(input)?, gain as f32));
                }
                Ok(Box::new(audio::Mix::new(inputs)))
            }
            Filter::Crossfade(filter) => {
                // The sum of one that goes and one that comes.
                let start = self.crossfade_start(name, filter)?;
                let duration = filter.duration.0;
                let first: Sounds = Box::new(audio::Trim {
                    input: self.sounds(&filter.input)?,
                    from: 0,
                    to: start.saturating_add(duration),
                });
                let first: Sounds = Box::new(audio::Fade {
                    input: first,
                    direction: crate::job::Direction::Out,
                    from: start,
                    duration,
                });
                let next: Sounds = Box::new(audio::Fade {
                    input: self.sounds(&filter.next)?,
                    direction: crate::job::Direction::In,
                    from: 0,
                    duration,
                });
                let next: Sounds = Box::new(audio::Shift {
                    input: next,
                    by: start,
                });
                Ok(Box::new(audio::Mix::new(vec![(first, 1.0), (next, 1.0)])))
            }
            other => Err(JobError::spec(
                format!("filters.{name}"),
                format!("{} gives no sound", other.name()),
            )),
        }
    }

    /// What kind a source is that is known to be right.
    pub(crate) fn is_filter(source: &Source) -> bool {
        matches!(source, Source::Filter(_))
    }

    /// A track to copy from: its media, kind, number, and where it ends.
    pub(crate) fn track(
        &self,
        source: &Source,
    ) -> Result<(std::sync::Arc<crate::source::Media>, SourceKind, usize, i64), JobError> {
        let Source::Track { input, kind, index } = source else {
            return Err(JobError::spec(
                "outputs",
                format!("{source} cannot be copied"),
            ));
        };
        match self.inputs.get(input)?.parts.as_slice() {
            [part] => Ok((
                part.media.clone(),
                *kind,
                *index,
                part.to.unwrap_or(i64::MAX),
            )),
            _ => Err(JobError::spec(
                "outputs",
                format!("{source} cannot be copied"),
            )),
        }
    }
}
