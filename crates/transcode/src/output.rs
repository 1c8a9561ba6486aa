//! Outputs: packets of all tracks in the order of their times, into a file that gets its name when it is complete.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use reelcore_containers::mux::{FileSink, Format, create};
use reelcore_engine::Engine;
use reelcore_media::convert::{PredefinedColorSpace, RgbConversion, to_rgb};
use reelcore_media::layout::PlaneLayout;
use reelcore_media::mux::{MuxError, MuxOptions, OutputKind, OutputPacket, OutputTrack};
use reelcore_media::{PixelFormat, VideoFrame};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::encode::Item;
use crate::error::{self, JobError};
use crate::stream::{Cancel, Inlet, Pictures, Pull};
use crate::video::paint::{Painter, unnamed};

/// The message of [`JobError::Output`] where the output would replace a file, and [`Options::overwrite`](crate::Options) is not set.
pub const EXISTS: &str = "the file exists, and the job may not overwrite it";

/// What was written to one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputReport {
    /// The file.
    #[serde(serialize_with = "displayed")]
    pub path: PathBuf,
    /// The container's short name, or `png`.
    pub container: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// When the last packet ends, in microseconds.
    pub duration: u64,
    /// Its tracks.
    pub streams: Vec<StreamReport>,
    /// Tracks that were left out as they had nothing, by their number in the specification.
    pub empty: Vec<usize>,
}

/// A path as text: those that are no Unicode are as near to it as they come.
fn displayed<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// What was written to one track.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// `video` or `audio`.
    pub kind: &'static str,
    /// Its codec string.
    pub codec: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of all packets.
    pub bytes: u64,
}

/// What an output says while it is written.
pub(crate) struct Step {
    /// Which one.
    pub(crate) output: usize,
    /// How far it is, in microseconds.
    pub(crate) time: i64,
    /// Pictures so far.
    pub(crate) pictures: u64,
    /// Bytes of packets so far.
    pub(crate) bytes: u64,
}

/// A file that is complete, without its name.
pub(crate) struct Finished {
    file: Temporary,
    pub(crate) report: OutputReport,
}

impl Finished {
    /// Gives it its name. Also gives that name's place, if no file was there before.
    pub(crate) fn keep(self, overwrite: bool) -> Result<(OutputReport, Option<PathBuf>), JobError> {
        let path = self.report.path;
        let Temporary { file, place } = self.file;
        let new = !overwrite || place.symlink_metadata().is_err();
        let kept = match overwrite {
            true => file.persist(&place),
            false => file.persist_noclobber(&place),
        };
        kept.map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => JobError::output(&path, EXISTS),
            _ => JobError::output(&path, error.error),
        })?;
        // So that the name outlasts a crash as well. Not all file systems can.
        #[cfg(unix)]
        if let Ok(folder) = File::open(folder_of(&place)) {
            let _ = folder.sync_all();
        }
        let report = OutputReport {
            path,
            ..self.report
        };
        Ok((report, new.then_some(place)))
    }
}

/// Gives all their names. What was made is removed again where one cannot have its name.
pub(crate) fn keep_all(
    finished: Vec<Finished>,
    overwrite: bool,
) -> Result<Vec<OutputReport>, JobError> {
    let (mut reports, mut made) = (Vec::new(), Vec::new());
    for finished in finished {
        match finished.keep(overwrite) {
            Ok((report, place)) => {
                reports.push(report);
                made.extend(place);
            }
            Err(error) => {
                for place in made {
                    // What cannot be removed stays: the error says what went wrong first.
                    let _ = std::fs::remove_file(place);
                }
                return Err(error);
            }
        }
    }
    Ok(reports)
}

/// The one file that `path` means, however it is spelled: what a link leads to, in the folder by its own name.
pub(crate) fn place_of(path: &Path) -> PathBuf {
    if path.is_symlink()
        && let Ok(place) = path.canonicalize()
    {
        return place;
    }
    match (folder_of(path).canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.components().collect(),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that is removed if it does not get its name.
struct Temporary {
    file: NamedTempFile,
    /// Its name: the output's path, or what that leads to if it is a link.
    place: PathBuf,
}

/// A file beside the one that `path` is to become.
fn temporary(path: &Path) -> Result<Temporary, JobError> {
    let failed = |error: std::io::Error| JobError::output(path, error);
    let place = match path.is_symlink() && path.exists() {
        true => path.canonicalize().map_err(failed)?,
        false => path.to_owned(),
    };
    // A device such as /dev/null has its name for other things.
    if place.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(JobError::output(path, "it is there, and is no file"));
    }
    let prefix = format!(".{}", beginning(&place));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    let folder = folder_of(&place);
    #[cfg(unix)]
    let file = match place.metadata() {
        // What only some may read is never in a file that others may.
        Ok(replaced) => builder
            .tempfile_in(folder)
            .inspect(|file| permit(file.as_file(), &replaced)),
        // As files are that programs make: what the umask leaves.
        Err(_) => {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
            builder.tempfile_in(folder)
        }
    };
    #[cfg(not(unix))]
    let file = builder.tempfile_in(folder);
    let file = file.map_err(failed)?;
    Ok(Temporary { file, place })
}

/// The most bytes of an output's name that its temporary file has. File systems end names at 255 bytes, some at 143.
const MOST_OF_NAME: usize = 100;

/// The beginning of the file's name.
fn beginning(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    name.char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= MOST_OF_NAME)
        .map(|(_, c)| c)
        .collect()
}

