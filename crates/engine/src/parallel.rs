//! Inputs that two workers process at the same time, with two instances of a codec: the second one is primed with what it
//! needs of the inputs before its own.
//!
//! This is for codecs whose libraries use one thread, where many inputs wait and a worker has nothing to do. What comes
//! out is the same, in the same order.

use std::time::{Duration, Instant};

use reelcore_media::codec::Successor;
use reelcore_media::{ErrorKind, MediaError, counters};

use crate::Engine;
use crate::actor::Codec;
use crate::errand::{Ended, Errand};
use crate::running::guarded;

/// Fewer inputs are not worth a second worker.
pub(crate) const MIN_RUN: usize = 16;

/// More inputs are not taken from the mailbox at once.
const MAX_RUN: usize = 256;

/// What a run is to take on both workers together, so that each has about a turn's work. Where one of them is not done by
/// then, it stops.
const RUN: Duration = Duration::from_millis(4);

/// What a second worker makes is not counted before the run ends: where its outputs hold so many bytes, it stops.
pub(crate) const RUN_BYTES: usize = 8 << 20;

/// After a run of whose second part less than half could be used, so many looks pass without one; after each further one
/// twice as many, up to 2^6 times.
const PAUSE: u32 = 4;
const MAX_MISSES: u32 = 6;

/// What the first worker does of a run at least and at most, as the second one has to be woken and primed.
const SHARE: std::ops::RangeInclusive<f64> = 0.3..=0.8;

/// What the second worker is given.
struct Work<C: Codec> {
    instance: C::Instance,
    preroll: Vec<C::Input>,
    inputs: Vec<C::Input>,
    given: Instant,
}

/// What it gives back.
struct Worked<C: Codec> {
    /// In the state after the inputs that are done, all of which were sound.
    instance: Option<C::Instance>,
    inputs: Vec<C::Input>,
    done: usize,
    outputs: Vec<C::Output>,
    took: Duration,
}

fn process<C: Codec>(work: Work<C>) -> Worked<C> {
    let Work {
        mut instance,
        preroll,
        inputs,
        given,
    } = work;
    let mut worked = Worked {
        instance: None,
        done: 0,
        outputs: Vec::new(),
        took: Duration::ZERO,
        inputs,
    };
    if let Err(error) = guarded(|| C::prime(&mut instance, &preroll)) {
        // One that says that it cannot begin there may begin elsewhere.
        worked.instance = (error.kind == ErrorKind::Unsupported).then_some(instance);
        return worked;
    }
    let Worked {
        inputs,
        done,
        outputs,
        ..
    } = &mut worked;
    let mut bytes = 0;
    let result = guarded(|| {
        for input in inputs.iter() {
            let stop = bytes >= RUN_BYTES || given.elapsed() >= RUN;
            if stop || !C::is_seamless(&instance, input) {
                break;
            }
            C::process(&mut instance, input, &mut |output| {
                bytes += C::output_bytes(&output);
                outputs.push(output);
            })?;
            *done += 1;
        }
        Ok(())
    });
    if result.is_ok() {
        worked.instance = Some(instance);
    } else {
        // The first instance finds the error by itself, and says after which outputs.
        worked.outputs.clear();
        worked.done = 0;
    }
    worked.took = given.elapsed();
    worked
}

/// The second instance of a codec, and how well it does.
pub(crate) struct Parallel<C: Codec> {
    second: Option<C::Instance>,
    errand: Option<Errand<Work<C>, Worked<C>>>,
    /// What an input takes the first worker.
    pace: Option<Duration>,
    /// Of a run's inputs, those that the first worker processes.
    share: f64,
    /// Runs in a row that were not worth it.
    misses: u32,
    /// So many looks pass before the next run.
    pause: u32,
}

impl<C: Codec> Default for Parallel<C> {
    fn default() -> Self {
        Self {
            second: None,
            errand: None,
            pace: None,
            share: 0.5,
            misses: 0,
            pause: 0,
        }
    }
}

fn lost() -> MediaError {
    MediaError::backend("a second worker lost its part of a run")
}

/// What a second worker was given, to be [joined](Parallel::join).
pub(crate) struct Given {
    first: usize,
    began: Instant,
}

impl Given {
    /// Whether the first worker is to stop.
    pub(crate) fn is_late(&self) -> bool {
        self.began.elapsed() >= RUN
    }
}

/// What a run brings after the outputs of the first instance.
pub(crate) struct Joined<C: Codec> {
    /// Outputs of the second instance, and of how many inputs.
    pub(crate) outputs: Vec<C::Output>,
    pub(crate) done: usize,
    /// Inputs that nobody has processed.
    pub(crate) rest: Vec<C::Input>,
}

impl<C: Codec> Joined<C> {
    fn none(rest: Vec<C::Input>) -> Self {
        Self {
            outputs: Vec::new(),
            done: 0,
            rest,
        }
    }
}

