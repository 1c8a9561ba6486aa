//! MP4: the ISO base media file format (ISO/IEC 14496-12) and QuickTime, progressive and fragmented.

mod aspect;
mod budget;
pub(crate) mod codec;
mod cursor;
mod decode_shift;
mod edits;
mod file;
mod fragment;
mod frames;
mod gapless;
mod language;
mod movie;
pub(crate) mod mux;
mod orientation;
mod packets;
pub(crate) mod parse;
mod protection;
mod sample;
mod sample_entry;
mod stream_aspect;
mod table;
mod tags;
mod track;

use std::sync::Arc;

use reelcore_media::demux::{DemuxError, Demuxer, PacketReader, Source, Track};

use self::budget::Budget;
use self::decode_shift::DecodeShift;
use self::file::File;
use self::fragment::Fragments;
use self::movie::Movie;
use self::packets::Mp4PacketReader;
use self::parse::{BoxHeader, invalid};
use crate::Limits;

pub use self::mux::{FragmentIndex, Mp4Muxer};

/// Boxes before `moov`, at most: real files have a handful, or two for each fragment of a damaged one.
const MAX_TOP_BOXES: u32 = 1 << 20;

/// Whether the first bytes of a source (64 of them, or all there are) can be MP4.
pub fn probe(head: &[u8]) -> bool {
    // The size of the box does not matter: opening says what is wrong with it.
    matches!(
        BoxHeader::parse(head, 0, u64::MAX),
        Ok(header) if is_top_box(&header.kind.0)
    ) || matches!(head.get(4..8), Some(b"ftyp" | b"moov"))
}

fn is_top_box(kind: &[u8; 4]) -> bool {
    matches!(
        kind,
        b"ftyp"
            | b"styp"
            | b"moov"
            | b"moof"
            | b"mdat"
            | b"sidx"
            | b"free"
            | b"skip"
            | b"wide"
            | b"pdin"
            | b"pnot"
            | b"uuid"
    )
}

/// An opened MP4 file.
#[derive(Debug)]
pub struct Mp4Demuxer {
    file: File,
    movie: Movie,
    fragments: Option<Arc<Fragments>>,
    tracks: Vec<Track>,
    duration: Option<u64>,
}

impl Mp4Demuxer {
    /// Opens an MP4 file: reads its `moov` box, and of fragments only an index.
    ///
    /// # Errors
    /// [`DemuxError::Invalid`] with the byte offset of what is not MP4, [`DemuxError::Unsupported`] and
    /// [`DemuxError::Limit`] for what this demuxer does not read.
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, DemuxError> {
        let file = File::open(source, limits)?;
        let mut at = 0;
        let mut boxes = 0;
        let moov = loop {
            let Some(top) = file.top_box(at)? else {
                return Err(invalid(
                    at.min(file.len),
                    "expected a moov box, found none up to the end of the source",
                ));
            };
            if &top.kind.0 == b"moov" {
                break top;
            }
            at = top.end;
            boxes += 1;
            if boxes > MAX_TOP_BOXES {
                return Err(DemuxError::Limit(format!(
                    "more than {MAX_TOP_BOXES} boxes before moov"
                )));
            }
        };
        let mut movie = movie::parse(file.read_body(&moov)?, &file, moov.end)?;
        // What looking into the fragments for all tracks may cost.
        let mut budget = Budget::new(file.len);
        let mut fragments = None;
        if let Some(defaults) = movie.fragments.take() {
            let tracks: Vec<_> = movie
                .tracks
                .iter()
                .map(|track| (track.public.id, track.media_scale))
                .collect();
            let protections = movie
                .tracks
                .iter()
                .filter_map(|track| Some((track.public.id, track.protection.clone()?)))
                .collect();
            let shifts = DecodeShift::of_tracks(&movie);
            let places = moov.end..movie.first_fragment;
            let opened = Fragments::open(&file, defaults, places, &tracks, protections, shifts)?;
            let opened = Arc::new(opened);
            for (index, track) in movie.tracks.iter_mut().enumerate() {
                if track.public.duration.is_none() {
                    let tables = track.table.duration();
                    let end = opened.end_time(index, track.public.id, tables, &mut budget);
                    let end = end.filter(|&end| end > 0);
                    track.public.duration = end
                        .and_then(|end| track.timeline.end_micros(end))
                        .or_else(|| opened.end_by_index(track.public.id));
                }
            }
            fragments = Some(opened);
        }
        for (index, track) in movie.tracks.iter_mut().enumerate() {
            track.look_into_first_frame(&file, index, fragments.as_ref(), moov.end, &mut budget);
        }
        let micros = |ticks: u64| {
            let micros = u128::from(ticks) * 1_000_000 / u128::from(movie.header.scale);
            u64::try_from(micros).ok()
        };
        let longest = movie
            .tracks
            .iter()
            .filter_map(|track| track.public.duration)
            .max();
        // Where the tables have samples, the movie's header counts those alone, not what fragments add.
        let grows = fragments.is_some() && movie.tracks.iter().any(|t| t.table.samples() > 0);
        let header = Some(movie.header.duration).filter(|_| !grows);
        let whole = movie.fragment_duration.or(header);
        let duration = longest.or_else(|| whole.filter(|&ticks| ticks > 0).and_then(micros));
        Ok(Self {
            tracks: movie
                .tracks
                .iter()
                .map(|track| track.public.clone())
                .collect(),
            file,
            movie,
            fragments,
            duration,
        })
    }
}

impl Demuxer for Mp4Demuxer {
    fn container(&self) -> &'static str {
        "mp4"
    }

    fn duration(&self) -> Option<u64> {
        self.duration
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn tags(&self) -> &[(String, String)] {
        &self.movie.tags
    }

    fn format(&self, index: usize) -> Option<&str> {
        self.movie.tracks.get(index)?.format.as_deref()
    }

    fn reader(self: Arc<Self>, index: usize) -> Result<Box<dyn PacketReader>, DemuxError> {
        Ok(Box::new(Mp4PacketReader::new(self, index)?))
    }
}
