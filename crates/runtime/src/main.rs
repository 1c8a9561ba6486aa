//! The `reelcore` command.
#![forbid(unsafe_code)]

mod job_command;
mod probe;
mod progress;
mod transcode_command;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use lexopt::prelude::*;
use reelcore_runtime::{Runtime, RuntimeError, create_tokio_runtime};

const HELP: &str = "\
reelcore: a JavaScript runtime with WebCodecs

Usage:
  reelcore run SCRIPT [ARGS...]   run an ES module; ARGS are its Deno.args
  reelcore probe [--json] [--count] FILE
                                  what is in a media file: container, tracks, codecs;
                                  --count reads every packet
  reelcore transcode IN OUT [OPTIONS]
                                  one media file into another; see reelcore transcode --help
  reelcore job SPEC [OPTIONS]     a job of several inputs, filters and outputs; see reelcore job --help
  reelcore --version
  reelcore --help

Exit code:
  0    the script ended
  1    an error was not caught, a promise rejection was not handled, or a module could not be loaded
  2    the command line is wrong
  141  nobody reads the console's output any more, as behind `| head`; the script was stopped
  n    the script called Deno.exit(n)
Those of transcode and job: reelcore job --help
";

/// The command line is wrong.
const USAGE_ERROR: i32 = 2;

enum Command {
    Run { script: PathBuf, args: Vec<String> },
    Probe(probe::Options),
    Transcode(transcode_command::Options),
    Job(job_command::Options),
    Version,
    Help,
}

fn parse() -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    match parser.next()? {
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(Long("version") | Short('V')) => Ok(Command::Version),
        Some(Value(command)) if command == "help" => Ok(Command::Help),
        Some(Value(command)) if command == "run" => match parser.next()? {
            Some(Long("help") | Short('h')) => Ok(Command::Help),
            Some(Value(script)) => {
                // Whatever follows is the script's, options included.
                let args = parser
                    .raw_args()?
                    .map(ValueExt::string)
                    .collect::<Result<_, _>>()?;
                Ok(Command::Run {
                    script: script.into(),
                    args,
                })
            }
            Some(other) => Err(other.unexpected()),
            None => Err("expected a script: reelcore run SCRIPT [ARGS...]".into()),
        },
        Some(Value(command)) if command == "probe" => parse_probe(&mut parser),
        Some(Value(command)) if command == "transcode" => {
            transcode_command::parse(&mut parser).map(Command::Transcode)
        }
        Some(Value(command)) if command == "job" => {
            job_command::parse(&mut parser).map(Command::Job)
        }
        Some(Value(command)) => Err(format!(
            "unknown command {command:?}: expected \"run\", \"probe\", \"transcode\" or \"job\""
        )
        .into()),
        Some(other) => Err(other.unexpected()),
        None => Err("expected a command: reelcore run SCRIPT [ARGS...]".into()),
    }
}

fn parse_probe(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut file, mut json, mut count) = (None, false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("json") => json = true,
            Long("count") => count = true,
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected()),
        }
    }
    let file = file.ok_or("expected a file: reelcore probe [--json] [--count] FILE")?;
    Ok(Command::Probe(probe::Options { file, json, count }))
}

fn main() {
    let code = match parse() {
        Ok(Command::Run { script, args }) => run(script, args),
        Ok(Command::Probe(options)) => match probe::run(&options, &webcodecs::default_codecs()) {
            Ok(text) => print(&text),
            Err(error) => {
                report(&error);
                1
            }
        },
        Ok(Command::Transcode(options)) => {
            transcode_command::run(&options, &webcodecs::default_codecs())
        }
        Ok(Command::Job(options)) => job_command::run(&options, &webcodecs::default_codecs()),
        Ok(Command::Version) => print(&format!(
            "reelcore {}\nv8 {}\n",
            env!("CARGO_PKG_VERSION"),
            reelcore_runtime::deno_core::v8::V8::get_version()
        )),
        Ok(Command::Help) => print(HELP),
        Err(error) => {
            report(&error.to_string());
            // Where even stderr is gone, the exit code still tells.
            let _ = std::io::stderr().write_all(b"Try 'reelcore --help'.\n");
            USAGE_ERROR
        }
    };
    leave(code);
}

/// Ends the process here and now. Other threads may be at work still: drivers of GPUs, codecs, reads that nobody answers. The
/// exit handlers of C libraries would take away what those use, and the ordinary way out would wait for some of them. What
/// else is left, V8's heap for one, the operating system takes down best.
fn leave(code: i32) -> ! {
    // Where the streams are gone, the exit code still tells.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    signal_hook::low_level::exit(code)
}

fn run(script: PathBuf, args: Vec<String>) -> i32 {
    let tokio = match create_tokio_runtime() {
        Ok(tokio) => tokio,
        Err(error) => {
            report(&format!("can not start: {error}"));
            return 1;
        }
    };
    let _entered = tokio.enter();
    let mut runtime = match Runtime::builder().args(args).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&error.to_string());
            return 1;
        }
    };
    let code = match tokio.block_on(runtime.run_module(script)) {
        Ok(()) => 0,
        Err(RuntimeError::Exit(code)) => code,
        Err(error) => {
            report(&error.to_string());
            error.exit_code()
        }
    };
    // Before the runtimes are dropped: Tokio's would wait for reads of files and pipes.
    leave(code)
}

fn print(text: &str) -> i32 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn report(message: &str) {
    let colors = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let label = if colors {
        "\x1b[1;31merror\x1b[0m"
    } else {
        "error"
    };
    // Where even stderr is gone, the exit code still tells.
    let _ = reelcore_runtime::write_stderr(&format!("{label}: {message}\n"));
}
