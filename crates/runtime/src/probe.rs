//! `reelcore probe FILE`: what is in a file.

use std::fmt::Write as _;
use std::path::PathBuf;

use reelcore_media::{Registry, Rotation};
use reelcore_transcode::probe::{FileReport, TrackReport, probe};

/// What the command line asks for.
pub struct Options {
    pub file: PathBuf,
    pub json: bool,
    /// Read every packet, and count.
    pub count: bool,
}

/// What is in the file, as text for a terminal or as JSON.
///
/// # Errors
/// What is wrong with the file, with its path.
pub fn run(options: &Options, registry: &Registry) -> Result<String, String> {
    let path = options.file.display();
    let report =
        probe(&options.file, options.count, registry).map_err(|error| error.to_string())?;
    if options.json {
        let mut json = serde_json::to_string_pretty(&report)
            .map_err(|error| format!("{path}: can not be written as JSON: {error}"))?;
        json.push('\n');
        Ok(json)
    } else {
        Ok(table(&report))
    }
}

/// `1:02:03.456`
pub fn clock(micros: u64) -> String {
    let millis = (micros + 500) / 1000;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    let millis = millis % 1000;
    match hours {
        0 => format!("{minutes}:{seconds:02}.{millis:03}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}"),
    }
}

/// `1.4 MB`, in powers of 1000.
pub fn amount(value: u64, unit: &str) -> String {
    let mut scaled = value as f64;
    for prefix in ["", "k", "M", "G", "T"] {
        if scaled < 999.5 || prefix == "T" {
            let digits = usize::from(!prefix.is_empty() && scaled < 99.95);
            return format!("{scaled:.digits$} {prefix}{unit}");
        }
        scaled /= 1000.0;
    }
    format!("{value} {unit}")
}

/// Text of the file, such as a tag, without what could drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Two columns: what, and its value.
struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    fn row(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push((printable(name), printable(&value.into())));
    }

    fn optional(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }

    fn write(self, indent: usize, out: &mut String) {
        let width = self.rows.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0).min(24);
        for (name, value) in self.rows {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{:indent$}{name:width$}  {value}", "");
        }
    }
}

fn table(report: &FileReport) -> String {
    let mut out = format!("{}\n", printable(&report.file));
    let mut head = Table { rows: Vec::new() };
    head.row("container", report.container);
    head.optional("duration", report.duration.map(clock));
    head.optional("size", report.size.map(|size| amount(size, "B")));
    head.optional(
        "bit rate",
        report.bit_rate.map(|rate| amount(rate, "bit/s")),
    );
    for tag in &report.tags {
        head.row(&tag.name, tag.value.as_str());
    }
    head.write(2, &mut out);
    for track in &report.tracks {
        let _ = writeln!(out, "\n  track {}: {}", track.index, track.kind);
        track_table(track).write(4, &mut out);
    }
    out
}

fn track_table(track: &TrackReport) -> Table {
    let mut table = Table { rows: Vec::new() };
    match (&track.codec, &track.format) {
        (Some(codec), _) => table.row("codec", codec.as_str()),
        (None, Some(format)) => table.row("format", format.as_str()),
        (None, None) => table.row("codec", "unknown"),
    }
    if let Some(encryption) = &track.encryption {
        let scheme = encryption.scheme.as_deref().unwrap_or("unknown scheme");
        table.row("encrypted", scheme);
        table.optional("codec in clear", encryption.codec.clone());
        table.optional("key ID", encryption.default_key_id.clone());
        if encryption.pssh > 0 {
            table.row("pssh", format!("{} headers", encryption.pssh));
        }
    }
    if let Some(video) = &track.video {
        let mut size = format!("{} x {}", video.coded_width, video.coded_height);
        let (w, h) = (video.display_aspect_width, video.display_aspect_height);
        let same = u64::from(w) * u64::from(video.coded_height)
            == u64::from(h) * u64::from(video.coded_width);
        if w > 0 && h > 0 && !same {
            let _ = write!(size, ", shown as {w}:{h}");
        }
        table.row("size", size);
        table.optional(
            "frame rate",
            video.frame_rate.map(|rate| format!("{rate} frames/s")),
        );
        if video.rotation != Rotation::R0.degrees() || video.flip {
            let flip = if video.flip { ", mirrored" } else { "" };
            table.row("rotation", format!("{} degrees{flip}", video.rotation));
        }
        let range = match video.full_range {
            Some(true) => Some("full range"),
            Some(false) => Some("limited range"),
            None => None,
        };
        let colour = [video.primaries, video.transfer, video.matrix];
        if colour.iter().any(Option::is_some) || range.is_some() {
            let names: Vec<&str> = colour.iter().map(|part| part.unwrap_or("?")).collect();
            let mut text = names.join(" / ");
            if let Some(range) = range {
                let _ = write!(text, ", {range}");
            }
            table.row("colour", text);
        }
    }
    if let Some(audio) = &track.audio {
        table.row("sample rate", format!("{} Hz", audio.sample_rate));
        table.row("channels", audio.channels.to_string());
    }
    table.optional("name", track.name.clone());
    table.optional("language", track.language.clone());
    table.optional("duration", track.duration.map(clock));
    let keys = track.key_packets.map(|keys| format!(" ({keys} key)"));
    table.optional(
        "packets",
        track
            .packets
            .map(|packets| format!("{packets}{}", keys.unwrap_or_default())),
    );
    table.optional("bit rate", track.bit_rate.map(|rate| amount(rate, "bit/s")));
    match (&track.decoder, &track.unsupported) {
        (Some(name), _) => table.row("decoder", *name),
        (None, Some(reason)) => table.row("decoder", format!("none: {reason}")),
        (None, None) => {}
    }
    table.optional("error", track.error.clone());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_read_well() {
        assert_eq!(amount(999, "B"), "999 B");
        assert_eq!(amount(1_449_000, "B"), "1.4 MB");
        assert_eq!(amount(999_600, "B"), "1.0 MB");
        assert_eq!(amount(u64::MAX, "B"), "18446744 TB");
        assert_eq!(clock(3_723_456_000), "1:02:03.456");
        assert_eq!(clock(1_999_600), "0:02.000");
    }

    #[test]
    fn text_of_the_file_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
