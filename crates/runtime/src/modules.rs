//! Loading of ES modules: from files, `data:` and `blob:` URLs, and whatever the embedder's mapper answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use deno_core::error::ModuleLoaderError;
use deno_core::url::Url;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource,
    ModuleSourceCode, ModuleSpecifier, ModuleType, RequestedModuleType, ResolutionKind,
    resolve_import,
};
use deno_error::JsErrorBox;
use deno_web::BlobStoreTrait;

use crate::url_mapper::{MappedUrl, UrlMapper, mime_type};

/// Resolves and reads the modules of one runtime.
pub(crate) struct Loader {
    mapper: Option<Rc<dyn UrlMapper>>,
    blobs: Arc<dyn BlobStoreTrait>,
    /// Who asked for the dynamic imports that are about to load, for error messages.
    dynamic_importers: RefCell<VecDeque<(Url, String)>>,
    sources: Rc<RefCell<Sources>>,
}

/// The texts of the modules that were loaded last, for the line that an error shows. Those of classic scripts are not here: any
/// number of them may have one name.
#[derive(Default)]
struct Sources {
    kept: VecDeque<(Url, ModuleSourceCode)>,
    bytes: usize,
}

impl Sources {
    /// The longest text that is kept, in bytes.
    const MAX_TEXT: usize = 1 << 20;
    /// The most that all of them hold.
    const MAX_BYTES: usize = 4 << 20;
    /// The most of them.
    const MAX_TEXTS: usize = 1024;

    /// Takes a copy of the module's text, which shares its bytes.
    fn keep(&mut self, url: &Url, mut source: ModuleSource) -> ModuleSource {
        // One whose text did not parse is loaded again when it is next imported, and may be another by then.
        if let Some(index) = self.kept.iter().position(|(kept, _)| kept == url)
            && let Some((_, old)) = self.kept.remove(index)
        {
            self.bytes -= old.as_bytes().len();
        }
        let length = source.code.as_bytes().len();
        // An error does not have all of a data: URL, by which to find its text.
        let is_shown = source.module_type == ModuleType::JavaScript && url.scheme() != "data";
        if !is_shown || length > Self::MAX_TEXT {
            return source;
        }
        let (code, copy) = source.code.into_cheap_copy();
        source.code = code;
        self.kept.push_back((url.clone(), copy));
        self.bytes += length;
        while (self.bytes > Self::MAX_BYTES || self.kept.len() > Self::MAX_TEXTS)
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            self.bytes -= oldest.as_bytes().len();
        }
        source
    }

    /// A line of the module at `url`, counted from 0.
    fn line(&self, url: &str, index: usize) -> Option<String> {
        let (_, code) = self.kept.iter().find(|(kept, _)| kept.as_str() == url)?;
        let text = std::str::from_utf8(code.as_bytes()).ok()?;
        // https://tc39.es/ecma262/#sec-line-terminators
        let text = text.replace("\r\n", "\n");
        let line = text
            .split(['\n', '\r', '\u{2028}', '\u{2029}'])
            .nth(index)?;
        Some(line.to_owned())
    }
}

/// How many dynamic imports are remembered between their resolution and their load: enough for a burst, and not more
/// than a message is worth.
const MAX_DYNAMIC_IMPORTERS: usize = 64;

impl ModuleLoader for Loader {
    fn resolve(
        &self,
        specifier: &str,
        referrer: &str,
        kind: ResolutionKind,
    ) -> Result<ModuleSpecifier, ModuleLoaderError> {
        let url = resolve_import(specifier, referrer).map_err(JsErrorBox::from_err)?;
        if matches!(kind, ResolutionKind::DynamicImport) {
            let mut importers = self.dynamic_importers.borrow_mut();
            if importers.len() == MAX_DYNAMIC_IMPORTERS {
                importers.pop_front();
            }
            importers.push_back((url.clone(), referrer.to_owned()));
        }
        Ok(url)
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let sources = self.sources.clone();
        let url = specifier.clone();
        let keep = move |source| sources.borrow_mut().keep(&url, source);
        match self.read(specifier, referrer, options) {
            ModuleLoadResponse::Sync(result) => ModuleLoadResponse::Sync(result.map(keep)),
            ModuleLoadResponse::Async(future) => {
                ModuleLoadResponse::Async(Box::pin(async move { future.await.map(keep) }))
            }
        }
    }

