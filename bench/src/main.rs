//! Load generators that compare Switchboard with the servers that it replaces. `docs/benchmarks.md` describes the
//! method and keeps the last figures.

mod client;
mod comparison;
mod dialect;
mod floor;
mod frame;
mod generator;
mod histogram;
mod link;
mod load;
mod machine;
mod options;
mod payload;
mod process;
mod report;
mod round;
mod servers;
mod signalling;
mod summary;
mod table;
mod targets;
mod turn;
mod usage;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Compares Switchboard with the servers that it replaces. Loopback only.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    Signalling(Box<options::Options>),
    Turn(Box<turn::Options>),
    TurnSoak(turn::soak::Options),
    /// Serves as the `floor` of a bench; for the bench itself
    #[command(hide = true)]
    Floor,
    /// Serves as the bare forwarder of a bench; for the bench itself
    #[command(hide = true)]
    TurnForwarder {
        port: u16,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().bench {
        Bench::Signalling(options) => signalling::run(&options),
        Bench::Turn(options) => turn::run(&options),
        Bench::TurnSoak(options) => turn::soak::run(&options),
        Bench::Floor => floor::run(),
        Bench::TurnForwarder { port } => turn::forwarder::run(port),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
