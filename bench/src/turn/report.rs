//! What a run showed: every round's figures as JSON, and tables with the ratios and the targets.

use super::contestants::Subject;
use super::footprint::{AllocationFigures, StrangerFigures};
use super::measure::Figures;
use super::options::{Options, Plan};
use super::targets;
use super::workload::{Pace, Workload};
use crate::comparison::{self, Better, Line, Measured, capital};
use crate::machine;
use crate::report::QUIET;
use crate::table::{Table, number};
use anyhow::Result;
use serde::Serialize;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) seconds: f64,
    pub(crate) contestants: Vec<String>,
    pub(crate) busy: Vec<Measured<Workload, Subject, Figures>>,
    /// Of so many allocations, and of twice so many strangers.
    pub(crate) allocations: Measured<usize, Subject, AllocationFigures>,
    pub(crate) strangers: Measured<usize, Subject, StrangerFigures>,
    /// What did not work, a sentence each.
    pub(crate) failures: Vec<String>,
}

impl Report {
    /// An empty report for `plan`.
    pub(crate) fn new(plan: &Plan, options: &Options) -> Self {
        Self {
            machine: machine::description(),
            seconds: plan.conditions.measure.as_secs_f64(),
            contestants: plan.contestants.iter().map(|contestant| contestant.name.clone()).collect(),
            busy: plan.closed.iter().chain(&plan.open).map(|&workload| Measured::new(workload)).collect(),
            allocations: Measured::new(options.allocations),
            strangers: Measured::new(options.strangers),
            failures: Vec::new(),
        }
    }

    /// Notes that `what` did not work, once.
    pub(crate) fn note(&mut self, what: &str, why: &str) {
        eprintln!("{what}: {why}");
        let what = what.to_owned() + ": ";
        if !self.failures.iter().any(|failure| failure.starts_with(&what)) {
            self.failures.push(what + why);
        }
    }

