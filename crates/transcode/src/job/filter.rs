//! The filters and what they can be told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Color, PixelFormatName, Rate, Source, Time};
use super::whole::{maybe_whole, whole};

/// A filter: one object with the filter's name as its only key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Filter {
    /// Pictures of another size.
    Scale(Scale),
    /// A part of the pictures.
    Crop(Crop),
    /// Pictures with a border.
    Pad(Pad),
    /// Pictures over others.
    Overlay(Overlay),
    /// Pictures turned by quarters, or mirrored.
    Rotate(Rotate),
    /// A constant frame rate.
    Fps(Fps),
    /// Another pixel format.
    Format(Format),
    /// From or to a colour, or silence.
    Fade(Fade),
    /// One stream, then another, with both for a while between them.
    Crossfade(Crossfade),
    /// A part of the time of pictures.
    Trim(Trim),
    /// A part of the time of sound.
    Atrim(Trim),
    /// Louder or quieter.
    Volume(Volume),
    /// Several sounds as one.
    Mix(Mix),
    /// Another sample rate, or other channels.
    Resample(Resample),
}

/// Pictures of another size, of square pixels. They stand upright after it: rotation is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Pictures.
    pub input: Source,
    /// Width in pixels. Where only one side is given, the other follows from the aspect ratio, rounded to even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "maybe_whole")]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "maybe_whole")]
    pub height: Option<u32>,
    /// What is done where the aspect ratio is another.
    #[serde(default)]
    pub fit: FitMode,
}

/// How pictures fill a size of another aspect ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FitMode {
    /// They are stretched.
    #[default]
    Fill,
    /// All of them is seen, between black bars.
    Contain,
    /// They are cut on two sides.
    Cover,
}

/// A part of the pictures, upright.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Crop {
    /// Pictures.
    pub input: Source,
    /// Left edge in pixels.
    #[serde(default)]
    #[schemars(range(max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub x: u32,
    /// Top edge in pixels.
    #[serde(default)]
    #[schemars(range(max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub y: u32,
    /// Width in pixels.
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub width: u32,
    /// Height in pixels.
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub height: u32,
}

/// Pictures with a border, upright.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pad {
    /// Pictures.
    pub input: Source,
    /// Width of the whole in pixels.
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub width: u32,
    /// Height of the whole in pixels.
    #[schemars(range(min = 1, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub height: u32,
    /// Left edge of the picture in it; in the middle by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 16_384))]
    #[serde(deserialize_with = "maybe_whole")]
    pub x: Option<u32>,
    /// Top edge of the picture in it; in the middle by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 16_384))]
    #[serde(deserialize_with = "maybe_whole")]
    pub y: Option<u32>,
    /// The border's colour; black by default.
    #[serde(default)]
    pub color: Color,
}

/// Pictures over others. The result has the times and the length of the base. A picture of the base that is shown for more than 0.1 s,
/// as an image is, is shown anew wherever what lies over it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Overlay {
    /// Pictures that are seen around and through the others.
    pub input: Source,
    /// Pictures that are laid over, with their alpha.
    pub over: Source,
    /// Left edge in pixels of the base; may be negative.
    #[serde(default)]
    #[schemars(range(min = -16_384, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub x: i32,
    /// Top edge in pixels of the base; may be negative.
    #[serde(default)]
    #[schemars(range(min = -16_384, max = 16_384))]
    #[serde(deserialize_with = "whole")]
    pub y: i32,
    /// 0 (not seen) to 1, times the alpha of each pixel.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub opacity: f64,
    /// From when they are seen, on the base's time line; their own first picture is shown then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Until when they are seen. By default until they end, and to the base's end for a still image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
}

/// Pictures turned by quarters, then mirrored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    /// Pictures.
    pub input: Source,
    /// Clockwise: 0, 90, 180 or 270.
    #[serde(default)]
    #[schemars(extend("enum" = [0, 90, 180, 270]))]
    #[serde(deserialize_with = "whole")]
    pub degrees: u16,
    /// Whether left and right change places, after the turn.
    #[serde(default)]
    pub flip: bool,
}

/// A constant frame rate: of each time the picture that is nearest before it, or half a frame after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fps {
    /// Pictures.
    pub input: Source,
    /// Frames a second.
    pub rate: Rate,
}

