//! What each step of `cargo xtask test` runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::counts::{Counts, Runner};
use super::{Outcome, Step};
use crate::process::{at_root, cargo, watch};
use crate::workspace::{Workspace, in_path};
use crate::{setup, tidy};

/// Compiling everything from nothing takes minutes on two cores; more than this is a hang.
const COMPILE: Duration = Duration::from_secs(30 * 60);
/// The time of one suite; the whole run, cold, is to stay under 40 minutes.
const SUITE: Duration = Duration::from_secs(20 * 60);
/// One file of a JavaScript suite, browsers included, in milliseconds; a file that leaves something open never ends.
const JS_FILE_MS: u32 = 300_000;
/// The manifest of the fuzz package.
const FUZZ: &str = "fuzz/Cargo.toml";
/// The manifest of the tests with matchbox's client.
const MATCHBOX: &str = "tests/matchbox/Cargo.toml";
/// The program under test, below the folder of what was built.
const BINARY: &str = "debug/switchboard";

pub(super) fn run(workspace: &Workspace, step: Step) -> Result<Outcome> {
    match step {
        Step::Fmt => format(workspace),
        Step::Tidy => tidy::run(workspace).map(Outcome::Check),
        Step::Build => check(cargo(workspace).args(["build", "--workspace", "--all-targets"])),
        Step::Clippy => clippy(workspace),
        Step::Rust => rust(workspace),
        Step::Doc => doc(workspace),
        Step::Fuzz => fuzz(workspace),
        Step::Types => types(workspace),
        Step::Size => size(workspace),
        Step::Browser => javascript(workspace, "browser"),
        Step::Interop => {
            setup::interop_tools(workspace)?;
            javascript(workspace, "interop")
        }
        Step::Matchbox => matchbox(workspace),
        Step::Nat => nat(workspace),
    }
}

fn holds(command: &mut Command) -> Result<bool> {
    watch(command, COMPILE, |_| {}).map(|status| status.success())
}

fn check(command: &mut Command) -> Result<Outcome> {
    holds(command).map(Outcome::Check)
}

fn format(workspace: &Workspace) -> Result<Outcome> {
    setup::component(workspace, "rustfmt", "fmt")?;
    let workspace_holds = holds(cargo(workspace).args(["fmt", "--all", "--check"]))?;
    let fuzz_holds = holds(cargo(workspace).args(["fmt", "--manifest-path", FUZZ, "--check"]))?;
    let matchbox_holds = holds(cargo(workspace).args(["fmt", "--manifest-path", MATCHBOX, "--check"]))?;
    Ok(Outcome::Check(workspace_holds && fuzz_holds && matchbox_holds))
}

fn clippy(workspace: &Workspace) -> Result<Outcome> {
    setup::component(workspace, "clippy", "clippy")?;
    let strict = ["--", "-D", "warnings"];
    let workspace_holds = holds(cargo(workspace).args(["clippy", "--workspace", "--all-targets"]).args(strict))?;
    let fuzz_holds = holds(in_fuzz(workspace, &["clippy", "--tests"]).args(strict))?;
    Ok(Outcome::Check(workspace_holds && fuzz_holds))
}

/// A cargo command for the fuzz package, which is outside the workspace and shares what the workspace has compiled.
fn in_fuzz(workspace: &Workspace, command: &[&str]) -> Command {
    let mut cargo = cargo(workspace);
    cargo.args(command).args(["--manifest-path", FUZZ, "--target-dir"]).arg(workspace.target());
    cargo
}

fn suite(runner: Runner, command: &mut Command) -> Result<Outcome> {
    let mut counts = Counts::default();
    let status = watch(command, SUITE, |line| counts.read(runner, line))?;
    Ok(Outcome::Suite { counts, content: status.success() })
}

