//! Blocks, Clusters and Cues: RFC 9559, sections 5.1.3, 5.1.5 and 10.

use std::collections::HashMap;

use reelcore_media::mux::{MuxError, Sink};

use super::super::ids;
use super::write::{Ebml, UNKNOWN};
use crate::mux::pieces::Pieces;
use bytes::Bytes;

/// Bytes after which another Cluster begins.
const MAX_BYTES: u64 = 5 << 20;

/// Nanoseconds after which another Cluster begins (section 5.1.3: at most five seconds).
const MAX_NANOS: i64 = 5_000_000_000;

/// Nanoseconds from one Cue to the next, at least.
const CUE_GAP: i64 = 500_000_000;

/// Bytes of a block's headers, about.
const HEADERS: usize = 24;

/// Two times that are as near as this are the same: a microsecond, to which durations are rounded.
const SAME: i128 = 1000;

/// Bytes of memory that a Cue takes, about.
const CUE_BYTES: usize = 32;

/// A packet as a block.
#[derive(Debug)]
pub(super) struct Block {
    /// TrackNumber.
    pub(super) track: u64,
    /// In ticks of the file.
    pub(super) time: i64,
    /// When it is decoded, in ticks of the file: no block that follows is shown earlier.
    pub(super) decode: i64,
    pub(super) key: bool,
    /// Decoded and not shown.
    pub(super) invisible: bool,
    /// Whether a picture stands alone: a Cluster begins with it.
    pub(super) opens: bool,
    /// Whether the Cues lead to it.
    pub(super) cue: bool,
    /// Parameter sets before the data.
    pub(super) prefix: Option<Bytes>,
    pub(super) data: Bytes,
    pub(super) alpha: Option<Bytes>,
    /// Ticks, where neither the codec nor the track tells them.
    pub(super) duration: Option<u64>,
    /// When it starts and ends, in nanoseconds. The end is there where the next block of the track, which starts no earlier, may tell it.
    pub(super) span: (i128, Option<i128>),
    /// Ticks from this block to the one that it refers to.
    pub(super) reference: i64,
    /// Nanoseconds; at the start below 0.
    pub(super) discard: i64,
}

impl Block {
    /// Adds its element to `out`; `relative` is its time in the Cluster.
    fn write(&self, relative: i16, out: &mut Pieces) {
        let mut head = Ebml::default();
        head.vint(self.track);
        head.raw(&relative.to_be_bytes());
        let grouped = self.alpha.is_some() || self.duration.is_some() || self.discard != 0;
        let key = if self.key && !grouped { 0x80 } else { 0 };
        head.raw(&[key | if self.invisible { 0x08 } else { 0 }]);
        let prefix = self.prefix.as_ref().map_or(0, Bytes::len);
        let size = (head.len() + prefix + self.data.len()) as u64;
        let mut before = Ebml::default();
        if !grouped {
            before.id(ids::SIMPLE_BLOCK);
            before.vint(size);
            before.raw(head.bytes());
            out.put(before.bytes());
            self.write_data(out);
            return;
        }
        let mut after = Ebml::default();
        if let Some(ticks) = self.duration {
            after.uint(ids::BLOCK_DURATION, ticks);
        }
        if !self.key {
            after.int(ids::REFERENCE_BLOCK, self.reference);
        }
        if self.discard != 0 {
            after.int(ids::DISCARD_PADDING, self.discard);
        }
        let mut additions = Ebml::default();
        if let Some(alpha) = &self.alpha {
            // The headers of what nests around the alpha.
            let mut id = Ebml::default();
            id.uint(ids::BLOCK_ADD_ID, 1);
            id.id(ids::BLOCK_ADDITIONAL);
            id.vint(alpha.len() as u64);
            let mut more = Ebml::default();
            more.id(ids::BLOCK_MORE);
            more.vint((id.len() + alpha.len()) as u64);
            more.raw(id.bytes());
            additions.id(ids::BLOCK_ADDITIONS);
            additions.vint((more.len() + alpha.len()) as u64);
            additions.raw(more.bytes());
        }
        let alpha = self.alpha.as_ref().map_or(0, Bytes::len);
        let mut block = Ebml::default();
        block.id(ids::BLOCK);
        block.vint(size);
        block.raw(head.bytes());
        let data = prefix + self.data.len();
        let whole = block.len() + data + additions.len() + alpha + after.len();
        before.id(ids::BLOCK_GROUP);
        before.vint(whole as u64);
        before.raw(block.bytes());
        out.put(before.bytes());
        self.write_data(out);
        out.put(additions.bytes());
        if let Some(alpha) = &self.alpha {
            out.share(alpha);
        }
        out.put(after.bytes());
    }

