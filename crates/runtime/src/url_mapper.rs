//! The hook by which an embedder answers for URLs, and what the runtime does without one.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use deno_core::url::Url;

/// Answers for URLs that imports and `fetch` ask for, before the runtime's own treatment of them.
///
/// It is called on the JavaScript thread: it should only look a URL up, and leave the reading to the runtime.
pub trait UrlMapper {
    /// What `url` stands for; `None` leaves it to the runtime: `file:`, `data:` and `blob:` URLs are read, the others
    /// fail.
    fn map(&self, url: &Url) -> Option<MappedUrl>;
}

impl<F: Fn(&Url) -> Option<MappedUrl>> UrlMapper for F {
    fn map(&self, url: &Url) -> Option<MappedUrl> {
        self(url)
    }
}

/// What a URL stands for.
#[derive(Debug, Clone)]
pub enum MappedUrl {
    /// A file, which `fetch` streams.
    File {
        /// Where the file is.
        path: PathBuf,
        /// Response headers as name and value. `content-type` is guessed from the path's extension unless it is here.
        headers: Vec<(String, String)>,
    },
    /// Bytes at hand.
    Bytes {
        /// The body.
        body: Bytes,
        /// Response headers as name and value.
        headers: Vec<(String, String)>,
    },
    /// Nothing: `fetch` answers 404, an import fails.
    NotFound,
}

/// The MIME type of a file by the extension of its path.
pub(crate) fn mime_type(path: &Path) -> &'static str {
    // What browsers call these; the registry of extensions has other or no names for them.
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs" | "cjs") => "text/javascript",
        Some("mkv") => "video/x-matroska",
        Some("m4a") => "audio/mp4",
        _ => mime_guess::from_path(path)
            .first_raw()
            .unwrap_or("application/octet-stream"),
    }
}
