//! Inputs: files that are open, and where their parts lie on the job's time line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Track, TrackKind};
use reelcore_media::{ChunkKind, VideoFrame};

use crate::continuous::{Continuous, may_jump};
use crate::error::{self, JobError};
use crate::file::{self, Opened};
use crate::job::{Input, Job, Named, SourceKind};
use crate::stream::Cancel;

/// The first packets of a track, among which the first that is shown is found.
const FIRST_PACKETS: usize = 32;

/// Packets before the first key packet of a track of pictures, which are not decoded, and among which it is looked for.
const LEADING_PACKETS: usize = 10_000;

/// What ends an image: a picture that stands still has no end, so its length is one that no job reaches.
pub(crate) const FOREVER: i64 = 1 << 50;

/// A file that is open.
pub(crate) struct Media {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    ends: OnceLock<Result<Vec<i64>, JobError>>,
}

/// What it holds.
pub(crate) enum Content {
    /// Tracks, and the time in them that counts as 0: of the first picture or sound.
    Tracks(Arc<dyn Demuxer>, i64),
    /// A picture that stands still.
    Image(VideoFrame),
}

/// One of the parts of an input, in microseconds.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) media: Arc<Media>,
    /// Where it begins, counted from the media's 0.
    pub(crate) from: i64,
    /// Where it ends, if not with the media.
    pub(crate) to: Option<i64>,
    /// Where its beginning lies on the input's time line.
    pub(crate) offset: i64,
    /// Its length, where others follow.
    pub(crate) length: Option<i64>,
}

/// An input.
pub(crate) struct OpenInput {
    pub(crate) parts: Vec<Part>,
}

/// All inputs of a job.
pub(crate) struct Inputs {
    inputs: BTreeMap<String, OpenInput>,
}

impl Media {
    /// Opens the file at `path`, and finds out what it is.
    pub(crate) fn open(path: &Path) -> Result<Self, JobError> {
        let content = match file::open(path)? {
            Opened::Image(file) => {
                let image = file::image(file).map_err(|error| JobError::input(path, error))?;
                Content::Image(image)
            }
            Opened::Tracks(source) => {
                let demuxer = reelcore_containers::open(Arc::new(source))
                    .map_err(|e| error::demux(path, &e))?;
                let origin = origin(path, &demuxer)?;
                Content::Tracks(demuxer, origin)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            content,
            ends: OnceLock::new(),
        })
    }

    /// When the last picture or sound ends.
    fn end(&self, cancel: &Cancel) -> Result<i64, JobError> {
        if let Content::Image(_) = self.content {
            return Ok(FOREVER);
        }
        Ok(self.ends(cancel)?.iter().copied().max().unwrap_or(0))
    }

    /// When the last picture or sound of that one track ends.
    fn track_end(&self, kind: SourceKind, number: usize, cancel: &Cancel) -> Result<i64, JobError> {
        match self.track(kind, number) {
            Some((index, _)) => Ok(self.ends(cancel)?.get(index).copied().unwrap_or(0)),
            None => self.end(cancel),
        }
    }

    /// When the last picture or sound of each track ends. All packets are read once for it: containers round, or do not say.
    fn ends(&self, cancel: &Cancel) -> Result<&[i64], JobError> {
        match self.ends.get_or_init(|| self.find_ends(cancel)) {
            Ok(ends) => Ok(ends),
            Err(error) => Err(error.clone()),
        }
    }

    fn find_ends(&self, cancel: &Cancel) -> Result<Vec<i64>, JobError> {
        let Content::Tracks(demuxer, origin) = &self.content else {
            return Ok(Vec::new());
        };
        let mut ends = vec![0; demuxer.tracks().len()];
        for ((index, track), end) in demuxer.tracks().iter().enumerate().zip(&mut ends) {
            if matches!(track.kind, TrackKind::Other(_)) {
                continue;
            }
            let failed = |error| error::demux(&self.path, &error);
            let mut reader = reader(demuxer, index).map_err(failed)?;
            // The two latest times: where a packet does not say how long it is, it is as long as the one before.
            let (mut last, mut before) = (None, None);
            while let Some(packet) = reader.next_sample().map_err(failed)? {
                cancel.check()?;
                let chunk = &packet.chunk;
                if !packet.presented {
                    continue;
                }
                if let Some(duration) = chunk
                    .duration
                    .and_then(|duration| i64::try_from(duration).ok())
                {
                    let cut = chunk
                        .side
                        .as_ref()
                        .map_or(0, |side| side.discard_end.as_micros());
                    let cut = i64::try_from(cut).unwrap_or(duration).min(duration);
                    let shown = chunk.timestamp.saturating_add(duration - cut);
                    *end = shown.saturating_sub(*origin).max(*end);
                }
                if last.is_none_or(|last| chunk.timestamp > last) {
                    before = last;
                    last = Some(chunk.timestamp);
                } else if before.is_none_or(|before| chunk.timestamp > before)
                    && last != Some(chunk.timestamp)
                {
                    before = Some(chunk.timestamp);
                }
            }
            if let Some(last) = last {
                let step = last.saturating_sub(before.unwrap_or(last));
                let reached = last.saturating_sub(*origin);
                if reached >= *end {
                    *end = reached.saturating_add(step);
                }
            }
        }
        Ok(ends)
    }

