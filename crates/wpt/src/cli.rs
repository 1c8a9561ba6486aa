//! The command line.

use crate::checkout::{Checkout, REVISION};
use crate::discover::Discovered;
use crate::execute::execute;
use crate::expectations::{Expectations, Kind, Surprise};
use crate::filter::{Filter, selected};
use crate::report::Report;
use crate::schedule::{self, Execute, Limits};
use crate::serve::{OWN_PREFIX, Server};
use crate::status::Outcome;
use anyhow::{Context, Result};
use lexopt::{Arg, Parser, ValueExt};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `--help` prints.
const HELP: &str = "\
Runs the Web Platform Tests of webcodecs/ in the Reelcore runtime.

Usage: reelcore-wpt [OPTIONS] [FILTER...]

FILTER is a part of a test's name, or a pattern with `*` for all of it. Several: any of them. One
that no test matches is bad usage.

Options:
      --update                 take the results over as the new expectations
      --reason TEXT            with --update: the reason of entries that need one and have none
      --list                   print the tests and the skipped files, and run nothing
  -v, --verbose                print failing subtests and the console of each test
  -j, --jobs N                 tests at a time (default: the processors)
      --timeout-multiplier X   stretch the tests' time limits of 10 s and 60 s (default: 3)
      --expectations FILE      default: wpt/expectations.json
      --report FILE            default: wptreport.json
      --tests DIR              the project's own tests (default: wpt/tests, where it exists)
      --wpt-dir DIR            the WPT checkout (default: WPT_DIR, else one in the cache)
  -h, --help                   print this

The last line is `N passed, M failed, K skipped`: subtests, plus one failure for each test whose
harness did not end with OK; skipped are test files that this runtime cannot run.

Exit status: 0 all as expected, 1 surprises, 2 bad usage, 3 the run could not be made.
";

/// Everything ran as the expectations say.
pub const EXPECTED: u8 = 0;
/// A test came to something else than expected.
pub const SURPRISED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// There is no checkout, or a file cannot be read or written.
pub const FAILED: u8 = 3;

#[derive(Debug)]
struct Options {
    filters: Vec<Filter>,
    update: bool,
    reason: Option<String>,
    list: bool,
    verbose: bool,
    jobs: usize,
    multiplier: f32,
    expectations: PathBuf,
    report: PathBuf,
    tests: Option<PathBuf>,
    wpt_dir: Option<PathBuf>,
}

impl Options {
    /// `None` where help was asked for.
    fn parse(mut parser: Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            filters: Vec::new(),
            update: false,
            reason: None,
            list: false,
            verbose: false,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            multiplier: 3.0,
            expectations: PathBuf::from("wpt/expectations.json"),
            report: PathBuf::from("wptreport.json"),
            tests: None,
            wpt_dir: None,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("update") => options.update = true,
                Arg::Long("reason") => options.reason = Some(parser.value()?.string()?),
                Arg::Long("list") => options.list = true,
                Arg::Short('v') | Arg::Long("verbose") => options.verbose = true,
                Arg::Short('j') | Arg::Long("jobs") => {
                    options.jobs = parser.value()?.parse_with(|text| match text.parse() {
                        Ok(jobs @ 1..=256) => Ok(jobs),
                        _ => Err("expected a number from 1 to 256"),
                    })?;
                }
                Arg::Long("timeout-multiplier") => {
                    options.multiplier = parser.value()?.parse_with(|text| match text.parse() {
                        Ok(x) if (0.01..=1000.0).contains(&x) => Ok(x),
                        _ => Err("expected a number from 0.01 to 1000"),
                    })?;
                }
                Arg::Long("expectations") => options.expectations = parser.value()?.into(),
                Arg::Long("report") => options.report = parser.value()?.into(),
                Arg::Long("tests") => options.tests = Some(parser.value()?.into()),
                Arg::Long("wpt-dir") => options.wpt_dir = Some(parser.value()?.into()),
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Value(filter) => options.filters.push(Filter::new(&filter.string()?)),
                other => return Err(other.unexpected()),
            }
        }
        if options.reason.is_some() && !options.update {
            return Err("--reason goes with --update".into());
        }
        Ok(Some(options))
    }
}

/// Runs the command line of this process; gives its exit status.
pub fn main() -> u8 {
    let options = match Options::parse(Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print(HELP);
            return EXPECTED;
        }
        Err(error) => {
            eprintln!("reelcore-wpt: {error}\nTry --help.");
            return USAGE;
        }
    };
    match run(&options) {
        Ok(0) => EXPECTED,
        Ok(_) => SURPRISED,
        Err(error) => {
            eprintln!("reelcore-wpt: {error:#}");
            match error.is::<NothingSelected>() {
                true => USAGE,
                false => FAILED,
            }
        }
    }
}

/// Filters that no test matches: a typing error would pass for a run without surprises.
#[derive(Debug)]
struct NothingSelected(Vec<String>);