    /// Bytes of its element, about.
    fn size(&self) -> u64 {
        let part = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        (self.data.len() + part(&self.prefix) + part(&self.alpha) + HEADERS) as u64
    }

    fn write_data(&self, out: &mut Pieces) {
        if let Some(prefix) = &self.prefix {
            out.put(prefix);
        }
        out.share(&self.data);
    }
}

/// A place to seek to.
#[derive(Clone, Copy, Debug)]
struct Cue {
    time: i64,
    track: u64,
    /// Of the Cluster in the Segment.
    cluster: u64,
    /// Of the block in the Cluster's data.
    relative: u64,
}

/// The Clusters of a file: the one that grows, and the Cues to all.
#[derive(Debug)]
pub(super) struct Clusters {
    /// Nothing can be written later: lengths are not known.
    live: bool,
    /// Nanoseconds of a tick.
    scale: i64,
    /// Where the next byte goes in the Segment.
    place: u64,
    open: Option<i64>,
    /// Timestamp of the last Cluster.
    last: i64,
    /// Of the open Cluster, which has to be whole before it is known which of them are the last of their tracks in it.
    blocks: Vec<Block>,
    pieces: Pieces,
    /// Bytes in the open Cluster, about.
    size: u64,
    cues: Vec<Cue>,
    /// Ticks between Cues, at least.
    gap: i64,
    max_cues: usize,
}

impl Clusters {
    /// The first Cluster will be at `place` in the Segment. Cues take up to `max_bytes` of memory.
    pub(super) fn new(live: bool, scale: u64, place: u64, max_bytes: usize) -> Self {
        let scale = i64::try_from(scale).unwrap_or(i64::MAX).max(1);
        Self {
            live,
            scale,
            place,
            open: None,
            last: 0,
            blocks: Vec::new(),
            pieces: Pieces::default(),
            size: 0,
            cues: Vec::new(),
            gap: CUE_GAP / scale,
            max_cues: (max_bytes / 4 / CUE_BYTES).max(16),
        }
    }

    /// Where the next byte goes in the Segment, once the last Cluster is closed.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Writes a block, or keeps it until its Cluster is whole.
    pub(super) fn block(&mut self, block: Block, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let relative = |open: i64| i16::try_from(block.time.checked_sub(open)?).ok();
        let goes_on = |open: &i64| {
            let long = block.time.saturating_sub(*open) > MAX_NANOS / self.scale;
            !block.opens && !long && self.size < MAX_BYTES && relative(*open).is_some()
        };
        let open = match self.open.filter(goes_on) {
            Some(open) => open,
            None => {
                self.close(sink)?;
                self.begin(self.timestamp(&block))?
            }
        };
        self.size = self.size.saturating_add(block.size());
        if !self.live {
            self.blocks.push(block);
            return Ok(());
        }
        block.write(relative(open).unwrap_or(0), &mut self.pieces);
        self.place += self.pieces.len();
        self.pieces.write(sink)
    }

