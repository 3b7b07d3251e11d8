//! The project's promises about relaying, judged by the medians of a run. The first contestant is coturn.

use super::measure::Figures;
use super::report::Report;
use super::workload::{Family, Leg, Pace, Pattern, Way, Workload};
use crate::comparison::{Measured, verdict};
use crate::summary::Summary;
use crate::table::{number, spread};

/// At least this many times the packets per second of CPU.
const SINGLE_PACKETS: f64 = 1.1;
const BURSTS: f64 = 2.0;
const RELAYED: f64 = 3.0;
/// Most user-space memory of an allocation, in KiB.
const MEMORY: f64 = 4.0;
/// Growth per stranger that is the allocator's and not a stranger's, in bytes: a few pages over a whole crowd.
const NOTHING: f64 = 8.0;
/// Longest answer to an Allocate request without credentials, in bytes.
const ANSWER: f64 = 68.0;
const PER_CORE: f64 = 5_000.0;

/// One sentence for each target that the run has figures for.
pub(crate) fn judge(report: &Report) -> Vec<String> {
    let Some(ours) = report.contestants.iter().position(|name| name == "Switchboard") else { return Vec::new() };
    let mut verdicts: Vec<String> =
        report.busy.iter().filter_map(|measured| ratio(measured, ours, &report.contestants[0])).collect();
    verdicts.extend(report.busy.iter().filter_map(|measured| latency(measured, ours, &report.contestants[0])));
    let allocations = &report.allocations;
    if let Some(memory) = allocations.summary(ours, |figures| figures.anonymous_kib) {
        let target = format!("at most {} KiB of user-space memory per allocation", number(MEMORY));
        verdicts.push(verdict(memory.median <= MEMORY, &target, &spread(Some(memory), " KiB")));
    }
    if let Some(rate) = allocations.summary(ours, |figures| figures.per_core) {
        let target = format!("at least {} allocations per second and core", number(PER_CORE));
        verdicts.push(verdict(rate.median >= PER_CORE, &target, &spread(Some(rate), "")));
    }
    if let Some(memory) = report.strangers.summary(ours, |figures| figures.bytes_more) {
        let found = spread(Some(memory), " B") + " of growth, by whole pages";
        verdicts.push(verdict(memory.median < NOTHING, "no memory per source without credentials", &found));
    }
    if let Some(answer) = report.strangers.summary(ours, |figures| figures.allocate as f64) {
        let target = format!("at most {ANSWER} bytes in answer to an Allocate without credentials");
        verdicts.push(verdict((1.0..=ANSWER).contains(&answer.median), &target, &spread(Some(answer), " B")));
    }
    verdicts
}

/// How many times better than coturn a load is to be, where there is a promise. That of single packets is for many flows:
/// the usual number or more.
fn promise(workload: &Workload) -> Option<f64> {
    let usual = Workload::closed(workload.pattern, workload.way);
    let is_single = workload.pattern == Pattern::Audio && workload.way != Way::Relayed;
    let counted = if is_single { workload.flows.min(usual.flows) } else { workload.flows };
    if (Workload { flows: counted, ..*workload }) != usual || workload.leg != Leg::Udp || workload.family != Family::V4
    {
        return None;
    }
    Some(match (workload.way, workload.pattern) {
        (Way::Relayed, Pattern::Audio | Pattern::Video | Pattern::Bulk) => RELAYED,
        (Way::Up | Way::Down, Pattern::Audio) => SINGLE_PACKETS,
        (Way::Up | Way::Down, Pattern::Video | Pattern::Bulk) => BURSTS,
    })
}

fn ratio(measured: &Measured<Workload, usize, Figures>, ours: usize, coturn: &str) -> Option<String> {
    let least = promise(&measured.workload)?;
    let each = |subject| measured.each(subject, |figures: &Figures| figures.packets_per_core);
    let found = Summary::of_ratios(&each(ours), &each(0))?;
    let target =
        format!("{}: at least {} times the packets per second of CPU of {coturn}", measured.workload, number(least));
    Some(verdict(found.median >= least, &target, &spread(Some(found), " ×")))
}

fn latency(measured: &Measured<Workload, usize, Figures>, ours: usize, coturn: &str) -> Option<String> {
    let Pace::Open(_) = measured.workload.pace else { return None };
    let p99 = |subject| measured.summary(subject, |figures: &Figures| figures.p99_micros);
    let (found, theirs) = (p99(ours)?, p99(0)?);
    let target = format!("{}: p99 not above that of {coturn}, {}", measured.workload, spread(Some(theirs), " µs"));
    Some(verdict(found.median <= theirs.median, &target, &spread(Some(found), " µs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_only_what_is_compared_by_default() {
        let promised = |text: &str| promise(&text.parse().expect("a load"));

        assert_eq!([promised("audio-up"), promised("video-down")], [Some(1.1), Some(2.0)]);
        assert_eq!([promised("audio-up/4000"), promised("audio-down/200")], [Some(1.1), Some(1.1)], "many flows");
        assert_eq!([promised("audio-up/99"), promised("video-up/4000"), promised("audio-relayed/4000")], [None; 3]);
        assert_eq!([promised("video-relayed"), promised("audio-relayed")], [Some(3.0), Some(3.0)]);
        assert_eq!([promised("video-up/tcp"), promised("audio-up/1"), promised("video-up/v6")], [None, None, None]);
    }
}
