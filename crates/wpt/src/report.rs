//! `wptreport.json`, in the form that wptrunner writes and wpt.fyi reads.
//!
//! <https://github.com/web-platform-tests/wpt/blob/master/tools/wptrunner/wptrunner/formatters/wptreport.py>

use crate::expectations::Entry;
use crate::status::{Outcome, SubtestStatus, TestStatus};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    run_info: RunInfo,
    /// Milliseconds since the epoch.
    time_start: u64,
    /// Milliseconds since the epoch.
    time_end: u64,
    results: Vec<TestResult>,
}

#[derive(Debug, Serialize)]
struct RunInfo {
    product: &'static str,
    browser_version: &'static str,
    os: &'static str,
    processor: &'static str,
    bits: u32,
    debug: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
}

#[derive(Debug, Serialize)]
struct TestResult {
    test: String,
    status: TestStatus,
    message: Option<String>,
    /// Milliseconds.
    duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<TestStatus>,
    known_intermittent: Vec<TestStatus>,
    subtests: Vec<SubtestResult>,
}

#[derive(Debug, Serialize)]
struct SubtestResult {
    name: String,
    status: SubtestStatus,
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<SubtestStatus>,
    known_intermittent: Vec<SubtestStatus>,
}

impl Report {
    /// Starts a report now. `revision`: the commit of the checkout.
    pub fn start(revision: Option<String>) -> Self {
        let now = milliseconds();
        Self {
            run_info: RunInfo {
                product: "reelcore",
                browser_version: env!("CARGO_PKG_VERSION"),
                os: std::env::consts::OS,
                processor: std::env::consts::ARCH,
                bits: usize::BITS,
                debug: cfg!(debug_assertions),
                revision,
            },
            time_start: now,
            time_end: now,
            results: Vec::new(),
        }
    }

    /// Adds a test. `expected` stands in the report only where it differs from what happened; of several statuses that are
    /// expected it is the first, and `known_intermittent` has the others.
    pub fn add(&mut self, test: &str, outcome: &Outcome, entry: Option<&Entry>) {
        let (expected, intermittent) = match entry.map(|entry| &entry.status) {
            Some(Some(listed)) => listed.for_report(),
            Some(None) if outcome.status != TestStatus::Skip => (Some(TestStatus::Ok), &[][..]),
            _ => (None, &[][..]),
        };
        self.results.push(TestResult {
            test: test.to_owned(),
            status: outcome.status,
            message: outcome.message.clone(),
            duration: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
            expected: expected.filter(|expected| *expected != outcome.status),
            known_intermittent: intermittent.to_vec(),
            subtests: outcome
                .subtests
                .iter()
                .map(|subtest| {
                    let (expected, intermittent) =
                        match entry.map(|entry| entry.subtests.get(&subtest.name)) {
                            Some(Some(listed)) => listed.for_report(),
                            Some(None) => (Some(SubtestStatus::Pass), &[][..]),
                            None => (None, &[][..]),
                        };
                    SubtestResult {
                        name: subtest.name.clone(),
                        status: subtest.status,
                        message: subtest.message.clone(),
                        expected: expected.filter(|expected| *expected != subtest.status),
                        known_intermittent: intermittent.to_vec(),
                    }
                })
                .collect(),
        });
    }

    /// Ends the report now and writes it, sorted by test.
    pub fn finish(mut self, path: &Path) -> Result<()> {
        self.time_end = milliseconds();
        self.results.sort_by(|a, b| a.test.cmp(&b.test));
        let write = || -> Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            serde_json::to_writer(&mut file, &self)?;
            file.flush()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write the report {}", path.display()))
    }
}

fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectations::Expected;
    use crate::status::Subtest;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_status_that_is_known_to_vary_is_in_the_report_with_all_it_may_be() {
        use SubtestStatus::{Fail, Pass, Timeout};

        let subtest = |name: &str, status| Subtest {
            name: name.to_owned(),
            status,
            message: None,
        };
        let varies = || Expected::Any(vec![Pass, Fail]);
        let entry = Entry {
            status: Some(Expected::Any(vec![TestStatus::Ok, TestStatus::Timeout])),
            subtests: ["a", "b", "c"]
                .map(|name| (name.to_owned(), varies()))
                .into(),
            ..Entry::default()
        };
        let outcome = Outcome {
            status: TestStatus::Timeout,
            message: None,
            subtests: vec![
                subtest("a", Pass),
                subtest("b", Fail),
                subtest("c", Timeout),
            ],
            log: Vec::new(),
            duration: Duration::ZERO,
        };
        let mut report = Report::start(None);
        report.add("/t", &outcome, Some(&entry));
        let report = serde_json::to_value(&report).expect("json");
        assert_eq!(
            report["results"][0],
            // What mozlog leaves out is a status that is the expected one, not one of the others.
            json!({"test": "/t", "status": "TIMEOUT", "message": null, "duration": 0,
                "expected": "OK", "known_intermittent": ["TIMEOUT"], "subtests": [
                    {"name": "a", "status": "PASS", "message": null, "known_intermittent": ["FAIL"]},
                    {"name": "b", "status": "FAIL", "message": null, "expected": "PASS",
                     "known_intermittent": ["FAIL"]},
                    {"name": "c", "status": "TIMEOUT", "message": null, "expected": "PASS",
                     "known_intermittent": ["FAIL"]}]})
        );
    }

    #[test]
    fn the_report_has_the_members_that_wpt_fyi_reads() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("wptreport.json");
        let mut report = Report::start(Some("abc".to_owned()));
        let outcome = Outcome {
            status: TestStatus::Ok,
            message: None,
            subtests: vec![
                Subtest {
                    name: "n".to_owned(),
                    status: SubtestStatus::Fail,
                    message: Some("m".to_owned()),
                },
                Subtest {
                    name: "o".to_owned(),
                    status: SubtestStatus::Pass,
                    message: None,
                },
            ],
            log: Vec::new(),
            duration: Duration::from_millis(12),
        };
        report.add("/b", &outcome, Some(&Entry::default()));
        report.add("/a", &Outcome::skipped("why"), None);
        report.finish(&path).expect("write");
        let text = std::fs::read_to_string(&path).expect("read");
        let read: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(read["run_info"]["product"], "reelcore");
        assert_eq!(read["run_info"]["revision"], "abc");
        assert!(read["time_start"].as_u64() <= read["time_end"].as_u64());
        assert_eq!(
            read["results"],
            json!([
                {"test": "/a", "status": "SKIP", "message": "why", "duration": 0,
                 "known_intermittent": [], "subtests": []},
                {"test": "/b", "status": "OK", "message": null, "duration": 12,
                 "known_intermittent": [], "subtests": [
                    {"name": "n", "status": "FAIL", "message": "m", "expected": "PASS",
                     "known_intermittent": []},
                    {"name": "o", "status": "PASS", "message": null, "known_intermittent": []}]},
            ])
        );
    }
}
