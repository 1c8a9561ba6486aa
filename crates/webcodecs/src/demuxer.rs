//! `Reelcore.Demuxer`: containers from JavaScript. Not part of the WebCodecs specification.
//!
//! Containers are opened and read on threads; the iterator in `js/reelcore.js` takes the packets one by one.

mod reader;
mod threads;

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use deno_core::{
    CancelFuture, CancelHandle, GarbageCollected, JsBuffer, OpState, ToJsBuffer, op2, v8,
};
use deno_error::JsErrorBox;
use reelcore_containers as containers;
use reelcore_media::ColorSpace;
use reelcore_media::demux::{
    DemuxError, Demuxer, Encryption, Source, Track, TrackConfig, TrackKind,
};
use serde::Serialize;
use tokio::sync::Notify;

use self::reader::OpenReader;
pub(crate) use self::reader::{
    op_reelcore_demuxer_reader, op_reelcore_reader_close, op_reelcore_reader_config,
    op_reelcore_reader_fill, op_reelcore_reader_seek, op_reelcore_reader_take,
};

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

/// The embedder's caps.
pub(crate) struct Caps {
    pub container: containers::Limits,
    pub stream: containers::StreamLimits,
}

/// A container for JavaScript to hold: one that is being opened, is open or is closed.
pub struct DemuxerHandle {
    limits: containers::Limits,
    /// Ends what scripts wait for.
    cancel: Rc<CancelHandle>,
    opened: RefCell<Option<Opened>>,
    /// What feeds the container, where a script does.
    feed: RefCell<std::sync::Weak<containers::StreamFeed>>,
    /// They are closed with it.
    readers: RefCell<Vec<Weak<OpenReader>>>,
}

/// An open container.
#[derive(Clone)]
struct Opened {
    demuxer: Arc<dyn Demuxer>,
    /// Whether a read may wait until bytes have arrived.
    waits: bool,
}

impl DemuxerHandle {
    fn get(&self) -> Result<Opened, JsErrorBox> {
        let closed = || JsErrorBox::new("Reelcore.InvalidStateError", "the Demuxer is closed");
        self.opened.borrow().clone().ok_or_else(closed)
    }

    /// Lets go of the source, and of whoever waits for it.
    fn close(&self) {
        self.cancel.cancel();
        // Threads that wait for bytes end.
        if let Some(feed) = self.feed.take().upgrade() {
            feed.fail(CLOSED);
        }
        for reader in self.readers.take() {
            if let Some(reader) = reader.upgrade() {
                reader.close();
            }
        }
        let opened = self.opened.take();
        drop(opened);
    }
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for DemuxerHandle {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"ReelcoreDemuxer"
    }
}

const CLOSED: &str = "the Demuxer was closed";

/// What whoever waits gets when the container is closed.
fn closed() -> JsErrorBox {
    JsErrorBox::new("Reelcore.AbortError", CLOSED)
}

