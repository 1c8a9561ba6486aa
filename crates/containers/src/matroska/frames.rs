//! The frames of a track's blocks: their places, times and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use reelcore_media::demux::{DemuxError, SampleEncryption};

use super::ebml::invalid;
use super::lacing::{self, Problem};
use super::segment::Segment;
use super::tracks::{Kind, MatroskaTrack};
use super::walk::Block;
use crate::Limits;
use crate::bitstream::audio::{Frames, HEAD, Timing};
use crate::window::Window;

/// Bytes in which most lacing headers end.
const LACING_HEAD: usize = 512;

/// A time in microseconds from one in nanoseconds: the nearest, halves upward.
pub(crate) fn micros(nanos: i128) -> i64 {
    let rounded = (nanos + 500).div_euclid(1000);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// One frame of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Byte offset.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Presentation time and duration in nanoseconds.
    pub(crate) time: i128,
    pub(crate) duration: Option<i128>,
    /// Nanoseconds of the block's DiscardPadding that fall on this frame.
    pub(crate) discard_start: i128,
    pub(crate) discard_end: i128,
}

/// Reads the frames of a track's blocks.
pub(crate) struct FrameReader<'a> {
    pub(crate) track: &'a MatroskaTrack,
    pub(crate) segment: &'a Segment,
    pub(crate) limits: &'a Limits,
}

