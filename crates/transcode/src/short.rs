//! The short form of a job: one file in, one file out, as a command line has it.

use std::path::PathBuf;
use std::str::FromStr;

use crate::codecs;
use crate::error::JobError;
use crate::job::{
    AudioStream, EncodeMode, Filter, FitMode, Fps, Input, Job, Named, Operation, Output, Rate,
    Scale, Source, SourceKind, Stream, Time, VERSION, VideoStream,
};
use crate::validate::{self, Target};

/// The name of the input.
const INPUT: &str = "in";

/// What becomes of a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Wish<T> {
    /// What is usual in the container, if the input has such a track.
    #[default]
    Usual,
    /// What is asked for: then the input has to have one.
    Asked(T),
    /// It is left out.
    None,
}

/// A codec and how many bits it may take: `vp9`, `vp9:2M`, `opus:96k`, `copy`, `h264:q24`.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// As in a specification: `vp9`, `avc1.64001f`, `copy`, ...
    pub codec: String,
    /// How many bits.
    pub quality: Option<Quality>,
}

/// How many bits an encoder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Bits a second: `2M`, `96k`, `800000`.
    Bitrate(u64),
    /// The quantizer of every picture: `q24`.
    Quantizer(u16),
}

/// The size of pictures: `1280x720`, or one side, from which the other follows: `1280x`, `x720`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
}

/// A job of one input and one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Short {
    /// What to read.
    pub input: PathBuf,
    /// What to write. The container is the one that its extension means.
    pub output: PathBuf,
    /// What becomes of the first track of pictures.
    pub video: Wish<Encoding>,
    /// What becomes of the first track of sound.
    pub audio: Wish<Encoding>,
    /// The size of pictures. Where both sides are given and the aspect ratio is another, all is seen, between black bars.
    pub size: Option<Resize>,
    /// Frames a second.
    pub fps: Option<Rate>,
    /// Where to begin, counted from the first picture or sound.
    pub from: Option<Time>,
    /// Where to end, counted as `from`.
    pub to: Option<Time>,
    /// Whether encoders prefer speed to quality.
    pub realtime: bool,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (codec, quality) = match text.split_once(':') {
            Some((codec, quality)) => (codec, Some(quality.parse()?)),
            None => (text, None),
        };
        if codec.is_empty() {
            return Err(format!("expected CODEC or CODEC:BITRATE, found {text:?}"));
        }
        Ok(Self {
            codec: codec.to_owned(),
            quality,
        })
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a bit rate such as 2M or 96k, or a quantizer such as q24, found {text:?}"
            )
        };
        if let Some(quantizer) = text.strip_prefix('q') {
            return quantizer.parse().map(Self::Quantizer).map_err(|_| wrong());
        }
        let (number, unit) = match (text.strip_suffix(['k', 'K']), text.strip_suffix('M')) {
            (Some(number), _) => (number, 1e3),
            (_, Some(number)) => (number, 1e6),
            _ => (text, 1.0),
        };
        // What a number of Rust's can be beside digits, such as `inf` and `1e9`, is none here.
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value: f64 = number.parse().map_err(|_| wrong())?;
        let bits = (value * unit).round();
        match plain && (1.0..=1e12).contains(&bits) {
            true => Ok(Self::Bitrate(bits as u64)),
            false => Err(wrong()),
        }
    }
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| match text {
            "" => Ok(None),
            text => text.parse::<u32>().map(Some),
        };
        let sides = text
            .split_once('x')
            .and_then(|(width, height)| side(width).ok().zip(side(height).ok()));
        match sides {
            Some((width, height)) if width.is_some() || height.is_some() => {
                Ok(Self { width, height })
            }
            _ => Err(format!(
                "expected a size such as 1280x720, 1280x or x720, found {text:?}"
            )),
        }
    }
}

