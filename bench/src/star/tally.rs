//! What a crowd saw in one round.

use crate::histogram::Histogram;
use std::time::Duration;

/// What the crowd saw during the measurement, and over the whole run where it says so.
#[derive(Debug)]
pub(super) struct Tally {
    /// Members that joined before the measurement.
    pub(super) joined: usize,
    /// How long that took.
    pub(super) gathering: Duration,
    /// Connections that ended after joining, in the whole run.
    pub(super) dropped: usize,
    pub(super) announcements: u64,
    pub(super) announced_bytes: u64,
    /// Members that heard no announcement.
    pub(super) deaf: usize,
    /// Handshakes of the whole run.
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) latency: Histogram,
    pub(super) lag: Histogram,
    /// Newcomers that joined, and how long it took until the last of them heard of anybody; none if one heard nothing.
    pub(super) newcomers: usize,
    pub(super) newcomer_waited: Option<Duration>,
    /// How long it took from a newcomer's joining until a member heard of it; a slowest one for who did not.
    pub(super) notice: Histogram,
    /// How many of those who were to hear of a newcomer did.
    pub(super) noticed: u64,
    pub(super) to_notice: u64,
    /// CPU time of the thread during the measurement.
    pub(super) cpu: Duration,
}

impl Tally {
    /// Nothing seen.
    pub(super) fn new() -> Self {
        Self {
            joined: 0,
            gathering: Duration::ZERO,
            dropped: 0,
            announcements: 0,
            announced_bytes: 0,
            deaf: 0,
            received: 0,
            lost: 0,
            latency: Histogram::new(),
            lag: Histogram::new(),
            newcomers: 0,
            newcomer_waited: None,
            notice: Histogram::new(),
            noticed: 0,
            to_notice: 0,
            cpu: Duration::ZERO,
        }
    }
}
