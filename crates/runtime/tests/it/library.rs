//! The library: what an embedder sets and what it gets.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use deno_core::url::Url;
use reelcore_runtime::webcodecs::{AllFiles, Options, containers, media};
use reelcore_runtime::{
    ConsoleLevel, MappedUrl, Runtime, RuntimeBuilder, RuntimeError, create_tokio_runtime,
    init_platform,
};

use crate::script;

type Job = Box<dyn FnOnce() + Send>;

/// Runs `job` on the one thread that started V8, since V8 wants the threads that use it to be children of that one.
pub(crate) fn on_v8_thread<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    static JOBS: OnceLock<Sender<Job>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = channel::<Job>();
        std::thread::spawn(move || {
            init_platform();
            for job in receiver {
                // A test that fails must not take the others with it.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        });
        sender
    });
    let (sender, receiver) = channel();
    jobs.send(Box::new(move || {
        let _ = sender.send(job());
    }))
    .expect("the thread is there");
    receiver.recv().expect("the job did not panic")
}

pub(crate) type Lines = Rc<RefCell<Vec<(ConsoleLevel, String)>>>;

/// A builder whose console goes to the lines returned.
pub(crate) fn logged() -> (RuntimeBuilder, Lines) {
    let lines = Lines::default();
    let sink = lines.clone();
    let builder = Runtime::builder().console(Rc::new(move |level, text| {
        sink.borrow_mut().push((level, text.trim_end().to_owned()));
    }));
    (builder, lines)
}

pub(crate) fn texts(lines: &Lines) -> Vec<String> {
    lines
        .borrow()
        .iter()
        .map(|(_, text)| text.clone())
        .collect()
}

/// Runs `job` with Tokio entered, on the V8 thread.
pub(crate) fn with_tokio<T: Send + 'static>(
    job: impl FnOnce(&tokio::runtime::Runtime) -> T + Send + 'static,
) -> T {
    on_v8_thread(move || {
        let tokio = create_tokio_runtime().expect("Tokio starts");
        let _entered = tokio.enter();
        job(&tokio)
    })
}

#[test]
fn without_tokio_the_builder_says_so() {
    let result = on_v8_thread(|| Runtime::builder().build().map(|_| ()));
    assert!(matches!(result, Err(RuntimeError::NoTokio)), "{result:?}");
}

#[test]
fn the_console_hook_has_levels_and_no_colours() {
    let lines = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder.build().expect("it builds");
        runtime
            .eval_script(
                "x.js",
                "console.log({ a: 1 }); console.debug('d'); console.warn('w'); console.error('e')",
            )
            .expect("it runs");
        lines.take()
    });
    assert_eq!(
        lines,
        [
            (ConsoleLevel::Info, "{ a: 1 }".to_owned()),
            (ConsoleLevel::Debug, "d".to_owned()),
            (ConsoleLevel::Warning, "w".to_owned()),
            (ConsoleLevel::Error, "e".to_owned()),
        ]
    );
}

#[test]
fn classic_scripts_share_their_top_level_declarations() {
    let lines = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder.build().expect("it builds");
        runtime
            .eval_script(
                "a.js",
                "const a = 1; var b = 2; Promise.resolve().then(() => { a2 = 3 })",
            )
            .expect("it runs");
        runtime
            .eval_script(
                "b.js",
                "console.log(a, b, a2, this === globalThis, globalThis.a)",
            )
            .expect("it runs");
        texts(&lines)
    });
    assert_eq!(lines, ["1 2 3 true undefined"]);
}

#[test]
fn a_throwing_script_is_an_error_event_and_then_uncaught() {
    let (lines, error, after) = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder.build().expect("it builds");
        runtime
            .eval_script("a.js", "addEventListener('error', (e) => { console.log(e.message, e.filename, e.lineno); if (e.error.quiet) e.preventDefault() })")
            .expect("it runs");
        runtime
            .eval_script(
                "https://a.test/b.js",
                "\nthrow Object.assign(new Error('quiet'), { quiet: true })",
            )
            .expect("the listener took it");
        let error = runtime.eval_script("https://a.test/c.js", "throw new Error('loud')");
        let after = runtime.eval_script("d.js", "console.log('still alive')");
        (texts(&lines), error, after)
    });
    assert_eq!(
        lines,
        [
            "Uncaught Error: quiet https://a.test/b.js 2",
            "Uncaught Error: loud https://a.test/c.js 1",
            "still alive"
        ]
    );
    let Err(RuntimeError::Uncaught(uncaught)) = error else {
        panic!("{error:?}");
    };
    assert!(
        uncaught.to_string().contains("https://a.test/c.js:1:7"),
        "{uncaught}"
    );
    assert!(after.is_ok(), "{after:?}");
}

