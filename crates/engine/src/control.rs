//! The control message queue of a WebCodecs codec, on its owner's thread.
//! <https://w3c.github.io/webcodecs/#codec-processing-model>
//!
//! Every method returns at once. Callbacks, promises and events are the binding's: it asks
//! [`ControlQueue::next_event`] for one thing at a time, because each callback may reset or close the codec,
//! and nothing may be delivered after that.

use std::collections::VecDeque;

use reelcore_media::{MediaError, Registry};

use crate::actor::{Codec, Command, Event};
use crate::{CodecHandle, Engine};

/// <https://w3c.github.io/webcodecs/#enumdef-codecstate>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not configured.
    Unconfigured,
    /// A valid configuration was given.
    Configured,
    /// Closed for good.
    Closed,
}

/// The operation is not allowed in the codec's state: an `InvalidStateError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState(pub State);

/// What the binding is to do next.
#[derive(Debug)]
pub enum Delivery<O> {
    /// Invoke the output callback.
    Output(O),
    /// Resolve the promise of the flush of that number.
    Flushed(u64),
    /// A configuration is done and inputs behind it left the queue. What follows may already be what came of them: it is
    /// to be delivered by the task that fires `dequeue`, after the event ([`ControlQueue::is_dequeue_due`]).
    Dequeued,
    /// Close the codec with an error: `NotSupportedError` while configuring, else `EncodingError`.
    Failed {
        /// Why.
        error: MediaError,
        /// Whether the configuration is to blame.
        configuring: bool,
    },
    /// Outputs that are not closed reached the cap; tell the author if that lasts.
    Stalled {
        /// Outputs alive.
        outputs: usize,
        /// Bytes they hold.
        bytes: usize,
    },
}

enum Message<C: Codec> {
    Configure(C::Config),
    Refuse(MediaError),
    Process(C::Input),
    Flush(u64),
    /// `Process` or `Flush`, of which the worker has the command already.
    Sent {
        input: bool,
    },
}

/// The queue, and the internal slots that decide what may be done when.
pub struct ControlQueue<C: Codec> {
    handle: CodecHandle<C>,
    /// `[[control message queue]]`
    messages: VecDeque<Message<C>>,
    /// `[[message queue blocked]]`
    blocked: bool,
    /// The messages at the front that are [`Message::Sent`].
    sent_ahead: usize,
    /// `[[state]]`
    state: State,
    /// `[[decodeQueueSize]]` or `[[encodeQueueSize]]`
    queue_size: u32,
    /// `[[dequeue event scheduled]]`
    dequeue: Dequeue,
    /// `[[pending flush promises]]`, by number
    pending_flushes: Vec<u64>,
    next_flush: u64,
    /// Taken from the codec, not yet delivered.
    events: VecDeque<Event<C::Output>>,
    /// Commands that the codec has not carried out.
    outstanding: usize,
    scratch: Vec<Event<C::Output>>,
    /// What is being sent to the worker; kept for its memory.
    commands: Vec<Command<C>>,
}

