//! What a measurement cost: CPU time of the server and of everybody else on its processor, between two edges.

use crate::machine::{self, Ticks};
use anyhow::Result;
use rustix::process::Pid;
use std::thread;
use std::time::{Duration, Instant};

/// CPU times at one edge of the measurement.
#[derive(Debug)]
pub(crate) struct Snapshot {
    at: Instant,
    server: Duration,
    ticks: Ticks,
    processor: Duration,
}

impl Snapshot {
    /// Reads the times of server `pid`, where there is one, and of processor `cpu`.
    pub(crate) fn take(pid: Option<Pid>, cpu: usize) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            server: pid.map(machine::process_cpu).transpose()?.unwrap_or_default(),
            ticks: pid.map(Ticks::of).transpose()?.unwrap_or_default(),
            processor: machine::processor_busy(cpu)?,
        })
    }

    /// What was used from `self` to `until`.
    pub(crate) fn usage(&self, until: &Self) -> Usage {
        let server = until.server.saturating_sub(self.server);
        Usage {
            elapsed: until.at - self.at,
            server,
            user_share: until.ticks.user_share_since(self.ticks),
            others: until.processor.saturating_sub(self.processor).saturating_sub(server),
        }
    }
}

/// CPU time between two edges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) elapsed: Duration,
    /// Of all threads of the server, user and kernel.
    pub(crate) server: Duration,
    /// The part of it that the program itself takes.
    pub(crate) user_share: f64,
    /// Of everybody else on the server's processor.
    pub(crate) others: Duration,
}

impl Usage {
    /// `time` over the wall-clock time.
    pub(crate) fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Waits for an edge.
pub(crate) fn sleep_until(instant: Instant) {
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}
