//! Frames that each tell their size, one behind the other: MPEG audio and ADTS. Between them may stand what is none, and
//! after them tags.

use std::collections::VecDeque;

use reelcore_media::demux::DemuxError;

use super::file::{Frame, Framing, Position};
use super::{id3, invalid};
use crate::window::{AHEAD_SPARSE, Window};

/// Bytes that are passed over in search of a frame, at most.
const MAX_LOST: u64 = 1 << 20;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the frame with its header.
    pub(crate) size: usize,
    pub(crate) samples: u32,
}

/// A format of frames that tell their size.
pub(crate) trait Syntax: Send + Sync {
    /// Bytes of a header, at most.
    const HEADER: usize;

    /// What this is, for errors.
    const NAME: &'static str;

    /// Reads the header at the start of `bytes`; `None` where it is none, or of another stream.
    fn head(&self, bytes: &[u8]) -> Option<Head>;

    /// As [`Framing::max_lead`].
    fn max_lead(&self) -> u64;

    /// As [`Framing::lead`].
    fn lead(
        &self,
        window: &mut Window,
        before: &VecDeque<Frame>,
        frame: &Frame,
    ) -> Result<usize, DemuxError>;
}

/// The frames of a source.
#[derive(Debug)]
pub(crate) struct Walk<S> {
    pub(crate) syntax: S,
    pub(crate) start: Position,
    /// Where the frames end, where that is known.
    pub(crate) end: Option<u64>,
}

impl<S: Syntax> Walk<S> {
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

    fn head_at(
        &self,
        window: &mut Window,
        at: u64,
        ahead: usize,
    ) -> Result<Option<Head>, DemuxError> {
        Ok(self.syntax.head(self.peek(window, at, S::HEADER, ahead)?))
    }

    /// Whether what follows a frame that was found in disorder, at `at`, speaks for it: another frame, or the end.
    fn confirmed(&self, window: &mut Window, at: u64, ahead: usize) -> Result<bool, DemuxError> {
        let bytes = self.peek(window, at, S::HEADER, ahead)?;
        Ok(bytes.is_empty() || is_tag(bytes) || self.syntax.head(bytes).is_some())
    }

    /// The next frame behind bytes that are none: its place; `None` where there is no more.
    fn search(
        &self,
        window: &mut Window,
        from: u64,
        ahead: usize,
    ) -> Result<Option<(u64, Head)>, DemuxError> {
        let mut at = from;
        while at - from < MAX_LOST {
            let bytes = self.peek(window, at, 2 * S::HEADER, ahead)?;
            // A header may be cut off by what is at hand.
            let safe = match bytes.len() {
                len if len < 2 * S::HEADER => len,
                len => len - S::HEADER,
            };
            let safe = safe.min(AHEAD_SPARSE);
            if safe == 0 {
                return Ok(None);
            }
            let starts = |place: &usize| {
                let rest = bytes.get(*place..).unwrap_or_default();
                rest.first() == Some(&0xff) && self.syntax.head(rest).is_some()
            };
            let Some(place) = (0..safe).find(starts) else {
                at += safe as u64;
                continue;
            };
            let head = self.syntax.head(bytes.get(place..).unwrap_or_default());
            at += place as u64;
            if let Some(head) = head
                && self.confirmed(window, at + head.size as u64, ahead)?
            {
                return Ok(Some((at, head)));
            }
            at += 1;
        }
        Err(invalid(
            from,
            format!(
                "expected a frame of {}, found none in {MAX_LOST} bytes",
                S::NAME
            ),
        ))
    }
}

/// Tags that no frame can be in.
fn is_tag(bytes: &[u8]) -> bool {
    bytes.starts_with(b"TAG") || bytes.starts_with(b"APET") || bytes.starts_with(b"LYRI")
}

impl<S: Syntax> Framing for Walk<S> {
    fn start(&self) -> Position {
        self.start
    }

    /// A last frame that is cut off is none: recordings end like that.
    fn frame(
        &self,
        window: &mut Window,
        from: Position,
        ahead: usize,
    ) -> Result<Option<Frame>, DemuxError> {
        let mut at = from.at;
        let head = match self.head_at(window, at, ahead)? {
            Some(head) => Some(head),
            None => {
                // A tag between two songs that were put into one file.
                let bytes = self.peek(window, at, id3::HEADER, ahead)?;
                if bytes.is_empty() || is_tag(bytes) {
                    return Ok(None);
                }
                at = at.saturating_add(id3::size(bytes).unwrap_or(0));
                None
            }
        };
        let head = match head {
            Some(head) => head,
            None => match self.search(window, at, ahead)? {
                Some((place, head)) => {
                    at = place;
                    head
                }
                None => return Ok(None),
            },
        };
        let end = at.saturating_add(head.size as u64);
        let whole = match self.end {
            Some(known) => end <= known,
            None => window.peek(at, head.size, ahead)?.len() >= head.size,
        };
        Ok(whole.then_some(Frame {
            at,
            size: head.size,
            sample: from.sample,
            samples: head.samples,
        }))
    }

    fn max_lead(&self) -> u64 {
        self.syntax.max_lead()
    }

    fn lead(
        &self,
        window: &mut Window,
        before: &VecDeque<Frame>,
        frame: &Frame,
    ) -> Result<usize, DemuxError> {
        self.syntax.lead(window, before, frame)
    }
}

/// Whether `head`, the start of a source or all of it, has frames one behind the other: three, or as many as there are to
/// the end.
pub(crate) fn probe<S: Syntax>(
    head: &[u8],
    full: usize,
    syntax: impl Fn(&[u8]) -> Option<S>,
) -> bool {
    // A source as short as this shows its end.
    let ended = head.len() < full;
    (0..head.len()).any(|start| {
        let begin = head.get(start..).unwrap_or_default();
        if begin.first() != Some(&0xff) {
            return false;
        }
        let Some(syntax) = syntax(begin) else {
            return false;
        };
        let (mut at, mut count) = (start, 0);
        while let Some(frame) = head.get(at..).and_then(|rest| syntax.head(rest)) {
            at += frame.size.max(1);
            count += 1;
        }
        let (to_end, past) = (ended && at == head.len(), at >= head.len());
        // At the very start two frames speak for themselves where a third would be out of sight.
        count >= 3 || (start == 0 && (to_end || (past && count >= 2)))
    })
}
