//! Decode times where packets give none.
//!
//! Pictures that refer to later ones (B-frames) are coded after them: the order of packets is not the order of their
//! timestamps. With at most `depth` pictures that are coded before another and shown after it, the decode time of
//! packet `i` is the timestamp that is number `i - depth` in order of presentation: it is never after the packet's own
//! timestamp, never decreases, and is known once packet `i` is. The first `depth` ones go back by a frame each.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use reelcore_media::AudioCodec;
use reelcore_media::mux::{MuxError, OutputPacket};

/// The most pictures that H.264 and HEVC hold back (`max_dec_frame_buffering`, `sps_max_num_reorder_pics`).
const MAX_DEPTH: usize = 16;

/// Packets that are looked at to find the depth, where nothing says it.
const WINDOW: usize = 2 * MAX_DEPTH + 1;

/// How long a frame is taken to be where nothing tells: 25 frames a second.
const FRAME_MICROS: i64 = 40_000;

/// Packets of sound by which times may go back: an encoder that is flushed has more packets than what was put in, by its delay,
/// and counts on from what was put in. The last packet begins before the delay ends: 2112 frames of AAC are 2.1 packets, 5057 of
/// HE-AAC 2.5, and 312 of Opus 2.6 of its shortest that have any.
const FLUSHED: i64 = 3;

/// A packet with its decode time in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timed {
    pub(crate) packet: OutputPacket,
    pub(crate) decode_time: i64,
}

/// Gives each packet of a track its decode time: its own where it has one.
#[derive(Debug)]
pub(crate) struct DecodeTimes {
    mode: Mode,
    /// Packets of which the first decides the mode have come.
    started: bool,
}

#[derive(Debug)]
enum Mode {
    /// The order of packets is that of timestamps.
    InOrder,
    /// The same, but for a few packets of an encoder's that was flushed. The latest time so far, and how long packets are.
    Sound {
        last: i64,
        length: i64,
    },
    /// Packets have decode times.
    Given,
    Reordered(Reorder),
}

#[derive(Debug)]
struct Reorder {
    /// `None` until it is found.
    depth: Option<usize>,
    /// Packets that wait for the depth, and for how long a frame is.
    window: VecDeque<OutputPacket>,
    /// Timestamps that are decode times of later packets.
    times: BinaryHeap<Reverse<i64>>,
    /// The latest timestamps so far, one more than any codec reorders.
    latest: BinaryHeap<Reverse<i64>>,
    /// Whether the window is past.
    running: bool,
    last: i64,
}

impl DecodeTimes {
    /// For tracks whose packets are in order of their timestamps: all but H.264 and HEVC.
    pub(crate) fn in_order() -> Self {
        Self {
            mode: Mode::InOrder,
            started: false,
        }
    }

    /// For sound: the order of packets is that of their timestamps, but where an encoder was flushed they go back by up to
    /// [`FLUSHED`] packets. Their decode times wait then; the timestamps stay, so that what is heard keeps its time. Sound that
    /// is not compressed, and G.711, has no delay.
    pub(crate) fn sound(codec: &AudioCodec) -> Self {
        if let AudioCodec::Pcm(_) | AudioCodec::Alaw | AudioCodec::Ulaw = codec {
            return Self::in_order();
        }
        Self {
            mode: Mode::Sound {
                last: i64::MIN,
                length: 0,
            },
            started: false,
        }
    }

    /// For tracks whose packets may be in another order. `depth`: how many pictures may precede another in coding and
    /// follow it in presentation, where the stream says so.
    pub(crate) fn reordered(depth: Option<usize>) -> Self {
        Self {
            mode: Mode::Reordered(Reorder {
                depth: depth.map(|depth| depth.min(MAX_DEPTH)),
                window: VecDeque::new(),
                times: BinaryHeap::new(),
                latest: BinaryHeap::new(),
                running: false,
                last: i64::MIN,
            }),
            started: false,
        }
    }

