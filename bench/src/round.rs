//! One round: connect, warm up, measure one server under one load, and close.

use crate::generator::Generator;
use crate::load::{Load, Schedule, Share, Tally, Workload};
use crate::machine::{self, Memory};
use crate::payload::Payload;
use crate::process::Process;
use crate::servers::Subject;
use crate::usage::{Snapshot, Usage, sleep_until};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// From this share of its core on, the generator may be what limits a closed loop.
pub(crate) const GENERATOR_LIMIT: f64 = 0.85;

/// What all rounds have in common.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// The processor of the servers.
    pub(crate) server_cpu: usize,
    /// Those of the generator, one thread each.
    pub(crate) generator_cpus: Vec<usize>,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    pub(crate) payload: Payload,
}

/// What one round with messages showed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Messages that reached their receiver.
    pub(crate) messages: u64,
    /// Messages that did not.
    pub(crate) lost: u64,
    pub(crate) messages_per_second: f64,
    /// CPU time of the server process for each message, in microseconds.
    pub(crate) cpu_micros: f64,
    /// The part of it that the program itself takes; the rest is the kernel's, mostly TCP, whoever serves.
    pub(crate) user_micros: f64,
    /// What the server would relay in a second of CPU time.
    pub(crate) messages_per_core: f64,
    /// Time from (intended) sending to receipt, in milliseconds.
    pub(crate) p50_millis: f64,
    pub(crate) p99_millis: f64,
    pub(crate) p999_millis: f64,
    /// How late the generator itself sent in an open loop, 99th percentile, in milliseconds.
    pub(crate) lag_p99_millis: f64,
    /// CPU time over wall-clock time: of the server, of the generator's busiest thread, and of everybody else on the
    /// server's processor.
    pub(crate) server_share: f64,
    pub(crate) generator_share: f64,
    pub(crate) others_share: f64,
}

impl Figures {
    /// Whether the server might have done more, had the generator asked for more.
    pub(crate) fn is_floor(&self) -> bool {
        self.generator_share >= GENERATOR_LIMIT && self.server_share < 0.98
    }
}

/// What idle sockets cost a fresh server.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleFigures {
    pub(crate) sockets: usize,
    /// Resident bytes of the server before the first socket, and with all of them.
    pub(crate) resident_before: u64,
    pub(crate) resident_after: u64,
    /// Growth of resident memory for each socket, in KiB.
    pub(crate) kib_per_socket: f64,
    /// The part of it that is heap and stacks.
    pub(crate) anonymous_kib_per_socket: f64,
    /// CPU time of the server for connecting one socket and bringing it into its room, in microseconds.
    pub(crate) connect_cpu_micros: f64,
}

/// Measures `server` under a load with messages.
pub(crate) fn measure(server: &Process, subject: Subject, workload: Workload, under: &Conditions) -> Result<Figures> {
    let mut snapshots = Vec::new();
    let tally = play(server, subject, workload, under, |schedule| {
        for edge in [schedule.from, schedule.until] {
            sleep_until(schedule.instant(edge));
            snapshots.push(Snapshot::take(Some(server.pid()), under.server_cpu)?);
        }
        Ok(())
    })?;
    match snapshots.as_slice() {
        [from, until] => Ok(figures(&tally, &from.usage(until))),
        _ => bail!("a round took no snapshots"),
    }
}

/// Measures the memory of a fresh `server` with idle sockets.
pub(crate) fn measure_idle(
    server: &Process,
    subject: Subject,
    workload: Workload,
    under: &Conditions,
) -> Result<IdleFigures> {
    let (before, cpu_before) = (machine::process_memory(server.pid())?, machine::process_cpu(server.pid())?);
    let mut after = None;
    play(server, subject, workload, under, |schedule| {
        let cpu = machine::process_cpu(server.pid())?;
        sleep_until(schedule.instant(schedule.until));
        after = Some((machine::process_memory(server.pid())?, cpu));
        Ok(())
    })?;
    let (after, cpu_after) = after.context("a round took no snapshot")?;
    let sockets = workload.pairs * 2;
    let kib = |part: fn(&Memory) -> u64| (part(&after) as f64 - part(&before) as f64) / 1024.0 / sockets as f64;
    Ok(IdleFigures {
        sockets,
        resident_before: before.resident,
        resident_after: after.resident,
        kib_per_socket: kib(|memory| memory.resident),
        anonymous_kib_per_socket: kib(|memory| memory.anonymous),
        connect_cpu_micros: micros(cpu_after.saturating_sub(cpu_before)) / sockets as f64,
    })
}

