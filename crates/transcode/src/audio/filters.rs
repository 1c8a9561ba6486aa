//! Volume, fade, trim, shift, mix and resample, and sound from time 0 on.

use super::conform::Conform;
use super::{floats, run, silence, silence_like};
use crate::error::JobError;
use crate::job::Direction;
use crate::stream::{Pull, Sound, Sounds, frames_of};

/// The most frames that are summed, or silent, at a time.
const BLOCK: i64 = 4096;

/// Multiplies every sample.
pub(crate) struct Volume {
    pub(crate) input: Sounds,
    pub(crate) gain: f32,
}

impl Pull<Sound> for Volume {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        let Some(sound) = self.input.next()? else {
            return Ok(None);
        };
        if self.gain == 1.0 {
            return Ok(Some(sound));
        }
        let mut samples = floats(&sound.data)?;
        samples.iter_mut().for_each(|sample| *sample *= self.gain);
        let data = run(samples, sound.data.sample_rate, sound.data.channels)?;
        Ok(Some(Sound::new(sound.position, data)))
    }
}

/// From or to silence, in a straight line.
pub(crate) struct Fade {
    pub(crate) input: Sounds,
    pub(crate) direction: Direction,
    /// Microseconds.
    pub(crate) from: i64,
    /// Microseconds.
    pub(crate) duration: i64,
}

impl Pull<Sound> for Fade {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        let Some(sound) = self.input.next()? else {
            return Ok(None);
        };
        let rate = sound.data.sample_rate;
        let from = frames_of(self.from, rate);
        let length = frames_of(self.duration, rate).max(1);
        // What is as loud as it was is handed on.
        let untouched = match self.direction {
            Direction::In => sound.position >= from.saturating_add(length),
            Direction::Out => sound.end() <= from,
        };
        if untouched {
            return Ok(Some(sound));
        }
        let mut samples = floats(&sound.data)?;
        let channels = sound.data.channels as usize;
        for (position, frame) in (sound.position..).zip(samples.chunks_exact_mut(channels.max(1))) {
            let done = (position.saturating_sub(from) as f64 / length as f64).clamp(0.0, 1.0);
            let gain = match self.direction {
                Direction::In => done,
                Direction::Out => 1.0 - done,
            };
            frame.iter_mut().for_each(|sample| *sample *= gain as f32);
        }
        let data = run(samples, rate, sound.data.channels)?;
        Ok(Some(Sound::new(sound.position, data)))
    }
}

/// A part of the time, which then begins at 0.
pub(crate) struct Trim {
    pub(crate) input: Sounds,
    /// Microseconds.
    pub(crate) from: i64,
    /// Microseconds.
    pub(crate) to: i64,
}

impl Pull<Sound> for Trim {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        while let Some(sound) = self.input.next()? {
            let rate = sound.data.sample_rate;
            let from = frames_of(self.from, rate);
            let to = match self.to {
                i64::MAX => i64::MAX,
                to => frames_of(to, rate),
            };
            if sound.position >= to {
                return Ok(None);
            }
            if let Some(kept) = sound.within(from, to) {
                return Ok(Some(Sound::new(kept.position - from, kept.data)));
            }
        }
        Ok(None)
    }
}

/// The same later.
pub(crate) struct Shift {
    pub(crate) input: Sounds,
    /// Microseconds.
    pub(crate) by: i64,
}

impl Pull<Sound> for Shift {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        let sound = self.input.next()?;
        Ok(sound.map(|sound| {
            let by = frames_of(self.by, sound.data.sample_rate);
            Sound::new(sound.position.saturating_add(by), sound.data)
        }))
    }
}

/// From time 0 on, for what cannot say when sound begins: silence where it begins later.
pub(crate) struct FromZero {
    input: Sounds,
    /// The first run, until the silence before it is given.
    first: Option<Sound>,
    /// Where the silence goes on, once it has begun.
    silent: Option<i64>,
}

impl FromZero {
    pub(crate) fn new(input: Sounds) -> Self {
        Self {
            input,
            first: None,
            silent: None,
        }
    }
}

impl Pull<Sound> for FromZero {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        if self.silent.is_none() {
            let Some(first) = self.input.next()? else {
                return Ok(None);
            };
            self.first = Some(first);
            self.silent = Some(0);
        }
        let (Some(first), Some(silent)) = (self.first.take(), self.silent) else {
            return self.input.next();
        };
        let count = first.position.saturating_sub(silent).min(BLOCK);
        self.silent = Some(silent.saturating_add(count.max(0)));
        match u32::try_from(count) {
            Ok(count) if count > 0 => {
                // In the same format: it decides on what is encoded.
                let data = silence_like(&first.data, count)?;
                self.first = Some(first);
                Ok(Some(Sound::new(silent, data)))
            }
            _ => Ok(Some(first)),
        }
    }
}

/// Another rate, other channels.
pub(crate) struct Resample {
    input: Option<Sounds>,
    rate: Option<u32>,
    channels: Option<u32>,
    conform: Option<Conform>,
    ready: std::collections::VecDeque<Sound>,
}

