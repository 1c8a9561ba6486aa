//! How an embedder describes the runtime it wants.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use deno_core::url::Url;
use deno_core::{
    CompiledWasmModuleStore, Extension, JsRuntime, RuntimeOptions, SharedArrayBufferStore, v8,
};
use deno_io::{Stdio, StdioPipe};
use deno_web::BlobStore;
use serde::Serialize;

use crate::error::{RuntimeError, Uncaught};
use crate::fetch::Mapper;
use crate::modules::Loader;
use crate::runtime::{Hooks, Runtime, check_tokio, normalized};
use crate::state::{RunState, Signals};
use crate::url_mapper::UrlMapper;
use crate::{extensions, ops};

/// How loud a line of the console is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsoleLevel {
    /// `console.debug`.
    Debug,
    /// `console.log`, `console.info` and what prints as they do.
    Info,
    /// `console.warn`.
    Warning,
    /// `console.error`, `console.trace`, failed `console.assert`.
    Error,
}

/// Takes what the console prints: the text with its line end, as one call of the console made it.
pub type ConsoleHook = Rc<dyn Fn(ConsoleLevel, &str)>;

/// Takes an error that no script handled.
pub type UncaughtHook = Rc<dyn Fn(&Uncaught)>;

/// Describes a [`Runtime`]; [`Runtime::builder`] starts one.
#[derive(Default)]
#[must_use]
pub struct RuntimeBuilder {
    args: Vec<String>,
    base_dir: Option<PathBuf>,
    location: Option<Url>,
    cross_origin_isolated: bool,
    insecure: bool,
    mapper: Option<Rc<dyn UrlMapper>>,
    media: Option<webcodecs::Options>,
    extensions: Vec<Extension>,
    console: Option<ConsoleHook>,
    on_uncaught: Option<UncaughtHook>,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    heap_limit: Option<usize>,
    expose_gc: bool,
    colors: Option<bool>,
}

impl RuntimeBuilder {
    /// The script's arguments, `Deno.args`. Default: none.
    pub fn args(mut self, args: Vec<String>) -> Self {
        self.args = args;
        self
    }

