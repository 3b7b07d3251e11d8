//! One round with a crowd: a fresh server, members that join, a measurement while announcements run.

use super::crowd::Crowd;
use super::tally::Tally;
use crate::load::Schedule;
use crate::machine::{self, Memory};
use crate::process::Process;
use crate::round::Conditions;
use crate::usage::{Snapshot, Usage, sleep_until};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Workload {
    /// Peers that join.
    pub(crate) members: usize,
    /// Handshakes a second over all of them.
    pub(crate) rate: u32,
    /// Peers that join when the measurement begins.
    pub(crate) newcomers: usize,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} joined peers, {} handshakes a second", self.members, self.rate)
    }
}

/// What one round showed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) asked: usize,
    /// Members that joined; the others were refused, or not served in time.
    pub(crate) joined: usize,
    pub(crate) join_seconds: f64,
    /// Connections that the server ended, or that broke, after joining.
    pub(crate) dropped: usize,
    /// CPU time of the server for each member until all had joined, in microseconds.
    pub(crate) join_cpu_micros: f64,
    /// Growth of its resident memory for each member, in KiB.
    pub(crate) kib_per_member: f64,
    /// Announcements that arrived in a second of the measurement, and their bytes.
    pub(crate) announcements_per_second: f64,
    pub(crate) announced_mib_per_second: f64,
    /// Members that heard none during the measurement, which is longer than the announcements' period.
    pub(crate) deaf: usize,
    /// Handshakes that reached their receiver, and that did not.
    pub(crate) messages: u64,
    pub(crate) lost: u64,
    /// Time from intended sending to receipt, in milliseconds.
    pub(crate) p50_millis: f64,
    pub(crate) p99_millis: f64,
    pub(crate) p999_millis: f64,
    /// How late the generator itself sent, 99th percentile, in milliseconds.
    pub(crate) lag_p99_millis: f64,
    /// The share of the members that heard of a newcomer before the round ended, and how long nine in ten of all took to;
    /// not a number if fewer did.
    pub(crate) noticed_share: f64,
    pub(crate) notice_p90_seconds: f64,
    /// How long the last newcomer waited until it heard of anybody; not a number if one heard nothing.
    pub(crate) newcomer_waited_seconds: f64,
    /// CPU time over wall-clock time during the measurement.
    pub(crate) server_share: f64,
    pub(crate) generator_share: f64,
    pub(crate) others_share: f64,
}

impl Figures {
    /// Whether the server took everybody in and kept them.
    pub(crate) fn held(&self) -> bool {
        self.joined == self.asked && self.dropped == 0
    }
}

/// The server before anybody, and with everybody.
#[derive(Debug)]
struct Growth {
    memory: Memory,
    cpu: Duration,
}

impl Growth {
    fn take(server: &Process) -> Result<Self> {
        Ok(Self { memory: machine::process_memory(server.pid())?, cpu: machine::process_cpu(server.pid())? })
    }
}

/// Measures a fresh `server`.
pub(super) fn measure(server: &Process, load: Workload, under: &Conditions) -> Result<Figures> {
    let before = Growth::take(server)?;
    let cpu = under.generator_cpus.first().copied().context("the generator has no processor")?;
    thread::scope(|scope| {
        let (ready, gathered) = channel();
        let crowd = scope.spawn(move || {
            machine::pin_thread(&[cpu])?;
            play(server, load, under, &ready)
        });
        // A thread that ended sends no schedule; joining it says why.
        let observed = gathered.recv().ok().map(|schedule| observe(server, &schedule, under));
        let tally = crowd.join().map_err(|_| anyhow!("the generator panicked"))??;
        let (with_all, usage) = observed.context("the generator did not begin")??;
        Ok(figures(load, &tally, &usage, [&before, &with_all]))
    })
}

fn play(server: &Process, load: Workload, under: &Conditions, ready: &Sender<Schedule>) -> Result<Tally> {
    let mut crowd = Crowd::new(server.address(), under.payload.clone())?;
    crowd.gather(load.members)?;
    let schedule = Schedule::soon(crowd.origin(), under.warm_up, under.measure);
    ready.send(schedule)?;
    crowd.run(&schedule, load.rate, load.newcomers)
}

fn observe(server: &Process, schedule: &Schedule, under: &Conditions) -> Result<(Growth, Usage)> {
    let with_all = Growth::take(server)?;
    sleep_until(schedule.instant(schedule.from));
    let from = Snapshot::take(Some(server.pid()), under.server_cpu)?;
    sleep_until(schedule.instant(schedule.until));
    let until = Snapshot::take(Some(server.pid()), under.server_cpu)?;
    Ok((with_all, from.usage(&until)))
}

fn figures(load: Workload, tally: &Tally, usage: &Usage, [before, with_all]: [&Growth; 2]) -> Figures {
    let members = tally.joined.max(1) as f64;
    let seconds = usage.elapsed.as_secs_f64();
    let millis = |quantile| tally.latency.quantile(quantile).as_secs_f64() * 1e3;
    let noticed_share = tally.noticed as f64 / tally.to_notice.max(1) as f64;
    let grown = with_all.memory.resident as f64 - before.memory.resident as f64;
    Figures {
        asked: load.members,
        joined: tally.joined,
        join_seconds: tally.gathering.as_secs_f64(),
        dropped: tally.dropped,
        join_cpu_micros: with_all.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / members,
        kib_per_member: grown / 1024.0 / members,
        announcements_per_second: tally.announcements as f64 / seconds,
        announced_mib_per_second: tally.announced_bytes as f64 / 1_048_576.0 / seconds,
        deaf: tally.deaf,
        messages: tally.received,
        lost: tally.lost,
        p50_millis: millis(0.5),
        p99_millis: millis(0.99),
        p999_millis: millis(0.999),
        lag_p99_millis: tally.lag.quantile(0.99).as_secs_f64() * 1e3,
        noticed_share,
        notice_p90_seconds: if noticed_share < 0.9 { f64::NAN } else { tally.notice.quantile(0.9).as_secs_f64() },
        newcomer_waited_seconds: tally.newcomer_waited.map_or(f64::NAN, |waited| waited.as_secs_f64()),
        server_share: usage.share(usage.server),
        generator_share: usage.share(tally.cpu),
        others_share: usage.share(usage.others),
    }
}
