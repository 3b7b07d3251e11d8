//! What crowds showed, as tables with ratios, limits and targets.

use super::round::{Figures, Workload};
use crate::comparison::{self, Better, Line, Measured, capital};
use crate::report::QUIET;
use crate::servers::Subject;
use crate::table::{Table, number};
use crate::targets;
use serde::Serialize;

/// The rounds of one crowd.
pub(crate) type Crowd = Measured<Workload, Subject, Figures>;

/// Everything that was measured with crowds.
#[derive(Debug, Serialize)]
pub(crate) struct Crowds {
    pub(crate) seconds: f64,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) rounds: Vec<Crowd>,
}

impl Crowds {
    /// No round yet.
    pub(crate) fn new(subjects: &[Subject], loads: &[Workload], seconds: f64) -> Self {
        Self { seconds, subjects: subjects.to_vec(), rounds: loads.iter().copied().map(Measured::new).collect() }
    }

    /// Adds a round of the crowd number `at`.
    pub(crate) fn add(&mut self, at: usize, subject: Subject, figures: Figures) {
        self.rounds[at].add(subject, figures);
    }

    /// Tables, limits, and a sentence for each target.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for measured in self.rounds.iter().filter(|measured| !measured.rounds.is_empty()) {
            let heading = capital(&measured.workload.to_string());
            text += &format!("\n### {heading}, measured for {} s\n\n{}", self.seconds, self.table(measured));
        }
        let verdicts = targets::judge_crowds(self);
        if !verdicts.is_empty() {
            text += "\n### Targets with crowds\n\n";
        }
        verdicts.iter().fold(text, |text, verdict| text + "- " + verdict + "\n")
    }

    fn table(&self, measured: &Crowd) -> String {
        let subjects: Vec<Subject> =
            self.subjects.iter().copied().filter(|subject| measured.rounds.contains_key(subject)).collect();
        let mut table = Table::new(comparison::head(subjects.iter().map(Subject::to_string)));
        let rows: [Line<Figures>; 19] = [
            ("joined", "", Better::Neither, |figures| figures.joined as f64),
            ("dropped afterwards", "", Better::Neither, |figures| figures.dropped as f64),
            ("time until all had joined", " s", Better::Less, |figures| figures.join_seconds),
            ("server CPU to join", " µs", Better::Less, |figures| figures.join_cpu_micros),
            ("memory per joined peer", " KiB", Better::Less, |figures| figures.kib_per_member),
            ("handshakes lost", "", Better::Neither, |figures| figures.lost as f64),
            ("p50", " ms", Better::Less, |figures| figures.p50_millis),
            ("p99", " ms", Better::Less, |figures| figures.p99_millis),
            ("p99.9", " ms", Better::Less, |figures| figures.p999_millis),
            ("announcements a second", "", Better::Neither, |figures| figures.announcements_per_second),
            ("announced a second", " MiB", Better::Neither, |figures| figures.announced_mib_per_second),
            ("peers that heard none", "", Better::Neither, |figures| figures.deaf as f64),
            ("peers that heard of a newcomer", " %", Better::Neither, |figures| figures.noticed_share * 100.0),
            ("nine in ten heard of it within", " s", Better::Neither, |figures| figures.notice_p90_seconds),
            ("a newcomer heard of others within", " s", Better::Neither, |figures| figures.newcomer_waited_seconds),
            ("server's share of its core", " %", Better::Less, |figures| figures.server_share * 100.0),
            ("generator's share of its core", " %", Better::Neither, |figures| figures.generator_share * 100.0),
            ("others' share of the server's core", " %", Better::Neither, |figures| figures.others_share * 100.0),
            ("generator's own lag, p99", " ms", Better::Neither, |figures| figures.lag_p99_millis),
        ];
        for line in rows {
            table.row(measured.row(&subjects, line));
        }
        table.render() + &limits(measured, &subjects) + &disturbances(measured)
    }
}

/// Says who did not take the crowd in, or did not keep it.
fn limits(measured: &Crowd, subjects: &[Subject]) -> String {
    let mut text = String::new();
    for &subject in subjects {
        let Some(rounds) = measured.rounds.get(&subject) else { continue };
        let failed: Vec<&Figures> = rounds.iter().filter(|figures| !figures.held()).collect();
        if let Some(worst) = failed.iter().min_by_key(|figures| figures.joined) {
            text += &format!(
                "\n{subject} is past its limit here in {} of {} rounds: {} of {} joined, {} were dropped. It meets no larger \
                 crowd.\n",
                failed.len(),
                rounds.len(),
                worst.joined,
                worst.asked,
                worst.dropped
            );
        }
    }
    text
}

fn disturbances(measured: &Crowd) -> String {
    let most = measured.most(|figures| figures.others_share);
    if most <= QUIET {
        return String::new();
    }
    format!("\nThe machine was not quiet: other programs took up to {} % of the servers' core.\n", number(most * 100.0))
}
