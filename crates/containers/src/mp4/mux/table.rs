//! The samples of a track: their times, sizes and places, in the runs in which they are written.

use reelcore_media::mux::MuxError;

use super::time;

/// Equal values that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs<T>(Vec<(u32, T)>);

impl<T: Copy + PartialEq> Runs<T> {
    fn push(&mut self, count: u32, value: T) {
        if count == 0 {
            return;
        }
        if let Some((have, last)) = self.0.last_mut()
            && *last == value
            && let Some(sum) = have.checked_add(count)
        {
            *have = sum;
        } else {
            self.0.push((count, value));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One sample to add, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) decode: i64,
    pub(super) present: i64,
    /// How long it lasts where nothing follows.
    pub(super) duration: i64,
    /// Frames of uncompressed sound, each of which is a sample of one tick; else 1.
    pub(super) frames: u32,
}

/// When the samples of a track are decoded and shown, in ticks.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) scale: u32,
    /// The scales to go over to when a time is no tick.
    finer: Vec<u32>,
    /// Uncompressed sound, whose samples take one tick each.
    pcm: bool,
    /// Ticks by which what comes is moved back.
    shift: i64,
    pub(super) count: u64,
    pub(super) first_decode: i64,
    last_decode: i64,
    /// How long the last sample lasts.
    last_duration: u32,
    /// Of all samples but the last.
    deltas: Runs<u32>,
    pub(super) offsets: Runs<i32>,
    pub(super) min_present: i64,
    pub(super) max_end: i64,
}

impl Times {
    /// `scales`: see [`time::scales`]; not empty.
    pub(super) fn new(scales: &[u32], pcm: bool) -> Self {
        let (&scale, finer) = scales.split_first().unwrap_or((&1_000_000, &[]));
        Self {
            scale,
            finer: finer.to_vec(),
            pcm,
            shift: 0,
            count: 0,
            first_decode: 0,
            last_decode: 0,
            last_duration: 0,
            deltas: Runs::default(),
            offsets: Runs::default(),
            min_present: i64::MAX,
            max_end: i64::MIN,
        }
    }

    /// Moves all that comes back by `nanos`. Only before the first sample.
    pub(super) fn move_back(&mut self, nanos: u128) {
        self.shift = time::ticks_of_nanos(nanos, self.scale);
    }

    /// The tick at which a time is shown.
    pub(super) fn tick(&self, micros: i64) -> i64 {
        time::ticks(micros, self.scale).saturating_sub(self.shift)
    }

