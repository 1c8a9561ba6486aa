//! The order of output (C.5.2): frames wait until no frame that is still to be decoded can precede them.

use super::nal::NalType;
use super::sps::Sps;

/// The most frames that ever wait: the largest decoded picture buffer (A.4.2).
const MAX_WAITING: usize = 16;

#[derive(Debug)]
struct Waiting<T> {
    poc: i32,
    /// PicLatencyCount.
    latency: u32,
    frame: T,
}

/// Holds decoded frames back until their turn by picture order count.
///
/// A frame leaves when the stream's limits say that its turn has come (C.5.2.3: more frames wait than
/// sps_max_num_reorder_pics, or one has waited SpsMaxLatencyPictures), and before that when nothing can come before it
/// any more: its count is the next integer after the last one that left, or it is an IRAP picture or one before that,
/// and no leading picture can follow.
#[derive(Debug)]
pub struct OutputOrder<T> {
    waiting: Vec<Waiting<T>>,
    max_reorder: usize,
    max_latency: Option<u32>,
    last: Option<i32>,
    /// The count of the last IRAP picture.
    irap: Option<i32>,
    /// No more pictures that precede it in output order can come.
    leading_done: bool,
}

impl<T> Default for OutputOrder<T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            max_reorder: 0,
            max_latency: None,
            last: None,
            irap: None,
            leading_done: false,
        }
    }
}

impl<T> OutputOrder<T> {
    /// Starts a coded video sequence at an IRAP picture with NoRaslOutputFlag equal to 1: outputs what waits, or drops
    /// it with `no_output_of_prior_pics` (NoOutputOfPriorPicsFlag, C.5.2.2).
    pub fn start_sequence(
        &mut self,
        sps: &Sps,
        no_output_of_prior_pics: bool,
        sink: &mut dyn FnMut(T),
    ) {
        if no_output_of_prior_pics {
            self.waiting.clear();
        }
        self.drain(sink);
        self.last = None;
        self.irap = None;
        self.leading_done = false;
        self.max_reorder = (sps.ordering.max_num_reorder as usize).min(MAX_WAITING - 1);
        self.max_latency = sps.ordering.max_latency;
    }

    /// Takes a decoded frame with PicOutputFlag equal to 1 and the picture order count `poc`, and outputs every frame
    /// whose turn it is.
    pub fn push(&mut self, poc: i32, nal_type: NalType, frame: T, sink: &mut dyn FnMut(T)) {
        if self.last.is_some_and(|last| poc < last) {
            // The stream reorders more than it said, so frames were let go too early. This one is late already; the
            // next ones shall not be.
            self.max_reorder = (self.max_reorder + 1).min(MAX_WAITING - 1);
        }
        // 7.4.2.2: leading pictures precede their IRAP picture in output order and all its trailing ones in decoding
        // order; trailing ones follow it in both.
        if nal_type.is_irap() {
            self.irap = Some(poc);
            self.leading_done = nal_type.has_no_leading();
        } else if !nal_type.is_leading() {
            self.leading_done = true;
        }
        // C.5.2.3: only pictures that follow this one in output order are kept waiting by it.
        for waiting in self.waiting.iter_mut().filter(|w| w.poc > poc) {
            waiting.latency = waiting.latency.saturating_add(1);
        }
        self.waiting.push(Waiting {
            poc,
            latency: 0,
            frame,
        });
        self.bump(sink);
    }

    /// "Bumping" (C.5.2.4), as long as there is reason.
    fn bump(&mut self, sink: &mut dyn FnMut(T)) {
        loop {
            let next = self.waiting.iter().enumerate().min_by_key(|(_, w)| w.poc);
            let Some((index, poc)) = next.map(|(index, waiting)| (index, waiting.poc)) else {
                return;
            };
            let too_many = self.waiting.len() > self.max_reorder;
            let too_late = self
                .max_latency
                .is_some_and(|max| self.waiting.iter().any(|w| w.latency >= max));
            let in_turn = self.last.is_some_and(|last| poc <= last.saturating_add(1))
                || (self.leading_done && self.irap.is_some_and(|irap| poc <= irap));
            if !(too_many || too_late || in_turn) {
                return;
            }
            self.last = Some(poc);
            sink(self.waiting.swap_remove(index).frame);
        }
    }

