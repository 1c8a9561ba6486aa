//! Times, rates, colours and sources, as they stand in JSON.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use reelcore_media::PixelFormat;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The latest time: some 11 days, far from where sums of times overflow.
const MAX_SECONDS: f64 = 1e6;

/// A time or a length in microseconds. In JSON a number of seconds, or a string: `"90"`, `"1:30"`, `"1:02:03.5"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// So many seconds, if it is not negative and at most a million.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        (0.0..=MAX_SECONDS)
            .contains(&seconds)
            .then(|| Self((seconds * 1e6).round() as i64))
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a time such as 90, 1:30 or 1:02:03.5, at most {MAX_SECONDS} seconds, found {text:?}"
            )
        };
        let mut seconds = 0.0;
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() > 3 {
            return Err(wrong());
        }
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            let digits = part
                .bytes()
                .all(|b| b.is_ascii_digit() || (last && b == b'.'));
            let value: f64 = match digits && !part.is_empty() {
                true => part.parse().map_err(|_| wrong())?,
                false => return Err(wrong()),
            };
            if index > 0 && value >= 60.0 {
                return Err(wrong());
            }
            seconds = seconds * 60.0 + value;
        }
        Self::from_seconds(seconds).ok_or_else(wrong)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.seconds())
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, or a time such as \"1:02:03.5\"")
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Time, E> {
                Time::from_seconds(value).ok_or_else(|| {
                    E::custom(format!(
                        "expected 0 to {MAX_SECONDS} seconds, found {value}"
                    ))
                })
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Time, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Time, E> {
                self.visit_f64(value as f64)
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Time, E> {
                value.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of seconds, or a string: \"90\", \"1:30\", \"1:02:03.5\".",
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": MAX_SECONDS },
                { "type": "string", "pattern": "^([0-9]+:)?([0-9]+:)?[0-9]*\\.?[0-9]*$" },
            ],
        })
    }
}

/// A frame rate: `numerator` frames in `denominator` seconds. In JSON a number or a string: `25`, `29.97`, `"30000/1001"`.
/// The rates of NTSC, 1000/1001 of a multiple of 12 or 15, are told by two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Frames.
    pub numerator: u32,
    /// Seconds.
    pub denominator: u32,
}

impl Rate {
    const MAX: f64 = 1000.0;

    fn checked(numerator: u32, denominator: u32) -> Option<Self> {
        let rate = f64::from(numerator) / f64::from(denominator);
        (denominator > 0 && (0.001..=Self::MAX).contains(&rate)).then_some(Self {
            numerator,
            denominator,
        })
    }

    fn from_f64(rate: f64) -> Option<Self> {
        if rate.fract() == 0.0 && (1.0..=Self::MAX).contains(&rate) {
            return Self::checked(rate as u32, 1);
        }
        // 23.976, 29.97, 59.94 and their like mean the rates of NTSC, which are those of film and video less one in 1001. Two decimals
        // are as few as they are told by, if no whole rate is nearer.
        let whole = (rate * 1.001).round();
        let is_video = whole % 12.0 == 0.0 || whole % 15.0 == 0.0;
        let off = (whole / 1.001 - rate).abs();
        if is_video
            && off <= 0.005
            && off < (rate - rate.round()).abs()
            && (12.0..=Self::MAX).contains(&whole)
        {
            return Self::checked(whole as u32 * 1000, 1001);
        }
        (0.001..=Self::MAX)
            .contains(&rate)
            .then(|| Self::checked((rate * 1000.0).round() as u32, 1000))
            .flatten()
    }

