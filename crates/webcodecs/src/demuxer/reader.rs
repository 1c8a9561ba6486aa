//! The packets of one track for JavaScript. They are read ahead on a thread, a batch at a time: of a file JavaScript gets whole
//! batches, of a stream what there is.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deno_core::{CancelFuture, CancelHandle, GarbageCollected, op2, v8};
use deno_error::JsErrorBox;
use reelcore_media::EncodedChunk;
use reelcore_media::demux::{DemuxError, PacketReader, Track, TrackConfig, TrackKind};
use tokio::sync::Notify;

use super::{DemuxerHandle, JsDecoderConfig, closed, js_config, threads, to_js};
use crate::interfaces::{EncodedAudioChunk, EncodedVideoChunk};

/// A batch ends after this many packets …
const BATCH_PACKETS: usize = 64;
/// … or bytes, so that what is read ahead stays small.
const BATCH_BYTES: usize = 1 << 20;

/// A packet as scripts get it.
struct Taken {
    chunk: EncodedChunk,
    config: Option<Arc<TrackConfig>>,
}

struct Reader {
    reader: Box<dyn PacketReader>,
    /// What the track itself says, where the script does not look for changes of it.
    only: Option<TrackConfig>,
}

impl Reader {
    fn next(&mut self) -> Result<Option<Taken>, DemuxError> {
        let Some(packet) = self.reader.next_sample()? else {
            return Ok(None);
        };
        if let (Some(only), Some(config)) = (&self.only, &packet.config)
            && only != &**config
        {
            return Err(DemuxError::Unsupported(format!(
                "the decoder's configuration changes at {} us: packets() tells it",
                packet.chunk.timestamp
            )));
        }
        Ok(Some(Taken {
            chunk: packet.chunk,
            config: packet.config,
        }))
    }
}

/// What was read and not yet asked for.
#[derive(Default)]
struct Ahead {
    batch: VecDeque<Taken>,
    /// Bytes of the batch's packets.
    bytes: usize,
    /// A thread adds to it.
    running: bool,
    ended: bool,
    /// Reported after the packets before it.
    failed: Option<DemuxError>,
    /// Nobody asks any more.
    closed: bool,
}

impl Ahead {
    fn add(&mut self, next: Result<Option<Taken>, DemuxError>) {
        match next {
            Ok(Some(taken)) => {
                self.bytes += taken.chunk.data.len();
                self.batch.push_back(taken);
            }
            Ok(None) => self.ended = true,
            Err(error) => self.failed = Some(error),
        }
    }

    fn wants_more(&self) -> bool {
        !self.closed
            && !self.ended
            && self.failed.is_none()
            && self.batch.len() < BATCH_PACKETS
            && self.bytes < BATCH_BYTES
    }
}

/// A reader, and the packets that it has read ahead.
struct Pump {
    /// None once it is closed.
    reader: Mutex<Option<Reader>>,
    ahead: Mutex<Ahead>,
    /// Whoever waits for packets may look again.
    changed: Notify,
    /// Whether a read waits for what a script feeds.
    waits: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that nothing reads any more, even where a reader panics.
struct Running<'a>(&'a Pump);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut ahead = lock(&self.0.ahead);
        ahead.running = false;
        if std::thread::panicking() {
            let error = io::Error::other("reading was cut short");
            ahead.failed = Some(error.into());
        }
        drop(ahead);
        self.0.changed.notify_one();
    }
}

impl Pump {
    /// Reads ahead until there is a batch.
    fn run(&self) {
        let running = Running(self);
        let mut held = lock(&self.reader);
        while let Some(reader) = held.as_mut().filter(|_| lock(&self.ahead).wants_more()) {
            let next = reader.next();
            lock(&self.ahead).add(next);
            if self.waits {
                self.changed.notify_one();
            }
        }
        // Whoever gets the batch finds the reader free.
        drop(held);
        drop(running);
    }

