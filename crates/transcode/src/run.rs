//! Runs a job.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use reelcore_containers::mux::Format;
use reelcore_engine::Engine;
use reelcore_media::demux::TrackKind;
use reelcore_media::mux::MuxOptions;
use reelcore_media::{Registry, Rotation};
use serde::Serialize;

use crate::audio::filters::FromZero;
use crate::codecs::{self, AudioChoice, VideoChoice};
use crate::encode;
use crate::error::JobError;
use crate::graph::{Graph, Length};
use crate::job::{Alpha, Job, Operation, Output, SourceKind, Stream};
use crate::output::{Container, EXISTS, Finished, Lane, OutputReport, Step, keep_all, write_png};
use crate::probe::{FileReport, probe};
use crate::source::{FOREVER, Inputs, Media};
use crate::stream::{Cancel, Context};
use crate::validate::{self, Target};
use crate::video::filters::{Change, Each};

/// The least time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is done of the outputs, in microseconds: of that which is behind most.
    pub time: i64,
    /// How long they will be, in microseconds, where that is known.
    pub total: Option<i64>,
    /// Pictures written so far, of all outputs.
    pub pictures: u64,
    /// Bytes of packets so far, of all outputs.
    pub bytes: u64,
    /// Since the job began, in microseconds.
    pub elapsed: u64,
}

impl Progress {
    /// Microseconds of output made in a microsecond.
    pub fn speed(&self) -> f64 {
        self.time as f64 / (self.elapsed.max(1)) as f64
    }

    /// What is left to wait, in microseconds, where it can be said.
    pub fn remaining(&self) -> Option<u64> {
        let left = self.total?.saturating_sub(self.time).max(0) as f64;
        let speed = self.speed();
        (speed > 0.0).then(|| (left / speed) as u64)
    }
}

/// What a job has written, or found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The outputs, in the order of the specification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputReport>,
    /// What is in the inputs, by their names, where the operation is [`Operation::Probe`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, FileReport>,
    /// How long it took, in microseconds.
    pub elapsed: u64,
}

/// What a job runs with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads and memory.
    pub engine: Engine,
    /// Stops it.
    pub cancel: Cancel,
    /// Whether outputs replace files that are there. By default a job that would do so is refused.
    pub overwrite: bool,
    /// Whether a job that is cancelled returns before its threads have ended, which can take as long as one picture, or all that an
    /// encoder holds back. For programs that end then: its files are gone either way.
    pub abandon: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::global().clone(),
            cancel: Cancel::default(),
            overwrite: false,
            abandon: false,
        }
    }
}

