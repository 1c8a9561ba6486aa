//! What a worker runs: a codec, and the other ones that can take over.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use reelcore_media::MediaError;

use crate::ThreadLease;
use crate::actor::{Codec, Command, Event, Shared};
use crate::outputs::{Outputs, Turn};
use crate::parallel::{Parallel, RUN_BYTES};

/// Inputs kept so that another backend can take over before the first output. Codecs reorder by
/// up to 16 frames; one that has shown nothing after twice as many cannot be replaced unnoticed.
const MAX_REPLAY: usize = 32;

/// A codec as the worker that runs it sees it.
pub(crate) struct Running<C: Codec> {
    pub(crate) epoch: u64,
    config: Option<C::Config>,
    active: Option<Active<C>>,
    /// Those for the configuration, best first.
    backends: Vec<C::Backend>,
    /// The one that runs, by its place among them.
    current: usize,
    /// Those not yet tried, best last.
    rest: Vec<usize>,
    /// Inputs since the start, kept while another backend could take over.
    replay: Vec<C::Input>,
    pub(crate) stall_reported: bool,
    /// Commands taken from the mailbox and not yet carried out.
    pub(crate) taken: VecDeque<Command<C>>,
    /// What a turn brings; kept for its memory.
    pub(crate) batch: Vec<Event<C::Output>>,
    pub(crate) turn: Turn,
    parallel: Parallel<C>,
    /// Whether there was an output.
    has_given: bool,
}

struct Active<C: Codec> {
    instance: C::Instance,
    _threads: ThreadLease,
}

/// Why a command failed.
pub(crate) struct Failure {
    pub(crate) error: MediaError,
    /// Whether the configuration is to blame.
    pub(crate) configuring: bool,
}

impl Failure {
    fn configuring(error: MediaError) -> Self {
        Self {
            error,
            configuring: true,
        }
    }
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        Self {
            error,
            configuring: false,
        }
    }
}