#[test]
fn with_a_hook_uncaught_errors_do_not_end_the_run() {
    let (lines, seen) = with_tokio(|tokio| {
        let (builder, lines) = logged();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        let mut runtime = builder
            .on_uncaught(Rc::new(move |uncaught| {
                sink.borrow_mut().push((
                    uncaught.in_promise,
                    uncaught.error.message.clone().unwrap_or_default(),
                ));
            }))
            .build()
            .expect("it builds");
        runtime
            .eval_script("a.js", "throw new Error('script')")
            .expect("it goes on");
        runtime
            .eval_script(
                "b.js",
                // A timer within a timer: on a busy machine one alone is due before the rejection is looked at.
                "setTimeout(() => setTimeout(() => { throw new Error('timer') }, 1), 0);
                 setTimeout(() => console.log('end'), 50);
                 Promise.reject(new Error('promise'));",
            )
            .expect("it goes on");
        tokio
            .block_on(runtime.run_event_loop())
            .expect("it goes on");
        (texts(&lines), seen.take())
    });
    assert_eq!(lines, ["end"]);
    assert_eq!(
        seen,
        [
            (false, "script".to_owned()),
            (true, "promise".to_owned()),
            (false, "timer".to_owned())
        ]
    );
}

#[test]
fn the_location_given_is_the_base_of_fetch_and_of_imports_through_the_mapper() {
    let lines = with_tokio(|tokio| {
        let (builder, lines) = logged();
        let asked = Rc::new(RefCell::new(Vec::new()));
        let log = asked.clone();
        let mapper = move |url: &Url| {
            log.borrow_mut().push(url.to_string());
            (url.host_str() == Some("web.test")).then(|| match url.path() {
                "/lib.js" => MappedUrl::Bytes {
                    body: "export default import.meta.url".into(),
                    headers: vec![("content-type".into(), "text/javascript".into())],
                },
                "/data" => MappedUrl::File {
                    path: script("data.json"),
                    headers: vec![("X-Test".into(), "1".into())],
                },
                _ => MappedUrl::NotFound,
            })
        };
        let mut runtime = builder
            .location(Url::parse("https://web.test:8443/dir/page.html").expect("a URL"))
            .cross_origin_isolated(true)
            .url_mapper(Rc::new(mapper))
            .build()
            .expect("it builds");
        runtime
            .eval_script(
                "https://web.test:8443/dir/x.js",
                "(async () => {
                    console.log(location.href, origin, crossOriginIsolated);
                    const data = await fetch('/data');
                    console.log(data.url, data.headers.get('x-test'), data.headers.get('content-type'), (await data.json()).answer);
                    const lib = await fetch('../lib.js');
                    console.log(lib.headers.get('content-length'), (await Array.fromAsync(lib.body)).length);
                    console.log((await fetch('missing')).status);
                    console.log((await import('../lib.js')).default);
                    await import('./none.js').catch((e) => console.log(e.message));
                    await fetch('https://other.test/').catch((e) => console.log(e.message));
                    console.log(URL.createObjectURL(new Blob()).startsWith('blob:https://web.test:8443/'));
                })()",
            )
            .expect("it runs");
        tokio.block_on(runtime.run_event_loop()).expect("it ends");
        assert_eq!(
            asked.borrow().first().map(String::as_str),
            Some("https://web.test:8443/data")
        );
        texts(&lines)
    });
    assert_eq!(
        lines,
        [
            "https://web.test:8443/dir/page.html https://web.test:8443 true",
            "https://web.test:8443/data 1 application/json 42",
            "30 1",
            "404",
            "https://web.test:8443/lib.js",
            "Module not found \"https://web.test:8443/dir/none.js\" imported from https://web.test:8443/dir/x.js",
            "Failed to fetch \"https://other.test/\": network access is not part of this runtime",
            "true",
        ]
    );
}

/// The lines of a script that runs with `media`; `clip(name)` is the path of a sample clip, and `read(demuxer, track)`
/// resolves with "read", or with the name and the message of the error.
fn with_media(media: Options, source: &'static str) -> Vec<String> {
    const HELPERS: &str = "
        const clip = (name) => `${Deno.args[0]}/${name}`;
        const read = async (demuxer, track) => {
            try {
                for await (const _ of demuxer.chunks(track));
                return 'read';
            } catch (error) {
                return `${error.name}: ${error.message}`;
            }
        };";
    with_tokio(move |tokio| {
        let (builder, lines) = logged();
        let clips = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/media");
        let builder = builder.args(vec![clips.to_owned()]).media(media);
        let mut runtime = builder.build().expect("it builds");
        runtime.eval_script("helpers.js", HELPERS).expect("it runs");
        runtime.eval_script("x.js", source).expect("it runs");
        tokio.block_on(runtime.run_event_loop()).expect("it ends");
        texts(&lines)
    })
}