/// Gives `file`, which nobody but its owner may read yet, the owner, the group and the mode of the one that it is to replace, as
/// far as this process may.
#[cfg(unix)]
fn permit(file: &File, replaced: &std::fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let Ok(own) = file.metadata() else {
        return;
    };
    let group = own.gid() == replaced.gid() || fchown(file, None, Some(replaced.gid())).is_ok();
    if own.uid() != replaced.uid() {
        // Only the system's administrator may give files away.
        let _ = fchown(file, Some(replaced.uid()), None);
    }
    // What was for the members of a group is not for those of another one.
    let kept = if group { 0o777 } else { 0o707 };
    let mode = std::fs::Permissions::from_mode(replaced.mode() & kept);
    // File systems without modes refuse it.
    let _ = file.set_permissions(mode);
}

/// A track to write.
pub(crate) struct Lane {
    /// Its number in the specification.
    number: usize,
    /// Its path there.
    path: String,
    inlet: Inlet<Item>,
}

impl Lane {
    /// What `inlet` gives, for the track of that number, whose path in the specification it is.
    pub(crate) fn new(number: usize, path: String, inlet: Inlet<Item>) -> Self {
        Self {
            number,
            path,
            inlet,
        }
    }
}

/// A track that is being written.
struct Writing {
    inlet: Inlet<Item>,
    /// Its index in the muxer.
    index: usize,
    /// How far it is, in microseconds.
    time: i64,
    report: StreamReport,
    ended: bool,
}

/// Writes packets to a container.
pub(crate) struct Container<'a> {
    pub(crate) number: usize,
    pub(crate) path: &'a Path,
    pub(crate) format: Format,
    pub(crate) options: MuxOptions,
    pub(crate) cancel: &'a Cancel,
}

impl Container<'_> {
    /// Writes all that the tracks give. Taken is from that which is behind most, so that none runs ahead: they wait for the
    /// muxer, and nothing piles up in it.
    pub(crate) fn write(
        &self,
        tracks: Vec<Lane>,
        report: &mut dyn FnMut(Step),
    ) -> Result<Finished, JobError> {
        let failed = |error| error::mux(self.path, &error);
        let temporary = temporary(self.path)?;
        let file = temporary
            .file
            .as_file()
            .try_clone()
            .map_err(|error| JobError::output(self.path, error))?;
        let mut sink = FileSink::new(file);
        let mut muxer = create(self.format.name(), &self.options).map_err(failed)?;
        let mut lanes = Vec::new();
        let mut empty = Vec::new();
        for Lane {
            number,
            path,
            mut inlet,
        } in tracks
        {
            let track = match inlet.next()? {
                Some(Item::Track(track)) => *track,
                Some(Item::Packet(_)) => {
                    return Err(JobError::failed("a packet came before its track"));
                }
                None => {
                    empty.push(number);
                    continue;
                }
            };
            let report = report_of(&track);
            lanes.push(Writing {
                inlet,
                index: muxer.add_track(track).map_err(|error| match error {
                    // What the container does not hold was asked for.
                    MuxError::Unsupported(_) => {
                        JobError::spec(format!("{path}.codec"), error.to_string())
                    }
                    error => failed(error),
                })?,
                report,
                time: i64::MIN,
                ended: false,
            });
        }
        if lanes.is_empty() {
            return Err(JobError::failed(format!(
                "{}: nothing to write: the inputs have no pictures and no sound there",
                self.path.display()
            )));
        }
        let (mut duration, mut bytes, mut pictures) = (0, 0, 0);
        while let Some(lane) = lanes
            .iter_mut()
            .filter(|lane| !lane.ended)
            .min_by_key(|lane| lane.time)
        {
            self.cancel.check()?;
            match lane.inlet.next()? {
                Some(Item::Packet(packet)) => {
                    let end = end_of(&packet);
                    duration = duration.max(end);
                    lane.time = lane
                        .time
                        .max(packet.decode_time.unwrap_or(packet.chunk.timestamp));
                    lane.report.packets += 1;
                    lane.report.bytes += packet.chunk.data.len() as u64;
                    bytes += packet.chunk.data.len() as u64;
                    pictures += u64::from(lane.report.kind == "video");
                    muxer.write(lane.index, packet, &mut sink).map_err(failed)?;
                }
                Some(Item::Track(_)) => {
                    return Err(JobError::failed("a track was described twice"));
                }
                None => {
                    lane.ended = true;
                    muxer.end_track(lane.index, &mut sink).map_err(failed)?;
                }
            }
            let time = lanes
                .iter()
                .filter(|lane| !lane.ended)
                .map(|lane| lane.time)
                .min();
            report(Step {
                output: self.number,
                time: time.unwrap_or(duration).max(0),
                pictures,
                bytes,
            });
        }
        muxer.finish(&mut sink).map_err(failed)?;
        let file = sink
            .finish()
            .map_err(|error| JobError::output(self.path, error))?;
        let len = synced(self.path, &file)?;
        Ok(Finished {
            file: temporary,
            report: OutputReport {
                path: self.path.to_owned(),
                container: self.format.name(),
                bytes: len,
                duration: u64::try_from(duration).unwrap_or(0),
                streams: lanes.into_iter().map(|lane| lane.report).collect(),
                empty,
            },
        })
    }
}

