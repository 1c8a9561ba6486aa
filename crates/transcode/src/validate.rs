//! What can be said of a specification without its files.

use std::collections::{BTreeMap, BTreeSet};

use reelcore_containers::mux::Format;
use reelcore_media::encoder::ScalabilityMode;

use crate::codecs::{self, AudioChoice, VideoChoice};
use crate::error::JobError;
use crate::job::is_name;
use crate::job::{
    AudioStream, Filter, Input, Job, Named, Operation, Output, Source, SourceKind, Stream, Time,
    VERSION, VideoStream,
};

/// Of inputs, outputs, parts, tracks of an output, and filters. Each stream has threads of its own.
const MAX_COUNT: usize = 64;

/// Filters that are run in all. A filter that two others take from runs once for each.
const MAX_RUNNING: u64 = 256;

/// The largest side of a picture.
const MAX_SIDE: u32 = 16_384;

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A container.
    Container(Format),
    /// One picture.
    Png,
}

type Checked = Result<(), JobError>;

pub(crate) fn validate(job: &Job) -> Checked {
    if job.version != VERSION {
        return Err(JobError::spec(
            "version",
            format!("expected {VERSION}, found {}", job.version),
        ));
    }
    count("inputs", job.inputs.iter().count(), true)?;
    for (name, input) in job.inputs.iter() {
        let path = format!("inputs.{name}");
        name_of(&path, name)?;
        check_input(&path, input)?;
    }
    if job.operation == Operation::Probe {
        if !job.filters.is_empty() {
            return Err(JobError::spec("filters", "a probe has no filters"));
        }
        if !job.outputs.is_empty() {
            return Err(JobError::spec("outputs", "a probe has no outputs"));
        }
        return Ok(());
    }
    count("filters", job.filters.iter().count(), false)?;
    let graph = Graph::new(job)?;
    count("outputs", job.outputs.len(), true)?;
    let mut paths = BTreeSet::new();
    let mut running = 0u64;
    for (index, output) in job.outputs.iter().enumerate() {
        let path = format!("outputs[{index}]");
        if !paths.insert(&output.path) {
            return Err(JobError::spec(
                format!("{path}.path"),
                "another output has the same path",
            ));
        }
        running = running.saturating_add(check_output(job, &graph, &path, output)?);
    }
    if running > MAX_RUNNING {
        return Err(JobError::spec(
            "filters",
            format!(
                "expected at most {MAX_RUNNING} filters and sources to run, found {running}: those that several take from run once for each"
            ),
        ));
    }
    for name in job.filters.0.keys() {
        if !graph.used.contains(name.as_str()) {
            return Err(JobError::spec(
                format!("filters.{name}"),
                "nothing takes its output: no filter and no output has it as its source",
            ));
        }
    }
    Ok(())
}

fn count(path: &str, count: usize, needed: bool) -> Checked {
    if (count == 0 && needed) || count > MAX_COUNT {
        let least = usize::from(needed);
        return Err(JobError::spec(
            path,
            format!("expected {least} to {MAX_COUNT}, found {count}"),
        ));
    }
    Ok(())
}

fn name_of(path: &str, name: &str) -> Checked {
    match is_name(name) {
        true => Ok(()),
        false => Err(JobError::spec(
            path,
            "expected a name of 1 to 64 letters, digits, `-` and `_`",
        )),
    }
}

fn range(path: &str, from: Option<Time>, to: Option<Time>) -> Checked {
    match to {
        Some(to) if to <= from.unwrap_or_default() => Err(JobError::spec(
            format!("{path}.to"),
            format!(
                "expected a time after `from` ({} s), found {} s",
                from.unwrap_or_default().seconds(),
                to.seconds()
            ),
        )),
        _ => Ok(()),
    }
}

fn file(path: &str, file: &std::path::Path) -> Checked {
    match file.as_os_str().to_str() {
        Some("") => Err(JobError::spec(
            path,
            "expected the path of a file, found an empty one",
        )),
        Some("-") => Err(JobError::spec(
            path,
            "expected the path of a file: standard input and output cannot be sought in, which most containers need",
        )),
        _ => Ok(()),
    }
}

fn check_input(path: &str, input: &Input) -> Checked {
    match (&input.path, input.concat.is_empty()) {
        (Some(name), true) => {
            file(&format!("{path}.path"), name)?;
            range(path, input.from, input.to)
        }
        (None, false) => {
            if input.from.is_some() || input.to.is_some() {
                let field = if input.from.is_some() { "from" } else { "to" };
                return Err(JobError::spec(
                    format!("{path}.{field}"),
                    "each part of a concatenation has its own `from` and `to`",
                ));
            }
            count(&format!("{path}.concat"), input.concat.len(), true)?;
            for (index, part) in input.concat.iter().enumerate() {
                let path = format!("{path}.concat[{index}]");
                file(&format!("{path}.path"), &part.path)?;
                range(&path, part.from, part.to)?;
            }
            Ok(())
        }
        _ => Err(JobError::spec(path, "expected either `path` or `concat`")),
    }
}