    /// What the container says of its length, in microseconds: enough for a progress bar.
    pub(crate) fn said_length(&self) -> Option<i64> {
        match &self.content {
            Content::Tracks(demuxer, _) => i64::try_from(demuxer.duration()?).ok(),
            Content::Image(_) => None,
        }
    }

    /// The track of that number among those of `kind`, and its place among all.
    pub(crate) fn track(&self, kind: SourceKind, number: usize) -> Option<(usize, &Track)> {
        let Content::Tracks(demuxer, _) = &self.content else {
            return None;
        };
        let fits = |track: &Track| match kind {
            SourceKind::Video => matches!(track.kind, TrackKind::Video { .. }),
            SourceKind::Audio => matches!(track.kind, TrackKind::Audio { .. }),
        };
        let mut tracks = demuxer.tracks().iter().enumerate();
        tracks.by_ref().filter(|(_, track)| fits(track)).nth(number)
    }

    /// Whether there is such a track.
    pub(crate) fn has(&self, kind: SourceKind, number: usize) -> bool {
        match self.content {
            Content::Image(_) => kind == SourceKind::Video && number == 0,
            Content::Tracks(..) => self.track(kind, number).is_some(),
        }
    }
}

/// A reader of the track at `index`, whose times go on where those of the file jump.
pub(crate) fn reader(
    demuxer: &Arc<dyn Demuxer>,
    index: usize,
) -> Result<Box<dyn PacketReader>, DemuxError> {
    if may_jump(&**demuxer) {
        return Ok(Box::new(Continuous::new(demuxer.clone(), index)?));
    }
    demuxer.clone().reader(index)
}

/// As [`reader`], from the last key packet at or before `time` on, which is so much `early`er than what is wanted. Gives the time of
/// that packet as well.
pub(crate) fn reader_from(
    demuxer: &Arc<dyn Demuxer>,
    index: usize,
    time: i64,
    early: i64,
) -> Result<(Box<dyn PacketReader>, Option<i64>), DemuxError> {
    if may_jump(&**demuxer) {
        let mut reader = Continuous::new(demuxer.clone(), index)?;
        let place = reader.seek_early(time, early)?;
        return Ok((Box::new(reader), place));
    }
    let mut reader = demuxer.clone().reader(index)?;
    let place = reader.seek(time)?;
    Ok((reader, place))
}

/// The time of the first picture or sound of any track.
fn origin(path: &Path, demuxer: &Arc<dyn Demuxer>) -> Result<i64, JobError> {
    let mut origin: Option<i64> = None;
    for (index, track) in demuxer.tracks().iter().enumerate() {
        if track.codec.is_none() || matches!(track.kind, TrackKind::Other(_)) {
            continue;
        }
        let failed = |error| error::demux(path, &error);
        let mut reader = demuxer.clone().reader(index).map_err(failed)?;
        // Pictures count from the first that can be decoded.
        let mut begun = !matches!(track.kind, TrackKind::Video { .. });
        let (mut seen, mut leading) = (0, 0);
        while seen < FIRST_PACKETS && leading < LEADING_PACKETS {
            // What is wrong with a track is said where it is used.
            let Ok(Some(packet)) = reader.next_sample() else {
                break;
            };
            begun |= packet.chunk.kind == ChunkKind::Key;
            if !begun {
                leading += 1;
                continue;
            }
            seen += 1;
            let skipped = packet
                .chunk
                .side
                .as_ref()
                .map_or(0, |side| side.discard_start.as_micros());
            let length = packet.chunk.duration.map_or(u128::MAX, u128::from);
            if !packet.presented || (skipped > 0 && skipped >= length) {
                continue;
            }
            let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
            let time = packet.chunk.timestamp.saturating_add(skipped);
            origin = Some(origin.map_or(time, |origin| origin.min(time)));
        }
    }
    Ok(origin.unwrap_or(0))
}