    /// Takes the next packet in decode order, and gives those whose decode time is known.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] where some packets of a track have a decode time and others have none.
    pub(crate) fn push(
        &mut self,
        packet: OutputPacket,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        if !self.started {
            self.started = true;
            if packet.decode_time.is_some() {
                self.mode = Mode::Given;
            }
        }
        match (&mut self.mode, packet.decode_time) {
            (Mode::Given, Some(decode_time)) => out(Timed {
                packet,
                decode_time,
            }),
            (Mode::Given, None) => Err(MuxError::Invalid(format!(
                "expected a decode time as the packets before it have, found none at {} us",
                packet.chunk.timestamp
            ))),
            (_, Some(time)) => Err(MuxError::Invalid(format!(
                "expected no decode time as the packets before it have none, found {time} us"
            ))),
            (Mode::InOrder, None) => out(Timed {
                decode_time: packet.chunk.timestamp,
                packet,
            }),
            (Mode::Sound { last, length }, None) => {
                let time = packet.chunk.timestamp;
                let decode_time = match last.saturating_sub(time) <= length.saturating_mul(FLUSHED)
                {
                    true => time.max(*last),
                    false => time,
                };
                let said = packet
                    .chunk
                    .duration
                    .and_then(|said| i64::try_from(said).ok());
                *length = match said {
                    Some(said) if said > 0 => said,
                    _ if time > *last && *last > i64::MIN => time.saturating_sub(*last),
                    _ => *length,
                };
                *last = decode_time;
                out(Timed {
                    packet,
                    decode_time,
                })
            }
            (Mode::Reordered(reorder), None) => reorder.push(packet, out),
        }
    }

    /// No packet follows: gives those that waited.
    ///
    /// # Errors
    /// What `out` reports.
    pub(crate) fn finish(
        &mut self,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        match &mut self.mode {
            Mode::Reordered(reorder) => reorder.start(out),
            _ => Ok(()),
        }
    }
}

impl Reorder {
    fn push(
        &mut self,
        packet: OutputPacket,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        if self.running {
            return self.give(packet, out);
        }
        self.window.push_back(packet);
        // As many show how long a frame is, whatever the first ones skip.
        let enough = self.depth.map_or(WINDOW, |depth| 2 * depth + 1);
        if self.window.len() < enough {
            return Ok(());
        }
        self.start(out)
    }

    /// Leaves the window.
    fn start(
        &mut self,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        self.running = true;
        let order: Vec<i64> = self.window.iter().map(|p| p.chunk.timestamp).collect();
        let depth = *self.depth.get_or_insert_with(|| depth_of(&order));
        let mut sorted = order;
        sorted.sort_unstable();
        if let Some(&first) = sorted.first() {
            let frame = self.frame(&sorted);
            for back in (1..=depth).rev() {
                let back = i64::try_from(back).unwrap_or(i64::MAX);
                self.times
                    .push(Reverse(first.saturating_sub(frame.saturating_mul(back))));
            }
        }
        for packet in std::mem::take(&mut self.window) {
            self.give(packet, out)?;
        }
        Ok(())
    }

    /// How long the first frames are.
    fn frame(&self, sorted: &[i64]) -> i64 {
        let said = self.window.front().and_then(|p| p.chunk.duration);
        let said = said.and_then(|duration| i64::try_from(duration).ok());
        let gaps = sorted.iter().zip(sorted.iter().skip(1));
        let least = || {
            gaps.map(|(a, b)| b.saturating_sub(*a))
                .filter(|&gap| gap > 0)
                .min()
        };
        said.filter(|&duration| duration > 0)
            .or_else(least)
            .unwrap_or(FRAME_MICROS)
    }

    fn give(
        &mut self,
        packet: OutputPacket,
        out: &mut dyn FnMut(Timed) -> Result<(), MuxError>,
    ) -> Result<(), MuxError> {
        let time = packet.chunk.timestamp;
        if self.latest.len() > MAX_DEPTH
            && let Some(&Reverse(least)) = self.latest.peek()
            && time < least
        {
            return Err(MuxError::Unsupported(format!(
                "times that go back to {time} us over more than {MAX_DEPTH} pictures, as an edit list that repeats or streams that were joined make them: decode and encode the track"
            )));
        }
        self.latest.push(Reverse(time));
        if self.latest.len() > MAX_DEPTH + 1 {
            self.latest.pop();
        }
        self.times.push(Reverse(time));
        let next = self.times.pop().map_or(packet.chunk.timestamp, |t| t.0);
        // Only in a stream that reorders more than it said can the next one be before the last.
        self.last = self.last.max(next);
        out(Timed {
            packet,
            decode_time: self.last,
        })
    }
}

