//! Finds the scripts of the extensions that the runtime loads, so that `src/embedded.rs` can put them into the binary.
//!
//! deno_core's `extension!` leaves a script where its crate's source lies and reads it from there when a runtime
//! starts, as it expects every program to have a snapshot (docs/decisions/0003 says why there is none). A program that
//! is moved to another machine would not start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let lock = here.join("../../Cargo.lock");
    let own = here.join("../../js/runtime");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed={}", own.display());
    println!("cargo::rerun-if-env-changed=CARGO_HOME");
    let mut paths = Vec::new();
    for folder in deno_crates(&std::fs::read_to_string(lock)?)? {
        for path in scripts(&folder)? {
            // What is not ASCII is no script of an extension: deno_core refuses it.
            if std::fs::read(&path)?.is_ascii() {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        // As with vendored crates: then the binary runs on this machine only, as deno_core has it.
        println!(
            "cargo::warning=the scripts of the deno crates are not in cargo's registry: they stay outside the binary"
        );
    }
    paths.extend(scripts(&own)?);
    // As text: the runtime looks them up by it.
    paths.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut table = String::from("&[\n");
    for path in paths {
        // Spelled as the extension spells it: its crate's CARGO_MANIFEST_DIR and what its list has.
        let path = path.to_str().ok_or("a path that is not UTF-8")?;
        writeln!(table, "    ({path:?}, ascii_str_include!({path:?})),")?;
    }
    table.push(']');
    let to = Path::new(&std::env::var("OUT_DIR")?).join("scripts.rs");
    std::fs::write(to, table)?;
    Ok(())
}

/// Where cargo has put the sources of the crates with extensions, named `deno_*`, that are in `lock`. Those that are not there are not part
/// of this build.
fn deno_crates(lock: &str) -> Result<Vec<PathBuf>, Failure> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().ok_or("no home folder")?.join(".cargo"),
    };
    let Ok(registries) = std::fs::read_dir(home.join("registry/src")) else {
        return Ok(Vec::new());
    };
    let registries: Vec<PathBuf> = registries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    let value = |line: &str, key: &str| {
        let rest = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        Some(rest.strip_suffix('"')?.to_owned())
    };
    let mut folders = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) =
            value(line, "name").filter(|name| name.starts_with("deno_") && name != "deno_core")
        else {
            continue;
        };
        let version = lines.next().and_then(|line| value(line, "version"));
        let folder = format!("{name}-{}", version.ok_or("a package without a version")?);
        let found = registries.iter().map(|registry| registry.join(&folder));
        folders.extend(found.filter(|folder| folder.is_dir()));
    }
    Ok(folders)
}

/// The scripts beside a crate's Cargo.toml.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            scripts.push(path);
        }
    }
    Ok(scripts)
}
