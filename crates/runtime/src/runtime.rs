//! A runtime: one V8 isolate with a worker-like global scope, and the ways to run JavaScript in it.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use deno_core::url::Url;
use deno_core::{JsRuntime, PollEventLoopOptions, serde_v8, v8};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::builder::{RuntimeBuilder, StartOptions};
use crate::error::RuntimeError;
use crate::state::{RunState, Terminator};

/// Starts V8 for the process. [`RuntimeBuilder::build`] does it when it must; a program that makes runtimes on several
/// threads calls this on its main thread first, since V8 wants to start on a parent of every thread that uses it.
/// Calling it again does nothing.
pub fn init_platform() {
    JsRuntime::init_platform(None);
}

/// Makes the Tokio runtime that a [`Runtime`] needs: of the current-thread kind, with timers and I/O.
///
/// # Errors
/// When the operating system gives it no event queue.
pub fn create_tokio_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Whether the Tokio runtime that is entered here, if any, keeps tasks on their thread. deno_core, which gives it what must not
/// leave this one, looks at that in builds with debug assertions only.
pub(crate) fn check_tokio() -> Result<(), RuntimeError> {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() != RuntimeFlavor::CurrentThread => {
            Err(RuntimeError::TokioThreads)
        }
        _ => Ok(()),
    }
}

/// `url` as the URL parser writes it. `Url::from_file_path` keeps the `..` of a path, which modules would be told apart by.
pub(crate) fn normalized(url: Url) -> Url {
    Url::parse(url.as_str()).unwrap_or(url)
}

/// A V8 isolate with a worker-like global scope, files and arguments through `Deno`, and the media interfaces.
///
/// It stays on the thread that made it. Two of them on one thread must be dropped in the reverse order of their making,
/// as V8 wants it; one per thread is the usual way.
pub struct Runtime {
    // Before `js`: the handles must go before their isolate.
    hooks: Hooks,
    js: JsRuntime,
    state: Rc<RunState>,
    base_dir: PathBuf,
    location_given: bool,
}

/// The functions of bootstrap.js that Rust calls.
pub(crate) struct Hooks {
    report_exception: v8::Global<v8::Function>,
    run_module: v8::Global<v8::Function>,
}

impl Hooks {
    /// Takes the hooks off the global and finishes the global scope.
    pub(crate) fn start(js: &mut JsRuntime, options: &StartOptions) -> Result<Self, RuntimeError> {
        let setup = |error: &dyn std::fmt::Display| RuntimeError::Setup(error.to_string());
        let hooks = js
            .execute_script(
                "ext:reelcore_runtime/start.js",
                "(() => {
                    const key = Symbol.for('reelcore.runtime');
                    const hooks = globalThis[key];
                    delete globalThis[key];
                    return hooks;
                })()",
            )
            .map_err(|error| setup(&error))?;
        deno_core::scope!(scope, js);
        let hooks = v8::Local::new(scope, hooks);
        let options = serde_v8::to_v8(scope, options).map_err(|error| setup(&error))?;
        let (Some(start), Some(report_exception), Some(run_module)) = (
            hook(scope, hooks, "start"),
            hook(scope, hooks, "reportException"),
            hook(scope, hooks, "runModule"),
        ) else {
            return Err(RuntimeError::Setup(
                "bootstrap.js did not install its hooks".to_owned(),
            ));
        };
        let this = Self {
            report_exception: v8::Global::new(scope, report_exception),
            run_module: v8::Global::new(scope, run_module),
        };
        let undefined = v8::undefined(scope).into();
        v8::tc_scope!(let scope, scope);
        if start.call(scope, undefined, &[options]).is_none()
            && let Some(exception) = scope.exception()
        {
            let error = deno_core::error::JsError::from_v8_exception(scope, exception);
            return Err(RuntimeError::Setup(error.to_string()));
        }
        Ok(this)
    }
}

