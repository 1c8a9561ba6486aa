//! `./x bench`: whole-job benchmarks, as a table or as JSON.
//!
//! Each figure stands beside the limit it is compared with, measured in the same run: the bare library for
//! decoding, `memcpy` for copies. Absolute numbers depend on the machine; ratios are what to quote.

mod encode_jobs;
mod gpu_jobs;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reelcore_benches::alone::{self, Task};
use reelcore_benches::{bare, clips, stats, turns};
use serde_json::{Value, json};

/// A benchmark; it gets the `reelcore` binary, and says which rows are wanted.
type Job = fn(&Path, &Rows) -> Result<Vec<Row>>;

/// Which rows of a benchmark are wanted, by a part of their names in lower case.
struct Rows(String);

impl Rows {
    fn want(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.0)
    }
}

struct Row {
    name: &'static str,
    value: String,
    goal: &'static str,
    met: Option<bool>,
    data: Value,
}

fn main() -> Result<()> {
    let mut as_json = false;
    let mut filter = String::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // A process that this program started.
            alone::OPTION => {
                let mut next = || args.next().context("a task and a number of passes");
                let task: Task = serde_json::from_str(&next()?)?;
                println!("{}", serde_json::to_string(&task.run(next()?.parse()?)?)?);
                return Ok(());
            }
            turns::OPTION => {
                let script = args.next().context("a script")?;
                turns::run(script.into(), args.collect())?;
                std::io::stdout().flush()?;
                // Drivers of GPUs may be at work still: exit handlers would take away what they use.
                signal_hook::low_level::exit(0);
            }
            "--json" => as_json = true,
            "--rounds" => {
                let number = args.next().context("--rounds: a number")?;
                let rounds = number.parse().context("--rounds: a number")?;
                ROUNDS.get_or_init(|| rounds);
            }
            // `cargo bench` passes it to every target.
            "--bench" => {}
            other if other.starts_with('-') => {
                bail!("unknown option {other}; use: [JOB[:ROW]] [--json] [--rounds N]")
            }
            other => filter = other.to_owned(),
        }
    }
    let reelcore = reelcore_binary()?;
    let (filter, rows) = filter.split_once(':').unwrap_or((&filter, ""));
    let wanted = Rows(rows.to_lowercase());
    let jobs: [(&str, Job); 10] = [
        ("demux", |_, _| demux()),
        ("decode", decode),
        ("encode", encode_jobs::video),
        ("encode-realtime", encode_jobs::realtime),
        ("encode-audio", encode_jobs::audio),
        ("overhead", |reelcore, _| overhead(reelcore)),
        ("copy", |reelcore, _| copy(reelcore)),
        ("startup", |reelcore, _| startup(reelcore)),
        ("timers", |reelcore, _| timers(reelcore)),
        ("gpu", |reelcore, _| gpu_jobs::all(reelcore)),
    ];
    let mut rows = Vec::new();
    for (name, job) in jobs {
        if name.contains(filter) {
            eprintln!("bench: {name} ...");
            let mut found = job(&reelcore, &wanted).with_context(|| format!("benchmark {name}"))?;
            // Jobs of few rows run whole.
            found.retain(|row| wanted.want(row.name));
            rows.extend(found);
        }
    }
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| json!({ "name": row.name, "goal": row.goal, "met": row.met, "data": row.data }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for row in &rows {
            let mark = match row.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            println!(
                "{:width$}  {:<58} {:<28} {mark}",
                row.name, row.value, row.goal
            );
        }
    }
    Ok(())
}

/// The `reelcore` binary of the same build.
fn reelcore_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("REELCORE_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    let folder = here
        .ancestors()
        .find(|folder| folder.join("reelcore").is_file());
    folder
        .map(|folder| folder.join("reelcore"))
        .context("no reelcore binary beside this one; run ./x bench")
}

fn script_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("js").join(name)
}

