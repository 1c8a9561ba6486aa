//! The statuses of testharness.js and wptrunner, and what one test came to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Status of a whole test (one file and variant), by the names of `wptreport.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TestStatus {
    /// The harness ran to its end. Says nothing about the subtests.
    Ok,
    /// A script failed to load or threw outside any subtest.
    Error,
    /// The harness did not finish in time, or nothing was left that could finish it.
    Timeout,
    /// A feature that the test declares optional is missing.
    PreconditionFailed,
    /// The isolate ran out of memory, or the thread panicked.
    Crash,
    /// Not run, for a stated reason.
    Skip,
}

impl TestStatus {
    /// From the number in the `complete` message of testharness.js (`TestsStatus.statuses`).
    pub fn from_harness(code: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Error,
            2 => Self::Timeout,
            3 => Self::PreconditionFailed,
            _ => return None,
        })
    }

    /// The name in `wptreport.json` and in the expectations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::Crash => "CRASH",
            Self::Skip => "SKIP",
        }
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Status of one subtest (one `test()`, `async_test()` or `promise_test()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubtestStatus {
    /// All its assertions held.
    Pass,
    /// An assertion failed or something threw.
    Fail,
    /// It had started and did not finish.
    Timeout,
    /// It never started.
    #[serde(rename = "NOTRUN")]
    NotRun,
    /// A feature that the subtest declares optional is missing.
    PreconditionFailed,
}

impl SubtestStatus {
    /// From the number in a message of testharness.js (`Test.statuses`).
    pub fn from_harness(code: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Pass,
            1 => Self::Fail,
            2 => Self::Timeout,
            3 => Self::NotRun,
            4 => Self::PreconditionFailed,
            _ => return None,
        })
    }

    /// The name in `wptreport.json` and in the expectations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Timeout => "TIMEOUT",
            Self::NotRun => "NOTRUN",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
        }
    }
}

impl fmt::Display for SubtestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Result of one subtest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtest {
    /// Its name, unique in its test.
    pub name: String,
    /// How it ended.
    pub status: SubtestStatus,
    /// The failed assertion, cut to a bounded length.
    pub message: Option<String>,
}

/// Result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status of the harness.
    pub status: TestStatus,
    /// Why the status is not OK.
    pub message: Option<String>,
    /// The subtests, in the order in which they were declared.
    pub subtests: Vec<Subtest>,
    /// Console lines and uncaught errors, bounded.
    pub log: Vec<String>,
    /// Wall-clock time from the thread's start to its end.
    pub duration: Duration,
}

impl Outcome {
    /// A test that is not run.
    pub fn skipped(reason: &str) -> Self {
        Self {
            status: TestStatus::Skip,
            message: Some(reason.to_owned()),
            subtests: Vec::new(),
            log: Vec::new(),
            duration: Duration::ZERO,
        }
    }

    /// How many subtests passed.
    pub fn passed(&self) -> usize {
        self.subtests
            .iter()
            .filter(|s| s.status == SubtestStatus::Pass)
            .count()
    }

    /// How many subtests did not pass; a harness that did not end with OK counts as one more.
    pub fn failed(&self) -> usize {
        let harness = match self.status {
            TestStatus::Ok | TestStatus::Skip => 0,
            _ => 1,
        };
        self.subtests.len() - self.passed() + harness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harness_that_broke_counts_as_a_failure_without_subtests() {
        let mut outcome = Outcome::skipped("x");
        assert_eq!(outcome.failed(), 0);
        outcome.status = TestStatus::Error;
        assert_eq!(outcome.failed(), 1);
    }

    #[test]
    fn names_in_json_are_those_of_wptreport() {
        let names = serde_json::to_string(&[
            SubtestStatus::NotRun,
            SubtestStatus::PreconditionFailed,
            SubtestStatus::Pass,
        ]);
        assert_eq!(
            names.ok().as_deref(),
            Some(r#"["NOTRUN","PRECONDITION_FAILED","PASS"]"#)
        );
        for code in 0..5 {
            let status = SubtestStatus::from_harness(code).expect("known");
            assert_eq!(
                serde_json::to_value(status).expect("json"),
                serde_json::Value::from(status.name())
            );
        }
        assert_eq!(SubtestStatus::from_harness(9), None);
        assert_eq!(TestStatus::from_harness(2), Some(TestStatus::Timeout));
    }
}
