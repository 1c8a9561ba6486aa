//! Brings sound to one rate and one number of channels.

use reelcore_resample::SampleRateConverter;

use super::{floats, run};
use crate::error::JobError;
use crate::stream::Sound;

/// Half the power.
const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// The input that a converter goes on from, and where its output goes on.
struct Running {
    converter: Option<SampleRateConverter>,
    rate: f32,
    next_in: i64,
    next_out: i64,
}

/// Converts runs of any rate and channels to one of each. What follows without a gap stays without one.
pub(crate) struct Conform {
    rate: f32,
    channels: u32,
    /// Nothing is put before this place.
    start: i64,
    running: Option<Running>,
}

impl Conform {
    /// To `rate` frames a second and `channels`, from the place `start` on.
    pub(crate) fn new(rate: f32, channels: u32, start: i64) -> Self {
        Self {
            rate,
            channels,
            start,
            running: None,
        }
    }

    /// Takes a run, and gives what is ready.
    pub(crate) fn push(
        &mut self,
        sound: &Sound,
        out: &mut dyn FnMut(Sound) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let data = &sound.data;
        let goes_on = |running: &Running| {
            running.rate == data.sample_rate && running.next_in == sound.position
        };
        if !self.running.as_ref().is_some_and(goes_on) {
            self.finish(out)?;
            let place = convert_place(sound.position, data.sample_rate, self.rate);
            self.running = Some(Running {
                converter: match data.sample_rate == self.rate {
                    true => None,
                    false => Some(SampleRateConverter::new(
                        data.sample_rate as u32,
                        self.rate as u32,
                        self.channels,
                    )?),
                },
                rate: data.sample_rate,
                next_in: sound.position,
                next_out: place.max(self.start),
            });
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.next_in = sound.end();
        if running.converter.is_none() && data.channels == self.channels {
            let position = running.next_out;
            running.next_out = position.saturating_add(i64::from(data.frames));
            return out(Sound::new(position, data.clone()));
        }
        let samples = mixed(floats(data)?, data.channels, self.channels);
        let (rate, channels) = (self.rate, self.channels);
        let next = &mut running.next_out;
        let mut made = Vec::new();
        match &mut running.converter {
            None => made = samples,
            Some(converter) => converter.push(&samples, &mut |samples| {
                made.extend_from_slice(samples);
                Ok(())
            })?,
        }
        give(made, rate, channels, next, out)
    }

    /// Gives the rest.
    pub(crate) fn finish(
        &mut self,
        out: &mut dyn FnMut(Sound) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let mut made = Vec::new();
        if let Some(converter) = &mut running.converter {
            converter.finish(&mut |samples| {
                made.extend_from_slice(samples);
                Ok(())
            })?;
        }
        give(made, self.rate, self.channels, &mut running.next_out, out)?;
        self.start = running.next_out;
        Ok(())
    }
}

fn give(
    samples: Vec<f32>,
    rate: f32,
    channels: u32,
    next: &mut i64,
    out: &mut dyn FnMut(Sound) -> Result<(), JobError>,
) -> Result<(), JobError> {
    if samples.is_empty() {
        return Ok(());
    }
    let sound = Sound::new(*next, run(samples, rate, channels)?);
    *next = sound.end();
    out(sound)
}

/// The place at another rate, rounded to the nearest.
pub(crate) fn convert_place(position: i64, from: f32, to: f32) -> i64 {
    let (from, to) = (i128::from(from as i64).max(1), i128::from(to as i64));
    let exact = (i128::from(position) * to + from / 2).div_euclid(from);
    i64::try_from(exact).unwrap_or(i64::MAX)
}

/// Interleaved samples with other channels: the speaker interpretation of Web Audio, and for 3, 5, 7 and 8 channels, which
/// that leaves alone, sums in its manner.
/// <https://webaudio.github.io/web-audio-api/#channel-up-mixing-and-down-mixing>
pub(crate) fn mixed(samples: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
    if from == to {
        return samples;
    }
    let rows = matrix(from as usize, to as usize);
    let mut out = Vec::with_capacity(samples.len() / (from as usize).max(1) * to as usize);
    for frame in samples.chunks_exact((from as usize).max(1)) {
        for row in &rows {
            out.push(
                row.iter()
                    .zip(frame)
                    .map(|(gain, sample)| gain * sample)
                    .sum(),
            );
        }
    }
    out
}

/// For each output channel, the gain of each input channel.
fn matrix(from: usize, to: usize) -> Vec<Vec<f32>> {
    let rows = |rows: &[&[f32]]| rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>();
    match (from, to) {
        (1, 2) => rows(&[&[1.0], &[1.0]]),
        (1, 4) => rows(&[&[1.0], &[1.0], &[0.0], &[0.0]]),
        (1, 6) => rows(&[&[0.0], &[0.0], &[1.0], &[0.0], &[0.0], &[0.0]]),
        (2, 1) => rows(&[&[0.5, 0.5]]),
        (4, 1) => rows(&[&[0.25; 4]]),
        (4, 2) => rows(&[&[0.5, 0.0, 0.5, 0.0], &[0.0, 0.5, 0.0, 0.5]]),
        (4, 6) => rows(&[
            &[1.0, 0.0, 0.0, 0.0],
            &[0.0, 1.0, 0.0, 0.0],
            &[0.0; 4],
            &[0.0; 4],
            &[0.0, 0.0, 1.0, 0.0],
            &[0.0, 0.0, 0.0, 1.0],
        ]),
        (6, 1) => rows(&[&[HALF, HALF, 1.0, 0.0, 0.5, 0.5]]),
        (6, 2) => rows(&[
            &[1.0, 0.0, HALF, 0.0, HALF, 0.0],
            &[0.0, 1.0, HALF, 0.0, 0.0, HALF],
        ]),
        (6, 4) => rows(&[
            &[1.0, 0.0, HALF, 0.0, 0.0, 0.0],
            &[0.0, 1.0, HALF, 0.0, 0.0, 0.0],
            &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        ]),
        // L R C, 5.0, 6.1 and 7.1 as 5.1 first.
        (3, 1 | 2) => product(
            &matrix(6, to),
            &rows(&[
                &[1.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0],
                &[0.0, 0.0, 1.0],
                &[0.0; 3],
                &[0.0; 3],
                &[0.0; 3],
            ]),
        ),
        (5, 1 | 2 | 4) => product(
            &matrix(6, to),
            &rows(&[
                &[1.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 1.0, 0.0, 0.0],
                &[0.0; 5],
                &[0.0, 0.0, 0.0, 1.0, 0.0],
                &[0.0, 0.0, 0.0, 0.0, 1.0],
            ]),
        ),
        (7, 1 | 2 | 4 | 6) => product(
            &matrix(6, to),
            &rows(&[
                &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 0.0, 0.0, HALF, 1.0, 0.0],
                &[0.0, 0.0, 0.0, 0.0, HALF, 0.0, 1.0],
            ]),
        ),
        (8, 1 | 2 | 4 | 6) => product(
            &matrix(6, to),
            &rows(&[
                &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                &[0.0, 0.0, 0.0, 0.0, HALF, 0.0, HALF, 0.0],
                &[0.0, 0.0, 0.0, 0.0, 0.0, HALF, 0.0, HALF],
            ]),
        ),
        // Channel by channel: those beyond are dropped, those that lack are silent.
        _ => (0..to)
            .map(|row| {
                (0..from)
                    .map(|column| f32::from(u8::from(row == column)))
                    .collect()
            })
            .collect(),
    }
}

