//! The worker's side of a codec instance: a mailbox, a running codec, an outbox.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use reelcore_media::frame::Lease;
use reelcore_media::{MediaError, Registry};

use crate::budget::Lent;
use crate::outputs::{Outputs, Turn};
use crate::workers::{Progress, Task};
use crate::{Engine, Options, ThreadLease};

/// A kind of codec: what the engine needs to know of a decoder or an encoder.
pub trait Codec: 'static {
    /// What it is configured with.
    type Config: Clone + Send + 'static;
    /// What goes in; cloning must be cheap.
    type Input: Clone + Send + 'static;
    /// What comes out.
    type Output: Send + 'static;
    /// A library that can serve a configuration.
    type Backend: Send + 'static;
    /// A codec that runs.
    type Instance: Send + 'static;

    /// The backends for `config`, best first.
    ///
    /// # Errors
    /// When there is none.
    fn backends(
        registry: &Registry,
        config: &Self::Config,
    ) -> Result<Vec<Self::Backend>, MediaError>;

    /// How many inputs a codec takes in before it counts as saturated. Enough that it has work until its owner, once
    /// told of what is done, gives it more.
    fn max_inputs(options: &Options) -> usize {
        options.max_inputs
    }

    /// So many inputs are processed at most before a worker looks at the clock: more than one where they take some
    /// microseconds each, of which reading the clock is a part that shows.
    const UNTIMED: u32 = 1;

    /// Threads that a codec for `config` can put to use.
    fn threads(backend: &Self::Backend, config: &Self::Config) -> usize;

    /// Starts a codec.
    ///
    /// # Errors
    /// When the backend cannot serve `config` after all.
    fn start(
        backend: &Self::Backend,
        config: &Self::Config,
        engine: &Engine,
        threads: usize,
    ) -> Result<Self::Instance, MediaError>;

    /// Feeds one input.
    ///
    /// # Errors
    /// When the codec fails; it is not used any more.
    fn process(
        instance: &mut Self::Instance,
        input: &Self::Input,
        sink: &mut dyn FnMut(Self::Output),
    ) -> Result<(), MediaError>;

    /// Emits everything held back.
    ///
    /// # Errors
    /// As [`Codec::process`].
    fn flush(
        instance: &mut Self::Instance,
        sink: &mut dyn FnMut(Self::Output),
    ) -> Result<(), MediaError>;

    /// Applies what the configuration says to an output, and ties `lease` to its life.
    fn finish(config: &Self::Config, output: &mut Self::Output, lease: Lease);

    /// Bytes of memory that an output holds.
    fn output_bytes(output: &Self::Output) -> usize;
}

/// What a codec tells its owner.
#[derive(Debug)]
pub enum Event<O> {
    /// The codec is configured.
    Configured,
    /// An output.
    Output(O),
    /// The flush of that number is done, and all its outputs came before.
    Flushed(u64),
    /// The codec failed; nothing follows.
    Failed {
        /// Why.
        error: MediaError,
        /// Whether it failed while it was configured, rather than at its work.
        configuring: bool,
    },
    /// The codec waits because outputs that are not closed reached the cap. Sent once for each wait.
    Stalled {
        /// Outputs alive.
        outputs: usize,
        /// Bytes they hold.
        bytes: usize,
    },
}

pub(crate) enum Command<C: Codec> {
    Configure(C::Config),
    /// A configuration that no backend can be asked for.
    Refuse(MediaError),
    Process(C::Input),
    Flush(u64),
}

/// State that the owner and the workers share.
pub(crate) struct Shared<C: Codec> {
    pub(crate) engine: Engine,
    registry: Registry,
    mailbox: Mutex<Mailbox<C>>,
    /// Taken by the one worker that runs the task; never waited for.
    running: Mutex<Running<C>>,
    outbox: Mutex<Outbox<C::Output>>,
    wake: Box<dyn Fn() + Send + Sync>,
    outputs: Arc<Outputs>,
    pub(crate) task: OnceLock<Arc<Task>>,
    /// The mailbox's epoch, to be looked at without its lock.
    epoch: AtomicU64,
    /// The running codec's threads, which the owner gives back when it ends the codec.
    threads: Mutex<Weak<Lent>>,
}

struct Mailbox<C: Codec> {
    commands: VecDeque<Command<C>>,
    /// Grows with each reset; what an older epoch produced is dropped.
    epoch: u64,
    /// `Process` commands that no worker has taken yet.
    inputs: usize,
}

struct Outbox<O> {
    events: Vec<Event<O>>,
    /// Commands that were carried out and not yet reported to the owner.
    done: usize,
    /// The epoch of both.
    epoch: u64,
}

struct Running<C: Codec> {
    epoch: u64,
    config: Option<C::Config>,
    active: Option<Active<C>>,
    /// Backends not yet tried, best last.
    rest: Vec<C::Backend>,
    /// Inputs since the start, kept while another backend could take over.
    replay: Vec<C::Input>,
    stall_reported: bool,
    /// Commands taken from the mailbox and not yet carried out.
    taken: VecDeque<Command<C>>,
    /// What a turn brings; kept for its memory.
    batch: Vec<Event<C::Output>>,
    turn: Turn,
}