/// Waits until all of it is on the disk, and gives its length.
fn synced(path: &Path, file: &File) -> Result<u64, JobError> {
    file.sync_all()
        .map_err(|error| JobError::output(path, error))?;
    let metadata = file
        .metadata()
        .map_err(|error| JobError::output(path, error))?;
    Ok(metadata.len())
}

fn report_of(track: &OutputTrack) -> StreamReport {
    StreamReport {
        kind: match track.kind {
            OutputKind::Video { .. } => "video",
            OutputKind::Audio { .. } => "audio",
        },
        codec: track.codec.clone(),
        packets: 0,
        bytes: 0,
    }
}

/// When the packet ends, less what is discarded of it.
fn end_of(packet: &OutputPacket) -> i64 {
    let chunk = &packet.chunk;
    let cut = chunk
        .side
        .as_ref()
        .map_or(0, |side| side.discard_end.as_micros());
    let cut = u64::try_from(cut).unwrap_or(u64::MAX);
    let length = chunk.duration.unwrap_or(0).saturating_sub(cut);
    chunk
        .timestamp
        .saturating_add(i64::try_from(length).unwrap_or(i64::MAX))
}

/// Writes the first picture as PNG: upright, in sRGB, with alpha where it has any and `alpha` is set. Of pixels that are
/// not square the shorter side is enlarged.
pub(crate) fn write_png(
    path: &Path,
    engine: &Engine,
    mut pictures: Pictures,
    alpha: bool,
) -> Result<Finished, JobError> {
    let Some(frame) = pictures.next()? else {
        return Err(JobError::failed(format!(
            "{}: nothing to write: the input has no picture there",
            path.display()
        )));
    };
    drop(pictures);
    let mut painter = Painter::new(engine);
    let frame = painter.plain(&frame)?;
    let format = frame.format.ok_or_else(unnamed)?;
    let alpha = alpha && format.has_alpha();
    let (rgba, size) = (rgba(&frame, alpha)?, frame.visible_rect.size());
    let temporary = temporary(path)?;
    let failed = |error: png::EncodingError| JobError::output(path, error);
    let mut writer = BufWriter::new(temporary.file.as_file());
    let mut encoder = png::Encoder::new(&mut writer, size.width, size.height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(if alpha {
        png::ColorType::Rgba
    } else {
        png::ColorType::Rgb
    });
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    let mut image = encoder.write_header().map_err(failed)?;
    match alpha {
        true => image.write_image_data(&rgba).map_err(failed)?,
        false => {
            let rgb: Vec<u8> = rgba
                .chunks_exact(4)
                .flat_map(|pixel| pixel.iter().take(3))
                .copied()
                .collect();
            image.write_image_data(&rgb).map_err(failed)?;
        }
    }
    image.finish().map_err(failed)?;
    writer
        .flush()
        .map_err(|error| JobError::output(path, error))?;
    drop(writer);
    let len = synced(path, temporary.file.as_file())?;
    Ok(Finished {
        file: temporary,
        report: OutputReport {
            path: path.to_owned(),
            container: "png",
            bytes: len,
            duration: 0,
            streams: vec![StreamReport {
                kind: "video",
                codec: "png".to_owned(),
                packets: 1,
                bytes: len,
            }],
            empty: Vec::new(),
        },
    })
}

fn rgba(frame: &VideoFrame, keep_alpha: bool) -> Result<Vec<u8>, JobError> {
    let image = frame.resource.read_back()?;
    let rect = frame.visible_rect;
    let len = usize::try_from(rect.size().area().saturating_mul(4)).map_err(JobError::failed)?;
    let mut pixels = vec![0; len];
    let conversion = RgbConversion {
        rect,
        color_space: frame.color_space,
        keep_alpha,
        format: PixelFormat::Rgba,
        target: PredefinedColorSpace::Srgb,
    };
    let layout = PlaneLayout {
        offset: 0,
        stride: rect.width.saturating_mul(4),
    };
    to_rgb(&image, &conversion, layout, &mut pixels)?;
    Ok(pixels)
}