impl OpenInput {
    fn open(
        input: &Input,
        opened: &mut BTreeMap<PathBuf, Arc<Media>>,
        cancel: &Cancel,
    ) -> Result<Self, JobError> {
        let mut media = |path: &Path| -> Result<Arc<Media>, JobError> {
            if let Some(media) = opened.get(path) {
                return Ok(media.clone());
            }
            let media = Arc::new(Media::open(path)?);
            opened.insert(path.to_owned(), media.clone());
            Ok(media)
        };
        let mut parts = Vec::new();
        if let Some(path) = &input.path {
            parts.push(Part {
                media: media(path)?,
                from: input.from.unwrap_or_default().0,
                to: input.to.map(|to| to.0),
                offset: 0,
                length: None,
            });
        }
        let mut offset = 0i64;
        for part in &input.concat {
            let mut part = Part {
                media: media(&part.path)?,
                from: part.from.unwrap_or_default().0,
                to: part.to.map(|to| to.0),
                offset,
                length: None,
            };
            let length = part.find_length(cancel)?;
            if length == 0 {
                return Err(JobError::input(
                    &part.media.path,
                    format!("it has nothing from {} s on", part.from as f64 / 1e6),
                ));
            }
            part.length = Some(length);
            offset = offset.saturating_add(length);
            parts.push(part);
        }
        Ok(Self { parts })
    }

    /// The exact length in microseconds.
    pub(crate) fn length(&self, cancel: &Cancel) -> Result<i64, JobError> {
        let mut length = 0i64;
        for part in &self.parts {
            length = length.saturating_add(match part.length {
                Some(length) => length,
                None => part.find_length(cancel)?,
            });
        }
        Ok(length)
    }

    /// When that one track ends, in microseconds: the parts before the last are as long as their files in any case.
    pub(crate) fn track_length(
        &self,
        kind: SourceKind,
        number: usize,
        cancel: &Cancel,
    ) -> Result<i64, JobError> {
        match self.parts.last() {
            Some(last) => {
                let length = last.length_to(last.media.track_end(kind, number, cancel)?);
                Ok(last.offset.saturating_add(length))
            }
            None => Ok(0),
        }
    }

    /// The length in microseconds, as far as it is known without reading everything.
    pub(crate) fn said_length(&self) -> Option<i64> {
        let mut length = 0i64;
        for part in &self.parts {
            let said = match (part.length, part.to, part.media.said_length()) {
                (Some(length), ..) => length,
                (None, Some(to), Some(said)) => to.min(said) - part.from,
                (None, Some(to), None) => to - part.from,
                (None, None, Some(said)) => said - part.from,
                (None, None, None) => return None,
            };
            length = length.saturating_add(said.max(0));
        }
        Some(length)
    }
}

impl Part {
    fn find_length(&self, cancel: &Cancel) -> Result<i64, JobError> {
        Ok(self.length_to(self.media.end(cancel)?))
    }

    /// Its length, where what it takes from the media ends at `end`.
    fn length_to(&self, end: i64) -> i64 {
        let end = match (&self.media.content, self.to) {
            (Content::Image(_), Some(to)) => to,
            (_, to) => end.min(to.unwrap_or(i64::MAX)),
        };
        end.saturating_sub(self.from).max(0)
    }
}

impl Inputs {
    /// Opens all inputs of `job`.
    pub(crate) fn open(job: &Job, cancel: &Cancel) -> Result<Self, JobError> {
        let mut opened = BTreeMap::new();
        let mut inputs = BTreeMap::new();
        let Named(named) = &job.inputs;
        for (name, input) in named {
            let open = OpenInput::open(input, &mut opened, cancel)?;
            if let Some(part) = open
                .parts
                .iter()
                .rev()
                .skip(1)
                .find(|part| part.length == Some(FOREVER))
            {
                return Err(JobError::input(
                    &part.media.path,
                    "an image that others follow needs a `to`: it has no end of its own",
                ));
            }
            inputs.insert(name.clone(), open);
        }
        Ok(Self { inputs })
    }

    /// The file, where the job reads one alone.
    pub(crate) fn only(&self) -> Option<&dyn Demuxer> {
        let mut inputs = self.inputs.values();
        match (inputs.next()?.parts.as_slice(), inputs.next()) {
            ([part], None) => match &part.media.content {
                Content::Tracks(demuxer, _) => Some(&**demuxer),
                Content::Image(_) => None,
            },
            _ => None,
        }
    }

    /// The input of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&OpenInput, JobError> {
        self.inputs
            .get(name)
            .ok_or_else(|| JobError::spec("inputs", format!("no input has the name {name:?}")))
    }
}