    fn get_source_mapped_source_line(&self, file_name: &str, line_number: usize) -> Option<String> {
        self.sources.borrow().line(file_name, line_number)
    }
}

impl Loader {
    pub(crate) fn new(mapper: Option<Rc<dyn UrlMapper>>, blobs: Arc<dyn BlobStoreTrait>) -> Self {
        Self {
            mapper,
            blobs,
            dynamic_importers: RefCell::default(),
            sources: Rc::default(),
        }
    }

    fn read(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let from = match referrer {
            Some(referrer) => Importer {
                at: Some(format!(
                    "{}:{}:{}",
                    referrer.specifier, referrer.line_number, referrer.column_number
                )),
                is_dynamic: options.is_dynamic_import,
            },
            None => Importer {
                at: self.take_dynamic_importer(specifier),
                is_dynamic: options.is_dynamic_import,
            },
        };
        let requested = options.requested_module_type;
        match self
            .mapper
            .as_ref()
            .and_then(|mapper| mapper.map(specifier))
        {
            Some(MappedUrl::File { path, headers }) => {
                let kind = content_type(&headers).unwrap_or_else(|| mime_type(&path).to_owned());
                load_file(
                    specifier,
                    path,
                    kind,
                    requested,
                    from,
                    options.is_dynamic_import,
                )
            }
            Some(MappedUrl::Bytes { body, headers }) => {
                let kind = content_type(&headers).unwrap_or_else(|| "text/javascript".to_owned());
                ModuleLoadResponse::Sync(module(specifier, &kind, body.into(), &requested, &from))
            }
            Some(MappedUrl::NotFound) => ModuleLoadResponse::Sync(Err(not_found(specifier, &from))),
            None => match specifier.scheme() {
                "file" => match specifier.to_file_path() {
                    Ok(path) => {
                        let kind = mime_type(&path).to_owned();
                        load_file(
                            specifier,
                            path,
                            kind,
                            requested,
                            from,
                            options.is_dynamic_import,
                        )
                    }
                    Err(()) => ModuleLoadResponse::Sync(Err(not_found(specifier, &from))),
                },
                "data" => ModuleLoadResponse::Sync(data_module(specifier, &requested, &from)),
                "blob" => self.blob_module(specifier, requested, from),
                scheme => ModuleLoadResponse::Sync(Err(JsErrorBox::type_error(format!(
                    "Can not import \"{specifier}\"{from}: {}",
                    unsupported_scheme(scheme)
                )))),
            },
        }
    }

    fn take_dynamic_importer(&self, specifier: &Url) -> Option<String> {
        let mut importers = self.dynamic_importers.borrow_mut();
        let index = importers.iter().position(|(url, _)| url == specifier)?;
        importers.remove(index).map(|(_, referrer)| referrer)
    }

    fn blob_module(
        &self,
        specifier: &Url,
        requested: RequestedModuleType,
        from: Importer,
    ) -> ModuleLoadResponse {
        let Some(blob) = self.blobs.get_object_url(specifier.clone()) else {
            return ModuleLoadResponse::Sync(Err(not_found(specifier, &from)));
        };
        let specifier = specifier.clone();
        ModuleLoadResponse::Async(Box::pin(async move {
            let body = blob.read_all().await;
            module(&specifier, &blob.media_type, body, &requested, &from)
        }))
    }
}

/// Why a URL of this scheme can be neither fetched nor imported.
pub(crate) fn unsupported_scheme(scheme: &str) -> String {
    match scheme {
        "http" | "https" | "ws" | "wss" | "ftp" => {
            "network access is not part of this runtime".to_owned()
        }
        _ => format!("\"{scheme}:\" URLs are not supported"),
    }
}

/// Who asked for a module, as the end of an error message.
struct Importer {
    at: Option<String>,
    /// The error will be that of an `import()`.
    is_dynamic: bool,
}