    /// Adds a sample. Where a gap or an offset does not fit in 32 bits, all ticks become coarser, and times are rounded to them.
    ///
    /// # Errors
    /// [`MuxError::Invalid`] for times that decrease, and for a gap in uncompressed sound that does not fit in 32 bits.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), MuxError> {
        // Decode times are for order: those that are no ticks are rounded.
        let off = |scale| !time::on_grid(entry.present, scale);
        while off(self.scale) && !self.finer.is_empty() {
            let scale = self.finer.remove(0);
            if off(scale) {
                continue;
            }
            if let Some(finer) = self.in_scale(scale, true) {
                *self = finer;
                break;
            }
        }
        let wide = match self.add_entry(entry) {
            // Frames of uncompressed sound take a tick each; and times that decrease do so in any ticks.
            Err(wide) if !self.pcm && self.tick(entry.decode) >= self.last_decode => wide,
            result => return result,
        };
        for scale in time::COARSER {
            if scale < self.scale
                && let Some(mut coarser) = self.in_scale(scale, false)
                && coarser.add_entry(entry).is_ok()
            {
                coarser.finer.clear();
                *self = coarser;
                return Ok(());
            }
        }
        Err(wide)
    }

    fn add_entry(&mut self, entry: &Entry) -> Result<(), MuxError> {
        let (decode, present) = (self.tick(entry.decode), self.tick(entry.present));
        let end = self.tick(entry.present.saturating_add(entry.duration.max(0)));
        let over = self.overlap(decode);
        let (decode, present) = (decode.saturating_add(over), present.saturating_add(over));
        self.add(decode, present, end, entry.frames)
    }

    /// Ticks by which uncompressed sound is moved to adjoin what came before: sources that tell times in milliseconds have
    /// overlaps below one that are none.
    fn overlap(&self, decode: i64) -> i64 {
        let over = self.last_decode.saturating_add(1).saturating_sub(decode);
        let rounded =
            self.pcm && self.count > 0 && (1..=i64::from(self.scale / 1000)).contains(&over);
        if rounded { over } else { 0 }
    }

    fn add(&mut self, decode: i64, present: i64, end: i64, frames: u32) -> Result<(), MuxError> {
        let fits = |what: &str, value: i64| {
            MuxError::Invalid(format!(
                "expected a {what} that fits in 32 bits, found {value} ticks of 1/{} s",
                self.scale
            ))
        };
        let offset = present.saturating_sub(decode);
        let offset = i32::try_from(offset).map_err(|_| fits("composition offset", offset))?;
        let gap = decode.saturating_sub(self.last_decode);
        let delta = match self.count {
            0 => 0,
            _ if gap < 0 => {
                return Err(MuxError::Invalid(format!(
                    "expected times that do not decrease and sound that does not overlap, found {} ticks of 1/{} s back",
                    gap.saturating_neg(),
                    self.scale
                )));
            }
            _ => u32::try_from(gap).map_err(|_| fits("gap between decode times", gap))?,
        };
        let duration = match self.pcm {
            true => 1,
            // What lasts less than a tick is shown all the same.
            false => end.saturating_sub(present).max(1),
        };
        let duration = u32::try_from(duration).map_err(|_| fits("duration", duration))?;
        if self.count == 0 {
            self.first_decode = decode;
        } else {
            self.deltas.push(1, delta);
        }
        self.last_duration = duration;
        self.last_decode = decode;
        if self.pcm {
            let rest = frames.saturating_sub(1);
            self.deltas.push(rest, 1);
            self.last_decode = decode.saturating_add(i64::from(rest));
        }
        self.count = self.count.saturating_add(u64::from(frames));
        self.offsets.push(frames, offset);
        self.min_present = self.min_present.min(present);
        let last = present.saturating_add(self.last_decode.saturating_sub(decode));
        self.max_end = self
            .max_end
            .max(last.saturating_add(i64::from(self.last_duration)));
        Ok(())
    }

    /// The same in another scale; `None` where it does not fit in there or, if it is to be `exact`, a time is no tick of it.
    fn in_scale(&self, scale: u32, exact: bool) -> Option<Self> {
        let mut this = Self::new(&[scale], self.pcm);
        this.finer.clone_from(&self.finer);
        this.shift = time::ticks(time::micros(self.shift, self.scale), scale);
        let mut decode = self.first_decode;
        let mut deltas = self
            .deltas
            .iter()
            .chain([(1, self.last_duration)])
            .flat_map(|(count, delta)| std::iter::repeat_n(delta, count as usize));
        for (count, offset) in self.offsets.iter() {
            for _ in 0..count {
                let present = decode.saturating_add(i64::from(offset));
                let delta = deltas.next()?;
                let last = this.count + 1 == self.count;
                let old = |tick| time::micros(tick, self.scale);
                let (d, p) = (old(decode), old(present));
                if exact && !time::on_grid(p, scale) {
                    return None;
                }
                let end = match last {
                    true => old(present.saturating_add(i64::from(delta))),
                    false => p,
                };
                let tick = |micros| time::ticks(micros, scale);
                this.add(tick(d), tick(p), tick(end), 1).ok()?;
                decode = decode.saturating_add(i64::from(delta));
            }
        }
        // What the samples before the last took counted by their own durations.
        let end = time::ticks(time::micros(self.max_end, self.scale), scale);
        this.max_end = this.max_end.max(end);
        Some(this)
    }

    /// The runs of `stts`.
    pub(super) fn deltas(&self) -> Runs<u32> {
        let mut deltas = self.deltas.clone();
        if self.count > 0 {
            deltas.push(1, self.last_duration);
        }
        deltas
    }

    /// The sum of the durations.
    pub(super) fn duration(&self) -> u64 {
        let end = self
            .last_decode
            .saturating_add(i64::from(self.last_duration));
        u64::try_from(end.saturating_sub(self.first_decode)).unwrap_or(0)
    }

    fn bytes(&self) -> usize {
        self.deltas.len() * 8 + self.offsets.len() * 8
    }
}