/// The most timestamps that stand before a smaller one.
fn depth_of(order: &[i64]) -> usize {
    let before = |(index, time): (usize, &i64)| {
        let earlier = order.iter().take(index);
        earlier.filter(|&other| other > time).count()
    };
    order
        .iter()
        .enumerate()
        .map(before)
        .max()
        .unwrap_or(0)
        .min(MAX_DEPTH)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reelcore_media::{ChunkKind, EncodedChunk};

    use super::*;

    fn packet(timestamp: i64) -> OutputPacket {
        OutputPacket::new(EncodedChunk::new(ChunkKind::Key, timestamp, Bytes::new()))
    }

    fn times(mut this: DecodeTimes, order: &[i64]) -> Vec<(i64, i64)> {
        let mut got = Vec::new();
        let mut out = |timed: Timed| {
            got.push((timed.packet.chunk.timestamp, timed.decode_time));
            Ok(())
        };
        for &time in order {
            this.push(packet(time), &mut out).expect("no decode times");
        }
        this.finish(&mut out).expect("no decode times");
        got
    }

    /// Groups of pictures in decode order, with a pyramid of `b` B-frames between the references.
    fn stream(state: &mut u64, b: usize, frames: usize) -> Vec<i64> {
        fn pyramid(from: usize, to: usize, out: &mut Vec<usize>) {
            if from < to {
                let middle = (from + to) / 2;
                out.push(middle);
                pyramid(from, middle, out);
                pyramid(middle + 1, to, out);
            }
        }
        let mut random = || {
            *state ^= *state >> 12;
            *state ^= *state << 25;
            *state ^= *state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let mut shown = vec![0_i64];
        for _ in 0..frames {
            let last = shown[shown.len() - 1];
            shown.push(last + 10_000 + (random() % 50_000) as i64);
        }
        let mut order = vec![0];
        let mut at = 0;
        while at < frames {
            let next = (at + 1 + random() as usize % (b + 1)).min(frames);
            order.push(next);
            pyramid(at + 1, next, &mut order);
            at = next;
        }
        order.into_iter().map(|index| shown[index]).collect()
    }

    #[test]
    fn sound_of_a_flushed_encoder_waits_and_what_goes_back_further_is_told() {
        // 400 ms of AAC at 48 kHz with a delay of 2112 frames, then the next.
        let first: Vec<i64> = (0..21).map(|index| index * 64_000 / 3).collect();
        let order: Vec<i64> = first
            .iter()
            .copied()
            .chain([400_000, 421_333, 442_667])
            .collect();
        let sound = |codec| DecodeTimes::sound(&AudioCodec::parse(codec).expect("a codec"));
        let aac = || sound("mp4a.40.2");
        let got = times(aac(), &order);
        let want = [(400_000, 426_666), (421_333, 426_666), (442_667, 442_667)];
        assert_eq!(got[21..], want);
        assert!(got[..21].iter().all(|(shown, decoded)| shown == decoded));
        let back = times(aac(), &[0, 20_000, 200_000, 100_000]);
        assert_eq!(back[3], (100_000, 200_000), "as far as what it followed");
        let back = times(aac(), &[0, 20_000, 40_000, -20_000]);
        assert_eq!(back[3], (-20_000, 40_000), "three packets");
        let back = times(aac(), &[0, 20_000, 40_000, -20_001]);
        assert_eq!(back[3], (-20_001, -20_001), "an error of the interleaver");
        for codec in ["pcm-s16", "ulaw", "alaw"] {
            let back = times(sound(codec), &[0, 10_000, 20_000, 19_000]);
            assert_eq!(back[3], (19_000, 19_000), "{codec} has no delay");
        }
    }

    #[test]
    fn a_delay_of_2112_frames_of_aac_is_taken_wherever_the_sound_ends() {
        let micros = |frames: i64| frames * 1_000_000 / 48_000;
        for put_in in 1..3000 {
            let packets = (put_in + 2112 + 1023) / 1024;
            let mut order: Vec<i64> = (0..packets).map(|index| micros(index * 1024)).collect();
            order.push(micros(put_in));
            let aac = AudioCodec::parse("mp4a.40.2").expect("a codec");
            let got = times(DecodeTimes::sound(&aac), &order);
            assert!(
                got.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                "{put_in}"
            );
        }
    }

    #[test]
    fn decode_times_never_decrease_and_never_pass_the_timestamp() {
        let mut state = 0x5eed;
        for round in 0..300 {
            let b = round % 8;
            let order = stream(&mut state, b, 150);
            // The depth that a pyramid needs: one reference, and one picture for each level.
            for depth in [Some(MAX_DEPTH), Some(depth_of(&order))] {
                let got = times(DecodeTimes::reordered(depth), &order);
                let shown: Vec<i64> = got.iter().map(|&(shown, _)| shown).collect();
                assert_eq!(shown, order, "no packet is lost or moved");
                for (index, &(shown, decoded)) in got.iter().enumerate() {
                    assert!(decoded <= shown, "round {round}, packet {index}");
                    assert!(index == 0 || got[index - 1].1 <= decoded, "round {round}");
                }
            }
        }
    }

    #[test]
    fn constant_frames_get_constant_decode_times_by_looking_ahead() {
        let order: Vec<i64> = (0..40)
            .flat_map(|i| [3 + 3 * i, 1 + 3 * i, 2 + 3 * i])
            .map(|frame| frame * 40_000)
            .collect();
        let order = [vec![0], order].concat();
        let got = times(DecodeTimes::reordered(None), &order);
        for (index, &(_, decoded)) in got.iter().enumerate() {
            assert_eq!(decoded, (index as i64 - 1) * 40_000);
        }
    }

    #[test]
    fn without_reordering_nothing_waits() {
        for mut this in [DecodeTimes::in_order(), DecodeTimes::reordered(Some(0))] {
            let mut count = 0;
            for time in [-5, 0, 7] {
                let mut out = |timed: Timed| {
                    assert_eq!(timed.decode_time, time);
                    count += 1;
                    Ok(())
                };
                this.push(packet(time), &mut out).expect("in order");
            }
            assert_eq!(count, 3);
        }
    }

    #[test]
    fn what_is_looked_at_is_bounded() {
        let mut this = DecodeTimes::reordered(None);
        let mut given = 0;
        for time in 0..1000 {
            this.push(packet(time), &mut |_| {
                given += 1;
                Ok(())
            })
            .expect("in order");
            assert!(time + 1 - given <= WINDOW as i64);
        }
    }

    #[test]
    fn given_times_are_kept_and_may_not_be_mixed_with_none() {
        let mut given = packet(10);
        given.decode_time = Some(-3);
        let mut this = DecodeTimes::reordered(None);
        let mut out = |timed: Timed| {
            assert_eq!(timed.decode_time, -3);
            Ok(())
        };
        this.push(given.clone(), &mut out).expect("given");
        assert!(this.push(packet(20), &mut out).is_err());
        let mut this = DecodeTimes::in_order();
        this.push(packet(0), &mut |_| Ok(())).expect("none");
        assert!(this.push(given, &mut |_| Ok(())).is_err());
    }

    #[test]
    fn a_stream_that_reorders_more_than_it_said_keeps_its_order() {
        let got = times(
            DecodeTimes::reordered(Some(1)),
            &[0, 50, 40, 30, 20, 10, 60],
        );
        assert!(got.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{got:?}");
        let extreme = times(DecodeTimes::reordered(None), &[i64::MIN, i64::MAX, 0]);
        assert_eq!(extreme.len(), 3);
    }

    #[test]
    fn times_that_go_back_over_more_pictures_than_any_codec_reorders_are_refused() {
        let back = |pictures: i64, depth: Option<usize>| {
            let mut this = DecodeTimes::reordered(depth);
            let out = &mut |_: Timed| Ok(());
            let mut order = (0..100).chain([99 - pictures]).map(|i| packet(10 * i + 5));
            order
                .try_for_each(|packet| this.push(packet, out))
                .and_then(|()| this.finish(out))
        };
        for depth in [None, Some(0), Some(2), Some(16)] {
            assert!(back(MAX_DEPTH as i64, depth).is_ok(), "{depth:?}");
            let error = back(MAX_DEPTH as i64 + 1, depth);
            assert!(matches!(error, Err(MuxError::Unsupported(_))), "{depth:?}");
        }
    }
}