impl<C: Codec> Running<C> {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 0,
            config: None,
            active: None,
            backends: Vec::new(),
            current: 0,
            rest: Vec::new(),
            replay: Vec::new(),
            stall_reported: false,
            taken: VecDeque::new(),
            batch: Vec::new(),
            turn: Turn::default(),
            parallel: Parallel::default(),
            has_given: false,
        }
    }

    pub(crate) fn restart(&mut self, epoch: u64) {
        self.stop();
        self.taken.clear();
        self.epoch = epoch;
    }

    pub(crate) fn stop(&mut self) {
        self.active = None;
        self.parallel = Parallel::default();
        self.has_given = false;
        self.config = None;
        self.backends.clear();
        self.rest.clear();
        self.replay.clear();
        self.stall_reported = false;
    }

    pub(crate) fn execute(
        &mut self,
        shared: &Shared<C>,
        command: Command<C>,
        batch: &mut Vec<Event<C::Output>>,
    ) -> Result<(), Failure> {
        match command {
            Command::Configure(config) => {
                // What the old codec holds back belongs to inputs given before: it is not lost.
                if self.active.is_some() {
                    self.call(shared, batch, |instance, sink| C::flush(instance, sink))?;
                }
                self.stop();
                C::check_limits(&config, &shared.engine.options.limits)
                    .map_err(Failure::configuring)?;
                self.backends =
                    C::backends(&shared.registry, &config).map_err(Failure::configuring)?;
                self.rest = (0..self.backends.len()).rev().collect();
                self.config = Some(config);
                // The library starts with the first input: until then a codec costs neither threads nor buffers.
                batch.push(Event::Configured);
                Ok(())
            }
            Command::Refuse(error) => {
                self.stop();
                Err(Failure::configuring(error))
            }
            Command::Process(mut input) => {
                if self.active.is_none() && self.config.is_some() {
                    self.start_next(shared, None, batch)
                        .map_err(Failure::configuring)?;
                } else if let Err(reason) = self.accepts(&input) {
                    input = self.take_over(shared, &input, reason, batch)?;
                }
                if !self.rest.is_empty() {
                    if self.replay.len() < MAX_REPLAY {
                        self.replay.push(input.clone());
                    } else {
                        self.settle();
                    }
                }
                let result = self.call(shared, batch, |instance, sink| {
                    C::process(instance, &input, sink)
                });
                Ok(self.recover(shared, result, batch)?)
            }
            Command::Flush(number) if self.active.is_none() && self.config.is_some() => {
                // Nothing was put in, so nothing is held back.
                batch.push(Event::Flushed(number));
                Ok(())
            }
            Command::Flush(number) => {
                let result = self.call(shared, batch, |instance, sink| C::flush(instance, sink));
                if result.is_err() {
                    self.recover(shared, result, batch)?;
                    self.call(shared, batch, |instance, sink| C::flush(instance, sink))?;
                }
                self.replay.clear();
                self.parallel.rest();
                batch.push(Event::Flushed(number));
                Ok(())
            }
        }
    }

    /// How many inputs two workers are to process together, if the codec can and there is room for what comes of them.
    pub(crate) fn wanted_run(&mut self, outputs: &Outputs) -> Option<usize> {
        // Not before the first output, when another backend may still take over.
        if !C::PARALLEL || !self.has_given || !self.taken.is_empty() || !self.rest.is_empty() {
            return None;
        }
        let wanted = self.parallel.wanted().filter(|_| self.active.is_some())?;
        self.turn.has_room(outputs, 2 * RUN_BYTES).then_some(wanted)
    }

    /// Processes `inputs`, the later ones of them on another worker, and adds to `done` how many were. Gives those that were
    /// not: all of them where no other worker can have a part.
    pub(crate) fn execute_run(
        &mut self,
        shared: &Shared<C>,
        mut inputs: Vec<C::Input>,
        batch: &mut Vec<Event<C::Output>>,
        done: &mut usize,
    ) -> Result<Vec<C::Input>, Failure> {
        let given = match (&self.active, self.backends.get(self.current), &self.config) {
            (Some(active), Some(backend), Some(config)) => {
                let start = || C::start(backend, config, &shared.engine, 1);
                self.parallel
                    .give(&active.instance, &mut inputs, &shared.engine, start)
            }
            _ => None,
        };
        let Some(given) = given else {
            return Ok(inputs);
        };
        for (index, input) in inputs.iter().enumerate() {
            // The clock is looked at now and then, as in other turns.
            let late = index % C::UNTIMED.max(1) as usize == 0 && given.is_late();
            if late || self.turn.over_cap(&shared.outputs) {
                let mut left = inputs.split_off(index);
                left.append(&mut self.parallel.abandon()?);
                return Ok(left);
            }
            *done += 1;
            let result = self.call(shared, batch, |instance, sink| {
                C::process(instance, input, sink)
            });
            if let Err(error) = result {
                let _ = self.parallel.abandon();
                return Err(error.into());
            }
        }
        let Some(active) = self.active.as_mut() else {
            return Ok(Vec::new());
        };
        let joined = self.parallel.join(&mut active.instance, &given)?;
        *done += joined.done;
        // The other worker's outputs, as those of the instance here.
        self.call(shared, batch, |_, sink| {
            joined.outputs.into_iter().for_each(sink);
            Ok(())
        })?;
        Ok(joined.rest)
    }

    /// A turn ended in which one worker processed `inputs`.
    pub(crate) fn took(&mut self, inputs: usize, time: Duration) {
        if C::PARALLEL {
            self.parallel.took(inputs, time);
        }
    }

    /// No other backend can take over any more.
    fn settle(&mut self) {
        self.rest.clear();
        self.replay.clear();
    }

    /// Whether the codec goes on with `input`; asked where another one could.
    fn accepts(&self, input: &C::Input) -> Result<(), MediaError> {
        match &self.active {
            Some(active) if self.backends.len() > 1 => {
                guarded(|| C::accepts(&active.instance, input))
            }
            _ => Ok(()),
        }
    }

    /// Ends the codec, which does not go on with `input` for `reason`, and starts the best other one that does. Gives what
    /// that one is to be fed.
    fn take_over(
        &mut self,
        shared: &Shared<C>,
        input: &C::Input,
        reason: MediaError,
        batch: &mut Vec<Event<C::Output>>,
    ) -> Result<C::Input, MediaError> {
        let with_sets = match &self.active {
            Some(active) => guarded(|| Ok(C::hand_over(&active.instance, input)))?,
            None => input.clone(),
        };
        // What it holds back comes before everything of the other one.
        let flushed = self.call(shared, batch, |instance, sink| C::flush(instance, sink));
        if flushed.is_err() && !self.rest.is_empty() {
            // Nothing came out yet: the other one starts from the front, and needs nothing handed over.
            self.recover(shared, flushed, batch)?;
            return Ok(input.clone());
        }
        flushed?;
        self.settle();
        let others = (0..self.backends.len()).rev();
        self.rest = others.filter(|&place| place != self.current).collect();
        self.start_next(shared, Some(reason), batch)?;
        Ok(with_sets)
    }

    /// Calls the codec, and turns a panic of the library into an error.
    fn call(
        &mut self,
        shared: &Shared<C>,
        batch: &mut Vec<Event<C::Output>>,
        f: impl FnOnce(&mut C::Instance, &mut dyn FnMut(C::Output)) -> Result<(), MediaError>,
    ) -> Result<(), MediaError> {
        let (Some(active), Some(config)) = (self.active.as_mut(), self.config.as_ref()) else {
            return Err(MediaError::backend("the codec is not configured"));
        };
        let (before, turn) = (batch.len(), &mut self.turn);
        let mut sink = |mut output: C::Output| {
            let bytes = C::output_bytes(&output);
            C::finish(config, &mut output, turn.lease(&shared.outputs, bytes));
            batch.push(Event::Output(output));
        };
        let result = guarded(|| f(&mut active.instance, &mut sink));
        if batch.len() > before {
            self.has_given = true;
            self.settle();
        }
        result
    }

    /// After a failure before the first output, tries the backends that are left with what was fed so far.
    fn recover(
        &mut self,
        shared: &Shared<C>,
        result: Result<(), MediaError>,
        batch: &mut Vec<Event<C::Output>>,
    ) -> Result<(), MediaError> {
        match result {
            Err(error) if !self.rest.is_empty() => self.start_next(shared, Some(error), batch),
            other => other,
        }
    }

    fn start_next(
        &mut self,
        shared: &Shared<C>,
        mut error: Option<MediaError>,
        batch: &mut Vec<Event<C::Output>>,
    ) -> Result<(), MediaError> {
        while let Some(place) = self.rest.pop() {
            // The old instance goes first: it may hold a device.
            self.active = None;
            self.current = place;
            let (Some(backend), Some(config)) = (self.backends.get(place), &self.config) else {
                break;
            };
            let lease = shared.engine.budget.lease(C::threads(backend, config));
            let started = guarded(|| C::start(backend, config, &shared.engine, lease.threads()));
            match started {
                Ok(instance) => {
                    *shared.threads() = lease.lent();
                    self.active = Some(Active {
                        instance,
                        _threads: lease,
                    })
                }
                Err(reason) => {
                    error = Some(reason);
                    continue;
                }
            }
            let replay = std::mem::take(&mut self.replay);
            let mut failed = None;
            for input in &replay {
                if let Err(reason) = self.call(shared, batch, |instance, sink| {
                    C::process(instance, input, sink)
                }) {
                    failed = Some(reason);
                    break;
                }
            }
            match failed {
                None => {
                    if !self.rest.is_empty() {
                        self.replay = replay;
                    }
                    return Ok(());
                }
                Some(reason) if self.rest.is_empty() => return Err(reason),
                Some(reason) => {
                    self.replay = replay;
                    error = Some(reason);
                }
            }
        }
        Err(error.unwrap_or_else(|| MediaError::unsupported("no backend is left")))
    }
}

/// Runs what a codec library does; a panic of it becomes an error.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, MediaError>) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(MediaError::backend("the codec library panicked")))
}
