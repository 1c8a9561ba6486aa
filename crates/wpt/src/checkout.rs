//! Where the Web Platform Tests come from. None of their files is part of this repository.
//!
//! The order: `--wpt-dir` or `WPT_DIR`; a cached sparse git clone at [`REVISION`]; the copy inside
//! Debian's source package of Firefox ESR [`FIREFOX_VERSION`], which was made from that revision.

use anyhow::{Context, Result, anyhow, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The commit of <https://github.com/web-platform-tests/wpt> that the expectations speak of.
pub const REVISION: &str = "faf875d9b84f4319ac950cd51ef03a3dcf466a7f";
/// The Firefox ESR release whose `testing/web-platform/meta/mozilla-sync` names [`REVISION`], with
/// the same `webcodecs/` folder.
pub const FIREFOX_VERSION: &str = "140.12.0esr";

const REPOSITORY: &str = "https://github.com/web-platform-tests/wpt.git";
const FIREFOX_SHA256: &str = "5c72347381233dcc97cbd02c0324116258769d8b9b0f869fd0c6f1d59519ce2a";
/// The release's place on the mirrors, then in Debian's archive of all releases (by its SHA-1),
/// for the time after the mirrors drop it.
const FIREFOX_URLS: [&str; 2] = [
    "https://deb.debian.org/debian/pool/main/f/firefox-esr/firefox-esr_140.12.0esr.orig.tar.xz",
    "https://snapshot.debian.org/file/82cbe121b83b5c4c6723181001bbe4136939e4fc",
];
/// What the tests of `webcodecs/` read.
const FOLDERS: [&str; 4] = ["webcodecs", "resources", "common", "interfaces"];

/// A checkout that is ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Its root, which holds `webcodecs/` and `resources/`.
    pub root: PathBuf,
    /// Its commit, where that is known.
    pub revision: Option<String>,
}

impl Checkout {
    /// Finds a checkout, or fetches one into the cache. `given`: the folder the user named.
    pub fn find(given: Option<&Path>) -> Result<Self> {
        let from_environment = env::var_os("WPT_DIR").filter(|v| !v.is_empty());
        let given = given
            .map(Path::to_owned)
            .or(from_environment.map(PathBuf::from));
        if let Some(root) = given {
            let missing = missing_file(&root);
            if let Some(file) = missing {
                bail!(
                    "{} is not a WPT checkout: it has no {file} (named by --wpt-dir or WPT_DIR)",
                    root.display()
                );
            }
            let revision = git_revision(&root).or_else(|| recorded_revision(&root));
            return Ok(Self { root, revision });
        }
        Self::cached(&cache_folder()?)
    }

    /// The checkout in the cache; fetched when it is not there.
    fn cached(cache: &Path) -> Result<Self> {
        let root = cache.join(REVISION);
        if missing_file(&root).is_none() {
            return Ok(Self::pinned(root));
        }
        fs::create_dir_all(cache)
            .with_context(|| format!("cannot make the folder {}", cache.display()))?;
        let clone_error = match fetch_into(&root, clone_revision) {
            Ok(()) => return Ok(Self::pinned(root)),
            Err(error) => error,
        };
        eprintln!("wpt: no clone ({clone_error:#}); trying the Firefox ESR source package");
        match fetch_into(&root, extract_firefox) {
            Ok(()) => Ok(Self::pinned(root)),
            Err(error) => Err(anyhow!(
                "no Web Platform Tests checkout could be had.\n  \
                 git clone of {REPOSITORY} at {REVISION}: {clone_error:#}\n  \
                 Debian's source package of Firefox {FIREFOX_VERSION}: {error:#}\n\
                 Set WPT_DIR to a checkout that has {}.",
                FOLDERS.map(|f| format!("{f}/")).join(", ")
            )),
        }
    }

    fn pinned(root: PathBuf) -> Self {
        Self {
            root,
            revision: Some(REVISION.to_owned()),
        }
    }
}

/// Fills a temporary sibling and renames it, so that an interrupted fetch leaves nothing half done.
fn fetch_into(root: &Path, fetch: fn(&Path) -> Result<()>) -> Result<()> {
    let name = format!("{REVISION}.partial-{}", std::process::id());
    let partial = root.with_file_name(name);
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)
        .with_context(|| format!("cannot make the folder {}", partial.display()))?;
    let result = fetch(&partial).and_then(|()| match missing_file(&partial) {
        Some(file) => Err(anyhow!("what was fetched has no {file}")),
        None => {
            let _ = fs::remove_dir_all(root);
            fs::rename(&partial, root).with_context(|| format!("cannot make {}", root.display()))
        }
    });
    if result.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    result
}

/// A sparse, shallow clone: only the folders of [`FOLDERS`], only the one commit.
fn clone_revision(into: &Path) -> Result<()> {
    eprintln!("wpt: cloning {REPOSITORY} at {REVISION}");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(into)
            // A dead or crawling connection ends by itself, and nobody is asked for a password.
            .args([
                "-c",
                "http.lowSpeedLimit=1000",
                "-c",
                "http.lowSpeedTime=30",
            ])
            .env("GIT_TERMINAL_PROMPT", "0")
            .args(arguments);
        run(command)
    };
    git(&["init", "--quiet"])?;
    git(&["remote", "add", "origin", REPOSITORY])?;
    let patterns = FOLDERS.map(|f| format!("/{f}/"));
    let mut sparse = vec!["sparse-checkout", "set", "--no-cone"];
    sparse.extend(patterns.iter().map(String::as_str));
    git(&sparse)?;
    git(&[
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        "origin",
        REVISION,
    ])?;
    git(&["checkout", "--quiet", "FETCH_HEAD"])
}