#[test]
fn codecs_and_files_are_those_that_the_embedder_names() {
    let media = Options {
        codecs: Some(media::Registry::new()),
        files: None,
        ..Options::default()
    };
    let lines = with_media(
        media,
        "(async () => {
            console.log((await VideoDecoder.isConfigSupported({ codec: 'vp8' })).supported);
            console.log((await read(new Reelcore.Demuxer(clip('h264-aac.mp4')), 0)).split(':')[0]);
            const bytes = await Deno.readFile(clip('h264-aac.mp4'));
            console.log(await read(new Reelcore.Demuxer(bytes), 0));
        })()",
    );
    assert_eq!(lines, ["false", "NotAllowedError", "read"]);
}

#[test]
fn containers_are_refused_by_the_caps_that_the_embedder_sets() {
    let media = Options {
        files: Some(std::sync::Arc::new(AllFiles)),
        container_limits: containers::Limits {
            max_header_bytes: 16,
            ..containers::Limits::default()
        },
        ..Options::default()
    };
    let lines = with_media(
        media,
        "read(new Reelcore.Demuxer(clip('h264-aac.mp4')), 0).then(console.log)",
    );
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(
        line.starts_with("EncodingError: ") && line.ends_with("the cap is 16"),
        "{line}"
    );
}

#[test]
fn of_a_stream_no_more_is_kept_than_the_embedder_allows() {
    // The set-up of this file is at its end: its packets are read after all of it has come.
    let source = "(async () => {
        const file = await Deno.readFile(clip('h264-aac.mp4'));
        let at = 0;
        const demuxer = new Reelcore.Demuxer(new ReadableStream({
            pull(controller) {
                if (at >= file.length) return controller.close();
                controller.enqueue(file.slice(at, at += 4096));
            },
        }));
        console.log(await read(demuxer, 0));
        console.log(await read(demuxer, 1));
    })()";
    assert_eq!(with_media(Options::default(), source), ["read", "read"]);

    let media = Options {
        stream_limits: containers::StreamLimits {
            max_bytes: 64 << 10,
            read_ahead: 4096,
        },
        ..Options::default()
    };
    let lines = with_media(media, source);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert!(line.contains("no longer kept"), "{lines:?}");
    }
}

#[test]
fn exit_is_an_error_of_the_run_and_stays() {
    let (first, code, second) = with_tokio(|tokio| {
        let mut runtime = Runtime::builder().build().expect("it builds");
        runtime
            .eval_script("x.js", "setTimeout(() => Deno.exit(5), 1)")
            .expect("it runs");
        let first = tokio.block_on(runtime.run_event_loop());
        let code = runtime.exit_code();
        (first, code, runtime.eval_script("y.js", "1"))
    });
    assert!(matches!(first, Err(RuntimeError::Exit(5))), "{first:?}");
    assert_eq!(code, Some(5));
    assert!(matches!(second, Err(RuntimeError::Exit(5))), "{second:?}");
}

#[test]
fn another_thread_stops_a_busy_script_and_an_idle_event_loop() {
    for source in [
        "for (;;);",
        "setTimeout(() => {}, 1e8)",
        "(async () => { for (;;) await 0 })()",
        // The console's C++ catches the end as if it were an exception.
        "for (;;) try { console.log('again') } catch {}",
        "setTimeout(() => { for (;;) try { console.log('again') } catch {} })",
    ] {
        let result = with_tokio(move |tokio| {
            let mut runtime = Runtime::builder()
                .console(Rc::new(|_, _| {}))
                .build()
                .expect("it builds");
            let terminator = runtime.terminator();
            let stopper = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                terminator.terminate();
            });
            let result = match runtime.eval_script("x.js", source) {
                Ok(()) => tokio.block_on(runtime.run_event_loop()),
                error => error,
            };
            stopper.join().expect("it ends");
            result
        });
        assert!(
            matches!(result, Err(RuntimeError::Terminated)),
            "{source}: {result:?}"
        );
    }
}

