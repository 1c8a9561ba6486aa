//! `Reelcore.Muxer`: containers written from JavaScript. Not part of the WebCodecs specification.
//!
//! A script's calls go into a queue; `op_reelcore_muxer_drain` carries them out on a blocking thread, in order. So the
//! JavaScript thread never waits for a disk, and who awaits what `js/muxer.js` returns is held back by it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use deno_core::{GarbageCollected, JsBuffer, OpState, ToJsBuffer, op2, v8};
use deno_error::JsErrorBox;
use reelcore_containers::mux::{self, FileSink, MemorySink, QueueSink};
use reelcore_media::codec_string::family;
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::mux::{
    MuxError, MuxOptions, Muxer, OutputKind, OutputPacket, OutputTrack, Sink,
};
use reelcore_media::{ColorSpace, EncodedChunk, Rotation, Size};
use serde::Deserialize;

use crate::demuxer::Files;
use crate::interfaces::{EncodedAudioChunk, EncodedVideoChunk};

/// Bytes that may wait to be written. A script that does not await its writes gets an error past them.
const MAX_QUEUED: usize = 256 << 20;

/// A muxer, for JavaScript to hold.
pub struct MuxerHandle {
    calls: Arc<Mutex<Calls>>,
    work: Arc<Mutex<Work>>,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for MuxerHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcoreMuxer"
    }
}

#[derive(Default)]
struct Calls {
    queue: VecDeque<Call>,
    bytes: usize,
}

enum Call {
    /// A track that will have packets, in the order of the file.
    Declare,
    /// What it holds. For one that is known already: what its packets need from here on.
    Configure(usize, Box<OutputTrack>),
    Write(usize, EncodedChunk),
    End(usize),
    Finish,
}

/// Where the bytes go.
enum Target {
    Memory(MemorySink),
    File(Option<FileSink>),
    Queue(QueueSink),
}

impl Target {
    fn sink(&mut self) -> Result<&mut dyn Sink, MuxError> {
        Ok(match self {
            Self::Memory(sink) => sink,
            Self::Queue(sink) => sink,
            Self::File(Some(sink)) => sink,
            Self::File(None) => return Err(MuxError::Invalid("the file is finished".into())),
        })
    }
}

struct Work {
    muxer: Box<dyn Muxer>,
    target: Target,
    tracks: Vec<TrackState>,
    /// Packets of tracks that wait for others to be configured.
    early: VecDeque<(usize, OutputPacket)>,
    early_bytes: usize,
    max_bytes: usize,
    opened: bool,
    failed: Option<(ErrorName, String)>,
}

#[derive(Default)]
struct TrackState {
    config: Option<Box<OutputTrack>>,
    /// The muxer's number of it.
    index: Option<usize>,
    /// For the next packet.
    description: Option<Bytes>,
    /// What the last configuration said.
    latest: Option<Bytes>,
    ended: bool,
}

/// A DOMException's name.
type ErrorName = &'static str;

fn error_name(error: &MuxError) -> ErrorName {
    match error {
        MuxError::Unsupported(_) => "Reelcore.NotSupportedError",
        MuxError::Invalid(_) => "Reelcore.EncodingError",
        MuxError::Limit(_) => "Reelcore.OperationError",
        MuxError::Io(_) => "Reelcore.NotReadableError",
    }
}

impl Work {
    /// Carries out one call.
    fn carry_out(&mut self, call: Call) -> Result<(), MuxError> {
        match call {
            Call::Declare => {
                self.tracks.push(TrackState::default());
                Ok(())
            }
            Call::Configure(track, config) => self.configure(track, config),
            Call::Write(track, chunk) => {
                let state = self.state(track)?;
                let packet = OutputPacket {
                    chunk,
                    decode_time: None,
                    description: state.description.take(),
                };
                if self.opened {
                    return self.write(track, packet);
                }
                self.early_bytes = self.early_bytes.saturating_add(packet.chunk.data.len());
                if self.early_bytes > self.max_bytes {
                    return Err(MuxError::Limit(format!(
                        "more than {} bytes wait for a track that was declared and has no configuration yet",
                        self.max_bytes
                    )));
                }
                self.early.push_back((track, packet));
                self.open_if_complete(false)
            }
            Call::End(track) => {
                self.state(track)?.ended = true;
                match self.opened {
                    true => self.end(track),
                    false => self.open_if_complete(false),
                }
            }
            Call::Finish => {
                self.open_if_complete(true)?;
                self.muxer.finish(self.target.sink()?)?;
                if let Target::File(sink) = &mut self.target
                    && let Some(sink) = sink.take()
                {
                    sink.finish()?;
                }
                Ok(())
            }
        }
    }

