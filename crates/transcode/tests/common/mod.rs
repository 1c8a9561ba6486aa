//! What the tests of jobs share: inputs, and what `ffmpeg` makes of the same.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use reelcore_conformance::ffmpeg_make;
use reelcore_containers::FileSource;
use reelcore_media::Registry;
use reelcore_media::demux::Demuxer;
use reelcore_transcode::{Job, JobError, Report, run};
use serde_json::{Value, json};
use tempfile::TempDir;

pub fn registry() -> Registry {
    Registry::new()
        .with_video_decoder(reelcore_codec_dav1d::Dav1d)
        .with_video_decoder(reelcore_codec_openh264::OpenH264)
        .with_video_decoder(reelcore_codec_vpx::Vpx)
        .with_audio_decoder(reelcore_codec_aac::Aac)
        .with_audio_decoder(reelcore_codec_opus::Opus)
        .with_audio_decoder(reelcore_codec_pcm::Pcm)
        .with_audio_decoder(reelcore_codec_symphonia::Symphonia)
        .with_video_encoder(reelcore_codec_openh264::OpenH264Encoder)
        .with_video_encoder(reelcore_codec_vpx::VpxEncoder)
        .with_audio_encoder(reelcore_codec_aac::AacEncoder)
        .with_audio_encoder(reelcore_codec_opus::OpusEncoder)
        .with_audio_encoder(reelcore_codec_pcm::PcmEncoder)
        .with_audio_encoder(reelcore_codec_flac::Flac)
}

/// A file that `ffmpeg` makes, once.
pub fn made(args: &str, name: &str) -> PathBuf {
    let args: Vec<&str> = args.split_whitespace().collect();
    ffmpeg_make(&args, name).expect("ffmpeg, which `./x setup` installs")
}

/// Two seconds of a test picture at 25 frames a second with a tone: H.264 and AAC in MP4.
pub fn clip() -> PathBuf {
    made(
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 \
         -f lavfi -i sine=frequency=440:sample_rate=48000:duration=2 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a aac -b:a 96k -ac 2",
        "transcode-clip.mp4",
    )
}

/// Another picture of another size at 30 frames a second, with a higher tone at another rate on one channel.
pub fn other_clip() -> PathBuf {
    made(
        "-f lavfi -i mandelbrot=size=480x272:rate=30:end_pts=100 \
         -f lavfi -i sine=frequency=1000:sample_rate=44100 -t 1.5 \
         -c:v libx264 -profile:v main -pix_fmt yuv420p -c:a aac -b:a 96k -ac 1",
        "transcode-other.mp4",
    )
}

