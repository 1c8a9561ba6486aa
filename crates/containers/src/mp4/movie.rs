//! `moov`: the movie's header, its tracks and the defaults of its fragments.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use super::decode_shift;
use super::file::File;
use super::fragment::ahead::{self, Ahead};
use super::gapless::{self, Gapless};
use super::orientation::Matrix;
use super::parse::Reader;
use super::tags;
use super::track::{self, Mp4Track};
use crate::Limits;

/// What `mvhd` says.
#[derive(Clone, Debug)]
pub(crate) struct MovieHeader {
    /// Ticks a second.
    pub(crate) scale: u32,
    pub(crate) duration: u64,
    pub(crate) matrix: Matrix,
}

/// What `trex` says: defaults for the samples of a track's fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FragmentDefaults {
    pub(crate) track: u32,
    pub(crate) description: u32,
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

/// A parsed `moov` box.
#[derive(Debug)]
pub(crate) struct Movie {
    pub(crate) header: MovieHeader,
    pub(crate) tracks: Vec<Mp4Track>,
    /// One for each track that fragments may extend; `None` in a progressive file.
    pub(crate) fragments: Option<Vec<FragmentDefaults>>,
    /// Where the first fragment stands, or in a stream where to look for it.
    pub(crate) first_fragment: u64,
    /// By how much the decode times of fragments are moved back, where `cslg` in `trep` says it, by the number of the track.
    pub(crate) shifts: Vec<(u32, i64)>,
    /// Tags, in the order of the file.
    pub(crate) tags: Vec<(String, String)>,
    /// Duration with all fragments in ticks of the movie, where `mehd` gives it.
    pub(crate) fragment_duration: Option<u64>,
}

/// Parses a `moov` box, which ends at `end` in `file`.
pub(crate) fn parse(moov: Reader, file: &File, end: u64) -> Result<Movie, DemuxError> {
    let limits = &file.limits;
    let mut header = None;
    let mut fragments = None;
    let mut shifts = Vec::new();
    let mut fragment_duration = None;
    let mut pssh: Vec<Bytes> = Vec::new();
    let mut tags = Vec::new();
    let mut children = moov.clone();
    while let Some(child) = children.child()? {
        match &child.kind.0 {
            b"mvhd" => header = Some(movie_header(child.body)?),
            b"mvex" => {
                let mut mvex = child.body;
                let mut defaults = Vec::new();
                while let Some(mut child) = mvex.child()? {
                    match &child.kind.0 {
                        b"mehd" => {
                            let (version, _) = child.body.full_box()?;
                            let duration = child.body.u32_or_u64(version)?;
                            fragment_duration = Some(duration).filter(|&d| d > 0);
                        }
                        b"trex" => {
                            if defaults.len() >= limits.max_tracks {
                                return Err(too_many(limits));
                            }
                            child.body.full_box()?;
                            defaults.push(FragmentDefaults {
                                track: child.body.u32()?,
                                description: child.body.u32()?,
                                duration: child.body.u32()?,
                                size: child.body.u32()?,
                                flags: child.body.u32()?,
                            });
                        }
                        b"trep" if shifts.len() < limits.max_tracks => {
                            shifts.extend(decode_shift::parse_trep(child.body));
                        }
                        _ => {}
                    }
                }
                fragments = Some(defaults);
            }
            b"pssh" => pssh.push(moov.between(child.start, child.body.end())),
            b"udta" | b"meta" => tags::read(&child, &mut tags),
            b"cmov" => {
                return Err(DemuxError::Unsupported(
                    "a compressed movie header (cmov)".to_owned(),
                ));
            }
            _ => {}
        }
    }
    let header = header.ok_or_else(|| moov.error("expected a mvhd box, found none"))?;
    // Some writers announce fragments in files that end up with none: the tables say all of those.
    let first = fragments.as_ref().and_then(|_| ahead::first(file, end));
    let fragments = fragments.filter(|_| first.is_some());
    let first_fragment = first.unwrap_or(end);
    let defaults = fragments.as_deref();
    let mut ahead = defaults.map(|defaults| Ahead::new(file, first_fragment, defaults));
    // One list, whatever the number of tracks.
    let pssh: Arc<[Bytes]> = pssh.into();
    let mut tracks = Vec::new();
    let mut children = moov;
    while let Some(child) = children.child()? {
        if &child.kind.0 == b"trak" {
            if tracks.len() >= limits.max_tracks {
                return Err(too_many(limits));
            }
            let mut track = track::parse(child.body, &header, ahead.as_mut())?;
            if let Some(encryption) = &mut track.public.encryption {
                encryption.pssh = Arc::clone(&pssh);
            }
            track.pssh = Arc::clone(&pssh);
            tracks.push(track);
        }
    }
    let gapless = tags.iter().find(|(name, _)| name == gapless::NAME);
    let gapless = gapless.and_then(|(_, text)| Gapless::parse(text));
    // It is the file's: with several tracks of sound it would not be known whose.
    let mut sound = tracks.iter_mut().filter(|track| track.is_audio);
    if let (Some(gapless), None) = (gapless, &fragments)
        && let (Some(track), None) = (sound.next(), sound.next())
    {
        track.trim(gapless);
    }
    Ok(Movie {
        header,
        tracks,
        tags,
        fragments,
        first_fragment,
        shifts,
        fragment_duration,
    })
}

fn too_many(limits: &Limits) -> DemuxError {
    DemuxError::Limit(format!("more than {} tracks", limits.max_tracks))
}

fn movie_header(mut reader: Reader) -> Result<MovieHeader, DemuxError> {
    let (version, _) = reader.full_box()?;
    reader.skip(if version == 0 { 8 } else { 16 })?;
    let scale = reader.u32()?;
    if scale == 0 {
        return Err(reader.error("expected a time scale above 0, found 0"));
    }
    let duration = match (version, reader.u32_or_u64(version)?) {
        (0, 0xffff_ffff) | (_, u64::MAX) => 0,
        (_, duration) => duration,
    };
    reader.skip(16)?;
    Ok(MovieHeader {
        scale,
        duration,
        matrix: Matrix::parse(&mut reader)?,
    })
}
