//! Transport packets (2.4.3.2) of the bytes of a PES packet or a section.

use bytes::{Bytes, BytesMut};

/// Bytes of a transport packet.
const PACKET: usize = 188;
/// Bytes of its header.
const HEADER: usize = 4;

/// What the adaptation field of the first packet says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adaptation {
    /// Decoding can start here.
    pub(super) random_access: bool,
    /// The program clock reference, in ticks of 27 MHz.
    pub(super) pcr: Option<u64>,
}

impl Adaptation {
    /// The field without its length; empty where there is nothing to say.
    fn bytes(self) -> Vec<u8> {
        if self == Self::default() {
            return Vec::new();
        }
        let flags = u8::from(self.random_access) << 6 | u8::from(self.pcr.is_some()) << 4;
        let mut field = vec![flags];
        if let Some(pcr) = self.pcr {
            // 33 bits at 90 kHz, 6 reserved, 9 bits of the 300 parts of such a tick.
            let (base, extension) = ((pcr / 300) & 0x1_ffff_ffff, pcr % 300);
            let packed = base << 15 | 0x3f << 9 | extension;
            field.extend(packed.to_be_bytes().into_iter().skip(2));
        }
        field
    }
}

/// One elementary stream, or table, by its PID.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) pid: u16,
    /// The continuity_counter of the next packet.
    continuity: u8,
}

impl Carrier {
    pub(super) fn new(pid: u16) -> Self {
        Self { pid, continuity: 0 }
    }

    /// Puts `pieces`, one after another, into transport packets at the end of `out`. The bytes are copied, since a
    /// packet holds up to 184 of them.
    pub(super) fn write(&mut self, pieces: &[Bytes], first: Adaptation, out: &mut BytesMut) {
        let mut left: usize = pieces.iter().map(Bytes::len).sum();
        let mut bytes = pieces.iter().flat_map(|piece| piece.chunks(PACKET));
        let mut rest: &[u8] = &[];
        out.reserve(left.div_ceil(PACKET - HEADER).saturating_add(1) * PACKET);
        let mut field = first.bytes();
        let mut start = true;
        while left > 0 {
            let mut has_field = !field.is_empty();
            let room = PACKET - HEADER - if has_field { 1 + field.len() } else { 0 };
            let mut stuffing = room.saturating_sub(left);
            let count = room.min(left);
            let mut head = [
                0x47,
                u8::from(start) << 6 | (self.pid >> 8) as u8 & 31,
                self.pid as u8,
                0,
            ];
            if stuffing > 0 && !has_field {
                // The length of the field is a byte of stuffing itself; a field that goes on has its flags first.
                has_field = true;
                stuffing -= 1;
                if stuffing > 0 {
                    field.push(0);
                    stuffing -= 1;
                }
            }
            head[3] = u8::from(has_field) << 5 | 0x10 | self.continuity;
            self.continuity = (self.continuity + 1) & 15;
            out.extend_from_slice(&head);
            if has_field {
                out.extend_from_slice(&[(field.len() + stuffing) as u8]);
                out.extend_from_slice(&field);
                out.resize(out.len() + stuffing, 0xff);
            }
            let mut want = count;
            while want > 0 {
                if rest.is_empty() {
                    rest = bytes.next().unwrap_or_default();
                }
                let (now, later) = rest.split_at(want.min(rest.len()));
                out.extend_from_slice(now);
                (rest, want) = (later, want - now.len());
            }
            left -= count;
            field.clear();
            start = false;
        }
    }

    /// Puts a section into transport packets, filled up behind it.
    pub(super) fn section(&mut self, section: &[u8], out: &mut BytesMut) {
        // pointer_field: the section begins right behind it.
        let mut bytes = vec![0];
        bytes.extend_from_slice(section);
        let whole = bytes.len().next_multiple_of(PACKET - HEADER);
        bytes.resize(whole, 0xff);
        self.write(&[bytes.into()], Adaptation::default(), out);
    }

    /// A packet with nothing but a clock reference: its counter stands still.
    pub(super) fn clock(&self, pcr: u64, out: &mut BytesMut) {
        let field = Adaptation {
            random_access: false,
            pcr: Some(pcr),
        };
        let field = field.bytes();
        let end = out.len() + PACKET;
        let last = self.continuity.wrapping_sub(1) & 15;
        out.extend_from_slice(&[
            0x47,
            (self.pid >> 8) as u8 & 31,
            self.pid as u8,
            0x20 | last,
            (PACKET - HEADER - 1) as u8,
        ]);
        out.extend_from_slice(&field);
        out.resize(end, 0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_length_packets_are_whole_and_give_the_bytes_back() {
        let fields = [
            Adaptation::default(),
            Adaptation {
                random_access: true,
                pcr: Some(300 * 90_000 + 7),
            },
        ];
        for len in (1..600).chain([18_400]) {
            for first in fields {
                let data: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                let (a, b) = data.split_at(len / 3);
                let pieces = [Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)];
                let mut out = BytesMut::new();
                Carrier::new(0x1234).write(&pieces, first, &mut out);
                assert_eq!(out.len() % PACKET, 0);
                let mut got = Vec::new();
                for (number, packet) in out.chunks(PACKET).enumerate() {
                    assert_eq!(packet[0], 0x47);
                    assert_eq!(packet[3] & 15, number as u8 & 15);
                    let field = match packet[3] & 0x20 {
                        0 => 0,
                        _ => 1 + usize::from(packet[4]),
                    };
                    got.extend_from_slice(&packet[4 + field..]);
                }
                assert!(got == data, "{len} bytes");
            }
        }
    }
}