fn product(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let columns = b.first().map_or(0, Vec::len);
    let cell = |row: &[f32], column: usize| {
        row.iter()
            .zip(b)
            .map(|(gain, row)| gain * row.get(column).copied().unwrap_or(0.0))
            .sum()
    };
    a.iter()
        .map(|row| (0..columns).map(|column| cell(row, column)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_mixed_as_web_audio_mixes_them() {
        for (from, to, want) in [
            (vec![0.5, -0.25], 1, vec![0.125]),
            (vec![0.5], 2, vec![0.5, 0.5]),
            (
                vec![0.1, 0.2, 0.3, 0.9, 0.4, 0.5],
                1,
                vec![(0.1 + 0.2) * HALF + 0.3 + 0.45],
            ),
            (vec![0.1, 0.2, 0.3, 0.4], 2, vec![0.2, 0.3]),
            (
                vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                2,
                vec![1.0, 0.0],
            ),
            (
                vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
                2,
                vec![1.0, 0.0],
            ),
            (vec![0.1, 0.2], 3, vec![0.1, 0.2, 0.0]),
        ] {
            let channels = from.len() as u32;
            let got = mixed(from.clone(), channels, to);
            let close = got.len() == want.len()
                && got
                    .iter()
                    .zip(&want)
                    .all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-6);
            assert!(close, "{from:?} to {to}: {got:?}, not {want:?}");
        }
    }

    #[test]
    fn every_number_of_channels_becomes_every_other() {
        for from in 1..=8 {
            for to in 1..=8 {
                let rows = matrix(from, to);
                assert!(rows.len() == to && rows.iter().all(|row| row.len() == from) || from == to);
            }
        }
    }

    #[test]
    fn a_gap_in_the_input_stays_where_it_is() {
        let mut conform = Conform::new(48_000.0, 2, 0);
        let sound = |position, frames: usize| {
            Sound::new(position, run(vec![0.25; frames], 24_000.0, 1).unwrap())
        };
        let mut got = Vec::new();
        for input in [sound(10, 1000), sound(1010, 500), sound(3000, 100)] {
            conform
                .push(&input, &mut |sound| {
                    got.push(sound);
                    Ok(())
                })
                .unwrap();
        }
        conform
            .finish(&mut |sound| {
                got.push(sound);
                Ok(())
            })
            .unwrap();
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for sound in &got {
            match runs.last_mut() {
                Some(last) if last.1 == sound.position => last.1 = sound.end(),
                _ => runs.push((sound.position, sound.end())),
            }
        }
        assert_eq!(runs, [(20, 3020), (6000, 6200)]);
    }
}
