//! The op behind `fetch`: it opens what a URL stands for and gives JavaScript a resource to read from.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use deno_core::url::Url;
use deno_core::{
    AsyncResult, BufMutView, BufView, CancelFuture, CancelHandle, OpState, Resource, ResourceId,
    op2,
};
use deno_error::JsErrorBox;
use deno_io::StdFileResourceInner;
use deno_io::fs::File as DenoFile;
use serde::Serialize;

use crate::modules::unsupported_scheme;
use crate::ready;
use crate::url_mapper::{MappedUrl, UrlMapper, mime_type};

/// The embedder's mapper, in `OpState`.
pub(crate) struct Mapper(pub(crate) Option<Rc<dyn UrlMapper>>);

/// What `fetch` makes a Response of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// The body; none for HEAD and for statuses without one.
    rid: Option<ResourceId>,
    status: u16,
    status_text: &'static str,
    headers: Vec<(String, String)>,
}

impl Answer {
    fn empty(status: u16, status_text: &'static str, headers: Vec<(String, String)>) -> Self {
        Self {
            rid: None,
            status,
            status_text,
            headers,
        }
    }
}

#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(type)]
enum FetchError {
    #[error("Failed to fetch \"{url}\": {reason}")]
    Unsupported { url: String, reason: String },
    #[error("Failed to fetch \"{url}\": no such file")]
    NotFound { url: String },
    #[error("Failed to fetch \"{url}\": it is a directory")]
    Directory { url: String },
    #[error("Failed to fetch \"{url}\": {source}")]
    Io { url: String, source: std::io::Error },
}

/// Opens `url`, which is absolute. `range` is the value of the Range header, if the script gave one.
#[op2]
#[serde]
pub(crate) async fn op_runtime_fetch(
    state: Rc<RefCell<OpState>>,
    #[string] url: String,
    head: bool,
    #[string] range: Option<String>,
) -> Result<Answer, FetchError> {
    let parsed = Url::parse(&url).map_err(|error| FetchError::Unsupported {
        url: url.clone(),
        reason: error.to_string(),
    })?;
    let mapper = state.borrow().borrow::<Mapper>().0.clone();
    let (body, headers) = match mapper.and_then(|mapper| mapper.map(&parsed)) {
        Some(MappedUrl::NotFound) => return Ok(Answer::empty(404, "Not Found", Vec::new())),
        Some(MappedUrl::File { path, headers }) => open_file(&url, path, headers).await?,
        Some(MappedUrl::Bytes { body, headers }) => (Body::Bytes(body), headers),
        None => match parsed.scheme() {
            "file" => {
                let path = parsed
                    .to_file_path()
                    .map_err(|()| FetchError::NotFound { url: url.clone() })?;
                open_file(&url, path, Vec::new()).await?
            }
            // https://fetch.spec.whatwg.org/#scheme-fetch: of these there are no parts, and no header fields but the type.
            "data" => return data_url(&state, &url, head),
            scheme => {
                return Err(FetchError::Unsupported {
                    reason: unsupported_scheme(scheme),
                    url,
                });
            }
        },
    };
    Ok(answer(&state, body, headers, head, range.as_deref()))
}

/// Where the bytes of a response come from.
enum Body {
    File {
        file: Rc<dyn DenoFile>,
        len: u64,
    },
    /// Nobody knows how much it is: a pipe, a device, a file of /proc.
    Endless(Endless),
    Bytes(Bytes),
}

async fn open_file(
    url: &str,
    path: PathBuf,
    mut headers: Vec<(String, String)>,
) -> Result<(Body, Vec<(String, String)>), FetchError> {
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".to_owned(), mime_type(&path).to_owned()));
    }
    let opened = path.clone();
    let result = tokio::task::spawn_blocking(move || open(&opened)).await;
    let opened = result
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(|source| match source.kind() {
            ErrorKind::NotFound => FetchError::NotFound {
                url: url.to_owned(),
            },
            _ => FetchError::Io {
                url: url.to_owned(),
                source,
            },
        })?;
    let body = match opened {
        Opened::File { file, len } => Body::File {
            file: Rc::new(StdFileResourceInner::file(file, Some(path))),
            len,
        },
        Opened::Endless { file, first } => Body::Endless(Endless::new(file, first)),
        Opened::Directory => {
            return Err(FetchError::Directory {
                url: url.to_owned(),
            });
        }
    };
    Ok((body, headers))
}

/// What lies at a path.
enum Opened {
    File {
        file: File,
        len: u64,
    },
    Endless {
        file: File,
        /// What was read of it to see whether there is anything.
        first: Vec<u8>,
    },
    Directory,
}