struct Active<C: Codec> {
    instance: C::Instance,
    _threads: ThreadLease,
}

/// Why a command failed.
struct Failure {
    error: MediaError,
    /// Whether the configuration is to blame.
    configuring: bool,
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

/// How long a worker works for a codec, as long as there is work, before it publishes what came of it and goes on to
/// another one. Each time wakes the owner, which costs both a little, and takes the core from a codec where all are
/// busy; and it is well under a display frame. A codec that is given one input at a time publishes each at once.
const SLICE: Duration = Duration::from_millis(2);

/// Commands that a worker takes from the mailbox at a time.
const MAX_TAKEN: usize = 16;

/// Inputs kept so that another backend can take over before the first output. Codecs reorder by
/// up to 16 frames; one that has shown nothing after twice as many cannot be replaced unnoticed.
const MAX_REPLAY: usize = 32;

impl<C: Codec> Shared<C> {
    pub(crate) fn new(
        engine: &Engine,
        registry: Registry,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let shared = Arc::new(Self {
            engine: engine.clone(),
            registry,
            mailbox: Mutex::new(Mailbox {
                commands: VecDeque::new(),
                epoch: 0,
                inputs: 0,
            }),
            running: Mutex::new(Running {
                epoch: 0,
                config: None,
                active: None,
                rest: Vec::new(),
                replay: Vec::new(),
                stall_reported: false,
                taken: VecDeque::new(),
                batch: Vec::new(),
                turn: Turn::default(),
            }),
            outbox: Mutex::new(Outbox {
                events: Vec::new(),
                done: 0,
                epoch: 0,
            }),
            wake,
            outputs: Outputs::new(&engine.outputs, engine.options.min_outputs),
            task: OnceLock::new(),
            epoch: AtomicU64::new(0),
            threads: Mutex::default(),
        });
        // The task and the leases hold weak references: an instance whose owner is gone ends.
        let weak = Arc::downgrade(&shared);
        let task = Task::new(move || weak.upgrade().map_or(Progress::Idle, |shared| shared.run()));
        let _ = shared.task.set(task);
        shared
    }