    /// The Timestamp of a Cluster that begins with `block`: its time, but not so late that a block which follows, and is shown
    /// before it, would not fit in, and not before the last one's. Only where a picture is shown more than 65,535 ticks after it
    /// is decoded do Clusters go back.
    fn timestamp(&self, block: &Block) -> i64 {
        const BEFORE: i64 = -(i16::MIN as i64);
        let latest = block.decode.saturating_add(BEFORE);
        let time = block.time.min(latest).max(self.last).max(0);
        match i16::try_from(block.time.saturating_sub(time)) {
            Ok(_) => time,
            Err(_) => block.time,
        }
    }

    fn begin(&mut self, time: i64) -> Result<i64, MuxError> {
        let ticks = u64::try_from(time).map_err(|_| {
            MuxError::Invalid(format!(
                "expected times from that of the first packet on, found {} ns before it",
                i128::from(time) * i128::from(-self.scale)
            ))
        })?;
        let mut head = Ebml::default();
        if self.live {
            head.id(ids::CLUSTER);
            head.raw(&UNKNOWN);
        }
        head.uint(ids::TIMESTAMP, ticks);
        self.pieces.put(head.bytes());
        self.size = 0;
        self.open = Some(time);
        self.last = time;
        Ok(time)
    }

    /// Writes the open Cluster.
    pub(super) fn close(&mut self, sink: &mut dyn Sink) -> Result<(), MuxError> {
        let open = self.open.take().unwrap_or(0);
        if self.live || self.pieces.is_empty() {
            return Ok(());
        }
        self.leave_out_durations();
        let mut cue = None;
        for block in self.blocks.drain(..) {
            if block.cue && cue.is_none() {
                cue = Some(Cue {
                    time: block.time,
                    track: block.track,
                    cluster: self.place,
                    relative: self.pieces.len(),
                });
            }
            // It is in range: block() has seen to it.
            let relative = i16::try_from(block.time - open).unwrap_or(0);
            block.write(relative, &mut self.pieces);
        }
        if let Some(cue) = cue {
            self.add(cue);
        }
        let mut head = Ebml::default();
        head.id(ids::CLUSTER);
        head.vint(self.pieces.len());
        self.place += head.len() as u64 + self.pieces.len();
        sink.write(Bytes::copy_from_slice(head.bytes()))?;
        self.pieces.write(sink)
    }

    /// Takes away the durations that the next block of the track in the same Cluster tells. The last one of a track keeps its
    /// own: readers that take Clusters one by one see no block after it.
    fn leave_out_durations(&mut self) {
        let mut next = HashMap::new();
        for block in self.blocks.iter_mut().rev() {
            let (start, end) = block.span;
            if let Some(follows) = next.insert(block.track, start)
                && let Some(end) = end
                && follows > start
                && (end - follows).abs() <= SAME
            {
                block.duration = None;
            }
        }
    }

    fn add(&mut self, cue: Cue) {
        let near = |last: &Cue| cue.time.saturating_sub(last.time) < self.gap;
        if self.cues.last().is_some_and(near) {
            return;
        }
        if self.cues.len() >= self.max_cues {
            // Every second one is enough for a file that long.
            let mut keep = false;
            self.cues.retain(|_| {
                keep = !keep;
                keep
            });
            self.gap = self.gap.saturating_mul(2).max(1);
        }
        self.cues.push(cue);
    }

    /// Cues; `None` where there are none.
    pub(super) fn cues(&self) -> Option<Ebml> {
        let mut out = Ebml::default();
        out.master(ids::CUES, |e| {
            for cue in &self.cues {
                e.master(ids::CUE_POINT, |e| {
                    e.uint(ids::CUE_TIME, cue.time.unsigned_abs());
                    e.master(ids::CUE_TRACK_POSITIONS, |e| {
                        e.uint(ids::CUE_TRACK, cue.track);
                        e.uint(ids::CUE_CLUSTER_POSITION, cue.cluster);
                        e.uint(ids::CUE_RELATIVE_POSITION, cue.relative);
                    });
                });
            }
        });
        (!self.cues.is_empty()).then_some(out)
    }
}