/// What the filters make of one another.
struct Graph<'a> {
    filters: &'a Named<Filter>,
    /// For each filter that has been seen: what it gives, and how many filters and sources run for it.
    known: BTreeMap<&'a str, (SourceKind, u64)>,
    used: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    fn new(job: &'a Job) -> Result<Self, JobError> {
        let mut graph = Self {
            filters: &job.filters,
            known: BTreeMap::new(),
            used: BTreeSet::new(),
        };
        for (name, filter) in job.filters.iter() {
            let path = format!("filters.{name}");
            name_of(&path, name)?;
            check_filter(&format!("{path}.{}", filter.name()), filter)?;
            for (_, source) in filter.inputs() {
                if let Source::Filter(name) = source {
                    graph.used.insert(name);
                }
            }
            if let Some(name) = job.filters.0.get_key_value(name).map(|(name, _)| name) {
                graph.visit(job, name, &mut Vec::new())?;
            }
        }
        for output in &job.outputs {
            for stream in &output.streams {
                let source = match stream {
                    Stream::Video(stream) => &stream.source,
                    Stream::Audio(stream) => &stream.source,
                };
                if let Some(Source::Filter(name)) = source {
                    graph.used.insert(name);
                }
            }
        }
        Ok(graph)
    }

    /// What the filter of that name gives. `above` are those that take from it.
    fn visit(
        &mut self,
        job: &'a Job,
        name: &'a str,
        above: &mut Vec<&'a str>,
    ) -> Result<(SourceKind, u64), JobError> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let Some(filter) = self.filters.get(name) else {
            return Err(JobError::spec(
                "filters",
                format!("no filter has the name {name:?}"),
            ));
        };
        let path = format!("filters.{name}.{}", filter.name());
        above.push(name);
        let mut first = None;
        let mut running = 1u64;
        for (index, (field, source)) in filter.inputs().into_iter().enumerate() {
            let path = format!("{path}.{field}");
            let (kind, count) = match source {
                Source::Track { .. } => (track(job, &path, source)?, 1),
                Source::Filter(name) => {
                    if above.contains(&name.as_str()) {
                        return Err(JobError::spec(
                            path,
                            format!(
                                "a cycle: {} takes from itself by way of {}",
                                name,
                                above.join(", ")
                            ),
                        ));
                    }
                    if self.filters.get(name).is_none() {
                        return Err(JobError::spec(
                            path,
                            format!("no filter has the name {name:?}"),
                        ));
                    }
                    self.visit(job, name, above)?
                }
            };
            running = running.saturating_add(count);
            let wanted = match (filter, index) {
                (
                    Filter::Volume(_) | Filter::Mix(_) | Filter::Resample(_) | Filter::Atrim(_),
                    _,
                ) => SourceKind::Audio,
                (Filter::Fade(_) | Filter::Crossfade(_), 0) => kind,
                (Filter::Crossfade(_), _) => first.unwrap_or(kind),
                _ => SourceKind::Video,
            };
            if kind != wanted {
                return Err(JobError::spec(
                    path,
                    format!(
                        "{} takes {} here, {source} is {}",
                        filter.name(),
                        wanted.as_str(),
                        kind.as_str()
                    ),
                ));
            }
            first = first.or(Some(kind));
        }
        if let (Filter::Fade(fade), Some(SourceKind::Audio)) = (filter, first)
            && fade.color.is_some()
        {
            return Err(JobError::spec(
                format!("{path}.color"),
                "sound has no colour",
            ));
        }
        above.pop();
        // Every filter takes something: mix is checked to have inputs.
        let result = (first.unwrap_or(SourceKind::Audio), running);
        self.known.insert(name, result);
        Ok(result)
    }
}

