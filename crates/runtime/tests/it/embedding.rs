//! The library: where an embedder may make and run a runtime, and what the global is then.

use std::path::Path;

use deno_core::url::Url;
use reelcore_runtime::webcodecs::Options;
use reelcore_runtime::{Runtime, RuntimeError};

use crate::library::{logged, texts, with_tokio};

fn of_several_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("Tokio starts")
}

#[test]
fn a_tokio_runtime_of_several_threads_is_refused_where_a_runtime_is_made_and_where_it_is_run() {
    let (made, run, waited) = with_tokio(|_| {
        let mut runtime = Runtime::builder().build().expect("it builds");
        let several = of_several_threads();
        let _entered = several.enter();
        let made = Runtime::builder().build().map(|_| ());
        let run = runtime.eval_script("x.js", "1");
        let waited = several.block_on(runtime.run_event_loop());
        (made, run, waited)
    });
    for result in [made, run, waited] {
        assert!(
            matches!(result, Err(RuntimeError::TokioThreads)),
            "{result:?}"
        );
    }
}

#[test]
fn a_codec_is_refused_where_a_host_runs_scripts_in_a_tokio_runtime_of_several_threads() {
    let message = with_tokio(|_| {
        let mut runtime = Runtime::builder().build().expect("it builds");
        let several = of_several_threads();
        let _entered = several.enter();
        // As a host does that has a JsRuntime and no Runtime.
        let result = runtime
            .js_runtime()
            .execute_script("x.js", "new VideoDecoder({ output() {}, error() {} })");
        result.map(|_| ()).map_err(|error| error.to_string())
    });
    let message = message.expect_err("it is refused");
    assert!(
        message.contains("TypeError") && message.contains("a Tokio runtime of several threads"),
        "{message}"
    );
}

#[test]
fn what_needs_a_secure_context_is_there_in_those_alone() {
    const SOURCE: &str = "
        const secure = ['AudioDecoder', 'AudioEncoder', 'VideoDecoder', 'VideoEncoder', 'GPU', 'GPUDevice', 'GPUBufferUsage'];
        const any = ['AudioData', 'EncodedVideoChunk', 'VideoFrame', 'VideoColorSpace', 'WorkerNavigator'];
        const there = (names) => names.filter((name) => name in globalThis).length;
        console.log(isSecureContext, there(secure), 'gpu' in navigator, there(any));";
    let lines = with_tokio(|_| {
        [true, false].map(|secure| {
            let (builder, lines) = logged();
            // What the media interfaces are given does not say otherwise.
            let media = Options {
                secure_context: !secure,
                ..Options::default()
            };
            let mut runtime = builder
                .media(media)
                .secure_context(secure)
                .build()
                .expect("it builds");
            runtime.eval_script("x.js", SOURCE).expect("it runs");
            texts(&lines).join("")
        })
    });
    let gpu = cfg!(feature = "gpu");
    let secure = if gpu { 7 } else { 4 };
    assert_eq!(
        lines,
        [
            format!("true {secure} {gpu} 5"),
            "false 0 false 5".to_owned()
        ]
    );
}

/// A folder with a module that says where it is.
fn folder() -> tempfile::TempDir {
    const SOURCE: &str = "
        console.log(Deno.mainModule === import.meta.url, location.href === import.meta.url, location === location);
        console.log(import.meta.url);";
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    std::fs::write(folder.path().join("x.js"), SOURCE).expect("it is written");
    folder
}

fn run_module(folder: &Path, base: &str, path: &str) -> Vec<String> {
    let (base, path) = (folder.join(base), path.to_owned());
    with_tokio(move |tokio| {
        let (builder, lines) = logged();
        let mut runtime = builder.base_dir(base).build().expect("it builds");
        assert!(
            !runtime.location().as_str().contains(".."),
            "{}",
            runtime.location()
        );
        tokio.block_on(runtime.run_module(path)).expect("it runs");
        texts(&lines)
    })
}

#[test]
fn a_path_with_dots_gives_the_module_and_the_location_one_url() {
    let folder = folder();
    let url = Url::from_file_path(folder.path().join("x.js")).expect("it is absolute");
    for (base, path) in [
        ("sub", "../x.js"),
        ("sub/..", "x.js"),
        ("", "./sub/.././x.js"),
    ] {
        assert_eq!(
            run_module(folder.path(), base, path),
            ["true true true", url.as_str()],
            "{base} {path}"
        );
    }
}

#[test]
fn a_location_with_a_user_is_one_object_without_the_user() {
    let lines = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder
            .location(Url::parse("https://user:word@web.test/a/../b").expect("a URL"))
            .build()
            .expect("it builds");
        runtime
            .eval_script("x.js", "console.log(location === location, location.href)")
            .expect("it runs");
        texts(&lines)
    });
    assert_eq!(lines, ["true https://web.test/b"]);
}

/// As many bytes as V8 knows of outside of its heap.
#[cfg(feature = "gpu")]
fn external_memory(runtime: &mut Runtime) -> i64 {
    deno_core::scope!(scope, runtime.js_runtime());
    scope.adjust_amount_of_external_allocated_memory(0)
}

#[cfg(feature = "gpu")]
#[test]
fn v8_knows_at_once_that_a_bitmap_was_closed_or_transferred() {
    const SOURCE: &str = "
        const image = new ImageData(2000, 1000);
        const context = new OffscreenCanvas(2000, 1000).getContext('bitmaprenderer');
        let closed, moved;
        createImageBitmap(image).then((bitmap) => closed = bitmap);
        createImageBitmap(image, 0, 0, 2000, 500).then((bitmap) => moved = bitmap);";
    let gone = with_tokio(|tokio| {
        let mut runtime = Runtime::builder().build().expect("it builds");
        runtime.eval_script("x.js", SOURCE).expect("it runs");
        tokio.block_on(runtime.run_event_loop()).expect("it ends");
        [
            "closed.close()",
            "closed.close()",
            "context.transferFromImageBitmap(moved)",
            "moved.close()",
        ]
        .map(|source| {
            let before = external_memory(&mut runtime);
            runtime.eval_script("y.js", source).expect("it runs");
            before - external_memory(&mut runtime)
        })
    });
    assert_eq!(gone, [8_000_000, 0, 4_000_000, 0]);
}