/// Runs `job` with the codecs of `registry`, and says how far it is some ten times a second. Returns when all outputs are
/// complete and have their names.
///
/// # Errors
/// [`JobError`]; nothing of the outputs is left then. An output whose name a file has already is an error.
pub fn run(
    job: &Job,
    registry: &Registry,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, JobError> {
    run_with(job, registry, &Options::default(), progress)
}

/// As [`run`], with an engine, a way to stop it, and leave to replace files, which happens once all outputs are complete.
///
/// # Errors
/// As [`run`]; [`JobError::Cancelled`] when it was stopped. Files that would have been replaced are as they were.
pub fn run_with(
    job: &Job,
    registry: &Registry,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, JobError> {
    job.validate()?;
    let started = Instant::now();
    if job.operation == Operation::Probe {
        return inputs(job, registry, options, started);
    }
    // Before any work: whether it is there still, or again, is looked at when it gets its name.
    for output in job.outputs.iter().filter(|_| !options.overwrite) {
        if output.path.symlink_metadata().is_ok() {
            return Err(JobError::output(&output.path, EXISTS));
        }
    }
    // Stops the job's own threads on an error, and not what else the caller's flag may stop.
    let cancel = options.cancel.child();
    let context = Context::new(registry, &options.engine, &cancel);
    let result = outputs(job, &context, started, progress);
    if result.is_err() {
        cancel.cancel();
    }
    if !(options.abandon && matches!(result, Err(JobError::Cancelled))) {
        context.join();
    }
    let finished = result?;
    options.cancel.check()?;
    // Each has its name only once all are complete. From here on nothing is stopped: there would be a part of them.
    Ok(Report {
        outputs: keep_all(finished, options.overwrite)?,
        inputs: BTreeMap::new(),
        elapsed: micros(started),
    })
}

/// Says what is in the inputs.
fn inputs(
    job: &Job,
    registry: &Registry,
    options: &Options,
    started: Instant,
) -> Result<Report, JobError> {
    let mut inputs = BTreeMap::new();
    for (name, input) in job.inputs.iter() {
        options.cancel.check()?;
        // A specification that is valid has a path for each.
        if let Some(path) = &input.path {
            inputs.insert(name.clone(), probe(path, false, registry)?);
        }
    }
    Ok(Report {
        outputs: Vec::new(),
        inputs,
        elapsed: micros(started),
    })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

enum Event {
    Step(Step),
    Done(usize, Box<Result<Finished, JobError>>),
}

/// Writes all outputs at the same time.
fn outputs(
    job: &Job,
    context: &Context,
    started: Instant,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Finished>, JobError> {
    let inputs = Inputs::open(job, &context.cancel)?;
    let graph = Graph {
        context,
        job,
        inputs: &inputs,
    };
    let total = total(job, &graph)?;
    let mut plans = Vec::new();
    for (index, output) in job.outputs.iter().enumerate() {
        plans.push(plan(job, &graph, &format!("outputs[{index}]"), output)?);
    }
    let (sender, receiver) = channel();
    let count = plans.len();
    let mut finished: Vec<Option<Finished>> = (0..count).map(|_| None).collect();
    let mut steps: Vec<Option<Step>> = (0..count).map(|_| None).collect();
    let mut failure: Option<JobError> = None;
    std::thread::scope(|scope| {
        for (index, (plan, output)) in plans.into_iter().zip(&job.outputs).enumerate() {
            let sender = sender.clone();
            scope.spawn(move || {
                let result = write(context, index, plan, output, &sender);
                if result.is_err() {
                    context.cancel.cancel();
                }
                let _ = sender.send(Event::Done(index, Box::new(result)));
            });
        }
        drop(sender);
        let mut reported: Option<Instant> = None;
        // Ends when all outputs have ended, and with them their senders.
        for event in receiver {
            match event {
                Event::Step(step) => {
                    if let Some(place) = steps.get_mut(step.output) {
                        *place = Some(step);
                    }
                    if reported.is_none_or(|at| at.elapsed() >= REPORT) {
                        reported = Some(Instant::now());
                        progress(sum(&steps, total, started));
                    }
                }
                Event::Done(index, result) => match *result {
                    Ok(done) => {
                        if let Some(place) = finished.get_mut(index) {
                            *place = Some(done);
                        }
                    }
                    // What the others say then is that they were cancelled.
                    Err(error) if failure.is_none() || failure == Some(JobError::Cancelled) => {
                        failure = Some(error)
                    }
                    Err(_) => {}
                },
            }
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    progress(sum(&steps, total, started));
    let all: Option<Vec<_>> = finished.into_iter().collect();
    all.ok_or_else(|| JobError::failed("an output stopped without a word"))
}

fn sum(steps: &[Option<Step>], total: Option<i64>, started: Instant) -> Progress {
    let times = steps
        .iter()
        .map(|step| step.as_ref().map_or(0, |step| step.time));
    let all = || steps.iter().flatten();
    Progress {
        time: times.min().unwrap_or(0),
        total,
        pictures: all().map(|step| step.pictures).sum(),
        bytes: all().map(|step| step.bytes).sum(),
        elapsed: micros(started),
    }
}

/// The length of the longest output, as far as it is known.
fn total(job: &Job, graph: &Graph<'_>) -> Result<Option<i64>, JobError> {
    let mut longest = Some(0);
    for (index, output) in job.outputs.iter().enumerate() {
        let path = format!("outputs[{index}]");
        let target = validate::target(&path, output)?;
        if target == Target::Png {
            continue;
        }
        for stream in validate::streams(job, target, output) {
            let (source, kind) = match &stream {
                Stream::Video(stream) => (&stream.source, SourceKind::Video),
                Stream::Audio(stream) => (&stream.source, SourceKind::Audio),
            };
            let source = validate::source(job, &path, source.as_ref(), kind)?;
            let length = graph
                .length(&source, Length::Said)?
                .filter(|&length| length < FOREVER / 2);
            longest = longest.zip(length).map(|(a, b): (i64, i64)| a.max(b));
        }
    }
    Ok(longest.filter(|&longest| longest > 0))
}

/// An output whose streams run.
enum Plan {
    /// With what is said of the presentation.
    Container(Format, Vec<Lane>, Vec<(String, String)>),
    Png(crate::stream::Pictures, bool),
}

fn plan(job: &Job, graph: &Graph<'_>, path: &str, output: &Output) -> Result<Plan, JobError> {
    let target = validate::target(path, output)?;
    let context = graph.context;
    let counted = target == Target::Container(Format::Flac);
    let mut lanes = Vec::new();
    for (index, stream) in validate::streams(job, target, output).iter().enumerate() {
        let path = format!("{path}.streams[{index}]");
        match stream {
            Stream::Video(stream) => {
                let path = format!("{path}.video");
                let source =
                    validate::source(job, &path, stream.source.as_ref(), SourceKind::Video)?;
                if stream.optional && !graph.has(&source)? {
                    continue;
                }
                let choice = match &stream.codec {
                    Some(codec) => codecs::video(codec)
                        .map_err(|error| JobError::spec(format!("{path}.codec"), error))?,
                    None => match target {
                        Target::Container(format) => match codecs::usual(format).0 {
                            Some(name) => VideoChoice::Name(name),
                            None => {
                                return Err(JobError::spec(
                                    path,
                                    "the container holds no pictures",
                                ));
                            }
                        },
                        Target::Png => {
                            let alpha = stream.alpha == Some(Alpha::Keep);
                            return Ok(Plan::Png(graph.pictures(&source)?, alpha));
                        }
                    },
                };
                if choice == VideoChoice::Copy {
                    let (media, kind, number, to) = graph.track(&source)?;
                    if let Target::Container(format) = target {
                        check_turn(&path, format, &media, number)?;
                    }
                    let inlet = encode::copy(context, media, kind, number, to, counted)?;
                    lanes.push(Lane::new(index, path, inlet));
                    continue;
                }
                graph.ends(&format!("{path}.source"), &source)?;
                let mut pictures = graph.pictures(&source)?;
                if let Target::Container(format) = target
                    && !says_turn(format)
                {
                    pictures = Box::new(Each::new(&context.engine, pictures, Change::Plain, &path));
                }
                if Graph::is_filter(&source) {
                    pictures = context.ahead("filter video", 2, pictures)?;
                }
                let said = graph.said(&source)?;
                let shown = match target {
                    Target::Container(format) => shown_in(format, &said),
                    Target::Png => encode::Shown::Pixels,
                };
                let inlet = encode::video(context, pictures, choice, stream, &path, said, shown)?;
                lanes.push(Lane::new(index, path, inlet));
            }
            Stream::Audio(stream) => {
                let path = format!("{path}.audio");
                let source =
                    validate::source(job, &path, stream.source.as_ref(), SourceKind::Audio)?;
                if stream.optional && !graph.has(&source)? {
                    continue;
                }
                let choice = match &stream.codec {
                    Some(codec) => codecs::audio(codec)
                        .map_err(|error| JobError::spec(format!("{path}.codec"), error))?,
                    None => match target {
                        Target::Container(format) => match codecs::usual(format).1 {
                            Some(codec) => AudioChoice::Exact(codec),
                            None => {
                                return Err(JobError::spec(path, "the container holds no sound"));
                            }
                        },
                        Target::Png => return Err(JobError::spec(path, "an image has no sound")),
                    },
                };
                let inlet = match choice {
                    AudioChoice::Copy => {
                        let (media, kind, number, to) = graph.track(&source)?;
                        encode::copy(context, media, kind, number, to, counted)?
                    }
                    AudioChoice::Exact(codec) => {
                        graph.ends(&format!("{path}.source"), &source)?;
                        let mut sounds = graph.sounds(&source)?;
                        if let Target::Container(format) = target
                            && !has_times(format)
                        {
                            sounds = Box::new(FromZero::new(sounds));
                        }
                        let origin = encode::Origin {
                            said: graph.said(&source)?,
                            as_decoded: graph.is_as_decoded(&source)?,
                        };
                        encode::audio(context, sounds, codec, stream, &path, origin)?
                    }
                };
                lanes.push(Lane::new(index, path, inlet));
            }
        }
    }
    match target {
        Target::Container(format) => Ok(Plan::Container(format, lanes, tags(graph, output))),
        Target::Png => Err(JobError::spec(path, "an image has one stream, of video")),
    }
}

/// Whether packets have times there. Where they have none, the first one is at 0.
const fn has_times(format: Format) -> bool {
    !matches!(
        format,
        Format::Wav | Format::Flac | Format::Mp3 | Format::Adts
    )
}

/// Refuses to copy pictures that are turned into a container that cannot say so.
fn check_turn(path: &str, format: Format, media: &Media, number: usize) -> Result<(), JobError> {
    let Some((_, track)) = media.track(SourceKind::Video, number) else {
        return Ok(());
    };
    let TrackKind::Video { rotation, flip, .. } = track.kind else {
        return Ok(());
    };
    if says_turn(format) || (rotation == Rotation::R0 && !flip) {
        return Ok(());
    }
    let how = match (rotation.degrees(), flip) {
        (0, _) => "mirrored".to_owned(),
        (degrees, false) => format!("turned by {degrees} degrees"),
        (degrees, true) => format!("turned by {degrees} degrees and mirrored"),
    };
    Err(JobError::spec(
        format!("{path}.codec"),
        format!(
            "the pictures are {how}, which {} cannot say: they have to be encoded, and are painted upright then",
            format.name()
        ),
    ))
}

/// Whether there is a place for how pictures are turned, and for an aspect ratio.
const fn says_turn(format: Format) -> bool {
    !matches!(format, Format::MpegTs | Format::Ivf)
}

/// How the container says at which aspect ratio pictures are shown.
const fn shown_in(format: Format, said: &encode::Said) -> encode::Shown {
    match format {
        Format::Mp4 | Format::FragmentedMp4 => encode::Shown::Ratio(said.pixel()),
        _ => encode::Shown::Pixels,
    }
}

/// Tags that are of the presentation, and not of how its file was made.
const TAGS: &[&str] = &[
    "title",
    "artist",
    "album",
    "album_artist",
    "composer",
    "performer",
    "genre",
    "date",
    "track",
    "disc",
    "comment",
    "description",
    "synopsis",
    "copyright",
    "publisher",
];

/// The longest tag that is taken from an input, in bytes.
const MAX_TAG: usize = 1 << 16;

/// What the output says of the presentation: what the specification says, and what else the only input says.
fn tags(graph: &Graph<'_>, output: &Output) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for (name, value) in graph
        .inputs
        .only()
        .map_or(&[][..], |demuxer| demuxer.tags())
    {
        if TAGS.contains(&name.as_str())
            && value.len() <= MAX_TAG
            && output.tags.get(name).is_none()
            && tags.iter().all(|(known, _)| known != name)
        {
            tags.push((name.clone(), value.clone()));
        }
    }
    let said = output.tags.iter().filter(|(_, value)| !value.is_empty());
    tags.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    tags
}

fn write(
    context: &Context,
    number: usize,
    plan: Plan,
    output: &Output,
    events: &Sender<Event>,
) -> Result<Finished, JobError> {
    match plan {
        Plan::Png(pictures, alpha) => write_png(&output.path, &context.engine, pictures, alpha),
        Plan::Container(format, lanes, tags) => {
            let mut report = |step| {
                // Where nobody listens any more, nobody needs to know.
                let _ = events.send(Event::Step(step));
            };
            let options = MuxOptions {
                tags,
                ..MuxOptions::default()
            };
            let container = Container {
                number,
                path: &output.path,
                format,
                options,
                cancel: &context.cancel,
            };
            container.write(lanes, &mut report)
        }
    }
}
