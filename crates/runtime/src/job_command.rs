//! `reelcore job SPEC`, and how a job is run from the command line.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lexopt::prelude::*;
use reelcore_media::Registry;
use reelcore_transcode::job::{MAX_JSON_BYTES, Operation};
use reelcore_transcode::{Cancel, Job, JobError, Report, run_with};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::progress::{Reporter, Style};

pub const HELP: &str = "\
reelcore job: runs a job specification

Usage:
  reelcore job [OPTIONS] SPEC     SPEC is a file of JSON, or - for standard input; paths in it start from the
                                  current folder
  reelcore job --check SPEC       only say what is wrong with it
  reelcore job --schema           print its JSON Schema

Options:
  --overwrite, -y     replace files that are there; without it a job that would is refused
  --progress STYLE    auto (a bar where stderr is a terminal, else the last lines), bar, json or none
  --help, -h          this text

Exit code:
  0  done; all outputs are written
  1  the job failed on the way
  2  the command line or the specification is wrong
  3  an input cannot be read
  4  an output cannot be written
  128 + N  stopped by the signal N: 130 for Ctrl-C
Nothing is written unless all is.
";

/// What the command line asks for.
pub enum Options {
    Help,
    Schema,
    Run {
        spec: PathBuf,
        check: bool,
        settings: Settings,
    },
}

/// How a job is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub overwrite: bool,
    pub progress: Style,
}

impl Settings {
    /// Whether `argument` is one of these options; its value is taken from `parser`.
    pub fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<bool, lexopt::Error> {
        match name {
            "overwrite" | "y" => self.overwrite = true,
            "progress" => self.progress = parser.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The arguments behind `job`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut spec, mut check, mut schema) = (None, false, false);
    let mut settings = Settings::default();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Long("help") | Short('h') => return Ok(Options::Help),
            Long("check") => {
                check = true;
                continue;
            }
            Long("schema") => {
                schema = true;
                continue;
            }
            Long(name) => name.to_owned(),
            Short(letter) => letter.to_string(),
            Value(path) if spec.is_none() => {
                spec = Some(PathBuf::from(path));
                continue;
            }
            other => return Err(other.unexpected()),
        };
        if !settings.take(&name, parser)? {
            return Err(unknown(&name));
        }
    }
    match (spec, schema) {
        (None, true) => Ok(Options::Schema),
        (Some(_), true) => Err("--schema takes no SPEC".into()),
        (Some(spec), false) => Ok(Options::Run {
            spec,
            check,
            settings,
        }),
        (None, false) => Err("expected a specification: reelcore job SPEC".into()),
    }
}

/// An option that there is not.
pub fn unknown(name: &str) -> lexopt::Error {
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    format!("invalid option '{dashes}{name}'").into()
}

/// Does it, and gives the exit code.
pub fn run(options: &Options, registry: &Registry) -> i32 {
    match options {
        Options::Help => crate::print(HELP),
        Options::Schema => crate::print(&Job::schema()),
        Options::Run {
            spec,
            check,
            settings,
        } => {
            let job = match read(spec) {
                Ok(job) => job,
                Err(error) => {
                    Reporter::new(settings.progress).failed(&error, Some(spec));
                    return error.exit_code();
                }
            };
            match check {
                true => 0,
                false => run_job(&job, registry, settings, Some(spec)),
            }
        }
    }
}

fn read(spec: &PathBuf) -> Result<Job, JobError> {
    let wrong = |error: std::io::Error| JobError::Spec {
        path: String::new(),
        message: error.to_string(),
    };
    let mut json = Vec::new();
    // One more than is read tells that there is more.
    let most = MAX_JSON_BYTES as u64 + 1;
    match spec.as_os_str() == "-" {
        true => std::io::stdin().lock().take(most).read_to_end(&mut json),
        false => std::fs::File::open(spec).and_then(|file| file.take(most).read_to_end(&mut json)),
    }
    .map_err(wrong)?;
    Job::from_json(&json)
}

/// Runs a job until it is done or a signal asks it to stop, and gives the exit code. `spec` is the file that it was read from.
pub fn run_job(job: &Job, registry: &Registry, settings: &Settings, spec: Option<&PathBuf>) -> i32 {
    let mut reporter = Reporter::new(settings.progress);
    let (stop, signal) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    for number in [SIGINT, SIGTERM, SIGHUP] {
        let which = usize::try_from(number).unwrap_or(0);
        let registered = signal_hook::flag::register_usize(number, signal.clone(), which)
            .and_then(|_| signal_hook::flag::register(number, stop.clone()));
        if let Err(error) = registered {
            crate::report(&format!("can not wait for signal {number}: {error}"));
            return 1;
        }
    }
    let options = reelcore_transcode::Options {
        cancel: Cancel::on(stop),
        overwrite: settings.overwrite,
        abandon: true,
        ..reelcore_transcode::Options::default()
    };
    let result = run_with(job, registry, &options, &mut |progress| {
        reporter.progress(&progress);
    });
    match result {
        Ok(report) if job.operation == Operation::Probe => probed(&report),
        Ok(report) => {
            reporter.done(&report);
            0
        }
        Err(error) => {
            reporter.failed(&error, spec.map(PathBuf::as_path));
            let signal = i32::try_from(signal.load(Ordering::Relaxed)).unwrap_or(0);
            if error == JobError::Cancelled && signal != 0 {
                crate::leave(128 + signal);
            }
            let overwrite = matches!(&error, JobError::Output { message, .. }
                if message == reelcore_transcode::EXISTS);
            if overwrite && settings.progress != Style::Json {
                let _ = std::io::stderr().write_all(b"--overwrite replaces it.\n");
            }
            error.exit_code()
        }
    }
}

/// Prints what is in the inputs.
fn probed(report: &Report) -> i32 {
    let inputs = serde_json::json!({ "inputs": report.inputs });
    // Numbers and strings: they can always be written.
    let mut json = serde_json::to_string_pretty(&inputs).unwrap_or_default();
    json.push('\n');
    crate::print(&json)
}
