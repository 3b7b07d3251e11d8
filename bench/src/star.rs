//! `switchboard-bench star`: relaying between pairs as in the bench of signalling, and then crowds: thousands of joined
//! peers that are announced to each other while handshakes pass between them.
//!
//! A crowd meets a fresh server, for what one leaves behind would burden the next. Subjects take turns as everywhere. One
//! that does not take a crowd in, or does not keep it, has found its limit and is not asked for a larger one.

mod crowd;
mod member;
mod report;
mod round;
mod tally;

pub(crate) use report::{Crowd, Crowds};
pub(crate) use round::{Figures, Workload};

use crate::dialect::Dialect;
use crate::options;
use crate::report::Report;
use crate::round::Conditions;
use crate::servers::{Programs, Subject};
use crate::signalling;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most peers of a crowd, for the ports and files that they take on one machine.
const MAX_MEMBERS: usize = 50_000;
/// A measurement longer than the announcements' period of 10 s shows each peer one of them.
const MIN_SECONDS: f64 = 11.5;
const MAX_SECONDS: f64 = 60.0;
const MAX_ROUNDS: usize = 50;
const MAX_RATE: u32 = 1_000_000;

/// Relays handshakes between webrtc-star peers, and lets thousands of them join, through Switchboard and through npm's
/// signalling server, in turns, and compares
#[derive(Debug, Args)]
#[command(mut_arg("subjects", |arg| arg.default_value("star-server,star")))]
#[command(mut_arg("rounds", |arg| arg.default_value("3")))]
#[command(mut_arg("seconds", |arg| arg.default_value("2")))]
#[command(mut_arg("open", |arg| arg.default_value("0")))]
#[command(mut_arg("idle", |arg| arg.default_value("0")))]
#[command(mut_arg("idle_state", |arg| arg.default_value("connected")))]
pub(crate) struct Star {
    #[command(flatten)]
    relaying: options::Options,
    /// Peers that join, smallest crowd first; 0 for none
    #[arg(long, value_name = "PEERS", value_delimiter = ',', default_value = "500,1000,2000,5000,10000")]
    crowds: Vec<usize>,
    /// How often each crowd is measured with each subject, each time with a fresh server
    #[arg(long, default_value_t = 2)]
    crowd_rounds: usize,
    /// How long a crowd is measured
    #[arg(long, default_value_t = 12.0)]
    crowd_seconds: f64,
    /// Handshakes a second over the whole crowd
    #[arg(long, default_value_t = 1_000)]
    crowd_rate: u32,
    /// Peers that join a crowd when its measurement begins
    #[arg(long, default_value_t = 5)]
    newcomers: usize,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Everything<'a> {
    relaying: &'a Report,
    crowds: &'a Crowds,
}

/// Runs the bench and prints its report.
pub(crate) fn run(options: &Star) -> Result<()> {
    let plan = options.relaying.plan()?;
    let loads = options.loads()?;
    ensure!(!plan.is_empty() || !loads.is_empty(), "there is nothing to measure");
    let sockets = loads.iter().map(|load| load.members + load.newcomers).max().unwrap_or(0);
    let programs = signalling::prepare(&options.relaying, &plan, sockets.max(plan.most_sockets()))?;
    let relaying = signalling::measure(&options.relaying, &plan, &programs)?;
    // Pairs may be measured beside the bare relay, or in another dialect; crowds speak one.
    let takes_crowds = |subject: &Subject| subject.dialect() == Dialect::Star;
    let subjects: Vec<Subject> = plan.subjects.iter().copied().filter(takes_crowds).collect();
    let mut crowds = Crowds::new(&subjects, &loads, options.crowd_seconds);
    let under = Conditions { measure: Duration::from_secs_f64(options.crowd_seconds), ..plan.conditions };
    crowd_rounds(&loads, &programs, &under, options.crowd_rounds, &mut crowds)?;
    let figures = serde_json::to_string_pretty(&Everything { relaying: &relaying, crowds: &crowds })?;
    signalling::publish(options.relaying.json.as_deref(), &figures, &(relaying.markdown() + &crowds.markdown()))
}

impl Star {
    fn loads(&self) -> Result<Vec<Workload>> {
        ensure!((1..=MAX_ROUNDS).contains(&self.crowd_rounds), "--crowd-rounds must be 1 to {MAX_ROUNDS}");
        ensure!(
            (MIN_SECONDS..=MAX_SECONDS).contains(&self.crowd_seconds),
            "--crowd-seconds must be {MIN_SECONDS} to {MAX_SECONDS}"
        );
        ensure!(self.crowd_rate <= MAX_RATE, "--crowd-rate must be 0 to {MAX_RATE}");
        ensure!(self.newcomers <= crowd::MAX_NEWCOMERS, "--newcomers must be 0 to {}", crowd::MAX_NEWCOMERS);
        let mut sizes: Vec<usize> = self.crowds.iter().copied().filter(|&members| members > 0).collect();
        sizes.sort_unstable();
        sizes.dedup();
        ensure!(sizes.last().is_none_or(|&most| most <= MAX_MEMBERS), "--crowds must be at most {MAX_MEMBERS}");
        let load = |members| Workload { members, rate: self.crowd_rate, newcomers: self.newcomers };
        Ok(sizes.into_iter().map(load).collect())
    }
}

fn crowd_rounds(
    loads: &[Workload],
    programs: &Programs,
    under: &Conditions,
    rounds: usize,
    crowds: &mut Crowds,
) -> Result<()> {
    // The smallest crowd that a subject did not hold.
    let mut limits: BTreeMap<Subject, usize> = BTreeMap::new();
    let subjects = crowds.subjects.clone();
    for number in 0..rounds {
        for (at, &load) in loads.iter().enumerate() {
            for subject in signalling::order(&subjects, number) {
                if limits.get(&subject).is_some_and(|&limit| load.members > limit) {
                    continue;
                }
                let server = programs.start(subject.server())?;
                let figures = round::measure(&server, load, under).with_context(|| format!("{subject}, {load}"))?;
                announce(number + 1, rounds, subject, load, &figures);
                if !figures.held() {
                    limits.insert(subject, load.members);
                }
                crowds.add(at, subject, figures);
            }
        }
    }
    Ok(())
}

fn announce(number: usize, rounds: usize, subject: Subject, load: Workload, figures: &Figures) {
    eprintln!(
        "round {number}/{rounds}, {load}, {subject}: {} joined in {:.1} s, {} dropped, {:.0} announcements/s, {} heard none, \
         p50 {:.2} ms, p99 {:.2} ms, {} lost, {:.1} KiB each, newcomers known to {:.0} %, server {:.0} %, generator {:.0} %, \
         others {:.0} %",
        figures.joined,
        figures.join_seconds,
        figures.dropped,
        figures.announcements_per_second,
        figures.deaf,
        figures.p50_millis,
        figures.p99_millis,
        figures.lost,
        figures.kib_per_member,
        figures.noticed_share * 100.0,
        figures.server_share * 100.0,
        figures.generator_share * 100.0,
        figures.others_share * 100.0,
    );
}