    /// Every round's figures.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Tables of medians, their spreads, and the ratios to the first contestant; then the targets.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}; servers on one core, generator on another; medians (smallest–largest) of the rounds, {} s each.\n",
            self.machine, self.seconds
        );
        text += &self.overview();
        for measured in self.busy.iter().filter(|measured| !measured.rounds.is_empty()) {
            text += &format!("\n### {}\n\n{}", capital(&measured.workload.to_string()), self.busy_table(measured));
        }
        text += &self.footprint();
        let verdicts = targets::judge(self);
        for (title, lines) in [("Targets", verdicts), ("What did not work", self.failures.clone())] {
            if !lines.is_empty() {
                text += &format!("\n### {title}\n\n");
            }
            lines.iter().for_each(|line| text += &format!("- {line}\n"));
        }
        text
    }

    /// Packets per second of server CPU, all loads in one table.
    fn overview(&self) -> String {
        let closed: Vec<_> = self.busy.iter().filter(|measured| measured.workload.pace == Pace::Closed).collect();
        if closed.len() < 2 {
            return String::new();
        }
        let mut table = Table::new(self.head());
        for measured in closed {
            let figure: fn(&Figures) -> f64 = |figures| figures.packets_per_core;
            let mut row = measured.row(&self.subjects(), ("", "", Better::More, figure));
            row[0] = measured.workload.name();
            table.row(row);
        }
        format!("\n### Packets per second of server CPU\n\n{}", table.render())
    }

    fn busy_table(&self, measured: &Measured<Workload, Subject, Figures>) -> String {
        let mut rows: Vec<Line<Figures>> = vec![
            ("server CPU per packet", " ns", Better::Less, |figures| figures.cpu_nanos),
            ("of it outside the kernel", " ns", Better::Less, |figures| figures.user_nanos),
            ("server and generator per packet", " ns", Better::Less, |figures| figures.path_nanos),
            ("packets per second of server CPU", "", Better::More, |figures| figures.packets_per_core),
            ("packets per second", "", Better::More, |figures| figures.packets_per_second),
            ("p50", " µs", Better::Less, |figures| figures.p50_micros),
            ("p99", " µs", Better::Less, |figures| figures.p99_micros),
            ("p99.9", " µs", Better::Less, |figures| figures.p999_micros),
            ("server's share of its core", " %", Better::Neither, |figures| figures.server_share * 100.0),
            ("others' share of the server's core", " %", Better::Neither, |figures| figures.others_share * 100.0),
            ("generator's idle time", " %", Better::Neither, |figures| figures.idle_share * 100.0),
        ];
        if measured.workload.pace != Pace::Closed {
            rows.push(("generator's own lag, p99", " µs", Better::Neither, |figures| figures.lag_p99_micros));
        }
        let mishaps: [Line<Figures>; 2] = [
            ("packets lost", "", Better::Neither, |figures| figures.lost as f64),
            ("packets out of order", "", Better::Neither, |figures| figures.late as f64),
        ];
        rows.extend(mishaps.into_iter().filter(|(.., figure)| measured.most(figure) > 0.0));
        let mut table = Table::new(self.head());
        rows.into_iter().for_each(|line| table.row(measured.row(&self.subjects(), line)));
        table.render() + &self.floors(measured) + &disturbances(measured)
    }

    fn footprint(&self) -> String {
        let mut text = String::new();
        if !self.allocations.rounds.is_empty() {
            let mut table = Table::new(self.head());
            let rows: [Line<AllocationFigures>; 6] = [
                ("memory per allocation", " KiB", Better::Less, |figures| figures.kib),
                ("of it heap and stacks", " KiB", Better::Less, |figures| figures.anonymous_kib),
                ("without permission and channel", " KiB", Better::Less, |figures| figures.anonymous_kib_unbound),
                ("whole server", " MiB", Better::Less, |figures| figures.resident as f64 / 1_048_576.0),
                ("allocations per second of server CPU", "", Better::More, |figures| figures.per_core),
                ("allocations per second", "", Better::More, |figures| figures.per_second),
            ];
            rows.into_iter().for_each(|line| table.row(self.allocations.row(&self.subjects(), line)));
            text += &format!("\n### {} allocations of a fresh server\n\n{}", self.allocations.workload, table.render());
        }
        if !self.strangers.rounds.is_empty() {
            let mut table = Table::new(self.head());
            let rows: [Line<StrangerFigures>; 5] = [
                ("memory per source", " B", Better::Neither, |figures| figures.bytes_first),
                ("memory per source, as many more", " B", Better::Neither, |figures| figures.bytes_more),
                ("answer to a Binding of 20 bytes", " B", Better::Less, |figures| figures.binding as f64),
                ("answer to an Allocate of 28 bytes", " B", Better::Less, |figures| figures.allocate as f64),
                ("answer to an Allocate of 20 bytes", " B", Better::Less, |figures| figures.bare_allocate as f64),
            ];
            rows.into_iter().for_each(|line| table.row(self.strangers.row(&self.subjects(), line)));
            let count = self.strangers.workload;
            text += &format!("\n### {count} sources without credentials\n\n{}", table.render());
        }
        text
    }

    fn subjects(&self) -> Vec<Subject> {
        (0..self.contestants.len()).collect()
    }

    fn head(&self) -> Vec<String> {
        comparison::head(self.contestants.iter().cloned())
    }

    /// Says of which contestants the generator may have held up the rate.
    fn floors(&self, measured: &Measured<Workload, Subject, Figures>) -> String {
        let mut text = String::new();
        for (subject, rounds) in &measured.rounds {
            let floors = rounds.iter().filter(|figures| figures.is_floor()).count();
            if measured.workload.pace == Pace::Closed && floors > 0 {
                text += &format!(
                    "\n{}: the generator was the limit in {floors} of {} rounds.\n",
                    self.contestants[*subject],
                    rounds.len()
                );
            }
        }
        text
    }
}

/// Says how far other programs disturbed the servers, if they did.
fn disturbances(measured: &Measured<Workload, Subject, Figures>) -> String {
    let most = measured.most(|figures| figures.others_share);
    if most <= QUIET {
        return String::new();
    }
    format!("\nThe machine was not quiet: other programs took up to {} % of the servers' core.\n", number(most * 100.0))
}
