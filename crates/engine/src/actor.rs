//! The worker's side of a codec instance: a mailbox, a running codec, an outbox.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use reelcore_media::codec::{Limits, Successor};
use reelcore_media::frame::Lease;
use reelcore_media::{MediaError, Registry};

use crate::budget::Lent;
use crate::outputs::Outputs;
use crate::parallel::MIN_RUN;
use crate::running::{Failure, Running};
use crate::workers::{Progress, Task};
use crate::{Engine, Options};

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

    /// Refuses a `config` that asks for more than `limits` allow whatever the backend, before one is asked.
    ///
    /// # Errors
    /// [`LimitExceeded`](reelcore_media::ErrorKind::LimitExceeded), with what was asked for and what is allowed.
    fn check_limits(_config: &Self::Config, _limits: &Limits) -> Result<(), MediaError> {
        Ok(())
    }

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

    /// Whether `instance` goes on with `input`, which comes next. Where it does not, and another backend can start at
    /// `input`, that one does.
    ///
    /// # Errors
    /// Why it does not.
    fn accepts(instance: &Self::Instance, input: &Self::Input) -> Result<(), MediaError> {
        let _ = (instance, input);
        Ok(())
    }

    /// `input` with what an instance that starts with it needs of the inputs before, all of which `instance` had.
    fn hand_over(instance: &Self::Instance, input: &Self::Input) -> Self::Input {
        let _ = instance;
        input.clone()
    }

    /// Whether a second instance may process inputs while the first one processes those before them. What follows is
    /// for such codecs, which [accept](Self::accepts) all inputs.
    const PARALLEL: bool = false;

    /// How many inputs at the end of `before` another instance is to be primed with to go on after them exactly as `instance`
    /// would; `None` where it cannot, or where more are needed.
    fn preroll(instance: &Self::Instance, before: &[Self::Input]) -> Option<usize> {
        let _ = (instance, before);
        None
    }

    /// Takes in the inputs before the first one to be processed; what came before them does not matter any more.
    ///
    /// # Errors
    /// [`Unsupported`](reelcore_media::ErrorKind::Unsupported) where it cannot begin there, but may elsewhere; the others
    /// as [`Codec::process`].
    fn prime(instance: &mut Self::Instance, preroll: &[Self::Input]) -> Result<(), MediaError> {
        let _ = (instance, preroll);
        Err(MediaError::unsupported("the codec cannot be primed"))
    }

    /// Whether what comes of `input` does not depend on inputs before those that `instance` was primed with.
    fn is_seamless(instance: &Self::Instance, input: &Self::Input) -> bool {
        let _ = (instance, input);
        false
    }

    /// Another instance has processed `inputs`, which follow those of `instance`. Which of the two goes on.
    ///
    /// # Errors
    /// As [`Codec::process`].
    fn catch_up(
        instance: &mut Self::Instance,
        inputs: &[Self::Input],
    ) -> Result<Successor, MediaError> {
        let _ = (instance, inputs);
        Ok(Successor::Neither)
    }

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
    pub(crate) registry: Registry,
    mailbox: Mutex<Mailbox<C>>,
    /// Taken by the one worker that runs the task; never waited for.
    running: Mutex<Running<C>>,
    outbox: Mutex<Outbox<C::Output>>,
    wake: Box<dyn Fn() + Send + Sync>,
    pub(crate) outputs: Arc<Outputs>,
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

/// How long a worker works for a codec, as long as there is work, before it publishes what came of it and goes on to
/// another one. Each time wakes the owner, which costs both a little, and takes the core from a codec where all are
/// busy; and it is well under a display frame. A codec that is given one input at a time publishes each at once.
const SLICE: Duration = Duration::from_millis(2);

/// Commands that a worker takes from the mailbox at a time, but for a run of two workers.
const MAX_TAKEN: usize = 16;

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
            running: Mutex::new(Running::new()),
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

    /// The running codec's threads.
    pub(crate) fn threads(&self) -> MutexGuard<'_, Weak<Lent>> {
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
        let (mut done, mut next_look, mut alone) = (0, 1, true);
        let progress = loop {
            // The mailbox's lock is needed for a new epoch and new commands only, not for each command.
            if self.epoch.load(Ordering::Acquire) != running.epoch {
                batch.clear();
                (done, next_look) = (0, 1);
                running.restart(self.mailbox().epoch);
            }
            let result = if let Some(inputs) = self.take_run(&mut running) {
                running.stall_reported = false;
                alone = false;
                let left = running.execute_run(self, inputs, &mut batch, &mut done);
                next_look = done;
                left.map(|left| self.put_back(running.epoch, left))
            } else {
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
                running.execute(self, command, &mut batch)
            };
            if let Err(Failure { error, configuring }) = result {
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
        if alone && done > 0 {
            running.took(done, began.elapsed());
        }
        self.publish(running.epoch, &mut batch, done);
        // Not what a reset left in it, nor much more memory than a turn takes.
        batch.clear();
        batch.shrink_to(MAX_TAKEN * 4);
        running.batch = batch;
        progress
    }

    /// Takes inputs from the mailbox that two workers are to process at the same time: where enough wait, a worker has
    /// nothing to do, and there is room for what comes of them.
    fn take_run(&self, running: &mut Running<C>) -> Option<Vec<C::Input>> {
        let wanted = running.wanted_run(&self.outputs)?;
        if !self.engine.workers.has_idle() {
            return None;
        }
        let mut mailbox = self.mailbox();
        if mailbox.epoch != running.epoch || mailbox.commands.len() < MIN_RUN {
            return None;
        }
        let is_input = |command: &&Command<C>| matches!(command, Command::Process(_));
        let first = mailbox.commands.iter().take(wanted);
        let count = first.take_while(is_input).count();
        if count < MIN_RUN {
            return None;
        }
        mailbox.inputs -= count;
        let inputs = mailbox.commands.drain(..count).filter_map(|command| {
            let Command::Process(input) = command else {
                return None;
            };
            Some(input)
        });
        Some(inputs.collect())
    }

    /// Has `inputs` come next again, which [`take_run`](Self::take_run) gave.
    fn put_back(&self, epoch: u64, inputs: Vec<C::Input>) {
        let mut mailbox = self.mailbox();
        if mailbox.epoch == epoch {
            mailbox.inputs += inputs.len();
            for input in inputs.into_iter().rev() {
                mailbox.commands.push_front(Command::Process(input));
            }
        }
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