    /// The packets that come next; none at the end.
    async fn batch(self: Arc<Self>) -> Result<VecDeque<Taken>, JsErrorBox> {
        loop {
            if let Some(found) = self.at_hand()? {
                return Ok(found);
            }
            self.changed.notified().await;
        }
    }

    /// What can be given now. Has more read where there is nothing.
    fn at_hand(self: &Arc<Self>) -> Result<Option<VecDeque<Taken>>, JsErrorBox> {
        let mut ahead = lock(&self.ahead);
        // The packets of a stream that have come do not wait for those that have not.
        if ahead.running && (!self.waits || ahead.batch.is_empty()) {
            return Ok(None);
        }
        if ahead.batch.is_empty() {
            if let Some(error) = ahead.failed.take() {
                return Err(to_js(&error));
            }
            if !ahead.ended {
                let pump = Arc::clone(self);
                threads::start(self.waits, move || pump.run())?;
                ahead.running = true;
                return Ok(None);
            }
        }
        ahead.bytes = 0;
        Ok(Some(std::mem::take(&mut ahead.batch)))
    }

    fn seek(&self, time: i64) -> Result<Option<i64>, DemuxError> {
        let mut held = lock(&self.reader);
        let sought = match held.as_mut() {
            Some(reader) => reader.reader.seek(time),
            None => Ok(None),
        };
        let mut ahead = lock(&self.ahead);
        ahead.batch.clear();
        ahead.bytes = 0;
        ahead.ended = false;
        ahead.failed = None;
        sought
    }

    fn close(&self) {
        let mut ahead = lock(&self.ahead);
        ahead.closed = true;
        let batch = std::mem::take(&mut ahead.batch);
        drop(ahead);
        drop(batch);
        // Else a thread that reads lets go of it.
        let reader = self.reader.try_lock().ok().and_then(|mut held| held.take());
        drop(reader);
    }
}

/// A reader and the packets of its present batch, until it is closed or its demuxer is.
pub(super) struct OpenReader {
    pump: RefCell<Option<Arc<Pump>>>,
    taken: RefCell<VecDeque<Taken>>,
    /// The demuxer's.
    cancel: Rc<CancelHandle>,
}

impl OpenReader {
    pub(super) fn is_open(&self) -> bool {
        self.pump.borrow().is_some()
    }

    /// Lets go of the source.
    pub(super) fn close(&self) {
        let pump = self.pump.borrow_mut().take();
        if let Some(pump) = pump {
            pump.close();
        }
        let taken = self.taken.take();
        drop(taken);
    }

    fn pump(&self) -> Result<Arc<Pump>, JsErrorBox> {
        self.pump.borrow().clone().ok_or_else(closed)
    }
}

/// A reader of one track, for JavaScript to hold.
pub struct ReaderHandle {
    reader: Rc<OpenReader>,
    /// What decoders are configured with from the chunk on that was taken last.
    config: RefCell<Option<Arc<TrackConfig>>>,
    kind: ChunkClass,
}

/// The class of a track's chunks.
#[derive(Clone, Copy)]
enum ChunkClass {
    Audio,
    Video,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for ReaderHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcorePacketReader"
    }
}

