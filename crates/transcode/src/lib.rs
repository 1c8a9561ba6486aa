//! Jobs: decode, filter, encode and write files, as a typed specification says.
//!
//! [`Job::from_json`] reads a specification, [`run`] does what it says with the codecs of a
//! [`Registry`](reelcore_media::Registry), [`short::Short`] makes one of a command line. `docs/transcode.md` has examples, `docs/job.schema.json` the JSON Schema.
//!
//! ```no_run
//! use reelcore_media::Registry;
//! use reelcore_transcode::{Job, run};
//!
//! # fn registry() -> Registry { Registry::new() }
//! let job = Job::from_json(br#"{
//!     "version": 1,
//!     "inputs": { "clip": { "path": "clip.mp4" } },
//!     "filters": { "small": { "scale": { "input": "clip:video", "width": 640 } } },
//!     "outputs": [{ "path": "small.webm", "streams": [
//!         { "video": { "source": "small", "codec": "vp9" } },
//!         { "audio": { "codec": "opus" } }
//!     ] }]
//! }"#)?;
//! let report = run(&job, &registry(), &mut |progress| println!("{} us", progress.time))?;
//! println!("{} bytes", report.outputs[0].bytes);
//! # Ok::<(), reelcore_transcode::JobError>(())
//! ```

#![forbid(unsafe_code)]

mod audio;
mod codecs;
mod continuous;
mod decode;
mod encode;
mod error;
mod file;
mod graph;
pub mod job;
mod output;
pub mod probe;
mod run;
pub mod short;
mod source;
mod stream;
mod validate;
mod video;

pub use error::JobError;
pub use job::Job;
pub use output::{EXISTS, OutputReport, StreamReport};
pub use run::{Options, Progress, Report, run, run_with};
pub use stream::Cancel;
