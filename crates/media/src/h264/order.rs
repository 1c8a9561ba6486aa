//! The order of output: frames wait until no frame that is still to be decoded can precede them.

use super::sps::Sps;

/// The most frames that ever wait: the largest decoded picture buffer (A.3.1).
const MAX_WAITING: usize = 16;

/// Holds decoded frames back until their turn by picture order count.
///
/// A frame leaves when more frames wait than max_num_reorder_frames lets precede a frame in decoding
/// order and follow it in output order (C.4.5.3, E.2.1), or when its count is the next integer after
/// the last one that left. With `low_latency` a frame also leaves when it starts a sequence, or when
/// its count is two after the last (counts of frames are even in practice, as each holds two fields);
/// a stream that proves this wrong is not hurried again.
#[derive(Debug)]
pub struct OutputOrder<T> {
    waiting: Vec<(i32, T)>,
    depth: usize,
    low_latency: bool,
    step: i32,
    last: Option<i32>,
}

impl<T> OutputOrder<T> {
    /// An empty buffer.
    pub fn new(low_latency: bool) -> Self {
        Self {
            waiting: Vec::with_capacity(MAX_WAITING + 1),
            depth: 0,
            low_latency,
            step: 1,
            last: None,
        }
    }

    /// Starts a coded video sequence: outputs what waits, since an IDR picture follows every
    /// earlier picture in output order.
    pub fn start_sequence(&mut self, sps: &Sps, sink: &mut dyn FnMut(T)) {
        self.restart(sink);
        self.depth = (sps.reorder_frames() as usize).min(MAX_WAITING);
        self.step = if self.low_latency { 2 } else { 1 };
    }

    /// Restarts counting at a picture with memory_management_control_operation 5: outputs what waits.
    pub fn restart(&mut self, sink: &mut dyn FnMut(T)) {
        self.drain(sink);
        self.last = None;
    }

    /// Takes a decoded frame of picture order count `poc`, and outputs every frame whose turn it is.
    pub fn push(&mut self, poc: i32, frame: T, sink: &mut dyn FnMut(T)) {
        if poc % 2 != 0 {
            self.step = 1;
        }
        if self.last.is_some_and(|last| poc < last) {
            // The stream reorders more than it said, so frames were let go too early. This one is
            // late already; the next ones shall not be.
            self.depth = (self.depth + 1).min(MAX_WAITING);
            self.step = 1;
        }
        self.waiting.push((poc, frame));
        loop {
            let next = self.waiting.iter().enumerate().min_by_key(|(_, w)| w.0);
            let Some((index, &(poc, _))) = next else {
                return;
            };
            let in_turn = match self.last {
                Some(last) => poc <= last.saturating_add(self.step),
                None => self.low_latency,
            };
            if self.waiting.len() <= self.depth && !in_turn {
                return;
            }
            self.last = Some(poc);
            sink(self.waiting.swap_remove(index).1);
        }
    }

    /// Outputs every frame that waits.
    pub fn drain(&mut self, sink: &mut dyn FnMut(T)) {
        self.waiting.sort_by_key(|(poc, _)| *poc);
        for (poc, frame) in self.waiting.drain(..) {
            self.last = Some(poc);
            sink(frame);
        }
    }

    /// Forgets every frame that waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(depth: usize, low_latency: bool, pocs: &[i32]) -> Vec<(usize, i32)> {
        let mut order = OutputOrder::new(low_latency);
        order.depth = depth;
        order.step = if low_latency { 2 } else { 1 };
        let mut out = Vec::new();
        for (decoded, &poc) in pocs.iter().enumerate() {
            order.push(poc, poc, &mut |poc| out.push((decoded, poc)));
        }
        order.drain(&mut |poc| out.push((pocs.len(), poc)));
        out
    }

    fn pocs(out: &[(usize, i32)]) -> Vec<i32> {
        out.iter().map(|&(_, poc)| poc).collect()
    }

    const PYRAMID: [i32; 9] = [0, 8, 4, 2, 6, 16, 12, 10, 14];

    #[test]
    fn frames_leave_in_picture_order_with_the_delay_the_stream_states() {
        let out = run(2, false, &PYRAMID);
        assert_eq!(pocs(&out), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        // More than two frames wait from the third decoded on.
        assert_eq!(out[0].0, 2);
        assert_eq!(out[1].0, 3);
    }

    #[test]
    fn low_latency_lets_a_frame_go_as_soon_as_it_is_known_to_be_next() {
        let out = run(16, true, &PYRAMID);
        assert_eq!(pocs(&out), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(out[0].0, 0, "the IDR picture does not wait");
        assert_eq!(out[1], (3, 2));
        let out = run(16, true, &[0, 2, 4, 6]);
        assert!(
            out.iter()
                .enumerate()
                .all(|(i, &(decoded, _))| i == decoded)
        );
    }

    #[test]
    fn a_stream_without_reordering_does_not_wait() {
        let out = run(0, false, &[0, 2, 4]);
        assert_eq!(out, [(0, 0), (1, 2), (2, 4)]);
    }

    #[test]
    fn no_frame_is_lost_when_a_stream_reorders_more_than_it_said() {
        let out = run(0, false, &[0, 8, 4, 2, 6, 16, 12, 10, 14]);
        assert_eq!(out.len(), 9);
        let mut sorted = pocs(&out);
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(pocs(&out)[5..], [10, 12, 14, 16], "it learns");
    }
}
