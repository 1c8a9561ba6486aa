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
        let from = match referrer {
            Some(referrer) => Importer(Some(format!(
                "{}:{}:{}",
                referrer.specifier, referrer.line_number, referrer.column_number
            ))),
            None => self.take_dynamic_importer(specifier),
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
}

impl Loader {
    pub(crate) fn new(mapper: Option<Rc<dyn UrlMapper>>, blobs: Arc<dyn BlobStoreTrait>) -> Self {
        Self {
            mapper,
            blobs,
            dynamic_importers: RefCell::default(),
        }
    }

    fn take_dynamic_importer(&self, specifier: &Url) -> Importer {
        let mut importers = self.dynamic_importers.borrow_mut();
        let index = importers.iter().position(|(url, _)| url == specifier);
        Importer(
            index
                .and_then(|index| importers.remove(index))
                .map(|(_, referrer)| referrer),
        )
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
struct Importer(Option<String>);

impl std::fmt::Display for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
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
        RequestedModuleType::Json if is_json => (ModuleType::Json, text(specifier, body, from)?),
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
