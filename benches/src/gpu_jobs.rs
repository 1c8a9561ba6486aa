//! Frames on the GPU: what staying there saves, and what moving there and back costs. On Mesa's lavapipe, which is a CPU, passes
//! cost what pixels cost there; the costs of the JavaScript thread are those of any device.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Row, script, script_path};
use reelcore_benches::{clips, turns};

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| key.to_owned())
}

/// 1080p H.264.
pub fn all(reelcore: &Path) -> Result<Vec<Row>> {
    let clip = clips::video_1080p("h264")?;
    let path = clip.to_str().context("path")?;
    let run = |mode: &str, frames: &str| script(reelcore, "gpu.js", &[mode, path, frames]);

    let upload = run("upload", "24")?;
    let (calls, whole, memcpy) = (
        number(&upload, "calls")?,
        number(&upload, "whole")?,
        number(&upload, "memcpy")?,
    );
    let pipeline = run("pipeline", "60")?;
    let (gpu, cpu) = (
        number(&pipeline["gpu"], "rate")?,
        number(&pipeline["cpu"], "rate")?,
    );
    let import = run("import", "200")?;
    let import_us = number(&import, "median")?;
    let mut read = run("read", "50")?;
    // Measured from outside of the runtime, so of the one that is in this program.
    let turns = turns::spawn(&script_path("gpu.js"), &["read", path, "50", "phases"])?;
    let turn = |phase: &str, what: &str| number(&turns["turns"][phase], what);
    let stall = turn("read", "own")?;
    Ok(vec![
        Row {
            name: "GPU upload, 1080p I420",
            value: format!(
                "{calls:.2} GB/s of calls, {whole:.2} with the conversion; memcpy {memcpy:.2}"
            ),
            goal: "",
            met: None,
            data: upload,
        },
        Row {
            name: "GPU pipeline, 1080p",
            value: format!(
                "{gpu:.1} frames/s ({} downloads), over the CPU {cpu:.1} ({} downloads): {:.2}x",
                pipeline["gpu"]["downloads"],
                pipeline["cpu"]["downloads"],
                gpu / cpu
            ),
            goal: "no download on the GPU",
            met: Some(pipeline["gpu"]["downloads"] == 0),
            data: pipeline.clone(),
        },
        Row {
            name: "importExternalTexture",
            value: format!(
                "{import_us:.1} us of the JavaScript thread at the median, {:.0} at worst; {:.0} while the GPU works",
                number(&import, "worst")?,
                number(&import, "busy")?
            ),
            goal: "under 20 us",
            met: Some(import_us < 20.0),
            data: import,
        },
        Row {
            name: "GPU read-back, 1080p RGBA",
            value: format!(
                "{:.2} ms at the median; the longest turn of the event loop is {stall:.2} ms ({:.2} with what other threads took of its core), {:.2} at the first, idle {:.2}; a timer of 1 ms is {:.2} late, idle {:.2}; the calls take {:.3} ms",
                number(&read, "median")?,
                turn("read", "whole")?,
                turn("first", "own")?,
                turn("idle", "own")?,
                number(&read, "stall")?,
                number(&read, "idle")?,
                number(&read, "calls")?
            ),
            goal: "longest turn under 2 ms",
            met: Some(stall < 2.0),
            data: {
                read["turns"] = turns["turns"].clone();
                read
            },
        },
    ])
}
