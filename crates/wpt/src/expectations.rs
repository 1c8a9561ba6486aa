//! `wpt/expectations.json`: what each test is known to come to, and what differs from that.
//!
//! The file maps a test's identifier to an [`Entry`]. It holds only what is not a plain pass, and
//! the number of subtests that pass, so that a subtest that disappears is noticed too.

use crate::status::{Outcome, SubtestStatus, TestStatus};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// One status, or several for a test that is known to vary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Expected<T> {
    /// Always this.
    One(T),
    /// Any of these.
    Any(Vec<T>),
}

impl<T: PartialEq + Copy + fmt::Display> Expected<T> {
    /// Whether `status` is expected.
    pub fn allows(&self, status: T) -> bool {
        match self {
            Self::One(one) => *one == status,
            Self::Any(any) => any.contains(&status),
        }
    }

    /// The statuses as reports give them: the expected one, and those that are known to come instead.
    pub fn for_report(&self) -> (Option<T>, &[T]) {
        match self {
            Self::One(one) => (Some(*one), &[]),
            Self::Any(any) => match any.split_first() {
                Some((first, others)) => (Some(*first), others),
                None => (None, &[]),
            },
        }
    }
}

impl<T: fmt::Display> fmt::Display for Expected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => one.fmt(f),
            Self::Any(any) => {
                for (index, status) in any.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " or " };
                    write!(f, "{separator}{status}")?;
                }
                Ok(())
            }
        }
    }
}

/// What is known of one test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Why it does not pass whole. `--update` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The test is not run, for this reason. `--update` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// Status of the harness; OK where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Expected<TestStatus>>,
    /// How many subtests pass, those listed in `subtests` left out.
    #[serde(default)]
    pub passed: usize,
    /// The subtests that do not pass, or not always.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subtests: BTreeMap<String, Expected<SubtestStatus>>,
}

impl Entry {
    /// The entry that expects exactly `outcome`. What `old` says in words, and its lists of several
    /// statuses that still hold, are kept.
    pub fn record(outcome: &Outcome, old: Option<&Self>) -> Self {
        let mut entry = Self::default();
        if let Some(old) = old {
            entry.disabled.clone_from(&old.disabled);
            if old.disabled.is_some() {
                return old.clone();
            }
        }
        let kept = old.and_then(|old| old.status.as_ref());
        entry.status = match kept {
            Some(any @ Expected::Any(_)) if any.allows(outcome.status) => Some(any.clone()),
            _ if outcome.status == TestStatus::Ok => None,
            _ => Some(Expected::One(outcome.status)),
        };
        for subtest in &outcome.subtests {
            let kept = old.and_then(|old| old.subtests.get(&subtest.name));
            let expected = match kept {
                Some(any @ Expected::Any(_)) if any.allows(subtest.status) => any.clone(),
                _ if subtest.status == SubtestStatus::Pass => {
                    entry.passed += 1;
                    continue;
                }
                _ => Expected::One(subtest.status),
            };
            entry.subtests.insert(subtest.name.clone(), expected);
        }
        if !entry.passes() {
            entry.reason = old.and_then(|old| old.reason.clone());
        }
        entry
    }

    /// Whether nothing but passes is expected.
    pub fn passes(&self) -> bool {
        self.disabled.is_none() && self.status.is_none() && self.subtests.is_empty()
    }

    /// Where `outcome` differs from this entry.
    pub fn compare(&self, outcome: &Outcome) -> Vec<Surprise> {
        let mut surprises = Vec::new();
        let expected = self.status.clone();
        let expected = expected.unwrap_or(Expected::One(TestStatus::Ok));
        if !expected.allows(outcome.status) {
            surprises.push(Surprise {
                kind: if outcome.status == TestStatus::Ok {
                    Kind::NewPass
                } else {
                    Kind::NewFailure
                },
                subtest: None,
                detail: format!("harness: expected {expected}, was {}", outcome.status),
                message: outcome.message.clone(),
            });
        }
        let mut passed = 0;
        let mut seen = BTreeSet::new();
        for subtest in &outcome.subtests {
            seen.insert(subtest.name.as_str());
            let pass = subtest.status == SubtestStatus::Pass;
            let expected = match self.subtests.get(&subtest.name) {
                Some(expected) => expected.clone(),
                None => {
                    passed += usize::from(pass);
                    Expected::One(SubtestStatus::Pass)
                }
            };
            if !expected.allows(subtest.status) {
                surprises.push(Surprise {
                    kind: if pass {
                        Kind::NewPass
                    } else {
                        Kind::NewFailure
                    },
                    subtest: Some(subtest.name.clone()),
                    detail: format!("expected {expected}, was {}", subtest.status),
                    message: subtest.message.clone(),
                });
            }
        }
        for (name, expected) in &self.subtests {
            if !seen.contains(name.as_str()) {
                surprises.push(Surprise {
                    kind: Kind::Vanished,
                    subtest: Some(name.clone()),
                    detail: format!("expected {expected}, was not reported"),
                    message: None,
                });
            }
        }
        // A subtest that should pass is not listed by name; the count shows that one is gone or
        // new. One that newly fails was told above.
        let unlisted_failures = surprises
            .iter()
            .filter_map(|s| s.subtest.as_ref())
            .filter(|name| !self.subtests.contains_key(*name))
            .count();
        if passed + unlisted_failures != self.passed {
            surprises.push(Surprise {
                kind: if passed + unlisted_failures < self.passed {
                    Kind::Vanished
                } else {
                    Kind::New
                },
                subtest: None,
                detail: format!(
                    "expected {} passing subtests besides the listed ones, found {passed}",
                    self.passed
                ),
                message: None,
            });
        }
        surprises
    }
}

