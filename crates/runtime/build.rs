//! Finds the scripts of the deno crates that the runtime loads, so that `src/embedded.rs` can put them into the binary.
//!
//! deno_core's `extension!` leaves a script where its crate's source lies and reads it from there when a runtime
//! starts, as it expects every program to have a snapshot (docs/decisions/0003 says why there is none). A program that
//! is moved to another machine would not start.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let mut folders = deno_crates()?;
    if std::env::var("PROFILE")? == "release" {
        // In other builds a changed script of our own needs no new build.
        folders.push(Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../js/runtime"));
        println!("cargo::rerun-if-changed=../../js/runtime");
    }
    let mut paths = Vec::new();
    for folder in folders {
        paths.extend(scripts(&folder)?);
    }
    // As text: the runtime looks them up by it.
    paths.sort_by(|a: &PathBuf, b| a.as_os_str().cmp(b.as_os_str()));
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

/// The folders of the crates named `deno_*` that this package's dependencies take in.
fn deno_crates() -> Result<Vec<PathBuf>, Failure> {
    let manifest = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = Command::new(std::env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &std::env::var("TARGET")?])
        .arg("--all-features")
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let folders = packages
        .iter()
        .filter(|package| {
            let name = package["name"].as_str();
            name.is_some_and(|name| name.starts_with("deno_") && name != "deno_core")
        })
        .filter_map(|package| {
            Some(
                Path::new(package["manifest_path"].as_str()?)
                    .parent()?
                    .into(),
            )
        })
        .collect();
    Ok(folders)
}

/// The scripts of a crate, which lie beside its Cargo.toml.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut scripts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // What is not ASCII is no script of an extension: deno_core refuses it.
        if path.extension().is_some_and(|extension| extension == "js")
            && std::fs::read(&path)?.is_ascii()
        {
            scripts.push(path);
        }
    }
    Ok(scripts)
}
