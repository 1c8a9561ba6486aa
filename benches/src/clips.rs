//! The clips that benchmarks decode: made once with the ffmpeg command line, and kept in a cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// `REELCORE_CACHE`, or `~/.cache/reelcore`.
fn cache_folder() -> Result<PathBuf> {
    let folder = match std::env::var_os("REELCORE_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => {
            Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache/reelcore")
        }
    };
    let folder = folder.join("bench-clips");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn make(name: &str, args: &[&str]) -> Result<PathBuf> {
    let path = cache_folder()?.join(name);
    if !path.is_file() {
        eprintln!("bench: making {name} ...");
        // Under another name first: an interrupted run leaves no half a clip.
        let partial = path.with_extension("partial.mp4");
        let status = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-y"])
            .args(args)
            .arg(&partial)
            .status()
            .context("cannot run ffmpeg; ./x setup installs it")?;
        if !status.success() {
            bail!("ffmpeg could not make {name}");
        }
        std::fs::rename(&partial, &path)?;
    }
    Ok(path)
}

/// Moving, detailed pictures, so that a decoder has the work that real video gives it.
const SOURCE: &str = "testsrc2=size=1920x1080:rate=30,noise=alls=6:allf=t";

/// Five seconds of AV1 at 1080p.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn av1_1080p() -> Result<PathBuf> {
    make(
        "av1-1080p.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            SOURCE,
            "-t",
            "5",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libsvtav1",
            "-preset",
            "10",
            "-crf",
            "35",
        ],
    )
}

/// Five seconds of H.264 High at 1080p, with B-frames.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn h264_1080p() -> Result<PathBuf> {
    make(
        "h264-1080p.mp4",
        &[
            "-f", "lavfi", "-i", SOURCE, "-t", "5", "-pix_fmt", "yuv420p", "-c:v", "libx264",
            "-preset", "medium", "-b:v", "6M",
        ],
    )
}

/// 20,000 AV1 pictures of 16x16: almost no decoding, so that what is around it shows.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn tiny() -> Result<PathBuf> {
    make(
        "av1-16x16.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "color=gray:size=16x16:rate=1000",
            "-t",
            "20",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libaom-av1",
            "-usage",
            "realtime",
            "-cpu-used",
            "8",
            "-g",
            "1000",
        ],
    )
}

/// Half an hour of small packets: H.264 and AAC, interleaved.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn many_packets() -> Result<PathBuf> {
    make(
        "many-packets.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "color=gray:size=64x64:rate=60",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=48000",
            "-t",
            "1800",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-c:a",
            "aac",
            "-b:a",
            "32k",
        ],
    )
}
