//! Walks the blocks of a track through the Clusters: RFC 9559, sections 5.1.3 and 10.

use reelcore_media::demux::DemuxError;

use super::ebml::{Header, Next, invalid, vint};
use super::ids;
use super::lacing::Lacing;
use super::segment;
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// Bytes before the data of a block, at most: the number of its track, a time, flags.
const BLOCK_HEADER: usize = 11;

/// The largest BlockGroup that is read at once, so that what stands behind the data is read with them.
const WHOLE_GROUP: u64 = 1 << 20;

/// Bytes of other tracks after which it is better to read in small steps.
const SPARSE: u64 = 64 << 10;

/// Clusters beyond a time in a row, behind which no block at or before it is looked for. Writers that begin a Cluster with a
/// picture that is shown much later, and coded before what is shown first, put the next one before it.
const BEYOND: u32 = 8;

/// A place between blocks. Copying it marks the place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walker {
    pos: u64,
    /// Where the Segment ends, if it says so.
    segment_end: Option<u64>,
    cluster: Option<Cluster>,
    /// Bytes of other tracks that were passed over since the last block of this one.
    passed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cluster {
    end: Option<u64>,
    time: Option<u64>,
}

/// How far a first block is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// In ticks, from the first time on that is seen.
    ticks: i128,
    /// Byte offset.
    end: u64,
    first: Option<i128>,
}

impl Reach {
    pub(crate) fn new(ticks: i128, end: u64) -> Self {
        Self {
            ticks,
            end,
            first: None,
        }
    }

    /// Whether what follows the byte `at` and the time of `passed` is looked at.
    fn holds(&mut self, at: u64, passed: Passed) -> bool {
        let (Passed::Cluster(time) | Passed::Block(time)) = passed;
        let first = *self.first.get_or_insert(time);
        time.saturating_sub(first) <= self.ticks && at < self.end
    }
}

/// What is passed on the way to a block, with its time in ticks.
#[derive(Clone, Copy, Debug)]
enum Passed {
    Cluster(i128),
    /// Of another track.
    Block(i128),
}

/// A block of frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Byte offset of its element.
    pub(crate) start: u64,
    pub(crate) track: u64,
    /// In ticks.
    pub(crate) time: i128,
    pub(crate) key: bool,
    /// To be decoded and not to be shown.
    pub(crate) invisible: bool,
    pub(crate) lacing: Lacing,
    /// Byte offset of the frames, with their lacing header.
    pub(crate) data: u64,
    pub(crate) size: u64,
    /// In ticks.
    pub(crate) duration: Option<u64>,
    /// In nanoseconds; negative at the start, positive at the end.
    pub(crate) discard: i64,
    /// Byte offset and size of the addition with ID 1.
    pub(crate) addition: Option<(u64, u64)>,
}

impl Walker {
    /// Before the Cluster at `pos`.
    pub(crate) fn new(pos: u64, segment_end: Option<u64>) -> Self {
        Self {
            pos,
            segment_end,
            cluster: None,
            passed: 0,
        }
    }

    /// How many bytes a read for this track should take in.
    pub(crate) fn ahead(&self, window: &Window) -> usize {
        // A stream gives packets without a copy where they do not stand in the window.
        if self.passed > SPARSE || !window.is_seekable() {
            AHEAD_SPARSE
        } else {
            AHEAD
        }
    }

    /// The next block of the track with the number `track`; `None` at the end.
    pub(crate) fn next(
        &mut self,
        window: &mut Window,
        track: u64,
    ) -> Result<Option<Block>, DemuxError> {
        self.next_until(window, track, i128::MAX)
    }

    /// As [`Walker::next`]; `None` also behind [`BEYOND`] Clusters of which no block can be at or before the tick `last`.
    pub(crate) fn next_until(
        &mut self,
        window: &mut Window,
        track: u64,
        last: i128,
    ) -> Result<Option<Block>, DemuxError> {
        // A block in one of them ends what is looked for: they are counted here alone.
        let mut beyond = 0;
        self.next_while(window, track, |_, passed| {
            if let Passed::Cluster(time) = passed {
                // Times in blocks are relative, of 16 bits.
                beyond = match time + i128::from(i16::MIN) > last {
                    true => beyond + 1,
                    false => 0,
                };
            }
            beyond < BEYOND
        })
    }

    /// As [`Walker::next`]; `None` also where `reach` ends. The next look goes on with it.
    pub(crate) fn next_within(
        &mut self,
        window: &mut Window,
        track: u64,
        reach: &mut Reach,
    ) -> Result<Option<Block>, DemuxError> {
        self.next_while(window, track, |at, passed| reach.holds(at, passed))
    }

