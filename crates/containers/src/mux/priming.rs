//! Sound that a decoder gives before the first that is heard: Matroska's CodecDelay, Ogg's pre-skip.
//!
//! Blocks count so that the first heard sound is where the track says; readers subtract CodecDelay from the times of
//! blocks, and drop as much of what they decode.

use bytes::Bytes;
use reelcore_media::AudioCodec;
use reelcore_media::mux::{MuxError, OutputPacket};

/// Packets that are dropped as a whole before the first that is heard, at most.
const MAX_WAITING: usize = 512;

/// How a track of sound begins.
#[derive(Debug)]
pub(crate) struct Priming {
    /// What the codec's own header says, in nanoseconds: for packets that say nothing.
    header: u64,
    /// Packets that are all dropped.
    waiting: Vec<OutputPacket>,
    /// Nanoseconds to drop so far.
    dropped: i128,
    /// Whether timestamps count from the first sound that is kept.
    counts_kept: bool,
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// CodecDelay in nanoseconds.
    delay: u64,
    /// Whether timestamps count from the first sound that is kept.
    counts_kept: bool,
}

/// Nanoseconds of so many frames of 48 kHz.
fn of_opus(frames: u16) -> u64 {
    u64::from(frames) * 1_000_000_000 / 48_000
}

fn pre_skip(head: &[u8]) -> Option<u16> {
    let field = head.strip_prefix(b"OpusHead")?.get(2..4)?;
    field.first_chunk().map(|field| u16::from_le_bytes(*field))
}

impl Priming {
    pub(crate) fn new(codec: Option<AudioCodec>, private: Option<&[u8]>) -> Self {
        let header = match codec {
            Some(AudioCodec::Opus) => private.and_then(pre_skip).map_or(0, of_opus),
            _ => 0,
        };
        Self {
            header,
            waiting: Vec::new(),
            dropped: 0,
            counts_kept: false,
            known: match codec {
                None => Some(Known {
                    delay: 0,
                    counts_kept: false,
                }),
                Some(_) => None,
            },
        }
    }

    /// CodecDelay in nanoseconds, once it is known.
    pub(crate) fn delay(&self) -> u64 {
        self.known.map_or(self.header, |known| known.delay)
    }

    /// How much later than a packet's timestamp its block is, in nanoseconds.
    pub(crate) fn later(&self) -> i128 {
        match self.known {
            // The timestamp is CodecDelay ahead of the first decoded sound already.
            Some(known) if !known.counts_kept => i128::from(known.delay),
            _ => 0,
        }
    }

    /// How much earlier than its timestamp a packet is decoded, in nanoseconds: where timestamps count what is kept.
    pub(crate) fn delay_beyond(&self) -> i128 {
        i128::from(self.delay()) - self.later()
    }

    /// Takes a packet that lasts `lasts` nanoseconds, and gives those that may be written.
    pub(crate) fn push(
        &mut self,
        packet: OutputPacket,
        lasts: Option<i128>,
        ready: &mut Vec<OutputPacket>,
    ) {
        if self.known.is_some() {
            return ready.push(packet);
        }
        let side = packet.chunk.side.as_deref();
        let dropped = side.map_or(0, |side| side.discard_start.as_nanos());
        let dropped = i128::try_from(dropped).unwrap_or(i128::MAX);
        if self.waiting.is_empty() {
            self.counts_kept = side.is_some_and(|side| side.counts_kept);
            // What an encoder's packets are without what it says beside them.
            if side.is_none() && self.header > 0 {
                self.known = Some(Known {
                    delay: self.header,
                    counts_kept: true,
                });
                return ready.push(packet);
            }
        }
        let said = packet
            .chunk
            .duration
            .map(|micros| i128::from(micros) * 1000);
        let lasts = lasts.or(said);
        // Less than a frame short of all of it is all of it.
        let whole = lasts.is_some_and(|lasts| dropped.saturating_add(1000) >= lasts);
        // Of a packet that is dropped whole only what there is of it.
        let here = lasts.filter(|_| whole).unwrap_or(dropped);
        self.dropped = self.dropped.saturating_add(here);
        self.waiting.push(packet);
        if !whole || self.waiting.len() >= MAX_WAITING {
            self.settle(ready);
        }
    }

    fn settle(&mut self, ready: &mut Vec<OutputPacket>) {
        self.known = Some(Known {
            delay: u64::try_from(self.dropped.max(0)).unwrap_or(u64::MAX),
            counts_kept: self.counts_kept,
        });
        ready.append(&mut self.waiting);
    }

    /// No packet follows: what waits is all that is there.
    pub(crate) fn finish(&mut self, ready: &mut Vec<OutputPacket>) {
        if self.known.is_none() {
            if self.waiting.is_empty() {
                self.dropped = i128::from(self.header);
            }
            self.settle(ready);
        }
    }

    /// The identification header of Opus with CodecDelay as its pre-skip: they have to be the same.
    pub(crate) fn opus_head(&self, head: &Bytes) -> Result<Bytes, MuxError> {
        let delay = self.delay();
        let frames = (u128::from(delay) * 48_000 + 500_000_000) / 1_000_000_000;
        let frames = u16::try_from(frames).map_err(|_| {
            MuxError::Invalid(format!(
                "expected at most 65535 frames of Opus to drop at the start, found {frames}"
            ))
        })?;
        if pre_skip(head) == Some(frames) {
            return Ok(head.clone());
        }
        let mut head = head.to_vec();
        if let Some(field) = head.get_mut(10..12) {
            field.copy_from_slice(&frames.to_le_bytes());
        }
        Ok(head.into())
    }
}
