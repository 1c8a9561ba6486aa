//! Changes the sample rate of audio as it comes, with neither a delay nor a frame too many or too few.

#![forbid(unsafe_code)]

use reelcore_media::MediaError;
use reelcore_media::encode_queue::EncodeQueue;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Resampler as Library, SincInterpolationParameters,
};

/// The highest rate, on both sides. Web Audio's is the same.
pub const MAX_SAMPLE_RATE: u32 = 768_000;

/// The most channels.
pub const MAX_CHANNELS: u32 = 255;

/// Frames of input that are converted at a time. An FFT as long as this has a transition band of some 2 % of the
/// audible one.
const CHUNK: usize = 1024;

/// Up to this many frames a block of FFTs may have; it must be a multiple of the ratio's terms.
const MAX_BLOCK: u32 = 8192;

/// Converts interleaved `f32` samples from one rate to another. Values that are no numbers count as silence.
pub struct SampleRateConverter {
    library: Box<dyn Library<f32>>,
    queue: EncodeQueue<f32>,
    stage: Stage,
    from: u32,
    to: u32,
    /// Frames of silence that go before the input.
    lead: usize,
    /// Frames taken since the start or the last [`finish`](Self::finish).
    taken: u64,
}

/// What the library has made, on its way out.
struct Stage {
    samples: Vec<f32>,
    channels: usize,
    /// The library's delay: frames to drop at the start.
    delay: usize,
    skip: usize,
    given: u64,
}

impl std::fmt::Debug for SampleRateConverter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SampleRateConverter")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("channels", &self.stage.channels)
            .finish_non_exhaustive()
    }
}

fn backend(error: impl std::fmt::Display) -> MediaError {
    MediaError::backend(format!("resampling: {error}"))
}

impl SampleRateConverter {
    /// A converter from `from` to `to` frames a second.
    ///
    /// # Errors
    /// [`Unsupported`](reelcore_media::ErrorKind::Unsupported) for rates of 0 and above [`MAX_SAMPLE_RATE`], and for
    /// no channels and more than [`MAX_CHANNELS`].
    pub fn new(from: u32, to: u32, channels: u32) -> Result<Self, MediaError> {
        let rates = 1..=MAX_SAMPLE_RATE;
        if !rates.contains(&from) || !rates.contains(&to) {
            return Err(MediaError::unsupported(format!(
                "expected rates of 1 to {MAX_SAMPLE_RATE} Hz to convert, found {from} and {to} Hz"
            )));
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(MediaError::unsupported(format!(
                "expected 1 to {MAX_CHANNELS} channels, found {channels}"
            )));
        }
        let width = channels as usize;
        let common = gcd(from, to);
        let unit = (from / common) as usize;
        let (library, lead, delay): (Box<dyn Library<f32>>, _, _);
        if (from / common).max(to / common) <= MAX_BLOCK {
            // An even number of frames on both sides: half a block, the delay, is then whole.
            let chunk = unit * CHUNK.div_ceil(unit).next_multiple_of(2);
            let (from, to) = (from as usize, to as usize);
            let window = rubato::WindowFunction::BlackmanHarris2;
            let fft = Fft::new_custom(from, to, chunk, 1, width, window, FixedSync::Both);
            library = Box::new(fft.map_err(backend)?);
            (lead, delay) = (0, library.output_delay());
        } else {
            let ratio = f64::from(to) / f64::from(from);
            let parameters = SincInterpolationParameters::default();
            let sinc = Async::new_sinc(ratio, 1.0, &parameters, CHUNK, width, FixedAsync::Input);
            library = Box::new(sinc.map_err(backend)?);
            (lead, delay) = align(&parameters, ratio);
        }
        Ok(Self {
            queue: EncodeQueue::new(library.input_frames_max(), channels),
            stage: Stage {
                samples: vec![0.0; library.output_frames_max() * width],
                channels: width,
                delay,
                skip: delay,
                given: 0,
            },
            lead,
            library,
            from,
            to,
            taken: 0,
        })
    }

    /// Frames that `frames` frames of input become: all that begin within their duration.
    pub fn output_frames(&self, frames: u64) -> u64 {
        let exact = u128::from(frames) * u128::from(self.to);
        u64::try_from(exact.div_ceil(u128::from(self.from))).unwrap_or(u64::MAX)
    }

