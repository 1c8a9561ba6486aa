//! Where in the file which time is: the Cues, or the Clusters themselves.

use std::sync::Arc;

use reelcore_media::demux::DemuxError;

use super::ebml::{Element, Next};
use super::ids;
use super::segment::{self, Segment};
use super::tracks::MatroskaTrack;
use super::walk::uint;
use crate::Limits;
use crate::window::{AHEAD_SPARSE, Window};

/// Clusters that an index without Cues holds, at most. In longer files it grows coarser.
const MAX_CLUSTERS: usize = 1 << 16;

/// Elements of a Cluster among which its Timestamp is looked for. It should be the first, after a checksum.
const TIMESTAMP_AMONG: usize = 8;

/// A Cluster and a time in it: the Cluster's own, or that of a cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Landmark {
    /// In ticks.
    pub(crate) time: u64,
    pub(crate) pos: u64,
}

/// The index of a file, which grows as it is asked.
pub(crate) struct Index {
    window: Window,
    cues: Cues,
    clusters: Arc<Vec<Landmark>>,
    /// Where the look at the Clusters goes on; `None` at the end.
    next: Option<u64>,
    end: Option<u64>,
    /// One in so many Clusters is kept.
    stride: usize,
    seen: usize,
}

enum Cues {
    /// They stand at this byte offset.
    Unread(u64),
    /// Landmarks of each track, by its place among the tracks.
    Read(Vec<Arc<Vec<Landmark>>>),
    None,
}

impl Index {
    pub(crate) fn new(window: Window, segment: &Segment) -> Self {
        Self {
            window,
            cues: segment.cues.map_or(Cues::None, Cues::Unread),
            clusters: Arc::default(),
            next: Some(segment.first_cluster),
            end: segment.end,
            stride: 1,
            seen: 0,
        }
    }

    /// Landmarks of the track at `track`, in order of time and of place, up to at least the tick `time`.
    pub(crate) fn landmarks(
        &mut self,
        segment: &Segment,
        limits: &Limits,
        track: usize,
        time: i128,
    ) -> Result<Arc<Vec<Landmark>>, DemuxError> {
        if let Cues::Unread(at) = self.cues {
            self.cues = match read_cues(&mut self.window, at, segment, limits) {
                Ok(cues) => cues,
                // The clusters can be had without.
                Err(DemuxError::Invalid { .. } | DemuxError::Limit(_)) => Cues::None,
                Err(error) => return Err(error),
            };
        }
        if let Cues::Read(tracks) = &self.cues {
            // Cues of another track lead to the Clusters all the same.
            let own = tracks.get(track).filter(|own| !own.is_empty());
            if let Some(best) = own.or_else(|| tracks.iter().max_by_key(|marks| marks.len())) {
                return Ok(Arc::clone(best));
            }
        }
        self.look(time)?;
        Ok(Arc::clone(&self.clusters))
    }

    /// Says that Cues lead to what is no Cluster. Returns whether there is anything else to go by.
    pub(crate) fn distrust_cues(&mut self) -> bool {
        !matches!(std::mem::replace(&mut self.cues, Cues::None), Cues::None)
    }