impl std::fmt::Display for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.at {
            Some(at) => write!(f, " imported from {at}"),
            None => Ok(()),
        }
    }
}

fn content_type(headers: &[(String, String)]) -> Option<String> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.clone())
}

fn not_found(specifier: &Url, from: &Importer) -> JsErrorBox {
    JsErrorBox::type_error(format!("Module not found \"{specifier}\"{from}"))
}

fn load_file(
    specifier: &Url,
    path: PathBuf,
    kind: String,
    requested: RequestedModuleType,
    from: Importer,
    is_dynamic: bool,
) -> ModuleLoadResponse {
    if let Err(error) = refuse_typescript(specifier, &path, &from) {
        return ModuleLoadResponse::Sync(Err(error));
    }
    let specifier = specifier.clone();
    if !is_dynamic {
        // Nothing of the script can run before its static imports are here: waiting for another thread would only
        // make start-up longer.
        let body = std::fs::read(&path).map_err(|error| read_error(&specifier, &from, &error));
        return ModuleLoadResponse::Sync(
            body.and_then(|body| module(&specifier, &kind, body, &requested, &from)),
        );
    }
    ModuleLoadResponse::Async(Box::pin(async move {
        let body = tokio::task::spawn_blocking(move || std::fs::read(path))
            .await
            .map_err(JsErrorBox::from_err)?
            .map_err(|error| read_error(&specifier, &from, &error))?;
        module(&specifier, &kind, body, &requested, &from)
    }))
}

fn read_error(specifier: &Url, from: &Importer, error: &std::io::Error) -> JsErrorBox {
    match error.kind() {
        std::io::ErrorKind::NotFound => not_found(specifier, from),
        std::io::ErrorKind::IsADirectory => JsErrorBox::type_error(format!(
            "Can not load module \"{specifier}\"{from}: it is a directory"
        )),
        _ => JsErrorBox::type_error(format!(
            "Can not load module \"{specifier}\"{from}: {error}"
        )),
    }
}

fn refuse_typescript(specifier: &Url, path: &Path, from: &Importer) -> Result<(), JsErrorBox> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("ts" | "mts" | "cts" | "tsx" | "jsx")) {
        return Err(JsErrorBox::type_error(format!(
            "Can not load module \"{specifier}\"{from}: TypeScript and JSX are not supported; compile it to JavaScript first"
        )));
    }
    Ok(())
}

fn data_module(
    specifier: &Url,
    requested: &RequestedModuleType,
    from: &Importer,
) -> Result<ModuleSource, JsErrorBox> {
    let invalid = |what: &dyn std::fmt::Display| {
        JsErrorBox::type_error(format!("Can not import a data: URL{from}: {what}"))
    };
    let url = data_url::DataUrl::process(specifier.as_str()).map_err(|error| invalid(&error))?;
    let (body, _) = url.decode_to_vec().map_err(|error| invalid(&error))?;
    let kind = url.mime_type().to_string();
    module(specifier, &kind, body, requested, from)
}

/// Makes a module of `body`, by what the importer asked for and what the MIME type says.
fn module(
    specifier: &Url,
    mime_type: &str,
    body: Vec<u8>,
    requested: &RequestedModuleType,
    from: &Importer,
) -> Result<ModuleSource, JsErrorBox> {
    let essence = mime_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json =
        essence == "application/json" || essence == "text/json" || essence.ends_with("+json");
    let (kind, code) = match requested {
        RequestedModuleType::None if is_json => {
            return Err(JsErrorBox::type_error(format!(
                "Can not import JSON \"{specifier}\"{from} as JavaScript: add with {{ type: \"json\" }}"
            )));
        }
        RequestedModuleType::None => (ModuleType::JavaScript, text(specifier, body, from)?),
        RequestedModuleType::Json if is_json => {
            let code = text(specifier, body, from)?;
            check_json(specifier, code.as_bytes(), from)?;
            (ModuleType::Json, code)
        }
        RequestedModuleType::Json => {
            return Err(JsErrorBox::type_error(format!(
                "Can not import \"{specifier}\"{from} as JSON: its type is \"{essence}\""
            )));
        }
        RequestedModuleType::Text => (ModuleType::Text, text(specifier, body, from)?),
        RequestedModuleType::Bytes => (
            ModuleType::Bytes,
            ModuleSourceCode::Bytes(body.into_boxed_slice().into()),
        ),
        RequestedModuleType::Other(kind) => {
            return Err(JsErrorBox::type_error(format!(
                "Can not import \"{specifier}\"{from}: unknown module type \"{kind}\""
            )));
        }
    };
    Ok(ModuleSource::new(kind, code, specifier, None))
}

