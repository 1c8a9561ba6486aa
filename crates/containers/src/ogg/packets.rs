//! Packets out of the pages of one logical stream (RFC 3533, section 5).

use bytes::{Bytes, BytesMut};
use reelcore_media::demux::DemuxError;

use super::page::Page;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// Byte offset of its first byte.
    pub(crate) at: u64,
    pub(crate) data: Bytes,
}

/// Puts packets together.
#[derive(Clone, Debug)]
pub(crate) struct Assembler {
    /// What is there of a packet that goes on: where it began.
    partial: Option<(u64, BytesMut)>,
    /// The number of the next page.
    expected: Option<u32>,
    /// Bytes of a packet, at most.
    max: usize,
    /// Whether a longer packet is cut short; else it is an error.
    cut: bool,
}

impl Assembler {
    pub(crate) fn new(max: usize, cut: bool) -> Self {
        Self {
            partial: None,
            expected: None,
            max,
            cut,
        }
    }

    /// The packets that end on `page`. A packet of which a page was lost is lost.
    pub(crate) fn add(&mut self, page: &Page) -> Result<Vec<Raw>, DemuxError> {
        let lost = self
            .expected
            .is_some_and(|expected| expected != page.sequence);
        self.expected = Some(page.sequence.wrapping_add(1));
        if lost || !page.continued() {
            self.partial = None;
        }
        // Without its start the rest of a packet is nothing.
        let mut dropping = page.continued() && self.partial.is_none();
        let mut packets = Vec::new();
        let (mut start, mut end) = (0_usize, 0_usize);
        for (index, &size) in page.lacing.iter().enumerate() {
            end += usize::from(size);
            let last = index + 1 == page.lacing.len();
            if size == 255 && !last {
                continue;
            }
            let (from, to) = (start.min(page.body.len()), end.min(page.body.len()));
            start = end;
            let at = page.body_at() + from as u64;
            let here = to - from;
            let held = self.partial.as_ref().map_or(0, |(_, held)| held.len());
            let mut piece = page.body.slice(from..to);
            if held + here > self.max {
                if !self.cut {
                    return Err(DemuxError::Limit(format!(
                        "the packet at byte {at} has more than {} bytes",
                        self.max
                    )));
                }
                piece.truncate(self.max.saturating_sub(held));
            }
            if size == 255 {
                // It goes on; what is whole on one page is not copied.
                if !dropping {
                    let (_, held) = self.partial.get_or_insert_with(|| (at, BytesMut::new()));
                    held.extend_from_slice(&piece);
                }
                continue;
            }
            if std::mem::take(&mut dropping) {
                continue;
            }
            packets.push(match self.partial.take() {
                Some((at, mut held)) => {
                    held.extend_from_slice(&piece);
                    Raw {
                        at,
                        data: held.freeze(),
                    }
                }
                None => Raw { at, data: piece },
            });
        }
        Ok(packets)
    }
}
