//! The reader of one track, and how it finds a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use reelcore_media::demux::{DemuxError, Packet, PacketReader};
use reelcore_media::{ChunkKind, EncodedChunk, SideData};

use super::OggDemuxer;
use super::page;
use super::walk::{Setup, Timed, Walk};
use crate::audio::{WHOLE, invalid, last_sample_at, length, micros};
use crate::window::{AHEAD, AHEAD_SPARSE, Window};

/// Packets before another that are kept in a seek: 80 ms of the shortest packets of Opus.
const MAX_LEAD: usize = 33;

/// A stretch that is walked rather than halved again.
const WALK: u64 = 128 << 10;

/// Reads the packets; see [`PacketReader`].
pub(crate) struct OggPacketReader {
    demuxer: Arc<OggDemuxer>,
    index: usize,
    window: Window,
    walk: Walk,
    /// Packets that were found and not yet given.
    queue: VecDeque<Timed>,
    /// Packets before this one only prepare the decoder.
    heard_from: Option<u64>,
    /// Where the last packet that was given starts.
    given: i64,
    /// What a seek found to be wrong behind the packets in `queue`.
    behind: Option<DemuxError>,
    failed: bool,
}

impl OggPacketReader {
    pub(crate) fn new(demuxer: Arc<OggDemuxer>, index: usize) -> Result<Self, DemuxError> {
        let Some(setup) = demuxer.setups.get(index) else {
            return Err(DemuxError::Unsupported(format!(
                "track {index} of {}",
                demuxer.setups.len()
            )));
        };
        Walk::supported(setup)?;
        Ok(Self {
            window: demuxer.window.another(),
            walk: Walk::new(setup),
            queue: VecDeque::new(),
            heard_from: None,
            given: i64::MIN,
            index,
            behind: None,
            failed: false,
            demuxer,
        })
    }

    fn rate(&self) -> u32 {
        self.demuxer
            .setups
            .get(self.index)
            .map_or(1, |setup| setup.codec.rate())
    }

    fn find(&mut self) -> Result<Option<Timed>, DemuxError> {
        if let Some(packet) = self.queue.pop_front() {
            return Ok(Some(packet));
        }
        if let Some(error) = self.behind.take() {
            return Err(error);
        }
        let ahead = if self.window.is_seekable() {
            AHEAD
        } else {
            AHEAD_SPARSE
        };
        let packet = self.walk.next(&mut self.window, ahead)?;
        if self.walk.links > 0 {
            self.demuxer.chained.store(true, Ordering::Relaxed);
        }
        Ok(packet)
    }

    fn advance(&mut self) -> Result<Option<Packet>, DemuxError> {
        let Some(packet) = self.find()? else {
            return Ok(None);
        };
        self.given = packet.start;
        let rate = self.rate();
        if self.heard_from == Some(packet.at) {
            self.heard_from = None;
        }
        let heard = packet.before + packet.after < packet.samples && self.heard_from.is_none();
        let side = SideData {
            discard_start: if heard {
                length(packet.before, rate)
            } else {
                WHOLE
            },
            discard_end: if heard {
                length(packet.after, rate)
            } else {
                Default::default()
            },
            ..SideData::default()
        };
        let timestamp = micros(packet.start, rate);
        let shown = if heard {
            packet.samples - packet.after
        } else {
            packet.samples
        };
        let end = packet.start.saturating_add_unsigned(shown);
        Ok(Some(Packet {
            chunk: EncodedChunk {
                kind: ChunkKind::Key,
                timestamp,
                duration: Some(micros(end, rate).abs_diff(timestamp)),
                data: packet.data,
                side: (side != SideData::default()).then(|| Arc::new(side)),
            },
            decode_time: timestamp,
            offset: packet.at,
            presented: heard,
            encryption: None,
            config: None,
        }))
    }

    /// Where to walk from to the packet at `target` on the time line.
    fn start(&mut self, setup: &Setup, target: i64) -> Result<(), DemuxError> {
        let chained = self.demuxer.chained.load(Ordering::Relaxed);
        let found = match self.window.len() {
            Some(len) if !chained => {
                let track = self.demuxer.tracks.get(self.index);
                let duration = track.and_then(|track| track.duration);
                bisect(setup, &mut self.window, len, duration, target)?
            }
            _ => None,
        };
        match found {
            Some(walk) => {
                self.walk = walk;
                self.queue.clear();
            }
            // A stream may not have kept its start, and a chain is walked from link to link.
            None => {
                let lead = i64::try_from(setup.codec.pre_roll()).unwrap_or(0);
                let here = self.queue.front().map_or(self.given, |packet| packet.start);
                let near = here != i64::MIN && !self.failed && self.behind.is_none();
                if !near
                    || here.saturating_add(if self.window.is_seekable() { lead } else { 0 })
                        > target
                {
                    self.walk = Walk::new(setup);
                    self.queue.clear();
                }
            }
        }
        Ok(())
    }

