//! What a run of `cargo xtask test` says about itself in the end.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use super::counts::Counts;
use super::{Outcome, Step};

/// How a step ended.
pub(crate) enum Verdict {
    Passed(Counts),
    /// Counted as one failure at least, whatever the runner had counted when it ended.
    Failed(Counts, String),
    /// This machine does not allow the step; no failure, and told with the reason.
    Skipped(String),
    NotRun,
}

impl Verdict {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(..))
    }

    fn counts(&self) -> Counts {
        match self {
            Self::Passed(counts) => *counts,
            Self::Failed(counts, _) => Counts { failed: counts.failed.max(1), ..*counts },
            Self::Skipped(_) | Self::NotRun => Counts::default(),
        }
    }
}

/// A check counts as one test; a suite as many as its runner says, of which there must be one at least.
impl From<Result<Outcome>> for Verdict {
    fn from(outcome: Result<Outcome>) -> Self {
        let none = Counts::default();
        match outcome {
            Ok(Outcome::Check(true)) => Self::Passed(Counts { passed: 1, ..none }),
            Ok(Outcome::Check(false)) => Self::Failed(none, "see above".to_owned()),
            Ok(Outcome::Suite { counts, content }) => {
                if counts.failed > 0 || !content {
                    Self::Failed(counts, "see above".to_owned())
                } else if counts.run() == 0 {
                    Self::Failed(counts, "the suite ran no test at all".to_owned())
                } else {
                    Self::Passed(counts)
                }
            }
            Ok(Outcome::Skipped(reason)) => Self::Skipped(reason),
            Err(error) => Self::Failed(none, format!("{error:#}")),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { passed, failed, skipped } = self.counts();
        match self {
            Self::Passed(_) if skipped > 0 => write!(f, "ok, {passed} passed, {skipped} skipped"),
            Self::Passed(_) => write!(f, "ok, {passed} passed"),
            Self::Failed(_, why) => write!(f, "FAILED, {passed} passed, {failed} failed: {why}"),
            Self::Skipped(reason) => write!(f, "SKIPPED: {reason}"),
            Self::NotRun => write!(f, "not run: an earlier step failed"),
        }
    }
}

/// One line for each step, and the total.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<(Step, Verdict, Option<Duration>)>,
}

impl Report {
    pub(crate) fn add(&mut self, step: Step, verdict: Verdict, took: Option<Duration>) {
        self.lines.push((step, verdict, took));
    }

    /// Whether nothing failed and something was run.
    pub(crate) fn holds(&self) -> bool {
        let total = self.total();
        total.failed == 0 && total.passed > 0
    }

    fn total(&self) -> Counts {
        self.lines.iter().fold(Counts::default(), |sum, (_, verdict, _)| {
            let counts = verdict.counts();
            Counts {
                passed: sum.passed + counts.passed,
                failed: sum.failed + counts.failed,
                skipped: sum.skipped + counts.skipped,
            }
        })
    }
}

/// Ends with the bare line `N passed, M failed`, for programs that read the end of a log.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, verdict, took) in &self.lines {
            let took = took.map_or_else(|| "-".to_owned(), |t| format!("{:.1} s", t.as_secs_f32()));
            writeln!(f, "{:<20} {took:>9}  {verdict}", step.title())?;
        }
        let total = self.total();
        writeln!(f, "\n{} passed, {} failed", total.passed, total.failed)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn suite(passed: u32, failed: u32, content: bool) -> Verdict {
        let counts = Counts { passed, failed, skipped: 0 };
        Verdict::from(Ok(Outcome::Suite { counts, content }))
    }

    #[test]
    fn a_suite_without_tests_has_failed() {
        assert!(suite(0, 0, true).is_failure());
        assert!(!suite(1, 0, true).is_failure());
    }

    #[test]
    fn a_discontent_runner_is_a_failure_even_if_no_test_failed() {
        assert!(suite(3, 0, false).is_failure());
    }

    #[test]
    fn ends_with_the_total_alone_on_its_line() {
        let mut report = Report::default();
        report.add(Step::Fmt, Verdict::from(Ok(Outcome::Check(true))), None);
        report.add(Step::Rust, suite(5, 2, false), None);
        report.add(Step::Browser, Verdict::NotRun, None);
        assert!(report.to_string().ends_with("\n6 passed, 2 failed\n"), "{report}");
        assert!(!report.holds());
    }

    #[test]
    fn a_step_that_could_not_run_counts_as_one_failure() {
        let mut report = Report::default();
        report.add(Step::Rust, Verdict::from(Err(anyhow!("no compiler"))), None);
        assert!(report.to_string().ends_with("\n0 passed, 1 failed\n"), "{report}");
    }

    #[test]
    fn a_step_that_the_machine_does_not_allow_is_named_with_the_reason_and_is_no_failure() {
        let mut report = Report::default();
        report.add(Step::Fmt, Verdict::from(Ok(Outcome::Check(true))), None);
        report.add(Step::Nat, Verdict::from(Ok(Outcome::Skipped("no namespaces".to_owned()))), None);
        assert!(report.to_string().contains("SKIPPED: no namespaces\n"), "{report}");
        assert!(report.holds());
    }

    #[test]
    fn nothing_run_is_nothing_shown() {
        let mut report = Report::default();
        report.add(Step::Interop, Verdict::NotRun, None);
        assert!(!report.holds());
    }
}