/// Uses cargo-nextest where it is installed; compiling it would take longer than it saves.
fn rust(workspace: &Workspace) -> Result<Outcome> {
    setup::relay_tools(workspace)?;
    let (runner, command): (_, &[&str]) = match in_path("cargo-nextest") {
        Some(_) => (Runner::Nextest, &["nextest", "run"]),
        None => (Runner::Cargo, &["test"]),
    };
    suite(runner, cargo(workspace).args(command).args(["--workspace", "--all-targets"]))
}

/// A project without an example in its documentation has no test here, so that this one is a check.
fn doc(workspace: &Workspace) -> Result<Outcome> {
    check(cargo(workspace).args(["test", "--workspace", "--doc"]))
}

/// Replays the corpora on this toolchain, without a fuzzer.
fn fuzz(workspace: &Workspace) -> Result<Outcome> {
    suite(Runner::Cargo, &mut in_fuzz(workspace, &["test", "--tests"]))
}

fn types(workspace: &Workspace) -> Result<Outcome> {
    setup::npm_packages(workspace)?;
    check(at_root(workspace, "tests/node_modules/.bin/tsc").args([
        "--project",
        "web/tsconfig.json",
        "--noEmit",
        "--checkJs",
    ]))
}

fn size(workspace: &Workspace) -> Result<Outcome> {
    check(at_root(workspace, "node").args(["tests/client-size.mjs", "web/switchboard.js"]))
}

/// Runs `tests/<name>/*.test.mjs` one file after the other: each starts browsers and servers of its own, and two of them
/// on two cores would measure each other.
fn javascript(workspace: &Workspace, name: &str) -> Result<Outcome> {
    let files = test_files(workspace, name)?;
    ensure!(!files.is_empty(), "there is no *.test.mjs in tests/{name}; a suite without tests shows nothing");
    setup::npm_packages(workspace)?;
    let browsers = setup::browsers(workspace)?;
    let mut node = at_root(workspace, "node");
    node.current_dir(workspace.path("tests"))
        .args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .arg(format!("--test-timeout={JS_FILE_MS}"))
        .args(files)
        .env("CHROMIUM", browsers.chromium)
        .env("FIREFOX", browsers.firefox);
    if std::env::var_os("SERVER_UNDER_TEST").is_none() {
        node.env("SERVER_UNDER_TEST", workspace.target().join(BINARY));
    }
    suite(Runner::Node, &mut node)
}

/// Builds the client, which takes a minute from nothing, and runs it. Its folder is its own: it shares no version and no feature with
/// ours.
fn matchbox(workspace: &Workspace) -> Result<Outcome> {
    let target = workspace.target().join("matchbox");
    let mut tests = cargo(workspace);
    tests.args(["test", "--locked", "--manifest-path", MATCHBOX, "--target-dir"]).arg(target);
    if std::env::var_os("SERVER_UNDER_TEST").is_none() {
        tests.env("SERVER_UNDER_TEST", workspace.target().join(BINARY));
    }
    suite(Runner::Cargo, &mut tests)
}

/// Runs the NAT lab where this machine lets us make routers.
fn nat(workspace: &Workspace) -> Result<Outcome> {
    setup::network_tools(workspace)?;
    let output = at_root(workspace, "node")
        .arg("tests/nat/unavailable.mjs")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run Node, which the NAT lab is written for")?;
    ensure!(output.status.success(), "the NAT lab cannot tell whether it can be built here: see above");
    let reason = String::from_utf8_lossy(&output.stdout).trim().replace('\n', " ");
    if reason.is_empty() { javascript(workspace, "nat") } else { Ok(Outcome::Skipped(reason)) }
}

/// The test files of a JavaScript suite in the order of their names, relative to `tests/`.
fn test_files(workspace: &Workspace, name: &str) -> Result<Vec<PathBuf>> {
    let folder = workspace.path("tests").join(name);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list tests/{name}"))? {
        let file = entry?.file_name();
        if file.to_string_lossy().ends_with(".test.mjs") {
            files.push(PathBuf::from(name).join(file));
        }
    }
    files.sort();
    Ok(files)
}
