//! The project's promises about signalling, judged by the medians of a run.

use crate::comparison::verdict;
use crate::load::Load;
use crate::report::{Measured, Report};
use crate::round::{Figures, IdleFigures};
use crate::servers::Subject;
use crate::star::{self, Crowd, Crowds};
use crate::summary::Summary;
use crate::table::{number, spread};

/// At least this many times less CPU time for each message than the original, and the aim if it is another; in every
/// closed loop, with one message on the way as with a negotiation's burst. The bare relay stands beside each verdict: with
/// one message four fifths of the time are the kernel's, and what even the bare relay misses no server reaches.
const CPU_RATIOS: [(Subject, Subject, f64, Option<f64>); 3] = [
    (Subject::Baseline, Subject::Ws, 4.0, None),
    (Subject::Baseline, Subject::SocketIo, 3.0, None),
    (Subject::PeerServer, Subject::PeerJs, 3.0, Some(5.0)),
];
/// Messages that a core relays in a second.
const MESSAGES_PER_CORE: f64 = 100_000.0;
/// The longest 99th percentile, in milliseconds, up to this rate.
const P99: (f64, u32) = (5.0, 20_000);
/// The most memory of an idle socket in KiB, and the aim.
const MEMORY: (f64, f64) = (6.0, 4.0);
/// Idle sockets for which memory is judged: with fewer, what a server takes once weighs too much.
const IDLE_SOCKETS: usize = 5_000;
/// At most this share of PeerServer's memory for each idle connection.
const PEERJS_MEMORY: f64 = 2.0 / 3.0;
/// The longest 99th percentile of relaying, in milliseconds, while this many joined star peers are announced to each other.
const STAR_P99: (f64, usize) = (20.0, 5_000);
/// Star peers that join without a refused connection.
const STAR_JOINED: usize = 10_000;

/// One sentence for each target that the run has figures for.
pub(crate) fn judge(report: &Report) -> Vec<String> {
    let busy = report.busy.iter().flat_map(judge_busy);
    let idle = report.idle.iter().filter(|measured| measured.workload.pairs * 2 >= IDLE_SOCKETS);
    busy.chain(idle.flat_map(judge_idle)).collect()
}

fn judge_busy(measured: &Measured<Figures>) -> Vec<String> {
    let mut verdicts = Vec::new();
    if matches!(measured.workload.load, Load::Closed { .. }) {
        for (original, subject, times, aim) in CPU_RATIOS {
            verdicts.extend(cpu(measured, [original, subject], times, aim));
        }
    }
    for subject in [Subject::Ws, Subject::SocketIo] {
        match measured.workload.load {
            Load::Closed { .. } => verdicts.extend(rate(measured, subject)),
            Load::Open { rate } if rate <= P99.1 => verdicts.extend(latency(measured, subject)),
            Load::Open { .. } | Load::Idle => {}
        }
    }
    verdicts
}

fn judge_idle(measured: &Measured<IdleFigures>) -> Vec<String> {
    let mut verdicts = Vec::new();
    for subject in [Subject::Ws, Subject::SocketIo] {
        let Some(memory) = measured.summary(subject, |figures| figures.kib_per_socket) else { continue };
        let (most, aim) = MEMORY;
        let short = if memory.median > aim { format!(", {} is the aim", number(aim)) } else { String::new() };
        let found = spread(Some(memory), " KiB");
        let target = format!("{}: {subject} at most {} KiB a socket", measured.workload, number(most));
        verdicts.push(verdict(memory.median <= most, &target, &(found + &short)));
    }
    verdicts.extend(memory_share(measured));
    verdicts
}

/// PeerJS's memory beside PeerServer's, round by round.
fn memory_share(measured: &Measured<IdleFigures>) -> Option<String> {
    let [theirs, ours] = [Subject::PeerServer, Subject::PeerJs]
        .map(|subject| measured.each(subject, |figures: &IdleFigures| figures.kib_per_socket));
    let share = Summary::of_ratios(&ours, &theirs)?;
    let target = format!(
        "{}: {} at most {} of the memory of {} for each",
        measured.workload,
        Subject::PeerJs,
        number(PEERJS_MEMORY),
        Subject::PeerServer
    );
    Some(verdict(share.median <= PEERJS_MEMORY, &target, &spread(Some(share), "")))
}

/// Judges how many times more CPU time the first subject takes for a message than the second.
fn cpu(
    measured: &Measured<Figures>,
    [original, subject]: [Subject; 2],
    times: f64,
    aim: Option<f64>,
) -> Option<String> {
    let [theirs, ours] = [original, subject].map(|subject| measured.each(subject, |figures| figures.cpu_micros));
    let ratio = Summary::of_ratios(&theirs, &ours)?;
    let target = format!("{}: {subject} at least {} times less CPU per message", measured.workload, number(times));
    let short = aim.filter(|aim| ratio.median < *aim).map(|aim| format!(", {} is the aim", number(aim)));
    let least = Summary::of_ratios(&theirs, &measured.each(Subject::Floor, |figures| figures.cpu_micros));
    let least = least.map(|least| format!("; the bare relay {}", spread(Some(least), " ×")));
    let found = spread(Some(ratio), " ×") + &short.unwrap_or_default() + &least.unwrap_or_default();
    Some(verdict(ratio.median >= times, &target, &found))
}