impl NothingSelected {
    /// Fails if one of the filters matches none of the identifiers.
    fn check<'a>(
        filters: &[Filter],
        ids: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Self> {
        let idle = |filter: &&Filter| !ids.clone().any(|id| filter.matches(id));
        let idle: Vec<_> = filters
            .iter()
            .filter(idle)
            .map(ToString::to_string)
            .collect();
        match idle.is_empty() {
            true => Ok(()),
            false => Err(Self(idle)),
        }
    }
}

impl fmt::Display for NothingSelected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no test matches {}", self.0.join(", "))
    }
}

impl std::error::Error for NothingSelected {}

/// Gives the number of surprises.
fn run(options: &Options) -> Result<usize> {
    let checkout = Checkout::find(options.wpt_dir.as_deref())?;
    let default_tests = Path::new("wpt/tests");
    let own = match &options.tests {
        Some(tests) => Some(tests.as_path()),
        None => default_tests.is_dir().then_some(default_tests),
    };
    let mut found = Discovered::read(&checkout.root.join("webcodecs"), "/webcodecs/")?;
    if let Some(own) = own {
        found.extend(Discovered::read(own, OWN_PREFIX)?);
    }
    let mut expectations = Expectations::read(&options.expectations)?;
    let is_selected = |id: &str| selected(&options.filters, id);

    let known: BTreeSet<String> = found.tests.iter().map(|test| test.id.clone()).collect();
    let mut skipped: Vec<(String, String)> = found
        .skipped
        .iter()
        .map(|file| (file.id.clone(), file.reason.to_owned()))
        .collect();
    let all = known.iter().chain(skipped.iter().map(|(id, _)| id));
    // A test that is only expected can be asked for, too: that it has gone is a surprise.
    let all = all.chain(expectations.0.keys()).map(String::as_str);
    NothingSelected::check(&options.filters, all)?;
    found.tests.retain(|test| is_selected(&test.id));
    skipped.retain(|(id, _)| is_selected(id));
    let disabled = |id: &str| expectations.0.get(id).and_then(|e| e.disabled.clone());
    found.tests.retain(|test| match disabled(&test.id) {
        Some(reason) => {
            skipped.push((test.id.clone(), format!("disabled: {reason}")));
            false
        }
        None => true,
    });
    if options.list {
        let mut text = String::new();
        for test in &found.tests {
            let _ = writeln!(text, "{}", test.id);
        }
        for (id, reason) in &skipped {
            let _ = writeln!(text, "{id}  (skipped: {reason})");
        }
        print(&text);
        return Ok(0);
    }

    let server = Server::new(&checkout.root, own)
        .with_context(|| format!("cannot serve {}", checkout.root.display()))?;
    let server = Arc::new(server);
    let execute: Arc<Execute> =
        Arc::new(move |test, session, time| execute(&server, test, session, time));
    // V8 wants to start on a parent of every thread that uses it.
    reelcore_runtime::init_platform();

    let mut report = Report::start(checkout.revision.clone());
    let mut surprises: Vec<(String, Vec<Surprise>)> = Vec::new();
    let (mut passed, mut failed) = (0, 0);
    let (mut passes_as_expected, mut failures_as_expected) = (0, 0);
    let limits = Limits::new(options.jobs, options.multiplier);
    let mut outcomes = Vec::new();
    let mut ended = 0;
    schedule::run(&found.tests, &limits, &execute, |index, outcome| {
        let Some(test) = found.tests.get(index) else {
            return;
        };
        ended += 1;
        passed += outcome.passed();
        failed += outcome.failed();
        let entry = expectations.0.get(&test.id);
        report.add(&test.id, &outcome, entry);
        let found_surprises = match entry {
            Some(entry) => {
                let list = entry.compare(&outcome);
                let new = |kind| list.iter().filter(move |s| s.kind == kind);
                let new_passes = new(Kind::NewPass).filter(|s| s.subtest.is_some());
                passes_as_expected += outcome.passed().saturating_sub(new_passes.count());
                // A broken harness counts as a failure, as a new one does.
                let new_failures = new(Kind::NewFailure).count();
                failures_as_expected += outcome.failed().saturating_sub(new_failures);
                list
            }
            None => vec![Surprise::unknown(&outcome)],
        };
        let surprising = !options.update && !found_surprises.is_empty();
        print(&lines(
            &test.id,
            &outcome,
            (ended, found.tests.len()),
            surprising,
            options.verbose,
        ));
        if !found_surprises.is_empty() {
            surprises.push((test.id.clone(), found_surprises));
        }
        outcomes.push((test.id.clone(), outcome));
    });
    for (id, reason) in &skipped {
        report.add(id, &Outcome::skipped(reason), None);
        print(&format!("SKIP     {id}  ({reason})\n"));
    }
    let vanished: Vec<String> = expectations
        .0
        .keys()
        .filter(|id| is_selected(id) && !known.contains(*id))
        .cloned()
        .collect();
    report.finish(&options.report)?;

    if options.update {
        for id in &vanished {
            expectations.0.remove(id);
        }
        for (id, outcome) in &outcomes {
            expectations.update(id, outcome, options.reason.as_deref());
        }
        expectations.write(&options.expectations)?;
        let unexplained = expectations.without_reason().count();
        print(&format!(
            "wpt: {} updated: {} tests changed, {} removed, {unexplained} without a reason\n",
            options.expectations.display(),
            surprises.len(),
            vanished.len(),
        ));
        surprises.clear();
    } else {
        surprises.extend(
            vanished
                .into_iter()
                .map(|id| (id, vec![Surprise::vanished()])),
        );
        surprises.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let count = surprises.iter().map(|(_, list)| list.len()).sum();
    print(&surprise_lines(&surprises, checkout.revision.as_deref()));
    print(&format!(
        "wpt: {count} surprises, {passes_as_expected} passes and {failures_as_expected} failures as \
         expected, in {} tests; report in {}\n{passed} passed, {failed} failed, {} skipped\n",
        found.tests.len(),
        options.report.display(),
        skipped.len()
    ));
    Ok(count)
}

/// The line of a test, and what `--verbose` adds to it.
fn lines(
    id: &str,
    outcome: &Outcome,
    (ended, of): (usize, usize),
    surprising: bool,
    verbose: bool,
) -> String {
    let mut text = String::new();
    let width = of.to_string().len();
    let _ = writeln!(
        text,
        "{:<8} {:>4}/{:<4} {:>6.2} s  [{ended:>width$}/{of}] {id}{}",
        outcome.status,
        outcome.passed(),
        outcome.subtests.len(),
        outcome.duration.as_secs_f32(),
        if surprising { "  <- surprise" } else { "" },
    );
    if verbose {
        if let Some(message) = &outcome.message {
            let _ = writeln!(text, "    {}", indented(message));
        }
        for subtest in &outcome.subtests {
            if subtest.status != crate::status::SubtestStatus::Pass {
                let message = subtest.message.as_deref().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "    {} {}: {}",
                    subtest.status,
                    subtest.name,
                    indented(message)
                );
            }
        }
        for line in &outcome.log {
            let _ = writeln!(text, "    | {}", line.replace('\n', "\n    | "));
        }
    }
    text
}

