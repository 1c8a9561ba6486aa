//! The ops of the runtime's own extension: what its JavaScript can not do by itself.

use std::io::{ErrorKind, IsTerminal, Write};
use std::rc::Rc;

use deno_core::error::JsError;
use deno_core::{OpState, op2, v8};
use deno_error::JsErrorBox;
use serde::Serialize;

use crate::ConsoleLevel;
use crate::error::Uncaught;
use crate::ready::{self, Waitable};
use crate::state::RunState;

/// Defines each name of `names` on `target` as a data property whose value is `loader(name)`, called when the property
/// is first read. It is an ordinary data property for every script: V8 makes the value before anybody can see that it
/// is not there yet.
#[op2(nofast)]
pub(crate) fn op_runtime_define_lazy<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    target: v8::Local<'s, v8::Object>,
    names: v8::Local<'s, v8::Array>,
    loader: v8::Local<'s, v8::Function>,
    enumerable: bool,
) -> Result<(), JsErrorBox> {
    for index in 0..names.length() {
        let name = names
            .get_index(scope, index)
            .and_then(|name| v8::Local::<v8::Name>::try_from(name).ok())
            .ok_or_else(|| JsErrorBox::type_error("expected an array of names"))?;
        let attributes = if enumerable {
            v8::PropertyAttribute::NONE
        } else {
            v8::PropertyAttribute::DONT_ENUM
        };
        target
            .set_lazy_data_property_with_data(
                scope,
                name,
                load_lazy,
                loader.into(),
                attributes,
                v8::SideEffectType::HasSideEffect,
                v8::SideEffectType::HasSideEffect,
            )
            .ok_or_else(|| JsErrorBox::type_error("the property can not be defined"))?;
    }
    Ok(())
}

fn load_lazy(
    scope: &mut v8::PinScope,
    name: v8::Local<v8::Name>,
    args: v8::PropertyCallbackArguments,
    mut value: v8::ReturnValue<v8::Value>,
) {
    let Ok(loader) = v8::Local::<v8::Function>::try_from(args.data()) else {
        return;
    };
    let undefined = v8::undefined(scope).into();
    // Where the loader throws, the exception is pending and the read throws it.
    if let Some(loaded) = loader.call(scope, undefined, &[name.into()]) {
        value.set(loaded);
    }
}

/// Takes the place of deno_core's op: every uncaught error, whatever brought it, comes through here.
#[op2(nofast, reentrant)]
pub(crate) fn op_dispatch_exception<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    exception: v8::Local<'s, v8::Value>,
    promise: bool,
) {
    let state = run_state(scope);
    let uncaught = Uncaught {
        error: JsError::from_v8_exception(scope, exception),
        in_promise: promise,
    };
    if state.report_uncaught(uncaught) {
        scope.terminate_execution();
    }
}

fn run_state(scope: &v8::PinScope<'_, '_>) -> Rc<RunState> {
    let op_state = deno_core::JsRuntime::op_state_from(scope);
    let op_state = op_state.borrow();
    op_state.borrow::<Rc<RunState>>().clone()
}

/// `Deno.exit`: ends the run, not the process.
#[op2(nofast)]
pub(crate) fn op_runtime_exit(scope: &mut v8::PinScope<'_, '_>, #[smi] code: i32) {
    let state = run_state(scope);
    state.exit(code);
    state.signals.stop(scope.thread_safe_handle());
}

/// A full garbage collection, for `gc()`.
#[op2(nofast, reentrant)]
pub(crate) fn op_runtime_gc(isolate: &mut v8::Isolate) {
    isolate.low_memory_notification();
}

/// The URL of the location, or of the main module.
#[op2]
#[string]
pub(crate) fn op_runtime_location(state: &mut OpState, main_module: bool) -> String {
    let state = state.borrow::<Rc<RunState>>();
    let location = state.location.borrow();
    if main_module && let Some(url) = state.main_module.borrow().as_ref() {
        return url.to_string();
    }
    location.to_string()
}

