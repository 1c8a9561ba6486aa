//! Frame headers, and the index of key frames.

use reelcore_media::Size;
use reelcore_media::demux::DemuxError;
use reelcore_media::vpx::{Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};

use crate::Limits;
use crate::bitstream::{av1, vp9};
use crate::window::{AHEAD_SPARSE, Window};

/// Bytes of a frame's header: its size and its time.
pub(crate) const FRAME_HEADER: usize = 12;

/// Bytes at the start of a frame that tell nearly always whether it is a key frame.
const HEAD: usize = 256;

/// Key frames that the index holds, at most. In longer files it grows coarser.
const MAX_KEYS: usize = 1 << 16;

/// Frames whose headers are looked at for the end of a file, at most: each may be a read of its own.
const MAX_FRAMES: usize = 1 << 16;

/// As [`MAX_FRAMES`], where all so far are one tick apart and the header counts them: in longer files it is believed.
const MAX_COUNTED: usize = 1 << 12;

/// A time that is further ahead than this, in microseconds, counts where the next one does not go back below it.
const LEAP: i64 = 1_000_000;

/// As [`LEAP`], of the last time of a file, which none follows: no picture is taken to stand longer.
const LAST_LEAP: i64 = 3_600_000_000;

/// A tick that is as long as this, in nanoseconds, may be that of one frame; a finer one says nothing of the rate.
const FRAME_TICK: u64 = 4_000_000;

/// What the frames are coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Vp8,
    Vp9,
    Av1,
    Other,
}

impl Codec {
    pub(crate) fn from_four_cc(code: [u8; 4]) -> Self {
        match &code {
            b"VP80" => Self::Vp8,
            b"VP90" => Self::Vp9,
            b"AV01" => Self::Av1,
            _ => Self::Other,
        }
    }
}

/// What the first frame says of the stream.
#[derive(Debug, Default)]
pub(crate) struct First {
    pub(crate) codec: Option<String>,
    pub(crate) size: Option<Size>,
}

/// How the frames of a file are laid out.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// Byte offset of the first.
    pub(crate) start: u64,
    /// A tick lasts `scale / rate` seconds.
    pub(crate) rate: u32,
    pub(crate) scale: u32,
    pub(crate) codec: Codec,
    pub(crate) limits: Limits,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Byte offset of its data.
    pub(crate) data: u64,
    pub(crate) size: usize,
    /// In ticks.
    pub(crate) time: u64,
}

impl Frame {
    pub(crate) fn end(&self) -> u64 {
        self.data.saturating_add(self.size as u64)
    }
}

impl Frames {
    /// The time `ticks` in microseconds: the nearest, halves upward.
    pub(crate) fn micros(&self, ticks: u64) -> i64 {
        let (scale, rate) = (u128::from(self.scale), u128::from(self.rate));
        let micros = (u128::from(ticks) * scale * 2_000_000 + rate) / (2 * rate);
        i64::try_from(micros).unwrap_or(i64::MAX)
    }

    /// The frame whose header is at `at`; `None` at the end.
    pub(crate) fn at(
        &self,
        window: &mut Window,
        at: u64,
        ahead: usize,
    ) -> Result<Option<Frame>, DemuxError> {
        let head = window.peek(at, FRAME_HEADER, ahead)?;
        if head.is_empty() {
            return Ok(None);
        }
        let Some(&[a, b, c, d, e, f, g, h, i, j, k, l]) = head.first_chunk::<FRAME_HEADER>() else {
            return Err(DemuxError::Invalid {
                offset: at,
                message: format!(
                    "expected a frame header of {FRAME_HEADER} bytes, found {}",
                    head.len()
                ),
            });
        };
        let size = u32::from_le_bytes([a, b, c, d]);
        if u64::from(size) > self.limits.max_packet_bytes {
            return Err(DemuxError::Limit(format!(
                "the packet at byte {at} has {size} bytes, the cap is {}",
                self.limits.max_packet_bytes
            )));
        }
        Ok(Some(Frame {
            data: at.saturating_add(FRAME_HEADER as u64),
            size: size as usize,
            time: u64::from_le_bytes([e, f, g, h, i, j, k, l]),
        }))
    }