    /// As [`Walker::next`], as long as `goes_on` says so of what is passed, with the byte offset behind it.
    fn next_while(
        &mut self,
        window: &mut Window,
        track: u64,
        mut goes_on: impl FnMut(u64, Passed) -> bool,
    ) -> Result<Option<Block>, DemuxError> {
        loop {
            let at = self.pos;
            let Some(cluster) = self.cluster else {
                if !self.next_cluster(window)? {
                    return Ok(None);
                }
                continue;
            };
            if cluster.end.is_some_and(|end| at >= end) {
                self.cluster = None;
                continue;
            }
            let ahead = self.ahead(window);
            let header = match segment::header(window, at, ahead)? {
                Next::Element(header) => header,
                Next::End if cluster.end.is_none() && !window.ends_before(at)? => {
                    self.cluster = None;
                    continue;
                }
                Next::End | Next::Cut => return Err(ended(at, "a Cluster")),
            };
            if cluster.end.is_none() && ids::ends_cluster(header.id) {
                self.cluster = None;
                continue;
            }
            let size = header.known_size()?;
            let end = header.body.saturating_add(size);
            if let Some(limit) = cluster.end.filter(|&limit| end > limit) {
                return Err(invalid(
                    at,
                    format!(
                        "{} goes to byte {end}, past the end of its Cluster at byte {limit}",
                        header.describe()
                    ),
                ));
            }
            let block = match header.id {
                ids::TIMESTAMP => {
                    let time = uint(window, &header)?;
                    if !goes_on(end, Passed::Cluster(i128::from(time))) {
                        return Ok(None);
                    }
                    self.cluster = Some(Cluster {
                        time: Some(time),
                        ..cluster
                    });
                    None
                }
                ids::SIMPLE_BLOCK => Some(self.block(window, &header, size, ahead)?),
                ids::BLOCK_GROUP => self.group(window, &header, end, track)?,
                _ => None,
            };
            self.pos = end;
            match block {
                Some(block) if block.track == track => {
                    self.passed = 0;
                    return Ok(Some(block));
                }
                Some(other) if !goes_on(end, Passed::Block(other.time)) => return Ok(None),
                _ => self.passed = self.passed.saturating_add(end - at),
            }
        }
    }

    /// Goes into the next Cluster; false at the end of the Segment.
    fn next_cluster(&mut self, window: &mut Window) -> Result<bool, DemuxError> {
        loop {
            let at = self.pos;
            if self.segment_end.is_some_and(|end| at >= end) {
                // Where the source ends within an element, the Segment ends past it too.
                if window.ends_before(at)? {
                    return Err(ended(at, "the Segment"));
                }
                return Ok(false);
            }
            let header = match segment::header(window, at, AHEAD_SPARSE)? {
                Next::Element(header) => header,
                Next::End if self.segment_end.is_none() && !window.ends_before(at)? => {
                    return Ok(false);
                }
                Next::End | Next::Cut => return Err(ended(at, "the Segment")),
            };
            match header.id {
                ids::CLUSTER => {
                    self.pos = header.body;
                    self.cluster = Some(Cluster {
                        end: header.end(),
                        time: None,
                    });
                    return Ok(true);
                }
                // Another file follows.
                ids::EBML | ids::SEGMENT => return Ok(false),
                _ => self.pos = header.body.saturating_add(header.known_size()?),
            }
        }
    }

    /// Parses the start of a block.
    fn block(
        &self,
        window: &mut Window,
        header: &Header,
        size: u64,
        ahead: usize,
    ) -> Result<Block, DemuxError> {
        let most = usize::try_from(size).map_or(BLOCK_HEADER, |size| size.min(BLOCK_HEADER));
        let head = window.peek(header.body, most, ahead)?;
        if head.len() < most {
            return Err(ended(header.start, ids::name(header.id)));
        }
        let fields = vint(head).and_then(|(track, length, _)| {
            let &[high, low, flags] = head.get(length..)?.first_chunk()?;
            Some((track, length, i16::from_be_bytes([high, low]), flags))
        });
        let Some((track, length, time, flags)) =
            fields.filter(|(_, length, ..)| *length as u64 + 3 <= size)
        else {
            return Err(invalid(
                header.start,
                format!(
                    "{} of {size} bytes: expected a track number, a time and flags",
                    header.describe()
                ),
            ));
        };
        let Some(cluster) = self.cluster.and_then(|cluster| cluster.time) else {
            return Err(invalid(
                header.start,
                "expected the Timestamp of the Cluster before its first block",
            ));
        };
        let skip = length as u64 + 3;
        Ok(Block {
            start: header.start,
            track,
            time: i128::from(cluster) + i128::from(time),
            key: flags & 0x80 != 0,
            invisible: flags & 0x08 != 0,
            lacing: Lacing::from_flags(flags),
            data: header.body.saturating_add(skip),
            size: size - skip,
            duration: None,
            discard: 0,
            addition: None,
        })
    }

