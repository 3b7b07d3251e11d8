//! The command line of `switchboard-bench turn`, and the plan that it asks for.

use super::contestants::{Contestant, Kind};
use super::measure::Conditions;
use super::workload::{Pace, Workload};
use crate::machine;
use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const MAX_SECONDS: f64 = 60.0;
const MAX_ROUNDS: usize = 50;
/// Most allocations and strangers of a measurement; each takes a relay port, or an address.
const MAX_ALLOCATIONS: usize = 10_000;
const MAX_STRANGERS: usize = 1_000_000;

/// Relays packets through Switchboard and through coturn, in turns, and compares
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A coturn to compare with, as name, program and options (repeatable; the first is what all others are compared with;
    /// default: Debian's, installed if it is missing)
    #[arg(long, value_name = "NAME=PROGRAM OPTIONS")]
    turnserver: Vec<Contestant>,
    /// What else is measured; "none" for nothing
    #[arg(long, value_enum, value_delimiter = ',', default_value = "switchboard,forwarder")]
    beside: Vec<Beside>,
    /// Closed loops: a pattern (audio, video, bulk) and a way (up, down, relayed), and if wanted the number of flows, v6,
    /// tcp, tls; "none" for none
    #[arg(
        long,
        value_name = "PATTERN-WAY[/FLOWS][/v6][/tcp|/tls]",
        value_delimiter = ',',
        default_value = "audio-up,audio-down,video-up,video-down,bulk-up,bulk-down,audio-relayed,video-relayed,audio-up/1,\
                         audio-up/4000,video-up/v6,video-down/v6,video-up/tcp,video-down/tcp,video-up/tls,video-down/tls"
    )]
    closed: Vec<String>,
    /// Open loops, in percent of what the first contestant relays; 0 for none
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "10,25,50,75")]
    open: Vec<u32>,
    /// What open loops send
    #[arg(long, value_name = "PATTERN-WAY", value_delimiter = ',', default_value = "audio-up")]
    open_load: Vec<Workload>,
    /// How often each load is measured with each contestant
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long the load runs before each measurement
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Packets on the way in closed loops (default: 400 for audio, 320 for video, 128 for bulk)
    #[arg(long)]
    pub(crate) window: Option<usize>,
    /// How often memory and answers are measured, each time with fresh servers; 0 for never
    #[arg(long, default_value_t = 3)]
    pub(crate) footprint_rounds: usize,
    /// Allocations for the measurement of memory
    #[arg(long, default_value_t = 4_000)]
    pub(crate) allocations: usize,
    /// Sources without credentials for the measurement of memory
    #[arg(long, default_value_t = 20_000)]
    pub(crate) strangers: usize,
    /// The processor that servers run on (default: the first)
    #[arg(long)]
    server_cpu: Option<usize>,
    /// Runs in a network namespace of its own, away from other traffic (needs root, `unshare` and `ip`)
    #[arg(long)]
    pub(crate) namespace: bool,
    /// The same, with segmentation offload of the loopback interface switched off (needs `ethtool`): the kernel cuts trains
    /// at the sender, as for a network card that cannot
    #[arg(long)]
    pub(crate) no_offload: bool,
    /// The switchboard to measure (default: the release build)
    #[arg(long, value_name = "FILE", env = "SERVER_UNDER_TEST")]
    pub(crate) switchboard: Option<PathBuf>,
    /// Writes every round's figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Beside {
    /// The release build
    Switchboard,
    /// A relay that does nothing but read, rewrite and write: what no server gets below
    Forwarder,
    /// No relay: what the generator itself costs
    Direct,
    None,
}

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) closed: Vec<Workload>,
    pub(crate) open: Vec<Workload>,
    pub(crate) conditions: Conditions,
}

impl Options {
    /// Checks the options and says what follows from them.
    pub(crate) fn plan(&self) -> Result<Plan> {
        ensure!((1..=MAX_ROUNDS).contains(&self.rounds), "--rounds must be 1 to {MAX_ROUNDS}");
        ensure!(self.footprint_rounds <= MAX_ROUNDS, "--footprint-rounds must be 0 to {MAX_ROUNDS}");
        ensure!((0.1..=MAX_SECONDS).contains(&self.seconds), "--seconds must be 0.1 to {MAX_SECONDS}");
        ensure!((0.0..=MAX_SECONDS).contains(&self.warm_up), "--warm-up must be 0 to {MAX_SECONDS}");
        ensure!((1..=MAX_ALLOCATIONS).contains(&self.allocations), "--allocations must be 1 to {MAX_ALLOCATIONS}");
        ensure!((1..=MAX_STRANGERS).contains(&self.strangers), "--strangers must be 1 to {MAX_STRANGERS}");
        ensure!(self.window != Some(0), "--window must be at least 1");
        let plan = Plan {
            contestants: self.contestants(),
            closed: self.closed()?,
            open: self.open()?,
            conditions: self.conditions()?,
        };
        ensure!(!plan.contestants.is_empty(), "there is nothing to compare");
        Ok(plan)
    }

    fn contestants(&self) -> Vec<Contestant> {
        let mut all = self.turnserver.clone();
        if all.is_empty() {
            all.push(Contestant::debian());
        }
        all.extend(self.beside.iter().filter_map(|beside| match beside {
            Beside::Switchboard => Some(Contestant::ours(Kind::Switchboard)),
            Beside::Forwarder => Some(Contestant::ours(Kind::Forwarder)),
            Beside::Direct => Some(Contestant::ours(Kind::Direct)),
            Beside::None => None,
        }));
        all
    }

    fn closed(&self) -> Result<Vec<Workload>> {
        self.closed.iter().filter(|text| *text != "none").map(|text| text.parse()).collect()
    }

    fn open(&self) -> Result<Vec<Workload>> {
        let mut open = Vec::new();
        for &load in &self.open_load {
            for &percent in self.open.iter().filter(|percent| **percent > 0) {
                ensure!(percent <= 100, "--open {percent}: an open loop above 100 % only fills buffers");
                open.push(Workload { pace: Pace::Open(percent), ..load });
            }
        }
        Ok(open)
    }

    fn conditions(&self) -> Result<Conditions> {
        let cpus = machine::processors()?;
        let server_cpu = match self.server_cpu {
            Some(cpu) if !cpus.contains(&cpu) => bail!("processor {cpu} is not among those that may be used: {cpus:?}"),
            Some(cpu) => cpu,
            None => cpus.first().copied().unwrap_or_default(),
        };
        let Some(generator_cpu) = cpus.into_iter().find(|cpu| *cpu != server_cpu) else {
            bail!("servers and generator need a processor each, and there is only one")
        };
        Ok(Conditions {
            server_cpu,
            generator_cpu,
            warm_up: Duration::from_secs_f64(self.warm_up),
            measure: Duration::from_secs_f64(self.seconds),
        })
    }
}

impl Plan {
    /// The most sockets that are open at a time on either side: clients and peers, or relays.
    pub(crate) fn most_sockets(&self, allocations: usize) -> usize {
        let busy = self.closed.iter().chain(&self.open).map(|workload| workload.clients() + workload.flows);
        busy.max().unwrap_or(0).max(allocations)
    }

    /// Where an open loop finds its rate: the closed loop of the same packets.
    pub(crate) fn pacer(&self, open: &Workload) -> Option<usize> {
        self.closed.iter().position(|closed| open.is_paced_by(closed))
    }
}
