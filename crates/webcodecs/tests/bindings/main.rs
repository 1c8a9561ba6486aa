//! The bindings from JavaScript's side: a fixture interface with a member for each kind of type and conversion
//! (`fixture.webidl`), and the data classes.

mod echo;
#[rustfmt::skip]
mod generated;
mod interfaces;

use std::borrow::Cow;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

use deno_core::{
    Extension, JsRuntime, JsRuntimeForSnapshot, OpState, PollEventLoopOptions, RuntimeOptions,
    V8TaskSpawner, op2, v8,
};
use deno_web::{BlobStore, InMemoryBroadcastChannel};

deno_core::extension!(
    bindings_fixture,
    deps = [webcodecs],
    ops = [op_fixture_gc, op_fixture_event_loop],
    esm_entry_point = "ext:bindings_fixture/bootstrap.js",
    esm = [dir "tests/bindings", "bootstrap.js", "generated.js"],
);

/// A full garbage collection, from the event loop: nothing on the stack keeps objects alive.
#[op2]
async fn op_fixture_gc(state: Rc<RefCell<OpState>>) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let spawner = state.borrow().borrow::<V8TaskSpawner>().clone();
    spawner.spawn(move |scope| {
        scope.low_memory_notification();
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

/// Resolves in a later turn of the event loop.
#[op2]
async fn op_fixture_event_loop() {
    tokio::task::yield_now().await;
}

fn extensions() -> Vec<Extension> {
    let blobs = Arc::new(BlobStore::default());
    let mut fixture = bindings_fixture::init();
    fixture.objects = Cow::Owned(generated::objects());
    vec![
        deno_webidl::deno_webidl::init(),
        deno_web::deno_web::init(blobs, None, false, InMemoryBroadcastChannel::default()),
        webcodecs::init(),
        fixture,
    ]
}

fn runtime(startup_snapshot: Option<&'static [u8]>) -> JsRuntime {
    JsRuntime::new(RuntimeOptions {
        extensions: extensions(),
        startup_snapshot,
        ..RuntimeOptions::default()
    })
}

/// The event loop of the thread of V8, which looks for it whenever a JsRuntime is made.
fn tokio_runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a tokio runtime")
    })
}

/// Runs a script's body as an async function, to the end of the event loop.
fn run_in(mut runtime: JsRuntime, script: &str) {
    let source = format!("(async () => {{\n{script}\n}})()");
    let result = tokio_runtime().block_on(async {
        let promise = runtime
            .execute_script("test.js", source)
            .map_err(|error| error.to_string())?;
        let resolve = runtime.resolve(promise);
        runtime
            .with_event_loop_promise(resolve, PollEventLoopOptions::default())
            .await
            .map(drop)
            .map_err(|error| error.to_string())?;
        runtime
            .run_event_loop(PollEventLoopOptions::default())
            .await
            .map_err(|error| error.to_string())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn run(script: &str) {
    run_in(runtime(None), script);
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs a test on the thread that V8 was started on: V8 allows no others than that and its children.
fn on_v8_thread(test: impl FnOnce() + Send + 'static) {
    static JOBS: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        thread::spawn(move || {
            let _entered = tokio_runtime().enter();
            JsRuntime::init_platform(None);
            receiver.into_iter().for_each(|job| job());
        });
        Mutex::new(sender)
    });
    let (sender, receiver) = mpsc::channel();
    let job = move || drop(sender.send(catch_unwind(AssertUnwindSafe(test))));
    jobs.lock()
        .expect("the queue")
        .send(Box::new(job))
        .expect("the thread of V8");
    if let Err(panic) = receiver.recv().expect("a result") {
        resume_unwind(panic);
    }
}

macro_rules! scripts {
    ($($name:ident $file:literal;)*) => {$(
        #[test]
        fn $name() {
            on_v8_thread(|| run(include_str!(concat!("js/", $file))));
        }
    )*};
}

scripts! {
    primitive_types_are_converted_as_web_idl_says "primitives.js";
    strings_enums_and_objects_are_converted_as_web_idl_says "values.js";
    dictionaries_are_read_in_order_and_name_what_is_wrong "dictionaries.js";
    sequences_follow_the_iterator_protocol "sequences.js";
    buffer_sources_are_checked_and_transferred "buffers.js";
    unions_and_overloads_pick_the_right_type "overloads.js";
    promise_operations_reject_and_never_throw "promises.js";
    interface_objects_look_as_web_idl_says "interfaces.js";
    constructors_need_new_and_honour_new_target "constructors.js";
    event_handlers_and_targets_behave "events.js";
    callbacks_are_called_and_their_exceptions_reported "callbacks.js";
    exceptions_are_the_realms_own "exceptions.js";
    encoded_chunks_follow_the_specification "chunks.js";
    video_color_spaces_follow_the_specification "color_space.js";
}

#[cfg(feature = "gpu")]
#[test]
fn a_host_with_webgpu_needs_no_canvases() {
    on_v8_thread(|| {
        let mut extensions = extensions();
        // Behind deno_web, before webcodecs.
        extensions.insert(2, deno_webgpu::deno_webgpu::init());
        extensions.insert(3, deno_image::deno_image::init());
        let runtime = JsRuntime::new(RuntimeOptions {
            extensions,
            ..RuntimeOptions::default()
        });
        run_in(runtime, include_str!("js/host_webgpu.js"));
    });
}

#[test]
fn garbage_is_collected_with_its_callbacks() {
    on_v8_thread(|| {
        let before = echo::alive();
        run(include_str!("js/garbage.js"));
        assert_eq!(echo::alive(), before, "an object survived its runtime");
    });
}

#[test]
fn bindings_work_from_a_startup_snapshot() {
    on_v8_thread(|| {
        let snapshot = JsRuntimeForSnapshot::new(RuntimeOptions {
            extensions: extensions(),
            ..RuntimeOptions::default()
        });
        let snapshot: &'static [u8] = Box::leak(snapshot.snapshot());
        for script in [
            include_str!("js/interfaces.js"),
            include_str!("js/exceptions.js"),
            include_str!("js/promises.js"),
            include_str!("js/events.js"),
            include_str!("js/constructors.js"),
            include_str!("js/chunks.js"),
        ] {
            run_in(runtime(Some(snapshot)), script);
        }
    });
}

#[test]
fn several_runtimes_on_one_thread_do_not_mix() {
    on_v8_thread(|| {
        for _ in 0..2 {
            run(include_str!("js/exceptions.js"));
            run(include_str!("js/events.js"));
        }
    });
}

#[test]
fn external_memory_is_given_back() {
    on_v8_thread(|| {
        let mut runtime = runtime(None);
        deno_core::scope!(scope, runtime);
        let before = scope.adjust_amount_of_external_allocated_memory(0);
        let memory = webcodecs::webidl::ExternalMemory::new(scope, 1 << 20);
        assert_eq!(
            scope.adjust_amount_of_external_allocated_memory(0),
            before + (1 << 20)
        );
        memory.release(scope);
        memory.release(scope);
        assert_eq!(scope.adjust_amount_of_external_allocated_memory(0), before);
        drop(memory);
        drop(webcodecs::webidl::ExternalMemory::new(scope, 1 << 20));
        // What was dropped is accounted for with the next change.
        let memory = webcodecs::webidl::ExternalMemory::new(scope, 5);
        assert_eq!(
            scope.adjust_amount_of_external_allocated_memory(0),
            before + 5
        );
        memory.release(scope);
        assert_eq!(memory.bytes(), 0);
        let _ = v8::undefined(scope);
    });
}