    /// Takes interleaved samples, whole frames of them, and calls `out` with those that are ready.
    ///
    /// # Errors
    /// What the library reports, and what `out` returns.
    pub fn push(
        &mut self,
        samples: &[f32],
        out: &mut dyn FnMut(&[f32]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let (library, stage) = (&mut self.library, &mut self.stage);
        if self.taken == 0 && self.lead > 0 {
            let silence = vec![0.0; self.lead * stage.channels];
            self.queue.push(&silence, &mut |chunk| {
                stage.convert(&mut **library, chunk, u64::MAX, out)
            })?;
        }
        self.taken += (samples.len() / stage.channels) as u64;
        self.queue.push(samples, &mut |chunk| {
            stage.convert(&mut **library, chunk, u64::MAX, out)
        })
    }

    /// Calls `out` with the rest, and is as new for what comes next.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(
        &mut self,
        out: &mut dyn FnMut(&[f32]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let total = self.output_frames(self.taken);
        let (library, stage) = (&mut self.library, &mut self.stage);
        while stage.given < total {
            self.queue.pad(true, &mut |chunk| {
                stage.convert(&mut **library, chunk, total, out)
            })?;
        }
        library.reset();
        stage.skip = stage.delay;
        stage.given = 0;
        self.taken = 0;
        Ok(())
    }
}

impl Stage {
    fn convert(
        &mut self,
        library: &mut dyn Library<f32>,
        chunk: &[f32],
        total: u64,
        out: &mut dyn FnMut(&[f32]) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let clean: Vec<f32>;
        let chunk = match chunk.iter().all(|sample| sample.is_finite()) {
            true => chunk,
            false => {
                let number = |sample: &f32| if sample.is_finite() { *sample } else { 0.0 };
                clean = chunk.iter().map(number).collect();
                &clean
            }
        };
        let room = self.samples.len() / self.channels;
        let input = InterleavedSlice::new(chunk, self.channels, chunk.len() / self.channels)
            .map_err(|error| backend(format_args!("{error:?}")))?;
        let mut output = InterleavedSlice::new_mut(&mut self.samples, self.channels, room)
            .map_err(|error| backend(format_args!("{error:?}")))?;
        let (_, made) = library
            .process_into_buffer(&input, &mut output, None)
            .map_err(backend)?;
        let skipped = self.skip.min(made);
        self.skip -= skipped;
        let wanted = usize::try_from(total - self.given).unwrap_or(usize::MAX);
        let kept = (made - skipped).min(wanted);
        self.given += kept as u64;
        let samples = skipped * self.channels..(skipped + kept) * self.channels;
        match self.samples.get(samples) {
            Some(samples) if !samples.is_empty() => out(samples),
            _ => Ok(()),
        }
    }
}

/// How many frames of silence to put in front, and how many frames of output to drop then, so that what is left begins
/// with the input. The library's delay is no whole number of frames in general; with some silence it nearly is.
fn align(parameters: &SincInterpolationParameters, ratio: f64) -> (usize, usize) {
    // The middle of the filter, which stands between two of its points; and the first output comes one step after the
    // start. The tests measure it.
    let delay = parameters.sinc_len as f64 / 2.0 - 1.0 / parameters.oversampling_factor as f64;
    let output = |lead: usize| (delay + lead as f64) * ratio - 1.0;
    let off = |lead: usize| (output(lead) - output(lead).round()).abs();
    let lead = (0..CHUNK).min_by(|&a, &b| off(a).total_cmp(&off(b)));
    let lead = lead.unwrap_or_default();
    (lead, output(lead).round() as usize)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, frames: usize) -> Vec<f32> {
        let sample = |frame: usize, tone: f64| {
            let turn = std::f64::consts::TAU * frame as f64 / f64::from(rate);
            (0.5 * (turn * tone).sin()) as f32
        };
        (0..frames)
            .flat_map(|frame| [sample(frame, 440.0), sample(frame, 997.0)])
            .collect()
    }

    fn convert(converter: &mut SampleRateConverter, samples: &[f32], step: usize) -> Vec<f32> {
        let mut all = Vec::new();
        let mut out = |samples: &[f32]| {
            all.extend_from_slice(samples);
            Ok(())
        };
        for run in samples.chunks(step * 2) {
            converter.push(run, &mut out).unwrap();
        }
        converter.finish(&mut out).unwrap();
        all
    }

    #[test]
    fn tones_keep_their_place_and_length_at_every_ratio() {
        for (from, to) in [
            (44_100, 48_000),
            (48_000, 44_100),
            (8000, 48_000),
            (96_000, 48_000),
            (44_101, 48_000),
            (3000, 48_000),
            (48_000, 44_101),
        ] {
            let mut converter = SampleRateConverter::new(from, to, 2).unwrap();
            for frames in [1usize, 1000, from as usize / 2 + 1] {
                let got = convert(&mut converter, &tone(from, frames), 441);
                let count = (frames as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
                assert_eq!(got.len(), count * 2, "{frames} frames from {from} to {to}");
                let want = tone(to, count);
                // The ends ring: there the tone begins and stops at once.
                let edge = count.min(to as usize / 10);
                let (mut signal, mut error) = (0.0, 1e-20);
                for (got, want) in got
                    .iter()
                    .zip(&want)
                    .take((count - edge) * 2)
                    .skip(edge * 2)
                {
                    signal += f64::from(*want).powi(2);
                    error += f64::from(got - want).powi(2);
                }
                if signal > 0.0 {
                    let ratio = 10.0 * f64::log10(signal / error);
                    // Interpolation is less exact than an FFT, and a thousandth of a frame off.
                    let least = if [from, to].contains(&44_101) {
                        60.0
                    } else {
                        80.0
                    };
                    assert!(ratio > least, "{from} to {to}: {ratio:.1} dB");
                }
            }
        }
    }

    #[test]
    fn the_lengths_of_runs_change_nothing() {
        let samples = tone(44_100, 10_000);
        let mut converter = SampleRateConverter::new(44_100, 48_000, 2).unwrap();
        let whole = convert(&mut converter, &samples, 10_000);
        assert_eq!(convert(&mut converter, &samples, 7), whole);
    }

    #[test]
    fn what_is_no_number_does_not_spread() {
        let mut samples = tone(44_100, 20_000);
        samples[9000] = f32::NAN;
        samples[9001] = f32::INFINITY;
        let mut converter = SampleRateConverter::new(44_100, 48_000, 2).unwrap();
        let got = convert(&mut converter, &samples, 20_000);
        assert!(got.iter().all(|sample| sample.abs() < 1.0));
    }

    #[test]
    fn rates_and_channels_that_are_none_are_refused() {
        for (from, to, channels) in [
            (0, 1, 1),
            (1, 0, 1),
            (768_001, 1, 1),
            (1, 1, 0),
            (1, 1, 256),
        ] {
            assert!(SampleRateConverter::new(from, to, channels).is_err());
        }
    }
}
