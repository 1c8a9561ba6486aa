//! The `// META:` lines at the top of a `.any.js` file.
//!
//! <https://web-platform-tests.org/writing-tests/testharness.html#multi-global-tests>

/// What the META lines of one file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `script=`: scripts to load before the test, in order, as written.
    pub scripts: Vec<String>,
    /// `variant=`: query strings (each starts with `?` or `#`, or is empty). Empty: one run without a query.
    pub variants: Vec<String>,
    /// `timeout=long`.
    pub long_timeout: bool,
    /// `global=`, as written, split at commas; `None` where the line is missing.
    pub globals: Option<Vec<String>>,
    /// `title=`.
    pub title: Option<String>,
}

impl Meta {
    /// Reads the META lines. As in wptserve, they end at the first line that is not one.
    pub fn parse(source: &str) -> Self {
        let mut meta = Self::default();
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        for line in source.lines() {
            let Some((key, value)) = meta_line(line) else {
                break;
            };
            match key {
                "script" => meta.scripts.push(value.to_owned()),
                "variant" => meta.variants.push(value.to_owned()),
                "timeout" => meta.long_timeout |= value == "long",
                "title" => meta.title = Some(value.to_owned()),
                "global" => {
                    let globals = value.split(',').map(|g| g.trim().to_owned()).collect();
                    meta.globals = Some(globals);
                }
                _ => {}
            }
        }
        meta
    }

    /// Whether the file declares the dedicated worker as one of its globals. A file without a
    /// `global` line runs in a window and in a dedicated worker.
    pub fn runs_in_dedicated_worker(&self) -> bool {
        match &self.globals {
            None => true,
            Some(globals) => globals
                .iter()
                .any(|g| matches!(g.as_str(), "dedicatedworker" | "worker")),
        }
    }
}

/// `// META: key=value`, with the white space that wptserve's pattern allows.
fn meta_line(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("//")?.trim_start();
    let rest = rest.strip_prefix("META:")?.trim_start();
    let (key, value) = rest.split_once('=')?;
    let word = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    word.then(|| (key, value.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_the_first_other_line_ends_them() {
        let meta = Meta::parse(
            "// META: global=window,dedicatedworker\n//META:script=/common/media.js\r\n\
             // META: script=./utils.js\n// META: variant=?av1\n// META: variant=?vp8\n\
             // META: timeout=long\n// META: title=A title\n\n// META: script=/late.js\n",
        );
        assert_eq!(meta.scripts, ["/common/media.js", "./utils.js"]);
        assert_eq!(meta.variants, ["?av1", "?vp8"]);
        assert!(meta.long_timeout);
        assert_eq!(meta.title.as_deref(), Some("A title"));
        assert!(meta.runs_in_dedicated_worker());
    }

    #[test]
    fn the_default_globals_hold_the_dedicated_worker_and_window_alone_does_not() {
        assert!(Meta::parse("promise_test(() => {});").runs_in_dedicated_worker());
        assert!(!Meta::parse("// META: global=window").runs_in_dedicated_worker());
        assert!(!Meta::parse("// META: global=window,serviceworker").runs_in_dedicated_worker());
        assert!(Meta::parse("// META: global=worker").runs_in_dedicated_worker());
        assert!(!Meta::parse("// META: global=!dedicatedworker").runs_in_dedicated_worker());
    }

    #[test]
    fn a_timeout_other_than_long_is_the_normal_one() {
        assert!(!Meta::parse("// META: timeout=normal").long_timeout);
    }
}