/// Two channels that differ, of several tones: PCM of 16 bits in WAV.
pub fn tones(name: &str, low: u32) -> PathBuf {
    made(
        &format!(
            "-f lavfi -i aevalsrc=exprs='0.3*sin(2*PI*{low}*t)+0.1*sin(2*PI*3100*t)|0.25*sin(2*PI*2*{low}*t)'\
             :s=48000:d=1.5 -c:a pcm_s16le"
        )
        .replace('\'', ""),
        name,
    )
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub fn job(json: &Value) -> Job {
    Job::from_json(json.to_string().as_bytes()).expect("a job")
}

pub fn done(json: Value) -> Report {
    run(&job(&json), &registry(), &mut |_| {}).expect("the job is done")
}

pub fn refused(json: Value) -> JobError {
    run(&job(&json), &registry(), &mut |_| {}).expect_err("the job fails")
}

pub fn open(path: &Path) -> Arc<dyn Demuxer> {
    reelcore_containers::open(Arc::new(FileSource::open(path).expect("a file")))
        .expect("a container")
}

/// A stream of VP9 that loses next to nothing: fewer than one sample in 500 is off, by one. Two pictures that are the same
/// but for that are at 70 dB; those that lie one sample apart are below 40 dB.
pub fn lossless(source: &str) -> Value {
    json!({ "video": { "source": source, "codec": "vp9", "quantizer": 0, "mode": "realtime" } })
}

fn tool(name: &str, before: &[&str], path: &Path, after: &[&str]) -> Vec<u8> {
    let output = Command::new(name)
        .args(before)
        .arg(path)
        .args(after)
        .output()
        .unwrap_or_else(|error| panic!("{name}, which `./x setup` installs: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {after:?}: {said}");
    output.stdout
}

/// What `ffprobe` says of a file, without a word on stderr.
pub fn ffprobe(path: &Path, entries: &str) -> String {
    ffprobe_at("warning", path, entries)
}

/// As [`ffprobe`], of a container that has no length: of that alone it warns.
pub fn ffprobe_errors(path: &Path, entries: &str) -> String {
    ffprobe_at("error", path, entries)
}

fn ffprobe_at(level: &str, path: &Path, entries: &str) -> String {
    let args = "-count_frames -of csv=p=0 -show_entries";
    let mut before: Vec<&str> = args.split(' ').collect();
    before.push(entries);
    let output = Command::new("ffprobe")
        .args(["-v", level])
        .args(&before)
        .arg(path)
        .output()
        .expect("ffprobe, which `./x setup` installs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "ffprobe warns");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The times of all pictures in seconds.
pub fn times(path: &Path) -> Vec<f64> {
    let args = "-v error -select_streams v:0 -of csv=p=0 -show_entries frame=pts_time";
    let before: Vec<&str> = args.split(' ').collect();
    let text = tool("ffprobe", &before, path, &[]);
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

/// Pictures as they lie in memory, tightly packed.
pub struct Pictures {
    pub width: usize,
    pub height: usize,
    /// Bytes of a sample.
    pub bytes: usize,
    /// By how much planes 1 and 2 are smaller.
    pub chroma: (usize, usize),
    /// Whether there is a fourth plane.
    pub alpha: bool,
    pub frames: Vec<Vec<u8>>,
}

impl Pictures {
    /// The samples of a plane of a picture.
    pub fn plane(&self, frame: usize, plane: usize) -> Vec<u16> {
        let (luma, chroma) = (self.area(0), self.area(1));
        let starts = [0, luma, luma + chroma, luma + 2 * chroma];
        let (start, len) = (starts[plane], self.area(plane));
        let bytes = &self.frames[frame][start * self.bytes..][..len * self.bytes];
        match self.bytes {
            1 => bytes.iter().map(|&byte| byte.into()).collect(),
            _ => bytes
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        }
    }

    fn area(&self, plane: usize) -> usize {
        match plane {
            1 | 2 => self.width.div_ceil(self.chroma.0) * self.height.div_ceil(self.chroma.1),
            _ => self.width * self.height,
        }
    }
}

/// The pictures of a file, as `ffmpeg` decodes and filters them.
pub fn pictures(path: &Path, size: (usize, usize), format: &str, filter: &str) -> Pictures {
    pictures_of(&[path], size, format, filter)
}

/// As [`pictures`], of several inputs; the filter is a complex one then.
pub fn pictures_of(
    paths: &[&Path],
    (width, height): (usize, usize),
    format: &str,
    filter: &str,
) -> Pictures {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-nostdin",
        "-sws_flags",
        "bicubic+accurate_rnd+full_chroma_int",
    ]);
    for path in paths {
        if format.starts_with("yuva") {
            // FFmpeg's own decoder leaves alpha out.
            command.args(["-c:v", "libvpx-vp9"]);
        }
        command.arg("-i").arg(path);
    }
    if !filter.is_empty() {
        command.args([
            if paths.len() > 1 {
                "-filter_complex"
            } else {
                "-vf"
            },
            filter,
        ]);
    }
    let output = command
        .args([
            "-an",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            format,
            "-",
        ])
        .output()
        .expect("ffmpeg, which `./x setup` installs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {filter}: {said}");
    let mut pictures = Pictures {
        width,
        height,
        bytes: if format.ends_with("le") { 2 } else { 1 },
        chroma: if format.contains("444") {
            (1, 1)
        } else {
            (2, 2)
        },
        alpha: format.starts_with("yuva"),
        frames: Vec::new(),
    };
    let samples = pictures.area(0) * if pictures.alpha { 2 } else { 1 } + 2 * pictures.area(1);
    let len = samples * pictures.bytes;
    assert_eq!(
        output.stdout.len() % len,
        0,
        "whole pictures of {width}x{height}"
    );
    pictures.frames = output
        .stdout
        .chunks_exact(len)
        .map(<[u8]>::to_vec)
        .collect();
    pictures
}

/// The peak signal-to-noise ratio in dB of samples of so many bits; 100 for equal ones.
pub fn psnr(got: &[u16], want: &[u16], bits: u32) -> f64 {
    assert_eq!(got.len(), want.len());
    let squares: f64 = got
        .iter()
        .zip(want)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    if squares == 0.0 {
        return 100.0;
    }
    let peak = f64::from((1u32 << bits) - 1);
    10.0 * (peak * peak * got.len() as f64 / squares).log10()
}

/// Asserts that each plane of each picture is at least so like the other, in dB: luma, chroma.
pub fn assert_like(what: &str, got: &Pictures, want: &Pictures, bounds: [f64; 2]) {
    assert_eq!(got.frames.len(), want.frames.len(), "{what}: pictures");
    let bits = if got.bytes == 2 { 10 } else { 8 };
    let mut worst = [f64::INFINITY; 2];
    for frame in 0..got.frames.len() {
        for plane in 0..if got.alpha { 4 } else { 3 } {
            let value = psnr(&got.plane(frame, plane), &want.plane(frame, plane), bits);
            let kind = usize::from(plane == 1 || plane == 2);
            worst[kind] = worst[kind].min(value);
        }
    }
    println!("{what}: {worst:.1?} dB, at least {bounds:?}");
    assert!(
        worst[0] >= bounds[0] && worst[1] >= bounds[1],
        "{what}: {worst:.1?} dB, expected at least {bounds:?}"
    );
}

/// Whether two pictures are the same but for what [`lossless`] loses.
pub fn same(got: &Pictures, frame: usize, want: &Pictures, other: usize) -> bool {
    (0..3).all(|plane| psnr(&got.plane(frame, plane), &want.plane(other, plane), 8) >= SAME)
}

/// The dB of pictures that are the same but for what [`lossless`] loses.
pub const SAME: f64 = 70.0;

/// All sound of a file as `ffmpeg` decodes and filters it, interleaved.
pub fn samples(path: &Path, filter: &str) -> Vec<f32> {
    samples_of(&[path], filter)
}

/// As [`samples`], of several inputs; the filter is a complex one then.
pub fn samples_of(paths: &[&Path], filter: &str) -> Vec<f32> {
    let mut command = Command::new("ffmpeg");
    // Times as they stand in the file: sound may begin before 0, where a codec's delay lies.
    command.args(["-v", "error", "-nostdin", "-copyts"]);
    for path in paths {
        command.arg("-i").arg(path);
    }
    if !filter.is_empty() {
        command.args([
            if paths.len() > 1 {
                "-filter_complex"
            } else {
                "-af"
            },
            filter,
        ]);
    }
    let output = command
        .args(["-vn", "-f", "f32le", "-c:a", "pcm_f32le", "-"])
        .output()
        .expect("ffmpeg, which `./x setup` installs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {filter}: {said}");
    output
        .stdout
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// The signal-to-noise ratio in dB; 200 for equal ones.
pub fn snr(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "samples");
    let signal: f64 = want.iter().map(|&s| f64::from(s).powi(2)).sum();
    let noise: f64 = got
        .iter()
        .zip(want)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    match noise == 0.0 {
        true => 200.0,
        false => 10.0 * (signal / noise).log10(),
    }
}

/// Asserts that the sound is at least so like the other, in dB, and as long.
pub fn assert_sounds_like(what: &str, got: &[f32], want: &[f32], bound: f64) {
    assert_eq!(got.len(), want.len(), "{what}: samples");
    let value = snr(got, want);
    println!("{what}: {value:.1} dB, at least {bound}");
    assert!(
        value >= bound,
        "{what}: {value:.1} dB, expected at least {bound}"
    );
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
