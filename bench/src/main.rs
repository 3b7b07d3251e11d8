//! Load generators that compare Switchboard with the servers that it replaces. `docs/benchmarks.md` leads to the pages that
//! describe the methods and keep the last figures.

mod alarm;
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
mod names;
mod options;
mod payload;
mod process;
mod pulse;
mod report;
mod round;
mod servers;
mod signalling;
mod star;
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
    Signalling(Box<options::Signalling>),
    #[command(name = "peerjs")]
    PeerJs(Box<options::PeerJs>),
    Star(Box<star::Star>),
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
        Bench::Signalling(bench) => signalling::run(&bench.options),
        Bench::PeerJs(bench) => signalling::run(&bench.options),
        Bench::Star(options) => star::run(&options),
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
