//! Where the sound of a track begins that is heard.

use reelcore_media::EncodedChunk;

use super::time;

/// Where the sound that is heard begins, as far as packets have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No packet has come.
    Unknown,
    /// All packets so far are to be dropped.
    NotYet,
    /// With the first packet, of which nothing is dropped.
    AtOnce,
    /// At the start of a packet and so much after it: what is before that is dropped.
    From {
        /// Microseconds.
        packet: i64,
        /// Nanoseconds.
        after: u128,
    },
}

impl Heard {
    /// Takes the next packet, which lasts `duration` microseconds.
    pub(super) fn follow(&mut self, chunk: &EncodedChunk, duration: u64) {
        if let Self::AtOnce | Self::From { .. } = self {
            return;
        }
        let side = chunk.side.as_deref();
        let after = side.map_or(0, |side| side.discard_start.as_nanos());
        *self = match (*self, after) {
            (Self::Unknown, 0) => Self::AtOnce,
            (_, after) if after == 0 || after < u128::from(duration) * 1000 => Self::From {
                packet: chunk.timestamp,
                after,
            },
            _ => Self::NotYet,
        };
    }

    /// The tick at which it begins, where something is dropped before it. `tick` gives that of a time in microseconds.
    pub(super) fn begins(self, scale: u32, tick: impl Fn(i64) -> i64) -> Option<i64> {
        match self {
            Self::From { packet, after } => {
                Some(tick(packet).saturating_add(time::ticks_of_nanos(after, scale)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use reelcore_media::{ChunkKind, SideData};

    use super::*;

    fn heard(dropped: &[u64]) -> Heard {
        let mut heard = Heard::Unknown;
        for (index, &nanos) in (0..).zip(dropped) {
            let mut chunk = EncodedChunk::new(ChunkKind::Key, index * 20_000, vec![1].into());
            chunk.side = Some(Arc::new(SideData {
                discard_start: Duration::from_nanos(nanos),
                ..SideData::default()
            }));
            heard.follow(&chunk, 20_000);
        }
        heard
    }

    #[test]
    fn sound_behind_whole_packets_that_are_dropped_begins_with_the_next_one() {
        let begins = |dropped: &[u64]| heard(dropped).begins(48_000, |micros| micros * 48 / 1000);
        assert_eq!(heard(&[]), Heard::Unknown);
        assert_eq!(heard(&[0, 20_000_000]), Heard::AtOnce);
        assert_eq!(heard(&[20_000_000, 20_000_000]), Heard::NotYet);
        assert_eq!(begins(&[0]), None);
        assert_eq!(begins(&[20_000_000, 0]), Some(960));
        assert_eq!(begins(&[20_000_000, 20_000_000, 1_000_000, 0]), Some(1968));
        assert_eq!(begins(&[6_500_000, 0]), Some(312));
    }
}