/// One sentence for each target that crowds of star peers have figures for.
pub(crate) fn judge_crowds(crowds: &Crowds) -> Vec<String> {
    let takes_part = crowds.subjects.contains(&Subject::Star);
    crowds.rounds.iter().filter(|_| takes_part).flat_map(judge_crowd).collect()
}

/// A crowd that was not reached, because a smaller one was too much already, misses its targets.
fn judge_crowd(measured: &Crowd) -> Vec<String> {
    let (load, mut verdicts) = (measured.workload, Vec::new());
    let none = Vec::new();
    let rounds = measured.rounds.get(&Subject::Star).unwrap_or(&none);
    let reached = !rounds.is_empty();
    let count = |figure: fn(&star::Figures) -> usize| rounds.iter().map(figure).sum::<usize>();
    let [missing, dropped, deaf] = [
        count(|figures| figures.asked - figures.joined),
        count(|figures| figures.dropped),
        count(|figures| figures.deaf),
    ];
    let whole = reached && missing + dropped == 0;
    let found = |text: String| if reached { text } else { "not reached".into() };
    if (STAR_P99.1..STAR_JOINED).contains(&load.members) {
        let p99 = measured.summary(Subject::Star, |figures| figures.p99_millis);
        let target = format!("{load}: {} p99 under {} ms", Subject::Star, number(STAR_P99.0));
        let met = whole && p99.is_some_and(|p99| p99.median < STAR_P99.0);
        verdicts.push(verdict(met, &target, &found(spread(p99, " ms"))));
    }
    if load.members >= STAR_JOINED {
        let target = format!("{load}: no connection to {} refused or dropped", Subject::Star);
        verdicts.push(verdict(whole, &target, &found(format!("{missing} refused, {dropped} dropped"))));
    }
    if load.members >= STAR_P99.1 {
        let target = format!("{load}: every peer hears announcements meanwhile");
        verdicts.push(verdict(reached && deaf == 0, &target, &found(format!("{deaf} heard none"))));
    }
    verdicts
}

fn rate(measured: &Measured<Figures>, subject: Subject) -> Option<String> {
    let per_core = measured.summary(subject, |figures| figures.messages_per_core)?;
    let found = measured.summary(subject, |figures| figures.messages_per_second)?;
    let target =
        format!("{}: {subject} at least {} messages a second and core", measured.workload, number(MESSAGES_PER_CORE));
    let seen =
        format!("{} per second of CPU, {} relayed", spread(Some(per_core), ""), spread(Some(found), " a second"));
    Some(verdict(per_core.median >= MESSAGES_PER_CORE, &target, &seen))
}

fn latency(measured: &Measured<Figures>, subject: Subject) -> Option<String> {
    let p99 = measured.summary(subject, |figures| figures.p99_millis)?;
    let target = format!("{}: {subject} p99 under {} ms", measured.workload, number(P99.0));
    Some(verdict(p99.median < P99.0, &target, &spread(Some(p99), " ms")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(members: usize, rounds: &[star::Figures]) -> Vec<String> {
        let load = star::Workload { members, rate: 1_000, newcomers: 5 };
        let mut crowds = Crowds::new(&[Subject::StarServer, Subject::Star], &[load], 12.0);
        rounds.iter().for_each(|figures| crowds.add(0, Subject::Star, figures.clone()));
        judge_crowds(&crowds).iter().map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_crowd_is_judged_by_who_joined_and_by_the_median() {
        let good = star::Figures { asked: 5_000, joined: 5_000, p99_millis: 3.0, ..star::Figures::default() };
        let slow = star::Figures { p99_millis: 21.0, ..good.clone() };
        let short = star::Figures { joined: 4_999, ..good.clone() };
        let deaf = star::Figures { deaf: 1, ..good.clone() };

        assert_eq!(judged(5_000, &[good.clone(), slow.clone(), good.clone()]), ["**met**", "**met**"]);
        assert_eq!(judged(5_000, &[slow]), ["**missed**", "**met**"]);
        assert_eq!(judged(5_000, &[good.clone(), short]), ["**missed**", "**met**"]);
        assert_eq!(judged(5_000, &[deaf]), ["**met**", "**missed**"]);
        assert_eq!(judged(1_000, std::slice::from_ref(&good)), Vec::<String>::new());
        assert_eq!(judged(10_000, &[star::Figures { asked: 10_000, ..good }]), ["**missed**", "**met**"]);
    }

    #[test]
    fn a_crowd_that_was_not_reached_misses_its_targets() {
        assert_eq!(judged(5_000, &[]), ["**missed**", "**missed**"]);
        assert_eq!(judged(10_000, &[]), ["**missed**", "**missed**"]);
    }
}