impl Short {
    /// The job that it is short for, with every track and filter spelled out.
    ///
    /// # Errors
    /// [`JobError::Spec`]: the path is that of the option (`--video`), or of a field of the job.
    pub fn job(&self) -> Result<Job, JobError> {
        let output = Output {
            path: self.output.clone(),
            container: None,
            streams: Vec::new(),
            tags: Named::default(),
        };
        let target = validate::target("OUT", &output).map_err(|error| match error {
            JobError::Spec { message, .. } => {
                let message = message.replace("name one in `container`", "try .mp4 or .webm");
                JobError::spec("OUT", message)
            }
            error => error,
        })?;
        let (video, audio) = validate::kinds(target, &output);
        let mut filters = Vec::new();
        let mut streams = Vec::new();
        if let Some(stream) = self.video_stream(target, video, &mut filters)? {
            streams.push(Stream::Video(stream));
        }
        if let Some(stream) = self.audio_stream(audio)? {
            streams.push(Stream::Audio(stream));
        }
        if streams.is_empty() {
            return Err(JobError::spec("OUT", "nothing is left to write"));
        }
        let job = Job {
            version: VERSION,
            operation: Operation::Process,
            inputs: Named::from([(
                INPUT,
                Input {
                    path: Some(self.input.clone()),
                    concat: Vec::new(),
                    from: self.from,
                    to: self.to,
                },
            )]),
            filters: Named(filters.into_iter().collect()),
            outputs: vec![Output { streams, ..output }],
        };
        job.validate()?;
        Ok(job)
    }

    fn video_stream(
        &self,
        target: Target,
        usual: bool,
        filters: &mut Vec<(String, Filter)>,
    ) -> Result<Option<VideoStream>, JobError> {
        let mut stream = VideoStream {
            optional: self.video == Wish::Usual && target != Target::Png,
            ..VideoStream::default()
        };
        match &self.video {
            Wish::None => return Ok(None),
            Wish::Usual if !usual => return Ok(None),
            Wish::Usual => {}
            Wish::Asked(asked) => {
                codecs::video(&asked.codec).map_err(|error| JobError::spec("--video", error))?;
                stream.codec = Some(asked.codec.clone());
                match asked.quality {
                    Some(Quality::Bitrate(bits)) => stream.bitrate = Some(bits),
                    Some(Quality::Quantizer(quantizer)) => stream.quantizer = Some(quantizer),
                    None => {}
                }
            }
        }
        if self.realtime && target != Target::Png && stream.codec.as_deref() != Some("copy") {
            stream.mode = Some(EncodeMode::Realtime);
        }
        let mut source = Source::Track {
            input: INPUT.to_owned(),
            kind: SourceKind::Video,
            index: 0,
        };
        // Fewer pictures first: those that go need not be scaled.
        if let Some(rate) = self.fps {
            let input = std::mem::replace(&mut source, Source::Filter("fps".to_owned()));
            filters.push(("fps".to_owned(), Filter::Fps(Fps { input, rate })));
        }
        if let Some(Resize { width, height }) = self.size {
            let input = std::mem::replace(&mut source, Source::Filter("size".to_owned()));
            let scale = Scale {
                input,
                width,
                height,
                fit: FitMode::Contain,
            };
            filters.push(("size".to_owned(), Filter::Scale(scale)));
        }
        stream.source = Some(source);
        Ok(Some(stream))
    }