fn hook<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    hooks: v8::Local<'s, v8::Value>,
    name: &str,
) -> Option<v8::Local<'s, v8::Function>> {
    let name = v8::String::new(scope, name)?;
    let function = hooks.to_object(scope)?.get(scope, name.into())?;
    function.try_into().ok()
}

impl Runtime {
    /// Starts the description of a runtime.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    pub(crate) fn new(
        js: JsRuntime,
        state: Rc<RunState>,
        hooks: Hooks,
        base_dir: PathBuf,
        location_given: bool,
    ) -> Self {
        Self {
            hooks,
            js,
            state,
            base_dir,
            location_given,
        }
    }

    /// Runs the ES module in the file at `path` (relative to the base directory) and the event loop, until nothing is
    /// left to do.
    ///
    /// # Errors
    /// [`RuntimeError::Module`] if it or an import of it can not be loaded; else as
    /// [`run_event_loop`](Self::run_event_loop).
    pub async fn run_module(&mut self, path: impl AsRef<Path>) -> Result<(), RuntimeError> {
        let path = self.base_dir.join(path);
        let url = Url::from_file_path(&path).map_err(|()| RuntimeError::Path { path })?;
        self.run_module_url(&url).await
    }

    /// Runs the ES module at `url` and the event loop, until nothing is left to do. The first module that runs is the
    /// main one: `import.meta.main` is true in it, and it gives the location unless the builder did.
    ///
    /// # Errors
    /// As [`run_module`](Self::run_module).
    pub async fn run_module_url(&mut self, url: &Url) -> Result<(), RuntimeError> {
        self.check()?;
        let url = &normalized(url.clone());
        let is_main = self.state.main_module.borrow().is_none();
        if is_main {
            *self.state.main_module.borrow_mut() = Some(url.clone());
            if !self.location_given {
                *self.state.location.borrow_mut() = url.clone();
                let op_state = self.js.op_state();
                op_state.borrow_mut().put(deno_web::Location(url.clone()));
            }
        }
        let loaded = {
            let state = self.state.clone();
            let js = &mut self.js;
            until_stopped(&state, async move {
                if is_main {
                    js.load_main_es_module(url).await
                } else {
                    js.load_side_es_module(url).await
                }
            })
            .await
        };
        self.settle(loaded.map(|result| result.map(|_id| ()).map_err(RuntimeError::from_core)))?;

        // The module is instantiated: importing it under its own URL evaluates it, and gives the promise.
        let importer = self
            .js
            .execute_script(url.to_string(), "(specifier) => import(specifier)")
            .map_err(|error| RuntimeError::Setup(error.to_string()))?;
        {
            let _running = self.state.signals.run();
            let run_module = self.hooks.run_module.clone();
            let js = &mut self.js;
            deno_core::scope!(scope, js);
            let run_module = v8::Local::new(scope, run_module);
            let importer = v8::Local::new(scope, importer);
            let undefined = v8::undefined(scope).into();
            if let Some(specifier) = v8::String::new(scope, url.as_str()) {
                // It throws only when the run is being stopped, which the event loop finds.
                run_module.call(scope, undefined, &[importer, specifier.into()]);
            }
        }
        self.run_event_loop().await
    }

    /// Runs `source` as a classic script in the global scope: its top-level declarations are there for later scripts.
    /// `name` is what stacks call it, a URL as a rule, and what its `import()` starts from. Microtasks run afterwards;
    /// timers and I/O wait for [`run_event_loop`](Self::run_event_loop).
    ///
    /// An error that it throws goes to `error` listeners first
    /// (https://html.spec.whatwg.org/#run-a-classic-script, step 9.2).
    ///
    /// # Errors
    /// [`RuntimeError::Uncaught`] if it throws or does not parse and no listener takes the error (and no
    /// [`on_uncaught`](RuntimeBuilder::on_uncaught) hook does); the reasons of a stop.
    pub fn eval_script(&mut self, name: &str, source: impl AsRef<str>) -> Result<(), RuntimeError> {
        self.check()?;
        {
            let _running = self.state.signals.run();
            let report_exception = self.hooks.report_exception.clone();
            let js = &mut self.js;
            deno_core::scope!(scope, js);
            v8::tc_scope!(let scope, scope);
            let too_long = || RuntimeError::Module(format!("\"{name}\" is too long for V8"));
            let source = v8::String::new(scope, source.as_ref()).ok_or_else(too_long)?;
            let resource_name = v8::String::new(scope, name).ok_or_else(too_long)?;
            let origin = v8::ScriptOrigin::new(
                scope,
                resource_name.into(),
                0,
                0,
                false,
                0,
                None,
                false,
                false,
                false,
                None,
            );
            let result = v8::Script::compile(scope, source, Some(&origin))
                .and_then(|script| script.run(scope));
            if result.is_none()
                && !scope.has_terminated()
                && let Some(exception) = scope.exception()
            {
                scope.reset();
                let report_exception = v8::Local::new(scope, report_exception);
                let undefined = v8::undefined(scope).into();
                report_exception.call(scope, undefined, &[exception]);
            }
            if !scope.is_execution_terminating() {
                scope.perform_microtask_checkpoint();
            }
        }
        self.settle(Ok(Ok(())))
    }

    /// Runs timers, I/O and what they lead to, until nothing is left to do.
    ///
    /// # Errors
    /// [`RuntimeError::Uncaught`], [`RuntimeError::Exit`], [`RuntimeError::Terminated`],
    /// [`RuntimeError::HeapLimit`] or [`RuntimeError::TokioThreads`].
    pub async fn run_event_loop(&mut self) -> Result<(), RuntimeError> {
        self.check()?;
        let state = self.state.clone();
        let result = until_stopped(
            &state,
            self.js.run_event_loop(PollEventLoopOptions::default()),
        )
        .await;
        self.settle(result.map(|result| result.map_err(RuntimeError::from_core)))
    }

    /// A handle that stops this runtime from any thread.
    pub fn terminator(&mut self) -> Terminator {
        Terminator::new(self.js.v8_isolate().thread_safe_handle(), &self.state)
    }

    /// The code given to `Deno.exit`, once it was called.
    pub fn exit_code(&self) -> Option<i32> {
        match *self.state.stop.borrow() {
            Some(crate::state::Stop::Exit(code)) => Some(code),
            _ => None,
        }
    }

    /// What `location` says, and what relative URLs start from.
    pub fn location(&self) -> Url {
        self.state.location.borrow().clone()
    }

    /// The deno_core runtime underneath, for whatever this type does not do.
    pub fn js_runtime(&mut self) -> &mut JsRuntime {
        &mut self.js
    }

    /// Fails if the run has been stopped for good, or can not go on here.
    fn check(&self) -> Result<(), RuntimeError> {
        check_tokio()?;
        self.state.take_stop().map_or(Ok(()), Err)
    }

    /// The outcome of a run: why it was stopped, if it was, before what came of it.
    fn settle(
        &mut self,
        result: Result<Result<(), RuntimeError>, Stopped>,
    ) -> Result<(), RuntimeError> {
        let outcome = match self.state.take_stop() {
            Some(error) => Err(error),
            None => result.unwrap_or(Ok(())),
        };
        if let Err(error) = &outcome
            && RunState::may_resume(error)
        {
            self.js.v8_isolate().cancel_terminate_execution();
        }
        outcome
    }
}

/// The future was left because the run has to end.
struct Stopped;

/// Polls `future`, and leaves it as soon as the run has to stop.
async fn until_stopped<T>(state: &RunState, future: impl Future<Output = T>) -> Result<T, Stopped> {
    let mut future = pin!(future);
    poll_fn(|context| {
        state.signals.waker.register(context.waker());
        let _running = state.signals.run();
        if state.must_stop() {
            return Poll::Ready(Err(Stopped));
        }
        let result = future.as_mut().poll(context);
        match result {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending if state.must_stop() => Poll::Ready(Err(Stopped)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