fn open(path: &Path) -> std::io::Result<Opened> {
    // The length of a file of /proc is 0, whatever is in it.
    let has_length = |metadata: &std::fs::Metadata| metadata.is_file() && metadata.len() > 0;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    if !has_length(&std::fs::metadata(path)?) {
        // Opening a FIFO would wait for its writer. Like this the reads wait, in turns that can be given up.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Opened::Directory);
    }
    if has_length(&metadata) {
        let len = metadata.len();
        return Ok(Opened::File { file, len });
    }
    let mut first = Vec::new();
    if metadata.is_file() {
        first.resize(FIRST_READ, 0);
        let count = match file.read(&mut first) {
            Ok(0) => return Ok(Opened::File { file, len: 0 }),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        first.truncate(count);
    }
    Ok(Opened::Endless { file, first })
}

/// Bytes read of a file without a length to see whether there are any.
const FIRST_READ: usize = 4096;

fn data_url(state: &Rc<RefCell<OpState>>, url: &str, head: bool) -> Result<Answer, FetchError> {
    let invalid = |reason: String| FetchError::Unsupported {
        // A data: URL may be megabytes long: its start says enough.
        url: url.chars().take(64).collect(),
        reason,
    };
    let parsed = data_url::DataUrl::process(url).map_err(|error| invalid(error.to_string()))?;
    let (body, _) = parsed
        .decode_to_vec()
        .map_err(|error| invalid(error.to_string()))?;
    let headers = vec![("content-type".to_owned(), parsed.mime_type().to_string())];
    Ok(whole(
        state,
        BytesPart(RefCell::new(body.into())),
        headers,
        head,
    ))
}

/// The answer that has all of a body, whose length is not told.
fn whole(
    state: &Rc<RefCell<OpState>>,
    body: impl Resource,
    headers: Vec<(String, String)>,
    head: bool,
) -> Answer {
    let mut answer = Answer::empty(200, "OK", headers);
    if !head {
        answer.rid = Some(state.borrow_mut().resource_table.add(body));
    }
    answer
}

/// A body whose length is known.
enum Known {
    File(Rc<dyn DenoFile>),
    Bytes(Bytes),
}

fn answer(
    state: &Rc<RefCell<OpState>>,
    body: Body,
    mut headers: Vec<(String, String)>,
    head: bool,
    range: Option<&str>,
) -> Answer {
    let (body, total) = match body {
        Body::File { file, len } => (Known::File(file), len),
        Body::Bytes(bytes) => {
            let total = bytes.len() as u64;
            (Known::Bytes(bytes), total)
        }
        Body::Endless(endless) => return whole(state, endless, headers, head),
    };
    let (start, end, status, status_text) = match range.map(|range| parse_range(range, total)) {
        None | Some(Range::Ignored) => (0, total, 200, "OK"),
        Some(Range::Part { start, end }) => {
            headers.push((
                "content-range".to_owned(),
                format!("bytes {start}-{}/{total}", end - 1),
            ));
            (start, end, 206, "Partial Content")
        }
        Some(Range::Unsatisfiable) => {
            headers.push(("content-range".to_owned(), format!("bytes */{total}")));
            return Answer::empty(416, "Range Not Satisfiable", headers);
        }
    };
    headers.push(("accept-ranges".to_owned(), "bytes".to_owned()));
    headers.push(("content-length".to_owned(), (end - start).to_string()));
    if head {
        return Answer::empty(status, status_text, headers);
    }
    let mut state = state.borrow_mut();
    let rid = match body {
        Known::File(file) => state.resource_table.add(FilePart {
            file,
            position: Cell::new(start),
            end,
        }),
        Known::Bytes(bytes) => {
            // Both are within the bytes, whose length is a usize.
            let part = bytes.slice(start as usize..end as usize);
            state.resource_table.add(BytesPart(RefCell::new(part)))
        }
    };
    Answer {
        rid: Some(rid),
        status,
        status_text,
        headers,
    }
}

/// What a Range header asks of a body.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Bytes `start..end`; never empty.
    Part { start: u64, end: u64 },
    /// Nothing of it is there.
    Unsatisfiable,
    /// It is malformed or asks for several parts: a server may answer with the whole body then.
    Ignored,
}

/// https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2, for a single range of bytes.
fn parse_range(value: &str, total: u64) -> Range {
    let Some(spec) = value.trim().strip_prefix("bytes=") else {
        return Range::Ignored;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Range::Ignored;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    match (first, last) {
        ("", last) => match number(last) {
            None => Range::Ignored,
            Some(0) => Range::Unsatisfiable,
            Some(_) if total == 0 => Range::Unsatisfiable,
            Some(suffix) => Range::Part {
                start: total.saturating_sub(suffix),
                end: total,
            },
        },
        (first, last) => {
            let Some(first) = number(first) else {
                return Range::Ignored;
            };
            let last = match last {
                "" => u64::MAX,
                last => match number(last) {
                    Some(last) if last >= first => last,
                    _ => return Range::Ignored,
                },
            };
            if first >= total {
                return Range::Unsatisfiable;
            }
            Range::Part {
                start: first,
                end: last.saturating_add(1).min(total),
            }
        }
    }
}

/// A part of a file. It reads where it stands, so that clones of a file do not move each other.
struct FilePart {
    file: Rc<dyn DenoFile>,
    position: Cell<u64>,
    end: u64,
}

impl FilePart {
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.position.get())
    }
}