    fn seek_to(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let demuxer = Arc::clone(&self.demuxer);
        let Some(setup) = demuxer.setups.get(self.index) else {
            return Ok(None);
        };
        let rate = setup.codec.rate();
        let target = last_sample_at(time, rate);
        self.start(setup, target)?;
        self.failed = false;
        self.behind = None;
        let mut found: VecDeque<Timed> = VecDeque::with_capacity(MAX_LEAD + 2);
        let (mut past, mut broken) = (None, None);
        loop {
            let packet = match self.find() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                // What stands before a broken place can be had.
                Err(DemuxError::Io(error)) => return Err(error.into()),
                Err(error) if !found.is_empty() => {
                    broken = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            };
            // A link of a chain begins with packets that are not heard, at times of the link before.
            if packet.start > target && !found.is_empty() {
                past = Some(packet);
                break;
            }
            let late = packet.start > target;
            if found.len() > MAX_LEAD {
                found.pop_front();
            }
            found.push_back(packet);
            if late {
                break;
            }
        }
        let Some(best) = found.back() else {
            self.failed = true;
            return Ok(None);
        };
        let (at, start) = (best.at, best.start);
        let need = setup.codec.pre_roll();
        let mut lead = 0_u64;
        let mut first = found.len() - 1;
        while first > 0 && lead < need {
            first -= 1;
            lead = lead.saturating_add(found.get(first).map_or(0, |packet| packet.samples));
            // Of Vorbis the one packet before counts, whatever its length.
            if need == 1 {
                break;
            }
        }
        found.drain(..first);
        found.extend(past);
        found.extend(std::mem::take(&mut self.queue));
        self.queue = found;
        self.behind = broken;
        self.heard_from = Some(at);
        Ok(Some(micros(start, rate)))
    }
}

/// Finds a page from which the packet at `target`, and those that prepare its decoder, are reached. `None`: by walking.
fn bisect(
    setup: &Setup,
    window: &mut Window,
    len: u64,
    duration: Option<u64>,
    target: i64,
) -> Result<Option<Walk>, DemuxError> {
    // What the first page says of the start holds for all of the link.
    let mut first = Walk::new(setup);
    if first.next(window, AHEAD_SPARSE)?.is_none() || first.links > 0 {
        return Ok(None);
    }
    let Some(duration) = duration.and_then(|duration| i64::try_from(duration).ok()) else {
        return Ok(None);
    };
    let end = first
        .place(first.heard())
        .saturating_add(last_sample_at(duration, setup.codec.rate()));
    let target = target.min(end);
    let lead = match setup.codec.pre_roll() {
        // Two of the longest blocks.
        1 => 2 * 8192,
        lead => lead,
    };
    let want = target.saturating_sub_unsigned(lead);
    let (mut low, mut high) = (setup.start, len);
    let mut vain = page::Vain::default();
    while high.saturating_sub(low) > WALK {
        let middle = low + (high - low) / 2;
        let wanted = |page: &page::Page| page.serial == setup.serial && page.granule >= 0;
        match page::next(window, middle, high, AHEAD_SPARSE, &mut vain, &wanted) {
            Ok(Some(page))
                if page.at < high && !page.ends() && first.place(page.granule) <= want =>
            {
                low = page.at
            }
            Ok(_) | Err(DemuxError::Invalid { .. }) => high = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(Some(if low == setup.start {
        Walk::new(setup)
    } else {
        Walk::inside(setup, low, first.heard())
    }))
}

impl PacketReader for OggPacketReader {
    fn seek(&mut self, time: i64) -> Result<Option<i64>, DemuxError> {
        let result = self.seek_to(time);
        self.failed |= result.is_err();
        result
    }

    fn next_sample(&mut self) -> Result<Option<Packet>, DemuxError> {
        if self.failed {
            return Ok(None);
        }
        let result = self.advance();
        self.failed = result.is_err();
        result
    }
}

/// The error for a source whose headers end too early.
pub(crate) fn headers_missing(offset: u64, name: &str) -> DemuxError {
    invalid(
        offset,
        format!("expected the headers of {name}, found the end of the source"),
    )
}