    /// Looks at the Clusters up to the first after the tick `time`.
    fn look(&mut self, time: i128) -> Result<(), DemuxError> {
        while let Some(at) = self.next {
            if self
                .clusters
                .last()
                .is_some_and(|last| i128::from(last.time) > time)
            {
                break;
            }
            // What is broken further on is found when it is read.
            self.next = match self.step(at) {
                Ok(next) => next,
                Err(DemuxError::Invalid { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Looks at the element at `at`; returns where the next one is.
    fn step(&mut self, at: u64) -> Result<Option<u64>, DemuxError> {
        if self.end.is_some_and(|end| at >= end) {
            return Ok(None);
        }
        let Next::Element(header) = segment::header(&mut self.window, at, AHEAD_SPARSE)? else {
            return Ok(None);
        };
        match header.id {
            ids::EBML | ids::SEGMENT => return Ok(None),
            ids::CLUSTER => {}
            _ => return Ok(header.end()),
        }
        let end = header.end();
        let mut inner = header.body;
        let mut time = None;
        let mut children = 0;
        while end.is_none_or(|end| inner < end) && (time.is_none() || end.is_none()) {
            let Next::Element(child) = segment::header(&mut self.window, inner, AHEAD_SPARSE)?
            else {
                break;
            };
            if end.is_none() && ids::ends_cluster(child.id) {
                break;
            }
            if child.id == ids::TIMESTAMP && time.is_none() {
                time = Some(uint(&mut self.window, &child)?);
            }
            children += 1;
            if time.is_none() && children >= TIMESTAMP_AMONG {
                return Ok(None);
            }
            inner = child.body.saturating_add(child.known_size()?);
        }
        if let Some(time) = time {
            self.add(Landmark { time, pos: at });
        }
        Ok(Some(end.unwrap_or(inner)))
    }

    fn add(&mut self, mark: Landmark) {
        let clusters = Arc::make_mut(&mut self.clusters);
        // Times that go back cannot be searched.
        let ordered = clusters.last().is_none_or(|last| mark.time >= last.time);
        if ordered && self.seen.is_multiple_of(self.stride) {
            if clusters.len() >= MAX_CLUSTERS {
                let mut keep = false;
                clusters.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            clusters.push(mark);
        }
        self.seen += 1;
    }
}

fn read_cues(
    window: &mut Window,
    at: u64,
    segment: &Segment,
    limits: &Limits,
) -> Result<Cues, DemuxError> {
    let Next::Element(header) = segment::header(window, at, AHEAD_SPARSE)? else {
        return Ok(Cues::None);
    };
    if header.id != ids::CUES {
        return Ok(Cues::None);
    }
    let mut tracks = vec![Vec::new(); segment.tracks.len()];
    let cues = segment::read(window, &header, limits)?;
    let mut children = cues.children();
    while let Some(child) = children.next()? {
        if child.id == ids::CUE_POINT {
            cue_point(&child, segment.start, &segment.tracks, &mut tracks)?;
        }
    }
    for marks in &mut tracks {
        marks.sort_by_key(|mark| (mark.time, mark.pos));
        // Times and places must both ascend, or the search in them means nothing.
        let mut reach = None;
        marks.retain(|mark| {
            let ascends = reach.is_none_or(|reach| mark.pos > reach);
            if ascends {
                reach = Some(mark.pos);
            }
            ascends
        });
        marks.shrink_to_fit();
    }
    if tracks.iter().all(Vec::is_empty) {
        return Ok(Cues::None);
    }
    Ok(Cues::Read(tracks.into_iter().map(Arc::new).collect()))
}

fn cue_point(
    point: &Element,
    start: u64,
    tracks: &[MatroskaTrack],
    marks: &mut [Vec<Landmark>],
) -> Result<(), DemuxError> {
    let mut time = None;
    let mut children = point.children();
    while let Some(child) = children.next()? {
        match (child.id, time) {
            (ids::CUE_TIME, _) => time = Some(child.uint()?),
            (ids::CUE_TRACK_POSITIONS, Some(time)) => {
                let (mut number, mut position) = (0, None);
                let mut fields = child.children();
                while let Some(field) = fields.next()? {
                    match field.id {
                        ids::CUE_TRACK => number = field.uint()?,
                        ids::CUE_CLUSTER_POSITION => position = start.checked_add(field.uint()?),
                        _ => {}
                    }
                }
                let track = tracks.iter().position(|track| track.number == number);
                let marks = track.and_then(|track| marks.get_mut(track));
                if let (Some(marks), Some(pos)) = (marks, position)
                    // Several cues in one Cluster lead to the same place.
                    && marks.last().is_none_or(|last| last.pos != pos || last.time > time)
                {
                    marks.push(Landmark { time, pos });
                }
            }
            _ => {}
        }
    }
    Ok(())
}