    /// The directory that relative paths given to [`Runtime::run_module`] start from, and until then the location.
    /// Default: the current directory of the process.
    pub fn base_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.base_dir = Some(directory.into());
        self
    }

    /// What `location` says, and what relative URLs given to `fetch` start from. Default: the main module's URL, once
    /// there is one.
    pub fn location(mut self, url: Url) -> Self {
        self.location = Some(url);
        self
    }

    /// What `crossOriginIsolated` says. Default: false.
    pub fn cross_origin_isolated(mut self, isolated: bool) -> Self {
        self.cross_origin_isolated = isolated;
        self
    }

    /// What `isSecureContext` says. Where it is false, what Web IDL calls `[SecureContext]` is not there: the codecs of
    /// WebCodecs, and WebGPU. Default: true.
    pub fn secure_context(mut self, secure: bool) -> Self {
        self.insecure = !secure;
        self
    }

    /// Answers for URLs in imports and in `fetch`, before the runtime's own treatment of them.
    pub fn url_mapper(mut self, mapper: Rc<dyn UrlMapper>) -> Self {
        self.mapper = Some(mapper);
        self
    }

    /// The codecs, the files and the caps of the media interfaces; `files` are those of `Reelcore.Demuxer` and
    /// `Reelcore.Muxer` alone, not those of `Deno`. Default: the codecs that are compiled in, every file that the process
    /// may use ([`AllFiles`](webcodecs::AllFiles)), and the default caps. Their `secure_context` is overridden by
    /// [`secure_context`](Self::secure_context). What all runtimes of a process share is set with
    /// [`Engine::init_global`](webcodecs::engine::Engine::init_global).
    pub fn media(mut self, options: webcodecs::Options) -> Self {
        self.media = Some(options);
        self
    }

    /// Adds an extension of the embedder's. It loads after the runtime's own ones: its JavaScript sees the web's
    /// interfaces on the global, though not yet `console`, `Deno`, `self` and `location`.
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Takes the console's output, which then goes nowhere else and has no colours.
    pub fn console(mut self, hook: ConsoleHook) -> Self {
        self.console = Some(hook);
        self
    }

    /// Takes each uncaught error and unhandled rejection, after the script's own listeners let it pass; the run goes
    /// on, as it does in a browser. Default: the first one ends the run with [`RuntimeError::Uncaught`].
    pub fn on_uncaught(mut self, hook: UncaughtHook) -> Self {
        self.on_uncaught = Some(hook);
        self
    }

    /// What `Deno.stdin` reads. Default: the process's own.
    pub fn stdin(mut self, file: File) -> Self {
        self.stdin = Some(file);
        self
    }

    /// Where the console and `Deno.stdout` write. Default: the process's own. Where it is a pipe whose reader has gone, the
    /// next line of the console ends the run with [`RuntimeError::Exit`] of 141, the code of a program that `SIGPIPE` ends.
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Where console errors and `Deno.stderr` write. Default: the process's own.
    pub fn stderr(mut self, file: File) -> Self {
        self.stderr = Some(file);
        self
    }

    /// The most that the V8 heap may hold, in bytes. Beyond it the run ends with [`RuntimeError::HeapLimit`]. Pixels
    /// and packets live outside this heap. Default: V8's own limit, at which V8 ends the process.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.heap_limit = Some(bytes);
        self
    }

    /// Whether scripts have `gc()`, a full garbage collection. Default: no.
    pub fn expose_gc(mut self, expose: bool) -> Self {
        self.expose_gc = expose;
        self
    }

    /// Whether the console colours its output. `None`, the default: where the stream is a terminal and the environment
    /// has no `NO_COLOR`.
    pub fn colors(mut self, colors: Option<bool>) -> Self {
        self.colors = colors;
        self
    }

    /// Makes the runtime: a V8 isolate on this thread, which must have entered a current-thread Tokio runtime
    /// ([`create_tokio_runtime`](crate::create_tokio_runtime)).
    ///
    /// # Errors
    /// [`RuntimeError::NoTokio`], [`RuntimeError::TokioThreads`], [`RuntimeError::CurrentDirectory`],
    /// [`RuntimeError::Path`] if the base directory is not absolute, and [`RuntimeError::Setup`] if an extension's JavaScript
    /// throws or there is no second handle of a file for output.
    pub fn build(self) -> Result<Runtime, RuntimeError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(RuntimeError::NoTokio);
        }
        check_tokio()?;
        let base_dir = match self.base_dir {
            Some(directory) => directory,
            None => std::env::current_dir().map_err(RuntimeError::CurrentDirectory)?,
        };
        let location_given = self.location.is_some();
        let location = match self.location {
            Some(url) => normalized(url),
            None => directory_url(&base_dir)?,
        };
        let state = Rc::new(RunState {
            stop: RefCell::new(None),
            signals: Arc::new(Signals::default()),
            heap_limit: self.heap_limit,
            location: RefCell::new(location),
            main_module: RefCell::new(None),
            console: self.console,
            redirected: [second_handle(&self.stdout)?, second_handle(&self.stderr)?],
            on_uncaught: self.on_uncaught,
        });
        let colors = match self.colors {
            Some(colors) => [colors; 2],
            None if state.console.is_some() => [false; 2],
            // A redirected stream is no terminal.
            None => {
                let [stdout, stderr] = ops::default_colors();
                [
                    stdout && self.stdout.is_none(),
                    stderr && self.stderr.is_none(),
                ]
            }
        };
        let options = StartOptions {
            args: self.args,
            build: Build::default(),
            colors,
            cross_origin_isolated: self.cross_origin_isolated,
            expose_gc: self.expose_gc,
            navigator: Navigator::default(),
            no_color: !colors[0],
            secure_context: !self.insecure,
            version: Version::default(),
        };

        let mut media = self.media.unwrap_or_else(extensions::default_media);
        media.secure_context = !self.insecure;
        let blobs = BlobStore::default_arc();
        let pipe = |file: Option<File>| file.map_or_else(StdioPipe::inherit, StdioPipe::file);
        let stdio = Stdio {
            stdin: pipe(self.stdin),
            stdout: pipe(self.stdout),
            stderr: pipe(self.stderr),
        };
        let mut js = JsRuntime::try_new(RuntimeOptions {
            module_loader: Some(Rc::new(Loader::new(self.mapper.clone(), blobs.clone()))),
            extensions: extensions::all(
                state.clone(),
                Mapper(self.mapper),
                blobs,
                stdio,
                media,
                self.extensions,
            ),
            create_params: self
                .heap_limit
                .map(|limit| v8::CreateParams::default().heap_limits(0, limit)),
            shared_array_buffer_store: Some(SharedArrayBufferStore::default()),
            compiled_wasm_module_store: Some(CompiledWasmModuleStore::default()),
            ..Default::default()
        })
        .map_err(|error| RuntimeError::Setup(error.to_string()))?;

        if self.heap_limit.is_some() {
            let isolate = js.v8_isolate().thread_safe_handle();
            let signals = state.signals.clone();
            js.add_near_heap_limit_callback(move |current, _initial| {
                signals.reach_heap_limit();
                signals.stop(isolate.clone());
                // Room for V8 to unwind in: without it, it would end the process here.
                current.saturating_mul(2)
            });
        }
        let hooks = Hooks::start(&mut js, &options)?;
        Ok(Runtime::new(js, state, hooks, base_dir, location_given))
    }
}

