//! `cargo xtask bench`: builds the program and the load generators in release mode, then runs one of them. What a
//! benchmark measures, and its options, are its own business (package `switchboard-bench`).

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// What `cargo xtask bench` is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Which benchmark, for example `signalling`
    name: String,
    /// Its own options; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Builds what is compared and runs the benchmark named in `options`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    process::run(process::cargo(workspace).args([
        "build",
        "--release",
        "--package",
        "switchboard",
        "--package",
        "switchboard-bench",
    ]))?;
    let release = workspace.target().join("release");
    process::run(
        process::at_root(workspace, release.join("switchboard-bench"))
            .arg(&options.name)
            .args(&options.args)
            .env("SERVER_UNDER_TEST", release.join("switchboard")),
    )
}