impl Resample {
    /// What is not given stays as the input's first run has it.
    pub(crate) fn new(input: Sounds, rate: Option<u32>, channels: Option<u32>) -> Self {
        Self {
            input: Some(input),
            rate,
            channels,
            conform: None,
            ready: std::collections::VecDeque::new(),
        }
    }
}

impl Pull<Sound> for Resample {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        loop {
            if let Some(sound) = self.ready.pop_front() {
                return Ok(Some(sound));
            }
            let Some(input) = &mut self.input else {
                return Ok(None);
            };
            let ready = &mut self.ready;
            let mut give = |sound| {
                ready.push_back(sound);
                Ok(())
            };
            match input.next()? {
                Some(sound) => {
                    let rate = self.rate.map_or(sound.data.sample_rate, |rate| rate as f32);
                    let channels = self.channels.unwrap_or(sound.data.channels);
                    let conform = self
                        .conform
                        .get_or_insert_with(|| Conform::new(rate, channels, i64::MIN));
                    conform.push(&sound, &mut give)?;
                }
                None => {
                    self.input = None;
                    if let Some(conform) = &mut self.conform {
                        conform.finish(&mut give)?;
                    }
                }
            }
        }
    }
}

/// One of the inputs of a sum.
struct Lane {
    input: Option<Sounds>,
    gain: f32,
    waiting: Option<(Sound, Vec<f32>)>,
}

/// The sum of several sounds, of the rate and the channels of the first one.
pub(crate) struct Mix {
    /// Until the first run of the first input is there.
    inputs: Vec<(Sounds, f32)>,
    lanes: Vec<Lane>,
    format: (f32, u32),
    /// Where the sum goes on.
    cursor: Option<i64>,
}

impl Mix {
    /// Of inputs with their gains.
    pub(crate) fn new(inputs: Vec<(Sounds, f32)>) -> Self {
        Self {
            inputs,
            lanes: Vec::new(),
            format: (0.0, 0),
            cursor: None,
        }
    }

    fn start(&mut self) -> Result<(), JobError> {
        for (mut input, gain) in self.inputs.drain(..) {
            let mut first = None;
            if self.format.1 == 0 {
                first = input.next()?;
                if let Some(sound) = &first {
                    self.format = (sound.data.sample_rate, sound.data.channels);
                }
            }
            let waiting = match first {
                Some(sound) => {
                    let samples = floats(&sound.data)?;
                    Some((sound, samples))
                }
                None => None,
            };
            let input: Sounds = match self.format {
                // An input without a sound, before any that has one.
                (_, 0) => continue,
                (rate, channels) => {
                    Box::new(Resample::new(input, Some(rate as u32), Some(channels)))
                }
            };
            self.lanes.push(Lane {
                input: Some(input),
                gain,
                waiting,
            });
        }
        Ok(())
    }
}

