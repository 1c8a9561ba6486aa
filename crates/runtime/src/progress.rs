//! What a job says on stderr while it runs: a bar for people, lines of JSON for programs.

use std::io::{IsTerminal, Write};
use std::path::Path;

use reelcore_transcode::{JobError, OutputReport, Progress, Report};
use serde::Serialize;

use crate::probe::{amount, clock, printable};

/// What `--progress` can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// A bar where stderr is a terminal, else only the last lines.
    #[default]
    Auto,
    /// A bar.
    Bar,
    /// One JSON object a line.
    Json,
    /// Nothing but errors.
    None,
}

impl std::str::FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "bar" => Ok(Self::Bar),
            "json" => Ok(Self::Json),
            "none" => Ok(Self::None),
            other => Err(format!("expected auto, bar, json or none, found {other:?}")),
        }
    }
}

/// A line of JSON. Times are in microseconds.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Event<'a> {
    Progress {
        #[serde(flatten)]
        progress: &'a Progress,
        /// 0 to 100.
        percent: Option<f64>,
        /// Microseconds of output made in a microsecond.
        speed: f64,
        remaining: Option<u64>,
    },
    Done {
        #[serde(flatten)]
        report: &'a Report,
    },
    Error {
        kind: &'static str,
        /// The exit code.
        code: i32,
        /// The field of the specification, or the file.
        path: Option<String>,
        message: String,
    },
}

/// Says what happens.
pub struct Reporter {
    style: Style,
    /// Whether the bar stands on the current line.
    bar: bool,
}

impl Reporter {
    pub fn new(style: Style) -> Self {
        let style = match style {
            Style::Auto if std::io::stderr().is_terminal() => Style::Bar,
            style => style,
        };
        Self { style, bar: false }
    }

    pub fn progress(&mut self, progress: &Progress) {
        match self.style {
            Style::Auto | Style::None => {}
            Style::Json => event(&Event::Progress {
                progress,
                percent: percent(progress).map(|percent| (percent * 10.0).round() / 10.0),
                speed: (progress.speed() * 1000.0).round() / 1000.0,
                remaining: progress.remaining(),
            }),
            Style::Bar => {
                let columns = terminal_size::terminal_size_of(std::io::stderr())
                    .map_or(80, |(width, _)| usize::from(width.0));
                self.bar = true;
                write(&format!("\r{}\x1b[K", bar(progress, columns)));
            }
        }
    }

    pub fn done(&mut self, report: &Report) {
        self.clear();
        match self.style {
            Style::None => {}
            Style::Json => event(&Event::Done { report }),
            Style::Auto | Style::Bar => {
                for output in &report.outputs {
                    write(&line(output, report.elapsed));
                }
            }
        }
    }

    /// An error. `file` is the specification's, where there is one.
    pub fn failed(&mut self, error: &JobError, file: Option<&Path>) {
        self.clear();
        if self.style == Style::Json {
            event(&Event::Error {
                kind: error.kind(),
                code: error.exit_code(),
                path: match error {
                    JobError::Spec { path, .. } => Some(path.clone()),
                    JobError::Input { path, .. } | JobError::Output { path, .. } => {
                        Some(path.display().to_string())
                    }
                    _ => None,
                },
                message: error.to_string(),
            });
            return;
        }
        let message = match (error, file) {
            (JobError::Spec { .. }, Some(file)) => format!("{}: {error}", file.display()),
            _ => error.to_string(),
        };
        crate::report(&message);
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.bar) {
            write("\r\x1b[K");
        }
    }
}

fn event(event: &Event<'_>) {
    // Numbers and strings: they can always be written.
    let mut line = serde_json::to_string(event).unwrap_or_default();
    line.push('\n');
    write(&line);
}

/// At once, so that lines of several programs do not mix. Where even stderr is gone, the exit code still tells.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

fn percent(progress: &Progress) -> Option<f64> {
    let total = progress.total.filter(|&total| total > 0)?;
    Some((progress.time as f64 * 100.0 / total as f64).clamp(0.0, 100.0))
}

/// `1:02:03`, of microseconds.
fn short_clock(micros: u64) -> String {
    let text = clock(micros);
    text.split('.').next().unwrap_or_default().to_owned()
}

/// One line of at most `columns` characters.
fn bar(progress: &Progress, columns: usize) -> String {
    let time = u64::try_from(progress.time).unwrap_or(0);
    let mut text = short_clock(time);
    if let Some(total) = progress.total.and_then(|total| u64::try_from(total).ok()) {
        text += &format!(" of {}", short_clock(total));
    }
    text += &format!(", {:.2}x", progress.speed());
    if progress.pictures > 0 && progress.elapsed > 0 {
        let rate = progress.pictures as f64 * 1e6 / progress.elapsed as f64;
        text += &format!(", {rate:.0} pictures/s");
    }
    text += &format!(", {}", amount(progress.bytes, "B"));
    if let Some(remaining) = progress.remaining() {
        text += &format!(", {} left", short_clock(remaining));
    }
    // The last column stays free: some terminals go to the next line there.
    let room = columns.saturating_sub(1);
    if let Some(percent) = percent(progress) {
        let head = format!("{percent:3.0} % ");
        let free = room.saturating_sub(head.len() + text.len() + 3);
        text = match free >= 5 {
            true => {
                let width = free.min(30);
                let full = ((percent / 100.0) * width as f64) as usize;
                format!("{head}[{:.<width$}] {text}", "#".repeat(full))
            }
            false => head + &text,
        };
    }
    text.truncate(room);
    text
}

/// What was written, for a person.
fn line(output: &OutputReport, elapsed: u64) -> String {
    let codecs: Vec<_> = output
        .streams
        .iter()
        .map(|stream| stream.codec.as_str())
        .collect();
    let path = output.path.display().to_string();
    let mut text = format!("{}: {}", printable(&path), amount(output.bytes, "B"));
    if output.duration > 0 {
        text += &format!(", {}, {}", clock(output.duration), codecs.join(" and "));
        let speed = output.duration as f64 / elapsed.max(1) as f64;
        text += &format!(", in {} ({speed:.2}x)", clock(elapsed));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(time: i64, total: Option<i64>) -> Progress {
        Progress {
            time,
            total,
            pictures: 250,
            bytes: 1_500_000,
            elapsed: 5_000_000,
        }
    }

    #[test]
    fn the_bar_says_percent_speed_and_time_left_within_the_columns() {
        let text = bar(&progress(10_000_000, Some(40_000_000)), 120);
        assert!(text.starts_with(" 25 % [#######......"), "{text}");
        assert!(
            text.ends_with("0:10 of 0:40, 2.00x, 50 pictures/s, 1.5 MB, 0:15 left"),
            "{text}"
        );
        for columns in 0..140 {
            assert!(bar(&progress(10_000_000, Some(40_000_000)), columns).len() <= columns);
        }
        let unknown = bar(&progress(10_000_000, None), 80);
        assert!(
            !unknown.contains('%') && !unknown.contains("left"),
            "{unknown}"
        );
    }

    #[test]
    fn an_event_is_one_line_with_the_documented_fields() {
        let progress = progress(10_000_000, Some(40_000_000));
        let event = Event::Progress {
            progress: &progress,
            percent: percent(&progress),
            speed: progress.speed(),
            remaining: progress.remaining(),
        };
        let json = serde_json::to_value(&event).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "event": "progress", "time": 10_000_000, "total": 40_000_000, "pictures": 250, "bytes": 1_500_000,
                "elapsed": 5_000_000, "percent": 25.0, "speed": 2.0, "remaining": 15_000_000,
            })
        );
    }
}