#[test]
fn a_script_that_fills_the_heap_ends_with_the_limit() {
    let result = with_tokio(|_| {
        let mut runtime = Runtime::builder()
            .memory_limit(64 << 20)
            .build()
            .expect("it builds");
        runtime.eval_script(
            "x.js",
            "const all = []; for (;;) all.push({ a: [1, 2, 3] })",
        )
    });
    assert!(
        matches!(result, Err(RuntimeError::HeapLimit { limit }) if limit == 64 << 20),
        "{result:?}"
    );
}

#[test]
fn gc_is_there_only_when_it_is_exposed() {
    let lines = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder.build().expect("it builds");
        runtime
            .eval_script("x.js", "console.log(typeof gc)")
            .expect("it runs");
        drop(runtime);
        let (builder, more) = logged();
        let mut runtime = builder.expose_gc(true).build().expect("it builds");
        runtime
            .eval_script(
                "x.js",
                "let ref = (() => new WeakRef({}))(); Promise.resolve().then(() => 0);",
            )
            .expect("it runs");
        runtime
            .eval_script("y.js", "gc(); console.log(ref.deref())")
            .expect("it runs");
        [texts(&lines), texts(&more)].concat()
    });
    assert_eq!(lines, ["undefined", "undefined"]);
}

#[test]
fn a_redirected_stdout_takes_the_console_and_deno_stdout() {
    let text = with_tokio(|_| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut runtime = Runtime::builder()
            .stdout(file.reopen().expect("it opens"))
            .build()
            .expect("it builds");
        runtime
            .eval_script(
                "x.js",
                "console.log('a'); Deno.stdout.writeSync(new TextEncoder().encode('b'))",
            )
            .expect("it runs");
        drop(runtime);
        std::fs::read_to_string(file.path()).expect("it reads")
    });
    assert_eq!(text, "a\nb");
}

#[test]
fn colours_are_there_when_they_are_asked_for() {
    let text = with_tokio(|_| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut runtime = Runtime::builder()
            .stdout(file.reopen().expect("it opens"))
            .colors(Some(true))
            .build()
            .expect("it builds");
        runtime
            .eval_script("x.js", "console.log(1)")
            .expect("it runs");
        drop(runtime);
        std::fs::read_to_string(file.path()).expect("it reads")
    });
    assert_eq!(text, "\u{1b}[33m1\u{1b}[39m\n");
}

deno_core::extension!(
    embedder,
    ops = [op_embedder_answer],
    esm_entry_point = "ext:embedder/entry.js",
    esm = ["ext:embedder/entry.js" = {
        source = "import { op_embedder_answer } from 'ext:core/ops'; globalThis.answer = () => op_embedder_answer();"
    }],
);

#[deno_core::op2(fast)]
fn op_embedder_answer() -> u32 {
    42
}

#[test]
fn an_extension_of_the_embedder_reaches_its_ops() {
    let lines = with_tokio(|_| {
        let (builder, lines) = logged();
        let mut runtime = builder
            .extension(embedder::init())
            .build()
            .expect("it builds");
        runtime
            .eval_script("x.js", "console.log(answer())")
            .expect("it runs");
        texts(&lines)
    });
    assert_eq!(lines, ["42"]);
}

#[test]
fn a_module_runs_from_the_base_directory_and_gives_the_location() {
    let (lines, location) = with_tokio(|tokio| {
        let (builder, lines) = logged();
        let mut runtime = builder
            .base_dir(PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/it"
            )))
            .args(vec!["x".into()])
            .build()
            .expect("it builds");
        tokio
            .block_on(runtime.run_module("js/args.js"))
            .expect("it runs");
        (texts(&lines), runtime.location())
    });
    assert_eq!(lines, ["[\"x\"]"]);
    assert!(
        location.as_str().ends_with("/tests/it/js/args.js"),
        "{location}"
    );
}

#[test]
fn runtimes_on_several_threads_do_not_meet() {
    let sums = on_v8_thread(|| {
        let threads = (0..4).map(|n: u32| {
            std::thread::spawn(move || {
                let tokio = create_tokio_runtime().expect("Tokio starts");
                let _entered = tokio.enter();
                let (builder, lines) = logged();
                let mut runtime = builder.build().expect("it builds");
                runtime
                    .eval_script(
                        "x.js",
                        format!("var n = {n}; setTimeout(() => console.log(n), 5)"),
                    )
                    .expect("it runs");
                tokio.block_on(runtime.run_event_loop()).expect("it ends");
                texts(&lines)
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends"))
            .collect::<Vec<_>>()
    });
    assert_eq!(sums, [["0"], ["1"], ["2"], ["3"]]);
}
