//! Where frames begin and end. A frame does not tell its size: it ends where its checksum is right and another begins.

use reelcore_media::demux::DemuxError;

use super::header::{self, Header, MAX_HEADER, StreamInfo};
use super::subframes;
use crate::audio::crc;
use crate::audio::file::{Frame, Framing, Position};
use crate::audio::invalid;
use crate::window::{AHEAD, Window};

/// Seek points that are kept, at most.
pub(crate) const MAX_POINTS: usize = 1 << 16;

/// A stretch that is walked rather than halved again.
const WALK: u64 = 64 << 10;

/// Bytes that are looked at for nothing while a place is located, at least: forged headers are not followed without end,
/// and damage up to this size hides nothing behind it.
const MIN_VAIN: u64 = 16 << 20;

/// The frames of a stream.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) info: StreamInfo,
    pub(crate) start: Position,
    /// Where the tags at the end begin, where the source can be read anywhere.
    pub(crate) end: Option<u64>,
    /// From the seek table, in order.
    pub(crate) points: Vec<Position>,
    pub(crate) max_frame: usize,
}

/// Something else than a frame that a file may end with.
fn is_tail(bytes: &[u8]) -> bool {
    bytes.starts_with(b"TAG") || bytes.starts_with(b"APETAGEX") || bytes.starts_with(b"ID3")
}

/// Where a frame's sync code, or with `tails` a tag, may begin: the first byte at least is right. Most bytes of a file
/// pass here, so 32 are looked at together.
fn find_start(bytes: &[u8], tails: bool) -> Option<usize> {
    let is_start = |&byte: &u8| byte == 0xff || (tails && matches!(byte, b'T' | b'A' | b'I'));
    let (groups, _) = bytes.as_chunks::<32>();
    let without = |group: &[u8; 32]| !group.iter().fold(false, |any, byte| any | is_start(byte));
    let passed = 32 * groups.iter().take_while(|group| without(group)).count();
    let rest = bytes.get(passed..)?;
    rest.iter().position(is_start).map(|found| passed + found)
}

impl Frames {
    /// The next `need` bytes at `at` or what there is, up to the end.
    fn peek<'a>(
        &self,
        window: &'a mut Window,
        at: u64,
        need: usize,
        ahead: usize,
    ) -> Result<&'a [u8], DemuxError> {
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(at));
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let bytes = window.peek(at, need.min(left), ahead)?;
        Ok(bytes.get(..bytes.len().min(left)).unwrap_or_default())
    }

    /// The size of the frame at `at`, whose header is known to be good; `None` where no end is found.
    fn size(
        &self,
        window: &mut Window,
        at: u64,
        ahead: usize,
    ) -> Result<Option<usize>, DemuxError> {
        // Tags are not looked for before the end, where that is known.
        let tails = self.end.is_none();
        match self.size_before(window, at, ahead, tails)? {
            None if !tails => self.size_before(window, at, ahead, true),
            size => Ok(size),
        }
    }

    /// Where the samples end, as STREAMINFO counts them.
    fn total(&self) -> Option<u64> {
        let samples = self.info.samples?;
        Some(self.start.sample.saturating_add(samples))
    }

    /// As [`Frames::size`], of the frame with the last samples: it is followed by what its content says, and not by another.
    fn last_size(
        &self,
        window: &mut Window,
        at: u64,
        header: &Header,
        ahead: usize,
    ) -> Result<Option<usize>, DemuxError> {
        let end = header.sample.saturating_add(u64::from(header.samples));
        if self.total().is_none_or(|total| end < total) {
            return Ok(None);
        }
        let bytes = self.peek(window, at, self.max_frame, ahead)?;
        Ok(subframes::frame_size(bytes, &self.info, header.samples))
    }

    /// As [`Frames::size`]; with `tails` the frame may also end before a tag.
    fn size_before(
        &self,
        window: &mut Window,
        at: u64,
        ahead: usize,
        tails: bool,
    ) -> Result<Option<usize>, DemuxError> {
        let (mut seen, mut summed, mut sum) = (5, 0, 0);
        let mut need = MAX_HEADER + 1;
        loop {
            let bytes = self.peek(window, at, need, ahead)?;
            let ended = bytes.len() < need;
            let bytes = bytes
                .get(..bytes.len().min(self.max_frame + MAX_HEADER))
                .unwrap_or_default();
            // A header may be cut off by what is at hand.
            let safe = if ended {
                bytes.len()
            } else {
                bytes.len() - MAX_HEADER
            };
            while let Some(rest) = bytes.get(seen..safe) {
                let Some(found) = find_start(rest, tails) else {
                    seen = safe;
                    break;
                };
                let place = seen + found;
                let next = bytes.get(place..).unwrap_or_default();
                if header::parse(next, &self.info).is_some() || is_tail(next) {
                    sum = crc::flac16(sum, bytes.get(summed..place).unwrap_or_default());
                    summed = place;
                    if sum == 0 {
                        return Ok(Some(place));
                    }
                }
                seen = place + 1;
            }
            if ended {
                sum = crc::flac16(sum, bytes.get(summed..).unwrap_or_default());
                return Ok((sum == 0).then_some(bytes.len()));
            }
            if bytes.len() >= self.max_frame + MAX_HEADER {
                return Ok(None);
            }
            // A stream gives what has arrived; of long frames, reads in steps that grow.
            need = bytes.len()
                + 1
                + if bytes.len() < AHEAD {
                    0
                } else {
                    bytes.len() / 2
                };
        }
    }

    /// The first whole frame that begins in `from..to`. What is looked at for nothing is taken from `vain`; none is found
    /// once that is used up.
    fn first_in(
        &self,
        window: &mut Window,
        from: u64,
        to: u64,
        vain: &mut u64,
    ) -> Result<Option<Frame>, DemuxError> {
        let longest = (self.max_frame + MAX_HEADER) as u64;
        let mut at = from;
        while at < to && at - from < *vain {
            let bytes = self.peek(window, at, 2 * MAX_HEADER, AHEAD)?;
            // A header may be cut off by what is at hand.
            let safe = match bytes.len() {
                len @ 0..=MAX_HEADER => len,
                len => len - MAX_HEADER,
            };
            let safe = safe.min(usize::try_from(to - at).unwrap_or(usize::MAX));
            if safe == 0 {
                break;
            }
            let starts = |place: &usize| {
                let rest = bytes.get(*place..).unwrap_or_default();
                rest.first() == Some(&0xff) && header::parse(rest, &self.info).is_some()
            };
            let Some(place) = (0..safe).find(starts) else {
                at += safe as u64;
                continue;
            };
            let header = header::parse(bytes.get(place..).unwrap_or_default(), &self.info);
            at += place as u64;
            // The one before tags is not what is halved by.
            let tails = self.end.is_none();
            if let Some(header) = header
                && let Some(size) = self.size_before(window, at, AHEAD, tails)?
            {
                return Ok(Some(Frame {
                    at,
                    size,
                    sample: header.sample,
                    samples: header.samples,
                    setup: 0,
                }));
            }
            let left = self.end.map_or(longest, |end| end.saturating_sub(at));
            *vain = vain.saturating_sub(longest.min(left));
            at += 1;
        }
        *vain = vain.saturating_sub(at - from);
        Ok(None)
    }
}

