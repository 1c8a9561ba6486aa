//! What the engine adds to decoding: `cargo bench -p reelcore-engine`.
//!
//! Passes through the backend alone and through a control queue, in turns, with an owner that drops every output as a
//! script that closes it does. What is compared is the time that the thread that decodes runs, which other work on
//! the machine changes little. In a third kind of pass the backend's last outputs are kept for a while, as those on
//! their way to another thread are: what that costs is the memory's, not the engine's.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use reelcore_codec_aac::Aac;
use reelcore_codec_hevc::Hevc;
use reelcore_codec_symphonia::Symphonia;
use reelcore_codec_vpx::Vpx;
use reelcore_conformance::{Family, Stream, ffmpeg_make, sound};
use reelcore_engine::{AudioDecode, Codec, ControlQueue, Delivery, Engine, Options, VideoDecode};
use reelcore_media::{EncodedChunk, Registry};

const PASSES: usize = 15;

/// Nanoseconds that the threads whose name starts with `name` have run.
fn ran(name: &str) -> u64 {
    // The system counts what this thread has run when it gives way.
    std::thread::sleep(Duration::from_micros(1));
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let tasks = tasks.map(|task| task.expect("a task").path());
    let read = |path: &std::path::Path, file: &str| std::fs::read_to_string(path.join(file));
    tasks
        .filter(|task| read(task, "comm").is_ok_and(|comm| comm.starts_with(name)))
        .filter_map(|task| read(&task, "schedstat").ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The backend on this thread, whose name starts with `decode`, with the last `kept` outputs alive.
fn alone<C>(registry: &Registry, config: &C::Config, chunks: &[EncodedChunk], kept: usize) -> u64
where
    C: Codec<Input = EncodedChunk>,
{
    let began = ran("decode");
    let backend = C::backends(registry, config).expect("a backend").remove(0);
    let mut instance = C::start(&backend, config, Engine::global(), 1).expect("starts");
    let mut outputs = VecDeque::new();
    for chunk in chunks {
        let mut sink = |output| {
            outputs.push_back(output);
            if outputs.len() > kept {
                outputs.pop_front();
            }
        };
        C::process(&mut instance, chunk, &mut sink).expect("decodes");
    }
    ran("decode") - began
}

/// Time of the worker, wall time.
fn through<C>(registry: &Registry, config: &C::Config, chunks: &[EncodedChunk]) -> (u64, u64)
where
    C: Codec<Input = EncodedChunk>,
{
    let news = Arc::new((Mutex::new(false), Condvar::new()));
    let told = news.clone();
    let wake = move || {
        *told.0.lock().expect("a lock") = true;
        told.1.notify_one();
    };
    let mut queue = ControlQueue::<C>::new(Engine::global(), registry.clone(), wake);
    let (began, worker) = (Instant::now(), ran("reelcore-worker"));
    queue.configure(config.clone()).expect("configures");
    for chunk in chunks {
        queue.enqueue(chunk.clone()).expect("takes it");
    }
    queue.flush().expect("flushes");
    'all: loop {
        let mut waiting = news.0.lock().expect("a lock");
        while !std::mem::take(&mut *waiting) {
            waiting = news.1.wait(waiting).expect("a lock");
        }
        drop(waiting);
        queue.poll();
        while let Some(delivery) = queue.next_event() {
            match delivery {
                Delivery::Output(_) | Delivery::Dequeued => {}
                Delivery::Flushed(_) => break 'all,
                Delivery::Failed { error, .. } => panic!("{error}"),
                Delivery::Stalled { .. } => panic!("stalled"),
            }
        }
    }
    let worker = ran("reelcore-worker") - worker;
    (worker, began.elapsed().as_nanos() as u64)
}

/// The least: what else the machine does only ever adds.
fn least(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

fn compare<C>(
    what: &str,
    registry: &Registry,
    config: &C::Config,
    chunks: &[EncodedChunk],
    kept: usize,
) where
    C: Codec<Input = EncodedChunk>,
    C::Config: Sync,
{
    let per = |nanoseconds: u64| nanoseconds as f64 / chunks.len() as f64 / 1e3;
    let (mut bare, mut late, mut engine, mut wall) = (vec![], vec![], vec![], vec![]);
    // On a thread of its own, as a worker is one.
    let apart = |kept| {
        std::thread::scope(|scope| {
            let work = || alone::<C>(registry, config, chunks, kept);
            let thread = std::thread::Builder::new().name("decode-alone".to_owned());
            let thread = thread.spawn_scoped(scope, work).expect("a thread");
            thread.join().expect("decodes")
        })
    };
    for _ in 0..PASSES {
        bare.push(per(apart(0)));
        late.push(per(apart(kept)));
        let (worker, elapsed) = through::<C>(registry, config, chunks);
        engine.push(per(worker));
        wall.push(per(elapsed));
    }
    let (bare, late) = (least(bare), least(late));
    let (engine, wall) = (least(engine), least(wall));
    println!(
        "{what}: microseconds a chunk: alone {bare:.2}; with {kept} outputs kept {late:.2} ({:.3}); \
         through the engine {engine:.2} ({:.3}); wall {wall:.2}",
        bare / late,
        bare / engine
    );
}

fn main() {
    // One worker: two of them would share the chunks of sound.
    let options = Options {
        workers: 1,
        ..Options::default()
    };
    Engine::init_global(options).expect("the first to ask for it");
    let registry = Registry::new()
        .with_audio_decoder(Aac)
        .with_audio_decoder(Symphonia)
        .with_video_decoder(Hevc)
        .with_video_decoder(Vpx);
    for (codec, file, encoder, kept) in [
        ("mp4a.40.2", "engine.mka", "aac", 64),
        ("mp3", "engine.mp3", "libmp3lame", 32),
        ("flac", "engine.flac", "flac", 12),
    ] {
        let track = sound::track(&sound::clip(file, 48_000, "stereo", &["-c:a", encoder]));
        let description = match codec {
            "flac" => [b"fLaC\x80\x00\x00\x22", &track.description[..]].concat(),
            _ => track.description.clone(),
        };
        let description = (codec != "mp3").then_some(&description[..]);
        let config = sound::config(codec, 48_000, 2, description);
        let chunks = vec![&track.chunks[..]; 400].concat();
        compare::<AudioDecode>(codec, &registry, &config, &chunks, kept);
    }
    for (name, family, encoder) in [
        (
            "engine.265",
            Family::H265,
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=none",
            ][..],
        ),
        (
            "engine-vp8.ivf",
            Family::Vp8,
            &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"],
        ),
    ] {
        let source = "testsrc2=size=1920x1080:rate=30:duration=1";
        let args = [
            &["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"],
            encoder,
            &["-b:v", "4M"],
        ];
        let path = ffmpeg_make(&args.concat(), name).expect("the ffmpeg command");
        let stream = Stream {
            name: name.into(),
            path,
            family,
            checksums: Vec::new(),
        };
        let (config, chunks) = (
            stream.config().expect("a codec"),
            stream.chunks().expect("chunks"),
        );
        compare::<VideoDecode>(name, &registry, &config, &chunks, 2);
    }
}
