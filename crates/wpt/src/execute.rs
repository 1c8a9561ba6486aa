//! Runs one test in a runtime of its own, as wptserve's wrapper for dedicated workers would.

use crate::discover::TestCase;
use crate::serve::{Served, Server};
use crate::session::{Ended, Session};
use deno_core::url::Url;
use deno_core::{Extension, OpState, op2};
use reelcore_runtime::bytes::Bytes;
use reelcore_runtime::{MappedUrl, Runtime, RuntimeError};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Heap of one test, in bytes. Pixels lie outside it.
const HEAP: usize = 1 << 30;
/// Time that the harness gets to report, after it was told that the test timed out.
const LAST_WORDS: Duration = Duration::from_secs(2);

// wpt/shims/worker.js: what a dedicated worker has to talk to its owner.
deno_core::extension!(
    reelcore_wpt,
    ops = [op_wpt_post_message],
    esm_entry_point = "ext:reelcore_wpt/worker.js",
    esm = [dir "../../wpt/shims", "worker.js"],
    options = { session: Arc<Session> },
    state = |state, options| state.put(options.session),
);

/// The worker's `postMessage()`: the owner is this runner.
#[op2(fast)]
fn op_wpt_post_message(state: &mut OpState, #[string] json: &str) {
    state.borrow::<Arc<Session>>().receive(json);
}

/// Runs `test` on this thread, for `time` at most; the scheduler sees to tests that block.
pub fn execute(
    server: &Arc<Server>,
    test: &TestCase,
    session: &Arc<Session>,
    time: Duration,
) -> Ended {
    let tokio = match reelcore_runtime::create_tokio_runtime() {
        Ok(tokio) => tokio,
        Err(error) => return Ended::LoadFailed(format!("no event loop: {error}")),
    };
    tokio.block_on(async {
        match Worker::start(server, test, session) {
            Ok(mut worker) => worker.run(test, time).await,
            Err(error) => Ended::LoadFailed(format!("the runtime cannot start: {error}")),
        }
    })
}

struct Worker<'a> {
    runtime: Runtime,
    server: &'a Server,
    session: &'a Arc<Session>,
    /// Errors that no listener took. testharness.js listens, and ends the test on one.
    uncaught: Rc<Cell<usize>>,
}

impl<'a> Worker<'a> {
    fn start(
        server: &'a Arc<Server>,
        test: &TestCase,
        session: &'a Arc<Session>,
    ) -> Result<Self, RuntimeError> {
        let secure = test.secure_context();
        let mapped = Arc::clone(server);
        let uncaught = Rc::new(Cell::new(0));
        let (count, reported, console) = (
            Rc::clone(&uncaught),
            Arc::clone(session),
            Arc::clone(session),
        );
        let extension: Extension = reelcore_wpt::init(Arc::clone(session));
        let mut runtime = Runtime::builder()
            .location(test.location.clone())
            .secure_context(secure)
            .cross_origin_isolated(server.cross_origin_isolated(&test.script, secure))
            .url_mapper(Rc::new(move |url: &Url| mapped.get(url).map(answer)))
            .console(Rc::new(move |_, line| console.log(line)))
            .on_uncaught(Rc::new(move |error| {
                count.set(count.get() + 1);
                reported.log(&error.to_string());
            }))
            .memory_limit(HEAP)
            .expose_gc(true)
            .extension(extension)
            .build()?;
        let terminator = runtime.terminator();
        session.on_kill(Box::new(move || terminator.terminate()));
        Ok(Self {
            runtime,
            server,
            session,
            uncaught,
        })
    }

    async fn run(&mut self, test: &TestCase, time: Duration) -> Ended {
        let started = Instant::now();
        if let Err(ended) = self.load(test) {
            return ended;
        }
        let left = time.saturating_sub(started.elapsed());
        let ended = match self.turn(left).await {
            Turn::Completed => return Ended::Normally,
            Turn::Failed(ended) => return ended,
            Turn::Dry => Ended::RanDry,
            Turn::Late => Ended::TimedOut(time),
        };
        // The harness itself gives each subtest the status it has at this point.
        if let Err(error) = self
            .runtime
            .eval_script(test.location.as_str(), "timeout();")
        {
            return stopped(error);
        }
        match self.turn(LAST_WORDS).await {
            Turn::Failed(failed) => failed,
            Turn::Completed | Turn::Dry | Turn::Late => ended,
        }
    }

    /// Loads the scripts in the order of wptserve's `.any.worker.js` wrapper.
    fn load(&mut self, test: &TestCase) -> Result<(), Ended> {
        let title = match &test.meta.title {
            Some(title) => format!(
                "self.META_TITLE = {};\n",
                serde_json::Value::from(title.as_str())
            ),
            None => String::new(),
        };
        let prelude = format!(
            "{title}self.GLOBAL = {{\n  isWindow: () => false,\n  isWorker: () => true,\n  \
             isShadowRealm: () => false,\n}};"
        );
        self.evaluate(&test.location, &prelude)?;
        let harness = ["/resources/testharness.js"].into_iter();
        let scripts = harness
            .chain(test.meta.scripts.iter().map(String::as_str))
            .chain([test.script.as_str()]);
        for script in scripts {
            let url = test.location.join(script);
            let url = url.map_err(|error| Ended::LoadFailed(format!("{script}: {error}")))?;
            let source = self.server.script(&url);
            let source =
                source.map_err(|error| Ended::LoadFailed(format!("cannot load {url}: {error}")))?;
            let before = self.uncaught.get();
            self.evaluate(&url, &source)?;
            // importScripts() would have thrown here, and the wrapper would not have gone on.
            if self.uncaught.get() != before {
                return Ok(());
            }
        }
        self.evaluate(&test.location, "done();")
    }

    fn evaluate(&mut self, url: &Url, source: &str) -> Result<(), Ended> {
        let result = self.runtime.eval_script(url.as_str(), source);
        result.map_err(stopped)
    }

    /// Turns the event loop until something ends it.
    async fn turn(&mut self, time: Duration) -> Turn {
        tokio::select! {
            biased;
            () = self.session.completed() => Turn::Completed,
            result = self.runtime.run_event_loop() => match result {
                Err(error) => Turn::Failed(stopped(error)),
                Ok(()) if self.session.is_complete() => Turn::Completed,
                Ok(()) => Turn::Dry,
            },
            () = tokio::time::sleep(time) => Turn::Late,
        }
    }
}

enum Turn {
    Completed,
    Dry,
    Late,
    Failed(Ended),
}

/// Why the runtime does not go on.
fn stopped(error: RuntimeError) -> Ended {
    match error {
        // The scheduler did it, and knows why.
        RuntimeError::Terminated => Ended::Normally,
        RuntimeError::HeapLimit { .. } => Ended::Crashed(error.to_string()),
        other => Ended::LoadFailed(other.to_string()),
    }
}

fn answer(served: Served) -> MappedUrl {
    match served {
        Served::File { path, headers } => MappedUrl::File { path, headers },
        Served::Bytes { body, headers } => MappedUrl::Bytes {
            body: Bytes::from(body),
            headers,
        },
        Served::NotFound => MappedUrl::NotFound,
    }
}