    /// Parses a BlockGroup; `None` where it holds no block. Of another track's no more is read than the start of the block.
    fn group(
        &self,
        window: &mut Window,
        group: &Header,
        end: u64,
        track: u64,
    ) -> Result<Option<Block>, DemuxError> {
        let ahead = self.ahead(window);
        let (mut block, mut duration, mut discard, mut addition) = (None, None, 0, None);
        let mut references = false;
        let mut at = group.body;
        while let Some(child) = child(window, at, end, group, ahead)? {
            let size = child.known_size()?;
            match child.id {
                ids::BLOCK if block.is_none() => {
                    let found = self.block(window, &child, size, ahead)?;
                    if found.track != track {
                        return Ok(Some(found));
                    }
                    block = Some(Block {
                        start: group.start,
                        ..found
                    });
                    if end - group.start <= WHOLE_GROUP {
                        window.peek(group.start, (end - group.start) as usize, ahead)?;
                    }
                }
                ids::BLOCK_DURATION => duration = Some(uint(window, &child)?),
                ids::REFERENCE_BLOCK => references = true,
                ids::DISCARD_PADDING => discard = int(window, &child)?,
                ids::BLOCK_ADDITIONS => addition = additions(window, &child, ahead)?,
                _ => {}
            }
            at = child.body.saturating_add(size);
        }
        Ok(block.map(|block| Block {
            key: !references,
            duration,
            discard,
            addition,
            ..block
        }))
    }
}

/// The child at `at` of an element that ends at `end`.
fn child(
    window: &mut Window,
    at: u64,
    end: u64,
    parent: &Header,
    ahead: usize,
) -> Result<Option<Header>, DemuxError> {
    if at >= end {
        return Ok(None);
    }
    let Next::Element(header) = segment::header(window, at, ahead)? else {
        return Err(ended(at, ids::name(parent.id)));
    };
    let reach = header.body.saturating_add(header.known_size()?);
    if reach > end {
        return Err(invalid(
            at,
            format!(
                "{} goes to byte {reach}, past the end of its {} at byte {end}",
                header.describe(),
                ids::name(parent.id)
            ),
        ));
    }
    Ok(Some(header))
}

/// The place of the BlockAdditional with BlockAddID 1.
fn additions(
    window: &mut Window,
    additions: &Header,
    ahead: usize,
) -> Result<Option<(u64, u64)>, DemuxError> {
    let end = additions.body.saturating_add(additions.known_size()?);
    let mut at = additions.body;
    while let Some(more) = child(window, at, end, additions, ahead)? {
        let more_end = more.body.saturating_add(more.known_size()?);
        if more.id == ids::BLOCK_MORE {
            let (mut id, mut found) = (1, None);
            let mut at = more.body;
            while let Some(field) = child(window, at, more_end, &more, ahead)? {
                let size = field.known_size()?;
                match field.id {
                    ids::BLOCK_ADD_ID if size > 0 => id = uint(window, &field)?,
                    ids::BLOCK_ADDITIONAL => found = Some((field.body, size)),
                    _ => {}
                }
                at = field.body.saturating_add(size);
            }
            if id == 1 && found.is_some() {
                return Ok(found);
            }
        }
        at = more_end;
    }
    Ok(None)
}

/// The value of an unsigned integer element.
pub(crate) fn uint(window: &mut Window, header: &Header) -> Result<u64, DemuxError> {
    let size = header.known_size()?;
    if size > 8 {
        return Err(invalid(
            header.start,
            format!(
                "{}: expected an integer, found {size} bytes",
                header.describe()
            ),
        ));
    }
    let size = size as usize;
    match window.peek(header.body, size, AHEAD_SPARSE)?.get(..size) {
        Some(bytes) => Ok(bytes
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))),
        None => Err(ended(header.start, ids::name(header.id))),
    }
}

fn int(window: &mut Window, header: &Header) -> Result<i64, DemuxError> {
    let value = uint(window, header)?;
    Ok(match header.size {
        Some(size @ 1..=8) => {
            let unused = 64 - 8 * size;
            (value << unused).cast_signed() >> unused
        }
        _ => 0,
    })
}

fn ended(at: u64, what: &str) -> DemuxError {
    invalid(at, format!("the source ends within {what}"))
}