/// In which way a result surprises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was to pass, or to fail in another way.
    NewFailure,
    /// It was not to pass.
    NewPass,
    /// It was to be there.
    Vanished,
    /// Nothing was known of it.
    New,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NewFailure => "FAILS NOW",
            Self::NewPass => "PASSES NOW",
            Self::Vanished => "VANISHED",
            Self::New => "NEW",
        })
    }
}

/// One difference from the expectations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// In which way.
    pub kind: Kind,
    /// Which subtest; `None` for the test as a whole.
    pub subtest: Option<String>,
    /// What was expected and what was found.
    pub detail: String,
    /// What the test said.
    pub message: Option<String>,
}

impl Surprise {
    /// For a test that has no entry.
    pub fn unknown(outcome: &Outcome) -> Self {
        Self {
            kind: Kind::New,
            subtest: None,
            detail: format!(
                "no expectation; {} passed, {} failed",
                outcome.passed(),
                outcome.failed()
            ),
            message: outcome.message.clone(),
        }
    }

    /// For an entry whose test is gone.
    pub fn vanished() -> Self {
        Self {
            kind: Kind::Vanished,
            subtest: None,
            detail: "in the expectations, but there is no such test".to_owned(),
            message: None,
        }
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expectations(pub BTreeMap<String, Entry>);

impl Expectations {
    /// Reads the file; one that does not exist is empty.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let read: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is bad", path.display()))?;
        for (test, entry) in &read.0 {
            let varies = matches!(entry.status, Some(Expected::Any(_)))
                || entry
                    .subtests
                    .values()
                    .any(|s| matches!(s, Expected::Any(_)));
            if varies && entry.reason.is_none() {
                bail!(
                    "{}: {test} lists several statuses and so needs a reason",
                    path.display()
                );
            }
        }
        Ok(read)
    }

    /// Writes the file, sorted and indented, through a temporary one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot make JSON")?;
        text.push('\n');
        let partial = path.with_extension(format!("json.{}", std::process::id()));
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes the outcome of a test over. `reason` is given to an entry that needs one and has none.
    pub fn update(&mut self, test: &str, outcome: &Outcome, reason: Option<&str>) {
        let mut entry = Entry::record(outcome, self.0.get(test));
        if !entry.passes() && entry.reason.is_none() && entry.disabled.is_none() {
            entry.reason = reason.map(str::to_owned);
        }
        self.0.insert(test.to_owned(), entry);
    }

    /// The entries that expect something else than passes and do not say why.
    pub fn without_reason(&self) -> impl Iterator<Item = &str> {
        let unexplained =
            |entry: &Entry| !entry.passes() && entry.disabled.is_none() && entry.reason.is_none();
        let entries = self.0.iter().filter(move |(_, entry)| unexplained(entry));
        entries.map(|(test, _)| test.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Subtest;
    use std::time::Duration;

    fn outcome(status: TestStatus, subtests: &[(&str, SubtestStatus)]) -> Outcome {
        Outcome {
            status,
            message: None,
            subtests: subtests
                .iter()
                .map(|(name, status)| Subtest {
                    name: (*name).to_owned(),
                    status: *status,
                    message: None,
                })
                .collect(),
            log: Vec::new(),
            duration: Duration::ZERO,
        }
    }

    use SubtestStatus::{Fail, Pass, Timeout};

    fn kinds(entry: &Entry, outcome: &Outcome) -> Vec<(Kind, Option<String>)> {
        let surprises = entry.compare(outcome).into_iter();
        surprises.map(|s| (s.kind, s.subtest)).collect()
    }

    fn named(kind: Kind, name: &str) -> (Kind, Option<String>) {
        (kind, Some(name.to_owned()))
    }

    #[test]
    fn what_was_recorded_is_no_surprise() {
        let was = outcome(TestStatus::Error, &[("a", Pass), ("b", Fail)]);
        let entry = Entry::record(&was, None);
        assert_eq!(entry.passed, 1);
        assert_eq!(kinds(&entry, &was), []);
    }

    #[test]
    fn every_change_of_a_subtest_is_a_surprise() {
        let entry = Entry::record(&outcome(TestStatus::Ok, &[("a", Pass), ("b", Fail)]), None);
        let compare = |subtests: &[_]| kinds(&entry, &outcome(TestStatus::Ok, subtests));
        assert_eq!(
            compare(&[("a", Fail), ("b", Fail)]),
            [named(Kind::NewFailure, "a")]
        );
        assert_eq!(
            compare(&[("a", Pass), ("b", Pass)]),
            [named(Kind::NewPass, "b")]
        );
        assert_eq!(
            compare(&[("a", Pass), ("b", Timeout)]),
            [named(Kind::NewFailure, "b")]
        );
        assert_eq!(compare(&[("a", Pass)]), [named(Kind::Vanished, "b")]);
        assert_eq!(compare(&[("b", Fail)]), [(Kind::Vanished, None)]);
        assert_eq!(
            compare(&[("a", Pass), ("b", Fail), ("c", Pass)]),
            [(Kind::New, None)]
        );
        // Neither hides the other: one passing subtest went, a failing one came.
        assert_eq!(
            compare(&[("b", Fail), ("c", Fail), ("d", Fail)]).len(),
            3,
            "two new failures, and the count"
        );
    }

    #[test]
    fn the_harness_status_is_compared() {
        let entry = Entry::record(&outcome(TestStatus::Ok, &[]), None);
        let crash = outcome(TestStatus::Crash, &[]);
        assert_eq!(kinds(&entry, &crash), [(Kind::NewFailure, None)]);
        let entry = Entry::record(&crash, None);
        let ok = outcome(TestStatus::Ok, &[]);
        assert_eq!(kinds(&entry, &ok), [(Kind::NewPass, None)]);
    }

    #[test]
    fn update_keeps_reasons_and_lists_and_drops_a_reason_that_no_longer_holds() {
        let text = r#"{"/t": {"reason": "r", "passed": 0,
            "subtests": {"a": ["PASS", "FAIL"], "b": "FAIL"}}}"#;
        let mut file: Expectations = serde_json::from_str(text).expect("json");
        file.update(
            "/t",
            &outcome(TestStatus::Ok, &[("a", Fail), ("b", Pass)]),
            None,
        );
        let entry = &file.0["/t"];
        assert_eq!(entry.reason.as_deref(), Some("r"));
        assert_eq!(entry.passed, 1);
        assert_eq!(
            entry.subtests["a"],
            Expected::Any(vec![Pass, Fail]),
            "the list still holds"
        );
        file.update("/t", &outcome(TestStatus::Ok, &[("b", Pass)]), Some("new"));
        assert_eq!(file.0["/t"].reason, None);
        file.update("/t", &outcome(TestStatus::Ok, &[("b", Fail)]), Some("new"));
        assert_eq!(file.0["/t"].reason.as_deref(), Some("new"));
    }

    #[test]
    fn a_disabled_test_stays_disabled() {
        let text = r#"{"/t": {"disabled": "d"}}"#;
        let mut file: Expectations = serde_json::from_str(text).expect("json");
        file.update("/t", &Outcome::skipped("d"), None);
        assert_eq!(file.0["/t"].disabled.as_deref(), Some("d"));
    }

    #[test]
    fn the_file_survives_writing_and_rejects_unknown_members_and_unexplained_lists() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("expectations.json");
        assert_eq!(
            Expectations::read(&path).expect("missing"),
            Expectations::default()
        );
        let mut file = Expectations::default();
        let was = outcome(TestStatus::Timeout, &[("é \"x\"", Timeout), ("p", Pass)]);
        file.update("/t?v", &was, None);
        file.write(&path).expect("write");
        assert_eq!(Expectations::read(&path).expect("read"), file);
        assert_eq!(file.without_reason().collect::<Vec<_>>(), ["/t?v"]);
        for bad in [
            r#"{"/t": {"pased": 1}}"#,
            r#"{"/t": {"subtests": {"a": ["PASS", "FAIL"]}}}"#,
            r#"{"/t": {"status": "OKAY"}}"#,
        ] {
            fs::write(&path, bad).expect("write");
            assert!(Expectations::read(&path).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_expectation_of_this_repository_that_is_not_a_pass_says_why() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wpt/expectations.json");
        let file = Expectations::read(&path).expect("read");
        assert_ne!(file, Expectations::default());
        assert_eq!(file.without_reason().collect::<Vec<_>>(), [""; 0]);
    }
}
