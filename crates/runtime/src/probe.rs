//! `reelcore probe FILE`: what is in a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reelcore_containers::FileSource;
use reelcore_media::demux::{DemuxError, Demuxer, Source, Track, TrackKind};
use reelcore_media::{
    AudioCodec, AudioDecoderConfig, Registry, Rotation, VideoCodec, VideoDecoderConfig,
};
use serde::Serialize;

/// What the command line asks for.
pub struct Options {
    pub file: PathBuf,
    pub json: bool,
    /// Read every packet, and count.
    pub count: bool,
}

/// What is in a file. Times are in microseconds, rates in bits or frames a second.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    size: Option<u64>,
    container: &'static str,
    duration: Option<u64>,
    bit_rate: Option<u64>,
    tags: Vec<Tag>,
    tracks: Vec<TrackReport>,
}

#[derive(Debug, Serialize)]
struct Tag {
    name: String,
    value: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TrackReport {
    index: usize,
    id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    codec: Option<String>,
    /// For tracks that are neither video nor audio, or of an unknown codec: what the container calls it.
    format: Option<String>,
    language: Option<String>,
    duration: Option<u64>,
    packets: Option<u64>,
    /// Bytes of all packets; only counted.
    bytes: Option<u64>,
    /// Key packets; only counted.
    key_packets: Option<u64>,
    bit_rate: Option<u64>,
    /// Bytes of codec-specific set-up.
    description: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<AudioReport>,
    encryption: Option<EncryptionReport>,
    /// The decoder that this build would choose.
    decoder: Option<&'static str>,
    /// Why there is none.
    unsupported: Option<String>,
    /// Why its packets could not be read.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoReport {
    coded_width: u32,
    coded_height: u32,
    display_aspect_width: u32,
    display_aspect_height: u32,
    frame_rate: Option<f64>,
    rotation: u16,
    flip: bool,
    primaries: Option<&'static str>,
    transfer: Option<&'static str>,
    matrix: Option<&'static str>,
    full_range: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AudioReport {
    sample_rate: u32,
    channels: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EncryptionReport {
    scheme: Option<String>,
    default_key_id: Option<String>,
    codec: Option<String>,
    /// Number of protection system headers.
    pssh: usize,
}

/// Packets that the frame rate is measured on, when it does not follow from the track's length.
const MEASURED_PACKETS: usize = 300;

/// What is in the file, as text for a terminal or as JSON.
///
/// # Errors
/// What is wrong with the file, with its path.
pub fn run(options: &Options, registry: &Registry) -> Result<String, String> {
    let path = options.file.display();
    let report = probe(&options.file, options.count, registry)
        .map_err(|error| format!("{path}: {error}"))?;
    if options.json {
        let mut json = serde_json::to_string_pretty(&report)
            .map_err(|error| format!("{path}: can not be written as JSON: {error}"))?;
        json.push('\n');
        Ok(json)
    } else {
        Ok(table(&report))
    }
}

fn probe(path: &Path, count: bool, registry: &Registry) -> Result<Report, DemuxError> {
    let source = Arc::new(FileSource::open(path)?);
    let size = source.len()?;
    let demuxer = reelcore_containers::open(source)?;
    let duration = demuxer.duration();
    let tracks = demuxer.tracks().iter().enumerate();
    Ok(Report {
        file: path.display().to_string(),
        size,
        container: demuxer.container(),
        duration,
        bit_rate: size.and_then(|size| rate(size.saturating_mul(8), duration)),
        tags: demuxer
            .tags()
            .iter()
            .map(|(name, value)| Tag {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        tracks: tracks
            .map(|(index, track)| track_report(&demuxer, index, track, count, registry))
            .collect(),
    })
}

/// So many in so many microseconds, a second.
fn rate(count: u64, duration: Option<u64>) -> Option<u64> {
    let duration = u128::from(duration.filter(|&duration| duration > 0)?);
    u64::try_from((u128::from(count) * 1_000_000 + duration / 2) / duration).ok()
}

fn track_report(
    demuxer: &Arc<dyn Demuxer>,
    index: usize,
    track: &Track,
    count: bool,
    registry: &Registry,
) -> TrackReport {
    let mut report = TrackReport {
        index,
        id: track.id,
        codec: track.codec.clone(),
        language: track.language.clone(),
        duration: track.duration,
        packets: track.samples,
        description: track.description.as_ref().map(bytes::Bytes::len),
        encryption: track
            .encryption
            .as_ref()
            .map(|encryption| EncryptionReport {
                scheme: encryption.scheme.clone(),
                default_key_id: encryption
                    .default_kid
                    .map(|kid| kid.iter().map(|byte| format!("{byte:02x}")).collect()),
                codec: encryption.original_codec.clone(),
                pssh: encryption.pssh.len(),
            }),
        ..TrackReport::default()
    };
    let mut times = Vec::new();
    let readable = !matches!(track.kind, TrackKind::Other(_));
    if readable && (count || matches!(track.kind, TrackKind::Video { .. })) {
        let counted = read_packets(demuxer, index, count, &mut times);
        match counted {
            Ok(totals) if count => {
                report.packets = Some(totals.packets);
                report.bytes = Some(totals.bytes);
                report.key_packets = Some(totals.keys);
                report.bit_rate = rate(totals.bytes.saturating_mul(8), track.duration);
            }
            Ok(_) => {}
            Err(error) => report.error = Some(error.to_string()),
        }
    }
    match &track.kind {
        TrackKind::Video {
            coded_size,
            display_aspect,
            rotation,
            flip,
            color_space,
        } => {
            report.kind = "video";
            report.video = Some(VideoReport {
                coded_width: coded_size.width,
                coded_height: coded_size.height,
                display_aspect_width: display_aspect.width,
                display_aspect_height: display_aspect.height,
                frame_rate: frame_rate(&mut times),
                rotation: rotation.degrees(),
                flip: *flip,
                primaries: color_space.primaries.map(|value| value.as_str()),
                transfer: color_space.transfer.map(|value| value.as_str()),
                matrix: color_space.matrix.map(|value| value.as_str()),
                full_range: color_space.full_range,
            });
        }
        TrackKind::Audio {
            sample_rate,
            channels,
        } => {
            report.kind = "audio";
            report.audio = Some(AudioReport {
                sample_rate: *sample_rate,
                channels: *channels,
            });
        }
        TrackKind::Other(format) => {
            report.kind = "other";
            report.format = Some(format.clone());
        }
    }
    match decoder(track, registry) {
        Some(Ok(name)) => report.decoder = Some(name),
        Some(Err(reason)) => report.unsupported = Some(reason),
        None => {}
    }
    report
}

#[derive(Default)]
struct Totals {
    packets: u64,
    bytes: u64,
    keys: u64,
}

/// Reads all packets, or as many as a frame rate takes.
fn read_packets(
    demuxer: &Arc<dyn Demuxer>,
    index: usize,
    all: bool,
    times: &mut Vec<i64>,
) -> Result<Totals, DemuxError> {
    let mut reader = demuxer.clone().reader(index)?;
    let mut totals = Totals::default();
    while all || times.len() < MEASURED_PACKETS {
        let Some(packet) = reader.next_packet()? else {
            break;
        };
        totals.packets += 1;
        totals.bytes += packet.data.len() as u64;
        totals.keys += u64::from(packet.kind == reelcore_media::ChunkKind::Key);
        if times.len() < MEASURED_PACKETS {
            times.push(packet.timestamp);
        }
    }
    Ok(totals)
}

/// Frames a second: over the whole stretch, less the last few, which may lack those that are shown before them.
fn frame_rate(times: &mut Vec<i64>) -> Option<f64> {
    times.sort_unstable();
    times.dedup();
    let kept = times
        .len()
        .saturating_sub(if times.len() > 32 { 16 } else { 0 });
    let times = times.get(..kept)?;
    let stretch = times.last()?.checked_sub(*times.first()?)?;
    let rate = (times.len().checked_sub(1)? as f64) * 1_000_000.0 / stretch as f64;
    // Times are whole microseconds: more digits than these are noise.
    (stretch > 0).then(|| (rate * 1000.0).round() / 1000.0)
}

/// The decoder for a track in clear, or why there is none.
fn decoder(track: &Track, registry: &Registry) -> Option<Result<&'static str, String>> {
    if track.encryption.is_some() {
        return None;
    }
    let codec = track.codec.as_deref()?;
    Some(match &track.kind {
        TrackKind::Video { coded_size, .. } => VideoCodec::parse(codec)
            .map_err(|error| error.to_string())
            .and_then(|codec| {
                let config = VideoDecoderConfig {
                    description: track.description.clone(),
                    coded_size: Some(*coded_size).filter(|size| size.area() > 0),
                    ..VideoDecoderConfig::new(codec)
                };
                let backends = registry.video_decoders(&config);
                backends.map_err(|error| error.to_string()).map(|found| {
                    found
                        .first()
                        .map(|backend| backend.name())
                        .unwrap_or_default()
                })
            }),
        TrackKind::Audio {
            sample_rate,
            channels,
        } => AudioCodec::parse(codec)
            .map_err(|error| error.to_string())
            .and_then(|codec| {
                let config = AudioDecoderConfig {
                    codec,
                    description: track.description.clone(),
                    sample_rate: *sample_rate,
                    channels: *channels,
                };
                let backends = registry.audio_decoders(&config);
                backends.map_err(|error| error.to_string()).map(|found| {
                    found
                        .first()
                        .map(|backend| backend.name())
                        .unwrap_or_default()
                })
            }),
        TrackKind::Other(_) => return None,
    })
}

/// `1:02:03.456`
fn clock(micros: u64) -> String {
    let millis = (micros + 500) / 1000;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    let millis = millis % 1000;
    match hours {
        0 => format!("{minutes}:{seconds:02}.{millis:03}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{millis:03}"),
    }
}

/// `1.4 MB`, in powers of 1000.
fn amount(value: u64, unit: &str) -> String {
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
fn printable(text: &str) -> String {
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

fn table(report: &Report) -> String {
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
        assert_eq!(rate(300, Some(10_010_000)), Some(30));
        assert_eq!(rate(u64::MAX, Some(1)), None);
        assert_eq!(rate(1, Some(0)), None);
    }

    #[test]
    fn the_frame_rate_does_not_depend_on_the_order_of_packets() {
        let times = |n: i64| (0..n).map(|i| i * 1_001_000 / 30).collect::<Vec<_>>();
        let mut shuffled = times(100);
        shuffled.swap(10, 12);
        // The last in decode order is shown late: frames before it are missing.
        shuffled.push(105 * 1_001_000 / 30);
        assert_eq!(frame_rate(&mut shuffled), Some(29.97));
        assert_eq!(frame_rate(&mut times(5)), Some(29.97));
        assert_eq!(frame_rate(&mut vec![7]), None);
        assert_eq!(frame_rate(&mut Vec::new()), None);
    }

    #[test]
    fn text_of_the_file_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