fn surprise_lines(surprises: &[(String, Vec<Surprise>)], revision: Option<&str>) -> String {
    let mut text = String::new();
    for (id, list) in surprises {
        let _ = writeln!(text, "\n{id}");
        for surprise in list {
            let subtest = surprise.subtest.as_deref();
            let _ = writeln!(
                text,
                "  {:<10} {}{}",
                surprise.kind,
                subtest.map(|name| format!("{name}: ")).unwrap_or_default(),
                surprise.detail
            );
            if let Some(message) = &surprise.message {
                let _ = writeln!(text, "    {}", indented(message));
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
        if revision != Some(REVISION) {
            let _ = writeln!(
                text,
                "wpt: the expectations speak of WPT {REVISION}; this checkout is {}",
                revision.unwrap_or("of an unknown revision")
            );
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// Prints at once. A closed pipe (`| head`) is no reason to fail the run.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(Parser::from_args(arguments))
    }

    #[test]
    fn filters_and_options_mix_in_any_order() {
        let options = parse(&["a", "--jobs", "3", "b", "--update", "--reason=r"]);
        let options = options.expect("good").expect("no help");
        assert_eq!(options.filters.len(), 2);
        assert_eq!(options.jobs, 3);
        assert_eq!(options.reason.as_deref(), Some("r"));
    }

    #[test]
    fn bad_command_lines_are_refused() {
        for bad in [
            &["--jobs", "0"][..],
            &["--jobs"],
            &["--timeout-multiplier", "NaN"],
            &["--reason", "r"],
            &["--updat"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn filters_that_match_no_test_are_named() {
        let filters = ["dio", "viedo", "*/none.html"].map(Filter::new);
        let ids = ["/webcodecs/audio.html", "/webcodecs/video.html"];
        let error = NothingSelected::check(&filters, ids.into_iter()).expect_err("two are wrong");
        assert_eq!(error.to_string(), "no test matches viedo, */none.html");
        NothingSelected::check(&filters[..1], ids.into_iter()).expect("it matches one");
        NothingSelected::check(&[], ids.into_iter()).expect("there are none");
    }

    #[test]
    fn another_revision_is_named_only_beside_surprises() {
        assert_eq!(surprise_lines(&[], None), "");
        let list = [("/t".to_owned(), vec![Surprise::vanished()])];
        assert!(surprise_lines(&list, Some("abc")).contains("abc"));
        assert!(!surprise_lines(&list, Some(REVISION)).contains(REVISION));
    }
}
