//! The job specification: what to read, what to do with it, and what to write. JSON in, and a JSON Schema out.

mod filter;
mod map;
mod shape;
mod values;
mod whole;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use filter::{
    Crop, Crossfade, Direction, Fade, Filter, FitMode, Format, Fps, Mix, Overlay, Pad, Resample,
    Rotate, Scale, Trim, Volume,
};
pub use map::Named;
pub use values::{Color, PixelFormatName, Rate, Source, SourceKind, Time};

pub(crate) use values::is_name;

use whole::{maybe_whole, whole};

use crate::error::JobError;

/// The version of the specification that this build reads.
pub const VERSION: u32 = 1;

/// The longest specification that is read, in bytes.
pub const MAX_JSON_BYTES: usize = 4 << 20;

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// The version of the specification: 1.
    #[serde(deserialize_with = "whole")]
    pub version: u32,
    /// What to do.
    #[serde(default)]
    pub operation: Operation,
    /// What to read, by names of letters, digits, `-` and `_`.
    pub inputs: Named<Input>,
    /// What to do with streams, by names that outputs and other filters give as their source.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub filters: Named<Filter>,
    /// What to write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Reads the inputs and writes the outputs.
    #[default]
    Process,
    /// Says what is in the inputs, which are whole files then.
    Probe,
}

/// What to read: one file, or several one after another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// A media file, or a PNG image, which stands still. Either this or `concat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Files that follow one another. Pictures and sound of later ones are brought to the size, the pixel format
    /// (with alpha where that has it), the colours, the sample rate and the channels of the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concat: Vec<Part>,
    /// Where to begin, counted from the file's first picture or sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Where to end, counted as `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
}

/// One of the files of a concatenation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// A media file.
    pub path: PathBuf,
    /// Where to begin, counted from the file's first picture or sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Where to end, counted as `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Where to write it, in a folder that exists. The file has its name once it is complete.
    pub path: PathBuf,
    /// `mp4`, `fmp4`, `webm`, `matroska`, `ogg`, `wav`, `adts`, `flac`, `mp3`, `ivf`, `mpegts` or `png` (the first
    /// picture). By default what the path's extension means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The tracks, in their order in the file. By default the first video track and the first audio track of the only
    /// input, as far as the container takes them. Where the path's extension says the container, `mka`, `m4a`, `m4b` and `cmfa`
    /// have no pictures by default, and `cmfv` no sound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// What to say of the presentation, by FFmpeg's names: `title`, `artist`, ... What is not said here is what the file says that is
    /// the job's only input; an empty text leaves it out.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub tags: Named<String>,
}

/// A track to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Stream {
    /// Pictures.
    Video(VideoStream),
    /// Sound.
    Audio(AudioStream),
}

/// A track of pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VideoStream {
    /// `INPUT:video`, `INPUT:video:N` for the track of that number among those of pictures, counted from 0, or the name of
    /// a filter. By default the first one of the only input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// `h264`, `hevc`, `vp8`, `vp9`, `av1`, a codec string of WebCodecs (`avc1.64001f`), or `copy` for the packets as they
    /// are. By default what is usual in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Bits a second. By default what suits size, frame rate and codec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 2_000_000_000u64))]
    #[serde(deserialize_with = "maybe_whole")]
    pub bitrate: Option<u64>,
    /// How the bit rate is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_mode: Option<BitrateMode>,
    /// The quantizer of every picture (H.264 and HEVC 0 to 51, VP9 and AV1 0 to 255) instead of a bit rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 255))]
    #[serde(deserialize_with = "maybe_whole")]
    pub quantizer: Option<u16>,
    /// Quality or speed. By default quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<EncodeMode>,
    /// What the pictures show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The longest time between key pictures in seconds; 5 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_interval: Option<Time>,
    /// Whether alpha is kept: by VP8 and VP9 in WebM and Matroska, and by PNG. Elsewhere `keep` is refused. By default it is
    /// discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<Alpha>,
    /// Temporal layers: `L1T1`, `L1T2` or `L1T3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability_mode: Option<String>,
    /// Whether the track is left out where its source has no such track. By default that is an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// How a bit rate is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BitrateMode {
    /// The same all the time.
    Constant,
    /// More where the content asks for it.
    Variable,
}

/// Quality or speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EncodeMode {
    /// Quality comes first; every picture is kept.
    Quality,
    /// Speed comes first, as for a call; every picture is kept all the same.
    Realtime,
}

/// What pictures show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A camera.
    Motion,
    /// A screen with pictures.
    Detail,
    /// A screen with text.
    Text,
}

/// What becomes of alpha.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Alpha {
    /// It is encoded too.
    Keep,
    /// It is left out.
    #[default]
    Discard,
}

/// A track of sound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AudioStream {
    /// `INPUT:audio`, `INPUT:audio:N`, or the name of a filter; see the same of video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// `aac`, `opus`, `vorbis`, `flac`, `mp3`, `pcm-s16` and its like, `alaw`, `ulaw`, another codec string of WebCodecs, or
    /// `copy`. By default what is usual in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Bits a second. By default 64000 for each channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 20_000_000u64))]
    #[serde(deserialize_with = "maybe_whole")]
    pub bitrate: Option<u64>,
    /// How the bit rate is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_mode: Option<BitrateMode>,
    /// Frames a second. By default the source's, or the nearest one that the codec has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 768_000))]
    #[serde(deserialize_with = "maybe_whole")]
    pub sample_rate: Option<u32>,
    /// Channels. By default the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    #[serde(deserialize_with = "maybe_whole")]
    pub channels: Option<u32>,
    /// Whether the track is left out where its source has no such track. By default that is an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Job {
    /// Parses a specification, and checks all that can be checked without its files.
    ///
    /// # Errors
    /// [`JobError::Spec`] with the path of the field.
    pub fn from_json(json: &[u8]) -> Result<Self, JobError> {
        if json.len() > MAX_JSON_BYTES {
            return Err(JobError::spec(
                "",
                format!(
                    "expected at most {MAX_JSON_BYTES} bytes, found {}",
                    json.len()
                ),
            ));
        }
        // Where it is no JSON, what follows says where.
        if let Ok(value) = serde_json::from_slice(json) {
            shape::check(&value)?;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let job: Self = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            JobError::spec(path, error.into_inner().to_string())
        })?;
        deserializer
            .end()
            .map_err(|error| JobError::spec("", error.to_string()))?;
        job.validate()?;
        Ok(job)
    }

    /// The specification as JSON, which [`Job::from_json`] reads back.
    ///
    /// # Errors
    /// [`JobError::Spec`] for a path that is no Unicode.
    pub fn to_json(&self) -> Result<String, JobError> {
        serde_json::to_string_pretty(self).map_err(|error| JobError::spec("", error.to_string()))
    }

    /// The JSON Schema of the specification, with a line break at its end.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        // A schema is made of JSON values: it can always be written.
        let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Checks all that can be checked without the files: names, sources and their media, cycles, ranges, codecs.
    ///
    /// # Errors
    /// [`JobError::Spec`] with the path of the field.
    pub fn validate(&self) -> Result<(), JobError> {
        crate::validate::validate(self)
    }
}