fn script(reelcore: &Path, name: &str, args: &[&str]) -> Result<Value> {
    let output = Command::new(reelcore)
        .arg("run")
        .arg(script_path(name))
        .args(args)
        .output()?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn demux() -> Result<Vec<Row>> {
    let clip = clips::many_packets()?;
    let mut rates = Vec::new();
    let mut packets = 0;
    for _ in 0..5 {
        let began = Instant::now();
        packets = bare::demux(&clip)?;
        rates.push(packets as f64 / began.elapsed().as_secs_f64());
    }
    let rate = stats::median(&mut rates);
    Ok(vec![Row {
        name: "MP4 demux",
        value: format!(
            "{:.2} million packets a second ({packets} packets)",
            rate / 1e6
        ),
        goal: "",
        met: None,
        data: json!({ "packets": packets, "packets_per_second": rate }),
    }])
}

/// Rounds of what is compared, in turns, so that all see the same machine: `--rounds`.
static ROUNDS: OnceLock<usize> = OnceLock::new();

/// Without that option.
const DEFAULT_ROUNDS: usize = 9;

/// Passes of each in a round, of which the middle one counts: the first in a process compiles JavaScript and touches memory
/// for the first time.
const PASSES: usize = 3;

/// Compares the rates of a script with those of the bare library: so many rounds of a process of each, and each comes
/// first in every other one.
fn compare(
    task: &Task,
    mut script: impl FnMut(&alone::Done) -> Result<Vec<f64>>,
) -> Result<(stats::Comparison, alone::Done)> {
    let mut compared = stats::Compared::default();
    // What the script's results are checked against, before the rounds.
    let mut bare = task.spawn(1)?;
    for round in 0..*ROUNDS.get().unwrap_or(&DEFAULT_ROUNDS) {
        let mut js;
        if round % 2 == 0 {
            js = script(&bare)?;
            bare = task.spawn(PASSES)?;
        } else {
            bare = task.spawn(PASSES)?;
            js = script(&bare)?;
        }
        compared.add(&mut js, &mut bare.rates());
    }
    Ok((compared.result(), bare))
}

/// Decoding through JavaScript against the bare library and the ffmpeg command.
fn decode(reelcore: &Path, wanted: &Rows) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, codec) in [
        ("H.264 1080p decode", "h264"),
        ("HEVC 1080p decode", "hevc"),
        ("VP8 1080p decode", "vp8"),
        ("VP9 1080p decode", "vp9"),
        ("AV1 1080p decode", "av1"),
    ] {
        if wanted.want(name) {
            rows.push(decode_clip(reelcore, name, &clips::video_1080p(codec)?)?);
        }
    }
    for (name, codec) in [
        ("AAC decode", "aac"),
        ("Opus decode", "opus"),
        ("MP3 decode", "mp3"),
        ("FLAC decode", "flac"),
    ] {
        if wanted.want(name) {
            rows.push(decode_clip(reelcore, name, &clips::audio(codec)?)?);
        }
    }
    Ok(rows)
}

fn decode_clip(reelcore: &Path, name: &'static str, clip: &Path) -> Result<Row> {
    // Clips of video take half a second: two of them in a row, so that speed is seen, and not what it takes to start a decoder.
    // More would have the machine change between the two that are compared.
    let times = if name.contains("1080p") { 2 } else { 1 };
    // The backend that JavaScript gets is the one to compare with.
    let backend = chosen_backend(reelcore, clip)?;
    let task = Task::Decode {
        clip: clip.to_owned(),
        backend: backend.clone(),
        times,
    };
    let path = clip.to_str().context("the clip's path is not UTF-8")?;
    let args = [path, &PASSES.to_string(), &times.to_string()];
    let mut to_ffmpeg = stats::Compared::default();
    let mut ffmpeg = false;
    let mut peak = 0;
    let mut unit = ("frames/s", 1.0);
    let (to_bare, _) = compare(&task, |bare| {
        let expected = bare.frames()?;
        let result = script(reelcore, "decode.js", &args)?;
        peak = result["peakBytes"].as_u64().unwrap_or(0).max(peak);
        if let Some(rate) = result["sampleRate"].as_f64() {
            unit = ("s of sound/s", rate);
        }
        let mut js = Vec::new();
        let mut frames = 0;
        for run in passes(&result)? {
            frames = run["frames"].as_u64().context("frames")?;
            // Sound is trimmed by what the container says; pictures are all there.
            if unit.1 == 1.0 && frames != expected as u64 {
                bail!("{name}: {frames} frames through JavaScript, {expected} from the library");
            }
            js.push(frames as f64 / run["seconds"].as_f64().context("seconds")?);
        }
        if let Some(took) = bare::ffmpeg(clip, times)? {
            ffmpeg = true;
            to_ffmpeg.add(&mut js, &mut [frames as f64 / took.as_secs_f64()]);
        }
        Ok(js)
    })?;
    let (js, bare, ratio) = (to_bare.rate / unit.1, to_bare.other / unit.1, to_bare.ratio);
    let mut value = format!(
        "{js:.0} {}; {backend} alone {bare:.0}: {}",
        unit.0,
        to_bare.percent()
    );
    let mut data = json!({
        "rate": js, "unit": unit.0, "backend": backend, "bare_rate": bare, "ratio": ratio,
        "ratio_low": to_bare.low, "ratio_high": to_bare.high, "peak_bytes": peak,
    });
    if ffmpeg {
        let to_ffmpeg = to_ffmpeg.result();
        let rate = to_ffmpeg.other / unit.1;
        value += &format!("; ffmpeg {rate:.0}: {}", to_ffmpeg.percent());
        data["ffmpeg_rate"] = json!(rate);
        data["ffmpeg_ratio"] = json!(to_ffmpeg.ratio);
        data["ffmpeg_ratio_low"] = json!(to_ffmpeg.low);
        data["ffmpeg_ratio_high"] = json!(to_ffmpeg.high);
    }
    value += &format!("; peak {} MiB", peak >> 20);
    Ok(Row {
        name,
        value,
        goal: "97 % of the bare library",
        met: Some(ratio >= 0.97),
        data,
    })
}