fn cancelled() -> JsErrorBox {
    JsErrorBox::new("Reelcore.OperationError", "reading was cancelled")
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

/// Opens what `source` gives. `waits`: whether that takes as long as a script that feeds it likes.
async fn open(
    handle: &DemuxerHandle,
    waits: bool,
    source: impl FnOnce() -> io::Result<Arc<dyn Source>> + Send + 'static,
) -> Result<(), JsErrorBox> {
    let limits = handle.limits.clone();
    let opened = threads::run(waits, move || -> Result<Opened, DemuxError> {
        let source = source()?;
        let waits = !source.is_seekable();
        let demuxer = containers::open_with(source, &limits)?;
        Ok(Opened { demuxer, waits })
    });
    let opened = opened.or_cancel(Rc::clone(&handle.cancel)).await;
    let opened = opened.map_err(|_| closed())??;
    let opened = opened.map_err(|error| to_js(&error))?;
    handle.opened.replace(Some(opened));
    Ok(())
}

/// A container that is opened next.
#[op2]
#[cppgc]
pub fn op_reelcore_demuxer_new(state: &mut OpState) -> DemuxerHandle {
    DemuxerHandle {
        limits: state.borrow::<Caps>().container.clone(),
        cancel: CancelHandle::new_rc(),
        opened: RefCell::default(),
        feed: RefCell::default(),
        readers: RefCell::default(),
    }
}

/// Opens the file at `path`.
#[op2]
pub async fn op_reelcore_demuxer_open_file(
    state: Rc<RefCell<OpState>>,
    #[cppgc] handle: &DemuxerHandle,
    #[string] path: String,
) -> Result<(), JsErrorBox> {
    let files = state.borrow().borrow::<Files>().0.clone();
    let Some(files) = files else {
        return Err(JsErrorBox::new(
            "Reelcore.NotAllowedError",
            "this runtime opens no files by path; pass a Blob or an ArrayBuffer",
        ));
    };
    open(handle, false, move || {
        files
            .open(Path::new(&path))
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    })
    .await
}

/// Opens bytes in memory, and detaches their buffer.
#[op2]
pub async fn op_reelcore_demuxer_open_bytes(
    #[cppgc] handle: &DemuxerHandle,
    #[buffer(detach)] bytes: JsBuffer,
) -> Result<(), JsErrorBox> {
    // Detached: nobody else can reach the memory, so it is used as it is.
    let bytes = Bytes::from_owner(bytes.into_parts());
    let source = move || Ok(Arc::new(containers::BytesSource::new(bytes)) as Arc<dyn Source>);
    open(handle, false, source).await
}

/// A stream that a script feeds, for JavaScript to hold.
pub struct StreamHandle {
    feed: Arc<containers::StreamFeed>,
    source: RefCell<Option<containers::StreamSource>>,
    wanted: Arc<Notify>,
    /// Whether anything has come, be it the end; and who waits for that.
    begun: Cell<bool>,
    begins: Notify,
}

impl StreamHandle {
    fn begin(&self) {
        self.begun.set(true);
        self.begins.notify_one();
    }
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
pub fn op_reelcore_stream_new(state: &mut OpState) -> StreamHandle {
    let wanted = Arc::new(Notify::new());
    let wake = wanted.clone();
    let limits = state.borrow::<Caps>().stream;
    let (feed, source) = containers::stream(limits, move || {
        wake.notify_one();
    });
    StreamHandle {
        feed: Arc::new(feed),
        source: RefCell::new(Some(source)),
        wanted,
        begun: Cell::new(false),
        begins: Notify::new(),
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
    if !bytes.is_empty() {
        stream.feed.push(Bytes::copy_from_slice(bytes));
        stream.begin();
    }
}

/// Ends the stream; with a reason, reads past its end fail.
#[op2]
pub fn op_reelcore_stream_end(#[cppgc] stream: &StreamHandle, #[string] reason: Option<String>) {
    match reason {
        None => stream.feed.finish(),
        Some(reason) => stream.feed.fail(reason),
    }
    stream.begin();
}

/// Opens a stream that is being fed.
#[op2]
pub async fn op_reelcore_demuxer_open_stream(
    #[cppgc] handle: &DemuxerHandle,
    #[cppgc] stream: &StreamHandle,
) -> Result<(), JsErrorBox> {
    let source = stream.source.borrow_mut().take();
    let Some(source) = source else {
        return Err(JsErrorBox::type_error("the stream is open already"));
    };
    handle.feed.replace(Arc::downgrade(&stream.feed));
    // A stream that has not begun takes no thread.
    while !stream.begun.get() {
        let begins = stream.begins.notified();
        let begins = begins.or_cancel(Rc::clone(&handle.cancel)).await;
        begins.map_err(|_| closed())?;
    }
    open(
        handle,
        true,
        move || Ok(Arc::new(source) as Arc<dyn Source>),
    )
    .await
}

/// The container's name, duration in microseconds, and tags by name.
type Info = (&'static str, Option<f64>, Vec<(String, String)>);

/// The container's name, duration (microseconds or null) and tags (pairs of a name and a text).
#[op2]
#[serde]
pub fn op_reelcore_demuxer_info(#[cppgc] demuxer: &DemuxerHandle) -> Result<Info, JsErrorBox> {
    let demuxer = demuxer.get()?.demuxer;
    let duration = demuxer.duration().map(|time| time as f64);
    Ok((demuxer.container(), duration, demuxer.tags().to_vec()))
}

/// Lets go of the source. What is waited for ends with an AbortError, and so do readers.
#[op2(fast)]
pub fn op_reelcore_demuxer_close(#[cppgc] demuxer: &DemuxerHandle) {
    demuxer.close();
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
    name: Option<String>,
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
        name: track.name.clone(),
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
    // Whoever asked waits for it since it was opened.
    let demuxer = demuxer.get().map_err(|_| closed())?.demuxer;
    let tracks = demuxer.tracks().iter().enumerate();
    Ok(tracks
        .map(|(index, track)| js_track(index, track))
        .collect())
}

/// Readings of the process-wide counters: pairs of a name and a number.
#[op2]
#[serde]
pub fn op_reelcore_counters() -> Vec<(&'static str, f64)> {
    reelcore_media::counters::read().entries().collect()
}