    /// Frames a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The time of the frame of that number, in microseconds, rounded to the nearest.
    pub fn time_of(self, index: u64) -> i64 {
        let exact = u128::from(index) * u128::from(self.denominator) * 1_000_000;
        let numerator = u128::from(self.numerator.max(1));
        i64::try_from((exact + numerator / 2) / numerator).unwrap_or(i64::MAX)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once('/') {
            Some((numerator, denominator)) => numerator
                .parse()
                .ok()
                .zip(denominator.parse().ok())
                .and_then(|(numerator, denominator)| Self::checked(numerator, denominator)),
            None => text.parse().ok().and_then(Self::from_f64),
        };
        parsed.ok_or_else(|| {
            format!("expected a frame rate of 0.001 to 1000 such as 25, 29.97 or 30000/1001, found {text:?}")
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.denominator {
            1 => serializer.serialize_u32(self.numerator),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame rate such as 25 or \"30000/1001\"")
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Rate, E> {
                Rate::from_f64(value).ok_or_else(|| {
                    E::custom(format!(
                        "expected a frame rate of 0.001 to 1000, found {value}"
                    ))
                })
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Rate, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Rate, E> {
                self.visit_f64(value as f64)
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Rate, E> {
                value.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Frames a second: 25, 29.97, \"30000/1001\".",
            "anyOf": [
                { "type": "number", "minimum": 0.001, "maximum": Self::MAX },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+|/[0-9]+)?$" },
            ],
        })
    }
}

/// A colour of sRGB, opaque. In JSON `"#rrggbb"`, `"black"` or `"white"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Color(pub [u8; 3]);

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "black" => return Ok(Self([0; 3])),
            "white" => return Ok(Self([255; 3])),
            _ => {}
        }
        text.strip_prefix('#')
            .filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .map(|rgb| {
                let [_, r, g, b] = rgb.to_be_bytes();
                Self([r, g, b])
            })
            .ok_or_else(|| {
                format!(
                    "expected a colour such as \"#ff8000\", \"black\" or \"white\", found {text:?}"
                )
            })
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// A string of JSON with a form of its own.
macro_rules! string_value {
    ($name:ident, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

string_value!(Color, {
    "description": "A colour of sRGB.",
    "type": "string",
    "pattern": "^(black|white|#[0-9a-fA-F]{6})$",
});

/// Where a stream comes from: a track of an input, or a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A track of an input.
    Track {
        /// The input's name.
        input: String,
        /// What it holds.
        kind: SourceKind,
        /// Its number among the tracks of that kind, counted from 0.
        index: usize,
    },
    /// The output of the filter of that name.
    Filter(String),
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl SourceKind {
    /// `video` or `audio`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// The longest name.
const MAX_NAME: usize = 64;

/// Whether `name` is one that inputs and filters can have.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(80).collect();
        let wrong = || {
            format!(
                "expected INPUT:video, INPUT:audio, one of them with :NUMBER, or the name of a filter, found {shown:?}"
            )
        };
        let mut parts = text.split(':');
        let name = parts
            .next()
            .filter(|name| is_name(name))
            .ok_or_else(wrong)?;
        let kind = match parts.next() {
            None => return Ok(Self::Filter(name.to_owned())),
            Some("video") => SourceKind::Video,
            Some("audio") => SourceKind::Audio,
            Some(_) => return Err(wrong()),
        };
        let index = match parts.next() {
            None => 0,
            Some(number) => number.parse::<u16>().map_err(|_| wrong())?.into(),
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self::Track {
            input: name.to_owned(),
            kind,
            index,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(name) => f.write_str(name),
            Self::Track {
                input,
                kind,
                index: 0,
            } => write!(f, "{input}:{}", kind.as_str()),
            Self::Track { input, kind, index } => write!(f, "{input}:{}:{index}", kind.as_str()),
        }
    }
}

string_value!(Source, {
    "description": "INPUT:video, INPUT:audio, one of them with :NUMBER, or the name of a filter.",
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,64}(:(video|audio)(:[0-9]{1,5})?)?$",
});

/// A pixel format by its name in WebCodecs: planar YUV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelFormatName(pub PixelFormat);

impl PixelFormatName {
    const NAMES: &'static [&'static str] = &[
        "I420", "I420P10", "I420P12", "I422", "I422P10", "I422P12", "I444", "I444P10", "I444P12",
    ];
}

impl FromStr for PixelFormatName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        PixelFormat::from_name(text)
            .filter(|_| Self::NAMES.contains(&text))
            .map(Self)
            .ok_or_else(|| format!("expected one of {}, found {text:?}", Self::NAMES.join(", ")))
    }
}