/// V8 says where JSON that does not parse went wrong, but not in which file. Of an `import()` the script knows that, and gets V8's
/// SyntaxError: those that loaders give are TypeErrors there, whatever they are.
fn check_json(specifier: &Url, body: &[u8], from: &Importer) -> Result<(), JsErrorBox> {
    if from.is_dynamic {
        return Ok(());
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(JsErrorBox::new(
            "SyntaxError",
            format!("Can not parse JSON module \"{specifier}\"{from}: {error}"),
        )),
    }
}

/// https://encoding.spec.whatwg.org/#utf-8-decode: a byte order mark goes. Bytes that are no UTF-8 are an error here,
/// since replacing them would change the program.
fn text(specifier: &Url, body: Vec<u8>, from: &Importer) -> Result<ModuleSourceCode, JsErrorBox> {
    let body = Bytes::from(body);
    let body = match body.strip_prefix(b"\xef\xbb\xbf".as_slice()) {
        Some(rest) => rest,
        None => &body,
    };
    match std::str::from_utf8(body) {
        Ok(text) => Ok(ModuleSourceCode::String(text.to_owned().into())),
        Err(error) => Err(JsErrorBox::type_error(format!(
            "Can not load module \"{specifier}\"{from}: not UTF-8 at byte {}",
            error.valid_up_to()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(sources: &mut Sources, url: &str, text: String) {
        let url = Url::parse(url).expect("a URL");
        let code = ModuleSourceCode::String(text.into());
        let source = ModuleSource::new(ModuleType::JavaScript, code, &url, None);
        sources.keep(&url, source);
    }

    #[test]
    fn the_lines_of_a_module_are_those_that_v8_counts() {
        let mut sources = Sources::default();
        let text = "a\nb\r\nc\rd\u{2028}e\n\n\u{2029}f";
        load(&mut sources, "file:///x.js", text.to_owned());
        let line = |index| sources.line("file:///x.js", index);
        let lines: Vec<_> = (0..9).map_while(line).collect();
        assert_eq!(lines, ["a", "b", "c", "d", "e", "", "", "f"]);
        assert_eq!(sources.line("file:///y.js", 0), None);
    }

    #[test]
    fn a_module_that_is_loaded_again_shows_no_line_of_the_text_before() {
        const URL: &str = "file:///x.js";
        let mut sources = Sources::default();
        load(&mut sources, URL, "let OLD = = 1;".to_owned());
        load(&mut sources, URL, "null.x".to_owned());
        assert_eq!(sources.line(URL, 0).as_deref(), Some("null.x"));
        assert_eq!((sources.kept.len(), sources.bytes), (1, 6));
        load(&mut sources, URL, "x".repeat(Sources::MAX_TEXT + 1));
        assert_eq!(sources.line(URL, 0), None);
        assert_eq!(sources.bytes, 0);
    }

    #[test]
    fn no_more_text_is_kept_than_a_few_modules_have() {
        let mut sources = Sources::default();
        let text = "x".repeat(Sources::MAX_TEXT);
        load(&mut sources, "file:///large.js", format!("{text}x"));
        assert_eq!(sources.kept.len(), 0);
        for number in 0..9 {
            load(&mut sources, &format!("file:///{number}.js"), text.clone());
            assert!(sources.bytes <= Sources::MAX_BYTES);
        }
        assert!(sources.line("file:///8.js", 0).is_some());
        assert_eq!(sources.line("file:///0.js", 0), None);
        for number in 0..3000 {
            load(&mut sources, &format!("blob:null/{number}"), String::new());
            assert!(sources.kept.len() <= Sources::MAX_TEXTS);
        }
        assert_eq!(sources.bytes, 0);
    }
}
