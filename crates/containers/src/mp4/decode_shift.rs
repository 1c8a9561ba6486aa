//! By how much decode times are moved back, so that no sample is decoded after it is presented.
//!
//! Tables of version 1 (`ctts`, `trun`), and QuickTime's, have offsets below 0 from the decode time to the composition time:
//! there, decode times only say in which order and at what pace samples are decoded. What is given out is moved back by one
//! number of ticks for the whole track, as `cslg` calls it compositionToDTSShift (ISO/IEC 14496-12, 8.6.1.4): the time line of
//! the presentation, and with it the edit list, stays what it is. Where all offsets are 0 or more, the number is 0.
//!
//! - Of sample tables it is known: the smallest offset they have.
//! - Of fragments it is the largest of what `cslg` says, in `trep` or in `stbl`, of what the first fragment of the track needs,
//!   and of what its first picture needs by the number of pictures that the parameter sets let be reordered. An edit list does
//!   not tell it: with such offsets the presentation begins at the first decode time.
//! - A fragment that needs more than that has its own number. Decode times then stay at the last that was given until those
//!   of the fragment have caught up. They go back only in a stream that says nothing of all this and reorders pictures from one
//!   fragment to the next.

use std::sync::OnceLock;

use reelcore_media::demux::TrackKind;

use super::fragment::Fragment;
use super::movie::Movie;
use super::parse::Reader;
use super::track::Mp4Track;
use crate::mux::reorder;

/// What is known of a track's fragments before they are read.
#[derive(Debug, Default)]
pub(crate) struct DecodeShift {
    /// As `cslg` says.
    said: i64,
    /// How many pictures are coded before another and shown after it, where the stream says so.
    reorder: Option<usize>,
    /// What the first fragment needs, once it was read.
    opening: OnceLock<i64>,
}

impl DecodeShift {
    /// Those of the tracks of pictures, by their numbers.
    pub(crate) fn of_tracks(movie: &Movie) -> Vec<(u32, Self)> {
        let pictures = |track: &&Mp4Track| matches!(track.public.kind, TrackKind::Video { .. });
        let of_track = |track: &Mp4Track| {
            let id = track.public.id;
            let said = movie.shifts.iter().filter(|(track, _)| *track == id);
            let entry = track.descriptions.own.as_ref();
            let codec = entry.and_then(|entry| entry.codec.as_ref());
            let shift = Self {
                // Some writers put what is said of fragments beside the empty tables.
                said: (said.map(|&(_, shift)| shift)).fold(track.table.said_shift, i64::max),
                reorder: codec
                    .and_then(|codec| reorder::depth(&codec.string, codec.description.as_deref()?)),
                opening: OnceLock::new(),
            };
            (id, shift)
        };
        movie.tracks.iter().filter(pictures).map(of_track).collect()
    }

    /// The first fragment of the track was read.
    pub(crate) fn open(&self, first: &Fragment) {
        self.opening
            .get_or_init(|| first.opening_shift(self.reorder));
    }

    /// Whether it was.
    pub(crate) fn is_open(&self) -> bool {
        self.opening.get().is_some()
    }

    /// The number of ticks, as far as it is known.
    pub(crate) fn ticks(&self) -> i64 {
        let opening = self.opening.get().copied();
        self.said.max(opening.unwrap_or(0))
    }
}

/// compositionToDTSShift of a `cslg` box, where it has one to move by. A box that cannot be read is as good as none.
pub(crate) fn parse_cslg(mut cslg: Reader) -> Option<i64> {
    let (version, _) = cslg.full_box().ok()?;
    let shift = match version {
        0 => i64::from(cslg.i32().ok()?),
        _ => cslg.i64().ok()?,
    };
    // The offsets themselves have 32 bits.
    (0..=-i64::from(i32::MIN)).contains(&shift).then_some(shift)
}

/// The number of the track of a `trep` box, and what its `cslg` box says (ISO/IEC 14496-12, 8.8.15).
pub(crate) fn parse_trep(mut trep: Reader) -> Option<(u32, i64)> {
    trep.full_box().ok()?;
    let track = trep.u32().ok()?;
    while let Some(child) = trep.child().ok()? {
        if &child.kind.0 == b"cslg" {
            return Some((track, parse_cslg(child.body)?));
        }
    }
    None
}
