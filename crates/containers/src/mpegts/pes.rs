//! PES packets (2.4.3.6) out of the transport packets of one PID.

use bytes::Bytes;
use reelcore_media::demux::DemuxError;

use super::clock::{Clock, Moment};
use super::framer::{Framer, Mark, Setup};
use super::packet::TsPacket;

/// The fixed fields of a PES header up to PES_header_data_length.
const FIXED: usize = 9;

/// A packet of a track: an access unit, an audio frame, or a PES packet's payload.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) data: Bytes,
    /// When it is shown or heard; `None` where nothing tells.
    pub(super) pts: Option<Moment>,
    /// When it is decoded, in ticks.
    pub(super) dts: Option<i64>,
    /// When it ends, where known.
    pub(super) end: Option<Moment>,
    pub(super) key: bool,
    /// Where the transport packet begins that starts its PES packet.
    pub(super) offset: u64,
    /// The same of the PES packet whose time stamp its time comes from, and that stamp.
    pub(super) anchor: (u64, i64),
    /// It lacks parameter sets that a decoder starting here needs.
    pub(super) lacks_sets: bool,
    /// Samples of 48 kHz to drop at its start and at its end.
    pub(super) trims: (u32, u32),
    pub(super) setup: Setup,
}

/// The last transport packet with payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    continuity: u8,
    starts_unit: bool,
    stuffed: bool,
    /// Bytes of the payload, and the last of them.
    len: usize,
    tail: Option<[u8; 16]>,
}

impl Last {
    fn of(packet: &TsPacket<'_>, payload: &[u8]) -> Self {
        Self {
            continuity: packet.continuity,
            starts_unit: packet.starts_unit,
            stuffed: packet.stuffed,
            len: payload.len(),
            tail: payload.last_chunk().copied(),
        }
    }
}

/// Where in a PES packet the stream is.
#[derive(Debug)]
enum State {
    /// In front of the next start of a PES packet.
    Waiting,
    /// In the header.
    Header(Vec<u8>),
    /// In the payload, of which so many bytes are left, where its length is given.
    Payload(Option<usize>),
}

/// Puts the packets of an elementary stream together.
///
/// The transport packets hold up to 184 bytes of it each, so they are copied once, into the framer's buffer; frames are
/// slices of that.
#[derive(Debug)]
pub(super) struct PesStream {
    last: Option<Last>,
    /// The stream may have been put together from two since the last packet.
    joined: bool,
    state: State,
    /// Offset of the transport packet that starts the PES packet.
    start: u64,
    clock: Clock,
    pub(super) framer: Framer,
    /// Packets whose payload is scrambled have come.
    pub(super) scrambled: bool,
    max_packet_bytes: u64,
}

impl PesStream {
    pub(super) fn new(framer: Framer, clock: Clock, max_packet_bytes: u64) -> Self {
        Self {
            last: None,
            joined: false,
            state: State::Waiting,
            start: 0,
            clock,
            framer,
            scrambled: false,
            max_packet_bytes,
        }
    }

    /// Starts anew elsewhere in the stream.
    pub(super) fn restart(&mut self, clock: Clock) {
        self.last = None;
        self.joined = false;
        self.state = State::Waiting;
        self.clock = clock;
        self.framer.restart();
    }

    /// The stream goes on under another PID.
    pub(super) fn moved(&mut self) {
        self.finish();
        self.last = None;
    }

    /// The stream goes on as another kind, which `framer` cuts. What cut the last one, without the frames that are out.
    pub(super) fn go_over(&mut self, framer: Framer) -> Framer {
        self.moved();
        let mut last = std::mem::replace(&mut self.framer, framer);
        self.framer.out = std::mem::take(&mut last.out);
        last
    }

    /// The tables are counted from 0 again: another stream may have been put behind.
    pub(super) fn joined(&mut self) {
        self.joined = true;
    }

    /// Nothing adjoins what has come: it is whole.
    pub(super) fn finish(&mut self) {
        // The end of a PES packet of unknown length is the next start, or the end of the stream. One that says how long
        // it is and has not all of it is cut short.
        let whole = !matches!(self.state, State::Header(_))
            && !matches!(self.state, State::Payload(Some(left)) if left > 0);
        self.framer.finish(whole);
        self.state = State::Waiting;
    }

    /// Bytes are missing: what they belong to is dropped, up to the next start of a PES packet.
    fn lost(&mut self) {
        // What ended in stuffing was the end of a PES packet.
        let complete = match self.state {
            State::Payload(Some(left)) => left == 0,
            State::Payload(None) => self.last.is_some_and(|last| last.stuffed),
            State::Waiting | State::Header(_) => false,
        };
        self.framer.lost(complete);
        self.state = State::Waiting;
    }