    pub(crate) fn notify(&self) {
        if let Some(task) = self.task.get() {
            self.engine.workers.notify(task);
        }
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox<C>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox<C::Output>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Weak<Lent>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command; called by the owner.
    pub(crate) fn send(&self, command: Command<C>) {
        let mut mailbox = self.mailbox();
        mailbox.inputs += usize::from(matches!(command, Command::Process(_)));
        mailbox.commands.push_back(command);
        drop(mailbox);
        self.notify();
    }

    /// As [`send`](Self::send) for all of `commands`, which it takes out; the worker is woken once.
    pub(crate) fn send_all(&self, commands: &mut Vec<Command<C>>) {
        let inputs = |command: &&Command<C>| matches!(command, Command::Process(_));
        let inputs = commands.iter().filter(inputs).count();
        let mut mailbox = self.mailbox();
        mailbox.inputs += inputs;
        mailbox.commands.extend(commands.drain(..));
        drop(mailbox);
        self.notify();
    }

    /// Inputs that are queued and not yet taken by a worker.
    pub(crate) fn queued_inputs(&self) -> usize {
        self.mailbox().inputs
    }

    /// Forgets all commands and everything not yet delivered; called by the owner.
    pub(crate) fn reset(&self) {
        let mut mailbox = self.mailbox();
        mailbox.epoch += 1;
        mailbox.inputs = 0;
        let epoch = mailbox.epoch;
        self.epoch.store(epoch, Ordering::Release);
        let forgotten = std::mem::take(&mut mailbox.commands);
        drop(mailbox);
        let mut outbox = self.outbox();
        outbox.epoch = epoch;
        outbox.done = 0;
        let undelivered = std::mem::take(&mut outbox.events);
        drop(outbox);
        if let Some(threads) = self.threads().upgrade() {
            threads.give_back();
        }
        // Inputs and frames are freed outside the locks; then the worker drops its codec.
        drop((forgotten, undelivered));
        self.notify();
    }

    /// Takes what has happened since the last call, and the number of commands done; called by the
    /// owner.
    pub(crate) fn drain(&self, events: &mut Vec<Event<C::Output>>) -> usize {
        let mut outbox = self.outbox();
        events.append(&mut outbox.events);
        std::mem::take(&mut outbox.done)
    }

    /// Outputs alive and the bytes they hold.
    pub(crate) fn outputs(&self) -> (usize, usize) {
        self.outputs.alive()
    }

    /// Whether the codec has to wait for outputs to go away.
    pub(crate) fn over_cap(&self) -> bool {
        self.outputs.over_cap()
    }

    /// Hands over what a turn brought, unless a reset came in between.
    fn publish(&self, epoch: u64, batch: &mut Vec<Event<C::Output>>, done: usize) {
        if batch.is_empty() && done == 0 {
            return;
        }
        let mut outbox = self.outbox();
        if outbox.epoch == epoch {
            outbox.events.append(batch);
            outbox.done += done;
            drop(outbox);
            (self.wake)();
        }
    }

    /// One turn on a worker thread.
    fn run(&self) -> Progress {
        // The pool runs a task on one thread at a time, so the lock is free.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let mut batch = std::mem::take(&mut running.batch);
        let (mut done, mut next_look) = (0, 1);
        let progress = loop {
            // The mailbox's lock is needed for a new epoch and new commands only, not for each command.
            if self.epoch.load(Ordering::Acquire) != running.epoch {
                batch.clear();
                (done, next_look) = (0, 1);
                running.restart(self.mailbox().epoch);
            }
            if running.taken.is_empty() && !self.take(&mut running) {
                // Nothing is there, or a reset came in between.
                if self.epoch.load(Ordering::Acquire) != running.epoch {
                    continue;
                }
                break Progress::Idle;
            }
            if matches!(running.taken.front(), Some(Command::Process(_))) {
                if running.turn.over_cap(&self.outputs) {
                    // Announced before the second look: an output closed in between resumes the task.
                    if let Some(task) = self.task.get() {
                        self.outputs.wait(task);
                    }
                    if self.over_cap() {
                        if !running.stall_reported {
                            running.stall_reported = true;
                            let (outputs, bytes) = self.outputs();
                            batch.push(Event::Stalled { outputs, bytes });
                        }
                        break Progress::Idle;
                    }
                }
                running.stall_reported = false;
            }
            let Some(command) = running.taken.pop_front() else {
                continue;
            };
            done += 1;
            if let Err(Failure { error, configuring }) = running.execute(self, command, &mut batch)
            {
                running.stop();
                running.taken.clear();
                batch.push(Event::Failed { error, configuring });
                let mut mailbox = self.mailbox();
                if mailbox.epoch == running.epoch {
                    mailbox.commands.clear();
                    mailbox.inputs = 0;
                }
            }
            if done >= next_look {
                let elapsed = began.elapsed();
                let Some(left) = SLICE.checked_sub(elapsed) else {
                    break Progress::Again;
                };
                // A quarter of what would fit, if they took as long as those so far.
                let fit = left.as_nanos() * done as u128 / elapsed.as_nanos().max(1) / 4;
                next_look = done + fit.clamp(1, u128::from(C::UNTIMED)) as usize;
            }
        };
        running.turn.end(&self.outputs);
        self.publish(running.epoch, &mut batch, done);
        // Not what a reset left in it, nor much more memory than a turn takes.
        batch.clear();
        batch.shrink_to(MAX_TAKEN * 4);
        running.batch = batch;
        progress
    }

    /// Moves commands from the mailbox to the worker's own queue: a few at a time, so that what is still in the
    /// mailbox says how much room there is. Whether there were any, of the worker's epoch.
    fn take(&self, running: &mut Running<C>) -> bool {
        let mut mailbox = self.mailbox();
        if mailbox.epoch != running.epoch {
            return false;
        }
        let count = (mailbox.commands.len() / 4).clamp(1, MAX_TAKEN);
        let count = count.min(mailbox.commands.len());
        running.taken.extend(mailbox.commands.drain(..count));
        let inputs = |command: &&Command<C>| matches!(command, Command::Process(_));
        mailbox.inputs -= running.taken.iter().filter(inputs).count();
        count > 0
    }
}

impl<C: Codec> Running<C> {
    fn restart(&mut self, epoch: u64) {
        self.stop();
        self.taken.clear();
        self.epoch = epoch;
    }

    fn stop(&mut self) {
        self.active = None;
        self.config = None;
        self.rest.clear();
        self.replay.clear();
        self.stall_reported = false;
    }

    fn execute(
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
                self.rest = C::backends(&shared.registry, &config).map_err(Failure::configuring)?;
                self.rest.reverse();
                self.config = Some(config);
                // The library starts with the first input: until then a codec costs neither threads nor buffers.
                batch.push(Event::Configured);
                Ok(())
            }
            Command::Refuse(error) => {
                self.stop();
                Err(Failure::configuring(error))
            }
            Command::Process(input) => {
                if self.active.is_none() && self.config.is_some() {
                    self.start_next(shared, None, batch)
                        .map_err(Failure::configuring)?;
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
                batch.push(Event::Flushed(number));
                Ok(())
            }
        }
    }

    /// No other backend can take over any more.
    fn settle(&mut self) {
        self.rest.clear();
        self.replay.clear();
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
        let result = catch_unwind(AssertUnwindSafe(|| f(&mut active.instance, &mut sink)))
            .unwrap_or_else(|_| Err(MediaError::backend("the codec library panicked")));
        if batch.len() > before {
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
        while let Some(backend) = self.rest.pop() {
            // The old instance goes first: it may hold a device.
            self.active = None;
            let Some(config) = self.config.as_ref() else {
                break;
            };
            let lease = shared.engine.budget.lease(C::threads(&backend, config));
            let started = catch_unwind(AssertUnwindSafe(|| {
                C::start(&backend, config, &shared.engine, lease.threads())
            }))
            .unwrap_or_else(|_| Err(MediaError::backend("the codec library panicked")));
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