impl Framing for Frames {
    fn start(&self) -> Position {
        self.start
    }

    fn frame(
        &self,
        window: &mut Window,
        from: Position,
        ahead: usize,
    ) -> Result<Option<Frame>, DemuxError> {
        let head = self.peek(window, from.at, MAX_HEADER, ahead)?;
        if head.is_empty() || is_tail(head) {
            return Ok(None);
        }
        let Some(header) = header::parse(head, &self.info) else {
            // After the last samples: padding, or whatever was put there.
            if self.total().is_some_and(|total| from.sample >= total) {
                return Ok(None);
            }
            return Err(invalid(
                from.at,
                "expected the header of a FLAC frame with its CRC-8, found other bytes",
            ));
        };
        let size = match self.last_size(window, from.at, &header, ahead)? {
            None => self.size(window, from.at, ahead)?,
            size => size,
        };
        let Some(size) = size else {
            return Err(invalid(
                from.at,
                "expected a FLAC frame with its CRC-16, found one that is cut off or damaged",
            ));
        };
        Ok(Some(Frame {
            at: from.at,
            size,
            sample: header.sample,
            samples: header.samples,
            setup: 0,
        }))
    }

    /// The seek table and then halving, by the numbers in frame headers.
    fn locate(&self, window: &mut Window, sample: u64) -> Result<Option<Position>, DemuxError> {
        let Some(end) = self.end.or(window.len()) else {
            return Ok(None);
        };
        let after = self.points.partition_point(|point| point.sample <= sample);
        let (mut low, mut high) = (self.start, end);
        // A table may lie: a point counts where a frame of its sample begins there.
        let point = after.checked_sub(1).and_then(|at| self.points.get(at));
        if let Some(point) = point.filter(|point| point.at > low.at) {
            let head = self.peek(window, point.at, MAX_HEADER, AHEAD)?;
            if header::parse(head, &self.info).is_some_and(|header| header.sample == point.sample) {
                low = *point;
                if let Some(next) = self.points.get(after).filter(|next| next.at > low.at) {
                    let head = self.peek(window, next.at, MAX_HEADER, AHEAD)?;
                    if header::parse(head, &self.info)
                        .is_some_and(|header| header.sample == next.sample)
                    {
                        high = next.at;
                    }
                }
            }
        }
        // What is left to be looked at when this is used up is walked by those who asked, frame by frame.
        let mut vain = MIN_VAIN.max(4 * self.max_frame as u64);
        while high.saturating_sub(low.at) > WALK {
            let middle = low.at + (high - low.at) / 2;
            match self.first_in(window, middle, high, &mut vain)? {
                Some(frame) if frame.sample <= sample && frame.sample >= low.sample => {
                    low = frame.position()
                }
                _ => high = middle,
            }
        }
        Ok(Some(low))
    }
}
