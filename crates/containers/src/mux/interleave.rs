//! Packets of several tracks in one order: that of their decode times.

use std::collections::VecDeque;

use reelcore_media::mux::{MuxError, MuxOptions};

/// What waits for its turn among the tracks. A packet is released when each track that has not ended has one that
/// waits, when it waits longer than `max_interleave` of decode time, or when more bytes wait than may.
#[derive(Debug)]
pub(crate) struct Interleaver<T> {
    tracks: Vec<Lane<T>>,
    /// Microseconds.
    max_span: i64,
    max_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The last decode time that was pushed.
    last: Option<i64>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    time: i64,
    bytes: usize,
    item: T,
}

impl<T> Interleaver<T> {
    /// For as many tracks as [`Interleaver::add_track`] is called.
    pub(crate) fn new(options: &MuxOptions) -> Self {
        Self {
            tracks: Vec::new(),
            max_span: i64::try_from(options.max_interleave.as_micros()).unwrap_or(i64::MAX),
            max_bytes: options.max_buffered_bytes,
            bytes: 0,
        }
    }

    /// Adds a track.
    pub(crate) fn add_track(&mut self) {
        self.tracks.push(Lane {
            waiting: VecDeque::new(),
            last: None,
            ended: false,
        });
    }

    /// What waits, on any track.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &T> {
        let all = self.tracks.iter().flat_map(|lane| &lane.waiting);
        all.map(|waiting| &waiting.item)
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item to `track`, which takes `bytes` of memory. Decode times of a track do not decrease.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for a track that is none or has ended, and for a decode time before the last one.
    pub(crate) fn push(
        &mut self,
        track: usize,
        time: i64,
        bytes: usize,
        item: T,
    ) -> Result<(), MuxError> {
        let count = self.tracks.len();
        let Some(lane) = self.tracks.get_mut(track) else {
            return Err(MuxError::Invalid(format!(
                "expected a track below {count}, found {track}"
            )));
        };
        if lane.ended {
            return Err(MuxError::Invalid(format!(
                "a packet on track {track}, which has ended"
            )));
        }
        if let Some(last) = lane.last.filter(|&last| last > time) {
            return Err(MuxError::Invalid(format!(
                "expected a decode time of at least {last} us on track {track}, found {time} us"
            )));
        }
        lane.last = Some(time);
        // What the queue itself takes counts as well: empty packets are not free.
        let bytes = bytes.saturating_add(size_of::<Waiting<T>>());
        lane.waiting.push_back(Waiting { time, bytes, item });
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// No item follows on `track`.
    pub(crate) fn end(&mut self, track: usize) {
        if let Some(lane) = self.tracks.get_mut(track) {
            lane.ended = true;
        }
    }

    /// No item follows at all.
    pub(crate) fn end_all(&mut self) {
        self.tracks.iter_mut().for_each(|lane| lane.ended = true);
    }

    /// The next item whose turn has come, with its track. At equal times the track that was added first goes first.
    pub(crate) fn pop(&mut self) -> Option<(usize, T)> {
        let front = |lane: &Lane<T>| lane.waiting.front().map(|first| first.time);
        let (index, time) = self
            .tracks
            .iter()
            .enumerate()
            .filter_map(|(index, lane)| Some((index, front(lane)?)))
            .min_by_key(|&(_, time)| time)?;
        let complete = self
            .tracks
            .iter()
            .all(|lane| lane.ended || !lane.waiting.is_empty());
        let newest = self.tracks.iter().filter_map(|lane| lane.last).max();
        let span = newest.unwrap_or(time).saturating_sub(time);
        if !complete && span <= self.max_span && self.bytes <= self.max_bytes {
            return None;
        }
        let first = self.tracks.get_mut(index)?.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.bytes);
        Some((index, first.item))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn interleaver(tracks: usize, options: &MuxOptions) -> Interleaver<i64> {
        let mut this = Interleaver::new(options);
        (0..tracks).for_each(|_| this.add_track());
        this
    }

    /// xorshift64*
    fn random(state: &mut u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[test]
    fn whatever_the_order_of_arrival_items_leave_in_order_of_time() {
        let mut state = 0x5eed;
        for round in 0..200 {
            let tracks = 1 + random(&mut state) as usize % 4;
            let mut lanes: Vec<Vec<i64>> = (0..tracks)
                .map(|_| {
                    let mut at = (random(&mut state) % 1000) as i64;
                    (0..random(&mut state) % 50)
                        .map(|_| {
                            at += (random(&mut state) % 40_000) as i64;
                            at
                        })
                        .collect()
                })
                .collect();
            let mut want: Vec<i64> = lanes.iter().flatten().copied().collect();
            want.sort_unstable();
            let mut this = interleaver(tracks, &MuxOptions::default());
            lanes.iter_mut().for_each(|lane| lane.reverse());
            let mut got = Vec::new();
            while lanes.iter().any(|lane| !lane.is_empty()) {
                let track = random(&mut state) as usize % tracks;
                match lanes[track].pop() {
                    Some(time) => this.push(track, time, 1, time).expect("in order"),
                    None => this.end(track),
                }
                while let Some((_, time)) = this.pop() {
                    got.push(time);
                }
            }
            this.end_all();
            while let Some((_, time)) = this.pop() {
                got.push(time);
            }
            assert_eq!(got, want, "round {round}");
            assert_eq!(this.buffered_bytes(), 0);
        }
    }

    #[test]
    fn a_silent_track_is_waited_for_no_longer_than_allowed() {
        let options = MuxOptions {
            max_interleave: Duration::from_micros(100),
            ..MuxOptions::default()
        };
        let mut this = interleaver(2, &options);
        this.push(0, 0, 1, 0).expect("in order");
        this.push(0, 100, 1, 100).expect("in order");
        assert_eq!(this.pop(), None);
        this.push(0, 101, 1, 101).expect("in order");
        assert_eq!(this.pop(), Some((0, 0)));
        assert_eq!(this.pop(), None);
    }

    #[test]
    fn no_more_bytes_wait_than_may() {
        let options = MuxOptions {
            max_buffered_bytes: 10_000,
            ..MuxOptions::default()
        };
        let mut this = interleaver(2, &options);
        for time in 0..1000 {
            this.push(1, time, 3000, time).expect("in order");
            while this.pop().is_some() {}
            assert!(this.buffered_bytes() <= 10_000);
        }
        for time in 1000..2000 {
            this.push(1, time, 0, time).expect("in order");
            while this.pop().is_some() {}
        }
        assert!(this.tracks[1].waiting.len() < 1000, "empty ones count too");
    }

    #[test]
    fn misuse_is_an_error_and_changes_nothing() {
        let mut this = interleaver(1, &MuxOptions::default());
        assert!(matches!(this.push(1, 0, 1, 0), Err(MuxError::Invalid(_))));
        this.push(0, 10, 1, 10).expect("in order");
        this.push(0, 10, 1, 11).expect("equal times are in order");
        assert!(this.push(0, 9, 1, 9).is_err());
        this.end(0);
        assert!(this.push(0, 20, 1, 20).is_err());
        assert_eq!((this.pop(), this.pop()), (Some((0, 10)), Some((0, 11))));
        assert_eq!(this.pop(), None);
    }
}
