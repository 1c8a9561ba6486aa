//! `Reelcore.Muxer`: containers written from JavaScript. Not part of the WebCodecs specification.
//!
//! A script's calls go into a queue; `op_reelcore_muxer_drain` carries them out on a blocking thread, in order. So the
//! JavaScript thread never waits for a disk, and who awaits what `js/muxer.js` returns is held back by it.

mod config;
mod work;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use deno_core::{GarbageCollected, JsBuffer, OpState, ToJsBuffer, op2, v8};
use deno_error::JsErrorBox;
use reelcore_containers::mux::{self, FileSink, MemorySink, QueueSink};
use reelcore_media::color::{Matrix, Primaries, Transfer};
use reelcore_media::mux::{MuxOptions, OutputKind, OutputTrack};
use reelcore_media::{ColorSpace, Rotation, Size};
use serde::Deserialize;

use crate::demuxer::Files;
use crate::interfaces::{EncodedAudioChunk, EncodedVideoChunk};

use config::Configuration;
use work::{Call, Target, Work, error_name};

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
        work: Arc::new(Mutex::new(Work::new(muxer, target, &settings))),
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

/// What of it a container needs, and what is not there.
fn configuration(config: JsTrackConfig) -> Configuration {
    let says_orientation = config.rotation.is_some() || config.flip.is_some();
    let pair = |w: Option<u32>, h: Option<u32>| w.zip(h).map(|(w, h)| Size::new(w, h));
    fn find<T: Copy>(all: &[T], name: Option<String>, of: impl Fn(T) -> &'static str) -> Option<T> {
        let name = name?;
        all.iter().copied().find(|value| of(*value) == name)
    }
    let (kind, lacks) = if config.video {
        let coded_size = pair(config.coded_width, config.coded_height);
        let kind = OutputKind::Video {
            coded_size: coded_size.unwrap_or_default(),
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
        };
        let lacks = coded_size.is_none().then_some("codedWidth and codedHeight");
        (kind, lacks)
    } else {
        let lacks = match (config.sample_rate, config.number_of_channels) {
            (None, _) => Some("sampleRate"),
            (_, None) => Some("numberOfChannels"),
            _ => None,
        };
        let kind = OutputKind::Audio {
            sample_rate: config.sample_rate.unwrap_or(0),
            channels: config.number_of_channels.unwrap_or(0),
        };
        (kind, lacks)
    };
    let track = OutputTrack {
        kind,
        codec: config.codec,
        // A copy: the script may change its buffer; it is small.
        description: config.description.map(|data| Bytes::copy_from_slice(&data)),
        language: config.language,
        name: config.name,
    };
    Configuration {
        track,
        lacks,
        says_orientation,
    }
}

/// Says what a track holds, now or from the next packet on.
#[op2]
pub fn op_reelcore_muxer_configure(
    #[cppgc] muxer: &MuxerHandle,
    #[smi] track: u32,
    #[serde] config: JsTrackConfig,
) -> Result<(), JsErrorBox> {
    let config = Box::new(configuration(config));
    queue(muxer, Call::Configure(track as usize, config))
}

/// Says that a configuration could not be read, and why: no call after it succeeds.
#[op2(fast)]
pub fn op_reelcore_muxer_refuse(
    #[cppgc] muxer: &MuxerHandle,
    #[string] reason: String,
) -> Result<(), JsErrorBox> {
    queue(muxer, Call::Refuse(reason))
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
            if let Some((name, message)) = work.failed() {
                return Err(JsErrorBox::new(*name, message.clone()));
            }
            let Some(call) = call else { return Ok(()) };
            work.carry_out(call);
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