/// Downloads Firefox's source (650 MiB), checks it, and keeps the folders of [`FOLDERS`].
fn extract_firefox(into: &Path) -> Result<()> {
    let archive = into.join("firefox.tar.xz");
    let mut failures = Vec::new();
    for url in FIREFOX_URLS {
        eprintln!("wpt: downloading {url} (650 MiB)");
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--location", "--silent", "--show-error"])
            .args(["--connect-timeout", "20"])
            .args(["--speed-limit", "10000", "--speed-time", "30"])
            .arg("--output")
            .arg(&archive)
            .arg(url);
        match run(curl).and_then(|()| check_sha256(&archive)) {
            Ok(()) => {
                failures.clear();
                break;
            }
            Err(error) => failures.push(format!("{url}: {error:#}")),
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    eprintln!("wpt: unpacking");
    let mut tar = Command::new("tar");
    tar.arg("--extract")
        .arg("--xz")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(into)
        // firefox-140.12.0/testing/web-platform/tests/<folder>
        .args(["--strip-components=4", "--wildcards", "--no-anchored"])
        .args(FOLDERS.map(|f| format!("*/testing/web-platform/tests/{f}")));
    run(tar)?;
    fs::remove_file(&archive).context("cannot remove the archive")?;
    fs::write(into.join(REVISION_FILE), format!("{REVISION}\n"))
        .context("cannot write the revision")
}

/// The file that names the revision where there is no `.git`.
const REVISION_FILE: &str = "REELCORE_WPT_REVISION";

fn check_sha256(file: &Path) -> Result<()> {
    let output = Command::new("sha256sum")
        .arg("--binary")
        .arg(file)
        .output()
        .context("cannot run sha256sum")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A leading backslash marks an escaped file name.
    let found = text.trim_start_matches('\\').split(' ').next();
    match found {
        Some(FIREFOX_SHA256) => Ok(()),
        found => bail!(
            "SHA-256 is {}, expected {FIREFOX_SHA256}",
            found.unwrap_or("unknown")
        ),
    }
}

fn run(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let line = error.lines().rfind(|l| !l.trim().is_empty());
    bail!("{name}: {}", line.unwrap_or("failed without a message"))
}

/// The first file that a checkout must have and this folder has not.
fn missing_file(root: &Path) -> Option<&'static str> {
    [
        "resources/testharness.js",
        "resources/idlharness.js",
        "webcodecs/idlharness.https.any.js",
        "interfaces/webcodecs.idl",
        "common/media.js",
    ]
    .into_iter()
    .find(|file| !root.join(file).is_file())
}

fn git_revision(root: &Path) -> Option<String> {
    // Only the checkout's own repository: the folder may lie inside another one.
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

fn recorded_revision(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(REVISION_FILE)).ok()?;
    Some(text.trim().to_owned())
}

/// `$REELCORE_CACHE`, or `reelcore` below the user's cache folder; `wpt` in it.
fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let base = set("REELCORE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|c| c.join("reelcore")))
        .or_else(|| set("HOME").map(|h| h.join(".cache/reelcore")))
        .context("no cache folder: set REELCORE_CACHE, XDG_CACHE_HOME, HOME or WPT_DIR")?;
    Ok(base.join("wpt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, "").expect("file");
        }
    }

    const COMPLETE: [&str; 5] = [
        "resources/testharness.js",
        "resources/idlharness.js",
        "webcodecs/idlharness.https.any.js",
        "interfaces/webcodecs.idl",
        "common/media.js",
    ];

    #[test]
    fn a_folder_that_is_no_checkout_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("temporary folder");
        put(dir.path(), &COMPLETE[..4]);
        let error = Checkout::find(Some(dir.path())).expect_err("incomplete");
        assert!(error.to_string().contains("common/media.js"), "{error}");
    }

    #[test]
    fn a_given_folder_comes_first_and_its_recorded_revision_is_read() {
        let dir = tempfile::tempdir().expect("temporary folder");
        put(dir.path(), &COMPLETE);
        fs::write(dir.path().join(REVISION_FILE), "abc\n").expect("file");
        let found = Checkout::find(Some(dir.path())).expect("complete");
        assert_eq!(found.root, dir.path());
        assert_eq!(found.revision.as_deref(), Some("abc"));
    }

    #[test]
    fn a_cached_checkout_is_used_without_fetching() {
        let dir = tempfile::tempdir().expect("temporary folder");
        put(&dir.path().join(REVISION), &COMPLETE);
        let found = Checkout::cached(dir.path()).expect("cached");
        assert_eq!(found.revision.as_deref(), Some(REVISION));
    }

    #[test]
    fn a_failed_fetch_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let root = dir.path().join(REVISION);
        let fetched = fetch_into(&root, |into| {
            put(into, &COMPLETE[..2]);
            Ok(())
        });
        let error = fetched.expect_err("incomplete");
        assert!(error.to_string().contains("webcodecs/"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
    }
}
