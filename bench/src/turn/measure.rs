//! One round: allocate, warm up, measure one contestant under one load, release.

use super::contestants::{Access, Running};
use super::ends::Ends;
use super::generator::{Generator, Pacing, Seen};
use super::workload::Workload;
use crate::load::Schedule;
use crate::usage::{Snapshot, Usage};
use anyhow::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A generator with less idle time than this may be what limits a closed loop.
const IDLE_ENOUGH: f64 = 0.05;
/// A server that uses less of its core than this was waiting for something.
const SATURATED: f64 = 0.9;

/// What all rounds have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) server_cpu: usize,
    pub(crate) generator_cpu: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What one round showed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Packets that reached their receiver during the measurement.
    pub(crate) packets: u64,
    /// Packets of the whole round that did not, and that came behind later ones of their flow.
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) packets_per_second: f64,
    /// CPU time of the server for each packet (not a number without a server), in nanoseconds, and the part of it outside the kernel.
    pub(crate) cpu_nanos: f64,
    pub(crate) user_nanos: f64,
    /// CPU time of server and generator for each packet, without the generator's idle time.
    pub(crate) path_nanos: f64,
    /// What the server would relay in a second of CPU time.
    pub(crate) packets_per_core: f64,
    /// Time from (intended) sending to receipt, in microseconds.
    pub(crate) p50_micros: f64,
    pub(crate) p99_micros: f64,
    pub(crate) p999_micros: f64,
    /// How late the generator itself sent in an open loop, 99th percentile, in microseconds.
    pub(crate) lag_p99_micros: f64,
    /// CPU time over wall-clock time: of the server and of everybody else on its processor.
    pub(crate) server_share: f64,
    pub(crate) others_share: f64,
    /// The part of the time in which the generator had nothing to do.
    pub(crate) idle_share: f64,
}

impl Figures {
    /// Whether the server might have done more, had the generator asked for more.
    pub(crate) fn is_floor(&self) -> bool {
        self.idle_share < IDLE_ENOUGH && self.server_share < SATURATED
    }
}

/// Measures a running server, or the same flows without one, from the calling thread.
pub(crate) fn measure(
    server: Option<&Running>,
    workload: &Workload,
    pacing: Pacing,
    access: &Access,
    under: &Conditions,
) -> Result<Figures> {
    let mut ends = match server {
        Some(server) => Ends::relayed(workload, server, access)?,
        None => Ends::direct(workload, access)?,
    };
    let generator = Generator::new(&ends, workload, pacing, server.is_some())?;
    let schedule = Schedule::soon(Instant::now(), under.warm_up, under.measure);
    let pid = server.map(|server| server.process.pid());
    let (seen, usage) = generator.run(&schedule, || Snapshot::take(pid, under.server_cpu))?;
    if server.is_some() {
        ends.release()?;
    }
    Ok(figures(&seen, &usage))
}

fn figures(seen: &Seen, usage: &Usage) -> Figures {
    let tally = &seen.tally;
    let packets = tally.received.max(1) as f64;
    let nanos = |time: Duration| time.as_secs_f64() * 1e9;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    // Where there is no server, its figures are none.
    let serving = |figure: f64| if usage.server.is_zero() { f64::NAN } else { figure };
    let working = usage.elapsed.saturating_sub(seen.idle).min(tally.cpu);
    Figures {
        packets: tally.received,
        lost: tally.lost,
        late: seen.late,
        packets_per_second: tally.received as f64 / usage.elapsed.as_secs_f64(),
        cpu_nanos: serving(nanos(usage.server) / packets),
        user_nanos: serving(nanos(usage.server) / packets * usage.user_share),
        path_nanos: nanos(usage.server + working) / packets,
        packets_per_core: serving(tally.received as f64 / usage.server.as_secs_f64()),
        p50_micros: micros(tally.latency.quantile(0.5)),
        p99_micros: micros(tally.latency.quantile(0.99)),
        p999_micros: micros(tally.latency.quantile(0.999)),
        lag_p99_micros: micros(tally.lag.quantile(0.99)),
        server_share: serving(usage.share(usage.server)),
        others_share: serving(usage.share(usage.others)),
        idle_share: usage.share(seen.idle),
    }
}