impl fmt::Display for PixelFormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

string_value!(PixelFormatName, {
    "description": "A pixel format by its name in WebCodecs.",
    "enum": ["I420", "I420P10", "I420P12", "I422", "I422P10", "I422P12", "I444", "I444P10", "I444P12"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, want) in [
            ("90", Some(90_000_000)),
            ("1:30", Some(90_000_000)),
            ("1:02:03.5", Some(3_723_500_000)),
            ("0.000001", Some(1)),
            (".5", Some(500_000)),
            ("1:60", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            ("1:2:3:4", None),
            ("1.2.3", None),
            (".", None),
            ("inf", None),
            ("99999999", None),
        ] {
            assert_eq!(text.parse::<Time>().ok(), want.map(Time), "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Time>("1.5").ok(),
            Some(Time(1_500_000))
        );
        assert_eq!(
            serde_json::from_str::<Time>("\"2:00\"").ok(),
            Some(Time(120_000_000))
        );
        assert!(serde_json::from_str::<Time>("-1").is_err());
        assert!(serde_json::from_str::<Time>("1e300").is_err());
    }

    #[test]
    fn rates_of_ntsc_are_told_by_their_decimals() {
        let rate = |text: &str| {
            text.parse::<Rate>()
                .map(|rate| (rate.numerator, rate.denominator))
        };
        assert_eq!(rate("25"), Ok((25, 1)));
        assert_eq!(rate("29.97"), Ok((30_000, 1001)));
        assert_eq!(rate("23.976"), Ok((24_000, 1001)));
        assert_eq!(rate("23.98"), Ok((24_000, 1001)));
        assert_eq!(rate("11.988"), Ok((12_000, 1001)));
        assert_eq!(rate("14.985"), Ok((15_000, 1001)));
        assert_eq!(rate("59.94"), Ok((60_000, 1001)));
        assert_eq!(rate("119.88"), Ok((120_000, 1001)));
        assert_eq!(rate("30000/1001"), Ok((30_000, 1001)));
        assert_eq!(rate("12.5"), Ok((12_500, 1000)));
        // Each of them by as few decimals as two, and by more.
        for whole in (12..=1000).filter(|whole| whole % 12 == 0 || whole % 15 == 0) {
            let exact = f64::from(whole) / 1.001;
            for decimals in 2..7 {
                let text = format!("{exact:.decimals$}");
                if !text.ends_with(".00") {
                    assert_eq!(rate(&text), Ok((whole * 1000, 1001)), "{text}");
                }
            }
        }
        // What is near to such a rate by chance stays what it is.
        for (text, thousandths) in [
            ("3.001", 3001),
            ("5.0001", 5000),
            ("1.004", 1004),
            ("1.994", 1994),
            ("30.001", 30_001),
            ("24.01", 24_010),
            ("59.95", 59_950),
            ("59.93", 59_930),
            ("119.9", 119_900),
            ("119.87", 119_870),
            ("995.001", 995_001),
            ("500.5", 500_500),
        ] {
            assert_eq!(rate(text), Ok((thousandths, 1000)), "{text}");
        }
        for wrong in [
            "0",
            "-1",
            "1/0",
            "nan",
            "inf",
            "1001",
            "a",
            "1/2/3",
            "4294967296/1",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        let ntsc = Rate {
            numerator: 30_000,
            denominator: 1001,
        };
        assert_eq!(
            [ntsc.time_of(0), ntsc.time_of(1), ntsc.time_of(30)],
            [0, 33_367, 1_001_000]
        );
    }

    #[test]
    fn sources_are_written_as_they_are_read() {
        for text in ["main:video", "main:audio:3", "small"] {
            assert_eq!(
                text.parse::<Source>().map(|source| source.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            ":video",
            "a:b",
            "a:video:x",
            "a:video:1:2",
            "a b",
            "a:video:70000",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
        assert_eq!("#FF8000".parse::<Color>(), Ok(Color([255, 128, 0])));
        for text in ["#ff80", "ff8000", "#gg0000", "#+12345", "red"] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
    }
}