impl FrameReader<'_> {
    /// The frames of `block`. Their durations are only asked for where times depend on them or `whole` is set.
    pub(crate) fn frames(
        &self,
        window: &mut Window,
        block: &Block,
        ahead: usize,
        whole: bool,
    ) -> Result<VecDeque<Frame>, DemuxError> {
        let mut sizes = Vec::new();
        let fits = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut seen = LACING_HEAD.min(fits(block.size));
        let header = loop {
            let head = if block.lacing == lacing::Lacing::None {
                &[]
            } else {
                let head = window.peek(block.data, seen, ahead)?;
                head.get(..fits(block.size).min(head.len()))
                    .unwrap_or_default()
            };
            match lacing::parse(block.lacing, head, block.size, &mut sizes) {
                Ok(header) => break header,
                // The header is larger than was thought; it is at most the block, and at most what there is.
                Err(Problem::Short) if head.len() >= seen && (seen as u64) < block.size => {
                    seen = seen.saturating_mul(8).min(fits(block.size));
                    self.check_size(block.data, seen as u64)?;
                }
                Err(problem) => {
                    let what = match problem {
                        Problem::Short => "are cut off",
                        Problem::Sizes => "do not add up to its size",
                    };
                    return Err(invalid(
                        block.start,
                        format!("the sizes of the laced frames of a block {what}"),
                    ));
                }
            }
        };
        let scale = i128::from(self.segment.info.scale);
        let start = block.time * scale - i128::from(self.track.codec_delay);
        let count = sizes.len() as i128;
        let total = block
            .duration
            .filter(|&ticks| ticks > 0)
            .map(|ticks| i128::from(ticks) * scale);
        let step = self.track.default_duration.map(i128::from);
        let from_codec = total.is_none() && step.is_none() && (whole || count > 1);
        let mut offset = block.data.saturating_add(header);
        let mut frames = VecDeque::with_capacity(sizes.len());
        // Frames of audio before this one in the block; `None` once that is not known.
        let mut before = Some(0);
        // A packet of Vorbis does not tell by itself: outside of a lacing, the next one's time does.
        let vorbis = self.track.vorbis.as_ref().filter(|_| count > 1);
        let mut vorbis_block = None;
        for (index, size) in (0_i128..).zip(sizes) {
            let (mut time, mut duration) = (start, None);
            if let Some(total) = total {
                time += total * index / count;
                duration = Some(total * (index + 1) / count - total * index / count);
            } else if let Some(step) = step {
                time += step * index;
                duration = Some(step);
            } else if from_codec {
                let found = match vorbis {
                    Some(vorbis) => {
                        let head = self.head(window, offset, size, ahead)?;
                        vorbis.frames(head, &mut vorbis_block)
                    }
                    None => self.timing(window, offset, size, ahead)?,
                };
                if let (Some(sum), Some(found)) = (before, found) {
                    let from = nanos(Frames {
                        count: sum,
                        ..found
                    });
                    let sum = sum.saturating_add(found.count);
                    let to = nanos(Frames {
                        count: sum,
                        ..found
                    });
                    time += from;
                    duration = Some(to - from);
                    before = Some(sum);
                } else {
                    before = None;
                }
            }
            frames.push_back(Frame {
                offset,
                size,
                time,
                duration,
                discard_start: 0,
                discard_end: 0,
            });
            offset = offset.saturating_add(size);
        }
        // The padding may be longer than one of the frames.
        let mut left = i128::from(block.discard);
        while left != 0 {
            let frame = if left < 0 {
                frames.iter_mut().find(|frame| frame.discard_start == 0)
            } else {
                frames.iter_mut().rev().find(|frame| frame.discard_end == 0)
            };
            let Some(frame) = frame else {
                break;
            };
            let here = frame
                .duration
                .map_or(left.abs(), |duration| left.abs().min(duration.max(1)));
            if left < 0 {
                frame.discard_start = here;
                left += here;
            } else {
                frame.discard_end = here;
                left -= here;
            }
        }
        Ok(frames)
    }

    /// The first bytes of a frame, as it is stored.
    fn head<'w>(
        &self,
        window: &'w mut Window,
        offset: u64,
        size: u64,
        ahead: usize,
    ) -> Result<&'w [u8], DemuxError> {
        let most = usize::try_from(size).map_or(HEAD, |size| size.min(HEAD));
        let head = window.peek(offset, most, ahead)?;
        Ok(head.get(..most.min(head.len())).unwrap_or_default())
    }

    /// The length of a frame of audio as its own header says.
    fn timing(
        &self,
        window: &mut Window,
        offset: u64,
        size: u64,
        ahead: usize,
    ) -> Result<Option<Frames>, DemuxError> {
        if self.track.timing == Timing::Unknown {
            return Ok(None);
        }
        if self.track.content.changes_frames() && self.track.content.encryption.is_none() {
            let (data, _) = self.data(window, offset, size, ahead)?;
            return Ok(self.track.timing.frames(&data, data.len() as u64));
        }
        let head = self.head(window, offset, size, ahead)?;
        Ok(self.track.timing.frames(head, size))
    }

    fn check_size(&self, offset: u64, size: u64) -> Result<usize, DemuxError> {
        usize::try_from(size)
            .ok()
            .filter(|_| size <= self.limits.max_packet_bytes)
            .ok_or_else(|| {
                DemuxError::Limit(format!(
                    "the packet at byte {offset} has {size} bytes, the cap is {}",
                    self.limits.max_packet_bytes
                ))
            })
    }

    /// Bytes that stand in the source as they are.
    pub(crate) fn stored(
        &self,
        window: &mut Window,
        offset: u64,
        size: u64,
        ahead: usize,
    ) -> Result<Bytes, DemuxError> {
        let length = self.check_size(offset, size)?;
        let data = window.take(offset, length, ahead)?;
        if data.len() < length {
            return Err(invalid(
                offset,
                format!(
                    "expected a packet of {size} bytes, the source has {} bytes left",
                    data.len()
                ),
            ));
        }
        Ok(data)
    }

    /// A frame's bytes, and how they are encrypted.
    pub(crate) fn data(
        &self,
        window: &mut Window,
        offset: u64,
        size: u64,
        ahead: usize,
    ) -> Result<(Bytes, Option<Arc<SampleEncryption>>), DemuxError> {
        let stored = self.stored(window, offset, size, ahead)?;
        if !self.track.content.changes_frames() {
            return Ok((stored, None));
        }
        let decoded = self
            .track
            .content
            .decode(stored, offset, self.limits.max_packet_bytes)?;
        Ok((decoded.data, decoded.encryption.map(Arc::new)))
    }

    /// The last tick of a block whose first frame is at or before `time` (microseconds), or one more.
    pub(crate) fn ticks(&self, time: i64) -> i128 {
        let nanos = i128::from(time) * 1000 + 999 + i128::from(self.track.codec_delay);
        nanos.div_euclid(i128::from(self.segment.info.scale.max(1)))
    }

    /// Whether a frame gives no picture by itself: those of VP8 that others only refer to stand in invisible blocks, too
    /// (show_frame, RFC 6386, section 9.1).
    pub(crate) fn shows_nothing(&self, data: &[u8]) -> bool {
        let vp8 = self.track.codec_id == "V_VP8";
        self.track.kind != Kind::Video || vp8 && data.first().is_none_or(|tag| tag & 0x10 == 0)
    }

    /// Whether a frame of `block` stands alone. Sound always does, as WebCodecs has it.
    pub(crate) fn is_key(&self, block: &Block) -> bool {
        block.key || self.track.kind == Kind::Audio
    }
}

/// Nanoseconds that `frames` last, to the nearest.
fn nanos(frames: Frames) -> i128 {
    let rate = i128::from(frames.rate.max(1));
    (i128::from(frames.count) * 1_000_000_000 + rate / 2) / rate
}