/// The tables of a track in a progressive file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) times: Times,
    pub(super) sizes: Sizes,
    /// Numbers, from 1, of samples that are key.
    pub(super) keys: Vec<u32>,
    /// Whether one is not.
    pub(super) has_delta: bool,
    /// Offset of each chunk, from the start of the file without what is put in front later.
    pub(super) chunks: Vec<u64>,
    /// First chunk (from 1), samples in each chunk, description (from 1).
    pub(super) chunk_runs: Vec<(u32, u32, u32)>,
}

/// Sizes of samples.
#[derive(Debug)]
pub(super) enum Sizes {
    /// All the same; of how many.
    Even(u32, u64),
    Each(Vec<u32>),
}

impl Table {
    pub(super) fn new(times: Times) -> Self {
        Self {
            times,
            sizes: Sizes::Even(0, 0),
            keys: Vec::new(),
            has_delta: false,
            chunks: Vec::new(),
            chunk_runs: Vec::new(),
        }
    }

    /// Adds `frames` samples of `size` bytes each.
    ///
    /// # Errors
    /// As [`Times::push`]; [`MuxError::Limit`] for more samples than `stsz` counts.
    pub(super) fn push(&mut self, entry: &Entry, size: u32, key: bool) -> Result<(), MuxError> {
        let frames = entry.frames;
        let count = self.times.count.saturating_add(u64::from(frames));
        let number = u32::try_from(count).map_err(|_| {
            MuxError::Limit(format!(
                "a track of {count} samples, where the tables of MP4 hold {}; fragments hold more",
                u32::MAX
            ))
        })?;
        self.times.push(entry)?;
        match &mut self.sizes {
            Sizes::Even(even, count) if *count == 0 || *even == size => {
                *even = size;
                *count += u64::from(frames);
            }
            Sizes::Even(even, count) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                let mut sizes = vec![*even; count];
                sizes.push(size);
                self.sizes = Sizes::Each(sizes);
            }
            Sizes::Each(sizes) => sizes.push(size),
        }
        if key {
            if frames == 1 {
                self.keys.push(number);
            }
        } else {
            self.has_delta = true;
        }
        Ok(())
    }

    /// Adds a chunk of `samples` that begins at `offset`.
    pub(super) fn push_chunk(&mut self, offset: u64, samples: u32, description: u32) {
        self.chunks.push(offset);
        let number = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        let same = |run: &(u32, u32, u32)| (run.1, run.2) == (samples, description);
        if !self.chunk_runs.last().is_some_and(same) {
            self.chunk_runs.push((number, samples, description));
        }
    }

    /// Memory that the tables take.
    pub(super) fn bytes(&self) -> usize {
        let sizes = match &self.sizes {
            Sizes::Even(..) => 0,
            Sizes::Each(sizes) => sizes.len() * 4,
        };
        self.times.bytes()
            + sizes
            + self.keys.len() * 4
            + self.chunks.len() * 8
            + self.chunk_runs.len() * 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(decode: i64, present: i64, duration: i64) -> Entry {
        Entry {
            decode,
            present,
            duration,
            frames: 1,
        }
    }

    #[test]
    fn constant_frames_are_one_run() {
        let mut table = Table::new(Times::new(&[90_000, 1_000_000], false));
        for index in 0..1000 {
            let time = time::micros(index * 3003, 90_000);
            table
                .push(&entry(time, time, 33_367), 7, true)
                .expect("fits");
        }
        assert_eq!(table.times.scale, 90_000);
        assert_eq!(
            table.times.deltas().iter().collect::<Vec<_>>(),
            [(1000, 3003)]
        );
        assert_eq!(table.times.duration(), 3_003_000);
        assert!(matches!(table.sizes, Sizes::Even(7, 1000)));
        assert!(!table.has_delta);
    }

    #[test]
    fn a_time_that_is_no_tick_makes_all_ticks_finer_and_moves_none() {
        let mut times = Times::new(&[90_000, 120_000, 1_000_000], false);
        let given = [
            (-40_000, 0),
            (0, 80_000),
            (40_000, 40_000),
            (80_001, 120_003),
        ];
        for (decode, present) in given {
            times.push(&entry(decode, present, 40_000)).expect("fits");
        }
        assert_eq!(times.scale, 1_000_000);
        let deltas: Vec<_> = times.deltas().iter().collect();
        assert_eq!(deltas, [(2, 40_000), (1, 40_001), (1, 40_000)]);
        let offsets: Vec<_> = times.offsets.iter().map(|run| run.1).collect();
        assert_eq!(offsets, [40_000, 80_000, 0, 40_002]);
        assert_eq!((times.min_present, times.max_end), (0, 160_003));
    }

    #[test]
    fn uncompressed_sound_counts_frames_and_keeps_gaps() {
        let mut times = Times::new(&[48_000], true);
        for (at, frames) in [(0, 480), (10_000, 480), (30_000, 48)] {
            let entry = Entry {
                frames,
                ..entry(at, at, 0)
            };
            times.push(&entry).expect("fits");
        }
        let deltas: Vec<_> = times.deltas().iter().collect();
        assert_eq!(deltas, [(959, 1), (1, 481), (48, 1)]);
        assert_eq!(
            (times.count, times.duration(), times.max_end),
            (1008, 1488, 1488)
        );
    }

    #[test]
    fn more_frames_than_stsz_counts_are_an_error_and_not_a_shorter_count() {
        let packet = |index: i64| Entry {
            frames: 1 << 30,
            ..entry(index << 30, index << 30, 0)
        };
        let mut table = Table::new(Times::new(&[1_000_000], true));
        for index in 0..3 {
            table.push(&packet(index), 2, true).expect("fits");
        }
        let error = table.push(&packet(3), 2, true).unwrap_err();
        assert!(matches!(error, MuxError::Limit(_)), "{error}");
        assert!(matches!(table.sizes, Sizes::Even(2, count) if count == 3 << 30));
        let rest = Entry {
            frames: (1 << 30) - 1,
            ..packet(3)
        };
        table.push(&rest, 2, true).expect("the last that fits");
    }

    #[test]
    fn uncompressed_sound_that_overlaps_by_the_rounding_to_milliseconds_adjoins() {
        let packet = |at: i64, frames| Entry {
            frames,
            ..entry(at, at, 0)
        };
        // Packets of 1037 frames, 21.604 ms, whose times are whole milliseconds.
        let mut times = Times::new(&[48_000], true);
        for index in 0..1000_i64 {
            let at = index * 1037 / 48 * 1000;
            times.push(&packet(at, 1037)).expect("adjoins");
        }
        assert_eq!(times.count, 1_037_000);
        assert!(times.duration() - times.count <= 48, "nothing drifts");
        let mut times = Times::new(&[48_000], true);
        times.push(&packet(0, 480)).expect("fits");
        let error = times.push(&packet(8_900, 480)).unwrap_err();
        assert!(error.to_string().contains("overlap"), "{error}");
    }

    #[test]
    fn times_that_decrease_and_wide_gaps_of_uncompressed_sound_are_errors() {
        let mut times = Times::new(&[1_000_000], false);
        times.push(&entry(10, 10, 1)).expect("fits");
        assert!(times.push(&entry(9, 9, 1)).is_err());
        assert_eq!((times.scale, times.count), (1_000_000, 1));
        let mut sound = Times::new(&[48_000], true);
        sound.push(&entry(0, 0, 1)).expect("fits");
        assert!(sound.push(&entry(1 << 40, 1 << 40, 1)).is_err());
    }

    #[test]
    fn a_gap_of_hours_makes_all_ticks_coarser() {
        let hour = 3_600_000_000;
        for (gap, scale, off) in [(2 * hour, 90_000, 6), (24 * hour, 10_000, 51)] {
            let mut times = Times::new(&[90_000, 120_000, 1_000_000], false);
            let given = [1, 40_001, gap + 80_003, gap + 120_003];
            for time in given {
                times.push(&entry(time, time, 40_000)).expect("fits");
            }
            assert_eq!(times.scale, scale);
            let mut at = times.first_decode;
            for (want, (_, delta)) in given.iter().zip(times.deltas().iter()) {
                let got = time::micros(at, times.scale);
                assert!((got - want).abs() <= off, "{want} {got}");
                at += i64::from(delta);
            }
            // What comes is in the same ticks, even where they do not fit.
            times
                .push(&entry(gap + 160_001, gap + 160_001, 1))
                .expect("fits");
            assert_eq!(times.scale, scale);
        }
        let mut still = Times::new(&[1_000_000], false);
        still.push(&entry(0, 0, 3 * hour)).expect("fits");
        assert_eq!((still.scale, still.duration()), (90_000, 3 * 3600 * 90_000));
    }
}
