//! The owner's side of a codec instance.

use std::sync::{Arc, Mutex, PoisonError};

use reelcore_media::{MediaError, Registry};

use crate::Engine;
use crate::actor::{Codec, Command, Event, Shared};
use crate::workers::{Progress, Task};

/// A codec instance. Dropping it ends the codec; outputs live on.
///
/// Nothing here blocks: commands are queued, results are fetched after a wake-up.
pub struct CodecHandle<C: Codec> {
    shared: Arc<Shared<C>>,
    max_inputs: usize,
}

impl<C: Codec> CodecHandle<C> {
    /// An unconfigured codec. `wake` is called, on any thread, when [`CodecHandle::drain`] has
    /// something new or room for inputs was made; it must not block.
    pub fn new(
        engine: &Engine,
        registry: Registry,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Shared::new(engine, registry, Box::new(wake)),
            max_inputs: C::max_inputs(&engine.options),
        }
    }

    /// Starts a codec for `config` once what was queued before is done.
    pub fn configure(&self, config: C::Config) {
        self.shared.send(Command::Configure(config));
    }

    /// Fails with `error`, as a configuration that no backend serves, once what was queued before
    /// is done.
    pub fn refuse(&self, error: MediaError) {
        self.shared.send(Command::Refuse(error));
    }

    /// Whether the codec takes no more inputs for now.
    /// <https://w3c.github.io/webcodecs/#codec-saturated>
    pub fn is_saturated(&self) -> bool {
        self.shared.queued_inputs() >= self.max_inputs
    }

    /// How many inputs the codec takes before it is saturated.
    pub(crate) fn room(&self) -> usize {
        self.max_inputs.saturating_sub(self.shared.queued_inputs())
    }

    /// Queues all of `commands`, which it takes out.
    pub(crate) fn send_all(&self, commands: &mut Vec<Command<C>>) {
        if !commands.is_empty() {
            self.shared.send_all(commands);
        }
    }

    /// Queues one input.
    pub fn process(&self, input: C::Input) {
        self.shared.send(Command::Process(input));
    }

    /// Emits everything held back, then [`Event::Flushed`] with `number`.
    pub fn flush(&self, number: u64) {
        self.shared.send(Command::Flush(number));
    }

    /// Forgets the codec, everything queued and everything not yet fetched. What is in work ends
    /// on its worker and is dropped there.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Moves what has happened since the last call into `events`. Returns how many commands
    /// (configurations, inputs, flushes) were carried out meanwhile; a reset forgets those not
    /// yet counted.
    pub fn drain(&self, events: &mut Vec<Event<C::Output>>) -> usize {
        self.shared.drain(events)
    }

    /// Outputs that are alive, and the bytes they hold.
    pub fn outputs(&self) -> (usize, usize) {
        self.shared.outputs()
    }

    /// Whether the codec has to wait for outputs, its own or those of others, to go away.
    pub fn is_stalled(&self) -> bool {
        self.shared.over_cap()
    }
}

impl<C: Codec> Drop for CodecHandle<C> {
    fn drop(&mut self) {
        // A worker may hold the last reference for a while: it must find nothing more to do.
        self.shared.reset();
        // Ending a codec can take long (it joins the library's threads): a worker does it.
        let last = Mutex::new(Some(self.shared.clone()));
        self.shared.engine.workers.notify(&Task::new(move || {
            drop(last.lock().unwrap_or_else(PoisonError::into_inner).take());
            Progress::Idle
        }));
    }
}
