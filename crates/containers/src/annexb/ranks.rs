//! The place of each picture in output order, from picture order counts.

use super::splitter::Picture;

/// The largest decoded picture buffer, in fields.
const MAX_WAITING: usize = 32;

/// Gives each picture its time in output order: a picture's turn comes when more pictures wait than its sequence
/// reorders (H.264, C.4.5.3; HEVC, C.5.2).
#[derive(Clone, Debug, Default)]
pub(super) struct Ranks {
    waiting: Vec<Waiting>,
    next: u64,
    last: Option<i32>,
    /// What a sequence reorders beyond what it says.
    excess: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    poc: i32,
    id: u64,
    ticks: u64,
}

/// How long a picture is shown, in halves of a frame.
pub(super) fn ticks(picture: &Picture) -> u64 {
    if picture.field { 1 } else { 2 }
}

impl Ranks {
    /// The time of the next picture whose turn comes.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Takes a picture in decoding order; `sink` gets the number and the time of each whose turn has come.
    pub(super) fn push(&mut self, picture: &Picture, id: u64, sink: &mut dyn FnMut(u64, u64)) {
        if picture.restart || picture.poc.is_none() {
            self.drain(sink);
            self.last = None;
        }
        let poc = picture.poc.unwrap_or(0);
        if self.last.is_some_and(|last| poc < last) {
            // It is late: the stream reorders more than it says.
            self.excess = (self.excess + 1).min(MAX_WAITING);
        }
        self.waiting.push(Waiting {
            poc,
            id,
            ticks: ticks(picture),
        });
        let depth = usize::from(picture.reorder) * if picture.field { 2 } else { 1 };
        let depth = (depth + self.excess).min(MAX_WAITING);
        while self.waiting.len() > depth {
            self.leave(sink);
        }
    }

    /// The turn of every picture has come.
    pub(super) fn drain(&mut self, sink: &mut dyn FnMut(u64, u64)) {
        while self.leave(sink) {}
    }

    fn leave(&mut self, sink: &mut dyn FnMut(u64, u64)) -> bool {
        // Of pictures with the same count the first decoded, the first field of a frame, goes first.
        let first = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(_, w)| (w.poc, w.id));
        let Some((index, &picture)) = first else {
            return false;
        };
        self.waiting.swap_remove(index);
        self.last = Some(picture.poc);
        sink(picture.id, self.next);
        self.next = self.next.saturating_add(picture.ticks);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pictures: &[(i32, bool, bool)], reorder: u8) -> Vec<u64> {
        let mut ranks = Ranks::default();
        let mut out = vec![u64::MAX; pictures.len()];
        let mut sink = |id: u64, time: u64| out[id as usize] = time;
        for (id, &(poc, restart, field)) in pictures.iter().enumerate() {
            let picture = Picture {
                key: restart,
                restart,
                poc: Some(poc),
                field,
                reorder,
            };
            ranks.push(&picture, id as u64, &mut sink);
        }
        ranks.drain(&mut sink);
        out
    }

    #[test]
    fn pictures_are_shown_by_count_within_a_sequence() {
        let frame = |poc| (poc, poc == 0, false);
        let pyramid = [0, 8, 4, 2, 6, 0, 4, 2].map(frame);
        assert_eq!(run(&pyramid, 2), [0, 8, 4, 2, 6, 10, 14, 12]);
        // More than the stream says: late once, then right.
        let out = run(&pyramid[..5], 0);
        assert_eq!(out.len(), 5);
        assert!(out.iter().all(|&time| time <= 8));
    }

    #[test]
    fn fields_last_half_as_long_as_frames() {
        let fields = [
            (0, true, true),
            (1, false, true),
            (8, false, false),
            (4, false, true),
            (5, false, true),
        ];
        assert_eq!(run(&fields, 1), [0, 1, 4, 2, 3]);
    }
}