    /// Outputs every frame that waits.
    pub fn drain(&mut self, sink: &mut dyn FnMut(T)) {
        self.waiting.sort_by_key(|waiting| waiting.poc);
        for waiting in self.waiting.drain(..) {
            self.last = Some(waiting.poc);
            sink(waiting.frame);
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

    const TRAIL_R: NalType = NalType(1);
    const RADL_R: NalType = NalType(7);

    /// The frames with the number of pictures that were decoded before each left.
    fn run(reorder: usize, latency: Option<u32>, pictures: &[(NalType, i32)]) -> Vec<(usize, i32)> {
        let mut order = OutputOrder {
            max_reorder: reorder,
            max_latency: latency,
            ..OutputOrder::default()
        };
        let mut out = Vec::new();
        for (decoded, &(nal_type, poc)) in pictures.iter().enumerate() {
            order.push(poc, nal_type, poc, &mut |poc| out.push((decoded, poc)));
        }
        order.drain(&mut |poc| out.push((pictures.len(), poc)));
        out
    }

    fn trailing(start: NalType, pocs: &[i32]) -> Vec<(NalType, i32)> {
        let mut pictures: Vec<_> = pocs.iter().map(|&poc| (TRAIL_R, poc)).collect();
        pictures[0].0 = start;
        pictures
    }

    #[test]
    fn frames_leave_as_soon_as_nothing_can_precede_them() {
        let pictures = trailing(NalType::IDR_N_LP, &[0, 4, 2, 1, 3, 8, 6, 5, 7]);
        let out = run(2, None, &pictures);
        let want = [
            (0, 0),
            (3, 1),
            (3, 2),
            (4, 3),
            (4, 4),
            (7, 5),
            (7, 6),
            (8, 7),
            (8, 8),
        ];
        assert_eq!(out, want);
    }

    #[test]
    fn the_delay_is_at_most_what_the_stream_states() {
        // Counts in steps of 2: nothing but the limit tells that a turn has come.
        let pictures = trailing(NalType::IDR_N_LP, &[0, 8, 4, 2, 6, 16, 12, 10, 14]);
        let out = run(2, None, &pictures);
        assert_eq!(
            out.iter().map(|o| o.1).collect::<Vec<_>>(),
            [0, 2, 4, 6, 8, 10, 12, 14, 16]
        );
        assert_eq!(out[1], (3, 2), "more than two wait after the fourth");
        let out = run(0, None, &trailing(NalType::IDR_W_RADL, &[0, 2, 4]));
        assert_eq!(out, [(0, 0), (1, 2), (2, 4)], "a stream without reordering");
    }

    #[test]
    fn the_latency_limit_lets_frames_go_before_the_reorder_limit() {
        let pictures = trailing(NalType::IDR_N_LP, &[0, 6, 2, 4, 12, 8, 10]);
        assert_eq!(run(3, None, &pictures)[1].0, 4);
        let out = run(3, Some(2), &pictures);
        // 6 has waited for 2 and 4: nothing else can precede it.
        assert_eq!(out[1..4], [(3, 2), (3, 4), (3, 6)]);
    }

    #[test]
    fn an_irap_picture_waits_for_its_leading_pictures_and_no_longer() {
        let leading = [
            (NalType::IDR_W_RADL, 0),
            (RADL_R, -2),
            (RADL_R, -4),
            (TRAIL_R, 4),
        ];
        let out = run(3, None, &leading);
        assert_eq!(out[..3], [(3, -4), (3, -2), (3, 0)]);
        let out = run(3, None, &trailing(NalType::CRA, &[0, 4, 2]));
        assert_eq!(out[0], (1, 0), "a trailing picture rules leading ones out");
    }

    #[test]
    fn no_frame_is_lost_when_a_stream_reorders_more_than_it_said() {
        let pictures = trailing(NalType::IDR_N_LP, &[0, 8, 4, 2, 6, 16, 12, 10, 14]);
        let out = run(0, None, &pictures);
        assert_eq!(out.len(), 9);
        let pocs: Vec<_> = out.iter().map(|o| o.1).collect();
        assert_eq!(pocs[5..], [10, 12, 14, 16], "it learns");
    }
}