impl Resource for FilePart {
    fn name(&self) -> Cow<'_, str> {
        "fetchedFile".into()
    }

    fn read(self: Rc<Self>, limit: usize) -> AsyncResult<BufView> {
        Box::pin(async move {
            let limit = usize::try_from(self.left()).map_or(limit, |left| limit.min(left));
            let (count, mut buffer) = self.read_byob(BufMutView::new(limit)).await?;
            buffer.truncate(count);
            Ok(buffer.into_view())
        })
    }

    fn read_byob(self: Rc<Self>, buffer: BufMutView) -> AsyncResult<(usize, BufMutView)> {
        Box::pin(async move {
            let left = self.left();
            if left == 0 || buffer.is_empty() {
                return Ok((0, buffer));
            }
            let position = self.position.get();
            let (count, buffer) = self
                .file
                .clone()
                .read_at_async(buffer, position)
                .await
                .map_err(JsErrorBox::from_err)?;
            // The file may go on after the part: those bytes are in the buffer, and do not count.
            let count = usize::try_from(left).map_or(count, |left| count.min(left));
            self.position.set(position.saturating_add(count as u64));
            Ok((count, buffer))
        })
    }

    fn size_hint(&self) -> (u64, Option<u64>) {
        (self.left(), Some(self.left()))
    }
}

/// A file that is read as it goes on, to an end that nobody knows. A read waits for what comes, until the resource is closed.
struct Endless {
    file: Arc<File>,
    first: RefCell<Bytes>,
    cancel: Rc<CancelHandle>,
    /// Tells the thread that waits.
    closed: Arc<AtomicBool>,
}

impl Endless {
    fn new(file: File, first: Vec<u8>) -> Self {
        Self {
            file: Arc::new(file),
            first: RefCell::new(first.into()),
            cancel: CancelHandle::new_rc(),
            closed: Arc::default(),
        }
    }
}

impl Resource for Endless {
    fn name(&self) -> Cow<'_, str> {
        "fetchedStream".into()
    }

    fn read(self: Rc<Self>, limit: usize) -> AsyncResult<BufView> {
        let first = {
            let mut first = self.first.borrow_mut();
            let count = limit.min(first.len());
            first.split_to(count)
        };
        if !first.is_empty() || limit == 0 {
            return Box::pin(std::future::ready(Ok(first.into())));
        }
        let (file, closed) = (self.file.clone(), self.closed.clone());
        let cancel = self.cancel.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || read_on(&file, limit, &closed))
                .or_cancel(cancel)
                .await
                .map_err(|_| JsErrorBox::new("Interrupted", "the body was let go of"))?
                .map_err(std::io::Error::other)
                .and_then(|result| result)
                .map(BufView::from)
                .map_err(JsErrorBox::from_err)
        })
    }

    fn close(self: Rc<Self>) {
        self.cancel.cancel();
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// Reads what is there, or waits for it; nothing at the end.
fn read_on(mut file: &File, limit: usize, closed: &AtomicBool) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; limit.min(MAX_READ)];
    while !closed.load(Ordering::Acquire) {
        if !ready::readable(&file)? {
            continue;
        }
        match file.read(&mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            // Somebody else has read it, or there was a signal.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    // Nobody takes it.
    Ok(Vec::new())
}

/// The most that one read of a stream gives.
const MAX_READ: usize = 64 << 10;

/// Bytes of the embedder, or of a `data:` URL.
struct BytesPart(RefCell<Bytes>);

impl Resource for BytesPart {
    fn name(&self) -> Cow<'_, str> {
        "fetchedBytes".into()
    }

    fn read(self: Rc<Self>, limit: usize) -> AsyncResult<BufView> {
        let mut bytes = self.0.borrow_mut();
        let count = limit.min(bytes.len());
        let chunk = bytes.split_to(count);
        drop(bytes);
        Box::pin(std::future::ready(Ok(chunk.into())))
    }

    fn size_hint(&self) -> (u64, Option<u64>) {
        let len = self.0.borrow().len() as u64;
        (len, Some(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_body() {
        let part = |start, end| Range::Part { start, end };
        assert_eq!(parse_range("bytes=0-", 10), part(0, 10));
        assert_eq!(parse_range("bytes=2-4", 10), part(2, 5));
        assert_eq!(parse_range("bytes=2-400", 10), part(2, 10));
        assert_eq!(parse_range("bytes=-3", 10), part(7, 10));
        assert_eq!(parse_range("bytes=-30", 10), part(0, 10));
        assert_eq!(parse_range("bytes=9-18446744073709551615", 10), part(9, 10));
    }

    #[test]
    fn a_range_outside_the_body_is_unsatisfiable() {
        assert_eq!(parse_range("bytes=10-", 10), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=-0", 10), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=-5", 0), Range::Unsatisfiable);
    }

    #[test]
    fn a_malformed_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-",
            "bytes=4-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(parse_range(range, 10), Range::Ignored, "{range:?}");
        }
    }
}