    /// Whether a frame stands alone.
    pub(crate) fn is_key(
        &self,
        window: &mut Window,
        frame: &Frame,
        ahead: usize,
    ) -> Result<bool, DemuxError> {
        let mut seen = frame.size.min(HEAD);
        loop {
            let head = window.peek(frame.data, seen, ahead)?;
            let head = head.get(..seen.min(head.len())).unwrap_or_default();
            let key = match self.codec {
                Codec::Vp8 => vp8_size(head).map(|_| true),
                Codec::Vp9 => Vp9FrameHeader::parse(head)
                    .ok()
                    .map(|header| header.kind == Vp9FrameKind::Key),
                Codec::Av1 => av1::is_key(head),
                Codec::Other => Some(frame.data == self.start + FRAME_HEADER as u64),
            };
            match key {
                Some(key) => return Ok(key),
                // Long metadata stand before the frame.
                None if self.codec == Codec::Av1 && seen < frame.size && head.len() >= seen => {
                    seen = frame.size;
                }
                None => return Ok(false),
            }
        }
    }

    /// How long a frame lasts, in nanoseconds, where the time base seems to be of one.
    fn frame_nanos(&self) -> Option<u64> {
        let tick = 1_000_000_000 * u64::from(self.scale) / u64::from(self.rate);
        Some(tick).filter(|&nanos| nanos >= FRAME_TICK)
    }

    /// Where the last frame ends, in ticks; it lasts as the one before. `count` is what the header says: some writers count
    /// frames there and others ticks, so that it tells where these are the same. Elsewhere the frames are looked at.
    pub(crate) fn end(&self, window: &mut Window, count: Option<u32>) -> Option<u64> {
        let seekable = window.is_seekable();
        // Of a stream nothing is waited for that would not be used.
        if !seekable && count.is_none() {
            return None;
        }
        // A file has room for as many frames as are counted.
        let fits = |count: &u64| {
            let room = (window.len()).map(|len| len.saturating_sub(self.start));
            room.is_none_or(|room| *count <= room / FRAME_HEADER as u64)
        };
        let count = count.map(u64::from).filter(fits);
        let (most, most_counted) = match seekable {
            true => (MAX_FRAMES, MAX_COUNTED),
            false => (2, 2),
        };
        let (mut at, mut seen, mut times) = (self.start, 0, Times::default());
        let (mut even, mut last) = (true, None::<u64>);
        while seen < most {
            // What is wrong with a frame is said when it is read.
            let Ok(Some(frame)) = self.at(window, at, AHEAD_SPARSE) else {
                break;
            };
            if window.len().is_some_and(|len| frame.end() > len) {
                break;
            }
            times.add(self, frame.time);
            at = frame.end();
            seen += 1;
            even &= last.is_none_or(|last| last.checked_add(1) == Some(frame.time));
            last = Some(frame.time);
            if even
                && seen >= most_counted
                && let (Some(count), Some(first)) = (count, times.first)
            {
                return first.checked_add(count);
            }
        }
        match seen {
            // Nothing tells how long one frame lasts.
            1 => count
                .filter(|_| self.frame_nanos().is_some())
                .and_then(|count| times.first?.checked_add(count)),
            _ if seekable && seen < most => times.end(self),
            _ => None,
        }
    }

    /// What the first frame says.
    pub(crate) fn first(&self, window: &mut Window) -> Result<First, DemuxError> {
        let mut first = First {
            codec: (self.codec == Codec::Vp8).then(|| "vp8".to_owned()),
            size: None,
        };
        // What is wrong with a frame is said when it is read.
        let Ok(Some(frame)) = self.at(window, self.start, AHEAD_SPARSE) else {
            return Ok(first);
        };
        let seen = frame.size.min(16 * HEAD);
        let head = window.peek(frame.data, seen, AHEAD_SPARSE)?;
        let head = head.get(..seen.min(head.len())).unwrap_or_default();
        match self.codec {
            Codec::Vp8 => first.size = vp8_size(head),
            Codec::Vp9 => {
                first.codec = vp9::from_key_frame(head, self.frame_nanos(), None);
                first.size = Vp9FrameHeader::parse(head)
                    .ok()
                    .and_then(|header| header.size);
            }
            Codec::Av1 => {
                let header = av1::sequence_header(head);
                first.codec = header.as_ref().map(|header| header.codec_string());
                first.size = header.map(|header| header.size);
            }
            Codec::Other => {}
        }
        Ok(first)
    }
}

