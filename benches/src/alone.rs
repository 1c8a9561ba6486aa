//! Bare libraries in a process of their own, as the scripts are that they are compared with: a process that has run others
//! before has their memory in place, and a new one is given its pages one fault at a time.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::bare;
use crate::encode::{self, VideoJob};

/// The option that makes a process of the benchmarks run a task: the task in JSON follows, then the number of passes.
pub const OPTION: &str = "--alone";

/// What a bare library is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Decodes a clip.
    Decode {
        /// The clip's path.
        clip: PathBuf,
        /// The backend whose library is meant.
        backend: String,
        /// How often, in a row.
        times: usize,
    },
    /// Encodes raw pictures.
    EncodeVideo {
        /// How.
        job: VideoJob,
        /// The path of the raw pictures, I420.
        raw: PathBuf,
        /// How often they come, in a row.
        times: usize,
        /// The path that gets the chunks of the last pass, each behind its length in four bytes.
        stream: PathBuf,
    },
    /// Encodes raw stereo sound at 48 kHz.
    EncodeSound {
        /// The codec string.
        codec: String,
        /// Bits a second.
        bitrate: Option<u64>,
        /// The path of the raw samples, interleaved, of the backend's format.
        raw: PathBuf,
    },
}

/// What a task took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// The library's name, or the backend's.
    pub library: String,
    /// The passes in their order.
    pub runs: Vec<Run>,
}

/// What a pass took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    /// Pictures, or samples of one channel.
    pub frames: usize,
    /// Seconds.
    pub seconds: f64,
}

impl Done {
    /// Frames a second of each pass.
    pub fn rates(&self) -> Vec<f64> {
        let rate = |run: &Run| run.frames as f64 / run.seconds;
        self.runs.iter().map(rate).collect()
    }

    /// The frames of a pass, which must be the same in all.
    ///
    /// # Errors
    /// When there is no pass, or two differ.
    pub fn frames(&self) -> Result<usize> {
        let first = self.runs.first().context("no pass")?.frames;
        match self.runs.iter().find(|run| run.frames != first) {
            None => Ok(first),
            Some(other) => bail!("{}: {first} frames, then {}", self.library, other.frames),
        }
    }
}

impl Task {
    /// Runs the task `passes` times in a new process of this program.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn spawn(&self, passes: usize) -> Result<Done> {
        let output = Command::new(std::env::current_exe()?)
            .arg(OPTION)
            .arg(serde_json::to_string(self)?)
            .arg(passes.to_string())
            .output()?;
        if !output.status.success() {
            bail!("{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs the task `passes` times here, on a thread of its own: that is where every program with more than one runs it.
    ///
    /// # Errors
    /// What the library reports.
    ///
    /// # Panics
    /// When the library does.
    pub fn run(&self, passes: usize) -> Result<Done> {
        std::thread::scope(|scope| scope.spawn(|| self.run_here(passes)).join())
            .expect("a bare library panicked")
    }

    fn run_here(&self, passes: usize) -> Result<Done> {
        let mut done = Done {
            library: String::new(),
            runs: Vec::with_capacity(passes),
        };
        let mut add = |library: &str, frames: usize, took: Duration| {
            library.clone_into(&mut done.library);
            let seconds = took.as_secs_f64();
            done.runs.push(Run { frames, seconds });
        };
        match self {
            Self::Decode {
                clip,
                backend,
                times,
            } => {
                let clip = bare::Clip::read(clip, backend)?;
                for _ in 0..passes {
                    let (frames, took) = clip.decode(*times)?;
                    add(backend, frames, took);
                }
            }
            Self::EncodeVideo {
                job,
                raw,
                times,
                stream,
            } => {
                let frames = encode::pictures(raw, job.size(), *times)?;
                for pass in 1..=passes {
                    let (library, chunks, took) = job.bare(&frames)?;
                    add(library, chunks.len(), took);
                    if pass == passes {
                        encode::write_chunks(stream, &chunks)?;
                    }
                }
            }
            Self::EncodeSound {
                codec,
                bitrate,
                raw,
            } => {
                let sound = encode::Sound::read(codec, *bitrate, raw)?;
                for _ in 0..passes {
                    let (frames, took) = sound.encode()?;
                    add(sound.backend(), frames, took);
                }
            }
        }
        Ok(done)
    }
}
