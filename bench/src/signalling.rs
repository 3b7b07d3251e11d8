//! `switchboard-bench signalling`, `peerjs` and the relaying of `star`: the rounds of all subjects, interleaved in one run.
//!
//! In each round every subject meets the same load, one right after the other, and the order turns round by round:
//! what changes on the machine in between changes for all.

use crate::load::Workload;
use crate::machine;
use crate::options::{Options, Plan};
use crate::process::{self, Process};
use crate::report::Report;
use crate::round::{self, Figures, IdleFigures};
use crate::servers::{Programs, Server, Subject};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;

/// Runs the bench and prints its report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let plan = options.plan()?;
    ensure!(!plan.is_empty(), "there is nothing to measure");
    let programs = prepare(options, &plan, plan.most_sockets())?;
    let report = measure(options, &plan, &programs)?;
    publish(options.json.as_deref(), &report.json()?, &report.markdown())
}

/// Finds the programs, and makes the machine ready for `sockets` sockets.
pub(crate) fn prepare(options: &Options, plan: &Plan, sockets: usize) -> Result<Programs> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say nothing; use `cargo run --release`");
    }
    machine::allow_open_files(sockets)?;
    process::end_children_with_us()?;
    Programs::find(&plan.subjects, options.switchboard.clone(), vec![plan.conditions.server_cpu])
}

/// Measures what the plan asks for.
pub(crate) fn measure(options: &Options, plan: &Plan, programs: &Programs) -> Result<Report> {
    let mut report = Report::new(plan, programs.versions());
    busy_rounds(plan, programs, options.rounds, &mut report)?;
    idle_rounds(plan, programs, options.idle_rounds, &mut report)?;
    Ok(report)
}

/// Writes the figures where they are asked for, and the tables to standard output.
pub(crate) fn publish(json: Option<&Path>, figures: &str, tables: &str) -> Result<()> {
    match json {
        Some(path) if path == Path::new("-") => println!("{figures}"),
        Some(path) => {
            fs::write(path, format!("{figures}\n")).with_context(|| format!("cannot write {}", path.display()))?;
            print!("{tables}");
        }
        None => print!("{tables}"),
    }
    Ok(())
}

/// Servers that stay up from round to round, each started when first needed.
#[derive(Debug, Default)]
struct Standing(BTreeMap<Server, Process>);

impl Standing {
    fn server(&mut self, server: Server, programs: &Programs) -> Result<&Process> {
        Ok(match self.0.entry(server) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(place) => place.insert(programs.start(server)?),
        })
    }
}

fn busy_rounds(plan: &Plan, programs: &Programs, rounds: usize, report: &mut Report) -> Result<()> {
    let mut standing = Standing::default();
    for number in 0..rounds {
        for (at, &workload) in plan.busy.iter().enumerate() {
            for subject in order(&plan.subjects, number) {
                let server = standing.server(subject.server(), programs)?;
                let figures = round::measure(server, subject, workload, &plan.conditions)?;
                announce(number + 1, rounds, subject, workload, &figures);
                report.add(at, subject, figures);
            }
        }
    }
    Ok(())
}

fn idle_rounds(plan: &Plan, programs: &Programs, rounds: usize, report: &mut Report) -> Result<()> {
    for number in 0..rounds {
        for (at, &workload) in plan.idle.iter().enumerate() {
            for subject in order(&plan.subjects, number) {
                // A fresh process for each: what one run leaves in an allocator would hide what the next one takes.
                let server = programs.start(subject.server())?;
                let figures = round::measure_idle(&server, subject, workload, &plan.conditions)?;
                announce_idle(number + 1, rounds, subject, workload, &figures);
                report.add_idle(at, subject, figures);
            }
        }
    }
    Ok(())
}

/// The subjects from first to last, and the other way round in every second round.
pub(crate) fn order(subjects: &[Subject], number: usize) -> Vec<Subject> {
    let mut order = subjects.to_vec();
    if number % 2 == 1 {
        order.reverse();
    }
    order
}

fn announce(number: usize, rounds: usize, subject: Subject, workload: Workload, figures: &Figures) {
    eprintln!(
        "round {number}/{rounds}, {workload}, {subject}: {:.0} messages/s, {:.2} µs each, p50 {:.2} ms, p99 {:.2} ms, \
         server {:.0} %, generator {:.0} %, others {:.0} %{}",
        figures.messages_per_second,
        figures.cpu_micros,
        figures.p50_millis,
        figures.p99_millis,
        figures.server_share * 100.0,
        figures.generator_share * 100.0,
        figures.others_share * 100.0,
        if figures.lost > 0 { format!(", {} LOST", figures.lost) } else { String::new() },
    );
}

fn announce_idle(number: usize, rounds: usize, subject: Subject, workload: Workload, figures: &IdleFigures) {
    eprintln!(
        "round {number}/{rounds}, {workload}, {subject}: {:.2} KiB each ({:.2} of heap), {:.0} µs to connect",
        figures.kib_per_socket, figures.anonymous_kib_per_socket, figures.connect_cpu_micros,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_turns_round_by_round() {
        let subjects = [Subject::Baseline, Subject::Ws, Subject::SocketIo];

        assert_eq!(order(&subjects, 0), subjects);
        assert_eq!(order(&subjects, 1), [Subject::SocketIo, Subject::Ws, Subject::Baseline]);
        assert_eq!(order(&subjects, 2), subjects);
    }
}