/// The name of the backend that decodes the first video track, else the first of audio.
fn chosen_backend(reelcore: &Path, clip: &Path) -> Result<String> {
    let output = Command::new(reelcore)
        .args(["probe", "--json"])
        .arg(clip)
        .output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let tracks = report["tracks"].as_array().context("tracks")?;
    let track = ["video", "audio"]
        .iter()
        .find_map(|kind| tracks.iter().find(|track| track["type"] == **kind))
        .context("no track of video or of audio")?;
    match track["decoder"].as_str() {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{}: {}", clip.display(), track["unsupported"]),
    }
}

/// The passes that a script timed.
fn passes(result: &Value) -> Result<&Vec<Value>> {
    result["runs"].as_array().context("runs")
}

/// What one frame costs beside decoding: 16x16 pictures through JavaScript, less the bare library.
fn overhead(reelcore: &Path) -> Result<Vec<Row>> {
    let clip = clips::tiny()?;
    let bare = bare::Clip::read(&clip, "dav1d")?;
    let mut costs = Vec::new();
    let mut best = None;
    for _ in 0..5 {
        let (frames, took) = bare.decode(1)?;
        let result = script(
            reelcore,
            "decode.js",
            &[clip.to_str().context("path")?, "3"],
        )?;
        let runs = result["runs"].as_array().context("runs")?;
        // The last pass: by then V8 has compiled what is hot.
        let run = runs.last().context("runs")?;
        let js = Duration::from_secs_f64(run["seconds"].as_f64().context("seconds")?);
        let cost = (js.as_secs_f64() - took.as_secs_f64()) / frames as f64 * 1e6;
        costs.push(cost);
        best = Some((frames, js, took));
    }
    let cost = stats::median(&mut costs);
    let (frames, js, bare) = best.context("no run")?;
    let per = |time: Duration| time.as_secs_f64() / frames as f64 * 1e6;
    Ok(vec![Row {
        name: "Machinery per frame",
        value: format!(
            "{cost:.2} us (16x16 AV1: {:.2} us, bare library {:.2} us)",
            per(js),
            per(bare)
        ),
        goal: "under 5 us",
        met: Some(cost < 5.0),
        data: json!({ "microseconds": cost, "js_microseconds": per(js), "bare_microseconds": per(bare) }),
    }])
}

fn copy(reelcore: &Path) -> Result<Vec<Row>> {
    let result = script(reelcore, "copy.js", &["300"])?;
    let bytes = result["bytes"].as_u64().context("bytes")?;
    let mut times: Vec<f64> = result["milliseconds"]
        .as_array()
        .context("times")?
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    let time = stats::median(&mut times);
    let memcpy = bare::memcpy(bytes as usize).as_secs_f64() * 1e3;
    Ok(vec![Row {
        name: "copyTo I420 to RGBA, 1080p",
        value: format!(
            "{time:.3} ms, {:.1} GB/s written; memcpy of the result {memcpy:.3} ms",
            bytes as f64 / time / 1e6
        ),
        goal: "under 0.7 ms",
        met: Some(time < 0.7),
        data: json!({ "milliseconds": time, "memcpy_milliseconds": memcpy, "bytes": bytes }),
    }])
}

fn startup(reelcore: &Path) -> Result<Vec<Row>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/empty.js");
    let mut times = Vec::new();
    for _ in 0..15 {
        let began = Instant::now();
        if !Command::new(reelcore)
            .arg("run")
            .arg(&script)
            .status()?
            .success()
        {
            bail!("empty.js failed");
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let time = stats::median(&mut times);
    Ok(vec![Row {
        name: "Start-up",
        value: format!("{time:.1} ms for an empty script, whole process"),
        goal: "under 30 ms",
        met: Some(time < 30.0),
        data: json!({ "milliseconds": time }),
    }])
}

/// How late timers of the JavaScript thread are while decoders are kept busy: tiny pictures, of which thousands come in
/// each second, and large ones.
fn timers(reelcore: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, clip) in [
        ("Timers, 16x16 decode loop", clips::tiny()?),
        ("Timers, 1080p decode loop", clips::video_1080p("h264")?),
    ] {
        let path = clip.to_str().context("path")?;
        let result = script(reelcore, "timers.js", &[path, "3"])?;
        let number = |key: &str| result[key].as_f64().with_context(|| key.to_owned());
        let (worst, median) = (number("worst")?, number("median")?);
        rows.push(Row {
            name,
            value: format!(
                "{worst:.1} ms late at worst, {median:.2} at the median, of {} timers; {} frames",
                result["ticks"], result["frames"]
            ),
            goal: "under 20 ms",
            met: Some(worst < 20.0),
            data: result,
        });
    }
    Ok(rows)
}
