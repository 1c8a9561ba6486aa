//! From packets to pictures and sound on the job's time line, cut where the parts of an input say.

mod alpha;
mod backend;
mod pictures;
mod sounds;

use reelcore_media::MediaError;
use reelcore_media::demux::{DemuxError, PacketReader, Track};

pub(crate) use pictures::{Cut, pictures};
pub(crate) use sounds::sounds;

use crate::error::{self, JobError};
use crate::job::SourceKind;
use crate::source::{self, Content, Media, Part};

/// Decoders settle on the sound before the place that was asked for, in microseconds: Opus takes 80 ms, MP3 up to ten
/// packets.
const PREROLL: i64 = 300_000;

/// The codec string of a track in clear.
pub(crate) fn codec_of(track: &Track) -> Result<String, MediaError> {
    match (&track.codec, &track.encryption) {
        (_, Some(_)) => Err(MediaError::unsupported("the track is encrypted")),
        (Some(codec), None) => Ok(codec.clone()),
        (None, None) => Err(MediaError::unsupported("the track's codec is unknown")),
    }
}

/// Refuses a track of a codec that has no codec string, by the container's name for it.
pub(crate) fn has_codec(media: &Media, index: usize, track: &Track) -> Result<(), JobError> {
    let Content::Tracks(demuxer, _) = &media.content else {
        return Ok(());
    };
    match demuxer.format(index) {
        Some(format) if track.codec.is_none() && track.encryption.is_none() => {
            Err(JobError::input(
                &media.path,
                format!(
                    "its track {} is {format}, which no decoder here is for",
                    track.id
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// The track, a reader of it that stands where decoding begins for `from`, and the time of the key packet there, in the container's
/// own time, where it is not the start.
type At<'a> = (&'a Track, Box<dyn PacketReader>, Option<i64>);

fn reader(media: &Media, kind: SourceKind, number: usize, from: i64) -> Result<At<'_>, JobError> {
    let missing = || {
        let what = kind.as_str();
        JobError::input(
            &media.path,
            format!("it has no {what} track of number {number}"),
        )
    };
    let Content::Tracks(demuxer, origin) = &media.content else {
        return Err(missing());
    };
    let (index, track) = media.track(kind, number).ok_or_else(missing)?;
    has_codec(media, index, track)?;
    let failed = |error| error::demux(&media.path, &error);
    let early = match kind {
        SourceKind::Audio => PREROLL.min(from),
        SourceKind::Video => 0,
    };
    let time = from - early;
    if time > 0 {
        let time = time.saturating_add(*origin);
        let (reader, place) = source::reader_from(demuxer, index, time, early).map_err(failed)?;
        return Ok((track, reader, place));
    }
    let reader = source::reader(demuxer, index).map_err(failed)?;
    Ok((track, reader, None))
}

/// Moves `reader` from the key packet at `place` to the one before, and gives its time; `None` where there is none.
fn before(reader: &mut dyn PacketReader, place: i64) -> Result<Option<i64>, DemuxError> {
    let found = reader.seek(place.saturating_sub(1))?;
    Ok(found.filter(|&found| found < place))
}

fn missing(part: &Part, kind: SourceKind, number: usize) -> JobError {
    JobError::input(
        &part.media.path,
        format!("it has no {} track of number {number}", kind.as_str()),
    )
}
