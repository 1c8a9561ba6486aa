//! The extensions that make up the runtime, in the order in which they load.

use std::rc::Rc;
use std::sync::Arc;

use deno_core::{Extension, OpDecl, OpState};
use deno_permissions::{PermissionsContainer, RuntimePermissionDescriptorParser};
use deno_web::{BlobStoreTrait, InMemoryBroadcastChannel};

use crate::embedded::embed;
use crate::fetch::{Mapper, op_runtime_fetch};
use crate::ops;
use crate::state::RunState;

deno_core::extension!(
    reelcore_runtime,
    deps = [deno_web, deno_fs, deno_io],
    ops = [
        op_runtime_fetch,
        ops::op_runtime_console_size,
        ops::op_runtime_define_lazy,
        ops::op_runtime_env_get,
        ops::op_runtime_env_to_object,
        ops::op_runtime_exit,
        ops::op_runtime_gc,
        ops::op_runtime_location,
        ops::op_runtime_memory_usage,
        ops::op_runtime_print,
    ],
    esm_entry_point = "ext:reelcore_runtime/bootstrap.js",
    esm = [dir "../../js/runtime", "bootstrap.js"],
    lazy_loaded_js = [dir "../../js/runtime", "body.js", "canvas.js", "errors.js", "fetch.js", "headers.js", "navigator.js", "request.js", "wasm.js"],
    options = {
        run_state: Rc<RunState>,
        mapper: Mapper,
    },
    middleware = replace_dispatch,
    state = |state, options| put_state(state, options.run_state, options.mapper),
);

fn replace_dispatch(op: OpDecl) -> OpDecl {
    match op.name {
        "op_dispatch_exception" => ops::op_dispatch_exception(),
        _ => op,
    }
}

fn put_state(state: &mut OpState, run_state: Rc<RunState>, mapper: Mapper) {
    let location = run_state.location.borrow().clone();
    // A script has the rights of its process, and nothing ever asks the user.
    state.put(PermissionsContainer::allow_all(Arc::new(
        RuntimePermissionDescriptorParser::new(sys_traits::impls::RealSys),
    )));
    state.put(deno_web::Location(location));
    state.put(run_state);
    state.put(mapper);
}

/// What the media extension is started with unless the embedder says otherwise.
pub(crate) fn default_media() -> webcodecs::Options {
    // Scripts of this runtime may read every file that the process may read.
    webcodecs::Options {
        files: Some(Arc::new(webcodecs::AllFiles)),
        ..Default::default()
    }
}

/// Every extension of a runtime; `media` and `extra` are the embedder's.
pub(crate) fn all(
    run_state: Rc<RunState>,
    mapper: Mapper,
    blobs: Arc<dyn BlobStoreTrait>,
    stdio: deno_io::Stdio,
    media: webcodecs::Options,
    extra: Vec<Extension>,
) -> Vec<Extension> {
    let mut extensions = vec![
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(blobs, None, false, InMemoryBroadcastChannel::default()),
        deno_io::deno_io::init(Some(stdio)),
        deno_fs::deno_fs::init(std::sync::Arc::new(deno_fs::RealFs)),
        reelcore_runtime::init(run_state, mapper),
    ];
    #[cfg(feature = "gpu")]
    extensions.extend([
        deno_webgpu::deno_webgpu::init(),
        deno_image::deno_image::init(),
        deno_canvas::deno_canvas::init(),
    ]);
    // What this project exists for. It needs the globals of the runtime's own extension.
    extensions.push(webcodecs::init_with(media));
    extensions.extend(extra);
    extensions.iter_mut().for_each(embed);
    extensions
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use deno_web::BlobStore;

    use super::*;
    use crate::embedded::read_at_start;
    use crate::state::Signals;

    #[test]
    fn a_binary_on_another_machine_has_all_its_scripts() {
        let state = Rc::new(RunState {
            stop: RefCell::new(None),
            signals: Arc::new(Signals::default()),
            heap_limit: None,
            location: RefCell::new(deno_core::url::Url::parse("file:///a.js").expect("a URL")),
            main_module: RefCell::new(None),
            console: None,
            redirected: [None, None],
            on_uncaught: None,
        });
        let blobs = BlobStore::default_arc();
        let mapper = Mapper(Default::default());
        let all = all(
            state,
            mapper,
            blobs,
            deno_io::Stdio::default(),
            default_media(),
            Vec::new(),
        );
        assert!(all.len() > 5);
        for mut extension in all {
            let read = read_at_start(&mut extension);
            // Builds for development read this one's from the source tree; in others the compiler does.
            let later = extension.name == "webcodecs" && cfg!(debug_assertions);
            assert!(
                read.is_empty() || later,
                "{} is read when the runtime starts: {read:?}",
                extension.name
            );
        }
    }
}