/// A reader of the track at `index`, at its start. `changes`: whether who reads looks for other decoder configurations.
#[op2]
#[cppgc]
pub fn op_reelcore_demuxer_reader(
    #[cppgc] demuxer: &DemuxerHandle,
    #[smi] index: u32,
    changes: bool,
) -> Result<ReaderHandle, JsErrorBox> {
    let opened = demuxer.get()?;
    let track = opened.demuxer.tracks().get(index as usize);
    let kind = match track.map(|track| &track.kind) {
        Some(TrackKind::Video { .. }) => ChunkClass::Video,
        Some(TrackKind::Audio { .. }) => ChunkClass::Audio,
        _ => {
            return Err(JsErrorBox::type_error(
                "only tracks of video and of audio have chunks",
            ));
        }
    };
    // A track that was opened before its codec was known is told it later: whoever reads it has a configuration of their own.
    let only = track
        .filter(|track| !changes && track.codec.is_some())
        .map(Track::config);
    let reader = Arc::clone(&opened.demuxer)
        .reader(index as usize)
        .map_err(|error| to_js(&error))?;
    let pump = Pump {
        reader: Mutex::new(Some(Reader { reader, only })),
        ahead: Mutex::default(),
        changed: Notify::new(),
        waits: opened.waits,
    };
    let reader = Rc::new(OpenReader {
        pump: RefCell::new(Some(Arc::new(pump))),
        taken: RefCell::default(),
        cancel: Rc::clone(&demuxer.cancel),
    });
    let mut readers = demuxer.readers.borrow_mut();
    readers.retain(|reader| reader.upgrade().is_some_and(|reader| reader.is_open()));
    readers.push(Rc::downgrade(&reader));
    Ok(ReaderHandle {
        reader,
        config: RefCell::default(),
        kind,
    })
}

/// Lets go of the source, as far as this reader is concerned.
#[op2(fast)]
pub fn op_reelcore_reader_close(#[cppgc] reader: &ReaderHandle) {
    reader.reader.close();
}

/// Moves a reader to the last key packet at or before `time` (microseconds); gives its time, or null for an
/// empty track.
#[op2]
pub async fn op_reelcore_reader_seek(
    #[cppgc] reader: &ReaderHandle,
    #[number] time: i64,
) -> Result<Option<f64>, JsErrorBox> {
    let reader = Rc::clone(&reader.reader);
    let pump = reader.pump()?;
    reader.taken.borrow_mut().clear();
    let sought = threads::run(pump.waits, move || pump.seek(time));
    let sought = sought.or_cancel(Rc::clone(&reader.cancel)).await;
    let time = sought
        .map_err(|_| closed())??
        .map_err(|error| to_js(&error))?;
    Ok(time.map(|time| time as f64))
}

/// Reads the next batch of packets; gives their number, 0 at the end.
#[op2]
#[smi]
pub async fn op_reelcore_reader_fill(#[cppgc] reader: &ReaderHandle) -> Result<u32, JsErrorBox> {
    let reader = Rc::clone(&reader.reader);
    let batch = reader.pump()?.batch();
    let batch = batch.or_cancel(Rc::clone(&reader.cancel)).await;
    let batch = batch.map_err(|_| closed())??;
    let count = batch.len() as u32;
    reader.taken.borrow_mut().extend(batch);
    Ok(count)
}

/// The next packet of the batch as an EncodedVideoChunk or an EncodedAudioChunk; null at its end.
#[op2(reentrant)]
pub fn op_reelcore_reader_take<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    #[cppgc] reader: &ReaderHandle,
) -> v8::Local<'s, v8::Value> {
    let taken = reader.reader.taken.borrow_mut().pop_front();
    let (chunk, config) = taken.map(|taken| (taken.chunk, taken.config)).unzip();
    reader.config.replace(config.flatten());
    let object = match (chunk, reader.kind) {
        (None, _) => None,
        (Some(chunk), ChunkClass::Audio) => EncodedAudioChunk::create(scope, chunk)
            .ok()
            .map(|handle| handle.object()),
        (Some(chunk), ChunkClass::Video) => EncodedVideoChunk::create(scope, chunk)
            .ok()
            .map(|handle| handle.object()),
    };
    object.map_or_else(|| v8::null(scope).into(), Into::into)
}

/// A list of one where decoders are configured anew for the chunk that was taken last: the config, or null where there is no
/// codec string. Else null.
#[op2]
#[serde]
pub fn op_reelcore_reader_config(
    #[cppgc] reader: &ReaderHandle,
) -> Option<(Option<JsDecoderConfig>,)> {
    let config = reader.config.take()?;
    Some((js_config(&config).1,))
}
