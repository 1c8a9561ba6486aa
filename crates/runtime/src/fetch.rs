//! The op behind `fetch`: it opens what a URL stands for and gives JavaScript a resource to read from.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use deno_core::url::Url;
use deno_core::{AsyncResult, BufMutView, BufView, OpState, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use deno_io::StdFileResourceInner;
use deno_io::fs::File as DenoFile;
use serde::Serialize;

use crate::modules::unsupported_scheme;
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
            "data" => data_url(&url)?,
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
    File { file: Rc<dyn DenoFile>, len: u64 },
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
    let (file, len, is_dir) = result
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => FetchError::NotFound {
                url: url.to_owned(),
            },
            _ => FetchError::Io {
                url: url.to_owned(),
                source,
            },
        })?;
    if is_dir {
        return Err(FetchError::Directory {
            url: url.to_owned(),
        });
    }
    let file = Rc::new(StdFileResourceInner::file(file, Some(path)));
    Ok((Body::File { file, len }, headers))
}

fn open(path: &Path) -> std::io::Result<(File, u64, bool)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata.len(), metadata.is_dir()))
}

fn data_url(url: &str) -> Result<(Body, Vec<(String, String)>), FetchError> {
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
    Ok((Body::Bytes(body.into()), headers))
}

fn answer(
    state: &Rc<RefCell<OpState>>,
    body: Body,
    mut headers: Vec<(String, String)>,
    head: bool,
    range: Option<&str>,
) -> Answer {
    let total = match &body {
        Body::File { len, .. } => *len,
        Body::Bytes(bytes) => bytes.len() as u64,
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
        Body::File { file, .. } => state.resource_table.add(FilePart {
            file,
            position: Cell::new(start),
            end,
        }),
        Body::Bytes(bytes) => {
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