    /// Takes the transport packet at `offset`.
    pub(super) fn push(&mut self, packet: &TsPacket<'_>, offset: u64) -> Result<(), DemuxError> {
        if packet.damaged {
            self.lost();
            self.last = None;
            return Ok(());
        }
        // 2.4.3.3: the counter counts packets with payload; one of them may be sent twice.
        let Some(payload) = packet.payload else {
            return Ok(());
        };
        let joined = std::mem::take(&mut self.joined) && packet.continuity == 0;
        let this = Last::of(packet, payload);
        if let Some(last) = self.last {
            let expected = (last.continuity + 1) & 15;
            if last == this && !packet.discontinuity {
                return Ok(());
            } else if expected != packet.continuity {
                if (packet.discontinuity || joined) && packet.starts_unit {
                    // A splice: what came before it is whole.
                    self.finish();
                } else {
                    self.lost();
                }
            }
        }
        self.last = Some(this);
        if packet.scrambled {
            self.scrambled = true;
            self.lost();
            return Ok(());
        }
        if packet.starts_unit {
            if matches!(self.state, State::Payload(Some(left)) if left > 0) {
                // Shorter than it said.
                self.lost();
            }
            self.framer.end_of_pes();
            self.start = offset;
            self.state = State::Header(Vec::new());
        }
        match &mut self.state {
            State::Waiting => {}
            State::Header(head) => {
                head.extend_from_slice(payload);
                let head = std::mem::take(head);
                self.header(head);
            }
            State::Payload(left) => {
                let take = left.map_or(payload.len(), |left| left.min(payload.len()));
                if let Some(left) = left {
                    *left -= take;
                }
                let done = *left == Some(0);
                self.framer.push(payload.get(..take).unwrap_or_default());
                if done {
                    self.framer.end_of_pes();
                }
            }
        }
        if self.framer.held() as u64 > self.max_packet_bytes {
            return Err(DemuxError::Limit(format!(
                "the packet at byte {} has more than {} bytes",
                self.start, self.max_packet_bytes
            )));
        }
        Ok(())
    }

    /// Reads the header at the front of `head`, if it is all there, and passes on what follows it.
    fn header(&mut self, head: Vec<u8>) {
        let Some(&[0, 0, 1, stream_id, high, low]) = head.first_chunk::<6>() else {
            // Longer than that and no start code: no PES packet.
            self.state = if head.len() < 6 {
                State::Header(head)
            } else {
                State::Waiting
            };
            return;
        };
        // Streams without the fields below: program_stream_map, padding, private_stream_2, ECM, EMM, DSM-CC, directory.
        if matches!(stream_id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
            self.state = State::Waiting;
            return;
        }
        let Some(&fields) = head.get(6..).and_then(|rest| rest.first_chunk::<3>()) else {
            self.state = State::Header(head);
            return;
        };
        let [marker, flags, length] = fields;
        if marker & 0xc0 != 0x80 {
            self.state = State::Waiting;
            return;
        }
        let begin = FIXED + usize::from(length);
        let Some((header, payload)) = head.split_at_checked(begin) else {
            self.state = State::Header(head);
            return;
        };
        // PES_packet_length counts from behind itself; 0: up to the next start.
        let size = match usize::from(u16::from_be_bytes([high, low])) {
            0 => None,
            size => Some((size + 6).saturating_sub(begin)),
        };
        // PES_scrambling_control
        if marker & 0x30 != 0 {
            self.scrambled = true;
            self.lost();
            return;
        }
        let optional = header.get(FIXED..).unwrap_or_default();
        let stamp = |at: usize, has: bool| has.then(|| time_stamp(optional.get(at..)?)).flatten();
        let pts = stamp(0, flags & 0x80 != 0).map(|stamp| self.clock.unroll(stamp));
        let dts = stamp(5, flags & 0xc0 == 0xc0)
            .zip(pts)
            // Nothing is presented before it is decoded, whatever a damaged field or a faulty writer says.
            .map(|(stamp, pts)| Clock::near(pts).unroll(stamp).min(pts));
        self.framer.mark(Mark {
            offset: self.start,
            pts,
            dts,
        });
        let take = size.map_or(payload.len(), |size| size.min(payload.len()));
        self.framer.push(payload.get(..take).unwrap_or_default());
        let left = size.map(|size| size - take);
        self.state = State::Payload(left);
        if left == Some(0) {
            self.framer.end_of_pes();
        }
    }
}

/// A PTS or DTS field: 33 bits in five bytes with marker bits.
fn time_stamp(field: &[u8]) -> Option<u64> {
    let &[a, b, c, d, e] = field.first_chunk()?;
    (a & c & e & 1 == 1).then_some(
        u64::from(a >> 1 & 7) << 30
            | u64::from(b) << 22
            | u64::from(c >> 1) << 15
            | u64::from(d) << 7
            | u64::from(e >> 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_have_33_bits_and_marker_bits() {
        assert_eq!(time_stamp(&[0x21, 0, 1, 0, 1]), Some(0));
        assert_eq!(
            time_stamp(&[0x3f, 0xff, 0xff, 0xff, 0xff]),
            Some((1 << 33) - 1)
        );
        assert_eq!(time_stamp(&[0x21, 0, 0, 0, 1]), None);
        assert_eq!(time_stamp(&[0x21, 0, 1, 0]), None);
    }
}