fn directory_url(directory: &Path) -> Result<Url, RuntimeError> {
    Url::from_directory_path(directory)
        .map(normalized)
        .map_err(|()| RuntimeError::Path {
            path: directory.to_owned(),
        })
}

/// For the console, which waits for a file that is full; the file itself goes to deno_io.
fn second_handle(file: &Option<File>) -> Result<Option<File>, RuntimeError> {
    file.as_ref()
        .map(File::try_clone)
        .transpose()
        .map_err(|error| RuntimeError::Setup(format!("no second handle of a file: {error}")))
}

/// What `start` of bootstrap.js takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartOptions {
    args: Vec<String>,
    build: Build,
    /// For stdout and stderr.
    colors: [bool; 2],
    cross_origin_isolated: bool,
    expose_gc: bool,
    navigator: Navigator,
    no_color: bool,
    secure_context: bool,
    version: Version,
}

/// `Deno.build`.
#[derive(Serialize)]
struct Build {
    target: String,
    arch: &'static str,
    os: &'static str,
    standalone: bool,
}

impl Default for Build {
    fn default() -> Self {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            os => os,
        };
        let vendor_and_system = match std::env::consts::OS {
            "macos" => "apple-darwin",
            "windows" => "pc-windows-msvc",
            "linux" => "unknown-linux-gnu",
            other => other,
        };
        Self {
            target: format!("{}-{vendor_and_system}", std::env::consts::ARCH),
            arch: std::env::consts::ARCH,
            os,
            standalone: false,
        }
    }
}

/// `Deno.version`.
#[derive(Serialize)]
struct Version {
    reelcore: &'static str,
    v8: String,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            reelcore: env!("CARGO_PKG_VERSION"),
            v8: v8::V8::get_version().to_owned(),
        }
    }
}

/// `navigator`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Navigator {
    hardware_concurrency: usize,
    user_agent: &'static str,
    languages: [&'static str; 1],
}

impl Default for Navigator {
    fn default() -> Self {
        Self {
            hardware_concurrency: std::thread::available_parallelism().map_or(1, usize::from),
            user_agent: concat!("Reelcore/", env!("CARGO_PKG_VERSION")),
            languages: ["en-US"],
        }
    }
}