    fn state(&mut self, track: usize) -> Result<&mut TrackState, MuxError> {
        let count = self.tracks.len();
        self.tracks.get_mut(track).ok_or_else(|| {
            MuxError::Invalid(format!("track {track} does not exist, there are {count}"))
        })
    }

    fn configure(&mut self, track: usize, config: Box<OutputTrack>) -> Result<(), MuxError> {
        let opened = self.opened;
        let state = self.state(track)?;
        match &state.config {
            None if opened => {
                return Err(MuxError::Invalid(format!(
                    "track {track} gets its configuration after the file was begun without it"
                )));
            }
            None => {
                state.latest.clone_from(&config.description);
                state.config = Some(config);
            }
            Some(before) if family(&before.codec) != family(&config.codec) => {
                return Err(MuxError::Invalid(format!(
                    "track {track} changes from {} to {}",
                    before.codec, config.codec
                )));
            }
            // The same codec with another set-up: from the next packet on.
            Some(_) if state.latest != config.description => {
                state.latest.clone_from(&config.description);
                state.description = config.description;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Begins the file once every track is known, or none is waited for any more. A track that never got a
    /// configuration never had a packet, and is left out.
    fn open_if_complete(&mut self, all: bool) -> Result<(), MuxError> {
        let waits = |state: &TrackState| state.config.is_none() && !state.ended;
        if self.opened || (!all && self.tracks.iter().any(waits)) {
            return Ok(());
        }
        self.opened = true;
        for state in &mut self.tracks {
            if let Some(config) = &state.config {
                state.index = Some(self.muxer.add_track((**config).clone())?);
            }
        }
        for (track, packet) in std::mem::take(&mut self.early) {
            self.write(track, packet)?;
        }
        self.early_bytes = 0;
        for track in 0..self.tracks.len() {
            if self.tracks.get(track).is_some_and(|state| state.ended) {
                self.end(track)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, track: usize, packet: OutputPacket) -> Result<(), MuxError> {
        let index = self.state(track)?.index.ok_or_else(|| {
            MuxError::Invalid(format!(
                "the first packet of track {track} came without a decoderConfig"
            ))
        })?;
        self.muxer.write(index, packet, self.target.sink()?)
    }

    fn end(&mut self, track: usize) -> Result<(), MuxError> {
        match self.state(track)?.index {
            Some(index) => self.muxer.end_track(index, self.target.sink()?),
            None => Ok(()),
        }
    }
}

/// What a script says of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsMuxerOptions {
    tags: Vec<(String, String)>,
    fast_start: Option<bool>,
    fragmented: bool,
    /// In microseconds.
    fragment_duration: Option<f64>,
    live: bool,
    /// `memory`, `file` or `stream`.
    target: String,
    path: String,
}

/// Makes a muxer, and creates its file.
#[op2]
#[cppgc]
pub async fn op_reelcore_muxer_new(
    state: std::rc::Rc<RefCell<OpState>>,
    #[string] format: String,
    #[serde] options: JsMuxerOptions,
) -> Result<MuxerHandle, JsErrorBox> {
    let mut settings = MuxOptions {
        tags: options.tags,
        fragmented: options.fragmented,
        live: options.live,
        ..MuxOptions::default()
    };
    settings.fast_start = options.fast_start.unwrap_or(settings.fast_start);
    if let Some(micros) = options.fragment_duration {
        settings.fragment_duration = Duration::from_micros(micros as u64);
    }
    let max_bytes = settings.max_buffered_bytes;
    let muxer = mux::create(&format, &settings)
        .map_err(|error| JsErrorBox::new(error_name(&error), error.to_string()))?;
    let target = match options.target.as_str() {
        "memory" => Target::Memory(MemorySink::new(usize::MAX)),
        "stream" => Target::Queue(QueueSink::new(max_bytes)),
        _ => {
            let files = state.borrow().borrow::<Files>().0.clone();
            let Some(files) = files else {
                return Err(JsErrorBox::new(
                    "Reelcore.NotAllowedError",
                    "this runtime writes no files by path; leave out the target, or pass a WritableStream",
                ));
            };
            let path = options.path;
            let created = deno_core::unsync::spawn_blocking(move || {
                files.create(Path::new(&path)).map_err(|error| {
                    let name = match error.kind() {
                        std::io::ErrorKind::PermissionDenied => "Reelcore.NotAllowedError",
                        std::io::ErrorKind::NotFound => "Reelcore.NotFoundError",
                        _ => "Reelcore.NotReadableError",
                    };
                    JsErrorBox::new(name, format!("{path}: {error}"))
                })
            });
            Target::File(Some(FileSink::new(
                created.await.map_err(|_| cancelled())??,
            )))
        }
    };
    Ok(MuxerHandle {
        calls: Arc::default(),
        work: Arc::new(Mutex::new(Work {
            muxer,
            target,
            tracks: Vec::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            max_bytes,
            opened: false,
            failed: None,
        })),
    })
}

fn cancelled() -> JsErrorBox {
    JsErrorBox::new("Reelcore.OperationError", "writing was cancelled")
}

fn queue(muxer: &MuxerHandle, call: Call) -> Result<(), JsErrorBox> {
    let mut calls = muxer.calls.lock().unwrap_or_else(PoisonError::into_inner);
    if let Call::Write(_, chunk) = &call {
        if calls.bytes > MAX_QUEUED {
            return Err(JsErrorBox::new(
                "Reelcore.OperationError",
                format!(
                    "more than {MAX_QUEUED} bytes wait to be written: await what write() returns"
                ),
            ));
        }
        calls.bytes = calls.bytes.saturating_add(chunk.data.len());
    }
    calls.queue.push_back(call);
    Ok(())
}

/// Says that there will be a track. Tracks are numbered from 0, in this order.
#[op2(fast)]
pub fn op_reelcore_muxer_declare(#[cppgc] muxer: &MuxerHandle) -> Result<(), JsErrorBox> {
    queue(muxer, Call::Declare)
}

/// A decoder's configuration, and what else a script says of a track.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsTrackConfig {
    video: bool,
    codec: String,
    description: Option<JsBuffer>,
    coded_width: Option<u32>,
    coded_height: Option<u32>,
    display_aspect_width: Option<u32>,
    display_aspect_height: Option<u32>,
    primaries: Option<String>,
    transfer: Option<String>,
    matrix: Option<String>,
    full_range: Option<bool>,
    rotation: Option<f64>,
    flip: Option<bool>,
    framerate: Option<f64>,
    alpha: bool,
    sample_rate: Option<u32>,
    number_of_channels: Option<u32>,
    language: Option<String>,
    name: Option<String>,
}

fn output_track(config: JsTrackConfig) -> Result<OutputTrack, JsErrorBox> {
    let missing =
        |what: &str| JsErrorBox::type_error(format!("Muxer: the decoderConfig lacks {what}"));
    let pair = |w: Option<u32>, h: Option<u32>| w.zip(h).map(|(w, h)| Size::new(w, h));
    fn find<T: Copy>(all: &[T], name: Option<String>, of: impl Fn(T) -> &'static str) -> Option<T> {
        let name = name?;
        all.iter().copied().find(|value| of(*value) == name)
    }
    let kind = if config.video {
        OutputKind::Video {
            coded_size: pair(config.coded_width, config.coded_height)
                .ok_or_else(|| missing("codedWidth and codedHeight"))?,
            display_aspect: pair(config.display_aspect_width, config.display_aspect_height),
            rotation: Rotation::parse(config.rotation.unwrap_or(0.0)),
            flip: config.flip.unwrap_or(false),
            color_space: ColorSpace {
                primaries: find(Primaries::ALL, config.primaries, Primaries::as_str),
                transfer: find(Transfer::ALL, config.transfer, Transfer::as_str),
                matrix: find(Matrix::ALL, config.matrix, Matrix::as_str),
                full_range: config.full_range,
            },
            framerate: config.framerate,
            alpha: config.alpha,
        }
    } else {
        OutputKind::Audio {
            sample_rate: config.sample_rate.ok_or_else(|| missing("sampleRate"))?,
            channels: config
                .number_of_channels
                .ok_or_else(|| missing("numberOfChannels"))?,
        }
    };
    Ok(OutputTrack {
        kind,
        codec: config.codec,
        // A copy: the script may change its buffer; it is small.
        description: config.description.map(|data| Bytes::copy_from_slice(&data)),
        language: config.language,
        name: config.name,
    })
}

/// Says what a track holds, now or from the next packet on.
#[op2]
pub fn op_reelcore_muxer_configure(
    #[cppgc] muxer: &MuxerHandle,
    #[smi] track: u32,
    #[serde] config: JsTrackConfig,
) -> Result<(), JsErrorBox> {
    let config = Box::new(output_track(config)?);
    queue(muxer, Call::Configure(track as usize, config))
}

/// Queues a picture; its bytes are shared.
#[op2(fast)]
pub fn op_reelcore_muxer_write_video(
    #[cppgc] muxer: &MuxerHandle,
    #[smi] track: u32,
    #[cppgc] chunk: &EncodedVideoChunk,
) -> Result<(), JsErrorBox> {
    queue(muxer, Call::Write(track as usize, chunk.chunk().clone()))
}

/// Queues a packet of sound; its bytes are shared.
#[op2(fast)]
pub fn op_reelcore_muxer_write_audio(
    #[cppgc] muxer: &MuxerHandle,
    #[smi] track: u32,
    #[cppgc] chunk: &EncodedAudioChunk,
) -> Result<(), JsErrorBox> {
    queue(muxer, Call::Write(track as usize, chunk.chunk().clone()))
}

/// Nothing follows on a track.
#[op2(fast)]
pub fn op_reelcore_muxer_end(
    #[cppgc] muxer: &MuxerHandle,
    #[smi] track: u32,
) -> Result<(), JsErrorBox> {
    queue(muxer, Call::End(track as usize))
}

/// Nothing follows at all.
#[op2(fast)]
pub fn op_reelcore_muxer_finish(#[cppgc] muxer: &MuxerHandle) -> Result<(), JsErrorBox> {
    queue(muxer, Call::Finish)
}

/// Carries out what is queued.
#[op2]
pub async fn op_reelcore_muxer_drain(#[cppgc] muxer: &MuxerHandle) -> Result<(), JsErrorBox> {
    let (calls, work) = (muxer.calls.clone(), muxer.work.clone());
    let drained = deno_core::unsync::spawn_blocking(move || {
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let call = {
                let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
                let call = calls.queue.pop_front();
                if let Some(Call::Write(_, chunk)) = &call {
                    calls.bytes = calls.bytes.saturating_sub(chunk.data.len());
                }
                call
            };
            if let Some((name, message)) = &work.failed {
                return Err(JsErrorBox::new(*name, message.clone()));
            }
            let Some(call) = call else { return Ok(()) };
            if let Err(error) = work.carry_out(call) {
                work.failed = Some((error_name(&error), error.to_string()));
            }
        }
    });
    drained.await.map_err(|_| cancelled())?
}

/// The next piece for the stream, if there is one.
#[op2]
#[serde]
pub fn op_reelcore_muxer_take(#[cppgc] muxer: &MuxerHandle) -> Option<ToJsBuffer> {
    let work = muxer.work.lock().unwrap_or_else(PoisonError::into_inner);
    match &work.target {
        // A copy: the memory may be a packet's that the script still holds.
        Target::Queue(sink) => sink.take().map(|piece| piece.to_vec().into()),
        _ => None,
    }
}

/// The file that was written to memory; empty for other targets.
#[op2]
#[serde]
pub fn op_reelcore_muxer_bytes(#[cppgc] muxer: &MuxerHandle) -> ToJsBuffer {
    let mut work = muxer.work.lock().unwrap_or_else(PoisonError::into_inner);
    let target = std::mem::replace(&mut work.target, Target::File(None));
    match target {
        Target::Memory(sink) => Vec::from(sink.into_bytes()).into(),
        _ => Vec::new().into(),
    }
}
