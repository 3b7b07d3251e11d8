//! `cargo xtask`: the commands of development, in the language of the project, so that a machine with Rust needs no
//! other build tool. Each command is a module; this file only names them.

mod bench;
mod fuzz;
mod process;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Switchboard's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check and every suite, installing what they need
    Test(test::Options),
    /// Check the allowed imports and the house rules that a program can check
    Tidy,
    /// Build in release mode and run one of the benchmarks
    Bench(bench::Options),
    /// Run the fuzz targets (needs cargo-fuzz)
    Fuzz(fuzz::Options),
    /// Install what the suites need: browsers and npm packages
    Setup,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; `false` means that it ran and that what it checked does not hold.
fn run(command: Command) -> Result<bool> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Test(options) => test::run(&workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Bench(options) => bench::run(&workspace, &options).map(|()| true),
        Command::Fuzz(options) => fuzz::run(&workspace, &options).map(|()| true),
        Command::Setup => setup::everything(&workspace).map(|()| true),
    }
}
