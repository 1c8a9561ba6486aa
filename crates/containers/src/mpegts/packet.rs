//! Transport packets (ISO/IEC 13818-1, 2.4.3.2) and the places where they begin.

use std::io;

use crate::PROBE_BYTES;
use crate::window::{AHEAD, Window};

/// sync_byte.
const SYNC: u8 = 0x47;

/// Bytes of a transport packet.
pub(super) const PACKET: usize = 188;

/// From packet to packet: plain, after a time stamp of 4 bytes (M2TS), before 16 bytes of error correction.
const STRIDES: [usize; 3] = [PACKET, 192, 204];

/// Packets in a row that are taken for a transport stream.
const ENOUGH: usize = 5;

/// Packets in a row that are taken for the stream's after damage.
const RESYNC: usize = 3;

/// Where the packets of a stream stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the first begins.
    pub(super) first: u64,
    /// From one to the next.
    pub(super) stride: usize,
}

/// A byte that can be a packet's first: the adaptation_field_control of 0 is reserved, which rules out runs of 0x47.
fn is_start(data: &[u8], at: usize) -> bool {
    data.get(at) == Some(&SYNC) && data.get(at + 3).is_some_and(|byte| byte & 0x30 != 0)
}

impl Layout {
    /// The layout of a stream that starts with `head`: all there is, or [`PROBE_BYTES`].
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let whole = head.len() < PROBE_BYTES;
        for stride in STRIDES {
            let last = head.len().saturating_sub(stride.saturating_mul(ENOUGH));
            // A short source is taken from its first packet on; in a longer one damage may stand before.
            let starts = if whole { 0..5.min(head.len()) } else { 0..last };
            for first in starts {
                if !is_start(head, first) {
                    continue;
                }
                let mut places = (first..head.len().saturating_sub(3)).step_by(stride);
                let fits = if whole {
                    places.len() > 1 && places.all(|at| is_start(head, at))
                } else {
                    places.take(ENOUGH).all(|at| is_start(head, at))
                };
                if fits {
                    return Some(Self {
                        first: first as u64,
                        stride,
                    });
                }
            }
        }
        None
    }
}

/// A transport packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct TsPacket<'a> {
    pub(super) pid: u16,
    /// transport_error_indicator: damaged on the way.
    pub(super) damaged: bool,
    /// payload_unit_start_indicator.
    pub(super) starts_unit: bool,
    /// transport_scrambling_control is not 0.
    pub(super) scrambled: bool,
    pub(super) continuity: u8,
    /// discontinuity_indicator: the continuity counter may jump.
    pub(super) discontinuity: bool,
    /// The adaptation field has bytes that only fill the packet, which is the last of what it holds.
    pub(super) stuffed: bool,
    /// `None` where the packet has none.
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> TsPacket<'a> {
    /// Reads a packet; `None` where its adaptation field is longer than it.
    fn parse(data: &'a [u8; PACKET]) -> Option<Self> {
        let [_, b1, b2, b3, body @ ..] = data;
        let (mut discontinuity, mut stuffed, mut rest) = (false, false, &body[..]);
        if b3 & 0x20 != 0 {
            let (&length, after) = rest.split_first()?;
            let (field, after) = after.split_at_checked(usize::from(length))?;
            discontinuity = field.first().is_some_and(|flags| flags & 0x80 != 0);
            stuffed = is_stuffed(field);
            rest = after;
        }
        Some(Self {
            pid: u16::from(b1 & 0x1f) << 8 | u16::from(*b2),
            damaged: b1 & 0x80 != 0,
            starts_unit: b1 & 0x40 != 0,
            scrambled: b3 & 0xc0 != 0,
            continuity: b3 & 15,
            discontinuity,
            stuffed,
            payload: (b3 & 0x10 != 0).then_some(rest),
        })
    }
}

/// Whether an adaptation field (2.4.3.4) is longer than what its flags say is in it.
fn is_stuffed(field: &[u8]) -> bool {
    let Some((&flags, fields)) = field.split_first().filter(|(flags, _)| **flags != 0) else {
        return true;
    };
    let mut used = 0;
    // PCR, OPCR, splice_countdown; private data and the extension say their length.
    for (flag, size) in [(0x10, 6), (0x08, 6), (0x04, 1), (0x02, 0), (0x01, 0)] {
        if flags & flag != 0 {
            let own = fields.get(used).filter(|_| size == 0);
            used += size + own.map_or(0, |&length| 1 + usize::from(length));
        }
    }
    used < fields.len()
}

