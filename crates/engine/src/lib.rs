//! What turns a codec into a WebCodecs codec.
//!
//! A codec instance is an actor: its control message queue lives with its owner (the JavaScript
//! thread), its mailbox is drained by a shared pool of worker threads, one worker at a time per
//! instance, which may share the sound that waits with another one. An idle instance costs no thread. Nothing here knows JavaScript: the owner is told of
//! results by a wake-up, and takes them with [`CodecHandle::drain`].

#![forbid(unsafe_code)]

mod actor;
mod audio_decoder;
mod audio_encoder;
mod budget;
mod control;
mod errand;
mod handle;
mod output;
mod outputs;
mod parallel;
mod running;
mod video_decoder;
mod video_encoder;
mod workers;

use std::fmt;
use std::sync::{Arc, OnceLock};

use reelcore_media::codec::Limits;
use reelcore_media::pool::BufferPool;

pub use actor::{Codec, Event};
pub use audio_decoder::AudioDecode;
pub use audio_encoder::AudioEncode;
pub use budget::{ThreadBudget, ThreadLease};
pub use control::{ControlQueue, Delivery, InvalidState, State};
pub use handle::CodecHandle;
pub use output::natural_size;
pub use outputs::OutputBudget;
pub use video_decoder::VideoDecode;
pub use video_encoder::{VideoEncode, VideoInput};
pub use workers::{Progress, Task, Workers};

/// How many resources codecs may hold.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Worker threads; they start when first needed.
    pub workers: usize,
    /// Threads that all codec libraries together may run beside the workers.
    pub codec_threads: usize,
    /// Bytes of picture memory that are kept for reuse.
    pub pool_bytes: usize,
    /// Codecs wait while the outputs of all of them that nobody has closed hold this many bytes …
    pub max_outputs_bytes: usize,
    /// … but each may have this many of its own alive, so that a leak of one does not stop the others.
    pub min_outputs: usize,
    /// Inputs that a codec takes in before it counts as saturated; decoders of audio take 16 times as many.
    /// <https://w3c.github.io/webcodecs/#codec-saturated>
    pub max_inputs: usize,
    /// Caps on what a stream may ask for.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            // Two at least, so that one long decode cannot hold up every other codec.
            workers: cores.max(2),
            codec_threads: cores,
            pool_bytes: 256 << 20,
            max_outputs_bytes: 1 << 30,
            min_outputs: 8,
            max_inputs: 64,
            limits: Limits::default(),
        }
    }
}

/// Workers, thread budget and picture memory that codecs share. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The limits it was made with.
    pub options: Options,
    /// The pool of worker threads.
    pub workers: Arc<Workers>,
    /// The threads that codec libraries may start.
    pub budget: ThreadBudget,
    /// The bytes that outputs may hold.
    pub outputs: OutputBudget,
    /// Where picture memory comes from.
    pub pool: BufferPool,
}

impl Engine {
    /// An engine of its own; most programs share [`Engine::global`].
    pub fn new(options: Options) -> Self {
        let workers = Workers::new(options.workers);
        Self {
            options,
            outputs: OutputBudget::new(options.max_outputs_bytes, &workers),
            workers,
            budget: ThreadBudget::new(options.codec_threads),
            pool: BufferPool::new(options.pool_bytes),
        }
    }

    /// The engine of the process: with the options of [`Engine::init_global`], else with default ones.
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| Self::new(Options::default()))
    }

    /// Starts the engine of the process with `options`. An embedder that wants other caps than the default ones calls this
    /// before the first codec is made, and before anything else asks for [`Engine::global`].
    ///
    /// # Errors
    /// [`AlreadyStarted`] if there is one: its options stay as they are.
    pub fn init_global(options: Options) -> Result<(), AlreadyStarted> {
        let mut started = false;
        GLOBAL.get_or_init(|| {
            started = true;
            Self::new(options)
        });
        started.then_some(()).ok_or(AlreadyStarted)
    }
}

static GLOBAL: OnceLock<Engine> = OnceLock::new();

/// The engine of the process has been started, so its options are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the engine of the process has been started: set its options before the first codec is made",
        )
    }
}

impl std::error::Error for AlreadyStarted {}
