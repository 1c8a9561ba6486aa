//! What is in a file, without decoding it.

use std::fs::File;
use std::io::Seek;
use std::path::Path;
use std::sync::Arc;

use reelcore_containers::FileSource;
use reelcore_media::demux::{DemuxError, Demuxer, Source, Track, TrackKind};
use reelcore_media::{AudioCodec, AudioDecoderConfig, Registry, VideoCodec, VideoDecoderConfig};
use serde::Serialize;

use crate::error::{self, JobError};
use crate::file::{self, IMAGE_COLORS, Opened};

/// What is in a file. Times are in microseconds, rates in bits or frames a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// Its path.
    pub file: String,
    /// Its length in bytes, where it has one.
    pub size: Option<u64>,
    /// The short name of the container, or `png`.
    pub container: &'static str,
    /// Microseconds.
    pub duration: Option<u64>,
    /// Bits a second, of the whole file or of the packets.
    pub bit_rate: Option<u64>,
    /// What it says of the presentation.
    pub tags: Vec<Tag>,
    /// Its tracks.
    pub tracks: Vec<TrackReport>,
}

/// One thing that a file says of the presentation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tag {
    /// Its name, as FFmpeg has it.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// What is in a track.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// Its place among the tracks, counted from 0.
    pub index: usize,
    /// The container's number for it.
    pub id: u32,
    /// `video`, `audio` or `other`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The codec string of WebCodecs.
    pub codec: Option<String>,
    /// For tracks that are neither video nor audio, or have no codec string: what the container calls it.
    pub format: Option<String>,
    /// The language, as the container has it.
    pub language: Option<String>,
    /// Its name for people, as the container has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Microseconds.
    pub duration: Option<u64>,
    /// How many packets, where that is known.
    pub packets: Option<u64>,
    /// Bytes of all packets; only counted.
    pub bytes: Option<u64>,
    /// Key packets; only counted.
    pub key_packets: Option<u64>,
    /// Bits a second, of the whole file or of the packets.
    pub bit_rate: Option<u64>,
    /// Bytes of codec-specific set-up.
    pub description: Option<usize>,
    /// Of a track of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoReport>,
    /// Of a track of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioReport>,
    /// How it is encrypted.
    pub encryption: Option<EncryptionReport>,
    /// The decoder that this build would choose.
    pub decoder: Option<&'static str>,
    /// Why there is none.
    pub unsupported: Option<String>,
    /// Why its packets could not be read.
    pub error: Option<String>,
}

/// What pictures are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoReport {
    /// Pixels.
    pub coded_width: u32,
    /// Pixels.
    pub coded_height: u32,
    /// The aspect ratio as it is shown, before rotation.
    pub display_aspect_width: u32,
    /// The aspect ratio as it is shown, before rotation.
    pub display_aspect_height: u32,
    /// Frames a second, measured on the first packets.
    pub frame_rate: Option<f64>,
    /// Degrees, clockwise.
    pub rotation: u16,
    /// Whether left and right change places, after the rotation.
    pub flip: bool,
    /// The colour space's member of WebCodecs.
    pub primaries: Option<&'static str>,
    /// The colour space's member of WebCodecs.
    pub transfer: Option<&'static str>,
    /// The colour space's member of WebCodecs.
    pub matrix: Option<&'static str>,
    /// The colour space's member of WebCodecs.
    pub full_range: Option<bool>,
}

/// What sound is like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudioReport {
    /// Frames a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
}

/// How a track is encrypted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionReport {
    /// The protection scheme, such as `cenc`.
    pub scheme: Option<String>,
    /// The key, in hexadecimal digits.
    pub default_key_id: Option<String>,
    /// The codec string in clear.
    pub codec: Option<String>,
    /// Number of protection system headers.
    pub pssh: usize,
}

/// Packets that the frame rate is measured on, when it does not follow from the track's length.
const MEASURED_PACKETS: usize = 300;

/// Says what is in the file at `path`, and which decoders of `registry` its tracks would get. With `count` every packet is read.
/// A PNG image is a track of one picture without a length.
///
/// # Errors
/// [`JobError::Input`] where it cannot be read, or is of no container that is known. What is wrong with one track is in its
/// report.
pub fn probe(path: &Path, count: bool, registry: &Registry) -> Result<FileReport, JobError> {
    match file::open(path)? {
        Opened::Tracks(source) => {
            report(path, source, count, registry).map_err(|error| error::demux(path, &error))
        }
        Opened::Image(file) => image_report(path, file, count),
    }
}

/// What is in a PNG image. With `count` its pixels are read too.
fn image_report(path: &Path, file: File, count: bool) -> Result<FileReport, JobError> {
    let failed = |error: std::io::Error| error::demux(path, &error.into());
    let size = file.metadata().map_err(failed)?.len();
    let mut again = file.try_clone().map_err(failed)?;
    let info = file::image_info(path, file)?;
    let mut track = TrackReport {
        kind: "video",
        format: Some(info.format),
        packets: Some(1),
        video: Some(VideoReport {
            coded_width: info.size.width,
            coded_height: info.size.height,
            display_aspect_width: info.size.width,
            display_aspect_height: info.size.height,
            frame_rate: None,
            rotation: 0,
            flip: false,
            primaries: IMAGE_COLORS.primaries.map(|value| value.as_str()),
            transfer: IMAGE_COLORS.transfer.map(|value| value.as_str()),
            matrix: IMAGE_COLORS.matrix.map(|value| value.as_str()),
            full_range: IMAGE_COLORS.full_range,
        }),
        ..TrackReport::default()
    };
    match file::check_image_size(info.size) {
        Ok(()) => track.decoder = Some("png"),
        Err(error) => track.unsupported = Some(error.to_string()),
    }
    if count {
        track.bytes = Some(size);
        track.key_packets = Some(1);
        if track.decoder.is_some() {
            again.rewind().map_err(failed)?;
            track.error = file::image(again).err().map(|error| error.to_string());
        }
    }
    Ok(FileReport {
        file: path.display().to_string(),
        size: Some(size),
        container: "png",
        duration: None,
        bit_rate: None,
        tags: Vec::new(),
        tracks: vec![track],
    })
}

fn report(
    path: &Path,
    source: FileSource,
    count: bool,
    registry: &Registry,
) -> Result<FileReport, DemuxError> {
    let source = Arc::new(source);
    let size = source.len()?;
    let demuxer = reelcore_containers::open(source)?;
    let duration = demuxer.duration();
    let tracks = demuxer.tracks().iter().enumerate();
    Ok(FileReport {
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
        format: demuxer.format(index).map(str::to_owned),
        language: track.language.clone(),
        name: track.name.clone(),
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
            ..
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_a_second() {
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
}