impl Pull<Sound> for Mix {
    fn next(&mut self) -> Result<Option<Sound>, JobError> {
        self.start()?;
        for lane in &mut self.lanes {
            while lane.waiting.is_none()
                && let Some(input) = &mut lane.input
            {
                match input.next()? {
                    Some(sound) => {
                        let samples = floats(&sound.data)?;
                        lane.waiting = Some((sound, samples));
                    }
                    None => lane.input = None,
                }
            }
        }
        let waiting = || {
            self.lanes
                .iter()
                .filter_map(|lane| lane.waiting.as_ref().map(|(sound, _)| sound))
        };
        let Some(first) = waiting().map(|sound| sound.position).min() else {
            return Ok(None);
        };
        let from = self.cursor.unwrap_or(first);
        let bound = |sound: &Sound| {
            if sound.position > from {
                sound.position
            } else {
                sound.end()
            }
        };
        let to = waiting()
            .map(bound)
            .min()
            .unwrap_or(from)
            .min(from.saturating_add(BLOCK));
        let (rate, channels) = self.format;
        if to <= from {
            return Err(JobError::failed("sound that is mixed does not go on"));
        }
        self.cursor = Some(to);
        if !waiting().any(|sound| sound.position <= from) {
            return Ok(Some(Sound::new(from, silence(rate, channels, to - from)?)));
        }
        let width = channels as usize;
        let mut sum = vec![0f32; (to - from) as usize * width];
        for lane in &mut self.lanes {
            let Some((sound, samples)) = &lane.waiting else {
                continue;
            };
            if sound.position <= from {
                let skip = usize::try_from(from - sound.position)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(width);
                let there = samples.get(skip..).unwrap_or_default();
                for (sum, sample) in sum.iter_mut().zip(there) {
                    *sum += lane.gain * sample;
                }
            }
            if sound.end() <= to {
                lane.waiting = None;
            }
        }
        Ok(Some(Sound::new(from, run(sum, rate, channels)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Listed;
    use reelcore_media::{AudioData, SampleFormat};

    fn source(rate: f32, channels: u32, runs: &[(i64, &[f32])]) -> Sounds {
        let runs: Vec<_> = runs
            .iter()
            .map(|(position, samples)| {
                Sound::new(*position, run(samples.to_vec(), rate, channels).unwrap())
            })
            .collect();
        Box::new(Listed(runs.into_iter()))
    }

    /// All samples from the first place on, without a gap.
    fn collect(mut stream: impl Pull<Sound>) -> (i64, Vec<f32>) {
        let (mut start, mut samples, mut next) = (0, Vec::new(), None);
        while let Some(sound) = stream.next().unwrap() {
            match next {
                None => start = sound.position,
                Some(next) => assert_eq!(sound.position, next, "no gap and no overlap"),
            }
            next = Some(sound.end());
            samples.extend(floats(&sound.data).unwrap());
        }
        (start, samples)
    }

    #[test]
    fn volume_multiplies() {
        let input = source(8000.0, 2, &[(3, &[0.5, -0.5, 0.25, 1.0])]);
        let got = collect(Volume { input, gain: 0.5 });
        assert_eq!(got, (3, vec![0.25, -0.25, 0.125, 0.5]));
    }

    #[test]
    fn a_fade_is_a_straight_line_at_its_place() {
        for (direction, want) in [
            (Direction::In, [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]),
            (Direction::Out, [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ] {
            let input = source(1000.0, 1, &[(0, &[1.0; 3]), (3, &[1.0; 5])]);
            let fade = Fade {
                input,
                direction,
                from: 2000,
                duration: 4000,
            };
            assert_eq!(collect(fade), (0, want.to_vec()));
        }
    }

    #[test]
    fn a_trim_is_exact_to_the_sample() {
        let ramp: Vec<f32> = (0..100).map(|n| n as f32).collect();
        let input = source(1000.0, 1, &[(0, &ramp[..33]), (33, &ramp[33..])]);
        let got = collect(Trim {
            input,
            from: 20_000,
            to: 50_000,
        });
        assert_eq!(got, (0, ramp[20..50].to_vec()));
        let input = source(1000.0, 1, &[(40, &ramp)]);
        let got = collect(Trim {
            input,
            from: 20_000,
            to: i64::MAX,
        });
        assert_eq!(got, (20, ramp.clone()), "what begins late stays late");
    }

    #[test]
    fn sound_that_begins_late_is_silent_from_zero_on_in_its_own_format() {
        let late = source(1000.0, 2, &[(5000, &[0.5; 4]), (5002, &[0.25; 2])]);
        let (start, samples) = collect(FromZero::new(late));
        let mut want = vec![0.0; 10_000];
        want.extend([0.5, 0.5, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!((start, samples), (0, want));
        let at_once = source(1000.0, 1, &[(0, &[0.5; 4]), (4, &[0.25; 2])]);
        let got = collect(FromZero::new(at_once));
        assert_eq!(got, (0, vec![0.5, 0.5, 0.5, 0.5, 0.25, 0.25]));
        assert!(
            FromZero::new(source(1000.0, 1, &[]))
                .next()
                .unwrap()
                .is_none()
        );
        for (format, silent) in [(SampleFormat::U8Planar, 0x80), (SampleFormat::S16, 0)] {
            let samples = bytes::Bytes::from_static(&[7; 8]);
            let data = AudioData::new(format, 1000.0, 2, 2, 0, samples).unwrap();
            let mut stream = FromZero::new(Box::new(Listed(
                vec![Sound::new(3, data.clone())].into_iter(),
            )));
            let silence = stream.next().unwrap().unwrap();
            assert_eq!((silence.position, silence.end()), (0, 3));
            assert_eq!(silence.data.format, format);
            let planes = silence.data.planes.iter();
            assert!(planes.flatten().all(|&byte| byte == silent));
            let first = stream.next().unwrap().unwrap();
            assert_eq!((first.position, &first.data.planes), (3, &data.planes));
            assert!(stream.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_mix_is_the_sum_at_every_place() {
        let a = source(1000.0, 1, &[(0, &[0.5; 4]), (4, &[0.5; 4])]);
        let b = source(
            1000.0,
            2,
            &[(6, &[0.25, 0.75, 0.25, 0.75, 0.25, 0.75, 0.5, 0.5])],
        );
        let c = source(1000.0, 1, &[(12, &[0.125; 2])]);
        let got = collect(Mix::new(vec![(a, 1.0), (b, 0.5), (c, 2.0)]));
        let want = vec![
            0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 0.25, 0.25, 0.0, 0.0, 0.25, 0.25,
        ];
        assert_eq!(got, (0, want));
    }

    #[test]
    fn resampling_keeps_length_and_channels() {
        let tone: Vec<f32> = (0..2000).map(|n| (n as f32 * 0.05).sin()).collect();
        let input = source(24_000.0, 2, &[(0, &tone[..1000]), (500, &tone[1000..])]);
        let (start, samples) = collect(Resample::new(input, Some(48_000), Some(1)));
        assert_eq!((start, samples.len()), (0, 2000));
    }
}
