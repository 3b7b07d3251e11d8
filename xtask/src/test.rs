//! `cargo xtask test`: every check and every suite, in an order that finds cheap faults first and compiles the
//! dependency tree once: binaries and tests share the dev profile and one feature set (`--workspace --all-targets`).
//!
//! It stops at the first step that fails, unless told otherwise, and always ends with a table of what ran, what did not
//! and why. A suite that finds no test has failed: an empty suite must not look like a passing one.

mod counts;
mod report;
mod steps;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::counts::Counts;
use self::report::{Report, Verdict};
use crate::workspace::Workspace;

/// What `cargo xtask test` is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only these steps (and the build, where they need it); may be repeated
    #[arg(long, value_enum)]
    only: Vec<Step>,
    /// Go on after a step has failed
    #[arg(long)]
    keep_going: bool,
}

/// A step of the run, in the order of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting of the Rust sources
    Fmt,
    /// Allowed imports and house rules
    Tidy,
    /// Everything that is compiled, tests included
    Build,
    /// Lints, of which none may warn
    Clippy,
    /// Unit and integration tests
    Rust,
    /// Examples in the documentation
    Doc,
    /// The inputs that fuzzing has found
    Fuzz,
    /// Types of the JavaScript under web/
    Types,
    /// Compressed size of the browser client
    Size,
    /// The pages in real browsers
    Browser,
    /// The official clients of each dialect
    Interop,
    /// matchbox's own client, which is a Rust crate
    Matchbox,
    /// Pages behind every kind of NAT; skipped where network namespaces are not allowed
    Nat,
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Fmt => "format",
            Self::Tidy => "tidy",
            Self::Build => "build",
            Self::Clippy => "clippy",
            Self::Rust => "Rust tests",
            Self::Doc => "documentation tests",
            Self::Fuzz => "fuzz corpora",
            Self::Types => "types of web/",
            Self::Size => "client size",
            Self::Browser => "browser suite",
            Self::Interop => "interop suite",
            Self::Matchbox => "matchbox suite",
            Self::Nat => "NAT lab",
        }
    }

    fn needs_binary(self) -> bool {
        match self {
            Self::Browser | Self::Interop | Self::Matchbox | Self::Nat => true,
            Self::Fmt
            | Self::Tidy
            | Self::Build
            | Self::Clippy
            | Self::Rust
            | Self::Doc
            | Self::Fuzz
            | Self::Types
            | Self::Size => false,
        }
    }
}

/// How a step ended, when it could be run at all.
enum Outcome {
    /// A check without tests of its own: it holds, or its output says why not.
    Check(bool),
    /// A suite, with what its runner counted and whether the runner was content.
    Suite { counts: Counts, content: bool },
    /// This machine does not allow it, for the reason given.
    Skipped(String),
}

/// Runs the steps that `options` asks for; `false` if one of them failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut report = Report::default();
    let mut stopped = false;
    for step in chosen(&options.only) {
        if stopped {
            report.add(step, Verdict::NotRun, None);
            continue;
        }
        println!("\n=== {} ===", step.title());
        let started = Instant::now();
        let verdict = Verdict::from(steps::run(workspace, step));
        println!("--- {}: {verdict}, {:.1} s", step.title(), started.elapsed().as_secs_f32());
        stopped = verdict.is_failure() && !options.keep_going;
        report.add(step, verdict, Some(started.elapsed()));
    }
    print!("\n{report}");
    Ok(report.holds())
}

/// The steps to run: all, or the ones asked for with the build before the first that needs it.
fn chosen(only: &[Step]) -> Vec<Step> {
    Step::value_variants()
        .iter()
        .copied()
        .filter(|step| {
            only.is_empty()
                || only.contains(step)
                || (*step == Step::Build && only.iter().any(|step| step.needs_binary()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_everything_when_nothing_is_named() {
        assert_eq!(chosen(&[]), Step::value_variants());
    }

    #[test]
    fn builds_before_a_suite_that_needs_the_binary() {
        assert_eq!(chosen(&[Step::Interop]), [Step::Build, Step::Interop]);
    }

    #[test]
    fn runs_a_check_alone() {
        assert_eq!(chosen(&[Step::Tidy]), [Step::Tidy]);
    }
}