/// The packets of a source in order.
pub(super) struct Packets {
    window: Window,
    stride: usize,
    at: u64,
    /// Bytes that one read takes in.
    ahead: usize,
    /// The packet before, where `at` adjoins it.
    before: Option<u64>,
}

impl Packets {
    pub(super) fn new(window: Window, layout: Layout) -> Self {
        Self {
            window,
            stride: layout.stride,
            at: layout.first,
            ahead: AHEAD,
            before: None,
        }
    }

    /// Goes on with the first packet at or after `offset`, and takes in `ahead` bytes at once.
    pub(super) fn goto(&mut self, offset: u64, ahead: usize) {
        self.at = offset;
        self.ahead = ahead;
        self.before = None;
    }

    /// Where the next packet is looked for.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next packet with its offset. Bytes that are no packets are passed over, and so are packets that cannot be
    /// read: gaps in the continuity counters tell of them. `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, TsPacket<'_>)>> {
        // Twice over the window, because a slice that is returned from within a loop stays borrowed.
        let at = loop {
            let data = self.window.peek(self.at, PACKET, self.ahead)?;
            let Some(packet) = data.first_chunk() else {
                return Ok(None);
            };
            if packet.first() == Some(&SYNC) {
                let at = self.at;
                self.at = at.saturating_add(self.stride as u64);
                self.before = Some(at);
                if TsPacket::parse(packet).is_some() {
                    break at;
                }
            } else if !self.resync()? {
                return Ok(None);
            }
        };
        let data = self.window.peek(at, PACKET, self.ahead)?;
        let packet = data.first_chunk().and_then(TsPacket::parse);
        Ok(packet.map(|packet| (at, packet)))
    }

    /// Moves on to where packets begin again; `false` at the end.
    fn resync(&mut self) -> io::Result<bool> {
        // The packet before may have been bytes that looked like one, and reach into a real one.
        if let Some(before) = self.before.take() {
            self.at = before.saturating_add(1);
        }
        let need = self.stride.saturating_mul(RESYNC + 1);
        loop {
            let data = self.window.peek(self.at, need, self.ahead)?;
            let whole = data.len() < need;
            let starts = data
                .len()
                .saturating_sub(if whole { PACKET - 1 } else { need });
            let found = (0..starts).find(|&start| {
                let mut places = (start..data.len().saturating_sub(3)).step_by(self.stride);
                places.by_ref().take(RESYNC).all(|at| is_start(data, at))
            });
            if let Some(start) = found {
                self.at = self.at.saturating_add(start as u64);
                return Ok(true);
            }
            if whole {
                return Ok(false);
            }
            self.at = self.at.saturating_add(starts.max(1) as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(stride: usize, lead: usize, count: usize) -> Vec<u8> {
        let mut out = vec![0x55; lead];
        for _ in 0..count {
            let mut cell = vec![0; stride];
            cell[..4].copy_from_slice(&[SYNC, 1, 0, 0x10]);
            out.extend(cell);
        }
        out
    }

    #[test]
    fn stuffing_is_told_from_what_an_adaptation_field_holds() {
        let pcr = [0x50, 1, 2, 3, 4, 5, 6];
        let private = [&[0x02, 3][..], &[7; 3]].concat();
        for plain in [&pcr[..], &[0x40], &private] {
            assert!(!is_stuffed(plain), "{plain:?}");
            assert!(is_stuffed(&[plain, &[0xff]].concat()), "{plain:?}");
        }
        // One and two bytes of stuffing alone.
        assert!(is_stuffed(&[]) && is_stuffed(&[0]) && is_stuffed(&[0, 0xff]));
        // A length that reaches out of the field.
        assert!(!is_stuffed(&[0x02, 200, 1]));
    }

    #[test]
    fn all_strides_are_told_apart_and_runs_of_one_byte_are_not_taken() {
        for stride in STRIDES {
            for lead in [0, 4, 77] {
                let head = stream(stride, lead, 40);
                let layout = Layout {
                    first: lead as u64,
                    stride,
                };
                assert_eq!(Layout::detect(&head[..PROBE_BYTES]), Some(layout));
            }
            let short = stream(stride, 4, 3);
            assert_eq!(Layout::detect(&short).map(|l| l.stride), Some(stride));
        }
        assert_eq!(Layout::detect(&[SYNC; PROBE_BYTES]), None);
        assert_eq!(Layout::detect(&[0; PROBE_BYTES]), None);
        assert_eq!(Layout::detect(&[]), None);
    }
}