/// One call of the console. `level` is 0 for debug, 1 for log and info, 2 for warnings, 3 and 4 for errors and traces.
/// Returns whether the run is to end, as nobody reads the output any more (`reelcore run x.js | head`). Of errors nobody
/// need hear.
#[op2(fast)]
pub(crate) fn op_runtime_print(
    state: &mut OpState,
    #[string] message: &str,
    #[smi] level: i32,
) -> Result<bool, JsErrorBox> {
    let run = state.borrow::<Rc<RunState>>().clone();
    if let Some(hook) = &run.console {
        let level = match level {
            ..=0 => ConsoleLevel::Debug,
            1 => ConsoleLevel::Info,
            2 => ConsoleLevel::Warning,
            _ => ConsoleLevel::Error,
        };
        hook(level, message);
        return Ok(false);
    }
    let stream = if level > 1 { 2 } else { 1 };
    // It throws where the script has closed the stream.
    deno_io::fs::FileResource::get_file(state, stream).map_err(JsErrorBox::from_err)?;
    let [stdout, stderr] = &run.redirected;
    let bytes = message.as_bytes();
    let stopped = || run.must_stop();
    let written = match (stream, stdout, stderr) {
        (1, Some(file), _) | (2, _, Some(file)) => write_all(file, bytes, &stopped),
        (1, ..) => write_all(std::io::stdout().lock(), bytes, &stopped),
        _ => write_all(std::io::stderr().lock(), bytes, &stopped),
    };
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(stream == 1),
        result => result.map(|()| false).map_err(JsErrorBox::from_err),
    }
}

/// Writes all of `rest`, also where the file does not block, as another process that has it too may have decided, and is full.
pub(crate) fn write_all(
    mut file: impl Write + Waitable,
    mut rest: &[u8],
    stopped: &dyn Fn() -> bool,
) -> std::io::Result<()> {
    loop {
        let written = match rest {
            [] => file.flush().map(|()| None),
            rest => file.write(rest).map(Some),
        };
        match written {
            Ok(None) => return Ok(()),
            Ok(Some(0)) => return Err(ErrorKind::WriteZero.into()),
            Ok(Some(count)) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // What was still to be said is lost where the run is stopped, as it is where a write blocks.
                while !ready::writable(&file)? {
                    if stopped() {
                        return Ok(());
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// An environment variable, or null.
#[op2]
#[string]
pub(crate) fn op_runtime_env_get(#[string] name: String) -> Option<String> {
    // `var_os` may panic on these.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Every environment variable.
#[op2]
#[serde]
pub(crate) fn op_runtime_env_to_object() -> std::collections::BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect()
}

/// `Deno.memoryUsage()`, in bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemoryUsage {
    rss: usize,
    heap_total: usize,
    heap_used: usize,
    external: usize,
}

/// Memory of the process and of the isolate.
#[op2]
#[serde]
pub(crate) fn op_runtime_memory_usage(isolate: &mut v8::Isolate) -> MemoryUsage {
    let heap = isolate.get_heap_statistics();
    MemoryUsage {
        rss: memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem),
        heap_total: heap.total_heap_size(),
        heap_used: heap.used_heap_size(),
        external: heap.external_memory(),
    }
}

/// `Deno.consoleSize()`, in characters.
#[derive(Serialize)]
pub(crate) struct ConsoleSize {
    columns: u16,
    rows: u16,
}

/// The size of the terminal that the process writes to.
#[op2]
#[serde]
pub(crate) fn op_runtime_console_size() -> Result<ConsoleSize, JsErrorBox> {
    terminal_size::terminal_size()
        .map(|(columns, rows)| ConsoleSize {
            columns: columns.0,
            rows: rows.0,
        })
        .ok_or_else(|| {
            JsErrorBox::new(
                "NotSupported",
                "the size of the console is unknown: the output is not a terminal",
            )
        })
}

/// Whether colours suit stdout and stderr, when the embedder leaves the choice.
pub(crate) fn default_colors() -> [bool; 2] {
    // https://no-color.org: set and not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    [
        !no_color && std::io::stdout().is_terminal(),
        !no_color && std::io::stderr().is_terminal(),
    ]
}
