//! What is asked of a server in one round, and what one generator thread saw.

use crate::histogram::Histogram;
use crate::payload::Payload;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Load {
    /// Sockets stay open and say nothing.
    Idle,
    /// Each pair has `window` messages on their way; every receipt is answered at once. Measures what a server can do.
    Closed {
        /// Messages on their way in each pair.
        window: u32,
    },
    /// Messages leave on a schedule, whatever the server does. Latency counts from the scheduled time, so a stall
    /// shows in every message that it delayed (no coordinated omission).
    Open {
        /// Messages per second over all pairs.
        rate: u32,
    },
}

/// A load over a number of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Workload {
    /// Rooms with two members each.
    pub(crate) pairs: usize,
    /// Whether the two have joined their room; idle sockets may only have been greeted.
    pub(crate) joined: bool,
    #[serde(flatten)]
    pub(crate) load: Load,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs;
        match self.load {
            Load::Idle if self.joined => write!(f, "{} idle sockets in rooms of two", pairs * 2),
            Load::Idle => write!(f, "{} idle sockets, connected and greeted", pairs * 2),
            Load::Closed { window } => write!(f, "closed loop, {pairs} pairs × {window} on the way"),
            Load::Open { rate } => write!(f, "open loop, {rate} messages a second over {pairs} pairs"),
        }
    }
}

/// When the parts of a round begin, in nanoseconds since `origin`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) origin: Instant,
    /// The first message; what follows until `from` warms caches and compilers up.
    pub(crate) start: u64,
    /// The measurement, first nanosecond and the one behind the last.
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// What has not arrived by now is lost.
    pub(crate) give_up: u64,
}

impl Schedule {
    /// How long after the measurement messages are waited for.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// A schedule that starts in a moment.
    pub(crate) fn soon(origin: Instant, warm_up: Duration, measure: Duration) -> Self {
        let start = origin.elapsed() + Duration::from_millis(20);
        let [start, from, until, give_up] =
            [start, start + warm_up, start + warm_up + measure, start + warm_up + measure + Self::PATIENCE]
                .map(|time| time.as_nanos() as u64);
        Self { origin, start, from, until, give_up }
    }

    /// Nanoseconds since the origin.
    pub(crate) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Whether `nanos` lies in the measurement.
    pub(crate) fn measures(&self, nanos: u64) -> bool {
        (self.from..self.until).contains(&nanos)
    }

    /// The point in time that `nanos` stands for.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.origin + Duration::from_nanos(nanos)
    }
}

/// One thread's part of a round.
#[derive(Debug)]
pub(crate) struct Share {
    /// Pairs of this thread.
    pub(crate) pairs: usize,
    /// Its number, and how many there are.
    pub(crate) index: usize,
    pub(crate) of: usize,
    pub(crate) payload: Payload,
}

/// What one thread, or all together, saw.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Messages that arrived during the measurement.
    pub(crate) received: u64,
    /// Time on the way, of what arrived (closed loop) or was due (open loop) during the measurement.
    pub(crate) latency: Histogram,
    /// Open loop: how late the generator itself sent.
    pub(crate) lag: Histogram,
    /// Messages that never arrived, or that the server's full socket did not take.
    pub(crate) lost: u64,
    /// CPU time of the thread during the measurement; of the busiest one after merging.
    pub(crate) cpu: Duration,
}

impl Tally {
    /// Nothing seen.
    pub(crate) fn new() -> Self {
        let (latency, lag) = (Histogram::new(), Histogram::new());
        Self { received: 0, latency, lag, lost: 0, cpu: Duration::ZERO }
    }

    /// Adds what another thread saw.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.latency.merge(&other.latency);
        self.lag.merge(&other.lag);
        self.lost += other.lost;
        self.cpu = self.cpu.max(other.cpu);
    }
}
