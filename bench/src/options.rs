//! The command line of the benches of relaying between clients, and the plan that it asks for.

use crate::load::{Load, Workload};
use crate::machine;
use crate::payload::Payload;
use crate::round::Conditions;
use crate::servers::Subject;
use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Most sockets of one round; each is an open file on either side.
const MAX_SOCKETS: usize = 100_000;
/// Longest round, so that a whole run stays a matter of minutes.
const MAX_SECONDS: f64 = 60.0;
const MAX_ROUNDS: usize = 50;

/// Relays offers between pairs of sockets through Switchboard and through npm's socket.io, in turns, and compares
#[derive(Debug, Args)]
pub(crate) struct Signalling {
    #[command(flatten)]
    pub(crate) options: Options,
}

/// Relays offers between PeerJS clients through Switchboard and through npm's peer, in turns, and compares
#[derive(Debug, Args)]
#[command(mut_arg("subjects", |arg| arg.default_value("peer-server,peer-js,floor")))]
#[command(mut_arg("seconds", |arg| arg.default_value("3")))]
#[command(mut_arg("idle_state", |arg| arg.default_value("connected")))]
pub(crate) struct PeerJs {
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What the benches of relaying have in common.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to measure; the first is what the others are compared with
    #[arg(long, value_delimiter = ',', default_value = "baseline,ws,socket-io")]
    subjects: Vec<Subject>,
    /// How often each load is measured with each subject
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// How long the load runs before each measurement
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Closed loops, as pairs of sockets and messages on the way in each; "none" for none
    #[arg(long, value_name = "PAIRSxWINDOW", value_delimiter = ',', default_value = "100x1,100x2,100x8")]
    closed: Vec<String>,
    /// Open loops, in messages a second; 0 for none
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = "5000,20000")]
    open: Vec<u32>,
    /// Pairs of sockets in open loops
    #[arg(long, default_value_t = 200)]
    open_pairs: usize,
    /// Idle sockets of a fresh server; 0 for none
    #[arg(long, value_name = "SOCKETS", value_delimiter = ',', default_value = "5000")]
    idle: Vec<usize>,
    /// How often idle sockets are measured
    #[arg(long, default_value_t = 3)]
    pub(crate) idle_rounds: usize,
    /// Whether idle sockets are in rooms of two, or only greeted
    #[arg(long, value_enum, default_value_t = IdleState::Joined)]
    idle_state: IdleState,
    /// What is relayed
    #[arg(long, value_enum, default_value_t = Relayed::Description)]
    relayed: Relayed,
    /// Generator threads, each on a processor of its own if there are enough
    #[arg(long, default_value_t = 1)]
    generators: usize,
    /// The processor that servers run on (default: the first)
    #[arg(long)]
    server_cpu: Option<usize>,
    /// The switchboard to measure (default: the release build)
    #[arg(long, value_name = "FILE", env = "SERVER_UNDER_TEST")]
    pub(crate) switchboard: Option<PathBuf>,
    /// Writes every round's figures as JSON to this file, or to standard output (-) in the table's place
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IdleState {
    /// In rooms of two
    Joined,
    /// Greeted, in no room
    Connected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Relayed {
    /// A session description of about 550 bytes
    Description,
    /// An ICE candidate of about 200 bytes
    Candidate,
}

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) subjects: Vec<Subject>,
    /// With messages.
    pub(crate) busy: Vec<Workload>,
    pub(crate) idle: Vec<Workload>,
    pub(crate) conditions: Conditions,
}

impl Options {
    /// Checks the options and says what follows from them.
    pub(crate) fn plan(&self) -> Result<Plan> {
        ensure!((1..=MAX_ROUNDS).contains(&self.rounds), "--rounds must be 1 to {MAX_ROUNDS}");
        ensure!((1..=MAX_ROUNDS).contains(&self.idle_rounds), "--idle-rounds must be 1 to {MAX_ROUNDS}");
        ensure!((0.1..=MAX_SECONDS).contains(&self.seconds), "--seconds must be 0.1 to {MAX_SECONDS}");
        ensure!((0.0..=MAX_SECONDS).contains(&self.warm_up), "--warm-up must be 0 to {MAX_SECONDS}");
        let mut subjects = self.subjects.clone();
        subjects.dedup();
        let plan = Plan { subjects, busy: self.busy()?, idle: self.idle(), conditions: self.conditions()? };
        let sockets = plan.most_sockets();
        ensure!(sockets <= MAX_SOCKETS, "{sockets} sockets are more than {MAX_SOCKETS}");
        Ok(plan)
    }

    fn busy(&self) -> Result<Vec<Workload>> {
        let closed = self.closed.iter().filter(|text| *text != "none").map(|text| closed(text));
        let open = self.open.iter().filter(|rate| **rate > 0).map(|&rate| {
            ensure!(self.open_pairs > 0, "--open-pairs must be at least 1");
            Ok(Workload { pairs: self.open_pairs, joined: true, load: Load::Open { rate } })
        });
        closed.chain(open).collect()
    }

    fn idle(&self) -> Vec<Workload> {
        let joined = self.idle_state == IdleState::Joined;
        let sockets = self.idle.iter().filter(|sockets| **sockets > 0);
        sockets.map(|sockets| Workload { pairs: sockets.div_ceil(2), joined, load: Load::Idle }).collect()
    }

    fn conditions(&self) -> Result<Conditions> {
        let cpus = machine::processors()?;
        let server_cpu = match self.server_cpu {
            Some(cpu) if !cpus.contains(&cpu) => bail!("processor {cpu} is not among those that may be used: {cpus:?}"),
            Some(cpu) => cpu,
            None => cpus.first().copied().unwrap_or_default(),
        };
        let others: Vec<usize> = cpus.into_iter().filter(|cpu| *cpu != server_cpu).collect();
        ensure!(!others.is_empty(), "servers and generator need a processor each, and there is only one");
        ensure!((1..=64).contains(&self.generators), "--generators must be 1 to 64");
        Ok(Conditions {
            server_cpu,
            generator_cpus: others.into_iter().cycle().take(self.generators).collect(),
            warm_up: Duration::from_secs_f64(self.warm_up),
            measure: Duration::from_secs_f64(self.seconds),
            payload: match self.relayed {
                Relayed::Description => Payload::session_description(),
                Relayed::Candidate => Payload::candidate(),
            },
        })
    }
}

impl Plan {
    /// Whether there is nothing to measure.
    pub(crate) fn is_empty(&self) -> bool {
        self.busy.is_empty() && self.idle.is_empty()
    }

    /// The most sockets that are open at a time.
    pub(crate) fn most_sockets(&self) -> usize {
        self.busy.iter().chain(&self.idle).map(|workload| workload.pairs * 2).max().unwrap_or(0)
    }
}

/// Reads `PAIRSxWINDOW`.
fn closed(text: &str) -> Result<Workload> {
    let numbers = text.split_once('x').and_then(|(pairs, window)| Some((pairs.parse().ok()?, window.parse().ok()?)));
    match numbers {
        Some((pairs @ 1.., window @ 1..=64)) => Ok(Workload { pairs, joined: true, load: Load::Closed { window } }),
        _ => bail!("--closed {text}: write the number of pairs, an x, and 1 to 64 messages on the way, such as 100x8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_closed_loops() {
        let workload = closed("100x8").expect("a closed loop");

        assert_eq!((workload.pairs, workload.load), (100, Load::Closed { window: 8 }));
        for wrong in ["100", "x", "0x1", "1x0", "1x65", "ax1", "1x1x1"] {
            assert!(closed(wrong).is_err(), "{wrong}");
        }
    }
}
