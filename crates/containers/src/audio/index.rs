//! Where the frames of a file are, found as they are asked for.

use reelcore_media::demux::DemuxError;

use super::file::{Framing, Position};
use crate::window::{AHEAD, Window};

/// Positions that the index holds, at most. In longer files it grows coarser.
const MAX_ENTRIES: usize = 1 << 16;

/// Frames from one position to the next, at first.
const STRIDE: u64 = 16;

/// Positions of one frame in so many.
pub(crate) struct Index {
    window: Window,
    entries: Vec<Position>,
    stride: u64,
    /// Frames that were seen.
    frames: u64,
    /// Where the look goes on.
    next: Position,
    ended: bool,
}

impl Index {
    pub(crate) fn new(window: Window, start: Position) -> Self {
        Self {
            window,
            entries: Vec::new(),
            stride: STRIDE,
            frames: 0,
            next: start,
            ended: false,
        }
    }

    /// Looks on until `stop` says so or to the end; what is broken ends it too, and is found again when it is read.
    fn look(
        &mut self,
        framing: &dyn Framing,
        mut stop: impl FnMut(&Position) -> bool,
    ) -> Result<(), DemuxError> {
        while !self.ended && !stop(&self.next) {
            match framing.frame(&mut self.window, self.next, AHEAD) {
                Ok(Some(frame)) => {
                    self.add(frame.position());
                    self.next = frame.next();
                }
                Ok(None) | Err(DemuxError::Invalid { .. } | DemuxError::Limit(_)) => {
                    self.ended = true
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The position to walk from to reach the frame that holds `sample`, and before it those of `lead` samples; `None`:
    /// from the start.
    pub(crate) fn before(
        &mut self,
        framing: &dyn Framing,
        sample: u64,
        lead: u64,
    ) -> Result<Option<Position>, DemuxError> {
        self.look(framing, |next| next.sample > sample)?;
        let sample = sample.min(self.next.sample).saturating_sub(lead);
        let after = self.entries.partition_point(|entry| entry.sample <= sample);
        Ok(after
            .checked_sub(1)
            .and_then(|at| self.entries.get(at))
            .copied())
    }

    /// Looks at up to `bytes` of the file from its start: the position that was reached, the frames before it, and
    /// whether that is the end.
    pub(crate) fn scan(
        &mut self,
        framing: &dyn Framing,
        bytes: u64,
    ) -> Result<(Position, u64, bool), DemuxError> {
        let stop = self.next.at.saturating_add(bytes);
        self.look(framing, |next| next.at >= stop)?;
        Ok((self.next, self.frames, self.ended))
    }

    fn add(&mut self, position: Position) {
        if self.frames.is_multiple_of(self.stride) {
            if self.entries.len() >= MAX_ENTRIES {
                let mut keep = false;
                self.entries.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            if self.frames.is_multiple_of(self.stride) {
                self.entries.push(position);
            }
        }
        self.frames += 1;
    }
}
