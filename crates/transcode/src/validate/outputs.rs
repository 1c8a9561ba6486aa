//! Outputs and their tracks.

use reelcore_containers::mux::Format;
use reelcore_media::VideoCodec;
use reelcore_media::encoder::ScalabilityMode;
use reelcore_media::q_index::MAX_Q_INDEX;

use super::graph::{Graph, track};
use super::{Checked, count, file, longer_than_nothing, within};
use crate::codecs::{self, AudioChoice, VideoChoice, VideoName};
use crate::error::JobError;
use crate::job::{AudioStream, Job, Output, Source, SourceKind, Stream, VideoStream};

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A container.
    Container(Format),
    /// One picture.
    Png,
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

/// Whether an output has pictures and sound by default: what the container takes, unless the extension is that of one of both.
pub(crate) fn kinds(target: Target, output: &Output) -> (bool, bool) {
    let (video, audio) = match target {
        Target::Png => (true, false),
        Target::Container(format) => {
            let (video, audio) = codecs::usual(format);
            (video.is_some(), audio.is_some())
        }
    };
    // Who names a container says more than the extension does.
    let extension = output.path.extension().and_then(|e| e.to_str());
    let extension = extension.filter(|_| output.container.is_none());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("mka" | "m4a" | "m4b" | "cmfa") => (false, audio),
        Some("cmfv") => (video, false),
        _ => (video, audio),
    }
}

/// The tracks of an output, with those that it has by default, which are optional.
pub(crate) fn streams(job: &Job, target: Target, output: &Output) -> Vec<Stream> {
    if !output.streams.is_empty() {
        return output.streams.clone();
    }
    let (video, audio) = kinds(target, output);
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
                optional: target != Target::Png,
                ..VideoStream::default()
            }));
        }
        if audio {
            streams.push(Stream::Audio(AudioStream {
                source: source(SourceKind::Audio),
                optional: true,
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
pub(super) fn check_output(
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
    within(path, "quantizer", stream.quantizer, 0, MAX_Q_INDEX)?;
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
    let usual = match target {
        Target::Container(format) => codecs::usual(format).0.map(VideoChoice::Name),
        Target::Png => None,
    };
    if let Some(
        VideoChoice::Name(VideoName::H264 | VideoName::Hevc)
        | VideoChoice::Exact(VideoCodec::Avc(_) | VideoCodec::Hevc(_)),
    ) = choice.or(usual)
    {
        within(path, "quantizer", stream.quantizer, 0, 51)?;
    }
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
