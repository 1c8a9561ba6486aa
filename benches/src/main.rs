//! `./x bench`: whole-job benchmarks, as a table or as JSON.
//!
//! Each figure stands beside the limit it is compared with, measured in the same run: the bare library for
//! decoding, `memcpy` for copies. Absolute numbers depend on the machine; ratios are what to quote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reelcore_benches::{bare, clips, stats};
use serde_json::{Value, json};

/// A benchmark; it gets the `reelcore` binary.
type Job = fn(&Path) -> Result<Vec<Row>>;

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
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--json" => as_json = true,
            // `cargo bench` passes it to every target.
            "--bench" => {}
            other if other.starts_with('-') => {
                bail!("unknown option {other}; use: [FILTER] [--json]")
            }
            other => filter = other.to_owned(),
        }
    }
    let reelcore = reelcore_binary()?;
    let jobs: [(&str, Job); 5] = [
        ("demux", |_| demux()),
        ("decode", decode),
        ("overhead", overhead),
        ("copy", copy),
        ("startup", startup),
    ];
    let mut rows = Vec::new();
    for (name, job) in jobs {
        if name.contains(&filter) {
            eprintln!("bench: {name} ...");
            rows.extend(job(&reelcore).with_context(|| format!("benchmark {name}"))?);
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

fn script(reelcore: &Path, name: &str, args: &[&str]) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("js").join(name);
    let output = Command::new(reelcore)
        .arg("run")
        .arg(path)
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

/// Decoding through JavaScript against the bare library, in turns, so that both see the same machine.
fn decode(reelcore: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, clip, codec) in [
        ("AV1 1080p decode", clips::av1_1080p()?, bare::Codec::Av1),
        (
            "H.264 1080p decode",
            clips::h264_1080p()?,
            bare::Codec::H264,
        ),
    ] {
        let (mut bare_rates, mut js_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut peak = 0;
        for _ in 0..3 {
            let (frames, took) = bare::decode(&clip, codec)?;
            let bare_rate = frames as f64 / took.as_secs_f64();
            let (result, memory) = measured(reelcore, &clip)?;
            peak = memory.max(peak);
            let run = &result["runs"][0];
            if run["frames"].as_u64() != Some(frames as u64) {
                bail!(
                    "{name}: {} frames through JavaScript, {frames} from the library",
                    run["frames"]
                );
            }
            let js_rate = frames as f64 / run["seconds"].as_f64().context("seconds")?;
            bare_rates.push(bare_rate);
            js_rates.push(js_rate);
            ratios.push(js_rate / bare_rate);
        }
        let ratio = stats::median(&mut ratios);
        let (js, bare) = (stats::median(&mut js_rates), stats::median(&mut bare_rates));
        rows.push(Row {
            name,
            value: format!(
                "{js:.0} frames/s, bare library {bare:.0}: {:.1} %, peak {} MiB",
                ratio * 100.0,
                peak >> 20
            ),
            goal: "97 % of the bare library",
            met: Some(ratio >= 0.97),
            data: json!({ "js_fps": js, "bare_fps": bare, "ratio": ratio, "peak_bytes": peak }),
        });
    }
    Ok(rows)
}

/// One decode in a process of its own, and the most memory it held, in bytes.
fn measured(reelcore: &Path, clip: &Path) -> Result<(Value, u64)> {
    let result = script(
        reelcore,
        "decode.js",
        &[clip.to_str().context("the clip's path is not UTF-8")?],
    )?;
    let peak = result["peakBytes"].as_u64().unwrap_or(0);
    Ok((result, peak))
}

/// What one frame costs beside decoding: 16x16 pictures through JavaScript, less the bare library.
fn overhead(reelcore: &Path) -> Result<Vec<Row>> {
    let clip = clips::tiny()?;
    let mut costs = Vec::new();
    let mut best = None;
    for _ in 0..5 {
        let (frames, took) = bare::decode(&clip, bare::Codec::Av1)?;
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
