//! `Reelcore.Demuxer`: containers from JavaScript. Not part of the WebCodecs specification.
//!
//! Files are read on blocking threads, a batch of packets at a time; the iterator in `js/reelcore.js` takes
//! them one by one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deno_core::{GarbageCollected, JsBuffer, OpState, ToJsBuffer, op2, v8};
use deno_error::JsErrorBox;
use reelcore_containers as containers;
use reelcore_media::demux::{
    DemuxError, Demuxer, Encryption, PacketReader, Source, Track, TrackConfig, TrackKind,
};
use reelcore_media::{ColorSpace, EncodedChunk};
use serde::Serialize;
use tokio::sync::Notify;

use crate::interfaces::{EncodedAudioChunk, EncodedVideoChunk};

/// Opens files for `Reelcore.Demuxer` and creates those of `Reelcore.Muxer`. An embedder decides here what scripts may read
/// and write.
pub trait FileAccess: Send + Sync {
    /// Opens the file at `path` for reading. Called on a thread that may block.
    ///
    /// # Errors
    /// What the system reports, or [`io::ErrorKind::PermissionDenied`].
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Source>>;

    /// Creates the file at `path`, or empties it, for reading and writing. Called on a thread that may block. Unless an
    /// embedder says how, nothing may be written.
    ///
    /// # Errors
    /// As [`FileAccess::open`].
    fn create(&self, path: &Path) -> io::Result<std::fs::File> {
        let _ = path;
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "this runtime writes no files by path",
        ))
    }
}

/// Access to every file that the process may read and write.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllFiles;

impl FileAccess for AllFiles {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(containers::FileSource::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<std::fs::File> {
        let mut options = std::fs::File::options();
        options.read(true).write(true).create(true).truncate(true);
        options.open(path)
    }
}

/// The embedder's choice; `None`: no file may be opened by path.
pub(crate) struct Files(pub Option<Arc<dyn FileAccess>>);

/// An opened container, for JavaScript to hold.
///
/// `None` once it is closed; readers that are open keep the file open.
pub struct DemuxerHandle(RefCell<Option<Arc<dyn Demuxer>>>);

impl DemuxerHandle {
    fn get(&self) -> Result<Arc<dyn Demuxer>, JsErrorBox> {
        let closed = || JsErrorBox::new("Reelcore.InvalidStateError", "the Demuxer is closed");
        self.0.borrow().clone().ok_or_else(closed)
    }
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for DemuxerHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcoreDemuxer"
    }
}

/// A reader of one track, for JavaScript to hold.
pub struct ReaderHandle {
    reader: Arc<Mutex<Reader>>,
    /// The packets of the present batch.
    taken: RefCell<VecDeque<Taken>>,
    /// What decoders are configured with from the chunk on that was taken last.
    config: RefCell<Option<Arc<TrackConfig>>>,
    kind: ChunkClass,
}

/// A packet as scripts get it.
struct Taken {
    chunk: EncodedChunk,
    config: Option<Arc<TrackConfig>>,
}

/// The class of a track's chunks.
#[derive(Clone, Copy)]
enum ChunkClass {
    Audio,
    Video,
}

struct Reader {
    reader: Box<dyn PacketReader>,
    /// What the track itself says, where the script does not look for changes of it.
    only: Option<TrackConfig>,
    /// Read ahead, for the next batch.
    batch: VecDeque<Taken>,
    failed: Option<DemuxError>,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for ReaderHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcorePacketReader"
    }
}

/// A batch ends after this many packets …
const BATCH_PACKETS: usize = 64;
/// … or bytes, so that what is read ahead stays small.
const BATCH_BYTES: usize = 1 << 20;

