//! `switchboard-bench turn`: relaying through Switchboard and through coturn, interleaved in one run.
//!
//! In each round every contestant meets the same load, one right after the other, and the order turns round by round.
//! Servers stay up from round to round; allocations are new in every one.

mod contestants;
mod datagram;
mod ends;
mod footprint;
pub(crate) mod forwarder;
mod generator;
mod handshake;
mod lane;
mod measure;
mod namespace;
mod options;
mod report;
mod session;
pub(crate) mod soak;
mod stun;
mod targets;
mod tls;
mod workload;

pub(crate) use options::Options;

use crate::machine;
use crate::process;
use crate::summary::Summary;
use anyhow::{Context, Result};
use contestants::{Access, Arena, Contestant, Kind, Running, Subject};
use generator::Pacing;
use measure::{Conditions, Figures};
use options::Plan;
use report::Report;
use std::collections::BTreeMap;
use std::fs;
use workload::{Leg, Pace, Workload};

/// Runs the bench and prints its report.
pub(crate) fn run(options: &Options) -> Result<()> {
    if (options.namespace || options.no_offload) && !namespace::is_inside() {
        return namespace::enter(options.no_offload);
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say nothing; use `cargo run --release`");
    }
    let plan = options.plan()?;
    machine::allow_open_files(plan.most_sockets(options.allocations))?;
    process::end_children_with_us()?;
    // The generator is this thread; servers are started on a processor of their own.
    machine::pin_thread(&[plan.conditions.generator_cpu])?;
    let cpus = vec![plan.conditions.server_cpu];
    let arena = Arena::prepare(&plan.contestants, options.switchboard.clone(), cpus)?;
    let mut bench =
        Bench { access: arena.access()?, report: Report::new(&plan, options), standing: BTreeMap::new(), arena, plan };
    bench.busy_rounds(options)?;
    bench.footprint_rounds(options)?;
    if let Some(path) = &options.json {
        fs::write(path, bench.report.json()? + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", bench.report.markdown());
    Ok(())
}

/// One run.
#[derive(Debug)]
struct Bench {
    plan: Plan,
    arena: Arena,
    access: Access,
    report: Report,
    /// Servers that stay up, each started when first needed; none where there is nothing to start.
    standing: BTreeMap<Subject, Option<Running>>,
}

impl Bench {
    fn busy_rounds(&mut self, options: &Options) -> Result<()> {
        let workloads: Vec<Workload> = self.plan.closed.iter().chain(&self.plan.open).copied().collect();
        let closed = self.plan.closed.len();
        // All closed loops first: open loops take their rates from them.
        for part in [0..closed, closed..workloads.len()] {
            for round in 0..options.rounds {
                for at in part.clone() {
                    for subject in self.order(round) {
                        self.busy_round(at, &workloads[at], subject, round, options)?;
                    }
                }
            }
        }
        self.standing.clear();
        Ok(())
    }

    fn busy_round(
        &mut self,
        at: usize,
        load: &Workload,
        subject: Subject,
        round: usize,
        options: &Options,
    ) -> Result<()> {
        let contestant = self.plan.contestants[subject].clone();
        if !takes_part(&contestant, load) {
            return Ok(());
        }
        let Some(pacing) = self.pacing(load, options) else {
            self.report.note(&load.to_string(), "there is no closed loop of the same packets to take the rate from");
            return Ok(());
        };
        if !self.standing.contains_key(&subject) {
            let running = self.arena.start(&contestant)?;
            self.standing.insert(subject, running);
        }
        let server = self.standing.get(&subject).and_then(Option::as_ref);
        let under: Conditions = self.plan.conditions;
        match measure::measure(server, load, pacing, &self.access, &under) {
            Ok(figures) => {
                announce(round, load, &contestant.name, &figures);
                self.report.busy[at].add(subject, figures);
            }
            Err(error) => {
                self.report.note(&format!("{}, {load}", contestant.name), &format!("{error:#}"));
                // Whatever state it is in, the next load meets a fresh one.
                self.standing.remove(&subject);
            }
        }
        Ok(())
    }

    /// How packets follow each other; `None` for an open loop without a rate.
    fn pacing(&self, load: &Workload, options: &Options) -> Option<Pacing> {
        match load.pace {
            Pace::Closed => Some(Pacing::Window(options.window.unwrap_or(load.pattern.window()))),
            Pace::Open(percent) => {
                let pacer = &self.report.busy[self.plan.pacer(load)?];
                let capacity: Summary = pacer.summary(0, |figures| figures.packets_per_second)?;
                Some(Pacing::Rate(capacity.median * f64::from(percent) / 100.0))
            }
        }
    }

    fn footprint_rounds(&mut self, options: &Options) -> Result<()> {
        for round in 0..options.footprint_rounds {
            for subject in self.order(round) {
                let contestant = self.plan.contestants[subject].clone();
                // A fresh process for each: what one run leaves in an allocator would hide what the next one takes.
                let Some(server) = self.arena.start(&contestant)? else { continue };
                match footprint::allocations(&server, options.allocations, &self.access) {
                    Ok(figures) => self.report.allocations.add(subject, figures),
                    Err(error) => self.report.note(&(contestant.name.clone() + ", allocations"), &format!("{error:#}")),
                }
                drop(server);
                self.strangers(&contestant, subject, options.strangers)?;
                eprintln!("round {}, footprint, {}: done", round + 1, contestant.name);
            }
        }
        Ok(())
    }

    fn strangers(&mut self, contestant: &Contestant, subject: Subject, count: usize) -> Result<()> {
        // The forwarder knows no strangers: it serves everybody.
        if contestant.kind == Kind::Forwarder {
            return Ok(());
        }
        let Some(server) = self.arena.start(contestant)? else { return Ok(()) };
        match footprint::strangers(&server, count) {
            Ok(figures) => self.report.strangers.add(subject, figures),
            Err(error) => self.report.note(&(contestant.name.clone() + ", strangers"), &format!("{error:#}")),
        }
        Ok(())
    }

    /// The contestants from first to last, and the other way round in every second round.
    fn order(&self, round: usize) -> Vec<Subject> {
        let all = 0..self.plan.contestants.len();
        if round % 2 == 1 { all.rev().collect() } else { all.collect() }
    }
}

/// Forwarder and generator alone know UDP only.
fn takes_part(contestant: &Contestant, load: &Workload) -> bool {
    match contestant.kind {
        Kind::Turnserver { .. } | Kind::Switchboard => true,
        Kind::Forwarder | Kind::Direct => load.leg == Leg::Udp,
    }
}

fn announce(round: usize, load: &Workload, name: &str, figures: &Figures) {
    eprintln!(
        "round {}, {load}, {name}: {:.0} ns, {:.0} packets/s, p50 {:.0} µs, p99 {:.0} µs, server {:.0} %, others {:.0} %, \
         idle {:.0} %{}{}",
        round + 1,
        figures.cpu_nanos,
        figures.packets_per_second,
        figures.p50_micros,
        figures.p99_micros,
        figures.server_share * 100.0,
        figures.others_share * 100.0,
        figures.idle_share * 100.0,
        if figures.lost > 0 { format!(", {} LOST", figures.lost) } else { String::new() },
        if figures.late > 0 { format!(", {} OUT OF ORDER", figures.late) } else { String::new() },
    );
}
