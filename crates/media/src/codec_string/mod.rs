//! Codec strings: <https://www.w3.org/TR/webcodecs-codec-registry/>.
//!
//! A string is matched exactly: lower-case names, no white space, no MIME type around it. What the
//! registry does not list, and what the codec's own specification reserves, is refused with the
//! reason; to WebCodecs such a string is well-formed and *not supported*. An empty string is
//! refused here too, but WebCodecs calls it invalid, which the caller checks first.
//!
//! Tails that a codec's ISO BMFF binding makes optional may end after any field; the missing
//! fields have the defaults of that binding. `Display` writes the shortest string that parses to
//! the same value.

mod audio;
mod fields;
#[cfg(test)]
mod tests;
mod video;

use std::fmt;

pub use audio::{AudioCodec, PcmFormat};
pub use video::{Av1, Avc, Hevc, VideoCodec, Vp9};

/// The longest part of a refused string that an error keeps, in characters.
const MAX_SHOWN: usize = 80;

/// A codec string that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("codec string {string:?}: {reason}")]
pub struct CodecStringError {
    /// The string as given, or its start when it is very long.
    pub string: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl CodecStringError {
    fn new(string: &str, reason: impl fmt::Display) -> Self {
        let mut shown: String = string.chars().take(MAX_SHOWN).collect();
        if shown.len() < string.len() {
            shown.push('\u{2026}');
        }
        Self {
            string: shown,
            reason: reason.to_string(),
        }
    }
}

/// What stands before profile and level in a codec string: strings of one family are one codec with other settings, which packets
/// in the middle of a track may change.
pub fn family(codec: &str) -> &str {
    codec.split('.').next().unwrap_or_default()
}

/// The reason for a string that names no codec of the wanted kind.
fn unknown(string: &str, wanted: &str) -> String {
    let name = string.split('.').next().unwrap_or_default();
    let lower = name.trim_ascii().to_ascii_lowercase();
    if string.is_empty() {
        "is empty".into()
    } else if string.contains(['/', ';', '"']) {
        "expected a codec string alone, found a MIME type".into()
    } else if string.trim_ascii() != string {
        "has white space around it".into()
    } else if lower != name && (video::is_name(&lower) || audio::is_name(&lower)) {
        format!("codec names are lower-case, expected `{lower}`")
    } else if video::is_name(name) || audio::is_name(name) {
        let kind = if video::is_name(name) {
            "a video"
        } else {
            "an audio"
        };
        if kind.ends_with(wanted) {
            // A codec that takes no parameters was given some.
            format!("`{name}` takes no parameters")
        } else {
            format!("`{name}` is {kind} codec, expected one for {wanted}")
        }
    } else if lower == "vp9" || lower == "vp08" {
        let full = if lower == "vp9" {
            "vp09.PP.LL.DD"
        } else {
            "vp8"
        };
        format!("is ambiguous, expected `{full}`")
    } else {
        format!("names no {wanted} codec of the WebCodecs registry")
    }
}