impl Reader {
    fn fill(&mut self) {
        let mut bytes = 0;
        while self.failed.is_none() && self.batch.len() < BATCH_PACKETS && bytes < BATCH_BYTES {
            match self.reader.next_sample() {
                Ok(Some(packet)) => {
                    if let (Some(only), Some(config)) = (&self.only, &packet.config)
                        && only != &**config
                    {
                        let error = format!(
                            "the decoder's configuration changes at {} us: packets() tells it",
                            packet.chunk.timestamp
                        );
                        self.failed = Some(DemuxError::Unsupported(error));
                        return;
                    }
                    bytes += packet.chunk.data.len();
                    self.batch.push_back(Taken {
                        chunk: packet.chunk,
                        config: packet.config,
                    });
                }
                Ok(None) => return,
                // Reported after the packets before it.
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

fn lock(reader: &Mutex<Reader>) -> std::sync::MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_js(error: &DemuxError) -> JsErrorBox {
    let class = match error {
        DemuxError::Io(io) => match io.kind() {
            io::ErrorKind::NotFound => "Reelcore.NotFoundError",
            io::ErrorKind::PermissionDenied => "Reelcore.NotAllowedError",
            _ => "Reelcore.NotReadableError",
        },
        DemuxError::Unsupported(_) | DemuxError::UnknownContainer(_) => {
            "Reelcore.NotSupportedError"
        }
        DemuxError::Invalid { .. } | DemuxError::Limit(_) => "Reelcore.EncodingError",
    };
    JsErrorBox::new(class, error.to_string())
}

async fn open(
    source: impl FnOnce() -> io::Result<Arc<dyn Source>> + Send + 'static,
) -> Result<DemuxerHandle, JsErrorBox> {
    // Errors are turned into JavaScript's on the blocking thread: they need not be `Send` then.
    deno_core::unsync::spawn_blocking(move || {
        source()
            .map_err(DemuxError::from)
            .and_then(containers::open)
            .map(|demuxer| DemuxerHandle(RefCell::new(Some(demuxer))))
            .map_err(|error| to_js(&error))
    })
    .await
    .map_err(|_| cancelled())?
}

/// Opens the file at `path`.
#[op2]
#[cppgc]
pub async fn op_reelcore_demuxer_open_file(
    state: std::rc::Rc<RefCell<OpState>>,
    #[string] path: String,
) -> Result<DemuxerHandle, JsErrorBox> {
    let files = state.borrow().borrow::<Files>().0.clone();
    let Some(files) = files else {
        return Err(JsErrorBox::new(
            "Reelcore.NotAllowedError",
            "this runtime opens no files by path; pass a Blob or an ArrayBuffer",
        ));
    };
    open(move || {
        files
            .open(Path::new(&path))
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    })
    .await
}

/// Opens bytes in memory, and detaches their buffer.
#[op2]
#[cppgc]
pub async fn op_reelcore_demuxer_open_bytes(
    #[buffer(detach)] bytes: JsBuffer,
) -> Result<DemuxerHandle, JsErrorBox> {
    // Detached: nobody else can reach the memory, so it is used as it is.
    let bytes = Bytes::from_owner(bytes.into_parts());
    open(move || Ok(Arc::new(containers::BytesSource::new(bytes)) as Arc<dyn Source>)).await
}

/// A stream that a script feeds, for JavaScript to hold.
pub struct StreamHandle {
    feed: Arc<containers::StreamFeed>,
    source: RefCell<Option<containers::StreamSource>>,
    wanted: Arc<Notify>,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for StreamHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcoreStream"
    }
}

/// A stream without any bytes yet.
#[op2]
#[cppgc]
pub fn op_reelcore_stream_new() -> StreamHandle {
    let wanted = Arc::new(Notify::new());
    let wake = wanted.clone();
    let (feed, source) = containers::stream(containers::StreamLimits::default(), move || {
        wake.notify_one();
    });
    StreamHandle {
        feed: Arc::new(feed),
        source: RefCell::new(Some(source)),
        wanted,
    }
}

/// Waits until the stream wants more bytes: true. False when nobody reads it any more.
#[op2]
pub async fn op_reelcore_stream_wanted(#[cppgc] stream: &StreamHandle) -> bool {
    let (feed, wanted) = (stream.feed.clone(), stream.wanted.clone());
    loop {
        match feed.wants() {
            containers::Wanted::More => return true,
            containers::Wanted::Nothing => return false,
            // A wake-up between the two is kept by the notification.
            containers::Wanted::Later => wanted.notified().await,
        }
    }
}

/// Adds bytes to the end of the stream. A copy: whoever made the stream may use its buffer again.
#[op2(fast)]
pub fn op_reelcore_stream_push(#[cppgc] stream: &StreamHandle, #[buffer] bytes: &[u8]) {
    stream.feed.push(Bytes::copy_from_slice(bytes));
}

/// Ends the stream; with a reason, reads past its end fail.
#[op2]
pub fn op_reelcore_stream_end(#[cppgc] stream: &StreamHandle, #[string] reason: Option<String>) {
    match reason {
        None => stream.feed.finish(),
        Some(reason) => stream.feed.fail(reason),
    }
}

/// Opens a stream that is being fed.
#[op2]
#[cppgc]
pub async fn op_reelcore_demuxer_open_stream(
    #[cppgc] stream: &StreamHandle,
) -> Result<DemuxerHandle, JsErrorBox> {
    let source = stream.source.borrow_mut().take();
    let Some(source) = source else {
        return Err(JsErrorBox::type_error("the stream is open already"));
    };
    open(move || Ok(Arc::new(source) as Arc<dyn Source>)).await
}

/// The container's name, duration in microseconds, and tags by name.
type Info = (&'static str, Option<f64>, Vec<(String, String)>);

/// The container's name, duration (microseconds or null) and tags (pairs of a name and a text).
#[op2]
#[serde]
pub fn op_reelcore_demuxer_info(#[cppgc] demuxer: &DemuxerHandle) -> Result<Info, JsErrorBox> {
    let demuxer = demuxer.get()?;
    let duration = demuxer.duration().map(|time| time as f64);
    Ok((demuxer.container(), duration, demuxer.tags().to_vec()))
}

/// Lets go of the source; readers that are open keep it until they end.
#[op2(fast)]
pub fn op_reelcore_demuxer_close(#[cppgc] demuxer: &DemuxerHandle) {
    let demuxer = demuxer.0.borrow_mut().take();
    drop(demuxer);
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsTrack {
    index: usize,
    id: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    codec: Option<String>,
    language: Option<String>,
    duration: Option<f64>,
    samples: Option<f64>,
    encryption: Option<JsEncryption>,
    decoder_config: Option<JsDecoderConfig>,
}

/// How a track is encrypted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsEncryption {
    scheme: Option<String>,
    /// 32 hexadecimal digits.
    default_key_id: Option<String>,
    codec: Option<String>,
    pssh: Vec<ToJsBuffer>,
}

impl JsEncryption {
    fn new(encryption: &Encryption) -> Self {
        Self {
            scheme: encryption.scheme.clone(),
            default_key_id: encryption
                .default_kid
                .map(|kid| kid.iter().map(|byte| format!("{byte:02x}")).collect()),
            codec: encryption.original_codec.clone(),
            pssh: encryption
                .pssh
                .iter()
                .map(|header| header.to_vec().into())
                .collect(),
        }
    }
}

/// A VideoDecoderConfig or an AudioDecoderConfig.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsDecoderConfig {
    codec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<ToJsBuffer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coded_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coded_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_aspect_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_aspect_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color_space: Option<JsColorSpace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flip: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number_of_channels: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsColorSpace {
    primaries: Option<&'static str>,
    transfer: Option<&'static str>,
    matrix: Option<&'static str>,
    full_range: Option<bool>,
}

/// The type of a track, and what decoders of it are configured with.
fn js_config(of: &TrackConfig) -> (&'static str, Option<JsDecoderConfig>) {
    let mut config = of.codec.clone().map(|codec| JsDecoderConfig {
        codec,
        description: of.description.as_ref().map(|bytes| bytes.to_vec().into()),
        ..JsDecoderConfig::default()
    });
    let kind = match &of.kind {
        TrackKind::Video {
            coded_size,
            display_aspect,
            aspect_of_stream,
            rotation,
            flip,
            color_space,
        } => {
            if let Some(config) = &mut config {
                config.coded_width = Some(coded_size.width);
                config.coded_height = Some(coded_size.height);
                // Absent where only the stream says it: that may change, and a config overrides it.
                if display_aspect.area() > 0 && !aspect_of_stream {
                    config.display_aspect_width = Some(display_aspect.width);
                    config.display_aspect_height = Some(display_aspect.height);
                }
                // Absent rather than all null: the decoder then uses what the bitstream says.
                if *color_space != ColorSpace::default() {
                    config.color_space = Some(JsColorSpace {
                        primaries: color_space.primaries.map(|value| value.as_str()),
                        transfer: color_space.transfer.map(|value| value.as_str()),
                        matrix: color_space.matrix.map(|value| value.as_str()),
                        full_range: color_space.full_range,
                    });
                }
                config.rotation = Some(rotation.degrees());
                config.flip = Some(*flip);
            }
            "video"
        }
        TrackKind::Audio {
            sample_rate,
            channels,
        } => {
            if let Some(config) = &mut config {
                config.sample_rate = Some(*sample_rate);
                config.number_of_channels = Some(*channels);
            }
            "audio"
        }
        TrackKind::Other(_) => {
            config = None;
            "other"
        }
    };
    (kind, config)
}

fn js_track(index: usize, track: &Track) -> JsTrack {
    let (kind, config) = js_config(&track.config());
    JsTrack {
        index,
        id: track.id,
        kind,
        codec: track.codec.clone(),
        language: track.language.clone(),
        duration: track.duration.map(|time| time as f64),
        samples: track.samples.map(|count| count as f64),
        encryption: track.encryption.as_ref().map(JsEncryption::new),
        decoder_config: config,
    }
}

/// The tracks, as `js/reelcore.js` shows them.
#[op2]
#[serde]
pub fn op_reelcore_demuxer_tracks(
    #[cppgc] demuxer: &DemuxerHandle,
) -> Result<Vec<JsTrack>, JsErrorBox> {
    let demuxer = demuxer.get()?;
    let tracks = demuxer.tracks().iter().enumerate();
    Ok(tracks
        .map(|(index, track)| js_track(index, track))
        .collect())
}

/// A reader of the track at `index`, at its start. `changes`: whether who reads looks for other decoder configurations.
#[op2]
#[cppgc]
pub fn op_reelcore_demuxer_reader(
    #[cppgc] demuxer: &DemuxerHandle,
    #[smi] index: u32,
    changes: bool,
) -> Result<ReaderHandle, JsErrorBox> {
    let demuxer = demuxer.get()?;
    let track = demuxer.tracks().get(index as usize);
    let kind = match track.map(|track| &track.kind) {
        Some(TrackKind::Video { .. }) => ChunkClass::Video,
        Some(TrackKind::Audio { .. }) => ChunkClass::Audio,
        _ => {
            return Err(JsErrorBox::type_error(
                "only tracks of video and of audio have chunks",
            ));
        }
    };
    let only = track.filter(|_| !changes).map(Track::config);
    let reader = demuxer
        .clone()
        .reader(index as usize)
        .map_err(|error| to_js(&error))?;
    let reader = Reader {
        reader,
        only,
        batch: VecDeque::new(),
        failed: None,
    };
    Ok(ReaderHandle {
        reader: Arc::new(Mutex::new(reader)),
        taken: RefCell::default(),
        config: RefCell::default(),
        kind,
    })
}

/// Moves a reader to the last key packet at or before `time` (microseconds); gives its time, or null for an
/// empty track.
#[op2]
pub async fn op_reelcore_reader_seek(
    #[cppgc] reader: &ReaderHandle,
    #[number] time: i64,
) -> Result<Option<f64>, JsErrorBox> {
    reader.taken.borrow_mut().clear();
    let shared = reader.reader.clone();
    let sought = deno_core::unsync::spawn_blocking(move || {
        let mut reader = lock(&shared);
        reader.batch.clear();
        reader.failed = None;
        reader.reader.seek(time).map_err(|error| to_js(&error))
    });
    let time = sought.await.map_err(|_| cancelled())??;
    Ok(time.map(|time| time as f64))
}

fn cancelled() -> JsErrorBox {
    JsErrorBox::new("Reelcore.OperationError", "reading was cancelled")
}

/// Reads the next batch of packets; gives their number, 0 at the end.
#[op2]
#[smi]
pub async fn op_reelcore_reader_fill(#[cppgc] reader: &ReaderHandle) -> Result<u32, JsErrorBox> {
    let shared = reader.reader.clone();
    let filled = deno_core::unsync::spawn_blocking(move || {
        let mut reader = lock(&shared);
        reader.fill();
        match (reader.batch.is_empty(), reader.failed.take()) {
            (true, Some(error)) => Err(to_js(&error)),
            (_, failed) => {
                reader.failed = failed;
                Ok(std::mem::take(&mut reader.batch))
            }
        }
    });
    let batch = filled.await.map_err(|_| cancelled())??;
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
    let taken = reader.taken.borrow_mut().pop_front();
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

/// Readings of the process-wide counters: pairs of a name and a number.
#[op2]
#[serde]
pub fn op_reelcore_counters() -> Vec<(&'static str, f64)> {
    reelcore_media::counters::read().entries().collect()
}