fn figures(tally: &Tally, usage: &Usage) -> Figures {
    let messages = tally.received.max(1) as f64;
    let millis = |quantile| tally.latency.quantile(quantile).as_secs_f64() * 1e3;
    Figures {
        messages: tally.received,
        lost: tally.lost,
        messages_per_second: tally.received as f64 / usage.elapsed.as_secs_f64(),
        cpu_micros: micros(usage.server) / messages,
        user_micros: micros(usage.server) / messages * usage.user_share,
        messages_per_core: tally.received as f64 / usage.server.as_secs_f64().max(1e-9),
        p50_millis: millis(0.5),
        p99_millis: millis(0.99),
        p999_millis: millis(0.999),
        lag_p99_millis: tally.lag.quantile(0.99).as_secs_f64() * 1e3,
        server_share: usage.share(usage.server),
        generator_share: usage.share(tally.cpu),
        others_share: usage.share(usage.others),
    }
}

/// Runs the generator's threads through the load, while `observe` watches from this thread.
fn play(
    server: &Process,
    subject: Subject,
    workload: Workload,
    under: &Conditions,
    observe: impl FnOnce(&Schedule) -> Result<()>,
) -> Result<Tally> {
    thread::scope(|scope| {
        let (ready, all_ready) = channel();
        let (mut starts, mut threads) = (Vec::new(), Vec::new());
        for (share, &cpu) in shares(workload, under).into_iter().zip(&under.generator_cpus) {
            let (start, started) = channel();
            let ready = ready.clone();
            starts.push(start);
            threads.push(scope.spawn(move || {
                machine::pin_thread(&[cpu])?;
                generate(server, subject, workload, share, &ready, &started)
            }));
        }
        drop(ready);
        let connected = threads.iter().all(|_| all_ready.recv().is_ok());
        let observed = if connected {
            let schedule = Schedule::soon(Instant::now(), warm_up(workload, under), under.measure);
            // A thread that ended does not take its start; joining it says why.
            for start in &starts {
                let _ = start.send(schedule);
            }
            observe(&schedule)
        } else {
            drop(starts);
            Ok(())
        };
        let tally = gather(threads)?;
        observed.map(|()| tally)
    })
    .with_context(|| format!("{subject}, {workload}"))
}

fn generate(
    server: &Process,
    subject: Subject,
    workload: Workload,
    share: Share,
    ready: &Sender<()>,
    started: &Receiver<Schedule>,
) -> Result<Tally> {
    let generator = Generator::connect(server.address(), subject.dialect(), workload, share)?;
    ready.send(())?;
    match started.recv() {
        Ok(schedule) => generator.run(&schedule),
        // Another thread could not connect, and says why.
        Err(_) => Ok(Tally::new()),
    }
}

/// Cuts the pairs into one share for each generator thread.
fn shares(workload: Workload, under: &Conditions) -> Vec<Share> {
    let of = under.generator_cpus.len().min(workload.pairs).max(1);
    (0..of)
        .map(|index| {
            let pairs = workload.pairs / of + usize::from(index < workload.pairs % of);
            Share { pairs, index, of, payload: under.payload.clone() }
        })
        .collect()
}

/// Nothing to warm up in idle sockets; they only settle.
fn warm_up(workload: Workload, under: &Conditions) -> Duration {
    match workload.load {
        Load::Idle => Duration::ZERO,
        Load::Closed { .. } | Load::Open { .. } => under.warm_up,
    }
}

fn gather(threads: Vec<ScopedJoinHandle<'_, Result<Tally>>>) -> Result<Tally> {
    let mut all = Tally::new();
    let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
    for outcome in outcomes {
        all.merge(&outcome.map_err(|_| anyhow!("a generator thread panicked"))??);
    }
    Ok(all)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
