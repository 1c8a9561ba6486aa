//! `./x codegen [--check]`: writes the generated files, or tells which of them are not up to date.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use reelcore_codegen::{Config, Error, File, generate, read_sources};

fn main() -> ExitCode {
    let mut check = false;
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.len()) {
            ("--check", _) => check = true,
            ("--root", 1..) => root = arguments.next().unwrap_or_default().into(),
            _ => {
                eprintln!("usage: reelcore-codegen [--check] [--root REPOSITORY]");
                return ExitCode::from(2);
            }
        }
    }
    match run(&root, check) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) if check => {
            eprintln!("run ./x codegen");
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many files differ (and, without `check`, were written).
fn run(root: &Path, check: bool) -> Result<usize, Error> {
    let mut changed = 0;
    let sets = [
        (Config::webcodecs(), "webidl"),
        (Config::fixture(), "crates/webcodecs/tests/bindings"),
    ];
    for (config, folder) in sets {
        let files = generate(&config, &read_sources(&root.join(folder))?)?;
        for File { path, contents } in &files {
            let full = root.join(path);
            if std::fs::read_to_string(&full).is_ok_and(|current| current == *contents) {
                continue;
            }
            changed += 1;
            if check {
                eprintln!("{} is not up to date", path.display());
                continue;
            }
            let failed = |error| Error::Io {
                path: full.clone(),
                error,
            };
            if let Some(parent) = full.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            std::fs::write(&full, contents).map_err(failed)?;
            eprintln!("wrote {}", path.display());
        }
        changed += remove_stale(root, &config, &files, check)?;
    }
    Ok(changed)
}

/// Files that an earlier run wrote and this one would not.
fn remove_stale(root: &Path, config: &Config, files: &[File], check: bool) -> Result<usize, Error> {
    let folder = root.join(&config.rust_dir);
    let failed = |error| Error::Io {
        path: folder.clone(),
        error,
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        // Nothing was generated yet, and `--check` has said so.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed(error)),
    };
    let mut stale = 0;
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let path = config.rust_dir.join(&name);
        if files.iter().any(|file| file.path == path) {
            continue;
        }
        stale += 1;
        if check {
            eprintln!("{} is no longer generated", path.display());
        } else {
            let full = folder.join(&name);
            std::fs::remove_file(&full).map_err(|error| Error::Io {
                path: full.clone(),
                error,
            })?;
            eprintln!("removed {}", path.display());
        }
    }
    Ok(stale)
}