/// Another pixel format; alpha is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Format {
    /// Pictures.
    pub input: Source,
    /// The format.
    pub format: PixelFormatName,
}

/// Which way a fade goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// From the colour, or from silence.
    In,
    /// To the colour, or to silence.
    Out,
}

/// From or to a colour (pictures), or from or to silence (sound). A picture that is shown for more than 0.1 s, as an image is, becomes
/// several of about 0.04 s while it fades.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fade {
    /// Pictures or sound.
    pub input: Source,
    /// Which way.
    pub direction: Direction,
    /// When it begins; by default at 0 for `in`, and for `out` so that it ends with the stream, which may be before its file does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// How long it takes.
    pub duration: Time,
    /// The colour of pictures; black by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
}

/// One stream, then another, with both for a while between them. Both are pictures, or both are sound. Where neither has another picture
/// for more than 0.1 s, as with images, there is one about every 0.04 s between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Crossfade {
    /// What comes first.
    pub input: Source,
    /// What comes next, brought to the size, format, alpha and colours of the first.
    pub next: Source,
    /// How long both are there.
    pub duration: Time,
}

/// A part of the time; what is left begins at 0. Exact to the picture that is shown at a time, and to the sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trim {
    /// The stream.
    pub input: Source,
    /// Where to begin.
    #[serde(default)]
    pub from: Time,
    /// Where to end; by default where the stream does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
}

/// Louder or quieter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Sound.
    pub input: Source,
    /// What each sample is multiplied by, 0 to 100. Either this or `decibels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub gain: Option<f64>,
    /// The same in decibels, -200 to 40.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -200.0, max = 40.0))]
    pub decibels: Option<f64>,
}

/// Several sounds as one: their sum, at the sample rate and with the channels of the first. As long as the longest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mix {
    /// Sounds, 1 to 32.
    #[schemars(length(min = 1, max = 32))]
    pub inputs: Vec<Source>,
    /// What each is multiplied by; 1 by default, so that no sound depends on how many there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<f64>,
}

/// Another sample rate, or other channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resample {
    /// Sound.
    pub input: Source,
    /// Frames a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 768_000))]
    #[serde(deserialize_with = "maybe_whole")]
    pub sample_rate: Option<u32>,
    /// Channels, mixed as Web Audio does: <https://webaudio.github.io/web-audio-api/#ChannelLayouts>.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    #[serde(deserialize_with = "maybe_whole")]
    pub channels: Option<u32>,
}

fn one() -> f64 {
    1.0
}

impl Filter {
    /// Its name, as it stands in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Scale(_) => "scale",
            Self::Crop(_) => "crop",
            Self::Pad(_) => "pad",
            Self::Overlay(_) => "overlay",
            Self::Rotate(_) => "rotate",
            Self::Fps(_) => "fps",
            Self::Format(_) => "format",
            Self::Fade(_) => "fade",
            Self::Crossfade(_) => "crossfade",
            Self::Trim(_) => "trim",
            Self::Atrim(_) => "atrim",
            Self::Volume(_) => "volume",
            Self::Mix(_) => "mix",
            Self::Resample(_) => "resample",
        }
    }

    /// What it takes, with the field that says so.
    pub fn inputs(&self) -> Vec<(String, &Source)> {
        let one = |source| vec![("input".to_owned(), source)];
        match self {
            Self::Scale(filter) => one(&filter.input),
            Self::Crop(filter) => one(&filter.input),
            Self::Pad(filter) => one(&filter.input),
            Self::Overlay(filter) => vec![
                ("input".to_owned(), &filter.input),
                ("over".to_owned(), &filter.over),
            ],
            Self::Rotate(filter) => one(&filter.input),
            Self::Fps(filter) => one(&filter.input),
            Self::Format(filter) => one(&filter.input),
            Self::Fade(filter) => one(&filter.input),
            Self::Crossfade(filter) => vec![
                ("input".to_owned(), &filter.input),
                ("next".to_owned(), &filter.next),
            ],
            Self::Trim(filter) | Self::Atrim(filter) => one(&filter.input),
            Self::Volume(filter) => one(&filter.input),
            Self::Mix(filter) => {
                let inputs = filter.inputs.iter().enumerate();
                inputs
                    .map(|(index, source)| (format!("inputs[{index}]"), source))
                    .collect()
            }
            Self::Resample(filter) => one(&filter.input),
        }
    }
}