/// What a track is, if its input is there.
fn track(job: &Job, path: &str, source: &Source) -> Result<SourceKind, JobError> {
    match source {
        Source::Track { input, kind, .. } if job.inputs.get(input).is_some() => Ok(*kind),
        Source::Track { input, .. } => Err(JobError::spec(
            path,
            format!("no input has the name {input:?}"),
        )),
        Source::Filter(name) => Err(JobError::spec(path, format!("{name:?} is no track"))),
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    path: &str,
    field: &str,
    value: Option<T>,
    min: T,
    max: T,
) -> Checked {
    match value {
        Some(value) if !(min <= value && value <= max) => Err(JobError::spec(
            format!("{path}.{field}"),
            format!("expected {min} to {max}, found {value}"),
        )),
        _ => Ok(()),
    }
}

fn longer_than_nothing(path: &str, field: &str, time: Time) -> Checked {
    match time.0 {
        0 => Err(JobError::spec(
            format!("{path}.{field}"),
            "expected more than 0 seconds",
        )),
        _ => Ok(()),
    }
}

fn check_filter(path: &str, filter: &Filter) -> Checked {
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

/// What the output at `path` is.
pub(crate) fn target(path: &str, output: &Output) -> Result<Target, JobError> {
    if let Some(name) = &output.container {
        return match (name.as_str(), Format::from_name(name)) {
            ("png", _) => Ok(Target::Png),
            (_, Some(format)) => Ok(Target::Container(format)),
            (name, None) => {
                let names: Vec<_> = Format::ALL.iter().map(|format| format.name()).collect();
                Err(JobError::spec(
                    format!("{path}.container"),
                    format!("expected one of {}, png, found {name:?}", names.join(", ")),
                ))
            }
        };
    }
    let extension = output
        .path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    if extension.eq_ignore_ascii_case("png") {
        return Ok(Target::Png);
    }
    Format::from_extension(extension)
        .map(Target::Container)
        .ok_or_else(|| {
            JobError::spec(
                format!("{path}.path"),
                format!("the extension {extension:?} is of no container: name one in `container`"),
            )
        })
}

/// The tracks of an output, with those that it has by default.
pub(crate) fn streams(job: &Job, target: Target, output: &Output) -> Vec<Stream> {
    if !output.streams.is_empty() {
        return output.streams.clone();
    }
    let (video, audio) = match target {
        Target::Png => (true, false),
        Target::Container(format) => {
            let (video, audio) = codecs::usual(format);
            (video.is_some(), audio.is_some())
        }
    };
    let mut streams = Vec::new();
    if let (1, Some((input, _))) = (job.inputs.iter().count(), job.inputs.iter().next()) {
        let source = |kind| {
            Some(Source::Track {
                input: input.clone(),
                kind,
                index: 0,
            })
        };
        if video {
            streams.push(Stream::Video(VideoStream {
                source: source(SourceKind::Video),
                ..VideoStream::default()
            }));
        }
        if audio {
            streams.push(Stream::Audio(AudioStream {
                source: source(SourceKind::Audio),
                ..AudioStream::default()
            }));
        }
    }
    streams
}

/// The source of a track: by default the first one of that kind of the only input.
pub(crate) fn source(
    job: &Job,
    path: &str,
    source: Option<&Source>,
    kind: SourceKind,
) -> Result<Source, JobError> {
    if let Some(source) = source {
        return Ok(source.clone());
    }
    match (job.inputs.iter().count(), job.inputs.iter().next()) {
        (1, Some((input, _))) => Ok(Source::Track {
            input: input.clone(),
            kind,
            index: 0,
        }),
        _ => Err(JobError::spec(
            path,
            "expected a `source`, as there are several inputs",
        )),
    }
}

/// How many filters and sources run for it.
fn check_output(
    job: &Job,
    graph: &Graph<'_>,
    path: &str,
    output: &Output,
) -> Result<u64, JobError> {
    file(&format!("{path}.path"), &output.path)?;
    let target = target(path, output)?;
    if output.path.file_name().is_none() {
        return Err(JobError::spec(
            format!("{path}.path"),
            "expected the path of a file",
        ));
    }
    count(&format!("{path}.streams"), output.streams.len(), false)?;
    if output.streams.is_empty() && job.inputs.iter().count() != 1 {
        return Err(JobError::spec(
            format!("{path}.streams"),
            "expected at least one, as there are several inputs",
        ));
    }
    if target == Target::Png && !matches!(output.streams.as_slice(), [] | [Stream::Video(_)]) {
        return Err(JobError::spec(
            format!("{path}.streams"),
            "an image has one stream, of video",
        ));
    }
    let mut running = 0u64;
    for (index, stream) in output.streams.iter().enumerate() {
        let (path, kind, source) = match stream {
            Stream::Video(stream) => {
                let path = format!("{path}.streams[{index}].video");
                check_video(job, &path, target, stream)?;
                (path, SourceKind::Video, &stream.source)
            }
            Stream::Audio(stream) => {
                let path = format!("{path}.streams[{index}].audio");
                check_audio(job, &path, target, stream)?;
                (path, SourceKind::Audio, &stream.source)
            }
        };
        let source = self::source(job, &path, source.as_ref(), kind)?;
        let path = format!("{path}.source");
        let (found, count) = match &source {
            Source::Track { .. } => (track(job, &path, &source)?, 1),
            Source::Filter(name) => match graph.known.get(name.as_str()) {
                Some(known) => *known,
                None => {
                    return Err(JobError::spec(
                        path,
                        format!("no filter has the name {name:?}"),
                    ));
                }
            },
        };
        if found != kind {
            return Err(JobError::spec(
                path,
                format!("expected {}, {source} is {}", kind.as_str(), found.as_str()),
            ));
        }
        running = running.saturating_add(count);
    }
    Ok(running)
}

/// Packets can only be copied as they are.
fn check_copy(
    job: &Job,
    path: &str,
    source: Option<&Source>,
    kind: SourceKind,
    others: &[(&str, bool)],
) -> Checked {
    if let Some((field, _)) = others.iter().find(|(_, set)| *set) {
        return Err(JobError::spec(
            format!("{path}.{field}"),
            "packets that are copied cannot be changed",
        ));
    }
    let refuse = |message: &str| Err(JobError::spec(format!("{path}.codec"), message));
    match self::source(job, path, source, kind)? {
        Source::Filter(_) => {
            refuse("what comes from a filter cannot be copied: it has to be encoded")
        }
        Source::Track { input, .. } => match job.inputs.get(&input) {
            Some(input) if !input.concat.is_empty() => {
                refuse("parts of a concatenation cannot be copied: they have to be encoded")
            }
            Some(input) if input.from.is_some_and(|from| from.0 > 0) => refuse(
                "a copy begins with its file: `from` needs an encoder, as pictures before it may be needed",
            ),
            _ => Ok(()),
        },
    }
}

fn check_video(job: &Job, path: &str, target: Target, stream: &VideoStream) -> Checked {
    within(path, "bitrate", stream.bitrate, 1000, 2_000_000_000)?;
    within(path, "quantizer", stream.quantizer, 0, 63)?;
    if stream.quantizer.is_some() && stream.bitrate.is_some() {
        return Err(JobError::spec(
            format!("{path}.quantizer"),
            "expected either `bitrate` or `quantizer`",
        ));
    }
    if let Some(interval) = stream.key_interval {
        longer_than_nothing(path, "keyInterval", interval)?;
    }
    if let Some(mode) = &stream.scalability_mode
        && ScalabilityMode::parse(mode).is_none()
    {
        return Err(JobError::spec(
            format!("{path}.scalabilityMode"),
            format!("expected L1T1, L1T2 or L1T3, found {mode:?}"),
        ));
    }
    let choice = match &stream.codec {
        Some(codec) => Some(
            codecs::video(codec).map_err(|error| JobError::spec(format!("{path}.codec"), error))?,
        ),
        None => None,
    };
    let set = [
        ("bitrate", stream.bitrate.is_some()),
        ("bitrateMode", stream.bitrate_mode.is_some()),
        ("quantizer", stream.quantizer.is_some()),
        ("mode", stream.mode.is_some()),
        ("content", stream.content.is_some()),
        ("keyInterval", stream.key_interval.is_some()),
        ("alpha", stream.alpha.is_some()),
        ("scalabilityMode", stream.scalability_mode.is_some()),
    ];
    match (target, choice) {
        (Target::Png, Some(_)) => Err(JobError::spec(
            format!("{path}.codec"),
            "an image has no codec to choose",
        )),
        (Target::Png, None) => match set.iter().find(|(field, set)| *set && *field != "alpha") {
            Some((field, _)) => Err(JobError::spec(
                format!("{path}.{field}"),
                "an image has no such option",
            )),
            None => Ok(()),
        },
        (_, Some(VideoChoice::Copy)) => {
            check_copy(job, path, stream.source.as_ref(), SourceKind::Video, &set)
        }
        (Target::Container(format), None) if codecs::usual(format).0.is_none() => Err(
            JobError::spec(path, format!("{} holds no pictures", format.name())),
        ),
        _ => Ok(()),
    }
}

fn check_audio(job: &Job, path: &str, target: Target, stream: &AudioStream) -> Checked {
    within(path, "bitrate", stream.bitrate, 1000, 20_000_000)?;
    within(path, "sampleRate", stream.sample_rate, 1000, 768_000)?;
    within(path, "channels", stream.channels, 1, 8)?;
    let choice = match &stream.codec {
        Some(codec) => Some(
            codecs::audio(codec).map_err(|error| JobError::spec(format!("{path}.codec"), error))?,
        ),
        None => None,
    };
    match (target, choice) {
        (_, Some(AudioChoice::Copy)) => {
            let set = [
                ("bitrate", stream.bitrate.is_some()),
                ("bitrateMode", stream.bitrate_mode.is_some()),
                ("sampleRate", stream.sample_rate.is_some()),
                ("channels", stream.channels.is_some()),
            ];
            check_copy(job, path, stream.source.as_ref(), SourceKind::Audio, &set)
        }
        (Target::Container(format), None) if codecs::usual(format).1.is_none() => Err(
            JobError::spec(path, format!("{} holds no sound", format.name())),
        ),
        _ => Ok(()),
    }
}
