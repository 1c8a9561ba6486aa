//! Frames that each tell their size, one behind the other: MPEG audio and ADTS. Between them may stand what is none, and
//! tags. Files that were put together go on with other rates and channels.

use std::collections::VecDeque;

use reelcore_media::demux::{DemuxError, TrackConfig};

use super::file::{Frame, Framing, Position};
use super::{ape, id3, invalid};
use crate::window::{AHEAD_SPARSE, Window};

/// Tags one behind the other that are passed over, at most.
const MAX_TAGS: usize = 16;

/// Bytes of a tag that tell its size.
const TAG_HEADER: usize = 16;

/// Bytes that are passed over in search of a frame, at most.
const MAX_LOST: u64 = 1 << 20;

/// Units of time a second: a whole number of them lasts a sample at every rate of these formats, so that the rate may
/// change.
pub(crate) const CLOCK: u32 = 28_224_000;

/// How long `samples` last, in units of [`CLOCK`].
pub(crate) fn units(samples: u32, rate: u32) -> u32 {
    samples.saturating_mul(CLOCK / rate.max(1))
}

/// Frames one behind the other that show a change of what they are configured with, the first with them.
const CHANGE: usize = 3;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the frame with its header.
    pub(crate) size: usize,
    /// In units of [`CLOCK`].
    pub(crate) samples: u32,
    /// As [`Frame::setup`], not 0.
    pub(crate) setup: u32,
}

/// A format of frames that tell their size.
pub(crate) trait Syntax: Send + Sync {
    /// Bytes of a header, at most.
    const HEADER: usize;

    /// What this is, for errors.
    const NAME: &'static str;

    /// Reads the header at the start of `bytes`; `None` where it is none.
    fn head(&self, bytes: &[u8]) -> Option<Head>;

    /// As [`Frame::setup`], of the first frame.
    fn setup(&self) -> u32;

    /// As [`Framing::config`].
    fn config(&self, frame: &[u8]) -> Option<TrackConfig>;

    /// Bytes of a frame that [`Syntax::is_info`] looks at, at most.
    const INFO: usize = 0;

    /// Whether the frame that `bytes` begin holds no sound: a file's header, when several files were put together.
    fn is_info(&self, bytes: &[u8]) -> bool {
        let _ = bytes;
        false
    }

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

    /// Whether a tag or a file's header stands at `at`, as where files were put together.
    pub(crate) fn is_seam(&self, window: &mut Window, at: u64) -> Result<bool, DemuxError> {
        let bytes = self.peek(window, at, S::INFO.max(TAG_HEADER), AHEAD_SPARSE)?;
        Ok(tag(bytes).is_some() || (S::INFO > 0 && self.syntax.is_info(bytes)))
    }

    /// The first frame at or after `at`, where those before it have `setup`; `None` where there is no more.
    fn next(
        &self,
        window: &mut Window,
        at: u64,
        setup: u32,
        ahead: usize,
    ) -> Result<Option<(u64, Head)>, DemuxError> {
        let mut at = at;
        let mut tagged = false;
        for _ in 0..MAX_TAGS {
            // No more than a frame's header, as a whole frame may be shorter than that of a tag.
            let bytes = self.peek(window, at, S::HEADER, ahead)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if let Some(head) = self.syntax.head(bytes)
                && (head.setup == setup || self.confirmed(window, at, &head, setup, ahead)?)
            {
                return Ok(Some((at, head)));
            }
            // Tags between songs that were put into one file.
            let bytes = self.peek(window, at, TAG_HEADER, ahead)?;
            let Some(size) = tag(bytes) else {
                break;
            };
            tagged = true;
            at = at.saturating_add(size);
        }
        match self.search(window, at, setup, ahead) {
            // Behind a tag may be what is not known here.
            Err(DemuxError::Invalid { .. }) if tagged => Ok(None),
            found => found,
        }
    }

    /// Whether what follows the frame at `at` that was found in disorder, or has another set-up than those before it,
    /// speaks for it: more frames, or the end.
    fn confirmed(
        &self,
        window: &mut Window,
        at: u64,
        head: &Head,
        setup: u32,
        ahead: usize,
    ) -> Result<bool, DemuxError> {
        let changed = head.setup != setup;
        let mut at = at.saturating_add(head.size as u64);
        for _ in 1..if changed { CHANGE } else { 2 } {
            let bytes = self.peek(window, at, S::HEADER.max(id3::HEADER), ahead)?;
            if bytes.is_empty() {
                // What changes must be whole to count.
                return Ok(!changed || !self.peek(window, at - 1, 1, ahead)?.is_empty());
            }
            if tag(bytes).is_some() {
                return Ok(true);
            }
            let next = self.syntax.head(bytes);
            let Some(next) = next.filter(|next| [head.setup, setup].contains(&next.setup)) else {
                return Ok(false);
            };
            at = at.saturating_add(next.size as u64);
        }
        Ok(true)
    }

    /// The next frame behind bytes that are none: its place; `None` where there is no more. Those before have `setup`.
    fn search(
        &self,
        window: &mut Window,
        from: u64,
        setup: u32,
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
                && self.confirmed(window, at, &head, setup, ahead)?
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

/// The size of the tag that `bytes` begin, as far as it tells one. Frames come after it where files were put together.
fn tag(bytes: &[u8]) -> Option<u64> {
    if bytes.starts_with(b"TAG") {
        return Some(id3::V1 as u64);
    }
    if bytes.starts_with(b"APET") {
        let size = bytes.get(12..16).and_then(|field| field.first_chunk());
        let size = size.map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
        return Some(size + ape::FOOTER as u64);
    }
    if bytes.starts_with(b"LYRI") {
        return Some(4);
    }
    id3::size(bytes)
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
        let mut from = from;
        loop {
            let Some((at, head)) = self.next(window, from.at, from.setup, ahead)? else {
                return Ok(None);
            };
            let end = at.saturating_add(head.size as u64);
            let whole = match self.end {
                Some(known) => end <= known,
                None => window.peek(at, head.size, ahead)?.len() >= head.size,
            };
            if !whole {
                return Ok(None);
            }
            let info = S::INFO.min(head.size);
            if info > 0 && self.syntax.is_info(self.peek(window, at, info, ahead)?) {
                (from.at, from.setup) = (end, head.setup);
                continue;
            }
            return Ok(Some(Frame {
                at,
                size: head.size,
                sample: from.sample,
                samples: head.samples,
                setup: head.setup,
            }));
        }
    }

    fn config(&self, data: &[u8]) -> Option<TrackConfig> {
        self.syntax.config(data)
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
        let alike = |head: &Head| head.setup == syntax.setup();
        while count < 3
            && let Some(frame) = head
                .get(at..)
                .and_then(|rest| syntax.head(rest))
                .filter(alike)
        {
            at += frame.size.max(1);
            count += 1;
        }
        let (to_end, past) = (ended && at == head.len(), at >= head.len());
        // At the very start two frames speak for themselves where a third would be out of sight.
        count >= 3 || (start == 0 && (to_end || (past && count >= 2)))
    })
}
