//! Where the streams are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

const PACKAGE: &str = "cros-codecs";
const VERSION: &str = "0.0.6";

/// The source folder of the package cros-codecs 0.0.6, downloaded by cargo if need be.
///
/// # Errors
/// [`Error::NoPackage`] when it is neither there nor to be had.
pub fn package() -> Result<PathBuf, Error> {
    if let Some(found) = in_registry() {
        return Ok(found);
    }
    // `cargo metadata` downloads what Cargo.lock names, and knows vendored and replaced sources.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .map_err(|error| Error::NoPackage(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::NoPackage(said.trim().to_string()));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::NoPackage(format!("cargo metadata: {error}")))?;
    manifest_folder(&metadata)
        .ok_or_else(|| Error::NoPackage("cargo metadata does not list it".into()))
}

/// The package's folder by the output of `cargo metadata`.
fn manifest_folder(metadata: &serde_json::Value) -> Option<PathBuf> {
    let packages = metadata.get("packages")?.as_array()?;
    let package = packages
        .iter()
        .find(|p| p["name"] == PACKAGE && p["version"] == VERSION)?;
    let manifest = Path::new(package["manifest_path"].as_str()?);
    Some(manifest.parent()?.to_path_buf())
}

/// The package in `$CARGO_HOME/registry/src`.
fn in_registry() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .filter_map(|entry| Some(entry.ok()?.path().join(format!("{PACKAGE}-{VERSION}"))))
        // Written last by cargo, so that a half unpacked package does not count.
        .find(|path| path.join(".cargo-ok").is_file() && path.join("src/codec").is_dir())
}

/// The folder `../shared/vectors` beside the repository, where it is there.
pub fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    folder.is_dir().then_some(folder)
}

/// The folder `webcodecs` of the Web Platform Tests in `$WPT_DIR`, else in `../shared/wpt` where it is there; says so
/// where it is not. A relative `$WPT_DIR` is seen from the repository's root, as a test runs in its crate's folder.
///
/// # Panics
/// Where `$WPT_DIR` names no checkout.
pub fn web_platform_tests() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Some(checkout) = std::env::var_os("WPT_DIR").filter(|v| !v.is_empty()) {
        let folder = root.join(checkout).join("webcodecs");
        assert!(folder.is_dir(), "$WPT_DIR: no {}", folder.display());
        return Some(folder);
    }
    let folder = root.join("../shared/wpt/webcodecs");
    if !folder.is_dir() {
        eprintln!("no ../shared/wpt (../shared/prepare.sh fetches it): its media are not checked");
        return None;
    }
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_found_in_the_output_of_cargo_metadata_by_name_and_version() {
        let metadata = serde_json::json!({"packages": [
            {"name": "cros-codecs", "version": "0.0.5", "manifest_path": "/old/Cargo.toml"},
            {"name": "cros-codecs", "version": "0.0.6", "manifest_path": "/new/Cargo.toml"},
        ]});
        assert_eq!(manifest_folder(&metadata), Some("/new".into()));
        assert_eq!(manifest_folder(&serde_json::json!({"packages": []})), None);
    }

    #[test]
    fn the_package_is_there() {
        let folder = package().unwrap();
        assert!(folder.join("src/codec/h264/test_data").is_dir());
    }
}
