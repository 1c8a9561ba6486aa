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
        let partial = path.with_file_name(format!("partial-{name}"));
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

/// Five seconds of `codec` (`av1`, `h264`, `hevc`, `vp8`, `vp9`) at 1080p, about 6 Mbit/s; H.264 and HEVC with B-frames.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn video_1080p(codec: &str) -> Result<PathBuf> {
    let (name, encoder): (_, &[&str]) = match codec {
        "av1" => (
            "av1-1080p.mp4",
            &["-c:v", "libsvtav1", "-preset", "10", "-crf", "35"],
        ),
        "h264" => (
            "h264-1080p.mp4",
            &["-c:v", "libx264", "-preset", "medium", "-b:v", "6M"],
        ),
        "hevc" => (
            "hevc-1080p.mp4",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "fast",
                "-b:v",
                "6M",
                "-tag:v",
                "hvc1",
                "-x265-params",
                "log-level=error",
            ],
        ),
        "vp8" => (
            "vp8-1080p.webm",
            &[
                "-c:v",
                "libvpx",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-b:v",
                "6M",
            ],
        ),
        "vp9" => (
            "vp9-1080p.webm",
            &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-b:v",
                "6M",
                "-row-mt",
                "1",
                "-tile-columns",
                "2",
            ],
        ),
        other => bail!("no clip of {other}"),
    };
    let mut args = vec![
        "-f", "lavfi", "-i", SOURCE, "-t", "5", "-pix_fmt", "yuv420p",
    ];
    args.extend(encoder);
    make(name, &args)
}

/// Tones and noise.
const SOUND: &str = "aevalsrc='0.3*sin(440*t*(1+0.1*sin(t)))+0.1*(random(0)-0.5)|0.3*sin(660*t)+0.1*(random(1)-0.5)':s=48000";

/// Ten minutes of `codec` (`aac`, `opus`, `mp3`, `flac`): stereo at 48 kHz, tones and noise.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn audio(codec: &str) -> Result<PathBuf> {
    let (name, encoder): (_, &[&str]) = match codec {
        "aac" => ("aac.mp4", &["-c:a", "aac", "-b:a", "128k"]),
        "opus" => ("opus.webm", &["-c:a", "libopus", "-b:a", "128k"]),
        "mp3" => ("mp3.mp3", &["-c:a", "libmp3lame", "-b:a", "128k"]),
        "flac" => ("flac.flac", &["-c:a", "flac"]),
        other => bail!("no clip of {other}"),
    };
    let mut args = vec!["-f", "lavfi", "-i", SOUND, "-t", "600"];
    args.extend(encoder);
    make(name, &args)
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

/// Raw I420 pictures of that height, 16:9, 30 a second.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn raw_pictures(height: u32, count: u32) -> Result<PathBuf> {
    let width = height * 16 / 9;
    let source = format!("testsrc2=size={width}x{height}:rate=30,noise=alls=6:allf=t");
    let count_text = count.to_string();
    make(
        &format!("raw-{height}p-{count}.yuv"),
        &[
            "-f",
            "lavfi",
            "-i",
            &source,
            "-frames:v",
            &count_text,
            "-pix_fmt",
            "yuv420p",
            "-f",
            "rawvideo",
        ],
    )
}

/// A minute of raw sound, stereo at 48 kHz, interleaved: floats, or with `integers` samples of 16 bits in the upper half of 32.
///
/// # Errors
/// When ffmpeg is missing or fails.
pub fn raw_sound(integers: bool) -> Result<PathBuf> {
    let (name, filter, format) = match integers {
        true => ("raw-s32.pcm", "aformat=s16", "s32le"),
        false => ("raw-f32.pcm", "anull", "f32le"),
    };
    make(
        name,
        &[
            "-f", "lavfi", "-i", SOUND, "-t", "60", "-af", filter, "-f", format,
        ],
    )
}