/// The times of frames as they come: the latest of them, without those that are damaged.
#[derive(Debug, Default)]
struct Times {
    /// Of the first frame, damaged or not.
    first: Option<u64>,
    latest: Option<u64>,
    /// From the latest but one to the latest.
    step: Option<u64>,
    /// Far ahead of the latest: the next one says whether it counts.
    leap: Option<u64>,
}

impl Times {
    fn add(&mut self, frames: &Frames, time: u64) {
        self.first = self.first.or(Some(time));
        if let Some(leap) = self.leap.take().filter(|&leap| time >= leap) {
            self.count(leap);
        }
        if self.ahead(frames, time) > LEAP {
            self.leap = Some(time);
        } else if self.latest.is_none_or(|latest| time > latest) {
            self.count(time);
        }
    }

    fn count(&mut self, time: u64) {
        if let Some(latest) = self.latest {
            self.step = Some(time - latest);
        }
        self.latest = Some(time);
    }

    /// How far `time` is ahead of the latest, in microseconds.
    fn ahead(&self, frames: &Frames, time: u64) -> i64 {
        frames.micros(time.saturating_sub(self.latest.unwrap_or_default()))
    }

    /// Where the last one ends.
    fn end(mut self, frames: &Frames) -> Option<u64> {
        if let Some(leap) = self.leap.take()
            && self.ahead(frames, leap) <= LAST_LEAP
        {
            self.count(leap);
        }
        self.latest?.checked_add(self.step?)
    }
}

/// The size of a key frame of VP8.
fn vp8_size(head: &[u8]) -> Option<Size> {
    Vp8FrameHeader::parse(head).ok()?.key
}

/// The key frames of a file, found as they are asked for.
pub(crate) struct Index {
    window: Window,
    /// Times in ticks and byte offsets of frame headers.
    keys: Vec<(u64, u64)>,
    /// Where the look goes on; `None` at the end.
    next: Option<u64>,
    /// One in so many key frames is kept.
    stride: usize,
    seen: usize,
}

impl Index {
    pub(crate) fn new(window: Window, frames: &Frames) -> Self {
        Self {
            window,
            keys: Vec::new(),
            next: Some(frames.start),
            stride: 1,
            seen: 0,
        }
    }

    /// The byte offset of a key frame at or before `time` (microseconds), near it: the last one, where the index is not
    /// coarse. `None` where there is none.
    pub(crate) fn before(&mut self, frames: &Frames, time: i64) -> Result<Option<u64>, DemuxError> {
        while let Some(at) = self.next {
            if self
                .keys
                .last()
                .is_some_and(|(ticks, _)| frames.micros(*ticks) > time)
            {
                break;
            }
            let found = frames.at(&mut self.window, at, AHEAD_SPARSE);
            let frame = match found {
                Ok(Some(frame)) => frame,
                // What is broken further on is found when it is read.
                Ok(None) | Err(DemuxError::Invalid { .. } | DemuxError::Limit(_)) => {
                    self.next = None;
                    break;
                }
                Err(error) => return Err(error),
            };
            self.next = Some(frame.end());
            // Times that go back cannot be searched.
            let ordered = self.keys.last().is_none_or(|(last, _)| frame.time >= *last);
            if ordered && frames.is_key(&mut self.window, &frame, AHEAD_SPARSE)? {
                self.add((frame.time, at));
            }
        }
        let after = self
            .keys
            .partition_point(|(ticks, _)| frames.micros(*ticks) <= time);
        Ok(after
            .checked_sub(1)
            .and_then(|at| self.keys.get(at))
            .map(|(_, at)| *at))
    }

    fn add(&mut self, key: (u64, u64)) {
        if self.seen.is_multiple_of(self.stride) {
            if self.keys.len() >= MAX_KEYS {
                let mut keep = false;
                self.keys.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            self.keys.push(key);
        }
        self.seen += 1;
    }
}