impl<C: Codec> Parallel<C> {
    /// How many inputs a run is to have; none where one worker processes them all.
    pub(crate) fn wanted(&mut self) -> Option<usize> {
        if let Some(left) = self.pause.checked_sub(1) {
            self.pause = left;
            return None;
        }
        let fit = RUN.as_nanos() / self.pace?.as_nanos().max(1);
        let fit = usize::try_from(fit).map_or(MAX_RUN, |fit| fit.min(MAX_RUN));
        (fit >= MIN_RUN).then_some(fit)
    }

    /// What `inputs` took one worker.
    pub(crate) fn took(&mut self, inputs: usize, time: Duration) {
        let inputs = u32::try_from(inputs).unwrap_or(u32::MAX);
        self.pace = time.checked_div(inputs).or(self.pace);
    }

    /// Gives the later ones of `inputs` to another worker; those that are left are the first instance's to process. Gives
    /// nothing, and leaves `inputs` as they are, where that cannot be.
    pub(crate) fn give(
        &mut self,
        first: &C::Instance,
        inputs: &mut Vec<C::Input>,
        engine: &Engine,
        start: impl FnOnce() -> Result<C::Instance, MediaError>,
    ) -> Option<Given> {
        let split = ((inputs.len() as f64 * self.share) as usize).clamp(1, inputs.len().max(1));
        let (before, after) = inputs.split_at_checked(split)?;
        let preroll = guarded(|| Ok(C::preroll(first, before))).ok().flatten();
        let Some(preroll) = preroll.filter(|&preroll| preroll <= split && !after.is_empty()) else {
            self.missed();
            return None;
        };
        let preroll = before.get(split - preroll..)?.to_vec();
        let instance = match self.second.take() {
            Some(instance) => instance,
            None => match guarded(start) {
                Ok(instance) => instance,
                Err(_) => {
                    self.missed();
                    return None;
                }
            },
        };
        let work = Work {
            instance,
            preroll,
            inputs: inputs.split_off(split),
            given: Instant::now(),
        };
        self.errand
            .get_or_insert_with(|| Errand::new(process::<C>))
            .give(&engine.workers, work);
        Some(Given {
            first: split,
            began: Instant::now(),
        })
    }

    /// Waits for the other worker, after the first instance has processed its part: `first` is then where both parts of
    /// the run are behind it, but for what is left.
    ///
    /// # Errors
    /// When the first instance cannot go on after what the second one did.
    pub(crate) fn join(
        &mut self,
        first: &mut C::Instance,
        given: &Given,
    ) -> Result<Joined<C>, MediaError> {
        self.took(given.first, given.began.elapsed());
        let worked = match self.errand.as_ref().ok_or_else(lost)?.end() {
            Ended::Back(work) => {
                self.second = Some(work.instance);
                self.missed();
                return Ok(Joined::none(work.inputs));
            }
            Ended::Lost => return Err(lost()),
            Ended::Done(worked) => worked,
        };
        let Worked {
            instance,
            mut inputs,
            done,
            outputs,
            took,
        } = worked;
        if done * 2 < inputs.len() {
            self.missed();
        } else {
            self.misses = 0;
        }
        let Some(mut second) = instance else {
            return Ok(Joined::none(inputs));
        };
        if done == 0 {
            self.second = Some(second);
            return Ok(Joined::none(inputs));
        }
        match guarded(|| C::catch_up(first, inputs.get(..done).unwrap_or_default()))? {
            Successor::First => {}
            Successor::Second => std::mem::swap(first, &mut second),
            Successor::Neither => {
                self.pause = PAUSE << MAX_MISSES;
                return Ok(Joined::none(inputs));
            }
        }
        counters::count_parallel_inputs(done);
        self.second = Some(second);
        // Both are done at the same time where each has its share of inputs for what one takes it.
        let second_pace = took.as_secs_f64() / done as f64;
        let first_pace = self.pace.unwrap_or_default().as_secs_f64();
        let both = (second_pace + first_pace).max(f64::MIN_POSITIVE);
        let share = f64::midpoint(self.share, second_pace / both);
        self.share = share.clamp(*SHARE.start(), *SHARE.end());
        Ok(Joined {
            outputs,
            done,
            rest: inputs.split_off(done),
        })
    }

    /// Drops what the other worker does, where the first instance has not processed all of its part: gives the other one's
    /// inputs.
    ///
    /// # Errors
    /// When they are lost.
    pub(crate) fn abandon(&mut self) -> Result<Vec<C::Input>, MediaError> {
        self.missed();
        match self.errand.as_ref().map(Errand::end) {
            Some(Ended::Back(work)) => {
                self.second = Some(work.instance);
                Ok(work.inputs)
            }
            Some(Ended::Done(worked)) => {
                self.second = worked.instance;
                Ok(worked.inputs)
            }
            Some(Ended::Lost) | None => Err(lost()),
        }
    }

    fn missed(&mut self) {
        self.pause = PAUSE << self.misses;
        self.misses = (self.misses + 1).min(MAX_MISSES);
    }

    /// Frees the second instance until it is needed again.
    pub(crate) fn rest(&mut self) {
        self.second = None;
    }
}
