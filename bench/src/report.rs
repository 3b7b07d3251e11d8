//! What a run showed: every round's figures as JSON, and tables with the ratios and the targets.

use crate::comparison::{self, Better, Line, capital};
use crate::load::{Load, Workload};
use crate::machine;
use crate::options::Plan;
use crate::round::{Figures, IdleFigures};
use crate::servers::Subject;
use crate::table::{Table, number};
use crate::targets;
use anyhow::Result;
use serde::Serialize;

/// Up to this share of the servers' core may go to other programs before the report says so. Counted in ticks of 10 ms,
/// a share is not exact to better than a percent.
pub(crate) const QUIET: f64 = 0.05;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) versions: String,
    pub(crate) seconds: f64,
    pub(crate) generators: usize,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) busy: Vec<Measured<Figures>>,
    pub(crate) idle: Vec<Measured<IdleFigures>>,
}

/// The rounds of one load.
pub(crate) type Measured<F> = comparison::Measured<Workload, Subject, F>;

impl Report {
    /// An empty report for `plan`.
    pub(crate) fn new(plan: &Plan, versions: String) -> Self {
        Self {
            machine: machine::description(),
            versions,
            seconds: plan.conditions.measure.as_secs_f64(),
            generators: plan.conditions.generator_cpus.len(),
            subjects: plan.subjects.clone(),
            busy: plan.busy.iter().map(|&workload| Measured::new(workload)).collect(),
            idle: plan.idle.iter().map(|&workload| Measured::new(workload)).collect(),
        }
    }

    /// Adds a round of the load number `at`.
    pub(crate) fn add(&mut self, at: usize, subject: Subject, figures: Figures) {
        self.busy[at].add(subject, figures);
    }

    /// Adds a round of the idle load number `at`.
    pub(crate) fn add_idle(&mut self, at: usize, subject: Subject, figures: IdleFigures) {
        self.idle[at].add(subject, figures);
    }

    /// Every round's figures.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Tables of medians, their spreads, and the ratios to the first subject; then the targets.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}; {}; servers on one core, generator on {} other{}; medians (smallest–largest) of the rounds, {} s each.\n",
            self.machine,
            self.versions,
            self.generators,
            if self.generators == 1 { "" } else { "s" },
            self.seconds
        );
        for measured in &self.busy {
            text += &format!("\n### {}\n\n{}", capital(&measured.workload.to_string()), self.busy_table(measured));
        }
        for measured in &self.idle {
            text += &format!("\n### {}\n\n{}", capital(&measured.workload.to_string()), self.idle_table(measured));
        }
        let verdicts = targets::judge(self);
        if !verdicts.is_empty() {
            text += "\n### Targets\n\n";
        }
        verdicts.iter().fold(text, |text, verdict| text + "- " + verdict + "\n")
    }

    fn busy_table(&self, measured: &Measured<Figures>) -> String {
        let mut table = Table::new(self.head());
        let mut rows: Vec<Line<Figures>> = vec![
            ("server CPU per message", " µs", Better::Less, |figures| figures.cpu_micros),
            ("of it outside the kernel", " µs", Better::Less, |figures| figures.user_micros),
            ("messages per second", "", Better::More, |figures| figures.messages_per_second),
            ("messages per second of server CPU", "", Better::More, |figures| figures.messages_per_core),
            ("p50", " ms", Better::Less, |figures| figures.p50_millis),
            ("p99", " ms", Better::Less, |figures| figures.p99_millis),
            ("p99.9", " ms", Better::Less, |figures| figures.p999_millis),
            ("server's share of its core", " %", Better::Neither, |figures| figures.server_share * 100.0),
            ("generator's share of its core", " %", Better::Neither, |figures| figures.generator_share * 100.0),
            ("others' share of the server's core", " %", Better::Neither, |figures| figures.others_share * 100.0),
        ];
        if matches!(measured.workload.load, Load::Open { .. }) {
            rows.retain(|(name, ..)| *name != "messages per second");
            rows.push(("generator's own lag, p99", " ms", Better::Neither, |figures| figures.lag_p99_millis));
        }
        for line in rows {
            table.row(measured.row(&self.subjects, line));
        }
        if measured.most(|figures| figures.lost as f64) > 0.0 {
            table.row(
                measured.row(&self.subjects, ("messages lost", "", Better::Neither, |figures| figures.lost as f64)),
            );
        }
        table.render() + &self.floors(measured) + &self.disturbances(measured)
    }

    fn idle_table(&self, measured: &Measured<IdleFigures>) -> String {
        let mut table = Table::new(self.head());
        let rows: [Line<IdleFigures>; 4] = [
            ("memory per socket", " KiB", Better::Less, |figures| figures.kib_per_socket),
            ("of it heap and stacks", " KiB", Better::Less, |figures| figures.anonymous_kib_per_socket),
            ("whole server", " MiB", Better::Less, |figures| figures.resident_after as f64 / 1_048_576.0),
            ("server CPU to connect a socket", " µs", Better::Less, |figures| figures.connect_cpu_micros),
        ];
        for line in rows {
            table.row(measured.row(&self.subjects, line));
        }
        table.render()
    }

    fn head(&self) -> Vec<String> {
        comparison::head(self.subjects.iter().map(Subject::to_string))
    }

    /// Says how far other programs disturbed the servers, if they did.
    fn disturbances(&self, measured: &Measured<Figures>) -> String {
        let most = measured.most(|figures| figures.others_share);
        if most <= QUIET {
            return String::new();
        }
        format!(
            "\nThe machine was not quiet: other programs took up to {} % of the servers' core.\n",
            number(most * 100.0)
        )
    }

    /// Says of which subjects the generator may have held up the rate.
    fn floors(&self, measured: &Measured<Figures>) -> String {
        let mut text = String::new();
        for &subject in &self.subjects {
            let Some(rounds) = measured.rounds.get(&subject) else { continue };
            let floors = rounds.iter().filter(|figures| figures.is_floor()).count();
            let closed = matches!(measured.workload.load, Load::Closed { .. });
            if closed && floors > 0 {
                let share = measured.summary(subject, |figures| figures.generator_share).map_or(0.0, |s| s.median);
                text += &format!(
                    "\n{subject}: the generator was the limit in {floors} of {} rounds ({} % of its core), so its messages \
                     per second are a floor.\n",
                    rounds.len(),
                    number(share * 100.0)
                );
            }
        }
        text
    }
}
