//! The project's promises about signalling, judged by the medians of a run.

use crate::comparison::verdict;
use crate::load::Load;
use crate::report::{Measured, Report};
use crate::round::Figures;
use crate::servers::Subject;
use crate::summary::Summary;
use crate::table::{number, spread};

/// At least this many times less CPU time for each message than the socket.io server, judged with a negotiation's burst (an
/// offer and its candidates) on the way in each pair. With a single message a bare relay that does nothing but read and
/// write hardly gets there itself: the kernel's part is four fifths then, for everybody.
const CPU_RATIOS: [(Subject, f64); 2] = [(Subject::Ws, 4.0), (Subject::SocketIo, 3.0)];
/// The messages of a burst.
const BURST: u32 = 8;
/// Messages that a core relays in a second.
const MESSAGES_PER_CORE: f64 = 100_000.0;
/// The longest 99th percentile, in milliseconds, up to this rate.
const P99: (f64, u32) = (5.0, 20_000);
/// The most memory of an idle socket in KiB, and the aim.
const MEMORY: (f64, f64) = (6.0, 4.0);
/// Idle sockets for which memory is judged: with fewer, what a server takes once weighs too much.
const IDLE_SOCKETS: usize = 5_000;

/// One sentence for each target that the run has figures for.
pub(crate) fn judge(report: &Report) -> Vec<String> {
    let mut verdicts = Vec::new();
    for measured in &report.busy {
        if matches!(measured.workload.load, Load::Closed { window } if window >= BURST) {
            for (subject, times) in CPU_RATIOS {
                verdicts.extend(cpu(measured, subject, times));
            }
        }
        for subject in [Subject::Ws, Subject::SocketIo] {
            match measured.workload.load {
                Load::Closed { .. } => verdicts.extend(rate(measured, subject)),
                Load::Open { rate } if rate <= P99.1 => verdicts.extend(latency(measured, subject)),
                Load::Open { .. } | Load::Idle => {}
            }
        }
    }
    for measured in report.idle.iter().filter(|measured| measured.workload.pairs * 2 >= IDLE_SOCKETS) {
        for subject in [Subject::Ws, Subject::SocketIo] {
            let Some(memory) = measured.summary(subject, |figures| figures.kib_per_socket) else { continue };
            let (most, aim) = MEMORY;
            let short = if memory.median > aim { format!(", {} is the aim", number(aim)) } else { String::new() };
            let found = spread(Some(memory), " KiB");
            let target = format!("{}: {subject} at most {} KiB a socket", measured.workload, number(most));
            verdicts.push(verdict(memory.median <= most, &target, &(found + &short)));
        }
    }
    verdicts
}

fn cpu(measured: &Measured<Figures>, subject: Subject, times: f64) -> Option<String> {
    let [theirs, ours] =
        [Subject::Baseline, subject].map(|subject| measured.each(subject, |figures| figures.cpu_micros));
    let ratio = Summary::of_ratios(&theirs, &ours)?;
    let target = format!("{}: {subject} at least {} times less CPU per message", measured.workload, number(times));
    let least = Summary::of_ratios(&theirs, &measured.each(Subject::Floor, |figures| figures.cpu_micros));
    let least = least.map(|least| format!("; the bare relay {}", spread(Some(least), " ×"))).unwrap_or_default();
    Some(verdict(ratio.median >= times, &target, &(spread(Some(ratio), " ×") + &least)))
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