    fn audio_stream(&self, usual: bool) -> Result<Option<AudioStream>, JobError> {
        let mut stream = AudioStream {
            optional: self.audio == Wish::Usual,
            source: Some(Source::Track {
                input: INPUT.to_owned(),
                kind: SourceKind::Audio,
                index: 0,
            }),
            ..AudioStream::default()
        };
        match &self.audio {
            Wish::None => return Ok(None),
            Wish::Usual if !usual => return Ok(None),
            Wish::Usual => {}
            Wish::Asked(asked) => {
                codecs::audio(&asked.codec).map_err(|error| JobError::spec("--audio", error))?;
                stream.codec = Some(asked.codec.clone());
                match asked.quality {
                    Some(Quality::Bitrate(bits)) => stream.bitrate = Some(bits),
                    Some(Quality::Quantizer(_)) => {
                        return Err(JobError::spec("--audio", "sound has no quantizer"));
                    }
                    None => {}
                }
            }
        }
        Ok(Some(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(output: &str) -> Short {
        Short {
            input: "a.mp4".into(),
            output: output.into(),
            ..Short::default()
        }
    }

    #[test]
    fn encodings_and_sizes_are_read_as_people_write_them() {
        let quality = |text: &str| text.parse::<Encoding>().ok().and_then(|e| e.quality);
        assert_eq!(quality("vp9:2M"), Some(Quality::Bitrate(2_000_000)));
        assert_eq!(quality("opus:96k"), Some(Quality::Bitrate(96_000)));
        assert_eq!(quality("vp9:1.5M"), Some(Quality::Bitrate(1_500_000)));
        assert_eq!(quality("vp9:q30"), Some(Quality::Quantizer(30)));
        assert_eq!(quality("vp9"), None);
        for wrong in [
            "", ":2M", "vp9:", "vp9:M", "vp9:-1", "vp9:inf", "vp9:1e9", "vp9:2G", "vp9:q",
            "vp9:qx", "vp9:2M:3", "vp9:0", "vp9:é",
        ] {
            assert!(wrong.parse::<Encoding>().is_err(), "{wrong}");
        }
        let size = |text: &str| {
            text.parse::<Resize>()
                .map(|size| (size.width, size.height))
                .ok()
        };
        assert_eq!(size("1280x720"), Some((Some(1280), Some(720))));
        assert_eq!(size("1280x"), Some((Some(1280), None)));
        assert_eq!(size("x720"), Some((None, Some(720))));
        for wrong in ["", "x", "1280", "axb", "-1x2", "1x2x3"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_short_form_is_a_job_that_is_read_back() {
        let job = Short {
            video: Wish::Asked("vp9:2M".parse().unwrap()),
            size: "1280x720".parse().ok(),
            fps: "25".parse().ok(),
            from: "1".parse().ok(),
            to: "1:00".parse().ok(),
            ..short("b.webm")
        }
        .job()
        .unwrap();
        let json = job.to_json().unwrap();
        assert_eq!(Job::from_json(json.as_bytes()), Ok(job.clone()));
        let [Stream::Video(video), Stream::Audio(audio)] = job.outputs[0].streams.as_slice() else {
            panic!("{json}");
        };
        assert_eq!((video.optional, audio.optional), (false, true));
        assert_eq!(video.source, Some(Source::Filter("size".to_owned())));
    }

    #[test]
    fn tracks_are_those_that_the_container_takes() {
        let streams = |short: Short| short.job().map(|job| job.outputs[0].streams.len());
        assert_eq!(streams(short("b.mp4")), Ok(2));
        assert_eq!(streams(short("b.wav")), Ok(1));
        assert_eq!(streams(short("b.png")), Ok(1));
        let kinds = |path: &str| {
            let job = short(path).job().expect("a job");
            let kinds = job.outputs[0].streams.iter().map(|stream| match stream {
                Stream::Video(_) => "video",
                Stream::Audio(_) => "audio",
            });
            kinds.collect::<Vec<_>>()
        };
        for sound in ["b.mka", "b.m4a", "b.M4B", "b.cmfa"] {
            assert_eq!(kinds(sound), ["audio"], "{sound}");
        }
        assert_eq!(kinds("b.cmfv"), ["video"]);
        let pictures = Short {
            video: Wish::Asked("h264".parse().unwrap()),
            ..short("b.m4a")
        };
        assert_eq!(streams(pictures), Ok(2), "what is asked for is written");
        let silent = Short {
            audio: Wish::None,
            ..short("b.mp4")
        };
        assert_eq!(streams(silent.clone()), Ok(1));
        let path = |short: Short| match short.job() {
            Err(JobError::Spec { path, .. }) => path,
            other => panic!("{other:?}"),
        };
        let nothing = Short {
            video: Wish::None,
            ..silent
        };
        assert_eq!(path(nothing), "OUT");
        assert_eq!(path(short("b.xyz")), "OUT");
        let unknown = Short {
            video: Wish::Asked("h266".parse().unwrap()),
            ..short("b.mp4")
        };
        assert_eq!(path(unknown), "--video");
    }
}
