//! How long the tracks of a file are that does not say it: what browsers and other live writers record.

use super::frames::{FrameReader, micros};
use super::index::Index;
use super::segment::Segment;
use super::walk::Walker;
use crate::Limits;
use crate::window::{AHEAD, Window};

/// Bytes that are walked through for the last block of a track, at most.
const MAX_WALK: u64 = 64 << 20;

/// Fills in the end of each track that no tag tells, in microseconds, where the file says nothing and its last blocks
/// can be had: by its Cues, or where it is small enough to walk through. What is broken is said when it is read.
pub(crate) fn find(window: &mut Window, segment: &mut Segment, limits: &Limits, index: &mut Index) {
    let Some(len) = window.len().filter(|_| window.is_seekable()) else {
        return;
    };
    if segment.info.duration.is_some() {
        return;
    }
    for track in 0..segment.tracks.len() {
        let known = |track: &super::tracks::MatroskaTrack| track.public.duration.is_some();
        if segment.tracks.get(track).is_none_or(known) {
            continue;
        }
        let from = last_landmark(segment, limits, index, track).unwrap_or(segment.first_cluster);
        if len.saturating_sub(from) > MAX_WALK {
            continue;
        }
        let end = end(window, segment, limits, track, from);
        if let (Some(end), Some(track)) = (end, segment.tracks.get_mut(track)) {
            track.public.duration = u64::try_from(end).ok().filter(|&end| end > 0);
        }
    }
}

/// Where the last Cluster begins that Cues lead to.
fn last_landmark(
    segment: &Segment,
    limits: &Limits,
    index: &mut Index,
    track: usize,
) -> Option<u64> {
    segment.cues?;
    let marks = index.landmarks(segment, limits, track, 0).ok()?;
    marks.iter().map(|mark| mark.pos).max()
}

/// The latest end of the frames from the Cluster at `from` on.
fn end(
    window: &mut Window,
    segment: &Segment,
    limits: &Limits,
    index: usize,
    from: u64,
) -> Option<i64> {
    let track = segment.tracks.get(index)?;
    let reader = FrameReader {
        track,
        segment,
        limits,
    };
    let mut walker = Walker::new(from, segment.end);
    let (mut end, mut last, mut step): (Option<i128>, Option<i128>, i128) = (None, None, 0);
    while let Ok(Some(block)) = walker.next(window, track.number) {
        let Ok(frames) = reader.frames(window, &block, AHEAD, true) else {
            break;
        };
        for frame in frames {
            // Where nothing tells how long the last frame lasts: as long as the one before it.
            if let Some(last) = last.filter(|&last| last < frame.time) {
                step = frame.time - last;
            }
            last = Some(frame.time);
            let until = frame.time + frame.duration.unwrap_or(step) - frame.discard_end.max(0);
            end = Some(end.map_or(until, |end| end.max(until)));
        }
    }
    end.map(micros)
}
