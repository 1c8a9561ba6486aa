//! From folders of test files to the list of tests, each one file and one variant.

use crate::meta::Meta;
use anyhow::{Context, Result};
use deno_core::url::Url;
use std::fs;
use std::path::{Path, PathBuf};

/// Host name that wptserve gives tests. Its subdomains are served too.
pub const HOST: &str = "web-platform.test";
/// wptserve's first HTTP port.
pub const HTTP_PORT: u16 = 8000;
/// wptserve's first HTTPS port.
pub const HTTPS_PORT: u16 = 8443;

/// One test: a file with one of its variants.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// The identifier of reports and expectations: the URL path of the page that would run it in a
    /// browser, such as `/webcodecs/x.https.any.worker.html?av1`.
    pub id: String,
    /// URL path of the test script, such as `/webcodecs/x.https.any.js`.
    pub script: String,
    /// Where the script is on disk.
    pub file: PathBuf,
    /// What its META lines say.
    pub meta: Meta,
    /// The URL of the worker's script, hence its `location` and base URL.
    pub location: Url,
}

impl TestCase {
    /// Whether the page is a secure context: only HTTPS is, on wptserve's host name.
    pub fn secure_context(&self) -> bool {
        self.location.scheme() == "https"
    }
}

/// A test file that this runner does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The identifier that reports give it.
    pub id: String,
    /// Why it is not run.
    pub reason: &'static str,
}

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    /// The tests to run, sorted by identifier.
    pub tests: Vec<TestCase>,
    /// The test files that are not run, sorted by identifier.
    pub skipped: Vec<Skipped>,
}

impl Discovered {
    /// Finds the tests below `folder`, which is served at the URL path `prefix` (`/webcodecs/`).
    pub fn read(folder: &Path, prefix: &str) -> Result<Self> {
        let mut found = Self::default();
        found.read_folder(folder, prefix)?;
        found.tests.sort_by(|a, b| a.id.cmp(&b.id));
        found.skipped.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// Joins the tests of another folder to these.
    pub fn extend(&mut self, other: Self) {
        self.tests.extend(other.tests);
        self.skipped.extend(other.skipped);
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder)
            .with_context(|| format!("cannot list the test folder {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if path.is_dir() {
                if name != "resources" && name != "support" {
                    self.read_folder(&path, &format!("{prefix}{name}/"))?;
                }
                continue;
            }
            self.read_file(path, prefix, &name)?;
        }
        Ok(())
    }

    fn read_file(&mut self, path: PathBuf, prefix: &str, name: &str) -> Result<()> {
        let id = format!("{prefix}{name}");
        if let Some(stem) = name.strip_suffix(".any.js") {
            let source = read_text(&path)?;
            let meta = Meta::parse(&source);
            if !meta.runs_in_dedicated_worker() {
                self.skipped.push(Skipped {
                    id: format!("{prefix}{stem}.any.html"),
                    reason: "declares no dedicated worker global",
                });
                return Ok(());
            }
            let none = [String::new()];
            let variants: &[String] = if meta.variants.is_empty() {
                &none
            } else {
                &meta.variants
            };
            for variant in variants {
                let worker = format!("{prefix}{stem}.any.worker.js{variant}");
                self.tests.push(TestCase {
                    id: format!("{prefix}{stem}.any.worker.html{variant}"),
                    script: id.clone(),
                    file: path.clone(),
                    meta: meta.clone(),
                    location: location(&worker, name)?,
                });
            }
        } else if name.ends_with(".window.js") {
            self.skipped.push(Skipped {
                id,
                reason: "runs in a window only",
            });
        } else if name.ends_with(".worker.js") || name.ends_with(".serviceworker.js") {
            // A `.worker.js` test imports testharness.js itself; `x.serviceworker.js` is a helper
            // unless it does.
            if read_text(&path)?.contains("testharness.js") {
                self.skipped.push(Skipped {
                    id,
                    reason: "needs importScripts",
                });
            }
        } else if name.ends_with(".html") || name.ends_with(".htm") {
            // Pages that are no test of their own (helpers in frames) do not load the harness.
            if name.contains("-crash.") || read_text(&path)?.contains("testharness.js") {
                self.skipped.push(Skipped {
                    id,
                    reason: "needs a document",
                });
            }
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The scheme follows from the flags in the file name, as in wptserve: `.https.` and `.h2.` ask
/// for TLS, everything else is plain HTTP (and so not a secure context).
fn location(path: &str, name: &str) -> Result<Url> {
    let tls = name.split('.').any(|flag| flag == "https" || flag == "h2");
    let text = if tls {
        format!("https://{HOST}:{HTTPS_PORT}{path}")
    } else {
        format!("http://{HOST}:{HTTP_PORT}{path}")
    };
    Url::parse(&text).with_context(|| format!("{path} does not make a URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary folder");
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        };
        put(
            "a.https.any.js",
            "// META: variant=?x\n// META: variant=?y\n",
        );
        put("b.any.js", "test(() => {});");
        put("c.any.js", "// META: global=window\n");
        put("d.window.js", "");
        put("e.html", "<script src=/resources/testharness.js></script>");
        put("e.helper.html", "<p>");
        put("f-crash.https.html", "<p>");
        put("sub/g.any.js", "");
        put("resources/h.any.js", "");
        put("utils.js", "");
        dir
    }

    #[test]
    fn each_variant_is_a_test_and_flags_choose_the_scheme() {
        let dir = folder();
        let found = Discovered::read(dir.path(), "/t/").expect("read");
        let ids: Vec<_> = found.tests.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "/t/a.https.any.worker.html?x",
                "/t/a.https.any.worker.html?y",
                "/t/b.any.worker.html",
                "/t/sub/g.any.worker.html",
            ]
        );
        assert_eq!(
            found.tests[1].location.as_str(),
            "https://web-platform.test:8443/t/a.https.any.worker.js?y"
        );
        assert!(found.tests[1].secure_context());
        assert_eq!(
            found.tests[2].location.as_str(),
            "http://web-platform.test:8000/t/b.any.worker.js"
        );
        assert!(!found.tests[2].secure_context());
    }

    #[test]
    fn tests_that_cannot_run_are_listed_and_helpers_are_not() {
        let dir = folder();
        let found = Discovered::read(dir.path(), "/t/").expect("read");
        let ids: Vec<_> = found.skipped.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "/t/c.any.html",
                "/t/d.window.js",
                "/t/e.html",
                "/t/f-crash.https.html"
            ]
        );
    }
}