impl<C: Codec> ControlQueue<C> {
    /// The queue of a new codec. `wake` is called, on any thread, when [`ControlQueue::poll`] is
    /// worth a call.
    pub fn new(
        engine: &Engine,
        registry: Registry,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            handle: CodecHandle::new(engine, registry, wake),
            messages: VecDeque::new(),
            blocked: false,
            sent_ahead: 0,
            state: State::Unconfigured,
            queue_size: 0,
            dequeue: Dequeue::None,
            pending_flushes: Vec::new(),
            next_flush: 0,
            events: VecDeque::new(),
            outstanding: 0,
            scratch: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// `[[state]]`
    pub fn state(&self) -> State {
        self.state
    }

    /// `[[decodeQueueSize]]` or `[[encodeQueueSize]]`
    pub fn queue_size(&self) -> u32 {
        self.queue_size
    }

    /// Whether something is still to happen by itself: while it is so, the event loop must go on
    /// and the codec must not be collected.
    pub fn has_work(&self) -> bool {
        self.outstanding > 0
            || !self.messages.is_empty()
            || !self.events.is_empty()
            || self.dequeue != Dequeue::None
    }

    /// Whether a flush is waiting to be resolved.
    pub fn has_pending_flushes(&self) -> bool {
        !self.pending_flushes.is_empty()
    }

    /// Steps 2 to 6 of `configure(config)`, with a valid configuration.
    ///
    /// # Errors
    /// When the codec is closed.
    pub fn configure(&mut self, config: C::Config) -> Result<(), InvalidState> {
        self.queue_configuration(Message::Configure(config))
    }

    /// As [`ControlQueue::configure`], with a valid configuration for which there is no codec:
    /// that is found out where a configuration is carried out, not here.
    ///
    /// # Errors
    /// When the codec is closed.
    pub fn configure_unsupported(&mut self, reason: impl Into<String>) -> Result<(), InvalidState> {
        self.queue_configuration(Message::Refuse(MediaError::unsupported(reason)))
    }

    fn queue_configuration(&mut self, message: Message<C>) -> Result<(), InvalidState> {
        // 2. If [[state]] is "closed", throw an InvalidStateError.
        if self.state == State::Closed {
            return Err(InvalidState(self.state));
        }
        // 3. Set [[state]] to "configured".
        self.state = State::Configured;
        // 4. [[key chunk required]] is the binding's.
        // 5. Queue a control message to configure the codec with config.
        self.messages.push_back(message);
        // 6. Process the control message queue.
        self.process();
        Ok(())
    }

    /// `decode(chunk)` or `encode(data)`, after their checks.
    ///
    /// # Errors
    /// When the codec is not configured.
    pub fn enqueue(&mut self, input: C::Input) -> Result<(), InvalidState> {
        self.require_configured()?;
        // 3. Increment the queue size.
        self.queue_size += 1;
        // 4. Queue a control message to decode the chunk.
        self.messages.push_back(Message::Process(input));
        // 5. Process the control message queue.
        self.process();
        Ok(())
    }

    /// `flush()`. Gives the number that [`Delivery::Flushed`] will name.
    ///
    /// # Errors
    /// When the codec is not configured.
    pub fn flush(&mut self) -> Result<u64, InvalidState> {
        // 1. If [[state]] is not "configured", return a promise rejected with InvalidStateError.
        self.require_configured()?;
        // 3. Let promise be a new Promise. 4. Append promise to [[pending flush promises]].
        let number = self.next_flush;
        self.next_flush += 1;
        self.pending_flushes.push(number);
        // 5. Queue a control message to flush the codec with promise.
        self.messages.push_back(Message::Flush(number));
        // 6. Process the control message queue.
        self.process();
        Ok(number)
    }

    /// Reset: <https://w3c.github.io/webcodecs/#reset-videodecoder>. Gives the flushes whose
    /// promises are to be rejected.
    ///
    /// # Errors
    /// When the codec is closed.
    pub fn reset(&mut self) -> Result<Vec<u64>, InvalidState> {
        // 1. If state is "closed", throw an InvalidStateError.
        if self.state == State::Closed {
            return Err(InvalidState(self.state));
        }
        // 2. Set state to "unconfigured".
        self.state = State::Unconfigured;
        // 3. Signal [[codec implementation]] to cease producing output for the previous
        //    configuration.
        self.handle.reset();
        self.events.clear();
        self.outstanding = 0;
        self.blocked = false;
        // 4. Remove all control messages from the [[control message queue]].
        self.messages.clear();
        self.sent_ahead = 0;
        // 5. If the queue size is greater than zero: set it to zero; Schedule Dequeue Event is the
        //    binding's, which sees that `take_dequeue` holds.
        if self.queue_size > 0 {
            self.queue_size = 0;
            self.dequeue_wanted();
        }
        // 6. For each promise in [[pending flush promises]]: reject and remove it.
        Ok(std::mem::take(&mut self.pending_flushes))
    }

    /// Close: <https://w3c.github.io/webcodecs/#close-videodecoder>. Gives the flushes whose
    /// promises are to be rejected.
    ///
    /// # Errors
    /// When the codec is closed already.
    pub fn close(&mut self) -> Result<Vec<u64>, InvalidState> {
        // 1. Run the Reset algorithm with exception.
        let rejected = self.reset()?;
        // 2. Set state to "closed". 3. Clear [[codec implementation]]: the reset released it.
        self.state = State::Closed;
        Ok(rejected)
    }

    /// Takes in what the codec has done, and hands it more. To be called after each wake-up, but where
    /// [`is_dequeue_due`](Self::is_dequeue_due).
    pub fn poll(&mut self) {
        let done = self.handle.drain(&mut self.scratch);
        self.outstanding = self.outstanding.saturating_sub(done);
        self.events.extend(self.scratch.drain(..));
        self.process();
    }

    /// What to deliver next, if anything.
    pub fn next_event(&mut self) -> Option<Delivery<C::Output>> {
        loop {
            return Some(match self.events.pop_front()? {
                Event::Configured => {
                    // 5. Assign false to [[message queue blocked]] and process the queue.
                    self.blocked = false;
                    self.process();
                    if self.dequeue == Dequeue::None {
                        continue;
                    }
                    Delivery::Dequeued
                }
                Event::Output(output) => Delivery::Output(output),
                Event::Flushed(number) => {
                    self.pending_flushes.retain(|pending| *pending != number);
                    Delivery::Flushed(number)
                }
                Event::Failed { error, configuring } => Delivery::Failed { error, configuring },
                Event::Stalled { outputs, bytes } => Delivery::Stalled { outputs, bytes },
            });
        }
    }

    /// Whether a task to fire `dequeue` is to be queued now: true once for each time.
    pub fn take_dequeue_request(&mut self) -> bool {
        self.dequeue == Dequeue::Wanted && {
            self.dequeue = Dequeue::Scheduled;
            true
        }
    }

    /// Whether `dequeue` is to be fired, since an input left the queue. What came of that input is to be delivered after the
    /// event: until then nothing is polled but by the event's own task, which does so right before it fires, so that
    /// it delivers what was there before its listeners gave the codec more.
    pub fn is_dequeue_due(&self) -> bool {
        self.dequeue != Dequeue::None
    }

    /// To be called when `dequeue` has been fired.
    pub fn dequeue_fired(&mut self) {
        self.dequeue = Dequeue::None;
    }

    /// Outputs that are alive, and the bytes they hold.
    pub fn outputs(&self) -> (usize, usize) {
        self.handle.outputs()
    }

    /// Whether the codec has work and has to wait for outputs, its own or those of others, to go away.
    pub fn is_stalled(&self) -> bool {
        self.has_work() && self.handle.is_stalled()
    }

    fn require_configured(&self) -> Result<(), InvalidState> {
        if self.state == State::Configured {
            Ok(())
        } else {
            Err(InvalidState(self.state))
        }
    }

    /// Process the control message queue:
    /// <https://w3c.github.io/webcodecs/#process-the-control-message-queue>
    fn process(&mut self) {
        // The worker only makes room: asked once, and sent to once, for all messages.
        let mut room = None;
        // 1. While [[message queue blocked]] is false and [[control message queue]] is not empty:
        while !self.blocked {
            match self.messages.front() {
                None => break,
                // 3. If the outcome is "not processed", break.
                Some(Message::Process(_))
                    if *room.get_or_insert_with(|| self.handle.room()) == 0 =>
                {
                    break;
                }
                Some(_) => {}
            }
            // 4. Otherwise, dequeue the front message.
            let Some(message) = self.messages.pop_front() else {
                break;
            };
            let command = match message {
                Message::Configure(config) => {
                    // 1. Assign true to [[message queue blocked]].
                    self.blocked = true;
                    Command::Configure(config)
                }
                Message::Refuse(error) => {
                    self.blocked = true;
                    Command::Refuse(error)
                }
                Message::Sent { input } => {
                    self.sent_ahead -= 1;
                    if input {
                        self.dequeued();
                    }
                    continue;
                }
                Message::Process(input) => {
                    self.dequeued();
                    room = room.map(|room: usize| room.saturating_sub(1));
                    Command::Process(input)
                }
                Message::Flush(number) => Command::Flush(number),
            };
            self.commands.push(command);
            self.outstanding += 1;
        }
        if self.blocked {
            self.send_ahead(room);
        }
        self.handle.send_all(&mut self.commands);
    }

    /// Gives the worker what stands behind the configuration that blocks the queue: it has work while a script that
    /// configures a codec goes on to queue inputs, before the event loop runs once. Nobody can tell: queue sizes and
    /// `dequeue` events follow the messages, which stay blocked, and outputs follow those: [`Delivery::Dequeued`].
    ///
    /// `room` is what is left for inputs, where that was asked already.
    fn send_ahead(&mut self, mut room: Option<usize>) {
        for message in self.messages.iter_mut().skip(self.sent_ahead) {
            let input = match message {
                Message::Process(_) => {
                    let room = room.get_or_insert_with(|| self.handle.room());
                    if *room == 0 {
                        break;
                    }
                    *room -= 1;
                    true
                }
                Message::Flush(_) => false,
                Message::Configure(_) | Message::Refuse(_) | Message::Sent { .. } => break,
            };
            match std::mem::replace(message, Message::Sent { input }) {
                Message::Process(input) => self.commands.push(Command::Process(input)),
                Message::Flush(number) => self.commands.push(Command::Flush(number)),
                _ => break,
            }
            self.sent_ahead += 1;
            self.outstanding += 1;
        }
    }

    /// 3. Decrement the queue size and run Schedule Dequeue Event, of the steps of the message to decode a chunk.
    fn dequeued(&mut self) {
        self.queue_size -= 1;
        self.dequeue_wanted();
    }

    /// Schedule Dequeue Event: <https://w3c.github.io/webcodecs/#videodecoder-schedule-dequeue-event>
    fn dequeue_wanted(&mut self) {
        // 1. If [[dequeue event scheduled]] equals true, return.
        if self.dequeue == Dequeue::None {
            self.dequeue = Dequeue::Wanted;
        }
    }
}

/// `[[dequeue event scheduled]]`; `Wanted` is true, too, and the task is still to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dequeue {
    None,
    Wanted,
    Scheduled,
}
